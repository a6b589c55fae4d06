// The mask of a frame: model (CPU or compute back end), patch-diff, or a forced case.
#include "priv.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

float inference_threshold(const struct ag_config *config, const struct ag_model *model,
                          struct ag_error *err)
{
    if (!isnan(config->quality_db)) {
        if (model->config.loss_unit != AG_LOSS_RMSE) {
            ag_fail(err, AG_ERR_USAGE,
                    "--quality-db needs a model whose loss is an RMSE (task_loss_unit); '%s' has "
                    "another: use --task-loss",
                    model->name);
        }
        return ag_threshold_from_db(config->quality_db);
    }
    if (strcmp(config->task_loss, "off") == 0) {
        return AG_NO_THRESHOLD;
    }
    if (strcmp(config->task_loss, "model") != 0) {
        return strtof(config->task_loss, NULL);
    }
    return model->config.default_threshold;
}

uint32_t inference_budget(const struct ag_pipeline *p)
{
    uint32_t cells = p->model->config.cells;
    uint32_t wished = p->live.max_tokens ? p->live.max_tokens : p->model->config.default_budget;
    return wished ? AG_MIN(wished, cells) : cells;
}

static bool forced(const struct ag_pipeline *p)
{
    return p->has_forced;
}

void inference_layout(const struct ag_pipeline *p, struct ag_layout *out)
{
    const struct ag_model_config *m = &p->model->config;
    if (forced(p)) {
        *out = p->forced.layout;
    } else if (p->live.mask_source == AG_MASK_PATCH_DIFF) {
        ag_layout_from_sides(&(uint32_t){ (uint32_t)p->config.patch_diff_grid }, 1, out);
    } else {
        ag_layout_from_sides(m->scale_grid, m->n_scales, out);
    }
}

static bool create_backend(struct ag_pipeline *p, struct ag_error *err)
{
    struct ag_stream_params stream = {
        .context = p->context,
        .policy = p->policy,
        .horizon = (uint32_t)p->config.frames_per_clip,
    };
    if (!stream.horizon && p->context == AG_CONTEXT_FRAMES &&
        p->model->config.context == AG_CONTEXT_CANVAS) {
        stream.horizon = 16; // a closed-loop model says 1, which is no horizon for open loop
    }
    if (p->on_cpu) {
        p->cpu = ag_cpu_model_create(
            p->model, &(struct ag_cpu_params){ .threads = (uint32_t)p->config.cpu_threads }, err);
        p->cpu_stream = p->cpu ? ag_cpu_stream_create(p->cpu, &stream, err) : NULL;
        return p->cpu_stream != NULL;
    }
    p->gpu_model = ag_gpu_model_create(
        p->gpu, p->log, p->model,
        &(struct ag_gpu_model_params){ .stream = stream, .streams = 1, .precision = p->precision },
        err);
    return p->gpu_model != NULL;
}

bool inference_create(struct ag_pipeline *p, struct ag_error *err)
{
    const struct ag_config *c = &p->config;
    const struct ag_gpu_info *gpu = ag_gpu_get_info(p->gpu);
    char dir[1024];
    if (!ag_model_find(c->model, dir, sizeof(dir), err)) {
        return false;
    }
    p->model = ag_model_load(p->log, dir, err);
    if (!p->model) {
        return false;
    }
    p->side = p->model->config.image_size;
    p->context = c->context == AG_CHOOSE_CONTEXT_FRAMES   ? AG_CONTEXT_FRAMES
                 : c->context == AG_CHOOSE_CONTEXT_CANVAS ? AG_CONTEXT_CANVAS
                                                          : p->model->config.context;
    p->policy = c->policy == AG_CHOOSE_POLICY_CHUNK       ? AG_STREAM_CHUNK
                : c->policy == AG_CHOOSE_POLICY_SLIDE     ? AG_STREAM_SLIDE
                : c->policy == AG_CHOOSE_POLICY_UNBOUNDED ? AG_STREAM_UNBOUNDED
                : p->source.live                          ? AG_STREAM_SLIDE
                                                          : AG_STREAM_CHUNK;
    p->on_cpu = c->backend == AG_BACKEND_CPU || (c->backend == AG_BACKEND_AUTO && gpu->software);
    p->precision = c->precision == AG_CHOOSE_PRECISION_F16 ? AG_PRECISION_F16 : AG_PRECISION_F32;
    struct ag_error why = { 0 };
    p->live.threshold = inference_threshold(c, p->model, &why);
    if (why.status) {
        *err = why;
        return false;
    }
    if (c->force_mask) {
        p->has_forced = ag_forced_open(c->force_mask, &p->forced, err);
        if (!p->has_forced) {
            return false;
        }
    }
    p->patch_diff = ag_patch_diff_create(p->gpu, err);
    return p->patch_diff && create_backend(p, err);
}

void inference_destroy(struct ag_pipeline *p)
{
    ag_cpu_stream_destroy(&p->cpu_stream);
    ag_cpu_model_destroy(&p->cpu);
    ag_gpu_model_destroy(p->gpu, &p->gpu_model);
    ag_patch_diff_destroy(p->gpu, &p->patch_diff);
    if (p->has_forced) {
        ag_forced_close(&p->forced);
    }
    ag_model_destroy(&p->model);
}

bool inference_configure(struct ag_pipeline *p, struct ag_error *err)
{
    struct ag_patch_diff_setup setup = {
        .width = p->width,
        .height = p->height,
        .grid = (uint32_t)p->config.patch_diff_grid,
    };
    memcpy(setup.std, p->model->preprocess.std, sizeof(setup.std));
    return ag_patch_diff_configure(p->patch_diff, &setup, err);
}

void inference_reset(struct ag_pipeline *p)
{
    if (p->cpu_stream) {
        ag_cpu_stream_reset(p->cpu_stream);
    }
    if (p->gpu_model) {
        ag_gpu_model_reset(p->gpu_model);
    }
}

// Cells in the slot's UPLOAD buffer: the count in the first word, the list 256 bytes further.
static void host_mask(struct slot *s, uint32_t n, struct ag_mask *mask)
{
    *(uint32_t *)s->host_cells->data = n;
    *mask = (struct ag_mask){
        .cells = s->host_cells,
        .offset = 256,
        .count = s->host_cells,
        .count_offset = 0,
        .max_cells = (uint32_t)((s->host_cells->size - 256) / sizeof(uint32_t)),
        .frame_id = s->report.frame_id,
    };
}

static uint32_t *host_list(struct slot *s)
{
    return (uint32_t *)((char *)s->host_cells->data + 256);
}

static bool record_forced(struct ag_pipeline *p, struct slot *s, struct ag_mask *mask)
{
    ag_forced_update(&p->forced, p->config.force_mask, s->report.frame_id);
    memcpy(host_list(s), p->forced.cells, p->forced.n * sizeof(uint32_t));
    host_mask(s, p->forced.n, mask);
    return true;
}

// CPU back end: what was recorded so far makes the model input; it comes back together with the
// canvas as of the last composed frame, the host waits and computes, and a new submission goes on.
static bool run_cpu(struct ag_pipeline *p, struct slot *s, struct ag_cmd **cmd,
                    struct ag_mask *mask, struct ag_error *err)
{
    uint64_t bytes = 12ull * p->side * p->side;
    unsigned now = p->composed & 1;
    bool closed = p->context == AG_CONTEXT_CANVAS;
    ag_cmd_stage_begin(*cmd, AG_STAGE_HANDOFF);
    ag_cmd_copy(*cmd, p->host_input[now], 0, p->input[now], 0, bytes);
    p->host_input_id[now] = s->report.frame_id;
    if (closed && p->previous_id && p->host_input_id[!now] != p->previous_id) {
        // The frame before was not the model's (another mask source): its input comes along.
        ag_cmd_copy(*cmd, p->host_input[!now], 0, p->input[!now], 0, bytes);
        p->host_input_id[!now] = p->previous_id;
    }
    if (closed && p->canvas_known) {
        ag_cmd_copy(*cmd, p->host_canvas, 0, p->canvas, 0, bytes);
    }
    ag_cmd_stage_end(*cmd);
    ag_cmd_host_barrier(*cmd);
    int64_t t0 = ag_now_ns();
    uint64_t value = ag_cmd_submit(*cmd, err);
    *cmd = NULL;
    if (!value || !ag_gpu_wait(p->gpu, value, err)) {
        return false;
    }
    ag_buffer_invalidate(p->gpu, p->host_input[0]);
    ag_buffer_invalidate(p->gpu, p->host_input[1]);
    ag_buffer_invalidate(p->gpu, p->host_canvas);
    s->report.cpu_ns[AG_STAGE_HANDOFF] += ag_now_ns() - t0;

    struct ag_gaze gaze = { .ids = s->ids, .losses = s->losses };
    struct ag_gaze_times times = { 0 };
    struct ag_gaze_input in = {
        .frame_id = s->report.frame_id,
        .frame = p->host_input[now]->data,
        .canvas = closed && p->canvas_known ? p->host_canvas->data : NULL,
        .previous = closed && p->previous_id ? p->host_input[!now]->data : NULL,
        .previous_id = p->previous_id,
        .budget = inference_budget(p),
        .threshold = p->live.threshold,
    };
    if (!ag_cpu_gaze(p->cpu_stream, &in, &gaze, NULL, &times, err)) {
        return false;
    }
    s->report.cpu_ns[AG_STAGE_VISION] += times.vision;
    s->report.cpu_ns[AG_STAGE_PREFILL] += times.prefill;
    s->report.cpu_ns[AG_STAGE_DECODE] += times.decode;
    s->report.has_gaze = true;
    s->report.gaze = gaze;
    uint32_t *list = host_list(s), n = 0;
    for (uint32_t i = 0; i < gaze.slots; i++) {
        if (gaze.ids[i] < p->model->config.cells) {
            list[n++] = gaze.ids[i];
        }
    }
    host_mask(s, n, mask);
    *cmd = ag_cmd_begin(p->gpu, s->report.frame_id, err);
    if (!*cmd) {
        return false;
    }
    ag_cmd_barrier(*cmd);
    return true;
}

static bool record_gpu(struct ag_pipeline *p, struct slot *s, struct ag_cmd *cmd,
                       struct ag_mask *mask, struct ag_error *err)
{
    unsigned now = p->composed & 1;
    bool closed = p->context == AG_CONTEXT_CANVAS;
    struct ag_gpu_gaze_job job = {
        .frame_id = s->report.frame_id,
        .input = p->input[now],
        .canvas = closed && p->canvas_known ? p->canvas : NULL,
        .previous = closed && p->previous_id ? p->input[!now] : NULL,
        .previous_id = p->previous_id,
        .budget = inference_budget(p),
        .threshold = p->live.threshold,
    };
    if (!ag_gpu_model_record(p->gpu_model, cmd, &job, mask, err)) {
        return false;
    }
    s->gpu_gaze = true;
    return true;
}

bool inference_record(struct ag_pipeline *p, struct slot *s, struct ag_cmd **cmd,
                      struct ag_mask *mask, bool *has_mask, struct ag_error *err)
{
    unsigned now = p->composed & 1;
    if (forced(p)) {
        *has_mask = true;
        return record_forced(p, s, mask);
    }
    if (p->live.mask_source == AG_MASK_PATCH_DIFF) {
        ag_patch_diff_record(p->patch_diff, *cmd, p->previous_id ? p->rgba[!now] : NULL,
                             p->rgba[now], p->live.patch_threshold, mask);
        mask->frame_id = s->report.frame_id;
        *has_mask = true;
        return true;
    }
    if (!p->inferable) {
        *has_mask = false;
        return true;
    }
    p->duplicates += s->report.frame_id == p->last_inferred_id;
    p->last_inferred_id = s->report.frame_id;
    *has_mask = true;
    return p->on_cpu ? run_cpu(p, s, cmd, mask, err) : record_gpu(p, s, *cmd, mask, err);
}
