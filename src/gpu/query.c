#include "vk.h"

#include <assert.h>

// Timestamps: a pair around each entry of a stage, read late and without waiting.

static uint8_t write_timestamp(struct ag_cmd *cmd)
{
    vkCmdWriteTimestamp2(cmd->buffer, VK_PIPELINE_STAGE_2_ALL_COMMANDS_BIT, cmd->queries,
                         cmd->n_queries);
    // Without a barrier lavapipe takes the time behind the dispatch that follows.
    if (cmd->gpu->info.software) {
        ag_cmd_barrier(cmd);
    }
    return (uint8_t)cmd->n_queries++;
}

void ag_cmd_stage_begin(struct ag_cmd *cmd, enum ag_stage stage)
{
    assert(cmd->recording && !cmd->in_stage);
    cmd->in_stage = true;
    ag_vk_label_begin(cmd, ag_stage_name(stage));
    cmd->overflow = cmd->overflow || cmd->n_stages == AG_COUNT(cmd->stages);
    if (!cmd->queries || cmd->overflow) {
        return;
    }
    // A stage that follows another one at once begins where that one ended: a timestamp costs the
    // device about as much as a barrier, and the barrier in between is then in somebody's time.
    bool follows = cmd->n_stages > 0 && !cmd->unstaged;
    uint8_t begin = follows ? cmd->stages[cmd->n_stages - 1].end : write_timestamp(cmd);
    cmd->stages[cmd->n_stages].stage = (uint8_t)stage;
    cmd->stages[cmd->n_stages].begin = begin;
}

void ag_cmd_stage_end(struct ag_cmd *cmd)
{
    assert(cmd->recording && cmd->in_stage);
    cmd->in_stage = cmd->unstaged = false;
    if (cmd->queries && !cmd->overflow) {
        cmd->stages[cmd->n_stages++].end = write_timestamp(cmd);
    }
    ag_vk_label_end(cmd);
}

static int64_t to_ns(const struct ag_gpu *gpu, uint64_t ticks)
{
    // long double: absolute times of a device that runs for months need more than 53 bits
    return (int64_t)((long double)ticks * (long double)gpu->info.timestamp_ns);
}

// Adds up the stages; false: some value is not there.
static bool read_stages(const struct ag_cmd *cmd, struct ag_gpu_times *out)
{
    const struct ag_gpu *gpu = cmd->gpu;
    struct {
        uint64_t ticks, available;
    } q[AG_MAX_QUERIES];
    if (!cmd->queries || cmd->overflow) {
        return false;
    }
    if (cmd->n_stages == 0) {
        return true;
    }
    VkResult result = vkGetQueryPoolResults(
        gpu->device, cmd->queries, 0, cmd->n_queries, sizeof(q), q, sizeof(q[0]),
        VK_QUERY_RESULT_64_BIT | VK_QUERY_RESULT_WITH_AVAILABILITY_BIT);
    if (result != VK_SUCCESS) {
        return false;
    }
    uint64_t first = q[0].ticks & gpu->timestamp_mask;
    for (uint32_t i = 0; i < cmd->n_stages; i++) {
        uint32_t begin = cmd->stages[i].begin, end = cmd->stages[i].end;
        if (!q[begin].available || !q[end].available) {
            return false;
        }
        uint64_t ticks = (q[end].ticks - q[begin].ticks) & gpu->timestamp_mask;
        out->stage_ns[cmd->stages[i].stage] += to_ns(gpu, ticks);
    }
    uint64_t span = (q[cmd->n_queries - 1].ticks - first) & gpu->timestamp_mask;
    out->begin_ns = to_ns(gpu, first);
    out->end_ns = out->begin_ns + to_ns(gpu, span);
    return true;
}

#define CALIBRATE_EVERY_NS 250000000

// Host clock minus device clock, asked for now and then because they drift.
static bool calibrate(struct ag_gpu *gpu, int64_t now)
{
    if (gpu->has_clock_offset && now - gpu->calibrated_ns < CALIBRATE_EVERY_NS) {
        return true;
    }
    VkCalibratedTimestampInfoEXT clocks[2] = {
        { .sType = VK_STRUCTURE_TYPE_CALIBRATED_TIMESTAMP_INFO_EXT,
          .timeDomain = VK_TIME_DOMAIN_DEVICE_EXT },
        { .sType = VK_STRUCTURE_TYPE_CALIBRATED_TIMESTAMP_INFO_EXT,
          .timeDomain = VK_TIME_DOMAIN_CLOCK_MONOTONIC_EXT },
    };
    uint64_t ticks[2], deviation;
    if (vkGetCalibratedTimestampsEXT(gpu->device, 2, clocks, ticks, &deviation) != VK_SUCCESS) {
        return false;
    }
    gpu->clock_offset_ns = (int64_t)ticks[1] - to_ns(gpu, ticks[0] & gpu->timestamp_mask);
    gpu->calibrated_ns = now;
    gpu->has_clock_offset = true;
    return true;
}

// Without the extension: the largest offset at which nothing begins before it was submitted, unless
// something then ended after it was seen to be done.
static void bound(struct ag_gpu *gpu, const struct ag_gpu_times *t, int64_t now)
{
    int64_t low = t->submit_ns - t->begin_ns, high = now - t->end_ns;
    if (!gpu->has_clock_offset || gpu->clock_offset_ns < low) {
        gpu->clock_offset_ns = low;
    }
    gpu->clock_offset_ns = AG_MIN(gpu->clock_offset_ns, high);
    gpu->has_clock_offset = true;
}

static void to_host_clock(struct ag_gpu *gpu, struct ag_gpu_times *t)
{
    int64_t now = ag_now_ns();
    if (!gpu->info.calibrated || !calibrate(gpu, now)) {
        bound(gpu, t, now);
    }
    t->host_begin_ns = t->begin_ns + gpu->clock_offset_ns;
    t->host_end_ns = t->end_ns + gpu->clock_offset_ns;
}

void ag_vk_collect_times(struct ag_cmd *cmd)
{
    struct ag_gpu *gpu = cmd->gpu;
    if (!cmd->wants_times || !cmd->value) {
        return;
    }
    cmd->wants_times = false;
    struct ag_gpu_times times = { 0 };
    bool complete = read_stages(cmd, &times);
    if (!complete) {
        times = (struct ag_gpu_times){ .dropped = true };
    }
    times.submit_ns = cmd->submit_ns;
    if (complete && cmd->n_stages > 0) {
        to_host_clock(gpu, &times);
    }
    times.frame_id = cmd->frame_id;
    times.value = cmd->value;
    if (gpu->n_times == AG_MAX_TIMES) { // nobody asks: forget the oldest
        gpu->first_time = (gpu->first_time + 1) % AG_MAX_TIMES;
        gpu->n_times--;
    }
    gpu->times[(gpu->first_time + gpu->n_times++) % AG_MAX_TIMES] = times;
}

bool ag_gpu_poll_times(struct ag_gpu *gpu, struct ag_gpu_times *out)
{
    if (gpu->n_times == 0) {
        struct ag_cmd *oldest = NULL;
        for (uint32_t i = 0; i < AG_CMD_SLOTS; i++) {
            struct ag_cmd *cmd = &gpu->slots[i];
            bool waiting = cmd->wants_times && !cmd->recording && cmd->value;
            if (waiting && (!oldest || cmd->value < oldest->value)) {
                oldest = cmd;
            }
        }
        if (!oldest || !ag_gpu_done(gpu, oldest->value)) {
            return false;
        }
        ag_vk_collect_times(oldest);
    }
    *out = gpu->times[gpu->first_time];
    gpu->first_time = (gpu->first_time + 1) % AG_MAX_TIMES;
    gpu->n_times--;
    return true;
}
