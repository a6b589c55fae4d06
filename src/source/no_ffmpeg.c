// The drivers that need FFmpeg, in a build without it: they say so.
#include "driver.h"

static void *refuse(const struct source_env *env, const struct ag_source_params *params,
                    struct ag_source_info *info, struct ag_error *err)
{
    (void)env;
    ag_fail(err, AG_ERR_INPUT,
            "cannot open %s%s%s: this program was built without FFmpeg (AUTOGAZE_FFMPEG=OFF); "
            "use an image or a synthetic-... source",
            info->driver, params->uri ? " " : "", params->uri ? params->uri : "");
    return NULL;
}

const struct source_driver source_video = {
    .name = "video",
    .help = "video files and streams (not in this build: needs FFmpeg)",
    .open = refuse,
};

const struct source_driver source_camera = {
    .name = "camera",
    .help = "a camera (not in this build: needs FFmpeg)",
    .open = refuse,
};
