// Lanes of the bench: something recorded into a command, checked first, then timed on the GPU and
// held against the peaks of the device, which are measured in the same run.
#ifndef AUTOGAZE_BENCH_LANE_H
#define AUTOGAZE_BENCH_LANE_H

#include "autogaze/gpu.h"

#include "bench.h"

enum lane_format { LANE_TEXT, LANE_CSV, LANE_JSON };

struct lanes {
    struct ag_gpu *gpu;           // NULL: lanes without a device (lanes_open_host)
    const char *title;
    const char *filter;           // part of a lane's name; NULL: all
    uint32_t repeats;
    enum lane_format format;
    double copy_gbs, fma_gflops;  // peaks: read plus written bytes of a large copy; float32
    uint32_t rows, wrong;
};

struct lane_result {
    const char *name;
    const char *wrong;            // NULL: right; else what is wrong
    struct ag_series_stats us;    // microseconds
    double cpu_us;                // processor time of the process a repeat
    double bytes, flops;          // that must be moved and computed; 0: not counted
    uint64_t hash;                // of the result
};

// Options that all commands with lanes share: [FILTER] --gpu --repeats --format --software, and up
// to four more. Opens the device and measures its peaks. False: *err.
bool lanes_open(struct lanes *l, const char *title, int argc, char **argv,
                const struct ag_bench_option *more, size_t n_more, struct ag_error *err);
// The same without a device: --gpu and --software do not exist.
bool lanes_open_host(struct lanes *l, const char *title, int argc, char **argv,
                     const struct ag_bench_option *more, size_t n_more, struct ag_error *err);
bool lanes_wanted(const struct lanes *l, const char *name);
void lanes_print(struct lanes *l, const struct lane_result *r);
// Closes everything; the exit code: 1 where a lane was wrong or none matched.
int lanes_close(struct lanes *l, struct ag_error *err);

// Submits what `record` records, `repeats` times after a warm-up, one at a time; fills us (time of
// the stage) and cpu_us.
struct lane_timing {
    bool (*record)(void *user, struct ag_cmd *cmd, struct ag_error *err);
    void *user;
    enum ag_stage stage;
};
bool lanes_time(struct lanes *l, const struct lane_timing *t, struct lane_result *out,
                struct ag_error *err);
bool lanes_once(struct lanes *l, const struct lane_timing *t, struct ag_error *err);
double lanes_cpu_us(void);        // processor time of the process so far

#endif
