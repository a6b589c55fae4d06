// The picture pixels under a frame pixel, each axis for itself. Smaller than the picture: all of
// them, weighted by area, so that nothing shimmers. Larger: the nearest one, so that single pixels
// can be inspected. Numbers are signed: processors convert those from and to float in one step.

struct span {
    float begin, end;
    int first, last;       // pixels that are touched
};

// `begin`: where the frame pixel begins in the picture, `scale`: picture pixels a frame pixel,
// `limit`: picture pixels there are.
span footprint(float begin, float scale, int limit)
{
    span s;
    if (scale <= 1.0) {
        s.first = s.last = min(int(begin + 0.5 * scale), limit - 1);
        s.begin = float(s.first);
        s.end = s.begin + 1.0;
        return s;
    }
    s.begin = begin;
    s.end = begin + scale;
    s.first = int(begin + 0.001);
    s.last = min(int(ceil(s.end - 0.001)), limit) - 1;
    return s;
}

// Of four pixels from `at` on: how much of each lies in the span.
vec4 weights(span s, int at)
{
    vec4 left = float(at) + vec4(0.0, 1.0, 2.0, 3.0);
    return max(min(left + 1.0, s.end) - max(left, s.begin), 0.0);
}

// Beyond this many rows only so many evenly spread ones are read.
const int MAX_ROWS = 8;

// Rows: all have weight 1 but the two at the ends.
struct rows {
    int n;
    int first, step;       // position of the first, distance, in 1/65536
    float head, tail;      // weights of the first and of the last
    float total;
};

rows rows_under(float begin, float scale, int limit)
{
    rows r;
    span s = footprint(begin, scale, limit);
    r.n = s.last - s.first + 1;
    r.first = s.first << 16;
    r.step = 65536;
    r.head = min(float(s.first) + 1.0, s.end) - s.begin;
    r.tail = s.end - max(float(s.last), s.begin);
    r.total = r.head + (r.n > 1 ? float(r.n - 2) + r.tail : 0.0);
    if (r.n > MAX_ROWS) {
        float step = scale / float(MAX_ROWS);
        r.n = MAX_ROWS;
        r.step = int(step * 65536.0);
        r.first = int((begin + 0.5 * step) * 65536.0);
        r.head = r.tail = 1.0;
        r.total = float(MAX_ROWS);
    }
    return r;
}

int row_position(rows r, int i)
{
    return (r.first + i * r.step) >> 16;
}

float row_weight(rows r, int i)
{
    return i == 0 ? r.head : i == r.n - 1 ? r.tail : 1.0;
}
