#ifndef AG_GPU_SPIRV_H
#define AG_GPU_SPIRV_H

// What spirv.c and khr_matrix.c both read of SPIR-V.

#include <stdint.h>

enum {
    HEADER_WORDS = 5,

    OP_TYPE_INT = 21,
    OP_TYPE_FLOAT = 22,
    OP_CONSTANT = 43,
    OP_DECORATE = 71,
};

static inline uint32_t opcode(const uint32_t *op)
{
    return op[0] & 0xffff;
}

static inline uint32_t length(const uint32_t *op)
{
    return op[0] >> 16;
}

#endif
