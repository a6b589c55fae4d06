#include "stb.h"

#include <limits.h>

#include "autogaze/frame.h"

// Static, so that it does not meet another copy at link time; much of it is then unused.
#define STB_IMAGE_STATIC
#define STB_IMAGE_IMPLEMENTATION
#define STBI_NO_STDIO
#define STBI_NO_LINEAR
#define STBI_NO_HDR
#define STBI_MAX_DIMENSIONS AG_MAX_FRAME_SIDE
#include <stb/stb_image.h>

uint8_t *stb_load(const void *data, size_t size, uint32_t *width, uint32_t *height, int *channels,
                  const char **why)
{
    int w = 0, h = 0;
    uint8_t *rgba = NULL;
    *why = "larger than 2 GiB";
    if (size <= INT_MAX) {
        rgba = stbi_load_from_memory(data, (int)size, &w, &h, channels, 4);
        *why = rgba ? NULL : stbi_failure_reason();
    }
    if (rgba && (w < 1 || h < 1)) { // older versions let such headers pass
        stbi_image_free(rgba);
        rgba = NULL;
        *why = "no pixels";
    }
    *width = (uint32_t)w;
    *height = (uint32_t)h;
    return rgba;
}

void stb_free(void *rgba)
{
    stbi_image_free(rgba);
}
