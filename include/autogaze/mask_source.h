// Mask sources that need no model: patch-diff (S4), forced masks (S9.4). The model is a mask source
// too; it lives in gpu_model.h and cpu_model.h and hands over the same struct ag_mask.
// Thread-safety: render thread.
#ifndef AUTOGAZE_MASK_SOURCE_H
#define AUTOGAZE_MASK_SOURCE_H

#include "autogaze/planner.h"

// ---- patch-diff: cells of a G x G grid whose mean absolute change exceeds a threshold ----
struct ag_patch_diff;
struct ag_patch_diff *ag_patch_diff_create(struct ag_gpu *gpu, struct ag_error *err);
void ag_patch_diff_destroy(struct ag_gpu *gpu, struct ag_patch_diff **d);
struct ag_patch_diff_setup {
    uint32_t width, height, grid; // grid >= 1 (14)
    float std[3];                 // .229 .224 .225: scores are in normalised units
};
bool ag_patch_diff_configure(struct ag_patch_diff *d, const struct ag_patch_diff_setup *setup,
                             struct ag_error *err);
void ag_patch_diff_layout(const struct ag_patch_diff *d, struct ag_layout *out);
// Records previous, next (RGBA8) -> cells, ascending by number (the order of S4.4 is made by the
// reader, from the scores). previous == NULL: empty mask. out->frame_id is the caller's. [stage
// DIFF]
void ag_patch_diff_record(struct ag_patch_diff *d, struct ag_cmd *cmd,
                          const struct ag_buffer *previous, const struct ag_buffer *next,
                          float threshold, struct ag_mask *out);
// Scores [grid*grid] float32 of the last record, for the trace.
const struct ag_buffer *ag_patch_diff_scores(const struct ag_patch_diff *d);

// Plain C twin: integer sums, then one float32 score a cell. selected[grid*grid] gets 0/1.
uint32_t ag_ref_patch_diff(const struct ag_patch_diff_setup *setup, const uint8_t *previous,
                           const uint8_t *next, float threshold, float *scores, uint8_t *selected);

// ---- forced masks: named cases of S9.4 with their own layouts ----
// tiny-sparse multiscale coarse-dense checkerboard-N dense-grid-64 dense-grid-196
// redundant-full-frame empty overlap all-model-tokens random-P% full-frame
struct ag_forced {
    struct ag_layout layout;
    uint32_t n, max;
    uint32_t *cells;              // [max], ag_alloc
    bool changes;                 // random-P%: differs from frame to frame
};
// false: unknown case (the error lists them).
bool ag_forced_open(const char *name, struct ag_forced *out, struct ag_error *err);
// Cells for a frame id (random masks); no allocation.
void ag_forced_update(struct ag_forced *f, const char *name, uint64_t frame_id);
void ag_forced_close(struct ag_forced *f);

#endif
