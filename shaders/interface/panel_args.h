// Push block of shaders/present: pictures of one size drawn into rectangles of one size.
#ifndef AG_INTERFACE_PANEL_ARGS_H
#define AG_INTERFACE_PANEL_ARGS_H

#include "interface/lang.h"

#define PANEL_MAX 4          // panels of a frame
#define PANEL_PICTURES 3     // pictures they show
// What a panel shows: one of the pictures, the last one with its alpha, the difference of the first
// two, the background alone.
#define PANEL_ALPHA PANEL_PICTURES
#define PANEL_DIFFERENCE (PANEL_PICTURES + 1)
#define PANEL_PLAIN (PANEL_PICTURES + 2)

struct panel_args {
    U32 frame_width;
    U32 swap;                // the frame is BGRA
    U32 source_width, source_height;
    F32 part_x, part_y;      // what is shown of the pictures begins there, picture pixels
    F32 scale_x, scale_y;    // picture pixels a frame pixel
    U32 first;               // panel of the first layer of workgroups
    // Of each panel. Points are x in the lower half of the word, y in the upper one.
    U32 corner[PANEL_MAX];   // of the rectangle, signed
    U32 begin[PANEL_MAX], end[PANEL_MAX]; // what of it is drawn, inside of the frame
    U32 shows[PANEL_MAX];
    U32 background[PANEL_MAX]; // behind transparent pixels: RGBA8, R in the lowest byte
};
ABI_SIZE(panel_args, 116);

#endif
