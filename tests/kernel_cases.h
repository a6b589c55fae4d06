// One list of cases for every model kernel: checked against its C twin (src/reference/model_ops.c)
// by test_gpu_kernels, checked and then timed by `autogaze-bench kernels`. Sizes: 1, a prime, one
// less and one more than a tile, and the real model. Every buffer lies between guard zones of 256
// bytes; nothing but the kernel's outputs may change.
#ifndef AUTOGAZE_TESTS_KERNEL_CASES_H
#define AUTOGAZE_TESTS_KERNEL_CASES_H

#include "autogaze/gpu.h"

#include "../src/model/gpu_shape.h"

struct kernel_size {
    const char *name;
    // dimensions of a made-up model; letters as in autogaze/model.h
    uint32_t side, patch, channels, time, space;
    uint32_t width, heads, kv_heads, head_dim, mlp, round, cells;
    uint32_t rows;   // of a prefill (rounds have `round`, the last layer 1)
    uint32_t cached; // tokens before them
    bool real;       // one stream, sums cut as the device wants it; else 2 streams, 3 pieces
};

#define KERNEL_SIZES                                                                               \
    { "one", 1, 1, 1, 1, 1, 1, 1, 1, 2, 1, 1, 1, 1, 0, false },                                    \
    { "prime", 15, 3, 7, 2, 3, 13, 3, 1, 10, 11, 7, 23, 29, 37, false },                           \
    { "less", 24, 4, 31, 3, 5, 31, 4, 2, 12, 31, 9, 63, 31, 63, false },                           \
    { "more", 24, 4, 33, 3, 3, 33, 4, 4, 16, 65, 21, 65, 33, 65, false },                          \
    { "real", 224, 16, 192, 3, 3, 192, 6, 6, 32, 384, 10, 265, 196, 198, true },                   \
    { "long", 224, 16, 192, 3, 3, 192, 6, 6, 32, 384, 10, 265, 206, 3094, true },

struct kernel_case {
    struct kernel_size size;
    enum gpu_op op;
    enum gpu_phase phase;
    enum ag_precision precision;
    bool plain; // not the variant for software devices
};
struct kernel_result {
    char name[64], shape[96];     // "mlp_in round f16", "10 x 192 -> 384"
    double error, bound;          // largest difference over the largest value
    double bytes, flops;          // that must move, that are computed
    double us;                    // one dispatch with its barrier; 0: not timed
    bool ok;
    char text[200];               // what is wrong
};

uint32_t kernel_case_count(void);
struct kernel_case kernel_case_at(uint32_t i);
// Checks the case and, if it is right and repeats > 0, times it. False: the device failed (*err).
bool kernel_case_run(struct ag_gpu *gpu, const struct kernel_case *k, uint32_t repeats,
                     struct kernel_result *out, struct ag_error *err);

#endif
