// Helpers of the model tests: temporary folders, safetensors files made to order.
#ifndef AUTOGAZE_TESTS_MODEL_UTIL_H
#define AUTOGAZE_TESTS_MODEL_UTIL_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "autogaze/base.h"

// A fresh folder under $TMPDIR or /tmp.
static inline void temporary_dir(char *path, size_t size)
{
    const char *root = getenv("TMPDIR");
    snprintf(path, size, "%s/autogaze-test-XXXXXX", root && *root ? root : "/tmp");
    assert_non_null(mkdtemp(path));
}

static inline void write_bytes(const char *dir, const char *name, const void *data, size_t size)
{
    char path[1200];
    snprintf(path, sizeof(path), "%s/%s", dir, name);
    FILE *f = fopen(path, "wb");
    assert_non_null(f);
    assert_int_equal(fwrite(data, 1, size, f), size);
    assert_int_equal(fclose(f), 0);
}

// A safetensors file; header_length 0: the length of `header`.
static inline void write_safetensors(const char *dir, const char *name, const char *header,
                                     uint64_t header_length, const void *data, size_t size)
{
    size_t n = strlen(header);
    unsigned char *bytes = ag_alloc(8 + n + size);
    uint64_t length = header_length ? header_length : n;
    for (int i = 0; i < 8; i++) {
        bytes[i] = (unsigned char)(length >> (8 * i));
    }
    memcpy(bytes + 8, header, n);
    memcpy(bytes + 8 + n, data, size);
    write_bytes(dir, name, bytes, 8 + n + size);
    ag_free(bytes);
}

static inline void *read_file(const char *dir, const char *name, size_t *size)
{
    char path[1200];
    void *data;
    size_t n;
    snprintf(path, sizeof(path), "%s/%s", dir, name);
    assert_true(ag_read_file(path, (size_t)1 << 30, &data, size ? size : &n, NULL));
    return data;
}

static inline void copy_file(const char *from, const char *name, const char *to)
{
    size_t size;
    void *data = read_file(from, name, &size);
    write_bytes(to, name, data, size);
    ag_free(data);
}

// Removes the folder's files and the folder.
static inline void remove_dir(const char *dir)
{
    static const char *const names[] = { "config.json", "preprocessor_config.json",
                                         "model.safetensors", "vectors.safetensors", "t" };
    char path[1200];
    for (size_t i = 0; i < AG_COUNT(names); i++) {
        snprintf(path, sizeof(path), "%s/%s", dir, names[i]);
        unlink(path);
    }
    assert_int_equal(rmdir(dir), 0);
}

#endif
