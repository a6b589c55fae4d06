#include "takeaway.h"

#include <stdio.h>
#include <string.h>

// ---- begin and end ---------------------------------------------------------------------------

// Memory of a picture: the GPU copies straight into it.
static void *resize(void *user, void **handle, uint64_t size)
{
    struct takeaway *t = user;
    struct ag_buffer *buffer = *handle;
    ag_buffer_destroy(t->gpu, &buffer);
    if (size) {
        buffer = ag_buffer_create(t->gpu, AG_MEM_READBACK, size, "export/picture", NULL);
    }
    *handle = buffer;
    return buffer ? buffer->data : NULL;
}

static bool open_files(struct takeaway *t, struct ag_export_params *params, struct ag_error *err)
{
    const struct ag_config *c = t->config;
    if (c->record && !ag_export_can_record(c->record, err)) {
        return false;
    }
    if (c->trace) {
        params->trace = ag_trace_open(c->trace, err);
        if (!params->trace) {
            return false;
        }
    }
    if (c->export_gaze) {
        params->gaze = ag_gaze_export_open(
            c->export_gaze,
            &(struct ag_gaze_export_params){ .model = ag_pipeline_model(t->pipeline) }, err);
        if (!params->gaze) {
            ag_trace_close(&params->trace, NULL);
            return false;
        }
    }
    return true;
}

bool takeaway_begin(struct takeaway *t, const struct ag_log *log, const struct ag_config *config,
                    struct ag_gpu *gpu, struct ag_pipeline *pipeline, struct ag_error *err)
{
    *t = (struct takeaway){
        .log = log,
        .config = config,
        .gpu = gpu,
        .pipeline = pipeline,
        .wait = ag_pipeline_lockstep(pipeline),
        .record = config->record != NULL,
    };
    struct ag_export_params params = {
        .slots = TAKEAWAY_SLOTS, .wait = t->wait, .resize = resize, .user = t
    };
    if (!open_files(t, &params, err)) {
        return false;
    }
    t->reports = params.trace || params.gaze;
    t->export = ag_export_create(log, &params, err);
    return t->export != NULL;
}

static void hand_in(struct takeaway *t)
{
    struct pending first = t->pending[0];
    ag_buffer_invalidate(t->gpu, first.picture->memory);
    if (first.path) {
        ag_export_screenshot(t->export, first.picture, first.path);
        ag_free(first.path);
    } else {
        ag_export_frame(t->export, first.picture, first.pts_ns);
    }
    t->n_pending--;
    memmove(t->pending, t->pending + 1, t->n_pending * sizeof(t->pending[0]));
}

// false: the device is lost, and with it what was pending.
static bool wait_for_first(struct takeaway *t)
{
    if (ag_gpu_wait(t->gpu, t->pending[0].value, NULL)) {
        hand_in(t);
        return true;
    }
    for (uint32_t i = 0; i < t->n_pending; i++) {
        ag_export_release(t->export, t->pending[i].picture);
        ag_free(t->pending[i].path);
    }
    t->n_pending = 0;
    return false;
}

void takeaway_poll(struct takeaway *t)
{
    while (t->n_pending && ag_gpu_done(t->gpu, t->pending[0].value)) {
        hand_in(t);
    }
}

bool takeaway_finish(struct takeaway *t, struct ag_error *err)
{
    while (t->n_pending) {
        wait_for_first(t);
    }
    return ag_export_finish(t->export, err);
}

void takeaway_end(struct takeaway *t)
{
    while (t->n_pending) {
        wait_for_first(t);
    }
    ag_export_destroy(&t->export);
}

// ---- pictures --------------------------------------------------------------------------------

// A picture that nobody has, NULL: none now. The GPU's pictures become the writer's in time, so
// whoever may wait gets one.
static struct ag_export_picture *acquire(struct takeaway *t, enum ag_export_use use, bool wait,
                                         uint32_t width, uint32_t height)
{
    for (;;) {
        struct ag_export_picture *p = ag_export_acquire(t->export, use, width, height, 1);
        if (p || !wait || !t->n_pending || !wait_for_first(t)) {
            return p;
        }
    }
}

static bool capture(struct takeaway *t, struct ag_screen *screen,
                    const struct ag_screen_frame *frame, bool hud,
                    struct ag_export_picture *picture, char *path, struct ag_error *err)
{
    uint64_t value = ag_screen_capture(screen, frame, hud, picture->memory, err);
    if (!value) {
        ag_export_release(t->export, picture);
        ag_free(path);
        return false;
    }
    t->pending[t->n_pending++] = (struct pending){
        .picture = picture,
        .value = value,
        .pts_ns = ag_pipeline_pictures(t->pipeline).pts_ns,
        .path = path,
    };
    return true;
}

bool takeaway_screenshot(struct takeaway *t, struct ag_screen *screen,
                         struct ag_screen_frame *frame, const char *path, struct ag_error *err)
{
    uint32_t width, height;
    bool hud = t->config->screenshot_hud;
    takeaway_describe(t, frame);
    ag_screen_capture_size(screen, frame, hud, &width, &height);
    if (width == 0) {
        return ag_fail(err, AG_ERR_INPUT, "no frame was composed: '%s' is not written", path);
    }
    struct ag_export_picture *p = acquire(t, AG_EXPORT_SCREENSHOT, true, width, height);
    if (!p) {
        return ag_fail(err, AG_ERR_OUTPUT, "'%s' is not written: the disk does not keep up with "
                       "the recording, try again", path);
    }
    return capture(t, screen, frame, hud, p, ag_strdup(path), err);
}

// ---- recordings ------------------------------------------------------------------------------

bool takeaway_recording(const struct takeaway *t)
{
    struct ag_export_status status;
    ag_export_get_status(t->export, &status);
    return status.recording;
}

bool takeaway_start(struct takeaway *t, struct ag_screen *screen, struct ag_screen_frame *frame,
                    const char *path, struct ag_error *err)
{
    struct ag_recording recording = { .path = path };
    struct ag_run_info info;
    ag_pipeline_info(t->pipeline, &info);
    recording.fps = info.source.fps;
    ag_screen_capture_size(screen, frame, t->config->record_hud, &recording.width,
                           &recording.height);
    if (recording.width == 0) {
        return ag_fail(err, AG_ERR_INPUT, "there is no picture yet to record");
    }
    return ag_export_record(t->export, &recording, err);
}

void takeaway_stop(struct takeaway *t)
{
    ag_export_stop_recording(t->export);
}

bool takeaway_frame(struct takeaway *t, struct ag_screen *screen, struct ag_screen_frame *frame,
                    struct ag_error *err)
{
    if (t->record) {
        t->record = false;
        if (!takeaway_start(t, screen, frame, t->config->record, err)) {
            return false;
        }
    }
    if (!takeaway_recording(t)) {
        return true;
    }
    uint32_t width, height;
    bool hud = t->config->record_hud;
    takeaway_describe(t, frame);
    ag_screen_capture_size(screen, frame, hud, &width, &height);
    struct ag_export_picture *p = acquire(t, AG_EXPORT_FRAME, t->wait, width, height);
    return !p || capture(t, screen, frame, hud, p, NULL, err);
}

void takeaway_describe(const struct takeaway *t, struct ag_screen_frame *frame)
{
    struct ag_export_status status;
    ag_export_get_status(t->export, &status);
    frame->recording = status.recording;
    frame->recorded_ns = status.duration_ns;
    frame->recorded_drops = status.dropped;
}

// ---- reports and notices ---------------------------------------------------------------------

void takeaway_report(struct takeaway *t, const struct ag_frame_report *report)
{
    if (t->reports) {
        ag_export_report(t->export, report);
    }
}

bool takeaway_notice(struct takeaway *t, char *out, size_t size, bool *failure)
{
    struct ag_export_status status;
    ag_export_get_status(t->export, &status);
    if (status.notices == t->notices) {
        return false;
    }
    t->notices = status.notices;
    *failure = status.failure;
    snprintf(out, size, "%s", status.notice);
    return true;
}
