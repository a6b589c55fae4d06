// Tiled gaze through the whole pipeline: every tile is a stream of its own, whatever the back end,
// the batch and what runs beside it.
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "autogaze/cpu_model.h"
#include "autogaze/pipeline.h"
#include "autogaze/preprocess_ref.h"
#include "autogaze/tiles.h"
#include "gpu_util.h"

#define TINY AG_FIXTURES "/tiny"
#define TINY_CANVAS AG_FIXTURES "/tiny-canvas"
#define SIZE "110x70" // 4 x 3 tiles of 32
#define TILES 12

static struct ag_config *options(int argc, char **argv)
{
    struct ag_config *c = ag_alloc(sizeof(*c));
    struct ag_error err = { 0 };
    if (!ag_config_parse_args(c, argc, argv, &err)) {
        fail_msg("%s", err.text);
    }
    return c;
}
#define OPTIONS(...)                                                                               \
    options((int)AG_COUNT(((char *[]){ "x", "--headless", __VA_ARGS__ })),                         \
            (char *[]){ "x", "--headless", __VA_ARGS__ })

static struct ag_pipeline *open_pipeline(struct ag_gpu *gpu, struct ag_config *c)
{
    struct ag_error err = { 0 };
    struct ag_pipeline *p = ag_pipeline_create(NULL, c, gpu, &err);
    TEST_OK(p, err);
    return p;
}

static void tick(struct ag_pipeline *p)
{
    struct ag_error err = { 0 };
    enum ag_tick t = ag_pipeline_tick(p, 5000000000, &err);
    if (t != AG_TICK_FRAME) {
        fail_msg("tick gave %d: %s", t, err.text);
    }
}

static void one_report(struct ag_pipeline *p, struct ag_frame_report *r)
{
    assert_true(ag_pipeline_drain(p, NULL));
    assert_true(ag_pipeline_next_report(p, r));
}

struct hashes {
    uint64_t output, gaze;
    uint32_t tiles, batch;
    uint64_t model_bytes;
};

static struct hashes run(struct ag_gpu *gpu, struct ag_config *c, int frames)
{
    struct hashes h = { .gaze = AG_HASH_SEED };
    struct ag_pipeline *p = open_pipeline(gpu, c);
    for (int i = 0; i < frames; i++) {
        struct ag_frame_report r;
        tick(p);
        one_report(p, &r);
        assert_true(r.has_gaze);
        assert_int_equal(r.n_tiles, TILES);
        uint32_t slots = 0, valid = 0, rounds = 0;
        for (uint32_t t = 0; t < r.n_tiles; t++) { // the sum is that of the tiles, in their order
            assert_ptr_equal(r.tiles[t].ids, r.gaze.ids + slots);
            slots += r.tiles[t].slots;
            valid += r.tiles[t].valid;
            rounds += r.tiles[t].rounds;
        }
        assert_int_equal(slots, r.gaze.slots);
        assert_int_equal(valid, r.gaze.valid);
        assert_int_equal(rounds, r.gaze.rounds);
        h.gaze = ag_hash(h.gaze, r.gaze.ids, r.gaze.slots * sizeof(uint32_t));
        h.gaze = ag_hash(h.gaze, r.cells, r.n_cells * sizeof(uint32_t));
    }
    struct ag_pictures pic = ag_pipeline_pictures(p);
    size_t bytes = 4ull * pic.width * pic.height;
    uint8_t *pixels = ag_alloc(bytes);
    assert_true(ag_pipeline_read(p, pic.output, pixels, NULL));
    h.output = ag_hash(AG_HASH_SEED, pixels, bytes);
    ag_free(pixels);
    struct ag_run_info info;
    ag_pipeline_info(p, &info);
    h.tiles = info.tiles;
    h.batch = info.tile_batch;
    h.model_bytes = info.model_bytes;
    ag_pipeline_destroy(&p);
    return h;
}

// Both modes and contexts: the same hashes on the CPU with any number of threads and on the device
// with any batch, also one that does not divide the tiles.
static void results_do_not_depend_on_the_batch(void **state)
{
    static const char *const backends[][4] = {
        { "cpu", "0", "1", NULL }, { "cpu", "0", "5", NULL }, { "vulkan", "0", "0", NULL },
        { "vulkan", "1", "0", NULL }, { "vulkan", "5", "0", NULL },
    };
    static const char *const models[] = { TINY, TINY_CANVAS };
    static const char *const modes[] = { "tiled", "tiled-full" };
    for (size_t k = 0; k < 4; k += k == 0 ? 1 : 2) { // both contexts, both modes
        struct hashes first = { 0 };
        for (size_t b = 0; b < AG_COUNT(backends); b++) {
            struct ag_config *c = OPTIONS(
                "--source", "synthetic-local-motion", "--synthetic-size", SIZE, "--model",
                (char *)models[k / 2], "--mode", (char *)modes[k % 2], "--backend",
                (char *)backends[b][0], "--tile-batch", (char *)backends[b][1], "--cpu-threads",
                (char *)backends[b][2]);
            struct hashes h = run(*state, c, 5);
            assert_int_equal(h.tiles, TILES);
            if (b == 0) {
                first = h;
            }
            assert_true(h.output == first.output);
            assert_true(h.gaze == first.gaze);
            if (strcmp(backends[b][0], "vulkan") == 0) { // as even as they can be
                static const uint32_t batch[] = { 12, 1, 4 };
                assert_int_equal(h.batch, batch[b - 2]);
                assert_true(h.model_bytes > 0);
            }
            ag_free(c);
        }
    }
}

// ---- a tile is a video of its own ------------------------------------------------------------
struct alone {
    struct ag_model *model;
    struct ag_cpu_model *cpu;
    struct ag_cpu_stream *stream[TILES];
    struct ag_gaze gaze;
    size_t picture;                      // floats of a tile's
    float *canvas, *input, *previous;    // [TILES][3][S][S], as of the last frame
    bool known;
};

static void open_alone(struct alone *a, const char *model, const struct ag_stream_params *params)
{
    struct ag_error err = { 0 };
    *a = (struct alone){ .model = ag_model_load(NULL, model, &err) };
    TEST_OK(a->model, err);
    a->cpu = ag_cpu_model_create(a->model, &(struct ag_cpu_params){ .threads = 1 }, &err);
    TEST_OK(a->cpu, err);
    for (int t = 0; t < TILES; t++) {
        a->stream[t] = ag_cpu_stream_create(a->cpu, params, &err);
        TEST_OK(a->stream[t], err);
    }
    uint32_t side = a->model->config.image_size, cells = a->model->config.cells;
    a->picture = (size_t)3 * side * side;
    a->canvas = ag_alloc(TILES * a->picture * 4);
    a->input = ag_alloc(TILES * a->picture * 4);
    a->previous = ag_alloc(TILES * a->picture * 4);
    a->gaze.ids = ag_alloc(cells * 4);
    a->gaze.losses = ag_alloc(cells * 4);
}

static void close_alone(struct alone *a)
{
    for (int t = 0; t < TILES; t++) {
        ag_cpu_stream_destroy(&a->stream[t]);
    }
    ag_cpu_model_destroy(&a->cpu);
    ag_model_destroy(&a->model);
    ag_free(a->canvas);
    ag_free(a->input);
    ag_free(a->previous);
    ag_free(a->gaze.ids);
    ag_free(a->gaze.losses);
}

// One frame of the pipeline against its tiles one by one; painting too, where it is exact (tiles
// that are filled; a cell of the padding is nothing but zeros).
static void compare_frame(struct alone *a, struct ag_pipeline *p, uint32_t budget)
{
    struct ag_frame_report r;
    float *canvas = ag_alloc(TILES * a->picture * 4);
    tick(p);
    one_report(p, &r);
    assert_true(ag_pipeline_read_canvas(p, canvas, a->input, NULL));
    assert_int_equal(r.n_tiles, TILES);
    for (size_t t = 0; t < TILES; t++) {
        float *own = a->canvas + t * a->picture, *in = a->input + t * a->picture;
        struct ag_gaze_input job = {
            .frame_id = r.frame_id, .frame = in, .canvas = a->known ? own : NULL,
            .previous = a->known ? a->previous + t * a->picture : NULL,
            .previous_id = r.frame_id - 1, .budget = budget, .threshold = 0.2f,
        };
        struct ag_error err = { 0 };
        TEST_OK(ag_cpu_gaze(a->stream[t], &job, &a->gaze, NULL, NULL, &err), err);
        assert_int_equal(r.tiles[t].slots, a->gaze.slots);
        assert_int_equal(r.tiles[t].rounds, a->gaze.rounds);
        assert_int_equal(r.tiles[t].valid, a->gaze.valid);
        assert_int_equal(r.tiles[t].chunk_start, a->gaze.chunk_start);
        assert_memory_equal(r.tiles[t].ids, a->gaze.ids, a->gaze.slots * sizeof(uint32_t));
        if (r.keyframe) {
            memcpy(own, in, a->picture * 4);
        } else {
            ag_paint_ids(&a->model->config, in, a->gaze.ids, a->gaze.slots, own);
        }
    }
    for (size_t k = 0; k < TILES * a->picture; k++) {
        assert_true(canvas[k] == a->canvas[k]); // but for the sign of zero
    }
    memcpy(a->previous, a->input, TILES * a->picture * 4);
    a->known = true;
    ag_free(canvas);
}

static void tiles_are_streams_of_their_own(void **state)
{
    static const struct {
        const char *model, *policy;
        enum ag_context context;
        enum ag_stream_policy rule;
        uint32_t frames;
    } cases[] = {
        { TINY_CANVAS, "auto", AG_CONTEXT_CANVAS, AG_STREAM_CHUNK, 6 },
        { TINY, "chunk", AG_CONTEXT_FRAMES, AG_STREAM_CHUNK, 8 },
        { TINY, "slide", AG_CONTEXT_FRAMES, AG_STREAM_SLIDE, 8 },
        { TINY, "unbounded", AG_CONTEXT_FRAMES, AG_STREAM_UNBOUNDED, 3 },
    };
    static const char *const modes[] = { "tiled", "tiled-full" };
    for (size_t i = 0; i < 2 * AG_COUNT(cases); i += i == 0 ? 1 : 2) {
        size_t k = i / 2;
        struct ag_config *c = OPTIONS(
            "--source", "synthetic-pan", "--synthetic-size", SIZE, "--model",
            (char *)cases[k].model, "--mode", (char *)modes[i % 2], "--backend", "vulkan",
            "--tile-batch", "5", "--stream-policy", (char *)cases[k].policy, "--frames-per-clip",
            "3", "--max-tokens", "9", "--task-loss", "0.2");
        struct alone a;
        open_alone(&a, cases[k].model, &(struct ag_stream_params){
            .context = cases[k].context, .policy = cases[k].rule, .horizon = 3 });
        struct ag_pipeline *p = open_pipeline(*state, c);
        for (uint32_t f = 0; f < cases[k].frames; f++) {
            compare_frame(&a, p, 9);
        }
        ag_pipeline_destroy(&p);
        close_alone(&a);
        ag_free(c);
    }
}

// ---- switching -------------------------------------------------------------------------------
// The model's picture of what is on screen, in a mode.
static void see(const struct ag_model *m, int mode, const uint8_t *rgba, uint32_t width,
                uint32_t height, float *out)
{
    uint32_t side = m->config.image_size;
    struct ag_tiling t;
    ag_tiling_make((enum ag_mode)mode, width, height, side, &t);
    if (mode == AG_MODE_REALTIME) {
        ag_ref_preprocess(&m->preprocess, rgba, width, height, 4, side, out);
    } else {
        ag_ref_tiles(&m->preprocess, rgba, width, height, t.cols, t.rows,
                     mode == AG_MODE_TILED_FULL, side, out);
    }
}

// M11: a mode switch rebuilds the canvases from the history; no keyframe, reports without a gap.
static void canvases_are_rebuilt_from_the_history(void **state)
{
    static const int modes[] = { AG_MODE_TILED, AG_MODE_TILED_FULL, AG_MODE_REALTIME,
                                 AG_MODE_TILED };
    static const char *const backends[] = { "cpu", "vulkan" };
    for (size_t b = 0; b < 2; b++) {
        struct ag_config *c = OPTIONS("--source", "synthetic-pan", "--synthetic-size", SIZE,
                                      "--model", TINY_CANVAS, "--backend", (char *)backends[b],
                                      "--max-tokens", "5", "--task-loss", "off");
        struct ag_pipeline *p = open_pipeline(*state, c);
        struct ag_model *m = ag_model_load(NULL, TINY_CANVAS, NULL);
        size_t picture = (size_t)3 * m->config.image_size * m->config.image_size;
        float *canvas = ag_alloc(TILES * picture * 4), *input = ag_alloc(TILES * picture * 4);
        float *expected = ag_alloc(TILES * picture * 4);
        uint8_t *screen = ag_alloc(110 * 70 * 4);
        struct ag_frame_report r;
        for (int i = 0; i < 3; i++) {
            tick(p);
            one_report(p, &r);
        }
        for (size_t i = 0; i < AG_COUNT(modes); i++) {
            assert_true(ag_pipeline_read(p, ag_pipeline_pictures(p).output, screen, NULL));
            struct ag_live live = ag_pipeline_get_live(p);
            live.mode = modes[i];
            assert_true(ag_pipeline_set_live(p, &live, NULL));
            tick(p);
            one_report(p, &r);
            assert_int_equal(r.sequence, 3 + 2 * i);
            assert_false(r.keyframe);
            uint32_t tiles = modes[i] == AG_MODE_REALTIME ? 1 : TILES;
            assert_int_equal(r.n_tiles, tiles);
            assert_true(ag_pipeline_read_canvas(p, canvas, input, NULL));
            see(m, modes[i], screen, 110, 70, expected);
            for (uint32_t t = 0; t < tiles; t++) {
                ag_paint_ids(&m->config, input + t * picture, r.tiles[t].ids, r.tiles[t].slots,
                             expected + t * picture);
            }
            for (size_t k = 0; k < tiles * picture; k++) {
                assert_true(fabsf(canvas[k] - expected[k]) <= 1e-5f);
            }
            tick(p);
            one_report(p, &r);
        }
        ag_free(screen);
        ag_free(expected);
        ag_free(input);
        ag_free(canvas);
        ag_model_destroy(&m);
        ag_pipeline_destroy(&p);
        ag_free(c);
    }
}

// Too many cells for a plan: an error at the start, a sentence and realtime while running.
static void too_many_tiles(void **state)
{
    struct ag_config *c = OPTIONS("--source", "synthetic-pan", "--synthetic-size", "3200x1000",
                                  "--model", TINY_CANVAS, "--backend", "cpu", "--mode", "tiled");
    struct ag_error err = { 0 };
    struct ag_pipeline *p = open_pipeline(*state, c);
    assert_int_equal(ag_pipeline_tick(p, 5000000000, &err), AG_TICK_ERROR);
    assert_int_equal(err.status, AG_ERR_INPUT);
    assert_non_null(strstr(err.text, "3200 tiles"));
    ag_pipeline_destroy(&p);
    c->mode = AG_MODE_REALTIME;
    p = open_pipeline(*state, c);
    tick(p);
    struct ag_live live = ag_pipeline_get_live(p);
    live.mode = AG_MODE_TILED_FULL;
    assert_true(ag_pipeline_set_live(p, &live, NULL));
    tick(p);
    assert_int_equal(ag_pipeline_get_live(p).mode, AG_MODE_REALTIME);
    assert_non_null(strstr(ag_pipeline_notice(p), "3200 tiles"));
    tick(p);
    ag_pipeline_destroy(&p);
    ag_free(c);
}

// ---- memory ----------------------------------------------------------------------------------
// One submission a frame (two with the CPU back end), and nothing of ours is allocated.
static void steady_state_allocates_nothing(void **state)
{
    struct ag_gpu *gpu = *state;
    static const char *const cases[][3] = {
        { "cpu", "0", "sync" }, { "vulkan", "0", "sync" }, { "vulkan", "5", "sync" },
        { "vulkan", "5", "async" },
    };
    for (size_t i = 0; i < AG_COUNT(cases); i++) {
        struct ag_config *c = OPTIONS("--source", "synthetic-pan", "--synthetic-size", SIZE,
                                      "--model", TINY_CANVAS, "--mode", "tiled", "--backend",
                                      (char *)cases[i][0], "--tile-batch", (char *)cases[i][1],
                                      "--latency", (char *)cases[i][2]);
        struct ag_pipeline *p = open_pipeline(gpu, c);
        for (int k = 0; k < 4; k++) {
            tick(p);
        }
        uint64_t host = ag_alloc_count();
        struct ag_gpu_counters before = ag_gpu_get_counters(gpu);
        for (int k = 0; k < 8; k++) {
            struct ag_frame_report r;
            tick(p);
            while (ag_pipeline_next_report(p, &r)) {
            }
        }
        struct ag_gpu_counters after = ag_gpu_get_counters(gpu);
        assert_int_equal(ag_alloc_count() - host, 0);
        assert_int_equal(after.allocations - before.allocations, 0);
        assert_int_equal(after.idle_waits - before.idle_waits, 0);
        if (i < 3) {
            assert_int_equal(after.submits - before.submits, i == 0 ? 16 : 8);
        }
        ag_pipeline_destroy(&p);
        ag_free(c);
    }
}

// A buffer of the device holds the caches of so many tiles and no more: batches become smaller by
// themselves, with the same results.
static void memory_makes_batches_smaller(void **state)
{
    struct ag_gpu *gpu = *state;
    const struct ag_gpu_info *info = ag_gpu_get_info(gpu);
    struct ag_model *m = ag_model_load(NULL, TINY, NULL);
    const struct ag_model_config *c = &m->config;
    // the keys of all layers are one buffer
    uint64_t frame = (uint64_t)(c->tokens + c->cells) * c->kv_heads * c->head_dim * 4 * c->layers;
    uint64_t most = info->max_buffer_bytes / frame; // frames of one tile that a buffer holds
    char frames[32];
    // caches of eight tiles to a buffer
    snprintf(frames, sizeof(frames), "%u", (unsigned)AG_MIN(most / 8 - 16, 4000u));
    ag_model_destroy(&m);
    struct ag_config *fits = OPTIONS("--source", "synthetic-pan", "--synthetic-size", SIZE,
                                     "--model", TINY, "--mode", "tiled", "--backend", "vulkan",
                                     "--frames-per-clip", frames);
    struct hashes h = run(gpu, fits, 2);
    if (most / 8 < 4000) { // else the device has buffers larger than we may ask for
        assert_int_equal(h.batch, 6);
    }
    ag_free(fits);
    struct ag_config *other = OPTIONS("--source", "synthetic-pan", "--synthetic-size", SIZE,
                                      "--model", TINY, "--mode", "tiled", "--backend", "cpu",
                                      "--frames-per-clip", "16");
    struct hashes small = run(gpu, other, 2);
    assert_true(small.gaze == h.gaze); // two frames know no horizon
    ag_free(other);
}

// Masks that come late: tiles keep their order, no frame enters the model twice, and a switch of the
// mode leaves nothing of the other mode behind.
static void late_masks(void **state)
{
    static const char *const backends[] = { "cpu", "vulkan" };
    for (size_t b = 0; b < 2; b++) {
        struct ag_config *c = OPTIONS("--source", "synthetic-pan", "--synthetic-size", SIZE,
                                      "--model", TINY_CANVAS, "--mode", "tiled-full", "--backend",
                                      (char *)backends[b], "--latency", "async");
        struct ag_pipeline *p = open_pipeline(*state, c);
        uint32_t with_gaze = 0, tiles = TILES;
        for (int i = 0; i < 30; i++) {
            struct ag_frame_report r;
            if (i == 12 || i == 20) {
                struct ag_live live = ag_pipeline_get_live(p);
                live.mode = i == 12 ? AG_MODE_REALTIME : AG_MODE_TILED;
                assert_true(ag_pipeline_set_live(p, &live, NULL));
                tiles = i == 12 ? 1 : TILES;
            }
            tick(p);
            one_report(p, &r);
            with_gaze += r.has_gaze;
            assert_int_equal(r.n_tiles, r.has_gaze ? tiles : 0);
            assert_true(r.mask_frame_id < r.frame_id);
            assert_true((i != 12 && i != 20) || r.mask_frame_id == 0);
            if (r.has_gaze) {
                assert_int_equal(r.gaze.frame_id, r.mask_frame_id);
            }
        }
        assert_true(with_gaze > 0);
        struct ag_run_info info;
        ag_pipeline_info(p, &info);
        assert_int_equal(info.duplicates, 0);
        ag_pipeline_destroy(&p);
        ag_free(c);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(results_do_not_depend_on_the_batch),
        cmocka_unit_test(tiles_are_streams_of_their_own),
        cmocka_unit_test(canvases_are_rebuilt_from_the_history),
        cmocka_unit_test(too_many_tiles),
        cmocka_unit_test(steady_state_allocates_nothing),
        cmocka_unit_test(memory_makes_batches_smaller),
        cmocka_unit_test(late_masks),
    };
    return cmocka_run_group_tests(tests, test_gpu_setup, test_gpu_teardown);
}
