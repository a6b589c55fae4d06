// The meeting place of source thread and render thread: a fixed number of frame slots, and the pump
// that fills them. Files block when the ring is full; live input overwrites the oldest waiting
// frame; lock-step hands out every frame once, in order. Nothing is allocated after the slots have
// grown to the frame size.
// Thread-safety: pump functions run on the ring's own thread, the others on the render thread.
#ifndef AUTOGAZE_RING_H
#define AUTOGAZE_RING_H

#include "autogaze/frame.h"
#include "autogaze/source.h"

enum ag_ring_mode {
    AG_RING_BLOCK,  // files: every frame, the source waits for the renderer
    AG_RING_LATEST, // live: newest frame wins, older waiting frames are dropped and counted
};

struct ag_ring_params {
    enum ag_ring_mode mode;
    uint32_t slots;          // 0: 4
    // Files: hand frames out no earlier than their timestamp (rate 1); false: as fast as taken.
    bool paced;
    double rate;             // playback rate, 0: 1
    // Memory of a slot (mapped GPU memory as a rule), called on the source thread when a frame does
    // not fit the slot. `*handle` starts as NULL; size 0 frees. NULL functions: plain host memory.
    void *(*resize)(void *user, void **handle, uint64_t size);
    void *user;
};

struct ag_ring;
// Starts the source thread; owns `source` from now on.
struct ag_ring *ag_ring_create(const struct ag_log *log, struct ag_source *source,
                               const struct ag_ring_params *params, struct ag_error *err);
void ag_ring_destroy(struct ag_ring **ring); // interrupts the source, joins, closes it

struct ag_ring_slot {        // read-only for the taker
    struct ag_frame frame;   // frame.data points into the slot's memory
    void *memory;            // what resize returned in *handle
};
enum ag_take { AG_TAKE_FRAME, AG_TAKE_NONE, AG_TAKE_END, AG_TAKE_ERROR };
// Waits at most timeout_ns (0: polls, < 0: no limit) for the next frame. The slot stays the
// taker's until released; slots are released in any order, from the render thread.
enum ag_take ag_ring_take(struct ag_ring *ring, int64_t timeout_ns, struct ag_ring_slot **slot,
                          struct ag_error *err);
void ag_ring_release(struct ag_ring *ring, struct ag_ring_slot *slot);

// Playback. Seeking drops what waits; the next frame taken is the first at or after pts_ns.
void ag_ring_seek(struct ag_ring *ring, int64_t pts_ns);
void ag_ring_set_paused(struct ag_ring *ring, bool paused); // paced playback clock stands still
void ag_ring_set_rate(struct ag_ring *ring, double rate);
void ag_ring_set_loop(struct ag_ring *ring, bool loop);

struct ag_ring_stats {
    uint64_t produced, taken, dropped;
    uint32_t waiting;
    struct ag_source_info source;
};
struct ag_ring_stats ag_ring_get_stats(struct ag_ring *ring);

#endif
