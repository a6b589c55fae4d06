// Upload and colour conversion.
#include "internal.h"

#include <assert.h>

#include "autogaze/preprocess_ref.h"
#include "interface/color_args.h"

AG_SHADERS(preprocess);

#define GROUP_X 16
#define GROUP_Y 8
#define STRIP 4 // samples an invocation of color.comp converts

bool ag_picture_create(struct ag_preprocess *p, struct ag_error *err)
{
    for (uint32_t i = 0; i < 4; i++) {
        struct ag_kernel_params params = {
            .library = &ag_shaders_preprocess,
            .name = "color",
            AG_CONSTANTS(GROUP_X, GROUP_Y, i / 2, i % 2),
        };
        p->color[i / 2][i % 2] = ag_kernel_create(p->gpu, &params, err);
        if (!p->color[i / 2][i % 2]) {
            return false;
        }
    }
    return true;
}

void ag_picture_destroy(struct ag_preprocess *p)
{
    ag_buffer_destroy(p->gpu, &p->samples);
    for (uint32_t i = 0; i < 4; i++) {
        ag_kernel_destroy(p->gpu, &p->color[i / 2][i % 2]);
    }
}

void ag_frame_picture_size(const struct ag_frame *frame, uint32_t *width, uint32_t *height)
{
    *width = frame->rotation % 2 ? frame->height : frame->width;
    *height = frame->rotation % 2 ? frame->width : frame->height;
}

// ---- is the frame what it says? --------------------------------------------------------------

// The shader trusts the layout: nothing of it may lie outside of the samples.
static bool component_fits(const struct ag_frame *f, const struct pixel_component *c)
{
    if (c->bytes < 1 || c->bytes > 2 || c->depth < 1 || c->drop + c->depth > 8 * c->bytes ||
        c->step > 255 || c->shift_x > 3 || c->shift_y > 3) {
        return false;
    }
    if (c->bytes == 2 && (c->offset | c->pitch | c->step) % 2) {
        return false; // would cross a word
    }
    uint64_t x = (f->width - 1) >> c->shift_x, y = (f->height - 1) >> c->shift_y;
    return c->offset + y * c->pitch + x * c->step + c->bytes <= f->bytes;
}

static bool check_frame(const struct ag_preprocess *p, const struct ag_frame *f,
                        const struct ag_color_matrix *k, struct ag_error *err)
{
    uint64_t limit = ag_gpu_get_info(p->gpu)->max_buffer_bytes;
    if (f->bytes > limit) {
        return ag_fail(err, AG_ERR_INPUT, "frame %llu of %ux%u needs %llu bytes, '%s' takes at "
                       "most %llu in one buffer; choose a smaller size or 8-bit samples",
                       (unsigned long long)f->id, f->width, f->height, (unsigned long long)f->bytes,
                       ag_gpu_get_info(p->gpu)->name, (unsigned long long)limit);
    }
    for (uint32_t i = 0; i < 4; i++) {
        bool used = i < k->components || (i == 3 && f->layout.alpha);
        if (used && !component_fits(f, &f->layout.c[i])) {
            return ag_fail(err, AG_ERR_INPUT, "frame %llu of %ux%u: component %u does not lie in "
                           "its %llu bytes", (unsigned long long)f->id, f->width, f->height, i,
                           (unsigned long long)f->bytes);
        }
    }
    return true;
}

// ---- recording -------------------------------------------------------------------------------

static bool reserve_samples(struct ag_preprocess *p, uint64_t bytes, struct ag_error *err)
{
    bytes = AG_ALIGN_UP(bytes, 4); // read in words
    if (p->samples && p->samples->size >= bytes) {
        return true;
    }
    ag_buffer_destroy(p->gpu, &p->samples);
    p->samples = ag_buffer_create(p->gpu, AG_MEM_DEVICE, bytes, "preprocess/samples", err);
    return p->samples != NULL;
}

static struct color_args color_args(const struct ag_frame *f, const struct ag_color_matrix *k)
{
    struct color_args a = {
        .width = f->width,
        .height = f->height,
        .rotation = f->rotation,
        .components = k->components,
        .chroma_x = f->layout.chroma_x,
        .chroma_y = f->layout.chroma_y,
        .alpha = k->alpha,
    };
    for (uint32_t i = 0; i < 3; i++) {
        a.bias[i] = k->bias[i];
        for (uint32_t j = 0; j < 3; j++) {
            a.m[i * 3 + j] = k->m[i][j];
        }
    }
    for (uint32_t i = 0; i < 4; i++) {
        const struct pixel_component *c = &f->layout.c[i];
        a.offset[i] = c->offset;
        a.pitch[i] = c->pitch;
        a.form[i] = c->step | c->drop << 8 | c->depth << 16 | c->shift_x << 24 | c->shift_y << 28;
    }
    return a;
}

static void record_color(struct ag_preprocess *p, struct ag_cmd *cmd, const struct ag_frame *f,
                         const struct ag_color_matrix *k, struct ag_buffer *rgba)
{
    struct color_args a = color_args(f, k);
    const struct pixel_component *chroma = &f->layout.c[1];
    bool yuv = f->layout.kind == AG_PIXEL_YUV;
    uint64_t bytes = (uint64_t)f->width * f->height * 4;
    ag_dispatch(cmd, p->color[yuv && chroma->shift_x][yuv && chroma->shift_y],
                AG_BIND({ p->samples }, { rgba, 0, bytes }), &a, sizeof(a),
                AG_DIV_UP(f->width, GROUP_X * STRIP), AG_DIV_UP(f->height, GROUP_Y), 1);
}

bool ag_preprocess_record_picture(struct ag_preprocess *p, struct ag_cmd *cmd,
                                  const struct ag_frame *frame, const struct ag_buffer *staging,
                                  struct ag_buffer *rgba, struct ag_error *err)
{
    uint32_t width, height;
    ag_frame_picture_size(frame, &width, &height);
    assert(width == p->width && height == p->height);
    assert(rgba->size >= (uint64_t)width * height * 4);

    struct ag_color_matrix k;
    ag_ref_color_matrix(&frame->layout, &k);
    if (!check_frame(p, frame, &k, err) || !reserve_samples(p, frame->bytes, err)) {
        return false;
    }
    ag_cmd_stage_begin(cmd, AG_STAGE_UPLOAD);
    ag_cmd_copy(cmd, p->samples, 0, staging, 0, frame->bytes);
    ag_cmd_barrier(cmd);
    ag_cmd_stage_end(cmd);

    ag_cmd_stage_begin(cmd, AG_STAGE_COLOR);
    record_color(p, cmd, frame, &k, rgba);
    ag_cmd_barrier(cmd);
    ag_cmd_stage_end(cmd);
    return true;
}
