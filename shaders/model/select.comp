// One selection round (M5.2): argmax of every slot without repeats, budget, stop by predicted loss;
// appends the ids, embeds what is fed next and sets up (or leaves out) the next round.
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

const uint LANES = GROUP / ROUND < 32u ? GROUP / ROUND : 32u; // threads that search one slot
const uint OWN = (CELLS + LANES - 1u) / LANES; // logits of such a thread

shared uint banned[(VOCAB + 31u) / 32u];
shared float lane_value[ROUND * LANES];
shared uint lane_id[ROUND * LANES];
shared uint candidate[ROUND];
shared uint conflict;    // first slot whose candidate an earlier slot has taken
shared uint emitted[ROUND];
shared uint n_slots;     // slots of this round
shared uint padded;      // 1: some slot met the threshold
shared uint fed[ROUND];  // valid ids of the round, in order
shared uint n_fed;

float own_logits[OWN]; // of slot t / LANES: ids t % LANES, + LANES, ...

uint stream, logits0;

// Does (value, id) beat the best so far? Lowest id on ties; NaN counts as the lowest value.
bool beats(float value, uint id, float best, uint best_id)
{
    return id != NONE && (best_id == NONE || value > best || (value == best && id < best_id));
}

void ban(uint id)
{
    atomicOr(banned[id / 32u], 1u << (id % 32u));
}

void load_logits()
{
    uint t = gl_LocalInvocationIndex, slot = min(t / LANES, ROUND - 1u);
    [[unroll]] for (uint i = 0u; i < OWN; i++) {
        uint id = min(t % LANES + i * LANES, CELLS - 1u);
        float value = logits[logits0 + slot * VOCAB + id];
        own_logits[i] = isnan(value) ? uintBitsToFloat(0xff800000u) : value;
    }
}

// candidate[i] = best id of slot i that is not banned, for slots from `from` on.
void find_candidates(uint from)
{
    uint t = gl_LocalInvocationIndex, slot = t / LANES;
    if (slot >= from && slot < ROUND) {
        float best = 0.0;
        uint best_id = NONE;
        [[unroll]] for (uint i = 0u; i < OWN; i++) {
            uint id = min(t % LANES + i * LANES, CELLS - 1u);
            bool free = (banned[id / 32u] >> (id % 32u) & 1u) == 0u;
            if (free && beats(own_logits[i], id, best, best_id)) {
                best = own_logits[i];
                best_id = id;
            }
        }
        lane_value[t] = best;
        lane_id[t] = best_id;
    }
    barrier();
    if (t >= from && t < ROUND) {
        float best = 0.0;
        uint best_id = NONE;
        for (uint i = t * LANES; i < (t + 1u) * LANES; i++) {
            if (beats(lane_value[i], lane_id[i], best, best_id)) {
                best = lane_value[i];
                best_id = lane_id[i];
            }
        }
        candidate[t] = best_id;
    }
    barrier();
}

// Slots take their ids in order. All slots search at once; where a slot wants what an earlier one
// has just taken, it and those after it search again.
void pick(uint limit)
{
    uint t = gl_LocalInvocationIndex;
    uint from = 0u;
    while (from < limit) {
        find_candidates(from);
        if (t == 0u) {
            conflict = limit;
        }
        barrier();
        if (t >= from && t < limit) {
            for (uint j = from; j < t; j++) {
                if (candidate[j] == candidate[t]) {
                    atomicMin(conflict, t);
                }
            }
            if (candidate[t] == NONE) {
                atomicMin(conflict, t);
            }
        }
        barrier();
        uint to = conflict;
        if (t >= from && t < to) {
            emitted[t] = candidate[t];
            ban(candidate[t]);
        }
        bool exhausted = to < limit && candidate[to] == NONE;
        barrier();
        if (exhausted) {
            limit = to;
        }
        from = to;
    }
    if (t == 0u) {
        n_slots = limit;
    }
}

// Teacher forcing: the given ids instead of the picked ones. Returns whether the frame ends.
bool force()
{
    uint t = gl_LocalInvocationIndex;
    uint first = stream * FORCED_WORDS(a.forced_rounds, ROUND);
    uint row = first + 1u + min(a.round, a.forced_rounds - 1u) * (ROUND + 1u);
    if (t == 0u) {
        n_slots = min(forced[row], ROUND);
    }
    if (t < ROUND) {
        emitted[t] = min(forced[row + 1u + t], EOS);
    }
    return a.round + 1u >= min(forced[first], a.forced_rounds);
}

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
    logits0 = stream * (ROUND * VOCAB + ROUND);
    load_logits();
    float loss = t < ROUND ? logits[logits0 + ROUND * VOCAB + t] : 0.0;
    decode_state s = states[stream];
    uint ids0 = stream * GAZE_RESULT_WORDS(CELLS) + GAZE_RESULT_IDS;
    uint before = min(s.slots, CELLS);

    for (uint i = t; i < (VOCAB + 31u) / 32u; i += GROUP) {
        banned[i] = 0u;
    }
    if (t == 0u) {
        padded = 0u;
    }
    barrier();
    for (uint i = t; i < before; i += GROUP) {
        ban(min(results[ids0 + i], EOS));
    }
    barrier();
    uint budget = min(a.budget, CELLS);
    pick(min(ROUND, budget - min(before, budget)));
    barrier();
    bool ended = n_slots < ROUND || before + n_slots >= budget || a.round + 1u >= a.rounds;
    // Slots are judged one by one; a pad's id stays taken. The frame's very first slot is exempt.
    if (t < n_slots && a.threshold_on != 0u && loss <= a.threshold && (t > 0u || a.round > 0u)) {
        emitted[t] = EOS;
        padded = 1u;
    }
    barrier();
    ended = ended || padded != 0u;
    if (a.forced != 0u) {
        ended = force() || a.round + 1u >= a.rounds;
        barrier();
    }
    uint n = min(n_slots, CELLS - before);
    if (t == 0u) {
        n_fed = 0u;
        for (uint i = 0u; i < n; i++) {
            if (emitted[i] != EOS) {
                fed[n_fed++] = emitted[i];
            }
        }
    }
    if (t < n) {
        results[ids0 + before + t] = emitted[t];
        results[ids0 + CELLS + before + t] = floatBitsToUint(loss);
        cells[stream * CELLS + before + t] = emitted[t] == EOS ? NONE : emitted[t];
    }
    barrier();
    // Only a full round without pads goes on.
    ended = ended || n_fed != ROUND;
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
