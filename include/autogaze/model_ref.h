// The model's operations in plain loops, one function a kernel of shaders/model: what the kernel
// tests and `autogaze-bench kernels` compare with. Tensors are row-major, last index fastest,
// without padding; letters as in autogaze/model.h.
// Thread-safety: reentrant. Memory: the caller's, sizes as stated.
#ifndef AUTOGAZE_MODEL_REF_H
#define AUTOGAZE_MODEL_REF_H

#include "autogaze/model.h"

// ---- vision (M3) ----
// Patch convolution without its bias: [3][S][S] -> [P][C].
void ag_ref_patch(const struct ag_model_config *c, const struct ag_model_weights *w,
                  const float *picture, float *out);
// Bias, then LayerNorm over the channels of a cell: [P][C] -> [P][C].
void ag_ref_features(const struct ag_model_config *c, const struct ag_model_weights *w,
                     const float *patch, float *out);
// Causal trunk convolution of a block without its bias; taps[t]: [P][C] input of frame t (0 is the
// oldest) or NULL for zeros. -> [P][C]
void ag_ref_trunk(const struct ag_model_config *c, const struct ag_model_weights *w,
                  uint32_t block, const float *const *taps, float *out);
// Bias of a trunk block and ReLU, in place: [P][C].
void ag_ref_relu(const struct ag_model_config *c, const struct ag_model_weights *w, uint32_t block,
                 float *x);
// out_proj, bias, position embedding: [P][C] -> [P][D].
void ag_ref_project(const struct ag_model_config *c, const struct ag_model_weights *w,
                    const float *x, float *tokens);

// ---- decoder (M4), n rows ----
// RMSNorm, projections, RoPE with rows cosine, sine [n][HD/2]: x [n][D] -> q [n][H][HD],
// k, v [n][KVH][HD].
void ag_ref_qkv(const struct ag_model_config *c, const struct ag_decoder_layer_weights *l,
                const float *x, uint32_t n, const float *cosine, const float *sine, float *q,
                float *k, float *v);
// Row i sees the first n_keys - n + i + 1 keys: q [n][H][HD], k, v [n_keys][KVH][HD] -> context
// [n][H][HD].
void ag_ref_attention(const struct ag_model_config *c, const float *q, uint32_t n, const float *k,
                      const float *v, uint32_t n_keys, float *context);
// x [n][D] += o_proj(context [n][H][HD]).
void ag_ref_attn_out(const struct ag_model_config *c, const struct ag_decoder_layer_weights *l,
                     const float *context, uint32_t n, float *x);
// RMSNorm, silu(gate) * up: x [n][D] -> mlp [n][F].
void ag_ref_mlp_in(const struct ag_model_config *c, const struct ag_decoder_layer_weights *l,
                   const float *x, uint32_t n, float *mlp);
// x [n][D] += down_proj(mlp [n][F]).
void ag_ref_mlp_out(const struct ag_model_config *c, const struct ag_decoder_layer_weights *l,
                    const float *mlp, uint32_t n, float *x);
// Final RMSNorm, lm_head, task-loss head: x [D] -> logits [K][V], losses [K].
void ag_ref_heads(const struct ag_model_config *c, const struct ag_model_weights *w, const float *x,
                  float *logits, float *losses);

#endif
