// The workgroups of a stream (all along x) wait for each other, without leaving the kernel. They
// must all be running: no more of them than the device has cores, one a core (gpu_model.c tests it
// at start). A single one needs nobody and works on every device.
//
// Who has waited in vain (meet_lost()) waits no more and should leave soon; what it reads is
// worthless. What is written before meet_arrive() is seen behind meet_wait(), but only through
// `coherent` buffers, whose loads pass by the caches of a core; the others stay cached. Work that
// needs nobody else, like asking for weights, goes between the two. The includer has
//     sync_words   coherent volatile uint [streams][SYNC_WORDS], zeros at first
// or MEET_WORDS: it waits by lib/words.glsl alone.
#include "interface/decode_state.h"
#include "lib/fence.glsl"

shared uint meet_failed;
uint meet_place, meet_target; // of the stream; arrivals that meet_wait() waits for

void meet_begin(uint stream)
{
    meet_place = stream * SYNC_WORDS;
    meet_target = 0u;
    if (gl_LocalInvocationIndex == 0u) {
        meet_failed = 0u;
    }
}

bool meet_lost()
{
    return meet_failed != 0u;
}

#ifndef MEET_WORDS

// One more at a counter (SYNC_*) ...
void meet_arrive(uint counter)
{
    hand_over_rest();
    if (gl_NumWorkGroups.x > 1u && gl_LocalInvocationIndex == 0u) {
        atomicAdd(sync_words[meet_place + counter], 1u);
    }
}

// ... and as many as `target` since the kernel began.
void meet_wait(uint counter, uint target)
{
    if (gl_NumWorkGroups.x > 1u && gl_LocalInvocationIndex == 0u) {
        uint spins = 0u;
        bool failed = meet_failed != 0u;
        while (!failed && int(sync_words[meet_place + counter] - target) < 0) {
            spins++;
            failed = spins > SYNC_MAX_SPINS ||
                     (spins % 64u == 0u && sync_words[meet_place + SYNC_GAVE_UP] != 0u);
            if (failed) {
                sync_words[meet_place + SYNC_GAVE_UP] = 1u;
                meet_failed = 1u;
            }
        }
    }
    barrier();
}

// All workgroups.
void meet_arrive()
{
    meet_arrive(SYNC_ARRIVED);
}

void meet_wait()
{
    meet_target += gl_NumWorkGroups.x;
    meet_wait(SYNC_ARRIVED, meet_target);
}
#endif
