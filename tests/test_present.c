// The presenter's pictures, drawn offscreen and read back.
#include "gpu_util.h"

#include "../src/gpu/draw.h"
#include "internal.h" // of src/present: to force an sRGB target

#define BLACK 0xff000000u
#define BACKGROUND 0xff302010u // R 16, G 32, B 48

struct fixture {
    struct ag_gpu *gpu;
    struct ag_presenter *presenter;
};

// How frames are made: in a buffer as on software devices or as on hardware, in the image.
enum form { SOFTWARE, BUFFERED, IMAGE, FORMS };

static void set_form(struct fixture *f, enum form form)
{
    struct ag_error err = { 0 };
    f->presenter->buffered = form == BUFFERED;
    TEST_OK(ag_present_kernels(f->presenter, form == SOFTWARE, &err), err);
}

static int open_fixture(void **state, enum form form)
{
    struct fixture *f = ag_alloc(sizeof(*f));
    struct ag_error err = { 0 };
    f->gpu = test_gpu_open();
    f->presenter = ag_presenter_create(NULL, f->gpu, &(struct ag_presenter_params){ 0 }, &err);
    TEST_OK(f->presenter, err);
    set_form(f, form);
    *state = f;
    return 0;
}

static int setup(void **state)
{
    return open_fixture(state, SOFTWARE);
}

static int setup_image(void **state)
{
    return open_fixture(state, IMAGE);
}

static int teardown(void **state)
{
    struct fixture *f = *state;
    ag_presenter_destroy(&f->presenter);
    test_gpu_close(&f->gpu);
    ag_free(f);
    return 0;
}

// Draws the panels on a target of that size; the caller frees the pixels.
static uint32_t *draw(struct fixture *f, uint32_t width, uint32_t height,
                      const struct ag_picture_panel *panels, uint32_t n)
{
    struct ag_error err = { 0 };
    struct ag_target target;
    ag_presenter_resize(f->presenter, width, height);
    assert_int_equal(ag_presenter_begin(f->presenter, 7, BACKGROUND, &target, &err),
                     AG_PRESENTER_READY);
    assert_int_equal(target.width, width);
    assert_int_equal(target.height, height);
    ag_presenter_draw(f->presenter, panels, n);
    bool into_image = f->presenter->into_image;
    TEST_OK(ag_presenter_end(f->presenter, &err), err);
    // Nothing that encodes sRGB can be stored to.
    bool storable = !f->presenter->software && !f->presenter->buffered &&
                    f->presenter->format != VK_FORMAT_R8G8B8A8_SRGB;
    assert_int_equal(into_image, storable);
    uint32_t *pixels = ag_alloc((size_t)width * height * 4);
    TEST_OK(ag_presenter_read(f->presenter, (uint8_t *)pixels, &err), err);
    return pixels;
}

static uint32_t rgba(uint32_t r, uint32_t g, uint32_t b, uint32_t a)
{
    return r | g << 8 | b << 16 | a << 24;
}

static void assert_near(uint32_t a, uint32_t b, int tolerance)
{
    for (int i = 0; i < 3; i++) {
        int d = (int)(a >> (8 * i) & 255) - (int)(b >> (8 * i) & 255);
        if (abs(d) > tolerance) {
            fail_msg("pixel %08x, expected %08x", a, b);
        }
    }
}

static struct ag_buffer *noise(struct fixture *f, uint32_t n, uint32_t **pixels)
{
    uint32_t x = 1;
    *pixels = ag_alloc(n * sizeof(uint32_t));
    for (uint32_t i = 0; i < n; i++) {
        x = x * 1664525u + 1013904223u;
        (*pixels)[i] = x | BLACK;
    }
    return test_gpu_buffer(f->gpu, *pixels, n * 4, "noise");
}

// Pixel by pixel, nothing outside of the rectangle.
static void same_size_is_exact(void **state)
{
    struct fixture *f = *state;
    uint32_t *source;
    struct ag_buffer *buffer = noise(f, 61 * 47, &source);
    struct ag_picture_panel panel = { buffer, 61, 47, { 5, 9, 61, 47 } };
    uint32_t *out = draw(f, 80, 70, &panel, 1);
    for (int32_t y = 0; y < 70; y++) {
        for (int32_t x = 0; x < 80; x++) {
            bool inside = x >= 5 && x < 66 && y >= 9 && y < 56;
            assert_int_equal(out[y * 80 + x],
                             inside ? source[(y - 9) * 61 + x - 5] : BACKGROUND);
        }
    }
    ag_free(out);
    ag_free(source);
    ag_buffer_destroy(f->gpu, &buffer);
}

static void growing_takes_the_nearest_pixel(void **state)
{
    struct fixture *f = *state;
    uint32_t *source;
    struct ag_buffer *buffer = noise(f, 7 * 5, &source);
    struct ag_picture_panel panel = { buffer, 7, 5, { 0, 0, 70, 50 } };
    uint32_t *out = draw(f, 70, 50, &panel, 1);
    for (uint32_t y = 0; y < 50; y++) {
        for (uint32_t x = 0; x < 70; x++) {
            assert_int_equal(out[y * 70 + x], source[y / 10 * 7 + x / 10]);
        }
    }
    ag_free(out);
    ag_free(source);
    ag_buffer_destroy(f->gpu, &buffer);
}

// A part of the picture, grown eight times, and only some of the rectangle.
static void a_part_is_enlarged(void **state)
{
    struct fixture *f = *state;
    uint32_t *source;
    struct ag_buffer *buffer = noise(f, 61 * 47, &source);
    struct ag_picture_panel panel = {
        buffer, 61, 47, { 3, 5, 80, 64 }, .part = { 20.5, 11.25, 10, 8 }, .only = { 0, 20, 40, 90 }
    };
    uint32_t *out = draw(f, 100, 90, &panel, 1);
    for (int32_t y = 0; y < 90; y++) {
        for (int32_t x = 0; x < 100; x++) {
            bool inside = x >= 3 && x < 40 && y >= 20 && y < 69;
            uint32_t sx = (uint32_t)(20.5 + (x - 3 + 0.5) / 8);
            uint32_t sy = (uint32_t)(11.25 + (y - 5 + 0.5) / 8);
            assert_int_equal(out[y * 100 + x], inside ? source[sy * 61 + sx] : BACKGROUND);
        }
    }
    ag_free(out);
    ag_free(source);
    ag_buffer_destroy(f->gpu, &buffer);
}

// Black where two pictures are alike, white from 64 levels on, brighter all the way in between.
static void differences_are_heat(void **state)
{
    struct fixture *f = *state;
    uint32_t a[80], b[80];
    for (uint32_t i = 0; i < AG_COUNT(a); i++) {
        a[i] = rgba(100, 150, 90, 255);
        b[i] = i % 3 == 0 ? rgba(100 + i, 150, 90, 255)
               : i % 3 == 1 ? rgba(100, 150 - i, 90, 0) : rgba(100, 150, 90 + i, 7);
    }
    struct ag_buffer *one = test_gpu_buffer(f->gpu, a, sizeof(a), "one");
    struct ag_buffer *two = test_gpu_buffer(f->gpu, b, sizeof(b), "two");
    struct ag_picture_panel panel = { one, 80, 1, { 0, 0, 80, 1 }, .other = two };
    uint32_t *out = draw(f, 80, 1, &panel, 1);
    double last = -1;
    assert_int_equal(out[0], BLACK);
    for (uint32_t i = 0; i < 80; i++) {
        double light = 0.2126 * (out[i] & 255) + 0.7152 * (out[i] >> 8 & 255) +
                       0.0722 * (out[i] >> 16 & 255);
        assert_true(i >= 64 || light > last);
        assert_true(i < 64 || out[i] == 0xffffffffu);
        last = light;
    }
    ag_free(out);
    // Shrunk it is the mean of the differences, not the difference of the means, which is none here.
    for (uint32_t i = 0; i < AG_COUNT(a); i++) {
        b[i] = rgba(100 + (i % 2 ? 20 : -20), 150, 90, 255);
    }
    struct ag_buffer *three = test_gpu_buffer(f->gpu, b, sizeof(b), "three");
    struct ag_picture_panel half = { one, 80, 1, { 0, 0, 40, 1 }, .other = three };
    uint32_t *mean = draw(f, 40, 1, &half, 1);
    struct ag_picture_panel full = { one, 80, 1, { 0, 0, 80, 1 }, .other = three };
    uint32_t *single = draw(f, 80, 1, &full, 1);
    assert_near(mean[20], single[40], 1);
    ag_free(mean);
    ag_free(single);
    ag_buffer_destroy(f->gpu, &one);
    ag_buffer_destroy(f->gpu, &two);
    ag_buffer_destroy(f->gpu, &three);
}

// The exact mean over fractional footprints, in double precision.
static double mean(const uint32_t *source, uint32_t sw, uint32_t sh, double x0, double x1,
                   double y0, double y1, int channel)
{
    double sum = 0, area = 0;
    for (uint32_t y = (uint32_t)y0; y < sh && y < y1; y++) {
        for (uint32_t x = (uint32_t)x0; x < sw && x < x1; x++) {
            double w = (AG_MIN(x1, x + 1.0) - AG_MAX(x0, (double)x)) *
                       (AG_MIN(y1, y + 1.0) - AG_MAX(y0, (double)y));
            sum += w * (source[y * sw + x] >> (8 * channel) & 255);
            area += w;
        }
    }
    return sum / area;
}

static void shrinking_weighs_by_area(void **state)
{
    struct fixture *f = *state;
    const uint32_t sw = 128, sh = 72;
    static const uint32_t sizes[][2] = { { 64, 36 }, { 43, 24 }, { 100, 71 }, { 20, 12 } };
    uint32_t *source;
    struct ag_buffer *buffer = noise(f, sw * sh, &source);
    for (uint32_t i = 0; i < AG_COUNT(sizes); i++) {
        uint32_t w = sizes[i][0], h = sizes[i][1];
        struct ag_picture_panel panel = { buffer, sw, sh, { 0, 0, (int32_t)w, (int32_t)h } };
        uint32_t *out = draw(f, w, h, &panel, 1);
        for (uint32_t y = 0; y < h; y++) {
            for (uint32_t x = 0; x < w; x++) {
                double kx = (double)sw / w, ky = (double)sh / h;
                uint32_t want = 0;
                for (int c = 0; c < 3; c++) {
                    double m = mean(source, sw, sh, x * kx, (x + 1) * kx, y * ky, (y + 1) * ky, c);
                    want |= (uint32_t)(m + 0.5) << (8 * c);
                }
                assert_near(out[y * w + x], want, 1);
            }
        }
        ag_free(out);
    }
    ag_free(source);
    ag_buffer_destroy(f->gpu, &buffer);
}

// A picture much larger than its panel: a fixed number of taps, but no bias.
static void shrinking_far_keeps_the_mean(void **state)
{
    struct fixture *f = *state;
    const uint32_t sw = 1920, sh = 1080;
    uint32_t *source = ag_alloc((size_t)sw * sh * 4);
    for (uint32_t i = 0; i < sw * sh; i++) {
        source[i] = i % sw < sw / 2 ? rgba(200, 100, 0, 255) : rgba(0, 50, 250, 255);
    }
    struct ag_buffer *buffer = test_gpu_buffer(f->gpu, source, (uint64_t)sw * sh * 4, "halves");
    struct ag_picture_panel panel = { buffer, sw, sh, { 0, 0, 48, 27 } };
    uint32_t *out = draw(f, 48, 27, &panel, 1);
    for (uint32_t i = 0; i < 48 * 27; i++) {
        assert_near(out[i], i % 48 < 24 ? source[0] : source[sw - 1], 1);
    }
    ag_free(out);
    ag_free(source);
    ag_buffer_destroy(f->gpu, &buffer);
}

static void transparent_pixels_show_the_background(void **state)
{
    struct fixture *f = *state;
    uint32_t source[4] = { rgba(255, 0, 0, 0), rgba(255, 0, 0, 255), rgba(200, 100, 50, 128), 0 };
    struct ag_buffer *buffer = test_gpu_buffer(f->gpu, source, sizeof(source), "alpha");
    struct ag_picture_panel panels[] = {
        { buffer, 4, 1, { 0, 0, 4, 1 }, .use_alpha = true, .background = rgba(20, 40, 60, 255) },
        { buffer, 4, 1, { 0, 1, 4, 1 } },
        { NULL, 4, 1, { 0, 2, 4, 1 }, .background = rgba(1, 2, 3, 255) },
    };
    uint32_t *out = draw(f, 4, 3, panels, 3);
    assert_near(out[0], rgba(20, 40, 60, 255), 0);
    assert_near(out[1], rgba(255, 0, 0, 255), 0);
    assert_near(out[2], rgba(110, 70, 55, 255), 1);
    assert_near(out[3], rgba(20, 40, 60, 255), 0);
    assert_near(out[4], rgba(255, 0, 0, 255), 0); // alpha ignored
    assert_near(out[8], rgba(1, 2, 3, 255), 0);   // no picture
    ag_free(out);
    ag_buffer_destroy(f->gpu, &buffer);
}

// A target that encodes sRGB itself shows the same bytes.
static void srgb_targets_show_the_same(void **state)
{
    struct fixture *f = *state;
    uint32_t source[256];
    for (uint32_t i = 0; i < 256; i++) {
        source[i] = rgba(i, 255 - i, i / 2, 255);
    }
    struct ag_buffer *buffer = test_gpu_buffer(f->gpu, source, sizeof(source), "ramp");
    struct ag_picture_panel panels[] = {
        { buffer, 256, 1, { 0, 0, 256, 1 } },
        { NULL, 1, 1, { 0, 1, 256, 1 }, .background = rgba(70, 80, 90, 255) },
    };
    f->presenter->format = VK_FORMAT_R8G8B8A8_SRGB;
    uint32_t *out = draw(f, 256, 3, panels, 2);
    for (uint32_t i = 0; i < 256; i++) {
        assert_near(out[i], source[i], 1);
        assert_near(out[256 + i], rgba(70, 80, 90, 255), 1);
        assert_near(out[512 + i], BACKGROUND, 1);
    }
    ag_free(out);
    ag_buffer_destroy(f->gpu, &buffer);
}

// All forms of the kernels give the same bytes: all picture widths by four, shrunk, grown, far
// shrunk, in part, with alpha, and as a difference.
static void software_and_hardware_draw_the_same(void **state)
{
    struct fixture *f = *state;
    static const int32_t sizes[][2] = { { 61, 47 }, { 30, 20 }, { 200, 95 }, { 5, 3 }, { 1, 1 } };
    uint32_t *source;
    struct ag_buffer *one = noise(f, 64 * 47, &source);
    for (uint32_t i = 0; i < 64 * 47; i++) {
        source[i] = source[i] * 2654435761u;
    }
    struct ag_buffer *two = test_gpu_buffer(f->gpu, source, 64 * 47 * 4, "two");
    for (uint32_t k = 0; k < 4 * AG_COUNT(sizes); k++) {
        uint32_t sw = 61 + k % 4;
        int32_t w = sizes[k / 4][0], h = sizes[k / 4][1];
        struct ag_part part = { 3.25, 7.5, k % 8 < 4 ? 0 : 40.5, 30 };
        struct ag_picture_panel panels[] = {
            { one, sw, 47, { 2, 1, w, h }, .part = part },
            { two, sw, 47, { 210, 1, w, h }, .part = part, .use_alpha = true,
              .background = rgba(20, 40, 60, 255) },
            { one, sw, 47, { 2, 100, w, h }, .part = part, .other = two },
        };
        uint32_t *out[FORMS];
        for (int form = 0; form < FORMS; form++) {
            set_form(f, (enum form)form);
            out[form] = draw(f, 420, 200, panels, AG_COUNT(panels));
            assert_memory_equal(out[0], out[form], 420 * 200 * 4);
        }
        for (int form = 0; form < FORMS; form++) {
            ag_free(out[form]);
        }
    }
    ag_free(source);
    ag_buffer_destroy(f->gpu, &one);
    ag_buffer_destroy(f->gpu, &two);
}

// What a panel leaves behind when it moves is the background again; while nothing moves, what is
// drawn anew is the panel alone.
static void panels_leave_no_trace(void **state)
{
    struct fixture *f = *state;
    uint32_t *source;
    struct ag_buffer *buffer = noise(f, 8 * 8, &source);
    for (int32_t i = 0; i < 6; i++) {
        int32_t at = 5 * (i / 2); // every place twice
        struct ag_picture_panel panel = { buffer, 8, 8, { at, at, 8, 8 } };
        uint32_t *out = draw(f, 24, 24, &panel, 1);
        for (int32_t y = 0; y < 24; y++) {
            for (int32_t x = 0; x < 24; x++) {
                bool inside = x >= at && x < at + 8 && y >= at && y < at + 8;
                assert_int_equal(out[y * 24 + x],
                                 inside ? source[(y - at) * 8 + x - at] : BACKGROUND);
            }
        }
        ag_free(out);
    }
    ag_free(source);
    ag_buffer_destroy(f->gpu, &buffer);
}

// What was drawn over a frame is not in the next one.
static void overlays_leave_no_trace(void **state)
{
    struct fixture *f = *state;
    struct ag_error err = { 0 };
    struct ag_target target;
    ag_free(draw(f, 24, 24, NULL, 0));
    assert_int_equal(ag_presenter_begin(f->presenter, 7, BACKGROUND, &target, &err),
                     AG_PRESENTER_READY);
    ag_presenter_draw(f->presenter, NULL, 0);
    ag_presenter_overlay(f->presenter);
    VkClearRect all = { .rect.extent = { 24, 24 }, .layerCount = 1 };
    ag_draw_fill(target.cmd, f->presenter->format, rgba(200, 100, 50, 255), &all, 1);
    TEST_OK(ag_presenter_end(f->presenter, &err), err);
    uint32_t over[24 * 24];
    TEST_OK(ag_presenter_read(f->presenter, (uint8_t *)over, &err), err);
    uint32_t *out = draw(f, 24, 24, NULL, 0);
    for (uint32_t i = 0; i < 24 * 24; i++) {
        assert_int_equal(over[i], rgba(200, 100, 50, 255));
        assert_int_equal(out[i], BACKGROUND);
    }
    ag_free(out);
}

// Windows mostly want blue first.
static void bgra_targets_show_the_same(void **state)
{
    struct fixture *f = *state;
    uint32_t *source;
    struct ag_buffer *buffer = noise(f, 8 * 8, &source);
    struct ag_picture_panel panels[] = {
        { buffer, 8, 8, { 0, 0, 8, 8 } },
        { NULL, 8, 8, { 8, 0, 8, 8 }, .background = rgba(1, 2, 3, 255) },
    };
    f->presenter->format = VK_FORMAT_B8G8R8A8_UNORM;
    uint32_t *out = draw(f, 24, 8, panels, 2);
    for (uint32_t i = 0; i < 24 * 8; i++) {
        uint32_t x = i % 24, y = i / 24, got = out[i];
        uint32_t want = x < 8 ? source[y * 8 + x] : x < 16 ? rgba(1, 2, 3, 255) : BACKGROUND;
        assert_int_equal(rgba(got >> 16 & 255, got >> 8 & 255, got & 255, 255), want);
    }
    ag_free(out);
    ag_free(source);
    ag_buffer_destroy(f->gpu, &buffer);
}

// Rectangles that leave the target are cut, empty ones are nothing.
static void rectangles_are_clipped(void **state)
{
    struct fixture *f = *state;
    uint32_t *source;
    struct ag_buffer *buffer = noise(f, 64, &source);
    struct ag_picture_panel panels[] = {
        { buffer, 8, 8, { -4, -4, 8, 8 } },
        { buffer, 8, 8, { 0, 0, 0, 5 } },
        { buffer, 8, 8, { 12, 12, 8, 8 } },
        { buffer, 8, 8, { 100, 100, 8, 8 } },
    };
    uint32_t *out = draw(f, 16, 16, panels, AG_COUNT(panels));
    assert_int_equal(out[0], source[4 * 8 + 4]);
    assert_int_equal(out[15 * 16 + 15], source[3 * 8 + 3]);
    assert_int_equal(out[8 * 16 + 8], BACKGROUND);
    ag_free(out);
    ag_free(source);
    ag_buffer_destroy(f->gpu, &buffer);
}

static void sizes_change_and_vanish(void **state)
{
    struct fixture *f = *state;
    struct ag_error err = { 0 };
    struct ag_target target;
    static const uint32_t sizes[][2] = { { 1, 1 }, { 640, 400 }, { 3, 500 }, { 640, 400 } };
    for (uint32_t i = 0; i < AG_COUNT(sizes); i++) {
        uint32_t *out = draw(f, sizes[i][0], sizes[i][1], NULL, 0);
        assert_int_equal(out[sizes[i][0] * sizes[i][1] - 1], BACKGROUND);
        ag_free(out);
        ag_presenter_resize(f->presenter, 0, 0);
        assert_int_equal(ag_presenter_begin(f->presenter, 0, 0, &target, &err), AG_PRESENTER_SKIP);
    }
    uint32_t made = ag_presenter_generations(f->presenter);
    uint64_t idle = ag_gpu_get_counters(f->gpu).idle_waits;
    for (int i = 0; i < 20; i++) {
        ag_free(draw(f, 640, 400, NULL, 0));
    }
    assert_int_equal(ag_presenter_generations(f->presenter), made);
    assert_int_equal(ag_gpu_get_counters(f->gpu).idle_waits, idle);
}

// PRESENT shows up with the frame's id.
static void times_carry_the_frame(void **state)
{
    struct fixture *f = *state;
    ag_free(draw(f, 64, 64, NULL, 0));
    struct ag_gpu_times times;
    bool found = false;
    while (ag_gpu_poll_times(f->gpu, &times)) {
        found = found || (times.frame_id == 7 && times.stage_ns[AG_STAGE_PRESENT] > 0);
    }
    assert_true(found || ag_gpu_get_info(f->gpu)->timestamp_ns == 0);
}

#define IN_ALL_FORMS(test)                                                                         \
    { #test, test, setup, teardown, NULL }, { #test ", image", test, setup_image, teardown, NULL }

int main(void)
{
    const struct CMUnitTest tests[] = {
        IN_ALL_FORMS(same_size_is_exact),
        IN_ALL_FORMS(growing_takes_the_nearest_pixel),
        IN_ALL_FORMS(shrinking_weighs_by_area),
        IN_ALL_FORMS(a_part_is_enlarged),
        IN_ALL_FORMS(differences_are_heat),
        IN_ALL_FORMS(shrinking_far_keeps_the_mean),
        IN_ALL_FORMS(transparent_pixels_show_the_background),
        IN_ALL_FORMS(srgb_targets_show_the_same),
        cmocka_unit_test_setup_teardown(software_and_hardware_draw_the_same, setup, teardown),
        IN_ALL_FORMS(panels_leave_no_trace),
        IN_ALL_FORMS(overlays_leave_no_trace),
        IN_ALL_FORMS(bgra_targets_show_the_same),
        IN_ALL_FORMS(rectangles_are_clipped),
        IN_ALL_FORMS(sizes_change_and_vanish),
        IN_ALL_FORMS(times_carry_the_frame),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
