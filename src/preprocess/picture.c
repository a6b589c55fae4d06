// Upload and colour conversion.
#include "internal.h"

#include <assert.h>
#include <string.h>

#include "autogaze/preprocess_ref.h"
#include "autogaze/source.h"

AG_SHADERS(preprocess);
AG_SHADERS(source);

#define GROUP_X 16
#define GROUP_Y 8
#define GENERATE_GROUP 64
#define MAX_STEP 8
#define SLACK 64 // bytes behind the samples that the last strip may read

void ag_picture_destroy(struct ag_preprocess *p)
{
    ag_buffer_destroy(p->gpu, &p->waves);
    for (uint32_t i = 0; i < 2 * AG_GENERATE_COUNT; i++) {
        ag_kernel_destroy(p->gpu, &p->generate[i / AG_GENERATE_COUNT][i % AG_GENERATE_COUNT]);
    }
    ag_buffer_destroy(p->gpu, &p->samples);
    ag_kernel_destroy(p->gpu, &p->color);
}

void ag_frame_picture_size(const struct ag_frame *frame, uint32_t *width, uint32_t *height)
{
    *width = frame->rotation % 2 ? frame->height : frame->width;
    *height = frame->rotation % 2 ? frame->width : frame->height;
}

// ---- layout ----------------------------------------------------------------------------------

static bool has_component(const struct pixel_layout *l, uint32_t i)
{
    return i == 3 ? l->alpha : i == 0 || l->kind != AG_PIXEL_GREY;
}

// First byte of the plane that component i shares with its neighbours: packed components have the
// same step and pitch and begin within a step of each other.
static uint32_t plane_of(const struct pixel_layout *l, uint32_t i)
{
    const struct pixel_component *c = &l->c[i];
    uint32_t first = c->offset;
    for (uint32_t k = 0; k < 4; k++) {
        const struct pixel_component *o = &l->c[k];
        if (has_component(l, k) && o->step == c->step && o->pitch == c->pitch &&
            o->offset < c->offset && c->offset - o->offset < c->step) {
            first = AG_MIN(first, o->offset);
        }
    }
    return first / 4 * 4;
}

// The shader trusts the layout: samples do not cross words, strips begin at words, and nothing lies
// outside of the frame's bytes.
static bool component_fits(const struct ag_frame *f, uint32_t i)
{
    const struct pixel_layout *l = &f->layout;
    const struct pixel_component *c = &l->c[i];
    bool chroma = l->kind == AG_PIXEL_YUV && (i == 1 || i == 2);
    uint32_t shift_x = chroma ? l->c[1].shift_x : 0, shift_y = chroma ? l->c[1].shift_y : 0;
    if (c->bytes < 1 || c->bytes > 2 || c->depth < 1 || c->drop + c->depth > 8 * c->bytes ||
        c->step > MAX_STEP || c->pitch % 4 || c->shift_x != shift_x || c->shift_y != shift_y ||
        shift_x > 2 || shift_y > 2) {
        return false;
    }
    uint32_t low = c->offset - plane_of(l, i);
    bool whole = c->bytes == 1 || (low % 2 == 0 && c->step % 2 == 0) ||
                 (low % 4 < 3 && c->step % 4 == 0);
    uint64_t x = (f->width - 1) >> shift_x, y = (f->height - 1) >> shift_y;
    return whole && low + c->bytes <= c->step &&
           c->offset + y * c->pitch + x * c->step + c->bytes <= f->bytes;
}

static bool check_frame(const struct ag_preprocess *p, const struct ag_frame *f,
                        struct ag_error *err)
{
    assert(f->layout.kind <= AG_PIXEL_GREY && f->layout.matrix <= AG_MATRIX_2020);
    assert(f->rotation < 4);
    uint64_t limit = ag_gpu_get_info(p->gpu)->max_buffer_bytes - SLACK;
    if (f->bytes > limit) {
        return ag_fail(err, AG_ERR_INPUT, "frame %llu of %ux%u needs %llu bytes, '%s' takes at "
                       "most %llu; choose a smaller size or 8-bit samples",
                       (unsigned long long)f->id, f->width, f->height, (unsigned long long)f->bytes,
                       ag_gpu_get_info(p->gpu)->name, (unsigned long long)limit);
    }
    for (uint32_t i = 0; i < 4; i++) {
        if (has_component(&f->layout, i) && !component_fits(f, i)) {
            return ag_fail(err, AG_ERR_INPUT, "frame %llu of %ux%u: component %u does not lie in "
                           "its %llu bytes as expected", (unsigned long long)f->id, f->width,
                           f->height, i, (unsigned long long)f->bytes);
        }
    }
    return true;
}

// ---- what a pixel format and a size need -----------------------------------------------------

static void color_constants(const struct pixel_layout *l, uint32_t *out)
{
    const struct pixel_component *chroma = &l->c[1];
    bool yuv = l->kind == AG_PIXEL_YUV;
    const uint32_t constants[COLOR_FORM] = {
        [0] = GROUP_X,
        [1] = GROUP_Y,
        [COLOR_KIND] = l->kind,
        [COLOR_ALPHA] = l->alpha,
        [COLOR_SHIFT_X] = yuv ? chroma->shift_x : 0,
        [COLOR_SHIFT_Y] = yuv ? chroma->shift_y : 0,
        [COLOR_CHROMA_X] = yuv && chroma->shift_x ? l->chroma_x : 0,
        [COLOR_CHROMA_Y] = yuv && chroma->shift_y ? l->chroma_y : 0,
    };
    memcpy(out, constants, sizeof(constants));
    for (uint32_t i = 0; i < 4; i++) {
        const struct pixel_component *c = &l->c[i];
        out[COLOR_FORM + i] = !has_component(l, i) ? 0 :
            COLOR_FORM_OF(c->step, c->drop, c->depth, c->offset - plane_of(l, i));
    }
}

// The kernel is made for the pixel format; a stream seldom has more than one.
static bool make_kernel(struct ag_preprocess *p, const struct ag_frame *f, struct ag_error *err)
{
    uint32_t constants[COLOR_CONSTANTS];
    color_constants(&f->layout, constants);
    if (p->color && memcmp(constants, p->color_constants, sizeof(constants)) == 0) {
        return true;
    }
    ag_kernel_destroy(p->gpu, &p->color);
    struct ag_kernel_params params = { &ag_shaders_preprocess, "color", constants,
                                       COLOR_CONSTANTS };
    p->color = ag_kernel_create(p->gpu, &params, err);
    memcpy(p->color_constants, constants, sizeof(constants));
    return p->color != NULL;
}

static bool reserve_samples(struct ag_preprocess *p, const struct ag_frame *f, struct ag_error *err)
{
    uint64_t bytes = AG_ALIGN_UP(f->bytes + SLACK, 4);
    if (p->samples && p->samples->size >= bytes) {
        return true;
    }
    ag_buffer_destroy(p->gpu, &p->samples);
    p->samples = ag_buffer_create(p->gpu, AG_MEM_DEVICE, bytes, "preprocess/samples", err);
    return p->samples != NULL;
}

// ---- recording -------------------------------------------------------------------------------

static struct color_args color_args(const struct ag_frame *f)
{
    struct ag_color_matrix k;
    ag_ref_color_matrix(&f->layout, &k);
    struct color_args a = { .width = f->width, .height = f->height, .mirrored = f->mirrored,
                            .rotation = f->rotation, .alpha = k.alpha };
    for (uint32_t i = 0; i < 3; i++) {
        a.bias[i] = k.bias[i];
        for (uint32_t j = 0; j < 3; j++) {
            a.m[i * 3 + j] = k.m[i][j];
        }
    }
    for (uint32_t i = 0; i < 4; i++) {
        a.word[i] = plane_of(&f->layout, i) / 4;
        a.pitch[i] = f->layout.c[i].pitch / 4;
    }
    return a;
}

static bool record_samples(struct ag_preprocess *p, struct ag_cmd *cmd,
                           const struct ag_frame *frame, const struct ag_buffer *staging,
                           struct ag_buffer *rgba, struct ag_error *err)
{
    if (!check_frame(p, frame, err) || !make_kernel(p, frame, err) ||
        !reserve_samples(p, frame, err)) {
        return false;
    }
    ag_cmd_stage_begin(cmd, AG_STAGE_UPLOAD);
    ag_cmd_copy(cmd, p->samples, 0, staging, 0, frame->bytes);
    ag_cmd_barrier(cmd);
    ag_cmd_stage_end(cmd);

    ag_cmd_stage_begin(cmd, AG_STAGE_COLOR);
    struct color_args a = color_args(frame);
    uint32_t strip = COLOR_STRIP(p->color_constants[COLOR_SHIFT_X]);
    uint64_t bytes = (uint64_t)frame->width * frame->height * 4;
    ag_dispatch(cmd, p->color, AG_BIND({ p->samples }, { rgba, 0, bytes }), &a, sizeof(a),
                AG_DIV_UP(frame->width, GROUP_X * strip), AG_DIV_UP(frame->height, GROUP_Y), 1);
    ag_cmd_barrier(cmd);
    ag_cmd_stage_end(cmd);
    return true;
}

// Only grows; pan has the largest table of all patterns.
static bool reserve_waves(struct ag_preprocess *p, uint64_t slot, struct ag_error *err)
{
    if (p->waves && p->waves->size >= slot * AG_CMD_SLOTS) {
        return true;
    }
    ag_buffer_destroy(p->gpu, &p->waves);
    uint64_t size = slot * AG_CMD_SLOTS;
    p->waves = ag_buffer_create(p->gpu, AG_MEM_UPLOAD, size, "preprocess/waves", err);
    return p->waves != NULL;
}

static struct ag_kernel *make_generator(struct ag_preprocess *p, uint32_t pattern, bool quad,
                                        struct ag_error *err)
{
    struct ag_kernel **kernel = &p->generate[quad][pattern];
    struct ag_kernel_params params = { &ag_shaders_source, quad ? "generate.quad" : "generate",
                                       AG_CONSTANTS(GENERATE_GROUP, pattern) };
    if (!*kernel) {
        *kernel = ag_kernel_create(p->gpu, &params, err);
    }
    return *kernel;
}

static bool record_generated(struct ag_preprocess *p, struct ag_cmd *cmd,
                             const struct ag_frame *f, struct ag_buffer *rgba,
                             struct ag_error *err)
{
    uint64_t table = ag_pattern_table_floats(AG_PATTERN_PAN, f->width, f->height) * sizeof(float);
    uint64_t slot = AG_ALIGN_UP(table, BIND_ALIGN);
    if (!reserve_waves(p, slot, err)) {
        return false;
    }
    slot = p->waves->size / AG_CMD_SLOTS;
    uint64_t at = p->next_waves++ % AG_CMD_SLOTS * slot;
    struct generate_args a;
    ag_pattern_prepare(f->pattern, f->index, f->width, f->height, &a,
                       (float *)((uint8_t *)p->waves->data + at));
    ag_buffer_flush(p->gpu, p->waves);
    uint32_t parts = f->width % 4 == 0 ? 4 : 1;
    const struct ag_kernel *kernel = make_generator(p, a.pattern, parts == 4, err);
    if (!kernel) {
        return false;
    }

    ag_cmd_stage_begin(cmd, AG_STAGE_GENERATE);
    uint64_t bytes = (uint64_t)f->width * f->height * 4;
    ag_dispatch(cmd, kernel, AG_BIND({ rgba, 0, bytes }, { p->waves, at, slot }), &a,
                sizeof(a), AG_DIV_UP(f->width / parts, GENERATE_GROUP),
                AG_DIV_UP(f->height, GENERATE_ROWS), 1);
    ag_cmd_barrier(cmd);
    ag_cmd_stage_end(cmd);
    return true;
}

bool ag_preprocess_record_picture(struct ag_preprocess *p, struct ag_cmd *cmd,
                                  const struct ag_frame *frame, const struct ag_buffer *staging,
                                  struct ag_buffer *rgba, struct ag_error *err)
{
    uint32_t width, height;
    ag_frame_picture_size(frame, &width, &height);
    assert(width == p->width && height == p->height);
    assert(rgba->size >= (uint64_t)width * height * 4);
    return frame->layout.kind == AG_PIXEL_GENERATED
               ? record_generated(p, cmd, frame, rgba, err)
               : record_samples(p, cmd, frame, staging, rgba, err);
}
