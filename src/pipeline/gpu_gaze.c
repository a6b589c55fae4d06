#include "gpu_gaze.h"

#include <string.h>

#include "autogaze/tile_list.h"

#define OFFSET_ALIGN 256u // of ag_gpu_gaze_job

struct gpu_gaze {
    struct ag_gpu *gpu;
    struct ag_tiling tiling;
    uint32_t batch, batches;
    uint64_t picture_bytes;        // of a tile
    // Context `canvas` keeps nothing on the device from frame to frame but what the caller hands
    // in, so one model serves all batches. Context `frames`: one a batch.
    struct ag_gpu_model **models;
    uint32_t n_models;
    struct ag_tile_list *list;     // NULL: one tile
    struct ag_buffer *results;     // NULL: the model's own
    uint64_t block_bytes;          // of a batch
    uint64_t bytes;
};

static void destroy_models(struct gpu_gaze *g)
{
    for (uint32_t i = 0; i < g->n_models; i++) {
        ag_gpu_model_destroy(g->gpu, &g->models[i]);
    }
    ag_free(g->models);
    g->models = NULL;
    g->n_models = 0;
    g->bytes = 0;
}

void gpu_gaze_destroy(struct ag_gpu *gpu, struct gpu_gaze **gaze)
{
    struct gpu_gaze *g = *gaze;
    if (!g) {
        return;
    }
    destroy_models(g);
    ag_tile_list_destroy(gpu, &g->list);
    ag_buffer_destroy(gpu, &g->results);
    ag_free(g);
    *gaze = NULL;
}

static bool create_models(struct gpu_gaze *g, const struct ag_log *log,
                          const struct gpu_gaze_params *p, struct ag_error *err)
{
    struct ag_gpu_model_params params = {
        .stream = p->stream, .streams = g->batch, .precision = p->precision,
        // By the number of tiles, not of those in a batch: ids must not depend on the batch. Tiles
        // end apart from each other, and only separate dispatches give the last ones all cores.
        .decode = g->tiling.tiles > 1 ? AG_DECODE_SPLIT : AG_DECODE_AUTO,
    };
    uint32_t n = p->stream.context == AG_CONTEXT_CANVAS ? 1 : g->batches;
    g->models = ag_alloc(n * sizeof(*g->models));
    for (uint32_t i = 0; i < n; i++) {
        g->models[i] = ag_gpu_model_create(g->gpu, log, p->model, &params, err);
        if (!g->models[i]) {
            destroy_models(g);
            return false;
        }
        g->n_models = i + 1;
        g->bytes += ag_gpu_model_bytes(g->models[i]);
    }
    return true;
}

// Batches as even as they can be; pictures of a batch begin where a binding may.
static void cut(struct gpu_gaze *g, uint32_t batches)
{
    g->batch = AG_DIV_UP(g->tiling.tiles, batches);
    while (g->batch < g->tiling.tiles && g->batch * g->picture_bytes % OFFSET_ALIGN) {
        g->batch++;
    }
    g->batches = AG_DIV_UP(g->tiling.tiles, g->batch);
}

// Smaller and smaller batches until the models fit. Too little memory is found before any is taken.
static bool fit_models(struct gpu_gaze *g, const struct ag_log *log,
                       const struct gpu_gaze_params *p, struct ag_error *err)
{
    uint32_t tiles = g->tiling.tiles;
    uint32_t wished = p->batch ? AG_MIN(p->batch, tiles) : tiles;
    cut(g, AG_DIV_UP(tiles, wished));
    uint32_t first = g->batch;
    struct ag_error whole = { 0 };
    for (;;) {
        struct ag_error why = { 0 };
        if (create_models(g, log, p, &why)) {
            break;
        }
        whole = whole.status ? whole : why;
        if (why.status != AG_ERR_DEVICE || g->batch == 1 || g->batches == tiles) {
            // Batches do not help the contexts of `frames`, which are all kept: say what all need.
            const struct ag_error *say = p->stream.context == AG_CONTEXT_CANVAS ? &why : &whole;
            if (tiles == 1) {
                return ag_fail_kind(err, say->status, say->kind, "%s", say->text);
            }
            return ag_fail_kind(err, say->status, say->kind, "%u tiles: %.640s or --mode realtime",
                                tiles, say->text);
        }
        cut(g, AG_MIN(2 * g->batches, tiles));
    }
    if (g->batch < first) {
        ag_info(log, "%u tiles at once do not fit (%s): %u at a time", first, whole.text,
                g->batch);
    }
    return true;
}

struct gpu_gaze *gpu_gaze_create(struct ag_gpu *gpu, const struct ag_log *log,
                                 const struct gpu_gaze_params *p, struct ag_error *err)
{
    struct gpu_gaze *g = ag_alloc(sizeof(*g));
    uint32_t side = p->model->config.image_size;
    g->gpu = gpu;
    g->tiling = p->tiling;
    g->picture_bytes = 12ull * side * side;
    if (!fit_models(g, log, p, err)) {
        goto fail;
    }
    ag_gpu_model_results(g->models[0], &g->block_bytes);
    if (g->batches > 1) {
        g->results = ag_buffer_create(gpu, AG_MEM_DEVICE, g->batches * g->block_bytes,
                                      "tiles/results", err);
        if (!g->results) {
            goto fail;
        }
    }
    if (g->tiling.tiles > 1) {
        g->list = ag_tile_list_create(gpu, err);
        if (!g->list || !ag_tile_list_configure(g->list, &g->tiling, &p->model->config, g->batch,
                                                g->batches, err)) {
            goto fail;
        }
    }
    return g;
fail:
    gpu_gaze_destroy(gpu, &g);
    return NULL;
}

void gpu_gaze_reset(struct gpu_gaze *g)
{
    for (uint32_t i = 0; i < g->n_models; i++) {
        ag_gpu_model_reset(g->models[i]);
    }
}

uint64_t gpu_gaze_bytes(const struct gpu_gaze *g)
{
    return g->bytes;
}

uint32_t gpu_gaze_batch(const struct gpu_gaze *g)
{
    return g->batch;
}

uint32_t gpu_gaze_pictures(const struct gpu_gaze *g)
{
    return g->batch * g->batches;
}

static bool record_batch(struct gpu_gaze *g, struct ag_cmd *cmd, const struct ag_gpu_gaze_job *job,
                         uint32_t index, struct ag_mask *out, struct ag_error *err)
{
    struct ag_gpu_gaze_job part = *job;
    struct ag_gpu_model *model = g->models[g->n_models > 1 ? index : 0];
    uint64_t at = index * g->batch * g->picture_bytes;
    part.input_offset = part.canvas_offset = part.previous_offset = at;
    if (g->batches > 1 && g->n_models == 1) {
        ag_gpu_model_reset(model); // what it saw last were other tiles
    }
    struct ag_mask ids;
    if (!ag_gpu_model_record(model, cmd, &part, &ids, err)) {
        return false;
    }
    *out = ids;
    if (g->list) {
        ag_cmd_stage_begin(cmd, AG_STAGE_DECODE);
        ag_tile_list_record(g->list, cmd, &ids, index, out);
        ag_cmd_stage_end(cmd);
    }
    if (g->results) {
        uint64_t bytes;
        const struct ag_buffer *block = ag_gpu_model_results(model, &bytes);
        ag_cmd_copy(cmd, g->results, index * bytes, block, 0, bytes);
    }
    return true;
}

bool gpu_gaze_record(struct gpu_gaze *g, struct ag_cmd *cmd, const struct ag_gpu_gaze_job *job,
                     struct ag_mask *out, struct ag_error *err)
{
    for (uint32_t i = 0; i < g->batches; i++) {
        if (!record_batch(g, cmd, job, i, out, err)) {
            return false;
        }
        if (g->list) {
            ag_cmd_barrier(cmd); // before what reads the list, and the next batch
        }
    }
    return true;
}

const struct ag_buffer *gpu_gaze_results(const struct gpu_gaze *g, uint64_t *bytes)
{
    *bytes = g->batches * g->block_bytes;
    return g->results ? g->results : ag_gpu_model_results(g->models[0], bytes);
}

struct ag_gaze gpu_gaze_decode(struct gpu_gaze *g, const void *block, struct gaze_set *out)
{
    gaze_set_begin(out);
    for (uint32_t t = 0; t < g->tiling.tiles; t++) {
        uint32_t b = t / g->batch;
        ag_gpu_model_decode(g->models[g->n_models > 1 ? b : 0],
                            (const char *)block + b * g->block_bytes, t % g->batch, &out->tile[t]);
    }
    for (uint32_t i = 0; i < g->n_models; i++) {
        ag_gpu_model_note(g->models[i], (const char *)block + i * g->block_bytes);
    }
    return gaze_set_end(out);
}
