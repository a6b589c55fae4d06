// Planner and compositor on the bench: what `compose` and `crossover` share.
#ifndef AUTOGAZE_BENCH_COMPOSE_H
#define AUTOGAZE_BENCH_COMPOSE_H

#include "autogaze/compositor.h"

struct compose_bench;
struct compose_bench *compose_bench_open(const char *device, bool software, struct ag_error *err);
void compose_bench_close(struct compose_bench **b);
const struct ag_gpu_info *compose_bench_info(const struct compose_bench *b);

// Pictures of this size: input and old history are frames `now` and `before` of the bench pattern.
// All masks and lanes of a size share its buffers; the same size again keeps them.
bool compose_bench_size(struct compose_bench *b, uint32_t width, uint32_t height, uint32_t before,
                        uint32_t now, struct ag_error *err);

// A mask over pictures of the present size, and what the C reference makes of it.
struct compose_mask {
    struct ag_planner_setup setup;
    const uint32_t *cells; // [n], the caller's
    uint32_t n;
    struct ag_ref_plan plan;
    // What the reference composed last, in the style `style` (without its dispatch).
    struct ag_compose_style style;
    uint64_t history, panel, error;
};
void compose_mask_init(const struct compose_bench *b, struct compose_mask *m,
                       const struct ag_layout *layout, enum ag_geometry geometry,
                       const uint32_t *cells, uint32_t n);
void compose_mask_free(struct compose_mask *m);
// The mask that is composed from here on. Lanes begin from the old history again.
bool compose_bench_select(struct compose_bench *b, struct compose_mask *m, struct ag_error *err);

struct compose_lane {
    struct ag_compose_style style;
    bool panel;            // the mask panel is wanted
    uint32_t sparse_below; // for `auto`
};
struct compose_result {
    bool ok;               // history, panel and error sum are the reference's
    uint64_t history, panel; // hashes
    uint64_t error;
    uint32_t path;         // enum ag_path
    double bytes;          // that composition has to move
};
// Composes once from the old history and compares.
bool compose_bench_check(struct compose_bench *b, const struct compose_lane *lane,
                         struct compose_result *out, struct ag_error *err);

// Times of a lane, in as many parts as its measurement has.
struct compose_samples {
    struct ag_series *plan, *compose; // GPU microseconds
    double cpu_us;         // processor time of this process: of a software device all there is, and
    uint32_t frames;       // steadier than its clock on a busy machine
};
void compose_samples_init(struct compose_samples *s, uint32_t capacity);
void compose_samples_free(struct compose_samples *s);
void compose_samples_reset(struct compose_samples *s);
// Frames until the device's clocks have risen and stay: their times no longer change. Nothing on a
// software device.
bool compose_bench_settle(struct compose_bench *b, const struct compose_lane *lane,
                          struct ag_error *err);
// `n` frames more for the clock, after some to warm up.
bool compose_bench_time(struct compose_bench *b, const struct compose_lane *lane, uint32_t n,
                        struct compose_samples *s, struct ag_error *err);

// A copy on the device: microseconds. `bytes` 0: one picture of the present size.
bool compose_bench_copy(struct compose_bench *b, uint64_t bytes, uint32_t repeats,
                        struct ag_series_stats *out, struct ag_error *err);

#endif
