// One round of selection (M5.2), budgets, thresholds, cells and RoPE against written-down values.
#include "model_util.h"

#include <math.h>

#include "autogaze/model.h"

enum { CELLS = 12, EOS = CELLS, VOCAB = CELLS + 1, ROUND = 10 };
static const struct ag_model_config config = {
    .cells = CELLS, .eos = EOS, .vocab = VOCAB, .round = ROUND,
};

struct input {
    float logits[ROUND * VOCAB], losses[ROUND];
    uint32_t history[CELLS + ROUND], n_history;
};

// Slot i likes id i best, then i+1, and so on; EOS would win everywhere; losses 1, 2, 3...
static struct input make(void)
{
    struct input in = { 0 };
    for (int k = 0; k < ROUND; k++) {
        for (int id = 0; id < CELLS; id++) {
            in.logits[k * VOCAB + id] = (float)-((id - k + CELLS) % CELLS);
        }
        in.logits[k * VOCAB + EOS] = 100;
        in.losses[k] = (float)(k + 1);
    }
    return in;
}

static struct ag_round run(struct input *in, uint32_t budget, float threshold, bool first,
                           bool ended)
{
    struct ag_round r;
    uint32_t before = in->n_history;
    bool end = ag_select_round(&config, in->logits, in->losses, budget, threshold, first,
                               in->history, &in->n_history, &r);
    assert_int_equal(end, ended);
    assert_int_equal(in->n_history, before + r.n);
    for (uint32_t i = 0; i < r.n; i++) {
        assert_int_equal(in->history[before + i], r.emitted[i]);
        assert_true(r.loss[i] == in->losses[i]);
        assert_true(r.picked[i] < EOS);
        assert_true(r.emitted[i] == r.picked[i] || r.emitted[i] == EOS);
    }
    return r;
}

static void expect_ids(const uint32_t *got, uint32_t n, const uint32_t *want, uint32_t n_want)
{
    assert_int_equal(n, n_want);
    assert_memory_equal(got, want, n * sizeof(*want));
}
#define IDS(...) (uint32_t[]){ __VA_ARGS__ }, AG_COUNT(((uint32_t[]){ __VA_ARGS__ }))

static void test_plain(void **state)
{
    (void)state;
    struct input in = make();
    struct ag_round r = run(&in, CELLS, AG_NO_THRESHOLD, true, false);
    expect_ids(r.emitted, r.n, IDS(0, 1, 2, 3, 4, 5, 6, 7, 8, 9));
    // Second round: only 10 and 11 are left, the round is cut short by exhausted ids.
    in.n_history = 10;
    r = run(&in, CELLS + 5, AG_NO_THRESHOLD, false, true);
    expect_ids(r.emitted, r.n, IDS(10, 11));
    r = run(&in, CELLS + 5, AG_NO_THRESHOLD, false, true); // nothing left at all
    assert_int_equal(r.n, 0);
}

static void test_ties(void **state)
{
    (void)state;
    struct input in = make();
    for (int i = 0; i < ROUND * VOCAB; i++) {
        in.logits[i] = 0.5f;
    }
    in.logits[VOCAB + 7] = in.logits[VOCAB + 9] = 0.75f;
    struct ag_round r = run(&in, CELLS, AG_NO_THRESHOLD, true, false);
    expect_ids(r.emitted, r.n, IDS(0, 7, 1, 2, 3, 4, 5, 6, 8, 9)); // lowest id wins
}

static void test_consumed(void **state)
{
    (void)state;
    struct input in = make();
    for (int k = 0; k < ROUND; k++) {
        in.logits[k * VOCAB + 5] = 50;
    }
    in.history[0] = 3;
    in.history[1] = EOS; // a pad in the history bans nothing else
    in.n_history = 2;
    struct ag_round r = run(&in, CELLS, AG_NO_THRESHOLD, false, true);
    expect_ids(r.emitted, r.n, IDS(5, 1, 2, 4, 6, 7, 8, 9, 10, 11)); // 3 and the taken 5 skipped
}

static void test_threshold(void **state)
{
    (void)state;
    struct input in = make();
    static const float losses[] = { 0, 5, 1, 5, 5, 2, 5, 5, 2.5f, 5 };
    memcpy(in.losses, losses, sizeof(losses));
    for (int k = 0; k < ROUND; k++) {
        in.logits[k * VOCAB + 8] = k >= 2 ? 50 : -50; // slot 2 takes 8, is padded, 8 stays taken
    }
    struct input later = in;
    struct ag_round r = run(&in, CELLS, 2, true, true);
    // Slot 0 is exempt in the first round, equal to the threshold counts as met, valid ids follow.
    expect_ids(r.emitted, r.n, IDS(0, 1, EOS, 3, 4, EOS, 6, 7, 9, 10));
    expect_ids(r.picked, r.n, IDS(0, 1, 8, 3, 4, 5, 6, 7, 9, 10));
    r = run(&later, CELLS, 2, false, true);
    assert_int_equal(r.emitted[0], EOS);
    struct input off = make();
    memcpy(off.losses, losses, sizeof(losses));
    off.losses[4] = -INFINITY;
    r = run(&off, CELLS, AG_NO_THRESHOLD, true, false);
    for (uint32_t i = 0; i < r.n; i++) {
        assert_true(r.emitted[i] != EOS);
    }
    struct input high = make();
    r = run(&high, CELLS, 1e9f, true, true); // only the exempt slot stays
    assert_int_equal(r.emitted[0], 0);
    for (uint32_t i = 1; i < r.n; i++) {
        assert_int_equal(r.emitted[i], EOS);
    }
    struct input edge = make(); // the next float below the loss does not stop it
    r = run(&edge, CELLS, nextafterf(2, 0), true, false);
    assert_int_equal(r.emitted[1], 1);
}

static void test_budget(void **state)
{
    (void)state;
    struct input in = make();
    struct ag_round r = run(&in, 8, AG_NO_THRESHOLD, true, true);
    assert_int_equal(r.n, 8);
    struct input one = make();
    r = run(&one, 1, 1e9f, true, true);
    expect_ids(r.emitted, r.n, IDS(0));
    struct input whole = make();
    r = run(&whole, ROUND, AG_NO_THRESHOLD, true, true); // M = K: ends with a full round
    assert_int_equal(r.n, ROUND);
    struct input second = make();
    run(&second, 11, AG_NO_THRESHOLD, true, false);
    r = run(&second, 11, AG_NO_THRESHOLD, false, true);
    assert_int_equal(r.n, 1);
}

static void test_not_a_number(void **state)
{
    (void)state;
    struct input in = make();
    for (int i = 0; i < ROUND * VOCAB; i++) {
        in.logits[i] = NAN;
    }
    struct ag_round r = run(&in, CELLS, AG_NO_THRESHOLD, true, false);
    expect_ids(r.emitted, r.n, IDS(0, 1, 2, 3, 4, 5, 6, 7, 8, 9)); // defined, if meaningless
}

static void test_budgets_and_thresholds(void **state)
{
    (void)state;
    static const struct {
        float ratio;
        uint32_t slots;
    } rows[] = { { 0.03f, 7 },   { 0.1f, 26 }, { 0.25f, 66 }, { 0.5f, 132 }, { 0.75f, 198 },
                 { 1.0f, 265 },  { 2.0f, 265 }, { 1e-6f, 1 }, { 0.0f, 1 },   { -1.0f, 1 },
                 { 1e30f, 265 }, { NAN, 1 } };
    for (size_t i = 0; i < AG_COUNT(rows); i++) {
        assert_int_equal(ag_budget_from_ratio(rows[i].ratio, 265), rows[i].slots);
    }
    assert_true(fabsf(ag_threshold_from_db(33) - 0.022387f) < 1e-6f);
    assert_true(fabs(ag_db_from_threshold(0.1f) - 20) < 1e-5);
}

static const struct ag_model_config official = {
    .n_scales = 4, .scale_grid = { 2, 4, 7, 14 }, .scale_first = { 0, 4, 20, 69 }, .cells = 265,
    .head_dim = 32, .rope_theta = 500000, .rope_factor = 8, .rope_low = 1, .rope_high = 4,
    .rope_original = 8192,
};

static void test_cells(void **state)
{
    (void)state;
    uint32_t id = 0;
    for (uint32_t s = 0; s < 4; s++) {
        for (uint32_t r = 0; r < official.scale_grid[s]; r++) {
            for (uint32_t c = 0; c < official.scale_grid[s]; c++, id++) {
                uint32_t scale, row, col;
                ag_cell_of_id(&official, id, &scale, &row, &col);
                assert_true(scale == s && row == r && col == c);
            }
        }
    }
    assert_int_equal(id, 265);
}

static void test_rope(void **state)
{
    (void)state;
    static const double expected[16] = { // M4.1
        1,              0.440366603,    0.193922745,    0.0853971003,
        0.0376060309,   0.0165604401,   0.00729266474,  0.00321144599,
        0.000524846161, 7.78465527e-5,  3.4281022e-5,   1.50962172e-5,
        6.64786987e-6,  2.92749987e-6,  1.28917317e-6,  5.6770881e-7,
    };
    float f[16], cosine[32], sine[32];
    ag_rope_frequencies(&official, f);
    for (int i = 0; i < 16; i++) {
        assert_true(fabs(f[i] - expected[i]) <= expected[i] * 2e-7);
    }
    struct ag_model_config plain = official;
    plain.rope_factor = 0;
    plain.rope_theta = 10000;
    ag_rope_frequencies(&plain, cosine);
    assert_true(fabs(cosine[8] - 0.01) < 1e-8);
    ag_rope_rows(f, 16, (uint32_t[]){ 0, 131071 }, 2, cosine, sine);
    for (int i = 0; i < 16; i++) {
        assert_true(cosine[i] == 1 && sine[i] == 0);
        double angle = (double)(131071.0f * f[i]);
        assert_true(fabs(cosine[16 + i] - cos(angle)) < 1e-6);
        assert_true(fabs(sine[16 + i] - sin(angle)) < 1e-6);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_plain),     cmocka_unit_test(test_ties),
        cmocka_unit_test(test_consumed),  cmocka_unit_test(test_threshold),
        cmocka_unit_test(test_budget),    cmocka_unit_test(test_not_a_number),
        cmocka_unit_test(test_budgets_and_thresholds),
        cmocka_unit_test(test_cells),     cmocka_unit_test(test_rope),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
