// What the decoder keeps on the device between frames and between rounds, and the arguments of its
// indirect dispatches. The host writes none of it; begin.comp and select.comp do.
//
// A *forward* runs `rows` tokens through the decoder: the prefill of a frame (pending ids, then
// the vision tokens) or a decode round (the K ids of the round before). Pads are never fed, so a
// token's place in the sequence, its RoPE position in a prefill and the number of tokens before it
// are one number. The sequence never restarts within a stream: policy SLIDE moves `first`.
#ifndef AG_INTERFACE_DECODE_STATE_H
#define AG_INTERFACE_DECODE_STATE_H

#include "interface/lang.h"

#define DECODE_MAX_ROUND 32u   // K at most (AG_MAX_ROUND)

// One a stream.
struct decode_state {
    U32 position;              // tokens cached since the last reset = place of the next row 0
    U32 first;                 // oldest token still in the cache; token t lies in slot t % capacity
    U32 rows;                  // rows of the coming forward; 0 once the frame has ended
    U32 rope_first;            // RoPE position of row 0 (decode rounds: that of the prefill's tail)
    U32 base;                  // position after the prefill of this frame
    U32 slots, rounds, valid;  // of this frame so far
    U32 splits, split_keys;    // the coming attention: pieces of the keys, keys a piece
    U32 n_pending;             // valid ids of the last round, not cached yet; their embeddings
                               // stand in rows 0.. of x
    U32 n_frames, frame_at;    // frame lengths kept, ring index of the oldest
    U32 chunk_start;           // the stream was reset before this frame
    U32 turns, picks;          // rounds that decode_matrix.comp has run and selections it has made
                               // since its buffers were zeros
    U32 prefills;              // frames that prefill.comp has run for, the coming one too
    U32 reserved0, reserved1, reserved2;
};
ABI_SIZE(decode_state, 80);

// Arguments of the indirect dispatches of one round. Cleared by begin.comp; written by the
// selection before it, but only for the streams that go on: after the stop all are zero. Round 0,
// the prefill, has none.
#define DECODE_QKV 0u
#define DECODE_ATTENTION 1u
#define DECODE_LAST_ATTENTION 2u // last layer: the last row only
#define DECODE_ATTN_OUT 3u
#define DECODE_MLP_IN 4u
#define DECODE_MLP_OUT 5u
#define DECODE_HEADS 6u
#define DECODE_SELECT 7u
#define DECODE_OPS 8u

#define DECODE_ROUND_WORDS 32u // DECODE_OPS * 3 group counts, number of active streams, padding
#define DECODE_ACTIVE 24u      // word of the number of active streams
// The numbers of the active streams themselves: uint [rounds + 1][streams].

// Where the workgroups of a stream meet inside of a kernel (shaders/lib/meet.glsl), one block a
// stream and cache line, zeros when the kernel starts.
#define SYNC_ARRIVED 0u
#define SYNC_GAVE_UP 1u        // 1: somebody waited in vain
#define SYNC_WRONG 2u          // meet.comp: words not seen
#define SYNC_DONE 3u           // meet.comp: workgroups that came through
#define SYNC_WORDS 32u
#define SYNC_MAX_SPINS 1000000u // about a second

// Teacher forcing (ag_gpu_gaze_job.forced), uint32 words, a stream:
//     number of rounds, then a round: number of slots, K ids (EOS = pad)
// What the model picked is replaced by these before it is fed back; the frame ends with the last
// forced round. Logits and losses are not touched.
#define FORCED_WORDS(rounds, k) (1u + (rounds) * ((k) + 1u))

#endif
