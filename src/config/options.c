#include "apply.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum type { FLAG, SWITCH, TRISTATE, INTEGER, NUMBER, TEXT, SIZE, CHOICE };

struct option {
    const char *name;      // without the dashes; NULL: a heading (help is its text)
    enum type type;
    size_t offset;
    const char *value;     // how the value is called in --help
    const char *initial;   // default, as it would be typed
    double min, max;       // numbers
    const char *choices;   // CHOICE: names separated by spaces, in the order of the enum
    const char *help;
};

#define AT(field) offsetof(struct ag_config, field)
static const struct option options[] = {
    { .help = "Input: [FILE, URL or - ...]" },
    { "source", TEXT, AT(source), "NAME", "auto", .help = "where frames come from: auto, camera, video, image, synthetic-pan, synthetic-pulse, synthetic-local-motion, synthetic-noise, synthetic-checker-pan (auto: the file given, else a camera, else synthetic-local-motion)" },
    { "source-fps", NUMBER, AT(source_fps), "N", "30", 0, 1000, .help = "frames a second of synthetic sources and images, 0 = as fast as possible" },
    { "synthetic-size", SIZE, AT(synthetic_size), "WxH", "1280x720", .help = "size of synthetic frames" },
    { "lockstep", TRISTATE, AT(lockstep), .help = "every frame once, in order, never dropped (default in headless runs of anything but a camera)" },
    { "loop", TRISTATE, AT(loop), .help = "start again at the end (default in a window)" },
    { "start", NUMBER, AT(start_s), "SECONDS", "0", 0, 1e9, .help = "where to start in a video" },
    { "rate", NUMBER, AT(rate), "X", "1", 0.01, 100, .help = "playback rate" },
    { "camera-device", TEXT, AT(camera_device), "DEVICE", .help = "camera to open, e.g. /dev/video0 (default: the first that opens)" },
    { "camera-format", TEXT, AT(camera_format), "NAME", .help = "wished pixel format or codec, e.g. mjpeg" },
    { "camera-size", SIZE, AT(camera_size), "WxH", .help = "wished camera size; the nearest it has is taken (default 640x360)" },
    { "camera-fps", NUMBER, AT(camera_fps), "N", "30", 1, 1000, .help = "wished camera rate; the nearest it has is taken" },
    { "raw", TEXT, AT(raw), "WxH:FORMAT", .help = "form of raw frames on standard input, e.g. 1280x720:nv12" },
    { "allow-protocols", TEXT, AT(allow_protocols), "LIST", .help = "protocols a URL may use, e.g. file,http,tcp" },

    { .help = "Mask source" },
    { "mask-source", CHOICE, AT(mask_source), "NAME", "autogaze", .choices = "autogaze patch-diff canvas-diff", .help = "who chooses what is updated" },
    { "model", TEXT, AT(model), "NAME", "open-gaze", .help = "open-gaze, nvidia or a folder with config.json and model.safetensors" },
    { "temporal-context", CHOICE, AT(context), "NAME", "auto", .choices = "auto frames canvas", .help = "what the model remembers; auto: what its config says" },
    { "mode", CHOICE, AT(mode), "NAME", "realtime", .choices = "realtime tiled tiled-full", .help = "realtime: the whole frame is the model's picture; tiled: the frame resized to tiles of that size, each seen by itself; tiled-full: tiles of source pixels" },
    { "tile-batch", INTEGER, AT(tile_batch), "N", "0", 0, 65535, .help = "tiles the GPU works on at once, 0 = as many as fit; results do not depend on it" },
    { "frames-per-clip", INTEGER, AT(frames_per_clip), "N", "0", 0, 4096, .help = "horizon of context `frames`, 0 = the model's" },
    { "stream-policy", CHOICE, AT(policy), "NAME", "auto", .choices = "auto chunk slide unbounded", .help = "when context `frames` is full; auto: chunk for files, slide for live input" },
    { "max-tokens", INTEGER, AT(max_tokens), "N", "0", 0, 65535, .help = "gaze tokens a frame at most, 0 = the model's budget" },
    { "task-loss", TEXT, AT(task_loss), "X", "model", .help = "stop when the predicted loss is at most X; off: never; model: what its config says" },
    { "quality-db", NUMBER, AT(quality_db), "DB", "nan", 0, 120, .help = "the same as a PSNR target, for models whose loss is an RMSE; the target of canvas-diff" },
    { "patch-diff-grid", INTEGER, AT(patch_diff_grid), "N", "14", 1, 255, .help = "cells a side of patch-diff" },
    { "patch-diff-threshold", NUMBER, AT(patch_diff_threshold), "X", "0.15", 0, 100, .help = "mean change of a cell above which it is updated" },
    { "repair", NUMBER, AT(repair_db), "DB|off", "off", 0, 120, .help = "update what the mask source missed as well: cells whose PSNR would stay below DB" },
    { "repair-cells", INTEGER, AT(repair_cells), "N", "24", 0, 196, .help = "cells a frame that --repair adds at most, worst first" },
    { "latency", CHOICE, AT(latency), "MODE", "auto", .choices = "auto sync async", .help = "sync: a frame waits for its own mask; async: it takes the newest one (headless: sync)" },
    { "backend", CHOICE, AT(backend), "NAME", "auto", .choices = "auto vulkan cpu", .help = "where the model runs; auto: vulkan on hardware, cpu on software devices" },
    { "precision", CHOICE, AT(precision), "NAME", "auto", .choices = "auto f32 f16 tensor", .help = "of the model on the GPU: float32, half-precision weights and cache, the same and products by matrix units" },

    { .help = "Masks" },
    { "mask-geometry", CHOICE, AT(geometry), "NAME", "deduplicated", .choices = "deduplicated native effective", .help = "which cells are drawn and updated" },
    { "mask-style", CHOICE, AT(style), "NAME", "image-mask-only", .choices = "image-mask-only image-overlay overlay scale-rows", .help = "look of the mask panel" },
    { "palette", INTEGER, AT(palette), "N", "0", 0, 1, .help = "0: the usual colours, 1: safe for the colour-blind" },
    { "blend-alpha", NUMBER, AT(blend_alpha), "X", "0.38", 0, 1, .help = "opacity of cell colours" },
    { "cell-scale", NUMBER, AT(cell_scale), "X", "1", 0.01, 16, .help = "grows or shrinks every cell about its centre" },
    { "output", CHOICE, AT(output), "NAME", "interframe", .choices = "interframe full-blend", .help = "what the output panel shows" },
    { "keyframe-interval", INTEGER, AT(keyframe_interval), "N", "0", 0, 1000000, .help = "update everything every N frames, 0 = never" },
    { "dispatch", CHOICE, AT(dispatch), "NAME", "auto", .choices = "auto sparse dense", .help = "how frames are composed; all give the same pictures, auto decides on the GPU" },
    { "compositor", CHOICE, AT(compositor), "NAME", "vulkan", .choices = "vulkan cpu", .help = "cpu: planner and compositor in plain C, the slow reference with the same pictures" },
    { "force-mask", TEXT, AT(force_mask), "CASE", .help = "a fixed mask instead of the mask source: tiny-sparse, multiscale, coarse-dense, checkerboard-N, dense-grid-64, dense-grid-196, redundant-full-frame, empty, overlap, all-model-tokens, random-P%, full-frame" },

    { .help = "Picture" },
    { "inference-width", INTEGER, AT(inference_width), "N", "0", 0, 16384, .help = "make masks from pictures of this width, 0 = the source's; one side alone keeps the shape" },
    { "inference-height", INTEGER, AT(inference_height), "N", "0", 0, 16384, .help = "and of this height" },
    { "compose-size", CHOICE, AT(compose_size), "NAME", "source", .choices = "source inference", .help = "size of the three pictures: the source's, or that of inference" },
    { "window-size", SIZE, AT(window_size), "WxH", "1280x720", .help = "size of the window at start" },
    { "fullscreen", SWITCH, AT(fullscreen), .initial = "no", .help = "start in fullscreen" },
    { "present-mode", CHOICE, AT(present_mode), "NAME", "fifo", .choices = "fifo mailbox immediate", .help = "how frames reach the display" },
    { "layout", CHOICE, AT(layout), "NAME", "panels", .choices = "panels input mask output difference grid wipe", .help = "pictures side by side, one of them, where input and output differ, all four, or input and output on both sides of a divider" },
    { "hud", CHOICE, AT(hud), "PAGE", "compact", .choices = "off compact stages gaze", .help = "HUD page at start" },
    { "psnr", SWITCH, AT(psnr), .initial = "yes", .help = "measure the PSNR" },
    { "psnr-interval", INTEGER, AT(psnr_interval), "N", "1", 1, 1000000, .help = "of every Nth frame" },
    { "ema-alpha", NUMBER, AT(ema_alpha), "X", "0.15", 0, 1, .help = "weight of the newest sample in moving averages" },
    { "ui-scale", NUMBER, AT(ui_scale), "X", "0", 0, 8, .help = "size of HUD text, 0 = the display's scale" },

    { .help = "Device" },
    { "gpu", TEXT, AT(gpu), "INDEX|NAME", .help = "which GPU (see --list-gpus)" },
    { "require-hardware", SWITCH, AT(require_hardware), .initial = "no", .help = "fail rather than run on a software device" },
    { "cpu-threads", INTEGER, AT(cpu_threads), "N", "0", 0, 1024, .help = "threads of the CPU back end, 0 = one a core" },
    { "validation", SWITCH, AT(validation), .initial = "no", .help = "turn on the Vulkan validation layers (slow)" },

    { .help = "Capture" },
    { "headless", SWITCH, AT(headless), .initial = "no", .help = "run without a window and print the numbers at the end" },
    { "frames", INTEGER, AT(frames), "N", "0", 0, 1000000000, .help = "stop after N measured frames, 0 = at the end of the input" },
    { "warmup-frames", INTEGER, AT(warmup_frames), "N", "0", 0, 1000000, .help = "frames before measuring starts" },
    { "screenshot", TEXT, AT(screenshot), "FILE.png", .help = "the last frame, in the chosen layout" },
    { "headless-hud", SWITCH, AT(headless_hud), .initial = "no", .help = "headless: draw a window of --window-size with its HUD for every frame, though nobody sees it" },
    { "screenshot-hud", SWITCH, AT(screenshot_hud), .initial = "no", .help = "screenshots show the window with its HUD instead (headless: one of --window-size)" },
    { "record", TEXT, AT(record), "FILE.mp4|.mkv", .help = "video of the chosen layout" },
    { "record-hud", SWITCH, AT(record_hud), .initial = "no", .help = "recordings show the window with its HUD instead (headless: one of --window-size)" },
    { "perf-summary", TEXT, AT(perf_summary), "FILE.json", .help = "all numbers of the run (docs/perf-summary.md)" },
    { "trace", TEXT, AT(trace), "FILE.jsonl", .help = "one row a frame: ids, cells, losses, rounds, timings" },
    { "export-gaze", TEXT, AT(export_gaze), "FILE.safetensors|.npz", .help = "what the model chose, in the form its authors' vision encoders read" },

    { .help = "Program" },
    { "config", TEXT, AT(config_file), "FILE", .help = "options from this file, a line each (name=value), those of the command line over them; without it, from $XDG_CONFIG_HOME/autogaze-viewer/config or ~/.config/autogaze-viewer/config, if there" },
    { "no-config", FLAG, AT(no_config), .help = "from no file" },
    { "profile", TEXT, AT(profile), "NAME", .help = "with the lines behind [NAME] in that file" },
    { "list-gpus", FLAG, AT(list_gpus), .help = "list devices and what they can do" },
    { "list-models", FLAG, AT(list_models), .help = "list the models that were found" },
    { "list-cameras", FLAG, AT(list_cameras), .help = "list cameras with their formats, sizes and rates" },
    { "list-sources", FLAG, AT(list_sources), .help = "list the kinds of sources" },
    { "verbose", FLAG, AT(verbose), .help = "say more" },
    { "quiet", FLAG, AT(quiet), .help = "say only errors and results" },
    { "help", FLAG, AT(help), .help = "this text" },
    { "version", FLAG, AT(version), .help = "version and revision" },
};
#undef AT

static void *field(const struct ag_config *c, const struct option *o)
{
    return (char *)c + o->offset;
}

// Index of `text` among the space-separated `choices`; -1: not there.
static int choice_index(const char *choices, const char *text)
{
    size_t n = strlen(text);
    int index = 0;
    for (const char *p = choices; *p; index++) {
        size_t word = strcspn(p, " ");
        if (word == n && strncmp(p, text, n) == 0) {
            return index;
        }
        p += word + (p[word] == ' ');
    }
    return -1;
}

static void choice_name(const char *choices, int index, char *out, size_t size)
{
    const char *p = choices;
    while (index-- > 0) {
        p += strcspn(p, " ") + 1;
    }
    snprintf(out, size, "%.*s", (int)strcspn(p, " "), p);
}

static bool parse_size(const char *text, struct ag_size *out)
{
    char end;
    unsigned w, h;
    if (text[0] < '0' || text[0] > '9' || sscanf(text, "%ux%u%c", &w, &h, &end) != 2 || w == 0 ||
        h == 0 || w > 16384 || h > 16384) {
        return false;
    }
    *out = (struct ag_size){ w, h };
    return true;
}

// A number whose default is "off": NAN in the struct.
static bool can_be_off(const struct option *o)
{
    return o->type == NUMBER && o->initial && strcmp(o->initial, "off") == 0;
}

static bool set_number(const struct option *o, double *out, const char *text, struct ag_error *err)
{
    char *end;
    errno = 0;
    double v = strtod(text, &end);
    bool integer = o->type != INTEGER || v == floor(v);
    if (end == text || *end || errno || !isfinite(v) || !integer || v < o->min || v > o->max) {
        return ag_fail(err, AG_ERR_USAGE, "--%s: '%s' is not %s from %g to %g%s", o->name, text,
                       o->type == INTEGER ? "a whole number" : "a number", o->min, o->max,
                       can_be_off(o) ? " or off" : "");
    }
    *out = v;
    return true;
}

static bool set_value(struct ag_config *c, const struct option *o, const char *text,
                      struct ag_error *err)
{
    double v;
    switch (o->type) {
    case INTEGER:
        if (!set_number(o, &v, text, err)) {
            return false;
        }
        *(int *)field(c, o) = (int)v;
        return true;
    case NUMBER:
        if (can_be_off(o) && strcmp(text, "off") == 0) {
            *(double *)field(c, o) = NAN;
            return true;
        }
        return set_number(o, field(c, o), text, err);
    case TEXT:
        if (!*text) {
            return ag_fail(err, AG_ERR_USAGE, "--%s needs %s, found nothing", o->name, o->value);
        }
        *(const char **)field(c, o) = text;
        return true;
    case SIZE:
        return parse_size(text, field(c, o)) ||
               ag_fail(err, AG_ERR_USAGE,
                       "--%s: '%s' is not a size such as 1280x720 (sides 1 to 16384)", o->name, text);
    case CHOICE: {
        int index = choice_index(o->choices, text);
        if (index < 0) {
            return ag_fail(err, AG_ERR_USAGE, "--%s: '%s' is not one of: %s", o->name, text,
                           o->choices);
        }
        *(int *)field(c, o) = index;
        return true;
    }
    case FLAG:
    case SWITCH:
    case TRISTATE:
        break;
    }
    return ag_fail(err, AG_ERR_USAGE, "--%s takes no value, found '%s'", o->name, text);
}

static void set_switch(struct ag_config *c, const struct option *o, bool on)
{
    if (o->type == TRISTATE) {
        *(int *)field(c, o) = on ? AG_YES : AG_NO;
    } else {
        *(bool *)field(c, o) = on;
    }
}

static bool unknown(const char *name, struct ag_error *err)
{
    const char *names[AG_COUNT(options)];
    size_t n = 0;
    for (size_t i = 0; i < AG_COUNT(options); i++) {
        if (options[i].name) {
            names[n++] = options[i].name;
        }
    }
    const char *near = ag_closest(name, names, n);
    if (near) {
        return ag_fail(err, AG_ERR_USAGE, "unknown option --%s; did you mean --%s?", name, near);
    }
    return ag_fail(err, AG_ERR_USAGE, "unknown option --%s; --help lists the options", name);
}

static const struct option *find(const char *name, size_t n)
{
    for (size_t i = 0; i < AG_COUNT(options); i++) {
        if (options[i].name && strlen(options[i].name) == n &&
            strncmp(options[i].name, name, n) == 0) {
            return &options[i];
        }
    }
    return NULL;
}

// One option at argv[*i] (after the dashes: `text`); moves *i past a separate value.
static bool parse_option(struct ag_config *c, int argc, char **argv, int *i, const char *text,
                         struct ag_error *err)
{
    size_t n = strcspn(text, "=");
    const char *value = text[n] ? text + n + 1 : NULL;
    const struct option *o = find(text, n);
    if (!o && strncmp(text, "no-", 3) == 0) {
        o = find(text + 3, n - 3);
        if (o && (o->type == SWITCH || o->type == TRISTATE) && !value) {
            set_switch(c, o, false);
            return true;
        }
        o = NULL;
    }
    if (!o) {
        char name[64];
        snprintf(name, sizeof(name), "%.*s", (int)AG_MIN(n, sizeof(name) - 1), text);
        return unknown(name, err);
    }
    if (o->type == FLAG || o->type == SWITCH || o->type == TRISTATE) {
        if (value) {
            return ag_fail(err, AG_ERR_USAGE, "--%s takes no value, found '%s'%s%s%s", o->name,
                           value, o->type == FLAG ? "" : "; use --no-", o->type == FLAG ? "" : o->name,
                           o->type == FLAG ? "" : " to turn it off");
        }
        set_switch(c, o, true);
        return true;
    }
    if (!value) {
        if (*i + 1 >= argc) {
            return ag_fail(err, AG_ERR_USAGE, "--%s needs a value: --%s %s", o->name, o->name,
                           o->value);
        }
        value = argv[++*i];
    }
    return set_value(c, o, value, err);
}

void ag_config_set_defaults(struct ag_config *c)
{
    memset(c, 0, sizeof(*c));
    for (size_t i = 0; i < AG_COUNT(options); i++) {
        const struct option *o = &options[i];
        if (!o->name || !o->initial) {
            continue;
        }
        if (o->type == SWITCH) {
            set_switch(c, o, strcmp(o->initial, "yes") == 0);
        } else if (strcmp(o->initial, "nan") == 0) {
            *(double *)field(c, o) = NAN;
        } else {
            set_value(c, o, o->initial, NULL);
        }
    }
}

bool ag_config_apply(struct ag_config *c, const char *name, char *value, struct ag_error *err)
{
    const struct option *o = find(name, strlen(name));
    bool is_switch = o && (o->type == SWITCH || o->type == TRISTATE);
    if (is_switch && value && (strcmp(value, "yes") == 0 || strcmp(value, "no") == 0)) {
        set_switch(c, o, value[0] == 'y');
        return true;
    }
    int i = 0;
    if (!parse_option(c, value ? 2 : 1, (char *[]){ NULL, value }, &i, name, err)) {
        return false;
    }
    return !value || i == 1 ||
           ag_fail(err, AG_ERR_USAGE, "--%s takes %s, found '%s'", name,
                   is_switch ? "yes or no" : "no value", value);
}

static bool check(const struct ag_config *c, struct ag_error *err)
{
    if (!isnan(c->quality_db) && strcmp(c->task_loss, "model") != 0) {
        return ag_fail(err, AG_ERR_USAGE,
                       "--quality-db and --task-loss set the same threshold; give one of them");
    }
    if (strcmp(c->task_loss, "model") != 0 && strcmp(c->task_loss, "off") != 0) {
        char *end;
        double v = strtod(c->task_loss, &end);
        if (end == c->task_loss || *end || !isfinite(v)) {
            return ag_fail(err, AG_ERR_USAGE, "--task-loss: '%s' is not a number, off or model",
                           c->task_loss);
        }
    }
    if (!isnan(c->repair_db) && c->cell_scale < 1) {
        return ag_fail(err, AG_ERR_USAGE,
                       "--repair needs cells that fill their places: --cell-scale of at least 1, "
                       "found %g", c->cell_scale);
    }
    if (c->n_files && strcmp(c->source, "auto") != 0 && strcmp(c->source, "video") != 0 &&
        strcmp(c->source, "image") != 0) {
        return ag_fail(err, AG_ERR_USAGE, "--source %s takes no file, found '%s'", c->source,
                       c->files[0]);
    }
    if (!c->n_files && (strcmp(c->source, "video") == 0 || strcmp(c->source, "image") == 0)) {
        return ag_fail(err, AG_ERR_USAGE, "--source %s needs a file: autogaze-viewer FILE",
                       c->source);
    }
    if (c->verbose && c->quiet) {
        return ag_fail(err, AG_ERR_USAGE, "--verbose and --quiet exclude each other");
    }
    return true;
}

bool ag_config_parse_args(struct ag_config *c, int argc, char **argv, struct ag_error *err)
{
    ag_config_set_defaults(c);
    return ag_config_apply_args(c, argc, argv, err);
}

bool ag_config_apply_args(struct ag_config *c, int argc, char **argv, struct ag_error *err)
{
    bool only_files = false;
    for (int i = 1; i < argc; i++) {
        const char *a = argv[i];
        if (!only_files && strcmp(a, "--") == 0) {
            only_files = true;
        } else if (!only_files && strncmp(a, "--", 2) == 0) {
            if (!parse_option(c, argc, argv, &i, a + 2, err)) {
                return false;
            }
        } else if (!only_files && strcmp(a, "-h") == 0) {
            c->help = true;
        } else if (!only_files && a[0] == '-' && a[1]) {
            return ag_fail(err, AG_ERR_USAGE, "unknown option %s; --help lists the options", a);
        } else if (c->n_files == AG_MAX_FILES) {
            return ag_fail(err, AG_ERR_USAGE, "more than %d files", AG_MAX_FILES);
        } else {
            c->files[c->n_files++] = a;
        }
    }
    return check(c, err);
}

// `text` wrapped to 100 columns behind an indent of 30.
static void print_wrapped(const char *text)
{
    const int indent = 30, width = 100;
    int column = indent;
    while (*text) {
        int n = (int)strcspn(text, " ");
        if (column > indent && column + 1 + n > width) {
            printf("\n%*s", indent, "");
            column = indent;
        } else if (column > indent) {
            putchar(' ');
            column++;
        }
        printf("%.*s", n, text);
        column += n;
        text += n;
        text += strspn(text, " ");
    }
}

void ag_config_print_help(void)
{
    printf("autogaze-viewer: where the AutoGaze model looks in a video, live, and what the video\n"
           "costs when only the looked-at cells are updated.\n\n"
           "usage: autogaze-viewer [options] [FILE or URL ...]\n");
    for (size_t i = 0; i < AG_COUNT(options); i++) {
        const struct option *o = &options[i];
        if (!o->name) {
            printf("\n%s\n", o->help);
            continue;
        }
        char left[64];
        bool onoff = o->type == SWITCH || o->type == TRISTATE;
        snprintf(left, sizeof(left), "  --%s%s%s%s", onoff ? "[no-]" : "", o->name,
                 o->value ? " " : "", o->value ? o->value : "");
        printf("%-30s", left);
        if (strlen(left) >= 30) {
            printf("\n%30s", "");
        }
        char text[640], extra[192] = "";
        if (o->type == CHOICE) {
            snprintf(extra, sizeof(extra), ": %s (%s)", o->choices, o->initial);
        } else if (o->initial && !onoff && strcmp(o->initial, "nan") != 0) {
            snprintf(extra, sizeof(extra), " (%s)", o->initial);
        } else if (o->type == SWITCH) {
            snprintf(extra, sizeof(extra), " (%s)", strcmp(o->initial, "yes") == 0 ? "on" : "off");
        }
        snprintf(text, sizeof(text), "%s%s", o->help, extra);
        print_wrapped(text);
        putchar('\n');
    }
    printf("\nExit codes: 0 fine, 1 usage, 2 input or model, 3 no usable device, 4 output cannot be\n"
           "written, 5 device lost.\n");
}

bool ag_config_describe(const struct ag_config *c, int index, const char **name, char *value,
                        size_t size)
{
    for (size_t i = 0; i < AG_COUNT(options); i++) {
        const struct option *o = &options[i];
        if (!o->name || o->type == FLAG || index-- > 0) {
            continue;
        }
        *name = o->name;
        const void *p = field(c, o);
        switch (o->type) {
        case INTEGER:
            snprintf(value, size, "%d", *(const int *)p);
            break;
        case NUMBER:
            if (can_be_off(o) && isnan(*(const double *)p)) {
                snprintf(value, size, "off");
            } else {
                snprintf(value, size, "%.9g", *(const double *)p);
            }
            break;
        case TEXT:
            snprintf(value, size, "%s", *(const char *const *)p ? *(const char *const *)p : "");
            break;
        case SIZE: {
            const struct ag_size *s = p;
            snprintf(value, size, "%ux%u", s->width, s->height);
            break;
        }
        case CHOICE:
            choice_name(o->choices, *(const int *)p, value, size);
            break;
        case SWITCH:
            snprintf(value, size, "%s", *(const bool *)p ? "yes" : "no");
            break;
        case TRISTATE:
            snprintf(value, size, "%s",
                     ((const char *const[]){ "auto", "yes", "no" })[*(const int *)p]);
            break;
        case FLAG:
            break;
        }
        return true;
    }
    return false;
}
