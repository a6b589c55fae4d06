#version 450
#extension GL_GOOGLE_include_directive : require
// Dear ImGui's vertices: positions in target pixels, sRGB-coded colours.
#include "interface/hud_args.h"

layout(constant_id = 0) const uint TARGET_IS_SRGB = 0;

layout(push_constant) uniform Push { hud_args args; };

layout(location = 0) in vec2 position;
layout(location = 1) in vec2 uv;
layout(location = 2) in vec4 color;
layout(location = 0) out vec2 frag_uv;
layout(location = 1) out vec4 frag_color;

#include "lib/srgb.glsl"

void main()
{
    frag_uv = uv * vec2(args.atlas_width, args.atlas_height);
    frag_color = vec4(TARGET_IS_SRGB != 0 ? srgb_decode(color.rgb) : color.rgb, color.a);
    gl_Position = vec4(position / vec2(args.width, args.height) * 2.0 - 1.0, 0.0, 1.0);
}
