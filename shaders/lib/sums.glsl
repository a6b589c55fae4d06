// What lies in tile_sums[] by turns: sums of products (lib/products.glsl), or the keys of a round's
// logits (lib/pick_warps.glsl).
// Four columns of a row of the sums.
vec4 four_of(uint shares, uint stride, uint row, uint four)
{
    vec4 v = vec4(0.0);
    [[unroll]] for (uint s = 0u; s < shares; s++) {
        v += uintBitsToFloat(tile_sums[(s * 16u + row) * stride + four]);
    }
    return v;
}

uvec4 keys_at(uint i)
{
    return tile_sums[i];
}

void put_keys(uint i, uvec4 four)
{
    tile_sums[i] = four;
}
