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

struct taps {
    uint n;
    float first, step;     // position of the first tap, distance
    float begin, end;      // footprint, for weights
    bool weighted;
};

taps footprint(float target, float scale, float limit)
{
    taps t;
    if (scale <= 1.0) {
        t.n = 1;
        t.first = (target + 0.5) * scale;
        t.step = 1.0;
        t.begin = floor(t.first);
        t.end = t.begin + 1.0;
        t.weighted = false;
        return t;
    }
    t.begin = target * scale;
    t.end = min(t.begin + scale, limit);
    float first = floor(t.begin + 0.001);
    float n = ceil(t.end - 0.001) - first;
    t.weighted = n <= float(MAX_TAPS);
    t.n = uint(min(n, float(MAX_TAPS)));
    t.first = t.weighted ? first + 0.5 : t.begin + 0.5 * scale / float(MAX_TAPS);
    t.step = t.weighted ? 1.0 : scale / float(MAX_TAPS);
    return t;
}

float weight(taps t, float at)
{
    float pixel = floor(at);
    return t.weighted ? min(t.end, pixel + 1.0) - max(t.begin, pixel) : 1.0;
}

void main()
{
    vec2 at = floor(gl_FragCoord.xy) - vec2(args.x, args.y);
    vec2 size = vec2(args.source_width, args.source_height);
    vec2 scale = size / vec2(args.width, args.height);
    taps tx = footprint(at.x, scale.x, size.x);
    taps ty = footprint(at.y, scale.y, size.y);
    vec3 background = unpackUnorm4x8(args.background).rgb;
    vec3 sum = vec3(0.0);
    float total = 0.0;
    for (uint j = 0; j < ty.n; j++) {
        float y = ty.first + float(j) * ty.step;
        float wy = weight(ty, y);
        uint row = min(uint(max(y, 0.0)), args.source_height - 1) * args.source_width;
        for (uint i = 0; i < tx.n; i++) {
            float x = tx.first + float(i) * tx.step;
            float w = wy * weight(tx, x);
            uint column = min(uint(max(x, 0.0)), args.source_width - 1);
            vec4 c = unpackUnorm4x8(pixels[row + column]);
            sum += w * mix(background, c.rgb, args.use_alpha != 0 ? c.a : 1.0);
            total += w;
        }
    }
    vec3 mean = sum / total;
    color = vec4(TARGET_IS_SRGB != 0 ? srgb_decode(mean) : mean, 1.0);
}
