// The source pixels under a target pixel, each axis for itself. Smaller than the picture: all of
// them, weighted by area, so that nothing shimmers. Larger: the nearest one, so that single pixels
// can be inspected. Wants `args` (panel_args).

// Beyond this many source pixels a side only so many evenly spread ones are read.
const uint MAX_TAPS = 8;

// One axis: all have weight 1 but the two at the ends.
struct taps {
    uint n;
    float first, step;     // position of the first tap, distance
    float head, tail;      // weights of the first and of the last
};

// `begin`: where the target pixel begins in the picture, `scale`: source pixels a target pixel.
taps footprint(float begin, float scale)
{
    taps t;
    t.head = t.tail = t.step = 1.0;
    if (scale <= 1.0) {
        t.n = 1;
        t.first = begin + 0.5 * scale;
        return t;
    }
    float end = begin + scale;
    float first = floor(begin + 0.001), last = ceil(end - 0.001) - 1.0;
    t.n = uint(last - first) + 1;
    t.first = first + 0.5;
    t.head = min(first + 1.0, end) - begin;
    t.tail = end - max(last, begin);
    if (t.n > MAX_TAPS) {
        t.n = MAX_TAPS;
        t.step = scale / float(MAX_TAPS);
        t.first = begin + 0.5 * t.step;
        t.head = t.tail = 1.0;
    }
    return t;
}

void footprints(out taps tx, out taps ty)
{
    vec2 at = floor(gl_FragCoord.xy) - vec2(args.x, args.y);
    vec2 scale = vec2(args.part_width, args.part_height) / vec2(args.width, args.height);
    tx = footprint(args.part_x + at.x * scale.x, scale.x);
    ty = footprint(args.part_y + at.y * scale.y, scale.y);
}

float tap_weight(taps t, uint i)
{
    return i == 0 ? t.head : i == t.n - 1 ? t.tail : 1.0;
}

uint tap_position(taps t, uint i, uint limit)
{
    return min(uint(max(t.first + float(i) * t.step, 0.0)), limit - 1);
}
