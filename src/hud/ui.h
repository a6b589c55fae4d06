// Dear ImGui behind C: a canvas for text and shapes, two widgets, and the triangles that come out.
// The only C++ is imgui.cpp. Positions are target pixels, colours RGBA8 with R in the lowest byte.
// Memory goes through ag_alloc; a frame like the last one allocates nothing.
// Thread-safety: render thread.
#ifndef AG_HUD_UI_H
#define AG_HUD_UI_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

struct ag_ui;
struct ag_ui *ag_ui_create(void);
void ag_ui_destroy(struct ag_ui **ui);

enum ag_ui_font { AG_FONT_BODY, AG_FONT_BIG, AG_FONT_COUNT };
// Bakes the fonts for a body text of `px` pixels; the atlas is one byte a texel and valid until the
// next call.
struct ag_ui_atlas {
    const uint8_t *texels;
    uint32_t width, height;
};
struct ag_ui_atlas ag_ui_set_font(struct ag_ui *ui, float px);
float ag_ui_advance(const struct ag_ui *ui, enum ag_ui_font font); // of every character
float ag_ui_height(const struct ag_ui *ui, enum ag_ui_font font);  // of a line

struct ag_ui_input {
    float mouse_x, mouse_y;
    bool mouse_down;
};
void ag_ui_begin(struct ag_ui *ui, uint32_t width, uint32_t height, float seconds,
                 const struct ag_ui_input *input);

void ag_ui_text(struct ag_ui *ui, enum ag_ui_font font, float x, float y, uint32_t color,
                const char *text, size_t length);
void ag_ui_fill(struct ag_ui *ui, float x, float y, float width, float height, float rounding,
                uint32_t color);
void ag_ui_outline(struct ag_ui *ui, float x, float y, float width, float height, float rounding,
                   uint32_t color);
void ag_ui_triangle(struct ag_ui *ui, float x0, float y0, float x1, float y1, float x2, float y2,
                    uint32_t color);
// Points as x, y pairs.
void ag_ui_curve(struct ag_ui *ui, const float *xy, uint32_t n, float thickness, uint32_t color);
// What follows lies over everything before it, widgets included.
void ag_ui_on_top(struct ag_ui *ui);
void ag_ui_clip(struct ag_ui *ui, float x, float y, float width, float height);
void ag_ui_unclip(struct ag_ui *ui);

struct ag_ui_widget { // how a widget is shown
    bool hovered, active;
};
// Invisible areas that follow the mouse; drawing is the caller's.
// While the mouse holds it: `*at` is the mouse's place from 0 to 1, returns true.
bool ag_ui_slider(struct ag_ui *ui, const char *name, float x, float y, float width, float height,
                  double *at, struct ag_ui_widget *state);
bool ag_ui_button(struct ag_ui *ui, const char *name, float x, float y, float width, float height,
                  struct ag_ui_widget *state);

// Ends the frame. Vertices are struct ag_ui_vertex, indices 16 bits.
struct ag_ui_vertex {
    float x, y, u, v;
    uint32_t color;
};
struct ag_ui_mesh {
    uint32_t n_vertices, n_indices;
};
struct ag_ui_mesh ag_ui_end(struct ag_ui *ui);
void ag_ui_copy(struct ag_ui *ui, struct ag_ui_vertex *vertices, uint16_t *indices);
// Draw i of the frame, false: there is none.
struct ag_ui_draw {
    uint32_t first_index, n_indices, first_vertex;
    int32_t x, y, width, height; // clip, inside of the target
    bool on_top;                 // came after ag_ui_on_top
};
bool ag_ui_next_draw(struct ag_ui *ui, uint32_t i, struct ag_ui_draw *out);

#ifdef __cplusplus
}
#endif
#endif
