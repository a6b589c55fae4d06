// Where things are on the screen. Nouns only: the HUD works the rectangles out, the presenter and
// the HUD draw into them.
#ifndef AUTOGAZE_VIEW_H
#define AUTOGAZE_VIEW_H

#include "autogaze/config.h"

#define AG_PANELS 4 // at most

struct ag_rect { // target pixels, y down; width or height 0: not shown
    int32_t x, y, width, height;
};

enum ag_content { // of a panel
    AG_CONTENT_INPUT, AG_CONTENT_MASK, AG_CONTENT_OUTPUT,
    AG_CONTENT_DIFFERENCE, // of input and output, as heat
    AG_CONTENT_WIPE,       // input left of the divider, output right of it
    AG_CONTENTS
};

struct ag_view {
    uint32_t width, height;         // of the target
    uint32_t n_panels;
    enum ag_content content[AG_PANELS];
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
