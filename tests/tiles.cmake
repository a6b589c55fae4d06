ag_test(tiles MODULES tiles model base LABELS cpu)
