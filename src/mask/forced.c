#include "autogaze/mask_source.h"

#include <stdlib.h>
#include <string.h>

// Named masks (S9.4) for tests, benches and --force-mask.

#define MODEL_SIDES { 2, 4, 7, 14 }

enum shape {
    SHAPE_LISTED,       // the cells of the table
    SHAPE_CHECKERBOARD, // (r + c) even
    SHAPE_ALL,
    SHAPE_RANDOM,       // a share of the cells, new ones for every frame
};

struct listed {
    uint32_t side, row, column;
};

// `parameter`: the name ends in a number, a side (checkerboard) or a percentage (random).
static const struct forced_case {
    const char *name;
    enum shape shape;
    uint32_t sides[AG_MAX_GRIDS]; // 0 ends the list
    uint32_t n_listed;
    struct listed listed[4];
    bool parameter;
} cases[] = {
    { "tiny-sparse", SHAPE_LISTED, { 64 }, 1, { { 64, 0, 0 } } },
    { "multiscale", SHAPE_LISTED, MODEL_SIDES, 4,
      { { 2, 0, 0 }, { 4, 0, 2 }, { 7, 5, 3 }, { 14, 8, 11 } } },
    { "coarse-dense", SHAPE_LISTED, MODEL_SIDES, 1, { { 2, 0, 0 } } },
    { "checkerboard-", SHAPE_CHECKERBOARD, { 0 }, .parameter = true },
    { "dense-grid-64", SHAPE_ALL, { 64 } },
    { "dense-grid-196", SHAPE_ALL, { 14 } },
    { "redundant-full-frame", SHAPE_ALL, { 2, 4, 7, 14, 28 } },
    { "empty", SHAPE_LISTED, MODEL_SIDES },
    // One cell of each scale, all over the point (0.3, 0.3).
    { "overlap", SHAPE_LISTED, MODEL_SIDES, 4,
      { { 2, 0, 0 }, { 4, 1, 1 }, { 7, 2, 2 }, { 14, 4, 4 } } },
    { "all-model-tokens", SHAPE_ALL, MODEL_SIDES },
    { "random-", SHAPE_RANDOM, { 14 }, .parameter = true },
    { "full-frame", SHAPE_ALL, { 1 } },
};

#define MAX_SIDE 255

// The number behind a case's name, at most `max`; UINT32_MAX when there is none.
static uint32_t parse_parameter(const struct forced_case *c, const char *name)
{
    uint32_t max = c->shape == SHAPE_RANDOM ? 100 : MAX_SIDE, value = 0;
    const char *digit = name + strlen(c->name);
    const char *at = digit;
    for (; *at >= '0' && *at <= '9' && value <= max; at++) {
        value = value * 10 + (uint32_t)(*at - '0');
    }
    bool percent = c->shape == SHAPE_RANDOM && strcmp(at, "%") == 0;
    bool whole = at > digit && (*at == '\0' || percent);
    bool too_small = c->shape == SHAPE_CHECKERBOARD && value == 0;
    return whole && value <= max && !too_small ? value : UINT32_MAX;
}

static const struct forced_case *find_case(const char *name, uint32_t *parameter)
{
    for (size_t i = 0; i < AG_COUNT(cases); i++) {
        const struct forced_case *c = &cases[i];
        *parameter = 0;
        if (!c->parameter) {
            if (strcmp(name, c->name) == 0) {
                return c;
            }
        } else if (strncmp(name, c->name, strlen(c->name)) == 0) {
            *parameter = parse_parameter(c, name);
            return *parameter == UINT32_MAX ? NULL : c;
        }
    }
    return NULL;
}

static void list_cells(struct ag_forced *f, const struct forced_case *c)
{
    for (uint32_t i = 0; i < c->n_listed; i++) {
        const struct listed *cell = &c->listed[i];
        for (uint32_t g = 0; g < f->layout.n_grids; g++) {
            const struct ag_grid *grid = &f->layout.grid[g];
            if (grid->cols == cell->side) {
                f->cells[f->n++] = grid->first + cell->row * cell->side + cell->column;
            }
        }
    }
}

static void list_grid(struct ag_forced *f, bool checkerboard)
{
    for (uint32_t i = 0; i < f->layout.cells; i++) {
        struct ag_cell cell = ag_layout_cell(&f->layout, i);
        if (!checkerboard || (cell.row + cell.column) % 2 == 0) {
            f->cells[f->n++] = i;
        }
    }
}

// PCG32 (XSH RR) of O'Neill with its default increment.
struct pcg32 {
    uint64_t state;
};

static uint32_t pcg32_next(struct pcg32 *rng)
{
    uint64_t old = rng->state;
    rng->state = old * 6364136223846793005u + 1442695040888963407u;
    uint32_t shifted = (uint32_t)(((old >> 18) ^ old) >> 27);
    uint32_t turn = (uint32_t)(old >> 59);
    return shifted >> turn | shifted << ((0u - turn) & 31);
}

static struct pcg32 pcg32_seed(uint64_t seed)
{
    struct pcg32 rng = { 0 };
    pcg32_next(&rng);
    rng.state += seed;
    pcg32_next(&rng);
    return rng;
}

// The first n of a shuffled deck. The deck is the list itself.
static void shuffle_cells(struct ag_forced *f, uint32_t n, uint64_t seed)
{
    struct pcg32 rng = pcg32_seed(seed);
    uint32_t cells = f->layout.cells;
    for (uint32_t i = 0; i < cells; i++) {
        f->cells[i] = i;
    }
    for (uint32_t i = 0; i < n; i++) {
        uint32_t at = i + pcg32_next(&rng) % (cells - i);
        uint32_t cell = f->cells[at];
        f->cells[at] = f->cells[i];
        f->cells[i] = cell;
    }
    f->n = n;
}

bool ag_forced_open(const char *name, struct ag_forced *out, struct ag_error *err)
{
    *out = (struct ag_forced){ 0 };
    uint32_t parameter;
    const struct forced_case *c = find_case(name, &parameter);
    if (!c) {
        return ag_fail(err, AG_ERR_USAGE,
                       "no forced mask '%s'; there are tiny-sparse, multiscale, coarse-dense, "
                       "checkerboard-N (N 1 to %d), dense-grid-64, dense-grid-196, "
                       "redundant-full-frame, empty, overlap, all-model-tokens, random-P%% "
                       "(P 0 to 100) and full-frame", name, MAX_SIDE);
    }
    uint32_t n = 0;
    while (n < AG_MAX_GRIDS && c->sides[n]) {
        n++;
    }
    if (c->shape == SHAPE_CHECKERBOARD) {
        ag_layout_from_sides(&parameter, 1, &out->layout);
    } else {
        ag_layout_from_sides(c->sides, n, &out->layout);
    }
    out->max = out->layout.cells;
    out->cells = ag_alloc(out->max * sizeof(*out->cells));
    out->changes = c->shape == SHAPE_RANDOM;
    switch (c->shape) {
    case SHAPE_LISTED:
        list_cells(out, c);
        break;
    case SHAPE_CHECKERBOARD:
    case SHAPE_ALL:
        list_grid(out, c->shape == SHAPE_CHECKERBOARD);
        break;
    case SHAPE_RANDOM:
        ag_forced_update(out, name, 0);
        break;
    }
    return true;
}

void ag_forced_update(struct ag_forced *f, const char *name, uint64_t frame_id)
{
    uint32_t percent;
    const struct forced_case *c = find_case(name, &percent);
    if (c && c->shape == SHAPE_RANDOM) {
        shuffle_cells(f, (percent * f->layout.cells + 50) / 100, frame_id);
    }
}

void ag_forced_close(struct ag_forced *f)
{
    ag_free(f->cells);
    *f = (struct ag_forced){ 0 };
}
