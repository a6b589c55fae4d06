// Draws a synthetic frame: the twin of ag_pattern_draw, bit for bit. Additions and multiplications
// are exact in both worlds as long as nothing is fused or reordered (precise); divisions and sines
// come from the host (see generate_args.h).
// One invocation makes GENERATE_ROWS pixels, one below the other: what depends on x alone is
// worked out once, what depends on y alone is the same for a workgroup.
#version 450
#extension GL_GOOGLE_include_directive : require
#include "interface/generate_args.h"

// The variant `quad` makes four pixels of a row at once, for widths that are multiples of four.
#ifdef QUAD
#define PIXELS uvec4
const uint PARTS = 4;
#else
#define PIXELS uint
const uint PARTS = 1;
#endif

layout(local_size_x_id = 0, local_size_y = 1) in;
// A kernel for each pattern: some drivers work through all branches of a switch and drop the rest.
layout(constant_id = 1) const uint PATTERN = AG_GENERATE_PAN;

layout(push_constant) uniform push_block { generate_args a; };

layout(std430, set = 0, binding = 0) writeonly buffer picture_block { PIXELS picture[]; };
layout(std430, set = 0, binding = 1) readonly buffer table_block { float table[]; };

uint rgb(uint r, uint g, uint b)
{
    return (r & 255u) | (g & 255u) << 8 | (b & 255u) << 16 | 255u << 24;
}

// Exact for the numbers named: a multiplication is cheaper than a division, which few devices have.
uint third(uint v) { return v * 43691u >> 17; }        // v < 32768
uint fifth(uint v) { return v * 52429u >> 18; }        // v < 16384
uint seventh(uint v) { return v * 37450u >> 18; }      // v < 16384
uint eighteenth(uint v) { return v * 58255u >> 20; }   // v < 16384

uint clamp8(float v)
{
    return v <= 0.0 ? 0u : v >= 255.0 ? 255u : uint(v);
}

bool inside(ivec2 p, int x0, int y0, int x1, int y1)
{
    return p.x >= x0 && p.x < x1 && p.y >= y0 && p.y < y1;
}

bool in_circle(ivec2 p)
{
    ivec2 d = p - ivec2(a.circle_x, a.circle_y);
    return d.x * d.x + d.y * d.y <= a.circle_r2;
}

uint draw_pan(uvec2 at)
{
    float xf = table[at.x], yf = table[a.width + at.y];
    uint waves = a.width + a.height;
    precise float wave = (table[waves + at.x] + table[waves + a.width + at.y]) * 0.5 + 0.5;
    ivec2 p = ivec2(at);
    if (inside(p, a.x0, a.y0, a.x1, a.y1)) {
        precise float g = 96.0 + wave * 84.0;
        return rgb(238u, clamp8(g), 56u);
    }
    if (in_circle(p)) {
        precise float g = 190.0 + wave * 45.0;
        return rgb(42u, clamp8(g), 214u);
    }
    precise float r = 34.0 + xf * 92.0 + wave * 22.0;
    precise float g = 70.0 + yf * 112.0 + wave * 18.0;
    precise float b = 118.0 + (1.0 - xf) * 68.0 + wave * 20.0;
    return rgb(clamp8(r), clamp8(g), clamp8(b));
}

uint draw_local_motion(uvec2 at)
{
    ivec2 p = ivec2(at);
    if (inside(p, a.box_x0, a.box_y0, a.box_x1, a.box_y1) || in_circle(p)) {
        return rgb(42u, 202u + (third(at.x + at.y) & 31u), 220u);
    }
    uint f = ((13u * at.x ^ 7u * at.y) + 31u) & 31u;
    if (inside(p, a.x0, a.y0, a.x1, a.y1)) {
        uvec2 l = uvec2(p - ivec2(a.x0, a.y0));
        uint t = (fifth(l.x) + seventh(l.y)) & 1u;
        return rgb(210u - 34u * t + third(f), 122u + 28u * t, 48u + ((l.x + l.y) & 31u));
    }
    float xf = table[at.x], yf = table[a.width + at.y];
    uint k = (eighteenth(at.x) + eighteenth(at.y)) & 1u;
    precise float r = 38.0 + xf * 68.0;
    precise float g = 58.0 + yf * 92.0;
    precise float b = 86.0 + (1.0 - xf) * 54.0;
    return rgb(clamp8(r) + 14u * k + f / 4u, clamp8(g) + 10u * k + fifth(f),
               clamp8(b) + 8u * k + third(f));
}

uint draw_noise(uvec2 at)
{
    uint k = at.x * 0x9e3779b1u ^ at.y * 0x85ebca77u ^ a.index * 0xc2b2ae3du;
    k = (k ^ k >> 15) * 0x2c1b3c6du;
    k = (k ^ k >> 12) * 0x297a2d39u;
    k ^= k >> 15;
    return k | 255u << 24;
}

uint draw_checker(uvec2 at)
{
    uint u = at.x + a.add_x, v = at.y + a.add_y;
    uint t = ((u >> 4) + (v >> 4)) & 1u, f = (13u * u ^ 7u * v) & 31u;
    return rgb(40u + 150u * t + f, 60u + 120u * t + f, 90u + 90u * t + f);
}

uint draw_bench(uvec2 at)
{
    return rgb(at.x + a.add_x, at.y + a.add_y, at.x + at.y + a.add_sum);
}

uint draw(uvec2 at)
{
    uint pixel = 0u;
    switch (PATTERN) {
    case AG_GENERATE_PAN:
        pixel = draw_pan(at);
        break;
    case AG_GENERATE_LOCAL_MOTION:
        pixel = draw_local_motion(at);
        break;
    case AG_GENERATE_NOISE:
        pixel = draw_noise(at);
        break;
    case AG_GENERATE_CHECKER:
        pixel = draw_checker(at);
        break;
    case AG_GENERATE_BENCH:
        pixel = draw_bench(at);
        break;
    }
    return pixel;
}

void main()
{
    uint x = gl_GlobalInvocationID.x * PARTS, y0 = gl_WorkGroupID.y * GENERATE_ROWS;
    if (x >= a.width) {
        return;
    }
    for (uint y = y0; y < min(y0 + GENERATE_ROWS, a.height); y++) {
#ifdef QUAD
        picture[(y * a.width + x) / 4] = uvec4(draw(uvec2(x, y)), draw(uvec2(x + 1, y)),
                                               draw(uvec2(x + 2, y)), draw(uvec2(x + 3, y)));
#else
        picture[y * a.width + x] = draw(uvec2(x, y));
#endif
    }
}
