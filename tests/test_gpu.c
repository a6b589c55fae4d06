// The GPU layer on whatever device is there (lavapipe without a GPU), with validation.
#include "gpu_util.h"

#include <ctype.h>
#include <pthread.h>
#include <stdio.h>
#include <unistd.h>

#include "interface/gputest_args.h"
#include "vk.h"

AG_SHADERS(gputest);

static const struct ag_log warnings = { .level = AG_LOG_WARN };

static void lists_devices_and_creates_one(void **state)
{
    (void)state;
    struct ag_error err = { 0 };
    struct ag_gpu_info list[8];
    int n = ag_gpu_list(&warnings, list, 8, &err);
    TEST_OK(n > 0, err);
    for (int i = 0; i < AG_MIN(n, 8); i++) {
        assert_int_equal(list[i].index, i);
        assert_true(list[i].name[0] && list[i].type);
        assert_true(list[i].usable || list[i].missing[0]);
    }
    struct ag_gpu *gpu = test_gpu_open();
    const struct ag_gpu_info *info = ag_gpu_get_info(gpu);
    assert_true(info->usable && info->driver[0] && info->subgroup_size > 0);
    assert_true(info->max_buffer_bytes >= 1u << 27 && info->device_bytes > 0);
    assert_true(ag_gpu_available_bytes(gpu) > 0);
    assert_true(ag_gpu_available_bytes(gpu) <= info->device_bytes);
    test_gpu_close(&gpu);
    assert_null(gpu);
}

static void runs_a_kernel(void **state)
{
    (void)state;
    enum { N = 1000, GROUP = 64 };
    struct ag_gpu *gpu = test_gpu_open();
    uint32_t words[N];
    for (uint32_t i = 0; i < N; i++) {
        words[i] = i * 7;
    }
    struct ag_buffer *in = test_gpu_buffer(gpu, words, sizeof(words), "test/in");
    struct ag_buffer *out = test_gpu_buffer(gpu, NULL, sizeof(words) + 4, "test/out");
    struct ag_kernel *scale =
        test_gpu_kernel(gpu, &ag_shaders_gputest, "scale", AG_CONSTANTS(GROUP, 3));
    struct gputest_args args = { .n = N, .add = 5, .words = { 0, 100 } };
    struct ag_cmd *cmd = test_gpu_begin(gpu);
    ag_cmd_fill(cmd, out, 0, sizeof(words) + 4, 0xabcd1234);
    ag_cmd_barrier(cmd);
    ag_dispatch(cmd, scale, AG_BIND({ in }, { out }), &args, sizeof(args), AG_DIV_UP(N, GROUP), 1,
                1);
    ag_dispatch(cmd, scale, AG_BIND({ in }, { out }), &args, sizeof(args), 0, 1, 1);
    test_gpu_finish(gpu, cmd);
    uint32_t results[N + 1];
    test_gpu_read(gpu, out, results, sizeof(results));
    for (uint32_t i = 0; i < N; i++) {
        assert_int_equal(results[i], i * 21 + 105);
    }
    assert_int_equal(results[N], 0xabcd1234);
    ag_kernel_destroy(gpu, &scale);
    ag_buffer_destroy(gpu, &in);
    ag_buffer_destroy(gpu, &out);
    assert_null(scale);
    assert_null(in);
    test_gpu_close(&gpu);
}

// Kernels are built behind the caller's back: one that is dispatched before its turn, ones that go
// before they were built, one that is never used, and a device that goes with some still waiting.
static void kernels_are_built_when_needed(void **state)
{
    (void)state;
    enum { KERNELS = 24, N = 64 };
    struct ag_gpu *gpu = test_gpu_open();
    uint32_t in[N], out[N];
    for (uint32_t i = 0; i < N; i++) {
        in[i] = i;
    }
    struct ag_kernel *k[KERNELS];
    struct ag_buffer *src = test_gpu_buffer(gpu, in, sizeof(in), "test/in");
    struct ag_buffer *dst = test_gpu_buffer(gpu, NULL, sizeof(out), "test/out");
    for (uint32_t i = 0; i < KERNELS; i++) {
        k[i] = test_gpu_kernel(gpu, &ag_shaders_gputest, "scale", AG_CONSTANTS(N, i + 1));
    }
    for (uint32_t i = KERNELS; i-- > 0;) { // the last first
        if (i % 3 == 0) {
            ag_kernel_destroy(gpu, &k[i]);
            continue;
        }
        struct gputest_args args = { .n = N, .add = 7 };
        struct ag_cmd *cmd = test_gpu_begin(gpu);
        ag_dispatch(cmd, k[i], AG_BIND({ src }, { dst }), &args, sizeof(args), 1, 1, 1);
        test_gpu_finish(gpu, cmd);
        test_gpu_read(gpu, dst, out, sizeof(out));
        for (uint32_t j = 0; j < N; j++) {
            assert_int_equal(out[j], j * (i + 1) + 7);
        }
        ag_kernel_destroy(gpu, &k[i]);
    }
    ag_buffer_destroy(gpu, &src);
    ag_buffer_destroy(gpu, &dst);
    for (uint32_t i = 0; i < KERNELS; i++) { // some of them never get their turn
        k[i] = test_gpu_kernel(gpu, &ag_shaders_gputest, "scale", AG_CONSTANTS(N, 100 + i));
    }
    for (uint32_t i = 0; i < KERNELS; i++) {
        ag_kernel_destroy(gpu, &k[i]);
    }
    test_gpu_close(&gpu);
}

static void reads_the_push_block_from_spirv(void **state)
{
    (void)state;
    struct ag_error err = { 0 };
    struct ag_spirv_info info;
    const struct ag_shader *shader = ag_shader_find(&ag_shaders_gputest, "scale");
    assert_non_null(shader);
    TEST_OK(ag_spirv_reflect(shader, &info, &err), err);
    assert_int_equal(info.n_bindings, 2);
    assert_int_equal(info.push_bytes, sizeof(struct gputest_args));
    assert_int_equal(info.n_members, 4);
    assert_string_equal(info.members[2].name, "unused");
    assert_int_equal(info.members[2].offset, offsetof(struct gputest_args, unused));
    assert_int_equal(info.members[3].offset, offsetof(struct gputest_args, words));
    assert_int_equal(info.members[3].bytes, 8);

    struct ag_shader cut = *shader;
    cut.code_bytes = 16;
    assert_false(ag_spirv_reflect(&cut, &info, &err));
    assert_non_null(strstr(err.text, "is not SPIR-V"));
    assert_null(ag_shader_find(&ag_shaders_gputest, "no such"));
}

static void copies_count_their_bytes(void **state)
{
    (void)state;
    enum { SIZE = 4096 };
    struct ag_gpu *gpu = test_gpu_open();
    struct ag_error err = { 0 };
    struct ag_buffer *up = ag_buffer_create(gpu, AG_MEM_UPLOAD, SIZE, "test/up", &err);
    struct ag_buffer *device = ag_buffer_create(gpu, AG_MEM_DEVICE, SIZE, "test/device", &err);
    struct ag_buffer *back = ag_buffer_create(gpu, AG_MEM_READBACK, SIZE, "test/back", &err);
    struct ag_buffer *mapped = ag_buffer_create(gpu, AG_MEM_MAPPED, 64, "test/mapped", &err);
    TEST_OK(up && device && back && mapped, err);
    assert_null(device->data);
    memcpy(mapped->data, "written in place", 16);
    ag_buffer_flush(gpu, mapped);
    assert_true(ag_gpu_get_counters(gpu).device_bytes_used >= 3 * SIZE);
    uint8_t *bytes = up->data;
    for (int i = 0; i < SIZE; i++) {
        bytes[i] = (uint8_t)(i * 31);
    }
    ag_buffer_flush(gpu, up);
    struct ag_gpu_counters before = ag_gpu_get_counters(gpu);
    struct ag_cmd *cmd = test_gpu_begin(gpu);
    ag_cmd_copy(cmd, device, 1, up, 0, 1000); // odd offsets are legal
    ag_cmd_barrier(cmd);
    ag_cmd_copy(cmd, back, 0, device, 1, 1000);
    ag_cmd_copy(cmd, back, 2000, up, 5, 10);
    ag_cmd_copy(cmd, back, 3000, mapped, 0, 16);
    ag_cmd_host_barrier(cmd);
    test_gpu_finish(gpu, cmd);
    ag_buffer_invalidate(gpu, back);
    assert_memory_equal(back->data, bytes, 1000);
    assert_memory_equal((char *)back->data + 2000, bytes + 5, 10);
    assert_memory_equal((char *)back->data + 3000, "written in place", 16);
    struct ag_gpu_counters after = ag_gpu_get_counters(gpu);
    assert_int_equal(after.bytes_uploaded - before.bytes_uploaded, 1010);
    assert_int_equal(after.bytes_read_back - before.bytes_read_back, 1026);
    assert_int_equal(after.submits - before.submits, 1);
    assert_int_equal(after.allocations, before.allocations);
    ag_buffer_destroy(gpu, &up);
    ag_buffer_destroy(gpu, &device);
    ag_buffer_destroy(gpu, &back);
    ag_buffer_destroy(gpu, &mapped);
    test_gpu_close(&gpu);
}

static void loads_more_than_one_staging_buffer(void **state)
{
    (void)state;
    const uint64_t size = ((uint64_t)19 << 20) + 12;
    struct ag_gpu *gpu = test_gpu_open();
    uint32_t *words = ag_alloc(size), *result = ag_alloc(size);
    for (uint64_t i = 0; i < size / 4; i++) {
        words[i] = (uint32_t)i * 2654435761u;
    }
    struct ag_buffer *b = test_gpu_buffer(gpu, words, size, "test/large");
    test_gpu_read(gpu, b, result, size);
    assert_memory_equal(words, result, size);
    ag_buffer_destroy(gpu, &b);
    ag_free(words);
    ag_free(result);
    test_gpu_close(&gpu);
}

static void dispatches_groups_that_the_gpu_counted(void **state)
{
    (void)state;
    struct ag_gpu *gpu = test_gpu_open();
    uint32_t groups[6] = { 0, 1, 1, 3, 2, 1 }, count = 0;
    struct ag_buffer *args = test_gpu_buffer(gpu, groups, sizeof(groups), "test/args");
    struct ag_buffer *counter = test_gpu_buffer(gpu, NULL, 4, "test/counter");
    struct ag_kernel *k = test_gpu_kernel(gpu, &ag_shaders_gputest, "count", AG_CONSTANTS(32));
    struct ag_cmd *cmd = test_gpu_begin(gpu);
    ag_cmd_barrier_indirect(cmd);
    ag_dispatch_indirect(cmd, k, AG_BIND({ counter }), NULL, 0, args, 0);
    test_gpu_finish(gpu, cmd);
    test_gpu_read(gpu, counter, &count, 4);
    assert_int_equal(count, 0);
    cmd = test_gpu_begin(gpu);
    ag_cmd_barrier_indirect(cmd);
    ag_dispatch_indirect(cmd, k, AG_BIND({ counter }), NULL, 0, args, 12);
    ag_cmd_barrier(cmd);
    ag_cmd_fill(cmd, args, 0, 4, 5); // arguments written on the GPU in the same submission
    ag_cmd_barrier_indirect(cmd);
    ag_dispatch_indirect(cmd, k, AG_BIND({ counter }), NULL, 0, args, 0);
    test_gpu_finish(gpu, cmd);
    test_gpu_read(gpu, counter, &count, 4);
    assert_int_equal(count, 6 + 5);
    ag_kernel_destroy(gpu, &k);
    ag_buffer_destroy(gpu, &args);
    ag_buffer_destroy(gpu, &counter);
    test_gpu_close(&gpu);
}

static bool next_times(struct ag_gpu *gpu, struct ag_gpu_times *times)
{
    memset(times, 0xff, sizeof(*times));
    return ag_gpu_poll_times(gpu, times);
}

static void times_come_back_for_stages(void **state)
{
    (void)state;
    struct ag_gpu *gpu = test_gpu_open();
    struct ag_error err = { 0 };
    struct ag_buffer *b = test_gpu_buffer(gpu, NULL, 1 << 22, "test/b"); // its copies are no frame
    struct ag_gpu_times times;
    assert_false(next_times(gpu, &times));
    struct ag_cmd *cmd = ag_cmd_begin(gpu, 77, &err);
    TEST_OK(cmd, err);
    for (int i = 0; i < 2; i++) {
        ag_cmd_stage_begin(cmd, AG_STAGE_RESIZE);
        ag_cmd_fill(cmd, b, 0, b->size, 1);
        ag_cmd_barrier(cmd);
        ag_cmd_stage_end(cmd);
        ag_cmd_stage_begin(cmd, AG_STAGE_PLAN);
        ag_cmd_fill(cmd, b, 0, b->size, 2);
        ag_cmd_barrier(cmd);
        ag_cmd_stage_end(cmd);
    }
    assert_false(next_times(gpu, &times)); // not submitted
    test_gpu_finish(gpu, cmd);
    assert_true(next_times(gpu, &times));
    assert_int_equal(times.frame_id, 77);
    assert_true(times.value > 0);
    if (ag_gpu_get_info(gpu)->timestamp_ns > 0) {
        assert_false(times.dropped);
        assert_true(times.stage_ns[AG_STAGE_RESIZE] > 0 && times.stage_ns[AG_STAGE_PLAN] > 0);
        assert_true(times.end_ns - times.begin_ns >=
                    times.stage_ns[AG_STAGE_RESIZE] + times.stage_ns[AG_STAGE_PLAN] - 8);
        // On the host's clock: after the submission (clocks agree to a tenth of a millisecond)
        // and before now.
        assert_true(times.submit_ns > 0 && times.host_begin_ns >= times.submit_ns - 100000);
        assert_true(times.host_end_ns <= ag_now_ns() + 100000);
        assert_true(times.host_end_ns - times.host_begin_ns == times.end_ns - times.begin_ns);
    } else {
        assert_true(times.dropped);
    }
    assert_int_equal(times.stage_ns[AG_STAGE_VISION], 0);
    assert_false(next_times(gpu, &times));

    // Stages that follow one another at once leave no gap; what lies between two belongs to none.
    for (int between = 0; between < 2 && ag_gpu_get_info(gpu)->timestamp_ns > 0; between++) {
        cmd = test_gpu_begin(gpu);
        for (int i = 0; i < 3; i++) {
            ag_cmd_stage_begin(cmd, i % 2 ? AG_STAGE_PLAN : AG_STAGE_RESIZE);
            ag_cmd_fill(cmd, b, 0, b->size, 3);
            ag_cmd_stage_end(cmd);
            ag_cmd_barrier(cmd);
            if (between) {
                ag_cmd_fill(cmd, b, 0, b->size, 4);
                ag_cmd_barrier(cmd);
            }
        }
        test_gpu_finish(gpu, cmd);
        assert_true(next_times(gpu, &times));
        int64_t sum = times.stage_ns[AG_STAGE_RESIZE] + times.stage_ns[AG_STAGE_PLAN];
        int64_t gap = times.end_ns - times.begin_ns - sum;
        assert_true(between ? gap > 8 : gap >= -8 && gap <= 8); // rounding
    }

    // More entries than there are queries: the sample is dropped, the frame is fine.
    cmd = test_gpu_begin(gpu);
    for (int i = 0; i < AG_MAX_QUERIES / 2 + 1; i++) {
        ag_cmd_stage_begin(cmd, AG_STAGE_DECODE);
        ag_cmd_stage_end(cmd);
    }
    test_gpu_finish(gpu, cmd);
    assert_true(next_times(gpu, &times));
    assert_true(times.dropped);
    assert_int_equal(times.stage_ns[AG_STAGE_DECODE], 0);
    ag_buffer_destroy(gpu, &b);
    test_gpu_close(&gpu);
}

static void frames_in_flight_reuse_slots(void **state)
{
    (void)state;
    enum { FRAMES = 50 };
    struct ag_gpu *gpu = test_gpu_open();
    struct ag_error err = { 0 };
    struct ag_kernel *k = test_gpu_kernel(gpu, &ag_shaders_gputest, "count", AG_CONSTANTS(64));
    struct ag_buffer *counter = test_gpu_buffer(gpu, NULL, 4, "test/counter");
    struct ag_gpu_counters before = ag_gpu_get_counters(gpu);
    uint64_t host = ag_alloc_count(), value = 0, seen = 0;
    struct ag_gpu_times times;
    for (uint64_t frame = 0; frame < FRAMES; frame++) {
        struct ag_cmd *cmd = ag_cmd_begin(gpu, frame, &err);
        TEST_OK(cmd, err);
        ag_cmd_stage_begin(cmd, AG_STAGE_DECODE);
        ag_dispatch(cmd, k, AG_BIND({ counter }), NULL, 0, 20, 1, 1);
        ag_cmd_stage_end(cmd);
        uint64_t next = ag_cmd_submit(cmd, &err);
        assert_int_equal(next, (value ? value : next - 1) + 1);
        value = next;
        while (ag_gpu_poll_times(gpu, &times)) {
            assert_int_equal(times.frame_id, seen++);
        }
    }
    TEST_OK(ag_gpu_wait(gpu, value, &err), err);
    assert_true(ag_gpu_done(gpu, value));
    assert_false(ag_gpu_done(gpu, value + 1));
    while (ag_gpu_poll_times(gpu, &times)) {
        assert_int_equal(times.frame_id, seen++);
    }
    assert_int_equal(seen, FRAMES);
    assert_int_equal(ag_alloc_count(), host); // nothing is allocated for a frame
    struct ag_gpu_counters after = ag_gpu_get_counters(gpu);
    assert_int_equal(after.submits - before.submits, FRAMES);
    assert_int_equal(after.allocations, before.allocations);
    assert_int_equal(after.idle_waits, before.idle_waits);
    assert_true(after.host_waits - before.host_waits <= FRAMES + 1);
    assert_true((after.host_waits == before.host_waits) ==
                (after.host_wait_ns == before.host_wait_ns));
    TEST_OK(ag_gpu_wait(gpu, value, &err), err); // done long ago: no wait
    assert_int_equal(ag_gpu_get_counters(gpu).host_waits, after.host_waits);
    uint32_t count;
    test_gpu_read(gpu, counter, &count, 4);
    assert_int_equal(count, FRAMES * 20);
    ag_kernel_destroy(gpu, &k);
    ag_buffer_destroy(gpu, &counter);
    test_gpu_close(&gpu);
}

static void add_one(void *object)
{
    ++*(int *)object;
}

static void destruction_waits_for_the_gpu(void **state)
{
    (void)state;
    struct ag_gpu *gpu = test_gpu_open();
    struct ag_error err = { 0 };
    struct ag_kernel *k = test_gpu_kernel(gpu, &ag_shaders_gputest, "count", AG_CONSTANTS(64));
    struct ag_buffer *counter = test_gpu_buffer(gpu, NULL, 4, "test/counter");
    int calls = 0;
    struct ag_cmd *cmd = test_gpu_begin(gpu); // frees what the load left behind
    uint64_t used = ag_gpu_get_counters(gpu).device_bytes_used;
    ag_dispatch(cmd, k, AG_BIND({ counter }), NULL, 0, 1000, 1, 1);
    ag_gpu_defer(gpu, add_one, &calls);
    ag_kernel_destroy(gpu, &k); // while it is being recorded: validation would complain
    ag_buffer_destroy(gpu, &counter);
    assert_int_equal(calls, 0);
    assert_int_equal(ag_gpu_get_counters(gpu).device_bytes_used, used);
    uint64_t value = ag_cmd_submit(cmd, &err);
    TEST_OK(ag_gpu_wait(gpu, value, &err), err);
    cmd = test_gpu_begin(gpu); // runs what is due
    assert_int_equal(calls, 1);
    assert_true(ag_gpu_get_counters(gpu).device_bytes_used < used);
    for (int i = 0; i < 2000; i++) { // more than the list holds at first
        ag_gpu_defer(gpu, add_one, &calls);
    }
    test_gpu_finish(gpu, cmd);
    test_gpu_close(&gpu);
    assert_int_equal(calls, 2001);
}

static void *upload_thread(void *user)
{
    struct ag_gpu *gpu = user;
    for (int i = 0; i < 200; i++) {
        struct ag_error err = { 0 };
        struct ag_buffer *b = ag_buffer_create(gpu, AG_MEM_UPLOAD, 1000 + i, "test/thread", &err);
        if (!b) {
            return "no buffer";
        }
        memset(b->data, i, b->size);
        ag_buffer_destroy(gpu, &b);
    }
    return NULL;
}

static void uploads_from_another_thread(void **state)
{
    (void)state;
    struct ag_gpu *gpu = test_gpu_open();
    pthread_t thread;
    assert_int_equal(pthread_create(&thread, NULL, upload_thread, gpu), 0);
    for (int i = 0; i < 30; i++) {
        test_gpu_finish(gpu, test_gpu_begin(gpu));
    }
    void *failure;
    pthread_join(thread, &failure);
    assert_null(failure);
    test_gpu_finish(gpu, test_gpu_begin(gpu));
    test_gpu_finish(gpu, test_gpu_begin(gpu));
    assert_int_equal(ag_gpu_get_counters(gpu).device_bytes_used, 0);
    test_gpu_close(&gpu);
}

static void submissions_meet_swapchain_semaphores(void **state)
{
    (void)state;
    struct ag_gpu *gpu = test_gpu_open();
    struct ag_error err = { 0 };
    VkSemaphoreCreateInfo info = { .sType = VK_STRUCTURE_TYPE_SEMAPHORE_CREATE_INFO };
    VkSemaphore semaphore;
    assert_int_equal(vkCreateSemaphore(gpu->device, &info, NULL, &semaphore), VK_SUCCESS);
    struct ag_cmd *a = test_gpu_begin(gpu);
    ag_vk_cmd_signal(a, semaphore, VK_PIPELINE_STAGE_2_ALL_COMMANDS_BIT);
    TEST_OK(ag_cmd_submit(a, &err), err);
    struct ag_cmd *b = test_gpu_begin(gpu);
    ag_vk_cmd_wait(b, semaphore, VK_PIPELINE_STAGE_2_COMPUTE_SHADER_BIT);
    test_gpu_finish(gpu, b);
    vkDestroySemaphore(gpu->device, semaphore, NULL);
    test_gpu_close(&gpu);
}

static uint64_t n_messages(struct ag_gpu *gpu)
{
    return ag_gpu_get_counters(gpu).validation_messages;
}

// The teardown of all other tests relies on this: the layers are there and check hazards.
static void validation_sees_missing_barriers(void **state)
{
    (void)state;
    struct ag_error err = { 0 };
    struct ag_gpu_params params = { .device = getenv("AUTOGAZE_TEST_GPU"), .validation = true };
    struct ag_gpu *gpu = ag_gpu_create(NULL, &params, &err);
    TEST_OK(gpu, err);
    struct ag_buffer *b = test_gpu_buffer(gpu, NULL, 1024, "test/hazard");
    struct ag_buffer *counter = test_gpu_buffer(gpu, NULL, 4, "test/counter");
    struct ag_kernel *k = test_gpu_kernel(gpu, &ag_shaders_gputest, "count", AG_CONSTANTS(64));
    assert_int_equal(n_messages(gpu), 0);
    struct ag_cmd *cmd = test_gpu_begin(gpu);
    ag_cmd_fill(cmd, b, 0, 1024, 1);
    ag_cmd_fill(cmd, b, 0, 1024, 1);
    test_gpu_finish(gpu, cmd);
    uint64_t after_fills = n_messages(gpu);
    assert_true(after_fills > 0);
    cmd = test_gpu_begin(gpu);
    ag_cmd_fill(cmd, b, 0, 1024, 1);
    ag_cmd_barrier(cmd); // not enough for arguments
    ag_dispatch_indirect(cmd, k, AG_BIND({ counter }), NULL, 0, b, 0);
    test_gpu_finish(gpu, cmd);
    assert_true(n_messages(gpu) > after_fills);
    ag_buffer_destroy(gpu, &b);
    ag_buffer_destroy(gpu, &counter);
    ag_kernel_destroy(gpu, &k);
    ag_gpu_destroy(&gpu);
}

static void a_lost_device_stays_lost(void **state)
{
    (void)state;
    struct ag_gpu *gpu = test_gpu_open();
    struct ag_cmd *cmd = test_gpu_begin(gpu);
    struct ag_error err = { 0 };
    assert_false(ag_vk_check(gpu, VK_ERROR_DEVICE_LOST, "made_up()", "dir/file.c", 12, &err));
    assert_int_equal(err.status, AG_ERR_DEVICE_LOST);
    assert_non_null(strstr(err.text, "VK_ERROR_DEVICE_LOST"));
    assert_non_null(strstr(err.text, "made_up() (file.c:12)"));
    err = (struct ag_error){ 0 };
    assert_int_equal(ag_cmd_submit(cmd, &err), 0);
    assert_int_equal(err.status, AG_ERR_DEVICE_LOST);
    err = (struct ag_error){ 0 };
    assert_null(ag_cmd_begin(gpu, 0, &err));
    assert_int_equal(err.status, AG_ERR_DEVICE_LOST);
    assert_false(ag_gpu_wait(gpu, 0, NULL));
    test_gpu_close(&gpu);
}

static void expect_no_gpu(const struct ag_gpu_params *params, const char *text)
{
    struct ag_error err = { 0 };
    assert_null(ag_gpu_create(&warnings, params, &err));
    assert_int_equal(err.status, AG_ERR_DEVICE);
    if (!strstr(err.text, text)) {
        fail_msg("'%s' is not in '%s'", text, err.text);
    }
}

static void errors_say_what_to_do(void **state)
{
    (void)state;
    struct ag_error err = { 0 };
    struct ag_gpu_info first;
    TEST_OK(ag_gpu_list(&warnings, &first, 1, &err) > 0, err);
    char expected[400];
    snprintf(expected, sizeof(expected), "there are: 0 '%.80s' (%s", first.name, first.type);
    expect_no_gpu(&(struct ag_gpu_params){ .device = "no such" }, "number or name 'no such'");
    expect_no_gpu(&(struct ag_gpu_params){ .device = "no such" }, expected);
    expect_no_gpu(&(struct ag_gpu_params){ .device = "" }, "there are: ");
    expect_no_gpu(&(struct ag_gpu_params){ .device = "999999" }, "number or name '999999'");
    const char *window[] = { "VK_KHR_no_such_surface" };
    expect_no_gpu(
        &(struct ag_gpu_params){ .instance_extensions = window, .n_instance_extensions = 1 },
        "VK_KHR_no_such_surface");
    if (first.software) { // best first: there is no hardware
        expect_no_gpu(&(struct ag_gpu_params){ .require_hardware = true }, "is a software device");
    }

    // Part of the name in the other case; the number.
    char part[6] = "";
    for (size_t i = 0; i + 1 < sizeof(part) && first.name[i]; i++) {
        part[i] = (char)toupper((unsigned char)first.name[i]);
    }
    const char *good[] = { part, "0" };
    for (size_t i = 0; i < AG_COUNT(good); i++) {
        struct ag_gpu *gpu =
            ag_gpu_create(&warnings, &(struct ag_gpu_params){ .device = good[i] }, &err);
        TEST_OK(gpu, err);
        assert_string_equal(ag_gpu_get_info(gpu)->name, first.name);
        ag_gpu_destroy(&gpu);
    }
    ag_gpu_destroy(&(struct ag_gpu *){ NULL });
}

static void errors_of_objects_name_them(void **state)
{
    (void)state;
    struct ag_gpu *gpu = test_gpu_open();
    struct ag_error err = { 0 };
    const struct ag_gpu_info *info = ag_gpu_get_info(gpu);
    uint64_t size = info->max_buffer_bytes + 4;
    char needed[64], limit[64];
    snprintf(needed, sizeof(needed), "'test/huge' needs %llu bytes", (unsigned long long)size);
    snprintf(limit, sizeof(limit), "at most %llu", (unsigned long long)info->max_buffer_bytes);
    assert_null(ag_buffer_create(gpu, AG_MEM_DEVICE, size, "test/huge", &err));
    assert_int_equal(err.status, AG_ERR_DEVICE);
    assert_non_null(strstr(err.text, needed));
    assert_non_null(strstr(err.text, limit));
    assert_non_null(strstr(err.text, "are available"));

    struct ag_kernel_params params = { .library = &ag_shaders_gputest, .name = "sclae" };
    err = (struct ag_error){ 0 };
    assert_null(ag_kernel_create(gpu, &params, &err));
    assert_non_null(strstr(err.text, "no kernel 'sclae' in the shaders of 'gputest'"));

    params.name = "count";
    params.subgroup = 4096;
    err = (struct ag_error){ 0 };
    assert_null(ag_kernel_create(gpu, &params, &err));
    assert_non_null(strstr(err.text, "wants subgroups of 4096"));
    test_gpu_close(&gpu);
}

static void no_driver_is_explained(void **state)
{
    (void)state;
    static const char *const variables[] = { "VK_ICD_FILENAMES", "VK_DRIVER_FILES" };
    char *saved[AG_COUNT(variables)];
    for (size_t i = 0; i < AG_COUNT(variables); i++) {
        const char *value = getenv(variables[i]);
        saved[i] = value ? ag_strdup(value) : NULL;
        setenv(variables[i], "/nonexistent/driver.json", 1);
    }
    struct ag_error err = { 0 };
    struct ag_gpu_info info;
    int n = ag_gpu_list(&warnings, &info, 1, &err);
    for (size_t i = 0; i < AG_COUNT(variables); i++) {
        if (saved[i]) {
            setenv(variables[i], saved[i], 1);
        } else {
            unsetenv(variables[i]);
        }
        ag_free(saved[i]);
    }
    assert_int_equal(n, -1);
    assert_int_equal(err.status, AG_ERR_DEVICE);
    assert_non_null(strstr(err.text, "mesa-vulkan-drivers"));
}

// Opens a device with a cache, makes a kernel, closes; how often the log said `text`.
struct listener {
    const char *text;
    int heard;
};

static void listen(void *user, enum ag_log_level level, const char *line)
{
    struct listener *l = user;
    (void)level;
    l->heard += strstr(line, l->text) != NULL;
}

static int run_with_cache(const char *dir, const char *text)
{
    struct listener listener = { .text = text };
    struct ag_log log = { .level = AG_LOG_VERBOSE, .sink = listen, .user = &listener };
    struct ag_error err = { 0 };
    struct ag_gpu_params params = { .device = getenv("AUTOGAZE_TEST_GPU"),
                                    .validation = true,
                                    .cache_dir = dir };
    struct ag_gpu *gpu = ag_gpu_create(&log, &params, &err);
    TEST_OK(gpu, err);
    struct ag_kernel *k = test_gpu_kernel(gpu, &ag_shaders_gputest, "count", AG_CONSTANTS(64));
    ag_kernel_destroy(gpu, &k);
    test_gpu_close(&gpu);
    return listener.heard;
}

static void the_pipeline_cache_survives_damage(void **state)
{
    (void)state;
    struct ag_error err = { 0 };
    char dir[] = "/tmp/autogaze-cache-XXXXXX", nested[64], path[128];
    assert_non_null(mkdtemp(dir));
    snprintf(nested, sizeof(nested), "%s/made/later", dir);
    assert_int_equal(run_with_cache(nested, "no pipeline cache"), 1);

    struct ag_gpu *gpu = test_gpu_open();
    VkPhysicalDeviceProperties p;
    vkGetPhysicalDeviceProperties(gpu->physical, &p);
    snprintf(path, sizeof(path), "%s/pipelines-%x-%x.bin", nested, p.vendorID, p.deviceID);
    test_gpu_close(&gpu);

    void *good, *again;
    size_t good_size, again_size;
    TEST_OK(ag_read_file(path, 1 << 28, &good, &good_size, &err), err);
    assert_int_equal(run_with_cache(nested, "pipeline cache"), 0); // accepted without a word

    for (int kind = 0; kind < 3; kind++) { // a flipped byte, cut short, empty
        char *bad = ag_alloc(good_size);
        memcpy(bad, good, good_size);
        bad[good_size - 1] ^= 0x55;
        FILE *f = fopen(path, "wb");
        assert_non_null(f);
        fwrite(bad, 1, kind == 0 ? good_size : kind == 1 ? 20 : 0, f);
        fclose(f);
        ag_free(bad);
        assert_int_equal(run_with_cache(nested, "made anew"), 1);
        TEST_OK(ag_read_file(path, 1 << 28, &again, &again_size, &err), err);
        assert_true(again_size > 64); // rewritten
        ag_free(again);
        assert_int_equal(run_with_cache(nested, "made anew"), 0);
    }
    // A folder that cannot be written costs a warning.
    assert_int_equal(run_with_cache("/dev/null/cache", "was not saved"), 1);
    ag_free(good);
    unlink(path);
    rmdir(nested);
    snprintf(path, sizeof(path), "%s/made", dir);
    rmdir(path);
    assert_int_equal(rmdir(dir), 0); // nothing else was left there
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(lists_devices_and_creates_one),
        cmocka_unit_test(runs_a_kernel),
        cmocka_unit_test(kernels_are_built_when_needed),
        cmocka_unit_test(reads_the_push_block_from_spirv),
        cmocka_unit_test(copies_count_their_bytes),
        cmocka_unit_test(loads_more_than_one_staging_buffer),
        cmocka_unit_test(dispatches_groups_that_the_gpu_counted),
        cmocka_unit_test(times_come_back_for_stages),
        cmocka_unit_test(frames_in_flight_reuse_slots),
        cmocka_unit_test(destruction_waits_for_the_gpu),
        cmocka_unit_test(uploads_from_another_thread),
        cmocka_unit_test(submissions_meet_swapchain_semaphores),
        cmocka_unit_test(validation_sees_missing_barriers),
        cmocka_unit_test(a_lost_device_stays_lost),
        cmocka_unit_test(errors_say_what_to_do),
        cmocka_unit_test(errors_of_objects_name_them),
        cmocka_unit_test(no_driver_is_explained),
        cmocka_unit_test(the_pipeline_cache_survives_damage),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
