ag_test(hud MODULES hud shaders_hud present shaders_present gpu timing base LABELS gpu)
target_include_directories(test_hud PRIVATE ${CMAKE_SOURCE_DIR}/src/hud)
