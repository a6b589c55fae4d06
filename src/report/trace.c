#include "autogaze/report.h"

#include <math.h>

#include "autogaze/planner.h"

struct ag_trace {
    struct ag_output *out;
};

struct ag_trace *ag_trace_open(const char *path, struct ag_error *err)
{
    struct ag_output *out = ag_output_open(path, err);
    if (!out) {
        return NULL;
    }
    struct ag_trace *t = ag_alloc(sizeof(*t));
    t->out = out;
    return t;
}

bool ag_trace_close(struct ag_trace **t, struct ag_error *err)
{
    if (!*t) {
        return true;
    }
    bool ok = ag_output_commit(&(*t)->out, err);
    ag_free(*t);
    *t = NULL;
    return ok;
}

// JSON has no infinity and no NaN: null, with a flag beside it where infinity has a meaning.
static void number(struct ag_output *o, const char *key, double v)
{
    if (isfinite(v)) {
        ag_output_printf(o, "\"%s\":%.6g,", key, v);
    } else {
        ag_output_printf(o, "\"%s\":null,", key);
    }
}

static void cells(struct ag_output *o, const struct ag_frame_report *r)
{
    ag_output_printf(o, "\"cells\":[");
    for (uint32_t i = 0; i < r->n_cells; i++) {
        uint32_t cell = r->cells[i], g = 0;
        while (g + 1 < r->layout.n_grids && cell >= r->layout.grid[g + 1].first) {
            g++;
        }
        struct ag_rect rect = ag_cell_rect(&r->layout, cell, r->width, r->height, 1);
        const struct ag_grid *grid = &r->layout.grid[g];
        ag_output_printf(o, "%s{\"id\":%u,\"grid\":%u,\"rect\":[%u,%u,%u,%u]", i ? "," : "", cell,
                         grid->cols, rect.x0, rect.y0, rect.x1, rect.y1);
        if (ag_layout_tiles(&r->layout) > 1) {
            uint32_t local = cell - grid->first;
            ag_output_printf(o, ",\"tile\":[%u,%u]",
                             local % grid->cols * r->layout.tile_cols / grid->cols,
                             local / grid->cols * r->layout.tile_rows / grid->rows);
        }
        ag_output_printf(o, "}");
    }
    ag_output_printf(o, "],");
}

static void repair(struct ag_output *o, const struct ag_frame_report *r)
{
    ag_output_printf(o, "\"chosen\":%u,\"repaired\":[", r->plan.chosen);
    for (uint32_t i = 0; i < r->plan.repaired; i++) {
        ag_output_printf(o, "%s%u", i ? "," : "", r->repaired[i]);
    }
    ag_output_printf(o, "],\"repair_limited\":%s,", r->repair_limited ? "true" : "false");
}

static void gaze(struct ag_output *o, const struct ag_gaze *g)
{
    ag_output_printf(o, "\"rounds\":%u,\"slots\":%u,\"tokens\":%u,\"chunk_start\":%s,\"ids\":[",
                     g->rounds, g->slots, g->valid, g->chunk_start ? "true" : "false");
    for (uint32_t i = 0; i < g->slots; i++) {
        ag_output_printf(o, "%s%u", i ? "," : "", g->ids[i]);
    }
    ag_output_printf(o, "],\"losses\":[");
    for (uint32_t i = 0; i < g->slots; i++) {
        ag_output_printf(o, isfinite(g->losses[i]) ? "%s%.6g" : "%snull", i ? "," : "",
                         (double)g->losses[i]);
    }
    ag_output_printf(o, "],");
}

// Which of the ids above are whose: they follow one another, tile by tile, row by row.
static void tiles(struct ag_output *o, const struct ag_frame_report *r)
{
    ag_output_printf(o, "\"tiles\":{\"cols\":%u,\"rows\":%u,\"slots\":[", r->layout.tile_cols,
                     r->layout.tile_rows);
    for (uint32_t i = 0; i < r->n_tiles; i++) {
        ag_output_printf(o, "%s%u", i ? "," : "", r->tiles[i].slots);
    }
    ag_output_printf(o, "],\"rounds\":[");
    for (uint32_t i = 0; i < r->n_tiles; i++) {
        ag_output_printf(o, "%s%u", i ? "," : "", r->tiles[i].rounds);
    }
    ag_output_printf(o, "]},");
}

static void times(struct ag_output *o, const char *key, const int64_t *ns)
{
    ag_output_printf(o, "\"%s\":{", key);
    bool comma = false;
    for (int i = 0; i < AG_STAGE_COUNT; i++) {
        if (ns[i] > 0) {
            ag_output_printf(o, "%s\"%s\":%.6f", comma ? "," : "", ag_stage_name(i), ns[i] * 1e-6);
            comma = true;
        }
    }
    ag_output_printf(o, "},");
}

void ag_trace_add(struct ag_trace *t, const struct ag_frame_report *r)
{
    if (!t) {
        return;
    }
    struct ag_output *o = t->out;
    ag_output_printf(o, "{\"frame\":%llu,\"sequence\":%llu,\"pts_ms\":%.3f,\"width\":%u,"
                        "\"height\":%u,\"keyframe\":%s,\"warmup\":%s,\"mask_source\":\"%s\","
                        "\"mask_frame\":%llu,\"mask_age_ms\":%.3f,",
                     (unsigned long long)r->frame_id, (unsigned long long)r->sequence,
                     r->pts_ns * 1e-6, r->width, r->height, r->keyframe ? "true" : "false",
                     r->warmup ? "true" : "false", r->mask_source,
                     (unsigned long long)r->mask_frame_id, r->mask_age_ns * 1e-6);
    if (r->has_gaze) {
        gaze(o, &r->gaze);
    }
    if (r->n_tiles > 1) {
        tiles(o, r);
    }
    ag_output_printf(o, "\"selected\":%u,\"kept\":%u,\"pixels\":%u,\"path\":\"%s\",",
                     r->plan.selected, r->plan.kept, r->plan.pixels, ag_path_name(r->plan.path));
    cells(o, r);
    if (r->repair) {
        repair(o, r);
    }
    number(o, "gaze_ratio", r->gaze_ratio);
    if (r->has_psnr) {
        number(o, "psnr_db", r->psnr_db);
        ag_output_printf(o, "\"psnr_infinite\":%s,", isinf(r->psnr_db) ? "true" : "false");
    }
    if (r->has_model_psnr) {
        number(o, "model_psnr_db", r->model_psnr_db);
        ag_output_printf(o, "\"model_psnr_infinite\":%s,",
                         isinf(r->model_psnr_db) ? "true" : "false");
    }
    times(o, "cpu_ms", r->cpu_ns);
    times(o, "gpu_ms", r->gpu_ns);
    ag_output_printf(o, "\"gpu_total_ms\":%.6f,\"latency_ms\":%.6f,\"interval_ms\":%.6f,"
                        "\"accounted_ms\":%.6f,\"in_flight\":%u,"
                        "\"bytes_uploaded\":%llu,\"bytes_read_back\":%llu}\n",
                     r->gpu_total_ns * 1e-6, r->latency_ns * 1e-6, r->interval_ns * 1e-6,
                     r->accounted_ns * 1e-6, r->in_flight,
                     (unsigned long long)r->bytes_uploaded, (unsigned long long)r->bytes_read_back);
}
