#version 450
#extension GL_EXT_control_flow_attributes : require
#extension GL_GOOGLE_include_directive : require
// Pictures in storage buffers, or parts of them, drawn into rectangles of the frame.
#include "lib/panel.glsl"

layout(set = 0, binding = 1, std430) readonly buffer Picture0 { uint picture0[]; };
layout(set = 0, binding = 2, std430) readonly buffer Picture1 { uint picture1[]; };
layout(set = 0, binding = 3, std430) readonly buffer Picture2 { uint picture2[]; };
layout(set = 0, binding = 1, std430) readonly buffer Fours0 { uvec4 fours0[]; };
layout(set = 0, binding = 2, std430) readonly buffer Fours1 { uvec4 fours1[]; };
layout(set = 0, binding = 3, std430) readonly buffer Fours2 { uvec4 fours2[]; };

// R, G, B of four pixels, and how much of the background is seen.
mat4 opaque(uvec4 pixels)
{
    return mat4(channel(pixels, 0), channel(pixels, 1), channel(pixels, 2), vec4(0.0));
}

mat4 transparent(uvec4 pixels)
{
    vec4 alpha = channel(pixels, 3) / 255.0;
    mat4 all = opaque(pixels);
    return mat4(all[0] * alpha, all[1] * alpha, all[2] * alpha, 1.0 - alpha);
}

// The mean of the pixels under each pixel of a strip. The picture is an argument that no function
// can have.
#define DRAW(fours, singles, channels)                                                             \
    mat4 four = mat4(0.0); /* rows of the four from column `known` on */                           \
    for (int known = NONE; s.x < s.end; s.x++, s.at++) {                                           \
        span c = strip_span(s);                                                                    \
        vec4 sum = weights(c, known) * four;                                                       \
        [[dont_unroll]] for (int x = max(c.first & ~3, known + 4); x <= c.last; x += 4) {          \
            four = mat4(0.0);                                                                      \
            [[dont_unroll]] for (int j = 0; j < s.r.n; j++) {                                      \
                int row = row_position(s.r, j) * s.width;                                          \
                four += row_weight(s.r, j) * channels(LOAD_FOUR(fours, singles, s, row, x));       \
            }                                                                                      \
            known = x;                                                                             \
            sum += weights(c, x) * four;                                                           \
        }                                                                                          \
        sum *= 1.0 / ((c.end - c.begin) * s.r.total);                                              \
        put(s, sum.rgb + sum.a * background);                                                      \
    }

void main()
{
    uint panel = args.first + gl_WorkGroupID.z;
    uint behind = args.background[panel];
    vec3 background = vec3(uvec3(behind, behind >> 8, behind >> 16) & 0xffu);
    strip s;
    if (!find_strip(panel, s)) {
        return;
    }
    switch (args.shows[panel]) {
    case 0: {
        DRAW(fours0, picture0, opaque)
        break;
    }
    case 1: {
        DRAW(fours1, picture1, opaque)
        break;
    }
    case 2: {
        DRAW(fours2, picture2, opaque)
        break;
    }
    case PANEL_ALPHA: {
        DRAW(fours2, picture2, transparent)
        break;
    }
    default:
        for (; s.x < s.end; s.x++, s.at++) {
            put(s, background);
        }
    }
}
