// Every rule and error kind of M1.3: the container alone, then a whole model folder.
#include "model_util.h"

#include <cjson/cJSON.h>
#include <math.h>

#include "autogaze/model.h"

static char dir[256];

static int make_dir(void **state)
{
    (void)state;
    temporary_dir(dir, sizeof(dir));
    return 0;
}

static int drop_dir(void **state)
{
    (void)state;
    remove_dir(dir);
    return 0;
}

// ---- the container ---------------------------------------------------------------------------
static struct ag_safetensors *open_made(const char *header, uint64_t length, size_t size,
                                        struct ag_error *err)
{
    static const unsigned char data[256];
    char path[300];
    write_safetensors(dir, "t", header, length, data, size);
    snprintf(path, sizeof(path), "%s/t", dir);
    return ag_safetensors_open(path, err);
}

static void test_good(void **state)
{
    (void)state;
    struct ag_error err = { 0 };
    struct ag_safetensors *f = open_made(
        "{\"__metadata__\":{\"format\":\"pt\"},"
        "\"b\":{\"dtype\":\"F32\",\"shape\":[2,3],\"data_offsets\":[4,28]},"
        "\"empty\":{\"dtype\":\"F16\",\"shape\":[0,7],\"data_offsets\":[4,4]},"
        "\"a\":{\"dtype\":\"I32\",\"shape\":[],\"data_offsets\":[0,4]}}  \n ", 0, 28, &err);
    assert_non_null(f);
    assert_int_equal(ag_safetensors_count(f), 3);
    const struct ag_safetensors_entry *b = ag_safetensors_find(f, "b");
    assert_non_null(b);
    assert_int_equal(b->dtype, AG_F32);
    assert_int_equal(b->rank, 2);
    assert_int_equal(b->shape[1], 3);
    assert_int_equal(b->count, 6);
    assert_int_equal(b->bytes, 24);
    assert_int_equal(ag_safetensors_find(f, "a")->count, 1);
    assert_int_equal(ag_safetensors_find(f, "empty")->count, 0);
    assert_null(ag_safetensors_find(f, "__metadata__"));
    assert_string_equal(ag_safetensors_at(f, 0)->name, "a");
    ag_safetensors_close(&f);
    assert_null(f);
    f = open_made("{}", 0, 0, &err); // nothing in it is fine for the container
    assert_non_null(f);
    assert_null(ag_safetensors_find(f, "a"));
    ag_safetensors_close(&f);
}

#define ENTRY(dtype, shape, range)                                                                 \
    "{\"x\":{\"dtype\":" dtype ",\"shape\":" shape ",\"data_offsets\":" range "}}"

static void test_broken_container(void **state)
{
    (void)state;
    static const struct {
        const char *header;
        uint64_t length;
        size_t size;
        const char *kind;
    } cases[] = {
        { "{}", 1, 0, "RANGE" },             // header length under 2
        { "{}", 3, 0, "RANGE" },             // past the end of the file
        { "{}", UINT64_MAX, 0, "RANGE" },
        { "{}", (101ull << 20), 0, "RANGE" },
        { "{\"x\":", 0, 0, "JSON" },
        { "{} x", 0, 0, "JSON" },
        { "[]", 0, 0, "JSON" },
        { "{\"__metadata__\":{\"a\":1}}", 0, 0, "TYPE" },
        { "{\"x\":3}", 0, 0, "TYPE" },
        { "{\"x\":{\"shape\":[1],\"data_offsets\":[0,4]}}", 0, 4, "MISSING" },
        { "{\"x\":{\"dtype\":\"F32\",\"data_offsets\":[0,4]}}", 0, 4, "MISSING" },
        { "{\"x\":{\"dtype\":\"F32\",\"shape\":[1]}}", 0, 4, "MISSING" },
        { ENTRY("\"F64\"", "[1]", "[0,8]"), 0, 8, "DTYPE" },
        { ENTRY("7", "[1]", "[0,4]"), 0, 4, "TYPE" },
        { ENTRY("\"F32\"", "[-1]", "[0,4]"), 0, 4, "RANGE" },
        { ENTRY("\"F32\"", "[1.5]", "[0,4]"), 0, 4, "RANGE" },
        { ENTRY("\"F32\"", "[4294967295,4294967295,4294967295]", "[0,4]"), 0, 4, "RANGE" },
        { ENTRY("\"F32\"", "[1,1,1,1,1,1]", "[0,4]"), 0, 4, "SHAPE" },
        { ENTRY("\"F32\"", "[1]", "[0]"), 0, 4, "TYPE" },
        { ENTRY("\"F32\"", "[1]", "[0,\"4\"]"), 0, 4, "TYPE" },
        { ENTRY("\"F32\"", "[1]", "[4,0]"), 0, 8, "RANGE" },
        { ENTRY("\"F32\"", "[1]", "[0,1e300]"), 0, 4, "TYPE" },
        { ENTRY("\"F32\"", "[2]", "[0,4]"), 0, 8, "RANGE" }, // size does not fit the shape
        { ENTRY("\"F32\"", "[2]", "[4,12]"), 0, 8, "RANGE" }, // ends past the data
        { "{\"x\":{\"dtype\":\"U8\",\"shape\":[4],\"data_offsets\":[0,4]},"
          "\"y\":{\"dtype\":\"U8\",\"shape\":[4],\"data_offsets\":[3,7]}}", 0, 8, "RANGE" },
        { "{\"x\":{\"dtype\":\"U8\",\"shape\":[8],\"data_offsets\":[0,8]},"
          "\"y\":{\"dtype\":\"U8\",\"shape\":[2],\"data_offsets\":[3,5]}}", 0, 8, "RANGE" },
        { "{\"x\":{\"dtype\":\"U8\",\"shape\":[4],\"data_offsets\":[0,4]},"
          "\"x\":{\"dtype\":\"U8\",\"shape\":[4],\"data_offsets\":[4,8]}}", 0, 8, "INCONSISTENT" },
    };
    for (size_t i = 0; i < AG_COUNT(cases); i++) {
        struct ag_error err = { 0 };
        assert_null(open_made(cases[i].header, cases[i].length, cases[i].size, &err));
        assert_int_equal(err.status, AG_ERR_INPUT);
        if (strcmp(err.kind, cases[i].kind) != 0) {
            fail_msg("case %zu: %s, expected %s (%s)", i, err.kind, cases[i].kind, err.text);
        }
        assert_non_null(strstr(err.text, "/t")); // names the file
        assert_null(strchr(err.text, '\n'));
    }
    struct ag_error err = { 0 };
    assert_null(ag_safetensors_open("/nonexistent/t", &err));
    assert_string_equal(err.kind, "IO");
    write_bytes(dir, "t", "1234567", 7); // shorter than the length field
    char path[300];
    snprintf(path, sizeof(path), "%s/t", dir);
    err = (struct ag_error){ 0 };
    assert_null(ag_safetensors_open(path, &err));
    assert_string_equal(err.kind, "RANGE");
}

static void test_half(void **state)
{
    (void)state;
    for (uint32_t h = 0; h < 0x10000; h++) { // every finite half survives the round trip
        float f = ag_half_to_float((uint16_t)h);
        if ((h & 0x7c00) != 0x7c00) {
            int exponent = (int)(h >> 10 & 31);
            float m = (float)(h & 0x3ff) + (exponent ? 1024.0f : 0.0f);
            float expected = ldexpf(m, AG_MAX(exponent, 1) - 25);
            assert_true(f == (h & 0x8000 ? -expected : expected));
        } else {
            assert_true(h & 0x3ff ? isnan(f) : isinf(f));
        }
        if (!isnan(f)) {
            assert_int_equal(ag_float_to_half(f), h);
        }
    }
    assert_int_equal(ag_float_to_half(1.0f + 0x1p-11f), 0x3c00);            // tie: to even
    assert_int_equal(ag_float_to_half(1.0f + 0x1.8p-10f), 0x3c02);          // tie: to even, up
    assert_int_equal(ag_float_to_half(1.0f + 0x1.001p-11f), 0x3c01);       // just over
    assert_int_equal(ag_float_to_half(65519.996f), 0x7bff);
    assert_int_equal(ag_float_to_half(65520.0f), 0x7c00);
    assert_int_equal(ag_float_to_half(0x1p-25f), 0);                        // tie at the bottom
    assert_int_equal(ag_float_to_half(0x1.8p-24f), 2);
    assert_int_equal(ag_float_to_half(-0x1.8p-25f), 0x8001);
    assert_int_equal(ag_float_to_half(0x1.fffp-15f), 0x0400);               // rounds up to normal
    assert_int_equal(ag_float_to_half(INFINITY), 0x7c00);
    assert_true(isnan(ag_half_to_float(ag_float_to_half(NAN))));
}

// ---- a whole model folder --------------------------------------------------------------------
static const char tiny[] = AG_FIXTURES "/tiny";

// The tiny model's file taken apart: header as JSON, data to be changed.
struct file {
    cJSON *header;
    unsigned char *bytes, *data;
    size_t data_size;
};

static struct file take_apart(void)
{
    struct file f;
    size_t size;
    f.bytes = read_file(tiny, "model.safetensors", &size);
    uint64_t length = 0;
    memcpy(&length, f.bytes, 8);
    f.header = cJSON_ParseWithLength((char *)f.bytes + 8, length);
    assert_non_null(f.header);
    f.data = f.bytes + 8 + length;
    f.data_size = size - 8 - length;
    return f;
}

static struct ag_model *load_changed(struct file *f, size_t data_size, struct ag_error *err)
{
    char *text = cJSON_PrintUnformatted(f->header);
    copy_file(tiny, "config.json", dir);
    copy_file(tiny, "preprocessor_config.json", dir);
    write_safetensors(dir, "model.safetensors", text, 0, f->data, data_size);
    free(text);
    cJSON_Delete(f->header);
    ag_free(f->bytes);
    *err = (struct ag_error){ 0 };
    return ag_model_load(NULL, dir, err);
}

static void expect(struct file f, size_t data_size, const char *kind, const char *words)
{
    struct ag_error err;
    struct ag_model *m = load_changed(&f, data_size, &err);
    assert_null(m);
    assert_int_equal(err.status, AG_ERR_INPUT);
    if (strcmp(err.kind, kind) != 0 || !strstr(err.text, words)) {
        fail_msg("%s '%s', expected %s '%s'", err.kind, err.text, kind, words);
    }
}

static cJSON *entry(const struct file *f, const char *name)
{
    char full[128];
    snprintf(full, sizeof(full), "gazing_model.%s", name);
    return cJSON_GetObjectItemCaseSensitive(f->header, full);
}

static double begin_of(const cJSON *e)
{
    return cJSON_GetArrayItem(cJSON_GetObjectItem(e, "data_offsets"), 0)->valuedouble;
}

static void test_model_loads(void **state)
{
    (void)state;
    struct ag_error err = { 0 };
    struct ag_model *m = ag_model_load(NULL, tiny, &err);
    assert_non_null(m);
    assert_string_equal(m->name, "tiny");
    const struct ag_model_config *c = &m->config;
    uint64_t expected = 3ull * c->patch * c->patch * c->channels + 3 * c->channels +
                        27ull * c->channels * c->channels + c->channels +
                        c->channels * c->width + c->width + (c->tokens + c->vocab) * c->width +
                        c->layers * (4ull * c->width * c->width + 3ull * c->width * c->mlp +
                                     2 * c->width) +
                        c->width + c->round * (c->vocab + 1ull) * c->width;
    assert_int_equal(m->parameters, expected);
    struct file f = take_apart();
    const float *stored = (const float *)(f.data + (size_t)begin_of(
        entry(&f, "gaze_decoder.model.layers.1.mlp.down_proj.weight")));
    float v;
    memcpy(&v, stored + 5, 4);
    assert_true(v == m->weights.layer[1].down[5]);
    cJSON_Delete(f.header);
    ag_free(f.bytes);
    ag_model_destroy(&m);
    assert_null(m);
}

static void test_broken_models(void **state)
{
    (void)state;
    struct file f = take_apart();
    expect(f, f.data_size - 7576, "RANGE", "cut short");

    f = take_apart();
    cJSON_DeleteItemFromObject(f.header, "gazing_model.connector.pos_embed");
    expect(f, f.data_size, "MISSING", "gazing_model.connector.pos_embed");

    f = take_apart(); // same bytes, sides exchanged
    cJSON_SetNumberValue(cJSON_GetArrayItem(cJSON_GetObjectItem(
        entry(&f, "connector.pos_embed"), "shape"), 0), 32);
    cJSON_SetNumberValue(cJSON_GetArrayItem(cJSON_GetObjectItem(
        entry(&f, "connector.pos_embed"), "shape"), 1), 16);
    expect(f, f.data_size, "SHAPE", "[32,16], config.json makes it [16,32]");

    f = take_apart();
    cJSON_SetValuestring(cJSON_GetObjectItem(entry(&f, "connector.pos_embed"), "dtype"), "I32");
    expect(f, f.data_size, "DTYPE", "connector.pos_embed");

    f = take_apart();
    cJSON_SetValuestring(cJSON_GetObjectItem(entry(&f, "connector.pos_embed"), "dtype"), "F64");
    expect(f, f.data_size, "DTYPE", "connector.pos_embed");

    static const float bad[] = { NAN, INFINITY, -INFINITY };
    for (size_t i = 0; i < AG_COUNT(bad); i++) {
        f = take_apart();
        memcpy(f.data + (size_t)begin_of(entry(&f, "vision_model.norm.bias")) + 12, &bad[i], 4);
        expect(f, f.data_size, "NONFINITE", "element 3");
    }

    f = take_apart(); // one name without the prefix
    cJSON *e = cJSON_DetachItemFromObject(f.header, "gazing_model.connector.pos_embed");
    cJSON_AddItemToObject(f.header, "connector.pos_embed", e);
    expect(f, f.data_size, "INCONSISTENT", "connector.pos_embed");

    f = take_apart(); // overlap: the second of two tensors of one size moved onto the first
    cJSON *a = cJSON_GetObjectItem(entry(&f, "gaze_decoder.model.layers.0.self_attn.k_proj.weight"),
                                   "data_offsets");
    cJSON_ReplaceItemInObject(entry(&f, "gaze_decoder.model.layers.1.self_attn.k_proj.weight"),
                              "data_offsets", cJSON_Duplicate(a, true));
    expect(f, f.data_size, "RANGE", "overlap");
}

struct lines {
    int n;
    char last[300];
};

static void count_line(void *user, enum ag_log_level level, const char *line)
{
    struct lines *l = user;
    assert_int_equal(level, AG_LOG_WARN);
    snprintf(l->last, sizeof(l->last), "%s", line);
    l->n++;
}

// Names without the prefix, other float types, an odd data start, names to ignore and to warn of.
static void test_tolerated(void **state)
{
    (void)state;
    struct ag_error err = { 0 };
    struct ag_model *expected = ag_model_load(NULL, tiny, &err);
    struct file f = take_apart();
    cJSON *header = cJSON_CreateObject();
    unsigned char *data = ag_alloc(f.data_size);
    size_t at = 0;
    int n = 0;
    for (cJSON *e = f.header->child; e; e = e->next, n++) {
        cJSON *copy = cJSON_Duplicate(e, true);
        size_t begin = (size_t)begin_of(e);
        size_t end = (size_t)cJSON_GetObjectItem(e, "data_offsets")->child->next->valuedouble;
        size_t from = at;
        const char *dtype = n % 3 == 0 ? "F32" : n % 3 == 1 ? "F16" : "BF16";
        for (size_t i = begin; i < end; i += 4) {
            uint32_t word;
            float v;
            memcpy(&word, f.data + i, 4);
            memcpy(&v, &word, 4);
            uint16_t half = n % 3 == 1 ? ag_float_to_half(v) : (uint16_t)(word >> 16);
            memcpy(data + at, n % 3 ? (void *)&half : (void *)&word, n % 3 ? 2 : 4);
            at += n % 3 ? 2 : 4;
        }
        cJSON_SetValuestring(cJSON_GetObjectItem(copy, "dtype"), dtype);
        cJSON_SetNumberValue(cJSON_GetObjectItem(copy, "data_offsets")->child, (double)from);
        cJSON_SetNumberValue(cJSON_GetObjectItem(copy, "data_offsets")->child->next, (double)at);
        cJSON_AddItemToObject(header, e->string + strlen("gazing_model."), copy);
    }
    static const char *const extra[] = { "gaze_decoder.model.rotary_emb.inv_freq", "foo.bar" };
    for (size_t i = 0; i < AG_COUNT(extra); i++) {
        cJSON_AddItemToObject(header, extra[i], cJSON_Parse(
            "{\"dtype\":\"U8\",\"shape\":[0],\"data_offsets\":[0,0]}"));
    }
    char *text = cJSON_PrintUnformatted(header);
    char *padded = ag_asprintf("%s%s", text, strlen(text) % 2 ? "" : " "); // an odd data start
    copy_file(tiny, "config.json", dir);
    copy_file(tiny, "preprocessor_config.json", dir);
    write_safetensors(dir, "model.safetensors", padded, 0, data, at);
    struct lines lines = { 0 };
    struct ag_log log = { .level = AG_LOG_WARN, .sink = count_line, .user = &lines };
    struct ag_model *m = ag_model_load(&log, dir, &err);
    assert_non_null(m);
    assert_int_equal(lines.n, 1);
    assert_non_null(strstr(lines.last, "foo.bar"));
    assert_int_equal(m->n_tensors, expected->n_tensors);
    assert_int_equal(m->parameters, expected->parameters);
    for (uint32_t i = 0; i < m->n_tensors; i++) {
        for (size_t j = 0; j < m->tensors[i].count; j++) {
            float x = m->tensors[i].data[j], y = expected->tensors[i].data[j];
            assert_true(fabsf(x - y) <= fabsf(y) * 0x1p-7f);
        }
    }
    ag_model_destroy(&m);
    ag_model_destroy(&expected);
    free(text);
    ag_free(padded);
    ag_free(data);
    cJSON_Delete(header);
    cJSON_Delete(f.header);
    ag_free(f.bytes);
}

// Whatever is damaged in the header: a model or an error, and never more than a file read.
static void test_damaged_headers(void **state)
{
    (void)state;
    size_t size;
    unsigned char *good = read_file(tiny, "model.safetensors", &size), *bad = ag_alloc(size);
    uint64_t length = 0;
    memcpy(&length, good, 8);
    copy_file(tiny, "config.json", dir);
    copy_file(tiny, "preprocessor_config.json", dir);
    uint32_t seed = 1, refused = 0;
    for (int i = 0; i < 400; i++) {
        struct ag_error err = { 0 };
        memcpy(bad, good, size);
        for (int n = 0; n <= i % 4; n++) {
            seed = seed * 1664525u + 1013904223u;
            uint32_t at = (seed >> 8) % (uint32_t)(8 + length);
            seed = seed * 1664525u + 1013904223u;
            bad[i % 2 ? at : at % 8 + 8 * (at % 40)] = (unsigned char)(seed >> 16);
        }
        write_bytes(dir, "model.safetensors", bad, size);
        struct ag_model *m = ag_model_load(NULL, dir, &err);
        assert_int_equal(m == NULL, err.status == AG_ERR_INPUT);
        refused += m == NULL;
        ag_model_destroy(&m);
    }
    assert_true(refused > 200);
    ag_free(good);
    ag_free(bad);
}

static void test_incomplete_folders(void **state)
{
    (void)state;
    struct ag_error err = { 0 };
    copy_file(tiny, "config.json", dir);
    copy_file(tiny, "preprocessor_config.json", dir);
    char weights[300];
    snprintf(weights, sizeof(weights), "%s/model.safetensors", dir);
    unlink(weights);
    assert_null(ag_model_load(NULL, dir, &err));
    assert_int_equal(err.status, AG_ERR_INPUT);
    assert_string_equal(err.kind, "IO");
    assert_non_null(strstr(err.text, "no model.safetensors"));
    assert_non_null(strstr(err.text, "--model open-gaze"));
    err = (struct ag_error){ 0 };
    assert_null(ag_model_load(NULL, "/nonexistent/folder", &err));
    assert_non_null(strstr(err.text, "does not exist"));
    err = (struct ag_error){ 0 };
    assert_null(ag_model_load(NULL, AG_FIXTURES "/tiny/config.json", &err));
    assert_non_null(strstr(err.text, "is a file"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_good),          cmocka_unit_test(test_broken_container),
        cmocka_unit_test(test_half),          cmocka_unit_test(test_model_loads),
        cmocka_unit_test(test_broken_models), cmocka_unit_test(test_tolerated),
        cmocka_unit_test(test_damaged_headers), cmocka_unit_test(test_incomplete_folders),
    };
    return cmocka_run_group_tests(tests, make_dir, drop_dir);
}
