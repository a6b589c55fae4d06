// Drawn cells -> word of each segment, area of the union. The finest grid with a drawn cell over
// the segment draws it; it is border if it lies on the border of any such cell of that grid (S5.4).
// In `effective` cells of one grid differ in colour: the larger column, then the larger row wins.
#version 450
#extension GL_GOOGLE_include_directive : require

#include "interface/plan_args.h"
#include "interface/segment_args.h"

layout(local_size_x_id = 0, local_size_y_id = 1, local_size_z = 1) in;

layout(push_constant, std430) uniform Push { segment_args args; };
// Grids of the drawn layout, from PLAN_MAX_GRIDS on those of the input's.
layout(std430, set = 0, binding = 0) readonly buffer Grids { plan_grid grids[]; };
layout(std430, set = 0, binding = 1) readonly buffer Ranges { segment_range ranges[]; };
layout(std430, set = 0, binding = 2) readonly buffer Edges { uint edges[]; };
layout(std430, set = 0, binding = 3) readonly buffer Kept { uint kept[]; };
layout(std430, set = 0, binding = 4) readonly buffer Contributor { uint contributor[]; };
layout(std430, set = 0, binding = 5) writeonly buffer Segments { uint segments[]; };
layout(std430, set = 0, binding = 6) buffer Stats { plan_stats stats; };

shared uint area_of_group;

bool is_inside(uint index, uint range)
{
    return index >= (range & 0xffff) && index <= range >> 16;
}

// 0: no cell of the grid covers the segment.
uint draw(uint g, segment_range x, segment_range y)
{
    uint word = 0;
    for (uint c = (x.cover >> 16) + 1; c-- > (x.cover & 0xffff);) {
        for (uint r = (y.cover >> 16) + 1; r-- > (y.cover & 0xffff);) {
            uint cell = grids[g].first + r * grids[g].cols + c;
            if ((kept[cell >> 5] >> (cell & 31) & 1) == 0) {
                continue;
            }
            if (word == 0) {
                uint grid = args.geometry == PLAN_EFFECTIVE ? contributor[cell] : g;
                word = SEGMENT_UPDATED | SEGMENT_COVERED |
                       grids[PLAN_MAX_GRIDS + grid].colour << SEGMENT_COLOUR_SHIFT |
                       grid << SEGMENT_GRID_SHIFT;
            }
            if (!is_inside(c, x.inner) || !is_inside(r, y.inner)) {
                return word | SEGMENT_BORDER;
            }
        }
    }
    return word;
}

void main()
{
    if (gl_LocalInvocationIndex == 0) {
        area_of_group = 0;
    }
    barrier();
    uvec2 at = gl_GlobalInvocationID.xy;
    if (at.x < args.n_x && at.y < args.n_y) {
        uint word = 0;
        for (uint g = args.n_grids; word == 0 && g-- > 0;) {
            word = draw(g, ranges[g * args.n_x + at.x],
                        ranges[args.n_grids * args.n_x + g * args.n_y + at.y]);
        }
        if (word != 0) {
            uint y = args.n_x + 1 + at.y;
            atomicAdd(area_of_group,
                      (edges[at.x + 1] - edges[at.x]) * (edges[y + 1] - edges[y]));
        }
        segments[at.y * args.n_x + at.x] = args.keyframe != 0 ? word | SEGMENT_UPDATED : word;
    }
    barrier();
    if (gl_LocalInvocationIndex == 0 && area_of_group != 0) {
        atomicAdd(stats.pixels, area_of_group);
    }
}
