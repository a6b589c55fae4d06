// The GPU as the stages see it: device, buffers, compute kernels, commands, one timeline.
//
// Everything on the frame path lives in storage buffers (pictures are RGBA8, one uint32 a pixel,
// R in the lowest byte, rows top to bottom without padding); there are no images below present/.
// No Vulkan name appears here; src/gpu/vk.h (private) opens the inside to gpu, hud and present.
//
// Ownership: create returns an object or NULL with *err filled; destroy takes the address of the
// pointer, accepts NULL objects and clears it. Objects may be destroyed while the GPU still uses
// them: the real destruction waits for the timeline.
// Thread-safety: one render thread; only ag_buffer_create/ag_buffer_destroy of AG_MEM_UPLOAD
// buffers may be called from another thread.
#ifndef AUTOGAZE_GPU_H
#define AUTOGAZE_GPU_H

#include "autogaze/base.h"
#include "autogaze/log.h"
#include "autogaze/timing.h"

#ifdef __cplusplus
extern "C" {
#endif

struct ag_gpu;

// ---- device ----------------------------------------------------------------------------------
struct ag_gpu_params {
    const char *device;       // --gpu: index of ag_gpu_list or part of a name; NULL: the best one,
                              // discrete, integrated, virtual, then software
    bool require_hardware;    // refuse a software device (AG_ERR_DEVICE)
    bool validation;          // Khronos validation layer with synchronisation validation; create
                              // fails when the layer is not installed
    const char *cache_dir;    // folder of the pipeline cache; NULL: none is kept
    const char *const *instance_extensions; // what a window needs (SDL's list)
    uint32_t n_instance_extensions;
    bool present;             // enable VK_KHR_swapchain
    bool guards;              // tests: a guard zone behind every DEVICE buffer, bound along with it
};

struct ag_gpu_info {
    uint32_t index;
    char name[256], driver[256], driver_info[256], vendor[64];
    const char *type;         // "discrete", "integrated", "virtual", "software", "other"
    bool software;            // every number measured on it is marked as such
    bool usable;              // meets the floor: Vulkan 1.3, VK_KHR_push_descriptor
    char missing[128];        // what it lacks if not
    uint32_t api_version;     // VK_MAKE_API_VERSION form
    uint32_t subgroup_size, max_workgroup_invocations, max_shared_bytes;
    uint64_t max_buffer_bytes; // largest storage buffer range
    uint64_t device_bytes;    // size of the largest device-local heap
    double timestamp_ns;      // a tick; 0: no timestamps
    // Optional faster rungs, enabled where they exist. cooperative_matrix: matrix units for 16 x 16
    // halves, by VK_KHR_cooperative_matrix if khr_matrix, else by NVIDIA's extension; with
    // validation by the latter only, because the layers of Debian 12 know no other. calibrated
    // (VK_EXT_calibrated_timestamps) puts device times on the host's clock.
    bool storage16, float16, int64, cooperative_matrix, khr_matrix, memory_budget, calibrated;
    uint32_t cores;           // streaming multiprocessors / compute units where known, else 0
};

// All devices, best first. Returns their number (at most max written) or -1 with *err
// (AG_ERR_DEVICE: no loader, no driver). Not while a struct ag_gpu is alive.
int ag_gpu_list(const struct ag_log *log, struct ag_gpu_info *out, int max, struct ag_error *err);

struct ag_gpu *ag_gpu_create(const struct ag_log *log, const struct ag_gpu_params *params,
                             struct ag_error *err);
void ag_gpu_destroy(struct ag_gpu **gpu); // waits for the GPU, writes the pipeline cache
const struct ag_gpu_info *ag_gpu_get_info(const struct ag_gpu *gpu);
// Bytes the driver would still give us on the device heap.
uint64_t ag_gpu_available_bytes(const struct ag_gpu *gpu);

struct ag_gpu_counters {      // since creation; tests and the summary read differences
    uint64_t validation_messages; // warnings and errors of the validation layers
    uint64_t submits;
    uint64_t dispatches;          // recorded
    uint64_t host_waits;      // calls that really blocked for the GPU
    uint64_t host_wait_ns;
    uint64_t idle_waits;      // vkDeviceWaitIdle
    uint64_t allocations;     // device memory and Vulkan host callbacks, ours
    uint64_t pipelines;       // created
    uint64_t bytes_uploaded, bytes_read_back; // by ag_cmd_copy from UPLOAD / to READBACK memory
    uint64_t device_bytes_used; // bytes in live buffers of ours
};
struct ag_gpu_counters ag_gpu_get_counters(const struct ag_gpu *gpu);

// ---- buffers ---------------------------------------------------------------------------------
enum ag_memory {
    AG_MEM_DEVICE,            // device local, not mapped
    AG_MEM_UPLOAD,            // host visible, mapped, written by the host in order
    AG_MEM_READBACK,          // host visible and cached, mapped, read by the host
    AG_MEM_MAPPED,            // as UPLOAD, but device local where the host can write there: for the
                              // little that kernels read in place
};
struct ag_buffer {            // read-only for callers
    uint64_t size;
    enum ag_memory memory;
    void *data;               // mapping; NULL for AG_MEM_DEVICE
};
// `name` shows in captures and validation messages ("model/kv"). size > 0 and at most the device's
// max_buffer_bytes, so that every buffer can be bound as a whole. New DEVICE memory is undefined;
// clear it with ag_cmd_fill. AG_ERR_DEVICE with needed and available bytes if it does not fit.
struct ag_buffer *ag_buffer_create(struct ag_gpu *gpu, enum ag_memory memory, uint64_t size,
                                   const char *name, struct ag_error *err);
void ag_buffer_destroy(struct ag_gpu *gpu, struct ag_buffer **buffer);
// With ag_gpu_params.guards: fills the guard zones of all DEVICE buffers that live; later, whether
// they have been left alone (AG_ERR_DEVICE names the first that was not). Both wait.
bool ag_gpu_set_guards(struct ag_gpu *gpu, struct ag_error *err);
bool ag_gpu_check_guards(struct ag_gpu *gpu, struct ag_error *err);
// Host writes into UPLOAD, MAPPED / GPU writes into READBACK memory become visible (non-coherent memory).
// ag_gpu_wait / ag_gpu_done say when the GPU has written.
void ag_buffer_flush(struct ag_gpu *gpu, struct ag_buffer *buffer);
void ag_buffer_invalidate(struct ag_gpu *gpu, struct ag_buffer *buffer);
// Loads `size` bytes into a DEVICE buffer at create time (staging, waits: never on the frame path).
bool ag_buffer_load(struct ag_gpu *gpu, struct ag_buffer *buffer, uint64_t offset,
                    const void *data, uint64_t size, struct ag_error *err);
// The same the other way, for tests and screenshots (waits).
bool ag_buffer_read(struct ag_gpu *gpu, struct ag_buffer *buffer, uint64_t offset, void *data,
                    uint64_t size, struct ag_error *err);

// ---- kernels ---------------------------------------------------------------------------------
// shaders/FOLDER/*.comp are embedded as `ag_shaders_FOLDER` (see shaders/CMakeLists.txt).
struct ag_shader {
    const char *name;         // "segments", variants "linear.f16"
    const uint32_t *code;
    uint32_t code_bytes;
};
struct ag_shader_library {
    const char *folder;
    const struct ag_shader *shaders;
    uint32_t n;
};
#define AG_SHADERS(folder) extern const struct ag_shader_library ag_shaders_##folder
const struct ag_shader *ag_shader_find(const struct ag_shader_library *library, const char *name);

#define AG_MAX_BINDINGS 24
#define AG_MAX_PUSH_BYTES 128

struct ag_kernel;
// Kernels use storage buffers in set 0, bindings 0..n-1, at most AG_MAX_PUSH_BYTES of push
// constants, and 32-bit specialisation constants with ids 0..n_constants-1 (also for the workgroup
// size: local_size_x_id). Bindings and push size are read from the SPIR-V. `subgroup` 0: what the
// driver likes.
struct ag_kernel_params {
    const struct ag_shader_library *library;
    const char *name;
    const uint32_t *constants;
    uint32_t n_constants;
    uint32_t subgroup;        // required subgroup size, 0 = any
};
// Returns before the pipeline is made: threads make it, or the first dispatch that needs it.
struct ag_kernel *ag_kernel_create(struct ag_gpu *gpu, const struct ag_kernel_params *params,
                                   struct ag_error *err);
void ag_kernel_destroy(struct ag_gpu *gpu, struct ag_kernel **kernel);
#define AG_CONSTANTS(...)                                                                          \
    (const uint32_t[]){ __VA_ARGS__ }, sizeof((const uint32_t[]){ __VA_ARGS__ }) / sizeof(uint32_t)

// ---- commands --------------------------------------------------------------------------------
// One queue, one timeline: every submission gets the next value. A struct ag_cmd belongs to the
// gpu's ring of AG_CMD_SLOTS and is invalid after submit.
#define AG_CMD_SLOTS 8
struct ag_cmd;
// Starts recording. Blocks (counted) only if the oldest of the AG_CMD_SLOTS is still running.
// `frame_id` comes back with the GPU times. A submission starts with a barrier behind all earlier
// ones. Every begun command must be submitted. NULL: device lost (*err).
struct ag_cmd *ag_cmd_begin(struct ag_gpu *gpu, uint64_t frame_id, struct ag_error *err);
// Returns the timeline value, 0 on failure (*err: AG_ERR_DEVICE_LOST).
uint64_t ag_cmd_submit(struct ag_cmd *cmd, struct ag_error *err);

struct ag_binding {
    const struct ag_buffer *buffer;
    uint64_t offset, size;    // bytes; size 0: to the end; offset: a multiple of 256
    uint64_t image;           // instead of a buffer, where the kernel writes an image: VkImageView
                              // as bits, in the layout GENERAL (src/present only)
};
#define AG_BIND(...)                                                                               \
    (const struct ag_binding[]){ __VA_ARGS__ },                                                    \
        (uint32_t)(sizeof((const struct ag_binding[]){ __VA_ARGS__ }) / sizeof(struct ag_binding))

// Number of bindings and push size must match the kernel (asserted). Zero groups are legal.
void ag_dispatch(struct ag_cmd *cmd, const struct ag_kernel *kernel,
                 const struct ag_binding *bindings, uint32_t n_bindings, const void *push,
                 uint32_t push_bytes, uint32_t x, uint32_t y, uint32_t z);
// Group counts are three uint32 in `args` at `offset` (a multiple of 4), written by the GPU before
// an ag_cmd_barrier_indirect.
void ag_dispatch_indirect(struct ag_cmd *cmd, const struct ag_kernel *kernel,
                          const struct ag_binding *bindings, uint32_t n_bindings,
                          const void *push, uint32_t push_bytes, const struct ag_buffer *args,
                          uint64_t offset);
// Everything written before (compute, transfer) is visible to everything after (compute,
// transfer). The only barrier there is between kernels.
void ag_cmd_barrier(struct ag_cmd *cmd);
// The same, and visible to ag_dispatch_indirect as group counts: needed once between the writing of
// `args` and their use. Twice as dear (H200: 3.4 us with its dispatch, ag_cmd_barrier 1.7 us).
void ag_cmd_barrier_indirect(struct ag_cmd *cmd);
void ag_cmd_copy(struct ag_cmd *cmd, const struct ag_buffer *dst, uint64_t dst_offset,
                 const struct ag_buffer *src, uint64_t src_offset, uint64_t size);
void ag_cmd_fill(struct ag_cmd *cmd, const struct ag_buffer *dst, uint64_t offset, uint64_t size,
                 uint32_t word);
// Makes earlier writes to READBACK memory visible to the host once the submission is done.
void ag_cmd_host_barrier(struct ag_cmd *cmd);
// Timestamps and a debug label around a stage. A stage may be entered several times in one
// submission (its times add up); stages do not nest.
void ag_cmd_stage_begin(struct ag_cmd *cmd, enum ag_stage stage);
void ag_cmd_stage_end(struct ag_cmd *cmd);

// ---- completion ------------------------------------------------------------------------------
bool ag_gpu_done(struct ag_gpu *gpu, uint64_t value); // stays false after a device loss
// Blocks until `value` has passed. false: device lost.
bool ag_gpu_wait(struct ag_gpu *gpu, uint64_t value, struct ag_error *err);
// Runs `fn(object)` on the render thread once everything submitted so far is done.
void ag_gpu_defer(struct ag_gpu *gpu, void (*fn)(void *object), void *object);

// GPU times of a finished submission, oldest first; false: none is ready. Never waits; a
// submission whose times are not available (no timestamps on this device, more than 64 stage
// entries) comes with `dropped` set and zeros. Up to 64 are kept for a caller that asks rarely.
struct ag_gpu_times {
    uint64_t frame_id, value;
    int64_t stage_ns[AG_STAGE_COUNT]; // 0: the stage did not run
    int64_t begin_ns, end_ns;         // first and last timestamp, the device's own clock
    // The same on the host's clock (ag_now_ns), and when ag_cmd_submit was called. Through
    // VK_EXT_calibrated_timestamps; without it as early as causality allows: no submission began
    // before it was submitted, none ended after it was seen to be done.
    int64_t host_begin_ns, host_end_ns, submit_ns;
    bool dropped;
};
bool ag_gpu_poll_times(struct ag_gpu *gpu, struct ag_gpu_times *out);

#ifdef __cplusplus
}
#endif
#endif
