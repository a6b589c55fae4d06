// The inside of gpu.h, for src/gpu, src/present and src/hud only.
//
// Device functions are volk's globals as the loader dispatches them (volkLoadInstance, never
// volkLoadDevice), so several devices can live in one process.
// Thread-safety: as in gpu.h; fields marked (any thread) are atomics or under `lock`.
#ifndef AG_GPU_VK_H
#define AG_GPU_VK_H

#include <pthread.h>
#include <stdatomic.h>

#include <volk.h> // first: it declares Vulkan without prototypes
#include <vk_mem_alloc.h>

#include "autogaze/gpu.h"

#define AG_MAX_QUERIES 128 // timestamps of one submission: 64 stage entries
#define AG_MAX_TIMES 64    // finished submissions that wait for ag_gpu_poll_times
#define AG_MAX_SEMAPHORES 4
#define AG_BUFFER_ALIGN 256

struct ag_vk_buffer {
    struct ag_buffer pub; // first: the public pointer is this one
    struct ag_gpu *gpu;
    VkBuffer handle;
    VmaAllocation allocation;
    // With guards only:
    struct ag_vk_buffer *next; // of the gpu's list
    char name[48];
    bool guarded; // its guard zone is filled
};

#define AG_MAX_CONSTANTS 64
#define AG_MAX_BUILDERS 8

enum ag_kernel_state { AG_KERNEL_QUEUED, AG_KERNEL_BUILDING, AG_KERNEL_READY, AG_KERNEL_FAILED };

struct ag_kernel {
    struct ag_gpu *gpu;
    atomic_int state; // enum ag_kernel_state; written under builder.lock
    struct ag_kernel *next; // in the queue of those to build; under builder.lock
    const struct ag_shader *shader;
    uint32_t constants[AG_MAX_CONSTANTS], n_constants, subgroup;
    char name[64]; // "folder/name", for messages
    uint32_t n_bindings, push_bytes;
    uint32_t images; // bits of the bindings that are storage images
    VkDescriptorSetLayout set_layout;
    VkPipelineLayout layout;
    VkPipeline pipeline;
};

// A slot of the ring.
struct ag_cmd {
    struct ag_gpu *gpu;
    VkCommandPool pool;
    VkCommandBuffer buffer;
    VkQueryPool queries; // VK_NULL_HANDLE: no timestamps
    bool recording;
    uint64_t value; // of the last submission, 0: none yet
    int64_t submit_ns;
    uint64_t frame_id;
    const struct ag_kernel *bound;

    struct {
        uint8_t stage, begin, end; // enum ag_stage, its two queries
    } stages[AG_MAX_QUERIES / 2];
    uint32_t n_stages, n_queries;
    bool unstaged;    // something was recorded since the last stage ended
    bool draws;       // something was drawn
    bool in_stage;    // between stage_begin and stage_end
    bool overflow;    // a stage got no queries
    bool wants_times; // finished times have not been collected

    VkSemaphoreSubmitInfo waits[AG_MAX_SEMAPHORES], signals[AG_MAX_SEMAPHORES + 1];
    uint32_t n_waits, n_signals;
};

struct ag_deferred {
    uint64_t value;
    void (*fn)(void *object);
    void *object;
};

struct ag_gpu {
    const struct ag_log *log;
    struct ag_gpu_info info;
    char *cache_path;    // NULL: none
    uint64_t cache_hash; // of the data as loaded
    bool debug_utils;

    VkInstance instance;
    VkDebugUtilsMessengerEXT messenger;
    VkPhysicalDevice physical;
    VkDevice device;
    uint32_t queue_family;
    VkQueue queue;
    VkSemaphore timeline;
    VkPipelineCache pipeline_cache;
    VmaAllocator allocator;
    bool guards;
    uint64_t timestamp_mask;
    uint32_t subgroup_min, subgroup_max; // what a kernel may require; 0: nothing
    bool image_writes; // kernels can write images whose format they do not name

    // --- render thread only
    struct ag_cmd slots[AG_CMD_SLOTS];
    uint32_t next_slot;
    struct ag_vk_buffer *with_guard; // all DEVICE buffers, with guards
    uint64_t completed; // newest timeline value seen
    bool drawn;         // the last submission drew something
    struct ag_gpu_times times[AG_MAX_TIMES];
    uint32_t first_time, n_times;
    int64_t clock_offset_ns, calibrated_ns; // host minus device clock; when it was measured
    bool has_clock_offset;
    struct ag_gpu_counters counters;

    // --- threads that build pipelines (kernel.c)
    struct {
        pthread_t thread[AG_MAX_BUILDERS];
        uint32_t n;
        pthread_mutex_t lock;
        pthread_cond_t wake, built;
        struct ag_kernel *first, **last; // under lock: waiting, in order
        bool stop;
    } builder;

    // --- any thread
    atomic_bool lost; // sticky
    atomic_uint_fast64_t validation_messages, allocations, device_bytes_used;
    pthread_mutex_t lock;
    uint64_t submitted;           // under lock: newest timeline value
    uint32_t recording;           // under lock: commands begun and not submitted
    struct ag_deferred *deferred; // under lock: first come first out
    uint32_t first_deferred, n_deferred, max_deferred;
};

// Checks a Vulkan call inside a function that has `gpu`, `err` and a label `error`.
#define VK(expr)                                                                                   \
    do {                                                                                           \
        if (!ag_vk_check(gpu, (expr), #expr, __FILE__, __LINE__, err)) {                           \
            goto error;                                                                            \
        }                                                                                          \
    } while (0)
// Fills *err (or logs where err is NULL) unless `result` is VK_SUCCESS. A lost device sets
// gpu->lost and AG_ERR_DEVICE_LOST.
bool ag_vk_check(struct ag_gpu *gpu, VkResult result, const char *expr, const char *file, int line,
                 struct ag_error *err);
const char *ag_vk_result_name(VkResult result);
// false with AG_ERR_DEVICE_LOST once the device has been lost.
bool ag_vk_alive(const struct ag_gpu *gpu, struct ag_error *err);

// debug.c
VkDebugUtilsMessengerCreateInfoEXT ag_vk_messenger_info(struct ag_gpu *gpu);
void ag_vk_name(struct ag_gpu *gpu, VkObjectType type, uint64_t handle, const char *name);
void ag_vk_label_begin(struct ag_cmd *cmd, const char *name);
void ag_vk_label_end(struct ag_cmd *cmd);

// command.c
bool ag_vk_commands_create(struct ag_gpu *gpu, struct ag_error *err);
void ag_vk_commands_destroy(struct ag_gpu *gpu);
// For present/ and hud/: the command buffer to record graphics into (inside the same ring).
VkCommandBuffer ag_vk_command_buffer(struct ag_cmd *cmd);
// One memory barrier, for draws (ag_cmd_barrier knows compute and transfer only). Earlier
// submissions need none: every submission starts behind all of them, and ag_draw_begin waits for
// what they and this one did outside of draws.
void ag_vk_barrier(struct ag_cmd *cmd, VkPipelineStageFlags2 src_stages, VkAccessFlags2 src_access,
                   VkPipelineStageFlags2 dst_stages, VkAccessFlags2 dst_access);
// Everything before everything after.
void ag_vk_barrier_all(struct ag_cmd *cmd);
// Binary semaphores of the swapchain; at most AG_MAX_SEMAPHORES each per submission.
void ag_vk_cmd_wait(struct ag_cmd *cmd, VkSemaphore semaphore, VkPipelineStageFlags2 stage);
void ag_vk_cmd_signal(struct ag_cmd *cmd, VkSemaphore semaphore, VkPipelineStageFlags2 stage);
// Counted; teardown and resize only.
void ag_vk_wait_idle(struct ag_gpu *gpu);
// Runs what ag_gpu_defer has collected; `all`: the GPU is known to be idle.
void ag_vk_run_deferred(struct ag_gpu *gpu, bool all);

// kernel.c
void ag_vk_builders_create(struct ag_gpu *gpu);
void ag_vk_builders_destroy(struct ag_gpu *gpu); // what is not built yet stays unbuilt
// Waits until the pipeline is there, or builds it. false: it cannot be built (the device is lost).
bool ag_vk_kernel_ready(const struct ag_kernel *kernel);

// query.c
void ag_vk_collect_times(struct ag_cmd *cmd);

// cache.c: the pipeline cache in cache_dir; a missing or foreign file is no error.
bool ag_vk_cache_create(struct ag_gpu *gpu, const char *cache_dir, struct ag_error *err);
void ag_vk_cache_save(struct ag_gpu *gpu);

// spirv.c: what a kernel needs to know of its SPIR-V. AG_ERR_DEVICE for what kernels must not use.
struct ag_spirv_member {
    const char *name; // into the SPIR-V; "" if it has none
    uint32_t offset, bytes;
};
struct ag_spirv_info {
    uint32_t n_bindings; // storage buffers and images of set 0: highest binding + 1
    uint32_t images;     // bits of the bindings that are images
    uint32_t push_bytes; // push block: end of its last member, 0: none
    uint32_t n_members;
    struct ag_spirv_member members[AG_MAX_PUSH_BYTES / 4];
};
bool ag_spirv_reflect(const struct ag_shader *shader, struct ag_spirv_info *out,
                      struct ag_error *err);
// khr_matrix.c: a kernel in the form of VK_KHR_cooperative_matrix, to be freed; NULL: it has no
// matrices.
uint32_t *ag_spirv_khr_matrix(const struct ag_shader *shader, size_t *bytes);

static inline VkBuffer ag_vk_buffer(const struct ag_buffer *buffer)
{
    return ((const struct ag_vk_buffer *)buffer)->handle;
}

// Whether [offset, offset + size) lies in the buffer.
static inline bool ag_vk_inside(const struct ag_buffer *buffer, uint64_t offset, uint64_t size)
{
    return offset <= buffer->size && size <= buffer->size - offset;
}

#endif
