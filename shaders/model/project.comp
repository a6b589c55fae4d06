// Output of the vision encoder: partial sums of the last trunk block + bias, ReLU, out_proj
// (C -> D), bias, position embedding: the vision tokens, rows n_pending.. of the decoder's input x.
// Workgroups: column tiles, row tiles, streams.
#version 450
#extension GL_GOOGLE_include_directive : require
#extension GL_EXT_control_flow_attributes : require
#include "lib/model.glsl"
#include "lib/precision.glsl"
#include "lib/decoder.glsl"

// [streams][TRUNK_SPLITS][P][C4]
layout(std430, set = 0, binding = 2) readonly buffer in_block { vec4 partial[]; };
layout(std430, set = 0, binding = 3) readonly buffer trunk_bias_block { vec4 trunk_bias[]; };
// [C4][D][4]
layout(std430, set = 0, binding = 4) WEIGHT_ACCESS buffer weight_block { WEIGHT_WORD weight[]; };
// out_proj's bias + pos_embed: [P][D]
layout(std430, set = 0, binding = 5) readonly buffer bias_block { float bias[]; };
// [streams][rows][D4]
layout(std430, set = 0, binding = 6) writeonly buffer x_block { float x_out[]; };
// TRACE: [streams][P][D]
layout(std430, set = 0, binding = 7) writeonly buffer tokens_block { float tokens[]; };

uint row0, stream;

vec4 gemm_x(uint row, uint k4)
{
    uint cell = row0 + row;
    if (cell >= TOKENS) {
        return vec4(0.0);
    }
    vec4 sum = trunk_bias[k4];
    [[unroll]] for (uint s = 0u; s < TRUNK_SPLITS; s++) {
        sum += partial[((stream * TRUNK_SPLITS + s) * TOKENS + cell) * CHANNELS4 + k4];
    }
    return max(sum, vec4(0.0));
}

#define GEMM_COLUMNS WIDTH
#include "lib/gemm.glsl"

void main()
{
    uint col0 = gl_WorkGroupID.x * TN;
    row0 = gl_WorkGroupID.y * TM;
    stream = current_stream();
    uint pending = min(states[stream].n_pending, MAX_ROWS - TOKENS);
    gemm_tile(col0, 0u, CHANNELS4);

    for (uint u = gl_LocalInvocationIndex; u < TQ * TN; u += GROUP) {
        uint col = col0 + u % TN;
        vec4 sum = gemm_sum(u / TN, u % TN);
        [[unroll]] for (uint i = 0u; i < 4u; i++) {
            uint cell = row0 + gemm_row(u / TN, i);
            if (cell < TOKENS && col < WIDTH) {
                float value = sum[i] + bias[cell * WIDTH + col];
                x_out[(stream * MAX_ROWS + pending + cell) * (4u * WIDTH4) + col] = value;
                if (TRACE != 0u) {
                    tokens[(stream * TOKENS + cell) * WIDTH + col] = value;
                }
            }
        }
    }
}
