// Lets one header serve C and GLSL: U32, I32, F32 scalars, STRUCT (a struct as a type), ABI_SIZE.
// glslang defines VULKAN.
// Only 32-bit scalars and arrays of them stand in shared structs, so std430 and C agree.
#ifndef AG_INTERFACE_LANG_H
#define AG_INTERFACE_LANG_H

#ifdef VULKAN
#define U32 uint
#define I32 int
#define F32 float
#define STRUCT(name) name
// GLSL 4.50 has no empty declaration for the semicolon behind it; this one means nothing there.
#define ABI_SIZE(type, bytes) precision highp float
#else
#include <stdint.h>
#define U32 uint32_t
#define I32 int32_t
#define F32 float
#define STRUCT(name) struct name
#define ABI_SIZE(type, bytes)                                                                      \
    _Static_assert(sizeof(struct type) == (bytes), #type " must be " #bytes " bytes")
#endif

#endif
