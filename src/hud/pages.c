#include "internal.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

// What the cards say. Everything is formatted here, a few times a second, into items that are drawn
// every frame as they are.

// ---- writing into a card ---------------------------------------------------------------------

struct pen {
    const struct ag_hud_copy *data;
    struct ag_items *items;
    float x, y;            // of the card's text area
    float width, height;
    float cell, line;
};

static struct ag_item *add(struct ag_items *items, enum ag_item_kind kind, float x, float y,
                           uint32_t color)
{
    struct ag_item *item = &items->list[items->n];
    items->n += items->n < AG_MAX_ITEMS;
    item->kind = (uint8_t)kind;
    item->font = AG_FONT_BODY;
    item->length = 0;
    item->color = color;
    item->x = x;
    item->y = y;
    item->width = item->height = 0;
    return item;
}

static void fill(struct pen *p, float x, float y, float width, float height, uint32_t color)
{
    struct ag_item *item = add(p->items, AG_ITEM_FILL, p->x + x, p->y + y, color);
    item->width = width;
    item->height = height;
}

static struct ag_item *put(struct ag_items *items, float x, float y, uint32_t color,
                           const char *text, size_t length)
{
    struct ag_item *item = add(items, AG_ITEM_TEXT, x, y, color);
    item->length = (uint16_t)AG_MIN(length, AG_ITEM_CHARS);
    memcpy(item->text, text, item->length);
    return item;
}

// Text at a column and row of the card, cut at its right edge.
static void text(struct pen *p, float column, float row, uint32_t color, const char *s)
{
    size_t room = (size_t)AG_MAX((p->width + 0.5f) / p->cell - column, 0);
    bool cut;
    size_t bytes = ag_text_prefix(s, room, &cut);
    float x = p->x + column * p->cell, y = p->y + row * p->line;
    if (!cut) {
        put(p->items, x, y, color, s, bytes);
        return;
    }
    if (room > 0) {
        bytes = ag_text_prefix(s, room - 1, &cut);
        put(p->items, x, y, color, s, bytes);
        put(p->items, x + (float)(room - 1) * p->cell, y, color, "…", strlen("…"));
    }
}

static void textf(struct pen *p, float column, float row, uint32_t color, const char *fmt, ...)
    AG_PRINTF(5, 6);
static void textf(struct pen *p, float column, float row, uint32_t color, const char *fmt, ...)
{
    char s[AG_ITEM_CHARS];
    va_list args;
    va_start(args, fmt);
    vsnprintf(s, sizeof(s), fmt, args);
    va_end(args);
    text(p, column, row, color, s);
}

static void text_right(struct pen *p, float row, uint32_t color, const char *s)
{
    float columns = floorf((p->width + 0.5f) / p->cell);
    text(p, AG_MAX(columns - (float)ag_text_columns(s), 0), row, color, s);
}

static void title(struct pen *p, const char *s)
{
    text(p, 0, 0, AG_COLOR_LABEL, s);
}

// Zeros that only keep the width are shown faintly.
static size_t leading_zeros(const char *s)
{
    size_t n = 0;
    while (s[n] == '0' && s[n + 1] >= '0' && s[n + 1] <= '9') {
        n++;
    }
    return n;
}

static void number_in(struct pen *p, enum ag_ui_font font, float advance, float x, float y,
                      uint32_t color, const char *s)
{
    size_t zeros = leading_zeros(s), length = strlen(s);
    color = s[0] == '-' ? AG_COLOR_FAINT : color;
    if (zeros) {
        put(p->items, x, y, AG_COLOR_FAINT, s, zeros)->font = (uint8_t)font;
    }
    put(p->items, x + (float)zeros * advance, y, color, s + zeros, length - zeros)->font =
        (uint8_t)font;
}

static void number(struct pen *p, float column, float row, uint32_t color, const char *s)
{
    number_in(p, AG_FONT_BODY, p->cell, p->x + column * p->cell, p->y + row * p->line, color, s);
}

static void counter(struct pen *p, float column, float row, uint32_t color, uint64_t v, int digits)
{
    char s[24];
    snprintf(s, sizeof(s), "%0*" PRIu64, digits, v);
    number(p, column, row, color, s);
}

static void count(struct pen *p, float left, float column, float row, const char *label, double v)
{
    text(p, left, row, AG_COLOR_LABEL, label);
    if (isfinite(v)) {
        counter(p, column, row, AG_COLOR_TEXT, (uint64_t)v, 3);
    } else {
        text(p, column, row, AG_COLOR_FAINT, "---");
    }
}

// "label  012.3 unit"; the number at `column`.
static void value(struct pen *p, float left, float column, float row, const char *label,
                  const char *unit, double v, uint32_t color)
{
    char s[AG_NUMBER_CHARS];
    ag_format_number(s, v);
    text(p, left, row, AG_COLOR_LABEL, label);
    number(p, column, row, color, s);
    text(p, column + 6, row, AG_COLOR_FAINT, unit);
}

// The number a card is about, two rows high.
static void headline(struct pen *p, double v, const char *unit, uint32_t color)
{
    char s[AG_NUMBER_CHARS];
    ag_format_number(s, v);
    float big = p->items->m.big_cell, y = p->y + p->line + 0.1f * p->line;
    number_in(p, AG_FONT_BIG, big, p->x, y, color, s);
    put(p->items, p->x + 5.4f * big, y + (float)(p->items->m.big_height - p->items->m.height),
        AG_COLOR_LABEL, unit, strlen(unit));
}

// ---- numbers, unknown where there are none ---------------------------------------------------

static double seen(const struct pen *p, const struct ag_average *a, double v)
{
    return p->data->has_stats && (a->samples || a->infinite) ? v : NAN;
}

static double last(const struct pen *p, const struct ag_average *a)
{
    return seen(p, a, a->last);
}

static double ema(const struct pen *p, const struct ag_average *a)
{
    return p->data->has_stats && a->samples ? a->ema : NAN;
}

static double latency_ms(const struct pen *p)
{
    const struct ag_series_stats *t = &p->data->stats.timing.total[AG_TOTAL_LATENCY];
    return p->data->has_stats && t->samples ? t->p50 : NAN;
}

// "+024" behind the tokens: cells that repair added; when it would have added more, as a warning.
static void repaired(struct pen *p, float column, float row)
{
    const struct ag_frame_report *r = &p->data->report;
    if (p->data->has_report && r->repair) {
        textf(p, column, row, r->repair_limited ? AG_COLOR_WARN : AG_COLOR_TEXT, "+%03u",
              r->plan.repaired);
    }
}

// Context `frames`: the model has begun a new chunk since the last update, hence the pulse.
static void chunk(struct pen *p, float column, float row)
{
    if (p->data->chunk_started) {
        text(p, column, row, AG_COLOR_GOLD, "chunk");
    }
}

// ---- cards of the compact page ---------------------------------------------------------------

static void draw_rate(struct pen *p)
{
    const struct ag_hud_copy *d = p->data;
    title(p, "RENDER");
    headline(p, d->d.render_fps, "fps", AG_COLOR_GOLD);
    value(p, 0, 9, 3, "mask", "fps", d->d.mask_fps, AG_COLOR_GOLD);
    value(p, 0, 9, 4, "latency", "ms", latency_ms(p), AG_COLOR_TEXT);
    value(p, 0, 9, 5, "mask age", "ms", last(p, &d->stats.mask_age_ms), AG_COLOR_TEXT);
}

static void draw_gaze(struct pen *p)
{
    const struct ag_stats_snapshot *s = &p->data->stats;
    title(p, "GAZE");
    headline(p, 100 * last(p, &s->gaze_ratio), "%", AG_COLOR_BLUE);
    value(p, 0, 9, 3, "ema", "%", 100 * ema(p, &s->gaze_ratio), AG_COLOR_BLUE);
    count(p, 0, 9, 4, "tokens", last(p, &s->tokens));
    repaired(p, 13, 4);
    count(p, 0, 9, 5, "rounds", last(p, &s->rounds));
    chunk(p, 13, 5);
}

static void draw_psnr(struct pen *p)
{
    const struct ag_stats_snapshot *s = &p->data->stats;
    title(p, "PSNR ON SCREEN");
    headline(p, last(p, &s->psnr), "dB", AG_COLOR_GREEN);
    value(p, 0, 9, 3, "ema", "dB", ema(p, &s->psnr), AG_COLOR_GREEN);
    value(p, 0, 9, 4, "model", "dB", last(p, &s->model_psnr), AG_COLOR_GREEN);
    value(p, 0, 9, 5, "its ema", "dB", ema(p, &s->model_psnr), AG_COLOR_GREEN);
}

static void draw_cost(struct pen *p)
{
    const struct ag_stats_snapshot *s = &p->data->stats;
    bool known = p->data->has_stats && s->tokens.samples;
    title(p, "FEWER TOKENS");
    headline(p, known ? s->cost_last.reduction : NAN, "x", AG_COLOR_TEXT);
    value(p, 0, 9, 3, "ema", "x", known ? s->cost_ema.reduction : NAN, AG_COLOR_TEXT);
    value(p, 0, 9, 4, "saved", "GFLOP", known ? s->cost_last.encoder_gflop_saved : NAN,
          AG_COLOR_TEXT);
    text(p, 0, 5, AG_COLOR_LABEL, "dense");
    if (known) {
        textf(p, 9, 5, AG_COLOR_TEXT, "%u", s->cost_last.dense);
        textf(p, 15, 5, AG_COLOR_FAINT, "(%u)", s->cost_last.finest);
    }
}

static void draw_run(struct pen *p)
{
    const struct ag_hud_copy *d = p->data;
    const struct ag_run_info *r = &d->run;
    title(p, "RUN");
    static const char *const labels[] = { "model", "back end", "device", "source", "dropped" };
    for (uint32_t i = 0; i < AG_COUNT(labels); i++) {
        text(p, 0, 1 + (float)i, AG_COLOR_LABEL, labels[i]);
    }
    if (!d->has_run) {
        return;
    }
    char tiles[48] = "", memory[32] = "";
    if (r->tiles > 1) {
        snprintf(tiles, sizeof(tiles), " · %ux%u tiles", r->tile_cols, r->tile_rows);
    }
    if (r->model_bytes) {
        snprintf(memory, sizeof(memory), " · %.0f MiB", (double)r->model_bytes / 1048576);
    }
    textf(p, 9, 1, AG_COLOR_TEXT, "%s%s%s%s", r->model, r->context[0] ? " · " : "", r->context,
          tiles);
    textf(p, 9, 2, AG_COLOR_TEXT, "%s%s%s%s%s%s", r->backend, r->precision[0] ? " · " : "",
          r->precision, r->latency[0] ? " · " : "", r->latency, memory);
    if (r->gpu.software) {
        text(p, 9, 3, AG_COLOR_WARN, "software");
        text(p, 18, 3, AG_COLOR_WARN, r->gpu.name);
    } else {
        text(p, 9, 3, AG_COLOR_TEXT, r->gpu.name);
    }
    text(p, 9, 4, AG_COLOR_TEXT, r->source.description);
    uint64_t stale = r->stale_results;
    counter(p, 9, 5, r->dropped ? AG_COLOR_WARN : AG_COLOR_TEXT, r->dropped, 4);
    text(p, 15, 5, AG_COLOR_LABEL, "stale");
    counter(p, 21, 5, stale ? AG_COLOR_WARN : AG_COLOR_TEXT, stale, 4);
    text(p, 27, 5, AG_COLOR_LABEL, "twice");
    counter(p, 33, 5, r->duplicates ? AG_COLOR_WARN : AG_COLOR_TEXT, r->duplicates, 4);
}

static void widget(struct pen *p, enum ag_item_kind kind, float column, float row, float columns,
                   float rows, const char *s)
{
    struct ag_item *item = add(p->items, kind, p->x + column * p->cell, p->y + row * p->line,
                               kind == AG_ITEM_SLIDER ? AG_COLOR_GOLD : AG_COLOR_BLUE);
    item->width = columns * p->cell;
    item->height = rows * p->line;
    bool cut;
    item->length = (uint16_t)AG_MIN(ag_text_prefix(s, (size_t)columns, &cut), AG_ITEM_CHARS);
    memcpy(item->text, s, item->length);
}

static void draw_control(struct pen *p)
{
    const struct ag_hud_copy *d = p->data;
    float columns = floorf((p->width + 0.5f) / p->cell);
    title(p, "QUALITY");
    if (d->d.has_quality) {
        char shown[AG_QUALITY_CHARS];
        ag_format_quality(shown, d->d.quality, d->d.quality_db, d->d.quality_off);
        text_right(p, 0, AG_COLOR_FAINT, "[ ]");
        widget(p, AG_ITEM_SLIDER, 0, 1.15f, AG_MAX(columns - 10, 4), 1.1f, "quality");
        text_right(p, 1.2f, AG_COLOR_GOLD, shown);
    } else {
        text(p, 0, 1.2f, AG_COLOR_FAINT, "nothing to adjust");
    }
    text(p, 0, 3, AG_COLOR_LABEL, "MASK SOURCE");
    if (d->has_run && d->d.can_switch_source) {
        text_right(p, 3, AG_COLOR_FAINT, "S");
        widget(p, AG_ITEM_BUTTON, 0, 4.2f, columns, 1.5f, d->run.mask_source);
    } else if (d->has_run) {
        text(p, 0, 4.2f, AG_COLOR_TEXT, d->run.mask_source);
    }
}

// ---- cards of the stages page ----------------------------------------------------------------

static void draw_now(struct pen *p)
{
    const struct ag_hud_copy *d = p->data;
    const struct ag_stats_snapshot *s = &d->stats;
    bool known = d->has_stats && s->tokens.samples;
    title(p, "NOW");
    value(p, 0, 8, 1, "render", "fps", d->d.render_fps, AG_COLOR_GOLD);
    value(p, 22, 28, 1, "mask", "fps", d->d.mask_fps, AG_COLOR_GOLD);
    value(p, 0, 8, 2, "gaze", "%", 100 * last(p, &s->gaze_ratio), AG_COLOR_BLUE);
    value(p, 22, 28, 2, "ema", "%", 100 * ema(p, &s->gaze_ratio), AG_COLOR_BLUE);
    value(p, 0, 8, 3, "screen", "dB", last(p, &s->psnr), AG_COLOR_GREEN);
    value(p, 22, 28, 3, "ema", "dB", ema(p, &s->psnr), AG_COLOR_GREEN);
    value(p, 0, 8, 4, "model", "dB", last(p, &s->model_psnr), AG_COLOR_GREEN);
    value(p, 22, 28, 4, "ema", "dB", ema(p, &s->model_psnr), AG_COLOR_GREEN);
    count(p, 0, 8, 5, "tokens", last(p, &s->tokens));
    repaired(p, 12, 5);
    value(p, 22, 28, 5, "fewer", "x", known ? s->cost_last.reduction : NAN, AG_COLOR_TEXT);
    count(p, 0, 8, 6, "rounds", last(p, &s->rounds));
    chunk(p, 12, 6);
    value(p, 22, 28, 6, "age", "ms", last(p, &s->mask_age_ms), AG_COLOR_TEXT);
}

// Stages that run beside the frame or only wait have no share in it, as in the choice of the
// dominant stage (timing.h).
static bool has_share(int stage)
{
    return stage != AG_STAGE_GENERATE && stage != AG_STAGE_SOURCE && stage != AG_STAGE_RING &&
           stage != AG_STAGE_RECORD;
}

static double share_sum(const struct ag_timing_snapshot *t, enum ag_clock clock)
{
    double sum = 0;
    for (int i = 0; i < AG_STAGE_COUNT; i++) {
        sum += has_share(i) && t->stage[i][clock].samples ? t->stage[i][clock].p50 : 0;
    }
    return sum;
}

struct clock_column {
    enum ag_clock clock;
    float at;
    double sum;
    uint32_t color;
};

static void stage_cells(struct pen *p, int stage, float row, const struct clock_column *c)
{
    const struct ag_timing_snapshot *t = &p->data->stats.timing;
    const struct ag_series_stats *s = &t->stage[stage][c->clock];
    if (!p->data->has_stats || !s->samples) {
        text(p, c->at + 6, row, AG_COLOR_LINE, "·");
        return;
    }
    bool dominant = t->dominant_stage == stage && t->dominant_clock == c->clock;
    uint32_t color = dominant ? AG_COLOR_WARN : AG_COLOR_TEXT;
    bool shared = has_share(stage) && c->sum > 0;
    double share = shared ? s->p50 / c->sum : 0;
    if (shared) {
        fill(p, c->at * p->cell, (row + 0.06f) * p->line, (float)(share * 22) * p->cell,
             0.88f * p->line, AG_ALPHA(dominant ? AG_COLOR_WARN : c->color, 44));
    }
    char number_text[AG_NUMBER_CHARS];
    ag_format_ms(number_text, s->p50);
    text(p, c->at, row, color, number_text);
    ag_format_ms(number_text, s->p95);
    text(p, c->at + 9, row, color, number_text);
    if (shared) {
        textf(p, c->at + 18, row, color, "%3.0f%%", 100 * share);
    }
}

static void draw_table(struct pen *p)
{
    const struct ag_timing_snapshot *t = &p->data->stats.timing;
    struct clock_column columns[] = {
        { AG_CLOCK_GPU, 11, share_sum(t, AG_CLOCK_GPU), AG_COLOR_BLUE },
        { AG_CLOCK_CPU, 35, share_sum(t, AG_CLOCK_CPU), AG_COLOR_GOLD },
    };
    title(p, "STAGE");
    for (uint32_t c = 0; c < AG_COUNT(columns); c++) {
        text(p, columns[c].at, 0, columns[c].color,
             columns[c].clock == AG_CLOCK_GPU ? "GPU ms" : "CPU ms");
        text(p, columns[c].at, 1, AG_COLOR_FAINT, "    p50      p95     %");
    }
    for (int i = 0; i < AG_STAGE_COUNT; i++) {
        float row = 2 + (float)i;
        bool dominant = p->data->has_stats && t->dominant_stage == i;
        bool ran = p->data->has_stats &&
                   (t->stage[i][AG_CLOCK_GPU].samples || t->stage[i][AG_CLOCK_CPU].samples);
        if (dominant) {
            struct ag_item *mark = add(p->items, AG_ITEM_TRIANGLE, p->x - 0.8f * p->cell,
                                       p->y + (row + 0.25f) * p->line, AG_COLOR_WARN);
            mark->width = 0.6f * p->cell;
            mark->height = 0.5f * p->line;
        }
        text(p, 0, row, dominant ? AG_COLOR_WARN : ran ? AG_COLOR_TEXT : AG_COLOR_FAINT,
             ag_stage_name(i));
        for (uint32_t c = 0; c < AG_COUNT(columns); c++) {
            stage_cells(p, i, row, &columns[c]);
        }
    }
}

static void draw_totals(struct pen *p)
{
    static const struct {
        enum ag_total total;
        const char *name;
    } rows[] = {
        { AG_TOTAL_INTERVAL, "interval" }, { AG_TOTAL_LATENCY, "latency" }, { AG_TOTAL_GPU, "GPU" },
    };
    const struct ag_timing_snapshot *t = &p->data->stats.timing;
    title(p, "FRAME ms");
    text(p, 10, 0, AG_COLOR_FAINT, "    p50      p95      p99");
    for (uint32_t i = 0; i < AG_COUNT(rows); i++) {
        const struct ag_series_stats *s = &t->total[rows[i].total];
        bool known = p->data->has_stats && s->samples;
        const double v[] = { s->p50, s->p95, s->p99 };
        text(p, 0, 1 + (float)i, AG_COLOR_LABEL, rows[i].name);
        for (uint32_t k = 0; k < AG_COUNT(v); k++) {
            char ms[AG_NUMBER_CHARS];
            ag_format_ms(ms, known ? v[k] : NAN);
            text(p, 10 + 9 * (float)k, 1 + (float)i, known ? AG_COLOR_TEXT : AG_COLOR_FAINT, ms);
        }
    }
    textf(p, 0, 4, AG_COLOR_FAINT, "last %u frames",
          p->data->has_stats ? t->total[AG_TOTAL_INTERVAL].window : 0);
    text(p, 19, 4, AG_COLOR_LABEL, "upload");
    textf(p, 26, 4, AG_COLOR_TEXT, "%8llu B",
          (unsigned long long)(p->data->has_report ? p->data->report.bytes_uploaded : 0));
}

static float nice_above(float v)
{
    static const float steps[] = { 1, 2, 5 };
    for (float decade = 0.001f; decade < 1e6f; decade *= 10) {
        for (uint32_t i = 0; i < AG_COUNT(steps); i++) {
            if (steps[i] * decade >= v) {
                return steps[i] * decade;
            }
        }
    }
    return v;
}

static void curve(struct pen *p, const float *v, uint32_t n, float x, float y, float width,
                  float height, float top, uint32_t color)
{
    struct ag_items *items = p->items;
    if (n < 2 || items->n_points + n > AG_MAX_POINTS) {
        return;
    }
    struct ag_item *item = add(items, AG_ITEM_CURVE, (float)items->n_points, 0, color);
    item->length = (uint16_t)n;
    for (uint32_t i = 0; i < n; i++) {
        float *point = &items->points[2 * items->n_points++];
        point[0] = p->x + x + width * (float)(AG_HUD_HISTORY - n + i) / (AG_HUD_HISTORY - 1);
        point[1] = p->y + y + height * (1 - AG_MIN(v[i] / top, 1));
    }
}

static void draw_graph(struct pen *p)
{
    const struct ag_hud_data *d = &p->data->d;
    title(p, "FRAME TIME ms");
    text_right(p, 0, AG_COLOR_GOLD, "interval     ");
    text_right(p, 0, AG_COLOR_BLUE, "GPU");
    float most = 1;
    for (uint32_t i = 0; i < d->n_history; i++) {
        most = fmaxf(most, fmaxf(d->interval_ms[i], d->gpu_ms[i]));
    }
    float top = nice_above(most), left = 6 * p->cell, y = 1.4f * p->line;
    float width = p->width - left, height = p->height - y - 0.5f * p->line;
    for (int i = 0; i <= 2; i++) {
        float at = y + height * (float)i / 2;
        char label[AG_NUMBER_CHARS];
        snprintf(label, sizeof(label), "%5g", (double)(top * (float)(2 - i) / 2));
        fill(p, left, floorf(at), width, 1, AG_COLOR_LINE);
        text(p, 0, (at - 0.5f * p->line) / p->line, AG_COLOR_FAINT, label);
    }
    curve(p, d->gpu_ms, d->n_history, left, y, width, height, top, AG_COLOR_BLUE);
    curve(p, d->interval_ms, d->n_history, left, y, width, height, top, AG_COLOR_GOLD);
}

// ---- cards of the gaze page ------------------------------------------------------------------

// S6.4: the colours of the mask panel, by palette and the grid's entry in it.
static const uint32_t scale_colors[][4] = {
    { AG_RGB(255, 180, 0), AG_RGB(60, 220, 120), AG_RGB(0, 185, 255), AG_RGB(230, 110, 255) },
    { AG_RGB(213, 94, 0), AG_RGB(240, 228, 66), AG_RGB(0, 114, 178), AG_RGB(86, 180, 233) },
};

static uint32_t grid_color(const struct pen *p, uint32_t grid)
{
    const uint32_t *colors = scale_colors[p->data->d.palette % AG_COUNT(scale_colors)];
    return colors[p->data->report.layout.grid[grid].colour % AG_COUNT(scale_colors[0])];
}

// Ids are a tile's own: all tiles together have as many cells of each grid as their stitched grids.
// (A last grid that is coarser is that of repair.)
static bool is_pad(const struct ag_layout *layout, uint32_t id)
{
    uint32_t n = layout->n_grids;
    n -= n > 1 && layout->grid[n - 1].cols < layout->grid[n - 2].cols;
    const struct ag_grid *finest = &layout->grid[AG_MAX(n, 1u) - 1];
    uint32_t cells = finest->first + finest->cols * finest->rows;
    return id >= cells / ag_layout_tiles(layout);
}

static uint32_t id_color(const struct pen *p, uint32_t id)
{
    const struct ag_layout *layout = &p->data->report.layout;
    for (uint32_t g = layout->n_grids; g-- > 0;) {
        if (id >= layout->grid[g].first / ag_layout_tiles(layout) && !is_pad(layout, id)) {
            return grid_color(p, g);
        }
    }
    return AG_COLOR_FAINT;
}

#define MAX_DRAWN_BLOCKS 200 // a grid: cells, or blocks of them where there are more

// From `a` to `b` by `share`.
static uint32_t mix(uint32_t a, uint32_t b, float share)
{
    uint32_t out = 0xff000000u;
    for (int shift = 0; shift < 24; shift += 8) {
        float from = (float)(a >> shift & 0xff), to = (float)(b >> shift & 0xff);
        out |= (uint32_t)(from + (to - from) * share + 0.5f) << shift;
    }
    return out;
}

// Selected cells of columns [c0, c1) and rows [r0, r1).
static uint32_t selected_within(const struct ag_hud_copy *d, const struct ag_grid *grid,
                                uint32_t c0, uint32_t c1, uint32_t r0, uint32_t r1)
{
    uint32_t n = 0;
    for (uint32_t row = r0; row < r1; row++) {
        for (uint32_t column = c0; column < c1; column++) {
            uint32_t cell = grid->first + row * grid->cols + column;
            n += d->selected[cell / 8] >> (cell % 8) & 1;
        }
    }
    return n;
}

static void draw_grid(struct pen *p, uint32_t g, float x, float y, float width, float height)
{
    const struct ag_grid *grid = &p->data->report.layout.grid[g];
    fill(p, x, y, width, height, AG_COLOR_LINE);
    uint32_t side = 1; // cells of a block
    while (AG_DIV_UP(grid->cols, side) * AG_DIV_UP(grid->rows, side) > MAX_DRAWN_BLOCKS) {
        side++;
    }
    for (uint32_t r0 = 0; r0 < grid->rows; r0 += side) {
        for (uint32_t c0 = 0; c0 < grid->cols; c0 += side) {
            uint32_t r1 = AG_MIN(r0 + side, grid->rows), c1 = AG_MIN(c0 + side, grid->cols);
            uint32_t n = selected_within(p->data, grid, c0, c1, r0, r1);
            if (n == 0) {
                continue;
            }
            float x0 = floorf(width * (float)c0 / (float)grid->cols);
            float x1 = floorf(width * (float)c1 / (float)grid->cols);
            float y0 = floorf(height * (float)r0 / (float)grid->rows);
            float y1 = floorf(height * (float)r1 / (float)grid->rows);
            float inset = x1 - x0 > 4 && y1 - y0 > 4;
            float share = (float)n / (float)((c1 - c0) * (r1 - r0));
            fill(p, x + x0, y + y0, x1 - x0 - inset, y1 - y0 - inset,
                 mix(AG_COLOR_LINE, grid_color(p, g), share < 1 ? 0.35f + 0.5f * share : 1));
        }
    }
}

static void draw_grids(struct pen *p)
{
    const struct ag_hud_copy *d = p->data;
    const struct ag_layout *layout = &d->report.layout;
    title(p, "CELLS BY SCALE");
    if (!d->has_report || layout->n_grids == 0) {
        text(p, 0, 1, AG_COLOR_FAINT, "no mask yet");
        return;
    }
    uint32_t n = AG_MIN(layout->n_grids, 6u);
    float gap = 2 * p->cell, each = floorf((p->width - gap * (float)(n - 1)) / (float)n);
    float aspect = (float)d->report.width / (float)AG_MAX(d->report.height, 1u);
    float room = p->height - 4.4f * p->line; // title and three rows of text
    float width = floorf(fminf(each, room * aspect));
    float height = floorf(fminf(width / aspect, room));
    for (uint32_t g = 0; g < n; g++) {
        const struct ag_grid *grid = &layout->grid[g];
        float x = (float)g * (each + gap), column = x / p->cell;
        float row = 1.3f + height / p->line;
        draw_grid(p, g, x, 1.2f * p->line, width, height);
        textf(p, column, row, AG_COLOR_LABEL, "%ux%u", grid->cols, grid->rows);
        counter(p, column, row + 1, grid_color(p, g),
                selected_within(d, grid, 0, grid->cols, 0, grid->rows), 3);
        textf(p, column + 4, row + 1, AG_COLOR_FAINT, "/%u", grid->cols * grid->rows);
        counter(p, column, row + 2, AG_COLOR_TEXT, d->report.plan.per_grid[g], 3);
        text(p, column + 4, row + 2, AG_COLOR_FAINT, "kept");
    }
}

static void draw_loss(struct pen *p)
{
    const struct ag_hud_copy *d = p->data;
    title(p, "PREDICTED LOSS BY SLOT");
    if (!d->has_gaze) {
        text(p, 0, 1, AG_COLOR_FAINT, "the model has not looked yet");
        return;
    }
    float threshold = (float)d->run.threshold, most = isfinite(threshold) ? threshold : 0;
    uint32_t slots = AG_MIN(d->gaze.slots, AG_MAX_SHOWN_IDS);
    for (uint32_t i = 0; i < slots; i++) {
        most = isfinite(d->losses[i]) ? fmaxf(most, d->losses[i]) : most;
    }
    uint32_t places = AG_MAX(d->run.tiles > 1 ? slots : AG_MAX(slots, d->run.budget), 1u);
    float top = nice_above(fmaxf(most * 1.02f, 0.01f)), y = 1.3f * p->line;
    float left = 6 * p->cell, width = p->width - left, height = p->height - y - 0.4f * p->line;
    fill(p, left, y + height, width, 1, AG_COLOR_LINE);
    textf(p, 0, (y - 0.3f * p->line) / p->line, AG_COLOR_FAINT, "%5g", (double)top);
    text(p, 0, (y + height - 0.7f * p->line) / p->line, AG_COLOR_FAINT, "    0");
    for (uint32_t i = 0; i < slots; i++) {
        float x0 = left + width * (float)i / (float)places;
        float x1 = left + width * (float)(i + 1) / (float)places;
        float h = height * fmaxf(0, fminf(d->losses[i] / top, 1));
        fill(p, x0, y + height - h, fmaxf(x1 - x0 - (x1 - x0 > 3), 1), h,
             id_color(p, d->ids[i]));
    }
    if (isfinite(threshold)) {
        char s[48];
        snprintf(s, sizeof(s), "stop at %.3f", (double)threshold);
        fill(p, left, floorf(y + height * (1 - threshold / top)), width, 1, AG_COLOR_GOLD);
        text_right(p, 0, AG_COLOR_GOLD, s);
    }
}

static void draw_ids(struct pen *p)
{
    const struct ag_hud_copy *d = p->data;
    title(p, "IDS IN ORDER");
    if (!d->has_gaze) {
        return;
    }
    char s[64];
    snprintf(s, sizeof(s), "%03u of %03u tokens, %02u rounds", d->gaze.valid,
             d->run.budget * AG_MAX(d->run.tiles, 1u),
             d->gaze.rounds);
    text_right(p, 0, AG_COLOR_LABEL, s);
    uint32_t per_row = AG_MAX((uint32_t)((p->width + p->cell) / (4 * p->cell)), 1u);
    uint32_t rows = (uint32_t)(p->height / p->line) - 1, places = per_row * rows;
    uint32_t slots = AG_MIN(d->gaze.slots, AG_MAX_SHOWN_IDS);
    for (uint32_t i = 0; i < AG_MIN(slots, places); i++) {
        float column = (float)(4 * (i % per_row)), row = 1 + (float)(i / per_row);
        if (i + 1 == places && slots > places) {
            text(p, column, row, AG_COLOR_LABEL, "…");
        } else if (is_pad(&d->report.layout, d->ids[i])) {
            text(p, column, row, AG_COLOR_FAINT, "  ·");
        } else {
            textf(p, column, row, id_color(p, d->ids[i]), "%3u", d->ids[i]);
        }
    }
}

// ---- outside of cards ------------------------------------------------------------------------

static void label(struct pen *p, const struct ag_rect *r, const char *name, const char *detail)
{
    struct pen here = *p;
    here.x = (float)r->x;
    here.y = (float)r->y;
    here.width = (float)r->width;
    text(&here, 0, 0, AG_COLOR_TEXT, name);
    text(&here, (float)strlen(name) + 2, 0, AG_COLOR_FAINT, detail);
}

static void draw_labels(struct pen *p, const struct ag_view *view)
{
    const struct ag_hud_copy *d = p->data;
    char size[32] = "", mask[AG_ITEM_CHARS], output[AG_ITEM_CHARS];
    if (d->has_report) {
        snprintf(size, sizeof(size), "%ux%u", d->report.width, d->report.height);
    }
    snprintf(mask, sizeof(mask), "%s%s%s", d->style, d->geometry[0] ? " · " : "", d->geometry);
    bool reference = d->run.config && d->run.config->compositor == AG_COMPOSITOR_CPU;
    snprintf(output, sizeof(output), "%s%s%s%s", d->output, d->has_report ? " · " : "",
             d->has_report ? ag_path_name(d->report.plan.path) : "", reference ? " on the CPU" : "");
    const struct {
        const char *name, *detail;
    } labels[AG_CONTENTS] = {
        [AG_CONTENT_INPUT] = { "Input", size },
        [AG_CONTENT_MASK] = { "Mask", mask },
        [AG_CONTENT_OUTPUT] = { "Output", output },
        [AG_CONTENT_DIFFERENCE] = { "Difference", "input - output, white: 64 levels" },
        [AG_CONTENT_WIPE] = { "Input | Output", size },
    };
    for (uint32_t i = 0; i < view->n_panels && view->label[i].height > 0; i++) {
        const char *rest = labels[view->content[i]].detail;
        char detail[AG_ITEM_CHARS];
        if (d->d.zoom > 1) {
            snprintf(detail, sizeof(detail), "zoom %.1f · %s", d->d.zoom, rest);
        }
        label(p, &view->label[i], labels[view->content[i]].name, d->d.zoom > 1 ? detail : rest);
    }
}

// In the place of the hint: "REC 00:12.3 -0042", the frames that are missing.
static void draw_recording(struct pen *p)
{
    const struct ag_hud_data *d = &p->data->d;
    char clock[AG_NUMBER_CHARS], s[AG_ITEM_CHARS];
    ag_format_clock(clock, d->recorded_ns);
    snprintf(s, sizeof(s), "REC %s %5s", clock, "");
    text_right(p, 0, AG_COLOR_BAD, s);
    if (d->recorded_drops) {
        snprintf(s, sizeof(s), "-%04" PRIu64, AG_MIN(d->recorded_drops, (uint64_t)9999));
        text_right(p, 0, AG_COLOR_WARN, s);
    }
}

static void draw_status(struct pen *p, const struct ag_view *view, bool has_help)
{
    const struct ag_hud_copy *d = p->data;
    const struct ag_rect *r = &view->status;
    if (r->height == 0) {
        return;
    }
    struct pen here = *p;
    here.x = (float)r->x;
    here.y = (float)r->y + 0.5f * (float)(r->height - p->items->m.height);
    here.width = (float)r->width;
    float size = 0.6f * p->line, y = here.y + 0.5f * ((float)p->items->m.height - size);
    if (d->d.paused) {
        fill(&here, 0, y - here.y, 0.3f * size, size, AG_COLOR_GOLD);
        fill(&here, 0.55f * size, y - here.y, 0.3f * size, size, AG_COLOR_GOLD);
    } else if (d->d.ended) {
        fill(&here, 0, y - here.y, 0.9f * size, size, AG_COLOR_LABEL);
    } else {
        struct ag_item *play = add(p->items, AG_ITEM_TRIANGLE, here.x, y, AG_COLOR_LABEL);
        play->width = 0.9f * size;
        play->height = size;
    }
    char clock[AG_NUMBER_CHARS], duration[AG_NUMBER_CHARS] = "";
    ag_format_clock(clock, d->d.position_ns);
    if (d->d.duration_ns > 0) {
        ag_format_clock(duration, d->d.duration_ns);
    }
    const char *hint = has_help ? "H page   ? help" : "";
    char s[AG_ITEM_CHARS];
    snprintf(s, sizeof(s), "%s%s%s   frame %" PRIu64 "%s", clock, duration[0] ? " / " : "",
             duration, d->d.frame_id, d->d.paused ? "   paused" : d->d.ended ? "   end" : "");
    here.width -= (float)(ag_text_columns(hint) + 2) * p->cell;
    text(&here, 2, 0, AG_COLOR_LABEL, s);
    here.width = (float)r->width;
    if (d->d.recording) {
        draw_recording(&here);
    } else {
        text_right(&here, 0, AG_COLOR_FAINT, hint);
    }
}

static void (*const cards[AG_BLOCK_KINDS])(struct pen *p) = {
    [AG_BLOCK_RATE] = draw_rate,       [AG_BLOCK_GAZE] = draw_gaze,
    [AG_BLOCK_PSNR] = draw_psnr,       [AG_BLOCK_COST] = draw_cost,
    [AG_BLOCK_RUN] = draw_run,         [AG_BLOCK_CONTROL] = draw_control,
    [AG_BLOCK_NOW] = draw_now,         [AG_BLOCK_TABLE] = draw_table,
    [AG_BLOCK_GRAPH] = draw_graph,     [AG_BLOCK_TOTALS] = draw_totals,
    [AG_BLOCK_GRIDS] = draw_grids,     [AG_BLOCK_LOSS] = draw_loss,
    [AG_BLOCK_IDS] = draw_ids,
};

void ag_pages_format(const struct ag_hud_copy *data, const struct ag_page_layout *layout,
                     bool has_help, struct ag_items *out)
{
    const struct ag_metrics *m = &out->m;
    out->n = out->n_points = 0;
    struct pen pen = {
        .data = data, .items = out, .cell = (float)m->cell, .line = (float)m->line
    };
    draw_labels(&pen, &layout->view);
    draw_status(&pen, &layout->view, has_help);
    ag_timeline_format(data, &layout->view, out);
    for (uint32_t i = 0; i < layout->n_blocks; i++) {
        const struct ag_rect *r = &layout->blocks[i].rect;
        struct ag_item *card = add(out, AG_ITEM_CORNERS, (float)r->x, (float)r->y, AG_COLOR_CARD);
        card->width = (float)r->width;
        card->height = (float)r->height;
        pen.x = (float)(r->x + m->pad);
        pen.y = (float)(r->y + m->pad);
        pen.width = (float)(r->width - 2 * m->pad);
        pen.height = (float)(r->height - 2 * m->pad);
        cards[layout->blocks[i].kind](&pen);
    }
}
