#include "gpu_shape.h"

#include <stdio.h>
#include <string.h>

#include "interface/gaze_result.h"
#include "interface/model_args.h"

AG_SHADERS(model);

#define MAX_POSITION (1u << 22) // M4.1: beyond, float32 angles are too coarse
#define DECODE_MATRIX_GROUP 384u // 168 registers an invocation
#define MAX_LOOP 65535          // lavapipe silently cuts longer loops
#define LONG_CONTEXT 1024       // tokens

#define VISION_RESOURCES                                                                           \
    { RES_INPUT, RES_CANVAS, RES_PREVIOUS, RES_W_PATCH, RES_PATCH_SUMS, RES_PATCH_NORM,            \
      RES_FEATURES, RES_W_TRUNK, RES_TRUNK_SUMS, RES_TRUNK_BIAS, RES_W_PROJECT, RES_PROJECT_BIAS,  \
      RES_STATE, RES_X, RES_TOKENS, RES_VISION_SYNC }

const struct gpu_kernel_info gpu_kernel_info[GPU_OP_COUNT] = {
    [GPU_BEGIN] = { "begin", false, false, false, 6,
        { RES_STATE, RES_ACTIVE, RES_ROUNDS, RES_FRAMES, RES_COUNTS, RES_SYNC } },
    [GPU_PATCH] = { "patch", true, true, true, 5,
        { RES_INPUT, RES_CANVAS, RES_PREVIOUS, RES_W_PATCH, RES_PATCH_SUMS } },
    [GPU_FEATURES] = { "features", true, false, false, 3,
        { RES_PATCH_SUMS, RES_PATCH_NORM, RES_FEATURES } },
    [GPU_TRUNK] = { "trunk", true, true, true, 3, { RES_FEATURES, RES_W_TRUNK, RES_TRUNK_SUMS } },
    [GPU_RELU] = { "relu", true, false, false, 3,
        { RES_TRUNK_SUMS, RES_TRUNK_BIAS, RES_FEATURES } },
    [GPU_PROJECT] = { "project", true, true, true, 8,
        { RES_STATE, RES_ACTIVE, RES_TRUNK_SUMS, RES_TRUNK_BIAS, RES_W_PROJECT, RES_PROJECT_BIAS,
          RES_X, RES_TOKENS } },
    [GPU_VISION] = { "vision", true, false, true, 16, VISION_RESOURCES },
    [GPU_VISION_PATCH] = { "vision", true, false, true, 16, VISION_RESOURCES },
    [GPU_VISION_TRUNK] = { "vision", true, false, true, 16, VISION_RESOURCES },
    [GPU_VISION_PROJECT] = { "vision", true, false, true, 16, VISION_RESOURCES },
    [GPU_QKV] = { "qkv", true, true, true, 9,
        { RES_STATE, RES_ACTIVE, RES_X, RES_W_QKV, RES_ROPE, RES_Q, RES_K, RES_V,
          RES_DOWN_SUMS } },
    [GPU_ATTENTION] = { "attention", true, false, true, 7,
        { RES_STATE, RES_ACTIVE, RES_Q, RES_K, RES_V, RES_ATTN_SUMS, RES_SOFTMAX } },
    [GPU_ATTN_OUT] = { "attn_out", true, true, true, 6,
        { RES_STATE, RES_ACTIVE, RES_ATTN_SUMS, RES_SOFTMAX, RES_W_ATTN_OUT, RES_X } },
    [GPU_MLP_IN] = { "mlp_in", true, true, true, 5,
        { RES_STATE, RES_ACTIVE, RES_X, RES_W_MLP_IN, RES_MLP } },
    [GPU_MLP_OUT] = { "mlp_out", true, true, true, 5,
        { RES_STATE, RES_ACTIVE, RES_MLP, RES_W_MLP_OUT, RES_X } },
    [GPU_TAIL] = { "tail", true, false, true, 9,
        { RES_STATE, RES_ACTIVE, RES_ATTN_SUMS, RES_SOFTMAX, RES_X, RES_W_ATTN_OUT, RES_W_MLP_IN,
          RES_W_MLP_OUT, RES_DOWN_SUMS } },
    [GPU_HEADS] = { "heads", true, true, true, 8,
        { RES_STATE, RES_ACTIVE, RES_X, RES_W_HEADS, RES_LOGITS, RES_NORM_FINAL, RES_HIDDEN,
          RES_DOWN_SUMS } },
    [GPU_SELECT] = { "select", false, false, false, 11,
        { RES_STATE, RES_ACTIVE, RES_LOGITS, RES_EMBED, RES_X, RES_ROUNDS, RES_RESULTS, RES_CELLS,
          RES_COUNTS, RES_FRAMES, RES_FORCED } },
    [GPU_DECODE] = { "decode", true, false, true, 19,
        { RES_STATE, RES_SYNC, RES_X, RES_K, RES_V, RES_DECODE_SUMS, RES_DECODE_SOFTMAX,
          RES_DECODE_PARTS, RES_W_QKV, RES_ROPE, RES_LOGITS, RES_NORM_FINAL, RES_HIDDEN, RES_EMBED,
          RES_RESULTS, RES_CELLS, RES_COUNTS, RES_FRAMES, RES_FORCED } },
    [GPU_WHOLE_PREFILL] = { "prefill", true, false, true, 16,
        { RES_STATE, RES_X, RES_K, RES_V, RES_SENT, RES_W_QKV, RES_ROPE, RES_LOGITS,
          RES_NORM_FINAL, RES_HIDDEN, RES_EMBED, RES_RESULTS, RES_CELLS, RES_COUNTS, RES_FRAMES,
          RES_FORCED } },
    [GPU_MEET] = { "meet", false, false, false, 2, { RES_SYNC, RES_DOWN_SUMS } },
};

// ---- matrix products -------------------------------------------------------------------------

uint32_t gpu_columns(const struct gpu_shape *s, enum gpu_op op)
{
    const struct ag_model_config *c = &s->c;
    switch (op) {
    case GPU_PATCH:
    case GPU_TRUNK:
        return c->channels;
    case GPU_QKV:
        return (c->heads + 2 * c->kv_heads) * c->head_dim;
    case GPU_MLP_IN:
        return 2 * c->mlp;
    case GPU_HEADS:
        return c->round * (c->vocab + 1);
    default:
        return c->width; // project, attn_out, mlp_out
    }
}

uint32_t gpu_depth4(const struct gpu_shape *s, enum gpu_op op)
{
    const struct ag_model_config *c = &s->c;
    switch (op) {
    case GPU_PATCH:
        return gpu_pad4(3 * c->patch * c->patch) / 4;
    case GPU_TRUNK:
        return c->trunk_time * c->trunk_space * c->trunk_space * gpu_feature_row(s) / 4;
    case GPU_PROJECT:
        return gpu_pad4(c->channels) / 4;
    case GPU_ATTN_OUT:
        return c->heads * gpu_pad4(c->head_dim) / 4;
    case GPU_MLP_OUT:
        return gpu_pad4(c->mlp) / 4;
    default:
        return gpu_pad4(c->width) / 4; // qkv, mlp_in, heads
    }
}

static uint32_t gemm_shared_bytes(const struct gpu_tile *t)
{
    uint32_t rows = 4 * t->rv * t->rt, columns = t->ct * t->rn;
    return 16 * (rows * (t->kc + 1) + t->kg * t->rv * t->rt * columns) +
           4 * (t->kg * t->rt * t->ct + rows);
}

// Shrinks a tile to the depth of the product and to what the device has. kc stays a multiple of kg.
static struct gpu_tile fit_tile(struct gpu_tile t, uint32_t depth4, const struct ag_gpu_info *info)
{
    while (t.kg > 1 && (t.kg > depth4 || t.kg * t.rt * t.ct > info->max_workgroup_invocations)) {
        t.kg /= 2;
    }
    t.kc = AG_MIN(t.kc, AG_ALIGN_UP(depth4, t.kg));
    while (gemm_shared_bytes(&t) > info->max_shared_bytes && t.kc > 1) {
        if (t.kc > t.kg) {
            t.kc = AG_MAX(t.kc / 2 / t.kg, 1u) * t.kg;
        } else {
            t.kg /= 2;
            t.kc = t.kg;
        }
    }
    while (gemm_shared_bytes(&t) > info->max_shared_bytes && t.rn > 1) {
        t.rn /= 2;
    }
    return t;
}

// The same for matrix units (shaders/lib/gemm_matrix.glsl): kc stays a multiple of 4 * kg.
static uint32_t matrix_group(const struct gpu_tile *t)
{
    return 32 * t->kg * (t->rt / 4) * (t->ct / 4);
}

static uint32_t matrix_shared_bytes(const struct gpu_tile *t)
{
    uint32_t rows = 4 * t->rv * t->rt, columns = t->ct * t->rn;
    return 8 * rows * (t->kc + 2) + 4 * (t->kg * rows * (columns + 4) + matrix_group(t) + rows);
}

static struct gpu_tile fit_matrix(struct gpu_tile t, uint32_t depth4,
                                  const struct ag_gpu_info *info)
{
    while (t.kg > 1 && (4 * t.kg > depth4 || matrix_group(&t) > info->max_workgroup_invocations)) {
        t.kg /= 2;
    }
    t.kc = AG_MAX(AG_MIN(t.kc, AG_ALIGN_UP(depth4, 4 * t.kg)) / (4 * t.kg), 1u) * 4 * t.kg;
    while (matrix_shared_bytes(&t) > info->max_shared_bytes && t.kc > 4 * t.kg) {
        t.kc = AG_MAX(t.kc / 2 / (4 * t.kg), 1u) * 4 * t.kg;
    }
    return t;
}

static void choose_matrix_tiles(struct gpu_shape *s, const struct ag_gpu_info *info)
{
    // Subgroups along the rows x 4, tiles of one; the same for columns (tiles x 4); shares of the
    // depth; depth of a stage in vec4. Measured on an H100 with open-gaze.
    static const struct gpu_tile tiles[GPU_OP_COUNT] = {
        [GPU_QKV] = { 4, 1, 16, 4, .kg = 2, .kc = 48 },
        [GPU_ATTN_OUT] = { 4, 1, 8, 4, .kg = 4, .kc = 48 },
        [GPU_MLP_IN] = { 4, 1, 16, 4, .kg = 2, .kc = 48 },
        [GPU_MLP_OUT] = { 4, 1, 8, 4, .kg = 4, .kc = 96 },
        [GPU_HEADS] = { 4, 1, 8, 4, .kg = 4, .kc = 48 },
    };
    for (int op = 0; op < GPU_OP_COUNT; op++) {
        for (int phase = 0; phase < GPU_PHASE_COUNT && gpu_kernel_info[op].gemm; phase++) {
            struct gpu_tile t = tiles[op];
            if (t.rt == 0) { // vision.comp instead
                continue;
            }
            t.rt = phase == GPU_ROUND ? 4 * AG_DIV_UP(s->c.round, 16u) : t.rt;
            t = fit_matrix(t, gpu_depth4(s, (enum gpu_op)op), info);
            s->tile[op][phase] = t;
            s->group[op][phase] = matrix_group(&t);
        }
    }
}

// Measured with open-gaze. An H200: vision 28x32, so that 196 cells make seven tiles without waste;
// prefill 16x32, enough workgroups for 196 rows; decode rounds all rows, few columns. By lanes, on
// lavapipe: large tiles, which cost loads and not registers, 96 columns, of which all widths are
// multiples.
static void choose_tiles(struct gpu_shape *s, const struct ag_gpu_info *info)
{
    enum { VISION, PREFILL, HEADS, ROW, COUNT };
    static const struct gpu_tile hardware[COUNT] = {
        [VISION] = { 7, 1, 8, 4, .kg = 4, .kc = 8 },
        [PREFILL] = { 4, 1, 8, 4, .kg = 8, .kc = 16 },
        [HEADS] = { 1, 1, 32, 1, .kg = 8, .kc = 48 },
        [ROW] = { 1, 1, 8, 1, .kg = 16, .kc = 48 },
    };
    static const struct gpu_tile lanes[COUNT] = { // RT 1, KG 1, KC unused: gemm_lanes.glsl
        [VISION] = { 1, 7, 16, 6, .kg = 1, .kc = 1 },
        [PREFILL] = { 1, 4, 16, 6, .kg = 1, .kc = 1 },
        [HEADS] = { 1, 1, 16, 4, .kg = 1, .kc = 1 },
        [ROW] = { 1, 1, 16, 6, .kg = 1, .kc = 1 },
    };
    const struct gpu_tile *tiles = s->lanes ? lanes : hardware;
    struct gpu_tile round = tiles[ROW];
    uint32_t quads = AG_DIV_UP(s->c.round, 4u);
    round.rt = AG_DIV_UP(quads, s->lanes ? 4u : 1u);
    round.rv = AG_DIV_UP(quads, round.rt);
    for (int op = 0; op < GPU_OP_COUNT; op++) {
        if (!gpu_kernel_info[op].gemm) {
            continue;
        }
        bool wide = op == GPU_PATCH || op == GPU_TRUNK;
        const struct gpu_tile *want[] = { &tiles[wide ? VISION : PREFILL], &round, &tiles[ROW] };
        if (op == GPU_HEADS) {
            want[GPU_PREFILL] = want[GPU_ROUND] = want[GPU_LAST] = &tiles[HEADS];
        }
        for (int phase = 0; phase < GPU_PHASE_COUNT; phase++) {
            struct gpu_tile t = fit_tile(*want[phase], gpu_depth4(s, (enum gpu_op)op), info);
            s->tile[op][phase] = t;
            s->group[op][phase] = t.kg * t.rt * t.ct;
        }
    }
}

// ---- the vision encoder by matrix units ------------------------------------------------------

#define VISION_WARPS 6u    // subgroups; more of them have more sums to add up
#define VISION_ROWS 5u     // tiles of places of a piece of the trunk
#define VISION_DEPTH4 96u  // of patches at once, in vec4

// Subgroups that share the depth of a patch.
static uint32_t patch_shares(uint32_t warps)
{
    return warps % 3 == 0 ? warps / 3 : warps % 2 == 0 ? warps / 2 : warps;
}

// As declared in shaders/model/vision.comp.
static uint32_t vision_shared_bytes(const struct gpu_shape *s, uint32_t warps,
                                    const struct gpu_tile *t)
{
    const struct ag_model_config *c = &s->c;
    uint32_t shares = patch_shares(warps), span = c->trunk_space - 1;
    uint32_t patch = 16 * AG_MAX(t->kc / 2 + 1, shares * (4 * (warps / shares) + 1));
    uint32_t places = AG_ALIGN_UP(16 * t->rv + span * (c->grid + span + 1), 16u);
    uint32_t trunk = AG_ALIGN_UP(places * (2 * warps + 1), warps * 16 * 5);
    uint32_t columns = warps % 2 == 0 ? 2 : 1, steps = AG_DIV_UP(c->channels, 16u);
    shares = warps / columns;
    steps = AG_MIN(AG_DIV_UP(steps, shares), 8u);
    uint32_t project = 16 * AG_MAX(2 * shares * steps + 1, shares * (4 * columns + 1));
    return 16 * AG_MAX(AG_MAX(patch, trunk), project) + 4 * (32 * warps + 2);
}

// Places of the trunk: rows of the grid lie further apart than they are long.
static uint32_t trunk_places(const struct ag_model_config *c)
{
    return (c->grid - 1) * (c->grid + c->trunk_space - 1) + c->grid;
}

static void choose_vision(struct gpu_shape *s, const struct ag_gpu_info *info)
{
    uint32_t warps = AG_MIN(VISION_WARPS, AG_DIV_UP(s->c.channels, 16u));
    struct gpu_tile t = { .rv = AG_MIN(VISION_ROWS, AG_DIV_UP(trunk_places(&s->c), 16u)) };
    while (warps > 1 && 32 * warps > info->max_workgroup_invocations) {
        warps--;
    }
    uint32_t unit = 4 * patch_shares(warps);
    t.kc = AG_MAX(AG_MIN(VISION_DEPTH4, AG_ALIGN_UP(gpu_depth4(s, GPU_PATCH), unit)) / unit, 1u) *
           unit;
    while (t.rv > 1 && vision_shared_bytes(s, warps, &t) > info->max_shared_bytes) {
        t.rv--;
    }
    while (warps > 1 && vision_shared_bytes(s, warps, &t) > info->max_shared_bytes) {
        warps--;
        unit = 4 * patch_shares(warps);
        t.kc = AG_MAX(t.kc / 2 / unit, 1u) * unit;
    }
    for (int op = GPU_VISION; op <= GPU_VISION_PROJECT; op++) {
        s->tile[op][GPU_PREFILL] = t;
        s->group[op][GPU_PREFILL] = 32 * warps;
    }
}

// Pieces of work of a part.
static uint32_t vision_pieces(const struct gpu_shape *s, enum gpu_op op, uint32_t n_images)
{
    const struct ag_model_config *c = &s->c;
    uint32_t warps = s->group[op][GPU_PREFILL] / 32, cells16 = AG_DIV_UP(c->tokens, 16u);
    uint32_t c16 = AG_DIV_UP(c->channels, 16u), d16 = AG_DIV_UP(c->width, 16u);
    uint32_t rows = 16 * s->tile[op][GPU_PREFILL].rv;
    switch (op) {
    case GPU_VISION_PATCH:
        return AG_DIV_UP(c16, warps / patch_shares(warps)) * cells16 * n_images;
    case GPU_VISION_TRUNK:
        return c16 * c->trunk_time * AG_DIV_UP(trunk_places(c), rows);
    default:
        return AG_DIV_UP(d16, warps % 2 == 0 ? 2u : 1u) * cells16;
    }
}

// ---- attention -------------------------------------------------------------------------------

// Matrix units: tiles of 16 rows that a subgroup has, subgroups along the rows of a workgroup; as
// declared in shaders/lib/attention_matrix.glsl.
static uint32_t own_rows16(const struct gpu_shape *s, enum gpu_phase phase)
{
    return s->attn_rows[phase] % 32 == 0 && s->c.head_dim <= 32 ? 2 : 1;
}

static uint32_t row_groups(const struct gpu_shape *s, enum gpu_phase phase)
{
    return s->attn_rows[phase] / (16 * own_rows16(s, phase));
}

static uint32_t attention_group(const struct gpu_shape *s, enum gpu_phase phase)
{
    uint32_t rows = s->attn_rows[phase];
    if (s->lanes) { // two rows an invocation, whole vectors
        return AG_ALIGN_UP(AG_DIV_UP(rows, 2u), 8u);
    }
    if (s->tensor) {
        return 32 * row_groups(s, phase) * s->attn_shares[phase];
    }
    // 8 threads a row for the softmax, a thread a quad of rows and dims for the sum
    uint32_t units = rows / 4 * (gpu_pad4(s->c.head_dim) / 4);
    return AG_ALIGN_UP(AG_MAX(64, AG_MAX(8 * rows, units)), 32u);
}

// As declared in shaders/model/attention.comp and shaders/lib/attention_matrix.glsl.
static uint32_t attention_shared_bytes(const struct gpu_shape *s, enum gpu_phase phase)
{
    uint32_t rows = s->attn_rows[phase], keys = s->attn_keys[phase];
    uint32_t group = attention_group(s, phase), head4 = gpu_pad4(s->c.head_dim) / 4;
    if (s->lanes) {
        return 0;
    }
    if (s->tensor) {
        uint32_t head16 = AG_DIV_UP(s->c.head_dim, 16u), shares = s->attn_shares[phase];
        uint32_t stages = (rows + 4 * keys) * (2 * head16 + 1);
        uint32_t sums = shares * rows * (4 * head16 + 2);
        uint32_t scratch = s->emulated ? group / 32 * own_rows16(s, phase) * 48 : 0;
        return 16 * (AG_MAX(stages, sums) + scratch) + 8 * shares * rows +
               (s->emulated ? 4 * group : 0);
    }
    uint32_t pool = AG_MAX(keys * (head4 + 1), group / (rows / 4 * head4) * rows * head4);
    return 16 * (rows * head4 + pool + keys * head4 + rows * (keys / 4 + 1)) + 4 * rows * 9;
}

static bool attention_fits(const struct gpu_shape *s, enum gpu_phase phase,
                           const struct ag_gpu_info *info)
{
    return attention_group(s, phase) <= info->max_workgroup_invocations &&
           attention_shared_bytes(s, phase) <= info->max_shared_bytes;
}

static void fit_attention(struct gpu_shape *s, enum gpu_phase phase, uint32_t unit,
                          const struct ag_gpu_info *info)
{
    uint32_t *rows = &s->attn_rows[phase], *keys = &s->attn_keys[phase];
    uint32_t *shares = &s->attn_shares[phase];
    while (!attention_fits(s, phase, info)) {
        if (s->tensor && *shares > 1) {
            *shares /= 2;
            *keys = 16 * *shares;
        } else if (*keys > unit) {
            *keys = AG_MAX(*keys / 2 / unit, 1u) * unit;
        } else if (*rows > unit && phase == GPU_PREFILL) {
            *rows /= 2;
        } else {
            return;
        }
    }
}

static bool choose_attention(struct gpu_shape *s, const struct ag_gpu_info *info,
                             struct ag_error *err)
{
    // Matrix units: below 32 KB of shared memory. Between kernels with more and with less an H100
    // divides its memory anew, 3 us.
    bool is_long = s->capacity > LONG_CONTEXT;
    uint32_t unit = s->tensor ? 16 : s->lanes ? 8 : 4;
    s->attn_rows[GPU_PREFILL] = s->tensor ? 32 : 16;
    s->attn_rows[GPU_ROUND] = AG_ALIGN_UP(s->c.round, unit);
    s->attn_rows[GPU_LAST] = unit;
    for (int phase = 0; phase < GPU_PHASE_COUNT; phase++) {
        s->attn_shares[phase] = phase == GPU_PREFILL ? 4 : 5;
        s->attn_keys[phase] = s->tensor ? 16 * s->attn_shares[phase] : 64;
        fit_attention(s, (enum gpu_phase)phase, unit, info);
        if (!attention_fits(s, (enum gpu_phase)phase, info)) {
            return ag_fail_kind(err, AG_ERR_INPUT, "UNSUPPORTED",
                                "attention heads of %u with %u ids a round do not fit into the %u "
                                "bytes of shared memory and %u invocations of a workgroup on '%s'; "
                                "use --backend cpu", s->c.head_dim, s->c.round,
                                info->max_shared_bytes, info->max_workgroup_invocations,
                                info->name);
        }
        s->group[GPU_ATTENTION][phase] = attention_group(s, (enum gpu_phase)phase);
    }
    // What pieces of the keys are multiples of.
    s->split_unit[GPU_PREFILL] = !s->tensor ? s->attn_keys[GPU_PREFILL]
                                 : is_long  ? 64
                                            : AG_ALIGN_UP(AG_MAX(s->c.tokens, 112u), 16u);
    s->split_unit[GPU_ROUND] = s->attn_keys[GPU_ROUND];
    return true;
}

// ---- the rest of a layer in one kernel -------------------------------------------------------

#define TAIL_ROWS 16u
#define TAIL_UNITS 96u // four parts of 384, each as wide as the model

// As declared in shaders/model/tail.comp.
static void choose_tail(struct gpu_shape *s, const struct ag_gpu_info *info)
{
    const struct ag_model_config *c = &s->c;
    uint32_t heads = AG_DIV_UP(gpu_depth4(s, GPU_ATTN_OUT), 4u), width = AG_DIV_UP(c->width, 16u);
    s->tail_units = AG_MIN(TAIL_UNITS, AG_ALIGN_UP(c->mlp, 16u));
    s->tail_parts = AG_DIV_UP(c->mlp, s->tail_units);
    uint32_t units = s->tail_units / 16, widest = AG_MAX(width, 2 * units);
    uint32_t group = 32 * AG_MIN(widest, 12u);
    uint32_t shared = 8 * TAIL_ROWS * (2 * (4 * AG_MAX(heads, width) + 2) + 4 * units + 2) +
                      16 * TAIL_ROWS * (4 * widest + 1) + 4 * group;
    s->fused = s->tensor && c->round <= TAIL_ROWS && group <= info->max_workgroup_invocations &&
               shared <= info->max_shared_bytes;
    for (int phase = 0; phase < GPU_PHASE_COUNT; phase++) {
        s->group[GPU_TAIL][phase] = group;
    }
}

// ---- the decode kernel -----------------------------------------------------------------------

// As declared in shaders/model/decode.comp and what it includes.
static uint32_t decode_shared_bytes(const struct gpu_shape *s, uint32_t group, uint32_t keys)
{
    const struct ag_model_config *c = &s->c;
    uint32_t head4 = gpu_pad4(c->head_dim) / 4, width4 = gpu_pad4(c->width) / 4, r = c->round;
    uint32_t area = AG_MAX(s->window * c->heads * head4,
                           AG_MAX(3 * r * head4, s->window * s->units / 4));
    uint32_t partial = AG_MAX(2 * group * AG_DIV_UP(s->window, 4u), keys * (head4 + 1));
    return 16 * (r * width4 + area + partial) + 4 * s->window * (keys + 1) + 4 * r * c->head_dim +
           4 * (13 * r + AG_DIV_UP(c->vocab, 32u) + 8);
}

static bool decode_fits(const struct gpu_shape *s, uint32_t group, uint32_t keys,
                        const struct ag_gpu_info *info)
{
    const struct ag_model_config *c = &s->c;
    return group <= info->max_workgroup_invocations && group >= 8 * c->round && group >= keys &&
           group >= 2 * c->head_dim && group >= gpu_pad4(c->head_dim) && group >= 2 * s->units &&
           group >= s->head_columns && group >= s->out_columns &&
           decode_shared_bytes(s, group, keys) <= info->max_shared_bytes;
}

// The same for shaders/model/decode_matrix.comp.
static uint32_t shares_of(uint32_t columns, uint32_t most)
{
    return AG_CLAMP(DECODE_MATRIX_GROUP / 32 / columns, 1u, most);
}

// Keys of a round's logits (shaders/lib/pick_warps.glsl), in fours.
static uint32_t round_keys4(const struct ag_model_config *c)
{
    return c->round * 32 * AG_DIV_UP(c->cells, 128u);
}

static uint32_t decode_matrix_shared_bytes(const struct gpu_shape *s)
{
    const struct ag_model_config *c = &s->c;
    uint32_t d16 = AG_DIV_UP(c->width, 16u), head16 = c->head_dim / 16;
    uint32_t keys16 = s->decode_keys / 16;
    uint32_t units16 = s->units / 16, heads16 = s->head_columns / 16;
    uint32_t halves = 4 * d16 + 2 + AG_MAX(3 * (4 * head16 + 2), 4 * units16 + 2) +
                      4 * AG_MAX(keys16, c->heads * head16) + 2;
    uint32_t sums[] = {
        AG_MAX(shares_of(head16, 6), shares_of(head16, keys16)) * (4 * head16 + 1),
        shares_of(3 * head16, 4) * (12 * head16 + 1), 4 * keys16 + 1,
        shares_of(d16, 2) * (4 * d16 + 1), shares_of(2 * units16, 4) * (8 * units16 + 1),
        shares_of(heads16, 6) * (4 * heads16 + 1),
    }, most = 0;
    for (size_t i = 0; i < AG_COUNT(sums); i++) {
        most = AG_MAX(most, sums[i]);
    }
    most = AG_MAX(16 * most, round_keys4(c));
    return 16 * (8 * halves + most) + 4 * (32 + (s->emulated ? DECODE_MATRIX_GROUP : 0)) +
           4 * c->round * c->head_dim + 4 * (3 * c->round + 16);
}

static void choose_decode_matrix(struct gpu_shape *s, const struct ag_gpu_info *info)
{
    const struct ag_model_config *c = &s->c;
    uint32_t warps = DECODE_MATRIX_GROUP / 32;
    // Measured on an H100 with open-gaze: short contexts like many small pieces.
    s->units = AG_MIN(32u, AG_ALIGN_UP(c->mlp, 16u));
    s->head_columns = 32;
    s->decode_keys = s->capacity > LONG_CONTEXT ? 352 : 128;
    s->group[GPU_DECODE][GPU_PREFILL] = s->group[GPU_MEET][GPU_PREFILL] = DECODE_MATRIX_GROUP;
    s->decode_groups = 1;
    if (c->head_dim % 16 != 0 || c->round > 16 || c->cells >= 1024) {
        return;
    }
    if (decode_matrix_shared_bytes(s) > info->max_shared_bytes) {
        s->decode_keys = AG_MIN(s->decode_keys, 128u);
    }
    s->resident = c->layers > 1 && c->head_dim / 16 <= warps &&
                  c->round * c->head_dim / 4 <= DECODE_MATRIX_GROUP &&
                  DECODE_MATRIX_GROUP <= info->max_workgroup_invocations &&
                  decode_matrix_shared_bytes(s) <= info->max_shared_bytes;
    uint32_t tiles = s->capacity / 16 + 1;
    uint32_t pieces = AG_MIN(AG_DIV_UP(16 * tiles, s->decode_keys), s->max_splits) + 1;
    uint32_t work = AG_MAX(c->heads * pieces + AG_DIV_UP(c->mlp, s->units),
                           AG_DIV_UP(gpu_columns(s, GPU_HEADS), s->head_columns));
    work = AG_MIN(work, DECODE_MATRIX_GROUP); // shaders/lib/pick_warps.glsl
    s->decode_groups = info->software ? 1 : AG_CLAMP(info->cores / s->streams, 1u, work);
}

// More workgroups than pieces of work would only wait, more than cores must not be: they may have
// to wait for each other.
static void choose_decode(struct gpu_shape *s, const struct ag_gpu_info *info)
{
    static const uint32_t groups[] = { 256, 128, 64 };
    if (s->tensor) {
        choose_decode_matrix(s, info);
        return;
    }
    s->units = 32;
    s->out_columns = 16;
    s->head_columns = 64;
    // Rows are cut where there are cores for the pieces, but not where reading the keys twice would
    // cost more; a row's sums do not change with that. Measured on an H100 with open-gaze.
    bool is_long = s->capacity > LONG_CONTEXT;
    s->window = s->streams > 4 || is_long ? s->c.round : AG_DIV_UP(s->c.round, 2u);
    for (size_t i = 0; i < AG_COUNT(groups) && !s->resident; i++) {
        for (uint32_t keys = is_long ? 64 : 32; keys >= 16 && !s->resident; keys /= 2) {
            s->resident = decode_fits(s, groups[i], keys, info);
            s->group[GPU_DECODE][GPU_PREFILL] = s->group[GPU_MEET][GPU_PREFILL] = groups[i];
            s->decode_keys = keys;
        }
    }
    uint32_t work = AG_MAX(s->c.heads * (s->max_splits + 1) * AG_DIV_UP(s->c.round, s->window),
                           AG_DIV_UP(gpu_columns(s, GPU_HEADS), s->head_columns));
    s->decode_groups = info->software ? 1 : AG_CLAMP(info->cores / s->streams, 1u, work);
}

// ---- the prefill in one kernel ---------------------------------------------------------------

// As declared in shaders/model/prefill.comp.
#define PREFILL_BAND 3u // row tiles
#define PREFILL_KEY_SHARES 8u

static bool has_past(const struct gpu_shape *s)
{
    return s->max_rows > s->c.tokens;
}

// Workgroups: as many as a layer has pieces, but for those of attention over a past, which come
// between.
static uint32_t prefill_groups(const struct gpu_shape *s)
{
    return AG_DIV_UP(s->max_rows, 16u) * (s->c.heads + AG_DIV_UP(s->c.mlp, s->prefill_units));
}

// Pieces of attention over a past that have the same share of the keys.
static uint32_t bands_of_heads(const struct gpu_shape *s)
{
    return AG_DIV_UP(AG_DIV_UP(s->max_rows, 16u), PREFILL_BAND) * s->c.heads;
}

static uint32_t key_shares(const struct gpu_shape *s)
{
    return has_past(s) ? AG_MIN(prefill_groups(s) / bands_of_heads(s), PREFILL_KEY_SHARES) : 1;
}

uint32_t gpu_prefill_tasks(const struct gpu_shape *s)
{
    return prefill_groups(s) + (has_past(s) ? bands_of_heads(s) * key_shares(s) : 0);
}

// As declared in shaders/model/prefill.comp.
static uint32_t prefill_shared_bytes(const struct gpu_shape *s)
{
    const struct ag_model_config *c = &s->c;
    uint32_t tiles = AG_DIV_UP(s->max_rows, 16u), keys4 = 4 * tiles, d16 = AG_DIV_UP(c->width, 16u);
    uint32_t head16 = c->head_dim / 16, head4 = 4 * head16, units = s->prefill_units;
    uint32_t rest = 16 * (4 * d16 + 2 + AG_MAX(c->heads * head4, units / 4) + 2);
    bool past = has_past(s);
    uint32_t warps = s->group[GPU_WHOLE_PREFILL][GPU_PREFILL] / 32, band = 16 * PREFILL_BAND;
    uint32_t stages = 16 * warps * (2 * head4 + (s->emulated ? 4 : 2));
    uint32_t halves = past ? AG_MAX(rest, stages) + (s->emulated ? band * (head4 + 2) : 0)
                           : AG_MAX(rest, 16 * tiles * (head4 + 2)) + 16 * (head4 + 2 + keys4 + 2);
    uint32_t sums[] = {
        past ? 0 : AG_MAX(shares_of(head16, tiles) * (head4 + 1), keys4 + 1),
        shares_of(3 * head16, 4) * (3 * head4 + 1), shares_of(d16, 2) * (4 * d16 + 1),
        shares_of(units / 8, 4) * (units / 2 + 1),
        shares_of(s->head_columns / 16, 6) * (s->head_columns / 4 + 1),
    }, most = 0;
    for (size_t i = 0; i < AG_COUNT(sums); i++) {
        most = AG_MAX(most, sums[i]);
    }
    uint32_t join = past ? warps * (band + 2) + band * AG_DIV_UP(warps, 4u) : 0;
    most = AG_MAX(AG_MAX(16 * most, join), round_keys4(c));
    return 8 * halves + 16 * most + 4 * 16 * 2 * d16 + 64 + 4 * c->round * c->head_dim +
           4 * (3 * c->round + 16) + (s->emulated ? 4 * 32 * warps : 0);
}

// A workgroup a piece of work, so that each keeps to its rows; fewer units a piece where there are
// cores for that, but no fewer than measured on an H100 with open-gaze.
static void choose_prefill(struct gpu_shape *s, const struct ag_gpu_info *info)
{
    const struct ag_model_config *c = &s->c;
    uint32_t cores = info->software ? UINT32_MAX : info->cores / s->streams;
    s->prefill_groups = 1;
    s->prefill_units = AG_MIN(96u, AG_ALIGN_UP(c->mlp, 16u));
    // what is emulated is for tests: lavapipe has 32 KB of shared memory
    s->group[GPU_WHOLE_PREFILL][GPU_PREFILL] = s->emulated ? 256 : DECODE_MATRIX_GROUP;
    while (prefill_groups(s) > cores && s->prefill_units < c->mlp) {
        s->prefill_units += 16;
    }
    // shaders/lib/pick_warps.glsl counts up to a workgroup an invocation
    s->whole_prefill = s->resident && s->tensor &&
                       prefill_groups(s) <= AG_MIN(cores, DECODE_MATRIX_GROUP) &&
                       prefill_shared_bytes(s) <= info->max_shared_bytes;
    if (s->whole_prefill && !info->software) {
        s->prefill_groups = prefill_groups(s);
    }
}

// ---- splits ----------------------------------------------------------------------------------
// A sum is cut into pieces where its tiles alone would leave most of the device idle. The number of
// pieces follows from model and device but not from the number of streams, so a stream's results
// are the same bits whatever runs beside it.

// As many as fill the device once: a second wave for the last few would take as long as the first.
static uint32_t pieces(const struct gpu_shape *s, enum gpu_op op, uint32_t n_images,
                       uint32_t wanted, uint32_t most)
{
    uint32_t groups[3];
    gpu_groups(s, op, GPU_PREFILL, n_images, groups);
    return AG_CLAMP(wanted / (groups[0] * groups[1] * n_images), 1u, AG_MAX(most, 1u));
}

static void choose_splits(struct gpu_shape *s, bool canvas, const struct ag_gpu_info *info)
{
    uint32_t wanted = info->software ? 4 : 2 * (info->cores ? info->cores : 64);
    s->patch_splits = s->trunk_splits = 1;
    if (s->tensor) {
        s->trunk_splits = s->c.trunk_time; // as vision.comp has it
        uint32_t most = AG_MAX(vision_pieces(s, GPU_VISION_PATCH, canvas ? 2 : 1),
                               vision_pieces(s, GPU_VISION_TRUNK, 1));
        s->vision_groups = AG_CLAMP(info->cores, 1u, most);
    } else {
        s->patch_splits = pieces(s, GPU_PATCH, canvas ? 2 : 1, wanted, 6);
        s->trunk_splits = pieces(s, GPU_TRUNK, 1, wanted, 9);
    }
    s->max_splits = AG_CLAMP(wanted / s->c.heads, 1u,
                             AG_MIN(s->tensor ? 20u : 16u,
                                    AG_DIV_UP(s->capacity, AG_MIN(s->split_unit[GPU_PREFILL],
                                                                  112u))));
    uint32_t keys = canvas ? s->c.tokens : s->capacity; // of a prefill
    s->prefill_splits = s->tensor ? wanted / (s->c.heads * AG_DIV_UP(s->max_rows, 32u))
                                  : pieces(s, GPU_ATTENTION, 1, wanted, s->max_splits);
    s->prefill_splits = AG_CLAMP(s->prefill_splits, 1u,
                                 AG_MIN(s->max_splits,
                                        AG_DIV_UP(keys, s->split_unit[GPU_PREFILL])));
}

// ---- shape -----------------------------------------------------------------------------------

static bool check(const struct ag_model_config *c, const struct ag_stream_params *p, bool canvas,
                  struct ag_error *err)
{
    if (canvas && (c->trunk_depth != 1 || c->trunk_time != 3)) {
        return ag_fail_kind(err, AG_ERR_INPUT, "UNSUPPORTED",
                            "context canvas needs a trunk of depth 1 with 3 taps, found %u and %u; "
                            "use --temporal-context frames", c->trunk_depth, c->trunk_time);
    }
    if (c->tokens < c->round) {
        return ag_fail_kind(err, AG_ERR_INPUT, "UNSUPPORTED",
                            "%u vision tokens are fewer than the %u ids of a round", c->tokens,
                            c->round);
    }
    if (p->max_budget > c->cells) {
        return ag_fail(err, AG_ERR_INPUT, "a budget of %u slots a frame, the model has %u cells",
                       p->max_budget, c->cells);
    }
    return true;
}

bool gpu_shape_init(struct gpu_shape *s, const struct ag_model_config *c,
                    const struct ag_gpu_model_params *params, const struct ag_gpu_info *info,
                    struct ag_error *err)
{
    const struct ag_stream_params *p = &params->stream;
    bool canvas = p->context == AG_CONTEXT_CANVAS;
    if (!check(c, p, canvas, err)) {
        return false;
    }
    bool unbounded = p->policy == AG_STREAM_UNBOUNDED;
    memset(s, 0, sizeof(*s));
    s->c = *c;
    s->half = params->precision != AG_PRECISION_F32;
    s->tensor = params->precision == AG_PRECISION_TENSOR;
    s->emulated = s->tensor && !info->cooperative_matrix;
    s->matrix_direct = s->tensor && info->khr_matrix;
    s->lanes = !s->tensor && info->software && info->subgroup_size >= 8;
    s->trace = params->trace;
    s->slide = !canvas && p->policy == AG_STREAM_SLIDE;
    s->streams = params->streams ? params->streams : 1;
    s->max_budget = p->max_budget ? p->max_budget : c->cells;
    s->max_rounds = AG_DIV_UP(s->max_budget, c->round);
    s->horizon = canvas ? 1 : p->horizon ? p->horizon : unbounded ? 64 : c->max_num_frames;
    s->horizon = AG_MAX(s->horizon, 1u);
    s->max_rows = c->tokens + (canvas ? 0 : c->round);
    uint64_t tokens = (uint64_t)s->horizon * (c->tokens + s->max_budget) + c->round;
    if (tokens > MAX_POSITION) {
        return ag_fail(err, AG_ERR_INPUT, "%u frames of up to %u tokens are %llu positions, at "
                       "most %u are exact in float32; use fewer frames (--frames-per-clip)",
                       s->horizon, c->tokens + s->max_budget, (unsigned long long)tokens,
                       MAX_POSITION);
    }
    s->capacity = s->tensor ? AG_ALIGN_UP((uint32_t)tokens, 16u) : (uint32_t)tokens;
    // SLIDE: positions go on for ever, the rows of the frames in flight are kept (gpu_rope.c).
    s->rope_rows = s->slide ? (AG_CMD_SLOTS + 2) * (c->tokens + s->max_budget + c->round)
                            : s->capacity;
    s->rope_stride = s->slide && s->streams > 1 ? s->rope_rows : 0;
    s->feature_slots = canvas ? 3 : c->trunk_time;
    if (s->tensor) {
        choose_matrix_tiles(s, info);
        choose_vision(s, info);
    } else {
        choose_tiles(s, info);
    }
    if (!choose_attention(s, info, err)) {
        return false;
    }
    if (!s->tensor && gpu_depth4(s, GPU_TRUNK) / s->tile[GPU_TRUNK][GPU_PREFILL].kc >= MAX_LOOP) {
        return ag_fail_kind(err, AG_ERR_INPUT, "UNSUPPORTED", "a trunk of %u x %u x %u taps over "
                            "%u channels is too deep for the shaders; use --backend cpu",
                            c->trunk_time, c->trunk_space, c->trunk_space, c->channels);
    }
    for (int phase = 0; phase < GPU_PHASE_COUNT; phase++) {
        s->group[GPU_BEGIN][phase] = s->group[GPU_FEATURES][phase] = 64;
        s->group[GPU_RELU][phase] = 64;
        s->group[GPU_SELECT][phase] = AG_MIN(256u, info->max_workgroup_invocations);
    }
    choose_tail(s, info);
    choose_splits(s, canvas, info);
    choose_decode(s, info);
    choose_prefill(s, info);
    return true;
}

void gpu_groups(const struct gpu_shape *s, enum gpu_op op, enum gpu_phase phase, uint32_t n_images,
                uint32_t groups[3])
{
    const struct ag_model_config *c = &s->c;
    const struct gpu_tile *t = &s->tile[op][phase];
    uint32_t tile_rows = 4 * t->rv * t->rt;
    uint32_t rows = phase == GPU_PREFILL ? s->max_rows : 1; // rounds: one tile whatever its rows
    groups[0] = groups[1] = 1;
    groups[2] = s->streams;
    if (gpu_kernel_info[op].gemm) {
        groups[0] = AG_DIV_UP(gpu_columns(s, op), t->ct * t->rn);
        groups[1] = AG_DIV_UP(rows, tile_rows);
    }
    switch (op) {
    case GPU_BEGIN:
        groups[2] = 1;
        break;
    case GPU_PATCH:
        groups[0] *= s->patch_splits;
        groups[1] = AG_DIV_UP(c->tokens, tile_rows);
        groups[2] *= n_images;
        break;
    case GPU_VISION:
        groups[0] = s->vision_groups;
        break;
    case GPU_VISION_PATCH:
    case GPU_VISION_TRUNK:
    case GPU_VISION_PROJECT:
        groups[0] = vision_pieces(s, op, n_images);
        break;
    case GPU_FEATURES:
        groups[0] = c->tokens;
        groups[2] *= n_images;
        break;
    case GPU_TRUNK:
        groups[0] *= s->trunk_splits;
        groups[1] = AG_DIV_UP(c->tokens, tile_rows);
        break;
    case GPU_PROJECT:
        groups[1] = AG_DIV_UP(c->tokens, tile_rows);
        break;
    case GPU_RELU:
        groups[0] = AG_DIV_UP(c->tokens * (gpu_pad4(c->channels) / 4), s->group[op][phase]);
        break;
    case GPU_ATTENTION:
        groups[0] = c->heads;
        groups[1] = AG_DIV_UP(rows, s->attn_rows[phase]) * AG_MAX(s->prefill_splits, 1u);
        break;
    case GPU_TAIL:
        groups[0] = s->tail_parts;
        groups[1] = AG_DIV_UP(rows, TAIL_ROWS);
        break;
    case GPU_HEADS:
        groups[1] = 1;
        break;
    case GPU_DECODE:
        groups[0] = s->decode_groups;
        break;
    case GPU_WHOLE_PREFILL:
        groups[0] = s->prefill_groups;
        break;
    case GPU_MEET:
        groups[0] = AG_MAX(s->decode_groups, s->prefill_groups) * s->streams;
        groups[2] = 1;
        break;
    default:
        break;
    }
}

static uint32_t float_bits(float f)
{
    uint32_t bits;
    memcpy(&bits, &f, sizeof(bits));
    return bits;
}

void gpu_constants(const struct gpu_shape *s, enum gpu_op op, enum gpu_phase phase,
                   uint32_t constants[SPEC_COUNT])
{
    const struct ag_model_config *c = &s->c;
    const struct gpu_tile *t = &s->tile[op][phase];
    const uint32_t values[SPEC_COUNT] = {
        [SPEC_GROUP] = s->group[op][phase],
        [SPEC_SIDE] = c->image_size,
        [SPEC_PATCH] = c->patch,
        [SPEC_GRID] = c->grid,
        [SPEC_CHANNELS] = c->channels,
        [SPEC_TRUNK_TIME] = c->trunk_time,
        [SPEC_TRUNK_SPACE] = c->trunk_space,
        [SPEC_WIDTH] = c->width,
        [SPEC_HEADS] = c->heads,
        [SPEC_KV_HEADS] = c->kv_heads,
        [SPEC_HEAD_DIM] = c->head_dim,
        [SPEC_MLP] = c->mlp,
        [SPEC_ROUND] = c->round,
        [SPEC_CELLS] = c->cells,
        [SPEC_RMS_EPS] = float_bits(c->rms_eps),
        [SPEC_LAYER_NORM_EPS] = float_bits(c->layer_norm_eps),
        [SPEC_STREAMS] = s->streams,
        [SPEC_MAX_ROWS] = s->max_rows,
        [SPEC_CAPACITY] = s->capacity,
        [SPEC_ROPE_ROWS] = s->rope_rows,
        [SPEC_ROPE_STRIDE] = s->rope_stride,
        [SPEC_HORIZON] = s->horizon,
        [SPEC_FEATURE_SLOTS] = s->feature_slots,
        [SPEC_DEPTH] = c->trunk_depth,
        [SPEC_PATCH_SPLITS] = s->patch_splits,
        [SPEC_TRUNK_SPLITS] = s->trunk_splits,
        [SPEC_MAX_SPLITS] = s->max_splits,
        [SPEC_PREFILL_SPLITS] = s->prefill_splits,
        [SPEC_TRACE] = s->trace,
        [SPEC_TILE_RT] = t->rt,
        [SPEC_TILE_RV] = t->rv,
        [SPEC_TILE_CT] = t->ct,
        [SPEC_TILE_RN] = t->rn,
        [SPEC_TILE_KG] = t->kg,
        [SPEC_TILE_KC] = t->kc,
        [SPEC_ATTN_ROWS] = s->attn_rows[phase],
        [SPEC_ATTN_KEYS] = op == GPU_DECODE   ? s->decode_keys
                           : op == GPU_BEGIN  ? s->split_unit[GPU_PREFILL]
                           : op == GPU_SELECT ? s->split_unit[GPU_ROUND]
                                              : s->attn_keys[phase],
        [SPEC_UNITS] = op == GPU_WHOLE_PREFILL ? s->prefill_units : s->units,
        [SPEC_OUT_COLUMNS] = s->out_columns,
        [SPEC_HEAD_COLUMNS] = s->head_columns,
        [SPEC_WINDOW] = s->window,
        [SPEC_TAIL_UNITS] = s->tail_units,
        [SPEC_TAIL_PARTS] = s->tail_parts,
        [SPEC_FEATURE4] = gpu_feature_row(s) / 4,
        [SPEC_MATRIX_SECOND] = 16,
        [SPEC_MATRIX_SUM] = 16,
        [SPEC_MATRIX_DIRECT] = s->matrix_direct,
        [SPEC_VISION_PART] = op == GPU_VISION_PATCH     ? VISION_PATCH
                             : op == GPU_VISION_TRUNK   ? VISION_TRUNK
                             : op == GPU_VISION_PROJECT ? VISION_PROJECT
                                                        : VISION_ALL,
    };
    memcpy(constants, values, sizeof(values));
}

struct ag_kernel *gpu_kernel_create(struct ag_gpu *gpu, const struct gpu_shape *s, enum gpu_op op,
                                    enum gpu_phase phase, struct ag_error *err)
{
    uint32_t constants[SPEC_COUNT];
    char name[32];
    gpu_constants(s, op, phase, constants);
    const struct gpu_kernel_info *info = &gpu_kernel_info[op];
    bool matrix = s->tensor && info->has_tensor, half = s->half && info->has_half;
    const char *variant = matrix ? s->emulated ? ".emulated" : ".tensor" : half ? ".f16" : "";
    if (s->lanes && info->has_tensor && op != GPU_DECODE) {
        variant = half ? ".lanes16" : ".lanes";
    }
    snprintf(name, sizeof(name), "%s%s%s", info->name, matrix && op == GPU_DECODE ? "_matrix" : "",
             variant);
    struct ag_kernel_params params = {
        .library = &ag_shaders_model,
        .name = name,
        .subgroup = matrix && !s->emulated ? 32 : 0,
        .constants = constants,
        .n_constants = SPEC_COUNT,
    };
    return ag_kernel_create(gpu, &params, err);
}

// ---- resources -------------------------------------------------------------------------------

const char *gpu_resource_name(enum gpu_resource resource)
{
    static const char *const names[RES_COUNT] = {
        [RES_STATE] = "model/state", [RES_SYNC] = "model/sync",
        [RES_ACTIVE] = "model/active", [RES_ROUNDS] = "model/rounds",
        [RES_FRAMES] = "model/frames", [RES_RESULTS] = "model/results",
        [RES_CELLS] = "model/cells", [RES_COUNTS] = "model/counts", [RES_INPUT] = "model/input",
        [RES_CANVAS] = "model/canvas", [RES_PREVIOUS] = "model/previous",
        [RES_PATCH_SUMS] = "model/patch_sums", [RES_VISION_SYNC] = "model/vision_sync",
        [RES_FEATURES] = "model/features",
        [RES_TRUNK_SUMS] = "model/trunk_sums", [RES_TOKENS] = "model/tokens", [RES_X] = "model/x",
        [RES_Q] = "model/q", [RES_K] = "model/k", [RES_V] = "model/v",
        [RES_ATTN_SUMS] = "model/attn_sums", [RES_SOFTMAX] = "model/softmax",
        [RES_MLP] = "model/mlp", [RES_DOWN_SUMS] = "model/down_sums",
        [RES_DECODE_SUMS] = "model/decode_sums", [RES_DECODE_SOFTMAX] = "model/decode_softmax",
        [RES_DECODE_PARTS] = "model/decode_parts",
        [RES_SENT] = "model/prefill_sent",
        [RES_LOGITS] = "model/logits", [RES_HIDDEN] = "model/hidden",
        [RES_ROPE] = "model/rope", [RES_FORCED] = "model/forced",
        [RES_W_PATCH] = "model/w_patch", [RES_PATCH_NORM] = "model/patch_norm",
        [RES_W_TRUNK] = "model/w_trunk", [RES_TRUNK_BIAS] = "model/trunk_bias",
        [RES_W_PROJECT] = "model/w_project", [RES_PROJECT_BIAS] = "model/project_bias",
        [RES_W_QKV] = "model/w_qkv", [RES_W_ATTN_OUT] = "model/w_attn_out",
        [RES_W_MLP_IN] = "model/w_mlp_in", [RES_W_MLP_OUT] = "model/w_mlp_out",
        [RES_W_HEADS] = "model/w_heads", [RES_NORM_FINAL] = "model/norm_final",
        [RES_EMBED] = "model/embed",
    };
    return names[resource];
}

static uint64_t matrix_bytes(const struct gpu_shape *s, enum gpu_op op)
{
    uint64_t depth4 = gpu_depth4(s, op), columns = gpu_columns(s, op);
    return s->tensor ? AG_ALIGN_UP(depth4, 4u) * AG_ALIGN_UP(columns, 16u) * 8
                     : depth4 * columns * (s->half ? 8 : 16);
}

// A layer of what the workgroups of shaders/model/prefill.comp send each other.
static uint64_t prefill_sent_bytes(const struct gpu_shape *s)
{
    const struct ag_model_config *c = &s->c;
    uint64_t rows = AG_ALIGN_UP(s->max_rows, 16u), width = AG_ALIGN_UP(c->width, 16u);
    uint64_t slices = AG_DIV_UP(c->mlp, s->prefill_units);
    uint64_t past = has_past(s), shares = key_shares(s);
    return rows * (2 * (2 * c->kv_heads + (past + shares) * c->heads) * c->head_dim +
                   past * 4 * shares * c->heads + (4 + 2 * slices) * width);
}

uint64_t gpu_resource_bytes(const struct gpu_shape *s, enum gpu_resource resource)
{
    const struct ag_model_config *c = &s->c;
    uint64_t n = s->streams, rows = n * s->max_rows;
    uint64_t channels = gpu_pad4(c->channels), width = gpu_pad4(c->width);
    uint64_t head = gpu_pad4(c->head_dim);
    switch (resource) {
    case RES_STATE:
        return n * sizeof(struct decode_state);
    case RES_SYNC:
        return n * SYNC_WORDS * 4;
    case RES_ACTIVE:
        return (s->max_rounds + 1) * n * 4;
    case RES_ROUNDS:
        return (s->max_rounds + 1) * DECODE_ROUND_WORDS * 4;
    case RES_FRAMES:
        return n * s->horizon * 4;
    case RES_RESULTS:
        return n * GAZE_RESULT_WORDS(c->cells) * 4;
    case RES_CELLS:
        return n * c->cells * 4;
    case RES_COUNTS:
        return n * 4;
    case RES_INPUT:
    case RES_CANVAS:
    case RES_PREVIOUS:
        return n * 3 * c->image_size * c->image_size * 4;
    case RES_PATCH_SUMS:
        return n * IMAGE_COUNT * s->patch_splits * c->tokens * gpu_feature_row(s) * 4;
    case RES_VISION_SYNC:
        return n * (VISION_COUNTERS + IMAGE_COUNT * AG_DIV_UP(c->tokens, 16u)) * 4;
    case RES_FEATURES:
        return n * c->trunk_depth * s->feature_slots * c->tokens * gpu_feature_row(s) *
               (s->half ? 2 : 4);
    case RES_TRUNK_SUMS:
        return n * s->trunk_splits * c->tokens * channels * 4;
    case RES_TOKENS:
        return s->trace ? n * c->tokens * c->width * 4 : 4;
    case RES_X:
        return rows * width * 4;
    case RES_Q:
        return rows * c->heads * head * 4;
    case RES_K:
    case RES_V:
        return n * c->kv_heads * s->capacity * head * (s->half ? 2 : 4);
    case RES_ATTN_SUMS:
        return rows * s->max_splits * c->heads * head * 4;
    case RES_SOFTMAX:
        return rows * s->max_splits * c->heads * 8;
    case RES_DECODE_SUMS: // of the round's own keys, too, and together (decode_matrix.comp)
        return n * c->round * (s->max_splits + 2) * c->heads * head * (s->tensor ? 2 : 4);
    case RES_DECODE_SOFTMAX:
        return n * c->round * (s->max_splits + 1) * c->heads * 8;
    case RES_DECODE_PARTS:
        return s->tensor ? n * c->layers * (AG_DIV_UP(c->mlp, s->units) + 2) * 16 *
                               AG_ALIGN_UP(c->width, 16u) * 2
                         : n * AG_DIV_UP(c->mlp, s->units) * c->round * width * 4;
    case RES_MLP:
        return rows * gpu_pad4(c->mlp) * 4;
    case RES_DOWN_SUMS:
        return AG_MAX((uint64_t)AG_MAX(s->decode_groups, s->prefill_groups) * n, // meet.comp
                      s->fused ? rows * s->tail_parts * width : 0) * 4;
    case RES_SENT:
        return s->whole_prefill ? n * (c->layers * prefill_sent_bytes(s) + 16 * round_keys4(c) +
                                       4 * AG_ALIGN_UP(c->round + DECODE_MATRIX_GROUP, 4u))
                                : 16;
    case RES_LOGITS: // or keys and losses
        return n * AG_MAX(gpu_columns(s, GPU_HEADS),
                          s->tensor ? 4 * round_keys4(c) +
                                          AG_ALIGN_UP(c->round + DECODE_MATRIX_GROUP, 4u) : 0) * 4;
    case RES_HIDDEN:
        return s->trace ? n * width * 4 : 16;
    case RES_ROPE:
        return (uint64_t)(s->rope_stride ? n : 1) * s->rope_rows * (c->head_dim / 2) * 8;
    case RES_FORCED:
        return n * FORCED_WORDS(s->max_rounds, c->round) * 4;
    case RES_W_PATCH:
        return matrix_bytes(s, GPU_PATCH);
    case RES_PATCH_NORM:
        return 3 * (uint64_t)(s->tensor ? gpu_feature_row(s) : c->channels) * 4;
    case RES_W_TRUNK:
        return matrix_bytes(s, GPU_TRUNK);
    case RES_TRUNK_BIAS:
        return channels * 4;
    case RES_W_PROJECT:
        return matrix_bytes(s, GPU_PROJECT);
    case RES_PROJECT_BIAS:
        return (uint64_t)c->tokens * c->width * 4;
    case RES_W_QKV:
        return matrix_bytes(s, GPU_QKV);
    case RES_W_ATTN_OUT:
        return matrix_bytes(s, GPU_ATTN_OUT);
    case RES_W_MLP_IN:
        return matrix_bytes(s, GPU_MLP_IN);
    case RES_W_MLP_OUT:
        return matrix_bytes(s, GPU_MLP_OUT);
    case RES_W_HEADS:
        return matrix_bytes(s, GPU_HEADS);
    case RES_NORM_FINAL:
        return width * 4;
    case RES_EMBED:
        return (uint64_t)c->vocab * c->width * 4;
    case RES_COUNT:
        break;
    }
    return 0;
}
