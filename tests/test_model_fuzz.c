// Damaged model files: flipped bits, other numbers, cut and grown files. Each is refused with a
// sentence, or becomes a model that runs on the GPU without touching a byte behind its buffers.
// AUTOGAZE_FUZZ=SEED looks further (ten times as many, other ones).
#include <math.h>

#include "gpu_util.h"
#include "model_util.h"

#include "autogaze/gpu_model.h"

static struct {
    uint32_t state;
} dice;

static uint32_t below(uint32_t n)
{
    dice.state = dice.state * 1664525u + 1013904223u;
    return (uint32_t)(((uint64_t)(dice.state >> 8) * n) >> 24);
}

struct file {
    uint8_t *data; // ag_alloc, one byte more than size
    size_t size;
};

static struct file load(const char *dir, const char *name)
{
    struct file f, copy;
    f.data = read_file(dir, name, &f.size);
    copy = (struct file){ ag_alloc(f.size + 1), f.size };
    memcpy(copy.data, f.data, f.size);
    ag_free(f.data);
    return copy;
}

static void flip_bit(struct file *f, size_t from, size_t n)
{
    f->data[from + below((uint32_t)n)] ^= (uint8_t)(1u << below(8));
}

static void resize(struct file *f, size_t size)
{
    uint8_t *data = ag_alloc(size + 1);
    memcpy(data, f->data, AG_MIN(size, f->size));
    ag_free(f->data);
    *f = (struct file){ data, size };
}

// Another number in the place of one of the text's.
static void replace_number(struct file *f)
{
    static const char *const numbers[] = {
        "0", "1", "2", "3", "5", "7", "8", "15", "16", "17", "31", "32", "33", "63", "64", "65",
        "127", "255", "1000", "4096", "65535", "65536", "1000000", "2147483647", "4294967295",
        "4294967296", "1e30", "-1", "-4096", "0.5", "1e-30", "null", "true", "\"8\"",
    };
    size_t starts[256], n = 0;
    for (size_t i = 1; i < f->size && n < AG_COUNT(starts); i++) {
        bool digit = f->data[i] >= '0' && f->data[i] <= '9';
        uint8_t before = f->data[i - 1];
        bool inside = (before >= '0' && before <= '9') || before == '.' || before == 'e' ||
                      before == '-' || before == '_' || (before >= 'a' && before <= 'z');
        if (digit && !inside) {
            starts[n++] = i;
        }
    }
    size_t at = starts[below((uint32_t)n)], end = at;
    while (end < f->size && strchr("0123456789.e-", f->data[end]) && f->data[end]) {
        end++;
    }
    const char *number = numbers[below(AG_COUNT(numbers))];
    size_t length = strlen(number), rest = f->size - end;
    uint8_t *data = ag_alloc(at + length + rest + 1);
    memcpy(data, f->data, at);
    memcpy(data + at, number, length);
    memcpy(data + at + length, f->data + end, rest);
    ag_free(f->data);
    *f = (struct file){ data, at + length + rest };
}

static void damage_weights(struct file *f)
{
    uint64_t header;
    memcpy(&header, f->data, sizeof(header));
    switch (below(7)) {
    case 0:
        flip_bit(f, 0, 8); // length of the header
        break;
    case 1:
        flip_bit(f, 8, header);
        break;
    case 2:
        resize(f, below((uint32_t)f->size));
        break;
    case 3:
        resize(f, f->size + 1 + below(5000));
        break;
    case 4: { // infinite, not a number, huge
        static const uint32_t floats[] = { 0x7f800000, 0x7fc00000, 0x7f7fffff, 0xff7fffff };
        for (int i = 0; i < 4; i++) {
            size_t at = 8 + header + 4 * below((uint32_t)((f->size - 8 - header) / 4));
            memcpy(f->data + at, &floats[below(4)], 4);
        }
        break;
    }
    default:
        flip_bit(f, 8 + header, f->size - 8 - header);
        break;
    }
}

static void damage_text(struct file *f)
{
    switch (below(6)) {
    case 0:
        flip_bit(f, 0, f->size);
        break;
    case 1:
        resize(f, below((uint32_t)f->size));
        break;
    default:
        replace_number(f);
        break;
    }
}

// A frame of noise under every stop the model has.
static void run(struct ag_gpu *gpu, const struct ag_model *model, struct ag_gpu_model *m)
{
    struct ag_error err = { 0 };
    uint64_t bytes, picture = 12ull * model->config.image_size * model->config.image_size;
    float *noise = ag_alloc(picture);
    for (uint64_t i = 0; i < picture / 4; i++) {
        noise[i] = (float)below(4096) / 1024 - 2;
    }
    struct ag_buffer *input = test_gpu_buffer(gpu, noise, picture, "test/input");
    const struct ag_buffer *results = ag_gpu_model_results(m, &bytes);
    struct ag_buffer *readback = ag_buffer_create(gpu, AG_MEM_READBACK, bytes, "test/back", &err);
    TEST_OK(readback, err);
    TEST_OK(ag_gpu_set_guards(gpu, &err), err);
    for (uint64_t id = 1; id <= 3; id++) {
        struct ag_gpu_gaze_job job = {
            .frame_id = id, .input = input, .canvas = id > 1 ? input : NULL,
            .previous = id > 1 ? input : NULL, .previous_id = id - 1,
            .budget = id == 2 ? 1 : model->config.cells,
            .threshold = id == 1 ? AG_NO_THRESHOLD : model->config.default_threshold,
        };
        struct ag_mask mask;
        struct ag_cmd *cmd = test_gpu_begin(gpu);
        if (!ag_gpu_model_record(m, cmd, &job, &mask, &err)) {
            assert_true(err.text[0] != 0);
            test_gpu_finish(gpu, cmd);
            break;
        }
        ag_cmd_barrier(cmd);
        ag_cmd_copy(cmd, readback, 0, results, 0, bytes);
        ag_cmd_host_barrier(cmd);
        test_gpu_finish(gpu, cmd);
        ag_buffer_invalidate(gpu, readback);
        struct ag_gaze gaze = { .ids = ag_alloc(4ull * model->config.cells),
                                .losses = ag_alloc(4ull * model->config.cells) };
        ag_gpu_model_decode(m, readback->data, 0, &gaze);
        ag_gpu_model_note(m, readback->data);
        assert_true(gaze.slots <= model->config.cells && gaze.valid <= gaze.slots);
        for (uint32_t i = 0; i < gaze.slots; i++) {
            assert_true(gaze.ids[i] <= model->config.cells);
        }
        ag_free(gaze.ids);
        ag_free(gaze.losses);
    }
    TEST_OK(ag_gpu_check_guards(gpu, &err), err);
    ag_buffer_destroy(gpu, &input);
    ag_buffer_destroy(gpu, &readback);
    ag_free(noise);
}

struct counts {
    uint32_t refused, too_large, ran;
};

// A sentence says something and ends in no line break.
static void check_sentence(const struct ag_error *err)
{
    size_t n = strlen(err->text);
    assert_true(err->status != 0 && n > 20 && !strchr(err->text, '\n'));
}

static void try_folder(struct ag_gpu *gpu, const char *dir, struct counts *counts)
{
    struct ag_error err = { 0 };
    struct ag_model *model = ag_model_load(NULL, dir, &err);
    if (!model) {
        assert_int_equal(err.status, AG_ERR_INPUT);
        check_sentence(&err);
        counts->refused++;
        return;
    }
    struct ag_gpu_model_params params = { .stream = { .context = model->config.context } };
    params.precision = below(2) ? AG_PRECISION_F16 : AG_PRECISION_F32;
    if (params.stream.context == AG_CONTEXT_FRAMES) {
        params.stream.policy = (enum ag_stream_policy)below(3);
        params.stream.horizon = 1 + below(4);
    }
    struct ag_gpu_model *m = ag_gpu_model_create(gpu, NULL, model, &params, &err);
    if (!m) {
        check_sentence(&err);
        counts->too_large++;
    } else {
        run(gpu, model, m);
        counts->ran++;
    }
    ag_gpu_model_destroy(gpu, &m);
    ag_model_destroy(&model);
}

static const char *const names[] = { "config.json", "preprocessor_config.json",
                                     "model.safetensors" };

static void fuzz(struct ag_gpu *gpu, const char *from, uint32_t rounds, struct counts *counts)
{
    char dir[1024];
    temporary_dir(dir, sizeof(dir));
    for (uint32_t i = 0; i < rounds; i++) {
        uint32_t damaged = i == 0 ? 3 : i % 3; // the first is whole
        for (uint32_t k = 0; k < AG_COUNT(names); k++) {
            struct file f = load(from, names[k]);
            if (k == damaged) {
                (k == 2 ? damage_weights : damage_text)(&f);
            }
            write_bytes(dir, names[k], f.data, f.size);
            ag_free(f.data);
        }
        uint32_t ran = counts->ran;
        try_folder(gpu, dir, counts);
        assert_true(i > 0 || counts->ran == ran + 1);
    }
    remove_dir(dir);
}

static void damaged_models(void **state)
{
    struct ag_gpu *gpu = *state;
    static const char *const models[] = { "variants/odd", "variants/grouped-canvas", "tiny-canvas" };
    struct counts counts = { 0 };
    const char *seed = getenv("AUTOGAZE_FUZZ");
    dice.state = seed ? (uint32_t)strtoul(seed, NULL, 10) : 2026;
    for (size_t i = 0; i < AG_COUNT(models); i++) {
        char from[512];
        snprintf(from, sizeof(from), "%s/%s", AG_FIXTURES, models[i]);
        fuzz(gpu, from, seed ? 250 : 25, &counts);
    }
    print_message("%u refused, %u did not fit, %u ran\n", counts.refused, counts.too_large,
                  counts.ran);
    assert_true(counts.refused >= 20 && counts.ran >= 10);
}

// The guards themselves: a copy behind the end of a buffer is found.
static void guards_work(void **state)
{
    struct ag_gpu *gpu = *state;
    struct ag_error err = { 0 };
    struct ag_buffer *b = test_gpu_buffer(gpu, NULL, 1000, "test/victim");
    TEST_OK(ag_gpu_set_guards(gpu, &err) && ag_gpu_check_guards(gpu, &err), err);
    uint64_t size = b->size;
    b->size = 1008; // as a kernel sees it
    uint32_t word = 1;
    TEST_OK(ag_buffer_load(gpu, b, 1004, &word, sizeof(word), &err), err);
    b->size = size;
    assert_false(ag_gpu_check_guards(gpu, &err));
    assert_non_null(strstr(err.text, "test/victim"));
    ag_buffer_destroy(gpu, &b);
    struct ag_cmd *cmd = test_gpu_begin(gpu);
    test_gpu_finish(gpu, cmd); // deferred destruction
    TEST_OK(ag_gpu_check_guards(gpu, &err), err);
}

static int open_gpu(void **state)
{
    struct ag_error err = { 0 };
    struct ag_gpu_params params = { .device = getenv("AUTOGAZE_TEST_GPU"), .validation = true,
                                    .guards = true };
    *state = ag_gpu_create(NULL, &params, &err);
    TEST_OK(*state, err);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(guards_work),
        cmocka_unit_test(damaged_models),
    };
    return cmocka_run_group_tests(tests, open_gpu, test_gpu_teardown);
}
