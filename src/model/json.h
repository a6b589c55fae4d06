// What the readers of config.json and of safetensors headers share on top of cJSON.
#ifndef AUTOGAZE_MODEL_JSON_H
#define AUTOGAZE_MODEL_JSON_H

#include <cjson/cJSON.h>

#include "autogaze/base.h"

// The whole text must be one JSON value and white space; else JSON with the offset.
// Caller: cJSON_Delete.
cJSON *ag_json_parse(const char *file, const char *text, size_t length, struct ag_error *err);
// Member of an object; the last one where a key appears twice, as Python reads it. NULL if absent
// or no object.
const cJSON *ag_json_get(const cJSON *object, const char *key);
// "a string", "a number", ... for messages; "absent" for NULL.
const char *ag_json_type(const cJSON *item);
// A name out of a file, shortened and without control characters, for messages. Returns `out`.
const char *ag_json_shown(const char *s, char *out, size_t size);

#endif
