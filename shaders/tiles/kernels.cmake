ag_shaders(tiles list)
