// The vision encoder on matrix units (lib/matrix.glsl): pictures to vision tokens in three parts.
//     patch     patch convolution, 16 cells x P_TILES tiles of channels over the whole depth; who
//               is last of the workgroups of the same cells does LayerNorm over what all have
//               left: the features of a picture
//     trunk     causal convolution, ROWS tiles of 16 places x 16 channels, one frame of the input:
//               partial sums, one a frame
//     project   partial sums + bias, ReLU, out_proj (C -> D), bias, position embedding: rows
//               n_pending.. of the decoder's input x, 16 cells x J_TILES tiles of columns
// PART: one of them, a workgroup a piece of work; or all, and a workgroup takes pieces in turn and
// waits where a part begins until the one before is done (as in lib/meet.glsl: all workgroups must
// be running). What needs nobody else, weights, is asked for before the waiting. The sums are the
// same either way.
//
// A kernel that runs once pays for every instruction as it comes: no more of them than needed.
// Workgroups: pieces of work of the part; all parts: any number. 1, streams.
#version 450
#extension GL_GOOGLE_include_directive : require
#extension GL_KHR_memory_scope_semantics : require
#extension GL_EXT_control_flow_attributes : require
#include "lib/model.glsl"
#include "interface/model_args.h"
#include "lib/precision.glsl"
#include "lib/fence.glsl"

layout(constant_id = SPEC_TILE_RV) const uint ROWS = 1;
layout(constant_id = SPEC_TILE_KC) const uint P_KC = 4; // depth of patches staged at once, fours
layout(constant_id = SPEC_VISION_PART) const uint PART = VISION_ALL;

layout(push_constant) uniform push_block { vision_args a; };

// [streams][3][S][S], as samples and, where a row of a patch is made of them, as vec4
layout(std430, set = 0, binding = 0) readonly buffer frame_block { float frame[]; };
layout(std430, set = 0, binding = 1) readonly buffer canvas_block { float canvas[]; };
layout(std430, set = 0, binding = 2) readonly buffer previous_block { float previous[]; };
layout(std430, set = 0, binding = 0) readonly buffer frame4_block { vec4 frame4[]; };
layout(std430, set = 0, binding = 1) readonly buffer canvas4_block { vec4 canvas4[]; };
layout(std430, set = 0, binding = 2) readonly buffer previous4_block { vec4 previous4[]; };
// [3*p*p/16][C16][tile]
layout(std430, set = 0, binding = 3) WEIGHT_ACCESS buffer patch_block { WEIGHT_WORD weight[]; };
// [streams][IMAGE_COUNT][P][C16][4]
layout(std430, set = 0, binding = 4) coherent buffer sum_block { vec4 patch_sums[]; };
// bias, scale, shift: [3][C16][4]
layout(std430, set = 0, binding = 5) readonly buffer norm_block { vec4 norm[]; };
// [streams][DEPTH][FEATURE_SLOTS][P][C16][2]
layout(std430, set = 0, binding = 6) coherent buffer feature_block { uvec4 features[]; };
// [time*space*space][C16][C16][tile]
layout(std430, set = 0, binding = 7) WEIGHT_ACCESS buffer trunk_block { WEIGHT_WORD weight_2[]; };
// [streams][TRUNK_TIME][P][C4]
layout(std430, set = 0, binding = 8) coherent buffer partial_block { vec4 partial[]; };
layout(std430, set = 0, binding = 9) readonly buffer trunk_bias_block { vec4 trunk_bias[]; };
// [C16][D16][tile]
layout(std430, set = 0, binding = 10) WEIGHT_ACCESS buffer out_block { WEIGHT_WORD weight_3[]; };
// out_proj's bias + pos_embed: [P][D]
layout(std430, set = 0, binding = 11) WEIGHT_ACCESS buffer bias_block { float bias[]; };
layout(std430, set = 0, binding = 11) WEIGHT_ACCESS buffer bias4_block { vec4 bias4[]; };
layout(std430, set = 0, binding = 12) readonly buffer state_block { decode_state states[]; };
// [streams][rows][D4]
layout(std430, set = 0, binding = 13) writeonly buffer x_block { vec4 x_out[]; };
// TRACE: [streams][P][D]
layout(std430, set = 0, binding = 14) writeonly buffer tokens_block { float tokens[]; };
// [streams][VISION_COUNTERS + pictures x row tiles], zeros at first and at last
layout(std430, set = 0, binding = 15) coherent volatile buffer count_block { uint counters[]; };

const uint WARPS = GROUP / 32u;
const uint C16 = (CHANNELS + 15u) / 16u;
const uint D16 = (WIDTH + 15u) / 16u;
const uint CELLS16 = (TOKENS + 15u) / 16u; // row tiles of cells
const uint COUNTERS = VISION_COUNTERS + IMAGE_COUNT * CELLS16;

// Shared memory: inputs in eights, then sums in fours; one more, so that rows do not share banks.
const uint P_TILES = WARPS % 3u == 0u ? 3u : WARPS % 2u == 0u ? 2u : 1u;
const uint P_KG = WARPS / P_TILES;
const uint P_STEPS = P_KC / (4u * P_KG); // tiles of depth of a subgroup in one stage
const uint P_XS = P_KC / 2u + 1u;
const uint P_SS = 4u * P_TILES + 1u;
const uint P_SHARED = 16u * (P_XS > P_KG * P_SS ? P_XS : P_KG * P_SS);

const uint SPAN = TRUNK_SPACE - 1u;
const uint TAPS = TRUNK_SPACE * TRUNK_SPACE;
const uint WIDE = GRID + SPAN;
const uint T_XS = 2u * WARPS + 1u;
const uint READ = 16u * ROWS + SPAN * (WIDE + 1u); // places; and those of them that count
const uint T_STAGED = ((16u * ROWS) % WIDE == 0u ? READ - SPAN + 15u : READ + 15u) / 16u;
const uint PLACES = READ > 16u * T_STAGED ? READ : 16u * T_STAGED;
const uint T_SS = 5u;
// Tiles of a subgroup's sums that are put together at once: as many as fit in there, or a few more.
const uint FIT = (PLACES * T_XS + WARPS * 16u * T_SS - 1u) / (WARPS * 16u * T_SS);
const uint TOGETHER = FIT < ROWS ? FIT : ROWS;
const uint T_SUMS = WARPS * 16u * T_SS * TOGETHER;
const uint T_SHARED = PLACES * T_XS > T_SUMS ? PLACES * T_XS : T_SUMS;
const uint T_ROWS = ((GRID - 1u) * WIDE + GRID + 16u * ROWS - 1u) / (16u * ROWS); // row tiles

const uint J_TILES = WARPS % 2u == 0u ? 2u : 1u;
const uint J_KG = WARPS / J_TILES;
const uint J_ALL = (C16 + J_KG - 1u) / J_KG;
const uint J_STEPS = J_ALL < 8u ? J_ALL : 8u;
const uint J_KC = 4u * J_KG * J_STEPS;
const uint J_XS = J_KC / 2u + 1u;
const uint J_SS = 4u * J_TILES + 1u;
const uint J_SHARED = 16u * (J_XS > J_KG * J_SS ? J_XS : J_KG * J_SS);

const uint PT_SHARED = P_SHARED > T_SHARED ? P_SHARED : T_SHARED;
const uint SHARED = PART == VISION_PATCH     ? P_SHARED
                    : PART == VISION_TRUNK   ? T_SHARED
                    : PART == VISION_PROJECT ? J_SHARED
                    : PT_SHARED > J_SHARED   ? PT_SHARED
                                             : J_SHARED;
shared uvec4 tile[SHARED];
shared float row_sums[GROUP];
shared uint is_last, n_pending;

#define MMA_TILE
#define MMA_WEIGHTS
#define MMA_WEIGHTS_3
#include "lib/matrix.glsl"

uint t, warp, stream;

// ---- waiting for others ----------------------------------------------------------------------

// What all invocations have written, others see; true for one who is to tell them.
bool finish()
{
    hand_over_rest();
    return t == 0u;
}

void count_up(uint counter)
{
    if (PART == VISION_ALL) {
        atomicAdd(counters[stream * COUNTERS + counter], 1u);
    }
}

// Bounded: who has waited in vain goes on with what there is.
void wait_for(uint counter, uint n)
{
    if (PART == VISION_ALL) {
        if (t == 0u) {
            uint spins = 0u;
            while (counters[stream * COUNTERS + counter] < n && spins < SYNC_MAX_SPINS) {
                spins++;
            }
        }
        barrier();
    }
}

// ---- patch -----------------------------------------------------------------------------------

const uint K_ALL = 3u * PATCH * PATCH;
const uint K4 = (K_ALL + 3u) / 4u;
const uint K8 = (K_ALL + 7u) / 8u;
const uint K16 = (K_ALL + 15u) / 16u;
// A line of a patch (colour, y) in eights; invocations that fetch a line of 16 cells; lines that
// are fetched at once. Where that does not come out even, sample by sample.
const uint X8 = PATCH < 8u ? 1u : PATCH / 8u;
const uint ABREAST = 16u * X8;
const uint LINES = PATCH % 8u == 0u ? P_KC / 2u % X8 == 0u ? GROUP / ABREAST : 0u : 0u;
const uint FETCHED = LINES > 0u ? (P_KC / 2u / X8 + LINES - 1u) / (LINES > 0u ? LINES : 1u) : 1u;
#define FULL                                                                                       \
    (GROUP == LINES * ABREAST && P_KC / 2u == FETCHED * LINES * X8 && K8 % (P_KC / 2u) == 0u)

uint image, picture;

float texel(uint at)
{
    return image == IMAGE_FRAME ? frame[at] : image == IMAGE_CANVAS ? canvas[at] : previous[at];
}

// Four samples of a cell, k4 = (colour, y, x/4).
vec4 samples(uint cell, uint k4)
{
    vec4 v = vec4(0.0);
    for (uint k = 4u * k4; k < min(4u * k4 + 4u, K_ALL); k++) {
        uint colour = k / (PATCH * PATCH), y = k / PATCH % PATCH, x = k % PATCH;
        v[k % 4u] = texel(picture + (colour * SIDE + cell / GRID * PATCH + y) * SIDE +
                          cell % GRID * PATCH + x);
    }
    return v;
}

uvec4 eight(vec4 a, vec4 b)
{
    return uvec4(half4(a), half4(b));
}

#define FETCH(fours)                                                                               \
    {                                                                                              \
        vec4 x[2u * FETCHED];                                                                      \
        [[unroll]] for (uint i = 0u; i < FETCHED; i++) {                                           \
            uint l = k0 / (2u * X8) + line + i * LINES;                                            \
            l = FULL ? l : min(l, 3u * PATCH - 1u);                                                \
            uint at = corner + (l / PATCH * SIDE + l % PATCH) * (SIDE / 4u);                       \
            x[2u * i] = fours[at];                                                                 \
            x[2u * i + 1u] = fours[at + 1u];                                                       \
        }                                                                                          \
        [[unroll]] for (uint i = 0u; i < FETCHED; i++) {                                           \
            uint k8 = (line + i * LINES) * X8 + t % X8;                                            \
            if (FULL || (line < LINES && 2u * k8 < P_KC)) {                                        \
                tile[t / X8 % 16u * P_XS + k8] = FULL || k0 / 2u + k8 < K8                         \
                                                     ? eight(x[2u * i], x[2u * i + 1u])            \
                                                     : uvec4(0u);                                  \
            }                                                                                      \
        }                                                                                          \
    }

// Fours k0.. of the cells' samples.
void stage_patch(uint row0, uint k0)
{
    if (LINES > 0u) {
        uint cell = min(row0 + t / X8 % 16u, TOKENS - 1u), line = t / ABREAST;
        uint corner = (picture + (cell / GRID * SIDE + cell % GRID) * PATCH) / 4u + t % X8 * 2u;
        if (image == IMAGE_FRAME) {
            FETCH(frame4)
        } else if (image == IMAGE_CANVAS) {
            FETCH(canvas4)
        } else {
            FETCH(previous4)
        }
    } else {
        for (uint u = t; u < 16u * (P_KC / 2u); u += GROUP) {
            uint k8 = u % (P_KC / 2u), cell = min(row0 + u / (P_KC / 2u), TOKENS - 1u);
            tile[u / (P_KC / 2u) * P_XS + k8] = eight(samples(cell, k0 + 2u * k8),
                                                      samples(cell, k0 + 2u * k8 + 1u));
        }
    }
}

// Invocations that share a row in LayerNorm; tiles of channels of each.
const uint SHARERS = GROUP / 16u;
const uint OWN = (C16 + SHARERS - 1u) / SHARERS;

float row_sum(float value)
{
    barrier(); // the last ones have been read
    row_sums[t] = value;
    barrier();
    float sum = 0.0;
    [[unroll]] for (uint i = 0u; i < SHARERS; i++) {
        sum += row_sums[t / SHARERS * SHARERS + i];
    }
    return sum;
}

// LayerNorm over the channels of 16 cells. Pads are zeros in all that is read.
void norm_rows(uint row0, uint from, uint to)
{
    uint cell = min(row0 + t / SHARERS, TOKENS - 1u);
    vec4 x[4u * OWN];
    [[unroll]] for (uint i = 0u; i < 4u * OWN; i++) {
        uint c4 = 4u * min(t % SHARERS + i / 4u * SHARERS, C16 - 1u) + i % 4u;
        x[i] = patch_sums[(from + cell) * 4u * C16 + c4] + norm[c4];
    }
    float sum = 0.0, squares = 0.0;
    [[unroll]] for (uint i = 0u; i < 4u * OWN; i++) {
        bool own = C16 % SHARERS == 0u || t % SHARERS + i / 4u * SHARERS < C16;
        sum += own ? dot(x[i], vec4(1.0)) : 0.0;
    }
    float mean = row_sum(sum) / float(CHANNELS);
    [[unroll]] for (uint i = 0u; i < 4u * OWN; i++) {
        uint c = 16u * (t % SHARERS + i / 4u * SHARERS) + 4u * (i % 4u);
        x[i] -= mean;
        [[unroll]] for (uint j = 0u; j < 4u; j++) {
            squares += CHANNELS % (16u * SHARERS) == 0u || c + j < CHANNELS ? x[i][j] * x[i][j]
                                                                            : 0.0;
        }
    }
    float deviation = inversesqrt(row_sum(squares) / float(CHANNELS) + LAYER_NORM_EPS);
    [[unroll]] for (uint i = 0u; i < 2u * OWN; i++) {
        uint c16 = t % SHARERS + i / 2u * SHARERS, c4 = 4u * min(c16, C16 - 1u) + i % 2u * 2u;
        vec4 y[2];
        [[unroll]] for (uint j = 0u; j < 2u; j++) {
            y[j] = x[2u * i + j] * deviation * norm[4u * C16 + c4 + j] + norm[8u * C16 + c4 + j];
        }
        if (row0 + t / SHARERS < TOKENS && c16 < C16) {
            features[((to + cell) * 4u * C16 + c4) / 2u] = eight(y[0], y[1]);
        }
    }
}

void patch_piece(uint piece)
{
    const uint COLUMNS = (C16 + P_TILES - 1u) / P_TILES;
    uint tile0 = piece % COLUMNS * P_TILES, row16 = piece / COLUMNS % CELLS16;
    uint which = piece / (COLUMNS * CELLS16), row0 = row16 * 16u;
    uint group = warp / P_TILES, own = min(tile0 + warp % P_TILES, C16 - 1u);
    image = a.image[which];
    picture = stream * 3u * SIDE * SIDE;

    mma_sum acc = mma_zero();
    for (uint k0 = 0u; k0 < K4; k0 += P_KC) {
        mma_w w[P_STEPS];
        [[unroll]] for (uint s = 0u; s < P_STEPS; s++) {
            uint k16 = min(k0 / 4u + group * P_STEPS + s, K16 - 1u); // behind the end: times zero
            w[s] = mma_ask((k16 * C16 + own) * 32u);
        }
        barrier(); // what was here has been read
        stage_patch(row0, k0);
        barrier();
        [[unroll]] for (uint s = 0u; s < P_STEPS; s++) {
            acc = mma_add(mma_rows(2u * (group * P_STEPS + s), P_XS), mma_asked(w[s]), acc);
        }
    }
    barrier();
    mma_put(acc, group * 16u * P_SS + warp % P_TILES * 4u, P_SS);
    barrier();
    uint from = (stream * IMAGE_COUNT + which) * TOKENS;
    for (uint u = t; u < 64u * P_TILES; u += GROUP) {
        uint row = u / (4u * P_TILES), c4 = u % (4u * P_TILES);
        vec4 sum = vec4(0.0);
        [[unroll]] for (uint g = 0u; g < P_KG; g++) {
            sum += uintBitsToFloat(tile[(g * 16u + row) * P_SS + c4]);
        }
        if (row0 + row < TOKENS && tile0 * 4u + c4 < 4u * C16) {
            patch_sums[(from + row0 + row) * 4u * C16 + tile0 * 4u + c4] = sum;
        }
    }
    if (finish()) {
        uint at = stream * COUNTERS + VISION_COUNTERS + which * CELLS16 + row16;
        is_last = uint(atomicAdd(counters[at], 1u) + 1u == COLUMNS);
        if (is_last != 0u) {
            counters[at] = 0u; // for the next frame
        }
    }
    barrier();
    if (is_last != 0u) {
        uint slot = min(a.slot[which], FEATURE_SLOTS - 1u);
        norm_rows(row0, from, (stream * DEPTH * FEATURE_SLOTS + slot) * TOKENS);
        if (PART == VISION_ALL && finish()) {
            count_up(VISION_NORMED);
        }
    }
}

// ---- trunk -----------------------------------------------------------------------------------
// Places: the rows of the grid lie WIDE apart, as many more than a row is long as neighbours reach
// to the right and left. So 16 places in a row, seen from any tap, are 16 places in a row, and a
// tap costs an offset: all taps read the same inputs in shared memory. Between the rows inputs are
// zeros and outputs are worth nothing. A subgroup has 16 channels of the input, then the next ones.

void trunk_piece(uint piece, bool waits)
{
    uint column = piece % C16, time = piece / C16 % TRUNK_TIME;
    uint first = piece / (C16 * TRUNK_TIME) * 16u * ROWS;
    uint slot = a.tap[time];
    bool known = slot < FEATURE_SLOTS;
    uint block = stream * DEPTH + min(a.block, DEPTH - 1u);
    uint in_frame = (block * FEATURE_SLOTS + min(slot, FEATURE_SLOTS - 1u)) * TOKENS * 2u * C16;

    mma_sum acc[ROWS];
    [[unroll]] for (uint r = 0u; r < ROWS; r++) {
        acc[r] = mma_zero();
    }
    for (uint c0 = 0u; c0 < C16; c0 += WARPS) {
        mma_w w[TAPS];
        [[unroll]] for (uint i = 0u; i < TAPS; i++) {
            uint c16 = min(c0 + warp, C16 - 1u); // behind the last one: times zero
            w[i] = mma_ask_2((((time * TAPS + i) * C16 + c16) * C16 + column) * 32u);
        }
        if (waits && c0 == 0u) {
            wait_for(VISION_NORMED, a.n_images * CELLS16);
        }
        uint c8 = 2u * c0 + t % (2u * WARPS);
        uvec4 x[T_STAGED]; // of 16 places at a time
        [[unroll]] for (uint i = 0u; i < T_STAGED; i++) {
            uint p = first + 16u * i + t / (2u * WARPS);
            uint row = p / WIDE - SPAN / 2u, col = p % WIDE - SPAN / 2u; // outside: wrap around
            x[i] = uvec4(0u);
            if (known && row < GRID && col < GRID && (C16 % WARPS == 0u || c8 < 2u * C16)) {
                x[i] = features[in_frame + (row * GRID + col) * 2u * C16 + c8];
            }
        }
        barrier(); // what was here has been read
        [[unroll]] for (uint i = 0u; i < T_STAGED; i++) {
            tile[(16u * i + t / (2u * WARPS)) * T_XS + t % (2u * WARPS)] = x[i];
        }
        barrier();
        [[unroll]] for (uint i = 0u; i < TAPS; i++) {
            mma_b b = mma_asked(w[i]);
            uint at = (i / TRUNK_SPACE * WIDE + i % TRUNK_SPACE) * T_XS + 2u * warp;
            [[unroll]] for (uint r = 0u; r < ROWS; r++) {
                acc[r] = mma_add(mma_rows(16u * r * T_XS + at, T_XS), b, acc[r]);
            }
        }
    }

    uint to = (stream * TRUNK_TIME + time) * TOKENS;
    [[unroll]] for (uint r0 = 0u; r0 < ROWS; r0 += TOGETHER) {
        barrier();
        [[unroll]] for (uint r = r0; r < r0 + TOGETHER && r < ROWS; r++) {
            mma_put(acc[r], (warp * TOGETHER + r - r0) * 16u * T_SS, T_SS);
        }
        barrier();
        for (uint u = t; u < 64u * min(TOGETHER, ROWS - r0); u += GROUP) {
            vec4 sum = vec4(0.0);
            [[unroll]] for (uint w = 0u; w < WARPS; w++) {
                sum += uintBitsToFloat(tile[(w * TOGETHER * 16u + u / 4u) * T_SS + u % 4u]);
            }
            uint p = first + 16u * r0 + u / 4u, row = p / WIDE, col = p % WIDE;
            uint c4 = 4u * column + u % 4u;
            if (row < GRID && col < GRID && c4 < CHANNELS4) {
                partial[(to + row * GRID + col) * CHANNELS4 + c4] = sum;
            }
        }
    }
    if (PART == VISION_ALL && finish()) {
        count_up(VISION_TRUNKS);
    }
}

// ---- project ---------------------------------------------------------------------------------

const uint J_OUT = (64u * J_TILES + GROUP - 1u) / GROUP; // fours of the output of an invocation

// Four channels of a cell behind the trunk, zeros behind the last one.
vec4 channels(uint at, uint c4)
{
    uint c = min(c4, CHANNELS4 - 1u);
    vec4 sum = trunk_bias[c];
    [[unroll]] for (uint s = 0u; s < TRUNK_TIME; s++) {
        sum += partial[at + s * TOKENS * CHANNELS4 + c];
    }
    return c4 < CHANNELS4 ? max(sum, vec4(0.0)) : vec4(0.0);
}

void project_piece(uint piece, bool waits)
{
    const uint COLUMNS = (D16 + J_TILES - 1u) / J_TILES;
    uint tile0 = piece % COLUMNS * J_TILES, row0 = piece / COLUMNS * 16u;
    uint group = warp / J_TILES, own = min(tile0 + warp % J_TILES, D16 - 1u);
    vec4 out4[J_OUT]; // what will be added at the end
    [[unroll]] for (uint i = 0u; i < J_OUT; i++) {
        uint u = t + i * GROUP, cell = min(row0 + u / (4u * J_TILES), TOKENS - 1u);
        uint c4 = min(4u * tile0 + u % (4u * J_TILES), WIDTH4 - 1u);
        if (WIDTH % 4u == 0u) {
            out4[i] = bias4[cell * WIDTH4 + c4];
        } else {
            [[unroll]] for (uint j = 0u; j < 4u; j++) {
                out4[i][j] = 4u * c4 + j < WIDTH ? bias[cell * WIDTH + 4u * c4 + j] : 0.0;
            }
        }
    }
    mma_sum acc = mma_zero();
    for (uint k0 = 0u; k0 < CHANNELS4; k0 += J_KC) {
        mma_w w[J_STEPS];
        [[unroll]] for (uint s = 0u; s < J_STEPS; s++) {
            uint k16 = min(k0 / 4u + group * J_STEPS + s, C16 - 1u); // behind the end: times zero
            w[s] = mma_ask_3((k16 * D16 + own) * 32u);
        }
        if (waits && k0 == 0u) {
            wait_for(VISION_TRUNKS, C16 * TRUNK_TIME * T_ROWS);
        }
        if (MAX_ROWS > TOKENS && t == 0u && k0 == 0u) {
            n_pending = min(states[stream].n_pending, MAX_ROWS - TOKENS);
        }
        barrier(); // what was here has been read
        [[unroll]] for (uint u = t; u < 16u * (J_KC / 2u); u += GROUP) {
            uint cell = min(row0 + u / (J_KC / 2u), TOKENS - 1u), k8 = u % (J_KC / 2u);
            uint at = (stream * TRUNK_TIME * TOKENS + cell) * CHANNELS4;
            tile[u / (J_KC / 2u) * J_XS + k8] = eight(channels(at, k0 + 2u * k8),
                                                      channels(at, k0 + 2u * k8 + 1u));
        }
        barrier();
        [[unroll]] for (uint s = 0u; s < J_STEPS; s++) {
            acc = mma_add(mma_rows(2u * (group * J_STEPS + s), J_XS), mma_asked(w[s]), acc);
        }
    }
    barrier();
    mma_put(acc, group * 16u * J_SS + warp % J_TILES * 4u, J_SS);
    barrier();
    uint to = stream * MAX_ROWS + (MAX_ROWS > TOKENS ? n_pending : 0u);
    [[unroll]] for (uint i = 0u; i < J_OUT; i++) {
        uint u = t + i * GROUP, row = u / (4u * J_TILES), c4 = 4u * tile0 + u % (4u * J_TILES);
        if (row < 16u && row0 + row < TOKENS && c4 < WIDTH4) {
            vec4 sum = out4[i];
            [[unroll]] for (uint g = 0u; g < J_KG; g++) {
                sum += uintBitsToFloat(tile[(g * 16u + row) * J_SS + u % (4u * J_TILES)]);
            }
            x_out[(to + row0 + row) * WIDTH4 + c4] = sum;
            if (TRACE != 0u) {
                [[unroll]] for (uint j = 0u; j < 4u; j++) {
                    if (4u * c4 + j < WIDTH) {
                        tokens[(stream * TOKENS + row0 + row) * WIDTH + 4u * c4 + j] = sum[j];
                    }
                }
            }
        }
    }
}

// ----------------------------------------------------------------------------------------------

#define PIECES(part, n, CALL)                                                                      \
    if (PART == part || PART == VISION_ALL) {                                                      \
        for (uint piece = gl_WorkGroupID.x; piece < n; piece += gl_NumWorkGroups.x) {              \
            CALL;                                                                                  \
        }                                                                                          \
    }

void main()
{
    t = gl_LocalInvocationIndex;
    warp = mma_warp();
    stream = gl_WorkGroupID.z;
    PIECES(VISION_PATCH, (C16 + P_TILES - 1u) / P_TILES * CELLS16 * a.n_images, patch_piece(piece))
    PIECES(VISION_TRUNK, C16 * TRUNK_TIME * T_ROWS, trunk_piece(piece, piece == gl_WorkGroupID.x))
    PIECES(VISION_PROJECT, (D16 + J_TILES - 1u) / J_TILES * CELLS16,
           project_piece(piece, piece == gl_WorkGroupID.x))
    if (PART == VISION_ALL && t == 0u) { // who leaves last clears the counters
        uint at = stream * COUNTERS;
        if (atomicAdd(counters[at + VISION_LEFT], 1u) + 1u == gl_NumWorkGroups.x) {
            counters[at + VISION_NORMED] = 0u;
            counters[at + VISION_TRUNKS] = 0u;
            counters[at + VISION_LEFT] = 0u;
        }
    }
}
