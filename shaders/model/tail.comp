// What is left of a layer behind its attention, by matrix units, for 16 rows and a part of the
// MLP's units: pieces of attention together, o_proj, residual; RMSNorm, gate and up, SiLU, down.
// Every part makes the output projection again: that is cheaper than a dispatch. Leaves partial sums
// of the layer's output, of which the first has the residual; who reads them adds them.
// Workgroups: parts, row tiles, streams. a.last: the last row only.
#version 450
#extension GL_GOOGLE_include_directive : require
#extension GL_EXT_control_flow_attributes : require
#include "lib/model.glsl"
#include "lib/precision.glsl"
#include "lib/decoder.glsl"

layout(constant_id = SPEC_TAIL_UNITS) const uint UNITS = 96; // of a part, whole tiles

// [streams][rows][H][MAX_SPLITS][PIECE8] means, halves
layout(std430, set = 0, binding = 2) coherent volatile buffer mean_block { uvec4 means[]; };
// [streams][rows][H][MAX_SPLITS] largest score, sum of weights
layout(std430, set = 0, binding = 3) coherent volatile buffer softmax_block { vec2 softmax[]; };

// [streams][rows][D4]
layout(std430, set = 0, binding = 4) WEIGHT_ACCESS buffer x_block { vec4 x_in[]; };
layout(std430, set = 0, binding = 5) WEIGHT_ACCESS buffer attn_out_block { WEIGHT_WORD weight[]; };
layout(std430, set = 0, binding = 6) WEIGHT_ACCESS buffer mlp_in_block { WEIGHT_WORD weight_2[]; };
layout(std430, set = 0, binding = 7) WEIGHT_ACCESS buffer mlp_out_block { WEIGHT_WORD weight_3[]; };
// [streams][rows][TAIL_PARTS][D4]
layout(std430, set = 0, binding = 8) writeonly buffer down_block { vec4 down[]; };

const uint WARPS = GROUP / 32u;
const uint ROWS = 16u;
const uint PARTS = GROUP / ROWS;   // invocations of a row
const uint PIECE8 = PIECE4 / 2u;   // eights of a head in a piece of attention
// depths and columns in tiles of 16
const uint HEADS16 = (HEADS * HEAD4 + 3u) / 4u;
const uint WIDTH16 = (WIDTH4 + 3u) / 4u;
const uint MLP16 = (MLP + 15u) / 16u;
const uint UNITS16 = UNITS / 16u;
const uint DEEPEST = HEADS16 > WIDTH16 ? HEADS16 : WIDTH16;

// Shared memory; strides that spread rows over the banks.
const uint CS = 4u * DEEPEST + 2u; // context, then x
const uint MS = 4u * UNITS16 + 2u; // silu(gate) * up
const uint MLP_AT = 2u * ROWS * CS;
const uint WIDEST = WIDTH16 > 2u * UNITS16 ? WIDTH16 : 2u * UNITS16;
const uint SS = 4u * WIDEST + 1u;

shared uvec2 tile_halves[MLP_AT + ROWS * MS];
shared uvec4 tile_sums[ROWS * SS];
shared float squares[GROUP];

#define MMA_WEIGHTS
#define MMA_WEIGHTS_3
#define MMA_SUMS4
#include "lib/matrix.glsl"

// One product: `depth` tiles from tile_halves[at] on, `columns` tiles of the weights; TILE(c, k) is
// the tile of column and depth. FETCH asks for a subgroup's first weights, PRODUCT leaves sums in
// tile_sums. For most models there are as many columns as subgroups and nothing is left to ask for.
const uint MOST = 12u; // tiles of weights that are asked for ahead
#define AHEAD(depth) ((depth) < MOST ? (depth) : MOST)
#define FETCH(w, load, depth, columns, TILE)                                                       \
    [[unroll]] for (uint k = 0u; k < AHEAD(depth); k++) {                                          \
        w[k] = load(TILE((columns) < WARPS ? min(warp, (columns) - 1u) : warp, k) * 32u);          \
    }
#define PRODUCT(w, load, at, stride, depth, columns, TILE)                                         \
    [[unroll]] for (uint j = 0u; j < ((columns) + WARPS - 1u) / WARPS; j++) {                      \
        uint c = warp + WARPS * j;                                                                 \
        if ((columns) % WARPS == 0u || c < (columns)) {                                            \
            mma_sum acc[2]; /* two chains wait less than one */                                    \
            acc[0] = mma_zero();                                                                   \
            acc[1] = mma_zero();                                                                   \
            [[unroll]] for (uint k = 0u; k < AHEAD(depth); k++) {                                  \
                if (j != 0u) {                                                                     \
                    w[k] = load(TILE(c, k) * 32u);                                                 \
                }                                                                                  \
                acc[k % 2u] = mma_add(mma_rows((at) + 4u * k, stride), mma_asked(w[k]),            \
                                      acc[k % 2u]);                                                \
            }                                                                                      \
            for (uint k = MOST; k < (depth); k++) {                                                \
                acc[0] = mma_add(mma_rows((at) + 4u * k, stride),                                  \
                                 mma_asked(load(TILE(c, k) * 32u)), acc[0]);                       \
            }                                                                                      \
            [[unroll]] for (uint i = 0u; i < 8u; i++) {                                            \
                MMA_AT(acc[0], i) += MMA_AT(acc[1], i);                                            \
            }                                                                                      \
            mma_put(acc[0], 4u * c, SS);                                                           \
        }                                                                                          \
    }
#define OUT_TILE(c, k) ((k) * WIDTH16 + (c))
#define IN_TILE(c, k) ((k) * ((2u * MLP + 15u) / 16u) + min(in0 + (c), (2u * MLP + 15u) / 16u - 1u))
#define DOWN_TILE(c, k) (min(down0 + (k), MLP16 - 1u) * WIDTH16 + (c))

vec4 four_sums(uint row, uint four)
{
    return uintBitsToFloat(tile_sums[row * SS + four]);
}

// Pieces of attention that are asked for at once, whether they are there or not.
const uint MOST_PIECES = PREFILL_SPLITS < 6u ? PREFILL_SPLITS : 6u;
const uint OWN = (4u * WIDTH16 + PARTS - 1u) / PARTS; // fours of x of an invocation

void main()
{
    uint t = gl_LocalInvocationIndex, warp = mma_warp(), part = gl_WorkGroupID.x;
    uint row = t / PARTS, lane = t % PARTS; // role in what is not a product
    uint in0 = part * 2u * UNITS16, down0 = part * UNITS16;
    mma_w w_out[AHEAD(HEADS16)], w_in[AHEAD(WIDTH16)], w_down[AHEAD(UNITS16)];
    FETCH(w_out, mma_ask, HEADS16, WIDTH16, OUT_TILE)
    uint stream = current_stream();
    uint rows = current_rows(stream), splits = clamp(states[stream].splits, 1u, MAX_SPLITS);
    uint row0 = a.last != 0u ? max(rows, 1u) - 1u : gl_WorkGroupID.y * ROWS;
    uint at = stream * MAX_ROWS + min(row0 + row, MAX_ROWS - 1u); // does not wait for `rows`
    bool there = row0 + row < rows;
    vec4 x[OWN];
    [[unroll]] for (uint j = 0u; j < OWN; j++) {
        uint k4 = lane + PARTS * j;
        x[j] = x_in[at * WIDTH4 + min(k4, WIDTH4 - 1u)];
    }
    for (uint k8 = lane; k8 < HEADS * PIECE8; k8 += PARTS) {
        uint head = k8 / PIECE8, d = k8 % PIECE8;
        uint from = (at * HEADS + head) * MAX_SPLITS, to = row * CS + head * HEAD4 + 2u * d;
        vec4 left = vec4(0.0), right = vec4(0.0);
        float top = -3.0e38, weights = 0.0;
        for (uint p0 = 0u; p0 == 0u || p0 < splits; p0 += MOST_PIECES) {
            uvec4 piece[MOST_PIECES];
            vec2 state[MOST_PIECES];
            [[unroll]] for (uint p = 0u; p < MOST_PIECES; p++) {
                uint i = from + min(p0 + p, MAX_SPLITS - 1u);
                state[p] = softmax[i];
                piece[p] = means[i * PIECE8 + d];
            }
            float before = top;
            [[unroll]] for (uint p = 0u; p < MOST_PIECES; p++) {
                top = p0 + p < splits ? max(top, state[p].x) : top;
            }
            float shrink = exp(before - top);
            left *= shrink;
            right *= shrink;
            weights *= shrink;
            [[unroll]] for (uint p = 0u; p < MOST_PIECES; p++) {
                float w = p0 + p < splits ? exp(state[p].x - top) * state[p].y : 0.0;
                left += w * loaded(piece[p].xy);
                right += w * loaded(piece[p].zw);
                weights += w;
            }
        }
        tile_halves[to] = there ? half4(left / weights) : uvec2(0u);
        if (HEAD4 % 2u == 0u || 2u * d + 1u < HEAD4) {
            tile_halves[to + 1u] = there ? half4(right / weights) : uvec2(0u);
        }
    }
    for (uint k4 = HEADS * HEAD4 + lane; k4 < 4u * HEADS16; k4 += PARTS) {
        tile_halves[row * CS + k4] = uvec2(0u);
    }
    if (row0 >= rows) {
        return;
    }
    FETCH(w_in, mma_ask_2, WIDTH16, 2u * UNITS16, IN_TILE)
    barrier();
    PRODUCT(w_out, mma_ask, 0u, CS, HEADS16, WIDTH16, OUT_TILE)
    FETCH(w_down, mma_ask_3, UNITS16, WIDTH16, DOWN_TILE)
    barrier();
    float sum = 0.0;
    [[unroll]] for (uint j = 0u; j < OWN; j++) {
        uint k4 = lane + PARTS * j;
        if (4u * WIDTH16 % PARTS == 0u || k4 < 4u * WIDTH16) {
            x[j] = (there && k4 < WIDTH4 ? x[j] : vec4(0.0)) + four_sums(row, k4);
            sum += dot(x[j], x[j]);
            tile_halves[ROWS * CS + row * CS + k4] = half4(x[j]);
        }
    }
    squares[t] = sum;
    barrier();
    PRODUCT(w_in, mma_ask_2, ROWS * CS, CS, WIDTH16, 2u * UNITS16, IN_TILE)
    barrier();
    sum = 0.0;
    [[unroll]] for (uint i = 0u; i < PARTS; i++) {
        sum += squares[row * PARTS + i];
    }
    float scale = inversesqrt(sum / float(WIDTH) + RMS_EPS); // RMSNorm
    for (uint four = lane; four < 4u * UNITS16; four += PARTS) {
        vec4 v0 = four_sums(row, 2u * four) * scale, v1 = four_sums(row, 2u * four + 1u) * scale;
        vec4 gate = vec4(v0.xz, v1.xz), up = vec4(v0.yw, v1.yw);
        vec4 v = gate / (vec4(1.0) + exp(-gate)) * up;
        uvec4 unit = part * UNITS + 4u * four + uvec4(0u, 1u, 2u, 3u);
        bvec4 exists = lessThan(unit, uvec4(MLP));
        tile_halves[MLP_AT + row * MS + four] = half4(mix(vec4(0.0), v, exists));
    }
    barrier();
    PRODUCT(w_down, mma_ask_3, MLP_AT, MS, UNITS16, WIDTH16, DOWN_TILE)
    barrier();
    [[unroll]] for (uint j = 0u; j < OWN; j++) {
        uint k4 = lane + PARTS * j;
        if (there && k4 < WIDTH4) {
            vec4 v = four_sums(row, k4);
            down[(at * TAIL_PARTS + part) * WIDTH4 + k4] = part == 0u ? x[j] + v : v;
        }
    }
}
