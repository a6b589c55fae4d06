#include "vk.h"

#include <assert.h>
#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

// Instance, choice of the device, its features, teardown.

#define MAX_DEVICES 32
#define MAX_EXTENSIONS 16
#define VALIDATION_LAYER "VK_LAYER_KHRONOS_validation"
#define INSTALL_A_DRIVER                                                                           \
    "install the driver of your GPU (mesa-vulkan-drivers for AMD, Intel and software rendering; "  \
    "for NVIDIA the vendor's driver with its Vulkan part)"

// ---- instance --------------------------------------------------------------------------------

static bool has_layer(const char *name)
{
    uint32_t n = 0;
    vkEnumerateInstanceLayerProperties(&n, NULL);
    VkLayerProperties *layers = ag_alloc(n * sizeof(*layers));
    vkEnumerateInstanceLayerProperties(&n, layers);
    bool found = false;
    for (uint32_t i = 0; i < n && !found; i++) {
        found = strcmp(layers[i].layerName, name) == 0;
    }
    ag_free(layers);
    return found;
}

static bool has_instance_extension(const char *name)
{
    uint32_t n = 0;
    vkEnumerateInstanceExtensionProperties(NULL, &n, NULL);
    VkExtensionProperties *extensions = ag_alloc(n * sizeof(*extensions));
    vkEnumerateInstanceExtensionProperties(NULL, &n, extensions);
    bool found = false;
    for (uint32_t i = 0; i < n && !found; i++) {
        found = strcmp(extensions[i].extensionName, name) == 0;
    }
    ag_free(extensions);
    return found;
}

static bool check_loader(struct ag_error *err)
{
    if (volkInitialize() != VK_SUCCESS) {
        return ag_fail(err, AG_ERR_DEVICE,
                       "no Vulkan loader (libvulkan.so.1) on this machine: " INSTALL_A_DRIVER);
    }
    if (volkGetInstanceVersion() < VK_API_VERSION_1_3) {
        return ag_fail(
            err, AG_ERR_DEVICE,
            "the Vulkan loader is older than 1.3: update libvulkan1, then " INSTALL_A_DRIVER);
    }
    return true;
}

static bool check_instance_extensions(const struct ag_gpu_params *params, struct ag_error *err)
{
    for (uint32_t i = 0; i < params->n_instance_extensions; i++) {
        if (!has_instance_extension(params->instance_extensions[i])) {
            return ag_fail(err, AG_ERR_DEVICE,
                           "no window: the Vulkan drivers here lack %s; run with --headless "
                           "or " INSTALL_A_DRIVER,
                           params->instance_extensions[i]);
        }
    }
    return true;
}

static bool create_instance(struct ag_gpu *gpu, const struct ag_gpu_params *params,
                            struct ag_error *err)
{
    if (!check_loader(err) || !check_instance_extensions(params, err)) {
        return false;
    }
    if (params->validation && !has_layer(VALIDATION_LAYER)) {
        return ag_fail(err, AG_ERR_DEVICE,
                       VALIDATION_LAYER " is not installed: install vulkan-validationlayers or "
                                        "run without validation");
    }
    const char *extensions[MAX_EXTENSIONS];
    uint32_t n = params->n_instance_extensions;
    assert(n + 1 < MAX_EXTENSIONS);
    for (uint32_t i = 0; i < n; i++) {
        extensions[i] = params->instance_extensions[i];
    }
    gpu->debug_utils =
        params->validation || has_instance_extension(VK_EXT_DEBUG_UTILS_EXTENSION_NAME);
    if (gpu->debug_utils) {
        extensions[n++] = VK_EXT_DEBUG_UTILS_EXTENSION_NAME;
    }
    VkApplicationInfo app = {
        .sType = VK_STRUCTURE_TYPE_APPLICATION_INFO,
        .pApplicationName = "autogaze-viewer",
        .apiVersion = VK_API_VERSION_1_3,
    };
    VkDebugUtilsMessengerCreateInfoEXT messenger = ag_vk_messenger_info(gpu);
    VkValidationFeatureEnableEXT enable =
        VK_VALIDATION_FEATURE_ENABLE_SYNCHRONIZATION_VALIDATION_EXT;
    VkValidationFeaturesEXT features = {
        .sType = VK_STRUCTURE_TYPE_VALIDATION_FEATURES_EXT,
        .pNext = &messenger, // what happens while the instance is made and destroyed
        .enabledValidationFeatureCount = 1,
        .pEnabledValidationFeatures = &enable,
    };
    const char *layer = VALIDATION_LAYER;
    VkInstanceCreateInfo info = {
        .sType = VK_STRUCTURE_TYPE_INSTANCE_CREATE_INFO,
        .pNext = params->validation ? &features : NULL,
        .pApplicationInfo = &app,
        .enabledLayerCount = params->validation,
        .ppEnabledLayerNames = &layer,
        .enabledExtensionCount = n,
        .ppEnabledExtensionNames = extensions,
    };
    VkResult result = vkCreateInstance(&info, NULL, &gpu->instance);
    if (result == VK_ERROR_INCOMPATIBLE_DRIVER) {
        return ag_fail(err, AG_ERR_DEVICE, "no Vulkan driver on this machine: " INSTALL_A_DRIVER);
    }
    VK(result);
    volkLoadInstance(gpu->instance);
    if (params->validation) {
        VK(vkCreateDebugUtilsMessengerEXT(gpu->instance, &messenger, NULL, &gpu->messenger));
    }
    return true;

error:
    return false;
}

static void destroy_instance(struct ag_gpu *gpu)
{
    if (gpu->messenger) {
        vkDestroyDebugUtilsMessengerEXT(gpu->instance, gpu->messenger, NULL);
    }
    if (gpu->instance) {
        vkDestroyInstance(gpu->instance, NULL);
    }
}

// ---- what a device is ------------------------------------------------------------------------

// VK_KHR_cooperative_matrix, which the headers of Debian 12 do not have yet.
#define KHR_MATRIX_NAME "VK_KHR_cooperative_matrix"
#define KHR_MATRIX_FEATURES ((VkStructureType)1000506000)
#define KHR_MATRIX_PROPERTIES ((VkStructureType)1000506001)

struct khr_matrix_features {
    VkStructureType sType;
    void *pNext;
    VkBool32 cooperativeMatrix, cooperativeMatrixRobustBufferAccess;
};

// Component types and scopes have the numbers of NVIDIA's extension.
struct khr_matrix_properties {
    VkStructureType sType;
    void *pNext;
    uint32_t MSize, NSize, KSize;
    VkComponentTypeNV AType, BType, CType, ResultType;
    VkBool32 saturatingAccumulation;
    VkScopeNV scope;
};

typedef VkResult (VKAPI_PTR *get_khr_matrices)(VkPhysicalDevice, uint32_t *,
                                               struct khr_matrix_properties *);

struct features {
    VkPhysicalDeviceFeatures2 core;
    VkPhysicalDeviceVulkan11Features v11;
    VkPhysicalDeviceVulkan12Features v12;
    VkPhysicalDeviceVulkan13Features v13;
    VkPhysicalDeviceCooperativeMatrixFeaturesNV cooperative;
    struct khr_matrix_features khr_matrix;
};

struct candidate {
    VkPhysicalDevice physical;
    uint32_t queue_family, timestamp_bits;
    uint32_t subgroup_min, subgroup_max;
    uint32_t n_extensions;
    VkExtensionProperties *extensions;
    struct features features; // supported
    struct ag_gpu_info info;
};

static bool has_extension(const struct candidate *c, const char *name)
{
    for (uint32_t i = 0; i < c->n_extensions; i++) {
        if (strcmp(c->extensions[i].extensionName, name) == 0) {
            return true;
        }
    }
    return false;
}

static void chain_features(struct features *f, bool cooperative, bool khr_matrix)
{
    f->core.sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_FEATURES_2;
    f->core.pNext = &f->v11;
    f->v11.sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_VULKAN_1_1_FEATURES;
    f->v11.pNext = &f->v12;
    f->v12.sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_VULKAN_1_2_FEATURES;
    f->v12.pNext = &f->v13;
    f->v13.sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_VULKAN_1_3_FEATURES;
    f->cooperative.sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_COOPERATIVE_MATRIX_FEATURES_NV;
    f->khr_matrix.sType = KHR_MATRIX_FEATURES;
    f->cooperative.pNext = NULL;
    f->khr_matrix.pNext = cooperative ? &f->cooperative : NULL;
    f->v13.pNext = khr_matrix ? &f->khr_matrix : f->khr_matrix.pNext;
}

static void get_extensions(struct candidate *c)
{
    vkEnumerateDeviceExtensionProperties(c->physical, NULL, &c->n_extensions, NULL);
    c->extensions = ag_alloc(c->n_extensions * sizeof(c->extensions[0]));
    vkEnumerateDeviceExtensionProperties(c->physical, NULL, &c->n_extensions, c->extensions);
}

// The family with compute, better one that can draw, too (the window's queue). false: none.
static bool get_queue_family(struct candidate *c)
{
    VkQueueFamilyProperties families[32];
    uint32_t n = AG_COUNT(families);
    vkGetPhysicalDeviceQueueFamilyProperties(c->physical, &n, families);
    bool found = false, draws = false;
    for (uint32_t i = 0; i < n && !draws; i++) {
        bool compute = families[i].queueFlags & VK_QUEUE_COMPUTE_BIT;
        draws = compute && (families[i].queueFlags & VK_QUEUE_GRAPHICS_BIT);
        if (compute && (draws || !found)) {
            c->queue_family = i;
            c->timestamp_bits = families[i].timestampValidBits;
            found = true;
        }
    }
    return found;
}

// In order of preference.
static const struct {
    VkPhysicalDeviceType type;
    const char *name;
} types[] = {
    { VK_PHYSICAL_DEVICE_TYPE_DISCRETE_GPU, "discrete" },
    { VK_PHYSICAL_DEVICE_TYPE_INTEGRATED_GPU, "integrated" },
    { VK_PHYSICAL_DEVICE_TYPE_VIRTUAL_GPU, "virtual" },
    { VK_PHYSICAL_DEVICE_TYPE_CPU, "software" },
    { VK_PHYSICAL_DEVICE_TYPE_OTHER, "other" },
};

static const struct {
    uint32_t id;
    const char *name;
} vendors[] = {
    { 0x1002, "AMD" },      { 0x10de, "NVIDIA" }, { 0x8086, "Intel" },     { 0x13b5, "ARM" },
    { 0x5143, "Qualcomm" }, { 0x106b, "Apple" },  { 0x1414, "Microsoft" }, { 0x10005, "Mesa" },
};

static uint32_t type_rank(const struct candidate *c)
{
    uint32_t i = 0;
    while (strcmp(types[i].name, c->info.type) != 0) {
        i++;
    }
    return i;
}

static void describe_names(struct ag_gpu_info *info, const VkPhysicalDeviceProperties *p,
                           const VkPhysicalDeviceVulkan12Properties *v12)
{
    snprintf(info->name, sizeof(info->name), "%s", p->deviceName);
    snprintf(info->driver, sizeof(info->driver), "%s", v12->driverName);
    snprintf(info->driver_info, sizeof(info->driver_info), "%s", v12->driverInfo);
    snprintf(info->vendor, sizeof(info->vendor), "0x%04x", p->vendorID);
    for (uint32_t i = 0; i < AG_COUNT(vendors); i++) {
        if (vendors[i].id == p->vendorID) {
            snprintf(info->vendor, sizeof(info->vendor), "%s", vendors[i].name);
        }
    }
    info->type = "other";
    for (uint32_t i = 0; i < AG_COUNT(types); i++) {
        if (types[i].type == p->deviceType) {
            info->type = types[i].name;
        }
    }
    info->software = p->deviceType == VK_PHYSICAL_DEVICE_TYPE_CPU;
}

static uint32_t count_cores(const struct candidate *c)
{
    VkPhysicalDeviceShaderSMBuiltinsPropertiesNV nv = {
        .sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_SHADER_SM_BUILTINS_PROPERTIES_NV,
    };
    VkPhysicalDeviceShaderCorePropertiesAMD amd = {
        .sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_SHADER_CORE_PROPERTIES_AMD,
    };
    VkPhysicalDeviceProperties2 p = { .sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_PROPERTIES_2 };
    if (has_extension(c, VK_NV_SHADER_SM_BUILTINS_EXTENSION_NAME)) {
        p.pNext = &nv;
    } else if (has_extension(c, VK_AMD_SHADER_CORE_PROPERTIES_EXTENSION_NAME)) {
        p.pNext = &amd;
    }
    vkGetPhysicalDeviceProperties2(c->physical, &p);
    return nv.shaderSMCount +
           amd.shaderEngineCount * amd.shaderArraysPerEngineCount * amd.computeUnitsPerShaderArray;
}

static uint64_t largest_device_heap(VkPhysicalDevice physical)
{
    VkPhysicalDeviceMemoryProperties memory;
    vkGetPhysicalDeviceMemoryProperties(physical, &memory);
    uint64_t largest = 0;
    for (uint32_t i = 0; i < memory.memoryHeapCount; i++) {
        if (memory.memoryHeaps[i].flags & VK_MEMORY_HEAP_DEVICE_LOCAL_BIT) {
            largest = AG_MAX(largest, memory.memoryHeaps[i].size);
        }
    }
    return largest;
}

static void describe_properties(struct candidate *c)
{
    VkPhysicalDeviceVulkan13Properties v13 = {
        .sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_VULKAN_1_3_PROPERTIES,
    };
    VkPhysicalDeviceVulkan12Properties v12 = {
        .sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_VULKAN_1_2_PROPERTIES,
        .pNext = &v13,
    };
    VkPhysicalDeviceVulkan11Properties v11 = {
        .sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_VULKAN_1_1_PROPERTIES,
        .pNext = &v12,
    };
    VkPhysicalDeviceProperties2 p = {
        .sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_PROPERTIES_2,
        .pNext = &v11,
    };
    vkGetPhysicalDeviceProperties2(c->physical, &p);
    const VkPhysicalDeviceLimits *limits = &p.properties.limits;
    struct ag_gpu_info *info = &c->info;
    describe_names(info, &p.properties, &v12);
    info->api_version = p.properties.apiVersion;
    info->subgroup_size = v11.subgroupSize;
    info->max_workgroup_invocations = limits->maxComputeWorkGroupInvocations;
    info->max_shared_bytes = limits->maxComputeSharedMemorySize;
    info->max_buffer_bytes = AG_MIN(limits->maxStorageBufferRange, v13.maxBufferSize);
    info->device_bytes = largest_device_heap(c->physical);
    info->timestamp_ns = c->timestamp_bits ? (double)limits->timestampPeriod : 0;
    info->cores = count_cores(c);
    if (v13.requiredSubgroupSizeStages & VK_SHADER_STAGE_COMPUTE_BIT) {
        c->subgroup_min = v13.minSubgroupSize;
        c->subgroup_max = v13.maxSubgroupSize;
    }
}

// Whether the driver can read its own clock and ours (ag_now_ns) at the same time.
static bool has_host_clock(const struct candidate *c)
{
    VkTimeDomainEXT domains[8];
    uint32_t n = AG_COUNT(domains);
    if (!has_extension(c, VK_EXT_CALIBRATED_TIMESTAMPS_EXTENSION_NAME) ||
        vkGetPhysicalDeviceCalibrateableTimeDomainsEXT(c->physical, &n, domains) < 0) {
        return false;
    }
    bool device = false, host = false;
    for (uint32_t i = 0; i < n; i++) {
        device = device || domains[i] == VK_TIME_DOMAIN_DEVICE_EXT;
        host = host || domains[i] == VK_TIME_DOMAIN_CLOCK_MONOTONIC_EXT;
    }
    return device && host;
}

// 16 x 16 x 16 products of halves with float32 sums, by a subgroup (shaders/lib/matrix.glsl).
// `p`: of either extension.
#define IS_OUR_PRODUCT(p, result)                                                                 \
    ((p)->MSize == 16 && (p)->NSize == 16 && (p)->KSize == 16 &&                                  \
     (p)->AType == VK_COMPONENT_TYPE_FLOAT16_NV && (p)->BType == VK_COMPONENT_TYPE_FLOAT16_NV &&  \
     (p)->CType == VK_COMPONENT_TYPE_FLOAT32_NV && (result) == VK_COMPONENT_TYPE_FLOAT32_NV &&    \
     (p)->scope == VK_SCOPE_SUBGROUP_NV)

static bool has_khr_matrices(const struct candidate *c, VkInstance instance)
{
    uint32_t n = 0;
    get_khr_matrices get = (get_khr_matrices)vkGetInstanceProcAddr(
        instance, "vkGetPhysicalDeviceCooperativeMatrixPropertiesKHR");
    if (!get || get(c->physical, &n, NULL) != VK_SUCCESS) {
        return false;
    }
    struct khr_matrix_properties *list = ag_alloc((n + 1) * sizeof(*list));
    for (uint32_t i = 0; i < n; i++) {
        list[i].sType = KHR_MATRIX_PROPERTIES;
    }
    bool found = false, listed = get(c->physical, &n, list) >= VK_SUCCESS;
    for (uint32_t i = 0; i < n && listed; i++) {
        found = found || (IS_OUR_PRODUCT(&list[i], list[i].ResultType) &&
                          !list[i].saturatingAccumulation);
    }
    ag_free(list);
    return found;
}

static bool has_nv_matrices(const struct candidate *c)
{
    uint32_t n = 0;
    vkGetPhysicalDeviceCooperativeMatrixPropertiesNV(c->physical, &n, NULL);
    VkCooperativeMatrixPropertiesNV *list = ag_alloc((n + 1) * sizeof(*list));
    for (uint32_t i = 0; i < n; i++) {
        list[i].sType = VK_STRUCTURE_TYPE_COOPERATIVE_MATRIX_PROPERTIES_NV;
    }
    vkGetPhysicalDeviceCooperativeMatrixPropertiesNV(c->physical, &n, list);
    bool found = false;
    for (uint32_t i = 0; i < n; i++) {
        found = found || IS_OUR_PRODUCT(&list[i], list[i].DType);
    }
    ag_free(list);
    return found;
}

static void describe_features(struct candidate *c, const struct ag_gpu *gpu)
{
    bool cooperative = has_extension(c, VK_NV_COOPERATIVE_MATRIX_EXTENSION_NAME);
    bool khr_matrix = !gpu->messenger && has_extension(c, KHR_MATRIX_NAME);
    chain_features(&c->features, cooperative, khr_matrix);
    vkGetPhysicalDeviceFeatures2(c->physical, &c->features.core);
    struct ag_gpu_info *info = &c->info;
    info->storage16 = c->features.v11.storageBuffer16BitAccess;
    info->float16 = c->features.v12.shaderFloat16;
    info->int64 = c->features.core.features.shaderInt64;
    bool usable = c->features.v12.shaderFloat16 && c->features.v12.vulkanMemoryModel &&
                  c->subgroup_min <= 32 && c->subgroup_max >= 32;
    info->khr_matrix = usable && khr_matrix && c->features.khr_matrix.cooperativeMatrix &&
                       has_khr_matrices(c, gpu->instance);
    info->cooperative_matrix = info->khr_matrix ||
                               (usable && cooperative &&
                                c->features.cooperative.cooperativeMatrix && has_nv_matrices(c));
    info->memory_budget = has_extension(c, VK_EXT_MEMORY_BUDGET_EXTENSION_NAME);
    info->calibrated = has_host_clock(c);
}

static void describe(struct candidate *c, const struct ag_gpu *gpu, VkPhysicalDevice physical)
{
    c->physical = physical;
    VkPhysicalDeviceProperties p;
    vkGetPhysicalDeviceProperties(physical, &p);
    VkPhysicalDeviceVulkan12Properties no_driver = { 0 };
    describe_names(&c->info, &p, &no_driver);
    c->info.api_version = p.apiVersion;
    get_extensions(c);
    const char *missing = NULL;
    if (p.apiVersion < VK_API_VERSION_1_3) {
        missing = "Vulkan 1.3";
    } else if (!has_extension(c, VK_KHR_PUSH_DESCRIPTOR_EXTENSION_NAME)) {
        missing = VK_KHR_PUSH_DESCRIPTOR_EXTENSION_NAME;
    } else if (!get_queue_family(c)) {
        missing = "a compute queue";
    }
    if (missing) {
        snprintf(c->info.missing, sizeof(c->info.missing), "%s", missing);
        return;
    }
    c->info.usable = true;
    describe_properties(c);
    describe_features(c, gpu);
}

// ---- choice ----------------------------------------------------------------------------------

struct candidates {
    uint32_t n;
    struct candidate list[MAX_DEVICES]; // best first
};

static void free_candidates(struct candidates *all)
{
    for (uint32_t i = 0; i < all->n; i++) {
        ag_free(all->list[i].extensions);
    }
    ag_free(all);
}

static struct candidates *get_candidates(struct ag_gpu *gpu, struct ag_error *err)
{
    VkPhysicalDevice devices[MAX_DEVICES];
    uint32_t n = MAX_DEVICES;
    VkResult result = vkEnumeratePhysicalDevices(gpu->instance, &n, devices);
    if ((result != VK_SUCCESS && result != VK_INCOMPLETE) || n == 0) {
        ag_fail(err, AG_ERR_DEVICE, "no Vulkan device on this machine: " INSTALL_A_DRIVER);
        return NULL;
    }
    struct candidates *all = ag_alloc(sizeof(*all));
    for (uint32_t i = 0; i < n; i++) { // insertion sort: equals stay in the driver's order
        struct candidate c = { 0 };
        describe(&c, gpu, devices[i]);
        uint32_t at = all->n++;
        for (; at > 0 && type_rank(&all->list[at - 1]) > type_rank(&c); at--) {
            all->list[at] = all->list[at - 1];
        }
        all->list[at] = c;
    }
    for (uint32_t i = 0; i < n; i++) {
        all->list[i].info.index = i;
    }
    return all;
}

// "0 'A' (discrete), 1 'B' (software, lacks Vulkan 1.3)"
static void list_names(const struct candidates *all, char *out, size_t size)
{
    size_t used = 0;
    out[0] = 0;
    for (uint32_t i = 0; i < all->n && used < size; i++) {
        const struct ag_gpu_info *info = &all->list[i].info;
        int n = snprintf(out + used, size - used, "%s%u '%.80s' (%s%s%s)", i ? ", " : "", i,
                         info->name, info->type, info->usable ? "" : ", lacks ", info->missing);
        used += (size_t)n;
    }
}

static bool contains(const char *text, const char *part)
{
    for (size_t i = 0; text[i]; i++) {
        size_t n = 0;
        while (part[n] && tolower((unsigned char)text[i + n]) == tolower((unsigned char)part[n])) {
            n++;
        }
        if (!part[n]) {
            return true;
        }
    }
    return false;
}

static bool matches(const struct candidate *c, const char *wanted, uint32_t n)
{
    if (!wanted) {
        return true;
    }
    char *end;
    unsigned long index = strtoul(wanted, &end, 10);
    if (isdigit((unsigned char)wanted[0]) && !*end && index < n) {
        return c->info.index == index;
    }
    return wanted[0] && contains(c->info.name, wanted); // "4090" is no index here but a name
}

static const struct candidate *choose(const struct candidates *all,
                                      const struct ag_gpu_params *params, struct ag_error *err)
{
    char names[512];
    list_names(all, names, sizeof(names));
    const struct candidate *unusable = NULL, *software = NULL;
    for (uint32_t i = 0; i < all->n; i++) {
        const struct candidate *c = &all->list[i];
        if (!matches(c, params->device, all->n)) {
            continue;
        }
        if (!c->info.usable) {
            unusable = unusable ? unusable : c;
        } else if (params->require_hardware && c->info.software) {
            software = software ? software : c;
        } else {
            return c;
        }
    }
    if (software) {
        ag_fail(err, AG_ERR_DEVICE,
                "'%.80s' is a software device and --require-hardware is set; there are: %.400s",
                software->info.name, names);
    } else if (unusable) {
        ag_fail(err, AG_ERR_DEVICE,
                "'%.80s' cannot be used, it lacks %s: update its driver; there are: %.400s",
                unusable->info.name, unusable->info.missing, names);
    } else {
        ag_fail(err, AG_ERR_DEVICE, "no GPU has the number or name '%.60s'; there are: %.500s",
                params->device, names);
    }
    return NULL;
}

int ag_gpu_list(const struct ag_log *log, struct ag_gpu_info *out, int max, struct ag_error *err)
{
    struct ag_gpu gpu = { .log = log };
    struct ag_gpu_params params = { 0 };
    int n = -1;
    struct candidates *all = NULL;
    if (create_instance(&gpu, &params, err) && (all = get_candidates(&gpu, err))) {
        n = (int)all->n;
        for (int i = 0; i < AG_MIN(n, max); i++) {
            out[i] = all->list[i].info;
        }
        free_candidates(all);
    }
    destroy_instance(&gpu);
    return n;
}

// ---- device ----------------------------------------------------------------------------------

// Required ones are part of Vulkan 1.3; the others are switched on where they exist.
static struct features wanted_features(const struct candidate *c)
{
    const struct features *has = &c->features;
    return (struct features){
        .core.features.shaderInt64 = has->core.features.shaderInt64,
        .core.features.shaderStorageImageWriteWithoutFormat =
            has->core.features.shaderStorageImageWriteWithoutFormat,
        .v11.storageBuffer16BitAccess = has->v11.storageBuffer16BitAccess,
        .v12.shaderFloat16 = has->v12.shaderFloat16,
        .v12.timelineSemaphore = VK_TRUE,
        .v12.hostQueryReset = VK_TRUE,
        .v12.vulkanMemoryModel = has->v12.vulkanMemoryModel,
        .v12.vulkanMemoryModelDeviceScope = has->v12.vulkanMemoryModelDeviceScope,
        .v12.shaderSubgroupExtendedTypes = has->v12.shaderSubgroupExtendedTypes,
        .v13.synchronization2 = VK_TRUE,
        .v13.maintenance4 = VK_TRUE,
        .v13.subgroupSizeControl = VK_TRUE,
        .v13.computeFullSubgroups = VK_TRUE,
        .v13.dynamicRendering = VK_TRUE,
        .cooperative.cooperativeMatrix = has->cooperative.cooperativeMatrix,
        .khr_matrix.cooperativeMatrix = VK_TRUE,
    };
}

static bool create_device(struct ag_gpu *gpu, const struct candidate *c, bool present,
                          struct ag_error *err)
{
    bool by_nv = c->info.cooperative_matrix && !c->info.khr_matrix;
    const struct {
        const char *name;
        bool enable;
    } wanted[] = {
        { VK_KHR_PUSH_DESCRIPTOR_EXTENSION_NAME, true },
        { VK_KHR_SWAPCHAIN_EXTENSION_NAME, present },
        { VK_EXT_MEMORY_BUDGET_EXTENSION_NAME, c->info.memory_budget },
        { KHR_MATRIX_NAME, c->info.khr_matrix },
        { VK_NV_COOPERATIVE_MATRIX_EXTENSION_NAME, by_nv },
        { VK_EXT_CALIBRATED_TIMESTAMPS_EXTENSION_NAME, c->info.calibrated },
    };
    const char *extensions[AG_COUNT(wanted)];
    uint32_t n = 0;
    for (uint32_t i = 0; i < AG_COUNT(wanted); i++) {
        if (wanted[i].enable) {
            extensions[n++] = wanted[i].name;
        }
    }
    if (present && !has_extension(c, VK_KHR_SWAPCHAIN_EXTENSION_NAME)) {
        return ag_fail(err, AG_ERR_DEVICE,
                       "'%s' cannot show a window (no " VK_KHR_SWAPCHAIN_EXTENSION_NAME
                       "): run with --headless or another --gpu",
                       c->info.name);
    }
    struct features features = wanted_features(c);
    chain_features(&features, by_nv, c->info.khr_matrix);
    float priority = 1;
    VkDeviceQueueCreateInfo queue = {
        .sType = VK_STRUCTURE_TYPE_DEVICE_QUEUE_CREATE_INFO,
        .queueFamilyIndex = c->queue_family,
        .queueCount = 1,
        .pQueuePriorities = &priority,
    };
    VkDeviceCreateInfo info = {
        .sType = VK_STRUCTURE_TYPE_DEVICE_CREATE_INFO,
        .pNext = &features.core,
        .queueCreateInfoCount = 1,
        .pQueueCreateInfos = &queue,
        .enabledExtensionCount = n,
        .ppEnabledExtensionNames = extensions,
    };
    VK(vkCreateDevice(c->physical, &info, NULL, &gpu->device));
    vkGetDeviceQueue(gpu->device, c->queue_family, 0, &gpu->queue);
    return true;

error:
    return false;
}

static bool create_allocator(struct ag_gpu *gpu, struct ag_error *err)
{
    VmaVulkanFunctions functions = {
        .vkGetInstanceProcAddr = vkGetInstanceProcAddr,
        .vkGetDeviceProcAddr = vkGetDeviceProcAddr,
    };
    VmaAllocatorCreateInfo info = {
        .flags = gpu->info.memory_budget ? VMA_ALLOCATOR_CREATE_EXT_MEMORY_BUDGET_BIT : 0,
        .physicalDevice = gpu->physical,
        .device = gpu->device,
        .pVulkanFunctions = &functions,
        .instance = gpu->instance,
        .vulkanApiVersion = VK_API_VERSION_1_3,
    };
    VK(vmaCreateAllocator(&info, &gpu->allocator));
    return true;

error:
    return false;
}

static bool open_device(struct ag_gpu *gpu, const struct ag_gpu_params *params,
                        struct ag_error *err)
{
    struct candidates *all = get_candidates(gpu, err);
    const struct candidate *c = all ? choose(all, params, err) : NULL;
    bool ok = c != NULL;
    if (ok) {
        gpu->info = c->info;
        gpu->physical = c->physical;
        gpu->queue_family = c->queue_family;
        gpu->subgroup_min = c->subgroup_min;
        gpu->image_writes = c->features.core.features.shaderStorageImageWriteWithoutFormat;
        gpu->subgroup_max = c->subgroup_max;
        gpu->timestamp_mask = c->timestamp_bits >= 64 ? ~0ull : (1ull << c->timestamp_bits) - 1;
        ok = create_device(gpu, c, params->present, err);
    }
    if (all) {
        free_candidates(all);
    }
    return ok;
}

struct ag_gpu *ag_gpu_create(const struct ag_log *log, const struct ag_gpu_params *params,
                             struct ag_error *err)
{
    struct ag_gpu *gpu = ag_alloc(sizeof(*gpu));
    gpu->log = log;
    pthread_mutex_init(&gpu->lock, NULL);
    ag_vk_builders_create(gpu);
    bool ok = create_instance(gpu, params, err) && open_device(gpu, params, err) &&
              create_allocator(gpu, err) && ag_vk_commands_create(gpu, err) &&
              ag_vk_cache_create(gpu, params->cache_dir, err);
    if (!ok) {
        ag_gpu_destroy(&gpu);
        return NULL;
    }
    gpu->guards = params->guards;
    ag_verbose(log, "GPU %u: %s, %s (%s %s)%s", gpu->info.index, gpu->info.name, gpu->info.type,
               gpu->info.driver, gpu->info.driver_info,
               params->validation ? ", validation on" : "");
    return gpu;
}

void ag_gpu_destroy(struct ag_gpu **pgpu)
{
    struct ag_gpu *gpu = *pgpu;
    if (!gpu) {
        return;
    }
    if (gpu->device) {
        ag_vk_wait_idle(gpu);
        ag_vk_run_deferred(gpu, true);
    }
    ag_vk_builders_destroy(gpu);
    if (gpu->device) {
        ag_vk_cache_save(gpu);
        vkDestroyPipelineCache(gpu->device, gpu->pipeline_cache, NULL);
        ag_vk_commands_destroy(gpu);
        vmaDestroyAllocator(gpu->allocator);
        vkDestroyDevice(gpu->device, NULL);
    }
    destroy_instance(gpu);
    pthread_mutex_destroy(&gpu->lock);
    ag_free(gpu->deferred);
    ag_free(gpu->cache_path);
    ag_free(gpu);
    *pgpu = NULL;
}

const struct ag_gpu_info *ag_gpu_get_info(const struct ag_gpu *gpu)
{
    return &gpu->info;
}

struct ag_gpu_counters ag_gpu_get_counters(const struct ag_gpu *gpu)
{
    struct ag_gpu_counters counters = gpu->counters;
    counters.validation_messages = atomic_load(&gpu->validation_messages);
    counters.allocations = atomic_load(&gpu->allocations);
    counters.device_bytes_used = atomic_load(&gpu->device_bytes_used);
    return counters;
}
