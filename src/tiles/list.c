#include "autogaze/tile_list.h"

#include <assert.h>

#include "interface/tile_list_args.h"

AG_SHADERS(tiles);

#define GROUP_SIZE 64
#define LISTS 2 // so that the one in use survives the next
#define MAX_GROUPS 65535u

struct ag_tile_list {
    struct ag_gpu *gpu;
    struct ag_kernel *kernel;
    struct ag_tiling tiling;
    uint32_t cells, n_scales, batch, batches;
    struct ag_buffer *scales;
    struct ag_buffer *lists;  // [LISTS](totals [batches + 1], cells [tiles * cells])
    uint32_t list_words;      // of one of them
    uint32_t current;
};

struct ag_tile_list *ag_tile_list_create(struct ag_gpu *gpu, struct ag_error *err)
{
    struct ag_tile_list *l = ag_alloc(sizeof(*l));
    l->gpu = gpu;
    struct ag_kernel_params params = { &ag_shaders_tiles, "list", AG_CONSTANTS(GROUP_SIZE) };
    l->kernel = ag_kernel_create(gpu, &params, err);
    if (!l->kernel) {
        ag_tile_list_destroy(gpu, &l);
    }
    return l;
}

static void destroy_tables(struct ag_tile_list *l)
{
    ag_buffer_destroy(l->gpu, &l->scales);
    ag_buffer_destroy(l->gpu, &l->lists);
}

void ag_tile_list_destroy(struct ag_gpu *gpu, struct ag_tile_list **list)
{
    struct ag_tile_list *l = *list;
    if (!l) {
        return;
    }
    destroy_tables(l);
    ag_kernel_destroy(gpu, &l->kernel);
    ag_free(l);
    *list = NULL;
}

bool ag_tile_list_configure(struct ag_tile_list *l, const struct ag_tiling *tiling,
                            const struct ag_model_config *config, uint32_t batch, uint32_t batches,
                            struct ag_error *err)
{
    struct ag_layout layout;
    if (!ag_tiling_layout(tiling, config, &layout) || batch > MAX_GROUPS) {
        return ag_fail(err, AG_ERR_INPUT, "%u tiles have more cells than the %u that a plan takes",
                       tiling->tiles, AG_MAX_CELLS);
    }
    assert(batch > 0 && (uint64_t)batch * batches >= tiling->tiles &&
           (uint64_t)batch * (batches - 1) < tiling->tiles);
    destroy_tables(l);
    l->tiling = *tiling;
    l->cells = config->cells;
    l->n_scales = config->n_scales;
    l->batch = batch;
    l->batches = batches;
    struct tile_scale scales[AG_MAX_SCALES];
    for (uint32_t s = 0; s < config->n_scales; s++) {
        scales[s] = (struct tile_scale){
            .side = config->scale_grid[s],
            .first_id = config->scale_first[s],
            .cols = layout.grid[s].cols,
            .first_cell = layout.grid[s].first,
        };
        ag_tiling_seen(tiling, &layout.grid[s], &scales[s].seen_cols, &scales[s].seen_rows);
    }
    l->list_words = batches + 1 + tiling->tiles * config->cells;
    uint64_t bytes = 4ull * LISTS * l->list_words;
    uint32_t *zeros = ag_alloc(bytes);
    l->scales = ag_buffer_create(l->gpu, AG_MEM_DEVICE, sizeof(scales), "tiles/scales", err);
    l->lists = ag_buffer_create(l->gpu, AG_MEM_DEVICE, bytes, "tiles/lists", err);
    bool ok = l->scales && l->lists &&
              ag_buffer_load(l->gpu, l->scales, 0, scales, sizeof(scales), err) &&
              ag_buffer_load(l->gpu, l->lists, 0, zeros, bytes, err);
    ag_free(zeros);
    return ok;
}

void ag_tile_list_record(struct ag_tile_list *l, struct ag_cmd *cmd, const struct ag_mask *ids,
                         uint32_t index, struct ag_mask *out)
{
    assert(l->lists && index < l->batches);
    assert(ids->offset % 4 == 0 && ids->count_offset % 4 == 0);
    if (index == 0) {
        l->current = (l->current + 1) % LISTS;
    }
    uint32_t first = index * l->batch, totals = l->current * l->list_words;
    struct tile_list_args args = {
        .ids_at = (uint32_t)(ids->offset / 4),
        .counts_at = (uint32_t)(ids->count_offset / 4),
        .cells = l->cells,
        .n_scales = l->n_scales,
        .first_tile = first,
        .tile_cols = l->tiling.cols,
        .totals_at = totals,
        .list_at = totals + l->batches + 1,
        .batch = index,
    };
    ag_dispatch(cmd, l->kernel,
                AG_BIND({ ids->cells }, { ids->count }, { l->scales }, { l->lists }), &args,
                sizeof(args), AG_MIN(l->batch, l->tiling.tiles - first), 1, 1);
    *out = (struct ag_mask){
        .cells = l->lists,
        .offset = 4ull * args.list_at,
        .count = l->lists,
        .count_offset = 4ull * (totals + l->batches),
        .max_cells = l->tiling.tiles * l->cells,
        .frame_id = ids->frame_id,
    };
}
