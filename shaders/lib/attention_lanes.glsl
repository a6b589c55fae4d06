// attention.comp for software devices (lib/gemm_lanes.glsl says what those want): an invocation has
// rows of its own from the first key to the last, nothing goes through shared memory. A lane loads
// one key and one value of eight, the others get them from it.
const uint OWN_ROWS = (ATTN_ROWS + GROUP - 1u) / GROUP; // rows of an invocation

void main()
{
    if (!choose_piece()) {
        return;
    }
    uint row = gl_LocalInvocationIndex * OWN_ROWS;
    uint base = (stream * KV_HEADS + head / (HEADS / KV_HEADS)) * CAPACITY;
    vec4 q[OWN_ROWS * HEAD4], acc[OWN_ROWS * HEAD4];
    float largest[OWN_ROWS], weight_sum[OWN_ROWS];
    uint seen[OWN_ROWS];
    [[unroll]] for (uint r = 0u; r < OWN_ROWS; r++) {
        bool exists = row + r < n_rows;
        uint at = (stream * MAX_ROWS + row0 + row + r) * HEADS + head;
        [[unroll]] for (uint d = 0u; d < HEAD4; d++) {
            vec4 scaled = exists ? q_in[at * HEAD4 + d] : vec4(0.0);
            q[r * HEAD4 + d] = scaled * inversesqrt(float(HEAD_DIM));
            acc[r * HEAD4 + d] = vec4(0.0);
        }
        largest[r] = MASKED;
        weight_sum[r] = 0.0;
        seen[r] = min(key_end, visible0 + row + r);
    }
    [[dont_unroll]] for (uint key0 = key_begin; key0 < key_end; key0 += LANES) {
        uint key = key0 + gl_SubgroupInvocationID;
        uint at = (base + (ring_first + key) % CAPACITY) * HEAD4;
        vec4 k[HEAD4], v[HEAD4];
        [[unroll]] for (uint d = 0u; d < HEAD4; d++) {
            k[d] = key < key_end ? loaded(k_in[at + d]) : vec4(0.0);
            v[d] = key < key_end ? loaded(v_in[at + d]) : vec4(0.0);
        }
        float s[OWN_ROWS * LANES];
        [[unroll]] for (uint j = 0u; j < LANES; j++) {
            [[unroll]] for (uint r = 0u; r < OWN_ROWS; r++) {
                s[r * LANES + j] = 0.0;
            }
            [[unroll]] for (uint d = 0u; d < HEAD4; d++) {
                vec4 other = subgroupShuffle(k[d], j);
                [[unroll]] for (uint r = 0u; r < OWN_ROWS; r++) {
                    s[r * LANES + j] += dot(q[r * HEAD4 + d], other);
                }
            }
        }
        [[unroll]] for (uint r = 0u; r < OWN_ROWS; r++) {
            float before = largest[r];
            [[unroll]] for (uint j = 0u; j < LANES; j++) {
                s[r * LANES + j] = key0 + j < seen[r] ? s[r * LANES + j] : MASKED;
                largest[r] = max(largest[r], s[r * LANES + j]);
            }
            float shrink = exp(before - largest[r]);
            weight_sum[r] *= shrink;
            [[unroll]] for (uint d = 0u; d < HEAD4; d++) {
                acc[r * HEAD4 + d] *= shrink;
            }
            [[unroll]] for (uint j = 0u; j < LANES; j++) {
                float w = exp(s[r * LANES + j] - largest[r]);
                s[r * LANES + j] = s[r * LANES + j] <= 0.5 * MASKED ? 0.0 : w;
                weight_sum[r] += s[r * LANES + j];
            }
        }
        [[unroll]] for (uint j = 0u; j < LANES; j++) {
            [[unroll]] for (uint d = 0u; d < HEAD4; d++) {
                vec4 other = subgroupShuffle(v[d], j);
                [[unroll]] for (uint r = 0u; r < OWN_ROWS; r++) {
                    acc[r * HEAD4 + d] += s[r * LANES + j] * other;
                }
            }
        }
    }
    [[unroll]] for (uint r = 0u; r < OWN_ROWS; r++) {
        uint to = ((stream * MAX_ROWS + row0 + row + r) * HEADS + head) * MAX_SPLITS + piece;
        if (row + r < n_rows) {
            [[unroll]] for (uint d = 0u; d < HEAD4; d++) {
                sum_out[to * HEAD4 + d] = acc[r * HEAD4 + d];
            }
            weight_out[to] = vec2(largest[r], weight_sum[r]);
        }
    }
}
