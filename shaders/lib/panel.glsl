// What kernels that draw panels share: a layer of workgroups a panel; an invocation draws COLUMNS
// pixels, one beside another. Pictures are read by fours of pixels: for each four the rows under a
// pixel are summed up first, which serves two pixels where the four lies under both.
#include "interface/panel_args.h"
#include "lib/footprint.glsl"

layout(local_size_x_id = 0, local_size_y_id = 1) in;
layout(constant_id = 2) const int COLUMNS = 1;
layout(constant_id = 3) const bool ALIGNED = false; // rows are whole fours
layout(constant_id = 4) const bool DOWN = false; // neighbours lie one below another

layout(push_constant) uniform Push { panel_args args; };
#ifdef IMAGE // the frame is the target's image
layout(set = 0, binding = 0) writeonly uniform image2D frame;
#else
layout(set = 0, binding = 0, std430) writeonly buffer Frame { uint frame[]; };
#endif

ivec2 point(uint word)
{
    return ivec2(bitfieldExtract(int(word), 0, 16), int(word) >> 16);
}

// The pixels of an invocation. What loops need of the arguments is in here: a software device reads
// arguments anew each time, lane by lane.
struct strip {
    int x, end;
    int y, at;             // row of the frame, position in the buffer
    int left;              // of the panel's rectangle
    float begin, scale;    // where that begins in the picture, picture pixels a frame pixel
    int width;             // of the picture
    rows r;
    bool swap;
};

// false: there are none. Loops of neighbours that lie one below another run alike.
bool find_strip(uint panel, out strip s)
{
    ivec2 begin = point(args.begin[panel]), end = point(args.end[panel]);
    ivec2 corner = point(args.corner[panel]), id = ivec2(gl_GlobalInvocationID.xy);
    id = DOWN ? ivec2(COLUMNS * id.y, id.x) : ivec2(COLUMNS * id.x, id.y);
    int y = begin.y + id.y;
    s.x = begin.x + id.x;
    s.end = min(s.x + COLUMNS, end.x);
    s.y = y;
    s.at = y * int(args.frame_width) + s.x;
    s.left = corner.x;
    s.begin = args.part_x;
    s.scale = args.scale_x;
    s.width = int(args.source_width);
    s.r = rows_under(args.part_y + float(y - corner.y) * args.scale_y, args.scale_y,
                     int(args.source_height));
    s.swap = args.swap != 0;
    return s.x < s.end && y < end.y;
}

span strip_span(strip s)
{
    return footprint(s.begin + float(s.x - s.left) * s.scale, s.scale, s.width);
}

const int NONE = -8; // columns of fours that no pixel touches

// The four pixels from column `x` (a multiple of 4) of the row that begins at `row` on. Both names
// are of one buffer.
#define LOAD_FOUR(fours, singles, s, row, x)                                                       \
    (ALIGNED ? fours[((row) + (x)) >> 2]                                                           \
             : uvec4(singles[(row) + (x)], singles[(row) + min((x) + 1, s.width - 1)],             \
                     singles[(row) + min((x) + 2, s.width - 1)],                                   \
                     singles[(row) + min((x) + 3, s.width - 1)]))

// A channel of four pixels.
vec4 channel(uvec4 pixels, int which)
{
    return vec4(ivec4((pixels >> (8 * which)) & 0xffu));
}

// The pixel at s, in levels, 0 to 255.
void put(strip s, vec3 color)
{
    ivec3 c = ivec3(color + 0.5);
#ifdef IMAGE
    imageStore(frame, ivec2(s.x, s.y), vec4(vec3(c) / 255.0, 1.0));
#else
    c = s.swap ? c.bgr : c;
    frame[s.at] = uint(c.r | c.g << 8 | c.b << 16) | 0xff000000u;
#endif
}
