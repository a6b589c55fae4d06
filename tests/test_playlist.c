// What the names on the command line stand for.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "../src/app/playlist.h"

static char root[512];
static const char *const files[] = { "clips/c2.mp4", "clips/c10.mkv", "clips/c1.mp4",
                                     "clips/cover.png", "clips/notes.txt", "shots/1.png",
                                     "shots/2.jpg", "empty/notes.txt" };

static const char *at(const char *name)
{
    static char path[4][600];
    static int turn;
    char *p = path[turn++ % 4];
    snprintf(p, sizeof(path[0]), "%s/%s", root, name);
    return p;
}

static int make_tree(void **state)
{
    (void)state;
    snprintf(root, sizeof(root), "%s/test_playlist.%ld", AG_BINARY_DIR, (long)getpid());
    mkdir(root, 0700);
    mkdir(at("clips"), 0700);
    mkdir(at("shots"), 0700);
    mkdir(at("empty"), 0700);
    for (size_t i = 0; i < AG_COUNT(files); i++) {
        FILE *f = fopen(at(files[i]), "wb");
        if (!f) {
            return -1;
        }
        fclose(f);
    }
    return 0;
}

static int remove_tree(void **state)
{
    (void)state;
    for (size_t i = 0; i < AG_COUNT(files); i++) {
        unlink(at(files[i]));
    }
    return rmdir(at("clips")) | rmdir(at("shots")) | rmdir(at("empty")) | rmdir(root);
}

static void expect(const struct playlist *list, int i, const char *item)
{
    if (i >= list->n || strcmp(list->items[i], item) != 0) {
        fail_msg("item %d of %d is %s, expected %s", i, list->n,
                 i < list->n ? list->items[i] : "missing", item);
    }
}

static void test_names(void **state)
{
    (void)state;
    struct playlist list = { 0 };
    const char *names[] = { "lavfi:testsrc2=size=[x]", "missing.mp4", "http://host/a?b=*", "-" };
    assert_true(playlist_add(&list, names, AG_COUNT(names), NULL));
    for (int i = 0; i < 4; i++) { // as they are: opening them says more
        expect(&list, i, names[i]);
    }
    playlist_clear(&list);
    assert_int_equal(list.n, 0);
    assert_null(playlist_move(&list, 1));
}

static void test_folders(void **state)
{
    (void)state;
    struct playlist list = { 0 };
    const char *names[] = { at("clips"), at("shots/") };
    assert_true(playlist_add(&list, names, 2, NULL));
    assert_int_equal(list.n, 4);
    expect(&list, 0, at("clips/c1.mp4"));
    expect(&list, 1, at("clips/c2.mp4"));
    expect(&list, 2, at("clips/c10.mkv"));
    expect(&list, 3, at("shots/")); // its pictures are one item
    assert_ptr_equal(playlist_move(&list, 1), list.items[1]);
    assert_ptr_equal(playlist_move(&list, 0), list.items[1]);
    assert_ptr_equal(playlist_move(&list, -1), list.items[0]);
    assert_ptr_equal(playlist_move(&list, -1), list.items[3]);
    assert_ptr_equal(playlist_move(&list, 1), list.items[0]);
    // Nothing to play: the list stays as it was.
    struct ag_error err = { 0 };
    const char *more[] = { at("clips"), at("empty") };
    assert_false(playlist_add(&list, more, 2, &err));
    assert_non_null(strstr(err.text, "empty"));
    assert_int_equal(err.status, AG_ERR_INPUT);
    assert_int_equal(list.n, 4);
    playlist_clear(&list);
}

static void test_patterns(void **state)
{
    (void)state;
    struct playlist list = { 0 };
    const char *names[] = { at("clips/*.mp4"), at("shots/[12].*") };
    assert_true(playlist_add(&list, names, 2, NULL));
    assert_int_equal(list.n, 4);
    expect(&list, 0, at("clips/c1.mp4"));
    expect(&list, 3, at("shots/2.jpg"));
    playlist_clear(&list);
    struct ag_error err = { 0 };
    const char *none = at("clips/*.webm");
    assert_false(playlist_add(&list, &none, 1, &err));
    assert_non_null(strstr(err.text, "no file fits"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_names),
        cmocka_unit_test(test_folders),
        cmocka_unit_test(test_patterns),
    };
    return cmocka_run_group_tests(tests, make_tree, remove_tree);
}
