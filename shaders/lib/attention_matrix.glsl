// attention.comp by matrix units: scores are products of rows of queries and keys, sums products of
// rows of weights and values, 16 x 16 x 16 at a time (lib/matrix.glsl). Keys and values stay as
// they lie; queries and softmax weights are rounded to halves, all sums are float32.
//
// A subgroup has up to two tiles of rows and, of a stage of keys, the tile that is its share:
// scores become weights where the product leaves them, without shared memory. While one stage is
// put to use, the next one is on its way. At the end the shares are put together.
const uint HEAD16 = (HEAD_DIM + 15u) / 16u;
const uint HEAD_EIGHTS = 2u * HEAD16; // a head, padded to whole tiles
const uint WARPS = GROUP / 32u;
const uint OWN_ROWS16 = ATTN_ROWS % 32u == 0u && HEAD16 <= 2u ? 2u : 1u; // tiles of a subgroup
const uint OWN_ROWS = 16u * OWN_ROWS16;
const uint ROW_GROUPS = ATTN_ROWS / OWN_ROWS;
const uint SHARES = WARPS / ROW_GROUPS; // ATTN_KEYS / 16
const uint STAGED = ATTN_KEYS * HEAD_EIGHTS;
const uint FETCHED = (STAGED + GROUP - 1u) / GROUP;
const float FLOOR = 0.5 * MASKED;    // no score is that low, and what is masked lies below it

// Shared memory in eights of halves or fours of floats; strides that spread rows over the banks.
const uint HS = HEAD_EIGHTS + 1u;    // queries, keys, values
const uint SS = 4u * HEAD16 + 2u;    // sums
const uint STAGE = 2u * ATTN_KEYS * HS;
const uint KEYS_AT = ATTN_ROWS * HS; // two stages of keys, then values
const uint STAGES_END = KEYS_AT + 2u * STAGE;
const uint SUMS_END = SHARES * ATTN_ROWS * SS;
const uint SCRATCH_AT = STAGES_END > SUMS_END ? STAGES_END : SUMS_END; // EMULATED

#ifdef EMULATED
shared uvec4 tile[SCRATCH_AT + WARPS * OWN_ROWS16 * 48u];
#else
shared uvec4 tile[SCRATCH_AT];
#endif
shared vec2 row_states[SHARES * ATTN_ROWS]; // largest score, sum of weights of a share
#define MMA_TILE
#include "lib/matrix.glsl"

uint warp, lane;

// Largest value, or sum, of the four invocations that share a row; every invocation calls them.
#ifdef EMULATED
shared float row_values[GROUP];

float row_reduce(float value, bool add)
{
    uint t = gl_LocalInvocationIndex, first = t - t % 4u;
    barrier(); // an earlier one may still be read
    row_values[t] = value;
    barrier();
    vec4 v = vec4(row_values[first], row_values[first + 1u], row_values[first + 2u],
                  row_values[first + 3u]);
    return add ? v.x + v.y + v.z + v.w : max(max(v.x, v.y), max(v.z, v.w));
}
#else
float row_reduce(float value, bool add)
{
    [[unroll]] for (uint n = 1u; n < 4u; n *= 2u) {
        float v = subgroupShuffleXor(value, n);
        value = add ? value + v : max(value, v);
    }
    return value;
}
#endif

// Scores are counted in powers of two.
void load_queries()
{
    const uint each = (ATTN_ROWS * HEAD_EIGHTS + GROUP - 1u) / GROUP;
    const float scale = inversesqrt(float(HEAD_DIM)) * 1.44269504;
    [[unroll]] for (uint j = 0u; j < each; j++) {
        uint i = gl_LocalInvocationIndex + j * GROUP;
        uint row = i / HEAD_EIGHTS, d = i % HEAD_EIGHTS * 2u;
        uint at = ((stream * MAX_ROWS + row0 + row) * HEADS + head) * HEAD4 + d;
        vec4 left = row < n_rows && d < HEAD4 ? q_in[at] * scale : vec4(0.0);
        vec4 right = row < n_rows && d + 1u < HEAD4 ? q_in[at + 1u] * scale : vec4(0.0);
        if (ATTN_ROWS * HEAD_EIGHTS % GROUP == 0u || row < ATTN_ROWS) {
            tile[row * HS + d / 2u] = uvec4(half4(left), half4(right));
        }
    }
}

uvec4 next_keys[FETCHED], next_values[FETCHED];

// Asks for a stage of keys and values; behind the end others, which are masked ...
void fetch_keys(uint base, uint key0)
{
    [[unroll]] for (uint j = 0u; j < FETCHED; j++) {
        uint i = gl_LocalInvocationIndex + j * GROUP, d = i % HEAD_EIGHTS;
        uint slot = ring_first + min(key0 + i / HEAD_EIGHTS, max(key_end, 1u) - 1u);
        slot -= slot >= CAPACITY ? CAPACITY : 0u;
        if (HEAD4 % 4u == 0u) {
            uint at = (base + slot) * (HEAD4 / 2u) + d;
            next_keys[j] = k8_in[at];
            next_values[j] = v8_in[at];
        } else {
            uint at = (base + slot) * HEAD4;
            uint left = at + min(2u * d, HEAD4 - 1u), right = at + min(2u * d + 1u, HEAD4 - 1u);
            next_keys[j] = uvec4(k_in[left], k_in[right]);
            next_values[j] = uvec4(v_in[left], v_in[right]);
        }
    }
}

// ... and puts it into shared memory.
void store_keys(uint stage)
{
    [[unroll]] for (uint j = 0u; j < FETCHED; j++) {
        uint i = gl_LocalInvocationIndex + j * GROUP;
        uint to = KEYS_AT + stage * STAGE + i / HEAD_EIGHTS * HS + i % HEAD_EIGHTS;
        if (STAGED % GROUP == 0u || i < STAGED) {
            tile[to] = next_keys[j];
            tile[to + ATTN_KEYS * HS] = next_values[j];
        }
    }
}

void main()
{
    if (!choose_piece()) {
        return;
    }
    warp = UNIFORM(mma_warp());
    lane = mma_lane();
    uint base = (stream * KV_HEADS + head / (HEADS / KV_HEADS)) * CAPACITY;
    uint rows = warp % ROW_GROUPS * OWN_ROWS, share = warp / ROW_GROUPS;
    // keys that the first and the last of a subgroup's rows see
    uint first_end = min(key_end, visible0 + rows);
    uint own_end = rows < n_rows ? min(key_end, visible0 + min(rows + OWN_ROWS, n_rows) - 1u) : 0u;
    float o[OWN_ROWS16 * HEAD16 * 8u]; // as sums lie, but alone: scaling them would copy those
    float top[2u * OWN_ROWS16], total[2u * OWN_ROWS16]; // of an invocation's rows
    [[unroll]] for (uint i = 0u; i < OWN_ROWS16 * HEAD16 * 8u; i++) {
        o[i] = 0.0;
    }
    [[unroll]] for (uint i = 0u; i < 2u * OWN_ROWS16; i++) {
        top[i] = FLOOR;
        total[i] = 0.0;
    }
    fetch_keys(base, key_begin);
    load_queries();
    store_keys(0u);
    barrier();
    mma_a q[OWN_ROWS16 * HEAD16];
    [[unroll]] for (uint i = 0u; i < OWN_ROWS16 * HEAD16; i++) {
        q[i] = mma_rows((rows + i / HEAD16 * 16u) * HS + i % HEAD16 * 2u, HS);
    }
    uint stages = (max(key_end, key_begin) - key_begin + ATTN_KEYS - 1u) / ATTN_KEYS;
    for (uint n = 0u; n < stages; n++) {
        uint key0 = key_begin + ATTN_KEYS * n, behind = min(key_end, key0 + ATTN_KEYS);
        fetch_keys(base, key0 + ATTN_KEYS);
        uint key = key0 + 16u * share, at = KEYS_AT + n % 2u * STAGE + 16u * share * HS;
#ifndef EMULATED // there all meet barriers inside
        if (key < min(own_end, behind)) // else nothing that these rows see
#endif
        {
            mma_sum s[OWN_ROWS16];
            [[unroll]] for (uint r = 0u; r < OWN_ROWS16; r++) {
                s[r] = mma_zero();
            }
            [[unroll]] for (uint d = 0u; d < HEAD16; d++) {
                mma_b k = mma_columns(at + 2u * d, HS);
                [[unroll]] for (uint r = 0u; r < OWN_ROWS16; r++) {
                    s[r] = mma_add(q[r * HEAD16 + d], k, s[r]);
                }
            }
            if (key + 16u > min(first_end, behind)) {
                [[unroll]] for (uint r = 0u; r < OWN_ROWS16; r++) {
                    [[unroll]] for (uint i = 0u; i < 8u; i++) {
                        uint row = rows + 16u * r + mma_row_of(lane, i);
                        bool seen = key + mma_column_of(lane, i) < min(behind, visible0 + row);
                        MMA_AT(s[r], i) = seen ? MMA_AT(s[r], i) : MASKED;
                    }
                }
            }
            float shrink[2u * OWN_ROWS16];
            [[unroll]] for (uint i = 0u; i < 2u * OWN_ROWS16; i++) {
                uint j = i % 2u * 4u;
                float peak = max(max(MMA_AT(s[i / 2u], j), MMA_AT(s[i / 2u], j + 1u)),
                                 max(MMA_AT(s[i / 2u], j + 2u), MMA_AT(s[i / 2u], j + 3u)));
                float before = top[i];
                top[i] = max(before, row_reduce(peak, false));
                shrink[i] = exp2(before - top[i]);
                total[i] *= shrink[i];
            }
            mma_a w[OWN_ROWS16];
            [[unroll]] for (uint r = 0u; r < OWN_ROWS16; r++) {
                [[unroll]] for (uint i = 0u; i < 8u; i++) {
                    float weight = exp2(MMA_AT(s[r], i) - top[2u * r + i / 4u]);
                    MMA_AT(s[r], i) = weight;
                    total[2u * r + i / 4u] += weight;
                }
                w[r] = mma_halves(s[r], SCRATCH_AT + (warp * OWN_ROWS16 + r) * MMA_SCRATCH);
            }
            [[unroll]] for (uint d = 0u; d < HEAD16; d++) {
                mma_b v = mma_matrix(at + ATTN_KEYS * HS + 2u * d, HS);
                [[unroll]] for (uint r = 0u; r < OWN_ROWS16; r++) {
                    mma_sum sum = mma_add(w[r], v, mma_zero());
                    [[unroll]] for (uint i = 0u; i < 8u; i++) {
                        uint j = (r * HEAD16 + d) * 8u + i;
                        o[j] = o[j] * shrink[2u * r + i / 4u] + MMA_AT(sum, i);
                    }
                }
            }
        }
        if (n + 1u < stages) {
            store_keys((n + 1u) % 2u);
        }
        barrier();
    }
    [[unroll]] for (uint i = 0u; i < OWN_ROWS16 * HEAD16; i++) {
        uint row = share * ATTN_ROWS + rows + i / HEAD16 * 16u;
        mma_sum sum = mma_zero();
        [[unroll]] for (uint j = 0u; j < 8u; j++) {
            MMA_AT(sum, j) = o[8u * i + j];
        }
        mma_put(sum, row * SS + i % HEAD16 * 4u, SS);
    }
    [[unroll]] for (uint i = 0u; i < 2u * OWN_ROWS16; i++) {
        float sum = row_reduce(total[i], true);
        if (lane % 4u == 0u) {
            uint row = rows + i / 2u * 16u + mma_row_of(lane, i % 2u * 4u);
            row_states[share * ATTN_ROWS + row] = vec2(top[i], sum);
        }
    }
    barrier();
    for (uint i = gl_LocalInvocationIndex; i < n_rows * HEAD4; i += GROUP) {
        uint row = i / HEAD4, d = i % HEAD4;
        float largest = FLOOR, weight_sum = 0.0;
        [[unroll]] for (uint g = 0u; g < SHARES; g++) {
            largest = max(largest, row_states[g * ATTN_ROWS + row].x);
        }
        vec4 sum = vec4(0.0);
        [[unroll]] for (uint g = 0u; g < SHARES; g++) {
            vec2 state = row_states[g * ATTN_ROWS + row];
            float weight = exp2(state.x - largest);
            weight_sum += weight * state.y;
            sum += weight * uintBitsToFloat(tile[(g * ATTN_ROWS + row) * SS + d]);
        }
        uint to = (((stream * MAX_ROWS + row0 + row) * HEADS + head) * MAX_SPLITS + piece);
        mean_out[to * PIECE4 + d] = half4(sum / max(weight_sum, 1e-30)); // 0 if it has no keys
        if (d == 0u) {
            weight_out[to] = vec2(largest * 0.69314718, weight_sum);
        }
    }
}
