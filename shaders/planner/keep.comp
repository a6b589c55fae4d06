// Deduplication: a cell is kept iff it is the first, in order, to cover some segment. (The union of
// the kept cells before it equals the union of all cells before it: by induction, a dropped cell
// adds nothing.) One invocation a segment.
#version 450
#extension GL_GOOGLE_include_directive : require

#include "interface/plan_args.h"
#include "interface/segment_args.h"

layout(local_size_x_id = 0, local_size_y_id = 1, local_size_z = 1) in;

layout(push_constant, std430) uniform Push { segment_args args; };
layout(std430, set = 0, binding = 0) readonly buffer Grids { plan_grid grids[]; };
layout(std430, set = 0, binding = 1) readonly buffer Ranges { segment_range ranges[]; };
layout(std430, set = 0, binding = 2) readonly buffer Selected { uint selected[]; };
layout(std430, set = 0, binding = 3) buffer Kept { uint kept[]; };
layout(std430, set = 0, binding = 4) buffer Stats { plan_stats stats; };

void keep(uint cell, uint grid)
{
    uint bit = 1u << (cell & 31);
    // Most segments find their cell kept already: look before the atomic.
    if ((kept[cell >> 5] & bit) == 0 && (atomicOr(kept[cell >> 5], bit) & bit) == 0) {
        atomicAdd(stats.kept, 1);
        atomicAdd(stats.per_grid[grid], 1);
    }
}

void main()
{
    uvec2 at = gl_GlobalInvocationID.xy;
    if (at.x >= args.n_x || at.y >= args.n_y) {
        return;
    }
    for (uint g = 0; g < args.n_grids; g++) {
        uint columns = ranges[g * args.n_x + at.x].cover;
        uint rows = ranges[args.n_grids * args.n_x + g * args.n_y + at.y].cover;
        for (uint r = rows & 0xffff; r <= rows >> 16; r++) {
            for (uint c = columns & 0xffff; c <= columns >> 16; c++) {
                uint cell = grids[g].first + r * grids[g].cols + c;
                if ((selected[cell >> 5] >> (cell & 31) & 1) != 0) {
                    keep(cell, g);
                    return;
                }
            }
        }
    }
}
