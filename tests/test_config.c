// The option table: defaults, values, and one clear sentence for everything that is wrong.
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "autogaze/config.h"

#define PARSE(config, err, ...)                                                                    \
    ag_config_parse_args(config, AG_COUNT(((char *[]){ "x", __VA_ARGS__ })),                       \
                         (char *[]){ "x", __VA_ARGS__ }, err)

static void defaults(void **state)
{
    (void)state;
    struct ag_config c;
    assert_true(ag_config_parse_args(&c, 1, (char *[]){ "x" }, NULL));
    assert_string_equal(c.source, "auto");
    assert_string_equal(c.model, "open-gaze");
    assert_int_equal(c.synthetic_size.width, 1280);
    assert_int_equal(c.mask_source, AG_MASK_AUTOGAZE);
    assert_true(isnan(c.quality_db));
    assert_true(c.psnr);
    assert_false(c.headless);
    assert_int_equal(c.lockstep, AG_UNSET);
    assert_true(c.blend_alpha == 0.38);
    assert_true(c.patch_diff_threshold == 0.15);
}

static void values(void **state)
{
    (void)state;
    struct ag_config c;
    assert_true(PARSE(&c, NULL, "--source=synthetic-pan", "--synthetic-size", "64x36", "--no-psnr",
                      "--frames", "12", "--quality-db", "36.5", "--no-lockstep", "--mask-geometry",
                      "native"));
    assert_string_equal(c.source, "synthetic-pan");
    assert_int_equal(c.synthetic_size.height, 36);
    assert_false(c.psnr);
    assert_int_equal(c.frames, 12);
    assert_true(c.quality_db == 36.5);
    assert_int_equal(c.lockstep, AG_NO);
    assert_int_equal(c.geometry, 1);
    assert_true(PARSE(&c, NULL, "--headless", "--", "--odd-name.mp4"));
    assert_int_equal(c.n_files, 1);
    assert_string_equal(c.files[0], "--odd-name.mp4");
}

struct wrong {
    const char *args[3];
    const char *says;
};

#define PATH "/tmp/autogaze-config-XXXXXX"

static void write_text(char path[sizeof(PATH)], const char *text)
{
    memcpy(path, PATH, sizeof(PATH));
    int fd = mkstemp(path);
    assert_true(fd >= 0 && write(fd, text, strlen(text)) == (ssize_t)strlen(text));
    close(fd);
}

static bool read_text(struct ag_config *c, const char *text, const char *profile,
                      struct ag_error *err)
{
    char path[sizeof(PATH)];
    write_text(path, text);
    bool ok = ag_config_read_file(c, path, profile, err);
    unlink(path);
    return ok;
}

static const char lines[] = "# what I like\n"
                            "--source = synthetic-pan\r\n"
                            "synthetic-size 64x36\n"
                            "\n"
                            "  no-psnr\n"
                            "lockstep=yes\n"
                            "screenshot = a file # of mine.png\n"
                            "[night]\n"
                            "blend-alpha = 0.9\n"
                            "psnr=yes\n"
                            "[day]\n"
                            "blend-alpha = 0.1";

static void file(void **state)
{
    (void)state;
    struct ag_config c;
    struct ag_error err = { 0 };
    assert_true(PARSE(&c, NULL, "--headless"));
    assert_true(read_text(&c, lines, NULL, &err));
    assert_true(c.headless);
    assert_string_equal(c.source, "synthetic-pan");
    assert_int_equal(c.synthetic_size.width, 64);
    assert_false(c.psnr);
    assert_int_equal(c.lockstep, AG_YES);
    assert_string_equal(c.screenshot, "a file # of mine.png");
    assert_true(c.blend_alpha == 0.38);
    assert_true(read_text(&c, lines, "night", &err));
    assert_true(c.blend_alpha == 0.9);
    assert_true(c.psnr);
    ag_config_unload(&c);
    assert_null(c.file_text);
}

static void file_mistakes(void **state)
{
    (void)state;
    static const struct { const char *text, *profile, *says; } wrong[] = {
        { "headless\nmask-sorce=patch-diff\n", NULL, "line 2: unknown option --mask-sorce; did you mean --mask-source?" },
        { "frames=many", NULL, "line 1: --frames: 'many' is not a whole number" },
        { "frames", NULL, "--frames needs a value" },
        { "headless=maybe", NULL, "takes" },
        { "verbose=1", NULL, "takes no value" },
        { "config=other", NULL, "--config has its place on the command line" },
        { "[night\n", NULL, "line 1: a profile begins with [its name]" },
        { "[]\n", NULL, "a profile begins with [its name]" },
        { lines, "dusk", "profile 'dusk' is not in" },
        { lines, "dusk", "there are: night, day" },
        { "", "dusk", "there are: none" },
    };
    for (size_t i = 0; i < AG_COUNT(wrong); i++) {
        struct ag_config c;
        struct ag_error err = { 0 };
        assert_true(PARSE(&c, NULL, "--headless"));
        assert_false(read_text(&c, wrong[i].text, wrong[i].profile, &err));
        assert_int_equal(err.status, AG_ERR_USAGE);
        if (!strstr(err.text, wrong[i].says)) {
            fail_msg("'%s' does not say '%s'", err.text, wrong[i].says);
        }
        ag_config_unload(&c);
    }
}

// The command line over the file, wherever --config stands.
static void file_first(void **state)
{
    (void)state;
    char path[sizeof(PATH)];
    write_text(path, lines);
    struct ag_config c;
    struct ag_error err = { 0 };
    char *args[] = { "x", "--psnr", "--config", path, "--profile=day", "--source", "synthetic-noise" };
    assert_true(ag_config_load(&c, AG_COUNT(args), args, &err));
    assert_true(c.psnr);
    assert_string_equal(c.source, "synthetic-noise");
    assert_true(c.blend_alpha == 0.1);
    ag_config_unload(&c);
    unlink(path);
    assert_false(ag_config_load(&c, AG_COUNT(args), args, &err));
    assert_non_null(strstr(err.text, path));
    ag_config_unload(&c);
    err = (struct ag_error){ 0 };
    char *both[] = { "x", "--no-config", "--profile", "day" };
    assert_false(ag_config_load(&c, AG_COUNT(both), both, &err));
    assert_non_null(strstr(err.text, "exclude each other"));
    ag_config_unload(&c);
}

static void mistakes(void **state)
{
    (void)state;
    static const struct wrong cases[] = {
        { { "--fames" }, "did you mean --frames" },
        { { "--frames" }, "needs a value" },
        { { "--frames", "many" }, "--frames: 'many' is not a whole number" },
        { { "--frames", "-3" }, "is not a whole number from 0" },
        { { "--frames", "2.5" }, "whole number" },
        { { "--blend-alpha", "1.5" }, "from 0 to 1" },
        { { "--blend-alpha", "nan" }, "from 0 to 1" },
        { { "--mask-source", "magic" }, "is not one of: autogaze patch-diff" },
        { { "--synthetic-size", "0x10" }, "is not a size" },
        { { "--synthetic-size", "1280" }, "is not a size" },
        { { "--headless=yes" }, "takes no value" },
        { { "--no-frames" }, "unknown option" },
        { { "-x" }, "unknown option -x" },
        { { "--task-loss", "high" }, "not a number, off or model" },
        { { "--source", "video" }, "needs a file" },
        { { "--model=" }, "needs NAME" },
        { { "--repair", "121" }, "not a number from 0 to 120 or off" },
        { { "--repair", "on" }, "or off" },
        { { "--repair-cells", "197" }, "from 0 to 196" },
        { { "--quality-db", "off" }, "not a number" }, // --task-loss off says that
    };
    for (size_t i = 0; i < AG_COUNT(cases); i++) {
        struct ag_config c;
        struct ag_error err = { 0 };
        char *argv[] = { "x", (char *)cases[i].args[0], (char *)cases[i].args[1] };
        int argc = cases[i].args[1] ? 3 : 2;
        assert_false(ag_config_parse_args(&c, argc, argv, &err));
        assert_int_equal(err.status, AG_ERR_USAGE);
        if (!strstr(err.text, cases[i].says)) {
            fail_msg("%s: '%s' does not say '%s'", cases[i].args[0], err.text, cases[i].says);
        }
    }
    struct ag_config c;
    struct ag_error err = { 0 };
    assert_false(PARSE(&c, &err, "--quality-db", "30", "--task-loss", "0.1"));
    assert_non_null(strstr(err.text, "same threshold"));
    err = (struct ag_error){ 0 };
    assert_false(PARSE(&c, &err, "--repair", "33", "--cell-scale", "0.9"));
    assert_non_null(strstr(err.text, "--cell-scale"));
    assert_true(PARSE(&c, &err, "--repair", "off", "--cell-scale", "0.9") && isnan(c.repair_db));
}

// Every option that takes a value comes back from describe as it was typed.
static void described(void **state)
{
    (void)state;
    struct ag_config c;
    assert_true(PARSE(&c, NULL, "--source", "synthetic-noise", "--mask-style", "overlay",
                      "--loop", "--no-psnr"));
    const char *name;
    char value[512];
    int seen = 0, off = 0;
    for (int i = 0; ag_config_describe(&c, i, &name, value, sizeof(value)); i++) {
        off += strcmp(name, "repair") == 0 && strcmp(value, "off") == 0;
        seen += strcmp(name, "source") == 0 && strcmp(value, "synthetic-noise") == 0;
        seen += strcmp(name, "mask-style") == 0 && strcmp(value, "overlay") == 0;
        seen += strcmp(name, "loop") == 0 && strcmp(value, "yes") == 0;
        seen += strcmp(name, "psnr") == 0 && strcmp(value, "no") == 0;
    }
    assert_int_equal(off, 1);
    assert_int_equal(seen, 4);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(defaults),
        cmocka_unit_test(values),
        cmocka_unit_test(mistakes),
        cmocka_unit_test(file),
        cmocka_unit_test(file_mistakes),
        cmocka_unit_test(file_first),
        cmocka_unit_test(described),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
