#include "window.h"

#include <math.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "autogaze/tiles.h"

// What keys do: one table, from which the help overlay is made, too.

static void changed(struct window *w)
{
    ag_screen_refresh(w->screen);
    w->redraw = true;
}

// ---- actions ---------------------------------------------------------------------------------

static bool is_fullscreen(struct window *w)
{
    return SDL_GetWindowFlags(w->sdl) & SDL_WINDOW_FULLSCREEN_DESKTOP;
}

static void set_fullscreen(struct window *w, bool on)
{
    if (SDL_SetWindowFullscreen(w->sdl, on ? SDL_WINDOW_FULLSCREEN_DESKTOP : 0) != 0) {
        window_notice(w, "this display has no fullscreen", false);
    }
}

static void leave(struct window *w, int unused)
{
    (void)unused;
    if (ag_hud_help_shown(ag_screen_hud(w->screen))) {
        ag_hud_show_help(ag_screen_hud(w->screen), false);
    } else if (is_fullscreen(w)) {
        set_fullscreen(w, false);
    } else {
        w->quit = true;
    }
}

static void pause_or_play(struct window *w, int unused)
{
    (void)unused;
    ag_pipeline_set_paused(w->pipeline, !ag_pipeline_paused(w->pipeline));
}

static void step(struct window *w, int unused)
{
    (void)unused;
    ag_pipeline_set_paused(w->pipeline, true);
    ag_pipeline_step(w->pipeline);
}

static void step_back(struct window *w, int unused)
{
    (void)unused;
    struct ag_error err = { 0 };
    if (!ag_pipeline_step_back(w->pipeline, &err)) {
        window_notice(w, err.text, false);
        return;
    }
    w->ended = false;
}

static void seek(struct window *w, int seconds)
{
    int64_t at = ag_pipeline_pictures(w->pipeline).pts_ns + seconds * (int64_t)1000000000;
    window_seek(w, AG_MAX(at, 0));
}

// In a list the next file, in a folder of pictures the next picture.
static void next_file(struct window *w, int direction)
{
    struct ag_run_info info;
    ag_pipeline_info(w->pipeline, &info);
    if (w->list.n > 1) {
        window_open_item(w, direction);
    } else if (strcmp(info.source.driver, "image") == 0 && info.source.duration_ns > 0) {
        (direction > 0 ? step : step_back)(w, 0);
    } else {
        window_notice(w, "there is no other file: name several, or a folder", false);
    }
}

static void change_rate(struct window *w, int direction)
{
    double rate = ag_pipeline_get_rate(w->pipeline) * (direction > 0 ? 2 : 0.5);
    char text[64];
    ag_pipeline_set_rate(w->pipeline, AG_CLAMP(rate, 1.0 / 16, 16));
    snprintf(text, sizeof(text), "playback rate %g", ag_pipeline_get_rate(w->pipeline));
    window_notice(w, text, false);
}

static void set_live(struct window *w, const struct ag_live *live)
{
    struct ag_error err = { 0 };
    if (!ag_pipeline_set_live(w->pipeline, live, &err)) {
        window_notice(w, err.text, false);
    }
}

enum mode {
    MODE_SOURCE, MODE_TILES, MODE_GEOMETRY, MODE_STYLE, MODE_OUTPUT, MODE_DISPATCH, MODE_PALETTE
};

static void next_mode(struct window *w, int mode)
{
    struct ag_live live = ag_pipeline_get_live(w->pipeline);
    switch ((enum mode)mode) {
    case MODE_SOURCE:
        live.mask_source = (live.mask_source + 1) % AG_MASK_COUNT;
        break;
    case MODE_TILES:
        live.mode = (live.mode + 1) % (AG_MODE_TILED_FULL + 1);
        break;
    case MODE_GEOMETRY:
        live.geometry = (live.geometry + 1) % (AG_GEOMETRY_EFFECTIVE + 1);
        break;
    case MODE_STYLE:
        live.style = (live.style + 1) % (AG_STYLE_SCALE_ROWS + 1);
        break;
    case MODE_OUTPUT:
        live.output = (live.output + 1) % (AG_OUTPUT_FULL_BLEND + 1);
        break;
    case MODE_DISPATCH:
        live.dispatch = (live.dispatch + 1) % (AG_DISPATCH_DENSE + 1);
        break;
    case MODE_PALETTE:
        live.palette = !live.palette;
        break;
    }
    set_live(w, &live);
}

void input_switch_source(struct window *w)
{
    next_mode(w, MODE_SOURCE);
    changed(w);
}

// Off, or what the option says, else 33 dB.
static void toggle_repair(struct window *w, int unused)
{
    (void)unused;
    struct ag_live live = ag_pipeline_get_live(w->pipeline);
    bool on = isnan(live.repair_db);
    double wished = w->config->repair_db;
    live.repair_db = !on ? NAN : isnan(wished) ? 33 : (float)wished;
    struct ag_error err = { 0 };
    char text[64];
    if (!ag_pipeline_set_live(w->pipeline, &live, &err)) {
        window_notice(w, err.text, false);
        return;
    }
    snprintf(text, sizeof(text), on ? "repair: cells below %.0f dB are updated too" : "repair off",
             (double)live.repair_db);
    window_notice(w, text, false);
}

// The usable model behind the one in use.
static void next_model(struct window *w, int unused)
{
    (void)unused;
    if (w->config->export_gaze) {
        window_notice(w, "the gaze file is this model's: start without --export-gaze", false);
        return;
    }
    struct ag_model_listing *models = ag_alloc(16 * sizeof(*models));
    int n = ag_model_list(models, 16), now = -1;
    char text[128] = "no other model: --list-models shows where they are looked for";
    for (int i = 0; i < n; i++) {
        now = strcmp(w->model, models[i].name) == 0 ? i : now;
    }
    for (int k = 1; k <= n; k++) {
        const struct ag_model_listing *m = &models[(now + k) % n];
        if (!m->usable || (now + k) % n == now) {
            continue;
        }
        struct ag_error err = { 0 };
        if (ag_pipeline_set_model(w->pipeline, m->name, &err)) {
            snprintf(text, sizeof(text), "model: %s", m->name);
            snprintf(w->model, sizeof(w->model), "%s", m->name);
        } else {
            window_notice(w, err.text, false);
            text[0] = 0;
        }
        break;
    }
    if (text[0]) {
        window_notice(w, text, false);
    }
    ag_free(models);
}

static void keyframe(struct window *w, int unused)
{
    (void)unused;
    ag_pipeline_force_keyframe(w->pipeline);
    window_notice(w, "the next frame is a keyframe", false);
}

static void reset_context(struct window *w, int unused)
{
    (void)unused;
    ag_pipeline_reset_context(w->pipeline);
    window_notice(w, "the model forgets what it has seen", false);
}

// Right is better: more decibels, or a lower threshold.
static void change_quality(struct window *w, int direction)
{
    struct ag_error err = { 0 };
    struct ag_quality q = ag_pipeline_quality(w->pipeline);
    double value = q.value + (q.db ? direction : -direction) * q.step;
    if (!ag_pipeline_set_quality(w->pipeline, AG_CLAMP(value, q.min, q.max), &err)) {
        window_notice(w, err.text, false);
    }
}

static void next_page(struct window *w, int unused)
{
    (void)unused;
    struct ag_hud *hud = ag_screen_hud(w->screen);
    ag_hud_set_page(hud, (ag_hud_get_page(hud) + 1) % AG_HUD_COUNT);
}

static void toggle_fullscreen(struct window *w, int unused)
{
    (void)unused;
    set_fullscreen(w, !is_fullscreen(w));
}

static void toggle_help(struct window *w, int unused)
{
    (void)unused;
    struct ag_hud *hud = ag_screen_hud(w->screen);
    ag_hud_show_help(hud, !ag_hud_help_shown(hud));
}

// A name of now that nothing has yet, with its folder: the person has to find it.
static void file_name(char *out, size_t size, const char *ending)
{
    char dir[600] = "", date[32];
    time_t now = time(NULL);
    struct tm local;
    if (!getcwd(dir, sizeof(dir) - 1)) {
        dir[0] = 0;
    }
    strcat(dir, dir[0] ? "/" : "");
    strftime(date, sizeof(date), "%Y%m%d-%H%M%S", localtime_r(&now, &local));
    snprintf(out, size, "%sautogaze-%s%s", dir, date, ending);
    for (int i = 2; access(out, F_OK) == 0 && i < 1000; i++) {
        snprintf(out, size, "%sautogaze-%s-%d%s", dir, date, i, ending);
    }
}

static void screenshot(struct window *w, int unused)
{
    (void)unused;
    struct ag_error err = { 0 };
    char name[700];
    file_name(name, sizeof(name), ".png");
    if (!session_screenshot(&w->session, name, &err)) {
        window_notice(w, err.text, true);
    } // the writer says when it is there
}

static void write_summary(struct window *w, int unused)
{
    (void)unused;
    struct ag_error err = { 0 };
    char name[700], text[768];
    file_name(name, sizeof(name), ".json");
    bool ok = session_summary(&w->session, name, &err);
    snprintf(text, sizeof(text), "wrote '%s'", name);
    window_notice(w, ok ? text : err.text, !ok);
}

static void record(struct window *w, int unused)
{
    (void)unused;
    struct takeaway *t = &w->session.takeaway;
    struct ag_screen_frame frame = session_frame(&w->session);
    struct ag_error err = { 0 };
    char name[700];
    if (takeaway_recording(t)) {
        takeaway_stop(t);
        return;
    }
    file_name(name, sizeof(name), ".mp4");
    if (!takeaway_start(t, w->screen, &frame, name, &err)) {
        window_notice(w, err.text, true);
    }
}

// ---- what is shown ---------------------------------------------------------------------------

static void next_layout(struct window *w, int unused)
{
    (void)unused;
    enum ag_view_layout now = ag_screen_get_layout(w->screen);
    ag_screen_set_layout(w->screen, (now + 1) % AG_VIEW_LAYOUTS);
    w->back = ag_screen_get_layout(w->screen);
}

// One panel alone; the same key again goes back.
static void solo(struct window *w, int layout)
{
    enum ag_view_layout now = ag_screen_get_layout(w->screen);
    bool again = now == (enum ag_view_layout)layout;
    if (now == AG_VIEW_PANELS || now == AG_VIEW_GRID || now == AG_VIEW_WIPE) {
        w->back = now;
    } else if (w->back == now) {
        w->back = AG_VIEW_PANELS;
    }
    ag_screen_set_layout(w->screen, again ? w->back : (enum ag_view_layout)layout);
}

static void reset_zoom(struct window *w, int unused)
{
    (void)unused;
    ag_screen_reset_zoom(w->screen);
}

// ---- table -----------------------------------------------------------------------------------

struct key {
    SDL_Keycode code;       // 0: by character, wherever the keyboard has it
    char character;
    bool repeats;
    const char *name, *help; // as in the help overlay; NULL: in the row above
    void (*act)(struct window *w, int argument);
    int argument;
};

static const struct key keys[] = {
    { SDLK_ESCAPE, 0, false, "Esc", "leave fullscreen, then quit", leave, 0 },
    { SDLK_SPACE, 0, false, "Space", "pause, play", pause_or_play, 0 },
    { 0, '.', true, ".", "one frame, then pause", step, 0 },
    { 0, ',', true, ",", "one frame back, then pause", step_back, 0 },
    { SDLK_LEFT, 0, true, "Left", "back 5 seconds", seek, -5 },
    { SDLK_RIGHT, 0, true, "Right", "on 5 seconds", seek, 5 },
    { SDLK_DOWN, 0, true, "Down", "back a minute", seek, -60 },
    { SDLK_UP, 0, true, "Up", "on a minute", seek, 60 },
    { SDLK_PAGEUP, 0, true, "PageUp", "file before, or picture of a folder", next_file, -1 },
    { SDLK_PAGEDOWN, 0, true, "PageDown", "next file or picture", next_file, 1 },
    { 0, '<', false, "<", "half the playback rate", change_rate, -1 },
    { 0, '>', false, ">", "twice the playback rate", change_rate, 1 },
    { SDLK_n, 0, false, "N", "next model of --list-models", next_model, 0 },
    { SDLK_s, 0, false, "S", "mask source: model, differences", next_mode, MODE_SOURCE },
    { SDLK_e, 0, false, "E", "repair what the mask misses", toggle_repair, 0 },
    { SDLK_t, 0, false, "T", "model sees: whole frame, tiles", next_mode, MODE_TILES },
    { 0, '[', true, "[", "lower quality: 1 dB or 0.01", change_quality, -1 },
    { 0, ']', true, "]", "higher quality", change_quality, 1 },
    { SDLK_g, 0, false, "G", "mask geometry", next_mode, MODE_GEOMETRY },
    { SDLK_m, 0, false, "M", "mask style", next_mode, MODE_STYLE },
    { SDLK_v, 0, false, "V", "output: interframe, full-blend", next_mode, MODE_OUTPUT },
    { SDLK_d, 0, false, "D", "dispatch: auto, sparse, dense", next_mode, MODE_DISPATCH },
    { SDLK_b, 0, false, "B", "colours for the colour-blind", next_mode, MODE_PALETTE },
    { SDLK_k, 0, false, "K", "keyframe now", keyframe, 0 },
    { SDLK_c, 0, false, "C", "reset the model's context", reset_context, 0 },
    { SDLK_l, 0, false, "L", "layout: panels, one, grid, wipe", next_layout, 0 },
    { SDLK_1, 0, false, "1 2 3 4", "one picture: 4 is the difference", solo, AG_VIEW_INPUT },
    { SDLK_2, 0, false, NULL, NULL, solo, AG_VIEW_MASK },
    { SDLK_3, 0, false, NULL, NULL, solo, AG_VIEW_OUTPUT },
    { SDLK_4, 0, false, NULL, NULL, solo, AG_VIEW_DIFFERENCE },
    { SDLK_z, 0, false, "Z", "ends zoom (wheel, drag)", reset_zoom, 0 },
    { SDLK_h, 0, false, "H", "HUD: off, compact, stages, gaze", next_page, 0 },
    { SDLK_f, 0, false, "F", "fullscreen", toggle_fullscreen, 0 },
    { SDLK_p, 0, false, "P", "screenshot", screenshot, 0 },
    { SDLK_r, 0, false, "R", "record, end the recording", record, 0 },
    { SDLK_w, 0, false, "W", "write all numbers (JSON)", write_summary, 0 },
    { 0, '?', false, "?", "this help", toggle_help, 0 },
};

uint32_t input_keys(struct ag_hud_key *out, uint32_t max)
{
    uint32_t n = 0;
    for (uint32_t i = 0; i < AG_COUNT(keys) && n < max; i++) {
        if (keys[i].name) {
            out[n++] = (struct ag_hud_key){ keys[i].name, keys[i].help };
        }
    }
    return n;
}

static const struct key *find(const SDL_Event *event)
{
    for (size_t i = 0; i < AG_COUNT(keys); i++) {
        const struct key *k = &keys[i];
        const SDL_Keysym *sym = &event->key.keysym;
        bool other = event->type == SDL_KEYDOWN && (sym->mod & (KMOD_CTRL | KMOD_ALT | KMOD_GUI));
        if (event->type == SDL_KEYDOWN && k->code && k->code == sym->sym && !other &&
            (k->repeats || !event->key.repeat)) {
            return k;
        }
        if (event->type == SDL_TEXTINPUT && k->character && event->text.text[0] == k->character &&
            !event->text.text[1]) {
            return k;
        }
    }
    return NULL;
}

void input_event(struct window *w, const SDL_Event *event)
{
    // The first press takes an error away and does nothing else. (A character follows its key.)
    if (event->type == SDL_KEYDOWN && ag_hud_dismiss(ag_screen_hud(w->screen))) {
        SDL_FlushEvent(SDL_TEXTINPUT);
        w->redraw = true;
        return;
    }
    const struct key *key = find(event);
    if (key) {
        key->act(w, key->argument);
        changed(w);
    }
}
