#include "verify_internal.h"

#include <math.h>
#include <stdarg.h>

const struct ag_verify_bounds ag_verify_f32 = {
    "f32", { 1e-5f, 1e-5f, 1e-5f, 2e-5f, 5e-5f, 2e-4f, 1e-5f }
};
const struct ag_verify_bounds ag_verify_f16 = {
    "f16", { 4e-3f, 2e-3f, 2e-3f, 5e-3f, 1e-2f, 2e-2f, 4e-3f }
};

void ag_verify_complain(struct ag_verify_case *k, const char *fmt, ...)
{
    if (k->passed) { // the first difference is the one to look at
        va_list args;
        va_start(args, fmt);
        vsnprintf(k->ids, sizeof(k->ids), fmt, args);
        va_end(args);
    }
    k->passed = false;
}

float ag_verify_difference(const float *own, const float *expected, size_t n, float *absmax)
{
    float most = 0, scale = 0;
    for (size_t i = 0; i < n; i++) {
        float d = fabsf(own[i] - expected[i]);
        most = isfinite(d) ? AG_MAX(most, d) : INFINITY;
        scale = AG_MAX(scale, fabsf(expected[i]));
    }
    *absmax = scale;
    return most;
}

float ag_verify_measure(struct ag_verify_case *k, enum ag_verify_stage stage, const float *own,
                        const float *expected, size_t n)
{
    static const bool relative[AG_VERIFY_STAGES] = {
        [AG_VERIFY_VISION] = true, [AG_VERIFY_PAST] = true,
        [AG_VERIFY_HIDDEN] = true, [AG_VERIFY_LOGITS] = true,
    };
    float absmax, most = ag_verify_difference(own, expected, n, &absmax);
    float error = relative[stage] && absmax > 0 ? most / absmax : most;
    k->error[stage] = AG_MAX(k->error[stage], error);
    return most;
}

struct ag_verify_case *ag_verify_add_case(struct ag_verify_report *report, const char *name,
                                          uint32_t frames)
{
    report->cases = ag_realloc(report->cases, (report->n + 1) * sizeof(*report->cases));
    struct ag_verify_case *k = &report->cases[report->n++];
    *k = (struct ag_verify_case){ .frames = frames, .passed = true, .ids = "-" };
    snprintf(k->name, sizeof(k->name), "%s", name);
    for (int i = 0; i < AG_VERIFY_STAGES; i++) {
        k->error[i] = -1;
    }
    return k;
}

void ag_verify_close_case(struct ag_verify_report *report, struct ag_verify_case *k,
                          const struct ag_verify_bounds *bounds)
{
    for (int i = 0; i < AG_VERIFY_STAGES; i++) {
        k->passed &= k->error[i] <= bounds->stage[i];
    }
    report->failed += !k->passed;
}

void ag_verify_report_free(struct ag_verify_report *report)
{
    ag_free(report->cases);
    *report = (struct ag_verify_report){ 0 };
}

void ag_verify_print(FILE *out, const struct ag_verify_report *report,
                     const struct ag_verify_bounds *bounds)
{
    static const char *const titles[] = { "input",  "vision", "past",  "hidden",
                                          "logits", "losses", "canvas" };
    fprintf(out, "%-18s %6s %8s", "case", "frames", "forwards");
    for (int i = 0; i < AG_VERIFY_STAGES; i++) {
        fprintf(out, " %8s", titles[i]);
    }
    fprintf(out, "  ids\n");
    for (uint32_t n = 0; n < report->n; n++) {
        const struct ag_verify_case *k = &report->cases[n];
        fprintf(out, "%-18s %6u %8u", k->name, k->frames, k->forwards);
        for (int i = 0; i < AG_VERIFY_STAGES; i++) {
            if (k->error[i] < 0) {
                fprintf(out, " %8s", "-");
            } else {
                fprintf(out, " %8.1e", (double)k->error[i]);
            }
        }
        fprintf(out, "  %s", k->ids);
        if (k->near_ties > 1) {
            fprintf(out, "; %u near ties in all", k->near_ties);
        }
        fprintf(out, "%s\n", k->passed ? "" : "  FAILED");
    }
    fprintf(out, "%-18s %6s %8s", "bound", "", bounds->name);
    for (int i = 0; i < AG_VERIFY_STAGES; i++) {
        fprintf(out, " %8.1e", (double)bounds->stage[i]);
    }
    fprintf(out, "\n%u of %u cases passed\n", report->n - report->failed, report->n);
}
