// Where things are on the screen. Nouns only: the HUD works the rectangles out, the presenter and
// the HUD draw into them.
#ifndef AUTOGAZE_VIEW_H
#define AUTOGAZE_VIEW_H

#include "autogaze/base.h"

#define AG_PANELS 3 // Input, Mask, Output

struct ag_rect { // target pixels, y down; width or height 0: not shown
    int32_t x, y, width, height;
};

struct ag_view {
    uint32_t width, height;         // of the target
    struct ag_rect panel[AG_PANELS];
    struct ag_rect label[AG_PANELS]; // the text row above each panel
    struct ag_rect hud;             // never overlaps panels or labels
    struct ag_rect status;          // one text row at the lower edge
};

// Shape of a picture and of its pixels.
struct ag_shape {
    uint32_t width, height;
    uint32_t sar_num, sar_den;      // sample aspect ratio; a zero counts as 1
};

#endif
