#include "gaze_set.h"

#include <assert.h>
#include <string.h>

// Each tile's arrays behind those of the tile before.
static struct ag_gaze join(struct gaze_set *s)
{
    struct ag_gaze all = { .ids = s->ids, .losses = s->losses };
    if (s->n) { // the same for all of them; there may be empty ones behind those of this mode
        all.frame_id = s->tile[0].frame_id;
        all.chunk_start = s->tile[0].chunk_start;
    }
    for (uint32_t t = 0; t < s->n; t++) {
        struct ag_gaze *g = &s->tile[t];
        g->ids = s->ids + all.slots;
        g->losses = s->losses + all.slots;
        all.slots += g->slots;
        all.rounds += g->rounds;
        all.valid += g->valid;
    }
    return all;
}

void gaze_set_reserve(struct gaze_set *s, uint32_t n, uint32_t cells)
{
    if (n <= s->n && cells <= s->cells) {
        return;
    }
    n = AG_MAX(n, s->n);
    cells = AG_MAX(cells, s->cells);
    size_t slots = (size_t)n * cells;
    s->ids = ag_realloc(s->ids, slots * sizeof(*s->ids));
    s->losses = ag_realloc(s->losses, slots * sizeof(*s->losses));
    s->tile = ag_realloc(s->tile, n * sizeof(*s->tile));
    memset(s->tile + s->n, 0, (n - s->n) * sizeof(*s->tile));
    s->n = n;
    s->cells = cells;
    join(s);
}

void gaze_set_free(struct gaze_set *s)
{
    ag_free(s->ids);
    ag_free(s->losses);
    ag_free(s->tile);
    *s = (struct gaze_set){ 0 };
}

void gaze_set_begin(struct gaze_set *s)
{
    for (uint32_t t = 0; t < s->n; t++) {
        s->tile[t] = (struct ag_gaze){ .ids = s->ids + (size_t)t * s->cells,
                                       .losses = s->losses + (size_t)t * s->cells };
    }
}

struct ag_gaze gaze_set_end(struct gaze_set *s)
{
    uint32_t slots = 0;
    for (uint32_t t = 0; t < s->n; t++) {
        struct ag_gaze *g = &s->tile[t];
        memmove(s->ids + slots, g->ids, g->slots * sizeof(*g->ids));
        memmove(s->losses + slots, g->losses, g->slots * sizeof(*g->losses));
        slots += g->slots;
    }
    return join(s);
}

struct ag_gaze gaze_set_copy(struct gaze_set *to, const struct gaze_set *from)
{
    size_t slots = 0;
    for (uint32_t t = 0; t < AG_MAX(to->n, from->n); t++) {
        struct ag_gaze g = t < from->n ? from->tile[t] : (struct ag_gaze){ 0 };
        assert(t < to->n || g.slots == 0); // left over from a mode with more tiles
        if (t < to->n) {
            to->tile[t] = g;
        }
        slots += g.slots;
    }
    memcpy(to->ids, from->ids, slots * sizeof(*to->ids));
    memcpy(to->losses, from->losses, slots * sizeof(*to->losses));
    return join(to);
}
