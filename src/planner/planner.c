#include "autogaze/planner.h"

#include <assert.h>
#include <math.h>
#include <stddef.h>
#include <string.h>

#include "interface/plan_args.h"
#include "tables.h"

AG_SHADERS(planner);

_Static_assert(sizeof(struct plan_stats) == sizeof(struct ag_plan_stats) &&
                   offsetof(struct plan_stats, pixels) == offsetof(struct ag_plan_stats, pixels) &&
                   offsetof(struct plan_stats, per_grid) ==
                       offsetof(struct ag_plan_stats, per_grid) &&
                   offsetof(struct plan_stats, path) == offsetof(struct ag_plan_stats, path),
               "device and host statistics have the same words");
_Static_assert(PLAN_MAX_GRIDS == AG_MAX_GRIDS && PLAN_BITMAP_WORDS * 32 == AG_MAX_CELLS,
               "shaders and host agree on the largest layout");
_Static_assert((int)PLAN_DEDUPLICATED == (int)AG_GEOMETRY_DEDUPLICATED &&
                   (int)PLAN_NATIVE == (int)AG_GEOMETRY_NATIVE &&
                   (int)PLAN_EFFECTIVE == (int)AG_GEOMETRY_EFFECTIVE,
               "shaders and host number the geometries alike");

#define MAX_SIDE 16384u      // AG_MAX_FRAME_SIDE
#define MAX_AXIS_CELLS 65535 // ranges of cells are pairs of 16 bits

// An invocation of a software device does much work itself: starting one, and each barrier, is dear
// there. So are workgroups, which all read the whole list. Hardware has room for workgroups that
// count while others draw.
static const struct ag_planner_shape hardware_shape = { 32, 16, 32, 16, 4, 264, 16, 4 };
static const struct ag_planner_shape software_shape = { 8, 4, 64, 64, 1, 4, 4, 0 };

struct ag_planner {
    struct ag_gpu *gpu;
    struct ag_planner_shape shape;
    struct ag_kernel *kernels[AG_GEOMETRY_EFFECTIVE + 1];
    // Of any layout:
    struct ag_buffer *none; // zeros: an empty list, and a stand-in where a kernel reads nothing
    struct ag_buffer *stats[2]; // of this plan and the next one, by turns
    struct ag_buffer *selected, *kept;
    unsigned turn;
    // Of the configured one:
    struct ag_planner_setup setup;
    struct ag_layout drawn; // numbers of kept cells
    uint32_t units, n_x, n_y;
    struct ag_buffer *grids;   // struct plan_grid: drawn [8], input [8]
    struct ag_buffer *sources; // `effective`, see plan_args.h
    struct ag_buffer *parts;   // `deduplicated`, see plan_args.h
    struct ag_buffer *column, *row, *edges, *ranges;
    struct ag_buffer *segments[2]; // of this plan and the one before, by turns
    uint64_t plans;                // recorded, with all tables
    uint64_t with_these;           // ... with these
};

struct ag_planner *ag_planner_create(struct ag_gpu *gpu, struct ag_error *err)
{
    return ag_planner_create_shaped(gpu, ag_gpu_get_info(gpu)->software ? &software_shape
                                                                        : &hardware_shape, err);
}

struct ag_planner *ag_planner_create_shaped(struct ag_gpu *gpu,
                                            const struct ag_planner_shape *shape,
                                            struct ag_error *err)
{
    assert(shape->group_x * shape->group_y >= 2 * PLAN_MAX_GRIDS); // an invocation a grid
    struct ag_planner *p = ag_alloc(sizeof(*p));
    p->gpu = gpu;
    p->shape = *shape;
    for (uint32_t g = 0; g < AG_COUNT(p->kernels); g++) {
        struct ag_kernel_params params = {
            &ag_shaders_planner, "plan",
            AG_CONSTANTS(shape->group_x, shape->group_y, g, shape->tile_x, shape->tile_y,
                         shape->shares)
        };
        p->kernels[g] = ag_kernel_create(gpu, &params, err);
        if (!p->kernels[g]) {
            goto fail;
        }
    }
    const struct {
        struct ag_buffer **buffer;
        const char *name;
        uint64_t bytes;
    } buffers[] = {
        { &p->none, "planner/none", 256 },
        { &p->stats[0], "planner/stats", sizeof(struct plan_stats) },
        { &p->stats[1], "planner/stats", sizeof(struct plan_stats) },
        { &p->selected, "planner/selected", PLAN_BITMAP_WORDS * 4 },
        { &p->kept, "planner/kept", PLAN_BITMAP_WORDS * 4 },
    };
    static const uint8_t zeros[PLAN_BITMAP_WORDS * 4];
    for (size_t i = 0; i < AG_COUNT(buffers); i++) {
        struct ag_buffer **b = buffers[i].buffer;
        *b = ag_buffer_create(gpu, AG_MEM_DEVICE, buffers[i].bytes, buffers[i].name, err);
        if (!*b || !ag_buffer_load(gpu, *b, 0, zeros, buffers[i].bytes, err)) {
            goto fail;
        }
    }
    return p;

fail:
    ag_planner_destroy(gpu, &p);
    return NULL;
}

static void destroy_tables(struct ag_planner *p)
{
    struct ag_buffer **buffers[] = { &p->grids, &p->sources, &p->parts, &p->column, &p->row,
                                     &p->edges, &p->ranges, &p->segments[0], &p->segments[1] };
    for (size_t i = 0; i < AG_COUNT(buffers); i++) {
        ag_buffer_destroy(p->gpu, buffers[i]);
    }
}

void ag_planner_destroy(struct ag_gpu *gpu, struct ag_planner **planner)
{
    struct ag_planner *p = *planner;
    if (!p) {
        return;
    }
    destroy_tables(p);
    ag_buffer_destroy(gpu, &p->kept);
    ag_buffer_destroy(gpu, &p->selected);
    ag_buffer_destroy(gpu, &p->stats[1]);
    ag_buffer_destroy(gpu, &p->stats[0]);
    ag_buffer_destroy(gpu, &p->none);
    for (uint32_t g = 0; g < AG_COUNT(p->kernels); g++) {
        ag_kernel_destroy(gpu, &p->kernels[g]);
    }
    ag_free(p);
    *planner = NULL;
}

// ---- configuration -----------------------------------------------------------------------------

static bool check_layout(const struct ag_layout *layout, struct ag_error *err)
{
    if (layout->n_grids < 1 || layout->n_grids > AG_MAX_GRIDS || layout->cells > AG_MAX_CELLS) {
        return ag_fail(err, AG_ERR_INPUT,
                       "the planner takes 1 to %d grids with %d cells together, not %u grids with "
                       "%u cells", AG_MAX_GRIDS, AG_MAX_CELLS, layout->n_grids, layout->cells);
    }
    uint64_t first = 0;
    for (uint32_t g = 0; g < layout->n_grids; g++) {
        const struct ag_grid *grid = &layout->grid[g];
        // The last grid may be coarser: that of the repaired cells, drawn over the others.
        bool last = g + 1 == layout->n_grids;
        bool coarser = g > 0 && !last && grid->cols < layout->grid[g - 1].cols;
        if (grid->cols < 1 || grid->rows < 1 || grid->cols > MAX_AXIS_CELLS ||
            grid->rows > MAX_AXIS_CELLS || grid->first != first || grid->colour > 3 || coarser) {
            return ag_fail(err, AG_ERR_INPUT,
                           "grid %u of the layout (%u x %u cells from %u, colour %u) is not a "
                           "grid, does not follow the one before it or is coarser", g, grid->cols,
                           grid->rows, grid->first, grid->colour);
        }
        first += (uint64_t)grid->cols * grid->rows;
    }
    if (first != layout->cells) {
        return ag_fail(err, AG_ERR_INPUT, "the grids of the layout have %llu cells, it says %u",
                       (unsigned long long)first, layout->cells);
    }
    return true;
}

static bool check_setup(const struct ag_planner_setup *s, struct ag_layout *drawn,
                        struct ag_error *err)
{
    if (s->width < 1 || s->height < 1 || s->width > MAX_SIDE || s->height > MAX_SIDE) {
        return ag_fail(err, AG_ERR_INPUT, "a picture has 1 to %u pixels a side, not %u x %u",
                       MAX_SIDE, s->width, s->height);
    }
    if (!isfinite(s->cell_scale) || s->cell_scale <= 0.0f) {
        return ag_fail(err, AG_ERR_INPUT, "the cell scale must be above 0, not %g",
                       (double)s->cell_scale);
    }
    if (!check_layout(&s->layout, err)) {
        return false;
    }
    const struct ag_layout *l = &s->layout;
    if ((l->extent_width && l->extent_width < s->width) ||
        (l->extent_height && l->extent_height < s->height)) {
        return ag_fail(err, AG_ERR_INPUT, "grids over %u x %u pixels do not span a picture of %u x "
                       "%u", l->extent_width, l->extent_height, s->width, s->height);
    }
    if (!ag_plan_layout(&s->layout, s->geometry, drawn)) {
        return ag_fail(err, AG_ERR_INPUT, "%u x %u cells are too many for the geometry 'effective'",
                       drawn->grid[0].cols, drawn->grid[0].rows);
    }
    return true;
}

// A device buffer with this content; NULL: undefined content.
static struct ag_buffer *make_buffer(struct ag_planner *p, const char *name, const void *data,
                                     uint64_t bytes, struct ag_error *err)
{
    struct ag_buffer *b = ag_buffer_create(p->gpu, AG_MEM_DEVICE, bytes, name, err);
    if (b && data && !ag_buffer_load(p->gpu, b, 0, data, bytes, err)) {
        ag_buffer_destroy(p->gpu, &b);
    }
    return b;
}

static bool make_grids(struct ag_planner *p, struct ag_error *err)
{
    struct plan_grid grids[2 * PLAN_MAX_GRIDS] = { 0 };
    const struct ag_layout *layouts[2] = { &p->drawn, &p->setup.layout };
    for (uint32_t i = 0; i < 2; i++) {
        for (uint32_t g = 0; g < layouts[i]->n_grids; g++) {
            const struct ag_grid *grid = &layouts[i]->grid[g];
            grids[i * PLAN_MAX_GRIDS + g] =
                (struct plan_grid){ grid->cols, grid->rows, grid->first, grid->colour };
        }
    }
    p->grids = make_buffer(p, "planner/grids", grids, sizeof(grids), err);
    return p->grids != NULL;
}

static bool make_sources(struct ag_planner *p, struct ag_error *err)
{
    if (p->setup.geometry != AG_GEOMETRY_EFFECTIVE) {
        return true;
    }
    const struct ag_grid *target = &p->drawn.grid[0];
    uint32_t stride = target->cols + target->rows, n = p->setup.layout.n_grids;
    uint32_t *sources = ag_alloc((size_t)n * stride * sizeof(*sources));
    for (uint32_t g = 0; g < n; g++) {
        ag_axis_sources(p->setup.layout.grid[g].cols, target->cols, sources + g * stride);
        ag_axis_sources(p->setup.layout.grid[g].rows, target->rows,
                        sources + g * stride + target->cols);
    }
    p->sources = make_buffer(p, "planner/sources", sources, (uint64_t)n * stride * 4, err);
    ag_free(sources);
    return p->sources != NULL;
}

static bool make_parts(struct ag_planner *p, const struct ag_axis *x, const struct ag_axis *y,
                       struct ag_error *err)
{
    if (p->setup.geometry != AG_GEOMETRY_DEDUPLICATED) {
        return true;
    }
    const struct ag_axis *axes[2] = { x, y };
    uint32_t at = PLAN_PARTS_HEAD, parts_at = at + 2 * (x->n_cells + y->n_cells);
    uint64_t bytes = 4ull * (parts_at + x->n_part_words + y->n_part_words);
    uint32_t *words = ag_alloc(bytes);
    for (uint32_t a = 0; a < 2; a++) {
        for (uint32_t g = 0, cells = 0; g < p->drawn.n_grids; g++) {
            words[a * PLAN_MAX_GRIDS + g] = at + 2 * cells;
            cells += a == 0 ? p->drawn.grid[g].cols : p->drawn.grid[g].rows;
        }
        for (uint32_t i = 0; i < axes[a]->n_cells; i++) {
            words[at++] = parts_at + axes[a]->parts_of[i][0];
            words[at++] = parts_at + axes[a]->parts_of[i][1];
        }
        memcpy(words + parts_at, axes[a]->parts, axes[a]->n_part_words * sizeof(*words));
        parts_at += axes[a]->n_part_words;
    }
    p->parts = make_buffer(p, "planner/parts", words, bytes, err);
    ag_free(words);
    return p->parts != NULL;
}

// Two tables of words, one behind the other.
static struct ag_buffer *make_pair(struct ag_planner *p, const char *name, const void *x,
                                   uint64_t x_bytes, const void *y, uint64_t y_bytes,
                                   struct ag_error *err)
{
    uint8_t *both = ag_alloc(x_bytes + y_bytes);
    memcpy(both, x, x_bytes);
    memcpy(both + x_bytes, y, y_bytes);
    struct ag_buffer *b = make_buffer(p, name, both, x_bytes + y_bytes, err);
    ag_free(both);
    return b;
}

static bool make_segments(struct ag_planner *p, struct ag_error *err)
{
    uint32_t n = p->drawn.n_grids, width = p->setup.width, height = p->setup.height;
    uint32_t cols[AG_MAX_GRIDS], rows[AG_MAX_GRIDS];
    for (uint32_t g = 0; g < n; g++) {
        cols[g] = p->drawn.grid[g].cols;
        rows[g] = p->drawn.grid[g].rows;
    }
    struct ag_axis x, y;
    ag_axis_make(cols, n, width, AG_MAX(p->drawn.extent_width, width), p->units, &x);
    ag_axis_make(rows, n, height, AG_MAX(p->drawn.extent_height, height), p->units, &y);
    p->n_x = x.n;
    p->n_y = y.n;
    p->column = make_buffer(p, "planner/column", x.segment_of, width * 4ull, err);
    p->row = make_buffer(p, "planner/row", y.segment_of, height * 4ull, err);
    p->edges = make_pair(p, "planner/edges", x.edges, (x.n + 1) * 4ull, y.edges, (y.n + 1) * 4ull,
                         err);
    uint64_t range = sizeof(struct segment_range);
    p->ranges = make_pair(p, "planner/ranges", x.ranges, (n + 1) * x.n * range, y.ranges,
                          (n + 1) * y.n * range, err);
    p->segments[0] = make_buffer(p, "planner/segments", NULL, 4ull * x.n * y.n, err);
    p->segments[1] = make_buffer(p, "planner/segments", NULL, 4ull * x.n * y.n, err);
    p->with_these = 0;
    bool ok = make_parts(p, &x, &y, err);
    ag_axis_free(&x);
    ag_axis_free(&y);
    return ok && p->column && p->row && p->edges && p->ranges && p->segments[0] && p->segments[1];
}

bool ag_planner_configure(struct ag_planner *p, const struct ag_planner_setup *setup,
                          struct ag_error *err)
{
    struct ag_layout drawn;
    if (!check_setup(setup, &drawn, err)) {
        return false;
    }
    destroy_tables(p);
    p->setup = *setup;
    p->drawn = drawn;
    p->units = ag_cell_units(setup->cell_scale);
    if (make_grids(p, err) && make_sources(p, err) && make_segments(p, err)) {
        return true;
    }
    destroy_tables(p);
    return false;
}

// ---- recording ---------------------------------------------------------------------------------

void ag_planner_replace(struct ag_planner *p)
{
    assert(p->with_these > 0);
    p->plans--;
    p->with_these--;
}

void ag_planner_record(struct ag_planner *p, struct ag_cmd *cmd, const struct ag_mask *mask,
                       bool keyframe, struct ag_plan *out)
{
    assert(p->segments[0] && p->segments[1]); // configured
    struct ag_buffer *segments = p->segments[++p->plans % 2];
    struct ag_buffer *before = p->with_these > 0 ? p->segments[(p->plans + 1) % 2] : NULL;
    p->with_these++;
    struct ag_mask empty = { .cells = p->none, .count = p->none };
    mask = mask ? mask : &empty;
    assert(mask->offset % 4 == 0 && mask->count_offset % 4 == 0);
    // Workgroups add up their sums in words that are zero: each plan leaves the next one such.
    struct ag_buffer *stats = p->stats[p->turn], *next_stats = p->stats[p->turn ^ 1];
    p->turn ^= 1;
    uint32_t tiles_x = AG_DIV_UP(p->n_x, p->shape.tile_x);
    uint32_t tiles_y = AG_DIV_UP(p->n_y, p->shape.tile_y);
    if (8 * tiles_x * tiles_y <= p->shape.max_groups) {
        tiles_y *= 2; // few for this device: halves
    }
    uint32_t n_tiles = tiles_x * tiles_y;
    uint32_t groups = AG_MAX(p->shape.max_groups, AG_DIV_UP(n_tiles, p->shape.max_tiles));
    uint32_t words = AG_DIV_UP(AG_MAX(p->setup.layout.cells, p->drawn.cells), 32);
    uint32_t tile_groups = AG_MIN(groups, n_tiles), own_words = p->shape.own_words;
    uint32_t own_groups = own_words ? AG_DIV_UP(words, own_words) : 0;
    struct plan_args args = {
        .cells_at = (uint32_t)(mask->offset / 4),
        .count_at = (uint32_t)(mask->count_offset / 4),
        .max_cells = mask->max_cells,
        .cells = p->setup.layout.cells,
        .input_grids = p->setup.layout.n_grids,
        .drawn_cells = p->drawn.cells,
        .n_grids = p->drawn.n_grids,
        .target_cols = p->drawn.grid[0].cols,
        .target_rows = p->drawn.grid[0].rows,
        .words = words,
        .own_words = own_words ? own_words : AG_DIV_UP(words, tile_groups),
        .first_own = own_words ? tile_groups : 0,
        .n_x = p->n_x,
        .n_y = p->n_y,
        .tile_x = AG_DIV_UP(p->n_x, tiles_x),
        .tile_y = AG_DIV_UP(p->n_y, tiles_y),
        .tiles_x = tiles_x,
        .n_tiles = n_tiles,
        .tile_groups = tile_groups,
        .keyframe = keyframe,
    };
    ag_cmd_stage_begin(cmd, AG_STAGE_PLAN);
    ag_dispatch(cmd, p->kernels[p->setup.geometry],
                AG_BIND({ mask->cells }, { mask->count }, { p->grids },
                        { p->sources ? p->sources : p->none }, { p->parts ? p->parts : p->none },
                        { p->ranges }, { stats }, { next_stats }, { p->selected }, { p->kept },
                        { segments }),
                &args, sizeof(args), tile_groups + own_groups, 1, 1);
    ag_cmd_stage_end(cmd);
    *out = (struct ag_plan){
        .stats = stats,
        .selected = p->selected,
        .kept = p->kept,
        .grids = p->grids,
        .column = p->column,
        .row = p->row,
        .segments = segments,
        .before = before,
        .serial = p->plans,
        .edges = p->edges,
        .n_x = p->n_x,
        .n_y = p->n_y,
        .width = p->setup.width,
        .height = p->setup.height,
        .n_grids = p->drawn.n_grids,
        .cell_units = p->units,
        .geometry = p->setup.geometry,
        .keyframe = keyframe,
    };
}
