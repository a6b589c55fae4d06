// One selection round (M5.2): argmax of every slot without repeats, budget, stop by predicted loss.
// The includer has `logits`, `results` and `forced` buffers, a push block `a` with the fields of
// select_args used here, and calls forget_bans(), then (barrier between) ban_results() for the ids
// already taken. PICK_WARPS: the search by a subgroup of 32.
shared uint emitted[ROUND];
shared uint n_slots;     // slots of this round
shared uint padded;      // 1: some slot met the threshold
shared uint fed[ROUND];  // valid ids of the round, in order
shared uint n_fed;

// Larger logits have larger keys, none is 0; NaN counts as the lowest value, -0 as 0.
uint logit_key(float value)
{
    uint bits = value == 0.0 ? 0u : isnan(value) ? 0xff800000u : floatBitsToUint(value);
    return bits >> 31u != 0u ? ~bits : bits | 0x80000000u;
}

#ifdef PICK_WARPS
#include "lib/pick_warps.glsl"
#else
#include "lib/pick_lanes.glsl"
#endif

// Teacher forcing: the given ids instead of the picked ones. Returns whether the frame ends.
bool force(uint round, uint stream)
{
    uint t = gl_LocalInvocationIndex;
    uint first = stream * FORCED_WORDS(a.forced_rounds, ROUND);
    uint row = first + 1u + min(round, a.forced_rounds - 1u) * (ROUND + 1u);
    if (t == 0u) {
        n_slots = min(forced[row], ROUND);
    }
    if (t < ROUND) {
        emitted[t] = min(forced[row + 1u + t], EOS);
    }
    return round + 1u >= min(forced[first], a.forced_rounds);
}

// Logits and losses of the round are asked for ...
float load_round(uint logits0)
{
    uint t = gl_LocalInvocationIndex;
    load_logits(logits0);
    return t < ROUND ? logits[logits0 + ROUND * VOCAB + t] : 0.0;
}

// ... and judged: emitted[0..n_slots), of which fed[0..n_fed) go on. `before`: slots of the frame
// so far, their ids banned (barrier behind that). Returns whether the frame ends.
bool pick_round(uint round, uint stream, uint before, float loss)
{
    uint t = gl_LocalInvocationIndex;
    if (t == 0u) {
        padded = 0u;
    }
    uint budget = min(a.budget, CELLS);
    pick(min(ROUND, budget - min(before, budget)));
    barrier();
    bool ended = n_slots < ROUND || before + n_slots >= budget || round + 1u >= a.rounds;
    // Slots are judged one by one; a pad's id stays taken. The frame's very first slot is exempt.
    if (t < n_slots && a.threshold_on != 0u && loss <= a.threshold && (t > 0u || round > 0u)) {
        emitted[t] = EOS;
        padded = 1u;
    }
    barrier();
    ended = ended || padded != 0u;
    if (a.forced != 0u) {
        ended = force(round, stream) || round + 1u >= a.rounds;
        barrier();
    }
    if (t == 0u) {
        uint n = 0u, most = min(n_slots, CELLS - before);
        for (uint i = 0u; i < most; i++) {
            uint id = emitted[i];
            if (id != EOS) {
                fed[n++] = id;
            }
        }
        n_fed = n;
    }
    barrier();
    // Only a full round without pads goes on.
    return ended || n_fed != ROUND;
}
