// Samples of any layout -> upright RGBA8 picture. Integer arithmetic throughout, the same as
// ag_ref_picture: every device gives the same picture.
// One invocation converts STRIP samples of a row, which share their chroma columns.
#version 450
#extension GL_GOOGLE_include_directive : require
#include "interface/color_args.h"

layout(local_size_x_id = 0, local_size_y_id = 1) in;
// Chroma has fewer columns / rows than luma: interpolate.
layout(constant_id = 2) const bool FEWER_COLUMNS = true;
layout(constant_id = 3) const bool FEWER_ROWS = true;

layout(push_constant) uniform push_block { color_args a; };

layout(std430, set = 0, binding = 0) readonly buffer samples_block { uint samples[]; };
layout(std430, set = 0, binding = 1) writeonly buffer picture_block { uint picture[]; };

const uint STRIP = 4;

uint shift_x(uint c)
{
    return bitfieldExtract(a.form[c], 24, 4);
}

uint shift_y(uint c)
{
    return bitfieldExtract(a.form[c], 28, 4);
}

// Sample (x, y) of a component's own plane, widened to 16 bits.
uint fetch(uint c, uint x, uint y)
{
    uint form = a.form[c], depth = bitfieldExtract(form, 16, 8);
    uint at = a.offset[c] + y * a.pitch[c] + x * (form & 0xffu);
    uint v = samples[at >> 2] >> (8u * (at & 3u) + bitfieldExtract(form, 8, 8));
    return bitfieldExtract(v, 0, int(depth)) << (16u - depth);
}

// The two samples around a luma position on one axis and their weights, which add up to
// 2 << shift: distances are counted in half luma pixels.
struct tap {
    int index; // of the first, before clamping
    uint weight0, weight1;
};

tap tap_at(uint at, uint shift, uint offset)
{
    int u = 2 * int(at) - int(offset);
    uint apart = 2u << shift, t = uint(u) & (apart - 1u);
    return tap(u >> (shift + 1u), apart - t, t);
}

// Column x of a chroma plane between the rows around luma row y; weights add up to 2 << shift.
uint column(uint c, int x, tap rows)
{
    int last = int((a.width - 1u) >> shift_x(c));
    uint cx = uint(clamp(x, 0, last));
    if (!FEWER_ROWS) {
        return fetch(c, cx, uint(rows.index)) * 2u;
    }
    last = int((a.height - 1u) >> shift_y(c));
    return fetch(c, cx, uint(clamp(rows.index, 0, last))) * rows.weight0 +
           fetch(c, cx, uint(clamp(rows.index + 1, 0, last))) * rows.weight1;
}

void chroma(uint c, uint x0, uint y, out int v[STRIP])
{
    uint sx = shift_x(c), bits = sx + shift_y(c) + 2u, rounding = 1u << (bits - 1u);
    tap rows = FEWER_ROWS ? tap_at(y, shift_y(c), a.chroma_y) : tap(int(y), 2u, 0u);
    if (!FEWER_COLUMNS) {
        for (uint i = 0; i < STRIP; i++) {
            v[i] = int((column(c, int(x0 + i), rows) * 2u + rounding) >> bits);
        }
        return;
    }
    // A strip spans at most four columns: its ends are 6 half pixels apart, columns at least 4.
    int base = tap_at(x0, sx, a.chroma_x).index;
    uint c0 = column(c, base, rows), c1 = column(c, base + 1, rows);
    uint c2 = column(c, base + 2, rows), c3 = column(c, base + 3, rows);
    for (uint i = 0; i < STRIP; i++) {
        tap t = tap_at(x0 + i, sx, a.chroma_x);
        int k = t.index - base;
        uint left = k == 0 ? c0 : k == 1 ? c1 : c2, right = k == 0 ? c1 : k == 1 ? c2 : c3;
        v[i] = int((left * t.weight0 + right * t.weight1 + rounding) >> bits);
    }
}

uint level(int sum)
{
    return uint(clamp((sum + (1 << (COLOR_SHIFT - 1))) >> COLOR_SHIFT, 0, 255));
}

// Where sample (x, y) stands in the upright picture.
uint picture_index(uint x, uint y)
{
    uint right = a.width - 1u - x, below = a.height - 1u - y;
    switch (a.rotation) {
    case 1u:
        return x * a.height + below;
    case 2u:
        return below * a.width + right;
    case 3u:
        return right * a.height + y;
    }
    return y * a.width + x;
}

void main()
{
    uint x0 = gl_GlobalInvocationID.x * STRIP, y = gl_GlobalInvocationID.y;
    if (x0 >= a.width || y >= a.height) {
        return;
    }
    int v1[STRIP] = int[](0, 0, 0, 0), v2[STRIP] = int[](0, 0, 0, 0);
    if (a.components == 3u) {
        chroma(1u, x0, y, v1);
        chroma(2u, x0, y, v2);
    }
    for (uint i = 0; i < STRIP && x0 + i < a.width; i++) {
        uint x = x0 + i;
        int v0 = int(fetch(0u, x, y));
        uint red = level(a.bias[0] + a.m[0] * v0 + a.m[1] * v1[i] + a.m[2] * v2[i]);
        uint green = level(a.bias[1] + a.m[3] * v0 + a.m[4] * v1[i] + a.m[5] * v2[i]);
        uint blue = level(a.bias[2] + a.m[6] * v0 + a.m[7] * v1[i] + a.m[8] * v2[i]);
        uint alpha = a.alpha == 0 ? 255u : level(a.alpha * int(fetch(3u, x, y)));
        picture[picture_index(x, y)] = red | green << 8 | blue << 16 | alpha << 24;
    }
}
