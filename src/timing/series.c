#include "autogaze/timing.h"

#include <math.h>
#include <string.h>

struct ag_series {
    uint32_t capacity;
    uint64_t samples; // since reset; sample i sits at i % capacity
    double sum, min, max;
    double *window, *sorted;
};

struct ag_series *ag_series_create(uint32_t capacity)
{
    struct ag_series *s = ag_alloc(sizeof(*s));
    s->capacity = AG_MAX(capacity, 1);
    s->window = ag_alloc(s->capacity * sizeof(s->window[0]));
    s->sorted = ag_alloc(s->capacity * sizeof(s->sorted[0]));
    return s;
}

void ag_series_destroy(struct ag_series **s)
{
    if (*s) {
        ag_free((*s)->window);
        ag_free((*s)->sorted);
        ag_free(*s);
        *s = NULL;
    }
}

void ag_series_add(struct ag_series *s, double value)
{
    s->window[s->samples % s->capacity] = value;
    s->sum += value;
    s->min = s->samples ? AG_MIN(s->min, value) : value;
    s->max = s->samples ? AG_MAX(s->max, value) : value;
    s->samples++;
}

void ag_series_reset(struct ag_series *s)
{
    s->samples = 0;
    s->sum = s->min = s->max = 0;
}

static void sift(double *v, uint32_t i, uint32_t n)
{
    for (uint32_t child = 2 * i + 1; child < n; child = 2 * i + 1) {
        if (child + 1 < n && v[child + 1] > v[child]) {
            child++;
        }
        if (v[i] >= v[child]) {
            return;
        }
        double t = v[i];
        v[i] = v[child];
        v[child] = t;
        i = child;
    }
}

// Heap sort: qsort() may allocate, and the HUD takes its snapshots on the frame path.
static void sort(double *v, uint32_t n)
{
    for (uint32_t i = n / 2; i-- > 0;) {
        sift(v, i, n);
    }
    for (uint32_t i = n; i-- > 1;) {
        double t = v[0];
        v[0] = v[i];
        v[i] = t;
        sift(v, 0, i);
    }
}

static double percentile(const double *sorted, uint32_t n, double p)
{
    return sorted[(uint32_t)lround((double)(n - 1) * p)];
}

struct ag_series_stats ag_series_stats(struct ag_series *s)
{
    if (s->samples == 0) {
        return (struct ag_series_stats){ 0 };
    }
    uint32_t n = (uint32_t)AG_MIN(s->samples, s->capacity);
    memcpy(s->sorted, s->window, n * sizeof(s->sorted[0]));
    sort(s->sorted, n);
    return (struct ag_series_stats){
        .samples = s->samples,
        .window = n,
        .last = s->window[(s->samples - 1) % s->capacity],
        .mean = s->sum / (double)s->samples,
        .min = s->min,
        .max = s->max,
        .p50 = percentile(s->sorted, n, 0.50),
        .p95 = percentile(s->sorted, n, 0.95),
        .p99 = percentile(s->sorted, n, 0.99),
    };
}
