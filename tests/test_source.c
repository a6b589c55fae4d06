// The source table, the synthetic and the image drivers, and what every driver promises.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "autogaze/source.h"

#define MS 1000000ll

static struct ag_source *open_source(struct ag_source_params params)
{
    struct ag_error err = { 0 };
    struct ag_source *source = ag_source_open(NULL, &params, &err);
    if (!source) {
        fail_msg("%s", err.text);
    }
    return source;
}

static void fails_with(enum ag_status status, struct ag_source_params params, const char *part)
{
    struct ag_error err = { 0 };
    struct ag_source *source = ag_source_open(NULL, &params, &err);
    if (source) {
        fail_msg("%s was opened", params.uri ? params.uri : params.driver);
    }
    assert_int_equal(err.status, status);
    if (!strstr(err.text, part)) {
        fail_msg("'%s' does not say '%s'", err.text, part);
    }
}

static void open_fails(struct ag_source_params params, const char *part)
{
    fails_with(AG_ERR_INPUT, params, part);
}

static struct ag_frame get(struct ag_source *source)
{
    struct ag_frame frame;
    struct ag_error err = { 0 };
    if (ag_source_next(source, &frame, &err) != AG_NEXT_FRAME) {
        fail_msg("no frame: %s", err.text);
    }
    return frame;
}

static const char *scratch(const char *name)
{
    static char path[512];
    snprintf(path, sizeof(path), "%s/test_source.%ld.%s", AG_BINARY_DIR, (long)getpid(), name);
    return path;
}

static const char *write_file(const char *name, const void *data, size_t size)
{
    const char *path = scratch(name);
    FILE *f = fopen(path, "wb");
    assert_non_null(f);
    assert_int_equal(fwrite(data, 1, size, f), size);
    fclose(f);
    return path;
}

// ---- table --------------------------------------------------------------------------------------

static void test_table(void **state)
{
    (void)state;
    struct ag_source_listing list[32];
    int n = ag_source_drivers(list, 32);
    assert_int_equal(n, 3 + AG_PATTERN_COUNT);
    for (int i = 0; i < n; i++) {
        assert_true(strlen(list[i].name) > 0 && strlen(list[i].help) > 10);
        for (int k = 0; k < i; k++) {
            assert_string_not_equal(list[i].name, list[k].name);
        }
    }
    assert_int_equal(ag_source_drivers(list, 2), 2);
    fails_with(AG_ERR_USAGE, (struct ag_source_params){ .driver = "synthetic-pam" },
               "did you mean 'synthetic-pan'");
    fails_with(AG_ERR_USAGE, (struct ag_source_params){ .driver = "quux" },
               "expected video, camera, image");
    fails_with(AG_ERR_USAGE, (struct ag_source_params){ 0 }, "no source");
}

// ---- synthetic ----------------------------------------------------------------------------------

static void test_synthetic(void **state)
{
    (void)state;
    for (int p = 0; p < AG_PATTERN_COUNT; p++) {
        struct ag_source *source =
            open_source((struct ag_source_params){ .driver = ag_pattern_name(p), .fps = 60 });
        struct ag_source_info info = ag_source_get_info(source);
        assert_string_equal(info.driver, ag_pattern_name(p));
        assert_non_null(strstr(info.description, "1280x720 60 fps"));
        assert_int_equal(info.width, 1280);
        assert_int_equal(info.height, 720);
        assert_int_equal(info.fps, 60);
        assert_int_equal(info.duration_ns, -1);
        assert_true(info.seekable);
        assert_false(info.live);
        int64_t last = -1;
        for (uint32_t i = 0; i < 100; i++) {
            struct ag_frame frame = get(source);
            assert_int_equal(frame.index, i);
            assert_int_equal(frame.pattern, p);
            assert_int_equal(frame.layout.kind, AG_PIXEL_GENERATED);
            assert_int_equal(frame.bytes, 0);
            assert_null(frame.data);
            assert_int_equal(frame.discontinuity, i == 0);
            assert_int_equal(frame.sar_num, 1);
            assert_true(frame.pts_ns > last);
            assert_true(llabs(frame.pts_ns - i * 1000 * MS / 60) <= 1);
            assert_true(frame.capture_ns > 0 && frame.source_ns >= 0);
            last = frame.pts_ns;
        }
        ag_source_close(&source);
        assert_null(source);
    }
}

static void check_size(uint32_t width, uint32_t height, uint32_t expect_w, uint32_t expect_h)
{
    struct ag_source *source = open_source(
        (struct ag_source_params){ .driver = "synthetic-noise", .width = width, .height = height });
    struct ag_frame frame = get(source);
    assert_int_equal(frame.width, expect_w);
    assert_int_equal(frame.height, expect_h);
    assert_int_equal(ag_source_get_info(source).fps, 30);
    ag_source_close(&source);
}

static void test_synthetic_sizes(void **state)
{
    (void)state;
    check_size(0, 0, 1280, 720);
    check_size(640, 0, 640, 360);
    check_size(0, 1080, 1920, 1080);
    check_size(333, 0, 333, 187);
    check_size(1, 0, 1, 1);
    check_size(64, 64, 64, 64);
    check_size(AG_MAX_FRAME_SIDE, 1, AG_MAX_FRAME_SIDE, 1);
    open_fails((struct ag_source_params){ .driver = "synthetic-pan", .width = 20000, .height = 8 },
               "16384");
    open_fails((struct ag_source_params){ .driver = "synthetic-pan", .height = 16000 }, "16384");
}

static void check_seek(struct ag_source *source, double fps)
{
    int64_t pts[200];
    for (int i = 0; i < 200; i++) {
        pts[i] = get(source).pts_ns;
    }
    for (int i = 199; i > 0; i -= 7) {
        assert_true(ag_source_seek(source, pts[i], NULL));
        struct ag_frame frame = get(source);
        assert_int_equal(frame.pts_ns, pts[i]);
        assert_true(frame.discontinuity);
        frame = get(source);
        assert_false(frame.discontinuity);
        // A hair later is the next one, a hair earlier the same.
        assert_true(ag_source_seek(source, pts[i - 1] + 1, NULL));
        assert_int_equal(get(source).pts_ns, pts[i]);
        assert_true(ag_source_seek(source, pts[i] - 1, NULL));
        assert_int_equal(get(source).pts_ns, pts[i]);
    }
    // Far out: a day.
    assert_true(ag_source_seek(source, 86400000 * MS, NULL));
    assert_true(llabs(get(source).pts_ns - 86400000 * MS) <= (int64_t)(1e9 / fps));
    assert_true(ag_source_seek(source, -1, NULL));
    assert_int_equal(get(source).pts_ns, 0);
}

static void test_synthetic_seek(void **state)
{
    (void)state;
    static const double rates[] = { 30, 29.97, 24000.0 / 1001, 1, 240, 7.3 };
    for (size_t i = 0; i < AG_COUNT(rates); i++) {
        struct ag_source *source =
            open_source((struct ag_source_params){ .driver = "synthetic-pan", .fps = rates[i] });
        check_seek(source, rates[i]);
        ag_source_close(&source);
    }
    struct ag_source *source = open_source(
        (struct ag_source_params){ .driver = "synthetic-pan", .fps = 25, .start_s = 2 });
    struct ag_frame frame = get(source);
    assert_int_equal(frame.index, 50);
    assert_int_equal(frame.pts_ns, 2000 * MS);
    assert_true(frame.discontinuity);
    ag_source_close(&source);
}

// ---- images -------------------------------------------------------------------------------------

// A PPM of 3x2: known pixels without a decoder of doubt.
static const char ppm[] =
    "P6\n3 2\n255\n"
    "\x01\x02\x03\x10\x20\x30\xff\xfe\xfd\x40\x50\x60\x70\x71\x72\x80\x81\x82";

static void test_image(void **state)
{
    (void)state;
    const char *path = write_file("ppm", ppm, sizeof(ppm) - 1);
    struct ag_source *source = open_source((struct ag_source_params){ .uri = path, .fps = 10 });
    struct ag_source_info info = ag_source_get_info(source);
    assert_string_equal(info.driver, "image");
    assert_non_null(strstr(info.description, ".ppm: image 3x2"));
    for (int64_t i = 0; i < 20; i++) {
        struct ag_frame frame = get(source);
        assert_int_equal(frame.pts_ns, i * 100 * MS);
        assert_int_equal(frame.discontinuity, i == 0);
        assert_int_equal(frame.width, 3);
        assert_int_equal(frame.height, 2);
        assert_int_equal(frame.bytes, 24);
        assert_int_equal(frame.layout.kind, AG_PIXEL_RGB);
        assert_int_equal(frame.layout.alpha, 0);
        uint8_t rgba[24];
        ag_source_read(source, rgba);
        for (int k = 0; k < 24; k++) {
            assert_int_equal(rgba[k], k % 4 == 3 ? 255 : (uint8_t)ppm[11 + k / 4 * 3 + k % 4]);
        }
    }
    check_seek(source, 10);
    ag_source_close(&source);
    unlink(path);
}

// A folder: its pictures in the order a person expects, one a tick; what is no picture is left out.
static void test_folder(void **state)
{
    (void)state;
    char folder[512], path[600];
    snprintf(folder, sizeof(folder), "%s/test_source.%ld.d", AG_BINARY_DIR, (long)getpid());
    assert_int_equal(mkdir(folder, 0700), 0);
    static const char *const names[] = { "f10.ppm", "f2.ppm", "f1.ppm", "f3.ppm", "note.txt" };
    static const int shown[] = { 1, 2, 10 }; // f3 is damaged
    for (size_t i = 0; i < AG_COUNT(names); i++) {
        snprintf(path, sizeof(path), "%s/%s", folder, names[i]);
        FILE *f = fopen(path, "wb");
        assert_non_null(f);
        int number = atoi(names[i] + 1);
        fprintf(f, number == 3 ? "P6" : "P6\n%d 1\n255\n", number);
        for (int k = 0; k < 3 * number; k++) {
            fputc(100 + number, f);
        }
        fclose(f);
    }
    struct ag_source *source = open_source((struct ag_source_params){ .uri = folder, .fps = 10 });
    struct ag_source_info info = ag_source_get_info(source);
    assert_string_equal(info.driver, "image");
    assert_non_null(strstr(info.description, "4 images"));
    assert_int_equal(info.duration_ns, 400 * MS);
    for (int round = 0; round < 2; round++) {
        for (int i = 0; i < 3; i++) {
            struct ag_frame frame = get(source);
            uint8_t rgba[64];
            assert_int_equal(frame.width, shown[i]);
            assert_int_equal(frame.pts_ns, (i == 2 ? 3 : i) * 100 * MS);
            ag_source_read(source, rgba);
            assert_int_equal(rgba[0], 100 + shown[i]);
        }
        struct ag_frame frame;
        assert_int_equal(ag_source_next(source, &frame, NULL), AG_NEXT_END);
        ag_source_set_loop(source, true);
        frame = get(source);
        assert_true(frame.discontinuity && frame.pts_ns == 0);
        assert_true(ag_source_seek_before(source, 200 * MS, NULL));
        assert_int_equal(get(source).width, 2);
        ag_source_set_loop(source, false);
        assert_true(ag_source_seek(source, 0, NULL));
    }
    ag_source_close(&source);
    for (size_t i = 0; i < AG_COUNT(names); i++) {
        snprintf(path, sizeof(path), "%s/%s", folder, names[i]);
        unlink(path);
    }
    rmdir(folder);
}

static void test_broken_images(void **state)
{
    (void)state;
    const char *path = write_file("png", "this is no picture", 18);
    open_fails((struct ag_source_params){ .uri = path }, "not a picture");
    open_fails((struct ag_source_params){ .driver = "image", .uri = path }, path);
    write_file("png", "", 0);
    open_fails((struct ag_source_params){ .uri = path }, "empty");
    unlink(path);
    open_fails((struct ag_source_params){ .uri = path }, "No such file");
    open_fails((struct ag_source_params){ .driver = "image", .uri = AG_BINARY_DIR },
               "directory without pictures");
    open_fails((struct ag_source_params){ .driver = "image" }, "no file");

    path = write_file("pgm", "P5\n20000 20000\n255\n", 19);
    open_fails((struct ag_source_params){ .uri = path }, "not a picture");
    unlink(path);
    path = write_file("ppm", ppm, sizeof(ppm) - 5); // cut off
    struct ag_error err = { 0 };
    struct ag_source *source =
        ag_source_open(NULL, &(struct ag_source_params){ .uri = path }, &err);
    assert_true(source || strlen(err.text) > 10);
    ag_source_close(&source);
    unlink(path);
}

#ifdef AUTOGAZE_FFMPEG
// Pictures of one colour, (32, 64, 96); the TIFF is FFmpeg's to read.
static void test_image_formats(void **state)
{
    (void)state;
    static const struct {
        const char *file;
        int alpha, tolerance;
    } stills[] = {
        { "still.png", 128, 0 },
        { "still.bmp", 255, 0 },
        { "still.jpg", 255, 2 },
        { "still.tiff", 255, 0 },
    };
    for (size_t i = 0; i < AG_COUNT(stills); i++) {
        char path[512];
        snprintf(path, sizeof(path), "%s/media/%s", AG_BINARY_DIR, stills[i].file);
        struct ag_source *source = open_source((struct ag_source_params){ .uri = path });
        struct ag_frame frame = get(source);
        assert_int_equal(frame.width, 20);
        assert_int_equal(frame.height, 10);
        assert_int_equal(frame.layout.alpha, stills[i].alpha != 255);
        uint8_t rgba[20 * 10 * 4];
        assert_int_equal(frame.bytes, sizeof(rgba));
        ag_source_read(source, rgba);
        for (int k = 0; k < 20 * 10 * 4; k++) {
            int want[4] = { 32, 64, 96, stills[i].alpha };
            if (abs(rgba[k] - want[k % 4]) > stills[i].tolerance) {
                fail_msg("%s: byte %d is %d, expected %d", path, k, rgba[k], want[k % 4]);
            }
        }
        ag_source_close(&source);
    }
}
#else
static void test_no_ffmpeg(void **state)
{
    (void)state;
    open_fails((struct ag_source_params){ .uri = "clip.mp4" }, "built without FFmpeg");
    open_fails((struct ag_source_params){ .driver = "camera" }, "built without FFmpeg");
}
#endif

static void test_no_allocation(void **state)
{
    (void)state;
    const char *path = write_file("ppm", ppm, sizeof(ppm) - 1);
    struct ag_source *sources[] = {
        open_source((struct ag_source_params){ .driver = "synthetic-pan" }),
        open_source((struct ag_source_params){ .uri = path }),
    };
    uint64_t before = ag_alloc_count();
    for (size_t i = 0; i < AG_COUNT(sources); i++) {
        for (int k = 0; k < 100; k++) {
            uint8_t data[24];
            get(sources[i]);
            ag_source_read(sources[i], data);
        }
    }
    assert_int_equal(ag_alloc_count(), before);
    for (size_t i = 0; i < AG_COUNT(sources); i++) {
        ag_source_close(&sources[i]);
    }
    unlink(path);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_table),           cmocka_unit_test(test_synthetic),
        cmocka_unit_test(test_synthetic_sizes), cmocka_unit_test(test_synthetic_seek),
        cmocka_unit_test(test_folder),
        cmocka_unit_test(test_image),           cmocka_unit_test(test_broken_images),
#ifdef AUTOGAZE_FFMPEG
        cmocka_unit_test(test_image_formats),
#else
        cmocka_unit_test(test_no_ffmpeg),
#endif
        cmocka_unit_test(test_no_allocation),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
