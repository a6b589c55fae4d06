#version 450
#extension GL_GOOGLE_include_directive : require
// A picture in a storage buffer drawn into a rectangle. Smaller than the picture: the mean of the
// source pixels under each target pixel, weighted by area, so that nothing shimmers. Larger: the
// nearest source pixel, so that single pixels can be inspected. Each axis for itself.
#include "interface/panel_args.h"

layout(constant_id = 0) const uint TARGET_IS_SRGB = 0;

layout(push_constant) uniform Push { panel_args args; };
layout(set = 0, binding = 0, std430) readonly buffer Picture { uint pixels[]; };

layout(location = 0) out vec4 color;

#include "lib/srgb.glsl"

// Beyond this many source pixels a side only so many evenly spread ones are read.
const uint MAX_TAPS = 8;

// The source pixels of one axis under a target pixel: all have weight 1 but the two at the ends.
struct taps {
    uint n;
    float first, step;     // position of the first tap, distance
    float head, tail;      // weights of the first and of the last
};

taps footprint(float target, float scale)
{
    taps t;
    t.head = t.tail = t.step = 1.0;
    if (scale <= 1.0) {
        t.n = 1;
        t.first = (target + 0.5) * scale;
        return t;
    }
    float begin = target * scale, end = begin + scale;
    float first = floor(begin + 0.001), last = ceil(end - 0.001) - 1.0;
    t.n = uint(last - first) + 1;
    t.first = first + 0.5;
    t.head = min(first + 1.0, end) - begin;
    t.tail = end - max(last, begin);
    if (t.n > MAX_TAPS) {
        t.n = MAX_TAPS;
        t.step = scale / float(MAX_TAPS);
        t.first = begin + 0.5 * t.step;
        t.head = t.tail = 1.0;
    }
    return t;
}

uint position(float at, uint limit)
{
    return min(uint(max(at, 0.0)), limit - 1);
}

void main()
{
    vec2 at = floor(gl_FragCoord.xy) - vec2(args.x, args.y);
    vec2 scale = vec2(args.source_width, args.source_height) / vec2(args.width, args.height);
    taps tx = footprint(at.x, scale.x);
    taps ty = footprint(at.y, scale.y);
    vec4 sum = vec4(0.0); // colour times alpha, alpha
    float total = 0.0;
    for (uint j = 0; j < ty.n; j++) {
        uint row = position(ty.first + float(j) * ty.step, args.source_height) * args.source_width;
        float wy = j == 0 ? ty.head : j == ty.n - 1 ? ty.tail : 1.0;
        for (uint i = 0; i < tx.n; i++) {
            uint column = position(tx.first + float(i) * tx.step, args.source_width);
            float w = i == 0 ? wy * tx.head : i == tx.n - 1 ? wy * tx.tail : wy;
            vec4 c = unpackUnorm4x8(pixels[row + column]);
            c.a = args.use_alpha != 0 ? c.a : 1.0;
            sum += vec4(w * c.a * c.rgb, w * c.a);
            total += w;
        }
    }
    vec3 background = unpackUnorm4x8(args.background).rgb;
    vec3 mean = (sum.rgb + (total - sum.a) * background) / total;
    color = vec4(TARGET_IS_SRGB != 0 ? srgb_decode(mean) : mean, 1.0);
}
