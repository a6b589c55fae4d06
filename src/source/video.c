// Video files and streams: anything FFmpeg opens. Seeking is exact: from the key frame before the
// target the decoder runs forward to it.
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <libavutil/pixdesc.h>

#include "ffmpeg.h"

#define FIRST_RETREAT_NS 1000000000
#define SKIP_SLICE_NS 50000000 // a long seek reports back this often

// Where the demuxer was put last.
enum place {
    PLACE_OPENED, // at the beginning, for certain
    PLACE_START,  // sought there
    PLACE_INSIDE, // at the key frame before something, if all went well
};

struct video {
    const struct source_env *env;
    struct ff_stream ff;
    bool can_reopen;           // files and lavfi graphs, not pipes
    char *url, *name, *format; // for reopening
    int threads;
    enum place place;
    uint64_t frames;      // decoded since then
    bool must_reopen;     // seeking to the beginning does not lead there
    int64_t first_pts_ns; // of the first frame of all, -1 not seen
    int64_t last_pts_ns;  // of the last frame handed out, -1 none
    // A seek under way; skip_to_ns < 0: none.
    int64_t skip_to_ns;
    bool before;        // to the last frame before skip_to_ns, not to the first at or after it
    int64_t retreat_ns; // how far before the target to try next
    bool seen_before;   // a frame before the target has come: none is missed
    bool looped;        // the next frame is the first of another round
    // A frame decoded and put aside: the last one before the target while looking for it, then the
    // one that follows the frame handed out.
    AVFrame *aside;
    int64_t aside_pts_ns;
    bool follows;
};

// ---- open ---------------------------------------------------------------------------------------

static bool has_scheme(const char *uri)
{
    size_t n = strspn(uri, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789+.-_");
    return n > 0 && uri[n] == ':';
}

static bool is_live(const char *uri)
{
    static const char *const schemes[] = { "rtsp:", "rtp:", "udp:", "srt:", "rtmp:" };
    for (size_t i = 0; i < AG_COUNT(schemes); i++) {
        if (strncmp(uri, schemes[i], strlen(schemes[i])) == 0) {
            return true;
        }
    }
    return false;
}

// Raw frames: "640x360:yuv420p".
static bool raw_options(const struct ag_source_params *params, AVDictionary **options,
                        struct ag_error *err)
{
    const char *colon = strchr(params->raw, ':');
    unsigned width, height;
    char rest;
    if (!colon || sscanf(params->raw, "%ux%u%c", &width, &height, &rest) != 3 || rest != ':' ||
        av_get_pix_fmt(colon + 1) == AV_PIX_FMT_NONE) {
        return ag_fail(err, AG_ERR_INPUT,
                       "raw frames '%s': expected WIDTHxHEIGHT:FORMAT with a pixel format of "
                       "FFmpeg, as in 640x360:yuv420p",
                       params->raw);
    }
    char text[64];
    snprintf(text, sizeof(text), "%ux%u", width, height);
    av_dict_set(options, "video_size", text, 0);
    av_dict_set(options, "pixel_format", colon + 1, 0);
    snprintf(text, sizeof(text), "%g", source_fps(params->fps));
    av_dict_set(options, "framerate", text, 0);
    return true;
}

static bool target_stdin(struct video *v, struct ff_target *target, struct ag_error *err)
{
    if (isatty(STDIN_FILENO)) {
        return ag_fail(err, AG_ERR_INPUT,
                       "standard input is a terminal: pipe a video into this program, or give a "
                       "file");
    }
    target->fd = dup(STDIN_FILENO);
    if (target->fd < 0) {
        return ag_fail(err, AG_ERR_INPUT, "standard input is not open (%s)", strerror(errno));
    }
    v->url = ag_strdup("-");
    v->name = ag_strdup("standard input");
    return true;
}

static bool target_path(struct video *v, const char *path, const struct stat *st,
                        struct ff_target *target, struct ag_error *err)
{
    v->name = ag_strdup(path);
    v->url = ag_asprintf("file:%s", path); // a colon in the name is no scheme
    if (S_ISDIR(st->st_mode)) {
        return ag_fail(err, AG_ERR_INPUT, "'%s' is a directory: give a video file or a picture",
                       path);
    }
    if (S_ISREG(st->st_mode)) {
        v->can_reopen = true;
        return st->st_size > 0 || ag_fail(err, AG_ERR_INPUT, "'%s' is empty (0 bytes)", path);
    }
    target->fd = open(path, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
    return target->fd >= 0 ||
           ag_fail(err, AG_ERR_INPUT, "cannot open '%s': %s", path, strerror(errno));
}

// What `uri` means to FFmpeg.
static bool find_target(struct video *v, const struct ag_source_params *params,
                        struct ff_target *target, struct ag_error *err)
{
    const char *uri = params->uri;
    struct stat st;
    if (strncmp(uri, "lavfi:", 6) == 0) {
        v->format = ag_strdup("lavfi");
        v->url = ag_strdup(uri + 6);
        v->name = ag_strdup(uri);
        v->can_reopen = true;
        return true;
    }
    if (params->raw) {
        v->format = ag_strdup("rawvideo");
        if (!raw_options(params, &target->options, err)) {
            return false;
        }
    }
    if (strcmp(uri, "-") == 0) {
        return target_stdin(v, target, err);
    }
    if (stat(uri, &st) == 0) {
        return target_path(v, uri, &st, target, err);
    }
    if (!has_scheme(uri)) {
        return ag_fail(err, AG_ERR_INPUT, "cannot open '%s': %s", uri, strerror(errno));
    }
    v->url = ag_strdup(uri);
    v->name = ag_strdup(uri);
    return true;
}

static void close_video(void *state)
{
    struct video *v = state;
    av_frame_free(&v->aside);
    ff_close(&v->ff);
    ag_free(v->url);
    ag_free(v->name);
    ag_free(v->format);
    ag_free(v);
}

static void *open_video(const struct source_env *env, const struct ag_source_params *params,
                        struct ag_source_info *info, struct ag_error *err)
{
    if (!params->uri) {
        ag_fail(err, AG_ERR_INPUT, "source video: no file given");
        return NULL;
    }
    struct video *v = ag_alloc(sizeof(*v));
    v->env = env;
    v->threads = (int)AG_MIN(params->decoder_threads, 64u);
    v->first_pts_ns = v->last_pts_ns = v->skip_to_ns = -1;
    v->aside = av_frame_alloc();
    struct ff_target target = { .fd = -1, .threads = v->threads };
    bool ok = find_target(v, params, &target, err);
    if (ok) {
        target.format = v->format;
        target.url = v->url;
        target.name = v->name;
        if (params->allow_protocols) {
            av_dict_set(&target.options, "protocol_whitelist", params->allow_protocols, 0);
        }
        ok = ff_open(&v->ff, env, &target, err);
    }
    av_dict_free(&target.options);
    if (!ok) {
        close_video(v);
        return NULL;
    }
    ff_fill_info(&v->ff, info);
    info->live = is_live(params->uri);
    // Of streams from the network only those that state a length.
    info->seekable = v->can_reopen || (!v->ff.pipe && !info->live && info->duration_ns > 0);
    return v;
}

// ---- positions ----------------------------------------------------------------------------------

static bool reopen(struct video *v, struct ag_error *err)
{
    struct ff_target target = {
        .format = v->format, .url = v->url, .name = v->name, .fd = -1, .threads = v->threads
    };
    ff_close(&v->ff);
    v->place = PLACE_OPENED;
    return ff_open(&v->ff, v->env, &target, err);
}

// Moves the demuxer to a key frame at or before a position, to the beginning for 0 and less.
static bool jump(struct video *v, int64_t pts_ns, struct ag_error *err)
{
    v->place = pts_ns <= 0 ? PLACE_START : PLACE_INSIDE;
    v->frames = 0;
    v->follows = false;
    bool by_opening = v->place == PLACE_START && v->must_reopen;
    if (!by_opening && ff_seek(&v->ff, AG_MAX(pts_ns, 0))) {
        return true;
    }
    if (v->can_reopen) {
        return reopen(v, err);
    }
    return ag_fail(err, AG_ERR_INPUT, "%s cannot seek", v->name);
}

static bool seek_video(void *state, int64_t pts_ns, bool before, struct ag_error *err)
{
    struct video *v = state;
    v->skip_to_ns = pts_ns;
    v->before = before;
    v->retreat_ns = FIRST_RETREAT_NS;
    v->seen_before = false;
    v->looped = false;
    if (v->ff.pipe) { // forward only
        return (pts_ns >= v->last_pts_ns && !before) ||
               ag_fail(err, AG_ERR_INPUT, "%s cannot seek backwards", v->name);
    }
    return jump(v, pts_ns - before, err);
}

// The next try of a seek that has landed behind its target, as far as one can tell.
static int64_t further_back(struct video *v)
{
    int64_t to = v->skip_to_ns - v->retreat_ns;
    v->retreat_ns *= 4;
    return to;
}

// ---- frames -------------------------------------------------------------------------------------

// At the end of the stream: whether it goes on somewhere.
static bool after_end(struct video *v, int64_t *to)
{
    if (v->skip_to_ns >= 0 && !v->seen_before && v->place == PLACE_INSIDE) {
        *to = further_back(v);
        return true;
    }
    if (v->env->loop && !v->ff.pipe && v->frames > 0) {
        v->skip_to_ns = -1;
        v->looped = true;
        *to = 0;
        return true;
    }
    return false;
}

enum verdict { TAKE, SKIP, JUMP };

static void put_aside(struct video *v, int64_t pts_ns)
{
    av_frame_unref(v->aside);
    av_frame_move_ref(v->aside, v->ff.frame);
    v->aside_pts_ns = pts_ns;
}

// Exchanges the frame put aside and the one just decoded; returns the timestamp of the former.
static int64_t take_aside(struct video *v, int64_t pts_ns)
{
    AVFrame *decoded = v->ff.frame;
    int64_t pts = v->aside_pts_ns;
    v->ff.frame = v->aside;
    v->aside = decoded;
    v->aside_pts_ns = pts_ns;
    return pts;
}

static enum verdict judge(struct video *v, int64_t pts_ns, int64_t *to)
{
    bool first = v->frames++ == 0;
    if (first && v->place == PLACE_OPENED) {
        v->first_pts_ns = pts_ns;
    }
    // Some containers seek to something after their first frame: only opening anew helps.
    if (first && v->place == PLACE_START && v->can_reopen && pts_ns > AG_MAX(v->first_pts_ns, 0)) {
        v->must_reopen = true;
        *to = 0;
        return JUMP;
    }
    if (v->skip_to_ns < 0 || pts_ns < 0) {
        return TAKE;
    }
    if (pts_ns < v->skip_to_ns) {
        v->seen_before = true;
        if (v->before) {
            put_aside(v, pts_ns);
        }
        return SKIP;
    }
    bool exact = pts_ns == v->skip_to_ns && !v->before;
    if (exact || v->seen_before || v->place != PLACE_INSIDE) {
        return TAKE;
    }
    *to = further_back(v);
    return JUMP;
}

static enum ag_next take(struct video *v, int64_t pts_ns, struct ag_frame *out,
                         struct ag_error *err)
{
    v->skip_to_ns = -1;
    v->last_pts_ns = out->pts_ns = pts_ns;
    out->discontinuity = v->looped;
    v->looped = false;
    return ff_describe(&v->ff, out, err) ? AG_NEXT_FRAME : AG_NEXT_ERROR;
}

static enum ag_next next(void *state, struct ag_frame *out, struct ag_error *err)
{
    struct video *v = state;
    int64_t start = ag_now_ns();
    if (v->follows) {
        v->follows = false;
        return take(v, take_aside(v, -1), out, err);
    }
    for (;;) {
        int64_t to = 0;
        enum ag_next result = ff_next(&v->ff, err);
        if (result == AG_NEXT_FRAME) {
            int64_t pts = ff_pts_ns(&v->ff);
            enum verdict verdict = judge(v, pts, &to);
            if (verdict == TAKE) {
                v->follows = v->skip_to_ns >= 0 && v->before && v->seen_before;
                return take(v, v->follows ? take_aside(v, pts) : pts, out, err);
            }
            if (verdict == SKIP) {
                if (ag_now_ns() - start > SKIP_SLICE_NS) {
                    return AG_NEXT_AGAIN;
                }
                continue;
            }
        } else if (result == AG_NEXT_END && v->skip_to_ns >= 0 && v->before && v->seen_before) {
            return take(v, take_aside(v, -1), out, err); // the last frame of all
        } else if (result != AG_NEXT_END || atomic_load(&v->env->interrupted) ||
                   !after_end(v, &to)) {
            return result;
        }
        if (!jump(v, to, err)) {
            return AG_NEXT_ERROR;
        }
    }
}

static void read_planes(void *state, uint8_t *dst)
{
    struct video *v = state;
    ff_picture_copy(&v->ff.picture, dst);
}

const struct source_driver source_video = {
    .name = "video",
    .help = "a file, URL, lavfi:GRAPH or - (standard input), through FFmpeg",
    .open = open_video,
    .close = close_video,
    .next = next,
    .read = read_planes,
    .seek = seek_video,
};
