// The colour conversion against swscale (accurate_rnd, full_chroma_int): at most one level apart on
// flat pictures, for every matrix, range and kind of layout.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>
#include <libavutil/pixfmt.h>
#include <libswscale/swscale.h>

#include "autogaze/preprocess_ref.h"
#include "pixel_formats.h"

#define SIDE 32u
#define COLORS 60

static const struct {
    const char *name;
    enum AVPixelFormat format;
} formats[] = {
    { "i420", AV_PIX_FMT_YUV420P },       { "nv12", AV_PIX_FMT_NV12 },
    { "nv21", AV_PIX_FMT_NV21 },          { "yuyv", AV_PIX_FMT_YUYV422 },
    { "uyvy", AV_PIX_FMT_UYVY422 },       { "422p", AV_PIX_FMT_YUV422P },
    { "440p", AV_PIX_FMT_YUV440P },       { "411p", AV_PIX_FMT_YUV411P },
    { "410p", AV_PIX_FMT_YUV410P },       { "444p", AV_PIX_FMT_YUV444P },
    { "420p10", AV_PIX_FMT_YUV420P10LE }, { "p010", AV_PIX_FMT_P010LE },
    { "422p12", AV_PIX_FMT_YUV422P12LE }, { "420p16", AV_PIX_FMT_YUV420P16LE },
    { "rgb24", AV_PIX_FMT_RGB24 },        { "bgra", AV_PIX_FMT_BGRA },
    { "rgb0", AV_PIX_FMT_RGB0 },          { "gbrp10", AV_PIX_FMT_GBRP10LE },
    { "rgb565", AV_PIX_FMT_RGB565LE },    { "grey", AV_PIX_FMT_GRAY8 },
    { "grey10", AV_PIX_FMT_GRAY10LE },
};

static const struct test_format *find(const char *name)
{
    for (size_t i = 0; i < AG_COUNT(test_formats); i++) {
        if (strcmp(test_formats[i].name, name) == 0) {
            return &test_formats[i];
        }
    }
    fail_msg("no test format %s", name);
    return NULL;
}

// Every sample of component i becomes `value` (8 bits, widened to the depth of the format).
static void fill(const struct ag_frame *f, const uint8_t *values, uint32_t components)
{
    memset((uint8_t *)(uintptr_t)f->data, 0, f->bytes);
    for (uint32_t i = 0; i < components; i++) {
        const struct pixel_component *c = &f->layout.c[i];
        uint32_t v = c->depth >= 8 ? (uint32_t)values[i] << (c->depth - 8)
                                   : (uint32_t)values[i] >> (8 - c->depth);
        v <<= c->drop;
        for (uint32_t y = 0; y < SIDE >> c->shift_y; y++) {
            for (uint32_t x = 0; x < SIDE >> c->shift_x; x++) {
                uint8_t *at = (uint8_t *)(uintptr_t)f->data + c->offset + y * c->pitch +
                              x * c->step;
                at[0] |= (uint8_t)v;
                if (c->bytes == 2) {
                    at[1] |= (uint8_t)(v >> 8);
                }
            }
        }
    }
}

static struct SwsContext *scaler(enum AVPixelFormat format, uint32_t matrix, uint32_t full)
{
    static const int colorspaces[] = { SWS_CS_ITU601, SWS_CS_ITU709, SWS_CS_BT2020 };
    struct SwsContext *s = sws_getContext(SIDE, SIDE, format, SIDE, SIDE, AV_PIX_FMT_RGB24,
                                          SWS_BICUBIC | SWS_ACCURATE_RND | SWS_FULL_CHR_H_INT,
                                          NULL, NULL, NULL);
    assert_non_null(s);
    const int *table = sws_getCoefficients(colorspaces[matrix]);
    sws_setColorspaceDetails(s, table, (int)full, table, 1, 0, 1 << 16, 1 << 16);
    return s;
}

static void expected_color(struct SwsContext *s, const struct test_format *t,
                           const struct ag_frame *f, uint8_t *rgb)
{
    const uint8_t *planes[4] = { NULL };
    int pitches[4] = { 0 };
    for (uint32_t i = 0; i < t->components; i++) {
        planes[t->c[i].plane] = f->data + f->layout.c[i].offset - t->c[i].at;
        pitches[t->c[i].plane] = (int)f->layout.c[i].pitch;
    }
    uint8_t out[SIDE * SIDE * 3];
    assert_int_equal(sws_scale(s, planes, pitches, 0, SIDE, (uint8_t *[]){ out },
                               (int[]){ SIDE * 3 }), SIDE);
    memcpy(rgb, out + (SIDE / 2 * SIDE + SIDE / 2) * 3, 3);
}

static void check(const struct test_format *t, enum AVPixelFormat format, uint32_t matrix,
                  uint32_t full)
{
    struct ag_frame f = test_frame(t, SIDE, SIDE, 64, 1);
    f.layout.matrix = matrix;
    f.layout.full_range = full;
    struct SwsContext *s = scaler(format, matrix, full);
    uint8_t *rgba = ag_alloc(SIDE * SIDE * 4);
    uint32_t seed = 7;
    for (int k = 0; k < COLORS; k++) {
        uint8_t values[4], expected[3];
        for (int i = 0; i < 4; i++) {
            values[i] = (uint8_t)(16 + test_random(&seed) % 220); // legal in both ranges
        }
        fill(&f, values, t->components);
        expected_color(s, t, &f, expected);
        ag_ref_picture(&f, rgba);
        const uint8_t *found = rgba + (SIDE / 2 * SIDE + SIDE / 2) * 4;
        for (int i = 0; i < 3; i++) {
            if (abs(found[i] - expected[i]) > 1) {
                fail_msg("%s matrix %u range %u of (%u %u %u): channel %d is %u, swscale says %u",
                         t->name, matrix, full, values[0], values[1], values[2], i, found[i],
                         expected[i]);
            }
        }
    }
    ag_free(rgba);
    sws_freeContext(s);
    ag_free((void *)(uintptr_t)f.data);
}

static void flat_pictures_agree(void **state)
{
    (void)state;
    for (size_t i = 0; i < AG_COUNT(formats); i++) {
        const struct test_format *t = find(formats[i].name);
        for (uint32_t matrix = 0; matrix < 3; matrix++) {
            // swscale takes 8-bit grey as full range whatever it is told
            for (uint32_t full = formats[i].format == AV_PIX_FMT_GRAY8; full < 2; full++) {
                check(t, formats[i].format, matrix, full);
            }
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(flat_pictures_agree),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
