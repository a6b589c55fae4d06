ag_test(gpu_kernels MODULES gpu_model reference model gpu timing base shaders_model
        SOURCES kernel_cases.c LABELS gpu model)
ag_test(gpu_model MODULES gpu_model model gpu timing base shaders_model LABELS gpu model)
set_tests_properties(gpu_model PROPERTIES TIMEOUT 600)
ag_test(model_fuzz MODULES gpu_model model gpu timing base shaders_model LABELS gpu model)
