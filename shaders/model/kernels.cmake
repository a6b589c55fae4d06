# The model. "f16": weights and KV cache in half precision; kernels without weights have one variant.
ag_shaders(model begin features relu select meet
  patch patch:f16=HALF=1 trunk trunk:f16=HALF=1 project project:f16=HALF=1
  qkv qkv:f16=HALF=1 attention attention:f16=HALF=1 attn_out attn_out:f16=HALF=1
  mlp_in mlp_in:f16=HALF=1 mlp_out mlp_out:f16=HALF=1 heads heads:f16=HALF=1
  decode decode:f16=HALF=1)
