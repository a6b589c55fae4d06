// Puts the pieces of attention together, o_proj, residual: x [rows][D] += context [rows][H*HD] * W.
// Workgroups: column tiles, row tiles, streams. a.last: the last row only.
#version 450
#extension GL_GOOGLE_include_directive : require
#extension GL_EXT_control_flow_attributes : require
#include "lib/model.glsl"
#include "lib/precision.glsl"
#include "lib/decoder.glsl"

#ifdef MATRIX
layout(std430, set = 0, binding = 2) readonly buffer mean_block { uvec2 means[]; };
#else
layout(std430, set = 0, binding = 2) readonly buffer sum_block { vec4 sums[]; };
#endif
layout(std430, set = 0, binding = 3) readonly buffer softmax_block { vec2 softmax[]; };
#include "lib/pieces.glsl"

// [H * HEAD4][D][4]
layout(std430, set = 0, binding = 4) WEIGHT_ACCESS buffer weight_block { WEIGHT_WORD weight[]; };
layout(std430, set = 0, binding = 5) buffer x_block { float x[]; }; // [streams][rows][D4]

uint row0, rows, stream, splits;

vec4 gemm_x(uint row, uint k4)
{
    return row0 + row < rows ? attention_at(stream, row0 + row, k4, splits) : vec4(0.0);
}

#define GEMM_COLUMNS WIDTH
#include "lib/gemm.glsl"

const uint OWN = (TQ * TN + GROUP - 1u) / GROUP; // outputs of an invocation, four rows each

void main()
{
    uint col0 = gl_WorkGroupID.x * TN;
    stream = current_stream();
    rows = current_rows(stream);
    row0 = a.last != 0u ? max(rows, 1u) - 1u : gl_WorkGroupID.y * TM;
    splits = clamp(states[stream].splits, 1u, MAX_SPLITS);
    if (row0 >= rows) {
        return;
    }
    // What the sums are added to is asked for before the product, not behind it.
    uint own = gl_LocalInvocationIndex;
    vec4 before[OWN];
    [[unroll]] for (uint j = 0u; j < OWN; j++) {
        [[unroll]] for (uint i = 0u; i < 4u; i++) {
            uint unit = own + j * GROUP;
            uint row = row0 + gemm_row(unit / TN, i), col = col0 + unit % TN;
            bool exists = unit < TQ * TN && row < rows && col < WIDTH;
            before[j][i] = exists ? x[(stream * MAX_ROWS + row) * (4u * WIDTH4) + col] : 0.0;
        }
    }
    gemm_tile(col0, 0u, HEADS * HEAD4);
    [[unroll]] for (uint j = 0u; j < OWN; j++) {
        uint unit = own + j * GROUP, col = col0 + unit % TN;
        if (unit < TQ * TN) {
            vec4 sum = before[j] + gemm_sum(unit / TN, unit % TN);
            [[unroll]] for (uint i = 0u; i < 4u; i++) {
                uint row = row0 + gemm_row(unit / TN, i);
                if (row < rows && col < WIDTH) {
                    x[(stream * MAX_ROWS + row) * (4u * WIDTH4) + col] = sum[i];
                }
            }
        }
    }
}
