// Inside of the pipeline, shared by its files. Main path: pipeline.c.
#ifndef AG_PIPELINE_PRIV_H
#define AG_PIPELINE_PRIV_H

#include "autogaze/pipeline.h"

#include "autogaze/compositor.h"
#include "autogaze/cpu_model.h"
#include "autogaze/crossover.h"
#include "autogaze/gpu_model.h"
#include "autogaze/mask_source.h"
#include "autogaze/planner.h"
#include "autogaze/preprocess.h"
#include "gpu_gaze.h"
#include "job.h"

#define FRAMES_IN_FLIGHT 2
#define REPORTS 8 // collected and not yet fetched; the oldest is overwritten

// One frame between tick and report.
struct slot {
    struct ag_gpu *gpu;
    bool busy;
    uint64_t value;                  // timeline value of its last submission
    struct ag_ring_slot *source;     // its samples, until the GPU has read them
    struct ag_buffer *readback;      // see struct offsets
    struct ag_buffer *stats;         // device: error sums
    struct ag_buffer *host_cells;    // MAPPED: count, cells; forced masks and the CPU back end
    struct ag_frame_report report;   // what the host knows
    int64_t reference_ns;            // `--compositor cpu`: what it took, its wait included
    uint64_t error;                  // ... its error sum
    struct ag_plan_stats plan;       // ... and plan
    bool gpu_gaze;                   // readback holds a results block
    bool repair;                     // ... and the list of repaired cells
    struct gaze_set gaze;            // CPU back end: its gaze
    uint64_t composed_value;         // timeline value of the submission that composes
    int64_t done_ns;                 // its end on the host's clock; 0: not known
    int64_t own_gpu_ns, own_queue_ns; // of the submissions up to it: stages; time before them
    bool model_waits;                // the model's CPU time is part of this frame's latency
    uint64_t uploaded, read_back;    // counters when the frame began
};

// Where the parts of a slot's readback buffer start (bytes).
struct offsets {
    uint64_t plan, compose, canvas, repair, selected, gaze, size;
    uint64_t selected_bytes, gaze_bytes;
};

// A report that the caller has not fetched, with the arrays it points to.
struct kept_report {
    struct ag_frame_report report;
    struct gaze_set gaze;
    uint32_t *cells;
    uint32_t max_cells;
};

// Masks made at another size than the source's (scaling.c). Without a scaler all sizes are one.
struct scaling {
    struct ag_preprocess *scaler;    // for pictures of the source's size
    uint32_t native_width, native_height; // of the source's pictures
    uint32_t width, height;          // of what masks are made from
    bool compose;                    // composed at that size, too
    struct ag_buffer *native;        // then: the source's picture
    struct ag_buffer *work[2];       // else: this frame and the one before at that size
};

struct ag_pipeline {
    const struct ag_log *log;
    struct ag_config config;
    struct ag_gpu *gpu;              // not ours

    // --- source
    struct ag_ring *ring;
    struct ag_source_info source;
    bool ended, paused;
    bool moving;                     // a step or seek whose frame has not come yet
    uint64_t dropped_before;         // by rings of files before this one
    bool generated;                  // the last frame was drawn on the device
    struct ag_error source_error;
    struct ag_phases startup;

    // --- stages
    struct scaling scaling;
    struct ag_preprocess *preprocess; // from pictures of the scaling's size
    struct ag_planner *planner;
    struct ag_compositor *compositor;
    struct ag_canvas *painter;
    struct compose_cpu *compose_cpu;
    struct ag_patch_diff *patch_diff;
    struct ag_cell_errors *canvas_diff, *repair;
    uint32_t repair_first;           // number of the first cell that repair can add
    struct ag_forced forced;
    bool has_forced;

    // --- model
    struct ag_model *model;
    struct cpu_gaze *cpu;            // one of the two
    struct gpu_gaze *gpu_gaze;
    enum ag_context context;
    enum ag_stream_policy policy;
    enum ag_precision precision;
    bool on_cpu;                     // which back end

    // --- latency `async` (infer_cpu.c, infer_gpu.c)
    bool async, lockstep;
    uint32_t slow_frames, quick_frames;
    double model_ns_ema;             // what the model takes a frame
    struct {                         // the mask that was accepted last
        uint32_t *cells, n, max;     // CPU back end; the compute back end's stay on the device
        uint64_t frame_id;           // 0: none
        int64_t capture_ns;
    } current;
    uint64_t stale_results;
    struct job *job;                 // CPU back end
    struct gaze_set cpu_set;         // its last frame under `sync`
    struct ag_gaze_input job_input;  // of the snapshot under way
    uint64_t job_snapshot;           // frame whose snapshot is on its way to the host; 0: none
    int64_t job_capture_ns;
    bool job_stale, job_reset;
    struct ag_buffer *job_canvas;    // compute back end
    struct ag_gpu_gaze_job gpu_job;
    struct ag_mask gpu_mask;
    uint64_t gpu_job_value;
    bool gpu_job_wanted, gpu_gaze_new;

    // --- pictures and model inputs (device)
    uint32_t width, height, side;
    struct ag_tiling tiling;         // realtime: one tile
    uint64_t input_bytes;            // of all tiles' pictures
    uint32_t tile_batch;             // compute back end: tiles a record at most; 0: all
    uint32_t sar_num, sar_den;
    struct ag_buffer *rgba[2];       // input pictures: this frame's; the one before's where it is
                                     // compared with (pipeline_picture)
    unsigned picture;                // which of them is the last composed frame's
    struct ag_buffer *input[2];      // model inputs [tiles][3][S][S], this frame's and the one
                                     // before
    struct ag_buffer *history, *mask, *canvas;
    struct ag_buffer *host_input[2], *host_canvas; // READBACK copies for the CPU back end
    uint64_t host_input_id[2];       // frame in each; 0: none
    bool inferable;                  // frame shape allows a mask
    struct ag_layout layout;         // of the current mask source
    struct offsets offsets;

    // --- state of the stream
    bool history_valid;              // and with it the canvas
    bool canvas_known;
    bool rebuild_canvas;             // from the history, with the next frame
    uint64_t previous_id;            // frame in rgba[picture]; 0: none
    uint64_t input_id;               // frame in input[other]; 0: none
    uint64_t composed;               // frames composed
    uint64_t since_keyframe;
    bool warm;                       // every kernel has run once
    bool force_keyframe;
    bool reset_context;

    // --- settings
    struct ag_live live;
    bool reconfigure;                // sizes or layout changed
    bool new_model;                  // and with it the size of its inputs: ag_pipeline_set_model
    char model_name[1024];
    struct ag_crossover crossover;   // of the dispatch paths, for this size

    // --- frames in flight and reports
    struct slot slot[FRAMES_IN_FLIGHT];
    struct kept_report kept[REPORTS];
    uint64_t kept_first, kept_next;
    int64_t last_done_ns;            // completion of the newest collected frame
    uint64_t last_inferred_id, duplicates;

    char notice[512];
    char mask_name[64];
};

// input.c: the source that the options ask for, and the ring on it.
bool pipeline_open_source(struct ag_pipeline *p, struct ag_error *err);

// scaling.c. From the source's size to that of composition.
bool scaling_configure(struct ag_pipeline *p, uint32_t *width, uint32_t *height,
                       struct ag_error *err);
void scaling_destroy(struct ag_pipeline *p);
// Frame -> rgba[pipeline_picture], and the picture that masks are made from.
bool scaling_record_picture(struct ag_pipeline *p, struct ag_cmd *cmd,
                            const struct ag_frame *frame, const struct ag_buffer *staging,
                            struct ag_error *err);
const struct ag_buffer *scaling_picture(const struct ag_pipeline *p, unsigned which);
void scaling_record_canvas(struct ag_pipeline *p, struct ag_cmd *cmd); // canvas from the history
void scaling_pixel_aspect(const struct ag_pipeline *p, uint32_t *num, uint32_t *den);

// inference.c: everything between model input and cell list.
bool inference_create(struct ag_pipeline *p, struct ag_error *err);
void inference_destroy(struct ag_pipeline *p);
// Layout of the cells that the current mask source names and repair can add.
bool inference_layout(struct ag_pipeline *p, struct ag_layout *out, struct ag_error *err);
bool inference_configure(struct ag_pipeline *p, struct ag_error *err); // picture size changed
// (Re)makes the back end for p->tiling.
bool inference_create_backend(struct ag_pipeline *p, struct ag_error *err);
void inference_destroy_backend(struct ag_pipeline *p);
void inference_reset(struct ag_pipeline *p); // the stream's past is gone
bool inference_repairs(const struct ag_pipeline *p); // cells are added to every mask
bool inference_compares(const struct ag_pipeline *p); // masks are made from two pictures
// Records (and for the CPU back end runs) the mask of the frame in `s`. *cmd may be submitted and
// begun anew. *mask stays untouched when there is none.
bool inference_record(struct ag_pipeline *p, struct slot *s, struct ag_cmd **cmd,
                      struct ag_mask *mask, bool *has_mask, struct ag_error *err);
// After the frame's own submission: the compute back end's job under `async`.
bool inference_follow(struct ag_pipeline *p, struct slot *s, struct ag_error *err);
void inference_note_cost(struct ag_pipeline *p, const struct ag_frame_report *r);
uint32_t inference_budget(const struct ag_pipeline *p);
// Cells in the slot's UPLOAD buffer: the count in the first word, the list 256 bytes further.
uint32_t *host_list(struct slot *s);
void host_mask(struct slot *s, uint32_t n, uint64_t frame_id, struct ag_mask *mask);

// infer_cpu.c, infer_gpu.c: the two back ends under the two latencies.
bool infer_cpu_sync(struct ag_pipeline *p, struct slot *s, struct ag_cmd **cmd,
                    struct ag_mask *mask, struct ag_error *err);
bool infer_cpu_async(struct ag_pipeline *p, struct slot *s, struct ag_cmd *cmd,
                     struct ag_mask *mask, bool *has_mask, struct ag_error *err);
void infer_cpu_collected(struct ag_pipeline *p, const struct slot *s);
void infer_cpu_reset(struct ag_pipeline *p);
bool infer_gpu_sync(struct ag_pipeline *p, struct slot *s, struct ag_cmd *cmd,
                    struct ag_mask *mask, struct ag_error *err);
bool infer_gpu_async(struct ag_pipeline *p, struct slot *s, struct ag_cmd *cmd,
                     struct ag_mask *mask, bool *has_mask);
bool infer_gpu_follow(struct ag_pipeline *p, struct slot *s, struct ag_error *err);
float inference_threshold(const struct ag_config *config, const struct ag_model *model,
                          struct ag_error *err);

// tiling.c: everything whose size is the model's.
bool tiling_configure(struct ag_pipeline *p, struct ag_error *err); // mode or picture size changed
void tiling_destroy(struct ag_pipeline *p);

// compose_cpu.c: `--compositor cpu`, else p->compose_cpu is NULL.
bool compose_cpu_configure(struct ag_pipeline *p, struct ag_error *err);
void compose_cpu_destroy(struct ag_pipeline *p);
bool compose_cpu_record(struct ag_pipeline *p, struct slot *s, struct ag_cmd **cmd,
                        const struct ag_plan *plan, struct ag_error *err);

// collect.c: from a finished slot to a report.
uint32_t collect_cells(const uint32_t *bits, uint32_t cells, uint32_t *out); // of a bitmap
void collect_layout(struct ag_pipeline *p); // offsets for the current layout and model
bool collect_create_slots(struct ag_pipeline *p, struct ag_error *err);
void collect_destroy_slots(struct ag_pipeline *p);
void collect_destroy_reports(struct ag_pipeline *p);
void collect_times(struct ag_pipeline *p); // GPU times to their slots
void collect_poll(struct ag_pipeline *p); // whatever is done, without waiting
bool collect_wait(struct ag_pipeline *p, struct slot *s, struct ag_error *err);

// pipeline.c
// Which of the two pictures the frame at hand goes to. Only patch-diff looks at the frame before:
// everybody else uses one picture again and again, and it stays in the device's cache.
unsigned pipeline_picture(const struct ag_pipeline *p);
struct ag_planner_setup pipeline_plan_setup(const struct ag_pipeline *p);
struct ag_compose_style pipeline_style(const struct ag_pipeline *p);
bool pipeline_configure(struct ag_pipeline *p, uint32_t width, uint32_t height,
                        struct ag_error *err);

#endif
