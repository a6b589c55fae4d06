// Decoder (M4). Rows are worked on in tiles of AG_TILE; between two attentions everything is local
// to a row, so a layer is two rounds of tasks: attention (tile x head), and the rest of the layer
// with the next one's queries, keys and values (tile).
#include "cpu_internal.h"

#include <math.h>
#include <string.h>

struct forward {
    struct ag_cpu_model *m;
    struct ag_cpu_cache *cache; // end: without the rows of this forward
    uint32_t n, layer;
};

struct rows { // of one tile
    uint32_t first, n;
    uint32_t skip; // rows of the tile before `first`
};

// In the last layer only the last row matters behind its keys and values: nothing reads the others.
static struct rows rows_of_tile(const struct forward *f, uint32_t tile, bool only_last)
{
    uint32_t first = tile * AG_TILE;
    if (only_last) {
        return (struct rows){ .first = f->n - 1, .n = 1, .skip = f->n - 1 - first };
    }
    return (struct rows){ .first = first, .n = AG_MIN(AG_TILE, f->n - first) };
}

static void rms_norm(const struct ag_cpu_model *m, const float *x, const float *weight, float *out,
                     size_t stride)
{
    const struct ag_model_config *c = &m->model->config;
    float mean = m->kernels->sum_squares(x, c->width) / (float)c->width;
    float scale = 1.0f / sqrtf(mean + c->rms_eps);
    for (uint32_t i = 0; i < c->width; i++) {
        out[i * stride] = weight[i] * (x[i] * scale);
    }
}

static void norm_rows(const struct ag_cpu_model *m, struct rows rows, const float *weight,
                      float *tile)
{
    const struct ag_model_config *c = &m->model->config;
    for (uint32_t i = 0; i < rows.n; i++) {
        rms_norm(m, m->x + (size_t)(rows.first + i) * c->width, weight, tile + i, AG_TILE);
    }
}

// Half-split rotation of one head: element d pairs with d + HD/2.
static void rotate(const float *in, const float *cosine, const float *sine, uint32_t half,
                   float *out, size_t stride)
{
    for (uint32_t d = 0; d < half; d++) {
        out[d * stride] = in[d] * cosine[d] - in[d + half] * sine[d];
        out[(d + half) * stride] = in[d + half] * cosine[d] + in[d] * sine[d];
    }
}

static float *head_tile(const struct ag_model_config *c, float *base, uint32_t tile, uint32_t head)
{
    return base + ((size_t)tile * c->heads + head) * c->head_dim * AG_TILE;
}

static void store_keys_values(const struct forward *f, uint32_t row, const float *kv)
{
    const struct ag_cpu_model *m = f->m;
    const struct ag_model_config *c = &m->model->config;
    uint32_t hd = c->head_dim, at = f->cache->end + row;
    const float *cosine = m->cosine + (size_t)row * (hd / 2);
    const float *sine = m->sine + (size_t)row * (hd / 2);
    for (uint32_t h = 0; h < c->kv_heads; h++) {
        float *key = ag_cpu_keys(c, f->cache, f->layer, h) +
                     (size_t)(at / AG_PANEL) * hd * AG_PANEL + at % AG_PANEL;
        float *value = ag_cpu_values(c, f->cache, f->layer, h) + at * AG_PANEL_UP(hd);
        rotate(kv + h * hd, cosine, sine, hd / 2, key, AG_PANEL);
        memcpy(value, kv + (c->kv_heads + h) * hd, hd * sizeof(*value));
    }
}

// Norm, queries, keys and values of f->layer.
static void project_qkv(const struct forward *f, uint32_t tile, struct ag_cpu_scratch *s)
{
    struct ag_cpu_model *m = f->m;
    const struct ag_model_config *c = &m->model->config;
    const struct ag_packed *qkv = &m->layer[f->layer].qkv;
    struct rows rows = rows_of_tile(f, tile, false);
    bool keys_only = f->layer == c->layers - 1 && rows.first + rows.n < f->n;
    uint32_t hd = c->head_dim, half = hd / 2;
    norm_rows(m, rows, m->model->weights.layer[f->layer].norm_attn, s->tile);
    ag_matmul(m->kernels, rows.n, s->tile, qkv, keys_only ? c->heads * hd / AG_PANEL : 0,
              ag_packed_panels(qkv->out), s->rows, m->wide);
    for (uint32_t i = 0; i < rows.n; i++) {
        uint32_t row = rows.first + i;
        const float *out = s->rows + i * m->wide;
        for (uint32_t h = 0; h < c->heads && !keys_only; h++) {
            rotate(out + h * hd, m->cosine + (size_t)row * half, m->sine + (size_t)row * half, half,
                   head_tile(c, m->q, tile, h) + i, AG_TILE);
        }
        store_keys_values(f, row, out + c->heads * hd);
    }
}

static void first_task(void *user, struct ag_task_info info)
{
    const struct forward *f = user;
    struct ag_cpu_model *m = f->m;
    struct rows rows = rows_of_tile(f, info.task, false);
    uint32_t half = m->model->config.head_dim / 2;
    ag_rope_rows(m->inv_freq, half, m->positions + rows.first, rows.n,
                 m->cosine + (size_t)rows.first * half, m->sine + (size_t)rows.first * half);
    project_qkv(f, info.task, &m->scratch[info.worker]);
}

#define TURNED 64 // columns at a time: what is written stays in the first cache

// [rows][n] of `stride` -> [n][AG_TILE].
static void turn(const float *from, size_t stride, uint32_t rows, uint32_t n, float *to)
{
    for (uint32_t first = 0; first < n; first += TURNED) {
        uint32_t end = AG_MIN(first + TURNED, n);
        for (uint32_t i = 0; i < rows; i++) {
            for (uint32_t j = first; j < end; j++) {
                to[(size_t)j * AG_TILE + i] = from[i * stride + j];
            }
        }
    }
}

// One head of one tile: scores, softmax, weighted values. Row i sees the keys up to its own (M4:
// causal by sequence index, whatever the positions).
static void attend(const struct forward *f, struct rows rows, uint32_t tile, uint32_t head,
                   struct ag_cpu_scratch *s)
{
    struct ag_cpu_model *m = f->m;
    const struct ag_model_config *c = &m->model->config;
    const struct ag_cpu_cache *cache = f->cache;
    uint32_t hd = c->head_dim, kv = head / (c->heads / c->kv_heads);
    uint32_t begin = cache->begin, end = cache->end + rows.first + rows.n;
    uint32_t block = begin / AG_PANEL;
    const float *keys = ag_cpu_keys(c, cache, f->layer, kv);
    for (uint32_t b = block; b < AG_DIV_UP(end, AG_PANEL); b++) {
        m->kernels->matmul(rows.n, hd, head_tile(c, m->q, tile, head) + rows.skip, AG_TILE,
                           keys + (size_t)b * hd * AG_PANEL, AG_PANEL,
                           s->scores + (size_t)(b - block) * AG_PANEL, m->score_capacity, false);
    }
    float sum[AG_TILE], scale = 1.0f / sqrtf((float)hd);
    for (uint32_t i = 0; i < rows.n; i++) {
        float *row = s->scores + i * m->score_capacity + (begin - block * AG_PANEL);
        uint32_t visible = end - begin - (rows.n - 1 - i);
        sum[i] = m->kernels->exp_row(row, visible, scale);
        memset(row + visible, 0, (end - begin - visible) * sizeof(*row));
    }
    turn(s->scores + (begin - block * AG_PANEL), m->score_capacity, rows.n, end - begin, s->probs);
    size_t width = AG_PANEL_UP(hd);
    const float *values = ag_cpu_values(c, cache, f->layer, kv) + begin * width;
    for (uint32_t x = 0; x < width; x += AG_PANEL) {
        m->kernels->matmul(rows.n, end - begin, s->probs, AG_TILE, values + x, width, s->rows + x,
                           m->wide, false);
    }
    float *out = head_tile(c, m->context, tile, head) + rows.skip;
    for (uint32_t i = 0; i < rows.n; i++) {
        for (uint32_t d = 0; d < hd; d++) {
            out[d * AG_TILE + i] = s->rows[i * m->wide + d] / sum[i];
        }
    }
}

static void attention_task(void *user, struct ag_task_info info)
{
    const struct forward *f = user;
    const struct ag_model_config *c = &f->m->model->config;
    bool only_last = f->layer == c->layers - 1;
    // The last tiles see the most keys: they go first.
    uint32_t tile = AG_DIV_UP(f->n, AG_TILE) - 1 - info.task / c->heads;
    attend(f, rows_of_tile(f, tile, only_last), tile, info.task % c->heads,
           &f->m->scratch[info.worker]);
}

static void add_rows(struct ag_cpu_model *m, struct rows rows, const float *add)
{
    uint32_t d = m->model->config.width;
    for (uint32_t i = 0; i < rows.n; i++) {
        for (uint32_t k = 0; k < d; k++) {
            m->x[(size_t)(rows.first + i) * d + k] += add[i * m->wide + k];
        }
    }
}

// Output projection and MLP of one layer.
static void finish_layer(const struct forward *f, uint32_t tile, bool only_last,
                         struct ag_cpu_scratch *s)
{
    struct ag_cpu_model *m = f->m;
    const struct ag_model_config *c = &m->model->config;
    const struct ag_cpu_layer *l = &m->layer[f->layer];
    struct rows rows = rows_of_tile(f, tile, only_last);
    uint32_t panels = ag_packed_panels(c->width);
    ag_matmul(m->kernels, rows.n, head_tile(c, m->context, tile, 0) + rows.skip, &l->o, 0, panels,
              s->rows, m->wide);
    add_rows(m, rows, s->rows);
    norm_rows(m, rows, m->model->weights.layer[f->layer].norm_mlp, s->tile);
    ag_matmul(m->kernels, rows.n, s->tile, &l->gate_up, 0, ag_packed_panels(2 * c->mlp), s->rows,
              m->wide);
    for (uint32_t i = 0; i < rows.n; i++) {
        float *row = s->rows + i * m->wide;
        m->kernels->silu(row, row + c->mlp, c->mlp, row);
    }
    ag_tile_rows(s->rows, m->wide, rows.n, c->mlp, s->tile);
    ag_matmul(m->kernels, rows.n, s->tile, &l->down, 0, panels, s->rows, m->wide);
    add_rows(m, rows, s->rows);
}

static void layer_task(void *user, struct ag_task_info info)
{
    const struct forward *f = user;
    struct ag_cpu_scratch *s = &f->m->scratch[info.worker];
    finish_layer(f, info.task, false, s);
    struct forward next = *f;
    next.layer++;
    project_qkv(&next, info.task, s);
}

static void run_heads(struct ag_cpu_model *m, uint32_t row)
{
    const struct ag_model_config *c = &m->model->config;
    struct ag_cpu_scratch *s = &m->scratch[0];
    rms_norm(m, m->x + (size_t)row * c->width, m->model->weights.norm_final, m->hidden, 1);
    ag_tile_rows(m->hidden, c->width, 1, c->width, s->tile);
    ag_matmul(m->kernels, 1, s->tile, &m->heads, 0, ag_packed_panels(m->heads.out), m->logits, 0);
}

void ag_cpu_forward(struct ag_cpu_model *m, struct ag_cpu_cache *cache, uint32_t n)
{
    const struct ag_model_config *c = &m->model->config;
    struct forward f = { .m = m, .cache = cache, .n = n };
    uint32_t tiles = AG_DIV_UP(n, AG_TILE), last = c->layers - 1;
    uint64_t d = c->width, hd = c->head_dim, keys = cache->end - cache->begin + n;
    uint64_t qkv = n * d * m->layer[0].qkv.out, attention = 2ull * n * keys * c->heads * hd;
    uint64_t rest = n * d * (c->heads * hd + 3ull * c->mlp);
    ag_pool_run(m->pool, tiles, qkv, first_task, &f);
    for (; f.layer < last; f.layer++) {
        ag_pool_run(m->pool, tiles * c->heads, attention, attention_task, &f);
        ag_pool_run(m->pool, tiles, rest + qkv, layer_task, &f);
    }
    ag_pool_run(m->pool, c->heads, attention / n, attention_task, &f);
    finish_layer(&f, tiles - 1, true, &m->scratch[0]);
    run_heads(m, n - 1);
    cache->end += n;
}
