// out[i] = in[i] * FACTOR + args.add + args.words[1]
#version 450
#extension GL_GOOGLE_include_directive : require

#include "interface/gputest_args.h"

layout(local_size_x_id = 0, local_size_y = 1, local_size_z = 1) in;
layout(constant_id = 1) const uint FACTOR = 1;

layout(push_constant, std430) uniform Push { gputest_args args; };
layout(std430, set = 0, binding = 0) readonly buffer In { uint values[]; };
layout(std430, set = 0, binding = 1) writeonly buffer Out { uint results[]; };

void main()
{
    uint i = gl_GlobalInvocationID.x;
    if (i < args.n) {
        results[i] = values[i] * FACTOR + args.add + args.words[1];
    }
}
