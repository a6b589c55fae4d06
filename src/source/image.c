// Still pictures: one is decoded once to RGBA8 and shown again at every tick, so that inference can
// be repeated on purpose; of a folder every tick shows the next. stb_image reads the usual formats
// the same way in every build; FFmpeg, where it is built in, reads the others.
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "driver.h"
#include "stb.h"

#ifdef AUTOGAZE_FFMPEG
#include "ffmpeg.h"
#endif

#define MAX_FILE_BYTES ((size_t)1 << 30)

struct image {
    const struct source_env *env;
    double fps;
    uint64_t tick;
    char **paths;  // of a folder, else NULL
    int n, loaded; // pictures; which of them is in rgba, -1 none
    bool damaged;  // one could not be read: said once
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

static void drop(struct image *image)
{
    if (image->rgba) {
        image->free_rgba(image->rgba);
        image->rgba = NULL;
    }
    image->loaded = -1;
}

static void close_image(void *state)
{
    struct image *image = state;
    drop(image);
    ag_media_free(image->paths, image->n);
    ag_free(image);
}

// The next picture of the folder that can be read, from the tick's own on. False: none is left.
static bool load_tick(struct image *image, struct ag_error *err)
{
    for (; image->tick < (uint64_t)image->n; image->tick++) {
        int i = (int)image->tick;
        if (i == image->loaded) {
            return true;
        }
        drop(image);
        if (load(image, image->env, image->paths[i], err)) {
            image->loaded = i;
            return true;
        }
        if (!image->damaged) {
            ag_warn(image->env->log, "%s: it is left out, and others like it", err->text);
        }
        image->damaged = true;
    }
    return false;
}

static bool open_folder(struct image *image, const char *path, struct ag_source_info *info,
                        struct ag_error *err)
{
    image->n = ag_media_list(path, AG_MEDIA_PICTURE, &image->paths, err);
    if (image->n < 0) {
        image->n = 0;
        return false;
    }
    if (image->n == 0) {
        return ag_fail(err, AG_ERR_INPUT, "'%s' is a directory without pictures: give a video "
                       "file, a picture or a folder of them", path);
    }
    struct ag_error why = { 0 };
    if (!load_tick(image, &why)) {
        return ag_fail(err, AG_ERR_INPUT, "of the %d pictures in '%s' none can be read (%s)",
                       image->n, path, why.text);
    }
    info->duration_ns = source_tick_ns((uint64_t)image->n, image->fps);
    snprintf(info->description, sizeof(info->description), "%.128s: %d images, the first %ux%u",
             path, image->n, image->width, image->height);
    return true;
}

static bool open_file(struct image *image, const char *path, struct ag_source_info *info,
                      struct ag_error *err)
{
    if (!load(image, image->env, path, err)) {
        return false;
    }
    const char *slash = strrchr(path, '/');
    snprintf(info->description, sizeof(info->description), "%.128s: image %ux%u",
             slash ? slash + 1 : path, image->width, image->height);
    return true;
}

static void *open_image(const struct source_env *env, const struct ag_source_params *params,
                        struct ag_source_info *info, struct ag_error *err)
{
    struct stat st;
    struct ag_error why = { 0 };
    if (!params->uri) {
        ag_fail(err, AG_ERR_INPUT, "source image: no file given");
        return NULL;
    }
    struct image *image = ag_alloc(sizeof(*image));
    image->env = env;
    image->fps = source_fps(params->fps);
    image->loaded = -1;
    bool folder = stat(params->uri, &st) == 0 && S_ISDIR(st.st_mode);
    bool ok = folder ? open_folder(image, params->uri, info, &why)
                     : open_file(image, params->uri, info, &why);
    if (!ok) {
        ag_fail(err, AG_ERR_INPUT, "%s", why.text);
        close_image(image);
        return NULL;
    }
    info->width = image->width;
    info->height = image->height;
    info->fps = image->fps;
    info->seekable = true;
    return image;
}

static enum ag_next next(void *state, struct ag_frame *out, struct ag_error *err)
{
    struct image *image = state;
    struct ag_error why = { 0 };
    if (image->paths && !load_tick(image, &why)) {
        if (!image->env->loop) {
            return AG_NEXT_END;
        }
        image->tick = 0;
        out->discontinuity = true;
        if (!load_tick(image, &why)) { // all of them have gone
            ag_fail(err, AG_ERR_INPUT, "%s", why.text);
            return AG_NEXT_ERROR;
        }
    }
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

static bool seek(void *state, int64_t pts_ns, bool before, struct ag_error *err)
{
    (void)err;
    struct image *image = state;
    image->tick =
        before ? source_tick_before(pts_ns, image->fps) : source_tick_at(pts_ns, image->fps);
    return true;
}

const struct source_driver source_image = {
    .name = "image",
    .help = "a still picture (PNG, JPEG, ...), or those of a folder, one a tick of --source-fps",
    .open = open_image,
    .close = close_image,
    .next = next,
    .read = read_pixels,
    .seek = seek,
};
