// Rotary position embedding, M4.1. Rows are built on the host for both back ends: positions run
// into the thousands, where a shader's sin and cos are far too coarse.
#include "autogaze/model.h"

#include <math.h>

static double scaled(const struct ag_model_config *c, double frequency)
{
    double wavelength = 2.0 * M_PI / frequency;
    if (wavelength > c->rope_original / c->rope_low) {
        return frequency / c->rope_factor;
    }
    if (wavelength < c->rope_original / c->rope_high) {
        return frequency;
    }
    double smooth = (c->rope_original / wavelength - c->rope_low) / (c->rope_high - c->rope_low);
    return (1.0 - smooth) * frequency / c->rope_factor + smooth * frequency;
}

void ag_rope_frequencies(const struct ag_model_config *c, float *inv_freq)
{
    for (uint32_t j = 0; j < c->head_dim / 2; j++) {
        double f = 1.0 / pow(c->rope_theta, (double)(2 * j) / c->head_dim);
        inv_freq[j] = (float)(c->rope_factor > 0 ? scaled(c, f) : f);
    }
}

void ag_rope_rows(const float *inv_freq, uint32_t half, const uint32_t *positions, uint32_t n,
                  float *cos_rows, float *sin_rows)
{
    for (uint32_t i = 0; i < n; i++) {
        for (uint32_t j = 0; j < half; j++) {
            float angle = (float)positions[i] * inv_freq[j];
            cos_rows[(size_t)i * half + j] = cosf(angle);
            sin_rows[(size_t)i * half + j] = sinf(angle);
        }
    }
}
