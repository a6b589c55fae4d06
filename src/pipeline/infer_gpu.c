// The compute back end of the model in the pipeline. Sync: model and composition in one submission.
// Async: the frame is composed with the cells of the job before, then the job for it follows as a
// submission of its own; one queue keeps both in order, so nothing is polled.
#include "priv.h"

static struct ag_gpu_gaze_job make_job(struct ag_pipeline *p, uint64_t frame_id,
                                       const struct ag_buffer *canvas)
{
    unsigned now = p->composed & 1;
    bool closed = p->context == AG_CONTEXT_CANVAS;
    return (struct ag_gpu_gaze_job){
        .frame_id = frame_id,
        .input = p->input[now],
        .canvas = closed && p->canvas_known ? canvas : NULL,
        .previous = closed && p->input_id ? p->input[!now] : NULL,
        .previous_id = p->input_id,
        .budget = inference_budget(p),
        .threshold = p->live.threshold,
    };
}

bool infer_gpu_sync(struct ag_pipeline *p, struct slot *s, struct ag_cmd *cmd,
                    struct ag_mask *mask, struct ag_error *err)
{
    struct ag_gpu_gaze_job job = make_job(p, s->report.frame_id, p->canvas);
    s->gpu_gaze = gpu_gaze_record(p->gpu_gaze, cmd, &job, mask, err);
    return s->gpu_gaze;
}

bool infer_gpu_async(struct ag_pipeline *p, struct slot *s, struct ag_cmd *cmd,
                     struct ag_mask *mask, bool *has_mask)
{
    // The canvas as it is before this frame is composed.
    if (p->context == AG_CONTEXT_CANVAS && p->canvas_known) {
        ag_cmd_copy(cmd, p->job_canvas, 0, p->canvas, 0, p->input_bytes);
        ag_cmd_barrier(cmd);
    }
    p->gpu_job = make_job(p, s->report.frame_id, p->job_canvas);
    p->gpu_job_wanted = !p->gpu_job_value || ag_gpu_done(p->gpu, p->gpu_job_value);
    *has_mask = p->current.frame_id != 0;
    if (*has_mask) {
        *mask = p->gpu_mask;
        s->gpu_gaze = p->gpu_gaze_new; // its ids come back with the first frame they serve
        p->gpu_gaze_new = false;
    }
    return true;
}

// After the frame's own submission.
bool infer_gpu_follow(struct ag_pipeline *p, struct slot *s, struct ag_error *err)
{
    if (!p->gpu_job_wanted) {
        return true;
    }
    p->gpu_job_wanted = false;
    struct ag_cmd *cmd = ag_cmd_begin(p->gpu, s->report.frame_id, err);
    if (!cmd) {
        return false;
    }
    ag_cmd_barrier(cmd);
    bool ok = gpu_gaze_record(p->gpu_gaze, cmd, &p->gpu_job, &p->gpu_mask, err);
    p->gpu_job_value = ag_cmd_submit(cmd, err);
    if (!ok || !p->gpu_job_value) {
        return false;
    }
    p->duplicates += s->report.frame_id == p->last_inferred_id;
    p->last_inferred_id = s->report.frame_id;
    p->current.frame_id = s->report.frame_id;
    p->current.capture_ns = s->report.capture_ns;
    p->gpu_mask.frame_id = s->report.frame_id;
    p->gpu_gaze_new = true;
    s->value = p->gpu_job_value;
    return true;
}
