// Segments: rectangles of the picture inside of which every pixel has the same cells and borders.
#ifndef AG_INTERFACE_SEGMENT_ARGS_H
#define AG_INTERFACE_SEGMENT_ARGS_H

#include "interface/lang.h"

// A segment's word.
#define SEGMENT_UPDATED 1u      // takes the input (covered, or a keyframe); bit 0: can be counted
#define SEGMENT_COVERED 2u      // in the union of the cells: the mask is drawn
#define SEGMENT_BORDER 4u       // on the 1 px border of a drawn cell
#define SEGMENT_COLOUR_SHIFT 4u // palette entry 0..3
#define SEGMENT_GRID_SHIFT 8u   // grid that colours it

// Cells of one grid that cover a segment of an axis, as ranges of columns (rows): lowest in the low
// half-word, highest in the high one; empty when lowest > highest. `inner`: those of them on whose
// first and last pixel the segment does not lie. Table: x-segments [n_grids][n_x], then y-segments
// [n_grids][n_y].
struct segment_range {
    U32 cover, inner;
};
ABI_SIZE(segment_range, 8);

#endif
