// Shared by picture.c (samples -> RGBA8) and preprocess.c (RGBA8 -> model input).
#ifndef AG_PREPROCESS_INTERNAL_H
#define AG_PREPROCESS_INTERNAL_H

#include "autogaze/preprocess.h"

#include "interface/color_args.h"
#include "interface/generate_args.h"
#include "interface/resize_args.h"

#define BIND_ALIGN 256 // of a binding's offset

struct ag_preprocess {
    struct ag_gpu *gpu;

    // samples -> picture
    struct ag_kernel *color;       // for one pixel format, that of the last frame
    uint32_t color_constants[COLOR_CONSTANTS];
    struct ag_buffer *samples;     // as large as the largest frame so far
    struct ag_kernel *generate[2][AG_GENERATE_COUNT]; // a pixel, four at once; made when first seen
    struct ag_buffer *waves;       // their tables: UPLOAD, a slot for each submission in flight
    uint32_t next_waves;

    // picture -> model input, for one size
    struct ag_kernel *rows, *columns, *bicubic, *tiles;
    uint32_t width, height;        // of the picture; 0: not configured
    bool inferable;
    struct ag_buffer *tables;      // of all three kernels
    struct ag_buffer *narrow;      // after the rows; NULL: the width does not change
    struct ag_buffer *resized;     // after the columns; NULL: the height does not change
    struct resize_args row_args, column_args;
    struct bicubic_args bicubic_args;
    struct tile_args tile_args;    // cols 0: no tiles
};

void ag_picture_destroy(struct ag_preprocess *p);

#endif
