#include "draw.h"

#include <math.h>

// Graphics pipelines with a push-descriptor storage buffer.

bool ag_draw_is_srgb(VkFormat format)
{
    return format == VK_FORMAT_B8G8R8A8_SRGB || format == VK_FORMAT_R8G8B8A8_SRGB ||
           format == VK_FORMAT_A8B8G8R8_SRGB_PACK32;
}

static bool create_layout(struct ag_gpu *gpu, struct ag_draw *d, struct ag_error *err)
{
    VkDescriptorSetLayoutBinding binding = {
        .descriptorType = VK_DESCRIPTOR_TYPE_STORAGE_BUFFER,
        .descriptorCount = 1,
        .stageFlags = VK_SHADER_STAGE_FRAGMENT_BIT,
    };
    VkDescriptorSetLayoutCreateInfo set = {
        .sType = VK_STRUCTURE_TYPE_DESCRIPTOR_SET_LAYOUT_CREATE_INFO,
        .flags = VK_DESCRIPTOR_SET_LAYOUT_CREATE_PUSH_DESCRIPTOR_BIT_KHR,
        .bindingCount = 1,
        .pBindings = &binding,
    };
    VK(vkCreateDescriptorSetLayout(gpu->device, &set, NULL, &d->set_layout));
    VkPushConstantRange push = {
        .stageFlags = VK_SHADER_STAGE_VERTEX_BIT | VK_SHADER_STAGE_FRAGMENT_BIT,
        .size = d->push_bytes,
    };
    VkPipelineLayoutCreateInfo layout = {
        .sType = VK_STRUCTURE_TYPE_PIPELINE_LAYOUT_CREATE_INFO,
        .setLayoutCount = 1,
        .pSetLayouts = &d->set_layout,
        .pushConstantRangeCount = 1,
        .pPushConstantRanges = &push,
    };
    VK(vkCreatePipelineLayout(gpu->device, &layout, NULL, &d->layout));
    return true;

error:
    return false;
}

static bool create_module(struct ag_gpu *gpu, const struct ag_draw_params *params, const char *name,
                          VkShaderModule *out, struct ag_error *err)
{
    const struct ag_shader *shader = ag_shader_find(params->library, name);
    if (!shader) {
        return ag_fail(err, AG_ERR_DEVICE,
                       "no shader '%s' in the shaders of '%s'; is it listed in "
                       "its kernels.cmake?",
                       name, params->library->folder);
    }
    VkShaderModuleCreateInfo code = {
        .sType = VK_STRUCTURE_TYPE_SHADER_MODULE_CREATE_INFO,
        .codeSize = shader->code_bytes,
        .pCode = shader->code,
    };
    VK(vkCreateShaderModule(gpu->device, &code, NULL, out));
    return true;

error:
    return false;
}

static bool create_pipeline(struct ag_gpu *gpu, const struct ag_draw_params *params,
                            const VkShaderModule modules[2], struct ag_draw *d,
                            struct ag_error *err)
{
    uint32_t srgb = ag_draw_is_srgb(params->format);
    VkSpecializationMapEntry entry = { .size = sizeof(srgb) };
    VkSpecializationInfo constants = {
        .mapEntryCount = 1, .pMapEntries = &entry, .dataSize = sizeof(srgb), .pData = &srgb
    };
    VkPipelineShaderStageCreateInfo stages[2];
    for (int i = 0; i < 2; i++) {
        stages[i] = (VkPipelineShaderStageCreateInfo){
            .sType = VK_STRUCTURE_TYPE_PIPELINE_SHADER_STAGE_CREATE_INFO,
            .stage = i == 0 ? VK_SHADER_STAGE_VERTEX_BIT : VK_SHADER_STAGE_FRAGMENT_BIT,
            .module = modules[i],
            .pName = "main",
            .pSpecializationInfo = &constants,
        };
    }
    VkVertexInputBindingDescription binding = { .stride = params->stride };
    VkPipelineVertexInputStateCreateInfo vertices = {
        .sType = VK_STRUCTURE_TYPE_PIPELINE_VERTEX_INPUT_STATE_CREATE_INFO,
        .vertexBindingDescriptionCount = params->n_attributes > 0,
        .pVertexBindingDescriptions = &binding,
        .vertexAttributeDescriptionCount = params->n_attributes,
        .pVertexAttributeDescriptions = params->attributes,
    };
    VkPipelineInputAssemblyStateCreateInfo assembly = {
        .sType = VK_STRUCTURE_TYPE_PIPELINE_INPUT_ASSEMBLY_STATE_CREATE_INFO,
        .topology = VK_PRIMITIVE_TOPOLOGY_TRIANGLE_LIST,
    };
    VkPipelineViewportStateCreateInfo viewport = {
        .sType = VK_STRUCTURE_TYPE_PIPELINE_VIEWPORT_STATE_CREATE_INFO,
        .viewportCount = 1,
        .scissorCount = 1,
    };
    VkPipelineRasterizationStateCreateInfo raster = {
        .sType = VK_STRUCTURE_TYPE_PIPELINE_RASTERIZATION_STATE_CREATE_INFO,
        .cullMode = VK_CULL_MODE_NONE,
        .lineWidth = 1,
    };
    VkPipelineMultisampleStateCreateInfo samples = {
        .sType = VK_STRUCTURE_TYPE_PIPELINE_MULTISAMPLE_STATE_CREATE_INFO,
        .rasterizationSamples = VK_SAMPLE_COUNT_1_BIT,
    };
    VkPipelineColorBlendAttachmentState attachment = {
        .blendEnable = params->blend,
        .srcColorBlendFactor = VK_BLEND_FACTOR_SRC_ALPHA,
        .dstColorBlendFactor = VK_BLEND_FACTOR_ONE_MINUS_SRC_ALPHA,
        .srcAlphaBlendFactor = VK_BLEND_FACTOR_ONE,
        .dstAlphaBlendFactor = VK_BLEND_FACTOR_ONE_MINUS_SRC_ALPHA,
        .colorWriteMask = 0xf,
    };
    VkPipelineColorBlendStateCreateInfo blend = {
        .sType = VK_STRUCTURE_TYPE_PIPELINE_COLOR_BLEND_STATE_CREATE_INFO,
        .attachmentCount = 1,
        .pAttachments = &attachment,
    };
    VkDynamicState states[] = { VK_DYNAMIC_STATE_VIEWPORT, VK_DYNAMIC_STATE_SCISSOR };
    VkPipelineDynamicStateCreateInfo dynamic = {
        .sType = VK_STRUCTURE_TYPE_PIPELINE_DYNAMIC_STATE_CREATE_INFO,
        .dynamicStateCount = AG_COUNT(states),
        .pDynamicStates = states,
    };
    VkPipelineRenderingCreateInfo rendering = {
        .sType = VK_STRUCTURE_TYPE_PIPELINE_RENDERING_CREATE_INFO,
        .colorAttachmentCount = 1,
        .pColorAttachmentFormats = &params->format,
    };
    VkGraphicsPipelineCreateInfo info = {
        .sType = VK_STRUCTURE_TYPE_GRAPHICS_PIPELINE_CREATE_INFO,
        .pNext = &rendering,
        .stageCount = AG_COUNT(stages),
        .pStages = stages,
        .pVertexInputState = &vertices,
        .pInputAssemblyState = &assembly,
        .pViewportState = &viewport,
        .pRasterizationState = &raster,
        .pMultisampleState = &samples,
        .pColorBlendState = &blend,
        .pDynamicState = &dynamic,
        .layout = d->layout,
    };
    VK(vkCreateGraphicsPipelines(gpu->device, gpu->pipeline_cache, 1, &info, NULL, &d->pipeline));
    ag_vk_name(gpu, VK_OBJECT_TYPE_PIPELINE, (uint64_t)d->pipeline, params->fragment);
    gpu->counters.pipelines++;
    atomic_fetch_add(&gpu->allocations, 1);
    return true;

error:
    return false;
}

bool ag_draw_create(struct ag_gpu *gpu, const struct ag_draw_params *params, struct ag_draw *out,
                    struct ag_error *err)
{
    *out = (struct ag_draw){
        .format = params->format,
        .push_bytes = params->push_bytes,
    };
    VkShaderModule modules[2] = { VK_NULL_HANDLE, VK_NULL_HANDLE };
    bool ok = create_module(gpu, params, params->vertex, &modules[0], err) &&
              create_module(gpu, params, params->fragment, &modules[1], err) &&
              create_layout(gpu, out, err) && create_pipeline(gpu, params, modules, out, err);
    vkDestroyShaderModule(gpu->device, modules[0], NULL);
    vkDestroyShaderModule(gpu->device, modules[1], NULL);
    if (!ok) {
        ag_draw_destroy(gpu, out);
    }
    return ok;
}

void ag_draw_destroy(struct ag_gpu *gpu, struct ag_draw *draw)
{
    vkDestroyPipeline(gpu->device, draw->pipeline, NULL);
    vkDestroyPipelineLayout(gpu->device, draw->layout, NULL);
    vkDestroyDescriptorSetLayout(gpu->device, draw->set_layout, NULL);
    *draw = (struct ag_draw){ 0 };
}

void ag_draw_begin(struct ag_cmd *cmd, VkImageView view, uint32_t width, uint32_t height,
                   const VkClearValue *clear)
{
    if (!cmd->draws) {
        ag_vk_barrier_all(cmd); // the submission began behind compute and transfer only
        cmd->draws = true;
    }
    VkRenderingAttachmentInfo color = {
        .sType = VK_STRUCTURE_TYPE_RENDERING_ATTACHMENT_INFO,
        .imageView = view,
        .imageLayout = VK_IMAGE_LAYOUT_COLOR_ATTACHMENT_OPTIMAL,
        .loadOp = clear ? VK_ATTACHMENT_LOAD_OP_CLEAR : VK_ATTACHMENT_LOAD_OP_LOAD,
        .storeOp = VK_ATTACHMENT_STORE_OP_STORE,
    };
    if (clear) {
        color.clearValue = *clear;
    }
    VkRenderingInfo rendering = {
        .sType = VK_STRUCTURE_TYPE_RENDERING_INFO,
        .renderArea.extent = { width, height },
        .layerCount = 1,
        .colorAttachmentCount = 1,
        .pColorAttachments = &color,
    };
    vkCmdBeginRendering(ag_vk_command_buffer(cmd), &rendering);
}

void ag_draw_bind(struct ag_cmd *cmd, const struct ag_draw *draw,
                  const struct ag_buffer *buffer, const void *push)
{
    VkCommandBuffer commands = ag_vk_command_buffer(cmd);
    vkCmdBindPipeline(commands, VK_PIPELINE_BIND_POINT_GRAPHICS, draw->pipeline);
    VkDescriptorBufferInfo info = { .buffer = ag_vk_buffer(buffer), .range = VK_WHOLE_SIZE };
    VkWriteDescriptorSet write = {
        .sType = VK_STRUCTURE_TYPE_WRITE_DESCRIPTOR_SET,
        .descriptorCount = 1,
        .descriptorType = VK_DESCRIPTOR_TYPE_STORAGE_BUFFER,
        .pBufferInfo = &info,
    };
    vkCmdPushDescriptorSetKHR(commands, VK_PIPELINE_BIND_POINT_GRAPHICS, draw->layout, 0, 1,
                              &write);
    vkCmdPushConstants(commands, draw->layout,
                       VK_SHADER_STAGE_VERTEX_BIT | VK_SHADER_STAGE_FRAGMENT_BIT, 0,
                       draw->push_bytes, push);
}

static float channel(VkFormat format, uint32_t rgba, uint32_t i)
{
    float v = (float)(rgba >> (8 * i) & 255) / 255.0f;
    if (!ag_draw_is_srgb(format)) {
        return v;
    }
    return v <= 0.04045f ? v / 12.92f : powf((v + 0.055f) / 1.055f, 2.4f);
}

VkClearValue ag_draw_color(VkFormat format, uint32_t rgba)
{
    return (VkClearValue){
        .color.float32 = { channel(format, rgba, 0), channel(format, rgba, 1),
                           channel(format, rgba, 2), 1 },
    };
}

void ag_draw_fill(struct ag_cmd *cmd, VkFormat format, uint32_t rgba, const VkClearRect *rects,
                  uint32_t n)
{
    VkClearAttachment clear = {
        .aspectMask = VK_IMAGE_ASPECT_COLOR_BIT,
        .clearValue = ag_draw_color(format, rgba),
    };
    if (n > 0) {
        vkCmdClearAttachments(ag_vk_command_buffer(cmd), 1, &clear, n, rects);
    }
}
