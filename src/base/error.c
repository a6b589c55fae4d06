#include "autogaze/base.h"

#include <stdio.h>

static bool fail(struct ag_error *err, enum ag_status status, const char *kind, const char *fmt,
                 va_list args)
{
    if (err && err->status == AG_OK) {
        err->status = status;
        snprintf(err->kind, sizeof(err->kind), "%s", kind);
        vsnprintf(err->text, sizeof(err->text), fmt, args);
    }
    return false;
}

bool ag_fail(struct ag_error *err, enum ag_status status, const char *fmt, ...)
{
    va_list args;
    va_start(args, fmt);
    fail(err, status, "", fmt, args);
    va_end(args);
    return false;
}

bool ag_fail_kind(struct ag_error *err, enum ag_status status, const char *kind, const char *fmt,
                  ...)
{
    va_list args;
    va_start(args, fmt);
    fail(err, status, kind, fmt, args);
    va_end(args);
    return false;
}
