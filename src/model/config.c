// config.json and preprocessor_config.json: reading, limits, and the consistency rules of M1.1.
#include "autogaze/model.h"

#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "json.h"

// No dimension above these, so that no product of a few of them overflows 64 bits; the parameter
// limit then keeps every size_t and every uint32_t index downstream safe.
#define MAX_IMAGE 4096
#define MAX_WIDTH 4096
#define MAX_CELLS 65535
#define MAX_PARAMETERS ((uint64_t)1 << 28)

struct reader {
    const char *file;
    const cJSON *root;
    const struct ag_log *log;
    struct ag_error *err;
};

static bool fail(const struct reader *r, const char *kind, const char *fmt, ...) AG_PRINTF(3, 4);

static bool fail(const struct reader *r, const char *kind, const char *fmt, ...)
{
    char text[512];
    va_list args;
    va_start(args, fmt);
    vsnprintf(text, sizeof(text), fmt, args);
    va_end(args);
    return ag_fail_kind(r->err, AG_ERR_INPUT, kind, "%s: %s", r->file, text);
}

// Item at a path of keys separated by dots; NULL if absent or null.
static const cJSON *get(const struct reader *r, const char *path)
{
    const cJSON *at = r->root;
    char key[64];
    while (at && *path) {
        size_t n = strcspn(path, ".");
        snprintf(key, sizeof(key), "%.*s", (int)n, path);
        at = ag_json_get(at, key);
        path += n + (path[n] == '.');
    }
    return cJSON_IsNull(at) ? NULL : at;
}

// For messages: what a value is.
static const char *describe(const cJSON *item, char *out, size_t size)
{
    char text[64];
    if (cJSON_IsNumber(item)) {
        snprintf(out, size, "%.9g", item->valuedouble);
    } else if (cJSON_IsString(item)) {
        snprintf(out, size, "\"%s\"", ag_json_shown(item->valuestring, text, sizeof(text)));
    } else {
        snprintf(out, size, "%s", ag_json_type(item));
    }
    return out;
}

static bool wrong_type(const struct reader *r, const char *path, const char *expected)
{
    const cJSON *item = get(r, path);
    char found[80];
    return fail(r, item ? "TYPE" : "MISSING", "%s is %s, expected %s", path,
                describe(item, found, sizeof(found)), expected);
}

enum { REQUIRED, OPTIONAL }; // an absent optional key leaves the value as it is

static bool read_double(const struct reader *r, const char *path, int need, double lo, double hi,
                        double *out)
{
    const cJSON *item = get(r, path);
    if (!item && need == OPTIONAL) {
        return true;
    }
    if (!cJSON_IsNumber(item)) {
        return wrong_type(r, path, "a number");
    }
    if (!(item->valuedouble >= lo && item->valuedouble <= hi)) {
        return fail(r, "RANGE", "%s is %.9g, expected %.9g to %.9g", path, item->valuedouble, lo,
                    hi);
    }
    *out = item->valuedouble;
    return true;
}

static bool read_u32(const struct reader *r, const char *path, int need, uint32_t lo, uint32_t hi,
                     uint32_t *out)
{
    const cJSON *item = get(r, path);
    if (!item && need == OPTIONAL) {
        return true;
    }
    if (!cJSON_IsNumber(item)) {
        return wrong_type(r, path, "a whole number");
    }
    double v = item->valuedouble;
    if (!(v >= lo && v <= hi) || v != floor(v)) {
        return fail(r, "RANGE", "%s is %.9g, expected a whole number from %u to %u", path, v, lo,
                    hi);
    }
    *out = (uint32_t)v;
    return true;
}

static bool read_bool(const struct reader *r, const char *path, bool *out)
{
    const cJSON *item = get(r, path);
    if (item && !cJSON_IsBool(item)) {
        return wrong_type(r, path, "true or false");
    }
    if (item) {
        *out = cJSON_IsTrue(item);
    }
    return true;
}

// A string that must be one of a list; *out gets its index. Absent: `fallback`, -1 if required.
static bool read_choice(const struct reader *r, const char *path, const char *const *choices,
                        int n, int fallback, int *out)
{
    const cJSON *item = get(r, path);
    if (!item && fallback >= 0) {
        *out = fallback;
        return true;
    }
    if (!cJSON_IsString(item)) {
        return wrong_type(r, path, "a string");
    }
    for (int i = 0; i < n; i++) {
        if (strcmp(item->valuestring, choices[i]) == 0) {
            *out = i;
            return true;
        }
    }
    char found[80], expected[80];
    snprintf(expected, sizeof(expected), "\"%s\"%s%s%s", choices[0], n > 1 ? " or \"" : "",
             n > 1 ? choices[1] : "", n > 1 ? "\"" : "");
    return fail(r, "UNSUPPORTED", "%s is %s, expected %s", path,
                describe(item, found, sizeof(found)), expected);
}

static bool read_only(const struct reader *r, const char *path, const char *value, bool required)
{
    int i;
    return read_choice(r, path, &value, 1, required ? -1 : 0, &i);
}

// A key that must repeat what another one says; absent is fine.
static bool check_same(const struct reader *r, const char *path, const char *other, uint32_t value)
{
    uint32_t found = value;
    return read_u32(r, path, OPTIONAL, 0, UINT32_MAX, &found) &&
           (found == value || fail(r, "INCONSISTENT", "%s is %u, but %s is %u", path, found, other,
                                   value));
}

static bool is_fixed(const struct reader *r, const char *path)
{
    const cJSON *item = get(r, path);
    return cJSON_IsString(item) && strcmp(item->valuestring, "fixed") == 0;
}

#define GAZE "gaze_model_config."
#define VISION GAZE "vision_model_config."
#define CONNECTOR GAZE "connector_config."
#define DECODER GAZE "gaze_decoder_config."

static int ascending(const void *a, const void *b)
{
    uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;
    return (x > y) - (x < y);
}

// "32+64+112+224", any order; a lone number is one scale.
static bool read_scales(const struct reader *r, struct ag_model_config *c)
{
    const cJSON *item = get(r, "scales");
    char text[128];
    if (cJSON_IsNumber(item)) {
        snprintf(text, sizeof(text), "%.0f", AG_CLAMP(item->valuedouble, 0, 1e9));
    } else if (cJSON_IsString(item)) {
        snprintf(text, sizeof(text), "%s", item->valuestring);
    } else {
        return wrong_type(r, "scales", "a string like \"32+64+112+224\"");
    }
    char shown[80];
    c->n_scales = 0;
    for (char *s = text, *end; ; s = end + 1) {
        unsigned long v = strtoul(s, &end, 10);
        if (end == s || *s < '0' || *s > '9' || (*end && *end != '+')) {
            return fail(r, "TYPE", "scales is \"%s\", expected whole numbers joined by '+'",
                        ag_json_shown(text, shown, sizeof(shown)));
        }
        if (c->n_scales == AG_MAX_SCALES) {
            return fail(r, "UNSUPPORTED", "scales is \"%s\", expected at most %d of them",
                        ag_json_shown(text, shown, sizeof(shown)), AG_MAX_SCALES);
        }
        if (v < 1 || v > MAX_IMAGE) {
            return fail(r, "RANGE", "scales is \"%s\", expected each from 1 to %d",
                        ag_json_shown(text, shown, sizeof(shown)), MAX_IMAGE);
        }
        c->scale[c->n_scales++] = (uint32_t)v;
        if (!*end) {
            break;
        }
    }
    qsort(c->scale, c->n_scales, sizeof(c->scale[0]), ascending);
    return true;
}

static bool read_vision(const struct reader *r, struct ag_model_config *c)
{
    uint32_t temporal_patch = 1;
    if (!read_u32(r, GAZE "input_img_size", REQUIRED, 1, MAX_IMAGE, &c->image_size) ||
        !read_u32(r, VISION "kernel_size", REQUIRED, 1, 256, &c->patch) ||
        !read_u32(r, VISION "hidden_dim", REQUIRED, 1, MAX_WIDTH, &c->channels) ||
        !read_u32(r, VISION "depth", REQUIRED, 1, AG_MAX_DEPTH, &c->trunk_depth) ||
        !read_u32(r, VISION "trunk_temporal_kernel_size", REQUIRED, 1, 16, &c->trunk_time) ||
        !read_u32(r, VISION "trunk_spatial_kernel_size", REQUIRED, 1, 15, &c->trunk_space) ||
        !read_u32(r, VISION "temporal_patch_size", OPTIONAL, 1, UINT32_MAX, &temporal_patch)) {
        return false;
    }
    if (temporal_patch != 1) {
        return fail(r, "UNSUPPORTED", VISION "temporal_patch_size is %u, expected 1",
                    temporal_patch);
    }
    if (c->trunk_space % 2 == 0) {
        return fail(r, "UNSUPPORTED", VISION "trunk_spatial_kernel_size is %u, expected odd",
                    c->trunk_space);
    }
    if (c->image_size % c->patch) {
        return fail(r, "INCONSISTENT", GAZE "input_img_size is %u, not a multiple of " VISION
                    "kernel_size, %u", c->image_size, c->patch);
    }
    c->grid = c->image_size / c->patch;
    if (c->grid > 255) {
        return fail(r, "RANGE", GAZE "input_img_size %u makes a grid of %u, expected at most 255",
                    c->image_size, c->grid);
    }
    c->tokens = c->grid * c->grid;
    c->layer_norm_eps = 1e-5f; // no key: a constant of upstream's code
    return true;
}

static bool read_rope(const struct reader *r, struct ag_model_config *c)
{
    static const char *const type = DECODER "rope_scaling.type";
    c->rope_theta = 10000.0;
    if (!read_double(r, DECODER "rope_theta", OPTIONAL, 1e-3, 1e12, &c->rope_theta)) {
        return false;
    }
    const cJSON *scaling = get(r, DECODER "rope_scaling");
    if (!scaling) {
        return true;
    }
    if (!cJSON_IsObject(scaling)) {
        return wrong_type(r, DECODER "rope_scaling", "an object or null");
    }
    const char *key = get(r, type) && !get(r, DECODER "rope_scaling.rope_type")
                          ? type : DECODER "rope_scaling.rope_type";
    if (!read_only(r, key, "llama3", true) ||
        !read_double(r, DECODER "rope_scaling.factor", REQUIRED, 1e-3, 1e6, &c->rope_factor) ||
        !read_double(r, DECODER "rope_scaling.low_freq_factor", REQUIRED, 1e-6, 1e6,
                     &c->rope_low) ||
        !read_double(r, DECODER "rope_scaling.high_freq_factor", REQUIRED, 1e-6, 1e6,
                     &c->rope_high) ||
        !read_double(r, DECODER "rope_scaling.original_max_position_embeddings", REQUIRED, 1, 1e9,
                     &c->rope_original)) {
        return false;
    }
    if (c->rope_high <= c->rope_low) {
        return fail(r, "INCONSISTENT", DECODER "rope_scaling.high_freq_factor is %g, expected more "
                    "than low_freq_factor, %g", c->rope_high, c->rope_low);
    }
    return true;
}

static bool read_decoder(const struct reader *r, struct ag_model_config *c)
{
    double rms_eps = 1e-6; // the default of upstream's code, not of its weights
    bool attention_bias = false, mlp_bias = false;
    if (!read_u32(r, DECODER "hidden_size", REQUIRED, 1, MAX_WIDTH, &c->width) ||
        !read_u32(r, DECODER "intermediate_size", REQUIRED, 1, 4 * MAX_WIDTH, &c->mlp) ||
        !read_u32(r, DECODER "num_hidden_layers", REQUIRED, 1, AG_MAX_LAYERS, &c->layers) ||
        !read_u32(r, DECODER "num_attention_heads", REQUIRED, 1, 256, &c->heads) ||
        !read_u32(r, DECODER "num_multi_token_pred", REQUIRED, 1, AG_MAX_ROUND, &c->round) ||
        !read_double(r, DECODER "rms_norm_eps", OPTIONAL, 0, 1, &rms_eps) ||
        !read_only(r, DECODER "hidden_act", "silu", false) ||
        !read_bool(r, DECODER "attention_bias", &attention_bias) ||
        !read_bool(r, DECODER "mlp_bias", &mlp_bias)) {
        return false;
    }
    c->rms_eps = (float)rms_eps;
    c->kv_heads = c->heads;
    c->head_dim = c->width / c->heads;
    if (!read_u32(r, DECODER "num_key_value_heads", OPTIONAL, 1, c->heads, &c->kv_heads) ||
        !read_u32(r, DECODER "head_dim", OPTIONAL, 2, 512, &c->head_dim)) {
        return false;
    }
    if (attention_bias || mlp_bias) {
        return fail(r, "UNSUPPORTED", DECODER "%s is true, expected false",
                    attention_bias ? "attention_bias" : "mlp_bias");
    }
    if (c->heads % c->kv_heads) {
        return fail(r, "INCONSISTENT", DECODER "num_key_value_heads, %u, does not divide "
                    "num_attention_heads, %u", c->kv_heads, c->heads);
    }
    if (c->head_dim < 2 || c->head_dim % 2) {
        return fail(r, "UNSUPPORTED", DECODER "head_dim is %u, expected an even number",
                    c->head_dim);
    }
    if (c->round > c->tokens) {
        return fail(r, "INCONSISTENT", DECODER "num_multi_token_pred is %u, expected at most the "
                    "%u vision tokens of a frame", c->round, c->tokens);
    }
    return read_rope(r, c);
}

// Rules 1 to 5 of M1.1: upstream recomputes these in silence, a contradicting file is refused here.
static bool check_consistency(const struct reader *r, struct ag_model_config *c)
{
    if (!check_same(r, GAZE "num_vision_tokens_each_frame", "num_vision_tokens_each_frame",
                    c->cells) ||
        !check_same(r, CONNECTOR "num_tokens", "(input_img_size / kernel_size)^2", c->tokens) ||
        !check_same(r, DECODER "vocab_size", "num_vision_tokens_each_frame + 1", c->vocab) ||
        !check_same(r, DECODER "eos_token_id", "num_vision_tokens_each_frame", c->eos) ||
        !check_same(r, VISION "out_dim", DECODER "hidden_size", c->width) ||
        !check_same(r, CONNECTOR "hidden_dim", DECODER "hidden_size", c->width)) {
        return false;
    }
    uint64_t squares = 0;
    for (uint32_t i = 0; i < c->n_scales; i++) {
        squares += (uint64_t)c->scale[i] * c->scale[i];
    }
    uint32_t first = 0;
    for (uint32_t i = 0; i < c->n_scales; i++) {
        uint32_t s = c->scale[i], g = s / c->patch;
        uint64_t share = (uint64_t)s * s * c->cells;
        if (s % c->patch || share != (uint64_t)g * g * squares) {
            return fail(r, "INCONSISTENT", "scale %u gets %.6g of num_vision_tokens_each_frame, "
                        "%u, expected (scale / kernel_size)^2 = (%u / %u)^2", s,
                        (double)share / (double)squares, c->cells, s, c->patch);
        }
        c->scale_grid[i] = g;
        c->scale_first[i] = first;
        first += g * g;
    }
    if (first != c->cells) {
        return fail(r, "INCONSISTENT", "the scales have %u cells, but num_vision_tokens_each_frame "
                    "is %u", first, c->cells);
    }
    if (c->scale[c->n_scales - 1] != c->image_size) {
        return fail(r, "INCONSISTENT", "the largest of scales is %u, but " GAZE "input_img_size is "
                    "%u", c->scale[c->n_scales - 1], c->image_size);
    }
    return true;
}

static bool read_defaults(const struct reader *r, struct ag_model_config *c)
{
    const cJSON *each = get(r, "gazing_ratio_each_frame_config.sample_strategy_during_inference");
    if (each && !(cJSON_IsString(each) && strcmp(each->valuestring, "uniform") == 0)) {
        char found[80];
        ag_warn(r->log, "%s: gazing_ratio_each_frame_config is %s, treated as \"uniform\"",
                r->file, describe(each, found, sizeof(found)));
    }
    if (is_fixed(r, "gazing_ratio_config.sample_strategy_during_inference")) {
        static const char *const path = "gazing_ratio_config.fixed.gazing_ratio";
        double ratio = 0;
        if (!read_double(r, path, REQUIRED, 0, 1, &ratio)) {
            return false;
        }
        if (ratio <= 0) {
            return fail(r, "RANGE", "%s is %g, expected more than 0 and at most 1", path, ratio);
        }
        c->default_budget = ag_budget_from_ratio((float)ratio, c->cells);
    }
    bool has_threshold = false;
    if (!read_bool(r, "has_task_loss_requirement_during_inference", &has_threshold)) {
        return false;
    }
    c->default_threshold = AG_NO_THRESHOLD;
    if (has_threshold &&
        is_fixed(r, "task_loss_requirement_config.sample_strategy_during_inference")) {
        double threshold = 0;
        if (!read_double(r, "task_loss_requirement_config.fixed.task_loss_requirement", REQUIRED,
                         -1e30, 1e30, &threshold)) {
            return false;
        }
        c->default_threshold = (float)threshold;
    }
    const cJSON *frames = get(r, "max_num_frames"); // advice only: nonsense is ignored
    bool usable = cJSON_IsNumber(frames) && frames->valuedouble >= 1 && frames->valuedouble <= 1e6;
    c->max_num_frames = usable ? (uint32_t)frames->valuedouble : 16;
    return true;
}

// Two keys of ours, M11.
static bool read_context(const struct reader *r, struct ag_model_config *c)
{
    static const char *const contexts[] = { "frames", "canvas" };
    int context = 0;
    if (!read_choice(r, "temporal_context", contexts, 2, 0, &context)) {
        return false;
    }
    c->context = context ? AG_CONTEXT_CANVAS : AG_CONTEXT_FRAMES;
    const cJSON *unit = get(r, "task_loss_unit");
    bool rmse = cJSON_IsString(unit) && strcmp(unit->valuestring, "rmse") == 0;
    c->loss_unit = rmse ? AG_LOSS_RMSE : AG_LOSS_UNKNOWN;
    if (context && (c->trunk_depth != 1 || c->trunk_time != 3)) {
        return fail(r, "UNSUPPORTED", "temporal_context is \"canvas\" with depth %u and "
                    "trunk_temporal_kernel_size %u, expected 1 and 3", c->trunk_depth,
                    c->trunk_time);
    }
    return true;
}

static bool check_size(const struct reader *r, const struct ag_model_config *c)
{
    uint64_t d = c->width, v = c->channels;
    uint64_t trunk = v * v * c->trunk_time * c->trunk_space * c->trunk_space * c->trunk_depth;
    uint64_t vision = 3 * v * c->patch * c->patch + trunk + v * d + c->tokens * d;
    uint64_t layer = d * c->head_dim * 2 * (c->heads + c->kv_heads) + 3 * d * c->mlp;
    uint64_t heads = (uint64_t)c->vocab * d * (c->round + 1);
    uint64_t total = vision + layer * c->layers + heads;
    return total <= MAX_PARAMETERS ||
           fail(r, "RANGE", "these sizes make %llu parameters, expected at most %llu",
                (unsigned long long)total, (unsigned long long)MAX_PARAMETERS);
}

bool ag_config_parse(const char *file, const char *json, struct ag_model_config *out,
                     const struct ag_log *log, struct ag_error *err)
{
    struct reader r = { .file = file, .log = log, .err = err };
    struct ag_model_config *c = out;
    *c = (struct ag_model_config){ 0 };
    cJSON *root = ag_json_parse(file, json, strlen(json), err);
    if (!root) {
        return false;
    }
    r.root = root;
    bool ok = cJSON_IsObject(root) || fail(&r, "TYPE", "the file holds %s, expected an object",
                                           ag_json_type(root));
    ok = ok && read_only(&r, "model_type", "autogaze", true) && read_scales(&r, c) &&
         read_u32(&r, "num_vision_tokens_each_frame", REQUIRED, 1, MAX_CELLS, &c->cells);
    c->eos = c->cells;
    c->vocab = c->cells + 1;
    ok = ok && read_vision(&r, c) && read_decoder(&r, c) && check_consistency(&r, c) &&
         read_defaults(&r, c) && read_context(&r, c) && check_size(&r, c);
    cJSON_Delete(root);
    return ok;
}

// `size`: a number or {"shortest_edge": n}; {"height", "width"} or a pair for an exact size.
static bool read_size(const struct reader *r, struct ag_preprocess_config *c)
{
    const cJSON *size = get(r, "size");
    bool ok;
    if (cJSON_IsNumber(size)) {
        ok = read_u32(r, "size", REQUIRED, 1, MAX_IMAGE, &c->width);
        c->height = c->width;
    } else if (cJSON_IsArray(size) && cJSON_GetArraySize(size) == 2) {
        double h = size->child->valuedouble, w = size->child->next->valuedouble;
        ok = cJSON_IsNumber(size->child) && cJSON_IsNumber(size->child->next) && h >= 1 &&
             w >= 1 && h <= MAX_IMAGE && w <= MAX_IMAGE && h == floor(h) && w == floor(w);
        if (!ok) {
            return fail(r, "RANGE", "size is a pair, expected two whole numbers from 1 to %d",
                        MAX_IMAGE);
        }
        c->height = (uint32_t)h;
        c->width = (uint32_t)w;
        c->exact_size = true;
    } else if (get(r, "size.shortest_edge")) {
        ok = read_u32(r, "size.shortest_edge", REQUIRED, 1, MAX_IMAGE, &c->width);
        c->height = c->width;
    } else if (cJSON_IsObject(size)) {
        ok = read_u32(r, "size.height", REQUIRED, 1, MAX_IMAGE, &c->height) &&
             read_u32(r, "size.width", REQUIRED, 1, MAX_IMAGE, &c->width);
        c->exact_size = true;
    } else {
        return wrong_type(r, "size", "a number, {\"shortest_edge\"}, {\"height\", \"width\"} or a "
                          "pair");
    }
    return ok;
}

static bool read_rgb(const struct reader *r, const char *path, double lo, double hi, float *out)
{
    const cJSON *list = get(r, path);
    if (!cJSON_IsArray(list) || cJSON_GetArraySize(list) != 3) {
        return wrong_type(r, path, "three numbers");
    }
    int i = 0;
    for (const cJSON *v = list->child; v; v = v->next, i++) {
        if (!cJSON_IsNumber(v) || !(v->valuedouble >= lo && v->valuedouble <= hi)) {
            char found[80];
            return fail(r, cJSON_IsNumber(v) ? "RANGE" : "TYPE",
                        "%s[%d] is %s, expected a number from %g to %g", path, i,
                        describe(v, found, sizeof(found)), lo, hi);
        }
        out[i] = (float)v->valuedouble;
    }
    return true;
}

static bool read_preprocess(const struct reader *r, struct ag_preprocess_config *c)
{
    bool resize = true, crop = false;
    uint32_t resample = 2;
    if (!read_bool(r, "do_resize", &resize) || !read_bool(r, "do_center_crop", &crop) ||
        !read_bool(r, "do_rescale", &c->rescale) || !read_bool(r, "offset", &c->offset) ||
        !read_bool(r, "do_normalize", &c->normalize) ||
        !read_u32(r, "resample", OPTIONAL, 0, UINT32_MAX, &resample) || !read_size(r, c)) {
        return false;
    }
    if (!resize || crop) {
        return fail(r, "UNSUPPORTED", "%s is %s, expected %s",
                    resize ? "do_center_crop" : "do_resize", resize ? "true" : "false",
                    resize ? "false" : "true");
    }
    if (resample != 2) {
        return fail(r, "UNSUPPORTED", "resample is %u, expected 2 (bilinear)", resample);
    }
    if (c->offset && !c->rescale) {
        return fail(r, "INCONSISTENT", "offset is true, but do_rescale is false");
    }
    return (!c->rescale ||
            read_double(r, "rescale_factor", REQUIRED, 1e-9, 1e9, &c->rescale_factor)) &&
           (!c->normalize || (read_rgb(r, "image_mean", -1e6, 1e6, c->mean) &&
                              read_rgb(r, "image_std", 1e-6, 1e6, c->std)));
}

bool ag_preprocess_config_parse(const char *file, const char *json,
                                struct ag_preprocess_config *out, struct ag_error *err)
{
    struct reader r = { .file = file, .err = err };
    *out = (struct ag_preprocess_config){
        .rescale = true, .offset = false, .normalize = true, .rescale_factor = 1.0 / 255,
        .std = { 1, 1, 1 },
    };
    cJSON *root = ag_json_parse(file, json, strlen(json), err);
    if (!root) {
        return false;
    }
    r.root = root;
    bool ok = cJSON_IsObject(root) || fail(&r, "TYPE", "the file holds %s, expected an object",
                                           ag_json_type(root));
    ok = ok && read_preprocess(&r, out);
    cJSON_Delete(root);
    return ok;
}
