// Cell list -> bitmap of the distinct cells, bitmap of the drawn ones (`native` and `effective`;
// keep.comp makes that of `deduplicated`), counters. One workgroup, everything in shared memory.
#version 450
#extension GL_GOOGLE_include_directive : require

#include "interface/plan_args.h"

layout(local_size_x_id = 0, local_size_y = 1, local_size_z = 1) in;

layout(push_constant, std430) uniform Push { collect_args args; };
layout(std430, set = 0, binding = 0) readonly buffer List { uint list[]; };
layout(std430, set = 0, binding = 1) readonly buffer Count { uint count[]; };
// Grids of the drawn layout, from PLAN_MAX_GRIDS on those of the input's.
layout(std430, set = 0, binding = 2) readonly buffer Grids { plan_grid all_grids[]; };
layout(std430, set = 0, binding = 3) readonly buffer Sources { uint sources[]; };
layout(std430, set = 0, binding = 4) writeonly buffer Stats { plan_stats stats; };
layout(std430, set = 0, binding = 5) writeonly buffer Selected { uint selected_out[]; };
layout(std430, set = 0, binding = 6) writeonly buffer Kept { uint kept_out[]; };
layout(std430, set = 0, binding = 7) writeonly buffer Contributor { uint contributor[]; };

shared uint selected[PLAN_BITMAP_WORDS];
shared uint kept[PLAN_BITMAP_WORDS];
shared uint n_selected;
shared uint n_kept;
shared uint per_grid[PLAN_MAX_GRIDS];

// Of the input's layout.
plan_grid grid(uint g)
{
    return all_grids[PLAN_MAX_GRIDS + g];
}

uint grid_of(uint cell)
{
    uint g = args.n_grids - 1;
    while (g > 0 && cell < grid(g).first) {
        g--;
    }
    return g;
}

void count_kept(uint g)
{
    atomicAdd(n_kept, 1);
    atomicAdd(per_grid[g], 1);
}

void select_cell(uint cell)
{
    uint bit = 1u << (cell & 31);
    if ((atomicOr(selected[cell >> 5], bit) & bit) != 0) {
        return; // a repeat
    }
    atomicAdd(n_selected, 1);
    if (args.geometry == PLAN_NATIVE) {
        count_kept(grid_of(cell));
    }
}

// A target cell is drawn if a grid has a selected cell whose centre it holds: the finest names the
// colour. Grids are no finer than the target, so each has one such cell at most.
void gather_target(uint target)
{
    uint column = target % args.target_cols, row = target / args.target_cols;
    uint stride = args.target_cols + args.target_rows;
    for (uint g = args.n_grids; g-- > 0;) {
        uint c = sources[g * stride + column];
        uint r = sources[g * stride + args.target_cols + row];
        if (c == PLAN_NO_SOURCE || r == PLAN_NO_SOURCE) {
            continue;
        }
        uint cell = grid(g).first + r * grid(g).cols + c;
        if ((selected[cell >> 5] >> (cell & 31) & 1) != 0) {
            atomicOr(kept[target >> 5], 1u << (target & 31));
            contributor[target] = g;
            count_kept(g);
            return;
        }
    }
}

void main()
{
    uint lane = gl_LocalInvocationIndex;
    for (uint i = lane; i < PLAN_BITMAP_WORDS; i += gl_WorkGroupSize.x) {
        selected[i] = 0;
        kept[i] = 0;
    }
    if (lane < PLAN_MAX_GRIDS) {
        per_grid[lane] = 0;
    }
    if (lane == 0) {
        n_selected = 0;
        n_kept = 0;
    }
    barrier();

    uint listed = min(count[args.count_at], args.max_cells);
    for (uint i = lane; i < listed; i += gl_WorkGroupSize.x) {
        uint cell = list[args.cells_at + i];
        if (cell < args.cells) {
            select_cell(cell);
        }
    }
    barrier();

    if (args.geometry == PLAN_EFFECTIVE) {
        for (uint i = lane; i < args.target_cols * args.target_rows; i += gl_WorkGroupSize.x) {
            gather_target(i);
        }
        barrier();
    }

    for (uint i = lane; i < PLAN_BITMAP_WORDS; i += gl_WorkGroupSize.x) {
        selected_out[i] = selected[i];
        kept_out[i] = args.geometry == PLAN_NATIVE ? selected[i] : kept[i];
    }
    if (lane < PLAN_MAX_GRIDS) {
        stats.per_grid[lane] = per_grid[lane];
    }
    if (lane == 0) {
        stats.listed = listed;
        stats.selected = n_selected;
        stats.kept = n_kept;
        stats.pixels = 0;
        stats.keyframe = args.keyframe;
        stats.chosen = n_selected;
        stats.repaired = 0;
        stats.path = args.keyframe != 0 ? PLAN_PATH_KEYFRAME : PLAN_PATH_DENSE;
    }
}
