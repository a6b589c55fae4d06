// Small graphics pipelines for hud/: one colour target (dynamic rendering), one storage buffer (set
// 0, fragment stage), push constants, no depth, no images.
// Thread-safety: render thread.
#ifndef AG_GPU_DRAW_H
#define AG_GPU_DRAW_H

#include "vk.h"

struct ag_draw_params {
    const struct ag_shader_library *library;
    const char *vertex, *fragment;  // "hud.vert", "hud.frag"
    VkFormat format;                // of the target; specialisation constant 0 of both shaders is
                                    // 1 for formats that encode sRGB themselves
    bool blend;                     // source over destination, straight alpha
    const VkVertexInputAttributeDescription *attributes; // NULL: none
    uint32_t n_attributes, stride, push_bytes;
};

struct ag_draw {
    VkFormat format;
    uint32_t push_bytes;
    VkDescriptorSetLayout set_layout;
    VkPipelineLayout layout;
    VkPipeline pipeline;
};

bool ag_draw_create(struct ag_gpu *gpu, const struct ag_draw_params *params, struct ag_draw *out,
                    struct ag_error *err);
// At once: call it only when the GPU is known to be done with it.
void ag_draw_destroy(struct ag_gpu *gpu, struct ag_draw *draw);
bool ag_draw_is_srgb(VkFormat format);

// Begins rendering into a colour image; `clear` NULL: over what is there. vkCmdEndRendering ends it.
void ag_draw_begin(struct ag_cmd *cmd, VkImageView view, uint32_t width, uint32_t height,
                   const VkClearValue *clear);
// Binds pipeline, storage buffer and push constants; viewport and scissor are the caller's.
void ag_draw_bind(struct ag_cmd *cmd, const struct ag_draw *draw,
                  const struct ag_buffer *buffer, const void *push);

// sRGB-coded RGBA8 (R in the lowest byte) as a clear value of a target with that format.
VkClearValue ag_draw_color(VkFormat format, uint32_t rgba);
// Fills rectangles inside of the target being rendered; much cheaper than drawing on software
// devices.
void ag_draw_fill(struct ag_cmd *cmd, VkFormat format, uint32_t rgba, const VkClearRect *rects,
                  uint32_t n);

#endif
