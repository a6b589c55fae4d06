// Normalisation and the second resize (M2.1 step 4, M2.3): RGBA8 -> [3][side][side] float32.
// Four horizontal interpolations, then one vertical; the edge is replicated by the index tables.
#version 450
#extension GL_GOOGLE_include_directive : require
#include "interface/resize_args.h"

layout(local_size_x_id = 0, local_size_y_id = 1) in;

layout(push_constant) uniform push_block { bicubic_args a; };

layout(std430, set = 0, binding = 0) readonly buffer tables_block { uint tables[]; };
layout(std430, set = 0, binding = 1) readonly buffer src_block { uint src[]; };
layout(std430, set = 0, binding = 2) writeonly buffer dst_block { float dst[]; };

float table(uint at)
{
    return uintBitsToFloat(tables[at]);
}

vec3 normalised(uint p)
{
    return vec3(table(a.lut + (p & 0xffu)), table(a.lut + 256u + ((p >> 8) & 0xffu)),
                table(a.lut + 512u + ((p >> 16) & 0xffu)));
}

void main()
{
    uint x = gl_GlobalInvocationID.x, y = gl_GlobalInvocationID.y;
    if (x >= a.side || y >= a.side) {
        return;
    }
    vec3 sum = vec3(0.0);
    for (uint j = 0; j < a.taps_y; j++) {
        uint row = tables[a.index_y + j * a.side + y] * a.width;
        vec3 h = vec3(0.0);
        for (uint i = 0; i < a.taps_x; i++) {
            uint column = tables[a.index_x + i * a.side + x];
            h += normalised(src[row + column]) * table(a.weight_x + i * a.side + x);
        }
        sum += h * table(a.weight_y + j * a.side + y);
    }
    uint at = a.first + y * a.side + x, plane = a.side * a.side;
    dst[at] = sum.r;
    dst[at + plane] = sum.g;
    dst[at + 2u * plane] = sum.b;
}
