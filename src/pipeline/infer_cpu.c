// The CPU back end of the model in the pipeline: sync (the frame waits for its own gaze) and async
// (a thread of its own; frames are composed with the last mask that was accepted).
#include "priv.h"

#include <string.h>

// Input of this frame, of the frame before and the canvas, on their way to the host: everything as
// of the last composed frame, because composition is recorded later.
static void record_snapshot(struct ag_pipeline *p, struct ag_cmd *cmd)
{
    uint64_t bytes = 12ull * p->side * p->side;
    unsigned now = p->composed & 1;
    bool closed = p->context == AG_CONTEXT_CANVAS;
    ag_cmd_stage_begin(cmd, AG_STAGE_HANDOFF);
    ag_cmd_copy(cmd, p->host_input[now], 0, p->input[now], 0, bytes);
    if (closed && p->previous_id && p->host_input_id[!now] != p->previous_id) {
        // The frame before was not the model's (skipped, or another mask source).
        ag_cmd_copy(cmd, p->host_input[!now], 0, p->input[!now], 0, bytes);
        p->host_input_id[!now] = p->previous_id;
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
        .previous = closed && p->previous_id ? p->host_input[!now]->data : NULL,
        .previous_id = p->previous_id,
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

static uint32_t valid_ids(const struct ag_pipeline *p, const struct ag_gaze *gaze, uint32_t *list)
{
    uint32_t n = 0;
    for (uint32_t i = 0; i < gaze->slots; i++) {
        if (gaze->ids[i] < p->model->config.cells) {
            list[n++] = gaze->ids[i];
        }
    }
    return n;
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

    struct ag_gaze gaze = { .ids = s->ids, .losses = s->losses };
    struct ag_gaze_times times = { 0 };
    struct ag_gaze_input in = snapshot_input(p, s->report.frame_id);
    if (!ag_cpu_gaze(p->cpu_stream, &in, &gaze, NULL, &times, err)) {
        return false;
    }
    add_times(s, &times);
    s->model_waits = true;
    s->report.has_gaze = true;
    s->report.gaze = gaze;
    host_mask(s, valid_ids(p, &gaze, host_list(s)), s->report.frame_id, mask);
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
    struct ag_gaze gaze;
    struct ag_gaze_times times;
    bool ok;
    if (!job_take(p->job, &gaze, &times, &ok, err)) {
        return true;
    }
    if (!ok) {
        return false;
    }
    if (p->job_stale || gaze.frame_id <= p->current.frame_id) {
        p->stale_results++;
        p->job_stale = false;
        return true;
    }
    p->current.n = valid_ids(p, &gaze, p->current.cells);
    p->current.frame_id = gaze.frame_id;
    p->current.capture_ns = p->job_capture_ns;
    memcpy(s->ids, gaze.ids, gaze.slots * sizeof(*s->ids));
    memcpy(s->losses, gaze.losses, gaze.slots * sizeof(*s->losses));
    gaze.ids = s->ids;
    gaze.losses = s->losses;
    s->report.gaze = gaze;
    s->report.has_gaze = true;
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
        ag_cpu_stream_reset(p->cpu_stream);
        return;
    }
    p->job_stale = p->job_snapshot || !job_idle(p->job);
    p->job_reset = true;
    p->current.frame_id = 0;
    p->current.n = 0;
}
