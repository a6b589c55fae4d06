// Still pictures: decoded once to RGBA8, shown again at every tick, so that inference can be
// repeated on purpose. stb_image reads the usual formats the same way in every build; FFmpeg, where
// it is built in, reads the others.
#include <stdio.h>
#include <string.h>

#include "driver.h"
#include "stb.h"

#ifdef AUTOGAZE_FFMPEG
#include "ffmpeg.h"
#endif

#define MAX_FILE_BYTES ((size_t)1 << 30)

struct image {
    double fps;
    uint64_t tick;
    uint32_t width, height;
    bool alpha;
    uint8_t *rgba;
    void (*free_rgba)(void *rgba);
};

static bool load_stb(struct image *image, const char *path, struct ag_error *err)
{
    void *data = NULL;
    size_t size = 0;
    if (!ag_read_file(path, MAX_FILE_BYTES, &data, &size, err)) {
        return false;
    }
    const char *why = "the file is empty";
    int channels = 0;
    image->rgba =
        size ? stb_load(data, size, &image->width, &image->height, &channels, &why) : NULL;
    image->free_rgba = stb_free;
    ag_free(data);
    if (!image->rgba) {
        return ag_fail(err, AG_ERR_INPUT, "'%s' is not a picture that can be read (%s)", path, why);
    }
    image->alpha = channels == 2 || channels == 4;
    return true;
}

static bool load(struct image *image, const struct source_env *env, const char *path,
                 struct ag_error *err)
{
    struct ag_error why = { 0 };
    bool ok = load_stb(image, path, &why);
#ifdef AUTOGAZE_FFMPEG
    if (!ok && strcmp(why.kind, "IO") != 0) {
        image->free_rgba = ag_free;
        ok = ff_load_still(env, path, &image->rgba, &image->width, &image->height, &image->alpha);
    }
#else
    (void)env;
#endif
    if (!ok) {
        ag_fail(err, AG_ERR_INPUT, "%s", why.text);
    }
    return ok;
}

static void close_image(void *state)
{
    struct image *image = state;
    if (image->rgba) {
        image->free_rgba(image->rgba);
    }
    ag_free(image);
}

static void *open_image(const struct source_env *env, const struct ag_source_params *params,
                        struct ag_source_info *info, struct ag_error *err)
{
    if (!params->uri) {
        ag_fail(err, AG_ERR_INPUT, "source image: no file given");
        return NULL;
    }
    struct image *image = ag_alloc(sizeof(*image));
    if (!load(image, env, params->uri, err)) {
        close_image(image);
        return NULL;
    }
    image->fps = source_fps(params->fps);
    info->width = image->width;
    info->height = image->height;
    info->fps = image->fps;
    info->seekable = true;
    const char *slash = strrchr(params->uri, '/');
    snprintf(info->description, sizeof(info->description), "%.128s: image %ux%u",
             slash ? slash + 1 : params->uri, image->width, image->height);
    return image;
}

static enum ag_next next(void *state, struct ag_frame *out, struct ag_error *err)
{
    (void)err;
    struct image *image = state;
    out->pts_ns = source_tick_ns(image->tick++, image->fps);
    out->width = image->width;
    out->height = image->height;
    out->bytes = (uint64_t)image->width * image->height * 4;
    out->layout.kind = AG_PIXEL_RGB;
    out->layout.full_range = 1;
    out->layout.alpha = image->alpha;
    for (uint32_t i = 0; i < (image->alpha ? 4u : 3u); i++) {
        out->layout.c[i] = (struct pixel_component){
            .offset = i, .pitch = image->width * 4, .step = 4, .bytes = 1, .depth = 8
        };
    }
    return AG_NEXT_FRAME;
}

static void read_pixels(void *state, uint8_t *dst)
{
    const struct image *image = state;
    memcpy(dst, image->rgba, (size_t)image->width * image->height * 4);
}

static bool seek(void *state, int64_t pts_ns, struct ag_error *err)
{
    (void)err;
    struct image *image = state;
    image->tick = source_tick_at(pts_ns, image->fps);
    return true;
}

const struct source_driver source_image = {
    .name = "image",
    .help = "a still picture (PNG, JPEG, BMP, PNM, TGA, ...), once a tick of --source-fps",
    .open = open_image,
    .close = close_image,
    .next = next,
    .read = read_pixels,
    .seek = seek,
};
