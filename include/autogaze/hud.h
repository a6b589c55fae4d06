// The head-up display: labels above the panels, pages of numbers beside them (never over them), a
// status row, notices, a help overlay. It draws Dear ImGui's triangles into any target the
// presenter hands out, windows and offscreen images alike.
//
// It knows no stages and asks nobody: the program fills struct ag_hud_data a few times a second
// (ag_hud_update copies and formats it); drawing a frame only repeats what was formatted, formats
// nothing and allocates nothing. Numbers are fixed-width (S7.1), so nothing jumps; sizes of the
// pages depend on window, picture shape, page and scale alone.
// Thread-safety: render thread.
#ifndef AUTOGAZE_HUD_H
#define AUTOGAZE_HUD_H

#include "autogaze/presenter.h"
#include "autogaze/report.h"

#define AG_HUD_HISTORY 240   // frames in the graph

struct ag_hud_key {          // a row of the help overlay
    const char *key, *help;
};

struct ag_hud_params {
    enum ag_hud_page page;
    // Text size: 1 is 16 pixels. 0: follows the window from 0.75 to 1.5 (1 at 1280x720), times
    // display_scale.
    double scale, display_scale; // display_scale 0: 1
    const struct ag_hud_key *keys; // static; NULL: no help overlay, no hint at it
    uint32_t n_keys;
};
struct ag_hud;
struct ag_hud *ag_hud_create(const struct ag_log *log, struct ag_gpu *gpu,
                             const struct ag_hud_params *params, struct ag_error *err);
void ag_hud_destroy(struct ag_hud **hud);
void ag_hud_set_page(struct ag_hud *hud, enum ag_hud_page page);
enum ag_hud_page ag_hud_get_page(const struct ag_hud *hud);
void ag_hud_set_display_scale(struct ag_hud *hud, double scale);
void ag_hud_show_help(struct ag_hud *hud, bool show);
bool ag_hud_help_shown(const struct ag_hud *hud);

// What is shown. NULL pointers and NAN numbers are shown as unknown.
struct ag_hud_data {
    const struct ag_stats_snapshot *stats;
    const struct ag_run_info *run;
    const struct ag_frame_report *report;     // the newest one
    const float *interval_ms, *gpu_ms;        // oldest first, at most AG_HUD_HISTORY
    uint32_t n_history;
    double render_fps, mask_fps;              // cadence: new pictures, new masks a second
    bool has_quality, quality_db, quality_off; // false: no slider
    double quality, quality_min, quality_max, quality_step;
    bool can_switch_source;                   // shows the mask-source button
    const char *style, *geometry, *output;    // names of the modes in force
    uint64_t frame_id;
    int64_t position_ns, duration_ns;         // duration < 0: unknown
    bool paused, ended;
    double zoom;                              // of the pictures; 0 and 1: none
    uint32_t palette;                         // of the mask's colours
    bool recording;
    int64_t recorded_ns;
    uint64_t recorded_drops;                  // frames left out of the recording
};
// Call it 4 to 10 times a second, and once when something else has changed.
void ag_hud_update(struct ag_hud *hud, const struct ag_hud_data *data);

// A sentence for the person. Notices fade after some seconds, errors stay until dismissed.
void ag_hud_notice(struct ag_hud *hud, const char *text, bool error, int64_t now_ns);
bool ag_hud_dismiss(struct ag_hud *hud); // drops the error; false: there was none

// Rectangles for a target of this size. Pictures get the largest place that page and window allow;
// blocks of a page that would shrink them below 70 % are left out.
void ag_hud_layout(struct ag_hud *hud, uint32_t width, uint32_t height,
                   const struct ag_shape *picture, enum ag_view_layout pictures,
                   struct ag_view *out);
// The same without HUD and labels, every picture at its own size (pixels made square), shrunk if a
// side would be longer than max_side: what recordings and screenshots show.
void ag_view_bare(const struct ag_shape *picture, enum ag_view_layout pictures, uint32_t max_side,
                  struct ag_view *out);

struct ag_hud_input {
    int64_t now_ns;
    float mouse_x, mouse_y;      // target pixels
    bool mouse_down;
};
struct ag_hud_actions {
    bool set_quality;            // to `quality`
    double quality;
    bool switch_source;
    bool seek;                   // to `seek_ns`
    int64_t seek_ns;
};
// Labels and cards, drawn into a picture of the HUD's own when they change, a few times a second:
//
//     ag_hud_backdrop(hud, &target, &view, &input, &actions, &backdrop, &err);
//     ag_presenter_backdrop(presenter, &backdrop);
//     ag_presenter_draw(presenter, panels, n);
//     if (ag_hud_has_overlay(hud)) {       // help, sentences
//         ag_presenter_overlay(presenter);
//         ag_hud_draw(hud, &target);
//     }
//
// `view` is that of ag_hud_layout for the target's size. [stage HUD]
bool ag_hud_backdrop(struct ag_hud *hud, const struct ag_target *target, const struct ag_view *view,
                     const struct ag_hud_input *input, struct ag_hud_actions *actions,
                     struct ag_backdrop *out, struct ag_error *err);
bool ag_hud_has_overlay(const struct ag_hud *hud);
void ag_hud_draw(struct ag_hud *hud, const struct ag_target *target);
// Whether the next draw would look different (something fades, moves under the mouse, is new).
bool ag_hud_wants_draw(const struct ag_hud *hud, const struct ag_hud_input *input);
uint32_t ag_hud_background(void); // RGBA8 behind everything
uint32_t ag_hud_panel_background(void); // behind transparent pixels of the mask panel

#endif
