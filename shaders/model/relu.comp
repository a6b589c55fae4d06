// Between two trunk blocks: adds the partial sums and the bias of one, ReLU, and stores the input
// of the next.
// Workgroups: invocations over P * C4, 1, streams.
#version 450
#extension GL_GOOGLE_include_directive : require
#include "interface/model_args.h"
#include "lib/model.glsl"
#include "lib/precision.glsl"

layout(push_constant) uniform push_block { trunk_args a; };

// [streams][TRUNK_SPLITS][P][C4]
layout(std430, set = 0, binding = 0) readonly buffer in_block { vec4 partial[]; };
layout(std430, set = 0, binding = 1) readonly buffer bias_block { vec4 bias[]; }; // [C4]
// [streams][DEPTH][FEATURE_SLOTS][P][FEATURE4]
layout(std430, set = 0, binding = 2) writeonly buffer out_block { STORED4 features[]; };

void main()
{
    uint i = gl_GlobalInvocationID.x, stream = gl_WorkGroupID.z;
    if (i >= TOKENS * CHANNELS4) {
        return;
    }
    vec4 sum = bias[i % CHANNELS4];
    for (uint s = 0u; s < TRUNK_SPLITS; s++) {
        sum += partial[(stream * TRUNK_SPLITS + s) * TOKENS * CHANNELS4 + i];
    }
    uint block = min(a.block, DEPTH - 1u), slot = min(a.slot[0], FEATURE_SLOTS - 1u);
    uint to = ((stream * DEPTH + block) * FEATURE_SLOTS + slot) * TOKENS + i / CHANNELS4;
    features[to * FEATURE4 + i % CHANNELS4] = stored(min(max(sum, vec4(0.0)), vec4(LARGEST)));
}
