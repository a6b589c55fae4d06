// What the kernels share that run rounds of a frame (decode.comp, decode_matrix.comp, and
// prefill.comp, the first): the state they start from and leave, and the selection. The includer
// has the buffers named here and a push block `a` with the fields of decode_args.
#ifdef PICK_WARPS
#define MEET_WORDS
#include "lib/meet.glsl"
#include "lib/words.glsl"
#else
#include "lib/meet.glsl"
#endif

uint t, stream, wg, n_wg;
uint first, position, slots, rounds, valid, turns, picks; // see struct decode_state
uint prefill_rows; // of which the last one's logits are round 0's, if that is the first to pick

#include "lib/pick.glsl"

shared vec2 rope_rows[ROUND * (HEAD_DIM / 2u)];

// False: the frame ended with the prefill.
bool begin_rounds()
{
    t = gl_LocalInvocationIndex;
#ifdef PICK_WARPS
    begin_warp();
#endif
    stream = gl_WorkGroupID.z;
    wg = gl_WorkGroupID.x;
    n_wg = gl_NumWorkGroups.x;
    if (states[stream].rows == 0u) {
        return false;
    }
    first = states[stream].first;
    position = states[stream].position;
    prefill_rows = states[stream].rows;
    slots = min(states[stream].slots, CELLS);
    rounds = states[stream].rounds;
    valid = states[stream].valid;
    turns = states[stream].turns;
    picks = states[stream].picks;
    position += a.first_round == 0u ? prefill_rows - ROUND : 0u; // of the rows that round 0 is
    uint rope_first = states[stream].base - ROUND;               // M5.3: of the prefill's tail
    for (uint i = t; i < ROUND * (HEAD_DIM / 2u); i += GROUP) {
        uint p = (rope_first + i / (HEAD_DIM / 2u)) % ROPE_ROWS;
        rope_rows[i] = rope[(stream * ROPE_STRIDE + p) * (HEAD_DIM / 2u) + i % (HEAD_DIM / 2u)];
    }
    forget_bans();
    barrier();
    ban_results(stream * GAZE_RESULT_WORDS(CELLS) + GAZE_RESULT_IDS, slots);
    meet_begin(stream);
    return true;
}

// `at`: where the round's logits, or their keys (PICK_WARPS), begin. Returns whether the frame
// ends. Every workgroup comes to the same ids, one writes them.
bool select_ids(uint round, uint at)
{
    float loss = load_round(at);
    uint before = slots;
    bool ended = pick_round(round, stream, before, loss);
    uint n = min(n_slots, CELLS - before);
    if (wg == 0u && t < n) {
        uint ids0 = stream * GAZE_RESULT_WORDS(CELLS) + GAZE_RESULT_IDS;
        results[ids0 + before + t] = emitted[t];
        results[ids0 + CELLS + before + t] = floatBitsToUint(loss);
        cells[stream * CELLS + before + t] = emitted[t] == EOS ? NONE : emitted[t];
    }
    position += ROUND;
    slots = before + n;
    rounds = round + 1u;
    turns += min(round, 1u);
    picks++;
    valid += n_fed;
    return ended;
}

// Component c of a row of the round's input.
float embedding(uint row, uint c)
{
    return c < WIDTH ? embed[fed[row] * WIDTH + c] : 0.0;
}

// What the rounds leave: the result so far, and in x the ids for the next round or, behind the end
// of the frame, those pending for the next prefill.
void leave(bool ended, uint n_pending)
{
    const uint batch = 4u; // on their way at once
    for (uint i0 = t; i0 < n_pending * WIDTH; i0 += batch * GROUP) {
        float v[batch];
        [[unroll]] for (uint j = 0u; j < batch; j++) {
            uint i = min(i0 + j * GROUP, n_pending * WIDTH - 1u);
            v[j] = embed[fed[i / WIDTH] * WIDTH + i % WIDTH];
        }
        [[unroll]] for (uint j = 0u; j < batch; j++) {
            uint i = min(i0 + j * GROUP, n_pending * WIDTH - 1u); // the last one by several
            x[(stream * MAX_ROWS + i / WIDTH) * (4u * WIDTH4) + i % WIDTH] = v[j];
        }
    }
    if (t != 0u) {
        return;
    }
    decode_state s = states[stream];
    s.rows = ended ? 0u : ROUND;
    s.position = position;
    s.slots = slots;
    s.rounds = rounds;
    s.turns = turns;
    s.picks = picks;
    s.rope_first = s.base - ROUND;
    s.valid = valid;
    s.n_pending = ended ? n_pending : 0u;
    if (ended && a.slide != 0u) {
        frame_tokens[stream * HORIZON + (s.frame_at + s.n_frames) % HORIZON] = TOKENS + valid;
        s.n_frames = min(s.n_frames + 1u, HORIZON);
    }
    states[stream] = s;
    cell_counts[stream] = slots;
    uint at = stream * GAZE_RESULT_WORDS(CELLS);
    results[at] = slots;
    results[at + 1u] = rounds;
    results[at + 2u] = valid;
    results[at + 3u] = position;
    results[at + 4u] = position - first;
    results[at + 5u] = s.chunk_start;
    results[at + 6u] = a.frame_low;
    results[at + 7u] = a.frame_high;
    results[at + 8u] = a.record;
}
