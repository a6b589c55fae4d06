// Pipes, FIFOs and standard input for FFmpeg. Its own protocols block in open(2) or read(2), where
// nothing reaches them; here every wait looks at the interrupt callback ten times a second.
#include "ffmpeg.h"

#include <errno.h>
#include <poll.h>
#include <unistd.h>

#define BUFFER_BYTES (1 << 16)
#define TICK_MS 100

struct pipe_reader {
    int fd;
    AVIOInterruptCB interrupt;
};

static int read_some(void *opaque, uint8_t *buffer, int size)
{
    struct pipe_reader *p = opaque;
    for (;;) {
        if (p->interrupt.callback(p->interrupt.opaque)) {
            return AVERROR_EXIT;
        }
        struct pollfd poll_fd = { .fd = p->fd, .events = POLLIN };
        if (poll(&poll_fd, 1, TICK_MS) <= 0) {
            continue;
        }
        ssize_t n = read(p->fd, buffer, (size_t)size);
        if (n > 0) {
            return (int)n;
        }
        if (n == 0) {
            return AVERROR_EOF;
        }
        if (errno != EAGAIN && errno != EINTR) {
            return AVERROR(errno);
        }
    }
}

AVIOContext *ff_pipe_open(int fd, const AVIOInterruptCB *interrupt)
{
    struct pipe_reader *p = ag_alloc(sizeof(*p));
    *p = (struct pipe_reader){ fd, *interrupt };
    uint8_t *buffer = av_malloc(BUFFER_BYTES);
    AVIOContext *avio =
        buffer ? avio_alloc_context(buffer, BUFFER_BYTES, 0, p, read_some, NULL, NULL) : NULL;
    if (!avio) {
        av_free(buffer);
        close(fd);
        ag_free(p);
    }
    return avio;
}

void ff_pipe_close(AVIOContext **pipe)
{
    if (*pipe) {
        struct pipe_reader *p = (*pipe)->opaque;
        close(p->fd);
        ag_free(p);
        av_freep(&(*pipe)->buffer);
        avio_context_free(pipe);
    }
}
