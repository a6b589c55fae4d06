// A source frame on its way to the GPU: samples in host memory, an id and two times.
// Noun only: no functions with state.
#ifndef AUTOGAZE_FRAME_H
#define AUTOGAZE_FRAME_H

#include "autogaze/base.h"
#include "interface/pixel_layout.h"

#define AG_MAX_FRAME_SIDE 16384

// Synthetic patterns of the pipeline specification, section 2, and its deterministic test frames.
enum ag_pattern {
    AG_PATTERN_PAN,
    AG_PATTERN_PULSE,
    AG_PATTERN_LOCAL_MOTION,
    AG_PATTERN_NOISE,
    AG_PATTERN_CHECKER_PAN,
    AG_PATTERN_BENCH,   // 2.4 viewer bench frame f
    AG_PATTERN_COUNT
};

struct ag_frame {
    uint64_t id;             // strictly increasing over a run, first frame 1
    int64_t pts_ns;          // position in the source; -1: unknown
    int64_t capture_ns;      // ag_now_ns() when it left the camera or decoder
    int64_t source_ns;       // time that decoding or capturing took
    uint32_t width, height;  // of the samples, before rotation
    uint32_t rotation;       // clockwise quarter turns to show it upright: 0..3
    bool mirrored;           // left and right are exchanged before that
    uint32_t sar_num, sar_den; // pixel aspect ratio, 1:1 unless the stream says otherwise
    bool discontinuity;      // first frame after open, seek, loop or a size change
    struct pixel_layout layout; // into `data`
    const uint8_t *data;     // samples; NULL for AG_PIXEL_GENERATED
    uint64_t bytes;          // of the samples with the gaps between planes: what crosses the bus
    enum ag_pattern pattern; // AG_PIXEL_GENERATED: what to draw
    uint32_t index;          // and its frame index
};

#endif
