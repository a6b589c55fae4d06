// Cell list -> plan, in one dispatch: bitmaps of the distinct and of the drawn cells, the word of
// each segment, counters. A dispatch that waits for another costs more than all of this work, so
// every workgroup reads the whole list and decides anew which cells are drawn where it draws.
//
// `deduplicated`: a cell is drawn iff it is the first, in order, to cover some segment. (The union
// of the drawn cells before it equals the union of all cells before it: by induction, a dropped
// cell adds nothing.) So what is drawn follows from what is selected, cell by cell.
#version 450
#extension GL_GOOGLE_include_directive : require

#include "interface/plan_args.h"
#include "interface/segment_args.h"

layout(local_size_x_id = 0, local_size_y_id = 1, local_size_z = 1) in;
layout(constant_id = 2) const uint GEOMETRY = PLAN_DEDUPLICATED;
layout(constant_id = 3) const uint TILE_X = 32; // segments that a workgroup draws at once, at most
layout(constant_id = 4) const uint TILE_Y = 16;
layout(constant_id = 5) const uint SHARES = 1; // invocations that look at one cell

layout(push_constant, std430) uniform Push { plan_args args; };
layout(std430, set = 0, binding = 0) readonly buffer List { uint list[]; };
layout(std430, set = 0, binding = 1) readonly buffer Count { uint count[]; };
layout(std430, set = 0, binding = 2) readonly buffer Grids { plan_grid all_grids[]; };
layout(std430, set = 0, binding = 3) readonly buffer Sources { uint sources[]; };
layout(std430, set = 0, binding = 4) readonly buffer Parts { uint parts[]; };
layout(std430, set = 0, binding = 5) readonly buffer Ranges { segment_range ranges[]; };
layout(std430, set = 0, binding = 6) readonly buffer Edges { uint edges[]; };
layout(std430, set = 0, binding = 7) buffer Stats { plan_stats stats; };
layout(std430, set = 0, binding = 8) writeonly buffer NextStats { uint next_stats[]; };
layout(std430, set = 0, binding = 9) writeonly buffer Selected { uint selected_out[]; };
layout(std430, set = 0, binding = 10) writeonly buffer Kept { uint kept_out[]; };
layout(std430, set = 0, binding = 11) writeonly buffer Segments { uint segments[]; };

const uint GROUP = gl_WorkGroupSize.x * gl_WorkGroupSize.y;
const uint WORDS = PLAN_BITMAP_WORDS;
const uint NONE = 0xffffffffu;
const uint BATCH = 4; // words of the list that an invocation asks for at once
const uint SLOTS = 32; // partial sums, so that neighbours do not wait for one another

// One bit a cell, neighbours in different words (and banks): cell % WORDS, bit cell / WORDS.
shared uint selected[WORDS];
shared uint drawn[GEOMETRY == PLAN_NATIVE ? 1 : WORDS];
shared plan_grid grids[2 * PLAN_MAX_GRIDS]; // of the drawn layout, then of the input's
shared uint parts_at[2 * PLAN_MAX_GRIDS];   // of a grid's columns, of its rows
// Of the tile at hand: ranges of its columns and rows, [grid][segment], and the cells over it.
shared segment_range columns[PLAN_MAX_GRIDS * TILE_X];
shared segment_range rows[PLAN_MAX_GRIDS * TILE_Y];
shared uint reach_begin[2 * PLAN_MAX_GRIDS], reach_end[2 * PLAN_MAX_GRIDS]; // columns, rows
shared uint area[SLOTS];
shared uint has_drawn[PLAN_MAX_GRIDS]; // grids of which this workgroup knows a drawn cell
shared uint n_selected;
shared uint per_grid[PLAN_MAX_GRIDS];

plan_grid input_grid(uint g)
{
    return grids[PLAN_MAX_GRIDS + g];
}

bool is_selected(uint cell)
{
    return (selected[cell % WORDS] >> cell / WORDS & 1) != 0;
}

bool is_drawn(uint cell)
{
    return GEOMETRY == PLAN_NATIVE ? is_selected(cell)
                                   : (drawn[cell % WORDS] >> cell / WORDS & 1) != 0;
}

// ---- the list -----------------------------------------------------------------------------------

void load_list(uint first, out uint cells[BATCH])
{
    for (uint k = 0; k < BATCH; k++) {
        uint i = first + k * GROUP;
        cells[k] = i < args.max_cells ? list[args.cells_at + i] : NONE;
    }
}

// `cells`: the first batch, asked for before the length of the list was known.
void select_listed(uint listed, uint cells[BATCH])
{
    const uint step = BATCH * GROUP;
    for (uint first = gl_LocalInvocationIndex; first < listed; first += step) {
        for (uint k = 0; k < BATCH; k++) {
            if (first + k * GROUP < listed && cells[k] < args.cells) {
                atomicOr(selected[cells[k] % WORDS], 1u << cells[k] / WORDS);
            }
        }
        load_list(first + step, cells);
    }
}

// ---- which cells are drawn ----------------------------------------------------------------------

// The first selected cell of the grids up to and with `last` over a part of a column and one of
// a row.
uint first_over(uint last, uint x, uint y)
{
    for (uint g = 0; g <= last; g++) {
        uint first = grids[g].first, stride = grids[g].cols;
        uint across = parts[x + g], down = parts[y + g];
        for (uint r = down & 0xffff; r <= down >> 16; r++) {
            for (uint c = across & 0xffff; c <= across >> 16; c++) {
                uint cell = first + r * stride + c;
                if (is_selected(cell)) {
                    return cell;
                }
            }
        }
    }
    return NONE;
}

// The last part first: no earlier cell of its own grid reaches there. `share`: the row's parts are
// shared among SHARES invocations.
bool is_first_somewhere(uint cell, uint g, uint c, uint r, uint share)
{
    uint across = parts_at[g] + 2 * c, down = parts_at[PLAN_MAX_GRIDS + g] + 2 * r;
    int x0 = int(parts[across]), x1 = int(parts[across + 1]), step = int(g) + 1;
    int y0 = int(parts[down]), y1 = int(parts[down + 1]) - int(share) * step;
    for (int y = y1 - step; y >= y0; y -= step * int(SHARES)) {
        for (int x = x1 - step; x >= x0; x -= step) {
            if (first_over(g, uint(x), uint(y)) == cell) {
                return true;
            }
        }
    }
    return false;
}

// `effective`: a target cell is drawn if a grid has a selected cell whose centre it holds: the
// finest such grid names the colour. Grids are no finer than the target, so each has one such cell
// at most.
uint contributor(uint column, uint row)
{
    uint stride = args.target_cols + args.target_rows;
    for (uint g = args.input_grids; g-- > 0;) {
        uint c = sources[g * stride + column];
        uint r = sources[g * stride + args.target_cols + row];
        if (c != PLAN_NO_SOURCE && r != PLAN_NO_SOURCE &&
            is_selected(input_grid(g).first + r * input_grid(g).cols + c)) {
            return g;
        }
    }
    return NONE;
}

uint grid_of(uint cell)
{
    uint g = args.n_grids - 1;
    while (g > 0 && cell < grids[g].first) {
        g--;
    }
    return g;
}

// Words of the bitmaps are dealt out to the workgroups: each counts and writes those of its own.
uint own_begin()
{
    return min(gl_WorkGroupID.x * args.own_words, args.words);
}

uint own_end()
{
    return min(own_begin() + args.own_words, args.words);
}

uint reach_width(uint at)
{
    return max(reach_end[at], reach_begin[at]) - reach_begin[at];
}

uint reach_size(uint g)
{
    return reach_width(g) * reach_width(PLAN_MAX_GRIDS + g);
}

// For numbers of cells, without an integer division, which is dear everywhere.
uint divide(uint a, uint b)
{
    return uint((float(a) + 0.5) / float(b));
}

// Cells over the tile, and the first time own ones.
void decide(bool is_first)
{
    uint first_own = 32 * own_begin(), end_own = 32 * own_end();
    uint n_own = is_first ? end_own - first_own : 0, n = n_own;
    for (uint g = 0; g < args.n_grids; g++) {
        n += reach_size(g);
    }
    for (uint k = gl_LocalInvocationIndex; k < n * SHARES; k += GROUP) {
        uint i = k / SHARES, share = k % SHARES, g = 0, width;
        bool is_own = i < n_own;
        uvec2 begin = uvec2(0);
        if (is_own) {
            g = grid_of(first_own + i);
            i += first_own - grids[g].first;
            width = grids[g].cols;
        } else {
            for (i -= n_own; i >= reach_size(g); g++) {
                i -= reach_size(g);
            }
            begin = uvec2(reach_begin[g], reach_begin[PLAN_MAX_GRIDS + g]);
            width = reach_width(g);
        }
        uint row = divide(i, width), c = begin.x + i - row * width, r = begin.y + row;
        uint cell = grids[g].first + r * grids[g].cols + c;
        if (cell >= args.drawn_cells || (!is_own && cell >= first_own && cell < end_own)) {
            continue;
        }
        bool yes = GEOMETRY == PLAN_EFFECTIVE
                       ? share == 0 && contributor(c, r) != NONE
                       : is_selected(cell) && is_first_somewhere(cell, g, c, r, share);
        if (yes) {
            atomicOr(drawn[cell % WORDS], 1u << cell / WORDS);
            has_drawn[g] = 1;
        }
    }
}

// ---- a tile -------------------------------------------------------------------------------------

void forget_reach()
{
    for (uint i = gl_LocalInvocationIndex; i < 2 * PLAN_MAX_GRIDS; i += GROUP) {
        reach_begin[i] = NONE;
        reach_end[i] = 0;
    }
}

void load_ranges(uvec2 begin, uvec2 end)
{
    const uint side = TILE_X + TILE_Y;
    for (uint i = gl_LocalInvocationIndex; i < side * args.n_grids; i += GROUP) {
        uint g = i / side, axis = i % side < TILE_X ? 0 : 1, at = i % side - axis * TILE_X;
        uint segment = begin[axis] + at, n = axis == 0 ? args.n_x : args.n_y;
        if (segment >= end[axis]) {
            continue;
        }
        segment_range range = ranges[(axis == 0 ? 0 : args.n_grids * args.n_x) + g * n + segment];
        if (axis == 0) {
            columns[g * TILE_X + at] = range;
        } else {
            rows[g * TILE_Y + at] = range;
        }
        if (GEOMETRY != PLAN_NATIVE && (range.cover & 0xffff) <= range.cover >> 16) {
            atomicMin(reach_begin[axis * PLAN_MAX_GRIDS + g], range.cover & 0xffff);
            atomicMax(reach_end[axis * PLAN_MAX_GRIDS + g], (range.cover >> 16) + 1);
        }
    }
}

bool is_inside(uint index, uint range)
{
    return index >= (range & 0xffff) && index <= range >> 16;
}

// What the drawn cells of a grid make of a segment, without a colour; 0: none covers it. `cell`:
// the one of the largest column, then the largest row.
uint draw_grid(uint g, segment_range x, segment_range y, out uvec2 cell)
{
    uint first = grids[g].first, stride = grids[g].cols, word = 0;
    cell = uvec2(0);
    for (uint c = (x.cover >> 16) + 1; c-- > (x.cover & 0xffff);) {
        for (uint r = (y.cover >> 16) + 1; r-- > (y.cover & 0xffff);) {
            if (!is_drawn(first + r * stride + c)) {
                continue;
            }
            cell = word == 0 ? uvec2(c, r) : cell;
            word |= SEGMENT_UPDATED | SEGMENT_COVERED;
            if (!is_inside(c, x.inner) || !is_inside(r, y.inner)) {
                return word | SEGMENT_BORDER;
            }
        }
    }
    return word;
}

// The finest grid with a drawn cell over a segment draws it; it is border if it lies on the border
// of any such cell of that grid (S5.4). In `effective` cells of one grid differ in colour: the
// larger column, then the larger row wins.
uint draw_segment(uvec2 in_tile)
{
    uint word = 0, drawer = 0;
    uvec2 cell;
    for (uint g = args.n_grids; word == 0 && g-- > 0;) {
        if (has_drawn[g] != 0) {
            drawer = g;
            word = draw_grid(g, columns[g * TILE_X + in_tile.x], rows[g * TILE_Y + in_tile.y],
                             cell);
        }
    }
    if (word == 0) {
        return 0;
    }
    drawer = GEOMETRY == PLAN_EFFECTIVE ? contributor(cell.x, cell.y) : drawer;
    return word | input_grid(drawer).colour << SEGMENT_COLOUR_SHIFT |
           drawer << SEGMENT_GRID_SHIFT;
}

// Returns the area that was covered.
uint draw_tile(uvec2 begin, uvec2 end)
{
    uint covered = 0;
    for (uint y = begin.y + gl_LocalInvocationID.y; y < end.y; y += gl_WorkGroupSize.y) {
        for (uint x = begin.x + gl_LocalInvocationID.x; x < end.x; x += gl_WorkGroupSize.x) {
            uint word = draw_segment(uvec2(x, y) - begin), edge = args.n_x + 1 + y;
            if (word != 0) {
                covered += (edges[x + 1] - edges[x]) * (edges[edge + 1] - edges[edge]);
            }
            segments[y * args.n_x + x] = args.keyframe != 0 ? word | SEGMENT_UPDATED : word;
        }
    }
    return covered;
}

// ---- results ------------------------------------------------------------------------------------

void write_bitmaps()
{
    uint lane = gl_LocalInvocationIndex;
    for (uint w = own_begin() + lane; w < own_end(); w += GROUP) {
        uint words[2] = { 0, 0 };
        for (uint i = 0; i < 32; i++) {
            uint bit = (i + lane) % 32; // of 32 neighbours each reads another bank
            words[0] |= is_selected(32 * w + bit) ? 1u << bit : 0;
            words[1] |= is_drawn(32 * w + bit) ? 1u << bit : 0;
        }
        selected_out[w] = words[0];
        kept_out[w] = words[1];
        if (words[0] != 0) {
            atomicAdd(n_selected, bitCount(words[0]));
        }
    }
    // Of larger layouts, before.
    uint step = GROUP * gl_NumWorkGroups.x;
    for (uint w = args.words + gl_WorkGroupID.x * GROUP + lane; w < WORDS; w += step) {
        selected_out[w] = 0;
        kept_out[w] = 0;
    }
}

void count_own()
{
    for (uint i = 32 * own_begin() + gl_LocalInvocationIndex; i < 32 * own_end(); i += GROUP) {
        if (is_drawn(i)) {
            uint row = divide(i, args.target_cols), column = i - row * args.target_cols;
            uint g = GEOMETRY == PLAN_EFFECTIVE ? contributor(column, row) : grid_of(i);
            atomicAdd(per_grid[g], 1);
        }
    }
}

// Sums are added to the zeros that the plan before left.
void write_stats(uint listed)
{
    uint lane = gl_LocalInvocationIndex;
    if (lane < PLAN_MAX_GRIDS && per_grid[lane] != 0) {
        atomicAdd(stats.per_grid[lane], per_grid[lane]);
        atomicAdd(stats.kept, per_grid[lane]);
    }
    if (lane == 0) {
        uint pixels = 0;
        for (uint i = 0; i < SLOTS; i++) {
            pixels += area[i];
        }
        if (pixels != 0) {
            atomicAdd(stats.pixels, pixels);
        }
        if (n_selected != 0) {
            atomicAdd(stats.selected, n_selected);
            atomicAdd(stats.chosen, n_selected);
        }
    }
    if (gl_WorkGroupID.x == 0) {
        if (lane == 0) {
            stats.listed = listed;
            stats.keyframe = args.keyframe;
            stats.repaired = 0;
            stats.path = args.keyframe != 0 ? PLAN_PATH_KEYFRAME : PLAN_PATH_DENSE;
        }
        for (uint i = lane; i < PLAN_STATS_WORDS; i += GROUP) {
            next_stats[i] = 0;
        }
    }
}

void clear_shared()
{
    uint lane = gl_LocalInvocationIndex;
    for (uint i = lane; i < min(WORDS, 32 * args.words); i += GROUP) {
        selected[i] = 0;
        if (GEOMETRY != PLAN_NATIVE) {
            drawn[i] = 0;
        }
    }
    for (uint i = lane; i < SLOTS; i += GROUP) {
        area[i] = 0;
    }
    if (lane < PLAN_MAX_GRIDS) {
        per_grid[lane] = 0;
        has_drawn[lane] = GEOMETRY == PLAN_NATIVE ? 1 : 0;
    }
    if (lane == 0) {
        n_selected = 0;
    }
}

void main()
{
    uint lane = gl_LocalInvocationIndex, covered = 0;
    uint cells[BATCH];
    load_list(lane, cells);
    uint listed = min(count[args.count_at], args.max_cells);
    clear_shared();
    for (uint i = gl_WorkGroupID.x; i < args.n_tiles; i += gl_NumWorkGroups.x) {
        bool is_first = i == gl_WorkGroupID.x;
        uvec2 begin = uvec2(i % args.tiles_x * args.tile_x, i / args.tiles_x * args.tile_y);
        uvec2 end = min(begin + uvec2(args.tile_x, args.tile_y), uvec2(args.n_x, args.n_y));
        forget_reach();
        barrier();
        if (is_first) {
            for (uint k = lane; k < 2 * PLAN_MAX_GRIDS; k += GROUP) {
                grids[k] = all_grids[k];
                parts_at[k] = parts[k];
            }
        }
        load_ranges(begin, end);
        if (is_first) {
            select_listed(listed, cells);
        }
        barrier();
        if (GEOMETRY != PLAN_NATIVE) {
            decide(is_first);
            barrier();
        }
        covered += draw_tile(begin, end);
    }
    if (covered != 0) {
        atomicAdd(area[lane % SLOTS], covered);
    }
    write_bitmaps();
    count_own();
    barrier();
    write_stats(listed);
}
