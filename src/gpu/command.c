#include "vk.h"

#include <assert.h>

// The ring of command slots, the one timeline, barriers, copies, dispatches, deferred destruction.

static bool create_slot(struct ag_gpu *gpu, struct ag_cmd *cmd, struct ag_error *err)
{
    cmd->gpu = gpu;
    VkCommandPoolCreateInfo pool = {
        .sType = VK_STRUCTURE_TYPE_COMMAND_POOL_CREATE_INFO,
        .flags = VK_COMMAND_POOL_CREATE_TRANSIENT_BIT,
        .queueFamilyIndex = gpu->queue_family,
    };
    VK(vkCreateCommandPool(gpu->device, &pool, NULL, &cmd->pool));
    VkCommandBufferAllocateInfo buffer = {
        .sType = VK_STRUCTURE_TYPE_COMMAND_BUFFER_ALLOCATE_INFO,
        .commandPool = cmd->pool,
        .level = VK_COMMAND_BUFFER_LEVEL_PRIMARY,
        .commandBufferCount = 1,
    };
    VK(vkAllocateCommandBuffers(gpu->device, &buffer, &cmd->buffer));
    if (gpu->info.timestamp_ns > 0) {
        VkQueryPoolCreateInfo queries = {
            .sType = VK_STRUCTURE_TYPE_QUERY_POOL_CREATE_INFO,
            .queryType = VK_QUERY_TYPE_TIMESTAMP,
            .queryCount = AG_MAX_QUERIES,
        };
        VK(vkCreateQueryPool(gpu->device, &queries, NULL, &cmd->queries));
    }
    return true;

error:
    return false;
}

bool ag_vk_commands_create(struct ag_gpu *gpu, struct ag_error *err)
{
    VkSemaphoreTypeCreateInfo type = {
        .sType = VK_STRUCTURE_TYPE_SEMAPHORE_TYPE_CREATE_INFO,
        .semaphoreType = VK_SEMAPHORE_TYPE_TIMELINE,
    };
    VkSemaphoreCreateInfo semaphore = {
        .sType = VK_STRUCTURE_TYPE_SEMAPHORE_CREATE_INFO,
        .pNext = &type,
    };
    VK(vkCreateSemaphore(gpu->device, &semaphore, NULL, &gpu->timeline));
    ag_vk_name(gpu, VK_OBJECT_TYPE_SEMAPHORE, (uint64_t)gpu->timeline, "gpu/timeline");
    for (uint32_t i = 0; i < AG_CMD_SLOTS; i++) {
        if (!create_slot(gpu, &gpu->slots[i], err)) {
            return false;
        }
    }
    return true;

error:
    return false;
}

void ag_vk_commands_destroy(struct ag_gpu *gpu)
{
    for (uint32_t i = 0; i < AG_CMD_SLOTS; i++) {
        vkDestroyQueryPool(gpu->device, gpu->slots[i].queries, NULL);
        vkDestroyCommandPool(gpu->device, gpu->slots[i].pool, NULL);
    }
    vkDestroySemaphore(gpu->device, gpu->timeline, NULL);
}

struct ag_cmd *ag_cmd_begin(struct ag_gpu *gpu, uint64_t frame_id, struct ag_error *err)
{
    struct ag_cmd *cmd = &gpu->slots[gpu->next_slot];
    assert(!cmd->recording);
    if (!ag_gpu_wait(gpu, cmd->value, err)) {
        return NULL;
    }
    ag_vk_collect_times(cmd); // before its queries are reset
    ag_vk_run_deferred(gpu, false);
    VK(vkResetCommandPool(gpu->device, cmd->pool, 0));
    if (cmd->queries) {
        vkResetQueryPool(gpu->device, cmd->queries, 0, AG_MAX_QUERIES);
    }
    VkCommandBufferBeginInfo begin = {
        .sType = VK_STRUCTURE_TYPE_COMMAND_BUFFER_BEGIN_INFO,
        .flags = VK_COMMAND_BUFFER_USAGE_ONE_TIME_SUBMIT_BIT,
    };
    VK(vkBeginCommandBuffer(cmd->buffer, &begin));
    gpu->next_slot = (gpu->next_slot + 1) % AG_CMD_SLOTS;
    cmd->recording = true;
    cmd->wants_times = true;
    cmd->frame_id = frame_id;
    cmd->bound = NULL;
    cmd->n_stages = cmd->n_queries = cmd->n_waits = cmd->n_signals = 0;
    cmd->in_stage = cmd->overflow = cmd->unstaged = false;
    pthread_mutex_lock(&gpu->lock);
    gpu->recording++;
    pthread_mutex_unlock(&gpu->lock);
    cmd->draws = false;
    // After all earlier submissions: callers need not think about where a submission ended. Draws
    // are rare, and waiting for all that they may touch is dear (H100: 10 us).
    if (gpu->drawn) {
        ag_vk_barrier_all(cmd);
    } else {
        ag_cmd_barrier(cmd);
    }
    return cmd;

error:
    return NULL;
}

static bool submit(struct ag_cmd *cmd, uint64_t value, struct ag_error *err)
{
    struct ag_gpu *gpu = cmd->gpu;
    if (!ag_vk_alive(gpu, err)) {
        return false;
    }
    VK(vkEndCommandBuffer(cmd->buffer));
    VkCommandBufferSubmitInfo buffer = {
        .sType = VK_STRUCTURE_TYPE_COMMAND_BUFFER_SUBMIT_INFO,
        .commandBuffer = cmd->buffer,
    };
    cmd->signals[cmd->n_signals] = (VkSemaphoreSubmitInfo){
        .sType = VK_STRUCTURE_TYPE_SEMAPHORE_SUBMIT_INFO,
        .semaphore = gpu->timeline,
        .value = value,
        .stageMask = VK_PIPELINE_STAGE_2_ALL_COMMANDS_BIT,
    };
    VkSubmitInfo2 info = {
        .sType = VK_STRUCTURE_TYPE_SUBMIT_INFO_2,
        .waitSemaphoreInfoCount = cmd->n_waits,
        .pWaitSemaphoreInfos = cmd->waits,
        .commandBufferInfoCount = 1,
        .pCommandBufferInfos = &buffer,
        .signalSemaphoreInfoCount = cmd->n_signals + 1,
        .pSignalSemaphoreInfos = cmd->signals,
    };
    VK(vkQueueSubmit2(gpu->queue, 1, &info, VK_NULL_HANDLE));
    return true;

error:
    // Semaphores and stages hang on this submission: there is no way on without it.
    gpu->lost = true;
    return false;
}

uint64_t ag_cmd_submit(struct ag_cmd *cmd, struct ag_error *err)
{
    struct ag_gpu *gpu = cmd->gpu;
    assert(cmd->recording && !cmd->in_stage);
    uint64_t value = gpu->submitted + 1; // only this thread writes it
    cmd->submit_ns = ag_now_ns();
    bool ok = submit(cmd, value, err);
    cmd->recording = false;
    pthread_mutex_lock(&gpu->lock);
    gpu->recording--;
    gpu->submitted += ok;
    pthread_mutex_unlock(&gpu->lock);
    gpu->drawn = cmd->draws;
    if (!ok) {
        cmd->wants_times = false;
        return 0;
    }
    cmd->value = value;
    gpu->counters.submits++;
    return value;
}

VkCommandBuffer ag_vk_command_buffer(struct ag_cmd *cmd)
{
    cmd->bound = NULL; // the caller binds pipelines of its own
    cmd->unstaged = true;
    return cmd->buffer;
}

static VkSemaphoreSubmitInfo binary(VkSemaphore semaphore, VkPipelineStageFlags2 stage)
{
    return (VkSemaphoreSubmitInfo){
        .sType = VK_STRUCTURE_TYPE_SEMAPHORE_SUBMIT_INFO,
        .semaphore = semaphore,
        .stageMask = stage,
    };
}

void ag_vk_cmd_wait(struct ag_cmd *cmd, VkSemaphore semaphore, VkPipelineStageFlags2 stage)
{
    assert(cmd->recording && cmd->n_waits < AG_MAX_SEMAPHORES);
    cmd->waits[cmd->n_waits++] = binary(semaphore, stage);
}

void ag_vk_cmd_signal(struct ag_cmd *cmd, VkSemaphore semaphore, VkPipelineStageFlags2 stage)
{
    assert(cmd->recording && cmd->n_signals < AG_MAX_SEMAPHORES);
    cmd->signals[cmd->n_signals++] = binary(semaphore, stage);
}

// ---- barriers and copies ---------------------------------------------------------------------

#define COMPUTE_AND_TRANSFER                                                                       \
    (VK_PIPELINE_STAGE_2_COMPUTE_SHADER_BIT | VK_PIPELINE_STAGE_2_ALL_TRANSFER_BIT)
#define READS (VK_ACCESS_2_SHADER_READ_BIT | VK_ACCESS_2_TRANSFER_READ_BIT)
#define WRITES (VK_ACCESS_2_SHADER_WRITE_BIT | VK_ACCESS_2_TRANSFER_WRITE_BIT)

void ag_vk_barrier(struct ag_cmd *cmd, VkPipelineStageFlags2 src_stages, VkAccessFlags2 src_access,
                   VkPipelineStageFlags2 dst_stages, VkAccessFlags2 dst_access)
{
    assert(cmd->recording);
    VkMemoryBarrier2 memory = {
        .sType = VK_STRUCTURE_TYPE_MEMORY_BARRIER_2,
        .srcStageMask = src_stages,
        .srcAccessMask = src_access,
        .dstStageMask = dst_stages,
        .dstAccessMask = dst_access,
    };
    VkDependencyInfo info = {
        .sType = VK_STRUCTURE_TYPE_DEPENDENCY_INFO,
        .memoryBarrierCount = 1,
        .pMemoryBarriers = &memory,
    };
    vkCmdPipelineBarrier2(cmd->buffer, &info);
}

void ag_vk_barrier_all(struct ag_cmd *cmd)
{
    ag_vk_barrier(cmd, VK_PIPELINE_STAGE_2_ALL_COMMANDS_BIT, VK_ACCESS_2_MEMORY_WRITE_BIT,
                  VK_PIPELINE_STAGE_2_ALL_COMMANDS_BIT,
                  VK_ACCESS_2_MEMORY_READ_BIT | VK_ACCESS_2_MEMORY_WRITE_BIT);
}

void ag_cmd_barrier(struct ag_cmd *cmd)
{
    ag_vk_barrier(cmd, COMPUTE_AND_TRANSFER, WRITES, COMPUTE_AND_TRANSFER, READS | WRITES);
}

void ag_cmd_barrier_indirect(struct ag_cmd *cmd)
{
    ag_vk_barrier(cmd, COMPUTE_AND_TRANSFER, WRITES,
                  COMPUTE_AND_TRANSFER | VK_PIPELINE_STAGE_2_DRAW_INDIRECT_BIT,
                  READS | WRITES | VK_ACCESS_2_INDIRECT_COMMAND_READ_BIT);
}

void ag_cmd_host_barrier(struct ag_cmd *cmd)
{
    ag_vk_barrier(cmd, COMPUTE_AND_TRANSFER, WRITES, VK_PIPELINE_STAGE_2_HOST_BIT,
                  VK_ACCESS_2_HOST_READ_BIT);
}

void ag_cmd_copy(struct ag_cmd *cmd, const struct ag_buffer *dst, uint64_t dst_offset,
                 const struct ag_buffer *src, uint64_t src_offset, uint64_t size)
{
    assert(cmd->recording);
    assert(ag_vk_inside(dst, dst_offset, size) && ag_vk_inside(src, src_offset, size));
    if (size == 0) {
        return;
    }
    cmd->unstaged = true;
    VkBufferCopy region = { .srcOffset = src_offset, .dstOffset = dst_offset, .size = size };
    vkCmdCopyBuffer(cmd->buffer, ag_vk_buffer(src), ag_vk_buffer(dst), 1, &region);
    struct ag_gpu_counters *counters = &cmd->gpu->counters;
    counters->bytes_uploaded += src->memory == AG_MEM_UPLOAD ? size : 0;
    counters->bytes_read_back += dst->memory == AG_MEM_READBACK ? size : 0;
}

void ag_cmd_fill(struct ag_cmd *cmd, const struct ag_buffer *dst, uint64_t offset, uint64_t size,
                 uint32_t word)
{
    assert(cmd->recording && ag_vk_inside(dst, offset, size) && offset % 4 == 0 && size % 4 == 0);
    if (size > 0) {
        cmd->unstaged = true;
        vkCmdFillBuffer(cmd->buffer, ag_vk_buffer(dst), offset, size, word);
    }
}

// ---- dispatches ------------------------------------------------------------------------------

static bool bind(struct ag_cmd *cmd, const struct ag_kernel *kernel,
                 const struct ag_binding *bindings, uint32_t n_bindings, const void *push,
                 uint32_t push_bytes)
{
    assert(cmd->recording);
    assert(n_bindings == kernel->n_bindings && push_bytes == kernel->push_bytes);
    if (!ag_vk_kernel_ready(kernel)) {
        return false; // the submission will say that the device is lost
    }
    cmd->unstaged = true;
    if (cmd->bound != kernel) {
        vkCmdBindPipeline(cmd->buffer, VK_PIPELINE_BIND_POINT_COMPUTE, kernel->pipeline);
        cmd->bound = kernel;
    }
    VkDescriptorBufferInfo buffers[AG_MAX_BINDINGS];
    VkDescriptorImageInfo images[AG_MAX_BINDINGS];
    VkWriteDescriptorSet writes[AG_MAX_BINDINGS];
    for (uint32_t i = 0; i < n_bindings; i++) {
        const struct ag_binding *b = &bindings[i];
        writes[i] = (VkWriteDescriptorSet){
            .sType = VK_STRUCTURE_TYPE_WRITE_DESCRIPTOR_SET,
            .dstBinding = i,
            .descriptorCount = 1,
        };
        assert((b->image != 0) == (kernel->images >> i & 1));
        if (b->image) {
            images[i] = (VkDescriptorImageInfo){
                .imageView = (VkImageView)b->image,
                .imageLayout = VK_IMAGE_LAYOUT_GENERAL,
            };
            writes[i].descriptorType = VK_DESCRIPTOR_TYPE_STORAGE_IMAGE;
            writes[i].pImageInfo = &images[i];
            continue;
        }
        assert(b->offset % AG_BUFFER_ALIGN == 0 && b->offset < b->buffer->size);
        assert(ag_vk_inside(b->buffer, b->offset, b->size));
        buffers[i] = (VkDescriptorBufferInfo){
            .buffer = ag_vk_buffer(b->buffer),
            .offset = b->offset,
            .range = b->size ? b->size : VK_WHOLE_SIZE,
        };
        writes[i].descriptorType = VK_DESCRIPTOR_TYPE_STORAGE_BUFFER;
        writes[i].pBufferInfo = &buffers[i];
    }
    if (n_bindings > 0) {
        vkCmdPushDescriptorSetKHR(cmd->buffer, VK_PIPELINE_BIND_POINT_COMPUTE, kernel->layout, 0,
                                  n_bindings, writes);
    }
    if (push_bytes > 0) {
        vkCmdPushConstants(cmd->buffer, kernel->layout, VK_SHADER_STAGE_COMPUTE_BIT, 0, push_bytes,
                           push);
    }
    return true;
}

void ag_dispatch(struct ag_cmd *cmd, const struct ag_kernel *kernel,
                 const struct ag_binding *bindings, uint32_t n_bindings, const void *push,
                 uint32_t push_bytes, uint32_t x, uint32_t y, uint32_t z)
{
    if (bind(cmd, kernel, bindings, n_bindings, push, push_bytes)) {
        vkCmdDispatch(cmd->buffer, x, y, z);
    cmd->gpu->counters.dispatches++;
    }
}

void ag_dispatch_indirect(struct ag_cmd *cmd, const struct ag_kernel *kernel,
                          const struct ag_binding *bindings, uint32_t n_bindings, const void *push,
                          uint32_t push_bytes, const struct ag_buffer *args, uint64_t offset)
{
    assert(offset % 4 == 0 && ag_vk_inside(args, offset, sizeof(VkDispatchIndirectCommand)));
    if (bind(cmd, kernel, bindings, n_bindings, push, push_bytes)) {
        vkCmdDispatchIndirect(cmd->buffer, ag_vk_buffer(args), offset);
    cmd->gpu->counters.dispatches++;
    }
}

// ---- completion ------------------------------------------------------------------------------

bool ag_gpu_done(struct ag_gpu *gpu, uint64_t value)
{
    if (value <= gpu->completed) {
        return true;
    }
    struct ag_error *err = NULL;
    if (gpu->lost) {
        return false;
    }
    VK(vkGetSemaphoreCounterValue(gpu->device, gpu->timeline, &gpu->completed));
    return value <= gpu->completed;

error:
    return false;
}

bool ag_gpu_wait(struct ag_gpu *gpu, uint64_t value, struct ag_error *err)
{
    assert(value <= gpu->submitted);
    if (!ag_vk_alive(gpu, err)) {
        return false;
    }
    if (ag_gpu_done(gpu, value)) {
        return true;
    }
    VkSemaphoreWaitInfo info = {
        .sType = VK_STRUCTURE_TYPE_SEMAPHORE_WAIT_INFO,
        .semaphoreCount = 1,
        .pSemaphores = &gpu->timeline,
        .pValues = &value,
    };
    int64_t start = ag_now_ns();
    VkResult result = vkWaitSemaphores(gpu->device, &info, UINT64_MAX);
    gpu->counters.host_waits++;
    gpu->counters.host_wait_ns += (uint64_t)(ag_now_ns() - start);
    VK(result);
    gpu->completed = AG_MAX(gpu->completed, value);
    return true;

error:
    return false;
}

void ag_vk_wait_idle(struct ag_gpu *gpu)
{
    struct ag_error *err = NULL;
    gpu->counters.idle_waits++;
    VK(vkDeviceWaitIdle(gpu->device));
    gpu->completed = gpu->submitted;
error:
    return;
}

void ag_gpu_defer(struct ag_gpu *gpu, void (*fn)(void *object), void *object)
{
    pthread_mutex_lock(&gpu->lock);
    if (gpu->first_deferred + gpu->n_deferred == gpu->max_deferred) {
        // Close the gap in front; grow only when there is hardly one.
        for (uint32_t i = 0; i < gpu->n_deferred; i++) {
            gpu->deferred[i] = gpu->deferred[gpu->first_deferred + i];
        }
        gpu->first_deferred = 0;
        if (gpu->n_deferred * 2 >= gpu->max_deferred) {
            gpu->max_deferred = AG_MAX(256, gpu->max_deferred * 2);
            gpu->deferred = ag_realloc(gpu->deferred, gpu->max_deferred * sizeof(gpu->deferred[0]));
        }
    }
    // Commands being recorded may use the object: wait for them, too.
    gpu->deferred[gpu->first_deferred + gpu->n_deferred++] = (struct ag_deferred){
        .value = gpu->submitted + gpu->recording,
        .fn = fn,
        .object = object,
    };
    pthread_mutex_unlock(&gpu->lock);
}

static bool take_deferred(struct ag_gpu *gpu, bool all, struct ag_deferred *out)
{
    pthread_mutex_lock(&gpu->lock);
    bool found = gpu->n_deferred > 0;
    if (found) {
        *out = gpu->deferred[gpu->first_deferred];
        found = all || out->value <= gpu->completed;
    }
    if (found) {
        gpu->n_deferred--;
        gpu->first_deferred = gpu->n_deferred ? gpu->first_deferred + 1 : 0;
    }
    pthread_mutex_unlock(&gpu->lock);
    return found;
}

void ag_vk_run_deferred(struct ag_gpu *gpu, bool all)
{
    struct ag_deferred d;
    while (take_deferred(gpu, all, &d)) {
        d.fn(d.object); // unlocked: it may defer more
    }
}
