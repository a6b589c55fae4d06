#include "vk.h"

#include <stdio.h>
#include <string.h>

// The pipeline cache as a file, one a device: a header that says for which driver the bytes are
// good, then the driver's bytes. Drivers are meant to check their own data but have been known to
// crash on a damaged file, so the header carries a hash, too.

#define CACHE_VERSION 1
#define CACHE_MAX_BYTES ((size_t)256 << 20)

struct cache_header {
    char magic[8];
    uint32_t version, vendor, device, driver;
    uint8_t uuid[VK_UUID_SIZE];
    uint64_t bytes, hash;
};

static struct cache_header make_header(const struct ag_gpu *gpu, const void *data, size_t size)
{
    VkPhysicalDeviceProperties p;
    vkGetPhysicalDeviceProperties(gpu->physical, &p);
    struct cache_header h = {
        .magic = "AGPIPES",
        .version = CACHE_VERSION,
        .vendor = p.vendorID,
        .device = p.deviceID,
        .driver = p.driverVersion,
        .bytes = size,
        .hash = ag_hash(AG_HASH_SEED, data, size),
    };
    memcpy(h.uuid, p.pipelineCacheUUID, sizeof(h.uuid));
    return h;
}

static char *make_path(const struct ag_gpu *gpu, const char *cache_dir)
{
    VkPhysicalDeviceProperties p;
    vkGetPhysicalDeviceProperties(gpu->physical, &p);
    return ag_asprintf("%s/pipelines-%x-%x.bin", cache_dir, p.vendorID, p.deviceID);
}

// The file's bytes if they are good for this device and driver; *out belongs to the caller.
static const void *load(const struct ag_gpu *gpu, void **out, size_t *size)
{
    struct ag_error err = { 0 };
    size_t file_bytes = 0;
    if (!ag_read_file(gpu->cache_path, CACHE_MAX_BYTES, out, &file_bytes, &err)) {
        ag_verbose(gpu->log, "no pipeline cache: %s", err.text);
        return NULL;
    }
    struct cache_header header;
    *size = file_bytes - AG_MIN(file_bytes, sizeof(header));
    const char *data = (const char *)*out + (file_bytes - *size);
    struct cache_header expected = make_header(gpu, data, *size);
    if (file_bytes < sizeof(header) || memcmp(*out, &expected, sizeof(expected)) != 0) {
        ag_verbose(gpu->log, "pipeline cache '%s' is damaged or of another driver: it is made anew",
                   gpu->cache_path);
        *size = 0;
        return NULL;
    }
    return data;
}

bool ag_vk_cache_create(struct ag_gpu *gpu, const char *cache_dir, struct ag_error *err)
{
    void *file = NULL;
    size_t size = 0;
    const void *data = NULL;
    if (cache_dir) {
        gpu->cache_path = make_path(gpu, cache_dir);
        data = load(gpu, &file, &size);
    }
    gpu->cache_hash = data ? ag_hash(AG_HASH_SEED, data, size) : 0;
    VkPipelineCacheCreateInfo info = {
        .sType = VK_STRUCTURE_TYPE_PIPELINE_CACHE_CREATE_INFO,
        .initialDataSize = size,
        .pInitialData = data,
    };
    VK(vkCreatePipelineCache(gpu->device, &info, NULL, &gpu->pipeline_cache));
    ag_free(file);
    return true;

error:
    ag_free(file);
    return false;
}

void ag_vk_cache_save(struct ag_gpu *gpu)
{
    if (!gpu->cache_path || !gpu->pipeline_cache || gpu->lost) {
        return;
    }
    struct ag_error error = { 0 }, *err = &error;
    void *data = NULL;
    struct ag_output *out = NULL;
    size_t size = 0;
    VK(vkGetPipelineCacheData(gpu->device, gpu->pipeline_cache, &size, NULL));
    data = ag_alloc(size);
    VK(vkGetPipelineCacheData(gpu->device, gpu->pipeline_cache, &size, data));
    struct cache_header header = make_header(gpu, data, size);
    if (header.hash == gpu->cache_hash) {
        ag_free(data);
        return; // nothing new
    }
    out = ag_output_open(gpu->cache_path, err);
    if (!out) {
        goto error;
    }
    ag_output_write(out, &header, sizeof(header));
    ag_output_write(out, data, size);
    if (!ag_output_commit(&out, err)) {
        goto error;
    }
    ag_free(data);
    return;

error:
    ag_warn(gpu->log, "the pipeline cache was not saved, the next start takes longer: %s",
            error.text);
    ag_free(data);
}
