ag_shaders(mask diff select errors worst)
