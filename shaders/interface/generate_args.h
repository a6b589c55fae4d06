// Push block of shaders/source/generate.comp, filled by ag_pattern_prepare. The integers that need
// 32-bit wrap-around, a division or a sine are worked out by the host, once a frame.
#ifndef AG_INTERFACE_GENERATE_ARGS_H
#define AG_INTERFACE_GENERATE_ARGS_H

#include "interface/lang.h"

// What is drawn: pulse frames are pan frames.
#define AG_GENERATE_PAN 0u
#define AG_GENERATE_LOCAL_MOTION 1u
#define AG_GENERATE_NOISE 2u
#define AG_GENERATE_CHECKER 3u
#define AG_GENERATE_BENCH 4u
#define AG_GENERATE_COUNT 5u
#define GENERATE_ROWS 8u // pixels that an invocation makes

// The table buffer (float32), for pan and local motion:
//     x_ramp[width], y_ramp[height]      x/max(W-1,1), y/max(H-1,1)
//     x_wave[width], y_wave[height]      pan only: sinf((x+9i)*0.035f), cosf((y+5i)*0.047f)
// ag_pattern_table_floats floats in all; the other patterns read nothing.
struct generate_args {
    U32 pattern, width, height, index; // width, height > 0; noise reads the index
    // pan: the square; local motion: the patch. [x0, x1) x [y0, y1)
    I32 x0, y0, x1, y1;
    // local motion: the small box that wins over the patch
    I32 box_x0, box_y0, box_x1, box_y1;
    // the circle: centre and squared radius
    I32 circle_x, circle_y, circle_r2;
    // checker and bench: what the index adds to x, y and (bench) x + y
    U32 add_x, add_y, add_sum;
};
ABI_SIZE(generate_args, 72);

#endif
