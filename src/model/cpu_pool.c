#include "cpu_pool.h"

#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>

#include "autogaze/cpu_model.h"

#define WORTH_WAKING 2000000 // multiply-adds: some 50 us of one core

struct worker {
    struct ag_pool *pool;
    pthread_t thread;
    uint32_t index;
};

struct ag_pool {
    uint32_t n_workers; // the caller included; only the caller's thread reads it
    struct worker workers[AG_MAX_WORKERS];
    pthread_mutex_t mutex; // guards what follows but `next`
    pthread_cond_t start, done;
    bool open;             // the job still takes workers
    uint64_t generation;   // jobs so far
    uint32_t running;      // workers inside the job, without the caller
    bool stop;
    ag_task_fn *fn;
    void *user;
    uint32_t n_tasks;
    atomic_uint next;
};

static uint32_t usable_cores(void)
{
    cpu_set_t set;
    return sched_getaffinity(0, sizeof(set), &set) == 0 ? (uint32_t)CPU_COUNT(&set) : 1;
}

uint32_t ag_cpu_threads(uint32_t wanted)
{
    return AG_MIN(wanted ? wanted : usable_cores(), AG_MAX_WORKERS);
}

static void work(struct ag_pool *p, uint32_t worker)
{
    for (;;) {
        uint32_t task = atomic_fetch_add_explicit(&p->next, 1, memory_order_relaxed);
        if (task >= p->n_tasks) {
            return;
        }
        p->fn(p->user, (struct ag_task_info){ .task = task, .worker = worker });
    }
}

static void *worker_main(void *arg)
{
    struct worker *w = arg;
    struct ag_pool *p = w->pool;
    uint64_t seen = 0;
    ag_yield_to_others();
    pthread_mutex_lock(&p->mutex);
    for (;;) {
        while (!p->stop && (!p->open || p->generation == seen)) {
            pthread_cond_wait(&p->start, &p->mutex);
        }
        if (p->stop) {
            break;
        }
        seen = p->generation;
        p->running++;
        pthread_mutex_unlock(&p->mutex);
        work(p, w->index);
        pthread_mutex_lock(&p->mutex);
        if (--p->running == 0) {
            pthread_cond_signal(&p->done);
        }
    }
    pthread_mutex_unlock(&p->mutex);
    return NULL;
}

struct ag_pool *ag_pool_create(uint32_t threads)
{
    struct ag_pool *p = ag_alloc(sizeof(*p));
    uint32_t wanted = ag_cpu_threads(threads);
    pthread_mutex_init(&p->mutex, NULL);
    pthread_cond_init(&p->start, NULL);
    pthread_cond_init(&p->done, NULL);
    p->n_workers = 1;
    while (p->n_workers < wanted) {
        struct worker *w = &p->workers[p->n_workers];
        *w = (struct worker){ .pool = p, .index = p->n_workers };
        if (pthread_create(&w->thread, NULL, worker_main, w) != 0) {
            break; // fewer threads are slower, not wrong
        }
        p->n_workers++;
    }
    return p;
}

void ag_pool_destroy(struct ag_pool **pool)
{
    struct ag_pool *p = *pool;
    if (!p) {
        return;
    }
    pthread_mutex_lock(&p->mutex);
    p->stop = true;
    pthread_cond_broadcast(&p->start);
    pthread_mutex_unlock(&p->mutex);
    for (uint32_t i = 1; i < p->n_workers; i++) {
        pthread_join(p->workers[i].thread, NULL);
    }
    pthread_cond_destroy(&p->done);
    pthread_cond_destroy(&p->start);
    pthread_mutex_destroy(&p->mutex);
    ag_free(p);
    *pool = NULL;
}

uint32_t ag_pool_workers(const struct ag_pool *p)
{
    return p->n_workers;
}

void ag_pool_run(struct ag_pool *p, uint32_t n, uint64_t amount, ag_task_fn *fn, void *user)
{
    if (n < 2 || p->n_workers < 2 || amount < WORTH_WAKING) {
        for (uint32_t i = 0; i < n; i++) {
            fn(user, (struct ag_task_info){ .task = i, .worker = 0 });
        }
        return;
    }
    pthread_mutex_lock(&p->mutex);
    p->fn = fn;
    p->user = user;
    p->n_tasks = n;
    atomic_store_explicit(&p->next, 0, memory_order_relaxed);
    p->open = true;
    p->generation++;
    pthread_cond_broadcast(&p->start);
    pthread_mutex_unlock(&p->mutex);
    work(p, 0);
    // Every task is taken by now. Workers that have not woken yet find the job closed, so that a
    // sleepy one costs nothing.
    pthread_mutex_lock(&p->mutex);
    p->open = false;
    while (p->running) {
        pthread_cond_wait(&p->done, &p->mutex);
    }
    pthread_mutex_unlock(&p->mutex);
}
