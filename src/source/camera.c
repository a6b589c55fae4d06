// Cameras through libavdevice: Video4Linux on Linux. "lavfi:GRAPH" as a device is a camera made of
// a filter graph, for tests and for trying things out. A camera that goes away is looked for until
// it is back.
#include "camera.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include <libavutil/avstring.h>

#include "ffmpeg.h"
#include "v4l2.h"

#define MAX_DEVICES 64
#define DEFAULT_WIDTH 640
#define DEFAULT_HEIGHT 360
#define FIRST_RETRY_NS 500000000 // then twice as long each time, at most
#define LAST_RETRY_NS 8000000000
#define SILENCE_NS 5000000000 // a camera that gives nothing for so long is gone

struct camera {
    const struct source_env *env;
    struct ag_source_info *info;
    struct ff_stream ff;
    char device[128], format[32]; // what plays; the format wished, empty: any
    struct v4l2_wish wish;
    int64_t offset_ns;            // of the timestamps: they go on after a break
    int64_t first_ns, last_ns;    // clock at the first frame of all, and at the last, 0 none
    bool lost, back;              // back: the next frame is the first after a break
    int64_t retry_ns, wait_ns;    // when to look for it again, and how long after that
};

// `mode` NULL: the driver's choice.
static bool open_with(struct camera *c, const char *device, const struct ag_camera_mode *mode)
{
    bool lavfi = av_strstart(device, "lavfi:", &device);
    struct ff_target target = {
        .format = lavfi ? "lavfi" : "v4l2",
        .url = device,
        .name = device,
        .fd = -1,
        .live = true,
    };
    if (mode) {
        char text[64];
        snprintf(text, sizeof(text), "%ux%u", mode->width, mode->height);
        av_dict_set(&target.options, "video_size", text, 0);
        av_dict_set(&target.options, "input_format", mode->format, 0);
        if (mode->fps > 0) {
            snprintf(text, sizeof(text), "%g", mode->fps);
            av_dict_set(&target.options, "framerate", text, 0);
        }
    }
    return ff_open(&c->ff, c->env, &target, NULL);
}

bool camera_explain(const char *device, int error, struct ag_error *err)
{
    if (error == AVERROR(ENOENT)) {
        return ag_fail(err, AG_ERR_INPUT,
                       "there is no camera %s: plug one in, or name another with --camera-device",
                       device);
    }
    if (error == AVERROR(EACCES) || error == AVERROR(EPERM)) {
        return ag_fail(err, AG_ERR_INPUT,
                       "camera %s may not be opened: add yourself to the group 'video' (sudo "
                       "usermod -aG video $USER) and log in again",
                       device);
    }
    if (error == AVERROR(EBUSY)) {
        return ag_fail(err, AG_ERR_INPUT,
                       "camera %s is used by another program: close that one first", device);
    }
    if (error == AVERROR(ENODEV) || error == AVERROR(ENOTTY) || error == AVERROR(EINVAL)) {
        return ag_fail(
            err, AG_ERR_INPUT,
            "%s gives no pictures (%s): it is no camera, or refuses the format asked for", device,
            ff_reason(error).text);
    }
    return ag_fail(err, AG_ERR_INPUT, "camera %s cannot be opened (%s)", device,
                   ff_reason(error).text);
}

static bool open_device(struct camera *c, const char *device, struct ag_error *err)
{
    struct ag_camera camera = { 0 };
    const struct ag_camera_mode *mode = NULL;
    bool ok = true;
    if (strncmp(device, "lavfi:", 6) != 0) {
        if (!v4l2_open_and_describe(device, &c->wish, &camera)) {
            return camera_explain(device, AVERROR(errno), err);
        }
        mode = v4l2_choose(&camera, &c->wish);
        ok = mode || !c->wish.format ||
             ag_fail(err, AG_ERR_INPUT, "camera %s (%s) has no format '%s': --list-cameras lists "
                     "what it has", device, camera.name, c->wish.format);
    }
    if (ok && !open_with(c, device, mode)) {
        int error = c->ff.error;
        ff_close(&c->ff);
        ok = camera_explain(device, error, err);
    }
    ag_free(camera.modes);
    if (ok && device != c->device) {
        snprintf(c->device, sizeof(c->device), "%s", device);
    }
    return ok;
}

// The first that opens; otherwise the reason of the first that is there.
static bool open_any(struct camera *c, struct ag_error *err)
{
    struct ag_error first = { 0 };
    for (int i = 0; i < MAX_DEVICES; i++) {
        char device[32];
        struct stat st;
        struct ag_error why = { 0 };
        snprintf(device, sizeof(device), "/dev/video%d", i);
        if (stat(device, &st) != 0) {
            continue;
        }
        if (open_device(c, device, &why)) {
            return true;
        }
        first = first.status ? first : why;
    }
    if (first.status) {
        return ag_fail(err, AG_ERR_INPUT, "%s", first.text);
    }
    return ag_fail(err, AG_ERR_INPUT,
                   "no camera found (there is no /dev/video*): plug one in, or give a file or "
                   "--source synthetic-pan");
}

static void close_camera(void *state)
{
    struct camera *c = state;
    ff_close(&c->ff);
    ag_free(c);
}

static void take_over(struct camera *c)
{
    ff_fill_info(&c->ff, c->info);
    c->info->live = true;
}

static void set_wish(struct camera *c, const struct ag_source_params *params)
{
    struct v4l2_wish *w = &c->wish;
    *w = (struct v4l2_wish){ .width = params->width, .height = params->height,
                             .fps = source_fps(params->camera_fps) };
    if (w->width && !w->height) {
        w->height = (uint32_t)(w->width * 9.0 / 16.0 + 0.5);
    } else if (w->height && !w->width) {
        w->width = (uint32_t)(w->height * 16.0 / 9.0 + 0.5);
    } else if (!w->width) {
        w->width = DEFAULT_WIDTH;
        w->height = DEFAULT_HEIGHT;
    }
    if (params->camera_format) {
        snprintf(c->format, sizeof(c->format), "%s", params->camera_format);
        w->format = c->format;
    }
}

static void *open_camera(const struct source_env *env, const struct ag_source_params *params,
                         struct ag_source_info *info, struct ag_error *err)
{
    struct camera *c = ag_alloc(sizeof(*c));
    c->env = env;
    c->info = info;
    c->wait_ns = FIRST_RETRY_NS;
    set_wish(c, params);
    if (!(params->uri ? open_device(c, params->uri, err) : open_any(c, err))) {
        close_camera(c);
        return NULL;
    }
    take_over(c);
    source_notice(env, "camera %.250s", info->description); // what was granted
    return c;
}

static void lose(struct camera *c, const char *why)
{
    ff_close(&c->ff);
    c->lost = true;
    c->retry_ns = ag_now_ns() + c->wait_ns;
    source_notice(c->env, "camera %s is gone (%.200s): it is looked for until it is back",
                  c->device, why);
}

// Longer and longer between two tries: opening a device costs, and messages go to the log.
static enum ag_next look_for(struct camera *c)
{
    int64_t now = ag_now_ns();
    if (now < c->retry_ns) {
        return AG_NEXT_AGAIN;
    }
    if (!open_device(c, c->device, NULL)) {
        c->wait_ns = AG_MIN(2 * c->wait_ns, LAST_RETRY_NS);
        c->retry_ns = ag_now_ns() + c->wait_ns;
        return AG_NEXT_AGAIN;
    }
    c->lost = false;
    c->back = true;
    c->last_ns = now; // the silence counts from here
    c->offset_ns = c->first_ns ? now - c->first_ns : 0;
    take_over(c);
    source_notice(c->env, "camera %.250s is back", c->info->description);
    return AG_NEXT_AGAIN;
}

static enum ag_next next(void *state, struct ag_frame *out, struct ag_error *err)
{
    struct camera *c = state;
    struct ag_error why = { 0 };
    if (c->lost && atomic_load(&c->env->interrupted)) {
        return AG_NEXT_END;
    }
    if (c->lost) {
        return look_for(c);
    }
    enum ag_next result = ff_next(&c->ff, &why);
    int64_t now = ag_now_ns();
    if (result == AG_NEXT_FRAME) {
        c->first_ns = c->first_ns ? c->first_ns : now;
        c->last_ns = now;
        c->wait_ns = FIRST_RETRY_NS;
        out->pts_ns = ff_pts_ns(&c->ff) + c->offset_ns;
        out->discontinuity = c->back;
        c->back = false;
        return ff_describe(&c->ff, out, err) ? AG_NEXT_FRAME : AG_NEXT_ERROR;
    }
    if (atomic_load(&c->env->interrupted)) {
        return AG_NEXT_END;
    }
    c->last_ns = c->last_ns ? c->last_ns : now;
    if (result != AG_NEXT_AGAIN) {
        lose(c, why.text[0] ? why.text : "no more frames");
    } else if (now - c->last_ns > SILENCE_NS) {
        lose(c, "no frame for 5 s");
    }
    return AG_NEXT_AGAIN;
}

static void read_planes(void *state, uint8_t *dst)
{
    struct camera *c = state;
    ff_picture_copy(&c->ff.picture, dst);
}

const struct source_driver source_camera = {
    .name = "camera",
    .help = "a camera, the first that opens or --camera-device",
    .open = open_camera,
    .close = close_camera,
    .next = next,
    .read = read_planes,
};
