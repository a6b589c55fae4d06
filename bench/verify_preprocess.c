// The image pipeline in plain C against the vectors of its own file.
#include "verify_internal.h"

#include <string.h>

#include "autogaze/preprocess_ref.h"

// The official preprocessor_config.json.
static const struct ag_preprocess_config official = {
    .width = 224, .height = 224, .rescale_factor = 0.00784313725490196, .rescale = true,
    .offset = true, .normalize = true, .mean = { 0.485f, 0.456f, 0.406f },
    .std = { 0.229f, 0.224f, 0.225f },
};

static bool check_lut(struct run *r)
{
    const float *expected = GET(r, float, "", "lut", AG_F32, 3, 256);
    if (!expected) {
        return false;
    }
    float own[3 * 256];
    struct ag_verify_case *k = ag_verify_add_case(r->report, "lut", 0);
    ag_ref_lut(&official, own);
    ag_verify_measure(k, AG_VERIFY_INPUT, own, expected, AG_COUNT(own));
    if (memcmp(own, expected, sizeof(own)) != 0) {
        ag_verify_complain(k, "the table differs in some bit");
    } else {
        snprintf(k->ids, sizeof(k->ids), "identical");
    }
    ag_verify_close_case(r->report, k, &ag_verify_f32);
    return true;
}

static bool check_picture(struct run *r, const char *prefix)
{
    const struct ag_safetensors_entry *from, *to, *input;
    const uint8_t *source = GET_SIZED(r, uint8_t, prefix, "source", AG_U8, &from, AG_ANY, AG_ANY,
                                      3);
    const uint8_t *resized = GET_SIZED(r, uint8_t, prefix, "resized", AG_U8, &to, AG_ANY, AG_ANY,
                                       3);
    if (!source || !resized) {
        return false;
    }
    if (!from->count || !to->count) {
        return ag_verify_bad_file(r, prefix, "has an empty picture");
    }
    struct ag_verify_case *k = ag_verify_add_case(r->report, prefix, 1);
    k->name[strlen(k->name) - 1] = 0; // the dot
    uint32_t w, h, height = from->shape[0], width = from->shape[1];
    ag_ref_shortest_edge(width, height, AG_MIN(to->shape[0], to->shape[1]), &w, &h);
    snprintf(k->ids, sizeof(k->ids), "identical");
    if (h != to->shape[0] || w != to->shape[1]) {
        ag_verify_complain(k, "size %ux%u after the resize, expected %ux%u", w, h, to->shape[1],
                           to->shape[0]);
    } else {
        uint8_t *own = ag_alloc(to->count);
        ag_ref_resize_u8(source, width, height, 3, own, w, h);
        if (memcmp(own, resized, to->count) != 0) {
            ag_verify_complain(k, "resized pixels differ");
        }
        ag_free(own);
    }
    bool ok = true;
    if (ag_vectors_has(&r->vectors, prefix, "model_input")) {
        const float *expected = GET_SIZED(r, float, prefix, "model_input", AG_F32, &input, 3,
                                          AG_ANY, AG_ANY);
        ok = expected && (input->shape[1] == input->shape[2] ||
                          ag_verify_bad_file(r, prefix, "has a model_input that is not square"));
        if (ok) {
            struct ag_preprocess_config config = official;
            config.width = config.height = AG_MIN(to->shape[0], to->shape[1]);
            float *own = ag_alloc(input->bytes);
            ag_ref_preprocess(&config, source, width, height, 3, input->shape[1], own);
            ag_verify_measure(k, AG_VERIFY_INPUT, own, expected, input->count);
            ag_free(own);
        }
    }
    ag_verify_close_case(r->report, k, &ag_verify_f32);
    return ok;
}

bool ag_verify_preprocess(const char *vectors, struct ag_verify_report *report,
                          struct ag_error *err)
{
    struct ag_error local = { 0 };
    struct run r = { .report = report, .err = &local };
    *report = (struct ag_verify_report){ 0 };
    bool ok = ag_vectors_open(&r.vectors, vectors, &local) && check_lut(&r);
    for (uint32_t i = 0; ok && i < ag_safetensors_count(r.vectors.file); i++) {
        static const char suffix[] = ".source";
        const char *name = ag_safetensors_at(r.vectors.file, i)->name;
        size_t n = strlen(name);
        char prefix[32];
        if (n > strlen(suffix) && n < sizeof(prefix) &&
            strcmp(name + n - strlen(suffix), suffix) == 0) {
            snprintf(prefix, sizeof(prefix), "%.*s", (int)(n - strlen("source")), name);
            ok = check_picture(&r, prefix);
        }
    }
    ag_vectors_close(&r.vectors);
    return ok || ag_fail_kind(err, local.status, local.kind, "%s", local.text);
}
