// The forward pass in compute shaders, one line a kernel (docs/model.md walks through it), and what
// it needs on the device.
#include "autogaze/gpu_model.h"

#include <assert.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "gpu_internal.h"

#define BINDING_ALIGN 256u

// ---- memory ----------------------------------------------------------------------------------

static uint32_t instances(const struct gpu_shape *s, enum gpu_resource resource)
{
    switch (resource) {
    case RES_CELLS:
    case RES_COUNTS:
        return MASK_SLOTS;
    case RES_LOGITS: // and keys of two rounds (decode_matrix.comp)
        return (s->trace ? s->max_rounds : 1) + (s->tensor ? 2 : 0);
    case RES_HIDDEN:
        return s->trace ? s->max_rounds : 1;
    case RES_K:
    case RES_V:
        return s->c.layers;
    default:
        return 1;
    }
}

// The caller's buffers and the weights are not ours to make.
static bool is_state(enum gpu_resource resource)
{
    return resource < RES_FIRST_WEIGHT && resource != RES_INPUT && resource != RES_CANVAS &&
           resource != RES_PREVIOUS && resource != RES_FORCED;
}

static uint64_t weight_bytes(const struct gpu_shape *s)
{
    uint64_t bytes = 0;
    for (int r = RES_FIRST_WEIGHT; r < RES_COUNT; r++) {
        bool layer = r == RES_W_QKV || r == RES_W_ATTN_OUT || r == RES_W_MLP_IN ||
                     r == RES_W_MLP_OUT;
        bool block = r == RES_W_TRUNK || r == RES_TRUNK_BIAS;
        uint32_t n = layer ? s->c.layers : block ? s->c.trunk_depth : 1;
        bytes += n * AG_ALIGN_UP(gpu_resource_bytes(s, (enum gpu_resource)r),
                                 (uint64_t)BINDING_ALIGN);
    }
    return bytes;
}

// Needed and available bytes, before anything is taken.
static bool check_memory(struct ag_gpu_model *m, struct ag_error *err)
{
    const struct gpu_shape *s = &m->shape;
    const struct ag_gpu_info *info = ag_gpu_get_info(m->gpu);
    uint64_t needed = weight_bytes(s), largest = 0;
    enum gpu_resource which = RES_X;
    for (int r = 0; r < RES_COUNT; r++) {
        if (!is_state((enum gpu_resource)r)) {
            continue;
        }
        uint32_t n = instances(s, (enum gpu_resource)r);
        uint64_t bytes = AG_ALIGN_UP(gpu_resource_bytes(s, (enum gpu_resource)r),
                                     (uint64_t)BINDING_ALIGN);
        needed += n * bytes;
        which = n * bytes > largest ? (enum gpu_resource)r : which;
        largest = AG_MAX(largest, n * bytes);
    }
    needed += gpu_rope_staging_bytes(s);
    uint64_t cache = 2 * s->c.layers * gpu_resource_bytes(s, RES_K);
    uint64_t available = ag_gpu_available_bytes(m->gpu);
    if (largest > info->max_buffer_bytes) {
        return ag_fail(err, AG_ERR_DEVICE, "a context of %u tokens for %u streams needs a buffer "
                       "of %llu bytes (%s), '%s' takes at most %llu; use fewer frames or streams, "
                       "a smaller budget or --precision f16", s->capacity, s->streams,
                       (unsigned long long)largest, gpu_resource_name(which), info->name,
                       (unsigned long long)info->max_buffer_bytes);
    }
    if (needed > available) {
        return ag_fail(err, AG_ERR_DEVICE, "the model needs %llu bytes on '%s', %llu of them for "
                       "the keys and values of %u tokens in %u streams, %llu are available; use "
                       "fewer frames or streams, a smaller budget or --precision f16",
                       (unsigned long long)needed, info->name, (unsigned long long)cache,
                       s->capacity, s->streams, (unsigned long long)available);
    }
    m->bytes = needed;
    return true;
}

static struct ag_buffer *take(struct ag_gpu_model *m, uint64_t bytes, const char *name,
                              struct ag_cmd *clear, struct ag_error *err)
{
    struct ag_buffer *b = ag_buffer_create(m->gpu, AG_MEM_DEVICE, bytes, name, err);
    if (b) {
        ag_cmd_fill(clear, b, 0, bytes, 0); // pads must be zero, and so must the first state
    }
    return b;
}

static bool take_buffers(struct ag_gpu_model *m, struct ag_cmd *clear, struct ag_error *err)
{
    const struct gpu_shape *s = &m->shape;
    for (int i = 0; i < RES_COUNT; i++) {
        enum gpu_resource r = (enum gpu_resource)i;
        if (!is_state(r)) {
            continue;
        }
        m->stride[r] = AG_ALIGN_UP(gpu_resource_bytes(s, r), (uint64_t)BINDING_ALIGN);
        m->buffer[r] = take(m, instances(s, r) * m->stride[r], gpu_resource_name(r), clear, err);
        if (!m->buffer[r]) {
            return false;
        }
    }
    m->none = take(m, BINDING_ALIGN, "model/none", clear, err);
    return m->none != NULL;
}

static bool create_buffers(struct ag_gpu_model *m, struct ag_error *err)
{
    struct ag_cmd *clear = ag_cmd_begin(m->gpu, 0, err);
    if (!clear) {
        return false;
    }
    bool ok = take_buffers(m, clear, err);
    return ag_cmd_submit(clear, err) && ok;
}

// ---- kernels ---------------------------------------------------------------------------------

// Which kernels come with tiles for decode rounds and for the last row.
static bool has_phase(enum gpu_op op, enum gpu_phase phase)
{
    bool layer = op >= GPU_QKV && op <= GPU_TAIL;
    return phase == GPU_PREFILL || (layer && (phase == GPU_ROUND || op != GPU_QKV));
}

static bool create_kernels(struct ag_gpu_model *m, struct ag_error *err)
{
    for (int op = 0; op < GPU_OP_COUNT; op++) {
        for (int phase = 0; phase < GPU_PHASE_COUNT; phase++) {
            bool unused = (op == GPU_RELU && m->shape.c.trunk_depth == 1) ||
                          (op == GPU_DECODE && !m->resident) || op == GPU_MEET ||
                          (op == GPU_WHOLE_PREFILL && !m->whole_prefill) ||
                          (op == GPU_TAIL && !m->shape.fused) ||
                          (op >= GPU_VISION_PATCH && op <= GPU_VISION_PROJECT &&
                           !m->shape.tensor) ||
                          (op == GPU_VISION && !m->whole) ||
                          ((op == GPU_PATCH || op == GPU_FEATURES || op == GPU_TRUNK ||
                            op == GPU_PROJECT) && m->shape.tensor) ||
                          (op >= GPU_ATTN_OUT && op <= GPU_MLP_OUT && m->shape.fused);
            if (!has_phase((enum gpu_op)op, (enum gpu_phase)phase) || unused) {
                continue;
            }
            m->kernel[op][phase] = gpu_kernel_create(m->gpu, &m->shape, (enum gpu_op)op,
                                                     (enum gpu_phase)phase, err);
            if (!m->kernel[op][phase]) {
                return false;
            }
        }
    }
    return true;
}

// ---- meeting inside of a kernel --------------------------------------------------------------

#define MEET_TURNS 200u

// Do all workgroups of the decode kernel, in all streams at once, see each other's words? Bounded:
// who waits in vain gives up. Waits for the device.
static bool try_meeting(struct ag_gpu_model *m, bool *ok, struct ag_error *err)
{
    const struct gpu_shape *s = &m->shape;
    uint32_t groups[3], words[SYNC_WORDS] = { 0 };
    gpu_groups(s, GPU_MEET, GPU_PREFILL, 1, groups);
    struct ag_kernel *kernel = gpu_kernel_create(m->gpu, s, GPU_MEET, GPU_PREFILL, err);
    struct ag_cmd *cmd = kernel ? ag_cmd_begin(m->gpu, 0, err) : NULL;
    bool done = cmd != NULL;
    if (done) {
        struct ag_binding bindings[] = { { .buffer = m->buffer[RES_SYNC] },
                                         { .buffer = m->buffer[RES_DOWN_SUMS] } };
        struct meet_args args = { .turns = MEET_TURNS };
        ag_dispatch(cmd, kernel, bindings, AG_COUNT(bindings), &args, sizeof(args), groups[0], 1,
                    1);
        uint64_t value = ag_cmd_submit(cmd, err);
        done = value && ag_gpu_wait(m->gpu, value, err) &&
               ag_buffer_read(m->gpu, m->buffer[RES_SYNC], 0, words, sizeof(words), err);
    }
    *ok = words[SYNC_DONE] == groups[0] && words[SYNC_WRONG] == 0 && words[SYNC_GAVE_UP] == 0;
    cmd = done ? ag_cmd_begin(m->gpu, 0, err) : NULL;
    if (cmd) { // what the test has left
        ag_cmd_fill(cmd, m->buffer[RES_SYNC], 0, m->buffer[RES_SYNC]->size, 0);
        ag_cmd_fill(cmd, m->buffer[RES_DOWN_SUMS], 0, m->buffer[RES_DOWN_SUMS]->size, 0);
        done = ag_cmd_submit(cmd, err) != 0;
    }
    ag_kernel_destroy(m->gpu, &kernel);
    return done;
}

// Which way the decode rounds go. Software devices cannot be trusted with a meeting: there a
// workgroup works alone, and only on request.
static bool choose_decode(struct ag_gpu_model *m, const struct ag_gpu_model_params *params,
                          struct ag_error *err)
{
    struct gpu_shape *s = &m->shape;
    const struct ag_gpu_info *info = ag_gpu_get_info(m->gpu);
    bool wanted = params->decode != AG_DECODE_SPLIT && s->resident;
    if (params->decode == AG_DECODE_RESIDENT && !s->resident) {
        return ag_fail_kind(err, AG_ERR_INPUT, "UNSUPPORTED", "the decode kernel does not fit into "
                            "a workgroup of '%s' with this model", info->name);
    }
    bool meets = wanted && !info->software && info->cores > 0;
    if (meets && (s->decode_groups > 1 || s->prefill_groups > 1) && !try_meeting(m, &meets, err)) {
        return false;
    }
    if (wanted && !meets) {
        s->decode_groups = s->prefill_groups = 1;
        if (!info->software && info->cores > 0) {
            ag_warn(m->log, "workgroups cannot wait for each other on '%s': decode rounds run as "
                    "separate dispatches", info->name);
        }
    }
    m->resident = wanted && (meets || params->decode == AG_DECODE_RESIDENT);
    // One stream alone leaves most of the device idle.
    m->whole = meets && s->tensor && s->streams == 1 && s->c.trunk_depth == 1;
    m->whole_prefill = m->resident && s->whole_prefill;
    return true;
}

#define PROOF_ROUNDS 4u

// A frame of noise: ids and losses as they lie in the results.
static bool run_proof(struct ag_gpu_model *m, const struct ag_buffer *input, uint32_t *block,
                      uint64_t bytes, struct ag_error *err)
{
    struct ag_gpu_gaze_job job = {
        .input = input, .threshold = AG_NO_THRESHOLD,
        .budget = AG_MIN(m->shape.max_budget, PROOF_ROUNDS * m->shape.c.round),
    };
    struct ag_mask mask;
    struct ag_gpu_times times;
    ag_gpu_model_reset(m);
    m->records = 0;
    struct ag_cmd *cmd = ag_cmd_begin(m->gpu, 0, err);
    bool ok = cmd && ag_gpu_model_record(m, cmd, &job, &mask, err);
    uint64_t value = cmd ? ag_cmd_submit(cmd, err) : 0;
    ok = ok && value && ag_gpu_wait(m->gpu, value, err) &&
         ag_buffer_read(m->gpu, m->buffer[RES_RESULTS], 0, block, bytes, err);
    while (ag_gpu_poll_times(m->gpu, &times)) {
        // nobody's frame
    }
    m->records = 0;
    return ok;
}

static bool same_gaze(const struct gpu_shape *s, const uint32_t *a, const uint32_t *b)
{
    uint32_t cells = s->c.cells;
    for (uint32_t i = 0; i < s->streams; i++) {
        uint32_t slots = AG_MIN(a[0], cells);
        if (memcmp(a, b, GAZE_RESULT_IDS * 4) != 0 ||
            memcmp(a + GAZE_RESULT_IDS, b + GAZE_RESULT_IDS, slots * 4) != 0 ||
            memcmp(a + GAZE_RESULT_IDS + cells, b + GAZE_RESULT_IDS + cells, slots * 4) != 0) {
            return false;
        }
        a += GAZE_RESULT_WORDS(cells);
        b += GAZE_RESULT_WORDS(cells);
    }
    return true;
}

// The kernels that meet, before they are trusted on this device: many workgroups must leave the
// same bits as one that works alone. Waits for the device.
static bool prove_decode(struct ag_gpu_model *m, struct ag_error *err)
{
    struct gpu_shape *s = &m->shape;
    uint32_t groups = s->decode_groups, prefill_groups = s->prefill_groups, seed = 1;
    bool whole = m->whole;
    if (!m->resident || (groups == 1 && prefill_groups == 1 && !whole)) {
        return true;
    }
    uint64_t bytes = gpu_resource_bytes(s, RES_RESULTS), size = gpu_resource_bytes(s, RES_INPUT);
    uint32_t *block[2] = { ag_alloc(bytes), ag_alloc(bytes) };
    float *noise = ag_alloc(size);
    for (uint64_t i = 0; i < size / sizeof(float); i++) {
        seed = seed * 1664525u + 1013904223u;
        noise[i] = (float)(int32_t)seed * (1.0f / 2147483648.0f);
    }
    struct ag_buffer *input = ag_buffer_create(m->gpu, AG_MEM_DEVICE, size, "model/proof", err);
    bool ok = input && ag_buffer_load(m->gpu, input, 0, noise, size, err);
    for (uint32_t i = 0; i < 2 && ok; i++) {
        s->decode_groups = i ? groups : 1;
        s->prefill_groups = i ? prefill_groups : 1;
        m->whole = i && whole;
        ok = run_proof(m, input, block[i], bytes, err);
    }
    if (ok && !same_gaze(s, block[0], block[1])) {
        ag_warn(m->log, "%u workgroups do not decode what one does on '%s': vision, prefill and "
                "decode rounds run as separate dispatches", AG_MAX(groups, prefill_groups),
                ag_gpu_get_info(m->gpu)->name);
        m->resident = m->whole = m->whole_prefill = false;
    }
    ag_buffer_destroy(m->gpu, &input);
    ag_free(noise);
    ag_free(block[0]);
    ag_free(block[1]);
    return ok;
}

// ---- life ------------------------------------------------------------------------------------

struct ag_gpu_model *ag_gpu_model_create(struct ag_gpu *gpu, const struct ag_log *log,
                                         const struct ag_model *model,
                                         const struct ag_gpu_model_params *params,
                                         struct ag_error *err)
{
    struct ag_gpu_model *m = ag_alloc(sizeof(*m));
    m->gpu = gpu;
    m->log = log;
    m->canvas = params->stream.context == AG_CONTEXT_CANVAS;
    m->policy = params->stream.policy;
    if (!gpu_shape_init(&m->shape, &model->config, params, ag_gpu_get_info(gpu), err) ||
        !check_memory(m, err) ||
        !gpu_weights_create(gpu, &m->shape, &model->weights, &m->weights, err) ||
        !create_buffers(m, err) || !choose_decode(m, params, err) || !create_kernels(m, err) ||
        !gpu_rope_create(m, err) || !prove_decode(m, err)) {
        ag_gpu_model_destroy(gpu, &m);
        return NULL;
    }
    ag_gpu_model_reset(m);
    return m;
}

void ag_gpu_model_destroy(struct ag_gpu *gpu, struct ag_gpu_model **model)
{
    struct ag_gpu_model *m = *model;
    if (!m) {
        return;
    }
    for (int op = 0; op < GPU_OP_COUNT; op++) {
        for (int phase = 0; phase < GPU_PHASE_COUNT; phase++) {
            ag_kernel_destroy(gpu, &m->kernel[op][phase]);
        }
    }
    gpu_rope_destroy(m);
    for (int r = 0; r < RES_COUNT; r++) {
        ag_buffer_destroy(gpu, &m->buffer[r]);
    }
    ag_buffer_destroy(gpu, &m->none);
    gpu_weights_destroy(gpu, &m->weights);
    ag_free(m);
    *model = NULL;
}

void ag_gpu_model_reset(struct ag_gpu_model *m)
{
    m->reset = true;
    m->has_features = false;
}

uint64_t ag_gpu_model_bytes(const struct ag_gpu_model *m)
{
    return m->bytes;
}

// ---- recording -------------------------------------------------------------------------------

struct recorder {
    struct ag_gpu_model *m;
    struct ag_cmd *cmd;
    const struct ag_gpu_gaze_job *job;
    uint32_t round, rounds;    // 0: prefill
    uint32_t layer;            // or trunk block
    struct patch_args images;
    uint32_t tap[MAX_TAPS];    // context canvas: slots of the taps
};

static struct ag_binding external(const struct ag_gpu_model *m, const struct ag_buffer *buffer,
                                  uint64_t offset, enum gpu_resource resource)
{
    if (!buffer) {
        return (struct ag_binding){ .buffer = m->none };
    }
    uint64_t size = gpu_resource_bytes(&m->shape, resource);
    return (struct ag_binding){ .buffer = buffer, .offset = offset, .size = size };
}

static struct ag_binding resolve(const struct recorder *r, enum gpu_resource resource)
{
    const struct ag_gpu_model *m = r->m;
    const struct ag_gpu_gaze_job *job = r->job;
    uint32_t instance = 0;
    switch (resource) {
    case RES_INPUT:
        return external(m, job->input, job->input_offset, resource);
    case RES_CANVAS:
        return external(m, job->canvas, job->canvas_offset, resource);
    case RES_PREVIOUS:
        return external(m, job->previous, job->previous_offset, resource);
    case RES_FORCED:
        return external(m, job->forced, 0, resource);
    case RES_K:
    case RES_V:
        instance = r->layer;
        break;
    case RES_W_TRUNK:
    case RES_TRUNK_BIAS:
    case RES_W_QKV:
    case RES_W_ATTN_OUT:
    case RES_W_MLP_IN:
    case RES_W_MLP_OUT:
        return m->weights.region[resource][r->layer];
    case RES_CELLS:
    case RES_COUNTS:
        instance = m->records % MASK_SLOTS;
        break;
    case RES_LOGITS:
    case RES_HIDDEN:
        instance = m->shape.trace ? r->round : 0;
        break;
    default:
        if (resource >= RES_FIRST_WEIGHT) {
            return m->weights.region[resource][0];
        }
        break;
    }
    return (struct ag_binding){ .buffer = m->buffer[resource],
                                .offset = instance * m->stride[resource],
                                .size = m->stride[resource] };
}

static void bind(const struct recorder *r, enum gpu_op op, struct ag_binding *bindings)
{
    const struct gpu_kernel_info *info = &gpu_kernel_info[op];
    for (uint32_t i = 0; i < info->n; i++) {
        enum gpu_resource resource = (enum gpu_resource)info->resource[i];
        bindings[i] = resolve(r, resource);
        bool at_work = op == GPU_VISION_PATCH || (op == GPU_VISION && r->m->canvas);
        if (resource == RES_STATE && at_work) { // begin.comp is; it is not read there
            bindings[i] = (struct ag_binding){ .buffer = r->m->none };
        }
    }
}

// Workgroups counted on the host; no barrier.
static void run(const struct recorder *r, enum gpu_op op, enum gpu_phase phase, const void *push,
                uint32_t push_bytes)
{
    struct ag_binding bindings[GPU_MAX_RESOURCES];
    bind(r, op, bindings);
    uint32_t groups[3];
    gpu_groups(&r->m->shape, op, phase, r->images.n_images, groups);
    ag_dispatch(r->cmd, r->m->kernel[op][phase], bindings, gpu_kernel_info[op].n, push, push_bytes,
                groups[0], groups[1], groups[2]);
}

// Workgroups counted on the device: none once all streams have ended.
static void run_indirect(const struct recorder *r, enum gpu_op op, enum gpu_phase phase,
                         uint32_t arguments, const void *push, uint32_t push_bytes)
{
    struct ag_binding bindings[GPU_MAX_RESOURCES];
    bind(r, op, bindings);
    uint64_t offset = ((uint64_t)r->round * DECODE_ROUND_WORDS + 3 * arguments) * 4;
    ag_dispatch_indirect(r->cmd, r->m->kernel[op][phase], bindings, gpu_kernel_info[op].n, push,
                         push_bytes, r->m->buffer[RES_ROUNDS], offset);
}

// ---- vision ----------------------------------------------------------------------------------

// Context frames: block `block` sees its last inputs, kept in a ring.
static void frame_taps(const struct recorder *r, uint32_t block, struct trunk_args *out)
{
    uint32_t n = r->m->shape.c.trunk_time, now = r->m->in_chunk;
    *out = (struct trunk_args){ .block = block };
    for (uint32_t t = 0; t < n; t++) {
        bool known = now + t + 1 >= n; // before the first frame: zeros
        out->slot[t] = known ? (now + t + 1 - n) % n : NO_SLOT;
    }
}

static void add_image(struct recorder *r, uint32_t image, uint32_t slot)
{
    r->images.image[r->images.n_images] = image;
    r->images.slot[r->images.n_images++] = slot;
}

// Which pictures go through the patch convolution, and where their features go.
static void choose_images(struct recorder *r)
{
    struct ag_gpu_model *m = r->m;
    const struct ag_gpu_gaze_job *job = r->job;
    r->images = (struct patch_args){ 0 };
    if (!m->canvas) {
        add_image(r, IMAGE_FRAME, m->in_chunk % m->shape.feature_slots);
        return;
    }
    // Slot 2 is the canvas; 0 and 1 take turns as this frame and the one before.
    uint32_t before = m->feature_slot, now = 1 - before;
    add_image(r, IMAGE_FRAME, now);
    if (job->canvas) {
        add_image(r, IMAGE_CANVAS, 2);
    }
    if (job->previous && !(m->has_features && m->feature_id == job->previous_id)) {
        add_image(r, IMAGE_PREVIOUS, before);
    }
    r->tap[0] = job->previous ? before : NO_SLOT;
    r->tap[1] = job->canvas ? 2 : NO_SLOT;
    r->tap[2] = now;
    m->feature_slot = now;
    m->has_features = true;
    m->feature_id = job->frame_id;
}

static void begin_frame(const struct recorder *r, bool reset, bool chunk_start)
{
    const struct gpu_shape *s = &r->m->shape;
    struct begin_args args = {
        .reset = reset, .chunk_start = chunk_start, .slide = s->slide, .budget = s->max_budget,
        .rounds = s->max_rounds, .max_splits = s->prefill_splits,
        .prefill = r->m->whole_prefill,
    };
    run(r, GPU_BEGIN, GPU_PREFILL, &args, sizeof(args));
}

// A trunk block: features of some frames -> partial sums [P][C].
static void trunk(struct recorder *r, uint32_t block, struct vision_args *args)
{
    const struct ag_gpu_model *m = r->m;
    struct trunk_args taps = { 0 };
    if (m->canvas) {
        memcpy(taps.slot, r->tap, sizeof(taps.slot));
    } else {
        frame_taps(r, block, &taps);
    }
    r->layer = args->block = block;
    memcpy(args->tap, taps.slot, sizeof(args->tap));
    if (m->whole) {
        return;
    }
    ag_cmd_barrier(r->cmd);
    if (m->shape.tensor) {
        run(r, GPU_VISION_TRUNK, GPU_PREFILL, args, sizeof(*args));
    } else {
        run(r, GPU_TRUNK, GPU_PREFILL, &taps, sizeof(taps));
    }
    ag_cmd_barrier(r->cmd);
}

// [3][S][S] pictures -> vision tokens [P][D] in x, behind the pending ids.
static void vision(struct recorder *r)
{
    struct ag_gpu_model *m = r->m;
    uint32_t depth = m->shape.c.trunk_depth;
    struct vision_args all = { .n_images = r->images.n_images };
    memcpy(all.image, r->images.image, sizeof(all.image));
    memcpy(all.slot, r->images.slot, sizeof(all.slot));
    if (m->shape.tensor && !m->whole) {
        run(r, GPU_VISION_PATCH, GPU_PREFILL, &all, sizeof(all));         // the two below in one
    } else if (!m->shape.tensor) {
        run(r, GPU_PATCH, GPU_PREFILL, &r->images, sizeof(r->images));    // -> partial sums [P][C]
        ag_cmd_barrier(r->cmd);
        run(r, GPU_FEATURES, GPU_PREFILL, &r->images, sizeof(r->images)); // LayerNorm -> [P][C]
    }
    for (uint32_t block = 0; block < depth; block++) {
        trunk(r, block, &all);
        if (block + 1 < depth) {
            struct trunk_args to = { .block = block + 1, .slot = { m->in_chunk %
                                                                   m->shape.feature_slots } };
            run(r, GPU_RELU, GPU_PREFILL, &to, sizeof(to));               // -> next block's input
        }
    }
    struct decoder_args args = { 0 };
    if (m->shape.tensor) {
        run(r, m->whole ? GPU_VISION : GPU_VISION_PROJECT, GPU_PREFILL, &all, sizeof(all));
    } else {
        run(r, GPU_PROJECT, GPU_PREFILL, &args, sizeof(args));            // ReLU -> x [P][D]
    }
    ag_cmd_barrier(r->cmd);
}

// ---- decoder ---------------------------------------------------------------------------------

// One kernel of a layer over the rows of this forward; of the last layer only the last row counts,
// but for its keys and values.
static void run_layer(const struct recorder *r, enum gpu_op op, uint32_t arguments)
{
    bool last = r->layer + 1 == r->m->shape.c.layers;
    bool parts = op == GPU_QKV && r->layer > 0 && r->m->shape.fused;
    struct decoder_args args = { .round = r->round, .last = last, .parts = parts };
    enum gpu_phase phase = last && op != GPU_QKV ? GPU_LAST
                           : r->round == 0       ? GPU_PREFILL
                                                 : GPU_ROUND;
    if (last && op == GPU_ATTENTION) {
        arguments = DECODE_LAST_ATTENTION;
    }
    if (r->round == 0) { // workgroups of pieces that this frame's keys do not have leave at once
        run(r, op, phase, &args, sizeof(args));
    } else {
        run_indirect(r, op, phase, arguments, &args, sizeof(args));
    }
    ag_cmd_barrier(r->cmd);
}

static void select_ids(const struct recorder *r)
{
    const struct gpu_shape *s = &r->m->shape;
    const struct ag_gpu_gaze_job *job = r->job;
    struct select_args args = {
        .round = r->round, .rounds = r->rounds, .budget = job->budget,
        .threshold_on = !isnan(job->threshold), .threshold = job->threshold,
        .forced = job->forced != NULL, .forced_rounds = s->max_rounds, .slide = s->slide,
        .max_splits = s->max_splits,
        .frame_low = (uint32_t)job->frame_id, .frame_high = (uint32_t)(job->frame_id >> 32),
        .record = r->m->records,
    };
    static const struct { uint8_t argument, op; } next[] = {
        { DECODE_QKV, GPU_QKV }, { DECODE_ATTENTION, GPU_ATTENTION },
        { DECODE_LAST_ATTENTION, GPU_ATTENTION }, { DECODE_ATTN_OUT, GPU_ATTN_OUT },
        { DECODE_MLP_IN, GPU_MLP_IN }, { DECODE_MLP_OUT, GPU_MLP_OUT },
        { DECODE_HEADS, GPU_HEADS }, { DECODE_SELECT, GPU_SELECT },
    };
    for (size_t i = 0; i < AG_COUNT(next); i++) {
        uint32_t groups[3];
        enum gpu_op op = s->fused && next[i].op == GPU_ATTN_OUT ? GPU_TAIL
                                                                 : (enum gpu_op)next[i].op;
        gpu_groups(s, op, GPU_ROUND, 1, groups);
        args.groups[next[i].argument] = groups[0];
    }
    if (r->round == 0) {
        run(r, GPU_SELECT, GPU_PREFILL, &args, sizeof(args));
    } else {
        run_indirect(r, GPU_SELECT, GPU_PREFILL, DECODE_SELECT, &args, sizeof(args));
    }
    if (r->m->resident) { // costs less than to wait for arguments, too
        ag_cmd_barrier(r->cmd);
    } else {
        ag_cmd_barrier_indirect(r->cmd);
    }
}

// Bindings of a kernel that works on all layers or rounds: of caches and layers' weights all.
static void bind_all(const struct recorder *r, enum gpu_op op, struct ag_binding *bindings)
{
    const struct ag_gpu_model *m = r->m;
    const struct gpu_kernel_info *info = &gpu_kernel_info[op];
    bind(r, op, bindings);
    for (uint32_t i = 0; i < info->n; i++) {
        enum gpu_resource resource = (enum gpu_resource)info->resource[i];
        if (resource == RES_K || resource == RES_V || resource == RES_LOGITS ||
            resource == RES_HIDDEN) { // all instances
            bindings[i] = (struct ag_binding){ .buffer = m->buffer[resource] };
        } else if (resource == RES_W_QKV) { // all matrices
            bindings[i] = (struct ag_binding){ .buffer = m->weights.buffer };
        } else if (resource == RES_SYNC && m->shape.tensor) { // does not count arrivals
            bindings[i] = resolve(r, RES_DOWN_SUMS);
        }
    }
}

// From a layer's weights to the next one's.
static uint32_t layer_stride(const struct ag_gpu_model *m, uint32_t unit)
{
    const struct ag_binding *region = m->weights.region[RES_W_QKV];
    return m->shape.c.layers > 1 ? (uint32_t)((region[1].offset - region[0].offset) / unit) : 0;
}

// What prefill and rounds have in common; first_.. and end_.. are the caller's.
static struct decode_args round_args(const struct recorder *r)
{
    const struct ag_gpu_model *m = r->m;
    const struct gpu_shape *s = &m->shape;
    const struct ag_gpu_gaze_job *job = r->job;
    uint32_t four = s->half ? 8 : 16; // bytes of four values
    uint32_t unit = s->tensor ? 16 : four;
    const struct gpu_weights *w = &m->weights;
    return (struct decode_args){
        .rounds = r->rounds, .budget = job->budget,
        .threshold_on = !isnan(job->threshold), .threshold = job->threshold,
        .forced = job->forced != NULL, .forced_rounds = s->max_rounds, .slide = s->slide,
        .max_splits = s->max_splits,
        .frame_low = (uint32_t)job->frame_id, .frame_high = (uint32_t)(job->frame_id >> 32),
        .record = m->records, .layers = s->c.layers,
        .at_qkv = (uint32_t)(w->region[RES_W_QKV][0].offset / unit),
        .at_attn_out = (uint32_t)(w->region[RES_W_ATTN_OUT][0].offset / unit),
        .at_mlp_in = (uint32_t)(w->region[RES_W_MLP_IN][0].offset / unit),
        .at_mlp_out = (uint32_t)(w->region[RES_W_MLP_OUT][0].offset / unit),
        .at_heads = (uint32_t)(w->region[RES_W_HEADS][0].offset / unit),
        .cache_stride = (uint32_t)(m->stride[RES_K] / four),
        .logits_stride = s->trace || s->tensor ? (uint32_t)(m->stride[RES_LOGITS] / 4) : 0,
        .keys_at = (uint32_t)((s->trace ? s->max_rounds : 1) * m->stride[RES_LOGITS] / 4),
        .hidden_stride = s->trace ? (uint32_t)(m->stride[RES_HIDDEN] / 16) : 0,
        .parts = s->fused,
        .layer_stride = layer_stride(m, unit),
    };
}

#define SOFTWARE_TASKS 16u

// All layers, the heads and the selection in one kernel.
static void whole_prefill(const struct recorder *r)
{
    const struct ag_gpu_model *m = r->m;
    const struct gpu_shape *s = &m->shape;
    struct ag_binding bindings[GPU_MAX_RESOURCES];
    bind_all(r, GPU_WHOLE_PREFILL, bindings);
    struct decode_args args = round_args(r);
    args.end_layer = s->c.layers + 1;
    args.end_task = UINT32_MAX;
    uint32_t groups[3], tasks = 1;
    gpu_groups(s, GPU_WHOLE_PREFILL, GPU_PREFILL, 1, groups);
    bool all = !ag_gpu_get_info(m->gpu)->software;
    uint32_t layers = all ? 1 : s->c.layers + 1;
    for (uint32_t layer = 0; layer < layers; layer++) {
        tasks = all || layer == s->c.layers ? 1 : gpu_prefill_tasks(s);
        for (uint32_t task = 0; task < tasks; task += SOFTWARE_TASKS) {
            if (!all) { // lavapipe cuts loops, see decode()
                args.first_layer = layer;
                args.end_layer = layer + 1;
                args.first_task = task;
                args.end_task = task + SOFTWARE_TASKS;
            }
            ag_dispatch(r->cmd, m->kernel[GPU_WHOLE_PREFILL][GPU_PREFILL], bindings,
                        gpu_kernel_info[GPU_WHOLE_PREFILL].n, &args, sizeof(args), groups[0],
                        groups[1], groups[2]);
            ag_cmd_barrier(r->cmd);
        }
    }
}

// One forward and one selection: x [n][D] -> ids of the round, x of the next one.
static void forward(struct recorder *r)
{
    if (r->round == 0 && r->m->whole_prefill) {
        whole_prefill(r);
        return;
    }
    bool fused = r->m->shape.fused;
    struct decoder_args args = { .round = r->round, .parts = fused };
    for (r->layer = 0; r->layer < r->m->shape.c.layers; r->layer++) {
        run_layer(r, GPU_QKV, DECODE_QKV);             // RMSNorm, q, k, v, RoPE; k, v -> cache
        run_layer(r, GPU_ATTENTION, DECODE_ATTENTION); // softmax(q k) v, in pieces of the keys
        if (fused) {
            run_layer(r, GPU_TAIL, DECODE_ATTN_OUT);   // the three below, leaves parts of x
            continue;
        }
        run_layer(r, GPU_ATTN_OUT, DECODE_ATTN_OUT);   // pieces together, x += W_o context
        run_layer(r, GPU_MLP_IN, DECODE_MLP_IN);       // RMSNorm, silu(gate) * up
        run_layer(r, GPU_MLP_OUT, DECODE_MLP_OUT);     // x += W_down mlp
    }
    r->layer = 0;
    if (r->round == 0 && r->m->resident && r->m->shape.tensor) {
        return; // decode_matrix.comp goes on from here
    }
    if (r->round == 0) {                                     // last row: RMSNorm, logits, losses
        run(r, GPU_HEADS, GPU_PREFILL, &args, sizeof(args));
    } else {
        run_indirect(r, GPU_HEADS, GPU_PREFILL, DECODE_HEADS, &args, sizeof(args));
    }
    ag_cmd_barrier(r->cmd);
    select_ids(r);
}

// All rounds behind the prefill in one kernel.
static void decode(const struct recorder *r)
{
    const struct ag_gpu_model *m = r->m;
    const struct gpu_shape *s = &m->shape;
    struct ag_binding bindings[GPU_MAX_RESOURCES];
    const struct gpu_kernel_info *info = &gpu_kernel_info[GPU_DECODE];
    bind_all(r, GPU_DECODE, bindings);
    struct decode_args args = round_args(r);
    uint32_t groups[3];
    gpu_groups(s, GPU_DECODE, GPU_PREFILL, 1, groups);
    // lavapipe cuts a kernel's loops after 65,535 iterations in all, silently: a round at a time
    bool all = !ag_gpu_get_info(m->gpu)->software;
    uint32_t first = s->tensor && !m->whole_prefill ? 0 : 1;
    for (uint32_t round = first; round < r->rounds; round = args.end_round) {
        args.first_round = round;
        args.end_round = all ? r->rounds : round + 1;
        ag_dispatch(r->cmd, m->kernel[GPU_DECODE][GPU_PREFILL], bindings, info->n, &args,
                    sizeof(args), groups[0], groups[1], groups[2]);
        ag_cmd_barrier(r->cmd);
    }
}

// ---- a frame ---------------------------------------------------------------------------------

static bool check_job(const struct ag_gpu_model *m, const struct ag_gpu_gaze_job *job,
                      struct ag_error *err)
{
    if (job->budget < 1 || job->budget > m->shape.max_budget) {
        return ag_fail(err, AG_ERR_INPUT, "a budget of %u slots a frame, expected 1 to %u",
                       job->budget, m->shape.max_budget);
    }
    if (!m->canvas && !m->reset && m->policy == AG_STREAM_UNBOUNDED &&
        m->in_chunk >= m->shape.horizon) {
        return ag_fail(err, AG_ERR_INPUT, "the stream has had its %u frames of one context; reset "
                       "it, allow more frames a clip or use another policy", m->shape.horizon);
    }
    return true;
}

// Does this frame start with an empty context?
static bool starts_anew(const struct ag_gpu_model *m)
{
    bool chunk_full = m->policy == AG_STREAM_CHUNK && m->in_chunk >= m->shape.horizon;
    return m->canvas || m->reset || chunk_full ||
           (m->shape.slide && gpu_rope_bound(m) >= MAX_POSITION);
}

bool ag_gpu_model_record(struct ag_gpu_model *m, struct ag_cmd *cmd,
                         const struct ag_gpu_gaze_job *job, struct ag_mask *out,
                         struct ag_error *err)
{
    if (!check_job(m, job, err)) {
        return false;
    }
    bool anew = starts_anew(m);
    if (anew) {
        m->in_chunk = 0;
        m->chunk_record = m->records;
        gpu_rope_reset(m);
    }
    struct recorder r = { .m = m, .cmd = cmd, .job = job };
    r.rounds = AG_DIV_UP(job->budget, m->shape.c.round);
    ag_cmd_stage_begin(cmd, AG_STAGE_VISION);
    bool ok = !m->shape.slide || gpu_rope_extend(m, cmd, err);
    if (ok) {
        choose_images(&r);
        begin_frame(&r, anew, anew && !m->canvas);
        if (m->whole && !m->canvas) {
            ag_cmd_barrier(cmd); // ids may be pending
        }
        vision(&r);
    }
    ag_cmd_stage_end(cmd);
    if (!ok) {
        return false;
    }
    ag_cmd_stage_begin(cmd, AG_STAGE_PREFILL);
    forward(&r);
    ag_cmd_stage_end(cmd);
    ag_cmd_stage_begin(cmd, AG_STAGE_DECODE);
    if (m->resident) {
        decode(&r);
    }
    for (r.round = 1; !m->resident && r.round < r.rounds; r.round++) {
        forward(&r);
    }
    ag_cmd_stage_end(cmd);
    uint32_t slot = m->records % MASK_SLOTS;
    *out = (struct ag_mask){
        .cells = m->buffer[RES_CELLS], .offset = slot * m->stride[RES_CELLS],
        .count = m->buffer[RES_COUNTS], .count_offset = slot * m->stride[RES_COUNTS],
        .max_cells = m->shape.c.cells, .frame_id = job->frame_id,
    };
    m->reset = false;
    m->records++;
    m->in_chunk++;
    return true;
}
