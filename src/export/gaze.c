// Gaze of all frames in memory, four bytes a slot, and what the arrays of the file are made of.
#include <assert.h>
#include <stdio.h>
#include <string.h>

#include "gaze_file.h"
#include "internal.h"
#include "path.h"

#define MAX_BYTES ((uint64_t)4 << 30)
#define OVERHEAD 32768 // of headers and directories, at most
#define MAX_ARRAYS (AG_MAX_SCALES + 7)

enum container { SAFETENSORS, NPZ };
static const char *const endings[] = { [SAFETENSORS] = ".safetensors", [NPZ] = ".npz" };

struct gaze_frame {
    uint64_t id;
    size_t first; // in ids: [streams][slots] of this frame
    uint32_t slots;
};

struct ag_gaze_export {
    char *path;
    struct ag_output *out;
    enum container container;
    uint32_t streams, n_scales, cells;
    uint32_t scale[AG_MAX_SCALES], scale_first[AG_MAX_SCALES], scale_cells[AG_MAX_SCALES];
    char scales[128], n_cells[16]; // the constants, as text
    uint64_t max_bytes, bytes;     // of the arrays so far
    uint64_t left_out;             // frames beyond max_bytes
    struct gaze_frame *frames;
    size_t n_frames, frame_capacity;
    uint32_t *ids; // local to the frame; `cells` is a pad
    size_t n_ids, id_capacity;
};

static void describe(struct ag_gaze_export *g, const struct ag_model_config *c)
{
    size_t length = 0;
    g->n_scales = c->n_scales;
    g->cells = c->cells;
    for (uint32_t s = 0; s < c->n_scales; s++) {
        g->scale[s] = c->scale[s];
        g->scale_first[s] = c->scale_first[s];
        g->scale_cells[s] = c->scale_grid[s] * c->scale_grid[s];
        length += (size_t)snprintf(g->scales + length, sizeof(g->scales) - length, "%s%u",
                                   s ? "+" : "", c->scale[s]);
    }
    snprintf(g->n_cells, sizeof(g->n_cells), "%u", c->cells);
}

struct ag_gaze_export *ag_gaze_export_open(const char *path,
                                           const struct ag_gaze_export_params *params,
                                           struct ag_error *err)
{
    int container = path_ending(path, endings, AG_COUNT(endings));
    if (container < 0) {
        ag_fail(err, AG_ERR_USAGE,
                "cannot export gaze to '%s': the name must end in .safetensors or .npz", path);
        return NULL;
    }
    if (!params->model) {
        ag_fail(err, AG_ERR_USAGE,
                "cannot export gaze to '%s': this run has no model, its masks are no gaze; "
                "use --mask-source autogaze",
                path);
        return NULL;
    }
    struct ag_output *out = ag_output_open(path, err);
    if (!out) {
        return NULL;
    }
    struct ag_gaze_export *g = ag_alloc(sizeof(*g));
    g->path = ag_strdup(path);
    g->out = out;
    g->container = (enum container)container;
    g->streams = params->streams;
    g->max_bytes = params->max_bytes ? AG_MIN(params->max_bytes, MAX_BYTES) : MAX_BYTES;
    g->bytes = OVERHEAD;
    describe(g, params->model);
    return g;
}

bool gaze_export_takes(struct ag_gaze_export *g, uint32_t streams)
{
    if (!g->streams) {
        g->streams = streams;
    }
    return g->streams == streams;
}

static void *grow(void *array, size_t *capacity, size_t needed, size_t element)
{
    if (needed <= *capacity) {
        return array;
    }
    size_t bytes;
    *capacity = AG_MAX(needed, AG_MAX(*capacity * 2, (size_t)1024));
    if (!ag_mul_size(*capacity, element, &bytes)) {
        bytes = SIZE_MAX; // ends the program as any allocation that large
    }
    return ag_realloc(array, bytes);
}

void ag_gaze_export_add(struct ag_gaze_export *g, const struct ag_gaze *gaze)
{
    gaze_export_takes(g, g->streams ? g->streams : 1);
    uint32_t slots = 0;
    for (uint32_t b = 0; b < g->streams; b++) {
        slots = AG_MAX(slots, gaze[b].slots);
    }
    uint64_t all = (uint64_t)g->streams * slots;
    uint64_t bytes = all * (8 + 1) + 2 * 8 + (uint64_t)g->streams * g->cells * 4;
    if (g->left_out || bytes > g->max_bytes - AG_MIN(g->max_bytes, g->bytes)) {
        g->left_out++;
        return;
    }
    g->bytes += bytes;
    g->frames = grow(g->frames, &g->frame_capacity, g->n_frames + 1, sizeof(*g->frames));
    g->ids = grow(g->ids, &g->id_capacity, g->n_ids + all, sizeof(*g->ids));
    g->frames[g->n_frames++] =
        (struct gaze_frame){ .id = gaze[0].frame_id, .first = g->n_ids, .slots = slots };
    for (uint32_t b = 0; b < g->streams; b++) {
        uint32_t *row = g->ids + g->n_ids;
        for (uint32_t i = 0; i < slots; i++) {
            row[i] = i < gaze[b].slots ? gaze[b].ids[i] : g->cells;
            assert(row[i] <= g->cells);
        }
        g->n_ids += slots;
    }
}

// ---- the arrays ---------------------------------------------------------------------------------

static const uint32_t *ids_of(const struct ag_gaze_export *g, size_t frame, uint32_t stream)
{
    return g->ids + g->frames[frame].first + (size_t)stream * g->frames[frame].slots;
}

static void produce_pos(const void *owner, uint32_t index, struct sink *sink)
{
    const struct ag_gaze_export *g = owner;
    (void)index;
    for (uint32_t b = 0; b < g->streams; b++) {
        for (size_t t = 0; t < g->n_frames; t++) {
            const uint32_t *ids = ids_of(g, t, b);
            for (uint32_t i = 0; i < g->frames[t].slots; i++) {
                sink_i64(sink, (int64_t)ids[i] + (int64_t)g->cells * (int64_t)t);
            }
        }
    }
}

static void produce_padded(const void *owner, uint32_t index, struct sink *sink)
{
    const struct ag_gaze_export *g = owner;
    (void)index;
    for (uint32_t b = 0; b < g->streams; b++) {
        for (size_t t = 0; t < g->n_frames; t++) {
            const uint32_t *ids = ids_of(g, t, b);
            for (uint32_t i = 0; i < g->frames[t].slots; i++) {
                sink_bool(sink, ids[i] == g->cells);
            }
        }
    }
}

static void produce_counts(const void *owner, uint32_t index, struct sink *sink)
{
    const struct ag_gaze_export *g = owner;
    (void)index;
    for (size_t t = 0; t < g->n_frames; t++) {
        sink_i64(sink, g->frames[t].slots);
    }
}

static void produce_frame_ids(const void *owner, uint32_t index, struct sink *sink)
{
    const struct ag_gaze_export *g = owner;
    (void)index;
    for (size_t t = 0; t < g->n_frames; t++) {
        sink_i64(sink, (int64_t)g->frames[t].id);
    }
}

static void produce_mask(const void *owner, uint32_t scale, struct sink *sink)
{
    const struct ag_gaze_export *g = owner;
    uint32_t first = g->scale_first[scale], n = g->scale_cells[scale];
    bool *mask = ag_alloc(n * sizeof(*mask));
    for (uint32_t b = 0; b < g->streams; b++) {
        for (size_t t = 0; t < g->n_frames; t++) {
            const uint32_t *ids = ids_of(g, t, b);
            memset(mask, 0, n * sizeof(*mask));
            for (uint32_t i = 0; i < g->frames[t].slots; i++) {
                if (ids[i] >= first && ids[i] - first < n) {
                    mask[ids[i] - first] = true;
                }
            }
            for (uint32_t i = 0; i < n; i++) {
                sink_f32(sink, mask[i]);
            }
        }
    }
    ag_free(mask);
}

static void produce_scales(const void *owner, uint32_t index, struct sink *sink)
{
    const struct ag_gaze_export *g = owner;
    (void)index;
    for (uint32_t s = 0; s < g->n_scales; s++) {
        sink_i64(sink, g->scale[s]);
    }
}

static void produce_number(const void *owner, uint32_t number, struct sink *sink)
{
    (void)owner;
    sink_i64(sink, number);
}

static uint32_t list_arrays(const struct ag_gaze_export *g, struct array *arrays)
{
    uint64_t streams = g->streams, frames = g->n_frames, slots = g->n_ids / g->streams;
    uint32_t n = 0;
    arrays[n++] = (struct array){ .name = "gazing_pos", .type = ARRAY_I64, .rank = 2,
                                  .shape = { streams, slots }, .produce = produce_pos };
    arrays[n++] = (struct array){ .name = "num_gazing_each_frame", .type = ARRAY_I64, .rank = 1,
                                  .shape = { frames }, .produce = produce_counts };
    arrays[n++] = (struct array){ .name = "frame_id", .type = ARRAY_I64, .rank = 1,
                                  .shape = { frames }, .produce = produce_frame_ids };
    for (uint32_t s = 0; s < g->n_scales; s++) {
        arrays[n] = (struct array){ .type = ARRAY_F32, .rank = 3,
                                    .shape = { streams, frames, g->scale_cells[s] },
                                    .produce = produce_mask, .index = s };
        snprintf(arrays[n].name, sizeof(arrays[n].name), "gazing_mask_%u", g->scale[s]);
        n++;
    }
    arrays[n++] = (struct array){ .name = "if_padded_gazing", .type = ARRAY_BOOL, .rank = 2,
                                  .shape = { streams, slots }, .produce = produce_padded };
    arrays[n++] = (struct array){ .name = "scales", .type = ARRAY_I64, .rank = 1,
                                  .shape = { g->n_scales }, .produce = produce_scales,
                                  .metadata = g->scales };
    arrays[n++] = (struct array){ .name = "frame_sampling_rate", .type = ARRAY_I64,
                                  .produce = produce_number, .index = 1, .metadata = "1" };
    arrays[n++] = (struct array){ .name = "num_vision_tokens_each_frame", .type = ARRAY_I64,
                                  .produce = produce_number, .index = g->cells,
                                  .metadata = g->n_cells };
    assert(n <= MAX_ARRAYS);
    return n;
}

// ---- the end ------------------------------------------------------------------------------------

bool ag_gaze_export_close(struct ag_gaze_export **pg, struct ag_error *err)
{
    struct ag_gaze_export *g = *pg;
    if (!g) {
        return true;
    }
    gaze_export_takes(g, 1); // a file without frames has one stream
    struct array arrays[MAX_ARRAYS];
    uint32_t n = list_arrays(g, arrays);
    switch (g->container) {
    case SAFETENSORS:
        write_safetensors(g->out, g, arrays, n);
        break;
    case NPZ:
        write_npz(g->out, g, arrays, n);
        break;
    }
    bool ok = ag_output_commit(&g->out, err);
    if (ok && g->left_out) {
        ok = ag_fail(err, AG_ERR_OUTPUT,
                     "'%s' holds only the first %zu frames of gaze: %llu more would make it larger "
                     "than %llu bytes; export a shorter piece",
                     g->path, g->n_frames, (unsigned long long)g->left_out,
                     (unsigned long long)g->max_bytes);
    }
    ag_gaze_export_abort(pg);
    return ok;
}

void ag_gaze_export_abort(struct ag_gaze_export **pg)
{
    struct ag_gaze_export *g = *pg;
    if (!g) {
        return;
    }
    ag_output_abort(&g->out);
    ag_free(g->frames);
    ag_free(g->ids);
    ag_free(g->path);
    ag_free(g);
    *pg = NULL;
}
