// A subgroup of 32 as lib/matrix.glsl wants it: its number, its invocations, and what is found over
// all of it, which everybody calls. EMULATED: any 32 neighbours, through shared memory (barriers!).
const uint WARPS = GROUP / 32u;

uint warp, lane;

#ifdef EMULATED
shared uint warp_words[GROUP];

void begin_warp()
{
    warp = gl_LocalInvocationIndex / 32u;
    lane = gl_LocalInvocationIndex % 32u;
}

void warp_share(uint word)
{
    barrier();
    warp_words[gl_LocalInvocationIndex] = word;
    barrier();
}

float warp_add(float v)
{
    warp_share(floatBitsToUint(v));
    float sum = 0.0;
    for (uint i = 0u; i < 32u; i++) {
        sum += uintBitsToFloat(warp_words[warp * 32u + i]);
    }
    return sum;
}

float warp_max(float v)
{
    warp_share(floatBitsToUint(v));
    float top = v;
    for (uint i = 0u; i < 32u; i++) {
        top = max(top, uintBitsToFloat(warp_words[warp * 32u + i]));
    }
    return top;
}

// Of n neighbours, a power of two.
float near_add(float v, uint n)
{
    warp_share(floatBitsToUint(v));
    float sum = 0.0;
    for (uint i = 0u; i < n; i++) {
        sum += uintBitsToFloat(warp_words[gl_LocalInvocationIndex / n * n + i]);
    }
    return sum;
}

float near_max(float v, uint n)
{
    warp_share(floatBitsToUint(v));
    float top = v;
    for (uint i = 0u; i < n; i++) {
        top = max(top, uintBitsToFloat(warp_words[gl_LocalInvocationIndex / n * n + i]));
    }
    return top;
}

uint warp_max(uint v)
{
    warp_share(v);
    uint top = v;
    for (uint i = 0u; i < 32u; i++) {
        top = max(top, warp_words[warp * 32u + i]);
    }
    return top;
}

// How many of the invocations before this one say yes, and how many of all.
uvec2 warp_count(bool v)
{
    uvec2 n = uvec2(0u);
    warp_share(v ? 1u : 0u);
    for (uint i = 0u; i < 32u; i++) {
        n += warp_words[warp * 32u + i] * uvec2(i < lane ? 1u : 0u, 1u);
    }
    return n;
}

// What an invocation has written to shared memory, the others of its subgroup see.
void warp_fence()
{
    barrier();
}
#else
void begin_warp()
{
    warp = gl_SubgroupID;
    lane = gl_SubgroupInvocationID;
}

float warp_add(float v)
{
    return subgroupAdd(v);
}

float warp_max(float v)
{
    return subgroupMax(v);
}

// Of 2, 4, 8 or 16 neighbours (no loop: not every compiler unrolls it).
float near_add(float v, uint n)
{
    v = n > 8u ? v + subgroupShuffleXor(v, 8u) : v;
    v = n > 4u ? v + subgroupShuffleXor(v, 4u) : v;
    v = n > 2u ? v + subgroupShuffleXor(v, 2u) : v;
    return v + subgroupShuffleXor(v, 1u);
}

float near_max(float v, uint n)
{
    v = n > 8u ? max(v, subgroupShuffleXor(v, 8u)) : v;
    v = n > 4u ? max(v, subgroupShuffleXor(v, 4u)) : v;
    v = n > 2u ? max(v, subgroupShuffleXor(v, 2u)) : v;
    return max(v, subgroupShuffleXor(v, 1u));
}

uint warp_max(uint v)
{
    return subgroupMax(v);
}

uvec2 warp_count(bool v)
{
    uint all = subgroupBallot(v).x;
    return uvec2(bitCount(all & (1u << lane) - 1u), bitCount(all));
}

void warp_fence()
{
    subgroupMemoryBarrierShared();
    subgroupBarrier();
}
#endif
