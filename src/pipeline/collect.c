// What a frame leaves behind, read late: from finished slots to reports.
#include "priv.h"

#include <math.h>
#include <string.h>

#define REPAIR_BYTES (AG_REPAIR_CELLS_AT + 4 * AG_ERROR_CELLS)

void collect_layout(struct ag_pipeline *p)
{
    struct offsets *o = &p->offsets;
    o->plan = 0;
    o->compose = 256;
    o->canvas = 512;
    o->repair = 768;
    o->selected = AG_ALIGN_UP(o->repair + REPAIR_BYTES, 256);
    o->selected_bytes = AG_DIV_UP(p->layout.cells, 32) * sizeof(uint32_t);
    o->gaze = AG_ALIGN_UP(o->selected + o->selected_bytes, 256);
    o->gaze_bytes = 0;
    if (p->gpu_gaze) {
        gpu_gaze_results(p->gpu_gaze, &o->gaze_bytes);
    }
    o->size = o->gaze + AG_MAX(o->gaze_bytes, 4);
}

bool collect_create_slots(struct ag_pipeline *p, struct ag_error *err)
{
    uint32_t cells = p->model->config.cells, tiles = p->tiling.tiles;
    uint32_t listed = AG_MAX(tiles * cells, p->has_forced ? p->forced.max : 0);
    for (int i = 0; i < FRAMES_IN_FLIGHT; i++) {
        struct slot *s = &p->slot[i];
        s->gpu = p->gpu;
        s->readback = ag_buffer_create(p->gpu, AG_MEM_READBACK, p->offsets.size, "slot/readback", err);
        s->stats = ag_buffer_create(p->gpu, AG_MEM_DEVICE, 512, "slot/stats", err);
        s->host_cells = ag_buffer_create(p->gpu, AG_MEM_MAPPED, 256 + 4ull * listed, "slot/cells", err);
        if (!s->readback || !s->stats || !s->host_cells) {
            return false;
        }
        gaze_set_reserve(&s->gaze, tiles, cells);
    }
    // Reports outlive a change of layout: their arrays only grow.
    for (int i = 0; i < REPORTS; i++) {
        struct kept_report *k = &p->kept[i];
        gaze_set_reserve(&k->gaze, tiles, cells);
        k->report.gaze.ids = k->gaze.ids;
        k->report.gaze.losses = k->gaze.losses;
        k->report.tiles = k->gaze.tile;
        if (k->max_cells < p->layout.cells) {
            k->max_cells = p->layout.cells;
            k->cells = ag_realloc(k->cells, k->max_cells * sizeof(uint32_t));
            k->report.cells = k->cells;
        }
    }
    return true;
}

void collect_destroy_slots(struct ag_pipeline *p)
{
    for (int i = 0; i < FRAMES_IN_FLIGHT; i++) {
        struct slot *s = &p->slot[i];
        ag_buffer_destroy(p->gpu, &s->readback);
        ag_buffer_destroy(p->gpu, &s->stats);
        ag_buffer_destroy(p->gpu, &s->host_cells);
        gaze_set_free(&s->gaze);
        memset(s, 0, sizeof(*s));
    }
}

void collect_destroy_reports(struct ag_pipeline *p)
{
    for (int i = 0; i < REPORTS; i++) {
        gaze_set_free(&p->kept[i].gaze);
        ag_free(p->kept[i].cells);
    }
}

// What stands between taking a frame and its composition: not what follows (the screen, the model
// under `async`).
static void add_own_times(struct slot *s, const struct ag_gpu_times *t)
{
    if (t->value > s->composed_value || !t->host_end_ns) {
        return;
    }
    for (int k = 0; k < AG_STAGE_COUNT; k++) {
        s->own_gpu_ns += t->stage_ns[k];
    }
    s->own_queue_ns += AG_MAX(t->host_begin_ns - t->submit_ns, 0);
    s->done_ns = t->host_end_ns;
}

void collect_times(struct ag_pipeline *p)
{
    struct ag_gpu_times t;
    while (ag_gpu_poll_times(p->gpu, &t)) {
        for (int i = 0; i < FRAMES_IN_FLIGHT; i++) {
            struct slot *s = &p->slot[i];
            if (!s->busy || s->report.frame_id != t.frame_id || t.dropped) {
                continue;
            }
            for (int k = 0; k < AG_STAGE_COUNT; k++) {
                s->report.gpu_ns[k] += t.stage_ns[k];
            }
            add_own_times(s, &t);
            s->report.gpu_total_ns += t.end_ns - t.begin_ns - t.stage_ns[AG_STAGE_GENERATE];
        }
    }
}

uint32_t collect_cells(const uint32_t *bits, uint32_t cells, uint32_t *out)
{
    uint32_t n = 0;
    for (uint32_t w = 0; w * 32 < cells; w++) {
        if (bits[w] == UINT32_MAX && w * 32 + 32 <= cells) { // often: 32 at once
            for (uint32_t i = 0; i < 32; i++) {
                out[n + i] = w * 32 + i;
            }
            n += 32;
            continue;
        }
        for (uint32_t b = bits[w]; b; b &= b - 1) {
            uint32_t cell = w * 32 + (uint32_t)__builtin_ctz(b);
            if (cell < cells) {
                out[n++] = cell;
            }
        }
    }
    return n;
}

static void read_repair(const struct ag_pipeline *p, const char *data, struct ag_frame_report *r)
{
    struct ag_repair_header header;
    memcpy(&header, data + p->offsets.repair, sizeof(header));
    memcpy(r->repaired, data + p->offsets.repair + AG_REPAIR_CELLS_AT, sizeof(r->repaired));
    r->plan.chosen = header.chosen;
    r->plan.repaired = header.added;
    r->repair_limited = header.beyond > header.added;
}

static void read_metrics(const struct ag_pipeline *p, const struct slot *s,
                         struct ag_frame_report *r)
{
    const char *data = s->readback->data;
    const struct ag_compose_stats *error = (const void *)(data + p->offsets.compose);
    const struct ag_canvas_stats *canvas = (const void *)(data + p->offsets.canvas);
    uint64_t pixels = (uint64_t)r->width * r->height;
    uint64_t sum = (uint64_t)error->error_high << 32 | error->error_low;
    r->plan.path = error->path;
    if (p->compose_cpu) { // what the reference says, but the plan that was recorded knows the list
        r->plan.kept = s->plan.kept;
        r->plan.pixels = s->plan.pixels;
        memcpy(r->plan.per_grid, s->plan.per_grid, sizeof(r->plan.per_grid));
        r->plan.path = r->keyframe ? AG_PATH_KEYFRAME : AG_PATH_DENSE;
        sum = s->error;
    }
    r->gaze_ratio = r->keyframe ? NAN : (double)r->plan.pixels / (double)pixels;
    if (r->has_psnr) {
        r->psnr_db = ag_psnr_db(sum, 3 * pixels);
    }
    if (r->has_model_psnr) {
        // Padding is not part of the picture; it has no error.
        bool padded = p->tiling.mode == AG_MODE_TILED_FULL;
        uint64_t samples = 3 * (padded ? pixels : (uint64_t)p->tiling.canvas_width *
                                                      p->tiling.canvas_height);
        double mse = canvas->error / (double)samples;
        r->model_psnr_db = mse > 0 ? -10 * log10(mse) : INFINITY;
    }
}

// The host's wait for the model input contains the queue and the GPU's own work on it, which have
// stages of their own; what is left is the waking up.
static int64_t split_handoff(struct ag_frame_report *r, int64_t queue_ns)
{
    static const enum ag_stage before[] = {
        AG_STAGE_GENERATE, AG_STAGE_UPLOAD, AG_STAGE_COLOR, AG_STAGE_RESIZE, AG_STAGE_HANDOFF
    };
    int64_t ns = r->cpu_ns[AG_STAGE_HANDOFF] - queue_ns;
    for (size_t i = 0; i < AG_COUNT(before); i++) {
        ns -= r->gpu_ns[before[i]];
    }
    r->cpu_ns[AG_STAGE_HANDOFF] = AG_MAX(ns, 0);
    return r->cpu_ns[AG_STAGE_HANDOFF];
}

// Latency, interval, and how much of the latency the stages and waits of this frame explain.
static void place_in_time(struct ag_pipeline *p, const struct slot *s, int64_t observed,
                          struct ag_frame_report *r)
{
    r->cpu_ns[AG_STAGE_QUEUE] = s->own_queue_ns;
    r->accounted_ns = r->cpu_ns[AG_STAGE_RECORD] + s->own_gpu_ns + s->own_queue_ns;
    if (s->model_waits) {
        r->accounted_ns += split_handoff(r, s->own_queue_ns) + r->cpu_ns[AG_STAGE_VISION] +
                           r->cpu_ns[AG_STAGE_PREFILL] + r->cpu_ns[AG_STAGE_DECODE];
    }
    r->done_ns = s->done_ns ? AG_MIN(s->done_ns, observed) : observed;
    r->accounted_ns = s->done_ns ? r->accounted_ns : 0;
    r->latency_ns += r->done_ns; // it was set to minus the time of taking
    r->interval_ns = p->last_done_ns && r->sequence ? r->done_ns - p->last_done_ns : 0;
    p->last_done_ns = r->done_ns;
}

static void collect(struct ag_pipeline *p, struct slot *s)
{
    int64_t observed = ag_now_ns();
    collect_times(p);
    if (p->kept_next - p->kept_first == REPORTS) {
        p->kept_first++; // nobody reads reports: keep the newest
    }
    struct kept_report *k = &p->kept[p->kept_next++ % REPORTS];
    struct ag_frame_report *r = &k->report;
    *r = s->report;
    ag_buffer_invalidate(p->gpu, s->readback);
    const char *data = s->readback->data;
    memcpy(&r->plan, data + p->offsets.plan, sizeof(r->plan));
    if (s->repair) {
        read_repair(p, data, r);
    }
    r->cells = k->cells;
    const uint32_t *selected = (const uint32_t *)(data + p->offsets.selected);
    r->n_cells = collect_cells(selected, p->layout.cells, k->cells);
    r->cells_hash = ag_hash(AG_HASH_SEED, selected, p->offsets.selected_bytes);
    if (s->gpu_gaze) {
        r->gaze = gpu_gaze_decode(p->gpu_gaze, data + p->offsets.gaze, &k->gaze);
        r->has_gaze = true;
    } else if (r->has_gaze) {
        r->gaze = gaze_set_copy(&k->gaze, &s->gaze);
    }
    r->tiles = k->gaze.tile;
    r->n_tiles = r->has_gaze ? p->tiling.tiles : 0;
    read_metrics(p, s, r);
    place_in_time(p, s, observed, r);
    if (s->source) {
        ag_ring_release(p->ring, s->source);
        s->source = NULL;
    }
    s->busy = false;
    inference_note_cost(p, r);
    if (p->job) {
        infer_cpu_collected(p, s);
    }
}

struct ag_plan_spans ag_pipeline_spans(const struct ag_pipeline *p,
                                       const struct ag_frame_report *r)
{
    struct ag_planner_setup setup = pipeline_plan_setup(p);
    struct ag_ref_plan plan;
    ag_ref_plan(&setup, r->cells, r->n_cells, &plan);
    struct ag_plan_spans spans = ag_ref_plan_spans(&plan, r->width, r->height, setup.cell_scale);
    ag_ref_plan_free(&plan);
    return spans;
}

void collect_poll(struct ag_pipeline *p)
{
    for (uint64_t i = 0; i < FRAMES_IN_FLIGHT; i++) { // oldest first
        struct slot *s = &p->slot[(p->composed + i) % FRAMES_IN_FLIGHT];
        if (s->busy && ag_gpu_done(p->gpu, s->value)) {
            collect(p, s);
        }
    }
}

bool collect_wait(struct ag_pipeline *p, struct slot *s, struct ag_error *err)
{
    if (!s->busy) {
        return true;
    }
    if (!ag_gpu_wait(p->gpu, s->value, err)) {
        return false;
    }
    collect(p, s);
    return true;
}

bool ag_pipeline_drain(struct ag_pipeline *p, struct ag_error *err)
{
    for (uint64_t i = 0; i < FRAMES_IN_FLIGHT; i++) {
        if (!collect_wait(p, &p->slot[(p->composed + i) % FRAMES_IN_FLIGHT], err)) {
            return false;
        }
    }
    return true;
}

bool ag_pipeline_next_report(struct ag_pipeline *p, struct ag_frame_report *out)
{
    if (p->kept_first == p->kept_next) {
        return false;
    }
    *out = p->kept[p->kept_first++ % REPORTS].report;
    return true;
}
