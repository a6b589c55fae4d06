ag_test(tiles MODULES tiles shaders_tiles reference model gpu timing base LABELS gpu)
