// Sum of a value over the workgroup, in a fixed order. Every invocation gets it.
shared float reduce_values[GROUP];

float reduce_add(float value)
{
    uint t = gl_LocalInvocationIndex;
    barrier(); // an earlier reduction may still be read
    reduce_values[t] = value;
    for (uint n = GROUP; n > 1u;) {
        uint half_n = (n + 1u) / 2u;
        barrier();
        if (t + half_n < n) {
            reduce_values[t] += reduce_values[t + half_n];
        }
        n = half_n;
    }
    barrier();
    return reduce_values[0];
}
