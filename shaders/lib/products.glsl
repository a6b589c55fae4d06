// Products of 16 rows with weights by a workgroup's subgroups (lib/matrix.glsl, lib/warp.glsl):
// `columns` tiles of columns, the depth of `depth` tiles in `shares`; unit u = (column, share) is
// subgroup u % WARPS's. FETCH asks for the weights (`at`: index of tile (k, col)) as early as can
// be, MULTIPLY leaves the sums: [shares of the depth][16][columns / 4 + 1] in tile_sums.
#define MAX(a, b) ((a) > (b) ? (a) : (b))
#define SHARES_OF(columns, most)                                                                  \
    (WARPS / (columns) > (most) ? (most) : WARPS / (columns) > 0u ? WARPS / (columns) : 1u)
#define EACH(columns, shares) (((columns) * (shares) + WARPS - 1u) / WARPS)
#define STEPS(shares, depth) (((depth) + (shares) - 1u) / (shares))
#define TILES(columns, shares, depth) (EACH(columns, shares) * STEPS(shares, depth))
#define FETCH(w, columns, shares, depth, at)                                                      \
    [[unroll]] for (uint j = 0u; j < EACH(columns, shares); j++) {                                \
        uint u = warp + WARPS * j;                                                                \
        u = (columns) * (shares) % WARPS == 0u ? u : min(u, (columns) * (shares) - 1u);           \
        uint col = u % (columns);                                                                 \
        [[unroll]] for (uint s = 0u; s < STEPS(shares, depth); s++) {                             \
            uint k = u / (columns) * STEPS(shares, depth) + s;                                    \
            k = (depth) % (shares) == 0u ? k : min(k, (depth) - 1u);                              \
            w[j * STEPS(shares, depth) + s] = mma_ask(at);                                        \
        }                                                                                         \
    }
#define MULTIPLY(w, columns, shares, depth, from, from_stride, put)                               \
    [[unroll]] for (uint j = 0u; j < EACH(columns, shares); j++) {                                \
        uint u = warp + WARPS * j, col = u % (columns), share = u / (columns);                    \
        if ((columns) * (shares) % WARPS == 0u || u < (columns) * (shares)) {                     \
            mma_sum sum = mma_zero();                                                             \
            [[unroll]] for (uint s = 0u; s < STEPS(shares, depth); s++) {                         \
                uint k = share * STEPS(shares, depth) + s;                                        \
                if ((depth) % (shares) == 0u || k < (depth)) {                                    \
                    sum = mma_add(mma_rows((from) + 4u * k, from_stride),                         \
                                  mma_asked(w[j * STEPS(shares, depth) + s]), sum);               \
                }                                                                                 \
            }                                                                                     \
            put;                                                                                  \
        }                                                                                         \
    }
