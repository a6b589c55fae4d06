ag_test(planner_ref MODULES reference base SOURCES ${CMAKE_SOURCE_DIR}/src/mask/forced.c LABELS cpu)
ag_test(compositor_ref MODULES reference base
        SOURCES ${CMAKE_SOURCE_DIR}/src/mask/forced.c ${CMAKE_SOURCE_DIR}/src/compositor/psnr.c
                ${CMAKE_SOURCE_DIR}/src/source/pattern.c
        LABELS cpu)
ag_test(planner MODULES planner shaders_planner reference gpu timing base
        SOURCES ${CMAKE_SOURCE_DIR}/src/mask/forced.c ${CMAKE_SOURCE_DIR}/src/source/pattern.c
        LABELS gpu)
