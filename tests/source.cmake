ag_test(pattern MODULES source base LABELS cpu)
ag_test(ring MODULES ring base LABELS cpu)
ag_test(source MODULES source base LABELS cpu)
ag_test(playlist MODULES source base SOURCES ${CMAKE_SOURCE_DIR}/src/app/playlist.c LABELS cpu)
ag_test(generate MODULES source gpu timing base shaders_source LABELS gpu)

if(AUTOGAZE_FFMPEG)
  # The clips are made anew in every run: quick, and never those of another FFmpeg.
  add_test(NAME media COMMAND ${CMAKE_SOURCE_DIR}/tests/media.sh ${CMAKE_BINARY_DIR}/media)
  set_tests_properties(media PROPERTIES FIXTURES_SETUP media LABELS cpu)
  ag_test(video MODULES source base LABELS cpu)
  ag_test(camera MODULES source base LABELS cpu)
  set_tests_properties(video source PROPERTIES FIXTURES_REQUIRED media)
endif()
