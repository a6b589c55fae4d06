// What ring.c and pump.c share.
#ifndef AG_RING_INTERNAL_H
#define AG_RING_INTERNAL_H

#include <pthread.h>

#include "autogaze/ring.h"

#include "play_clock.h"

enum slot_state {
    SLOT_FREE,
    SLOT_FILLING, // the pump's
    SLOT_WAITING,
    SLOT_TAKEN, // the taker's
};

struct slot {
    struct ag_ring_slot view; // first member: what the taker holds
    enum slot_state state;    // under the lock
    uint8_t *data;            // of the slot's owner by state, like the view
    uint64_t size;
};

enum flow { FLOW_RUNNING, FLOW_END, FLOW_ERROR };

struct ag_ring {
    // Constant after creation.
    const struct ag_log *log;
    struct ag_source *source; // used by the pump only (and interrupted by destroy)
    enum ag_ring_mode mode;
    bool paced;
    void *(*resize)(void *user, void **handle, uint64_t size);
    void *user;
    struct slot *slots;
    uint32_t n_slots;
    pthread_t thread;

    pthread_mutex_t lock; // everything below
    pthread_cond_t pump_wake, taker_wake;
    bool stop;
    enum flow flow;
    struct ag_error error; // FLOW_ERROR
    // Requests of the taker, cleared by the pump alone: a frame that was begun before a seek is
    // recognised as stale by the request still standing.
    bool seek_pending, seek_before, loop_pending, loop;
    int64_t seek_ns;
    uint64_t produced, taken, dropped;
    struct ag_source_info info;
    char notice[384];
    bool has_notice;
    bool lost_discontinuity; // a dropped frame carried the flag: the next one taken gets it
    // Playback.
    bool paused;
    uint32_t steps; // frames that may pass while paused
    struct play_clock clock;
};

// The lock is held. NULL: none.
struct slot *ring_oldest_waiting(struct ag_ring *ring);
void ring_drop(struct ag_ring *ring, struct slot *slot);

void *ring_pump(void *ring); // the source thread

#endif
