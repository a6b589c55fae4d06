// Picture to model input: tables and buffers for a size, three dispatches a frame.
#include "internal.h"

#include <assert.h>
#include <stdio.h>
#include <string.h>

#include "autogaze/preprocess_ref.h"

AG_SHADERS(preprocess);

#define GROUP_X 16
#define GROUP_Y 8
#define MAX_ASPECT 50

struct ag_preprocess *ag_preprocess_create(struct ag_gpu *gpu, struct ag_error *err)
{
    struct ag_preprocess *p = ag_alloc(sizeof(*p));
    p->gpu = gpu;
    struct ag_kernel_params rows = { &ag_shaders_preprocess, "resize",
                                     AG_CONSTANTS(GROUP_X, GROUP_Y, false) };
    struct ag_kernel_params columns = { &ag_shaders_preprocess, "resize",
                                        AG_CONSTANTS(GROUP_X, GROUP_Y, true) };
    struct ag_kernel_params bicubic = { &ag_shaders_preprocess, "bicubic",
                                        AG_CONSTANTS(GROUP_X, GROUP_Y) };
    struct ag_kernel_params tiles = { &ag_shaders_preprocess, "tiles",
                                      AG_CONSTANTS(GROUP_X, GROUP_Y) };
    if (!(p->rows = ag_kernel_create(gpu, &rows, err)) ||
        !(p->columns = ag_kernel_create(gpu, &columns, err)) ||
        !(p->bicubic = ag_kernel_create(gpu, &bicubic, err)) ||
        !(p->tiles = ag_kernel_create(gpu, &tiles, err))) {
        ag_preprocess_destroy(gpu, &p);
    }
    return p;
}

static void drop_size(struct ag_preprocess *p)
{
    ag_buffer_destroy(p->gpu, &p->tables);
    ag_buffer_destroy(p->gpu, &p->narrow);
    ag_buffer_destroy(p->gpu, &p->resized);
    p->width = p->height = 0;
    p->tile_args = (struct tile_args){ 0 };
    p->inferable = false;
}

void ag_preprocess_destroy(struct ag_gpu *gpu, struct ag_preprocess **p)
{
    struct ag_preprocess *dead = *p;
    if (dead) {
        drop_size(dead);
        ag_picture_destroy(dead);
        ag_kernel_destroy(gpu, &dead->rows);
        ag_kernel_destroy(gpu, &dead->columns);
        ag_kernel_destroy(gpu, &dead->bicubic);
        ag_kernel_destroy(gpu, &dead->tiles);
        ag_free(dead);
    }
    *p = NULL;
}

// ---- tables ----------------------------------------------------------------------------------

struct words {
    uint32_t *data;
    uint32_t n;
};

static uint32_t put(struct words *w, const void *words, uint32_t n)
{
    uint32_t at = w->n;
    memcpy(w->data + at, words, n * sizeof(*w->data));
    w->n += n;
    return at;
}

// [n][taps] of the reference -> [taps][n], so that neighbouring invocations read neighbours.
static uint32_t put_transposed(struct words *w, const void *words, uint32_t n, uint32_t taps)
{
    const uint32_t *src = words;
    uint32_t at = w->n;
    for (uint32_t t = 0; t < taps; t++) {
        for (uint32_t i = 0; i < n; i++) {
            w->data[w->n++] = src[(size_t)i * taps + t];
        }
    }
    return at;
}

static void put_triangle(struct words *w, struct resize_args *a)
{
    uint32_t *first = ag_alloc(sizeof(*first) * a->n_out);
    int32_t *weights = ag_alloc(sizeof(*weights) * a->n_out * a->taps);
    ag_ref_triangle_taps(a->n_in, a->n_out, first, weights);
    a->first = put(w, first, a->n_out);
    a->weights = put_transposed(w, weights, a->n_out, a->taps);
    ag_free(weights);
    ag_free(first);
}

// An axis that keeps its size needs one tap of weight 1.
static uint32_t put_bicubic(struct words *w, uint32_t n_in, uint32_t n_out, uint32_t *index_at,
                            uint32_t *weight_at)
{
    uint32_t *index = ag_alloc(sizeof(*index) * 4 * n_out);
    float *weight = ag_alloc(sizeof(*weight) * 4 * n_out);
    uint32_t taps = 4;
    ag_ref_bicubic_taps(n_in, n_out, index, weight);
    if (n_in == n_out) {
        taps = 1;
        for (uint32_t i = 0; i < n_out; i++) {
            index[i] = i;
            weight[i] = 1.0f;
        }
    }
    *index_at = put_transposed(w, index, n_out, taps);
    *weight_at = put_transposed(w, weight, n_out, taps);
    ag_free(weight);
    ag_free(index);
    return taps;
}

static struct resize_args axis(uint32_t n_in, uint32_t n_out, uint32_t lines)
{
    return (struct resize_args){ .n_in = n_in, .n_out = n_out, .lines = lines,
                                 .taps = ag_ref_triangle_taps(n_in, n_out, NULL, NULL) };
}

static bool create_tables(struct ag_preprocess *p, const struct ag_preprocess_config *config,
                          struct ag_error *err)
{
    struct resize_args *r = &p->row_args, *c = &p->column_args;
    struct bicubic_args *b = &p->bicubic_args;
    size_t most = (size_t)r->n_out * (r->taps + 1) + (size_t)c->n_out * (c->taps + 1) + 3 * 256 +
                  (size_t)b->side * 16;
    struct words w = { .data = ag_alloc(most * sizeof(*w.data)) };
    put_triangle(&w, r);
    put_triangle(&w, c);
    float lut[3 * 256];
    ag_ref_lut(config, lut);
    b->lut = put(&w, lut, AG_COUNT(lut));
    b->taps_x = put_bicubic(&w, b->width, b->side, &b->index_x, &b->weight_x);
    b->taps_y = put_bicubic(&w, b->height, b->side, &b->index_y, &b->weight_y);
    assert(w.n <= most);
    uint64_t bytes = w.n * sizeof(*w.data);
    p->tables = ag_buffer_create(p->gpu, AG_MEM_DEVICE, bytes, "preprocess/tables", err);
    bool ok = p->tables && ag_buffer_load(p->gpu, p->tables, 0, w.data, bytes, err);
    ag_free(w.data);
    return ok;
}

// Of a tiles' canvas: bilinear, or each pixel of the picture and then nothing.
static void put_tile_axis(struct words *w, uint32_t n_in, uint32_t n_out, bool padded,
                          uint32_t *index_at, uint32_t *weight_at)
{
    uint32_t *index = ag_alloc(sizeof(*index) * 2 * n_out); // zeros
    float *weight = ag_alloc(sizeof(*weight) * 2 * n_out);
    if (!padded) {
        ag_ref_linear_taps(n_in, n_out, index, weight);
    }
    for (uint32_t i = 0; padded && i < n_in; i++) {
        index[2 * i] = index[2 * i + 1] = i;
        weight[2 * i] = 1.0f;
    }
    *index_at = put_transposed(w, index, n_out, 2);
    *weight_at = put_transposed(w, weight, n_out, 2);
    ag_free(weight);
    ag_free(index);
}

static bool create_tile_tables(struct ag_preprocess *p, const struct ag_preprocess_setup *s,
                               struct ag_error *err)
{
    struct tile_args *a = &p->tile_args;
    uint32_t width = s->tile_cols * s->side, height = s->tile_rows * s->side;
    *a = (struct tile_args){ .width = s->width, .side = s->side, .cols = s->tile_cols,
                             .rows = s->tile_rows };
    struct words w = { .data = ag_alloc((3 * 256 + 4 * ((size_t)width + height)) *
                                        sizeof(*w.data)) };
    float lut[3 * 256];
    ag_ref_lut(s->config, lut);
    a->lut = put(&w, lut, AG_COUNT(lut));
    put_tile_axis(&w, s->width, width, s->padded, &a->index_x, &a->weight_x);
    put_tile_axis(&w, s->height, height, s->padded, &a->index_y, &a->weight_y);
    uint64_t bytes = w.n * sizeof(*w.data);
    p->tables = ag_buffer_create(p->gpu, AG_MEM_DEVICE, bytes, "preprocess/tables", err);
    bool ok = p->tables && ag_buffer_load(p->gpu, p->tables, 0, w.data, bytes, err);
    ag_free(w.data);
    return ok;
}

static struct ag_buffer *create_picture(struct ag_preprocess *p, uint32_t width, uint32_t height,
                                        const char *name, struct ag_error *err)
{
    return ag_buffer_create(p->gpu, AG_MEM_DEVICE, (uint64_t)width * height * 4, name, err);
}

// ---- configuration ---------------------------------------------------------------------------

static bool check_size(struct ag_preprocess *p, const struct ag_preprocess_setup *s,
                       struct ag_error *err)
{
    const struct ag_gpu_info *info = ag_gpu_get_info(p->gpu);
    uint64_t bytes = (uint64_t)s->width * s->height * 4;
    if (s->width < 1 || s->height < 1 || s->width > AG_MAX_FRAME_SIDE ||
        s->height > AG_MAX_FRAME_SIDE) {
        return ag_fail(err, AG_ERR_INPUT, "pictures of %ux%u cannot be used, sides may be 1 to %u",
                       s->width, s->height, AG_MAX_FRAME_SIDE);
    }
    if (bytes > info->max_buffer_bytes) {
        return ag_fail(err, AG_ERR_INPUT, "pictures of %ux%u need %llu bytes, '%s' takes at most "
                       "%llu in one buffer; choose a smaller size", s->width, s->height,
                       (unsigned long long)bytes, info->name,
                       (unsigned long long)info->max_buffer_bytes);
    }
    return true;
}

bool ag_preprocess_configure(struct ag_preprocess *p, const struct ag_preprocess_setup *s,
                             bool *inferable, char *why, size_t why_size, struct ag_error *err)
{
    drop_size(p);
    if (!check_size(p, s, err)) {
        return false;
    }
    snprintf(why, why_size, "%s", "");
    if (s->tile_cols) {
        assert(s->tile_rows && (!s->padded || (s->tile_cols * s->side >= s->width &&
                                               s->tile_rows * s->side >= s->height)));
        *inferable = true;
        if (!create_tile_tables(p, s, err)) {
            drop_size(p);
            return false;
        }
        p->width = s->width;
        p->height = s->height;
        p->inferable = true;
        return true;
    }
    *inferable = AG_MAX(s->width, s->height) <= MAX_ASPECT * AG_MIN(s->width, s->height);
    if (!*inferable) {
        snprintf(why, why_size, "the picture is longer than %d:1 (%ux%u): no mask for it",
                 MAX_ASPECT, s->width, s->height);
        p->width = s->width;
        p->height = s->height;
        return true;
    }
    uint32_t width = s->config->width, height = s->config->height;
    if (!s->config->exact_size) {
        ag_ref_shortest_edge(s->width, s->height, s->config->width, &width, &height);
    }
    p->row_args = axis(s->width, width, s->height);
    p->column_args = axis(s->height, height, width);
    p->bicubic_args = (struct bicubic_args){ .width = width, .height = height, .side = s->side };
    if (!create_tables(p, s->config, err) ||
        (width != s->width &&
         !(p->narrow = create_picture(p, width, s->height, "preprocess/narrow", err))) ||
        (height != s->height &&
         !(p->resized = create_picture(p, width, height, "preprocess/resized", err)))) {
        drop_size(p);
        return false;
    }
    p->width = s->width;
    p->height = s->height;
    p->inferable = true;
    return true;
}

// ---- recording -------------------------------------------------------------------------------

static void record_tiles(struct ag_preprocess *p, struct ag_cmd *cmd, const struct ag_buffer *rgba,
                         struct ag_buffer *input, uint64_t offset)
{
    struct tile_args a = p->tile_args;
    uint64_t rest = offset % BIND_ALIGN, pixels = (uint64_t)a.cols * a.rows * a.side * a.side;
    a.first = (uint32_t)(rest / 4);
    ag_cmd_stage_begin(cmd, AG_STAGE_RESIZE);
    ag_dispatch(cmd, p->tiles,
                AG_BIND({ p->tables }, { rgba, 0, (uint64_t)p->width * p->height * 4 },
                        { input, offset - rest, rest + 3 * pixels * sizeof(float) }),
                &a, sizeof(a), AG_DIV_UP(a.cols * a.side, GROUP_X),
                AG_DIV_UP(a.rows * a.side, GROUP_Y), 1);
    ag_cmd_barrier(cmd);
    ag_cmd_stage_end(cmd);
}

// Rows, then columns, as far as sizes change; the last pass writes to `out`. Returns where the
// result is.
static const struct ag_buffer *record_triangle(struct ag_preprocess *p, struct ag_cmd *cmd,
                                               const struct ag_buffer *rgba,
                                               const struct ag_buffer *out)
{
    const struct resize_args *r = &p->row_args, *c = &p->column_args;
    struct ag_binding src = { rgba, 0, (uint64_t)p->width * p->height * 4 };
    if (p->narrow) {
        const struct ag_buffer *to = p->resized ? p->narrow : out;
        ag_dispatch(cmd, p->rows, AG_BIND({ p->tables }, src, { to }), r, sizeof(*r),
                    AG_DIV_UP(r->n_out, GROUP_X), AG_DIV_UP(r->lines, RESIZE_LINES * GROUP_Y), 1);
        ag_cmd_barrier(cmd);
        src = (struct ag_binding){ to };
    }
    if (p->resized) {
        ag_dispatch(cmd, p->columns, AG_BIND({ p->tables }, src, { out }), c, sizeof(*c),
                    AG_DIV_UP(c->lines, RESIZE_LINES * GROUP_X), AG_DIV_UP(c->n_out, GROUP_Y), 1);
        ag_cmd_barrier(cmd);
        src = (struct ag_binding){ out };
    }
    return src.buffer;
}

void ag_preprocess_record_resized(struct ag_preprocess *p, struct ag_cmd *cmd,
                                  const struct ag_buffer *rgba, struct ag_buffer *out)
{
    assert(p->inferable && !p->tile_args.cols);
    ag_cmd_stage_begin(cmd, AG_STAGE_RESIZE);
    if (record_triangle(p, cmd, rgba, out) == rgba) {
        ag_cmd_copy(cmd, out, 0, rgba, 0, (uint64_t)p->width * p->height * 4);
        ag_cmd_barrier(cmd);
    }
    ag_cmd_stage_end(cmd);
}

void ag_preprocess_record_input(struct ag_preprocess *p, struct ag_cmd *cmd,
                                const struct ag_buffer *rgba, struct ag_buffer *input,
                                uint64_t offset)
{
    assert(p->inferable && offset % 4 == 0);
    if (p->tile_args.cols) {
        record_tiles(p, cmd, rgba, input, offset);
        return;
    }
    struct bicubic_args b = p->bicubic_args;
    b.first = offset % BIND_ALIGN / 4;
    struct ag_binding dst = { input, offset - offset % BIND_ALIGN,
                              offset % BIND_ALIGN + sizeof(float) * 3 * b.side * b.side };

    ag_cmd_stage_begin(cmd, AG_STAGE_RESIZE);
    struct ag_binding src = {
        record_triangle(p, cmd, rgba, p->resized ? p->resized : p->narrow)
    };
    if (src.buffer == rgba) {
        src.size = (uint64_t)p->width * p->height * 4;
    }
    ag_dispatch(cmd, p->bicubic, AG_BIND({ p->tables }, src, dst), &b, sizeof(b),
                AG_DIV_UP(b.side, GROUP_X), AG_DIV_UP(b.side, GROUP_Y), 1);
    ag_cmd_barrier(cmd);
    ag_cmd_stage_end(cmd);
}
