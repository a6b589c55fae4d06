ag_shaders(present panels difference)
