// Where models are found, and what is said where they are not.
#include "model_util.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <time.h>

#include "autogaze/model.h"

static char root[256];

static int set_up(void **state)
{
    (void)state;
    temporary_dir(root, sizeof(root));
    unsetenv("AUTOGAZE_MODEL_DIR");
    setenv("HF_HUB_CACHE", root, 1);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    return rmdir(root);
}

static void test_shipped(void **state)
{
    (void)state;
    struct ag_error err = { 0 };
    char dir[1024];
    assert_true(ag_model_find("open-gaze", dir, sizeof(dir), &err));
    struct ag_model *m = ag_model_load(NULL, dir, &err);
    assert_non_null(m);
    assert_string_equal(m->name, "open-gaze");
    assert_int_equal(m->parameters, 3258240);
    assert_int_equal(m->n_tensors, 49);
    ag_model_destroy(&m);
    assert_true(ag_model_find(AG_FIXTURES "/tiny", dir, sizeof(dir), &err));
    assert_string_equal(dir, AG_FIXTURES "/tiny");
    assert_true(ag_model_find(".", dir, sizeof(dir), &err));
    assert_false(ag_model_find(AG_FIXTURES "/tiny", dir, 4, &err));
    assert_int_equal(err.status, AG_ERR_INPUT);
}

static void test_unknown(void **state)
{
    (void)state;
    struct ag_error err = { 0 };
    char dir[1024];
    assert_false(ag_model_find("open-gase", dir, sizeof(dir), &err));
    assert_int_equal(err.status, AG_ERR_INPUT);
    assert_non_null(strstr(err.text, "did you mean 'open-gaze'"));
    err = (struct ag_error){ 0 };
    assert_false(ag_model_find("", dir, sizeof(dir), &err));
    assert_false(ag_model_find("/nonexistent/x", dir, sizeof(dir), &err));
}

static void test_nvidia(void **state)
{
    (void)state;
    struct ag_error err = { 0 };
    char dir[1024], repository[600], snapshots[700], older[800], newer[800];
    assert_false(ag_model_find("nvidia", dir, sizeof(dir), &err));
    assert_non_null(strstr(err.text, "huggingface-cli download nvidia/AutoGaze"));
    assert_non_null(strstr(err.text, root));

    snprintf(repository, sizeof(repository), "%s/models--nvidia--AutoGaze", root);
    snprintf(snapshots, sizeof(snapshots), "%s/snapshots", repository);
    snprintf(older, sizeof(older), "%s/b", snapshots);
    snprintf(newer, sizeof(newer), "%s/a", snapshots);
    assert_int_equal(mkdir(repository, 0777) | mkdir(snapshots, 0777), 0);
    err = (struct ag_error){ 0 };
    assert_false(ag_model_find("nvidia", dir, sizeof(dir), &err)); // no snapshot in it
    assert_int_equal(mkdir(newer, 0777) | mkdir(older, 0777), 0);
    struct timespec times[2] = { { .tv_sec = 1000 }, { .tv_sec = 1000 } };
    assert_int_equal(utimensat(AT_FDCWD, older, times, 0), 0);
    assert_true(ag_model_find("nvidia", dir, sizeof(dir), &err));
    assert_string_equal(dir, newer);

    // A model in it is named after its repository, not after its hash.
    copy_file(AG_FIXTURES "/tiny", "config.json", newer);
    copy_file(AG_FIXTURES "/tiny", "preprocessor_config.json", newer);
    copy_file(AG_FIXTURES "/tiny", "model.safetensors", newer);
    struct ag_model *m = ag_model_load(NULL, newer, &err);
    assert_non_null(m);
    assert_string_equal(m->name, "AutoGaze");
    ag_model_destroy(&m);

    setenv("AUTOGAZE_MODEL_DIR", older, 1);
    assert_true(ag_model_find("nvidia", dir, sizeof(dir), &err));
    assert_string_equal(dir, older);
    setenv("AUTOGAZE_MODEL_DIR", "/nonexistent/x", 1);
    err = (struct ag_error){ 0 };
    assert_false(ag_model_find("nvidia", dir, sizeof(dir), &err));
    assert_non_null(strstr(err.text, "AUTOGAZE_MODEL_DIR is '/nonexistent/x'"));
    unsetenv("AUTOGAZE_MODEL_DIR");
    remove_dir(newer);
    rmdir(older);
    rmdir(snapshots);
    rmdir(repository);
}

static void test_list(void **state)
{
    (void)state;
    struct ag_model_listing list[8];
    int n = ag_model_list(list, 8);
    bool open_gaze = false, nvidia = false;
    for (int i = 0; i < n; i++) {
        if (strcmp(list[i].name, "open-gaze") == 0) {
            open_gaze = true;
            assert_true(list[i].found && list[i].usable);
            assert_non_null(strstr(list[i].note, "canvas"));
        } else if (strcmp(list[i].name, "nvidia") == 0) {
            nvidia = true;
            assert_false(list[i].found);
            assert_non_null(strstr(list[i].note, "huggingface-cli"));
        }
        assert_string_not_equal(list[i].name, "reference"); // scripts, no model
    }
    assert_true(open_gaze && nvidia);
    assert_int_equal(ag_model_list(list, 1), 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_shipped),
        cmocka_unit_test(test_unknown),
        cmocka_unit_test(test_nvidia),
        cmocka_unit_test(test_list),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
