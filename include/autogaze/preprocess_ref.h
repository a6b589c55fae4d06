// The image pipeline in plain C (M2): twin of the preprocessing shaders, written to be read.
// Thread-safety: reentrant. Memory: the caller's, sizes as stated.
#ifndef AUTOGAZE_PREPROCESS_REF_H
#define AUTOGAZE_PREPROCESS_REF_H

#include "autogaze/frame.h"
#include "autogaze/model.h"

// New size when the short edge becomes `edge`; the long edge is truncated (M2.1).
void ag_ref_shortest_edge(uint32_t width, uint32_t height, uint32_t edge, uint32_t *new_width,
                          uint32_t *new_height);
// One axis of the 8-bit triangle filter (M2.2): for each of n_out samples the first input index and
// `taps` 22-bit weights (zero padded). Returns the number of taps; arrays may be NULL to ask for
// it.
uint32_t ag_ref_triangle_taps(uint32_t n_in, uint32_t n_out, uint32_t *first, int32_t *weights);
// One axis of the bicubic (M2.3): clamped indices [n_out][4], weights [n_out][4], all in float32.
void ag_ref_bicubic_taps(uint32_t n_in, uint32_t n_out, uint32_t *index, float *weights);
// Normalisation table [3][256] (M2.1 step 4).
void ag_ref_lut(const struct ag_preprocess_config *c, float *lut);

// u8 interleaved with `channels` 3 or 4 (only the first 3 are resized) -> u8 [nh][nw][3].
void ag_ref_resize_u8(const uint8_t *src, uint32_t width, uint32_t height, uint32_t channels,
                      uint8_t *dst, uint32_t new_width, uint32_t new_height);
// u8 [h][w][3] -> f32 [3][h][w].
void ag_ref_normalise(const float *lut, const uint8_t *src, uint32_t width, uint32_t height,
                      float *dst);
// f32 [3][h][w] -> f32 [3][nh][nw].
void ag_ref_bicubic(const float *src, uint32_t width, uint32_t height, float *dst,
                    uint32_t new_width, uint32_t new_height);
// The whole of it: u8 interleaved -> f32 [3][side][side].
void ag_ref_preprocess(const struct ag_preprocess_config *c, const uint8_t *src, uint32_t width,
                       uint32_t height, uint32_t channels, uint32_t side, float *dst);
// Plain bilinear, half-pixel centres, no antialias (M7.2 grid resize): f32 [3][h][w] ->
// [3][nh][nw].
void ag_ref_bilinear(const float *src, uint32_t width, uint32_t height, float *dst,
                     uint32_t new_width, uint32_t new_height);

// Two taps of each of its samples: indices [n_out][2], weights [n_out][2].
void ag_ref_linear_taps(uint32_t n_in, uint32_t n_out, uint32_t *index, float *weights);
// RGBA8 picture -> model inputs of all tiles [rows*cols][3][side][side] (M7.2): the normalised
// picture resized to the tiles' canvas, or, `padded`, as it is with zeros behind it.
void ag_ref_tiles(const struct ag_preprocess_config *c, const uint8_t *rgba, uint32_t width,
                  uint32_t height, uint32_t cols, uint32_t rows, bool padded, uint32_t side,
                  float *dst);

// Colour conversion in integers: v = three components widened to 16 bits,
//     level i = (bias[i] + m[i][0] v[0] + m[i][1] v[1] + m[i][2] v[2] + half) >> COLOR_SHIFT
// clamped to 0..255 (color_args.h). Within 1 level of the exact formula at any depth.
struct ag_color_matrix {
    uint32_t components;      // that are read: 3, grey 1
    int32_t m[3][3], bias[3];
    int32_t alpha;            // factor of component 3; 0: opaque
};
void ag_ref_color_matrix(const struct pixel_layout *layout, struct ag_color_matrix *out);
// Samples of any layout -> RGBA8 upright picture: twin of the colour conversion shader.
void ag_ref_picture(const struct ag_frame *frame, uint8_t *rgba);

#endif
