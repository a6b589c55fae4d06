#include "record_file.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <libavformat/avformat.h>
#include <libavutil/mem.h>

#define BUFFER_SIZE 65536

#if LIBAVFORMAT_VERSION_MAJOR < 61
typedef uint8_t io_byte;
#else
typedef const uint8_t io_byte;
#endif

// Writes all of it where it belongs; false with f->error, which keeps the first cause.
static bool put(struct record_file *f, const uint8_t *data, int64_t size, int64_t position)
{
    while (size > 0) {
        ssize_t n = pwrite(f->fd, data, (size_t)size, position);
        if (n < 0 && errno == EINTR) {
            continue;
        }
        if (n <= 0) {
            if (!f->error) {
                f->error = n < 0 ? errno : EIO;
            }
            return false;
        }
        data += n;
        size -= n;
        position += n;
    }
    return true;
}

static int on_write(void *opaque, io_byte *data, int size)
{
    struct record_file *f = opaque;
    int64_t position = f->position;
    f->position += size;
    if (!f->error && put(f, data, size, position)) {
        f->size = AG_MAX(f->size, f->position);
    } else if (position < f->complete) {
        put(f, data, AG_MIN(size, f->complete - position), position);
    }
    return size;
}

static int64_t on_seek(void *opaque, int64_t offset, int whence)
{
    struct record_file *f = opaque;
    if (whence == AVSEEK_SIZE) {
        return f->size;
    }
    if (whence != SEEK_SET) { // avio_seek makes SEEK_SET of the others
        return AVERROR(EINVAL);
    }
    f->position = offset;
    return offset;
}

bool record_file_open(struct record_file *f, const char *path, struct ag_error *err)
{
    *f = (struct record_file){ .fd = -1 };
    struct stat st;
    if (stat(path, &st) == 0 && !S_ISREG(st.st_mode) && !S_ISDIR(st.st_mode)) {
        return ag_fail(err, AG_ERR_OUTPUT,
                       "cannot record to '%s': it is a device or a pipe, expected a file", path);
    }
    struct ag_output *probe = ag_output_open(path, err); // makes folders, says what is wrong
    if (!probe) {
        return false;
    }
    ag_output_abort(&probe);
    f->fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
    if (f->fd < 0) {
        return ag_fail(err, AG_ERR_OUTPUT, "cannot write '%s': %s", path, strerror(errno));
    }
    f->path = ag_strdup(path);
    uint8_t *buffer = av_malloc(BUFFER_SIZE);
    f->io = buffer ? avio_alloc_context(buffer, BUFFER_SIZE, 1, f, NULL, on_write, on_seek) : NULL;
    if (!f->io) {
        av_free(buffer);
        record_file_close(f, true);
        return ag_fail(err, AG_ERR_OUTPUT, "cannot write '%s': no memory", path);
    }
    return true;
}

bool record_file_mark(struct record_file *f)
{
    avio_flush(f->io);
    if (!f->error) {
        f->complete = f->size;
    }
    return !f->error;
}

void record_file_rewind(struct record_file *f)
{
    avio_seek(f->io, f->complete, SEEK_SET);
    if (ftruncate(f->fd, f->complete) == 0) {
        f->size = f->complete;
    }
}

void record_file_close(struct record_file *f, bool remove)
{
    if (f->io) {
        avio_flush(f->io);
        av_freep(&f->io->buffer);
        avio_context_free(&f->io);
    }
    if (f->fd >= 0 && close(f->fd) != 0 && !f->error) {
        f->error = errno;
    }
    f->fd = -1;
    if (remove && f->path) {
        unlink(f->path);
    }
    ag_free(f->path);
    f->path = NULL;
}
