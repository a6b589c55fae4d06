// Model inputs of all tiles (M7.2): RGBA8 -> normalised, bilinear to a canvas of tiles side by side,
// cut into [tiles][3][side][side] float32. In the order of the plain C twin, so that both give the
// same bits: vertical first, no fused multiply-add.
#version 450
#extension GL_GOOGLE_include_directive : require
#include "interface/resize_args.h"

layout(local_size_x_id = 0, local_size_y_id = 1) in;

layout(push_constant) uniform push_block { tile_args a; };

layout(std430, set = 0, binding = 0) readonly buffer tables_block { uint tables[]; };
layout(std430, set = 0, binding = 1) readonly buffer src_block { uint src[]; };
layout(std430, set = 0, binding = 2) writeonly buffer dst_block { float dst[]; };

float table(uint at)
{
    return uintBitsToFloat(tables[at]);
}

vec3 normalised(uint at)
{
    uint p = src[at];
    return vec3(table(a.lut + (p & 0xffu)), table(a.lut + 256u + ((p >> 8) & 0xffu)),
                table(a.lut + 512u + ((p >> 16) & 0xffu)));
}

void main()
{
    uint x = gl_GlobalInvocationID.x, y = gl_GlobalInvocationID.y;
    uint width = a.cols * a.side, height = a.rows * a.side;
    if (x >= width || y >= height) {
        return;
    }
    uint top = tables[a.index_y + y] * a.width, bottom = tables[a.index_y + height + y] * a.width;
    float from_top = table(a.weight_y + y), from_bottom = table(a.weight_y + height + y);
    uint x0 = tables[a.index_x + x], x1 = tables[a.index_x + width + x];
    precise vec3 left = normalised(top + x0) * from_top + normalised(bottom + x0) * from_bottom;
    precise vec3 right = normalised(top + x1) * from_top + normalised(bottom + x1) * from_bottom;
    precise vec3 v = left * table(a.weight_x + x) + right * table(a.weight_x + width + x);

    uint plane = a.side * a.side, tile = y / a.side * a.cols + x / a.side;
    uint at = a.first + 3u * tile * plane + y % a.side * a.side + x % a.side;
    dst[at] = v.r;
    dst[at + plane] = v.g;
    dst[at + 2u * plane] = v.b;
}
