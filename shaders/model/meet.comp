// Start-up test of shaders/lib/meet.glsl: in every turn each workgroup leaves a word and looks at
// those of all others. SYNC_WRONG counts what was not seen.
// Workgroups: as many as shall meet, 1, 1.
#version 450
#extension GL_GOOGLE_include_directive : require
#extension GL_KHR_memory_scope_semantics : require
#include "lib/model.glsl"
#include "interface/model_args.h"

layout(push_constant) uniform push_block { meet_args a; };

// [SYNC_WORDS]
layout(std430, set = 0, binding = 0) coherent volatile buffer sync_block { uint sync_words[]; };
layout(std430, set = 0, binding = 1) coherent buffer word_block { uint words[]; }; // [workgroups]

#include "lib/meet.glsl"

void main()
{
    uint n = gl_NumWorkGroups.x, me = gl_WorkGroupID.x, t = gl_LocalInvocationIndex;
    meet_begin(0u);
    for (uint turn = 1u; turn <= a.turns; turn++) {
        if (t == GROUP - 1u) {
            words[me] = turn * 1000u + me;
        }
        meet_arrive();
        meet_wait();
        for (uint i = t; i < n; i += GROUP) {
            if (words[i] != turn * 1000u + i) {
                atomicAdd(sync_words[SYNC_WRONG], 1u);
            }
        }
        meet_arrive();
        meet_wait();
        if (meet_lost()) {
            return;
        }
    }
    if (t == 0u) {
        atomicAdd(sync_words[SYNC_DONE], 1u);
    }
}
