// How the keys of a forward are cut into pieces for attention: as few as give each at least
// `min_keys`, whole tiles of ATTN_KEYS.
layout(constant_id = SPEC_ATTN_KEYS) const uint ATTN_KEYS = 64;

uint key_splits(uint keys, uint min_keys, uint most)
{
    uint wanted = (keys + max(min_keys, 1u) - 1u) / max(min_keys, 1u);
    return clamp(wanted, 1u, clamp(most, 1u, MAX_SPLITS));
}

uint keys_a_split(uint keys, uint splits)
{
    uint length = (keys + splits - 1u) / splits;
    return max((length + ATTN_KEYS - 1u) / ATTN_KEYS, 1u) * ATTN_KEYS;
}
