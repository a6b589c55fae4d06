ag_shaders(source generate)
