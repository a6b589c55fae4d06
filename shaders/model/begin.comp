// Starts a frame: reset or sliding window, how many rows the prefill has, how attention cuts its
// keys, empty results, no round active yet.
// One workgroup; an invocation a stream.
#version 450
#extension GL_GOOGLE_include_directive : require
#include "interface/gaze_result.h"
#include "interface/model_args.h"
#include "lib/model.glsl"
#include "lib/splits.glsl"

layout(push_constant) uniform push_block { begin_args a; };

layout(std430, set = 0, binding = 0) buffer state_block { decode_state states[]; };
layout(std430, set = 0, binding = 1) writeonly buffer active_block { uint active_streams[]; };
layout(std430, set = 0, binding = 2) writeonly buffer rounds_block { uint rounds[]; };
// [streams][HORIZON]
layout(std430, set = 0, binding = 3) readonly buffer frames_block { uint frame_tokens[]; };
// [streams][SYNC_WORDS]
layout(std430, set = 0, binding = 5) writeonly buffer sync_block { uint sync_words[]; };
// [streams]
layout(std430, set = 0, binding = 4) writeonly buffer count_block { uint cell_counts[]; };

// M5.6: the oldest frames leave until `HORIZON` frames of this budget fit with the coming one.
void slide(uint stream, inout decode_state s)
{
    while (s.n_frames >= HORIZON) {
        uint length = frame_tokens[stream * HORIZON + s.frame_at % HORIZON];
        s.first += min(length, s.position - s.first);
        s.frame_at = (s.frame_at + 1u) % HORIZON;
        s.n_frames--;
    }
    uint room = (HORIZON - 1u) * (TOKENS + a.budget), cached = s.position - s.first;
    s.first += cached > room ? cached - room : 0u;
}

void begin(uint stream)
{
    decode_state s = states[stream];
    if (a.reset != 0u) {
        s.position = s.first = s.n_pending = s.n_frames = s.frame_at = 0u;
    } else if (a.slide != 0u) {
        slide(stream, s);
    }
    s.rows = min(s.n_pending, ROUND) + TOKENS;
    s.rope_first = s.position;
    s.base = s.position + s.rows;
    s.slots = s.rounds = s.valid = 0u;
    s.chunk_start = a.chunk_start;
    s.prefills += a.prefill;
    uint keys = s.base - s.first;
    s.splits = key_splits(keys, a.max_splits);
    s.split_keys = keys_a_split(keys, s.splits);
    states[stream] = s;
    active_streams[stream] = stream;
    cell_counts[stream] = 0u;
    for (uint i = 0u; i < SYNC_WORDS; i++) {
        sync_words[stream * SYNC_WORDS + i] = 0u;
    }
}

void main()
{
    uint t = gl_LocalInvocationIndex;
    for (uint i = DECODE_ROUND_WORDS + t; i < (a.rounds + 1u) * DECODE_ROUND_WORDS; i += GROUP) {
        rounds[i] = 0u;
    }
    for (uint stream = t; stream < STREAMS; stream += GROUP) {
        begin(stream);
    }
}
