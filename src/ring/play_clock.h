// When a frame is due: maps timestamps of the source to the wall clock, with rate and pause.
// Plain arithmetic on times that the caller passes in; no thread-safety of its own.
#ifndef AG_RING_PLAY_CLOCK_H
#define AG_RING_PLAY_CLOCK_H

#include <stdbool.h>
#include <stdint.h>

struct play_clock {
    double rate;
    int64_t nominal_ns; // duration of a frame by the source's word, 0 unknown
    bool running;       // the anchor below holds
    bool paused;
    int64_t media_ns, wall_ns;    // anchor: this timestamp is due at this time
    int64_t last_pts_ns, step_ns; // of the frames handed out
};

void play_clock_init(struct play_clock *clock, double rate, double fps);
// Time at which the frame with this timestamp (-1: unknown) is due; `now_ns` if the clock stands.
int64_t play_clock_due(const struct play_clock *clock, int64_t pts_ns, int64_t now_ns);
// The frame was handed out. One that is more than a tenth of a second late shifts the clock: play
// goes on at its rate instead of catching up in a burst.
void play_clock_taken(struct play_clock *clock, int64_t pts_ns, int64_t now_ns);
void play_clock_reset(struct play_clock *clock); // seek: the next frame is due at once
void play_clock_set_paused(struct play_clock *clock, bool paused, int64_t now_ns);
void play_clock_set_rate(struct play_clock *clock, double rate, int64_t now_ns);

#endif
