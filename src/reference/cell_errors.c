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

static uint32_t begin_of(uint32_t index, uint32_t extent)
{
    return AG_DIV_UP(index * extent, G);
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

uint32_t ag_ref_worst_cells(uint32_t width, uint32_t height, const uint8_t *history,
                            const uint8_t *input, const uint8_t *covered, float target_db,
                            uint32_t limit, uint64_t *errors, uint32_t *cells)
{
    bool beyond[AG_ERROR_CELLS];
    uint32_t n = 0;
    for (uint32_t i = 0; i < AG_ERROR_CELLS; i++) {
        struct ag_rect r = { begin_of(i % G, width), begin_of(i / G, height),
                             begin_of(i % G + 1, width), begin_of(i / G + 1, height) };
        uint64_t area = (uint64_t)(r.x1 - r.x0) * (r.y1 - r.y0);
        errors[i] = error_of(width, history, input, covered, r);
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
