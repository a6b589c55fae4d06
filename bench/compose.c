#include "compose.h"

#include <math.h>
#include <string.h>
#include <time.h>

#include "autogaze/source.h"

#define MAX_CELLS 65536
#define WARM_UP_FRAMES 10
#define WARM_UP_NS 20000000 // clocks rise under load, slowly, and fall while the host is busy
#define SETTLE_NS 100000000 // times of so long are compared,
#define SETTLE_FRAMES 256
#define SETTLE_CALM 3       // of so many in a row,
#define SETTLE_MOST_NS 3000000000 // for so long at most

struct compose_bench {
    struct ag_gpu *gpu;
    struct ag_planner *planner;
    struct ag_compositor *compositor;
    struct ag_buffer *input, *history, *old, *panel, *stats, *list;
    uint32_t width, height;
    uint64_t bytes;                   // of a picture
    uint8_t *frame[2], *read;         // old history, input; scratch
    uint8_t *expected[2];             // history and panel of
    const struct compose_mask *known; // what the reference composed last; NULL: nothing
    struct compose_mask *selected;
    struct ag_mask mask;              // its list
    bool warm;                        // the device worked a moment ago
};

struct compose_bench *compose_bench_open(const char *device, bool software, struct ag_error *err)
{
    static const struct ag_log log = { .level = AG_LOG_WARN };
    struct compose_bench *b = ag_alloc(sizeof(*b));
    struct ag_gpu_params params = { .device = device, .require_hardware = !software };
    b->gpu = ag_gpu_create(&log, &params, err);
    b->planner = b->gpu ? ag_planner_create(b->gpu, err) : NULL;
    b->compositor = b->planner ? ag_compositor_create(b->gpu, err) : NULL;
    b->stats = b->compositor ? ag_buffer_create(b->gpu, AG_MEM_DEVICE, 256, "bench/stats", err)
                             : NULL;
    b->list = b->stats ? ag_buffer_create(b->gpu, AG_MEM_DEVICE, 4 * (MAX_CELLS + 1),
                                          "bench/list", err) : NULL;
    if (!b->list) {
        compose_bench_close(&b);
    }
    return b;
}

static void free_size(struct compose_bench *b)
{
    ag_buffer_destroy(b->gpu, &b->input);
    ag_buffer_destroy(b->gpu, &b->history);
    ag_buffer_destroy(b->gpu, &b->old);
    ag_buffer_destroy(b->gpu, &b->panel);
    ag_free(b->frame[0]);
    ag_free(b->frame[1]);
    ag_free(b->read);
    ag_free(b->expected[0]);
    ag_free(b->expected[1]);
    b->frame[0] = b->frame[1] = b->read = b->expected[0] = b->expected[1] = NULL;
    b->width = b->height = 0;
}

void compose_bench_close(struct compose_bench **bench)
{
    struct compose_bench *b = *bench;
    if (!b) {
        return;
    }
    if (b->gpu) {
        free_size(b);
        ag_buffer_destroy(b->gpu, &b->stats);
        ag_buffer_destroy(b->gpu, &b->list);
        ag_compositor_destroy(b->gpu, &b->compositor);
        ag_planner_destroy(b->gpu, &b->planner);
        ag_gpu_destroy(&b->gpu);
    }
    ag_free(b);
    *bench = NULL;
}

const struct ag_gpu_info *compose_bench_info(const struct compose_bench *b)
{
    return ag_gpu_get_info(b->gpu);
}

static bool make_buffers(struct compose_bench *b, uint32_t width, uint32_t height,
                         struct ag_error *err)
{
    free_size(b);
    b->bytes = 4ull * width * height;
    b->read = ag_alloc(b->bytes);
    b->frame[0] = ag_alloc(b->bytes);
    b->frame[1] = ag_alloc(b->bytes);
    b->expected[0] = ag_alloc(b->bytes);
    b->expected[1] = ag_alloc(b->bytes);
    b->input = ag_buffer_create(b->gpu, AG_MEM_DEVICE, b->bytes, "bench/input", err);
    b->history = ag_buffer_create(b->gpu, AG_MEM_DEVICE, b->bytes, "bench/history", err);
    b->old = ag_buffer_create(b->gpu, AG_MEM_DEVICE, b->bytes, "bench/old", err);
    b->panel = ag_buffer_create(b->gpu, AG_MEM_DEVICE, b->bytes, "bench/panel", err);
    if (!b->input || !b->history || !b->old || !b->panel) {
        return false;
    }
    b->width = width;
    b->height = height;
    return true;
}

bool compose_bench_size(struct compose_bench *b, uint32_t width, uint32_t height, uint32_t before,
                        uint32_t now, struct ag_error *err)
{
    if ((b->width != width || b->height != height) && !make_buffers(b, width, height, err)) {
        return false;
    }
    ag_pattern_draw(AG_PATTERN_BENCH, before, width, height, b->frame[0]);
    ag_pattern_draw(AG_PATTERN_BENCH, now, width, height, b->frame[1]);
    b->selected = NULL;
    b->warm = false;
    return ag_buffer_load(b->gpu, b->old, 0, b->frame[0], b->bytes, err) &&
           ag_buffer_load(b->gpu, b->input, 0, b->frame[1], b->bytes, err);
}

// ---- masks -------------------------------------------------------------------------------------

void compose_mask_init(const struct compose_bench *b, struct compose_mask *m,
                       const struct ag_layout *layout, enum ag_geometry geometry,
                       const uint32_t *cells, uint32_t n)
{
    *m = (struct compose_mask){
        .setup = { b->width, b->height, *layout, geometry, 1.0f }, .cells = cells, .n = n,
    };
    ag_ref_plan(&m->setup, cells, n, &m->plan);
}

void compose_mask_free(struct compose_mask *m)
{
    ag_ref_plan_free(&m->plan);
}

bool compose_bench_select(struct compose_bench *b, struct compose_mask *m, struct ag_error *err)
{
    b->selected = m;
    b->known = NULL;
    b->mask = (struct ag_mask){ .cells = b->list, .offset = 4, .count = b->list,
                                .max_cells = m->n };
    b->warm = false;
    return ag_planner_configure(b->planner, &m->setup, err) &&
           ag_buffer_load(b->gpu, b->list, 0, &m->n, 4, err) &&
           (m->n == 0 || ag_buffer_load(b->gpu, b->list, 4, m->cells, 4ull * m->n, err));
}

// The reference is slow: once for all lanes that show the same pictures.
static void make_expected(struct compose_bench *b, const struct ag_compose_style *style)
{
    struct compose_mask *m = b->selected;
    struct ag_compose_style wanted = *style;
    wanted.dispatch = AG_DISPATCH_AUTO;
    wanted.psnr = true;
    if (b->known == m && memcmp(&wanted, &m->style, sizeof(wanted)) == 0) {
        return;
    }
    b->warm = false;
    struct ag_ref_compose compose = { b->width, b->height, 1.0f, wanted, false };
    memcpy(b->expected[0], b->frame[0], b->bytes);
    m->error = ag_ref_compose(&compose, &m->plan, b->frame[1], b->expected[0], b->expected[1]);
    m->history = ag_hash(AG_HASH_SEED, b->expected[0], b->bytes);
    m->panel = ag_hash(AG_HASH_SEED, b->expected[1], b->bytes);
    m->style = wanted;
    b->known = m;
}

// The hash of what was read; hashing is slow, and mostly it is what was expected.
static uint64_t hash_of_read(const struct compose_bench *b, const uint8_t *expected, uint64_t hash)
{
    bool same = memcmp(b->read, expected, b->bytes) == 0;
    return same ? hash : ag_hash(AG_HASH_SEED, b->read, b->bytes);
}

// One frame. `first`: from the old history, and the panel is not known. `timed`: its times count.
static uint64_t compose_frame(struct compose_bench *b, const struct compose_lane *lane, bool first,
                              bool timed, struct ag_error *err)
{
    struct ag_compose_job job = {
        .input = b->input,
        .history = b->history,
        .mask = lane->panel ? b->panel : NULL,
        .mask_kept = !first,
        .stats = b->stats,
        .style = lane->style,
        .sparse_below = lane->sparse_below,
    };
    struct ag_cmd *cmd = ag_cmd_begin(b->gpu, timed, err);
    if (!cmd) {
        return 0;
    }
    if (first) {
        ag_cmd_copy(cmd, b->history, 0, b->old, 0, b->bytes);
        ag_cmd_barrier(cmd);
    }
    ag_planner_record(b->planner, cmd, &b->mask, false, &job.plan);
    ag_cmd_barrier(cmd);
    ag_compositor_record(b->compositor, cmd, &job);
    return ag_cmd_submit(cmd, err);
}

// Pixels that are read and written: the input where it is looked at, the history where the error
// wants it and where it changes, the panel where it is drawn.
static double bytes_moved(const struct compose_bench *b, const struct compose_lane *lane,
                          uint32_t path)
{
    double all = (double)b->width * b->height, updated = b->selected->plan.stats.pixels;
    bool blends = lane->style.output == AG_OUTPUT_FULL_BLEND, psnr = lane->style.psnr;
    double panel = !lane->panel ? 0 : path == AG_PATH_SPARSE ? updated : all;
    double read = psnr || blends ? all : panel > updated ? panel : updated;
    read += psnr && !blends ? all - updated : 0;
    return 4 * (read + panel + (blends ? all : updated));
}

bool compose_bench_check(struct compose_bench *b, const struct compose_lane *lane,
                         struct compose_result *out, struct ag_error *err)
{
    const struct compose_mask *m = b->selected;
    struct ag_compose_stats stats;
    *out = (struct compose_result){ 0 };
    make_expected(b, &lane->style);
    uint64_t value = compose_frame(b, lane, true, false, err);
    if (!value || !ag_gpu_wait(b->gpu, value, err) ||
        !ag_buffer_read(b->gpu, b->stats, 0, &stats, sizeof(stats), err) ||
        !ag_buffer_read(b->gpu, b->history, 0, b->read, b->bytes, err)) {
        return false;
    }
    out->history = hash_of_read(b, b->expected[0], m->history);
    out->path = stats.path;
    out->error = lane->style.psnr ? stats.error_low | (uint64_t)stats.error_high << 32 : m->error;
    out->bytes = bytes_moved(b, lane, out->path);
    if (lane->panel && !ag_buffer_read(b->gpu, b->panel, 0, b->read, b->bytes, err)) {
        return false;
    }
    out->panel = lane->panel ? hash_of_read(b, b->expected[1], m->panel) : m->panel;
    out->ok = out->history == m->history && out->panel == m->panel && out->error == m->error;
    return true;
}

// ---- times -------------------------------------------------------------------------------------

void compose_samples_init(struct compose_samples *s, uint32_t capacity)
{
    *s = (struct compose_samples){ ag_series_create(capacity), ag_series_create(capacity), 0, 0 };
}

void compose_samples_free(struct compose_samples *s)
{
    ag_series_destroy(&s->plan);
    ag_series_destroy(&s->compose);
}

void compose_samples_reset(struct compose_samples *s)
{
    ag_series_reset(s->plan);
    ag_series_reset(s->compose);
    s->cpu_us = 0;
    s->frames = 0;
}

static void take_times(struct compose_bench *b, struct compose_samples *s)
{
    struct ag_gpu_times t;
    while (ag_gpu_poll_times(b->gpu, &t)) {
        if (!t.dropped && t.frame_id) {
            ag_series_add(s->plan, (double)t.stage_ns[AG_STAGE_PLAN] * 1e-3);
            ag_series_add(s->compose, (double)t.stage_ns[AG_STAGE_COMPOSE] * 1e-3);
        }
    }
}

static double cpu_us(void)
{
    struct timespec t;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
    return (double)t.tv_sec * 1e6 + (double)t.tv_nsec * 1e-3;
}

// Frames one behind the other, as many in flight as there are command slots: a device that waits
// for the host between frames lowers its clocks. Goes on until both limits are reached. Returns
// the last one's value on the timeline.
static uint64_t run_frames(struct compose_bench *b, const struct compose_lane *lane, bool timed,
                           uint32_t n, int64_t ns, struct compose_samples *s, struct ag_error *err)
{
    uint64_t value = 0;
    int64_t start = ag_now_ns();
    for (uint32_t i = 0; i < n || ag_now_ns() - start < ns; i++) {
        value = compose_frame(b, lane, !timed && i == 0, timed, err);
        if (!value) {
            return 0;
        }
        take_times(b, s);
    }
    return value;
}

bool compose_bench_time(struct compose_bench *b, const struct compose_lane *lane, uint32_t n,
                        struct compose_samples *s, struct ag_error *err)
{
    bool software = compose_bench_info(b)->software;
    uint64_t value = software ? run_frames(b, lane, false, 2, 0, s, err)
                              : run_frames(b, lane, false, WARM_UP_FRAMES,
                                           b->warm ? 0 : WARM_UP_NS, s, err);
    // Hardware goes on at once; a software device's processor time is to be that of n frames.
    if (!value || (software && !ag_gpu_wait(b->gpu, value, err))) {
        return false;
    }
    b->warm = true;
    double start = cpu_us();
    value = run_frames(b, lane, true, n, 0, s, err);
    if (!value || !ag_gpu_wait(b->gpu, value, err)) {
        return false;
    }
    take_times(b, s);
    s->cpu_us += cpu_us() - start;
    s->frames += n;
    return true;
}

// After seconds of the host's own work the clocks of a card take some tenths of a second to rise.
bool compose_bench_settle(struct compose_bench *b, const struct compose_lane *lane,
                          struct ag_error *err)
{
    if (compose_bench_info(b)->software) {
        return true;
    }
    struct compose_samples s;
    compose_samples_init(&s, SETTLE_FRAMES);
    int64_t start = ag_now_ns();
    double best = INFINITY;
    bool ok = true;
    for (uint32_t calm = 0; calm < SETTLE_CALM && ok;) {
        int64_t now = ag_now_ns();
        uint64_t value = run_frames(b, lane, true, SETTLE_FRAMES, SETTLE_NS, &s, err);
        ok = value && ag_gpu_wait(b->gpu, value, err);
        take_times(b, &s);
        double us = ag_series_stats(s.compose).p50;
        calm = us > 0.98 * best && us < 1.02 * best ? calm + 1 : 0;
        best = AG_MIN(best, us);
        if (now - start > SETTLE_MOST_NS) {
            break;
        }
    }
    compose_samples_free(&s);
    b->warm = ok;
    return ok;
}

bool compose_bench_copy(struct compose_bench *b, uint64_t bytes, uint32_t repeats,
                        struct ag_series_stats *out, struct ag_error *err)
{
    struct ag_buffer *from = b->input, *to = b->history, *large[2] = { NULL, NULL };
    struct ag_series *series = ag_series_create(repeats);
    bool ok = true;
    if (bytes) {
        from = large[0] = ag_buffer_create(b->gpu, AG_MEM_DEVICE, bytes, "bench/from", err);
        to = large[1] = from ? ag_buffer_create(b->gpu, AG_MEM_DEVICE, bytes, "bench/to", err)
                             : NULL;
        ok = to != NULL;
    }
    for (uint32_t i = 0; i < repeats + 5 && ok; i++) {
        struct ag_cmd *cmd = ag_cmd_begin(b->gpu, i, err);
        if (cmd) {
            ag_cmd_stage_begin(cmd, AG_STAGE_EXPORT);
            ag_cmd_copy(cmd, to, 0, from, 0, bytes ? bytes : b->bytes);
            ag_cmd_stage_end(cmd);
        }
        uint64_t value = cmd ? ag_cmd_submit(cmd, err) : 0;
        ok = value && ag_gpu_wait(b->gpu, value, err);
        struct ag_gpu_times t;
        while (ok && ag_gpu_poll_times(b->gpu, &t)) {
            if (!t.dropped && t.frame_id >= 5 && t.stage_ns[AG_STAGE_EXPORT] > 0) {
                ag_series_add(series, (double)t.stage_ns[AG_STAGE_EXPORT] * 1e-3);
            }
        }
    }
    *out = ag_series_stats(series);
    ag_series_destroy(&series);
    ag_buffer_destroy(b->gpu, &large[0]);
    ag_buffer_destroy(b->gpu, &large[1]);
    return ok;
}
