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
    enum ag_view_layout layout;
};
struct ag_screen;
struct ag_screen *ag_screen_create(const struct ag_log *log, struct ag_gpu *gpu,
                                   const struct ag_screen_params *params, struct ag_error *err);
void ag_screen_destroy(struct ag_screen **screen);
struct ag_presenter *ag_screen_presenter(struct ag_screen *screen);
struct ag_hud *ag_screen_hud(struct ag_screen *screen);

// Keeps what the HUD needs of a report and adds the host time that drawing the frame took (stages
// HUD, PRESENT and EXPORT). A NULL screen is legal.
void ag_screen_observe(struct ag_screen *screen, struct ag_frame_report *report);

struct ag_screen_frame {
    struct ag_pipeline *pipeline;
    struct ag_stats *stats;
    bool ended;                      // the source has ended
    struct ag_hud_input input;
    bool recording;
    int64_t recorded_ns;
    uint64_t recorded_drops;
};
void ag_screen_refresh(struct ag_screen *screen); // numbers anew with the next draw
bool ag_screen_wants_draw(const struct ag_screen *screen, const struct ag_screen_frame *frame);
// Draws the pipeline's last pictures and the HUD, and presents. SKIP: the target is not there now.
enum ag_presenter_state ag_screen_draw(struct ag_screen *screen,
                                       const struct ag_screen_frame *frame,
                                       struct ag_hud_actions *actions, struct ag_error *err);

// ---- what is shown, and which part of it -----------------------------------------------------
void ag_screen_set_layout(struct ag_screen *screen, enum ag_view_layout layout);
enum ag_view_layout ag_screen_get_layout(const struct ag_screen *screen);
// All pictures show the same part. `factor` > 1 goes nearer; what is under the point (target
// pixels) stays there. false: no picture is there.
bool ag_screen_zoom(struct ag_screen *screen, double x, double y, double factor);
void ag_screen_reset_zoom(struct ag_screen *screen);
// What the pointer would drag there; then drag it by moving the pointer to x, y.
enum ag_grip { AG_GRIP_NONE, AG_GRIP_PICTURE, AG_GRIP_DIVIDER };
enum ag_grip ag_screen_grip(struct ag_screen *screen, double x, double y);
void ag_screen_drag(struct ag_screen *screen, double x, double y);

// ---- pictures to take home -------------------------------------------------------------------
// Without `hud` the layout's pictures as a whole, each at its own size (shrunk if the device has no
// images that large), in the colours of the screen but with plain black where a mask is
// transparent; with `hud` everything as on the target now. Before the first frame the size is 0x0.
// Before the first draw of a window its size is the one it was created with.
void ag_screen_capture_size(const struct ag_screen *screen, const struct ag_screen_frame *frame,
                            bool hud, uint32_t *width, uint32_t *height);
// Draws and copies that to `to` (READBACK), without waiting: RGBA8, there for the host once the
// timeline has passed the returned value. 0: failed. [stage EXPORT]
uint64_t ag_screen_capture(struct ag_screen *screen, const struct ag_screen_frame *frame, bool hud,
                           const struct ag_buffer *to, struct ag_error *err);

#endif
