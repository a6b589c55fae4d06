#include "autogaze/mask_source.h"

#include <assert.h>
#include <math.h>

#include "interface/diff_args.h"

AG_SHADERS(mask);

#define TILE_X 32
#define TILE_Y 8
#define SELECT_SIZE 256
#define MAX_GRID 255
#define MAX_SIDE 16384 // AG_MAX_FRAME_SIDE

struct ag_patch_diff {
    struct ag_gpu *gpu;
    struct ag_kernel *diff, *select;
    struct ag_patch_diff_setup setup;
    uint32_t cells, bands, band_rows;
    struct ag_buffer *means;   // float32 [cells], 1 / (3 pixels)
    struct ag_buffer *partial; // see diff_args.h
    struct ag_buffer *scores;  // float32 [cells]
    struct ag_buffer *list;    // see diff_args.h
};

struct ag_patch_diff *ag_patch_diff_create(struct ag_gpu *gpu, struct ag_error *err)
{
    struct ag_patch_diff *d = ag_alloc(sizeof(*d));
    d->gpu = gpu;
    struct ag_kernel_params diff = { &ag_shaders_mask, "diff", AG_CONSTANTS(TILE_X, TILE_Y) };
    struct ag_kernel_params select = { &ag_shaders_mask, "select", AG_CONSTANTS(SELECT_SIZE) };
    d->diff = ag_kernel_create(gpu, &diff, err);
    d->select = ag_kernel_create(gpu, &select, err);
    if (!d->diff || !d->select) {
        ag_patch_diff_destroy(gpu, &d);
    }
    return d;
}

static void destroy_buffers(struct ag_patch_diff *d)
{
    ag_buffer_destroy(d->gpu, &d->means);
    ag_buffer_destroy(d->gpu, &d->partial);
    ag_buffer_destroy(d->gpu, &d->scores);
    ag_buffer_destroy(d->gpu, &d->list);
}

void ag_patch_diff_destroy(struct ag_gpu *gpu, struct ag_patch_diff **diff)
{
    struct ag_patch_diff *d = *diff;
    if (!d) {
        return;
    }
    destroy_buffers(d);
    ag_kernel_destroy(gpu, &d->select);
    ag_kernel_destroy(gpu, &d->diff);
    ag_free(d);
    *diff = NULL;
}

static bool check_setup(const struct ag_patch_diff_setup *s, struct ag_error *err)
{
    if (s->width < 1 || s->height < 1 || s->width > MAX_SIDE || s->height > MAX_SIDE) {
        return ag_fail(err, AG_ERR_INPUT, "a picture has 1 to %d pixels a side, not %u x %u",
                       MAX_SIDE, s->width, s->height);
    }
    if (s->grid < 1 || s->grid > MAX_GRID) {
        return ag_fail(err, AG_ERR_INPUT, "the patch-diff grid has 1 to %d cells a side, not %u",
                       MAX_GRID, s->grid);
    }
    for (int c = 0; c < 3; c++) {
        if (!isfinite(s->std[c]) || s->std[c] <= 0.0f) {
            return ag_fail(err, AG_ERR_INPUT,
                           "the standard deviation of channel %d must be above 0, not %g", c,
                           (double)s->std[c]);
        }
    }
    return true;
}

// The factor of each cell comes from here because a division on the GPU need not round correctly.
static bool load_means(struct ag_patch_diff *d, struct ag_error *err)
{
    float *means = ag_alloc(d->cells * sizeof(*means));
    for (uint32_t i = 0; i < d->cells; i++) {
        uint32_t x0, x1, y0, y1;
        ag_cell_span(i % d->setup.grid, d->setup.grid, d->setup.width, AG_CELL_UNIT, &x0, &x1);
        ag_cell_span(i / d->setup.grid, d->setup.grid, d->setup.height, AG_CELL_UNIT, &y0, &y1);
        double pixels = (double)(x1 - x0) * (y1 - y0);
        means[i] = (float)(1.0 / (3.0 * pixels));
    }
    bool ok = ag_buffer_load(d->gpu, d->means, 0, means, d->cells * sizeof(*means), err);
    ag_free(means);
    return ok;
}

// A bin reaches over both of its fractional ends.
static uint32_t largest_bin(uint32_t extent, uint32_t grid)
{
    return AG_MIN(extent / grid + 2, extent);
}

bool ag_patch_diff_configure(struct ag_patch_diff *d, const struct ag_patch_diff_setup *setup,
                             struct ag_error *err)
{
    if (!check_setup(setup, err)) {
        return false;
    }
    destroy_buffers(d);
    d->setup = *setup;
    d->cells = setup->grid * setup->grid;
    d->band_rows = AG_MAX(DIFF_BAND_PIXELS / largest_bin(setup->width, setup->grid), 1u);
    d->bands = AG_DIV_UP(largest_bin(setup->height, setup->grid), d->band_rows);
    uint64_t bytes = d->cells * 4ull;
    d->means = ag_buffer_create(d->gpu, AG_MEM_DEVICE, bytes, "diff/means", err);
    d->partial = ag_buffer_create(d->gpu, AG_MEM_DEVICE, bytes * d->bands * 3, "diff/partial", err);
    d->scores = ag_buffer_create(d->gpu, AG_MEM_DEVICE, bytes, "diff/scores", err);
    d->list = ag_buffer_create(d->gpu, AG_MEM_DEVICE, SELECT_CELLS_AT * 4 + bytes, "diff/list",
                               err);
    if (d->means && d->partial && d->scores && d->list && load_means(d, err)) {
        return true;
    }
    destroy_buffers(d);
    return false;
}

void ag_patch_diff_layout(const struct ag_patch_diff *d, struct ag_layout *out)
{
    ag_layout_from_sides(&d->setup.grid, 1, out);
}

static void record_scores(struct ag_patch_diff *d, struct ag_cmd *cmd,
                          const struct ag_buffer *previous, const struct ag_buffer *next,
                          float threshold)
{
    struct diff_args diff = {
        .width = d->setup.width,
        .height = d->setup.height,
        .grid = d->setup.grid,
        .bands = d->bands,
        .band_rows = d->band_rows,
    };
    struct select_args select = { .n = d->cells, .bands = d->bands, .threshold = threshold };
    for (int c = 0; c < 3; c++) {
        select.weights[c] = (float)(1.0 / (127.5 * (double)d->setup.std[c]));
    }
    ag_dispatch(cmd, d->diff, AG_BIND({ previous }, { next }, { d->partial }), &diff, sizeof(diff),
                d->setup.grid, d->setup.grid, d->bands);
    ag_cmd_barrier(cmd);
    ag_dispatch(cmd, d->select, AG_BIND({ d->partial }, { d->means }, { d->scores }, { d->list }),
                &select, sizeof(select), 1, 1, 1);
}

void ag_patch_diff_record(struct ag_patch_diff *d, struct ag_cmd *cmd,
                          const struct ag_buffer *previous, const struct ag_buffer *next,
                          float threshold, struct ag_mask *out)
{
    assert(d->list); // configured
    ag_cmd_stage_begin(cmd, AG_STAGE_DIFF);
    if (previous) {
        record_scores(d, cmd, previous, next, threshold);
    } else {
        ag_cmd_fill(cmd, d->scores, 0, d->cells * 4ull, 0);
        ag_cmd_fill(cmd, d->list, 0, 4, 0);
    }
    ag_cmd_stage_end(cmd);
    *out = (struct ag_mask){
        .cells = d->list,
        .offset = SELECT_CELLS_AT * 4,
        .count = d->list,
        .count_offset = 0,
        .max_cells = d->cells,
    };
}

const struct ag_buffer *ag_patch_diff_scores(const struct ag_patch_diff *d)
{
    return d->scores;
}
