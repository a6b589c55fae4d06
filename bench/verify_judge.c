#include "verify.h"

#include <math.h>

static enum ag_verify_verdict judge_pad(const struct ag_verify_round *r, uint32_t i, char *text,
                                        size_t size)
{
    float distance = fabsf(r->expected->loss[i] - r->threshold);
    float error = fabsf(r->expected->loss[i] - r->own->loss[i]);
    bool tie = distance <= 2 * error;
    snprintf(text, size, "slot %u is %s, expected %s (loss %g, threshold %g)", i,
             r->own->emitted[i] == r->config->eos ? "a pad" : "valid",
             r->expected->emitted[i] == r->config->eos ? "a pad" : "valid",
             (double)r->expected->loss[i], (double)r->threshold);
    return tie ? AG_VERIFY_NEAR_TIE : AG_VERIFY_DIFFERENT;
}

static enum ag_verify_verdict judge_id(const struct ag_verify_round *r, uint32_t i, uint32_t own,
                                       uint32_t expected, char *text, size_t size)
{
    const float *row = r->reference + (size_t)i * r->config->vocab;
    float gap = fabsf(row[expected] - row[own]);
    snprintf(text, size, "slot %u is %u, expected %u (logits %g apart)", i, own, expected,
             (double)gap);
    return gap <= 2 * r->logit_error ? AG_VERIFY_NEAR_TIE : AG_VERIFY_DIFFERENT;
}

enum ag_verify_verdict ag_verify_judge(const struct ag_verify_round *r, char *text, size_t size)
{
    const struct ag_round *own = r->own, *expected = r->expected;
    uint32_t eos = r->config->eos;
    if (own->n != expected->n) {
        snprintf(text, size, "round of %u slots, expected %u", own->n, expected->n);
        return AG_VERIFY_DIFFERENT;
    }
    for (uint32_t i = 0; i < own->n; i++) {
        uint32_t pick = expected->picked[i];
        if ((own->emitted[i] == eos) != (expected->emitted[i] == eos)) {
            return judge_pad(r, i, text, size);
        }
        if (pick == UINT32_MAX && expected->emitted[i] != eos) {
            pick = expected->emitted[i];
        }
        if (pick != UINT32_MAX && own->picked[i] != pick) {
            return judge_id(r, i, own->picked[i], pick, text, size);
        }
    }
    return AG_VERIFY_SAME;
}
