// Puts the pieces together that attention.comp leaves. The includer has declared
//     vec2 softmax[]    [streams][rows][H][MAX_SPLITS] largest score, sum of weights
//     vec4 sums[]       [streams][rows][H][MAX_SPLITS][HEAD4] or, MATRIX,
//     uvec2 means[]     [streams][rows][H][MAX_SPLITS][PIECE4] halves
// They are asked for at once, whether they are there or not: one wait instead of several.
#ifdef MATRIX
#define PIECE(i, d) loaded(means[(i) * PIECE4 + (d)]) * softmax[i].y
#else
#define PIECE(i, d) sums[(i) * HEAD4 + (d)]
#endif
#define PUT_TOGETHER(most)                                                                         \
    vec4 piece[most];                                                                              \
    vec2 score[most];                                                                              \
    [[unroll]] for (uint s = 0u; s < most; s++) {                                                  \
        uint i = at + min(s, splits - 1u);                                                         \
        piece[s] = PIECE(i, d);                                                                    \
        score[s] = softmax[i];                                                                     \
    }                                                                                              \
    float largest = score[0].x;                                                                    \
    [[unroll]] for (uint s = 1u; s < most; s++) {                                                  \
        largest = max(largest, score[s].x);                                                        \
    }                                                                                              \
    vec4 sum = vec4(0.0);                                                                          \
    float weight_sum = 0.0;                                                                        \
    [[unroll]] for (uint s = 0u; s < most; s++) {                                                  \
        float w = s < splits ? exp(score[s].x - largest) : 0.0; /* 0, too, where it saw no key */  \
        sum += w * piece[s];                                                                       \
        weight_sum += w * score[s].y;                                                              \
    }                                                                                              \
    return sum / weight_sum;

const uint FEW = MAX_SPLITS < 2u ? MAX_SPLITS : 2u; // as many as a closed loop's prefill has

vec4 attention_at(uint stream, uint row, uint k4, uint splits)
{
    uint head = k4 / HEAD4, d = k4 % HEAD4;
    uint at = ((stream * MAX_ROWS + row) * HEADS + head) * MAX_SPLITS;
    if (splits <= FEW) {
        PUT_TOGETHER(FEW)
    }
    PUT_TOGETHER(MAX_SPLITS)
}
