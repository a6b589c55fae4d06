#include "internal.h"

#include <assert.h>

#include "interface/panel_args.h"

// The frame of a target: barriers, rendering, panels. What is behind the target is in swapchain.c
// and offscreen.c.

AG_SHADERS(present);

static bool is_window(const struct ag_presenter *p)
{
    return p->params.create_surface != NULL;
}

static enum ag_stage stage(const struct ag_presenter *p)
{
    return p->params.capture ? AG_STAGE_EXPORT : AG_STAGE_PRESENT;
}

static bool check_graphics(struct ag_gpu *gpu, struct ag_error *err)
{
    VkQueueFamilyProperties families[32];
    uint32_t n = AG_COUNT(families);
    vkGetPhysicalDeviceQueueFamilyProperties(gpu->physical, &n, families);
    if (!(families[gpu->queue_family].queueFlags & VK_QUEUE_GRAPHICS_BIT)) {
        return ag_fail(err, AG_ERR_DEVICE,
                       "'%s' computes but cannot draw, which windows, screenshots and recordings "
                       "need: choose another --gpu",
                       gpu->info.name);
    }
    return true;
}

struct ag_presenter *ag_presenter_create(const struct ag_log *log, struct ag_gpu *gpu,
                                         const struct ag_presenter_params *params,
                                         struct ag_error *err)
{
    struct ag_presenter *p = ag_alloc(sizeof(*p));
    p->log = log;
    p->gpu = gpu;
    p->params = *params;
    p->width = params->width;
    p->height = params->height;
    p->format = VK_FORMAT_R8G8B8A8_UNORM;
    if (!check_graphics(gpu, err) || (is_window(p) && !ag_swapchain_open(p, err))) {
        ag_presenter_destroy(&p);
    }
    return p;
}

void ag_presenter_destroy(struct ag_presenter **pp)
{
    struct ag_presenter *p = *pp;
    if (!p) {
        return;
    }
    assert(!p->cmd);
    ag_vk_wait_idle(p->gpu);
    if (is_window(p)) {
        ag_swapchain_close(p);
    } else {
        ag_offscreen_destroy(p);
    }
    ag_draw_destroy(p->gpu, &p->panel);
    ag_draw_destroy(p->gpu, &p->difference);
    ag_free(p);
    *pp = NULL;
}

void ag_presenter_resize(struct ag_presenter *p, uint32_t width, uint32_t height)
{
    p->stale = p->stale || width != p->width || height != p->height;
    p->width = width;
    p->height = height;
}

uint32_t ag_presenter_generations(const struct ag_presenter *p)
{
    return p->generations;
}

// ---- a frame ---------------------------------------------------------------------------------

static bool prepare_pipeline(struct ag_presenter *p, struct ag_error *err)
{
    if (p->panel.format == p->format) {
        return true;
    }
    if (p->panel.pipeline) { // the surface came back with another format
        ag_vk_wait_idle(p->gpu);
        ag_draw_destroy(p->gpu, &p->panel);
        ag_draw_destroy(p->gpu, &p->difference);
    }
    struct ag_draw_params params = {
        .library = &ag_shaders_present,
        .vertex = "panel.vert",
        .fragment = "panel.frag",
        .format = p->format,
        .push_bytes = sizeof(struct panel_args),
    };
    if (!ag_draw_create(p->gpu, &params, &p->panel, err)) {
        return false;
    }
    params.fragment = "difference.frag";
    params.n_buffers = 2;
    return ag_draw_create(p->gpu, &params, &p->difference, err);
}

static void image_barrier(struct ag_presenter *p, VkImageLayout from, VkImageLayout to,
                          const VkMemoryBarrier2 *memory)
{
    VkImageMemoryBarrier2 image = {
        .sType = VK_STRUCTURE_TYPE_IMAGE_MEMORY_BARRIER_2,
        .srcStageMask = VK_PIPELINE_STAGE_2_COLOR_ATTACHMENT_OUTPUT_BIT,
        .srcAccessMask = VK_ACCESS_2_COLOR_ATTACHMENT_WRITE_BIT,
        .dstStageMask = VK_PIPELINE_STAGE_2_COLOR_ATTACHMENT_OUTPUT_BIT,
        .dstAccessMask = VK_ACCESS_2_COLOR_ATTACHMENT_WRITE_BIT,
        .oldLayout = from,
        .newLayout = to,
        .srcQueueFamilyIndex = VK_QUEUE_FAMILY_IGNORED,
        .dstQueueFamilyIndex = VK_QUEUE_FAMILY_IGNORED,
        .image = p->image,
        .subresourceRange = { VK_IMAGE_ASPECT_COLOR_BIT, 0, 1, 0, 1 },
    };
    if (from == VK_IMAGE_LAYOUT_UNDEFINED) { // last used by a readback or the display
        image.srcStageMask |= VK_PIPELINE_STAGE_2_COPY_BIT;
    }
    if (from == VK_IMAGE_LAYOUT_TRANSFER_DST_OPTIMAL) {
        image.srcStageMask = VK_PIPELINE_STAGE_2_COPY_BIT;
        image.srcAccessMask = VK_ACCESS_2_TRANSFER_WRITE_BIT;
        image.dstAccessMask |= VK_ACCESS_2_COLOR_ATTACHMENT_READ_BIT;
    }
    if (to == VK_IMAGE_LAYOUT_TRANSFER_DST_OPTIMAL) {
        image.dstStageMask = VK_PIPELINE_STAGE_2_COPY_BIT;
        image.dstAccessMask = VK_ACCESS_2_TRANSFER_WRITE_BIT;
    }
    VkDependencyInfo info = {
        .sType = VK_STRUCTURE_TYPE_DEPENDENCY_INFO,
        .memoryBarrierCount = 1,
        .pMemoryBarriers = memory,
        .imageMemoryBarrierCount = 1,
        .pImageMemoryBarriers = &image,
    };
    vkCmdPipelineBarrier2(ag_vk_command_buffer(p->cmd), &info);
}

static void begin_rendering(struct ag_presenter *p)
{
    if (p->rendering) {
        return;
    }
    p->rendering = true;
    VkMemoryBarrier2 pictures = {
        .sType = VK_STRUCTURE_TYPE_MEMORY_BARRIER_2,
        .srcStageMask = VK_PIPELINE_STAGE_2_COMPUTE_SHADER_BIT |
                        VK_PIPELINE_STAGE_2_ALL_TRANSFER_BIT,
        .srcAccessMask = VK_ACCESS_2_SHADER_WRITE_BIT | VK_ACCESS_2_TRANSFER_WRITE_BIT,
        .dstStageMask = VK_PIPELINE_STAGE_2_FRAGMENT_SHADER_BIT,
        .dstAccessMask = VK_ACCESS_2_SHADER_READ_BIT,
    };
    image_barrier(p, p->copied ? VK_IMAGE_LAYOUT_TRANSFER_DST_OPTIMAL : VK_IMAGE_LAYOUT_UNDEFINED,
                  VK_IMAGE_LAYOUT_COLOR_ATTACHMENT_OPTIMAL, &pictures);
    VkRenderingAttachmentInfo color = {
        .sType = VK_STRUCTURE_TYPE_RENDERING_ATTACHMENT_INFO,
        .imageView = p->view,
        .imageLayout = VK_IMAGE_LAYOUT_COLOR_ATTACHMENT_OPTIMAL,
        .loadOp = p->copied ? VK_ATTACHMENT_LOAD_OP_LOAD : VK_ATTACHMENT_LOAD_OP_CLEAR,
        .storeOp = VK_ATTACHMENT_STORE_OP_STORE,
        .clearValue = ag_draw_color(p->format, p->background),
    };
    VkRenderingInfo rendering = {
        .sType = VK_STRUCTURE_TYPE_RENDERING_INFO,
        .renderArea.extent = { p->target_width, p->target_height },
        .layerCount = 1,
        .colorAttachmentCount = 1,
        .pColorAttachments = &color,
    };
    vkCmdBeginRendering(ag_vk_command_buffer(p->cmd), &rendering);
}

enum ag_presenter_state ag_presenter_begin(struct ag_presenter *p, uint64_t frame_id,
                                           uint32_t background, struct ag_target *out,
                                           struct ag_error *err)
{
    assert(!p->cmd);
    if (!ag_vk_alive(p->gpu, err)) {
        return AG_PRESENTER_ERROR;
    }
    if (p->width == 0 || p->height == 0) {
        return AG_PRESENTER_SKIP;
    }
    enum ag_presenter_state state = is_window(p) ? ag_swapchain_prepare(p, err)
                                                 : ag_offscreen_prepare(p, err);
    if (state == AG_PRESENTER_READY && !prepare_pipeline(p, err)) {
        return AG_PRESENTER_ERROR;
    }
    int64_t start = ag_now_ns();
    if (state == AG_PRESENTER_READY && is_window(p)) {
        state = ag_swapchain_acquire(p, err);
    }
    int64_t waited_ns = ag_now_ns() - start;
    if (state != AG_PRESENTER_READY) {
        return state;
    }
    p->cmd = ag_cmd_begin(p->gpu, frame_id, err);
    if (!p->cmd) {
        return AG_PRESENTER_ERROR;
    }
    if (is_window(p)) {
        ag_swapchain_attach(p);
    }
    p->background = background;
    p->copied = p->rendering = false;
    *out = (struct ag_target){
        .cmd = p->cmd,
        .width = p->target_width,
        .height = p->target_height,
        .format = (uint32_t)p->format,
        .copyable = p->copyable,
        .waited_ns = waited_ns,
    };
    return AG_PRESENTER_READY;
}

void ag_presenter_backdrop(struct ag_presenter *p, uint64_t image)
{
    static const VkMemoryBarrier2 nothing = { .sType = VK_STRUCTURE_TYPE_MEMORY_BARRIER_2 };
    assert(p->copyable && !p->copied && !p->rendering);
    ag_cmd_stage_begin(p->cmd, p->params.capture ? AG_STAGE_EXPORT : AG_STAGE_HUD);
    image_barrier(p, VK_IMAGE_LAYOUT_UNDEFINED, VK_IMAGE_LAYOUT_TRANSFER_DST_OPTIMAL, &nothing);
    VkImageCopy region = {
        .srcSubresource = { VK_IMAGE_ASPECT_COLOR_BIT, 0, 0, 1 },
        .dstSubresource = { VK_IMAGE_ASPECT_COLOR_BIT, 0, 0, 1 },
        .extent = { p->target_width, p->target_height, 1 },
    };
    vkCmdCopyImage(ag_vk_command_buffer(p->cmd), (VkImage)image,
                   VK_IMAGE_LAYOUT_TRANSFER_SRC_OPTIMAL, p->image,
                   VK_IMAGE_LAYOUT_TRANSFER_DST_OPTIMAL, 1, &region);
    p->copied = true;
    ag_cmd_stage_end(p->cmd);
}

// The part of a panel that is drawn, inside the target; false: none.
static bool clip(const struct ag_presenter *p, const struct ag_picture_panel *panel, VkRect2D *out)
{
    const struct ag_rect *r = &panel->where, *o = panel->only.width ? &panel->only : r;
    int32_t x0 = AG_MAX(AG_MAX(r->x, o->x), 0), y0 = AG_MAX(AG_MAX(r->y, o->y), 0);
    int32_t x1 = AG_MIN(AG_MIN(r->x + r->width, o->x + o->width), (int32_t)p->target_width);
    int32_t y1 = AG_MIN(AG_MIN(r->y + r->height, o->y + o->height), (int32_t)p->target_height);
    if (x1 <= x0 || y1 <= y0) {
        return false;
    }
    *out = (VkRect2D){ { x0, y0 }, { (uint32_t)(x1 - x0), (uint32_t)(y1 - y0) } };
    return true;
}

static void draw_panel(struct ag_presenter *p, const struct ag_picture_panel *panel)
{
    VkRect2D area;
    if (!clip(p, panel, &area)) {
        return;
    }
    if (!panel->picture) {
        VkClearRect rect = { .rect = area, .layerCount = 1 };
        ag_draw_fill(p->cmd, p->format, panel->background, &rect, 1);
        return;
    }
    VkViewport viewport = {
        .x = (float)area.offset.x,
        .y = (float)area.offset.y,
        .width = (float)area.extent.width,
        .height = (float)area.extent.height,
        .maxDepth = 1,
    };
    VkCommandBuffer commands = ag_vk_command_buffer(p->cmd);
    vkCmdSetViewport(commands, 0, 1, &viewport);
    vkCmdSetScissor(commands, 0, 1, &area);
    struct panel_args args = {
        .x = (float)panel->where.x,
        .y = (float)panel->where.y,
        .width = (float)panel->where.width,
        .height = (float)panel->where.height,
        .part_width = (float)panel->width,
        .part_height = (float)panel->height,
        .source_width = panel->width,
        .source_height = panel->height,
        .background = panel->background,
        .use_alpha = panel->use_alpha,
    };
    if (panel->part.width > 0) {
        args.part_x = (float)panel->part.x;
        args.part_y = (float)panel->part.y;
        args.part_width = (float)panel->part.width;
        args.part_height = (float)panel->part.height;
    }
    const struct ag_buffer *pictures[] = { panel->picture, panel->other };
    ag_draw_bind(p->cmd, panel->other ? &p->difference : &p->panel, pictures, &args);
    vkCmdDraw(commands, 3, 1, 0, 0);
}

// Pictures at their own size, byte for byte: copying is far cheaper than drawing on software devices.
static bool is_copy(const struct ag_picture_panel *panel)
{
    return panel->picture && !panel->other && !panel->use_alpha && panel->part.width <= 0 &&
           panel->where.width == (int32_t)panel->width &&
           panel->where.height == (int32_t)panel->height;
}

// Whether pictures, which never overlap, leave nothing of the target to be cleared.
static bool covers(const struct ag_presenter *p, const struct ag_picture_panel *panels, uint32_t n)
{
    uint64_t area = 0;
    VkRect2D r;
    for (uint32_t i = 0; i < n; i++) {
        if (panels[i].picture && clip(p, &panels[i], &r)) {
            area += (uint64_t)r.extent.width * r.extent.height;
        }
    }
    return area == (uint64_t)p->target_width * p->target_height;
}

static void copy_panels(struct ag_presenter *p, const struct ag_picture_panel *panels, uint32_t n)
{
    static const VkMemoryBarrier2 nothing = { .sType = VK_STRUCTURE_TYPE_MEMORY_BARRIER_2 };
    image_barrier(p, VK_IMAGE_LAYOUT_UNDEFINED, VK_IMAGE_LAYOUT_TRANSFER_DST_OPTIMAL, &nothing);
    for (uint32_t i = 0; i < n; i++) {
        const struct ag_picture_panel *panel = &panels[i];
        VkRect2D r;
        if (!is_copy(panel) || !clip(p, panel, &r)) {
            continue;
        }
        uint64_t x = (uint64_t)(r.offset.x - panel->where.x);
        uint64_t y = (uint64_t)(r.offset.y - panel->where.y);
        VkBufferImageCopy region = {
            .bufferOffset = 4 * (y * panel->width + x),
            .bufferRowLength = panel->width,
            .imageSubresource = { VK_IMAGE_ASPECT_COLOR_BIT, 0, 0, 1 },
            .imageOffset = { r.offset.x, r.offset.y, 0 },
            .imageExtent = { r.extent.width, r.extent.height, 1 },
        };
        vkCmdCopyBufferToImage(ag_vk_command_buffer(p->cmd), ag_vk_buffer(panel->picture),
                               p->image, VK_IMAGE_LAYOUT_TRANSFER_DST_OPTIMAL, 1, &region);
    }
    p->copied = true;
}

void ag_presenter_draw(struct ag_presenter *p, const struct ag_picture_panel *panels, uint32_t n)
{
    ag_cmd_stage_begin(p->cmd, stage(p));
    bool copy = p->params.capture && !p->copied && !p->rendering && covers(p, panels, n);
    if (copy) {
        copy_panels(p, panels, n);
    }
    begin_rendering(p);
    for (uint32_t i = 0; i < n; i++) {
        if (!copy || !is_copy(&panels[i])) {
            draw_panel(p, &panels[i]);
        }
    }
    ag_cmd_stage_end(p->cmd);
}

static void end_rendering(struct ag_presenter *p)
{
    begin_rendering(p); // nothing was drawn
    vkCmdEndRendering(ag_vk_command_buffer(p->cmd));
    // The next frame's kernels write the pictures that were read here.
    VkMemoryBarrier2 reads = {
        .sType = VK_STRUCTURE_TYPE_MEMORY_BARRIER_2,
        .srcStageMask = VK_PIPELINE_STAGE_2_FRAGMENT_SHADER_BIT,
        .dstStageMask = VK_PIPELINE_STAGE_2_COMPUTE_SHADER_BIT |
                        VK_PIPELINE_STAGE_2_ALL_TRANSFER_BIT,
    };
    image_barrier(p, VK_IMAGE_LAYOUT_COLOR_ATTACHMENT_OPTIMAL,
                  is_window(p) ? VK_IMAGE_LAYOUT_PRESENT_SRC_KHR
                               : VK_IMAGE_LAYOUT_TRANSFER_SRC_OPTIMAL,
                  &reads);
}

uint64_t ag_presenter_end_into(struct ag_presenter *p, const struct ag_buffer *to,
                               struct ag_error *err)
{
    assert(!is_window(p) && to->size >= (uint64_t)p->target_width * p->target_height * 4);
    end_rendering(p);
    ag_cmd_stage_begin(p->cmd, stage(p));
    ag_offscreen_copy(p, p->cmd, to);
    ag_cmd_stage_end(p->cmd);
    struct ag_cmd *cmd = p->cmd;
    p->cmd = NULL;
    return ag_cmd_submit(cmd, err);
}

uint64_t ag_presenter_end(struct ag_presenter *p, struct ag_error *err)
{
    end_rendering(p);
    struct ag_cmd *cmd = p->cmd;
    p->cmd = NULL;
    uint64_t value = ag_cmd_submit(cmd, err);
    if (value && is_window(p) && !ag_swapchain_present(p, value, err)) {
        return 0;
    }
    return value;
}
