// Every model kernel against its C twin, over the cases of kernel_cases.h.
#include "gpu_util.h"

#include "kernel_cases.h"
#include "vk.h"

AG_SHADERS(model);

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

// Where the prefill is one kernel: a workgroup a piece of work, all of them at once.
static void whole_prefill(void **state)
{
    (void)state;
    static const struct ag_model_config c = {
        .image_size = 224, .patch = 16, .grid = 14, .tokens = 196, .cells = 265, .eos = 265,
        .vocab = 266, .channels = 192, .trunk_depth = 1, .trunk_time = 3, .trunk_space = 3,
        .width = 192, .layers = 4, .heads = 6, .kv_heads = 6, .head_dim = 32, .mlp = 384,
        .round = 10, .max_num_frames = 16,
    };
    static const struct {
        enum ag_context context;
        enum ag_precision precision;
        uint32_t cores, streams, shared, groups, units; // groups 0: separate dispatches
    } cases[] = {
        { AG_CONTEXT_CANVAS, AG_PRECISION_TENSOR, 132, 1, 49152, 130, 96 },
        { AG_CONTEXT_CANVAS, AG_PRECISION_TENSOR, 128, 1, 49152, 117, 128 },
        { AG_CONTEXT_CANVAS, AG_PRECISION_TENSOR, 108, 1, 65536, 104, 192 },
        { AG_CONTEXT_CANVAS, AG_PRECISION_TENSOR, 264, 2, 49152, 130, 96 },
        { AG_CONTEXT_CANVAS, AG_PRECISION_TENSOR, 90, 1, 49152, 0, 0 },
        { AG_CONTEXT_CANVAS, AG_PRECISION_TENSOR, 132, 2, 49152, 0, 0 },
        { AG_CONTEXT_CANVAS, AG_PRECISION_TENSOR, 132, 1, 32768, 0, 0 },
        { AG_CONTEXT_CANVAS, AG_PRECISION_F16, 132, 1, 49152, 0, 0 },
        { AG_CONTEXT_FRAMES, AG_PRECISION_TENSOR, 132, 1, 49152, 130, 96 },
        { AG_CONTEXT_FRAMES, AG_PRECISION_TENSOR, 132, 1, 45056, 0, 0 },
    };
    for (size_t i = 0; i < AG_COUNT(cases); i++) {
        struct ag_gpu_info info = {
            .subgroup_size = 32, .cores = cases[i].cores, .max_workgroup_invocations = 1024,
            .max_shared_bytes = cases[i].shared, .cooperative_matrix = true,
        };
        struct ag_gpu_model_params params = {
            .stream = { .context = cases[i].context, .policy = AG_STREAM_CHUNK },
            .streams = cases[i].streams, .precision = cases[i].precision,
        };
        struct gpu_shape s;
        struct ag_error err = { 0 };
        TEST_OK(gpu_shape_init(&s, &c, &params, &info, &err), err);
        assert_int_equal(s.whole_prefill, cases[i].groups != 0);
        if (s.whole_prefill) {
            assert_int_equal(s.prefill_groups, cases[i].groups);
            assert_int_equal(s.prefill_units, cases[i].units);
        }
    }
}

// ---- the form of VK_KHR_cooperative_matrix ----------------------------------------------------

enum { TYPE = 4456, LOAD, STORE, MUL_ADD }; // and length

// Instructions of a kind; every one of them is whole.
static uint32_t count(const uint32_t *code, size_t bytes, uint32_t op)
{
    uint32_t n = 0, i = 5;
    for (; i < bytes / 4; i += code[i] >> 16) {
        assert_true(code[i] >> 16 > 0);
        n += (code[i] & 0xffff) == op;
    }
    assert_int_equal(i, bytes / 4);
    return n;
}

// Of the types of the three factors and the sum of each product, in that order.
static void assert_uses(const uint32_t *code, size_t bytes)
{
    uint32_t n_ids = code[3];
    uint32_t *type = ag_alloc(n_ids * sizeof(*type)), *use = ag_alloc(n_ids * sizeof(*use));
    uint32_t *value = ag_alloc(n_ids * sizeof(*value));
    for (uint32_t i = 5; i < bytes / 4; i += code[i] >> 16) {
        const uint32_t *op = &code[i];
        switch (op[0] & 0xffff) {
        case 43: // OpConstant
            value[op[2]] = op[3];
            break;
        case TYPE:
            assert_int_equal(op[0] >> 16, 7);
            assert_true(value[op[4]] == 16 && value[op[5]] == 16 && op[6] < n_ids);
            use[op[1]] = value[op[6]] + 1;
            break;
        case LOAD:
            assert_true(use[op[1]] && value[op[4]] <= 1);
            type[op[2]] = op[1];
            break;
        case STORE:
            assert_true(value[op[3]] <= 1);
            break;
        case MUL_ADD:
            for (uint32_t k = 0; k < 3; k++) {
                assert_int_equal(use[type[op[3 + k]]], k + 1);
            }
            type[op[2]] = op[1];
            break;
        case 61: // OpLoad
        case 80: // OpCompositeConstruct
            type[op[2]] = op[1];
            break;
        default:
            break;
        }
    }
    ag_free(type);
    ag_free(use);
    ag_free(value);
}

static void khr_form(void **state)
{
    (void)state;
    uint32_t n = 0;
    for (uint32_t i = 0; i < ag_shaders_model.n; i++) {
        const struct ag_shader *nv = &ag_shaders_model.shaders[i];
        bool matrices = count(nv->code, nv->code_bytes, 5361) > 0; // OpCooperativeMatrixMulAddNV
        size_t bytes = 0;
        uint32_t *khr = ag_spirv_khr_matrix(nv, &bytes);
        assert_int_equal(khr != NULL, matrices);
        if (!khr) {
            continue;
        }
        n++;
        for (uint32_t op = 0; op < 5; op++) { // a form's instructions stand in the same order
            assert_int_equal(count(khr, bytes, TYPE + op),
                             count(nv->code, nv->code_bytes, 5358 + op));
            assert_int_equal(count(khr, bytes, 5358 + op), 0);
        }
        assert_int_equal(khr[3], nv->code[3] + 3);
        assert_uses(khr, bytes);
        ag_free(khr);
    }
    assert_true(n > 10);
    struct ag_shader cut = *ag_shader_find(&ag_shaders_model, "prefill.tensor");
    cut.code_bytes = 4 * (5 + 1); // half of the first instruction
    size_t bytes;
    assert_null(ag_spirv_khr_matrix(&cut, &bytes));
}

int main(int argc, char **argv)
{
    cmocka_set_test_filter(argc > 1 ? argv[1] : NULL);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(khr_form),
        cmocka_unit_test(whole_prefill),
        cmocka_unit_test(small_sizes),
        cmocka_unit_test(real_sizes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
