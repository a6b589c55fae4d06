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
shared uint states; // of the segments that the band touches: SOME_UPDATED, SOME_LEFT

const uint SOME_UPDATED = 1, SOME_LEFT = 2;

ivec3 rgb(uint pixel)
{
    return ivec3(uvec3(pixel, pixel >> 8, pixel >> 16) & 0xff);
}

bool is_updated(uint x, uint y)
{
    return (segments[y * args.n_x + x] & SEGMENT_UPDATED) != 0;
}

// Most bands are updated as a whole or not at all: then no pixel has to be looked up.
void look_at_segments(uvec2 begin, uvec2 end)
{
    if (any(greaterThanEqual(begin, end))) {
        return;
    }
    uvec2 first = uvec2(column[begin.x], row[begin.y]);
    uvec2 n = uvec2(column[end.x - 1], row[end.y - 1]) - first + 1;
    uint mine = 0;
    for (uint i = gl_LocalInvocationIndex; i < n.x * n.y;
         i += gl_WorkGroupSize.x * gl_WorkGroupSize.y) {
        mine |= is_updated(first.x + i % n.x, first.y + i / n.x) ? SOME_UPDATED : SOME_LEFT;
    }
    if (mine != 0) {
        atomicOr(states, mine);
    }
}

uint squared_error(uvec2 begin, uvec2 end, bool mixed)
{
    uint error = 0;
    for (uint y = begin.y + gl_LocalInvocationID.y; y < end.y; y += gl_WorkGroupSize.y) {
        for (uint x = begin.x + gl_LocalInvocationID.x; x < end.x; x += gl_WorkGroupSize.x) {
            if (mixed && is_updated(column[x], row[y])) {
                continue;
            }
            uint at = y * args.width + x;
            ivec3 d = rgb(history[at]) - rgb(source[at]);
            error += uint(d.r * d.r + d.g * d.g + d.b * d.b);
        }
    }
    return error;
}

void main()
{
    uvec2 extent = uvec2(args.grid_width, args.grid_height), cell = gl_WorkGroupID.xy;
    uvec2 begin = (cell * extent + ERROR_GRID - 1) / ERROR_GRID;
    uvec2 end = min(((cell + 1) * extent + ERROR_GRID - 1) / ERROR_GRID,
                    uvec2(args.width, args.height));
    begin.y += gl_WorkGroupID.z * args.band_rows;
    end.y = min(end.y, begin.y + args.band_rows);
    if (gl_LocalInvocationIndex == 0) {
        sum = 0;
        states = MASKED != 0 ? 0 : SOME_LEFT;
    }
    barrier();
    if (MASKED != 0) {
        look_at_segments(begin, end);
        barrier();
    }
    uint mine = 0;
    if (states == SOME_LEFT) {
        mine = squared_error(begin, end, false);
    } else if (states == (SOME_LEFT | SOME_UPDATED)) {
        mine = squared_error(begin, end, true);
    }
    if (mine != 0) {
        atomicAdd(sum, mine);
    }
    barrier();
    if (gl_LocalInvocationIndex == 0) {
        partial[(cell.y * ERROR_GRID + cell.x) * args.bands + gl_WorkGroupID.z] = sum;
    }
}
