ag_test(present MODULES present shaders_present gpu timing base LABELS gpu)
