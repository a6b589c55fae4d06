// Mask sources that need no model: patch-diff (S4), canvas-diff, forced masks (S9.4); and repair,
// which adds cells to the mask of any source. The model is a mask source too; it lives in
// gpu_model.h and cpu_model.h and hands over the same struct ag_mask.
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

// ---- canvas-diff and repair: cells whose history is too far from the frame ----
// Both look at the squared error of history against input in the cells of a 14 x 14 grid, R, G and
// B together, as exact integers. A pixel counts for one cell only: column k of a grid W wide has the
// pixels [ceil(k W/14), ceil((k+1) W/14)), which lie inside the cell's rectangle (plan.h). So
// when no cell is beyond a target, the whole picture meets it: its PSNR is at least the target, or
// there were more such cells than are allowed, and the list's header says so.
//
// Worst first: by the cell's error sum, equal ones by number. Nothing is left to the host.
#define AG_ERROR_GRID 14
#define AG_ERROR_CELLS AG_MAX_REPAIRED
struct ag_cell_errors;
struct ag_cell_errors *ag_cell_errors_create(struct ag_gpu *gpu, struct ag_error *err);
void ag_cell_errors_destroy(struct ag_gpu *gpu, struct ag_cell_errors **e);
struct ag_cell_errors_setup {
    uint32_t width, height;
    struct ag_layout layout;      // of ag_repair_layout; without grids: canvas-diff
    uint32_t first;               // number of the first cell of its 14 x 14 grid
};
bool ag_cell_errors_configure(struct ag_cell_errors *e, const struct ag_cell_errors_setup *setup,
                              struct ag_error *err);
// The layout of a mask source together with a 14 x 14 grid: its own if it has one, else one more
// behind the others. *first: number of that grid's first cell. false: no room for it.
bool ag_repair_layout(const struct ag_layout *layout, struct ag_layout *out, uint32_t *first);

// canvas-diff: all cells whose PSNR is below `target_db`. history == NULL: empty mask. [stage DIFF]
void ag_canvas_diff_record(struct ag_cell_errors *e, struct ag_cmd *cmd,
                           const struct ag_buffer *history, const struct ag_buffer *input,
                           float target_db, struct ag_mask *out);
// Repair: the chosen cells of `plan`, and at most `limit` cells whose PSNR would still be below
// `target_db` once the plan is applied. The plan is made for a layout of ag_repair_layout, and anew
// from `out`. [stage DIFF]
void ag_repair_record(struct ag_cell_errors *e, struct ag_cmd *cmd,
                      const struct ag_buffer *history, const struct ag_buffer *input,
                      const struct ag_plan *plan, float target_db, uint32_t limit,
                      struct ag_mask *out);
// The last record's list, for reading late: this header, then the added cells, worst first.
struct ag_repair_header {
    uint32_t listed, chosen;
    uint32_t added;
    uint32_t beyond;              // cells beyond the target; more than `added`: the limit was reached
};
#define AG_REPAIR_CELLS_AT 256    // byte in the list
const struct ag_buffer *ag_cell_errors_list(const struct ag_cell_errors *e);

// Plain C twin. covered [height][width]: bit 0 set where the plan updates; NULL: nowhere. errors
// [196]: sums of all cells; cells [196]: those added, numbered from 0. Returns how many are beyond.
uint32_t ag_ref_worst_cells(const struct ag_cell_errors_setup *setup, const uint8_t *history,
                            const uint8_t *input, const uint8_t *covered, float target_db,
                            uint32_t limit, uint64_t *errors, uint32_t *cells);
// A target as the kernels compare it: sum over R, G and B of the mean squared error, in units of
// 1/4096, rounded down.
uint32_t ag_error_target(float db);

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
