// RMSNorm, gate and up projections, SiLU: x [rows][D] -> silu(gate) * up [rows][F]. The norm's
// weight is part of the matrix; gate and up of one unit are neighbouring columns.
// Workgroups: column tiles, row tiles, streams. a.last: the last row only.
#version 450
#extension GL_GOOGLE_include_directive : require
#extension GL_EXT_control_flow_attributes : require
#include "lib/model.glsl"
#include "lib/precision.glsl"
#include "lib/decoder.glsl"

// [streams][rows][D4]
layout(std430, set = 0, binding = 2) readonly buffer x_block { vec4 x_in[]; };
// [D4][2 F][4]
layout(std430, set = 0, binding = 3) WEIGHT_ACCESS buffer weight_block { WEIGHT_WORD weight[]; };
// [streams][rows][F4]
layout(std430, set = 0, binding = 4) writeonly buffer mlp_block { float mlp[]; };

uint row0, rows, stream;

vec4 gemm_x(uint row, uint k4)
{
    return row0 + row < rows ? x_in[(stream * MAX_ROWS + row0 + row) * WIDTH4 + k4] : vec4(0.0);
}

#define GEMM_COLUMNS (2u * MLP)
#define GEMM_SQUARES
#include "lib/gemm.glsl"

shared float row_scale[TM]; // RMSNorm

void main()
{
    uint t = gl_LocalInvocationIndex, col0 = gl_WorkGroupID.x * TN;
    stream = current_stream();
    rows = current_rows(stream);
    row0 = a.last != 0u ? max(rows, 1u) - 1u : gl_WorkGroupID.y * TM;
    if (row0 >= rows) {
        return;
    }
    gemm_tile(col0, 0u, WIDTH4);
    if (t < TM) {
        row_scale[t] = inversesqrt(gemm_square_sum(t) / float(WIDTH) + RMS_EPS);
    }
    barrier();
    for (uint u = t; u < TQ * (TN / 2u); u += GROUP) {
        uint quad = u / (TN / 2u), col = u % (TN / 2u) * 2u;
        vec4 gates = gemm_sum(quad, col), ups = gemm_sum(quad, col + 1u);
        [[unroll]] for (uint i = 0u; i < 4u; i++) {
            uint row = gemm_row(quad, i), unit = (col0 + col) / 2u;
            if (row0 + row < rows && unit < MLP) {
                float gate = gates[i] * row_scale[row], up = ups[i] * row_scale[row];
                mlp[(stream * MAX_ROWS + row0 + row) * (4u * MLP4) + unit] =
                    gate / (1.0 + exp(-gate)) * up;
            }
        }
    }
}
