// How large a mask may be for the sparse path of the compositor to pay: measured by
// `autogaze-bench crossover`, read by the pipeline for `--dispatch auto`.
//
// The file is `crossover.json` in the cache folder of the user: one device and driver, all sizes
// that were measured.
#ifndef AUTOGAZE_CROSSOVER_H
#define AUTOGAZE_CROSSOVER_H

#include "autogaze/gpu.h"

// Built in, for devices and sizes that nobody measured: the sparse path was never slower than the
// dense one (docs/performance-log.md).
#define AG_CROSSOVER_DEFAULT 1.0

// Plans that cover less than this share of the picture take the sparse path.
struct ag_crossover {
    double psnr, no_psnr; // with and without the error sum
};

// One measured point of the sweep.
struct ag_crossover_row {
    uint32_t width, height;
    bool psnr;
    const char *fragmentation;
    uint32_t cells;
    double asked, coverage;       // shares of the picture
    double sparse_p50, sparse_p95, dense_p50, dense_p95, copy_p50, copy_p95; // GPU microseconds
};

// Lowest coverage at which the sparse path takes more than 1.05 times the dense one's time, over
// all fragmentations; 1 if there is none. Rows of another size or kind are left out.
double ag_crossover_of(const struct ag_crossover_row *rows, uint32_t n, uint32_t width,
                       uint32_t height, bool psnr);

// AG_ERR_OUTPUT if it cannot be written. Missing folders are made.
bool ag_crossover_write(const char *path, const struct ag_gpu_info *gpu,
                        const struct ag_crossover_row *rows, uint32_t n, struct ag_error *err);
// False: the file is missing, damaged, of another device or driver, or without this size; *out is
// the built-in default then, and `err` says why.
bool ag_crossover_read(const char *path, const struct ag_gpu_info *gpu, uint32_t width,
                       uint32_t height, struct ag_crossover *out, struct ag_error *err);

#endif
