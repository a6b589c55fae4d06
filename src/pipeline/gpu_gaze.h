// The compute back end over all tiles of a frame: they are the streams of one record, or of several
// where memory does not allow that (results are the same either way).
// Thread-safety: render thread.
#ifndef AG_PIPELINE_GPU_GAZE_H
#define AG_PIPELINE_GPU_GAZE_H

#include "autogaze/gpu_model.h"
#include "autogaze/tiles.h"
#include "gaze_set.h"

struct gpu_gaze;
struct gpu_gaze_params {
    const struct ag_model *model;
    struct ag_tiling tiling;
    struct ag_stream_params stream;
    enum ag_precision precision;
    uint32_t batch;           // tiles a record at most; 0: as many as fit
};
// AG_ERR_DEVICE with needed and available bytes where not even one tile fits.
struct gpu_gaze *gpu_gaze_create(struct ag_gpu *gpu, const struct ag_log *log,
                                 const struct gpu_gaze_params *params, struct ag_error *err);
void gpu_gaze_destroy(struct ag_gpu *gpu, struct gpu_gaze **g);
void gpu_gaze_reset(struct gpu_gaze *g);
uint64_t gpu_gaze_bytes(const struct gpu_gaze *g); // device memory of models and their state
uint32_t gpu_gaze_batch(const struct gpu_gaze *g); // tiles a record
// Tiles for which pictures must have room: at least those of the tiling, the rest are zeros.
uint32_t gpu_gaze_pictures(const struct gpu_gaze *g);
// Pictures of *job are [gpu_gaze_pictures][3][S][S] at offset 0. *out: cells of the stitched grids
// (of one tile: its ids). It survives the next record.
bool gpu_gaze_record(struct gpu_gaze *g, struct ag_cmd *cmd, const struct ag_gpu_gaze_job *job,
                     struct ag_mask *out, struct ag_error *err);
// What to copy to the host in the same submission, and what it says, late; returns the sum. Call
// gpu_gaze_decode with every block.
const struct ag_buffer *gpu_gaze_results(const struct gpu_gaze *g, uint64_t *bytes);
struct ag_gaze gpu_gaze_decode(struct gpu_gaze *g, const void *block, struct gaze_set *out);

#endif
