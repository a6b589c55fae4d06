// One model frame at a time on a thread of its own: the CPU back end under `async` latency.
// Thread-safety: all functions from the render thread.
#ifndef AG_PIPELINE_JOB_H
#define AG_PIPELINE_JOB_H

#include "cpu_gaze.h"

struct job;
// `gaze` is used by the job's thread between start and take, and by nobody else then.
struct job *job_create(struct cpu_gaze *gaze, uint32_t tiles, uint32_t cells);
void job_destroy(struct job **job); // waits for a running frame
bool job_idle(struct job *job);     // nothing running, nothing to take
// Memory that `in` points to must stay as it is until the result was taken. `reset`: the streams
// forget their past first. `delay_ns`: sleeps before it answers (tests of slow models).
void job_start(struct job *job, const struct ag_gaze_input *in, bool reset, int64_t delay_ns);
// True: a frame is finished; *out points into the job until the next start. `ok` false: *err.
bool job_take(struct job *job, const struct gaze_set **out, struct ag_gaze_times *times, bool *ok,
              struct ag_error *err);

#endif
