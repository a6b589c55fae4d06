set(masks ${CMAKE_SOURCE_DIR}/src/mask/forced.c ${CMAKE_SOURCE_DIR}/src/source/pattern.c)
set(planner planner shaders_planner reference gpu timing base)
ag_test(planner_ref MODULES reference base SOURCES ${masks} LABELS cpu)
ag_test(compositor_ref MODULES reference base
        SOURCES ${masks} ${CMAKE_SOURCE_DIR}/src/compositor/psnr.c LABELS cpu)
ag_test(planner MODULES ${planner} SOURCES ${masks} LABELS gpu)
ag_test(compositor MODULES compositor shaders_compositor ${planner} SOURCES ${masks} LABELS gpu)
ag_test(canvas MODULES compositor shaders_compositor ${planner} SOURCES ${masks} LABELS gpu)
ag_test(patch_diff MODULES mask shaders_mask reference gpu timing base
        SOURCES ${CMAKE_SOURCE_DIR}/src/source/pattern.c LABELS gpu)
ag_test(repair MODULES mask shaders_mask ${planner}
        SOURCES ${CMAKE_SOURCE_DIR}/src/source/pattern.c ${CMAKE_SOURCE_DIR}/src/compositor/psnr.c
        LABELS gpu)
