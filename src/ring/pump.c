// The source thread: asks the source for frames and moves them into free slots. The lock is held
// except while the source or the memory callback is at work.
#include <time.h>

#include "internal.h"

#define AGAIN_NS 2000000 // how long a live source that has nothing is left alone

// Memory for the frame, then its samples. Without the lock: the slot is the pump's.
static bool fill(struct ag_ring *ring, struct slot *slot, struct ag_frame *frame,
                 struct ag_error *err)
{
    if (frame->bytes > slot->size) {
        slot->size = 0;
        slot->data = ring->resize(ring->user, &slot->view.memory, frame->bytes);
        if (!slot->data) {
            return ag_fail(err, AG_ERR_DEVICE, "no memory for a frame of %ux%u (%llu bytes)",
                           frame->width, frame->height, (unsigned long long)frame->bytes);
        }
        slot->size = frame->bytes;
    }
    frame->data = NULL;
    if (frame->bytes) {
        frame->data = slot->data;
        ag_source_read(ring->source, slot->data);
    }
    return true;
}

// A slot to write to. NULL: the frame is to be forgotten.
static struct slot *acquire(struct ag_ring *ring, const struct ag_frame *frame)
{
    while (!ring->stop && !ring->seek_pending) {
        for (uint32_t i = 0; i < ring->n_slots; i++) {
            if (ring->slots[i].state == SLOT_FREE) {
                return &ring->slots[i];
            }
        }
        if (ring->mode == AG_RING_LATEST) {
            struct slot *oldest = ring_oldest_waiting(ring);
            if (oldest) {
                ring_drop(ring, oldest);
                return oldest;
            }
            // All are with the taker: live input cannot wait.
            ring->produced++;
            ring->dropped++;
            ring->lost_discontinuity |= frame->discontinuity;
            return NULL;
        }
        pthread_cond_wait(&ring->pump_wake, &ring->lock);
    }
    return NULL;
}

static void finish(struct ag_ring *ring, enum flow flow, const struct ag_error *err)
{
    ring->flow = flow;
    ring->error = *err;
    pthread_cond_signal(&ring->taker_wake);
}

static void deliver(struct ag_ring *ring, struct ag_frame *frame)
{
    struct slot *slot = acquire(ring, frame);
    if (!slot) {
        return;
    }
    slot->state = SLOT_FILLING;
    struct ag_error err = { 0 };
    pthread_mutex_unlock(&ring->lock);
    bool ok = fill(ring, slot, frame, &err);
    pthread_mutex_lock(&ring->lock);
    if (!ok || ring->stop || ring->seek_pending) {
        slot->state = SLOT_FREE;
        if (!ok) {
            finish(ring, FLOW_ERROR, &err);
        }
        return;
    }
    frame->id = ++ring->produced;
    slot->view.frame = *frame;
    slot->state = SLOT_WAITING;
    pthread_cond_signal(&ring->taker_wake);
}

static void apply_requests(struct ag_ring *ring)
{
    if (ring->loop_pending) {
        bool loop = ring->loop;
        ring->loop_pending = false;
        pthread_mutex_unlock(&ring->lock);
        ag_source_set_loop(ring->source, loop);
        pthread_mutex_lock(&ring->lock);
    }
    if (ring->seek_pending) {
        int64_t target = ring->seek_ns;
        bool before = ring->seek_before;
        struct ag_error err = { 0 };
        // Cleared first: a seek that comes in meanwhile is another request.
        ring->seek_pending = false;
        pthread_mutex_unlock(&ring->lock);
        bool ok = before ? ag_source_seek_before(ring->source, target, &err)
                         : ag_source_seek(ring->source, target, &err);
        pthread_mutex_lock(&ring->lock);
        if (!ok && !ring->seek_pending) {
            finish(ring, FLOW_ERROR, &err);
        }
    }
}

static void wait_a_moment(struct ag_ring *ring)
{
    int64_t until = ag_now_ns() + AGAIN_NS;
    struct timespec t = { .tv_sec = until / 1000000000, .tv_nsec = until % 1000000000 };
    pthread_cond_timedwait(&ring->pump_wake, &ring->lock, &t);
}

static void fetch_notice(struct ag_ring *ring)
{
    if (ag_source_notice(ring->source, ring->notice, sizeof(ring->notice))) {
        ring->has_notice = true;
        ring->info = ag_source_get_info(ring->source);
    }
}

void *ring_pump(void *arg)
{
    struct ag_ring *ring = arg;
    pthread_mutex_lock(&ring->lock);
    while (!ring->stop) {
        if (ring->seek_pending || ring->loop_pending) {
            apply_requests(ring);
            continue;
        }
        if (ring->flow != FLOW_RUNNING) {
            pthread_cond_wait(&ring->pump_wake, &ring->lock);
            continue;
        }
        struct ag_frame frame = { 0 };
        struct ag_error err = { 0 };
        pthread_mutex_unlock(&ring->lock);
        enum ag_next next = ag_source_next(ring->source, &frame, &err);
        pthread_mutex_lock(&ring->lock);
        fetch_notice(ring);
        if (ring->stop || ring->seek_pending || (next == AG_NEXT_END && ring->loop_pending)) {
            continue;
        }
        switch (next) {
        case AG_NEXT_FRAME:
            deliver(ring, &frame);
            break;
        case AG_NEXT_AGAIN:
            wait_a_moment(ring);
            break;
        case AG_NEXT_END:
            finish(ring, FLOW_END, &err);
            break;
        case AG_NEXT_ERROR:
            finish(ring, FLOW_ERROR, &err);
            break;
        }
    }
    pthread_mutex_unlock(&ring->lock);
    return NULL;
}
