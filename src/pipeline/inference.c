// The mask of a frame: model (CPU or compute back end), patch-diff, or a forced case.
#include "priv.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

float inference_threshold(const struct ag_config *config, const struct ag_model *model,
                          struct ag_error *err)
{
    if (!isnan(config->quality_db) && config->mask_source != AG_MASK_CANVAS_DIFF) {
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

// The model's own target where it has one, so that the two can be compared.
static float canvas_diff_target(const struct ag_config *config, float threshold,
                                const struct ag_model *model)
{
    if (!isnan(config->quality_db)) {
        return (float)config->quality_db;
    }
    bool db = model->config.loss_unit == AG_LOSS_RMSE && !isnan(threshold) && threshold > 0;
    return db ? AG_CLAMP((float)ag_db_from_threshold(threshold), 0.0f, 120.0f) : 30.0f;
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

bool inference_compares(const struct ag_pipeline *p)
{
    return p->live.mask_source == AG_MASK_PATCH_DIFF && !forced(p);
}

static void mask_layout(const struct ag_pipeline *p, struct ag_layout *out)
{
    const struct ag_model_config *m = &p->model->config;
    uint32_t grid = p->live.mask_source == AG_MASK_PATCH_DIFF ? (uint32_t)p->config.patch_diff_grid
                                                              : AG_ERROR_GRID;
    if (forced(p)) {
        *out = p->forced.layout;
    } else if (p->live.mask_source == AG_MASK_AUTOGAZE) {
        ag_tiling_layout(&p->tiling, m, out);
    } else {
        ag_layout_from_sides(&grid, 1, out);
    }
}

// Why nothing can be repaired; NULL: it can.
static const char *no_repair(const struct ag_pipeline *p)
{
    struct ag_layout own;
    mask_layout(p, &own);
    for (uint32_t g = 0; p->live.geometry == AG_GEOMETRY_EFFECTIVE && g < own.n_grids; g++) {
        if (own.grid[g].cols > AG_ERROR_GRID || own.grid[g].rows > AG_ERROR_GRID) {
            return "geometry `effective` shrinks its cells to those of a finer grid";
        }
    }
    return p->live.output == AG_OUTPUT_FULL_BLEND ? "full-blend keeps no history" : NULL;
}

bool inference_repairs(const struct ag_pipeline *p)
{
    return !isnan(p->live.repair_db) && !no_repair(p);
}

bool inference_layout(struct ag_pipeline *p, struct ag_layout *out, struct ag_error *err)
{
    struct ag_layout own;
    mask_layout(p, &own);
    if (!inference_repairs(p)) {
        *out = own;
        if (!isnan(p->live.repair_db)) {
            snprintf(p->notice, sizeof(p->notice), "Nothing is repaired: %s", no_repair(p));
            ag_info(p->log, "%s", p->notice);
        }
        return true;
    }
    if (!ag_repair_layout(&own, out, &p->repair_first)) {
        return ag_fail(err, AG_ERR_USAGE,
                       "--repair needs %d cells more than this mask's %u, the limit is %d: use a "
                       "coarser grid", AG_ERROR_CELLS, own.cells, AG_MAX_CELLS);
    }
    return true;
}

bool inference_create_backend(struct ag_pipeline *p, struct ag_error *err)
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
        uint32_t tiles = p->tiling.tiles, cells = p->model->config.cells;
        p->cpu = cpu_gaze_create(p->model, tiles, &stream, (uint32_t)p->config.cpu_threads, err);
        if (p->cpu) {
            gaze_set_reserve(&p->cpu_set, tiles, cells);
            p->job = job_create(p->cpu, tiles, cells);
            p->current.max = AG_MAX(p->current.max, tiles * cells);
            p->current.cells = ag_realloc(p->current.cells, p->current.max * sizeof(uint32_t));
        }
        return p->cpu != NULL;
    }
    struct gpu_gaze_params params = {
        .model = p->model,
        .tiling = p->tiling,
        .stream = stream,
        .precision = p->precision,
        .batch = p->tile_batch,
    };
    p->gpu_gaze = gpu_gaze_create(p->gpu, p->log, &params, err);
    return p->gpu_gaze != NULL;
}

// Nothing of a back end that goes is waited for.
static void forget_jobs(struct ag_pipeline *p)
{
    p->job_snapshot = 0;
    p->job_stale = p->job_reset = false;
    p->gpu_job_value = 0;
    p->gpu_job_wanted = p->gpu_gaze_new = false;
    p->current.frame_id = 0;
    p->current.n = 0;
}

void inference_destroy_backend(struct ag_pipeline *p)
{
    job_destroy(&p->job);
    cpu_gaze_destroy(&p->cpu);
    gpu_gaze_destroy(p->gpu, &p->gpu_gaze);
    forget_jobs(p);
}

// Everything that belongs to one model.
struct model_part {
    struct ag_model *model;
    struct cpu_gaze *cpu;
    struct gpu_gaze *gpu_gaze;
    struct job *job;
    struct ag_tiling tiling;
    uint32_t side;
    enum ag_context context;
    float threshold, canvas_diff_db;
};

// Leaves the pipeline without a model.
static struct model_part detach_model(struct ag_pipeline *p)
{
    struct model_part m = {
        p->model, p->cpu, p->gpu_gaze, p->job, p->tiling, p->side,
        p->context, p->live.threshold, p->live.canvas_diff_db,
    };
    p->model = NULL;
    p->cpu = NULL;
    p->gpu_gaze = NULL;
    p->job = NULL;
    return m;
}

static void attach_model(struct ag_pipeline *p, const struct model_part *m)
{
    p->model = m->model;
    p->cpu = m->cpu;
    p->gpu_gaze = m->gpu_gaze;
    p->job = m->job;
    p->tiling = m->tiling;
    p->side = m->side;
    p->context = m->context;
    p->live.threshold = m->threshold;
    p->live.canvas_diff_db = m->canvas_diff_db;
}

static void close_model(struct ag_pipeline *p, struct model_part *m)
{
    job_destroy(&m->job);
    cpu_gaze_destroy(&m->cpu);
    gpu_gaze_destroy(p->gpu, &m->gpu_gaze);
    ag_model_destroy(&m->model);
}

// Tiles of the current mode; how many there are follows from the picture's size.
static bool open_backend(struct ag_pipeline *p, struct ag_error *err)
{
    p->tile_batch = (uint32_t)p->config.tile_batch;
    if (p->live.mode == AG_MODE_REALTIME) {
        ag_tiling_make(AG_MODE_REALTIME, 1, 1, p->side, &p->tiling);
        return inference_create_backend(p, err);
    }
    p->tiling.tiles = 0; // tiling_configure makes it, with the first frame
    return true;
}

static bool open_model(struct ag_pipeline *p, const char *name, struct ag_error *err)
{
    const struct ag_config *c = &p->config;
    char dir[1024];
    if (!ag_model_find(name, dir, sizeof(dir), err)) {
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
    struct ag_error why = { 0 };
    p->live.threshold = inference_threshold(c, p->model, &why);
    if (why.status) {
        *err = why;
        return false;
    }
    p->live.canvas_diff_db = canvas_diff_target(c, p->live.threshold, p->model);
    return open_backend(p, err);
}

bool inference_create(struct ag_pipeline *p, struct ag_error *err)
{
    const struct ag_config *c = &p->config;
    const struct ag_gpu_info *gpu = ag_gpu_get_info(p->gpu);
    p->policy = c->policy == AG_CHOOSE_POLICY_CHUNK       ? AG_STREAM_CHUNK
                : c->policy == AG_CHOOSE_POLICY_SLIDE     ? AG_STREAM_SLIDE
                : c->policy == AG_CHOOSE_POLICY_UNBOUNDED ? AG_STREAM_UNBOUNDED
                : p->source.live                          ? AG_STREAM_SLIDE
                                                          : AG_STREAM_CHUNK;
    p->on_cpu = c->backend == AG_BACKEND_CPU || (c->backend == AG_BACKEND_AUTO && gpu->software);
    p->precision = c->precision == AG_CHOOSE_PRECISION_TENSOR ? AG_PRECISION_TENSOR
                   : c->precision == AG_CHOOSE_PRECISION_F16  ? AG_PRECISION_F16
                                                              : AG_PRECISION_F32;
    if (p->precision == AG_PRECISION_TENSOR && !p->on_cpu && !gpu->cooperative_matrix) {
        return ag_fail(err, AG_ERR_DEVICE, "--precision tensor needs matrix units "
                       "(VK_KHR_cooperative_matrix, 16 x 16 x 16 halves), '%s' has none; use "
                       "--precision f16", gpu->name);
    }
    if (c->force_mask) {
        p->has_forced = ag_forced_open(c->force_mask, &p->forced, err);
        if (!p->has_forced) {
            return false;
        }
    }
    p->patch_diff = ag_patch_diff_create(p->gpu, err);
    p->canvas_diff = ag_cell_errors_create(p->gpu, err);
    p->repair = ag_cell_errors_create(p->gpu, err);
    return p->patch_diff && p->canvas_diff && p->repair && open_model(p, c->model, err);
}

bool ag_pipeline_set_model(struct ag_pipeline *p, const char *name, struct ag_error *err)
{
    if (!ag_pipeline_drain(p, err)) {
        return false;
    }
    struct model_part old = detach_model(p);
    if (!open_model(p, name, err)) {
        struct model_part half = detach_model(p);
        close_model(p, &half);
        attach_model(p, &old);
        return false;
    }
    close_model(p, &old);
    forget_jobs(p);
    snprintf(p->model_name, sizeof(p->model_name), "%s", name);
    p->config.model = p->model_name;
    p->model_ns_ema = 0;
    p->slow_frames = p->quick_frames = 0;
    p->input_id = 0;
    p->new_model = true;
    return true;
}

void inference_destroy(struct ag_pipeline *p)
{
    struct model_part m = detach_model(p);
    close_model(p, &m);
    ag_free(p->current.cells);
    gaze_set_free(&p->cpu_set);
    ag_patch_diff_destroy(p->gpu, &p->patch_diff);
    ag_cell_errors_destroy(p->gpu, &p->canvas_diff);
    ag_cell_errors_destroy(p->gpu, &p->repair);
    if (p->has_forced) {
        ag_forced_close(&p->forced);
    }
}

bool inference_configure(struct ag_pipeline *p, struct ag_error *err)
{
    struct ag_patch_diff_setup setup = {
        .width = p->scaling.width,
        .height = p->scaling.height,
        .grid = (uint32_t)p->config.patch_diff_grid,
    };
    memcpy(setup.std, p->model->preprocess.std, sizeof(setup.std));
    struct ag_cell_errors_setup canvas_diff = { .width = p->width, .height = p->height };
    struct ag_cell_errors_setup repair = canvas_diff;
    repair.first = p->repair_first;
    repair.layout = p->layout;
    return ag_patch_diff_configure(p->patch_diff, &setup, err) &&
           ag_cell_errors_configure(p->canvas_diff, &canvas_diff, err) &&
           ag_cell_errors_configure(p->repair, &repair, err);
}

void inference_reset(struct ag_pipeline *p)
{
    if (p->cpu) {
        infer_cpu_reset(p);
    }
    if (p->gpu_gaze) {
        gpu_gaze_reset(p->gpu_gaze);
        p->current.frame_id = 0;
        p->gpu_gaze_new = false;
    }
}

void host_mask(struct slot *s, uint32_t n, uint64_t frame_id, struct ag_mask *mask)
{
    *(uint32_t *)s->host_cells->data = n;
    ag_buffer_flush(s->gpu, s->host_cells);
    *mask = (struct ag_mask){
        .cells = s->host_cells,
        .offset = 256,
        .count = s->host_cells,
        .count_offset = 0,
        .max_cells = (uint32_t)((s->host_cells->size - 256) / sizeof(uint32_t)),
        .frame_id = frame_id,
    };
}

uint32_t *host_list(struct slot *s)
{
    return (uint32_t *)((char *)s->host_cells->data + 256);
}

static bool record_forced(struct ag_pipeline *p, struct slot *s, struct ag_mask *mask)
{
    ag_forced_update(&p->forced, p->config.force_mask, s->report.frame_id);
    memcpy(host_list(s), p->forced.cells, p->forced.n * sizeof(uint32_t));
    host_mask(s, p->forced.n, s->report.frame_id, mask);
    return true;
}

// Latency `auto`: sync while the model keeps up with the source, async as soon as it does not for a
// while; back when it would have time to spare.
static void choose_latency(struct ag_pipeline *p)
{
    if (p->live.latency != AG_LATENCY_AUTO) {
        p->async = p->live.latency == AG_LATENCY_ASYNC;
        return;
    }
    double fps = p->source.fps;
    if (p->config.headless || p->lockstep || fps <= 0) {
        p->async = false;
        return;
    }
    double share = p->model_ns_ema * fps * 1e-9;
    p->slow_frames = share > 0.9 ? p->slow_frames + 1 : 0;
    p->quick_frames = share < 0.5 ? p->quick_frames + 1 : 0;
    if (!p->async && p->slow_frames > 8) {
        p->async = true;
        snprintf(p->notice, sizeof(p->notice),
                 "The model takes %.0f ms a frame, the source leaves %.0f: masks arrive late "
                 "(--latency async)", p->model_ns_ema * 1e-6, 1e3 / fps);
        ag_info(p->log, "%s", p->notice);
    } else if (p->async && p->quick_frames > 60) {
        p->async = false;
    }
}

// What the model costs a frame, for the choice above. Device time comes from collected reports.
void inference_note_cost(struct ag_pipeline *p, const struct ag_frame_report *r)
{
    if (!r->has_gaze) {
        return;
    }
    int64_t ns = 0;
    for (int i = AG_STAGE_VISION; i <= AG_STAGE_HANDOFF; i++) {
        ns += AG_MAX(r->cpu_ns[i], r->gpu_ns[i]);
    }
    p->model_ns_ema += 0.2 * ((double)ns - p->model_ns_ema);
}

static bool record_model(struct ag_pipeline *p, struct slot *s, struct ag_cmd **cmd,
                         struct ag_mask *mask, bool *has_mask, struct ag_error *err)
{
    choose_latency(p);
    if (p->async) {
        return p->on_cpu ? infer_cpu_async(p, s, *cmd, mask, has_mask, err)
                         : infer_gpu_async(p, s, *cmd, mask, has_mask);
    }
    p->duplicates += s->report.frame_id == p->last_inferred_id;
    p->last_inferred_id = s->report.frame_id;
    *has_mask = true;
    if (!p->on_cpu) {
        return infer_gpu_sync(p, s, *cmd, mask, err);
    }
    while (p->job_snapshot || !job_idle(p->job)) { // just left async: let its last frame end
        const struct gaze_set *gaze;
        struct ag_gaze_times times;
        bool ok;
        if (p->job_snapshot && !ag_pipeline_drain(p, err)) {
            return false;
        }
        if (job_take(p->job, &gaze, &times, &ok, NULL)) {
            p->stale_results++;
        }
        ag_sleep_ns(200000);
    }
    if (p->job_reset) {
        cpu_gaze_reset(p->cpu);
        p->job_reset = false;
    }
    return infer_cpu_sync(p, s, cmd, mask, err);
}

bool inference_record(struct ag_pipeline *p, struct slot *s, struct ag_cmd **cmd,
                      struct ag_mask *mask, bool *has_mask, struct ag_error *err)
{
    unsigned now = pipeline_picture(p);
    if (forced(p)) {
        *has_mask = true;
        return record_forced(p, s, mask);
    }
    if (inference_compares(p)) {
        ag_patch_diff_record(p->patch_diff, *cmd, p->previous_id ? scaling_picture(p, !now) : NULL,
                             scaling_picture(p, now), p->live.patch_threshold, mask);
        ag_cmd_barrier(*cmd); // the planner reads the list
        mask->frame_id = s->report.frame_id;
        *has_mask = true;
        return true;
    }
    if (p->live.mask_source == AG_MASK_CANVAS_DIFF) {
        bool history = p->history_valid && p->live.output == AG_OUTPUT_INTERFRAME;
        ag_canvas_diff_record(p->canvas_diff, *cmd, history ? p->history : NULL, p->rgba[now],
                              p->live.canvas_diff_db, mask);
        ag_cmd_barrier(*cmd);
        mask->frame_id = s->report.frame_id;
        *has_mask = true;
        return true;
    }
    if (!p->inferable) {
        *has_mask = false;
        return true;
    }
    return record_model(p, s, cmd, mask, has_mask, err);
}

bool inference_follow(struct ag_pipeline *p, struct slot *s, struct ag_error *err)
{
    bool model = p->live.mask_source == AG_MASK_AUTOGAZE && !forced(p);
    return !model || !p->async || p->on_cpu || infer_gpu_follow(p, s, err);
}
