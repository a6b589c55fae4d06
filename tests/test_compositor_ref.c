// Plain C reference of the compositor against the golden panels of the pipeline specification
// (13.3) and the rules of section 6.
#include <math.h>

#include "planner_util.h"

static uint64_t hash_picture(const uint8_t *rgba, uint32_t width, uint32_t height)
{
    return ag_hash(AG_HASH_SEED, rgba, (size_t)4 * width * height);
}

static void check_golden(const struct golden_panel *golden)
{
    struct ag_error err = { 0 };
    struct ag_forced forced;
    assert_true(ag_forced_open(golden->name, &forced, &err));
    uint32_t width = golden->width, height = golden->height;
    struct ag_planner_setup setup = { .width = width, .height = height, .layout = forced.layout,
                                      .geometry = golden->geometry, .cell_scale = 1.0f };
    struct ag_ref_plan plan;
    ag_ref_plan(&setup, forced.cells, forced.n, &plan);
    struct ag_ref_compose compose = {
        .width = width, .height = height, .cell_scale = 1.0f,
        .style = { .style = golden->style, .blend_alpha = 0.38f, .psnr = true },
    };
    uint8_t *history = test_bench_frame(7, width, height);
    uint8_t *input = test_bench_frame(11, width, height);
    uint8_t *mask = test_bench_frame(0, width, height);
    assert_int_equal(hash_picture(input, width, height),
                     height == 720 ? FRAME_11_720P : FRAME_11_1080P);
    uint64_t sum = ag_ref_compose(&compose, &plan, input, history, mask);
    if (hash_picture(mask, width, height) != golden->mask ||
        hash_picture(history, width, height) != golden->output) {
        fail_msg("%s %u: mask %016llx output %016llx", golden->name, height,
                 (unsigned long long)hash_picture(mask, width, height),
                 (unsigned long long)hash_picture(history, width, height));
    }
    double psnr = ag_psnr_db(sum, (uint64_t)3 * width * height);
    if (golden->psnr > 0) {
        assert_true(fabs(psnr - golden->psnr) < 6e-7);
    } else {
        assert_true(sum == 0 && isinf(psnr));
    }
    ag_free(history);
    ag_free(input);
    ag_free(mask);
    ag_ref_plan_free(&plan);
    ag_forced_close(&forced);
}

static void test_goldens(void **state)
{
    (void)state;
    for (size_t i = 0; i < AG_COUNT(golden_panels); i++) {
        check_golden(&golden_panels[i]);
    }
}

// One 2x2-pixel cell of a 4x4 picture, everything written out.
struct small {
    struct ag_ref_plan plan;
    struct ag_ref_compose compose;
    uint8_t input[4][4][4], history[4][4][4], mask[4][4][4];
};

static void small_open(struct small *s)
{
    *s = (struct small){ .compose = { .width = 4, .height = 4, .cell_scale = 1.0f } };
    struct ag_planner_setup setup = { .width = 4, .height = 4,
                                      .geometry = AG_GEOMETRY_NATIVE, .cell_scale = 1.0f };
    uint32_t side = 2, cell = 3;
    assert_true(ag_layout_from_sides(&side, 1, &setup.layout));
    ag_ref_plan(&setup, &cell, 1, &s->plan);
    for (uint32_t i = 0; i < 16; i++) {
        uint8_t in[4] = { 100, 50, 0, 7 }, old[4] = { 1, 2, 3, 4 };
        memcpy(s->input[i / 4][i % 4], in, 4);
        memcpy(s->history[i / 4][i % 4], old, 4);
    }
}

static void check_pixel(const uint8_t *pixel, uint8_t r, uint8_t g, uint8_t b, uint8_t a)
{
    uint8_t expected[4] = { r, g, b, a };
    assert_memory_equal(pixel, expected, 4);
}

static void test_interframe(void **state)
{
    (void)state;
    struct small s;
    small_open(&s);
    ag_ref_compose(&s.compose, &s.plan, s.input[0][0], s.history[0][0], s.mask[0][0]);
    check_pixel(s.history[1][1], 1, 2, 3, 4);
    check_pixel(s.history[2][2], 100, 50, 0, 7); // all four channels
    check_pixel(s.mask[0][0], 0, 0, 0, 0);
    s.compose.keyframe = true;
    uint64_t sum = ag_ref_compose(&s.compose, &s.plan, s.input[0][0], s.history[0][0],
                                  s.mask[0][0]);
    assert_int_equal(sum, 0);
    assert_memory_equal(s.history, s.input, sizeof(s.input));
    check_pixel(s.mask[0][0], 0, 0, 0, 0); // a keyframe still draws its own mask
    assert_int_not_equal(s.mask[2][2][0], 0);
    ag_ref_plan_free(&s.plan);
}

// Black input and alpha 0: nothing may be taken from the looks of a picture.
static void test_black_input(void **state)
{
    (void)state;
    struct small s;
    small_open(&s);
    memset(s.input, 0, sizeof(s.input));
    ag_ref_compose(&s.compose, &s.plan, s.input[0][0], s.history[0][0], s.mask[0][0]);
    check_pixel(s.history[2][3], 0, 0, 0, 0);
    check_pixel(s.history[1][3], 1, 2, 3, 4);
    ag_ref_plan_free(&s.plan);
}

static void test_full_blend(void **state)
{
    (void)state;
    struct small s;
    small_open(&s);
    s.compose.style.output = AG_OUTPUT_FULL_BLEND;
    s.compose.style.blend_alpha = 0.5f;
    ag_ref_compose(&s.compose, &s.plan, s.input[0][0], s.history[0][0], NULL);
    check_pixel(s.history[3][3], 178, 153, 128, 7);
    check_pixel(s.history[1][1], 100, 50, 0, 7);
    s.compose.style.blend_alpha = 0.25f;
    ag_ref_compose(&s.compose, &s.plan, s.input[0][0], s.history[0][0], NULL);
    check_pixel(s.history[3][3], 139, 101, 64, 7);
    s.compose.style.blend_alpha = NAN;
    ag_ref_compose(&s.compose, &s.plan, s.input[0][0], s.history[0][0], NULL);
    assert_memory_equal(s.history, s.input, sizeof(s.input));
    ag_ref_plan_free(&s.plan);
}

// Fills and borders of both palettes, read off the overlay style.
static void test_palettes(void **state)
{
    (void)state;
    static const uint8_t fills[2][4][3] = {
        { { 107, 76, 0 }, { 25, 92, 50 }, { 0, 78, 107 }, { 97, 46, 107 } },
        { { 89, 39, 0 }, { 101, 96, 28 }, { 0, 48, 75 }, { 36, 76, 98 } },
    };
    static const uint8_t borders[2][4][3] = {
        { { 255, 180, 0 }, { 60, 220, 120 }, { 0, 185, 255 }, { 230, 110, 255 } },
        { { 213, 94, 0 }, { 240, 228, 66 }, { 0, 114, 178 }, { 86, 180, 233 } },
    };
    static const uint32_t sides[] = { 2, 4, 7, 14 };
    for (uint32_t palette = 0; palette < 2; palette++) {
        for (uint32_t i = 0; i < 4; i++) {
            struct ag_planner_setup setup = { .width = 56, .height = 56, .cell_scale = 1.0f };
            assert_true(ag_layout_from_sides(&sides[i], 1, &setup.layout));
            uint32_t cell = 0;
            struct ag_ref_plan plan;
            ag_ref_plan(&setup, &cell, 1, &plan);
            struct ag_ref_compose compose = {
                .width = 56, .height = 56, .cell_scale = 1.0f,
                .style = { .style = AG_STYLE_OVERLAY, .palette = palette },
            };
            uint8_t *input = test_bench_frame(1, 56, 56), *history = test_bench_frame(0, 56, 56);
            uint8_t *mask = test_bench_frame(0, 56, 56);
            ag_ref_compose(&compose, &plan, input, history, mask);
            const uint8_t *b = borders[palette][i], *f = fills[palette][i];
            check_pixel(mask, b[0], b[1], b[2], 255);
            check_pixel(mask + 4 * (56 + 1), f[0], f[1], f[2], 255);
            check_pixel(mask + 4 * (56 * 55), 0, 0, 0, 255);
            ag_free(input);
            ag_free(history);
            ag_free(mask);
            ag_ref_plan_free(&plan);
        }
    }
}

static void test_psnr(void **state)
{
    (void)state;
    assert_true(isinf(ag_psnr_db(0, 100)));
    assert_true(fabs(ag_psnr_db(100 * 255 * 255, 100)) < 1e-12);
    assert_true(fabs(ag_psnr_db(255 * 255, 100) - 20.0) < 1e-12);
    assert_true(isfinite(ag_psnr_db(1, (uint64_t)1 << 40)));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_goldens),     cmocka_unit_test(test_interframe),
        cmocka_unit_test(test_black_input), cmocka_unit_test(test_full_blend),
        cmocka_unit_test(test_palettes),    cmocka_unit_test(test_psnr),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
