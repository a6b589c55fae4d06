#include "autogaze/ring.h"

#include <assert.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "internal.h"

#define DEFAULT_SLOTS 4

static void *resize_host(void *user, void **handle, uint64_t size)
{
    (void)user;
    ag_free(*handle);
    *handle = size ? ag_alloc(size) : NULL;
    return *handle;
}

struct ag_ring *ag_ring_create(const struct ag_log *log, struct ag_source *source,
                               const struct ag_ring_params *params, struct ag_error *err)
{
    struct ag_ring *ring = ag_alloc(sizeof(*ring));
    ring->log = log;
    ring->source = source;
    ring->info = ag_source_get_info(source);
    ring->mode = params->mode;
    ring->paced = params->paced && params->mode == AG_RING_BLOCK;
    ring->resize = params->resize ? params->resize : resize_host;
    ring->user = params->user;
    ring->produced = params->last_id;
    ring->n_slots = params->slots ? params->slots : DEFAULT_SLOTS;
    ring->slots = ag_alloc(ring->n_slots * sizeof(*ring->slots));
    play_clock_init(&ring->clock, params->rate, ring->info.fps);

    pthread_condattr_t monotonic;
    pthread_condattr_init(&monotonic);
    pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC); // as ag_now_ns
    pthread_mutex_init(&ring->lock, NULL);
    pthread_cond_init(&ring->pump_wake, &monotonic);
    pthread_cond_init(&ring->taker_wake, &monotonic);
    pthread_condattr_destroy(&monotonic);

    int error = pthread_create(&ring->thread, NULL, ring_pump, ring);
    if (error) {
        ag_fail(err, AG_ERR_INPUT, "cannot start the source thread: %s", strerror(error));
        ring->stop = true; // nothing to join
        ag_ring_destroy(&ring);
    }
    return ring;
}

void ag_ring_destroy(struct ag_ring **pring)
{
    struct ag_ring *ring = *pring;
    if (!ring) {
        return;
    }
    if (!ring->stop) {
        ag_source_interrupt(ring->source);
        pthread_mutex_lock(&ring->lock);
        ring->stop = true;
        pthread_cond_signal(&ring->pump_wake);
        pthread_mutex_unlock(&ring->lock);
        pthread_join(ring->thread, NULL);
    }
    for (uint32_t i = 0; i < ring->n_slots; i++) {
        struct slot *slot = &ring->slots[i];
        if (slot->view.memory) {
            ring->resize(ring->user, &slot->view.memory, 0);
        }
    }
    ag_source_close(&ring->source);
    pthread_cond_destroy(&ring->taker_wake);
    pthread_cond_destroy(&ring->pump_wake);
    pthread_mutex_destroy(&ring->lock);
    ag_free(ring->slots);
    ag_free(ring);
    *pring = NULL;
}

// ---- slots --------------------------------------------------------------------------------------

struct slot *ring_oldest_waiting(struct ag_ring *ring)
{
    struct slot *oldest = NULL;
    for (uint32_t i = 0; i < ring->n_slots; i++) {
        struct slot *s = &ring->slots[i];
        if (s->state == SLOT_WAITING && (!oldest || s->view.frame.id < oldest->view.frame.id)) {
            oldest = s;
        }
    }
    return oldest;
}

void ring_drop(struct ag_ring *ring, struct slot *slot)
{
    ring->dropped++;
    ring->lost_discontinuity |= slot->view.frame.discontinuity;
    slot->state = SLOT_FREE;
}

static uint32_t count_waiting(const struct ag_ring *ring)
{
    uint32_t n = 0;
    for (uint32_t i = 0; i < ring->n_slots; i++) {
        n += ring->slots[i].state == SLOT_WAITING;
    }
    return n;
}

// The frame whose turn it is, and the time at which it may go.
static struct slot *next_frame(struct ag_ring *ring, int64_t now, int64_t *due)
{
    if (ring->mode == AG_RING_LATEST && (!ring->paused || ring->steps)) {
        for (uint32_t n = count_waiting(ring); n > 1; n--) {
            ring_drop(ring, ring_oldest_waiting(ring));
        }
    }
    struct slot *slot = ring_oldest_waiting(ring);
    *due = INT64_MAX;
    if (slot && ring->paused) {
        *due = ring->steps ? now : INT64_MAX;
    } else if (slot) {
        *due = ring->paced ? play_clock_due(&ring->clock, slot->view.frame.pts_ns, now) : now;
    }
    return slot;
}

static struct ag_ring_slot *hand_out(struct ag_ring *ring, struct slot *slot, int64_t now)
{
    slot->state = SLOT_TAKEN;
    slot->view.frame.discontinuity |= ring->lost_discontinuity;
    ring->lost_discontinuity = false;
    ring->taken++;
    ring->steps -= ring->steps > 0;
    play_clock_taken(&ring->clock, slot->view.frame.pts_ns, now);
    return &slot->view;
}

// Waits until the pump has news or the time has come.
static void wait_until(struct ag_ring *ring, int64_t until)
{
    if (until == INT64_MAX) {
        pthread_cond_wait(&ring->taker_wake, &ring->lock);
    } else {
        struct timespec t = { .tv_sec = until / 1000000000, .tv_nsec = until % 1000000000 };
        pthread_cond_timedwait(&ring->taker_wake, &ring->lock, &t);
    }
}

enum ag_take ag_ring_take(struct ag_ring *ring, int64_t timeout_ns, struct ag_ring_slot **out,
                          struct ag_error *err)
{
    int64_t deadline = timeout_ns < 0 ? INT64_MAX : ag_now_ns() + timeout_ns;
    enum ag_take result = AG_TAKE_NONE;
    *out = NULL;
    pthread_mutex_lock(&ring->lock);
    for (;;) {
        int64_t now = ag_now_ns(), due;
        struct slot *slot = next_frame(ring, now, &due);
        if (slot && now >= due) {
            *out = hand_out(ring, slot, now);
            result = AG_TAKE_FRAME;
            break;
        }
        if (!slot && ring->flow == FLOW_END) {
            result = AG_TAKE_END;
            break;
        }
        if (!slot && ring->flow == FLOW_ERROR) {
            if (err) {
                *err = ring->error;
            }
            result = AG_TAKE_ERROR;
            break;
        }
        // Paused without a limit would wait for ever: only this thread can end the pause.
        if (now >= deadline || (ring->paused && !ring->steps && timeout_ns < 0)) {
            break;
        }
        wait_until(ring, AG_MIN(deadline, due));
    }
    pthread_mutex_unlock(&ring->lock);
    return result;
}

void ag_ring_release(struct ag_ring *ring, struct ag_ring_slot *view)
{
    struct slot *slot = (struct slot *)view;
    pthread_mutex_lock(&ring->lock);
    assert(slot->state == SLOT_TAKEN);
    slot->state = SLOT_FREE;
    pthread_cond_signal(&ring->pump_wake);
    pthread_mutex_unlock(&ring->lock);
}

// ---- playback -----------------------------------------------------------------------------------

static void seek(struct ag_ring *ring, int64_t pts_ns, bool before)
{
    pthread_mutex_lock(&ring->lock);
    if (!ring->info.seekable) {
        pthread_mutex_unlock(&ring->lock);
        return;
    }
    for (uint32_t i = 0; i < ring->n_slots; i++) {
        if (ring->slots[i].state == SLOT_WAITING) {
            ring->slots[i].state = SLOT_FREE;
        }
    }
    ring->seek_pending = true;
    ring->seek_ns = pts_ns;
    ring->seek_before = before;
    ring->flow = FLOW_RUNNING;
    ring->steps = 1;
    play_clock_reset(&ring->clock);
    pthread_cond_signal(&ring->pump_wake);
    pthread_mutex_unlock(&ring->lock);
}

void ag_ring_seek(struct ag_ring *ring, int64_t pts_ns)
{
    seek(ring, pts_ns, false);
}

void ag_ring_seek_before(struct ag_ring *ring, int64_t pts_ns)
{
    seek(ring, pts_ns, true);
}

void ag_ring_set_paused(struct ag_ring *ring, bool paused)
{
    pthread_mutex_lock(&ring->lock);
    if (paused != ring->paused) {
        ring->paused = paused;
        ring->steps = paused ? ring->steps : 0; // a seek just before keeps its frame
        play_clock_set_paused(&ring->clock, paused, ag_now_ns());
    }
    pthread_mutex_unlock(&ring->lock);
}

void ag_ring_step(struct ag_ring *ring)
{
    pthread_mutex_lock(&ring->lock);
    ring->steps += ring->paused;
    pthread_mutex_unlock(&ring->lock);
}

void ag_ring_set_rate(struct ag_ring *ring, double rate)
{
    pthread_mutex_lock(&ring->lock);
    play_clock_set_rate(&ring->clock, rate, ag_now_ns());
    pthread_mutex_unlock(&ring->lock);
}

void ag_ring_set_loop(struct ag_ring *ring, bool loop)
{
    pthread_mutex_lock(&ring->lock);
    ring->loop = loop;
    ring->loop_pending = true;
    if (loop && ring->flow == FLOW_END) {
        ring->flow = FLOW_RUNNING;
    }
    pthread_cond_signal(&ring->pump_wake);
    pthread_mutex_unlock(&ring->lock);
}

bool ag_ring_notice(struct ag_ring *ring, char *out, size_t size)
{
    pthread_mutex_lock(&ring->lock);
    bool fresh = ring->has_notice;
    if (fresh) {
        snprintf(out, size, "%s", ring->notice);
    }
    ring->has_notice = false;
    pthread_mutex_unlock(&ring->lock);
    return fresh;
}

struct ag_ring_stats ag_ring_get_stats(struct ag_ring *ring)
{
    pthread_mutex_lock(&ring->lock);
    struct ag_ring_stats stats = {
        .produced = ring->produced,
        .taken = ring->taken,
        .dropped = ring->dropped,
        .waiting = count_waiting(ring),
        .source = ring->info,
    };
    pthread_mutex_unlock(&ring->lock);
    return stats;
}
