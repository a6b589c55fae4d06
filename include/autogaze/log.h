// Messages for the person who runs the program. A NULL log is legal and silent.
// Thread-safety: ag_log may be called from any thread; one line a call.
#ifndef AUTOGAZE_LOG_H
#define AUTOGAZE_LOG_H

#include "autogaze/base.h"

enum ag_log_level { AG_LOG_ERROR, AG_LOG_WARN, AG_LOG_INFO, AG_LOG_VERBOSE };

struct ag_log {
    enum ag_log_level level; // messages above it are dropped
    // Where a line goes; NULL: standard error with the prefix "autogaze-viewer: ".
    void (*sink)(void *user, enum ag_log_level level, const char *line);
    void *user;
};

void ag_log(const struct ag_log *log, enum ag_log_level level, const char *fmt, ...)
    AG_PRINTF(3, 4);

#define ag_warn(log, ...) ag_log(log, AG_LOG_WARN, __VA_ARGS__)
#define ag_info(log, ...) ag_log(log, AG_LOG_INFO, __VA_ARGS__)
#define ag_verbose(log, ...) ag_log(log, AG_LOG_VERBOSE, __VA_ARGS__)

#endif
