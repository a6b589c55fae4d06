// autogaze-bench: a table of subcommands. To add one: write cmd_NAME.c, name it in main.c.
#ifndef AUTOGAZE_BENCH_H
#define AUTOGAZE_BENCH_H

#include "autogaze/base.h"

struct ag_bench_command {
    const char *name, *usage, *help;
    // argv[0] is the subcommand's name. Prints its own results; a reason to stop goes into *err,
    // whose status becomes the exit code. Returns the exit code where nothing went wrong.
    int (*run)(int argc, char **argv, struct ag_error *err);
};
extern const struct ag_bench_command ag_bench_verify, ag_bench_kernels, ag_bench_model,
    ag_bench_cpu_model, ag_bench_preprocess, ag_bench_patch_diff, ag_bench_frame, ag_bench_compose,
    ag_bench_crossover, ag_bench_hud, ag_bench_tiled, ag_bench_decode, ag_bench_plan,
    ag_bench_present;

// Options of a subcommand: "--name VALUE" pairs and plain words.
struct ag_bench_option {
    const char *name;    // without the dashes
    const char **value;  // gets the argument
};
// Fills *word with the only plain word (may stay NULL). AG_ERR_USAGE with a suggestion.
bool ag_bench_options(int argc, char **argv, const struct ag_bench_option *options, size_t n,
                      const char **word, struct ag_error *err);

#endif
