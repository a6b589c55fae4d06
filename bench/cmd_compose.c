// autogaze-bench compose: mask case x path, checked against the C reference, then timed.
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "autogaze/mask_source.h"

#include "bench.h"
#include "compose.h"

#include "../tests/golden_panels.h"

#define DEFAULT_REPEATS 200
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

#define N_DISPATCHES 3
#define ROUNDS 10u // all lanes by turns: a drift of the clocks is one of all lanes
// A lane whose p95 is so many times its p50 was disturbed: it is measured again with all of its set
// (they are compared with each other), so often at most.
#define DISTURBED 1.25
#define ATTEMPTS 3u

struct row {
    bool there;                       // a lane of that path exists
    struct compose_lane lane;
    struct compose_result result;
    struct compose_samples samples;
    struct ag_series_stats plan, compose;
};
// A mask and its lanes.
struct entry {
    const char *name;
    enum ag_geometry geometry;
    uint32_t n_works;
    struct ag_forced forced;
    struct compose_mask mask;
    struct row rows[AG_COUNT(works)][N_DISPATCHES];
};
// How even the lanes of one size and one work are.
struct summary {
    uint32_t width, height;
    const struct work *work;
    uint32_t n;
    const char *name[AG_COUNT(cases)];
    double dense[AG_COUNT(cases)];    // microseconds, p50
    double to_best[AG_COUNT(cases)];  // auto against the better one of the two paths
    uint32_t low, high, worst;        // indices: of dense, of dense, of to_best
    double full, tiny;                // auto, microseconds; 0: not measured
    uint32_t attempts, disturbed;     // of the set; its lanes that were the last time
};

struct run {
    struct compose_bench *bench;
    const char *filter;
    uint32_t repeats;
    enum format format;
    double copy_gbs;        // of one picture, read and written
    uint32_t rows, wrong;   // wrong golden panels too
    uint32_t attempts, disturbed; // of the last set
    struct summary summaries[AG_COUNT(sizes) * AG_COUNT(works)];
    uint32_t n_summaries;
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

static void print_row(struct run *r, const struct entry *e, const struct work *work,
                      const struct row *row)
{
    uint32_t width = e->mask.setup.width, height = e->mask.setup.height;
    const struct compose_result *c = &row->result;
    const struct ag_series_stats *plan = &row->plan, *compose = &row->compose;
    double share = compose->p50 > 0 ? c->bytes * 1e-3 / compose->p50 / r->copy_gbs : 0;
    double cpu_us = row->samples.frames ? row->samples.cpu_us / row->samples.frames : 0;
    const char *check = c->ok ? "ok" : "WRONG", *geometry = geometries[e->geometry];
    const char *dispatch = dispatches[row->lane.style.dispatch], *path = ag_path_name(c->path);
    bool native = e->geometry == AG_GEOMETRY_NATIVE;
    char title[96];
    switch (r->format) {
    case FORMAT_TEXT:
        snprintf(title, sizeof(title), "%s %s%s%s %s", e->name, work->name, native ? "" : " ",
                 native ? "" : geometry, dispatch);
        printf("%-42s %-8s %-5s %8.2f %8.2f %8.2f %8.2f %8.2f %6.0f %8.1f\n", title, path, check,
               plan->p50, plan->p95, compose->p50, compose->p95, c->bytes * 1e-6, 100 * share,
               cpu_us);
        break;
    case FORMAT_CSV:
        printf("%u,%u,%s,%s,%s,%s,%s,%s,%.2f,%.2f,%.2f,%.2f,%.1f,%u,%.0f,%.3f,%016llx,%016llx\n",
               width, height, e->name, geometry, work->name, dispatch, path, check, plan->p50,
               plan->p95, compose->p50, compose->p95, cpu_us, compose->window, c->bytes, share,
               (unsigned long long)c->history, (unsigned long long)c->panel);
        break;
    case FORMAT_JSON:
        printf("%s\n  {\"width\": %u, \"height\": %u, \"case\": \"%s\", \"geometry\": \"%s\", "
               "\"work\": \"%s\", \"dispatch\": \"%s\", \"path\": \"%s\", \"ok\": %s, "
               "\"plan_us\": {\"p50\": %.2f, \"p95\": %.2f}, \"compose_us\": {\"p50\": %.2f, "
               "\"p95\": %.2f}, \"cpu_us\": %.1f, \"n\": %u, \"bytes\": %.0f, "
               "\"share_of_copy\": %.3f}",
               r->rows ? "," : "", width, height, e->name, geometry, work->name, dispatch, path,
               c->ok ? "true" : "false", plan->p50, plan->p95, compose->p50, compose->p95, cpu_us,
               compose->window, c->bytes, share);
        break;
    }
    fflush(stdout);
    r->rows++;
    r->wrong += !c->ok;
}

// ---- a set of masks over the same two pictures -------------------------------------------------

static bool check_entry(struct run *r, struct entry *e, struct ag_error *err)
{
    if (!ag_forced_open(e->name, &e->forced, err)) {
        return false;
    }
    compose_mask_init(r->bench, &e->mask, &e->forced.layout, e->geometry, e->forced.cells,
                      e->forced.n);
    if (!compose_bench_select(r->bench, &e->mask, err)) {
        return false;
    }
    for (uint32_t i = 0; i < e->n_works * N_DISPATCHES; i++) {
        const struct work *work = &works[i / N_DISPATCHES];
        struct row *row = &e->rows[i / N_DISPATCHES][i % N_DISPATCHES];
        row->lane = (struct compose_lane){
            .style = { .output = work->output, .blend_alpha = BLEND_ALPHA, .psnr = work->psnr,
                       .dispatch = (enum ag_dispatch)(i % N_DISPATCHES) },
            .panel = work->panel,
            .sparse_below = UINT32_MAX,
        };
        row->there = work->output != AG_OUTPUT_FULL_BLEND ||
                     row->lane.style.dispatch == AG_DISPATCH_AUTO;
        if (!row->there) {
            continue;
        }
        compose_samples_init(&row->samples, AG_MAX(r->repeats, 1u));
        if (!compose_bench_check(r->bench, &row->lane, &row->result, err)) {
            return false;
        }
    }
    return true;
}

static bool time_entry(struct run *r, struct entry *e, uint32_t frames, struct ag_error *err)
{
    if (!compose_bench_select(r->bench, &e->mask, err)) {
        return false;
    }
    for (uint32_t i = 0; i < e->n_works * N_DISPATCHES; i++) {
        struct row *row = &e->rows[i / N_DISPATCHES][i % N_DISPATCHES];
        if (row->there && row->result.ok &&
            !compose_bench_time(r->bench, &row->lane, frames, &row->samples, err)) {
            return false;
        }
    }
    return true;
}

// Every round begins with another mask, so that none always comes behind the same one.
static bool time_once(struct run *r, struct entry *entries, uint32_t n, struct ag_error *err)
{
    for (uint32_t round = 0; round < ROUNDS; round++) {
        uint32_t frames = r->repeats * (round + 1) / ROUNDS - r->repeats * round / ROUNDS;
        for (uint32_t i = 0; i < n && frames > 0; i++) {
            if (!time_entry(r, &entries[(round + i) % n], frames, err)) {
                return false;
            }
        }
    }
    return true;
}

// Of the lanes, those that were disturbed; fills in the times.
static uint32_t take_stock(struct entry *entries, uint32_t n)
{
    uint32_t disturbed = 0;
    for (uint32_t i = 0; i < n; i++) {
        for (uint32_t l = 0; l < entries[i].n_works * N_DISPATCHES; l++) {
            struct row *row = &entries[i].rows[l / N_DISPATCHES][l % N_DISPATCHES];
            if (row->there) {
                row->plan = ag_series_stats(row->samples.plan);
                row->compose = ag_series_stats(row->samples.compose);
                disturbed += row->compose.p95 > DISTURBED * row->compose.p50;
            }
        }
    }
    return disturbed;
}

static void forget_times(struct entry *entries, uint32_t n)
{
    for (uint32_t i = 0; i < n; i++) {
        for (uint32_t l = 0; l < entries[i].n_works * N_DISPATCHES; l++) {
            struct row *row = &entries[i].rows[l / N_DISPATCHES][l % N_DISPATCHES];
            if (row->there) {
                compose_samples_reset(&row->samples);
            }
        }
    }
}

static bool time_set(struct run *r, struct entry *entries, uint32_t n, struct ag_error *err)
{
    bool again = n > 0 && r->repeats > 0;
    for (r->attempts = 0; again && r->attempts < ATTEMPTS; r->attempts++) {
        forget_times(entries, n);
        if (!compose_bench_select(r->bench, &entries[0].mask, err) ||
            !compose_bench_settle(r->bench, &entries[0].rows[0][0].lane, err) ||
            !time_once(r, entries, n, err)) {
            return false;
        }
        r->disturbed = take_stock(entries, n);
        again = r->disturbed > 0 && !compose_bench_info(r->bench)->software;
    }
    return true;
}

static void print_set(struct run *r, struct entry *entries, uint32_t n)
{
    for (uint32_t i = 0; i < n; i++) {
        for (uint32_t l = 0; l < entries[i].n_works * N_DISPATCHES; l++) {
            struct row *row = &entries[i].rows[l / N_DISPATCHES][l % N_DISPATCHES];
            if (row->there) {
                print_row(r, &entries[i], &works[l / N_DISPATCHES], row);
            }
        }
    }
    if (n > 0 && r->attempts > 1 && r->format != FORMAT_JSON) {
        printf("%smeasured %u times: lanes were disturbed (p95 above %.2f of p50), %u the last "
               "time\n", r->format == FORMAT_CSV ? "# " : "", r->attempts, DISTURBED,
               r->disturbed);
    }
}

static bool run_set(struct run *r, struct entry *entries, uint32_t n, struct ag_error *err)
{
    bool ok = true;
    for (uint32_t i = 0; i < n && ok; i++) {
        ok = check_entry(r, &entries[i], err);
    }
    ok = ok && time_set(r, entries, n, err);
    if (ok) {
        print_set(r, entries, n);
    }
    return ok;
}

static void free_set(struct entry *entries, uint32_t n)
{
    for (uint32_t i = 0; i < n; i++) {
        for (uint32_t l = 0; l < entries[i].n_works * N_DISPATCHES; l++) {
            compose_samples_free(&entries[i].rows[l / N_DISPATCHES][l % N_DISPATCHES].samples);
        }
        compose_mask_free(&entries[i].mask);
        ag_forced_close(&entries[i].forced);
    }
    ag_free(entries);
}

// ---- how even they are -------------------------------------------------------------------------

static void summarise(struct run *r, const struct entry *entries, uint32_t n, uint32_t work)
{
    struct summary *s = &r->summaries[r->n_summaries++];
    *s = (struct summary){ .width = entries[0].mask.setup.width,
                           .height = entries[0].mask.setup.height, .work = &works[work],
                           .attempts = r->attempts, .disturbed = r->disturbed };
    for (uint32_t i = 0; i < n; i++) {
        const struct row *rows = entries[i].rows[work];
        double dense = rows[AG_DISPATCH_DENSE].compose.p50;
        double best = AG_MIN(dense, rows[AG_DISPATCH_SPARSE].compose.p50);
        double chosen = rows[AG_DISPATCH_AUTO].compose.p50;
        if (!(best > 0) || !(chosen > 0)) {
            continue; // wrong pictures are not timed
        }
        s->name[s->n] = entries[i].name;
        s->dense[s->n] = dense;
        s->to_best[s->n] = chosen / best;
        s->low = dense < s->dense[s->low] ? s->n : s->low;
        s->high = dense > s->dense[s->high] ? s->n : s->high;
        s->worst = s->to_best[s->n] > s->to_best[s->worst] ? s->n : s->worst;
        s->n++;
        s->full = strcmp(entries[i].name, "full-frame") == 0 ? chosen : s->full;
        s->tiny = strcmp(entries[i].name, "tiny-sparse") == 0 ? chosen : s->tiny;
    }
    r->n_summaries -= s->n == 0;
}

static void print_summary_text(const struct run *r, const struct summary *s)
{
    const char *mark = r->format == FORMAT_CSV ? "# " : "";
    printf("%s%ux%u %s: dense %.2f (%s) to %.2f (%s), max/min %.3f; auto/best at most %.3f (%s)",
           mark, s->width, s->height, s->work->name, s->dense[s->low], s->name[s->low],
           s->dense[s->high], s->name[s->high], s->dense[s->high] / s->dense[s->low],
           s->to_best[s->worst], s->name[s->worst]);
    if (s->full > 0 && s->tiny > 0) {
        printf("; full-frame minus tiny-sparse, auto: %.2f", s->full - s->tiny);
    }
    printf("\n%s   auto/best:", mark);
    for (uint32_t i = 0; i < s->n; i++) {
        printf(" %s %.3f", s->name[i], s->to_best[i]);
    }
    printf("\n");
}

static void print_map(const char *name, const struct summary *s, const double *values)
{
    printf(", \"%s\": {", name);
    for (uint32_t i = 0; i < s->n; i++) {
        printf("%s\"%s\": %.3f", i ? ", " : "", s->name[i], values[i]);
    }
    printf("}");
}

static void print_summary_json(const struct run *r)
{
    for (uint32_t i = 0; i < r->n_summaries; i++) {
        const struct summary *s = &r->summaries[i];
        printf("%s\n  {\"width\": %u, \"height\": %u, \"work\": \"%s\", "
               "\"attempts\": %u, \"disturbed_lanes\": %u, \"dense_max_to_min\": %.4f, "
               "\"auto_to_best_max\": %.4f", i ? "," : "", s->width, s->height, s->work->name,
               s->attempts, s->disturbed, s->dense[s->high] / s->dense[s->low],
               s->to_best[s->worst]);
        if (s->full > 0 && s->tiny > 0) {
            printf(", \"full_minus_tiny_us\": %.2f", s->full - s->tiny);
        }
        print_map("dense_us", s, s->dense);
        print_map("auto_to_best", s, s->to_best);
        printf("}");
    }
}

static void summarise_all(struct run *r, const struct entry *entries, uint32_t n)
{
    for (uint32_t w = 0; w < AG_COUNT(works) && r->repeats > 0; w++) {
        if (works[w].output != AG_OUTPUT_FULL_BLEND) { // which has no paths
            summarise(r, entries, n, w);
        }
    }
}

static bool run_masks(struct run *r, uint32_t width, uint32_t height, struct ag_error *err)
{
    struct entry *entries = ag_alloc(AG_COUNT(cases) * sizeof(*entries));
    uint32_t n = 0;
    for (size_t i = 0; i < AG_COUNT(cases); i++) {
        if (!r->filter || strstr(cases[i], r->filter)) {
            entries[n++] = (struct entry){ .name = cases[i], .geometry = AG_GEOMETRY_NATIVE,
                                           .n_works = AG_COUNT(works) };
        }
    }
    bool ok = compose_bench_size(r->bench, width, height, 7, 11, err) &&
              run_set(r, entries, n, err);
    if (ok && n > 0) {
        summarise_all(r, entries, n);
    }
    free_set(entries, n);
    return ok;
}

static bool run_geometries(struct run *r, uint32_t width, uint32_t height, struct ag_error *err)
{
    static const char name[] = "redundant-full-frame";
    if (r->filter && !strstr(name, r->filter)) {
        return true;
    }
    uint32_t n = AG_GEOMETRY_EFFECTIVE + 1;
    struct entry *entries = ag_alloc(n * sizeof(*entries));
    for (uint32_t g = 0; g < n; g++) {
        entries[g] = (struct entry){ .name = name, .geometry = (enum ag_geometry)g, .n_works = 1 };
    }
    bool ok = compose_bench_size(r->bench, width, height, 13, 17, err) &&
              run_set(r, entries, n, err);
    free_set(entries, n);
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
    uint32_t first = r->n_summaries;
    bool ok = run_masks(r, width, height, err) && run_geometries(r, width, height, err);
    for (uint32_t i = first; i < r->n_summaries && r->format != FORMAT_JSON; i++) {
        print_summary_text(r, &r->summaries[i]);
    }
    return ok;
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
        struct compose_mask mask = { 0 };
        if (!ag_forced_open(golden->name, &forced, err)) {
            return false;
        }
        ok = compose_bench_size(r->bench, golden->width, golden->height, 7, 11, err);
        if (ok) {
            compose_mask_init(r->bench, &mask, &forced.layout, golden->geometry, forced.cells,
                              forced.n);
            ok = compose_bench_select(r->bench, &mask, err);
        }
        for (int d = AG_DISPATCH_AUTO; d <= AG_DISPATCH_DENSE && ok; d++) {
            struct compose_lane lane = {
                .style = { .style = golden->style, .blend_alpha = BLEND_ALPHA, .psnr = true,
                           .dispatch = (enum ag_dispatch)d },
                .panel = true,
                .sparse_below = UINT32_MAX,
            };
            struct compose_result result;
            ok = compose_bench_check(r->bench, &lane, &result, err);
            right += ok && is_golden(golden, &result);
            n++;
        }
        compose_mask_free(&mask);
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
        printf("\n], \"summary\": [");
        print_summary_json(r);
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
