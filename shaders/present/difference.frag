#version 450
#extension GL_GOOGLE_include_directive : require
// How two pictures differ, as heat: the largest difference of R, G and B of each pixel, from black
// (none) to white. Brightness grows evenly, so it reads without seeing colours, too.
#include "interface/panel_args.h"

layout(constant_id = 0) const uint TARGET_IS_SRGB = 0;

layout(push_constant) uniform Push { panel_args args; };
layout(set = 0, binding = 0, std430) readonly buffer A { uint a[]; };
layout(set = 0, binding = 1, std430) readonly buffer B { uint b[]; };

layout(location = 0) out vec4 color;

#include "lib/footprint.glsl"
#include "lib/srgb.glsl"

const float WHITE = 64.0 / 255.0; // a difference this large

vec3 heat(float t)
{
    const vec3 stops[] = vec3[](vec3(0.0), vec3(0.34, 0.06, 0.43), vec3(0.74, 0.22, 0.33),
                                vec3(0.98, 0.56, 0.04), vec3(1.0));
    float at = clamp(t, 0.0, 1.0) * 4.0;
    uint i = min(uint(at), 3);
    return mix(stops[i], stops[i + 1], at - float(i));
}

void main()
{
    taps tx, ty;
    footprints(tx, ty);
    float sum = 0.0, total = 0.0;
    for (uint j = 0; j < ty.n; j++) {
        uint row = tap_position(ty, j, args.source_height) * args.source_width;
        float wy = tap_weight(ty, j);
        for (uint i = 0; i < tx.n; i++) {
            float w = wy * tap_weight(tx, i);
            uint at = row + tap_position(tx, i, args.source_width);
            vec3 d = abs(unpackUnorm4x8(a[at]).rgb - unpackUnorm4x8(b[at]).rgb);
            sum += w * max(max(d.r, d.g), d.b);
            total += w;
        }
    }
    vec3 c = heat(sum / total / WHITE);
    color = vec4(TARGET_IS_SRGB != 0 ? srgb_decode(c) : c, 1.0);
}
