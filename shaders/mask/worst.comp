// Errors of the cells -> list of those beyond the target, worst first, equal ones by number, as
// many as are allowed; behind them the cells that were chosen before. All in exact integers. One
// workgroup.
#version 450
#extension GL_GOOGLE_include_directive : require

#include "interface/error_args.h"

layout(local_size_x_id = 0, local_size_y = 1, local_size_z = 1) in;

layout(push_constant, std430) uniform Push { worst_args args; };
layout(std430, set = 0, binding = 0) readonly buffer Partial { uint partial[]; };
layout(std430, set = 0, binding = 1) readonly buffer Chosen { uint chosen[]; }; // bit a cell
layout(std430, set = 0, binding = 2) writeonly buffer List { uint list[]; };

shared uvec2 errors[ERROR_CELLS]; // low, high word; zero for cells within the target
shared uint counts[gl_WorkGroupSize.x]; // chosen cells up to and with an invocation's
shared uint beyond;

uvec2 error_of(uint cell)
{
    uvec2 sum = uvec2(0);
    for (uint b = 0; b < args.bands; b++) {
        uint carry;
        sum.x = uaddCarry(sum.x, partial[cell * args.bands + b], carry);
        sum.y += carry;
    }
    return sum;
}

bool is_more(uvec2 a, uvec2 b)
{
    return a.y > b.y || (a.y == b.y && a.x > b.x);
}

// Pixels of a column (row) in a picture of `end`.
uint extent_of(uint index, uint extent, uint end)
{
    uint begin = (index * extent + ERROR_GRID - 1) / ERROR_GRID;
    return min(((index + 1) * extent + ERROR_GRID - 1) / ERROR_GRID, end) - min(begin, end);
}

bool is_beyond(uint cell, uvec2 error)
{
    uint area = extent_of(cell % ERROR_GRID, args.grid_width, args.width) *
                extent_of(cell / ERROR_GRID, args.grid_height, args.height);
    uvec2 allowed;
    umulExtended(area, args.target, allowed.y, allowed.x);
    return is_more(uvec2(error.x << WORST_SHIFT,
                         error.y << WORST_SHIFT | error.x >> (32 - WORST_SHIFT)), allowed);
}

uint rank_of(uint cell)
{
    uint rank = 0;
    for (uint i = 0; i < ERROR_CELLS; i++) {
        bool first = is_more(errors[i], errors[cell]) || (errors[i] == errors[cell] && i < cell);
        rank += first ? 1 : 0;
    }
    return rank;
}

void main()
{
    uint lane = gl_LocalInvocationIndex;
    if (lane == 0) {
        beyond = 0;
    }
    barrier();
    for (uint i = lane; i < ERROR_CELLS; i += gl_WorkGroupSize.x) {
        uvec2 error = error_of(i);
        bool is_candidate = is_beyond(i, error);
        errors[i] = is_candidate ? error : uvec2(0);
        if (is_candidate) {
            atomicAdd(beyond, 1);
        }
    }
    uint run = (args.chosen_words + gl_WorkGroupSize.x - 1) / gl_WorkGroupSize.x;
    uint begin = min(lane * run, args.chosen_words), end = min(begin + run, args.chosen_words);
    uint n = 0;
    for (uint w = begin; w < end; w++) {
        n += bitCount(chosen[w]);
    }
    counts[lane] = n;
    barrier();
    for (uint reach = 1; reach < gl_WorkGroupSize.x; reach *= 2) {
        uint before = lane >= reach ? counts[lane - reach] : 0;
        barrier();
        counts[lane] += before;
        barrier();
    }

    uint added = min(beyond, args.limit);
    for (uint i = lane; i < ERROR_CELLS; i += gl_WorkGroupSize.x) {
        uint rank = errors[i] != uvec2(0) ? rank_of(i) : added;
        if (rank < added) {
            list[WORST_CELLS_AT + rank] = args.first + i;
        }
    }
    uint at = WORST_CELLS_AT + added + counts[lane] - n;
    for (uint w = begin; w < end; w++) {
        for (uint bits = chosen[w]; bits != 0; bits &= bits - 1) {
            list[at++] = 32 * w + findLSB(bits);
        }
    }
    if (lane == gl_WorkGroupSize.x - 1) {
        list[0] = added + counts[lane];
        list[1] = counts[lane];
        list[2] = added;
        list[3] = beyond;
    }
}
