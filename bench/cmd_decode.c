// autogaze-bench decode: how fast frames come in. The same file in the same run, in turns, so that
// a busy machine treats all alike: the ffmpeg command decoding to nothing, our source decoding, the
// same with the copy into mapped memory, and all the way to an RGB picture on the GPU.
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "bench.h"

#include "autogaze/preprocess.h"
#include "autogaze/source.h"

#define SLOTS 3
#define MAX_ROUNDS 50

extern char **environ;

enum lane { LANE_FFMPEG, LANE_DECODE, LANE_COPY, LANE_GPU, LANE_COUNT };

static const char *const lane_names[] = { "ffmpeg -f null", "decode", "decode, copy to mapped",
                                          "decode to RGB on the GPU" };

struct bench {
    const char *path;
    struct ag_gpu *gpu;
    struct ag_preprocess *preprocess;
    struct ag_buffer *staging[SLOTS], *rgba;
    uint32_t width, height;
    uint64_t frames, bytes;
    int64_t best_ns[LANE_COUNT];
    int64_t upload_ns, color_ns; // of the best round on the GPU
};

static bool run_ffmpeg(struct bench *b, struct ag_error *err)
{
    char *const argv[] = { "ffmpeg", "-nostdin", "-v", "error", "-i", (char *)(uintptr_t)b->path,
                           "-map", "0:v:0", "-f", "null", "-", NULL };
    pid_t pid;
    int status = -1;
    int error = posix_spawnp(&pid, "ffmpeg", NULL, NULL, argv, environ);
    if (error || waitpid(pid, &status, 0) < 0 || status != 0) {
        return ag_fail(err, AG_ERR_INPUT, "the ffmpeg command failed on '%s'%s%s", b->path,
                       error ? ": " : "", error ? strerror(error) : "");
    }
    return true;
}

// ---- our lanes ----------------------------------------------------------------------------------

static bool prepare(struct bench *b, const struct ag_frame *f, struct ag_error *err)
{
    uint32_t width, height;
    ag_frame_picture_size(f, &width, &height);
    if (b->rgba && width == b->width && height == b->height && b->staging[0]->size >= f->bytes) {
        return true;
    }
    if (b->rgba) {
        return ag_fail(err, AG_ERR_INPUT, "'%s' changes its size: choose another file", b->path);
    }
    const struct ag_preprocess_config config = { .width = 224, .height = 224,
                                                 .rescale_factor = 1 / 255.0f,
                                                 .mean = { 0.5f, 0.5f, 0.5f },
                                                 .std = { 0.5f, 0.5f, 0.5f } };
    struct ag_preprocess_setup setup = { .width = width, .height = height, .config = &config,
                                         .side = 224 };
    bool inferable;
    char why[256];
    if (!ag_preprocess_configure(b->preprocess, &setup, &inferable, why, sizeof(why), err)) {
        return false;
    }
    b->width = width;
    b->height = height;
    b->rgba = ag_buffer_create(b->gpu, AG_MEM_DEVICE, 4ull * width * height, "bench/rgba", err);
    for (int i = 0; i < SLOTS; i++) {
        b->staging[i] = ag_buffer_create(b->gpu, AG_MEM_UPLOAD, f->bytes, "bench/staging", err);
        if (!b->staging[i]) {
            return false;
        }
    }
    return b->rgba != NULL;
}

static bool convert(struct bench *b, struct ag_frame *f, int slot, uint64_t *value,
                    struct ag_error *err)
{
    struct ag_cmd *cmd = ag_cmd_begin(b->gpu, f->id, err);
    if (!cmd) {
        return false;
    }
    ag_cmd_barrier(cmd); // all frames share the picture
    bool ok = ag_preprocess_record_picture(b->preprocess, cmd, f, b->staging[slot], b->rgba, err);
    *value = ag_cmd_submit(cmd, ok ? err : NULL);
    return ok && *value;
}

static void add_times(struct bench *b, int64_t *upload, int64_t *color)
{
    struct ag_gpu_times t;
    while (ag_gpu_poll_times(b->gpu, &t)) {
        *upload += t.stage_ns[AG_STAGE_UPLOAD];
        *color += t.stage_ns[AG_STAGE_COLOR];
    }
}

static bool run_source(struct bench *b, enum lane lane, struct ag_error *err)
{
    struct ag_source *s = ag_source_open(NULL, &(struct ag_source_params){ .uri = b->path }, err);
    uint64_t values[SLOTS] = { 0 }, frames = 0;
    int64_t upload = 0, color = 0;
    enum ag_next next = AG_NEXT_ERROR;
    struct ag_frame f;
    bool ok = s != NULL;
    while (ok && (next = ag_source_next(s, &f, err)) != AG_NEXT_END && next != AG_NEXT_ERROR) {
        if (next == AG_NEXT_AGAIN) {
            continue;
        }
        int slot = (int)(frames++ % SLOTS);
        f.id = frames;
        b->bytes = f.bytes;
        if (lane == LANE_DECODE) {
            continue;
        }
        ok = prepare(b, &f, err) && ag_gpu_wait(b->gpu, values[slot], err);
        if (ok) {
            ag_source_read(s, b->staging[slot]->data);
        }
        if (ok && lane == LANE_GPU) {
            ag_buffer_flush(b->gpu, b->staging[slot]);
            ok = convert(b, &f, slot, &values[slot], err);
            add_times(b, &upload, &color);
        }
    }
    for (int i = 0; ok && i < SLOTS; i++) {
        ok = ag_gpu_wait(b->gpu, values[i], err);
    }
    add_times(b, &upload, &color);
    ag_source_close(&s);
    if (lane == LANE_GPU) {
        b->upload_ns = upload;
        b->color_ns = color;
    }
    b->frames = frames;
    return ok && next == AG_NEXT_END;
}

static bool run_lane(struct bench *b, enum lane lane, struct ag_error *err)
{
    int64_t upload = b->upload_ns, color = b->color_ns, start = ag_now_ns();
    if (!(lane == LANE_FFMPEG ? run_ffmpeg(b, err) : run_source(b, lane, err))) {
        return false;
    }
    int64_t ns = ag_now_ns() - start;
    if (!b->best_ns[lane] || ns < b->best_ns[lane]) {
        b->best_ns[lane] = ns;
    } else if (lane == LANE_GPU) { // the GPU's times belong to the best round
        b->upload_ns = upload;
        b->color_ns = color;
    }
    return true;
}

// ---- report -------------------------------------------------------------------------------------

static void print(const struct bench *b, int rounds)
{
    const struct ag_gpu_info *info = ag_gpu_get_info(b->gpu);
    double n = (double)b->frames;
    printf("%s: %llu frames of %ux%u, %.2f MB each; best of %d rounds\n%s, %s %s%s\n", b->path,
           (unsigned long long)b->frames, b->width, b->height, (double)b->bytes * 1e-6, rounds,
           info->name, info->driver, info->driver_info,
           info->software ? " (SOFTWARE device: times say nothing about hardware)" : "");
    for (int i = 0; i < LANE_COUNT; i++) {
        double ms = (double)b->best_ns[i] * 1e-6;
        printf("%-26s %9.1f ms  %8.1f frames/s  %8.3f ms a frame", lane_names[i], ms, n / ms * 1e3,
               ms / n);
        if (i > 0) {
            printf("  %.3f of ffmpeg's rate", (double)b->best_ns[LANE_FFMPEG] /
                                                  (double)b->best_ns[i]);
        }
        printf("\n");
    }
    double added = (double)(b->best_ns[LANE_GPU] - b->best_ns[LANE_DECODE]) * 1e-6 / n;
    printf("upload and conversion add %.3f ms a frame to decoding; on the GPU: upload %.4f ms, "
           "color %.4f ms a frame\n", added, (double)b->upload_ns * 1e-6 / n,
           (double)b->color_ns * 1e-6 / n);
}

static int run(int argc, char **argv, struct ag_error *err)
{
    static const struct ag_log log = { .level = AG_LOG_WARN };
    struct bench b = { 0 };
    const char *device = NULL, *rounds_text = "3";
    const struct ag_bench_option options[] = { { "gpu", &device }, { "rounds", &rounds_text } };
    if (!ag_bench_options(argc, argv, options, AG_COUNT(options), &b.path, err)) {
        return err->status;
    }
    int rounds = atoi(rounds_text);
    if (!b.path || rounds < 1 || rounds > MAX_ROUNDS) {
        ag_fail(err, AG_ERR_USAGE, "decode takes a video file and --rounds 1 to %d", MAX_ROUNDS);
        return err->status;
    }
    b.gpu = ag_gpu_create(&log, &(struct ag_gpu_params){ .device = device }, err);
    b.preprocess = b.gpu ? ag_preprocess_create(b.gpu, err) : NULL;
    // A round for nothing first: the file comes into memory, kernels are compiled.
    bool ok = b.preprocess && run_source(&b, LANE_GPU, err);
    for (int round = 0; ok && round < rounds; round++) {
        for (int lane = 0; ok && lane < LANE_COUNT; lane++) {
            ok = run_lane(&b, (enum lane)lane, err);
        }
    }
    if (ok) {
        print(&b, rounds);
    }
    if (b.gpu) {
        ag_preprocess_destroy(b.gpu, &b.preprocess);
        ag_buffer_destroy(b.gpu, &b.rgba);
        for (int i = 0; i < SLOTS; i++) {
            ag_buffer_destroy(b.gpu, &b.staging[i]);
        }
    }
    ag_gpu_destroy(&b.gpu);
    return ok ? AG_OK : (int)err->status;
}

const struct ag_bench_command ag_bench_decode = {
    .name = "decode",
    .usage = "FILE [--gpu NAME] [--rounds N]",
    .help = "frames a second of a video file: the ffmpeg command, decoding alone, to RGB on the "
            "GPU",
    .run = run,
};
