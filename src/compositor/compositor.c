#include "autogaze/compositor.h"

#include <assert.h>
#include <math.h>

#include "interface/compose_args.h"
#include "interface/plan_args.h"

AG_SHADERS(compositor);

_Static_assert(ROWS_CELL_UNIT == AG_CELL_UNIT, "shaders and host agree on the cell unit");

_Static_assert((int)COMPOSE_AUTO == (int)AG_DISPATCH_AUTO &&
                   (int)COMPOSE_SPARSE == (int)AG_DISPATCH_SPARSE &&
                   (int)COMPOSE_DENSE == (int)AG_DISPATCH_DENSE &&
                   (int)PLAN_PATH_SPARSE == (int)AG_PATH_SPARSE &&
                   (int)PLAN_PATH_COPY == (int)AG_PATH_COPY,
               "shaders and host number the paths alike");

// Hardware hides the latency of memory with many invocations, a software device pays for each.
// Large groups add fewer sums to the one total.
#define GROUP_SIZE 512
#define HARDWARE_ROWS 2
#define SOFTWARE_ROWS 8
#define HARDWARE_LANES 32
#define MAX_GROUPS 32768 // on one axis
#define ROWS_TILE_X 16
#define ROWS_TILE_Y 16

// S6.4; the second palette keeps its colours apart for every kind of colour blindness: two
// yellowish and two bluish ones, of each a dark and a light one (after Okabe and Ito).
static const uint8_t palettes[][4][3] = {
    { { 255, 180, 0 }, { 60, 220, 120 }, { 0, 185, 255 }, { 230, 110, 255 } },
    { { 213, 94, 0 }, { 240, 228, 66 }, { 0, 114, 178 }, { 86, 180, 233 } },
};

struct ag_compositor {
    struct ag_kernel *compose[2][COMPOSE_VARIANTS]; // a pixel, four pixels an invocation
    struct ag_kernel *rows;
    struct ag_buffer *palettes; // [palette][fill 4, border 4], pixels
    struct ag_buffer *total;    // of the error sum; zeros between pictures
    struct ag_buffer *none;     // stands in where a kernel reads or writes nothing
    uint32_t n_rows;            // that an invocation of `compose` makes
    struct {                    // what the mask panel shows
        const struct ag_buffer *panel;
        uint64_t plan;          // serial
        uint32_t set;           // bits of a pixel without cells
        bool blank;             // where there are none, it shows nothing but these
    } shown;
};

static uint32_t pixel(const uint8_t *colour, float factor)
{
    uint32_t word = 0xff000000u;
    for (int c = 0; c < 3; c++) {
        word |= (uint32_t)roundf(factor * (float)colour[c]) << 8 * c;
    }
    return word;
}

static bool load_tables(struct ag_compositor *c, struct ag_gpu *gpu, struct ag_error *err)
{
    uint32_t words[AG_COUNT(palettes) * COMPOSE_PALETTE_WORDS];
    for (size_t i = 0; i < AG_COUNT(palettes) * 4; i++) {
        uint32_t *palette = words + i / 4 * COMPOSE_PALETTE_WORDS;
        palette[i % 4] = pixel(palettes[i / 4][i % 4], 0.42f);
        palette[4 + i % 4] = pixel(palettes[i / 4][i % 4], 1.0f);
    }
    static const uint32_t zeros[3];
    return ag_buffer_load(gpu, c->palettes, 0, words, sizeof(words), err) &&
           ag_buffer_load(gpu, c->total, 0, zeros, sizeof(zeros), err);
}

static bool make_kernels(struct ag_compositor *c, struct ag_gpu *gpu, struct ag_error *err)
{
    static const char *const names[2] = { "compose", "compose.quad" };
    uint32_t lanes = ag_gpu_get_info(gpu)->software ? 1 : HARDWARE_LANES;
    for (uint32_t i = 0; i < 2 * COMPOSE_VARIANTS; i++) {
        struct ag_kernel_params compose = { &ag_shaders_compositor, names[i / COMPOSE_VARIANTS],
                                            AG_CONSTANTS(GROUP_SIZE, i % COMPOSE_VARIANTS,
                                                         c->n_rows, lanes) };
        struct ag_kernel **kernel = &c->compose[i / COMPOSE_VARIANTS][i % COMPOSE_VARIANTS];
        *kernel = ag_kernel_create(gpu, &compose, err);
        if (!*kernel) {
            return false;
        }
    }
    struct ag_kernel_params rows = { &ag_shaders_compositor, "rows",
                                     AG_CONSTANTS(ROWS_TILE_X, ROWS_TILE_Y) };
    c->rows = ag_kernel_create(gpu, &rows, err);
    return c->rows != NULL;
}

struct ag_compositor *ag_compositor_create(struct ag_gpu *gpu, struct ag_error *err)
{
    struct ag_compositor *c = ag_alloc(sizeof(*c));
    c->n_rows = ag_gpu_get_info(gpu)->software ? SOFTWARE_ROWS : HARDWARE_ROWS;
    c->palettes = ag_buffer_create(gpu, AG_MEM_DEVICE,
                                   AG_COUNT(palettes) * COMPOSE_PALETTE_WORDS * 4,
                                   "compositor/palettes", err);
    c->total = ag_buffer_create(gpu, AG_MEM_DEVICE, 12, "compositor/total", err);
    c->none = ag_buffer_create(gpu, AG_MEM_DEVICE, 16, "compositor/none", err);
    if (!make_kernels(c, gpu, err) || !c->palettes || !c->total || !c->none ||
        !load_tables(c, gpu, err)) {
        ag_compositor_destroy(gpu, &c);
    }
    return c;
}

void ag_compositor_destroy(struct ag_gpu *gpu, struct ag_compositor **compositor)
{
    struct ag_compositor *c = *compositor;
    if (!c) {
        return;
    }
    ag_buffer_destroy(gpu, &c->none);
    ag_buffer_destroy(gpu, &c->total);
    ag_buffer_destroy(gpu, &c->palettes);
    ag_kernel_destroy(gpu, &c->rows);
    for (uint32_t i = 0; i < 2 * COMPOSE_VARIANTS; i++) {
        ag_kernel_destroy(gpu, &c->compose[i / COMPOSE_VARIANTS][i % COMPOSE_VARIANTS]);
    }
    ag_free(c);
    *compositor = NULL;
}

static void record_rows(struct ag_compositor *c, struct ag_cmd *cmd,
                        const struct ag_compose_job *job)
{
    const struct ag_plan *plan = &job->plan;
    struct rows_args args = {
        .width = plan->width,
        .height = plan->height,
        .n_grids = plan->n_grids,
        .palette = job->style.palette * COMPOSE_PALETTE_WORDS,
        .cell_units = plan->cell_units,
    };
    ag_dispatch(cmd, c->rows,
                AG_BIND({ job->mask }, { plan->stats }, { plan->grids }, { plan->kept },
                        { c->palettes }),
                &args, sizeof(args), AG_DIV_UP(plan->width, ROWS_TILE_X),
                AG_DIV_UP(plan->height, ROWS_TILE_Y), 1);
}

static float clamp_alpha(float alpha)
{
    return alpha >= 0.0f ? AG_MIN(alpha, 1.0f) : 0.0f; // also for NaN
}

static void record_compose(struct ag_compositor *c, struct ag_cmd *cmd,
                           const struct ag_compose_job *job, bool mask)
{
    const struct ag_plan *plan = &job->plan;
    const struct ag_compose_style *style = &job->style;
    bool opaque = style->style == AG_STYLE_OVERLAY || style->style == AG_STYLE_SCALE_ROWS;
    bool blank = style->style != AG_STYLE_IMAGE_OVERLAY;
    float alpha = clamp_alpha(style->blend_alpha), mask_alpha = opaque ? 1.0f : alpha;
    struct compose_args args = {
        .width = plan->width,
        .height = plan->height,
        .n_x = plan->n_x,
        .palette = style->palette * COMPOSE_PALETTE_WORDS,
        .mask_blend = { 1.0f - mask_alpha, mask_alpha },
        .output_blend = { 1.0f - alpha, alpha },
        .keep = blank ? 0 : 0xffffffffu,
        .set = opaque ? 0xff000000u : 0,
        .stats_at = (uint32_t)(job->stats_offset / 4),
        .keyframe = plan->keyframe,
        .dispatch = style->dispatch,
        .sparse_below = job->sparse_below,
    };
    args.mask_known = mask && job->mask_kept && blank && plan->before && c->shown.blank &&
                      c->shown.panel == job->mask && c->shown.plan + 1 == plan->serial &&
                      c->shown.set == args.set;
    if (job->mask) { // scale-rows draw theirs behind this and leave nothing to go on from
        c->shown.panel = job->mask;
        c->shown.plan = plan->serial;
        c->shown.set = args.set;
        c->shown.blank = mask && blank;
    }
    uint32_t variant = (mask ? COMPOSE_MASK : 0) | (style->psnr ? COMPOSE_ERROR : 0) |
                       (style->output == AG_OUTPUT_FULL_BLEND ? COMPOSE_FULL_BLEND : 0);
    bool quad = plan->width % 4 == 0;
    uint32_t columns = quad ? plan->width / 4 : plan->width;
    uint32_t groups = AG_DIV_UP(columns * AG_DIV_UP(plan->height, c->n_rows), GROUP_SIZE);
    uint32_t x = AG_MIN(groups, (uint32_t)MAX_GROUPS);
    ag_dispatch(cmd, c->compose[quad][variant],
                AG_BIND({ job->input }, { job->history }, { mask ? job->mask : c->none },
                        { plan->column }, { plan->row }, { plan->segments }, { c->palettes },
                        { job->stats }, { c->total },
                        { args.mask_known ? plan->before : plan->segments }, { plan->stats },
                        { plan->edges }),
                &args, sizeof(args), x, AG_DIV_UP(groups, x), 1);
}

void ag_compositor_record(struct ag_compositor *c, struct ag_cmd *cmd,
                          const struct ag_compose_job *job)
{
    assert(job->style.palette < AG_COUNT(palettes) && job->stats_offset % 4 == 0);
    bool rows = job->style.style == AG_STYLE_SCALE_ROWS &&
                job->plan.geometry != AG_GEOMETRY_EFFECTIVE;
    ag_cmd_stage_begin(cmd, AG_STAGE_COMPOSE);
    record_compose(c, cmd, job, job->mask && !rows);
    if (job->mask && rows) {
        record_rows(c, cmd, job);
    }
    ag_cmd_stage_end(cmd);
}
