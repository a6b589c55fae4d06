// What the parts of verify share.
//
//   verify_vectors.c   tensors of a file
//   verify_expected.c  what the reference did in a case
//   verify_judge.c     one round against the reference
//   verify_play.c      a clip through a back end
//   verify.c           the cases of a file
//   verify_report.c    errors, verdicts, the table
#ifndef AUTOGAZE_BENCH_VERIFY_INTERNAL_H
#define AUTOGAZE_BENCH_VERIFY_INTERNAL_H

#include "verify.h"

#include "verify_vectors.h"

// What the reference did in one case.
struct expected {
    char prefix[32]; // "budget."
    uint32_t frames, budget;
    float threshold;
    const int64_t *counts, *ids; // [frames], [slots], pads as EOS of the frame
    const float *losses;         // [slots]; NULL: unknown
    const float *vision;         // [n_vision][P][D]; NULL: none
    uint32_t n_vision;
    const float *canvas;         // [3][S][S]; NULL: none
    const float *past;           // [depth][C][trunk_time-1][P]; NULL: none
    bool traced, local;          // local: ids do not count frames
};

struct run {
    const struct ag_model *model;
    const struct ag_verify_backend *backend;
    void *handle;
    struct ag_vectors vectors;
    struct ag_verify_report *report;
    struct ag_error *err;
    float *inputs; // [n_inputs][3][S][S]
    uint32_t n_inputs;
};

// One clip on its way through the back end.
struct play {
    struct run *r;
    struct ag_verify_case *out;
    const struct expected *e;
    const float *inputs;
    bool forced;           // teacher forced and listened to, else running free
    uint32_t stop;         // frames to play
    uint32_t t;            // frame
    size_t slot;           // first slot of the frame in the expected lists
    struct ag_round *rounds; // of the frame, as expected
    uint32_t n_rounds;
    uint32_t cached;       // tokens in the cache by the trace's valid flags
    uint32_t first_tie;    // frame of the first near tie
    uint32_t *history, n_history;
    struct ag_gaze *kept;  // square case: [stop] the tile's gaze, ids and losses [cells]
    bool broken;           // the file turned out unusable: r->err is set
};

static inline size_t input_size(const struct ag_model_config *c)
{
    return 3 * (size_t)c->image_size * c->image_size;
}

// Tensor PREFIX + NAME as an array of T, or NULL with r->err set.
#define GET(r, T, prefix, name, dtype, ...)                                                        \
    ((const T *)ag_vectors_get(&(r)->vectors, prefix, name, dtype, AG_SHAPE(__VA_ARGS__), NULL,    \
                               (r)->err))
#define GET_SIZED(r, T, prefix, name, dtype, entry, ...)                                           \
    ((const T *)ag_vectors_get(&(r)->vectors, prefix, name, dtype, AG_SHAPE(__VA_ARGS__), entry,   \
                               (r)->err))

// verify_report.c
struct ag_verify_case *ag_verify_add_case(struct ag_verify_report *report, const char *name,
                                          uint32_t frames);
// Judges the errors by the bounds and counts the case.
void ag_verify_close_case(struct ag_verify_report *report, struct ag_verify_case *k,
                          const struct ag_verify_bounds *bounds);
// The case differs; the first sentence is kept.
void ag_verify_complain(struct ag_verify_case *k, const char *fmt, ...) AG_PRINTF(2, 3);
float ag_verify_difference(const float *own, const float *expected, size_t n, float *absmax);
// Records a stage's error; returns the absolute one.
float ag_verify_measure(struct ag_verify_case *k, enum ag_verify_stage stage, const float *own,
                        const float *expected, size_t n);

// verify_expected.c
bool ag_verify_bad_file(struct run *r, const char *prefix, const char *what); // returns false
bool ag_verify_read_params(struct run *r, const char *prefix, struct expected *e);
// Ids and counts must fit together before anything is indexed by them.
bool ag_verify_check_ids(struct run *r, const struct expected *e, uint32_t slots,
                         const uint8_t *pads);
bool ag_verify_read_expected(struct run *r, const char *prefix, struct expected *e);

// verify_play.c: false with *r->err set where the file or the back end cannot be used.
bool ag_verify_play(struct play *p);
// Teacher forced, then free: that must repeat the reference up to the first near tie.
bool ag_verify_clip(struct run *r, struct ag_verify_case *k, const struct expected *e,
                    const float *inputs);

#endif
