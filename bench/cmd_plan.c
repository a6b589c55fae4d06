// autogaze-bench plan: the planner alone, list of n cells -> plan, checked against the C reference,
// then timed with frames one behind the other.
#include <stdio.h>
#include <string.h>

#include "autogaze/planner.h"

#include "lane.h"

#define WARM_UP_NS 60000000 // clocks rise under load, slowly, and fall while the reference computes

static const struct plan_layout {
    const char *name;
    uint32_t sides[AG_MAX_GRIDS];
    uint32_t tile_cols, tile_rows;
    uint32_t width, height;
    uint32_t counts[5]; // cells of a list; 0 ends them
} plan_layouts[] = {
    { "model 1080p", { 2, 4, 7, 14 }, 1, 1, 1920, 1080, { 1, 64, 265 } },
    { "64-grid 1080p", { 64 }, 1, 1, 1920, 1080, { 1, 64, 1024, 4096 } },
    { "redundant 1080p", { 2, 4, 7, 14, 28 }, 1, 1, 1920, 1080, { 1, 64, 1049 } },
    { "45 tiles 1080p", { 2, 4, 7, 14 }, 9, 5, 1920, 1080, { 1, 1024, 4096, 11925 } },
    { "180 tiles 4K", { 2, 4, 7, 14 }, 18, 10, 3840, 2160, { 1, 4096, 47700 } },
};
static const char *const geometries[] = { "deduplicated", "native", "effective" };

struct plan_bench {
    struct lanes l;
    struct ag_planner *planner;
    struct ag_buffer *list;
    struct ag_mask mask;
    struct ag_plan plan;
};

static uint64_t submit(struct plan_bench *b, struct ag_error *err)
{
    struct ag_cmd *cmd = ag_cmd_begin(b->l.gpu, 0, err);
    if (!cmd) {
        return 0;
    }
    ag_planner_record(b->planner, cmd, &b->mask, false, &b->plan);
    return ag_cmd_submit(cmd, err);
}

static bool run_plans(struct plan_bench *b, uint32_t n, int64_t ns, struct ag_series *series,
                      struct ag_error *err)
{
    struct ag_gpu_times t;
    uint64_t value = 1;
    int64_t start = ag_now_ns();
    for (uint32_t i = 0; value && (i < n || ag_now_ns() - start < ns); i++) {
        value = submit(b, err);
        while (ag_gpu_poll_times(b->l.gpu, &t)) {
            if (series && !t.dropped) {
                ag_series_add(series, (double)t.stage_ns[AG_STAGE_PLAN] * 1e-3);
            }
        }
    }
    bool ok = value && ag_gpu_wait(b->l.gpu, value, err);
    while (ag_gpu_poll_times(b->l.gpu, &t)) {
        if (series && !t.dropped) {
            ag_series_add(series, (double)t.stage_ns[AG_STAGE_PLAN] * 1e-3);
        }
    }
    return ok;
}

// Statistics and drawn cells against the reference's; the hash is of both and of the segments.
static bool check(struct plan_bench *b, const struct ag_planner_setup *setup, const uint32_t *cells,
                  uint32_t n, struct lane_result *out, struct ag_error *err)
{
    struct ag_plan_stats stats;
    struct ag_ref_plan expected;
    static uint32_t kept[AG_MAX_CELLS / 32], wanted[AG_MAX_CELLS / 32];
    uint64_t value = submit(b, err), segments_bytes = 4ull * b->plan.n_x * b->plan.n_y;
    uint32_t *segments = ag_alloc(segments_bytes);
    bool ok = value && ag_gpu_wait(b->l.gpu, value, err) &&
              ag_buffer_read(b->l.gpu, (struct ag_buffer *)b->plan.stats, 0, &stats,
                             sizeof(stats), err) &&
              ag_buffer_read(b->l.gpu, (struct ag_buffer *)b->plan.kept, 0, kept, sizeof(kept),
                             err) &&
              ag_buffer_read(b->l.gpu, (struct ag_buffer *)b->plan.segments, 0, segments,
                             segments_bytes, err);
    if (ok) {
        ag_ref_plan(setup, cells, n, &expected);
        memset(wanted, 0, sizeof(wanted));
        for (uint32_t i = 0; i < expected.n; i++) {
            wanted[expected.cells[i] / 32] |= 1u << expected.cells[i] % 32;
        }
        out->wrong = memcmp(&stats, &expected.stats, sizeof(stats)) != 0 ? "statistics"
                     : memcmp(kept, wanted, sizeof(kept)) != 0           ? "drawn cells"
                                                                         : NULL;
        out->hash = ag_hash(AG_HASH_SEED, &stats, sizeof(stats));
        out->hash = ag_hash(out->hash, kept, sizeof(kept));
        out->hash = ag_hash(out->hash, segments, segments_bytes);
        out->bytes = (double)segments_bytes + 4.0 * n + 2 * sizeof(kept);
        ag_ref_plan_free(&expected);
    }
    ag_free(segments);
    return ok;
}

static bool run_lane(struct plan_bench *b, const struct ag_planner_setup *setup,
                     const struct plan_layout *layout, uint32_t n, struct ag_error *err)
{
    char name[96];
    snprintf(name, sizeof(name), "%s, %u cells, %s", layout->name, n, geometries[setup->geometry]);
    if (!lanes_wanted(&b->l, name)) {
        return true;
    }
    struct lane_result r = { .name = name };
    uint32_t *cells = ag_alloc(n * sizeof(*cells));
    for (uint32_t i = 0; i < n; i++) { // all over the grids, ascending as the forced masks are
        cells[i] = (uint32_t)((uint64_t)i * setup->layout.cells / n);
    }
    b->mask.max_cells = n;
    bool ok = ag_buffer_load(b->l.gpu, b->list, 0, &n, 4, err) &&
              ag_buffer_load(b->l.gpu, b->list, 4, cells, 4ull * n, err) &&
              ag_planner_configure(b->planner, setup, err) && check(b, setup, cells, n, &r, err);
    ag_free(cells);
    if (!ok) {
        return false;
    }
    bool software = ag_gpu_get_info(b->l.gpu)->software;
    struct ag_series *series = ag_series_create(b->l.repeats);
    ok = run_plans(b, 2, software ? 0 : WARM_UP_NS, NULL, err);
    double cpu = lanes_cpu_us();
    ok = ok && run_plans(b, b->l.repeats, 0, series, err);
    r.cpu_us = (lanes_cpu_us() - cpu) / b->l.repeats;
    r.us = ag_series_stats(series);
    ag_series_destroy(&series);
    if (ok) {
        lanes_print(&b->l, &r);
    }
    return ok;
}

static bool run_layout(struct plan_bench *b, const struct plan_layout *layout, struct ag_error *err)
{
    struct ag_planner_setup setup = { .width = layout->width, .height = layout->height,
                                      .cell_scale = 1.0f };
    for (uint32_t g = 0; g < AG_MAX_GRIDS && layout->sides[g]; g++) {
        struct ag_grid grid = { layout->sides[g] * layout->tile_cols,
                                layout->sides[g] * layout->tile_rows, setup.layout.cells,
                                AG_MIN(g, 3u) };
        setup.layout.grid[setup.layout.n_grids++] = grid;
        setup.layout.cells += grid.cols * grid.rows;
    }
    for (int g = 0; g <= AG_GEOMETRY_EFFECTIVE; g++) {
        setup.geometry = (enum ag_geometry)g;
        for (size_t i = 0; i < AG_COUNT(layout->counts) && layout->counts[i]; i++) {
            if (!run_lane(b, &setup, layout, layout->counts[i], err)) {
                return false;
            }
        }
    }
    return true;
}

static int run(int argc, char **argv, struct ag_error *err)
{
    struct plan_bench b = { 0 };
    const char *text = NULL, *place = "device";
    const struct ag_bench_option options[] = { { "shape", &text }, { "list", &place } };
    bool ok = lanes_open(&b.l, "planner", argc, argv, options, 2, err);
    const struct {
        const char *name;
        enum ag_memory memory;
    } places[] = { { "device", AG_MEM_DEVICE }, { "mapped", AG_MEM_MAPPED },
                   { "host", AG_MEM_UPLOAD } };
    size_t at = 0;
    while (at < AG_COUNT(places) && strcmp(place, places[at].name) != 0) {
        at++;
    }
    if (ok && at == AG_COUNT(places)) {
        ok = ag_fail(err, AG_ERR_USAGE, "--list is device, mapped or host, not '%.40s'", place);
    }
    struct ag_planner_shape s;
    if (ok && text && sscanf(text, "%u,%u,%u,%u,%u,%u,%u,%u", &s.group_x, &s.group_y, &s.tile_x,
                             &s.tile_y, &s.shares, &s.max_groups, &s.max_tiles,
                             &s.own_words) != 8) {
        ok = ag_fail(err, AG_ERR_USAGE, "--shape is GROUP_X,GROUP_Y,TILE_X,TILE_Y,SHARES,"
                     "MAX_GROUPS,MAX_TILES,OWN_WORDS, not '%.40s'", text);
    }
    if (ok) {
        b.planner = text ? ag_planner_create_shaped(b.l.gpu, &s, err)
                         : ag_planner_create(b.l.gpu, err);
        b.list = b.planner ? ag_buffer_create(b.l.gpu, places[at].memory,
                                              4 * (AG_MAX_CELLS + 1), "bench/list", err) : NULL;
        b.mask = (struct ag_mask){ .cells = b.list, .offset = 4, .count = b.list };
        ok = b.list != NULL;
    }
    for (size_t i = 0; i < AG_COUNT(plan_layouts) && ok; i++) {
        ok = run_layout(&b, &plan_layouts[i], err);
    }
    if (b.l.gpu) {
        ag_buffer_destroy(b.l.gpu, &b.list);
        ag_planner_destroy(b.l.gpu, &b.planner);
    }
    return lanes_close(&b.l, err);
}

const struct ag_bench_command ag_bench_plan = {
    .name = "plan",
    .usage = "[NAME] [--gpu NAME] [--repeats N] [--format text|csv|json] [--software allow] "
             "[--list device|mapped|host] "
             "[--shape GROUP_X,GROUP_Y,TILE_X,TILE_Y,SHARES,MAX_GROUPS,MAX_TILES,OWN_WORDS]",
    .help = "list of cells -> plan, for 1 to 47700 cells, checked against the C reference, then "
            "timed",
    .run = run,
};
