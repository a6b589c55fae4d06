ag_test(pipeline LABELS gpu)
target_link_libraries(test_pipeline PRIVATE autogaze)
ag_test(composition LABELS gpu)
target_link_libraries(test_composition PRIVATE autogaze)
ag_test(closed_loop LABELS gpu)
target_link_libraries(test_closed_loop PRIVATE autogaze)

add_test(NAME cli COMMAND ${CMAKE_SOURCE_DIR}/tests/cli.sh $<TARGET_FILE:autogaze-viewer> ${CMAKE_SOURCE_DIR})
set_tests_properties(cli PROPERTIES LABELS gpu TIMEOUT 300)
add_test(NAME quality COMMAND ${CMAKE_SOURCE_DIR}/tests/quality.sh $<TARGET_FILE:autogaze-viewer>)
set_tests_properties(quality PROPERTIES LABELS "gpu;slow" TIMEOUT 900)

add_test(NAME perf_scripts COMMAND python3 ${CMAKE_SOURCE_DIR}/tests/perf_scripts.py
         $<TARGET_FILE:autogaze-viewer>)
set_tests_properties(perf_scripts PROPERTIES LABELS gpu TIMEOUT 300)
