ag_test(tiles MODULES tiles shaders_tiles reference model gpu timing base LABELS gpu)
ag_test(tiled LABELS gpu)
target_link_libraries(test_tiled PRIVATE autogaze)
