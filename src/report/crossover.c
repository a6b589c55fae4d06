#include "autogaze/crossover.h"

#include <stdlib.h>
#include <string.h>

#include <cjson/cJSON.h>

#define SCHEMA 1
#define MAX_BYTES (4u << 20)
#define WORSE 1.05

double ag_crossover_of(const struct ag_crossover_row *rows, uint32_t n, uint32_t width,
                       uint32_t height, bool psnr)
{
    double lowest = 1.0;
    for (uint32_t i = 0; i < n; i++) {
        const struct ag_crossover_row *r = &rows[i];
        if (r->width == width && r->height == height && r->psnr == psnr &&
            r->sparse_p50 > WORSE * r->dense_p50) {
            lowest = AG_MIN(lowest, r->coverage);
        }
    }
    return lowest;
}

// ---- writing -----------------------------------------------------------------------------------

static void add_pair(cJSON *o, const char *key, double p50, double p95)
{
    cJSON *pair = cJSON_AddObjectToObject(o, key);
    cJSON_AddNumberToObject(pair, "p50", p50);
    cJSON_AddNumberToObject(pair, "p95", p95);
}

static cJSON *make_row(const struct ag_crossover_row *r)
{
    cJSON *o = cJSON_CreateObject();
    cJSON_AddBoolToObject(o, "psnr", r->psnr);
    cJSON_AddStringToObject(o, "fragmentation", r->fragmentation);
    cJSON_AddNumberToObject(o, "asked", r->asked);
    cJSON_AddNumberToObject(o, "coverage", r->coverage);
    cJSON_AddNumberToObject(o, "cells", r->cells);
    add_pair(o, "sparse_us", r->sparse_p50, r->sparse_p95);
    add_pair(o, "dense_us", r->dense_p50, r->dense_p95);
    add_pair(o, "copy_us", r->copy_p50, r->copy_p95);
    return o;
}

static void add_size(cJSON *sizes, const struct ag_crossover_row *rows, uint32_t n, uint32_t first)
{
    uint32_t width = rows[first].width, height = rows[first].height;
    cJSON *size = cJSON_CreateObject();
    cJSON_AddItemToArray(sizes, size);
    cJSON_AddNumberToObject(size, "width", width);
    cJSON_AddNumberToObject(size, "height", height);
    cJSON *below = cJSON_AddObjectToObject(size, "sparse_below");
    cJSON_AddNumberToObject(below, "psnr", ag_crossover_of(rows, n, width, height, true));
    cJSON_AddNumberToObject(below, "no_psnr", ag_crossover_of(rows, n, width, height, false));
    cJSON *list = cJSON_AddArrayToObject(size, "rows");
    for (uint32_t i = first; i < n; i++) {
        if (rows[i].width == width && rows[i].height == height) {
            cJSON_AddItemToArray(list, make_row(&rows[i]));
        }
    }
}

static bool is_first_of_size(const struct ag_crossover_row *rows, uint32_t i)
{
    for (uint32_t k = 0; k < i; k++) {
        if (rows[k].width == rows[i].width && rows[k].height == rows[i].height) {
            return false;
        }
    }
    return true;
}

bool ag_crossover_write(const char *path, const struct ag_gpu_info *gpu,
                        const struct ag_crossover_row *rows, uint32_t n, struct ag_error *err)
{
    cJSON *root = cJSON_CreateObject();
    cJSON_AddNumberToObject(root, "schema", SCHEMA);
    cJSON_AddStringToObject(root, "device", gpu->name);
    cJSON_AddStringToObject(root, "driver", gpu->driver);
    cJSON_AddStringToObject(root, "driver_info", gpu->driver_info);
    cJSON_AddBoolToObject(root, "software", gpu->software);
    cJSON *sizes = cJSON_AddArrayToObject(root, "sizes");
    for (uint32_t i = 0; i < n; i++) {
        if (is_first_of_size(rows, i)) {
            add_size(sizes, rows, n, i);
        }
    }
    char *text = cJSON_Print(root);
    cJSON_Delete(root);
    struct ag_output *out = ag_output_open(path, err);
    if (out) {
        ag_output_printf(out, "%s\n", text);
    }
    free(text);
    return out && ag_output_commit(&out, err);
}

// ---- reading -----------------------------------------------------------------------------------

static bool is_text(const cJSON *root, const char *key, const char *expected)
{
    const char *text = cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(root, key));
    return text && strcmp(text, expected) == 0;
}

static bool get_share(const cJSON *size, const char *key, double *out)
{
    const cJSON *below = cJSON_GetObjectItemCaseSensitive(size, "sparse_below");
    const cJSON *item = cJSON_GetObjectItemCaseSensitive(below, key);
    if (!cJSON_IsNumber(item) || !(item->valuedouble >= 0 && item->valuedouble <= 1)) {
        return false;
    }
    *out = item->valuedouble;
    return true;
}

static bool is_number(const cJSON *o, const char *key, double expected)
{
    const cJSON *item = cJSON_GetObjectItemCaseSensitive(o, key);
    return cJSON_IsNumber(item) && item->valuedouble == expected;
}

static bool find_size(const cJSON *root, const char *path, const struct ag_gpu_info *gpu,
                      uint32_t width, uint32_t height, struct ag_crossover *out,
                      struct ag_error *err)
{
    if (!is_number(root, "schema", SCHEMA)) {
        return ag_fail(err, AG_ERR_INPUT, "'%s' is not a crossover file of schema %d", path,
                       SCHEMA);
    }
    if (!is_text(root, "device", gpu->name) || !is_text(root, "driver", gpu->driver) ||
        !is_text(root, "driver_info", gpu->driver_info)) {
        return ag_fail(err, AG_ERR_INPUT, "'%s' is of another device or driver than %s (%s)", path,
                       gpu->name, gpu->driver_info);
    }
    const cJSON *size = NULL;
    cJSON_ArrayForEach(size, cJSON_GetObjectItemCaseSensitive(root, "sizes")) {
        if (is_number(size, "width", width) && is_number(size, "height", height)) {
            struct ag_crossover found;
            if (!get_share(size, "psnr", &found.psnr) ||
                !get_share(size, "no_psnr", &found.no_psnr)) {
                return ag_fail(err, AG_ERR_INPUT, "'%s' has no shares from 0 to 1 for %ux%u", path,
                               width, height);
            }
            *out = found;
            return true;
        }
    }
    return ag_fail(err, AG_ERR_INPUT, "'%s' has nothing about %ux%u", path, width, height);
}

bool ag_crossover_read(const char *path, const struct ag_gpu_info *gpu, uint32_t width,
                       uint32_t height, struct ag_crossover *out, struct ag_error *err)
{
    void *data;
    size_t bytes;
    *out = (struct ag_crossover){ AG_CROSSOVER_DEFAULT, AG_CROSSOVER_DEFAULT };
    if (!ag_read_file(path, MAX_BYTES, &data, &bytes, err)) {
        return false;
    }
    cJSON *root = cJSON_ParseWithLength(data, bytes);
    bool ok = find_size(root, path, gpu, width, height, out, err);
    cJSON_Delete(root);
    ag_free(data);
    return ok;
}
