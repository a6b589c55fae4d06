#include "autogaze/compositor.h"

#include <assert.h>

#include "interface/paint_args.h"

AG_SHADERS(compositor);

// Invocations of a workgroup and pixels of an invocation. A barrier costs a software device as much
// as dozens of pixels: its groups are one vector wide and do more.
#define GROUP_SIZE 256
#define SOFTWARE_GROUP_SIZE 8
#define SOFTWARE_PIXELS 64
#define MAX_GROUPS 65535u // that every device takes

struct ag_canvas {
    struct ag_gpu *gpu;
    struct ag_kernel *paint[2], *sum; // without and with the error
    struct ag_canvas_setup setup;
    uint32_t group, pixels;    // see above
    uint32_t n_grids;          // of the drawn layout
    struct ag_buffer *centres; // see paint.comp
    struct ag_buffer *partial; // float32 [groups]
};

struct ag_canvas *ag_canvas_create(struct ag_gpu *gpu, struct ag_error *err)
{
    struct ag_canvas *c = ag_alloc(sizeof(*c));
    c->gpu = gpu;
    bool software = ag_gpu_get_info(gpu)->software;
    c->group = software ? SOFTWARE_GROUP_SIZE : GROUP_SIZE;
    c->pixels = software ? SOFTWARE_PIXELS : 1;
    struct ag_kernel_params sum = { &ag_shaders_compositor, "paint_sum", AG_CONSTANTS(c->group) };
    for (uint32_t error = 0; error < 2; error++) {
        struct ag_kernel_params paint = { &ag_shaders_compositor, "paint",
                                          AG_CONSTANTS(c->group, c->pixels, error) };
        c->paint[error] = ag_kernel_create(gpu, &paint, err);
        if (!c->paint[error]) {
            ag_canvas_destroy(gpu, &c);
            return NULL;
        }
    }
    c->sum = ag_kernel_create(gpu, &sum, err);
    if (!c->sum) {
        ag_canvas_destroy(gpu, &c);
    }
    return c;
}

static void destroy_tables(struct ag_canvas *c)
{
    ag_buffer_destroy(c->gpu, &c->centres);
    ag_buffer_destroy(c->gpu, &c->partial);
}

void ag_canvas_destroy(struct ag_gpu *gpu, struct ag_canvas **canvas)
{
    struct ag_canvas *c = *canvas;
    if (!c) {
        return;
    }
    destroy_tables(c);
    ag_kernel_destroy(gpu, &c->sum);
    ag_kernel_destroy(gpu, &c->paint[0]);
    ag_kernel_destroy(gpu, &c->paint[1]);
    ag_free(c);
    *canvas = NULL;
}

static uint64_t pixels_of(const struct ag_canvas_setup *s)
{
    return (uint64_t)s->cols * s->rows * s->side * s->side;
}

static uint32_t groups_of(const struct ag_canvas *c)
{
    return (uint32_t)AG_DIV_UP(pixels_of(&c->setup), c->group * c->pixels);
}

// Cells of an axis that hold the centre of each of `extent` canvas pixels, of which the grid spans
// `span`; neither end of that range descends.
static void make_centres(uint32_t n, uint32_t extent, uint32_t span, uint32_t units, uint32_t *out)
{
    uint32_t lowest = 0;
    for (uint32_t x = 0; x < extent; x++) {
        // Cells before `lowest` end before x. Look for the next one that holds it.
        uint32_t first = x < span ? lowest : n;
        while (first < n && !ag_cell_has_centre(first, n, x, span, units)) {
            first++;
        }
        if (first == n) {
            out[x] = 1; // none: 1 to 0
            continue;
        }
        lowest = first;
        uint32_t last = first;
        while (last + 1 < n && ag_cell_has_centre(last + 1, n, x, span, units)) {
            last++;
        }
        out[x] = last << 16 | first;
    }
}

static bool make_tables(struct ag_canvas *c, const struct ag_layout *drawn, struct ag_error *err)
{
    const struct ag_canvas_setup *s = &c->setup;
    uint32_t width = s->cols * s->side, height = s->rows * s->side, n = drawn->n_grids;
    uint32_t units = ag_cell_units(s->cell_scale);
    uint64_t bytes = n * ((uint64_t)width + height) * sizeof(uint32_t);
    uint32_t *centres = ag_alloc(bytes);
    for (uint32_t g = 0; g < n; g++) {
        make_centres(drawn->grid[g].cols, width, s->span_width, units, centres + g * width);
        make_centres(drawn->grid[g].rows, height, s->span_height, units,
                     centres + n * width + g * height);
    }
    c->centres = ag_buffer_create(c->gpu, AG_MEM_DEVICE, bytes, "canvas/centres", err);
    c->partial = ag_buffer_create(c->gpu, AG_MEM_DEVICE, groups_of(c) * sizeof(float),
                                  "canvas/partial", err);
    bool ok = c->centres && c->partial &&
              ag_buffer_load(c->gpu, c->centres, 0, centres, bytes, err);
    ag_free(centres);
    return ok;
}

#define MAX_SIDE 4096

bool ag_canvas_configure(struct ag_canvas *c, const struct ag_canvas_setup *setup,
                         struct ag_error *err)
{
    struct ag_layout drawn;
    if (setup->side < 1 || setup->side > MAX_SIDE) {
        return ag_fail(err, AG_ERR_INPUT, "a canvas has 1 to %d pixels a side, not %u", MAX_SIDE,
                       setup->side);
    }
    if (!ag_plan_layout(&setup->layout, setup->geometry, &drawn)) {
        return ag_fail(err, AG_ERR_INPUT, "too many cells for the geometry 'effective'");
    }
    struct ag_canvas_setup s = *setup;
    s.cols = AG_MAX(s.cols, 1u);
    s.rows = AG_MAX(s.rows, 1u);
    s.span_width = s.span_width ? s.span_width : s.cols * s.side;
    s.span_height = s.span_height ? s.span_height : s.rows * s.side;
    if (pixels_of(&s) > (uint64_t)MAX_GROUPS * c->group * c->pixels) {
        return ag_fail(err, AG_ERR_INPUT, "%u x %u tiles of %u pixels a side are too many for a "
                       "canvas", s.cols, s.rows, s.side);
    }
    destroy_tables(c);
    c->setup = s;
    c->n_grids = drawn.n_grids;
    if (!make_tables(c, &drawn, err)) {
        destroy_tables(c);
        return false;
    }
    return true;
}

void ag_canvas_record(struct ag_canvas *c, struct ag_cmd *cmd, const struct ag_plan *plan,
                      const struct ag_buffer *input, uint64_t input_offset,
                      struct ag_buffer *canvas, uint64_t canvas_offset, struct ag_buffer *stats,
                      uint64_t stats_offset)
{
    assert(c->centres && plan->n_grids == c->n_grids && plan->geometry == c->setup.geometry);
    assert(input_offset % 4 == 0 && canvas_offset % 4 == 0 && stats_offset % 4 == 0);
    struct paint_args args = {
        .side = c->setup.side,
        .cols = c->setup.cols,
        .tiles = c->setup.cols * c->setup.rows,
        .n_grids = c->n_grids,
        .keyframe = plan->keyframe,
        .input_at = (uint32_t)(input_offset / 4),
        .canvas_at = (uint32_t)(canvas_offset / 4),
    };
    for (int i = 0; i < 3; i++) { // value = (level * rescale - 1 - mean) / std, RGB = level / 255
        args.rgb[i] = (float)((double)c->setup.std[i] / (255.0 * c->setup.rescale_factor));
    }
    struct paint_sum_args sum = { .n = groups_of(c), .error_at = (uint32_t)(stats_offset / 4) };
    ag_cmd_stage_begin(cmd, AG_STAGE_PAINT);
    ag_dispatch(cmd, c->paint[stats != NULL],
                AG_BIND({ input }, { canvas }, { plan->grids }, { plan->kept }, { c->centres },
                        { c->partial }),
                &args, sizeof(args), sum.n, 1, 1);
    if (stats) {
        ag_cmd_barrier(cmd);
        ag_dispatch(cmd, c->sum, AG_BIND({ c->partial }, { stats }), &sum, sizeof(sum), 1, 1, 1);
    }
    ag_cmd_stage_end(cmd);
}
