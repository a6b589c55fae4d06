// config.json and preprocessor_config.json: values, limits, and every consistency rule of M1.1.
#include "model_util.h"

#include <cjson/cJSON.h>
#include <math.h>

#include "autogaze/model.h"

#define GAZE "gaze_model_config."
#define VISION GAZE "vision_model_config."
#define CONNECTOR GAZE "connector_config."
#define DECODER GAZE "gaze_decoder_config."

// Replaces or adds the value at a dotted path; "-" removes it.
static void change(cJSON *root, const char *path, const char *value)
{
    cJSON *at = root;
    char key[64];
    for (;;) {
        size_t n = strcspn(path, ".");
        snprintf(key, sizeof(key), "%.*s", (int)n, path);
        path += n;
        if (!*path++) {
            break;
        }
        at = cJSON_GetObjectItemCaseSensitive(at, key);
        assert_non_null(at);
    }
    cJSON_DeleteItemFromObjectCaseSensitive(at, key);
    if (strcmp(value, "-") != 0) {
        cJSON *item = cJSON_Parse(value);
        assert_non_null(item);
        cJSON_AddItemToObject(at, key, item);
    }
}

struct change {
    const char *path, *value;
};

static char *changed(const char *file, const struct change *changes, size_t n)
{
    char *text = read_file(AG_FIXTURES "/tiny", file, NULL);
    cJSON *root = cJSON_Parse(text);
    assert_non_null(root);
    for (size_t i = 0; i < n && changes[i].path; i++) {
        change(root, changes[i].path, changes[i].value);
    }
    ag_free(text);
    text = cJSON_Print(root);
    cJSON_Delete(root);
    return text;
}

static bool parse(const struct change *changes, size_t n, struct ag_model_config *c,
                  struct ag_error *err)
{
    char *text = changed("config.json", changes, n);
    *err = (struct ag_error){ 0 };
    bool ok = ag_config_parse("config.json", text, c, NULL, err);
    free(text);
    return ok;
}

#define PARSE(c, err, ...)                                                                         \
    parse((struct change[]){ __VA_ARGS__ },                                                        \
          sizeof((struct change[]){ __VA_ARGS__ }) / sizeof(struct change), c, err)

static void test_official(void **state)
{
    (void)state;
    struct ag_error err = { 0 };
    struct ag_model_config c;
    char *text = read_file(AG_MODELS "/open-gaze", "config.json", NULL);
    assert_true(ag_config_parse("config.json", text, &c, NULL, &err));
    ag_free(text);
    static const uint32_t scales[] = { 32, 64, 112, 224 }, grids[] = { 2, 4, 7, 14 };
    static const uint32_t firsts[] = { 0, 4, 20, 69 };
    assert_int_equal(c.n_scales, 4);
    assert_memory_equal(c.scale, scales, sizeof(scales));
    assert_memory_equal(c.scale_grid, grids, sizeof(grids));
    assert_memory_equal(c.scale_first, firsts, sizeof(firsts));
    assert_int_equal(c.image_size, 224);
    assert_int_equal(c.grid, 14);
    assert_int_equal(c.tokens, 196);
    assert_int_equal(c.cells, 265);
    assert_int_equal(c.eos, 265);
    assert_int_equal(c.vocab, 266);
    assert_int_equal(c.round, 10);
    assert_int_equal(c.head_dim, 32);
    assert_int_equal(c.default_budget, 198);
    assert_true(c.default_threshold == 0.022387f);
    assert_int_equal(c.context, AG_CONTEXT_CANVAS);
    assert_int_equal(c.loss_unit, AG_LOSS_RMSE);
    assert_int_equal(c.max_num_frames, 1);
    assert_true(c.rms_eps == 1e-5f && c.layer_norm_eps == 1e-5f);
    assert_true(c.rope_theta == 500000 && c.rope_factor == 8 && c.rope_original == 8192);
}

static void test_defaults(void **state)
{
    (void)state;
    struct ag_error err;
    struct ag_model_config c;
    assert_true(PARSE(&c, &err, { DECODER "num_key_value_heads", "null" },
                      { DECODER "head_dim", "null" }, { DECODER "rms_norm_eps", "-" },
                      { DECODER "rope_theta", "-" }, { DECODER "rope_scaling", "null" },
                      { DECODER "vocab_size", "-" }, { DECODER "eos_token_id", "-" },
                      { DECODER "hidden_act", "-" }, { CONNECTOR "num_tokens", "-" },
                      { VISION "temporal_patch_size", "-" }, { VISION "out_dim", "-" },
                      { "max_num_frames", "-" }, { "temporal_context", "-" }));
    assert_int_equal(c.kv_heads, 2);
    assert_int_equal(c.head_dim, 16);
    assert_true(c.rms_eps == 1e-6f);
    assert_true(c.rope_theta == 10000 && c.rope_factor == 0);
    assert_int_equal(c.max_num_frames, 16);
    assert_int_equal(c.context, AG_CONTEXT_FRAMES);
    assert_int_equal(c.loss_unit, AG_LOSS_UNKNOWN);

    assert_true(PARSE(&c, &err, { "scales", "\"32+8+16\"" }, { "max_num_frames", "\"many\"" },
                      { DECODER "rope_scaling.rope_type", "-" },
                      { DECODER "rope_scaling.type", "\"llama3\"" }));
    assert_int_equal(c.scale[0], 8); // sorted
    assert_int_equal(c.max_num_frames, 16);
    assert_true(c.rope_factor == 8);

    assert_true(PARSE(&c, &err,
                      { "gazing_ratio_config.sample_strategy_during_inference", "\"uniform\"" },
                      { "task_loss_requirement_config.sample_strategy_during_inference", "0" }));
    assert_int_equal(c.default_budget, 0);
    assert_true(isnan(c.default_threshold));
    assert_true(PARSE(&c, &err, { "has_task_loss_requirement_during_inference", "false" }));
    assert_true(isnan(c.default_threshold));
    assert_true(PARSE(&c, &err, { "gazing_ratio_config", "-" },
                      { "has_task_loss_requirement_during_inference", "-" }));
    assert_int_equal(c.default_budget, 0);
}

static void test_rejected(void **state)
{
    (void)state;
    static const struct {
        const char *path, *value, *kind, *words;
    } cases[] = {
        { "model_type", "-", "MISSING", "model_type is absent" },
        { "model_type", "\"llama\"", "UNSUPPORTED", "\"llama\", expected \"autogaze\"" },
        { "model_type", "3", "TYPE", "model_type is 3" },
        { "scales", "-", "MISSING", "scales" },
        { "scales", "\"8+x\"", "TYPE", "8+x" },
        { "scales", "\"8++16\"", "TYPE", "scales" },
        { "scales", "\"-8\"", "TYPE", "scales" },
        { "scales", "\"8+16+32+\"", "TYPE", "scales" },
        { "scales", "\"0+32\"", "RANGE", "scales" },
        { "scales", "\"99999999999999999999\"", "RANGE", "scales" },
        { "scales", "\"1+1+1+1+1+1+1+1+1\"", "UNSUPPORTED", "at most 8" },
        { "scales", "[8]", "TYPE", "an array" },
        { "num_vision_tokens_each_frame", "-", "MISSING", "absent" },
        { "num_vision_tokens_each_frame", "21.5", "RANGE", "21.5" },
        { "num_vision_tokens_each_frame", "-1", "RANGE", "-1" },
        { "num_vision_tokens_each_frame", "1e30", "RANGE", "65535" },
        { "num_vision_tokens_each_frame", "true", "TYPE", "true" },
        { "temporal_context", "\"loop\"", "UNSUPPORTED", "\"frames\" or \"canvas\"" },
        { "has_task_loss_requirement_during_inference", "1", "TYPE", "true or false" },
        { "gazing_ratio_config.fixed.gazing_ratio", "0", "RANGE", "more than 0" },
        { "gazing_ratio_config.fixed.gazing_ratio", "1.01", "RANGE", "gazing_ratio" },
        { "gazing_ratio_config.fixed", "-", "MISSING", "fixed.gazing_ratio is absent" },
        { "task_loss_requirement_config.fixed.task_loss_requirement", "1e31", "RANGE", "1e+31" },
        { GAZE "input_img_size", "-", "MISSING", GAZE "input_img_size" },
        { GAZE "input_img_size", "33", "INCONSISTENT", "multiple" },
        { GAZE "input_img_size", "1e9", "RANGE", "4096" },
        { VISION "kernel_size", "0", "RANGE", "kernel_size" },
        { VISION "kernel_size", "\"8\"", "TYPE", "\"8\"" },
        { VISION "temporal_patch_size", "2", "UNSUPPORTED", "temporal_patch_size" },
        { VISION "trunk_spatial_kernel_size", "4", "UNSUPPORTED", "odd" },
        { VISION "depth", "0", "RANGE", "depth" },
        { VISION "depth", "9", "RANGE", "depth" },
        { VISION "hidden_dim", "4097", "RANGE", "4096" },
        { DECODER "hidden_act", "\"gelu\"", "UNSUPPORTED", "\"silu\"" },
        { DECODER "attention_bias", "true", "UNSUPPORTED", "attention_bias" },
        { DECODER "mlp_bias", "true", "UNSUPPORTED", "mlp_bias" },
        { DECODER "num_key_value_heads", "3", "RANGE", "num_key_value_heads" },
        { DECODER "head_dim", "15", "UNSUPPORTED", "even" },
        { DECODER "num_hidden_layers", "33", "RANGE", "32" },
        { DECODER "num_multi_token_pred", "33", "RANGE", "32" },
        { DECODER "num_multi_token_pred", "17", "INCONSISTENT", "16 vision tokens" },
        { DECODER "rms_norm_eps", "\"small\"", "TYPE", "rms_norm_eps" },
        { DECODER "rope_scaling.rope_type", "\"yarn\"", "UNSUPPORTED", "llama3" },
        { DECODER "rope_scaling.rope_type", "-", "MISSING", "rope_type" },
        { DECODER "rope_scaling.factor", "0", "RANGE", "factor" },
        { DECODER "rope_scaling.high_freq_factor", "1", "INCONSISTENT", "low_freq_factor" },
        { DECODER "rope_scaling", "4", "TYPE", "rope_scaling" },
        { GAZE "gaze_decoder_config", "[]", "MISSING", DECODER "hidden_size" },
        { DECODER "intermediate_size", "16385", "RANGE", "intermediate_size" },
        // the consistency rules, each value contradicting another one
        { GAZE "num_vision_tokens_each_frame", "22", "INCONSISTENT", "is 22, but" },
        { CONNECTOR "num_tokens", "15", "INCONSISTENT", "is 15, but" },
        { DECODER "vocab_size", "23", "INCONSISTENT", "is 23, but" },
        { DECODER "eos_token_id", "22", "INCONSISTENT", "is 22, but" },
        { "scales", "\"8+16+24+32\"", "INCONSISTENT", "scale 8" },
        { "scales", "\"8+12+32\"", "INCONSISTENT", "scale" },
        { "scales", "\"32\"", "INCONSISTENT", "scale 32 gets 21" },
        { "scales", "\"8+16\"", "INCONSISTENT", "scale" },
        { VISION "out_dim", "31", "INCONSISTENT", "is 31, but" },
        { CONNECTOR "hidden_dim", "33", "INCONSISTENT", "is 33, but" },
    };
    for (size_t i = 0; i < AG_COUNT(cases); i++) {
        struct ag_error err;
        struct ag_model_config c;
        bool ok = PARSE(&c, &err, { cases[i].path, cases[i].value });
        if (ok || err.status != AG_ERR_INPUT || strcmp(err.kind, cases[i].kind) != 0 ||
            !strstr(err.text, cases[i].words) || !strstr(err.text, "config.json: ")) {
            fail_msg("%s = %s: %s '%s', expected %s '%s'", cases[i].path, cases[i].value, err.kind,
                     err.text, cases[i].kind, cases[i].words);
        }
    }
}

static void test_rejected_together(void **state)
{
    (void)state;
    struct ag_error err;
    struct ag_model_config c;
    // Every count agrees, but the largest scale is not the input.
    assert_false(PARSE(&c, &err, { GAZE "input_img_size", "64" },
                       { CONNECTOR "num_tokens", "64" }));
    assert_string_equal(err.kind, "INCONSISTENT");
    assert_non_null(strstr(err.text, "largest of scales is 32"));
    assert_false(PARSE(&c, &err, { "temporal_context", "\"canvas\"" }, { VISION "depth", "2" }));
    assert_string_equal(err.kind, "UNSUPPORTED");
    assert_false(PARSE(&c, &err, { "temporal_context", "\"canvas\"" },
                       { VISION "trunk_temporal_kernel_size", "2" }));
    assert_string_equal(err.kind, "UNSUPPORTED");
    assert_false(PARSE(&c, &err, { DECODER "num_attention_heads", "4" },
                       { DECODER "num_key_value_heads", "3" }));
    assert_string_equal(err.kind, "INCONSISTENT");
    // Each size is allowed, all of them together are not.
    assert_false(PARSE(&c, &err, { DECODER "hidden_size", "4096" }, { VISION "out_dim", "4096" },
                       { CONNECTOR "hidden_dim", "4096" }, { VISION "hidden_dim", "4096" },
                       { DECODER "intermediate_size", "16384" },
                       { VISION "trunk_spatial_kernel_size", "15" }));
    assert_string_equal(err.kind, "RANGE");
    assert_non_null(strstr(err.text, "parameters"));
}

static void test_not_json(void **state)
{
    (void)state;
    static const struct {
        const char *text, *kind;
    } cases[] = {
        { "", "JSON" }, { "{", "JSON" }, { "{} {}", "JSON" }, { "[1]", "TYPE" }, { "7", "TYPE" },
        { "{\"model_type\": NaN}", "JSON" }, { "{}", "MISSING" },
    };
    for (size_t i = 0; i < AG_COUNT(cases); i++) {
        struct ag_error err = { 0 };
        struct ag_model_config c;
        struct ag_preprocess_config p;
        assert_false(ag_config_parse("f", cases[i].text, &c, NULL, &err));
        assert_string_equal(err.kind, cases[i].kind);
        err = (struct ag_error){ 0 };
        assert_false(ag_preprocess_config_parse("f", cases[i].text, &p, &err));
        assert_string_equal(err.kind, cases[i].kind);
    }
    // Deep nesting ends in an error, not in a full stack; of a repeated key the last value counts.
    char *deep = ag_alloc(400001);
    memset(deep, '[', 400000);
    struct ag_error err = { 0 };
    struct ag_model_config c;
    assert_false(ag_config_parse("f", deep, &c, NULL, &err));
    assert_string_equal(err.kind, "JSON");
    ag_free(deep);
    err = (struct ag_error){ 0 };
    assert_false(ag_config_parse("f", "{\"model_type\":\"autogaze\",\"model_type\":\"late\"}", &c,
                                 NULL, &err));
    assert_non_null(strstr(err.text, "late"));
}

static void test_damaged(void **state)
{
    (void)state;
    char *good = read_file(AG_FIXTURES "/tiny", "config.json", NULL), *bad = ag_strdup(good);
    uint32_t seed = 1;
    size_t size = strlen(good);
    for (int i = 0; i < 3000; i++) {
        struct ag_error err = { 0 };
        struct ag_model_config c;
        struct ag_preprocess_config p;
        memcpy(bad, good, size);
        for (int n = 0; n <= i % 3; n++) {
            seed = seed * 1664525u + 1013904223u;
            size_t at = (seed >> 8) % size;
            seed = seed * 1664525u + 1013904223u;
            bad[at] = i % 2 ? (char)(seed >> 16) : "0123456789-.eE\"{}[],:nt"[(seed >> 8) % 24];
        }
        bool ok = ag_config_parse("f", bad, &c, NULL, &err);
        assert_int_equal(ok, err.status == AG_OK);
        assert_true(!ok || (c.cells >= 1 && c.cells <= 65535 && c.round <= AG_MAX_ROUND &&
                            c.layers <= AG_MAX_LAYERS && c.heads % c.kv_heads == 0));
        ag_preprocess_config_parse("f", bad, &p, NULL);
    }
    ag_free(good);
    ag_free(bad);
}

struct warned {
    int n;
};

static void count_warning(void *user, enum ag_log_level level, const char *line)
{
    (void)line;
    ((struct warned *)user)->n += level == AG_LOG_WARN;
}

static void test_warns(void **state)
{
    (void)state;
    struct ag_error err = { 0 };
    struct ag_model_config c;
    struct warned w = { 0 };
    struct ag_log log = { .level = AG_LOG_WARN, .sink = count_warning, .user = &w };
    struct change each = {
        "gazing_ratio_each_frame_config.sample_strategy_during_inference", "\"dirichlet\""
    };
    char *text = changed("config.json", &each, 1);
    assert_true(ag_config_parse("config.json", text, &c, &log, &err));
    assert_int_equal(w.n, 1);
    free(text);
}

static bool parse_preprocess(const struct change *change_it, struct ag_preprocess_config *p,
                             struct ag_error *err)
{
    char *text = changed("preprocessor_config.json", change_it, 1);
    *err = (struct ag_error){ 0 };
    bool ok = ag_preprocess_config_parse("preprocessor_config.json", text, p, err);
    free(text);
    return ok;
}

static void test_preprocess(void **state)
{
    (void)state;
    struct ag_error err;
    struct ag_preprocess_config p;
    assert_true(parse_preprocess(&(struct change){ NULL, NULL }, &p, &err));
    assert_false(p.exact_size);
    assert_int_equal(p.width, 32);
    assert_true(p.rescale && p.offset && p.normalize);
    assert_true(p.rescale_factor == 0.00784313725490196);
    assert_true(p.mean[2] == 0.406f && p.std[0] == 0.229f);

    assert_true(parse_preprocess(&(struct change){ "size", "48" }, &p, &err));
    assert_true(!p.exact_size && p.width == 48);
    assert_true(parse_preprocess(&(struct change){ "size", "{\"height\":40,\"width\":50}" }, &p,
                                 &err));
    assert_true(p.exact_size && p.height == 40 && p.width == 50);
    assert_true(parse_preprocess(&(struct change){ "size", "[40,50]" }, &p, &err));
    assert_true(p.exact_size && p.height == 40 && p.width == 50);

    static const struct {
        const char *path, *value, *kind;
    } cases[] = {
        { "do_resize", "false", "UNSUPPORTED" },
        { "do_center_crop", "true", "UNSUPPORTED" },
        { "resample", "3", "UNSUPPORTED" },
        { "do_rescale", "false", "INCONSISTENT" },
        { "do_rescale", "0", "TYPE" },
        { "size", "-", "MISSING" },
        { "size", "\"224\"", "TYPE" },
        { "size", "{}", "MISSING" },
        { "size", "{\"height\":4}", "MISSING" },
        { "size", "[0,5]", "RANGE" },
        { "size", "[5,5,5]", "TYPE" },
        { "size", "0", "RANGE" },
        { "rescale_factor", "-", "MISSING" },
        { "image_mean", "[1,2]", "TYPE" },
        { "image_mean", "[1,2,null]", "TYPE" },
        { "image_std", "[1,0,1]", "RANGE" },
    };
    for (size_t i = 0; i < AG_COUNT(cases); i++) {
        bool ok = parse_preprocess(&(struct change){ cases[i].path, cases[i].value }, &p, &err);
        if (ok || strcmp(err.kind, cases[i].kind) != 0 || !strstr(err.text, cases[i].path)) {
            fail_msg("%s = %s: %s '%s', expected %s", cases[i].path, cases[i].value, err.kind,
                     err.text, cases[i].kind);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_official), cmocka_unit_test(test_defaults),
        cmocka_unit_test(test_rejected), cmocka_unit_test(test_rejected_together),
        cmocka_unit_test(test_not_json), cmocka_unit_test(test_warns),
        cmocka_unit_test(test_preprocess), cmocka_unit_test(test_damaged),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
