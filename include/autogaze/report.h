// What is known about each frame, and what becomes of it: running statistics, the summary, the
// trace, the table at the end. Everything here is host side and late; nothing waits for the GPU.
// Thread-safety: render thread.
#ifndef AUTOGAZE_REPORT_H
#define AUTOGAZE_REPORT_H

#include "autogaze/config.h"
#include "autogaze/gpu.h"
#include "autogaze/model.h"
#include "autogaze/plan.h"
#include "autogaze/ring.h"

// One composed frame. Comes back a few frames late; pointers are valid until the next report.
struct ag_frame_report {
    uint64_t frame_id, sequence;   // sequence: 0, 1, 2, ... of composed frames
    int64_t pts_ns, capture_ns;
    uint32_t width, height;
    bool keyframe, discontinuity;
    bool warmup;                   // not part of any statistic
    const char *mask_source;       // "autogaze", "patch-diff", "forced tiny-sparse", ...
    uint64_t mask_frame_id;        // frame the mask was made from (0: none)
    int64_t mask_age_ns;           // capture time of this frame minus that of the mask's frame
    struct ag_layout layout;       // of the cells
    struct ag_plan_stats plan;
    const uint32_t *cells;         // selected cells, ascending, [n_cells]
    uint32_t n_cells;
    uint64_t cells_hash;           // FNV-1a of their bitmap: an eighth of a byte a cell of the layout
    bool repair;                   // plan.repaired cells were added to plan.chosen ones ...
    bool repair_limited;           // ... and more would have been, but for the limit
    uint32_t repaired[AG_MAX_REPAIRED]; // worst first, [plan.repaired]
    bool has_gaze;                 // the model ran for this very frame
    struct ag_gaze gaze;           // ids in selection order, losses, rounds; the sum of all tiles,
                                   // whose ids follow one another
    const struct ag_gaze *tiles;   // [n_tiles] of each, row by row (realtime: one)
    uint32_t n_tiles;              // 0: no gaze
    double gaze_ratio;             // plan.pixels / (width*height); NAN on keyframes
    bool has_psnr;
    double psnr_db;                // native; +inf only for a zero error sum
    bool has_model_psnr;
    double model_psnr_db;          // canvas against model input
    int64_t cpu_ns[AG_STAGE_COUNT], gpu_ns[AG_STAGE_COUNT];
    int64_t gpu_total_ns;          // first to last timestamp without GENERATE
    int64_t latency_ns;            // taken from the ring -> composed (GPU done)
    int64_t done_ns;               // when that was, ag_now_ns()
    int64_t accounted_ns;          // of the latency: its own stages and waits; 0: no GPU times
    uint32_t in_flight;            // frames between tick and report, this one included
    int64_t interval_ns;           // composed -> composed; 0 for the first
    uint64_t bytes_uploaded, bytes_read_back;
};

// What a video costs (design.md section 4): tokens against dense.
struct ag_cost {
    double tokens;                 // a frame
    uint32_t dense, finest;        // all cells (265), cells of the finest grid (196)
    double reduction;              // finest / tokens: factor of tokens saved
    double encoder_gflop_saved;    // a frame, ViT-B/16 as the yardstick: see ag_vit_gflop
};
// GFLOP of a ViT-B/16 (12 layers, width 768, MLP 3072) over n tokens:
// 12 * (24 n w^2 + 4 n^2 w) / 1e9 with w = 768.
double ag_vit_gflop(double tokens);
struct ag_cost ag_cost_of(double tokens, const struct ag_layout *layout);

// Running statistics over the measured frames.
struct ag_stats;
struct ag_stats_params {
    uint32_t window;               // frames behind percentiles; 0: 256
    double ema_alpha;              // 0.15
};
struct ag_stats *ag_stats_create(const struct ag_stats_params *params);
void ag_stats_destroy(struct ag_stats **s);
void ag_stats_reset(struct ag_stats *s);
void ag_stats_add(struct ag_stats *s, const struct ag_frame_report *r);

struct ag_average {                // +inf and NaN samples never enter mean or EMA
    uint64_t samples, infinite;
    double last, mean, ema, min;   // last may be +inf
};
struct ag_stats_snapshot {
    uint64_t frames, keyframes, chunk_starts;
    uint64_t repair_limited;       // frames in which the limit of repair was reached
    struct ag_average repaired;    // cells a frame, over the frames of a run with repair
    struct ag_average gaze_ratio, psnr, model_psnr, tokens, rounds, mask_age_ms;
    struct ag_timing_snapshot timing;
    struct ag_average bytes_uploaded, bytes_read_back, in_flight;
    uint32_t in_flight_max;
    struct ag_series_stats unaccounted; // 1 - accounted/latency, a frame
    struct ag_cost cost_last, cost_ema, cost_run;
    uint64_t path_counts[AG_PATH_COUNT];
    double fps;                    // frames / sum of intervals
    uint64_t gaze_hash;            // FNV-1a over number, slots and ids of every measured frame; of
                                   // those without gaze: number and cells_hash
};
void ag_stats_snapshot(struct ag_stats *s, struct ag_stats_snapshot *out);
// The last `n` frame intervals and GPU totals in milliseconds, oldest first, for the graph.
uint32_t ag_stats_history(const struct ag_stats *s, float *interval_ms, float *gpu_ms, uint32_t n);

// Facts of a run that do not change from frame to frame, or only on demand.
struct ag_run_info {
    const struct ag_config *config;
    struct ag_gpu_info gpu;
    struct ag_source_info source;
    char model[64], context[16], backend[32], precision[8], latency[8], mask_source[48];
    double threshold, quality_db;  // NAN: off / not an RMSE model
    uint32_t budget;               // slots a frame; with tiles, of each
    double repair_db;              // NAN: off
    uint32_t repair_cells;         // a frame at most
    uint32_t width, height;
    int mode;                      // enum ag_mode
    uint32_t tiles, tile_cols, tile_rows; // realtime: 1
    uint32_t tile_batch;           // tiles that the back end works on at once
    uint64_t model_bytes;          // device memory of the model and its contexts; 0: on the CPU
    uint64_t output_hash;
    uint64_t produced, dropped, duplicates; // source frames; duplicates = frames inferred twice
    uint64_t stale_results;        // late results that were rejected
    uint32_t in_flight_limit;
    bool generated;                // frames are drawn on the device: nothing crosses the bus
    bool host_mask;                // the cells are made on the host
    struct ag_gpu_counters counters;        // over the measured frames
    int64_t startup_ns;            // program start to first composed frame
    struct ag_phases startup;      // where it went
    uint64_t host_bytes;           // peak resident set: drivers and libraries included
    uint64_t host_allocations;     // calls of our allocator while measuring
    uint64_t own_bytes;            // peak of our allocator
    struct ag_plan_stats last_plan;         // of the last frame ...
    struct ag_plan_spans last_spans;        // ... with its rectangles and row spans (S5.5)
    bool complete;                 // false: interrupted
};
// Summary JSON (docs/perf-summary.md). AG_ERR_OUTPUT if it cannot be written.
bool ag_summary_write(const char *path, const struct ag_run_info *run,
                      const struct ag_stats_snapshot *stats, struct ag_error *err);
// The short table at the end of a headless run, to standard output.
void ag_summary_print(const struct ag_run_info *run, const struct ag_stats_snapshot *stats);

// Trace: a JSON object a line. Appears under its name when closed in order.
struct ag_trace;
struct ag_trace *ag_trace_open(const char *path, struct ag_error *err);
void ag_trace_add(struct ag_trace *t, const struct ag_frame_report *r);
bool ag_trace_close(struct ag_trace **t, struct ag_error *err);

// RGBA8 pictures of equal size side by side into a PNG (alpha dropped). AG_ERR_OUTPUT.
bool ag_screenshot_write(const char *path, const uint8_t *const *pictures, uint32_t n,
                         uint32_t width, uint32_t height, struct ag_error *err);

const char *ag_version(void);      // "0.1.0"
const char *ag_revision(void);     // git revision at build time, "unknown" outside of a checkout

#endif
