// A model folder: three files, checked together.
#include "autogaze/model.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "weights.h"

#define MAX_JSON (16u << 20)

static const char *const files[] = { "config.json", "preprocessor_config.json",
                                     "model.safetensors" };

static bool check_folder(const char *dir, struct ag_error *err)
{
    struct stat st;
    if (stat(dir, &st) != 0) {
        return ag_fail_kind(err, AG_ERR_INPUT, "IO", "model folder '%s' does not exist", dir);
    }
    if (!S_ISDIR(st.st_mode)) {
        return ag_fail_kind(err, AG_ERR_INPUT, "IO", "model '%s' is a file, expected the folder "
                            "that holds config.json and model.safetensors", dir);
    }
    for (size_t i = 0; i < AG_COUNT(files); i++) {
        char path[1200];
        snprintf(path, sizeof(path), "%s/%s", dir, files[i]);
        if (stat(path, &st) != 0) {
            return ag_fail_kind(err, AG_ERR_INPUT, "IO", "model folder '%s' has no %s; a model is "
                                "config.json, preprocessor_config.json and model.safetensors: use "
                                "--model open-gaze, or fetch NVIDIA's with 'huggingface-cli "
                                "download nvidia/AutoGaze' and use --model nvidia", dir, files[i]);
        }
    }
    return true;
}

// Last part of the folder's real path; for a snapshot of the Hugging Face cache
// (models--nvidia--AutoGaze/snapshots/1234...) the repository's name instead of its hash.
static void set_name(struct ag_model *m)
{
    char *path = realpath(m->dir, NULL);
    char *parts = path ? path : m->dir;
    char *last = strrchr(parts, '/');
    const char *name = last ? last + 1 : parts;
    char *snapshots = strstr(parts, "/snapshots/");
    if (snapshots) {
        *snapshots = 0;
        char *repository = strstr(parts, "models--");
        name = repository ? repository + strlen("models--") : name;
        for (const char *dashes; repository && (dashes = strstr(name, "--")); name = dashes + 2) {
        }
    }
    snprintf(m->name, sizeof(m->name), "%.63s", name);
    free(path);
}

static bool load(const struct ag_log *log, struct ag_model *m, struct ag_error *err)
{
    char path[1200];
    void *text;
    size_t size;
    snprintf(path, sizeof(path), "%s/%s", m->dir, files[0]);
    if (!ag_read_file(path, MAX_JSON, &text, &size, err)) {
        return false;
    }
    bool ok = ag_config_parse(path, text, &m->config, log, err);
    ag_free(text);
    snprintf(path, sizeof(path), "%s/%s", m->dir, files[1]);
    if (!ok || !ag_read_file(path, MAX_JSON, &text, &size, err)) {
        return false;
    }
    ok = ag_preprocess_config_parse(path, text, &m->preprocess, err);
    ag_free(text);
    snprintf(path, sizeof(path), "%s/%s", m->dir, files[2]);
    return ok && ag_weights_load(log, path, m, err);
}

struct ag_model *ag_model_load(const struct ag_log *log, const char *dir, struct ag_error *err)
{
    if (!check_folder(dir, err)) {
        return NULL;
    }
    struct ag_model *m = ag_alloc(sizeof(*m));
    if ((size_t)snprintf(m->dir, sizeof(m->dir), "%s", dir) >= sizeof(m->dir)) {
        ag_fail_kind(err, AG_ERR_INPUT, "IO", "the path of the model folder has more than %zu "
                     "characters", sizeof(m->dir) - 1);
        ag_model_destroy(&m);
        return NULL;
    }
    set_name(m);
    if (!load(log, m, err)) {
        ag_model_destroy(&m);
    }
    return m;
}

void ag_model_destroy(struct ag_model **model)
{
    struct ag_model *m = *model;
    if (!m) {
        return;
    }
    for (uint32_t i = 0; i < m->n_tensors; i++) {
        ag_free(m->tensors[i].data);
    }
    ag_free(m->tensors);
    ag_free(m);
    *model = NULL;
}
