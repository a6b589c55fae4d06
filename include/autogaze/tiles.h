// High resolution: a frame cut into tiles of the model's input size, each a stream of its own, and
// the grids that come of putting the tiles' grids side by side.
//
//   realtime    one tile: the whole frame resized to S x S
//   tiled       canvas of ceil(W/S) x ceil(H/S) tiles; the frame is resized to the canvas
//   tiled-full  source pixels, padded right and bottom with 0 in normalised space
//
// Tiles are numbered row by row. Cell (r, c) of grid g in tile (tr, tc) is the global cell
// (tr*g + r, tc*g + c) of a grid of rows*g by cols*g cells.
// Thread-safety: reentrant.
#ifndef AUTOGAZE_TILES_H
#define AUTOGAZE_TILES_H

#include "autogaze/model.h"
#include "autogaze/plan.h"

enum ag_mode { AG_MODE_REALTIME, AG_MODE_TILED, AG_MODE_TILED_FULL };

struct ag_tiling {
    enum ag_mode mode;
    uint32_t side;                   // S
    uint32_t cols, rows, tiles;
    uint32_t width, height;          // of the frame
    uint32_t canvas_width, canvas_height; // cols*S, rows*S
    // Extent of the grids in source pixels: the frame itself, or the padded canvas (tiled-full),
    // whose cells are S/g source pixels wide; what lies outside of the frame is dropped.
    uint32_t extent_width, extent_height;
};
// width, height, side > 0.
void ag_tiling_make(enum ag_mode mode, uint32_t width, uint32_t height, uint32_t side,
                    struct ag_tiling *out);
// Layout of the stitched grids, colours by the model's own grids. false: more than AG_MAX_CELLS.
bool ag_tiling_layout(const struct ag_tiling *t, const struct ag_model_config *c,
                      struct ag_layout *out);
// Columns and rows of one of its grids that have pixels of the frame; in tiled-full the others lie
// in the padding.
void ag_tiling_seen(const struct ag_tiling *t, const struct ag_grid *grid, uint32_t *cols,
                    uint32_t *rows);
// Global cell number of a gaze id (< c->cells) of a tile; AG_CELL_NONE: outside of the frame.
uint32_t ag_tiling_cell(const struct ag_tiling *t, const struct ag_model_config *c,
                        const struct ag_layout *layout, uint32_t tile, uint32_t id);

// ---- upstream's target_scales / target_patch_size (M7.1), for its export form ----
struct ag_target_scales {
    uint32_t n_scales, patch;
    uint32_t scale[AG_MAX_SCALES];   // ascending
    uint32_t map[AG_MAX_SCALES];     // cells a side of each scale: scale / patch
    uint32_t first[AG_MAX_SCALES];   // id of the first cell
    uint32_t cells;                  // ids a frame: sum of map^2
    uint32_t tile_pixels;            // source pixels a tile side: grid * patch
    uint32_t tiles_a_side;
};
// AG_ERR_INPUT: as many scales as the model has, the last one the side of the square input, each a
// multiple of the patch.
bool ag_target_make(const struct ag_model_config *c, const uint32_t *scales, uint32_t n,
                    uint32_t patch, struct ag_target_scales *out, struct ag_error *err);
// Cuts a normalised picture [3][side][side], side = the last scale, into the model inputs of all
// tiles [tiles][3][S][S], row by row: zeros where it ends, resized where tiles are not S pixels.
// (src/reference)
void ag_target_cut(const struct ag_target_scales *t, const struct ag_model_config *c,
                   const float *picture, float *tiles);
// Stitches one frame's gaze of all tiles (row by row): mask [cells] 0/1, ascending ids [cells] (the
// order of selection is lost). Returns the number of ids.
uint32_t ag_target_stitch(const struct ag_target_scales *t, const struct ag_model_config *c,
                          const struct ag_gaze *tiles, uint8_t *mask, uint32_t *ids);
// Frame `frame` of upstream's output: the ids of that frame count on from those of the frame before;
// `slots` is the largest count of all videos of the batch, what is left of it are pads.
void ag_target_output(const struct ag_target_scales *t, const uint32_t *ids, uint32_t n,
                      uint32_t slots, uint32_t frame, int64_t *out);

#endif
