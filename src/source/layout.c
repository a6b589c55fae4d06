#include "layout.h"

#include <string.h>

#include <libavutil/imgutils.h>
#include <libavutil/pixdesc.h>
#include <libswscale/swscale.h>

#define PITCH_ALIGN 4u
#define PLANE_ALIGN 256u

// ---- native formats -----------------------------------------------------------------------------

static bool describe(const AVComponentDescriptor *c, struct pixel_component *out)
{
    uint32_t bytes = c->shift + c->depth <= 8 ? 1 : 2;
    // Two bytes that could straddle two words cannot be read in one go.
    bool aligned = bytes == 1 || (c->offset % 2 == 0 && c->step % 2 == 0) ||
                   (c->step % 4 == 0 && c->offset % 4 != 3);
    *out = (struct pixel_component){
        .offset = (uint32_t)c->offset,
        .step = (uint32_t)c->step,
        .bytes = bytes,
        .drop = (uint32_t)c->shift,
        .depth = (uint32_t)c->depth,
    };
    return c->depth >= 8 && c->shift + c->depth <= 16 && aligned;
}

static bool describable(enum AVPixelFormat format, const AVPixFmtDescriptor *d)
{
    // XYZ is not RGB though it says so; 4:1:1 with luma in uneven steps has no step.
    static const enum AVPixelFormat odd[] = { AV_PIX_FMT_XYZ12LE, AV_PIX_FMT_XYZ12BE,
                                              AV_PIX_FMT_UYYVYY411 };
    for (size_t i = 0; i < AG_COUNT(odd); i++) {
        if (format == odd[i]) {
            return false;
        }
    }
    return !(d->flags & (AV_PIX_FMT_FLAG_BE | AV_PIX_FMT_FLAG_PAL | AV_PIX_FMT_FLAG_BITSTREAM |
                         AV_PIX_FMT_FLAG_HWACCEL | AV_PIX_FMT_FLAG_BAYER | AV_PIX_FMT_FLAG_FLOAT));
}

bool ff_planes_native(enum AVPixelFormat format, uint32_t width, uint32_t height,
                      struct ff_planes *out)
{
    *out = (struct ff_planes){ 0 };
    const AVPixFmtDescriptor *d = av_pix_fmt_desc_get(format);
    if (!d || !describable(format, d)) {
        return false;
    }
    struct pixel_layout *l = &out->layout;
    bool alpha = d->flags & AV_PIX_FMT_FLAG_ALPHA;
    int colors = d->nb_components - alpha;
    l->kind = d->flags & AV_PIX_FMT_FLAG_RGB ? AG_PIXEL_RGB
              : colors == 3                  ? AG_PIXEL_YUV
                                             : AG_PIXEL_GREY;
    l->alpha = alpha;
    if (colors != (l->kind == AG_PIXEL_GREY ? 1 : 3)) {
        return false;
    }

    uint64_t end = 0;
    int n = av_pix_fmt_count_planes(format);
    for (int p = 0; p < n; p++) {
        int row = av_image_get_linesize(format, (int)width, p);
        if (row <= 0) {
            return false;
        }
        bool chroma = p == 1 || p == 2;
        uint64_t offset = AG_ALIGN_UP(end, PLANE_ALIGN);
        uint32_t pitch = AG_ALIGN_UP((uint32_t)row, PITCH_ALIGN);
        uint32_t rows = chroma ? (uint32_t)AV_CEIL_RSHIFT((int)height, d->log2_chroma_h) : height;
        end = offset + (uint64_t)pitch * rows;
        if (end > UINT32_MAX) {
            return false;
        }
        out->plane[p].offset = (uint32_t)offset;
        out->plane[p].pitch = pitch;
        out->plane[p].row_bytes = (uint32_t)row;
        out->plane[p].rows = rows;
    }
    out->n = (uint32_t)n;
    out->bytes = end;

    for (int i = 0; i < d->nb_components; i++) {
        const AVComponentDescriptor *from = &d->comp[i];
        struct pixel_component *c = &l->c[alpha && i == colors ? 3 : i];
        if (!describe(from, c)) {
            return false;
        }
        c->offset += out->plane[from->plane].offset;
        c->pitch = out->plane[from->plane].pitch;
        if (l->kind == AG_PIXEL_YUV && (i == 1 || i == 2)) {
            c->shift_x = d->log2_chroma_w;
            c->shift_y = d->log2_chroma_h;
        }
    }
    return true;
}

// ---- colours ------------------------------------------------------------------------------------

static uint32_t matrix_of(const AVFrame *frame)
{
    switch (frame->colorspace) {
    case AVCOL_SPC_BT709:
    case AVCOL_SPC_SMPTE240M: // within a hundredth of 709
        return AG_MATRIX_709;
    case AVCOL_SPC_BT470BG:
    case AVCOL_SPC_SMPTE170M:
    case AVCOL_SPC_FCC:
        return AG_MATRIX_601;
    case AVCOL_SPC_BT2020_NCL:
    case AVCOL_SPC_BT2020_CL:
        return AG_MATRIX_2020;
    default:
        return frame->height < 720 ? AG_MATRIX_601 : AG_MATRIX_709;
    }
}

static bool is_full_range(const AVFrame *frame, bool grey)
{
    static const enum AVPixelFormat jpeg[] = { AV_PIX_FMT_YUVJ420P, AV_PIX_FMT_YUVJ422P,
                                               AV_PIX_FMT_YUVJ444P, AV_PIX_FMT_YUVJ440P,
                                               AV_PIX_FMT_YUVJ411P };
    for (size_t i = 0; i < AG_COUNT(jpeg); i++) {
        if (frame->format == jpeg[i]) {
            return true;
        }
    }
    return frame->color_range == AVCOL_RANGE_JPEG ||
           (grey && frame->color_range == AVCOL_RANGE_UNSPECIFIED);
}

// 0, 1, 2: at the first luma sample of the group, in the middle, at the last.
static void chroma_position(const AVFrame *frame, bool full_range, uint32_t *x, uint32_t *y)
{
    switch (frame->chroma_location) {
    case AVCHROMA_LOC_TOPLEFT:
        *x = 0, *y = 0;
        return;
    case AVCHROMA_LOC_TOP:
        *x = 1, *y = 0;
        return;
    case AVCHROMA_LOC_CENTER:
        *x = 1, *y = 1;
        return;
    case AVCHROMA_LOC_BOTTOMLEFT:
        *x = 0, *y = 2;
        return;
    case AVCHROMA_LOC_BOTTOM:
        *x = 1, *y = 2;
        return;
    default: // left as MPEG-2 has it, in the middle as JPEG has it
        *x = full_range, *y = 1;
    }
}

static void set_colors(struct pixel_layout *l, const AVFrame *frame)
{
    if (l->kind == AG_PIXEL_RGB) {
        l->full_range = 1;
        return;
    }
    l->full_range = is_full_range(frame, l->kind == AG_PIXEL_GREY);
    if (l->kind == AG_PIXEL_YUV) {
        l->matrix = matrix_of(frame);
        uint32_t x, y;
        chroma_position(frame, l->full_range, &x, &y);
        l->chroma_x = x * ((1u << l->c[1].shift_x) - 1);
        l->chroma_y = y * ((1u << l->c[1].shift_y) - 1);
    }
}

// ---- conversion of the rest ---------------------------------------------------------------------

static bool make_converter(struct ff_picture *picture, const AVFrame *frame, struct ag_error *err)
{
    const AVPixFmtDescriptor *d = av_pix_fmt_desc_get(frame->format);
    enum AVPixelFormat to = d && d->comp[0].depth > 8 ? AV_PIX_FMT_RGBA64LE : AV_PIX_FMT_RGBA;
    picture->sws = sws_getContext(
        frame->width, frame->height, frame->format, frame->width, frame->height, to,
        SWS_BILINEAR | SWS_ACCURATE_RND | SWS_FULL_CHR_H_INT | SWS_FULL_CHR_H_INP | SWS_BITEXACT,
        NULL, NULL, NULL);
    picture->converted = av_frame_alloc();
    bool ok = picture->sws && picture->converted;
    if (ok) {
        picture->converted->format = to;
        picture->converted->width = frame->width;
        picture->converted->height = frame->height;
        ok = av_frame_get_buffer(picture->converted, 0) >= 0;
    }
    ok = ok &&
         ff_planes_native(to, (uint32_t)frame->width, (uint32_t)frame->height, &picture->planes);
    if (!ok) {
        return ag_fail(err, AG_ERR_INPUT, "frames of %dx%d in pixel format %s cannot be converted",
                       frame->width, frame->height, d ? d->name : "unknown");
    }
    if (!(d->flags & AV_PIX_FMT_FLAG_ALPHA)) {
        picture->planes.layout.alpha = 0;
        picture->planes.layout.c[3] = (struct pixel_component){ 0 };
    }
    return true;
}

static bool is_grey(enum AVPixelFormat format)
{
    const AVPixFmtDescriptor *d = av_pix_fmt_desc_get(format);
    return d->nb_components <= 2 && !(d->flags & (AV_PIX_FMT_FLAG_RGB | AV_PIX_FMT_FLAG_PAL));
}

static void convert(struct ff_picture *picture, const AVFrame *frame)
{
    static const int coefficients[] = { [AG_MATRIX_601] = SWS_CS_ITU601,
                                        [AG_MATRIX_709] = SWS_CS_ITU709,
                                        [AG_MATRIX_2020] = SWS_CS_BT2020 };
    bool full_range = is_full_range(frame, is_grey(frame->format));
    sws_setColorspaceDetails(picture->sws, sws_getCoefficients(coefficients[matrix_of(frame)]),
                             full_range, sws_getCoefficients(SWS_CS_DEFAULT), 1, 0, 1 << 16,
                             1 << 16);
    sws_scale(picture->sws, (const uint8_t *const *)frame->data, frame->linesize, 0, frame->height,
              picture->converted->data, picture->converted->linesize);
    picture->frame = picture->converted;
}

// ---- pictures -----------------------------------------------------------------------------------

void ff_picture_clear(struct ff_picture *picture)
{
    sws_freeContext(picture->sws);
    av_frame_free(&picture->converted);
    *picture = (struct ff_picture){ .format = AV_PIX_FMT_NONE };
}

bool ff_picture_set(struct ff_picture *picture, const AVFrame *frame, struct ag_error *err)
{
    if (!picture->width || frame->format != picture->format || frame->width != picture->width ||
        frame->height != picture->height) {
        ff_picture_clear(picture);
        if (!ff_planes_native(frame->format, (uint32_t)frame->width, (uint32_t)frame->height,
                              &picture->planes) &&
            !make_converter(picture, frame, err)) {
            ff_picture_clear(picture);
            return false;
        }
        picture->format = frame->format;
        picture->width = frame->width;
        picture->height = frame->height;
    }
    picture->frame = frame;
    set_colors(&picture->planes.layout, frame);
    if (picture->sws) {
        convert(picture, frame);
    }
    return true;
}

void ff_picture_copy(const struct ff_picture *picture, uint8_t *dst)
{
    for (uint32_t p = 0; p < picture->planes.n; p++) {
        uint8_t *to = dst + picture->planes.plane[p].offset;
        const uint8_t *from = picture->frame->data[p];
        uint32_t pitch = picture->planes.plane[p].pitch, rows = picture->planes.plane[p].rows;
        uint32_t row_bytes = picture->planes.plane[p].row_bytes;
        int linesize = picture->frame->linesize[p];
        if (linesize == (int)pitch) {
            memcpy(to, from, (size_t)pitch * (rows - 1) + row_bytes);
            continue;
        }
        for (uint32_t y = 0; y < rows; y++) {
            memcpy(to, from, row_bytes);
            to += pitch;
            from += linesize;
        }
    }
}
