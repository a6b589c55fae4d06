// FFmpeg's pixel formats in our terms: where the samples of a decoded frame lie once its planes are
// copied tightly, and which formats have to be converted first.
#ifndef AG_SOURCE_LAYOUT_H
#define AG_SOURCE_LAYOUT_H

#include <libavutil/frame.h>

#include "autogaze/base.h"

#include "interface/pixel_layout.h"

struct SwsContext;

struct ff_planes {
    struct pixel_layout layout; // colours not set
    uint32_t n;
    struct {
        uint32_t offset, pitch, row_bytes, rows;
    } plane[4];
    uint64_t bytes; // behind the last plane
};

// False: the format cannot be described (palette, bit stream, big endian, float, less than 8 bits,
// hardware surface); swscale turns such frames into RGBA first.
bool ff_planes_native(enum AVPixelFormat format, uint32_t width, uint32_t height,
                      struct ff_planes *out);

// A frame on its way into memory.
struct ff_picture {
    struct SwsContext *sws; // for formats that are not native
    AVFrame *converted;
    const AVFrame *frame; // what ff_picture_copy copies
    struct ff_planes planes;
    enum AVPixelFormat format; // what the planes were worked out for
    int width, height;
};

// Describes `frame`, which must stay alive until it is copied; allocates only when the format or
// the size changes. Colours the stream does not state: 601 below 720 lines, else 709; video range,
// but full range for grey and yuvj formats.
bool ff_picture_set(struct ff_picture *picture, const AVFrame *frame, struct ag_error *err);
void ff_picture_copy(const struct ff_picture *picture, uint8_t *dst);
void ff_picture_clear(struct ff_picture *picture);

#endif
