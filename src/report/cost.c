#include "autogaze/report.h"

#include <math.h>

// A transformer layer of width w over n tokens: 12 w^2 multiply-adds a token in its linear layers
// (4 w^2 attention, 8 w^2 MLP) and 2 n w a token in scores and sums; 2 FLOP a multiply-add.
double ag_vit_gflop(double n)
{
    const double layers = 12, w = 768;
    return layers * (24 * n * w * w + 4 * n * n * w) / 1e9;
}

struct ag_cost ag_cost_of(double tokens, const struct ag_layout *layout)
{
    struct ag_cost c = { .tokens = tokens };
    for (uint32_t g = 0; g < layout->n_grids; g++) {
        uint32_t cells = layout->grid[g].cols * layout->grid[g].rows;
        c.dense += cells;
        c.finest = AG_MAX(c.finest, cells);
    }
    c.reduction = tokens > 0 ? c.finest / tokens : INFINITY;
    // Every tile is a picture of its own to an encoder; tokens are shared out evenly.
    double tiles = ag_layout_tiles(layout);
    c.encoder_gflop_saved =
        tiles * (ag_vit_gflop(c.finest / tiles) - ag_vit_gflop(tokens / tiles));
    return c;
}
