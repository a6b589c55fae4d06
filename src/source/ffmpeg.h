// One decoded video stream of anything FFmpeg opens: what the drivers video and camera share.
#ifndef AG_SOURCE_FFMPEG_H
#define AG_SOURCE_FFMPEG_H

#include <libavcodec/avcodec.h>
#include <libavformat/avformat.h>

#include "driver.h"
#include "layout.h"

struct ff_target {
    const char *format;    // demuxer, NULL: probed
    const char *url;       // what FFmpeg opens
    const char *name;      // what messages call it
    int fd;                // >= 0: read from here, url only names it; closed with the stream
    AVDictionary *options; // consumed by ff_open
    int threads;           // of the decoder, 0 automatic
    bool live;             // never blocks, no look-ahead
};

struct ff_stream {
    const struct source_env *env;
    char *name;
    AVFormatContext *fmt;
    AVIOContext *pipe; // around a file descriptor, else NULL
    AVStream *stream;
    AVCodecContext *codec;
    AVPacket *packet;
    AVFrame *frame; // the last one decoded
    struct ff_picture picture;
    bool open;
    bool live;
    bool timed;           // the stream has timestamps, elementary streams do not
    bool draining;        // the container has ended, the decoder has not
    int read_error;       // why it has ended, 0: properly
    uint64_t frames;      // decoded so far
    uint64_t damaged;     // packets and frames skipped
    int damaged_in_a_row; // packets the container could not give
    int64_t base;         // timestamp that counts as zero, AV_NOPTS_VALUE: the first frame's
    int64_t last_pts_ns;  // of the last frame
    // While opening: gives up when no byte has come for a while.
    int64_t deadline_ns, seen_bytes;
    bool timed_out;
    int error; // FFmpeg's code of a failed ff_open
};

// Process-wide preparations; FFmpeg's messages go to `log` at verbose level until ff_log_release.
// There is one such log at a time, the last one set: FFmpeg's logger is global.
void ff_log_acquire(const struct ag_log *log);
void ff_log_release(const struct ag_log *log);

// False with *err; s is to be closed in either case.
bool ff_open(struct ff_stream *s, const struct source_env *env, struct ff_target *target,
             struct ag_error *err);
void ff_close(struct ff_stream *s);

// Decodes the next frame into s->frame.
enum ag_next ff_next(struct ff_stream *s, struct ag_error *err);
// Its position in nanoseconds from the beginning.
int64_t ff_pts_ns(struct ff_stream *s);
// Fills *out from s->frame and sets s->picture.
bool ff_describe(struct ff_stream *s, struct ag_frame *out, struct ag_error *err);
// To the key frame at or before a position; false: the container cannot, or has no timestamps.
bool ff_seek(struct ff_stream *s, int64_t pts_ns);

double ff_fps(const struct ff_stream *s);
void ff_fill_info(const struct ff_stream *s, struct ag_source_info *info);
// FFmpeg's reason in words.
struct ff_reason {
    char text[128];
};
struct ff_reason ff_reason(int error);

// An AVIOContext on a file descriptor that waits for data in an interruptible way.
AVIOContext *ff_pipe_open(int fd, const AVIOInterruptCB *interrupt);
void ff_pipe_close(AVIOContext **pipe);

// First frame of a picture file in RGBA8 (ag_free).
bool ff_load_still(const struct source_env *env, const char *path, uint8_t **rgba, uint32_t *width,
                   uint32_t *height, bool *alpha);

#endif
