// What a source driver is. source.c keeps the table, adds times and discontinuities, and is the
// only caller.
#ifndef AG_SOURCE_DRIVER_H
#define AG_SOURCE_DRIVER_H

#include <stdatomic.h>

#include "autogaze/source.h"

// Belongs to source.c; drivers read it whenever they like.
struct source_env {
    const struct ag_log *log;
    struct source_notice *notice; // see source_notice
    atomic_bool interrupted; // give up what blocks
    bool loop;
};

struct source_notice {
    char text[384];
    bool fresh;
};
// Says something to the person (log and window). On the thread of `next` and `open`.
void source_notice(const struct source_env *env, const char *fmt, ...) AG_PRINTF(2, 3);

struct source_driver {
    const char *name, *help;
    // Returns the driver's state, NULL with *err. `params` and its strings live for the call only.
    // `info` comes with the driver's name filled in; it stays, and may change along with a notice.
    void *(*open)(const struct source_env *env, const struct ag_source_params *params,
                  struct ag_source_info *info, struct ag_error *err);
    void (*close)(void *state);
    // As ag_source_next; fills all of the frame but id, data, capture_ns and source_ns. Of
    // `discontinuity` only what source.c cannot see: a loop.
    enum ag_next (*next)(void *state, struct ag_frame *out, struct ag_error *err);
    void (*read)(void *state, uint8_t *dst);
    // The next frame is the first at or after pts_ns; with `before` the last before it, or the
    // first of all.
    bool (*seek)(void *state, int64_t pts_ns, bool before, struct ag_error *err);
};

extern const struct source_driver source_image, source_video, source_camera;
extern const struct source_driver source_synthetic[AG_PATTERN_COUNT];

// Timestamps of sources without a clock: tick i of `fps` a second, and the first tick at or after a
// time.
int64_t source_tick_ns(uint64_t tick, double fps);
uint64_t source_tick_at(int64_t ns, double fps);
uint64_t source_tick_before(int64_t ns, double fps); // the last one before, 0 where there is none
double source_fps(double wished); // 0 and nonsense are 30

#endif
