// A table of pixel formats and frames of noise in them, with padded rows, for conversion tests.
#ifndef AUTOGAZE_TESTS_PIXEL_FORMATS_H
#define AUTOGAZE_TESTS_PIXEL_FORMATS_H

#include <string.h>

#include "autogaze/frame.h"

struct test_component {
    uint32_t plane, at, step, drop, depth, shift_x, shift_y; // `at`: bytes from the plane's start
};

struct test_format {
    const char *name;
    uint32_t kind, bytes, chroma_x, chroma_y, alpha, components;
    struct test_component c[4];
};

#define TEST_YUV(name, bytes, cx, cy, ...)                                                         \
    { name, AG_PIXEL_YUV, bytes, cx, cy, 0, 3, { __VA_ARGS__ } }
#define TEST_RGB(name, bytes, alpha, ...)                                                          \
    { name, AG_PIXEL_RGB, bytes, 0, 0, alpha, 3 + alpha, { __VA_ARGS__ } }

static const struct test_format test_formats[] = {
    TEST_YUV("i420", 1, 0, 1, { 0, 0, 1, 0, 8 }, { 1, 0, 1, 0, 8, 1, 1 }, { 2, 0, 1, 0, 8, 1, 1 }),
    TEST_YUV("i420-center", 1, 1, 1, { 0, 0, 1, 0, 8 }, { 1, 0, 1, 0, 8, 1, 1 },
             { 2, 0, 1, 0, 8, 1, 1 }),
    TEST_YUV("i420-topleft", 1, 0, 0, { 0, 0, 1, 0, 8 }, { 1, 0, 1, 0, 8, 1, 1 },
             { 2, 0, 1, 0, 8, 1, 1 }),
    TEST_YUV("nv12", 1, 0, 1, { 0, 0, 1, 0, 8 }, { 1, 0, 2, 0, 8, 1, 1 }, { 1, 1, 2, 0, 8, 1, 1 }),
    TEST_YUV("nv21", 1, 1, 1, { 0, 0, 1, 0, 8 }, { 1, 1, 2, 0, 8, 1, 1 }, { 1, 0, 2, 0, 8, 1, 1 }),
    TEST_YUV("yuyv", 1, 0, 0, { 0, 0, 2, 0, 8 }, { 0, 1, 4, 0, 8, 1, 0 }, { 0, 3, 4, 0, 8, 1, 0 }),
    TEST_YUV("uyvy", 1, 1, 0, { 0, 1, 2, 0, 8 }, { 0, 0, 4, 0, 8, 1, 0 }, { 0, 2, 4, 0, 8, 1, 0 }),
    TEST_YUV("422p", 1, 0, 0, { 0, 0, 1, 0, 8 }, { 1, 0, 1, 0, 8, 1, 0 }, { 2, 0, 1, 0, 8, 1, 0 }),
    TEST_YUV("440p", 1, 0, 1, { 0, 0, 1, 0, 8 }, { 1, 0, 1, 0, 8, 0, 1 }, { 2, 0, 1, 0, 8, 0, 1 }),
    TEST_YUV("411p", 1, 0, 0, { 0, 0, 1, 0, 8 }, { 1, 0, 1, 0, 8, 2, 0 }, { 2, 0, 1, 0, 8, 2, 0 }),
    TEST_YUV("410p", 1, 3, 3, { 0, 0, 1, 0, 8 }, { 1, 0, 1, 0, 8, 2, 2 }, { 2, 0, 1, 0, 8, 2, 2 }),
    TEST_YUV("444p", 1, 0, 0, { 0, 0, 1, 0, 8 }, { 1, 0, 1, 0, 8 }, { 2, 0, 1, 0, 8 }),
    TEST_YUV("420p10", 2, 0, 1, { 0, 0, 2, 0, 10 }, { 1, 0, 2, 0, 10, 1, 1 },
             { 2, 0, 2, 0, 10, 1, 1 }),
    TEST_YUV("p010", 2, 0, 1, { 0, 0, 2, 6, 10 }, { 1, 0, 4, 6, 10, 1, 1 },
             { 1, 2, 4, 6, 10, 1, 1 }),
    TEST_YUV("422p12", 2, 0, 0, { 0, 0, 2, 0, 12 }, { 1, 0, 2, 0, 12, 1, 0 },
             { 2, 0, 2, 0, 12, 1, 0 }),
    TEST_YUV("420p16", 2, 0, 1, { 0, 0, 2, 0, 16 }, { 1, 0, 2, 0, 16, 1, 1 },
             { 2, 0, 2, 0, 16, 1, 1 }),
    TEST_RGB("rgb24", 1, 0, { 0, 0, 3, 0, 8 }, { 0, 1, 3, 0, 8 }, { 0, 2, 3, 0, 8 }),
    TEST_RGB("bgra", 1, 1, { 0, 2, 4, 0, 8 }, { 0, 1, 4, 0, 8 }, { 0, 0, 4, 0, 8 },
             { 0, 3, 4, 0, 8 }),
    TEST_RGB("rgb0", 1, 0, { 0, 0, 4, 0, 8 }, { 0, 1, 4, 0, 8 }, { 0, 2, 4, 0, 8 }),
    TEST_RGB("gbrp10", 2, 0, { 2, 0, 2, 0, 10 }, { 0, 0, 2, 0, 10 }, { 1, 0, 2, 0, 10 }),
    TEST_RGB("rgba64", 2, 1, { 0, 0, 8, 0, 16 }, { 0, 2, 8, 0, 16 }, { 0, 4, 8, 0, 16 },
             { 0, 6, 8, 0, 16 }),
    TEST_RGB("rgb565", 2, 0, { 0, 0, 2, 11, 5 }, { 0, 0, 2, 5, 6 }, { 0, 0, 2, 0, 5 }),
    { "grey", AG_PIXEL_GREY, 1, 0, 0, 0, 1, { { 0, 0, 1, 0, 8 } } },
    { "grey10", AG_PIXEL_GREY, 2, 0, 0, 0, 1, { { 0, 0, 2, 0, 10 } } },
};

static inline uint32_t test_random(uint32_t *state)
{
    *state = *state * 1664525u + 1013904223u;
    return *state >> 16;
}

// A frame of noise; the samples belong to the caller (ag_free). `padding` bytes, a multiple of 4,
// are added to each row.
static inline struct ag_frame test_frame(const struct test_format *f, uint32_t width,
                                         uint32_t height, uint32_t padding, uint32_t seed)
{
    struct ag_frame frame = { .id = 1, .width = width, .height = height, .sar_num = 1,
                              .sar_den = 1 };
    frame.layout = (struct pixel_layout){ .kind = f->kind, .chroma_x = f->chroma_x,
                                          .chroma_y = f->chroma_y, .alpha = f->alpha };
    uint32_t size = 0;
    for (uint32_t plane = 0; plane < 4; plane++) {
        uint32_t pitch = 0, rows = 0;
        for (uint32_t i = 0; i < f->components; i++) {
            const struct test_component *t = &f->c[i];
            if (t->plane == plane) {
                pitch = AG_MAX(pitch, (((width - 1) >> t->shift_x) + 1) * t->step);
                rows = ((height - 1) >> t->shift_y) + 1;
            }
        }
        size = AG_ALIGN_UP(size, 256u);
        pitch = AG_ALIGN_UP(pitch, 4u) + padding;
        for (uint32_t i = 0; i < f->components; i++) {
            const struct test_component *t = &f->c[i];
            if (t->plane == plane) {
                frame.layout.c[i] = (struct pixel_component){ size + t->at, pitch, t->step,
                                                              f->bytes, t->drop, t->depth,
                                                              t->shift_x, t->shift_y };
            }
        }
        size += rows * pitch;
    }
    uint8_t *data = ag_alloc(size);
    for (uint32_t i = 0; i < size; i++) {
        data[i] = (uint8_t)test_random(&seed);
    }
    frame.data = data;
    frame.bytes = size;
    return frame;
}

#endif
