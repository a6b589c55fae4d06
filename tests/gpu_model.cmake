ag_test(gpu_model MODULES gpu_model model gpu timing base shaders_model LABELS gpu model)
