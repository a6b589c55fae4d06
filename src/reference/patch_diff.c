#include "autogaze/mask_source.h"

#include <stdlib.h>

// Twin of shaders/mask/diff.comp and select.comp (S4): integer sums, then one float32 score a
// cell, in the order and the precision of the shader.

struct sums {
    uint64_t channel[3];
};

static struct sums cell_sums(const struct ag_patch_diff_setup *setup, const uint8_t *previous,
                             const uint8_t *next, struct ag_rect r)
{
    struct sums s = { 0 };
    for (uint32_t y = r.y0; y < r.y1; y++) {
        for (uint32_t x = r.x0; x < r.x1; x++) {
            size_t at = 4 * ((size_t)y * setup->width + x);
            for (int c = 0; c < 3; c++) {
                s.channel[c] += (uint64_t)abs(next[at + c] - previous[at + c]);
            }
        }
    }
    return s;
}

uint32_t ag_ref_patch_diff(const struct ag_patch_diff_setup *setup, const uint8_t *previous,
                           const uint8_t *next, float threshold, float *scores, uint8_t *selected)
{
    uint32_t n = 0;
    for (uint32_t i = 0; i < setup->grid * setup->grid; i++) {
        // Bin k covers [floor(k E/G), ceil((k+1) E/G)): the rectangle rule of cells.
        struct ag_rect r;
        ag_cell_span(i % setup->grid, setup->grid, setup->width, AG_CELL_UNIT, &r.x0, &r.x1);
        ag_cell_span(i / setup->grid, setup->grid, setup->height, AG_CELL_UNIT, &r.y0, &r.y1);
        struct sums s = cell_sums(setup, previous, next, r);
        double pixels = (double)(r.x1 - r.x0) * (r.y1 - r.y0);
        float mean = (float)(1.0 / (3.0 * pixels));
        float score = 0.0f;
        for (int c = 0; c < 3; c++) {
            float weight = (float)(1.0 / (127.5 * (double)setup->std[c]));
            score = score + (float)s.channel[c] * weight;
        }
        scores[i] = score * mean;
        selected[i] = scores[i] > threshold; // strictly
        n += selected[i];
    }
    return n;
}
