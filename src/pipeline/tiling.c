// Everything whose size is that of the model's pictures: one in realtime mode, one a tile else.
#include "priv.h"

#include <stdio.h>

static void destroy_inputs(struct ag_pipeline *p)
{
    for (int i = 0; i < 2; i++) {
        ag_buffer_destroy(p->gpu, &p->input[i]);
        ag_buffer_destroy(p->gpu, &p->host_input[i]);
    }
    ag_buffer_destroy(p->gpu, &p->canvas);
    ag_buffer_destroy(p->gpu, &p->host_canvas);
    ag_buffer_destroy(p->gpu, &p->job_canvas);
}

void tiling_destroy(struct ag_pipeline *p)
{
    destroy_inputs(p);
}

static struct ag_buffer *take(struct ag_pipeline *p, struct ag_cmd *clear, const char *name,
                              struct ag_error *err)
{
    struct ag_buffer *b = ag_buffer_create(p->gpu, AG_MEM_DEVICE, p->input_bytes, name, err);
    if (b) {
        ag_cmd_fill(clear, b, 0, p->input_bytes, 0); // tiles that fill up the last batch
    }
    return b;
}

static bool take_inputs(struct ag_pipeline *p, struct ag_cmd *clear, struct ag_error *err)
{
    for (int i = 0; i < 2; i++) {
        p->host_input_id[i] = 0;
        p->input[i] = take(p, clear, "model/input", err);
        if (!p->input[i]) {
            return false;
        }
        if (p->on_cpu) {
            p->host_input[i] = ag_buffer_create(p->gpu, AG_MEM_READBACK, p->input_bytes,
                                                "host/input", err);
            if (!p->host_input[i]) {
                return false;
            }
        }
    }
    p->canvas = take(p, clear, "model/canvas", err);
    p->job_canvas = p->canvas ? take(p, clear, "job/canvas", err) : NULL;
    if (p->job_canvas && p->on_cpu) {
        p->host_canvas = ag_buffer_create(p->gpu, AG_MEM_READBACK, p->input_bytes, "host/canvas",
                                          err);
    }
    return p->job_canvas && (p->host_canvas || !p->on_cpu);
}

static bool create_inputs(struct ag_pipeline *p, struct ag_error *err)
{
    uint32_t pictures = p->gpu_gaze ? gpu_gaze_pictures(p->gpu_gaze) : p->tiling.tiles;
    const struct ag_gpu_info *info = ag_gpu_get_info(p->gpu);
    p->input_bytes = 12ull * p->side * p->side * pictures;
    if (p->input_bytes > info->max_buffer_bytes) {
        return ag_fail(err, AG_ERR_INPUT, "%u tiles need buffers of %llu bytes, '%s' offers %llu: "
                       "use a smaller input or --mode realtime", p->tiling.tiles,
                       (unsigned long long)p->input_bytes, info->name,
                       (unsigned long long)info->max_buffer_bytes);
    }
    struct ag_cmd *clear = ag_cmd_begin(p->gpu, 0, err);
    if (!clear) {
        return false;
    }
    bool ok = take_inputs(p, clear, err);
    return ag_cmd_submit(clear, err) && ok;
}

// Back end and pictures; where the pictures do not fit beside the back end, with smaller batches.
static bool create_all(struct ag_pipeline *p, struct ag_error *err)
{
    p->tile_batch = (uint32_t)p->config.tile_batch;
    for (;;) {
        struct ag_error why = { 0 };
        inference_destroy_backend(p); // first: its thread reads the pictures
        destroy_inputs(p);
        if (inference_create_backend(p, &why) && create_inputs(p, &why)) {
            return true;
        }
        uint32_t batch = p->gpu_gaze ? gpu_gaze_batch(p->gpu_gaze) : 1;
        if (why.status != AG_ERR_DEVICE || batch == 1) {
            inference_destroy_backend(p);
            return ag_fail_kind(err, why.status, why.kind, "%s", why.text);
        }
        p->tile_batch = batch / 2;
    }
}

static bool configure_preprocess(struct ag_pipeline *p, struct ag_error *err)
{
    char why[256] = "";
    struct ag_preprocess_setup setup = {
        .width = p->scaling.width,
        .height = p->scaling.height,
        .config = &p->model->preprocess,
        .side = p->side,
    };
    if (p->tiling.mode != AG_MODE_REALTIME) {
        setup.tile_cols = p->tiling.cols;
        setup.tile_rows = p->tiling.rows;
        setup.padded = p->tiling.mode == AG_MODE_TILED_FULL;
    }
    if (!ag_preprocess_configure(p->preprocess, &setup, &p->inferable, why, sizeof(why), err)) {
        return false;
    }
    if (!p->inferable) {
        snprintf(p->notice, sizeof(p->notice), "%s", why);
        ag_warn(p->log, "%s", why);
    }
    return true;
}

bool tiling_configure(struct ag_pipeline *p, struct ag_error *err)
{
    struct ag_layout layout;
    struct ag_tiling t;
    ag_tiling_make((enum ag_mode)p->live.mode, p->scaling.width, p->scaling.height, p->side,
                   &t);
    if (!ag_tiling_layout(&t, &p->model->config, &layout)) {
        return ag_fail(err, AG_ERR_INPUT, "%ux%u makes %u tiles with %u cells each, more than the "
                       "%u cells that a mask may have: use a smaller input or --mode realtime",
                       p->scaling.width, p->scaling.height, t.tiles, p->model->config.cells, AG_MAX_CELLS);
    }
    // In realtime the back end does not depend on the picture's size: pipeline creation made it.
    bool same = (p->cpu || p->gpu_gaze) && p->tiling.tiles == 1 && t.mode == AG_MODE_REALTIME &&
                p->tiling.mode == t.mode;
    bool other_inputs = !p->input[0] || p->input_bytes != 12ull * p->side * p->side;
    p->tiling = t;
    if (same && other_inputs) {
        destroy_inputs(p);
    }
    if (same ? other_inputs && !create_inputs(p, err) : !create_all(p, err)) {
        return false;
    }
    p->host_input_id[0] = p->host_input_id[1] = 0;
    return configure_preprocess(p, err);
}
