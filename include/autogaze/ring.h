// The meeting place of source thread and render thread: a fixed number of frame slots, and the pump
// that fills them. Files block when the ring is full; live input overwrites the oldest waiting
// frame; lock-step hands out every frame once, in order. Nothing is allocated after the slots have
// grown to the frame size.
// Thread-safety: the source and params.resize run on the ring's own thread (freeing: in
// ag_ring_destroy, on the caller's); all functions here belong to one thread, the renderer's.
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
    uint64_t last_id;        // ids go on from here (and `produced` with them)
    // Memory of a slot (mapped GPU memory as a rule), called on the source thread when a frame does
    // not fit the slot: returns memory for `size` bytes or NULL, the old contents may go. `*handle`
    // starts as NULL; size 0 frees. NULL: plain host memory.
    void *(*resize)(void *user, void **handle, uint64_t size);
    void *user;
};

struct ag_ring;
// Starts the source thread; owns `source` from now on.
struct ag_ring *ag_ring_create(const struct ag_log *log, struct ag_source *source,
                               const struct ag_ring_params *params, struct ag_error *err);
void ag_ring_destroy(struct ag_ring **ring); // interrupts the source, joins, closes it

struct ag_ring_slot {        // read-only for the taker
    struct ag_frame frame;   // frame.data points into the slot's memory; NULL for GENERATED frames
    void *memory;            // what resize returned in *handle
};
enum ag_take { AG_TAKE_FRAME, AG_TAKE_NONE, AG_TAKE_END, AG_TAKE_ERROR };
// Waits at most timeout_ns (0: polls, < 0: no limit) for the next frame. The slot stays the
// taker's until released; slots are released in any order, from the render thread. NONE: nothing in
// that time, or paused. END and ERROR come after the last frame and are repeated until a seek.
enum ag_take ag_ring_take(struct ag_ring *ring, int64_t timeout_ns, struct ag_ring_slot **slot,
                          struct ag_error *err);
void ag_ring_release(struct ag_ring *ring, struct ag_ring_slot *slot);

// Playback. Seeking drops what waits; the next frame taken is the first at or after pts_ns, and is
// handed out even while paused. Sources that are not seekable ignore it.
void ag_ring_seek(struct ag_ring *ring, int64_t pts_ns);
void ag_ring_seek_before(struct ag_ring *ring, int64_t pts_ns); // to the last frame before pts_ns
// Paused: no frame is handed out (live input goes on being dropped) and the playback clock stands
// still. ag_ring_step lets one frame through.
void ag_ring_set_paused(struct ag_ring *ring, bool paused);
void ag_ring_step(struct ag_ring *ring);
void ag_ring_set_rate(struct ag_ring *ring, double rate); // > 0
void ag_ring_set_loop(struct ag_ring *ring, bool loop); // at the end: plays again at once

// A sentence of the source for the person, if there is a new one.
bool ag_ring_notice(struct ag_ring *ring, char *out, size_t size);

struct ag_ring_stats {
    uint64_t produced;       // frames that got an id
    uint64_t taken;
    uint64_t dropped;        // produced, then replaced by newer ones (live input)
    uint32_t waiting;
    struct ag_source_info source;
};
struct ag_ring_stats ag_ring_get_stats(struct ag_ring *ring);

#endif
