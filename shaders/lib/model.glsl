// Names of the model's specialisation constants and what follows from them. Rows of activations and
// weights are padded to whole vec4 (the "4" sizes count vec4); pads are zero and stay zero.
#if defined(MATRIX) && !defined(EMULATED)
#extension GL_KHR_memory_scope_semantics : require
#extension GL_KHR_shader_subgroup_basic : require
#extension GL_KHR_shader_subgroup_shuffle : require
#extension GL_NV_cooperative_matrix : require
#extension GL_EXT_shader_explicit_arithmetic_types_float16 : require
#elif defined(LANES)
#extension GL_KHR_shader_subgroup_shuffle : require
#endif
#include "interface/model_spec.h"

layout(local_size_x_id = SPEC_GROUP) in;

layout(constant_id = SPEC_GROUP) const uint GROUP = 64;
layout(constant_id = SPEC_SIDE) const uint SIDE = 224;
layout(constant_id = SPEC_PATCH) const uint PATCH = 16;
layout(constant_id = SPEC_GRID) const uint GRID = 14;
layout(constant_id = SPEC_CHANNELS) const uint CHANNELS = 192;
layout(constant_id = SPEC_TRUNK_TIME) const uint TRUNK_TIME = 3;
layout(constant_id = SPEC_TRUNK_SPACE) const uint TRUNK_SPACE = 3;
layout(constant_id = SPEC_WIDTH) const uint WIDTH = 192;
layout(constant_id = SPEC_HEADS) const uint HEADS = 6;
layout(constant_id = SPEC_KV_HEADS) const uint KV_HEADS = 6;
layout(constant_id = SPEC_HEAD_DIM) const uint HEAD_DIM = 32;
layout(constant_id = SPEC_MLP) const uint MLP = 384;
layout(constant_id = SPEC_ROUND) const uint ROUND = 10;
layout(constant_id = SPEC_CELLS) const uint CELLS = 265;
layout(constant_id = SPEC_RMS_EPS) const float RMS_EPS = 1e-5;
layout(constant_id = SPEC_LAYER_NORM_EPS) const float LAYER_NORM_EPS = 1e-5;
layout(constant_id = SPEC_STREAMS) const uint STREAMS = 1;
layout(constant_id = SPEC_MAX_ROWS) const uint MAX_ROWS = 206;
layout(constant_id = SPEC_CAPACITY) const uint CAPACITY = 404;
layout(constant_id = SPEC_ROPE_ROWS) const uint ROPE_ROWS = 404;
layout(constant_id = SPEC_ROPE_STRIDE) const uint ROPE_STRIDE = 0;
layout(constant_id = SPEC_HORIZON) const uint HORIZON = 16;
layout(constant_id = SPEC_FEATURE_SLOTS) const uint FEATURE_SLOTS = 3;
layout(constant_id = SPEC_DEPTH) const uint DEPTH = 1;
layout(constant_id = SPEC_PATCH_SPLITS) const uint PATCH_SPLITS = 1;
layout(constant_id = SPEC_TRUNK_SPLITS) const uint TRUNK_SPLITS = 1;
layout(constant_id = SPEC_MAX_SPLITS) const uint MAX_SPLITS = 8;
layout(constant_id = SPEC_PREFILL_SPLITS) const uint PREFILL_SPLITS = 8;
layout(constant_id = SPEC_TRACE) const uint TRACE = 0;
layout(constant_id = SPEC_FEATURE4) const uint FEATURE4 = 48;
layout(constant_id = SPEC_TAIL_PARTS) const uint TAIL_PARTS = 1;

const uint TOKENS = GRID * GRID;
const uint VOCAB = CELLS + 1u;
const uint EOS = CELLS;
const uint NONE = 0xffffffffu;

const uint CHANNELS4 = (CHANNELS + 3u) / 4u;
const uint WIDTH4 = (WIDTH + 3u) / 4u;
const uint HEAD4 = (HEAD_DIM + 3u) / 4u; // a head of q, k or v
const uint PIECE4 = (HEAD4 + 1u) / 2u * 2u; // ... of a piece of attention, as halves
const uint MLP4 = (MLP + 3u) / 4u;
