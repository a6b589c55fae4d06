ag_test(config MODULES config base LABELS cpu)
ag_test(report MODULES report timing config reference base LABELS cpu)
add_test(NAME includes COMMAND ${CMAKE_SOURCE_DIR}/tests/includes.sh ${CMAKE_SOURCE_DIR})
set_tests_properties(includes PROPERTIES LABELS cpu)
