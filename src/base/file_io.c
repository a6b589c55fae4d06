#include "autogaze/base.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

bool ag_read_file(const char *path, size_t max_size, void **data, size_t *size,
                  struct ag_error *err)
{
    struct stat st;
    FILE *f = fopen(path, "rb");
    if (!f) {
        return ag_fail_kind(err, AG_ERR_INPUT, "IO", "cannot open '%s': %s", path, strerror(errno));
    }
    if (fstat(fileno(f), &st) != 0 || !S_ISREG(st.st_mode)) {
        fclose(f);
        return ag_fail_kind(err, AG_ERR_INPUT, "IO", "'%s' is not a regular file", path);
    }
    if ((uint64_t)st.st_size > max_size) {
        fclose(f);
        return ag_fail_kind(err, AG_ERR_INPUT, "IO", "'%s' has %lld bytes, expected at most %zu",
                            path, (long long)st.st_size, max_size);
    }
    char *p = ag_alloc((size_t)st.st_size + 1);
    size_t n = fread(p, 1, (size_t)st.st_size, f);
    bool ok = n == (size_t)st.st_size;
    fclose(f);
    if (!ok) {
        ag_free(p);
        return ag_fail_kind(err, AG_ERR_INPUT, "IO", "cannot read '%s': got %zu of %lld bytes",
                            path, n, (long long)st.st_size);
    }
    *data = p;
    *size = n;
    return true;
}

struct ag_output {
    FILE *file;
    char *path, *temporary;
    int error; // first errno, sticky
};

static void make_parents(const char *path)
{
    char *p = ag_strdup(path);
    for (char *s = p + 1; *s; s++) {
        if (*s == '/') {
            *s = 0;
            mkdir(p, 0777); // failure shows when the file is opened
            *s = '/';
        }
    }
    ag_free(p);
}

struct ag_output *ag_output_open(const char *path, struct ag_error *err)
{
    struct stat st;
    if (stat(path, &st) == 0 && S_ISDIR(st.st_mode)) {
        ag_fail(err, AG_ERR_OUTPUT, "cannot write '%s': it is a directory, give a file name", path);
        return NULL;
    }
    make_parents(path);
    struct ag_output *out = ag_alloc(sizeof(*out));
    out->path = ag_strdup(path);
    // Devices and pipes are written in place, files through a temporary.
    bool special = stat(path, &st) == 0 && !S_ISREG(st.st_mode);
    out->temporary = special ? NULL : ag_asprintf("%s.part%ld", path, (long)getpid());
    out->file = fopen(special ? path : out->temporary, "wb");
    if (!out->file) {
        ag_fail(err, AG_ERR_OUTPUT, "cannot write '%s': %s", path, strerror(errno));
        ag_output_abort(&out);
    }
    return out;
}

void ag_output_write(struct ag_output *out, const void *data, size_t size)
{
    errno = 0;
    if (!out->error && fwrite(data, 1, size, out->file) != size) {
        out->error = errno ? errno : EIO;
    }
}

void ag_output_printf(struct ag_output *out, const char *fmt, ...)
{
    va_list args;
    va_start(args, fmt);
    errno = 0;
    if (!out->error && vfprintf(out->file, fmt, args) < 0) {
        out->error = errno ? errno : EIO;
    }
    va_end(args);
}

bool ag_output_commit(struct ag_output **pout, struct ag_error *err)
{
    struct ag_output *out = *pout;
    errno = 0;
    if (fclose(out->file) != 0 && !out->error) {
        out->error = errno;
    }
    out->file = NULL;
    if (!out->error && out->temporary && rename(out->temporary, out->path) != 0) {
        out->error = errno;
    }
    if (out->error) {
        ag_fail(err, AG_ERR_OUTPUT, "cannot write '%s': %s", out->path, strerror(out->error));
        ag_output_abort(pout);
        return false;
    }
    ag_free(out->temporary);
    ag_free(out->path);
    ag_free(out);
    *pout = NULL;
    return true;
}

void ag_output_abort(struct ag_output **pout)
{
    struct ag_output *out = *pout;
    if (!out) {
        return;
    }
    if (out->file) {
        fclose(out->file);
    }
    if (out->temporary) {
        unlink(out->temporary);
    }
    ag_free(out->temporary);
    ag_free(out->path);
    ag_free(out);
    *pout = NULL;
}

const char *ag_cache_dir(void)
{
    static char dir[1024];
    const char *base = getenv("XDG_CACHE_HOME"), *home = getenv("HOME");
    if (base && *base) {
        snprintf(dir, sizeof(dir), "%s/autogaze-viewer", base);
    } else if (home && *home) {
        snprintf(dir, sizeof(dir), "%s/.cache/autogaze-viewer", home);
    } else {
        return NULL;
    }
    return dir;
}
