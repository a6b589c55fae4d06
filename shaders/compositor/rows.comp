// Mask panel of style scale-rows (S6.4): a row for each grid that has drawn cells, coarse to fine.
// Not in source space, so it asks the bitmap of drawn cells instead of the segments.
#version 450
#extension GL_GOOGLE_include_directive : require

#include "interface/compose_args.h"
#include "interface/plan_args.h"

layout(local_size_x_id = 0, local_size_y_id = 1, local_size_z = 1) in;

layout(push_constant, std430) uniform Push { rows_args args; };
layout(std430, set = 0, binding = 0) writeonly buffer Mask { uint mask[]; };
layout(std430, set = 0, binding = 1) readonly buffer Stats { plan_stats stats; };
layout(std430, set = 0, binding = 2) readonly buffer Grids { plan_grid grids[]; };
layout(std430, set = 0, binding = 3) readonly buffer Kept { uint kept[]; };
layout(std430, set = 0, binding = 4) readonly buffer Palettes { uint palettes[]; };

// Grid of row `row` among those that have cells.
uint grid_of_row(uint row)
{
    for (uint g = 0; g < args.n_grids; g++) {
        if (stats.per_grid[g] > 0 && row-- == 0) {
            return g;
        }
    }
    return 0;
}

uint count_rows()
{
    uint n = 0;
    for (uint g = 0; g < args.n_grids; g++) {
        n += stats.per_grid[g] > 0 ? 1 : 0;
    }
    return n;
}

// a * b > c * d in 64 bits.
bool greater_product(uint a, uint b, uint c, uint d)
{
    uint ab_high, ab_low, cd_high, cd_low;
    umulExtended(a, b, ab_high, ab_low);
    umulExtended(c, d, cd_high, cd_low);
    return ab_high > cd_high || (ab_high == cd_high && ab_low > cd_low);
}

// Whether cell `index` of `n` on an axis touches sample x of `extent` (S5.2, see ag_cell_span).
bool touches(uint index, uint n, uint x, uint extent)
{
    uint half_cell = min(args.cell_units, n * ROWS_CELL_UNIT);
    uint centre = (2 * index + 1) * ROWS_CELL_UNIT;
    uint whole = 2 * n * ROWS_CELL_UNIT;
    uint low = centre > half_cell ? centre - half_cell : 0;
    uint high = min(centre + half_cell, whole);
    return greater_product(x + 1, whole, low, extent) && greater_product(high, extent, x, whole);
}

// First or last sample that the cell touches.
bool is_end(uint index, uint n, uint x, uint extent)
{
    return x == 0 || x == extent - 1 || !touches(index, n, x - 1, extent) ||
           !touches(index, n, x + 1, extent);
}

// Cells that may touch sample x: a few more than do.
uvec2 candidates(uint n, uint x, uint extent)
{
    uint reach = args.cell_units / ROWS_CELL_UNIT + 2;
    uint low = x * n / extent, high = (x + 1) * n / extent;
    return uvec2(low > reach ? low - reach : 0, min(high + reach, n - 1));
}

// 0: nothing; 1: fill; 2: border.
uint drawn(plan_grid grid, uvec2 at, uvec2 extent)
{
    uint result = 0;
    uvec2 columns = candidates(grid.cols, at.x, extent.x);
    uvec2 rows = candidates(grid.rows, at.y, extent.y);
    for (uint r = rows.x; r <= rows.y; r++) {
        if (!touches(r, grid.rows, at.y, extent.y)) {
            continue;
        }
        bool row_end = is_end(r, grid.rows, at.y, extent.y);
        for (uint c = columns.x; c <= columns.y; c++) {
            uint cell = grid.first + r * grid.cols + c;
            if ((kept[cell >> 5] >> (cell & 31) & 1) != 0 &&
                touches(c, grid.cols, at.x, extent.x)) {
                result = 1;
                if (row_end || is_end(c, grid.cols, at.x, extent.x)) {
                    return 2;
                }
            }
        }
    }
    return result;
}

void main()
{
    uvec2 at = gl_GlobalInvocationID.xy;
    if (at.x >= args.width || at.y >= args.height) {
        return;
    }
    uint pixel = 0xff000000u, n = count_rows();
    if (n > 0) {
        // Row k holds the lines floor(k H/n) to ceil((k+1) H/n); of two the later one.
        uint k = ((at.y + 1) * n - 1) / args.height;
        uint top = k * args.height / n;
        uint height = ((k + 1) * args.height + n - 1) / n - top;
        uint rounded = (2 * height * args.width + args.height) / (2 * args.height);
        uint width = clamp(rounded, 1, args.width);
        uint left = (args.width - width) / 2;
        plan_grid grid = grids[grid_of_row(k)];
        if (at.x >= left && at.x - left < width) {
            uint what = drawn(grid, at - uvec2(left, top), uvec2(width, height));
            if (what > 0) {
                pixel = palettes[args.palette + grid.colour + 4 * (what - 1)];
            }
        }
    }
    mask[at.y * args.width + at.x] = pixel;
}
