// autogaze-viewer: from the command line to a run.
#include "session.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static volatile sig_atomic_t interrupted;

static void on_signal(int number)
{
    (void)number;
    interrupted = 1;
}

bool app_interrupted(void)
{
    return interrupted;
}

static void handle_signals(void)
{
    struct sigaction action = { .sa_handler = on_signal, .sa_flags = SA_RESETHAND };
    sigaction(SIGINT, &action, NULL); // a second one ends the program at once
    sigaction(SIGTERM, &action, NULL);
    signal(SIGPIPE, SIG_IGN); // a closed standard output is an error like others
}

static int run(const struct ag_config *config, int64_t start_ns, struct ag_error *err)
{
    struct ag_log log = { .level = config->verbose ? AG_LOG_VERBOSE
                                   : config->quiet ? AG_LOG_ERROR
                                                   : AG_LOG_INFO };
    if (config->help) {
        ag_config_print_help();
        return AG_OK;
    }
    if (config->version) {
        printf("autogaze-viewer %s (%s)\n", ag_version(), ag_revision());
        return AG_OK;
    }
    if (config->list_gpus || config->list_models || config->list_sources ||
        config->list_cameras) {
        return app_list(&log, config, err) ? AG_OK : (int)err->status;
    }
    handle_signals();
#ifdef AG_APP_WINDOW
    if (!config->headless) {
        return app_run_window(&log, config, start_ns, err);
    }
#else
    if (!config->headless) {
        ag_fail(err, AG_ERR_USAGE, "this build has no window: add --headless");
        return AG_ERR_USAGE;
    }
#endif
    return app_run_headless(&log, config, start_ns, err);
}

int main(int argc, char **argv)
{
    int64_t start_ns = ag_now_ns();
    struct ag_error err = { 0 };
    struct ag_config *config = ag_alloc(sizeof(*config));
    int code = ag_config_load(config, argc, argv, &err) ? run(config, start_ns, &err)
                                                        : (int)err.status;
    ag_config_unload(config);
    ag_free(config);
    if (fflush(stdout) != 0 && code == AG_OK) {
        code = AG_ERR_OUTPUT;
        fprintf(stderr, "autogaze-viewer: cannot write to standard output\n");
    }
    if (code != AG_OK && err.status) {
        fprintf(stderr, "autogaze-viewer: %s\n", err.text);
    }
    return code;
}
