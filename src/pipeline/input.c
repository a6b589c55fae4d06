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

static struct ag_source *open_source(struct ag_pipeline *p, struct ag_error *err)
{
    const struct ag_config *c = &p->config;
    struct ag_source_params params = {
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
    bool lockstep = p->lockstep = c->lockstep == AG_UNSET ? c->headless && !p->source.live : c->lockstep == AG_YES;
    p->ring = ag_ring_create(p->log, source,
                             &(struct ag_ring_params){
                                 .mode = p->source.live && !lockstep ? AG_RING_LATEST : AG_RING_BLOCK,
                                 .slots = FRAMES_IN_FLIGHT + 2,
                                 .paced = !lockstep && !p->source.live && c->source_fps > 0,
                                 .rate = c->rate,
                                 .resize = resize_staging,
                                 .user = p->gpu,
                             },
                             err);
    return p->ring != NULL;
}
