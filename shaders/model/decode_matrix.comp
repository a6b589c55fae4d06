// decode.comp with the products on matrix units (lib/matrix.glsl): all rows of a round are one tile
// of 16. Workgroups have trades and wait only for what they need (lib/words.glsl):
//     attention   a head and a piece of the keys: RMSNorm, q (of the round's own keys k and v,
//                 too), RoPE, softmax(q k) v
//     mlp         a slice of its units: pieces together, x += W_o context (everybody the whole of
//                 it: cheaper than one more meeting), RMSNorm, silu(gate) * up, down: a share of x
//     heads       a few columns; then everybody the same selection
// What an invocation will need, weights and keys, it asks for before it waits for others; sums
// that others read, they read as halves. x stands in registers: subgroup w has rows w, w + WARPS,
// ..; invocation i of it the eights i, i + 32, ..
// Sums are cut by the model and the keys only, so a hundred workgroups and one leave the same bits.
// Needs ROUND <= 16, heads of whole tiles and two layers (so that a round's keys of the first are
// written when the next round asks for them). Workgroups: any number, 1, streams.
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

layout(constant_id = SPEC_UNITS) const uint UNITS = 64;
layout(constant_id = SPEC_HEAD_COLUMNS) const uint HEAD_COLUMNS = 64;
layout(constant_id = SPEC_ATTN_KEYS) const uint CHUNK = 256; // keys at once

layout(push_constant) uniform push_block { decode_args a; };

const uint SLICES = (MLP + UNITS - 1u) / UNITS;
const uint D16 = (WIDTH + 15u) / 16u; // tiles
const uint PART8 = 16u * 2u * D16;    // eights of a part of x
// x is the sum of: in front of the MLP, float32; its slices, halves.
const uint PARTS8 = (SLICES + 2u) * PART8;

layout(std430, set = 0, binding = 0) buffer state_block { decode_state states[]; };
// [streams][rows][TAIL_PARTS][D4]: x behind the prefill (a.parts)
layout(std430, set = 0, binding = 1) readonly buffer down_block { vec4 down[]; };
// [streams][MAX_ROWS][D4]: the round's input
layout(std430, set = 0, binding = 2) buffer x4_block { vec4 x_in[]; };
layout(std430, set = 0, binding = 2) buffer x_block { float x[]; };
// [layers][streams][KVH][CAPACITY][HEAD4]
layout(std430, set = 0, binding = 3) coherent buffer k_block { uvec2 k_cache[]; };
layout(std430, set = 0, binding = 4) coherent buffer v_block { uvec2 v_cache[]; };
layout(std430, set = 0, binding = 4) coherent buffer v_word_block { uint v_words[]; };
// What workgroups hand over is volatile: all loads are on their way before the first is used.
// [streams][H][MAX_SPLITS + 1][K][HEAD8] halves, two bits of mark
layout(std430, set = 0, binding = 5) coherent volatile buffer sum_block { uvec2 attn_sums4[]; };
// Behind them, if GATHERED, [streams][K][H][HEAD8] together; one bit
layout(std430, set = 0, binding = 5) coherent volatile buffer sum8_block { uvec4 attn_sums[]; };
// [streams][H][MAX_SPLITS + 1][K] largest score, sum of weights; two bits
layout(std430, set = 0, binding = 6) coherent volatile buffer softmax_block { uvec2 softmax[]; };
// [streams][layers][PARTS8], one bit
layout(std430, set = 0, binding = 7) coherent volatile buffer part4_block { uvec4 x_before[]; };
layout(std430, set = 0, binding = 7) coherent volatile buffer part8_block { uvec4 x_parts[]; };
layout(std430, set = 0, binding = 7) coherent volatile buffer part_block { uvec2 outputs[]; };
layout(std430, set = 0, binding = 8) WEIGHT_ACCESS buffer weight_block { WEIGHT_WORD weight[]; };
layout(std430, set = 0, binding = 9) readonly buffer rope_block { vec2 rope[]; };
// TRACE: [rounds][streams][K*V + K]; behind it [2][streams][KEYS_ROUND], one bit of mark
layout(std430, set = 0, binding = 10) writeonly buffer logits_block { float logits[]; };
layout(std430, set = 0, binding = 10) coherent volatile buffer key_block { uint keys[]; };
layout(std430, set = 0, binding = 10) coherent volatile buffer key4_block { uvec4 keys4[]; };
layout(std430, set = 0, binding = 11) readonly buffer norm_block { vec4 norm[]; }; // TRACE: [D4]
layout(std430, set = 0, binding = 12) writeonly buffer hidden_block { vec4 hidden[]; }; // TRACE
layout(std430, set = 0, binding = 13) readonly buffer embed_block { float embed[]; }; // [V][D]
layout(std430, set = 0, binding = 13) readonly buffer embed4_block { vec4 embed4[]; };
layout(std430, set = 0, binding = 14) buffer result_block { uint results[]; };
layout(std430, set = 0, binding = 15) writeonly buffer cells_block { uint cells[]; };
layout(std430, set = 0, binding = 16) writeonly buffer count_block { uint cell_counts[]; };
// [streams][HORIZON]
layout(std430, set = 0, binding = 17) writeonly buffer frames_block { uint frame_tokens[]; };
layout(std430, set = 0, binding = 18) readonly buffer forced_block { uint forced[]; };

#include "lib/warp.glsl"
#include "lib/products.glsl"
#include "lib/tail.glsl"

const uint Q_COLUMNS = HEADS * HEAD_DIM;
const uint KV_COLUMNS = KV_HEADS * HEAD_DIM;
const uint QKV16 = (Q_COLUMNS + 2u * KV_COLUMNS) / 16u;
const uint LOGITS = ROUND * VOCAB + ROUND;
const uint LOGITS16 = (LOGITS + 15u) / 16u;
const uint HEAD16 = HEAD_DIM / 16u;
const uint CONTEXT16 = HEADS * HEAD16;
const uint MLP16 = (2u * MLP + 15u) / 16u;  // columns of gate and up
const uint DOWN16 = (MLP + 15u) / 16u;      // depth of down
const uint PIECES = MAX_SPLITS + 1u;        // the round's own keys are one more
const uint CHUNK16 = CHUNK / 16u;
const uint HEAD_TASKS = (LOGITS + HEAD_COLUMNS - 1u) / HEAD_COLUMNS;
const uint ROWS_EACH = (ROUND + WARPS - 1u) / WARPS;
const uint FOURS_EACH = 2u * ((2u * D16 + 31u) / 32u);
const uint OWN_FOURS = ROWS_EACH * FOURS_EACH; // of x, an invocation
const uint HEAD8 = HEAD_DIM / 8u;
// In long contexts those who made the pieces put them together, a few columns each, and not all of
// the MLP's workgroups everything: a step more, but of one load and not of twenty.
const bool GATHERED = MAX_SPLITS > 8u;
const uint GATHERED_AT4 = STREAMS * HEADS * PIECES * ROUND * HEAD4;
const float MASKED = -3.0e38; // no score is that low

// ---- shared memory ---------------------------------------------------------------------------
// Everything in fours. Strides spread rows over the banks, those of halves are even.
const uint XS = 4u * D16 + 2u, QS = HEAD4 + 2u, PS = CHUNK / 4u + 2u;
const uint CS = 4u * CONTEXT16 + 2u, MS = UNITS / 4u + 2u;
const uint AREA_X = 0u;                    // halves: RMSNorm of x
const uint AREA_Q = AREA_X + 16u * XS, AREA_K = AREA_Q + 16u * QS, AREA_V = AREA_K + 16u * QS;
const uint AREA_M = AREA_Q;                // what the MLP's units give
const uint AREA_P = AREA_Q + 16u * (3u * QS > MS ? 3u * QS : MS); // weights of the keys, or
const uint AREA_C = AREA_P;                // context
const uint AREA_END = AREA_P + 16u * (PS > CS ? PS : CS);

const uint H_TILES = HEAD_COLUMNS / 16u, M_TILES = 2u * UNITS / 16u;
const uint Q_SHARES = SHARES_OF(HEAD16, 6u), QKV_SHARES = SHARES_OF(3u * HEAD16, 4u);
const uint O_SHARES = SHARES_OF(HEAD16, CHUNK16), H_SHARES = SHARES_OF(H_TILES, 6u);
const uint M_SHARES = SHARES_OF(M_TILES, 4u), OUT_SHARES = SHARES_OF(D16, 2u);
const uint HS = HEAD4 + 1u, QKVS = 3u * HEAD4 + 1u, SS = CHUNK / 4u + 1u, DS = 4u * D16 + 1u;
const uint US = UNITS / 2u + 1u, HCS = HEAD_COLUMNS / 4u + 1u;
const uint SUMS_END = 16u * MAX(MAX(MAX(Q_SHARES, O_SHARES) * HS, MAX(QKV_SHARES * QKVS, SS)),
                                MAX(OUT_SHARES * DS, MAX(M_SHARES * US, H_SHARES * HCS)));
shared uvec2 tile_halves[AREA_END];
shared uvec4 tile_sums[MAX(SUMS_END, ROUND * 32u * ((CELLS + 127u) / 128u))]; // or the logits' keys
shared float row_shrink[16], row_weights[16];

#include "lib/sums.glsl"

#define PICK_WARPS
#include "lib/rounds.glsl"

#define MMA_WEIGHTS
#define MMA_CACHE
#define MMA_OUTPUTS
#define MMA_SUMS4
#include "lib/matrix.glsl"

// ---- x ---------------------------------------------------------------------------------------

vec4 own_x[OWN_FOURS];

uint own_row(uint i)
{
    return warp + WARPS * (i / FOURS_EACH);
}

uint own_four(uint i)
{
    return 2u * (lane + 32u * (i % FOURS_EACH / 2u)) + i % 2u;
}

bool owns(uint i)
{
    return own_row(i) < ROUND && own_four(i) < WIDTH4;
}

// RMSNorm of the rows from row0 on, for the products (barrier behind it is the caller's).
void norm_rows(vec4 rows[OWN_FOURS], uint row0)
{
    [[unroll]] for (uint r = 0u; r < ROWS_EACH; r++) {
        float squares = 0.0;
        [[unroll]] for (uint j = 0u; j < FOURS_EACH; j++) {
            uint i = r * FOURS_EACH + j;
            squares += owns(i) ? dot(rows[i], rows[i]) : 0.0;
        }
        float scale = inversesqrt(warp_add(squares) / float(WIDTH) + RMS_EPS);
        [[unroll]] for (uint j = 0u; j < FOURS_EACH; j++) {
            uint i = r * FOURS_EACH + j;
            if (own_row(i) >= row0 && own_row(i) < ROUND && own_four(i) < 4u * D16) {
                tile_halves[AREA_X + own_row(i) * XS + own_four(i)] =
                    owns(i) ? half4(rows[i] * scale) : uvec2(0u);
            }
        }
    }
}

// Layers that the stream has gone through in this kernel and before, and before.
uint turn, turn0;

// Each layer has its place: who has nothing to do in a round asks for the last one's all the time.
uint parts_at(uint layer)
{
    return (stream * a.layers + layer) * PARTS8;
}

vec4 half_of(uvec4 eight, uint i)
{
    return loaded(i % 2u == 0u ? eight.xy : eight.zw);
}

// x behind a layer.
void take_x(uint layer, uint row0)
{
    uint bit = use_bit(turns), parts0 = parts_at(layer);
    [[unroll]] for (uint i = 0u; i < OWN_FOURS; i += 2u) {
        if (owns(i) && own_row(i) >= row0) {
            uint at = own_row(i) * (2u * D16) + own_four(i) / 2u;
            uint spins = patience(), missing;
            uvec4 before[2], part[SLICES];
            do { // comes long before the others and is little: these are not asked for in vain
                missing = 0u;
                [[unroll]] for (uint j = 0u; j < 2u; j++) {
                    before[j] = x_before[parts0 + 2u * at + j] ^ bit;
                    missing |= any_of(before[j]) & MARK_BIT;
                }
            } while (missing != 0u && ++spins < SYNC_MAX_SPINS);
            do {
                missing = 0u;
                [[unroll]] for (uint p = 0u; p < SLICES; p++) {
                    part[p] = x_parts[parts0 + (p + 2u) * PART8 + at] ^ both_halves(bit);
                }
                [[unroll]] for (uint p = 0u; p < SLICES; p++) {
                    missing |= any_of(part[p]) & MARK_HALVES;
                }
            } while (missing != 0u && ++spins < SYNC_MAX_SPINS);
            give_up(missing != 0u);
            [[unroll]] for (uint j = 0u; j < 2u; j++) {
                vec4 sum = uintBitsToFloat(before[j]);
                [[unroll]] for (uint p = 0u; p < SLICES; p++) {
                    sum += half_of(part[p], j);
                }
                own_x[i + j] = sum;
            }
        }
    }
    norm_rows(own_x, row0);
    barrier();
}

// Until the round before is nearly over, and with it all that was written in its first layers.
void wait_for_round()
{
    uint spins = patience(), missing;
    do {
        missing = (x_before[parts_at(a.layers - 1u)].x ^ use_bit(turns)) & MARK_BIT;
    } while (missing != 0u && ++spins < SYNC_MAX_SPINS);
    give_up(missing != 0u);
}

// ---- attention -------------------------------------------------------------------------------

const uint K_EACH = (CHUNK16 + WARPS - 1u) / WARPS, V_EACH = (CHUNK16 + O_SHARES - 1u) / O_SHARES;

// Workgroups of the two trades, and this one's number among them (NONE: it is not of them).
uint attention_workers, attention_me, mlp_workers, mlp_me;

// Keys before this round, in tiles of 16 places of the ring, cut into pieces.
uint key_tile0, n_key_tiles, piece_tiles, pieces;
// A head and a piece: this workgroup's task, the first if it has several.
uint task_head, task_piece;

void cut_keys(uint known) // the place behind them
{
    key_tile0 = first / 16u;
    n_key_tiles = min((known + 15u) / 16u - key_tile0, CAPACITY / 16u);
    uint splits = clamp((n_key_tiles + CHUNK16 - 1u) / CHUNK16, 1u,
                        clamp(a.max_splits, 1u, MAX_SPLITS));
    piece_tiles = (n_key_tiles + splits - 1u) / splits;
    pieces = splits + 1u;
    task_head = attention_me / pieces;
    task_piece = attention_me % pieces;
}

uint cache_at(uint layer, uint head)
{
    uint kv = head / (HEADS / KV_HEADS);
    return layer * a.cache_stride + (stream * KV_HEADS + kv) * CAPACITY * HEAD4;
}

vec4 turned(vec4 v, uint row, uint four)
{
    uint at = min(row, ROUND - 1u) * (HEAD_DIM / 2u) + 2u * four;
    vec2 r = rope_rows[at], s = rope_rows[at + 1u];
    return vec4(v.x * r.x - v.y * r.y, v.y * r.x + v.x * r.y, v.z * s.x - v.w * s.y,
                v.w * s.x + v.z * s.y);
}

// Weights of q; for the round's own keys, of q, k and v.
const uint Q_TILES = TILES(HEAD16, Q_SHARES, D16), QKV_TILES = TILES(3u * HEAD16, QKV_SHARES, D16);
mma_w next_w[MAX(Q_TILES, QKV_TILES)];

void fetch_qkv(uint layer, uint head, bool own_keys)
{
    uint w0 = a.at_qkv + layer * a.layer_stride, q0 = head * HEAD16;
    uint k0 = (Q_COLUMNS + head / (HEADS / KV_HEADS) * HEAD_DIM) / 16u - HEAD16;
    uint v0 = k0 + KV_COLUMNS / 16u - HEAD16;
    if (own_keys) {
        FETCH(next_w, 3u * HEAD16, QKV_SHARES, D16,
              w0 + (k * QKV16 + (col < HEAD16 ? q0 : col < 2u * HEAD16 ? k0 : v0) + col) * 32u)
    } else {
        FETCH(next_w, HEAD16, Q_SHARES, D16, w0 + (k * QKV16 + q0 + col) * 32u)
    }
}

// q and, for the round's own keys, k and v: RoPE, and as halves where the products want them.
void make_heads(bool own_keys)
{
    const float scale = inversesqrt(float(HEAD_DIM));
    uint row = t / HEAD4, four = t % HEAD4;
    if (own_keys) {
        MULTIPLY(next_w, 3u * HEAD16, QKV_SHARES, D16, AREA_X, XS,
                 mma_put(sum, share * 16u * QKVS + col * 4u, QKVS))
        barrier();
        for (; row < 16u; row += GROUP / HEAD4) {
            bool exists = row < ROUND; // the others must be finite
            vec4 q = four_of(QKV_SHARES, QKVS, row, four) * scale;
            vec4 k = four_of(QKV_SHARES, QKVS, row, HEAD4 + four);
            vec4 v = four_of(QKV_SHARES, QKVS, row, 2u * HEAD4 + four);
            tile_halves[AREA_Q + row * QS + four] = half4(turned(q, row, four));
            tile_halves[AREA_K + row * QS + four] = exists ? half4(turned(k, row, four)) : uvec2(0);
            tile_halves[AREA_V + row * QS + four] = exists ? half4(v) : uvec2(0);
        }
    } else {
        MULTIPLY(next_w, HEAD16, Q_SHARES, D16, AREA_X, XS,
                 mma_put(sum, share * 16u * HS + col * 4u, HS))
        barrier();
        for (; row < 16u; row += GROUP / HEAD4) {
            vec4 q = four_of(Q_SHARES, HS, row, four) * scale;
            tile_halves[AREA_Q + row * QS + four] = half4(turned(q, row, four));
        }
    }
    barrier();
}

void cache_own_keys(uint layer, uint head)
{
    if (head % (HEADS / KV_HEADS) == 0u) { // one of a group
        for (uint i = t; i < ROUND * HEAD4; i += GROUP) {
            uint row = i / HEAD4;
            uint to = cache_at(layer, head) + (position + row) % CAPACITY * HEAD4 + i % HEAD4;
            k_cache[to] = tile_halves[AREA_K + row * QS + i % HEAD4];
            v_cache[to] = tile_halves[AREA_V + row * QS + i % HEAD4];
        }
    }
}

float largest[ROWS_EACH], weight_sum[ROWS_EACH];

// Of a row, the keys of a chunk that it sees: from .x to in front of .y.
uvec2 seen_keys(uint row, uint tile, uint end, bool own_keys)
{
    uint token = (key_tile0 + tile) * 16u, behind = token + 16u * min(end - tile, CHUNK16);
    return own_keys ? uvec2(0u, row + 1u)
                    : uvec2(max(first, token), min(position, behind)) - token;
}

// Scores to weights, rows as in x, four keys an invocation at a time.
void weigh(uint tile, uint end, bool own_keys)
{
    const uint each = (CHUNK / 4u + 31u) / 32u;
    [[unroll]] for (uint r = 0u; r < ROWS_EACH; r++) {
        uint row = warp + WARPS * r;
        uvec2 seen = seen_keys(row, tile, end, own_keys);
        vec4 s[each];
        float top = MASKED;
        [[unroll]] for (uint j = 0u; j < each; j++) {
            uint four = lane + 32u * j;
            s[j] = uintBitsToFloat(tile_sums[min(row, 15u) * SS + min(four, SS - 1u)]);
            [[unroll]] for (uint i = 0u; i < 4u; i++) {
                uint key = 4u * four + i;
                s[j][i] = key >= seen.x && key < seen.y ? s[j][i] : MASKED;
                top = max(top, s[j][i]);
            }
        }
        float before = largest[r];
        largest[r] = max(before, warp_max(top));
        float sum = 0.0, least = max(largest[r], 0.5 * MASKED); // so that what is masked weighs 0
        [[unroll]] for (uint j = 0u; j < each; j++) {
            uint four = lane + 32u * j;
            vec4 w = exp(s[j] - vec4(least));
            sum += dot(w, vec4(1.0));
            if (row < ROUND && four < CHUNK / 4u) {
                tile_halves[AREA_P + row * PS + four] = stored(w);
            }
        }
        float shrink = exp(before - largest[r]);
        weight_sum[r] = weight_sum[r] * shrink + warp_add(sum);
        if (row < ROUND && lane == 0u) {
            row_shrink[row] = shrink;
            row_weights[row] = weight_sum[r];
        }
    }
}

// Values are asked for by words (see asked_values()); in short contexts a load of the matrix is as
// quick.
const bool DIRECT = MATRIX_DIRECT != 0u && GATHERED;

// A subgroup has tiles of keys for the scores, a tile of dimensions and every O_SHARES-th tile of
// keys for the sum. Slow to load (lib/matrix.glsl), so asked for while others work. The last tile
// may hold places that are not written yet, or just now: they are masked, and finite whatever they
// are.
mma_a next_keys[K_EACH * HEAD16];
mma_b next_values[V_EACH];
uvec4 next_words[V_EACH]; // or, DIRECT, two dimensions of four keys each

void fetch_chunk(uint cache0, uint tile, uint end)
{
    [[unroll]] for (uint j = 0u; j < K_EACH; j++) {
        uint at = (key_tile0 + min(tile + warp + WARPS * j, end - 1u)) * 16u % CAPACITY;
        [[unroll]] for (uint d = 0u; d < HEAD16; d++) {
            next_keys[j * HEAD16 + d] = mma_keys(cache0 + at * HEAD4 + 4u * d, HEAD4);
        }
    }
    [[unroll]] for (uint j = 0u; j < V_EACH; j++) {
        uint i = warp / HEAD16 + O_SHARES * j;
        uint at = (key_tile0 + min(tile + i, end - 1u)) * 16u % CAPACITY;
        if (!DIRECT) {
            next_values[j] = mma_values(cache0 + at * HEAD4 + 4u * (warp % HEAD16), HEAD4);
            continue;
        }
        uint word = 2u * (cache0 + at * HEAD4 + 4u * (warp % HEAD16)) + lane / 4u;
        [[unroll]] for (uint e = 0u; e < 4u; e++) {
            uint key = 2u * (lane % 4u) + e % 2u + e / 2u * 8u;
            next_words[j][e] = v_words[word + key * 2u * HEAD4];
        }
    }
}

// Nothing is asked for. Where it is not said that these registers are free, a compiler keeps them
// through all of a turn (main()), and others spill.
void forget_task()
{
    [[unroll]] for (uint i = 0u; i < MAX(Q_TILES, QKV_TILES); i++) {
        next_w[i] = mma_w_zero();
    }
    [[unroll]] for (uint i = 0u; i < K_EACH * HEAD16; i++) {
        next_keys[i] = mma_a_zero();
    }
    [[unroll]] for (uint i = 0u; i < V_EACH; i++) {
        next_values[i] = mma_b_zero();
        next_words[i] = uvec4(0u);
    }
}

// What a task needs, but for x.
void fetch_task(uint layer, uint head, uint piece)
{
    bool own_keys = piece + 1u == pieces;
    forget_task();
    fetch_qkv(layer, head, own_keys);
    if (!own_keys) {
        fetch_chunk(cache_at(layer, head), piece * piece_tiles,
                    min((piece + 1u) * piece_tiles, n_key_tiles));
    }
}

// A second factor wants two keys of a dimension in a word, which are one by one in memory.
// So an invocation asks for two dimensions side by side: the first's column is lane / 4, the
// other's 8 more.
mma_b asked_values(uint j)
{
    if (!DIRECT) {
        return next_values[j];
    }
    uvec2 left = next_words[j].xz, right = next_words[j].yw;
    uvec2 even = left & 0xffffu | right << 16u, odd = left >> 16u | right & 0xffff0000u;
    return mma_given(uvec4(even, odd));
}

// What comes of that, to tile_sums.
void put_values(mma_sum sum, uint at)
{
    if (!DIRECT) {
        mma_put(sum, at, HS);
        return;
    }
    [[unroll]] for (uint i = 0u; i < 8u; i += 4u) {
        vec4 v = vec4(MMA_AT(sum, i), MMA_AT(sum, i + 2u), MMA_AT(sum, i + 1u),
                      MMA_AT(sum, i + 3u));
        tile_sums[at + mma_row_of(lane, i) * HS + lane % 4u] = floatBitsToUint(v);
    }
}

// softmax(q k) v over a piece of the cache, its first chunk asked for.
void attend_cache(uint layer, uint head, uint piece, inout vec4 o)
{
    uint begin = piece * piece_tiles, end = min(begin + piece_tiles, n_key_tiles);
    uint row = t / HEAD4, share = warp / HEAD16;
    for (uint tile = begin; tile < end; tile += CHUNK16) {
        mma_b q[HEAD16]; // keys are the rows of this product: quick to load, and q stays
        [[unroll]] for (uint d = 0u; d < HEAD16; d++) {
            q[d] = mma_columns(AREA_Q + 4u * d, QS);
        }
        [[unroll]] for (uint j = 0u; j < K_EACH; j++) {
            uint i = warp + WARPS * j;
            if (CHUNK16 % WARPS == 0u || i < CHUNK16) {
                mma_sum sum = mma_zero();
                [[unroll]] for (uint d = 0u; d < HEAD16; d++) {
                    sum = mma_add(next_keys[j * HEAD16 + d], q[d], sum);
                }
                mma_put_columns(sum, i * 4u, SS);
            }
        }
        barrier();
        weigh(tile, end, false);
        barrier();
        if (share < O_SHARES) {
            mma_sum sum = mma_zero();
            [[unroll]] for (uint j = 0u; j < V_EACH; j++) {
                uint i = share + O_SHARES * j;
                if (i < CHUNK16) {
                    sum = mma_add(mma_rows(AREA_P + 4u * i, PS), asked_values(j), sum);
                }
            }
            put_values(sum, share * 16u * HS + warp % HEAD16 * 4u);
        }
        bool more = tile + CHUNK16 < end;
        if (more) {
            fetch_chunk(cache_at(layer, head), tile + CHUNK16, end);
        }
        barrier();
        if (row < ROUND) {
            o = o * row_shrink[row] + four_of(O_SHARES, HS, row, t % HEAD4);
        }
        if (more) {
            barrier();
        }
    }
}

// The same over the round's own keys: one tile.
void attend_own(inout vec4 o)
{
    if (warp == 0u) {
        mma_sum sum = mma_zero();
        [[unroll]] for (uint d = 0u; d < HEAD16; d++) {
            sum = mma_add(mma_rows(AREA_Q + 4u * d, QS), mma_columns(AREA_K + 4u * d, QS), sum);
        }
        mma_put(sum, 0u, SS);
    }
    barrier();
    weigh(0u, 1u, true);
    barrier();
    if (warp < HEAD16) {
        mma_sum sum = mma_add(mma_rows(AREA_P, PS), mma_matrix(AREA_V + 4u * warp, QS), mma_zero());
        mma_put(sum, warp * 4u, HS);
    }
    barrier();
    uint row = t / HEAD4;
    if (row < ROUND) {
        o = four_of(1u, HS, row, t % HEAD4);
    }
}

void attention(uint layer, uint head, uint piece)
{
    bool own_keys = piece + 1u == pieces;
    vec4 o = vec4(0.0); // of (row, four) t
    [[unroll]] for (uint r = 0u; r < ROWS_EACH; r++) {
        largest[r] = MASKED;
        weight_sum[r] = 0.0;
    }
    make_heads(own_keys);
    if (own_keys) {
        cache_own_keys(layer, head);
        attend_own(o);
    } else {
        attend_cache(layer, head, piece, o);
    }
    uint out0 = ((stream * HEADS + head) * PIECES + piece) * ROUND, mark = turn_mark(turn - turn0);
    if (t < ROUND * HEAD4) { // a mean of values, so halves do; 0 if it has no keys
        attn_sums4[out0 * HEAD4 + t] =
            half4(o / max(row_weights[t / HEAD4], 1e-30)) & ~MARK_HALVES | halves_mark(mark);
    }
    [[unroll]] for (uint r = 0u; r < ROWS_EACH; r++) {
        if (warp + WARPS * r < ROUND && lane == 0u) {
            softmax[out0 + warp + WARPS * r] =
                floatBitsToUint(vec2(largest[r], weight_sum[r])) & ~MARK_BITS | mark;
        }
    }
}

// All pieces of four columns by a subgroup, an invocation a piece.
void gather_pieces(uint workers)
{
    const uint n = ROUND * HEADS * HEAD4;
    uint mark = turn_mark(turn - turn0), bit = both_halves(use_bit(turn));
    for (uint i0 = attention_me; i0 < n; i0 += WARPS * workers) {
        uint i = i0 + warp * workers, from = 0u;
        uvec2 part = uvec2(0u), state = uvec2(0u);
        if (i < n) {
            uint row = i / (HEADS * HEAD4), head = i / HEAD4 % HEADS;
            from = ((stream * HEADS + head) * PIECES + min(lane, pieces - 1u)) * ROUND + row;
            uint spins = patience(), missing;
            do {
                part = attn_sums4[from * HEAD4 + i % HEAD4] ^ halves_mark(mark);
                state = softmax[from] ^ mark;
                missing = (part.x | part.y) & MARK_HALVES | (state.x | state.y) & MARK_BITS;
            } while (missing != 0u && ++spins < SYNC_MAX_SPINS);
            give_up(missing != 0u);
        }
        float score = lane < pieces ? uintBitsToFloat(state.x) : MASKED, top = warp_max(score);
        float w = lane < pieces ? exp(score - top) * uintBitsToFloat(state.y) : 0.0;
        vec4 v = w * loaded(part);
        v = vec4(warp_add(v.x), warp_add(v.y), warp_add(v.z), warp_add(v.w)) / warp_add(w);
        if (i < n && lane == 0u) {
            attn_sums4[GATHERED_AT4 + stream * n + i] = half4(v) & ~MARK_HALVES | bit;
        }
    }
}

// Nobody reads these words any more.
void forget_pieces()
{
    const uint n = HEADS * PIECES * ROUND;
    for (uint i = wg * GROUP + t; i < n * HEAD4; i += n_wg * GROUP) {
        attn_sums4[stream * n * HEAD4 + i] = uvec2(0u);
        if (i < n) {
            softmax[stream * n + i] = uvec2(0u);
        }
    }
}

// ---- output projection and MLP ---------------------------------------------------------------

// The attention, as halves.
void take_context(uint row0)
{
    uint bit = both_halves(use_bit(turn));
    [[unroll]] for (uint j = 0u; j < (ROUND * HEADS * HEAD8 + GROUP - 1u) / GROUP; j++) {
        uint i = t + j * GROUP, row = i / (HEADS * HEAD8), spins = patience();
        if (row < row0 || row >= ROUND) {
            continue;
        }
        uvec4 eight;
        do {
            eight = attn_sums[GATHERED_AT4 / 2u + stream * (ROUND * HEADS * HEAD8) + i] ^ bit;
        } while ((any_of(eight) & MARK_HALVES) != 0u && ++spins < SYNC_MAX_SPINS);
        give_up((any_of(eight) & MARK_HALVES) != 0u);
        uint to = AREA_C + row * CS + 2u * (i % (HEADS * HEAD8));
        tile_halves[to] = eight.xy;
        tile_halves[to + 1u] = eight.zw;
    }
}

// Its pieces together. Asked for a few at a time.
void put_together(uint row0)
{
    const uint batch = 4u;
    uint mark = turn_mark(turn - turn0);
    [[unroll]] for (uint j = 0u; j < (ROUND * HEADS * HEAD8 + GROUP - 1u) / GROUP; j++) {
        uint i = t + j * GROUP;
        uint row = i / (HEADS * HEAD8), head = i / HEAD8 % HEADS, d = i % HEAD8;
        if (row < row0 || row >= ROUND) {
            continue;
        }
        uint at = (stream * HEADS + head) * PIECES * ROUND + row;
        vec4 left = vec4(0.0), right = vec4(0.0);
        float top = MASKED, weights = 0.0;
        for (uint p0 = 0u; p0 < pieces; p0 += batch) {
            uvec4 part[batch];
            uvec2 words[batch];
            vec2 state[batch];
            uint spins = patience(), missing;
            do {
                missing = 0u;
                [[unroll]] for (uint p = 0u; p < batch; p++) {
                    uint from = at + min(p0 + p, pieces - 1u) * ROUND;
                    part[p] = attn_sums[from * HEAD8 + d] ^ halves_mark(mark);
                    words[p] = softmax[from] ^ mark;
                }
                [[unroll]] for (uint p = 0u; p < batch; p++) {
                    missing |= any_of(part[p]) & MARK_HALVES;
                    missing |= (words[p].x | words[p].y) & MARK_BITS;
                }
            } while (missing != 0u && ++spins < SYNC_MAX_SPINS);
            give_up(missing != 0u);
            float before = top;
            [[unroll]] for (uint p = 0u; p < batch; p++) {
                state[p] = uintBitsToFloat(words[p]);
                top = max(top, state[p].x);
            }
            float shrink = exp(before - top);
            left *= shrink;
            right *= shrink;
            weights *= shrink;
            [[unroll]] for (uint p = 0u; p < batch; p++) {
                float w = p0 + p < pieces ? exp(state[p].x - top) * state[p].y : 0.0;
                left += w * loaded(part[p].xy);
                right += w * loaded(part[p].zw);
                weights += w;
            }
        }
        uint to = AREA_C + row * CS + head * HEAD4 + 2u * d;
        tile_halves[to] = half4(left / weights);
        tile_halves[to + 1u] = half4(right / weights);
    }
}

void mlp(uint layer, uint slice, uint row0)
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
    if (GATHERED) {
        take_context(row0);
    } else {
        put_together(row0);
    }
    barrier();
    MULTIPLY(w_out, D16, OUT_SHARES, CONTEXT16, AREA_C, CS,
             mma_put(sum, share * 16u * DS + col * 4u, DS))
    barrier();
    vec4 between[OWN_FOURS]; // own_x stays: another slice may come
    [[unroll]] for (uint i = 0u; i < OWN_FOURS; i++) {
        between[i] = vec4(0.0);
        if (owns(i)) {
            between[i] = own_x[i] + four_of(OUT_SHARES, DS, own_row(i), own_four(i));
            if (slice == 0u) {
                x_before[parts_at(layer) + own_row(i) * (4u * D16) + own_four(i)] =
                    floatBitsToUint(between[i]) & ~MARK_BIT | use_bit(turns);
            }
        }
    }
    norm_rows(between, row0);
    barrier();
    MULTIPLY(w_in, M_TILES, M_SHARES, D16, AREA_X, XS,
             mma_put(sum, share * 16u * US + col * 4u, US))
    barrier();
    for (uint u = t; u < ROUND * (UNITS / 4u); u += GROUP) {
        uint row = u / (UNITS / 4u), four = u % (UNITS / 4u);
        vec4 left = four_of(M_SHARES, US, row, 2u * four);
        vec4 right = four_of(M_SHARES, US, row, 2u * four + 1u);
        vec4 gate = vec4(left.xz, right.xz), up = vec4(left.yw, right.yw);
        vec4 v = gate / (1.0 + exp(-gate)) * up;
        uvec4 unit = slice * UNITS + 4u * four + uvec4(0u, 1u, 2u, 3u);
        tile_halves[AREA_M + row * MS + four] = half4(mix(vec4(0.0), v,
                                                          lessThan(unit, uvec4(MLP))));
    }
    barrier();
    MULTIPLY(w_down, D16, 1u, UNITS / 16u, AREA_M, MS,
             mma_store(sum, 2u * (parts_at(layer) + (slice + 2u) * PART8) + col * 4u, 4u * D16,
                       MARK_HALVES, both_halves(use_bit(turns))))
}

// ---- heads -----------------------------------------------------------------------------------

// By turns: the round before may still be read.
uint keys_of_round()
{
    return a.keys_at + picks % 2u * a.logits_stride + stream * KEYS_ROUND;
}

mma_w next_heads[TILES(H_TILES, H_SHARES, D16)];

void fetch_heads(uint task)
{
    FETCH(next_heads, H_TILES, H_SHARES, D16,
          a.at_heads + (k * LOGITS16 + min(task * H_TILES + col, LOGITS16 - 1u)) * 32u)
}

uint own_place; // of column t of this workgroup's task, the first if it has several

void heads(uint round, uint task)
{
    MULTIPLY(next_heads, H_TILES, H_SHARES, D16, AREA_X, XS,
             mma_put(sum, share * 16u * HCS + col * 4u, HCS))
    barrier();
    for (uint u = t; u < HEAD_COLUMNS; u += GROUP) {
        uint column = task * HEAD_COLUMNS + u;
        uint to = own_place;
        if (task != wg || HEAD_COLUMNS > GROUP) {
            to = key_place(column);
        }
        float value = four_of(H_SHARES, HCS, ROUND - 1u, u / 4u)[u % 4u];
        if (to != NONE) {
            uint key = column < ROUND * VOCAB ? logit_key(value) : floatBitsToUint(value);
            keys[keys_of_round() + to] = key & ~MARK_BIT | use_bit(picks / 2u);
        }
        if (TRACE != 0u && column < LOGITS) {
            logits[round * a.logits_stride + stream * LOGITS + column] = value;
        }
    }
}

void trace_hidden(uint round)
{
    [[unroll]] for (uint i = 0u; i < OWN_FOURS; i++) {
        if (owns(i) && own_row(i) == ROUND - 1u) {
            uvec2 h = tile_halves[AREA_X + own_row(i) * XS + own_four(i)];
            hidden[round * a.hidden_stride + stream * WIDTH4 + own_four(i)] =
                loaded(h) * norm[own_four(i)];
        }
    }
}

// ---- rounds ----------------------------------------------------------------------------------

// The ids just chosen are the next round's input.
void embed_ids()
{
    [[unroll]] for (uint i = 0u; i < OWN_FOURS; i++) {
        if (owns(i)) {
            uint row = min(own_row(i), max(n_fed, 1u) - 1u), c = 4u * own_four(i);
            own_x[i] = WIDTH % 4u == 0u ? embed4[fed[row] * WIDTH4 + own_four(i)]
                                        : vec4(embedding(row, c), embedding(row, c + 1u),
                                               embedding(row, c + 2u), embedding(row, c + 3u));
        }
    }
    norm_rows(own_x, 0u);
    barrier();
}

void load_x()
{
    [[unroll]] for (uint i = 0u; i < OWN_FOURS; i++) {
        own_x[i] = owns(i) ? x_in[(stream * MAX_ROWS + own_row(i)) * WIDTH4 + own_four(i)]
                           : vec4(0.0);
    }
    norm_rows(own_x, 0u);
    barrier();
}

// The prefill's last row, as if it were a round's.
void take_prefill()
{
    [[unroll]] for (uint i = 0u; i < OWN_FOURS; i++) {
        if (owns(i) && own_row(i) == ROUND - 1u) {
            own_x[i] = layer_input(stream, prefill_rows - 1u, own_four(i));
        }
    }
    norm_rows(own_x, ROUND - 1u);
    barrier();
}

void choose_trade()
{
    bool apart = n_wg > SLICES;
    mlp_workers = apart ? SLICES : n_wg;
    attention_workers = apart ? n_wg - SLICES : n_wg;
    attention_me = wg < attention_workers ? wg : NONE;
    mlp_me = !apart ? wg : wg >= attention_workers ? wg - attention_workers : NONE;
}

// Attention and MLP of a layer: whichever of them is this workgroup's trade.
void run_layer(uint layer)
{
    uint tasks = HEADS * pieces;
    uint row0 = layer + 1u == a.layers ? ROUND - 1u : 0u; // whose x is needed behind the layer
    if (attention_me < tasks) {
        attention(layer, task_head, task_piece);
        // Not one loop for all: an H100 takes 2 % longer for the rounds then.
        bool own_keys = task_piece + 1u == pieces;
        for (uint task = attention_me + attention_workers; task < tasks;
             task += attention_workers) {
            fetch_task(layer, task / pieces, task % pieces);
            barrier();
            attention(layer, task / pieces, task % pieces);
            own_keys = own_keys || task % pieces + 1u == pieces;
        }
        if (own_keys) {
            hand_over_rest();
        } else {
            meet_inside();
        }
        if (GATHERED) {
            gather_pieces(min(attention_workers, tasks));
            barrier();
        }
    }
    for (uint slice = mlp_me; slice < SLICES; slice += mlp_workers) {
        mlp(layer, slice, row0);
        meet_inside();
    }
}

// Behind the last layer. Returns whether the frame ends.
bool end_round(uint round)
{
    fetch_heads(wg);
    if (round == 0u) {
        take_prefill();
    } else {
        take_x(a.layers - 1u, ROUND - 1u);
    }
    for (uint task = wg; task < HEAD_TASKS; task += n_wg) {
        if (task != wg) {
            fetch_heads(task);
            barrier();
        }
        heads(round, task);
    }
    if (t == 0u) {
        keys[keys_of_round() + PRESENT_AT + wg] = use_bit(picks / 2u);
    }
    if (TRACE != 0u && wg == 0u) {
        trace_hidden(round);
    }
    bool lost = meet_lost();
    meet_inside();
    return lost || select_ids(round, keys_of_round());
}

void main()
{
    if (!begin_rounds()) {
        return; // it ended with the prefill
    }
    choose_trade();
    turn = turn0 = turns * a.layers;
    own_place = key_place(wg * HEAD_COLUMNS + t);
    cut_keys(position + (a.first_round == 0u ? ROUND : 0u)); // of round 1
    bool ended = false, goes_on = true, worked = true;
    // A turn begins with what is asked for and ends before x is; so nothing of it is kept in
    // registers from one turn to the next.
    uint first_round = max(a.first_round, 1u);
    for (uint round = first_round, layer = 0u; goes_on; ) {
        bool works = attention_me < HEADS * pieces;
        // With three layers, x behind the last but one tells who worked that these keys are there.
        if (works && (!worked || layer == 0u && a.layers < 3u && round > first_round)) {
            wait_for_round();
        }
        worked = works;
        if (works) {
            fetch_task(layer, task_head, task_piece);
        } else {
            forget_task();
        }
        if (layer == 0u && round == a.first_round) {
            load_x();
        } else if (layer == 0u) {
            ended = end_round(round - 1u);
            goes_on = !ended && round < a.end_round;
            embed_ids();
        } else if (works || mlp_me < SLICES) {
            take_x(layer - 1u, 0u);
        }
        if (goes_on) {
            run_layer(layer);
            layer++;
            turn++;
        }
        if (layer == a.layers) {
            layer = 0u;
            round++;
            cut_keys(position + ROUND); // of the next round, if there is one
        }
    }
    forget_pieces();
    if (wg == 0u) {
        leave(ended, meet_lost() ? 0u : n_fed);
    }
}
