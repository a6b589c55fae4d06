#include "autogaze/timing.h"

#define DEFAULT_WINDOW 256

static const struct {
    const char *name, *help;
} stages[AG_STAGE_COUNT] = {
#define X(id, text, about) [AG_STAGE_##id] = { text, about },
    AG_STAGES(X)
#undef X
};

const char *ag_stage_name(enum ag_stage stage)
{
    return stages[stage].name;
}

const char *ag_stage_help(enum ag_stage stage)
{
    return stages[stage].help;
}

struct ag_timing {
    struct ag_series *stage[AG_STAGE_COUNT][AG_CLOCK_COUNT];
    struct ag_series *total[AG_TOTAL_COUNT];
    uint64_t dropped;
};

#define N_SERIES (AG_STAGE_COUNT * AG_CLOCK_COUNT + AG_TOTAL_COUNT)

// Series i of all of them.
static struct ag_series **series(struct ag_timing *t, int i)
{
    const int n_stages = AG_STAGE_COUNT * AG_CLOCK_COUNT;
    return i < n_stages ? &t->stage[i / AG_CLOCK_COUNT][i % AG_CLOCK_COUNT]
                        : &t->total[i - n_stages];
}

struct ag_timing *ag_timing_create(const struct ag_timing_params *params)
{
    struct ag_timing *t = ag_alloc(sizeof(*t));
    for (int i = 0; i < N_SERIES; i++) {
        *series(t, i) = ag_series_create(params->window ? params->window : DEFAULT_WINDOW);
    }
    return t;
}

void ag_timing_destroy(struct ag_timing **t)
{
    if (*t) {
        for (int i = 0; i < N_SERIES; i++) {
            ag_series_destroy(series(*t, i));
        }
        ag_free(*t);
        *t = NULL;
    }
}

void ag_timing_reset(struct ag_timing *t)
{
    if (t) {
        for (int i = 0; i < N_SERIES; i++) {
            ag_series_reset(*series(t, i));
        }
        t->dropped = 0;
    }
}

static double to_ms(int64_t ns)
{
    return (double)ns / 1e6;
}

void ag_timing_add(struct ag_timing *t, enum ag_stage stage, enum ag_clock clock, int64_t ns)
{
    if (t) {
        ag_series_add(t->stage[stage][clock], to_ms(ns));
    }
}

void ag_timing_add_total(struct ag_timing *t, enum ag_total total, int64_t ns)
{
    if (t) {
        ag_series_add(t->total[total], to_ms(ns));
    }
}

void ag_timing_drop(struct ag_timing *t)
{
    if (t) {
        t->dropped++;
    }
}

// Stages that other stages overlap or that are not part of a frame's cost.
static bool can_dominate(int stage)
{
    return stage != AG_STAGE_GENERATE && stage != AG_STAGE_RING && stage != AG_STAGE_SOURCE &&
           stage != AG_STAGE_RECORD && stage != AG_STAGE_QUEUE && stage != AG_STAGE_WAIT;
}

static void find_dominant(struct ag_timing_snapshot *s)
{
    double largest = 0;
    for (int i = 0; i < AG_STAGE_COUNT; i++) {
        for (int c = 0; can_dominate(i) && c < AG_CLOCK_COUNT; c++) {
            if (s->stage[i][c].samples > 0 && s->stage[i][c].p95 > largest) {
                largest = s->stage[i][c].p95;
                s->dominant_stage = i;
                s->dominant_clock = (enum ag_clock)c;
            }
        }
    }
}

void ag_timing_snapshot(struct ag_timing *t, struct ag_timing_snapshot *out)
{
    *out = (struct ag_timing_snapshot){ .dominant_stage = -1 };
    if (!t) {
        return;
    }
    for (int i = 0; i < AG_STAGE_COUNT; i++) {
        for (int c = 0; c < AG_CLOCK_COUNT; c++) {
            out->stage[i][c] = ag_series_stats(t->stage[i][c]);
        }
    }
    for (int i = 0; i < AG_TOTAL_COUNT; i++) {
        out->total[i] = ag_series_stats(t->total[i]);
    }
    out->dropped_samples = t->dropped;
    find_dominant(out);
}

void ag_phase_mark(struct ag_phases *p, const char *name)
{
    int64_t now = ag_now_ns();
    if (p->n < AG_MAX_PHASES) {
        p->phase[p->n++] = (struct ag_phase){ name, now - p->last_ns };
    }
    p->last_ns = now;
}
