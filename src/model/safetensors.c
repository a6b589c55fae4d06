// safetensors: u64 little-endian header length, that many bytes of JSON, then raw data. Offsets are
// relative to the byte after the header, which need not be aligned (M1.3).
#include "autogaze/model.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cjson/cJSON.h>

#include "json.h"

#define MAX_FILE ((size_t)4 << 30)
#define MAX_HEADER (100u << 20)
#define MAX_RANK AG_COUNT(((struct ag_safetensors_entry *)0)->shape)

struct ag_safetensors {
    unsigned char *bytes;
    const unsigned char *data; // first byte after the header
    size_t data_size;
    struct ag_safetensors_entry *entries; // sorted by name
    uint32_t n;
};

static const struct {
    const char *name;
    enum ag_dtype dtype;
    size_t size;
} dtypes[] = {
    { "F32", AG_F32, 4 }, { "F16", AG_F16, 2 }, { "BF16", AG_BF16, 2 },
    { "U8", AG_U8, 1 },   { "I32", AG_I32, 4 }, { "I64", AG_I64, 8 },
};

// What the functions below need to say where something is wrong.
struct place {
    const char *path;
    char tensor[96];
    struct ag_error *err;
};

static bool parse_dtype(const struct place *at, const cJSON *tensor, struct ag_safetensors_entry *e,
                        size_t *size)
{
    const cJSON *item = ag_json_get(tensor, "dtype");
    if (!cJSON_IsString(item)) {
        return ag_fail_kind(at->err, AG_ERR_INPUT, item ? "TYPE" : "MISSING",
                            "%s: tensor '%s' has no dtype string", at->path, at->tensor);
    }
    for (size_t i = 0; i < AG_COUNT(dtypes); i++) {
        if (strcmp(item->valuestring, dtypes[i].name) == 0) {
            e->dtype = dtypes[i].dtype;
            *size = dtypes[i].size;
            return true;
        }
    }
    char found[32];
    return ag_fail_kind(at->err, AG_ERR_INPUT, "DTYPE",
                        "%s: tensor '%s' has dtype '%s', expected F32, F16 or BF16", at->path,
                        at->tensor, ag_json_shown(item->valuestring, found, sizeof(found)));
}

// Non-negative whole numbers that a double holds exactly.
static bool parse_size(const cJSON *item, uint64_t *out)
{
    if (!cJSON_IsNumber(item) || !(item->valuedouble >= 0) || item->valuedouble > 0x1p53 ||
        item->valuedouble != (double)(uint64_t)item->valuedouble) {
        return false;
    }
    *out = (uint64_t)item->valuedouble;
    return true;
}

static bool parse_shape(const struct place *at, const cJSON *tensor,
                        struct ag_safetensors_entry *e)
{
    const cJSON *shape = ag_json_get(tensor, "shape");
    if (!cJSON_IsArray(shape)) {
        return ag_fail_kind(at->err, AG_ERR_INPUT, shape ? "TYPE" : "MISSING",
                            "%s: tensor '%s' has no shape array", at->path, at->tensor);
    }
    e->count = 1;
    e->rank = 0;
    for (const cJSON *d = shape->child; d; d = d->next) {
        uint64_t n = 0;
        if (!parse_size(d, &n) || n > UINT32_MAX || !ag_mul_size(e->count, n, &e->count)) {
            return ag_fail_kind(at->err, AG_ERR_INPUT, "RANGE",
                                "%s: tensor '%s' has an impossible size in its shape", at->path,
                                at->tensor);
        }
        if (e->rank == MAX_RANK) {
            return ag_fail_kind(at->err, AG_ERR_INPUT, "SHAPE",
                                "%s: tensor '%s' has more than %zu dimensions", at->path,
                                at->tensor, MAX_RANK);
        }
        e->shape[e->rank++] = (uint32_t)n;
    }
    return true;
}

static bool parse_range(const struct place *at, const cJSON *tensor, size_t data_size,
                        uint64_t range[2])
{
    const cJSON *offsets = ag_json_get(tensor, "data_offsets");
    if (!cJSON_IsArray(offsets) || cJSON_GetArraySize(offsets) != 2 ||
        !parse_size(offsets->child, &range[0]) || !parse_size(offsets->child->next, &range[1])) {
        return ag_fail_kind(at->err, AG_ERR_INPUT, offsets ? "TYPE" : "MISSING",
                            "%s: tensor '%s' has no data_offsets [begin, end]", at->path,
                            at->tensor);
    }
    if (range[0] > range[1] || range[1] > data_size) {
        return ag_fail_kind(at->err, AG_ERR_INPUT, "RANGE",
                            "%s: tensor '%s' is at bytes %llu..%llu of the data, the file holds %zu"
                            "; it is damaged or cut short, fetch it again", at->path, at->tensor,
                            (unsigned long long)range[0], (unsigned long long)range[1], data_size);
    }
    return true;
}

static bool parse_entry(struct place *at, const cJSON *tensor, const struct ag_safetensors *f,
                        struct ag_safetensors_entry *e)
{
    ag_json_shown(tensor->string, at->tensor, sizeof(at->tensor));
    if (!cJSON_IsObject(tensor)) {
        return ag_fail_kind(at->err, AG_ERR_INPUT, "TYPE",
                            "%s: header entry '%s' is %s, expected an object", at->path, at->tensor,
                            ag_json_type(tensor));
    }
    uint64_t range[2] = { 0 };
    size_t size = 0, bytes = 0;
    if (!parse_dtype(at, tensor, e, &size) || !parse_shape(at, tensor, e) ||
        !parse_range(at, tensor, f->data_size, range)) {
        return false;
    }
    if (!ag_mul_size(e->count, size, &bytes) || bytes != range[1] - range[0]) {
        return ag_fail_kind(at->err, AG_ERR_INPUT, "RANGE",
                            "%s: tensor '%s' has %llu bytes of data, its shape wants %zu elements "
                            "of %zu bytes", at->path, at->tensor,
                            (unsigned long long)(range[1] - range[0]), e->count, size);
    }
    e->bytes = bytes;
    e->data = f->data + range[0];
    e->name = ag_strdup(tensor->string);
    return true;
}

static int by_name(const void *a, const void *b)
{
    return strcmp(((const struct ag_safetensors_entry *)a)->name,
                  ((const struct ag_safetensors_entry *)b)->name);
}

static int by_address(const void *a, const void *b)
{
    const unsigned char *x = ((const struct ag_safetensors_entry *)a)->data;
    const unsigned char *y = ((const struct ag_safetensors_entry *)b)->data;
    return (x > y) - (x < y);
}

static bool check_overlap(const char *path, struct ag_safetensors *f, struct ag_error *err)
{
    qsort(f->entries, f->n, sizeof(*f->entries), by_address);
    const struct ag_safetensors_entry *last = NULL;
    const unsigned char *end = f->data;
    for (uint32_t i = 0; i < f->n; i++) {
        const struct ag_safetensors_entry *e = &f->entries[i];
        if (e->bytes == 0) {
            continue;
        }
        if ((const unsigned char *)e->data < end) {
            char a[96], b[96];
            return ag_fail_kind(err, AG_ERR_INPUT, "RANGE",
                                "%s: the data of tensors '%s' and '%s' overlap", path,
                                ag_json_shown(last->name, a, sizeof(a)),
                                ag_json_shown(e->name, b, sizeof(b)));
        }
        last = e;
        end = (const unsigned char *)e->data + e->bytes;
    }
    qsort(f->entries, f->n, sizeof(*f->entries), by_name);
    for (uint32_t i = 1; i < f->n; i++) {
        if (strcmp(f->entries[i - 1].name, f->entries[i].name) == 0) {
            char a[96];
            return ag_fail_kind(err, AG_ERR_INPUT, "INCONSISTENT", "%s: tensor '%s' appears twice",
                                path, ag_json_shown(f->entries[i].name, a, sizeof(a)));
        }
    }
    return true;
}

static bool check_metadata(const char *path, const cJSON *item, struct ag_error *err)
{
    bool ok = cJSON_IsObject(item);
    for (const cJSON *i = ok ? item->child : NULL; i; i = i->next) {
        ok &= cJSON_IsString(i);
    }
    return ok || ag_fail_kind(err, AG_ERR_INPUT, "TYPE",
                              "%s: __metadata__ is not an object of strings", path);
}

static bool parse_header(const char *path, const cJSON *header, struct ag_safetensors *f,
                         struct ag_error *err)
{
    if (!cJSON_IsObject(header)) {
        return ag_fail_kind(err, AG_ERR_INPUT, "JSON",
                            "%s: the header is not a JSON object; is it a safetensors file?", path);
    }
    f->entries = ag_alloc((size_t)cJSON_GetArraySize(header) * sizeof(*f->entries));
    struct place at = { .path = path, .err = err };
    for (const cJSON *item = header->child; item; item = item->next) {
        if (strcmp(item->string, "__metadata__") == 0) {
            if (!check_metadata(path, item, err)) {
                return false;
            }
        } else if (!parse_entry(&at, item, f, &f->entries[f->n])) {
            return false;
        } else {
            f->n++;
        }
    }
    return check_overlap(path, f, err);
}

struct ag_safetensors *ag_safetensors_open(const char *path, struct ag_error *err)
{
    void *bytes;
    size_t size;
    if (!ag_read_file(path, MAX_FILE, &bytes, &size, err)) {
        return NULL;
    }
    struct ag_safetensors *f = ag_alloc(sizeof(*f));
    cJSON *header = NULL;
    f->bytes = bytes;
    uint64_t length = 0;
    for (size_t i = 0; i < 8 && i < size; i++) {
        length |= (uint64_t)f->bytes[i] << (8 * i);
    }
    if (size < 8 || length < 2 || length > MAX_HEADER || length > size - 8) {
        ag_fail_kind(err, AG_ERR_INPUT, "RANGE",
                     "%s: header length %llu in a file of %zu bytes, expected 2 bytes to 100 MB "
                     "and inside the file; it is cut short or no safetensors file", path,
                     (unsigned long long)length, size);
        goto error;
    }
    f->data = f->bytes + 8 + length;
    f->data_size = size - 8 - length;
    header = ag_json_parse(path, (const char *)f->bytes + 8, length, err);
    if (!header || !parse_header(path, header, f, err)) {
        goto error;
    }
    cJSON_Delete(header);
    return f;
error:
    cJSON_Delete(header);
    ag_safetensors_close(&f);
    return NULL;
}

void ag_safetensors_close(struct ag_safetensors **file)
{
    struct ag_safetensors *f = *file;
    if (!f) {
        return;
    }
    for (uint32_t i = 0; i < f->n; i++) {
        ag_free((void *)f->entries[i].name);
    }
    ag_free(f->entries);
    ag_free(f->bytes);
    ag_free(f);
    *file = NULL;
}

const struct ag_safetensors_entry *ag_safetensors_find(const struct ag_safetensors *f,
                                                       const char *name)
{
    struct ag_safetensors_entry key = { .name = name };
    return f->n ? bsearch(&key, f->entries, f->n, sizeof(key), by_name) : NULL;
}

uint32_t ag_safetensors_count(const struct ag_safetensors *f)
{
    return f->n;
}

const struct ag_safetensors_entry *ag_safetensors_at(const struct ag_safetensors *f, uint32_t i)
{
    return &f->entries[i];
}

float ag_half_to_float(uint16_t h)
{
    uint32_t sign = (uint32_t)(h & 0x8000) << 16, exponent = (h >> 10) & 31, mantissa = h & 0x3ff;
    union {
        uint32_t u;
        float f;
    } v;
    if (exponent == 31) {
        v.u = sign | 0x7f800000 | mantissa << 13;
    } else if (exponent) {
        v.u = sign | (exponent + 112) << 23 | mantissa << 13;
    } else { // zero or subnormal: mantissa * 2^-24 is exact
        v.f = (float)mantissa * 0x1p-24f;
        v.u |= sign;
    }
    return v.f;
}

uint16_t ag_float_to_half(float f)
{
    union {
        float f;
        uint32_t u;
    } v = { f };
    uint32_t sign = v.u >> 16 & 0x8000, magnitude = v.u & 0x7fffffff;
    if (magnitude > 0x7f800000) {
        return (uint16_t)(sign | 0x7e00);
    }
    if (magnitude >= 0x477ff000) { // 65520 and up round to infinity
        return (uint16_t)(sign | 0x7c00);
    }
    if (magnitude < 0x38800000) { // subnormal: adding 0.5 makes the FPU round at 2^-24
        v.u = magnitude;
        v.f += 0.5f;
        return (uint16_t)(sign | (v.u - 0x3f000000));
    }
    uint32_t odd = magnitude >> 13 & 1;
    return (uint16_t)(sign | ((magnitude + 0xfff + odd - (112u << 23)) >> 13));
}
