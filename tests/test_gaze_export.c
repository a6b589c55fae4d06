// Gaze files: what is read back equals what was added, by our own reader and by numpy.
#include "model_util.h"

#include "autogaze/export.h"

// Grids 1 and 2: cell 0, then 1..4; a pad is 5.
static const struct ag_model_config small = {
    .n_scales = 2,
    .scale = { 16, 32 },
    .scale_grid = { 1, 2 },
    .scale_first = { 0, 1 },
    .cells = 5,
    .eos = 5,
    .vocab = 6,
};

static uint32_t ids_a[] = { 4, 0, 5 }, ids_b[] = { 2 }, ids_c[] = { 3, 1, 2, 5 };
static const struct ag_gaze clip[] = {
    { .frame_id = 7, .slots = 3, .valid = 2, .ids = ids_a },
    { .frame_id = 8, .slots = 1, .valid = 1, .ids = ids_b },
    { .frame_id = 11, .slots = 4, .valid = 3, .ids = ids_c },
    { .frame_id = 12, .slots = 0 },
};
// A pad of frame t has the number of the first cell of frame t+1.
static const int64_t clip_pos[] = { 4, 0, 5, 2 + 5, 3 + 10, 1 + 10, 2 + 10, 5 + 10 };
static const uint8_t clip_padded[] = { 0, 0, 1, 0, 0, 0, 0, 1 };
static const int64_t clip_counts[] = { 3, 1, 4, 0 }, clip_frames[] = { 7, 8, 11, 12 };
static const float clip_mask_16[] = { 1, 0, 0, 0 };
static const float clip_mask_32[] = { 0, 0, 0, 1, 0, 1, 0, 0, 1, 1, 1, 0, 0, 0, 0, 0 };

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

static struct ag_gaze_export *open_export(const char *path, uint32_t streams, uint64_t max_bytes)
{
    struct ag_error err = { 0 };
    struct ag_gaze_export *g = ag_gaze_export_open(path,
                                                   &(struct ag_gaze_export_params){
                                                       .model = &small,
                                                       .streams = streams,
                                                       .max_bytes = max_bytes,
                                                   },
                                                   &err);
    if (!g) {
        fail_msg("%s", err.text);
    }
    return g;
}

static void write_clip(const char *path, uint64_t frames)
{
    struct ag_gaze_export *g = open_export(path, 0, 0);
    for (uint64_t i = 0; i < frames; i++) {
        ag_gaze_export_add(g, &clip[i]);
    }
    assert_true(ag_gaze_export_close(&g, NULL));
    assert_null(g);
}

static void expect_tensor(const struct ag_safetensors *f, const char *name, enum ag_dtype dtype,
                          uint32_t rank, const uint32_t *shape, const void *data)
{
    const struct ag_safetensors_entry *e = ag_safetensors_find(f, name);
    if (!e) {
        fail_msg("no tensor %s", name);
    }
    assert_int_equal(e->dtype, dtype);
    assert_int_equal(e->rank, rank);
    for (uint32_t i = 0; i < rank; i++) {
        assert_int_equal(e->shape[i], shape[i]);
    }
    if (e->bytes) {
        assert_memory_equal(e->data, data, e->bytes);
    }
}
#define SHAPE(...)                                                                                 \
    sizeof((uint32_t[]){ __VA_ARGS__ }) / sizeof(uint32_t), (const uint32_t[]){ __VA_ARGS__ }

static void safetensors(void **state)
{
    const char *path = in(*state, "deeper/gaze.safetensors");
    write_clip(path, 4);
    struct ag_error err = { 0 };
    struct ag_safetensors *f = ag_safetensors_open(path, &err);
    if (!f) {
        fail_msg("%s", err.text);
    }
    assert_int_equal(ag_safetensors_count(f), 6);
    expect_tensor(f, "gazing_pos", AG_I64, SHAPE(1, 8), clip_pos);
    expect_tensor(f, "if_padded_gazing", AG_U8, SHAPE(1, 8), clip_padded);
    expect_tensor(f, "num_gazing_each_frame", AG_I64, SHAPE(4), clip_counts);
    expect_tensor(f, "frame_id", AG_I64, SHAPE(4), clip_frames);
    expect_tensor(f, "gazing_mask_16", AG_F32, SHAPE(1, 4, 1), clip_mask_16);
    expect_tensor(f, "gazing_mask_32", AG_F32, SHAPE(1, 4, 4), clip_mask_32);
    // Readers that map the file want the numbers at their natural places.
    assert_int_equal((uintptr_t)ag_safetensors_find(f, "gazing_pos")->data % 8, 0);
    ag_safetensors_close(&f);
    void *bytes;
    size_t size;
    assert_true(ag_read_file(path, 1 << 20, &bytes, &size, NULL));
    assert_non_null(strstr((char *)bytes + 8, "\"__metadata__\":{\"scales\":\"16+32\","
                                              "\"frame_sampling_rate\":\"1\","
                                              "\"num_vision_tokens_each_frame\":\"5\"}"));
    ag_free(bytes);
}

// Three streams of different length: rows of one length, more pads for the shorter.
static void streams(void **state)
{
    const char *path = in(*state, "tiles.safetensors");
    struct ag_gaze_export *g = open_export(path, 3, 0);
    ag_gaze_export_add(g, clip);                                                // 3, 1, 4 slots
    ag_gaze_export_add(g, (const struct ag_gaze[]){ clip[1], clip[3], clip[1] }); // 1, 0, 1
    assert_true(ag_gaze_export_close(&g, NULL));
    const int64_t pos[] = { 4, 0, 5, 5, 2 + 5, 2, 5, 5, 5, 5 + 5, 3, 1, 2, 5, 2 + 5 };
    const uint8_t padded[] = { 0, 0, 1, 1, 0, 0, 1, 1, 1, 1, 0, 0, 0, 1, 0 };
    const float mask[] = { 0, 0, 0, 1, 0, 1, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 1, 1, 1, 0, 0, 1, 0, 0 };
    struct ag_safetensors *f = ag_safetensors_open(path, NULL);
    assert_non_null(f);
    expect_tensor(f, "gazing_pos", AG_I64, SHAPE(3, 5), pos);
    expect_tensor(f, "if_padded_gazing", AG_U8, SHAPE(3, 5), padded);
    expect_tensor(f, "num_gazing_each_frame", AG_I64, SHAPE(2), (const int64_t[]){ 4, 1 });
    expect_tensor(f, "gazing_mask_32", AG_F32, SHAPE(3, 2, 4), mask);
    ag_safetensors_close(&f);
}

static void no_frames(void **state)
{
    write_clip(in(*state, "empty.safetensors"), 0);
    struct ag_safetensors *f = ag_safetensors_open(in(*state, "empty.safetensors"), NULL);
    assert_non_null(f);
    expect_tensor(f, "gazing_pos", AG_I64, SHAPE(1, 0), NULL);
    expect_tensor(f, "gazing_mask_16", AG_F32, SHAPE(1, 0, 1), NULL);
    ag_safetensors_close(&f);
}

// ---- npz ----------------------------------------------------------------------------------------

static uint64_t little(const uint8_t *p, uint32_t bytes)
{
    uint64_t v = 0;
    for (uint32_t i = 0; i < bytes; i++) {
        v |= (uint64_t)p[i] << (8 * i);
    }
    return v;
}

// Bit by bit, unlike the code under test.
static uint32_t checksum(const uint8_t *p, size_t n)
{
    uint32_t crc = ~0u;
    for (size_t i = 0; i < n; i++) {
        crc ^= p[i];
        for (int b = 0; b < 8; b++) {
            crc = crc >> 1 ^ (crc & 1 ? 0xedb88320u : 0);
        }
    }
    return ~crc;
}

// A member through the central directory, as readers of zip find it.
static const uint8_t *zip_member(const uint8_t *zip, size_t size, const char *name, size_t *length)
{
    const uint8_t *end = zip + size - 22;
    assert_int_equal(little(end, 4), 0x06054b50);
    const uint8_t *entry = zip + little(end + 16, 4);
    assert_int_equal(little(end + 12, 4), end - entry);
    for (uint64_t n = little(end + 10, 2); n; n--) {
        assert_int_equal(little(entry, 4), 0x02014b50);
        size_t letters = little(entry + 28, 2);
        if (letters == strlen(name) && memcmp(entry + 46, name, letters) == 0) {
            const uint8_t *local = zip + little(entry + 42, 4);
            assert_int_equal(little(local, 4), 0x04034b50);
            assert_memory_equal(local + 4, entry + 6, 26); // both say the same
            assert_int_equal(little(local + 8, 2), 0);     // stored
            *length = little(entry + 24, 4);
            const uint8_t *data = local + 30 + letters;
            assert_int_equal(checksum(data, *length), little(entry + 16, 4));
            return data;
        }
        entry += 46 + letters;
    }
    fail_msg("no member %s", name);
    return NULL;
}

static void expect_npy(const uint8_t *zip, size_t size, const char *name, const char *header,
                       const void *data, size_t bytes)
{
    size_t length;
    const uint8_t *npy = zip_member(zip, size, name, &length);
    assert_memory_equal(npy, "\x93NUMPY\x01\0", 8);
    size_t start = 10 + little(npy + 8, 2);
    assert_int_equal(start % 64, 0);
    assert_int_equal(npy[start - 1], '\n');
    assert_memory_equal(npy + 10, header, strlen(header));
    assert_int_equal(length - start, bytes);
    assert_memory_equal(npy + start, data, bytes);
}

static void npz(void **state)
{
    const char *path = in(*state, "gaze.NPZ");
    void *bytes;
    size_t n;
    write_clip(path, 4);
    assert_true(ag_read_file(path, 1 << 20, &bytes, &n, NULL));
    expect_npy(bytes, n, "gazing_pos.npy",
               "{'descr': '<i8', 'fortran_order': False, 'shape': (1, 8), }", clip_pos,
               sizeof(clip_pos));
    expect_npy(bytes, n, "if_padded_gazing.npy",
               "{'descr': '|b1', 'fortran_order': False, 'shape': (1, 8), }", clip_padded,
               sizeof(clip_padded));
    expect_npy(bytes, n, "num_gazing_each_frame.npy",
               "{'descr': '<i8', 'fortran_order': False, 'shape': (4,), }", clip_counts,
               sizeof(clip_counts));
    expect_npy(bytes, n, "gazing_mask_32.npy",
               "{'descr': '<f4', 'fortran_order': False, 'shape': (1, 4, 4), }", clip_mask_32,
               sizeof(clip_mask_32));
    expect_npy(bytes, n, "num_vision_tokens_each_frame.npy",
               "{'descr': '<i8', 'fortran_order': False, 'shape': (), }", (const int64_t[]){ 5 },
               8);
    ag_free(bytes);
}

// The same by the readers it is for.
static const char check_script[] =
    "import json, struct, sys\n"
    "import numpy as np\n"
    "z = np.load(sys.argv[1] + '/n.npz')\n"
    "assert z['gazing_pos'].tolist() == [[4, 0, 5, 7, 13, 11, 12, 15]]\n"
    "assert z['if_padded_gazing'].dtype == bool\n"
    "assert z['if_padded_gazing'].sum() == 2 and z['if_padded_gazing'][0, 2]\n"
    "assert z['num_gazing_each_frame'].tolist() == [3, 1, 4, 0]\n"
    "assert z['gazing_mask_32'].shape == (1, 4, 4)\n"
    "assert z['gazing_mask_32'].sum(2).tolist() == [[1, 1, 3, 0]]\n"
    "assert z['scales'].tolist() == [16, 32]\n"
    "assert int(z['frame_sampling_rate']) == 1\n"
    "assert int(z['num_vision_tokens_each_frame']) == 5\n"
    "raw = open(sys.argv[1] + '/n.safetensors', 'rb').read()\n"
    "n, = struct.unpack('<Q', raw[:8])\n"
    "types = {'I64': np.int64, 'F32': np.float32, 'U8': np.uint8}\n"
    "for k, v in json.loads(raw[8:8 + n]).items():\n"
    "    if k != '__metadata__':\n"
    "        a, b = v['data_offsets']\n"
    "        t = np.frombuffer(raw[8 + n + a:8 + n + b], types[v['dtype']])\n"
    "        assert np.array_equal(t.reshape(v['shape']), z[k]), k\n";

static void numpy(void **state)
{
    struct folder *f = *state;
    char command[2048];
    write_clip(in(f, "n.npz"), 4);
    write_clip(in(f, "n.safetensors"), 4);
    write_bytes(f->dir, "check.py", check_script, strlen(check_script));
    // The first python3 need not be the one that the package python3-numpy belongs to.
    snprintf(command, sizeof(command),
             "for p in python3 /usr/bin/python3; do "
             "$p -c 'import numpy' 2>/dev/null && exec $p '%s/check.py' '%s'; done; "
             "echo 'python3-numpy is needed for this test' >&2; exit 1",
             f->dir, f->dir);
    assert_int_equal(system(command), 0);
}

// ---- limits and errors --------------------------------------------------------------------------

static void too_large(void **state)
{
    const char *path = in(*state, "large.npz");
    struct ag_error err = { 0 };
    struct ag_gaze_export *g = open_export(path, 0, 40000);
    for (int i = 0; i < 1000; i++) {
        ag_gaze_export_add(g, &clip[0]);
    }
    assert_false(ag_gaze_export_close(&g, &err));
    assert_null(g);
    assert_int_equal(err.status, AG_ERR_OUTPUT);
    assert_non_null(strstr(err.text, "first 114 frames")); // of 63 bytes each behind the headers
    void *bytes;
    size_t n, length;
    assert_true(ag_read_file(path, 40000, &bytes, &n, NULL));
    zip_member(bytes, n, "frame_id.npy", &length);
    assert_int_equal(length, 128 + 114 * 8);
    ag_free(bytes);
}

static void expect_error(const char *path, const struct ag_model_config *model,
                         enum ag_status status, const char *words)
{
    struct ag_error err = { 0 };
    assert_null(ag_gaze_export_open(path, &(struct ag_gaze_export_params){ .model = model }, &err));
    assert_int_equal(err.status, status);
    if (!strstr(err.text, words)) {
        fail_msg("'%s' does not say '%s'", err.text, words);
    }
}

static void errors(void **state)
{
    expect_error("gaze.json", &small, AG_ERR_USAGE, ".safetensors or .npz");
    expect_error("a.npz/gaze", &small, AG_ERR_USAGE, ".safetensors or .npz");
    expect_error(".npz", &small, AG_ERR_USAGE, ".safetensors or .npz");
    expect_error("gaze.npz", NULL, AG_ERR_USAGE, "no model");
    expect_error("/proc/none/gaze.npz", &small, AG_ERR_OUTPUT, "/proc/none/gaze.npz");
    write_clip(in(*state, "file.npz"), 1);
    expect_error(in(*state, "file.npz/gaze.npz"), &small, AG_ERR_OUTPUT, "gaze.npz");
    struct ag_gaze_export *g = open_export(in(*state, "none.npz"), 0, 0);
    ag_gaze_export_add(g, &clip[0]);
    ag_gaze_export_abort(&g);
    assert_null(g);
    assert_int_not_equal(access(in(*state, "none.npz"), F_OK), 0);
    assert_true(ag_gaze_export_close(&g, NULL));
}

// Recordings have a test of their own, where there are any.
static void no_recordings(void **state)
{
    (void)state;
    struct ag_error err = { 0 };
#ifdef AUTOGAZE_FFMPEG
    assert_true(ag_export_can_record("video.mp4", &err));
#else
    struct ag_recording recording = { .path = "video.mp4", .width = 64, .height = 48 };
    struct ag_export *e = ag_export_create(NULL, &(struct ag_export_params){ .slots = 0 }, NULL);
    assert_false(ag_export_record(e, &recording, &err));
    assert_int_equal(err.status, AG_ERR_USAGE);
    assert_non_null(strstr(err.text, "AUTOGAZE_FFMPEG"));
    assert_true(ag_export_finish(e, NULL));
    ag_export_destroy(&e);
#endif
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(safetensors), cmocka_unit_test(streams),   cmocka_unit_test(no_frames),
        cmocka_unit_test(npz),         cmocka_unit_test(numpy),     cmocka_unit_test(too_large),
        cmocka_unit_test(errors),      cmocka_unit_test(no_recordings),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
