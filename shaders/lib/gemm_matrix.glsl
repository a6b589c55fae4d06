// lib/gemm.glsl by matrix units: the same interface, inputs rounded to half precision. A subgroup
// has RV x RN/4 tiles of 16 rows x 16 columns and one of KG shares of the depth; there are RT/4 x
// CT/4 x KG subgroups. Depths are cut at multiples of 16. Weights lie as [k/16][column/16][tile].
#define MMA_WEIGHTS
const uint XS = KC + 2u;     // rows do not share banks
const uint SUMS = TN + 4u;
const uint ROW_TILES = RV, COLUMN_TILES = RN / 4u; // of a subgroup
const uint WARPS = RT / 4u * (CT / 4u);
const uint STEPS = KC / (4u * KG); // tiles of depth of a subgroup in one stage
const uint STAGED = (TM * KC + GROUP - 1u) / GROUP;

shared uvec2 tile_halves[TM * XS];
shared float tile_sums[KG * TM * SUMS];

#include "lib/matrix.glsl"

uint gemm_row(uint q, uint i)
{
    return 4u * q + i;
}

vec4 gemm_sum(uint q, uint col)
{
    vec4 sum = vec4(0.0);
    [[unroll]] for (uint g = 0u; g < KG; g++) {
        uint at = (g * TM + 4u * q) * SUMS + col;
        sum += vec4(tile_sums[at], tile_sums[at + SUMS], tile_sums[at + 2u * SUMS],
                    tile_sums[at + 3u * SUMS]);
    }
    return sum;
}

void gemm_tile(uint col0, uint k_begin, uint k_end)
{
    uint t = gl_LocalInvocationIndex, warp = mma_warp();
    uint group = warp / WARPS, row = warp % WARPS / (CT / 4u) * ROW_TILES * 16u;
    uint col = warp % (CT / 4u) * COLUMN_TILES * 16u;
    const uint columns16 = (GEMM_COLUMNS + 15u) / 16u;
    mma_sum acc[ROW_TILES * COLUMN_TILES];
    [[unroll]] for (uint i = 0u; i < ROW_TILES * COLUMN_TILES; i++) {
        acc[i] = mma_zero();
    }
#ifdef GEMM_SQUARES
    float squares = 0.0;
#endif
    for (uint k0 = k_begin; k0 < k_end; k0 += KC) {
        mma_w w[STEPS * COLUMN_TILES];
        [[unroll]] for (uint s = 0u; s < STEPS; s++) {
            uint k = min(k0 + 4u * (group * STEPS + s), k_end - 1u); // behind the end: times zero
            [[unroll]] for (uint c = 0u; c < COLUMN_TILES; c++) {
                uint tile = min((col0 + col) / 16u + c, columns16 - 1u);
                w[s * COLUMN_TILES + c] = mma_ask((k / 4u * columns16 + tile) * 32u);
            }
        }
        vec4 x[STAGED];
        [[unroll]] for (uint j = 0u; j < STAGED; j++) {
            uint i = t + j * GROUP, k = k0 + i % KC;
            x[j] = i < TM * KC && k < k_end ? gemm_x(i / KC, k) : vec4(0.0);
        }
        barrier();
        [[unroll]] for (uint j = 0u; j < STAGED; j++) {
            uint i = t + j * GROUP;
            if (i < TM * KC) {
                tile_halves[i / KC * XS + i % KC] = half4(x[j]);
            }
        }
        barrier();
#ifdef GEMM_SQUARES
        if (t < SQUARE_PARTS * TM) {
            for (uint k = t / TM; k < KC; k += SQUARE_PARTS) {
                uvec2 h = tile_halves[t % TM * XS + k];
                vec4 v = vec4(unpackHalf2x16(h.x), unpackHalf2x16(h.y));
                squares += dot(v, v);
            }
        }
#endif
        [[unroll]] for (uint s = 0u; s < STEPS; s++) {
            [[unroll]] for (uint r = 0u; r < ROW_TILES; r++) {
                mma_a x = mma_rows((row + 16u * r) * XS + 4u * (group * STEPS + s), XS);
                [[unroll]] for (uint c = 0u; c < COLUMN_TILES; c++) {
                    uint i = r * COLUMN_TILES + c;
                    acc[i] = mma_add(x, mma_asked(w[s * COLUMN_TILES + c]), acc[i]);
                }
            }
        }
    }
    [[unroll]] for (uint i = 0u; i < ROW_TILES * COLUMN_TILES; i++) {
        uint r = row + i / COLUMN_TILES * 16u, c = col + i % COLUMN_TILES * 16u;
        mma_put(acc[i], (group * TM + r) * SUMS + c, SUMS);
    }
#ifdef GEMM_SQUARES
    gemm_squares[t] = squares;
#endif
    barrier();
}
