// gemm.glsl for software devices: lavapipe runs a subgroup as one vector of the processor, loads
// lane by lane, from shared memory, too, and suspends invocations at barriers. A load costs as
// much as dozens of products, so a lane asks for the inputs of a row and the others get them by
// shuffles, one instruction each (a broadcast searches for the first active lane every time);
// nothing is staged, the depth is not shared.
//
// Thread (rt, ct) sums rows 4*RV*rt.. of columns ct + CT*(0..RN-1); CT is a multiple of LANES.
const uint OWN_X = (4u * RV + LANES - 1u) / LANES; // rows that a lane asks for

shared vec4 gemm_partial[TQ * TN];
#ifdef GEMM_SQUARES
shared float gemm_squares[RT * OWN_X * LANES];
#endif

uint gemm_row(uint q, uint i)
{
    return 4u * q + i;
}

vec4 gemm_sum(uint q, uint col)
{
    return gemm_partial[q * TN + col];
}

#ifdef GEMM_SQUARES
float gemm_square_sum(uint row)
{
    return gemm_squares[row / (4u * RV) * OWN_X * LANES + row % (4u * RV)];
}
#endif

void gemm_tile(uint col0, uint k_begin, uint k_end)
{
    uint t = gl_LocalInvocationIndex, ct = t % CT, rt = t / CT, lane = gl_SubgroupInvocationID;
    vec4 acc[RV * RN];
    [[unroll]] for (uint i = 0u; i < RV * RN; i++) {
        acc[i] = vec4(0.0);
    }
#ifdef GEMM_SQUARES
    float squares[OWN_X];
    [[unroll]] for (uint j = 0u; j < OWN_X; j++) {
        squares[j] = 0.0;
    }
#endif
    [[dont_unroll]] for (uint k = k_begin; k < k_end; k++) {
        vec4 x[OWN_X], w[RN];
        [[unroll]] for (uint j = 0u; j < OWN_X; j++) {
            uint row = lane + j * LANES;
            x[j] = row < 4u * RV ? gemm_x(4u * RV * rt + row, k) : vec4(0.0);
#ifdef GEMM_SQUARES
            squares[j] += dot(x[j], x[j]);
#endif
        }
        [[unroll]] for (uint j = 0u; j < RN; j++) {
            uint col = min(col0 + ct + CT * j, GEMM_COLUMNS - 1u);
            w[j] = loaded(weight[k * GEMM_COLUMNS + col]);
        }
        [[unroll]] for (uint v = 0u; v < RV; v++) {
            [[unroll]] for (uint i = 0u; i < 4u; i++) {
                uint row = 4u * v + i;
                vec4 other = subgroupShuffle(x[row / LANES], row % LANES);
                [[unroll]] for (uint j = 0u; j < RN; j++) {
                    acc[v * RN + j][i] += dot(other, w[j]);
                }
            }
        }
    }
    [[unroll]] for (uint v = 0u; v < RV; v++) {
        [[unroll]] for (uint j = 0u; j < RN; j++) {
            gemm_partial[(rt * RV + v) * TN + ct + CT * j] = acc[v * RN + j];
        }
    }
#ifdef GEMM_SQUARES
    if (ct < LANES) {
        [[unroll]] for (uint j = 0u; j < OWN_X; j++) {
            gemm_squares[(rt * OWN_X + j) * LANES + ct] = squares[j];
        }
    }
#endif
    barrier();
}
