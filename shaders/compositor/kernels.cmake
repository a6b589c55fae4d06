ag_shaders(compositor compose compose:quad=QUAD=1 rows paint paint_sum)
