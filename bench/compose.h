// Planner and compositor on the bench: what `compose` and `crossover` share.
#ifndef AUTOGAZE_BENCH_COMPOSE_H
#define AUTOGAZE_BENCH_COMPOSE_H

#include "autogaze/compositor.h"

struct compose_bench;
struct compose_bench *compose_bench_open(const char *device, bool software, struct ag_error *err);
void compose_bench_close(struct compose_bench **b);
const struct ag_gpu_info *compose_bench_info(const struct compose_bench *b);

// Pictures of this size: input and old history are frames `now` and `before` of the bench pattern.
bool compose_bench_size(struct compose_bench *b, uint32_t width, uint32_t height, uint32_t before,
                        uint32_t now, struct ag_error *err);
// The mask that is composed from here on; also what the C reference makes of it.
bool compose_bench_mask(struct compose_bench *b, const struct ag_layout *layout,
                        enum ag_geometry geometry, const uint32_t *cells, uint32_t n,
                        struct ag_error *err);
const struct ag_ref_plan *compose_bench_plan(const struct compose_bench *b);

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
    struct ag_series_stats plan, compose; // GPU microseconds
    double cpu_us;         // processor time of this process a frame: of a software device all there
                           // is, and steadier than its clock on a busy machine
};
// Composes once from the old history and compares, then `repeats` times for the clock (0: not).
bool compose_bench_lane(struct compose_bench *b, const struct compose_lane *lane, uint32_t repeats,
                        struct compose_result *out, struct ag_error *err);

// A copy on the device: microseconds. `bytes` 0: one picture of the present size.
bool compose_bench_copy(struct compose_bench *b, uint64_t bytes, uint32_t repeats,
                        struct ag_series_stats *out, struct ag_error *err);

#endif
