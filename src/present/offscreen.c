#include "internal.h"

#include <string.h>

// A target nobody sees: one image, read back on request.

void ag_offscreen_destroy(struct ag_presenter *p)
{
    struct ag_gpu *gpu = p->gpu;
    vkDestroyImageView(gpu->device, p->view, NULL);
    vmaDestroyImage(gpu->allocator, p->image, p->allocation);
    p->view = VK_NULL_HANDLE;
    p->image = VK_NULL_HANDLE;
    p->allocation = NULL;
}

static bool create_image(struct ag_presenter *p, struct ag_error *err)
{
    struct ag_gpu *gpu = p->gpu;
    VkImageCreateInfo image = {
        .sType = VK_STRUCTURE_TYPE_IMAGE_CREATE_INFO,
        .imageType = VK_IMAGE_TYPE_2D,
        .format = p->format,
        .extent = { p->width, p->height, 1 },
        .mipLevels = 1,
        .arrayLayers = 1,
        .samples = VK_SAMPLE_COUNT_1_BIT,
        .usage = VK_IMAGE_USAGE_COLOR_ATTACHMENT_BIT | VK_IMAGE_USAGE_TRANSFER_SRC_BIT |
                 VK_IMAGE_USAGE_TRANSFER_DST_BIT,
    };
    p->storable = ag_present_storable(p, p->format);
    image.usage |= p->storable ? VK_IMAGE_USAGE_STORAGE_BIT : 0;
    VmaAllocationCreateInfo placement = { .usage = VMA_MEMORY_USAGE_AUTO_PREFER_DEVICE };
    VK(vmaCreateImage(gpu->allocator, &image, &placement, &p->image, &p->allocation, NULL));
    ag_vk_name(gpu, VK_OBJECT_TYPE_IMAGE, (uint64_t)p->image, "present/offscreen");
    VkImageViewCreateInfo view = {
        .sType = VK_STRUCTURE_TYPE_IMAGE_VIEW_CREATE_INFO,
        .image = p->image,
        .viewType = VK_IMAGE_VIEW_TYPE_2D,
        .format = p->format,
        .subresourceRange = { VK_IMAGE_ASPECT_COLOR_BIT, 0, 1, 0, 1 },
    };
    VK(vkCreateImageView(gpu->device, &view, NULL, &p->view));
    atomic_fetch_add(&gpu->allocations, 1);
    p->target_width = p->width;
    p->target_height = p->height;
    p->shown_images[0] = (struct ag_ground){ 0 };
    p->generations++;
    return true;

error:
    return false;
}

enum ag_presenter_state ag_offscreen_prepare(struct ag_presenter *p, struct ag_error *err)
{
    if (p->image && p->target_width == p->width && p->target_height == p->height) {
        return AG_PRESENTER_READY;
    }
    if (p->image) {
        ag_vk_wait_idle(p->gpu);
        ag_offscreen_destroy(p);
    }
    return create_image(p, err) ? AG_PRESENTER_READY : AG_PRESENTER_ERROR;
}

void ag_offscreen_copy(struct ag_presenter *p, struct ag_cmd *cmd, const struct ag_buffer *to)
{
    if (p->in_image) {
        VkBufferImageCopy region = {
            .imageSubresource = { VK_IMAGE_ASPECT_COLOR_BIT, 0, 0, 1 },
            .imageExtent = { p->target_width, p->target_height, 1 },
        };
        vkCmdCopyImageToBuffer(ag_vk_command_buffer(cmd), p->image,
                               VK_IMAGE_LAYOUT_TRANSFER_SRC_OPTIMAL, ag_vk_buffer(to), 1, &region);
        p->gpu->counters.bytes_read_back += 4ull * p->target_width * p->target_height;
    } else {
        ag_cmd_barrier(cmd);
        ag_cmd_copy(cmd, to, 0, p->frame, 0, p->frame->size);
    }
    ag_cmd_host_barrier(cmd);
}

bool ag_presenter_read(struct ag_presenter *p, uint8_t *rgba, struct ag_error *err)
{
    struct ag_gpu *gpu = p->gpu;
    if (p->params.create_surface || !p->image) {
        return ag_fail(err, AG_ERR_OUTPUT, "nothing has been drawn offscreen yet");
    }
    uint64_t size = 4ull * p->target_width * p->target_height;
    struct ag_buffer *staging = ag_buffer_create(gpu, AG_MEM_READBACK, size, "present/read", err);
    struct ag_cmd *cmd = staging ? ag_cmd_begin(gpu, 0, err) : NULL;
    bool ok = false;
    if (cmd) {
        ag_offscreen_copy(p, cmd, staging);
        uint64_t value = ag_cmd_submit(cmd, err);
        ok = value && ag_gpu_wait(gpu, value, err);
    }
    if (ok) {
        ag_buffer_invalidate(gpu, staging);
        memcpy(rgba, staging->data, size);
    }
    ag_buffer_destroy(gpu, &staging);
    return ok;
}
