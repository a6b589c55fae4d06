# The window under Xvfb. SDL's development package brings Xlib, from which the test's own little
# window manager is built.
if(AUTOGAZE_WINDOW)
  find_package(X11 REQUIRED)
  add_executable(tiny_wm tiny_wm.c)
  target_link_libraries(tiny_wm PRIVATE ag_options X11::X11)
  add_executable(drop_files drop_files.c)
  target_link_libraries(drop_files PRIVATE ag_options X11::X11)
  add_test(NAME window COMMAND ${CMAKE_CURRENT_SOURCE_DIR}/window.sh $<TARGET_FILE:autogaze-viewer> $<TARGET_FILE:tiny_wm> $<TARGET_FILE:drop_files>)
  set_tests_properties(window PROPERTIES LABELS "gpu;slow" TIMEOUT 600)
endif()
