#include <string.h>

#include "autogaze/preprocess_ref.h"
#include "autogaze/tiles.h"

void ag_target_cut(const struct ag_target_scales *t, const struct ag_model_config *c,
                   const float *picture, float *tiles)
{
    uint32_t side = t->scale[t->n_scales - 1], size = t->tile_pixels, a_side = t->tiles_a_side;
    size_t model = (size_t)3 * c->image_size * c->image_size;
    float *cut = ag_alloc(sizeof(*cut) * 3 * size * size);
    for (uint32_t tile = 0; tile < a_side * a_side; tile++) {
        uint32_t x0 = tile % a_side * size, y0 = tile / a_side * size;
        memset(cut, 0, sizeof(*cut) * 3 * size * size);
        for (uint32_t line = 0; line < 3 * size; line++) {
            uint32_t y = y0 + line % size;
            if (y < side && x0 < side) {
                memcpy(cut + (size_t)line * size,
                       picture + ((size_t)(line / size) * side + y) * side + x0,
                       AG_MIN(size, side - x0) * sizeof(*cut));
            }
        }
        if (size == c->image_size) {
            memcpy(tiles + tile * model, cut, model * sizeof(*cut));
        } else {
            ag_ref_bicubic(cut, size, size, tiles + tile * model, c->image_size, c->image_size);
        }
    }
    ag_free(cut);
}
