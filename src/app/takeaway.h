// What a run leaves behind besides numbers: recordings, screenshots, trace and gaze file.
//
//     frame composed -> takeaway_frame: drawn again where nobody sees it, copied to a free picture
//                       of the writer; the GPU does both in its own time
//     every tick     -> takeaway_poll: pictures that the GPU has filled go to the writer
//
// A frame waits for neither GPU nor writer: without a free picture it is left out of the recording
// and counted. Runs in lock-step (headless ones as a rule) wait instead: their recordings are whole.
#ifndef AG_APP_TAKEAWAY_H
#define AG_APP_TAKEAWAY_H

#include "autogaze/export.h"
#include "autogaze/screen.h"

#define TAKEAWAY_SLOTS 5     // two on the GPU, one being written, two waiting

struct takeaway {
    const struct ag_log *log;
    const struct ag_config *config;
    struct ag_gpu *gpu;
    struct ag_pipeline *pipeline;
    struct ag_export *export;
    bool wait;               // nothing is left out
    bool reports;            // trace or gaze file: wants the reports
    bool record;             // --record, until its first frame has come
    struct pending {         // on the GPU, oldest first
        struct ag_export_picture *picture;
        uint64_t value;
        int64_t pts_ns;
        char *path;          // of a screenshot; NULL: a frame of the recording
    } pending[TAKEAWAY_SLOTS];
    uint32_t n_pending;
    uint64_t notices;        // seen by takeaway_notice
};

// Opens trace and gaze file as the options ask, starts the writer.
bool takeaway_begin(struct takeaway *t, const struct ag_log *log, const struct ag_config *config,
                    struct ag_gpu *gpu, struct ag_pipeline *pipeline, struct ag_error *err);
void takeaway_report(struct takeaway *t, const struct ag_frame_report *report);
// After every frame that was composed; starts the recording of --record with the first.
// AG_ERR_OUTPUT if that file cannot be written.
bool takeaway_frame(struct takeaway *t, struct ag_screen *screen, struct ag_screen_frame *frame,
                    struct ag_error *err);
void takeaway_poll(struct takeaway *t);
bool takeaway_screenshot(struct takeaway *t, struct ag_screen *screen,
                         struct ag_screen_frame *frame, const char *path, struct ag_error *err);
bool takeaway_recording(const struct takeaway *t);
bool takeaway_start(struct takeaway *t, struct ag_screen *screen, struct ag_screen_frame *frame,
                    const char *path, struct ag_error *err);
void takeaway_stop(struct takeaway *t);
// Fills what the HUD says about a recording.
void takeaway_describe(const struct takeaway *t, struct ag_screen_frame *frame);
// The newest sentence of the writer that was not asked for yet; false: none.
bool takeaway_notice(struct takeaway *t, char *out, size_t size, bool *failure);
// Waits for everything, closes all files. The first failure of the run is in *err.
bool takeaway_finish(struct takeaway *t, struct ag_error *err);
void takeaway_end(struct takeaway *t); // frees; finishes if that was not done

#endif
