// autogaze-bench compose: mask case x path, checked against the C reference, then timed.
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "autogaze/mask_source.h"

#include "bench.h"
#include "compose.h"

#include "../tests/golden_panels.h"

#define DEFAULT_REPEATS 100
#define BLEND_ALPHA 0.38f // that of the golden panels, so that hashes can be compared with them

enum format { FORMAT_TEXT, FORMAT_CSV, FORMAT_JSON };

static const char *const cases[] = {
    "empty", "tiny-sparse", "multiscale", "coarse-dense", "checkerboard-16", "checkerboard-32",
    "dense-grid-64", "dense-grid-196", "redundant-full-frame", "all-model-tokens", "random-30%",
    "full-frame",
};
static const uint32_t sizes[][2] = { { 1280, 720 }, { 1920, 1080 } };
static const char *const dispatches[] = { "auto", "sparse", "dense" };
static const char *const geometries[] = { "deduplicated", "native", "effective" };

// What a frame has to make.
static const struct work {
    const char *name;
    enum ag_output_mode output;
    bool panel, psnr;
} works[] = {
    { "panels+psnr", AG_OUTPUT_INTERFRAME, true, true },
    { "panels", AG_OUTPUT_INTERFRAME, true, false },
    { "output", AG_OUTPUT_INTERFRAME, false, false },
    { "full-blend+psnr", AG_OUTPUT_FULL_BLEND, true, true },
};

struct run {
    struct compose_bench *bench;
    const char *filter;
    uint32_t repeats;
    enum format format;
    double copy_gbs;        // of one picture, read and written
    uint32_t rows, wrong;   // wrong golden panels too
};

static void print_head(struct run *r, uint32_t width, uint32_t height,
                       const struct ag_series_stats *copy, double large_gbs)
{
    if (r->format == FORMAT_TEXT) {
        printf("\n%ux%u; a copy of one picture: %.2f us, %.0f GB/s; of 64 MiB: %.0f GB/s\n"
               "%-42s %-8s %-5s %8s %8s %8s %8s %8s %6s %8s\n", width, height, copy->p50,
               r->copy_gbs, large_gbs, "case", "path", "check", "plan p50", "p95", "comp p50",
               "p95", "MB", "copy %", "CPU");
    } else if (r->format == FORMAT_CSV && r->rows == 0) {
        printf("width,height,case,geometry,work,dispatch,path,check,plan_p50_us,plan_p95_us,"
               "compose_p50_us,compose_p95_us,cpu_us,n,bytes,share_of_copy,history,panel\n");
    }
    if (r->format == FORMAT_CSV) {
        printf("# %ux%u: a copy of one picture %.2f us, %.0f GB/s; of 64 MiB %.0f GB/s\n", width,
               height, copy->p50, r->copy_gbs, large_gbs);
    }
}

static void print_row(struct run *r, uint32_t width, uint32_t height, const char *name,
                      enum ag_geometry geometry, const struct work *work,
                      enum ag_dispatch dispatch, const struct compose_result *c)
{
    double share = c->compose.p50 > 0 ? c->bytes * 1e-3 / c->compose.p50 / r->copy_gbs : 0;
    const char *check = c->ok ? "ok" : "WRONG";
    char title[96];
    switch (r->format) {
    case FORMAT_TEXT:
        snprintf(title, sizeof(title), "%s %s%s%s %s", name, work->name,
                 geometry == AG_GEOMETRY_NATIVE ? "" : " ",
                 geometry == AG_GEOMETRY_NATIVE ? "" : geometries[geometry], dispatches[dispatch]);
        printf("%-42s %-8s %-5s %8.2f %8.2f %8.2f %8.2f %8.2f %6.0f %8.1f\n", title,
               ag_path_name(c->path), check, c->plan.p50, c->plan.p95, c->compose.p50,
               c->compose.p95, c->bytes * 1e-6, 100 * share, c->cpu_us);
        break;
    case FORMAT_CSV:
        printf("%u,%u,%s,%s,%s,%s,%s,%s,%.2f,%.2f,%.2f,%.2f,%.1f,%u,%.0f,%.3f,%016llx,%016llx\n",
               width, height, name, geometries[geometry], work->name, dispatches[dispatch],
               ag_path_name(c->path), check, c->plan.p50, c->plan.p95, c->compose.p50,
               c->compose.p95, c->cpu_us, c->compose.window, c->bytes, share,
               (unsigned long long)c->history, (unsigned long long)c->panel);
        break;
    case FORMAT_JSON:
        printf("%s\n  {\"width\": %u, \"height\": %u, \"case\": \"%s\", \"geometry\": \"%s\", "
               "\"work\": \"%s\", \"dispatch\": \"%s\", \"path\": \"%s\", \"ok\": %s, "
               "\"plan_us\": {\"p50\": %.2f, \"p95\": %.2f}, \"compose_us\": {\"p50\": %.2f, "
               "\"p95\": %.2f}, \"cpu_us\": %.1f, \"n\": %u, \"bytes\": %.0f, "
               "\"share_of_copy\": %.3f}",
               r->rows ? "," : "", width, height, name, geometries[geometry], work->name,
               dispatches[dispatch], ag_path_name(c->path), c->ok ? "true" : "false", c->plan.p50,
               c->plan.p95, c->compose.p50, c->compose.p95, c->cpu_us, c->compose.window,
               c->bytes, share);
        break;
    }
    fflush(stdout);
    r->rows++;
    r->wrong += !c->ok;
}

static bool run_lanes(struct run *r, uint32_t width, uint32_t height, const char *name,
                      enum ag_geometry geometry, const struct work *work, struct ag_error *err)
{
    bool blends = work->output == AG_OUTPUT_FULL_BLEND;
    for (int d = AG_DISPATCH_AUTO; d <= AG_DISPATCH_DENSE; d++) {
        if (blends && d != AG_DISPATCH_AUTO) {
            continue;
        }
        struct compose_lane lane = {
            .style = { .output = work->output, .blend_alpha = BLEND_ALPHA, .psnr = work->psnr,
                       .dispatch = (enum ag_dispatch)d },
            .panel = work->panel,
            .sparse_below = UINT32_MAX,
        };
        struct compose_result result;
        if (!compose_bench_lane(r->bench, &lane, r->repeats, &result, err)) {
            return false;
        }
        print_row(r, width, height, name, geometry, work, lane.style.dispatch, &result);
    }
    return true;
}

static bool run_case(struct run *r, uint32_t width, uint32_t height, const char *name,
                     enum ag_geometry geometry, uint32_t n_works, struct ag_error *err)
{
    struct ag_forced forced;
    if (r->filter && !strstr(name, r->filter)) {
        return true;
    }
    if (!ag_forced_open(name, &forced, err)) {
        return false;
    }
    bool ok = compose_bench_mask(r->bench, &forced.layout, geometry, forced.cells, forced.n, err);
    for (uint32_t i = 0; i < n_works && ok; i++) {
        ok = run_lanes(r, width, height, name, geometry, &works[i], err);
    }
    ag_forced_close(&forced);
    return ok;
}

static bool run_size(struct run *r, uint32_t width, uint32_t height, struct ag_error *err)
{
    const uint64_t large = 64ull << 20;
    struct ag_series_stats copy, large_copy;
    if (!compose_bench_size(r->bench, width, height, 7, 11, err) ||
        !compose_bench_copy(r->bench, 0, AG_MAX(r->repeats, 1u), &copy, err) ||
        !compose_bench_copy(r->bench, large, AG_MAX(r->repeats, 1u), &large_copy, err)) {
        return false;
    }
    r->copy_gbs = copy.p50 > 0 ? 8e-3 * width * height / copy.p50 : NAN;
    print_head(r, width, height, &copy,
               large_copy.p50 > 0 ? 2e-3 * (double)large / large_copy.p50 : NAN);
    for (size_t i = 0; i < AG_COUNT(cases); i++) {
        if (!run_case(r, width, height, cases[i], AG_GEOMETRY_NATIVE, AG_COUNT(works), err)) {
            return false;
        }
    }
    if (!compose_bench_size(r->bench, width, height, 13, 17, err)) { // the geometry lane
        return false;
    }
    for (int g = 0; g <= AG_GEOMETRY_EFFECTIVE; g++) {
        if (!run_case(r, width, height, "redundant-full-frame", (enum ag_geometry)g, 1, err)) {
            return false;
        }
    }
    return true;
}

static bool is_golden(const struct golden_panel *golden, const struct compose_result *result)
{
    double db = ag_psnr_db(result->error, (uint64_t)3 * golden->width * golden->height);
    bool right = golden->psnr > 0 ? fabs(db - golden->psnr) < 6e-7 : isinf(db);
    return right && result->ok && result->panel == golden->mask &&
           result->history == golden->output;
}

// The golden panels, every one on every path.
static bool run_goldens(struct run *r, struct ag_error *err)
{
    uint32_t n = 0, right = 0;
    bool ok = true;
    for (size_t i = 0; i < AG_COUNT(golden_panels) && ok; i++) {
        const struct golden_panel *golden = &golden_panels[i];
        struct ag_forced forced;
        if (!ag_forced_open(golden->name, &forced, err)) {
            return false;
        }
        ok = compose_bench_size(r->bench, golden->width, golden->height, 7, 11, err) &&
             compose_bench_mask(r->bench, &forced.layout, golden->geometry, forced.cells,
                                forced.n, err);
        for (int d = AG_DISPATCH_AUTO; d <= AG_DISPATCH_DENSE && ok; d++) {
            struct compose_lane lane = {
                .style = { .style = golden->style, .blend_alpha = BLEND_ALPHA, .psnr = true,
                           .dispatch = (enum ag_dispatch)d },
                .panel = true,
                .sparse_below = UINT32_MAX,
            };
            struct compose_result result;
            ok = compose_bench_lane(r->bench, &lane, 0, &result, err);
            right += ok && is_golden(golden, &result);
            n++;
        }
        ag_forced_close(&forced);
    }
    if (r->format != FORMAT_JSON) {
        printf("%sgolden panels: %u of %u right\n", r->format == FORMAT_CSV ? "# " : "", right, n);
    }
    r->wrong += n - right;
    return ok;
}

static int run_all(struct run *r, struct ag_error *err)
{
    const struct ag_gpu_info *info = compose_bench_info(r->bench);
    const char *software = info->software ? " (SOFTWARE device: not hardware numbers)" : "";
    if (r->format == FORMAT_JSON) {
        printf("{\"device\": \"%s\", \"driver\": \"%s %s\", \"software\": %s, \"lanes\": [",
               info->name, info->driver, info->driver_info, info->software ? "true" : "false");
    } else {
        printf("%s%s, %s %s%s; GPU microseconds\n", r->format == FORMAT_CSV ? "# " : "",
               info->name, info->driver, info->driver_info, software);
    }
    if (!r->filter && !run_goldens(r, err)) {
        return err->status;
    }
    for (size_t i = 0; i < AG_COUNT(sizes); i++) {
        if (!run_size(r, sizes[i][0], sizes[i][1], err)) {
            return err->status;
        }
    }
    if (r->format == FORMAT_JSON) {
        printf("\n], \"wrong\": %u}\n", r->wrong);
    } else {
        printf("%s%u of %u lanes right\n", r->format == FORMAT_CSV ? "# " : "\n",
               r->rows - AG_MIN(r->wrong, r->rows), r->rows);
    }
    if (r->rows == 0) {
        ag_fail(err, AG_ERR_USAGE, "no case's name contains '%.40s'", r->filter);
    }
    return r->wrong ? AG_ERR_USAGE : err->status;
}

static int run(int argc, char **argv, struct ag_error *err)
{
    const char *device = NULL, *repeats = NULL, *format = "text", *software = "refuse";
    struct run r = { .repeats = DEFAULT_REPEATS };
    const struct ag_bench_option options[] = {
        { "gpu", &device }, { "repeats", &repeats }, { "format", &format },
        { "software", &software },
    };
    if (!ag_bench_options(argc, argv, options, AG_COUNT(options), &r.filter, err)) {
        return err->status;
    }
    static const char *const formats[] = { "text", "csv", "json" };
    int f = 0;
    while (f < 3 && strcmp(format, formats[f]) != 0) {
        f++;
    }
    char *end = "";
    unsigned long n = repeats ? strtoul(repeats, &end, 10) : DEFAULT_REPEATS;
    if (*end || n > 100000 || f == 3) {
        ag_fail(err, AG_ERR_USAGE,
                "compose takes --repeats 0 to 100000 and --format text, csv or json");
        return err->status;
    }
    r.repeats = (uint32_t)n;
    r.format = (enum format)f;
    r.bench = compose_bench_open(device, strcmp(software, "allow") == 0, err);
    int code = r.bench ? run_all(&r, err) : (int)err->status;
    compose_bench_close(&r.bench);
    return code;
}

const struct ag_bench_command ag_bench_compose = {
    .name = "compose",
    .usage = "[CASE] [--gpu NAME] [--repeats N] [--format text|csv|json] [--software allow]",
    .help = "planner and compositor: mask case x path at 720p and 1080p, checked against the C "
            "reference, then timed (CASE: only cases whose name contains it)",
    .run = run,
};
