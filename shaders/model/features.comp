// Adds the partial sums and the bias of the patch convolution, then LayerNorm over the channels of
// a cell: the features of a picture, input of trunk block 0.
// Workgroups: cells, 1, streams x images.
#version 450
#extension GL_GOOGLE_include_directive : require
#extension GL_EXT_control_flow_attributes : require
#include "interface/model_args.h"
#include "lib/model.glsl"
#include "lib/precision.glsl"
#include "lib/reduce.glsl"

layout(push_constant) uniform push_block { patch_args a; };

// [streams][IMAGE_COUNT][PATCH_SPLITS][P][C4]
layout(std430, set = 0, binding = 0) readonly buffer in_block { vec4 partial[]; };
// bias, scale, shift: [3][C]
layout(std430, set = 0, binding = 1) readonly buffer norm_block { float norm[]; };
// [streams][DEPTH][FEATURE_SLOTS][P][C4]
layout(std430, set = 0, binding = 2) writeonly buffer out_block { STORED4 features[]; };

const uint OWN = (CHANNELS4 + GROUP - 1u) / GROUP; // fours of channels of an invocation

// Four channels of bias, scale or shift; zeros behind the last one.
vec4 norm4(uint which, uint c4)
{
    vec4 v = vec4(0.0);
    [[unroll]] for (uint i = 0u; i < 4u; i++) {
        v[i] = 4u * c4 + i < CHANNELS ? norm[which * CHANNELS + 4u * c4 + i] : 0.0;
    }
    return v;
}

void main()
{
    uint t = gl_LocalInvocationIndex, cell = gl_WorkGroupID.x;
    uint which = gl_WorkGroupID.z % a.n_images, stream = gl_WorkGroupID.z / a.n_images;
    uint first = (stream * IMAGE_COUNT + which) * PATCH_SPLITS * TOKENS + cell;
    uint slot = min(a.slot[which], FEATURE_SLOTS - 1u);
    uint to = ((stream * DEPTH * FEATURE_SLOTS + slot) * TOKENS + cell) * CHANNELS4;

    vec4 x[OWN], scale[OWN], shift[OWN];
    float sum = 0.0;
    [[unroll]] for (uint i = 0u; i < OWN; i++) {
        uint c4 = t + i * GROUP, at = min(c4, CHANNELS4 - 1u);
        x[i] = norm4(0u, c4);
        scale[i] = norm4(1u, c4);
        shift[i] = norm4(2u, c4);
        [[unroll]] for (uint s = 0u; s < PATCH_SPLITS; s++) {
            x[i] += partial[(first + s * TOKENS) * CHANNELS4 + at];
        }
        x[i] = c4 < CHANNELS4 ? x[i] : vec4(0.0);
        sum += dot(x[i], vec4(1.0)); // pads are zeros
    }
    float mean = reduce_add(sum) / float(CHANNELS);
    float squares = 0.0;
    [[unroll]] for (uint i = 0u; i < OWN; i++) {
        uvec4 c = uvec4(4u * (t + i * GROUP)) + uvec4(0u, 1u, 2u, 3u);
        vec4 d = mix(vec4(0.0), x[i] - mean, lessThan(c, uvec4(CHANNELS)));
        squares += dot(d, d);
    }
    float deviation = inversesqrt(reduce_add(squares) / float(CHANNELS) + LAYER_NORM_EPS);
    [[unroll]] for (uint i = 0u; i < OWN; i++) {
        uint c4 = t + i * GROUP;
        if (c4 < CHANNELS4) { // scale and shift of pads are zeros
            features[to + c4] = stored((x[i] - mean) * deviation * scale[i] + shift[i]);
        }
    }
}
