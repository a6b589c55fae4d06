#include "autogaze/screen.h"

#include <math.h>
#include <string.h>

// Feeds the HUD from reports and pipeline, and draws a frame of pictures and HUD.

#define REFRESH_NS 200000000 // five times a second
#define CADENCE_NS 2000000000
#define MAX_BEATS 256        // frames behind the cadence
#define MAX_COSTS 16         // frames whose host times wait for their report
#define MAX_IDS 4096

struct cost {
    uint64_t frame_id;
    int64_t hud_ns, present_ns;
};

struct ag_screen {
    const struct ag_log *log;
    struct ag_gpu *gpu;
    struct ag_screen_params params;
    struct ag_presenter *presenter;
    struct ag_hud *hud;
    struct ag_view view;        // of the last draw

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

// ---- drawing ---------------------------------------------------------------------------------

bool ag_screen_wants_draw(const struct ag_screen *s, const struct ag_screen_frame *frame)
{
    return ag_pipeline_pictures(frame->pipeline).frame_id != s->shown_frame ||
           refresh_due(s, frame->input.now_ns) || ag_hud_wants_draw(s->hud, &frame->input);
}

static void draw_panels(struct ag_presenter *presenter, const struct ag_view *view,
                        const struct ag_pictures *pictures)
{
    const struct ag_buffer *buffers[AG_PANELS] = { pictures->input, pictures->mask,
                                                   pictures->output };
    struct ag_picture_panel panels[AG_PANELS];
    for (int i = 0; i < AG_PANELS; i++) {
        panels[i] = (struct ag_picture_panel){
            .picture = pictures->frame_id ? buffers[i] : NULL,
            .width = pictures->width,
            .height = pictures->height,
            .where = view->panel[i],
            .use_alpha = i == 1, // the mask panel: nothing where there is no cell
            .background = ag_hud_panel_background(),
        };
    }
    ag_presenter_draw(presenter, panels, AG_PANELS);
}

// Times go to the frame cost->frame_id, 0: nobody's.
static enum ag_presenter_state draw(struct ag_screen *s, struct ag_presenter *presenter,
                                    const struct ag_screen_frame *frame,
                                    struct ag_hud_actions *actions, struct cost *cost,
                                    struct ag_error *err)
{
    struct ag_pictures pictures = ag_pipeline_pictures(frame->pipeline);
    struct ag_target target;
    int64_t start = ag_now_ns();
    enum ag_presenter_state state =
        ag_presenter_begin(presenter, cost->frame_id, ag_hud_background(), &target, err);
    if (state != AG_PRESENTER_READY) {
        return state;
    }
    struct ag_shape shape = { pictures.width, pictures.height, pictures.sar_num,
                              pictures.sar_den };
    ag_hud_layout(s->hud, target.width, target.height, &shape, &s->view);
    draw_panels(presenter, &s->view, &pictures);
    int64_t drawn = ag_now_ns();
    if (refresh_due(s, frame->input.now_ns)) {
        refresh(s, frame);
    }
    bool ok = ag_hud_draw(s->hud, &target, &s->view, &frame->input, actions, err);
    int64_t covered = ag_now_ns();
    ok = ag_presenter_end(presenter, err) && ok;
    // Waiting for the display is no work: it is left out.
    cost->hud_ns = covered - drawn;
    cost->present_ns = drawn - start - target.waited_ns + ag_now_ns() - covered;
    return ok ? AG_PRESENTER_READY : AG_PRESENTER_ERROR;
}

enum ag_presenter_state ag_screen_draw(struct ag_screen *s, const struct ag_screen_frame *frame,
                                       struct ag_hud_actions *actions, struct ag_error *err)
{
    // A picture shown again is no new frame.
    uint64_t frame_id = ag_pipeline_pictures(frame->pipeline).frame_id;
    struct cost cost = { .frame_id = frame_id != s->shown_frame ? frame_id : 0 };
    *actions = (struct ag_hud_actions){ 0 };
    enum ag_presenter_state state = draw(s, s->presenter, frame, actions, &cost, err);
    if (state == AG_PRESENTER_READY && cost.frame_id) {
        s->shown_frame = cost.frame_id;
        s->costs[s->next_cost++ % MAX_COSTS] = cost;
    }
    return state;
}

bool ag_screen_write_png(struct ag_screen *s, const struct ag_screen_frame *frame,
                         const char *path, struct ag_error *err)
{
    struct ag_hud_actions actions;
    struct cost cost = { 0 };
    uint32_t width = s->view.width ? s->view.width : s->params.target.width;
    uint32_t height = s->view.height ? s->view.height : s->params.target.height;
    struct ag_presenter *offscreen = ag_presenter_create(
        s->log, s->gpu, &(struct ag_presenter_params){ .width = width, .height = height }, err);
    uint8_t *rgba = ag_alloc((size_t)width * height * 4);
    s->refresh = true;
    bool ok = offscreen &&
              draw(s, offscreen, frame, &actions, &cost, err) == AG_PRESENTER_READY &&
              ag_presenter_read(offscreen, rgba, err) &&
              ag_screenshot_write(path, (const uint8_t *const[]){ rgba }, 1, width, height, err);
    ag_presenter_destroy(&offscreen);
    ag_free(rgba);
    return ok;
}
