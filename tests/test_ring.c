// The ring and its pump with a scripted source: this file is the source module of the test.
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "autogaze/ring.h"

#include "../src/ring/play_clock.h"

#define MS 1000000ll
#define FRAME_NS (10 * MS)

// ---- the scripted source ------------------------------------------------------------------------

enum finale { FINALE_END, FINALE_ERROR, FINALE_AGAIN, FINALE_BLOCK };

struct script {
    uint32_t frames; // then the finale
    enum finale finale;
    bool live, not_seekable, loop;
    uint32_t grow_at; // from this frame on frames are larger
    uint32_t notice_at; // before this frame it says something
    bool hold_reads;  // ag_source_read waits until the test lets go
};

struct ag_source {
    struct script script;
    uint32_t next; // index of the next frame
    bool discontinuity;
    pthread_mutex_t lock;
    pthread_cond_t changed;
    bool interrupted, reading, hold;
};

static atomic_int open_sources;

static struct ag_source *open_script(struct script script)
{
    struct ag_source *s = ag_alloc(sizeof(*s));
    s->script = script;
    s->discontinuity = true;
    s->hold = script.hold_reads;
    pthread_mutex_init(&s->lock, NULL);
    pthread_cond_init(&s->changed, NULL);
    atomic_fetch_add(&open_sources, 1);
    return s;
}

struct ag_source_info ag_source_get_info(const struct ag_source *s)
{
    return (struct ag_source_info){ .driver = "script",
                                    .description = "script",
                                    .live = s->script.live,
                                    .seekable = !s->script.not_seekable,
                                    .fps = 100 };
}

void ag_source_close(struct ag_source **s)
{
    if (*s) {
        pthread_cond_destroy(&(*s)->changed);
        pthread_mutex_destroy(&(*s)->lock);
        atomic_fetch_sub(&open_sources, 1);
    }
    ag_free(*s);
    *s = NULL;
}

void ag_source_interrupt(struct ag_source *s)
{
    pthread_mutex_lock(&s->lock);
    s->interrupted = true;
    pthread_cond_broadcast(&s->changed);
    pthread_mutex_unlock(&s->lock);
}

static enum ag_next finale(struct ag_source *s, struct ag_error *err)
{
    switch (s->script.finale) {
    case FINALE_ERROR:
        ag_fail(err, AG_ERR_INPUT, "the script says so");
        return AG_NEXT_ERROR;
    case FINALE_AGAIN:
        return AG_NEXT_AGAIN;
    case FINALE_BLOCK:
        pthread_mutex_lock(&s->lock);
        while (!s->interrupted) {
            pthread_cond_wait(&s->changed, &s->lock);
        }
        pthread_mutex_unlock(&s->lock);
        return AG_NEXT_END;
    case FINALE_END:
        break;
    }
    return AG_NEXT_END;
}

enum ag_next ag_source_next(struct ag_source *s, struct ag_frame *out, struct ag_error *err)
{
    if (s->next >= s->script.frames && s->script.finale == FINALE_END && s->script.loop) {
        s->next = 0;
        s->discontinuity = true;
    }
    if (s->next >= s->script.frames) {
        return finale(s, err);
    }
    bool large = s->script.grow_at && s->next >= s->script.grow_at;
    *out = (struct ag_frame){ .pts_ns = s->next * FRAME_NS,
                              .width = 4,
                              .height = 1,
                              .discontinuity = s->discontinuity,
                              .bytes = large ? 64 : 4,
                              .index = s->next };
    s->discontinuity = false;
    s->next++;
    return AG_NEXT_FRAME;
}

void ag_source_read(struct ag_source *s, uint8_t *dst)
{
    pthread_mutex_lock(&s->lock);
    s->reading = true;
    pthread_cond_broadcast(&s->changed);
    while (s->hold) {
        pthread_cond_wait(&s->changed, &s->lock);
    }
    s->reading = false;
    pthread_mutex_unlock(&s->lock);
    uint32_t index = s->next - 1;
    memcpy(dst, &index, sizeof(index));
}

bool ag_source_seek(struct ag_source *s, int64_t pts_ns, struct ag_error *err)
{
    (void)err;
    s->next = (uint32_t)((pts_ns + FRAME_NS - 1) / FRAME_NS);
    s->discontinuity = true;
    return true;
}

bool ag_source_seek_before(struct ag_source *s, int64_t pts_ns, struct ag_error *err)
{
    return ag_source_seek(s, AG_MAX(pts_ns - FRAME_NS, 0), err);
}

bool ag_source_notice(struct ag_source *s, char *out, size_t size)
{
    if (s->next != s->script.notice_at || !s->script.notice_at) {
        return false;
    }
    s->script.notice_at = 0;
    snprintf(out, size, "a sentence");
    return true;
}

void ag_source_set_loop(struct ag_source *s, bool loop)
{
    s->script.loop = loop;
}

// ---- helpers ------------------------------------------------------------------------------------

static struct ag_ring *start(struct ag_source *source, struct ag_ring_params params)
{
    struct ag_error err = { 0 };
    struct ag_ring *ring = ag_ring_create(NULL, source, &params, &err);
    assert_non_null(ring);
    return ring;
}

static void stop(struct ag_ring **ring)
{
    ag_ring_destroy(ring);
    assert_null(*ring);
    assert_int_equal(atomic_load(&open_sources), 0);
}

// Takes a frame and gives it back; its content must be that of the index it claims.
static struct ag_frame take(struct ag_ring *ring)
{
    struct ag_ring_slot *slot;
    struct ag_error err = { 0 };
    enum ag_take result = ag_ring_take(ring, 20000 * MS, &slot, &err);
    if (result != AG_TAKE_FRAME) {
        fail_msg("no frame: result %d %s", result, err.text);
    }
    struct ag_frame frame = slot->frame;
    assert_int_equal(memcmp(frame.data, &frame.index, 4), 0);
    ag_ring_release(ring, slot);
    return frame;
}

static enum ag_take try_take(struct ag_ring *ring, int64_t timeout_ns)
{
    struct ag_ring_slot *slot;
    enum ag_take result = ag_ring_take(ring, timeout_ns, &slot, NULL);
    if (result == AG_TAKE_FRAME) {
        ag_ring_release(ring, slot);
    }
    return result;
}

static void wait_produced(struct ag_ring *ring, uint64_t n)
{
    for (int i = 0; i < 20000 && ag_ring_get_stats(ring).produced < n; i++) {
        ag_sleep_ns(MS);
    }
    assert_true(ag_ring_get_stats(ring).produced >= n);
}

// ---- tests --------------------------------------------------------------------------------------

static void test_order_and_end(void **state)
{
    (void)state;
    struct ag_ring *ring = start(open_script((struct script){ .frames = 50 }),
                                 (struct ag_ring_params){ .mode = AG_RING_BLOCK });
    for (uint32_t i = 0; i < 50; i++) {
        struct ag_frame frame = take(ring);
        assert_int_equal(frame.id, i + 1);
        assert_int_equal(frame.index, i);
        assert_int_equal(frame.discontinuity, i == 0);
    }
    assert_int_equal(try_take(ring, 20000 * MS), AG_TAKE_END);
    assert_int_equal(try_take(ring, 0), AG_TAKE_END);
    struct ag_ring_stats stats = ag_ring_get_stats(ring);
    assert_int_equal(stats.produced, 50);
    assert_int_equal(stats.taken, 50);
    assert_int_equal(stats.dropped, 0);
    assert_int_equal(stats.waiting, 0);
    stop(&ring);
}

// A full ring makes the source wait: nothing is lost and nothing is overwritten.
static void test_block(void **state)
{
    (void)state;
    struct ag_ring *ring = start(open_script((struct script){ .frames = 10 }),
                                 (struct ag_ring_params){ .mode = AG_RING_BLOCK, .slots = 2 });
    wait_produced(ring, 2);
    ag_sleep_ns(10 * MS);
    assert_int_equal(ag_ring_get_stats(ring).produced, 2);
    assert_int_equal(ag_ring_get_stats(ring).waiting, 2);

    // Slots that are held count as full, and are released in any order.
    struct ag_ring_slot *a, *b;
    assert_int_equal(ag_ring_take(ring, -1, &a, NULL), AG_TAKE_FRAME);
    assert_int_equal(ag_ring_take(ring, -1, &b, NULL), AG_TAKE_FRAME);
    assert_int_equal(try_take(ring, 5 * MS), AG_TAKE_NONE);
    assert_int_equal(a->frame.id, 1);
    assert_int_equal(b->frame.id, 2);
    ag_ring_release(ring, b);
    wait_produced(ring, 3);
    assert_int_equal(memcmp(a->frame.data, &a->frame.index, 4), 0);
    ag_ring_release(ring, a);
    for (uint32_t i = 3; i <= 10; i++) {
        assert_int_equal(take(ring).id, i);
    }
    assert_int_equal(try_take(ring, -1), AG_TAKE_END);
    stop(&ring);
}

static void test_live_drops(void **state)
{
    (void)state;
    struct ag_ring *ring =
        start(open_script((struct script){ .frames = 10, .live = true, .finale = FINALE_AGAIN }),
              (struct ag_ring_params){ .mode = AG_RING_LATEST, .slots = 3 });
    wait_produced(ring, 10);
    assert_int_equal(ag_ring_get_stats(ring).waiting, 3);
    assert_int_equal(ag_ring_get_stats(ring).dropped, 7);
    // The newest wins; the first frame's flag is not lost with the first frame.
    struct ag_frame frame = take(ring);
    assert_int_equal(frame.id, 10);
    assert_int_equal(frame.index, 9);
    assert_true(frame.discontinuity);
    struct ag_ring_stats stats = ag_ring_get_stats(ring);
    assert_int_equal(stats.produced, 10);
    assert_int_equal(stats.taken, 1);
    assert_int_equal(stats.dropped, 9);
    assert_int_equal(try_take(ring, 5 * MS), AG_TAKE_NONE);
    stop(&ring);
}

// Live input does not wait for a taker that holds every slot.
static void test_live_all_taken(void **state)
{
    (void)state;
    struct ag_ring *ring =
        start(open_script((struct script){ .frames = 1000, .live = true, .finale = FINALE_AGAIN }),
              (struct ag_ring_params){ .mode = AG_RING_LATEST, .slots = 1 });
    struct ag_ring_slot *slot;
    assert_int_equal(ag_ring_take(ring, -1, &slot, NULL), AG_TAKE_FRAME);
    uint32_t index = slot->frame.index;
    wait_produced(ring, 1000);
    assert_int_equal(slot->frame.index, index);
    assert_int_equal(memcmp(slot->frame.data, &index, 4), 0);
    ag_ring_release(ring, slot);
    struct ag_ring_stats stats = ag_ring_get_stats(ring);
    assert_int_equal(stats.produced, stats.taken + stats.dropped + stats.waiting);
    stop(&ring);
}

static void test_error(void **state)
{
    (void)state;
    struct ag_ring *ring =
        start(open_script((struct script){ .frames = 3, .finale = FINALE_ERROR }),
              (struct ag_ring_params){ .mode = AG_RING_BLOCK });
    for (int i = 0; i < 3; i++) {
        take(ring);
    }
    for (int i = 0; i < 2; i++) {
        struct ag_ring_slot *slot;
        struct ag_error err = { 0 };
        assert_int_equal(ag_ring_take(ring, -1, &slot, &err), AG_TAKE_ERROR);
        assert_null(slot);
        assert_int_equal(err.status, AG_ERR_INPUT);
        assert_string_equal(err.text, "the script says so");
    }
    // Elsewhere the file may be fine.
    ag_ring_seek(ring, FRAME_NS);
    assert_int_equal(take(ring).index, 1);
    stop(&ring);
}

static void test_seek(void **state)
{
    (void)state;
    struct ag_ring *ring = start(open_script((struct script){ .frames = 1000 }),
                                 (struct ag_ring_params){ .mode = AG_RING_BLOCK, .slots = 3 });
    uint64_t last = 0;
    uint32_t random = 1;
    for (int i = 0; i < 500; i++) {
        random = random * 1664525u + 1013904223u;
        uint32_t target = (random >> 8) % 990;
        ag_ring_seek(ring, target * FRAME_NS - (random >> 20) % 2);
        for (uint32_t k = 0; k < (random >> 16) % 4; k++) {
            struct ag_frame frame = take(ring);
            assert_int_equal(frame.index, target + k);
            assert_int_equal(frame.discontinuity, k == 0);
            assert_true(frame.id > last);
            last = frame.id;
        }
    }
    // Backwards, one by one, as far as it goes.
    ag_ring_seek(ring, 3 * FRAME_NS);
    ag_ring_set_paused(ring, true);
    for (uint32_t i = 3; i < 7; i++) {
        struct ag_frame frame = take(ring);
        assert_int_equal(frame.index, i < 6 ? 6 - i : 0);
        assert_true(frame.id > last);
        last = frame.id;
        assert_int_equal(try_take(ring, 0), AG_TAKE_NONE);
        ag_ring_seek_before(ring, frame.pts_ns);
    }
    ag_ring_set_paused(ring, false);
    // Back from the end.
    ag_ring_seek(ring, 999 * FRAME_NS);
    assert_int_equal(take(ring).index, 999);
    assert_int_equal(try_take(ring, -1), AG_TAKE_END);
    ag_ring_seek(ring, 5 * FRAME_NS);
    assert_int_equal(take(ring).index, 5);
    stop(&ring);
}

// A seek while the pump is copying a frame: that frame is stale and never seen.
static void test_seek_while_filling(void **state)
{
    (void)state;
    struct ag_source *source = open_script((struct script){ .frames = 100, .hold_reads = true });
    struct ag_ring *ring = start(source, (struct ag_ring_params){ .mode = AG_RING_BLOCK });
    pthread_mutex_lock(&source->lock);
    while (!source->reading) {
        pthread_cond_wait(&source->changed, &source->lock);
    }
    pthread_mutex_unlock(&source->lock);
    ag_ring_seek(ring, 42 * FRAME_NS);
    pthread_mutex_lock(&source->lock);
    source->hold = false;
    pthread_cond_broadcast(&source->changed);
    pthread_mutex_unlock(&source->lock);
    struct ag_frame frame = take(ring);
    assert_int_equal(frame.index, 42);
    assert_int_equal(frame.id, 1);
    stop(&ring);
}

// A ring that follows another goes on with its ids.
static void test_ids_go_on(void **state)
{
    (void)state;
    struct ag_ring *ring =
        start(open_script((struct script){ .frames = 3 }),
              (struct ag_ring_params){ .mode = AG_RING_BLOCK, .last_id = 41 });
    for (uint64_t i = 0; i < 3; i++) {
        assert_int_equal(take(ring).id, 42 + i);
    }
    assert_int_equal(ag_ring_get_stats(ring).produced, 44);
    stop(&ring);
}

static void test_notice(void **state)
{
    (void)state;
    struct ag_ring *ring = start(open_script((struct script){ .frames = 5, .notice_at = 2 }),
                                 (struct ag_ring_params){ .mode = AG_RING_BLOCK });
    for (int i = 0; i < 5; i++) {
        take(ring);
    }
    char text[64] = "";
    assert_true(ag_ring_notice(ring, text, sizeof(text)));
    assert_string_equal(text, "a sentence");
    assert_false(ag_ring_notice(ring, text, sizeof(text)));
    stop(&ring);
}

static void test_not_seekable(void **state)
{
    (void)state;
    struct ag_ring *ring = start(open_script((struct script){ .frames = 5, .not_seekable = true }),
                                 (struct ag_ring_params){ .mode = AG_RING_BLOCK });
    take(ring);
    ag_ring_seek(ring, 0);
    assert_int_equal(take(ring).index, 1);
    stop(&ring);
}

static void test_pause_and_step(void **state)
{
    (void)state;
    struct ag_ring *ring = start(open_script((struct script){ .frames = 100 }),
                                 (struct ag_ring_params){ .mode = AG_RING_BLOCK, .paced = true });
    assert_int_equal(take(ring).index, 0);
    ag_ring_set_paused(ring, true);
    wait_produced(ring, 4);
    assert_int_equal(try_take(ring, 30 * MS), AG_TAKE_NONE);
    assert_int_equal(try_take(ring, -1), AG_TAKE_NONE); // would never end
    ag_ring_step(ring);
    assert_int_equal(take(ring).index, 1);
    assert_int_equal(try_take(ring, 0), AG_TAKE_NONE);
    ag_ring_seek(ring, 7 * FRAME_NS);
    assert_int_equal(take(ring).index, 7);
    assert_int_equal(try_take(ring, 15 * MS), AG_TAKE_NONE);
    ag_ring_set_paused(ring, false);
    assert_int_equal(take(ring).index, 8);
    // A seek right before a pause still shows its frame.
    ag_ring_seek(ring, 3 * FRAME_NS);
    ag_ring_set_paused(ring, true);
    assert_int_equal(take(ring).index, 3);
    stop(&ring);
}

// Frames never come before their time; how much later they come is the machine's business.
static void test_paced(void **state)
{
    (void)state;
    struct ag_ring *ring =
        start(open_script((struct script){ .frames = 8 }),
              (struct ag_ring_params){ .mode = AG_RING_BLOCK, .paced = true, .rate = 2 });
    take(ring);
    int64_t first = ag_now_ns();
    for (int64_t i = 1; i < 8; i++) {
        take(ring);
        assert_true(ag_now_ns() - first >= i * FRAME_NS / 2 - MS);
    }
    stop(&ring);
}

static void test_loop(void **state)
{
    (void)state;
    struct ag_ring *ring = start(open_script((struct script){ .frames = 3, .loop = true }),
                                 (struct ag_ring_params){ .mode = AG_RING_BLOCK });
    for (uint32_t i = 0; i < 10; i++) {
        struct ag_frame frame = take(ring);
        assert_int_equal(frame.id, i + 1);
        assert_int_equal(frame.index, i % 3);
        assert_int_equal(frame.discontinuity, i % 3 == 0);
    }
    ag_ring_set_loop(ring, false);
    enum ag_take result;
    do {
        result = try_take(ring, -1);
    } while (result == AG_TAKE_FRAME);
    assert_int_equal(result, AG_TAKE_END);
    ag_ring_set_loop(ring, true);
    assert_int_equal(take(ring).index, 0);
    assert_int_equal(take(ring).index, 1);
    stop(&ring);
}

// Returns at once whatever the pump is doing. (A hang is the test's time limit.)
static void test_destroy_while_blocked(void **state)
{
    (void)state;
    struct ag_ring_params block = { .mode = AG_RING_BLOCK, .slots = 2 };
    struct ag_ring *ring = start(open_script((struct script){ .frames = 10 }), block);
    stop(&ring); // just begun

    ring = start(open_script((struct script){ .frames = 10 }), block);
    wait_produced(ring, 2);
    stop(&ring); // full

    ring = start(open_script((struct script){ .frames = 1, .finale = FINALE_BLOCK }), block);
    take(ring);
    assert_int_equal(try_take(ring, MS), AG_TAKE_NONE);
    stop(&ring); // inside ag_source_next

    ring = start(open_script((struct script){ .frames = 1 }), block);
    take(ring);
    assert_int_equal(try_take(ring, -1), AG_TAKE_END);
    stop(&ring); // at the end

    ring = start(open_script((struct script){ .frames = 10 }), block);
    struct ag_ring_slot *slot;
    assert_int_equal(ag_ring_take(ring, -1, &slot, NULL), AG_TAKE_FRAME);
    stop(&ring); // with a slot taken
}

struct memory {
    int calls, live;
    uint64_t fail_at; // sizes from here on fail, 0: none
};

static void *resize(void *user, void **handle, uint64_t size)
{
    struct memory *memory = user;
    memory->calls++;
    memory->live -= *handle != NULL;
    free(*handle);
    *handle = NULL;
    if (size == 0 || (memory->fail_at && size >= memory->fail_at)) {
        return NULL;
    }
    memory->live++;
    return *handle = malloc(size);
}

// Slots grow when frames do and never else; the handle is the taker's view of the memory.
static void test_memory(void **state)
{
    (void)state;
    struct memory memory = { 0 };
    struct ag_ring_params params = {
        .mode = AG_RING_BLOCK, .slots = 2, .resize = resize, .user = &memory
    };
    struct ag_ring *ring =
        start(open_script((struct script){ .frames = 100, .grow_at = 50 }), params);
    for (int i = 0; i < 100; i++) {
        struct ag_ring_slot *slot;
        assert_int_equal(ag_ring_take(ring, -1, &slot, NULL), AG_TAKE_FRAME);
        assert_ptr_equal(slot->memory, slot->frame.data);
        assert_int_equal(memcmp(slot->frame.data, &slot->frame.index, 4), 0);
        ag_ring_release(ring, slot);
    }
    stop(&ring);
    // Of each slot: small, large, free. A taker that keeps up leaves the second one alone.
    assert_in_range(memory.calls, 3, 6);
    assert_int_equal(memory.live, 0);

    memory = (struct memory){ .fail_at = 64 };
    ring = start(open_script((struct script){ .frames = 100, .grow_at = 3 }), params);
    for (int i = 0; i < 3; i++) {
        take(ring);
    }
    struct ag_ring_slot *slot;
    struct ag_error err = { 0 };
    assert_int_equal(ag_ring_take(ring, -1, &slot, &err), AG_TAKE_ERROR);
    assert_non_null(strstr(err.text, "64 bytes"));
    stop(&ring);
    assert_int_equal(memory.live, 0);
}

static void test_no_allocation(void **state)
{
    (void)state;
    struct ag_ring *ring = start(open_script((struct script){ .frames = 2000 }),
                                 (struct ag_ring_params){ .mode = AG_RING_BLOCK });
    wait_produced(ring, 4); // every slot has its memory
    uint64_t before = ag_alloc_count();
    for (int i = 0; i < 1000; i++) {
        take(ring);
    }
    assert_int_equal(ag_alloc_count(), before);
    stop(&ring);
}

// ---- the playback clock, on a made-up time line -------------------------------------------------

static int64_t play(struct play_clock *clock, int64_t pts, int64_t now)
{
    int64_t due = play_clock_due(clock, pts, now);
    play_clock_taken(clock, pts, AG_MAX(due, now));
    return due;
}

static void test_clock(void **state)
{
    (void)state;
    struct play_clock c;
    play_clock_init(&c, 0, 100);
    assert_int_equal(play(&c, 500 * MS, 1000 * MS), 1000 * MS); // the first one anchors
    assert_int_equal(play(&c, 510 * MS, 1000 * MS), 1010 * MS);
    assert_int_equal(play(&c, 550 * MS, 1010 * MS), 1050 * MS); // variable frame rate
    assert_int_equal(play(&c, 560 * MS, 1090 * MS), 1060 * MS); // 30 ms late: catches up
    assert_int_equal(play(&c, 570 * MS, 1090 * MS), 1070 * MS);
    assert_int_equal(play(&c, 580 * MS, 2000 * MS), 1080 * MS); // very late: shifts
    assert_int_equal(play(&c, 590 * MS, 2000 * MS), 2010 * MS);
    assert_int_equal(play(&c, 0, 2010 * MS), 2020 * MS); // looped: one frame on
    assert_int_equal(play(&c, 10 * MS, 2020 * MS), 2030 * MS);
    assert_int_equal(play(&c, -1, 2030 * MS), 2040 * MS); // no timestamp: one frame on
    assert_int_equal(play(&c, 30 * MS, 2040 * MS), 2050 * MS);

    play_clock_set_rate(&c, 2, 2055 * MS); // at media time 35 ms
    assert_int_equal(play(&c, 45 * MS, 2055 * MS), 2060 * MS);
    play_clock_set_rate(&c, -1, 2060 * MS);     // ignored
    play_clock_set_paused(&c, true, 2061 * MS); // at 47 ms
    play_clock_set_rate(&c, 1, 2500 * MS);
    play_clock_set_paused(&c, false, 3000 * MS);
    assert_int_equal(play(&c, 50 * MS, 3000 * MS), 3003 * MS);

    play_clock_set_paused(&c, true, 3010 * MS);
    play_clock_taken(&c, 60 * MS, 4000 * MS); // stepped
    play_clock_set_paused(&c, false, 5000 * MS);
    assert_int_equal(play(&c, 70 * MS, 5000 * MS), 5010 * MS);

    play_clock_reset(&c);
    assert_int_equal(play(&c, 10 * MS, 6000 * MS), 6000 * MS);
    assert_int_equal(play(&c, 20 * MS, 6000 * MS), 6010 * MS);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_order_and_end),
        cmocka_unit_test(test_block),
        cmocka_unit_test(test_live_drops),
        cmocka_unit_test(test_live_all_taken),
        cmocka_unit_test(test_error),
        cmocka_unit_test(test_seek),
        cmocka_unit_test(test_seek_while_filling),
        cmocka_unit_test(test_ids_go_on),
        cmocka_unit_test(test_notice),
        cmocka_unit_test(test_not_seekable),
        cmocka_unit_test(test_pause_and_step),
        cmocka_unit_test(test_paced),
        cmocka_unit_test(test_loop),
        cmocka_unit_test(test_destroy_while_blocked),
        cmocka_unit_test(test_memory),
        cmocka_unit_test(test_no_allocation),
        cmocka_unit_test(test_clock),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
