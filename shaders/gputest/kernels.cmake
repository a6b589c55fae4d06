ag_shaders(gputest scale count)
