// Push block of shaders/present/panel.*: one picture drawn into one rectangle.
#ifndef AG_INTERFACE_PANEL_ARGS_H
#define AG_INTERFACE_PANEL_ARGS_H

#include "interface/lang.h"

struct panel_args {
    F32 x, y;             // of the rectangle in the target, pixels
    F32 width, height;    // of the rectangle
    F32 part_x, part_y;   // what it shows of the picture, in picture pixels
    F32 part_width, part_height;
    U32 source_width, source_height;
    U32 background;       // behind transparent pixels: RGBA8, R in the lowest byte
    U32 use_alpha;        // 0: alpha is ignored
};
ABI_SIZE(panel_args, 48);

#endif
