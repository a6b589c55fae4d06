#include "playlist.h"

#include <glob.h>
#include <string.h>
#include <sys/stat.h>

#include "autogaze/source.h"

static void add(struct playlist *list, const char *item)
{
    list->items = ag_realloc(list->items, (size_t)(list->n + 1) * sizeof(*list->items));
    list->items[list->n++] = ag_strdup(item);
}

static bool add_folder(struct playlist *list, const char *path, struct ag_error *err)
{
    char **videos;
    int n = ag_media_list(path, AG_MEDIA_VIDEO, &videos, err);
    for (int i = 0; i < n; i++) {
        add(list, videos[i]);
    }
    ag_media_free(videos, AG_MAX(n, 0));
    if (n != 0) {
        return n > 0;
    }
    char **pictures;
    int n_pictures = ag_media_list(path, AG_MEDIA_PICTURE, &pictures, err);
    ag_media_free(pictures, AG_MAX(n_pictures, 0));
    if (n_pictures == 0) {
        ag_fail(err, AG_ERR_INPUT, "'%s' is a directory without videos and pictures", path);
    } else if (n_pictures > 0) {
        add(list, path);
    }
    return n_pictures > 0;
}

static bool add_name(struct playlist *list, const char *name, struct ag_error *err)
{
    struct stat st;
    if (stat(name, &st) == 0) {
        if (S_ISDIR(st.st_mode)) {
            return add_folder(list, name, err);
        }
        add(list, name);
        return true;
    }
    // "lavfi:..." and URLs may hold such characters, too.
    bool scheme = strchr(name, ':') && strcspn(name, ":") < strcspn(name, "/*?[");
    glob_t found;
    if (scheme || !strpbrk(name, "*?[") || glob(name, 0, NULL, &found) != 0) {
        if (!scheme && strpbrk(name, "*?[")) {
            return ag_fail(err, AG_ERR_INPUT, "no file fits '%s'", name);
        }
        add(list, name); // opening it says what is wrong with it
        return true;
    }
    for (size_t i = 0; i < found.gl_pathc; i++) {
        add(list, found.gl_pathv[i]);
    }
    globfree(&found);
    return true;
}

bool playlist_add(struct playlist *list, const char *const *names, int n, struct ag_error *err)
{
    int before = list->n;
    for (int i = 0; i < n; i++) {
        if (!add_name(list, names[i], err)) {
            while (list->n > before) {
                ag_free(list->items[--list->n]);
            }
            return false;
        }
    }
    return true;
}

void playlist_clear(struct playlist *list)
{
    for (int i = 0; i < list->n; i++) {
        ag_free(list->items[i]);
    }
    ag_free(list->items);
    *list = (struct playlist){ 0 };
}

const char *playlist_move(struct playlist *list, int direction)
{
    if (list->n == 0) {
        return NULL;
    }
    list->at = (list->at + direction + list->n) % list->n;
    return list->items[list->at];
}
