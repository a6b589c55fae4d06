// One selection round (M5.2, shaders/lib/pick.glsl) as a dispatch of its own: appends the ids,
// embeds what is fed next and sets up (or leaves out) the next round.
// Workgroups: 1, 1, streams.
#version 450
#extension GL_GOOGLE_include_directive : require
#extension GL_EXT_control_flow_attributes : require
#include "interface/gaze_result.h"
#include "interface/model_args.h"
#include "lib/model.glsl"
#include "lib/splits.glsl"

layout(push_constant) uniform push_block { select_args a; };

layout(std430, set = 0, binding = 0) buffer state_block { decode_state states[]; };
// [rounds+1][streams]
layout(std430, set = 0, binding = 1) buffer active_block { uint active_streams[]; };
// [streams][K*V + K]
layout(std430, set = 0, binding = 2) readonly buffer logits_block { float logits[]; };
layout(std430, set = 0, binding = 3) readonly buffer embed_block { float embed[]; }; // [V][D]
layout(std430, set = 0, binding = 4) writeonly buffer x_block { float x[]; }; // [streams][rows][D4]
layout(std430, set = 0, binding = 5) buffer rounds_block { uint rounds[]; };
layout(std430, set = 0, binding = 6) buffer result_block { uint results[]; };
// [streams][CELLS]
layout(std430, set = 0, binding = 7) writeonly buffer cells_block { uint cells[]; };
// [streams]
layout(std430, set = 0, binding = 8) writeonly buffer count_block { uint cell_counts[]; };
// [streams][HORIZON]
layout(std430, set = 0, binding = 9) writeonly buffer frames_block { uint frame_tokens[]; };
layout(std430, set = 0, binding = 10) readonly buffer forced_block { uint forced[]; };

#include "lib/pick.glsl"

uint stream;

void write_result(decode_state s)
{
    uint at = stream * GAZE_RESULT_WORDS(CELLS);
    results[at] = s.slots;
    results[at + 1u] = s.rounds;
    results[at + 2u] = s.valid;
    results[at + 3u] = s.position;
    results[at + 4u] = s.position - s.first;
    results[at + 5u] = s.chunk_start;
    results[at + 6u] = a.frame_low;
    results[at + 7u] = a.frame_high;
    results[at + 8u] = a.record;
}

// The next decode round: the ids just chosen, at the RoPE positions of the prefill's tail (M5.3).
void go_on(inout decode_state s)
{
    s.rows = ROUND;
    s.rope_first = s.base - ROUND;
    uint keys = s.position - s.first + ROUND;
    s.splits = key_splits(keys, a.max_splits);
    s.split_keys = keys_a_split(keys, s.splits);
    uint next = (a.round + 1u) * DECODE_ROUND_WORDS;
    uint place = 0u;
    if (STREAMS == 1u) {
        rounds[next + DECODE_ACTIVE] = 1u;
    } else {
        place = atomicAdd(rounds[next + DECODE_ACTIVE], 1u);
    }
    active_streams[(a.round + 1u) * STREAMS + min(place, STREAMS - 1u)] = stream;
    [[unroll]] for (uint op = 0u; op < DECODE_OPS; op++) {
        bool split = op == DECODE_ATTENTION || op == DECODE_LAST_ATTENTION;
        uvec3 groups = uvec3(a.groups[op], split ? s.splits : 1u, place + 1u);
        [[unroll]] for (uint i = 0u; i < 3u; i++) {
            if (STREAMS == 1u) {
                rounds[next + 3u * op + i] = groups[i];
            } else {
                atomicMax(rounds[next + 3u * op + i], groups[i]);
            }
        }
    }
}

void end_frame(inout decode_state s)
{
    s.rows = 0u;
    s.n_pending = n_fed;
    if (a.slide != 0u) {
        frame_tokens[stream * HORIZON + (s.frame_at + s.n_frames) % HORIZON] = TOKENS + s.valid;
        s.n_frames = min(s.n_frames + 1u, HORIZON);
    }
}

void main()
{
    uint t = gl_LocalInvocationIndex;
    stream = STREAMS == 1u ? 0u : min(active_streams[a.round * STREAMS + gl_WorkGroupID.z],
                                      STREAMS - 1u);
    float loss = load_round(stream * (ROUND * VOCAB + ROUND));
    decode_state s = states[stream];
    uint ids0 = stream * GAZE_RESULT_WORDS(CELLS) + GAZE_RESULT_IDS;
    uint before = min(s.slots, CELLS);

    forget_bans();
    barrier();
    ban_results(ids0, before);
    barrier();
    bool ended = pick_round(a.round, stream, before, loss);
    uint n = min(n_slots, CELLS - before);
    if (t < n) {
        results[ids0 + before + t] = emitted[t];
        results[ids0 + CELLS + before + t] = floatBitsToUint(loss);
        cells[stream * CELLS + before + t] = emitted[t] == EOS ? NONE : emitted[t];
    }
    for (uint i = t; i < n_fed * WIDTH; i += GROUP) {
        uint row = i / WIDTH, c = i % WIDTH;
        x[(stream * MAX_ROWS + row) * (4u * WIDTH4) + c] = embed[fed[row] * WIDTH + c];
    }
    if (t == 0u) {
        s.position += min(s.rows, MAX_ROWS);
        s.slots = before + n;
        s.rounds = a.round + 1u;
        s.valid += n_fed;
        if (ended) {
            end_frame(s);
        } else {
            go_on(s);
        }
        states[stream] = s;
        cell_counts[stream] = s.slots;
        write_result(s);
    }
}
