ag_shaders(source generate generate:quad=QUAD=1)
