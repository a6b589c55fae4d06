#include "gpu_weights.h"

#include <assert.h>
#include <math.h>
#include <string.h>

AG_SHADERS(model);

#define MAX_HALF 65504.0f

struct packer {
    const struct gpu_shape *s;
    const struct ag_model_weights *w;
    struct gpu_weights *out;
    uint8_t *data;
    uint64_t size, room;
    bool overflow; // some weight is too large for half precision
    uint8_t place[256]; // matrix units: where weight (k % 16) * 16 + column % 16 lies in its tile
};

// One weight of a matrix: column (output) and position along k, padded as the inputs are.
typedef float weight_at(const struct packer *p, uint32_t instance, uint32_t column, uint32_t k);

static uint8_t *append(struct packer *p, enum gpu_resource resource, uint32_t instance)
{
    uint64_t bytes = gpu_resource_bytes(p->s, resource);
    uint64_t at = AG_ALIGN_UP(p->size, (uint64_t)256);
    assert(instance < GPU_MAX_INSTANCES);
    if (at + bytes > p->room) {
        p->room = AG_MAX(2 * p->room, at + bytes);
        p->data = ag_realloc(p->data, p->room);
    }
    memset(p->data + p->size, 0, at + bytes - p->size);
    p->size = at + bytes;
    p->out->region[resource][instance] = (struct ag_binding){ .offset = at, .size = bytes };
    return p->data + at;
}

// [k/4][column][4], or for matrix units [k/16][column/16][tile].
static size_t weight_index(const struct packer *p, uint32_t columns, uint32_t column, uint32_t k)
{
    if (!p->s->tensor) {
        return ((size_t)(k / 4) * columns + column) * 4 + k % 4;
    }
    size_t tile = (size_t)(k / 16) * AG_DIV_UP(columns, 16u) + column / 16;
    return tile * 256 + p->place[k % 16 * 16 + column % 16];
}

static void append_matrix(struct packer *p, enum gpu_resource resource, enum gpu_op op,
                          uint32_t instance, weight_at *at)
{
    uint8_t *to = append(p, resource, instance);
    uint32_t columns = gpu_columns(p->s, op), depth4 = gpu_depth4(p->s, op);
    for (uint32_t k4 = 0; k4 < depth4; k4++) {
        for (uint32_t column = 0; column < columns; column++) {
            for (uint32_t i = 0; i < 4; i++) {
                float value = at(p, instance, column, 4 * k4 + i);
                size_t index = weight_index(p, columns, column, 4 * k4 + i);
                if (p->s->half) {
                    p->overflow |= !(fabsf(value) <= MAX_HALF);
                    ((uint16_t *)to)[index] = ag_float_to_half(value);
                } else {
                    ((float *)to)[index] = value;
                }
            }
        }
    }
}

static void append_vector(struct packer *p, enum gpu_resource resource, uint32_t instance,
                          const float *values, size_t n)
{
    memcpy(append(p, resource, instance), values, n * sizeof(float));
}

// ---- matrices --------------------------------------------------------------------------------

static float patch_at(const struct packer *p, uint32_t instance, uint32_t column, uint32_t k)
{
    (void)instance;
    uint32_t samples = 3 * p->s->c.patch * p->s->c.patch;
    return k < samples ? p->w->patch[(size_t)column * samples + k] : 0.0f;
}

// File: [out][in][t][y][x]; k: (t, y, x) slowest, then the padded input channels.
static float trunk_at(const struct packer *p, uint32_t instance, uint32_t column, uint32_t k)
{
    const struct ag_model_config *c = &p->s->c;
    uint32_t taps = c->trunk_time * c->trunk_space * c->trunk_space;
    uint32_t tap = k / gpu_feature_row(p->s), in = k % gpu_feature_row(p->s);
    const float *w = p->w->trunk[instance];
    return in < c->channels ? w[((size_t)column * c->channels + in) * taps + tap] : 0.0f;
}

static float linear_at(const float *w, uint32_t depth, uint32_t column, uint32_t k)
{
    return k < depth ? w[(size_t)column * depth + k] : 0.0f;
}

static float project_at(const struct packer *p, uint32_t instance, uint32_t column, uint32_t k)
{
    (void)instance;
    return linear_at(p->w->out, p->s->c.channels, column, k);
}

// The two halves of a RoPE pair (d, d + HD/2) become neighbours.
static uint32_t rope_row(uint32_t column, uint32_t head_dim)
{
    uint32_t d = column % head_dim;
    return column - d + d / 2 + d % 2 * (head_dim / 2);
}

static float qkv_at(const struct packer *p, uint32_t instance, uint32_t column, uint32_t k)
{
    const struct ag_model_config *c = &p->s->c;
    const struct ag_decoder_layer_weights *l = &p->w->layer[instance];
    uint32_t q = c->heads * c->head_dim, kv = c->kv_heads * c->head_dim;
    if (k >= c->width) {
        return 0.0f;
    }
    float w = column < q
                  ? linear_at(l->q, c->width, rope_row(column, c->head_dim), k)
                  : column < q + kv
                        ? linear_at(l->k, c->width, rope_row(column - q, c->head_dim), k)
                        : linear_at(l->v, c->width, column - q - kv, k);
    return w * l->norm_attn[k];
}

// k runs over heads of padded width.
static float attn_out_at(const struct packer *p, uint32_t instance, uint32_t column, uint32_t k)
{
    const struct ag_model_config *c = &p->s->c;
    uint32_t head = k / gpu_pad4(c->head_dim), d = k % gpu_pad4(c->head_dim);
    return d < c->head_dim ? linear_at(p->w->layer[instance].o, c->heads * c->head_dim, column,
                                       head * c->head_dim + d)
                           : 0.0f;
}

static float mlp_in_at(const struct packer *p, uint32_t instance, uint32_t column, uint32_t k)
{
    const struct ag_decoder_layer_weights *l = &p->w->layer[instance];
    uint32_t width = p->s->c.width;
    const float *w = column % 2 ? l->up : l->gate;
    return k < width ? linear_at(w, width, column / 2, k) * l->norm_mlp[k] : 0.0f;
}

static float mlp_out_at(const struct packer *p, uint32_t instance, uint32_t column, uint32_t k)
{
    return linear_at(p->w->layer[instance].down, p->s->c.mlp, column, k);
}

static float heads_at(const struct packer *p, uint32_t instance, uint32_t column, uint32_t k)
{
    (void)instance;
    const struct ag_model_config *c = &p->s->c;
    uint32_t ids = c->round * c->vocab;
    if (k >= c->width) {
        return 0.0f;
    }
    float w = column < ids ? linear_at(p->w->lm_head, c->width, column, k)
                           : linear_at(p->w->loss_head, c->width, column - ids, k);
    return w * p->w->norm_final[k];
}

// ---- all of them -----------------------------------------------------------------------------

static void append_vision(struct packer *p)
{
    const struct ag_model_config *c = &p->s->c;
    const struct ag_model_weights *w = p->w;
    append_matrix(p, RES_W_PATCH, GPU_PATCH, 0, patch_at);
    float *norm = (float *)append(p, RES_PATCH_NORM, 0);
    memcpy(norm, w->patch_bias, c->channels * sizeof(float));
    uint32_t row = p->s->tensor ? gpu_feature_row(p->s) : c->channels;
    memcpy(norm + row, w->norm, c->channels * sizeof(float));
    memcpy(norm + 2 * row, w->norm_bias, c->channels * sizeof(float));
    for (uint32_t i = 0; i < c->trunk_depth; i++) {
        append_matrix(p, RES_W_TRUNK, GPU_TRUNK, i, trunk_at);
        append_vector(p, RES_TRUNK_BIAS, i, w->trunk_bias[i], c->channels);
    }
    append_matrix(p, RES_W_PROJECT, GPU_PROJECT, 0, project_at);
    float *bias = (float *)append(p, RES_PROJECT_BIAS, 0);
    for (size_t i = 0; i < (size_t)c->tokens * c->width; i++) {
        bias[i] = w->out_bias[i % c->width] + w->pos_embed[i];
    }
}

static void append_decoder(struct packer *p)
{
    const struct ag_model_config *c = &p->s->c;
    for (uint32_t i = 0; i < c->layers; i++) {
        append_matrix(p, RES_W_QKV, GPU_QKV, i, qkv_at);
        append_matrix(p, RES_W_ATTN_OUT, GPU_ATTN_OUT, i, attn_out_at);
        append_matrix(p, RES_W_MLP_IN, GPU_MLP_IN, i, mlp_in_at);
        append_matrix(p, RES_W_MLP_OUT, GPU_MLP_OUT, i, mlp_out_at);
    }
    append_matrix(p, RES_W_HEADS, GPU_HEADS, 0, heads_at);
    append_vector(p, RES_NORM_FINAL, 0, p->w->norm_final, c->width);
    append_vector(p, RES_EMBED, 0, p->w->embed, (size_t)c->vocab * c->width);
}

// ---- matrix units ----------------------------------------------------------------------------

#define HELD_WORDS 769 // second factors, sums, first factors, elements an invocation

static bool read_places(struct ag_gpu *gpu, struct ag_kernel *kernel, struct ag_buffer *tile,
                        struct ag_buffer *held, uint32_t *out, struct ag_error *err)
{
    uint16_t numbers[2 * 256];
    for (uint32_t i = 0; i < 256; i++) { // [column][k], then the identity
        numbers[i] = ag_float_to_half((float)(i % 16 * 16 + i / 16));
        numbers[256 + i] = ag_float_to_half(i % 16 == i / 16 ? 1.0f : 0.0f);
    }
    struct ag_cmd *cmd = ag_buffer_load(gpu, tile, 0, numbers, sizeof(numbers), err)
                             ? ag_cmd_begin(gpu, 0, err) : NULL;
    if (!cmd) {
        return false;
    }
    ag_dispatch(cmd, kernel, AG_BIND({ .buffer = tile }, { .buffer = held }), NULL, 0, 1, 1, 1);
    uint64_t value = ag_cmd_submit(cmd, err);
    return value && ag_gpu_wait(gpu, value, err) &&
           ag_buffer_read(gpu, held, 0, out, HELD_WORDS * 4, err);
}

// How the device's invocations hold a tile (shaders/lib/matrix.glsl). Waits for the device.
static bool find_places(struct ag_gpu *gpu, struct packer *p, struct ag_error *err)
{
    uint32_t held[HELD_WORDS] = { 0 };
    bool seen[256] = { false }, ok = true, as_told = true;
    for (uint32_t i = 0; i < 256; i++) {
        p->place[i] = (uint8_t)(i % 16 * 16 + i / 16);
    }
    if (!p->s->tensor || p->s->emulated) {
        return true;
    }
    struct ag_kernel_params params = { .library = &ag_shaders_model, .name = "matrix_layout",
                                       .subgroup = 32 };
    struct ag_kernel *kernel = ag_kernel_create(gpu, &params, err);
    struct ag_buffer *tile = ag_buffer_create(gpu, AG_MEM_DEVICE, 1024, "model/tile", err);
    struct ag_buffer *out = ag_buffer_create(gpu, AG_MEM_DEVICE, HELD_WORDS * 4,
                                             "model/layout", err);
    bool done = kernel && tile && out && read_places(gpu, kernel, tile, out, held, err);
    ag_kernel_destroy(gpu, &kernel);
    ag_buffer_destroy(gpu, &tile);
    ag_buffer_destroy(gpu, &out);
    for (uint32_t i = 0; i < 256 && done; i++) {
        // mma_row_of(), mma_column_of() and mma_as_first() of shaders/lib/matrix.glsl
        uint32_t lane = i / 8, row = lane / 4 + i / 4 % 2 * 8;
        uint32_t column = lane % 4 * 2 + i / 2 % 2 * 8 + i % 2;
        as_told = as_told && held[256 + i] == row * 16 + column && held[512 + i] == held[256 + i];
        // of second factors by the KHR form two pairs of rows of column lane / 4, likewise
        as_told = as_told && (!p->s->matrix_direct || held[i] == column * 16 + row);
        ok = ok && held[i] < 256 && !seen[held[i]];
        if (ok) {
            seen[held[i]] = true;
            p->place[held[i]] = (uint8_t)i;
        }
    }
    if (done && !(ok && as_told && held[768] == 8)) {
        return ag_fail_kind(err, AG_ERR_INPUT, "UNSUPPORTED", "the matrix units of '%s' hold a "
                            "tile in %u elements an invocation%s, expected each element once in "
                            "8, two rows of two pairs; use --precision f16",
                            ag_gpu_get_info(gpu)->name, held[768],
                            ok && held[768] == 8 ? " in another order" : "");
    }
    return done;
}

bool gpu_weights_create(struct ag_gpu *gpu, const struct gpu_shape *s,
                        const struct ag_model_weights *w, struct gpu_weights *out,
                        struct ag_error *err)
{
    memset(out, 0, sizeof(*out));
    struct packer p = { .s = s, .w = w, .out = out };
    if (!find_places(gpu, &p, err)) {
        return false;
    }
    append_vision(&p);
    append_decoder(&p);
    bool ok = !p.overflow ||
              ag_fail_kind(err, AG_ERR_INPUT, "RANGE", "a weight is larger than half precision "
                           "holds (%g); use --precision f32", (double)MAX_HALF);
    if (ok) {
        out->buffer = ag_buffer_create(gpu, AG_MEM_DEVICE, p.size, "model/weights", err);
        ok = out->buffer && ag_buffer_load(gpu, out->buffer, 0, p.data, p.size, err);
    }
    ag_free(p.data);
    for (int r = 0; r < RES_COUNT; r++) {
        for (int i = 0; i < GPU_MAX_INSTANCES; i++) {
            out->region[r][i].buffer = out->buffer;
        }
    }
    return ok;
}

void gpu_weights_destroy(struct ag_gpu *gpu, struct gpu_weights *w)
{
    ag_buffer_destroy(gpu, &w->buffer);
}
