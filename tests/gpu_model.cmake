ag_test(gpu_kernels MODULES gpu_model reference model gpu timing base shaders_model
        SOURCES kernel_cases.c LABELS gpu model)
target_include_directories(test_gpu_kernels PRIVATE ${CMAKE_SOURCE_DIR}/src/gpu) # khr_matrix.c
ag_test(gpu_model MODULES gpu_model model gpu timing base shaders_model LABELS gpu model)
set_tests_properties(gpu_model PROPERTIES TIMEOUT 600)
ag_test(model_fuzz MODULES gpu_model model gpu timing base shaders_model LABELS gpu model)
