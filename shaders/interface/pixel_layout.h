// How the samples of a frame lie in memory: one description for every pixel format, planar,
// semi-planar, packed, 8 to 16 bits. Component i of pixel (x, y) begins at byte
//     c[i].offset + (y >> c[i].shift_y) * c[i].pitch + (x >> c[i].shift_x) * c[i].step
// is c[i].bytes wide (1 or 2, little endian) and has the value
//     (sample >> c[i].drop) & ((1 << c[i].depth) - 1)
// A 2-byte sample never crosses a 4-byte boundary, pitches are multiples of 4 bytes, planes begin
// at multiples of 256 bytes. Samples of packed components lie inside one step; shifts are at most 2
// and those of both chroma components the same. Components that do not exist have bytes = 0.
// Written by the sources, read by the colour conversion (C twin and shader).
#ifndef AG_INTERFACE_PIXEL_LAYOUT_H
#define AG_INTERFACE_PIXEL_LAYOUT_H

#include "interface/lang.h"

#define AG_PIXEL_RGB 0u       // components R, G, B: taken as they are (full range)
#define AG_PIXEL_YUV 1u       // Y, Cb, Cr with matrix and range
#define AG_PIXEL_GREY 2u      // component 0 only, with range
#define AG_PIXEL_GENERATED 3u // no samples: synthetic frame, see generate_args.h

#define AG_MATRIX_601 0u
#define AG_MATRIX_709 1u
#define AG_MATRIX_2020 2u     // non-constant luminance

struct pixel_component {
    U32 offset, pitch, step, bytes, drop, depth, shift_x, shift_y;
};
ABI_SIZE(pixel_component, 32);

struct pixel_layout {
    U32 kind, matrix, full_range;
    // Where a chroma sample sits inside its group of n = 1 << shift luma samples, in half luma
    // pixels: 0 on the first (left/top), n - 1 in the middle, 2(n - 1) on the last; 0 where n is 1.
    // 4:2:0 of MPEG-2: x 0, y 1; of JPEG and MPEG-1: 1, 1.
    U32 chroma_x, chroma_y;
    U32 alpha;                // 1: component 3 is alpha (kept in the picture, never fed to a model)
    U32 reserved0, reserved1;
    STRUCT(pixel_component) c[4];
};

#endif
