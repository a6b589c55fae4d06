// Push block of shaders/gputest/*.comp, which tests/test_gpu.c runs.
#ifndef AG_INTERFACE_GPUTEST_ARGS_H
#define AG_INTERFACE_GPUTEST_ARGS_H

#include "interface/lang.h"

struct gputest_args {
    U32 n;
    U32 add;
    F32 unused;
    U32 words[2];
};
ABI_SIZE(gputest_args, 20);

#endif
