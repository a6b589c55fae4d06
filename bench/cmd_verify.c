// autogaze-bench verify: golden vectors on the command line.
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bench.h"
#include "verify.h"

static const struct ag_verify_backend *const backends[] = { &ag_verify_cpu, &ag_verify_vulkan,
                                                         &ag_verify_vulkan_f16,
                                                         &ag_verify_vulkan_tensor };

static const struct ag_verify_backend *find_backend(const char *name, struct ag_error *err)
{
    const char *names[AG_COUNT(backends)];
    char all[128] = "";
    size_t n = 0;
    for (size_t i = 0; i < AG_COUNT(backends); i++) {
        names[i] = backends[i]->name;
        if (!name || strcmp(name, names[i]) == 0) {
            return backends[i];
        }
        n += (size_t)snprintf(all + n, sizeof(all) - n, "%s%s", i ? ", " : "", names[i]);
    }
    const char *close = ag_closest(name, names, AG_COUNT(names));
    ag_fail(err, AG_ERR_USAGE, "unknown back end '%.40s', expected %s%s%s%s", name, all,
            close ? "; did you mean '" : "", close ? close : "", close ? "'" : "");
    return NULL;
}

static bool parse_threads(const char *text, uint32_t *out, struct ag_error *err)
{
    char *end;
    unsigned long v = text ? strtoul(text, &end, 10) : 0;
    if (text && (*text < '0' || *text > '9' || *end || v > 64)) {
        return ag_fail(err, AG_ERR_USAGE, "--threads is '%.40s', expected 0 (one a core) to 64",
                       text);
    }
    *out = (uint32_t)v;
    return true;
}

static int verify_preprocess(const char *path, struct ag_error *err)
{
    struct ag_verify_report report;
    int code = AG_OK;
    if (ag_verify_preprocess(path, &report, err)) {
        printf("%s: image pipeline in plain C\n", path);
        ag_verify_print(stdout, &report, &ag_verify_f32);
        code = report.failed ? AG_ERR_USAGE : AG_OK;
    }
    ag_verify_report_free(&report);
    return code;
}

static int verify_model(const char *name, const char *vectors,
                        const struct ag_verify_backend *backend, struct ag_verify_options options,
                        struct ag_error *err)
{
    static const struct ag_log log = { .level = AG_LOG_WARN };
    options.log = &log;
    struct ag_verify_report report = { 0 };
    char dir[1024], beside[1100];
    if (!ag_model_find(name, dir, sizeof(dir), err)) {
        return err->status;
    }
    struct ag_model *model = ag_model_load(&log, dir, err);
    if (!model) {
        return err->status;
    }
    if (!vectors) {
        snprintf(beside, sizeof(beside), "%s/vectors.safetensors", dir);
        vectors = beside;
    }
    int code = AG_OK;
    if (ag_verify_model(model, vectors, backend, &options, &report, err)) {
        printf("%s: model %s (%.2f M parameters), back end %s\n", vectors, model->name,
               (double)model->parameters / 1e6, backend->name);
        ag_verify_print(stdout, &report, backend->bounds);
        code = report.failed ? AG_ERR_USAGE : AG_OK;
    }
    ag_verify_report_free(&report);
    ag_model_destroy(&model);
    return code;
}

static int run(int argc, char **argv, struct ag_error *err)
{
    const char *vectors = NULL, *name = NULL, *preprocess = NULL, *threads_text = NULL;
    const char *gpu = NULL, *dir = NULL, *decode = NULL;
    const struct ag_bench_option options[] = {
        { "vectors", &vectors }, { "backend", &name },        { "preprocess", &preprocess },
        { "gpu", &gpu },         { "threads", &threads_text }, { "decode", &decode },
    };
    struct ag_verify_options chosen = { 0 };
    const struct ag_verify_backend *backend;
    if (!ag_bench_options(argc, argv, options, AG_COUNT(options), &dir, err) ||
        !parse_threads(threads_text, &chosen.threads, err) ||
        !ag_verify_parse_decode(decode, &chosen.decode, err) ||
        !(backend = find_backend(name, err))) {
        return err->status;
    }
    if (!dir == !preprocess) {
        ag_fail(err, AG_ERR_USAGE, "verify takes either a model (folder or name) or --preprocess "
                "FILE");
        return err->status;
    }
    chosen.gpu = gpu;
    return preprocess ? verify_preprocess(preprocess, err)
                      : verify_model(dir, vectors, backend, chosen, err);
}

const struct ag_bench_command ag_bench_verify = {
    .name = "verify",
    .usage = "MODEL [--vectors FILE] [--backend B] [--threads N] [--gpu NAME]\n      "
             "[--decode auto|split|resident] | "
             "--preprocess FILE",
    .help = "golden vectors against a back end (cpu, vulkan, vulkan-f16, "
            "vulkan-tensor): errors a stage, first "
            "differing id; default file MODEL/vectors.safetensors",
    .run = run,
};
