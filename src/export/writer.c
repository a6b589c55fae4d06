// The writer thread, its queue of pictures and its queue of reports.
//
// A picture slot goes FREE -> TAKEN (the render thread's) -> WAITING -> WRITING (the writer's) ->
// FREE. The lock is held except while files are written and memory is made.
#include <assert.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>

#include "internal.h"

#define DEFAULT_SLOTS 4
#define REPORTS 64

enum slot_state { SLOT_FREE, SLOT_TAKEN, SLOT_WAITING, SLOT_WRITING };

struct slot {
    struct ag_export_picture view; // first member: what the render thread holds
    enum slot_state state;         // under the lock
    uint64_t size;                 // this and below: of the slot's owner by state
    enum ag_export_use use;
    uint64_t serial; // of a frame: number of the recording that it was acquired for
    uint64_t order;  // of handing in
    int64_t pts_ns;
    char *path; // of a screenshot
};

struct report_slot {
    struct ag_frame_report report; // its pointers point to the rest of this struct
    char mask_source[64];
    uint32_t *cells, *ids; // [capacity of the queue]
    float *losses;
    struct ag_gaze *tiles;
};

enum recording { NO_RECORDING, RECORDING, ENDING };

struct ag_export {
    // Constant after creation.
    const struct ag_log *log;
    bool wait;
    void *(*resize)(void *user, void **handle, uint64_t size);
    void *user;
    struct slot *slots;
    uint32_t n_slots;
    pthread_t thread;

    // The render thread's.
    bool finished;
    uint32_t report_capacity; // cells a report; changed only while the queue is empty
    uint32_t tile_capacity;   // tiles a report, likewise

    // The writer's; the trace and the gaze file from creation on.
    struct ag_trace *trace;
    struct ag_gaze_export *gaze;

    pthread_mutex_t lock; // everything below
    pthread_cond_t work, room;
    bool stop;
    uint64_t order;
    enum recording recording;
    uint64_t serial;           // recordings so far
    struct recorder *recorder; // the writer's unless NO_RECORDING
    struct report_slot reports[REPORTS];
    uint64_t reports_in, reports_out;
    struct ag_export_status status;
    struct ag_error error; // the first one
};

// ---- notices ------------------------------------------------------------------------------------

// The lock is held.
static void notice(struct ag_export *e, bool failure, const char *text)
{
    e->status.notices++;
    e->status.failure = failure;
    snprintf(e->status.notice, sizeof(e->status.notice), "%s", text);
    ag_log(e->log, failure ? AG_LOG_WARN : AG_LOG_INFO, "%s", text);
}

static void failure(struct ag_export *e, const struct ag_error *err)
{
    if (e->error.status == AG_OK) {
        e->error = *err;
    }
    notice(e, true, err->text);
}

// ---- the writer's side --------------------------------------------------------------------------

// The functions of this section are called with the lock held and give it up in between.

static void write_report(struct ag_export *e)
{
    const struct ag_frame_report *r = &e->reports[e->reports_out % REPORTS].report;
    pthread_mutex_unlock(&e->lock);
    ag_trace_add(e->trace, r);
    // Frames of another mode than that of the first have other streams: not part of the file.
    if (e->gaze && r->has_gaze && gaze_export_takes(e->gaze, AG_MAX(r->n_tiles, 1u))) {
        ag_gaze_export_add(e->gaze, r->n_tiles ? r->tiles : &r->gaze);
    }
    pthread_mutex_lock(&e->lock);
    e->reports_out++;
}

static void write_screenshot(struct ag_export *e, struct slot *slot)
{
    const struct ag_export_picture *p = &slot->view;
    const uint8_t *pictures[AG_EXPORT_MAX_PICTURES];
    struct ag_error err = { .status = AG_OK };
    pthread_mutex_unlock(&e->lock);
    for (uint32_t i = 0; i < p->count; i++) {
        pictures[i] = p->pixels + (size_t)i * p->width * p->height * 4;
    }
    bool ok = ag_screenshot_write(slot->path, pictures, p->count, p->width, p->height, &err);
    pthread_mutex_lock(&e->lock);
    if (ok) {
        char text[sizeof(e->status.notice)];
        snprintf(text, sizeof(text), "wrote '%s'", slot->path);
        notice(e, false, text);
    } else {
        failure(e, &err);
    }
    ag_free(slot->path);
    slot->path = NULL;
}

static void set_progress(struct ag_export *e, const struct recorder_info *info)
{
    e->status.frames = info->frames;
    e->status.duration_ns = info->duration_ns;
    e->status.bytes = info->bytes;
}

static void close_recording(struct ag_export *e)
{
    char report[sizeof(e->status.notice)] = "";
    struct ag_error err = { .status = AG_OK };
    struct recorder_info info;
    e->recording = ENDING;
    pthread_mutex_unlock(&e->lock);
    bool ok = recorder_close(&e->recorder, &info, report, sizeof(report), &err);
    pthread_mutex_lock(&e->lock);
    e->recording = NO_RECORDING;
    set_progress(e, &info);
    if (ok) {
        notice(e, false, report);
    } else {
        failure(e, &err);
    }
}

static void write_frame(struct ag_export *e, struct slot *slot)
{
    const struct ag_export_picture *p = &slot->view;
    if (e->recording == NO_RECORDING || slot->serial != e->serial) { // it came to an early end
        return;
    }
    pthread_mutex_unlock(&e->lock);
    bool ok = recorder_add(e->recorder, p->pixels, p->width, p->height, slot->pts_ns);
    struct recorder_info info = recorder_get_info(e->recorder);
    pthread_mutex_lock(&e->lock);
    set_progress(e, &info);
    if (!ok) {
        close_recording(e);
    }
}

static struct slot *oldest_waiting(struct ag_export *e)
{
    struct slot *oldest = NULL;
    for (uint32_t i = 0; i < e->n_slots; i++) {
        struct slot *s = &e->slots[i];
        if (s->state == SLOT_WAITING && (!oldest || s->order < oldest->order)) {
            oldest = s;
        }
    }
    return oldest;
}

static bool frames_taken(const struct ag_export *e)
{
    for (uint32_t i = 0; i < e->n_slots; i++) {
        const struct slot *s = &e->slots[i];
        if (s->state == SLOT_TAKEN && s->use == AG_EXPORT_FRAME && s->serial == e->serial) {
            return true;
        }
    }
    return false;
}

static void write_slot(struct ag_export *e, struct slot *slot)
{
    slot->state = SLOT_WRITING;
    if (slot->use == AG_EXPORT_FRAME) {
        write_frame(e, slot);
    } else {
        write_screenshot(e, slot);
    }
    slot->state = SLOT_FREE;
}

// One thing that is to be done; false: nothing.
static bool write_next(struct ag_export *e)
{
    struct slot *slot = oldest_waiting(e);
    if (e->reports_out < e->reports_in) {
        write_report(e);
    } else if (slot) {
        write_slot(e, slot);
    } else if (e->recording == ENDING && !frames_taken(e)) {
        close_recording(e);
    } else {
        return false;
    }
    return true;
}

static void close_files(struct ag_export *e)
{
    struct ag_error trace = { .status = AG_OK }, gaze = { .status = AG_OK };
    if (e->recording != NO_RECORDING) {
        close_recording(e);
    }
    pthread_mutex_unlock(&e->lock);
    bool trace_ok = ag_trace_close(&e->trace, &trace);
    bool gaze_ok = ag_gaze_export_close(&e->gaze, &gaze);
    pthread_mutex_lock(&e->lock);
    if (!trace_ok) {
        failure(e, &trace);
    }
    if (!gaze_ok) {
        failure(e, &gaze);
    }
}

static void *writer(void *user)
{
    struct ag_export *e = user;
    pthread_mutex_lock(&e->lock);
    for (;;) {
        if (write_next(e)) {
            pthread_cond_signal(&e->room);
        } else if (e->stop) {
            break;
        } else {
            pthread_cond_wait(&e->work, &e->lock);
        }
    }
    close_files(e);
    pthread_mutex_unlock(&e->lock);
    return NULL;
}

// ---- life ---------------------------------------------------------------------------------------

static void *resize_host(void *user, void **handle, uint64_t size)
{
    (void)user;
    ag_free(*handle);
    *handle = size ? ag_alloc(size) : NULL;
    return *handle;
}

// Signals are for the main thread; a write beyond RLIMIT_FSIZE is to be an error like any other.
static int start_thread(struct ag_export *e)
{
    sigset_t all, before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    int error = pthread_create(&e->thread, NULL, writer, e);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    return error;
}

struct ag_export *ag_export_create(const struct ag_log *log, const struct ag_export_params *params,
                                   struct ag_error *err)
{
    struct ag_export *e = ag_alloc(sizeof(*e));
    e->log = log;
    e->wait = params->wait;
    e->resize = params->resize ? params->resize : resize_host;
    e->user = params->user;
    e->n_slots = params->slots ? params->slots : DEFAULT_SLOTS;
    e->slots = ag_alloc(e->n_slots * sizeof(*e->slots));
    e->trace = params->trace;
    e->gaze = params->gaze;
    pthread_mutex_init(&e->lock, NULL);
    pthread_cond_init(&e->work, NULL);
    pthread_cond_init(&e->room, NULL);
    int error = start_thread(e);
    if (error) {
        ag_fail(err, AG_ERR_OUTPUT, "cannot start the writer thread: %s", strerror(error));
        e->finished = true; // nothing to join
        ag_trace_close(&e->trace, NULL);
        ag_gaze_export_abort(&e->gaze);
        ag_export_destroy(&e);
    }
    return e;
}

static void join(struct ag_export *e)
{
    pthread_mutex_lock(&e->lock);
    e->stop = true;
    pthread_cond_signal(&e->work);
    pthread_mutex_unlock(&e->lock);
    pthread_join(e->thread, NULL);
    e->finished = true;
}

bool ag_export_finish(struct ag_export *e, struct ag_error *err)
{
    assert(!e->finished);
    join(e);
    for (uint32_t i = 0; i < e->n_slots; i++) {
        assert(e->slots[i].state == SLOT_FREE);
    }
    return e->error.status == AG_OK || ag_fail(err, e->error.status, "%s", e->error.text);
}

void ag_export_destroy(struct ag_export **pe)
{
    struct ag_export *e = *pe;
    if (!e) {
        return;
    }
    if (!e->finished) {
        join(e);
    }
    for (uint32_t i = 0; i < e->n_slots; i++) {
        if (e->slots[i].view.memory) {
            e->resize(e->user, &e->slots[i].view.memory, 0);
        }
    }
    for (uint32_t i = 0; i < REPORTS; i++) {
        ag_free(e->reports[i].cells);
        ag_free(e->reports[i].ids);
        ag_free(e->reports[i].losses);
        ag_free(e->reports[i].tiles);
    }
    pthread_cond_destroy(&e->room);
    pthread_cond_destroy(&e->work);
    pthread_mutex_destroy(&e->lock);
    ag_free(e->slots);
    ag_free(e);
    *pe = NULL;
}

// ---- the render thread's side -------------------------------------------------------------------

// Memory for a slot that is the render thread's. false: there is none.
static bool make_room(struct ag_export *e, struct slot *slot, uint64_t bytes)
{
    if (bytes > slot->size) {
        slot->size = 0;
        slot->view.pixels = e->resize(e->user, &slot->view.memory, bytes);
        slot->size = slot->view.pixels ? bytes : 0;
    }
    return slot->size >= bytes;
}

static bool fail_memory(struct ag_error *err, uint32_t width, uint32_t height, uint64_t bytes)
{
    return ag_fail(err, AG_ERR_DEVICE, "no memory for a picture of %ux%u to export (%llu bytes)",
                   width, height, (unsigned long long)bytes);
}

// The lock is held. The slot is the render thread's then.
static struct slot *take_free(struct ag_export *e, bool *busy)
{
    struct slot *found = NULL;
    *busy = false;
    for (uint32_t i = 0; i < e->n_slots; i++) {
        struct slot *s = &e->slots[i];
        *busy |= s->state == SLOT_WAITING || s->state == SLOT_WRITING;
        // Those that have memory already first.
        if (s->state == SLOT_FREE && (!found || s->size > found->size)) {
            found = s;
        }
    }
    if (found) {
        found->state = SLOT_TAKEN;
    }
    return found;
}

static struct slot *take(struct ag_export *e, enum ag_export_use use)
{
    bool busy, waited = false;
    pthread_mutex_lock(&e->lock);
    struct slot *slot = NULL;
    while (use == AG_EXPORT_SCREENSHOT || e->recording == RECORDING) {
        slot = take_free(e, &busy);
        if (slot || !e->wait || !busy) {
            if (slot) {
                slot->use = use;
                slot->serial = e->serial;
            } else if (use == AG_EXPORT_FRAME) {
                e->status.dropped++;
            }
            break;
        }
        e->status.waits += !waited;
        waited = true;
        pthread_cond_wait(&e->room, &e->lock);
    }
    pthread_mutex_unlock(&e->lock);
    return slot;
}

struct ag_export_picture *ag_export_acquire(struct ag_export *e, enum ag_export_use use,
                                            uint32_t width, uint32_t height, uint32_t count)
{
    assert(!e->finished && width && height && count && count <= AG_EXPORT_MAX_PICTURES);
    assert(use == AG_EXPORT_SCREENSHOT || count == 1);
    struct slot *slot = take(e, use);
    if (!slot) {
        return NULL;
    }
    uint64_t bytes = (uint64_t)width * height * 4 * count;
    if (!make_room(e, slot, bytes)) {
        struct ag_error err = { .status = AG_OK };
        fail_memory(&err, width, height, bytes);
        pthread_mutex_lock(&e->lock);
        slot->state = SLOT_FREE;
        e->status.dropped += use == AG_EXPORT_FRAME;
        failure(e, &err);
        pthread_mutex_unlock(&e->lock);
        return NULL;
    }
    slot->view.width = width;
    slot->view.height = height;
    slot->view.count = count;
    return &slot->view;
}

static void hand_in(struct ag_export *e, struct slot *slot, enum slot_state state)
{
    pthread_mutex_lock(&e->lock);
    assert(slot->state == SLOT_TAKEN);
    slot->state = state;
    slot->order = e->order++;
    pthread_cond_signal(&e->work); // also when released: a recording may be waiting for its end
    pthread_mutex_unlock(&e->lock);
}

void ag_export_frame(struct ag_export *e, struct ag_export_picture *picture, int64_t pts_ns)
{
    struct slot *slot = (struct slot *)picture;
    assert(slot->use == AG_EXPORT_FRAME);
    slot->pts_ns = pts_ns;
    hand_in(e, slot, SLOT_WAITING);
}

void ag_export_screenshot(struct ag_export *e, struct ag_export_picture *picture,
                          const char *path)
{
    struct slot *slot = (struct slot *)picture;
    assert(slot->use == AG_EXPORT_SCREENSHOT);
    slot->path = ag_strdup(path);
    hand_in(e, slot, SLOT_WAITING);
}

void ag_export_release(struct ag_export *e, struct ag_export_picture *picture)
{
    hand_in(e, (struct slot *)picture, SLOT_FREE);
}

// ---- recording ----------------------------------------------------------------------------------

// Memory now rather than with the first frames; slots that are busy get it when they are taken.
static bool make_all_room(struct ag_export *e, const struct ag_recording *recording,
                          struct ag_error *err)
{
    uint64_t bytes = (uint64_t)recording->width * recording->height * 4;
    bool ok = true;
    for (uint32_t i = 0; i < e->n_slots && ok; i++) {
        struct slot *slot = &e->slots[i];
        pthread_mutex_lock(&e->lock);
        bool mine = slot->state == SLOT_FREE;
        if (mine) {
            slot->state = SLOT_TAKEN;
            slot->use = AG_EXPORT_FRAME;
        }
        pthread_mutex_unlock(&e->lock);
        if (mine) {
            ok = make_room(e, slot, bytes) ||
                 fail_memory(err, recording->width, recording->height, bytes);
            hand_in(e, slot, SLOT_FREE);
        }
    }
    return ok;
}

bool ag_export_record(struct ag_export *e, const struct ag_recording *recording,
                      struct ag_error *err)
{
    assert(!e->finished && recording->width && recording->height);
    pthread_mutex_lock(&e->lock);
    bool busy = e->recording != NO_RECORDING;
    pthread_mutex_unlock(&e->lock);
    if (busy) {
        return ag_fail(err, AG_ERR_OUTPUT,
                       "cannot record to '%s': the last recording is not complete yet, try again",
                       recording->path);
    }
    if (!ag_export_can_record(recording->path, err) || !make_all_room(e, recording, err)) {
        return false;
    }
    struct recorder *recorder = recorder_open(e->log, recording, err);
    if (!recorder) {
        return false;
    }
    pthread_mutex_lock(&e->lock);
    e->recorder = recorder;
    e->recording = RECORDING;
    e->serial++;
    e->status.frames = e->status.dropped = 0;
    e->status.duration_ns = 0;
    e->status.bytes = 0;
    pthread_mutex_unlock(&e->lock);
    return true;
}

void ag_export_stop_recording(struct ag_export *e)
{
    pthread_mutex_lock(&e->lock);
    if (e->recording == RECORDING) {
        e->recording = ENDING;
        pthread_cond_signal(&e->work);
    }
    pthread_mutex_unlock(&e->lock);
}

// ---- reports ------------------------------------------------------------------------------------

// The lock is held. Larger arrays for all slots at once, when the writer has none of them.
static void make_report_room(struct ag_export *e, uint32_t cells, uint32_t tiles)
{
    while (e->reports_out < e->reports_in) {
        pthread_cond_wait(&e->room, &e->lock);
    }
    for (uint32_t i = 0; i < REPORTS; i++) {
        struct report_slot *s = &e->reports[i];
        s->cells = ag_realloc(s->cells, cells * sizeof(*s->cells));
        s->ids = ag_realloc(s->ids, cells * sizeof(*s->ids));
        s->losses = ag_realloc(s->losses, cells * sizeof(*s->losses));
        s->tiles = ag_realloc(s->tiles, tiles * sizeof(*s->tiles));
    }
    e->report_capacity = cells;
    e->tile_capacity = tiles;
}

static void copy_report(struct report_slot *s, const struct ag_frame_report *r)
{
    s->report = *r;
    snprintf(s->mask_source, sizeof(s->mask_source), "%s", r->mask_source ? r->mask_source : "");
    s->report.mask_source = s->mask_source;
    if (r->n_cells) {
        memcpy(s->cells, r->cells, r->n_cells * sizeof(*s->cells));
    }
    s->report.cells = s->cells;
    if (r->has_gaze && r->gaze.slots) {
        memcpy(s->ids, r->gaze.ids, r->gaze.slots * sizeof(*s->ids));
        memcpy(s->losses, r->gaze.losses, r->gaze.slots * sizeof(*s->losses));
    }
    s->report.gaze.ids = s->ids;
    s->report.gaze.losses = s->losses;
    uint32_t slots = 0;
    for (uint32_t t = 0; t < r->n_tiles; t++) {
        s->tiles[t] = r->tiles[t];
        s->tiles[t].ids = s->ids + slots;
        s->tiles[t].losses = s->losses + slots;
        slots += r->tiles[t].slots;
    }
    s->report.tiles = s->tiles;
}

void ag_export_report(struct ag_export *e, const struct ag_frame_report *r)
{
    assert(!e->finished);
    uint32_t cells = AG_MAX(r->layout.cells, r->n_cells);
    cells = AG_MAX(cells, r->has_gaze ? r->gaze.slots : 1);
    pthread_mutex_lock(&e->lock);
    if (cells > e->report_capacity || r->n_tiles > e->tile_capacity) {
        make_report_room(e, AG_MAX(cells, e->report_capacity), AG_MAX(r->n_tiles, 1u));
    }
    e->status.waits += e->reports_in - e->reports_out == REPORTS;
    while (e->reports_in - e->reports_out == REPORTS) {
        pthread_cond_wait(&e->room, &e->lock);
    }
    copy_report(&e->reports[e->reports_in % REPORTS], r);
    e->reports_in++;
    pthread_cond_signal(&e->work);
    pthread_mutex_unlock(&e->lock);
}

// ---- what the person should know ----------------------------------------------------------------

void ag_export_get_status(struct ag_export *e, struct ag_export_status *out)
{
    pthread_mutex_lock(&e->lock);
    *out = e->status;
    out->recording = e->recording == RECORDING;
    for (uint32_t i = 0; i < e->n_slots; i++) {
        out->waiting += e->slots[i].state == SLOT_WAITING || e->slots[i].state == SLOT_WRITING;
    }
    pthread_mutex_unlock(&e->lock);
}
