// Where models are: names on the command line -> folders.
#include "autogaze/model.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define PATH_SIZE 1024
#define HUGGING_FACE "models--nvidia--AutoGaze"
#define HOW_TO_FETCH "'huggingface-cli download nvidia/AutoGaze'"

static bool exists(const char *path, bool folder)
{
    struct stat st;
    return stat(path, &st) == 0 && (S_ISDIR(st.st_mode) ? folder : !folder);
}

// `path` = a/b, false where it does not fit.
static bool join(char *path, const char *a, const char *b)
{
    return (size_t)snprintf(path, PATH_SIZE, "%s/%s", a, b) < PATH_SIZE;
}

static bool is_model(const char *dir)
{
    char path[PATH_SIZE];
    return join(path, dir, "config.json") && exists(path, false);
}

// Folders of models, nearest first: of a bundle, of the prefix this program runs from, of the
// source tree and the install prefix it was built for. Returns false past the last.
static bool models_dir(int i, char *dir)
{
    static const char *const beside[] = { "models", "../share/autogaze-viewer/models" };
    static const char *const built[] = { AG_SOURCE_MODELS_DIR, AG_INSTALL_MODELS_DIR };
    if (i >= (int)(AG_COUNT(beside) + AG_COUNT(built))) {
        return false;
    }
    dir[0] = 0;
    if (i >= (int)AG_COUNT(beside)) {
        snprintf(dir, PATH_SIZE, "%s", built[i - (int)AG_COUNT(beside)]);
        return true;
    }
    char program[PATH_SIZE];
    ssize_t n = readlink("/proc/self/exe", program, sizeof(program) - 1);
    if (n > 0) {
        program[n] = 0;
        char *slash = strrchr(program, '/');
        *(slash ? slash : program) = 0;
        if (!join(dir, program, beside[i])) {
            dir[0] = 0;
        }
    }
    return true;
}

static bool find_shipped(const char *name, char *dir)
{
    char parent[PATH_SIZE];
    for (int i = 0; models_dir(i, parent); i++) {
        if (parent[0] && join(dir, parent, name) && is_model(dir)) {
            return true;
        }
    }
    return false;
}

static bool cache_dir(char *dir)
{
    static const struct {
        const char *variable, *rest;
    } places[] = {
        { "HF_HUB_CACHE", "" },
        { "HF_HOME", "hub/" },
        { "XDG_CACHE_HOME", "huggingface/hub/" },
        { "HOME", ".cache/huggingface/hub/" },
    };
    for (size_t i = 0; i < AG_COUNT(places); i++) {
        const char *root = getenv(places[i].variable);
        if (root && *root) {
            return (size_t)snprintf(dir, PATH_SIZE, "%s/%s" HUGGING_FACE "/snapshots", root,
                                    places[i].rest) < PATH_SIZE;
        }
    }
    dir[0] = 0;
    return false;
}

static bool newest_snapshot(const char *snapshots, char *dir)
{
    DIR *d = opendir(snapshots);
    struct timespec newest = { 0 };
    bool found = false;
    for (struct dirent *e; d && (e = readdir(d));) {
        char path[PATH_SIZE];
        struct stat st;
        if (e->d_name[0] == '.' || !join(path, snapshots, e->d_name) || stat(path, &st) != 0 ||
            !S_ISDIR(st.st_mode)) {
            continue;
        }
        if (!found || st.st_mtim.tv_sec > newest.tv_sec ||
            (st.st_mtim.tv_sec == newest.tv_sec && st.st_mtim.tv_nsec > newest.tv_nsec)) {
            newest = st.st_mtim;
            memcpy(dir, path, sizeof(path));
            found = true;
        }
    }
    if (d) {
        closedir(d);
    }
    return found;
}

static bool find_nvidia(char *dir, struct ag_error *err)
{
    const char *given = getenv("AUTOGAZE_MODEL_DIR");
    if (given && *given) {
        if ((size_t)snprintf(dir, PATH_SIZE, "%s", given) < PATH_SIZE && exists(dir, true)) {
            return true;
        }
        return ag_fail_kind(err, AG_ERR_INPUT, "IO", "AUTOGAZE_MODEL_DIR is '%.200s', which is not "
                            "a folder; set it to the folder with NVIDIA's config.json and "
                            "model.safetensors", given);
    }
    char snapshots[PATH_SIZE];
    if (cache_dir(snapshots) && newest_snapshot(snapshots, dir)) {
        return true;
    }
    return ag_fail_kind(err, AG_ERR_INPUT, "IO", "model 'nvidia' is not here: AUTOGAZE_MODEL_DIR "
                        "is not set and '%.300s' has no snapshot; fetch it with " HOW_TO_FETCH
                        " or use --model open-gaze", snapshots);
}

static bool fail_unknown(const char *name, struct ag_error *err)
{
    static const char *const known[] = { "open-gaze", "nvidia" };
    const char *close = ag_closest(name, known, AG_COUNT(known));
    char parent[PATH_SIZE], places[400] = "";
    size_t n = 0;
    for (int i = 0; models_dir(i, parent) && n < sizeof(places); i++) {
        n += (size_t)snprintf(places + n, sizeof(places) - n, "%s%s", i ? ", " : "", parent);
    }
    return ag_fail_kind(err, AG_ERR_INPUT, "IO", "model '%.100s' is neither a folder nor in one of "
                        "%s%s%s%s; see --list-models", name, places,
                        close ? "; did you mean '" : "", close ? close : "", close ? "'" : "");
}

bool ag_model_find(const char *name, char *dir, size_t size, struct ag_error *err)
{
    char path[PATH_SIZE];
    bool plain = *name && !strchr(name, '/') && name[0] != '.';
    if (strcmp(name, "nvidia") == 0) {
        if (!find_nvidia(path, err)) {
            return false;
        }
    } else if (!(plain && find_shipped(name, path))) {
        // Any other existing path is taken as it is: ag_model_load says what is wrong with it.
        struct stat st;
        if (stat(name, &st) != 0) {
            return fail_unknown(name, err);
        }
        snprintf(path, sizeof(path), "%s", name);
    }
    return (size_t)snprintf(dir, size, "%s", path) < size ||
           ag_fail_kind(err, AG_ERR_INPUT, "IO", "the path of model '%.100s' has more than %zu "
                        "characters", name, size - 1);
}

static void describe(struct ag_model_listing *l)
{
    struct ag_error err = { 0 };
    struct ag_model *m = ag_model_load(NULL, l->dir, &err);
    l->found = true;
    l->usable = m != NULL;
    if (!m) {
        snprintf(l->note, sizeof(l->note), "%s", err.text);
        return;
    }
    const struct ag_model_config *c = &m->config;
    snprintf(l->note, sizeof(l->note), "context %s, %u px, %u cells on %u grids, %u ids a round, "
             "%.2f M parameters", c->context == AG_CONTEXT_CANVAS ? "canvas" : "frames",
             c->image_size, c->cells, c->n_scales, c->round, (double)m->parameters / 1e6);
    ag_model_destroy(&m);
}

static bool listed(const struct ag_model_listing *out, int n, const char *name)
{
    for (int i = 0; i < n; i++) {
        if (strcmp(out[i].name, name) == 0) {
            return true;
        }
    }
    return false;
}

int ag_model_list(struct ag_model_listing *out, int max)
{
    int n = 0;
    char parent[PATH_SIZE];
    for (int i = 0; models_dir(i, parent); i++) {
        struct dirent **entries = NULL;
        int count = parent[0] ? scandir(parent, &entries, NULL, alphasort) : 0;
        for (int j = 0; j < count; j++) {
            const char *name = entries[j]->d_name;
            struct ag_model_listing *l = &out[n];
            if (n < max && name[0] != '.' && strlen(name) < sizeof(l->name) &&
                !listed(out, n, name) && join(l->dir, parent, name) && is_model(l->dir)) {
                snprintf(l->name, sizeof(l->name), "%s", name);
                describe(l);
                n++;
            }
            free(entries[j]);
        }
        free(entries);
    }
    if (n < max) {
        struct ag_model_listing *l = &out[n++];
        struct ag_error err = { 0 };
        *l = (struct ag_model_listing){ .name = "nvidia" };
        if (find_nvidia(l->dir, &err)) {
            describe(l);
        } else {
            l->dir[0] = 0;
            snprintf(l->note, sizeof(l->note), "%s", err.text);
        }
    }
    return n;
}
