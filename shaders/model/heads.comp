// Final RMSNorm of the last row, lm_head and task-loss head: logits [K][V], losses [K]. The norm's
// weight is part of the matrix.
// Workgroups: column tiles, 1, streams.
#version 450
#extension GL_GOOGLE_include_directive : require
#extension GL_EXT_control_flow_attributes : require
#include "lib/model.glsl"
#include "lib/precision.glsl"
#include "lib/decoder.glsl"

// [streams][rows][D4]
layout(std430, set = 0, binding = 2) readonly buffer x_block { vec4 x_in[]; };
// [D4][K*V + K][4]
layout(std430, set = 0, binding = 3) WEIGHT_ACCESS buffer weight_block { WEIGHT_WORD weight[]; };
// [streams][K*V + K]
layout(std430, set = 0, binding = 4) writeonly buffer out_block { float logits[]; };
layout(std430, set = 0, binding = 5) readonly buffer norm_block { vec4 norm[]; }; // TRACE: [D4]
// TRACE: [streams][D4]
layout(std430, set = 0, binding = 6) writeonly buffer hidden_block { vec4 hidden[]; };
// [streams][rows][TAIL_PARTS][D4]
layout(std430, set = 0, binding = 7) readonly buffer down_block { vec4 down[]; };
#include "lib/tail.glsl"

const uint COLUMNS = ROUND * VOCAB + ROUND;

uint row0, rows, stream;

vec4 gemm_x(uint row, uint k4)
{
    return row == 0u ? layer_input(stream, row0, k4) : vec4(0.0);
}

#define GEMM_COLUMNS COLUMNS
#define GEMM_SQUARES
#include "lib/gemm.glsl"

void main()
{
    uint t = gl_LocalInvocationIndex, col0 = gl_WorkGroupID.x * TN;
    stream = current_stream();
    rows = current_rows(stream);
    row0 = max(rows, 1u) - 1u;
    gemm_tile(col0, 0u, WIDTH4);
    float scale = inversesqrt(gemm_square_sum(0u) / float(WIDTH) + RMS_EPS);
    for (uint u = t; u < TN; u += GROUP) {
        if (col0 + u < COLUMNS) {
            logits[stream * COLUMNS + col0 + u] = gemm_sum(0u, u).x * scale;
        }
    }
    if (TRACE != 0u && gl_WorkGroupID.x == 0u) {
        for (uint k4 = t; k4 < WIDTH4; k4 += GROUP) {
            hidden[stream * WIDTH4 + k4] = layer_input(stream, row0, k4) * scale * norm[k4];
        }
    }
}
