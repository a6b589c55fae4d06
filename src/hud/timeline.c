#include "internal.h"

#include <math.h>

#define TEXT_COLUMNS 48 // of the status row: clock, duration, frame, state
#define HINT_COLUMNS 18
#define MIN_COLUMNS 10

void ag_timeline_format(const struct ag_hud_copy *data, const struct ag_view *view,
                        struct ag_items *out)
{
    const struct ag_rect *r = &view->status;
    int32_t cell = out->m.cell, width = r->width - (TEXT_COLUMNS + HINT_COLUMNS) * cell;
    if (!data->has_run || !data->run.source.seekable || data->d.duration_ns <= 0 ||
        r->height == 0 || width < MIN_COLUMNS * cell) {
        return;
    }
    struct ag_item *item = &out->list[AG_MIN(out->n, AG_MAX_ITEMS)];
    *item = (struct ag_item){
        .kind = AG_ITEM_TIMELINE,
        .color = AG_COLOR_LABEL,
        .x = (float)(r->x + TEXT_COLUMNS * cell),
        .y = (float)r->y,
        .width = (float)width,
        .height = (float)r->height,
    };
    out->n += out->n < AG_MAX_ITEMS;
}

void ag_timeline_draw(struct ag_timeline *t, struct ag_ui *ui, const struct ag_item *item,
                      const struct ag_hud_data *data, struct ag_hud_actions *actions)
{
    double at = 0, duration = (double)data->duration_ns;
    struct ag_ui_widget state;
    bool held = ag_ui_slider(ui, "timeline", item->x, item->y, item->width, item->height, &at,
                             &state);
    if (held) {
        // Whole pixels: a hand that trembles does not seek.
        double pixel = floor(at * item->width) / item->width;
        int64_t ns = (int64_t)(pixel * duration);
        actions->seek = !t->held || ns != t->wished_ns;
        actions->seek_ns = t->wished_ns = ns;
    }
    t->held = held;
    double place = (double)(held ? t->wished_ns : AG_MAX(data->position_ns, 0)) / duration;
    float done = (float)AG_CLAMP(place, 0, 1) * item->width;
    bool lit = state.hovered || state.active;
    float thick = floorf((lit ? 0.35f : 0.2f) * item->height);
    float y = item->y + floorf(0.5f * (item->height - thick));
    ag_ui_fill(ui, item->x, y, item->width, thick, 0, AG_COLOR_LINE);
    ag_ui_fill(ui, item->x, y, done, thick, 0, lit ? AG_COLOR_TEXT : item->color);
}
