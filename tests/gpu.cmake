ag_test(base MODULES base LABELS cpu)
ag_test(timing MODULES timing base LABELS cpu)
ag_test(gpu MODULES gpu timing base shaders_gputest LABELS gpu)
target_include_directories(test_gpu PRIVATE ${CMAKE_SOURCE_DIR}/src/gpu)
