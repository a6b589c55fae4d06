// 16 x 16 x 16 products of half-precision matrices, summed in float32, by the matrix units of a
// subgroup of 32 (VK_NV_cooperative_matrix); EMULATED: by its invocations one by one, the same
// results but for the order of the tile_sums, for devices without such units (tests).
//
// Halves lie in fours (uvec2) in the shared array `tile_halves`; offsets and strides count fours and are
// even. Weights lie in tiles of 16 outputs x 16 inputs, see weight_at() in lib/model.glsl.
//     mma_rows(at, stride)        A: 16 rows x 16 of depth from tile_halves[at], rows `stride` apart
//     mma_columns(at, stride)     B: 16 columns, 16 of depth each, likewise (a transposed matrix)
//     mma_matrix(at, stride)      B: 16 of depth, 16 columns each, likewise
//     mma_weights(at)             B: a tile of weight[]; mma_weights_2, _3: of weight_2[], weight_3[]
//     mma_add(a, b, sum)          sum + a b
//     mma_put(sum, at, stride)    to tile_sums[at], rows `stride` floats apart
//     mma_divide(sum, at, stride) sum / tile_sums[at], element by element
// All invocations of a subgroup call them together. The includer has declared `tile_halves`, `tile_sums`
// (float) and, for MMA_WEIGHTS, `weight`, for MMA_WEIGHTS_3 the other two.
#ifdef EMULATED

struct mma_a { uint at, stride; };
struct mma_b { uint at, stride, kind; };
struct mma_sum { float v[8]; };

uint mma_warp()
{
    return gl_LocalInvocationIndex / 32u;
}

vec4 mma_four(uvec2 h)
{
    return vec4(unpackHalf2x16(h.x), unpackHalf2x16(h.y));
}

mma_sum mma_zero()
{
    return mma_sum(float[8](0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0));
}

mma_a mma_rows(uint at, uint stride)
{
    return mma_a(at, stride);
}

mma_b mma_columns(uint at, uint stride)
{
    return mma_b(at, stride, 0u);
}

mma_b mma_matrix(uint at, uint stride)
{
    return mma_b(at, stride, 1u);
}

mma_b mma_weights(uint at)
{
    return mma_b(at, 4u, 2u);
}

mma_b mma_weights_2(uint at)
{
    return mma_b(at, 4u, 3u);
}

mma_b mma_weights_3(uint at)
{
    return mma_b(at, 4u, 4u);
}

// Invocation i of the subgroup has row i / 2, columns i % 2 * 8 ...
mma_sum mma_add(mma_a a, mma_b b, mma_sum c)
{
    uint lane = gl_LocalInvocationIndex % 32u, row = lane / 2u;
    for (uint k4 = 0u; k4 < 4u; k4++) {
        vec4 x = mma_four(tile_halves[a.at + row * a.stride + k4]);
        for (uint j = 0u; j < 8u; j++) {
            uint col = lane % 2u * 8u + j;
            vec4 y;
            if (b.kind == 1u) {
                for (uint i = 0u; i < 4u; i++) {
                    y[i] = mma_four(tile_halves[b.at + (4u * k4 + i) * b.stride + col / 4u])[col % 4u];
                }
#ifdef MMA_WEIGHTS
            } else if (b.kind == 2u) {
                y = mma_four(weight[b.at + col * 4u + k4]);
#endif
#ifdef MMA_WEIGHTS_3
            } else if (b.kind == 3u) {
                y = mma_four(weight_2[b.at + col * 4u + k4]);
            } else if (b.kind == 4u) {
                y = mma_four(weight_3[b.at + col * 4u + k4]);
#endif
            } else {
                y = mma_four(tile_halves[b.at + col * b.stride + k4]);
            }
            c.v[j] += x.x * y.x + x.y * y.y + x.z * y.z + x.w * y.w;
        }
    }
    return c;
}

void mma_put(mma_sum c, uint at, uint stride)
{
    uint lane = gl_LocalInvocationIndex % 32u;
    for (uint j = 0u; j < 8u; j++) {
        tile_sums[at + lane / 2u * stride + lane % 2u * 8u + j] = c.v[j];
    }
}

mma_sum mma_divide(mma_sum c, uint at, uint stride)
{
    uint lane = gl_LocalInvocationIndex % 32u;
    for (uint j = 0u; j < 8u; j++) {
        c.v[j] /= tile_sums[at + lane / 2u * stride + lane % 2u * 8u + j];
    }
    return c;
}

#else

#define mma_a fcoopmatNV<16, gl_ScopeSubgroup, 16, 16>
#define mma_b fcoopmatNV<16, gl_ScopeSubgroup, 16, 16>
#define mma_sum fcoopmatNV<32, gl_ScopeSubgroup, 16, 16>

uint mma_warp()
{
    return gl_SubgroupID;
}

mma_sum mma_zero()
{
    return mma_sum(0.0);
}

mma_a mma_rows(uint at, uint stride)
{
    mma_a m;
    coopMatLoadNV(m, tile_halves, at, stride, false);
    return m;
}

mma_b mma_columns(uint at, uint stride)
{
    mma_b m;
    coopMatLoadNV(m, tile_halves, at, stride, true);
    return m;
}

mma_b mma_matrix(uint at, uint stride)
{
    mma_b m;
    coopMatLoadNV(m, tile_halves, at, stride, false);
    return m;
}

#ifdef MMA_WEIGHTS
mma_b mma_weights(uint at)
{
    mma_b m;
    coopMatLoadNV(m, weight, at, 4u, true);
    return m;
}
#endif

#ifdef MMA_WEIGHTS_3
mma_b mma_weights_2(uint at)
{
    mma_b m;
    coopMatLoadNV(m, weight_2, at, 4u, true);
    return m;
}

mma_b mma_weights_3(uint at)
{
    mma_b m;
    coopMatLoadNV(m, weight_3, at, 4u, true);
    return m;
}
#endif

mma_sum mma_add(mma_a a, mma_b b, mma_sum c)
{
    return coopMatMulAddNV(a, b, c);
}

void mma_put(mma_sum c, uint at, uint stride)
{
    coopMatStoreNV(c, tile_sums, at, stride, false);
}

mma_sum mma_divide(mma_sum c, uint at, uint stride)
{
    mma_sum by;
    coopMatLoadNV(by, tile_sums, at, stride, false);
    return c / by;
}

#endif
