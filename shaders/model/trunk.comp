// Causal trunk convolution as a matrix product: [P] cells x [time*space*space*C] -> C channels, in
// partial sums. Inputs outside of the grid and before the stream began are zeros.
// Workgroups: column tiles x TRUNK_SPLITS, row tiles, streams.
#version 450
#extension GL_GOOGLE_include_directive : require
#extension GL_EXT_control_flow_attributes : require
#include "lib/model.glsl"
#include "interface/model_args.h"
#include "lib/precision.glsl"

layout(push_constant) uniform push_block { trunk_args a; };

// [streams][DEPTH][FEATURE_SLOTS][P][C4]
layout(std430, set = 0, binding = 0) readonly buffer features_block { STORED4 features[]; };
// [time*space*space][C4][C][4], the channels of a tap padded to whole vec4
layout(std430, set = 0, binding = 1) WEIGHT_ACCESS buffer weight_block { WEIGHT_WORD weight[]; };
// [streams][TRUNK_SPLITS][P][C4]
layout(std430, set = 0, binding = 2) writeonly buffer out_block { float partial[]; };

const uint SPACE2 = TRUNK_SPACE * TRUNK_SPACE;
const uint K4 = TRUNK_TIME * SPACE2 * CHANNELS4;

uint row0, block0;

vec4 gemm_x(uint row, uint k4)
{
    uint cell = row0 + row, tap = k4 / CHANNELS4;
    uint slot = a.slot[tap / SPACE2];
    // Unsigned wrap-around puts cells left of and above the grid far outside of it.
    uint y = cell / GRID + tap % SPACE2 / TRUNK_SPACE - TRUNK_SPACE / 2u;
    uint x = cell % GRID + tap % TRUNK_SPACE - TRUNK_SPACE / 2u;
    if (cell >= TOKENS || slot >= FEATURE_SLOTS || y >= GRID || x >= GRID) {
        return vec4(0.0);
    }
    return loaded(features[block0 + (slot * TOKENS + y * GRID + x) * CHANNELS4 + k4 % CHANNELS4]);
}

#define GEMM_COLUMNS CHANNELS
#include "lib/gemm.glsl"

void main()
{
    uint tiles = (CHANNELS + TN - 1u) / TN;
    uint col0 = gl_WorkGroupID.x % tiles * TN, split = gl_WorkGroupID.x / tiles;
    uint stream = gl_WorkGroupID.z;
    row0 = gl_WorkGroupID.y * TM;
    block0 = (stream * DEPTH + min(a.block, DEPTH - 1u)) * FEATURE_SLOTS * TOKENS * CHANNELS4;
    uint length = gemm_share(K4, TRUNK_SPLITS);
    gemm_tile(col0, min(K4, split * length), min(K4, (split + 1u) * length));

    uint first = (stream * TRUNK_SPLITS + split) * TOKENS;
    for (uint u = gl_LocalInvocationIndex; u < TQ * TN; u += GROUP) {
        uint col = col0 + u % TN;
        vec4 sum = gemm_sum(u / TN, u % TN);
        [[unroll]] for (uint i = 0u; i < 4u; i++) {
            uint cell = row0 + gemm_row(u / TN, i);
            if (cell < TOKENS && col < CHANNELS) {
                partial[(first + cell) * (4u * CHANNELS4) + col] = sum[i];
            }
        }
    }
}
