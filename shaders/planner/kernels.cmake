ag_shaders(planner plan)
