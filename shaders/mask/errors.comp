// Squared error of history against input, R, G and B together, over a band of a cell. One workgroup
// a band. With MASKED pixels that a plan updates count as exact: what would be left after it.
#version 450
#extension GL_GOOGLE_include_directive : require

#include "interface/error_args.h"
#include "interface/segment_args.h"

layout(local_size_x_id = 0, local_size_y_id = 1, local_size_z = 1) in;
layout(constant_id = 2) const uint MASKED = 0;

layout(push_constant, std430) uniform Push { error_args args; };
layout(std430, set = 0, binding = 0) readonly buffer History { uint history[]; };
layout(std430, set = 0, binding = 1) readonly buffer Input { uint source[]; };
layout(std430, set = 0, binding = 2) readonly buffer Column { uint column[]; };
layout(std430, set = 0, binding = 3) readonly buffer Row { uint row[]; };
layout(std430, set = 0, binding = 4) readonly buffer Segments { uint segments[]; };
layout(std430, set = 0, binding = 5) writeonly buffer Partial { uint partial[]; };

shared uint sum;

ivec3 rgb(uint pixel)
{
    return ivec3(uvec3(pixel, pixel >> 8, pixel >> 16) & 0xff);
}

bool is_updated(uint x, uint y)
{
    return MASKED != 0 && (segments[row[y] * args.n_x + column[x]] & SEGMENT_UPDATED) != 0;
}

void main()
{
    if (gl_LocalInvocationIndex == 0) {
        sum = 0;
    }
    barrier();
    uvec2 extent = uvec2(args.grid_width, args.grid_height), cell = gl_WorkGroupID.xy;
    uvec2 begin = (cell * extent + ERROR_GRID - 1) / ERROR_GRID;
    uvec2 end = min(((cell + 1) * extent + ERROR_GRID - 1) / ERROR_GRID,
                    uvec2(args.width, args.height));
    begin.y += gl_WorkGroupID.z * args.band_rows;
    end.y = min(end.y, begin.y + args.band_rows);
    uint mine = 0;
    for (uint y = begin.y + gl_LocalInvocationID.y; y < end.y; y += gl_WorkGroupSize.y) {
        for (uint x = begin.x + gl_LocalInvocationID.x; x < end.x; x += gl_WorkGroupSize.x) {
            uint at = y * args.width + x;
            uint a = history[at], b = source[at];
            if (((a ^ b) & 0xffffff) != 0 && !is_updated(x, y)) {
                ivec3 d = rgb(a) - rgb(b);
                mine += uint(d.r * d.r + d.g * d.g + d.b * d.b);
            }
        }
    }
    if (mine != 0) {
        atomicAdd(sum, mine);
    }
    barrier();
    if (gl_LocalInvocationIndex == 0) {
        partial[(cell.y * ERROR_GRID + cell.x) * args.bands + gl_WorkGroupID.z] = sum;
    }
}
