// One axis of the 8-bit triangle filter in 22-bit fixed point, rounded to 8 bits (M2.2). Exact:
// the same integers as ag_ref_resize_u8. An invocation makes one sample of LINES lines, which share
// their weights; neighbouring invocations work on neighbouring columns on either axis.
#version 450
#extension GL_GOOGLE_include_directive : require
#include "interface/resize_args.h"

layout(local_size_x_id = 0, local_size_y_id = 1) in;
layout(constant_id = 2) const bool VERTICAL = false;

layout(push_constant) uniform push_block { resize_args a; };

layout(std430, set = 0, binding = 0) readonly buffer tables_block { uint tables[]; };
layout(std430, set = 0, binding = 1) readonly buffer src_block { uint src[]; };
layout(std430, set = 0, binding = 2) writeonly buffer dst_block { uint dst[]; };

const int BITS = 22;

void main()
{
    uint o = VERTICAL ? gl_GlobalInvocationID.y : gl_GlobalInvocationID.x;
    uint line0 = VERTICAL ? gl_GlobalInvocationID.x : gl_GlobalInvocationID.y;
    uint apart = (a.lines + RESIZE_LINES - 1u) / RESIZE_LINES;
    if (o >= a.n_out || line0 >= apart) {
        return;
    }
    uint pitch = VERTICAL ? 1u : a.n_in, next = VERTICAL ? a.lines : 1u;
    uint first = tables[a.first + o];
    uint taps = min(a.taps, a.n_in - first); // the zero padding may pass the end
    uint at[RESIZE_LINES];
    ivec3 sum[RESIZE_LINES];
    for (uint i = 0; i < RESIZE_LINES; i++) {
        at[i] = min(line0 + i * apart, a.lines - 1u) * pitch + first * next;
        sum[i] = ivec3(1 << (BITS - 1));
    }
    for (uint t = 0; t < taps; t++) {
        int weight = int(tables[a.weights + t * a.n_out + o]);
        for (uint i = 0; i < RESIZE_LINES; i++) {
            uint p = src[at[i] + t * next];
            sum[i] += weight * ivec3(p & 0xffu, (p >> 8) & 0xffu, (p >> 16) & 0xffu);
        }
    }
    for (uint i = 0; i < RESIZE_LINES; i++) {
        uint line = line0 + i * apart;
        if (line < a.lines) {
            uvec3 level = uvec3(clamp(sum[i] >> BITS, 0, 255));
            uint index = VERTICAL ? o * a.lines + line : line * a.n_out + o;
            dst[index] = level.r | level.g << 8 | level.b << 16 | 255u << 24;
        }
    }
}
