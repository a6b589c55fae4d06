#include "autogaze/source.h"

#include <assert.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "driver.h"

struct ag_source {
    const struct source_driver *driver;
    void *state;
    struct source_env env;
    struct source_notice notice;
    struct ag_source_info info;
    bool jumped;          // the next frame does not follow the last
    struct ag_frame last; // what a change of size or format is measured against
};

// ---- table --------------------------------------------------------------------------------------

static const struct source_driver *const drivers[] = {
    &source_video,
    &source_camera,
    &source_image,
    &source_synthetic[AG_PATTERN_PAN],
    &source_synthetic[AG_PATTERN_PULSE],
    &source_synthetic[AG_PATTERN_LOCAL_MOTION],
    &source_synthetic[AG_PATTERN_NOISE],
    &source_synthetic[AG_PATTERN_CHECKER_PAN],
    &source_synthetic[AG_PATTERN_BENCH],
};

int ag_source_drivers(struct ag_source_listing *out, int max)
{
    int n = AG_MIN((int)AG_COUNT(drivers), max);
    for (int i = 0; i < n; i++) {
        out[i] = (struct ag_source_listing){ drivers[i]->name, drivers[i]->help };
    }
    return n;
}

static const struct source_driver *by_name(const char *name, struct ag_error *err)
{
    const char *names[AG_COUNT(drivers)];
    for (size_t i = 0; i < AG_COUNT(drivers); i++) {
        if (strcmp(drivers[i]->name, name) == 0) {
            return drivers[i];
        }
        names[i] = drivers[i]->name;
    }
    const char *near = ag_closest(name, names, AG_COUNT(names));
    ag_fail(err, AG_ERR_USAGE, "there is no source '%s'; %s%s%s", name,
            near ? "did you mean '" : "expected video, camera, image or synthetic-...",
            near ? near : "", near ? "'?" : "");
    return NULL;
}

// The name decides, not the content: a stream may only be read once.
static const struct source_driver *by_uri(const char *uri, struct ag_error *err)
{
    struct stat st;
    if (!uri) {
        ag_fail(err, AG_ERR_USAGE, "no source: give a file, a URL, or --source NAME");
        return NULL;
    }
    if (strncmp(uri, "/dev/video", 10) == 0) {
        return &source_camera;
    }
    if (stat(uri, &st) == 0 && S_ISDIR(st.st_mode)) {
        return &source_image;
    }
    // "frame%03d.png" is a sequence and "http://..." a stream: FFmpeg's business.
    bool stream = strchr(uri, '%') || strstr(uri, "://") || strncmp(uri, "lavfi:", 6) == 0;
    return !stream && ag_media_kind(uri) == AG_MEDIA_PICTURE ? &source_image : &source_video;
}

// ---- one source ---------------------------------------------------------------------------------

struct ag_source *ag_source_open(const struct ag_log *log, const struct ag_source_params *params,
                                 struct ag_error *err)
{
    const struct source_driver *driver =
        params->driver ? by_name(params->driver, err) : by_uri(params->uri, err);
    if (!driver) {
        return NULL;
    }
    struct ag_source *s = ag_alloc(sizeof(*s));
    s->driver = driver;
    s->env.log = log;
    s->env.notice = &s->notice;
    s->env.loop = params->loop;
    s->jumped = true;
    s->info.driver = driver->name;
    s->info.duration_ns = -1;
    s->state = driver->open(&s->env, params, &s->info, err);
    bool ok = s->state != NULL;
    if (ok && s->info.duration_ns > 0 && params->start_s * 1e9 > (double)s->info.duration_ns) {
        ok = ag_fail(err, AG_ERR_INPUT, "it cannot start at %g s: %s", params->start_s,
                     s->info.description);
    }
    if (ok && params->start_s > 0 && !s->info.live) {
        ok = driver->seek(s->state, (int64_t)llround(params->start_s * 1e9), false, err);
    }
    if (!ok) {
        ag_source_close(&s);
    }
    return s;
}

void ag_source_close(struct ag_source **ps)
{
    struct ag_source *s = *ps;
    if (s && s->state) {
        s->driver->close(s->state);
    }
    ag_free(s);
    *ps = NULL;
}

struct ag_source_info ag_source_get_info(const struct ag_source *s)
{
    return s->info;
}

static bool same_form(const struct ag_frame *a, const struct ag_frame *b)
{
    return a->width == b->width && a->height == b->height && a->rotation == b->rotation &&
           a->mirrored == b->mirrored && memcmp(&a->layout, &b->layout, sizeof(a->layout)) == 0;
}

enum ag_next ag_source_next(struct ag_source *s, struct ag_frame *out, struct ag_error *err)
{
    int64_t start = ag_now_ns();
    *out = (struct ag_frame){ .pts_ns = -1, .sar_num = 1, .sar_den = 1 };
    enum ag_next next = s->driver->next(s->state, out, err);
    if (next == AG_NEXT_FRAME) {
        assert(out->width > 0 && out->width <= AG_MAX_FRAME_SIDE);
        assert(out->height > 0 && out->height <= AG_MAX_FRAME_SIDE);
        out->capture_ns = ag_now_ns();
        out->source_ns = out->capture_ns - start;
        out->discontinuity |= s->jumped || !same_form(out, &s->last);
        s->jumped = false;
        s->last = *out;
    }
    return next;
}

void ag_source_read(struct ag_source *s, uint8_t *dst)
{
    s->driver->read(s->state, dst);
}

static bool seek(struct ag_source *s, int64_t pts_ns, bool before, struct ag_error *err)
{
    if (!s->info.seekable) {
        return ag_fail(err, AG_ERR_INPUT, "%s cannot seek", s->info.description);
    }
    s->jumped = true;
    return s->driver->seek(s->state, AG_MAX(pts_ns, 0), before, err);
}

bool ag_source_seek(struct ag_source *s, int64_t pts_ns, struct ag_error *err)
{
    return seek(s, pts_ns, false, err);
}

bool ag_source_seek_before(struct ag_source *s, int64_t pts_ns, struct ag_error *err)
{
    return seek(s, pts_ns, true, err);
}

void ag_source_set_loop(struct ag_source *s, bool loop)
{
    s->env.loop = loop;
}

void ag_source_interrupt(struct ag_source *s)
{
    atomic_store(&s->env.interrupted, true);
}

void source_notice(const struct source_env *env, const char *fmt, ...)
{
    va_list args;
    va_start(args, fmt);
    vsnprintf(env->notice->text, sizeof(env->notice->text), fmt, args);
    va_end(args);
    env->notice->fresh = true;
    ag_info(env->log, "%s", env->notice->text);
}

bool ag_source_notice(struct ag_source *s, char *out, size_t size)
{
    bool fresh = s->notice.fresh;
    if (fresh) {
        snprintf(out, size, "%s", s->notice.text);
    }
    s->notice.fresh = false;
    return fresh;
}

// ---- timestamps of sources without a clock ------------------------------------------------------

double source_fps(double wished)
{
    return wished > 0 && isfinite(wished) ? wished : 30;
}

int64_t source_tick_ns(uint64_t tick, double fps)
{
    return (int64_t)llround((double)tick * 1e9 / fps);
}

uint64_t source_tick_at(int64_t ns, double fps)
{
    uint64_t tick = (uint64_t)((double)ns * fps / 1e9);
    tick -= tick > 0; // rounding of the product
    while (source_tick_ns(tick, fps) < ns) {
        tick++;
    }
    return tick;
}

uint64_t source_tick_before(int64_t ns, double fps)
{
    uint64_t tick = source_tick_at(ns, fps);
    return tick - (tick > 0);
}
