#include "lane.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

AG_SHADERS(bench);

#define DEFAULT_REPEATS 100
#define WARM_UP_NS 250000000 // clocks rise under load, slowly
#define PEAK_REPEATS 10

double lanes_cpu_us(void)
{
    struct rusage u;
    getrusage(RUSAGE_SELF, &u);
    return (double)(u.ru_utime.tv_sec + u.ru_stime.tv_sec) * 1e6 +
           (double)(u.ru_utime.tv_usec + u.ru_stime.tv_usec);
}

// ---- timing ----------------------------------------------------------------------------------

static bool submit(struct lanes *l, const struct lane_timing *t, struct ag_error *err)
{
    struct ag_cmd *cmd = ag_cmd_begin(l->gpu, 1, err);
    bool ok = cmd && t->record(t->user, cmd, err);
    uint64_t value = cmd ? ag_cmd_submit(cmd, err) : 0;
    return ok && value && ag_gpu_wait(l->gpu, value, err);
}

bool lanes_once(struct lanes *l, const struct lane_timing *t, struct ag_error *err)
{
    struct ag_gpu_times times;
    bool ok = submit(l, t, err);
    while (ag_gpu_poll_times(l->gpu, &times)) {
    }
    return ok;
}

bool lanes_time(struct lanes *l, const struct lane_timing *t, struct lane_result *out,
                struct ag_error *err)
{
    struct ag_series *series = ag_series_create(l->repeats);
    struct ag_gpu_times times;
    int64_t start = ag_now_ns();
    bool ok = true;
    while (ok && ag_now_ns() - start < WARM_UP_NS) {
        ok = lanes_once(l, t, err);
    }
    double cpu = lanes_cpu_us();
    for (uint32_t i = 0; i < l->repeats && ok; i++) {
        ok = submit(l, t, err);
        while (ag_gpu_poll_times(l->gpu, &times)) {
            if (!times.dropped) {
                ag_series_add(series, (double)times.stage_ns[t->stage] * 1e-3);
            }
        }
    }
    out->cpu_us = (lanes_cpu_us() - cpu) / l->repeats;
    out->us = ag_series_stats(series);
    ag_series_destroy(&series);
    return ok;
}

// ---- peaks -----------------------------------------------------------------------------------

struct peak {
    struct ag_buffer *from, *to;
    struct ag_kernel *fma;
    uint32_t groups;
};

static bool record_copy(void *user, struct ag_cmd *cmd, struct ag_error *err)
{
    (void)err;
    struct peak *p = user;
    ag_cmd_stage_begin(cmd, AG_STAGE_UPLOAD);
    ag_cmd_copy(cmd, p->to, 0, p->from, 0, p->from->size);
    ag_cmd_barrier(cmd);
    ag_cmd_stage_end(cmd);
    return true;
}

static bool record_fma(void *user, struct ag_cmd *cmd, struct ag_error *err)
{
    (void)err;
    struct peak *p = user;
    ag_cmd_stage_begin(cmd, AG_STAGE_VISION);
    ag_dispatch(cmd, p->fma, AG_BIND({ p->to }), NULL, 0, p->groups, 1, 1);
    ag_cmd_barrier(cmd);
    ag_cmd_stage_end(cmd);
    return true;
}

#define FMA_GROUP 256u
#define FMA_ROUNDS 1024u

static bool measure_peaks(struct lanes *l, struct ag_error *err)
{
    const struct ag_gpu_info *info = ag_gpu_get_info(l->gpu);
    uint32_t repeats = l->repeats;
    uint64_t bytes = AG_MIN(info->software ? 32ull << 20 : 256ull << 20, info->max_buffer_bytes);
    struct peak p = { .groups = info->software ? 16 : 8192 };
    struct lane_result r = { 0 };
    struct ag_kernel_params fma = { &ag_shaders_bench, "fma", AG_CONSTANTS(FMA_GROUP, FMA_ROUNDS) };
    p.from = ag_buffer_create(l->gpu, AG_MEM_DEVICE, bytes, "bench/from", err);
    p.to = ag_buffer_create(l->gpu, AG_MEM_DEVICE, bytes, "bench/to", err);
    p.fma = ag_kernel_create(l->gpu, &fma, err);
    l->repeats = PEAK_REPEATS;
    bool ok = p.from && p.to && p.fma &&
              lanes_time(l, &(struct lane_timing){ record_copy, &p, AG_STAGE_UPLOAD }, &r, err);
    l->copy_gbs = ok && r.us.p50 > 0 ? 2e-3 * (double)bytes / r.us.p50 : 0;
    ok = ok && lanes_time(l, &(struct lane_timing){ record_fma, &p, AG_STAGE_VISION }, &r, err);
    double flops = 16.0 * FMA_ROUNDS * FMA_GROUP * p.groups; // 8 chains, 2 FLOP
    l->fma_gflops = ok && r.us.p50 > 0 ? flops * 1e-3 / r.us.p50 : 0;
    l->repeats = repeats;
    ag_kernel_destroy(l->gpu, &p.fma);
    ag_buffer_destroy(l->gpu, &p.from);
    ag_buffer_destroy(l->gpu, &p.to);
    return ok;
}

// ---- opening, printing -----------------------------------------------------------------------

static bool parse(struct lanes *l, int argc, char **argv, struct ag_bench_option *options, size_t n,
                  const char **repeats, const char **format, struct ag_error *err)
{
    static const char *const formats[] = { "text", "csv", "json" };
    char *end = "";
    if (!ag_bench_options(argc, argv, options, n, &l->filter, err)) {
        return false;
    }
    unsigned long count = *repeats ? strtoul(*repeats, &end, 10) : DEFAULT_REPEATS;
    size_t f = 0;
    while (f < AG_COUNT(formats) && strcmp(*format, formats[f]) != 0) {
        f++;
    }
    if (*end || count < 1 || count > 100000 || f == AG_COUNT(formats)) {
        return ag_fail(err, AG_ERR_USAGE, "%s takes --repeats 1 to 100000 and --format text, csv "
                       "or json", argv[0]);
    }
    l->repeats = (uint32_t)count;
    l->format = (enum lane_format)f;
    return true;
}

static void print_head(struct lanes *l, const char *device, const char *note)
{
    if (l->format == LANE_JSON) {
        printf("{\"title\": \"%s\", \"device\": \"%s\", \"note\": \"%s\", \"copy_gb_s\": %.1f, "
               "\"fma_gflop_s\": %.1f, \"lanes\": [", l->title, device, note, l->copy_gbs,
               l->fma_gflops);
        return;
    }
    const char *mark = l->format == LANE_CSV ? "# " : "";
    printf("%s%s; %s%s%s\n", mark, l->title, device, note[0] ? ", " : "", note);
    if (l->gpu) {
        printf("%smeasured peaks: a copy %.1f GB/s (read plus written), float32 %.1f GFLOP/s\n",
               mark, l->copy_gbs, l->fma_gflops);
    }
    if (l->format == LANE_CSV) {
        printf("lane,check,p50_us,p95_us,p99_us,max_us,cpu_us,n,bytes,flops,share_of_copy,"
               "share_of_fma,hash\n");
    } else {
        printf("%-44s %-5s %10s %10s %10s %10s %9s %7s %7s  %s\n", "lane", "check", "p50 us",
               "p95 us", "p99 us", "CPU us", "MB", "copy %", "FMA %", "hash");
    }
}

bool lanes_open_host(struct lanes *l, const char *title, int argc, char **argv,
                     const struct ag_bench_option *more, size_t n_more, struct ag_error *err)
{
    *l = (struct lanes){ .title = title };
    const char *repeats = NULL, *format = "text";
    struct ag_bench_option options[8] = { { "repeats", &repeats }, { "format", &format } };
    for (size_t i = 0; i < n_more; i++) {
        options[2 + i] = more[i];
    }
    if (!parse(l, argc, argv, options, 2 + n_more, &repeats, &format, err)) {
        return false;
    }
    char cpu[128] = "unknown CPU", line[512];
    FILE *info = fopen("/proc/cpuinfo", "r");
    while (info && fgets(line, sizeof(line), info)) {
        if (sscanf(line, "model name : %127[^\n]", cpu) == 1) {
            break;
        }
    }
    if (info) {
        fclose(info);
    }
    print_head(l, cpu, "times of the host's clock");
    return true;
}

bool lanes_open(struct lanes *l, const char *title, int argc, char **argv,
                const struct ag_bench_option *more, size_t n_more, struct ag_error *err)
{
    static const struct ag_log log = { .level = AG_LOG_WARN };
    *l = (struct lanes){ .title = title };
    const char *repeats = NULL, *format = "text", *device = NULL, *software = "refuse";
    struct ag_bench_option options[8] = {
        { "repeats", &repeats }, { "format", &format },
        { "gpu", &device },      { "software", &software },
    };
    for (size_t i = 0; i < n_more; i++) {
        options[4 + i] = more[i];
    }
    if (!parse(l, argc, argv, options, 4 + n_more, &repeats, &format, err)) {
        return false;
    }
    struct ag_gpu_params params = { .device = device };
    params.require_hardware = strcmp(software, "allow") != 0;
    l->gpu = ag_gpu_create(&log, &params, err);
    if (!l->gpu || !measure_peaks(l, err)) {
        return false;
    }
    const struct ag_gpu_info *info = ag_gpu_get_info(l->gpu);
    char name[800];
    snprintf(name, sizeof(name), "%s, %s %s", info->name, info->driver, info->driver_info);
    print_head(l, name, info->software ? "SOFTWARE device: not hardware numbers" : "");
    return true;
}

bool lanes_wanted(const struct lanes *l, const char *name)
{
    return !l->filter || strstr(name, l->filter);
}

void lanes_print(struct lanes *l, const struct lane_result *r)
{
    double seconds = r->us.p50 * 1e-6;
    double copy = seconds > 0 && l->copy_gbs > 0 ? r->bytes * 1e-9 / seconds / l->copy_gbs : 0;
    double fma = seconds > 0 && l->fma_gflops > 0 ? r->flops * 1e-9 / seconds / l->fma_gflops : 0;
    unsigned long long hash = r->hash;
    const char *check = r->wrong ? "WRONG" : "ok";
    switch (l->format) {
    case LANE_TEXT:
        printf("%-44s %-5s %10.1f %10.1f %10.1f %10.1f %9.2f %7.1f %7.1f  %016llx%s%s\n", r->name,
               check, r->us.p50, r->us.p95, r->us.p99, r->cpu_us, r->bytes * 1e-6, 100 * copy,
               100 * fma, hash, r->wrong ? "  " : "", r->wrong ? r->wrong : "");
        break;
    case LANE_CSV:
        printf("%s,%s,%.2f,%.2f,%.2f,%.2f,%.1f,%u,%.0f,%.0f,%.4f,%.4f,%016llx\n", r->name, check,
               r->us.p50, r->us.p95, r->us.p99, r->us.max, r->cpu_us, r->us.window, r->bytes,
               r->flops, copy, fma, hash);
        break;
    case LANE_JSON:
        printf("%s\n  {\"lane\": \"%s\", \"ok\": %s, \"us\": {\"p50\": %.2f, \"p95\": %.2f, "
               "\"p99\": %.2f, \"max\": %.2f, \"n\": %u}, \"cpu_us\": %.1f, \"bytes\": %.0f, "
               "\"flops\": %.0f, \"share_of_copy\": %.4f, \"share_of_fma\": %.4f, "
               "\"hash\": \"%016llx\"}", l->rows ? "," : "", r->name, r->wrong ? "false" : "true",
               r->us.p50, r->us.p95, r->us.p99, r->us.max, r->us.window, r->cpu_us, r->bytes,
               r->flops, copy, fma, hash);
        break;
    }
    fflush(stdout);
    l->rows++;
    l->wrong += r->wrong != NULL;
}

int lanes_close(struct lanes *l, struct ag_error *err)
{
    if (l->gpu) {
        ag_gpu_destroy(&l->gpu);
    }
    if (err->status) {
        return err->status;
    }
    if (l->format == LANE_JSON) {
        printf("\n], \"wrong\": %u}\n", l->wrong);
    } else {
        printf("%s%u of %u lanes right\n", l->format == LANE_CSV ? "# " : "", l->rows - l->wrong,
               l->rows);
    }
    if (l->rows == 0) {
        ag_fail(err, AG_ERR_USAGE, "no lane's name contains '%.40s'", l->filter ? l->filter : "");
    }
    return l->wrong || l->rows == 0 ? AG_ERR_USAGE : AG_OK;
}
