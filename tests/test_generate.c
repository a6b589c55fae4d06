// shaders/source/generate.comp against its twin in C, pixel by pixel.
#include "gpu_util.h"

#include "autogaze/source.h"

#include "interface/generate_args.h"

AG_SHADERS(source);

#define GROUP 64

static const struct {
    uint32_t width, height;
} sizes[] = { { 64, 36 }, { 640, 360 }, { 127, 95 }, { 33, 257 }, { 1, 1 } };

// Beginning, each phase of the cycles, far out, the end of the index.
static const uint32_t indices[] = { 0, 1, 7, 20, 50, 90, 1000, 123456789, 0xffffffff };

static struct ag_kernel *kernels[2][AG_GENERATE_COUNT];

static void check(struct ag_gpu *gpu, bool quad, enum ag_pattern pattern, uint32_t index,
                  uint32_t width, uint32_t height)
{
    size_t bytes = (size_t)width * height * 4;
    uint64_t floats = ag_pattern_table_floats(pattern, width, height);
    float *table = ag_alloc((floats + 1) * sizeof(float));
    struct generate_args args;
    ag_pattern_prepare(pattern, index, width, height, &args, table);
    struct ag_kernel **kernel = &kernels[quad][args.pattern];
    if (!*kernel) {
        *kernel = test_gpu_kernel(gpu, &ag_shaders_source, quad ? "generate.quad" : "generate",
                                  AG_CONSTANTS(GROUP, args.pattern));
    }
    struct ag_buffer *tables = test_gpu_buffer(gpu, table, (floats + 1) * sizeof(float), "tables");
    // One word more than the picture: the guard stays as it is.
    uint32_t *got = ag_alloc(bytes + 4), *expected = ag_alloc(bytes);
    got[width * height] = 0xdeadbeef;
    struct ag_buffer *picture = test_gpu_buffer(gpu, got, bytes + 4, "picture");

    struct ag_cmd *cmd = test_gpu_begin(gpu);
    ag_dispatch(cmd, *kernel, AG_BIND({ picture }, { tables }), &args, sizeof(args),
                AG_DIV_UP(quad ? width / 4 : width, GROUP), AG_DIV_UP(height, GENERATE_ROWS), 1);
    test_gpu_finish(gpu, cmd);
    test_gpu_read(gpu, picture, got, bytes + 4);

    ag_pattern_draw(pattern, index, width, height, (uint8_t *)expected);
    assert_int_equal(got[width * height], 0xdeadbeef);
    for (uint32_t i = 0; i < width * height; i++) {
        if (got[i] != expected[i]) {
            fail_msg("%s frame %u of %ux%u at (%u,%u): %08x, expected %08x",
                     ag_pattern_name(pattern), index, width, height, i % width, i / width, got[i],
                     expected[i]);
        }
    }
    ag_buffer_destroy(gpu, &picture);
    ag_buffer_destroy(gpu, &tables);
    ag_free(expected);
    ag_free(got);
    ag_free(table);
}

static void test_twin(void **state)
{
    struct ag_gpu *gpu = *state;
    for (size_t s = 0; s < AG_COUNT(sizes); s++) {
        for (int p = 0; p < AG_PATTERN_COUNT; p++) {
            for (size_t i = 0; i < AG_COUNT(indices); i++) {
                uint32_t width = sizes[s].width;
                check(gpu, false, p, indices[i], width, sizes[s].height);
                check(gpu, true, p, indices[i], AG_ALIGN_UP(width, 4), sizes[s].height);
            }
        }
    }
    check(gpu, true, AG_PATTERN_PAN, 77, 1280, 720);
    for (int i = 0; i < 2 * (int)AG_GENERATE_COUNT; i++) {
        ag_kernel_destroy(gpu, &kernels[i / (int)AG_GENERATE_COUNT][i % (int)AG_GENERATE_COUNT]);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_twin, test_gpu_setup, test_gpu_teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
