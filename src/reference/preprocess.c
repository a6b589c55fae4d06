#include "autogaze/preprocess_ref.h"

#include <math.h>
#include <string.h>

#define TRIANGLE_BITS 22

void ag_ref_shortest_edge(uint32_t width, uint32_t height, uint32_t edge, uint32_t *new_width,
                          uint32_t *new_height)
{
    uint32_t longest = AG_MAX(width, height), shortest = AG_MIN(width, height);
    uint32_t other = (uint32_t)((double)edge * longest / shortest);
    *new_width = width <= height ? edge : other;
    *new_height = width <= height ? other : edge;
}

// ---- 8-bit triangle filter -------------------------------------------------------------------

struct window { // of one output sample: inputs [lo, hi)
    double center, radius;
    uint32_t lo, hi;
};

static struct window triangle_window(uint32_t n_in, uint32_t n_out, uint32_t o)
{
    double scale = (double)n_in / n_out;
    struct window w = { .center = (o + 0.5) * scale, .radius = AG_MAX(scale, 1.0) };
    w.lo = (uint32_t)AG_MAX(w.center - w.radius + 0.5, 0.0);
    w.hi = (uint32_t)AG_MIN(w.center + w.radius + 0.5, (double)n_in);
    return w;
}

static double triangle(const struct window *w, uint32_t input)
{
    return AG_MAX(1.0 - fabs((input - w->center + 0.5) / w->radius), 0.0);
}

uint32_t ag_ref_triangle_taps(uint32_t n_in, uint32_t n_out, uint32_t *first, int32_t *weights)
{
    uint32_t taps = 0;
    for (uint32_t o = 0; o < n_out; o++) {
        struct window w = triangle_window(n_in, n_out, o);
        taps = AG_MAX(taps, w.hi - w.lo);
    }
    if (!first) {
        return taps;
    }
    memset(weights, 0, sizeof(*weights) * n_out * taps);
    for (uint32_t o = 0; o < n_out; o++) {
        struct window w = triangle_window(n_in, n_out, o);
        double sum = 0.0;
        for (uint32_t j = w.lo; j < w.hi; j++) {
            sum += triangle(&w, j);
        }
        first[o] = w.lo;
        for (uint32_t j = w.lo; j < w.hi; j++) {
            double share = triangle(&w, j) / sum;
            weights[(size_t)o * taps + j - w.lo] = (int32_t)(share * (1 << TRIANGLE_BITS) + 0.5);
        }
    }
    return taps;
}

// One axis of a picture: `lines` lines of n_in samples, `step` bytes from sample to sample and
// `pitch` from line to line, three channels side by side.
struct axis {
    uint32_t n_in, n_out, lines;
    size_t src_step, src_pitch, dst_step, dst_pitch;
};

static void resize_axis(const struct axis *a, const uint8_t *src, uint8_t *dst)
{
    uint32_t taps = ag_ref_triangle_taps(a->n_in, a->n_out, NULL, NULL);
    uint32_t *first = ag_alloc(sizeof(*first) * a->n_out);
    int32_t *weights = ag_alloc(sizeof(*weights) * a->n_out * taps);
    ag_ref_triangle_taps(a->n_in, a->n_out, first, weights);
    for (uint32_t line = 0; line < a->lines; line++) {
        for (uint32_t o = 0; o < a->n_out; o++) {
            uint32_t n = AG_MIN(taps, a->n_in - first[o]); // the padding may pass the end
            const int32_t *w = weights + (size_t)o * taps;
            const uint8_t *in = src + line * a->src_pitch + first[o] * a->src_step;
            uint8_t *out = dst + line * a->dst_pitch + o * a->dst_step;
            for (uint32_t c = 0; c < 3; c++) {
                int32_t sum = 1 << (TRIANGLE_BITS - 1);
                for (uint32_t t = 0; t < n; t++) {
                    sum += w[t] * in[t * a->src_step + c];
                }
                out[c] = (uint8_t)AG_CLAMP(sum >> TRIANGLE_BITS, 0, 255);
            }
        }
    }
    ag_free(weights);
    ag_free(first);
}

static void copy_rgb(const uint8_t *src, uint32_t channels, uint8_t *dst, size_t pixels)
{
    for (size_t i = 0; i < pixels; i++) {
        memcpy(dst + i * 3, src + i * channels, 3);
    }
}

// Rows first, rounded to 8 bits, then columns; an axis that keeps its size is left alone.
void ag_ref_resize_u8(const uint8_t *src, uint32_t width, uint32_t height, uint32_t channels,
                      uint8_t *dst, uint32_t new_width, uint32_t new_height)
{
    uint8_t *rows = dst;
    if (new_height != height) {
        rows = ag_alloc((size_t)new_width * height * 3);
    }
    if (new_width != width) {
        struct axis x = { width, new_width, height, channels, (size_t)width * channels,
                          3, (size_t)new_width * 3 };
        resize_axis(&x, src, rows);
    } else {
        copy_rgb(src, channels, rows, (size_t)width * height);
    }
    if (new_height != height) {
        struct axis y = { height, new_height, new_width, (size_t)new_width * 3, 3,
                          (size_t)new_width * 3, 3 };
        resize_axis(&y, rows, dst);
        ag_free(rows);
    }
}

// ---- normalisation ---------------------------------------------------------------------------

void ag_ref_lut(const struct ag_preprocess_config *c, float *lut)
{
    for (uint32_t channel = 0; channel < 3; channel++) {
        for (uint32_t p = 0; p < 256; p++) {
            float v = c->rescale ? (float)(p * c->rescale_factor) : (float)p;
            if (c->offset) {
                v -= 1.0f;
            }
            if (c->normalize) {
                v = (v - c->mean[channel]) / c->std[channel];
            }
            lut[channel * 256 + p] = v;
        }
    }
}

void ag_ref_normalise(const float *lut, const uint8_t *src, uint32_t width, uint32_t height,
                      float *dst)
{
    size_t plane = (size_t)width * height;
    for (size_t i = 0; i < plane; i++) {
        for (size_t c = 0; c < 3; c++) {
            dst[c * plane + i] = lut[c * 256 + src[i * 3 + c]];
        }
    }
}

// ---- resizes in float32 ----------------------------------------------------------------------

#define CUBIC_A (-0.75f)

static float cubic_near(float t) // taps i and i+1: distance up to 1
{
    return ((CUBIC_A + 2.0f) * t - (CUBIC_A + 3.0f)) * t * t + 1.0f;
}

static float cubic_far(float t) // taps i-1 and i+2: distance 1 to 2
{
    return ((CUBIC_A * t - 5.0f * CUBIC_A) * t + 8.0f * CUBIC_A) * t - 4.0f * CUBIC_A;
}

// Position of output sample o on the input axis, half-pixel centres. All in float32: in double the
// result moves by up to 7.4e-5.
static float source_position(uint32_t n_in, uint32_t n_out, uint32_t o)
{
    return (float)n_in / (float)n_out * ((float)o + 0.5f) - 0.5f;
}

void ag_ref_bicubic_taps(uint32_t n_in, uint32_t n_out, uint32_t *index, float *weights)
{
    for (uint32_t o = 0; o < n_out; o++) {
        float s = source_position(n_in, n_out, o);
        float base = floorf(s);
        float t = s - base;
        for (int32_t k = 0; k < 4; k++) {
            int32_t i = (int32_t)base - 1 + k;
            index[o * 4 + k] = (uint32_t)AG_CLAMP(i, 0, (int32_t)n_in - 1);
        }
        weights[o * 4 + 0] = cubic_far(t + 1.0f);
        weights[o * 4 + 1] = cubic_near(t);
        weights[o * 4 + 2] = cubic_near(1.0f - t);
        weights[o * 4 + 3] = cubic_far(2.0f - t);
    }
}

void ag_ref_bicubic(const float *src, uint32_t width, uint32_t height, float *dst,
                    uint32_t new_width, uint32_t new_height)
{
    if (new_width == width && new_height == height) {
        memcpy(dst, src, sizeof(*dst) * 3 * width * height);
        return;
    }
    uint32_t *ix = ag_alloc(sizeof(*ix) * 4 * new_width);
    uint32_t *iy = ag_alloc(sizeof(*iy) * 4 * new_height);
    float *wx = ag_alloc(sizeof(*wx) * 4 * new_width);
    float *wy = ag_alloc(sizeof(*wy) * 4 * new_height);
    ag_ref_bicubic_taps(width, new_width, ix, wx);
    ag_ref_bicubic_taps(height, new_height, iy, wy);
    for (uint32_t c = 0; c < 3; c++) {
        const float *plane = src + (size_t)c * width * height;
        for (uint32_t y = 0; y < new_height; y++) {
            for (uint32_t x = 0; x < new_width; x++) {
                float sum = 0.0f;
                for (uint32_t j = 0; j < 4; j++) {
                    const float *row = plane + (size_t)iy[y * 4 + j] * width;
                    float h = 0.0f;
                    for (uint32_t i = 0; i < 4; i++) {
                        h += row[ix[x * 4 + i]] * wx[x * 4 + i];
                    }
                    sum += h * wy[y * 4 + j];
                }
                dst[((size_t)c * new_height + y) * new_width + x] = sum;
            }
        }
    }
    ag_free(wy);
    ag_free(wx);
    ag_free(iy);
    ag_free(ix);
}

struct linear_tap {
    uint32_t index[2];
    float weight[2];
};

static struct linear_tap linear_tap(uint32_t n_in, uint32_t n_out, uint32_t o)
{
    float s = AG_MAX(source_position(n_in, n_out, o), 0.0f);
    uint32_t i = AG_MIN((uint32_t)s, n_in - 1);
    float t = s - (float)i;
    return (struct linear_tap){ { i, AG_MIN(i + 1, n_in - 1) }, { 1.0f - t, t } };
}

void ag_ref_bilinear(const float *src, uint32_t width, uint32_t height, float *dst,
                     uint32_t new_width, uint32_t new_height)
{
    for (uint32_t c = 0; c < 3; c++) {
        const float *plane = src + (size_t)c * width * height;
        for (uint32_t y = 0; y < new_height; y++) {
            struct linear_tap v = linear_tap(height, new_height, y);
            const float *top = plane + (size_t)v.index[0] * width;
            const float *bottom = plane + (size_t)v.index[1] * width;
            for (uint32_t x = 0; x < new_width; x++) {
                struct linear_tap h = linear_tap(width, new_width, x);
                float left = top[h.index[0]] * v.weight[0] + bottom[h.index[0]] * v.weight[1];
                float right = top[h.index[1]] * v.weight[0] + bottom[h.index[1]] * v.weight[1];
                *dst++ = left * h.weight[0] + right * h.weight[1];
            }
        }
    }
}

void ag_ref_linear_taps(uint32_t n_in, uint32_t n_out, uint32_t *index, float *weights)
{
    for (uint32_t o = 0; o < n_out; o++) {
        struct linear_tap t = linear_tap(n_in, n_out, o);
        memcpy(index + 2 * o, t.index, sizeof(t.index));
        memcpy(weights + 2 * o, t.weight, sizeof(t.weight));
    }
}

// ---- tiles -----------------------------------------------------------------------------------

void ag_ref_tiles(const struct ag_preprocess_config *c, const uint8_t *rgba, uint32_t width,
                  uint32_t height, uint32_t cols, uint32_t rows, bool padded, uint32_t side,
                  float *dst)
{
    uint32_t canvas_width = cols * side, canvas_height = rows * side;
    size_t n = (size_t)canvas_width * canvas_height, pixels = (size_t)width * height;
    float lut[3 * 256];
    ag_ref_lut(c, lut);
    float *planes = ag_alloc(sizeof(*planes) * 3 * pixels);
    for (size_t i = 0; i < 3 * pixels; i++) {
        planes[i] = lut[i / pixels * 256 + rgba[i % pixels * 4 + i / pixels]];
    }
    float *canvas = ag_alloc(sizeof(*canvas) * 3 * n); // zeros
    if (padded) {
        for (size_t line = 0; line < 3 * (size_t)height; line++) {
            memcpy(canvas + (line / height * canvas_height + line % height) * canvas_width,
                   planes + line * width, width * sizeof(*planes));
        }
    } else {
        ag_ref_bilinear(planes, width, height, canvas, canvas_width, canvas_height);
    }
    for (size_t tile = 0; tile < (size_t)cols * rows; tile++) {
        for (size_t line = 0; line < 3 * (size_t)side; line++, dst += side) {
            size_t y = line / side * canvas_height + tile / cols * side + line % side;
            memcpy(dst, canvas + y * canvas_width + tile % cols * side, side * sizeof(*dst));
        }
    }
    ag_free(canvas);
    ag_free(planes);
}

// ---- the whole of it -------------------------------------------------------------------------

void ag_ref_preprocess(const struct ag_preprocess_config *c, const uint8_t *src, uint32_t width,
                       uint32_t height, uint32_t channels, uint32_t side, float *dst)
{
    uint32_t w = c->width, h = c->height;
    if (!c->exact_size) {
        ag_ref_shortest_edge(width, height, c->width, &w, &h);
    }
    float lut[3 * 256];
    ag_ref_lut(c, lut);
    uint8_t *resized = ag_alloc((size_t)w * h * 3);
    float *planes = ag_alloc(sizeof(*planes) * 3 * w * h);
    ag_ref_resize_u8(src, width, height, channels, resized, w, h);
    ag_ref_normalise(lut, resized, w, h, planes);
    ag_ref_bicubic(planes, w, h, dst, side, side);
    ag_free(planes);
    ag_free(resized);
}
