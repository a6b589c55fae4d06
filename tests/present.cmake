ag_test(present MODULES present shaders_present gpu timing base LABELS gpu)
target_include_directories(test_present PRIVATE ${CMAKE_SOURCE_DIR}/src/present)
