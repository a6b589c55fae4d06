// The drivers video and camera: containers, formats, seeking, looping, broken input. The clips come
// from tests/media.sh.
#include <fcntl.h>
#include <math.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include <libavutil/log.h>
#include <libavutil/pixdesc.h>
#include <libswscale/swscale.h>

#include "autogaze/source.h"

#include "../src/source/layout.h"

#define MS 1000000ll
#define FRAMES 50
#define FRAME_NS (40 * MS)

// ---- helpers ------------------------------------------------------------------------------------

static const char *media(const char *name)
{
    static char path[4][512]; // a few at a time
    static int turn;
    char *p = path[turn++ % 4];
    snprintf(p, sizeof(path[0]), "%s/media/%s", AG_BINARY_DIR, name);
    return p;
}

static const char *scratch(const char *name)
{
    static char path[512];
    snprintf(path, sizeof(path), "%s/test_video.%ld.%s", AG_BINARY_DIR, (long)getpid(), name);
    return path;
}

static struct ag_source *open_params(struct ag_source_params params)
{
    struct ag_error err = { 0 };
    struct ag_source *source = ag_source_open(NULL, &params, &err);
    if (!source) {
        fail_msg("%s (the clips are made by tests/media.sh: run ctest)", err.text);
    }
    return source;
}

static struct ag_source *open_file(const char *path)
{
    return open_params((struct ag_source_params){ .uri = path });
}

// The sentence that opening ends in.
static struct ag_error open_fails(struct ag_source_params params)
{
    struct ag_error err = { 0 };
    struct ag_source *source = ag_source_open(NULL, &params, &err);
    if (source) {
        fail_msg("%s was opened", params.uri ? params.uri : params.driver);
    }
    assert_int_equal(err.status, AG_ERR_INPUT);
    assert_true(strlen(err.text) > 10);
    return err;
}

static void expect(const char *text, const char *part)
{
    if (!strstr(text, part)) {
        fail_msg("'%s' does not say '%s'", text, part);
    }
}

// The next result that is not "ask again".
static enum ag_next next_frame(struct ag_source *source, struct ag_frame *frame,
                               struct ag_error *err)
{
    enum ag_next next;
    while ((next = ag_source_next(source, frame, err)) == AG_NEXT_AGAIN) {
        ag_sleep_ns(MS);
    }
    return next;
}

static struct ag_frame get(struct ag_source *source)
{
    struct ag_frame frame;
    struct ag_error err = { 0 };
    enum ag_next next = next_frame(source, &frame, &err);
    if (next != AG_NEXT_FRAME) {
        fail_msg("%s: no frame, result %d %s", ag_source_get_info(source).description, next,
                 err.text);
    }
    return frame;
}

static uint64_t frame_hash(struct ag_source *source, const struct ag_frame *frame)
{
    uint8_t *data = ag_alloc(frame->bytes); // zeroed: so are the gaps
    ag_source_read(source, data);
    uint64_t hash = ag_hash(AG_HASH_SEED, data, frame->bytes);
    ag_free(data);
    return hash;
}

static uint32_t sample(const uint8_t *data, const struct pixel_layout *l, int i, uint32_t x,
                       uint32_t y)
{
    const struct pixel_component *c = &l->c[i];
    const uint8_t *p = data + c->offset + (size_t)(y >> c->shift_y) * c->pitch +
                       (size_t)(x >> c->shift_x) * c->step;
    uint32_t v = c->bytes == 1 ? p[0] : p[0] | (uint32_t)p[1] << 8;
    return v >> c->drop & ((1u << c->depth) - 1);
}

// ---- formats ------------------------------------------------------------------------------------

#define PATCH 24
#define WIDTH (3 * PATCH - 1) // odd
#define HEIGHT (2 * PATCH - 1)

static const uint8_t colors[6][3] = { { 200, 60, 40 },   { 30, 180, 70 },   { 50, 70, 220 },
                                      { 128, 128, 128 }, { 250, 240, 120 }, { 10, 20, 15 } };

static AVFrame *new_frame(enum AVPixelFormat format)
{
    AVFrame *f = av_frame_alloc();
    f->format = format;
    f->width = WIDTH;
    f->height = HEIGHT;
    assert_true(av_frame_get_buffer(f, 0) >= 0);
    return f;
}

static AVFrame *converted(const AVFrame *from, enum AVPixelFormat format)
{
    AVFrame *to = new_frame(format);
    struct SwsContext *sws =
        sws_getContext(WIDTH, HEIGHT, from->format, WIDTH, HEIGHT, format,
                       SWS_BILINEAR | SWS_ACCURATE_RND | SWS_FULL_CHR_H_INT | SWS_FULL_CHR_H_INP,
                       NULL, NULL, NULL);
    assert_non_null(sws);
    assert_true(sws_scale(sws, (const uint8_t *const *)from->data, from->linesize, 0, HEIGHT,
                          to->data, to->linesize) > 0);
    sws_freeContext(sws);
    return to;
}

static AVFrame *patches(void)
{
    AVFrame *f = new_frame(AV_PIX_FMT_RGB24);
    for (int y = 0; y < HEIGHT; y++) {
        for (int x = 0; x < WIDTH; x++) {
            memcpy(f->data[0] + y * f->linesize[0] + 3 * x, colors[x / PATCH + 3 * (y / PATCH)], 3);
        }
    }
    return f;
}

static double level(double v, double low, double high)
{
    return (v - low) / (high - low);
}

// The meaning of a layout, in floating point and without chroma interpolation.
static void to_rgb(const uint8_t *data, const struct pixel_layout *l, uint32_t x, uint32_t y,
                   int rgb[3])
{
    static const double kr_kb[3][2] = { { 0.299, 0.114 }, { 0.2126, 0.0722 }, { 0.2627, 0.0593 } };
    double c[3] = { 0 };
    for (int i = 0; i < (l->kind == AG_PIXEL_GREY ? 1 : 3); i++) {
        double unit = ldexp(1, (int)l->c[i].depth - 8), top = ldexp(1, (int)l->c[i].depth) - 1;
        double v = sample(data, l, i, x, y);
        bool chroma = l->kind == AG_PIXEL_YUV && i > 0;
        if (l->full_range) {
            c[i] = chroma ? (v - 128 * unit) / top : v / top;
        } else {
            c[i] = chroma ? (v - 128 * unit) / (224 * unit) : level(v, 16 * unit, 235 * unit);
        }
    }
    if (l->kind == AG_PIXEL_GREY) {
        c[1] = c[2] = c[0];
    } else if (l->kind == AG_PIXEL_YUV) {
        double kr = kr_kb[l->matrix][0], kb = kr_kb[l->matrix][1], luma = c[0];
        double r = luma + 2 * (1 - kr) * c[2], b = luma + 2 * (1 - kb) * c[1];
        c[1] = (luma - kr * r - kb * b) / (1 - kr - kb);
        c[0] = r;
        c[2] = b;
    }
    for (int i = 0; i < 3; i++) {
        rgb[i] = (int)lround(AG_CLAMP(c[i], 0.0, 1.0) * 255);
    }
}

static uint32_t in_plane(const struct ff_planes *planes, uint32_t offset)
{
    uint32_t p = planes->n - 1;
    while (planes->plane[p].offset > offset) {
        p--;
    }
    return offset - planes->plane[p].offset;
}

static void check_layout(const char *name, const struct ff_planes *planes)
{
    for (int i = 0; i < 4; i++) {
        const struct pixel_component *c = &planes->layout.c[i];
        if (c->bytes == 0) {
            continue;
        }
        uint32_t last_row = (HEIGHT - 1) >> c->shift_y, last = (WIDTH - 1) >> c->shift_x;
        bool ok =
            c->pitch % 4 == 0 && c->shift_x <= 2 && c->shift_y <= 2 &&
            in_plane(planes, c->offset) + c->bytes <= c->step && c->bytes <= 2 && c->depth >= 8 &&
            c->depth <= 16 && c->drop + c->depth <= 8 * c->bytes &&
            c->offset + (uint64_t)last_row * c->pitch + last * c->step + c->bytes <= planes->bytes;
        for (uint32_t x = 0; c->bytes == 2 && x <= last; x++) {
            ok = ok && (c->offset + x * c->step) % 4 != 3;
        }
        if (!ok) {
            fail_msg("%s: component %d breaks the contract", name, i);
        }
    }
    for (uint32_t p = 0; p < planes->n; p++) {
        assert_int_equal(planes->plane[p].offset % 256, 0);
    }
}

// Frames in one pixel format: what the layout says is what swscale sees. Returns whether the
// samples travelled as they are.
static bool check_format(const AVFrame *rgb, enum AVPixelFormat format)
{
    const char *name = av_get_pix_fmt_name(format);
    AVFrame *frame = converted(rgb, format), *expected = converted(frame, AV_PIX_FMT_RGB24);
    struct ff_picture picture = { 0 };
    struct ag_error err = { 0 };
    if (!ff_picture_set(&picture, frame, &err)) {
        fail_msg("%s: %s", name, err.text);
    }
    check_layout(name, &picture.planes);
    uint8_t *data = ag_alloc(picture.planes.bytes); // exactly: writing behind it shows under ASan
    ff_picture_copy(&picture, data);
    // 565 and the like dither; what is left of a colour is then not flat.
    const AVPixFmtDescriptor *d = av_pix_fmt_desc_get(format);
    int tolerance = d->comp[0].depth < 8 || (d->flags & AV_PIX_FMT_FLAG_PAL) ? 48 : 1;
    for (uint32_t i = 0; i < 6; i++) {
        uint32_t x = i % 3 * PATCH + PATCH / 2, y = i / 3 * PATCH + PATCH / 2;
        const uint8_t *e = expected->data[0] + (int)y * expected->linesize[0] + 3 * x;
        int got[3];
        to_rgb(data, &picture.planes.layout, x, y, got);
        for (int c = 0; c < 3; c++) {
            if (abs(got[c] - e[c]) > tolerance) {
                fail_msg("%s: patch %u is %d,%d,%d, swscale says %d,%d,%d", name, i, got[0], got[1],
                         got[2], e[0], e[1], e[2]);
            }
        }
    }
    bool native = picture.sws == NULL;
    ag_free(data);
    ff_picture_clear(&picture);
    av_frame_free(&frame);
    av_frame_free(&expected);
    return native;
}

static void test_every_format(void **state)
{
    (void)state;
    AVFrame *rgb = patches();
    int native = 0, converted_first = 0;
    const AVPixFmtDescriptor *d = NULL;
    while ((d = av_pix_fmt_desc_next(d))) {
        enum AVPixelFormat format = av_pix_fmt_desc_get_id(d);
        // swscale writes grey floats in video range and, told nothing, reads them so.
        if (format == AV_PIX_FMT_GRAYF32LE || format == AV_PIX_FMT_GRAYF32BE) {
            continue;
        }
        if (sws_isSupportedInput(format) && sws_isSupportedOutput(format)) {
            bool n = check_format(rgb, format);
            native += n;
            converted_first += !n;
        }
    }
    av_frame_free(&rgb);
    assert_true(native > 60);
    assert_true(converted_first > 20);
}

static void test_native_formats(void **state)
{
    (void)state;
    static const char *const native[] = {
        "yuv420p",     "yuvj420p",    "yuv422p",     "yuv444p", "yuv440p", "yuv411p",  "yuv410p",
        "yuv420p10le", "yuv422p10le", "yuv444p12le", "nv12",    "nv21",    "nv16",     "p010le",
        "p016le",      "yuyv422",     "uyvy422",     "yvyu422", "y210le",  "rgb24",    "bgr24",
        "rgba",        "bgra",        "argb",        "abgr",    "rgb0",    "0bgr",     "gray",
        "gray10le",    "gray16le",    "ya8",         "gbrp",    "gbrap",   "gbrp10le", "yuva420p",
        "rgb48le",     "rgba64le",    "x2rgb10le",
    };
    static const char *const converted_first[] = { "pal8",      "rgb565le",    "rgb4",
                                                   "monob",     "yuv420p10be", "rgb48be",
                                                   "gbrpf32le", "grayf32le",   "xyz12le",
                                                   "uyyvyy411" };
    struct ff_planes planes;
    for (size_t i = 0; i < AG_COUNT(native); i++) {
        if (!ff_planes_native(av_get_pix_fmt(native[i]), 127, 95, &planes)) {
            fail_msg("%s is not native", native[i]);
        }
    }
    for (size_t i = 0; i < AG_COUNT(converted_first); i++) {
        if (ff_planes_native(av_get_pix_fmt(converted_first[i]), 127, 95, &planes)) {
            fail_msg("%s is native", converted_first[i]);
        }
    }
    // Bytes are those of the planes, and their padding.
    assert_true(ff_planes_native(AV_PIX_FMT_YUV420P, 1920, 1080, &planes));
    assert_int_equal(planes.bytes, 1920 * 1080 * 3 / 2);
    assert_true(ff_planes_native(AV_PIX_FMT_NV12, 1280, 720, &planes));
    assert_int_equal(planes.bytes, 1280 * 720 * 3 / 2);
}

// Bottom-up frames have a negative line size.
static void test_negative_linesize(void **state)
{
    (void)state;
    AVFrame *f = patches();
    struct ff_picture picture = { 0 };
    uint8_t *data = ag_alloc((size_t)HEIGHT * AG_ALIGN_UP(WIDTH * 3, 4));
    f->data[0] += (HEIGHT - 1) * f->linesize[0];
    f->linesize[0] = -f->linesize[0];
    assert_true(ff_picture_set(&picture, f, NULL));
    ff_picture_copy(&picture, data);
    assert_int_equal(sample(data, &picture.planes.layout, 0, 0, 0), colors[3][0]);
    assert_int_equal(sample(data, &picture.planes.layout, 2, 2 * PATCH, HEIGHT - 1), colors[2][2]);
    ag_free(data);
    ff_picture_clear(&picture);
    av_frame_free(&f);
}

// ---- containers ---------------------------------------------------------------------------------

static void check_planes(struct ag_source *source, const struct ag_frame *frame,
                         const uint8_t *planes, uint32_t width, uint32_t height)
{
    uint8_t *data = ag_alloc(frame->bytes);
    ag_source_read(source, data);
    for (int i = 0; i < 3; i++) {
        uint32_t shift = i > 0, w = (width + shift) >> shift, h = (height + shift) >> shift;
        for (uint32_t y = 0; y < h; y++) {
            for (uint32_t x = 0; x < w; x++) {
                uint32_t got = sample(data, &frame->layout, i, x << shift, y << shift);
                if (got != *planes) {
                    fail_msg("plane %d at (%u,%u): %u, expected %u", i, x, y, got, *planes);
                }
                planes++;
            }
        }
    }
    ag_free(data);
}

static void test_clip(void **state)
{
    (void)state;
    void *raw;
    size_t size;
    assert_true(ag_read_file(media("clip.raw"), 1 << 24, &raw, &size, NULL));
    assert_int_equal(size, FRAMES * 160 * 120 * 3 / 2);
    struct ag_source *source = open_file(media("clip.mp4"));
    struct ag_source_info info = ag_source_get_info(source);
    assert_string_equal(info.driver, "video");
    assert_string_equal(info.description, "clip.mp4: h264 160x120 yuv420p 25 fps 2.0 s");
    assert_false(info.live);
    assert_true(info.seekable);
    assert_int_equal(info.width, 160);
    assert_int_equal(info.height, 120);
    assert_int_equal(info.fps, 25);
    assert_int_equal(info.duration_ns, 2000 * MS);
    for (int i = 0; i < FRAMES; i++) {
        struct ag_frame frame = get(source);
        assert_int_equal(frame.pts_ns, i * FRAME_NS);
        assert_int_equal(frame.discontinuity, i == 0);
        assert_int_equal(frame.width, 160);
        assert_int_equal(frame.height, 120);
        assert_int_equal(frame.rotation, 0);
        assert_int_equal(frame.sar_num, 1);
        assert_int_equal(frame.sar_den, 1);
        assert_true(frame.capture_ns > 0 && frame.source_ns >= 0);
        assert_int_equal(frame.layout.kind, AG_PIXEL_YUV);
        assert_int_equal(frame.layout.matrix, AG_MATRIX_601); // below 720 lines
        assert_int_equal(frame.layout.full_range, 0);
        assert_int_equal(frame.layout.chroma_x, 0);
        assert_int_equal(frame.layout.chroma_y, 1);
        assert_int_equal(frame.layout.c[2].offset, AG_ALIGN_UP(160 * 120 * 5 / 4, 256));
        assert_int_equal(frame.bytes, frame.layout.c[2].offset + 80 * 60);
        check_planes(source, &frame, (uint8_t *)raw + i * 160 * 120 * 3 / 2, 160, 120);
    }
    struct ag_frame frame;
    assert_int_equal(ag_source_next(source, &frame, NULL), AG_NEXT_END);
    assert_int_equal(ag_source_next(source, &frame, NULL), AG_NEXT_END);
    ag_source_close(&source);
    assert_null(source);
    ag_free(raw);
}

static const struct {
    const char *file;
    bool exact; // the very frames of clip.mp4, at the very times
    int frames;
} containers[] = {
    { "clip.mp4", true, FRAMES },   { "clip.mov", true, FRAMES },  { "clip.mkv", true, FRAMES },
    { "clip.ts", true, FRAMES },    { "clip.y4m", true, FRAMES },  { "clip.avi", false, FRAMES },
    { "clip.webm", false, FRAMES }, { "clip.gif", false, FRAMES }, { "clip.h264", true, FRAMES },
};

static void test_containers(void **state)
{
    (void)state;
    void *raw;
    size_t size;
    assert_true(ag_read_file(media("clip.raw"), 1 << 24, &raw, &size, NULL));
    for (size_t i = 0; i < AG_COUNT(containers); i++) {
        struct ag_source *source = open_file(media(containers[i].file));
        struct ag_frame frame;
        int n = 0;
        while (next_frame(source, &frame, NULL) == AG_NEXT_FRAME) {
            if (llabs(frame.pts_ns - n * FRAME_NS) > (containers[i].exact ? 0 : 2 * MS)) {
                fail_msg("%s: frame %d is at %lld ns", containers[i].file, n,
                         (long long)frame.pts_ns);
            }
            if (containers[i].exact && n < FRAMES) {
                check_planes(source, &frame, (uint8_t *)raw + n * 160 * 120 * 3 / 2, 160, 120);
            }
            n++;
        }
        if (n != containers[i].frames) {
            fail_msg("%s: %d frames, expected %d", containers[i].file, n, containers[i].frames);
        }
        ag_source_close(&source);
    }
    ag_free(raw);
}

static void test_threads_agree(void **state)
{
    (void)state;
    uint64_t hash[2] = { AG_HASH_SEED, AG_HASH_SEED };
    for (uint32_t i = 0; i < 2; i++) {
        struct ag_source *source = open_params(
            (struct ag_source_params){ .uri = media("clip.mp4"), .decoder_threads = 1 + 3 * i });
        struct ag_frame frame;
        while (next_frame(source, &frame, NULL) == AG_NEXT_FRAME) {
            uint64_t h = frame_hash(source, &frame);
            hash[i] = ag_hash(hash[i], &h, sizeof(h));
        }
        ag_source_close(&source);
    }
    assert_int_equal(hash[0], hash[1]);
}

static void test_odd_size(void **state)
{
    (void)state;
    void *raw;
    size_t size, bytes = 127 * 95 + 2 * 64 * 48;
    assert_true(ag_read_file(media("odd.raw"), 1 << 24, &raw, &size, NULL));
    assert_int_equal(size, 5 * bytes);
    struct ag_source *source = open_file(media("odd.mkv"));
    for (size_t i = 0; i < 5; i++) {
        struct ag_frame frame = get(source);
        assert_int_equal(frame.width, 127);
        assert_int_equal(frame.height, 95);
        assert_int_equal(frame.layout.c[0].pitch, 128);
        check_planes(source, &frame, (uint8_t *)raw + i * bytes, 127, 95);
    }
    ag_source_close(&source);
    ag_free(raw);
}

// The clip with this display matrix: where the ways to the right and down go, in quarter circles.
static void write_with_matrix(const char *path, const int right[2], const int down[2])
{
    enum { MATRIX_AT = 44 }; // behind the name of the box
    void *data;
    size_t size;
    assert_true(ag_read_file(media("clip.mp4"), 1 << 24, &data, &size, NULL));
    uint8_t *box = memmem(data, size, "tkhd", 4);
    assert_non_null(box);
    const int one[9] = { right[0], right[1], 0, down[0], down[1], 0, 0, 0, 1 };
    for (int i = 0; i < 9; i++) {
        uint32_t v = (uint32_t)one[i] << (i == 8 ? 30 : 16);
        uint8_t *p = box + MATRIX_AT + 4 * i;
        p[0] = (uint8_t)(v >> 24);
        p[1] = (uint8_t)(v >> 16);
        p[2] = (uint8_t)(v >> 8);
        p[3] = (uint8_t)v;
    }
    FILE *f = fopen(path, "wb");
    assert_non_null(f);
    assert_int_equal(fwrite(data, 1, size, f), size);
    assert_int_equal(fclose(f), 0);
    ag_free(data);
}

// All eight ways to lay a picture down.
static void test_display_matrices(void **state)
{
    (void)state;
    static const struct {
        int right[2], down[2];
        uint32_t rotation;
        bool mirrored;
    } ways[] = {
        { { 1, 0 }, { 0, 1 }, 0, false },  { { 0, 1 }, { -1, 0 }, 1, false },
        { { -1, 0 }, { 0, -1 }, 2, false }, { { 0, -1 }, { 1, 0 }, 3, false },
        { { -1, 0 }, { 0, 1 }, 0, true },  { { 0, -1 }, { -1, 0 }, 1, true },
        { { 1, 0 }, { 0, -1 }, 2, true },  { { 0, 1 }, { 1, 0 }, 3, true },
    };
    const char *path = scratch("matrix.mp4");
    for (size_t i = 0; i < AG_COUNT(ways); i++) {
        write_with_matrix(path, ways[i].right, ways[i].down);
        struct ag_source *source = open_file(path);
        struct ag_frame frame = get(source);
        assert_int_equal(frame.rotation, ways[i].rotation);
        assert_int_equal(frame.mirrored, ways[i].mirrored);
        ag_source_close(&source);
    }
    unlink(path);
}

static void test_what_streams_state(void **state)
{
    (void)state;
    struct ag_source *source = open_file(media("turned.mp4"));
    struct ag_frame frame = get(source);
    assert_int_equal(frame.rotation, 1);
    assert_int_equal(frame.width, 160);
    ag_source_close(&source);

    source = open_file(media("wide.mp4"));
    frame = get(source);
    assert_int_equal(frame.sar_num, 16);
    assert_int_equal(frame.sar_den, 11);
    ag_source_close(&source);

    source = open_file(media("stated.mkv"));
    frame = get(source);
    assert_int_equal(frame.layout.kind, AG_PIXEL_YUV);
    assert_int_equal(frame.layout.matrix, AG_MATRIX_2020);
    assert_int_equal(frame.layout.full_range, 1);
    assert_int_equal(frame.layout.chroma_x, 0);
    assert_int_equal(frame.layout.chroma_y, 0);
    assert_int_equal(frame.layout.c[1].depth, 10);
    assert_int_equal(frame.layout.c[1].bytes, 2);
    ag_source_close(&source);

    source = open_file(media("photo.mkv"));
    frame = get(source);
    assert_int_equal(frame.layout.matrix, AG_MATRIX_601);
    assert_int_equal(frame.layout.full_range, 1);
    assert_int_equal(frame.layout.chroma_x, 1);
    assert_int_equal(frame.layout.chroma_y, 0); // 4:2:2 has chroma on every line
    ag_source_close(&source);

    // Nothing stated at 720 lines: 709.
    source = open_file("lavfi:testsrc2=size=1280x720:rate=25:duration=0.04,format=yuv420p");
    assert_int_equal(get(source).layout.matrix, AG_MATRIX_709);
    ag_source_close(&source);
}

static void test_uneven_times(void **state)
{
    (void)state;
    struct ag_source *source = open_file(media("uneven.mkv"));
    for (int64_t i = 0; i < 10; i++) {
        assert_int_equal(get(source).pts_ns, i * i * 10 * MS);
    }
    // The first at or after 250 ms is the one at 250, after 251 the one at 360.
    assert_true(ag_source_seek(source, 250 * MS, NULL));
    assert_int_equal(get(source).pts_ns, 250 * MS);
    assert_true(ag_source_seek(source, 251 * MS, NULL));
    assert_int_equal(get(source).pts_ns, 360 * MS);
    for (int64_t i = 9; i > 0; i--) {
        assert_true(ag_source_seek_before(source, i * i * 10 * MS, NULL));
        assert_int_equal(get(source).pts_ns, (i - 1) * (i - 1) * 10 * MS);
    }
    ag_source_close(&source);
}

// ---- seeking and looping ------------------------------------------------------------------------

static void check_seeking(const char *uri)
{
    struct ag_source *source = open_file(uri);
    assert_true(ag_source_get_info(source).seekable);
    int64_t pts[FRAMES];
    uint64_t hash[FRAMES];
    for (int i = 0; i < FRAMES; i++) {
        struct ag_frame frame = get(source);
        pts[i] = frame.pts_ns;
        hash[i] = frame_hash(source, &frame);
    }
    for (int i = 0; i < FRAMES; i++) {
        int target = i * 29 % FRAMES;
        int64_t before = i % 3 * MS; // now and then between two frames
        assert_true(ag_source_seek(source, pts[target] - before, NULL));
        struct ag_frame frame = get(source);
        if (frame.pts_ns != pts[target] || frame_hash(source, &frame) != hash[target]) {
            fail_msg("%s: seek to frame %d (%lld ns) gave %lld ns, %s", uri, target,
                     (long long)pts[target], (long long)frame.pts_ns,
                     frame_hash(source, &frame) == hash[target] ? "the right picture"
                                                                : "another picture");
        }
        assert_true(frame.discontinuity);
        if (target + 1 < FRAMES) {
            frame = get(source);
            assert_int_equal(frame.pts_ns, pts[target + 1]);
            assert_false(frame.discontinuity);
        }
    }
    // Backwards: the frame before, whatever lies between, and on from there.
    for (int i = 0; i < FRAMES; i++) {
        int target = i * 31 % FRAMES, expected = AG_MAX(target - 1, 0);
        assert_true(ag_source_seek_before(source, pts[target], NULL));
        struct ag_frame frame = get(source);
        if (frame.pts_ns != pts[expected] || frame_hash(source, &frame) != hash[expected]) {
            fail_msg("%s: the frame before number %d (%lld ns) came out as %lld ns", uri, target,
                     (long long)pts[target], (long long)frame.pts_ns);
        }
        assert_true(frame.discontinuity);
        for (int k = 1; k < 3 && expected + k < FRAMES; k++) {
            frame = get(source);
            assert_int_equal(frame.pts_ns, pts[expected + k]);
            assert_int_equal(frame_hash(source, &frame), hash[expected + k]);
            assert_false(frame.discontinuity);
        }
    }
    struct ag_frame frame;
    assert_true(ag_source_seek_before(source, 3600000 * MS, NULL)); // the last of all
    frame = get(source);
    assert_int_equal(frame.pts_ns, pts[FRAMES - 1]);
    assert_int_equal(frame_hash(source, &frame), hash[FRAMES - 1]);
    assert_int_equal(next_frame(source, &frame, NULL), AG_NEXT_END);
    assert_true(ag_source_seek(source, 3600000 * MS, NULL)); // behind the end
    assert_int_equal(next_frame(source, &frame, NULL), AG_NEXT_END);
    assert_true(ag_source_seek(source, -5 * MS, NULL));
    assert_int_equal(get(source).pts_ns, pts[0]);
    ag_source_close(&source);
}

static void test_seek(void **state)
{
    (void)state;
    for (size_t i = 0; i < AG_COUNT(containers); i++) {
        check_seeking(media(containers[i].file));
    }
    check_seeking("lavfi:testsrc2=size=64x48:rate=25:duration=2");
}

static void test_start(void **state)
{
    (void)state;
    struct ag_source *source =
        open_params((struct ag_source_params){ .uri = media("clip.mp4"), .start_s = 1.2 });
    struct ag_frame frame = get(source);
    assert_int_equal(frame.pts_ns, 1200 * MS);
    assert_true(frame.discontinuity);
    ag_source_close(&source);
}

static void test_start_behind_the_end(void **state)
{
    (void)state;
    struct ag_error err =
        open_fails((struct ag_source_params){ .uri = media("clip.mp4"), .start_s = 2.5 });
    expect(err.text, "cannot start at 2.5 s: clip.mp4: h264 160x120 yuv420p 25 fps 2.0 s");
}

static void check_loop(const char *uri)
{
    struct ag_source *source = open_params((struct ag_source_params){ .uri = uri, .loop = true });
    int64_t first = 0;
    uint64_t hash = 0;
    for (int i = 0; i < 3 * FRAMES; i++) {
        struct ag_frame frame = get(source);
        first = i == 0 ? frame.pts_ns : first;
        hash = i == 0 ? frame_hash(source, &frame) : hash;
        if (frame.discontinuity != (i % FRAMES == 0) ||
            (i % FRAMES == 0 && (frame.pts_ns != first || frame_hash(source, &frame) != hash))) {
            fail_msg("%s: frame %d of the loop is wrong", uri, i);
        }
    }
    ag_source_set_loop(source, false);
    struct ag_frame frame;
    assert_int_equal(next_frame(source, &frame, NULL), AG_NEXT_END);
    ag_source_set_loop(source, true);
    assert_int_equal(get(source).pts_ns, first);
    ag_source_close(&source);
}

static void test_loop(void **state)
{
    (void)state;
    for (size_t i = 0; i < AG_COUNT(containers); i++) {
        check_loop(media(containers[i].file));
    }
    check_loop("lavfi:testsrc2=size=64x48:rate=25:duration=2");
}

static void test_change_in_midstream(void **state)
{
    (void)state;
    struct ag_source *source = open_file(media("change.h264"));
    for (int i = 0; i < FRAMES + 10; i++) {
        struct ag_frame frame = get(source);
        assert_int_equal(frame.width, i < FRAMES ? 160 : 96);
        assert_int_equal(frame.height, i < FRAMES ? 120 : 64);
        assert_int_equal(frame.layout.c[1].shift_x, i < FRAMES + 5);
        assert_int_equal(frame.discontinuity, i == 0 || i == FRAMES || i == FRAMES + 5);
        frame_hash(source, &frame);
    }
    struct ag_frame frame;
    assert_int_equal(next_frame(source, &frame, NULL), AG_NEXT_END);
    ag_source_close(&source);
}

// ---- broken input -------------------------------------------------------------------------------

static void write_file(const char *path, const void *data, size_t size)
{
    FILE *f = fopen(path, "wb");
    assert_non_null(f);
    assert_int_equal(fwrite(data, 1, size, f), size);
    fclose(f);
}

static void test_not_a_video(void **state)
{
    (void)state;
    static const char text[] = "Dear diary,\nthis is not a video at all.\nReally.\n";
    const char *path = scratch("txt");
    write_file(path, text, sizeof(text) - 1);
    struct ag_error err = open_fails((struct ag_source_params){ .uri = path });
    expect(err.text, path);
    unlink(path);
    path = scratch("ans");
    write_file(path, text, sizeof(text) - 1);
    err = open_fails((struct ag_source_params){ .uri = path });
    expect(err.text, "text, not video"); // FFmpeg would draw it
    unlink(path);

    path = scratch("mp4");
    write_file(path, text, sizeof(text) - 1);
    err = open_fails((struct ag_source_params){ .uri = path });
    expect(err.text, path);
    write_file(path, "", 0);
    err = open_fails((struct ag_source_params){ .uri = path });
    expect(err.text, "empty (0 bytes)");
    unlink(path);
    err = open_fails((struct ag_source_params){ .uri = path });
    expect(err.text, "No such file");

    err = open_fails((struct ag_source_params){ .uri = AG_BINARY_DIR });
    expect(err.text, "directory");
    err = open_fails((struct ag_source_params){ .uri = media("sound.wav") });
    expect(err.text, "no video stream");
    err = open_fails((struct ag_source_params){ .uri = "lavfi:nosuchfilter" });
    expect(err.text, "nosuchfilter");
    err = open_fails((struct ag_source_params){ .uri = "nosuchscheme://x" });
    expect(err.text, "nosuchscheme");
    err = open_fails((struct ag_source_params){ .uri = "http://127.0.0.1:9/x.mp4" });
    expect(err.text, "127.0.0.1");
    err = open_fails((struct ag_source_params){ .uri = "lavfi:color=size=20000x16" });
    expect(err.text, "16384");
    err = open_fails((struct ag_source_params){ .driver = "video" });
    expect(err.text, "no file given");
}

static void test_protocols(void **state)
{
    (void)state;
    struct ag_source *source = open_params(
        (struct ag_source_params){ .uri = media("clip.mp4"), .allow_protocols = "file" });
    get(source);
    ag_source_close(&source);
    open_fails((struct ag_source_params){ .uri = media("clip.mp4"), .allow_protocols = "http" });
}

// A colon in a file name is not a protocol.
static void test_strange_name(void **state)
{
    (void)state;
    void *data;
    size_t size;
    assert_true(ag_read_file(media("clip.mp4"), 1 << 24, &data, &size, NULL));
    const char *path = scratch("12:30 %d.mp4");
    write_file(path, data, size);
    struct ag_source *source = open_file(path);
    get(source);
    ag_source_close(&source);
    unlink(path);
    ag_free(data);
}

// Work done so far, in this process and all of its threads: no matter how busy the machine is.
static int64_t cpu_ns(void)
{
    struct timespec t;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
    return t.tv_sec * 1000 * MS + t.tv_nsec;
}

static int play(const char *path);

// Plays whatever can be played: a sentence or frames, and an end, without hanging.
static int play_through(const char *path)
{
    int64_t before = cpu_ns();
    int n = play(path);
    assert_true(cpu_ns() - before < 5000 * MS); // waiting for ever would end in ctest's timeout
    return n;
}

static int play(const char *path)
{
    struct ag_error err = { 0 };
    struct ag_source *source =
        ag_source_open(NULL, &(struct ag_source_params){ .uri = path }, &err);
    if (!source) {
        assert_true(strlen(err.text) > 10);
        return 0;
    }
    struct ag_frame frame;
    enum ag_next next;
    int n = 0;
    while ((next = next_frame(source, &frame, &err)) == AG_NEXT_FRAME) {
        frame_hash(source, &frame);
        assert_true(++n < 1000);
    }
    assert_true(next == AG_NEXT_END || strlen(err.text) > 10);
    assert_true(n > 0 || next == AG_NEXT_ERROR);
    // The way back must be safe as well.
    if (ag_source_get_info(source).seekable) {
        ag_source_seek(source, 500 * MS, NULL);
        next_frame(source, &frame, NULL);
        ag_source_seek_before(source, 500 * MS, NULL);
        next_frame(source, &frame, NULL);
    }
    ag_source_close(&source);
    return n;
}

static void test_truncated(void **state)
{
    (void)state;
    static const char *const files[] = { "clip.mp4", "clip.mkv", "clip.ts",  "clip.avi",
                                         "clip.webm", "clip.y4m", "clip.h264" };
    for (size_t f = 0; f < AG_COUNT(files); f++) {
        void *data;
        size_t size;
        assert_true(ag_read_file(media(files[f]), 1 << 24, &data, &size, NULL));
        const char *path = scratch(files[f]);
        int before = 0;
        for (size_t i = 0; i < 16; i++) {
            write_file(path, data, size * i / 16);
            int n = play_through(path);
            assert_true(n + 3 >= before); // longer files do not give less (bar damaged frames)
            before = n;
        }
        // The index of an mp4 is at its end; the others play what is there.
        assert_true(f == 0 ? before == 0 : before >= 40);
        unlink(path);
        ag_free(data);
    }
}

// 200 damaged copies, from a single bit to forty.
static void test_flipped_bits(void **state)
{
    (void)state;
    static const char *const files[] = { "clip.mp4", "clip.mkv", "clip.ts", "clip.avi",
                                         "clip.webm" };
    uint32_t random = 12345;
    for (size_t f = 0; f < AG_COUNT(files); f++) {
        void *data;
        size_t size;
        assert_true(ag_read_file(media(files[f]), 1 << 24, &data, &size, NULL));
        uint8_t *copy = ag_alloc(size);
        const char *path = scratch(files[f]);
        for (int i = 0; i < 40; i++) {
            memcpy(copy, data, size);
            for (int k = 0; k <= i; k++) {
                random = random * 1664525u + 1013904223u;
                copy[(random >> 3) % size] ^= 1 << (random & 7);
            }
            write_file(path, copy, size);
            play_through(path);
        }
        unlink(path);
        ag_free(copy);
        ag_free(data);
    }
}

// ---- pipes --------------------------------------------------------------------------------------

struct writer {
    const char *path; // FIFO, or
    int fd;           // the end of a pipe
    const char *file;
    size_t max; // bytes, then it falls silent
    bool stay;  // keeps the pipe open until told
    pthread_mutex_t lock;
    pthread_t thread;
};

static void *write_all(void *arg)
{
    struct writer *w = arg;
    void *data;
    size_t size;
    if (!ag_read_file(w->file, 1 << 24, &data, &size, NULL)) {
        return NULL;
    }
    int fd = w->path ? open(w->path, O_WRONLY) : w->fd;
    size = w->max ? AG_MIN(w->max, size) : size;
    for (size_t at = 0; at < size;) {
        ssize_t n = write(fd, (char *)data + at, size - at);
        if (n <= 0) {
            break;
        }
        at += (size_t)n;
    }
    if (w->stay) {
        pthread_mutex_lock(&w->lock); // held by the test
        pthread_mutex_unlock(&w->lock);
    }
    close(fd);
    ag_free(data);
    return NULL;
}

static int count_frames(struct ag_source *source)
{
    struct ag_frame frame;
    int n = 0;
    while (next_frame(source, &frame, NULL) == AG_NEXT_FRAME) {
        frame_hash(source, &frame);
        n++;
    }
    return n;
}

static void test_fifo(void **state)
{
    (void)state;
    const char *path = scratch("fifo");
    assert_int_equal(mkfifo(path, 0600), 0);
    struct writer writer = { .path = path, .file = media("clip.ts") };
    assert_int_equal(pthread_create(&writer.thread, NULL, write_all, &writer), 0);
    struct ag_source *source = open_params((struct ag_source_params){ .uri = path, .loop = true });
    assert_false(ag_source_get_info(source).seekable);
    assert_int_equal(count_frames(source), FRAMES); // a loop is not possible: it ends
    struct ag_error err = { 0 };
    assert_false(ag_source_seek(source, 0, &err));
    expect(err.text, "cannot seek");
    ag_source_close(&source);
    pthread_join(writer.thread, NULL);

    // Nobody ever writes.
    int64_t before = ag_now_ns();
    err = open_fails((struct ag_source_params){ .uri = path });
    expect(err.text, "no data");
    assert_true(ag_now_ns() - before >= 4000 * MS);
    unlink(path);
}

static void *interrupt_later(void *source)
{
    ag_sleep_ns(200 * MS);
    ag_source_interrupt(source);
    return NULL;
}

// A writer that stalls: another thread can end the wait.
static void test_interrupt(void **state)
{
    (void)state;
    const char *path = scratch("stalled");
    assert_int_equal(mkfifo(path, 0600), 0);
    struct writer writer = { .path = path, .file = media("clip.y4m"), .max = 600000, .stay = true };
    pthread_mutex_init(&writer.lock, NULL);
    pthread_mutex_lock(&writer.lock);
    assert_int_equal(pthread_create(&writer.thread, NULL, write_all, &writer), 0);
    struct ag_source *source = open_file(path);
    pthread_t interrupter;
    assert_int_equal(pthread_create(&interrupter, NULL, interrupt_later, source), 0);
    int n = count_frames(source);
    assert_true(n > 0 && n < FRAMES);
    pthread_join(interrupter, NULL);
    ag_source_close(&source);
    pthread_mutex_unlock(&writer.lock);
    pthread_join(writer.thread, NULL);
    pthread_mutex_destroy(&writer.lock);
    unlink(path);
}

static int count_on_stdin(const char *file, struct ag_source_params params)
{
    int ends[2];
    assert_int_equal(pipe(ends), 0);
    int kept = dup(STDIN_FILENO);
    dup2(ends[0], STDIN_FILENO);
    close(ends[0]);
    struct writer writer = { .fd = ends[1], .file = media(file) };
    assert_int_equal(pthread_create(&writer.thread, NULL, write_all, &writer), 0);
    params.uri = "-";
    struct ag_source *source = open_params(params);
    int n = count_frames(source);
    ag_source_close(&source);
    pthread_join(writer.thread, NULL);
    dup2(kept, STDIN_FILENO);
    close(kept);
    return n;
}

static void test_standard_input(void **state)
{
    (void)state;
    assert_int_equal(count_on_stdin("clip.y4m", (struct ag_source_params){ 0 }), FRAMES);
    assert_int_equal(count_on_stdin("clip.mkv", (struct ag_source_params){ 0 }), FRAMES);
    assert_int_equal(count_on_stdin("clip.mkv", (struct ag_source_params){ .start_s = 1 }), 25);
    assert_int_equal(count_on_stdin("clip.raw", (struct ag_source_params){ .raw = "160x120:yuv420p",
                                                                           .fps = 25 }),
                     FRAMES);
    static const char *const bad[] = { "160x120", "160:yuv420p", "axb:yuv420p",
                                       "160x120:nonsense" };
    for (size_t i = 0; i < AG_COUNT(bad); i++) {
        struct ag_error err = open_fails((struct ag_source_params){ .uri = "-", .raw = bad[i] });
        expect(err.text, "WIDTHxHEIGHT:FORMAT");
    }
}

// ---- camera -------------------------------------------------------------------------------------

static void test_camera(void **state)
{
    (void)state;
    struct ag_source *source = open_params((struct ag_source_params){
        .driver = "camera", .uri = "lavfi:testsrc2=size=64x48:rate=25" });
    struct ag_source_info info = ag_source_get_info(source);
    assert_true(info.live);
    assert_false(info.seekable);
    assert_int_equal(info.width, 64);
    for (int i = 0; i < 5; i++) {
        struct ag_frame frame = get(source);
        assert_int_equal(frame.pts_ns, i * FRAME_NS);
        assert_true(frame.bytes > 0);
    }
    ag_source_close(&source);

    struct ag_error err = open_fails((struct ag_source_params){ .uri = "/dev/video99" });
    expect(err.text, "no camera /dev/video99");
    err = open_fails((struct ag_source_params){ .driver = "camera", .uri = "/dev/null" });
    expect(err.text, "/dev/null");
}

// ---- messages -----------------------------------------------------------------------------------

struct sink {
    int lines[AG_LOG_VERBOSE + 1];
};

static void on_line(void *user, enum ag_log_level level, const char *line)
{
    struct sink *sink = user;
    sink->lines[level]++;
    assert_null(strchr(line, '\n'));
}

static void test_messages(void **state)
{
    (void)state;
    void *data;
    size_t size;
    assert_true(ag_read_file(media("clip.ts"), 1 << 24, &data, &size, NULL));
    for (size_t i = 10000; i < size; i += 997) {
        ((uint8_t *)data)[i] ^= 0x5a;
    }
    const char *path = scratch("damaged.ts");
    write_file(path, data, size);
    struct sink sink = { 0 };
    struct ag_log log = { .level = AG_LOG_VERBOSE, .sink = on_line, .user = &sink };
    struct ag_source *source =
        ag_source_open(&log, &(struct ag_source_params){ .uri = path, .decoder_threads = 1 }, NULL);
    assert_non_null(source);
    count_frames(source);
    ag_source_close(&source);
    assert_true(sink.lines[AG_LOG_VERBOSE] > 0); // FFmpeg's own
    assert_true(sink.lines[AG_LOG_WARN] <= 1);   // ours: once
    assert_int_equal(sink.lines[AG_LOG_ERROR], 0);
    // The log is out of use.
    int before = sink.lines[AG_LOG_VERBOSE];
    play_through(path);
    assert_int_equal(sink.lines[AG_LOG_VERBOSE], before);
    unlink(path);
    ag_free(data);
}

static void test_no_allocation(void **state)
{
    (void)state;
    struct ag_source *source =
        open_params((struct ag_source_params){ .uri = media("clip.mp4"), .loop = true });
    uint8_t *data = ag_alloc(get(source).bytes);
    uint64_t before = ag_alloc_count();
    for (int i = 0; i < 2 * FRAMES; i++) {
        get(source);
        ag_source_read(source, data);
    }
    assert_int_equal(ag_alloc_count(), before);
    ag_free(data);
    ag_source_close(&source);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_format),
        cmocka_unit_test(test_native_formats),
        cmocka_unit_test(test_negative_linesize),
        cmocka_unit_test(test_clip),
        cmocka_unit_test(test_containers),
        cmocka_unit_test(test_threads_agree),
        cmocka_unit_test(test_odd_size),
        cmocka_unit_test(test_display_matrices),
        cmocka_unit_test(test_what_streams_state),
        cmocka_unit_test(test_uneven_times),
        cmocka_unit_test(test_seek),
        cmocka_unit_test(test_start),
        cmocka_unit_test(test_start_behind_the_end),
        cmocka_unit_test(test_loop),
        cmocka_unit_test(test_change_in_midstream),
        cmocka_unit_test(test_not_a_video),
        cmocka_unit_test(test_protocols),
        cmocka_unit_test(test_strange_name),
        cmocka_unit_test(test_truncated),
        cmocka_unit_test(test_flipped_bits),
        cmocka_unit_test(test_fifo),
        cmocka_unit_test(test_interrupt),
        cmocka_unit_test(test_standard_input),
        cmocka_unit_test(test_camera),
        cmocka_unit_test(test_messages),
        cmocka_unit_test(test_no_allocation),
    };
    av_log_set_level(AV_LOG_FATAL); // swscale on the exotic formats that the test itself converts
    return cmocka_run_group_tests(tests, NULL, NULL);
}
