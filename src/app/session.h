// A run of the program, with or without a window: statistics, trace, screenshot, summary, and the
// number of frames asked for. The window loop and the headless loop share it.
#ifndef AG_APP_SESSION_H
#define AG_APP_SESSION_H

#include "takeaway.h"

struct session {
    const struct ag_log *log;
    const struct ag_config *config;
    struct ag_pipeline *pipeline;
    struct ag_stats *stats;
    struct takeaway takeaway;
    struct ag_screen *screen;            // the window, or what headless runs draw; NULL: nothing
    struct ag_frame_report last;         // newest report; its arrays are not valid any more
    struct ag_gpu_counters before;       // at the first measured frame
    uint64_t allocations_before;         // likewise
    uint64_t reported;                   // frames reported, warm-up included
    int64_t start_ns, startup_ns;        // program start; to the first composed frame
    struct ag_phases startup;            // before the pipeline; then with its own
};

// Opens the files that were asked for. `start_ns`: ag_now_ns() when the program started.
bool session_begin(struct session *s, const struct ag_log *log, const struct ag_config *config,
                   struct ag_gpu *gpu, struct ag_pipeline *pipeline, int64_t start_ns,
                   struct ag_error *err);
// Fetches all reports that are ready; call after every tick.
void session_collect(struct session *s);
// After every composed frame: records it.
bool session_composed(struct session *s, struct ag_error *err);
// A frame for the screen, without mouse.
struct ag_screen_frame session_frame(struct session *s);
// The last frame in its layout, or with --screenshot-hud the screen as it looks. The writer says
// when it is done. Needs a screen.
bool session_screenshot(struct session *s, const char *path, struct ag_error *err);
// The numbers so far, as JSON (waits for what is in flight).
bool session_summary(struct session *s, const char *path, struct ag_error *err);
// True once warm-up and the frames asked for have been composed (`composed`: ticks that made one).
bool session_done(const struct session *s, uint64_t composed);
// Ends the run in order: drains, writes screenshot, trace and summary, prints the table with the
// hashes. The first failure is in *err, the rest is done all the same.
bool session_finish(struct session *s, bool complete, struct ag_error *err);
void session_abandon(struct session *s); // frees, writes nothing

// Set by SIGINT and SIGTERM; the loops look at it.
bool app_interrupted(void);

int app_run_headless(const struct ag_log *log, const struct ag_config *config, int64_t start_ns,
                     struct ag_error *err);
// window.c; present only in builds with a window.
int app_run_window(const struct ag_log *log, const struct ag_config *config, int64_t start_ns,
                   struct ag_error *err);

// lists.c: --list-gpus, --list-models, --list-sources.
bool app_list(const struct ag_log *log, const struct ag_config *config, struct ag_error *err);

#endif
