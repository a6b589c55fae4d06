// --inference-width, --inference-height, --compose-size: masks made from a smaller (or larger)
// picture than the source's, which is resized on the GPU; composed at either size.
#include "priv.h"

#include <math.h>

// One side given scales the other.
static void inference_size(const struct ag_config *c, uint32_t width, uint32_t height,
                           uint32_t *out_width, uint32_t *out_height)
{
    double w = c->inference_width, h = c->inference_height;
    if (w > 0 && h <= 0) {
        h = AG_MAX(round(height * w / width), 1);
    } else if (h > 0 && w <= 0) {
        w = AG_MAX(round(width * h / height), 1);
    }
    *out_width = w > 0 ? (uint32_t)w : width;
    *out_height = h > 0 ? (uint32_t)h : height;
}

void scaling_destroy(struct ag_pipeline *p)
{
    struct scaling *s = &p->scaling;
    ag_preprocess_destroy(p->gpu, &s->scaler);
    ag_buffer_destroy(p->gpu, &s->native);
    ag_buffer_destroy(p->gpu, &s->work[0]);
    ag_buffer_destroy(p->gpu, &s->work[1]);
    s->native_width = s->native_height = 0;
}

static bool create(struct ag_pipeline *p, struct ag_error *err)
{
    struct scaling *s = &p->scaling;
    struct ag_preprocess_config config = p->model->preprocess;
    config.exact_size = true;
    config.width = s->width;
    config.height = s->height;
    struct ag_preprocess_setup setup = { .width = s->native_width, .height = s->native_height,
                                         .config = &config, .side = 1 };
    bool fits;
    char why[256];
    s->scaler = ag_preprocess_create(p->gpu, err);
    if (!s->scaler ||
        !ag_preprocess_configure(s->scaler, &setup, &fits, why, sizeof(why), err)) {
        return false;
    }
    if (!fits) {
        return ag_fail(err, AG_ERR_INPUT, "%s: use it without --inference-width and -height", why);
    }
    if (s->compose) {
        s->native = ag_buffer_create(p->gpu, AG_MEM_DEVICE,
                                     4ull * s->native_width * s->native_height, "scaling/native",
                                     err);
        return s->native != NULL;
    }
    for (int i = 0; i < 2; i++) {
        s->work[i] = ag_buffer_create(p->gpu, AG_MEM_DEVICE, 4ull * s->width * s->height,
                                      "scaling/work", err);
        if (!s->work[i]) {
            return false;
        }
    }
    return true;
}

bool scaling_configure(struct ag_pipeline *p, uint32_t *width, uint32_t *height,
                       struct ag_error *err)
{
    struct scaling *s = &p->scaling;
    const struct ag_config *c = &p->config;
    if (*width != s->native_width || *height != s->native_height) {
        scaling_destroy(p);
        inference_size(c, *width, *height, &s->width, &s->height);
        s->compose = c->compose_size == AG_COMPOSE_INFERENCE;
        s->native_width = *width;
        s->native_height = *height;
        bool same = s->width == *width && s->height == *height;
        if (!same && !create(p, err)) {
            scaling_destroy(p);
            return false;
        }
    }
    if (s->scaler && !s->compose && p->live.mode == AG_MODE_TILED_FULL) {
        return ag_fail(err, AG_ERR_INPUT, "--mode tiled-full at another size than the source's "
                       "needs --compose-size inference");
    }
    if (s->compose) {
        *width = s->width;
        *height = s->height;
    }
    return true;
}

bool scaling_record_picture(struct ag_pipeline *p, struct ag_cmd *cmd,
                            const struct ag_frame *frame, const struct ag_buffer *staging,
                            struct ag_error *err)
{
    struct scaling *s = &p->scaling;
    unsigned now = pipeline_picture(p);
    struct ag_preprocess *converter = s->scaler ? s->scaler : p->preprocess;
    struct ag_buffer *to = s->native ? s->native : p->rgba[now];
    if (!ag_preprocess_record_picture(converter, cmd, frame, staging, to, err)) {
        return false;
    }
    if (s->native) {
        ag_preprocess_record_resized(s->scaler, cmd, s->native, p->rgba[now]);
    } else if (s->scaler) {
        ag_preprocess_record_resized(s->scaler, cmd, p->rgba[now], s->work[now]);
    }
    return true;
}

const struct ag_buffer *scaling_picture(const struct ag_pipeline *p, unsigned which)
{
    return p->scaling.work[which] ? p->scaling.work[which] : p->rgba[which];
}

void scaling_record_canvas(struct ag_pipeline *p, struct ag_cmd *cmd)
{
    const struct ag_buffer *picture = p->history;
    // The frame before is of no use to anybody who starts with a canvas made anew.
    struct ag_buffer *work = p->scaling.work[!pipeline_picture(p)];
    if (work) {
        ag_preprocess_record_resized(p->scaling.scaler, cmd, p->history, work);
        picture = work;
    }
    ag_preprocess_record_input(p->preprocess, cmd, picture, p->canvas, 0);
}

void scaling_pixel_aspect(const struct ag_pipeline *p, uint32_t *num, uint32_t *den)
{
    const struct scaling *s = &p->scaling;
    if (!s->compose || !s->scaler) {
        return;
    }
    // Sides rounded or stretched: the picture as a whole keeps its shape.
    double aspect = (double)(*num ? *num : 1) / (*den ? *den : 1) * s->native_width * s->height /
                    ((double)s->native_height * s->width);
    if (fabs(aspect - 1) < 0.01) {
        *num = *den = 1;
    } else {
        *num = (uint32_t)AG_MAX(lround(aspect * 4096), 1);
        *den = 4096;
    }
}
