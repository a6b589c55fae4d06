// The prefill in one kernel, for matrix units: ids that are pending (context `frames`), then the
// vision tokens. Its pieces of work, in their order:
//     a layer     16 rows and a head: RMSNorm, q, k, v, RoPE; in context `canvas` also
//                 softmax(q k) v over the rows so far
//                 in context `frames` that for a band of three times 16 rows, a head and a share of
//                 the keys: those of earlier frames and the rows so far
//                 the rest of 16 rows with a slice of the MLP's units: x += W_o context (everybody
//                 the whole of it), RMSNorm, silu(gate) * up, down: a share of x
//     then        the heads for a few columns
// Of the last layer only the last row counts, but for its keys and values; with context `frames`,
// where it is not always the same, the rows of its tile.
// Workgroups work on pieces wg, wg + n, .. of a layer and then of the next one, so the first piece
// not yet done never waits for a later one: any number of them that run at the same time comes
// through, with the same bits. As many as a layer has pieces of the first and the last kind are
// quick: each of them keeps to its rows.
//
// What a piece needs of others comes through sent[], in words that tell their turn
// (lib/words.glsl): of each layer a place of its own, one use a frame. Weights are asked for first.
// Workgroups: any number, 1, streams.
#version 450
#extension GL_GOOGLE_include_directive : require
#extension GL_KHR_memory_scope_semantics : require
#extension GL_EXT_control_flow_attributes : require
#ifndef EMULATED
#extension GL_KHR_shader_subgroup_arithmetic : require
#extension GL_KHR_shader_subgroup_ballot : require
#endif
#include "lib/model.glsl"
#include "interface/gaze_result.h"
#include "interface/model_args.h"
#include "lib/precision.glsl"

layout(constant_id = SPEC_UNITS) const uint UNITS = 96;
layout(constant_id = SPEC_HEAD_COLUMNS) const uint HEAD_COLUMNS = 32;

layout(push_constant) uniform push_block { decode_args a; };

layout(std430, set = 0, binding = 0) buffer state_block { decode_state states[]; };
layout(std430, set = 0, binding = 1) buffer x4_block { vec4 x4[]; }; // [streams][rows][D4]
layout(std430, set = 0, binding = 1) buffer x_block { float x[]; };
// [layers][streams][KVH][CAPACITY][HEAD4]
layout(std430, set = 0, binding = 2) coherent buffer k_block { uvec2 k_cache[]; };
layout(std430, set = 0, binding = 3) coherent buffer v_block { uvec2 v_cache[]; };
layout(std430, set = 0, binding = 2) coherent buffer k8_block { uvec4 k_eights[]; };
layout(std430, set = 0, binding = 3) coherent buffer v8_block { uvec4 v_eights[]; };
layout(std430, set = 0, binding = 4) coherent volatile buffer sent_block { uvec4 sent[]; };
layout(std430, set = 0, binding = 4) coherent volatile buffer sent2_block { uvec2 sent_fours[]; };
layout(std430, set = 0, binding = 4) coherent volatile buffer keys4_block { uvec4 keys4[]; };
layout(std430, set = 0, binding = 4) coherent volatile buffer key_block { uint keys[]; };
layout(std430, set = 0, binding = 5) WEIGHT_ACCESS buffer weight_block { WEIGHT_WORD weight[]; };
layout(std430, set = 0, binding = 6) readonly buffer rope_block { vec2 rope[]; };
layout(std430, set = 0, binding = 6) readonly buffer rope4_block { vec4 rope4[]; }; // of a four
layout(std430, set = 0, binding = 7) writeonly buffer logits_block { float logits[]; }; // TRACE
layout(std430, set = 0, binding = 8) readonly buffer norm_block { vec4 norm[]; }; // TRACE: [D4]
layout(std430, set = 0, binding = 9) writeonly buffer hidden_block { vec4 hidden[]; }; // TRACE
layout(std430, set = 0, binding = 10) readonly buffer embed_block { float embed[]; }; // [V][D]
layout(std430, set = 0, binding = 11) buffer result_block { uint results[]; };
layout(std430, set = 0, binding = 12) writeonly buffer cells_block { uint cells[]; };
layout(std430, set = 0, binding = 13) writeonly buffer count_block { uint cell_counts[]; };
// [streams][HORIZON]
layout(std430, set = 0, binding = 14) writeonly buffer frames_block { uint frame_tokens[]; };
layout(std430, set = 0, binding = 15) readonly buffer forced_block { uint forced[]; };

#include "lib/warp.glsl"
#include "lib/products.glsl"

const uint ROW_TILES = (MAX_ROWS + 15u) / 16u, KEY_ROWS = 16u * ROW_TILES;
const uint SLICES = (MLP + UNITS - 1u) / UNITS;
const uint D16 = (WIDTH + 15u) / 16u; // tiles
const uint ROW8 = 2u * D16, PART = 16u * ROW8; // eights of a row of x, of a tile
const uint HEAD16 = HEAD_DIM / 16u, HEAD8 = HEAD_DIM / 8u;
const uint Q_COLUMNS = HEADS * HEAD_DIM, KV_COLUMNS = KV_HEADS * HEAD_DIM;
const uint QKV16 = (Q_COLUMNS + 2u * KV_COLUMNS) / 16u;
const uint CONTEXT16 = HEADS * HEAD16, CONTEXT8 = HEADS * HEAD8;
const uint MLP16 = (2u * MLP + 15u) / 16u; // columns of gate and up
const uint DOWN16 = (MLP + 15u) / 16u;     // depth of down
const uint LOGITS = ROUND * VOCAB + ROUND, LOGITS16 = (LOGITS + 15u) / 16u;
const uint HEAD_TASKS = (LOGITS + HEAD_COLUMNS - 1u) / HEAD_COLUMNS;
const float MASKED = -3.0e38; // no score is that low
const float FLOOR = 0.5 * MASKED;
// Context `frames`: ids may be pending in front of the tokens, and earlier frames have left keys.
const bool PAST = MAX_ROWS > TOKENS;
// Attention over a past is a piece of its own: a band of row tiles with a share of the keys.
const uint BAND = 3u, BANDS = (ROW_TILES + BAND - 1u) / BAND;
const uint MOST_SHARES = ROW_TILES * (HEADS + SLICES) / (BANDS * HEADS); // a workgroup each
const uint KEY_SHARES = !PAST ? 1u : MOST_SHARES < 8u ? MOST_SHARES : 8u;
const uint ATTENTION_TASKS = ROW_TILES * HEADS;
const uint PAST_TASKS = PAST ? BANDS * HEADS * KEY_SHARES : 0u;
const uint TASKS = ATTENTION_TASKS + PAST_TASKS + ROW_TILES * SLICES;
// Of the last layer one tile's rows are enough, if it is the same tile in every frame.
const bool ONE_LAST = (MAX_ROWS - 1u) / 16u == (TOKENS - 1u) / 16u;

// ---- shared memory ---------------------------------------------------------------------------
// Everything in fours. Strides spread rows over the banks, those of halves are even.
const uint XS = 4u * D16 + 2u, QS = HEAD4 + 2u, PS = KEY_ROWS / 4u + 2u;
const uint CS = 4u * CONTEXT16 + 2u, MS = UNITS / 4u + 2u;
const uint AREA_X = 0u;              // x
const uint AREA_C = AREA_X + 16u * XS; // context, then
const uint AREA_M = AREA_C;          // what the MLP's units give
const uint AREA_K = 0u;              // keys, then values
// PAST: a tile of keys and values a subgroup, side by side; then its sums of values, as floats
#ifdef EMULATED
const uint KVS = 2u * HEAD4 + 4u; // and scratch of mma_halves()
#else
const uint KVS = 2u * HEAD4 + 2u;
#endif
const uint STAGE = 16u * KVS, PAIRS = HEAD_DIM / 2u;
const uint KEYS_END = AREA_K + (PAST ? WARPS * STAGE : KEY_ROWS * QS);
#ifdef EMULATED // which holds no queries, but reads them each time
const uint AREA_Q = MAX(AREA_C + 16u * MAX(CS, MS), KEYS_END);
#else
const uint AREA_Q = PAST ? AREA_K : MAX(AREA_C + 16u * MAX(CS, MS), KEYS_END);
#endif
const uint AREA_P = AREA_Q + 16u * QS; // weights of the keys
const uint PAST_END = MAX(MAX(AREA_C + 16u * MAX(CS, MS), KEYS_END), AREA_Q + 16u * BAND * QS);
const uint AREA_END = PAST ? PAST_END : AREA_P + 16u * PS;

const uint H_TILES = HEAD_COLUMNS / 16u, M_TILES = 2u * UNITS / 16u;
const uint QKV_SHARES = SHARES_OF(3u * HEAD16, 4u), O_SHARES = SHARES_OF(HEAD16, ROW_TILES);
const uint H_SHARES = SHARES_OF(H_TILES, 6u), M_SHARES = SHARES_OF(M_TILES, 4u);
const uint OUT_SHARES = SHARES_OF(D16, 2u);
const uint HS = HEAD4 + 1u, QKVS = 3u * HEAD4 + 1u, SS = KEY_ROWS / 4u + 1u, DS = 4u * D16 + 1u;
const uint US = UNITS / 2u + 1u, HCS = HEAD_COLUMNS / 4u + 1u;
const uint SUMS_ROWS = 16u * MAX(MAX(PAST ? 0u : MAX(O_SHARES * HS, SS), QKV_SHARES * QKVS),
                                 MAX(OUT_SHARES * DS, MAX(M_SHARES * US, H_SHARES * HCS)));
shared uvec2 tile_halves[AREA_END];
// PAST, in tile_sums: of each subgroup largest scores and sums of weights of the band's rows
// [WARPS][TOPS_ROW], two more so that neighbours are in other banks; then what its sums count
// [BAND * 16][SCALES4]
const uint TOPS_ROW = BAND * 16u + 2u, SCALES4 = (WARPS + 3u) / 4u, SCALES_AT = WARPS * TOPS_ROW;
const uint JOIN_END = PAST ? SCALES_AT + BAND * 16u * SCALES4 : 0u;
// or logits' keys
shared uvec4 tile_sums[MAX(MAX(SUMS_ROWS, JOIN_END), ROUND * 32u * ((CELLS + 127u) / 128u))];
shared float squares[PART]; // of the eights of x
shared float row_weights[16];

#include "lib/sums.glsl"

#define PICK_WARPS
#include "lib/rounds.glsl"

#define MMA_WEIGHTS
#define MMA_SUMS4
#define MMA_HALVES
#include "lib/matrix.glsl"

// ---- sent[] ----------------------------------------------------------------------------------
// Of a layer, eight halves a word: keys and values [2][KVH][rows][HEAD8]; PAST: queries
// [H][rows][HEAD8]; context [KEY_SHARES][tiles][16][H * HEAD8] and, PAST, log2 of each share's sum
// of weights, float32 [KEY_SHARES][tiles][16][H]; x in front of the MLP, float32
// [tiles][16][2 * ROW8]; its slices' shares [tiles][SLICES][16][ROW8]. Behind all layers the keys
// of the logits (lib/pick_warps.glsl).
const uint VALUES_AT = KV_HEADS * KEY_ROWS * HEAD8;
const uint QUERIES_AT = 2u * VALUES_AT;
const uint CONTEXT_AT = QUERIES_AT + (PAST ? HEADS * KEY_ROWS * HEAD8 : 0u);
const uint LEVELS_AT = CONTEXT_AT + KEY_SHARES * KEY_ROWS * CONTEXT8;
const uint BETWEEN_AT = LEVELS_AT + (PAST ? KEY_SHARES * KEY_ROWS * HEADS / 4u : 0u);
const uint SHARES_AT = BETWEEN_AT + ROW_TILES * 2u * PART;
const uint LAYER_SENT = SHARES_AT + ROW_TILES * SLICES * PART;

uint bit; // of what is sent in this frame
uint rows, first_place, rope_first; // see struct decode_state
uint last_tile, last_row;           // of the last row

// Must a tile go through attention and MLP of a layer? The same in every frame: words that one
// frame leaves out would look like the next but one's.
bool is_needed(uint layer, uint tile)
{
    return layer + 1u < a.layers || !ONE_LAST || tile == last_tile;
}

uint sent_at(uint layer)
{
    return (stream * a.layers + layer) * LAYER_SENT;
}

// `load` into w[0..n) until all of it is there.
#define AWAIT(n, w, load)                                                                         \
    {                                                                                             \
        uint spins = patience(), missing;                                                         \
        do {                                                                                      \
            missing = 0u;                                                                         \
            [[unroll]] for (uint p = 0u; p < (n); p++) {                                          \
                w[p] = (load) ^ bit;                                                              \
            }                                                                                     \
            [[unroll]] for (uint p = 0u; p < (n); p++) {                                          \
                missing |= any_of(w[p]) & MARK_BIT;                                               \
            }                                                                                     \
        } while (missing != 0u && ++spins < SYNC_MAX_SPINS);                                      \
        give_up(missing != 0u);                                                                   \
    }

// ---- x ---------------------------------------------------------------------------------------
// Invocation i has the eights i, i + GROUP, .. of a tile's x.
const uint OWN = (PART + GROUP - 1u) / GROUP;
vec4 own_x[2u * OWN];

uint own_row(uint j)
{
    return (t + GROUP * j) / ROW8;
}

uint own_eight(uint j)
{
    return (t + GROUP * j) % ROW8;
}

// `row`: the only one that matters, or NONE: all do.
bool owns(uint j, uint row)
{
    return own_row(j) < 16u && (row == NONE || own_row(j) == row);
}

// x in front of a layer.
void take_x(uint layer, uint tile, uint row)
{
    [[unroll]] for (uint j = 0u; j < OWN; j++) {
        own_x[2u * j] = own_x[2u * j + 1u] = vec4(0.0);
        if (!owns(j, row)) {
            continue;
        }
        uint eight = own_eight(j);
        if (layer == 0u) {
            uint place = tile * 16u + own_row(j);
            [[unroll]] for (uint i = 0u; i < 2u; i++) {
                if (place < rows && 2u * eight + i < WIDTH4) {
                    own_x[2u * j + i] = x4[(stream * MAX_ROWS + place) * WIDTH4 + 2u * eight + i];
                }
            }
        } else {
            uint at = own_row(j) * ROW8 + eight, from = sent_at(layer - 1u);
            uvec4 x[2], share[SLICES];
            AWAIT(2u, x, sent[from + BETWEEN_AT + tile * 2u * PART + 2u * at + p])
            AWAIT(SLICES, share, sent[from + SHARES_AT + (tile * SLICES + p) * PART + at])
            own_x[2u * j] = uintBitsToFloat(x[0]);
            own_x[2u * j + 1u] = uintBitsToFloat(x[1]);
            [[unroll]] for (uint p = 0u; p < SLICES; p++) {
                own_x[2u * j] += loaded(share[p].xy);
                own_x[2u * j + 1u] += loaded(share[p].zw);
            }
        }
    }
}

// For the products (barrier behind it is the caller's). RMSNorm's scale comes to their sums.
void lay_x()
{
    [[unroll]] for (uint j = 0u; j < OWN; j++) {
        uint row = own_row(j), eight = own_eight(j);
        if (row < 16u) {
            vec4 left = own_x[2u * j], right = own_x[2u * j + 1u];
            tile_halves[AREA_X + row * XS + 2u * eight] = half4(left);
            tile_halves[AREA_X + row * XS + 2u * eight + 1u] = half4(right);
            squares[row * ROW8 + eight] = dot(left, left) + dot(right, right);
        }
    }
}

float row_scale(uint row)
{
    float sum[2] = float[2](0.0, 0.0);
    [[unroll]] for (uint i = 0u; i < ROW8; i++) {
        sum[i % 2u] += squares[row * ROW8 + i];
    }
    return inversesqrt((sum[0] + sum[1]) / float(WIDTH) + RMS_EPS);
}

// ---- attention -------------------------------------------------------------------------------

const uint QKV_OWN = (3u * 16u * HEAD4 + GROUP - 1u) / GROUP;      // fours of an invocation
const uint KEYS_OWN = (KEY_ROWS * HEAD8 + GROUP - 1u) / GROUP;     // eights
const uint CONTEXT_OWN = (16u * CONTEXT8 + GROUP - 1u) / GROUP;
const uint K_EACH = (ROW_TILES + WARPS - 1u) / WARPS;
const uint V_EACH = (ROW_TILES + O_SHARES - 1u) / O_SHARES;

// Scores of a tile's rows to weights, a row by half a subgroup.
void weigh(uint tile)
{
    const uint each = (KEY_ROWS / 4u + 15u) / 16u;
    uint row = 2u * warp + lane / 16u, seen = tile * 16u + row; // the last key that it sees
    bool real = row < 16u && tile * 16u + row < rows; // others weigh nothing
    vec4 s[each];
    float top = MASKED, sum = 0.0;
    [[unroll]] for (uint j = 0u; j < each; j++) {
        uint four = lane % 16u + 16u * j;
        s[j] = uintBitsToFloat(tile_sums[min(row, 15u) * SS + min(four, SS - 1u)]);
        [[unroll]] for (uint i = 0u; i < 4u; i++) {
            s[j][i] = 4u * four + i <= seen ? s[j][i] : MASKED;
            top = max(top, s[j][i]);
        }
    }
    top = near_max(top, 16u);
    [[unroll]] for (uint j = 0u; j < each; j++) {
        uint four = lane % 16u + 16u * j;
        vec4 w = vec4(0.0);
        if (real) {
            w = exp(s[j] - vec4(top));
            sum += dot(w, vec4(1.0));
        }
        if (row < 16u && four < KEY_ROWS / 4u) {
            tile_halves[AREA_P + row * PS + four] = stored(w);
        }
    }
    sum = near_add(sum, 16u);
    if (row < 16u && lane % 16u == 0u) {
        row_weights[row] = real ? sum : 1.0;
    }
}

// softmax(q k) v over the rows up to these ones, q in shared memory.
void attend(uint layer, uint tile, uint head)
{
    uint n = (tile + 1u) * 16u * HEAD8;
    uint from = sent_at(layer) + head / (HEADS / KV_HEADS) * KEY_ROWS * HEAD8;
    uvec4 own[2u * KEYS_OWN]; // keys, then values
    AWAIT(2u * KEYS_OWN, own, sent[from + p / KEYS_OWN * VALUES_AT +
                                   min(t + GROUP * (p % KEYS_OWN), n - 1u)])
    [[unroll]] for (uint j = 0u; j < KEYS_OWN; j++) {
        uint i = t + GROUP * j, to = AREA_K + i / HEAD8 * QS + 2u * (i % HEAD8);
        if (i < n) {
            tile_halves[to] = own[j].xy;
            tile_halves[to + 1u] = own[j].zw;
        }
    }
    barrier();
    mma_b q[HEAD16]; // keys are the rows of this product: q stays
    [[unroll]] for (uint d = 0u; d < HEAD16; d++) {
        q[d] = mma_columns(AREA_Q + 4u * d, QS);
    }
    [[unroll]] for (uint j = 0u; j < K_EACH; j++) {
        uint i = warp + WARPS * j;
        if (i <= tile) {
            mma_sum sum = mma_zero();
            [[unroll]] for (uint d = 0u; d < HEAD16; d++) {
                sum = mma_add(mma_rows(AREA_K + i * 16u * QS + 4u * d, QS), q[d], sum);
            }
            mma_put_columns(sum, i * 4u, SS);
        }
    }
    barrier();
    [[unroll]] for (uint j = 0u; j < KEYS_OWN; j++) {
        uint i = t + GROUP * j, to = AREA_K + i / HEAD8 * QS + 2u * (i % HEAD8);
        if (i < n) {
            tile_halves[to] = own[KEYS_OWN + j].xy;
            tile_halves[to + 1u] = own[KEYS_OWN + j].zw;
        }
    }
    weigh(tile);
    barrier();
    uint share = warp / HEAD16, col = warp % HEAD16;
    if (share < O_SHARES) {
        mma_sum sum = mma_zero();
        [[unroll]] for (uint j = 0u; j < V_EACH; j++) {
            uint i = share + O_SHARES * j;
            if (i <= tile) {
                sum = mma_add(mma_rows(AREA_P + 4u * i, PS),
                              mma_matrix(AREA_K + i * 16u * QS + 4u * col, QS), sum);
            }
        }
        mma_put(sum, share * 16u * HS + col * 4u, HS);
    }
    barrier();
    for (uint i = t; i < 16u * HEAD4; i += GROUP) {
        uint row = i / HEAD4, four = i % HEAD4;
        vec4 o = four_of(O_SHARES, HS, row, four) / row_weights[row];
        uint to = 2u * (sent_at(layer) + CONTEXT_AT + (tile * 16u + row) * CONTEXT8);
        sent_fours[to + head * HEAD4 + four] = half4(o) & ~MARK_BIT | bit;
    }
}

// ---- attention with a past -------------------------------------------------------------------
// Three tiles of rows share what is read of the keys, and workgroups share the keys: those of the
// cache, then those of this frame's rows. A subgroup takes a tile of 16 keys at a time: scores
// become weights where the product leaves them, and it has its own sums (online softmax) until the
// end. It asks for its next tile of the cache as soon as the registers of this one are free.

const uint TILE_OWN = (16u * HEAD8 + 31u) / 32u; // eights of a tile, of an invocation
const uint QUERIES_OWN = (BAND * 16u * HEAD8 + GROUP - 1u) / GROUP;
const float LOG2_E = 1.44269504;

// Of each row tile; an invocation has parts of two rows.
mma_a past_q[BAND * HEAD16];
float past_sums[BAND * HEAD16 * 8u], past_top[BAND * 2u], past_weights[BAND * 2u];

uvec4 asked[2u * TILE_OWN]; // a tile's keys, then values
mma_sum scores[BAND];

// Keys are second factors as they are asked for: invocation lane has an eight of the keys lane / 4
// and 8 + lane / 4, that is the depth in another order. Queries are laid in the same.
const bool DIRECT = MATRIX_DIRECT != 0u && HEAD_DIM == 32u;

// Tile i of those in front of `end`, the last one for what is behind it.
#define ASK(i, end)                                                                               \
    {                                                                                             \
        uint place = (tile0 + min(i, max(end, 1u) - 1u)) * 16u % CAPACITY;                        \
        [[unroll]] for (uint j = 0u; j < TILE_OWN; j++) {                                         \
            uint at = cache8 + place * HEAD8 + min(lane + 32u * j, 16u * HEAD8 - 1u);             \
            asked[j] = k_eights[at];                                                              \
            asked[TILE_OWN + j] = v_eights[at];                                                   \
        }                                                                                         \
    }

void stage()
{
    warp_fence(); // what was here has been read
    [[unroll]] for (uint j = 0u; j < TILE_OWN; j++) {
        uint e = lane + 32u * j, to = AREA_K + warp * STAGE + e / HEAD8 * KVS + 2u * (e % HEAD8);
        if (16u * HEAD8 % 32u == 0u || e < 16u * HEAD8) {
            if (!DIRECT) {
                tile_halves[to] = asked[j].xy;
                tile_halves[to + 1u] = asked[j].zw;
            }
            tile_halves[to + HEAD4] = asked[TILE_OWN + j].xy;
            tile_halves[to + HEAD4 + 1u] = asked[TILE_OWN + j].zw;
        }
    }
    warp_fence();
}

// The tile just staged.
void score_keys()
{
    [[unroll]] for (uint r = 0u; r < BAND; r++) {
        scores[r] = mma_zero();
    }
    [[unroll]] for (uint d = 0u; d < HEAD16; d++) {
        mma_b k;
        if (DIRECT) {
            uvec4 low = asked[0], high = asked[TILE_OWN - 1u]; // keys lane / 4, 8 + lane / 4
            k = mma_given(d == 0u ? uvec4(low.xy, high.xy) : uvec4(low.zw, high.zw));
        } else {
            k = mma_columns(AREA_K + warp * STAGE + 4u * d, KVS);
        }
        [[unroll]] for (uint r = 0u; r < BAND; r++) {
            scores[r] = mma_add(past_q[r * HEAD16 + d], k, scores[r]);
        }
    }
}

// Where `masked` rows see the keys from `from` to in front of `end`, and `later` more in the second
// and the third tile of rows, and one more each row if `causal`.
void absorb(bool masked, int from, int end, uint later, bool causal)
{
    uint at = AREA_K + warp * STAGE;
    if (masked) {
        [[unroll]] for (uint i = 0u; i < BAND * 8u; i++) {
            int key = int(mma_column_of(lane, i % 8u)), behind = end + int(i / 8u * later);
            behind += causal ? int(mma_row_of(lane, i % 8u)) : 0;
            float score = MMA_AT(scores[i / 8u], i % 8u);
            MMA_AT(scores[i / 8u], i % 8u) = key >= from && key < behind ? score : MASKED;
        }
    }
    mma_b v[HEAD16];
    [[unroll]] for (uint d = 0u; d < HEAD16; d++) {
        v[d] = mma_matrix(at + HEAD4 + 4u * d, KVS);
    }
    [[unroll]] for (uint r = 0u; r < BAND; r++) {
        float shrink[2];
        [[unroll]] for (uint i = 0u; i < 2u; i++) {
            float before = past_top[2u * r + i], peak = before;
            [[unroll]] for (uint j = 4u * i; j < 4u * i + 4u; j++) {
                peak = max(peak, MMA_AT(scores[r], j));
            }
            peak = near_max(peak, 4u);
            past_top[2u * r + i] = peak;
            shrink[i] = exp2(before - peak);
            float sum = past_weights[2u * r + i] * shrink[i];
            [[unroll]] for (uint j = 4u * i; j < 4u * i + 4u; j++) {
                MMA_AT(scores[r], j) = exp2(MMA_AT(scores[r], j) - peak);
                sum += MMA_AT(scores[r], j);
            }
            past_weights[2u * r + i] = sum;
        }
        mma_a w = mma_halves(scores[r], at + 2u * HEAD4, KVS);
        [[unroll]] for (uint d = 0u; d < HEAD16; d++) {
            mma_sum sum = mma_add(w, v[d], mma_zero());
            [[unroll]] for (uint i = 0u; i < 8u; i++) {
                uint at = (r * HEAD16 + d) * 8u + i;
                past_sums[at] = past_sums[at] * shrink[i / 4u] + MMA_AT(sum, i);
            }
        }
    }
}

// What the subgroups have of the band's rows, together: of its tiles r to in front of r_end; `tile`
// is its first. How much a subgroup's sums count is found once a row. Then they are laid as they
// are, a row tile after the other: into the subgroup's own stage, in the order in which its
// invocations hold them (no two of them meet in a bank). Who adds a place of all of them weighs.
void send_context(uint layer, uint tile, uint r, uint r_end, uint head, uint share)
{
    // Of each row by subgroup, sum of weights, largest score, more of the sum, the score again.
    [[unroll]] for (uint i = 0u; i < 2u * BAND; i++) {
        uint row = i / 2u * 16u + mma_row_of(lane, i % 2u * 4u);
        float sum = near_add(past_weights[i], 2u);
        tile_sums[warp * TOPS_ROW + row][lane % 4u] =
            floatBitsToUint(lane % 2u == 0u ? sum : past_top[i]);
    }
    barrier();
    uint row0 = (share * ROW_TILES + tile) * 16u; // the band's first
    [[unroll]] for (uint u = 0u; u < BAND * 64u; u += GROUP) { // four of them a row
        const uint each = SCALES4;
        uint row = min((u + t) / 4u, BAND * 16u - 1u);
        float scale[each], weight[each], top = FLOOR, sum = 0.0;
        [[unroll]] for (uint j = 0u; j < each; j++) {
            uint w = 4u * j + t % 4u;
            vec4 v = uintBitsToFloat(tile_sums[min(w, WARPS - 1u) * TOPS_ROW + row]);
            weight[j] = WARPS % 4u == 0u || w < WARPS ? v.x + v.z : 0.0;
            scale[j] = v.y;
            top = max(top, v.y);
        }
        top = near_max(top, 4u);
        [[unroll]] for (uint j = 0u; j < each; j++) {
            scale[j] = exp2(scale[j] - top);
            sum += scale[j] * weight[j];
        }
        sum = near_add(sum, 4u);
        if (u + t < BAND * 64u) {
            float whole = 1.0 / max(sum, 1.0e-30); // a share may have no keys of a row
            [[unroll]] for (uint j = 0u; j < each; j++) {
                tile_sums[SCALES_AT + row * SCALES4 + j][t % 4u] =
                    floatBitsToUint(scale[j] * whole);
            }
            if (t % 4u == 0u && row / 16u >= r && row / 16u < r_end) {
                uint to = 4u * (sent_at(layer) + LEVELS_AT) + (row0 + row) * HEADS + head;
                float level = sum > 0.0 ? top + log2(sum) : FLOOR;
                keys[to] = floatBitsToUint(level) & ~MARK_BIT | bit;
            }
        }
    }
    // Not a copy of it for each tile: instructions that are new cost more than what they do.
    [[dont_unroll]] for (; r < r_end; r++) {
        [[unroll]] for (uint b = 0u; b < BAND; b++) {
            if (b == r) {
                [[unroll]] for (uint q = 0u; q < 4u * HEAD16; q++) { // pairs of columns
                    uint at = b * HEAD16 * 8u + 2u * q;
                    tile_halves[AREA_K + warp * STAGE + q * 32u + lane] =
                        floatBitsToUint(vec2(past_sums[at], past_sums[at + 1u]));
                }
            }
        }
        barrier();
        for (uint q = warp; q < 4u * HEAD16; q += WARPS) {
            uint row = mma_row_of(lane, q % 4u * 2u);
            uint pair = q / 4u * 8u + mma_column_of(lane, q % 4u * 2u) / 2u;
            vec4 scale[SCALES4];
            [[unroll]] for (uint j = 0u; j < SCALES4; j++) {
                scale[j] = uintBitsToFloat(tile_sums[SCALES_AT + (r * 16u + row) * SCALES4 + j]);
            }
            vec2 o = vec2(0.0);
            [[unroll]] for (uint w = 0u; w < WARPS; w++) {
                o += scale[w / 4u][w % 4u] *
                     uintBitsToFloat(tile_halves[AREA_K + w * STAGE + q * 32u + lane]);
            }
            uint to = (row0 + r * 16u + row) * CONTEXT8;
            to = 4u * (sent_at(layer) + CONTEXT_AT + to) + head * PAIRS + pair;
            o = clamp(o, vec2(-LARGEST), vec2(LARGEST));
            keys[to] = packHalf2x16(o) & ~MARK_BIT | bit;
        }
        barrier();
    }
}

void attend_past(uint layer, uint task)
{
    uint share = task % KEY_SHARES, head = task / KEY_SHARES % HEADS;
    uint band = task / (KEY_SHARES * HEADS), tile = band * ROW_TILES / BANDS;
    uint end = (band + 1u) * ROW_TILES / BANDS; // of its tiles
    if (layer + 1u == a.layers && ONE_LAST && (last_tile < tile || last_tile >= end)) {
        return;
    }
    uint kv = head / (HEADS / KV_HEADS);
    uint cache8 = layer * (a.cache_stride / 2u) + (stream * KV_HEADS + kv) * CAPACITY * HEAD8;
    uint tile0 = first / 16u;
    uint n = min((first_place + 15u) / 16u - tile0, CAPACITY / 16u);
    // Shares have as many rounds of all subgroups; the last one has this frame's rows, too.
    uint each = (n + WARPS - 1u) / WARPS + (end + WARPS - 1u) / WARPS;
    each = (each + KEY_SHARES - 1u) / KEY_SHARES * WARPS;
    bool last = share + 1u == KEY_SHARES;
    uint key0 = min(share * each, n), past_end = last ? n : min(key0 + each, n);
    ASK(key0 + warp, past_end)
    uvec4 own[QUERIES_OWN];
    AWAIT(QUERIES_OWN, own,
          sent[sent_at(layer) + QUERIES_AT + (head * KEY_ROWS + tile * 16u) * HEAD8 +
               min(t + GROUP * p, (end - tile) * 16u * HEAD8 - 1u)])
    [[unroll]] for (uint j = 0u; j < QUERIES_OWN; j++) {
        uint i = t + GROUP * j, to = AREA_Q + i / HEAD8 * QS + 2u * (i % HEAD8);
        if (DIRECT && i < BAND * 16u * HEAD8) { // see score_keys()
            uint pair = i % 4u;
            [[unroll]] for (uint d = 0u; d < 4u; d++) {
                tile_halves[AREA_Q + i / 4u * QS + 2u * d + pair / 2u][pair % 2u] = own[j][d];
            }
        } else if (i < BAND * 16u * HEAD8) {
            tile_halves[to] = own[j].xy;
            tile_halves[to + 1u] = own[j].zw;
        }
    }
    barrier();
    [[unroll]] for (uint i = 0u; i < BAND * HEAD16; i++) {
        past_q[i] = mma_rows(AREA_Q + i / HEAD16 * 16u * QS + i % HEAD16 * 4u, QS);
    }
    [[unroll]] for (uint i = 0u; i < BAND * HEAD16 * 8u; i++) {
        past_sums[i] = 0.0;
    }
    [[unroll]] for (uint i = 0u; i < BAND * 2u; i++) {
        past_top[i] = FLOOR;
        past_weights[i] = 0.0;
    }
    barrier();
    // All subgroups as often: those without a tile see none of the keys that they have fetched.
    for (uint i0 = key0; i0 < past_end; i0 += WARPS) {
        uint i = i0 + warp, token = (tile0 + i) * 16u;
        stage();
        score_keys();
        ASK(i + WARPS, past_end)
        absorb(i0 == 0u || i0 + WARPS >= past_end, int(first - token),
               i < past_end ? int(first_place - token) : 0, 0u, false);
    }
    for (uint i0 = 0u; last && i0 < end; i0 += WARPS) {
        uint i = i0 + warp, at = min(i, end - 1u) * 16u * HEAD8;
        AWAIT(2u * TILE_OWN, asked, sent[sent_at(layer) + p / TILE_OWN * VALUES_AT +
                                         kv * KEY_ROWS * HEAD8 + at +
                                         min(lane + 32u * (p % TILE_OWN), 16u * HEAD8 - 1u)])
        stage();
        score_keys();
        absorb(true, 0, i < end ? 16 * (int(tile) - int(i)) + 1 : -64, 16u, true);
    }
    warp_fence(); // the sums take the place of the subgroup's last keys and values
    bool all = layer + 1u < a.layers || !ONE_LAST;
    uint r_end = (all ? end : last_tile + 1u) - tile;
    send_context(layer, tile, all ? 0u : last_tile - tile, r_end, head, share);
}

// ---- q, k, v ---------------------------------------------------------------------------------

// Without a past the attention, too.
void attention(uint layer, uint tile, uint head)
{
    // PAST: scores are exponents of two
    const float scale = inversesqrt(float(HEAD_DIM)) * (PAST ? LOG2_E : 1.0);
    uint kv = head / (HEADS / KV_HEADS);
    uint w0 = a.at_qkv + layer * a.layer_stride, q0 = head * HEAD16;
    uint k0 = (Q_COLUMNS + kv * HEAD_DIM) / 16u - HEAD16, v0 = k0 + KV_COLUMNS / 16u - HEAD16;
    mma_w w[TILES(3u * HEAD16, QKV_SHARES, D16)];
    FETCH(w, 3u * HEAD16, QKV_SHARES, D16,
          w0 + (k * QKV16 + (col < HEAD16 ? q0 : col < 2u * HEAD16 ? k0 : v0) + col) * 32u)
    vec4 turned[QKV_OWN];
    [[unroll]] for (uint j = 0u; j < QKV_OWN; j++) {
        uint i = t + GROUP * j, place = tile * 16u + i / HEAD4 % 16u;
        place = min(place, rows - 1u);
        place = PAST ? stream * ROPE_STRIDE + (rope_first + place) % ROPE_ROWS : place;
        turned[j] = rope4[place * HEAD4 + i % HEAD4];
    }
    take_x(layer, tile, NONE);
    lay_x();
    barrier();
    MULTIPLY(w, 3u * HEAD16, QKV_SHARES, D16, AREA_X, XS,
             mma_put(sum, share * 16u * QKVS + col * 4u, QKVS))
    barrier();
    [[unroll]] for (uint j = 0u; j < QKV_OWN; j++) {
        uint i = t + GROUP * j, part = i / (16u * HEAD4), row = i / HEAD4 % 16u, four = i % HEAD4;
        if (part > 2u) {
            continue;
        }
        vec4 v = four_of(QKV_SHARES, QKVS, row, part * HEAD4 + four) * row_scale(row);
        vec4 r = part < 2u ? turned[j] : vec4(1.0, 0.0, 1.0, 0.0);
        v = vec4(v.x * r.x - v.y * r.y, v.y * r.x + v.x * r.y, v.z * r.z - v.w * r.w,
                 v.w * r.z + v.z * r.w);
        uvec2 h = half4(part == 0u ? v * scale : v);
        uint place = tile * 16u + row;
        if (part == 0u && PAST) {
            uint at = sent_at(layer) + QUERIES_AT + (head * KEY_ROWS + place) * HEAD8;
            sent_fours[2u * at + four] = h & ~MARK_BIT | bit;
        } else if (part == 0u) {
            tile_halves[AREA_Q + row * QS + four] = h;
        } else if (head % (HEADS / KV_HEADS) == 0u) { // one of a group
            uint at = sent_at(layer) + (part - 1u) * VALUES_AT;
            sent_fours[2u * (at + (kv * KEY_ROWS + place) * HEAD8) + four] = h & ~MARK_BIT | bit;
            uint slot = PAST ? (first_place + place) % CAPACITY : place;
            uint to = layer * a.cache_stride +
                      ((stream * KV_HEADS + kv) * CAPACITY + slot) * HEAD4;
            if (place < rows && part == 1u) {
                k_cache[to + four] = h;
            } else if (place < rows) {
                v_cache[to + four] = h;
            }
        }
    }
    if (!PAST && is_needed(layer, tile)) {
        barrier(); // what it waits for is its own, too
        attend(layer, tile, head);
    }
}

// ---- output projection and MLP ---------------------------------------------------------------

uvec4 context[CONTEXT_OWN * KEY_SHARES]; // from each share of the keys

// PAST: means over the shares of the keys to one over all of them, in the first's place.
void join_shares(uint layer, uint tile)
{
    uint levels[CONTEXT_OWN * KEY_SHARES], from = 4u * (sent_at(layer) + LEVELS_AT);
    AWAIT(CONTEXT_OWN * KEY_SHARES, levels,
          keys[from + ((p % KEY_SHARES * ROW_TILES + tile) * 16u +
                       min((t + GROUP * (p / KEY_SHARES)) / CONTEXT8, 15u)) * HEADS +
               (t + GROUP * (p / KEY_SHARES)) % CONTEXT8 / HEAD8])
    [[unroll]] for (uint j = 0u; j < CONTEXT_OWN; j++) {
        float top = FLOOR, sum = 0.0;
        [[unroll]] for (uint p = 0u; p < KEY_SHARES; p++) {
            top = max(top, uintBitsToFloat(levels[j * KEY_SHARES + p]));
        }
        vec4 left = vec4(0.0), right = vec4(0.0);
        [[unroll]] for (uint p = 0u; p < KEY_SHARES; p++) {
            float weight = exp2(uintBitsToFloat(levels[j * KEY_SHARES + p]) - top);
            sum += weight;
            left += weight * loaded(context[j * KEY_SHARES + p].xy);
            right += weight * loaded(context[j * KEY_SHARES + p].zw);
        }
        context[j * KEY_SHARES] = uvec4(half4(left / sum), half4(right / sum));
    }
}

void mlp(uint layer, uint tile, uint slice, uint row)
{
    mma_w w_out[TILES(D16, OUT_SHARES, CONTEXT16)];
    uint w0 = a.at_attn_out + layer * a.layer_stride;
    FETCH(w_out, D16, OUT_SHARES, CONTEXT16, w0 + (k * D16 + col) * 32u)
    mma_w w_in[TILES(M_TILES, M_SHARES, D16)];
    w0 = a.at_mlp_in + layer * a.layer_stride;
    FETCH(w_in, M_TILES, M_SHARES, D16,
          w0 + (k * MLP16 + min(slice * M_TILES + col, MLP16 - 1u)) * 32u)
    mma_w w_down[TILES(D16, 1u, UNITS / 16u)];
    w0 = a.at_mlp_out + layer * a.layer_stride;
    FETCH(w_down, D16, 1u, UNITS / 16u,
          w0 + (min(slice * (UNITS / 16u) + k, DOWN16 - 1u) * D16 + col) * 32u)
    take_x(layer, tile, row);
    uint from = sent_at(layer) + CONTEXT_AT + tile * 16u * CONTEXT8;
    AWAIT(CONTEXT_OWN * KEY_SHARES, context,
          sent[from + p % KEY_SHARES * KEY_ROWS * CONTEXT8 +
               min(t + GROUP * (p / KEY_SHARES), 16u * CONTEXT8 - 1u)])
    if (PAST) {
        join_shares(layer, tile);
    }
    [[unroll]] for (uint j = 0u; j < CONTEXT_OWN; j++) {
        uint i = t + GROUP * j, to = AREA_C + i / CONTEXT8 * CS + 2u * (i % CONTEXT8);
        if (i < 16u * CONTEXT8) {
            tile_halves[to] = context[j * KEY_SHARES].xy;
            tile_halves[to + 1u] = context[j * KEY_SHARES].zw;
        }
    }
    barrier();
    MULTIPLY(w_out, D16, OUT_SHARES, CONTEXT16, AREA_C, CS,
             mma_put(sum, share * 16u * DS + col * 4u, DS))
    barrier();
    [[unroll]] for (uint j = 0u; j < OWN; j++) {
        if (owns(j, row)) {
            [[unroll]] for (uint i = 0u; i < 2u; i++) {
                own_x[2u * j + i] += four_of(OUT_SHARES, DS, own_row(j), 2u * own_eight(j) + i);
            }
        }
    }
    lay_x();
    barrier();
    MULTIPLY(w_in, M_TILES, M_SHARES, D16, AREA_X, XS,
             mma_put(sum, share * 16u * US + col * 4u, US))
    [[unroll]] for (uint j = 0u; j < 2u * OWN; j++) { // not urgent, so not before that
        if (owns(j / 2u, row) && own_row(j / 2u) * SLICES / 16u == slice) { // each some rows
            uint at = own_row(j / 2u) * (2u * ROW8) + 2u * own_eight(j / 2u) + j % 2u;
            sent[sent_at(layer) + BETWEEN_AT + tile * 2u * PART + at] =
                floatBitsToUint(own_x[j]) & ~MARK_BIT | bit;
        }
    }
    barrier();
    for (uint u = t; u < 16u * (UNITS / 4u); u += GROUP) {
        uint r = u / (UNITS / 4u), four = u % (UNITS / 4u);
        float scale = row_scale(r);
        vec4 left = four_of(M_SHARES, US, r, 2u * four) * scale;
        vec4 right = four_of(M_SHARES, US, r, 2u * four + 1u) * scale;
        vec4 gate = vec4(left.xz, right.xz), up = vec4(left.yw, right.yw);
        vec4 v = gate / (1.0 + exp(-gate)) * up;
        uvec4 unit = slice * UNITS + 4u * four + uvec4(0u, 1u, 2u, 3u);
        tile_halves[AREA_M + r * MS + four] = half4(mix(vec4(0.0), v, lessThan(unit, uvec4(MLP))));
    }
    barrier();
    MULTIPLY(w_down, D16, 1u, UNITS / 16u, AREA_M, MS, mma_put(sum, col * 4u, DS))
    barrier();
    [[unroll]] for (uint j = 0u; j < OWN; j++) {
        if (owns(j, row)) {
            uint at = own_row(j) * ROW8 + own_eight(j);
            vec4 left = four_of(1u, DS, own_row(j), 2u * own_eight(j));
            vec4 right = four_of(1u, DS, own_row(j), 2u * own_eight(j) + 1u);
            sent[sent_at(layer) + SHARES_AT + (tile * SLICES + slice) * PART + at] =
                uvec4(half4(left), half4(right)) & ~MARK_BIT | bit;
        }
    }
}

// ---- heads -----------------------------------------------------------------------------------

uint keys_of_stream()
{
    return 4u * STREAMS * a.layers * LAYER_SENT + stream * KEYS_ROUND;
}

void heads(uint task)
{
    mma_w w[TILES(H_TILES, H_SHARES, D16)];
    FETCH(w, H_TILES, H_SHARES, D16,
          a.at_heads + (k * LOGITS16 + min(task * H_TILES + col, LOGITS16 - 1u)) * 32u)
    take_x(a.layers, last_tile, last_row);
    lay_x();
    barrier();
    MULTIPLY(w, H_TILES, H_SHARES, D16, AREA_X, XS,
             mma_put(sum, share * 16u * HCS + col * 4u, HCS))
    barrier();
    for (uint u = t; u < HEAD_COLUMNS; u += GROUP) {
        uint column = task * HEAD_COLUMNS + u;
        uint to = key_place(column);
        float value = four_of(H_SHARES, HCS, last_row, u / 4u)[u % 4u] * row_scale(last_row);
        if (to != NONE) {
            uint key = column < ROUND * VOCAB ? logit_key(value) : floatBitsToUint(value);
            keys[keys_of_stream() + to] = key & ~MARK_BIT | bit;
        }
        if (TRACE != 0u && column < LOGITS) {
            logits[stream * LOGITS + column] = value;
        }
    }
    if (TRACE != 0u && task == 0u) {
        [[unroll]] for (uint j = 0u; j < 2u * OWN; j++) {
            uint four = 2u * own_eight(j / 2u) + j % 2u;
            if (own_row(j / 2u) == last_row && four < WIDTH4) {
                hidden[stream * WIDTH4 + four] = own_x[j] * row_scale(last_row) * norm[four];
            }
        }
    }
}

// The round's ids, once all keys are there.
void choose()
{
    begin_rounds();
    uint decode_picks = picks;
    picks = 2u * (states[stream].prefills - 1u); // these keys are no others'
    wg = 0u;                                     // who writes
    bool ended = select_ids(0u, keys_of_stream());
    picks = decode_picks;
    leave(ended, !PAST && ended || meet_lost() ? 0u : n_fed); // canvas: a frame starts anew
}

void main()
{
    t = gl_LocalInvocationIndex;
    begin_warp();
    stream = gl_WorkGroupID.z;
    wg = gl_WorkGroupID.x;
    n_wg = gl_NumWorkGroups.x;
    meet_begin(stream);
    bit = use_bit(states[stream].prefills - 1u);
    rows = PAST ? clamp(states[stream].rows, 1u, MAX_ROWS) : TOKENS;
    first_place = PAST ? states[stream].position : 0u;
    rope_first = PAST ? states[stream].rope_first : 0u;
    first = PAST ? states[stream].first : 0u;
    last_tile = (rows - 1u) / 16u;
    last_row = (rows - 1u) % 16u;
    if (t == 0u) {
        keys[keys_of_stream() + PRESENT_AT + wg] = bit;
    }
    barrier();
    for (uint layer = a.first_layer; layer < min(a.end_layer, a.layers); layer++) {
        for (uint task = a.first_task + wg; task < min(a.end_task, TASKS); task += n_wg) {
            if (task < ATTENTION_TASKS) {
                attention(layer, task / HEADS, task % HEADS);
            } else if (PAST && task < ATTENTION_TASKS + PAST_TASKS) {
                attend_past(layer, task - ATTENTION_TASKS);
            } else {
                uint i = task - ATTENTION_TASKS - PAST_TASKS, tile = i / SLICES;
                if (is_needed(layer, tile)) {
                    bool all = PAST || layer + 1u < a.layers; // the last row is not always the same
                    mlp(layer, tile, i % SLICES, all ? NONE : last_row);
                }
            }
            barrier(); // shared memory is the next piece's
        }
    }
    if (a.end_layer > a.layers) {
        for (uint task = wg; task < HEAD_TASKS; task += n_wg) {
            heads(task);
            barrier();
        }
        if (wg == min(HEAD_TASKS, n_wg - 1u)) { // one without heads, if there is one
            choose();
        }
    }
}
