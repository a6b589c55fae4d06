// A few worker threads that share the tasks of one job at a time; the caller works too.
// Thread-safety: one caller at a time. Tasks must not depend on each other's order.
#ifndef AUTOGAZE_MODEL_CPU_POOL_H
#define AUTOGAZE_MODEL_CPU_POOL_H

#include "autogaze/base.h"

#define AG_MAX_WORKERS 64

struct ag_pool;
// `worker` is below ag_pool_workers: an index for scratch memory.
struct ag_task_info {
    uint32_t task, worker;
};
typedef void ag_task_fn(void *user, struct ag_task_info info);

struct ag_pool *ag_pool_create(uint32_t threads); // 0: one a core this process may use
void ag_pool_destroy(struct ag_pool **pool);
uint32_t ag_pool_workers(const struct ag_pool *pool); // the caller included
// Runs tasks 0..n-1 and returns when all are done. `work` is the job's size in multiply-adds: small
// jobs run on the caller alone, for waking somebody takes longer.
void ag_pool_run(struct ag_pool *pool, uint32_t n, uint64_t work, ag_task_fn *fn, void *user);

#endif
