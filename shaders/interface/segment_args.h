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

// Cells of one grid that cover a segment of an axis, as ranges of columns (rows): begin in the low
// half-word, end (behind the last one) in the high one; neither descends from segment to segment,
// not even where the range is empty. `inner`: those of them on whose first and last pixel the
// segment does not lie; it may begin behind its end. Table: x-segments [n_grids + 1][n_x], then
// y-segments [n_grids + 1][n_y]; the last row of each holds lengths of segments, as `cover`.
struct segment_range {
    U32 cover, inner;
};
ABI_SIZE(segment_range, 8);

#endif
