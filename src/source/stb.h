// stb_image behind two functions.
#ifndef AG_SOURCE_STB_H
#define AG_SOURCE_STB_H

#include <stddef.h>
#include <stdint.h>

// RGBA8 (stb_free); `channels` of the file. NULL with the reason in *why.
uint8_t *stb_load(const void *data, size_t size, uint32_t *width, uint32_t *height, int *channels,
                  const char **why);
void stb_free(void *rgba);

#endif
