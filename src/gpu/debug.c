#include "vk.h"

#include <string.h>

// Object names, labels and the messenger that counts what the validation layers say.

#define MAX_PRINTED 20

const char *ag_vk_result_name(VkResult result)
{
    switch ((int)result) {
#define X(name)                                                                                    \
    case name:                                                                                     \
        return #name;
        X(VK_SUCCESS)
        X(VK_NOT_READY)
        X(VK_TIMEOUT)
        X(VK_INCOMPLETE)
        X(VK_SUBOPTIMAL_KHR)
        X(VK_ERROR_OUT_OF_HOST_MEMORY)
        X(VK_ERROR_OUT_OF_DEVICE_MEMORY)
        X(VK_ERROR_INITIALIZATION_FAILED)
        X(VK_ERROR_DEVICE_LOST)
        X(VK_ERROR_MEMORY_MAP_FAILED)
        X(VK_ERROR_LAYER_NOT_PRESENT)
        X(VK_ERROR_EXTENSION_NOT_PRESENT)
        X(VK_ERROR_FEATURE_NOT_PRESENT)
        X(VK_ERROR_INCOMPATIBLE_DRIVER)
        X(VK_ERROR_TOO_MANY_OBJECTS)
        X(VK_ERROR_FORMAT_NOT_SUPPORTED)
        X(VK_ERROR_SURFACE_LOST_KHR)
        X(VK_ERROR_NATIVE_WINDOW_IN_USE_KHR)
        X(VK_ERROR_OUT_OF_DATE_KHR)
        X(VK_ERROR_UNKNOWN)
#undef X
    }
    return "an unknown VkResult";
}

bool ag_vk_check(struct ag_gpu *gpu, VkResult result, const char *expr, const char *file, int line,
                 struct ag_error *err)
{
    if (result == VK_SUCCESS) {
        return true;
    }
    const char *name = ag_vk_result_name(result);
    const char *base = strrchr(file, '/');
    base = base ? base + 1 : file;
    enum ag_status status = AG_ERR_DEVICE;
    if (result == VK_ERROR_DEVICE_LOST) {
        gpu->lost = true;
        status = AG_ERR_DEVICE_LOST;
    }
    ag_log(gpu->log, err ? AG_LOG_VERBOSE : AG_LOG_ERROR, "%s gave %s (%d) at %s:%d", expr, name,
           (int)result, base, line);
    return ag_fail(err, status, "Vulkan call failed with %s (%d) on '%s': %.200s (%s:%d)", name,
                   (int)result, gpu->info.name, expr, base, line);
}

bool ag_vk_alive(const struct ag_gpu *gpu, struct ag_error *err)
{
    if (!gpu->lost) {
        return true;
    }
    return ag_fail(
        err, AG_ERR_DEVICE_LOST,
        "the GPU '%s' was lost while running; look at the kernel's log, then start again",
        gpu->info.name);
}

static VKAPI_ATTR VkBool32 VKAPI_CALL message(VkDebugUtilsMessageSeverityFlagBitsEXT severity,
                                              VkDebugUtilsMessageTypeFlagsEXT types,
                                              const VkDebugUtilsMessengerCallbackDataEXT *data,
                                              void *user)
{
    struct ag_gpu *gpu = user;
    (void)types;
    uint64_t before = atomic_fetch_add(&gpu->validation_messages, 1);
    if (before < MAX_PRINTED) {
        bool error = severity & VK_DEBUG_UTILS_MESSAGE_SEVERITY_ERROR_BIT_EXT;
        ag_log(gpu->log, error ? AG_LOG_ERROR : AG_LOG_WARN, "validation %s: %s",
               error ? "error" : "warning", data->pMessage);
    }
    return VK_FALSE;
}

VkDebugUtilsMessengerCreateInfoEXT ag_vk_messenger_info(struct ag_gpu *gpu)
{
    return (VkDebugUtilsMessengerCreateInfoEXT){
        .sType = VK_STRUCTURE_TYPE_DEBUG_UTILS_MESSENGER_CREATE_INFO_EXT,
        .messageSeverity = VK_DEBUG_UTILS_MESSAGE_SEVERITY_WARNING_BIT_EXT |
                           VK_DEBUG_UTILS_MESSAGE_SEVERITY_ERROR_BIT_EXT,
        // not GENERAL: there the loader tells about drivers it could not load
        .messageType = VK_DEBUG_UTILS_MESSAGE_TYPE_VALIDATION_BIT_EXT |
                       VK_DEBUG_UTILS_MESSAGE_TYPE_PERFORMANCE_BIT_EXT,
        .pfnUserCallback = message,
        .pUserData = gpu,
    };
}

void ag_vk_name(struct ag_gpu *gpu, VkObjectType type, uint64_t handle, const char *name)
{
    if (!gpu->debug_utils || !name) {
        return;
    }
    VkDebugUtilsObjectNameInfoEXT info = {
        .sType = VK_STRUCTURE_TYPE_DEBUG_UTILS_OBJECT_NAME_INFO_EXT,
        .objectType = type,
        .objectHandle = handle,
        .pObjectName = name,
    };
    vkSetDebugUtilsObjectNameEXT(gpu->device, &info);
}

void ag_vk_label_begin(struct ag_cmd *cmd, const char *name)
{
    if (cmd->gpu->debug_utils) {
        VkDebugUtilsLabelEXT label = {
            .sType = VK_STRUCTURE_TYPE_DEBUG_UTILS_LABEL_EXT,
            .pLabelName = name,
        };
        vkCmdBeginDebugUtilsLabelEXT(cmd->buffer, &label);
    }
}

void ag_vk_label_end(struct ag_cmd *cmd)
{
    if (cmd->gpu->debug_utils) {
        vkCmdEndDebugUtilsLabelEXT(cmd->buffer);
    }
}
