#include <stdio.h>
#include <string.h>

#include "bench.h"

static const struct ag_bench_command *const commands[] = {
    &ag_bench_verify,     &ag_bench_kernels,    &ag_bench_model, &ag_bench_cpu_model,
    &ag_bench_preprocess, &ag_bench_patch_diff, &ag_bench_frame, &ag_bench_compose,
    &ag_bench_crossover,  &ag_bench_hud,        &ag_bench_tiled, &ag_bench_decode,
    &ag_bench_plan,       &ag_bench_present,
};

static void print_help(void)
{
    printf("Usage: autogaze-bench COMMAND ...\n\nChecks and measurements of autogaze-viewer's "
           "parts.\n\n");
    for (size_t i = 0; i < AG_COUNT(commands); i++) {
        printf("  %s %s\n      %s\n", commands[i]->name, commands[i]->usage, commands[i]->help);
    }
    printf("\nExit codes: 0 fine, 1 usage or a check that failed, 2 input or model, 3 no device,\n"
           "4 output cannot be written, 5 device lost.\n");
}

static const struct ag_bench_command *find(const char *name, struct ag_error *err)
{
    const char *names[AG_COUNT(commands)];
    for (size_t i = 0; i < AG_COUNT(commands); i++) {
        names[i] = commands[i]->name;
        if (strcmp(name, names[i]) == 0) {
            return commands[i];
        }
    }
    const char *close = ag_closest(name, names, AG_COUNT(names));
    ag_fail(err, AG_ERR_USAGE, "unknown command '%.60s'%s%s%s; see autogaze-bench --help", name,
            close ? ", did you mean '" : "", close ? close : "", close ? "'" : "");
    return NULL;
}

bool ag_bench_options(int argc, char **argv, const struct ag_bench_option *options, size_t n,
                      const char **word, struct ag_error *err)
{
    for (int i = 1; i < argc; i++) {
        const struct ag_bench_option *found = NULL;
        const char *names[16];
        for (size_t j = 0; j < n && j < AG_COUNT(names); j++) {
            names[j] = options[j].name;
            found = strncmp(argv[i], "--", 2) == 0 && strcmp(argv[i] + 2, names[j]) == 0
                        ? &options[j] : found;
        }
        if (found && i + 1 < argc) {
            *found->value = argv[++i];
        } else if (found) {
            return ag_fail(err, AG_ERR_USAGE, "option %s needs a value", argv[i]);
        } else if (argv[i][0] == '-' && argv[i][1]) {
            const char *close = ag_closest(argv[i] + strspn(argv[i], "-"), names, n);
            return ag_fail(err, AG_ERR_USAGE, "unknown option '%.60s' of '%s'%s%s", argv[i],
                           argv[0], close ? ", did you mean --" : "", close ? close : "");
        } else if (*word) {
            return ag_fail(err, AG_ERR_USAGE, "'%s' takes one argument, '%.60s' is too many",
                           argv[0], argv[i]);
        } else {
            *word = argv[i];
        }
    }
    return true;
}

int main(int argc, char **argv)
{
    struct ag_error err = { 0 };
    int code = AG_ERR_USAGE;
    if (argc < 2) {
        ag_fail(&err, AG_ERR_USAGE, "no command given; see autogaze-bench --help");
    } else if (strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-h") == 0) {
        print_help();
        return AG_OK;
    } else {
        const struct ag_bench_command *command = find(argv[1], &err);
        code = command ? command->run(argc - 1, argv + 1, &err) : code;
    }
    if (err.status != AG_OK) {
        fprintf(stderr, "autogaze-bench: %s\n", err.text);
        return err.status;
    }
    return code;
}
