// The inner loops of the CPU back end, every instruction set this machine has, against plain loops;
// and the worker pool.
#include "model_util.h"

#include <math.h>
#include <stdatomic.h>

#include "../src/model/cpu_kernels.h"
#include "../src/model/cpu_pool.h"

static uint32_t seed = 1;

static float noise(void) // -1..1
{
    seed = seed * 1664525u + 1013904223u;
    return (float)(seed >> 8) / (float)(1 << 23) - 1.0f;
}

static void fill(float *x, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        x[i] = noise();
    }
}

enum { DEPTH = 200, A_STRIDE = AG_TILE + 3, B_STRIDE = AG_PANEL + 5, C_STRIDE = AG_PANEL + 7 };
static float a[DEPTH * A_STRIDE], b[DEPTH * B_STRIDE], c[AG_TILE * C_STRIDE];

static void check_matmul(const struct ag_cpu_kernels *f, uint32_t rows, uint32_t k, bool add)
{
    float before[AG_TILE * C_STRIDE];
    fill(c, AG_COUNT(c));
    memcpy(before, c, sizeof(c));
    f->matmul(rows, k, a, A_STRIDE, b, B_STRIDE, c, C_STRIDE, add);
    for (uint32_t i = 0; i < AG_TILE; i++) {
        for (uint32_t j = 0; j < C_STRIDE; j++) {
            bool written = i < rows && j < AG_PANEL; // the rest must stay as it was
            double sum = add || !written ? (double)before[i * C_STRIDE + j] : 0;
            for (uint32_t x = 0; written && x < k; x++) {
                sum += (double)a[x * A_STRIDE + i] * (double)b[x * B_STRIDE + j];
            }
            assert_true(fabs((double)c[i * C_STRIDE + j] - sum) < 1e-5);
        }
    }
}

static void test_matmul(void **state)
{
    (void)state;
    fill(a, AG_COUNT(a));
    fill(b, AG_COUNT(b));
    for (int v = 0; v < ag_cpu_kernels_count; v++) {
        if (!ag_cpu_kernels[v].supported()) {
            continue;
        }
        for (uint32_t rows = 1; rows <= AG_TILE; rows++) {
            check_matmul(&ag_cpu_kernels[v], rows, 1, false);
            check_matmul(&ag_cpu_kernels[v], rows, 37, true);
            check_matmul(&ag_cpu_kernels[v], rows, DEPTH, rows % 2);
        }
    }
}

// An element's sum does not depend on the rows that are worked on beside it.
static void test_rows_do_not_matter(void **state)
{
    (void)state;
    static float alone[AG_TILE * C_STRIDE];
    fill(a, AG_COUNT(a));
    fill(b, AG_COUNT(b));
    for (int v = 0; v < ag_cpu_kernels_count; v++) {
        const struct ag_cpu_kernels *f = &ag_cpu_kernels[v];
        if (!f->supported()) {
            continue;
        }
        f->matmul(AG_TILE, DEPTH, a, A_STRIDE, b, B_STRIDE, c, C_STRIDE, false);
        for (uint32_t r = 0; r < AG_TILE; r++) {
            f->matmul(1, DEPTH, a + r, A_STRIDE, b, B_STRIDE, alone, C_STRIDE, false);
            assert_memory_equal(alone, c + r * C_STRIDE, AG_PANEL * sizeof(float));
        }
    }
}

static void test_rows(void **state)
{
    (void)state;
    for (int v = 0; v < ag_cpu_kernels_count; v++) {
        const struct ag_cpu_kernels *f = &ag_cpu_kernels[v];
        for (uint32_t n = 1; f->supported() && n < 50; n++) {
            float x[51], e[51], up[51], s[51];
            fill(x, 51);
            fill(up, 51);
            double squares = 0, sum = 0, max = -1e9;
            for (uint32_t i = 0; i < n; i++) {
                x[i] *= 30;
                squares += (double)x[i] * (double)x[i];
                max = fmax(max, (double)x[i]);
            }
            memcpy(e, x, sizeof(x));
            memcpy(s, x, sizeof(x));
            assert_true(fabs((double)f->sum_squares(x, n) - squares) <= 1e-5 * squares);
            float total = f->exp_row(e, n, 0.25f);
            f->silu(s, up, n, s);
            for (uint32_t i = 0; i < n; i++) {
                double want = exp(((double)x[i] - max) * 0.25);
                double silu = (double)x[i] / (1 + exp(-(double)x[i])) * (double)up[i];
                sum += want;
                assert_true(fabs((double)e[i] - want) <= 1e-6 * want);
                assert_true(fabs((double)s[i] - silu) <= 1e-6 * fabs(silu) + 1e-12);
            }
            assert_true(fabs((double)total - sum) <= 1e-5 * sum);
            assert_true(e[n] == x[n] && s[n] == x[n]); // nothing behind the end
        }
    }
}

static void test_extremes(void **state)
{
    (void)state;
    for (int v = 0; v < ag_cpu_kernels_count; v++) {
        const struct ag_cpu_kernels *f = &ag_cpu_kernels[v];
        if (!f->supported()) {
            continue;
        }
        float x[4] = { 0, -1e30f, -200, 0 }, up[4] = { 1, 1, 1, 1 };
        assert_true(fabsf(f->exp_row(x, 4, 1) - 2) < 1e-6f);
        assert_true(x[0] == 1 && x[1] < 1e-37f && x[2] < 1e-37f);
        float z[4] = { 1e4f, -1e4f, 0, NAN };
        f->silu(z, up, 4, z);
        assert_true(z[0] == 1e4f && fabsf(z[1]) < 1e-30f && z[2] == 0 && isnan(z[3]));
    }
}

static void test_pack(void **state)
{
    (void)state;
    enum { IN = 5, OUT = 70 };
    float w[OUT * IN], packed[3 * IN * AG_PANEL] = { 0 }, tile[IN * AG_TILE], x[2 * 7];
    struct ag_packed p = { .in = IN, .out = OUT, .data = packed };
    assert_int_equal(ag_packed_size(IN, OUT), AG_COUNT(packed));
    fill(w, AG_COUNT(w));
    ag_pack(&p, 0, w, 40, IN, 1);
    ag_pack(&p, 40, w + 40 * IN, 30, IN, 1);
    for (uint32_t o = 0; o < 3 * AG_PANEL; o++) {
        for (uint32_t i = 0; i < IN; i++) {
            float got = packed[(o / AG_PANEL * IN + i) * AG_PANEL + o % AG_PANEL];
            assert_true(got == (o < OUT ? w[o * IN + i] : 0));
        }
    }
    fill(x, AG_COUNT(x));
    ag_tile_rows(x, 7, 2, IN, tile);
    assert_true(tile[3 * AG_TILE + 1] == x[7 + 3]);
}

static void count_task(void *user, struct ag_task_info info)
{
    atomic_uint *counts = user;
    atomic_fetch_add(&counts[info.task], 1);
}

static void test_pool(void **state)
{
    (void)state;
    static const uint32_t sizes[] = { 0, 1, 2, 7, 300 };
    for (uint32_t threads = 1; threads <= 4; threads++) {
        struct ag_pool *pool = ag_pool_create(threads);
        assert_int_equal(ag_pool_workers(pool), threads);
        for (uint32_t round = 0; round < 200; round++) {
            atomic_uint counts[300] = { 0 };
            uint32_t n = sizes[round % AG_COUNT(sizes)];
            ag_pool_run(pool, n, round % 3 ? UINT64_MAX : 0, count_task, counts);
            for (uint32_t i = 0; i < 300; i++) {
                assert_int_equal(atomic_load(&counts[i]), i < n);
            }
        }
        ag_pool_destroy(&pool);
        assert_null(pool);
    }
    struct ag_pool *pool = ag_pool_create(0);
    assert_true(ag_pool_workers(pool) >= 1);
    ag_pool_destroy(&pool);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_matmul),   cmocka_unit_test(test_rows_do_not_matter),
        cmocka_unit_test(test_rows),     cmocka_unit_test(test_extremes),
        cmocka_unit_test(test_pack),     cmocka_unit_test(test_pool),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
