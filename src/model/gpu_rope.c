// RoPE rows (cos, sin) for the shaders, made on the host (M4.1): their own sin and cos are far too
// coarse. Where positions are bounded there is one table, made at creation. With policy SLIDE they
// grow for ever and are known only on the device: there the table is a ring, and rows are made
// ahead for the highest position that the frames in flight can reach.
#include "gpu_internal.h"

#include <math.h>
#include <string.h>

static uint32_t half_dim(const struct gpu_shape *s)
{
    return s->c.head_dim / 2;
}

// Most tokens that a frame adds.
static uint32_t frame_tokens(const struct gpu_shape *s)
{
    return s->c.tokens + s->max_budget;
}

static uint32_t table_count(const struct gpu_shape *s)
{
    return s->rope_stride ? s->streams : 1;
}

uint64_t gpu_rope_staging_bytes(const struct gpu_shape *s)
{
    return s->slide ? (uint64_t)AG_CMD_SLOTS * table_count(s) * frame_tokens(s) * half_dim(s) * 8
                    : 0;
}

// Rows [first, first + n) of (cos, sin) pairs.
static void make_rows(struct gpu_rope *r, const struct gpu_shape *s, uint32_t first, uint32_t n,
                      float *out)
{
    for (uint32_t i = 0; i < n; i++) {
        r->positions[i] = first + i;
    }
    ag_rope_rows(r->inv_freq, half_dim(s), r->positions, n, r->cosine, r->sine);
    for (size_t i = 0; i < (size_t)n * half_dim(s); i++) {
        out[2 * i] = r->cosine[i];
        out[2 * i + 1] = r->sine[i];
    }
}

bool gpu_rope_create(struct ag_gpu_model *m, struct ag_error *err)
{
    const struct gpu_shape *s = &m->shape;
    struct gpu_rope *r = &m->rope;
    r->rows = s->slide ? frame_tokens(s) : s->rope_rows;
    r->tables = table_count(s);
    r->inv_freq = ag_alloc(half_dim(s) * sizeof(float));
    r->positions = ag_alloc(r->rows * sizeof(*r->positions));
    r->cosine = ag_alloc((size_t)r->rows * half_dim(s) * sizeof(float));
    r->sine = ag_alloc((size_t)r->rows * half_dim(s) * sizeof(float));
    ag_rope_frequencies(&s->c, r->inv_freq);
    if (!s->slide) {
        size_t bytes = (size_t)r->rows * half_dim(s) * 8;
        float *rows = ag_alloc(bytes);
        make_rows(r, s, 0, r->rows, rows);
        bool ok = ag_buffer_load(m->gpu, m->buffer[RES_ROPE], 0, rows, bytes, err);
        ag_free(rows);
        return ok;
    }
    r->known = ag_alloc(r->tables * sizeof(*r->known));
    r->made = ag_alloc(r->tables * sizeof(*r->made));
    r->staging = ag_buffer_create(m->gpu, AG_MEM_UPLOAD, gpu_rope_staging_bytes(s),
                                  "model/rope_staging", err);
    return r->staging != NULL;
}

void gpu_rope_destroy(struct ag_gpu_model *m)
{
    struct gpu_rope *r = &m->rope;
    ag_buffer_destroy(m->gpu, &r->staging);
    ag_free(r->inv_freq);
    ag_free(r->positions);
    ag_free(r->cosine);
    ag_free(r->sine);
    ag_free(r->known);
    ag_free(r->made);
}

void gpu_rope_reset(struct ag_gpu_model *m)
{
    struct gpu_rope *r = &m->rope;
    for (uint32_t t = 0; r->known && t < r->tables; t++) {
        r->known[t] = r->made[t] = 0;
    }
    r->noted = m->records;
}

static uint64_t table_bound(const struct ag_gpu_model *m, uint32_t table)
{
    uint64_t frames = m->records - m->rope.noted + 1; // in flight, and the coming one
    return m->rope.known[table] + frames * frame_tokens(&m->shape);
}

uint32_t gpu_rope_bound(const struct ag_gpu_model *m)
{
    uint64_t most = 0;
    for (uint32_t t = 0; m->rope.known && t < m->rope.tables; t++) {
        most = AG_MAX(most, table_bound(m, t));
    }
    return (uint32_t)AG_MIN(most, UINT32_MAX);
}

static bool extend(struct ag_gpu_model *m, struct ag_cmd *cmd, uint32_t table, struct ag_error *err)
{
    const struct gpu_shape *s = &m->shape;
    struct gpu_rope *r = &m->rope;
    uint64_t end = table_bound(m, table), row = (uint64_t)half_dim(s) * 8;
    if (end - r->known[table] > s->rope_rows) {
        return ag_fail(err, AG_ERR_INPUT, "%u frames of a sliding context were recorded before "
                       "their results were handed to ag_gpu_model_note",
                       m->records - r->noted);
    }
    uint32_t n = (uint32_t)(end > r->made[table] ? end - r->made[table] : 0);
    // A frame adds at most frame_tokens to the bound, so n rows always fit.
    uint64_t from = ((uint64_t)(m->records % AG_CMD_SLOTS) * r->tables + table) * r->rows * row;
    make_rows(r, s, r->made[table], n, (float *)((char *)r->staging->data + from));
    for (uint32_t done = 0; done < n;) { // in two pieces where the ring wraps
        uint32_t at = (r->made[table] + done) % s->rope_rows;
        uint32_t piece = AG_MIN(n - done, s->rope_rows - at);
        ag_cmd_copy(cmd, m->buffer[RES_ROPE], ((uint64_t)table * s->rope_stride + at) * row,
                    r->staging, from + done * row, piece * row);
        done += piece;
    }
    r->made[table] += n;
    return true;
}

bool gpu_rope_extend(struct ag_gpu_model *m, struct ag_cmd *cmd, struct ag_error *err)
{
    for (uint32_t t = 0; t < m->rope.tables; t++) {
        if (!extend(m, cmd, t, err)) {
            return false;
        }
    }
    ag_buffer_flush(m->gpu, m->rope.staging);
    return true;
}

void ag_gpu_model_note(struct ag_gpu_model *m, const void *block)
{
    struct gpu_rope *r = &m->rope;
    if (!m->shape.slide) {
        return;
    }
    size_t words = GAZE_RESULT_WORDS(m->shape.c.cells);
    uint32_t record;
    memcpy(&record, (const uint32_t *)block + offsetof(struct gaze_result, record) / 4, 4);
    // Only news of this context: blocks may come late, after a reset.
    if ((int32_t)(record - m->chunk_record) < 0 || (int32_t)(record + 1 - r->noted) <= 0) {
        return;
    }
    r->noted = record + 1;
    for (uint32_t t = 0; t < r->tables; t++) {
        struct gaze_result result;
        memcpy(&result, (const uint32_t *)block + t * words, sizeof(result));
        r->known[t] = result.position;
    }
}
