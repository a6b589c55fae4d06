// Where the time of a frame goes: the stage list, statistics over a window, snapshots.
// No Vulkan inside: gpu.h hands durations in; HUD, summary and tests read snapshots alike.
// GPU time, CPU time and end-to-end latency are different columns and are never added together.
// Thread-safety: one thread (the render thread) owns a struct ag_timing.
#ifndef AUTOGAZE_TIMING_H
#define AUTOGAZE_TIMING_H

#include "autogaze/base.h"

// Start-up, phase by phase. Phases follow one another: each lasts from the mark before to its own.
#define AG_MAX_PHASES 16
struct ag_phases {
    int64_t last_ns; // of the mark before: ag_now_ns() at the start
    uint32_t n;
    struct ag_phase {
        const char *name; // static
        int64_t ns;
    } phase[AG_MAX_PHASES];
};
void ag_phase_mark(struct ag_phases *phases, const char *name); // later ones are left out

// One line a stage, in data order: enum name, name in tables and JSON, what it is.
// `generate` is the making of a synthetic frame: shown, but not part of a frame's cost.
#define AG_STAGES(X)                                                                               \
    X(SOURCE, "source", "decode or capture on the source thread")                                  \
    X(RING, "ring", "wait for a frame")                                                            \
    X(GENERATE, "generate", "synthetic frame (not charged)")                                       \
    X(UPLOAD, "upload", "planes to the device")                                                    \
    X(COLOR, "color", "planes to RGB, source resize")                                              \
    X(RESIZE, "resize", "RGB to the model input")                                                  \
    X(DIFF, "diff", "patch-diff and canvas-diff scores")                                           \
    X(VISION, "vision", "patch convolution to vision tokens")                                      \
    X(PREFILL, "prefill", "decoder over vision tokens, first selection")                           \
    X(DECODE, "decode", "further decode rounds and selections")                                    \
    X(HANDOFF, "handoff", "model input to the CPU back end and ids back: waits and copies")        \
    X(PLAN, "plan", "cells to update plan")                                                        \
    X(COMPOSE, "compose", "mask panel, history, error sums")                                       \
    X(PAINT, "paint", "model canvas and its error")                                                \
    X(HUD, "hud", "HUD")                                                                           \
    X(PRESENT, "present", "acquire, draw panels, present")                                         \
    X(EXPORT, "export", "copies for recordings and screenshots")                                   \
    X(RESULTS, "results", "statistics on their way to the host")                                   \
    X(QUEUE, "queue", "submitted, behind the frame before")                                        \
    X(WAIT, "wait", "host waits for a frame slot")                                                 \
    X(RECORD, "record", "recording and submission on the host")

enum ag_stage {
#define X(name, text, help) AG_STAGE_##name,
    AG_STAGES(X)
#undef X
    AG_STAGE_COUNT
};

const char *ag_stage_name(enum ag_stage stage); // "resize"
const char *ag_stage_help(enum ag_stage stage);

enum ag_clock { AG_CLOCK_CPU, AG_CLOCK_GPU, AG_CLOCK_COUNT };

// Statistics of a stream of samples: the window is the last `capacity` samples, mean and max are
// over all since reset. Percentile p = element round((n-1)*p) of the sorted window.
struct ag_series;
struct ag_series *ag_series_create(uint32_t capacity);
void ag_series_destroy(struct ag_series **s);
void ag_series_add(struct ag_series *s, double value);
void ag_series_reset(struct ag_series *s);
struct ag_series_stats {
    uint64_t samples; // since reset
    uint32_t window;  // samples behind the percentiles
    double last, mean, min, max, p50, p95, p99;
};
// Sorts a scratch copy that the series owns (no allocation).
struct ag_series_stats ag_series_stats(struct ag_series *s);

// All stages of a run. NULL is legal everywhere and records nothing.
struct ag_timing;
struct ag_timing_params {
    uint32_t window; // samples kept a stage; 0: 256 (a capture asks for its number of frames)
};
struct ag_timing *ag_timing_create(const struct ag_timing_params *params);
void ag_timing_destroy(struct ag_timing **t);
void ag_timing_reset(struct ag_timing *t); // after warm-up
// One sample: nanoseconds that one frame spent in a stage on a clock.
void ag_timing_add(struct ag_timing *t, enum ag_stage stage, enum ag_clock clock, int64_t ns);
// Per-frame totals: latency (capture to composed), interval (composed to composed), gpu (first to
// last timestamp of the frame, without `generate`).
enum ag_total { AG_TOTAL_LATENCY, AG_TOTAL_INTERVAL, AG_TOTAL_GPU, AG_TOTAL_COUNT };
void ag_timing_add_total(struct ag_timing *t, enum ag_total total, int64_t ns);

struct ag_timing_snapshot { // milliseconds; samples == 0: never seen
    struct ag_series_stats stage[AG_STAGE_COUNT][AG_CLOCK_COUNT];
    struct ag_series_stats total[AG_TOTAL_COUNT];
    int dominant_stage; // largest p95 over both clocks without GENERATE, RING, SOURCE, RECORD,
                        // QUEUE and WAIT (which only say that another one is); -1: none
    enum ag_clock dominant_clock;
    uint64_t dropped_samples; // timestamps that came too late to be read without waiting
};
void ag_timing_snapshot(struct ag_timing *t, struct ag_timing_snapshot *out);
void ag_timing_drop(struct ag_timing *t); // counts a dropped sample

// CPU scope: int64_t t0 = ag_now_ns(); ...; ag_timing_add(t, AG_STAGE_X, AG_CLOCK_CPU, ag_now_ns() - t0);

#endif
