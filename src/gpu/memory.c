#include "vk.h"

#include <assert.h>
#include <stdio.h>
#include <string.h>

// Buffers on top of VMA. Every buffer has every usage bit: it costs nothing on a storage buffer
// and spares callers a flag.

#define STAGING_BYTES ((uint64_t)8 << 20)

static const VmaAllocationCreateInfo placement[] = {
    [AG_MEM_DEVICE] = {
        .flags = VMA_ALLOCATION_CREATE_WITHIN_BUDGET_BIT,
        .usage = VMA_MEMORY_USAGE_AUTO_PREFER_DEVICE,
        .requiredFlags = VK_MEMORY_PROPERTY_DEVICE_LOCAL_BIT,
    },
    [AG_MEM_UPLOAD] = {
        .flags = VMA_ALLOCATION_CREATE_MAPPED_BIT |
                 VMA_ALLOCATION_CREATE_HOST_ACCESS_SEQUENTIAL_WRITE_BIT,
        .usage = VMA_MEMORY_USAGE_AUTO_PREFER_HOST,
    },
    [AG_MEM_READBACK] = {
        .flags = VMA_ALLOCATION_CREATE_MAPPED_BIT | VMA_ALLOCATION_CREATE_HOST_ACCESS_RANDOM_BIT,
        .usage = VMA_MEMORY_USAGE_AUTO_PREFER_HOST,
    },
    [AG_MEM_MAPPED] = {
        .flags = VMA_ALLOCATION_CREATE_MAPPED_BIT |
                 VMA_ALLOCATION_CREATE_HOST_ACCESS_SEQUENTIAL_WRITE_BIT,
        .usage = VMA_MEMORY_USAGE_AUTO_PREFER_DEVICE,
    },
};

static struct ag_vk_buffer *inside(const struct ag_buffer *buffer)
{
    return (struct ag_vk_buffer *)buffer;
}

static uint32_t device_heap(const struct ag_gpu *gpu)
{
    const VkPhysicalDeviceMemoryProperties *memory;
    vmaGetMemoryProperties(gpu->allocator, &memory);
    uint32_t best = 0;
    for (uint32_t i = 0; i < memory->memoryHeapCount; i++) {
        bool local = memory->memoryHeaps[i].flags & VK_MEMORY_HEAP_DEVICE_LOCAL_BIT;
        bool best_local = memory->memoryHeaps[best].flags & VK_MEMORY_HEAP_DEVICE_LOCAL_BIT;
        if (local &&
            (!best_local || memory->memoryHeaps[i].size > memory->memoryHeaps[best].size)) {
            best = i;
        }
    }
    return best;
}

uint64_t ag_gpu_available_bytes(const struct ag_gpu *gpu)
{
    VmaBudget budgets[VK_MAX_MEMORY_HEAPS];
    vmaGetHeapBudgets(gpu->allocator, budgets);
    const VmaBudget *b = &budgets[device_heap(gpu)];
    return b->budget > b->usage ? b->budget - b->usage : 0;
}

// ---- guard zones -----------------------------------------------------------------------------
#define GUARD_BYTES 256
#define GUARD_BYTE 0xa5

// Kernels get a buffer to the end of its memory, guard included (VK_WHOLE_SIZE): what they write
// there is found. Callers see the size that they asked for.
static uint64_t guard_at(const struct ag_vk_buffer *b)
{
    return AG_ALIGN_UP(b->pub.size, 4);
}

bool ag_gpu_set_guards(struct ag_gpu *gpu, struct ag_error *err)
{
    uint8_t bytes[GUARD_BYTES];
    memset(bytes, GUARD_BYTE, sizeof(bytes));
    for (struct ag_vk_buffer *b = gpu->with_guard; b; b = b->next) {
        struct ag_vk_buffer whole = *b;
        whole.pub.size = guard_at(b) + GUARD_BYTES;
        b->guarded = ag_buffer_load(gpu, &whole.pub, guard_at(b), bytes, sizeof(bytes), err);
        if (!b->guarded) {
            return false;
        }
    }
    return true;
}

static void remember_guard(struct ag_vk_buffer *b, const char *name)
{
    snprintf(b->name, sizeof(b->name), "%s", name);
    b->next = b->gpu->with_guard;
    b->gpu->with_guard = b;
}

static void forget_guard(struct ag_vk_buffer *b)
{
    struct ag_vk_buffer **p = &b->gpu->with_guard;
    while (*p && *p != b) {
        p = &(*p)->next;
    }
    if (*p) {
        *p = b->next;
    }
}

bool ag_gpu_check_guards(struct ag_gpu *gpu, struct ag_error *err)
{
    for (struct ag_vk_buffer *b = gpu->with_guard; b; b = b->next) {
        uint8_t bytes[GUARD_BYTES];
        struct ag_vk_buffer whole = *b;
        whole.pub.size = guard_at(b) + GUARD_BYTES;
        if (!b->guarded) {
            continue; // younger than the guards
        }
        if (!ag_buffer_read(gpu, &whole.pub, guard_at(b), bytes, sizeof(bytes), err)) {
            return false;
        }
        for (uint32_t i = 0; i < GUARD_BYTES; i++) {
            if (bytes[i] != GUARD_BYTE) {
                return ag_fail(err, AG_ERR_DEVICE,
                               "a kernel wrote behind buffer '%s' of %llu bytes: byte %u after it",
                               b->name, (unsigned long long)b->pub.size, i);
            }
        }
    }
    return true;
}

// ---- life ------------------------------------------------------------------------------------
static void destroy_now(void *object)
{
    struct ag_vk_buffer *b = object;
    forget_guard(b);
    if (b->handle) {
        vmaDestroyBuffer(b->gpu->allocator, b->handle, b->allocation);
        atomic_fetch_sub(&b->gpu->device_bytes_used, b->pub.size);
    }
    ag_free(b);
}

struct ag_buffer *ag_buffer_create(struct ag_gpu *gpu, enum ag_memory memory, uint64_t size,
                                   const char *name, struct ag_error *err)
{
    assert(size > 0);
    if (size > gpu->info.max_buffer_bytes) {
        ag_fail(err, AG_ERR_DEVICE,
                "buffer '%s' needs %llu bytes, but one buffer of '%s' holds at most %llu (%llu "
                "bytes are available in all); use smaller pictures or another device (--gpu)",
                name, (unsigned long long)size, gpu->info.name,
                (unsigned long long)gpu->info.max_buffer_bytes,
                (unsigned long long)ag_gpu_available_bytes(gpu));
        return NULL;
    }
    struct ag_vk_buffer *b = ag_alloc(sizeof(*b));
    b->pub.size = size;
    b->pub.memory = memory;
    b->gpu = gpu;
    bool guarded = gpu->guards && memory == AG_MEM_DEVICE;
    VkBufferCreateInfo info = {
        .sType = VK_STRUCTURE_TYPE_BUFFER_CREATE_INFO,
        .size = guarded ? guard_at(b) + GUARD_BYTES : size,
        .usage = VK_BUFFER_USAGE_STORAGE_BUFFER_BIT | VK_BUFFER_USAGE_TRANSFER_SRC_BIT |
                 VK_BUFFER_USAGE_TRANSFER_DST_BIT | VK_BUFFER_USAGE_INDIRECT_BUFFER_BIT |
                 VK_BUFFER_USAGE_VERTEX_BUFFER_BIT | VK_BUFFER_USAGE_INDEX_BUFFER_BIT,
    };
    VmaAllocationInfo allocated;
    VkResult result = vmaCreateBuffer(gpu->allocator, &info, &placement[memory], &b->handle,
                                      &b->allocation, &allocated);
    if (result == VK_ERROR_OUT_OF_DEVICE_MEMORY || result == VK_ERROR_OUT_OF_HOST_MEMORY) {
        ag_fail(err, AG_ERR_DEVICE,
                "buffer '%s' needs %llu bytes, but only %llu are available on '%s'; close other "
                "programs that use the GPU, use smaller pictures or another device (--gpu)",
                name, (unsigned long long)size, (unsigned long long)ag_gpu_available_bytes(gpu),
                gpu->info.name);
        goto error;
    }
    VK(result);
    atomic_fetch_add(&gpu->allocations, 1);
    atomic_fetch_add(&gpu->device_bytes_used, size);
    b->pub.data = allocated.pMappedData; // NULL for AG_MEM_DEVICE: nobody asked for a mapping
    ag_vk_name(gpu, VK_OBJECT_TYPE_BUFFER, (uint64_t)b->handle, name);
    if (guarded) {
        remember_guard(b, name);
    }
    return &b->pub;

error:
    destroy_now(b);
    return NULL;
}

void ag_buffer_destroy(struct ag_gpu *gpu, struct ag_buffer **buffer)
{
    if (*buffer) {
        ag_gpu_defer(gpu, destroy_now, inside(*buffer));
        *buffer = NULL;
    }
}

void ag_buffer_flush(struct ag_gpu *gpu, struct ag_buffer *buffer)
{
    vmaFlushAllocation(gpu->allocator, inside(buffer)->allocation, 0, VK_WHOLE_SIZE);
}

void ag_buffer_invalidate(struct ag_gpu *gpu, struct ag_buffer *buffer)
{
    vmaInvalidateAllocation(gpu->allocator, inside(buffer)->allocation, 0, VK_WHOLE_SIZE);
}

// One copy submitted and waited for; its times are nobody's frame.
static bool copy_and_wait(struct ag_gpu *gpu, const struct ag_buffer *dst, uint64_t dst_offset,
                          const struct ag_buffer *src, uint64_t src_offset, uint64_t size,
                          struct ag_error *err)
{
    struct ag_cmd *cmd = ag_cmd_begin(gpu, 0, err);
    if (!cmd) {
        return false;
    }
    cmd->wants_times = false;
    ag_cmd_copy(cmd, dst, dst_offset, src, src_offset, size);
    ag_cmd_host_barrier(cmd);
    uint64_t value = ag_cmd_submit(cmd, err);
    return value && ag_gpu_wait(gpu, value, err);
}

bool ag_buffer_load(struct ag_gpu *gpu, struct ag_buffer *buffer, uint64_t offset, const void *data,
                    uint64_t size, struct ag_error *err)
{
    assert(ag_vk_inside(buffer, offset, size));
    if (size == 0) {
        return true;
    }
    uint64_t chunk = AG_MIN(size, STAGING_BYTES);
    struct ag_buffer *staging = ag_buffer_create(gpu, AG_MEM_UPLOAD, chunk, "gpu/load", err);
    bool ok = staging != NULL;
    for (uint64_t done = 0; ok && done < size; done += chunk) {
        uint64_t n = AG_MIN(chunk, size - done);
        memcpy(staging->data, (const char *)data + done, n);
        ag_buffer_flush(gpu, staging);
        ok = copy_and_wait(gpu, buffer, offset + done, staging, 0, n, err);
    }
    ag_buffer_destroy(gpu, &staging);
    return ok;
}

bool ag_buffer_read(struct ag_gpu *gpu, struct ag_buffer *buffer, uint64_t offset, void *data,
                    uint64_t size, struct ag_error *err)
{
    assert(ag_vk_inside(buffer, offset, size));
    if (size == 0) {
        return true;
    }
    uint64_t chunk = AG_MIN(size, STAGING_BYTES);
    struct ag_buffer *staging = ag_buffer_create(gpu, AG_MEM_READBACK, chunk, "gpu/read", err);
    bool ok = staging != NULL;
    for (uint64_t done = 0; ok && done < size; done += chunk) {
        uint64_t n = AG_MIN(chunk, size - done);
        ok = copy_and_wait(gpu, staging, 0, buffer, offset + done, n, err);
        if (ok) {
            ag_buffer_invalidate(gpu, staging);
            memcpy((char *)data + done, staging->data, n);
        }
    }
    ag_buffer_destroy(gpu, &staging);
    return ok;
}
