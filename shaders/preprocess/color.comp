// Samples of any layout -> upright RGBA8 picture. Integer arithmetic throughout, the same as
// ag_ref_picture: every device gives the same picture.
// One invocation converts a strip of a row. Strips begin at whole words in every plane, so that
// each word is read once; where a sample lies in its word is known when the kernel is made.
#version 450
#extension GL_GOOGLE_include_directive : require
#include "interface/color_args.h"
#include "interface/pixel_layout.h"

layout(local_size_x_id = 0, local_size_y_id = 1) in;
layout(constant_id = COLOR_KIND) const uint KIND = AG_PIXEL_YUV;
layout(constant_id = COLOR_ALPHA) const bool ALPHA = false;
layout(constant_id = COLOR_SHIFT_X) const uint SHIFT_X = 0;
layout(constant_id = COLOR_SHIFT_Y) const uint SHIFT_Y = 0;
layout(constant_id = COLOR_CHROMA_X) const uint CHROMA_X = 0;
layout(constant_id = COLOR_CHROMA_Y) const uint CHROMA_Y = 0;
layout(constant_id = COLOR_FORM) const uint FORM0 = 0;
layout(constant_id = COLOR_FORM + 1) const uint FORM1 = 0;
layout(constant_id = COLOR_FORM + 2) const uint FORM2 = 0;
layout(constant_id = COLOR_FORM + 3) const uint FORM3 = 0;

layout(push_constant) uniform push_block { color_args a; };

layout(std430, set = 0, binding = 0) readonly buffer samples_block { uint samples[]; };
layout(std430, set = 0, binding = 1) writeonly buffer picture_block { uint picture[]; };

const uint MAX_STRIP = 16; // COLOR_STRIP(2)
const uint COLUMNS = 4;    // of chroma in a strip
const uint STRIP = COLUMNS << SHIFT_X;

// The sample that begins at byte `at` of a word, widened to 16 bits.
uint widened(uint form, uint word, uint at)
{
    uint drop = (form >> 8) & 0xffu, depth = (form >> 16) & 0xffu;
    return ((word >> (8u * at + drop)) & ((1u << depth) - 1u)) << (16u - depth);
}

// Sample x of the row that begins at word `row`.
uint fetch(uint form, uint row, uint x)
{
    uint at = (form >> 24) + x * (form & 0xffu);
    return widened(form, samples[row + (at >> 2)], at & 3u);
}

// Samples x0 .. x0+n-1 of a row; x0 is a multiple of 4 here and everywhere.
void fetch_strip(uint form, uint row, uint x0, uint n, out uint v[MAX_STRIP])
{
    uint step = form & 0xffu, first = row + x0 / 4u * step;
    uint word = samples[first];
    for (uint i = 0, have = 0; i < n; i++) {
        uint at = (form >> 24) + i * step;
        if (at >> 2 != have) {
            have = at >> 2;
            word = samples[first + have];
        }
        v[i] = widened(form, word, at & 3u);
    }
}

// ---- chroma ----------------------------------------------------------------------------------
// Distances are counted in half luma pixels: chroma samples are 2 << shift apart, the first one
// lies at CHROMA_X. Interpolated values are scaled by 2 << shift and rounded at the very end.

uint mixed(uint first, uint second, uint t, uint shift)
{
    return (first << (shift + 1u)) + (second - first) * t;
}

const uint SCALE_BITS = (SHIFT_X > 0 ? SHIFT_X + 1 : 0) + (SHIFT_Y > 0 ? SHIFT_Y + 1 : 0);

// Columns cx-1 .. cx+4 of component c between the chroma rows around luma row y.
void columns(uint form, uint c, uint cx, uint y, out uint col[COLUMNS + 2])
{
    uint last = (a.width - 1u) >> SHIFT_X, last_row = (a.height - 1u) >> SHIFT_Y;
    int u = 2 * int(y) - int(CHROMA_Y), k = SHIFT_Y > 0 ? u >> (SHIFT_Y + 1) : int(y);
    uint t = uint(u) & ((2u << SHIFT_Y) - 1u);
    uint row0 = a.word[c] + uint(clamp(k, 0, int(last_row))) * a.pitch[c];
    uint row1 = a.word[c] + uint(clamp(k + 1, 0, int(last_row))) * a.pitch[c];

    uint v[MAX_STRIP], w[MAX_STRIP];
    uint left = cx - min(cx, 1u), right = min(cx + COLUMNS, last);
    fetch_strip(form, row0, cx, COLUMNS, v);
    col[0] = SHIFT_X > 0 ? fetch(form, row0, left) : 0u;
    col[COLUMNS + 1] = SHIFT_X > 0 ? fetch(form, row0, right) : 0u;
    for (uint j = 0; j < COLUMNS; j++) {
        col[j + 1] = v[j];
    }
    if (SHIFT_Y > 0) {
        fetch_strip(form, row1, cx, COLUMNS, w);
        col[0] = mixed(col[0], SHIFT_X > 0 ? fetch(form, row1, left) : 0u, t, SHIFT_Y);
        col[COLUMNS + 1] =
            mixed(col[COLUMNS + 1], SHIFT_X > 0 ? fetch(form, row1, right) : 0u, t, SHIFT_Y);
        for (uint j = 0; j < COLUMNS; j++) {
            col[j + 1] = mixed(col[j + 1], w[j], t, SHIFT_Y);
        }
    }
    // Behind the last column there is the last column.
    for (uint j = 1; j < COLUMNS; j++) {
        col[j + 1] = cx + j > last ? col[j] : col[j + 1];
    }
    col[COLUMNS + 1] = cx + COLUMNS > last ? col[COLUMNS] : col[COLUMNS + 1];
}

void chroma(uint form, uint c, uint x0, uint y, out uint v[MAX_STRIP])
{
    uint col[COLUMNS + 2];
    columns(form, c, x0 >> SHIFT_X, y, col);
    for (uint i = 0; i < STRIP; i++) {
        uint value = col[i % COLUMNS + 1];
        if (SHIFT_X > 0) {
            int u = 2 * int(i) - int(CHROMA_X), k = u >> (SHIFT_X + 1);
            value = mixed(col[k + 1], col[k + 2], uint(u) & ((2u << SHIFT_X) - 1u), SHIFT_X);
        }
        v[i] = SCALE_BITS > 0 ? (value + (1u << (SCALE_BITS - 1))) >> SCALE_BITS : value;
    }
}

// ---- pixels ----------------------------------------------------------------------------------

uint level(int sum)
{
    return uint(clamp((sum + (1 << (COLOR_SHIFT - 1))) >> COLOR_SHIFT, 0, 255));
}

uint to_rgb(int v0, int v1, int v2)
{
    if (KIND == AG_PIXEL_RGB) {
        return level(a.m[0] * v0) | level(a.m[4] * v1) << 8 | level(a.m[8] * v2) << 16;
    }
    int luma = a.m[0] * v0;
    if (KIND == AG_PIXEL_GREY) {
        return level(a.bias[0] + luma) * 0x010101u;
    }
    uint red = level(a.bias[0] + luma + a.m[2] * v2);
    uint green = level(a.bias[1] + luma + a.m[4] * v1 + a.m[5] * v2);
    uint blue = level(a.bias[2] + luma + a.m[7] * v1);
    return red | green << 8 | blue << 16;
}

// Where sample (x, y) stands in the upright picture, and the way from there to (x + 1, y).
void picture_place(uint x, uint y, out uint at, out uint next)
{
    x = a.mirrored != 0u ? a.width - 1u - x : x;
    uint right = a.width - 1u - x, below = a.height - 1u - y;
    switch (a.rotation) {
    case 0u:
        at = y * a.width + x;
        next = 1u;
        break;
    case 1u:
        at = x * a.height + below;
        next = a.height;
        break;
    case 2u:
        at = below * a.width + right;
        next = uint(-1);
        break;
    default:
        at = right * a.height + y;
        next = -a.height;
        break;
    }
    next = a.mirrored != 0u ? -next : next;
}

void main()
{
    uint x0 = gl_GlobalInvocationID.x * STRIP, y = gl_GlobalInvocationID.y;
    if (x0 >= a.width || y >= a.height) {
        return;
    }
    uint v0[MAX_STRIP], v1[MAX_STRIP], v2[MAX_STRIP], v3[MAX_STRIP];
    fetch_strip(FORM0, a.word[0] + y * a.pitch[0], x0, STRIP, v0);
    if (KIND == AG_PIXEL_YUV) {
        chroma(FORM1, 1u, x0, y, v1);
        chroma(FORM2, 2u, x0, y, v2);
    } else if (KIND == AG_PIXEL_RGB) {
        fetch_strip(FORM1, a.word[1] + y * a.pitch[1], x0, STRIP, v1);
        fetch_strip(FORM2, a.word[2] + y * a.pitch[2], x0, STRIP, v2);
    }
    if (ALPHA) {
        fetch_strip(FORM3, a.word[3] + y * a.pitch[3], x0, STRIP, v3);
    }
    uint at, next;
    picture_place(x0, y, at, next);
    for (uint i = 0; i < STRIP; i++, at += next) {
        if (x0 + i < a.width) {
            uint alpha = ALPHA ? level(a.alpha * int(v3[i])) : 255u;
            picture[at] = to_rgb(int(v0[i]), int(v1[i]), int(v2[i])) | alpha << 24;
        }
    }
}
