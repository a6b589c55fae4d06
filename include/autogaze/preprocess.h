// Frame samples -> RGB picture -> model input, on the GPU, exact (M2).
//
//   upload   planes into device memory, as they are                       [stage UPLOAD]
//   color    planes -> RGBA8 (matrix, range, chroma position, rotation)   [stage COLOR]
//   resize   RGBA8 -> 8-bit triangle resize, shortest edge S (bit-exact) -> normalise ->
//            bicubic to [3][S][S] float32 (within 1e-5)                   [stage RESIZE]
//            tiles: RGBA8 -> normalise -> bilinear to their canvas -> cut
//
// Thread-safety: render thread.
#ifndef AUTOGAZE_PREPROCESS_H
#define AUTOGAZE_PREPROCESS_H

#include "autogaze/frame.h"
#include "autogaze/gpu.h"
#include "autogaze/model.h"

struct ag_preprocess;
struct ag_preprocess *ag_preprocess_create(struct ag_gpu *gpu, struct ag_error *err);
void ag_preprocess_destroy(struct ag_gpu *gpu, struct ag_preprocess **p);

// Size of the upright picture of a frame (rotation applied; samples otherwise as they are).
void ag_frame_picture_size(const struct ag_frame *frame, uint32_t *width, uint32_t *height);

// Prepares tables and buffers for a source size and a model input of side `side`. Called when the
// size or the model changes, never on the steady frame path. A frame longer than 50:1 gets no mask:
// then *inferable is false and the sentence is in `why` (not an error).
struct ag_preprocess_setup {
    uint32_t width, height;   // of the picture
    const struct ag_preprocess_config *config;
    uint32_t side;            // model input side S
    uint32_t tile_cols, tile_rows; // high resolution (M7.2); 0: the whole frame as one input
    bool padded;              // tiles are cut from the picture itself, zeros behind it; else from
                              // the picture resized to fill them
};
bool ag_preprocess_configure(struct ag_preprocess *p, const struct ag_preprocess_setup *setup,
                             bool *inferable, char *why, size_t why_size, struct ag_error *err);

// Records upload and colour conversion of `frame`, whose samples are in `staging` (UPLOAD memory,
// layout offsets relative to its start; NULL for generated frames), into `rgba`
// [height][width] RGBA8. Generated frames: stage GENERATE instead of UPLOAD and COLOR. Once a
// submission. The first frame of a pixel format makes its kernel, the first of a size may allocate.
bool ag_preprocess_record_picture(struct ag_preprocess *p, struct ag_cmd *cmd,
                                  const struct ag_frame *frame, const struct ag_buffer *staging,
                                  struct ag_buffer *rgba, struct ag_error *err);
// Records the 8-bit resize of the configured size alone: rgba -> out, RGBA8 [height][width] of a
// config with exact_size.
void ag_preprocess_record_resized(struct ag_preprocess *p, struct ag_cmd *cmd,
                                  const struct ag_buffer *rgba, struct ag_buffer *out);
// Records rgba -> input [3][side][side] float32 (bytes 12*side*side from `offset`); with tiles
// [tile_rows*tile_cols][3][side][side], row by row, in one dispatch.
void ag_preprocess_record_input(struct ag_preprocess *p, struct ag_cmd *cmd,
                                const struct ag_buffer *rgba, struct ag_buffer *input,
                                uint64_t offset);

#endif
