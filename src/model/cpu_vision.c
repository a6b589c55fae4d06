// Vision encoder (M3): patch convolution, LayerNorm, causal trunk, projection. Every step is a
// matmul over tiles of neighbouring cells of one grid row.
#include "cpu_internal.h"

#include <math.h>
#include <string.h>

struct vision_job {
    struct ag_cpu_model *m;
    const float *image;
    float *features;
    uint32_t block, groups;
    const float *const *taps;
};

struct cells { // of one tile
    uint32_t y, x, n;
};

static uint32_t tiles_of_row(const struct ag_model_config *c)
{
    return AG_DIV_UP(c->grid, AG_TILE);
}

static struct cells cells_of_tile(const struct ag_model_config *c, uint32_t tile)
{
    uint32_t x = tile % tiles_of_row(c) * AG_TILE;
    return (struct cells){ .y = tile / tiles_of_row(c), .x = x, .n = AG_MIN(AG_TILE, c->grid - x) };
}

// Pixels of the cells' patches, [rgb][y][x][AG_TILE].
static void gather_patches(const struct ag_model_config *c, const float *image, struct cells cells,
                           float *tile)
{
    uint32_t p = c->patch, side = c->image_size;
    for (uint32_t line = 0; line < 3 * p; line++) { // a line of pixels of one colour
        const float *src = image + ((size_t)(line / p) * side + cells.y * p + line % p) * side +
                           (size_t)cells.x * p;
        for (uint32_t x = 0; x < p; x++, tile += AG_TILE) {
            for (uint32_t i = 0; i < cells.n; i++) {
                tile[i] = src[i * p + x];
            }
        }
    }
}

static void layer_norm(const float *x, uint32_t n, const float *weight, const float *bias,
                       float eps, float *out, size_t stride)
{
    double mean = 0, variance = 0;
    for (uint32_t i = 0; i < n; i++) {
        mean += (double)x[i];
    }
    mean /= n;
    for (uint32_t i = 0; i < n; i++) {
        variance += ((double)x[i] - mean) * ((double)x[i] - mean);
    }
    float scale = (float)(1.0 / sqrt(variance / n + (double)eps));
    for (uint32_t i = 0; i < n; i++) {
        out[i * stride] = (x[i] - (float)mean) * scale * weight[i] + bias[i];
    }
}

static void features_task(void *user, struct ag_task_info info)
{
    const struct vision_job *job = user;
    struct ag_cpu_model *m = job->m;
    const struct ag_model_config *c = &m->model->config;
    const struct ag_model_weights *w = &m->model->weights;
    struct ag_cpu_scratch *s = &m->scratch[info.worker];
    struct cells cells = cells_of_tile(c, info.task);
    gather_patches(c, job->image, cells, s->tile);
    ag_matmul(m->kernels, cells.n, s->tile, &m->patch, 0, ag_packed_panels(c->channels), s->rows,
              m->wide);
    size_t stride = ag_cpu_feature_stride(c);
    float *out = job->features + cells.y * c->channels * stride + ag_cpu_margin(c) + cells.x;
    for (uint32_t i = 0; i < cells.n; i++) {
        float *row = s->rows + i * m->wide;
        for (uint32_t k = 0; k < c->channels; k++) {
            row[k] += w->patch_bias[k];
        }
        layer_norm(row, c->channels, w->norm, w->norm_bias, c->layer_norm_eps, out + i, stride);
    }
}

void ag_cpu_features(struct ag_cpu_model *m, const float *image, float *features)
{
    const struct ag_model_config *c = &m->model->config;
    struct vision_job job = { .m = m, .image = image, .features = features };
    ag_pool_run(m->pool, tiles_of_row(c) * c->grid, (uint64_t)c->tokens * m->patch.in * c->channels,
                features_task, &job);
}

// Adds one tap to the tiles of one grid row; margins take care of left and right.
static void add_tap(const struct ag_cpu_model *m, const struct ag_packed *weights, uint32_t panel,
                    const float *features, uint32_t y, uint32_t shift)
{
    const struct ag_model_config *c = &m->model->config;
    size_t stride = ag_cpu_feature_stride(c), width = AG_PANEL_UP(c->channels);
    const float *b = weights->data + (size_t)panel * weights->in * AG_PANEL;
    for (uint32_t x = 0; x < c->grid; x += AG_TILE) {
        m->kernels->matmul(AG_MIN(AG_TILE, c->grid - x), c->channels, features + x + shift, stride,
                           b, AG_PANEL, m->trunk_out + (y * c->grid + x) * width +
                           (size_t)panel * AG_PANEL, width, true);
    }
}

// One panel of output channels for a group of grid rows: the panel's weights of one tap stay in the
// first-level cache while all the group's cells pass.
static void trunk_task(void *user, struct ag_task_info info)
{
    const struct vision_job *job = user;
    const struct ag_cpu_model *m = job->m;
    const struct ag_model_config *c = &m->model->config;
    uint32_t panel = info.task / job->groups, group = info.task % job->groups;
    uint32_t first = group * c->grid / job->groups, last = (group + 1) * c->grid / job->groups;
    uint32_t side = c->trunk_space, margin = ag_cpu_margin(c);
    size_t width = AG_PANEL_UP(c->channels), stride = ag_cpu_feature_stride(c);
    const float *bias = m->model->weights.trunk_bias[job->block];
    for (uint32_t cell = first * c->grid; cell < last * c->grid; cell++) {
        for (uint32_t k = panel * AG_PANEL; k < (panel + 1) * AG_PANEL; k++) {
            m->trunk_out[cell * width + k] = k < c->channels ? bias[k] : 0;
        }
    }
    for (uint32_t tap = 0; tap < c->trunk_time * side * side; tap++) {
        const float *features = job->taps[tap / (side * side)];
        uint32_t down = tap / side % side, right = tap % side;
        for (uint32_t y = first; features && y < last; y++) {
            if (y + down >= margin && y + down < c->grid + margin) {
                add_tap(m, &m->trunk[job->block][tap], panel,
                        features + (y + down - margin) * c->channels * stride, y, right);
            }
        }
    }
}

void ag_cpu_trunk(struct ag_cpu_model *m, uint32_t block, const float *const *taps)
{
    const struct ag_model_config *c = &m->model->config;
    uint32_t panels = ag_packed_panels(c->channels);
    // Enough tasks for everybody, but no thinner groups than needed.
    uint32_t groups = AG_MIN(c->grid, AG_DIV_UP(2 * ag_pool_workers(m->pool), panels));
    struct vision_job job = { .m = m, .block = block, .groups = groups, .taps = taps };
    uint64_t work = (uint64_t)c->tokens * c->channels * c->channels * c->trunk_time *
                    c->trunk_space * c->trunk_space;
    ag_pool_run(m->pool, panels * groups, work, trunk_task, &job);
}

static float relu(float x)
{
    return x < 0 ? 0 : x; // keeps what is not a number, so that it is noticed
}

void ag_cpu_trunk_features(struct ag_cpu_model *m, float *features)
{
    const struct ag_model_config *c = &m->model->config;
    size_t stride = ag_cpu_feature_stride(c), width = AG_PANEL_UP(c->channels);
    for (uint32_t i = 0; i < c->tokens; i++) {
        float *out = features + i / c->grid * c->channels * stride + ag_cpu_margin(c) + i % c->grid;
        for (uint32_t k = 0; k < c->channels; k++) {
            out[k * stride] = relu(m->trunk_out[i * width + k]);
        }
    }
}

static void project_task(void *user, struct ag_task_info info)
{
    const struct vision_job *job = user;
    struct ag_cpu_model *m = job->m;
    const struct ag_model_config *c = &m->model->config;
    const struct ag_model_weights *w = &m->model->weights;
    struct ag_cpu_scratch *s = &m->scratch[info.worker];
    size_t width = AG_PANEL_UP(c->channels);
    uint32_t first = info.task * AG_TILE, n = AG_MIN(AG_TILE, c->tokens - first);
    for (uint32_t i = 0; i < n; i++) {
        for (uint32_t k = 0; k < c->channels; k++) {
            s->tile[k * AG_TILE + i] = relu(m->trunk_out[(first + i) * width + k]);
        }
    }
    ag_matmul(m->kernels, n, s->tile, &m->out, 0, ag_packed_panels(c->width), s->rows, m->wide);
    for (uint32_t i = 0; i < n; i++) {
        size_t token = first + i;
        for (uint32_t k = 0; k < c->width; k++) {
            m->tokens[token * c->width + k] = s->rows[i * m->wide + k] + w->out_bias[k] +
                                              w->pos_embed[token * c->width + k];
        }
    }
}

void ag_cpu_project(struct ag_cpu_model *m)
{
    const struct ag_model_config *c = &m->model->config;
    struct vision_job job = { .m = m };
    uint64_t work = (uint64_t)c->tokens * c->channels * c->width;
    ag_pool_run(m->pool, AG_DIV_UP(c->tokens, AG_TILE), work, project_task, &job);
}
