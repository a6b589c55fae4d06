// Push blocks of the model kernels (shaders/model).
#ifndef AG_INTERFACE_MODEL_ARGS_H
#define AG_INTERFACE_MODEL_ARGS_H

#include "interface/decode_state.h"
#include "interface/lang.h"

// ---- vision ----------------------------------------------------------------------------------
// Pictures of one frame that go through the patch convolution together.
#define IMAGE_FRAME 0u
#define IMAGE_CANVAS 1u
#define IMAGE_PREVIOUS 2u
#define IMAGE_COUNT 3u

#define MAX_TAPS 16u           // frames a trunk block sees at most
#define NO_SLOT 0xffffffffu    // a tap whose input is not known: zeros

struct patch_args {            // patch.comp, features.comp
    U32 n_images;
    U32 image[3];              // IMAGE_*
    U32 slot[3];               // where its features go
};
ABI_SIZE(patch_args, 28);

struct trunk_args {            // trunk.comp; relu.comp (slot[0]: where the output goes)
    U32 block;
    U32 slot[16];              // [MAX_TAPS] slot of each tap, oldest first, or NO_SLOT
};
ABI_SIZE(trunk_args, 68);

struct vision_args {           // vision.comp: as above
    U32 n_images;
    U32 image[3];
    U32 slot[3];
    U32 block;
    U32 tap[16];               // [MAX_TAPS]
};
ABI_SIZE(vision_args, 96);

#define VISION_ALL 0u          // which part of it a kernel is
#define VISION_PATCH 1u
#define VISION_TRUNK 2u
#define VISION_PROJECT 3u

#define VISION_NORMED 0u       // its counters, a stream: row tiles of features that are done,
#define VISION_TRUNKS 1u       // pieces of the trunk,
#define VISION_LEFT 2u         // workgroups that need them no more;
#define VISION_COUNTERS 4u     // behind them pieces of a row tile of patches, [pictures][row tiles]

// ---- decoder ---------------------------------------------------------------------------------
struct decoder_args {          // qkv, attention, attn_out, mlp_in, mlp_out, tail, heads, project
    U32 round;                 // 0: prefill
    U32 last;                  // 1: only the last row matters (last layer)
    U32 parts;                 // qkv, heads: 1: x lies as the partial sums that tail.comp leaves
};
ABI_SIZE(decoder_args, 12);

struct begin_args {            // begin.comp, one workgroup
    U32 reset;                 // forget everything
    U32 chunk_start;           // value reported for this frame
    U32 slide;                 // policy SLIDE: drop the oldest frames
    U32 budget;
    U32 rounds;                // rounds that will be recorded, the prefill included
    U32 max_splits;            // pieces that the keys of the prefill are cut into at most
    U32 prefill;               // 1: prefill.comp will run
};
ABI_SIZE(begin_args, 28);

struct select_args {           // select.comp
    U32 round, rounds;         // this one, number recorded
    U32 budget;
    U32 threshold_on;
    F32 threshold;
    U32 forced;                // 1: read the forced ids
    U32 forced_rounds;         // capacity of the forced block, rounds
    U32 slide;                 // keep frame lengths
    U32 max_splits;            // the same for the next round
    U32 frame_low, frame_high, record; // for the result
    U32 groups[8];             // [DECODE_OPS] workgroups along x of the next round
};
ABI_SIZE(select_args, 80);

struct decode_args {           // decode.comp, decode_matrix.comp, prefill.comp
    U32 first_round, end_round; // the rounds to run, if the frame goes on so long; of round 0, the
                               // prefill, decode_matrix.comp makes the logits and the selection
    U32 rounds;                // from here as in select_args
    U32 budget;
    U32 threshold_on;
    F32 threshold;
    U32 forced, forced_rounds;
    U32 slide;
    U32 max_splits;
    U32 frame_low, frame_high, record;
    U32 layers;
    U32 at_qkv, at_attn_out, at_mlp_in, at_mlp_out; // weights of layer 0, in words of weight[]
    U32 layer_stride;          // from a layer's weights to the next one's
    U32 at_heads;
    U32 cache_stride;          // four values, from a layer's keys or values to the next one's
    U32 logits_stride;         // words, from a round's logits (TRACE) or keys to the next one's
    U32 hidden_stride;         // four floats, likewise
    U32 keys_at;               // words, the keys of two rounds by turns (decode_matrix.comp)
    U32 parts;                 // as in decoder_args, behind the prefill
    U32 first_layer, end_layer; // prefill.comp: to run; behind the last layer come the heads
    U32 first_task, end_task;  // of each layer
};
ABI_SIZE(decode_args, 116);

struct meet_args {             // meet.comp
    U32 turns;
};
ABI_SIZE(meet_args, 4);

#endif
