// A window manager of one window, for tests/window.sh: fullscreen, iconify and map as toolkits ask
// for them, nothing else.
#include <stdbool.h>
#include <string.h>

#include <X11/Xatom.h>
#include <X11/Xlib.h>
#include <X11/Xutil.h>

struct wm {
    Display *display;
    Window root;
    Atom state, fullscreen, wm_state, change_state;
    int width, height;       // of the screen
    Window window;           // that was filled last
    XWindowAttributes before;
};

static void announce(struct wm *wm)
{
    Display *d = wm->display;
    Window check = XCreateSimpleWindow(d, wm->root, -1, -1, 1, 1, 0, 0, 0);
    Atom supporting = XInternAtom(d, "_NET_SUPPORTING_WM_CHECK", False);
    Atom supported[] = { supporting, wm->state, wm->fullscreen };
    XChangeProperty(d, wm->root, supporting, XA_WINDOW, 32, PropModeReplace,
                    (unsigned char *)&check, 1);
    XChangeProperty(d, check, supporting, XA_WINDOW, 32, PropModeReplace, (unsigned char *)&check,
                    1);
    XChangeProperty(d, wm->root, XInternAtom(d, "_NET_SUPPORTED", False), XA_ATOM, 32,
                    PropModeReplace, (unsigned char *)supported, 3);
}

static void set_wm_state(struct wm *wm, Window window, long state)
{
    long data[] = { state, None };
    XChangeProperty(wm->display, window, wm->wm_state, wm->wm_state, 32, PropModeReplace,
                    (unsigned char *)data, 2);
}

static void show(struct wm *wm, Window window)
{
    set_wm_state(wm, window, NormalState);
    XMapWindow(wm->display, window);
    XSync(wm->display, False);
    XSetInputFocus(wm->display, window, RevertToPointerRoot, CurrentTime);
}

static void configure(struct wm *wm, const XConfigureRequestEvent *e)
{
    XWindowChanges changes = { e->x, e->y, e->width, e->height, e->border_width, e->above,
                               e->detail };
    XConfigureWindow(wm->display, e->window, (unsigned)e->value_mask, &changes);
}

static void fill(struct wm *wm, Window window, bool on)
{
    bool filled = wm->window == window;
    if (on && !filled) {
        XGetWindowAttributes(wm->display, window, &wm->before);
        XMoveResizeWindow(wm->display, window, 0, 0, (unsigned)wm->width, (unsigned)wm->height);
    } else if (!on && filled) {
        XMoveResizeWindow(wm->display, window, wm->before.x, wm->before.y,
                          (unsigned)wm->before.width, (unsigned)wm->before.height);
    }
    wm->window = on ? window : None;
    XChangeProperty(wm->display, window, wm->state, XA_ATOM, 32, PropModeReplace,
                    (unsigned char *)&wm->fullscreen, on);
}

static void message(struct wm *wm, const XClientMessageEvent *e)
{
    bool filled = wm->window == e->window;
    if (e->message_type == wm->change_state && e->data.l[0] == IconicState) {
        set_wm_state(wm, e->window, IconicState);
        XUnmapWindow(wm->display, e->window);
    } else if (e->message_type == wm->state && ((Atom)e->data.l[1] == wm->fullscreen ||
                                                (Atom)e->data.l[2] == wm->fullscreen)) {
        fill(wm, e->window, e->data.l[0] == 2 ? !filled : e->data.l[0] == 1);
    }
}

static int ignore(Display *display, XErrorEvent *event)
{
    (void)display;
    (void)event;
    return 0; // windows vanish when they like
}

int main(void)
{
    struct wm wm = { .display = XOpenDisplay(NULL) };
    if (!wm.display) {
        return 1;
    }
    wm.root = DefaultRootWindow(wm.display);
    wm.width = DisplayWidth(wm.display, DefaultScreen(wm.display));
    wm.height = DisplayHeight(wm.display, DefaultScreen(wm.display));
    wm.state = XInternAtom(wm.display, "_NET_WM_STATE", False);
    wm.fullscreen = XInternAtom(wm.display, "_NET_WM_STATE_FULLSCREEN", False);
    wm.wm_state = XInternAtom(wm.display, "WM_STATE", False);
    wm.change_state = XInternAtom(wm.display, "WM_CHANGE_STATE", False);
    XSetErrorHandler(ignore);
    XSelectInput(wm.display, wm.root, SubstructureRedirectMask | SubstructureNotifyMask);
    announce(&wm);
    for (;;) {
        XEvent event;
        XNextEvent(wm.display, &event);
        switch (event.type) {
        case MapRequest:
            show(&wm, event.xmaprequest.window);
            break;
        case ConfigureRequest:
            configure(&wm, &event.xconfigurerequest);
            break;
        case ClientMessage:
            message(&wm, &event.xclient);
            break;
        }
    }
}
