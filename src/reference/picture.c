// Samples to RGB. The arithmetic is defined in integers, so that every device gives the same
// picture: samples are widened to 16 bits (8.8 levels), coefficients have 13 fraction bits, the
// sum is rounded once. It stays within half a level (plus 1/30) of the exact formula.
#include "autogaze/preprocess_ref.h"

#include <math.h>

#include "interface/color_args.h"

#define COEFFICIENT_BITS (COLOR_SHIFT - 8)

// Weights of red and blue in luma.
static const double luma_weights[3][2] = {
    [AG_MATRIX_601] = { 0.299, 0.114 },
    [AG_MATRIX_709] = { 0.2126, 0.0722 },
    [AG_MATRIX_2020] = { 0.2627, 0.0593 },
};

// Coefficient for a sample of `depth` bits, widened to 16, whose `range` levels of 8 bits (219, 224
// or, full range, all there are) stand for `gain` times black to white.
static int32_t coefficient(const struct pixel_layout *l, uint32_t depth, double range, double gain)
{
    double steps = l->full_range || l->kind == AG_PIXEL_RGB
                       ? ldexp((double)((1u << depth) - 1), 16 - (int)depth)
                       : range * 256.0;
    return (int32_t)lrint(ldexp(gain * 255.0 * 256.0 / steps, COEFFICIENT_BITS));
}

void ag_ref_color_matrix(const struct pixel_layout *l, struct ag_color_matrix *out)
{
    *out = (struct ag_color_matrix){ .components = l->kind == AG_PIXEL_GREY ? 1 : 3 };
    int32_t luma = coefficient(l, l->c[0].depth, 219.0, 1.0);
    out->m[0][0] = luma;
    if (l->alpha) {
        struct pixel_layout full = { .full_range = 1 };
        out->alpha = coefficient(&full, l->c[3].depth, 0.0, 1.0);
    }
    if (l->kind == AG_PIXEL_RGB) {
        out->m[1][1] = coefficient(l, l->c[1].depth, 0.0, 1.0);
        out->m[2][2] = coefficient(l, l->c[2].depth, 0.0, 1.0);
        return;
    }
    out->m[1][0] = out->m[2][0] = luma;
    if (l->kind == AG_PIXEL_YUV) {
        double kr = luma_weights[l->matrix][0], kb = luma_weights[l->matrix][1];
        double kg = 1.0 - kr - kb, cb = 2.0 * (1.0 - kb), cr = 2.0 * (1.0 - kr);
        uint32_t depth_b = l->c[1].depth, depth_r = l->c[2].depth;
        out->m[0][2] = coefficient(l, depth_r, 224.0, cr);
        out->m[1][1] = coefficient(l, depth_b, 224.0, -cb * kb / kg);
        out->m[1][2] = coefficient(l, depth_r, 224.0, -cr * kr / kg);
        out->m[2][1] = coefficient(l, depth_b, 224.0, cb);
    }
    int32_t black = l->full_range ? 0 : 16 << 8, neutral = 128 << 8;
    for (uint32_t i = 0; i < 3; i++) {
        out->bias[i] = -black * luma - neutral * (out->m[i][1] + out->m[i][2]);
    }
}

// Sample (sx, sy) of a component in its own plane, widened to 16 bits.
static uint32_t sample(const struct ag_frame *f, uint32_t c, uint32_t sx, uint32_t sy)
{
    const struct pixel_component *p = &f->layout.c[c];
    const uint8_t *at = f->data + p->offset + (size_t)sy * p->pitch + (size_t)sx * p->step;
    uint32_t v = p->bytes == 2 ? at[0] | (uint32_t)at[1] << 8 : at[0];
    return ((v >> p->drop) & ((1u << p->depth) - 1)) << (16 - p->depth);
}

// The two chroma samples around a luma position on one axis. Distances are counted in half luma
// pixels: samples are 2 << shift apart, the first one lies at `offset`.
struct chroma_tap {
    uint32_t index[2], weight[2]; // weights add up to 2 << shift
};

static struct chroma_tap chroma_tap(uint32_t at, uint32_t size, uint32_t shift, uint32_t offset)
{
    if (shift == 0) {
        return (struct chroma_tap){ { at, at }, { 2, 0 } };
    }
    int32_t last = (int32_t)((size - 1) >> shift), apart = 2 << shift;
    int32_t u = 2 * (int32_t)at - (int32_t)offset;
    int32_t k = u >> (shift + 1), t = u & (apart - 1); // floor and what is left
    return (struct chroma_tap){
        { (uint32_t)AG_CLAMP(k, 0, last), (uint32_t)AG_CLAMP(k + 1, 0, last) },
        { (uint32_t)(apart - t), (uint32_t)t },
    };
}

static uint32_t chroma(const struct ag_frame *f, uint32_t c, uint32_t x, uint32_t y)
{
    const struct pixel_component *p = &f->layout.c[c];
    struct chroma_tap h = chroma_tap(x, f->width, p->shift_x, f->layout.chroma_x);
    struct chroma_tap v = chroma_tap(y, f->height, p->shift_y, f->layout.chroma_y);
    uint32_t bits = p->shift_x + p->shift_y + 2, sum = 1u << (bits - 1);
    for (uint32_t j = 0; j < 2; j++) {
        for (uint32_t i = 0; i < 2; i++) {
            sum += sample(f, c, h.index[i], v.index[j]) * h.weight[i] * v.weight[j];
        }
    }
    return sum >> bits;
}

static uint32_t component(const struct ag_frame *f, uint32_t c, uint32_t x, uint32_t y)
{
    if (f->layout.kind == AG_PIXEL_YUV && (c == 1 || c == 2)) {
        return chroma(f, c, x, y);
    }
    return sample(f, c, x >> f->layout.c[c].shift_x, y >> f->layout.c[c].shift_y);
}

static uint8_t to_level(int32_t sum)
{
    int32_t level = (sum + (1 << (COLOR_SHIFT - 1))) >> COLOR_SHIFT;
    return (uint8_t)AG_CLAMP(level, 0, 255);
}

// Where sample (x, y) stands in the upright picture.
static size_t picture_index(const struct ag_frame *f, uint32_t x, uint32_t y)
{
    x = f->mirrored ? f->width - 1 - x : x;
    size_t right = f->width - 1 - x, below = f->height - 1 - y;
    switch (f->rotation) {
    case 1:
        return (size_t)x * f->height + below;
    case 2:
        return below * f->width + right;
    case 3:
        return right * f->height + y;
    }
    return (size_t)y * f->width + x;
}

void ag_ref_picture(const struct ag_frame *frame, uint8_t *rgba)
{
    struct ag_color_matrix k;
    ag_ref_color_matrix(&frame->layout, &k);
    for (uint32_t y = 0; y < frame->height; y++) {
        for (uint32_t x = 0; x < frame->width; x++) {
            int32_t v[3] = { 0 };
            for (uint32_t c = 0; c < k.components; c++) {
                v[c] = (int32_t)component(frame, c, x, y);
            }
            uint8_t *out = rgba + picture_index(frame, x, y) * 4;
            for (uint32_t i = 0; i < 3; i++) {
                const int32_t *m = k.m[i];
                out[i] = to_level(k.bias[i] + m[0] * v[0] + m[1] * v[1] + m[2] * v[2]);
            }
            out[3] = k.alpha ? to_level(k.alpha * (int32_t)component(frame, 3, x, y)) : 255;
        }
    }
}
