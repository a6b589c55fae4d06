#include "cpu_gaze.h"

#include <pthread.h>
#include <unistd.h>

struct worker {
    struct cpu_gaze *g;
    uint32_t index;
    pthread_t thread;
    struct ag_cpu_model *model;
    // --- of a frame
    struct ag_gaze_times times;
    bool ok;
    struct ag_error error;
};

struct cpu_gaze {
    uint32_t tiles, n_workers; // the caller is worker 0; tile t is worker t % n's
    size_t picture;            // floats of a tile's picture
    struct worker *workers;
    struct ag_cpu_stream **streams; // [tiles]
    uint32_t threads_started;
    pthread_mutex_t lock;      // guards what follows
    pthread_cond_t start, done;
    uint64_t generation;
    uint32_t running;
    bool quit;
    // --- a frame's, read-only while workers run
    const struct ag_gaze_input *in;
    struct gaze_set *out;
};

static const float *picture_of(const struct cpu_gaze *g, const float *pictures, uint32_t tile)
{
    return pictures ? pictures + tile * g->picture : NULL;
}

static void work(struct worker *w)
{
    struct cpu_gaze *g = w->g;
    w->times = (struct ag_gaze_times){ 0 };
    w->error = (struct ag_error){ 0 };
    w->ok = true;
    for (uint32_t t = w->index; t < g->tiles && w->ok; t += g->n_workers) {
        struct ag_gaze_times times;
        struct ag_gaze_input in = *g->in;
        in.frame = picture_of(g, in.frame, t);
        in.canvas = picture_of(g, in.canvas, t);
        in.previous = picture_of(g, in.previous, t);
        w->ok = ag_cpu_gaze(g->streams[t], &in, &g->out->tile[t], NULL, &times, &w->error);
        w->times.vision += times.vision;
        w->times.prefill += times.prefill;
        w->times.decode += times.decode;
    }
}

static void *thread_main(void *arg)
{
    struct worker *w = arg;
    struct cpu_gaze *g = w->g;
    uint64_t seen = 0;
    pthread_mutex_lock(&g->lock);
    for (;;) {
        while (!g->quit && g->generation == seen) {
            pthread_cond_wait(&g->start, &g->lock);
        }
        if (g->quit) {
            break;
        }
        seen = g->generation;
        pthread_mutex_unlock(&g->lock);
        work(w);
        pthread_mutex_lock(&g->lock);
        if (--g->running == 0) {
            pthread_cond_signal(&g->done);
        }
    }
    pthread_mutex_unlock(&g->lock);
    return NULL;
}

static bool create_streams(struct cpu_gaze *g, const struct ag_stream_params *params,
                           struct ag_error *err)
{
    for (uint32_t t = 0; t < g->tiles; t++) {
        g->streams[t] = ag_cpu_stream_create(g->workers[t % g->n_workers].model, params, err);
        if (!g->streams[t]) {
            return false;
        }
    }
    return true;
}

static bool create_workers(struct cpu_gaze *g, const struct ag_model *model, uint32_t threads,
                           struct ag_error *err)
{
    for (uint32_t i = 0; i < g->n_workers; i++) {
        struct worker *w = &g->workers[i];
        w->g = g;
        w->index = i;
        struct ag_cpu_params params = { .threads = g->tiles == 1 ? threads : 1,
                                        .weights_of = i ? g->workers[0].model : NULL };
        w->model = ag_cpu_model_create(model, &params, err);
        if (!w->model) {
            return false;
        }
    }
    return true;
}

// Keys and values of all tiles against what the machine has: ag_alloc would end the program.
static bool check_memory(const struct ag_model_config *c, uint32_t tiles,
                         const struct ag_stream_params *p, struct ag_error *err)
{
    uint64_t frames = p->context == AG_CONTEXT_CANVAS ? 1 : p->horizon ? p->horizon : 64;
    uint64_t tokens = frames * (c->tokens + (p->max_budget ? p->max_budget : c->cells));
    uint64_t needed = tokens * c->layers * c->kv_heads * c->head_dim * 2 * sizeof(float) * tiles;
    uint64_t machine = (uint64_t)sysconf(_SC_PHYS_PAGES) * (uint64_t)sysconf(_SC_PAGESIZE);
    return needed <= machine ||
           ag_fail(err, AG_ERR_DEVICE, "the contexts of %u tiles need %llu bytes, this machine has "
                   "%llu; use fewer frames (--frames-per-clip), a smaller budget (--max-tokens) or "
                   "--mode realtime", tiles, (unsigned long long)needed,
                   (unsigned long long)machine);
}

struct cpu_gaze *cpu_gaze_create(const struct ag_model *model, uint32_t tiles,
                                 const struct ag_stream_params *params, uint32_t threads,
                                 struct ag_error *err)
{
    if (!check_memory(&model->config, tiles, params, err)) {
        return NULL;
    }
    struct cpu_gaze *g = ag_alloc(sizeof(*g));
    uint32_t side = model->config.image_size;
    g->tiles = tiles;
    g->n_workers = AG_MIN(ag_cpu_threads(threads), tiles);
    g->picture = (size_t)3 * side * side;
    g->workers = ag_alloc(g->n_workers * sizeof(*g->workers));
    g->streams = ag_alloc(tiles * sizeof(*g->streams));
    pthread_mutex_init(&g->lock, NULL);
    pthread_cond_init(&g->start, NULL);
    pthread_cond_init(&g->done, NULL);
    if (!create_workers(g, model, threads, err) || !create_streams(g, params, err)) {
        cpu_gaze_destroy(&g);
        return NULL;
    }
    for (uint32_t i = 1; i < g->n_workers; i++) {
        if (pthread_create(&g->workers[i].thread, NULL, thread_main, &g->workers[i]) != 0) {
            ag_fail(err, AG_ERR_INPUT, "no thread for tile worker %u of %u: use --cpu-threads %u",
                    i + 1, g->n_workers, i);
            cpu_gaze_destroy(&g);
            return NULL;
        }
        g->threads_started++;
    }
    return g;
}

void cpu_gaze_destroy(struct cpu_gaze **gaze)
{
    struct cpu_gaze *g = *gaze;
    if (!g) {
        return;
    }
    pthread_mutex_lock(&g->lock);
    g->quit = true;
    pthread_cond_broadcast(&g->start);
    pthread_mutex_unlock(&g->lock);
    for (uint32_t i = 0; i < g->threads_started; i++) {
        pthread_join(g->workers[i + 1].thread, NULL);
    }
    for (uint32_t t = 0; t < g->tiles; t++) {
        ag_cpu_stream_destroy(&g->streams[t]);
    }
    for (uint32_t i = g->n_workers; i-- > 0;) { // the weights' owner last
        ag_cpu_model_destroy(&g->workers[i].model);
    }
    pthread_cond_destroy(&g->done);
    pthread_cond_destroy(&g->start);
    pthread_mutex_destroy(&g->lock);
    ag_free(g->streams);
    ag_free(g->workers);
    ag_free(g);
    *gaze = NULL;
}

void cpu_gaze_reset(struct cpu_gaze *g)
{
    for (uint32_t t = 0; t < g->tiles; t++) {
        ag_cpu_stream_reset(g->streams[t]);
    }
}

// What the workers took, scaled to the time that passed.
static struct ag_gaze_times share(const struct cpu_gaze *g, int64_t passed)
{
    double sum[3] = { 0 };
    for (uint32_t i = 0; i < g->n_workers; i++) {
        const struct ag_gaze_times *t = &g->workers[i].times;
        sum[0] += (double)t->vision;
        sum[1] += (double)t->prefill;
        sum[2] += (double)t->decode;
    }
    double all = sum[0] + sum[1] + sum[2], scale = all > 0 ? (double)passed / all : 0;
    return (struct ag_gaze_times){ .vision = (int64_t)(sum[0] * scale),
                                   .prefill = (int64_t)(sum[1] * scale),
                                   .decode = (int64_t)(sum[2] * scale) };
}

bool cpu_gaze_run(struct cpu_gaze *g, const struct ag_gaze_input *in, struct gaze_set *out,
                  struct ag_gaze_times *times, struct ag_error *err)
{
    int64_t start = ag_now_ns();
    gaze_set_begin(out);
    pthread_mutex_lock(&g->lock);
    g->in = in;
    g->out = out;
    g->running = g->n_workers - 1;
    g->generation++;
    pthread_cond_broadcast(&g->start);
    pthread_mutex_unlock(&g->lock);
    work(&g->workers[0]);
    pthread_mutex_lock(&g->lock);
    while (g->running) {
        pthread_cond_wait(&g->done, &g->lock);
    }
    pthread_mutex_unlock(&g->lock);
    for (uint32_t i = 0; i < g->n_workers; i++) {
        if (!g->workers[i].ok) {
            const struct ag_error *why = &g->workers[i].error;
            return ag_fail_kind(err, why->status, why->kind, "%s", why->text);
        }
    }
    gaze_set_end(out);
    *times = share(g, ag_now_ns() - start);
    return true;
}
