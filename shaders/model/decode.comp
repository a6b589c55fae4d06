// All decode rounds of a frame in one kernel: what is left of the frame after the prefill's
// selection. The workgroups of a stream share the work of a step and meet behind it
// (shaders/lib/meet.glsl); a frame that has ended costs nothing more. A round is
//     a layer: attention   RMSNorm, q, k, v of a head, RoPE, softmax over a piece of the keys
//              output      pieces together, x += W_o context, a few columns
//              mlp         RMSNorm, silu(gate) * up, down: a few units, a partial sum of x each
//     heads, selection (every workgroup the same one, so that nobody waits for it)
// Sums are cut by the model and the number of keys only, not by the number of workgroups: one or a
// hundred, the results are the same bits. The weights of a step are asked for before the meeting
// that it waits for.
// Workgroups: any number, 1, streams. With more than one, all rounds are run at once.
#version 450
#extension GL_GOOGLE_include_directive : require
#extension GL_KHR_memory_scope_semantics : require
#extension GL_EXT_control_flow_attributes : require
#include "interface/gaze_result.h"
#include "interface/model_args.h"
#include "lib/model.glsl"
#include "lib/precision.glsl"
#include "lib/splits.glsl"

layout(constant_id = SPEC_UNITS) const uint UNITS = 32;
layout(constant_id = SPEC_OUT_COLUMNS) const uint OUT_COLUMNS = 16;
layout(constant_id = SPEC_HEAD_COLUMNS) const uint HEAD_COLUMNS = 64;
layout(constant_id = SPEC_WINDOW) const uint WINDOW = 5;

layout(push_constant) uniform push_block { decode_args a; };

const uint SLICES = (MLP + UNITS - 1u) / UNITS;

layout(std430, set = 0, binding = 0) buffer state_block { decode_state states[]; };
layout(std430, set = 0, binding = 1) coherent volatile buffer sync_block { uint sync_words[]; };
// [streams][MAX_ROWS][D4]: the round's input, then x between attention and MLP
layout(std430, set = 0, binding = 2) coherent buffer x4_block { vec4 x4[]; };
layout(std430, set = 0, binding = 2) coherent buffer x_block { float x[]; };
// [layers][streams][KVH][CAPACITY][HEAD4]
layout(std430, set = 0, binding = 3) coherent buffer k_block { STORED4 k_cache[]; };
layout(std430, set = 0, binding = 4) coherent buffer v_block { STORED4 v_cache[]; };
// [streams][K][H][MAX_SPLITS + 1][HEAD4]
layout(std430, set = 0, binding = 5) coherent buffer sum_block { vec4 attn_sums[]; };
// [streams][K][H][MAX_SPLITS + 1] largest score, sum of weights
layout(std430, set = 0, binding = 6) coherent buffer softmax_block { vec2 softmax[]; };
// [streams][SLICES][K][D4]
layout(std430, set = 0, binding = 7) coherent buffer down4_block { vec4 down4[]; };
layout(std430, set = 0, binding = 7) coherent buffer down_block { float down[]; };
layout(std430, set = 0, binding = 8) readonly buffer weight_block { STORED4 weight[]; };
layout(std430, set = 0, binding = 9) readonly buffer rope_block { vec2 rope[]; };
// [streams][K*V + K]
layout(std430, set = 0, binding = 10) coherent buffer logits_block { float logits[]; };
layout(std430, set = 0, binding = 11) readonly buffer norm_block { vec4 norm[]; }; // TRACE: [D4]
layout(std430, set = 0, binding = 12) writeonly buffer hidden_block { vec4 hidden[]; }; // TRACE
layout(std430, set = 0, binding = 13) readonly buffer embed_block { float embed[]; }; // [V][D]
layout(std430, set = 0, binding = 14) buffer result_block { uint results[]; };
layout(std430, set = 0, binding = 15) writeonly buffer cells_block { uint cells[]; };
layout(std430, set = 0, binding = 16) writeonly buffer count_block { uint cell_counts[]; };
// [streams][HORIZON]
layout(std430, set = 0, binding = 17) writeonly buffer frames_block { uint frame_tokens[]; };
layout(std430, set = 0, binding = 18) readonly buffer forced_block { uint forced[]; };

#include "lib/rounds.glsl"

const uint Q_COLUMNS = HEADS * HEAD_DIM;
const uint KV_COLUMNS = KV_HEADS * HEAD_DIM;
const uint QKV_COLUMNS = Q_COLUMNS + 2u * KV_COLUMNS;
const uint LOGITS = ROUND * VOCAB + ROUND;
const uint WINDOWS = (ROUND + WINDOW - 1u) / WINDOW; // of rows that are worked on at once
const uint QUADS = (WINDOW + 3u) / 4u;
const uint CONTEXT4 = HEADS * HEAD4;
const uint PIECES = MAX_SPLITS + 1u; // of the keys at most: the round's own are one more
const uint UNITS4 = (UNITS + 3u) / 4u;
const uint OUT_TASKS = (WIDTH + OUT_COLUMNS - 1u) / OUT_COLUMNS;
const uint HEAD_TASKS = (LOGITS + HEAD_COLUMNS - 1u) / HEAD_COLUMNS;
const uint CHUNK = ATTN_KEYS;  // keys at once
const uint KS = HEAD4 + 1u;    // strides that spread rows over the banks
const uint SS = CHUNK + 1u;
const float MASKED = -3.0e38;  // no score is that low

// ---- shared memory ---------------------------------------------------------------------------

const uint AREA_Q = 0u, AREA_K = ROUND * HEAD4, AREA_V = 2u * ROUND * HEAD4; // attention
const uint AREA_ATTENTION = 3u * ROUND * HEAD4;
const uint AREA_CONTEXT = WINDOW * CONTEXT4;                                 // output
const uint AREA_MLP = WINDOW * UNITS4;
const uint AREA_MOST = AREA_CONTEXT > AREA_ATTENTION ? AREA_CONTEXT : AREA_ATTENTION;
const uint AREA = AREA_MOST > AREA_MLP ? AREA_MOST : AREA_MLP;
const uint PARTIAL = 2u * GROUP * QUADS > CHUNK * KS ? 2u * GROUP * QUADS : CHUNK * KS;

shared vec4 xs[ROUND * WIDTH4];
shared vec4 area[AREA];
shared vec4 partial[PARTIAL];  // sums over parts of the depth; a chunk of keys
shared float scores[WINDOW * SS];
shared float row_part[8u * ROUND];
shared float row_scale[ROUND];

uint row0; // of the window at work

// This workgroup's share of n pieces of work.
uvec2 share(uint n)
{
    return uvec2(wg * n / n_wg, (wg + 1u) * n / n_wg);
}

// ---- products --------------------------------------------------------------------------------
// GROUP / PARTS threads along the columns, two columns each (an input from shared memory is used
// twice), the others along the depth; weights lie as [k/4][column][4]. FETCH asks for them (`at`:
// index of (k4, col)), MULTIPLY leaves the sums of rows (`from`: four inputs of (row, k4)) in
// `partial`, total() adds their parts in a fixed order. `columns` is even.
#define ALONG(columns) ((columns) / 2u)
#define PARTS(columns) (GROUP / ALONG(columns))
#define STEPS(columns, depth4) (((depth4) + PARTS(columns) - 1u) / PARTS(columns))
#define WEIGHTS(columns, depth4) (2u * STEPS(columns, depth4))

// Always all of an array: what is not written on every way stays in registers through the rounds.
#define FORGET(ws)                                                                                \
    [[unroll]] for (uint i = 0u; i < ws.length(); i++) {                                          \
        ws[i] = STORED4(0);                                                                       \
    }

#define FETCH(ws, columns, depth4, at)                                                            \
    [[unroll]] for (uint step = 0u; step < WEIGHTS(columns, depth4); step++) {                    \
        uint k4 = min(t / ALONG(columns) + step / 2u * PARTS(columns), (depth4) - 1u);            \
        uint col = t % ALONG(columns) + step % 2u * ALONG(columns);                               \
        ws[step] = weight[at];                                                                    \
    }

#define MULTIPLY(ws, columns, depth4, n_rows, from)                                               \
    {                                                                                             \
        bool whole = (depth4) % PARTS(columns) == 0u && GROUP % ALONG(columns) == 0u;             \
        uint part = t / ALONG(columns), quads = ((n_rows) + 3u) / 4u;                             \
        vec4 acc[2u * (((n_rows) + 3u) / 4u)];                                                    \
        [[unroll]] for (uint q = 0u; q < 2u * (((n_rows) + 3u) / 4u); q++) {                      \
            acc[q] = vec4(0.0);                                                                   \
        }                                                                                         \
        [[unroll]] for (uint step = 0u; step < STEPS(columns, depth4); step++) {                  \
            uint k4 = part + step * PARTS(columns);                                               \
            if (whole || (part < PARTS(columns) && k4 < (depth4))) {                              \
                vec4 y = loaded(ws[2u * step]), z = loaded(ws[2u * step + 1u]);                   \
                [[unroll]] for (uint row = 0u; row < (n_rows); row++) {                           \
                    vec4 v = from;                                                                \
                    uint q = row / 4u * 2u;                                                       \
                    acc[q][row % 4u] += v.x * y.x + v.y * y.y + v.z * y.z + v.w * y.w;            \
                    acc[q + 1u][row % 4u] += v.x * z.x + v.y * z.y + v.z * z.z + v.w * z.w;       \
                }                                                                                 \
            }                                                                                     \
        }                                                                                         \
        if (whole || part < PARTS(columns)) {                                                     \
            [[unroll]] for (uint q = 0u; q < ((n_rows) + 3u) / 4u; q++) {                         \
                uint to = (part * quads + q) * (columns) + t % ALONG(columns);                    \
                partial[to] = acc[2u * q];                                                        \
                partial[to + ALONG(columns)] = acc[2u * q + 1u];                                  \
            }                                                                                     \
        }                                                                                         \
    }

vec4 total(uint parts, uint quads, uint columns, uint quad, uint col)
{
    vec4 sum = vec4(0.0);
    [[unroll]] for (uint g = 0u; g < parts; g++) {
        sum += partial[(g * quads + quad) * columns + col];
    }
    return sum;
}

// row_scale of RMSNorm for the rows in xs (barrier before).
void scale_rows()
{
    const uint parts = 8u;
    if (t < parts * ROUND) {
        float sum = 0.0;
        for (uint k = t % parts; k < WIDTH4; k += parts) {
            vec4 v = xs[t / parts * WIDTH4 + k];
            sum += dot(v, v);
        }
        row_part[t] = sum;
    }
    barrier();
    if (t < ROUND) {
        float sum = 0.0;
        [[unroll]] for (uint p = 0u; p < parts; p++) {
            sum += row_part[t * parts + p];
        }
        row_scale[t] = inversesqrt(sum / float(WIDTH) + RMS_EPS);
    }
}

// Row i of the window; the last one may be cut short.
uint window_row(uint i)
{
    return ROUND % WINDOW == 0u ? row0 + i : min(row0 + i, ROUND - 1u);
}

bool in_window(uint i)
{
    return i < WINDOW && (ROUND % WINDOW == 0u || row0 + i < ROUND);
}

// ---- attention -------------------------------------------------------------------------------

const uint ROW_GROUPS = GROUP / CHUNK;                       // threads that share a key's scores
const uint ROWS_EACH = (WINDOW + ROW_GROUPS - 1u) / ROW_GROUPS;
const uint SUM_ROWS = QUADS;                                 // rows of a thread in the sum: i*4+..
const uint KEY_PARTS = GROUP / (4u * HEAD4);                 // threads that share such a sum
const uint VALUES_EACH = (CHUNK + KEY_PARTS - 1u) / KEY_PARTS;
const uint KEYS_EACH = (CHUNK * HEAD4 + GROUP - 1u) / GROUP; // vec4 of keys that a thread fetches

STORED4 w_q[WEIGHTS(HEAD_DIM, WIDTH4)];
STORED4 w_kv[WEIGHTS(2u * HEAD_DIM, WIDTH4)];
STORED4 next_keys[KEYS_EACH], next_values[VALUES_EACH];

uint pieces, piece_keys, cached; // of the coming attention

// The keys before this round in pieces, the round's own one more.
void cut_keys()
{
    cached = min(position - first, CAPACITY - ROUND);
    uint splits = key_splits(cached, a.max_splits);
    piece_keys = keys_a_split(cached, splits);
    pieces = splits + 1u;
}

uint kv_head(uint head)
{
    return head / (HEADS / KV_HEADS);
}

uint cache_at(uint layer, uint head)
{
    return layer * a.cache_stride + (stream * KV_HEADS + kv_head(head)) * CAPACITY * HEAD4;
}

void fetch_chunk(uint cache0, uint key0, uint key_end)
{
    [[unroll]] for (uint j = 0u; j < KEYS_EACH; j++) {
        uint i = t + j * GROUP, key = min(key0 + i / HEAD4, key_end - 1u);
        next_keys[j] = k_cache[cache0 + (first + key) % CAPACITY * HEAD4 + i % HEAD4];
    }
    [[unroll]] for (uint j = 0u; j < VALUES_EACH; j++) {
        uint key = min(key0 + t / (4u * HEAD4) + j * KEY_PARTS, key_end - 1u);
        next_values[j] = v_cache[cache0 + (first + key) % CAPACITY * HEAD4 + t % HEAD4];
    }
}

void fetch_attention(uint layer, uint task, bool with_q)
{
    uint head = task / pieces / WINDOWS, piece = task % pieces, kv = kv_head(head);
    uint w0 = a.at_qkv + layer * a.layer_stride;
    if (with_q) {
        FETCH(w_q, HEAD_DIM, WIDTH4, w0 + k4 * QKV_COLUMNS + head * HEAD_DIM + col)
    } else {
        FORGET(w_q)
    }
    if (piece + 1u == pieces) {
        uint k0 = Q_COLUMNS + kv * HEAD_DIM, v0 = k0 + KV_COLUMNS - HEAD_DIM;
        FETCH(w_kv, 2u * HEAD_DIM, WIDTH4,
              w0 + k4 * QKV_COLUMNS + (col < HEAD_DIM ? k0 : v0) + col)
        FORGET(next_keys)
        FORGET(next_values)
    } else {
        FORGET(w_kv)
        fetch_chunk(cache_at(layer, head), piece * piece_keys, max(cached, 1u));
    }
}

void prepare_attention(uint layer)
{
    uint n = HEADS * WINDOWS * pieces;
    fetch_attention(layer, min(share(n).x, n - 1u), true);
}

// Two neighbours of a padded head in the area.
void put_pair(uint at, uint row, uint pair, vec2 v)
{
    if (pair % 2u == 0u) {
        area[at + row * HEAD4 + pair / 2u].xy = v;
    } else {
        area[at + row * HEAD4 + pair / 2u].zw = v;
    }
}

// Columns col and col + 1 of a product of the window, scaled and, for q and k, turned (RoPE).
void put_pairs(uint parts, uint columns, uint col0, uint at, bool turn, float scale, bool round_off)
{
    for (uint u = t; u < QUADS * 2u * HEAD4; u += GROUP) {
        uint quad = u / (2u * HEAD4), pair = u % (2u * HEAD4);
        bool exists = pair < HEAD_DIM / 2u; // else a pad
        uint col = col0 + (exists ? 2u * pair : 0u);
        vec4 even = total(parts, QUADS, columns, quad, col);
        vec4 odd = total(parts, QUADS, columns, quad, col + 1u);
        [[unroll]] for (uint i = 0u; i < 4u; i++) {
            uint row = row0 + 4u * quad + i;
            if (in_window(4u * quad + i)) {
                vec2 v = vec2(even[i], odd[i]) * (row_scale[row] * scale);
                vec2 r = rope_rows[row * (HEAD_DIM / 2u) + (exists ? pair : 0u)];
                v = turn ? vec2(v.x * r.x - v.y * r.y, v.y * r.x + v.x * r.y) : v;
                v = round_off ? loaded(stored(vec4(v, v))).xy : v;
                put_pair(at, row, pair, exists ? v : vec2(0.0));
            }
        }
    }
}

void make_queries()
{
    MULTIPLY(w_q, HEAD_DIM, WIDTH4, WINDOW, xs[window_row(row) * WIDTH4 + k4])
    barrier();
    put_pairs(PARTS(HEAD_DIM), HEAD_DIM, 0u, AREA_Q, true, inversesqrt(float(HEAD_DIM)), false);
    barrier();
}

// Keys and values of the round up to this window, as the cache will hold them; behind the last
// window one head of a group leaves them there.
void make_keys(uint layer, uint head)
{
    const uint columns = 2u * HEAD_DIM;
    uint window0 = row0;
    for (row0 = 0u; row0 <= window0; row0 += WINDOW) {
        MULTIPLY(w_kv, columns, WIDTH4, WINDOW, xs[window_row(row) * WIDTH4 + k4])
        barrier();
        put_pairs(PARTS(columns), columns, 0u, AREA_K, true, 1.0, true);
        put_pairs(PARTS(columns), columns, HEAD_DIM, AREA_V, false, 1.0, true);
        barrier();
    }
    row0 = window0;
    if (row0 + WINDOW >= ROUND && head % (HEADS / KV_HEADS) == 0u) {
        for (uint i = t; i < ROUND * HEAD4; i += GROUP) {
            uint to = cache_at(layer, head) + (position + i / HEAD4) % CAPACITY * HEAD4 + i % HEAD4;
            k_cache[to] = stored(area[AREA_K + i]);
            v_cache[to] = stored(area[AREA_V + i]);
        }
    }
}

// exp(s - largest), nothing for masked scores.
float soft(float s, float largest)
{
    return s > 0.5 * MASKED ? exp(s - largest) : 0.0;
}

// softmax(q k) v of the window over keys [key0, key_end) of the cache, or over its own keys.
void attend(uint layer, uint head, uint piece, bool own_keys)
{
    const uint parts = 8u;
    uint srow = t / parts, spart = t % parts;                           // role in the softmax
    uint dim = t % HEAD4, quarter = t / HEAD4 % 4u, keys = t / (4u * HEAD4); // role in the sum
    uint key_begin = own_keys ? 0u : piece * piece_keys;
    uint key_end = own_keys ? min(row0 + WINDOW, ROUND) : min(key_begin + piece_keys, cached);
    float largest = MASKED, weight_sum = 0.0;
    vec4 acc[SUM_ROWS];
    [[unroll]] for (uint i = 0u; i < SUM_ROWS; i++) {
        acc[i] = vec4(0.0);
    }
    for (uint key0 = key_begin; key0 < key_end; key0 += CHUNK) {
        vec4 value[VALUES_EACH];
        [[unroll]] for (uint j = 0u; j < KEYS_EACH; j++) {
            uint i = t + j * GROUP;
            if (i < CHUNK * HEAD4) {
                uint own = min(key0 * HEAD4 + i, ROUND * HEAD4 - 1u);
                partial[i / HEAD4 * KS + i % HEAD4] = own_keys ? area[AREA_K + own]
                                                               : loaded(next_keys[j]);
            }
        }
        [[unroll]] for (uint j = 0u; j < VALUES_EACH; j++) {
            uint own = min(key0 + keys + j * KEY_PARTS, ROUND - 1u);
            value[j] = own_keys ? area[AREA_V + own * HEAD4 + dim] : loaded(next_values[j]);
        }
        barrier();
        if (!own_keys && key0 + CHUNK < key_end) {
            fetch_chunk(cache_at(layer, head), key0 + CHUNK, key_end);
        }
        if (t < ROW_GROUPS * CHUNK) {
            uint key = t % CHUNK;
            vec4 k[HEAD4];
            [[unroll]] for (uint d = 0u; d < HEAD4; d++) {
                k[d] = partial[key * KS + d];
            }
            [[unroll]] for (uint i = 0u; i < ROWS_EACH; i++) {
                uint row = t / CHUNK + i * ROW_GROUPS;
                if (row < WINDOW) {
                    vec4 s = vec4(0.0);
                    [[unroll]] for (uint d = 0u; d < HEAD4; d++) {
                        s += area[AREA_Q + window_row(row) * HEAD4 + d] * k[d];
                    }
                    bool seen = key0 + key < (own_keys ? row0 + row + 1u : key_end);
                    scores[row * SS + key] = seen ? (s.x + s.y) + (s.z + s.w) : MASKED;
                }
            }
        }
        barrier();
        if (srow < WINDOW) {
            float top = MASKED;
            for (uint j = spart; j < CHUNK; j += parts) {
                top = max(top, scores[srow * SS + j]);
            }
            row_part[t] = top;
        }
        barrier();
        if (srow < WINDOW) {
            float before = largest;
            [[unroll]] for (uint p = 0u; p < parts; p++) {
                largest = max(largest, row_part[srow * parts + p]);
            }
            float shrink = exp(before - largest);
            float sum = 0.0;
            for (uint j = spart; j < CHUNK; j += parts) {
                float w = soft(scores[srow * SS + j], largest);
                scores[srow * SS + j] = w;
                sum += w;
            }
            weight_sum = weight_sum * shrink + sum;
            if (spart == 0u) {
                scores[srow * SS + CHUNK] = shrink; // the stride's spare place
            }
        }
        barrier();
        if (keys < KEY_PARTS) {
            [[unroll]] for (uint i = 0u; i < SUM_ROWS; i++) {
                uint row = min(4u * i + quarter, WINDOW - 1u);
                acc[i] *= scores[row * SS + CHUNK];
                [[unroll]] for (uint j = 0u; j < VALUES_EACH; j++) {
                    uint key = keys + j * KEY_PARTS;
                    if (CHUNK % KEY_PARTS == 0u || key < CHUNK) {
                        acc[i] += scores[row * SS + key] * value[j];
                    }
                }
            }
        }
        barrier();
    }
    if (keys < KEY_PARTS) {
        [[unroll]] for (uint i = 0u; i < SUM_ROWS; i++) {
            partial[(keys * SUM_ROWS * 4u + 4u * i + quarter) * HEAD4 + dim] = acc[i];
        }
    }
    if (srow < WINDOW) {
        row_part[t] = weight_sum;
    }
    barrier();
    uint out0 = ((stream * ROUND + row0) * HEADS + head) * PIECES + piece;
    uint n_rows = min(WINDOW, ROUND - row0);
    for (uint i = t; i < n_rows * HEAD4; i += GROUP) {
        vec4 sum = vec4(0.0);
        [[unroll]] for (uint g = 0u; g < KEY_PARTS; g++) {
            sum += partial[g * SUM_ROWS * 4u * HEAD4 + i];
        }
        attn_sums[(out0 + i / HEAD4 * HEADS * PIECES) * HEAD4 + i % HEAD4] = sum;
    }
    if (srow < n_rows && spart == 0u) {
        float sum = 0.0;
        [[unroll]] for (uint p = 0u; p < parts; p++) {
            sum += row_part[srow * parts + p];
        }
        softmax[out0 + srow * HEADS * PIECES] = vec2(largest, sum);
    }
    barrier();
}

void attention(uint layer)
{
    uvec2 own = share(HEADS * WINDOWS * pieces);
    scale_rows();
    barrier();
    for (uint task = own.x; task < own.y; task++) {
        uint head = task / pieces / WINDOWS, piece = task % pieces;
        bool with_q = task == own.x || piece == 0u; // else they are there
        bool own_keys = piece + 1u == pieces;
        row0 = task / pieces % WINDOWS * WINDOW;
        if (task != own.x) {
            fetch_attention(layer, task, with_q);
        }
        if (with_q) {
            make_queries();
        }
        if (own_keys) {
            make_keys(layer, head);
        }
        attend(layer, head, piece, own_keys);
    }
}

// ---- output projection -----------------------------------------------------------------------

STORED4 w_out[WEIGHTS(OUT_COLUMNS, CONTEXT4)];

void fetch_out(uint layer, uint task)
{
    uint w0 = a.at_attn_out + layer * a.layer_stride, col0 = task % OUT_TASKS * OUT_COLUMNS;
    FETCH(w_out, OUT_COLUMNS, CONTEXT4, w0 + k4 * WIDTH + min(col0 + col, WIDTH - 1u))
}

void prepare_out(uint layer)
{
    fetch_out(layer, min(share(OUT_TASKS * WINDOWS).x, OUT_TASKS * WINDOWS - 1u));
}

// Pieces of the window's attention together: area [WINDOW][H][HEAD4]. Asked for eight at a time.
void put_together()
{
    const uint batch = 8u;
    uint n_rows = min(WINDOW, ROUND - row0);
    for (uint i = t; i < n_rows * CONTEXT4; i += GROUP) {
        uint at = ((stream * ROUND + row0) * HEADS + i / HEAD4) * PIECES, d = i % HEAD4;
        vec4 sum = vec4(0.0);
        float largest = MASKED, weight_sum = 0.0;
        for (uint p0 = 0u; p0 < pieces; p0 += batch) {
            vec4 part[batch];
            vec2 score[batch];
            [[unroll]] for (uint p = 0u; p < batch; p++) {
                uint from = at + min(p0 + p, pieces - 1u);
                part[p] = attn_sums[from * HEAD4 + d];
                score[p] = softmax[from];
            }
            float before = largest;
            [[unroll]] for (uint p = 0u; p < batch; p++) {
                largest = max(largest, score[p].x);
            }
            float shrink = exp(before - largest);
            sum *= shrink;
            weight_sum *= shrink;
            [[unroll]] for (uint p = 0u; p < batch; p++) {
                float w = p0 + p < pieces ? exp(score[p].x - largest) : 0.0;
                sum += w * part[p];
                weight_sum += w * score[p].y;
            }
        }
        area[i] = sum / weight_sum;
    }
}

void attn_out(uint layer)
{
    uvec2 own = share(OUT_TASKS * WINDOWS);
    for (uint task = own.x; task < own.y; task++) {
        row0 = task / OUT_TASKS * WINDOW;
        if (task != own.x) {
            fetch_out(layer, task);
            barrier();
        }
        if (task == own.x || task % OUT_TASKS == 0u) {
            put_together();
            barrier();
        }
        MULTIPLY(w_out, OUT_COLUMNS, CONTEXT4, WINDOW, area[row * CONTEXT4 + k4])
        barrier();
        for (uint u = t; u < QUADS * OUT_COLUMNS; u += GROUP) {
            uint quad = u / OUT_COLUMNS, col = task % OUT_TASKS * OUT_COLUMNS + u % OUT_COLUMNS;
            vec4 sum = total(PARTS(OUT_COLUMNS), QUADS, OUT_COLUMNS, quad, u % OUT_COLUMNS);
            [[unroll]] for (uint i = 0u; i < 4u; i++) {
                uint row = row0 + 4u * quad + i;
                if (in_window(4u * quad + i) && col < WIDTH) {
                    x[(stream * MAX_ROWS + row) * (4u * WIDTH4) + col] =
                        xs[row * WIDTH4 + col / 4u][col % 4u] + sum[i];
                }
            }
        }
    }
}

// ---- MLP -------------------------------------------------------------------------------------

const uint DOWN_PASSES = (WIDTH + GROUP - 1u) / GROUP;

STORED4 w_in[WEIGHTS(2u * UNITS, WIDTH4)];
STORED4 w_down[DOWN_PASSES * UNITS4];

void fetch_mlp(uint layer, uint task)
{
    uint w0 = a.at_mlp_in + layer * a.layer_stride, col0 = 2u * task * UNITS;
    FETCH(w_in, 2u * UNITS, WIDTH4, w0 + k4 * (2u * MLP) + min(col0 + col, 2u * MLP - 1u))
    w0 = a.at_mlp_out + layer * a.layer_stride;
    [[unroll]] for (uint p = 0u; p < DOWN_PASSES; p++) {
        [[unroll]] for (uint j = 0u; j < UNITS4; j++) {
            uint k4 = min(task * UNITS4 + j, MLP4 - 1u), col = min(t + p * GROUP, WIDTH - 1u);
            w_down[p * UNITS4 + j] = weight[w0 + k4 * WIDTH + col];
        }
    }
}

void prepare_mlp(uint layer)
{
    fetch_mlp(layer, min(share(SLICES * WINDOWS).x / WINDOWS, SLICES - 1u));
}

void load_x()
{
    for (uint i = t; i < ROUND * WIDTH4; i += GROUP) {
        xs[i] = x4[stream * MAX_ROWS * WIDTH4 + i];
    }
    barrier();
}

void mlp(uint layer)
{
    uvec2 own = share(SLICES * WINDOWS);
    load_x(); // all do: it is what the next layer's sums are added to
    if (own.x < own.y) {
        scale_rows();
    }
    for (uint task = own.x; task < own.y; task++) {
        const uint columns = 2u * UNITS;
        uint slice = task / WINDOWS;
        row0 = task % WINDOWS * WINDOW;
        if (task != own.x && row0 == 0u) {
            fetch_mlp(layer, slice);
        }
        MULTIPLY(w_in, columns, WIDTH4, WINDOW, xs[window_row(row) * WIDTH4 + k4])
        barrier();
        for (uint u = t; u < QUADS * UNITS; u += GROUP) {
            uint quad = u / UNITS, unit = u % UNITS;
            vec4 gates = total(PARTS(columns), QUADS, columns, quad, 2u * unit);
            vec4 ups = total(PARTS(columns), QUADS, columns, quad, 2u * unit + 1u);
            bool exists = slice * UNITS + unit < MLP;
            [[unroll]] for (uint i = 0u; i < 4u; i++) {
                uint row = 4u * quad + i;
                if (in_window(row)) {
                    float scale = row_scale[row0 + row];
                    float gate = gates[i] * scale, up = ups[i] * scale;
                    area[row * UNITS4 + unit / 4u][unit % 4u] =
                        exists ? gate / (1.0 + exp(-gate)) * up : 0.0;
                }
            }
        }
        barrier();
        [[unroll]] for (uint p = 0u; p < DOWN_PASSES; p++) {
            float acc[WINDOW];
            [[unroll]] for (uint row = 0u; row < WINDOW; row++) {
                acc[row] = 0.0;
            }
            uint col = t + p * GROUP;
            if (col < WIDTH) {
                [[unroll]] for (uint j = 0u; j < UNITS4; j++) {
                    vec4 y = loaded(w_down[p * UNITS4 + j]);
                    [[unroll]] for (uint row = 0u; row < WINDOW; row++) {
                        vec4 v = area[row * UNITS4 + j];
                        acc[row] += v.x * y.x + v.y * y.y + v.z * y.z + v.w * y.w;
                    }
                }
                uint to = (stream * SLICES + slice) * ROUND + row0;
                [[unroll]] for (uint row = 0u; row < WINDOW; row++) {
                    if (in_window(row)) {
                        down[(to + row) * (4u * WIDTH4) + col] = acc[row];
                    }
                }
            }
        }
        barrier();
    }
}

// xs += what the MLP's slices have left.
void add_mlp()
{
    for (uint i = t; i < ROUND * WIDTH4; i += GROUP) {
        vec4 part[SLICES];
        [[unroll]] for (uint s = 0u; s < SLICES; s++) {
            part[s] = down4[(stream * SLICES + s) * ROUND * WIDTH4 + i];
        }
        vec4 sum = xs[i];
        [[unroll]] for (uint s = 0u; s < SLICES; s++) {
            sum += part[s];
        }
        xs[i] = sum;
    }
    barrier();
}

// ---- heads -----------------------------------------------------------------------------------

STORED4 w_heads[WEIGHTS(HEAD_COLUMNS, WIDTH4)];

void fetch_heads(uint task)
{
    FETCH(w_heads, HEAD_COLUMNS, WIDTH4,
          a.at_heads + k4 * LOGITS + min(task * HEAD_COLUMNS + col, LOGITS - 1u))
}

void prepare_heads()
{
    fetch_heads(min(share(HEAD_TASKS).x, HEAD_TASKS - 1u));
}

uint logits_at(uint round)
{
    return round * a.logits_stride + stream * LOGITS;
}

void heads(uint round)
{
    uvec2 own = share(HEAD_TASKS);
    scale_rows();
    barrier();
    float scale = row_scale[ROUND - 1u];
    for (uint task = own.x; task < own.y; task++) {
        if (task != own.x) {
            fetch_heads(task);
            barrier();
        }
        MULTIPLY(w_heads, HEAD_COLUMNS, WIDTH4, 1u, xs[(ROUND - 1u) * WIDTH4 + k4])
        barrier();
        for (uint u = t; u < HEAD_COLUMNS; u += GROUP) {
            uint col = task * HEAD_COLUMNS + u;
            if (col < LOGITS) {
                logits[logits_at(round) + col] =
                    total(PARTS(HEAD_COLUMNS), 1u, HEAD_COLUMNS, 0u, u).x * scale;
            }
        }
    }
    if (TRACE != 0u && wg == 0u) {
        for (uint k4 = t; k4 < WIDTH4; k4 += GROUP) {
            hidden[round * a.hidden_stride + stream * WIDTH4 + k4] =
                xs[(ROUND - 1u) * WIDTH4 + k4] * scale * norm[k4];
        }
    }
}

// ---- rounds ----------------------------------------------------------------------------------

// The ids just chosen are the next round's input.
void embed_ids()
{
    for (uint i = t; i < ROUND * WIDTH4; i += GROUP) {
        uint row = min(i / WIDTH4, max(n_fed, 1u) - 1u), c = i % WIDTH4 * 4u;
        xs[i] = vec4(embedding(row, c), embedding(row, c + 1u), embedding(row, c + 2u),
                     embedding(row, c + 3u));
    }
    barrier();
}

// False: somebody has waited in vain.
bool forward(uint round)
{
    for (uint layer = 0u; layer < a.layers; layer++) {
        attention(layer);
        meet_arrive();
        prepare_out(layer);
        meet_wait();
        attn_out(layer);
        meet_arrive();
        prepare_mlp(layer);
        meet_wait();
        mlp(layer);
        meet_arrive();
        if (layer + 1u < a.layers) {
            prepare_attention(layer + 1u);
        } else {
            prepare_heads();
        }
        meet_wait();
        add_mlp();
    }
    heads(round);
    meet_arrive();
    meet_wait();
    return !meet_lost();
}

void main()
{
    if (!begin_rounds()) {
        return; // it ended with the prefill
    }
    cut_keys();
    prepare_attention(0u);
    load_x();
    bool ended = false;
    uint n_pending = 0u;
    for (uint round = a.first_round; round < a.end_round && !ended; round++) {
        ended = !forward(round);
        n_pending = 0u;
        if (!ended) {
            ended = select_ids(round, logits_at(round));
            n_pending = n_fed;
            cut_keys();
            prepare_attention(0u);
            embed_ids();
        }
    }
    if (wg == 0u) {
        leave(ended, n_pending);
    }
}
