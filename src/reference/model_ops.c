// Written to be read, not to be fast: sums in double, so that what differs is the shader.
#include "autogaze/model_ref.h"

#include <math.h>

// ---- vision ----------------------------------------------------------------------------------

void ag_ref_patch(const struct ag_model_config *c, const struct ag_model_weights *w,
                  const float *picture, float *out)
{
    uint32_t p = c->patch, side = c->image_size;
    for (uint32_t cell = 0; cell < c->tokens; cell++) {
        uint32_t y0 = cell / c->grid * p, x0 = cell % c->grid * p;
        for (uint32_t o = 0; o < c->channels; o++) {
            const float *weight = w->patch + (size_t)o * 3 * p * p;
            double sum = 0;
            for (uint32_t rgb = 0; rgb < 3; rgb++) {
                for (uint32_t y = 0; y < p; y++) {
                    for (uint32_t x = 0; x < p; x++) {
                        sum += (double)picture[((size_t)rgb * side + y0 + y) * side + x0 + x] *
                               (double)weight[(rgb * p + y) * p + x];
                    }
                }
            }
            out[(size_t)cell * c->channels + o] = (float)sum;
        }
    }
}

void ag_ref_features(const struct ag_model_config *c, const struct ag_model_weights *w,
                     const float *patch, float *out)
{
    uint32_t n = c->channels;
    for (uint32_t cell = 0; cell < c->tokens; cell++) {
        const float *x = patch + (size_t)cell * n;
        float *to = out + (size_t)cell * n;
        double mean = 0, variance = 0;
        for (uint32_t i = 0; i < n; i++) {
            mean += ((double)x[i] + (double)w->patch_bias[i]) / n;
        }
        for (uint32_t i = 0; i < n; i++) {
            double d = (double)x[i] + (double)w->patch_bias[i] - mean;
            variance += d * d / n;
        }
        double scale = 1.0 / sqrt(variance + (double)c->layer_norm_eps);
        for (uint32_t i = 0; i < n; i++) {
            double d = (double)x[i] + (double)w->patch_bias[i] - mean;
            to[i] = (float)(d * scale * (double)w->norm[i] + (double)w->norm_bias[i]);
        }
    }
}

// Kernel window of one tap at one cell, all channels, for one output channel.
static double trunk_tap(const struct ag_model_config *c, const float *weight, const float *input,
                        uint32_t cell, uint32_t t)
{
    int s = (int)c->trunk_space, grid = (int)c->grid;
    double sum = 0;
    for (int dy = 0; dy < s; dy++) {
        for (int dx = 0; dx < s; dx++) {
            int y = (int)cell / grid + dy - s / 2, x = (int)cell % grid + dx - s / 2;
            if (y < 0 || x < 0 || y >= grid || x >= grid) {
                continue;
            }
            const float *in = input + (size_t)(y * grid + x) * c->channels;
            for (uint32_t i = 0; i < c->channels; i++) {
                size_t at = (((size_t)i * c->trunk_time + t) * (size_t)s + (size_t)dy) * (size_t)s +
                            (size_t)dx;
                sum += (double)in[i] * (double)weight[at];
            }
        }
    }
    return sum;
}

void ag_ref_trunk(const struct ag_model_config *c, const struct ag_model_weights *w,
                  uint32_t block, const float *const *taps, float *out)
{
    size_t kernel = (size_t)c->channels * c->trunk_time * c->trunk_space * c->trunk_space;
    for (uint32_t cell = 0; cell < c->tokens; cell++) {
        for (uint32_t o = 0; o < c->channels; o++) {
            double sum = 0;
            for (uint32_t t = 0; t < c->trunk_time; t++) {
                if (taps[t]) {
                    sum += trunk_tap(c, w->trunk[block] + o * kernel, taps[t], cell, t);
                }
            }
            out[(size_t)cell * c->channels + o] = (float)sum;
        }
    }
}

void ag_ref_relu(const struct ag_model_config *c, const struct ag_model_weights *w, uint32_t block,
                 float *x)
{
    for (size_t i = 0; i < (size_t)c->tokens * c->channels; i++) {
        x[i] = fmaxf(x[i] + w->trunk_bias[block][i % c->channels], 0.0f);
    }
}

// y[o] = sum_i w[o][i] x[i]
static double linear(const float *w, const float *x, uint32_t n, uint32_t o)
{
    double sum = 0;
    for (uint32_t i = 0; i < n; i++) {
        sum += (double)w[(size_t)o * n + i] * (double)x[i];
    }
    return sum;
}

void ag_ref_project(const struct ag_model_config *c, const struct ag_model_weights *w,
                    const float *x, float *tokens)
{
    for (uint32_t cell = 0; cell < c->tokens; cell++) {
        for (uint32_t o = 0; o < c->width; o++) {
            size_t at = (size_t)cell * c->width + o;
            tokens[at] = (float)(linear(w->out, x + (size_t)cell * c->channels, c->channels, o) +
                                 (double)w->out_bias[o] + (double)w->pos_embed[at]);
        }
    }
}

// ---- decoder ---------------------------------------------------------------------------------

// y[o] = sum_i w[o][i] (norm[i] x[i] scale), RMSNorm's scale given
static double normed_linear(const float *w, const float *norm, const float *x, double scale,
                            uint32_t n, uint32_t o)
{
    double sum = 0;
    for (uint32_t i = 0; i < n; i++) {
        sum += (double)w[(size_t)o * n + i] * (double)norm[i] * (double)x[i];
    }
    return sum * scale;
}

static double rms_scale(const struct ag_model_config *c, const float *x)
{
    double squares = 0;
    for (uint32_t i = 0; i < c->width; i++) {
        squares += (double)x[i] * (double)x[i];
    }
    return 1.0 / sqrt(squares / c->width + (double)c->rms_eps);
}

// Pairs (d, d + HD/2) of each head turn by the row's angles.
static void rotate(float *x, uint32_t heads, uint32_t head_dim, const float *cosine,
                   const float *sine)
{
    uint32_t half = head_dim / 2;
    for (uint32_t h = 0; h < heads; h++, x += head_dim) {
        for (uint32_t d = 0; d < half; d++) {
            float a = x[d], b = x[d + half];
            x[d] = a * cosine[d] - b * sine[d];
            x[d + half] = b * cosine[d] + a * sine[d];
        }
    }
}

void ag_ref_qkv(const struct ag_model_config *c, const struct ag_decoder_layer_weights *l,
                const float *x, uint32_t n, const float *cosine, const float *sine, float *q,
                float *k, float *v)
{
    uint32_t q_width = c->heads * c->head_dim, kv_width = c->kv_heads * c->head_dim;
    for (uint32_t row = 0; row < n; row++) {
        const float *in = x + (size_t)row * c->width;
        float *to_q = q + (size_t)row * q_width, *to_k = k + (size_t)row * kv_width;
        float *to_v = v + (size_t)row * kv_width;
        double scale = rms_scale(c, in);
        for (uint32_t o = 0; o < q_width; o++) {
            to_q[o] = (float)normed_linear(l->q, l->norm_attn, in, scale, c->width, o);
        }
        for (uint32_t o = 0; o < kv_width; o++) {
            to_k[o] = (float)normed_linear(l->k, l->norm_attn, in, scale, c->width, o);
            to_v[o] = (float)normed_linear(l->v, l->norm_attn, in, scale, c->width, o);
        }
        const float *row_cos = cosine + (size_t)row * (c->head_dim / 2);
        const float *row_sin = sine + (size_t)row * (c->head_dim / 2);
        rotate(to_q, c->heads, c->head_dim, row_cos, row_sin);
        rotate(to_k, c->kv_heads, c->head_dim, row_cos, row_sin);
    }
}

// One query of one head over `seen` keys of stride `stride`.
static void attend(uint32_t head_dim, const float *q, const float *k, const float *v,
                   size_t stride, uint32_t seen, float *out)
{
    double largest = -INFINITY, sum = 0;
    for (uint32_t pass = 0; pass < 2; pass++) {
        for (uint32_t d = 0; d < head_dim; d++) {
            out[d] = 0;
        }
        for (uint32_t j = 0; j < seen; j++) {
            double score = linear(q, k + j * stride, head_dim, 0) / sqrt((double)head_dim);
            if (pass == 0) {
                largest = fmax(largest, score);
                continue;
            }
            double weight = exp(score - largest);
            sum += weight;
            for (uint32_t d = 0; d < head_dim; d++) {
                out[d] += (float)(weight * (double)v[j * stride + d]);
            }
        }
    }
    for (uint32_t d = 0; d < head_dim; d++) {
        out[d] = (float)((double)out[d] / sum);
    }
}

void ag_ref_attention(const struct ag_model_config *c, const float *q, uint32_t n, const float *k,
                      const float *v, uint32_t n_keys, float *context)
{
    size_t stride = (size_t)c->kv_heads * c->head_dim;
    for (uint32_t row = 0; row < n; row++) {
        for (uint32_t h = 0; h < c->heads; h++) {
            size_t at = ((size_t)row * c->heads + h) * c->head_dim;
            size_t kv = (size_t)(h / (c->heads / c->kv_heads)) * c->head_dim;
            attend(c->head_dim, q + at, k + kv, v + kv, stride, n_keys - n + row + 1,
                   context + at);
        }
    }
}

void ag_ref_attn_out(const struct ag_model_config *c, const struct ag_decoder_layer_weights *l,
                     const float *context, uint32_t n, float *x)
{
    uint32_t depth = c->heads * c->head_dim;
    for (uint32_t row = 0; row < n; row++) {
        for (uint32_t o = 0; o < c->width; o++) {
            x[(size_t)row * c->width + o] +=
                (float)linear(l->o, context + (size_t)row * depth, depth, o);
        }
    }
}

void ag_ref_mlp_in(const struct ag_model_config *c, const struct ag_decoder_layer_weights *l,
                   const float *x, uint32_t n, float *mlp)
{
    for (uint32_t row = 0; row < n; row++) {
        const float *in = x + (size_t)row * c->width;
        double scale = rms_scale(c, in);
        for (uint32_t o = 0; o < c->mlp; o++) {
            double gate = normed_linear(l->gate, l->norm_mlp, in, scale, c->width, o);
            double up = normed_linear(l->up, l->norm_mlp, in, scale, c->width, o);
            mlp[(size_t)row * c->mlp + o] = (float)(gate / (1.0 + exp(-gate)) * up);
        }
    }
}

void ag_ref_mlp_out(const struct ag_model_config *c, const struct ag_decoder_layer_weights *l,
                    const float *mlp, uint32_t n, float *x)
{
    for (uint32_t row = 0; row < n; row++) {
        for (uint32_t o = 0; o < c->width; o++) {
            x[(size_t)row * c->width + o] +=
                (float)linear(l->down, mlp + (size_t)row * c->mlp, c->mlp, o);
        }
    }
}

void ag_ref_heads(const struct ag_model_config *c, const struct ag_model_weights *w, const float *x,
                  float *logits, float *losses)
{
    double scale = rms_scale(c, x);
    for (uint32_t o = 0; o < c->round * c->vocab; o++) {
        logits[o] = (float)normed_linear(w->lm_head, w->norm_final, x, scale, c->width, o);
    }
    for (uint32_t o = 0; o < c->round; o++) {
        losses[o] = (float)normed_linear(w->loss_head, w->norm_final, x, scale, c->width, o);
    }
}
