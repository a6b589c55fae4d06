// Canvas-diff and repair: errors of cells, the worst of them as a cell list.
#include "autogaze/mask_source.h"

#include <assert.h>
#include <stddef.h>

#include "interface/error_args.h"

AG_SHADERS(mask);

_Static_assert(AG_ERROR_GRID == ERROR_GRID && AG_ERROR_CELLS == ERROR_CELLS &&
                   AG_REPAIR_CELLS_AT == WORST_CELLS_AT * 4,
               "shaders and host agree on grid and list");
_Static_assert(sizeof(struct ag_repair_header) == 16 &&
                   offsetof(struct ag_repair_header, beyond) == 12,
               "header of the list as worst.comp writes it");

#define TILE_X 32
#define TILE_Y 8
#define WORST_SIZE 256
#define MAX_SIDE 16384 // AG_MAX_FRAME_SIDE

struct ag_cell_errors {
    struct ag_gpu *gpu;
    struct ag_kernel *errors[2]; // of the whole picture; of what a plan leaves
    struct ag_kernel *worst;
    struct ag_cell_errors_setup setup;
    uint32_t grid_width, grid_height;
    uint32_t bands, band_rows;
    struct ag_buffer *none;    // stands in where a kernel reads nothing
    struct ag_buffer *partial; // see error_args.h
    struct ag_buffer *list;    // see error_args.h
};

struct ag_cell_errors *ag_cell_errors_create(struct ag_gpu *gpu, struct ag_error *err)
{
    struct ag_cell_errors *e = ag_alloc(sizeof(*e));
    e->gpu = gpu;
    for (uint32_t masked = 0; masked < 2; masked++) {
        struct ag_kernel_params params = { &ag_shaders_mask, "errors",
                                           AG_CONSTANTS(TILE_X, TILE_Y, masked) };
        e->errors[masked] = ag_kernel_create(gpu, &params, err);
    }
    struct ag_kernel_params params = { &ag_shaders_mask, "worst", AG_CONSTANTS(WORST_SIZE) };
    e->worst = ag_kernel_create(gpu, &params, err);
    e->none = ag_buffer_create(gpu, AG_MEM_DEVICE, 256, "errors/none", err);
    if (!e->errors[0] || !e->errors[1] || !e->worst || !e->none) {
        ag_cell_errors_destroy(gpu, &e);
    }
    return e;
}

static void destroy_buffers(struct ag_cell_errors *e)
{
    ag_buffer_destroy(e->gpu, &e->partial);
    ag_buffer_destroy(e->gpu, &e->list);
}

void ag_cell_errors_destroy(struct ag_gpu *gpu, struct ag_cell_errors **errors)
{
    struct ag_cell_errors *e = *errors;
    if (!e) {
        return;
    }
    destroy_buffers(e);
    ag_buffer_destroy(gpu, &e->none);
    ag_kernel_destroy(gpu, &e->worst);
    ag_kernel_destroy(gpu, &e->errors[1]);
    ag_kernel_destroy(gpu, &e->errors[0]);
    ag_free(e);
    *errors = NULL;
}

bool ag_repair_layout(const struct ag_layout *layout, struct ag_layout *out, uint32_t *first)
{
    *out = *layout;
    for (uint32_t g = 0; g < layout->n_grids; g++) {
        if (layout->grid[g].cols == AG_ERROR_GRID && layout->grid[g].rows == AG_ERROR_GRID) {
            *first = layout->grid[g].first;
            return true;
        }
    }
    if (layout->n_grids == AG_MAX_GRIDS || layout->cells + AG_ERROR_CELLS > AG_MAX_CELLS) {
        return false;
    }
    *first = layout->cells;
    out->grid[out->n_grids++] = (struct ag_grid){
        .cols = AG_ERROR_GRID, .rows = AG_ERROR_GRID, .first = layout->cells, .colour = 3
    };
    out->cells += AG_ERROR_CELLS;
    return true;
}

bool ag_cell_errors_configure(struct ag_cell_errors *e, const struct ag_cell_errors_setup *setup,
                              struct ag_error *err)
{
    if (setup->width < 1 || setup->height < 1 || setup->width > MAX_SIDE ||
        setup->height > MAX_SIDE) {
        return ag_fail(err, AG_ERR_INPUT, "a picture has 1 to %d pixels a side, not %u x %u",
                       MAX_SIDE, setup->width, setup->height);
    }
    destroy_buffers(e);
    e->setup = *setup;
    e->grid_width = setup->layout.extent_width ? setup->layout.extent_width : setup->width;
    e->grid_height = setup->layout.extent_height ? setup->layout.extent_height : setup->height;
    uint32_t columns = AG_DIV_UP(e->grid_width, ERROR_GRID);
    uint32_t rows = AG_DIV_UP(e->grid_height, ERROR_GRID);
    e->band_rows = AG_MAX(ERROR_BAND_PIXELS / columns, 1u);
    e->bands = AG_DIV_UP(rows, e->band_rows);
    e->partial = ag_buffer_create(e->gpu, AG_MEM_DEVICE, 4ull * ERROR_CELLS * e->bands,
                                  "errors/partial", err);
    e->list = ag_buffer_create(e->gpu, AG_MEM_DEVICE,
                               4ull * (WORST_CELLS_AT + ERROR_CELLS + setup->layout.cells),
                               "errors/list", err);
    if (!e->partial || !e->list) {
        destroy_buffers(e);
        return false;
    }
    return true;
}

// plan NULL: nothing is updated.
static void record(struct ag_cell_errors *e, struct ag_cmd *cmd, const struct ag_buffer *history,
                   const struct ag_buffer *input, const struct ag_plan *plan, float target_db,
                   uint32_t limit)
{
    struct error_args errors = {
        .width = e->setup.width,
        .height = e->setup.height,
        .grid_width = e->grid_width,
        .grid_height = e->grid_height,
        .n_x = plan ? plan->n_x : 0,
        .bands = e->bands,
        .band_rows = e->band_rows,
    };
    struct worst_args worst = {
        .width = e->setup.width,
        .height = e->setup.height,
        .grid_width = e->grid_width,
        .grid_height = e->grid_height,
        .bands = e->bands,
        .limit = limit,
        .target = ag_error_target(target_db),
        .first = e->setup.first,
        .chosen_words = plan ? AG_DIV_UP(e->setup.layout.cells, 32) : 0,
    };
    ag_dispatch(cmd, e->errors[plan != NULL],
                AG_BIND({ history }, { input }, { plan ? plan->column : e->none },
                        { plan ? plan->row : e->none }, { plan ? plan->segments : e->none },
                        { e->partial }),
                &errors, sizeof(errors), ERROR_GRID, ERROR_GRID, e->bands);
    ag_cmd_barrier(cmd);
    ag_dispatch(cmd, e->worst,
                AG_BIND({ e->partial }, { plan ? plan->selected : e->none }, { e->list }), &worst,
                sizeof(worst), 1, 1, 1);
}

static struct ag_mask list_mask(const struct ag_cell_errors *e)
{
    return (struct ag_mask){
        .cells = e->list,
        .offset = WORST_CELLS_AT * 4,
        .count = e->list,
        .count_offset = 0,
        .max_cells = ERROR_CELLS + e->setup.layout.cells,
    };
}

void ag_canvas_diff_record(struct ag_cell_errors *e, struct ag_cmd *cmd,
                           const struct ag_buffer *history, const struct ag_buffer *input,
                           float target_db, struct ag_mask *out)
{
    assert(e->list); // configured
    ag_cmd_stage_begin(cmd, AG_STAGE_DIFF);
    if (history) {
        record(e, cmd, history, input, NULL, target_db, ERROR_CELLS);
    } else {
        ag_cmd_fill(cmd, e->list, 0, sizeof(struct ag_repair_header), 0);
    }
    ag_cmd_stage_end(cmd);
    *out = list_mask(e);
}

void ag_repair_record(struct ag_cell_errors *e, struct ag_cmd *cmd,
                      const struct ag_buffer *history, const struct ag_buffer *input,
                      const struct ag_plan *plan, float target_db, uint32_t limit,
                      struct ag_mask *out)
{
    assert(e->list && plan->width == e->setup.width && plan->height == e->setup.height);
    ag_cmd_stage_begin(cmd, AG_STAGE_DIFF);
    record(e, cmd, history, input, plan, target_db, limit);
    ag_cmd_stage_end(cmd);
    *out = list_mask(e);
}

const struct ag_buffer *ag_cell_errors_list(const struct ag_cell_errors *e)
{
    return e->list;
}
