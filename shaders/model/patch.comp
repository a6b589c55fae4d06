// Patch convolution as a matrix product: [P] cells x [3*p*p] samples -> C channels, partial sums.
// Workgroups: column tiles x PATCH_SPLITS, row tiles, streams x images.
#version 450
#extension GL_GOOGLE_include_directive : require
#extension GL_EXT_control_flow_attributes : require
#include "lib/model.glsl"
#include "interface/model_args.h"
#include "lib/precision.glsl"

layout(push_constant) uniform push_block { patch_args a; };

// [streams][3][S][S], as samples and, where a row of a patch is made of them, as vec4
layout(std430, set = 0, binding = 0) readonly buffer frame_block { float frame[]; };
layout(std430, set = 0, binding = 1) readonly buffer canvas_block { float canvas[]; };
layout(std430, set = 0, binding = 2) readonly buffer previous_block { float previous[]; };
layout(std430, set = 0, binding = 0) readonly buffer frame4_block { vec4 frame4[]; };
layout(std430, set = 0, binding = 1) readonly buffer canvas4_block { vec4 canvas4[]; };
layout(std430, set = 0, binding = 2) readonly buffer previous4_block { vec4 previous4[]; };
// [3*p*p/4][C][4]
layout(std430, set = 0, binding = 3) WEIGHT_ACCESS buffer weight_block { WEIGHT_WORD weight[]; };
// [streams][IMAGE_COUNT][PATCH_SPLITS][P][C4]
layout(std430, set = 0, binding = 4) writeonly buffer out_block { float partial[]; };

const uint K_ALL = 3u * PATCH * PATCH;
const uint K4 = (K_ALL + 3u) / 4u;

uint image, plane0, row0;

float texel(uint at)
{
    return image == IMAGE_FRAME ? frame[at] : image == IMAGE_CANVAS ? canvas[at] : previous[at];
}

vec4 texel4(uint at)
{
    return image == IMAGE_FRAME ? frame4[at] : image == IMAGE_CANVAS ? canvas4[at] : previous4[at];
}

// Place of sample k = (colour, y, x) of a cell's patch.
uint sample_at(uint cell, uint k)
{
    uint colour = k / (PATCH * PATCH), y = k / PATCH % PATCH, x = k % PATCH;
    return plane0 + (colour * SIDE + cell / GRID * PATCH + y) * SIDE + cell % GRID * PATCH + x;
}

vec4 gemm_x(uint row, uint k4)
{
    uint cell = row0 + row, k = 4u * k4;
    vec4 x = vec4(0.0);
    if (cell >= TOKENS) {
        return x;
    }
    if (PATCH % 4u == 0u) {
        return texel4(sample_at(cell, k) / 4u);
    }
    for (uint i = 0u; i < 4u && k + i < K_ALL; i++) {
        x[i] = texel(sample_at(cell, k + i));
    }
    return x;
}

#define GEMM_COLUMNS CHANNELS
#include "lib/gemm.glsl"

void main()
{
    uint tiles = (CHANNELS + TN - 1u) / TN;
    uint col0 = gl_WorkGroupID.x % tiles * TN, split = gl_WorkGroupID.x / tiles;
    uint which = gl_WorkGroupID.z % a.n_images, stream = gl_WorkGroupID.z / a.n_images;
    row0 = gl_WorkGroupID.y * TM;
    image = a.image[which];
    plane0 = stream * 3u * SIDE * SIDE;
    uint length = gemm_share(K4, PATCH_SPLITS);
    gemm_tile(col0, min(K4, split * length), min(K4, (split + 1u) * length));

    uint first = ((stream * IMAGE_COUNT + which) * PATCH_SPLITS + split) * TOKENS;
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
