// autogaze-bench crossover: how much of a picture may be masked for the sparse path to pay.
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "autogaze/crossover.h"

#include "bench.h"
#include "compose.h"

#define DEFAULT_REPEATS 30
#define GRID 64 // cells an axis of rectangles and bands

static const double coverages[] = { 0.001, 0.005, 0.01, 0.02, 0.05, 0.1,  0.2,
                                    0.3,   0.4,   0.45, 0.5,  0.6,  0.8, 1.0 };
static const uint32_t sizes[][2] = { { 1280, 720 }, { 1920, 1080 } };

// Fragmentation: how the masked cells lie. `side` 0: rectangle or bands of a grid of GRID cells.
static const struct shape {
    const char *name;
    uint32_t side;
} shapes[] = {
    { "one-rect", 0 },        { "row-bands", 0 },        { "checkerboard-8", 8 },
    { "checkerboard-16", 16 }, { "checkerboard-32", 32 }, { "checkerboard-64", 64 },
};

#define MAX_ROWS (AG_COUNT(sizes) * 2 * AG_COUNT(shapes) * AG_COUNT(coverages))

// The k of n that are taken lie evenly: the i-th is one of them if the running share steps there.
static bool is_taken(uint32_t i, uint32_t k, uint32_t n)
{
    return (uint64_t)(i + 1) * k / n > (uint64_t)i * k / n;
}

static uint32_t share_of(double share, uint32_t n)
{
    uint32_t k = (uint32_t)(share * n + 0.5);
    return AG_CLAMP(k, 1u, n);
}

static uint32_t make_rect(double share, uint32_t *cells)
{
    uint32_t k = share_of(share, GRID * GRID), columns = 1, n = 0;
    while (columns * columns < k) {
        columns++;
    }
    for (uint32_t i = 0; i < k; i++) {
        cells[n++] = i / columns * GRID + i % columns;
    }
    return n;
}

static uint32_t make_bands(double share, uint32_t *cells)
{
    uint32_t k = share_of(share, GRID), n = 0;
    for (uint32_t row = 0; row < GRID; row++) {
        for (uint32_t column = 0; column < GRID && is_taken(row, k, GRID); column++) {
            cells[n++] = row * GRID + column;
        }
    }
    return n;
}

// Even fields first, then odd ones.
static uint32_t make_checkerboard(double share, uint32_t side, uint32_t *cells)
{
    uint32_t all = side * side, half = AG_DIV_UP(all, 2), k = share_of(share, all), n = 0;
    uint32_t seen[2] = { 0, 0 };
    for (uint32_t i = 0; i < all; i++) {
        uint32_t odd = (i / side + i % side) % 2, of = odd ? all - half : half;
        uint32_t wanted = odd ? k - AG_MIN(k, half) : AG_MIN(k, half);
        if (is_taken(seen[odd]++, wanted, of)) {
            cells[n++] = i;
        }
    }
    return n;
}

static uint32_t make_cells(const struct shape *shape, double share, uint32_t *cells)
{
    if (shape->side) {
        return make_checkerboard(share, shape->side, cells);
    }
    return strcmp(shape->name, "one-rect") == 0 ? make_rect(share, cells)
                                                : make_bands(share, cells);
}

#define ROUNDS 3u // both paths by turns, so that a drift of the clocks is one of both

static bool time_lanes(struct compose_bench *b, const struct compose_lane *lanes, uint32_t repeats,
                       struct compose_samples *samples, struct ag_error *err)
{
    for (uint32_t i = 0; i < 2 * ROUNDS; i++) {
        uint32_t round = i / 2, n = repeats * (round + 1) / ROUNDS - repeats * round / ROUNDS;
        if (n > 0 && !compose_bench_time(b, &lanes[i % 2], n, &samples[i % 2], err)) {
            return false;
        }
    }
    return true;
}

static struct compose_lane lane_of(bool psnr, bool dense)
{
    return (struct compose_lane){
        .style = { .blend_alpha = 0.38f, .psnr = psnr,
                   .dispatch = dense ? AG_DISPATCH_DENSE : AG_DISPATCH_SPARSE },
        .panel = true,
    };
}

static bool check_row(struct compose_bench *b, bool psnr, const struct ag_crossover_row *row,
                      struct ag_error *err)
{
    for (int dense = 0; dense < 2; dense++) {
        struct compose_lane lane = lane_of(psnr, dense);
        struct compose_result result;
        if (!compose_bench_check(b, &lane, &result, err)) {
            return false;
        }
        if (!result.ok) {
            return ag_fail(err, AG_ERR_USAGE, "%s, %.1f %%: the pictures differ from the reference",
                           row->fragmentation, 100 * row->asked);
        }
    }
    return true;
}

static bool measure_row(struct compose_bench *b, uint32_t repeats, bool psnr,
                        struct ag_crossover_row *row, struct ag_error *err)
{
    const struct compose_lane lanes[2] = { lane_of(psnr, false), lane_of(psnr, true) };
    struct compose_samples samples[2];
    compose_samples_init(&samples[0], repeats);
    compose_samples_init(&samples[1], repeats);
    bool ok = time_lanes(b, lanes, repeats, samples, err);
    struct ag_series_stats sparse = ag_series_stats(samples[0].compose);
    struct ag_series_stats dense = ag_series_stats(samples[1].compose);
    row->psnr = psnr;
    row->sparse_p50 = sparse.p50;
    row->sparse_p95 = sparse.p95;
    row->dense_p50 = dense.p50;
    row->dense_p95 = dense.p95;
    compose_samples_free(&samples[0]);
    compose_samples_free(&samples[1]);
    return ok;
}

static void print_row(const struct ag_crossover_row *r)
{
    printf("%4ux%-4u %-7s %-16s %6.1f %6.2f %8.2f %8.2f %8.2f %8.2f %6.2f%s\n", r->width,
           r->height, r->psnr ? "psnr" : "no-psnr", r->fragmentation, 100 * r->asked,
           100 * r->coverage, r->sparse_p50, r->sparse_p95, r->dense_p50, r->dense_p95,
           r->sparse_p50 / r->dense_p50, r->sparse_p50 > 1.05 * r->dense_p50 ? "  dense" : "");
    fflush(stdout);
}

// A mask of the sweep.
struct point {
    struct compose_mask mask;
    uint32_t *cells;
    struct ag_crossover_row row;
};

#define POINTS (AG_COUNT(shapes) * AG_COUNT(coverages)) // of a size

static bool make_point(struct compose_bench *b, const uint32_t *size, uint32_t i, struct point *p,
                       struct ag_error *err)
{
    const struct shape *shape = &shapes[i / AG_COUNT(coverages)];
    double share = coverages[i % AG_COUNT(coverages)];
    struct ag_layout layout;
    uint32_t side = shape->side ? shape->side : GRID;
    ag_layout_from_sides(&side, 1, &layout);
    p->cells = ag_alloc(GRID * GRID * sizeof(uint32_t));
    p->row = (struct ag_crossover_row){ .width = size[0], .height = size[1],
                                        .fragmentation = shape->name, .asked = share };
    p->row.cells = make_cells(shape, share, p->cells);
    compose_mask_init(b, &p->mask, &layout, AG_GEOMETRY_NATIVE, p->cells, p->row.cells);
    p->row.coverage = p->mask.plan.stats.pixels / ((double)size[0] * size[1]);
    return compose_bench_select(b, &p->mask, err) && check_row(b, false, &p->row, err) &&
           check_row(b, true, &p->row, err);
}

// First all are compared with the reference, which keeps the host busy and lets the device's clocks
// fall, then all are measured.
static bool sweep_points(struct compose_bench *b, const uint32_t *size, uint32_t repeats,
                         struct point *points, struct ag_crossover_row *rows, uint32_t *n,
                         struct ag_error *err)
{
    struct ag_series_stats copy;
    if (!compose_bench_size(b, size[0], size[1], 7, 11, err)) {
        return false;
    }
    for (uint32_t i = 0; i < POINTS; i++) {
        if (!make_point(b, size, i, &points[i], err)) {
            return false;
        }
    }
    struct compose_lane lane = lane_of(true, true);
    if (!compose_bench_settle(b, &lane, err) || !compose_bench_copy(b, 0, repeats, &copy, err)) {
        return false;
    }
    for (uint32_t i = 0; i < 2 * POINTS; i++) {
        struct ag_crossover_row *row = &rows[*n];
        *row = points[i / 2].row;
        row->copy_p50 = copy.p50;
        row->copy_p95 = copy.p95;
        if ((i % 2 == 0 && !compose_bench_select(b, &points[i / 2].mask, err)) ||
            !measure_row(b, repeats, i % 2, row, err)) {
            return false;
        }
        print_row(row);
        ++*n;
    }
    return true;
}

static bool sweep(struct compose_bench *b, const uint32_t *size, uint32_t repeats,
                  struct ag_crossover_row *rows, uint32_t *n, struct ag_error *err)
{
    struct point *points = ag_alloc(POINTS * sizeof(*points));
    bool ok = sweep_points(b, size, repeats, points, rows, n, err);
    for (uint32_t i = 0; i < POINTS; i++) {
        compose_mask_free(&points[i].mask);
        ag_free(points[i].cells);
    }
    ag_free(points);
    if (ok) {
        printf("%ux%u: sparse below %.1f %% with PSNR, %.1f %% without\n", size[0], size[1],
               100 * ag_crossover_of(rows, *n, size[0], size[1], true),
               100 * ag_crossover_of(rows, *n, size[0], size[1], false));
    }
    return ok;
}

static bool run_all(struct compose_bench *b, const char *path, uint32_t repeats,
                    struct ag_error *err)
{
    const struct ag_gpu_info *info = compose_bench_info(b);
    struct ag_crossover_row *rows = ag_alloc(MAX_ROWS * sizeof(*rows));
    uint32_t n = 0;
    bool ok = true;
    printf("%s, %s %s%s; composition with mask panel, GPU microseconds, %u runs\n"
           "%-9s %-7s %-16s %6s %6s %8s %8s %8s %8s %6s\n", info->name, info->driver,
           info->driver_info, info->software ? " (SOFTWARE device: not hardware numbers)" : "",
           repeats, "size", "", "fragmentation", "asked", "% is", "sparse", "p95", "dense", "p95",
           "ratio");
    for (size_t i = 0; i < AG_COUNT(sizes) && ok; i++) {
        ok = sweep(b, sizes[i], repeats, rows, &n, err);
    }
    ok = ok && ag_crossover_write(path, info, rows, n, err);
    if (ok) {
        printf("written: %s\n", path);
    }
    ag_free(rows);
    return ok;
}

static int run(int argc, char **argv, struct ag_error *err)
{
    const char *device = NULL, *text = NULL, *software = "refuse", *out = NULL, *word = NULL;
    const struct ag_bench_option options[] = {
        { "gpu", &device }, { "repeats", &text }, { "out", &out }, { "software", &software },
    };
    if (!ag_bench_options(argc, argv, options, AG_COUNT(options), &word, err)) {
        return err->status;
    }
    char *end = "", path[1100];
    unsigned long repeats = text ? strtoul(text, &end, 10) : DEFAULT_REPEATS;
    if (*end || repeats < 1 || repeats > 10000 || word) {
        ag_fail(err, AG_ERR_USAGE, "crossover takes --repeats 1 to 10000 and no other words");
        return err->status;
    }
    if (!out && !ag_cache_dir()) {
        ag_fail(err, AG_ERR_OUTPUT, "there is no cache folder without HOME: give --out FILE");
        return err->status;
    }
    snprintf(path, sizeof(path), "%s%s", out ? out : ag_cache_dir(), out ? "" : "/crossover.json");
    struct compose_bench *b = compose_bench_open(device, strcmp(software, "allow") == 0, err);
    bool ok = b && run_all(b, path, (uint32_t)repeats, err);
    compose_bench_close(&b);
    return ok ? AG_OK : (int)err->status;
}

const struct ag_bench_command ag_bench_crossover = {
    .name = "crossover",
    .usage = "[--out FILE.json] [--gpu NAME] [--repeats N] [--software allow]",
    .help = "sparse against dense composition over coverage and fragmentation; the viewer's "
            "--dispatch auto reads what it writes to the cache folder (crossover.json)",
    .run = run,
};
