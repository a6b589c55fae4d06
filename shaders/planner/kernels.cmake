ag_shaders(planner collect keep segments)
