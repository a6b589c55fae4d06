// A recording through FFmpeg: RGBA8 -> 4:2:0 -> encoder -> muxer -> file.
//
// There are no B-frames, so packets come in the order of their timestamps and a file that ends
// anywhere ends with the right duration; and pieces are short (frag_duration, cluster_time_limit),
// so that what a full disk or a crash takes is short, too.
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <libavcodec/avcodec.h>
#include <libavformat/avformat.h>
#include <libavutil/imgutils.h>
#include <libswscale/swscale.h>

#include "internal.h"
#include "path.h"
#include "record_file.h"

// 24, 25, 30, 50, 60 frames a second and all but one of their 1000/1001 are whole ticks; MPEG-4
// takes no finer clock than 1/65535 s.
#define TICKS 60000
#define NS 1000000000

static const char *const endings[] = { ".mp4", ".mkv" };
static const struct {
    const char *muxer, *options;
} containers[] = {
    { "mp4", "movflags=+frag_keyframe+empty_moov+default_base_moof:frag_duration=2000000" },
    // The index has its place in the head of the file, so that it can be written on a full disk.
    { "matroska", "cluster_time_limit=2000:reserve_index_space=65536" },
};

// Best first.
static const struct encoder {
    const char *name, *codec, *options;
} encoders[] = {
    { "libx264", "H.264", "preset=veryfast:crf=18:bf=0:g=60" },
    { "mpeg4", "MPEG-4", "flags=+qscale:global_quality=354:bf=0:g=60" }, // 3 * FF_QP2LAMBDA
};

struct recorder {
    const struct ag_log *log;
    char *path;
    const char *codec_name;
    uint32_t width, height; // of the pictures; the video is even
    struct record_file file;
    AVFormatContext *mux;
    AVStream *stream;
    AVCodecContext *codec;
    AVFrame *frame;
    AVPacket *packet;
    bool header_written;
    char reason[256]; // why it cannot go on, "" while it can
    // Conversion, made anew when the size of the pictures changes.
    struct SwsContext *sws;
    uint32_t from_width, from_height;
    uint32_t x, y, to_width, to_height; // where the picture goes
    // Time, in ticks.
    int64_t base_ns;   // timestamp of the source that counts as zero
    int64_t last, step; // of the last frame, its distance to the one before
    uint64_t frames;   // encoded
    // What the muxer has been given, and what of it is on disk in complete pieces.
    uint64_t given, safe;
    int64_t given_end, safe_end;
};

static bool stop(struct recorder *r, const char *what, const char *why)
{
    if (!r->reason[0]) {
        snprintf(r->reason, sizeof(r->reason), "%s%s%s", what, what[0] ? ": " : "", why);
    }
    return false;
}

static bool stop_ff(struct recorder *r, const char *what, int error)
{
    char why[AV_ERROR_MAX_STRING_SIZE];
    av_make_error_string(why, sizeof(why), error);
    return stop(r, what, why);
}

// ---- opening ------------------------------------------------------------------------------------

bool ag_export_can_record(const char *path, struct ag_error *err)
{
    return path_ending(path, endings, AG_COUNT(endings)) >= 0 ||
           ag_fail(err, AG_ERR_USAGE, "cannot record to '%s': the name must end in .mp4 or .mkv",
                   path);
}

static const AVCodec *find_encoder(const char *wished, const struct encoder **row,
                                   struct ag_error *err)
{
    for (size_t i = 0; i < AG_COUNT(encoders); i++) {
        const AVCodec *codec = avcodec_find_encoder_by_name(encoders[i].name);
        if (codec && (!wished || strcmp(wished, encoders[i].name) == 0)) {
            *row = &encoders[i];
            return codec;
        }
    }
    ag_fail(err, AG_ERR_OUTPUT,
            "cannot record: FFmpeg has no encoder %s here; install one with its libavcodec",
            wished ? wished : "libx264 or mpeg4");
    return NULL;
}

static bool open_encoder(struct recorder *r, const struct ag_recording *recording,
                         const AVOutputFormat *format, struct ag_error *err)
{
    const struct encoder *row;
    const AVCodec *codec = find_encoder(recording->encoder, &row, err);
    if (!codec) {
        return false;
    }
    r->codec_name = row->codec;
    r->codec = avcodec_alloc_context3(codec);
    AVCodecContext *c = r->codec;
    double fps = recording->fps > 0 ? recording->fps : 30;
    c->width = (int)AG_ALIGN_UP(r->width, 2);
    c->height = (int)AG_ALIGN_UP(r->height, 2);
    c->pix_fmt = AV_PIX_FMT_YUV420P;
    c->time_base = (AVRational){ 1, TICKS };
    c->framerate = av_d2q(fps, TICKS);
    c->sample_aspect_ratio = (AVRational){ 1, 1 };
    c->color_range = AVCOL_RANGE_MPEG;
    c->colorspace = AVCOL_SPC_BT709;
    c->color_primaries = AVCOL_PRI_BT709;
    c->color_trc = AVCOL_TRC_BT709;
    // The stages and the decoder want cores, too; and every thread of x264 is a frame of delay.
    c->thread_count = (int)AG_CLAMP(sysconf(_SC_NPROCESSORS_ONLN) / 2, 1, 8);
    c->log_level_offset = AV_LOG_DEBUG; // no lines of its own on standard error
    if (format->flags & AVFMT_GLOBALHEADER) {
        c->flags |= AV_CODEC_FLAG_GLOBAL_HEADER;
    }
    AVDictionary *options = NULL;
    av_dict_parse_string(&options, row->options, "=", ":", 0);
    int error = avcodec_open2(c, codec, &options);
    av_dict_free(&options);
    if (error < 0) {
        return ag_fail(err, AG_ERR_OUTPUT, "cannot record %ux%u pictures as %s: %s", r->width,
                       r->height, row->codec, av_err2str(error));
    }
    r->step = AG_MAX(1, (int64_t)(TICKS / fps + 0.5));
    return true;
}

static bool open_frame(struct recorder *r)
{
    r->packet = av_packet_alloc();
    r->frame = av_frame_alloc();
    if (!r->packet || !r->frame) {
        return false;
    }
    r->frame->format = r->codec->pix_fmt;
    r->frame->width = r->codec->width;
    r->frame->height = r->codec->height;
    r->frame->color_range = r->codec->color_range;
    r->frame->colorspace = r->codec->colorspace;
    return av_frame_get_buffer(r->frame, 0) >= 0;
}

static bool open_muxer(struct recorder *r, const struct ag_recording *recording, int container,
                       struct ag_error *err)
{
    if (avformat_alloc_output_context2(&r->mux, NULL, containers[container].muxer, r->path) < 0) {
        return ag_fail(err, AG_ERR_OUTPUT, "cannot record to '%s': FFmpeg has no muxer %s here",
                       r->path, containers[container].muxer);
    }
    r->stream = avformat_new_stream(r->mux, NULL);
    if (!r->stream || !open_encoder(r, recording, r->mux->oformat, err) || !open_frame(r)) {
        return ag_fail(err, AG_ERR_OUTPUT, "cannot record to '%s': no memory", r->path);
    }
    r->stream->time_base = r->codec->time_base;
    r->stream->sample_aspect_ratio = r->codec->sample_aspect_ratio;
    if (recording->fps > 0) {
        r->stream->avg_frame_rate = r->codec->framerate;
    }
    avcodec_parameters_from_context(r->stream->codecpar, r->codec);
    if (!record_file_open(&r->file, r->path, err)) {
        return false;
    }
    r->mux->pb = r->file.io;
    r->mux->flags |= AVFMT_FLAG_CUSTOM_IO;
    AVDictionary *options = NULL;
    av_dict_parse_string(&options, containers[container].options, "=", ":", 0);
    int error = avformat_write_header(r->mux, &options);
    av_dict_free(&options);
    r->header_written = error >= 0;
    if (!record_file_mark(&r->file)) {
        return ag_fail(err, AG_ERR_OUTPUT, "cannot write '%s': %s", r->path,
                       strerror(r->file.error));
    }
    return r->header_written || ag_fail(err, AG_ERR_OUTPUT, "cannot record to '%s': %s", r->path,
                                        av_err2str(error));
}

static void destroy(struct recorder **pr, bool remove)
{
    struct recorder *r = *pr;
    sws_freeContext(r->sws);
    av_packet_free(&r->packet);
    av_frame_free(&r->frame);
    avcodec_free_context(&r->codec);
    avformat_free_context(r->mux);
    record_file_close(&r->file, remove);
    ag_free(r->path);
    ag_free(r);
    *pr = NULL;
}

struct recorder *recorder_open(const struct ag_log *log, const struct ag_recording *recording,
                               struct ag_error *err)
{
    if (!ag_export_can_record(recording->path, err)) {
        return NULL;
    }
    struct recorder *r = ag_alloc(sizeof(*r));
    r->log = log;
    r->path = ag_strdup(recording->path);
    r->width = recording->width;
    r->height = recording->height;
    r->file.fd = -1;
    int container = path_ending(r->path, endings, AG_COUNT(endings));
    if (!open_muxer(r, recording, container, err)) {
        destroy(&r, true);
        return NULL;
    }
    ag_verbose(log, "recording %ux%u pictures to '%s' (%s)", r->width, r->height, r->path,
               r->codec_name);
    return r;
}

// ---- pictures -----------------------------------------------------------------------------------

// Where a picture goes: everywhere, or if it has another size, as large as fits in the middle, at
// even places.
static void place_picture(struct recorder *r, uint32_t width, uint32_t height)
{
    r->from_width = width;
    r->from_height = height;
    r->x = r->y = 0;
    r->to_width = r->width;
    r->to_height = r->height;
    if (width == r->width && height == r->height) {
        return;
    }
    if ((uint64_t)width * r->height > (uint64_t)height * r->width) {
        r->to_height = (uint32_t)((uint64_t)height * r->width / width);
    } else {
        r->to_width = (uint32_t)((uint64_t)width * r->height / height);
    }
    r->to_width = AG_MAX(r->to_width & ~1u, 2u);
    r->to_height = AG_MAX(r->to_height & ~1u, 2u);
    r->x = (uint32_t)(r->codec->width - (int)r->to_width) / 2 & ~1u;
    r->y = (uint32_t)(r->codec->height - (int)r->to_height) / 2 & ~1u;
}

static bool prepare_conversion(struct recorder *r, uint32_t width, uint32_t height)
{
    // Without FULL_CHR_H_INP swscale takes pairs of pixels, of an odd row also the one behind it.
    const int flags = SWS_BILINEAR | SWS_ACCURATE_RND | SWS_FULL_CHR_H_INP;
    place_picture(r, width, height);
    sws_freeContext(r->sws);
    r->sws = sws_getContext((int)width, (int)height, AV_PIX_FMT_RGBA, (int)r->to_width,
                            (int)r->to_height, AV_PIX_FMT_YUV420P, flags, NULL, NULL, NULL);
    if (!r->sws) {
        r->from_width = 0;
        return stop(r, "cannot convert the pictures", "no memory");
    }
    const int *bt709 = sws_getCoefficients(SWS_CS_ITU709);
    sws_setColorspaceDetails(r->sws, bt709, 1, bt709, 0, 0, 1 << 16, 1 << 16);
    return true;
}

// A line more for sides of odd length. The chroma planes are complete: half of it rounded up.
static void double_last_lines(struct recorder *r)
{
    uint8_t *luma = r->frame->data[0];
    size_t pitch = (size_t)r->frame->linesize[0];
    if (r->width & 1) {
        for (uint32_t y = 0; y < r->height; y++) {
            luma[y * pitch + r->width] = luma[y * pitch + r->width - 1];
        }
    }
    if (r->height & 1) {
        memcpy(luma + r->height * pitch, luma + (r->height - 1) * pitch, (size_t)r->codec->width);
    }
}

static bool convert(struct recorder *r, const uint8_t *pixels, uint32_t width, uint32_t height)
{
    AVFrame *f = r->frame;
    int error = av_frame_make_writable(f);
    if (error < 0) {
        return stop_ff(r, "cannot convert the pictures", error);
    }
    if ((r->from_width != width || r->from_height != height) &&
        !prepare_conversion(r, width, height)) {
        return false;
    }
    bool whole = r->to_width == r->width && r->to_height == r->height;
    if (!whole) {
        av_image_fill_black(f->data, (const ptrdiff_t[4]){ f->linesize[0], f->linesize[1],
                                                           f->linesize[2], 0 },
                            AV_PIX_FMT_YUV420P, AVCOL_RANGE_MPEG, f->width, f->height);
    }
    uint8_t *to[4] = {
        f->data[0] + (size_t)r->y * (size_t)f->linesize[0] + r->x,
        f->data[1] + (size_t)(r->y / 2) * (size_t)f->linesize[1] + r->x / 2,
        f->data[2] + (size_t)(r->y / 2) * (size_t)f->linesize[2] + r->x / 2,
    };
    const uint8_t *from[4] = { pixels };
    sws_scale(r->sws, from, (const int[4]){ (int)width * 4 }, 0, (int)height, to, f->linesize);
    if (whole) {
        double_last_lines(r);
    }
    return true;
}

// ---- time ---------------------------------------------------------------------------------------

static int64_t ticks_of(int64_t ns)
{
    return av_rescale(ns, TICKS, NS);
}

// Timestamp of the next frame, in ticks; always behind the last one's.
static int64_t place_in_time(struct recorder *r, int64_t pts_ns)
{
    if (!r->frames) {
        r->base_ns = AG_MAX(pts_ns, 0);
        return 0;
    }
    int64_t t = pts_ns < 0 ? -1 : ticks_of(pts_ns - r->base_ns);
    if (t <= r->last) {
        t = r->last + r->step;
        if (pts_ns >= 0) { // from here on the source counts anew
            r->base_ns = pts_ns - av_rescale(t, NS, TICKS);
        }
    } else if (t - r->last <= TICKS) { // longer is a jump, not a rate
        r->step = t - r->last;
    }
    return t;
}

// ---- packets ------------------------------------------------------------------------------------

static bool write_packet(struct recorder *r)
{
    AVPacket *p = r->packet;
    int64_t end = p->pts + r->step;
    p->stream_index = r->stream->index;
    p->duration = r->step;
    av_packet_rescale_ts(p, r->codec->time_base, r->stream->time_base);
    int64_t size = r->file.size;
    int error = av_write_frame(r->mux, p);
    av_packet_unref(p);
    if (!record_file_mark(&r->file)) {
        return stop(r, "", strerror(r->file.error));
    }
    if (error < 0) {
        return stop_ff(r, "FFmpeg's muxer failed", error);
    }
    if (r->file.size > size) { // a piece: all that came before this packet
        r->safe = r->given;
        r->safe_end = r->given_end;
    }
    r->given++;
    r->given_end = end;
    return true;
}

// `frame` NULL: there are no more.
static bool encode(struct recorder *r, const AVFrame *frame)
{
    int error = avcodec_send_frame(r->codec, frame);
    while (error >= 0) {
        error = avcodec_receive_packet(r->codec, r->packet);
        if (error >= 0 && !write_packet(r)) {
            return false;
        }
    }
    return error == AVERROR(EAGAIN) || error == AVERROR_EOF ||
           stop_ff(r, "FFmpeg's encoder failed", error);
}

bool recorder_add(struct recorder *r, const uint8_t *pixels, uint32_t width, uint32_t height,
                  int64_t pts_ns)
{
    if (r->reason[0] || !convert(r, pixels, width, height)) {
        return false;
    }
    r->frame->pts = place_in_time(r, pts_ns);
    r->frame->pict_type = AV_PICTURE_TYPE_NONE;
    r->last = r->frame->pts;
    r->frames++;
    return encode(r, r->frame);
}

static int64_t ns_of(int64_t ticks)
{
    return av_rescale(ticks, NS, TICKS);
}

struct recorder_info recorder_get_info(const struct recorder *r)
{
    bool failed = r->reason[0];
    return (struct recorder_info){
        .frames = failed ? r->safe : r->frames,
        .duration_ns = ns_of(failed ? r->safe_end : r->frames ? r->last + r->step : 0),
        .bytes = (uint64_t)r->file.size,
    };
}

// The muxer's end. What it still held is a piece of its own, so that it counts even if there is no
// room for an index behind it.
static void end_file(struct recorder *r)
{
    av_write_frame(r->mux, NULL);
    if (record_file_mark(&r->file)) {
        r->safe = r->given;
        r->safe_end = r->given_end;
    } else {
        stop(r, "", strerror(r->file.error));
        record_file_rewind(&r->file);
    }
    int error = av_write_trailer(r->mux);
    avio_flush(r->file.io);
    if (r->file.error) {
        stop(r, "", strerror(r->file.error));
        record_file_rewind(&r->file);
    } else if (error < 0) {
        stop_ff(r, "FFmpeg's muxer failed", error);
    }
}

bool recorder_close(struct recorder **pr, struct recorder_info *out, char *report, size_t size,
                    struct ag_error *err)
{
    struct recorder *r = *pr;
    bool ok = true;
    if (!r->reason[0]) {
        encode(r, NULL);
    }
    end_file(r);
    *out = recorder_get_info(r);
    record_file_close(&r->file, out->frames == 0);
    if (r->file.error) { // some file systems tell only now
        stop(r, "", strerror(r->file.error));
    }
    unsigned long long frames = out->frames;
    double seconds = (double)out->duration_ns / NS;
    if (r->reason[0] && frames) {
        ok = ag_fail(err, AG_ERR_OUTPUT,
                     "the recording '%s' ends after %llu frames (%.2f s), which can be played: %s",
                     r->path, frames, seconds, r->reason);
    } else if (r->reason[0]) {
        ok = ag_fail(err, AG_ERR_OUTPUT, "nothing could be recorded to '%s': %s", r->path,
                     r->reason);
    } else if (!frames) {
        ok = ag_fail(err, AG_ERR_OUTPUT, "no frame was recorded, '%s' is not written", r->path);
    } else {
        snprintf(report, size, "recorded '%s': %llu frames, %.2f s, %.1f MB", r->path, frames,
                 seconds, (double)out->bytes / 1e6);
    }
    destroy(pr, false);
    return ok;
}
