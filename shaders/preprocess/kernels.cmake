ag_shaders(preprocess color resize bicubic)
