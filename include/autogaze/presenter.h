// Puts pictures on a target: a window's swapchain or an offscreen image. The HUD draws into the
// same target between begin and end:
//
//     switch (ag_presenter_begin(p, frame_id, &frame, &err)) {
//     case AG_PRESENTER_READY:
//         ag_presenter_draw(p, pictures, n);
//         ag_presenter_overlay(p); // if something lies over the pictures
//         ag_hud_draw(hud, &frame);
//         ag_presenter_end(p, &err);
//
// Pictures are drawn by compute kernels into the target's image or, where those cannot write it,
// into a buffer, which is copied to it.
// Colour: pictures and HUD are sRGB-coded bytes and reach the screen unchanged; a UNORM target is
// preferred, on an sRGB one the HUD draws decoded values, which it encodes again.
// A window that is resized, minimised, hidden or lost is a state (SKIP), not an error; everything
// is made anew with the next begin. The device goes idle only then and in destroy.
// Thread-safety: render thread.
#ifndef AUTOGAZE_PRESENTER_H
#define AUTOGAZE_PRESENTER_H

#include "autogaze/config.h"
#include "autogaze/gpu.h"
#include "autogaze/view.h"

struct ag_presenter_params {
    uint32_t width, height;        // of the drawable in pixels
    enum ag_present_mode mode;     // what the surface lacks becomes FIFO, with a warning
    // Makes a VkSurfaceKHR (as bits) for a VkInstance; called again when the surface was lost.
    // NULL: offscreen. The presenter owns the surface.
    bool (*create_surface)(void *user, void *instance, uint64_t *surface, struct ag_error *err);
    void *user;
    bool capture;                  // offscreen, for end_into: its GPU time is stage EXPORT, not
                                   // PRESENT
};

struct ag_presenter;
// AG_ERR_DEVICE where the device cannot draw or cannot present to the surface.
struct ag_presenter *ag_presenter_create(const struct ag_log *log, struct ag_gpu *gpu,
                                         const struct ag_presenter_params *params,
                                         struct ag_error *err);
void ag_presenter_destroy(struct ag_presenter **p);
// Size of the drawable from the next begin on; 0x0: minimised.
void ag_presenter_resize(struct ag_presenter *p, uint32_t width, uint32_t height);

enum ag_presenter_state {
    AG_PRESENTER_READY, // draw, then end
    AG_PRESENTER_SKIP,  // nothing to draw on now (minimised, hidden, about to change): try later
    AG_PRESENTER_ERROR,
};
struct ag_target {                 // valid from begin to end
    struct ag_cmd *cmd;
    uint32_t width, height;        // as the surface has it: may differ from what resize said
    uint32_t format;               // VkFormat, for pipelines that draw into the target
    int64_t waited_ns;             // how long begin waited for display and frame slot
};
// Waits for the display as the mode says and for the frame before last. Clears to `background`
// (RGBA8, R in the lowest byte). `frame_id` comes back with the GPU times. [stage PRESENT]
enum ag_presenter_state ag_presenter_begin(struct ag_presenter *p, uint64_t frame_id,
                                           uint32_t background, struct ag_target *out,
                                           struct ag_error *err);
// Instead of the plain background. Before the draw.
struct ag_backdrop {
    uint64_t image;                // VkImage as bits, of the target's size and format, ready to be
                                   // copied from
    uint64_t version;              // two that look different have different ones
};
void ag_presenter_backdrop(struct ag_presenter *p, const struct ag_backdrop *backdrop);
struct ag_picture_panel {
    const struct ag_buffer *picture; // RGBA8 [height][width]; NULL: plain background
    uint32_t width, height;
    struct ag_rect where;            // the caller keeps the aspect
    bool use_alpha;                  // transparent pixels show `background`
    uint32_t background;
    // Shows how `picture` and this one, of the same size, differ: the largest difference of R, G, B
    // from black over red to white, which stands for 64 levels and more.
    const struct ag_buffer *other;
    struct ag_part {                 // of the picture, in its pixels; width 0: all of it
        double x, y, width, height;
    } part;
    struct ag_rect only;             // of `where` only this is drawn; width 0: all of it
};
// Area-weighted where the picture shrinks, nearest pixel where it grows. Once a frame, at most four
// panels that do not overlap. All pictures are of one size, show the same part and are drawn at one
// size; there are at most three of them, and one pair whose difference is shown. [stage PRESENT]
void ag_presenter_draw(struct ag_presenter *p, const struct ag_picture_panel *panels, uint32_t n);
// After that: what is drawn from here to the end (vkCmdDraw*) lies over it. [stage HUD]
void ag_presenter_overlay(struct ag_presenter *p);
// Submits and presents. Returns the timeline value, 0 on failure.
uint64_t ag_presenter_end(struct ag_presenter *p, struct ag_error *err);

// The same, offscreen, and copies the target to `to` (READBACK, width * height * 4 bytes): RGBA8
// without padding, there for the host once the timeline has passed the returned value.
uint64_t ag_presenter_end_into(struct ag_presenter *p, const struct ag_buffer *to,
                               struct ag_error *err);

// Offscreen only: what was drawn last, RGBA8 [height][width] (waits).
bool ag_presenter_read(struct ag_presenter *p, uint8_t *rgba, struct ag_error *err);
// Times the swapchain was made (offscreen: the image), for tests.
uint32_t ag_presenter_generations(const struct ag_presenter *p);

#endif
