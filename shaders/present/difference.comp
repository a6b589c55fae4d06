#version 450
#extension GL_EXT_control_flow_attributes : require
#extension GL_GOOGLE_include_directive : require
// How two pictures differ, as heat: the largest difference of R, G and B of each pixel, from black
// (none) to white. Brightness grows evenly, so it reads without seeing colours, too.
#include "lib/panel.glsl"

layout(set = 0, binding = 1, std430) readonly buffer A { uint a[]; };
layout(set = 0, binding = 2, std430) readonly buffer B { uint b[]; };
layout(set = 0, binding = 1, std430) readonly buffer FoursA { uvec4 fours_a[]; };
layout(set = 0, binding = 2, std430) readonly buffer FoursB { uvec4 fours_b[]; };

const float WHITE = 64.0; // a difference this large

vec3 heat(float t)
{
    const vec3 stops[] = vec3[](vec3(0.0), vec3(0.34, 0.06, 0.43), vec3(0.74, 0.22, 0.33),
                                vec3(0.98, 0.56, 0.04), vec3(1.0));
    float at = clamp(t, 0.0, 1.0) * 4.0;
    int i = min(int(at), 3);
    return mix(stops[i], stops[i + 1], at - float(i));
}

vec4 largest(uvec4 one, uvec4 two)
{
    vec4 d = abs(channel(one, 0) - channel(two, 0));
    d = max(d, abs(channel(one, 1) - channel(two, 1)));
    return max(d, abs(channel(one, 2) - channel(two, 2)));
}

void main()
{
    strip s;
    if (!find_strip(args.first + gl_WorkGroupID.z, s)) {
        return;
    }
    vec4 four = vec4(0.0); // rows of the four from column `known` on
    for (int known = NONE; s.x < s.end; s.x++, s.at++) {
        span c = strip_span(s);
        float sum = dot(weights(c, known), four);
        [[dont_unroll]] for (int x = max(c.first & ~3, known + 4); x <= c.last; x += 4) {
            four = vec4(0.0);
            [[dont_unroll]] for (int j = 0; j < s.r.n; j++) {
                int row = row_position(s.r, j) * s.width;
                four += row_weight(s.r, j) * largest(LOAD_FOUR(fours_a, a, s, row, x),
                                                     LOAD_FOUR(fours_b, b, s, row, x));
            }
            known = x;
            sum += dot(weights(c, x), four);
        }
        sum *= 1.0 / ((c.end - c.begin) * s.r.total);
        put(s, 255.0 * heat(sum / WHITE));
    }
}
