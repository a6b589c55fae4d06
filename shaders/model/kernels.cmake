# The model, in its rungs. "f16": weights and KV cache in half precision; kernels without weights have
# one variant. "tensor": products by matrix units, "emulated": the same without such units
# (lib/matrix.glsl), some kernels in a file of their own. "lanes", "lanes16": float32 and half
# precision for software devices.
set(products "")
foreach(k patch trunk project qkv attention attn_out mlp_in mlp_out heads)
  list(APPEND products ${k} ${k}:f16=HALF=1 ${k}:lanes=LANES=8u ${k}:lanes16=LANES=8u,HALF=1)
endforeach()
foreach(k vision qkv attention attn_out mlp_in mlp_out tail heads decode_matrix prefill)
  list(APPEND products ${k}:tensor=HALF=1,MATRIX=1 ${k}:emulated=HALF=1,MATRIX=1,EMULATED=1)
endforeach()
ag_shaders(model begin select meet matrix_layout
  features features:f16=HALF=1 relu relu:f16=HALF=1 decode decode:f16=HALF=1 ${products})
