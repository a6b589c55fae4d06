// Cell list -> plan, in one dispatch: bitmaps of the distinct and of the drawn cells, the word of
// each segment, counters. A dispatch that waits for another costs more than all of this work, so
// every workgroup reads the whole list and decides anew which cells are drawn where it draws. On
// hardware some draw tiles of segments, others put the bitmaps together and count.
//
// `deduplicated`: a cell is drawn iff it is the first, in order, to cover some segment. (The union
// of the drawn cells before it equals the union of all cells before it: by induction, a dropped
// cell adds nothing.) So what is drawn follows from what is selected, cell by cell.
//
// Nearly everything here runs once, so its length counts: loops stay loops.
#version 450
#extension GL_GOOGLE_include_directive : require
#extension GL_EXT_control_flow_attributes : require

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
layout(std430, set = 0, binding = 6) buffer Stats { plan_stats stats; };
layout(std430, set = 0, binding = 7) writeonly buffer NextStats { uint next_stats[]; };
layout(std430, set = 0, binding = 8) writeonly buffer Selected { uint selected_out[]; };
layout(std430, set = 0, binding = 9) writeonly buffer Kept { uint kept_out[]; };
layout(std430, set = 0, binding = 10) writeonly buffer Segments { uint segments[]; };

const uint GROUP = gl_WorkGroupSize.x * gl_WorkGroupSize.y;
const uint WORDS = PLAN_BITMAP_WORDS;
const uint NONE = 0xffffffffu;
const uint BATCH = 4; // words of the list that an invocation asks for at once
const uint SLOTS = 8; // partial sums, so that neighbours do not wait for one another
const uint CHUNK = 64; // words of a bitmap that are put together at once

// One bit a cell, neighbours in different words (and banks): cell % WORDS, bit cell / WORDS.
shared uint selected[WORDS];
shared uint drawn[GEOMETRY == PLAN_NATIVE ? 1 : WORDS];
shared plan_grid grids[2 * PLAN_MAX_GRIDS]; // of the drawn layout, then of the input's
shared uint parts_at[2 * PLAN_MAX_GRIDS];   // of a grid's columns, of its rows
// Of the tile at hand: ranges of its columns and rows, [grid][segment], behind them the lengths.
shared segment_range columns[(PLAN_MAX_GRIDS + 1) * TILE_X];
shared segment_range rows[(PLAN_MAX_GRIDS + 1) * TILE_Y];
shared uint selected_words[CHUNK], drawn_words[CHUNK]; // as they are written
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

// `cells`: the first batch, asked for before the length of the list was known. Later ones are asked
// for one ahead.
void select_listed(uint listed, uint cells[BATCH])
{
    const uint step = BATCH * GROUP;
    [[dont_unroll]] for (uint first = gl_LocalInvocationIndex; first < listed; first += step) {
        uint next[BATCH];
        load_list(first + step, next);
        for (uint k = 0; k < BATCH; k++) {
            if (first + k * GROUP < listed && cells[k] < args.cells) {
                atomicOr(selected[cells[k] % WORDS], 1u << cells[k] / WORDS);
            }
        }
        cells = next;
    }
}

// ---- which cells are drawn ----------------------------------------------------------------------

// The first selected cell of the grids up to and with `last` over a part of a column and one of
// a row.
uint first_over(uint last, uint x, uint y)
{
    [[dont_unroll]] for (uint g = 0; g <= last; g++) {
        uint first = grids[g].first, stride = grids[g].cols;
        uint across = parts[x + g], down = parts[y + g];
        [[dont_unroll]] for (uint r = down & 0xffff; r < down >> 16; r++) {
            [[dont_unroll]] for (uint c = across & 0xffff; c < across >> 16; c++) {
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
    [[dont_unroll]] for (int y = y1 - step; y >= y0; y -= step * int(SHARES)) {
        [[dont_unroll]] for (int x = x1 - step; x >= x0; x -= step) {
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
    [[dont_unroll]] for (uint g = args.input_grids; g-- > 0;) {
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
    [[dont_unroll]] while (g > 0 && cell < grids[g].first) {
        g--;
    }
    return g;
}

// Words of the bitmaps are dealt out to the workgroups from `first_own` on: each counts and writes
// those of its own.
uint own_begin()
{
    return min((gl_WorkGroupID.x - args.first_own) * args.own_words, args.words);
}

uint own_end()
{
    uint end = min(own_begin() + args.own_words, args.words);
    return gl_WorkGroupID.x < args.first_own ? own_begin() : end;
}

// Columns and rows of a grid over the tile: no range begins or ends before the one in front of it.
uvec2 reach_begin(uint g)
{
    return uvec2(columns[g * TILE_X].cover, rows[g * TILE_Y].cover) & 0xffff;
}

uvec2 reach_size(uint g, uvec2 tile)
{
    uint x = columns[g * TILE_X + tile.x - 1].cover, y = rows[g * TILE_Y + tile.y - 1].cover;
    return (uvec2(x, y) >> 16) - reach_begin(g);
}

// For numbers of cells, without an integer division, which is dear everywhere.
uint divide(uint a, uint b)
{
    return uint((float(a) + 0.5) / float(b));
}

// Cells over the tile of so many segments, and the first time own ones.
void decide(uvec2 tile, bool is_first)
{
    uint first_own = 32 * own_begin(), end_own = 32 * own_end();
    uint n_own = is_first ? end_own - first_own : 0, n = n_own;
    [[dont_unroll]] for (uint g = 0; tile.y > 0 && g < args.n_grids; g++) {
        uvec2 size = reach_size(g, tile);
        n += size.x * size.y;
    }
    [[dont_unroll]] for (uint k = gl_LocalInvocationIndex; k < n * SHARES; k += GROUP) {
        uint i = k / SHARES, share = k % SHARES, g = 0, width;
        bool is_own = i < n_own;
        uvec2 begin = uvec2(0);
        if (is_own) {
            g = grid_of(first_own + i);
            i += first_own - grids[g].first;
            width = grids[g].cols;
        } else {
            uvec2 size = reach_size(0, tile);
            [[dont_unroll]] for (i -= n_own; i >= size.x * size.y; size = reach_size(g, tile)) {
                i -= size.x * size.y;
                g++;
            }
            begin = reach_begin(g);
            width = size.x;
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

// Segments of a tile; none behind the last one.
uvec2 tile_end(uint i)
{
    uvec2 tile = uvec2(i % args.tiles_x + 1, i / args.tiles_x + 1);
    return min(tile * uvec2(args.tile_x, args.tile_y), uvec2(args.n_x, args.n_y));
}

uvec2 tile_begin(uint i)
{
    uvec2 tile = uvec2(i % args.tiles_x, i / args.tiles_x);
    return min(tile * uvec2(args.tile_x, args.tile_y), tile_end(i));
}

void load_ranges(uvec2 begin, uvec2 end)
{
    const uint side = TILE_X + TILE_Y;
    const uint n_rows = args.n_grids + 1;
    [[dont_unroll]] for (uint i = gl_LocalInvocationIndex; i < side * n_rows; i += GROUP) {
        uint g = i / side, axis = i % side < TILE_X ? 0 : 1, at = i % side - axis * TILE_X;
        uint segment = begin[axis] + at, n = axis == 0 ? args.n_x : args.n_y;
        if (segment >= end[axis]) {
            continue;
        }
        segment_range range = ranges[(axis == 0 ? 0 : n_rows * args.n_x) + g * n + segment];
        if (axis == 0) {
            columns[g * TILE_X + at] = range;
        } else {
            rows[g * TILE_Y + at] = range;
        }
    }
}

bool is_inside(uint index, uint range)
{
    return index >= (range & 0xffff) && index < range >> 16;
}

// What the drawn cells of a grid make of a segment, without a colour; 0: none covers it. `cell`:
// the one of the largest column, then the largest row.
uint draw_grid(uint g, segment_range x, segment_range y, out uvec2 cell)
{
    uint first = grids[g].first, stride = grids[g].cols, word = 0;
    cell = uvec2(0);
    [[dont_unroll]] for (uint c = x.cover >> 16; c-- > (x.cover & 0xffff);) {
        [[dont_unroll]] for (uint r = y.cover >> 16; r-- > (y.cover & 0xffff);) {
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
    [[dont_unroll]] for (uint g = args.n_grids; word == 0 && g-- > 0;) {
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
    const uint lengths_x = args.n_grids * TILE_X, lengths_y = args.n_grids * TILE_Y;
    uvec2 size = end - begin, step = gl_WorkGroupSize.xy;
    [[dont_unroll]] for (uint y = gl_LocalInvocationID.y; y < size.y; y += step.y) {
        [[dont_unroll]] for (uint x = gl_LocalInvocationID.x; x < size.x; x += step.x) {
            uint word = draw_segment(uvec2(x, y)), at = (begin.y + y) * args.n_x + begin.x + x;
            covered += word != 0 ? columns[lengths_x + x].cover * rows[lengths_y + y].cover : 0;
            segments[at] = args.keyframe != 0 ? word | SEGMENT_UPDATED : word;
        }
    }
    return covered;
}

// ---- results ------------------------------------------------------------------------------------

// Counts the own cells, and puts their words together: an invocation a cell.
void gather_words(uint first, uint end)
{
    [[dont_unroll]] for (uint i = gl_LocalInvocationIndex; i < 32 * (end - first); i += GROUP) {
        uint cell = 32 * first + i;
        if (GEOMETRY != PLAN_NATIVE && is_selected(cell)) {
            atomicOr(selected_words[i / 32], 1u << i % 32);
        }
        if (is_drawn(cell)) {
            uint row = divide(cell, args.target_cols), column = cell - row * args.target_cols;
            uint g = GEOMETRY == PLAN_EFFECTIVE ? contributor(column, row) : grid_of(cell);
            atomicOr(drawn_words[i / 32], 1u << i % 32);
            atomicAdd(per_grid[g], 1);
        }
    }
}

void write_words(uint first, uint end)
{
    [[dont_unroll]] for (uint i = gl_LocalInvocationIndex; i < end - first; i += GROUP) {
        uint word = GEOMETRY == PLAN_NATIVE ? drawn_words[i] : selected_words[i];
        selected_out[first + i] = word;
        kept_out[first + i] = drawn_words[i];
        selected_words[i] = drawn_words[i] = 0; // for the next ones
        if (word != 0) {
            atomicAdd(n_selected, bitCount(word));
        }
    }
}

void write_bitmaps()
{
    [[dont_unroll]] for (uint first = own_begin(); first < own_end(); first += CHUNK) {
        uint end = min(first + CHUNK, own_end());
        barrier();
        gather_words(first, end);
        barrier();
        write_words(first, end);
    }
    // Of larger layouts, before.
    uint at = args.words + gl_WorkGroupID.x * GROUP + gl_LocalInvocationIndex;
    [[dont_unroll]] for (uint w = at; w < WORDS; w += GROUP * gl_NumWorkGroups.x) {
        selected_out[w] = 0;
        kept_out[w] = 0;
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
        [[dont_unroll]] for (uint i = lane; i < PLAN_STATS_WORDS; i += GROUP) {
            next_stats[i] = 0;
        }
    }
}

void clear_shared()
{
    uint lane = gl_LocalInvocationIndex;
    [[dont_unroll]] for (uint i = lane; i < min(WORDS, 32 * args.words); i += GROUP) {
        selected[i] = 0;
        if (GEOMETRY != PLAN_NATIVE) {
            drawn[i] = 0;
        }
    }
    [[dont_unroll]] for (uint i = lane; i < CHUNK; i += GROUP) {
        selected_words[i] = drawn_words[i] = 0;
    }
    if (lane < SLOTS) {
        area[lane] = 0;
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
    // All that is known to be needed is asked for at once, and waited for behind the clearing.
    uint cells[BATCH];
    load_list(lane, cells);
    uint listed = min(count[args.count_at], args.max_cells);
    plan_grid grid = all_grids[lane % (2 * PLAN_MAX_GRIDS)];
    uint part_at = parts[lane % PLAN_PARTS_HEAD];
    clear_shared();
    // Who has words of its own but no tile goes round once for nothing.
    uint i = gl_WorkGroupID.x < args.tile_groups ? gl_WorkGroupID.x : args.n_tiles;
    uvec2 begin = tile_begin(i), end = tile_end(i);
    load_ranges(begin, end);
    if (lane < 2 * PLAN_MAX_GRIDS) {
        grids[lane] = grid;
        parts_at[lane] = part_at;
    }
    barrier();
    select_listed(listed, cells);
    barrier();
    bool is_first = true;
    do {
        if (!is_first) {
            begin = tile_begin(i);
            end = tile_end(i);
            barrier();
            load_ranges(begin, end);
            barrier();
        }
        if (GEOMETRY != PLAN_NATIVE) {
            decide(end - begin, is_first);
            barrier();
        }
        covered += draw_tile(begin, end);
        is_first = false;
        i += args.tile_groups;
    } while (i < args.n_tiles);
    if (covered != 0) {
        atomicAdd(area[lane % SLOTS], covered);
    }
    write_bitmaps();
    barrier();
    write_stats(listed);
}
