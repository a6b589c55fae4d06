ag_test(preprocess_ref MODULES reference model base)
ag_test(preprocess MODULES preprocess reference source gpu timing base shaders_preprocess shaders_source
        LABELS gpu)
target_include_directories(test_preprocess PRIVATE ${CMAKE_SOURCE_DIR}/src/preprocess)
if(AUTOGAZE_FFMPEG)
  ag_test(color_swscale MODULES reference base)
  target_link_libraries(test_color_swscale PRIVATE PkgConfig::FFMPEG)
endif()
