#version 450
#extension GL_GOOGLE_include_directive : require
// A picture in a storage buffer, or a part of it, drawn into a rectangle.
#include "interface/panel_args.h"

layout(constant_id = 0) const uint TARGET_IS_SRGB = 0;

layout(push_constant) uniform Push { panel_args args; };
layout(set = 0, binding = 0, std430) readonly buffer Picture { uint pixels[]; };

layout(location = 0) out vec4 color;

#include "lib/footprint.glsl"
#include "lib/srgb.glsl"

void main()
{
    taps tx, ty;
    footprints(tx, ty);
    vec4 sum = vec4(0.0); // colour times alpha, alpha
    float total = 0.0;
    for (uint j = 0; j < ty.n; j++) {
        uint row = tap_position(ty, j, args.source_height) * args.source_width;
        float wy = tap_weight(ty, j);
        for (uint i = 0; i < tx.n; i++) {
            float w = wy * tap_weight(tx, i);
            vec4 c = unpackUnorm4x8(pixels[row + tap_position(tx, i, args.source_width)]);
            c.a = args.use_alpha != 0 ? c.a : 1.0;
            sum += vec4(w * c.a * c.rgb, w * c.a);
            total += w;
        }
    }
    vec3 background = unpackUnorm4x8(args.background).rgb;
    vec3 mean = (sum.rgb + (total - sum.a) * background) / total;
    color = vec4(TARGET_IS_SRGB != 0 ? srgb_decode(mean) : mean, 1.0);
}
