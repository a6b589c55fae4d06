#include "gaze_file.h"

#include <assert.h>
#include <stdio.h>
#include <string.h>

static const struct {
    uint32_t bytes;
    const char *safetensors, *npy;
} types[] = {
    // BOOL is safetensors too, but few readers know it.
    [ARRAY_I64] = { 8, "I64", "<i8" },
    [ARRAY_F32] = { 4, "F32", "<f4" },
    [ARRAY_BOOL] = { 1, "U8", "|b1" },
};

uint64_t array_bytes(const struct array *array)
{
    uint64_t bytes = types[array->type].bytes;
    for (uint32_t i = 0; i < array->rank; i++) {
        bytes *= array->shape[i];
    }
    return bytes;
}

// ---- bytes --------------------------------------------------------------------------------------

struct sink {
    struct ag_output *out; // NULL: only count and checksum
    uint64_t bytes;
    uint32_t crc; // running register of zip's CRC-32
    uint8_t buffer[8192];
    size_t fill;
};

#define SINK(to) { .out = (to), .crc = 0xffffffffu }

// CRC-32 of zip (reflected polynomial 0xEDB88320), four bits at a time.
static uint32_t crc32_more(uint32_t crc, const uint8_t *data, size_t size)
{
    static const uint32_t table[16] = {
        0x00000000, 0x1db71064, 0x3b6e20c8, 0x26d930ac, 0x76dc4190, 0x6b6b51f4,
        0x4db26158, 0x5005713c, 0xedb88320, 0xf00f9344, 0xd6d6a3e8, 0xcb61b38c,
        0x9b64c2b0, 0x86d3d2d4, 0xa00ae278, 0xbdbdf21c,
    };
    for (size_t i = 0; i < size; i++) {
        crc ^= data[i];
        crc = crc >> 4 ^ table[crc & 15];
        crc = crc >> 4 ^ table[crc & 15];
    }
    return crc;
}

static void sink_flush(struct sink *s)
{
    if (s->out) {
        ag_output_write(s->out, s->buffer, s->fill);
    } else {
        s->crc = crc32_more(s->crc, s->buffer, s->fill);
    }
    s->bytes += s->fill;
    s->fill = 0;
}

static void sink_bytes(struct sink *s, const void *data, size_t size)
{
    for (const uint8_t *p = data; size;) {
        size_t n = AG_MIN(size, sizeof(s->buffer) - s->fill);
        memcpy(s->buffer + s->fill, p, n);
        s->fill += n;
        p += n;
        size -= n;
        if (s->fill == sizeof(s->buffer)) {
            sink_flush(s);
        }
    }
}

// Little-endian, as both formats and zip want it.
static void sink_word(struct sink *s, uint64_t value, uint32_t bytes)
{
    uint8_t raw[8];
    for (uint32_t i = 0; i < bytes; i++) {
        raw[i] = (uint8_t)(value >> (8 * i));
    }
    sink_bytes(s, raw, bytes);
}

void sink_i64(struct sink *s, int64_t value)
{
    sink_word(s, (uint64_t)value, 8);
}

void sink_f32(struct sink *s, float value)
{
    uint32_t bits;
    memcpy(&bits, &value, sizeof(bits));
    sink_word(s, bits, 4);
}

void sink_bool(struct sink *s, bool value)
{
    sink_word(s, value, 1);
}

// ---- safetensors --------------------------------------------------------------------------------

#define TEXT_SIZE 8192

// A header under construction, JSON or Python.
struct text {
    char text[TEXT_SIZE];
    size_t length;
};

static void text_add(struct text *t, const char *fmt, ...) AG_PRINTF(2, 3);
static void text_add(struct text *t, const char *fmt, ...)
{
    va_list args;
    va_start(args, fmt);
    int n = vsnprintf(t->text + t->length, TEXT_SIZE - t->length, fmt, args);
    va_end(args);
    assert(n >= 0 && (size_t)n < TEXT_SIZE - t->length);
    t->length += (size_t)n;
}

static void text_shape(struct text *t, const struct array *a, const char *one)
{
    for (uint32_t i = 0; i < a->rank; i++) {
        text_add(t, "%s%llu", i ? ", " : "", (unsigned long long)a->shape[i]);
    }
    text_add(t, "%s", a->rank == 1 ? one : "");
}

void write_safetensors(struct ag_output *out, const void *owner, const struct array *arrays,
                       uint32_t n)
{
    struct text t = { .length = 0 };
    const char *comma = "";
    uint64_t offset = 0;
    text_add(&t, "{\"__metadata__\":{");
    for (uint32_t i = 0; i < n; i++) {
        if (arrays[i].metadata) {
            text_add(&t, "%s\"%s\":\"%s\"", comma, arrays[i].name, arrays[i].metadata);
            comma = ",";
        }
    }
    text_add(&t, "}");
    for (uint32_t i = 0; i < n; i++) {
        const struct array *a = &arrays[i];
        if (a->metadata) {
            continue;
        }
        uint64_t end = offset + array_bytes(a);
        text_add(&t, ",\"%s\":{\"dtype\":\"%s\",\"shape\":[", a->name, types[a->type].safetensors);
        text_shape(&t, a, "");
        text_add(&t, "],\"data_offsets\":[%llu,%llu]}", (unsigned long long)offset,
                 (unsigned long long)end);
        offset = end;
    }
    text_add(&t, "}");
    while (t.length % 8) { // so that the data is aligned in the file
        text_add(&t, " ");
    }
    struct sink sink = SINK(out);
    sink_word(&sink, t.length, 8);
    sink_bytes(&sink, t.text, t.length);
    for (uint32_t i = 0; i < n; i++) {
        if (!arrays[i].metadata) {
            arrays[i].produce(owner, arrays[i].index, &sink);
        }
    }
    sink_flush(&sink);
    assert(sink.bytes == 8 + t.length + offset);
}

// ---- npz ----------------------------------------------------------------------------------------
// A zip file of .npy files, stored. zip wants size and checksum of a member before its bytes, so
// each member is produced twice.

struct member {
    char name[80];
    uint64_t bytes, offset;
    uint32_t crc;
};

static void npy_file(const struct array *a, const void *owner, struct sink *sink)
{
    struct text t = { .length = 0 };
    text_add(&t, "{'descr': '%s', 'fortran_order': False, 'shape': (", types[a->type].npy);
    text_shape(&t, a, ",");
    text_add(&t, "), }");
    while ((10 + t.length + 1) % 64) { // magic and length come before, a newline ends it
        text_add(&t, " ");
    }
    text_add(&t, "\n");
    sink_bytes(sink, "\x93NUMPY\x01", 7);
    sink_word(sink, 0, 1);
    sink_word(sink, t.length, 2);
    sink_bytes(sink, t.text, t.length);
    a->produce(owner, a->index, sink);
}

// What the local header and the central directory say alike.
static void zip_common(struct sink *sink, const struct member *m)
{
    sink_word(sink, 20, 2);     // version needed
    sink_word(sink, 0x800, 2);  // names are UTF-8
    sink_word(sink, 0, 2);      // stored
    sink_word(sink, 0, 2);      // midnight,
    sink_word(sink, 0x21, 2);   // 1 January 1980: the same gaze gives the same file
    sink_word(sink, m->crc, 4);
    sink_word(sink, m->bytes, 4);
    sink_word(sink, m->bytes, 4);
    sink_word(sink, strlen(m->name), 2);
    sink_word(sink, 0, 2);      // no extra field
}

static void zip_directory(struct sink *sink, const struct member *members, uint32_t n)
{
    uint64_t start = sink->bytes;
    for (uint32_t i = 0; i < n; i++) {
        sink_word(sink, 0x02014b50, 4);
        sink_word(sink, 20, 2); // made by
        zip_common(sink, &members[i]);
        sink_word(sink, 0, 2);  // no comment
        sink_word(sink, 0, 2);  // first disk
        sink_word(sink, 0, 2);
        sink_word(sink, 0, 4);
        sink_word(sink, members[i].offset, 4);
        sink_bytes(sink, members[i].name, strlen(members[i].name));
    }
    sink_flush(sink);
    uint64_t end = sink->bytes;
    sink_word(sink, 0x06054b50, 4);
    sink_word(sink, 0, 4);      // one disk
    sink_word(sink, n, 2);
    sink_word(sink, n, 2);
    sink_word(sink, end - start, 4);
    sink_word(sink, start, 4);
    sink_word(sink, 0, 2);      // no comment
    sink_flush(sink);
}

void write_npz(struct ag_output *out, const void *owner, const struct array *arrays, uint32_t n)
{
    struct member *members = ag_alloc(n * sizeof(*members));
    struct sink sink = SINK(out);
    for (uint32_t i = 0; i < n; i++) {
        struct member *m = &members[i];
        struct sink check = SINK(NULL);
        npy_file(&arrays[i], owner, &check);
        sink_flush(&check);
        m->bytes = check.bytes;
        m->crc = ~check.crc;
        m->offset = sink.bytes;
        assert(m->bytes <= UINT32_MAX && m->offset <= UINT32_MAX);
        snprintf(m->name, sizeof(m->name), "%s.npy", arrays[i].name);
        sink_word(&sink, 0x04034b50, 4);
        zip_common(&sink, m);
        sink_bytes(&sink, m->name, strlen(m->name));
        npy_file(&arrays[i], owner, &sink);
        sink_flush(&sink);
    }
    zip_directory(&sink, members, n);
    ag_free(members);
}
