// The plain C image pipeline against golden vectors and against formulas written independently.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <math.h>

#include <cmocka.h>

#include "autogaze/preprocess_ref.h"
#include "pixel_formats.h"

static const struct ag_preprocess_config config = {
    .width = 224, .height = 224, .rescale_factor = 0.00784313725490196, .rescale = true,
    .offset = true, .normalize = true, .mean = { 0.485f, 0.456f, 0.406f },
    .std = { 0.229f, 0.224f, 0.225f }
};

// ---- golden vectors --------------------------------------------------------------------------

static int setup(void **state)
{
    struct ag_error err = { 0 };
    *state = ag_safetensors_open(AG_FIXTURES "/preprocess.safetensors", &err);
    if (!*state) {
        print_error("%s\n", err.text);
    }
    return *state ? 0 : -1;
}

static int teardown(void **state)
{
    ag_safetensors_close((struct ag_safetensors **)state);
    return 0;
}

// Tensor "SIZE.what"; NULL: the file has none.
static const struct ag_safetensors_entry *find(void **state, const char *size, const char *what)
{
    char name[64];
    snprintf(name, sizeof(name), "%s.%s", size, what);
    return ag_safetensors_find(*state, name);
}

static const char *const sizes[] = { "224x224", "224x225", "270x480", "320x240", "480x270",
                                     "60x100",  "7x5" };

static void lut_is_exact(void **state)
{
    const struct ag_safetensors_entry *golden = ag_safetensors_find(*state, "lut");
    assert_non_null(golden);
    float lut[3 * 256];
    ag_ref_lut(&config, lut);
    assert_int_equal(golden->bytes, sizeof(lut));
    assert_memory_equal(lut, golden->data, sizeof(lut));
}

static void resize_is_bit_exact(void **state)
{
    for (size_t i = 0; i < AG_COUNT(sizes); i++) {
        const struct ag_safetensors_entry *source = find(state, sizes[i], "source");
        const struct ag_safetensors_entry *golden = find(state, sizes[i], "resized");
        assert_true(source && golden);
        uint32_t w, h;
        ag_ref_shortest_edge(source->shape[1], source->shape[0], 224, &w, &h);
        assert_int_equal(w, golden->shape[1]);
        assert_int_equal(h, golden->shape[0]);
        uint8_t *out = ag_alloc(golden->bytes);
        ag_ref_resize_u8(source->data, source->shape[1], source->shape[0], 3, out, w, h);
        assert_memory_equal(out, golden->data, golden->bytes);
        ag_free(out);
    }
}

static void model_input_is_close(void **state)
{
    const size_t count = 3 * 224 * 224;
    float *out = ag_alloc(count * sizeof(*out)), *expected = ag_alloc(count * sizeof(*expected));
    int seen = 0;
    for (size_t i = 0; i < AG_COUNT(sizes); i++) {
        const struct ag_safetensors_entry *source = find(state, sizes[i], "source");
        const struct ag_safetensors_entry *golden = find(state, sizes[i], "model_input");
        if (!golden) {
            continue;
        }
        assert_int_equal(golden->count, count);
        ag_ref_preprocess(&config, source->data, source->shape[1], source->shape[0], 3, 224, out);
        memcpy(expected, golden->data, golden->bytes);
        for (size_t k = 0; k < count; k++) {
            assert_true(fabsf(out[k] - expected[k]) <= 1e-5f);
        }
        seen++;
    }
    assert_int_equal(seen, 3);
    ag_free(expected);
    ag_free(out);
}

// ---- resizes ---------------------------------------------------------------------------------

static void shortest_edge_truncates(void **state)
{
    static const uint32_t cases[][4] = {
        { 1920, 1080, 398, 224 }, { 640, 480, 298, 224 },   { 1080, 1920, 224, 398 },
        { 7, 5, 313, 224 },       { 1, 1, 224, 224 },       { 225, 224, 225, 224 },
        { 16384, 328, 11189, 224 },
    };
    (void)state;
    for (size_t i = 0; i < AG_COUNT(cases); i++) {
        uint32_t w, h;
        ag_ref_shortest_edge(cases[i][0], cases[i][1], 224, &w, &h);
        assert_int_equal(w, cases[i][2]);
        assert_int_equal(h, cases[i][3]);
    }
}

// Weights of a sample add up to one (in 22 bits, up to rounding) and no tap lies outside.
static void triangle_weights_are_whole(void **state)
{
    static const uint32_t cases[][2] = { { 1920, 398 }, { 1080, 224 }, { 5, 224 }, { 1, 224 },
                                         { 16384, 3 },  { 223, 224 },  { 997, 991 } };
    (void)state;
    for (size_t i = 0; i < AG_COUNT(cases); i++) {
        uint32_t n_in = cases[i][0], n_out = cases[i][1];
        uint32_t taps = ag_ref_triangle_taps(n_in, n_out, NULL, NULL);
        uint32_t *first = ag_alloc(sizeof(*first) * n_out);
        int32_t *weights = ag_alloc(sizeof(*weights) * n_out * taps);
        assert_int_equal(ag_ref_triangle_taps(n_in, n_out, first, weights), taps);
        for (uint32_t o = 0; o < n_out; o++) {
            int64_t sum = 0;
            for (uint32_t t = 0; t < taps; t++) {
                int32_t w = weights[o * taps + t];
                assert_true(w >= 0 && (w == 0 || first[o] + t < n_in));
                sum += w;
            }
            assert_in_range((uint64_t)sum, (1u << 22) - taps, (1u << 22) + taps);
        }
        ag_free(weights);
        ag_free(first);
    }
    assert_in_range(ag_ref_triangle_taps(1920, 398, NULL, NULL), 10, 11);
}

static void exact_size_ignores_the_aspect(void **state)
{
    struct ag_preprocess_config exact = config;
    exact.exact_size = true;
    exact.width = 40;
    exact.height = 30;
    (void)state;
    uint8_t source[9 * 5 * 4];
    for (size_t i = 0; i < sizeof(source); i++) {
        source[i] = (uint8_t)(i * 37);
    }
    uint8_t small[40 * 30 * 3];
    float lut[3 * 256], planes[3 * 40 * 30], expected[3 * 32 * 32], out[3 * 32 * 32];
    ag_ref_resize_u8(source, 9, 5, 4, small, 40, 30);
    ag_ref_lut(&exact, lut);
    ag_ref_normalise(lut, small, 40, 30, planes);
    ag_ref_bicubic(planes, 40, 30, expected, 32, 32);
    ag_ref_preprocess(&exact, source, 9, 5, 4, 32, out);
    assert_memory_equal(out, expected, sizeof(out));
}

static void bicubic_keeps_an_axis_that_fits(void **state)
{
    (void)state;
    uint32_t index[4 * 50];
    float weight[4 * 50];
    ag_ref_bicubic_taps(50, 50, index, weight);
    for (uint32_t o = 0; o < 50; o++) {
        assert_int_equal(index[o * 4 + 1], o);
        for (uint32_t k = 0; k < 4; k++) {
            assert_true(weight[o * 4 + k] == (k == 1 ? 1.0f : 0.0f));
        }
    }
}

// A ramp stays a ramp between the outermost sample centres, and is flat beyond.
static void bilinear_follows_a_ramp(void **state)
{
    (void)state;
    float source[3 * 4 * 4], out[3 * 10 * 7];
    for (int c = 0; c < 3; c++) {
        for (int i = 0; i < 16; i++) {
            source[c * 16 + i] = (float)(c * 100 + i % 4 + 10 * (i / 4));
        }
    }
    ag_ref_bilinear(source, 4, 4, out, 10, 7);
    for (int c = 0; c < 3; c++) {
        for (int y = 0; y < 7; y++) {
            for (int x = 0; x < 10; x++) {
                double sx = AG_CLAMP((x + 0.5) * 0.4 - 0.5, 0.0, 3.0);
                double sy = AG_CLAMP((y + 0.5) * 4.0 / 7.0 - 0.5, 0.0, 3.0);
                double expected = c * 100 + sx + 10 * sy;
                assert_true(fabs(out[(c * 7 + y) * 10 + x] - expected) < 1e-4);
            }
        }
    }
}

// ---- colour ----------------------------------------------------------------------------------

static double raw(const struct ag_frame *f, int c, long x, long y)
{
    const struct pixel_component *p = &f->layout.c[c];
    const uint8_t *at = f->data + p->offset + y * p->pitch + x * p->step;
    uint32_t v = at[0];
    if (p->bytes == 2) {
        v += at[1] * 256u;
    }
    return (double)((v >> p->drop) % (1u << p->depth));
}

// Linear interpolation between the samples of one axis at luma position `at`.
static double interpolated(const struct ag_frame *f, int c, double x, double y)
{
    const struct pixel_component *p = &f->layout.c[c];
    double nx = ceil((double)f->width / (1 << p->shift_x)) - 1;
    double ny = ceil((double)f->height / (1 << p->shift_y)) - 1;
    double u = p->shift_x ? (x - f->layout.chroma_x / 2.0) / (1 << p->shift_x) : x;
    double v = p->shift_y ? (y - f->layout.chroma_y / 2.0) / (1 << p->shift_y) : y;
    u = fmin(fmax(u, 0), nx);
    v = fmin(fmax(v, 0), ny);
    long i = (long)u, j = (long)v, i1 = (long)fmin(i + 1, nx), j1 = (long)fmin(j + 1, ny);
    double a = u - i, b = v - j;
    return (raw(f, c, i, j) * (1 - a) + raw(f, c, i1, j) * a) * (1 - b) +
           (raw(f, c, i, j1) * (1 - a) + raw(f, c, i1, j1) * a) * b;
}

static void exact_color(const struct ag_frame *f, long x, long y, double *rgba)
{
    static const double kr[] = { 0.299, 0.2126, 0.2627 }, kb[] = { 0.114, 0.0722, 0.0593 };
    const struct pixel_layout *l = &f->layout;
    double unit = exp2(l->c[0].depth - 8.0), top = exp2(l->c[0].depth) - 1;
    rgba[3] = l->alpha ? raw(f, 3, x, y) * 255 / (exp2(l->c[3].depth) - 1) : 255;
    if (l->kind == AG_PIXEL_RGB) {
        for (int c = 0; c < 3; c++) {
            rgba[c] = raw(f, c, x, y) * 255 / (exp2(l->c[c].depth) - 1);
        }
        return;
    }
    double luma = raw(f, 0, x, y), y1 = l->full_range ? luma / top
                                                      : (luma - 16 * unit) / (219 * unit);
    double cb = 0, cr = 0;
    if (l->kind == AG_PIXEL_YUV) {
        double span = l->full_range ? top : 224 * unit;
        cb = (interpolated(f, 1, x, y) - 128 * unit) / span;
        cr = (interpolated(f, 2, x, y) - 128 * unit) / span;
    }
    double r = kr[l->matrix], b = kb[l->matrix];
    rgba[0] = 255 * (y1 + 2 * (1 - r) * cr);
    rgba[2] = 255 * (y1 + 2 * (1 - b) * cb);
    rgba[1] = (255 * y1 - r * rgba[0] - b * rgba[2]) / (1 - r - b);
}

static void colour_is_within_a_level(void **state)
{
    (void)state;
    enum { W = 127, H = 31 };
    uint8_t *rgba = ag_alloc(W * H * 4);
    for (uint32_t i = 0; i < AG_COUNT(test_formats); i++) {
        for (uint32_t variant = 0; variant < 6; variant++) {
            struct ag_frame f = test_frame(&test_formats[i], W, H, 4, i * 6 + variant);
            f.layout.matrix = variant % 3;
            f.layout.full_range = variant / 3;
            memset(rgba, 0, W * H * 4);
            ag_ref_picture(&f, rgba);
            for (int k = 0; k < W * H; k++) {
                double exact[4];
                exact_color(&f, k % W, k / W, exact);
                for (int c = 0; c < 4; c++) {
                    double e = fmin(fmax(exact[c], 0), 255);
                    if (fabs(rgba[k * 4 + c] - e) > 0.55) {
                        fail_msg("%s variant %u pixel %d channel %d: %d, exactly %f",
                                 test_formats[i].name, variant, k, c, rgba[k * 4 + c], e);
                    }
                }
            }
            ag_free((void *)(uintptr_t)f.data);
        }
    }
    ag_free(rgba);
}

// Black, white and the primaries come out exactly.
static void colour_landmarks(void **state)
{
    (void)state;
    static const struct {
        uint32_t matrix, full;
        uint8_t yuv[3], rgb[3];
    } cases[] = {
        { AG_MATRIX_601, 0, { 16, 128, 128 }, { 0, 0, 0 } },
        { AG_MATRIX_601, 0, { 235, 128, 128 }, { 255, 255, 255 } },
        { AG_MATRIX_709, 0, { 126, 128, 128 }, { 128, 128, 128 } },
        { AG_MATRIX_709, 1, { 255, 128, 128 }, { 255, 255, 255 } },
        { AG_MATRIX_2020, 1, { 77, 128, 128 }, { 77, 77, 77 } },
        { AG_MATRIX_601, 1, { 76, 85, 255 }, { 254, 0, 0 } },
        { AG_MATRIX_709, 0, { 63, 102, 240 }, { 255, 1, 0 } },
        { AG_MATRIX_601, 0, { 41, 240, 110 }, { 0, 0, 255 } },
    };
    for (size_t i = 0; i < AG_COUNT(cases); i++) {
        struct ag_frame f = { .width = 1, .height = 1, .data = cases[i].yuv, .bytes = 3 };
        f.layout = (struct pixel_layout){ .kind = AG_PIXEL_YUV, .matrix = cases[i].matrix,
                                          .full_range = cases[i].full };
        for (uint32_t c = 0; c < 3; c++) {
            f.layout.c[c] = (struct pixel_component){ c, 1, 1, 1, 0, 8, 0, 0 };
        }
        uint8_t rgba[4];
        ag_ref_picture(&f, rgba);
        for (int c = 0; c < 3; c++) {
            assert_in_range(rgba[c] + 1, cases[i].rgb[c], cases[i].rgb[c] + 2);
        }
        if (cases[i].rgb[0] == cases[i].rgb[1] && cases[i].rgb[1] == cases[i].rgb[2]) {
            assert_memory_equal(rgba, cases[i].rgb, 3);
        }
    }
}

static void mirrored_then_turned_clockwise(void **state)
{
    (void)state;
    // 3x2 grey samples 1 2 3 / 4 5 6
    static const uint8_t samples[] = { 1, 2, 3, 4, 5, 6 };
    static const uint8_t expected[8][6] = {
        { 1, 2, 3, 4, 5, 6 }, { 4, 1, 5, 2, 6, 3 }, { 6, 5, 4, 3, 2, 1 }, { 3, 6, 2, 5, 1, 4 },
        { 3, 2, 1, 6, 5, 4 }, { 6, 3, 5, 2, 4, 1 }, { 4, 5, 6, 1, 2, 3 }, { 1, 4, 2, 5, 3, 6 },
    };
    for (uint32_t r = 0; r < 8; r++) {
        struct ag_frame f = { .width = 3, .height = 2, .rotation = r % 4, .mirrored = r / 4,
                              .data = samples, .bytes = 6 };
        f.layout = (struct pixel_layout){ .kind = AG_PIXEL_GREY, .full_range = 1 };
        f.layout.c[0] = (struct pixel_component){ 0, 3, 1, 1, 0, 8, 0, 0 };
        uint8_t rgba[24];
        ag_ref_picture(&f, rgba);
        for (int k = 0; k < 6; k++) {
            assert_int_equal(rgba[k * 4], expected[r][k]);
            assert_int_equal(rgba[k * 4 + 3], 255);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(lut_is_exact),
        cmocka_unit_test(resize_is_bit_exact),
        cmocka_unit_test(model_input_is_close),
        cmocka_unit_test(shortest_edge_truncates),
        cmocka_unit_test(triangle_weights_are_whole),
        cmocka_unit_test(exact_size_ignores_the_aspect),
        cmocka_unit_test(bicubic_keeps_an_axis_that_fits),
        cmocka_unit_test(bilinear_follows_a_ramp),
        cmocka_unit_test(colour_is_within_a_level),
        cmocka_unit_test(colour_landmarks),
        cmocka_unit_test(mirrored_then_turned_clockwise),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
