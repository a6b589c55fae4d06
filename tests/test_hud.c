// The HUD: where things are, that they are readable and do not jump, what the mouse does, and that
// a frame allocates nothing.
#include "gpu_util.h"
#include "hud_util.h"

#include "internal.h" // of src/hud: formats and items
#include "../src/present/internal.h" // forms of the kernels

#define WIDTH 1280
#define HEIGHT 720

#define RED 0xff0000ffu
#define GREEN 0xff00ff00u
#define CYAN 0xffffff00u

static const uint32_t colors[AG_CONTENTS] = { RED, GREEN, CYAN, CYAN, RED };

struct fixture {
    struct ag_gpu *gpu;
    struct ag_presenter *presenter;
    struct ag_hud *hud;
    struct ag_buffer *pictures[AG_CONTENTS]; // of one colour each; 64x36
    enum ag_view_layout layout;
    struct test_hud_data t;
    struct ag_view view;
    struct ag_hud_actions actions;
    struct ag_hud_input input;
};

static int setup(void **state)
{
    struct fixture *f = ag_alloc(sizeof(*f));
    struct ag_error err = { 0 };
    f->gpu = test_gpu_open();
    f->presenter = ag_presenter_create(
        NULL, f->gpu, &(struct ag_presenter_params){ .width = WIDTH, .height = HEIGHT }, &err);
    TEST_OK(f->presenter, err);
    struct ag_hud_params params = {
        .page = AG_HUD_COMPACT, .keys = test_hud_keys, .n_keys = AG_COUNT(test_hud_keys)
    };
    f->hud = ag_hud_create(NULL, f->gpu, &params, &err);
    TEST_OK(f->hud, err);
    for (int i = 0; i < AG_CONTENTS; i++) {
        uint32_t pixels[64 * 36];
        for (uint32_t k = 0; k < AG_COUNT(pixels); k++) {
            pixels[k] = colors[i];
        }
        f->pictures[i] = test_gpu_buffer(f->gpu, pixels, sizeof(pixels), "picture");
    }
    test_hud_fill(&f->t);
    f->input = (struct ag_hud_input){ .now_ns = 1000000000, .mouse_x = -1, .mouse_y = -1 };
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;
    ag_hud_destroy(&f->hud);
    ag_presenter_destroy(&f->presenter);
    for (int i = 0; i < AG_CONTENTS; i++) {
        ag_buffer_destroy(f->gpu, &f->pictures[i]);
    }
    test_gpu_close(&f->gpu);
    ag_free(f);
    return 0;
}

static void show(struct fixture *f)
{
    struct ag_error err = { 0 };
    struct ag_target target;
    assert_int_equal(ag_presenter_begin(f->presenter, 1, ag_hud_background(), &target, &err),
                     AG_PRESENTER_READY);
    ag_hud_layout(f->hud, target.width, target.height, &(struct ag_shape){ 64, 36, 1, 1 },
                  f->layout, &f->view);
    struct ag_backdrop backdrop;
    TEST_OK(ag_hud_backdrop(f->hud, &target, &f->view, &f->input, &f->actions, &backdrop, &err),
            err);
    ag_presenter_backdrop(f->presenter, &backdrop);
    struct ag_picture_panel panels[AG_PANELS];
    for (uint32_t i = 0; i < f->view.n_panels; i++) {
        enum ag_content content = f->view.content[i];
        content = content == AG_CONTENT_DIFFERENCE ? AG_CONTENT_OUTPUT : content;
        panels[i] = (struct ag_picture_panel){
            .picture = f->pictures[content], .width = 64, .height = 36,
            .where = f->view.panel[i],
        };
    }
    ag_presenter_draw(f->presenter, panels, f->view.n_panels);
    if (ag_hud_has_overlay(f->hud)) {
        ag_presenter_overlay(f->presenter);
        ag_hud_draw(f->hud, &target);
    }
    TEST_OK(ag_presenter_end(f->presenter, &err), err);
}

static uint32_t *picture(struct fixture *f)
{
    struct ag_error err = { 0 };
    show(f);
    uint32_t *pixels = ag_alloc((size_t)f->view.width * f->view.height * 4);
    TEST_OK(ag_presenter_read(f->presenter, (uint8_t *)pixels, &err), err);
    return pixels;
}

static bool inside(const struct ag_rect *r, int32_t x, int32_t y)
{
    return x >= r->x && x < r->x + r->width && y >= r->y && y < r->y + r->height;
}

static bool overlap(const struct ag_rect *a, const struct ag_rect *b)
{
    return a->width > 0 && b->width > 0 && a->height > 0 && b->height > 0 &&
           a->x < b->x + b->width && b->x < a->x + a->width && a->y < b->y + b->height &&
           b->y < a->y + a->height;
}

// Pixels in a rectangle that have this colour (alpha aside).
static uint32_t count(const struct fixture *f, const uint32_t *pixels, const struct ag_rect *r,
                      uint32_t color)
{
    uint32_t n = 0;
    for (int32_t y = r->y; y < r->y + r->height; y++) {
        for (int32_t x = r->x; x < r->x + r->width; x++) {
            n += ((pixels[(uint32_t)y * f->view.width + (uint32_t)x] ^ color) & 0xffffff) == 0;
        }
    }
    return n;
}

// Pixels that letters of this colour cover by more than half, on a plain ground.
static uint32_t letters(const struct fixture *f, const uint32_t *pixels, const struct ag_rect *r,
                        uint32_t color, uint32_t ground)
{
    uint32_t n = 0;
    for (int32_t y = r->y; y < r->y + r->height; y++) {
        for (int32_t x = r->x; x < r->x + r->width; x++) {
            uint32_t p = pixels[(uint32_t)y * f->view.width + (uint32_t)x];
            double least = 2, most = -1; // coverage by channel
            for (int c = 0; c < 24; c += 8) {
                double from = ground >> c & 255, to = color >> c & 255;
                double a = ((p >> c & 255) - from) / (to - from);
                least = fmin(least, a);
                most = fmax(most, a);
            }
            n += least > 0.5 && most < 1.05 && most - least < 0.06;
        }
    }
    return n;
}

static uint32_t area(const struct ag_rect *r)
{
    return (uint32_t)(r->width * r->height);
}

// ---- places ----------------------------------------------------------------------------------

static void check_view(const struct ag_view *v, const struct ag_shape *s)
{
    const struct ag_rect all = { 0, 0, (int32_t)v->width, (int32_t)v->height };
    const struct ag_rect *rects[2 * AG_PANELS + 2];
    uint32_t n = 0;
    for (uint32_t i = 0; i < v->n_panels; i++) {
        rects[n++] = &v->panel[i];
        rects[n++] = &v->label[i];
    }
    rects[n++] = &v->hud;
    rects[n++] = &v->status;
    for (uint32_t i = 0; i < n; i++) {
        if (rects[i]->width > 0 && rects[i]->height > 0) {
            assert_true(inside(&all, rects[i]->x, rects[i]->y));
            assert_true(inside(&all, rects[i]->x + rects[i]->width - 1,
                               rects[i]->y + rects[i]->height - 1));
        }
        for (uint32_t k = i + 1; k < n; k++) {
            assert_false(overlap(rects[i], rects[k]));
        }
    }
    double aspect = (double)s->width * s->sar_num / s->sar_den / s->height;
    for (uint32_t i = 0; i < v->n_panels; i++) {
        const struct ag_rect *p = &v->panel[i];
        assert_int_equal(p->width, v->panel[0].width);
        assert_int_equal(p->height, v->panel[0].height);
        // A pixel more or less on either side.
        assert_true(p->width + 1 >= (p->height - 1) * aspect);
        assert_true(p->width - 1 <= (p->height + 1) * aspect);
        assert_true(i == 0 || p->x > v->panel[i - 1].x || p->y > v->panel[i - 1].y);
    }
}

static void panels_keep_their_places(void **state)
{
    struct fixture *f = *state;
    static const uint32_t windows[][2] = {
        { 1280, 720 }, { 640, 400 }, { 2560, 1440 }, { 720, 1280 }, { 1920, 600 }, { 300, 180 },
        { 333, 777 },  { 3840, 2160 },
    };
    static const struct ag_shape shapes[] = {
        { 1280, 720, 1, 1 }, { 640, 480, 1, 1 }, { 720, 1280, 1, 1 }, { 720, 576, 64, 45 },
        { 64, 36, 1, 1 },    { 3840, 1080, 1, 1 },
    };
    for (uint32_t w = 0; w < AG_COUNT(windows); w++) {
        for (uint32_t s = 0; s < AG_COUNT(shapes); s++) {
            for (int i = 0; i < AG_HUD_COUNT * AG_VIEW_LAYOUTS; i++) {
                int page = i % AG_HUD_COUNT;
                enum ag_view_layout layout = i / AG_HUD_COUNT;
                struct ag_view v, again;
                ag_hud_set_page(f->hud, page);
                ag_hud_layout(f->hud, windows[w][0], windows[w][1], &shapes[s], layout, &v);
                check_view(&v, &shapes[s]);
                assert_true(v.panel[0].width > 0 && v.label[0].height > 0);
                assert_true(page != AG_HUD_OFF || v.hud.width == 0);
                // No number in the data moves anything.
                ag_hud_update(f->hud, &f->t.data);
                ag_hud_layout(f->hud, windows[w][0], windows[w][1], &shapes[s], layout, &again);
                assert_memory_equal(&v, &again, sizeof(v));
            }
        }
    }
}

// Any size works, down to a pixel.
static void tiny_windows_are_legal(void **state)
{
    struct fixture *f = *state;
    static const uint32_t sizes[][2] = { { 1, 1 }, { 2, 500 }, { 700, 3 }, { 60, 40 },
                                        { 120, 90 } };
    ag_hud_update(f->hud, &f->t.data);
    ag_hud_show_help(f->hud, true);
    ag_hud_notice(f->hud, "a notice that is much longer than such a window is wide", false, 1);
    for (uint32_t i = 0; i < AG_COUNT(sizes); i++) {
        for (int page = 0; page < AG_HUD_COUNT; page++) {
            ag_hud_set_page(f->hud, page);
            ag_presenter_resize(f->presenter, sizes[i][0], sizes[i][1]);
            show(f);
        }
    }
}

// ---- pixels ----------------------------------------------------------------------------------

// Panels show their pictures and nothing else, everything outside of the rectangles is background.
static void check_regions(struct fixture *f)
{
    uint32_t *pixels = picture(f);
    const struct ag_view *v = &f->view;
    for (uint32_t i = 0; i < v->n_panels; i++) {
        assert_int_equal(count(f, pixels, &v->panel[i], colors[v->content[i]]),
                         area(&v->panel[i]));
        assert_true(letters(f, pixels, &v->label[i], AG_COLOR_TEXT, AG_COLOR_BACK) > 30);
    }
    for (uint32_t y = 0; y < v->height; y++) {
        for (uint32_t x = 0; x < v->width; x++) {
            int32_t px = (int32_t)x, py = (int32_t)y;
            bool used = inside(&v->hud, px, py) || inside(&v->status, px, py);
            for (uint32_t i = 0; i < v->n_panels; i++) {
                used = used || inside(&v->panel[i], px, py) || inside(&v->label[i], px, py);
            }
            if (!used && ((pixels[y * v->width + x] ^ ag_hud_background()) & 0xffffff)) {
                fail_msg("pixel %u, %u is drawn on", x, y);
            }
        }
    }
    if (v->hud.width > 0) { // cards with letters on them
        uint32_t total = area(&v->hud);
        assert_true(count(f, pixels, &v->hud, AG_COLOR_CARD) > total / 3);
        assert_true(letters(f, pixels, &v->hud, AG_COLOR_LABEL, AG_COLOR_CARD) > 50);
    }
    assert_true(letters(f, pixels, &v->status, AG_COLOR_LABEL, AG_COLOR_BACK) > 30);
    ag_free(pixels);
}

static void every_page_stays_in_its_place(void **state)
{
    struct fixture *f = *state;
    static const uint32_t sizes[][2] = { { 1280, 720 }, { 640, 400 }, { 2560, 1440 } };
    for (uint32_t i = 0; i < AG_COUNT(sizes); i++) {
        ag_presenter_resize(f->presenter, sizes[i][0], sizes[i][1]);
        for (int k = 0; k < AG_HUD_COUNT * AG_VIEW_LAYOUTS; k++) {
            int page = k % AG_HUD_COUNT;
            f->layout = k / AG_HUD_COUNT;
            if (page != AG_HUD_STAGES && f->layout != AG_VIEW_PANELS &&
                f->layout != AG_VIEW_GRID) {
                continue; // the rest differs from these in the picture only
            }
            ag_hud_set_page(f->hud, page);
            ag_hud_update(f->hud, &f->t.data);
            check_regions(f);
            assert_int_equal(f->view.hud.width > 0, page != AG_HUD_OFF);
            ag_hud_update(f->hud, &(struct ag_hud_data){ .render_fps = NAN, .mask_fps = NAN });
            check_regions(f);
        }
    }
}

// A software device is named in the warning colour; hardware is not.
static void software_is_marked(void **state)
{
    struct fixture *f = *state;
    for (int software = 0; software < 2; software++) {
        f->t.run.gpu.software = software;
        f->t.run.dropped = 0;
        ag_hud_update(f->hud, &f->t.data);
        uint32_t *pixels = picture(f);
        uint32_t marked = letters(f, pixels, &f->view.hud, AG_COLOR_WARN, AG_COLOR_CARD);
        assert_int_equal(marked > 100, software);
        ag_free(pixels);
    }
}

// The dominant stage stands out on the stages page.
static void dominant_stage_is_marked(void **state)
{
    struct fixture *f = *state;
    ag_hud_set_page(f->hud, AG_HUD_STAGES);
    f->t.run.gpu.software = false;
    f->t.run.dropped = 0;
    for (int marked = 0; marked < 2; marked++) {
        f->t.stats.timing.dominant_stage = marked ? AG_STAGE_COMPOSE : -1;
        ag_hud_update(f->hud, &f->t.data);
        uint32_t *pixels = picture(f);
        uint32_t ink = letters(f, pixels, &f->view.hud, AG_COLOR_WARN, AG_COLOR_CARD);
        assert_int_equal(ink > 50, marked);
        ag_free(pixels);
    }
}

// Repaired cells stand behind the tokens, a warning when the limit was reached; a chunk that began
// since the last update is named in gold. On the compact and the gaze page.
static void repair_and_chunks_are_marked(void **state)
{
    struct fixture *f = *state;
    static const enum ag_hud_page pages[] = { AG_HUD_COMPACT, AG_HUD_GAZE };
    f->t.run.gpu.software = false;
    f->t.run.dropped = 0;
    for (uint32_t i = 0; i < AG_COUNT(pages); i++) {
        ag_hud_set_page(f->hud, pages[i]);
        uint32_t warn[3], gold[2];
        for (int k = 0; k < 3; k++) {
            f->t.report.repair = k > 0;
            f->t.report.repair_limited = k > 1;
            f->t.report.plan.repaired = 24;
            f->t.stats.chunk_starts += k == 1;
            ag_hud_update(f->hud, &f->t.data);
            uint32_t *pixels = picture(f);
            warn[k] = letters(f, pixels, &f->view.hud, AG_COLOR_WARN, AG_COLOR_CARD);
            if (k < 2) {
                gold[k] = letters(f, pixels, &f->view.hud, AG_COLOR_GOLD, AG_COLOR_CARD);
            }
            ag_free(pixels);
        }
        assert_int_equal(warn[0], warn[1]); // within the limit it is no warning
        assert_true(warn[2] > warn[1] + 20);
        assert_true(gold[1] > gold[0] + 20);
    }
}

// Every key has its row, in gold, inside of the box in the middle.
static void help_is_readable(void **state)
{
    struct fixture *f = *state;
    static const uint32_t sizes[][2] = { { 1280, 720 }, { 640, 400 } };
    ag_hud_set_page(f->hud, AG_HUD_OFF);
    ag_hud_show_help(f->hud, true);
    for (uint32_t i = 0; i < AG_COUNT(sizes); i++) {
        ag_presenter_resize(f->presenter, sizes[i][0], sizes[i][1]);
        uint32_t *pixels = picture(f);
        uint32_t rows = 0;
        bool before = false;
        for (int32_t y = 0; y < (int32_t)sizes[i][1]; y++) {
            struct ag_rect line = { 0, y, (int32_t)sizes[i][0], 1 };
            int32_t width = (int32_t)sizes[i][0];
            struct ag_rect middle = { width / 5, y, width * 3 / 5, 1 };
            uint32_t gold = letters(f, pixels, &line, AG_COLOR_GOLD, AG_COLOR_CARD);
            assert_int_equal(gold, letters(f, pixels, &middle, AG_COLOR_GOLD, AG_COLOR_CARD));
            rows += gold && !before;
            before = gold;
        }
        // `?` has a gap above its dot.
        assert_in_range(rows, AG_COUNT(test_hud_keys), AG_COUNT(test_hud_keys) + 1);
        ag_free(pixels);
    }
    ag_hud_show_help(f->hud, false);
    uint32_t *pixels = picture(f);
    struct ag_rect all = { 0, 0, (int32_t)f->view.width, (int32_t)f->view.height };
    assert_int_equal(letters(f, pixels, &all, AG_COLOR_GOLD, AG_COLOR_CARD), 0);
    ag_free(pixels);
}

// Many keys with long texts: two columns, nothing beyond the window's edges.
static void help_fits(void **state)
{
    struct fixture *f = *state;
    struct ag_error err = { 0 };
    static struct ag_hud_key keys[32];
    for (uint32_t i = 0; i < AG_COUNT(keys); i++) {
        keys[i] = (struct ag_hud_key){ "Left Right",
                                       i % 3 ? "short" : "a text as nobody should write it into a "
                                                         "help, much too long for a small window" };
    }
    struct ag_hud *own = f->hud;
    f->hud = ag_hud_create(NULL, f->gpu,
                           &(struct ag_hud_params){ .keys = keys, .n_keys = AG_COUNT(keys) }, &err);
    TEST_OK(f->hud, err);
    ag_hud_show_help(f->hud, true);
    ag_presenter_resize(f->presenter, 640, 400);
    uint32_t *pixels = picture(f);
    struct ag_rect left = { 0, 0, 6, 400 }, right = { 634, 0, 6, 400 };
    struct ag_rect halves[2] = { { 0, 0, 320, 400 }, { 320, 0, 320, 400 } };
    assert_int_equal(letters(f, pixels, &left, AG_COLOR_GOLD, AG_COLOR_CARD), 0);
    assert_int_equal(letters(f, pixels, &right, AG_COLOR_TEXT, AG_COLOR_CARD), 0);
    for (int i = 0; i < 2; i++) {
        assert_true(letters(f, pixels, &halves[i], AG_COLOR_GOLD, AG_COLOR_CARD) > 1000);
        assert_true(letters(f, pixels, &halves[i], AG_COLOR_TEXT, AG_COLOR_CARD) > 1000);
    }
    ag_free(pixels);
    ag_hud_destroy(&f->hud);
    f->hud = own;
}

static void notices_fade_and_errors_stay(void **state)
{
    struct fixture *f = *state;
    const int64_t second = 1000000000;
    ag_hud_set_page(f->hud, AG_HUD_OFF);
    uint32_t *quiet = picture(f);
    assert_false(ag_hud_has_overlay(f->hud));
    struct ag_rect foot = f->view.status;
    uint32_t nothing = letters(f, quiet, &foot, AG_COLOR_TEXT, AG_COLOR_BACK);
    ag_free(quiet);

    ag_hud_notice(f->hud, "screenshot written to autogaze.png", false, f->input.now_ns);
    uint32_t *pixels = picture(f);
    assert_true(letters(f, pixels, &foot, AG_COLOR_TEXT, AG_COLOR_BACK) > nothing + 100);
    ag_free(pixels);
    assert_true(ag_hud_has_overlay(f->hud));
    assert_false(ag_hud_wants_draw(f->hud, &f->input)); // nothing moves yet
    f->input.now_ns += 8 * second;
    assert_true(ag_hud_wants_draw(f->hud, &f->input)); // it has gone
    pixels = picture(f);
    assert_int_equal(letters(f, pixels, &foot, AG_COLOR_TEXT, AG_COLOR_BACK), nothing);
    assert_false(ag_hud_has_overlay(f->hud));
    ag_free(pixels);
    f->input.now_ns += second;
    assert_false(ag_hud_wants_draw(f->hud, &f->input));

    ag_hud_notice(f->hud, "clip.mp4 ends in the middle of a frame", true, f->input.now_ns);
    f->input.now_ns += 100 * second;
    pixels = picture(f);
    assert_true(letters(f, pixels, &foot, AG_COLOR_TEXT, AG_COLOR_BACK) > nothing + 100);
    ag_free(pixels);
    assert_true(ag_hud_dismiss(f->hud));
    assert_false(ag_hud_dismiss(f->hud));
    pixels = picture(f);
    assert_int_equal(letters(f, pixels, &foot, AG_COLOR_TEXT, AG_COLOR_BACK), nothing);
    ag_free(pixels);
}

// ---- ways to make a frame ----------------------------------------------------------------------

static void same_in_both(struct fixture *f, struct ag_presenter *const presenters[2])
{
    uint32_t *pixels[2];
    for (int i = 0; i < 2; i++) {
        f->presenter = presenters[i];
        pixels[i] = picture(f);
        assert_int_equal(f->presenter->into_image, i);
    }
    size_t size = (size_t)f->view.width * f->view.height * 4;
    if (memcmp(pixels[0], pixels[1], size) != 0) {
        fail_msg("a frame in a buffer and one in the image differ");
    }
    ag_free(pixels[0]);
    ag_free(pixels[1]);
}

// Put together in a buffer and copied, or in the image, which goes on from what it showed: pages
// that change, panels that move, and what lies over them and goes away again leave no trace.
static void images_go_on_from_the_frame_before(void **state)
{
    struct fixture *f = *state;
    struct ag_error err = { 0 };
    struct ag_presenter *both[2] = { f->presenter };
    both[1] = ag_presenter_create(
        NULL, f->gpu, &(struct ag_presenter_params){ .width = WIDTH, .height = HEIGHT }, &err);
    TEST_OK(both[1], err);
    TEST_OK(ag_present_kernels(both[0], true, &err), err);
    TEST_OK(ag_present_kernels(both[1], false, &err), err);
    for (int page = 0; page < AG_HUD_COUNT; page++) {
        ag_hud_set_page(f->hud, page);
        same_in_both(f, both);
        same_in_both(f, both);
        ag_hud_notice(f->hud, "screenshot written to autogaze.png", false, f->input.now_ns);
        same_in_both(f, both);
        f->input.now_ns += 8000000000;
        same_in_both(f, both);
        ag_hud_show_help(f->hud, true);
        same_in_both(f, both);
        ag_hud_show_help(f->hud, false);
        f->layout = page % 2 ? AG_VIEW_GRID : AG_VIEW_PANELS;
        same_in_both(f, both);
        f->t.stats.gaze_ratio.last = 0.01 * page;
        ag_hud_update(f->hud, &f->t.data);
        same_in_both(f, both);
    }
    f->presenter = both[0];
    ag_presenter_destroy(&both[1]);
}

// ---- text ------------------------------------------------------------------------------------

static void numbers_have_their_width(void **state)
{
    (void)state;
    static const struct {
        double v;
        const char *text;
    } cases[] = {
        { 0, "000.0" },     { 12.34, "012.3" }, { 42.25, "042.2" },   { 999.94, "999.9" },
        { 12345, "999.9" }, { -3, "000.0" },    { INFINITY, "  inf" }, { NAN, "---.-" },
    };
    char s[AG_NUMBER_CHARS];
    for (uint32_t i = 0; i < AG_COUNT(cases); i++) {
        ag_format_number(s, cases[i].v);
        assert_string_equal(s, cases[i].text);
    }
    static const double ms[] = { 0, 0.0004, 9.9999, 123.4567, 999.9994, 999.9996, 5e6, 1e12, NAN };
    for (uint32_t i = 0; i < AG_COUNT(ms); i++) {
        ag_format_ms(s, ms[i]);
        assert_int_equal(strlen(s), 7);
    }
    ag_format_clock(s, 3723456000000);
    assert_string_equal(s, "62:03.4");
    bool cut;
    assert_int_equal(ag_text_prefix("aäb", 2, &cut), 3);
    assert_true(cut);
    assert_int_equal(ag_text_columns("aä…b"), 4);
}

// Which pixels of which rows carry text, whatever the digits are.
static uint64_t text_places(const struct ag_items *items)
{
    static bool taken[HEIGHT][WIDTH];
    memset(taken, 0, sizeof(taken));
    for (uint32_t i = 0; i < items->n; i++) {
        const struct ag_item *t = &items->list[i];
        char text[AG_ITEM_CHARS + 1] = "";
        memcpy(text, t->text, t->length);
        float advance = t->font == AG_FONT_BIG ? items->m.big_cell : (float)items->m.cell;
        size_t columns = t->kind == AG_ITEM_TEXT ? ag_text_columns(text) : 0;
        for (size_t x = 0; x < columns * (size_t)advance; x++) {
            taken[(int)t->y][(size_t)t->x + x] = true;
        }
    }
    return ag_hash(AG_HASH_SEED, taken, sizeof(taken));
}

static void text_does_not_jump(void **state)
{
    struct fixture *f = *state;
    static const double values[] = { 0.001, 0.0999, 0.43, 0.9999 };
    struct ag_hud_copy *copy = ag_alloc(sizeof(*copy));
    struct ag_items *items = ag_alloc(sizeof(*items));
    struct ag_page_layout layout;
    items->m = (struct ag_metrics){ 8, 18, 8, 8, 16, 14, 28 };
    ag_page_place(AG_HUD_COMPACT, &items->m, WIDTH, HEIGHT, &(struct ag_shape){ 64, 36, 1, 1 },
                  AG_VIEW_PANELS, &layout);
    copy->has_stats = copy->has_run = copy->has_report = true;
    copy->run = f->t.run;
    copy->report = f->t.report;
    uint64_t first = 0;
    for (uint32_t i = 0; i < AG_COUNT(values); i++) {
        double v = values[i];
        copy->stats = f->t.stats;
        copy->stats.gaze_ratio.last = copy->stats.gaze_ratio.ema = v;
        copy->stats.psnr.last = copy->stats.psnr.ema = 900 * v;
        copy->stats.tokens.last = floor(265 * v);
        copy->stats.cost_last.reduction = copy->stats.cost_ema.reduction = 200 * v;
        copy->stats.mask_age_ms.last = 600 * v;
        copy->d = f->t.data;
        copy->d.render_fps = copy->d.mask_fps = 240 * v;
        copy->run.dropped = (uint64_t)(5000 * v);
        copy->d.position_ns = (int64_t)(3e12 * v);
        ag_pages_format(copy, &layout, true, items);
        first = i == 0 ? text_places(items) : first;
        assert_int_equal(text_places(items), first);
    }
    ag_free(copy);
    ag_free(items);
}

// Fills of a colour.
static uint32_t filled(const struct ag_items *items, uint32_t color)
{
    uint32_t n = 0;
    for (uint32_t i = 0; i < items->n; i++) {
        n += items->list[i].kind == AG_ITEM_FILL && items->list[i].color == color;
    }
    return n;
}

// Square and upright videos fill a wide window with pictures, and every page still shows something.
static void pages_show_beside_any_picture(void **state)
{
    (void)state;
    static const struct ag_shape shapes[] = { { 1280, 720, 1, 1 }, { 448, 448, 1, 1 },
                                              { 720, 1280, 1, 1 }, { 2560, 720, 1, 1 } };
    const struct ag_metrics m = { 8, 18, 8, 8, 16, 14, 28 };
    for (int page = AG_HUD_COMPACT; page <= AG_HUD_GAZE; page++) {
        for (size_t i = 0; i < AG_COUNT(shapes); i++) {
            struct ag_page_layout layout;
            ag_page_place((enum ag_hud_page)page, &m, 1280, 720, &shapes[i], AG_VIEW_PANELS,
                          &layout);
            assert_true(layout.n_blocks > 0);
            assert_true(layout.view.hud.width > 0 && layout.view.hud.height > 0);
            assert_true(layout.view.panel[0].width >= 128 || layout.view.panel[0].height >= 128);
        }
    }
}

// Grids of 45 tiles: more cells than can be drawn one by one are drawn as blocks of them.
static void cells_of_tiles_are_drawn(void **state)
{
    struct fixture *f = *state;
    struct ag_hud_copy *copy = ag_alloc(sizeof(*copy));
    struct ag_items *items = ag_alloc(sizeof(*items));
    struct ag_page_layout layout;
    items->m = (struct ag_metrics){ 8, 18, 8, 8, 16, 14, 28 };
    ag_page_place(AG_HUD_GAZE, &items->m, WIDTH, HEIGHT, &(struct ag_shape){ 64, 36, 1, 1 },
                  AG_VIEW_PANELS, &layout);
    copy->has_stats = copy->has_run = copy->has_report = true;
    copy->stats = f->t.stats;
    copy->run = f->t.run;
    copy->report = f->t.report;
    copy->d = f->t.data;
    struct ag_layout *grids = &copy->report.layout;
    *grids = (struct ag_layout){ .n_grids = 2, .cells = 8820 + 180, .grid = {
        { 18, 10, 0, 0 }, { 126, 70, 180, 3 } }, .tile_cols = 9, .tile_rows = 5 };
    const uint32_t coarse = AG_RGB(255, 180, 0), fine = AG_RGB(230, 110, 255);
    uint32_t n, fewer, n_items;
    ag_pages_format(copy, &layout, true, items);
    n_items = items->n;
    assert_int_equal(filled(items, fine), 0);
    for (uint32_t cell = 0; cell < 180 + 126 * 70 / 2; cell++) { // the upper half of the fine grid
        copy->selected[cell / 8] |= (uint8_t)(1u << cell % 8);
    }
    ag_pages_format(copy, &layout, true, items);
    assert_in_range(filled(items, coarse), 180, 182); // and what else has this colour
    n = filled(items, fine);
    assert_int_equal(n, 90); // 18 x 10 blocks of 7 x 7, half of them
    assert_in_range(items->n - n_items, 260, 290);
    copy->selected[23] = 0; // cells of the first two blocks: not full any more
    ag_pages_format(copy, &layout, true, items);
    fewer = filled(items, fine);
    assert_in_range(fewer, n - 2, n - 1);
    ag_free(copy);
    ag_free(items);
}

// More cells and ids than a page has room for: cut, never overrun.
static void crowded_pages_are_cut(void **state)
{
    struct fixture *f = *state;
    static uint32_t ids[4096], cells[4096];
    static float losses[4096];
    struct ag_frame_report *r = &f->t.report;
    r->layout = (struct ag_layout){ .n_grids = 1, .grid = { { 64, 64, 0, 3 } }, .cells = 4096 };
    for (uint32_t i = 0; i < 4096; i++) {
        ids[i] = cells[i] = i;
        losses[i] = i % 7 ? 0.1f : NAN;
    }
    r->cells = cells;
    r->n_cells = 4096;
    r->gaze = (struct ag_gaze){ .slots = 4096, .valid = 4096, .ids = ids, .losses = losses };
    f->t.run.budget = 4096;
    memset(f->t.run.source.description, 'x', sizeof(f->t.run.source.description) - 1);
    memset(f->t.run.mask_source, 'm', sizeof(f->t.run.mask_source) - 1);
    for (int page = 0; page < AG_HUD_COUNT; page++) {
        ag_hud_set_page(f->hud, page);
        ag_hud_update(f->hud, &f->t.data);
        check_regions(f);
    }
}

// ---- mouse -----------------------------------------------------------------------------------

struct found {
    float slider_y, button_x, button_y, left, right; // the slider's ends
    double at_left, at_right;
    bool slider, button;
};

// Clicks all over the HUD's last card.
static struct found explore(struct fixture *f)
{
    struct found found = { 0 };
    const struct ag_rect *r = &f->view.hud;
    for (int32_t y = r->y + 4; y < r->y + r->height; y += 8) {
        for (int32_t x = r->x + r->width * 3 / 4; x < r->x + r->width; x += 8) {
            f->input.mouse_x = (float)x;
            f->input.mouse_y = (float)y;
            f->input.mouse_down = true;
            show(f);
            if (f->actions.set_quality && !found.slider) {
                found.slider = true;
                found.slider_y = (float)y;
                found.left = (float)x;
                found.at_left = f->actions.quality;
            }
            if (f->actions.set_quality) {
                found.right = (float)x;
                found.at_right = f->actions.quality;
            }
            f->input.mouse_down = false;
            show(f);
            if (f->actions.switch_source) {
                found.button = true;
                found.button_x = (float)x;
                found.button_y = (float)y;
            }
        }
    }
    f->input.mouse_x = f->input.mouse_y = -1;
    show(f);
    return found;
}

static void mouse_moves_quality_and_source(void **state)
{
    struct fixture *f = *state;
    ag_hud_update(f->hud, &f->t.data);
    show(f);
    struct found found = explore(f);
    assert_true(found.slider && found.button);
    assert_true(found.button_y > found.slider_y);
    assert_true(found.at_left < found.at_right); // right is better: more decibels
    assert_in_range((int)found.at_left, 10, 20);
    assert_in_range((int)found.at_right, 50, 60);
    assert_true(found.at_left == floor(found.at_left)); // steps of 1 dB

    // Held, it follows the mouse out of its row; the same value is asked for once.
    f->input = (struct ag_hud_input){ f->input.now_ns, found.left, found.slider_y, true };
    show(f);
    assert_true(f->actions.set_quality);
    show(f);
    assert_false(f->actions.set_quality);
    f->input.mouse_x = found.right + 500;
    f->input.mouse_y = 3;
    show(f);
    assert_true(f->actions.set_quality && f->actions.quality == 60);
    f->input.mouse_down = false;
    show(f);

    // Raw thresholds: right is better too, so it is the lower one.
    f->t.data.quality_db = false;
    f->t.data.quality_min = 0;
    f->t.data.quality_max = 1;
    f->t.data.quality_step = 0.01;
    f->t.data.quality = 0.7;
    ag_hud_update(f->hud, &f->t.data);
    f->input = (struct ag_hud_input){ f->input.now_ns, found.right + 500, found.slider_y, false };
    show(f);
    f->input.mouse_x = found.right;
    f->input.mouse_down = true;
    show(f);
    assert_true(f->actions.set_quality && f->actions.quality < 0.2);
}

// ---- cost ------------------------------------------------------------------------------------

static void frames_allocate_nothing(void **state)
{
    struct fixture *f = *state;
    for (int page = 0; page < AG_HUD_COUNT; page++) {
        uint64_t host = 0, device = 0;
        ag_hud_set_page(f->hud, page);
        for (int frame = 0; frame < 60; frame++) {
            if (frame == 20) { // warm
                host = ag_alloc_count();
                device = ag_gpu_get_counters(f->gpu).allocations;
            }
            if (frame % 6 == 0) {
                f->t.data.frame_id++;
                f->t.stats.gaze_ratio.last = 0.01 * frame;
                ag_hud_update(f->hud, &f->t.data);
            }
            f->input.now_ns += 16000000;
            f->input.mouse_x = (float)(frame * 20);
            show(f);
        }
        assert_int_equal(ag_alloc_count(), host);
        assert_int_equal(ag_gpu_get_counters(f->gpu).allocations, device);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(panels_keep_their_places, setup, teardown),
        cmocka_unit_test_setup_teardown(tiny_windows_are_legal, setup, teardown),
        cmocka_unit_test_setup_teardown(every_page_stays_in_its_place, setup, teardown),
        cmocka_unit_test_setup_teardown(software_is_marked, setup, teardown),
        cmocka_unit_test_setup_teardown(dominant_stage_is_marked, setup, teardown),
        cmocka_unit_test_setup_teardown(repair_and_chunks_are_marked, setup, teardown),
        cmocka_unit_test_setup_teardown(help_is_readable, setup, teardown),
        cmocka_unit_test_setup_teardown(help_fits, setup, teardown),
        cmocka_unit_test_setup_teardown(notices_fade_and_errors_stay, setup, teardown),
        cmocka_unit_test_setup_teardown(images_go_on_from_the_frame_before, setup, teardown),
        cmocka_unit_test(numbers_have_their_width),
        cmocka_unit_test_setup_teardown(text_does_not_jump, setup, teardown),
        cmocka_unit_test(pages_show_beside_any_picture),
        cmocka_unit_test_setup_teardown(cells_of_tiles_are_drawn, setup, teardown),
        cmocka_unit_test_setup_teardown(crowded_pages_are_cut, setup, teardown),
        cmocka_unit_test_setup_teardown(mouse_moves_quality_and_source, setup, teardown),
        cmocka_unit_test_setup_teardown(frames_allocate_nothing, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
