// The CPU back end of the model in the pipeline: sync (the frame waits for its own gaze) and async
// (a thread of its own; frames are composed with the last mask that was accepted).
#include "priv.h"

#include <string.h>

// Input of this frame, of the frame before and the canvas, on their way to the host: everything as
// of the last composed frame, because composition is recorded later.
static void record_snapshot(struct ag_pipeline *p, struct ag_cmd *cmd)
{
    uint64_t bytes = p->input_bytes;
    unsigned now = p->composed & 1;
    bool closed = p->context == AG_CONTEXT_CANVAS;
    ag_cmd_stage_begin(cmd, AG_STAGE_HANDOFF);
    ag_cmd_copy(cmd, p->host_input[now], 0, p->input[now], 0, bytes);
    if (closed && p->input_id && p->host_input_id[!now] != p->input_id) {
        // The frame before was not the model's (skipped, or another mask source).
        ag_cmd_copy(cmd, p->host_input[!now], 0, p->input[!now], 0, bytes);
        p->host_input_id[!now] = p->input_id;
    }
    if (closed && p->canvas_known) {
        ag_cmd_copy(cmd, p->host_canvas, 0, p->canvas, 0, bytes);
    }
    ag_cmd_stage_end(cmd);
    ag_cmd_host_barrier(cmd);
}

static struct ag_gaze_input snapshot_input(struct ag_pipeline *p, uint64_t frame_id)
{
    unsigned now = p->composed & 1;
    bool closed = p->context == AG_CONTEXT_CANVAS;
    p->host_input_id[now] = frame_id;
    return (struct ag_gaze_input){
        .frame_id = frame_id,
        .frame = p->host_input[now]->data,
        .canvas = closed && p->canvas_known ? p->host_canvas->data : NULL,
        .previous = closed && p->input_id ? p->host_input[!now]->data : NULL,
        .previous_id = p->input_id,
        .budget = inference_budget(p),
        .threshold = p->live.threshold,
    };
}

static void invalidate(struct ag_pipeline *p)
{
    ag_buffer_invalidate(p->gpu, p->host_input[0]);
    ag_buffer_invalidate(p->gpu, p->host_input[1]);
    ag_buffer_invalidate(p->gpu, p->host_canvas);
}

// Cells of the frame that the tiles' ids name.
static uint32_t list_cells(const struct ag_pipeline *p, const struct gaze_set *gaze, uint32_t *list)
{
    const struct ag_model_config *c = &p->model->config;
    uint32_t n = 0;
    for (uint32_t t = 0; t < p->tiling.tiles; t++) {
        const struct ag_gaze *g = &gaze->tile[t];
        for (uint32_t i = 0; i < g->slots; i++) {
            uint32_t id = g->ids[i];
            uint32_t cell = id < c->cells ? ag_tiling_cell(&p->tiling, c, &p->layout, t, id)
                                          : AG_CELL_NONE;
            if (cell != AG_CELL_NONE) {
                list[n++] = cell;
            }
        }
    }
    return n;
}

static void report_gaze(struct ag_pipeline *p, struct slot *s, const struct gaze_set *gaze)
{
    s->report.gaze = gaze_set_copy(&s->gaze, gaze);
    s->report.tiles = s->gaze.tile;
    s->report.n_tiles = p->tiling.tiles;
    s->report.has_gaze = true;
}

static void add_times(struct slot *s, const struct ag_gaze_times *times)
{
    s->report.cpu_ns[AG_STAGE_VISION] += times->vision;
    s->report.cpu_ns[AG_STAGE_PREFILL] += times->prefill;
    s->report.cpu_ns[AG_STAGE_DECODE] += times->decode;
}

bool infer_cpu_sync(struct ag_pipeline *p, struct slot *s, struct ag_cmd **cmd,
                    struct ag_mask *mask, struct ag_error *err)
{
    record_snapshot(p, *cmd);
    int64_t t0 = ag_now_ns();
    uint64_t value = ag_cmd_submit(*cmd, err);
    *cmd = NULL;
    if (!value || !ag_gpu_wait(p->gpu, value, err)) {
        return false;
    }
    invalidate(p);
    s->report.cpu_ns[AG_STAGE_HANDOFF] += ag_now_ns() - t0;

    struct ag_gaze_times times = { 0 };
    struct ag_gaze_input in = snapshot_input(p, s->report.frame_id);
    if (!cpu_gaze_run(p->cpu, &in, &p->cpu_set, &times, err)) {
        return false;
    }
    add_times(s, &times);
    s->model_waits = true;
    report_gaze(p, s, &p->cpu_set);
    host_mask(s, list_cells(p, &p->cpu_set, host_list(s)), s->report.frame_id, mask);
    *cmd = ag_cmd_begin(p->gpu, s->report.frame_id, err);
    if (!*cmd) {
        return false;
    }
    ag_cmd_barrier(*cmd);
    return true;
}

// A finished frame becomes the current mask, unless the stream was reset meanwhile.
static bool accept(struct ag_pipeline *p, struct slot *s, struct ag_error *err)
{
    const struct gaze_set *gaze;
    struct ag_gaze_times times;
    bool ok;
    if (!job_take(p->job, &gaze, &times, &ok, err)) {
        return true;
    }
    if (!ok) {
        return false;
    }
    uint64_t frame_id = gaze->tile[0].frame_id;
    if (p->job_stale || frame_id <= p->current.frame_id) {
        p->stale_results++;
        p->job_stale = false;
        return true;
    }
    p->current.n = list_cells(p, gaze, p->current.cells);
    p->current.frame_id = frame_id;
    p->current.capture_ns = p->job_capture_ns;
    report_gaze(p, s, gaze);
    add_times(s, &times);
    return true;
}

bool infer_cpu_async(struct ag_pipeline *p, struct slot *s, struct ag_cmd *cmd,
                     struct ag_mask *mask, bool *has_mask, struct ag_error *err)
{
    if (!accept(p, s, err)) {
        return false;
    }
    if (job_idle(p->job) && !p->job_snapshot) {
        record_snapshot(p, cmd);
        p->job_input = snapshot_input(p, s->report.frame_id);
        p->job_capture_ns = s->report.capture_ns;
        p->job_snapshot = s->report.frame_id;
        p->duplicates += s->report.frame_id == p->last_inferred_id;
        p->last_inferred_id = s->report.frame_id;
    }
    *has_mask = p->current.frame_id != 0;
    if (*has_mask) {
        memcpy(host_list(s), p->current.cells, p->current.n * sizeof(uint32_t));
        host_mask(s, p->current.n, p->current.frame_id, mask);
    }
    return true;
}

void infer_cpu_collected(struct ag_pipeline *p, const struct slot *s)
{
    if (!p->job_snapshot || p->job_snapshot != s->report.frame_id) {
        return;
    }
    p->job_snapshot = 0;
    if (p->job_stale) { // the stream was reset between snapshot and start
        p->job_stale = false;
        p->stale_results++;
        return;
    }
    invalidate(p);
    job_start(p->job, &p->job_input, p->job_reset, p->config.test_job_delay_ms * 1000000ll);
    p->job_reset = false;
}

// The stream's past is gone: what runs or is about to run is stale, and the next start forgets.
void infer_cpu_reset(struct ag_pipeline *p)
{
    if (!p->job) {
        cpu_gaze_reset(p->cpu);
        return;
    }
    p->job_stale = p->job_snapshot || !job_idle(p->job);
    p->job_reset = true;
    p->current.frame_id = 0;
    p->current.n = 0;
}
