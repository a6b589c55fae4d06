// The table at the end of a headless run.
#include "autogaze/report.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>

// S7.1: fixed width, +inf by name.
static void db(char *out, size_t size, double v)
{
    if (isinf(v)) {
        snprintf(out, size, "inf");
    } else if (isnan(v)) {
        snprintf(out, size, "---.-");
    } else {
        snprintf(out, size, "%.2f dB", v);
    }
}

static void psnr_row(const char *name, const struct ag_average *a)
{
    char mean[32], min[32];
    if (!a->samples && !a->infinite) {
        return;
    }
    db(mean, sizeof(mean), a->samples ? a->mean : INFINITY);
    db(min, sizeof(min), a->samples ? a->min : INFINITY);
    printf("%-18s mean %s, lowest %s", name, mean, min);
    if (a->infinite) {
        printf(" (%" PRIu64 " frames identical, not in the mean)", a->infinite);
    }
    printf("\n");
}

static void stage_rows(const struct ag_timing_snapshot *t)
{
    printf("\n%-12s %21s   %21s %8s\n", "stage, ms", "GPU p50     p95", "CPU p50     p95", "frames");
    for (int i = 0; i < AG_STAGE_COUNT; i++) {
        const struct ag_series_stats *g = &t->stage[i][AG_CLOCK_GPU], *c = &t->stage[i][AG_CLOCK_CPU];
        if (!g->samples && !c->samples) {
            continue;
        }
        char gpu[32] = "-", cpu[32] = "-";
        if (g->samples) {
            snprintf(gpu, sizeof(gpu), "%10.3f %10.3f", g->p50, g->p95);
        }
        if (c->samples) {
            snprintf(cpu, sizeof(cpu), "%10.3f %10.3f", c->p50, c->p95);
        }
        printf("%-12s %21s   %21s %8u%s\n", ag_stage_name(i), gpu, cpu,
               g->samples ? g->window : c->window, i == t->dominant_stage ? "  <- dominant" : "");
    }
    static const char *const totals[] = { "latency", "interval", "GPU total" };
    for (int i = 0; i < AG_TOTAL_COUNT; i++) {
        if (t->total[i].samples) {
            printf("%-12s p50 %.3f  p95 %.3f  p99 %.3f  max %.3f  (n = %u)\n", totals[i],
                   t->total[i].p50, t->total[i].p95, t->total[i].p99, t->total[i].max,
                   t->total[i].window);
        }
    }
}

void ag_summary_print(const struct ag_run_info *run, const struct ag_stats_snapshot *s)
{
    printf("\n%-18s %s%s\n", "device", run->gpu.name,
           run->gpu.software ? "  [SOFTWARE: times are not hardware numbers]" : "");
    printf("%-18s %s, context %s, back end %s, %s, %s\n", "mask source", run->mask_source,
           run->context, run->backend, run->precision, run->latency);
    printf("%-18s %s\n", "source", run->source.description);
    printf("%-18s %" PRIu64 " measured at %ux%u (%" PRIu64 " keyframes, %" PRIu64
           " dropped)%s\n", "frames", s->frames, run->width, run->height, s->keyframes, run->dropped,
           run->complete ? "" : "  [interrupted]");
    if (s->fps > 0) {
        printf("%-18s %.2f\n", "frames a second", s->fps);
    }
    if (s->gaze_ratio.samples) {
        printf("%-18s mean %.2f %%, last %.2f %% of the pixels updated\n", "gaze ratio",
               100 * s->gaze_ratio.mean, 100 * s->gaze_ratio.last);
    }
    if (run->tiles > 1) {
        printf("%-18s %u (%u x %u), %u at once", "tiles", run->tiles, run->tile_cols,
               run->tile_rows, run->tile_batch);
        if (run->model_bytes) {
            printf("; the model and its contexts take %.0f MiB", (double)run->model_bytes / 1048576);
        }
        printf("\n");
    }
    psnr_row("PSNR (screen)", &s->psnr);
    psnr_row("PSNR (model)", &s->model_psnr);
    if (s->repaired.samples) {
        printf("%-18s mean %.1f cells a frame to %.1f dB, limit of %u reached in %" PRIu64
               " frames\n", "repair", s->repaired.mean, run->repair_db, run->repair_cells,
               s->repair_limited);
    }
    if (s->tokens.samples) {
        const struct ag_cost *c = &s->cost_run;
        printf("%-18s mean %.1f a frame, %.1f a second", "tokens", c->tokens, c->tokens * s->fps);
        if (s->rounds.samples) {
            printf(", %.1f rounds", s->rounds.mean);
        }
        if (s->chunk_starts) {
            printf(", %" PRIu64 " chunks begun", s->chunk_starts);
        }
        printf("\n%-18s %u cells, %u of the finest grid: %.1f x fewer tokens, %.1f GFLOP a frame "
               "saved in a ViT-B/16\n", "against dense", c->dense, c->finest, c->reduction,
               c->encoder_gflop_saved);
    }
    printf("%-18s", "paths");
    for (uint32_t i = 0; i < AG_PATH_COUNT; i++) {
        printf("%s %s %" PRIu64, i ? "," : "", ag_path_name(i), s->path_counts[i]);
    }
    printf("\n");
    stage_rows(&s->timing);
    if (s->unaccounted.samples) {
        printf("%-12s %.1f %% of the latency explained by stages and waits (%.1f %% or more in "
               "95 %% of the frames)\n", "accounted", 100 * (1 - s->unaccounted.mean),
               100 * (1 - s->unaccounted.p95));
    }
    printf("\nhash of the last output image %016" PRIx64 ", of all gaze ids %016" PRIx64 "\n",
           run->output_hash, s->gaze_hash);
}
