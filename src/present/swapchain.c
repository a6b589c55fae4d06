#include "internal.h"

#include <string.h>

// A window's images. Out of date, suboptimal, minimised and a lost surface are states: the
// swapchain is made anew with the next frame.

// A hidden window may hold back its images for ever: give the event loop its turn.
#define ACQUIRE_TIMEOUT_NS 100000000

// What a WSI call said. false: it is an error and *err is set.
static bool note(struct ag_presenter *p, VkResult result, const char *call, struct ag_error *err)
{
    switch ((int)result) {
    case VK_ERROR_SURFACE_LOST_KHR:
        p->surface_lost = true;
        p->stale = true;
        return true;
    case VK_SUBOPTIMAL_KHR:
    case VK_ERROR_OUT_OF_DATE_KHR:
    case VK_ERROR_NATIVE_WINDOW_IN_USE_KHR:
        p->stale = true;
        return true;
    case VK_TIMEOUT:
    case VK_NOT_READY:
        return true;
    default:
        return ag_vk_check(p->gpu, result, call, __FILE__, __LINE__, err);
    }
}

static bool create_surface(struct ag_presenter *p, struct ag_error *err)
{
    struct ag_gpu *gpu = p->gpu;
    uint64_t bits = 0;
    if (!p->params.create_surface(p->params.user, gpu->instance, &bits, err)) {
        return false;
    }
    p->surface = (VkSurfaceKHR)bits;
    VkBool32 supported = VK_FALSE;
    VK(vkGetPhysicalDeviceSurfaceSupportKHR(gpu->physical, gpu->queue_family, p->surface,
                                            &supported));
    if (!supported) {
        return ag_fail(err, AG_ERR_DEVICE, "'%s' cannot present to this window: run with "
                       "--headless or another --gpu", gpu->info.name);
    }
    p->surface_lost = false;
    p->stale = true;
    return true;

error:
    return false;
}

static bool choose_format(struct ag_presenter *p, VkSurfaceFormatKHR *out, struct ag_error *err)
{
    struct ag_gpu *gpu = p->gpu;
    static const VkFormat wanted[] = { // UNORM first: bytes go through unchanged
        VK_FORMAT_B8G8R8A8_UNORM, VK_FORMAT_R8G8B8A8_UNORM, VK_FORMAT_A8B8G8R8_UNORM_PACK32,
        VK_FORMAT_B8G8R8A8_SRGB, VK_FORMAT_R8G8B8A8_SRGB, VK_FORMAT_A8B8G8R8_SRGB_PACK32,
    };
    VkSurfaceFormatKHR formats[64];
    uint32_t n = AG_COUNT(formats);
    VkResult result = vkGetPhysicalDeviceSurfaceFormatsKHR(gpu->physical, p->surface, &n, formats);
    VK(result == VK_INCOMPLETE ? VK_SUCCESS : result);
    for (uint32_t w = 0; w < AG_COUNT(wanted); w++) {
        for (uint32_t i = 0; i < n; i++) {
            if (formats[i].format == wanted[w] &&
                formats[i].colorSpace == VK_COLOR_SPACE_SRGB_NONLINEAR_KHR) {
                *out = formats[i];
                return true;
            }
        }
    }
    return ag_fail(err, AG_ERR_DEVICE, "the window offers no 8-bit sRGB format on '%s': run with "
                   "--headless or another --gpu", gpu->info.name);

error:
    return false;
}

static VkPresentModeKHR choose_mode(struct ag_presenter *p)
{
    static const struct {
        VkPresentModeKHR mode;
        const char *name;
    } names[] = {
        [AG_PRESENT_FIFO] = { VK_PRESENT_MODE_FIFO_KHR, "fifo" },
        [AG_PRESENT_MAILBOX] = { VK_PRESENT_MODE_MAILBOX_KHR, "mailbox" },
        [AG_PRESENT_IMMEDIATE] = { VK_PRESENT_MODE_IMMEDIATE_KHR, "immediate" },
    };
    VkPresentModeKHR modes[16];
    uint32_t n = AG_COUNT(modes);
    vkGetPhysicalDeviceSurfacePresentModesKHR(p->gpu->physical, p->surface, &n, modes);
    for (uint32_t i = 0; i < n; i++) {
        if (modes[i] == names[p->params.mode].mode) {
            return modes[i];
        }
    }
    if (!p->mode_warned) {
        ag_warn(p->log, "this window cannot present in mode '%s': using fifo",
                names[p->params.mode].name);
        p->mode_warned = true;
    }
    return VK_PRESENT_MODE_FIFO_KHR;
}

static void destroy_images(struct ag_presenter *p)
{
    VkDevice device = p->gpu->device;
    for (uint32_t i = 0; i < p->n_images; i++) {
        vkDestroyImageView(device, p->views[i], NULL);
        vkDestroySemaphore(device, p->presentable[i], NULL);
    }
    p->n_images = 0;
}

static bool create_semaphore(struct ag_gpu *gpu, VkSemaphore *out, const char *name,
                             struct ag_error *err)
{
    VkSemaphoreCreateInfo info = { .sType = VK_STRUCTURE_TYPE_SEMAPHORE_CREATE_INFO };
    VK(vkCreateSemaphore(gpu->device, &info, NULL, out));
    ag_vk_name(gpu, VK_OBJECT_TYPE_SEMAPHORE, (uint64_t)*out, name);
    return true;

error:
    return false;
}

static bool create_images(struct ag_presenter *p, struct ag_error *err)
{
    struct ag_gpu *gpu = p->gpu;
    uint32_t n = 0;
    VK(vkGetSwapchainImagesKHR(gpu->device, p->swapchain, &n, NULL));
    if (n > AG_MAX_SWAPCHAIN_IMAGES) {
        return ag_fail(err, AG_ERR_DEVICE, "the window wants %u images, at most %d are provided "
                       "for: try another --present-mode", n, AG_MAX_SWAPCHAIN_IMAGES);
    }
    VK(vkGetSwapchainImagesKHR(gpu->device, p->swapchain, &n, p->images));
    for (uint32_t i = 0; i < n; i++) {
        VkImageViewCreateInfo view = {
            .sType = VK_STRUCTURE_TYPE_IMAGE_VIEW_CREATE_INFO,
            .image = p->images[i],
            .viewType = VK_IMAGE_VIEW_TYPE_2D,
            .format = p->format,
            .subresourceRange = { VK_IMAGE_ASPECT_COLOR_BIT, 0, 1, 0, 1 },
        };
        p->views[i] = VK_NULL_HANDLE;
        p->presentable[i] = VK_NULL_HANDLE;
        p->n_images = i + 1;
        VK(vkCreateImageView(gpu->device, &view, NULL, &p->views[i]));
        if (!create_semaphore(gpu, &p->presentable[i], "present/presentable", err)) {
            return false;
        }
    }
    return true;

error:
    return false;
}

static VkExtent2D choose_extent(const struct ag_presenter *p, const VkSurfaceCapabilitiesKHR *caps)
{
    if (caps->currentExtent.width != UINT32_MAX) {
        return caps->currentExtent;
    }
    return (VkExtent2D){
        AG_CLAMP(p->width, caps->minImageExtent.width, caps->maxImageExtent.width),
        AG_CLAMP(p->height, caps->minImageExtent.height, caps->maxImageExtent.height),
    };
}

static enum ag_presenter_state create_swapchain(struct ag_presenter *p,
                                                const VkSurfaceCapabilitiesKHR *caps,
                                                VkExtent2D extent, struct ag_error *err)
{
    struct ag_gpu *gpu = p->gpu;
    if (!(caps->supportedUsageFlags & VK_IMAGE_USAGE_TRANSFER_DST_BIT)) {
        ag_fail(err, AG_ERR_DEVICE, "the window's images cannot be copied to on '%s': run with "
                "--headless or another --gpu", gpu->info.name);
        return AG_PRESENTER_ERROR;
    }
    VkSurfaceFormatKHR format = { 0 };
    if (!choose_format(p, &format, err)) {
        return AG_PRESENTER_ERROR;
    }
    p->storable = !p->software && (caps->supportedUsageFlags & VK_IMAGE_USAGE_STORAGE_BIT) &&
                  ag_present_storable(p, format.format);
    VkSwapchainCreateInfoKHR info = {
        .sType = VK_STRUCTURE_TYPE_SWAPCHAIN_CREATE_INFO_KHR,
        .surface = p->surface,
        .minImageCount = AG_MIN(caps->minImageCount + 1,
                                caps->maxImageCount ? caps->maxImageCount : UINT32_MAX),
        .imageFormat = format.format,
        .imageColorSpace = format.colorSpace,
        .imageExtent = extent,
        .imageArrayLayers = 1,
        .imageUsage = VK_IMAGE_USAGE_COLOR_ATTACHMENT_BIT | VK_IMAGE_USAGE_TRANSFER_DST_BIT |
                      (p->storable ? VK_IMAGE_USAGE_STORAGE_BIT : 0),
        .preTransform = caps->currentTransform,
        .compositeAlpha = caps->supportedCompositeAlpha & VK_COMPOSITE_ALPHA_OPAQUE_BIT_KHR
                              ? VK_COMPOSITE_ALPHA_OPAQUE_BIT_KHR
                              : VK_COMPOSITE_ALPHA_INHERIT_BIT_KHR,
        .presentMode = choose_mode(p),
        .clipped = !p->storable, // what lies behind the panels stays in the images
        .oldSwapchain = p->swapchain,
    };
    VkSwapchainKHR old = p->swapchain;
    VkResult result = vkCreateSwapchainKHR(gpu->device, &info, NULL, &p->swapchain);
    if (old) {
        vkDestroySwapchainKHR(gpu->device, old, NULL);
    }
    if (result != VK_SUCCESS) {
        p->swapchain = VK_NULL_HANDLE;
        return note(p, result, "vkCreateSwapchainKHR", err) ? AG_PRESENTER_SKIP
                                                            : AG_PRESENTER_ERROR;
    }
    p->format = format.format;
    p->swapchain_width = extent.width;
    p->swapchain_height = extent.height;
    p->stale = false;
    memset(p->shown_images, 0, sizeof(p->shown_images));
    p->generations++;
    atomic_fetch_add(&gpu->allocations, 1);
    return create_images(p, err) ? AG_PRESENTER_READY : AG_PRESENTER_ERROR;
}

static void destroy_swapchain(struct ag_presenter *p)
{
    destroy_images(p);
    vkDestroySwapchainKHR(p->gpu->device, p->swapchain, NULL);
    p->swapchain = VK_NULL_HANDLE;
}

bool ag_swapchain_open(struct ag_presenter *p, struct ag_error *err)
{
    for (uint32_t i = 0; i < AG_FRAMES_IN_FLIGHT; i++) {
        if (!create_semaphore(p->gpu, &p->acquired[i], "present/acquired", err)) {
            return false;
        }
    }
    return create_surface(p, err);
}

void ag_swapchain_close(struct ag_presenter *p)
{
    destroy_swapchain(p);
    for (uint32_t i = 0; i < AG_FRAMES_IN_FLIGHT; i++) {
        vkDestroySemaphore(p->gpu->device, p->acquired[i], NULL);
    }
    if (p->surface) {
        vkDestroySurfaceKHR(p->gpu->instance, p->surface, NULL);
    }
}

// ---- a frame ---------------------------------------------------------------------------------

static enum ag_presenter_state remake(struct ag_presenter *p, struct ag_error *err)
{
    struct ag_gpu *gpu = p->gpu;
    ag_vk_wait_idle(gpu);
    if (p->surface_lost) {
        destroy_swapchain(p);
        vkDestroySurfaceKHR(gpu->instance, p->surface, NULL);
        p->surface = VK_NULL_HANDLE;
        if (!create_surface(p, err)) {
            return AG_PRESENTER_ERROR;
        }
    }
    VkSurfaceCapabilitiesKHR caps;
    VkResult result = vkGetPhysicalDeviceSurfaceCapabilitiesKHR(gpu->physical, p->surface, &caps);
    if (result != VK_SUCCESS) {
        return note(p, result, "vkGetPhysicalDeviceSurfaceCapabilitiesKHR", err)
                   ? AG_PRESENTER_SKIP
                   : AG_PRESENTER_ERROR;
    }
    VkExtent2D extent = choose_extent(p, &caps);
    if (extent.width == 0 || extent.height == 0) {
        return AG_PRESENTER_SKIP; // minimised
    }
    destroy_images(p);
    return create_swapchain(p, &caps, extent, err);
}

enum ag_presenter_state ag_swapchain_prepare(struct ag_presenter *p, struct ag_error *err)
{
    return p->stale ? remake(p, err) : AG_PRESENTER_READY;
}

enum ag_presenter_state ag_swapchain_acquire(struct ag_presenter *p, struct ag_error *err)
{
    // The semaphore is free once the slot's last submission has waited for it.
    if (!ag_gpu_wait(p->gpu, p->slot_value[p->slot], err)) {
        return AG_PRESENTER_ERROR;
    }
    VkResult result = vkAcquireNextImageKHR(p->gpu->device, p->swapchain, ACQUIRE_TIMEOUT_NS,
                                            p->acquired[p->slot], VK_NULL_HANDLE, &p->image_index);
    if (!note(p, result, "vkAcquireNextImageKHR", err)) {
        return AG_PRESENTER_ERROR;
    }
    if (result != VK_SUCCESS && result != VK_SUBOPTIMAL_KHR) {
        return AG_PRESENTER_SKIP;
    }
    p->image = p->images[p->image_index];
    p->view = p->views[p->image_index];
    p->target_width = p->swapchain_width;
    p->target_height = p->swapchain_height;
    return AG_PRESENTER_READY;
}

void ag_swapchain_attach(struct ag_presenter *p)
{
    VkPipelineStageFlags2 first = p->into_image ? AG_FIRST_USE : VK_PIPELINE_STAGE_2_COPY_BIT;
    ag_vk_cmd_wait(p->cmd, p->acquired[p->slot], first);
    ag_vk_cmd_signal(p->cmd, p->presentable[p->image_index],
                     VK_PIPELINE_STAGE_2_ALL_COMMANDS_BIT);
}

bool ag_swapchain_present(struct ag_presenter *p, uint64_t value, struct ag_error *err)
{
    p->slot_value[p->slot] = value;
    p->slot = (p->slot + 1) % AG_FRAMES_IN_FLIGHT;
    VkPresentInfoKHR info = {
        .sType = VK_STRUCTURE_TYPE_PRESENT_INFO_KHR,
        .waitSemaphoreCount = 1,
        .pWaitSemaphores = &p->presentable[p->image_index],
        .swapchainCount = 1,
        .pSwapchains = &p->swapchain,
        .pImageIndices = &p->image_index,
    };
    return note(p, vkQueuePresentKHR(p->gpu->queue, &info), "vkQueuePresentKHR", err);
}
