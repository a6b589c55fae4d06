// The stages wired together: the only file that knows them all. ag_pipeline_tick reads top to
// bottom as the data flows.
#include "priv.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

// ---- life ------------------------------------------------------------------------------------
static struct ag_live initial_settings(const struct ag_config *c)
{
    return (struct ag_live){
        .mask_source = c->mask_source,
        .mode = c->mode,
        .patch_threshold = (float)c->patch_diff_threshold,
        .repair_db = (float)c->repair_db,
        .repair_cells = (uint32_t)c->repair_cells,
        .max_tokens = (uint32_t)c->max_tokens,
        .geometry = c->geometry,
        .style = c->style,
        .output = c->output,
        .palette = (uint32_t)c->palette,
        .blend_alpha = (float)c->blend_alpha,
        .keyframe_interval = (uint32_t)c->keyframe_interval,
        .latency = c->latency,
        .psnr = c->psnr,
        .dispatch = c->dispatch,
    };
}

struct ag_pipeline *ag_pipeline_create(const struct ag_log *log, const struct ag_config *config,
                                       struct ag_gpu *gpu, struct ag_error *err)
{
    struct ag_pipeline *p = ag_alloc(sizeof(*p));
    p->log = log;
    p->config = *config;
    p->gpu = gpu;
    p->live = initial_settings(config);
    p->startup.last_ns = ag_now_ns();
    if (!pipeline_open_source(p, err)) {
        goto fail;
    }
    ag_phase_mark(&p->startup, "source");
    if (!inference_create(p, err)) {
        goto fail;
    }
    ag_phase_mark(&p->startup, "mask_source");
    p->preprocess = ag_preprocess_create(gpu, err);
    p->planner = ag_planner_create(gpu, err);
    p->compositor = ag_compositor_create(gpu, err);
    p->painter = ag_canvas_create(gpu, err);
    if (!p->preprocess || !p->planner || !p->compositor || !p->painter) {
        goto fail;
    }
    ag_phase_mark(&p->startup, "kernels");
    return p;
fail:
    ag_pipeline_destroy(&p);
    return NULL;
}

static void destroy_pictures(struct ag_pipeline *p)
{
    ag_buffer_destroy(p->gpu, &p->rgba[0]);
    ag_buffer_destroy(p->gpu, &p->rgba[1]);
    ag_buffer_destroy(p->gpu, &p->history);
    ag_buffer_destroy(p->gpu, &p->mask);
}

void ag_pipeline_destroy(struct ag_pipeline **pp)
{
    struct ag_pipeline *p = *pp;
    if (!p) {
        return;
    }
    ag_pipeline_drain(p, NULL); // gives the ring its slots back
    ag_ring_destroy(&p->ring);
    collect_destroy_slots(p);
    collect_destroy_reports(p);
    destroy_pictures(p);
    tiling_destroy(p);
    scaling_destroy(p);
    compose_cpu_destroy(p);
    ag_preprocess_destroy(p->gpu, &p->preprocess);
    ag_planner_destroy(p->gpu, &p->planner);
    ag_compositor_destroy(p->gpu, &p->compositor);
    ag_canvas_destroy(p->gpu, &p->painter);
    inference_destroy(p);
    ag_free(p);
    *pp = NULL;
}

// ---- sizes -----------------------------------------------------------------------------------
static bool create_pictures(struct ag_pipeline *p, struct ag_error *err)
{
    const struct ag_gpu_info *info = ag_gpu_get_info(p->gpu);
    uint64_t picture = AG_ALIGN_UP(4ull * p->width * p->height, 256);
    if (picture > info->max_buffer_bytes) {
        return ag_fail(err, AG_ERR_INPUT,
                       "%ux%u frames need buffers of %llu bytes, %s offers %llu: use a smaller input",
                       p->width, p->height, (unsigned long long)picture, info->name,
                       (unsigned long long)info->max_buffer_bytes);
    }
    destroy_pictures(p);
    for (int i = 0; i < 2; i++) {
        p->rgba[i] = ag_buffer_create(p->gpu, AG_MEM_DEVICE, picture, "picture/rgba", err);
        if (!p->rgba[i]) {
            return false;
        }
    }
    p->history = ag_buffer_create(p->gpu, AG_MEM_DEVICE, picture, "picture/history", err);
    p->mask = ag_buffer_create(p->gpu, AG_MEM_DEVICE, picture, "picture/mask", err);
    return p->history && p->mask;
}

struct ag_planner_setup pipeline_plan_setup(const struct ag_pipeline *p)
{
    return (struct ag_planner_setup){
        .width = p->width,
        .height = p->height,
        .layout = p->layout,
        .geometry = p->live.geometry,
        .cell_scale = (float)p->config.cell_scale,
    };
}

static bool configure_stages(struct ag_pipeline *p, struct ag_error *err)
{
    if (!inference_layout(p, &p->layout, err)) {
        return false;
    }
    struct ag_planner_setup plan = pipeline_plan_setup(p);
    struct ag_canvas_setup canvas = {
        .side = p->side,
        .cols = p->tiling.cols,
        .rows = p->tiling.rows,
        .layout = p->layout,
        .geometry = p->live.geometry,
        .cell_scale = (float)p->config.cell_scale,
        .rescale_factor = p->model->preprocess.rescale_factor,
    };
    memcpy(canvas.std, p->model->preprocess.std, sizeof(canvas.std));
    if (p->tiling.mode == AG_MODE_TILED_FULL && !p->layout.extent_width) {
        // The canvas is padded, the grids (of another mask source) span the picture alone.
        canvas.span_width = p->width;
        canvas.span_height = p->height;
    }
    if (!ag_planner_configure(p->planner, &plan, err) ||
        !ag_canvas_configure(p->painter, &canvas, err) || !inference_configure(p, err) ||
        !compose_cpu_configure(p, err)) {
        return false;
    }
    collect_destroy_slots(p);
    collect_layout(p);
    return collect_create_slots(p, err);
}

// Where the dispatch paths of this device cross, if somebody measured it.
static void read_crossover(struct ag_pipeline *p)
{
    char path[1100];
    struct ag_error why = { 0 };
    const char *dir = ag_cache_dir();
    snprintf(path, sizeof(path), "%s/crossover.json", dir ? dir : "");
    if (!ag_crossover_read(path, ag_gpu_get_info(p->gpu), p->width, p->height, &p->crossover,
                           &why)) {
        ag_verbose(p->log, "dispatch: built-in crossover (%s)", why.text);
    }
}

// Everything that depends on the picture size, the layout or the geometry. Waits for what is in
// flight: sizes change when a person does something, never in the steady state.
bool pipeline_configure(struct ag_pipeline *p, uint32_t width, uint32_t height,
                        struct ag_error *err)
{
    if (!ag_pipeline_drain(p, err)) {
        return false;
    }
    if (!scaling_configure(p, &width, &height, err)) {
        return false;
    }
    bool resized = width != p->width || height != p->height;
    bool other_mode = !p->tiling.tiles || p->tiling.mode != (enum ag_mode)p->live.mode;
    if (resized || p->new_model || other_mode) {
        p->width = width;
        p->height = height;
        read_crossover(p);
        p->history_valid = p->history_valid && !resized;
        p->canvas_known = false;
        p->rebuild_canvas = true;
        p->input_id = 0;
        if (resized && !create_pictures(p, err)) {
            p->width = p->height = 0;
            return false;
        }
        if (!tiling_configure(p, err)) {
            return false;
        }
        inference_reset(p);
    }
    p->previous_id = resized ? 0 : p->previous_id;
    p->reconfigure = p->new_model = false;
    return configure_stages(p, err);
}

// A mode that does not fit while running: realtime, which did at the start, and a sentence.
static bool reconfigure(struct ag_pipeline *p, uint32_t width, uint32_t height,
                        struct ag_error *err)
{
    struct ag_error why = { 0 };
    if (pipeline_configure(p, width, height, &why)) {
        return true;
    }
    bool lost = why.status == AG_ERR_DEVICE_LOST;
    if (!p->composed || p->live.mode == AG_MODE_REALTIME || lost) {
        return ag_fail_kind(err, why.status, why.kind, "%s", why.text);
    }
    snprintf(p->notice, sizeof(p->notice), "Back to --mode realtime: %.480s", why.text);
    ag_warn(p->log, "%s", p->notice);
    p->live.mode = AG_MODE_REALTIME;
    p->tiling.tiles = 0; // nothing of it can be relied on
    return pipeline_configure(p, width, height, err);
}

// ---- a frame ---------------------------------------------------------------------------------
unsigned pipeline_picture(const struct ag_pipeline *p)
{
    return p->picture ^ (unsigned)inference_compares(p);
}

static bool prepare(struct ag_pipeline *p, const struct ag_frame *frame, struct ag_error *err)
{
    uint32_t width, height;
    ag_frame_picture_size(frame, &width, &height);
    p->rebuild_canvas = false;
    if (width != p->scaling.native_width || height != p->scaling.native_height ||
        p->reconfigure || p->new_model) {
        if (!reconfigure(p, width, height, err)) {
            return false;
        }
    }
    bool turned = frame->rotation % 2; // and with it the pixels
    p->sar_num = turned ? frame->sar_den : frame->sar_num;
    p->sar_den = turned ? frame->sar_num : frame->sar_den;
    scaling_pixel_aspect(p, &p->sar_num, &p->sar_den);
    if (frame->discontinuity) {
        p->history_valid = false;
    }
    if (!p->history_valid || p->reset_context) {
        p->canvas_known = false;
        p->previous_id = p->input_id = 0;
        p->reset_context = false;
        inference_reset(p);
    }
    p->rebuild_canvas = p->rebuild_canvas && p->history_valid && p->inferable;
    p->canvas_known = p->canvas_known || p->rebuild_canvas;
    return true;
}

static const char *mask_name(struct ag_pipeline *p)
{
    if (p->has_forced) {
        snprintf(p->mask_name, sizeof(p->mask_name), "forced %.50s", p->config.force_mask);
        return p->mask_name;
    }
    static const char *const names[] = { "autogaze", "patch-diff", "canvas-diff" };
    return names[p->live.mask_source];
}

static bool keyframe_due(struct ag_pipeline *p)
{
    uint32_t interval = p->live.keyframe_interval;
    bool key = !p->history_valid || p->force_keyframe ||
               (interval && p->since_keyframe + 1 >= interval);
    p->since_keyframe = key ? 0 : p->since_keyframe + 1;
    p->force_keyframe = false;
    return key;
}

// Of the frame being composed.
static bool measures_psnr(const struct ag_pipeline *p)
{
    return p->live.psnr && p->composed % (uint64_t)p->config.psnr_interval == 0;
}

static void begin_report(struct ag_pipeline *p, struct slot *s, const struct ag_frame *frame,
                         int64_t taken_ns)
{
    s->report = (struct ag_frame_report){
        .frame_id = frame->id,
        .sequence = p->composed,
        .pts_ns = frame->pts_ns,
        .capture_ns = frame->capture_ns,
        .width = p->width,
        .height = p->height,
        .keyframe = keyframe_due(p),
        .discontinuity = frame->discontinuity,
        .warmup = p->composed < (uint64_t)p->config.warmup_frames,
        .mask_source = mask_name(p),
        .layout = p->layout,
        .has_psnr = measures_psnr(p),
        .has_model_psnr = measures_psnr(p) && p->inferable,
        .latency_ns = -taken_ns,
    };
    s->report.cpu_ns[AG_STAGE_SOURCE] = frame->source_ns;
    s->gpu_gaze = false;
    s->reference_ns = 0;
    s->composed_value = UINT64_MAX; // whatever comes before it belongs to the frame
    s->done_ns = s->own_gpu_ns = s->own_queue_ns = 0;
    s->model_waits = false;
    s->repair = s->report.repair = inference_repairs(p) && !s->report.keyframe;
    struct ag_gpu_counters c = ag_gpu_get_counters(p->gpu);
    s->uploaded = c.bytes_uploaded;
    s->read_back = c.bytes_read_back;
}

static bool record_input(struct ag_pipeline *p, struct ag_cmd *cmd, const struct ag_frame *frame,
                         const struct ag_buffer *staging, struct ag_error *err)
{
    unsigned now = p->composed & 1;
    unsigned picture = pipeline_picture(p);
    if (!scaling_record_picture(p, cmd, frame, staging, err)) {
        return false;
    }
    if (p->inferable) {
        ag_preprocess_record_input(p->preprocess, cmd, scaling_picture(p, picture), p->input[now],
                                   0);
    }
    if (p->rebuild_canvas) { // what a new model has to know of the picture on screen
        ag_cmd_barrier(cmd);
        scaling_record_canvas(p, cmd);
        p->rebuild_canvas = false;
    }
    return true;
}

// Mask -> plan; with repair a second one, of the chosen cells and what they leave too wrong.
static void record_plan(struct ag_pipeline *p, struct ag_cmd *cmd, const struct slot *s,
                        const struct ag_mask *mask, struct ag_plan *plan)
{
    ag_planner_record(p->planner, cmd, mask, s->report.keyframe, plan);
    if (s->repair) {
        struct ag_mask all;
        ag_cmd_barrier(cmd);
        ag_repair_record(p->repair, cmd, p->history, p->rgba[pipeline_picture(p)], plan,
                         p->live.repair_db, p->live.repair_cells, &all);
        ag_cmd_barrier(cmd);
        ag_planner_replace(p->planner);
        ag_planner_record(p->planner, cmd, &all, false, plan);
    }
}

static uint32_t sparse_below(const struct ag_pipeline *p)
{
    double share = measures_psnr(p) ? p->crossover.psnr : p->crossover.no_psnr;
    return (uint32_t)(share * p->width * p->height);
}

struct ag_compose_style pipeline_style(const struct ag_pipeline *p)
{
    return (struct ag_compose_style){
        .style = p->live.style,
        .output = p->live.output,
        .palette = p->live.palette,
        .blend_alpha = p->live.blend_alpha,
        .psnr = measures_psnr(p),
        .dispatch = (enum ag_dispatch)p->live.dispatch,
    };
}

// *cmd may be submitted and begun anew.
static bool record_compose(struct ag_pipeline *p, struct ag_cmd **cmd, struct slot *s,
                           const struct ag_plan *plan, struct ag_error *err)
{
    unsigned now = p->composed & 1;
    if (p->compose_cpu) {
        if (!compose_cpu_record(p, s, cmd, plan, err)) {
            return false;
        }
    } else {
        struct ag_compose_job job = {
            .input = p->rgba[pipeline_picture(p)],
            .history = p->history,
            .mask = p->mask,
            .mask_kept = true,
            .stats = s->stats,
            .plan = *plan,
            .style = pipeline_style(p),
            .sparse_below = sparse_below(p),
        };
        ag_compositor_record(p->compositor, *cmd, &job);
    }
    if (p->inferable) {
        ag_canvas_record(p->painter, *cmd, plan, p->input[now], 0, p->canvas, 0,
                         measures_psnr(p) ? s->stats : NULL, 256);
    }
    return true;
}

// The block that comes back late: a few hundred bytes, a few kilobytes with the gaze.
static void record_results(struct ag_pipeline *p, struct ag_cmd *cmd, struct slot *s,
                           const struct ag_plan *plan)
{
    const struct offsets *o = &p->offsets;
    ag_cmd_barrier(cmd);
    ag_cmd_stage_begin(cmd, AG_STAGE_RESULTS);
    ag_cmd_copy(cmd, s->readback, o->plan, plan->stats, 0, sizeof(struct ag_plan_stats));
    ag_cmd_copy(cmd, s->readback, o->compose, s->stats, 0, sizeof(struct ag_compose_stats));
    ag_cmd_copy(cmd, s->readback, o->canvas, s->stats, 256, sizeof(struct ag_canvas_stats));
    ag_cmd_copy(cmd, s->readback, o->selected, plan->selected, 0, o->selected_bytes);
    if (s->repair) {
        ag_cmd_copy(cmd, s->readback, o->repair, ag_cell_errors_list(p->repair), 0,
                    AG_REPAIR_CELLS_AT + 4 * AG_ERROR_CELLS);
    }
    if (s->gpu_gaze) {
        uint64_t bytes;
        const struct ag_buffer *results = gpu_gaze_results(p->gpu_gaze, &bytes);
        ag_cmd_copy(cmd, s->readback, o->gaze, results, 0, bytes);
    }
    ag_cmd_stage_end(cmd);
    ag_cmd_host_barrier(cmd);
}

static bool compose_frame(struct ag_pipeline *p, struct slot *s, const struct ag_frame *frame,
                          const struct ag_buffer *staging, int64_t taken_ns, struct ag_error *err)
{
    struct ag_mask mask;
    bool has_mask = false;
    struct ag_plan plan;
    struct ag_cmd *cmd = ag_cmd_begin(p->gpu, frame->id, err);
    if (!cmd) {
        return false;
    }
    if (!record_input(p, cmd, frame, staging, err) ||
        !inference_record(p, s, &cmd, &mask, &has_mask, err)) {
        if (cmd) {
            ag_cmd_submit(cmd, NULL); // half a frame: harmless, keeps the ring of slots in order
        }
        return false;
    }
    s->report.mask_frame_id = has_mask ? mask.frame_id : 0;
    if (p->async && s->report.mask_frame_id == p->current.frame_id) {
        s->report.mask_age_ns = frame->capture_ns - p->current.capture_ns;
    }
    record_plan(p, cmd, s, has_mask ? &mask : NULL, &plan);
    ag_cmd_barrier(cmd); // composition and canvas both read the plan and do not touch each other
    if (!record_compose(p, &cmd, s, &plan, err)) {
        if (cmd) {
            ag_cmd_submit(cmd, NULL);
        }
        return false;
    }
    record_results(p, cmd, s, &plan);
    int64_t submit_ns = ag_now_ns();
    s->value = s->composed_value = ag_cmd_submit(cmd, err);
    int64_t model_ns = s->report.cpu_ns[AG_STAGE_HANDOFF] + s->report.cpu_ns[AG_STAGE_VISION] +
                       s->report.cpu_ns[AG_STAGE_PREFILL] + s->report.cpu_ns[AG_STAGE_DECODE];
    s->report.cpu_ns[AG_STAGE_RECORD] =
        AG_MAX(submit_ns - taken_ns - (s->model_waits ? model_ns : 0) - s->reference_ns, 0);
    return s->value != 0 && inference_follow(p, s, err);
}

// Runs the first frame once for nothing: software devices compile a kernel when it is first used,
// and that must not be in anybody's percentiles. Nothing of it stays but warm caches.
static bool warm_up(struct ag_pipeline *p, const struct ag_frame *frame,
                    const struct ag_buffer *staging, struct ag_error *err)
{
    struct slot *s = &p->slot[0];
    int latency = p->live.latency;
    p->warm = true;
    p->live.latency = AG_LATENCY_SYNC;
    int64_t now = ag_now_ns();
    ag_phase_mark(&p->startup, "buffers");
    begin_report(p, s, frame, now);
    bool ok = compose_frame(p, s, frame, staging, now, err) && ag_gpu_wait(p->gpu, s->value, err);
    collect_times(p);
    ag_phase_mark(&p->startup, "warm_up");
    p->live.latency = latency;
    p->last_inferred_id = 0;
    p->since_keyframe = 0;
    inference_reset(p);
    return ok;
}

enum ag_tick ag_pipeline_tick(struct ag_pipeline *p, int64_t timeout_ns, struct ag_error *err)
{
    struct slot *s = &p->slot[p->composed % FRAMES_IN_FLIGHT];
    struct ag_ring_slot *source;

    collect_poll(p);
    if (ag_ring_notice(p->ring, p->notice, sizeof(p->notice))) {
        p->source = ag_ring_get_stats(p->ring).source;
    }
    int64_t t0 = ag_now_ns();
    if (!collect_wait(p, s, err)) {
        return AG_TICK_ERROR;
    }
    int64_t waited = ag_now_ns() - t0;

    t0 = ag_now_ns();
    switch (ag_ring_take(p->ring, timeout_ns, &source, err)) {
    case AG_TAKE_FRAME:
        break;
    case AG_TAKE_NONE:
        return AG_TICK_NONE;
    case AG_TAKE_END:
        p->ended = true;
        p->moving = false;
        return AG_TICK_END;
    case AG_TAKE_ERROR:
        p->moving = false;
        return AG_TICK_ERROR;
    }
    int64_t taken = ag_now_ns();
    p->ended = p->moving = false;

    const struct ag_frame *frame = &source->frame;
    if (!prepare(p, frame, err) ||
        (!p->warm && !warm_up(p, frame, source->memory, err))) {
        ag_ring_release(p->ring, source);
        return AG_TICK_ERROR;
    }
    s = &p->slot[p->composed % FRAMES_IN_FLIGHT]; // prepare may have made the slots anew
    begin_report(p, s, frame, taken);
    s->report.cpu_ns[AG_STAGE_RING] = taken - t0;
    s->report.cpu_ns[AG_STAGE_WAIT] = waited;
    s->source = source;
    if (!compose_frame(p, s, frame, source->memory, taken, err)) {
        ag_ring_release(p->ring, source);
        s->source = NULL;
        return AG_TICK_ERROR;
    }
    struct ag_gpu_counters c = ag_gpu_get_counters(p->gpu);
    s->report.bytes_uploaded = c.bytes_uploaded - s->uploaded;
    s->report.bytes_read_back = c.bytes_read_back - s->read_back;
    s->busy = true;
    p->generated = frame->layout.kind == AG_PIXEL_GENERATED;
    for (int i = 0; i < FRAMES_IN_FLIGHT; i++) {
        s->report.in_flight += p->slot[i].busy;
    }
    p->history_valid = true;
    p->canvas_known = p->inferable;
    p->picture = pipeline_picture(p);
    p->previous_id = frame->id;
    p->input_id = p->inferable ? frame->id : 0;
    p->composed++;
    return AG_TICK_FRAME;
}

// ---- looking at it ---------------------------------------------------------------------------
struct ag_pictures ag_pipeline_pictures(const struct ag_pipeline *p)
{
    if (!p->composed) {
        return (struct ag_pictures){ 0 };
    }
    const struct slot *s = &p->slot[(p->composed - 1) % FRAMES_IN_FLIGHT];
    return (struct ag_pictures){
        .input = p->rgba[p->picture],
        .mask = p->mask,
        .output = p->history,
        .width = p->width,
        .height = p->height,
        .sar_num = p->sar_num,
        .sar_den = p->sar_den,
        .frame_id = p->previous_id,
        .pts_ns = s->report.pts_ns,
        .value = s->value,
    };
}

bool ag_pipeline_read(struct ag_pipeline *p, const struct ag_buffer *picture, uint8_t *rgba,
                      struct ag_error *err)
{
    return ag_buffer_read(p->gpu, (struct ag_buffer *)picture, 0, rgba, 4ull * p->width * p->height,
                          err);
}

bool ag_pipeline_read_canvas(struct ag_pipeline *p, float *canvas, float *input,
                             struct ag_error *err)
{
    uint64_t bytes = 12ull * p->side * p->side * p->tiling.tiles;
    return ag_buffer_read(p->gpu, p->canvas, 0, canvas, bytes, err) &&
           ag_buffer_read(p->gpu, p->input[(p->composed - 1) & 1], 0, input, bytes, err);
}
