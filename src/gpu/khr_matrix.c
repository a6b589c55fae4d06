#include "interface/model_spec.h"
#include "spirv.h"
#include "vk.h"

#include <string.h>

// Kernels with matrices are written and checked in the form of VK_NV_cooperative_matrix, the only
// one that glslang and SPIRV-Tools of Debian 12 know. This makes the form of
// VK_KHR_cooperative_matrix of one. What that wants to know in addition is what a type is for: a
// matrix of floats is a sum; of halves, the number of its rows tells, whose specialisation constant
// is SPEC_MATRIX_SECOND, SPEC_MATRIX_SUM, or none for a first factor.
// Numbers and operand orders: SPV_NV_cooperative_matrix, SPV_KHR_cooperative_matrix.

enum {
    HEADER_BOUND = 3,

    OP_EXTENSION = 10,
    OP_CAPABILITY = 17,
    OP_CONSTANT_TRUE = 41,
    DECORATION_SPEC_ID = 1,

    OP_KHR_TYPE = 4456,
    OP_KHR_LOAD = 4457,
    OP_KHR_STORE = 4458,
    OP_KHR_MUL_ADD = 4459,
    OP_KHR_LENGTH = 4460,
    OP_NV_TYPE = 5358,
    OP_NV_LOAD = 5359,
    OP_NV_STORE = 5360,
    OP_NV_MUL_ADD = 5361,
    OP_NV_LENGTH = 5362,
    CAPABILITY_KHR = 6022,
    CAPABILITY_NV = 5357,

    USE_FIRST = 0, // also: rows are what lies side by side
    USE_SECOND = 1,
    USE_SUM = 2,
    USES = 3,
};

struct rewriter {
    const uint32_t *code;
    uint32_t n, n_ids;
    uint32_t *out, n_out;
    uint32_t uint_type, uses[USES]; // ids; uses: of the constants 0, 1, 2
    uint32_t *about;                // of each id: a float's width, a constant's SpecId + 1, true: 1
};

static void put(struct rewriter *r, uint32_t op, const uint32_t *operands, uint32_t n)
{
    r->out[r->n_out++] = (n + 1) << 16 | op;
    memcpy(&r->out[r->n_out], operands, n * sizeof(*operands));
    r->n_out += n;
}

static uint32_t about(const struct rewriter *r, uint32_t id)
{
    return id < r->n_ids ? r->about[id] : 0;
}

// false: has no matrices, or is no SPIR-V.
static bool look(struct rewriter *r)
{
    bool found = false;
    for (uint32_t i = HEADER_WORDS, n; i < r->n; i += n) {
        const uint32_t *op = &r->code[i], code = opcode(op);
        n = length(op);
        if (n == 0 || n > r->n - i) {
            return false;
        }
        found = found || (code == OP_CAPABILITY && op[1] == CAPABILITY_NV);
        if (code == OP_DECORATE && n == 4 && op[2] == DECORATION_SPEC_ID && op[1] < r->n_ids) {
            r->about[op[1]] = op[3] + 1;
        } else if (code == OP_TYPE_FLOAT && op[1] < r->n_ids) {
            r->about[op[1]] = op[2];
        } else if (code == OP_CONSTANT_TRUE && op[2] < r->n_ids) {
            r->about[op[2]] = 1;
        } else if (code == OP_TYPE_INT && op[2] == 32 && op[3] == 0) {
            r->uint_type = op[1];
        }
    }
    return found && r->uint_type;
}

static void rewrite_type(struct rewriter *r, const uint32_t *op)
{
    if (!r->uses[0]) { // the first type: constants in front of it
        for (uint32_t i = 0; i < USES; i++) {
            r->uses[i] = r->n_ids + i;
            put(r, OP_CONSTANT, (uint32_t[]){ r->uint_type, r->uses[i], i }, 3);
        }
    }
    uint32_t rows = about(r, op[4]), use = USE_FIRST;
    if (about(r, op[2]) == 32 || rows == SPEC_MATRIX_SUM + 1) {
        use = USE_SUM;
    } else if (rows == SPEC_MATRIX_SECOND + 1) {
        use = USE_SECOND;
    }
    uint32_t columns = op[5]; // as many as rows
    put(r, OP_KHR_TYPE, (uint32_t[]){ op[1], op[2], op[3], columns, columns, r->uses[use] }, 6);
}

// Stride and "columns side by side" become layout and stride; what is in front and behind stays.
static void rewrite_access(struct rewriter *r, const uint32_t *op, uint32_t to, uint32_t n_front)
{
    uint32_t n = length(op) - 1, *out = &r->out[r->n_out + 1 + n_front];
    const uint32_t *in = &op[1 + n_front];
    put(r, to, op + 1, n);
    out[0] = r->uses[about(r, in[1]) ? 1 : 0];
    out[1] = in[0];
}

static void rewrite(struct rewriter *r, const uint32_t *op)
{
    uint32_t code = opcode(op), n = length(op) - 1;
    static const char nv[] = "SPV_NV_cooperative_matrix", khr[28] = "SPV_KHR_cooperative_matrix";
    if (code == OP_CAPABILITY && op[1] == CAPABILITY_NV) {
        put(r, code, (uint32_t[]){ CAPABILITY_KHR }, 1);
    } else if (code == OP_EXTENSION && n * 4 >= sizeof(nv) && !memcmp(op + 1, nv, sizeof(nv))) {
        uint32_t words[sizeof(khr) / 4];
        memcpy(words, khr, sizeof(khr));
        put(r, code, words, AG_COUNT(words));
    } else if (code == OP_NV_TYPE) {
        rewrite_type(r, op);
    } else if (code == OP_NV_LOAD) {
        rewrite_access(r, op, OP_KHR_LOAD, 3);
    } else if (code == OP_NV_STORE) {
        rewrite_access(r, op, OP_KHR_STORE, 2);
    } else {
        put(r, code == OP_NV_MUL_ADD  ? OP_KHR_MUL_ADD
               : code == OP_NV_LENGTH ? OP_KHR_LENGTH : code, op + 1, n);
    }
}

uint32_t *ag_spirv_khr_matrix(const struct ag_shader *shader, size_t *bytes)
{
    struct rewriter r = { .code = shader->code, .n = (uint32_t)(shader->code_bytes / 4) };
    if (r.n < HEADER_WORDS) {
        return NULL;
    }
    r.n_ids = r.code[HEADER_BOUND];
    r.about = ag_alloc(r.n_ids * sizeof(*r.about));
    if (look(&r)) {
        // a word more for the name of the extension, one for each type, four for each constant
        r.out = ag_alloc((r.n + r.n / 5 + 1 + 4 * USES) * sizeof(*r.out));
        memcpy(r.out, r.code, HEADER_WORDS * sizeof(*r.out));
        r.out[HEADER_BOUND] = r.n_ids + USES;
        r.n_out = HEADER_WORDS;
        for (uint32_t i = HEADER_WORDS; i < r.n; i += length(&r.code[i])) {
            rewrite(&r, &r.code[i]);
        }
        *bytes = r.n_out * sizeof(*r.out);
    }
    ag_free(r.about);
    return r.out;
}
