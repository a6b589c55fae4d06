// The CPU back end over all tiles of a frame: with several tiles a thread a tile, else all threads
// on the one. Results are the same either way.
// Thread-safety: one thread at a time.
#ifndef AG_PIPELINE_CPU_GAZE_H
#define AG_PIPELINE_CPU_GAZE_H

#include "autogaze/cpu_model.h"
#include "gaze_set.h"

struct cpu_gaze;
// threads 0: one a core.
struct cpu_gaze *cpu_gaze_create(const struct ag_model *model, uint32_t tiles,
                                 const struct ag_stream_params *params, uint32_t threads,
                                 struct ag_error *err);
void cpu_gaze_destroy(struct cpu_gaze **g);
void cpu_gaze_reset(struct cpu_gaze *g);
// Pictures of *in are [tiles][3][S][S]. Fills `out`, which has room for the tiles, and ends it.
// Times are those of the caller's clock, shared out by what the tiles took.
bool cpu_gaze_run(struct cpu_gaze *g, const struct ag_gaze_input *in, struct gaze_set *out,
                  struct ag_gaze_times *times, struct ag_error *err);

#endif
