// What there is to choose from: devices, models, sources.
#include "session.h"

#include <stdio.h>
#include <string.h>

static bool list_gpus(const struct ag_log *log, struct ag_error *err)
{
    struct ag_gpu_info gpus[16];
    int n = ag_gpu_list(log, gpus, AG_COUNT(gpus), err);
    for (int i = 0; i < n && i < (int)AG_COUNT(gpus); i++) {
        const struct ag_gpu_info *g = &gpus[i];
        printf("%u: %s (%s%s), %s %s\n", g->index, g->name, g->type,
               g->software ? ", times on it are not hardware numbers" : "", g->driver, g->driver_info);
        if (!g->usable) {
            printf("   cannot be used: lacks %s\n", g->missing);
            continue;
        }
        printf("   Vulkan %u.%u, subgroups of %u, workgroups to %u, %u KiB shared, buffers to %llu "
               "MiB, %llu MiB of memory\n", g->api_version >> 22 & 0x7f, g->api_version >> 12 & 0x3ff,
               g->subgroup_size, g->max_workgroup_invocations, g->max_shared_bytes / 1024,
               (unsigned long long)g->max_buffer_bytes >> 20, (unsigned long long)g->device_bytes >> 20);
        printf("   faster rungs: 16-bit storage %s, float16 %s, 64-bit integers %s, cooperative "
               "matrix %s\n", g->storage16 ? "yes" : "no", g->float16 ? "yes" : "no",
               g->int64 ? "yes" : "no", g->cooperative_matrix ? "yes" : "no");
    }
    return n >= 0;
}

static void list_models(void)
{
    struct ag_model_listing models[16];
    int n = ag_model_list(models, AG_COUNT(models));
    for (int i = 0; i < n; i++) {
        const struct ag_model_listing *m = &models[i];
        printf("%-12s %s%s%s\n", m->name, m->usable ? "" : m->found ? "[unusable] " : "[not found] ",
               m->note, m->found ? "" : "");
        if (m->found) {
            printf("%-12s %s\n", "", m->dir);
        }
    }
}

static void list_sources(void)
{
    struct ag_source_listing sources[32];
    int n = ag_source_drivers(sources, AG_COUNT(sources));
    for (int i = 0; i < n; i++) {
        printf("%-24s %s\n", sources[i].name, sources[i].help);
    }
}

static bool same_row(const struct ag_camera_mode *a, const struct ag_camera_mode *b)
{
    return strcmp(a->format, b->format) == 0 && a->width == b->width && a->height == b->height;
}

static void list_cameras(void)
{
    struct ag_camera *cameras;
    int n = ag_camera_list(&cameras);
    for (int i = 0; i < n; i++) {
        const struct ag_camera *c = &cameras[i];
        printf("%s: %s\n", c->device, c->why[0] ? c->why : c->name);
        for (int k = 0; k < c->n_modes; k++) {
            const struct ag_camera_mode *m = &c->modes[k];
            bool first = k == 0 || !same_row(m, m - 1);
            bool last = k + 1 == c->n_modes || !same_row(m, m + 1);
            if (first) {
                printf("   %-8s %ux%u%s", m->format, m->width, m->height, m->fps > 0 ? "  " : "");
            }
            if (m->fps > 0) {
                printf("%s%.4g", first ? "" : ", ", m->fps);
            }
            if (last) {
                printf("%s%s\n", m->fps > 0 ? " fps" : "", m->usable ? "" : "  [cannot be read]");
            }
        }
    }
    if (n == 0) {
        printf("no camera found: there is no /dev/video* that takes pictures\n");
    }
    ag_camera_list_free(cameras, n);
}

bool app_list(const struct ag_log *log, const struct ag_config *config, struct ag_error *err)
{
    if (config->list_models) {
        list_models();
    }
    if (config->list_sources) {
        list_sources();
    }
    if (config->list_cameras) {
        list_cameras();
    }
    return !config->list_gpus || list_gpus(log, err);
}
