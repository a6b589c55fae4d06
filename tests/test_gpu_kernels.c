// Every model kernel against its C twin, over the cases of kernel_cases.h.
#include "gpu_util.h"

#include "kernel_cases.h"

static void run_cases(bool real)
{
    struct ag_gpu *gpu = test_gpu_open();
    uint32_t wrong = 0, n = 0;
    for (uint32_t i = 0; i < kernel_case_count(); i++) {
        struct kernel_case k = kernel_case_at(i);
        struct kernel_result result;
        struct ag_error err = { 0 };
        if (k.size.real != real) {
            continue;
        }
        TEST_OK(kernel_case_run(gpu, &k, 0, &result, &err), err);
        n++;
        if (!result.ok) {
            wrong++;
            print_error("%s, size %s (%s): %s\n", result.name, k.size.name, result.shape,
                        result.text);
        }
    }
    assert_true(n > 20);
    assert_int_equal(wrong, 0);
    test_gpu_close(&gpu);
}

static void small_sizes(void **state)
{
    (void)state;
    run_cases(false);
}

static void real_sizes(void **state)
{
    (void)state;
    run_cases(true);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(small_sizes),
        cmocka_unit_test(real_sizes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
