// `--compositor cpu`: planner and compositor in plain C, for whole runs. The picture and the cells
// come back to the host, which waits; history and mask panel go up again. Slow, and meant to be: it
// is what the kernels are held against, with the same hashes.
#include "priv.h"

#include <string.h>

struct compose_cpu {
    uint64_t bytes;                     // of a picture
    struct ag_buffer *input, *selected; // READBACK
    struct ag_buffer *up;               // UPLOAD: history, mask panel
    uint8_t *history, *mask;
    uint32_t *cells;
};

void compose_cpu_destroy(struct ag_pipeline *p)
{
    struct compose_cpu *c = p->compose_cpu;
    if (!c) {
        return;
    }
    ag_buffer_destroy(p->gpu, &c->input);
    ag_buffer_destroy(p->gpu, &c->selected);
    ag_buffer_destroy(p->gpu, &c->up);
    ag_free(c->history);
    ag_free(c->mask);
    ag_free(c->cells);
    ag_free(c);
    p->compose_cpu = NULL;
}

bool compose_cpu_configure(struct ag_pipeline *p, struct ag_error *err)
{
    uint64_t bytes = 4ull * p->width * p->height;
    if (p->compose_cpu && p->compose_cpu->bytes == bytes) {
        return true; // the history goes on
    }
    compose_cpu_destroy(p);
    if (p->config.compositor != AG_COMPOSITOR_CPU) {
        return true;
    }
    struct compose_cpu *c = p->compose_cpu = ag_alloc(sizeof(*c));
    c->bytes = bytes;
    c->input = ag_buffer_create(p->gpu, AG_MEM_READBACK, c->bytes, "host/picture", err);
    c->selected = ag_buffer_create(p->gpu, AG_MEM_READBACK, AG_MAX_CELLS / 8, "host/selected",
                                   err);
    c->up = ag_buffer_create(p->gpu, AG_MEM_UPLOAD, 2 * c->bytes, "host/panels", err);
    c->history = ag_alloc(c->bytes);
    c->mask = ag_alloc(c->bytes);
    c->cells = ag_alloc(AG_MAX_CELLS * sizeof(*c->cells));
    return c->input && c->selected && c->up;
}

static bool fetch(struct ag_pipeline *p, struct slot *s, struct ag_cmd **cmd,
                  const struct ag_plan *plan, struct ag_error *err)
{
    struct compose_cpu *c = p->compose_cpu;
    int64_t t0 = ag_now_ns();
    ag_cmd_copy(*cmd, c->input, 0, p->rgba[pipeline_picture(p)], 0, c->bytes);
    ag_cmd_copy(*cmd, c->selected, 0, plan->selected, 0, AG_DIV_UP(p->layout.cells, 32) * 4ull);
    ag_cmd_host_barrier(*cmd);
    uint64_t value = ag_cmd_submit(*cmd, err);
    *cmd = NULL;
    if (!value || !ag_gpu_wait(p->gpu, value, err)) {
        return false;
    }
    ag_buffer_invalidate(p->gpu, c->input);
    ag_buffer_invalidate(p->gpu, c->selected);
    s->report.cpu_ns[AG_STAGE_HANDOFF] += ag_now_ns() - t0;
    return true;
}

static void compose(struct ag_pipeline *p, struct slot *s)
{
    struct compose_cpu *c = p->compose_cpu;
    struct ag_planner_setup setup = pipeline_plan_setup(p);
    struct ag_ref_plan plan;
    uint32_t n = collect_cells(c->selected->data, p->layout.cells, c->cells);
    int64_t t0 = ag_now_ns();
    ag_ref_plan(&setup, c->cells, n, &plan);
    s->report.cpu_ns[AG_STAGE_PLAN] = ag_now_ns() - t0;
    t0 = ag_now_ns();
    struct ag_ref_compose job = {
        .width = p->width,
        .height = p->height,
        .cell_scale = setup.cell_scale,
        .style = pipeline_style(p),
        .keyframe = s->report.keyframe,
    };
    s->error = ag_ref_compose(&job, &plan, c->input->data, c->history, c->mask);
    s->plan = plan.stats;
    ag_ref_plan_free(&plan);
    s->report.cpu_ns[AG_STAGE_COMPOSE] = ag_now_ns() - t0;
}

bool compose_cpu_record(struct ag_pipeline *p, struct slot *s, struct ag_cmd **cmd,
                        const struct ag_plan *plan, struct ag_error *err)
{
    struct compose_cpu *c = p->compose_cpu;
    int64_t t0 = ag_now_ns();
    if (!fetch(p, s, cmd, plan, err)) {
        return false;
    }
    compose(p, s);
    // The frame before has read what lies here: its submission came before the one waited for.
    memcpy(c->up->data, c->history, c->bytes);
    memcpy((uint8_t *)c->up->data + c->bytes, c->mask, c->bytes);
    ag_buffer_flush(p->gpu, c->up);
    s->reference_ns = ag_now_ns() - t0;
    *cmd = ag_cmd_begin(p->gpu, s->report.frame_id, err);
    if (!*cmd) {
        return false;
    }
    ag_cmd_barrier(*cmd);
    ag_cmd_copy(*cmd, p->history, 0, c->up, 0, c->bytes);
    ag_cmd_copy(*cmd, p->mask, 0, c->up, c->bytes, c->bytes);
    return true;
}
