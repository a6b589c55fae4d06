// 16 x 16 x 16 products of half-precision matrices, summed in float32, by the matrix units of a
// subgroup of 32; EMULATED: by its invocations one by one, the same results but for the order of
// the sums, for devices without such units (tests). Written for VK_NV_cooperative_matrix, rewritten
// for VK_KHR_cooperative_matrix where there is that (src/gpu/khr_matrix.c): then second factors lie
// as the units take them, while by NVIDIA's own extension each product turns its second one first.
//
// Halves lie in fours (uvec2) in the shared array `tile_halves`; offsets and strides count fours
// and are even. A tile of weights lies as the invocations hold it, so that each asks for its own
// sixteen bytes: the device says at start who holds what (matrix_layout.comp,
// src/model/gpu_weights.c). Loading B from columns of a buffer is several times slower (H100: 230
// cycles a tile, half by half).
//     mma_rows(at, stride)        A: 16 rows x 16 of depth from tile_halves[at], `stride` apart
//     mma_columns(at, stride)     B: 16 columns, 16 of depth each, likewise (a transposed matrix)
//     mma_matrix(at, stride)      B: 16 of depth, 16 columns each, likewise
//     mma_ask(at), mma_asked(w)   B: a tile of weight[], asked for ahead of its use
//     mma_ask_2(at), mma_ask_3(at)                       of weight_2[], weight_3[]
//     mma_given(w)                B: what the invocation holds of it; not EMULATED
//     mma_keys(at, stride)        A: as mma_rows, from k_cache[]
//     mma_values(at, stride)      B: as mma_matrix, from v_cache[]
//     mma_w_zero(), mma_a_zero(), mma_b_zero(), mma_zero()  of weights asked for, A, B, sums
//     mma_add(a, b, sum)          sum + a b
//     mma_put(sum, at, stride)    to tile_sums[at], rows `stride` floats apart; with MMA_SUMS4
//                                 tile_sums is uvec4 and both count fours
//     mma_put_columns(sum, at, stride) the same of the transposed matrix; only with MMA_SUMS4
//     mma_store(sum, at, stride, bits, mark)  to outputs[at], halves in fours (half4() of
//                                 lib/precision.glsl), in pairs of which `bits` are as in `mark`
//     mma_halves(sum, scratch)    A: the sum itself, rounded; EMULATED through MMA_SCRATCH eights
//                                 of tile_halves[scratch] and barriers; only with MMA_TILE
//     mma_halves(sum, scratch, stride)  the same through 16 rows of four fours; with MMA_HALVES
//     MMA_AT(sum, i)              what the invocation holds in its place i of 8, which is ...
//     mma_row_of(lane, i), mma_column_of(lane, i)    ... of this row and column
// MMA_TILE: halves and sums share one array `tile` of uvec4, in which places and strides of halves
// count eights, those of sums fours.
// All invocations of a subgroup call them together. The includer has declared `tile_halves`,
// `tile_sums` (MMA_TILE: `tile`) and, for MMA_WEIGHTS, MMA_WEIGHTS_3, MMA_CACHE and MMA_OUTPUTS,
// the buffers.
#define MMA_SCRATCH 48u
#ifdef MMA_TILE
#define MMA_SUMS4
#define tile_halves tile
#define tile_sums tile
#define MMA_FOURS(n) ((n) / 2u)
#define MMA_FOUR(eight, n) ((n) % 2u == 0u ? (eight).xy : (eight).zw)
#else
#define MMA_FOURS(n) (n)
#define MMA_FOUR(four, n) (four)
#endif

// Who holds what of a sum (src/model/gpu_weights.c asks the device): an invocation two pairs of
// columns of row lane / 4, then of the row 8 below.
uint mma_row_of(uint lane, uint i)
{
    return lane / 4u + i / 4u * 8u;
}

uint mma_column_of(uint lane, uint i)
{
    return lane % 4u * 2u + i / 2u % 2u * 8u + i % 2u;
}

// MATRIX_DIRECT: of B an invocation holds two pairs of rows of column lane / 4, then of the column
// 8 to the right. Eight halves of a column, side by side in memory, are what it needs of two tiles,
// if the order of the depth does not matter (model/prefill.comp).

#ifdef EMULATED

const uint MATRIX_DIRECT = 0u;

#define MMA_COLUMNS 0u // kinds of B
#define MMA_MATRIX 1u
#define MMA_WEIGHT 2u  // weight[], the next ones weight_2[], weight_3[]
#define MMA_VALUES 5u
#define MMA_KEYS 6u       // of A

struct mma_a { uint at, stride, kind; };
struct mma_b { uint at, stride, kind; };
struct mma_sum { float v[8]; };
#define mma_w mma_b

#define MMA_AT(sum, i) (sum).v[i]

uint mma_warp()
{
    return gl_LocalInvocationIndex / 32u;
}

uint mma_lane()
{
    return gl_LocalInvocationIndex % 32u;
}

vec4 mma_four(uvec2 h)
{
    return vec4(unpackHalf2x16(h.x), unpackHalf2x16(h.y));
}

mma_w mma_w_zero()
{
    return mma_w(0u, 0u, 0u);
}

mma_a mma_a_zero()
{
    return mma_a(0u, 0u, 0u);
}

mma_b mma_b_zero()
{
    return mma_b(0u, 0u, 0u);
}

mma_sum mma_zero()
{
    return mma_sum(float[8](0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0));
}

mma_a mma_rows(uint at, uint stride)
{
    return mma_a(at, stride, MMA_COLUMNS);
}

mma_b mma_columns(uint at, uint stride)
{
    return mma_b(at, stride, MMA_COLUMNS);
}

mma_b mma_matrix(uint at, uint stride)
{
    return mma_b(at, stride, MMA_MATRIX);
}

mma_w mma_ask(uint at)
{
    return mma_w(at, 0u, MMA_WEIGHT);
}

mma_w mma_ask_2(uint at)
{
    return mma_w(at, 0u, MMA_WEIGHT + 1u);
}

mma_w mma_ask_3(uint at)
{
    return mma_w(at, 0u, MMA_WEIGHT + 2u);
}

mma_b mma_asked(mma_w w)
{
    return w;
}

mma_b mma_given(uvec4 w)
{
    return mma_b_zero(); // nobody calls it
}

mma_a mma_keys(uint at, uint stride)
{
    return mma_a(at, stride, MMA_KEYS);
}

mma_b mma_values(uint at, uint stride)
{
    return mma_b(at, stride, MMA_VALUES);
}

// Four of the depth, from 4*k4 on, of a column.
vec4 mma_column(mma_b b, uint k4, uint col)
{
    if (b.kind == MMA_COLUMNS) {
        return mma_four(MMA_FOUR(tile_halves[b.at + col * b.stride + MMA_FOURS(k4)], k4));
    }
    vec4 y = vec4(0.0);
    uvec4 w = uvec4(0u);
    for (uint i = 0u; i < 4u; i++) {
        uint at = b.at + (4u * k4 + i) * b.stride;
        if (b.kind == MMA_MATRIX) {
            y[i] = mma_four(MMA_FOUR(tile_halves[at + MMA_FOURS(col / 4u)], col / 4u))[col % 4u];
        }
#ifdef MMA_CACHE
        if (b.kind == MMA_VALUES) {
            y[i] = mma_four(v_cache[at + col / 4u])[col % 4u];
        }
#endif
    }
#ifdef MMA_WEIGHTS
    if (b.kind == MMA_WEIGHT) {
        w = weight[b.at + col * 2u + k4 / 2u];
    }
#endif
#ifdef MMA_WEIGHTS_3
    if (b.kind == MMA_WEIGHT + 1u) {
        w = weight_2[b.at + col * 2u + k4 / 2u];
    } else if (b.kind == MMA_WEIGHT + 2u) {
        w = weight_3[b.at + col * 2u + k4 / 2u];
    }
#endif
    bool is_weight = b.kind >= MMA_WEIGHT && b.kind < MMA_VALUES;
    return is_weight ? mma_four(k4 % 2u == 0u ? w.xy : w.zw) : y;
}

// Four of the depth of a row.
vec4 mma_row(mma_a a, uint row, uint k4)
{
#ifdef MMA_CACHE
    if (a.kind == MMA_KEYS) {
        return mma_four(k_cache[a.at + row * a.stride + k4]);
    }
#endif
    return mma_four(MMA_FOUR(tile_halves[a.at + row * a.stride + MMA_FOURS(k4)], k4));
}

mma_sum mma_add(mma_a a, mma_b b, mma_sum c)
{
    uint lane = mma_lane();
    for (uint k4 = 0u; k4 < 4u; k4++) {
        vec4 x0 = mma_row(a, mma_row_of(lane, 0u), k4), x1 = mma_row(a, mma_row_of(lane, 4u), k4);
        for (uint i = 0u; i < 4u; i++) {
            vec4 y = mma_column(b, k4, mma_column_of(lane, i));
            c.v[i] += x0.x * y.x + x0.y * y.y + x0.z * y.z + x0.w * y.w;
            c.v[i + 4u] += x1.x * y.x + x1.y * y.y + x1.z * y.z + x1.w * y.w;
        }
    }
    return c;
}

void mma_put(mma_sum c, uint at, uint stride)
{
    for (uint j = 0u; j < 8u; j++) {
        uint row = mma_row_of(mma_lane(), j), column = mma_column_of(mma_lane(), j);
#ifdef MMA_SUMS4
        tile_sums[at + row * stride + column / 4u][column % 4u] = floatBitsToUint(c.v[j]);
#else
        tile_sums[at + row * stride + column] = c.v[j];
#endif
    }
}

#ifdef MMA_HALVES
mma_a mma_halves(mma_sum c, uint scratch, uint stride)
{
    barrier(); // an earlier one may still be read
    for (uint j = 0u; j < 8u; j += 2u) {
        uint row = mma_row_of(mma_lane(), j), column = mma_column_of(mma_lane(), j);
        tile_halves[scratch + row * stride + column / 4u][column % 4u / 2u] =
            packHalf2x16(vec2(c.v[j], c.v[j + 1u]));
    }
    barrier();
    return mma_rows(scratch, stride);
}
#endif

#ifdef MMA_TILE
mma_a mma_halves(mma_sum c, uint scratch)
{
    barrier(); // an earlier one may still be read
    for (uint j = 0u; j < 8u; j += 2u) {
        uint to = scratch + mma_row_of(mma_lane(), j) * 3u, column = mma_column_of(mma_lane(), j);
        tile_halves[to + column / 8u][column % 8u / 2u] = packHalf2x16(vec2(c.v[j], c.v[j + 1u]));
    }
    barrier();
    return mma_rows(scratch, 3u);
}
#endif

#ifdef MMA_SUMS4
void mma_put_columns(mma_sum c, uint at, uint stride)
{
    for (uint j = 0u; j < 8u; j++) {
        uint row = mma_row_of(mma_lane(), j), column = mma_column_of(mma_lane(), j);
        tile_sums[at + column * stride + row / 4u][row % 4u] = floatBitsToUint(c.v[j]);
    }
}
#endif

#ifdef MMA_OUTPUTS
void mma_store(mma_sum c, uint at, uint stride, uint bits, uint mark)
{
    for (uint j = 0u; j < 8u; j += 2u) {
        uint row = mma_row_of(mma_lane(), j), column = mma_column_of(mma_lane(), j);
        vec2 v = clamp(vec2(c.v[j], c.v[j + 1u]), vec2(-LARGEST), vec2(LARGEST));
        outputs[at + row * stride + column / 4u][column % 4u / 2u] = packHalf2x16(v) & ~bits | mark;
    }
}
#endif

#else

layout(constant_id = SPEC_MATRIX_SECOND) const uint MATRIX_SECOND = 16;
layout(constant_id = SPEC_MATRIX_SUM) const uint MATRIX_SUM = 16;
layout(constant_id = SPEC_MATRIX_DIRECT) const uint MATRIX_DIRECT = 0;
#define mma_a fcoopmatNV<16, gl_ScopeSubgroup, 16, 16>
#define mma_b fcoopmatNV<16, gl_ScopeSubgroup, MATRIX_SECOND, 16>
#define mma_sum fcoopmatNV<32, gl_ScopeSubgroup, 16, 16>
#define mma_sum_halves fcoopmatNV<16, gl_ScopeSubgroup, MATRIX_SUM, 16>
#define mma_w uvec4
#define MMA_AT(sum, i) sum[i]

uint mma_warp()
{
    return gl_SubgroupID;
}

uint mma_lane()
{
    return gl_SubgroupInvocationID;
}

mma_w mma_w_zero()
{
    return uvec4(0u);
}

mma_a mma_a_zero()
{
    return mma_a(0.0);
}

mma_b mma_b_zero()
{
    return mma_b(0.0);
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
mma_w mma_ask(uint at)
{
    return weight[at + gl_SubgroupInvocationID];
}
#endif

#ifdef MMA_WEIGHTS_3
mma_w mma_ask_2(uint at)
{
    return weight_2[at + gl_SubgroupInvocationID];
}

mma_w mma_ask_3(uint at)
{
    return weight_3[at + gl_SubgroupInvocationID];
}
#endif

mma_b mma_asked(mma_w w)
{
    mma_b m;
    [[unroll]] for (uint i = 0u; i < 4u; i++) {
        f16vec2 h = unpackFloat2x16(w[i]);
        m[2u * i] = h.x;
        m[2u * i + 1u] = h.y;
    }
    return m;
}

#define mma_given mma_asked

#ifdef MMA_CACHE
mma_a mma_keys(uint at, uint stride)
{
    mma_a m;
    coopMatLoadNV(m, k_cache, at, stride, false);
    return m;
}

mma_b mma_values(uint at, uint stride)
{
    mma_b m;
    coopMatLoadNV(m, v_cache, at, stride, false);
    return m;
}
#endif

mma_sum mma_add(mma_a a, mma_b b, mma_sum c)
{
    return coopMatMulAddNV(a, b, c);
}

// An invocation holds the same elements of both.
mma_a mma_as_first(mma_sum c)
{
    mma_a a;
    [[unroll]] for (uint i = 0u; i < 8u; i++) {
        a[i] = float16_t(c[i]);
    }
    return a;
}

#ifdef MMA_HALVES
mma_a mma_halves(mma_sum c, uint scratch, uint stride)
{
    return mma_as_first(c);
}
#endif

#ifdef MMA_TILE
mma_a mma_halves(mma_sum c, uint scratch)
{
    return mma_as_first(c);
}
#endif

void mma_put(mma_sum c, uint at, uint stride)
{
    coopMatStoreNV(c, tile_sums, at, stride, false);
}

#ifdef MMA_SUMS4
void mma_put_columns(mma_sum c, uint at, uint stride)
{
    coopMatStoreNV(c, tile_sums, at, stride, true);
}
#endif

#ifdef MMA_OUTPUTS
void mma_store(mma_sum c, uint at, uint stride, uint bits, uint mark)
{
    mma_sum_halves h;
    [[unroll]] for (int i = 0; i < c.length(); i += 2) {
        uint pair = packHalf2x16(clamp(vec2(c[i], c[i + 1]), vec2(-LARGEST), vec2(LARGEST)));
        f16vec2 marked = unpackFloat2x16(pair & ~bits | mark);
        h[i] = marked.x;
        h[i + 1] = marked.y;
    }
    coopMatStoreNV(h, outputs, at, stride, false);
}
#endif

#endif
