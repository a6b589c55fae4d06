#include "vk.h"

#include <assert.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

// Compute pipelines with push descriptors; their layout follows from the SPIR-V.

const struct ag_shader *ag_shader_find(const struct ag_shader_library *library, const char *name)
{
    for (uint32_t i = 0; i < library->n; i++) {
        if (strcmp(library->shaders[i].name, name) == 0) {
            return &library->shaders[i];
        }
    }
    return NULL;
}

static bool create_layout(struct ag_gpu *gpu, struct ag_kernel *k, struct ag_error *err)
{
    VkDescriptorSetLayoutBinding bindings[AG_MAX_BINDINGS];
    for (uint32_t i = 0; i < k->n_bindings; i++) {
        bindings[i] = (VkDescriptorSetLayoutBinding){
            .binding = i,
            .descriptorType = k->images >> i & 1 ? VK_DESCRIPTOR_TYPE_STORAGE_IMAGE
                                                 : VK_DESCRIPTOR_TYPE_STORAGE_BUFFER,
            .descriptorCount = 1,
            .stageFlags = VK_SHADER_STAGE_COMPUTE_BIT,
        };
    }
    VkDescriptorSetLayoutCreateInfo set = {
        .sType = VK_STRUCTURE_TYPE_DESCRIPTOR_SET_LAYOUT_CREATE_INFO,
        .flags = VK_DESCRIPTOR_SET_LAYOUT_CREATE_PUSH_DESCRIPTOR_BIT_KHR,
        .bindingCount = k->n_bindings,
        .pBindings = bindings,
    };
    VK(vkCreateDescriptorSetLayout(gpu->device, &set, NULL, &k->set_layout));
    VkPushConstantRange push = {
        .stageFlags = VK_SHADER_STAGE_COMPUTE_BIT,
        .size = k->push_bytes,
    };
    VkPipelineLayoutCreateInfo layout = {
        .sType = VK_STRUCTURE_TYPE_PIPELINE_LAYOUT_CREATE_INFO,
        .setLayoutCount = 1,
        .pSetLayouts = &k->set_layout,
        .pushConstantRangeCount = k->push_bytes > 0,
        .pPushConstantRanges = &push,
    };
    VK(vkCreatePipelineLayout(gpu->device, &layout, NULL, &k->layout));
    return true;

error:
    return false;
}

// On any thread: everything it touches is the kernel's or made for several threads.
static bool create_pipeline(struct ag_gpu *gpu, struct ag_kernel *k, struct ag_error *err)
{
    VkShaderModule module = VK_NULL_HANDLE;
    VkShaderModuleCreateInfo code = {
        .sType = VK_STRUCTURE_TYPE_SHADER_MODULE_CREATE_INFO,
        .codeSize = k->shader->code_bytes,
        .pCode = k->shader->code,
    };
    uint32_t *khr = gpu->info.khr_matrix ? ag_spirv_khr_matrix(k->shader, &code.codeSize) : NULL;
    code.pCode = khr ? khr : code.pCode;
    VkResult result = vkCreateShaderModule(gpu->device, &code, NULL, &module);
    ag_free(khr);
    VK(result);
    VkSpecializationMapEntry entries[AG_MAX_CONSTANTS];
    for (uint32_t i = 0; i < k->n_constants; i++) {
        entries[i] = (VkSpecializationMapEntry){ .constantID = i, .offset = i * 4, .size = 4 };
    }
    VkSpecializationInfo constants = {
        .mapEntryCount = k->n_constants,
        .pMapEntries = entries,
        .dataSize = k->n_constants * 4,
        .pData = k->constants,
    };
    VkPipelineShaderStageRequiredSubgroupSizeCreateInfo subgroup = {
        .sType = VK_STRUCTURE_TYPE_PIPELINE_SHADER_STAGE_REQUIRED_SUBGROUP_SIZE_CREATE_INFO,
        .requiredSubgroupSize = k->subgroup,
    };
    VkComputePipelineCreateInfo info = {
        .sType = VK_STRUCTURE_TYPE_COMPUTE_PIPELINE_CREATE_INFO,
        .stage = {
            .sType = VK_STRUCTURE_TYPE_PIPELINE_SHADER_STAGE_CREATE_INFO,
            .pNext = k->subgroup ? &subgroup : NULL,
            .stage = VK_SHADER_STAGE_COMPUTE_BIT,
            .module = module,
            .pName = "main",
            .pSpecializationInfo = &constants,
        },
        .layout = k->layout,
    };
    VK(vkCreateComputePipelines(gpu->device, gpu->pipeline_cache, 1, &info, NULL, &k->pipeline));
    vkDestroyShaderModule(gpu->device, module, NULL);
    ag_vk_name(gpu, VK_OBJECT_TYPE_PIPELINE, (uint64_t)k->pipeline, k->name);
    return true;

error:
    vkDestroyShaderModule(gpu->device, module, NULL);
    return false;
}

// ---- builders --------------------------------------------------------------------------------
//
// Drivers take milliseconds to make a pipeline, some of them many. Kernels are queued when they are
// created and built by threads of their own while the start goes on; one that is needed before its
// turn is built by who needs it.

// Takes a kernel that nobody else builds out of the queue; NULL: any. Under the lock.
static struct ag_kernel *take(struct ag_gpu *gpu, struct ag_kernel *wanted)
{
    struct ag_kernel **at = &gpu->builder.first;
    while (*at && wanted && *at != wanted) {
        at = &(*at)->next;
    }
    struct ag_kernel *k = *at;
    if (k) {
        *at = k->next;
        gpu->builder.last = k->next ? gpu->builder.last : at;
        k->next = NULL;
        atomic_store(&k->state, AG_KERNEL_BUILDING);
    }
    return k;
}

// Under the lock, which is let go of meanwhile.
static void build(struct ag_gpu *gpu, struct ag_kernel *k)
{
    struct ag_error error = { 0 };
    pthread_mutex_unlock(&gpu->builder.lock);
    bool ok = create_pipeline(gpu, k, &error);
    if (!ok) {
        ag_log(gpu->log, AG_LOG_ERROR, "kernel '%s': %s", k->name, error.text);
        gpu->lost = true; // nothing can go on without it
    }
    pthread_mutex_lock(&gpu->builder.lock);
    atomic_store(&k->state, ok ? AG_KERNEL_READY : AG_KERNEL_FAILED);
    pthread_cond_broadcast(&gpu->builder.built);
}

static void *build_kernels(void *arg)
{
    struct ag_gpu *gpu = arg;
    pthread_mutex_lock(&gpu->builder.lock);
    while (!gpu->builder.stop) {
        struct ag_kernel *k = take(gpu, NULL);
        if (k) {
            build(gpu, k);
        } else {
            pthread_cond_wait(&gpu->builder.wake, &gpu->builder.lock);
        }
    }
    pthread_mutex_unlock(&gpu->builder.lock);
    return NULL;
}

void ag_vk_builders_create(struct ag_gpu *gpu)
{
    pthread_mutex_init(&gpu->builder.lock, NULL);
    pthread_cond_init(&gpu->builder.wake, NULL);
    pthread_cond_init(&gpu->builder.built, NULL);
    gpu->builder.last = &gpu->builder.first;
}

void ag_vk_builders_destroy(struct ag_gpu *gpu)
{
    pthread_mutex_lock(&gpu->builder.lock);
    gpu->builder.stop = true;
    pthread_cond_broadcast(&gpu->builder.wake);
    pthread_mutex_unlock(&gpu->builder.lock);
    for (uint32_t i = 0; i < gpu->builder.n; i++) {
        pthread_join(gpu->builder.thread[i], NULL);
    }
    gpu->builder.n = 0;
    pthread_cond_destroy(&gpu->builder.built);
    pthread_cond_destroy(&gpu->builder.wake);
    pthread_mutex_destroy(&gpu->builder.lock);
}

// One core is left to whoever creates the kernels. Without a thread they are built when needed.
static void start_builder(struct ag_gpu *gpu)
{
    long cores = sysconf(_SC_NPROCESSORS_ONLN);
    uint32_t most = (uint32_t)AG_CLAMP(cores - 1, 1, AG_MAX_BUILDERS);
    pthread_t *thread = &gpu->builder.thread[gpu->builder.n];
    if (gpu->builder.n < most && pthread_create(thread, NULL, build_kernels, gpu) == 0) {
        gpu->builder.n++;
    }
}

static void enqueue(struct ag_gpu *gpu, struct ag_kernel *k)
{
    start_builder(gpu);
    pthread_mutex_lock(&gpu->builder.lock);
    *gpu->builder.last = k;
    gpu->builder.last = &k->next;
    pthread_cond_signal(&gpu->builder.wake);
    pthread_mutex_unlock(&gpu->builder.lock);
}

bool ag_vk_kernel_ready(const struct ag_kernel *kernel)
{
    struct ag_kernel *k = (struct ag_kernel *)kernel; // the state is not the caller's business
    struct ag_gpu *gpu = k->gpu;
    if (atomic_load(&k->state) == AG_KERNEL_READY) {
        return true;
    }
    pthread_mutex_lock(&gpu->builder.lock);
    if (atomic_load(&k->state) == AG_KERNEL_QUEUED && take(gpu, k)) {
        build(gpu, k);
    }
    while (atomic_load(&k->state) == AG_KERNEL_BUILDING) {
        pthread_cond_wait(&gpu->builder.built, &gpu->builder.lock);
    }
    pthread_mutex_unlock(&gpu->builder.lock);
    return atomic_load(&k->state) == AG_KERNEL_READY;
}

// ---- life ------------------------------------------------------------------------------------

static void destroy_now(void *object)
{
    struct ag_kernel *k = object;
    struct ag_gpu *gpu = k->gpu;
    pthread_mutex_lock(&gpu->builder.lock);
    if (atomic_load(&k->state) == AG_KERNEL_QUEUED) {
        take(gpu, k);
        atomic_store(&k->state, AG_KERNEL_FAILED);
    }
    while (atomic_load(&k->state) == AG_KERNEL_BUILDING) {
        pthread_cond_wait(&gpu->builder.built, &gpu->builder.lock);
    }
    pthread_mutex_unlock(&gpu->builder.lock);
    vkDestroyPipeline(gpu->device, k->pipeline, NULL);
    vkDestroyPipelineLayout(gpu->device, k->layout, NULL);
    vkDestroyDescriptorSetLayout(gpu->device, k->set_layout, NULL);
    ag_free(k);
}

struct ag_kernel *ag_kernel_create(struct ag_gpu *gpu, const struct ag_kernel_params *params,
                                   struct ag_error *err)
{
    const struct ag_shader *shader = ag_shader_find(params->library, params->name);
    if (!shader) {
        ag_fail(err, AG_ERR_DEVICE,
                "no kernel '%s' in the shaders of '%s'; is it listed in its "
                "kernels.cmake?",
                params->name, params->library->folder);
        return NULL;
    }
    bool required = params->subgroup != 0;
    if (required &&
        (params->subgroup < gpu->subgroup_min || params->subgroup > gpu->subgroup_max)) {
        ag_fail(err, AG_ERR_DEVICE, "kernel '%s' wants subgroups of %u, '%s' offers %u to %u",
                params->name, params->subgroup, gpu->info.name, gpu->subgroup_min,
                gpu->subgroup_max);
        return NULL;
    }
    struct ag_spirv_info info;
    if (!ag_spirv_reflect(shader, &info, err)) {
        return NULL;
    }
    struct ag_kernel *k = ag_alloc(sizeof(*k));
    k->gpu = gpu;
    assert(params->n_constants <= AG_MAX_CONSTANTS);
    k->shader = shader;
    k->subgroup = params->subgroup;
    k->n_constants = params->n_constants;
    if (params->n_constants) {
        memcpy(k->constants, params->constants, params->n_constants * sizeof(k->constants[0]));
    }
    atomic_store(&k->state, AG_KERNEL_FAILED); // until it is queued
    k->n_bindings = info.n_bindings;
    k->images = info.images;
    k->push_bytes = info.push_bytes;
    snprintf(k->name, sizeof(k->name), "%s/%s", params->library->folder, params->name);
    if (!create_layout(gpu, k, err)) {
        destroy_now(k);
        return NULL;
    }
    gpu->counters.pipelines++;
    atomic_fetch_add(&gpu->allocations, 1);
    atomic_store(&k->state, AG_KERNEL_QUEUED);
    enqueue(gpu, k);
    return k;
}

void ag_kernel_destroy(struct ag_gpu *gpu, struct ag_kernel **kernel)
{
    if (*kernel) {
        ag_gpu_defer(gpu, destroy_now, *kernel);
        *kernel = NULL;
    }
}
