// Search of lib/pick.glsl by subgroups of 32: each finds the best two ids for a slot of its own, as
// if no other slot took one; then one of them goes through the slots in order and searches again
// only where earlier slots have taken both. Keys of the logits lie in shared memory, the
// includer's: pick_four(i) and pick_put(i, four), [ROUND][PICK_FOURS]. Invocation i looks at fours
// i, i + 32, .. of a slot and knows which of these ids are free. The includer has lib/warp.glsl.
const uint PICK_EACH = (PICK_FOURS + 31u) / 32u; // at most 8
const uint SLOTS_EACH = (ROUND + WARPS - 1u) / WARPS;

const uint BEST = 2u;

shared uint candidate[ROUND * BEST], picked[ROUND];

uint free_ids; // bit 4 * j + c: id 4 * (lane + 32 * j) + c
uint n_picked; // by the round before

void forget_bans()
{
    free_ids = 0xffffffffu;
    n_picked = 0u;
}

void ban(uint id)
{
    uint four = id / 4u;
    free_ids &= four % 32u == lane ? ~(1u << (four / 32u * 4u + id % 4u)) : 0xffffffffu;
}

void ban_results(uint ids0, uint n)
{
    for (uint i = 0u; i < n; i++) {
        ban(min(results[ids0 + i], EOS));
    }
}

void load_logits(uint logits0)
{
    const uint each = (ROUND * PICK_FOURS + GROUP - 1u) / GROUP;
    vec4 value[each];
    [[unroll]] for (uint j = 0u; j < each; j++) {
        uint i = min(gl_LocalInvocationIndex + j * GROUP, ROUND * PICK_FOURS - 1u);
        uint at = logits0 + i / PICK_FOURS * VOCAB, id = i % PICK_FOURS * 4u;
        [[unroll]] for (uint c = 0u; c < 4u; c++) {
            value[j][c] = logits[at + min(id + c, CELLS - 1u)];
        }
    }
    [[unroll]] for (uint j = 0u; j < each; j++) {
        uint i = gl_LocalInvocationIndex + j * GROUP, id = i % PICK_FOURS * 4u;
        uvec4 keys;
        [[unroll]] for (uint c = 0u; c < 4u; c++) {
            keys[c] = id + c < CELLS ? logit_key(value[j][c]) : 0u;
        }
        if (i < ROUND * PICK_FOURS) {
            pick_put(i, keys);
        }
    }
}

// Keys of the ids that are free.
void load_keys(uint slot, out uvec4 keys[PICK_EACH])
{
    [[unroll]] for (uint j = 0u; j < PICK_EACH; j++) {
        uint four = lane + 32u * j;
        uvec4 bits = free_ids >> (4u * j) & uvec4(1u, 2u, 4u, 8u);
        keys[j] = pick_four(slot * PICK_FOURS + min(four, PICK_FOURS - 1u));
        keys[j] = mix(keys[j], uvec4(0u), equal(bits, uvec4(0u)));
        keys[j] = four < PICK_FOURS ? keys[j] : uvec4(0u);
    }
}

// The id with the largest key, the lowest of several, whose key is then forgotten. NONE: no key.
uint take_best(inout uvec4 keys[PICK_EACH])
{
    uvec4 best = keys[0], id = uvec4(NONE);
    [[unroll]] for (uint j = 1u; j < PICK_EACH; j++) {
        best = max(best, keys[j]);
    }
    uint top = warp_max(max(max(best.x, best.y), max(best.z, best.w)));
    [[unroll]] for (uint j = 0u; j < PICK_EACH; j++) {
        uvec4 ids = 4u * (lane + 32u * j) + uvec4(0u, 1u, 2u, 3u);
        id = min(id, mix(uvec4(NONE), ids, equal(keys[j], uvec4(top))));
    }
    uint lowest = warp_min(min(min(id.x, id.y), min(id.z, id.w)));
    [[unroll]] for (uint j = 0u; j < PICK_EACH; j++) {
        uvec4 ids = 4u * (lane + 32u * j) + uvec4(0u, 1u, 2u, 3u);
        keys[j] = mix(keys[j], uvec4(0u), equal(ids, uvec4(lowest)));
    }
    return top == 0u ? NONE : lowest;
}

// Slots take their ids in order. Loops stay loops: code that runs once is fetched slowly.
void pick(uint limit)
{
    uvec4 keys[PICK_EACH];
    barrier();
    [[dont_unroll]] for (uint i = 0u; i < n_picked; i++) {
        ban(picked[i]);
    }
    [[dont_unroll]] for (uint slot = warp; slot < SLOTS_EACH * WARPS; slot += WARPS) {
        load_keys(min(slot, ROUND - 1u), keys);
        [[dont_unroll]] for (uint i = 0u; i < BEST; i++) {
            uint id = take_best(keys);
            if (lane == 0u && slot < ROUND) {
                candidate[slot * BEST + i] = id;
            }
        }
    }
    barrier();
    n_picked = ROUND; // another round comes only behind a full one
#ifndef EMULATED
    if (warp != 0u) {
        return;
    }
#endif
    uint own = NONE, n = 0u; // id of slot `lane`
    bool exhausted = false;
    [[dont_unroll]] for (uint slot = 0u; slot < min(limit, ROUND) && !exhausted; slot++) {
        uint id = candidate[slot * BEST], next = candidate[slot * BEST + 1u];
        bool taken = warp_any(lane < slot && own == id), next_taken = warp_any(lane < slot && own == next);
        if (taken && next_taken) {
            load_keys(slot, keys);
            id = take_best(keys);
        } else if (taken) {
            id = next;
        }
        exhausted = id == NONE;
        if (!exhausted) {
            ban(id);
            own = lane == slot ? id : own;
            n = slot + 1u;
        }
    }
    if (warp == 0u && lane < n) {
        emitted[lane] = own;
        picked[lane] = own;
    }
    if (gl_LocalInvocationIndex == 0u) {
        n_slots = n;
    }
}
