// Specialisation constants and push block of preprocess/color.comp: samples of any layout to RGBA8.
#ifndef AG_INTERFACE_COLOR_ARGS_H
#define AG_INTERFACE_COLOR_ARGS_H

#include "interface/lang.h"

// Samples are widened to 16 bits (8.8 levels), coefficients have 13 fraction bits.
#define COLOR_SHIFT 21

// The format is built into the kernel: ids of the constants after the workgroup size. Shifts and
// positions are those of chroma, see pixel_layout.h.
#define COLOR_KIND 2
#define COLOR_ALPHA 3
#define COLOR_SHIFT_X 4
#define COLOR_SHIFT_Y 5
#define COLOR_CHROMA_X 6
#define COLOR_CHROMA_Y 7
#define COLOR_FORM 8       // of component 0..3: COLOR_FORM_OF
#define COLOR_CONSTANTS 12

// How the samples of a component lie in its plane: distance, bits to drop and to keep, first byte.
#define COLOR_FORM_OF(step, drop, depth, low) ((step) | (drop) << 8 | (depth) << 16 | (low) << 24)

// An invocation converts as many samples of a row as have four chroma columns.
#define COLOR_STRIP(shift_x) (4u << (shift_x))

struct color_args {
    U32 width, height;     // of the samples
    U32 mirrored;          // 1: left and right are exchanged, then
    U32 rotation;          // clockwise quarter turns
    I32 alpha;             // factor of component 3
    I32 bias[3];
    I32 m[9];              // [out][in]
    U32 word[4], pitch[4]; // of the components' planes: first word, words a row
};
ABI_SIZE(color_args, 100);

#endif
