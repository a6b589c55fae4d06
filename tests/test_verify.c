// Golden vectors against the CPU back end, and whether verify notices back ends and files that are
// wrong.
#include "model_util.h"

#include <cjson/cJSON.h>
#include <math.h>

#include "verify.h"

static const struct ag_verify_options options = { .threads = 1 };

static struct ag_verify_report verify(const char *dir, const char *vectors,
                                      const struct ag_verify_backend *backend)
{
    struct ag_error err = { 0 };
    struct ag_verify_report report;
    struct ag_model *model = ag_model_load(NULL, dir, &err);
    assert_non_null(model);
    if (!ag_verify_model(model, vectors, backend, &options, &report, &err)) {
        fail_msg("%s: %s", dir, err.text);
    }
    ag_model_destroy(&model);
    return report;
}

static const struct ag_verify_case *find(const struct ag_verify_report *r, const char *name)
{
    for (uint32_t i = 0; i < r->n; i++) {
        if (strcmp(r->cases[i].name, name) == 0) {
            return &r->cases[i];
        }
    }
    fail_msg("no case '%s'", name);
    return NULL;
}

static void assert_passed(const char *name, const struct ag_verify_report *r, uint32_t cases)
{
    for (uint32_t i = 0; i < r->n; i++) {
        const struct ag_verify_case *k = &r->cases[i];
        if (!k->passed || k->near_ties) {
            ag_verify_print(stderr, r, &ag_verify_f32);
            fail_msg("%s: case %s", name, k->name);
        }
    }
    assert_int_equal(r->n, cases);
    assert_int_equal(r->failed, 0);
}

// Every stage a file can show has been compared, each within its bound.
static void assert_compared(const struct ag_verify_report *r, bool canvas)
{
    const struct ag_verify_case *traced = find(r, "traced");
    assert_true(traced->forwards > 0);
    assert_true(traced->error[AG_VERIFY_HIDDEN] >= 0 && traced->error[AG_VERIFY_LOGITS] >= 0);
    assert_true(traced->error[AG_VERIFY_LOSSES] >= 0);
    assert_true(find(r, "input")->error[AG_VERIFY_INPUT] >= 0);
    assert_string_equal(find(r, "stream")->ids, "identical");
    if (canvas) {
        assert_true(traced->error[AG_VERIFY_VISION] >= 0 && traced->error[AG_VERIFY_CANVAS] >= 0);
    } else {
        assert_true(find(r, "vision")->error[AG_VERIFY_VISION] >= 0);
        assert_true(find(r, "vision")->error[AG_VERIFY_PAST] >= 0);
    }
}

static void test_fixtures(void **state)
{
    (void)state;
    static const struct {
        const char *name;
        uint32_t cases;
        bool canvas;
    } files[] = {
        { "tiny", 18, false },
        { "tiny-canvas", 17, true },
        { "variants/grouped", 16, false },
        { "variants/grouped-canvas", 15, true },
        { "variants/depth2", 16, false },
        { "variants/one-a-round", 16, false },
        { "variants/odd", 16, false },
        { "variants/odd-canvas", 15, true },
        { "variants/still", 16, false },
        { "variants/long-past", 16, false },
    };
    for (size_t i = 0; i < AG_COUNT(files); i++) {
        char dir[300], vectors[330];
        snprintf(dir, sizeof(dir), AG_FIXTURES "/%s", files[i].name);
        snprintf(vectors, sizeof(vectors), "%s/vectors.safetensors", dir);
        struct ag_verify_report r = verify(dir, vectors, &ag_verify_cpu);
        assert_passed(files[i].name, &r, files[i].cases);
        assert_compared(&r, files[i].canvas);
        ag_verify_report_free(&r);
    }
}

static void test_open_gaze(void **state)
{
    (void)state;
    struct ag_verify_report r = verify(AG_MODELS "/open-gaze",
                                       AG_FIXTURES "/open-gaze.safetensors", &ag_verify_cpu);
    assert_passed("open-gaze", &r, 5);
    assert_compared(&r, true);
    assert_int_equal(find(&r, "budget_threshold")->frames, 16);
    assert_int_equal(find(&r, "budget")->forwards, 80);
    ag_verify_report_free(&r);
}

static void test_preprocess(void **state)
{
    (void)state;
    struct ag_error err = { 0 };
    struct ag_verify_report r;
    assert_true(ag_verify_preprocess(AG_FIXTURES "/preprocess.safetensors", &r, &err));
    assert_passed("preprocess", &r, 8);
    assert_true(find(&r, "270x480")->error[AG_VERIFY_INPUT] >= 0);
    assert_string_equal(find(&r, "lut")->ids, "identical");
    ag_verify_report_free(&r);
}

// ---- back ends that are wrong ------------------------------------------------------------------
// The CPU back end with one thing spoiled.
enum flaw {
    NONE, LOGITS, HIDDEN, LOSSES, VISION, PAST, POSITIONS, CACHED, FORCED_ID, FREE_ID, FREE_SLOTS,
    FLAWS
};
static enum flaw flaw;

struct spoiler {
    const struct ag_verify_taps *taps;
    const struct ag_model_config *config;
};
static const struct ag_model_config *config_of_model;

static void spoil_vision(void *user, const float *tokens)
{
    const struct spoiler *s = user;
    size_t n = (size_t)s->config->tokens * s->config->width;
    float *copy = ag_alloc(n * sizeof(*copy));
    memcpy(copy, tokens, n * sizeof(*copy));
    copy[n / 2] += flaw == VISION ? 0.01f : 0;
    s->taps->vision(s->taps->user, copy);
    ag_free(copy);
}

static void spoil_forward(void *user, const struct ag_forward_trace *trace)
{
    const struct spoiler *s = user;
    const struct ag_model_config *c = s->config;
    size_t n = (size_t)c->round * c->vocab;
    float *logits = ag_alloc(n * sizeof(*logits)), hidden[64], losses[AG_MAX_ROUND];
    uint32_t positions[128];
    struct ag_round round = *trace->round;
    struct ag_forward_trace t = *trace;
    assert_true(trace->n <= AG_COUNT(positions) && c->width <= AG_COUNT(hidden));
    memcpy(logits, trace->logits, n * sizeof(*logits));
    memcpy(hidden, trace->hidden, c->width * sizeof(*hidden));
    memcpy(losses, trace->losses, c->round * sizeof(*losses));
    memcpy(positions, trace->positions, trace->n * sizeof(*positions));
    logits[n - 1] += flaw == LOGITS ? 0.01f : 0;
    hidden[0] += flaw == HIDDEN ? NAN : 0;
    losses[0] += flaw == LOSSES ? 1e-3f : 0;
    positions[trace->n - 1] += flaw == POSITIONS;
    t.cached += flaw == CACHED;
    if (flaw == FORCED_ID && trace->forward == 0 && round.emitted[0] != c->eos) {
        round.emitted[0] = round.picked[0] = (round.emitted[0] + 1) % c->cells;
    }
    t.logits = logits;
    t.hidden = hidden;
    t.losses = losses;
    t.positions = positions;
    t.round = &round;
    s->taps->forward(s->taps->user, &t);
    ag_free(logits);
}

static bool spoiled_run(void *backend, void *stream, const struct ag_verify_frame *frame,
                        struct ag_gaze *out, const struct ag_verify_taps *taps,
                        struct ag_error *err)
{
    struct spoiler s = { .taps = taps, .config = config_of_model };
    struct ag_verify_taps own = { .user = &s, .vision = spoil_vision, .forward = spoil_forward };
    if (!ag_verify_cpu.run(backend, stream, frame, out, taps ? &own : NULL, err)) {
        return false;
    }
    if (!frame->forced && flaw == FREE_ID) {
        out->ids[0] = (out->ids[0] + 1) % s.config->cells;
    }
    if (!frame->forced && flaw == FREE_SLOTS && out->slots > 1) {
        out->slots--;
    }
    return true;
}

static void spoiled_past(void *backend, void *stream, float *out)
{
    ag_verify_cpu.conv_past(backend, stream, out);
    out[0] += flaw == PAST ? 0.01f : 0;
}

static void test_wrong_back_ends(void **state)
{
    (void)state;
    static const char *const caught_by[FLAWS] = {
        [LOGITS] = "traced", [HIDDEN] = "traced", [LOSSES] = "budget", [VISION] = "vision",
        [PAST] = "vision", [POSITIONS] = "traced", [CACHED] = "traced", [FORCED_ID] = "budget",
        [FREE_ID] = "stream", [FREE_SLOTS] = "budget",
    };
    struct ag_verify_backend spoiled = ag_verify_cpu;
    struct ag_error err = { 0 };
    struct ag_model *model = ag_model_load(NULL, AG_FIXTURES "/tiny", &err);
    assert_non_null(model);
    config_of_model = &model->config;
    spoiled.run = spoiled_run;
    spoiled.conv_past = spoiled_past;
    for (flaw = NONE; flaw < FLAWS; flaw++) {
        struct ag_verify_report r = verify(AG_FIXTURES "/tiny",
                                           AG_FIXTURES "/tiny/vectors.safetensors", &spoiled);
        if (flaw == NONE) {
            assert_passed("unspoiled", &r, 18);
        } else if (!r.failed || find(&r, caught_by[flaw])->passed) {
            fail_msg("flaw %d is not noticed", flaw);
        }
        ag_verify_report_free(&r);
    }
    ag_model_destroy(&model);
}

// ---- near ties ---------------------------------------------------------------------------------
static void test_judge(void **state)
{
    (void)state;
    enum { EOS = 6 };
    static const struct ag_model_config c = { .cells = EOS, .eos = EOS, .vocab = 7, .round = 2 };
    static const float logits[] = { 0, 1, 2, 2.125f, 0, 0, 9, 5, 0, 0, 0, 0, 0, 9 };
    static const struct {
        uint32_t own_pick, own, pick, expected;
        float own_loss, loss, logit_error;
        enum ag_verify_verdict verdict;
    } rows[] = {
        { 2, 2, UINT32_MAX, 2, 1, 1, 0, AG_VERIFY_SAME },
        { 2, 2, UINT32_MAX, 3, 1, 1, 0.0625f, AG_VERIFY_NEAR_TIE }, // twice the error apart
        { 2, 2, UINT32_MAX, 3, 1, 1, 0.06f, AG_VERIFY_DIFFERENT },
        { 1, 1, UINT32_MAX, 3, 1, 1, 0.1f, AG_VERIFY_DIFFERENT },
        { 1, EOS, UINT32_MAX, EOS, 0, 0, 0, AG_VERIFY_SAME }, // the id under a pad is not known
        { 1, EOS, 3, EOS, 0, 0, 0.1f, AG_VERIFY_DIFFERENT },  // the file has it: it differs
        { 3, EOS, UINT32_MAX, 3, 0.499f, 0.501f, 0, AG_VERIFY_NEAR_TIE }, // threshold 0.5
        { 3, EOS, UINT32_MAX, 3, 0.6f, 0.61f, 0, AG_VERIFY_DIFFERENT },   // far from it
        { 3, 3, UINT32_MAX, EOS, 0.501f, 0.5f, 0, AG_VERIFY_NEAR_TIE },
        { 3, EOS, UINT32_MAX, 3, NAN, 0.61f, 0, AG_VERIFY_DIFFERENT },
    };
    for (size_t i = 0; i < AG_COUNT(rows); i++) {
        struct ag_round own = { .n = 1, .picked = { rows[i].own_pick }, .emitted = { rows[i].own },
                                .loss = { rows[i].own_loss } };
        struct ag_round expected = { .n = 1, .picked = { rows[i].pick },
                                     .emitted = { rows[i].expected }, .loss = { rows[i].loss } };
        struct ag_verify_round round = { .config = &c, .own = &own, .expected = &expected,
                                         .reference = logits, .threshold = 0.5f,
                                         .logit_error = rows[i].logit_error };
        char text[128] = "";
        enum ag_verify_verdict v = ag_verify_judge(&round, text, sizeof(text));
        if (v != rows[i].verdict) {
            fail_msg("row %zu: %d (%s)", i, v, text);
        }
        assert_int_equal(text[0] != 0, v != AG_VERIFY_SAME);
    }
    struct ag_round own = { .n = 2 }, expected = { .n = 1, .picked = { UINT32_MAX } };
    struct ag_verify_round round = { .config = &c, .own = &own, .expected = &expected };
    char text[128];
    assert_int_equal(ag_verify_judge(&round, text, sizeof(text)), AG_VERIFY_DIFFERENT);
}

// ---- files that are wrong ----------------------------------------------------------------------
static char dir[256];

// A copy of tiny's vectors with tensor `name` renamed to `new_name` (NULL: removed) or, with
// `value` at least 0, its first element of 8 bytes replaced.
static void write_changed(const char *name, const char *new_name, int64_t value)
{
    size_t size;
    unsigned char *bytes = read_file(AG_FIXTURES "/tiny", "vectors.safetensors", &size);
    uint64_t length;
    memcpy(&length, bytes, 8);
    cJSON *header = cJSON_ParseWithLength((char *)bytes + 8, length);
    cJSON *e = cJSON_DetachItemFromObject(header, name);
    assert_non_null(e);
    if (value >= 0) {
        double at = cJSON_GetObjectItem(e, "data_offsets")->child->valuedouble;
        memcpy(bytes + 8 + length + (size_t)at, &value, 8);
        new_name = name;
    }
    if (new_name) {
        cJSON_AddItemToObject(header, new_name, e);
    } else {
        cJSON_Delete(e);
    }
    char *text = cJSON_PrintUnformatted(header);
    write_safetensors(dir, "vectors.safetensors", text, 0, bytes + 8 + length, size - 8 - length);
    free(text);
    cJSON_Delete(header);
    ag_free(bytes);
}

static bool verify_changed(struct ag_verify_report *r, struct ag_error *err)
{
    char vectors[300];
    struct ag_model *model = ag_model_load(NULL, AG_FIXTURES "/tiny", err);
    assert_non_null(model);
    snprintf(vectors, sizeof(vectors), "%s/vectors.safetensors", dir);
    bool ok = ag_verify_model(model, vectors, &ag_verify_cpu, &options, r, err);
    ag_model_destroy(&model);
    return ok;
}

static void test_wrong_files(void **state)
{
    (void)state;
    static const struct {
        const char *name, *new_name;
        int64_t value;
        const char *words;
    } cases[] = {
        { "frames", NULL, -1, "'frames' is missing" },
        { "budget.counts", NULL, -1, "'budget.counts' is missing" },
        { "budget.counts", NULL, 22, "counts" },
        { "budget.counts", NULL, 14, "case 'budget.'" },
        { "budget.gazing_pos", NULL, 999, "no cell" },
        { "budget.params", "budget.params2", -1, "'budget.params' is missing" },
        { "traced.forward003.logits", NULL, -1, "'traced.forward003.logits' is missing" },
        { "traced.forward000.emitted", NULL, 20, "traced" },
        { "square.mask1", NULL, -1, "'square.mask1' is missing" },
    };
    temporary_dir(dir, sizeof(dir));
    for (size_t i = 0; i < AG_COUNT(cases); i++) {
        struct ag_error err = { 0 };
        struct ag_verify_report r;
        write_changed(cases[i].name, cases[i].new_name, cases[i].value);
        bool ok = verify_changed(&r, &err);
        ag_verify_report_free(&r);
        if (ok || err.status != AG_ERR_INPUT || !strstr(err.text, cases[i].words)) {
            fail_msg("%s: '%s', expected '%s'", cases[i].name, err.text, cases[i].words);
        }
    }
    // An id exchanged for another cell is a difference, not a bad file.
    struct ag_error err = { 0 };
    struct ag_verify_report r;
    write_changed("stream.gazing_pos", NULL, 3);
    assert_true(verify_changed(&r, &err));
    assert_int_equal(r.failed, 1);
    assert_false(find(&r, "stream")->passed);
    ag_verify_report_free(&r);
    // Vectors of another model.
    struct ag_model *model = ag_model_load(NULL, AG_FIXTURES "/variants/odd", &err);
    assert_false(ag_verify_model(model, AG_FIXTURES "/tiny/vectors.safetensors", &ag_verify_cpu,
                                 &options, &r, &err));
    assert_string_equal(err.kind, "SHAPE");
    ag_verify_report_free(&r);
    ag_model_destroy(&model);
    err = (struct ag_error){ 0 };
    assert_false(ag_verify_preprocess(AG_FIXTURES "/tiny/vectors.safetensors", &r, &err));
    assert_int_equal(err.status, AG_ERR_INPUT);
    ag_verify_report_free(&r);
    remove_dir(dir);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_fixtures),
        cmocka_unit_test(test_open_gaze),
        cmocka_unit_test(test_preprocess),
        cmocka_unit_test(test_wrong_back_ends),
        cmocka_unit_test(test_judge),
        cmocka_unit_test(test_wrong_files),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
