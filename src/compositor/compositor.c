#include "autogaze/compositor.h"

#include <assert.h>
#include <math.h>

#include "interface/compose_args.h"

AG_SHADERS(compositor);

_Static_assert(ROWS_CELL_UNIT == AG_CELL_UNIT, "shaders and host agree on the cell unit");

#define GROUP_SIZE 64
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
    struct ag_buffer *none;     // stands in where a kernel writes nothing
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
    for (uint32_t i = 0; i < 2 * COMPOSE_VARIANTS; i++) {
        struct ag_kernel_params compose = { &ag_shaders_compositor, names[i / COMPOSE_VARIANTS],
                                            AG_CONSTANTS(GROUP_SIZE, i % COMPOSE_VARIANTS) };
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
    float alpha = clamp_alpha(style->blend_alpha), mask_alpha = opaque ? 1.0f : alpha;
    struct compose_args args = {
        .width = plan->width,
        .height = plan->height,
        .n_x = plan->n_x,
        .palette = style->palette * COMPOSE_PALETTE_WORDS,
        .mask_blend = { 1.0f - mask_alpha, mask_alpha },
        .output_blend = { 1.0f - alpha, alpha },
        .keep = style->style == AG_STYLE_IMAGE_OVERLAY ? 0xffffffffu : 0,
        .set = opaque ? 0xff000000u : 0,
        .error_at = (uint32_t)(job->stats_offset / 4),
    };
    uint32_t variant = (mask ? COMPOSE_MASK : 0) | (style->psnr ? COMPOSE_ERROR : 0) |
                       (style->output == AG_OUTPUT_FULL_BLEND ? COMPOSE_FULL_BLEND : 0);
    bool quad = plan->width % 4 == 0;
    ag_dispatch(cmd, c->compose[quad][variant],
                AG_BIND({ job->input }, { job->history }, { mask ? job->mask : c->none },
                        { plan->column }, { plan->row }, { plan->segments }, { c->palettes },
                        { style->psnr ? job->stats : c->none }, { c->total }),
                &args, sizeof(args), AG_DIV_UP(quad ? plan->width / 4 : plan->width, GROUP_SIZE),
                AG_DIV_UP(plan->height, COMPOSE_ROWS), 1);
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
