// What presenter.c shares with its two kinds of targets.
#ifndef AG_PRESENT_INTERNAL_H
#define AG_PRESENT_INTERNAL_H

#include "autogaze/presenter.h"
#include "../gpu/vk.h"
#include "interface/panel_args.h"

#define AG_FRAMES_IN_FLIGHT 2
#define AG_MAX_SWAPCHAIN_IMAGES 16
// What may touch an image first that kernels write.
#define AG_FIRST_USE                                                                               \
    (VK_PIPELINE_STAGE_2_COMPUTE_SHADER_BIT | VK_PIPELINE_STAGE_2_ALL_TRANSFER_BIT)

struct ag_ground {             // what lies behind the panels, and where they are
    struct ag_backdrop backdrop; // without image: the plain colour
    uint32_t color, made;      // made 0: there is no ground yet, or something is drawn over it
    uint32_t begin[PANEL_MAX], end[PANEL_MAX];
};

struct ag_presenter {
    const struct ag_log *log;
    struct ag_gpu *gpu;
    struct ag_presenter_params params;
    uint32_t width, height;        // wished; 0x0: minimised
    VkFormat format;
    uint32_t generations;

    struct ag_kernel *panels[2][2], *difference[2][2]; // [into the image][rows are whole fours]
    bool software;                 // their form
    uint32_t columns, group_width, group_height; // pixels of their invocations, invocations
    struct ag_buffer *none;        // bound where there is no picture
    bool storable;                 // kernels can write the target's images
    bool buffered;                 // for tests: but shall not
    struct ag_buffer *frame;       // [target_height][target_width], in the order of `format`
    uint32_t frame_width;
    VkFormat frame_format;
    struct ag_ground shown;        // in `frame`
    struct ag_ground shown_images[AG_MAX_SWAPCHAIN_IMAGES]; // in the images; offscreen has one

    // The target of the frame being drawn.
    struct ag_cmd *cmd;            // NULL: not between begin and end
    VkImage image;
    VkImageView view;
    uint32_t target_width, target_height;
    struct ag_ground ground;
    bool into_image;               // kernels write the image, there is no `frame`
    bool drawn, in_image, rendering; // the frame is done, is in the image, which is drawn on
    struct {
        const struct ag_buffer *picture;
        VkBufferImageCopy region;
    } direct[PANEL_MAX];           // pictures that go into the image without being drawn
    uint32_t n_direct;
    bool covered;                  // by those, all of it

    // Offscreen: one image of its own.
    VmaAllocation allocation;

    // Window; the swapchain is NULL before the first frame and while there is no room for it.
    VkSurfaceKHR surface;
    VkSwapchainKHR swapchain;
    bool stale;                    // make the swapchain anew before the next frame
    bool surface_lost;
    bool mode_warned;
    uint32_t n_images, image_index;
    VkImage images[AG_MAX_SWAPCHAIN_IMAGES];
    VkImageView views[AG_MAX_SWAPCHAIN_IMAGES];
    VkSemaphore presentable[AG_MAX_SWAPCHAIN_IMAGES]; // signalled by the frame, for its image
    VkSemaphore acquired[AG_FRAMES_IN_FLIGHT];        // signalled by acquire, for a frame slot
    uint64_t slot_value[AG_FRAMES_IN_FLIGHT];         // last submission of the slot
    uint32_t slot;
    uint32_t swapchain_width, swapchain_height;
};

// Makes the kernels in the form for software devices or for hardware; both draw the same.
bool ag_present_kernels(struct ag_presenter *p, bool software, struct ag_error *err);
// Whether kernels can write images of that format.
bool ag_present_storable(const struct ag_presenter *p, VkFormat format);

// prepare: (re)makes what the target needs for its current size and sets `format`.
enum ag_presenter_state ag_offscreen_prepare(struct ag_presenter *p, struct ag_error *err);
void ag_offscreen_destroy(struct ag_presenter *p);
// What was drawn (`in_image` says where it is), into a READBACK buffer.
void ag_offscreen_copy(struct ag_presenter *p, struct ag_cmd *cmd, const struct ag_buffer *to);

bool ag_swapchain_open(struct ag_presenter *p, struct ag_error *err);
void ag_swapchain_close(struct ag_presenter *p);
enum ag_presenter_state ag_swapchain_prepare(struct ag_presenter *p, struct ag_error *err);
// Takes an image: sets image, view and target size.
enum ag_presenter_state ag_swapchain_acquire(struct ag_presenter *p, struct ag_error *err);
// Hangs the image's semaphores on p->cmd.
void ag_swapchain_attach(struct ag_presenter *p);
// After the submission `value`. false: the device is lost; everything else is a state.
bool ag_swapchain_present(struct ag_presenter *p, uint64_t value, struct ag_error *err);

#endif
