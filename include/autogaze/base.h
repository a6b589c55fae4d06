// Small things every module uses: status codes, one error type, sizes, memory, hashing.
// Thread-safety: all functions are reentrant.
#ifndef AUTOGAZE_BASE_H
#define AUTOGAZE_BASE_H

#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#define AG_COUNT(array) (sizeof(array) / sizeof((array)[0]))
#define AG_MIN(a, b) ((a) < (b) ? (a) : (b))
#define AG_MAX(a, b) ((a) > (b) ? (a) : (b))
#define AG_CLAMP(x, lo, hi) AG_MIN(AG_MAX(x, lo), hi)
#define AG_DIV_UP(a, b) (((a) + (b)-1) / (b))
#define AG_ALIGN_UP(x, a) (AG_DIV_UP(x, a) * (a))
#define AG_PRINTF(fmt, args) __attribute__((format(printf, fmt, args)))

// What went wrong, in the program's exit codes.
enum ag_status {
    AG_OK = 0,
    AG_ERR_USAGE = 1,       // command line
    AG_ERR_INPUT = 2,       // a source or a model cannot be used
    AG_ERR_DEVICE = 3,      // no usable device
    AG_ERR_OUTPUT = 4,      // a file cannot be written
    AG_ERR_DEVICE_LOST = 5, // the GPU was lost while running
};

// Filled by the function that knows the cause; whoever receives `false` or NULL passes it on
// unchanged, the program prints it once. Pass NULL where the reason does not matter.
struct ag_error {
    enum ag_status status;
    char kind[16];  // model files: IO JSON MISSING TYPE RANGE UNSUPPORTED INCONSISTENT DTYPE SHAPE
                    // NONFINITE; else empty
    char text[768]; // one sentence: what, where, expected, found, what to do
};

// Fills *err (may be NULL; the first cause wins: an error already set is kept). Returns false.
bool ag_fail(struct ag_error *err, enum ag_status status, const char *fmt, ...) AG_PRINTF(3, 4);
bool ag_fail_kind(struct ag_error *err, enum ag_status status, const char *kind, const char *fmt,
                  ...) AG_PRINTF(4, 5);

// Host memory. Running out of it ends the program with a message: untested unwinding is worse.
// Every allocation of ours goes through here and is counted (ag_alloc_count: calls so far), so that
// tests can assert that the frame path makes none. ag_alloc zeroes.
void *ag_alloc(size_t size);
void *ag_realloc(void *p, size_t size);
char *ag_strdup(const char *s);
char *ag_asprintf(const char *fmt, ...) AG_PRINTF(1, 2);
void ag_free(void *p);
uint64_t ag_alloc_count(void);
// Bytes that are ours now and were at most, as the allocator rounded them. What drivers and
// libraries take is not in them.
uint64_t ag_alloc_bytes(void);
uint64_t ag_alloc_peak(void);

// Overflow-checked product; false when it does not fit.
bool ag_mul_size(size_t a, size_t b, size_t *out);

// Monotonic clock in nanoseconds.
int64_t ag_now_ns(void);
void ag_sleep_ns(int64_t ns);
// The calling thread does background work from now on: on a busy machine others have their turn
// first (a lower priority; for good, since nobody but root may take it back).
void ag_yield_to_others(void);

// FNV-1a, 64 bit. Start from AG_HASH_SEED; chain calls to hash several pieces.
#define AG_HASH_SEED 0xcbf29ce484222325ull
uint64_t ag_hash(uint64_t hash, const void *data, size_t size);

// Whole file into memory (caller frees with ag_free; one zero byte is appended, not counted).
bool ag_read_file(const char *path, size_t max_size, void **data, size_t *size,
                  struct ag_error *err);

// A file that appears under its name only when complete: written as a temporary beside it, renamed
// by ag_output_commit. Missing parent folders are made. ag_output_abort (or a failed commit)
// leaves nothing behind. Text with ag_output_printf, bytes with ag_output_write; errors are sticky
// and reported by commit as AG_ERR_OUTPUT.
struct ag_output;
struct ag_output *ag_output_open(const char *path, struct ag_error *err);
void ag_output_write(struct ag_output *out, const void *data, size_t size);
void ag_output_printf(struct ag_output *out, const char *fmt, ...) AG_PRINTF(2, 3);
bool ag_output_commit(struct ag_output **out, struct ag_error *err);
void ag_output_abort(struct ag_output **out);
// $XDG_CACHE_HOME/autogaze-viewer or ~/.cache/autogaze-viewer; NULL: no home. Static memory.
const char *ag_cache_dir(void);

// `name` among `n` strings that it most resembles (edit distance at most 3 and under half its
// length), NULL if none: for "did you mean".
const char *ag_closest(const char *name, const char *const *names, size_t n);

#ifdef __cplusplus
}
#endif
#endif
