#include "job.h"

#include <pthread.h>

enum state { IDLE, RUNNING, DONE, QUIT };

struct job {
    pthread_t thread;
    pthread_mutex_t lock;
    pthread_cond_t changed;
    struct cpu_gaze *gaze;
    // --- under lock
    enum state state;
    // --- the thread's while RUNNING, the render thread's else
    struct ag_gaze_input in;
    struct gaze_set out;
    struct ag_gaze_times times;
    struct ag_error error;
    bool reset, ok;
    int64_t delay_ns;
};

static void *work(void *arg)
{
    struct job *j = arg;
    ag_yield_to_others();
    pthread_mutex_lock(&j->lock);
    for (;;) {
        while (j->state != RUNNING && j->state != QUIT) {
            pthread_cond_wait(&j->changed, &j->lock);
        }
        if (j->state == QUIT) {
            break;
        }
        pthread_mutex_unlock(&j->lock);
        if (j->reset) {
            cpu_gaze_reset(j->gaze);
        }
        j->error = (struct ag_error){ 0 };
        j->ok = cpu_gaze_run(j->gaze, &j->in, &j->out, &j->times, &j->error);
        ag_sleep_ns(j->delay_ns);
        pthread_mutex_lock(&j->lock);
        if (j->state == RUNNING) {
            j->state = DONE;
        }
    }
    pthread_mutex_unlock(&j->lock);
    return NULL;
}

struct job *job_create(struct cpu_gaze *gaze, uint32_t tiles, uint32_t cells)
{
    struct job *j = ag_alloc(sizeof(*j));
    j->gaze = gaze;
    gaze_set_reserve(&j->out, tiles, cells);
    pthread_mutex_init(&j->lock, NULL);
    pthread_cond_init(&j->changed, NULL);
    pthread_create(&j->thread, NULL, work, j);
    return j;
}

void job_destroy(struct job **pj)
{
    struct job *j = *pj;
    if (!j) {
        return;
    }
    pthread_mutex_lock(&j->lock);
    j->state = QUIT;
    pthread_cond_signal(&j->changed);
    pthread_mutex_unlock(&j->lock);
    pthread_join(j->thread, NULL);
    pthread_mutex_destroy(&j->lock);
    pthread_cond_destroy(&j->changed);
    gaze_set_free(&j->out);
    ag_free(j);
    *pj = NULL;
}

bool job_idle(struct job *j)
{
    pthread_mutex_lock(&j->lock);
    bool idle = j->state == IDLE;
    pthread_mutex_unlock(&j->lock);
    return idle;
}

void job_start(struct job *j, const struct ag_gaze_input *in, bool reset, int64_t delay_ns)
{
    j->in = *in;
    j->reset = reset;
    j->delay_ns = delay_ns;
    pthread_mutex_lock(&j->lock);
    j->state = RUNNING;
    pthread_cond_signal(&j->changed);
    pthread_mutex_unlock(&j->lock);
}

bool job_take(struct job *j, const struct gaze_set **out, struct ag_gaze_times *times, bool *ok,
              struct ag_error *err)
{
    pthread_mutex_lock(&j->lock);
    bool done = j->state == DONE;
    if (done) {
        j->state = IDLE;
    }
    pthread_mutex_unlock(&j->lock);
    if (done) {
        *out = &j->out;
        *times = j->times;
        *ok = j->ok;
        if (!j->ok && err) {
            *err = j->error;
        }
    }
    return done;
}
