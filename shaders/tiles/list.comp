// Gaze ids of the tiles of a batch -> one list of global cells, tile by tile without gaps, whatever
// the batch. A workgroup a tile. What lies outside of the frame becomes a pad.
//
// totals[b] is where batch b begins in the list: the last tile of a batch writes that of the next
// one; the one behind the last batch is the length of the list. totals[0] is 0.
#version 450
#extension GL_GOOGLE_include_directive : require
#include "interface/tile_list_args.h"

layout(local_size_x_id = 0, local_size_y = 1, local_size_z = 1) in; // a power of two

layout(push_constant, std430) uniform Push { tile_list_args a; };
layout(std430, set = 0, binding = 0) readonly buffer Ids { uint ids[]; };
layout(std430, set = 0, binding = 1) readonly buffer Counts { uint counts[]; };
layout(std430, set = 0, binding = 2) readonly buffer Scales { tile_scale scales[]; };
layout(std430, set = 0, binding = 3) buffer Lists { uint list[]; };

const uint NONE = 0xffffffffu;

shared uint sums[gl_WorkGroupSize.x];

uint slots_of(uint tile)
{
    return min(counts[a.counts_at + tile], a.cells);
}

uint cell_of(uint id, uint tile)
{
    if (id >= a.cells) {
        return NONE; // a pad
    }
    uint s = a.n_scales - 1u;
    while (s > 0u && id < scales[s].first_id) {
        s--;
    }
    tile_scale scale = scales[s];
    uint local = id - scale.first_id, number = a.first_tile + tile;
    uint column = number % a.tile_cols * scale.side + local % scale.side;
    uint row = number / a.tile_cols * scale.side + local / scale.side;
    return column < scale.seen_cols && row < scale.seen_rows
               ? scale.first_cell + row * scale.cols + column : NONE;
}

void main()
{
    uint lane = gl_LocalInvocationIndex, tile = gl_WorkGroupID.x;
    uint before = 0u;
    for (uint i = lane; i < tile; i += gl_WorkGroupSize.x) {
        before += slots_of(i);
    }
    sums[lane] = before;
    for (uint n = gl_WorkGroupSize.x / 2u; n > 0u; n /= 2u) {
        barrier();
        if (lane < n) {
            sums[lane] += sums[lane + n];
        }
    }
    barrier();
    uint slots = slots_of(tile), first = list[a.totals_at + a.batch] + sums[0];
    for (uint i = lane; i < slots; i += gl_WorkGroupSize.x) {
        list[a.list_at + first + i] = cell_of(ids[a.ids_at + tile * a.cells + i], tile);
    }
    if (lane == 0u && tile == gl_NumWorkGroups.x - 1u) {
        list[a.totals_at + a.batch + 1u] = first + slots;
    }
}
