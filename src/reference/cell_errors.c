#include "autogaze/mask_source.h"

#include <math.h>

// Twin of shaders/mask/errors.comp and worst.comp.

#define G AG_ERROR_GRID
#define UNIT 4096 // of a target

uint32_t ag_error_target(float db)
{
    double mse = 255.0 * 255.0 * pow(10.0, -(double)db / 10.0);
    double units = floor(3.0 * mse * UNIT);
    return units >= 0.0 ? (uint32_t)fmin(units, UINT32_MAX) : 0; // NaN: 0
}

static uint32_t begin_of(uint32_t index, uint32_t grid_extent, uint32_t extent)
{
    return AG_MIN(AG_DIV_UP(index * grid_extent, G), extent);
}

static uint64_t error_of(uint32_t width, const uint8_t *a, const uint8_t *b, const uint8_t *covered,
                         struct ag_rect r)
{
    uint64_t sum = 0;
    for (uint32_t y = r.y0; y < r.y1; y++) {
        for (uint32_t x = r.x0; x < r.x1; x++) {
            size_t at = (size_t)y * width + x;
            for (int c = 0; c < 3 && !(covered && (covered[at] & 1)); c++) {
                int d = a[4 * at + c] - b[4 * at + c];
                sum += (uint64_t)(d * d);
            }
        }
    }
    return sum;
}

uint32_t ag_ref_worst_cells(const struct ag_cell_errors_setup *setup, const uint8_t *history,
                            const uint8_t *input, const uint8_t *covered, float target_db,
                            uint32_t limit, uint64_t *errors, uint32_t *cells)
{
    uint32_t w = setup->width, h = setup->height;
    uint32_t grid_w = setup->layout.extent_width ? setup->layout.extent_width : w;
    uint32_t grid_h = setup->layout.extent_height ? setup->layout.extent_height : h;
    bool beyond[AG_ERROR_CELLS];
    uint32_t n = 0;
    for (uint32_t i = 0; i < AG_ERROR_CELLS; i++) {
        struct ag_rect r = { begin_of(i % G, grid_w, w), begin_of(i / G, grid_h, h),
                             begin_of(i % G + 1, grid_w, w), begin_of(i / G + 1, grid_h, h) };
        uint64_t area = (uint64_t)(r.x1 - r.x0) * (r.y1 - r.y0);
        errors[i] = error_of(w, history, input, covered, r);
        beyond[i] = errors[i] * UNIT > area * ag_error_target(target_db);
        n += beyond[i];
    }
    for (uint32_t k = 0; k < AG_MIN(n, limit); k++) {
        uint32_t worst = AG_ERROR_CELLS;
        for (uint32_t i = 0; i < AG_ERROR_CELLS; i++) {
            if (beyond[i] && (worst == AG_ERROR_CELLS || errors[i] > errors[worst])) {
                worst = i;
            }
        }
        beyond[worst] = false;
        cells[k] = worst;
    }
    return n;
}
