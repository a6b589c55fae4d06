// What the decoder kernels share: the stream a workgroup works for, and its rows.
#include "interface/model_args.h"

layout(push_constant) uniform push_block { decoder_args a; };

layout(std430, set = 0, binding = 0) readonly buffer state_block { decode_state states[]; };
layout(std430, set = 0, binding = 1) readonly buffer active_block { uint active_streams[]; };

// Workgroups along z are the streams that take part in this round. One stream is always number 0:
// every load that others wait for costs a good part of a microsecond.
uint current_stream()
{
    if (STREAMS == 1u) {
        return 0u;
    }
    return min(active_streams[a.round * STREAMS + gl_WorkGroupID.z], STREAMS - 1u);
}

// Rows of the forward: a decode round has K, a prefill P and whatever was pending. What the device
// says is never trusted to stay inside of the buffers.
uint current_rows(uint stream)
{
    if (a.round > 0u) {
        return ROUND;
    }
    return MAX_ROWS == TOKENS ? TOKENS : min(states[stream].rows, MAX_ROWS);
}
