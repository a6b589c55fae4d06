#ifndef AG_SOURCE_CAMERA_H
#define AG_SOURCE_CAMERA_H

#include <stdbool.h>

struct ag_error;

// Why a device cannot be opened, and what to do; `error` is FFmpeg's code. False.
bool camera_explain(const char *device, int error, struct ag_error *err);

#endif
