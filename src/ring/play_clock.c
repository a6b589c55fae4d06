#include "play_clock.h"

#define LATE_NS 100000000

void play_clock_init(struct play_clock *clock, double rate, double fps)
{
    *clock = (struct play_clock){
        .rate = rate > 0 ? rate : 1,
        .nominal_ns = fps > 0 ? (int64_t)(1e9 / fps) : 0,
    };
}

static bool timed(const struct play_clock *clock, int64_t pts_ns)
{
    return pts_ns >= 0 && pts_ns >= clock->last_pts_ns;
}

int64_t play_clock_due(const struct play_clock *clock, int64_t pts_ns, int64_t now_ns)
{
    if (!clock->running) {
        return now_ns;
    }
    // Timestamps that are missing or went back (the source looped): one frame after the last.
    int64_t pts = timed(clock, pts_ns) ? pts_ns : clock->last_pts_ns + clock->step_ns;
    return clock->wall_ns + (int64_t)((double)(pts - clock->media_ns) / clock->rate);
}

void play_clock_taken(struct play_clock *clock, int64_t pts_ns, int64_t now_ns)
{
    int64_t due = play_clock_due(clock, pts_ns, now_ns);
    // While paused a frame comes by itself (step, seek): the clock goes on from there.
    bool moved = !clock->running || clock->paused || now_ns - due > LATE_NS;
    int64_t pts = pts_ns >= 0 ? pts_ns : clock->last_pts_ns + clock->step_ns;
    if (moved || !timed(clock, pts_ns)) {
        clock->media_ns = pts;
        clock->wall_ns = moved ? now_ns : due;
    }
    if (!clock->running) {
        clock->step_ns = clock->nominal_ns;
    } else if (pts > clock->last_pts_ns) {
        clock->step_ns = pts - clock->last_pts_ns;
    }
    clock->last_pts_ns = pts;
    clock->running = true;
}

void play_clock_reset(struct play_clock *clock)
{
    clock->running = false;
    clock->last_pts_ns = 0;
}

// Moves the anchor to now without moving the time line.
static void anchor_now(struct play_clock *clock, int64_t now_ns)
{
    if (clock->running && !clock->paused) {
        clock->media_ns += (int64_t)((double)(now_ns - clock->wall_ns) * clock->rate);
    }
    clock->wall_ns = now_ns;
}

void play_clock_set_paused(struct play_clock *clock, bool paused, int64_t now_ns)
{
    anchor_now(clock, now_ns);
    clock->paused = paused;
}

void play_clock_set_rate(struct play_clock *clock, double rate, int64_t now_ns)
{
    if (rate > 0) {
        anchor_now(clock, now_ns);
        clock->rate = rate;
    }
}
