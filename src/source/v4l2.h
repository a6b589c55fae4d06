// What Video4Linux devices say they can do. FFmpeg opens them; it does not choose.
#ifndef AG_SOURCE_V4L2_H
#define AG_SOURCE_V4L2_H

#include "autogaze/source.h"

// ioctl on a device, or a test's idea of one: 0, or -1 with errno.
struct v4l2_device {
    int (*control)(void *user, unsigned long request, void *arg);
    void *user;
};

struct v4l2_wish {
    const char *format;     // as ag_camera_mode.format, NULL: MJPEG, YUYV, NV12, any
    uint32_t width, height;
    double fps;
};

// Fills *out but for its device name; false: it is no camera. Where a device takes any size or rate
// of a range, the ends of the range are listed, and with a wish what comes nearest to it.
bool v4l2_describe(const struct v4l2_device *device, const struct v4l2_wish *wish,
                   struct ag_camera *out);
// The mode nearest in size, then in rate, then by format. NULL: none has the format.
const struct ag_camera_mode *v4l2_choose(const struct ag_camera *camera,
                                         const struct v4l2_wish *wish);
// The same for a path; false with errno.
bool v4l2_open_and_describe(const char *path, const struct v4l2_wish *wish, struct ag_camera *out);

#endif
