// What comes back from the device: a frame's gaze, late; and the taps of verify.
#include "gpu_internal.h"

#include <assert.h>
#include <string.h>

const struct ag_buffer *ag_gpu_model_results(const struct ag_gpu_model *m, uint64_t *bytes)
{
    *bytes = gpu_resource_bytes(&m->shape, RES_RESULTS);
    return m->buffer[RES_RESULTS];
}

void ag_gpu_model_decode(const struct ag_gpu_model *m, const void *block, uint32_t stream,
                         struct ag_gaze *out)
{
    assert(stream < m->shape.streams);
    uint32_t cells = m->shape.c.cells;
    const uint32_t *words = (const uint32_t *)block + (size_t)stream * GAZE_RESULT_WORDS(cells);
    struct gaze_result r;
    memcpy(&r, words, sizeof(r));
    out->frame_id = (uint64_t)r.frame_high << 32 | r.frame_low;
    out->slots = AG_MIN(r.slots, cells);
    out->rounds = r.rounds;
    out->valid = r.valid;
    out->chunk_start = r.chunk_start != 0;
    memcpy(out->ids, words + GAZE_RESULT_IDS, out->slots * sizeof(*out->ids));
    memcpy(out->losses, words + GAZE_RESULT_IDS + cells, out->slots * sizeof(*out->losses));
}

static bool check_tap(const struct ag_gpu_model *m, uint32_t stream, uint32_t forward,
                      struct ag_error *err)
{
    if (!m->shape.trace || stream >= m->shape.streams || forward >= m->shape.max_rounds) {
        return ag_fail(err, AG_ERR_USAGE, "forward %u of stream %u was not kept: the model was "
                       "made with trace %s, %u streams, %u forwards a frame", forward, stream,
                       m->shape.trace ? "on" : "off", m->shape.streams, m->shape.max_rounds);
    }
    return true;
}

bool ag_gpu_model_read_forward(struct ag_gpu_model *m, uint32_t stream, uint32_t forward,
                               float *hidden, float *logits, float *losses, struct ag_error *err)
{
    const struct ag_model_config *c = &m->shape.c;
    if (!check_tap(m, stream, forward, err)) {
        return false;
    }
    uint64_t ids = (uint64_t)c->round * c->vocab, heads = ids + c->round;
    uint64_t at = forward * m->stride[RES_LOGITS] + stream * heads * sizeof(float);
    return ag_buffer_read(m->gpu, m->buffer[RES_HIDDEN],
                          forward * m->stride[RES_HIDDEN] +
                              (uint64_t)stream * gpu_pad4(c->width) * sizeof(float),
                          hidden, c->width * sizeof(float), err) &&
           ag_buffer_read(m->gpu, m->buffer[RES_LOGITS], at, logits, ids * sizeof(float), err) &&
           ag_buffer_read(m->gpu, m->buffer[RES_LOGITS], at + ids * sizeof(float), losses,
                          c->round * sizeof(float), err);
}

bool ag_gpu_model_read_vision(struct ag_gpu_model *m, uint32_t stream, float *tokens,
                              struct ag_error *err)
{
    uint64_t bytes = (uint64_t)m->shape.c.tokens * m->shape.c.width * sizeof(float);
    return check_tap(m, stream, 0, err) &&
           ag_buffer_read(m->gpu, m->buffer[RES_TOKENS], stream * bytes, tokens, bytes, err);
}

bool ag_gpu_model_read_past(struct ag_gpu_model *m, uint32_t stream, float *past,
                            struct ag_error *err)
{
    const struct ag_model_config *c = &m->shape.c;
    assert(!m->canvas && stream < m->shape.streams);
    uint32_t n = c->trunk_time - 1, stride = gpu_feature_row(&m->shape);
    bool half = m->shape.half;
    uint64_t slot_bytes = (uint64_t)c->tokens * stride * (half ? 2 : sizeof(float));
    void *slot = ag_alloc(slot_bytes);
    bool ok = true;
    for (uint32_t i = 0; i < c->trunk_depth * n && ok; i++) {
        uint32_t block = i / n, t = i % n; // t 0 is the oldest: n frames before the next one
        bool known = m->in_chunk + t >= n;
        uint32_t at = known ? (m->in_chunk + t - n) % c->trunk_time : 0;
        uint64_t first = ((uint64_t)stream * c->trunk_depth + block) * m->shape.feature_slots + at;
        ok = ag_buffer_read(m->gpu, m->buffer[RES_FEATURES], first * slot_bytes, slot, slot_bytes,
                            err);
        for (uint32_t k = 0; k < c->channels * c->tokens && ok; k++) {
            uint32_t channel = k / c->tokens, cell = k % c->tokens;
            size_t from = (size_t)cell * stride + channel;
            float value = half ? ag_half_to_float(((uint16_t *)slot)[from]) : ((float *)slot)[from];
            past[(((size_t)block * c->channels + channel) * n + t) * c->tokens + cell] =
                known ? value : 0.0f;
        }
    }
    ag_free(slot);
    return ok;
}
