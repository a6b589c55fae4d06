// Synthetic sources: frames that are drawn on the GPU (shaders/source/generate.comp), so that
// nothing but an index crosses the bus.
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "driver.h"

struct synthetic {
    enum ag_pattern pattern;
    double fps;
    uint32_t width, height;
    uint64_t tick;
};

static uint32_t other_side(uint32_t given, double factor)
{
    return (uint32_t)fmax(round(given * factor), 1);
}

static enum ag_pattern pattern_by_name(const char *name)
{
    int p = 0;
    while (strcmp(ag_pattern_name(p), name) != 0) {
        p++;
    }
    return p;
}

static void *open_pattern(const struct source_env *env, const struct ag_source_params *params,
                          struct ag_source_info *info, struct ag_error *err)
{
    (void)env;
    uint32_t width = params->width, height = params->height;
    if (!width && !height) {
        width = 1280;
        height = 720;
    }
    width = width ? width : other_side(height, 16.0 / 9.0);
    height = height ? height : other_side(width, 9.0 / 16.0);
    if (width > AG_MAX_FRAME_SIDE || height > AG_MAX_FRAME_SIDE) {
        ag_fail(err, AG_ERR_INPUT, "%s cannot be %ux%u: a side has at most %d pixels", info->driver,
                width, height, AG_MAX_FRAME_SIDE);
        return NULL;
    }
    struct synthetic *s = ag_alloc(sizeof(*s));
    s->pattern = pattern_by_name(info->driver);
    s->fps = source_fps(params->fps);
    s->width = info->width = width;
    s->height = info->height = height;
    info->fps = s->fps;
    info->seekable = true;
    snprintf(info->description, sizeof(info->description), "%s %ux%u %g fps", info->driver, width,
             height, s->fps);
    return s;
}

static void close_pattern(void *state)
{
    ag_free(state);
}

static enum ag_next next(void *state, struct ag_frame *out, struct ag_error *err)
{
    (void)err;
    struct synthetic *s = state;
    out->pts_ns = source_tick_ns(s->tick, s->fps);
    out->width = s->width;
    out->height = s->height;
    out->layout.kind = AG_PIXEL_GENERATED;
    out->pattern = s->pattern;
    out->index = (uint32_t)s->tick;
    s->tick++;
    return AG_NEXT_FRAME;
}

static void read_nothing(void *state, uint8_t *dst)
{
    (void)state;
    (void)dst;
}

static bool seek(void *state, int64_t pts_ns, bool before, struct ag_error *err)
{
    (void)err;
    struct synthetic *s = state;
    s->tick =
        before ? source_tick_before(pts_ns, s->fps) : source_tick_at(pts_ns, s->fps);
    return true;
}

// Drivers that differ in name only.
#define DRIVER(text, what)                                                                         \
    {                                                                                              \
        .name = text, .help = what, .open = open_pattern, .close = close_pattern, .next = next,    \
        .read = read_nothing, .seek = seek                                                         \
    }

const struct source_driver source_synthetic[AG_PATTERN_COUNT] = {
    [AG_PATTERN_PAN] = DRIVER("synthetic-pan", "a square and a circle over a drifting wave"),
    [AG_PATTERN_PULSE] = DRIVER("synthetic-pulse", "pan that stands still, moves and holds"),
    [AG_PATTERN_LOCAL_MOTION] =
        DRIVER("synthetic-local-motion", "a patch with strong, subtle and no motion"),
    [AG_PATTERN_NOISE] = DRIVER("synthetic-noise", "every pixel new in every frame"),
    [AG_PATTERN_CHECKER_PAN] = DRIVER("synthetic-checker-pan", "a moving chequerboard"),
    [AG_PATTERN_BENCH] = DRIVER("synthetic-bench", "moving ramps, those of the golden images"),
};
