// A build without FFmpeg does not record, and says so.
#include <assert.h>

#include "internal.h"

bool ag_export_can_record(const char *path, struct ag_error *err)
{
    return ag_fail(err, AG_ERR_USAGE,
                   "cannot record to '%s': this program was built without FFmpeg "
                   "(AUTOGAZE_FFMPEG=OFF)",
                   path);
}

struct recorder *recorder_open(const struct ag_log *log, const struct ag_recording *recording,
                               struct ag_error *err)
{
    (void)log;
    ag_export_can_record(recording->path, err);
    return NULL;
}

// There never is a recorder.
bool recorder_add(struct recorder *r, const uint8_t *pixels, uint32_t width, uint32_t height,
                  int64_t pts_ns)
{
    (void)pixels, (void)width, (void)height, (void)pts_ns;
    assert(!r);
    return false;
}

struct recorder_info recorder_get_info(const struct recorder *r)
{
    assert(!r);
    return (struct recorder_info){ .frames = 0 };
}

bool recorder_close(struct recorder **r, struct recorder_info *out, char *report, size_t size,
                    struct ag_error *err)
{
    (void)out, (void)report, (void)size, (void)err;
    assert(!*r);
    return true;
}
