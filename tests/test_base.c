// Errors, hashes, names, and files that appear only when complete.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <dirent.h>

#include <cmocka.h>

#include "autogaze/base.h"
#include "autogaze/log.h"

// ---- a folder for a test -----------------------------------------------------------------------

static int make_folder(void **state)
{
    char *dir = ag_strdup("/tmp/autogaze-base-XXXXXX");
    *state = mkdtemp(dir);
    return *state ? 0 : -1;
}

static int remove_folder(void **state)
{
    char *command = ag_asprintf("rm -r '%s'", (char *)*state);
    int result = system(command);
    ag_free(command);
    ag_free(*state);
    return result;
}

static int n_entries(const char *dir)
{
    int n = 0;
    DIR *d = opendir(dir);
    assert_non_null(d);
    while (readdir(d)) {
        n++;
    }
    closedir(d);
    return n - 2; // . and ..
}

static void expect_content(const char *path, const char *text)
{
    struct ag_error err = { 0 };
    void *data = NULL;
    size_t size = 0;
    if (!ag_read_file(path, 1000, &data, &size, &err)) {
        fail_msg("%s", err.text);
    }
    assert_int_equal(size, strlen(text));
    assert_string_equal(data, text); // the zero behind it is not counted
    ag_free(data);
}

static void output_appears_when_committed(void **state)
{
    struct ag_error err = { 0 };
    char *path = ag_asprintf("%s/a/b/file.txt", (char *)*state);
    struct ag_output *out = ag_output_open(path, &err);
    assert_non_null(out);
    ag_output_printf(out, "%d %s\n", 7, "words");
    ag_output_write(out, "more", 4);
    assert_int_not_equal(access(path, F_OK), 0);
    assert_true(ag_output_commit(&out, &err));
    assert_null(out);
    expect_content(path, "7 words\nmore");

    out = ag_output_open(path, &err); // replaced as a whole
    ag_output_write(out, "new", 3);
    expect_content(path, "7 words\nmore");
    assert_true(ag_output_commit(&out, &err));
    expect_content(path, "new");
    ag_free(path);
}

static void abort_leaves_nothing(void **state)
{
    struct ag_error err = { 0 };
    char *path = ag_asprintf("%s/file", (char *)*state);
    struct ag_output *out = ag_output_open(path, &err);
    assert_non_null(out);
    ag_output_write(out, "x", 1);
    ag_output_abort(&out);
    assert_null(out);
    ag_output_abort(&out);
    assert_int_equal(n_entries(*state), 0);
    ag_free(path);
}

static void a_folder_is_no_file(void **state)
{
    struct ag_error err = { 0 };
    assert_null(ag_output_open(*state, &err));
    assert_int_equal(err.status, AG_ERR_OUTPUT);
    assert_non_null(strstr(err.text, "is a directory"));
    void *data;
    size_t size;
    err = (struct ag_error){ 0 };
    assert_false(ag_read_file(*state, 100, &data, &size, &err));
    assert_string_equal(err.kind, "IO");
}

static void an_unwritable_place_is_reported(void **state)
{
    struct ag_error err = { 0 };
    char *file = ag_asprintf("%s/file", (char *)*state);
    struct ag_output *out = ag_output_open(file, &err);
    assert_true(ag_output_commit(&out, &err));
    char *below = ag_asprintf("%s/below", file); // a file is no folder
    assert_null(ag_output_open(below, &err));
    assert_int_equal(err.status, AG_ERR_OUTPUT);
    assert_non_null(strstr(err.text, below));
    assert_int_equal(n_entries(*state), 1);
    ag_free(below);
    ag_free(file);
}

static void a_full_disk_is_reported(void **state)
{
    (void)state;
    struct ag_error err = { 0 };
    struct ag_output *out = ag_output_open("/dev/full", &err);
    assert_non_null(out);
    for (int i = 0; i < 10000; i++) {
        ag_output_printf(out, "line %d\n", i);
    }
    assert_false(ag_output_commit(&out, &err));
    assert_null(out);
    assert_int_equal(err.status, AG_ERR_OUTPUT);
    assert_non_null(strstr(err.text, "No space left"));

    err = (struct ag_error){ 0 }; // little enough to show only when the file is closed
    out = ag_output_open("/dev/full", &err);
    ag_output_write(out, "x", 1);
    assert_false(ag_output_commit(&out, &err));
    assert_int_equal(err.status, AG_ERR_OUTPUT);
    assert_int_equal(access("/dev/full", F_OK), 0); // still there
}

static void reading_has_limits(void **state)
{
    struct ag_error err = { 0 };
    void *data;
    size_t size;
    char *path = ag_asprintf("%s/none", (char *)*state);
    assert_false(ag_read_file(path, 100, &data, &size, &err));
    assert_int_equal(err.status, AG_ERR_INPUT);
    assert_non_null(strstr(err.text, path));
    struct ag_output *out = ag_output_open(path, &err);
    ag_output_write(out, "0123456789", 10);
    assert_true(ag_output_commit(&out, NULL));
    err = (struct ag_error){ 0 };
    assert_false(ag_read_file(path, 9, &data, &size, &err));
    assert_non_null(strstr(err.text, "has 10 bytes, expected at most 9"));
    assert_true(ag_read_file(path, 10, &data, &size, &err));
    ag_free(data);
    ag_free(path);
}

// ---- small things ------------------------------------------------------------------------------

static void the_first_error_wins(void **state)
{
    (void)state;
    struct ag_error err = { 0 };
    assert_false(ag_fail_kind(&err, AG_ERR_INPUT, "SHAPE", "first %d", 1));
    assert_false(ag_fail(&err, AG_ERR_DEVICE, "second"));
    assert_int_equal(err.status, AG_ERR_INPUT);
    assert_string_equal(err.kind, "SHAPE");
    assert_string_equal(err.text, "first 1");
    assert_false(ag_fail(NULL, AG_ERR_DEVICE, "nobody listens"));
}

static void hashes_are_fnv1a(void **state)
{
    (void)state;
    assert_true(ag_hash(AG_HASH_SEED, "", 0) == 0xcbf29ce484222325ull);
    assert_true(ag_hash(AG_HASH_SEED, "a", 1) == 0xaf63dc4c8601ec8cull);
    assert_true(ag_hash(AG_HASH_SEED, "foobar", 6) == 0x85944171f73967e8ull);
    assert_true(ag_hash(ag_hash(AG_HASH_SEED, "foo", 3), "bar", 3) == 0x85944171f73967e8ull);
}

static void close_names_are_found(void **state)
{
    (void)state;
    const char *const names[] = { "--width", "--height", "--headless", "--model" };
    const size_t n = AG_COUNT(names);
    assert_string_equal(ag_closest("--heigth", names, n), "--height");
    assert_string_equal(ag_closest("--modle", names, n), "--model");
    assert_string_equal(ag_closest("--width", names, n), "--width");
    assert_null(ag_closest("--frobnicate", names, n));
    assert_null(ag_closest("", names, n));
    assert_null(ag_closest("x", names, n));
    char longer[200];
    memset(longer, '-', sizeof(longer));
    longer[sizeof(longer) - 1] = 0;
    assert_null(ag_closest(longer, names, n));
}

static void sizes_are_checked(void **state)
{
    (void)state;
    size_t size = 0;
    assert_true(ag_mul_size(1 << 20, 1 << 20, &size));
    assert_true(size == (size_t)1 << 40);
    assert_false(ag_mul_size((size_t)1 << 40, (size_t)1 << 40, &size));
    assert_int_equal(AG_ALIGN_UP(257, 256), 512);
    assert_int_equal(AG_DIV_UP(7, 7), 1);
}

static void memory_is_zero_and_counted(void **state)
{
    (void)state;
    uint64_t before = ag_alloc_count();
    uint8_t *p = ag_alloc(100);
    for (int i = 0; i < 100; i++) {
        assert_int_equal(p[i], 0);
    }
    p = ag_realloc(p, 1000);
    char *s = ag_asprintf("%s-%d", "n", 3);
    assert_string_equal(s, "n-3");
    assert_int_equal(ag_alloc_count(), before + 3);
    ag_free(s);
    ag_free(p);
}

static void keep_line(void *user, enum ag_log_level level, const char *line)
{
    (void)level;
    snprintf(user, 64, "%s", line);
}

static void logs_have_a_level(void **state)
{
    (void)state;
    char line[64] = "";
    struct ag_log log = { .level = AG_LOG_WARN, .sink = keep_line, .user = line };
    ag_info(&log, "too much detail");
    assert_string_equal(line, "");
    ag_warn(&log, "number %d", 4);
    assert_string_equal(line, "number 4");
    ag_warn(NULL, "nobody listens");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(output_appears_when_committed, make_folder, remove_folder),
        cmocka_unit_test_setup_teardown(abort_leaves_nothing, make_folder, remove_folder),
        cmocka_unit_test_setup_teardown(a_folder_is_no_file, make_folder, remove_folder),
        cmocka_unit_test_setup_teardown(an_unwritable_place_is_reported, make_folder,
                                        remove_folder),
        cmocka_unit_test(a_full_disk_is_reported),
        cmocka_unit_test_setup_teardown(reading_has_limits, make_folder, remove_folder),
        cmocka_unit_test(the_first_error_wins),
        cmocka_unit_test(hashes_are_fnv1a),
        cmocka_unit_test(close_names_are_found),
        cmocka_unit_test(sizes_are_checked),
        cmocka_unit_test(memory_is_zero_and_counted),
        cmocka_unit_test(logs_have_a_level),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
