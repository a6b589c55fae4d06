// The gaze of one frame's tiles, and its sum as reports carry it.
#ifndef AG_PIPELINE_GAZE_SET_H
#define AG_PIPELINE_GAZE_SET_H

#include "autogaze/model.h"

struct gaze_set {
    uint32_t n, cells;     // tiles; most slots of a tile
    struct ag_gaze *tile;  // [n]
    uint32_t *ids;         // [n][cells]
    float *losses;
};
// Room for so many tiles; what it holds stays.
void gaze_set_reserve(struct gaze_set *s, uint32_t n, uint32_t cells);
void gaze_set_free(struct gaze_set *s);
// Empty gaze of every tile, each with room for all its slots.
void gaze_set_begin(struct gaze_set *s);
// Moves the tiles' slots together, so that the ids of the frame follow one another, and returns the
// sum: slots, valid slots and rounds of all tiles.
struct ag_gaze gaze_set_end(struct gaze_set *s);
// Copies a set that has ended; returns its sum.
struct ag_gaze gaze_set_copy(struct gaze_set *to, const struct gaze_set *from);

#endif
