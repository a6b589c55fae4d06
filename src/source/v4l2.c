#include "v4l2.h"

#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <linux/videodev2.h>

#define MAX_DEVICES 64
#define MAX_MODES 4096

// Formats that FFmpeg's v4l2 input knows, under its names, the best ones first: over USB, MJPEG is
// what large pictures come in at full rate.
static const struct {
    uint32_t fourcc;
    const char *name;
} formats[] = {
    { V4L2_PIX_FMT_MJPEG, "mjpeg" },    { V4L2_PIX_FMT_JPEG, "mjpeg" },
    { V4L2_PIX_FMT_YUYV, "yuyv422" },   { V4L2_PIX_FMT_NV12, "nv12" },
    { V4L2_PIX_FMT_UYVY, "uyvy422" },   { V4L2_PIX_FMT_YUV420, "yuv420p" },
    { V4L2_PIX_FMT_YUV422P, "yuv422p" }, { V4L2_PIX_FMT_NV16, "nv16" },
    { V4L2_PIX_FMT_RGB24, "rgb24" },    { V4L2_PIX_FMT_BGR24, "bgr24" },
    { V4L2_PIX_FMT_GREY, "gray" },      { V4L2_PIX_FMT_H264, "h264" },
};

static size_t rank(const char *format)
{
    size_t i = 0;
    while (i < AG_COUNT(formats) && strcmp(formats[i].name, format) != 0) {
        i++;
    }
    return i;
}

static int control(const struct v4l2_device *d, unsigned long request, void *arg)
{
    int r;
    do {
        r = d->control(d->user, request, arg);
    } while (r < 0 && errno == EINTR);
    return r;
}

// ---- modes --------------------------------------------------------------------------------------

static void add(struct ag_camera *c, uint32_t fourcc, uint32_t width, uint32_t height, double fps)
{
    if (c->n_modes == MAX_MODES) {
        return;
    }
    if ((c->n_modes & (c->n_modes - 1)) == 0) {
        c->modes = ag_realloc(c->modes, (size_t)AG_MAX(2 * c->n_modes, 1) * sizeof(*c->modes));
    }
    struct ag_camera_mode *m = &c->modes[c->n_modes++];
    *m = (struct ag_camera_mode){ .width = width, .height = height, .fps = fps };
    snprintf(m->format, sizeof(m->format), "%.4s", (const char *)&fourcc);
    for (size_t i = 0; i < AG_COUNT(formats); i++) {
        if (formats[i].fourcc == fourcc) {
            snprintf(m->format, sizeof(m->format), "%s", formats[i].name);
            m->usable = true;
            break;
        }
    }
}

static double rate(struct v4l2_fract interval)
{
    return interval.numerator ? (double)interval.denominator / interval.numerator : 0;
}

static void add_size(const struct v4l2_device *d, const struct v4l2_wish *wish, struct ag_camera *c,
                     uint32_t fourcc, uint32_t width, uint32_t height)
{
    struct v4l2_frmivalenum e = { .pixel_format = fourcc, .width = width, .height = height };
    bool any = false;
    for (; control(d, VIDIOC_ENUM_FRAMEINTERVALS, &e) == 0 && e.index < 64; e.index++) {
        any = true;
        if (e.type == V4L2_FRMIVAL_TYPE_DISCRETE) {
            add(c, fourcc, width, height, rate(e.discrete));
            continue;
        }
        double fast = rate(e.stepwise.min), slow = rate(e.stepwise.max);
        add(c, fourcc, width, height, fast);
        if (slow != fast) {
            add(c, fourcc, width, height, slow);
        }
        if (wish && wish->fps > slow && wish->fps < fast) {
            add(c, fourcc, width, height, wish->fps);
        }
        break;
    }
    if (!any) {
        add(c, fourcc, width, height, 0);
    }
}

// The size of a range next to a wish.
static uint32_t snap(uint32_t wish, uint32_t low, uint32_t high, uint32_t step)
{
    uint32_t v = AG_CLAMP(wish, low, high);
    step = step ? step : 1;
    v = low + (v - low + step / 2) / step * step;
    return v > high ? v - step : v;
}

static void add_format(const struct v4l2_device *d, const struct v4l2_wish *wish,
                       struct ag_camera *c, uint32_t fourcc)
{
    struct v4l2_frmsizeenum e = { .pixel_format = fourcc };
    for (; control(d, VIDIOC_ENUM_FRAMESIZES, &e) == 0 && e.index < 256; e.index++) {
        if (e.type == V4L2_FRMSIZE_TYPE_DISCRETE) {
            add_size(d, wish, c, fourcc, e.discrete.width, e.discrete.height);
            continue;
        }
        const struct v4l2_frmsize_stepwise *s = &e.stepwise;
        add_size(d, wish, c, fourcc, s->min_width, s->min_height);
        add_size(d, wish, c, fourcc, s->max_width, s->max_height);
        if (wish && wish->width && wish->height) {
            add_size(d, wish, c, fourcc,
                     snap(wish->width, s->min_width, s->max_width, s->step_width),
                     snap(wish->height, s->min_height, s->max_height, s->step_height));
        }
        break;
    }
}

bool v4l2_describe(const struct v4l2_device *d, const struct v4l2_wish *wish, struct ag_camera *out)
{
    struct v4l2_capability cap = { 0 };
    if (control(d, VIDIOC_QUERYCAP, &cap) != 0) {
        return false;
    }
    uint32_t caps = cap.capabilities & V4L2_CAP_DEVICE_CAPS ? cap.device_caps : cap.capabilities;
    if (!(caps & V4L2_CAP_VIDEO_CAPTURE) || !(caps & V4L2_CAP_STREAMING)) {
        errno = ENOTTY;
        return false;
    }
    snprintf(out->name, sizeof(out->name), "%.31s", (const char *)cap.card);
    struct v4l2_fmtdesc e = { .type = V4L2_BUF_TYPE_VIDEO_CAPTURE };
    for (; control(d, VIDIOC_ENUM_FMT, &e) == 0 && e.index < 64; e.index++) {
        add_format(d, wish, out, e.pixelformat);
    }
    return true;
}

// ---- choice -------------------------------------------------------------------------------------

static double distance(const struct ag_camera_mode *m, const struct v4l2_wish *w)
{
    // As ratios: half the width is as far as twice the width.
    return fabs(log((double)m->width / w->width)) + fabs(log((double)m->height / w->height));
}

static bool better(const struct ag_camera_mode *a, const struct ag_camera_mode *b,
                   const struct v4l2_wish *w)
{
    double size_a = distance(a, w), size_b = distance(b, w);
    if (fabs(size_a - size_b) > 1e-6) {
        return size_a < size_b;
    }
    double rate_a = fabs(a->fps - w->fps), rate_b = fabs(b->fps - w->fps);
    if (fabs(rate_a - rate_b) > 0.5) {
        return rate_a < rate_b;
    }
    return rank(a->format) < rank(b->format);
}

const struct ag_camera_mode *v4l2_choose(const struct ag_camera *camera,
                                         const struct v4l2_wish *wish)
{
    const struct ag_camera_mode *best = NULL;
    for (int i = 0; i < camera->n_modes; i++) {
        const struct ag_camera_mode *m = &camera->modes[i];
        bool fits = m->usable && m->width && m->height &&
                    (!wish->format || strcmp(wish->format, m->format) == 0);
        if (fits && (!best || better(m, best, wish))) {
            best = m;
        }
    }
    return best;
}

// ---- devices ------------------------------------------------------------------------------------

static int on_device(void *user, unsigned long request, void *arg)
{
    return ioctl(*(int *)user, request, arg);
}

bool v4l2_open_and_describe(const char *path, const struct v4l2_wish *wish, struct ag_camera *out)
{
    int fd = open(path, O_RDWR | O_NONBLOCK | O_CLOEXEC);
    if (fd < 0) {
        return false;
    }
    bool ok = v4l2_describe(&(struct v4l2_device){ on_device, &fd }, wish, out);
    int error = errno;
    close(fd);
    errno = error;
    return ok;
}

int ag_camera_list(struct ag_camera **out)
{
    int n = 0;
    *out = ag_alloc(MAX_DEVICES * sizeof(**out));
    for (int i = 0; i < MAX_DEVICES; i++) {
        struct ag_camera *c = &(*out)[n];
        snprintf(c->device, sizeof(c->device), "/dev/video%d", i);
        if (access(c->device, F_OK) != 0) {
            continue;
        }
        if (v4l2_open_and_describe(c->device, NULL, c)) {
            n++;
        } else if (errno != ENOTTY && errno != EINVAL) { // those are other kinds of devices
            snprintf(c->why, sizeof(c->why), "%s", strerror(errno));
            n++;
        }
    }
    return n;
}

void ag_camera_list_free(struct ag_camera *cameras, int n)
{
    for (int i = 0; i < n; i++) {
        ag_free(cameras[i].modes);
    }
    ag_free(cameras);
}
