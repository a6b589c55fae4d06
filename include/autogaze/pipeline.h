// The stages wired together. The window, headless runs, tests and benches all tick this.
//
// One tick: take a source frame, upload and convert it, ask the mask source, plan, compose exactly
// once, submit; collect what an earlier frame left behind. Only here is the history written.
// Thread-safety: render thread.
#ifndef AUTOGAZE_PIPELINE_H
#define AUTOGAZE_PIPELINE_H

#include "autogaze/config.h"
#include "autogaze/gpu.h"
#include "autogaze/report.h"

struct ag_pipeline;
// Opens the source, loads the model, makes all kernels, starts the source thread. `config` is
// copied; `gpu` must outlive the pipeline.
struct ag_pipeline *ag_pipeline_create(const struct ag_log *log, const struct ag_config *config,
                                       struct ag_gpu *gpu, struct ag_error *err);
void ag_pipeline_destroy(struct ag_pipeline **p);

enum ag_tick {
    AG_TICK_FRAME, // a frame was composed
    AG_TICK_NONE,  // no new frame within the timeout: show the last one again
    AG_TICK_END,   // the source has ended
    AG_TICK_ERROR,
};
// Waits at most timeout_ns for a source frame (0: polls; < 0: no limit).
enum ag_tick ag_pipeline_tick(struct ag_pipeline *p, int64_t timeout_ns, struct ag_error *err);
// Waits for everything in flight; all reports become available.
bool ag_pipeline_drain(struct ag_pipeline *p, struct ag_error *err);
// Oldest report not yet fetched; false: none.
bool ag_pipeline_next_report(struct ag_pipeline *p, struct ag_frame_report *out);

// Pictures of the last composed frame, RGBA8 in storage buffers: valid on the timeline until the
// next tick records over them (same queue, so later submissions may read them).
struct ag_pictures {
    const struct ag_buffer *input, *mask, *output;
    uint32_t width, height;
    uint32_t sar_num, sar_den;
    uint64_t frame_id;             // 0: nothing composed yet
    int64_t pts_ns;
    uint64_t value;                // timeline value after which they are complete
};
struct ag_pictures ag_pipeline_pictures(const struct ag_pipeline *p);
// Reads a picture back (waits; never on the frame path): RGBA8 [height][width].
bool ag_pipeline_read(struct ag_pipeline *p, const struct ag_buffer *picture, uint8_t *rgba,
                      struct ag_error *err);

// What can change while running; apply with the next tick. Get, change, set.
struct ag_live {
    int mask_source;               // enum ag_mask_kind
    int mode;                      // enum ag_mode: the canvas is rebuilt from the history
    float threshold;               // of the model; AG_NO_THRESHOLD: off
    float patch_threshold;
    float canvas_diff_db;
    float repair_db;               // NAN: off
    uint32_t repair_cells;         // a frame at most
    uint32_t max_tokens;           // 0: the model's budget
    int geometry, style, output;   // enums of plan.h
    uint32_t palette;
    float blend_alpha;
    uint32_t keyframe_interval;
    int latency;                   // enum ag_latency
    bool psnr;
    int dispatch;                  // enum ag_dispatch
};
struct ag_live ag_pipeline_get_live(const struct ag_pipeline *p);
// false: not possible here (the error says why); nothing has changed then.
bool ag_pipeline_set_live(struct ag_pipeline *p, const struct ag_live *live, struct ag_error *err);
// Another model (--model) from the next tick on; loads it, which takes its time. The history stays,
// the model's canvas is made from it (M11). false: the model stays what it was.
bool ag_pipeline_set_model(struct ag_pipeline *p, const char *name, struct ag_error *err);
void ag_pipeline_force_keyframe(struct ag_pipeline *p);
void ag_pipeline_reset_context(struct ag_pipeline *p); // model's past and canvas become unknown
void ag_pipeline_set_paused(struct ag_pipeline *p, bool paused);
bool ag_pipeline_paused(const struct ag_pipeline *p);
void ag_pipeline_step(struct ag_pipeline *p); // paused: the next tick takes one frame
bool ag_pipeline_seek(struct ag_pipeline *p, int64_t pts_ns, struct ag_error *err);
bool ag_pipeline_step_back(struct ag_pipeline *p, struct ag_error *err); // pauses
// A step or a seek is under way: its frame has not been composed yet.
bool ag_pipeline_is_moving(const struct ag_pipeline *p);
void ag_pipeline_set_rate(struct ag_pipeline *p, double rate);
void ag_pipeline_set_loop(struct ag_pipeline *p, bool loop);
double ag_pipeline_get_rate(const struct ag_pipeline *p);
// Goes on with another file, URL or folder of pictures; ids go on, history and context start anew.
// Paused, its first frame is shown. false: it cannot be opened, and nothing has changed.
bool ag_pipeline_open(struct ag_pipeline *p, const char *uri, struct ag_error *err);

// Rectangles and row spans of a report's plan (S5.5), computed here and now on the CPU: for captures
// and the end of a run, not for every frame. The report's arrays must still be valid.
struct ag_plan_spans ag_pipeline_spans(const struct ag_pipeline *p,
                                       const struct ag_frame_report *r);

// Facts for HUD and summary. Pointers inside stay valid while the pipeline lives.
void ag_pipeline_info(struct ag_pipeline *p, struct ag_run_info *out);
// Quality scale of the current mask source: RMSE models count in dB, others in raw thresholds.
struct ag_quality {
    bool db;                       // true: value, min, max in dB
    double value, min, max, step;
    bool off;                      // no threshold
};
struct ag_quality ag_pipeline_quality(const struct ag_pipeline *p);
bool ag_pipeline_set_quality(struct ag_pipeline *p, double value, struct ag_error *err);
// The model's configuration while its masks are what is shown, else NULL (patch-diff, forced masks).
const struct ag_model_config *ag_pipeline_model(const struct ag_pipeline *p);
// Every frame once, in order: nothing may be left out.
bool ag_pipeline_lockstep(const struct ag_pipeline *p);
// A sentence that the person should see (no mask for this size, async entered, ...), "" if none.
const char *ag_pipeline_notice(const struct ag_pipeline *p);

// Canvas and model input of the last composed frame, [tiles][3][S][S], for tests (waits).
bool ag_pipeline_read_canvas(struct ag_pipeline *p, float *canvas, float *input,
                             struct ag_error *err);

#endif
