// Cameras: what a driver lists, which mode is asked for, what is said when one cannot be opened,
// and one that goes away and comes back (a filter graph that ends).
#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>
#include <libavutil/error.h>
#include <linux/videodev2.h>

#include "autogaze/source.h"

#include "../src/source/camera.h"
#include "../src/source/v4l2.h"

#define MS 1000000ll

// ---- a driver that is a table -------------------------------------------------------------------

struct fake_mode {
    uint32_t fourcc, width, height;
    double fps[3];
};

struct fake {
    uint32_t caps;
    const struct fake_mode *modes;
    uint32_t n;
    bool stepwise; // instead: YUYV of any size, 16x16 to 1920x1080 in steps of 16x8, 5 to 60 fps
};

// The i-th different format; false: there are no more.
static bool fake_format(const struct fake *f, uint32_t i, uint32_t *fourcc)
{
    for (uint32_t k = 0; k < f->n; k++) {
        bool first = k == 0 || f->modes[k].fourcc != f->modes[k - 1].fourcc;
        if (first && i-- == 0) {
            *fourcc = f->modes[k].fourcc;
            return true;
        }
    }
    return false;
}

static int refuse(void)
{
    errno = EINVAL;
    return -1;
}

static int fake_sizes(const struct fake *f, struct v4l2_frmsizeenum *e)
{
    if (f->stepwise) {
        e->type = V4L2_FRMSIZE_TYPE_STEPWISE;
        e->stepwise = (struct v4l2_frmsize_stepwise){ 16, 1920, 16, 16, 1080, 8 };
        return e->index ? refuse() : 0;
    }
    uint32_t i = e->index;
    for (uint32_t k = 0; k < f->n; k++) {
        if (f->modes[k].fourcc == e->pixel_format && i-- == 0) {
            e->type = V4L2_FRMSIZE_TYPE_DISCRETE;
            e->discrete.width = f->modes[k].width;
            e->discrete.height = f->modes[k].height;
            return 0;
        }
    }
    return refuse();
}

static int fake_rates(const struct fake *f, struct v4l2_frmivalenum *e)
{
    if (f->stepwise) {
        e->type = V4L2_FRMIVAL_TYPE_CONTINUOUS;
        e->stepwise = (struct v4l2_frmival_stepwise){ { 1, 60 }, { 1, 5 }, { 1, 1 } };
        return e->index ? refuse() : 0;
    }
    for (uint32_t k = 0; k < f->n; k++) {
        const struct fake_mode *m = &f->modes[k];
        if (m->fourcc == e->pixel_format && m->width == e->width && m->height == e->height &&
            e->index < 3 && m->fps[e->index] > 0) {
            e->type = V4L2_FRMIVAL_TYPE_DISCRETE;
            e->discrete = (struct v4l2_fract){ 1000, (uint32_t)(m->fps[e->index] * 1000) };
            return 0;
        }
    }
    return refuse();
}

static int fake_control(void *user, unsigned long request, void *arg)
{
    const struct fake *f = user;
    switch (request) {
    case VIDIOC_QUERYCAP: {
        struct v4l2_capability *cap = arg;
        memcpy(cap->card, "Fake", 5);
        cap->capabilities = f->caps;
        return 0;
    }
    case VIDIOC_ENUM_FMT: {
        struct v4l2_fmtdesc *e = arg;
        if (f->stepwise) {
            e->pixelformat = V4L2_PIX_FMT_YUYV;
            return e->index ? refuse() : 0;
        }
        return fake_format(f, e->index, &e->pixelformat) ? 0 : refuse();
    }
    case VIDIOC_ENUM_FRAMESIZES:
        return fake_sizes(f, arg);
    case VIDIOC_ENUM_FRAMEINTERVALS:
        return fake_rates(f, arg);
    }
    return refuse();
}

#define CAPTURE (V4L2_CAP_VIDEO_CAPTURE | V4L2_CAP_STREAMING)
// A webcam as they are: large YUYV is slow, MJPEG is not; and a format nobody can read.
static const struct fake_mode webcam[] = {
    { V4L2_PIX_FMT_YUYV, 640, 480, { 30, 15 } },  { V4L2_PIX_FMT_YUYV, 640, 360, { 30 } },
    { V4L2_PIX_FMT_YUYV, 1280, 720, { 10, 5 } },  { V4L2_PIX_FMT_MJPEG, 1280, 720, { 30, 60 } },
    { V4L2_PIX_FMT_MJPEG, 1920, 1080, { 30 } },   { V4L2_PIX_FMT_MJPEG, 640, 480, { 30 } },
    { V4L2_PIX_FMT_SGRBG8, 2592, 1944, { 30 } },
};

static struct ag_camera describe(const struct fake *fake, const struct v4l2_wish *wish)
{
    struct ag_camera c = { 0 };
    assert_true(v4l2_describe(&(struct v4l2_device){ fake_control, (void *)(uintptr_t)fake }, wish,
                              &c));
    return c;
}

static void test_modes(void **state)
{
    (void)state;
    struct fake fake = { CAPTURE, webcam, AG_COUNT(webcam), false };
    struct ag_camera c = describe(&fake, NULL);
    assert_string_equal(c.name, "Fake");
    assert_int_equal(c.n_modes, 10);
    assert_string_equal(c.modes[0].format, "yuyv422");
    assert_int_equal(c.modes[0].width, 640);
    assert_int_equal(c.modes[1].fps, 15);
    assert_string_equal(c.modes[9].format, "GRBG");
    assert_false(c.modes[9].usable);
    ag_free(c.modes);
    // Metadata nodes of a camera, players and codecs are no cameras.
    fake.caps = V4L2_CAP_META_CAPTURE | V4L2_CAP_STREAMING;
    assert_false(v4l2_describe(&(struct v4l2_device){ fake_control, &fake }, NULL, &c));
    assert_int_equal(errno, ENOTTY);
}

static void test_choice(void **state)
{
    (void)state;
    static const struct {
        struct v4l2_wish wish;
        const char *format;
        uint32_t width, height, fps;
    } cases[] = {
        { { NULL, 640, 480, 30 }, "mjpeg", 640, 480, 30 },    // both have it: MJPEG
        { { NULL, 640, 360, 30 }, "yuyv422", 640, 360, 30 },  // the very size
        { { NULL, 1280, 720, 30 }, "mjpeg", 1280, 720, 30 },
        { { NULL, 1280, 720, 60 }, "mjpeg", 1280, 720, 60 },
        { { NULL, 1280, 720, 9 }, "yuyv422", 1280, 720, 10 }, // the nearest rate
        { { NULL, 3840, 2160, 30 }, "mjpeg", 1920, 1080, 30 },
        { { NULL, 100, 100, 30 }, "yuyv422", 640, 360, 30 },
        { { "yuyv422", 1920, 1080, 30 }, "yuyv422", 1280, 720, 10 },
        { { "yuyv422", 640, 480, 12 }, "yuyv422", 640, 480, 15 },
        { { "GRBG", 640, 480, 30 }, NULL, 0, 0, 0 },
        { { "nv12", 640, 480, 30 }, NULL, 0, 0, 0 },
    };
    struct fake fake = { CAPTURE, webcam, AG_COUNT(webcam), false };
    struct ag_camera c = describe(&fake, NULL);
    for (size_t i = 0; i < AG_COUNT(cases); i++) {
        const struct ag_camera_mode *m = v4l2_choose(&c, &cases[i].wish);
        if (!cases[i].format) {
            assert_null(m);
            continue;
        }
        assert_non_null(m);
        if (strcmp(m->format, cases[i].format) != 0 || m->width != cases[i].width ||
            m->height != cases[i].height || m->fps != cases[i].fps) {
            fail_msg("case %zu: %s %ux%u %g", i, m->format, m->width, m->height, m->fps);
        }
    }
    ag_free(c.modes);
}

static void test_ranges(void **state)
{
    (void)state;
    struct fake fake = { CAPTURE, NULL, 0, true };
    struct ag_camera c = describe(&fake, NULL);
    assert_int_equal(c.n_modes, 4); // smallest and largest, fastest and slowest
    ag_free(c.modes);
    static const struct {
        uint32_t wish[2], got[2];
        double fps, got_fps;
    } cases[] = {
        { { 640, 360 }, { 640, 360 }, 30, 30 },   { { 650, 357 }, { 656, 360 }, 24, 24 },
        { { 4000, 3000 }, { 1920, 1080 }, 90, 60 }, { { 1, 1 }, { 16, 16 }, 1, 5 },
    };
    for (size_t i = 0; i < AG_COUNT(cases); i++) {
        struct v4l2_wish wish = { NULL, cases[i].wish[0], cases[i].wish[1], cases[i].fps };
        c = describe(&fake, &wish);
        const struct ag_camera_mode *m = v4l2_choose(&c, &wish);
        assert_non_null(m);
        if (m->width != cases[i].got[0] || m->height != cases[i].got[1] ||
            m->fps != cases[i].got_fps) {
            fail_msg("case %zu: %ux%u %g", i, m->width, m->height, m->fps);
        }
        ag_free(c.modes);
    }
}

// ---- sentences ----------------------------------------------------------------------------------

static void expect(const char *text, const char *part)
{
    if (!strstr(text, part)) {
        fail_msg("'%s' does not say '%s'", text, part);
    }
}

static void test_sentences(void **state)
{
    (void)state;
    static const struct {
        int error;
        const char *says;
    } cases[] = {
        { ENOENT, "plug one in" },   { EACCES, "add yourself to the group 'video'" },
        { EPERM, "group 'video'" },  { EBUSY, "used by another program: close that one" },
        { ENODEV, "no pictures" },   { EIO, "cannot be opened" },
    };
    for (size_t i = 0; i < AG_COUNT(cases); i++) {
        struct ag_error err = { 0 };
        assert_false(camera_explain("/dev/video7", AVERROR(cases[i].error), &err));
        assert_int_equal(err.status, AG_ERR_INPUT);
        expect(err.text, "/dev/video7");
        expect(err.text, cases[i].says);
    }
}

static struct ag_error open_fails(const char *device, const char *format)
{
    struct ag_error err = { 0 };
    assert_null(ag_source_open(NULL, &(struct ag_source_params){ .driver = "camera", .uri = device,
                                                                 .camera_format = format },
                               &err));
    assert_int_equal(err.status, AG_ERR_INPUT);
    return err;
}

static void test_devices(void **state)
{
    (void)state;
    expect(open_fails("/dev/video99", NULL).text, "there is no camera /dev/video99");
    expect(open_fails("/dev/null", NULL).text, "no camera");
    char path[512];
    snprintf(path, sizeof(path), "%s/test_camera.%ld", AG_BINARY_DIR, (long)getpid());
    int fd = open(path, O_CREAT | O_WRONLY, 0);
    assert_true(fd >= 0);
    close(fd);
    bool root = geteuid() == 0; // may open everything: not as somebody else
    if (root) {
        assert_int_equal(seteuid(65534), 0);
    }
    struct ag_error err = open_fails(path, NULL);
    if (root) {
        assert_int_equal(seteuid(0), 0);
    }
    unlink(path);
    expect(err.text, "add yourself to the group 'video'");
}

// ---- a camera that goes away --------------------------------------------------------------------

static void test_unplugged(void **state)
{
    (void)state;
    struct ag_error err = { 0 };
    char text[400] = "";
    struct ag_source *source = ag_source_open(
        NULL, &(struct ag_source_params){ .driver = "camera",
                                          .uri = "lavfi:testsrc2=size=64x48:rate=25:duration=0.2" },
        &err);
    assert_non_null(source);
    assert_true(ag_source_notice(source, text, sizeof(text)));
    expect(text, "64x48"); // what was granted
    int64_t last = -1;
    int frames = 0, gone = 0, back = 0;
    while (back < 2) {
        struct ag_frame frame;
        enum ag_next next = ag_source_next(source, &frame, &err);
        if (next == AG_NEXT_FRAME) {
            assert_int_equal(frame.discontinuity, frames % 5 == 0);
            assert_true(frame.pts_ns > last); // goes on over the break
            last = frame.pts_ns;
            frames++;
            uint8_t data[2 * 64 * 48 + 1024];
            assert_true(frame.bytes <= sizeof(data));
            ag_source_read(source, data);
        } else {
            assert_int_equal(next, AG_NEXT_AGAIN); // never the end, never an error
            ag_sleep_ns(5 * MS);
        }
        if (ag_source_notice(source, text, sizeof(text))) {
            bool left = strstr(text, "is gone") != NULL;
            gone += left;
            back += !left && strstr(text, "is back");
            assert_true(gone == back || gone == back + 1);
        }
    }
    assert_int_equal(frames, 10);
    // Told to give up it does, also while it waits.
    ag_source_interrupt(source);
    struct ag_frame frame;
    enum ag_next next;
    while ((next = ag_source_next(source, &frame, &err)) == AG_NEXT_FRAME) {
    }
    assert_int_equal(next, AG_NEXT_END);
    ag_source_close(&source);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_modes),     cmocka_unit_test(test_choice),
        cmocka_unit_test(test_ranges),    cmocka_unit_test(test_sentences),
        cmocka_unit_test(test_devices),   cmocka_unit_test(test_unplugged),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
