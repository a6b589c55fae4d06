// What the person sees, put together: presenter, HUD and layout over a pipeline. Windows, headless
// screenshots and benches all draw through here.
//
//     ag_screen_observe(screen, &report);              // every report, before the statistics
//     if (ag_screen_wants_draw(screen, &frame)) {
//         ag_screen_draw(screen, &frame, &actions, &err);
//     }
//
// The numbers of the HUD are refreshed five times a second, and only when reports have come in or
// ag_screen_refresh was called: a paused program draws nothing.
// Thread-safety: render thread.
#ifndef AUTOGAZE_SCREEN_H
#define AUTOGAZE_SCREEN_H

#include "autogaze/hud.h"
#include "autogaze/pipeline.h"
#include "autogaze/presenter.h"

struct ag_screen_params {
    struct ag_presenter_params target; // window or offscreen
    struct ag_hud_params hud;
};
struct ag_screen;
struct ag_screen *ag_screen_create(const struct ag_log *log, struct ag_gpu *gpu,
                                   const struct ag_screen_params *params, struct ag_error *err);
void ag_screen_destroy(struct ag_screen **screen);
struct ag_presenter *ag_screen_presenter(struct ag_screen *screen);
struct ag_hud *ag_screen_hud(struct ag_screen *screen);

// Keeps what the HUD needs of a report and adds the host time that drawing the frame took (stages
// HUD and PRESENT). A NULL screen is legal.
void ag_screen_observe(struct ag_screen *screen, struct ag_frame_report *report);

struct ag_screen_frame {
    struct ag_pipeline *pipeline;
    struct ag_stats *stats;
    bool ended;                      // the source has ended
    struct ag_hud_input input;
};
void ag_screen_refresh(struct ag_screen *screen); // numbers anew with the next draw
bool ag_screen_wants_draw(const struct ag_screen *screen, const struct ag_screen_frame *frame);
// Draws the pipeline's last pictures and the HUD, and presents. SKIP: the target is not there now.
enum ag_presenter_state ag_screen_draw(struct ag_screen *screen,
                                       const struct ag_screen_frame *frame,
                                       struct ag_hud_actions *actions, struct ag_error *err);

// Panels and HUD as they are on the target now, into a PNG (waits). Before the first draw of a
// window its size is the one it was created with. AG_ERR_OUTPUT, AG_ERR_DEVICE.
bool ag_screen_write_png(struct ag_screen *screen, const struct ag_screen_frame *frame,
                         const char *path, struct ag_error *err);

#endif
