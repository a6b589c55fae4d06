// Float32 arithmetic and nothing else: what shares of the peak are measured against. Eight chains
// an invocation, so that no addition waits for the one before.
#version 450

layout(local_size_x_id = 0, local_size_y = 1, local_size_z = 1) in;
layout(constant_id = 1) const uint ROUNDS = 1024;

layout(std430, set = 0, binding = 0) buffer Out { float results[]; };

void main()
{
    uint i = gl_GlobalInvocationID.x;
    float scale = results[i] * 0.5 + 0.25; // not known before it runs
    vec4 a = vec4(0, 1, 2, 3) + float(i & 7u), b = a + 4.0;
    for (uint n = 0; n < ROUNDS; n++) {
        a = fma(a, vec4(scale), vec4(1.0));
        b = fma(b, vec4(scale), vec4(1.0));
    }
    results[i] = dot(a, vec4(1.0)) + dot(b, vec4(1.0));
}
