// Shared by the files of the HUD: metrics, blocks, the formatted items, the copied data.
#ifndef AG_HUD_INTERNAL_H
#define AG_HUD_INTERNAL_H

#include "autogaze/hud.h"
#include "ui.h"

// ---- colours: RGBA8, R in the lowest byte ----------------------------------------------------
#define AG_RGB(r, g, b) ((uint32_t)(r) | (uint32_t)(g) << 8 | (uint32_t)(b) << 16 | 0xff000000u)
#define AG_ALPHA(color, a) (((color) & 0xffffffu) | (uint32_t)(a) << 24)
#define AG_COLOR_BACK   AG_RGB(14, 16, 20)
#define AG_COLOR_PANEL  AG_RGB(30, 33, 40) // behind transparent pixels
#define AG_COLOR_CARD   AG_RGB(22, 25, 31)
#define AG_COLOR_LINE   AG_RGB(44, 49, 59)
#define AG_COLOR_FAINT  AG_RGB(78, 85, 98)
#define AG_COLOR_LABEL  AG_RGB(139, 148, 164)
#define AG_COLOR_TEXT   AG_RGB(222, 227, 235)
#define AG_COLOR_GOLD   AG_RGB(255, 214, 64)
#define AG_COLOR_BLUE   AG_RGB(140, 230, 255) // gaze
#define AG_COLOR_GREEN  AG_RGB(178, 255, 153) // PSNR
#define AG_COLOR_WARN   AG_RGB(255, 160, 72)
#define AG_COLOR_BAD    AG_RGB(255, 107, 107)

// ---- pages as lists of blocks ----------------------------------------------------------------
enum ag_block_kind {
    AG_BLOCK_RATE, AG_BLOCK_GAZE, AG_BLOCK_PSNR, AG_BLOCK_COST, AG_BLOCK_RUN, AG_BLOCK_CONTROL,
    AG_BLOCK_NOW, AG_BLOCK_TABLE, AG_BLOCK_GRAPH, AG_BLOCK_TOTALS, AG_BLOCK_GRIDS, AG_BLOCK_LOSS,
    AG_BLOCK_IDS, AG_BLOCK_KINDS
};
#define AG_MAX_BLOCKS 8

struct ag_metrics {          // of the body font, pixels
    int32_t cell, line;      // advance of a character, distance of rows
    int32_t pad, gap;        // inside of cards, between things
    int32_t height;          // of the letters' box
    float big_cell;          // the same of the big font
    int32_t big_height;
};
struct ag_block {            // a card on the screen
    enum ag_block_kind kind;
    struct ag_rect rect;     // with padding
};
struct ag_page_layout {
    struct ag_view view;
    struct ag_block blocks[AG_MAX_BLOCKS];
    uint32_t n_blocks;
};
void ag_page_place(enum ag_hud_page page, const struct ag_metrics *m, uint32_t width,
                   uint32_t height, const struct ag_shape *picture, enum ag_view_layout pictures,
                   struct ag_page_layout *out);

// ---- what has been formatted -----------------------------------------------------------------
enum ag_item_kind {
    AG_ITEM_TEXT, AG_ITEM_FILL, AG_ITEM_CORNERS, AG_ITEM_TRIANGLE, AG_ITEM_CURVE, AG_ITEM_SLIDER,
    AG_ITEM_BUTTON, AG_ITEM_TIMELINE
};
#define AG_ITEM_CHARS 96
struct ag_item {
    uint8_t kind, font;
    uint16_t length;         // of the text in bytes; CURVE: points
    uint32_t color;
    float x, y, width, height; // target pixels; TRIANGLE: points right; CURVE: x = first point,
    char text[AG_ITEM_CHARS];
};
#define AG_MAX_ITEMS 1536
#define AG_MAX_POINTS (4 * AG_HUD_HISTORY)
#define AG_MAX_SHOWN_IDS 2048

struct ag_hud_copy {         // ag_hud_data by value
    bool has_stats, has_run, has_report, has_gaze; // the last gaze stays until there is another
    bool chunk_started;      // since the update before
    struct ag_hud_data d;
    struct ag_stats_snapshot stats;
    struct ag_run_info run;
    struct ag_frame_report report;
    float interval_ms[AG_HUD_HISTORY], gpu_ms[AG_HUD_HISTORY];
    uint32_t ids[AG_MAX_SHOWN_IDS];
    float losses[AG_MAX_SHOWN_IDS];
    uint8_t selected[AG_MAX_CELLS / 8]; // bit a cell
    struct ag_gaze gaze;
    char style[32], geometry[32], output[32];
};

struct ag_items {
    struct ag_metrics m;
    struct ag_item list[AG_MAX_ITEMS + 1]; // the last one takes what does not fit
    uint32_t n;
    float points[AG_MAX_POINTS * 2];
    uint32_t n_points;
};
void ag_pages_format(const struct ag_hud_copy *data, const struct ag_page_layout *layout,
                     bool has_help, struct ag_items *out);

// ---- timeline (timeline.c): a bar in the status row; a click seeks -----------------------------
struct ag_timeline {
    bool held;
    int64_t wished_ns;       // while it is held
};
// Places the bar between the text and the hint of the status row; nothing where there is no room or
// the source cannot seek.
void ag_timeline_format(const struct ag_hud_copy *data, const struct ag_view *view,
                        struct ag_items *out);
void ag_timeline_draw(struct ag_timeline *t, struct ag_ui *ui, const struct ag_item *item,
                      const struct ag_hud_data *data, struct ag_hud_actions *actions);

// ---- numbers of S7.1 -------------------------------------------------------------------------
#define AG_NUMBER_CHARS 16
void ag_format_number(char out[AG_NUMBER_CHARS], double v);  // "034.2" "  inf" "---.-"
void ag_format_ms(char out[AG_NUMBER_CHARS], double v);      // " 12.345", 7 characters
void ag_format_clock(char out[AG_NUMBER_CHARS], int64_t ns); // "01:02.3"
#define AG_QUALITY_CHARS 24
void ag_format_quality(char out[AG_QUALITY_CHARS], double v, bool db, bool off); // "034.0 dB"
// Bytes of the first `columns` characters of UTF-8 text; `*cut`: there are more.
size_t ag_text_prefix(const char *text, size_t columns, bool *cut);
size_t ag_text_columns(const char *text);

#endif
