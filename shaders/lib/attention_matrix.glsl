// attention.comp by matrix units: scores are products of rows of queries and keys, sums products of
// rows of weights and values, 16 x 16 x 16 at a time (lib/matrix.glsl). Keys and values stay as they
// lie; queries and softmax weights are rounded to halves, all sums are float32.
//
// A subgroup has one tile of the sums, 16 rows x 16 dims, over a share of the keys, for good; tiles
// of scores are dealt out. While one tile of keys is put to use, the next ones are on their way.
const uint ROW_TILES = ATTN_ROWS / 16u;
const uint HEAD16 = (HEAD_DIM + 15u) / 16u;
const uint HEAD_FOURS = 4u * HEAD16;  // a head, padded to whole tiles
const uint QUADS = ATTN_KEYS / 4u;
const uint WARPS = GROUP / 32u;
const uint SUM_TILES = ROW_TILES * HEAD16;
const uint KEY_SHARES = WARPS / SUM_TILES;
// invocations that share a row of scores: a power of two, so that they are of one subgroup
const uint PARTS = GROUP / ATTN_ROWS >= 32u ? 32u : GROUP / ATTN_ROWS >= 16u ? 16u
                   : GROUP / ATTN_ROWS >= 8u ? 8u : GROUP / ATTN_ROWS >= 4u ? 4u : 2u;
const uint OWN_QUADS = (QUADS + PARTS - 1u) / PARTS;
const uint FETCHED = (ATTN_KEYS * HEAD_FOURS + GROUP - 1u) / GROUP;

// Shared memory; strides that spread rows over the banks.
const uint HS = HEAD_FOURS + 2u;      // queries, keys, values
const uint WS = QUADS + 2u;           // softmax weights
const uint KEYS_AT = ATTN_ROWS * HS;
const uint VALUES_AT = KEYS_AT + ATTN_KEYS * HS;
const uint WEIGHTS_AT = VALUES_AT + ATTN_KEYS * HS;
const uint GS = 16u + 4u;             // how the sums grow, a row repeated 16 times
const uint SS = ATTN_KEYS + 4u;       // scores; at the end sums [KEY_SHARES][rows][DS]
const uint DS = 4u * HEAD_FOURS + 4u;
const uint SCORES_AT = ATTN_ROWS * GS;
const uint SCORE_POOL = ATTN_ROWS * SS;
const uint SUM_POOL = KEY_SHARES * ATTN_ROWS * DS;

shared uvec2 tile_halves[WEIGHTS_AT + ATTN_ROWS * WS];
shared float tile_sums[SCORES_AT + (SCORE_POOL > SUM_POOL ? SCORE_POOL : SUM_POOL)];

#include "lib/matrix.glsl"

uvec2 next_keys[FETCHED], next_values[FETCHED];

// Largest value, or sum, of the invocations that share a row; every invocation calls them.
#ifdef EMULATED
shared float row_values[GROUP];

float row_reduce(float value, bool add)
{
    uint t = gl_LocalInvocationIndex;
    barrier(); // an earlier one may still be read
    row_values[t] = value;
    barrier();
    uint first = t - t % PARTS;
    float all_values = row_values[first];
    for (uint p = 1u; p < PARTS && first + p < GROUP; p++) {
        float v = row_values[first + p];
        all_values = add ? all_values + v : max(all_values, v);
    }
    return all_values;
}
#else
float row_reduce(float value, bool add)
{
    [[unroll]] for (uint n = 1u; n < PARTS; n *= 2u) {
        float v = subgroupShuffleXor(value, n);
        value = add ? value + v : max(value, v);
    }
    return value;
}
#endif

void load_queries()
{
    float scale = inversesqrt(float(HEAD_DIM));
    for (uint i = gl_LocalInvocationIndex; i < ATTN_ROWS * HEAD_FOURS; i += GROUP) {
        uint row = i / HEAD_FOURS, d = i % HEAD_FOURS;
        uint at = ((stream * MAX_ROWS + row0 + row) * HEADS + head) * HEAD4 + d;
        bool there = row < n_rows && d < HEAD4;
        tile_halves[row * HS + d] = half4(there ? q_in[at] * scale : vec4(0.0));
    }
}

// Asks for a tile of keys or values, zeros behind the end ...
#define FETCH(to, from, key0)                                                                      \
    [[unroll]] for (uint j = 0u; j < FETCHED; j++) {                                               \
        uint i = gl_LocalInvocationIndex + j * GROUP, key = (key0) + i / HEAD_FOURS;               \
        uint d = i % HEAD_FOURS;                                                                   \
        bool there = i < ATTN_KEYS * HEAD_FOURS && key < key_end && d < HEAD4;                     \
        to[j] = there ? from[(base + (ring_first + key) % CAPACITY) * HEAD4 + d] : uvec2(0);       \
    }

// ... and puts it into shared memory.
#define STORE(from, to)                                                                            \
    [[unroll]] for (uint j = 0u; j < FETCHED; j++) {                                               \
        uint i = gl_LocalInvocationIndex + j * GROUP;                                              \
        if (i < ATTN_KEYS * HEAD_FOURS) {                                                          \
            tile_halves[to + i / HEAD_FOURS * HS + i % HEAD_FOURS] = from[j];                      \
        }                                                                                          \
    }

// Tiles of 16 keys from key0 on that some row may see.
uint key_tiles(uint key0)
{
    return (min(key_end - key0, ATTN_KEYS) + 15u) / 16u;
}

void compute_scores(uint key0)
{
    uint n = ROW_TILES * key_tiles(key0);
    for (uint u = mma_warp(); u < n; u += WARPS) {
        uint rows = u % ROW_TILES * 16u, keys = u / ROW_TILES * 16u;
        mma_sum s = mma_zero();
        [[unroll]] for (uint d = 0u; d < HEAD16; d++) {
            s = mma_add(mma_rows(rows * HS + 4u * d, HS),
                        mma_columns(KEYS_AT + keys * HS + 4u * d, HS), s);
        }
        mma_put(s, SCORES_AT + rows * SS + keys, SS);
    }
}

void main()
{
    if (!choose_piece()) {
        return;
    }
    uint t = gl_LocalInvocationIndex;
    uint base = (stream * KV_HEADS + head / (HEADS / KV_HEADS)) * CAPACITY;
    uint row = t / PARTS, part = t % PARTS; // role in the softmax
    bool in_softmax = row < ATTN_ROWS;
    uint sum_tile = mma_warp() % SUM_TILES, share = mma_warp() / SUM_TILES; // role in the sums
    uint rows = sum_tile / HEAD16 * 16u, dims = sum_tile % HEAD16 * 16u;
    float largest = MASKED, weight_sum = 0.0;
    mma_sum acc = mma_zero();
    FETCH(next_keys, k_in, key_begin)
    FETCH(next_values, v_in, key_begin)
    load_queries();
    STORE(next_keys, KEYS_AT)
    barrier();
    if (key_begin < key_end) {
        FETCH(next_keys, k_in, key_begin + ATTN_KEYS)
        compute_scores(key_begin);
    }
    barrier();
    for (uint key0 = key_begin; key0 < key_end; key0 += ATTN_KEYS) {
        vec4 w[OWN_QUADS];
        uint seen = min(key_end, visible0 + row);
        vec4 top = vec4(MASKED);
        [[unroll]] for (uint j = 0u; j < OWN_QUADS; j++) {
            uint quad = part + j * PARTS, at = SCORES_AT + row * SS + 4u * quad;
            uvec4 key = uvec4(key0 + 4u * quad) + uvec4(0u, 1u, 2u, 3u);
            w[j] = vec4(MASKED);
            if (in_softmax && quad < QUADS && key.x < seen) {
                w[j] = vec4(tile_sums[at], tile_sums[at + 1u], tile_sums[at + 2u],
                            tile_sums[at + 3u]);
                w[j] = mix(vec4(MASKED), w[j], lessThan(key, uvec4(seen)));
            }
            top = max(top, w[j]);
        }
        float before = largest;
        largest = max(before, row_reduce(max(max(top.x, top.y), max(top.z, top.w)), false));
        weight_sum *= exp(before - largest);
        [[unroll]] for (uint j = 0u; j < OWN_QUADS; j++) {
            uint quad = part + j * PARTS;
            uvec2 h = stored(weights(w[j], largest));
            weight_sum += dot(loaded(h), vec4(1.0)); // of what the values will be multiplied by
            if (in_softmax && quad < QUADS) {
                tile_halves[WEIGHTS_AT + row * WS + quad] = h;
            }
        }
        if (in_softmax) {
            float growth = exp(largest - before);
            for (uint i = part; i < 16u; i += PARTS) {
                tile_sums[row * GS + i] = growth;
            }
        }
        STORE(next_values, VALUES_AT)
        STORE(next_keys, KEYS_AT)
        barrier();
        FETCH(next_values, v_in, key0 + ATTN_KEYS)
        FETCH(next_keys, k_in, key0 + 2u * ATTN_KEYS)
        if (key0 != key_begin) {
            acc = mma_divide(acc, rows * GS, GS);
        }
        for (uint k = share, n = key_tiles(key0); k < n; k += KEY_SHARES) {
            acc = mma_add(mma_rows(WEIGHTS_AT + rows * WS + 4u * k, WS),
                          mma_matrix(VALUES_AT + 16u * k * HS + dims / 4u, HS), acc);
        }
        if (key0 + ATTN_KEYS < key_end) {
            compute_scores(key0 + ATTN_KEYS);
            barrier();
        }
    }
    weight_sum = row_reduce(weight_sum, true);
    mma_put(acc, SCORES_AT + (share * ATTN_ROWS + rows) * DS + dims, DS);
    barrier();
    uint out0 = ((stream * MAX_ROWS + row0) * HEADS + head) * MAX_SPLITS + piece;
    for (uint i = t; i < n_rows * HEAD4; i += GROUP) {
        vec4 sum = vec4(0.0);
        for (uint g = 0u; g < KEY_SHARES; g++) {
            uint at = SCORES_AT + (g * ATTN_ROWS + i / HEAD4) * DS + 4u * (i % HEAD4);
            sum += vec4(tile_sums[at], tile_sums[at + 1u], tile_sums[at + 2u], tile_sums[at + 3u]);
        }
        sum_out[(out0 + i / HEAD4 * HEADS * MAX_SPLITS) * HEAD4 + i % HEAD4] = sum;
    }
    if (row < n_rows && part == 0u) {
        weight_out[out0 + row * HEADS * MAX_SPLITS] = vec2(largest, weight_sum);
    }
}
