#include "internal.h"

// Where panels and cards go. Cards flow into columns like a newspaper; the pictures get the rest.

struct block_size {
    enum ag_block_kind kind;
    uint8_t columns, rows; // of text
};
// Blocks in order of importance: the last ones are left out first.
static const struct {
    struct block_size blocks[AG_MAX_BLOCKS];
    uint32_t n;
} pages[AG_HUD_COUNT] = {
    [AG_HUD_COMPACT] = {
        { { AG_BLOCK_RATE, 18, 6 }, { AG_BLOCK_GAZE, 18, 6 }, { AG_BLOCK_PSNR, 18, 6 },
          { AG_BLOCK_COST, 20, 6 }, { AG_BLOCK_RUN, 40, 6 }, { AG_BLOCK_CONTROL, 26, 6 } }, 6 },
    [AG_HUD_STAGES] = {
        { { AG_BLOCK_TABLE, 58, AG_STAGE_COUNT + 2 }, { AG_BLOCK_NOW, 40, 7 },
          { AG_BLOCK_RUN, 40, 6 }, { AG_BLOCK_CONTROL, 26, 6 }, { AG_BLOCK_TOTALS, 38, 5 },
          { AG_BLOCK_GRAPH, 38, 9 } }, 6 },
    [AG_HUD_GAZE] = {
        { { AG_BLOCK_NOW, 40, 7 }, { AG_BLOCK_CONTROL, 26, 6 }, { AG_BLOCK_GRIDS, 44, 8 },
          { AG_BLOCK_LOSS, 54, 9 }, { AG_BLOCK_IDS, 54, 9 }, { AG_BLOCK_RUN, 40, 6 } }, 6 },
};

// ---- cards into columns ----------------------------------------------------------------------

struct packing {
    int32_t width, height;
    uint32_t n_columns;
    uint32_t column[AG_MAX_BLOCKS];      // of each block
    int32_t column_width[AG_MAX_BLOCKS];
};

static int32_t card_width(const struct ag_metrics *m, const struct block_size *b)
{
    return b->columns * m->cell + 2 * m->pad;
}

static int32_t card_height(const struct ag_metrics *m, const struct block_size *b)
{
    return b->rows * m->line + 2 * m->pad;
}

// Columns no higher than `limit`; false: a card alone is higher.
static bool pack(const struct ag_metrics *m, const struct block_size *blocks, uint32_t n,
                 int32_t limit, struct packing *out)
{
    *out = (struct packing){ .width = -m->gap };
    int32_t y = 0;
    for (uint32_t i = 0; i < n; i++) {
        int32_t width = card_width(m, &blocks[i]), height = card_height(m, &blocks[i]);
        if (height > limit) {
            return false;
        }
        bool first = out->n_columns == 0 || y + m->gap + height > limit;
        if (first) {
            out->n_columns++;
            y = 0;
        }
        uint32_t c = out->n_columns - 1;
        y += height + (first ? 0 : m->gap);
        out->column[i] = c;
        out->column_width[c] = AG_MAX(out->column_width[c], width);
        out->height = AG_MAX(out->height, y);
    }
    for (uint32_t c = 0; c < out->n_columns; c++) {
        out->width += out->column_width[c] + m->gap;
    }
    return true;
}

// The lowest packing that is no wider than `width`.
static bool pack_band(const struct ag_metrics *m, const struct block_size *blocks, uint32_t n,
                      int32_t width, int32_t max_height, struct packing *out)
{
    for (int32_t limit = 0; limit <= max_height; limit += m->line / 2) {
        if (pack(m, blocks, n, limit, out) && out->width <= width) {
            return true;
        }
    }
    return false;
}

// Cards of a column share its width, the last one reaches the foot; spare width is shared out.
static void place_cards(const struct ag_metrics *m, const struct block_size *blocks, uint32_t n,
                        const struct packing *p, const struct ag_rect *area,
                        struct ag_page_layout *out)
{
    int32_t spare = area->width - p->width;
    int32_t x = area->x;
    for (uint32_t c = 0, i = 0; c < p->n_columns; c++) {
        int32_t part = spare * (int32_t)(c + 1) / (int32_t)p->n_columns -
                       spare * (int32_t)c / (int32_t)p->n_columns;
        int32_t width = p->column_width[c] + part, y = area->y;
        for (; i < n && p->column[i] == c; i++) {
            bool last = i + 1 == n || p->column[i + 1] != c;
            int32_t height = last ? area->y + area->height - y : card_height(m, &blocks[i]);
            out->blocks[i] = (struct ag_block){ blocks[i].kind, { x, y, width, height } };
            y += height + m->gap;
        }
        x += width + m->gap;
    }
    out->n_blocks = n;
}

// ---- pictures --------------------------------------------------------------------------------

// What a layout shows, in reading order, and in how many columns at most.
static const struct {
    uint32_t n, columns;
    bool stacks;             // one above the other, where that gives larger pictures
    enum ag_content content[AG_PANELS];
} layouts[AG_VIEW_LAYOUTS] = {
    [AG_VIEW_PANELS] = { 3, 3, true, { AG_CONTENT_INPUT, AG_CONTENT_MASK, AG_CONTENT_OUTPUT } },
    [AG_VIEW_INPUT] = { 1, 1, false, { AG_CONTENT_INPUT } },
    [AG_VIEW_MASK] = { 1, 1, false, { AG_CONTENT_MASK } },
    [AG_VIEW_OUTPUT] = { 1, 1, false, { AG_CONTENT_OUTPUT } },
    [AG_VIEW_DIFFERENCE] = { 1, 1, false, { AG_CONTENT_DIFFERENCE } },
    [AG_VIEW_GRID] = { 4, 2, false, { AG_CONTENT_INPUT, AG_CONTENT_MASK, AG_CONTENT_OUTPUT,
                                      AG_CONTENT_DIFFERENCE } },
    [AG_VIEW_WIPE] = { 1, 1, false, { AG_CONTENT_WIPE } },
};

struct arrangement {
    double scale;            // target pixels a picture pixel (of its height); 0: no room
    int32_t columns, rows;
    struct ag_rect area;     // for the pictures
    struct ag_rect hud;
    struct packing packing;
};

static double display_width(const struct ag_shape *s)
{
    return (double)s->width * (s->sar_num ? s->sar_num : 1) / (s->sar_den ? s->sar_den : 1);
}

static double fit(const struct ag_metrics *m, const struct ag_shape *s,
                  const struct arrangement *a)
{
    double width = (a->area.width - (a->columns + 1) * m->gap) / (double)a->columns;
    double height = (a->area.height - a->rows * m->gap) / (double)a->rows - m->line;
    double scale = AG_MIN(width / display_width(s), height / s->height);
    // Just over the picture's own size its own size is crisper.
    return scale >= 1 && scale < 1.25 ? 1 : AG_MAX(scale, 0);
}

static void consider(struct arrangement *best, struct arrangement a, double handicap)
{
    if (a.scale > best->scale * handicap) {
        *best = a;
    }
}

// Pictures in rows or stacked, cards below or beside them: what leaves the largest pictures.
static struct arrangement arrange(const struct ag_metrics *m, const struct ag_shape *s,
                                  enum ag_view_layout pictures, const struct block_size *blocks,
                                  uint32_t n, const struct ag_rect *inner)
{
    struct arrangement best = { 0 };
    for (int stacked = 0; stacked <= layouts[pictures].stacks; stacked++) {
        struct arrangement a = { .area = *inner };
        a.columns = stacked ? 1 : (int32_t)layouts[pictures].columns;
        a.rows = (int32_t)layouts[pictures].n / a.columns;
        if (n == 0) {
            a.scale = fit(m, s, &a);
            consider(&best, a, 1.05);
            continue;
        }
        int32_t width = inner->width - 2 * m->gap, height = inner->height - m->gap;
        if (pack_band(m, blocks, n, width, height, &a.packing)) {
            a.area.height = inner->height - a.packing.height - m->gap;
            a.hud = (struct ag_rect){ inner->x + m->gap, inner->y + a.area.height, width,
                                      a.packing.height };
            a.scale = fit(m, s, &a);
            consider(&best, a, 1.05);
        }
        a.area = *inner;
        if (pack(m, blocks, n, height - m->gap, &a.packing)) {
            a.area.width = inner->width - a.packing.width - m->gap;
            a.hud = (struct ag_rect){ inner->x + a.area.width,
                                      inner->y + (inner->height - a.packing.height) / 2,
                                      a.packing.width, a.packing.height };
            a.scale = fit(m, s, &a);
            consider(&best, a, 1.05);
        }
    }
    return best;
}

static void place_panels(const struct ag_metrics *m, const struct ag_shape *s,
                         enum ag_view_layout pictures, const struct arrangement *a,
                         struct ag_view *out)
{
    int32_t w = (int32_t)AG_MAX(display_width(s) * a->scale + 0.001, 1);
    int32_t h = (int32_t)AG_MAX(s->height * a->scale + 0.001, 1);
    int32_t all_w = a->columns * w + (a->columns - 1) * m->gap;
    int32_t all_h = a->rows * (m->line + h) + (a->rows - 1) * m->gap;
    int32_t left = a->area.x + (a->area.width - all_w) / 2;
    int32_t top = a->area.y + AG_MAX((a->area.height - all_h) / 2, 0);
    out->n_panels = layouts[pictures].n;
    for (uint32_t i = 0; i < out->n_panels; i++) {
        int32_t x = left + (int32_t)i % a->columns * (w + m->gap);
        int32_t y = top + (int32_t)i / a->columns * (m->line + h + m->gap);
        out->content[i] = layouts[pictures].content[i];
        out->label[i] = (struct ag_rect){ x, y, w, m->line };
        out->panel[i] = (struct ag_rect){ x, y + m->line, w, h };
    }
}

void ag_view_bare(const struct ag_shape *picture, enum ag_view_layout pictures, uint32_t max_side,
                  struct ag_view *out)
{
    struct ag_metrics none = { .cell = 1 };
    struct arrangement a = { .scale = 1, .columns = (int32_t)layouts[pictures].columns };
    a.rows = (int32_t)layouts[pictures].n / a.columns;
    double width = a.columns * display_width(picture), height = (double)a.rows * picture->height;
    a.scale = AG_MIN(1, max_side / AG_MAX(width, height));
    // Each picture for itself is whole pixels large, and so is the sum of them.
    a.area.width = a.columns * (int32_t)AG_MAX(display_width(picture) * a.scale + 0.001, 1);
    a.area.height = a.rows * (int32_t)AG_MAX(picture->height * a.scale + 0.001, 1);
    *out = (struct ag_view){
        .width = (uint32_t)a.area.width, .height = (uint32_t)a.area.height
    };
    place_panels(&none, picture, pictures, &a, out);
}

// How many of a page's cards: as many as leave a picture most of its size, three of them half of
// theirs; and if that is none because pictures alone fill the window, the first card all the same.
static uint32_t cards_shown(enum ag_hud_page page, const struct ag_metrics *m,
                            const struct ag_shape *shape, enum ag_view_layout pictures,
                            const struct ag_rect *inner, double bare_scale, struct arrangement *out)
{
    uint32_t n = pages[page].n;
    for (; n > 0; n--) {
        struct arrangement a = arrange(m, shape, pictures, pages[page].blocks, n, inner);
        bool three = pictures == AG_VIEW_PANELS;
        double least = n > 1 ? (three ? 0.5 : 0.7) : (three ? 0.4 : 0.3);
        if (a.scale >= least * bare_scale) {
            *out = a;
            break;
        }
    }
    return n;
}

void ag_page_place(enum ag_hud_page page, const struct ag_metrics *m, uint32_t width,
                   uint32_t height, const struct ag_shape *picture, enum ag_view_layout pictures,
                   struct ag_page_layout *out)
{
    struct ag_shape shape = *picture;
    shape.width = shape.width ? shape.width : 1280;
    shape.height = shape.height ? shape.height : 720;
    *out = (struct ag_page_layout){ .view = { .width = width, .height = height } };
    struct ag_view *view = &out->view;
    int32_t w = (int32_t)width, h = (int32_t)height, foot = m->line + m->gap;
    if (h >= 4 * foot && w >= 24 * m->cell) {
        view->status = (struct ag_rect){ m->gap, h - foot, w - 2 * m->gap, foot };
        h -= foot;
    }
    struct ag_rect inner = { 0, 0, w, h };
    struct arrangement bare = arrange(m, &shape, pictures, NULL, 0, &inner), a = bare;
    if (bare.scale <= 0) { // too small for labels: the pictures alone
        struct ag_metrics none = { .cell = 1 };
        bare = arrange(&none, &shape, pictures, NULL, 0, &inner);
        place_panels(&none, &shape, pictures, &bare, view);
        return;
    }
    uint32_t n = cards_shown(page, m, &shape, pictures, &inner, bare.scale, &a);
    if (n > 0) {
        view->hud = a.hud;
        place_cards(m, pages[page].blocks, n, &a.packing, &a.hud, out);
    }
    place_panels(m, &shape, pictures, &a, view);
}
