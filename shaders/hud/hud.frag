#version 450
#extension GL_GOOGLE_include_directive : require
// Coverage from the font atlas, a storage buffer with one byte a texel. Glyphs lie on whole pixels
// (the atlas is baked at the size it is shown at), so the nearest texel is the exact one.
#include "interface/hud_args.h"

layout(push_constant) uniform Push { hud_args args; };
layout(set = 0, binding = 0, std430) readonly buffer Atlas { uint words[]; };

layout(location = 0) in vec2 frag_uv;
layout(location = 1) in vec4 frag_color;
layout(location = 0) out vec4 color;

void main()
{
    uvec2 at = uvec2(clamp(frag_uv, vec2(0.0),
                           vec2(args.atlas_width, args.atlas_height) - 1.0));
    uint texel = at.y * args.atlas_width + at.x;
    uint coverage = (words[texel >> 2] >> (8 * (texel & 3))) & 255;
    color = vec4(frag_color.rgb, frag_color.a * float(coverage) / 255.0);
}
