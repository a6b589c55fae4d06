// One selection round (M5.2): argmax of every slot without repeats, budget, stop by predicted loss.
// The includer has `logits` (PICK_WARPS: `keys`), `results` and `forced` buffers, a push block `a`
// with the fields of select_args used here, and calls forget_bans(), then (barrier between)
// ban_results() for the ids already taken. PICK_WARPS: by a subgroup of 32 (lib/pick_warps.glsl).
shared uint emitted[ROUND];
shared uint n_slots;           // of this round
shared uint fed[ROUND], n_fed; // valid ids of the round, in order

// Larger logits have larger keys, none is 0; NaN counts as the lowest value, -0 as 0.
uint logit_key(float value)
{
    uint bits = value == 0.0 ? 0u : isnan(value) ? 0xff800000u : floatBitsToUint(value);
    return bits >> 31u != 0u ? ~bits : bits | 0x80000000u;
}

// Slots are judged one by one; a pad's id stays taken. The frame's very first slot is exempt.
bool is_pad(uint round, uint slot, float loss)
{
    return a.threshold_on != 0u && loss <= a.threshold && (slot > 0u || round > 0u);
}

// The valid ones of emitted[0..n) (barrier before and behind it).
void feed(uint n)
{
    uint t = gl_LocalInvocationIndex, rank = 0u;
    if (t < ROUND) {
        [[unroll]] for (uint i = 0u; i < ROUND; i++) {
            rank += i < t && i < n && emitted[i] != EOS ? 1u : 0u;
        }
        bool goes_on = t < n && emitted[t] != EOS;
        if (goes_on) {
            fed[rank] = emitted[t];
        }
        if (t == ROUND - 1u) {
            n_fed = rank + (goes_on ? 1u : 0u);
        }
    }
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

// load_round() has asked for logits and losses; this judges them: emitted[0..n_slots), of which
// fed[0..n_fed) go on. `before`: slots of the frame so far, their ids banned (barrier behind that).
// Returns whether the frame ends.
bool pick_round(uint round, uint stream, uint before, float loss)
{
    uint budget = min(a.budget, CELLS);
    pick(min(ROUND, budget - min(before, budget)), round, loss);
    barrier();
    uint n = n_slots;
    bool ended = n < ROUND || before + n >= budget || round + 1u >= a.rounds;
    if (a.forced != 0u) {
        barrier();
        ended = force(round, stream) || round + 1u >= a.rounds;
        barrier();
        feed(min(n_slots, CELLS - before));
        barrier();
    }
    // Only a full round without pads goes on.
    return ended || n_fed != ROUND;
}
