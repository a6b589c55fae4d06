// What a frame of one stream leaves behind on the device, read late by the host.
// Layout of a stream's block: struct gaze_result, ids [cells] (EOS = pad), losses [cells] float.
#ifndef AG_INTERFACE_GAZE_RESULT_H
#define AG_INTERFACE_GAZE_RESULT_H

#include "interface/lang.h"

struct gaze_result {
    U32 slots, rounds, valid; // slots include pads
    U32 position;             // next RoPE position after this frame (context `frames`)
    U32 cached;               // tokens in the cache
    U32 chunk_start;          // the stream was reset before this frame
    U32 frame_low, frame_high;
    U32 record;               // how many frames had been recorded before this one (wraps)
};
ABI_SIZE(gaze_result, 36);

#define GAZE_RESULT_IDS 9u    // word of the first id
#define GAZE_RESULT_WORDS(cells) (9u + 2u * (cells))

#endif
