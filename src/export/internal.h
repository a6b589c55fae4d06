// What the files of export/ share.
#ifndef AG_EXPORT_INTERNAL_H
#define AG_EXPORT_INTERNAL_H

#include "autogaze/export.h"

// Whether a frame of so many streams belongs into the file: the first one says how many there are.
bool gaze_export_takes(struct ag_gaze_export *g, uint32_t streams);

// ---- a recording being written (recorder.c; no_recorder.c in builds without FFmpeg) -------------
// Opened on the render thread, then the writer's.
struct recorder;
struct recorder *recorder_open(const struct ag_log *log, const struct ag_recording *recording,
                               struct ag_error *err);
// Encodes a picture, RGBA8 without padding. false: the recording cannot go on; close it.
bool recorder_add(struct recorder *r, const uint8_t *pixels, uint32_t width, uint32_t height,
                  int64_t pts_ns);

struct recorder_info {
    uint64_t frames; // encoded; after a failure: those that can be played
    int64_t duration_ns;
    uint64_t bytes;
};
struct recorder_info recorder_get_info(const struct recorder *r);
// Completes the file, or after a failure cuts it back to what can be played. A file without a frame
// is removed. One sentence in *err, or about what was written in `report`.
bool recorder_close(struct recorder **r, struct recorder_info *out, char *report, size_t size,
                    struct ag_error *err);

#endif
