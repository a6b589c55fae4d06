// Patch-diff (S4): sums of absolute differences, a channel each, over a band of a cell. One
// workgroup a band.
#version 450
#extension GL_GOOGLE_include_directive : require

#include "interface/diff_args.h"

layout(local_size_x_id = 0, local_size_y_id = 1, local_size_z = 1) in;

layout(push_constant, std430) uniform Push { diff_args args; };
layout(std430, set = 0, binding = 0) readonly buffer Previous { uint previous[]; };
layout(std430, set = 0, binding = 1) readonly buffer Next { uint next[]; };
layout(std430, set = 0, binding = 2) writeonly buffer Partial { uint partial[]; };

shared uint sums[3];

uvec3 rgb(uint pixel)
{
    return uvec3(pixel, pixel >> 8, pixel >> 16) & 0xff;
}

void main()
{
    uint lane = gl_LocalInvocationIndex;
    if (lane < 3) {
        sums[lane] = 0;
    }
    barrier();
    // Bin k of an axis covers [floor(k E/G), ceil((k+1) E/G)).
    uvec2 extent = uvec2(args.width, args.height), cell = gl_WorkGroupID.xy;
    uvec2 begin = cell * extent / args.grid;
    uvec2 end = ((cell + 1) * extent + args.grid - 1) / args.grid;
    begin.y += gl_WorkGroupID.z * args.band_rows;
    end.y = min(end.y, begin.y + args.band_rows);
    uvec3 mine = uvec3(0);
    for (uint y = begin.y + gl_LocalInvocationID.y; y < end.y; y += gl_WorkGroupSize.y) {
        for (uint x = begin.x + gl_LocalInvocationID.x; x < end.x; x += gl_WorkGroupSize.x) {
            uint at = y * args.width + x;
            mine += uvec3(abs(ivec3(rgb(next[at])) - ivec3(rgb(previous[at]))));
        }
    }
    for (uint c = 0; c < 3; c++) {
        atomicAdd(sums[c], mine[c]);
    }
    barrier();
    if (lane < 3) {
        uint at = (cell.y * args.grid + cell.x) * args.bands + gl_WorkGroupID.z;
        partial[3 * at + lane] = sums[lane];
    }
}
