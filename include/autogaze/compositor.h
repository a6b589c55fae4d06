// Input picture + history + plan -> mask panel, new history, error sum (S6, S7), on the GPU.
//
// The history is one persistent RGBA8 picture; the output panel *is* the history. Inside the plan's
// union it takes all four bytes of the input, elsewhere it keeps its own, bit for bit.
//
// Full-blend (S6.3) writes its picture into the history buffer too, as the output panel; whoever
// changes the output mode makes the next frame a keyframe.
// With geometry `effective`, scale-rows draws `overlay`: projected cells have no scale of their
// own.
//
// Dispatch: a frame is composed by one of the paths of compose.comp. `auto` decides on the GPU, from
// the area of the plan. Which one it was comes back late, in the statistics. The pictures
// and the error sum are the same on every path.
// Thread-safety: render thread.
#ifndef AUTOGAZE_COMPOSITOR_H
#define AUTOGAZE_COMPOSITOR_H

#include "autogaze/planner.h"

struct ag_compositor;
struct ag_compositor *ag_compositor_create(struct ag_gpu *gpu, struct ag_error *err);
void ag_compositor_destroy(struct ag_gpu *gpu, struct ag_compositor **c);

struct ag_compose_style {
    enum ag_mask_style style;       // 0: image-mask-only
    enum ag_output_mode output;     // 0: interframe
    uint32_t palette;               // 0: S6.4, 1: colour-blind safe
    float blend_alpha;              // 0..1; 0.38 by default (the caller's job)
    bool psnr;                      // sum squared errors of output against input
    enum ag_dispatch dispatch;      // 0: auto
};
struct ag_compose_job {
    const struct ag_buffer *input;  // RGBA8 [height][width]
    struct ag_buffer *history;      // RGBA8, read and written
    struct ag_buffer *mask;         // RGBA8 mask panel; NULL: not wanted
    bool mask_kept;                 // it still shows what the last job of this compositor drew
                                    // into it; then only what differs is drawn
    struct ag_buffer *stats;        // struct ag_compose_stats at stats_offset
    uint64_t stats_offset;
    struct ag_plan plan;
    struct ag_compose_style style;
    uint32_t sparse_below;          // `auto`: plans of fewer pixels take the sparse path
};
// Integer sum over R, G, B of all pixels, 64 bit in two words; PSNR = 10 log10(255^2 * 3WH / sum).
struct ag_compose_stats {
    uint32_t error_low, error_high; // written if style.psnr
    uint32_t path;                  // enum ag_path
};
void ag_compositor_record(struct ag_compositor *c, struct ag_cmd *cmd,
                          const struct ag_compose_job *job); // [stage COMPOSE]
double ag_psnr_db(uint64_t error_sum, uint64_t samples); // +INFINITY only for a zero sum

// ---- the model's canvas (M11) ----
// canvas [tiles][3][S][S] float32 := input where the pixel centre ((x+0.5)/width, (y+0.5)/height)
// of the canvas (S x S; tiles: cols*S x rows*S) lies in the union of the plan's cells before
// floor/ceil; everything on a keyframe. Also sums the squared difference canvas - input, in RGB
// 0..1 units: value difference * std[c] / 2 (the inverse of the normalisation). [stage PAINT]
struct ag_canvas;
struct ag_canvas_setup {
    uint32_t side;                  // S
    uint32_t cols, rows;            // tiles, numbered row by row; 0: one
    uint32_t span_width, span_height; // canvas pixels, counted over all tiles, that the layout's
                                    // grids span; 0: all. Those behind are padding.
    struct ag_layout layout;        // as given to the planner
    enum ag_geometry geometry;
    float cell_scale;
    float std[3];                   // of preprocessor_config.json
    double rescale_factor;          // 1/127.5
};
struct ag_canvas *ag_canvas_create(struct ag_gpu *gpu, struct ag_error *err);
void ag_canvas_destroy(struct ag_gpu *gpu, struct ag_canvas **c);
bool ag_canvas_configure(struct ag_canvas *c, const struct ag_canvas_setup *setup,
                         struct ag_error *err);
// stats: struct ag_canvas_stats at stats_offset; NULL: not wanted, no work for it. The MSE is error / (3*S*S*tiles).
struct ag_canvas_stats {
    float error;                    // fixed summation order: the same on every run
};
void ag_canvas_record(struct ag_canvas *c, struct ag_cmd *cmd, const struct ag_plan *plan,
                      const struct ag_buffer *input, uint64_t input_offset,
                      struct ag_buffer *canvas, uint64_t canvas_offset, struct ag_buffer *stats,
                      uint64_t stats_offset);

// ---- plain C references (src/reference) ----
struct ag_ref_compose {
    uint32_t width, height;
    float cell_scale;
    struct ag_compose_style style;
    bool keyframe;
};
// Pictures RGBA8; `history` is updated in place; mask may be NULL. Returns the error sum.
uint64_t ag_ref_compose(const struct ag_ref_compose *p, const struct ag_ref_plan *plan,
                        const uint8_t *input, uint8_t *history, uint8_t *mask);
void ag_ref_paint(const struct ag_canvas_setup *setup, const struct ag_ref_plan *plan,
                  bool keyframe, const float *input, float *canvas);

#endif
