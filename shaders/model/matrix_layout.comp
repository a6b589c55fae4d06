// Which element of a 16 x 16 matrix each invocation of a subgroup holds in its place i, of second
// factors, of float32 sums and of first factors: their elements' numbers are their values.
// One workgroup, a subgroup.
#version 450
#extension GL_GOOGLE_include_directive : require
#extension GL_KHR_memory_scope_semantics : require
#extension GL_KHR_shader_subgroup_basic : require
#extension GL_NV_cooperative_matrix : require
#extension GL_EXT_shader_explicit_arithmetic_types_float16 : require
#include "interface/model_spec.h"

layout(local_size_x = 32) in;
layout(constant_id = SPEC_MATRIX_SECOND) const uint MATRIX_SECOND = 16;

// numbers, then the identity: [2][column][depth]
layout(std430, set = 0, binding = 0) readonly buffer tile_block { uvec2 tile[]; };
// [3][32][8], number
layout(std430, set = 0, binding = 1) writeonly buffer out_block { uint held[]; };

void main()
{
    fcoopmatNV<16, gl_ScopeSubgroup, 16, 16> first;
    fcoopmatNV<16, gl_ScopeSubgroup, MATRIX_SECOND, 16> second, identity;
    fcoopmatNV<32, gl_ScopeSubgroup, 16, 16> sum = fcoopmatNV<32, gl_ScopeSubgroup, 16, 16>(0.0);
    coopMatLoadNV(first, tile, 0u, 4u, true);
    coopMatLoadNV(second, tile, 0u, 4u, true);
    coopMatLoadNV(identity, tile, 64u, 4u, true);
    sum = coopMatMulAddNV(first, identity, sum);
    for (uint i = 0u; i < min(uint(second.length()), 8u); i++) {
        held[gl_SubgroupInvocationID * 8u + i] = uint(second[i]);
    }
    for (uint i = 0u; i < min(uint(sum.length()), 8u); i++) {
        held[256u + gl_SubgroupInvocationID * 8u + i] = uint(sum[i]);
    }
    for (uint i = 0u; i < min(uint(first.length()), 8u); i++) {
        held[512u + gl_SubgroupInvocationID * 8u + i] = uint(first[i]);
    }
    if (gl_SubgroupInvocationID == 0u) {
        held[768] = uint(second.length());
    }
}
