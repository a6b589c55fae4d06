// How the keys of a forward are cut into pieces for attention: whole tiles of ATTN_KEYS, one tile a
// piece as long as there are not too many.
layout(constant_id = SPEC_ATTN_KEYS) const uint ATTN_KEYS = 64;

uint key_splits(uint keys, uint most)
{
    return clamp((keys + ATTN_KEYS - 1u) / ATTN_KEYS, 1u, clamp(most, 1u, MAX_SPLITS));
}

uint keys_a_split(uint keys, uint splits)
{
    uint length = (keys + splits - 1u) / splits;
    return max((length + ATTN_KEYS - 1u) / ATTN_KEYS, 1u) * ATTN_KEYS;
}
