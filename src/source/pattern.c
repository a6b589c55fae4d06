// Synthetic frames, pipeline specification 2.1 to 2.5. Floats are float32, evaluated in the order
// written and without fused multiply-add (the build says -ffp-contract=off).
#include "autogaze/source.h"

#include <assert.h>
#include <math.h>
#include <string.h>

#include "interface/generate_args.h"

static const struct {
    const char *name;
    uint32_t shader;
} patterns[AG_PATTERN_COUNT] = {
    [AG_PATTERN_PAN] = { "synthetic-pan", AG_GENERATE_PAN },
    [AG_PATTERN_PULSE] = { "synthetic-pulse", AG_GENERATE_PAN },
    [AG_PATTERN_LOCAL_MOTION] = { "synthetic-local-motion", AG_GENERATE_LOCAL_MOTION },
    [AG_PATTERN_NOISE] = { "synthetic-noise", AG_GENERATE_NOISE },
    [AG_PATTERN_CHECKER_PAN] = { "synthetic-checker-pan", AG_GENERATE_CHECKER },
    [AG_PATTERN_BENCH] = { "synthetic-bench", AG_GENERATE_BENCH },
};

const char *ag_pattern_name(enum ag_pattern pattern)
{
    assert((unsigned)pattern < AG_PATTERN_COUNT);
    return patterns[pattern].name;
}

// ---- what the host works out for a frame -------------------------------------------------------

uint64_t ag_pattern_table_floats(enum ag_pattern pattern, uint32_t width, uint32_t height)
{
    switch (patterns[pattern].shader) {
    case AG_GENERATE_PAN:
        return 2 * ((uint64_t)width + height);
    case AG_GENERATE_LOCAL_MOTION:
        return (uint64_t)width + height;
    default:
        return 0;
    }
}

static float *put_ramp(float *table, uint32_t n)
{
    float last = (float)AG_MAX(n - 1, 1u);
    for (uint32_t i = 0; i < n; i++) {
        *table++ = (float)i / last;
    }
    return table;
}

// 16 still frames, 24 moving ones, 8 that hold the last (2.2).
static uint32_t pulse_index(uint32_t index)
{
    uint32_t phase = index % 48;
    return phase < 16 ? 0 : phase < 40 ? phase - 15 : 24;
}

static void prepare_pan(struct generate_args *a, float *table)
{
    int32_t w = (int32_t)a->width, h = (int32_t)a->height, m = AG_MIN(w, h);
    uint32_t i = a->index;
    int32_t side = AG_MAX(m / 5, 24);
    a->x0 = (int32_t)(13 * i % (uint32_t)(w + side)) - side;
    a->y0 = (int32_t)(7 * i % (uint32_t)(h + side)) - side;
    a->x1 = a->x0 + side;
    a->y1 = a->y0 + side;
    int32_t radius = AG_MAX(m / 8, 12);
    a->circle_x = (int32_t)(5 * i % (uint32_t)w);
    a->circle_y = h / 2 + (int32_t)roundf(sinf((float)i * 0.17f) * (float)h * 0.25f);
    a->circle_r2 = radius * radius;

    table = put_ramp(table, a->width);
    table = put_ramp(table, a->height);
    for (uint32_t x = 0; x < a->width; x++) {
        *table++ = sinf((float)(x + 9 * i) * 0.035f);
    }
    for (uint32_t y = 0; y < a->height; y++) {
        *table++ = cosf((float)(y + 5 * i) * 0.047f);
    }
}

// 40 frames of strong motion, 40 of subtle motion, 32 still ones (2.3).
static void prepare_local_motion(struct generate_args *a, float *table)
{
    int32_t w = (int32_t)a->width, h = (int32_t)a->height;
    float phase = (float)(a->index % 112);
    float strong = fmaxf((float)w / 150.0f, 1.0f);
    float subtle = fmaxf((float)w / 1800.0f, 0.25f);
    float progress = phase < 40.0f   ? phase * strong
                     : phase < 80.0f ? 40.0f * strong + (phase - 40.0f) * subtle
                                     : 40.0f * strong + 40.0f * subtle;
    int32_t pw = AG_CLAMP(w / 8, 24, AG_MAX(w, 24)), ph = AG_CLAMP(h / 7, 20, AG_MAX(h, 20));
    int32_t bw = AG_MAX(pw / 4, 8), bh = AG_MAX(ph / 3, 6);
    int32_t radius = AG_MAX(AG_MIN(pw, ph) / 3, 6);
    a->x0 = (int32_t)roundf((float)w * 0.22f + progress);
    a->y0 = (int32_t)roundf((float)h * 0.42f);
    a->x1 = a->x0 + pw;
    a->y1 = a->y0 + ph;
    a->box_x0 = a->x0 + pw / 2 - bw / 2;
    a->box_y0 = a->y0 - ph / 3;
    a->box_x1 = a->box_x0 + bw;
    a->box_y1 = a->box_y0 + bh;
    a->circle_x = a->x0 + pw / 2;
    a->circle_y = a->y0 + ph / 2;
    a->circle_r2 = radius * radius;
    put_ramp(put_ramp(table, a->width), a->height);
}

void ag_pattern_prepare(enum ag_pattern pattern, uint32_t index, uint32_t width, uint32_t height,
                        struct generate_args *args, float *table)
{
    assert((unsigned)pattern < AG_PATTERN_COUNT && width > 0 && height > 0);
    assert(width <= AG_MAX_FRAME_SIDE && height <= AG_MAX_FRAME_SIDE);
    *args = (struct generate_args){
        .pattern = patterns[pattern].shader,
        .width = width,
        .height = height,
        .index = pattern == AG_PATTERN_PULSE ? pulse_index(index) : index,
    };
    switch (args->pattern) {
    case AG_GENERATE_PAN:
        prepare_pan(args, table);
        break;
    case AG_GENERATE_LOCAL_MOTION:
        prepare_local_motion(args, table);
        break;
    case AG_GENERATE_CHECKER:
        args->add_x = 7 * index;
        args->add_y = 3 * index;
        break;
    case AG_GENERATE_BENCH:
        args->add_x = 13 * index;
        args->add_y = 29 * index;
        args->add_sum = 7 * index;
        break;
    }
}

// ---- pixels -------------------------------------------------------------------------------------
// One function a pattern: the pixel as a word, R in the lowest byte, as generate.comp writes it.

static uint32_t rgb(uint32_t r, uint32_t g, uint32_t b)
{
    return (r & 255) | (g & 255) << 8 | (b & 255) << 16 | 255u << 24;
}

static uint32_t clamp8(float v)
{
    return v <= 0.0f ? 0 : v >= 255.0f ? 255 : (uint32_t)v;
}

static bool in_circle(const struct generate_args *a, int32_t x, int32_t y)
{
    int32_t dx = x - a->circle_x, dy = y - a->circle_y;
    return dx * dx + dy * dy <= a->circle_r2;
}

static uint32_t draw_pan(const struct generate_args *a, const float *table, uint32_t x, uint32_t y)
{
    uint32_t w = a->width, h = a->height;
    float xf = table[x], yf = table[w + y];
    float wave = (table[w + h + x] + table[w + h + w + y]) * 0.5f + 0.5f;
    int32_t ix = (int32_t)x, iy = (int32_t)y;
    if (ix >= a->x0 && ix < a->x1 && iy >= a->y0 && iy < a->y1) {
        return rgb(238, clamp8(96.0f + wave * 84.0f), 56);
    }
    if (in_circle(a, ix, iy)) {
        return rgb(42, clamp8(190.0f + wave * 45.0f), 214);
    }
    return rgb(clamp8(34.0f + xf * 92.0f + wave * 22.0f),
               clamp8(70.0f + yf * 112.0f + wave * 18.0f),
               clamp8(118.0f + (1.0f - xf) * 68.0f + wave * 20.0f));
}

static uint32_t draw_local_motion(const struct generate_args *a, const float *table, uint32_t x,
                                  uint32_t y)
{
    int32_t ix = (int32_t)x, iy = (int32_t)y;
    bool box = ix >= a->box_x0 && ix < a->box_x1 && iy >= a->box_y0 && iy < a->box_y1;
    if (box || in_circle(a, ix, iy)) {
        return rgb(42, 202 + ((x + y) / 3 & 31), 220);
    }
    uint32_t f = ((13 * x ^ 7 * y) + 31) & 31;
    if (ix >= a->x0 && ix < a->x1 && iy >= a->y0 && iy < a->y1) {
        uint32_t lx = (uint32_t)(ix - a->x0), ly = (uint32_t)(iy - a->y0);
        uint32_t t = (lx / 5 + ly / 7) & 1;
        return rgb(210 - 34 * t + f / 3, 122 + 28 * t, 48 + ((lx + ly) & 31));
    }
    float xf = table[x], yf = table[a->width + y];
    uint32_t k = (x / 18 + y / 18) & 1;
    return rgb(clamp8(38.0f + xf * 68.0f) + 14 * k + f / 4,
               clamp8(58.0f + yf * 92.0f) + 10 * k + f / 5,
               clamp8(86.0f + (1.0f - xf) * 54.0f) + 8 * k + f / 3);
}

static uint32_t draw_noise(const struct generate_args *a, const float *table, uint32_t x,
                           uint32_t y)
{
    (void)table;
    uint32_t k = x * 0x9e3779b1u ^ y * 0x85ebca77u ^ a->index * 0xc2b2ae3du;
    k = (k ^ k >> 15) * 0x2c1b3c6du;
    k = (k ^ k >> 12) * 0x297a2d39u;
    k ^= k >> 15;
    return k | 255u << 24;
}

static uint32_t draw_checker(const struct generate_args *a, const float *table, uint32_t x,
                             uint32_t y)
{
    (void)table;
    uint32_t u = x + a->add_x, v = y + a->add_y;
    uint32_t t = ((u >> 4) + (v >> 4)) & 1, f = (13 * u ^ 7 * v) & 31;
    return rgb(40 + 150 * t + f, 60 + 120 * t + f, 90 + 90 * t + f);
}

static uint32_t draw_bench(const struct generate_args *a, const float *table, uint32_t x,
                           uint32_t y)
{
    (void)table;
    return rgb(x + a->add_x, y + a->add_y, x + y + a->add_sum);
}

static uint32_t (*const draw[])(const struct generate_args *, const float *, uint32_t, uint32_t) = {
    [AG_GENERATE_PAN] = draw_pan,     [AG_GENERATE_LOCAL_MOTION] = draw_local_motion,
    [AG_GENERATE_NOISE] = draw_noise, [AG_GENERATE_CHECKER] = draw_checker,
    [AG_GENERATE_BENCH] = draw_bench,
};

void ag_pattern_draw(enum ag_pattern pattern, uint32_t index, uint32_t width, uint32_t height,
                     uint8_t *rgba)
{
    struct generate_args args;
    float table[4 * AG_MAX_FRAME_SIDE]; // on the stack: a frame allocates nothing
    ag_pattern_prepare(pattern, index, width, height, &args, table);
    for (uint32_t y = 0; y < height; y++) {
        for (uint32_t x = 0; x < width; x++) {
            uint32_t pixel = draw[args.pattern](&args, table, x, y);
            const uint8_t bytes[4] = { (uint8_t)pixel, (uint8_t)(pixel >> 8),
                                       (uint8_t)(pixel >> 16), (uint8_t)(pixel >> 24) };
            memcpy(rgba, bytes, 4);
            rgba += 4;
        }
    }
}
