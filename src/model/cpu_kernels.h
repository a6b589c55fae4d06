// The inner loops of the CPU back end, compiled for several instruction sets and chosen at start.
//
// Matrices meet in tiles. The left side comes k-major: element (row, k) at a[k * a_stride + row],
// so that the rows of a tile lie side by side; a tile is AG_TILE rows at most. The right side comes
// in panels of AG_PANEL columns: element (k, column) at b[k * b_stride + column]. The result is
// row-major. Every element is summed over ascending k in float32, whatever the tile's size or the
// number of threads, so results depend on the instruction set only (fused multiply-add or not).
#ifndef AUTOGAZE_MODEL_CPU_KERNELS_H
#define AUTOGAZE_MODEL_CPU_KERNELS_H

#include "autogaze/base.h"

#define AG_TILE 14  // rows; 14 x 2 accumulators of 16 floats fit the registers of AVX-512
#define AG_PANEL 32 // columns

struct ag_cpu_kernels {
    const char *name;
    bool (*supported)(void);
    // c[rows][AG_PANEL] = (add ? c : 0) + a * b
    void (*matmul)(uint32_t rows, uint32_t k, const float *a, size_t a_stride, const float *b,
                   size_t b_stride, float *c, size_t c_stride, bool add);
    float (*sum_squares)(const float *x, uint32_t n);
    // x[i] = exp(scale * (x[i] - max x)), n >= 1; returns their sum.
    float (*exp_row)(float *x, uint32_t n, float scale);
    // out[i] = gate[i] / (1 + exp(-gate[i])) * up[i]; out may be gate
    void (*silu)(const float *gate, const float *up, uint32_t n, float *out);
};

// All variants of this build, fastest first; the last one always runs.
extern const struct ag_cpu_kernels ag_cpu_kernels[];
extern const int ag_cpu_kernels_count;
const struct ag_cpu_kernels *ag_cpu_kernels_best(void);

// Weights [out][in] as panels [panel][in][AG_PANEL], zeros past the last column.
struct ag_packed {
    uint32_t in, out;
    float *data;
};
static inline uint32_t ag_packed_panels(uint32_t out)
{
    return AG_DIV_UP(out, AG_PANEL);
}
static inline size_t ag_packed_size(uint32_t in, uint32_t out) // floats
{
    return (size_t)ag_packed_panels(out) * in * AG_PANEL;
}
// Copies rows of `w`, `stride` floats apart between inputs, to the outputs `first`...
void ag_pack(struct ag_packed *p, uint32_t first, const float *w, uint32_t rows, size_t row_stride,
             size_t stride);
// Rows [rows][ld] -> tile [k][AG_TILE].
void ag_tile_rows(const float *x, size_t ld, uint32_t rows, uint32_t k, float *tile);
// c[rows][ld] = tile * p, panels first...last-1; ld >= 32 * panels.
void ag_matmul(const struct ag_cpu_kernels *f, uint32_t rows, const float *tile,
               const struct ag_packed *p, uint32_t first, uint32_t last, float *c, size_t ld);

#endif
