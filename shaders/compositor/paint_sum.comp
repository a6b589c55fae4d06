// Adds up partial sums in an order that never changes. One workgroup.
#version 450
#extension GL_GOOGLE_include_directive : require

#include "interface/paint_args.h"

layout(local_size_x_id = 0, local_size_y = 1, local_size_z = 1) in; // a power of two

layout(push_constant, std430) uniform Push { paint_sum_args args; };
layout(std430, set = 0, binding = 0) readonly buffer Partial { float partial[]; };
layout(std430, set = 0, binding = 1) writeonly buffer Stats { float stats[]; };

shared float sums[gl_WorkGroupSize.x];

void main()
{
    uint lane = gl_LocalInvocationIndex;
    float sum = 0.0;
    for (uint i = lane; i < args.n; i += gl_WorkGroupSize.x) {
        sum += partial[i];
    }
    sums[lane] = sum;
    for (uint n = gl_WorkGroupSize.x / 2; n > 0; n /= 2) {
        barrier();
        if (lane < n) {
            sums[lane] += sums[lane + n];
        }
    }
    if (lane == 0) {
        stats[args.error_at] = sums[0];
    }
}
