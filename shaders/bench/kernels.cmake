ag_shaders(bench fma)
