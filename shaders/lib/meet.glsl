// The workgroups of a stream (all along x) wait for each other, without leaving the kernel. They
// must all be running: no more of them than the device has cores, one a core (gpu_model.c tests it
// at start). A single one needs nobody and works on every device.
//
// What is written before meet_arrive() is seen behind meet_wait(), but only through `coherent`
// buffers, whose loads pass by the caches of a core; the others stay cached. Work that needs nobody
// else, like asking for weights, goes between the two. The includer has
//     sync_words   coherent volatile uint [streams][SYNC_WORDS], zeros at first
#include "interface/decode_state.h"

shared uint meet_failed;
uint meet_place, meet_target; // of the stream; arrivals waited for

void meet_begin(uint stream)
{
    meet_place = stream * SYNC_WORDS;
    meet_target = 0u;
}

void meet_arrive()
{
    memoryBarrier(gl_ScopeDevice, gl_StorageSemanticsBuffer, gl_SemanticsRelease);
    barrier();
    if (gl_NumWorkGroups.x > 1u && gl_LocalInvocationIndex == 0u) {
        atomicAdd(sync_words[meet_place + SYNC_ARRIVED], 1u);
    }
}

// False once somebody has waited in vain: everybody leaves.
bool meet_wait()
{
    if (gl_NumWorkGroups.x == 1u) {
        return true;
    }
    meet_target += gl_NumWorkGroups.x;
    if (gl_LocalInvocationIndex == 0u) {
        uint spins = 0u;
        bool failed = false;
        while (int(sync_words[meet_place + SYNC_ARRIVED] - meet_target) < 0) {
            spins++;
            failed = spins > SYNC_MAX_SPINS ||
                     (spins % 64u == 0u && sync_words[meet_place + SYNC_GAVE_UP] != 0u);
            if (failed) {
                sync_words[meet_place + SYNC_GAVE_UP] = 1u;
                break;
            }
        }
        meet_failed = failed ? 1u : 0u;
    }
    barrier();
    return meet_failed == 0u;
}
