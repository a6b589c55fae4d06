// Drops files on a window the way a file manager does (XDND), for tests/window.sh:
//     drop_files WINDOW-ID FILE...
// Exits with 0 once the window has taken them.
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <X11/Xatom.h>
#include <X11/Xlib.h>

#define TRIES 300 // of 10 ms

static Display *display;
static Window source, target;

static Atom atom(const char *name)
{
    return XInternAtom(display, name, False);
}

static void say(const char *what, long b, long c, long d, long e)
{
    XClientMessageEvent m = { .type = ClientMessage, .display = display, .window = target,
                              .message_type = atom(what), .format = 32 };
    long data[5] = { (long)source, b, c, d, e };
    memcpy(m.data.l, data, sizeof(data));
    XSendEvent(display, target, False, NoEventMask, (XEvent *)&m);
    XFlush(display);
}

static void hand_over(const XSelectionRequestEvent *r, const char *list)
{
    XChangeProperty(display, r->requestor, r->property, r->target, 8, PropModeReplace,
                    (const unsigned char *)list, (int)strlen(list));
    XSelectionEvent answer = { .type = SelectionNotify, .display = display,
                               .requestor = r->requestor, .selection = r->selection,
                               .target = r->target, .property = r->property, .time = r->time };
    XSendEvent(display, r->requestor, False, NoEventMask, (XEvent *)&answer);
    XFlush(display);
}

int main(int argc, char **argv)
{
    char list[4096] = "";
    for (int i = 2; i < argc; i++) {
        char path[1024];
        if (!realpath(argv[i], path) || strlen(list) + strlen(path) + 16 > sizeof(list)) {
            return 1;
        }
        snprintf(list + strlen(list), sizeof(list) - strlen(list), "file://%s\r\n", path);
    }
    display = XOpenDisplay(NULL);
    if (argc < 3 || !display) {
        return 1;
    }
    target = (Window)strtoul(argv[1], NULL, 0);
    source = XCreateSimpleWindow(display, DefaultRootWindow(display), -9, -9, 1, 1, 0, 0, 0);
    XSetSelectionOwner(display, atom("XdndSelection"), source, CurrentTime);
    say("XdndEnter", 5l << 24, (long)atom("text/uri-list"), 0, 0);
    say("XdndPosition", 0, 100l << 16 | 100, CurrentTime, (long)atom("XdndActionCopy"));
    for (int i = 0; i < TRIES; i++) {
        while (XPending(display)) {
            XEvent e;
            XNextEvent(display, &e);
            if (e.type == SelectionRequest) {
                hand_over(&e.xselectionrequest, list);
            } else if (e.type == ClientMessage && e.xclient.message_type == atom("XdndStatus")) {
                say("XdndDrop", 0, CurrentTime, 0, 0);
            } else if (e.type == ClientMessage && e.xclient.message_type == atom("XdndFinished")) {
                return 0;
            }
        }
        usleep(10000);
    }
    return 1;
}
