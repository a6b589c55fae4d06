// model.safetensors -> the named float32 tensors of struct ag_model_weights, by the rules of M1.3.
#include "weights.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "json.h"

#define PREFIX "gazing_model."

struct loader {
    const char *path;
    const struct ag_safetensors *file;
    struct ag_model *model;
    uint32_t capacity;
    bool prefixed, bare; // spellings seen so far; the first name decides
    struct ag_error *err;
};

static void shape_text(uint32_t rank, const uint32_t *shape, char *out, size_t size)
{
    size_t n = (size_t)snprintf(out, size, "[");
    for (uint32_t i = 0; i < rank && n < size; i++) {
        n += (size_t)snprintf(out + n, size - n, i ? ",%u" : "%u", shape[i]);
    }
    if (n < size) {
        snprintf(out + n, size - n, "]");
    }
}

static const struct ag_safetensors_entry *find(struct loader *l, const char *name)
{
    char full[160];
    snprintf(full, sizeof(full), PREFIX "%s", name);
    const struct ag_safetensors_entry *prefixed = ag_safetensors_find(l->file, full);
    const struct ag_safetensors_entry *bare = ag_safetensors_find(l->file, name);
    l->prefixed |= prefixed != NULL;
    l->bare |= bare != NULL;
    if (l->prefixed && l->bare) {
        ag_fail_kind(l->err, AG_ERR_INPUT, "INCONSISTENT",
                     "%s: tensor '%s' is named %s the prefix '" PREFIX "', others are not; "
                     "expected one form for the whole file", l->path, name,
                     bare ? "without" : "with");
        return NULL;
    }
    if (!prefixed && !bare) {
        ag_fail_kind(l->err, AG_ERR_INPUT, "MISSING", "%s: tensor '%s' is missing", l->path,
                     l->bare ? name : full);
    }
    return prefixed ? prefixed : bare;
}

static bool convert(struct loader *l, const struct ag_safetensors_entry *e, struct ag_tensor *t)
{
    const unsigned char *src = e->data;
    for (size_t i = 0; i < e->count; i++) {
        uint32_t word;
        uint16_t half;
        float v;
        if (e->dtype == AG_F32) {
            memcpy(&v, src + 4 * i, 4);
        } else {
            memcpy(&half, src + 2 * i, 2);
            word = (uint32_t)half << 16;
            memcpy(&v, &word, 4);
            v = e->dtype == AG_F16 ? ag_half_to_float(half) : v;
        }
        if (!isfinite(v)) {
            return ag_fail_kind(l->err, AG_ERR_INPUT, "NONFINITE",
                                "%s: tensor '%s' has %f at element %zu, expected finite numbers",
                                l->path, e->name, (double)v, i);
        }
        t->data[i] = v;
    }
    return true;
}

// Loads one tensor; NULL with *err set, or where an earlier one failed.
static const float *tensor(struct loader *l, const char *name, uint32_t rank,
                           const uint32_t *shape)
{
    if (l->err->status != AG_OK) {
        return NULL;
    }
    const struct ag_safetensors_entry *e = find(l, name);
    if (!e) {
        return NULL;
    }
    if (e->dtype != AG_F32 && e->dtype != AG_F16 && e->dtype != AG_BF16) {
        ag_fail_kind(l->err, AG_ERR_INPUT, "DTYPE",
                     "%s: tensor '%s' holds integers, expected F32, F16 or BF16", l->path, e->name);
        return NULL;
    }
    if (e->rank != rank || memcmp(e->shape, shape, rank * sizeof(*shape)) != 0) {
        char found[80], expected[80];
        shape_text(e->rank, e->shape, found, sizeof(found));
        shape_text(rank, shape, expected, sizeof(expected));
        ag_fail_kind(l->err, AG_ERR_INPUT, "SHAPE",
                     "%s: tensor '%s' has shape %s, config.json makes it %s", l->path, e->name,
                     found, expected);
        return NULL;
    }
    struct ag_model *m = l->model;
    if (m->n_tensors == l->capacity) {
        l->capacity = 2 * l->capacity + 16;
        m->tensors = ag_realloc(m->tensors, l->capacity * sizeof(*m->tensors));
    }
    struct ag_tensor *t = &m->tensors[m->n_tensors++];
    *t = (struct ag_tensor){ .rank = rank, .count = e->count };
    snprintf(t->name, sizeof(t->name), "%s", name);
    memcpy(t->shape, shape, rank * sizeof(*shape));
    t->data = ag_alloc(t->count * sizeof(float));
    m->parameters += t->count;
    return convert(l, e, t) ? t->data : NULL;
}

#define TENSOR(l, name, ...)                                                                       \
    tensor(l, name, (uint32_t)AG_COUNT(((uint32_t[]){ __VA_ARGS__ })), (uint32_t[]){ __VA_ARGS__ })

static void load_vision(struct loader *l)
{
    const struct ag_model_config *c = &l->model->config;
    struct ag_model_weights *w = &l->model->weights;
    uint32_t v = c->channels;
    w->patch = TENSOR(l, "vision_model.temporal_conv.weight", v, 3, 1, c->patch, c->patch);
    w->patch_bias = TENSOR(l, "vision_model.temporal_conv.bias", v);
    w->norm = TENSOR(l, "vision_model.norm.weight", v);
    w->norm_bias = TENSOR(l, "vision_model.norm.bias", v);
    for (uint32_t i = 0; i < c->trunk_depth; i++) {
        char name[64];
        snprintf(name, sizeof(name), "vision_model.blocks.%u.conv3d.weight", i);
        w->trunk[i] = TENSOR(l, name, v, v, c->trunk_time, c->trunk_space, c->trunk_space);
        snprintf(name, sizeof(name), "vision_model.blocks.%u.conv3d.bias", i);
        w->trunk_bias[i] = TENSOR(l, name, v);
    }
    w->out = TENSOR(l, "vision_model.out_proj.weight", c->width, v, 1, 1, 1);
    w->out_bias = TENSOR(l, "vision_model.out_proj.bias", c->width);
    w->pos_embed = TENSOR(l, "connector.pos_embed", c->tokens, c->width);
}

static const float *layer_tensor(struct loader *l, uint32_t i, const char *part, uint32_t rows,
                                 uint32_t columns)
{
    char name[128];
    snprintf(name, sizeof(name), "gaze_decoder.model.layers.%u.%s.weight", i, part);
    uint32_t shape[2] = { rows, columns };
    return tensor(l, name, columns ? 2 : 1, shape);
}

static void load_decoder(struct loader *l)
{
    const struct ag_model_config *c = &l->model->config;
    struct ag_model_weights *w = &l->model->weights;
    uint32_t d = c->width, q = c->heads * c->head_dim, kv = c->kv_heads * c->head_dim;
    w->embed = TENSOR(l, "gaze_decoder.model.embed_tokens.weight", c->vocab, d);
    for (uint32_t i = 0; i < c->layers; i++) {
        w->layer[i] = (struct ag_decoder_layer_weights){
            .norm_attn = layer_tensor(l, i, "input_layernorm", d, 0),
            .q = layer_tensor(l, i, "self_attn.q_proj", q, d),
            .k = layer_tensor(l, i, "self_attn.k_proj", kv, d),
            .v = layer_tensor(l, i, "self_attn.v_proj", kv, d),
            .o = layer_tensor(l, i, "self_attn.o_proj", d, q),
            .norm_mlp = layer_tensor(l, i, "post_attention_layernorm", d, 0),
            .gate = layer_tensor(l, i, "mlp.gate_proj", c->mlp, d),
            .up = layer_tensor(l, i, "mlp.up_proj", c->mlp, d),
            .down = layer_tensor(l, i, "mlp.down_proj", d, c->mlp),
        };
    }
    w->norm_final = TENSOR(l, "gaze_decoder.model.norm.weight", d);
    w->lm_head = TENSOR(l, "gaze_decoder.lm_head.weight", c->round * c->vocab, d);
    w->loss_head = TENSOR(l, "gaze_decoder.task_loss_prediction_head.weight", c->round, d);
}

static bool is_known(const struct ag_model *m, const char *name)
{
    static const char ignored[] = "rotary_emb.inv_freq"; // a buffer that upstream may save
    size_t n = strlen(name);
    if (n >= strlen(ignored) && strcmp(name + n - strlen(ignored), ignored) == 0) {
        return true;
    }
    name += strncmp(name, PREFIX, strlen(PREFIX)) == 0 ? strlen(PREFIX) : 0;
    for (uint32_t i = 0; i < m->n_tensors; i++) {
        if (strcmp(m->tensors[i].name, name) == 0) {
            return true;
        }
    }
    return false;
}

bool ag_weights_load(const struct ag_log *log, const char *path, struct ag_model *m,
                     struct ag_error *err)
{
    struct ag_error local = { 0 };
    struct loader l = { .path = path, .model = m, .err = &local };
    struct ag_safetensors *file = ag_safetensors_open(path, &local);
    if (file) {
        l.file = file;
        load_vision(&l);
        load_decoder(&l);
        for (uint32_t i = 0; local.status == AG_OK && i < ag_safetensors_count(file); i++) {
            const char *name = ag_safetensors_at(file, i)->name;
            char shown[96];
            if (!is_known(m, name)) {
                ag_warn(log, "%s: tensor '%s' is not part of the model, ignored", path,
                        ag_json_shown(name, shown, sizeof(shown)));
            }
        }
        ag_safetensors_close(&file);
    }
    return local.status == AG_OK ||
           ag_fail_kind(err, local.status, local.kind, "%s", local.text);
}
