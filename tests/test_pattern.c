// The synthetic sources against the golden hashes of the pipeline specification, 13.1.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "autogaze/source.h"

#include "interface/generate_args.h"

#define PAN AG_PATTERN_PAN
#define LOCAL AG_PATTERN_LOCAL_MOTION

static const struct {
    uint32_t width, height;
} sizes[] = { { 640, 360 }, { 1280, 720 }, { 1920, 1080 } };

static const struct {
    enum ag_pattern pattern;
    uint32_t index;
    uint64_t hash[3]; // one a size above, 0: not listed
} goldens[] = {
    { PAN, 0, { 0x74bf8ffec25fd3c8, 0x7842f575051e647e, 0x804bc53e52b76db0 } },
    { PAN, 1, { 0x8b3a479e4fdfe643, 0x74d52c7958ccb1f0, 0x4fb94cb154e33f7b } },
    { PAN, 7, { 0x82d02e170a00edea, 0xe404f07aebd2cfc3, 0x906d6e02f38b52f9 } },
    { PAN, 100, { 0xf2dba3bd49824332, 0x5de42dc9aa7d2a86, 0x2ea013b4d7c24304 } },
    { PAN, 1000, { 0x0137472a65506513, 0xf628df9296ed1517, 0x7547f585a038d51c } },
    { LOCAL, 0, { 0xfaf95ae5260794ea, 0xe42fca34fe698ae7, 0xadb286d145c1b632 } },
    { LOCAL, 112, { 0xfaf95ae5260794ea, 0xe42fca34fe698ae7, 0xadb286d145c1b632 } },
    { LOCAL, 20, { 0xf6d306268397b643, 0xc968ef71b5e58282, 0xf5fb0f6539079151 } },
    { LOCAL, 60, { 0xe32349ba40dd0f37, 0xe1bf31b28684a464, 0x75132326ab500680 } },
    { LOCAL, 80, { 0x1b33181269961d75, 0x174c25c74fdcb074, 0x07d6d96cae927821 } },
    { LOCAL, 81, { 0x1b33181269961d75, 0, 0 } },
    { LOCAL, 111, { 0x1b33181269961d75, 0x174c25c74fdcb074, 0x07d6d96cae927821 } },
    { AG_PATTERN_NOISE, 0, { 0x224a887e3c7955d4, 0xd251a67fc93b490c, 0x32207b0f028f12e2 } },
    { AG_PATTERN_NOISE, 1, { 0x5302a9684ee02090, 0x7aa11ce1d57236d8, 0x3fb4a7e85ad20872 } },
    { AG_PATTERN_CHECKER_PAN, 0, { 0xaa4edfd94df4d025, 0xe6c1be84f954b225, 0x6f7b1a9ae1c108a5 } },
    { AG_PATTERN_CHECKER_PAN, 1, { 0x4aa3080a51835625, 0x24cc6ac034392925, 0x488929529b70ada5 } },
    { AG_PATTERN_PULSE, 0, { 0x74bf8ffec25fd3c8, 0, 0 } },
    { AG_PATTERN_PULSE, 15, { 0x74bf8ffec25fd3c8, 0, 0 } },
    { AG_PATTERN_PULSE, 16, { 0x8b3a479e4fdfe643, 0, 0 } },
    { AG_PATTERN_PULSE, 39, { 0x1befb37a1a069220, 0, 0 } },
    { AG_PATTERN_PULSE, 40, { 0x1befb37a1a069220, 0, 0 } },
    { AG_PATTERN_PULSE, 47, { 0x1befb37a1a069220, 0, 0 } },
    { AG_PATTERN_PULSE, 48, { 0x74bf8ffec25fd3c8, 0, 0 } },
    { AG_PATTERN_BENCH, 11, { 0, 0xb1e34dcea0d27d25, 0x9bc0892b7ff01f25 } },
    { AG_PATTERN_BENCH, 7, { 0, 0x63ca1ade4ac65325, 0x915fadd623439125 } },
};

static uint64_t hash_frame(enum ag_pattern pattern, uint32_t index, uint32_t width, uint32_t height)
{
    size_t size = (size_t)width * height * 4;
    uint8_t *rgba = ag_alloc(size);
    ag_pattern_draw(pattern, index, width, height, rgba);
    uint64_t hash = ag_hash(AG_HASH_SEED, rgba, size);
    ag_free(rgba);
    return hash;
}

static void test_goldens(void **state)
{
    (void)state;
    for (size_t i = 0; i < AG_COUNT(goldens); i++) {
        for (size_t s = 0; s < AG_COUNT(sizes); s++) {
            uint64_t hash =
                hash_frame(goldens[i].pattern, goldens[i].index, sizes[s].width, sizes[s].height);
            if (goldens[i].hash[s] && hash != goldens[i].hash[s]) {
                fail_msg("%s frame %u at %ux%u: hash %016llx, expected %016llx",
                         ag_pattern_name(goldens[i].pattern), goldens[i].index, sizes[s].width,
                         sizes[s].height, (unsigned long long)hash,
                         (unsigned long long)goldens[i].hash[s]);
            }
        }
    }
}

static void test_small(void **state)
{
    (void)state;
    assert_int_equal(hash_frame(PAN, 0, 64, 36), 0x13e3acc9091c297d);
    assert_int_equal(hash_frame(PAN, 1, 64, 36), 0xa24f46274884047d);
}

// A single pixel, a column and a row: the ramps divide by max(n-1, 1).
static void test_degenerate_sizes(void **state)
{
    (void)state;
    uint8_t rgba[4 * 64];
    for (int p = 0; p < AG_PATTERN_COUNT; p++) {
        ag_pattern_draw(p, 3, 1, 1, rgba);
        assert_int_equal(rgba[3], 255);
        ag_pattern_draw(p, 3, 64, 1, rgba);
        ag_pattern_draw(p, 3, 1, 64, rgba);
        assert_int_equal(rgba[255], 255);
    }
}

// The index wraps at 2^32 and every product with it.
static void test_large_index(void **state)
{
    (void)state;
    struct generate_args args;
    float table[2 * (64 + 36)];
    ag_pattern_prepare(PAN, 0xffffffffu, 64, 36, &args, table);
    assert_int_equal(args.x0, (int)((0u - 13u) % (64 + 24)) - 24);
    assert_int_equal(args.y0, (int)((0u - 7u) % (36 + 24)) - 24);
    assert_int_equal(args.circle_x, (int)((0u - 5u) % 64));
    ag_pattern_prepare(AG_PATTERN_BENCH, 0xffffffffu, 64, 36, &args, NULL);
    assert_int_equal(args.add_x, 0u - 13u);
}

// Size of the table as documented: nothing is written behind it, and it is written whole.
static void test_table_size(void **state)
{
    (void)state;
    for (int p = 0; p < AG_PATTERN_COUNT; p++) {
        uint64_t n = ag_pattern_table_floats(p, 30, 20);
        assert_true(n < 128);
        float table[129];
        for (int i = 0; i < 129; i++) {
            table[i] = 1e9f;
        }
        struct generate_args args;
        ag_pattern_prepare(p, 17, 30, 20, &args, table);
        for (uint64_t i = 0; i < 129; i++) {
            assert_int_equal(table[i] == 1e9f, i >= n);
        }
    }
}

// Nothing is allocated for a frame.
static void test_no_allocation(void **state)
{
    (void)state;
    uint8_t *rgba = ag_alloc(640 * 360 * 4);
    uint64_t before = ag_alloc_count();
    for (int p = 0; p < AG_PATTERN_COUNT; p++) {
        ag_pattern_draw(p, 5, 640, 360, rgba);
    }
    assert_int_equal(ag_alloc_count(), before);
    ag_free(rgba);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_goldens),          cmocka_unit_test(test_small),
        cmocka_unit_test(test_degenerate_sizes), cmocka_unit_test(test_large_index),
        cmocka_unit_test(test_table_size),       cmocka_unit_test(test_no_allocation),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
