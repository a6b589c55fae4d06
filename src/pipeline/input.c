// From the options to an open source and a running ring.
#include "priv.h"

#include <stdio.h>
#include <string.h>

static void *resize_staging(void *user, void **handle, uint64_t size)
{
    struct ag_gpu *gpu = user;
    struct ag_buffer *b = *handle;
    ag_buffer_destroy(gpu, &b);
    if (size) {
        b = ag_buffer_create(gpu, AG_MEM_UPLOAD, size, "source/staging", NULL);
    }
    *handle = b;
    return b ? b->data : NULL;
}

static struct ag_source_params source_params(const struct ag_config *c)
{
    return (struct ag_source_params){
        .driver = strcmp(c->source, "auto") == 0 ? NULL : c->source,
        .uri = c->n_files ? c->files[0] : NULL,
        .fps = c->source_fps > 0 ? c->source_fps : 30,
        .width = c->synthetic_size.width,
        .height = c->synthetic_size.height,
        .loop = c->loop == AG_UNSET ? !c->headless : c->loop == AG_YES,
        .start_s = c->start_s,
        .allow_protocols = c->allow_protocols,
        .raw = c->raw,
    };
}

static struct ag_source *open_source(struct ag_pipeline *p, struct ag_error *err)
{
    const struct ag_config *c = &p->config;
    struct ag_source_params params = source_params(c);
    bool camera = params.driver && strcmp(params.driver, "camera") == 0;
    bool any = !params.driver && !params.uri;
    if (camera || any) {
        params.driver = "camera";
        params.uri = c->camera_device;
        params.camera_format = c->camera_format;
        params.camera_fps = c->camera_fps;
        params.width = c->camera_size.width;
        params.height = c->camera_size.height;
    }
    struct ag_error why = { 0 };
    struct ag_source *source = ag_source_open(p->log, &params, any ? &why : err);
    if (source || !any) {
        return source;
    }
    // Nothing was asked for and there is no camera: show something that moves, and say so.
    snprintf(p->notice, sizeof(p->notice),
             "No camera (%.300s): showing synthetic-local-motion. Give a file, or --source.",
             why.text);
    ag_info(p->log, "%s", p->notice);
    params.driver = "synthetic-local-motion";
    params.uri = NULL;
    params.width = c->synthetic_size.width;
    params.height = c->synthetic_size.height;
    return ag_source_open(p->log, &params, err);
}

// A ring on the source, which it owns (also after a failure).
static struct ag_ring *start(struct ag_pipeline *p, struct ag_source *source, uint64_t last_id,
                             bool *lockstep, struct ag_error *err)
{
    const struct ag_config *c = &p->config;
    bool live = ag_source_get_info(source).live;
    *lockstep = c->lockstep == AG_UNSET ? c->headless && !live : c->lockstep == AG_YES;
    return ag_ring_create(p->log, source,
                          &(struct ag_ring_params){
                              .mode = live && !*lockstep ? AG_RING_LATEST : AG_RING_BLOCK,
                              .slots = FRAMES_IN_FLIGHT + 2,
                              .paced = !*lockstep && !live && c->source_fps > 0,
                              .rate = c->rate,
                              .last_id = last_id,
                              .resize = resize_staging,
                              .user = p->gpu,
                          },
                          err);
}

bool pipeline_open_source(struct ag_pipeline *p, struct ag_error *err)
{
    const struct ag_config *c = &p->config;
    if (c->n_files > 1) {
        return ag_fail(err, AG_ERR_USAGE, "one input at a time: found %d ('%s', '%s', ...)",
                       c->n_files, c->files[0], c->files[1]);
    }
    struct ag_source *source = open_source(p, err);
    if (!source) {
        return false;
    }
    p->source = ag_source_get_info(source);
    p->ring = start(p, source, 0, &p->lockstep, err);
    return p->ring != NULL;
}

bool ag_pipeline_open(struct ag_pipeline *p, const char *uri, struct ag_error *err)
{
    struct ag_source_params params = source_params(&p->config);
    params.driver = NULL;
    params.uri = uri;
    params.start_s = 0;
    struct ag_source *source = ag_source_open(p->log, &params, err);
    if (!source) {
        return false;
    }
    struct ag_source_info info = ag_source_get_info(source);
    struct ag_ring_stats stats = ag_ring_get_stats(p->ring);
    bool lockstep;
    // What is in flight holds slots of the old ring. What that one still produces nobody sees.
    if (!ag_pipeline_drain(p, err)) {
        ag_source_close(&source);
        return false;
    }
    struct ag_ring *ring = start(p, source, stats.produced, &lockstep, err);
    if (!ring) {
        return false;
    }
    p->dropped_before += stats.dropped;
    ag_ring_destroy(&p->ring);
    p->ring = ring;
    p->source = info;
    p->lockstep = lockstep;
    p->ended = false;
    p->notice[0] = 0;
    p->moving = p->paused;
    if (p->paused) {
        ag_ring_set_paused(ring, true);
        ag_ring_step(ring);
    }
    return true;
}
