// Input x of a layer: as it lies there, or as partial sums that tail.comp has left (a.parts). The
// includer has declared `vec4 x_in[]` and `vec4 down[]`.
vec4 layer_input(uint stream, uint row, uint k4)
{
    uint at = stream * MAX_ROWS + row;
    if (a.parts == 0u) {
        return x_in[at * WIDTH4 + k4];
    }
    vec4 sum = vec4(0.0);
    [[unroll]] for (uint p = 0u; p < TAIL_PARTS; p++) {
        sum += down[(at * TAIL_PARTS + p) * WIDTH4 + k4];
    }
    return sum;
}
