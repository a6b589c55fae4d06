ag_shaders(mask diff select)
