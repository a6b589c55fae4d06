#include "cpu_kernels.h"

#include <string.h>

static bool always(void)
{
    return true;
}

#define NAME(f) f##_base
#define TARGET
#define WIDTH 4
#define ROWS 4
#include "cpu_kernels.inc"
#undef NAME
#undef TARGET
#undef WIDTH
#undef ROWS

#ifdef __x86_64__
static bool has_avx2(void)
{
    return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");
}

static bool has_avx512(void)
{
    return has_avx2() && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512vl") &&
           __builtin_cpu_supports("avx512dq");
}

#define NAME(f) f##_avx2
#define TARGET __attribute__((target("avx2,fma")))
#define WIDTH 8
#define ROWS 6
#include "cpu_kernels.inc"
#undef NAME
#undef TARGET
#undef WIDTH
#undef ROWS

#define NAME(f) f##_avx512
#define TARGET __attribute__((target("avx2,fma,avx512f,avx512vl,avx512dq")))
#define WIDTH 16
#define ROWS 14
#include "cpu_kernels.inc"
#undef NAME
#undef TARGET
#undef WIDTH
#undef ROWS
#endif

#define TABLE(isa, test) { #isa, test, matmul_##isa, sum_squares_##isa, exp_row_##isa, silu_##isa }
const struct ag_cpu_kernels ag_cpu_kernels[] = {
#ifdef __x86_64__
    TABLE(avx512, has_avx512),
    TABLE(avx2, has_avx2),
#endif
    TABLE(base, always),
};
const int ag_cpu_kernels_count = AG_COUNT(ag_cpu_kernels);

const struct ag_cpu_kernels *ag_cpu_kernels_best(void)
{
    const struct ag_cpu_kernels *k = ag_cpu_kernels;
    while (!k->supported()) {
        k++;
    }
    return k;
}

void ag_pack(struct ag_packed *p, uint32_t first, const float *w, uint32_t rows, size_t row_stride,
             size_t stride)
{
    for (uint32_t r = 0; r < rows; r++) {
        uint32_t out = first + r;
        float *column = p->data + (size_t)(out / AG_PANEL) * p->in * AG_PANEL + out % AG_PANEL;
        for (uint32_t i = 0; i < p->in; i++) {
            column[(size_t)i * AG_PANEL] = w[r * row_stride + i * stride];
        }
    }
}

void ag_tile_rows(const float *x, size_t ld, uint32_t rows, uint32_t k, float *tile)
{
    for (uint32_t r = 0; r < rows; r++) {
        for (uint32_t i = 0; i < k; i++) {
            tile[(size_t)i * AG_TILE + r] = x[r * ld + i];
        }
    }
}

void ag_matmul(const struct ag_cpu_kernels *f, uint32_t rows, const float *tile,
               const struct ag_packed *p, uint32_t first, uint32_t last, float *c, size_t ld)
{
    for (uint32_t i = first; i < last; i++) {
        f->matmul(rows, p->in, tile, AG_TILE, p->data + (size_t)i * p->in * AG_PANEL, AG_PANEL,
                  c + (size_t)i * AG_PANEL, ld, false);
    }
}
