#include "autogaze/report.h"

#include <string.h>

#define STB_IMAGE_WRITE_STATIC
#define STB_IMAGE_WRITE_IMPLEMENTATION
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wunused-function"
#include <stb_image_write.h>
#pragma GCC diagnostic pop

static void sink(void *context, void *data, int size)
{
    ag_output_write(context, data, (size_t)size);
}

bool ag_screenshot_write(const char *path, const uint8_t *const *pictures, uint32_t n,
                         uint32_t width, uint32_t height, struct ag_error *err)
{
    size_t row = (size_t)width * n * 3;
    struct ag_output *out = ag_output_open(path, err);
    if (!out) {
        return false;
    }
    uint8_t *rgb = ag_alloc(row * height);
    for (uint32_t y = 0; y < height; y++) {
        uint8_t *d = rgb + y * row;
        for (uint32_t p = 0; p < n; p++) {
            const uint8_t *s = pictures[p] + (size_t)y * width * 4;
            for (uint32_t x = 0; x < width; x++, s += 4, d += 3) {
                memcpy(d, s, 3);
            }
        }
    }
    int ok = stbi_write_png_to_func(sink, out, (int)(width * n), (int)height, 3, rgb, (int)row);
    ag_free(rgb);
    if (!ok) {
        ag_output_abort(&out);
        return ag_fail(err, AG_ERR_OUTPUT, "cannot encode '%s' as PNG", path);
    }
    return ag_output_commit(&out, err);
}
