// Which element of a 16 x 16 matrix each invocation of a subgroup holds in its place i, of halves and
// of float32 sums: the tile that is given has its elements' numbers as values.
// One workgroup, a subgroup.
#version 450
#extension GL_GOOGLE_include_directive : require
#extension GL_KHR_memory_scope_semantics : require
#extension GL_KHR_shader_subgroup_basic : require
#extension GL_NV_cooperative_matrix : require
#extension GL_EXT_shader_explicit_arithmetic_types_float16 : require

layout(local_size_x = 32) in;

// [column][depth]
layout(std430, set = 0, binding = 0) readonly buffer tile_block { uvec2 tile[]; };
// [2][32][8], number
layout(std430, set = 0, binding = 1) writeonly buffer out_block { uint held[]; };

void main()
{
    fcoopmatNV<16, gl_ScopeSubgroup, 16, 16> m;
    coopMatLoadNV(m, tile, 0u, 4u, true);
    fcoopmatNV<32, gl_ScopeSubgroup, 16, 16> sum = fcoopmatNV<32, gl_ScopeSubgroup, 16, 16>(m);
    for (uint i = 0u; i < min(uint(m.length()), 8u); i++) {
        held[gl_SubgroupInvocationID * 8u + i] = uint(m[i]);
    }
    for (uint i = 0u; i < min(uint(sum.length()), 8u); i++) {
        held[256u + gl_SubgroupInvocationID * 8u + i] = uint(sum[i]);
    }
    if (gl_SubgroupInvocationID == 0u) {
        held[512] = uint(m.length());
    }
}
