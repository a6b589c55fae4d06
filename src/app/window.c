#include "window.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include <SDL2/SDL_vulkan.h>

// The window and its loop: events, a tick of the pipeline, a picture.

#define TICK_NS 8000000    // a tick waits no longer for a frame: events have their turn
#define IDLE_MS 100        // nothing plays: sleep until something happens
#define MAX_KEYS 64

void window_notice(struct window *w, const char *text, bool error)
{
    ag_hud_notice(ag_screen_hud(w->screen), text, error, ag_now_ns());
    w->redraw = true;
}

// ---- opening ---------------------------------------------------------------------------------

static bool open_sdl(struct window *w, struct ag_error *err)
{
    const struct ag_config *c = w->config;
    SDL_SetHint(SDL_HINT_NO_SIGNAL_HANDLERS, "1"); // main.c has its own
    if (SDL_Init(SDL_INIT_VIDEO) != 0) {
        return ag_fail(err, AG_ERR_DEVICE, "no display to open a window on (%s): run with "
                       "--headless, or set DISPLAY or WAYLAND_DISPLAY", SDL_GetError());
    }
    uint32_t flags = SDL_WINDOW_VULKAN | SDL_WINDOW_RESIZABLE | SDL_WINDOW_ALLOW_HIGHDPI |
                     (c->fullscreen ? SDL_WINDOW_FULLSCREEN_DESKTOP : 0);
    w->sdl = SDL_CreateWindow("autogaze-viewer", SDL_WINDOWPOS_UNDEFINED, SDL_WINDOWPOS_UNDEFINED,
                              (int)c->window_size.width, (int)c->window_size.height, flags);
    if (!w->sdl) {
        return ag_fail(err, AG_ERR_DEVICE, "no window can be opened here (%s): run with "
                       "--headless", SDL_GetError());
    }
    return true;
}

static bool open_gpu(struct window *w, struct ag_error *err)
{
    const char *extensions[16];
    unsigned n = AG_COUNT(extensions);
    if (!SDL_Vulkan_GetInstanceExtensions(w->sdl, &n, extensions)) {
        return ag_fail(err, AG_ERR_DEVICE, "this display cannot show Vulkan (%s): run with "
                       "--headless", SDL_GetError());
    }
    struct ag_gpu_params params = {
        .device = w->config->gpu,
        .require_hardware = w->config->require_hardware,
        .validation = w->config->validation,
        .cache_dir = ag_cache_dir(),
        .instance_extensions = extensions,
        .n_instance_extensions = n,
        .present = true,
    };
    w->gpu = ag_gpu_create(w->log, &params, err);
    return w->gpu != NULL;
}

static bool create_surface(void *user, void *instance, uint64_t *surface, struct ag_error *err)
{
    struct window *w = user;
    VkSurfaceKHR handle;
    if (!SDL_Vulkan_CreateSurface(w->sdl, instance, &handle)) {
        return ag_fail(err, AG_ERR_DEVICE, "the window cannot be drawn on (%s): run with "
                       "--headless or another --gpu", SDL_GetError());
    }
    memcpy(surface, &handle, sizeof(handle)); // a pointer or a number
    return true;
}

static double display_scale(struct window *w)
{
    int width, height, pixels, unused;
    SDL_GetWindowSize(w->sdl, &width, &height);
    SDL_Vulkan_GetDrawableSize(w->sdl, &pixels, &unused);
    return width > 0 && pixels > 0 ? (double)pixels / width : 1;
}

static bool open_screen(struct window *w, struct ag_hud_key *keys, struct ag_error *err)
{
    int width, height;
    SDL_Vulkan_GetDrawableSize(w->sdl, &width, &height);
    struct ag_screen_params params = {
        .target = {
            .width = (uint32_t)width,
            .height = (uint32_t)height,
            .mode = w->config->present_mode,
            .create_surface = create_surface,
            .user = w,
        },
        .hud = {
            .page = w->config->hud,
            .scale = w->config->ui_scale,
            .display_scale = display_scale(w),
            .keys = keys,
            .n_keys = input_keys(keys, MAX_KEYS),
        },
        .layout = w->config->layout,
    };
    w->screen = ag_screen_create(w->log, w->gpu, &params, err);
    return w->screen != NULL;
}

// ---- what plays ------------------------------------------------------------------------------

bool window_open_item(struct window *w, int direction)
{
    struct ag_error err = { 0 };
    ag_pipeline_set_loop(w->pipeline, w->list.n == 1 && w->config->loop != AG_NO);
    for (int tries = 0; tries < w->list.n; tries++) {
        const char *item = playlist_move(&w->list, direction);
        if (ag_pipeline_open(w->pipeline, item, &err)) {
            const char *slash = strrchr(item, '/');
            char text[256];
            snprintf(text, sizeof(text), "%d of %d: %.200s", w->list.at + 1, w->list.n,
                     slash && slash[1] ? slash + 1 : item);
            window_notice(w, text, false);
            w->ended = w->failed = false;
            ag_screen_refresh(w->screen);
            w->redraw = true;
            return true;
        }
        direction = direction ? direction : 1;
    }
    window_notice(w, err.text, true);
    return false;
}

void window_seek(struct window *w, int64_t pts_ns)
{
    struct ag_error err = { 0 };
    if (!ag_pipeline_seek(w->pipeline, pts_ns, &err)) {
        window_notice(w, err.text, false);
        return;
    }
    w->ended = false; // a source at its end goes on from there
}

// A list begins anew at its end unless --no-loop says otherwise.
static bool play_next(struct window *w)
{
    bool more = w->list.at + 1 < w->list.n || w->config->loop != AG_NO;
    return w->list.n > 1 && more && !ag_pipeline_paused(w->pipeline) && window_open_item(w, 1);
}

static bool choose_first(struct window *w, struct ag_error *err)
{
    w->own = *w->config;
    if (!playlist_add(&w->list, w->config->files, w->config->n_files, err)) {
        return false;
    }
    if (w->list.n > 0) {
        w->own.files[0] = w->list.items[0];
        w->own.n_files = 1;
    }
    if (w->list.n > 1) {
        w->own.loop = AG_NO; // the list does
    }
    return true;
}

// ---- events ----------------------------------------------------------------------------------

static void resized(struct window *w)
{
    int width, height;
    SDL_Vulkan_GetDrawableSize(w->sdl, &width, &height);
    if (SDL_GetWindowFlags(w->sdl) & SDL_WINDOW_MINIMIZED) {
        width = height = 0;
    }
    ag_presenter_resize(ag_screen_presenter(w->screen), (uint32_t)AG_MAX(width, 0),
                        (uint32_t)AG_MAX(height, 0));
    ag_hud_set_display_scale(ag_screen_hud(w->screen), display_scale(w));
    w->redraw = true;
}

// A click may be over before the next frame: buttons are queued, positions in between are not.
static void clicked(struct window *w, const SDL_MouseButtonEvent *event)
{
    if (event->button == SDL_BUTTON_LEFT && w->n_clicks < MAX_CLICKS) {
        w->clicks[w->n_clicks++] = (struct click){
            (float)event->x, (float)event->y, event->state == SDL_PRESSED
        };
    }
}

// ---- the mouse over the pictures -------------------------------------------------------------

#define WHEEL_ZOOM 1.25      // a notch

static void wheel(struct window *w, const SDL_MouseWheelEvent *event)
{
    int x, y;
    SDL_GetMouseState(&x, &y);
    double scale = display_scale(w), notches = event->preciseY;
    if (event->direction == SDL_MOUSEWHEEL_FLIPPED) {
        notches = -notches;
    }
    ag_screen_zoom(w->screen, x * scale, y * scale, pow(WHEEL_ZOOM, notches));
}

static void grip(struct window *w, const SDL_MouseButtonEvent *event)
{
    if (event->button != SDL_BUTTON_LEFT) {
        return;
    }
    double scale = display_scale(w);
    w->dragging = event->state == SDL_PRESSED &&
                  ag_screen_grip(w->screen, event->x * scale, event->y * scale) != AG_GRIP_NONE;
    if (w->dragging && event->clicks == 2) {
        ag_screen_reset_zoom(w->screen);
    }
    SDL_CaptureMouse(w->dragging); // a drag goes on outside of the window
}

static void drag(struct window *w, const SDL_MouseMotionEvent *event)
{
    double scale = display_scale(w);
    if (w->dragging) {
        ag_screen_drag(w->screen, event->x * scale, event->y * scale);
    }
}

// Files and addresses that were dropped together are a new list.
static void drop_event(struct window *w, const SDL_DropEvent *event)
{
    struct ag_error err = { 0 };
    const char *name = event->file;
    switch (event->type) {
    case SDL_DROPBEGIN:
        playlist_clear(&w->dropped);
        return;
    case SDL_DROPFILE:
    case SDL_DROPTEXT:
        if (!playlist_add(&w->dropped, &name, 1, &err)) {
            window_notice(w, err.text, true);
        }
        SDL_free(event->file);
        return;
    }
    if (w->dropped.n > 0) { // complete
        playlist_clear(&w->list);
        w->list = w->dropped;
        w->dropped = (struct playlist){ 0 };
        window_open_item(w, 0);
    }
}

static void handle_event(struct window *w, const SDL_Event *event)
{
    switch (event->type) {
    case SDL_DROPBEGIN:
    case SDL_DROPFILE:
    case SDL_DROPTEXT:
    case SDL_DROPCOMPLETE:
        drop_event(w, &event->drop);
        break;
    case SDL_QUIT:
        w->quit = true;
        break;
    case SDL_WINDOWEVENT:
        resized(w); // sizes, moves to another display, minimised, uncovered
        break;
    case SDL_KEYDOWN:
    case SDL_TEXTINPUT:
        input_event(w, event);
        break;
    case SDL_MOUSEBUTTONDOWN:
    case SDL_MOUSEBUTTONUP:
        clicked(w, &event->button);
        grip(w, &event->button);
        break;
    case SDL_MOUSEMOTION:
        drag(w, &event->motion);
        break;
    case SDL_MOUSEWHEEL:
        wheel(w, &event->wheel);
        break;
    }
}

static bool is_playing(const struct window *w)
{
    return !w->ended && !w->failed && !ag_pipeline_paused(w->pipeline);
}

// A paused, ended or failed program sleeps until something happens.
static void handle_events(struct window *w, bool sleep)
{
    SDL_Event event;
    if (sleep && SDL_WaitEventTimeout(&event, IDLE_MS)) {
        handle_event(w, &event);
    }
    while (SDL_PollEvent(&event)) {
        handle_event(w, &event);
    }
}

// ---- a frame ---------------------------------------------------------------------------------

// false: the run is over; *err says why if it failed.
static bool tick(struct window *w, struct ag_error *err)
{
    struct ag_error cause = { 0 };
    bool busy = is_playing(w) || ag_pipeline_is_moving(w->pipeline);
    enum ag_tick result = ag_pipeline_tick(w->pipeline, busy ? TICK_NS : 0, &cause);
    session_collect(&w->session);
    switch (result) {
    case AG_TICK_FRAME:
        w->composed++;
        if (!session_composed(&w->session, &cause)) {
            window_notice(w, cause.text, true);
            ag_warn(w->log, "%s", cause.text);
            if (w->output.status == AG_OK) {
                w->output = cause;
            }
        }
        break;
    case AG_TICK_NONE:
        break;
    case AG_TICK_END:
        if (!w->ended && play_next(w)) {
            break;
        }
        w->redraw = w->redraw || !w->ended;
        w->ended = true;
        break;
    case AG_TICK_ERROR:
        *err = cause;
        w->failed = true;
        if (w->config->frames || cause.status == AG_ERR_DEVICE_LOST) {
            return false; // nobody to read it, or nothing to show it on
        }
        window_notice(w, cause.text, true);
        ag_screen_refresh(w->screen);
        break;
    }
    bool over = session_done(&w->session, w->composed) || (w->config->frames && w->ended);
    return !over;
}

static void show_notices(struct window *w)
{
    char text[768];
    bool failure;
    if (takeaway_notice(&w->session.takeaway, text, sizeof(text), &failure)) {
        window_notice(w, text, failure);
    }
    const char *notice = ag_pipeline_notice(w->pipeline);
    if (strcmp(notice, w->notice) != 0) {
        snprintf(w->notice, sizeof(w->notice), "%s", notice);
        if (notice[0]) {
            window_notice(w, notice, false);
        }
    }
}

static struct ag_hud_input mouse(struct window *w)
{
    int x, y;
    SDL_GetMouseState(&x, &y);
    float scale = (float)display_scale(w);
    struct ag_hud_input input = {
        .now_ns = ag_now_ns(), .mouse_x = -1, .mouse_y = -1, .mouse_down = w->mouse_down
    };
    if (w->n_clicks > 0) {
        input.mouse_x = w->clicks[0].x * scale;
        input.mouse_y = w->clicks[0].y * scale;
        input.mouse_down = w->clicks[0].down;
    } else if (SDL_GetMouseFocus() == w->sdl) {
        input.mouse_x = (float)x * scale;
        input.mouse_y = (float)y * scale;
    }
    return input;
}

static void mouse_seen(struct window *w)
{
    if (w->n_clicks > 0) {
        w->mouse_down = w->clicks[0].down;
        w->n_clicks--;
        memmove(w->clicks, w->clicks + 1, w->n_clicks * sizeof(w->clicks[0]));
    }
}

static void act(struct window *w, const struct ag_hud_actions *actions)
{
    struct ag_error err = { 0 };
    if (actions->set_quality) {
        if (!ag_pipeline_set_quality(w->pipeline, actions->quality, &err)) {
            window_notice(w, err.text, false);
        }
        ag_screen_refresh(w->screen);
    }
    if (actions->seek) {
        w->has_wish = true;
        w->wished_ns = actions->seek_ns;
    }
    if (actions->switch_source) {
        input_switch_source(w);
    }
}

static bool draw(struct window *w, struct ag_error *err)
{
    struct ag_screen_frame frame = {
        .pipeline = w->pipeline,
        .stats = w->session.stats,
        .ended = w->ended || w->failed,
        .input = mouse(w),
    };
    takeaway_describe(&w->session.takeaway, &frame);
    if (!w->redraw && !w->n_clicks && !ag_screen_wants_draw(w->screen, &frame)) {
        return true;
    }
    struct ag_hud_actions actions;
    switch (ag_screen_draw(w->screen, &frame, &actions, err)) {
    case AG_PRESENTER_READY:
        w->redraw = false;
        mouse_seen(w);
        act(w, &actions);
        return true;
    case AG_PRESENTER_SKIP:
        return true;
    case AG_PRESENTER_ERROR:
        return false;
    }
    return false;
}

// false: failed, *err says why.
static bool loop(struct window *w, bool *complete, struct ag_error *err)
{
    bool idle = false;
    while (!w->quit) {
        handle_events(w, idle);
        if (app_interrupted()) {
            *complete = false;
            return true;
        }
        if (!w->failed && !w->quit && !tick(w, err)) {
            return !w->failed;
        }
        // One seek after the other: a bar that is dragged shows pictures all the way.
        if (w->has_wish && !ag_pipeline_is_moving(w->pipeline)) {
            w->has_wish = false;
            window_seek(w, w->wished_ns);
        }
        show_notices(w);
        if (!draw(w, err)) {
            w->failed = true;
            break;
        }
        idle = !is_playing(w) && !w->n_clicks && !ag_pipeline_is_moving(w->pipeline);
    }
    *complete = !w->config->frames; // closed before the frames asked for
    return !w->failed;
}

static bool run(struct window *w, int64_t start_ns, struct ag_error *err)
{
    struct ag_hud_key keys[MAX_KEYS];
    bool complete = true;
    if (!choose_first(w, err)) {
        return false;
    }
    w->pipeline = ag_pipeline_create(w->log, &w->own, w->gpu, err);
    if (!w->pipeline || !open_screen(w, keys, err) ||
        !session_begin(&w->session, w->log, w->config, w->gpu, w->pipeline, start_ns, err)) {
        return false;
    }
    w->session.screen = w->screen;
    w->redraw = true;
    bool ok = loop(w, &complete, err);
    ok = session_finish(&w->session, complete && ok, err) && ok;
    if (ok && w->output.status != AG_OK) {
        ok = ag_fail(err, w->output.status, "%s", w->output.text);
    }
    return ok;
}

int app_run_window(const struct ag_log *log, const struct ag_config *config, int64_t start_ns,
                   struct ag_error *err)
{
    struct window w = { .log = log, .config = config };
    snprintf(w.model, sizeof(w.model), "%s", config->model);
    bool ok = open_sdl(&w, err) && open_gpu(&w, err) && run(&w, start_ns, err);
    ag_screen_destroy(&w.screen);
    ag_pipeline_destroy(&w.pipeline);
    if (ok && config->validation && ag_gpu_get_counters(w.gpu).validation_messages) {
        ok = ag_fail(err, AG_ERR_DEVICE, "the validation layers had %llu messages",
                     (unsigned long long)ag_gpu_get_counters(w.gpu).validation_messages);
    }
    ag_gpu_destroy(&w.gpu);
    playlist_clear(&w.list);
    playlist_clear(&w.dropped);
    if (w.sdl) {
        SDL_DestroyWindow(w.sdl);
    }
    SDL_Quit();
    return ok ? AG_OK : (int)err->status;
}
