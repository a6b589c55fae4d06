// Push block of preprocess/color.comp: samples of any layout to RGBA8.
#ifndef AG_INTERFACE_COLOR_ARGS_H
#define AG_INTERFACE_COLOR_ARGS_H

#include "interface/lang.h"

// Samples are widened to 16 bits (8.8 levels), coefficients have 13 fraction bits.
#define COLOR_SHIFT 21

struct color_args {
    U32 width, height;   // of the samples
    U32 rotation;        // clockwise quarter turns
    U32 components;      // 3; grey: 1
    U32 chroma_x, chroma_y;
    I32 alpha;           // factor of component 3; 0: opaque
    I32 bias[3];
    I32 m[9];            // [out][in]
    U32 offset[4], pitch[4]; // of the components, see pixel_layout.h
    U32 form[4];             // step | drop << 8 | depth << 16 | shift_x << 24 | shift_y << 28
};
ABI_SIZE(color_args, 124);

#endif
