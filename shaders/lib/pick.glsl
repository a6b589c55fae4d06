// One selection round (M5.2): argmax of every slot without repeats, budget, stop by predicted loss.
// The includer has `logits` and `forced` buffers, a push block `a` with the fields of select_args
// used here, and calls ban() for the ids already taken.
const uint LANES = GROUP / ROUND < 32u ? GROUP / ROUND : 32u; // threads that search one slot
const uint OWN = (CELLS + LANES - 1u) / LANES; // logits of such a thread

shared uint banned[(VOCAB + 31u) / 32u];
shared uint slot_key[ROUND]; // largest free logit of a slot, as a number in the same order ...
shared uint slot_id[ROUND];  // ... and the lowest id that has it
shared uint conflict;    // first slot whose candidate an earlier slot has taken
shared uint emitted[ROUND];
shared uint n_slots;     // slots of this round
shared uint padded;      // 1: some slot met the threshold
shared uint fed[ROUND];  // valid ids of the round, in order
shared uint n_fed;

uint own_logits[OWN];     // of slot t / LANES: ids t % LANES, + LANES, ...; 0: no such id
uint best_key, best_id;  // of these, what is free

void ban(uint id)
{
    atomicOr(banned[id / 32u], 1u << (id % 32u));
}

bool is_banned(uint id)
{
    return (banned[id / 32u] >> (id % 32u) & 1u) != 0u;
}

// Larger logits have larger keys, none is 0; NaN counts as the lowest value, -0 as 0.
uint logit_key(float value)
{
    uint bits = value == 0.0 ? 0u : isnan(value) ? 0xff800000u : floatBitsToUint(value);
    return bits >> 31u != 0u ? ~bits : bits | 0x80000000u;
}

void load_logits(uint logits0)
{
    uint t = gl_LocalInvocationIndex, slot = min(t / LANES, ROUND - 1u);
    float value[OWN];
    [[unroll]] for (uint i = 0u; i < OWN; i++) {
        value[i] = logits[logits0 + slot * VOCAB + min(t % LANES + i * LANES, CELLS - 1u)];
    }
    [[unroll]] for (uint i = 0u; i < OWN; i++) {
        own_logits[i] = t % LANES + i * LANES < CELLS ? logit_key(value[i]) : 0u;
    }
}

void find_own_best()
{
    best_key = 0u;
    best_id = NONE;
    [[unroll]] for (uint i = 0u; i < OWN; i++) {
        uint id = gl_LocalInvocationIndex % LANES + i * LANES;
        if (own_logits[i] > best_key && !is_banned(id)) {
            best_key = own_logits[i];
            best_id = id;
        }
    }
}

// Slots take their ids in order. All slots search at once; where a slot wants what an earlier one
// has just taken, it and those after it search again.
void pick(uint limit)
{
    uint t = gl_LocalInvocationIndex, slot = t / LANES, from = 0u;
    find_own_best();
    while (from < limit) {
        if (t < ROUND) {
            slot_key[t] = 0u;
            slot_id[t] = NONE;
        }
        if (t == 0u) {
            conflict = limit;
        }
        barrier();
        bool searches = slot >= from && slot < limit;
        if (searches) {
            if (best_id != NONE && is_banned(best_id)) {
                find_own_best();
            }
            if (best_id != NONE) {
                atomicMax(slot_key[slot], best_key);
            }
        }
        barrier();
        if (searches && best_id != NONE && slot_key[slot] == best_key) {
            atomicMin(slot_id[slot], best_id);
        }
        barrier();
        if (t >= from && t < limit) {
            bool taken = slot_id[t] == NONE;
            for (uint j = from; j < t; j++) {
                taken = taken || slot_id[j] == slot_id[t];
            }
            if (taken) {
                atomicMin(conflict, t);
            }
        }
        barrier();
        uint to = conflict;
        if (t >= from && t < to) {
            emitted[t] = slot_id[t];
            ban(slot_id[t]);
        }
        bool exhausted = to < limit && slot_id[to] == NONE;
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

void forget_bans()
{
    for (uint i = gl_LocalInvocationIndex; i < (VOCAB + 31u) / 32u; i += GROUP) {
        banned[i] = 0u;
    }
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
        n_fed = 0u;
        for (uint i = 0u; i < min(n_slots, CELLS - before); i++) {
            if (emitted[i] != EOS) {
                fed[n_fed++] = emitted[i];
            }
        }
    }
    barrier();
    // Only a full round without pads goes on.
    return ended || n_fed != ROUND;
}
