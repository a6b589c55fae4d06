// Counts the workgroups that ran.
#version 450

layout(local_size_x_id = 0, local_size_y = 1, local_size_z = 1) in;

layout(std430, set = 0, binding = 0) buffer Counter { uint groups; };

void main()
{
    if (gl_LocalInvocationIndex == 0) {
        atomicAdd(groups, 1);
    }
}
