// Specialisation constants of the model kernels (shaders/model). Every kernel gets the whole list,
// filled by src/model/gpu_shape.c, and uses what it needs; shaders/lib/model.glsl gives the names.
#ifndef AG_INTERFACE_MODEL_SPEC_H
#define AG_INTERFACE_MODEL_SPEC_H

#define SPEC_GROUP 0          // invocations of a workgroup

// dimensions, from the model's config
#define SPEC_SIDE 1           // S, input pixels
#define SPEC_PATCH 2          // p
#define SPEC_GRID 3           // g = S/p; P = g*g vision tokens
#define SPEC_CHANNELS 4       // C
#define SPEC_TRUNK_TIME 5
#define SPEC_TRUNK_SPACE 6
#define SPEC_WIDTH 7          // D
#define SPEC_HEADS 8          // H
#define SPEC_KV_HEADS 9
#define SPEC_HEAD_DIM 10      // HD
#define SPEC_MLP 11           // F
#define SPEC_ROUND 12         // K
#define SPEC_CELLS 13         // ids a frame; EOS = CELLS, V = CELLS + 1
#define SPEC_RMS_EPS 14       // float bits
#define SPEC_LAYER_NORM_EPS 15

// sizes of the device state
#define SPEC_STREAMS 16
#define SPEC_MAX_ROWS 17      // rows a decoder forward has at most: K + P
#define SPEC_CAPACITY 18      // tokens a stream's cache holds (a ring)
#define SPEC_ROPE_ROWS 19     // rows of a RoPE table (a ring)
#define SPEC_ROPE_STRIDE 20   // rows from a stream's table to the next; 0: one table for all
#define SPEC_HORIZON 21       // frame lengths kept a stream
#define SPEC_FEATURE_SLOTS 22 // inputs of a trunk block that are kept
#define SPEC_DEPTH 23         // trunk blocks
#define SPEC_PATCH_SPLITS 24  // partial sums a patch output is made of
#define SPEC_TRUNK_SPLITS 25  // the same for a trunk output
#define SPEC_MAX_SPLITS 26    // pieces the keys of one query are cut into at most
#define SPEC_TRACE 27         // 1: forwards leave hidden, logits and losses, vision its tokens

// tile of a matrix product (shaders/lib/gemm.glsl): GROUP = KG * RT * CT invocations
#define SPEC_TILE_RT 28       // threads along the rows ...
#define SPEC_TILE_RV 29       // ... of 4 * RV rows each
#define SPEC_TILE_CT 30       // threads along the columns ...
#define SPEC_TILE_RN 31       // ... of RN columns each; CT * RN is even
#define SPEC_TILE_KG 32       // groups of threads that share the sum
#define SPEC_TILE_KC 33       // depth staged at once, in vec4

// tile of the attention kernel
#define SPEC_ATTN_ROWS 34     // queries, a multiple of 4; GROUP >= 8 * ATTN_ROWS
#define SPEC_ATTN_KEYS 35     // keys at once, a multiple of 4; begin, select: what pieces are of

// tiles of the decode kernel
#define SPEC_UNITS 36         // MLP units of a piece of work; GROUP >= 2 * UNITS
#define SPEC_OUT_COLUMNS 37   // columns of the output projection
#define SPEC_HEAD_COLUMNS 38  // columns of the heads

#define SPEC_WINDOW 39        // rows of a piece of work

// the rest of a layer in one kernel (tail.comp)
#define SPEC_TAIL_UNITS 40    // MLP units of a part, a multiple of 16
#define SPEC_TAIL_PARTS 41

#define SPEC_FEATURE4 42      // fours of a row of features (relu.comp)

#define SPEC_VISION_PART 43   // VISION_* (vision.comp)

#define SPEC_PREFILL_SPLITS 44 // pieces of the keys in a prefill at most

// Matrix units (lib/matrix.glsl). The first two are always 16: they tell the types of second
// factors and of sums as halves from those of first factors (src/gpu/khr_matrix.c).
#define SPEC_MATRIX_SECOND 45
#define SPEC_MATRIX_SUM 46
#define SPEC_MATRIX_DIRECT 47 // 1: second factors lie as in VK_KHR_cooperative_matrix's form

#define SPEC_COUNT 48

#endif
