// autogaze-bench present: pictures drawn into a frame and copied to its target, as for a window,
// checked against a plain C twin, then timed.
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "autogaze/hud.h"
#include "autogaze/source.h"

#include "lane.h"

#define WIDTH 1280u
#define HEIGHT 720u
#define MAX_ROWS 8           // as footprint.glsl

static const struct shape {
    uint32_t width, height;
} sizes[] = { { 1280, 720 }, { 1920, 1080 }, { 3840, 2160 } };

static const struct view {
    const char *name;
    uint32_t n;
    struct ag_rect panel[AG_PANELS]; // of a window of WIDTH x HEIGHT with the compact page
    bool difference;         // the last one
    double zoom;
} views[] = {
    { "panels", 3, { { 8, 173, 416, 234 }, { 432, 173, 416, 234 }, { 856, 173, 416, 234 } }, false,
      1 },
    { "panels, zoom 4", 3,
      { { 8, 173, 416, 234 }, { 432, 173, 416, 234 }, { 856, 173, 416, 234 } }, false, 4 },
    { "grid", 4, { { 156, 26, 480, 270 }, { 644, 26, 480, 270 }, { 156, 322, 480, 270 },
                   { 644, 322, 480, 270 } }, true, 1 },
    { "one", 1, { { 184, 26, 912, 513 } }, false, 1 },
    { "difference", 1, { { 184, 26, 912, 513 } }, true, 1 },
};

struct present {
    struct ag_gpu *gpu;
    struct ag_presenter *presenter;
    struct ag_buffer *picture[3];
    uint8_t *host[3];
    const struct view *view;
    struct shape size;
};

static void fill_panels(const struct present *b, struct ag_picture_panel *panels)
{
    double w = b->size.width / b->view->zoom, h = b->size.height / b->view->zoom;
    for (uint32_t i = 0; i < b->view->n; i++) {
        bool difference = b->view->difference && i + 1 == b->view->n;
        panels[i] = (struct ag_picture_panel){
            .picture = b->picture[difference ? 0 : i % 3],
            .other = difference ? b->picture[2] : NULL,
            .width = b->size.width,
            .height = b->size.height,
            .where = b->view->panel[i],
            .use_alpha = i == 1,
            .background = ag_hud_panel_background(),
            .part = { b->size.width / 3.0, b->size.height / 3.0, w, h },
        };
        panels[i].part.width = b->view->zoom > 1 ? w : 0;
    }
}

static bool draw(struct present *b, struct ag_error *err)
{
    struct ag_picture_panel panels[AG_PANELS];
    struct ag_target target;
    fill_panels(b, panels);
    if (ag_presenter_begin(b->presenter, 1, ag_hud_background(), &target, err) !=
        AG_PRESENTER_READY) {
        return false;
    }
    ag_presenter_draw(b->presenter, panels, b->view->n);
    uint64_t value = ag_presenter_end(b->presenter, err);
    return value && ag_gpu_wait(b->gpu, value, err);
}

static bool measure(struct lanes *l, struct present *b, struct lane_result *r, struct ag_error *err)
{
    struct ag_series *series = ag_series_create(l->repeats);
    struct ag_gpu_times times;
    bool ok = true;
    for (uint32_t i = 0; i < 10 && ok; i++) {
        ok = draw(b, err);
    }
    while (ag_gpu_poll_times(l->gpu, &times)) {
    }
    double cpu = lanes_cpu_us();
    for (uint32_t i = 0; i < l->repeats && ok; i++) {
        ok = draw(b, err);
        while (ag_gpu_poll_times(l->gpu, &times)) {
            if (times.frame_id == 1 && !times.dropped) {
                ag_series_add(series, (double)times.stage_ns[AG_STAGE_PRESENT] * 1e-3);
            }
        }
    }
    r->cpu_us = (lanes_cpu_us() - cpu) / l->repeats;
    r->us = ag_series_stats(series);
    ag_series_destroy(&series);
    return ok;
}

// ---- the C twin: footprint.glsl, sums in double ------------------------------------------------

struct taps {
    uint32_t n;
    float first, step, head, tail;
};

static struct taps footprint(float begin, float scale, uint32_t limit, uint32_t most)
{
    struct taps t = { 1, fminf(begin + 0.5f * scale, (float)limit - 0.5f), 1, 1, 1 };
    if (scale <= 1) {
        return t;
    }
    float end = begin + scale, first = floorf(begin + 0.001f);
    float last = fminf(ceilf(end - 0.001f), (float)limit) - 1;
    t = (struct taps){ (uint32_t)(last - first) + 1, first + 0.5f, 1,
                       fminf(first + 1, end) - begin, end - fmaxf(last, begin) };
    if (t.n > most) { // so many evenly spread ones
        float step = scale / (float)most;
        t = (struct taps){ most, begin + 0.5f * step, step, 1, 1 };
    }
    return t;
}

static double weight(const struct taps *t, uint32_t i)
{
    return i == 0 ? t->head : i == t->n - 1 ? t->tail : 1;
}

static size_t position(const struct taps *t, uint32_t i)
{
    return (size_t)(t->first + (float)i * t->step);
}

static void heat(double t, double rgb[3])
{
    static const double stops[5][3] = { { 0, 0, 0 }, { 0.34, 0.06, 0.43 }, { 0.74, 0.22, 0.33 },
                                        { 0.98, 0.56, 0.04 }, { 1, 1, 1 } };
    double at = AG_CLAMP(t, 0, 1) * 4;
    int i = AG_MIN((int)at, 3);
    for (int c = 0; c < 3; c++) {
        rgb[c] = 255 * (stops[i][c] + (at - i) * (stops[i + 1][c] - stops[i][c]));
    }
}

// What a picture's pixel adds: its colour over the background, or the difference's height.
static void add_pixel(const struct ag_picture_panel *p, const uint8_t *pixel, const uint8_t *other,
                      double w, double sum[3])
{
    double alpha = p->use_alpha ? pixel[3] / 255.0 : 1, most = 0;
    for (int c = 0; c < 3; c++) {
        double behind = p->background >> (8 * c) & 255;
        sum[c] += other ? 0 : w * (alpha * pixel[c] + (1 - alpha) * behind);
        most = other ? AG_MAX(most, abs(pixel[c] - other[c])) : 0;
    }
    sum[0] += w * most;
}

static void expected(const struct present *b, const struct ag_picture_panel *p, int32_t x,
                     int32_t y, double rgb[3])
{
    struct ag_part all = { 0, 0, p->width, p->height };
    const struct ag_part *part = p->part.width > 0 ? &p->part : &all;
    float sx = (float)part->width / (float)p->where.width;
    float sy = (float)part->height / (float)p->where.height;
    struct taps tx = footprint((float)part->x + (float)x * sx, sx, p->width, UINT32_MAX);
    struct taps ty = footprint((float)part->y + (float)y * sy, sy, p->height, MAX_ROWS);
    const uint8_t *picture = NULL, *other = NULL;
    for (int i = 0; i < 3; i++) {
        picture = b->picture[i] == p->picture ? b->host[i] : picture;
        other = b->picture[i] == p->other ? b->host[i] : other;
    }
    double sum[3] = { 0 }, total = 0;
    for (uint32_t j = 0; j < ty.n; j++) {
        for (uint32_t i = 0; i < tx.n; i++) {
            size_t at = 4 * (position(&ty, j) * p->width + position(&tx, i));
            double w = weight(&tx, i) * weight(&ty, j);
            add_pixel(p, picture + at, other ? other + at : NULL, w, sum);
            total += w;
        }
    }
    for (int c = 0; c < 3; c++) {
        rgb[c] = sum[c] / total;
    }
    if (other) {
        heat(rgb[0] / 64, rgb);
    }
}

// Every pixel of the panels, to one level.
static const char *check(const struct present *b, const uint8_t *frame)
{
    struct ag_picture_panel panels[AG_PANELS];
    fill_panels(b, panels);
    for (uint32_t i = 0; i < b->view->n; i++) {
        const struct ag_rect *r = &panels[i].where;
        for (int32_t y = 0; y < r->height; y++) {
            for (int32_t x = 0; x < r->width; x++) {
                double rgb[3];
                size_t at = 4 * ((size_t)(r->y + y) * WIDTH + (size_t)(r->x + x));
                expected(b, &panels[i], x, y, rgb);
                for (int c = 0; c < 3; c++) {
                    if (!(fabs(rgb[c] - frame[at + (size_t)c]) <= 1)) {
                        return "differs from the C twin";
                    }
                }
            }
        }
    }
    return NULL;
}

static bool lane(struct lanes *l, struct present *b, struct ag_error *err)
{
    char name[64];
    snprintf(name, sizeof(name), "%s %ux%u", b->view->name, b->size.width, b->size.height);
    if (!lanes_wanted(l, name)) {
        return true;
    }
    struct lane_result r = { .name = name };
    uint8_t *frame = ag_alloc(4ull * WIDTH * HEIGHT);
    bool ok = draw(b, err) && ag_presenter_read(b->presenter, frame, err) && measure(l, b, &r, err);
    if (ok) {
        r.wrong = check(b, frame);
        r.hash = ag_hash(AG_HASH_SEED, frame, 4ull * WIDTH * HEIGHT);
        for (uint32_t i = 0; i < b->view->n; i++) {
            const struct ag_rect *where = &b->view->panel[i];
            double seen = 4.0 * b->size.width * b->size.height / (b->view->zoom * b->view->zoom);
            r.bytes += seen * (b->view->difference && i + 1 == b->view->n ? 2 : 1) +
                       4.0 * where->width * where->height;
        }
        r.bytes += 8.0 * WIDTH * HEIGHT;
        lanes_print(l, &r);
    }
    ag_free(frame);
    return ok;
}

static bool fill_pictures(struct present *b, struct ag_error *err)
{
    static const enum ag_pattern patterns[] = { AG_PATTERN_NOISE, AG_PATTERN_LOCAL_MOTION,
                                                AG_PATTERN_PAN };
    uint64_t bytes = 4ull * b->size.width * b->size.height;
    for (uint32_t i = 0; i < 3; i++) {
        b->host[i] = ag_alloc(bytes);
        ag_pattern_draw(patterns[i], 11, b->size.width, b->size.height, b->host[i]);
        for (uint64_t k = 3; i == 1 && k < bytes; k += 4) { // a mask: transparent here and there
            b->host[i][k] = k % (4 * 1000) < 2000 ? 0 : 255;
        }
        b->picture[i] = ag_buffer_create(b->gpu, AG_MEM_DEVICE, bytes, "bench/picture", err);
        if (!b->picture[i] || !ag_buffer_load(b->gpu, b->picture[i], 0, b->host[i], bytes, err)) {
            return false;
        }
    }
    return true;
}

static bool lanes_of_size(struct lanes *l, struct present *b, struct ag_error *err)
{
    bool ok = fill_pictures(b, err);
    for (size_t v = 0; v < AG_COUNT(views) && ok; v++) {
        b->view = &views[v];
        ok = lane(l, b, err);
    }
    for (uint32_t i = 0; i < 3; i++) {
        ag_buffer_destroy(b->gpu, &b->picture[i]);
        ag_free(b->host[i]);
    }
    return ok;
}

static int run(int argc, char **argv, struct ag_error *err)
{
    struct lanes l;
    struct present b = { 0 };
    bool ok = lanes_open(&l, "pictures into a window of 1280x720", argc, argv, NULL, 0, err);
    if (ok) {
        struct ag_presenter_params params = { .width = WIDTH, .height = HEIGHT };
        b.gpu = l.gpu;
        b.presenter = ag_presenter_create(NULL, l.gpu, &params, err);
        ok = b.presenter != NULL;
    }
    for (size_t s = 0; s < AG_COUNT(sizes) && ok; s++) {
        b.size = sizes[s];
        ok = lanes_of_size(&l, &b, err);
    }
    ag_presenter_destroy(&b.presenter);
    return lanes_close(&l, err);
}

const struct ag_bench_command ag_bench_present = {
    .name = "present",
    .usage = "[NAME] [--gpu NAME] [--repeats N] [--format text|csv|json] [--software allow]",
    .help = "pictures drawn into a window's frame, against a C twin, then timed",
    .run = run,
};
