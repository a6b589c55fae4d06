// Options from a file: a line each, `name = value` or `name`, # in front of remarks, profiles as
// [name] behind what always holds.
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "apply.h"

#define MAX_BYTES (1u << 20)
#define SPACE " \t\r"

static char *trim(char *text)
{
    text += strspn(text, SPACE);
    size_t n = strlen(text);
    while (n > 0 && strchr(SPACE, text[n - 1])) {
        text[--n] = '\0';
    }
    return text;
}

static bool apply_line(struct ag_config *c, char *line, struct ag_error *err)
{
    size_t n = strcspn(line, "=" SPACE);
    char *value = NULL;
    if (line[n]) {
        value = line + n;
        value += strspn(value, SPACE);
        value = trim(value + (*value == '='));
        line[n] = '\0';
    }
    char *name = strncmp(line, "--", 2) == 0 ? line + 2 : line;
    static const char *const own[] = { "config", "no-config", "profile" };
    for (size_t i = 0; i < AG_COUNT(own); i++) {
        if (strcmp(name, own[i]) == 0) {
            return ag_fail(err, AG_ERR_USAGE, "--%s has its place on the command line", name);
        }
    }
    return ag_config_apply(c, name, value, err);
}

// `text` is cut into lines and stays the configuration's.
static bool apply_text(struct ag_config *c, const char *path, char *text, const char *profile,
                       struct ag_error *err)
{
    bool holds = true, found = !profile;
    char known[256] = "";
    int number = 0;
    for (char *line = text, *next; line; line = next) {
        next = strchr(line, '\n');
        if (next) {
            *next++ = '\0';
        }
        number++;
        line = trim(line);
        size_t n = strlen(line);
        if (n == 0 || line[0] == '#') {
            continue;
        }
        struct ag_error own = { 0 };
        bool ok = true;
        if (line[0] == '[') {
            ok = n > 2 && line[n - 1] == ']';
            line[n - 1] = '\0';
            holds = ok && profile && strcmp(line + 1, profile) == 0;
            found = found || holds;
            size_t used = strlen(known);
            snprintf(known + used, sizeof(known) - used, "%s%s", used ? ", " : "", line + 1);
            if (!ok) {
                ag_fail(&own, AG_ERR_USAGE, "a profile begins with [its name]");
            }
        } else if (holds) {
            ok = apply_line(c, line, &own);
        }
        if (!ok) {
            return ag_fail(err, AG_ERR_USAGE,
                           "%.300s, line %d: %.400s (--no-config starts without this file)", path,
                           number, own.text);
        }
    }
    return found || ag_fail(err, AG_ERR_USAGE, "profile '%.60s' is not in %.300s; there are: %s",
                            profile, path, known[0] ? known : "none");
}

bool ag_config_read_file(struct ag_config *c, const char *path, const char *profile,
                         struct ag_error *err)
{
    void *data;
    size_t size;
    struct ag_error own = { 0 };
    if (!ag_read_file(path, MAX_BYTES, &data, &size, &own)) {
        return ag_fail(err, AG_ERR_USAGE, "options of %.300s: %.500s", path, own.text);
    }
    ag_free(c->file_text);
    c->file_text = data;
    if (strlen(c->file_text) != size) {
        return ag_fail(err, AG_ERR_USAGE, "options of %.300s: not a text file", path);
    }
    return apply_text(c, path, c->file_text, profile, err);
}

static void usual_path(char *path, size_t size)
{
    const char *base = getenv("XDG_CONFIG_HOME"), *home = getenv("HOME");
    path[0] = '\0';
    if (base && *base) {
        snprintf(path, size, "%s/autogaze-viewer/config", base);
    } else if (home && *home) {
        snprintf(path, size, "%s/.config/autogaze-viewer/config", home);
    }
}

// The command line is read twice: for what it says of files, then over them.
bool ag_config_load(struct ag_config *c, int argc, char **argv, struct ag_error *err)
{
    if (!ag_config_parse_args(c, argc, argv, err)) {
        return false;
    }
    const char *file = c->config_file, *profile = c->profile;
    char usual[4096];
    struct stat st;
    if (c->no_config && (file || profile)) {
        return ag_fail(err, AG_ERR_USAGE, "--no-config and --%s exclude each other",
                       file ? "config" : "profile");
    }
    if (!c->no_config && !file) {
        usual_path(usual, sizeof(usual));
        if (usual[0] && stat(usual, &st) == 0) {
            file = usual;
        } else if (profile) {
            return ag_fail(err, AG_ERR_USAGE,
                           "--profile %.60s: there is no file %.300s; write it or name another "
                           "with --config", profile, usual);
        }
    }
    if (!file) {
        return true;
    }
    ag_config_set_defaults(c);
    return ag_config_read_file(c, file, profile, err) && ag_config_apply_args(c, argc, argv, err);
}

void ag_config_unload(struct ag_config *c)
{
    ag_free(c->file_text);
    c->file_text = NULL;
}
