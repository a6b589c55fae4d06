// Sources of frames behind one driver table: video, camera, image, synthetic.
//
// A driver is a const struct in src/source/<name>.c and one line in source.c. It runs on the source
// thread, meets the rest of the program only in the ring, and knows nothing of GPU or windows.
// Thread-safety: one thread at a time per source.
#ifndef AUTOGAZE_SOURCE_H
#define AUTOGAZE_SOURCE_H

#include "autogaze/frame.h"
#include "autogaze/log.h"

struct ag_source_params {
    // Name in the table; NULL: chosen from `uri`: /dev/video* is a camera, a file with the name of
    // a still picture (.png, .jpg, ...) or a folder is an image, everything else video.
    const char *driver;
    const char *uri;           // file, URL, "-" (standard input), image, folder of images (shown
                               // one after the other, at `fps`), "lavfi:GRAPH"; camera:
                               // device ("lavfi:GRAPH" works here, too) or NULL for the first that
                               // opens
    double fps;                // synthetic and image: frames a second of the timestamps (30)
    // synthetic: size, 0x0 is 1280x720, one axis alone gives the other at 16:9; camera: wished size,
    // 0 = any (again one axis gives the other)
    uint32_t width, height;
    const char *camera_format; // wished pixel or codec name, NULL: MJPEG, YUYV, then any
    double camera_fps;         // 0: 30
    bool loop;                 // start again at the end (ids go on, discontinuity is set)
    double start_s;            // seek there first
    uint32_t decoder_threads;  // 0: automatic
    const char *allow_protocols; // for URLs, NULL: FFmpeg's defaults
    const char *raw;           // "WxH:FORMAT" for raw frames on standard input
};

struct ag_source_info {
    const char *driver;        // "video", "camera", "image", "synthetic-pan", ...
    char description[256];     // "clip.mp4: h264 1280x720 yuv420p 29.97 fps 10.0 s", what was granted
    bool live;                 // cannot wait: newest frame wins (camera)
    bool seekable;
    uint32_t width, height;
    double fps;                // nominal, 0 unknown
    int64_t duration_ns;       // -1 unknown
};

enum ag_next {
    AG_NEXT_FRAME,
    AG_NEXT_END,   // after the last frame, and after ag_source_interrupt
    AG_NEXT_AGAIN, // nothing yet, ask again: live input, and a long seek once in a while
    AG_NEXT_ERROR, // *err says what; the source gives no more frames unless a seek helps
};

struct ag_source;
// Fails with one sentence, within 5 s if the input gives nothing at all: AG_ERR_INPUT, or
// AG_ERR_USAGE for an unknown driver or when nothing is named.
struct ag_source *ag_source_open(const struct ag_log *log, const struct ag_source_params *params,
                                 struct ag_error *err);
void ag_source_close(struct ag_source **s);
struct ag_source_info ag_source_get_info(const struct ag_source *s);

// Decodes the next frame: everything of *out but `id` and `data`, which are the ring's. `bytes` says
// how much memory ag_source_read needs (0: AG_PIXEL_GENERATED); layout offsets refer to that memory.
// Sides are at most AG_MAX_FRAME_SIDE. Errors in the middle of a stream that
// can be skipped are skipped (logged once); AG_NEXT_ERROR ends the source.
enum ag_next ag_source_next(struct ag_source *s, struct ag_frame *out, struct ag_error *err);
// Copies the samples of the frame that ag_source_next just returned. `dst` is write-combined
// memory as a rule: written once, in order, never read.
void ag_source_read(struct ag_source *s, uint8_t *dst);
// The next frame is the first with pts >= ns (exact). false: not seekable.
bool ag_source_seek(struct ag_source *s, int64_t pts_ns, struct ag_error *err);
// The next frame is the last with pts < ns (exact), the first of all where there is none. Costs as
// much as seeking to ns and back.
bool ag_source_seek_before(struct ag_source *s, int64_t pts_ns, struct ag_error *err);
void ag_source_set_loop(struct ag_source *s, bool loop);
// Asks a blocking ag_source_next (network, FIFO) to give up, for good; callable from any thread.
void ag_source_interrupt(struct ag_source *s);

// A sentence for the person since the last call, if there is one: a camera that is gone or back,
// what was granted. With it ag_source_get_info may have changed. Same thread as ag_source_next.
bool ag_source_notice(struct ag_source *s, char *out, size_t size);

// Cameras that are there, with what they say they can do.
struct ag_camera_mode {
    char format[16];           // as --camera-format takes it, or a code that FFmpeg cannot read
    bool usable;
    uint32_t width, height;
    double fps;                // one of its rates, 0 unknown
};
struct ag_camera {
    char device[32], name[32];
    char why[128];             // not empty: it cannot be asked, and why
    struct ag_camera_mode *modes; // sizes and rates of a format follow each other
    int n_modes;
};
int ag_camera_list(struct ag_camera **cameras); // how many
void ag_camera_list_free(struct ag_camera *cameras, int n);

// Kinds of files, by their names.
enum ag_media { AG_MEDIA_OTHER, AG_MEDIA_PICTURE, AG_MEDIA_VIDEO };
enum ag_media ag_media_kind(const char *path);
// Files of that kind in a folder, sorted as a person would (frame2 before frame10). Returns their
// number, -1 with *err where the folder cannot be read; free names with ag_media_free.
int ag_media_list(const char *folder, enum ag_media kind, char ***paths, struct ag_error *err);
void ag_media_free(char **paths, int n);

// The table, for --help and contract tests.
struct ag_source_listing {
    const char *name, *help;
};
int ag_source_drivers(struct ag_source_listing *out, int max);

// Draws a synthetic frame (RGBA8) in plain C, bit-exact to the specification: the twin of
// shaders/source/generate.comp.
void ag_pattern_draw(enum ag_pattern pattern, uint32_t index, uint32_t width, uint32_t height,
                     uint8_t *rgba);
// What shaders/source/generate.comp needs for a frame: its push block, and for pan, pulse and local
// motion ag_pattern_table_floats() floats of a table (see generate_args.h; mapped memory will do: it
// is written in order and never read). Allocates nothing. The other patterns leave the table alone,
// it may be NULL then.
struct generate_args;
uint64_t ag_pattern_table_floats(enum ag_pattern pattern, uint32_t width, uint32_t height);
void ag_pattern_prepare(enum ag_pattern pattern, uint32_t index, uint32_t width, uint32_t height,
                        struct generate_args *args, float *table);
const char *ag_pattern_name(enum ag_pattern pattern); // "synthetic-pan"

#endif
