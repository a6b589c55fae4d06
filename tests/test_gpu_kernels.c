// Every model kernel against its C twin, over the cases of kernel_cases.h.
#include "gpu_util.h"

#include "kernel_cases.h"

// On a software device the kernels of hardware are checked, too.
static bool has_plain(const struct ag_gpu *gpu, const struct kernel_case *k)
{
    return ag_gpu_get_info(gpu)->software && k->precision != AG_PRECISION_TENSOR &&
           gpu_kernel_info[k->op].has_tensor;
}

static void run_cases(bool real)
{
    struct ag_gpu *gpu = test_gpu_open();
    uint32_t wrong = 0, n = 0;
    for (uint32_t i = 0; i < kernel_case_count(); i++) {
        struct kernel_case k = kernel_case_at(i);
        if (k.size.real != real) {
            continue;
        }
        for (int plain = 0; plain <= has_plain(gpu, &k); plain++) {
            struct kernel_result result;
            struct ag_error err = { 0 };
            k.plain = plain != 0;
            TEST_OK(kernel_case_run(gpu, &k, 0, &result, &err), err);
            n++;
            if (!result.ok) {
                wrong++;
                print_error("%s%s, size %s (%s): %s\n", result.name, plain ? ", plain" : "",
                            k.size.name, result.shape, result.text);
            }
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
