// Causal attention of a tile of queries over one piece of the keys, with an online softmax. Leaves
// for each query the unnormalised sum of values (MATRIX: their mean, as halves), the largest score
// and the sum of weights; attn_out.comp or tail.comp puts the pieces together.
// Workgroups: heads, row tiles x pieces (row tile fastest), streams. a.last: the last row only.
#version 450
#extension GL_GOOGLE_include_directive : require
#extension GL_EXT_control_flow_attributes : require
#if defined(MATRIX) && !defined(EMULATED)
#extension GL_KHR_shader_subgroup_ballot : require
#extension GL_KHR_shader_subgroup_vote : require
#endif
#include "lib/model.glsl"
#include "lib/precision.glsl"
#include "lib/decoder.glsl"
#include "lib/splits.glsl"

layout(constant_id = SPEC_ATTN_ROWS) const uint ATTN_ROWS = 16;

// [streams][rows][H][HEAD4]
layout(std430, set = 0, binding = 2) readonly buffer q_block { vec4 q_in[]; };
// [streams][KVH][CAPACITY][HEAD4]
layout(std430, set = 0, binding = 3) WEIGHT_ACCESS buffer k_block { STORED4 k_in[]; };
layout(std430, set = 0, binding = 4) WEIGHT_ACCESS buffer v_block { STORED4 v_in[]; };
#ifdef MATRIX
layout(std430, set = 0, binding = 3) WEIGHT_ACCESS buffer k8_block { uvec4 k8_in[]; };
layout(std430, set = 0, binding = 4) WEIGHT_ACCESS buffer v8_block { uvec4 v8_in[]; };
// [streams][rows][H][MAX_SPLITS][PIECE4]
layout(std430, set = 0, binding = 5) writeonly buffer mean_block { uvec2 mean_out[]; };
#else
// [streams][rows][H][MAX_SPLITS][HEAD4]
layout(std430, set = 0, binding = 5) writeonly buffer sum_block { vec4 sum_out[]; };
#endif
// [streams][rows][H][MAX_SPLITS] largest score, sum of weights
layout(std430, set = 0, binding = 6) writeonly buffer weight_block { vec2 weight_out[]; };

const float MASKED = -3.0e38; // no score is that low

uint stream, head, row0, n_rows, piece;
uint ring_first; // slot of the oldest key
uint key_begin;
uint key_end;    // keys of this piece that exist and that the tile's last row may see
uint visible0;   // keys that the tile's row 0 sees; row r sees r more

// Branches on what all invocations of a subgroup know to be the same cost less.
#if defined(MATRIX) && !defined(EMULATED)
#define UNIFORM(v) subgroupBroadcastFirst(v)
#else
#define UNIFORM(v) (v)
#endif

// Finds out what this workgroup does; false: nothing.
bool choose_piece()
{
    stream = current_stream();
    head = gl_WorkGroupID.x;
    uint rows = UNIFORM(current_rows(stream));
    decode_state s = states[stream];
    bool one_tile = a.last != 0u || a.round > 0u;
    const uint tiles = (MAX_ROWS + ATTN_ROWS - 1u) / ATTN_ROWS;
    piece = one_tile ? gl_WorkGroupID.y : gl_WorkGroupID.y / tiles;
    row0 = a.last != 0u ? max(rows, 1u) - 1u : one_tile ? 0u : gl_WorkGroupID.y % tiles * ATTN_ROWS;
    if (row0 >= rows || piece >= UNIFORM(min(s.splits, MAX_SPLITS))) {
        return false;
    }
    n_rows = min(rows - row0, ATTN_ROWS);
    ring_first = UNIFORM(s.first % CAPACITY);
    uint cached = UNIFORM(s.position - s.first);
    visible0 = min(cached, CAPACITY - rows) + row0 + 1u;
    key_begin = UNIFORM(piece * s.split_keys);
    key_end = min(key_begin + UNIFORM(s.split_keys), visible0 + n_rows - 1u);
    return true;
}

// exp(s - largest), nothing for masked scores (a row may have seen no key yet).
vec4 weights(vec4 s, float largest)
{
    return mix(exp(s - vec4(largest)), vec4(0.0), lessThanEqual(s, vec4(0.5 * MASKED)));
}

#ifdef MATRIX
#include "lib/attention_matrix.glsl"
#elif defined(LANES)
#include "lib/attention_lanes.glsl"
#else

const uint PARTS = 8u;              // threads that share a row of scores
const uint ROW_QUADS = ATTN_ROWS / 4u;
const uint KEY_QUADS = ATTN_KEYS / 4u; // "quad" j holds keys j, j + KEY_QUADS, ...
const uint KS = HEAD4 + 1u;         // strides that spread rows over the banks
const uint SS = KEY_QUADS + 1u;
const uint UNITS = ROW_QUADS * HEAD4; // outputs a key group: 4 rows x 4 dims
const uint KEY_GROUPS = GROUP / UNITS;
const uint KEY_POOL = ATTN_KEYS * KS;
const uint SUM_POOL = KEY_GROUPS * ATTN_ROWS * HEAD4;
const uint POOL = KEY_POOL > SUM_POOL ? KEY_POOL : SUM_POOL;
const uint FETCHED = (ATTN_KEYS * HEAD4 + GROUP - 1u) / GROUP; // vec4 of keys an invocation

shared vec4 queries[ATTN_ROWS * HEAD4];
// keys [ATTN_KEYS][KS]; at the end sums [KEY_GROUPS][rows][HEAD4]
shared vec4 pool[POOL];
shared vec4 values[ATTN_KEYS * HEAD4];
shared vec4 scores[ATTN_ROWS * SS];
shared float row_part[ATTN_ROWS * PARTS];
shared float row_shrink[ATTN_ROWS];

STORED4 next_keys[FETCHED], next_values[FETCHED];

void load_queries()
{
    float scale = inversesqrt(float(HEAD_DIM));
    for (uint i = gl_LocalInvocationIndex; i < ATTN_ROWS * HEAD4; i += GROUP) {
        uint row = i / HEAD4, at = (stream * MAX_ROWS + row0 + row) * HEADS + head;
        queries[i] = row < n_rows ? q_in[at * HEAD4 + i % HEAD4] * scale : vec4(0.0);
    }
}

// Asks for a tile of keys and values, zeros behind the end ...
void fetch_keys(uint key0)
{
    uint base = (stream * KV_HEADS + head / (HEADS / KV_HEADS)) * CAPACITY;
    [[unroll]] for (uint j = 0u; j < FETCHED; j++) {
        uint i = gl_LocalInvocationIndex + j * GROUP, key = key0 + i / HEAD4;
        bool exists = i < ATTN_KEYS * HEAD4 && key < key_end;
        uint at = (base + (ring_first + key) % CAPACITY) * HEAD4 + i % HEAD4;
        next_keys[j] = exists ? k_in[at] : STORED4(0);
        next_values[j] = exists ? v_in[at] : STORED4(0);
    }
}

// ... and puts it into shared memory.
void store_keys()
{
    [[unroll]] for (uint j = 0u; j < FETCHED; j++) {
        uint i = gl_LocalInvocationIndex + j * GROUP;
        if (i < ATTN_KEYS * HEAD4) {
            pool[i / HEAD4 * KS + i % HEAD4] = loaded(next_keys[j]);
            values[i] = loaded(next_values[j]);
        }
    }
}

// Scores of two rows for the four keys of a quad.
void compute_scores(uint key0)
{
    for (uint u = gl_LocalInvocationIndex; u < 2u * ROW_QUADS * KEY_QUADS; u += GROUP) {
        uint row = u / KEY_QUADS * 2u, quad = u % KEY_QUADS;
        vec4 s0 = vec4(0.0), s1 = vec4(0.0);
        [[unroll]] for (uint d = 0u; d < HEAD4; d++) {
            vec4 q0 = queries[row * HEAD4 + d], q1 = queries[(row + 1u) * HEAD4 + d];
            vec4 k0 = pool[quad * KS + d], k1 = pool[(quad + KEY_QUADS) * KS + d];
            vec4 k2 = pool[(quad + 2u * KEY_QUADS) * KS + d];
            vec4 k3 = pool[(quad + 3u * KEY_QUADS) * KS + d];
            s0 += vec4(dot(q0, k0), dot(q0, k1), dot(q0, k2), dot(q0, k3));
            s1 += vec4(dot(q1, k0), dot(q1, k1), dot(q1, k2), dot(q1, k3));
        }
        uint k = key0 + quad;
        uvec4 key = uvec4(k, k + KEY_QUADS, k + 2u * KEY_QUADS, k + 3u * KEY_QUADS);
        uint seen = min(key_end, visible0 + row), seen1 = min(key_end, visible0 + row + 1u);
        scores[row * SS + quad] = mix(vec4(MASKED), s0, lessThan(key, uvec4(seen)));
        scores[(row + 1u) * SS + quad] = mix(vec4(MASKED), s1, lessThan(key, uvec4(seen1)));
    }
}

void main()
{
    uint t = gl_LocalInvocationIndex;
    if (!choose_piece()) {
        return;
    }
    uint row = t / PARTS, part = t % PARTS; // role in the softmax
    uint dim = t % HEAD4, quad = t / HEAD4 % ROW_QUADS, group = t / UNITS; // role in the sum
    float largest = MASKED, weight_sum = 0.0;
    vec4 acc[4] = vec4[4](vec4(0.0), vec4(0.0), vec4(0.0), vec4(0.0));
    fetch_keys(key_begin);
    load_queries();
    for (uint key0 = key_begin; key0 < key_end; key0 += ATTN_KEYS) {
        store_keys();
        barrier();
        if (key0 + ATTN_KEYS < key_end) {
            fetch_keys(key0 + ATTN_KEYS);
        }
        compute_scores(key0);
        barrier();
        if (row < ATTN_ROWS) {
            vec4 top = vec4(MASKED);
            for (uint j = part; j < KEY_QUADS; j += PARTS) {
                top = max(top, scores[row * SS + j]);
            }
            row_part[t] = max(max(top.x, top.y), max(top.z, top.w));
        }
        barrier();
        if (row < ATTN_ROWS) {
            float before = largest;
            for (uint p = 0u; p < PARTS; p++) {
                largest = max(largest, row_part[row * PARTS + p]);
            }
            float shrink = exp(before - largest);
            vec4 sum = vec4(0.0);
            for (uint j = part; j < KEY_QUADS; j += PARTS) {
                vec4 w = weights(scores[row * SS + j], largest);
                scores[row * SS + j] = w;
                sum += w;
            }
            weight_sum = weight_sum * shrink + dot(sum, vec4(1.0));
            row_shrink[row] = shrink; // every part writes the same
        }
        barrier();
        if (group < KEY_GROUPS) {
            [[unroll]] for (uint i = 0u; i < 4u; i++) {
                acc[i] *= row_shrink[4u * quad + i];
            }
            for (uint j = group; j < KEY_QUADS; j += KEY_GROUPS) {
                vec4 v0 = values[j * HEAD4 + dim], v1 = values[(j + KEY_QUADS) * HEAD4 + dim];
                vec4 v2 = values[(j + 2u * KEY_QUADS) * HEAD4 + dim];
                vec4 v3 = values[(j + 3u * KEY_QUADS) * HEAD4 + dim];
                [[unroll]] for (uint i = 0u; i < 4u; i++) {
                    vec4 w = scores[(4u * quad + i) * SS + j];
                    acc[i] += w.x * v0 + w.y * v1 + w.z * v2 + w.w * v3;
                }
            }
        }
        barrier();
    }
    if (group < KEY_GROUPS) {
        [[unroll]] for (uint i = 0u; i < 4u; i++) {
            pool[(group * ATTN_ROWS + 4u * quad + i) * HEAD4 + dim] = acc[i];
        }
    }
    if (row < ATTN_ROWS) {
        row_part[t] = weight_sum;
    }
    barrier();
    uint out0 = ((stream * MAX_ROWS + row0) * HEADS + head) * MAX_SPLITS + piece;
    for (uint i = t; i < n_rows * HEAD4; i += GROUP) {
        vec4 sum = vec4(0.0);
        for (uint g = 0u; g < KEY_GROUPS; g++) {
            sum += pool[g * ATTN_ROWS * HEAD4 + i];
        }
        sum_out[(out0 + i / HEAD4 * HEADS * MAX_SPLITS) * HEAD4 + i % HEAD4] = sum;
    }
    if (row < n_rows && part == 0u) {
        float sum = 0.0;
        for (uint p = 0u; p < PARTS; p++) {
            sum += row_part[row * PARTS + p];
        }
        weight_out[out0 + row * HEADS * MAX_SPLITS] = vec2(largest, sum);
    }
}
#endif
