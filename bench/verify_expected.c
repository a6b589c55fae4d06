#include "verify_internal.h"

#include <string.h>

bool ag_verify_bad_file(struct run *r, const char *prefix, const char *what)
{
    return ag_fail_kind(r->err, AG_ERR_INPUT, "RANGE", "%s: case '%.*s' %s", r->vectors.path,
                        (int)strcspn(prefix, " "), prefix, what);
}

bool ag_verify_read_params(struct run *r, const char *prefix, struct expected *e)
{
    const float *params = GET(r, float, prefix, "params", AG_F32, 2);
    if (!params) {
        return false;
    }
    if (!(params[0] >= 1 && params[0] <= (float)r->model->config.cells)) {
        return ag_verify_bad_file(r, prefix, "has a budget that is not 1 to the number of cells");
    }
    e->budget = (uint32_t)params[0];
    e->threshold = params[1];
    return true;
}

bool ag_verify_check_ids(struct run *r, const struct expected *e, uint32_t slots,
                         const uint8_t *pads)
{
    const struct ag_model_config *c = &r->model->config;
    size_t at = 0;
    for (uint32_t t = 0; t < e->frames; t++) {
        if (e->counts[t] < 1 || e->counts[t] > c->cells || e->counts[t] > (int64_t)(slots - at)) {
            return ag_verify_bad_file(r, e->prefix, "has counts that do not fit its ids");
        }
        for (int64_t i = 0; i < e->counts[t]; i++, at++) {
            int64_t id = e->ids[at] - (e->local ? 0 : (int64_t)t * c->cells);
            if (id < 0 || id > c->eos || (pads && (pads[at] != 0) != (id == c->eos))) {
                return ag_verify_bad_file(r, e->prefix, "has an id that is no cell of its frame");
            }
        }
    }
    return at == slots || ag_verify_bad_file(r, e->prefix, "has more ids than its counts");
}

bool ag_verify_read_expected(struct run *r, const char *prefix, struct expected *e)
{
    const struct ag_model_config *c = &r->model->config;
    const struct ag_safetensors_entry *ids, *counts, *vision;
    *e = (struct expected){ 0 };
    snprintf(e->prefix, sizeof(e->prefix), "%s", prefix);
    if (!ag_verify_read_params(r, prefix, e) ||
        !(e->ids = GET_SIZED(r, int64_t, prefix, "gazing_pos", AG_I64, &ids, AG_ANY)) ||
        !(e->counts = GET_SIZED(r, int64_t, prefix, "counts", AG_I64, &counts, AG_ANY)) ||
        !(e->losses = GET(r, float, prefix, "losses", AG_F32, ids->shape[0]))) {
        return false;
    }
    const uint8_t *pads = GET(r, uint8_t, prefix, "if_padded", AG_U8, ids->shape[0]);
    e->frames = counts->shape[0];
    if (!pads || !ag_verify_check_ids(r, e, ids->shape[0], pads)) {
        return false;
    }
    if (ag_vectors_has(&r->vectors, prefix, "vision")) {
        e->vision = GET_SIZED(r, float, prefix, "vision", AG_F32, &vision, AG_ANY, c->tokens,
                              c->width);
        e->n_vision = e->vision ? vision->shape[0] : 0;
    }
    if (ag_vectors_has(&r->vectors, prefix, "canvas")) {
        e->canvas = GET(r, float, prefix, "canvas", AG_F32, 3, c->image_size, c->image_size);
    }
    e->traced = ag_vectors_has(&r->vectors, prefix, "forward000.logits");
    return r->err->status == AG_OK;
}
