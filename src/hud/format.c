#include "internal.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

// Numbers of fixed width and pieces of UTF-8.

void ag_format_number(char out[AG_NUMBER_CHARS], double v)
{
    if (isnan(v)) {
        snprintf(out, AG_NUMBER_CHARS, "---.-");
    } else if (isinf(v)) {
        snprintf(out, AG_NUMBER_CHARS, "  inf");
    } else {
        snprintf(out, AG_NUMBER_CHARS, "%05.1f", AG_CLAMP(v, 0, 999.9));
    }
}

void ag_format_ms(char out[AG_NUMBER_CHARS], double v)
{
    if (isnan(v)) {
        snprintf(out, AG_NUMBER_CHARS, "   -   ");
    } else {
        snprintf(out, AG_NUMBER_CHARS, v < 999.9995 ? "%7.3f" : "%7.0f", AG_CLAMP(v, 0, 9999999));
    }
}

void ag_format_clock(char out[AG_NUMBER_CHARS], int64_t ns)
{
    int64_t tenths = AG_MAX(ns, 0) / 100000000;
    snprintf(out, AG_NUMBER_CHARS, "%02d:%02d.%d", (int)(tenths / 600 % 10000),
             (int)(tenths / 10 % 60), (int)(tenths % 10));
}

void ag_format_quality(char out[AG_QUALITY_CHARS], double v, bool db, bool off)
{
    char number[AG_NUMBER_CHARS];
    ag_format_number(number, v);
    if (off) {
        snprintf(out, AG_QUALITY_CHARS, "off");
    } else if (db) {
        snprintf(out, AG_QUALITY_CHARS, "%s dB", number);
    } else {
        snprintf(out, AG_QUALITY_CHARS, "%.3f", v);
    }
}

static bool continues(char c)
{
    return ((unsigned char)c & 0xc0) == 0x80;
}

size_t ag_text_prefix(const char *text, size_t columns, bool *cut)
{
    size_t at = 0;
    while (text[at] && columns > 0) {
        at++;
        while (continues(text[at])) {
            at++;
        }
        columns--;
    }
    *cut = text[at] != 0;
    return at;
}

size_t ag_text_columns(const char *text)
{
    size_t n = 0;
    for (const char *p = text; *p; p++) {
        n += !continues(*p);
    }
    return n;
}
