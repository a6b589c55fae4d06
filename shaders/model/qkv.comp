// RMSNorm, the q, k and v projections, RoPE; q to a buffer, k and v into the cache ring.
// x [rows][D] -> q [rows][H][HD], k, v [KVH][rows][HD]. The norm's weight is part of the matrix;
// its scale is applied to the sums. Columns of q and k are ordered so that the two halves of a
// RoPE pair (d, d + HD/2) are neighbours; k is cached in that order (scores do not notice).
// Workgroups: column tiles, row tiles, streams. Last layer (a.last): queries of the last row only.
#version 450
#extension GL_GOOGLE_include_directive : require
#extension GL_EXT_control_flow_attributes : require
#include "lib/model.glsl"
#include "lib/precision.glsl"
#include "lib/decoder.glsl"

// [streams][rows][D4]
layout(std430, set = 0, binding = 2) buffer x_block { vec4 x_in[]; };
// [D4][(H + 2 KVH) * HD][4]
layout(std430, set = 0, binding = 3) WEIGHT_ACCESS buffer weight_block { WEIGHT_WORD weight[]; };
// [ROPE_ROWS][HD/2] cos, sin
layout(std430, set = 0, binding = 4) readonly buffer rope_block { vec2 rope[]; };
// [streams][rows][H][2 HEAD4]
layout(std430, set = 0, binding = 5) writeonly buffer q_block { vec2 q_out[]; };
// [streams][KVH][CAPACITY][2 HEAD4]
layout(std430, set = 0, binding = 6) writeonly buffer k_block { STORED2 k_out[]; };
layout(std430, set = 0, binding = 7) writeonly buffer v_block { STORED2 v_out[]; };
// [streams][rows][TAIL_PARTS][D4]
layout(std430, set = 0, binding = 8) readonly buffer down_block { vec4 down[]; };
#include "lib/tail.glsl"

const uint Q_COLUMNS = HEADS * HEAD_DIM;
const uint KV_COLUMNS = KV_HEADS * HEAD_DIM;
const uint COLUMNS = Q_COLUMNS + 2u * KV_COLUMNS;

uint row0, stream, rows, position, rope_first;

vec4 gemm_x(uint row, uint k4)
{
    if (row0 + row >= rows) {
        return vec4(0.0);
    }
    vec4 x = layer_input(stream, row0 + row, k4);
    if (a.parts != 0u && gl_WorkGroupID.x == 0u) { // nobody else reads x then
        x_in[(stream * MAX_ROWS + row0 + row) * WIDTH4 + k4] = x;
    }
    return x;
}

#define GEMM_COLUMNS COLUMNS
#define GEMM_SQUARES
#include "lib/gemm.glsl"

shared float row_scale[TM]; // RMSNorm

// Two neighbouring columns of a row.
void store(uint row, uint col, vec2 v)
{
    uint part = col < Q_COLUMNS ? 0u : col < Q_COLUMNS + KV_COLUMNS ? 1u : 2u;
    uint c = col - (part == 0u ? 0u : part == 1u ? Q_COLUMNS : Q_COLUMNS + KV_COLUMNS);
    uint head = c / HEAD_DIM, pair = c % HEAD_DIM / 2u;
    if (part != 2u) {
        uint p = (rope_first + row) % ROPE_ROWS;
        vec2 r = rope[(stream * ROPE_STRIDE + p) * (HEAD_DIM / 2u) + pair];
        v = vec2(v.x * r.x - v.y * r.y, v.y * r.x + v.x * r.y);
    }
    if (part == 0u) {
        q_out[((stream * MAX_ROWS + row) * HEADS + head) * (2u * HEAD4) + pair] = v;
        return;
    }
    uint slot = (position + row) % CAPACITY;
    uint to = ((stream * KV_HEADS + head) * CAPACITY + slot) * (2u * HEAD4) + pair;
    if (part == 1u) {
        k_out[to] = stored(v);
    } else {
        v_out[to] = stored(v);
    }
}

void main()
{
    uint t = gl_LocalInvocationIndex, col0 = gl_WorkGroupID.x * TN;
    stream = current_stream();
    rows = current_rows(stream);
    row0 = gl_WorkGroupID.y * TM;
    position = states[stream].position;
    rope_first = states[stream].rope_first;
    bool needed = a.last == 0u || col0 + TN > Q_COLUMNS || row0 + TM >= rows;
    if (row0 >= rows || !needed) {
        return;
    }
    gemm_tile(col0, 0u, WIDTH4);
    if (t < TM) {
        row_scale[t] = inversesqrt(gemm_square_sum(t) / float(WIDTH) + RMS_EPS);
    }
    barrier();
    for (uint u = t; u < TQ * (TN / 2u); u += GROUP) {
        uint quad = u / (TN / 2u), col = u % (TN / 2u) * 2u;
        vec4 even = gemm_sum(quad, col), odd = gemm_sum(quad, col + 1u);
        [[unroll]] for (uint i = 0u; i < 4u; i++) {
            uint row = gemm_row(quad, i);
            if (row0 + row < rows && col0 + col < COLUMNS) {
                store(row0 + row, col0 + col, vec2(even[i], odd[i]) * row_scale[row]);
            }
        }
    }
}
