#include "vk.h"

#include <assert.h>
#include <stdio.h>
#include <string.h>

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

static void destroy_now(void *object)
{
    struct ag_kernel *k = object;
    VkDevice device = k->gpu->device;
    vkDestroyPipeline(device, k->pipeline, NULL);
    vkDestroyPipelineLayout(device, k->layout, NULL);
    vkDestroyDescriptorSetLayout(device, k->set_layout, NULL);
    ag_free(k);
}

static bool create_layout(struct ag_gpu *gpu, struct ag_kernel *k, struct ag_error *err)
{
    VkDescriptorSetLayoutBinding bindings[AG_MAX_BINDINGS];
    for (uint32_t i = 0; i < k->n_bindings; i++) {
        bindings[i] = (VkDescriptorSetLayoutBinding){
            .binding = i,
            .descriptorType = VK_DESCRIPTOR_TYPE_STORAGE_BUFFER,
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

#define MAX_CONSTANTS 64

static bool create_pipeline(struct ag_gpu *gpu, struct ag_kernel *k, const struct ag_shader *shader,
                            const struct ag_kernel_params *params, struct ag_error *err)
{
    assert(params->n_constants <= MAX_CONSTANTS);
    VkShaderModule module = VK_NULL_HANDLE;
    VkShaderModuleCreateInfo code = {
        .sType = VK_STRUCTURE_TYPE_SHADER_MODULE_CREATE_INFO,
        .codeSize = shader->code_bytes,
        .pCode = shader->code,
    };
    VK(vkCreateShaderModule(gpu->device, &code, NULL, &module));
    VkSpecializationMapEntry entries[MAX_CONSTANTS];
    for (uint32_t i = 0; i < params->n_constants; i++) {
        entries[i] = (VkSpecializationMapEntry){ .constantID = i, .offset = i * 4, .size = 4 };
    }
    VkSpecializationInfo constants = {
        .mapEntryCount = params->n_constants,
        .pMapEntries = entries,
        .dataSize = params->n_constants * 4,
        .pData = params->constants,
    };
    VkPipelineShaderStageRequiredSubgroupSizeCreateInfo subgroup = {
        .sType = VK_STRUCTURE_TYPE_PIPELINE_SHADER_STAGE_REQUIRED_SUBGROUP_SIZE_CREATE_INFO,
        .requiredSubgroupSize = params->subgroup,
    };
    VkComputePipelineCreateInfo info = {
        .sType = VK_STRUCTURE_TYPE_COMPUTE_PIPELINE_CREATE_INFO,
        .stage = {
            .sType = VK_STRUCTURE_TYPE_PIPELINE_SHADER_STAGE_CREATE_INFO,
            .pNext = params->subgroup ? &subgroup : NULL,
            .stage = VK_SHADER_STAGE_COMPUTE_BIT,
            .module = module,
            .pName = "main",
            .pSpecializationInfo = &constants,
        },
        .layout = k->layout,
    };
    VK(vkCreateComputePipelines(gpu->device, gpu->pipeline_cache, 1, &info, NULL, &k->pipeline));
    vkDestroyShaderModule(gpu->device, module, NULL);
    return true;

error:
    vkDestroyShaderModule(gpu->device, module, NULL);
    return false;
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
    k->n_bindings = info.n_bindings;
    k->push_bytes = info.push_bytes;
    snprintf(k->name, sizeof(k->name), "%s/%s", params->library->folder, params->name);
    if (!create_layout(gpu, k, err) || !create_pipeline(gpu, k, shader, params, err)) {
        destroy_now(k);
        return NULL;
    }
    gpu->counters.pipelines++;
    atomic_fetch_add(&gpu->allocations, 1);
    ag_vk_name(gpu, VK_OBJECT_TYPE_PIPELINE, (uint64_t)k->pipeline, k->name);
    return k;
}

void ag_kernel_destroy(struct ag_gpu *gpu, struct ag_kernel **kernel)
{
    if (*kernel) {
        ag_gpu_defer(gpu, destroy_now, *kernel);
        *kernel = NULL;
    }
}
