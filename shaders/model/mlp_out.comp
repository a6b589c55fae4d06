// Down projection, residual: x [rows][D] += mlp [rows][F] * W.
// Workgroups: column tiles, row tiles, streams. a.last: the last row only.
#version 450
#extension GL_GOOGLE_include_directive : require
#extension GL_EXT_control_flow_attributes : require
#include "lib/model.glsl"
#include "lib/precision.glsl"
#include "lib/decoder.glsl"

layout(std430, set = 0, binding = 2) readonly buffer mlp_block { vec4 mlp[]; }; // [streams][rows][F4]
layout(std430, set = 0, binding = 3) readonly buffer weight_block { STORED4 weight[]; }; // [F4][D][4]
layout(std430, set = 0, binding = 4) buffer x_block { float x[]; }; // [streams][rows][D4]

uint row0, rows, stream;

vec4 gemm_x(uint row, uint k4)
{
    return row0 + row < rows ? mlp[(stream * MAX_ROWS + row0 + row) * MLP4 + k4] : vec4(0.0);
}

STORED4 gemm_w(uint k4, uint col)
{
    return weight[k4 * WIDTH + min(col, WIDTH - 1u)];
}

#include "lib/gemm.glsl"

void main()
{
    uint col0 = gl_WorkGroupID.x * TN;
    stream = current_stream();
    rows = current_rows(stream);
    row0 = a.last != 0u ? max(rows, 1u) - 1u : gl_WorkGroupID.y * TM;
    if (row0 >= rows) {
        return;
    }
    gemm_tile(col0, 0u, MLP4);
    for (uint u = gl_LocalInvocationIndex; u < TQ * TN; u += GROUP) {
        uint col = col0 + u % TN;
        vec4 sum = gemm_sum(u / TN, u % TN);
        [[unroll]] for (uint i = 0u; i < 4u; i++) {
            uint row = row0 + gemm_row(u / TN, i);
            if (row < rows && col < WIDTH) {
                x[(stream * MAX_ROWS + row) * (4u * WIDTH4) + col] += sum[i];
            }
        }
    }
}
