// Preprocessing on the GPU against its plain C twin.
#include "gpu_util.h"

#include <math.h>

#include "autogaze/preprocess_ref.h"
#include "autogaze/source.h"
#include "internal.h"
#include "pixel_formats.h"

static const struct ag_preprocess_config config = {
    .width = 224, .height = 224, .rescale_factor = 0.00784313725490196, .rescale = true,
    .offset = true, .normalize = true, .mean = { 0.485f, 0.456f, 0.406f },
    .std = { 0.229f, 0.224f, 0.225f }
};

struct fixture {
    struct ag_gpu *gpu;
    struct ag_preprocess *p;
};

static int setup(void **state)
{
    struct fixture *f = ag_alloc(sizeof(*f));
    struct ag_error err = { 0 };
    f->gpu = test_gpu_open();
    f->p = ag_preprocess_create(f->gpu, &err);
    TEST_OK(f->p, err);
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;
    ag_preprocess_destroy(f->gpu, &f->p);
    test_gpu_close(&f->gpu);
    ag_free(f);
    return 0;
}

static bool configure(struct fixture *f, const struct ag_preprocess_config *c, uint32_t width,
                      uint32_t height, uint32_t side)
{
    struct ag_error err = { 0 };
    struct ag_preprocess_setup s = { width, height, c, side };
    bool inferable = false;
    char why[256];
    TEST_OK(ag_preprocess_configure(f->p, &s, &inferable, why, sizeof(why), &err), err);
    assert_int_equal(inferable, why[0] == '\0');
    return inferable;
}

// Noise with structure: flat areas, edges and full-range noise.
static uint8_t *noise(uint32_t width, uint32_t height)
{
    uint8_t *rgba = ag_alloc((size_t)width * height * 4);
    uint32_t seed = width * 31 + height;
    for (uint32_t i = 0; i < width * height; i++) {
        bool rough = (i % width / 16 + i / width / 16) % 2;
        for (uint32_t c = 0; c < 4; c++) {
            rgba[i * 4 + c] = (uint8_t)(rough ? test_random(&seed) : i / 512 * 85 + c * 60);
        }
    }
    return rgba;
}

static void run_input(struct fixture *f, const struct ag_buffer *picture, struct ag_buffer *input,
                      uint64_t offset)
{
    struct ag_cmd *cmd = test_gpu_begin(f->gpu);
    ag_preprocess_record_input(f->p, cmd, picture, input, offset);
    test_gpu_finish(f->gpu, cmd);
}

// The 8-bit resize of the picture in the fixture, whatever of it there is.
static void check_resize(struct fixture *f, const uint8_t *rgba, uint32_t width, uint32_t height)
{
    uint32_t nw = f->p->bicubic_args.width, nh = f->p->bicubic_args.height;
    struct ag_buffer *b = f->p->resized ? f->p->resized : f->p->narrow;
    if (!b) {
        assert_true(nw == width && nh == height);
        return;
    }
    uint8_t *expected = ag_alloc((size_t)nw * nh * 3), *found = ag_alloc((size_t)nw * nh * 4);
    ag_ref_resize_u8(rgba, width, height, 4, expected, nw, nh);
    test_gpu_read(f->gpu, b, found, (uint64_t)nw * nh * 4);
    for (size_t i = 0; i < (size_t)nw * nh; i++) {
        assert_memory_equal(found + i * 4, expected + i * 3, 3);
    }
    ag_free(found);
    ag_free(expected);
}

static void check_input(struct fixture *f, const struct ag_preprocess_config *c, uint32_t width,
                        uint32_t height, uint32_t side)
{
    const size_t count = (size_t)3 * side * side, guard = 64;
    const uint64_t offset = 300; // no multiple of a binding's alignment
    uint8_t *rgba = noise(width, height);
    float *expected = ag_alloc(count * 4), *found = ag_alloc((count + guard) * 4);
    assert_true(configure(f, c, width, height, side));
    struct ag_buffer *picture = test_gpu_buffer(f->gpu, rgba, (uint64_t)width * height * 4,
                                                "test/picture");
    struct ag_buffer *input = test_gpu_buffer(f->gpu, NULL, offset + (count + guard) * 4,
                                              "test/input");
    run_input(f, picture, input, offset);
    check_resize(f, rgba, width, height);

    ag_ref_preprocess(c, rgba, width, height, 4, side, expected);
    uint8_t *all = ag_alloc(offset + (count + guard) * 4);
    test_gpu_read(f->gpu, input, all, offset + (count + guard) * 4);
    memcpy(found, all + offset, (count + guard) * 4);
    for (size_t i = 0; i < offset; i++) {
        assert_int_equal(all[i], 0);
    }
    for (size_t i = 0; i < count; i++) {
        if (!(fabsf(found[i] - expected[i]) <= 1e-5f)) {
            fail_msg("%ux%u value %zu: %f, expected %f", width, height, i, found[i], expected[i]);
        }
    }
    for (size_t i = count; i < count + guard; i++) {
        assert_true(found[i] == 0.0f);
    }
    ag_free(all);
    ag_buffer_destroy(f->gpu, &input);
    ag_buffer_destroy(f->gpu, &picture);
    ag_free(found);
    ag_free(expected);
    ag_free(rgba);
}

static void input_of_all_sizes(void **state)
{
    static const uint32_t sizes[][2] = {
        { 1920, 1080 }, { 1080, 1920 }, { 640, 480 }, { 225, 224 }, { 224, 225 }, { 224, 224 },
        { 100, 60 },    { 7, 5 },       { 1, 1 },     { 509, 347 }, { 224, 1 },   { 1, 50 },
        { 223, 224 },   { 2003, 41 },
    };
    for (size_t i = 0; i < AG_COUNT(sizes); i++) {
        uint32_t w = sizes[i][0], h = sizes[i][1];
        if (w > 50 * h) {
            assert_false(configure(*state, &config, w, h, 224));
        } else {
            check_input(*state, &config, w, h, 224);
        }
    }
}

// Tiles (M7.2): resized to their canvas, and padded with zeros; the same values as the twin.
static void tiles(void **state)
{
    struct fixture *f = *state;
    static const struct {
        uint32_t width, height, side;
    } cases[] = { { 1280, 720, 224 }, { 224, 448, 224 }, { 100, 60, 224 }, { 61, 37, 32 },
                  { 450, 225, 224 }, { 1, 1, 32 }, { 2003, 9, 32 } };
    const uint64_t offset = 300, guard = 64;
    for (size_t i = 0; i < 2 * AG_COUNT(cases); i++) {
        uint32_t width = cases[i / 2].width, height = cases[i / 2].height, side = cases[i / 2].side;
        uint32_t cols = AG_DIV_UP(width, side), rows = AG_DIV_UP(height, side);
        struct ag_preprocess_setup s = { .width = width, .height = height, .config = &config,
                                         .side = side, .tile_cols = cols, .tile_rows = rows,
                                         .padded = i % 2 };
        bool inferable = false;
        char why[64];
        struct ag_error err = { 0 };
        TEST_OK(ag_preprocess_configure(f->p, &s, &inferable, why, sizeof(why), &err), err);
        assert_true(inferable);
        size_t n = (size_t)3 * cols * rows * side * side, bytes = offset + (n + guard) * 4;
        uint8_t *rgba = noise(width, height), *found = ag_alloc(bytes);
        float *expected = ag_alloc(n * 4);
        ag_ref_tiles(&config, rgba, width, height, cols, rows, s.padded, side, expected);
        struct ag_buffer *picture = test_gpu_buffer(f->gpu, rgba, 4ull * width * height, "picture");
        struct ag_buffer *input = test_gpu_buffer(f->gpu, NULL, bytes, "tiles");
        run_input(f, picture, input, offset);
        test_gpu_read(f->gpu, input, found, bytes);
        for (size_t k = 0; k < bytes; k++) {
            if (k < offset || k >= offset + n * 4) {
                assert_int_equal(found[k], 0);
            }
        }
        const float *values = (const float *)(found + offset);
        for (size_t k = 0; k < n; k++) {
            assert_true(values[k] == expected[k]); // but for the sign of zero
        }
        if (s.padded) { // the last pixel of the last tile is padding, unless it fits
            bool fits = cols * side == width && rows * side == height;
            assert_true(fits || expected[n - 1] == 0.0f);
        }
        ag_buffer_destroy(f->gpu, &picture);
        ag_buffer_destroy(f->gpu, &input);
        ag_free(expected);
        ag_free(found);
        ag_free(rgba);
    }
}

static void input_of_other_configurations(void **state)
{
    struct ag_preprocess_config c = config;
    c.width = c.height = 32;
    check_input(*state, &c, 127, 95, 32);
    c.exact_size = true;
    c.width = 40;
    c.height = 30;
    check_input(*state, &c, 9, 5, 33);
    check_input(*state, &c, 40, 31, 40);
    c.normalize = false;
    c.offset = false;
    check_input(*state, &c, 64, 64, 48);
}

// ---- colour ----------------------------------------------------------------------------------

static struct ag_buffer *stage(struct fixture *f, const struct ag_frame *frame)
{
    struct ag_error err = { 0 };
    struct ag_buffer *b =
        ag_buffer_create(f->gpu, AG_MEM_UPLOAD, frame->bytes, "test/staging", &err);
    TEST_OK(b, err);
    memcpy(b->data, frame->data, frame->bytes);
    ag_buffer_flush(f->gpu, b);
    return b;
}

static bool run_picture(struct fixture *f, const struct ag_frame *frame,
                        const struct ag_buffer *staging, struct ag_buffer *rgba,
                        struct ag_error *err)
{
    struct ag_cmd *cmd = test_gpu_begin(f->gpu);
    bool ok = ag_preprocess_record_picture(f->p, cmd, frame, staging, rgba, err);
    test_gpu_finish(f->gpu, cmd);
    return ok;
}

static void check_picture(struct fixture *f, const struct ag_frame *frame, const char *name)
{
    struct ag_error err = { 0 };
    uint32_t w, h;
    ag_frame_picture_size(frame, &w, &h);
    configure(f, &config, w, h, 224);
    const size_t size = (size_t)w * h * 4;
    uint8_t *expected = ag_alloc(size), *found = ag_alloc(size);
    struct ag_buffer *staging = stage(f, frame);
    struct ag_buffer *rgba = test_gpu_buffer(f->gpu, NULL, size, "test/rgba");
    uint64_t uploaded = ag_gpu_get_counters(f->gpu).bytes_uploaded;
    TEST_OK(run_picture(f, frame, staging, rgba, &err), err);
    uploaded = ag_gpu_get_counters(f->gpu).bytes_uploaded - uploaded;
    assert_int_equal(uploaded, frame->bytes);
    test_gpu_read(f->gpu, rgba, found, size);
    ag_ref_picture(frame, expected);
    for (size_t i = 0; i < size; i++) {
        if (found[i] != expected[i]) {
            fail_msg("%s %ux%u rotation %u: pixel %zu channel %zu: %d, expected %d", name, w, h,
                     frame->rotation, i / 4, i % 4, found[i], expected[i]);
        }
    }
    ag_buffer_destroy(f->gpu, &rgba);
    ag_buffer_destroy(f->gpu, &staging);
    ag_free(found);
    ag_free(expected);
}

static void colour_of_all_formats(void **state)
{
    static const uint32_t sizes[][2] = { { 127, 95 }, { 128, 96 }, { 1, 1 }, { 6, 3 } };
    for (uint32_t i = 0; i < AG_COUNT(test_formats); i++) {
        for (uint32_t k = 0; k < AG_COUNT(sizes); k++) {
            struct ag_frame frame = test_frame(&test_formats[i], sizes[k][0], sizes[k][1],
                                               (i + k) % 3 * 4, i + k);
            frame.layout.matrix = (i + k) % 3;
            frame.layout.full_range = (i + k) / 3 % 2;
            frame.rotation = (i / 2 + k) % 4;
            frame.mirrored = (i + k) % 2;
            check_picture(*state, &frame, test_formats[i].name);
            ag_free((void *)(uintptr_t)frame.data);
        }
    }
}

static void colour_of_all_variants(void **state)
{
    for (uint32_t variant = 0; variant < 48; variant++) {
        struct ag_frame frame = test_frame(&test_formats[0], 127, 95, 8, variant);
        frame.rotation = variant % 4;
        frame.layout.matrix = variant / 4 % 3;
        frame.layout.full_range = variant / 12 % 2;
        frame.mirrored = variant / 24;
        check_picture(*state, &frame, test_formats[0].name);
        ag_free((void *)(uintptr_t)frame.data);
    }
}

// Synthetic frames of every pattern, more of them than there are slots in flight.
static void generated_frames(void **state)
{
    struct fixture *f = *state;
    enum { W = 201, H = 99, BYTES = W * H * 4 };
    configure(f, &config, W, H, 224);
    uint8_t *expected = ag_alloc(BYTES), *found = ag_alloc(BYTES);
    struct ag_buffer *rgba = test_gpu_buffer(f->gpu, NULL, BYTES, "test/rgba");
    for (uint32_t i = 0; i < 3 * AG_PATTERN_COUNT; i++) {
        struct ag_frame frame = { .id = i + 1, .width = W, .height = H, .index = i * 17,
                                  .pattern = (enum ag_pattern)(i % AG_PATTERN_COUNT) };
        frame.layout.kind = AG_PIXEL_GENERATED;
        struct ag_error err = { 0 };
        uint64_t uploaded = ag_gpu_get_counters(f->gpu).bytes_uploaded;
        TEST_OK(run_picture(f, &frame, NULL, rgba, &err), err);
        assert_int_equal(ag_gpu_get_counters(f->gpu).bytes_uploaded, uploaded);
        test_gpu_read(f->gpu, rgba, found, BYTES);
        ag_pattern_draw(frame.pattern, frame.index, W, H, expected);
        assert_memory_equal(found, expected, BYTES);
    }
    ag_buffer_destroy(f->gpu, &rgba);
    ag_free(found);
    ag_free(expected);
}

// ---- rules -----------------------------------------------------------------------------------

static void long_pictures_get_no_mask(void **state)
{
    assert_true(configure(*state, &config, 50, 1, 224));
    assert_false(configure(*state, &config, 51, 1, 224));
    assert_true(configure(*state, &config, 3, 150, 224));
    assert_false(configure(*state, &config, 3, 151, 224));
    // they are shown all the same
    struct ag_frame frame = test_frame(&test_formats[0], 301, 5, 0, 1);
    check_picture(*state, &frame, "301x5");
    ag_free((void *)(uintptr_t)frame.data);
}

static void impossible_sizes_are_refused(void **state)
{
    struct fixture *f = *state;
    static const uint32_t sizes[][2] = { { 0, 4 }, { 4, AG_MAX_FRAME_SIDE + 1 } };
    for (size_t i = 0; i < AG_COUNT(sizes); i++) {
        struct ag_preprocess_setup s = { sizes[i][0], sizes[i][1], &config, 224 };
        struct ag_error err = { 0 };
        bool inferable;
        char why[64];
        assert_false(ag_preprocess_configure(f->p, &s, &inferable, why, sizeof(why), &err));
        assert_int_equal(err.status, AG_ERR_INPUT);
    }
}

// A layout that reaches past its samples must not make the device read there.
static void layouts_that_lie_are_refused(void **state)
{
    struct fixture *f = *state;
    struct ag_frame good = test_frame(&test_formats[0], 16, 16, 4, 3);
    configure(f, &config, 16, 16, 224);
    struct ag_buffer *staging = stage(f, &good);
    struct ag_buffer *rgba = test_gpu_buffer(f->gpu, NULL, 16 * 16 * 4, "test/rgba");
    for (int i = 0; i < 6; i++) {
        struct ag_frame bad = good;
        struct pixel_component *c = &bad.layout.c[i % 3];
        switch (i) {
        case 0:
            bad.bytes -= 300;
            break;
        case 1:
            c->pitch = 1u << 31;
            break;
        case 2:
            c->offset = UINT32_MAX;
            break;
        case 3:
            c->depth = 9;
            break;
        case 4:
            c->bytes = 2;
            c->offset |= 1;
            break;
        case 5:
            c->shift_x = 4;
            break;
        }
        struct ag_error err = { 0 };
        assert_false(run_picture(f, &bad, staging, rgba, &err));
        assert_int_equal(err.status, AG_ERR_INPUT);
    }
    struct ag_error err = { 0 };
    TEST_OK(run_picture(f, &good, staging, rgba, &err), err);
    ag_buffer_destroy(f->gpu, &rgba);
    ag_buffer_destroy(f->gpu, &staging);
    ag_free((void *)(uintptr_t)good.data);
}

static void steady_frames_allocate_nothing(void **state)
{
    struct fixture *f = *state;
    struct ag_frame frame = test_frame(&test_formats[3], 64, 48, 0, 5);
    configure(f, &config, 64, 48, 224);
    struct ag_buffer *staging = stage(f, &frame);
    struct ag_buffer *rgba = test_gpu_buffer(f->gpu, NULL, 64 * 48 * 4, "test/rgba");
    struct ag_buffer *input = test_gpu_buffer(f->gpu, NULL, 224 * 224 * 12, "test/input");
    uint64_t host = 0, device = 0;
    for (int i = 0; i < 4; i++) {
        struct ag_error err = { 0 };
        struct ag_cmd *cmd = test_gpu_begin(f->gpu);
        if (i == 1) {
            host = ag_alloc_count();
            device = ag_gpu_get_counters(f->gpu).device_bytes_used;
        }
        TEST_OK(ag_preprocess_record_picture(f->p, cmd, &frame, staging, rgba, &err), err);
        ag_preprocess_record_input(f->p, cmd, rgba, input, 0);
        test_gpu_finish(f->gpu, cmd);
    }
    assert_int_equal(ag_alloc_count(), host);
    assert_int_equal(ag_gpu_get_counters(f->gpu).device_bytes_used, device);
    ag_buffer_destroy(f->gpu, &input);
    ag_buffer_destroy(f->gpu, &rgba);
    ag_buffer_destroy(f->gpu, &staging);
    ag_free((void *)(uintptr_t)frame.data);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(input_of_all_sizes),
        cmocka_unit_test(input_of_other_configurations),
        cmocka_unit_test(tiles),
        cmocka_unit_test(colour_of_all_formats),
        cmocka_unit_test(colour_of_all_variants),
        cmocka_unit_test(generated_frames),
        cmocka_unit_test(long_pictures_get_no_mask),
        cmocka_unit_test(impossible_sizes_are_refused),
        cmocka_unit_test(layouts_that_lie_are_refused),
        cmocka_unit_test(steady_frames_allocate_nothing),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
