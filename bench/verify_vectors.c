#include "verify_vectors.h"

#include <stdio.h>
#include <string.h>

bool ag_vectors_open(struct ag_vectors *v, const char *path, struct ag_error *err)
{
    *v = (struct ag_vectors){ .path = path, .file = ag_safetensors_open(path, err) };
    return v->file != NULL;
}

void ag_vectors_close(struct ag_vectors *v)
{
    for (uint32_t i = 0; i < v->n_copies; i++) {
        ag_free(v->copies[i]);
    }
    ag_free(v->copies);
    ag_safetensors_close(&v->file);
}

static const struct ag_safetensors_entry *find(const struct ag_vectors *v, const char *prefix,
                                               const char *name, char *full, size_t size)
{
    snprintf(full, size, "%s%s", prefix, name);
    return ag_safetensors_find(v->file, full);
}

bool ag_vectors_has(const struct ag_vectors *v, const char *prefix, const char *name)
{
    char full[160];
    return find(v, prefix, name, full, sizeof(full)) != NULL;
}

const void *ag_vectors_get(struct ag_vectors *v, const char *prefix, const char *name,
                           enum ag_dtype dtype, uint32_t rank, const uint32_t *shape,
                           const struct ag_safetensors_entry **entry, struct ag_error *err)
{
    char full[160];
    const struct ag_safetensors_entry *e = find(v, prefix, name, full, sizeof(full));
    if (!e) {
        ag_fail_kind(err, AG_ERR_INPUT, "MISSING", "%s: tensor '%s' is missing; is it a file of "
                     "golden vectors for this model?", v->path, full);
        return NULL;
    }
    bool ok = e->dtype == dtype && e->rank == rank;
    for (uint32_t i = 0; ok && i < rank; i++) {
        ok = shape[i] == AG_ANY || shape[i] == e->shape[i];
    }
    if (!ok) {
        ag_fail_kind(err, AG_ERR_INPUT, e->dtype == dtype ? "SHAPE" : "DTYPE", "%s: tensor '%s' "
                     "has another %s than golden vectors of this model", v->path, full,
                     e->dtype == dtype ? "shape" : "type");
        return NULL;
    }
    void *copy = ag_alloc(e->bytes);
    memcpy(copy, e->data, e->bytes);
    v->copies = ag_realloc(v->copies, (v->n_copies + 1) * sizeof(*v->copies));
    v->copies[v->n_copies++] = copy;
    if (entry) {
        *entry = e;
    }
    return copy;
}
