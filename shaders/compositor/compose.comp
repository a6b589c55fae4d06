// Input + history + plan -> history (the output panel), mask panel, squared error; one pass over
// the picture. What the cells say about a pixel is the word of its segment. The variant `quad`
// makes four pixels of a row at once, for widths that are multiples of four.
//
// A frame takes one of these paths, chosen here from the plan's area; all make the same pictures:
//   dense   the mask panel is drawn whole
//   sparse  the mask panel is drawn only where a cell is or, a frame ago, was
//   copy    the union is the whole frame: the input goes into the history
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
layout(constant_id = 2) const uint ROWS = 1; // pixels, one below the other, that an invocation makes

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

shared uint error_of_group;

uvec3 rgb(uint pixel)
{
    return uvec3(pixel, pixel >> 8, pixel >> 16) & 0xff;
}

// round(in * weight[0] + colour * weight[1]) in float32, as the C reference: no fused multiply-add,
// halves away from zero (v - floor(v) is exact). Keeps the alpha channel of `pixel`.
uint blend(uint pixel, uvec3 colour, float weight[2])
{
    precise vec3 v = vec3(rgb(pixel)) * weight[0] + vec3(colour) * weight[1];
    precise vec3 whole = floor(v);
    uvec3 c = uvec3(whole) + uvec3(greaterThanEqual(v - whole, vec3(0.5)));
    return c.r | c.g << 8 | c.b << 16 | (pixel & 0xff000000u);
}

// Colour that the cells of a segment draw.
uint drawn_colour(uint word)
{
    uint entry = word >> SEGMENT_COLOUR_SHIFT & 3;
    return palettes[args.palette + entry + ((word & SEGMENT_BORDER) != 0 ? 4 : 0)];
}

uint mask_pixel(uint pixel, uint word, uint colour)
{
    uint covered = blend(pixel, rgb(colour), args.mask_blend);
    return ((word & SEGMENT_COVERED) != 0 ? covered : pixel & args.keep) | args.set;
}

uint squared_error(uint a, uint b)
{
    ivec3 d = ivec3(rgb(a)) - ivec3(rgb(b));
    return uint(d.r * d.r + d.g * d.g + d.b * d.b);
}

uint output_pixel(uint pixel, uint old, uint word)
{
    if ((VARIANT & COMPOSE_FULL_BLEND) != 0) {
        return (word & SEGMENT_COVERED) != 0 ? blend(pixel, uvec3(255), args.output_blend) : pixel;
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

// Returns the squared error if it is asked for. `draws`: the mask panel is written. Input and
// history are read and written only where it matters.
uint compose(uint at, PIXELS words, PIXELS colours, bool draws)
{
    const bool blends = (VARIANT & COMPOSE_FULL_BLEND) != 0;
    const bool wanted = (VARIANT & COMPOSE_ERROR) != 0;
    bool updates = any_set(words, SEGMENT_UPDATED);
    if (!(blends || wanted || updates || draws)) {
        return 0;
    }
    PIXELS pixels = source[at], old = pixels, panel, result;
    if (!blends && (wanted || updates) && !all_set(words, SEGMENT_UPDATED)) {
        old = history[at];
    }
    uint error = 0;
    for (uint i = 0; i < PARTS; i++) {
        uint pixel = PART(pixels, i), word = PART(words, i);
        PART(panel, i) = mask_pixel(pixel, word, PART(colours, i));
        PART(result, i) = output_pixel(pixel, PART(old, i), word);
        error += squared_error(pixel, PART(result, i));
    }
    if (draws) {
        mask[at] = panel;
    }
    if (blends || updates) {
        history[at] = result;
    }
    return wanted ? error : 0;
}

// ROWS pixels (or quads), one below the other: a segment is many rows high as a rule, so its word
// is read once.
uint compose_column(uint x, uint y0, uint width, bool sparse)
{
    uint error = 0, last = 0xffffffffu;
    PIXELS segment = column[x], words = PIXELS(0), colours = PIXELS(0);
    bool draws = (VARIANT & COMPOSE_MASK) != 0;
    for (uint y = y0; y < min(y0 + ROWS, args.height); y++) {
        if (row[y] != last) {
            last = row[y];
            PIXELS before = PIXELS(0);
            for (uint i = 0; i < PARTS; i++) {
                uint at = last * args.n_x + PART(segment, i);
                PART(words, i) = segments[at];
                PART(colours, i) = drawn_colour(PART(words, i));
                if ((VARIANT & COMPOSE_MASK) != 0 && sparse && args.mask_known != 0) {
                    PART(before, i) = shown[at];
                }
            }
            if ((VARIANT & COMPOSE_MASK) != 0 && sparse && args.mask_known != 0) {
                draws = any_set(words | before, SEGMENT_COVERED);
            }
        }
        error += compose(y * width + x, words, colours, draws);
    }
    return error;
}

uint choose_path()
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

// 64-bit sum in two words. The last workgroup hands it over and leaves zeros for the next picture.
void add_error(uint error)
{
    if (error != 0) {
        uint old = atomicAdd(total.low, error);
        if (old + error < old) {
            atomicAdd(total.high, 1);
        }
    }
    memoryBarrierBuffer();
    uint n = gl_NumWorkGroups.x * gl_NumWorkGroups.y;
    if (atomicAdd(total.groups, 1) == n - 1) {
        memoryBarrierBuffer();
        stats[args.stats_at] = atomicExchange(total.low, 0);
        stats[args.stats_at + 1] = atomicExchange(total.high, 0);
        atomicExchange(total.groups, 0);
    }
}

void main()
{
    if (gl_LocalInvocationIndex == 0) {
        error_of_group = 0;
    }
    barrier();
    uint group = gl_WorkGroupID.y * gl_NumWorkGroups.x + gl_WorkGroupID.x;
    uint index = group * gl_WorkGroupSize.x + gl_LocalInvocationIndex;
    uint width = args.width / PARTS, y0 = index / width * ROWS;
    uint path = choose_path();
    if (index == 0) {
        stats[args.stats_at + 2] = path;
    }
    if (y0 < args.height) {
        uint error = compose_column(index % width, y0, width, path == PLAN_PATH_SPARSE);
        if (error != 0) {
            atomicAdd(error_of_group, error);
        }
    }
    if ((VARIANT & COMPOSE_ERROR) != 0) {
        barrier();
        if (gl_LocalInvocationIndex == 0) {
            add_error(error_of_group);
        }
    }
}
