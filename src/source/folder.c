#include "autogaze/source.h"

#include <dirent.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

static const struct {
    const char *extension;
    enum ag_media kind;
} names[] = {
    { "png", AG_MEDIA_PICTURE },  { "jpg", AG_MEDIA_PICTURE },  { "jpeg", AG_MEDIA_PICTURE },
    { "bmp", AG_MEDIA_PICTURE },  { "ppm", AG_MEDIA_PICTURE },  { "pgm", AG_MEDIA_PICTURE },
    { "pnm", AG_MEDIA_PICTURE },  { "tga", AG_MEDIA_PICTURE },  { "psd", AG_MEDIA_PICTURE },
    { "webp", AG_MEDIA_PICTURE }, { "tif", AG_MEDIA_PICTURE },  { "tiff", AG_MEDIA_PICTURE },
    { "avif", AG_MEDIA_PICTURE }, { "mp4", AG_MEDIA_VIDEO },    { "m4v", AG_MEDIA_VIDEO },
    { "mov", AG_MEDIA_VIDEO },    { "mkv", AG_MEDIA_VIDEO },    { "webm", AG_MEDIA_VIDEO },
    { "avi", AG_MEDIA_VIDEO },    { "ts", AG_MEDIA_VIDEO },     { "m2ts", AG_MEDIA_VIDEO },
    { "mts", AG_MEDIA_VIDEO },    { "mpg", AG_MEDIA_VIDEO },    { "mpeg", AG_MEDIA_VIDEO },
    { "wmv", AG_MEDIA_VIDEO },    { "flv", AG_MEDIA_VIDEO },    { "ogv", AG_MEDIA_VIDEO },
    { "3gp", AG_MEDIA_VIDEO },    { "mxf", AG_MEDIA_VIDEO },    { "y4m", AG_MEDIA_VIDEO },
    { "ivf", AG_MEDIA_VIDEO },    { "gif", AG_MEDIA_VIDEO },    { "h264", AG_MEDIA_VIDEO },
    { "264", AG_MEDIA_VIDEO },    { "hevc", AG_MEDIA_VIDEO },   { "265", AG_MEDIA_VIDEO },
    { "vob", AG_MEDIA_VIDEO },
};

enum ag_media ag_media_kind(const char *path)
{
    const char *slash = strrchr(path, '/'), *name = slash ? slash + 1 : path;
    const char *dot = strrchr(name, '.');
    for (size_t i = 0; dot && i < AG_COUNT(names); i++) {
        if (strcasecmp(dot + 1, names[i].extension) == 0) {
            return names[i].kind;
        }
    }
    return AG_MEDIA_OTHER;
}

static int by_name(const void *a, const void *b)
{
    return strverscmp(*(char *const *)a, *(char *const *)b);
}

int ag_media_list(const char *folder, enum ag_media kind, char ***paths, struct ag_error *err)
{
    DIR *dir = opendir(folder);
    int n = 0, room = 0;
    *paths = NULL;
    if (!dir) {
        ag_fail(err, AG_ERR_INPUT, "cannot read the folder '%s': %s", folder, strerror(errno));
        return -1;
    }
    size_t length = strlen(folder);
    const char *slash = length && folder[length - 1] == '/' ? "" : "/";
    for (struct dirent *entry; (entry = readdir(dir));) {
        if (entry->d_name[0] == '.' || entry->d_type == DT_DIR ||
            ag_media_kind(entry->d_name) != kind) {
            continue;
        }
        if (n == room) {
            room = AG_MAX(2 * room, 64);
            *paths = ag_realloc(*paths, (size_t)room * sizeof(**paths));
        }
        (*paths)[n++] = ag_asprintf("%s%s%s", folder, slash, entry->d_name);
    }
    closedir(dir);
    if (n > 1) {
        qsort(*paths, (size_t)n, sizeof(**paths), by_name);
    }
    return n;
}

void ag_media_free(char **paths, int n)
{
    for (int i = 0; i < n; i++) {
        ag_free(paths[i]);
    }
    ag_free(paths);
}
