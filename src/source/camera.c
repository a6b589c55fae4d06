// Cameras through libavdevice: Video4Linux on Linux. "lavfi:GRAPH" as a device is a camera made of
// a filter graph, for tests and for trying things out.
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include <libavutil/avstring.h>

#include "ffmpeg.h"

#define MAX_DEVICES 64

struct camera {
    struct ff_stream ff;
};

// One way to ask the device; all of them are wishes, the driver grants the nearest it has.
struct wish {
    const char *format; // codec or pixel format, NULL: the driver's choice
    uint32_t width, height;
    double fps; // 0: the driver's choice
};

static bool open_with(struct camera *c, const struct source_env *env, const char *device,
                      const struct wish *wish, struct ag_error *err)
{
    bool lavfi = av_strstart(device, "lavfi:", &device);
    struct ff_target target = {
        .format = lavfi ? "lavfi" : "v4l2",
        .url = device,
        .name = device,
        .fd = -1,
        .live = true,
    };
    char text[64];
    if (!lavfi && wish->width && wish->height) {
        snprintf(text, sizeof(text), "%ux%u", wish->width, wish->height);
        av_dict_set(&target.options, "video_size", text, 0);
    }
    if (!lavfi && wish->fps > 0) {
        snprintf(text, sizeof(text), "%g", wish->fps);
        av_dict_set(&target.options, "framerate", text, 0);
    }
    if (!lavfi && wish->format) {
        av_dict_set(&target.options, "input_format", wish->format, 0);
    }
    return ff_open(&c->ff, env, &target, err);
}

static bool hopeless(int error)
{
    return error == AVERROR(ENOENT) || error == AVERROR(EACCES) || error == AVERROR(EPERM) ||
           error == AVERROR(EBUSY) || error == AVERROR(ENODEV) || error == AVERROR(ENXIO);
}

static bool explain(const char *device, int error, struct ag_error *err)
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

// MJPEG first: over USB it is what large pictures come in at full rate.
static bool open_device(struct camera *c, const struct source_env *env, const char *device,
                        const struct ag_source_params *params, struct ag_error *err)
{
    static const char *const formats[] = { "mjpeg", "yuyv422", NULL };
    const char *const given[] = { params->camera_format };
    const char *const *tries = params->camera_format ? given : formats;
    size_t n = params->camera_format ? 1 : AG_COUNT(formats);

    struct wish wish = { .width = params->width, .height = params->height };
    if (wish.width && !wish.height) {
        wish.height = (uint32_t)(wish.width * 9.0 / 16.0 + 0.5);
    } else if (wish.height && !wish.width) {
        wish.width = (uint32_t)(wish.height * 16.0 / 9.0 + 0.5);
    }
    wish.fps = source_fps(params->camera_fps);
    int error = 0;
    for (size_t i = 0; i < n; i++) {
        wish.format = tries[i];
        if (open_with(c, env, device, &wish, NULL)) {
            return true;
        }
        error = c->ff.error;
        ff_close(&c->ff);
        if (hopeless(error)) {
            break;
        }
    }
    return explain(device, error, err);
}

// The first that opens; otherwise the reason of the first that is there.
static bool open_any(struct camera *c, const struct source_env *env,
                     const struct ag_source_params *params, struct ag_error *err)
{
    for (int i = 0; i < MAX_DEVICES; i++) {
        char device[32];
        struct stat st;
        snprintf(device, sizeof(device), "/dev/video%d", i);
        if (stat(device, &st) == 0 && open_device(c, env, device, params, err)) {
            return true;
        }
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

static void *open_camera(const struct source_env *env, const struct ag_source_params *params,
                         struct ag_source_info *info, struct ag_error *err)
{
    struct camera *c = ag_alloc(sizeof(*c));
    bool ok =
        params->uri ? open_device(c, env, params->uri, params, err) : open_any(c, env, params, err);
    if (!ok) {
        close_camera(c);
        return NULL;
    }
    ff_fill_info(&c->ff, info);
    info->live = true;
    return c;
}

static enum ag_next next(void *state, struct ag_frame *out, struct ag_error *err)
{
    struct camera *c = state;
    enum ag_next result = ff_next(&c->ff, err);
    if (result != AG_NEXT_FRAME) {
        return result;
    }
    out->pts_ns = ff_pts_ns(&c->ff);
    return ff_describe(&c->ff, out, err) ? AG_NEXT_FRAME : AG_NEXT_ERROR;
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
