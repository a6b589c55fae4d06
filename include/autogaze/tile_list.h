// Gaze ids of tiles -> one list of cells of the stitched grids, on the GPU, for the planner.
// Thread-safety: render thread.
#ifndef AUTOGAZE_TILE_LIST_H
#define AUTOGAZE_TILE_LIST_H

#include "autogaze/gpu.h"
#include "autogaze/planner.h" // struct ag_mask
#include "autogaze/tiles.h"

struct ag_tile_list;
struct ag_tile_list *ag_tile_list_create(struct ag_gpu *gpu, struct ag_error *err);
void ag_tile_list_destroy(struct ag_gpu *gpu, struct ag_tile_list **l);
// `batches` records of `batch` tiles each make a frame; the last one may have fewer.
bool ag_tile_list_configure(struct ag_tile_list *l, const struct ag_tiling *tiling,
                            const struct ag_model_config *config, uint32_t batch, uint32_t batches,
                            struct ag_error *err);
// Appends the tiles of batch `index` (0, 1, ... in order; 0 begins a list): `ids` names
// [batch][config->cells] ids and [batch] counts, as ag_gpu_model_record gives them. After the last
// batch *out is the frame's list, in the order of tiles and selection, cells outside of the frame
// as pads. It survives the next frame's list. No barrier before or after.
void ag_tile_list_record(struct ag_tile_list *l, struct ag_cmd *cmd, const struct ag_mask *ids,
                         uint32_t index, struct ag_mask *out);

#endif
