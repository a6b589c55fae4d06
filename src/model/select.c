// Which cells a round takes (M5.1, M5.2), and where a cell lies (M6.2). Host twin of the selection
// shader and part of the CPU back end.
#include "autogaze/model.h"

#include <assert.h>
#include <math.h>

#define BITS 64
#define MAX_VOCAB 65536

uint32_t ag_budget_from_ratio(float ratio, uint32_t cells)
{
    float slots = 1.0f * ratio * (float)cells; // truncated, as upstream does in float32
    return slots >= (float)cells ? cells : slots >= 1.0f ? (uint32_t)slots : 1;
}

float ag_threshold_from_db(double db)
{
    return (float)pow(10.0, -db / 20.0);
}

double ag_db_from_threshold(float threshold)
{
    return -20.0 * log10((double)threshold);
}

void ag_cell_of_id(const struct ag_model_config *c, uint32_t id, uint32_t *scale, uint32_t *row,
                   uint32_t *col)
{
    assert(id < c->cells);
    uint32_t s = c->n_scales - 1;
    while (id < c->scale_first[s]) {
        s--;
    }
    *scale = s;
    *row = (id - c->scale_first[s]) / c->scale_grid[s];
    *col = (id - c->scale_first[s]) % c->scale_grid[s];
}

static bool is_set(const uint64_t *bits, uint32_t i)
{
    return bits[i / BITS] >> i % BITS & 1;
}

static void set(uint64_t *bits, uint32_t i)
{
    bits[i / BITS] |= (uint64_t)1 << i % BITS;
}

// Largest logit among the ids not banned, lowest id first; EOS, the last id, never wins.
// Returns EOS if every id is banned.
static uint32_t best_id(const struct ag_model_config *c, const float *logits,
                        const uint64_t *banned)
{
    uint32_t best = c->eos;
    for (uint32_t id = 0; id < c->cells; id++) {
        if (!is_set(banned, id) && (best == c->eos || logits[id] > logits[best])) {
            best = id;
        }
    }
    return best;
}

bool ag_select_round(const struct ag_model_config *c, const float *logits, const float *losses,
                     uint32_t budget, float threshold, bool first, uint32_t *history,
                     uint32_t *n_history, struct ag_round *out)
{
    uint64_t banned[MAX_VOCAB / BITS] = { 0 };
    assert(c->vocab <= MAX_VOCAB);
    for (uint32_t i = 0; i < *n_history; i++) {
        set(banned, history[i]);
    }
    out->n = 0;
    while (out->n < c->round && *n_history + out->n < budget) {
        uint32_t id = best_id(c, logits + (size_t)out->n * c->vocab, banned);
        if (id == c->eos) {
            break;
        }
        set(banned, id);
        out->picked[out->n] = out->emitted[out->n] = id;
        out->loss[out->n] = losses[out->n];
        out->n++;
    }
    // A slot that met the threshold is padding, but its id stays taken; slots are judged one by
    // one, so a valid id may follow a pad. The frame's very first slot is exempt.
    bool padded = false;
    for (uint32_t i = 0; i < out->n; i++) {
        if (losses[i] <= threshold && !(first && i == 0)) { // false where the threshold is off, NaN
            out->emitted[i] = c->eos;
            padded = true;
        }
    }
    for (uint32_t i = 0; i < out->n; i++) {
        history[(*n_history)++] = out->emitted[i];
    }
    return padded || out->n < c->round || *n_history >= budget;
}
