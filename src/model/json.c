#include "json.h"

#include <string.h>

cJSON *ag_json_parse(const char *file, const char *text, size_t length, struct ag_error *err)
{
    const char *end = NULL;
    cJSON *root = cJSON_ParseWithLengthOpts(text, length, &end, false);
    size_t at = end ? (size_t)(end - text) : 0;
    while (root && at < length && strchr(" \t\r\n", text[at]) && text[at]) {
        at++;
    }
    if (!root || at < length) {
        cJSON_Delete(root);
        ag_fail_kind(err, AG_ERR_INPUT, "JSON", "%s: not valid JSON at byte %zu of %zu", file, at,
                     length);
        return NULL;
    }
    return root;
}

const cJSON *ag_json_get(const cJSON *object, const char *key)
{
    const cJSON *found = NULL;
    for (const cJSON *i = cJSON_IsObject(object) ? object->child : NULL; i; i = i->next) {
        if (strcmp(i->string, key) == 0) {
            found = i;
        }
    }
    return found;
}

const char *ag_json_type(const cJSON *item)
{
    static const struct {
        int type;
        const char *name;
    } names[] = {
        { cJSON_False, "false" },     { cJSON_True, "true" },         { cJSON_NULL, "null" },
        { cJSON_Number, "a number" }, { cJSON_String, "a string" },   { cJSON_Array, "an array" },
        { cJSON_Object, "an object" },
    };
    for (size_t i = 0; item && i < AG_COUNT(names); i++) {
        if ((item->type & 0xff) == names[i].type) {
            return names[i].name;
        }
    }
    return "absent";
}

const char *ag_json_shown(const char *s, char *out, size_t size)
{
    size_t n = 0;
    for (; s[n] && n + 1 < size; n++) {
        unsigned char c = (unsigned char)s[n];
        out[n] = c < 0x20 || c == 0x7f ? '?' : s[n];
    }
    out[n] = 0;
    if (s[n] && size > 4) {
        memcpy(out + size - 4, "...", 4);
    }
    return out;
}
