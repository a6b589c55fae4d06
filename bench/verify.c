// The cases of a file of golden vectors.
#include "verify_internal.h"

#include <string.h>

#include "autogaze/preprocess_ref.h"
#include "autogaze/tiles.h"

// Model inputs of all frames: as stored, the rest from the u8 sources.
static bool make_inputs(struct run *r)
{
    const struct ag_model_config *c = &r->model->config;
    const struct ag_safetensors_entry *given, *source = NULL;
    size_t size = input_size(c);
    const float *frames = GET_SIZED(r, float, "", "frames", AG_F32, &given, AG_ANY, 3,
                                    c->image_size, c->image_size);
    const uint8_t *pixels = NULL;
    if (!frames) {
        return false;
    }
    r->n_inputs = given->shape[0];
    if (ag_vectors_has(&r->vectors, "", "source")) {
        pixels = GET_SIZED(r, uint8_t, "", "source", AG_U8, &source, AG_ANY, AG_ANY, AG_ANY, 3);
        if (!pixels) {
            return false;
        }
        if (source->shape[0] < r->n_inputs || !source->shape[1] || !source->shape[2]) {
            return ag_verify_bad_file(r, "source", "has fewer frames than 'frames' or none");
        }
        r->n_inputs = source->shape[0];
    }
    r->inputs = ag_alloc(r->n_inputs * size * sizeof(*r->inputs));
    struct ag_verify_case *k = NULL;
    if (pixels) {
        k = ag_verify_add_case(r->report, "input", given->shape[0]);
    }
    for (uint32_t t = 0; pixels && t < r->n_inputs; t++) {
        size_t bytes = (size_t)source->shape[1] * source->shape[2] * 3;
        ag_ref_preprocess(&r->model->preprocess, pixels + t * bytes, source->shape[2],
                          source->shape[1], 3, c->image_size, r->inputs + t * size);
        if (t < given->shape[0]) {
            ag_verify_measure(k, AG_VERIFY_INPUT, r->inputs + t * size, frames + t * size, size);
        }
    }
    memcpy(r->inputs, frames, given->shape[0] * size * sizeof(*frames));
    if (k) {
        // Made on the host, whatever the back end.
        ag_verify_close_case(r->report, k, &ag_verify_f32);
    }
    return true;
}

// Context `frames`: tokens and past do not depend on the choice, so one slot a frame is enough.
static bool check_vision(struct run *r)
{
    const struct ag_model_config *c = &r->model->config;
    const struct ag_safetensors_entry *vision;
    struct expected e = { .frames = r->n_inputs, .budget = 1, .threshold = AG_NO_THRESHOLD };
    if (!ag_vectors_has(&r->vectors, "", "vision")) {
        return true;
    }
    e.vision = GET_SIZED(r, float, "", "vision", AG_F32, &vision, AG_ANY, c->tokens, c->width);
    e.past = GET(r, float, "", "conv_past", AG_F32, c->trunk_depth, c->channels, c->trunk_time - 1,
                 c->grid, c->grid);
    if (!e.vision || !e.past) {
        return false;
    }
    e.n_vision = vision->shape[0];
    struct ag_verify_case *k = ag_verify_add_case(r->report, "vision", e.frames);
    // Forced with rounds that end at once: any id will do.
    int64_t *counts = ag_alloc(e.frames * sizeof(*counts));
    int64_t *ids = ag_alloc(e.frames * sizeof(*ids));
    for (uint32_t t = 0; t < e.frames; t++) {
        counts[t] = 1;
    }
    e.counts = counts;
    e.ids = ids;
    e.local = true;
    struct ag_verify_case ignored = *k;
    struct play p = { .r = r, .out = &ignored, .e = &e, .inputs = r->inputs, .forced = true,
                      .stop = e.frames };
    bool ok = ag_verify_play(&p);
    k->forwards = ignored.forwards;
    k->error[AG_VERIFY_VISION] = ignored.error[AG_VERIFY_VISION];
    k->error[AG_VERIFY_PAST] = ignored.error[AG_VERIFY_PAST];
    ag_verify_close_case(r->report, k, r->backend->bounds);
    ag_free(counts);
    ag_free(ids);
    return ok;
}

// Input frames of a case: the common clip, or those of tile I for "tiles.I.".
static const float *inputs_of(struct run *r, const struct expected *e)
{
    const struct ag_model_config *c = &r->model->config;
    const struct ag_safetensors_entry *entry;
    unsigned tile;
    if (sscanf(e->prefix, "tiles.%u.", &tile) != 1) {
        if (e->frames <= r->n_inputs) {
            return r->inputs;
        }
        ag_verify_bad_file(r, e->prefix, "has more frames than the file");
        return NULL;
    }
    const float *tiles = GET_SIZED(r, float, "tiles.", "canvas_tiles", AG_F32, &entry, AG_ANY,
                                   AG_ANY, 3, c->image_size, c->image_size);
    if (tiles && (tile >= entry->shape[0] || e->frames > entry->shape[1])) {
        ag_verify_bad_file(r, e->prefix, "has no frames in tiles.canvas_tiles");
        return NULL;
    }
    return tiles ? tiles + (size_t)tile * entry->shape[1] * input_size(c) : NULL;
}

static bool check_case(struct run *r, const char *prefix)
{
    struct expected e;
    const float *inputs;
    if (!ag_verify_read_expected(r, prefix, &e) || !(inputs = inputs_of(r, &e))) {
        return false;
    }
    char name[32];
    snprintf(name, sizeof(name), "%.*s", (int)strlen(prefix) - 1, prefix);
    struct ag_verify_case *k = ag_verify_add_case(r->report, name, e.frames);
    bool ok = ag_verify_clip(r, k, &e, inputs);
    ag_verify_close_case(r->report, k, r->backend->bounds);
    return ok;
}

// The case `budget_threshold` fed one frame a call, ids local to the frame.
static bool check_stream(struct run *r)
{
    struct expected e;
    const struct ag_safetensors_entry *ids;
    if (!ag_vectors_has(&r->vectors, "stream.", "gazing_pos")) {
        return true;
    }
    if (!ag_verify_read_expected(r, "budget_threshold.", &e)) {
        return false;
    }
    snprintf(e.prefix, sizeof(e.prefix), "stream.");
    e.local = true;
    e.ids = GET_SIZED(r, int64_t, "stream.", "gazing_pos", AG_I64, &ids, AG_ANY);
    const float *inputs = inputs_of(r, &e);
    if (!e.ids || !inputs || !ag_verify_check_ids(r, &e, ids->shape[0], NULL)) {
        return false;
    }
    struct ag_verify_case *k = ag_verify_add_case(r->report, "stream", e.frames);
    bool ok = ag_verify_clip(r, k, &e, inputs);
    ag_verify_close_case(r->report, k, r->backend->bounds);
    return ok;
}

// One frame's stitched mask against the file's, scale by scale.
static bool compare_masks(struct run *r, struct ag_verify_case *k,
                          const struct ag_target_scales *target, const uint8_t *mask,
                          uint32_t frame, uint32_t frames)
{
    for (uint32_t s = 0; s < target->n_scales; s++) {
        char name[16];
        uint32_t side = target->map[s];
        snprintf(name, sizeof(name), "mask%u", s);
        const uint8_t *all = GET(r, uint8_t, "square.", name, AG_U8, frames, side, side);
        if (!all) {
            return false;
        }
        for (size_t i = 0; i < (size_t)side * side; i++) {
            if (mask[target->first[s] + i] != all[(size_t)frame * side * side + i]) {
                ag_verify_complain(k, "frame %u, mask of scale %u: row %zu, column %zu differs",
                                   frame, target->scale[s], i / side, i % side);
            }
        }
    }
    return true;
}

// A tile's clip against what an exact back end made of it: near ties are judged and named.
static bool judge_tile(struct run *r, struct ag_verify_case *k, const struct expected *e,
                       const struct ag_gaze *gaze, const float *inputs)
{
    size_t n = 0, cells = r->model->config.cells;
    int64_t *counts = ag_alloc(e->frames * sizeof(*counts));
    int64_t *ids = ag_alloc(e->frames * cells * sizeof(*ids));
    float *losses = ag_alloc(e->frames * cells * sizeof(*losses));
    for (uint32_t t = 0; t < e->frames; t++) {
        counts[t] = gaze[t].slots;
        for (uint32_t i = 0; i < gaze[t].slots; i++, n++) {
            ids[n] = gaze[t].ids[i];
            losses[n] = gaze[t].losses[i];
        }
    }
    struct expected own = *e;
    own.counts = counts;
    own.ids = ids;
    own.losses = losses;
    own.local = true;
    bool ok = ag_verify_clip(r, k, &own, inputs);
    ag_free(losses);
    ag_free(ids);
    ag_free(counts);
    return ok;
}

// A square clip through upstream's target scales (tiles.h): cut, each tile a stream of its own,
// stitched. `by` has the back end whose masks must be the file's; where that is not r's own (half
// precision: the file has no logits to judge near ties by), r's is compared with it, tile by tile.
static bool play_square(struct run *r, struct run *by, struct ag_verify_case *k,
                        const struct expected *e, const struct ag_target_scales *target,
                        const float *square)
{
    const struct ag_model_config *c = &r->model->config;
    uint32_t side = target->scale[target->n_scales - 1], frames = e->frames;
    uint32_t tiles = target->tiles_a_side * target->tiles_a_side;
    size_t size = input_size(c);
    float *cut = ag_alloc(tiles * size * sizeof(*cut));
    float *clips = ag_alloc(tiles * frames * size * sizeof(*clips)); // [tile][T]
    struct ag_gaze *gaze = ag_alloc(tiles * frames * sizeof(*gaze)); // [tile][T]
    struct ag_gaze *frame = ag_alloc(tiles * sizeof(*frame));
    uint32_t *ids = ag_alloc((size_t)tiles * frames * c->cells * sizeof(*ids));
    float *losses = ag_alloc((size_t)tiles * frames * c->cells * sizeof(*losses));
    uint32_t *stitched = ag_alloc(target->cells * sizeof(*stitched));
    uint8_t *mask = ag_alloc(target->cells);
    for (uint32_t t = 0; t < frames; t++) {
        ag_target_cut(target, c, square + (size_t)t * 3 * side * side, cut);
        for (uint32_t i = 0; i < tiles; i++) {
            memcpy(clips + (i * frames + t) * size, cut + i * size, size * sizeof(*cut));
            gaze[i * frames + t].ids = ids + (size_t)(i * frames + t) * c->cells;
            gaze[i * frames + t].losses = losses + (size_t)(i * frames + t) * c->cells;
        }
    }
    bool ok = true;
    for (uint32_t i = 0; ok && i < tiles; i++) {
        struct play p = { .r = by, .out = k, .e = e, .inputs = clips + i * frames * size,
                          .stop = frames, .kept = gaze + i * frames };
        ok = ag_verify_play(&p);
    }
    for (uint32_t t = 0; ok && t < frames; t++) {
        for (uint32_t i = 0; i < tiles; i++) {
            frame[i] = gaze[i * frames + t];
        }
        ag_target_stitch(target, c, frame, mask, stitched);
        ok = compare_masks(r, k, target, mask, t, frames);
    }
    for (uint32_t i = 0; ok && by != r && i < tiles; i++) {
        ok = judge_tile(r, k, e, gaze + i * frames, clips + i * frames * size);
    }
    ag_free(mask);
    ag_free(stitched);
    ag_free(losses);
    ag_free(ids);
    ag_free(frame);
    ag_free(gaze);
    ag_free(clips);
    ag_free(cut);
    return ok;
}

// Square frames of 2 x 2 tiles.
static bool check_square(struct run *r)
{
    const struct ag_model_config *c = &r->model->config;
    const struct ag_safetensors_entry *entry;
    struct expected e = { .prefix = "square." };
    if (!ag_vectors_has(&r->vectors, "square.", "source")) {
        return true;
    }
    struct ag_target_scales target;
    uint32_t scales[AG_MAX_SCALES];
    for (uint32_t s = 0; s < c->n_scales; s++) {
        scales[s] = 2 * c->scale_grid[s] * c->patch;
    }
    const float *square = GET_SIZED(r, float, "square.", "source", AG_F32, &entry, AG_ANY, 3,
                                    2 * c->image_size, 2 * c->image_size);
    if (!square || !ag_verify_read_params(r, "tiles.0.", &e) ||
        !ag_target_make(c, scales, c->n_scales, c->patch, &target, r->err)) {
        return false;
    }
    e.frames = entry->shape[0];
    struct ag_verify_case *k = ag_verify_add_case(r->report, "square", e.frames);
    bool exact = r->backend->bounds == &ag_verify_f32, ok = true;
    struct run by = *r;
    if (!exact) {
        by.backend = &ag_verify_cpu;
        by.handle = by.backend->create(r->model, &(struct ag_verify_options){ 0 }, r->err);
        ok = by.handle != NULL;
    }
    ok = ok && play_square(r, exact ? r : &by, k, &e, &target, square);
    if (!exact && by.handle) {
        by.backend->destroy(by.handle);
    }
    if (k->passed && !k->near_ties) {
        snprintf(k->ids, sizeof(k->ids), "identical");
    }
    ag_verify_close_case(r->report, k, r->backend->bounds);
    return ok;
}

static bool check_cases(struct run *r)
{
    static const char suffix[] = "gazing_pos";
    uint32_t found = 0;
    for (uint32_t i = 0; i < ag_safetensors_count(r->vectors.file); i++) {
        const char *name = ag_safetensors_at(r->vectors.file, i)->name;
        size_t n = strlen(name), k = strlen(suffix);
        char prefix[32];
        if (n <= k || strcmp(name + n - k, suffix) != 0 || name[n - k - 1] != '.' ||
            strcmp(name, "stream.gazing_pos") == 0) {
            continue;
        }
        if ((size_t)snprintf(prefix, sizeof(prefix), "%.*s", (int)(n - k), name) >=
            sizeof(prefix)) {
            return ag_fail_kind(r->err, AG_ERR_INPUT, "RANGE", "%s: the name of case '%.60s' is too"
                                " long", r->vectors.path, name);
        }
        if (!check_case(r, prefix)) {
            return false;
        }
        found++;
    }
    return found || ag_fail_kind(r->err, AG_ERR_INPUT, "MISSING", "%s holds no case of golden "
                                 "vectors", r->vectors.path);
}

bool ag_verify_model(const struct ag_model *model, const char *vectors,
                     const struct ag_verify_backend *backend,
                     const struct ag_verify_options *options, struct ag_verify_report *report,
                     struct ag_error *err)
{
    struct ag_error local = { 0 };
    struct run r = { .model = model, .backend = backend, .report = report, .err = &local };
    *report = (struct ag_verify_report){ 0 };
    bool ok = ag_vectors_open(&r.vectors, vectors, &local) && make_inputs(&r) &&
              (r.handle = backend->create(model, options, &local)) && check_vision(&r) &&
              check_cases(&r) && check_stream(&r) && check_square(&r);
    if (r.handle) {
        backend->destroy(r.handle);
    }
    ag_free(r.inputs);
    ag_vectors_close(&r.vectors);
    return ok || ag_fail_kind(err, local.status, local.kind, "%s", local.text);
}
