// canvas := input where the centre of the canvas pixel lies in a drawn cell (M11), and the squared
// difference that is left: one partial sum a workgroup, which paint_sum.comp adds up.
#version 450
#extension GL_GOOGLE_include_directive : require

#include "interface/paint_args.h"
#include "interface/plan_args.h"

layout(local_size_x_id = 0, local_size_y = 1, local_size_z = 1) in; // a power of two

layout(constant_id = 1) const uint PIXELS = 1; // of an invocation
layout(constant_id = 2) const uint ERROR = 1; // 0: no error is asked for

layout(push_constant, std430) uniform Push { paint_args args; };
layout(std430, set = 0, binding = 0) readonly buffer Input { float source[]; };
layout(std430, set = 0, binding = 1) buffer Canvas { float canvas[]; };
layout(std430, set = 0, binding = 2) readonly buffer Grids { plan_grid grids[]; };
layout(std430, set = 0, binding = 3) readonly buffer Kept { uint kept[]; };
// Columns [n_grids][cols * side], then rows [n_grids][rows * side]: cells of a grid that hold the centre of a canvas pixel,
// lowest in the low half-word, highest in the high one; none when lowest > highest.
layout(std430, set = 0, binding = 4) readonly buffer Centres { uint centres[]; };
layout(std430, set = 0, binding = 5) writeonly buffer Partial { float partial[]; };

shared float sums[gl_WorkGroupSize.x];

bool in_grid(uint g, uint x, uint y)
{
    uint width = args.cols * args.side, height = args.tiles / args.cols * args.side;
    uint columns = centres[g * width + x];
    uint rows = centres[args.n_grids * width + g * height + y];
    for (uint r = rows & 0xffff; r <= rows >> 16; r++) {
        for (uint c = columns & 0xffff; c <= columns >> 16; c++) {
            uint cell = grids[g].first + r * grids[g].cols + c;
            if ((kept[cell >> 5] >> (cell & 31) & 1) != 0) {
                return true;
            }
        }
    }
    return false;
}

bool is_painted(uint x, uint y)
{
    bool painted = args.keyframe != 0;
    for (uint g = 0; g < args.n_grids && !painted; g++) {
        painted = in_grid(g, x, y);
    }
    return painted;
}

// Squared difference in RGB 0..1 after painting. Pixels are counted tile by tile.
float paint(uint pixel)
{
    uint plane = args.side * args.side;
    uint tile = pixel / plane, in_tile = pixel % plane, at = 3 * tile * plane + in_tile;
    bool painted = is_painted(tile % args.cols * args.side + in_tile % args.side,
                              tile / args.cols * args.side + in_tile / args.side);
    float sum = 0.0;
    for (uint c = 0; c < 3; c++) {
        float value = source[args.input_at + c * plane + at];
        if (painted) {
            canvas[args.canvas_at + c * plane + at] = value;
        } else if (ERROR != 0) {
            float d = (canvas[args.canvas_at + c * plane + at] - value) * args.rgb[c];
            sum += d * d;
        }
    }
    return sum;
}

void main()
{
    uint lane = gl_LocalInvocationIndex, n_pixels = args.tiles * args.side * args.side;
    uint first = gl_WorkGroupID.x * gl_WorkGroupSize.x * PIXELS + lane;
    float sum = 0.0;
    for (uint i = 0; i < PIXELS; i++) {
        uint at = first + i * gl_WorkGroupSize.x;
        sum += at < n_pixels ? paint(at) : 0.0;
    }
    if (ERROR == 0) {
        return;
    }
    sums[lane] = sum;
    for (uint n = gl_WorkGroupSize.x / 2; n > 0; n /= 2) {
        barrier();
        if (lane < n) {
            sums[lane] += sums[lane + n];
        }
    }
    if (lane == 0) {
        partial[gl_WorkGroupID.x] = sums[0];
    }
}
