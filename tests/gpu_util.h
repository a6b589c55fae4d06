// What GPU tests share: a device with validation on, short ways to fill and read buffers, and a
// teardown that fails the test when the validation layers had anything to say.
//
//     struct ag_gpu *gpu = test_gpu_open();
//     struct ag_buffer *b = test_gpu_buffer(gpu, words, sizeof(words), "words");
//     struct ag_cmd *cmd = test_gpu_begin(gpu);
//     ag_dispatch(cmd, ...);
//     test_gpu_finish(gpu, cmd);
//     test_gpu_read(gpu, b, words, sizeof(words));
//     ag_buffer_destroy(gpu, &b);
//     test_gpu_close(&gpu);
//
// AUTOGAZE_TEST_GPU (index or part of a name) picks the device, else the best one is taken. A test
// that cannot get a device fails. NVIDIA's driver (580.159) can be unloaded and loaded only some 29
// times a process: a test with more devices than that shares one, or is run there with
// LD_PRELOAD=libGLX_nvidia.so.0.
#ifndef AUTOGAZE_TESTS_GPU_UTIL_H
#define AUTOGAZE_TESTS_GPU_UTIL_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "autogaze/gpu.h"

#define TEST_OK(condition, err)                                                                    \
    do {                                                                                           \
        if (!(condition)) {                                                                        \
            fail_msg("%s: %s", #condition, (err).text);                                            \
        }                                                                                          \
    } while (0)

static inline struct ag_gpu *test_gpu_open(void)
{
    static const struct ag_log log = { .level = AG_LOG_WARN };
    struct ag_error err = { 0 };
    struct ag_gpu_params params = { .device = getenv("AUTOGAZE_TEST_GPU"), .validation = true };
    struct ag_gpu *gpu = ag_gpu_create(&log, &params, &err);
    TEST_OK(gpu, err);
    return gpu;
}

static inline void test_gpu_close(struct ag_gpu **gpu)
{
    uint64_t messages = ag_gpu_get_counters(*gpu).validation_messages;
    ag_gpu_destroy(gpu);
    assert_int_equal(messages, 0);
}

// For cmocka_run_group_tests: *state is one device for all tests of a file.
static inline int test_gpu_setup(void **state)
{
    *state = test_gpu_open();
    return 0;
}

static inline int test_gpu_teardown(void **state)
{
    test_gpu_close((struct ag_gpu **)state);
    return 0;
}

// A DEVICE buffer; data NULL: zeros.
static inline struct ag_buffer *test_gpu_buffer(struct ag_gpu *gpu, const void *data, uint64_t size,
                                                const char *name)
{
    struct ag_error err = { 0 };
    struct ag_buffer *buffer = ag_buffer_create(gpu, AG_MEM_DEVICE, size, name, &err);
    TEST_OK(buffer, err);
    void *zeros = data ? NULL : ag_alloc(size);
    TEST_OK(ag_buffer_load(gpu, buffer, 0, data ? data : zeros, size, &err), err);
    ag_free(zeros);
    return buffer;
}

static inline void test_gpu_read(struct ag_gpu *gpu, struct ag_buffer *buffer, void *data,
                                 uint64_t size)
{
    struct ag_error err = { 0 };
    TEST_OK(ag_buffer_read(gpu, buffer, 0, data, size, &err), err);
}

static inline struct ag_kernel *test_gpu_kernel(struct ag_gpu *gpu,
                                                const struct ag_shader_library *library,
                                                const char *name, const uint32_t *constants,
                                                uint32_t n_constants)
{
    struct ag_error err = { 0 };
    struct ag_kernel_params params = {
        .library = library, .name = name, .constants = constants, .n_constants = n_constants
    };
    struct ag_kernel *kernel = ag_kernel_create(gpu, &params, &err);
    TEST_OK(kernel, err);
    return kernel;
}

static inline struct ag_cmd *test_gpu_begin(struct ag_gpu *gpu)
{
    struct ag_error err = { 0 };
    struct ag_cmd *cmd = ag_cmd_begin(gpu, 0, &err);
    TEST_OK(cmd, err);
    return cmd;
}

// Submits and waits.
static inline void test_gpu_finish(struct ag_gpu *gpu, struct ag_cmd *cmd)
{
    struct ag_error err = { 0 };
    uint64_t value = ag_cmd_submit(cmd, &err);
    TEST_OK(value, err);
    TEST_OK(ag_gpu_wait(gpu, value, &err), err);
}

#endif
