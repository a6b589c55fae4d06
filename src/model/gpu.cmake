# The compute-shader back end. Dimensions, memory and packing are plain C; its shaders are in
# shaders/model.
ag_module(gpu_model gpu_shape.c gpu_weights.c gpu_rope.c gpu_model.c gpu_results.c)
