#include "kernel_cases.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "autogaze/model_ref.h"
#include "interface/gaze_result.h"
#include "interface/model_args.h"

#include "../src/model/gpu_weights.h"

#define GUARD 256u
#define GUARD_BYTE 0xa5
#define RING_FIRST 3u // slots before the ring's end where the cache starts

static const struct kernel_size sizes[] = { KERNEL_SIZES };

// ---- the list --------------------------------------------------------------------------------

static bool exists(enum gpu_op op, enum gpu_phase phase, enum ag_precision precision,
                   const struct kernel_size *size)
{
    bool layer = op >= GPU_QKV && op <= GPU_TAIL;
    bool phase_ok = phase == GPU_PREFILL || (layer && (phase == GPU_ROUND || op != GPU_QKV));
    bool half_ok = precision == AG_PRECISION_F32 ||
                   ((size->real || strcmp(size->name, "prime") == 0) &&
                    (precision == AG_PRECISION_F16 ? gpu_kernel_info[op].has_half
                                                   : gpu_kernel_info[op].has_tensor));
    bool twin = op != GPU_BEGIN && op < GPU_DECODE; // see test_gpu_model
    bool tensor = precision == AG_PRECISION_TENSOR;
    bool of_tensor = op == GPU_TAIL || (op >= GPU_VISION && op <= GPU_VISION_PROJECT);
    bool of_others = op == GPU_PATCH || op == GPU_TRUNK || op == GPU_PROJECT;
    bool alone = op == GPU_VISION; // one workgroup does everything: too long for software devices
    bool of_long = tensor && phase != GPU_ROUND && (op == GPU_ATTENTION || op == GPU_TAIL);
    return twin && phase_ok && half_ok && (tensor ? !of_others : !of_tensor) &&
           !(alone && size->real) && (strcmp(size->name, "long") != 0 || of_long);
}

static bool nth(uint32_t *n, struct kernel_case *out)
{
    for (int op = 0; op < GPU_OP_COUNT; op++) {
        for (int phase = 0; phase < GPU_PHASE_COUNT; phase++) {
            for (int precision = 0; precision < 3; precision++) {
                for (size_t s = 0; s < AG_COUNT(sizes); s++) {
                    *out = (struct kernel_case){ sizes[s], (enum gpu_op)op, (enum gpu_phase)phase,
                                                 (enum ag_precision)precision, false };
                    if (exists(out->op, out->phase, out->precision, &sizes[s]) && (*n)-- == 0) {
                        return true;
                    }
                }
            }
        }
    }
    return false;
}

uint32_t kernel_case_count(void)
{
    struct kernel_case k;
    uint32_t n = UINT32_MAX;
    nth(&n, &k);
    return UINT32_MAX - n;
}

struct kernel_case kernel_case_at(uint32_t i)
{
    struct kernel_case k = { 0 };
    nth(&i, &k);
    return k;
}

// ---- test bed --------------------------------------------------------------------------------

struct guarded {
    struct ag_buffer *buffer; // guard, content, guard
    uint64_t size;
    void *have, *want;        // content before, content expected
    bool loose;               // compared within the bound: an output of floats
    bool half;                // ... of half floats
};
struct bed {
    struct ag_gpu *gpu;
    const struct kernel_case *k;
    struct gpu_shape s;
    struct ag_model_weights w;
    float *weight_data;
    size_t n_weights;
    struct gpu_weights packed;
    struct ag_kernel *kernel;
    struct guarded res[RES_COUNT];
    uint32_t rows, stream;    // rows of the forward; the stream that works
    uint8_t push[AG_MAX_PUSH_BYTES];
    uint32_t push_bytes;
    uint32_t groups[3];
    uint32_t seed;
};

static float noise(struct bed *b)
{
    b->seed = b->seed * 1664525u + 1013904223u;
    return (float)(int32_t)b->seed * (1.0f / 2147483648.0f);
}

static struct ag_model_config config_of(const struct kernel_size *z)
{
    struct ag_model_config c = {
        .image_size = z->side, .patch = z->patch, .grid = z->side / z->patch,
        .channels = z->channels, .trunk_depth = 2, .trunk_time = z->time, .trunk_space = z->space,
        .width = z->width, .layers = 1, .heads = z->heads, .kv_heads = z->kv_heads,
        .head_dim = z->head_dim, .mlp = z->mlp, .round = z->round, .cells = z->cells,
        .eos = z->cells, .vocab = z->cells + 1, .layer_norm_eps = 1e-5f, .rms_eps = 1e-5f,
        .rope_theta = 10000, .max_num_frames = 1, .n_scales = 1,
    };
    c.tokens = c.grid * c.grid;
    return c;
}

// The next n weights; on the first pass only counted.
static const float *weights(struct bed *b, size_t n, float scale)
{
    float *w = b->weight_data ? b->weight_data + b->n_weights : NULL;
    b->n_weights += n;
    for (size_t i = 0; w && i < n; i++) {
        w[i] = scale * noise(b);
    }
    return w;
}

static void make_weights(struct bed *b)
{
    const struct ag_model_config *c = &b->s.c;
    struct ag_model_weights *w = &b->w;
    struct ag_decoder_layer_weights *l = &w->layer[0];
    uint32_t samples = 3 * c->patch * c->patch, d = c->width, q = c->heads * c->head_dim;
    uint32_t kv = c->kv_heads * c->head_dim, taps = c->trunk_time * c->trunk_space * c->trunk_space;
    for (int pass = 0; pass < 2; pass++) {
        b->n_weights = 0;
        w->patch = weights(b, (size_t)c->channels * samples, 1 / sqrtf((float)samples));
        w->patch_bias = weights(b, c->channels, 0.1f);
        w->norm = weights(b, c->channels, 1);
        w->norm_bias = weights(b, c->channels, 0.1f);
        for (uint32_t i = 0; i < c->trunk_depth; i++) {
            size_t n = (size_t)c->channels * taps;
            w->trunk[i] = weights(b, c->channels * n, 1 / sqrtf((float)n));
            w->trunk_bias[i] = weights(b, c->channels, 0.1f);
        }
        w->out = weights(b, (size_t)d * c->channels, 1 / sqrtf((float)c->channels));
        w->out_bias = weights(b, d, 0.1f);
        w->pos_embed = weights(b, (size_t)c->tokens * d, 1);
        w->embed = weights(b, (size_t)c->vocab * d, 1);
        l->norm_attn = weights(b, d, 1);
        l->q = weights(b, (size_t)q * d, 3 / sqrtf((float)d));
        l->k = weights(b, (size_t)kv * d, 3 / sqrtf((float)d));
        l->v = weights(b, (size_t)kv * d, 1 / sqrtf((float)d));
        l->o = weights(b, (size_t)d * q, 1 / sqrtf((float)q));
        l->norm_mlp = weights(b, d, 1);
        l->gate = weights(b, (size_t)c->mlp * d, 2 / sqrtf((float)d));
        l->up = weights(b, (size_t)c->mlp * d, 2 / sqrtf((float)d));
        l->down = weights(b, (size_t)d * c->mlp, 1 / sqrtf((float)c->mlp));
        w->norm_final = weights(b, d, 1);
        w->lm_head = weights(b, (size_t)c->round * c->vocab * d, 1 / sqrtf((float)d));
        w->loss_head = weights(b, (size_t)c->round * d, 1 / sqrtf((float)d));
        if (!b->weight_data) {
            b->weight_data = ag_alloc(b->n_weights * sizeof(float));
        }
    }
}

// Content of a resource, guard bytes until somebody fills it.
static void *content(struct bed *b, enum gpu_resource r)
{
    struct guarded *g = &b->res[r];
    if (!g->have) {
        g->size = gpu_resource_bytes(&b->s, r);
        g->have = ag_alloc(g->size);
        memset(g->have, GUARD_BYTE, g->size);
    }
    return g->have;
}

static float *floats(struct bed *b, enum gpu_resource r)
{
    return content(b, r);
}

// Expected content: starts as the content (fill inputs first).
static void *expected(struct bed *b, enum gpu_resource r)
{
    struct guarded *g = &b->res[r];
    if (!g->want) {
        void *have = content(b, r);
        g->want = ag_alloc(g->size);
        memcpy(g->want, have, g->size);
    }
    return g->want;
}

static float *expected_floats(struct bed *b, enum gpu_resource r)
{
    float *want = expected(b, r);
    b->res[r].loose = true;
    return want;
}

// Rows of `width` noise, padded with zeros.
static float *noise_rows(struct bed *b, enum gpu_resource r, size_t n, uint32_t width)
{
    float *x = floats(b, r);
    uint32_t stride = gpu_pad4(width);
    for (size_t i = 0; i < n * stride; i++) {
        x[i] = i % stride < width ? noise(b) : 0.0f;
    }
    return x;
}

// Between padded rows and the dense arrays of the twins.
static float *dense(const float *rows, size_t n, uint32_t width)
{
    float *out = ag_alloc((n ? n : 1) * width * sizeof(float));
    for (size_t i = 0; i < n; i++) {
        memcpy(out + i * width, rows + i * gpu_pad4(width), width * sizeof(float));
    }
    return out;
}

static void scatter(float *rows, const float *from, size_t n, uint32_t width)
{
    for (size_t i = 0; i < n; i++) {
        memcpy(rows + i * gpu_pad4(width), from + i * width, width * sizeof(float));
    }
}

// ---- vision ----------------------------------------------------------------------------------

static void set_push(struct bed *b, const void *push, uint32_t bytes)
{
    memcpy(b->push, push, bytes);
    b->push_bytes = bytes;
}

// The canvas first, so that order and number of pictures differ.
static struct patch_args image_args(const struct bed *b)
{
    return (struct patch_args){ .n_images = 2, .image = { IMAGE_CANVAS, IMAGE_FRAME },
                                .slot = { 0, b->s.feature_slots - 1 } };
}

// Partial sums are checked by their total, in the first piece; the others are expected as zeros.
static void gather_pieces(float *content_rows, uint32_t pieces, size_t row)
{
    for (uint32_t i = 1; i < pieces; i++) {
        for (size_t j = 0; j < row; j++) {
            content_rows[j] += content_rows[i * row + j];
            content_rows[i * row + j] = 0;
        }
    }
}

static struct patch_args noise_pictures(struct bed *b)
{
    struct patch_args args = image_args(b);
    set_push(b, &args, sizeof(args));
    for (int r = RES_INPUT; r <= RES_PREVIOUS; r++) {
        float *x = floats(b, (enum gpu_resource)r);
        for (size_t i = 0; i < b->res[r].size / sizeof(float); i++) {
            x[i] = noise(b);
        }
    }
    return args;
}

// What the patch convolution makes of picture i of all streams' pictures: [P][C].
static float *patch_sums(struct bed *b, const struct patch_args *args, uint32_t i)
{
    const struct ag_model_config *c = &b->s.c;
    bool canvas = args->image[i % args->n_images] == IMAGE_CANVAS;
    size_t picture = 3 * (size_t)c->image_size * c->image_size;
    float *sums = ag_alloc((size_t)c->tokens * c->channels * sizeof(float));
    const float *from = floats(b, canvas ? RES_CANVAS : RES_INPUT);
    ag_ref_patch(c, &b->w, from + i / args->n_images * picture, sums);
    return sums;
}

static void prepare_patch(struct bed *b)
{
    const struct ag_model_config *c = &b->s.c;
    struct patch_args args = noise_pictures(b);
    size_t piece = (size_t)c->tokens * gpu_pad4(c->channels);
    float *out = expected_floats(b, RES_PATCH_SUMS);
    for (uint32_t i = 0; i < b->s.streams * args.n_images; i++) {
        uint32_t stream = i / args.n_images, which = i % args.n_images;
        float *sums = patch_sums(b, &args, i);
        float *to = out + (stream * IMAGE_COUNT + which) * b->s.patch_splits * piece;
        for (uint32_t p = 0; p < b->s.patch_splits; p++) {
            memset(sums, 0, p ? (size_t)c->tokens * c->channels * sizeof(float) : 0);
            scatter(to + p * piece, sums, c->tokens, c->channels);
        }
        ag_free(sums);
    }
}

// Features: rows of floats or halves.
static void put_value(const struct bed *b, void *to, size_t at, float value)
{
    if (b->s.half) {
        ((uint16_t *)to)[at] = ag_float_to_half(value);
    } else {
        ((float *)to)[at] = value;
    }
}

static float get_value(const struct bed *b, const void *from, size_t at)
{
    return b->s.half ? ag_half_to_float(((const uint16_t *)from)[at]) : ((const float *)from)[at];
}

static void noise_features(struct bed *b)
{
    void *to = content(b, RES_FEATURES);
    uint32_t stride = gpu_feature_row(&b->s);
    size_t n = b->res[RES_FEATURES].size / (b->s.half ? 2 : 4);
    for (size_t i = 0; i < n; i++) {
        put_value(b, to, i, i % stride < b->s.c.channels ? noise(b) : 0.0f);
    }
    b->res[RES_FEATURES].half = b->s.half;
}

// To what is expected of a slot.
static void put_features(struct bed *b, size_t slot, const float *from)
{
    const struct ag_model_config *c = &b->s.c;
    for (size_t i = 0; i < (size_t)c->tokens * c->channels; i++) {
        size_t row = slot * c->tokens + i / c->channels;
        put_value(b, b->res[RES_FEATURES].want, row * gpu_feature_row(&b->s) + i % c->channels,
                  from[i]);
    }
}

static float *features_of(struct bed *b, const void *from, size_t slot)
{
    const struct ag_model_config *c = &b->s.c;
    float *out = ag_alloc((size_t)c->tokens * c->channels * sizeof(float));
    for (size_t i = 0; i < (size_t)c->tokens * c->channels; i++) {
        size_t row = slot * c->tokens + i / c->channels;
        out[i] = get_value(b, from,
                           row * gpu_feature_row(&b->s) + i % c->channels);
    }
    return out;
}

static void prepare_features(struct bed *b)
{
    const struct ag_model_config *c = &b->s.c;
    struct patch_args args = image_args(b);
    set_push(b, &args, sizeof(args));
    uint32_t pieces = b->s.patch_splits;
    size_t piece = (size_t)c->tokens * gpu_pad4(c->channels);
    float *in = noise_rows(b, RES_PATCH_SUMS, (size_t)b->s.streams * IMAGE_COUNT * pieces *
                           c->tokens, c->channels);
    // whole fours are written: pads become zero
    noise_features(b);
    expected_floats(b, RES_FEATURES);
    float *sum = ag_alloc(piece * sizeof(float));
    for (uint32_t i = 0; i < b->s.streams * args.n_images; i++) {
        uint32_t stream = i / args.n_images, which = i % args.n_images;
        memset(sum, 0, piece * sizeof(float));
        for (uint32_t p = 0; p < pieces; p++) {
            for (size_t j = 0; j < piece; j++) {
                sum[j] += in[((stream * IMAGE_COUNT + which) * pieces + p) * piece + j];
            }
        }
        float *patch = dense(sum, c->tokens, c->channels);
        float *features = ag_alloc((size_t)c->tokens * c->channels * sizeof(float));
        ag_ref_features(c, &b->w, patch, features);
        size_t slot = stream * c->trunk_depth * b->s.feature_slots + args.slot[which];
        put_features(b, slot, features);
        ag_free(features);
        ag_free(patch);
    }
    ag_free(sum);
}

// The same with the features that follow, and where the counters are.
static struct vision_args expect_patches(struct bed *b)
{
    const struct ag_model_config *c = &b->s.c;
    struct patch_args images = noise_pictures(b);
    struct vision_args args = { .n_images = images.n_images };
    memcpy(args.image, images.image, sizeof(args.image));
    memcpy(args.slot, images.slot, sizeof(args.slot));
    size_t row = gpu_feature_row(&b->s);
    noise_features(b);
    expected_floats(b, RES_FEATURES);
    float *out = expected_floats(b, RES_PATCH_SUMS);
    float *features = ag_alloc((size_t)c->tokens * c->channels * sizeof(float));
    for (uint32_t i = 0; i < b->s.streams * args.n_images; i++) {
        uint32_t stream = i / args.n_images, which = i % args.n_images;
        float *sums = patch_sums(b, &images, i);
        float *to = out + (stream * IMAGE_COUNT + which) * c->tokens * row;
        for (size_t j = 0; j < c->tokens * row; j++) { // pads become zero
            to[j] = j % row < c->channels ? sums[j / row * c->channels + j % row] : 0.0f;
        }
        ag_ref_features(c, &b->w, sums, features);
        put_features(b, stream * c->trunk_depth * b->s.feature_slots + args.slot[which], features);
        ag_free(sums);
    }
    ag_free(features);
    return args;
}

static void zero_counters(struct bed *b)
{
    void *counters = content(b, RES_VISION_SYNC);
    memset(counters, 0, b->res[RES_VISION_SYNC].size); // and so they are left
}

static void prepare_vision_patch(struct bed *b)
{
    struct vision_args args = expect_patches(b);
    zero_counters(b);
    set_push(b, &args, sizeof(args));
}

// Of the second block's weights; features of a block, as they are or as they will be.
static void expect_trunk(struct bed *b, uint32_t block, const uint32_t *slot, const void *from)
{
    const struct ag_model_config *c = &b->s.c;
    size_t piece = (size_t)c->tokens * gpu_pad4(c->channels);
    float *out = expected_floats(b, RES_TRUNK_SUMS);
    float *sums = ag_alloc((size_t)c->tokens * c->channels * sizeof(float));
    for (uint32_t stream = 0; stream < b->s.streams; stream++) {
        float *taps[MAX_TAPS] = { 0 };
        for (uint32_t t = 0; t < c->trunk_time; t++) {
            size_t at = (stream * c->trunk_depth + block) * b->s.feature_slots + slot[t];
            taps[t] = slot[t] == NO_SLOT ? NULL : features_of(b, from, at);
        }
        ag_ref_trunk(c, &b->w, 1, (const float *const *)taps, sums);
        for (uint32_t p = 0; p < b->s.trunk_splits; p++) {
            memset(sums, 0, p ? (size_t)c->tokens * c->channels * sizeof(float) : 0);
            scatter(out + (stream * b->s.trunk_splits + p) * piece, sums, c->tokens, c->channels);
        }
        for (uint32_t t = 0; t < c->trunk_time; t++) {
            ag_free(taps[t]);
        }
    }
    ag_free(sums);
}

// A ring half way round, the oldest unknown.
static void choose_taps(const struct bed *b, uint32_t *slot)
{
    uint32_t n = b->s.c.trunk_time;
    for (uint32_t t = 0; t < n; t++) {
        slot[t] = t == 0 && n > 1 ? NO_SLOT : (t + 1) % b->s.feature_slots;
    }
}

static void prepare_trunk(struct bed *b)
{
    struct trunk_args args = { .block = 1 };
    choose_taps(b, args.slot);
    set_push(b, &args, sizeof(args));
    noise_features(b);
    expect_trunk(b, 1, args.slot, b->res[RES_FEATURES].have);
}

static void prepare_vision_trunk(struct bed *b)
{
    struct vision_args args = { .n_images = 1, .block = 1 };
    choose_taps(b, args.tap);
    noise_features(b);
    expect_trunk(b, 1, args.tap, b->res[RES_FEATURES].have);
    zero_counters(b);
    set_push(b, &args, sizeof(args));
}

// Partial sums of a trunk block: what it says after bias and ReLU, a stream.
static float *trunk_output(struct bed *b, const float *sums, uint32_t stream, uint32_t block)
{
    const struct ag_model_config *c = &b->s.c;
    size_t piece = (size_t)c->tokens * gpu_pad4(c->channels);
    float *sum = ag_alloc(piece * sizeof(float));
    for (uint32_t p = 0; p < b->s.trunk_splits; p++) {
        const float *in = sums + (stream * b->s.trunk_splits + p) * piece;
        for (size_t j = 0; j < piece; j++) {
            sum[j] += in[j];
        }
    }
    float *x = dense(sum, c->tokens, c->channels);
    ag_ref_relu(c, &b->w, block, x);
    ag_free(sum);
    return x;
}

static void prepare_relu(struct bed *b)
{
    const struct ag_model_config *c = &b->s.c;
    struct trunk_args args = { .block = 1, .slot = { b->s.feature_slots - 1 } };
    set_push(b, &args, sizeof(args));
    noise_rows(b, RES_TRUNK_SUMS, (size_t)b->s.streams * b->s.trunk_splits * c->tokens,
               c->channels);
    // whole vec4 are written: pads become zero
    noise_features(b);
    expected_floats(b, RES_FEATURES);
    for (uint32_t stream = 0; stream < b->s.streams; stream++) {
        float *x = trunk_output(b, floats(b, RES_TRUNK_SUMS), stream, 0);
        size_t slot = (stream * c->trunk_depth + 1) * b->s.feature_slots + args.slot[0];
        put_features(b, slot, x);
        ag_free(x);
    }
}

// ---- decoder ---------------------------------------------------------------------------------

// State of the stream that works; the cache starts near the end of its ring.
static struct decode_state *prepare_state(struct bed *b)
{
    const struct gpu_shape *s = &b->s;
    struct decode_state *states = content(b, RES_STATE);
    memset(states, 0, b->res[RES_STATE].size);
    struct decode_state *state = &states[b->stream];
    state->first = s->capacity - RING_FIRST;
    state->position = state->first + b->k->size.cached;
    state->rows = b->rows;
    state->rope_first = s->rope_rows - 2;
    state->base = state->position + b->rows;
    uint32_t keys = state->position - state->first + b->rows;
    uint32_t most = b->k->phase != GPU_ROUND && b->k->size.real ? s->prefill_splits
                                                                : s->max_splits;
    uint32_t tile = s->split_unit[b->k->phase == GPU_ROUND ? GPU_ROUND : GPU_PREFILL];
    tile = s->tensor && !b->k->size.real ? 32 : tile;
    state->splits = AG_CLAMP(AG_DIV_UP(keys, tile), 1u, most);
    state->split_keys = AG_ALIGN_UP(AG_DIV_UP(keys, state->splits), tile);
    uint32_t *active = content(b, RES_ACTIVE);
    active[0] = b->stream;
    struct decoder_args args = { .last = b->k->phase == GPU_LAST };
    set_push(b, &args, sizeof(args));
    b->groups[2] = 1;
    return state;
}

static uint32_t first_row(const struct bed *b)
{
    return b->k->phase == GPU_LAST ? b->rows - 1 : 0;
}

static float *x_row(const struct bed *b, float *x, uint32_t row, uint32_t width)
{
    return x + ((size_t)b->stream * b->s.max_rows + row) * gpu_pad4(width);
}

static void prepare_project(struct bed *b)
{
    const struct ag_model_config *c = &b->s.c;
    struct decode_state *state = prepare_state(b);
    state->n_pending = b->s.max_rows - c->tokens;
    noise_rows(b, RES_TRUNK_SUMS, (size_t)b->s.streams * b->s.trunk_splits * c->tokens,
               c->channels);
    float *x = expected_floats(b, RES_X), *tokens = expected_floats(b, RES_TOKENS);
    float *in = trunk_output(b, floats(b, RES_TRUNK_SUMS), b->stream, 0);
    float *to = tokens + (size_t)b->stream * c->tokens * c->width;
    ag_ref_project(c, &b->w, in, to);
    scatter(x_row(b, x, state->n_pending, c->width), to, c->tokens, c->width);
    ag_free(in);
}

// All streams.
static void expect_tokens(struct bed *b, const float *sums)
{
    const struct ag_model_config *c = &b->s.c;
    float *x = expected_floats(b, RES_X), *tokens = expected_floats(b, RES_TOKENS);
    prepare_state(b);
    struct decode_state *states = content(b, RES_STATE);
    for (uint32_t stream = 0; stream < b->s.streams; stream++) {
        states[stream].n_pending = b->s.max_rows - c->tokens;
        float *in = trunk_output(b, sums, stream, 0);
        float *to = tokens + (size_t)stream * c->tokens * c->width;
        ag_ref_project(c, &b->w, in, to);
        scatter(x + ((size_t)stream * b->s.max_rows + states[stream].n_pending) *
                        gpu_pad4(c->width), to, c->tokens, c->width);
        ag_free(in);
    }
    zero_counters(b);
    b->groups[2] = b->s.streams;
}

static void prepare_vision_project(struct bed *b)
{
    struct vision_args args = { .n_images = 1 };
    noise_rows(b, RES_TRUNK_SUMS, (size_t)b->s.streams * b->s.trunk_splits * b->s.c.tokens,
               b->s.c.channels);
    expect_tokens(b, floats(b, RES_TRUNK_SUMS));
    set_push(b, &args, sizeof(args));
}

// All parts, by one workgroup a stream, which waits for nobody but itself.
static void prepare_vision(struct bed *b)
{
    struct vision_args args = expect_patches(b);
    choose_taps(b, args.tap);
    expect_trunk(b, 0, args.tap, b->res[RES_FEATURES].want);
    expect_tokens(b, b->res[RES_TRUNK_SUMS].want);
    set_push(b, &args, sizeof(args));
    b->groups[0] = 1;
}

// RoPE pairs are neighbours on the device: place of dimension d of a head.
static uint32_t pair_place(uint32_t d, uint32_t head_dim)
{
    return d < head_dim / 2 ? 2 * d : 2 * (d - head_dim / 2) + 1;
}

static size_t cache_at(const struct bed *b, uint32_t head, uint32_t token)
{
    const struct gpu_shape *s = &b->s;
    return (((size_t)b->stream * s->c.kv_heads + head) * s->capacity + token % s->capacity) *
           gpu_pad4(s->c.head_dim);
}

static void prepare_qkv(struct bed *b)
{
    const struct ag_model_config *c = &b->s.c;
    struct decode_state *state = prepare_state(b);
    uint32_t n = b->rows, half = c->head_dim / 2, hd = c->head_dim;
    float *x = noise_rows(b, RES_X, (size_t)b->s.streams * b->s.max_rows, c->width);
    float *rope = floats(b, RES_ROPE);
    float *cosine = ag_alloc((size_t)n * half * 4), *sine = ag_alloc((size_t)n * half * 4);
    for (size_t i = 0; i < b->res[RES_ROPE].size / 8; i++) {
        float angle = 7 * noise(b);
        rope[2 * i] = cosf(angle);
        rope[2 * i + 1] = sinf(angle);
    }
    for (size_t i = 0; i < (size_t)n * half; i++) {
        size_t row = (state->rope_first + i / half) % b->s.rope_rows;
        cosine[i] = rope[2 * (row * half + i % half)];
        sine[i] = rope[2 * (row * half + i % half) + 1];
    }
    size_t q_width = (size_t)c->heads * hd, kv_width = (size_t)c->kv_heads * hd;
    float *q = ag_alloc(n * q_width * 4), *k = ag_alloc(n * kv_width * 4);
    float *v = ag_alloc(n * kv_width * 4), *in = dense(x_row(b, x, 0, c->width), n, c->width);
    ag_ref_qkv(c, &b->w.layer[0], in, n, cosine, sine, q, k, v);
    float *to_q = expected_floats(b, RES_Q);
    void *to_k = expected_floats(b, RES_K), *to_v = expected_floats(b, RES_V);
    b->res[RES_K].half = b->res[RES_V].half = b->s.half;
    for (size_t i = 0; i < n * q_width; i++) {
        size_t row = (size_t)b->stream * b->s.max_rows + i / q_width;
        to_q[(row * c->heads + i % q_width / hd) * gpu_pad4(hd) +
             pair_place((uint32_t)(i % hd), hd)] = q[i];
    }
    for (size_t i = 0; i < n * kv_width; i++) {
        uint32_t head = (uint32_t)(i % kv_width / hd), d = (uint32_t)(i % hd);
        size_t at = cache_at(b, head, state->position + (uint32_t)(i / kv_width));
        put_value(b, to_k, at + pair_place(d, hd), k[i]);
        put_value(b, to_v, at + d, v[i]);
    }
    ag_free(in);
    ag_free(q);
    ag_free(k);
    ag_free(v);
    ag_free(cosine);
    ag_free(sine);
}

// Place of a piece of attention among the values of RES_ATTN_SUMS; by matrix units, halves, it is
// padded to eights.
static size_t piece_at(const struct bed *b, size_t piece)
{
    return piece * (b->s.tensor ? AG_ALIGN_UP(b->s.c.head_dim, 8u) : gpu_pad4(b->s.c.head_dim));
}

// Pieces that attention leaves, put together: [rows][H][HD] from row `from` on. They are sums or,
// by matrix units, means.
static float *put_together(struct bed *b, const void *sums, const float *softmax, uint32_t from,
                           uint32_t n, uint32_t splits)
{
    const struct ag_model_config *c = &b->s.c;
    uint32_t hd = c->head_dim;
    float *out = ag_alloc((size_t)n * c->heads * hd * sizeof(float));
    for (size_t i = 0; i < (size_t)n * c->heads; i++) {
        size_t at = (((size_t)b->stream * b->s.max_rows + from) * c->heads + i) * b->s.max_splits;
        float largest = -INFINITY;
        double total = 0;
        for (uint32_t p = 0; p < splits; p++) {
            largest = fmaxf(largest, softmax[2 * (at + p)]);
        }
        for (uint32_t p = 0; p < splits; p++) {
            double w = exp((double)softmax[2 * (at + p)] - (double)largest);
            total += w * (double)softmax[2 * (at + p) + 1];
            w *= b->s.tensor ? (double)softmax[2 * (at + p) + 1] : 1;
            for (uint32_t d = 0; d < hd; d++) {
                size_t place = piece_at(b, at + p) + d;
                float v = b->s.tensor ? ag_half_to_float(((const uint16_t *)sums)[place])
                                      : ((const float *)sums)[place];
                out[i * hd + d] += (float)(w * (double)v);
            }
        }
        for (uint32_t d = 0; d < hd; d++) {
            out[i * hd + d] = (float)((double)out[i * hd + d] / total);
        }
    }
    return out;
}

// Checked by what the pieces make together: see check_attention.
static void prepare_attention(struct bed *b)
{
    const struct ag_model_config *c = &b->s.c;
    struct decode_state *state = prepare_state(b);
    uint32_t hd = c->head_dim;
    noise_rows(b, RES_Q, (size_t)b->s.streams * b->s.max_rows * c->heads, hd);
    float *q = floats(b, RES_Q);
    for (size_t i = 0; i < b->res[RES_Q].size / 4; i++) {
        q[i] *= 4; // scores with something to choose from
    }
    for (int r = RES_K; r <= RES_V; r++) {
        void *cache = content(b, (enum gpu_resource)r);
        size_t stride = gpu_pad4(hd), n = b->res[r].size / (b->s.half ? 2 : 4);
        for (size_t i = 0; i < n; i++) {
            put_value(b, cache, i, i % stride < hd ? noise(b) : 0);
        }
    }
    expected_floats(b, RES_ATTN_SUMS);
    expected_floats(b, RES_SOFTMAX);
    uint32_t tiles = b->k->phase == GPU_LAST
                         ? 1 : AG_DIV_UP(b->s.max_rows, b->s.attn_rows[b->k->phase]);
    b->groups[1] = tiles * state->splits;
}

static float *cache_rows(struct bed *b, enum gpu_resource r, const struct decode_state *state,
                         uint32_t keys)
{
    const struct ag_model_config *c = &b->s.c;
    size_t width = (size_t)c->kv_heads * c->head_dim;
    float *out = ag_alloc(keys * width * sizeof(float));
    for (size_t i = 0; i < keys * width; i++) {
        uint32_t token = state->first + (uint32_t)(i / width);
        size_t at = cache_at(b, (uint32_t)(i % width / c->head_dim), token);
        out[i] = get_value(b, content(b, r), at + i % c->head_dim);
    }
    return out;
}

// Compares what the pieces make together; then takes them as they are.
static void check_attention(struct bed *b, const void *sums, const float *softmax,
                            struct kernel_result *out)
{
    const struct ag_model_config *c = &b->s.c;
    const struct decode_state *state = (struct decode_state *)content(b, RES_STATE) + b->stream;
    uint32_t keys = state->position - state->first + b->rows, from = first_row(b);
    uint32_t n = b->rows - from;
    size_t width = (size_t)c->heads * c->head_dim;
    float *k = cache_rows(b, RES_K, state, keys), *v = cache_rows(b, RES_V, state, keys);
    float *q = dense(floats(b, RES_Q) + (size_t)b->stream * b->s.max_rows * c->heads *
                     gpu_pad4(c->head_dim), (size_t)b->rows * c->heads, c->head_dim);
    float *want = ag_alloc(b->rows * width * sizeof(float));
    ag_ref_attention(c, q, b->rows, k, v, keys, want);
    float *have = put_together(b, sums, softmax, from, n, state->splits);
    double largest = 0;
    for (size_t i = 0; i < n * width; i++) {
        double d = fabs((double)have[i] - (double)want[from * width + i]);
        out->error = d > out->error || isnan(d) ? d : out->error;
        largest = fmax(largest, fabs((double)want[from * width + i]));
    }
    out->error /= largest;
    if (!(out->error <= out->bound)) {
        out->ok = false;
        snprintf(out->text, sizeof(out->text), "context differs by %.3g of its largest value",
                 out->error);
    }
    ag_free(k);
    ag_free(v);
    ag_free(q);
    ag_free(want);
    ag_free(have);
}

static void prepare_attn_out(struct bed *b)
{
    const struct ag_model_config *c = &b->s.c;
    struct decode_state *state = prepare_state(b);
    size_t all = (size_t)b->s.streams * b->s.max_rows;
    if (b->s.tensor) {
        uint16_t *means = content(b, RES_ATTN_SUMS);
        for (size_t i = 0; i < piece_at(b, all * c->heads * b->s.max_splits); i++) {
            means[i] = ag_float_to_half(noise(b));
        }
    } else {
        noise_rows(b, RES_ATTN_SUMS, all * c->heads * b->s.max_splits, c->head_dim);
    }
    float *softmax = floats(b, RES_SOFTMAX);
    for (size_t i = 0; i < b->res[RES_SOFTMAX].size / 8; i++) {
        softmax[2 * i] = 3 * noise(b);
        softmax[2 * i + 1] = 1.5f + noise(b);
    }
    noise_rows(b, RES_X, all, c->width);
    float *x = expected_floats(b, RES_X);
    uint32_t from = first_row(b), n = b->rows - from;
    float *context = put_together(b, content(b, RES_ATTN_SUMS), softmax, from, n, state->splits);
    float *to = dense(x_row(b, x, from, c->width), n, c->width);
    ag_ref_attn_out(c, &b->w.layer[0], context, n, to);
    scatter(x_row(b, x, from, c->width), to, n, c->width);
    ag_free(to);
    ag_free(context);
}

static void prepare_mlp_in(struct bed *b)
{
    const struct ag_model_config *c = &b->s.c;
    prepare_state(b);
    float *x = noise_rows(b, RES_X, (size_t)b->s.streams * b->s.max_rows, c->width);
    float *mlp = expected_floats(b, RES_MLP);
    uint32_t from = first_row(b), n = b->rows - from;
    float *in = dense(x_row(b, x, from, c->width), n, c->width);
    float *to = ag_alloc((size_t)n * c->mlp * sizeof(float));
    ag_ref_mlp_in(c, &b->w.layer[0], in, n, to);
    scatter(x_row(b, mlp, from, c->mlp), to, n, c->mlp);
    ag_free(to);
    ag_free(in);
}

static void prepare_mlp_out(struct bed *b)
{
    const struct ag_model_config *c = &b->s.c;
    prepare_state(b);
    size_t all = (size_t)b->s.streams * b->s.max_rows;
    float *mlp = noise_rows(b, RES_MLP, all, c->mlp);
    noise_rows(b, RES_X, all, c->width);
    float *x = expected_floats(b, RES_X);
    uint32_t from = first_row(b), n = b->rows - from;
    float *in = dense(x_row(b, mlp, from, c->mlp), n, c->mlp);
    float *to = dense(x_row(b, x, from, c->width), n, c->width);
    ag_ref_mlp_out(c, &b->w.layer[0], in, n, to);
    scatter(x_row(b, x, from, c->width), to, n, c->width);
    ag_free(to);
    ag_free(in);
}

// Parts are checked by their total, in the first one; the others are expected as zeros.
static void prepare_tail(struct bed *b)
{
    const struct ag_model_config *c = &b->s.c;
    prepare_attn_out(b);
    struct decode_state *state = (struct decode_state *)content(b, RES_STATE) + b->stream;
    uint32_t from = first_row(b), n = b->rows - from, parts = b->s.tail_parts;
    float *context = put_together(b, content(b, RES_ATTN_SUMS), floats(b, RES_SOFTMAX), from, n,
                                  state->splits);
    float *x = dense(x_row(b, floats(b, RES_X), from, c->width), n, c->width);
    float *mlp = ag_alloc((size_t)n * c->mlp * sizeof(float));
    ag_ref_attn_out(c, &b->w.layer[0], context, n, x);
    ag_ref_mlp_in(c, &b->w.layer[0], x, n, mlp);
    ag_ref_mlp_out(c, &b->w.layer[0], mlp, n, x);
    ag_free(b->res[RES_X].want); // x stays as it is
    b->res[RES_X].want = NULL;
    b->res[RES_X].loose = false;
    float *down = expected_floats(b, RES_DOWN_SUMS);
    uint32_t stride = gpu_pad4(c->width);
    for (uint32_t i = 0; i < n; i++) {
        float *row = down + ((size_t)b->stream * b->s.max_rows + from + i) * parts * stride;
        memset(row, 0, (size_t)parts * stride * sizeof(float));
        memcpy(row, x + (size_t)i * c->width, c->width * sizeof(float));
    }
    ag_free(context);
    ag_free(x);
    ag_free(mlp);
}

static void prepare_heads(struct bed *b)
{
    const struct ag_model_config *c = &b->s.c;
    prepare_state(b);
    float *x = noise_rows(b, RES_X, (size_t)b->s.streams * b->s.max_rows, c->width);
    float *logits = expected_floats(b, RES_LOGITS), *hidden = expected_floats(b, RES_HIDDEN);
    const float *last = x_row(b, x, b->rows - 1, c->width);
    size_t ids = (size_t)c->round * c->vocab;
    logits += b->stream * (ids + c->round);
    ag_ref_heads(c, &b->w, last, logits, logits + ids);
    double squares = 0;
    for (uint32_t i = 0; i < c->width; i++) {
        squares += (double)last[i] * (double)last[i];
    }
    double scale = 1 / sqrt(squares / c->width + (double)c->rms_eps);
    hidden += (size_t)b->stream * gpu_pad4(c->width);
    memset(hidden, 0, gpu_pad4(c->width) * sizeof(float)); // whole vec4 are written
    for (uint32_t i = 0; i < c->width; i++) {
        hidden[i] = (float)((double)last[i] * scale * (double)b->w.norm_final[i]);
    }
}

// ---- selection -------------------------------------------------------------------------------

static uint32_t emitted_before(const struct bed *b)
{
    return AG_MIN(b->s.c.cells / 3, b->s.c.round * 2);
}

static void prepare_select(struct bed *b)
{
    const struct ag_model_config *c = &b->s.c;
    struct decode_state *state = prepare_state(b);
    size_t ids = (size_t)c->round * c->vocab;
    uint32_t before = emitted_before(b), words = GAZE_RESULT_WORDS(c->cells);
    state->slots = state->valid = before;
    state->rounds = 1;
    memset(content(b, RES_ROUNDS), 0, gpu_resource_bytes(&b->s, RES_ROUNDS));
    memset(content(b, RES_FORCED), 0, gpu_resource_bytes(&b->s, RES_FORCED));
    float *logits = floats(b, RES_LOGITS);
    for (size_t i = 0; i < b->s.streams * (ids + c->round); i++) {
        logits[i] = roundf(4 * noise(b)); // plenty of ties
    }
    float *losses = logits + b->stream * (ids + c->round) + ids;
    for (uint32_t i = 0; i < c->round; i++) {
        losses[i] = 0.5f + 0.4f * noise(b);
    }
    uint32_t *results = content(b, RES_RESULTS);
    uint32_t history[1024], n = before;
    for (uint32_t i = 0; i < before; i++) {
        history[i] = results[b->stream * words + GAZE_RESULT_IDS + i] = 2 * i;
    }
    content(b, RES_X);
    struct select_args args = {
        .round = 0, .rounds = b->s.max_rounds, .budget = c->cells, .threshold_on = 1,
        .threshold = b->k->size.real ? 0 : 0.3f, .slide = 0, .forced_rounds = b->s.max_rounds,
        .max_splits = b->s.max_splits, .frame_low = 5,
        .frame_high = 6, .record = 7, .groups = { 1, 2, 3, 4, 5, 6, 7, 8 },
    };
    set_push(b, &args, sizeof(args));
    struct ag_round round;
    bool ended = ag_select_round(c, losses - ids, losses, c->cells, args.threshold, true, history,
                                 &n, &round);
    ended = ended || args.rounds == 1;

    uint32_t *want = expected(b, RES_RESULTS), *cells = expected(b, RES_CELLS);
    struct decode_state *s = (struct decode_state *)expected(b, RES_STATE) + b->stream;
    float *x = expected(b, RES_X);
    want += b->stream * words;
    cells += b->stream * c->cells;
    uint32_t fed = 0;
    for (uint32_t i = before; i < n; i++) {
        want[GAZE_RESULT_IDS + i] = history[i];
        memcpy(&want[GAZE_RESULT_IDS + c->cells + i], &round.loss[i - before], 4);
        cells[i] = history[i] == c->eos ? AG_CELL_NONE : history[i];
        if (history[i] != c->eos) {
            memcpy(x_row(b, x, fed++, c->width), b->w.embed + (size_t)history[i] * c->width,
                   c->width * sizeof(float));
        }
    }
    ((uint32_t *)expected(b, RES_COUNTS))[b->stream] = n;
    s->position += b->rows;
    s->slots = n;
    s->rounds = 1;
    s->valid += fed;
    struct gaze_result result = {
        .slots = n, .rounds = 1, .valid = s->valid, .position = s->position,
        .cached = s->position - s->first, .frame_low = 5, .frame_high = 6, .record = 7,
    };
    memcpy(want, &result, sizeof(result));
    if (ended) {
        s->rows = 0;
        s->n_pending = fed;
        return;
    }
    s->rows = c->round;
    s->rope_first = s->base - c->round;
    uint32_t keys = s->position - s->first + c->round;
    uint32_t tile = b->s.attn_keys[GPU_ROUND];
    s->splits = AG_CLAMP(AG_DIV_UP(keys, tile), 1u, b->s.max_splits);
    s->split_keys = AG_ALIGN_UP(AG_DIV_UP(keys, s->splits), tile);
    uint32_t *next = (uint32_t *)expected(b, RES_ROUNDS) + DECODE_ROUND_WORDS;
    for (uint32_t op = 0; op < DECODE_OPS; op++) {
        bool split = op == DECODE_ATTENTION || op == DECODE_LAST_ATTENTION;
        next[3 * op] = op + 1;
        next[3 * op + 1] = split ? s->splits : 1;
        next[3 * op + 2] = 1;
    }
    next[DECODE_ACTIVE] = 1;
    ((uint32_t *)expected(b, RES_ACTIVE))[b->s.streams] = b->stream;
}

// ---- running a case --------------------------------------------------------------------------

static void prepare(struct bed *b)
{
    static void (*const table[GPU_OP_COUNT])(struct bed *) = {
        [GPU_PATCH] = prepare_patch,       [GPU_FEATURES] = prepare_features,
        [GPU_VISION] = prepare_vision,     [GPU_VISION_PATCH] = prepare_vision_patch,
        [GPU_VISION_TRUNK] = prepare_vision_trunk, [GPU_VISION_PROJECT] = prepare_vision_project,
        [GPU_TRUNK] = prepare_trunk,       [GPU_RELU] = prepare_relu,
        [GPU_PROJECT] = prepare_project,   [GPU_QKV] = prepare_qkv,
        [GPU_ATTENTION] = prepare_attention, [GPU_ATTN_OUT] = prepare_attn_out,
        [GPU_MLP_IN] = prepare_mlp_in,     [GPU_MLP_OUT] = prepare_mlp_out,
        [GPU_TAIL] = prepare_tail,
        [GPU_HEADS] = prepare_heads,       [GPU_SELECT] = prepare_select,
    };
    table[b->k->op](b);
}

static bool make_shape(struct bed *b, struct ag_error *err)
{
    const struct kernel_size *z = &b->k->size;
    struct ag_model_config c = config_of(z);
    struct ag_gpu_model_params params = {
        .stream = { .context = AG_CONTEXT_FRAMES, .policy = AG_STREAM_CHUNK, .horizon = 1 },
        .streams = z->real ? 1 : 2,
        .precision = b->k->precision,
        .trace = true,
    };
    params.stream.horizon = AG_DIV_UP(z->cached + z->rows, c.tokens + c.cells);
    struct ag_gpu_info info = *ag_gpu_get_info(b->gpu);
    if (b->k->plain) {
        info.subgroup_size = 1; // no lanes to share
    }
    if (!gpu_shape_init(&b->s, &c, &params, &info, err)) {
        return false;
    }
    if (!z->real) {
        b->s.max_splits = 3;
        b->s.patch_splits = b->s.tensor ? b->s.patch_splits : 3;
        b->s.trunk_splits = b->s.tensor ? b->s.trunk_splits : 3;
    }
    if (b->k->op == GPU_TAIL && !b->s.fused) {
        return ag_fail(err, AG_ERR_DEVICE, "the rest of a layer does not fit into one kernel");
    }
    b->stream = b->s.streams - 1;
    b->rows = b->k->phase == GPU_PREFILL ? z->rows : z->round;
    gpu_groups(&b->s, b->k->op, b->k->phase, 2, b->groups);
    return true;
}

static bool load_buffers(struct bed *b, struct ag_error *err)
{
    const struct gpu_kernel_info *info = &gpu_kernel_info[b->k->op];
    for (uint32_t i = 0; i < info->n; i++) {
        enum gpu_resource r = (enum gpu_resource)info->resource[i];
        struct guarded *g = &b->res[r];
        if (r >= RES_FIRST_WEIGHT || g->buffer) {
            continue;
        }
        void *have = content(b, r);
        uint64_t room = AG_ALIGN_UP(g->size, (uint64_t)GUARD) + 2 * GUARD;
        uint8_t *bytes = ag_alloc(room);
        memset(bytes, GUARD_BYTE, room);
        memcpy(bytes + GUARD, have, g->size);
        g->buffer = ag_buffer_create(b->gpu, AG_MEM_DEVICE, room, gpu_resource_name(r), err);
        bool ok = g->buffer && ag_buffer_load(b->gpu, g->buffer, 0, bytes, room, err);
        ag_free(bytes);
        if (!ok) {
            return false;
        }
    }
    return true;
}

static void dispatch(struct bed *b, struct ag_cmd *cmd)
{
    const struct gpu_kernel_info *info = &gpu_kernel_info[b->k->op];
    struct ag_binding bindings[GPU_MAX_RESOURCES];
    for (uint32_t i = 0; i < info->n; i++) {
        enum gpu_resource r = (enum gpu_resource)info->resource[i];
        bool trunk = r == RES_W_TRUNK; // the second block works, see prepare_trunk
        bindings[i] = r >= RES_FIRST_WEIGHT
                          ? b->packed.region[r][trunk ? 1 : 0]
                          : (struct ag_binding){ b->res[r].buffer, GUARD, b->res[r].size };
    }
    ag_dispatch(cmd, b->kernel, bindings, info->n, b->push, b->push_bytes, b->groups[0],
                b->groups[1], b->groups[2]);
}

static bool wait(struct bed *b, struct ag_cmd *cmd, struct ag_error *err)
{
    uint64_t value = ag_cmd_submit(cmd, err);
    return value && ag_gpu_wait(b->gpu, value, err);
}

static void complain(struct kernel_result *out, enum gpu_resource r, uint64_t at, double have,
                     double want)
{
    if (out->ok) {
        snprintf(out->text, sizeof(out->text), "%s[%llu] is %.9g, expected %.9g",
                 gpu_resource_name(r), (unsigned long long)at, have, want);
    }
    out->ok = false;
}

static double value_at(const struct guarded *g, const void *data, uint64_t i)
{
    return g->half ? (double)ag_half_to_float(((const uint16_t *)data)[i])
                   : (double)((const float *)data)[i];
}

static void compare_floats(struct bed *b, enum gpu_resource r, const void *have,
                           struct kernel_result *out)
{
    const struct guarded *g = &b->res[r];
    uint64_t n = g->size / (g->half ? 2 : 4);
    double largest = 0;
    for (uint64_t i = 0; i < n; i++) {
        largest = fmax(largest, fabs(value_at(g, g->want, i)));
    }
    for (uint64_t i = 0; i < n; i++) {
        double h = value_at(g, have, i), w = value_at(g, g->want, i);
        double error = fabs(h - w) / (largest > 0 ? largest : 1);
        out->error = isnan(error) ? INFINITY : fmax(out->error, error);
        if (!(error <= out->bound)) {
            complain(out, r, i, h, w);
        }
    }
}

static void compare_words(struct bed *b, enum gpu_resource r, const uint32_t *have,
                          struct kernel_result *out)
{
    const struct guarded *g = &b->res[r];
    const uint32_t *want = g->want ? g->want : g->have;
    for (uint64_t i = 0; i < g->size / 4; i++) {
        if (have[i] != want[i]) {
            complain(out, r, i, have[i], want[i]);
            return;
        }
    }
}

static void check_guards(const struct guarded *g, const uint8_t *bytes, uint64_t room,
                         enum gpu_resource r, struct kernel_result *out)
{
    for (uint64_t i = 0; i < room; i++) {
        bool inside = i >= GUARD && i < GUARD + g->size;
        if (!inside && bytes[i] != GUARD_BYTE) {
            out->ok = false;
            snprintf(out->text, sizeof(out->text), "wrote outside of %s, at byte %lld of %llu",
                     gpu_resource_name(r), (long long)i - GUARD, (unsigned long long)g->size);
            return;
        }
    }
}

static bool check_buffers(struct bed *b, struct kernel_result *out, struct ag_error *err)
{
    const struct ag_model_config *c = &b->s.c;
    size_t piece = (size_t)c->tokens * gpu_pad4(c->channels);
    uint8_t *bytes[RES_COUNT] = { 0 };
    bool ok = true;
    for (int r = 0; r < RES_FIRST_WEIGHT && ok; r++) {
        struct guarded *g = &b->res[r];
        if (!g->buffer) {
            continue;
        }
        uint64_t room = g->buffer->size;
        bytes[r] = ag_alloc(room);
        ok = ag_buffer_read(b->gpu, g->buffer, 0, bytes[r], room, err);
        check_guards(g, bytes[r], room, (enum gpu_resource)r, out);
        float *have = (float *)(bytes[r] + GUARD);
        if (r == RES_PATCH_SUMS && b->k->op == GPU_PATCH) {
            for (uint32_t i = 0; i < b->s.streams * IMAGE_COUNT; i++) {
                if (i % IMAGE_COUNT < 2) { // pictures that were given
                    gather_pieces(have + i * b->s.patch_splits * piece, b->s.patch_splits, piece);
                }
            }
        }
        bool sums = b->k->op == GPU_TRUNK || b->k->op == GPU_VISION_TRUNK ||
                    b->k->op == GPU_VISION;
        if (r == RES_TRUNK_SUMS && sums) {
            for (uint32_t i = 0; i < b->s.streams; i++) {
                gather_pieces(have + i * b->s.trunk_splits * piece, b->s.trunk_splits, piece);
            }
        }
        if (r == RES_DOWN_SUMS && b->k->op == GPU_TAIL) {
            uint32_t parts = b->s.tail_parts, width = gpu_pad4(c->width);
            for (uint32_t i = first_row(b); i < b->rows; i++) {
                size_t row = (size_t)b->stream * b->s.max_rows + i;
                gather_pieces(have + row * parts * width, parts, width);
            }
        }
        bool pieces = b->k->op == GPU_ATTENTION && (r == RES_ATTN_SUMS || r == RES_SOFTMAX);
        if (ok && g->loose && !pieces) {
            compare_floats(b, (enum gpu_resource)r, have, out);
        } else if (ok && !pieces) {
            compare_words(b, (enum gpu_resource)r, (uint32_t *)have, out);
        }
    }
    if (ok && b->k->op == GPU_ATTENTION) {
        check_attention(b, bytes[RES_ATTN_SUMS] + GUARD,
                        (float *)(bytes[RES_SOFTMAX] + GUARD), out);
    }
    for (int r = 0; r < RES_COUNT; r++) {
        ag_free(bytes[r]);
    }
    return ok;
}

// ---- timing ----------------------------------------------------------------------------------

static uint64_t moved_bytes(const struct bed *b)
{
    const struct gpu_kernel_info *info = &gpu_kernel_info[b->k->op];
    const struct decode_state *state = b->res[RES_STATE].have;
    double rows = (double)(b->rows - first_row(b)) / b->s.max_rows;
    uint64_t bytes = 0;
    for (uint32_t i = 0; i < info->n; i++) {
        enum gpu_resource r = (enum gpu_resource)info->resource[i];
        double share = 1;
        if (r == RES_X || r == RES_Q || r == RES_MLP) {
            share = rows;
        } else if (r == RES_DOWN_SUMS) {
            double row = (double)b->s.tail_parts * gpu_pad4(b->s.c.width) * 4;
            share = b->k->op == GPU_TAIL ? rows * b->s.max_rows * row /
                                               (double)gpu_resource_bytes(&b->s, r) : 0;
        } else if (r == RES_ATTN_SUMS || r == RES_SOFTMAX) {
            share = rows * state->splits / b->s.max_splits;
        } else if (r == RES_K || r == RES_V) {
            uint32_t tokens = b->k->op == GPU_QKV ? b->rows : b->k->size.cached + b->rows;
            share = (double)tokens / b->s.capacity;
        } else if (r == RES_PATCH_SUMS) {
            share = 2.0 / IMAGE_COUNT;
        } else if (r == RES_FEATURES) {
            share = b->k->op == GPU_TRUNK ? 1.0 / b->s.c.trunk_depth
                                          : 2.0 / (b->s.c.trunk_depth * b->s.feature_slots);
        } else if (r == RES_TOKENS || r == RES_HIDDEN || r == RES_PREVIOUS || r == RES_EMBED ||
                   r == RES_ROPE || r == RES_ROUNDS || r == RES_FORCED || r == RES_ACTIVE) {
            share = 0; // not in a normal run, or next to nothing
        }
        bytes += (uint64_t)(share * (double)gpu_resource_bytes(&b->s, r));
    }
    return bytes;
}

static double computed_flops(const struct bed *b)
{
    const struct ag_model_config *c = &b->s.c;
    enum gpu_op op = b->k->op;
    double rows = b->rows - first_row(b);
    if (op == GPU_ATTENTION) {
        double visible = b->k->size.cached + (rows > 1 ? (rows + 1) / 2 : b->rows);
        return 4 * rows * c->heads * c->head_dim * visible;
    }
    if (op == GPU_TAIL) {
        return 2 * rows * c->width * (c->heads * c->head_dim + 3.0 * c->mlp);
    }
    if (!gpu_kernel_info[op].gemm) {
        return 0;
    }
    bool vision = op == GPU_PATCH || op == GPU_TRUNK || op == GPU_PROJECT;
    rows = op == GPU_HEADS ? 1 : vision ? c->tokens * (op == GPU_PATCH ? 2.0 : 1.0) : rows;
    return 2 * rows * gpu_columns(&b->s, op) * 4 * gpu_depth4(&b->s, op);
}

#define WARM_UP_NS 250000000 // clocks rise under load, slowly

static bool time_kernel(struct bed *b, uint32_t repeats, struct kernel_result *out,
                        struct ag_error *err)
{
    struct ag_gpu_times times;
    int64_t start = ag_now_ns();
    for (bool warm = false, done = false; !done; done = warm) {
        warm = ag_now_ns() - start > WARM_UP_NS;
        struct ag_cmd *cmd = ag_cmd_begin(b->gpu, 0, err);
        if (!cmd) {
            return false;
        }
        ag_cmd_stage_begin(cmd, AG_STAGE_DECODE);
        for (uint32_t i = 0; i < repeats; i++) {
            dispatch(b, cmd);
            ag_cmd_barrier(cmd);
        }
        ag_cmd_stage_end(cmd);
        if (!wait(b, cmd, err)) {
            return false;
        }
        // The newest counts.
        while (ag_gpu_poll_times(b->gpu, &times)) {
            int64_t ns = times.dropped ? 0 : times.stage_ns[AG_STAGE_DECODE];
            out->us = ns > 0 ? (double)ns * 1e-3 / repeats : out->us;
        }
    }
    return true;
}

static void describe(const struct bed *b, struct kernel_result *out)
{
    static const char *const phases[] = { "", " round", " last" };
    static const char *const parts[] = { " patch", " trunk", " project" };
    bool layer = b->k->op >= GPU_QKV && b->k->op <= GPU_TAIL;
    bool part = b->k->op >= GPU_VISION_PATCH && b->k->op <= GPU_VISION_PROJECT;
    snprintf(out->name, sizeof(out->name), "%s%s%s%s", gpu_kernel_info[b->k->op].name,
             part ? parts[b->k->op - GPU_VISION_PATCH] : "",
             layer && b->k->phase == GPU_PREFILL ? " prefill" : phases[b->k->phase],
             b->k->precision == AG_PRECISION_TENSOR ? " tensor" : b->s.half ? " f16" : "");
    uint32_t rows = b->rows - first_row(b);
    if (b->k->op == GPU_ATTENTION) {
        snprintf(out->shape, sizeof(out->shape), "%u of %u x %u heads of %u", rows,
                 b->k->size.cached + b->rows, b->s.c.heads, b->s.c.head_dim);
    } else if (gpu_kernel_info[b->k->op].gemm) {
        rows = b->k->op < GPU_QKV ? b->s.c.tokens : b->k->op == GPU_HEADS ? 1 : rows;
        snprintf(out->shape, sizeof(out->shape), "%u x %u -> %u", rows,
                 4 * gpu_depth4(&b->s, b->k->op), gpu_columns(&b->s, b->k->op));
    } else {
        snprintf(out->shape, sizeof(out->shape), "%s", b->k->size.name);
    }
    out->bytes = (double)moved_bytes(b);
    out->flops = computed_flops(b);
    // Sums of up to 5184 products in float32; half precision by M8's columns.
    out->bound = b->s.half ? 5e-3 : 2e-5;
}

static bool run(struct bed *b, uint32_t repeats, struct kernel_result *out, struct ag_error *err)
{
    if (!make_shape(b, err)) {
        return false;
    }
    make_weights(b);
    prepare(b);
    describe(b, out);
    b->kernel = gpu_kernel_create(b->gpu, &b->s, b->k->op, b->k->phase, err);
    if (!b->kernel || !gpu_weights_create(b->gpu, &b->s, &b->w, &b->packed, err) ||
        !load_buffers(b, err)) {
        return false;
    }
    struct ag_cmd *cmd = ag_cmd_begin(b->gpu, 0, err);
    if (!cmd) {
        return false;
    }
    dispatch(b, cmd);
    if (!wait(b, cmd, err) || !check_buffers(b, out, err)) {
        return false;
    }
    return !out->ok || repeats == 0 || time_kernel(b, repeats, out, err);
}

bool kernel_case_run(struct ag_gpu *gpu, const struct kernel_case *k, uint32_t repeats,
                     struct kernel_result *out, struct ag_error *err)
{
    struct bed *b = ag_alloc(sizeof(*b));
    *out = (struct kernel_result){ .ok = true };
    b->gpu = gpu;
    b->k = k;
    b->seed = 1;
    bool ok = run(b, repeats, out, err);
    for (int r = 0; r < RES_COUNT; r++) {
        ag_buffer_destroy(gpu, &b->res[r].buffer);
        ag_free(b->res[r].have);
        ag_free(b->res[r].want);
    }
    gpu_weights_destroy(gpu, &b->packed);
    ag_kernel_destroy(gpu, &b->kernel);
    ag_free(b->weight_data);
    ag_free(b);
    return ok;
}
