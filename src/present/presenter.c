#include "internal.h"

#include <assert.h>
#include <string.h>

#include "../gpu/draw.h"

// A frame is put together in the target's image: what lies behind the panels is copied in when it
// has changed, panels are drawn by compute kernels (fragments are dear on cards made for computing,
// and on software devices), and the HUD draws what lies over everything. An image goes on from what
// it showed last, so most frames are one dispatch; copying whole frames costs more than drawing.
// Where kernels cannot write the image, on software devices (which copy faster than they store) and
// for captures, which want bytes, the frame is put together in a storage buffer and copied.
// What is behind the target is in swapchain.c and offscreen.c.

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

static void destroy_kernels(struct ag_presenter *p)
{
    for (uint32_t i = 0; i < 4; i++) {
        ag_kernel_destroy(p->gpu, &p->panels[i / 2][i % 2]);
        ag_kernel_destroy(p->gpu, &p->difference[i / 2][i % 2]);
    }
}

bool ag_present_storable(const struct ag_presenter *p, VkFormat format)
{
    const VkFormatFeatureFlags2 needed = VK_FORMAT_FEATURE_2_STORAGE_IMAGE_BIT |
                                         VK_FORMAT_FEATURE_2_STORAGE_WRITE_WITHOUT_FORMAT_BIT;
    VkFormatProperties3 features = { .sType = VK_STRUCTURE_TYPE_FORMAT_PROPERTIES_3 };
    VkFormatProperties2 properties = {
        .sType = VK_STRUCTURE_TYPE_FORMAT_PROPERTIES_2, .pNext = &features
    };
    vkGetPhysicalDeviceFormatProperties2(p->gpu->physical, format, &properties);
    return p->gpu->image_writes && (features.optimalTilingFeatures & needed) == needed;
}

static bool writes_image(const struct ag_presenter *p)
{
    return p->storable && !p->software && !p->buffered && !p->params.capture;
}

// The kernels that write the image, or the buffer, unless they are there. Starting an invocation
// costs a software device as much as many pixels do, and it has no use for neighbours that read
// neighbours: there an invocation draws many pixels one beside another, its neighbour those below.
// [1]: pictures whose width is a multiple of four.
static bool make_kernels(struct ag_presenter *p, bool image, struct ag_error *err)
{
    struct ag_kernel **panels = p->panels[image], **difference = p->difference[image];
    for (uint32_t aligned = 0; aligned < 2 && !difference[1]; aligned++) {
        struct ag_kernel_params params = {
            &ag_shaders_present, image ? "panels.image" : "panels",
            AG_CONSTANTS(p->group_width, p->group_height, p->columns, aligned, p->software)
        };
        panels[aligned] = ag_kernel_create(p->gpu, &params, err);
        params.name = image ? "difference.image" : "difference";
        difference[aligned] = panels[aligned] ? ag_kernel_create(p->gpu, &params, err) : NULL;
        if (!difference[aligned]) {
            return false;
        }
    }
    return true;
}

bool ag_present_kernels(struct ag_presenter *p, bool software, struct ag_error *err)
{
    destroy_kernels(p);
    p->software = software;
    p->columns = software ? 32 : 2;
    p->group_width = software ? 8 : 16;
    p->group_height = software ? 2 : 8;
    p->storable = ag_present_storable(p, p->format); // most likely, of windows, too
    return make_kernels(p, writes_image(p), err);
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
    p->none = ag_buffer_create(gpu, AG_MEM_DEVICE, 256, "present/none", err);
    if (!p->none || !check_graphics(gpu, err) || !ag_present_kernels(p, gpu->info.software, err) ||
        (is_window(p) && !ag_swapchain_open(p, err))) {
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
    destroy_kernels(p);
    ag_buffer_destroy(p->gpu, &p->frame);
    ag_buffer_destroy(p->gpu, &p->none);
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

// A frame like the target; a new one has nothing in it.
static bool prepare_frame(struct ag_presenter *p, struct ag_error *err)
{
    p->into_image = writes_image(p);
    if (!make_kernels(p, p->into_image, err)) {
        return false;
    }
    if (p->into_image) {
        return true;
    }
    uint64_t size = 4ull * p->target_width * p->target_height;
    if (!p->frame || p->frame->size != size || p->frame_width != p->target_width ||
        p->frame_format != p->format) {
        ag_buffer_destroy(p->gpu, &p->frame);
        p->frame = ag_buffer_create(p->gpu, AG_MEM_DEVICE, size, "present/frame", err);
        p->frame_width = p->target_width;
        p->frame_format = p->format;
        p->shown = (struct ag_ground){ 0 };
    }
    return p->frame != NULL;
}

static bool is_bgra(const struct ag_presenter *p)
{
    return p->format == VK_FORMAT_B8G8R8A8_UNORM || p->format == VK_FORMAT_B8G8R8A8_SRGB;
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
    int64_t start = ag_now_ns();
    if (state == AG_PRESENTER_READY && is_window(p)) {
        state = ag_swapchain_acquire(p, err);
    }
    int64_t waited_ns = ag_now_ns() - start;
    if (state != AG_PRESENTER_READY) {
        return state;
    }
    p->cmd = prepare_frame(p, err) ? ag_cmd_begin(p->gpu, frame_id, err) : NULL;
    if (!p->cmd) {
        return AG_PRESENTER_ERROR;
    }
    if (is_window(p)) {
        ag_swapchain_attach(p);
    }
    p->ground = (struct ag_ground){ .color = background, .made = 1 };
    p->drawn = p->in_image = p->rendering = p->covered = false;
    p->n_direct = 0;
    *out = (struct ag_target){
        .cmd = p->cmd,
        .width = p->target_width,
        .height = p->target_height,
        .format = (uint32_t)p->format,
        .waited_ns = waited_ns,
    };
    return AG_PRESENTER_READY;
}

void ag_presenter_backdrop(struct ag_presenter *p, const struct ag_backdrop *backdrop)
{
    assert(p->cmd && !p->drawn);
    p->ground.backdrop = *backdrop;
}

// From what was done last to the image to what comes next.
struct use {
    VkImageLayout layout;
    VkPipelineStageFlags2 stages;
    VkAccessFlags2 access;
};

static const struct use unused = { VK_IMAGE_LAYOUT_UNDEFINED, VK_PIPELINE_STAGE_2_COPY_BIT, 0 };
static const struct use copied_to = { VK_IMAGE_LAYOUT_TRANSFER_DST_OPTIMAL,
                                      VK_PIPELINE_STAGE_2_COPY_BIT,
                                      VK_ACCESS_2_TRANSFER_WRITE_BIT };
static const struct use copied_from = { VK_IMAGE_LAYOUT_TRANSFER_SRC_OPTIMAL,
                                        VK_PIPELINE_STAGE_2_COPY_BIT,
                                        VK_ACCESS_2_TRANSFER_READ_BIT };
static const struct use drawn_on = { VK_IMAGE_LAYOUT_COLOR_ATTACHMENT_OPTIMAL,
                                     VK_PIPELINE_STAGE_2_COLOR_ATTACHMENT_OUTPUT_BIT,
                                     VK_ACCESS_2_COLOR_ATTACHMENT_READ_BIT |
                                         VK_ACCESS_2_COLOR_ATTACHMENT_WRITE_BIT };
// The same where kernels write the image: its first use, anew or as it was left, filling, writing.
static const struct use fresh = { VK_IMAGE_LAYOUT_UNDEFINED, AG_FIRST_USE, 0 };
static const struct use shown_before = { VK_IMAGE_LAYOUT_PRESENT_SRC_KHR, AG_FIRST_USE, 0 };
static const struct use read_before = { VK_IMAGE_LAYOUT_TRANSFER_SRC_OPTIMAL, AG_FIRST_USE, 0 };
static const struct use filled = { VK_IMAGE_LAYOUT_TRANSFER_DST_OPTIMAL,
                                   VK_PIPELINE_STAGE_2_ALL_TRANSFER_BIT,
                                   VK_ACCESS_2_TRANSFER_WRITE_BIT };
static const struct use written = { VK_IMAGE_LAYOUT_GENERAL, VK_PIPELINE_STAGE_2_COMPUTE_SHADER_BIT,
                                    VK_ACCESS_2_SHADER_STORAGE_WRITE_BIT };
static const struct use presented = { VK_IMAGE_LAYOUT_PRESENT_SRC_KHR, VK_PIPELINE_STAGE_2_NONE,
                                      VK_ACCESS_2_NONE };

static void image_barrier(struct ag_presenter *p, const struct use *from, const struct use *to)
{
    VkImageMemoryBarrier2 image = {
        .sType = VK_STRUCTURE_TYPE_IMAGE_MEMORY_BARRIER_2,
        .srcStageMask = from->stages,
        .srcAccessMask = from->access,
        .dstStageMask = to->stages,
        .dstAccessMask = to->access,
        .oldLayout = from->layout,
        .newLayout = to->layout,
        .srcQueueFamilyIndex = VK_QUEUE_FAMILY_IGNORED,
        .dstQueueFamilyIndex = VK_QUEUE_FAMILY_IGNORED,
        .image = p->image,
        .subresourceRange = { VK_IMAGE_ASPECT_COLOR_BIT, 0, 1, 0, 1 },
    };
    VkMemoryBarrier2 frame = { // that is copied
        .sType = VK_STRUCTURE_TYPE_MEMORY_BARRIER_2,
        .srcStageMask = VK_PIPELINE_STAGE_2_COMPUTE_SHADER_BIT |
                        VK_PIPELINE_STAGE_2_ALL_TRANSFER_BIT,
        .srcAccessMask = VK_ACCESS_2_SHADER_WRITE_BIT | VK_ACCESS_2_TRANSFER_WRITE_BIT,
        .dstStageMask = VK_PIPELINE_STAGE_2_COPY_BIT,
        .dstAccessMask = VK_ACCESS_2_TRANSFER_READ_BIT,
    };
    VkDependencyInfo info = {
        .sType = VK_STRUCTURE_TYPE_DEPENDENCY_INFO,
        .memoryBarrierCount = from == &unused,
        .pMemoryBarriers = &frame,
        .imageMemoryBarrierCount = 1,
        .pImageMemoryBarriers = &image,
    };
    vkCmdPipelineBarrier2(ag_vk_command_buffer(p->cmd), &info);
}

// As the frame before left the image.
static const struct use *resting(const struct ag_presenter *p)
{
    return is_window(p) ? &shown_before : &read_before;
}

// What lies behind the panels, into the image.
static void fill_image(struct ag_presenter *p)
{
    VkCommandBuffer commands = ag_vk_command_buffer(p->cmd);
    if (!p->ground.backdrop.image) {
        VkClearValue color = ag_draw_color(p->format, p->ground.color);
        VkImageSubresourceRange all = { VK_IMAGE_ASPECT_COLOR_BIT, 0, 1, 0, 1 };
        vkCmdClearColorImage(commands, p->image, filled.layout, &color.color, 1, &all);
        return;
    }
    VkImageCopy whole = {
        .srcSubresource = { VK_IMAGE_ASPECT_COLOR_BIT, 0, 0, 1 },
        .dstSubresource = { VK_IMAGE_ASPECT_COLOR_BIT, 0, 0, 1 },
        .extent = { p->target_width, p->target_height, 1 },
    };
    vkCmdCopyImage(commands, (VkImage)p->ground.backdrop.image,
                   VK_IMAGE_LAYOUT_TRANSFER_SRC_OPTIMAL, p->image, filled.layout, 1, &whole);
}

// What lies behind the panels, into the buffer.
static void copy_ground(struct ag_presenter *p)
{
    if (!p->ground.backdrop.image) {
        uint32_t c = p->ground.color | 0xff000000u;
        uint32_t swapped = (c & 0xff00ff00u) | (c & 0xff) << 16 | (c >> 16 & 0xff);
        ag_cmd_fill(p->cmd, p->frame, 0, p->frame->size, is_bgra(p) ? swapped : c);
        return;
    }
    VkBufferImageCopy region = {
        .imageSubresource = { VK_IMAGE_ASPECT_COLOR_BIT, 0, 0, 1 },
        .imageExtent = { p->target_width, p->target_height, 1 },
    };
    vkCmdCopyImageToBuffer(ag_vk_command_buffer(p->cmd), (VkImage)p->ground.backdrop.image,
                           VK_IMAGE_LAYOUT_TRANSFER_SRC_OPTIMAL, ag_vk_buffer(p->frame), 1,
                           &region);
}

static uint32_t point(int32_t x, int32_t y)
{
    assert(x == (int16_t)x && y == (int16_t)y);
    return ((uint32_t)x & 0xffff) | (uint32_t)y << 16;
}

// The part of a panel that is drawn, inside the target; false: none.
static bool clip(const struct ag_presenter *p, const struct ag_picture_panel *panel,
                 struct ag_rect *out)
{
    const struct ag_rect *r = &panel->where, *o = panel->only.width ? &panel->only : r;
    int32_t x0 = AG_MAX(AG_MAX(r->x, o->x), 0), y0 = AG_MAX(AG_MAX(r->y, o->y), 0);
    int32_t x1 = AG_MIN(AG_MIN(r->x + r->width, o->x + o->width), (int32_t)p->target_width);
    int32_t y1 = AG_MIN(AG_MIN(r->y + r->height, o->y + o->height), (int32_t)p->target_height);
    *out = (struct ag_rect){ x0, y0, x1 - x0, y1 - y0 };
    return x1 > x0 && y1 > y0;
}

// What a frame is made of. Pictures lie where the kernels want them: the two of a difference first,
// one with alpha last.
struct composition {
    struct panel_args args;
    const struct ag_buffer *pictures[PANEL_PICTURES]; // NULL: none
    uint32_t n;
    int32_t width, height;  // of the largest panel
};

static uint32_t picture_index(struct composition *c, const struct ag_buffer *picture)
{
    uint32_t i = 0;
    while (i < PANEL_PICTURES && c->pictures[i] != picture) {
        i++;
    }
    for (uint32_t k = 0; k < PANEL_PICTURES && i == PANEL_PICTURES; k++) {
        i = c->pictures[k] ? i : k;
    }
    assert(i < PANEL_PICTURES);
    c->pictures[i] = picture;
    return i;
}

static void place_pictures(struct composition *c, const struct ag_picture_panel *panels, uint32_t n)
{
    for (uint32_t i = 0; i < n; i++) {
        if (panels[i].other) {
            c->pictures[0] = panels[i].picture;
            c->pictures[1] = panels[i].other;
        } else if (panels[i].use_alpha) {
            c->pictures[PANEL_ALPHA - 1] = panels[i].picture;
        }
    }
}

static void set_geometry(struct composition *c, const struct ag_picture_panel *panel)
{
    const struct ag_part all = { 0, 0, panel->width, panel->height };
    const struct ag_part *part = panel->part.width > 0 ? &panel->part : &all;
    struct panel_args args = c->args;
    args.source_width = panel->width;
    args.source_height = panel->height;
    args.part_x = (float)part->x;
    args.part_y = (float)part->y;
    args.scale_x = (float)part->width / (float)panel->where.width;
    args.scale_y = (float)part->height / (float)panel->where.height;
    assert(c->args.source_width == 0 || memcmp(&c->args, &args, sizeof(args)) == 0);
    c->args = args;
}

static void add_panel(const struct ag_presenter *p, struct composition *c,
                      const struct ag_picture_panel *panel)
{
    struct ag_rect r;
    if (!clip(p, panel, &r)) {
        return;
    }
    assert(c->n < PANEL_MAX);
    uint32_t i = c->n++, shows = PANEL_PLAIN;
    if (panel->picture) {
        set_geometry(c, panel);
        shows = panel->other       ? PANEL_DIFFERENCE
                : panel->use_alpha ? PANEL_ALPHA : picture_index(c, panel->picture);
    }
    c->args.corner[i] = point(panel->where.x, panel->where.y);
    c->args.begin[i] = point(r.x, r.y);
    c->args.end[i] = point(r.x + r.width, r.y + r.height);
    c->args.shows[i] = shows;
    c->args.background[i] = panel->background;
    c->width = AG_MAX(c->width, r.width);
    c->height = AG_MAX(c->height, r.height);
}

// The ground stays as it is while no panel moves.
static void update_ground(struct ag_presenter *p, const struct composition *c)
{
    struct ag_ground *shown = p->into_image ? &p->shown_images[p->image_index] : &p->shown;
    memcpy(p->ground.begin, c->args.begin, sizeof(p->ground.begin));
    memcpy(p->ground.end, c->args.end, sizeof(p->ground.end));
    bool same = memcmp(&p->ground, shown, sizeof(p->ground)) == 0;
    if (p->into_image && same) {
        image_barrier(p, resting(p), &written);
    } else if (p->into_image) {
        image_barrier(p, &fresh, &filled);
        fill_image(p);
        image_barrier(p, &filled, &written);
    } else if (!same) {
        copy_ground(p);
        ag_cmd_barrier(p->cmd);
    }
    *shown = p->ground;
}

static void dispatch(struct ag_presenter *p, struct composition *c,
                     struct ag_kernel *const *kernels, uint32_t first, uint32_t n)
{
    struct ag_binding bindings[1 + PANEL_PICTURES] = { { p->into_image ? NULL : p->frame } };
    bindings[0].image = p->into_image ? (uint64_t)p->view : 0;
    for (uint32_t i = 0; i < PANEL_PICTURES; i++) {
        bindings[1 + i].buffer = c->pictures[i] ? c->pictures[i] : p->none;
    }
    c->args.first = first;
    uint32_t strips = AG_DIV_UP((uint32_t)c->width, p->columns), rows = (uint32_t)c->height;
    bool down = p->software;
    ag_dispatch(p->cmd, kernels[c->args.source_width % 4 == 0], bindings,
                kernels == p->panels[p->into_image] ? 1 + PANEL_PICTURES : 3, &c->args,
                sizeof(c->args),
                AG_DIV_UP(down ? rows : strips, p->group_width),
                AG_DIV_UP(down ? strips : rows, p->group_height), n);
}

// Pictures taken home at their own size go byte for byte, as copies: that is cheaper. Takes those
// out of the list, returns how many are left.
static uint32_t take_direct(struct ag_presenter *p, const struct ag_picture_panel *panels,
                            uint32_t n, struct ag_picture_panel *left)
{
    uint64_t area = 0;
    uint32_t n_left = 0;
    for (uint32_t i = 0; i < n; i++) {
        const struct ag_picture_panel *panel = &panels[i];
        struct ag_rect r;
        bool direct = p->params.capture && panel->picture && !panel->other && !panel->use_alpha &&
                      panel->part.width <= 0 && panel->where.width == (int32_t)panel->width &&
                      panel->where.height == (int32_t)panel->height && clip(p, panel, &r);
        if (!direct) {
            left[n_left++] = *panel;
            continue;
        }
        uint64_t x = (uint64_t)(r.x - panel->where.x), y = (uint64_t)(r.y - panel->where.y);
        p->direct[p->n_direct].picture = panel->picture;
        p->direct[p->n_direct++].region = (VkBufferImageCopy){
            .bufferOffset = 4 * (y * panel->width + x),
            .bufferRowLength = panel->width,
            .imageSubresource = { VK_IMAGE_ASPECT_COLOR_BIT, 0, 0, 1 },
            .imageOffset = { r.x, r.y, 0 },
            .imageExtent = { (uint32_t)r.width, (uint32_t)r.height, 1 },
        };
        area += (uint64_t)r.width * (uint32_t)r.height;
    }
    p->covered = area == (uint64_t)p->target_width * p->target_height; // panels do not overlap
    return n_left;
}

void ag_presenter_draw(struct ag_presenter *p, const struct ag_picture_panel *all, uint32_t n)
{
    assert(p->cmd && !p->drawn && n <= PANEL_MAX);
    struct composition c = { .args = { .frame_width = p->target_width, .swap = is_bgra(p) } };
    struct ag_picture_panel panels[PANEL_MAX];
    n = take_direct(p, all, n, panels);
    place_pictures(&c, panels, n);
    uint32_t n_pictures = 0;
    for (int differences = 0; differences < 2; differences++) {
        for (uint32_t i = 0; i < n; i++) {
            if ((panels[i].other != NULL) == differences) {
                add_panel(p, &c, &panels[i]);
            }
        }
        n_pictures = differences ? n_pictures : c.n;
    }
    ag_cmd_stage_begin(p->cmd, stage(p));
    if (!p->covered) {
        update_ground(p, &c);
    }
    if (n_pictures > 0) {
        dispatch(p, &c, p->panels[p->into_image], 0, n_pictures);
    }
    if (n_pictures > 0 && c.n > n_pictures) {
        ag_cmd_barrier(p->cmd); // both write the frame
    }
    if (c.n > n_pictures) {
        dispatch(p, &c, p->difference[p->into_image], n_pictures, c.n - n_pictures);
    }
    p->drawn = true;
    p->in_image = p->into_image;
    ag_cmd_stage_end(p->cmd);
}

static void copy_to_image(struct ag_presenter *p)
{
    if (p->in_image) {
        return;
    }
    p->in_image = true;
    p->shown_images[p->image_index].made = 0; // as far as drawing into it goes
    ag_cmd_stage_begin(p->cmd, stage(p));
    VkCommandBuffer commands = ag_vk_command_buffer(p->cmd);
    image_barrier(p, &unused, &copied_to);
    VkBufferImageCopy whole = {
        .imageSubresource = { VK_IMAGE_ASPECT_COLOR_BIT, 0, 0, 1 },
        .imageExtent = { p->target_width, p->target_height, 1 },
    };
    if (!p->covered) {
        vkCmdCopyBufferToImage(commands, ag_vk_buffer(p->frame), p->image,
                               VK_IMAGE_LAYOUT_TRANSFER_DST_OPTIMAL, 1, &whole);
    }
    if (!p->covered && p->n_direct > 0) {
        image_barrier(p, &copied_to, &copied_to);
    }
    for (uint32_t i = 0; i < p->n_direct; i++) {
        vkCmdCopyBufferToImage(commands, ag_vk_buffer(p->direct[i].picture), p->image,
                               VK_IMAGE_LAYOUT_TRANSFER_DST_OPTIMAL, 1, &p->direct[i].region);
    }
    ag_cmd_stage_end(p->cmd);
}

void ag_presenter_overlay(struct ag_presenter *p)
{
    assert(p->drawn && !p->rendering);
    copy_to_image(p);
    ag_cmd_stage_begin(p->cmd, AG_STAGE_HUD);
    image_barrier(p, p->into_image ? &written : &copied_to, &drawn_on);
    p->rendering = true;
    p->shown_images[p->image_index].made = 0;
    ag_draw_begin(p->cmd, p->view, p->target_width, p->target_height, NULL);
}

// Into the image, unless only a copy of the frame is wanted and the frame is all there is.
static void finish(struct ag_presenter *p)
{
    if (!p->drawn) {
        ag_presenter_draw(p, NULL, 0);
    }
    if (p->rendering) {
        vkCmdEndRendering(ag_vk_command_buffer(p->cmd));
        ag_cmd_stage_end(p->cmd);
    } else if (!p->params.capture || p->n_direct > 0) {
        copy_to_image(p);
    }
    if (p->in_image) {
        image_barrier(p, p->rendering ? &drawn_on : p->into_image ? &written : &copied_to,
                      is_window(p) ? &presented : &copied_from);
    }
}

uint64_t ag_presenter_end_into(struct ag_presenter *p, const struct ag_buffer *to,
                               struct ag_error *err)
{
    assert(!is_window(p) && to->size >= p->frame->size);
    finish(p);
    ag_cmd_stage_begin(p->cmd, stage(p));
    ag_offscreen_copy(p, p->cmd, to);
    ag_cmd_stage_end(p->cmd);
    struct ag_cmd *cmd = p->cmd;
    p->cmd = NULL;
    return ag_cmd_submit(cmd, err);
}

uint64_t ag_presenter_end(struct ag_presenter *p, struct ag_error *err)
{
    finish(p);
    struct ag_cmd *cmd = p->cmd;
    p->cmd = NULL;
    uint64_t value = ag_cmd_submit(cmd, err);
    if (value && is_window(p) && !ag_swapchain_present(p, value, err)) {
        return 0;
    }
    return value;
}
