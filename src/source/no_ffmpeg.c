// The drivers that need FFmpeg, in a build without it: raw frames on standard input work all the
// same, the rest says what is missing.
#include "driver.h"

#include <stdio.h>
#include <string.h>

struct raw {
    struct pixel_layout layout;
    uint32_t width, height;
    uint64_t bytes, frames;
    double fps;
    uint8_t *data;
};

static struct pixel_component component(uint32_t offset, uint32_t pitch, uint32_t step, uint32_t shift)
{
    return (struct pixel_component){ .offset = offset, .pitch = pitch, .step = step, .bytes = 1,
                                     .depth = 8, .shift_x = shift, .shift_y = shift };
}

// Planes are packed in the pipe; in a frame rows are a multiple of 4 bytes, so widths are too.
static bool set_format(struct raw *r, const char *name)
{
    uint32_t w = r->width, h = r->height, luma = w * h;
    if (strcmp(name, "rgba") == 0) {
        r->layout.kind = AG_PIXEL_RGB;
        for (uint32_t c = 0; c < 3; c++) {
            r->layout.c[c] = component(c, 4 * w, 4, 0);
        }
        r->bytes = 4ull * luma;
        return true;
    }
    if (strcmp(name, "yuv420p") != 0 || w % 8 || h % 2) {
        return false;
    }
    r->layout.kind = AG_PIXEL_YUV;
    r->layout.matrix = h < 720 ? AG_MATRIX_601 : AG_MATRIX_709;
    r->layout.chroma_y = 1;
    r->layout.c[0] = component(0, w, 1, 0);
    r->layout.c[1] = component(luma, w / 2, 1, 1);
    r->layout.c[2] = component(luma + luma / 4, w / 2, 1, 1);
    r->bytes = luma + luma / 2;
    return true;
}

static void close_raw(void *state)
{
    struct raw *r = state;
    ag_free(r->data);
    ag_free(r);
}

static void *open_raw(const struct source_env *env, const struct ag_source_params *params,
                      struct ag_source_info *info, struct ag_error *err)
{
    (void)env;
    char format[16] = "";
    struct raw *r;
    if (!params->raw || !params->uri || strcmp(params->uri, "-") != 0) {
        ag_fail(err, AG_ERR_INPUT,
                "cannot open %s%s%s: this program was built without FFmpeg (AUTOGAZE_FFMPEG=OFF); "
                "use an image, a synthetic-... source, or --raw WxH:FORMAT with -",
                info->driver, params->uri ? " " : "", params->uri ? params->uri : "");
        return NULL;
    }
    r = ag_alloc(sizeof(*r));
    if (sscanf(params->raw, "%ux%u:%15s", &r->width, &r->height, format) != 3 || !r->width ||
        !r->height || r->width > AG_MAX_FRAME_SIDE || r->height > AG_MAX_FRAME_SIDE ||
        !set_format(r, format)) {
        ag_fail(err, AG_ERR_USAGE,
                "raw frames '%s': this build reads WIDTHxHEIGHT:rgba, and :yuv420p where the width "
                "is a multiple of 8 and the height even", params->raw);
        close_raw(r);
        return NULL;
    }
    r->fps = source_fps(params->fps);
    r->data = ag_alloc(r->bytes);
    snprintf(info->description, sizeof(info->description), "raw frames %s", params->raw);
    info->width = r->width;
    info->height = r->height;
    info->fps = r->fps;
    return r;
}

static enum ag_next next_raw(void *state, struct ag_frame *out, struct ag_error *err)
{
    struct raw *r = state;
    (void)err;
    if (fread(r->data, 1, r->bytes, stdin) != r->bytes) {
        return AG_NEXT_END;
    }
    out->width = r->width;
    out->height = r->height;
    out->sar_num = out->sar_den = 1;
    out->layout = r->layout;
    out->bytes = r->bytes;
    out->pts_ns = source_tick_ns(r->frames++, r->fps);
    return AG_NEXT_FRAME;
}

static void read_raw(void *state, uint8_t *dst)
{
    const struct raw *r = state;
    memcpy(dst, r->data, r->bytes);
}

static void *refuse(const struct source_env *env, const struct ag_source_params *params,
                    struct ag_source_info *info, struct ag_error *err)
{
    (void)env;
    (void)params;
    ag_fail(err, AG_ERR_INPUT,
            "cannot open %s: this program was built without FFmpeg (AUTOGAZE_FFMPEG=OFF); use an "
            "image or a synthetic-... source", info->driver);
    return NULL;
}

const struct source_driver source_video = {
    .name = "video",
    .help = "raw frames on standard input (other video needs a build with FFmpeg)",
    .open = open_raw,
    .close = close_raw,
    .next = next_raw,
    .read = read_raw,
};

const struct source_driver source_camera = {
    .name = "camera",
    .help = "a camera (not in this build: needs FFmpeg)",
    .open = refuse,
};
