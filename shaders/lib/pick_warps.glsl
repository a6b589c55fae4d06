// Search of lib/pick.glsl by one subgroup of 32, slot after slot: each has the best id that none
// before it took. (All slots at once, and again where two want the same, is slower: slots like the
// same ids. So is ordering each slot's best ids first: instructions that run once a round are
// fetched from afar.) Invocation i has KEYS_EACH neighbouring ids and knows which are free.
//
// Whoever computes a logit leaves its key (logit_key()) in keys[], where a round has
//     [ROUND][32][4 * KEYS4_EACH] keys, [ROUND] losses as they are, [GROUP] workgroups that have
//     come so far (they all must, whether they have keys or not)         KEYS_ROUND words
// each with use_bit(picks / 2) as its lowest bit (lib/words.glsl).
// The includer has this buffer as uvec4 keys4[], too, and shared memory for the keys, ROUND * KEYS4
// fours: put_keys(i, four), keys_at(i); and lib/warp.glsl.
const uint KEYS_EACH = (CELLS + 31u) / 32u; // at most 32
const uint KEYS4_EACH = (KEYS_EACH + 3u) / 4u, KEYS4 = 32u * KEYS4_EACH;
const uint LOSSES_AT = ROUND * 4u * KEYS4, PRESENT_AT = LOSSES_AT + ROUND;
const uint KEYS_ROUND = (PRESENT_AT + GROUP + 3u) / 4u * 4u;

shared uint picked[ROUND];

uint free_ids; // bit j: id KEYS_EACH * lane + j, if there is one

void forget_bans()
{
    free_ids = 0u;
    [[unroll]] for (uint j = 0u; j < KEYS_EACH; j++) {
        free_ids |= KEYS_EACH * lane + j < CELLS ? 1u << j : 0u;
    }
}

void ban_results(uint ids0, uint n)
{
    for (uint i = 0u; i < n; i++) {
        uint id = min(results[ids0 + i], EOS);
        free_ids &= id / KEYS_EACH == lane ? ~(1u << id % KEYS_EACH) : 0xffffffffu;
    }
}

// Where a logit's key or a loss lies in its round; NONE: nobody wants it.
uint key_place(uint column)
{
    uint slot = column / VOCAB, id = column % VOCAB;
    return column >= ROUND * VOCAB + ROUND ? NONE
           : column >= ROUND * VOCAB       ? LOSSES_AT + column - ROUND * VOCAB
           : id >= CELLS                   ? NONE
                     : 4u * (slot * KEYS4 + id / KEYS_EACH * KEYS4_EACH) + id % KEYS_EACH;
}

// Which of four keys exist: MARK_BIT or 0.
uvec4 existing_keys(uint four)
{
    uint key0 = 4u * (four % KEYS4_EACH), id0 = four / KEYS4_EACH % 32u * KEYS_EACH + key0;
    uint n = min(KEYS_EACH - key0, CELLS - min(id0, CELLS));
    return mix(uvec4(0u), uvec4(MARK_BIT), lessThan(uvec4(0u, 1u, 2u, 3u), uvec4(n)));
}

// Waits for all keys. Returns the loss of slot t.
float load_round(uint keys0)
{
    const uint each = (ROUND * KEYS4 + GROUP - 1u) / GROUP;
    uint t = gl_LocalInvocationIndex, bit = use_bit(picks / 2u), loss = 0u;
    uvec4 four[each], exist[each];
    [[unroll]] for (uint j = 0u; j < each; j++) {
        exist[j] = existing_keys(min(t + j * GROUP, ROUND * KEYS4 - 1u));
    }
    uint spins = patience(), missing;
    do {
        missing = 0u;
        [[unroll]] for (uint j = 0u; j < each; j++) {
            four[j] = keys4[keys0 / 4u + min(t + j * GROUP, ROUND * KEYS4 - 1u)] ^ bit;
        }
        loss = keys[keys0 + LOSSES_AT + min(t, ROUND - 1u)] ^ bit;
        uint present = keys[keys0 + PRESENT_AT + min(t, gl_NumWorkGroups.x - 1u)] ^ bit;
        [[unroll]] for (uint j = 0u; j < each; j++) {
            missing |= any_of(four[j] & exist[j]);
        }
        missing |= (loss | present) & MARK_BIT;
    } while (missing != 0u && ++spins < SYNC_MAX_SPINS);
    give_up(missing != 0u);
    [[unroll]] for (uint j = 0u; j < each; j++) {
        if (t + j * GROUP < ROUND * KEYS4) {
            put_keys(t + j * GROUP, four[j]);
        }
    }
    return t < ROUND ? uintBitsToFloat(loss) : 0.0;
}

// Into picked[]; returns how many. The winner need not tell the others its id: it alone has to
// forget it.
uint search(uint limit)
{
    uvec4 next[KEYS4_EACH];
    uint n = 0u;
    [[unroll]] for (uint j = 0u; j < KEYS4_EACH; j++) {
        next[j] = keys_at(lane * KEYS4_EACH + j);
    }
    [[dont_unroll]] for (uint slot = 0u; slot < ROUND; slot++) {
        uint key[KEYS_EACH], best = 0u, own = 0u;
        [[unroll]] for (uint j = 0u; j < KEYS_EACH; j++) {
            key[j] = (free_ids & 1u << j) != 0u ? next[j / 4u][j % 4u] : 0u;
            best = max(best, key[j]);
        }
        [[unroll]] for (uint j = 0u; j < KEYS4_EACH; j++) {
            next[j] = keys_at(min(slot + 1u, ROUND - 1u) * KEYS4 + lane * KEYS4_EACH + j);
        }
        uint top = warp_max(best);
        [[unroll]] for (uint j = KEYS_EACH; j > 0u; j--) {
            own = key[j - 1u] == best ? j - 1u : own;
        }
        bool found = top != 0u && slot < limit; // if not, then in no later slot either
        bool equals = found && best == top;
        uint before = warp_count(equals).x; // the lowest id of equals
        if (equals && before == 0u) {
            free_ids &= ~(1u << own);
            picked[slot] = KEYS_EACH * lane + own;
        }
        n += found ? 1u : 0u;
    }
    return n;
}

void pick(uint limit, uint round, float loss)
{
    barrier();
#ifndef EMULATED // there everybody takes part in what a subgroup does
    if (warp != 0u) {
        return;
    }
#endif
    uint n = search(limit);
    warp_fence();
    bool goes_on = lane < n && !is_pad(round, lane, loss);
    uvec2 count = warp_count(goes_on);
    if (warp == 0u && lane < n) {
        emitted[lane] = goes_on ? picked[lane] : EOS;
        if (goes_on) {
            fed[count.x] = picked[lane];
        }
    }
    if (gl_LocalInvocationIndex == 0u) {
        n_slots = n;
        n_fed = count.y;
    }
}
