ag_shaders(preprocess color resize tiles bicubic)
