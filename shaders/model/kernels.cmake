# The model. "f16": weights and KV cache in half precision; kernels without weights have one variant.
# "tensor": products by matrix units, "emulated": the same without such units (lib/matrix.glsl).
# "lanes", "lanes16": for software devices, in both precisions.
ag_shaders(model begin select meet matrix_layout
  features features:f16=HALF=1 relu relu:f16=HALF=1
  patch patch:f16=HALF=1 patch:lanes=LANES=8u patch:lanes16=LANES=8u,HALF=1
  patch:tensor=HALF=1,MATRIX=1 patch:emulated=HALF=1,MATRIX=1,EMULATED=1
  trunk trunk:f16=HALF=1 trunk:lanes=LANES=8u trunk:lanes16=LANES=8u,HALF=1
  trunk:tensor=HALF=1,MATRIX=1 trunk:emulated=HALF=1,MATRIX=1,EMULATED=1
  project project:f16=HALF=1 project:lanes=LANES=8u project:lanes16=LANES=8u,HALF=1
  project:tensor=HALF=1,MATRIX=1 project:emulated=HALF=1,MATRIX=1,EMULATED=1
  qkv qkv:f16=HALF=1 qkv:lanes=LANES=8u qkv:lanes16=LANES=8u,HALF=1
  qkv:tensor=HALF=1,MATRIX=1 qkv:emulated=HALF=1,MATRIX=1,EMULATED=1
  attn_out attn_out:f16=HALF=1 attn_out:lanes=LANES=8u attn_out:lanes16=LANES=8u,HALF=1
  attn_out:tensor=HALF=1,MATRIX=1 attn_out:emulated=HALF=1,MATRIX=1,EMULATED=1
  mlp_in mlp_in:f16=HALF=1 mlp_in:lanes=LANES=8u mlp_in:lanes16=LANES=8u,HALF=1
  mlp_in:tensor=HALF=1,MATRIX=1 mlp_in:emulated=HALF=1,MATRIX=1,EMULATED=1
  mlp_out mlp_out:f16=HALF=1 mlp_out:lanes=LANES=8u mlp_out:lanes16=LANES=8u,HALF=1
  mlp_out:tensor=HALF=1,MATRIX=1 mlp_out:emulated=HALF=1,MATRIX=1,EMULATED=1
  tail:tensor=HALF=1,MATRIX=1 tail:emulated=HALF=1,MATRIX=1,EMULATED=1
  heads heads:f16=HALF=1 heads:lanes=LANES=8u heads:lanes16=LANES=8u,HALF=1
  heads:tensor=HALF=1,MATRIX=1 heads:emulated=HALF=1,MATRIX=1,EMULATED=1
  attention attention:f16=HALF=1 attention:lanes=LANES=8u attention:lanes16=LANES=8u,HALF=1
  attention:tensor=HALF=1,MATRIX=1
  attention:emulated=HALF=1,MATRIX=1,EMULATED=1
  decode decode:f16=HALF=1
  decode_matrix:tensor=HALF=1,MATRIX=1 decode_matrix:emulated=HALF=1,MATRIX=1,EMULATED=1)
