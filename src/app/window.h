// The window's state, shared by its loop (window.c) and its keys (input.c).
#ifndef AG_APP_WINDOW_H
#define AG_APP_WINDOW_H

#include <SDL2/SDL.h>

#include "playlist.h"
#include "session.h"

#define MAX_CLICKS 16

struct click {               // a mouse button went down or up
    float x, y;              // window units
    bool down;
};

struct window {
    const struct ag_log *log;
    const struct ag_config *config;
    struct ag_config own;     // `config` with the item of the list that plays first
    struct playlist list, dropped; // what plays; what is being dropped on the window
    SDL_Window *sdl;
    struct ag_gpu *gpu;
    struct ag_pipeline *pipeline;
    struct ag_screen *screen;
    struct session session;
    char model[64];           // name in use, as ag_model_list has it
    uint64_t composed;        // ticks that made a frame
    bool has_wish;            // the timeline asks for a place while an earlier seek is under way
    int64_t wished_ns;
    bool quit;                // the person wants to leave
    bool ended;               // the source has ended
    bool failed;              // the source or a model failed: the last picture stays
    struct ag_error output;   // --record could not begin: the run goes on
    bool redraw;              // something that only the window knows has changed
    char notice[768];         // of the pipeline, shown last
    struct click clicks[MAX_CLICKS]; // not yet shown to the HUD: one a frame, none is lost
    uint32_t n_clicks;
    bool mouse_down;          // as the HUD knows it
    bool dragging;            // a picture or the divider
    enum ag_view_layout back; // layout that a solo panel came from
};

// Shows a sentence; errors stay until a key is pressed.
void window_notice(struct window *w, const char *text, bool error);

// Plays the item `direction` further (0: this one anew, at the beginning); what cannot be opened is
// passed over, with its sentence. False: nothing can.
bool window_open_item(struct window *w, int direction);
// Goes to a place in the file; says so where it cannot.
void window_seek(struct window *w, int64_t pts_ns);

// Keys of the table, for the help overlay. `out` is filled with at most `max`; returns how many.
uint32_t input_keys(struct ag_hud_key *out, uint32_t max);
// Key presses (SDL_KEYDOWN) and characters (SDL_TEXTINPUT).
void input_event(struct window *w, const SDL_Event *event);
void input_switch_source(struct window *w);

#endif
