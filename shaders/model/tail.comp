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

layout(std430, set = 0, binding = 2) readonly buffer sum_block { vec4 sums[]; };
layout(std430, set = 0, binding = 3) readonly buffer softmax_block { vec2 softmax[]; };
#include "lib/pieces.glsl"

// [streams][rows][D4]
layout(std430, set = 0, binding = 4) readonly buffer x_block { vec4 x_in[]; };
layout(std430, set = 0, binding = 5) WEIGHT_ACCESS buffer attn_out_block { WEIGHT_WORD weight[]; };
layout(std430, set = 0, binding = 6) WEIGHT_ACCESS buffer mlp_in_block { WEIGHT_WORD weight_2[]; };
layout(std430, set = 0, binding = 7) WEIGHT_ACCESS buffer mlp_out_block { WEIGHT_WORD weight_3[]; };
// [streams][rows][TAIL_PARTS][D4]
layout(std430, set = 0, binding = 8) writeonly buffer down_block { vec4 down[]; };

const uint WARPS = GROUP / 32u;
const uint ROWS = 16u;
// depths and columns in tiles of 16
const uint HEADS16 = (HEADS * HEAD4 + 3u) / 4u;
const uint WIDTH16 = (WIDTH4 + 3u) / 4u;
const uint MLP16 = (MLP + 15u) / 16u;
const uint UNITS16 = UNITS / 16u;
const uint DEEPEST = HEADS16 > WIDTH16 ? HEADS16 : WIDTH16;
const uint FETCHED = DEEPEST < 12u ? DEEPEST : 12u; // tiles of weights that are asked for ahead

// Shared memory; strides that spread rows over the banks.
const uint CS = 4u * DEEPEST + 2u; // context, then x
const uint MS = 4u * UNITS16 + 2u; // silu(gate) * up
const uint MLP_AT = 2u * ROWS * CS;
const uint WIDEST = WIDTH16 > 2u * UNITS16 ? WIDTH16 : 2u * UNITS16;
const uint SS = 16u * WIDEST + 4u;

shared uvec2 tile_halves[MLP_AT + ROWS * MS];
shared float tile_sums[ROWS * SS];
const uint SQUARE_PARTS = GROUP / ROWS;
shared float squares[ROWS * SQUARE_PARTS];

#define MMA_WEIGHTS
#define MMA_WEIGHTS_3
#include "lib/matrix.glsl"

uint row0, rows, stream, splits;

mma_w ahead[FETCHED];

// One product: `depth` tiles from tile_halves[at] on, `columns` tiles of the weights; TILE(c, k) is
// the tile of column and depth. FETCH asks for a subgroup's first weights, PRODUCT leaves sums in
// tile_sums.
#define FETCH(load, depth, columns, TILE)                                                          \
    [[unroll]] for (uint k = 0u; k < FETCHED; k++) {                                               \
        ahead[k] = load(TILE(min(warp, (columns) - 1u), min(k, (depth) - 1u)) * 32u);              \
    }
#define PRODUCT(load, at, stride, depth, columns, TILE)                                            \
    for (uint c = warp; c < (columns); c += WARPS) {                                               \
        mma_sum acc = mma_zero();                                                                  \
        [[unroll]] for (uint k = 0u; k < FETCHED; k++) {                                           \
            if (k < (depth)) {                                                                     \
                if (c != warp) {                                                                   \
                    ahead[k] = load(TILE(c, k) * 32u);                                             \
                }                                                                                  \
                acc = mma_add(mma_rows((at) + 4u * k, stride), mma_asked(ahead[k]), acc);                     \
            }                                                                                      \
        }                                                                                          \
        for (uint k = FETCHED; k < (depth); k++) {                                                 \
            acc = mma_add(mma_rows((at) + 4u * k, stride), mma_asked(load(TILE(c, k) * 32u)), acc);           \
        }                                                                                          \
        mma_put(acc, 16u * c, SS);                                                                 \
    }
#define OUT_TILE(c, k) ((k) * WIDTH16 + (c))
#define IN_TILE(c, k) ((k) * ((2u * MLP + 15u) / 16u) + min(in0 + (c), (2u * MLP + 15u) / 16u - 1u))
#define DOWN_TILE(c, k) (min(down0 + (k), MLP16 - 1u) * WIDTH16 + (c))

vec4 four_sums(uint row, uint col)
{
    uint at = row * SS + col;
    return vec4(tile_sums[at], tile_sums[at + 1u], tile_sums[at + 2u], tile_sums[at + 3u]);
}

const uint OWN = (ROWS * 4u * WIDTH16 + GROUP - 1u) / GROUP;       // fours of x of an invocation
const uint OWN_CONTEXT = (ROWS * 4u * HEADS16 + GROUP - 1u) / GROUP;

void main()
{
    uint t = gl_LocalInvocationIndex, warp = mma_warp(), part = gl_WorkGroupID.x;
    stream = current_stream();
    rows = current_rows(stream);
    row0 = a.last != 0u ? max(rows, 1u) - 1u : gl_WorkGroupID.y * ROWS;
    splits = clamp(states[stream].splits, 1u, MAX_SPLITS);
    if (row0 >= rows) {
        return;
    }
    uint in0 = part * 2u * UNITS16, down0 = part * UNITS16;
    FETCH(mma_ask, HEADS16, WIDTH16, OUT_TILE)
    vec4 x[OWN];
    [[unroll]] for (uint j = 0u; j < OWN; j++) {
        uint i = t + j * GROUP, row = i / (4u * WIDTH16), k4 = i % (4u * WIDTH16);
        bool there = row < ROWS && row0 + row < rows && k4 < WIDTH4;
        x[j] = there ? x_in[(stream * MAX_ROWS + row0 + row) * WIDTH4 + k4] : vec4(0.0);
    }
    [[unroll]] for (uint j = 0u; j < OWN_CONTEXT; j++) {
        uint i = t + j * GROUP, row = i / (4u * HEADS16), k4 = i % (4u * HEADS16);
        if (row < ROWS) {
            bool there = row0 + row < rows && k4 < HEADS * HEAD4;
            vec4 v = there ? attention_at(stream, row0 + row, k4, splits) : vec4(0.0);
            tile_halves[row * CS + k4] = half4(v);
        }
    }
    barrier();
    PRODUCT(mma_ask, 0u, CS, HEADS16, WIDTH16, OUT_TILE)
    FETCH(mma_ask_2, WIDTH16, 2u * UNITS16, IN_TILE)
    barrier();
    [[unroll]] for (uint j = 0u; j < OWN; j++) {
        uint i = t + j * GROUP, row = i / (4u * WIDTH16), k4 = i % (4u * WIDTH16);
        if (row < ROWS) {
            x[j] += four_sums(row, 4u * k4);
            tile_halves[ROWS * CS + row * CS + k4] = half4(x[j]);
        }
    }
    barrier();
    if (t < ROWS * SQUARE_PARTS) {
        float sum = 0.0;
        for (uint k = t / ROWS; k < WIDTH4; k += SQUARE_PARTS) {
            vec4 v = loaded(tile_halves[ROWS * CS + t % ROWS * CS + k]);
            sum += dot(v, v);
        }
        squares[t] = sum;
    }
    PRODUCT(mma_ask_2, ROWS * CS, CS, WIDTH16, 2u * UNITS16, IN_TILE)
    FETCH(mma_ask_3, UNITS16, WIDTH16, DOWN_TILE)
    barrier();
    for (uint i = t; i < ROWS * 4u * UNITS16; i += GROUP) {
        uint row = i / (4u * UNITS16), unit = i % (4u * UNITS16) * 4u;
        float sum = 0.0;
        [[unroll]] for (uint p = 0u; p < SQUARE_PARTS; p++) {
            sum += squares[p * ROWS + row];
        }
        float scale = inversesqrt(sum / float(WIDTH) + RMS_EPS);
        vec4 v0 = four_sums(row, 2u * unit) * scale, v1 = four_sums(row, 2u * unit + 4u) * scale;
        vec4 gate = vec4(v0.xz, v1.xz), up = vec4(v0.yw, v1.yw);
        vec4 v = gate / (vec4(1.0) + exp(-gate)) * up;
        bvec4 there = lessThan(uvec4(part * UNITS + unit) + uvec4(0u, 1u, 2u, 3u), uvec4(MLP));
        tile_halves[MLP_AT + row * MS + unit / 4u] = half4(mix(vec4(0.0), v, there));
    }
    barrier();
    PRODUCT(mma_ask_3, MLP_AT, MS, UNITS16, WIDTH16, DOWN_TILE)
    barrier();
    [[unroll]] for (uint j = 0u; j < OWN; j++) {
        uint i = t + j * GROUP, row = i / (4u * WIDTH16), k4 = i % (4u * WIDTH16);
        if (row < ROWS && row0 + row < rows && k4 < WIDTH4) {
            vec4 v = four_sums(row, 4u * k4);
            uint to = (stream * MAX_ROWS + row0 + row) * TAIL_PARTS + part;
            down[to * WIDTH4 + k4] = part == 0u ? x[j] + v : v;
        }
    }
}
