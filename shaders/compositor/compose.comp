// Input + history + plan -> history (the output panel), mask panel, squared error; one pass over
// the picture. What the cells say about a pixel is the word of its segment. The variant `quad`
// makes four pixels of a row at once, for widths that are multiples of four.
//
// A frame takes one of these paths, chosen here from the plan's area; all make the same pictures:
//   dense   the mask panel is drawn whole
//   sparse  the mask panel is drawn only where a cell is or, a frame ago, was
//   copy    the union is the whole frame: the input becomes the history
// On all of them the history is written only where it changes, and read only where the error sum
// needs it or four pixels change in part.
#version 450
#extension GL_GOOGLE_include_directive : require

#include "interface/compose_args.h"
#include "interface/plan_args.h"
#include "interface/segment_args.h"

#ifdef QUAD
#define PIXELS uvec4
#define PART(pixels, i) pixels[i]
const uint PARTS = 4;
#else
#define PIXELS uint
#define PART(pixels, i) pixels
const uint PARTS = 1;
#endif

layout(local_size_x_id = 0, local_size_y = 1, local_size_z = 1) in;
layout(constant_id = 1) const uint VARIANT = 0;
layout(constant_id = 2) const uint ROWS = 1; // pixels an invocation makes, one below another
layout(constant_id = 3) const uint LANES = 1; // words that a workgroup sums errors up in

layout(push_constant, std430) uniform Push { compose_args args; };
layout(std430, set = 0, binding = 0) readonly buffer Input { PIXELS source[]; };
layout(std430, set = 0, binding = 1) buffer History { PIXELS history[]; };
layout(std430, set = 0, binding = 2) writeonly buffer Mask { PIXELS mask[]; };
layout(std430, set = 0, binding = 3) readonly buffer Column { PIXELS column[]; };
layout(std430, set = 0, binding = 4) readonly buffer Row { uint row[]; };
layout(std430, set = 0, binding = 5) readonly buffer Segments { uint segments[]; };
layout(std430, set = 0, binding = 6) readonly buffer Palettes { uint palettes[]; };
layout(std430, set = 0, binding = 7) writeonly buffer Stats { uint stats[]; };
layout(std430, set = 0, binding = 8) buffer Total { uint low, high, groups; } total;
layout(std430, set = 0, binding = 9) readonly buffer Shown { uint shown[]; };
layout(std430, set = 0, binding = 10) readonly buffer Plan { plan_stats plan; };
layout(std430, set = 0, binding = 11) readonly buffer Edges { uint edges[]; };

// Neighbours add to words of their own: adding to one word, they wait for each other.
shared uint errors[LANES];

uvec3 rgb(uint pixel)
{
    return uvec3(pixel, pixel >> 8, pixel >> 16) & 0xff;
}

// round(in * weight + tint) in float32, as the C reference, tint = colour * (its weight): no fused
// multiply-add, halves away from zero (v - floor(v) is exact). Keeps the alpha channel of `pixel`.
uint blend(uint pixel, float weight, vec3 tint)
{
    precise vec3 v = vec3(rgb(pixel)) * weight + tint;
    precise vec3 whole = floor(v);
    uvec3 c = uvec3(whole) + uvec3(greaterThanEqual(v - whole, vec3(0.5)));
    return c.r | c.g << 8 | c.b << 16 | (pixel & 0xff000000u);
}

// What the cells of a segment draw into the mask panel, weighted.
vec3 drawn_tint(uint word)
{
    uint entry = word >> SEGMENT_COLOUR_SHIFT & 3;
    uint colour = palettes[args.palette + entry + ((word & SEGMENT_BORDER) != 0 ? 4 : 0)];
    precise vec3 tint = vec3(rgb(colour)) * args.mask_blend[1];
    return tint;
}

uint squared_error(uint a, uint b)
{
    ivec3 d = ivec3(rgb(a)) - ivec3(rgb(b));
    return uint(d.r * d.r + d.g * d.g + d.b * d.b);
}

uint output_pixel(uint pixel, uint old, uint word)
{
    if ((VARIANT & COMPOSE_FULL_BLEND) != 0) {
        precise vec3 white = vec3(255.0) * args.output_blend[1];
        return (word & SEGMENT_COVERED) != 0 ? blend(pixel, args.output_blend[0], white) : pixel;
    }
    return (word & SEGMENT_UPDATED) != 0 ? pixel : old;
}

// Whether a bit is set in any of the words.
bool any_set(PIXELS words, uint bit)
{
    uint all = 0;
    for (uint i = 0; i < PARTS; i++) {
        all |= PART(words, i);
    }
    return (all & bit) != 0;
}

bool all_set(PIXELS words, uint bit)
{
    uint all = bit;
    for (uint i = 0; i < PARTS; i++) {
        all &= PART(words, i);
    }
    return all != 0;
}

// Whether only what changes in the mask panel is drawn. Most frames know without asking the plan.
bool is_sparse()
{
    bool always = args.dispatch == COMPOSE_SPARSE || args.sparse_below >= args.width * args.height;
    return args.mask_known != 0 && args.dispatch != COMPOSE_DENSE &&
           (always || plan.pixels < args.sparse_below);
}

uint taken_path()
{
    if (args.keyframe != 0) {
        return PLAN_PATH_KEYFRAME;
    }
    if (args.dispatch != COMPOSE_AUTO) {
        return args.dispatch == COMPOSE_SPARSE ? PLAN_PATH_SPARSE : PLAN_PATH_DENSE;
    }
    uint pixels = plan.pixels;
    return pixels == args.width * args.height ? PLAN_PATH_COPY
           : pixels < args.sparse_below       ? PLAN_PATH_SPARSE
                                              : PLAN_PATH_DENSE;
}

// What the cells do to a pixel (or a quad) and those below it in the same segments.
struct block {
    PIXELS words;
    vec3 tint[PARTS];
    bool updates, reads_history; // in part, at least
    bool draws;                  // the mask panel
};

block load_block(PIXELS segment, uint row_segment, bool known)
{
    block b;
    PIXELS before = PIXELS(0);
    for (uint i = 0; i < PARTS; i++) {
        uint at = row_segment * args.n_x + PART(segment, i);
        PART(b.words, i) = segments[at];
        if ((VARIANT & COMPOSE_MASK) != 0) {
            b.tint[i] = drawn_tint(PART(b.words, i));
            PART(before, i) = known ? shown[at] : 0;
        }
    }
    const bool wanted = (VARIANT & COMPOSE_ERROR) != 0;
    b.updates = any_set(b.words, SEGMENT_UPDATED);
    b.reads_history = (wanted || b.updates) && !all_set(b.words, SEGMENT_UPDATED);
    b.draws = (VARIANT & COMPOSE_MASK) != 0 &&
              (!known || any_set(b.words | before, SEGMENT_COVERED));
    return b;
}

PIXELS mask_panel(PIXELS pixels, block b)
{
    PIXELS panel;
    for (uint i = 0; i < PARTS; i++) {
        uint pixel = PART(pixels, i), drawn = blend(pixel, args.mask_blend[0], b.tint[i]);
        bool covered = (PART(b.words, i) & SEGMENT_COVERED) != 0;
        PART(panel, i) = (covered ? drawn : pixel & args.keep) | args.set;
    }
    return panel;
}

// Returns the squared error if it is asked for. Input and history are read and written only where
// it matters.
uint compose(uint at, block b)
{
    const bool blends = (VARIANT & COMPOSE_FULL_BLEND) != 0;
    PIXELS pixels = source[at], old = pixels, result;
    if (!blends && b.reads_history) {
        old = history[at];
    }
    uint error = 0;
    for (uint i = 0; i < PARTS; i++) {
        uint pixel = PART(pixels, i), word = PART(b.words, i);
        PART(result, i) = output_pixel(pixel, PART(old, i), word);
        error += squared_error(pixel, PART(result, i));
    }
    if (b.draws) {
        mask[at] = mask_panel(pixels, b);
    }
    if (blends || b.updates) {
        history[at] = result;
    }
    return (VARIANT & COMPOSE_ERROR) != 0 ? error : 0;
}

// ROWS pixels (or quads), one below the other, as far as there are. A loop rather than a branch
// skips what is not needed: a software device takes both sides of a branch.
uint compose_column(uint x, uint y0, uint width)
{
    const bool always = (VARIANT & (COMPOSE_FULL_BLEND | COMPOSE_ERROR)) != 0;
    PIXELS segment = column[x];
    bool known = (VARIANT & COMPOSE_MASK) != 0 && is_sparse();
    uint error = 0, y = y0, y1 = min(y0 + ROWS, args.height);
    while (y < y1) {
        uint row_segment = row[y];
        uint end = min(edges[args.n_x + 1 + row_segment + 1], y1);
        block b = load_block(segment, row_segment, known);
        for (y = always || b.updates || b.draws ? y : end; y < end; y++) {
            error += compose(y * width + x, b);
        }
    }
    return error;
}

// 64-bit sum. The words add up the lower 14 bits of the groups' sums and the rest, so that nobody
// waits for a carry; neither can overflow: there are at most 2^18 workgroups, and pictures have at
// most 2^28 pixels. The last workgroup hands it over and leaves zeros for the next picture.
void add_error(uint error)
{
    if (error != 0) {
        atomicAdd(total.low, error & 0x3fff);
        atomicAdd(total.high, error >> 14);
    }
    memoryBarrierBuffer();
    uint n = gl_NumWorkGroups.x * gl_NumWorkGroups.y;
    if (atomicAdd(total.groups, 1) == n - 1) {
        memoryBarrierBuffer();
        uint low = atomicExchange(total.low, 0), high = atomicExchange(total.high, 0);
        uint sum = low + (high << 14);
        stats[args.stats_at] = sum;
        stats[args.stats_at + 1] = (high >> 18) + uint(sum < low);
        atomicExchange(total.groups, 0);
    }
}

void main()
{
    if (gl_LocalInvocationIndex < LANES) {
        errors[gl_LocalInvocationIndex] = 0;
    }
    barrier();
    uint group = gl_WorkGroupID.y * gl_NumWorkGroups.x + gl_WorkGroupID.x;
    uint index = group * gl_WorkGroupSize.x + gl_LocalInvocationIndex;
    uint width = args.width / PARTS, y0 = index / width * ROWS;
    if (index == 0) {
        stats[args.stats_at + 2] = taken_path();
    }
    if (y0 < args.height) {
        uint error = compose_column(index % width, y0, width);
        if (error != 0) {
            atomicAdd(errors[gl_LocalInvocationIndex % LANES], error);
        }
    }
    if ((VARIANT & COMPOSE_ERROR) != 0) {
        barrier();
        if (gl_LocalInvocationIndex == 0) {
            uint sum = 0;
            for (uint i = 0; i < LANES; i++) {
                sum += errors[i];
            }
            add_error(sum);
        }
    }
}
