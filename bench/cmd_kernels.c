// autogaze-bench kernels: every model kernel against its C twin, then timed at the real size.
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bench.h"

#include "../tests/kernel_cases.h"

#define DEFAULT_REPEATS 200

static void print_row(const struct kernel_case *k, const struct kernel_result *r, bool csv)
{
    double gbs = r->us > 0 ? r->bytes * 1e-3 / r->us : 0;
    double gflops = r->us > 0 ? r->flops * 1e-3 / r->us : 0;
    if (csv) {
        printf("%s,%s,%s,%s,%.3g,%.3g,%.2f,%.0f,%.0f,%.1f,%.1f\n", r->name, k->size.name, r->shape,
               r->ok ? "ok" : "WRONG", r->error, r->bound, r->us, r->bytes, r->flops, gbs, gflops);
        return;
    }
    printf("%-22s %-6s %-28s %-5s %8.1e", r->name, k->size.name, r->shape,
           r->ok ? "ok" : "WRONG", r->error);
    if (r->us > 0) {
        printf(" %9.2f us %8.1f GB/s %9.1f GFLOP/s", r->us, gbs, gflops);
    }
    printf("%s%s\n", r->ok ? "" : "  ", r->text);
}

static int run_all(struct ag_gpu *gpu, const char *filter, uint32_t repeats, bool csv,
                   struct ag_error *err)
{
    const struct ag_gpu_info *info = ag_gpu_get_info(gpu);
    uint32_t n = 0, wrong = 0;
    printf(csv ? "# %s, %s %s%s\n"
                 "kernel,size,shape,check,error,bound,us,bytes,flops,gb_s,gflop_s\n"
               : "%s, %s %s%s\n", info->name, info->driver, info->driver_info,
           info->software ? " (SOFTWARE device: times say nothing about hardware)" : "");
    for (uint32_t i = 0; i < kernel_case_count(); i++) {
        struct kernel_case k = kernel_case_at(i);
        struct kernel_result r;
        if (filter && !strstr(gpu_kernel_info[k.op].name, filter)) {
            continue;
        }
        if (!kernel_case_run(gpu, &k, k.size.real ? repeats : 0, &r, err)) {
            return err->status;
        }
        n++;
        wrong += !r.ok;
        if (k.size.real || !r.ok || csv) {
            print_row(&k, &r, csv);
        }
    }
    printf("%s%u of %u cases right\n", csv ? "# " : "", n - wrong, n);
    return wrong || n == 0 ? AG_ERR_USAGE : AG_OK;
}

static int run(int argc, char **argv, struct ag_error *err)
{
    static const struct ag_log log = { .level = AG_LOG_WARN };
    const char *device = NULL, *repeats_text = NULL, *format = "text", *software = "refuse";
    const char *filter = NULL;
    const struct ag_bench_option options[] = {
        { "gpu", &device }, { "repeats", &repeats_text }, { "format", &format },
        { "software", &software },
    };
    if (!ag_bench_options(argc, argv, options, AG_COUNT(options), &filter, err)) {
        return err->status;
    }
    char *end = "";
    unsigned long repeats = repeats_text ? strtoul(repeats_text, &end, 10) : DEFAULT_REPEATS;
    if (*end || repeats > 100000 || (strcmp(format, "text") != 0 && strcmp(format, "csv") != 0)) {
        ag_fail(err, AG_ERR_USAGE, "kernels takes --repeats 0 to 100000 and --format text or csv");
        return err->status;
    }
    struct ag_gpu_params params = { .device = device };
    params.require_hardware = strcmp(software, "allow") != 0;
    struct ag_gpu *gpu = ag_gpu_create(&log, &params, err);
    if (!gpu) {
        return err->status;
    }
    int code = run_all(gpu, filter, (uint32_t)repeats, strcmp(format, "csv") == 0, err);
    ag_gpu_destroy(&gpu);
    return code;
}

const struct ag_bench_command ag_bench_kernels = {
    .name = "kernels",
    .usage = "[NAME] [--gpu NAME] [--repeats N] [--format text|csv] [--software allow]",
    .help = "model kernels against their C twins, then timed at the real size (NAME: only kernels "
            "whose name contains it)",
    .run = run,
};
