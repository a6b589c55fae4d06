#include "autogaze/screen.h"

#include <math.h>
#include <string.h>

// Feeds the HUD from reports and pipeline, and draws a frame of pictures and HUD.

#define REFRESH_NS 200000000 // five times a second
#define CADENCE_NS 2000000000
#define MAX_BEATS 256        // frames behind the cadence
#define MAX_COSTS 16         // frames whose host times wait for their report
#define MAX_IDS 4096
#define MAX_IMAGE_SIDE 16384 // that every desktop driver has

struct cost {
    uint64_t frame_id;
    int64_t hud_ns, present_ns, export_ns;
};

struct ag_screen {
    const struct ag_log *log;
    struct ag_gpu *gpu;
    struct ag_screen_params params;
    struct ag_presenter *presenter;
    struct ag_presenter *capture; // offscreen, for pictures to take home; NULL: not needed yet
    struct ag_hud *hud;
    struct ag_view view;        // of the last draw

    // What is shown.
    enum ag_view_layout layout;
    double zoom, center_x, center_y; // zoom 1: all of the picture; the centre in parts of it
    double divider;             // of the wipe, in parts of the panel
    struct ag_shape shape;      // of the last draw's pictures
    enum ag_grip grip;
    double grip_x, grip_y;
    bool moved;                 // since the last draw
    struct ag_hud_input input;  // of the last draw
    bool has_input;

    // From the reports.
    struct ag_frame_report report; // newest; its arrays are the ones below
    bool has_report, news;      // news: reports since the last refresh
    uint32_t *cells, *ids;
    float *losses;
    struct {
        int64_t interval_ns;
        bool new_mask;
    } beats[MAX_BEATS];
    uint64_t n_beats, last_mask;

    // Of the drawing.
    uint64_t shown_frame;       // picture on the target
    int64_t refreshed_ns;
    bool refresh;
    struct cost costs[MAX_COSTS];
    uint32_t next_cost;
    struct ag_stats_snapshot stats;
    struct ag_run_info run;
    float interval_ms[AG_HUD_HISTORY], gpu_ms[AG_HUD_HISTORY];
};

struct ag_screen *ag_screen_create(const struct ag_log *log, struct ag_gpu *gpu,
                                   const struct ag_screen_params *params, struct ag_error *err)
{
    struct ag_screen *s = ag_alloc(sizeof(*s));
    s->log = log;
    s->gpu = gpu;
    s->params = *params;
    s->refresh = true;
    s->layout = params->layout;
    s->zoom = 1;
    s->center_x = s->center_y = s->divider = 0.5;
    s->cells = ag_alloc(AG_MAX_CELLS * sizeof(s->cells[0]));
    s->ids = ag_alloc(MAX_IDS * sizeof(s->ids[0]));
    s->losses = ag_alloc(MAX_IDS * sizeof(s->losses[0]));
    s->presenter = ag_presenter_create(log, gpu, &params->target, err);
    s->hud = s->presenter ? ag_hud_create(log, gpu, &params->hud, err) : NULL;
    if (!s->hud) {
        ag_screen_destroy(&s);
    }
    return s;
}

void ag_screen_destroy(struct ag_screen **screen)
{
    struct ag_screen *s = *screen;
    if (!s) {
        return;
    }
    ag_hud_destroy(&s->hud);
    ag_presenter_destroy(&s->presenter);
    ag_presenter_destroy(&s->capture);
    ag_free(s->cells);
    ag_free(s->ids);
    ag_free(s->losses);
    ag_free(s);
    *screen = NULL;
}

struct ag_presenter *ag_screen_presenter(struct ag_screen *screen)
{
    return screen->presenter;
}

struct ag_hud *ag_screen_hud(struct ag_screen *screen)
{
    return screen->hud;
}

// ---- reports ---------------------------------------------------------------------------------

static void add_costs(const struct ag_screen *s, struct ag_frame_report *r)
{
    for (uint32_t i = 0; i < MAX_COSTS; i++) {
        if (s->costs[i].frame_id == r->frame_id) {
            r->cpu_ns[AG_STAGE_HUD] += s->costs[i].hud_ns;
            r->cpu_ns[AG_STAGE_PRESENT] += s->costs[i].present_ns;
            r->cpu_ns[AG_STAGE_EXPORT] += s->costs[i].export_ns;
        }
    }
}

static void keep(struct ag_screen *s, const struct ag_frame_report *r)
{
    struct ag_gaze gaze = s->report.gaze; // the last one stays on show
    s->report = *r;
    s->report.n_cells = AG_MIN(r->n_cells, AG_MAX_CELLS);
    memcpy(s->cells, r->cells, s->report.n_cells * sizeof(s->cells[0]));
    s->report.cells = s->cells;
    if (r->has_gaze) {
        gaze = r->gaze;
        gaze.slots = AG_MIN(gaze.slots, MAX_IDS);
        memcpy(s->ids, r->gaze.ids, gaze.slots * sizeof(s->ids[0]));
        memcpy(s->losses, r->gaze.losses, gaze.slots * sizeof(s->losses[0]));
        gaze.ids = s->ids;
        gaze.losses = s->losses;
    }
    s->report.gaze = gaze;
    s->report.tiles = NULL; // the sum is enough to look at
    s->report.has_gaze = gaze.ids != NULL;
}

void ag_screen_observe(struct ag_screen *s, struct ag_frame_report *r)
{
    if (!s) {
        return;
    }
    add_costs(s, r);
    keep(s, r);
    s->beats[s->n_beats % MAX_BEATS].interval_ns = r->interval_ns;
    s->beats[s->n_beats % MAX_BEATS].new_mask = r->mask_frame_id != s->last_mask;
    s->n_beats++;
    s->last_mask = r->mask_frame_id;
    s->has_report = s->news = true;
}

// Frames and masks a second over the last two seconds.
static void cadence(const struct ag_screen *s, double *frames, double *masks)
{
    int64_t span = 0;
    uint32_t n = 0, fresh = 0;
    while (n < AG_MIN(s->n_beats, MAX_BEATS) && span < CADENCE_NS) {
        uint64_t at = (s->n_beats - 1 - n) % MAX_BEATS;
        if (s->beats[at].interval_ns <= 0) {
            break; // the first frame, or the first after a pause
        }
        span += s->beats[at].interval_ns;
        fresh += s->beats[at].new_mask;
        n++;
    }
    *frames = n ? n * 1e9 / (double)span : NAN;
    *masks = n ? fresh * 1e9 / (double)span : NAN;
}

// ---- numbers ---------------------------------------------------------------------------------

static const char *const styles[] = { "image-mask-only", "image-overlay", "overlay",
                                      "scale-rows" };
static const char *const geometries[] = { "deduplicated", "native", "effective" };
static const char *const outputs[] = { "interframe", "full-blend" };

static void fill_quality(const struct ag_pipeline *pipeline, struct ag_hud_data *d)
{
    struct ag_quality q = ag_pipeline_quality(pipeline);
    d->has_quality = q.max > q.min;
    d->quality_db = q.db;
    d->quality_off = q.off;
    d->quality = q.value;
    d->quality_min = q.min;
    d->quality_max = q.max;
    d->quality_step = q.step;
}

static void refresh(struct ag_screen *s, const struct ag_screen_frame *frame)
{
    struct ag_pictures pictures = ag_pipeline_pictures(frame->pipeline);
    struct ag_live live = ag_pipeline_get_live(frame->pipeline);
    ag_stats_snapshot(frame->stats, &s->stats);
    ag_pipeline_info(frame->pipeline, &s->run);
    struct ag_hud_data d = {
        .stats = &s->stats,
        .run = &s->run,
        .report = s->has_report ? &s->report : NULL,
        .interval_ms = s->interval_ms,
        .gpu_ms = s->gpu_ms,
        .n_history = ag_stats_history(frame->stats, s->interval_ms, s->gpu_ms, AG_HUD_HISTORY),
        .can_switch_source = !s->run.config->force_mask,
        .style = styles[live.style],
        .geometry = geometries[live.geometry],
        .output = outputs[live.output],
        .frame_id = pictures.frame_id,
        .position_ns = pictures.pts_ns,
        .duration_ns = s->run.source.duration_ns,
        .paused = ag_pipeline_paused(frame->pipeline),
        .ended = frame->ended,
        .zoom = s->zoom,
        .palette = live.palette,
        .recording = frame->recording,
        .recorded_ns = frame->recorded_ns,
        .recorded_drops = frame->recorded_drops,
    };
    cadence(s, &d.render_fps, &d.mask_fps);
    if (!s->run.config->force_mask) {
        fill_quality(frame->pipeline, &d);
    }
    ag_hud_update(s->hud, &d);
    s->refreshed_ns = frame->input.now_ns;
    s->refresh = s->news = false;
}

void ag_screen_refresh(struct ag_screen *s)
{
    s->refresh = true;
}

static bool refresh_due(const struct ag_screen *s, int64_t now_ns)
{
    return s->refresh || (s->news && now_ns - s->refreshed_ns >= REFRESH_NS);
}

// ---- what is shown ---------------------------------------------------------------------------

#define MIN_SHOWN 8          // picture pixels a side at the largest zoom
#define DIVIDER_REACH 8      // target pixels

void ag_screen_set_layout(struct ag_screen *s, enum ag_view_layout layout)
{
    s->layout = layout;
    s->moved = true;
}

enum ag_view_layout ag_screen_get_layout(const struct ag_screen *s)
{
    return s->layout;
}

static struct ag_part visible_part(const struct ag_screen *s, uint32_t width, uint32_t height)
{
    if (s->zoom <= 1) {
        return (struct ag_part){ 0 };
    }
    double w = width / s->zoom, h = height / s->zoom;
    return (struct ag_part){
        .x = AG_CLAMP(s->center_x * width - w / 2, 0, width - w),
        .y = AG_CLAMP(s->center_y * height - h / 2, 0, height - h),
        .width = w,
        .height = h,
    };
}

// Shows `zoom` with the centre as near to the one given as the picture's edges allow.
static void look_at(struct ag_screen *s, double zoom, double x, double y)
{
    double most = AG_MIN(s->shape.width, s->shape.height) / (double)MIN_SHOWN;
    s->zoom = AG_CLAMP(zoom, 1, AG_MAX(most, 1));
    double edge = 0.5 / s->zoom;
    s->center_x = AG_CLAMP(x, edge, 1 - edge);
    s->center_y = AG_CLAMP(y, edge, 1 - edge);
    s->moved = true;
}

// The panel under a point; NULL: none.
static const struct ag_rect *panel_at(const struct ag_screen *s, double x, double y)
{
    for (uint32_t i = 0; i < s->view.n_panels; i++) {
        const struct ag_rect *r = &s->view.panel[i];
        if (x >= r->x && y >= r->y && x < r->x + r->width && y < r->y + r->height) {
            return r;
        }
    }
    return NULL;
}

bool ag_screen_zoom(struct ag_screen *s, double x, double y, double factor)
{
    const struct ag_rect *r = panel_at(s, x, y);
    if (!r || s->shape.width == 0) {
        return false;
    }
    double zoom = AG_MAX(s->zoom * factor, 1);
    double u = (x - r->x) / r->width - 0.5, v = (y - r->y) / r->height - 0.5;
    double at_x = s->center_x + u / s->zoom, at_y = s->center_y + v / s->zoom;
    double most = AG_MIN(s->shape.width, s->shape.height) / (double)MIN_SHOWN;
    zoom = AG_MIN(zoom, AG_MAX(most, 1));
    look_at(s, zoom, at_x - u / zoom, at_y - v / zoom);
    return true;
}

void ag_screen_reset_zoom(struct ag_screen *s)
{
    look_at(s, 1, 0.5, 0.5);
}

enum ag_grip ag_screen_grip(struct ag_screen *s, double x, double y)
{
    const struct ag_rect *r = panel_at(s, x, y);
    s->grip = r ? AG_GRIP_PICTURE : AG_GRIP_NONE;
    if (r && s->layout == AG_VIEW_WIPE &&
        fabs(x - (r->x + s->divider * r->width)) <= DIVIDER_REACH) {
        s->grip = AG_GRIP_DIVIDER;
    }
    s->grip_x = x;
    s->grip_y = y;
    return s->grip;
}

void ag_screen_drag(struct ag_screen *s, double x, double y)
{
    const struct ag_rect *r = &s->view.panel[0]; // all have one size
    if (s->grip == AG_GRIP_NONE || s->view.n_panels == 0 || r->width == 0 || r->height == 0) {
        return;
    }
    if (s->grip == AG_GRIP_DIVIDER) {
        s->divider = AG_CLAMP((x - r->x) / r->width, 0, 1);
        s->moved = true;
    } else {
        look_at(s, s->zoom, s->center_x - (x - s->grip_x) / r->width / s->zoom,
                s->center_y - (y - s->grip_y) / r->height / s->zoom);
    }
    s->grip_x = x;
    s->grip_y = y;
}

// ---- drawing ---------------------------------------------------------------------------------

#define DIVIDER_COLOR 0xff40d6ffu // gold

bool ag_screen_wants_draw(const struct ag_screen *s, const struct ag_screen_frame *frame)
{
    return ag_pipeline_pictures(frame->pipeline).frame_id != s->shown_frame || s->moved ||
           refresh_due(s, frame->input.now_ns) || ag_hud_wants_draw(s->hud, &frame->input);
}

// A wipe's left side is the last of the panels; here are the line and the right side.
static uint32_t add_wipe(const struct ag_screen *s, const struct ag_pictures *pictures,
                         struct ag_picture_panel *panels, uint32_t n)
{
    struct ag_picture_panel *left = &panels[n - 1], right = *left;
    const struct ag_rect *r = &right.where;
    int32_t at = (int32_t)lround(s->divider * r->width);
    int32_t width = AG_MIN(AG_MAX(r->width / 640, 1) * 2, r->width);
    int32_t line = AG_CLAMP(at - width / 2, 0, r->width - width), end = line + width;
    right.picture = pictures->frame_id ? pictures->output : NULL;
    right.only = (struct ag_rect){ r->x + end, r->y, r->width - end, r->height };
    left->only = (struct ag_rect){ r->x, r->y, line, r->height };
    n -= line == 0; // nothing of it is left
    if (end < r->width) {
        panels[n++] = right;
    }
    panels[n++] = (struct ag_picture_panel){
        .where = *r,
        .only = { r->x + line, r->y, width, r->height },
        .background = DIVIDER_COLOR,
    };
    return n;
}

// `whole`: as taken home, without zoom.
static void draw_panels(struct ag_screen *s, struct ag_presenter *presenter,
                        const struct ag_view *view, const struct ag_pictures *pictures, bool whole)
{
    const struct ag_buffer *buffers[AG_CONTENTS] = {
        [AG_CONTENT_INPUT] = pictures->input,      [AG_CONTENT_MASK] = pictures->mask,
        [AG_CONTENT_OUTPUT] = pictures->output,    [AG_CONTENT_DIFFERENCE] = pictures->input,
        [AG_CONTENT_WIPE] = pictures->input,
    };
    struct ag_picture_panel panels[AG_PANELS + 2];
    uint32_t n = 0;
    for (uint32_t i = 0; i < view->n_panels; i++) {
        enum ag_content content = view->content[i];
        panels[n++] = (struct ag_picture_panel){
            .picture = pictures->frame_id ? buffers[content] : NULL,
            .width = pictures->width,
            .height = pictures->height,
            .where = view->panel[i],
            // The mask panel: nothing where there is no cell.
            .use_alpha = content == AG_CONTENT_MASK && !whole,
            .background = ag_hud_panel_background(),
            .other = content == AG_CONTENT_DIFFERENCE ? pictures->output : NULL,
            .part = visible_part(s, whole ? 0 : pictures->width, whole ? 0 : pictures->height),
        };
        if (content == AG_CONTENT_WIPE) {
            n = add_wipe(s, pictures, panels, n);
        }
    }
    ag_presenter_draw(presenter, panels, n);
}

static struct ag_shape shape_of(const struct ag_pictures *pictures)
{
    return (struct ag_shape){ pictures->width, pictures->height, pictures->sar_num,
                              pictures->sar_den };
}

// Everything between begin and end; adds what it took to `cost`.
static bool draw_all(struct ag_screen *s, struct ag_presenter *presenter,
                     const struct ag_target *target, const struct ag_screen_frame *frame,
                     struct ag_hud_actions *actions, struct cost *cost, struct ag_error *err)
{
    struct ag_pictures pictures = ag_pipeline_pictures(frame->pipeline);
    int64_t start = ag_now_ns();
    s->shape = shape_of(&pictures);
    struct ag_backdrop backdrop;
    if (refresh_due(s, frame->input.now_ns)) {
        refresh(s, frame);
    }
    ag_hud_layout(s->hud, target->width, target->height, &s->shape, s->layout, &s->view);
    if (!ag_hud_backdrop(s->hud, target, &s->view, &frame->input, actions, &backdrop,
                         err)) {
        return false;
    }
    int64_t prepared = ag_now_ns();
    ag_presenter_backdrop(presenter, &backdrop);
    draw_panels(s, presenter, &s->view, &pictures, false);
    bool overlay = ag_hud_has_overlay(s->hud);
    if (overlay) {
        ag_presenter_overlay(presenter);
    }
    int64_t drawn = ag_now_ns();
    if (overlay) {
        ag_hud_draw(s->hud, target);
    }
    cost->hud_ns += prepared - start + ag_now_ns() - drawn;
    cost->present_ns += drawn - prepared;
    return true;
}

// What the drawing of a frame took, for its report. A picture shown again is no new frame: 0.
static struct cost *cost_of(struct ag_screen *s, uint64_t frame_id)
{
    for (uint32_t i = 0; frame_id && i < MAX_COSTS; i++) {
        if (s->costs[i].frame_id == frame_id) {
            return &s->costs[i];
        }
    }
    struct cost *cost = &s->costs[s->next_cost++ % MAX_COSTS];
    *cost = (struct cost){ .frame_id = frame_id };
    return cost;
}

enum ag_presenter_state ag_screen_draw(struct ag_screen *s, const struct ag_screen_frame *frame,
                                       struct ag_hud_actions *actions, struct ag_error *err)
{
    uint64_t frame_id = ag_pipeline_pictures(frame->pipeline).frame_id;
    bool again = frame_id == s->shown_frame;
    struct cost cost = { 0 };
    struct ag_target target;
    *actions = (struct ag_hud_actions){ 0 };
    int64_t start = ag_now_ns();
    enum ag_presenter_state state = ag_presenter_begin(s->presenter, again ? 0 : frame_id,
                                                       ag_hud_background(), &target, err);
    if (state != AG_PRESENTER_READY) {
        return state;
    }
    // Waiting for the display is no work: it is left out.
    cost.present_ns = ag_now_ns() - start - target.waited_ns;
    bool ok = draw_all(s, s->presenter, &target, frame, actions, &cost, err);
    start = ag_now_ns();
    ok = ag_presenter_end(s->presenter, err) && ok;
    if (!ok) {
        return AG_PRESENTER_ERROR;
    }
    s->moved = false;
    s->input = frame->input;
    s->has_input = true;
    s->shown_frame = frame_id;
    if (!again) {
        struct cost *sum = cost_of(s, frame_id);
        sum->hud_ns += cost.hud_ns;
        sum->present_ns += cost.present_ns + ag_now_ns() - start;
    }
    return AG_PRESENTER_READY;
}

// ---- pictures to take home -------------------------------------------------------------------

static void bare_view(const struct ag_screen *s, const struct ag_screen_frame *frame,
                      struct ag_view *out)
{
    struct ag_pictures pictures = ag_pipeline_pictures(frame->pipeline);
    struct ag_shape shape = shape_of(&pictures);
    uint64_t most = ag_gpu_get_info(s->gpu)->max_buffer_bytes;
    uint32_t side = MAX_IMAGE_SIDE;
    do { // it has to fit into an image and into a buffer
        ag_view_bare(&shape, s->layout, side, out);
        side = AG_MAX(out->width, out->height) / 8 * 7;
    } while (4ull * out->width * out->height > most && side > 0);
}

void ag_screen_capture_size(const struct ag_screen *s, const struct ag_screen_frame *frame,
                            bool hud, uint32_t *width, uint32_t *height)
{
    *width = *height = 0;
    if (!ag_pipeline_pictures(frame->pipeline).frame_id) {
        return;
    }
    if (hud) {
        *width = s->view.width ? s->view.width : s->params.target.width;
        *height = s->view.height ? s->view.height : s->params.target.height;
        return;
    }
    struct ag_view view;
    bare_view(s, frame, &view);
    *width = view.width;
    *height = view.height;
}

static bool open_capture(struct ag_screen *s, uint32_t width, uint32_t height,
                         struct ag_error *err)
{
    if (!s->capture) {
        s->capture = ag_presenter_create(
            s->log, s->gpu, &(struct ag_presenter_params){ .capture = true }, err);
    }
    if (s->capture) {
        ag_presenter_resize(s->capture, width, height);
    }
    return s->capture != NULL;
}

uint64_t ag_screen_capture(struct ag_screen *s, const struct ag_screen_frame *frame, bool hud,
                           const struct ag_buffer *to, struct ag_error *err)
{
    struct ag_pictures pictures = ag_pipeline_pictures(frame->pipeline);
    int64_t start = ag_now_ns();
    uint32_t width, height;
    struct ag_target target;
    ag_screen_capture_size(s, frame, hud, &width, &height);
    if (!open_capture(s, width, height, err) ||
        ag_presenter_begin(s->capture, pictures.frame_id, ag_hud_background(), &target, err) !=
            AG_PRESENTER_READY) {
        return 0;
    }
    bool ok = true;
    if (hud) {
        // The mouse as the window saw it last: whatever it holds stays in its hand.
        struct ag_screen_frame seen = *frame;
        seen.input = s->has_input ? s->input : frame->input;
        seen.input.now_ns = frame->input.now_ns;
        struct ag_hud_actions actions;
        struct cost cost = { 0 };
        ok = draw_all(s, s->capture, &target, &seen, &actions, &cost, err);
    } else {
        struct ag_view view;
        bare_view(s, frame, &view);
        draw_panels(s, s->capture, &view, &pictures, true);
    }
    uint64_t value = ag_presenter_end_into(s->capture, to, err);
    cost_of(s, pictures.frame_id)->export_ns += ag_now_ns() - start;
    return ok ? value : 0;
}
