#include "autogaze/log.h"

#include <stdio.h>

void ag_log(const struct ag_log *log, enum ag_log_level level, const char *fmt, ...)
{
    if (!log || level > log->level) {
        return;
    }
    char line[1024];
    va_list args;
    va_start(args, fmt);
    vsnprintf(line, sizeof(line), fmt, args);
    va_end(args);
    if (log->sink) {
        log->sink(log->user, level, line);
    } else {
        fprintf(stderr, "autogaze-viewer: %s\n", line);
    }
}
