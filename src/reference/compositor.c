#include "autogaze/compositor.h"

#include <math.h>
#include <string.h>

// Twin of the compositor's kernels: a painter. First a map of the picture says what the cells draw
// on each pixel, then one loop over the pixels makes mask panel and output.

enum { FILL = 1 /* plus the palette entry: 1..4 */, BORDER = 0x80 };

struct canvas_rect { // part of the picture that cells are mapped into
    uint32_t x, y, width, height;
};

// S6.4; the second palette keeps its colours apart for every kind of colour blindness: two bluish
// and two yellowish ones, of each a dark and a light one (after Okabe and Ito).
static const uint8_t palettes[2][4][3] = {
    { { 255, 180, 0 }, { 60, 220, 120 }, { 0, 185, 255 }, { 230, 110, 255 } },
    { { 213, 94, 0 }, { 240, 228, 66 }, { 0, 114, 178 }, { 86, 180, 233 } },
};

static float clamp_alpha(float alpha)
{
    return alpha >= 0.0f ? AG_MIN(alpha, 1.0f) : 0.0f; // also for NaN
}

static uint8_t blend(uint8_t in, uint8_t colour, float alpha)
{
    return (uint8_t)roundf((float)in * (1.0f - alpha) + (float)colour * alpha);
}

// ---- map ---------------------------------------------------------------------------------------

static void draw_fill(uint8_t *map, uint32_t width, struct ag_rect r, uint8_t value)
{
    for (uint32_t y = r.y0; y < r.y1; y++) {
        memset(map + (size_t)y * width + r.x0, value, r.x1 - r.x0);
    }
}

static void draw_border(uint8_t *map, uint32_t width, struct ag_rect r)
{
    for (uint32_t y = r.y0; y < r.y1; y++) {
        for (uint32_t x = r.x0; x < r.x1; x++) {
            if (x == r.x0 || x == r.x1 - 1 || y == r.y0 || y == r.y1 - 1) {
                map[(size_t)y * width + x] |= BORDER;
            }
        }
    }
}

// Draws the cells of one grid into a part of the map. All fills come before all borders, and a
// larger column, then a larger row wins: so the order of the list does not matter.
static void draw_grid(const struct ag_ref_plan *plan, const struct ag_layout *layout,
                      uint32_t grid, float cell_scale, struct canvas_rect part, uint8_t *map,
                      uint32_t width)
{
    const struct ag_grid *g = &layout->grid[grid];
    uint32_t cells = g->cols * g->rows;
    uint8_t *fill = ag_alloc(cells);
    for (uint32_t i = 0; i < plan->n; i++) {
        if (plan->cells[i] >= g->first && plan->cells[i] - g->first < cells) {
            fill[plan->cells[i] - g->first] = (uint8_t)(FILL + plan->colour[i]);
        }
    }
    for (uint32_t pass = 0; pass < 2; pass++) {
        for (uint32_t i = 0; i < cells; i++) {
            uint32_t local = i % g->rows * g->cols + i / g->rows; // columns outside
            if (!fill[local]) {
                continue;
            }
            struct ag_rect r = ag_cell_rect(layout, g->first + local, part.width, part.height,
                                            cell_scale);
            r = (struct ag_rect){ r.x0 + part.x, r.y0 + part.y, r.x1 + part.x, r.y1 + part.y };
            if (pass == 0) {
                draw_fill(map, width, r, fill[local]);
            } else {
                draw_border(map, width, r);
            }
        }
    }
    ag_free(fill);
}

static void draw_cells(const struct ag_ref_compose *p, const struct ag_ref_plan *plan, uint8_t *map)
{
    struct canvas_rect whole = { 0, 0, p->width, p->height };
    for (uint32_t g = 0; g < plan->layout.n_grids; g++) {
        draw_grid(plan, &plan->layout, g, p->cell_scale, whole, map, p->width);
    }
}

// A row for each grid that has cells, the picture's aspect kept. A line that two rows share belongs
// to the later one.
static void draw_rows(const struct ag_ref_compose *p, const struct ag_ref_plan *plan, uint8_t *map)
{
    struct ag_layout whole = plan->layout; // grids that reach beyond the picture, too
    whole.extent_width = whole.extent_height = 0;
    uint32_t n = 0;
    for (uint32_t g = 0; g < plan->layout.n_grids; g++) {
        n += plan->stats.per_grid[g] > 0;
    }
    for (uint32_t g = 0, row = 0; g < plan->layout.n_grids; g++) {
        if (plan->stats.per_grid[g] == 0) {
            continue;
        }
        uint32_t y0 = row * p->height / n, y1 = AG_DIV_UP((row + 1) * p->height, n);
        uint32_t rounded = (2 * (y1 - y0) * p->width + p->height) / (2 * p->height);
        struct canvas_rect part = { .y = y0, .height = y1 - y0 };
        part.width = AG_CLAMP(rounded, 1u, p->width);
        part.x = (p->width - part.width) / 2;
        memset(map + (size_t)y0 * p->width, 0, (size_t)(y1 - y0) * p->width);
        draw_grid(plan, &whole, g, p->cell_scale, part, map, p->width);
        row++;
    }
}

// ---- panels ------------------------------------------------------------------------------------

static void put_mask(const struct ag_compose_style *style, uint8_t drawn, const uint8_t *in,
                     uint8_t *out)
{
    bool opaque = style->style == AG_STYLE_OVERLAY || style->style == AG_STYLE_SCALE_ROWS;
    if (drawn) {
        const uint8_t *colour = palettes[style->palette][(drawn & ~BORDER) - FILL];
        for (int c = 0; c < 3; c++) {
            uint8_t m = drawn & BORDER ? colour[c] : (uint8_t)roundf(0.42f * (float)colour[c]);
            out[c] = opaque ? m : blend(in[c], m, clamp_alpha(style->blend_alpha));
        }
        out[3] = opaque ? 255 : in[3];
    } else if (style->style == AG_STYLE_IMAGE_OVERLAY) {
        memcpy(out, in, 4);
    } else {
        memset(out, 0, 3);
        out[3] = opaque ? 255 : 0;
    }
}

static void put_output(const struct ag_ref_compose *p, bool covered, const uint8_t *in,
                       uint8_t *out)
{
    if (p->style.output == AG_OUTPUT_INTERFRAME) {
        if (covered || p->keyframe) {
            memcpy(out, in, 4);
        }
        return;
    }
    memcpy(out, in, 4);
    for (int c = 0; c < 3 && covered; c++) {
        out[c] = blend(in[c], 255, clamp_alpha(p->style.blend_alpha));
    }
}

static uint64_t squared_error(const uint8_t *a, const uint8_t *b)
{
    uint64_t sum = 0;
    for (int c = 0; c < 3; c++) {
        int d = a[c] - b[c];
        sum += (uint64_t)(d * d);
    }
    return sum;
}

uint64_t ag_ref_compose(const struct ag_ref_compose *p, const struct ag_ref_plan *plan,
                        const uint8_t *input, uint8_t *history, uint8_t *mask)
{
    size_t pixels = (size_t)p->width * p->height;
    uint8_t *map = ag_alloc(pixels);
    draw_cells(p, plan, map);
    uint64_t error = 0;
    for (size_t i = 0; i < pixels; i++) {
        put_output(p, map[i] != 0, input + 4 * i, history + 4 * i);
        error += squared_error(input + 4 * i, history + 4 * i);
    }
    if (mask) {
        if (p->style.style == AG_STYLE_SCALE_ROWS && plan->geometry != AG_GEOMETRY_EFFECTIVE) {
            memset(map, 0, pixels);
            draw_rows(p, plan, map);
        }
        for (size_t i = 0; i < pixels; i++) {
            put_mask(&p->style, map[i], input + 4 * i, mask + 4 * i);
        }
    }
    ag_free(map);
    return error;
}

// ---- canvas (M11) ------------------------------------------------------------------------------

void ag_ref_paint(const struct ag_canvas_setup *setup, const struct ag_ref_plan *plan,
                  bool keyframe, const float *input, float *canvas)
{
    size_t side = setup->side, plane = side * side;
    uint32_t cols = AG_MAX(setup->cols, 1u), rows = AG_MAX(setup->rows, 1u);
    uint32_t width = setup->span_width ? setup->span_width : cols * setup->side;
    uint32_t height = setup->span_height ? setup->span_height : rows * setup->side;
    if (keyframe) {
        memcpy(canvas, input, cols * rows * 3 * plane * sizeof(*canvas));
        return;
    }
    uint32_t units = ag_cell_units(setup->cell_scale);
    for (uint32_t i = 0; i < plan->n; i++) {
        struct ag_cell cell = ag_layout_cell(&plan->layout, plan->cells[i]);
        const struct ag_grid *g = &plan->layout.grid[cell.grid];
        for (uint32_t y = 0; y < AG_MIN(height, rows * setup->side); y++) {
            if (!ag_cell_has_centre(cell.row, g->rows, y, height, units)) {
                continue;
            }
            for (uint32_t x = 0; x < AG_MIN(width, cols * setup->side); x++) {
                if (!ag_cell_has_centre(cell.column, g->cols, x, width, units)) {
                    continue;
                }
                size_t tile = y / side * cols + x / side;
                for (uint32_t c = 0; c < 3; c++) {
                    size_t at = (tile * 3 + c) * plane + y % side * side + x % side;
                    canvas[at] = input[at];
                }
            }
        }
    }
}
