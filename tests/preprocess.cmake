ag_test(preprocess_ref MODULES reference base)
ag_test(preprocess MODULES preprocess reference gpu timing base shaders_preprocess LABELS gpu)
target_include_directories(test_preprocess PRIVATE ${CMAKE_SOURCE_DIR}/src/preprocess)
