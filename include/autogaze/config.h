// What the person asked for: every option of the command line in one struct, parsed from one table
// (src/config/options.c), from which --help is printed too. Turned into stage parameters by the
// pipeline and the program; no stage below sees it.
#ifndef AUTOGAZE_CONFIG_H
#define AUTOGAZE_CONFIG_H

#include "autogaze/base.h"
#include "autogaze/log.h"

enum ag_mask_kind {
    AG_MASK_AUTOGAZE, AG_MASK_PATCH_DIFF, AG_MASK_CANVAS_DIFF, AG_MASK_COUNT
};
enum ag_backend { AG_BACKEND_AUTO, AG_BACKEND_VULKAN, AG_BACKEND_CPU };
enum ag_compositor_choice { AG_COMPOSITOR_VULKAN, AG_COMPOSITOR_CPU };
enum ag_latency { AG_LATENCY_AUTO, AG_LATENCY_SYNC, AG_LATENCY_ASYNC };
enum ag_context_choice { AG_CHOOSE_CONTEXT_AUTO, AG_CHOOSE_CONTEXT_FRAMES, AG_CHOOSE_CONTEXT_CANVAS };
enum ag_policy_choice {
    AG_CHOOSE_POLICY_AUTO, AG_CHOOSE_POLICY_CHUNK, AG_CHOOSE_POLICY_SLIDE, AG_CHOOSE_POLICY_UNBOUNDED
};
enum ag_precision_choice {
    AG_CHOOSE_PRECISION_AUTO, AG_CHOOSE_PRECISION_F32, AG_CHOOSE_PRECISION_F16,
    AG_CHOOSE_PRECISION_TENSOR,
};
enum ag_present_mode { AG_PRESENT_FIFO, AG_PRESENT_MAILBOX, AG_PRESENT_IMMEDIATE };
// What the window shows: Input | Mask | Output, one of them, how input and output differ, all four,
// or input and output on both sides of a divider.
enum ag_view_layout {
    AG_VIEW_PANELS, AG_VIEW_INPUT, AG_VIEW_MASK, AG_VIEW_OUTPUT, AG_VIEW_DIFFERENCE, AG_VIEW_GRID,
    AG_VIEW_WIPE, AG_VIEW_LAYOUTS
};
enum ag_hud_page { AG_HUD_OFF, AG_HUD_COMPACT, AG_HUD_STAGES, AG_HUD_GAZE, AG_HUD_COUNT };
enum ag_compose_size { AG_COMPOSE_SOURCE, AG_COMPOSE_INFERENCE };
enum ag_tristate { AG_UNSET, AG_YES, AG_NO };

struct ag_size {
    uint32_t width, height;      // 0x0: unset
};

#define AG_MAX_FILES 256
struct ag_config {
    // input
    const char *files[AG_MAX_FILES];
    int n_files;
    const char *source;          // driver name, "auto"
    double source_fps;           // 30; 0 = unpaced
    struct ag_size synthetic_size;
    int lockstep, loop;          // enum ag_tristate
    double start_s, rate;
    const char *camera_device, *camera_format;
    struct ag_size camera_size;
    double camera_fps;
    const char *raw, *allow_protocols;
    // mask source
    int mask_source;             // enum ag_mask_kind
    const char *model;
    int context, policy;         // enum ag_context_choice, ag_policy_choice
    int mode;                    // enum ag_mode (tiles.h)
    int tile_batch;              // tiles a record at most, 0: as many as fit
    int frames_per_clip;         // 0: the model's
    int max_tokens;              // 0: the model's budget
    const char *task_loss;       // "model", "off" or a number
    double quality_db;           // NAN: unset
    int patch_diff_grid;
    double patch_diff_threshold;
    double repair_db;            // NAN: off
    int repair_cells;            // a frame at most
    int latency, backend, precision;
    // masks
    int geometry, style, output; // enums of plan.h
    int palette;
    double blend_alpha, cell_scale;
    int keyframe_interval;       // 0: never
    int dispatch;                // enum ag_dispatch
    int compositor;              // enum ag_compositor_choice
    const char *force_mask;      // NULL: none
    // picture
    int inference_width, inference_height; // 0: the source's, or after the other side
    int compose_size;            // enum ag_compose_size
    struct ag_size window_size;
    bool fullscreen;
    int present_mode;            // enum ag_present_mode
    int layout;                  // enum ag_view_layout
    int hud;                     // enum ag_hud_page
    bool psnr;
    int psnr_interval;           // every so many frames
    double ema_alpha, ui_scale;
    // device
    const char *gpu;
    bool require_hardware, validation;
    int cpu_threads;             // 0: one a core
    // capture
    bool headless, headless_hud; // headless_hud: draws the window all the same
    int frames, warmup_frames;   // frames 0: to the end
    const char *screenshot, *perf_summary, *trace, *record, *export_gaze;
    bool screenshot_hud, record_hud; // the window with its HUD rather than the layout's pictures
    // program
    const char *config_file, *profile; // as given
    bool no_config;
    char *file_text;             // private: what strings of a file point into
    bool list_gpus, list_models, list_sources, list_cameras, help, version;
    bool verbose, quiet;
    int test_job_delay_ms;       // no option: tests make the asynchronous model slow with it
};

// Fills defaults, then reads argv. Strings point into argv or static memory. AG_ERR_USAGE with a
// suggestion on unknown options, bad values and contradictions.
bool ag_config_parse_args(struct ag_config *config, int argc, char **argv, struct ag_error *err);
// The viewer's: options of --config FILE (or of the user's own file, unless --no-config), with those
// of --profile, then argv over them. ag_config_unload() frees what strings point into, whether or
// not this succeeded.
bool ag_config_load(struct ag_config *config, int argc, char **argv, struct ag_error *err);
void ag_config_unload(struct ag_config *config);
// Options of a file over what *config has: a line each, `name=value` or `name`, switches also yes
// and no; # begins a remark; lines behind [name] belong to a profile. AG_ERR_USAGE names file and
// line.
bool ag_config_read_file(struct ag_config *config, const char *path, const char *profile,
                         struct ag_error *err);
void ag_config_print_help(void); // to standard output
// All options as "name=value" pairs for the summary: index 0, 1, ... until false.
bool ag_config_describe(const struct ag_config *config, int index, const char **name, char *value,
                        size_t size);

#endif
