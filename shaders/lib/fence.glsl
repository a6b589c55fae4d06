// All of a workgroup: what one of them has written, the others see.
void meet_inside()
{
    controlBarrier(gl_ScopeWorkgroup, gl_ScopeWorkgroup,
                   gl_StorageSemanticsBuffer | gl_StorageSemanticsShared,
                   gl_SemanticsAcquireRelease);
}

// Likewise; and whoever sees what invocation 0 writes next, or any of them behind the workgroup's
// next barrier, sees in other workgroups whatever was written before.
void hand_over_rest()
{
    meet_inside();
    if (gl_NumWorkGroups.x > 1u && gl_LocalInvocationIndex == 0u) {
        memoryBarrier(gl_ScopeDevice, gl_StorageSemanticsBuffer, gl_SemanticsRelease);
    }
}
