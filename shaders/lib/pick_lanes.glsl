// Search of lib/pick.glsl by a few threads a slot and atomics in shared memory.
const uint LANES = GROUP / ROUND < 32u ? GROUP / ROUND : 32u; // threads that search one slot
const uint OWN = (CELLS + LANES - 1u) / LANES; // logits of such a thread

shared uint banned[(VOCAB + 31u) / 32u];
shared uint slot_id[ROUND];  // best free id of a slot, the lowest of several
shared uint slot_key[ROUND]; // largest free logit of a slot, as a number in the same order
shared uint conflict;    // first slot whose candidate an earlier slot has taken

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

// Returns the loss of slot t.
float load_round(uint logits0)
{
    uint t = gl_LocalInvocationIndex, slot = min(t / LANES, ROUND - 1u);
    float value[OWN];
    [[unroll]] for (uint i = 0u; i < OWN; i++) {
        value[i] = logits[logits0 + slot * VOCAB + min(t % LANES + i * LANES, CELLS - 1u)];
    }
    [[unroll]] for (uint i = 0u; i < OWN; i++) {
        own_logits[i] = t % LANES + i * LANES < CELLS ? logit_key(value[i]) : 0u;
    }
    return t < ROUND ? logits[logits0 + ROUND * VOCAB + t] : 0.0;
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
void pick(uint limit, uint round, float loss)
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
    if (t < limit && is_pad(round, t, loss)) {
        emitted[t] = EOS;
    }
    barrier();
    feed(limit);
}

void forget_bans()
{
    for (uint i = gl_LocalInvocationIndex; i < (VOCAB + 31u) / 32u; i += GROUP) {
        banned[i] = 0u;
    }
}

// The n ids that stand in results[] from ids0 on.
void ban_results(uint ids0, uint n)
{
    for (uint i = gl_LocalInvocationIndex; i < n; i += GROUP) {
        ban(min(results[ids0 + i], EOS));
    }
}
