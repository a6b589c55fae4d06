// Push block of shaders/hud/hud.*: Dear ImGui's triangles over a target.
#ifndef AG_INTERFACE_HUD_ARGS_H
#define AG_INTERFACE_HUD_ARGS_H

#include "interface/lang.h"

struct hud_args {
    F32 width, height;             // of the target, pixels
    U32 atlas_width, atlas_height; // of the font atlas: one byte a texel, four a word; the width
                                   // is a multiple of four
};
ABI_SIZE(hud_args, 16);

#endif
