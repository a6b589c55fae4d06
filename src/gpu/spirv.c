#include "spirv.h"
#include "vk.h"

#include <stdio.h>
#include <string.h>

// Just enough of SPIR-V: bindings of storage buffers and images, the layout of the push block.
// Numbers and operand orders: SPIR-V specification, sections 2.3 and 3.

enum {
    SPIRV_MAGIC = 0x07230203,

    OP_MEMBER_NAME = 6,
    OP_TYPE_VECTOR = 23,
    OP_TYPE_IMAGE = 25,
    OP_TYPE_ARRAY = 28,
    OP_TYPE_STRUCT = 30,
    OP_TYPE_POINTER = 32,
    OP_VARIABLE = 59,
    OP_MEMBER_DECORATE = 72,

    DECORATION_ARRAY_STRIDE = 6,
    DECORATION_BINDING = 33,
    DECORATION_SET = 34,
    DECORATION_OFFSET = 35,

    IMAGE_STORAGE = 2, // operand "Sampled"

    CLASS_UNIFORM_CONSTANT = 0,
    CLASS_UNIFORM = 2,
    CLASS_PUSH = 9,
    CLASS_STORAGE_BUFFER = 12,

    NOT_FOUND = 0xffffffff,
};

struct module {
    const struct ag_shader *shader;
    const uint32_t *code, *end;
    uint32_t n_ids;
    const uint32_t **defs; // instruction that defines id i, for types, constants and variables
};

static const uint32_t *next(const struct module *m, const uint32_t *op)
{
    return length(op) > 0 && length(op) < (uint32_t)(m->end - op) ? op + length(op) : NULL;
}

static const uint32_t *first(const struct module *m)
{
    return m->code + HEADER_WORDS < m->end ? m->code + HEADER_WORDS : NULL;
}

// Word of the result id of the instructions we look up, 0: none of them.
static uint32_t result_word(uint32_t op)
{
    switch (op) {
    case OP_TYPE_INT:
    case OP_TYPE_FLOAT:
    case OP_TYPE_VECTOR:
    case OP_TYPE_IMAGE:
    case OP_TYPE_ARRAY:
    case OP_TYPE_STRUCT:
    case OP_TYPE_POINTER:
        return 1;
    case OP_CONSTANT:
    case OP_VARIABLE:
        return 2;
    default:
        return 0;
    }
}

static void find_defs(struct module *m)
{
    for (const uint32_t *op = first(m); op; op = next(m, op)) {
        uint32_t word = result_word(opcode(op));
        if (word && length(op) > word && op[word] < m->n_ids) {
            m->defs[op[word]] = op;
        }
    }
}

static const uint32_t *def(const struct module *m, uint32_t id, uint32_t op)
{
    const uint32_t *d = id < m->n_ids ? m->defs[id] : NULL;
    return d && opcode(d) == op ? d : NULL;
}

static uint32_t decoration(const struct module *m, uint32_t id, uint32_t which)
{
    for (const uint32_t *op = first(m); op; op = next(m, op)) {
        if (opcode(op) == OP_DECORATE && length(op) >= 4 && op[1] == id && op[2] == which) {
            return op[3];
        }
    }
    return NOT_FOUND;
}

static uint32_t member_offset(const struct module *m, uint32_t id, uint32_t member)
{
    for (const uint32_t *op = first(m); op; op = next(m, op)) {
        if (opcode(op) == OP_MEMBER_DECORATE && length(op) >= 5 && op[1] == id && op[2] == member &&
            op[3] == DECORATION_OFFSET) {
            return op[4];
        }
    }
    return NOT_FOUND;
}

static const char *member_name(const struct module *m, uint32_t id, uint32_t member)
{
    for (const uint32_t *op = first(m); op; op = next(m, op)) {
        if (opcode(op) == OP_MEMBER_NAME && length(op) >= 4 && op[1] == id && op[2] == member) {
            return (const char *)&op[3];
        }
    }
    return "";
}

// Bytes of scalars, vectors, arrays and structs of them; 0: something else.
static uint32_t type_bytes(const struct module *m, uint32_t id)
{
    const uint32_t *d = id < m->n_ids ? m->defs[id] : NULL;
    switch (d ? opcode(d) : 0) {
    case OP_TYPE_INT:
    case OP_TYPE_FLOAT:
        return d[2] / 8;
    case OP_TYPE_VECTOR:
        return d[3] * type_bytes(m, d[2]);
    case OP_TYPE_ARRAY: {
        const uint32_t *count = def(m, d[3], OP_CONSTANT);
        uint32_t stride = decoration(m, id, DECORATION_ARRAY_STRIDE);
        return count && stride != NOT_FOUND ? count[3] * stride : 0;
    }
    case OP_TYPE_STRUCT: {
        uint32_t n = length(d) - 2;
        uint32_t offset = n > 0 ? member_offset(m, id, n - 1) : NOT_FOUND;
        return offset != NOT_FOUND ? offset + type_bytes(m, d[2 + n - 1]) : 0;
    }
    default:
        return 0;
    }
}

static bool reflect_push(const struct module *m, uint32_t id, struct ag_spirv_info *out,
                         struct ag_error *err)
{
    const uint32_t *d = def(m, id, OP_TYPE_STRUCT);
    uint32_t n = d ? length(d) - 2 : 0;
    if (n == 1 && def(m, d[2], OP_TYPE_STRUCT)) { // `uniform Push { struct_of_ours args; }`
        return reflect_push(m, d[2], out, err);
    }
    bool ok = n > 0 && n <= AG_COUNT(out->members);
    for (uint32_t i = 0; ok && i < n; i++) {
        struct ag_spirv_member *member = &out->members[i];
        *member = (struct ag_spirv_member){
            .name = member_name(m, id, i),
            .offset = member_offset(m, id, i),
            .bytes = type_bytes(m, d[2 + i]),
        };
        ok = member->bytes > 0 && member->offset <= AG_MAX_PUSH_BYTES &&
             member->bytes <= AG_MAX_PUSH_BYTES - member->offset;
        out->push_bytes = AG_MAX(out->push_bytes, member->offset + member->bytes);
    }
    out->n_members = n;
    return ok ||
           ag_fail(err, AG_ERR_DEVICE,
                   "shader '%s': its push block must be a struct of scalars, vectors and arrays "
                   "in at most %d bytes",
                   m->shader->name, AG_MAX_PUSH_BYTES);
}

static bool reflect_binding(const struct module *m, uint32_t id, bool image,
                            struct ag_spirv_info *out, struct ag_error *err)
{
    uint32_t set = decoration(m, id, DECORATION_SET);
    uint32_t binding = decoration(m, id, DECORATION_BINDING);
    if (set != 0 || binding >= AG_MAX_BINDINGS) {
        return ag_fail(err, AG_ERR_DEVICE,
                       "shader '%s': buffers and images must be in set 0 with bindings below %d, "
                       "one is in set %u, binding %u",
                       m->shader->name, AG_MAX_BINDINGS, set, binding);
    }
    out->n_bindings = AG_MAX(out->n_bindings, binding + 1);
    out->images |= (uint32_t)image << binding;
    return true;
}

static bool is_storage_image(const struct module *m, const uint32_t *pointer)
{
    const uint32_t *image = pointer ? def(m, pointer[3], OP_TYPE_IMAGE) : NULL;
    return image && length(image) > 7 && image[7] == IMAGE_STORAGE;
}

static bool reflect_variable(const struct module *m, const uint32_t *op, struct ag_spirv_info *out,
                             struct ag_error *err)
{
    const uint32_t *pointer = def(m, op[1], OP_TYPE_POINTER);
    switch (op[3]) {
    case CLASS_PUSH:
        return reflect_push(m, pointer ? pointer[3] : NOT_FOUND, out, err);
    case CLASS_STORAGE_BUFFER:
        return reflect_binding(m, op[2], false, out, err);
    case CLASS_UNIFORM:
    case CLASS_UNIFORM_CONSTANT:
        if (is_storage_image(m, pointer)) {
            return reflect_binding(m, op[2], true, out, err);
        }
        return ag_fail(err, AG_ERR_DEVICE,
                       "shader '%s' uses a uniform block or a sampled image; kernels have storage "
                       "buffers, storage images and push constants only",
                       m->shader->name);
    default: // inputs, workgroup memory, privates
        return true;
    }
}

bool ag_spirv_reflect(const struct ag_shader *shader, struct ag_spirv_info *out,
                      struct ag_error *err)
{
    struct module m = {
        .shader = shader,
        .code = shader->code,
        .end = shader->code + shader->code_bytes / 4,
    };
    *out = (struct ag_spirv_info){ 0 };
    if (shader->code_bytes < HEADER_WORDS * 4 || m.code[0] != SPIRV_MAGIC) {
        return ag_fail(err, AG_ERR_DEVICE, "shader '%s' is not SPIR-V", shader->name);
    }
    m.n_ids = AG_MIN(m.code[3], shader->code_bytes / 4); // every id takes at least a word
    m.defs = ag_alloc(m.n_ids * sizeof(m.defs[0]));
    find_defs(&m);
    bool ok = true;
    for (const uint32_t *op = first(&m); ok && op; op = next(&m, op)) {
        if (opcode(op) == OP_VARIABLE && length(op) >= 4) {
            ok = reflect_variable(&m, op, out, err);
        }
    }
    ag_free(m.defs);
    return ok;
}
