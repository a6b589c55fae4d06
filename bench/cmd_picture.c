// autogaze-bench preprocess and patch-diff: from samples to model input, and the mask source that
// needs no model, each checked against its C twin, then timed.
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "autogaze/mask_source.h"
#include "autogaze/preprocess.h"
#include "autogaze/preprocess_ref.h"
#include "autogaze/source.h"

#include "lane.h"

static const uint32_t sizes[][2] = { { 1280, 720 }, { 1920, 1080 }, { 3840, 2160 }, { 720, 1280 } };
static const struct ag_preprocess_config config = {
    .width = 224, .height = 224, .rescale_factor = 0.00784313725490196, .rescale = true,
    .offset = true, .normalize = true, .mean = { 0.485f, 0.456f, 0.406f },
    .std = { 0.229f, 0.224f, 0.225f }
};
#define SIDE 224u

static struct ag_buffer *picture(struct ag_gpu *gpu, enum ag_pattern pattern, uint32_t index,
                                 uint32_t width, uint32_t height, uint8_t **host,
                                 struct ag_error *err)
{
    uint64_t bytes = 4ull * width * height;
    *host = ag_alloc(bytes);
    ag_pattern_draw(pattern, index, width, height, *host);
    struct ag_buffer *b = ag_buffer_create(gpu, AG_MEM_DEVICE, bytes, "bench/picture", err);
    return b && ag_buffer_load(gpu, b, 0, *host, bytes, err) ? b : NULL;
}

// ---- picture -> model input --------------------------------------------------------------------

struct input_job {
    struct ag_preprocess *p;
    struct ag_buffer *rgba, *input;
};

static bool record_input(void *user, struct ag_cmd *cmd, struct ag_error *err)
{
    (void)err;
    struct input_job *j = user;
    ag_preprocess_record_input(j->p, cmd, j->rgba, j->input, 0);
    return true;
}

static bool check_input(struct lanes *l, struct input_job *j, const uint8_t *rgba, uint32_t width,
                        uint32_t height, struct lane_result *r, struct ag_error *err)
{
    const size_t n = 3ull * SIDE * SIDE;
    float *found = ag_alloc(n * sizeof(float)), *expected = ag_alloc(n * sizeof(float));
    bool ok = ag_buffer_read(l->gpu, j->input, 0, found, n * sizeof(float), err);
    ag_ref_preprocess(&config, rgba, width, height, 4, SIDE, expected);
    for (size_t i = 0; i < n; i++) {
        if (!(fabsf(found[i] - expected[i]) <= 1e-5f)) {
            r->wrong = "differs from the C twin";
        }
    }
    r->hash = ag_hash(AG_HASH_SEED, found, n * sizeof(float));
    ag_free(found);
    ag_free(expected);
    return ok;
}

// Bytes: the picture once, both intermediate pictures written and read, the input. FLOP: a
// multiplication and an addition a tap and channel.
static void count_input(uint32_t width, uint32_t height, struct lane_result *r)
{
    uint32_t w, h;
    ag_ref_shortest_edge(width, height, SIDE, &w, &h);
    double taps_x = ag_ref_triangle_taps(width, w, NULL, NULL);
    double taps_y = ag_ref_triangle_taps(height, h, NULL, NULL);
    double narrow = (double)w * height, resized = (double)w * h, input = (double)SIDE * SIDE;
    r->bytes = 4.0 * width * height + 8 * narrow + 8 * resized + 12 * input;
    r->flops = 6 * (narrow * taps_x + resized * taps_y + input * (w == SIDE ? 1 : 4) +
                    input * (h == SIDE ? 1 : 4));
}

static bool input_lane(struct lanes *l, struct ag_preprocess *p, uint32_t width, uint32_t height,
                       struct ag_error *err)
{
    char name[64], why[256];
    uint8_t *rgba = NULL;
    bool inferable;
    snprintf(name, sizeof(name), "picture to model input %ux%u", width, height);
    if (!lanes_wanted(l, name)) {
        return true;
    }
    struct lane_result r = { .name = name };
    struct input_job j = { .p = p };
    j.rgba = picture(l->gpu, AG_PATTERN_LOCAL_MOTION, 11, width, height, &rgba, err);
    j.input = ag_buffer_create(l->gpu, AG_MEM_DEVICE, 12ull * SIDE * SIDE, "bench/input", err);
    struct lane_timing t = { record_input, &j, AG_STAGE_RESIZE };
    struct ag_preprocess_setup setup = { width, height, &config, SIDE };
    bool ok = j.rgba && j.input &&
              ag_preprocess_configure(p, &setup, &inferable, why, sizeof(why), err) &&
              lanes_once(l, &t, err) && check_input(l, &j, rgba, width, height, &r, err) &&
              lanes_time(l, &t, &r, err);
    if (ok) {
        count_input(width, height, &r);
        lanes_print(l, &r);
    }
    ag_buffer_destroy(l->gpu, &j.rgba);
    ag_buffer_destroy(l->gpu, &j.input);
    ag_free(rgba);
    return ok;
}

// ---- samples -> picture ------------------------------------------------------------------------

static const struct format {
    const char *name;
    uint32_t planes;   // 3: I420, 2: NV12, 1: RGBA
} formats[] = { { "nv12", 2 }, { "i420", 3 }, { "rgba", 1 } };

static void fill_layout(const struct format *f, struct ag_frame *frame)
{
    uint32_t w = frame->width, h = frame->height;
    struct pixel_layout *l = &frame->layout;
    if (f->planes == 1) {
        *l = (struct pixel_layout){ .kind = AG_PIXEL_RGB, .full_range = 1 };
        for (uint32_t i = 0; i < 3; i++) {
            l->c[i] = (struct pixel_component){ i, w * 4, 4, 1, 0, 8, 0, 0 };
        }
        frame->bytes = 4ull * w * h;
        return;
    }
    uint32_t luma = AG_ALIGN_UP(w * h, 256), quarter = AG_ALIGN_UP(w / 2 * (h / 2), 256);
    bool packed = f->planes == 2;
    *l = (struct pixel_layout){ .kind = AG_PIXEL_YUV, .matrix = AG_MATRIX_709, .chroma_y = 1 };
    l->c[0] = (struct pixel_component){ 0, w, 1, 1, 0, 8, 0, 0 };
    for (uint32_t i = 0; i < 2; i++) {
        l->c[1 + i] = (struct pixel_component){
            luma + i * (packed ? 1 : quarter), packed ? w : w / 2, packed ? 2 : 1, 1, 0, 8, 1, 1
        };
    }
    frame->bytes = luma + 2ull * quarter;
}

struct samples_job {
    struct ag_preprocess *p;
    struct ag_frame frame;
    struct ag_buffer *staging, *rgba;
};

static bool record_samples(void *user, struct ag_cmd *cmd, struct ag_error *err)
{
    struct samples_job *j = user;
    return ag_preprocess_record_picture(j->p, cmd, &j->frame, j->staging, j->rgba, err);
}

static bool check_samples(struct lanes *l, struct samples_job *j, struct lane_result *r,
                          struct ag_error *err)
{
    size_t bytes = 4ull * j->frame.width * j->frame.height;
    uint8_t *found = ag_alloc(bytes), *expected = ag_alloc(bytes);
    bool ok = ag_buffer_read(l->gpu, j->rgba, 0, found, bytes, err);
    ag_ref_picture(&j->frame, expected);
    r->wrong = memcmp(found, expected, bytes) == 0 ? NULL : "differs from the C twin";
    r->hash = ag_hash(AG_HASH_SEED, found, bytes);
    ag_free(found);
    ag_free(expected);
    return ok;
}

static bool samples_lane(struct lanes *l, struct ag_preprocess *p, const struct format *f,
                         uint32_t width, uint32_t height, struct ag_error *err)
{
    char upload[64], color[64], why[256];
    bool inferable, ok = true;
    snprintf(upload, sizeof(upload), "upload %s %ux%u", f->name, width, height);
    snprintf(color, sizeof(color), "%s to picture %ux%u", f->name, width, height);
    if (!lanes_wanted(l, upload) && !lanes_wanted(l, color)) {
        return true;
    }
    struct samples_job j = { .p = p, .frame = { .id = 1, .width = width, .height = height } };
    fill_layout(f, &j.frame);
    j.staging = ag_buffer_create(l->gpu, AG_MEM_UPLOAD, j.frame.bytes, "bench/staging", err);
    j.rgba = ag_buffer_create(l->gpu, AG_MEM_DEVICE, 4ull * width * height, "bench/rgba", err);
    ok = j.staging && j.rgba;
    uint8_t *samples = ag_alloc(j.frame.bytes); // upload memory is not made for reading
    for (uint64_t i = 0, seed = 1; i < j.frame.bytes && ok; i++) {
        seed = seed * 6364136223846793005ull + 1442695040888963407ull;
        samples[i] = (uint8_t)(seed >> 56);
    }
    if (ok) {
        memcpy(j.staging->data, samples, j.frame.bytes);
        ag_buffer_flush(l->gpu, j.staging);
    }
    j.frame.data = samples;
    struct ag_preprocess_setup setup = { width, height, &config, SIDE };
    struct lane_result r = { .name = color };
    struct lane_timing t = { record_samples, &j, AG_STAGE_COLOR };
    ok = ok && ag_preprocess_configure(p, &setup, &inferable, why, sizeof(why), err) &&
         lanes_once(l, &t, err) && check_samples(l, &j, &r, err) && lanes_time(l, &t, &r, err);
    r.bytes = (double)j.frame.bytes + 4.0 * width * height;
    r.flops = f->planes == 1 ? 0 : 18.0 * width * height;
    if (ok && lanes_wanted(l, color)) {
        lanes_print(l, &r);
    }
    t.stage = AG_STAGE_UPLOAD;
    r.name = upload;
    ok = ok && lanes_time(l, &t, &r, err);
    r.bytes = (double)j.frame.bytes; // over the bus once
    r.flops = 0;
    if (ok && lanes_wanted(l, upload)) {
        lanes_print(l, &r);
    }
    ag_buffer_destroy(l->gpu, &j.staging);
    ag_buffer_destroy(l->gpu, &j.rgba);
    ag_free(samples);
    return ok;
}

static int run_preprocess(int argc, char **argv, struct ag_error *err)
{
    struct lanes l;
    struct ag_preprocess *p = NULL;
    if (lanes_open(&l, "samples to model input", argc, argv, NULL, 0, err)) {
        p = ag_preprocess_create(l.gpu, err);
    }
    bool ok = p != NULL;
    for (size_t s = 0; s < AG_COUNT(sizes) && ok; s++) {
        for (size_t f = 0; f < AG_COUNT(formats) && ok; f++) {
            ok = samples_lane(&l, p, &formats[f], sizes[s][0], sizes[s][1], err);
        }
        ok = ok && input_lane(&l, p, sizes[s][0], sizes[s][1], err);
    }
    ag_preprocess_destroy(l.gpu, &p);
    return lanes_close(&l, err);
}

// ---- patch-diff --------------------------------------------------------------------------------

struct diff_job {
    struct ag_patch_diff *d;
    struct ag_buffer *previous, *next;
    float threshold;
    struct ag_mask mask;
};

static bool record_diff(void *user, struct ag_cmd *cmd, struct ag_error *err)
{
    (void)err;
    struct diff_job *j = user;
    ag_patch_diff_record(j->d, cmd, j->previous, j->next, j->threshold, &j->mask);
    return true;
}

static bool check_diff(struct lanes *l, struct diff_job *j, const struct ag_patch_diff_setup *setup,
                       const uint8_t *previous, const uint8_t *next, struct lane_result *r,
                       struct ag_error *err)
{
    uint32_t cells = setup->grid * setup->grid, count = 0, at = 0;
    float *scores = ag_alloc(cells * sizeof(float));
    uint8_t *selected = ag_alloc(cells);
    uint32_t *list = ag_alloc(cells * sizeof(uint32_t));
    uint32_t expected = ag_ref_patch_diff(setup, previous, next, j->threshold, scores, selected);
    struct ag_buffer *counts = (struct ag_buffer *)j->mask.count;
    struct ag_buffer *lists = (struct ag_buffer *)j->mask.cells;
    bool ok = ag_buffer_read(l->gpu, counts, j->mask.count_offset, &count, sizeof(count), err) &&
              ag_buffer_read(l->gpu, lists, j->mask.offset, list, cells * sizeof(*list), err);
    r->wrong = count == expected ? NULL : "number of cells";
    for (uint32_t c = 0; c < cells && !r->wrong; c++) {
        if (selected[c] && (at >= count || list[at++] != c)) {
            r->wrong = "other cells than the C twin";
        }
    }
    r->hash = ag_hash(AG_HASH_SEED, list, AG_MIN(count, cells) * sizeof(uint32_t));
    ag_free(scores);
    ag_free(selected);
    ag_free(list);
    return ok;
}

static bool diff_lane(struct lanes *l, enum ag_pattern pattern, uint32_t width, uint32_t height,
                      float threshold, struct ag_error *err)
{
    char name[96];
    snprintf(name, sizeof(name), "patch-diff %s %ux%u > %g", ag_pattern_name(pattern) + 10, width,
             height, (double)threshold);
    if (!lanes_wanted(l, name)) {
        return true;
    }
    struct lane_result r = { .name = name, .bytes = 8.0 * width * height,
                             .flops = 6.0 * width * height }; // subtraction and sum a channel
    uint8_t *previous = NULL, *next = NULL;
    struct diff_job j = { .threshold = threshold };
    struct ag_patch_diff_setup setup = { width, height, 14, { 0.229f, 0.224f, 0.225f } };
    j.previous = picture(l->gpu, pattern, 10, width, height, &previous, err);
    j.next = picture(l->gpu, pattern, 11, width, height, &next, err);
    j.d = ag_patch_diff_create(l->gpu, err);
    struct lane_timing t = { record_diff, &j, AG_STAGE_DIFF };
    bool ok = j.d && j.previous && j.next && ag_patch_diff_configure(j.d, &setup, err) &&
              lanes_once(l, &t, err) && check_diff(l, &j, &setup, previous, next, &r, err) &&
              lanes_time(l, &t, &r, err);
    if (ok) {
        lanes_print(l, &r);
    }
    ag_patch_diff_destroy(l->gpu, &j.d);
    ag_buffer_destroy(l->gpu, &j.previous);
    ag_buffer_destroy(l->gpu, &j.next);
    ag_free(previous);
    ag_free(next);
    return ok;
}

static int run_patch_diff(int argc, char **argv, struct ag_error *err)
{
    static const enum ag_pattern patterns[] = { AG_PATTERN_LOCAL_MOTION, AG_PATTERN_NOISE };
    static const float thresholds[] = { 0.15f, 0.45f };
    struct lanes l;
    bool ok = lanes_open(&l, "patch-diff, 14 x 14 cells", argc, argv, NULL, 0, err);
    for (size_t s = 0; s < AG_COUNT(sizes) && ok; s++) {
        for (size_t p = 0; p < AG_COUNT(patterns) && ok; p++) {
            ok = diff_lane(&l, patterns[p], sizes[s][0], sizes[s][1], thresholds[p], err);
        }
    }
    return lanes_close(&l, err);
}

const struct ag_bench_command ag_bench_preprocess = {
    .name = "preprocess",
    .usage = "[NAME] [--gpu NAME] [--repeats N] [--format text|csv|json] [--software allow]",
    .help = "samples to picture to model input, against the C twins, then timed",
    .run = run_preprocess,
};
const struct ag_bench_command ag_bench_patch_diff = {
    .name = "patch-diff",
    .usage = "[NAME] [--gpu NAME] [--repeats N] [--format text|csv|json] [--software allow]",
    .help = "patch-diff against its C twin, then timed",
    .run = run_patch_diff,
};
