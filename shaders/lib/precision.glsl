// MATRIX: weights are what the invocations of a subgroup hold of a tile, eight each
// (lib/matrix.glsl).
#ifdef MATRIX
#define WEIGHT_WORD uvec4
#else
#define WEIGHT_WORD STORED4
#endif
// Nobody writes weights; but loads that may see what others write stay where they are asked for,
// ahead of their use, and others a compiler moves down to it.
#if defined(MATRIX) && !defined(EMULATED)
#define WEIGHT_ACCESS workgroupcoherent
#else
#define WEIGHT_ACCESS readonly
#endif
// Storage of weights and of the KV cache: float32, or half precision in pairs (HALF). Arithmetic is
// float32 either way. Packing by hand needs no 16-bit storage feature.
#ifdef HALF
#define LARGEST 65504.0 // what can be stored
#define STORED4 uvec2
vec4 loaded(uvec2 w)
{
    return vec4(unpackHalf2x16(w.x), unpackHalf2x16(w.y));
}
#define STORED2 uint
uint stored(vec2 v)
{
    return packHalf2x16(v);
}
uvec2 stored(vec4 v)
{
    return uvec2(packHalf2x16(v.xy), packHalf2x16(v.zw));
}
// The same for values that may be larger than half precision holds.
uvec2 half4(vec4 v)
{
    return stored(clamp(v, vec4(-LARGEST), vec4(LARGEST)));
}
#else
#define LARGEST 3.4e38
#define STORED4 vec4
vec4 loaded(vec4 w)
{
    return w;
}
#define STORED2 vec2
vec2 stored(vec2 v)
{
    return v;
}
vec4 stored(vec4 v)
{
    return v;
}
#endif
