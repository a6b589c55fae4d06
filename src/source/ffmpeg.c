#include "ffmpeg.h"

#include <inttypes.h>
#include <math.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <libavdevice/avdevice.h>
#include <libavutil/display.h>
#include <libavutil/pixdesc.h>
#include <libswscale/swscale.h>

#define OPEN_TIMEOUT_NS 5000000000
#define MAX_DAMAGED_IN_A_ROW 1000

// ---- FFmpeg's messages --------------------------------------------------------------------------
// The logger is one for the process, and decoder threads call it at any time: the lock makes sure
// that no message is on its way to a log that is gone.

static struct {
    pthread_mutex_t lock;
    const struct ag_log *log;
    int print_prefix;
} messages = { .lock = PTHREAD_MUTEX_INITIALIZER, .print_prefix = 1 };

static void on_message(void *object, int level, const char *fmt, va_list args)
{
    if (level > AV_LOG_WARNING) {
        return;
    }
    pthread_mutex_lock(&messages.lock);
    if (messages.log && messages.log->level >= AG_LOG_VERBOSE) {
        char line[512];
        av_log_format_line2(object, level, fmt, args, line, sizeof(line), &messages.print_prefix);
        line[strcspn(line, "\n")] = 0;
        ag_verbose(messages.log, "ffmpeg: %s", line);
    }
    pthread_mutex_unlock(&messages.lock);
}

static void prepare_process(void)
{
    av_log_set_callback(on_message);
    avdevice_register_all();
}

void ff_log_acquire(const struct ag_log *log)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    pthread_once(&once, prepare_process);
    pthread_mutex_lock(&messages.lock);
    messages.log = log;
    pthread_mutex_unlock(&messages.lock);
}

void ff_log_release(const struct ag_log *log)
{
    pthread_mutex_lock(&messages.lock);
    if (messages.log == log) {
        messages.log = NULL;
    }
    pthread_mutex_unlock(&messages.lock);
}

struct ff_reason ff_reason(int error)
{
    struct ff_reason reason;
    if (error == AVERROR_INVALIDDATA) {
        snprintf(reason.text, sizeof(reason.text), "the data makes no sense");
    } else {
        av_strerror(error, reason.text, sizeof(reason.text));
    }
    return reason;
}

// ---- open ---------------------------------------------------------------------------------------

// FFmpeg asks this while it waits.
static int on_wait(void *opaque)
{
    struct ff_stream *s = opaque;
    if (atomic_load_explicit(&s->env->interrupted, memory_order_relaxed)) {
        return 1;
    }
    if (!s->deadline_ns) {
        return 0;
    }
    int64_t now = ag_now_ns(), bytes = s->fmt && s->fmt->pb ? s->fmt->pb->bytes_read : 0;
    if (bytes != s->seen_bytes) {
        s->seen_bytes = bytes;
        s->deadline_ns = now + OPEN_TIMEOUT_NS;
    }
    s->timed_out = now > s->deadline_ns;
    return s->timed_out;
}

static bool fail_open(struct ff_stream *s, int error, struct ag_error *err)
{
    s->error = error;
    if (s->timed_out) {
        return ag_fail(err, AG_ERR_INPUT, "%s gave no data for %d s", s->name,
                       (int)(OPEN_TIMEOUT_NS / 1000000000));
    }
    return ag_fail(err, AG_ERR_INPUT, "%s cannot be opened as video (%s)", s->name,
                   error == AVERROR_INVALIDDATA ? "no format fits what is in it, or it is damaged"
                                                : ff_reason(error).text);
}

static bool open_container(struct ff_stream *s, struct ff_target *target, struct ag_error *err)
{
    const AVInputFormat *format = NULL;
    if (target->format) {
        format = av_find_input_format(target->format);
        if (!format) {
            return ag_fail(err, AG_ERR_INPUT, "%s: this FFmpeg has no input '%s'", s->name,
                           target->format);
        }
    }
    s->fmt = avformat_alloc_context();
    AVFormatContext *fmt = s->fmt;
    if (!fmt) {
        return fail_open(s, AVERROR(ENOMEM), err);
    }
    fmt->interrupt_callback = (AVIOInterruptCB){ on_wait, s };
    fmt->flags |= target->live ? AVFMT_FLAG_NONBLOCK : 0;
    if (target->fd >= 0) {
        s->pipe = fmt->pb = ff_pipe_open(target->fd, &fmt->interrupt_callback);
        target->fd = -1;
        if (!s->pipe) {
            return fail_open(s, AVERROR(ENOMEM), err);
        }
    }
    int r = avformat_open_input(&s->fmt, target->url, format, &target->options);
    // Cameras state what they send; looking ahead would wait for it.
    if (r >= 0 && !target->live) {
        r = avformat_find_stream_info(s->fmt, NULL);
    }
    return r >= 0 || fail_open(s, r, err);
}

// Text files are "video" to FFmpeg: it draws them as terminal pages.
static bool is_text(enum AVCodecID id)
{
    return id == AV_CODEC_ID_ANSI || id == AV_CODEC_ID_BINTEXT || id == AV_CODEC_ID_XBIN ||
           id == AV_CODEC_ID_IDF;
}

static bool check_size(const struct ff_stream *s, int width, int height, struct ag_error *err)
{
    return (width <= AG_MAX_FRAME_SIDE && height <= AG_MAX_FRAME_SIDE) ||
           ag_fail(err, AG_ERR_INPUT, "%s has frames of %dx%d, a side has at most %d pixels",
                   s->name, width, height, AG_MAX_FRAME_SIDE);
}

static bool open_decoder(struct ff_stream *s, const struct ff_target *target, struct ag_error *err)
{
    const AVCodec *codec = NULL;
    int index = av_find_best_stream(s->fmt, AVMEDIA_TYPE_VIDEO, -1, -1, &codec, 0);
    if (index == AVERROR_STREAM_NOT_FOUND) {
        return ag_fail(err, AG_ERR_INPUT, "%s has no video stream", s->name);
    }
    if (index < 0) {
        return ag_fail(err, AG_ERR_INPUT, "%s has a video stream that this FFmpeg cannot decode",
                       s->name);
    }
    s->stream = s->fmt->streams[index];
    const AVCodecParameters *parameters = s->stream->codecpar;
    if (s->stream->disposition & AV_DISPOSITION_ATTACHED_PIC) {
        return ag_fail(err, AG_ERR_INPUT, "%s has no video stream, only a cover picture", s->name);
    }
    if (is_text(parameters->codec_id)) {
        return ag_fail(err, AG_ERR_INPUT, "%s is text, not video", s->name);
    }
    if (!check_size(s, parameters->width, parameters->height, err)) {
        return false;
    }
    for (unsigned i = 0; i < s->fmt->nb_streams; i++) {
        if ((int)i != index) {
            s->fmt->streams[i]->discard = AVDISCARD_ALL;
        }
    }
    s->codec = avcodec_alloc_context3(codec);
    if (!s->codec) {
        return fail_open(s, AVERROR(ENOMEM), err);
    }
    int r = avcodec_parameters_to_context(s->codec, parameters);
    s->codec->pkt_timebase = s->stream->time_base;
    s->codec->thread_count = target->threads;
    // Frame threads hold back as many frames as there are threads.
    s->codec->thread_type = target->live ? FF_THREAD_SLICE : FF_THREAD_FRAME | FF_THREAD_SLICE;
    s->codec->flags |= AV_CODEC_FLAG_UNALIGNED | (target->live ? AV_CODEC_FLAG_LOW_DELAY : 0);
    s->codec->max_pixels = (int64_t)AG_MAX_FRAME_SIDE * AG_MAX_FRAME_SIDE;
    if (r >= 0) {
        r = avcodec_open2(s->codec, codec, NULL);
    }
    return r >= 0 || fail_open(s, r, err);
}

bool ff_open(struct ff_stream *s, const struct source_env *env, struct ff_target *target,
             struct ag_error *err)
{
    *s = (struct ff_stream){ .env = env, .live = target->live, .last_pts_ns = -1 };
    s->name = ag_strdup(target->name);
    ff_log_acquire(env->log);
    s->deadline_ns = ag_now_ns() + OPEN_TIMEOUT_NS;
    bool ok = open_container(s, target, err) && open_decoder(s, target, err);
    s->deadline_ns = 0;
    av_dict_free(&target->options);
    if (target->fd >= 0) {
        close(target->fd);
        target->fd = -1;
    }
    if (ok) {
        s->base = s->live ? AV_NOPTS_VALUE : s->stream->start_time;
        s->timed = s->base != AV_NOPTS_VALUE;
        s->packet = av_packet_alloc();
        s->frame = av_frame_alloc();
        ok = (s->packet && s->frame) || fail_open(s, AVERROR(ENOMEM), err);
    }
    s->open = ok;
    return ok;
}

void ff_close(struct ff_stream *s)
{
    if (!s->name) {
        return; // never opened
    }
    ff_picture_clear(&s->picture);
    av_frame_free(&s->frame);
    av_packet_free(&s->packet);
    avcodec_free_context(&s->codec);
    avformat_close_input(&s->fmt);
    ff_pipe_close(&s->pipe);
    ff_log_release(s->env->log);
    ag_free(s->name);
    *s = (struct ff_stream){ .name = NULL };
}

// ---- decode -------------------------------------------------------------------------------------

static void note_damage(struct ff_stream *s, int error)
{
    if (s->damaged++ == 0) {
        ag_warn(s->env->log, "%s: damaged data is skipped (%s)", s->name, ff_reason(error).text);
    }
}

// The container's next packet goes to the decoder. AG_NEXT_FRAME: ask the decoder again.
static enum ag_next feed(struct ff_stream *s)
{
    int r = av_read_frame(s->fmt, s->packet);
    if (r == AVERROR(EAGAIN)) {
        return AG_NEXT_AGAIN;
    }
    if (r == AVERROR_INVALIDDATA && ++s->damaged_in_a_row < MAX_DAMAGED_IN_A_ROW) {
        note_damage(s, r);
        return AG_NEXT_FRAME;
    }
    if (r < 0) {
        s->read_error = r == AVERROR_EOF ? 0 : r;
        s->draining = true;
        avcodec_send_packet(s->codec, NULL);
        return AG_NEXT_FRAME;
    }
    s->damaged_in_a_row = 0;
    if (s->packet->stream_index == s->stream->index) {
        r = avcodec_send_packet(s->codec, s->packet);
        if (r < 0 && r != AVERROR(EAGAIN)) {
            note_damage(s, r);
        }
    }
    av_packet_unref(s->packet);
    return AG_NEXT_FRAME;
}

// The decoder is empty.
static enum ag_next end(struct ff_stream *s, struct ag_error *err)
{
    if (s->read_error && s->read_error != AVERROR_INVALIDDATA) {
        ag_fail(err, AG_ERR_INPUT, "%s cannot be read any further (%s)", s->name,
                ff_reason(s->read_error).text);
        return AG_NEXT_ERROR;
    }
    if (s->frames == 0) {
        ag_fail(err, AG_ERR_INPUT, "%s has no frame that can be decoded", s->name);
        return AG_NEXT_ERROR;
    }
    if (s->read_error) {
        note_damage(s, s->read_error);
    }
    return AG_NEXT_END;
}

enum ag_next ff_next(struct ff_stream *s, struct ag_error *err)
{
    if (!s->open) {
        ag_fail(err, AG_ERR_INPUT, "the source is closed");
        return AG_NEXT_ERROR;
    }
    for (;;) {
        if (atomic_load_explicit(&s->env->interrupted, memory_order_relaxed)) {
            return AG_NEXT_END;
        }
        int r = avcodec_receive_frame(s->codec, s->frame);
        if (r >= 0) {
            s->frames++;
            return AG_NEXT_FRAME;
        }
        if (r == AVERROR_EOF) {
            return end(s, err);
        }
        if (r != AVERROR(EAGAIN)) {
            note_damage(s, r);
        }
        if (!s->draining && feed(s) == AG_NEXT_AGAIN) {
            return AG_NEXT_AGAIN;
        }
    }
}

bool ff_seek(struct ff_stream *s, int64_t pts_ns)
{
    if (!s->open || !s->timed) {
        return false;
    }
    int64_t ts =
        s->base + av_rescale_q(pts_ns, (AVRational){ 1, 1000000000 }, s->stream->time_base);
    if (av_seek_frame(s->fmt, s->stream->index, ts, AVSEEK_FLAG_BACKWARD) < 0) {
        return false;
    }
    avcodec_flush_buffers(s->codec);
    s->draining = false;
    s->read_error = 0;
    s->damaged_in_a_row = 0;
    s->last_pts_ns = -1;
    return true;
}

// ---- what a frame is ----------------------------------------------------------------------------

double ff_fps(const struct ff_stream *s)
{
    AVRational rate = av_guess_frame_rate(s->fmt, s->stream, NULL);
    return rate.num > 0 && rate.den > 0 ? av_q2d(rate) : 0;
}

int64_t ff_pts_ns(struct ff_stream *s)
{
    int64_t ts = s->frame->best_effort_timestamp;
    if (ts != AV_NOPTS_VALUE) {
        if (s->base == AV_NOPTS_VALUE) {
            s->base = ts;
        }
        int64_t ns =
            av_rescale_q(ts - s->base, s->stream->time_base, (AVRational){ 1, 1000000000 });
        s->last_pts_ns = AG_MAX(ns, 0);
        return s->last_pts_ns;
    }
    double fps = ff_fps(s);
    if (fps > 0) { // elementary streams: counted
        s->last_pts_ns = s->last_pts_ns < 0 ? 0 : s->last_pts_ns + (int64_t)llround(1e9 / fps);
        return s->last_pts_ns;
    }
    return -1;
}

// The display matrix of the frame, or that of its stream; NULL: none.
static const uint8_t *display_matrix(const struct ff_stream *s)
{
    const AVFrameSideData *own = av_frame_get_side_data(s->frame, AV_FRAME_DATA_DISPLAYMATRIX);
    if (own && own->size >= 9 * sizeof(int32_t)) {
        return own->data;
    }
#if LIBAVCODEC_VERSION_INT >= AV_VERSION_INT(60, 30, 100)
    const AVCodecParameters *p = s->stream->codecpar;
    const AVPacketSideData *data = av_packet_side_data_get(
        p->coded_side_data, p->nb_coded_side_data, AV_PKT_DATA_DISPLAYMATRIX);
    return data && data->size >= 9 * sizeof(int32_t) ? data->data : NULL;
#else
    size_t size = 0;
    const uint8_t *data = av_stream_get_side_data(s->stream, AV_PKT_DATA_DISPLAYMATRIX, &size);
    return data && size >= 9 * sizeof(int32_t) ? data : NULL;
#endif
}

static void set_orientation(const struct ff_stream *s, struct ag_frame *out)
{
    const uint8_t *data = display_matrix(s);
    int32_t m[9];
    out->rotation = 0;
    out->mirrored = false;
    if (!data) {
        return;
    }
    memcpy(m, data, sizeof(m));
    // (m[0], m[1]) is where the way to the right goes, (m[3], m[4]) the way down.
    out->mirrored = (int64_t)m[0] * m[4] < (int64_t)m[1] * m[3];
    if (out->mirrored) {
        m[0] = -m[0];
        m[1] = -m[1];
    }
    // FFmpeg's angle is counter-clockwise; NaN for a matrix that is no rotation.
    double degrees = av_display_rotation_get(m);
    out->rotation = isnan(degrees) ? 0 : (uint32_t)(lround(-degrees / 90.0) & 3);
}

bool ff_describe(struct ff_stream *s, struct ag_frame *out, struct ag_error *err)
{
    if (!check_size(s, s->frame->width, s->frame->height, err) ||
        !ff_picture_set(&s->picture, s->frame, err)) {
        return false;
    }
    AVRational sar = av_guess_sample_aspect_ratio(s->fmt, s->stream, s->frame);
    if (sar.num > 0 && sar.den > 0) {
        out->sar_num = (uint32_t)sar.num;
        out->sar_den = (uint32_t)sar.den;
    }
    out->width = (uint32_t)s->frame->width;
    out->height = (uint32_t)s->frame->height;
    set_orientation(s, out);
    out->layout = s->picture.planes.layout;
    out->bytes = s->picture.planes.bytes;
    return true;
}

void ff_fill_info(const struct ff_stream *s, struct ag_source_info *info)
{
    const AVCodecParameters *p = s->stream->codecpar;
    const char *format = av_get_pix_fmt_name(p->format);
    info->width = (uint32_t)p->width;
    info->height = (uint32_t)p->height;
    info->fps = ff_fps(s);
    if (s->fmt->duration > 0 && !s->live) {
        info->duration_ns = s->fmt->duration * (1000000000 / AV_TIME_BASE);
    }
    char rate[32] = "", length[32] = "";
    if (info->fps > 0) {
        snprintf(rate, sizeof(rate), " %.4g fps", info->fps);
    }
    if (info->duration_ns >= 0) {
        snprintf(length, sizeof(length), " %.1f s", (double)info->duration_ns / 1e9);
    }
    const char *slash = strstr(s->name, "://") ? NULL : strrchr(s->name, '/');
    snprintf(info->description, sizeof(info->description), "%.120s: %s %dx%d%s%s%s%s",
             slash ? slash + 1 : s->name, avcodec_get_name(p->codec_id), p->width, p->height,
             format ? " " : "", format ? format : "", rate, length);
}

// ---- still pictures -----------------------------------------------------------------------------

bool ff_load_still(const struct source_env *env, const char *path, uint8_t **rgba, uint32_t *width,
                   uint32_t *height, bool *alpha)
{
    char *url = ag_asprintf("file:%s", path);
    struct ff_target target = { .url = url, .name = path, .fd = -1, .threads = 1 };
    struct ff_stream s;
    struct SwsContext *sws = NULL;
    bool ok = ff_open(&s, env, &target, NULL) && ff_next(&s, NULL) == AG_NEXT_FRAME &&
              check_size(&s, s.frame->width, s.frame->height, NULL);
    if (ok) {
        const AVFrame *f = s.frame;
        sws =
            sws_getContext(f->width, f->height, f->format, f->width, f->height, AV_PIX_FMT_RGBA,
                           SWS_BILINEAR | SWS_ACCURATE_RND | SWS_FULL_CHR_H_INT, NULL, NULL, NULL);
        ok = sws != NULL;
    }
    if (ok) {
        const AVFrame *f = s.frame;
        *width = (uint32_t)f->width;
        *height = (uint32_t)f->height;
        *alpha = av_pix_fmt_desc_get(f->format)->flags & AV_PIX_FMT_FLAG_ALPHA;
        // Behind the last row: swscale may write in whole vectors.
        *rgba = ag_alloc((size_t)*width * *height * 4 + 64);
        uint8_t *planes[4] = { *rgba };
        int pitches[4] = { f->width * 4 };
        sws_scale(sws, (const uint8_t *const *)f->data, f->linesize, 0, f->height, planes, pitches);
    }
    sws_freeContext(sws);
    ff_close(&s);
    ag_free(url);
    return ok;
}
