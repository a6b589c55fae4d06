// Recordings, screenshots and reports through the writer thread. Files are looked at with ffprobe
// and ffmpeg, programs of their own.
#include <math.h>
#include <sys/resource.h>
#include <sys/stat.h>

#include "model_util.h"

#include "autogaze/export.h"

struct folder {
    char dir[256], path[512];
};

static const char *in(struct folder *f, const char *name)
{
    snprintf(f->path, sizeof(f->path), "%s/%s", f->dir, name);
    return f->path;
}

static int setup(void **state)
{
    static struct folder f;
    temporary_dir(f.dir, sizeof(f.dir));
    *state = &f;
    return 0;
}

static int teardown(void **state)
{
    char command[512];
    snprintf(command, sizeof(command), "rm -rf '%s'", ((struct folder *)*state)->dir);
    return system(command);
}

static struct ag_export *open_export(const struct ag_export_params *params)
{
    struct ag_error err = { 0 };
    struct ag_export *e = ag_export_create(NULL, params, &err);
    if (!e) {
        fail_msg("%s", err.text);
    }
    return e;
}

static void finish(struct ag_export **e)
{
    struct ag_error err = { 0 };
    if (!ag_export_finish(*e, &err)) {
        fail_msg("%s", err.text);
    }
    ag_export_destroy(e);
}

static struct ag_export_status status_of(struct ag_export *e)
{
    struct ag_export_status s;
    ag_export_get_status(e, &s);
    return s;
}

// Waits for the n-th notice.
static struct ag_export_status wait_notice(struct ag_export *e, uint64_t n)
{
    struct ag_export_status s = status_of(e);
    for (int i = 0; i < 2000 && s.notices < n; i++) {
        ag_sleep_ns(5000000);
        s = status_of(e);
    }
    assert_int_equal(s.notices, n);
    return s;
}

// ---- pictures -----------------------------------------------------------------------------------

// Left half one colour, right half another, and the lower half darker: shows orientation and order.
static void draw(uint8_t *rgba, uint32_t width, uint32_t height, uint32_t index)
{
    for (uint32_t y = 0; y < height; y++) {
        for (uint32_t x = 0; x < width; x++, rgba += 4) {
            uint8_t level = y < height / 2 ? 200 : 100;
            rgba[0] = x < width / 2 ? level : 0;
            rgba[1] = (uint8_t)(index * 8);
            rgba[2] = x < width / 2 ? 0 : level;
            rgba[3] = (uint8_t)x; // means nothing
        }
    }
}

// Hardly compressible.
static void draw_noise(uint8_t *rgba, uint32_t width, uint32_t height, uint32_t index)
{
    uint32_t r = index * 2654435761u + 1;
    for (uint32_t i = 0; i < width * height * 4; i++) {
        r = r * 1664525u + 1013904223u;
        rgba[i] = (uint8_t)(r >> 24);
    }
}

typedef void draw_fn(uint8_t *rgba, uint32_t width, uint32_t height, uint32_t index);

// false: no slot.
static bool add_frame(struct ag_export *e, draw_fn *picture, uint32_t width, uint32_t height,
                      uint32_t index, int64_t pts_ns)
{
    struct ag_export_picture *p = ag_export_acquire(e, AG_EXPORT_FRAME, width, height, 1);
    if (!p) {
        return false;
    }
    assert_int_equal(p->width, width);
    assert_int_equal(p->height, height);
    picture(p->pixels, width, height, index);
    ag_export_frame(e, p, pts_ns);
    return true;
}

static void start(struct ag_export *e, const char *path, uint32_t width, uint32_t height,
                  const char *encoder)
{
    struct ag_error err = { 0 };
    struct ag_recording recording = {
        .path = path, .width = width, .height = height, .fps = 30, .encoder = encoder
    };
    if (!ag_export_record(e, &recording, &err)) {
        fail_msg("%s", err.text);
    }
}

static int64_t at_30(uint32_t index)
{
    return (int64_t)index * 1000000000 / 30;
}

// ---- looking at files ---------------------------------------------------------------------------

static void output_of(const char *command, char *out, size_t size)
{
    FILE *f = popen(command, "r");
    assert_non_null(f);
    size_t n = fread(out, 1, size - 1, f);
    out[n] = 0;
    if (pclose(f) != 0) {
        fail_msg("'%s' failed: %s", command, out);
    }
}

// What ffprobe says, having decoded everything; complaints fail the test.
struct probe {
    int width, height, frames;
    double duration; // NAN: not stated
    char codec[32];
};

static struct probe probe(const char *path)
{
    char command[1024], out[4096], *line = out;
    struct probe p = { .duration = NAN };
    snprintf(command, sizeof(command),
             "ffprobe -v warning -count_frames -of default=nw=1 -show_entries "
             "stream=codec_name,width,height,nb_read_frames:format=duration '%s' 2>&1",
             path);
    output_of(command, out, sizeof(out));
    for (char *end; (end = strchr(line, '\n')); line = end + 1) {
        *end = 0;
        if (sscanf(line, "codec_name=%31s", p.codec) != 1 &&
            sscanf(line, "width=%d", &p.width) != 1 && sscanf(line, "height=%d", &p.height) != 1 &&
            sscanf(line, "duration=%lf", &p.duration) != 1 && strcmp(line, "duration=N/A") != 0 &&
            sscanf(line, "nb_read_frames=%d", &p.frames) != 1) {
            fail_msg("ffprobe about %s: %s", path, line);
        }
    }
    return p;
}

static void expect_probe(const char *path, int width, int height, int frames, double duration)
{
    struct probe p = probe(path);
    assert_int_equal(p.width, width);
    assert_int_equal(p.height, height);
    assert_int_equal(p.frames, frames);
    if (!(fabs(p.duration - duration) < 0.0021)) {
        fail_msg("%s: %g s, expected %g", path, p.duration, duration);
    }
}

// Frames as RGBA, [n][height][width].
static uint8_t *decode(struct folder *f, const char *path, uint32_t width, uint32_t height,
                       uint32_t n)
{
    char command[1600], raw[512], out[2000];
    snprintf(raw, sizeof(raw), "%.400s/raw", f->dir);
    // With the matrix that the file states.
    snprintf(command, sizeof(command),
             "ffmpeg -v error -y -nostdin -i '%s' -vsync passthrough -f rawvideo "
             "-vf scale=flags=accurate_rnd+full_chroma_int -pix_fmt rgba '%s' 2>&1",
             path, raw);
    output_of(command, out, sizeof(out));
    size_t size;
    void *data;
    assert_true(ag_read_file(raw, (size_t)1 << 30, &data, &size, NULL));
    assert_int_equal(size, (size_t)width * height * 4 * n);
    return data;
}

static void expect_pixel(const uint8_t *rgba, uint32_t width, uint32_t x, uint32_t y, int r, int g,
                         int b)
{
    const uint8_t *p = rgba + ((size_t)y * width + x) * 4;
    if (abs(p[0] - r) > 6 || abs(p[1] - g) > 6 || abs(p[2] - b) > 6) {
        fail_msg("pixel %u,%u is %d %d %d, expected %d %d %d", x, y, p[0], p[1], p[2], r, g, b);
    }
}

// The four corners of draw().
static void expect_drawn(const uint8_t *rgba, uint32_t width, uint32_t height, uint32_t index)
{
    int g = (int)index * 8;
    expect_pixel(rgba, width, 0, 0, 200, g, 0);
    expect_pixel(rgba, width, width - 1, 0, 0, g, 200);
    expect_pixel(rgba, width, 0, height - 1, 100, g, 0);
    expect_pixel(rgba, width, width - 1, height - 1, 0, g, 100);
}

// ---- recordings ---------------------------------------------------------------------------------

static void record_30(struct folder *f, const char *name, const char *encoder, uint32_t width,
                      uint32_t height)
{
    struct ag_export *e = open_export(&(struct ag_export_params){ .wait = true });
    const char *path = in(f, name);
    start(e, path, width, height, encoder);
    assert_true(status_of(e).recording);
    for (uint32_t i = 0; i < 30; i++) {
        assert_true(add_frame(e, draw, width, height, i, at_30(i)));
    }
    ag_export_stop_recording(e);
    struct ag_export_status s = wait_notice(e, 1);
    assert_false(s.recording);
    assert_false(s.failure);
    assert_non_null(strstr(s.notice, "30 frames, 1.00 s"));
    assert_int_equal(s.frames, 30);
    assert_int_equal(s.dropped, 0);
    assert_int_equal(s.duration_ns, 1000000000);
    struct stat st;
    assert_int_equal(stat(path, &st), 0);
    assert_int_equal(s.bytes, st.st_size);
    finish(&e);

    uint32_t even_width = AG_ALIGN_UP(width, 2), even_height = AG_ALIGN_UP(height, 2);
    expect_probe(path, (int)even_width, (int)even_height, 30, 1);
    uint8_t *rgba = decode(f, path, even_width, even_height, 30);
    for (uint32_t i = 0; i < 30; i += 7) {
        expect_drawn(rgba + (size_t)i * even_width * even_height * 4, even_width, even_height, i);
    }
    ag_free(rgba);
}

static void containers_and_encoders(void **state)
{
    record_30(*state, "a.mp4", NULL, 128, 96);
    assert_string_equal(probe(in(*state, "a.mp4")).codec, "h264");
    record_30(*state, "deeper/still/a.MKV", "libx264", 128, 96);
    record_30(*state, "b.mp4", "mpeg4", 128, 96);
    assert_string_equal(probe(in(*state, "b.mp4")).codec, "mpeg4");
    record_30(*state, "b.mkv", "mpeg4", 128, 96);
}

static void odd_sizes(void **state)
{
    record_30(*state, "odd.mp4", NULL, 127, 95);
    record_30(*state, "odd.mkv", NULL, 65, 48);
    record_30(*state, "odder.mp4", "mpeg4", 48, 65);
}

// Times of the packets in milliseconds.
static uint32_t packet_times(const char *path, double *ms, uint32_t max)
{
    char command[1024], out[4096], *p = out;
    snprintf(command, sizeof(command),
             "ffprobe -v error -of csv=p=0 -show_entries packet=pts_time '%s'", path);
    output_of(command, out, sizeof(out));
    uint32_t n = 0;
    for (char *end; n < max && (end = strchr(p, '\n')); p = end + 1) {
        ms[n++] = strtod(p, NULL) * 1e3;
    }
    return n;
}

// Times come from the timestamps: any origin, any distances; a loop, a step back and unknown times
// go on one frame later.
static void timestamps(void **state)
{
    const int64_t pts_ms[] = { 5000, 5040, 5140, 5150, 5000, 5040, -1, 4000, 4040, 9040 };
    const double expected[] = { 0, 40, 140, 150, 160, 200, 240, 280, 320, 5320 };
    const char *names[] = { "vfr.mp4", "vfr.mkv" };
    for (size_t k = 0; k < AG_COUNT(names); k++) {
        struct ag_export *e = open_export(&(struct ag_export_params){ .wait = true });
        const char *path = in(*state, names[k]);
        start(e, path, 64, 48, NULL);
        for (uint32_t i = 0; i < AG_COUNT(pts_ms); i++) {
            int64_t ns = pts_ms[i] < 0 ? -1 : pts_ms[i] * 1000000;
            assert_true(add_frame(e, draw, 64, 48, i, ns));
        }
        finish(&e); // ends the recording as well
        double ms[32];
        assert_int_equal(packet_times(path, ms, 32), AG_COUNT(expected));
        for (size_t i = 0; i < AG_COUNT(expected); i++) {
            if (fabs(ms[i] - expected[i]) > 0.6) {
                fail_msg("packet %zu of %s at %g ms, expected %g", i, names[k], ms[i], expected[i]);
            }
        }
        assert_true(fabs(probe(path).duration - 5.36) < 0.002);
    }
}

// A picture of another size: as large as fits, in the middle of black.
static void other_size(void **state)
{
    struct ag_export *e = open_export(&(struct ag_export_params){ .wait = true });
    const char *path = in(*state, "sizes.mp4");
    start(e, path, 128, 96, NULL);
    assert_true(add_frame(e, draw, 128, 96, 0, 0));
    assert_true(add_frame(e, draw, 200, 50, 1, at_30(1))); // 128x32 at 0,32
    assert_true(add_frame(e, draw, 31, 61, 2, at_30(2)));  // 48x96 at 40,0
    assert_true(add_frame(e, draw, 128, 96, 3, at_30(3)));
    finish(&e);
    uint8_t *rgba = decode(*state, path, 128, 96, 4), *frame[4];
    for (size_t i = 0; i < 4; i++) {
        frame[i] = rgba + i * 128 * 96 * 4;
    }
    expect_drawn(frame[0], 128, 96, 0);
    expect_drawn(frame[3], 128, 96, 3);
    expect_pixel(frame[1], 128, 64, 16, 0, 0, 0);
    expect_pixel(frame[1], 128, 64, 80, 0, 0, 0);
    expect_pixel(frame[1], 128, 20, 40, 200, 8, 0);
    expect_pixel(frame[1], 128, 108, 58, 0, 8, 100);
    expect_pixel(frame[2], 128, 20, 48, 0, 0, 0);
    expect_pixel(frame[2], 128, 108, 48, 0, 0, 0);
    expect_pixel(frame[2], 128, 50, 20, 200, 16, 0);
    expect_pixel(frame[2], 128, 78, 80, 0, 16, 100);
    ag_free(rgba);
}

// Nothing waits where waiting was not asked for: without a free slot a frame is left out.
static void dropped(void **state)
{
    struct ag_export *e = open_export(&(struct ag_export_params){ .slots = 3 });
    const char *path = in(*state, "live.mp4");
    assert_null(ag_export_acquire(e, AG_EXPORT_FRAME, 64, 48, 1)); // no recording: not counted
    start(e, path, 64, 48, NULL);
    struct ag_export_picture *p[3];
    for (int i = 0; i < 3; i++) {
        p[i] = ag_export_acquire(e, AG_EXPORT_FRAME, 64, 48, 1);
        assert_non_null(p[i]);
        draw(p[i]->pixels, 64, 48, (uint32_t)i);
    }
    assert_null(ag_export_acquire(e, AG_EXPORT_FRAME, 64, 48, 1));
    assert_null(ag_export_acquire(e, AG_EXPORT_FRAME, 64, 48, 1));
    assert_null(ag_export_acquire(e, AG_EXPORT_SCREENSHOT, 64, 48, 3)); // not a frame
    ag_export_frame(e, p[0], 0);
    ag_export_release(e, p[1]);
    ag_export_stop_recording(e); // the picture still out belongs to it
    assert_null(ag_export_acquire(e, AG_EXPORT_FRAME, 64, 48, 1));
    ag_sleep_ns(20000000);
    struct ag_error err = { 0 };
    struct ag_recording again = { .path = path, .width = 64, .height = 48 };
    assert_false(ag_export_record(e, &again, &err));
    assert_int_equal(err.status, AG_ERR_OUTPUT);
    assert_non_null(strstr(err.text, "not complete yet"));
    ag_export_frame(e, p[2], at_30(3));
    struct ag_export_status s = wait_notice(e, 1);
    assert_int_equal(s.frames, 2);
    assert_int_equal(s.dropped, 2);
    assert_int_equal(s.waits, 0);
    finish(&e);
    expect_probe(path, 64, 48, 2, 0.2);
}

// Slots that the caller holds himself are not waited for.
static void complete_runs(void **state)
{
    struct ag_export *e = open_export(&(struct ag_export_params){ .slots = 2, .wait = true });
    const char *path = in(*state, "all.mkv");
    start(e, path, 320, 240, NULL);
    for (uint32_t i = 0; i < 60; i++) {
        assert_true(add_frame(e, draw, 320, 240, i % 30, at_30(i)));
    }
    struct ag_export_picture *a = ag_export_acquire(e, AG_EXPORT_FRAME, 320, 240, 1);
    struct ag_export_picture *b = ag_export_acquire(e, AG_EXPORT_FRAME, 320, 240, 1);
    assert_non_null(a);
    assert_non_null(b);
    assert_null(ag_export_acquire(e, AG_EXPORT_FRAME, 320, 240, 1));
    ag_export_release(e, a);
    ag_export_release(e, b);
    assert_int_equal(status_of(e).dropped, 1);
    finish(&e);
    expect_probe(path, 320, 240, 60, 2);
}

// One recording after the other with one writer; frames of the old one do not get into the new one.
static void two_recordings(void **state)
{
    struct ag_export *e = open_export(&(struct ag_export_params){ .wait = true });
    char first[512], second[512];
    snprintf(first, sizeof(first), "%s", in(*state, "first.mp4"));
    snprintf(second, sizeof(second), "%s", in(*state, "second.mp4"));
    start(e, first, 64, 48, NULL);
    for (uint32_t i = 0; i < 5; i++) {
        assert_true(add_frame(e, draw, 64, 48, i, at_30(i)));
    }
    ag_export_stop_recording(e);
    wait_notice(e, 1);
    start(e, second, 48, 64, NULL);
    assert_int_equal(status_of(e).frames, 0);
    for (uint32_t i = 0; i < 7; i++) {
        assert_true(add_frame(e, draw, 48, 64, i, at_30(i)));
    }
    finish(&e);
    expect_probe(first, 64, 48, 5, 5 / 30.0);
    expect_probe(second, 48, 64, 7, 7 / 30.0);
}

// What is on disk while a recording goes on can be played: nothing is lost but the last seconds.
static void crash(void **state)
{
    const char *names[] = { "crash.mp4", "crash.mkv" };
    for (size_t k = 0; k < AG_COUNT(names); k++) {
        struct ag_export *e = open_export(&(struct ag_export_params){ .wait = true });
        char path[512], command[1200], out[64];
        snprintf(path, sizeof(path), "%s", in(*state, names[k]));
        start(e, path, 64, 48, NULL);
        for (uint32_t i = 0; i < 300; i++) {
            assert_true(add_frame(e, draw, 64, 48, i % 30, at_30(i)));
        }
        while (status_of(e).waiting) {
            ag_sleep_ns(2000000);
        }
        const char *copy = in(*state, k ? "copy.mkv" : "copy.mp4");
        snprintf(command, sizeof(command), "cp '%s' '%s'", path, copy);
        output_of(command, out, sizeof(out));
        struct probe p = probe(copy);
        assert_in_range(p.frames, 120, 300);
        ag_export_destroy(&e); // not finished, yet in order
        expect_probe(path, 64, 48, 300, 10);
    }
}

// ---- what goes wrong ----------------------------------------------------------------------------

static void limit_files(rlim_t bytes)
{
    struct rlimit limit;
    assert_int_equal(getrlimit(RLIMIT_FSIZE, &limit), 0);
    limit.rlim_cur = AG_MIN(bytes, limit.rlim_max);
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &limit), 0);
}

// A disk that takes no more than `bytes`: the recording ends with a notice and can be played, the
// writer goes on with other things.
static void full_disk(struct folder *f, const char *name, const char *encoder, rlim_t bytes)
{
    struct ag_export *e = open_export(&(struct ag_export_params){ .wait = true });
    const char *path = in(f, name);
    start(e, path, 160, 120, encoder);
    limit_files(bytes);
    uint32_t added = 0;
    while (added < 2000 && add_frame(e, draw_noise, 160, 120, added, at_30(added))) {
        added++;
    }
    struct ag_export_status s = wait_notice(e, 1);
    limit_files(RLIM_INFINITY);
    assert_in_range(added, 1, 1999);
    assert_false(s.recording);
    assert_true(s.failure);
    assert_non_null(strstr(s.notice, "File too large"));
    if (!strstr(s.notice, "can be played")) {
        fail_msg("%s (%u frames added, %llu bytes)", s.notice, added, (unsigned long long)s.bytes);
    }
    assert_int_equal(s.dropped, 0); // they were not to be recorded any more
    assert_in_range(s.frames, 1, added);

    struct stat st;
    assert_int_equal(stat(path, &st), 0);
    assert_in_range(st.st_size, 1, bytes);
    assert_int_equal(st.st_size, s.bytes);
    struct probe p = probe(path);
    assert_int_equal(p.frames, s.frames);
    // The header of an mkv states the time of the last piece tried.
    assert_true(p.duration > p.frames / 30.0 - 0.002 && p.duration < p.frames / 30.0 + 3);

    char again[512];
    snprintf(again, sizeof(again), "%s", in(f, "after.mp4"));
    start(e, again, 64, 48, NULL);
    for (uint32_t i = 0; i < 3; i++) {
        assert_true(add_frame(e, draw, 64, 48, i, at_30(i)));
    }
    struct ag_error err = { 0 };
    assert_false(ag_export_finish(e, &err)); // the first failure of the run
    assert_int_equal(err.status, AG_ERR_OUTPUT);
    assert_string_equal(err.text, s.notice);
    ag_export_destroy(&e);
    expect_probe(again, 64, 48, 3, 0.1);
}

static void full_disks(void **state)
{
    full_disk(*state, "full.mp4", NULL, 3000000);
    full_disk(*state, "full.mkv", NULL, 3000000);
    full_disk(*state, "full4.mp4", "mpeg4", 1500000);
    full_disk(*state, "full4.mkv", "mpeg4", 4000000);
}

// Full before the first piece: nothing can be played, nothing stays.
static void full_at_once(void **state)
{
    const char *names[] = { "tiny.mp4", "tiny.mkv" };
    const rlim_t room[] = { 5000, 70000 }; // the index of the mkv has its place already
    for (size_t k = 0; k < AG_COUNT(names); k++) {
        struct ag_export *e = open_export(&(struct ag_export_params){ .wait = true });
        const char *path = in(*state, names[k]);
        start(e, path, 160, 120, NULL);
        limit_files(room[k]);
        for (uint32_t i = 0; i < 20; i++) {
            add_frame(e, draw_noise, 160, 120, i, at_30(i));
        }
        struct ag_error err = { 0 };
        assert_false(ag_export_finish(e, &err));
        limit_files(RLIM_INFINITY);
        assert_int_equal(err.status, AG_ERR_OUTPUT);
        if (!strstr(err.text, "nothing could be recorded")) {
            fail_msg("%s", err.text);
        }
        assert_int_not_equal(access(path, F_OK), 0);
        ag_export_destroy(&e);
    }
}

static void expect_refused(struct ag_export *e, const struct ag_recording *r, enum ag_status status,
                           const char *words)
{
    struct ag_error err = { 0 };
    assert_false(ag_export_record(e, r, &err));
    assert_int_equal(err.status, status);
    if (!strstr(err.text, words)) {
        fail_msg("'%s' does not say '%s'", err.text, words);
    }
    assert_false(status_of(e).recording);
}

static void refusals(void **state)
{
    struct ag_export *e = open_export(&(struct ag_export_params){ .slots = 0 });
    struct ag_recording r = { .path = "video.avi", .width = 64, .height = 48 };
    expect_refused(e, &r, AG_ERR_USAGE, "must end in .mp4 or .mkv");
    r.path = "video";
    expect_refused(e, &r, AG_ERR_USAGE, "must end in .mp4 or .mkv");
    r.path = "/proc/none/video.mp4";
    expect_refused(e, &r, AG_ERR_OUTPUT, "/proc/none/video.mp4");
    char path[512];
    snprintf(path, sizeof(path), "%s", in(*state, "folder.mkv"));
    assert_int_equal(mkdir(path, 0777), 0);
    r.path = path;
    expect_refused(e, &r, AG_ERR_OUTPUT, "directory");
    snprintf(path, sizeof(path), "%s", in(*state, "pipe.mkv"));
    assert_int_equal(mkfifo(path, 0666), 0);
    expect_refused(e, &r, AG_ERR_OUTPUT, "expected a file");
    snprintf(path, sizeof(path), "%s", in(*state, "huge.mp4"));
    r.encoder = "mpeg4";
    r.width = 20000; // more than the encoder can do
    expect_refused(e, &r, AG_ERR_OUTPUT, "20000x48");
    assert_int_not_equal(access(path, F_OK), 0);
    r.encoder = "none";
    expect_refused(e, &r, AG_ERR_OUTPUT, "encoder none");
    finish(&e); // what was refused at once is no failure of the run
}

static void no_frame(void **state)
{
    struct ag_export *e = open_export(&(struct ag_export_params){ .slots = 0 });
    const char *path = in(*state, "nothing.mp4");
    start(e, path, 64, 48, NULL);
    struct ag_error err = { 0 };
    assert_false(ag_export_finish(e, &err));
    assert_non_null(strstr(err.text, "no frame was recorded"));
    assert_int_not_equal(access(path, F_OK), 0);
    ag_export_destroy(&e);
}

// ---- slots --------------------------------------------------------------------------------------

struct memory {
    int calls, live;
    uint64_t refuse_from; // size
};

static void *resize(void *user, void **handle, uint64_t size)
{
    struct memory *m = user;
    m->calls++;
    m->live -= *handle != NULL;
    free(*handle);
    *handle = size && size < m->refuse_from ? malloc(size) : NULL;
    m->live += *handle != NULL;
    return *handle;
}

// The caller's memory, made before the first frame; then nothing is allocated any more.
static void slot_memory(void **state)
{
    struct memory m = { .refuse_from = 1000000 };
    struct ag_export_params params = { .slots = 3, .wait = true, .resize = resize, .user = &m };
    struct ag_export *e = open_export(&params);
    start(e, in(*state, "memory.mp4"), 128, 96, NULL);
    assert_int_equal(m.calls, 3);
    uint64_t allocations = ag_alloc_count();
    for (uint32_t i = 0; i < 30; i++) {
        struct ag_export_picture *p = ag_export_acquire(e, AG_EXPORT_FRAME, 128, 96, 1);
        assert_non_null(p);
        assert_ptr_equal(p->pixels, p->memory);
        draw(p->pixels, 128, 96, i);
        ag_export_frame(e, p, at_30(i));
    }
    while (status_of(e).waiting) {
        ag_sleep_ns(2000000);
    }
    assert_int_equal(ag_alloc_count(), allocations);
    assert_int_equal(m.calls, 3);
    // A larger picture: one slot grows; one that is too large is a notice.
    assert_true(add_frame(e, draw, 256, 192, 0, at_30(30)));
    assert_int_equal(m.calls, 4);
    assert_null(ag_export_acquire(e, AG_EXPORT_SCREENSHOT, 1000, 1000, 1));
    struct ag_export_status s = status_of(e);
    assert_true(s.failure);
    assert_non_null(strstr(s.notice, "1000x1000"));
    struct ag_error err = { 0 };
    assert_false(ag_export_finish(e, &err));
    assert_int_equal(err.status, AG_ERR_DEVICE);
    ag_export_destroy(&e);
    assert_int_equal(m.live, 0);
    expect_probe(in(*state, "memory.mp4"), 128, 96, 31, 31 / 30.0);
}

// ---- screenshots --------------------------------------------------------------------------------

static void screenshots(void **state)
{
    struct folder *f = *state;
    struct ag_export *e = open_export(&(struct ag_export_params){ .slots = 0 });
    struct ag_export_picture *p = ag_export_acquire(e, AG_EXPORT_SCREENSHOT, 33, 21, 3);
    assert_non_null(p);
    assert_int_equal(p->count, 3);
    uint8_t own[3][33 * 21 * 4];
    const uint8_t *pictures[] = { own[0], own[1], own[2] };
    for (uint32_t i = 0; i < 3; i++) {
        draw(own[i], 33, 21, i);
    }
    memcpy(p->pixels, own, sizeof(own));
    char path[512];
    snprintf(path, sizeof(path), "%s", in(f, "shots/shot.png"));
    ag_export_screenshot(e, p, path);
    memset(path, 'x', 10); // the caller's name is his own again
    struct ag_export_status s = wait_notice(e, 1);
    assert_false(s.failure);
    assert_non_null(strstr(s.notice, "shot.png"));

    assert_true(ag_screenshot_write(in(f, "own.png"), pictures, 3, 33, 21, NULL));
    size_t n, m;
    void *a = read_file(f->dir, "shots/shot.png", &n), *b = read_file(f->dir, "own.png", &m);
    assert_int_equal(n, m);
    assert_memory_equal(a, b, n);
    ag_free(a);
    ag_free(b);

    p = ag_export_acquire(e, AG_EXPORT_SCREENSHOT, 33, 21, 1);
    assert_non_null(p);
    ag_export_screenshot(e, p, in(f, "own.png/shot.png"));
    s = wait_notice(e, 2);
    assert_true(s.failure);
    struct ag_error err = { 0 };
    assert_false(ag_export_finish(e, &err));
    assert_int_equal(err.status, AG_ERR_OUTPUT);
    assert_string_equal(err.text, s.notice);
    ag_export_destroy(&e);
}

// ---- reports ------------------------------------------------------------------------------------

#define CELLS 21 // 1 + 4 + 16

static const struct ag_model_config grids = {
    .n_scales = 3,
    .scale = { 8, 16, 32 },
    .scale_grid = { 1, 2, 4 },
    .scale_first = { 0, 1, 5 },
    .cells = CELLS,
    .eos = CELLS,
};

// Frame `index`; the arrays are overwritten by the next call, as the pipeline does it.
static struct ag_frame_report make_report(uint32_t index)
{
    static uint32_t ids[CELLS], cells[CELLS];
    static float losses[CELLS];
    static char source[32];
    struct ag_frame_report r = {
        .frame_id = index + 1, .sequence = index, .pts_ns = at_30(index), .width = 64,
        .height = 48, .mask_source = source, .cells = cells, .has_gaze = index % 10 != 9,
        .gaze_ratio = 0.5,
    };
    const uint32_t sides[] = { 1, 2, 4 };
    ag_layout_from_sides(sides, 3, &r.layout);
    snprintf(source, sizeof(source), "source %u", index);
    uint32_t n = 1 + index % 7, valid = n - (index % 3 == 0);
    for (uint32_t i = 0; i < n; i++) {
        ids[i] = i < valid ? (index * 5 + i * 4) % CELLS : CELLS;
        losses[i] = (float)(index + i) / 8;
    }
    r.gaze = (struct ag_gaze){ .frame_id = r.frame_id, .slots = n, .rounds = 1, .valid = valid,
                               .ids = ids, .losses = losses };
    for (uint32_t i = 0; i < 3; i++) {
        cells[r.n_cells++] = i * 4 + index % 4;
    }
    return r;
}

// Trace and gaze file by the writer are those of the same calls made here, byte by byte; and many
// reports do not allocate.
static void reports(void **state)
{
    struct folder *f = *state;
    struct ag_gaze_export_params gaze = { .model = &grids };
    struct ag_export_params params = { 0 };
    struct ag_trace *trace = ag_trace_open(in(f, "own.jsonl"), NULL);
    struct ag_gaze_export *own = ag_gaze_export_open(in(f, "own.safetensors"), &gaze, NULL);
    params.trace = ag_trace_open(in(f, "trace.jsonl"), NULL);
    params.gaze = ag_gaze_export_open(in(f, "gaze.safetensors"), &gaze, NULL);
    assert_true(trace && own && params.trace && params.gaze);
    struct ag_export *e = open_export(&params);
    for (uint32_t i = 0; i < 500; i++) {
        struct ag_frame_report r = make_report(i);
        ag_trace_add(trace, &r);
        if (r.has_gaze) {
            ag_gaze_export_add(own, &r.gaze);
        }
        ag_export_report(e, &r);
    }
    finish(&e);
    assert_true(ag_trace_close(&trace, NULL));
    assert_true(ag_gaze_export_close(&own, NULL));
    const char *pairs[][2] = { { "own.jsonl", "trace.jsonl" },
                               { "own.safetensors", "gaze.safetensors" } };
    for (size_t i = 0; i < AG_COUNT(pairs); i++) {
        size_t n, m;
        void *a = read_file(f->dir, pairs[i][0], &n), *b = read_file(f->dir, pairs[i][1], &m);
        assert_true(n > 1000);
        assert_int_equal(n, m);
        assert_memory_equal(a, b, n);
        ag_free(a);
        ag_free(b);
    }
}

static void reports_allocate_once(void **state)
{
    struct ag_export_params params = { 0 };
    params.trace = ag_trace_open(in(*state, "once.jsonl"), NULL);
    assert_non_null(params.trace);
    struct ag_export *e = open_export(&params);
    struct ag_frame_report r = make_report(0);
    ag_export_report(e, &r);
    uint64_t allocations = ag_alloc_count();
    for (uint32_t i = 1; i < 200; i++) {
        r = make_report(i);
        ag_export_report(e, &r);
    }
    assert_int_equal(ag_alloc_count(), allocations);
    finish(&e);
}

// Files that cannot be completed are failures of the run.
static void report_failures(void **state)
{
    struct ag_gaze_export_params gaze = { .model = &grids };
    struct ag_export_params params = { .gaze = ag_gaze_export_open(in(*state, "late.npz"), &gaze,
                                                                   NULL) };
    assert_non_null(params.gaze);
    struct ag_export *e = open_export(&params);
    struct ag_frame_report r = make_report(3);
    ag_export_report(e, &r);
    limit_files(100);
    struct ag_error err = { 0 };
    bool ok = ag_export_finish(e, &err);
    limit_files(RLIM_INFINITY);
    assert_false(ok);
    assert_int_equal(err.status, AG_ERR_OUTPUT);
    assert_non_null(strstr(err.text, "late.npz"));
    assert_true(status_of(e).failure);
    ag_export_destroy(&e);
    assert_int_not_equal(access(in(*state, "late.npz"), F_OK), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(containers_and_encoders),
        cmocka_unit_test(odd_sizes),
        cmocka_unit_test(timestamps),
        cmocka_unit_test(other_size),
        cmocka_unit_test(dropped),
        cmocka_unit_test(complete_runs),
        cmocka_unit_test(two_recordings),
        cmocka_unit_test(crash),
        cmocka_unit_test(full_disks),
        cmocka_unit_test(full_at_once),
        cmocka_unit_test(refusals),
        cmocka_unit_test(no_frame),
        cmocka_unit_test(slot_memory),
        cmocka_unit_test(screenshots),
        cmocka_unit_test(reports),
        cmocka_unit_test(reports_allocate_once),
        cmocka_unit_test(report_failures),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
