// Patch-diff (S4): partial sums -> score of each cell, in the order of the C reference -> list of
// the cells above the threshold, ascending, and its length. One workgroup; every invocation has a
// run of neighbouring cells.
#version 450
#extension GL_GOOGLE_include_directive : require

#include "interface/diff_args.h"

layout(local_size_x_id = 0, local_size_y = 1, local_size_z = 1) in;

layout(push_constant, std430) uniform Push { select_args args; };
layout(std430, set = 0, binding = 0) readonly buffer Partial { uint partial[]; };
layout(std430, set = 0, binding = 1) readonly buffer Means { float means[]; }; // 1 / (3 pixels)
layout(std430, set = 0, binding = 2) buffer Scores { float scores[]; };
layout(std430, set = 0, binding = 3) writeonly buffer List { uint list[]; };

shared uint counts[gl_WorkGroupSize.x]; // selected cells up to and with an invocation's

// Sum over the bands in float32, rounded once. It may exceed 32 bits: low and high halves of its
// terms are added up apart.
float sum_of(uint cell, uint channel)
{
    uint low = 0, high = 0;
    for (uint b = 0; b < args.bands; b++) {
        uint term = partial[3 * (cell * args.bands + b) + channel];
        low += term & 0xffff;
        high += term >> 16;
    }
    precise float upper = float(high + (low >> 16)) * 65536.0;
    precise float sum = upper + float(low & 0xffff);
    return sum;
}

float score_of(uint cell)
{
    precise float score = 0.0;
    for (uint c = 0; c < 3; c++) {
        score = score + sum_of(cell, c) * args.weights[c];
    }
    score = score * means[cell];
    return score;
}

void main()
{
    uint lane = gl_LocalInvocationIndex;
    uint run = (args.n + gl_WorkGroupSize.x - 1) / gl_WorkGroupSize.x;
    uint begin = min(lane * run, args.n), end = min(begin + run, args.n);
    uint n = 0;
    for (uint i = begin; i < end; i++) {
        scores[i] = score_of(i);
        n += scores[i] > args.threshold ? 1 : 0;
    }
    counts[lane] = n;
    barrier();
    for (uint reach = 1; reach < gl_WorkGroupSize.x; reach *= 2) {
        uint before = lane >= reach ? counts[lane - reach] : 0;
        barrier();
        counts[lane] += before;
        barrier();
    }
    uint at = SELECT_CELLS_AT + counts[lane] - n;
    for (uint i = begin; i < end; i++) {
        if (scores[i] > args.threshold) {
            list[at++] = i;
        }
    }
    if (lane == gl_WorkGroupSize.x - 1) {
        list[0] = counts[lane];
    }
}
