// What leaves the program while it runs: recordings, screenshots, trace and gaze file, all of them
// encoded and written on one thread of their own, the writer.
//
//     render thread                                       writer thread
//     ag_export_acquire -> picture, GPU copies into it
//     ag_export_frame / ag_export_screenshot      ---->   H.264 into mp4 or mkv / PNG
//     ag_export_report                            ---->   a line of the trace, a frame of gaze
//     ag_export_get_status                        <----   counters, notices for the person
//
// A frame never waits for the writer: a picture that finds no free slot is left out of the
// recording and counted. Runs that must be complete (lock-step, headless) ask to wait instead.
// Nothing that goes wrong with a file ends the run: it becomes a notice, and an error of
// ag_export_finish.
#ifndef AUTOGAZE_EXPORT_H
#define AUTOGAZE_EXPORT_H

#include "autogaze/log.h"
#include "autogaze/model.h"
#include "autogaze/report.h"

// ---- gaze files ------------------------------------------------------------------------------
// What the model chose, in upstream's output form (M6.1), for a vision encoder to read. B streams
// (1; tiles: one each), T frames, N slots of one stream over all frames, pads included:
//
//     gazing_pos             i64  [B,N]      id + cells*t in selection order; a pad of frame t is
//                                            cells + cells*t, as the first cell of frame t+1:
//     if_padded_gazing       bool [B,N]      only this tells pads apart
//     num_gazing_each_frame  i64  [T]        slots a frame, the same in all streams: a stream with
//                                            fewer gets more pads
//     gazing_mask_SCALE      f32  [B,T,n]    0 or 1 a cell of the scale, row-major, pads excluded;
//                                            one tensor a scale: gazing_mask_32, _64, _112, _224
//     frame_id               i64  [T]        not upstream's: number of the frame in this run, as in
//                                            the trace; t itself counts exported frames
//
// and the constants scales, frame_sampling_rate (1) and num_vision_tokens_each_frame (cells).
//
// .safetensors: the constants are strings under __metadata__ ("32+64+112+224", "1", "265"), and
// if_padded_gazing has dtype U8, which every reader knows, BOOL not. .npz (numpy.load, members
// stored without compression): the constants are arrays i64 [scales], [] and [].
// Thread-safety: one thread at a time. Add allocates now and then: on the frame path let
// ag_export_report call it.
struct ag_gaze_export;
struct ag_gaze_export_params {
    const struct ag_model_config *model; // copied; NULL (no model in this run): AG_ERR_USAGE
    uint32_t streams;                    // B, 0: as many as the first frame has tiles
    uint64_t max_bytes;                  // 0: 4 GiB, the most that zip and our own reader take
};
// `path` ends in .safetensors or .npz (else AG_ERR_USAGE). The place is tried at once
// (AG_ERR_OUTPUT), the file appears when it is closed.
struct ag_gaze_export *ag_gaze_export_open(const char *path,
                                           const struct ag_gaze_export_params *params,
                                           struct ag_error *err);
// The next frame: gaze[streams]; frame_id is that of the first stream. Frames beyond max_bytes are
// left out, and close says so.
void ag_gaze_export_add(struct ag_gaze_export *g, const struct ag_gaze *gaze);
// Writes the file, also one without frames; all of it or nothing (AG_ERR_OUTPUT). NULL: true.
bool ag_gaze_export_close(struct ag_gaze_export **g, struct ag_error *err);
void ag_gaze_export_abort(struct ag_gaze_export **g); // leaves nothing behind

// ---- the writer ------------------------------------------------------------------------------
// Thread-safety: everything below belongs to the render thread, `resize` runs there too. The writer
// has all signals blocked, SIGXFSZ included: a file that grows too large is a full disk.
struct ag_export;
struct ag_export_params {
    uint32_t slots;              // pictures at a time, on the GPU, waiting or being written. 0: 4
    bool wait;                   // ag_export_acquire waits for the writer: no frame is left out
    // Memory of a slot (READBACK memory as a rule, so that the GPU copies straight into it):
    // returns the address of `size` bytes or NULL, the old contents may go. `*handle` starts as
    // NULL; size 0 frees. NULL: plain host memory.
    void *(*resize)(void *user, void **handle, uint64_t size);
    void *user;
    // What ag_export_report feeds; NULL: nothing. Owned and closed by the writer from now on, also
    // when create fails.
    struct ag_trace *trace;
    struct ag_gaze_export *gaze; // of one stream
};
struct ag_export *ag_export_create(const struct ag_log *log, const struct ag_export_params *params,
                                   struct ag_error *err);
// Ends everything in order: writes what waits, closes recording, trace and gaze file. The first
// failure of the whole run is in *err. Every picture must have been given back by then. Waits for
// the writer; only get_status and destroy may follow.
bool ag_export_finish(struct ag_export *e, struct ag_error *err);
// Finishes too, if that was not done: a recording can be played however the program ends. Pictures
// that are still out are lost.
void ag_export_destroy(struct ag_export **e);

// ---- recordings ------------------------------------------------------------------------------
// H.264 by libx264, else MPEG-4 part 2; BT.709, limited range, 4:2:0, so a side of odd length gets
// one line more, a copy of the last. Files are written under their name as they grow and can be
// played at any moment but for the last two seconds or so: mp4 is fragmented, mkv has clusters.
// A full disk cuts the file back to its last complete piece.
struct ag_recording {
    const char *path;            // FILE.mp4 or FILE.mkv
    uint32_t width, height;      // of the pictures; one of another size is scaled to fit, with bars
    double fps;                  // nominal, 0: unknown; where timestamps are missing
    const char *encoder;         // NULL: the best there is; "libx264" or "mpeg4"
};
// Whether `path` is one to record to: AG_ERR_USAGE for other names, and in a build without FFmpeg.
bool ag_export_can_record(const char *path, struct ag_error *err);
// Opens file and encoder, makes the slots large enough. AG_ERR_OUTPUT if the file cannot be
// written, also while a recording goes on or is being ended.
bool ag_export_record(struct ag_export *e, const struct ag_recording *recording,
                      struct ag_error *err);
// No more frames are taken; the file ends after those already acquired. Does not wait.
void ag_export_stop_recording(struct ag_export *e);

// ---- pictures --------------------------------------------------------------------------------
enum ag_export_use { AG_EXPORT_FRAME, AG_EXPORT_SCREENSHOT };
#define AG_EXPORT_MAX_PICTURES 4
struct ag_export_picture {       // read-only for the caller
    uint8_t *pixels;             // RGBA8 [count][height][width], rows top to bottom, no padding
    void *memory;                // what resize returned in *handle
    uint32_t width, height;
    uint32_t count;              // pictures; a screenshot shows them side by side, a frame has one
};
// A free slot, the caller's until it is handed in or released, in any order; several may be out
// while the GPU fills them. NULL: no recording is going on (FRAME), or no slot is free, which with
// `wait` can only be when all of them are with the caller, or there is no memory. A FRAME that
// finds no slot is counted as dropped; ask again later for a SCREENSHOT.
struct ag_export_picture *ag_export_acquire(struct ag_export *e, enum ag_export_use use,
                                            uint32_t width, uint32_t height, uint32_t count);
// Hand in what was acquired for it, its pixels visible to the host. Frames are recorded in the
// order handed in; recording time starts with the first. A timestamp that does not come after the
// last one (a loop, a step back) or is negative (unknown) means one frame later.
void ag_export_frame(struct ag_export *e, struct ag_export_picture *picture, int64_t pts_ns);
void ag_export_screenshot(struct ag_export *e, struct ag_export_picture *picture,
                          const char *path);
void ag_export_release(struct ag_export *e, struct ag_export_picture *picture); // unused

// A frame for trace and gaze file (which takes those with has_gaze). Everything is copied. Waits
// when the writer is far behind (64 reports): these files are complete. Allocates nothing after
// the first report of a layout.
void ag_export_report(struct ag_export *e, const struct ag_frame_report *report);

// ---- what the person should know -------------------------------------------------------------
struct ag_export_status {
    bool recording;              // frames are taken
    // Of the recording that goes on, else of the last one.
    uint64_t frames, dropped;    // encoded; left out for want of a free slot
    int64_t duration_ns;
    uint64_t bytes;              // written so far
    uint32_t waiting;            // pictures handed in and not yet written
    uint64_t waits;              // times that the render thread waited for the writer
    uint64_t notices;            // notices so far; `notice` is the newest: one sentence, what has
    bool failure;                // been written or what went wrong (failure)
    char notice[768];
};
// No file access, no waiting. Notices also go to the log.
void ag_export_get_status(struct ag_export *e, struct ag_export_status *out);

#endif
