// Adds the partial sums and the bias of the patch convolution, then LayerNorm over the channels of
// a cell: the features of a picture, input of trunk block 0.
// Workgroups: cells, 1, streams x images.
#version 450
#extension GL_GOOGLE_include_directive : require
#extension GL_EXT_control_flow_attributes : require
#include "interface/model_args.h"
#include "lib/model.glsl"
#include "lib/reduce.glsl"

layout(push_constant) uniform push_block { patch_args a; };

// [streams][IMAGE_COUNT][PATCH_SPLITS][P][C4]
layout(std430, set = 0, binding = 0) readonly buffer in_block { float partial[]; };
// bias, scale, shift: [3][C]
layout(std430, set = 0, binding = 1) readonly buffer norm_block { float norm[]; };
// [streams][DEPTH][FEATURE_SLOTS][P][C4]
layout(std430, set = 0, binding = 2) writeonly buffer out_block { float features[]; };

const uint STRIDE = 4u * CHANNELS4;

const uint OWN = (CHANNELS + GROUP - 1u) / GROUP; // channels of an invocation

void main()
{
    uint t = gl_LocalInvocationIndex, cell = gl_WorkGroupID.x;
    uint which = gl_WorkGroupID.z % a.n_images, stream = gl_WorkGroupID.z / a.n_images;
    uint first = (stream * IMAGE_COUNT + which) * PATCH_SPLITS * TOKENS + cell;
    uint slot = min(a.slot[which], FEATURE_SLOTS - 1u);
    uint to = ((stream * DEPTH * FEATURE_SLOTS + slot) * TOKENS + cell) * STRIDE;

    float x[OWN];
    float sum = 0.0;
    [[unroll]] for (uint i = 0u; i < OWN; i++) {
        uint c = min(t + i * GROUP, CHANNELS - 1u);
        x[i] = norm[c];
        [[unroll]] for (uint s = 0u; s < PATCH_SPLITS; s++) {
            x[i] += partial[(first + s * TOKENS) * STRIDE + c];
        }
        sum += t + i * GROUP < CHANNELS ? x[i] : 0.0;
    }
    float mean = reduce_add(sum) / float(CHANNELS);
    float squares = 0.0;
    [[unroll]] for (uint i = 0u; i < OWN; i++) {
        float d = x[i] - mean;
        squares += t + i * GROUP < CHANNELS ? d * d : 0.0;
    }
    float scale = inversesqrt(reduce_add(squares) / float(CHANNELS) + LAYER_NORM_EPS);
    [[unroll]] for (uint i = 0u; i < OWN; i++) {
        uint c = t + i * GROUP;
        if (c < CHANNELS) {
            features[to + c] = (x[i] - mean) * scale * norm[CHANNELS + c] + norm[2u * CHANNELS + c];
        }
    }
}
