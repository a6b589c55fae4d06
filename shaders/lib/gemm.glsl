// A tile of a matrix product: TM rows x TN columns, summed over a range of k. The includer gives
//     vec4 gemm_x(uint row, uint k4)      four inputs of a row of the tile, zeros outside
//     STORED4 weight[]                    the matrix, of GEMM_COLUMNS columns
// and takes the result with gemm_sum() in an epilogue of its own. Inputs are staged in shared
// memory, weights come straight from their buffer, where they lie as [k/4][column][4], so that
// neighbouring threads read neighbouring words. What the next KC of depth need is fetched while the
// present ones are multiplied. MATRIX: by matrix units instead, lib/gemm_matrix.glsl;
// LANES: for software devices, lib/gemm_lanes.glsl.
//
// Thread (kg, rt, ct) sums the k4 of group kg for rows rt + RT*(0..4*RV-1) and columns
// ct + CT*(0..RN-1); the KG partial sums are added in a fixed order, so results are reproducible.
layout(constant_id = SPEC_TILE_RT) const uint RT = 8;
layout(constant_id = SPEC_TILE_RV) const uint RV = 1;
layout(constant_id = SPEC_TILE_CT) const uint CT = 8;
layout(constant_id = SPEC_TILE_RN) const uint RN = 4;
layout(constant_id = SPEC_TILE_KG) const uint KG = 1;
layout(constant_id = SPEC_TILE_KC) const uint KC = 16;

const uint TM = 4u * RV * RT;
const uint TN = CT * RN;
const uint TQ = RV * RT; // quads of rows

// Depth of a piece if it is cut into so many.
uint gemm_share(uint depth4, uint pieces)
{
    uint length = (depth4 + pieces - 1u) / pieces;
#ifdef MATRIX
    length = (length + 3u) / 4u * 4u;
#endif
    return length;
}

#if defined(GEMM_SQUARES) && !defined(LANES)
const uint SQUARE_PARTS = GROUP / TM > 0u ? GROUP / TM : 1u;

shared float gemm_squares[GROUP];

// Sum of the squares of a row's inputs (needs GROUP >= TM).
float gemm_square_sum(uint row)
{
    float sum = 0.0;
    for (uint p = 0u; p < SQUARE_PARTS; p++) {
        sum += gemm_squares[p * TM + row];
    }
    return sum;
}
#endif

#ifdef MATRIX
#include "lib/gemm_matrix.glsl"
#elif defined(LANES)
#include "lib/gemm_lanes.glsl"
#else

const uint XS = KC + 1u;     // one more, so that rows do not share banks
const uint STEPS = KC / KG;  // k4 of a thread in one stage
const uint STAGED = (TM * KC + GROUP - 1u) / GROUP; // inputs that a thread fetches for one stage

shared vec4 gemm_staged[TM * XS];
shared vec4 gemm_partial[KG * TQ * TN];

vec4 gemm_next_x[STAGED];
STORED4 gemm_next_w[STEPS * RN];

// Row of component i of quad q.
uint gemm_row(uint q, uint i)
{
    return q % RT + RT * (4u * (q / RT) + i);
}

// Four rows (quad q) of a column.
vec4 gemm_sum(uint q, uint col)
{
    vec4 sum = vec4(0.0);
    [[unroll]] for (uint g = 0u; g < KG; g++) {
        sum += gemm_partial[(g * TQ + q) * TN + col];
    }
    return sum;
}

void gemm_fetch(uint col0, uint k0, uint k_end)
{
    uint t = gl_LocalInvocationIndex, ct = t % CT, kg = t / (CT * RT);
    [[unroll]] for (uint s = 0u; s < STEPS; s++) {
        uint k = min(k0 + kg + s * KG, k_end - 1u); // behind the end: times an input of zero
        [[unroll]] for (uint j = 0u; j < RN; j++) {
            uint col = min(col0 + ct + CT * j, GEMM_COLUMNS - 1u);
            gemm_next_w[s * RN + j] = weight[k * GEMM_COLUMNS + col];
        }
    }
    [[unroll]] for (uint j = 0u; j < STAGED; j++) {
        uint i = t + j * GROUP, row = i / KC, k = k0 + i % KC;
        gemm_next_x[j] = row < TM && k < k_end ? gemm_x(row, k) : vec4(0.0);
    }
}

void gemm_tile(uint col0, uint k_begin, uint k_end)
{
    uint t = gl_LocalInvocationIndex;
    uint ct = t % CT, rt = t / CT % RT, kg = t / (CT * RT);
    vec4 acc[RV * RN];
    [[unroll]] for (uint i = 0u; i < RV * RN; i++) {
        acc[i] = vec4(0.0);
    }
#ifdef GEMM_SQUARES
    float squares = 0.0;
#endif
    if (k_begin < k_end) {
        gemm_fetch(col0, k_begin, k_end);
    }
    for (uint k0 = k_begin; k0 < k_end; k0 += KC) {
        barrier();
        [[unroll]] for (uint j = 0u; j < STAGED; j++) {
            uint i = t + j * GROUP;
            if (i < TM * KC) {
                gemm_staged[i / KC * XS + i % KC] = gemm_next_x[j];
            }
        }
        STORED4 w[STEPS * RN];
        [[unroll]] for (uint j = 0u; j < STEPS * RN; j++) {
            w[j] = gemm_next_w[j];
        }
        barrier();
        if (k0 + KC < k_end) {
            gemm_fetch(col0, k0 + KC, k_end);
        }
#ifdef GEMM_SQUARES
        if (t < SQUARE_PARTS * TM) {
            for (uint k = t / TM; k < KC; k += SQUARE_PARTS) {
                vec4 x = gemm_staged[t % TM * XS + k];
                squares += dot(x, x);
            }
        }
#endif
        [[unroll]] for (uint s = 0u; s < STEPS; s++) {
            [[unroll]] for (uint v = 0u; v < RV; v++) {
                uint at = (rt + RT * 4u * v) * XS + kg + s * KG;
                vec4 x0 = gemm_staged[at], x1 = gemm_staged[at + RT * XS];
                vec4 x2 = gemm_staged[at + 2u * RT * XS], x3 = gemm_staged[at + 3u * RT * XS];
                [[unroll]] for (uint j = 0u; j < RN; j++) {
                    vec4 y = loaded(w[s * RN + j]);
                    acc[v * RN + j] += vec4(dot(x0, y), dot(x1, y), dot(x2, y), dot(x3, y));
                }
            }
        }
    }
    [[unroll]] for (uint v = 0u; v < RV; v++) {
        [[unroll]] for (uint j = 0u; j < RN; j++) {
            gemm_partial[(kg * TQ + v * RT + rt) * TN + ct + CT * j] = acc[v * RN + j];
        }
    }
#ifdef GEMM_SQUARES
    gemm_squares[t] = squares;
#endif
    barrier();
}
#endif
