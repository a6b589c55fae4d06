#include "internal.h"

#include <assert.h>
#include <math.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include "../gpu/draw.h"
#include "interface/hud_args.h"

// The HUD's state, its frame, and the triangles on the GPU. Items are formatted by pages.c when the
// data or the layout changes; triangles are made when something moved; in between a frame repeats
// the last ones.

AG_SHADERS(hud);

#define TARGETS 2
#define SLOTS 3              // vertex buffers in use by the GPU at most
#define NOTICE_NS 6000000000
#define FADE_NS 600000000
#define NOTICE_CHARS 800
#define MAX_LINES 24

struct slot {
    struct ag_buffer *vertices, *indices;
    uint64_t value;          // last submission that read it
};

// What lies behind the panels, as drawn last, for targets of one format.
struct backdrop {
    struct ag_gpu *gpu;
    VkFormat format;         // UNDEFINED: none
    uint32_t width, height;
    VkImage image;
    VkImageView view;
    VmaAllocation allocation;
    uint64_t version;        // of the triangles in it
};

struct notice {
    char text[NOTICE_CHARS];
    bool error;
    int64_t since_ns;        // 0: none
};

struct ag_hud {
    const struct ag_log *log;
    struct ag_gpu *gpu;
    struct ag_hud_params params;
    enum ag_hud_page page;
    struct ag_ui *ui;
    struct ag_draw draw[TARGETS]; // a window's and an offscreen target may differ in format
    struct backdrop backdrop[TARGETS];
    uint64_t version;        // of the triangles
    struct ag_buffer *atlas;
    const uint8_t *atlas_texels; // to be loaded; NULL: `atlas` is up to date
    uint32_t atlas_width, atlas_height;
    float font_px;

    struct ag_hud_copy data;
    struct ag_items items;
    struct ag_page_layout layout;
    struct ag_shape shape;   // that `layout` was made for
    enum ag_view_layout pictures;
    bool placed, formatted, drawn; // layout, items and triangles are up to date

    struct notice notice, error;
    bool help;
    double wished_quality;   // while the slider is held
    bool slider_held;
    struct ag_timeline timeline;
    struct ag_hud_input input; // of the last triangles

    struct slot slots[SLOTS];
    uint32_t slot;
};

uint32_t ag_hud_background(void)
{
    return AG_COLOR_BACK;
}

uint32_t ag_hud_panel_background(void)
{
    return AG_COLOR_PANEL;
}

struct ag_hud *ag_hud_create(const struct ag_log *log, struct ag_gpu *gpu,
                             const struct ag_hud_params *params, struct ag_error *err)
{
    (void)err; // what can fail waits for the first target
    struct ag_hud *hud = ag_alloc(sizeof(*hud));
    hud->log = log;
    hud->gpu = gpu;
    hud->params = *params;
    hud->page = params->page;
    hud->data.d.render_fps = hud->data.d.mask_fps = NAN;
    hud->data.d.duration_ns = -1;
    hud->ui = ag_ui_create();
    return hud;
}

static void destroy_image(void *object)
{
    struct backdrop *b = object;
    vkDestroyImageView(b->gpu->device, b->view, NULL);
    vmaDestroyImage(b->gpu->allocator, b->image, b->allocation);
    ag_free(b);
}

// Its image lives until the GPU is done with it.
static void destroy_backdrop(struct backdrop *b)
{
    if (b->format != VK_FORMAT_UNDEFINED) {
        struct backdrop *last = ag_alloc(sizeof(*last));
        *last = *b;
        ag_gpu_defer(b->gpu, destroy_image, last);
    }
    *b = (struct backdrop){ 0 };
}

void ag_hud_destroy(struct ag_hud **phud)
{
    struct ag_hud *hud = *phud;
    if (!hud) {
        return;
    }
    if (hud->draw[0].pipeline) {
        ag_vk_wait_idle(hud->gpu);
    }
    for (uint32_t i = 0; i < TARGETS; i++) {
        ag_draw_destroy(hud->gpu, &hud->draw[i]);
        destroy_backdrop(&hud->backdrop[i]);
    }
    for (uint32_t i = 0; i < SLOTS; i++) {
        ag_buffer_destroy(hud->gpu, &hud->slots[i].vertices);
        ag_buffer_destroy(hud->gpu, &hud->slots[i].indices);
    }
    ag_buffer_destroy(hud->gpu, &hud->atlas);
    ag_ui_destroy(&hud->ui);
    ag_free(hud);
    *phud = NULL;
}

void ag_hud_set_page(struct ag_hud *hud, enum ag_hud_page page)
{
    assert(page < AG_HUD_COUNT);
    hud->page = page;
    hud->placed = false;
}

enum ag_hud_page ag_hud_get_page(const struct ag_hud *hud)
{
    return hud->page;
}

void ag_hud_set_display_scale(struct ag_hud *hud, double scale)
{
    hud->params.display_scale = scale;
    hud->placed = false;
}

void ag_hud_show_help(struct ag_hud *hud, bool show)
{
    hud->help = show && hud->params.n_keys > 0;
    hud->drawn = false;
}

bool ag_hud_help_shown(const struct ag_hud *hud)
{
    return hud->help;
}

// ---- data ------------------------------------------------------------------------------------

static void copy_report(struct ag_hud_copy *c, const struct ag_frame_report *r)
{
    c->has_report = true;
    c->report = *r;
    c->report.cells = NULL;
    memset(c->selected, 0, sizeof(c->selected));
    for (uint32_t i = 0; i < r->n_cells; i++) {
        if (r->cells[i] < AG_MAX_CELLS) {
            c->selected[r->cells[i] / 8] |= (uint8_t)(1u << (r->cells[i] % 8));
        }
    }
    if (r->has_gaze) {
        uint32_t n = AG_MIN(r->gaze.slots, AG_MAX_SHOWN_IDS);
        c->has_gaze = true;
        c->gaze = r->gaze;
        c->gaze.ids = NULL;
        c->gaze.losses = NULL;
        memcpy(c->ids, r->gaze.ids, n * sizeof(c->ids[0]));
        memcpy(c->losses, r->gaze.losses, n * sizeof(c->losses[0]));
    }
}

void ag_hud_update(struct ag_hud *hud, const struct ag_hud_data *data)
{
    struct ag_hud_copy *c = &hud->data;
    c->d = *data;
    c->has_stats = data->stats != NULL;
    c->has_run = data->run != NULL;
    c->chunk_started = data->stats && data->stats->chunk_starts > c->stats.chunk_starts;
    if (data->stats) {
        c->stats = *data->stats;
    }
    if (data->run) {
        c->run = *data->run;
    }
    if (data->report) {
        copy_report(c, data->report);
    }
    uint32_t n = AG_MIN(data->n_history, AG_HUD_HISTORY), skip = data->n_history - n;
    c->d.n_history = n;
    if (n) {
        memcpy(c->interval_ms, data->interval_ms + skip, n * sizeof(float));
        memcpy(c->gpu_ms, data->gpu_ms + skip, n * sizeof(float));
    }
    c->d.interval_ms = c->interval_ms;
    c->d.gpu_ms = c->gpu_ms;
    snprintf(c->style, sizeof(c->style), "%s", data->style ? data->style : "");
    snprintf(c->geometry, sizeof(c->geometry), "%s", data->geometry ? data->geometry : "");
    snprintf(c->output, sizeof(c->output), "%s", data->output ? data->output : "");
    hud->formatted = false;
}

void ag_hud_notice(struct ag_hud *hud, const char *text, bool error, int64_t now_ns)
{
    struct notice *n = error ? &hud->error : &hud->notice;
    snprintf(n->text, sizeof(n->text), "%s", text);
    n->error = error;
    n->since_ns = text[0] ? AG_MAX(now_ns, 1) : 0;
    hud->drawn = false;
}

bool ag_hud_dismiss(struct ag_hud *hud)
{
    bool had = hud->error.since_ns != 0;
    hud->error.since_ns = 0;
    hud->drawn = hud->drawn && !had;
    return had;
}

// ---- layout ----------------------------------------------------------------------------------

// Steps, so that dragging a window's edge does not bake fonts all the time.
static float font_size(const struct ag_hud *hud, uint32_t width, uint32_t height)
{
    double display = hud->params.display_scale > 0 ? hud->params.display_scale : 1;
    double scale = hud->params.scale;
    if (scale <= 0) {
        double fit = AG_MIN(width / (1280 * display), height / (720 * display));
        scale = display * AG_CLAMP(floor(fit * 4) / 4, 0.75, 1.5);
    }
    return (float)AG_CLAMP(round(16 * scale), 8, 96);
}

static void set_metrics(struct ag_hud *hud)
{
    struct ag_metrics *m = &hud->items.m;
    float px = hud->font_px;
    m->cell = (int32_t)ag_ui_advance(hud->ui, AG_FONT_BODY);
    m->height = (int32_t)ag_ui_height(hud->ui, AG_FONT_BODY);
    m->line = (int32_t)(px * 1.15f);
    m->pad = (int32_t)(px * 0.5f);
    m->gap = (int32_t)(px * 0.5f);
    m->big_cell = ag_ui_advance(hud->ui, AG_FONT_BIG);
    m->big_height = (int32_t)ag_ui_height(hud->ui, AG_FONT_BIG);
}

static void bake(struct ag_hud *hud, float px)
{
    struct ag_ui_atlas atlas = ag_ui_set_font(hud->ui, px);
    hud->atlas_texels = atlas.texels; // goes to the GPU with the next draw
    hud->atlas_width = atlas.width;
    hud->atlas_height = atlas.height;
    hud->font_px = px;
    set_metrics(hud);
}

static bool same_shape(const struct ag_shape *a, const struct ag_shape *b)
{
    return a->width == b->width && a->height == b->height && a->sar_num == b->sar_num &&
           a->sar_den == b->sar_den;
}

void ag_hud_layout(struct ag_hud *hud, uint32_t width, uint32_t height,
                   const struct ag_shape *picture, enum ag_view_layout pictures,
                   struct ag_view *out)
{
    const struct ag_view *view = &hud->layout.view;
    bool same = hud->placed && view->width == width && view->height == height &&
                hud->pictures == pictures && same_shape(&hud->shape, picture);
    if (!same) {
        float px = font_size(hud, width, height);
        if (px != hud->font_px) {
            bake(hud, px);
        }
        hud->shape = *picture;
        hud->pictures = pictures;
        ag_page_place(hud->page, &hud->items.m, width, height, picture, pictures, &hud->layout);
        hud->placed = true;
        hud->formatted = false;
    }
    *out = hud->layout.view;
}

static int32_t corner(const struct ag_metrics *m)
{
    return m->pad / 2;
}

// ---- triangles -------------------------------------------------------------------------------

static void draw_slider(struct ag_hud *hud, const struct ag_item *item,
                        struct ag_hud_actions *actions)
{
    const struct ag_hud_data *d = &hud->data.d;
    double range = d->quality_max - d->quality_min, at = 0;
    struct ag_ui_widget state;
    bool moved = ag_ui_slider(hud->ui, "quality", item->x, item->y, item->width, item->height, &at,
                              &state);
    // Right is better: more decibels, or a lower threshold.
    if (moved) {
        double v = d->quality_db ? d->quality_min + at * range : d->quality_max - at * range;
        double step = d->quality_step > 0 ? d->quality_step : 0.01;
        v = AG_CLAMP(round(v / step) * step, d->quality_min, d->quality_max);
        actions->set_quality = !hud->slider_held || v != hud->wished_quality;
        actions->quality = hud->wished_quality = v;
    }
    hud->slider_held = moved;
    double v = moved ? hud->wished_quality : d->quality;
    double t = range > 0 ? (v - d->quality_min) / range : 0;
    t = AG_CLAMP(d->quality_db ? t : 1 - t, 0, 1);
    float track = 0.42f * item->height, y = item->y + 0.5f * (item->height - track);
    float x = item->x + (float)t * item->width;
    bool off = d->quality_off && !moved;
    ag_ui_fill(hud->ui, item->x, y, item->width, track, 0.5f * track, AG_COLOR_LINE);
    ag_ui_fill(hud->ui, item->x, y, x - item->x, track, 0.5f * track,
               off ? AG_COLOR_FAINT : AG_ALPHA(item->color, 209));
    ag_ui_fill(hud->ui, x - 0.25f * item->height, item->y + 0.1f * item->height,
               0.5f * item->height, 0.8f * item->height, 3,
               state.hovered || state.active ? AG_COLOR_TEXT : AG_RGB(190, 196, 206));
}

static void draw_button(struct ag_hud *hud, const struct ag_item *item,
                        struct ag_hud_actions *actions)
{
    struct ag_ui_widget state;
    if (ag_ui_button(hud->ui, "source", item->x, item->y, item->width, item->height, &state)) {
        actions->switch_source = true;
    }
    uint32_t back = AG_ALPHA(AG_RGB(242, 242, 242), state.active ? 90 : state.hovered ? 64 : 41);
    ag_ui_fill(hud->ui, item->x, item->y, item->width, item->height, 4, back);
    const struct ag_metrics *m = &hud->items.m;
    float text = (float)(item->length * m->cell);
    ag_ui_text(hud->ui, AG_FONT_BODY, floorf(item->x + 0.5f * (item->width - text)),
               floorf(item->y + 0.5f * (item->height - (float)m->height)), item->color, item->text,
               item->length);
}

// Round corners of a card; fill_cards does the rest.
static void draw_corners(struct ag_hud *hud, const struct ag_item *item)
{
    float r = (float)corner(&hud->items.m), side = 2 * r;
    float right = item->x + item->width - side, foot = item->y + item->height - side;
    ag_ui_fill(hud->ui, item->x, item->y, side, side, r, item->color);
    ag_ui_fill(hud->ui, right, item->y, side, side, r, item->color);
    ag_ui_fill(hud->ui, item->x, foot, side, side, r, item->color);
    ag_ui_fill(hud->ui, right, foot, side, side, r, item->color);
}

static void draw_item(struct ag_hud *hud, const struct ag_item *item,
                      struct ag_hud_actions *actions)
{
    struct ag_ui *ui = hud->ui;
    switch ((enum ag_item_kind)item->kind) {
    case AG_ITEM_TEXT:
        ag_ui_text(ui, item->font, item->x, item->y, item->color, item->text, item->length);
        break;
    case AG_ITEM_FILL:
        ag_ui_fill(ui, item->x, item->y, item->width, item->height, 0, item->color);
        break;
    case AG_ITEM_CORNERS:
        draw_corners(hud, item);
        break;
    case AG_ITEM_TRIANGLE:
        ag_ui_triangle(ui, item->x, item->y, item->x + item->width, item->y + 0.5f * item->height,
                       item->x, item->y + item->height, item->color);
        break;
    case AG_ITEM_CURVE:
        ag_ui_curve(ui, &hud->items.points[2 * (uint32_t)item->x], item->length,
                    hud->font_px / 11, item->color);
        break;
    case AG_ITEM_SLIDER:
        draw_slider(hud, item, actions);
        break;
    case AG_ITEM_BUTTON:
        draw_button(hud, item, actions);
        break;
    case AG_ITEM_TIMELINE:
        ag_timeline_draw(&hud->timeline, hud->ui, item, &hud->data.d, actions);
        break;
    }
}

// Pieces of `text` of at most `columns` characters, broken at spaces where there are any.
struct line {
    const char *text;
    size_t length;
};

static uint32_t wrap(const char *text, size_t columns, struct line *lines, uint32_t max)
{
    uint32_t n = 0;
    while (*text && n < max) {
        bool cut;
        size_t bytes = ag_text_prefix(text, columns, &cut), end = bytes;
        while (cut && end > 0 && text[end] != ' ') {
            end--;
        }
        end = cut && end > 0 ? end : bytes;
        lines[n++] = (struct line){ text, end };
        text += end;
        text += strspn(text, " ");
    }
    return n;
}

static float opacity(const struct notice *n, int64_t now_ns)
{
    int64_t left = n->since_ns + NOTICE_NS - now_ns;
    return n->error || left > FADE_NS ? 1 : (float)AG_MAX(left, 0) / FADE_NS;
}

// A box at the lower edge; long sentences grow upwards.
static void draw_notice(struct ag_hud *hud, const struct notice *n, int64_t now_ns)
{
    const struct ag_metrics *m = &hud->items.m;
    const struct ag_view *view = &hud->layout.view;
    float alpha = opacity(n, now_ns);
    int32_t room = (int32_t)view->width - 2 * m->gap - 2 * m->pad;
    if (n->since_ns == 0 || alpha <= 0 || room < 8 * m->cell) {
        return;
    }
    struct line lines[MAX_LINES];
    const char *foot = n->error ? "press a key" : "";
    int32_t columns = room / m->cell - 2, foot_columns = (int32_t)strlen(foot) + 1;
    columns -= n->error && columns > 2 * foot_columns ? foot_columns : 0;
    uint32_t count = wrap(n->text, (size_t)columns, lines, MAX_LINES);
    float height = (float)((int32_t)count * m->line + m->pad);
    float x = (float)m->gap, y = (float)(int32_t)view->height - height - (float)(m->gap / 2);
    float width = (float)(room + 2 * m->pad);
    uint32_t a = (uint32_t)(255 * alpha), color = n->error ? AG_COLOR_BAD : AG_COLOR_BLUE;
    ag_ui_fill(hud->ui, x, y, width, height, 4,
               AG_ALPHA(n->error ? AG_RGB(56, 24, 28) : AG_RGB(26, 42, 56), a));
    ag_ui_fill(hud->ui, x, y, 3, height, 0, AG_ALPHA(color, a));
    float text_x = x + (float)(m->pad + m->cell / 2), text_y = y + 0.5f * (float)m->pad;
    for (uint32_t i = 0; i < count; i++) {
        ag_ui_text(hud->ui, AG_FONT_BODY, text_x, floorf(text_y + (float)((int32_t)i * m->line)),
                   AG_ALPHA(AG_COLOR_TEXT, a), lines[i].text, lines[i].length);
    }
    ag_ui_text(hud->ui, AG_FONT_BODY, x + width - (float)(foot_columns * m->cell),
               floorf(y + height - (float)m->line - 0.25f * (float)m->pad), AG_ALPHA(color, a),
               foot, strlen(foot));
}

// Columns of `keys` in a column of the help, and how wide it is with its texts.
struct help_column {
    uint32_t first, n;
    int32_t keys, width;     // characters
};

static struct help_column help_column(const struct ag_hud_key *keys, uint32_t first, uint32_t n)
{
    struct help_column c = { .first = first, .n = n };
    int32_t texts = 0;
    for (uint32_t i = first; i < first + n; i++) {
        c.keys = AG_MAX(c.keys, (int32_t)ag_text_columns(keys[i].key));
        texts = AG_MAX(texts, (int32_t)ag_text_columns(keys[i].help));
    }
    c.width = c.keys + 2 + texts;
    return c;
}

static void draw_help_column(struct ag_hud *hud, const struct help_column *c, int32_t x, int32_t y)
{
    const struct ag_metrics *m = &hud->items.m;
    for (uint32_t i = 0; i < c->n; i++) {
        const struct ag_hud_key *k = &hud->params.keys[c->first + i];
        float top = (float)(y + (int32_t)i * m->line);
        bool cut;
        size_t room = (size_t)AG_MAX(c->width - c->keys - 2, 0);
        size_t bytes = ag_text_prefix(k->help, room, &cut);
        ag_ui_text(hud->ui, AG_FONT_BODY, (float)x, top, AG_COLOR_GOLD, k->key, strlen(k->key));
        ag_ui_text(hud->ui, AG_FONT_BODY, (float)(x + (c->keys + 2) * m->cell), top,
                   AG_COLOR_TEXT, k->help, bytes);
    }
}

// In one column, or in two where the window is too low for one. Where it is too narrow for that,
// too, texts lose their ends.
static void draw_help(struct ag_hud *hud)
{
    const struct ag_metrics *m = &hud->items.m;
    const struct ag_view *view = &hud->layout.view;
    uint32_t n = hud->params.n_keys;
    int32_t room = (int32_t)view->height - 2 * m->line - 4 * m->pad;
    bool two = (int32_t)n * m->line > room;
    uint32_t rows = two ? (n + 1) / 2 : n;
    struct help_column columns[2] = { help_column(hud->params.keys, 0, rows),
                                      help_column(hud->params.keys, rows, n - rows) };
    int32_t gap = two ? 3 : 0, most = ((int32_t)view->width - 4 * m->pad) / m->cell;
    int32_t over = columns[0].width + gap + columns[1].width - (two ? 0 : 2) - most;
    for (; over > 0; over--) {
        columns[columns[1].width > columns[0].width].width--;
    }
    int32_t width = (columns[0].width + (two ? gap + columns[1].width : 0)) * m->cell + 4 * m->pad;
    int32_t height = (int32_t)(rows + 1) * m->line + m->line / 2 + 4 * m->pad;
    int32_t x = AG_MAX(((int32_t)view->width - width) / 2, 0);
    int32_t y = AG_MAX(((int32_t)view->height - height) / 2, 0);
    ag_ui_fill(hud->ui, 0, 0, (float)view->width, (float)view->height, 0,
               AG_ALPHA(AG_COLOR_BACK, 190));
    ag_ui_fill(hud->ui, (float)x, (float)y, (float)width, (float)height, 6, AG_COLOR_CARD);
    ag_ui_outline(hud->ui, (float)x, (float)y, (float)width, (float)height, 6, AG_COLOR_LINE);
    x += 2 * m->pad;
    y += 2 * m->pad;
    ag_ui_text(hud->ui, AG_FONT_BODY, (float)x, (float)y, AG_COLOR_LABEL, "KEYS", 4);
    y += m->line + m->line / 2;
    draw_help_column(hud, &columns[0], x, y);
    if (two) {
        draw_help_column(hud, &columns[1], x + (columns[0].width + gap) * m->cell, y);
    }
}

static bool grow(struct ag_hud *hud, struct ag_buffer **buffer, uint64_t size, const char *name,
                 struct ag_error *err)
{
    if (*buffer && (*buffer)->size >= size) {
        return true;
    }
    ag_buffer_destroy(hud->gpu, buffer);
    *buffer = ag_buffer_create(hud->gpu, AG_MEM_UPLOAD, AG_MAX(2 * size, 256 << 10), name, err);
    return *buffer != NULL;
}

static bool make_room(struct ag_hud *hud, struct slot *slot, const struct ag_ui_mesh *mesh,
                      struct ag_error *err)
{
    return grow(hud, &slot->vertices, mesh->n_vertices * sizeof(struct ag_ui_vertex),
                "hud/vertices", err) &&
           grow(hud, &slot->indices, mesh->n_indices * sizeof(uint16_t), "hud/indices", err);
}

// All slots at once at first, so that the second and third text of a run allocate nothing.
static bool make_slots(struct ag_hud *hud, const struct ag_ui_mesh *mesh, struct ag_error *err)
{
    for (uint32_t i = 0; i < SLOTS; i++) {
        if (!hud->slots[i].indices && !make_room(hud, &hud->slots[i], mesh, err)) {
            return false;
        }
    }
    return true;
}

static bool rebuild(struct ag_hud *hud, const struct ag_hud_input *input,
                    struct ag_hud_actions *actions, struct ag_error *err)
{
    const struct ag_view *view = &hud->layout.view;
    float seconds = (float)(input->now_ns - hud->input.now_ns) * 1e-9f;
    ag_ui_begin(hud->ui, view->width, view->height, seconds,
                &(struct ag_ui_input){ input->mouse_x, input->mouse_y, input->mouse_down });
    for (uint32_t i = 0; i < hud->items.n; i++) {
        draw_item(hud, &hud->items.list[i], actions);
    }
    ag_ui_on_top(hud->ui);
    if (hud->help) {
        draw_help(hud);
    }
    draw_notice(hud, hud->error.since_ns ? &hud->error : &hud->notice, input->now_ns);
    struct ag_ui_mesh mesh = ag_ui_end(hud->ui);
    hud->slot = (hud->slot + 1) % SLOTS;
    struct slot *slot = &hud->slots[hud->slot];
    if (!make_slots(hud, &mesh, err) || !ag_gpu_wait(hud->gpu, slot->value, err) ||
        !make_room(hud, slot, &mesh, err)) {
        return false;
    }
    ag_ui_copy(hud->ui, slot->vertices->data, slot->indices->data);
    ag_buffer_flush(hud->gpu, slot->vertices);
    ag_buffer_flush(hud->gpu, slot->indices);
    hud->input = *input;
    hud->drawn = true;
    hud->version++;
    return true;
}

// ---- a frame ---------------------------------------------------------------------------------

static struct ag_draw *find_draw(struct ag_hud *hud, VkFormat format)
{
    for (uint32_t i = 0; i < TARGETS; i++) {
        if (hud->draw[i].format == format) {
            return &hud->draw[i];
        }
    }
    return NULL;
}

static bool prepare(struct ag_hud *hud, VkFormat format, struct ag_error *err)
{
    if (hud->atlas_texels) {
        uint64_t size = (uint64_t)hud->atlas_width * hud->atlas_height;
        ag_buffer_destroy(hud->gpu, &hud->atlas);
        hud->atlas = ag_buffer_create(hud->gpu, AG_MEM_DEVICE, size, "hud/atlas", err);
        if (!hud->atlas || !ag_buffer_load(hud->gpu, hud->atlas, 0, hud->atlas_texels, size, err)) {
            return false;
        }
        hud->atlas_texels = NULL;
    }
    if (find_draw(hud, format)) {
        return true;
    }
    struct ag_draw *draw = find_draw(hud, VK_FORMAT_UNDEFINED);
    if (!draw) { // the surface came back with a third format
        draw = &hud->draw[0];
        ag_vk_wait_idle(hud->gpu);
        ag_draw_destroy(hud->gpu, draw);
    }
    static const VkVertexInputAttributeDescription attributes[] = {
        { 0, 0, VK_FORMAT_R32G32_SFLOAT, offsetof(struct ag_ui_vertex, x) },
        { 1, 0, VK_FORMAT_R32G32_SFLOAT, offsetof(struct ag_ui_vertex, u) },
        { 2, 0, VK_FORMAT_R8G8B8A8_UNORM, offsetof(struct ag_ui_vertex, color) },
    };
    struct ag_draw_params params = {
        .library = &ag_shaders_hud,
        .vertex = "hud.vert",
        .fragment = "hud.frag",
        .format = format,
        .blend = true,
        .attributes = attributes,
        .n_attributes = AG_COUNT(attributes),
        .stride = sizeof(struct ag_ui_vertex),
        .push_bytes = sizeof(struct hud_args),
    };
    return ag_draw_create(hud->gpu, &params, draw, err);
}

// Cards without their corners: plain fills are far cheaper than blended triangles on software
// devices, and cards are most of the HUD's area.
static void fill_cards(struct ag_hud *hud, const struct ag_target *target)
{
    VkClearRect rects[2 * AG_MAX_BLOCKS];
    int32_t r = corner(&hud->items.m);
    for (uint32_t i = 0; i < hud->layout.n_blocks; i++) {
        const struct ag_rect *b = &hud->layout.blocks[i].rect;
        uint32_t width = (uint32_t)b->width, height = (uint32_t)b->height, both = 2 * (uint32_t)r;
        rects[2 * i] = (VkClearRect){ { { b->x + r, b->y }, { width - both, height } }, 0, 1 };
        rects[2 * i + 1] = (VkClearRect){ { { b->x, b->y + r }, { width, height - both } }, 0, 1 };
    }
    ag_draw_fill(target->cmd, (VkFormat)target->format, AG_COLOR_CARD, rects,
                 2 * hud->layout.n_blocks);
}

static void bind(struct ag_hud *hud, const struct ag_target *target)
{
    struct slot *slot = &hud->slots[hud->slot];
    VkCommandBuffer commands = ag_vk_command_buffer(target->cmd);
    struct hud_args args = {
        .width = (float)target->width,
        .height = (float)target->height,
        .atlas_width = hud->atlas_width,
        .atlas_height = hud->atlas_height,
    };
    ag_draw_bind(target->cmd, find_draw(hud, (VkFormat)target->format), hud->atlas, &args);
    VkViewport viewport = {
        .width = (float)target->width, .height = (float)target->height, .maxDepth = 1
    };
    vkCmdSetViewport(commands, 0, 1, &viewport);
    VkBuffer vertices = ag_vk_buffer(slot->vertices);
    vkCmdBindVertexBuffers(commands, 0, 1, &vertices, &(VkDeviceSize){ 0 });
    vkCmdBindIndexBuffer(commands, ag_vk_buffer(slot->indices), 0, VK_INDEX_TYPE_UINT16);
}

// Triangles into the target being rendered: those of the backdrop, or those over the panels.
static void record(struct ag_hud *hud, const struct ag_target *target, bool on_top)
{
    struct slot *slot = &hud->slots[hud->slot];
    VkCommandBuffer commands = ag_vk_command_buffer(target->cmd);
    struct ag_ui_draw d;
    bool bound = false;
    for (uint32_t i = 0; ag_ui_next_draw(hud->ui, i, &d); i++) {
        if (d.on_top != on_top || d.n_indices == 0) {
            continue;
        }
        if (!bound) {
            bind(hud, target);
            bound = true;
        }
        VkRect2D scissor = { { d.x, d.y }, { (uint32_t)d.width, (uint32_t)d.height } };
        vkCmdSetScissor(commands, 0, 1, &scissor);
        vkCmdDrawIndexed(commands, d.n_indices, 1, d.first_index, (int32_t)d.first_vertex, 0);
    }
    if (bound) {
        slot->value = hud->gpu->submitted + hud->gpu->recording; // `cmd` will get no later one
    }
}

static bool fades(const struct ag_hud *hud, int64_t now_ns)
{
    const struct notice *n = &hud->notice;
    int64_t end = n->since_ns + NOTICE_NS;
    return !hud->error.since_ns && n->since_ns && now_ns > end - FADE_NS && hud->input.now_ns < end;
}

static bool over_widget(const struct ag_hud *hud, float x, float y)
{
    for (uint32_t i = 0; i < hud->items.n; i++) {
        const struct ag_item *item = &hud->items.list[i];
        bool reacts = item->kind == AG_ITEM_SLIDER || item->kind == AG_ITEM_BUTTON ||
                      item->kind == AG_ITEM_TIMELINE;
        if (reacts && x >= item->x && x < item->x + item->width && y >= item->y &&
            y < item->y + item->height) {
            return true;
        }
    }
    return false;
}

bool ag_hud_wants_draw(const struct ag_hud *hud, const struct ag_hud_input *input)
{
    const struct ag_hud_input *last = &hud->input;
    if (!hud->placed || !hud->formatted || !hud->drawn || fades(hud, input->now_ns) ||
        hud->slider_held || hud->timeline.held || input->mouse_down != last->mouse_down) {
        return true;
    }
    bool moved = input->mouse_x != last->mouse_x || input->mouse_y != last->mouse_y;
    return moved && (over_widget(hud, input->mouse_x, input->mouse_y) ||
                     over_widget(hud, last->mouse_x, last->mouse_y));
}

static bool create_image(struct ag_gpu *gpu, const struct ag_target *target, struct backdrop *out,
                         struct ag_error *err)
{
    *out = (struct backdrop){ .gpu = gpu, .width = target->width, .height = target->height };
    VkImageCreateInfo image = {
        .sType = VK_STRUCTURE_TYPE_IMAGE_CREATE_INFO,
        .imageType = VK_IMAGE_TYPE_2D,
        .format = (VkFormat)target->format,
        .extent = { target->width, target->height, 1 },
        .mipLevels = 1,
        .arrayLayers = 1,
        .samples = VK_SAMPLE_COUNT_1_BIT,
        .usage = VK_IMAGE_USAGE_COLOR_ATTACHMENT_BIT | VK_IMAGE_USAGE_TRANSFER_SRC_BIT,
    };
    VmaAllocationCreateInfo placement = { .usage = VMA_MEMORY_USAGE_AUTO_PREFER_DEVICE };
    VK(vmaCreateImage(gpu->allocator, &image, &placement, &out->image, &out->allocation, NULL));
    out->format = (VkFormat)target->format; // there is something to destroy
    ag_vk_name(gpu, VK_OBJECT_TYPE_IMAGE, (uint64_t)out->image, "hud/backdrop");
    VkImageViewCreateInfo view = {
        .sType = VK_STRUCTURE_TYPE_IMAGE_VIEW_CREATE_INFO,
        .image = out->image,
        .viewType = VK_IMAGE_VIEW_TYPE_2D,
        .format = out->format,
        .subresourceRange = { VK_IMAGE_ASPECT_COLOR_BIT, 0, 1, 0, 1 },
    };
    VK(vkCreateImageView(gpu->device, &view, NULL, &out->view));
    atomic_fetch_add(&gpu->allocations, 1);
    return true;

error:
    destroy_backdrop(out);
    return false;
}

// The backdrop for targets like this one, NULL: failed.
static struct backdrop *find_backdrop(struct ag_hud *hud, const struct ag_target *target,
                                      struct ag_error *err)
{
    struct backdrop *b = NULL;
    for (uint32_t i = 0; i < TARGETS && !b; i++) {
        bool same = hud->backdrop[i].format == (VkFormat)target->format;
        b = same || hud->backdrop[i].format == VK_FORMAT_UNDEFINED ? &hud->backdrop[i] : NULL;
    }
    b = b ? b : &hud->backdrop[0];
    if (b->format == (VkFormat)target->format && b->width == target->width &&
        b->height == target->height) {
        return b;
    }
    destroy_backdrop(b);
    return create_image(hud->gpu, target, b, err) ? b : NULL;
}

static void backdrop_barrier(const struct backdrop *b, const struct ag_target *target, bool drawn)
{
    VkImageMemoryBarrier2 image = {
        .sType = VK_STRUCTURE_TYPE_IMAGE_MEMORY_BARRIER_2,
        .srcStageMask = VK_PIPELINE_STAGE_2_COPY_BIT,
        .dstStageMask = VK_PIPELINE_STAGE_2_COLOR_ATTACHMENT_OUTPUT_BIT,
        .dstAccessMask = VK_ACCESS_2_COLOR_ATTACHMENT_WRITE_BIT,
        .newLayout = VK_IMAGE_LAYOUT_COLOR_ATTACHMENT_OPTIMAL,
        .srcQueueFamilyIndex = VK_QUEUE_FAMILY_IGNORED,
        .dstQueueFamilyIndex = VK_QUEUE_FAMILY_IGNORED,
        .image = b->image,
        .subresourceRange = { VK_IMAGE_ASPECT_COLOR_BIT, 0, 1, 0, 1 },
    };
    if (drawn) {
        image.srcStageMask = VK_PIPELINE_STAGE_2_COLOR_ATTACHMENT_OUTPUT_BIT;
        image.srcAccessMask = VK_ACCESS_2_COLOR_ATTACHMENT_WRITE_BIT;
        image.dstStageMask = VK_PIPELINE_STAGE_2_COPY_BIT;
        image.dstAccessMask = VK_ACCESS_2_TRANSFER_READ_BIT;
        image.oldLayout = VK_IMAGE_LAYOUT_COLOR_ATTACHMENT_OPTIMAL;
        image.newLayout = VK_IMAGE_LAYOUT_TRANSFER_SRC_OPTIMAL;
    }
    VkDependencyInfo info = {
        .sType = VK_STRUCTURE_TYPE_DEPENDENCY_INFO,
        .imageMemoryBarrierCount = 1,
        .pImageMemoryBarriers = &image,
    };
    vkCmdPipelineBarrier2(ag_vk_command_buffer(target->cmd), &info);
}

static void draw_backdrop(struct ag_hud *hud, const struct ag_target *target, struct backdrop *b)
{
    VkClearValue back = ag_draw_color(b->format, AG_COLOR_BACK);
    backdrop_barrier(b, target, false);
    ag_draw_begin(target->cmd, b->view, b->width, b->height, &back);
    fill_cards(hud, target);
    record(hud, target, false);
    vkCmdEndRendering(ag_vk_command_buffer(target->cmd));
    backdrop_barrier(b, target, true);
    b->version = hud->version;
}

bool ag_hud_backdrop(struct ag_hud *hud, const struct ag_target *target, const struct ag_view *view,
                     const struct ag_hud_input *input, struct ag_hud_actions *actions,
                     struct ag_backdrop *out, struct ag_error *err)
{
    assert(hud->placed && view->width == target->width && view->height == target->height);
    *actions = (struct ag_hud_actions){ 0 };
    if (!prepare(hud, (VkFormat)target->format, err)) {
        return false;
    }
    bool again = ag_hud_wants_draw(hud, input);
    if (!hud->formatted) {
        ag_pages_format(&hud->data, &hud->layout, hud->params.n_keys > 0, &hud->items);
        hud->formatted = true;
    }
    if (again && !rebuild(hud, input, actions, err)) {
        return false;
    }
    struct backdrop *b = find_backdrop(hud, target, err);
    if (!b) {
        return false;
    }
    if (b->version != hud->version) {
        ag_cmd_stage_begin(target->cmd, AG_STAGE_HUD);
        draw_backdrop(hud, target, b);
        ag_cmd_stage_end(target->cmd);
    }
    *out = (struct ag_backdrop){ (uint64_t)b->image, b->version };
    return true;
}

bool ag_hud_has_overlay(const struct ag_hud *hud)
{
    struct ag_ui_draw d;
    for (uint32_t i = 0; ag_ui_next_draw(hud->ui, i, &d); i++) {
        if (d.on_top && d.n_indices > 0) {
            return true;
        }
    }
    return false;
}

void ag_hud_draw(struct ag_hud *hud, const struct ag_target *target)
{
    record(hud, target, true);
}
