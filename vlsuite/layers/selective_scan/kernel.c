/* The selective scan of Mamba (S6) on the CPU: forward, and backward from states kept every STEPS.
 *
 * Gu and Dao 2023, arXiv 2312.00752, equation 2 with the step of the published code:
 *     h[t] = exp(dt[t] A) h[t-1] + dt[t] x[t] B[t],   y[t] = <h[t], C[t]> + D x[t]
 *
 * A task is one row of the batch and a block of channels. It goes through time STEPS at a time: the
 * piece is unpacked to fp32, then the states are taken two at a time and the channels two vectors
 * at a time, so that four vectors of h and of A stay in registers over the whole piece. Lanes of a
 * vector are channels: sums over states need no exchange between lanes. Sums over channels (the
 * gradients of B and C) are made per block and added in the order of the blocks, so results do not
 * depend on the number of threads.
 *
 * Compiled without -ffast-math: NaN and infinities of the inputs come out as such. The exponential
 * is exact to 1 unit in the last place; one that is off by more drifts, since its error compounds.
 */

#include <pthread.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#if defined(__SSE__)
#include <immintrin.h>
#endif
#if defined(__ARM_NEON)
#include <arm_neon.h>
#endif

#if defined(__AVX512F__)
#define LANES 16
#elif defined(__AVX__)
#define LANES 8
#else
#define LANES 4
#endif
#define STEPS 64
#define WIDE (2 * LANES) /* channels that are worked on at a time */
#define MAX_THREADS 256

typedef float vf __attribute__((vector_size(4 * LANES)));
typedef int32_t vi __attribute__((vector_size(4 * LANES)));

/* One tensor of the batch and time: element (b, t, i) is data[b * row + t * step + i]. */
typedef struct {
    void *data;
    int64_t row, step, is_bf16;
} Series;

/* What Python hands over; every member has 8 bytes. All other arrays are contiguous fp32:
 * A [d n], D and dt_bias [d] or null, initial and final [b d n] (initial may be null),
 * kept [b pieces n d] (null: keep none), the sums per task or per row as said at `Gradients`. */
typedef struct {
    int64_t batch, length, channels, states, per_task, softplus, threads;
    Series x, dt, B, C, y;
    const float *A, *D, *dt_bias, *initial;
    float *final, *kept;
} Scan;

/* dA [b d n], dD and dbias [b d]: summed over b by the caller. dB and dC [blocks b l n] where
 * every block has its own part, [b l n] where one thread adds them in order; zero at first. */
typedef struct {
    Series dy, dx, ddt;
    const float *dfinal;
    float *dA, *dD, *dbias, *dinitial, *dB, *dC;
    int64_t own_parts;
} Gradients;

typedef struct {
    const Scan *scan;
    const Gradients *gradients; /* null: forward */
    int64_t next, failed;
} Job;

int64_t vlsuite_scan_steps(void) { return STEPS; }
int64_t vlsuite_scan_block(void) { return WIDE; }

/* ---- vectors ---- */

static inline vf load(const float *from) {
    vf v;
    memcpy(&v, from, sizeof v);
    return v;
}

static inline void store(float *to, vf v) { memcpy(to, &v, sizeof v); }

static inline vf splat(float value) { return (vf){0} + value; }

static inline vf choose(vi where, vf yes, vf no) {
    return (vf)((where & (vi)yes) | (~where & (vi)no));
}

/* min(max(p, low), high); NaN stays NaN. */
static inline vf clamp(vf p, float low, float high) {
#if defined(__AVX512F__)
    p = (vf)_mm512_max_ps((__m512)splat(low), (__m512)p);
    return (vf)_mm512_min_ps((__m512)splat(high), (__m512)p);
#elif defined(__AVX__)
    p = (vf)_mm256_max_ps((__m256)splat(low), (__m256)p);
    return (vf)_mm256_min_ps((__m256)splat(high), (__m256)p);
#elif defined(__SSE__)
    p = (vf)_mm_max_ps((__m128)splat(low), (__m128)p);
    return (vf)_mm_min_ps((__m128)splat(high), (__m128)p);
#elif defined(__ARM_NEON)
    return (vf)vminq_f32(vmaxq_f32((float32x4_t)p, (float32x4_t)splat(low)),
                         (float32x4_t)splat(high));
#else
    p = choose(p < splat(low), splat(low), p);
    return choose(p > splat(high), splat(high), p);
#endif
}

/* 2^p for p in [-125, 127], the nearer bound outside. 2^p = 2^k (1 + f R(f)) with k = round(p),
 * |f| <= 1/2; R interpolates (2^f - 1) / f in Chebyshev's nodes, off by 9e-9 at most. */
static inline vf power_of_two(vf p) {
    const float round_here = 12582912.0f; /* 1.5 * 2^23: its last bits count integers */
    p = clamp(p, -125.0f, 127.0f);
    vf t = p + round_here;
    vf f = p - (t - round_here);
    vf q = splat(1.5453163e-4f);
    q = q * f + 1.3390863e-3f;
    q = q * f + 9.6180830e-3f;
    q = q * f + 5.5503570e-2f;
    q = q * f + 2.4022651e-1f;
    q = q * f + 6.9314718e-1f;
    q = q * f + 1.0f;
    return (vf)((vi)q + ((vi)t << 23));
}

/* log(1 + exp(v)) and its derivative. log(1 + u) = 2 artanh(u / (2 + u)). */
static inline vf softplus(vf v, vf *slope) {
    vf size = (vf)((vi)v & 0x7fffffff);
    vf u = power_of_two(size * -1.44269504f);
    u = (vf)((vi)u & ~(size > splat(86.0f))); /* exactly 0: a step of 0 leaves the state alone */
    vf w = u / (u + 2.0f);
    vf z = w * w;
    vf s = splat(0.11612164f);
    s = s * z + 0.10853288f;
    s = s * z + 0.14296179f;
    s = s * z + 0.19999853f;
    s = s * z + 0.33333334f;
    vf above = splat(1.0f) / (u + 1.0f);
    *slope = choose(v == v, choose(v < splat(0.0f), u * above, above), v);
    return choose(v < splat(0.0f), splat(0.0f), v) + 2.0f * (w + w * (z * s));
}

static inline void halve(const float *restrict from, float *restrict to, int64_t count, int half) {
    for (int64_t v = 0; v < count; v++)
        for (int i = 0; i < half; i++) to[v * half + i] = from[2 * v * half + i] + from[(2 * v + 1) * half + i];
}

/* Sums over the lanes of `count` vectors; the result is where it points to, one of both arrays. */
static const float *sums_of(float *lanes, float *other, int64_t count) {
#if LANES == 16
    halve(lanes, other, count, 8);
    halve(other, lanes, count, 4);
#elif LANES == 8
    halve(lanes, other, count, 4);
    memcpy(lanes, other, (size_t)count * 16);
#endif
    halve(lanes, other, count, 2);
    halve(other, lanes, count, 1);
    return lanes;
}

/* ---- rows in fp32 or bf16 ---- */

static inline float from_bf16(uint16_t half) {
    uint32_t bits = (uint32_t)half << 16;
    float value;
    memcpy(&value, &bits, 4);
    return value;
}

static inline uint16_t to_bf16(float value) {
    uint32_t bits;
    memcpy(&bits, &value, 4);
    uint32_t rounded = (bits + 0x7fff + ((bits >> 16) & 1)) >> 16; /* to nearest, ties to even */
    return (bits & 0x7fffffff) > 0x7f800000 ? 0x7fc0 : (uint16_t)rounded;
}

static inline int64_t place(const Series *series, int64_t b, int64_t t, int64_t first) {
    return b * series->row + t * series->step + first;
}

/* Channels i to i + LANES of the row at `at`; zeros behind `count`. */
static inline vf read_lanes(const Series *from, int64_t at, int64_t i, int64_t count) {
    float lanes[LANES] = {0};
    int64_t there = count - i < LANES ? count - i : LANES;
    if (!from->is_bf16 && there == LANES) return load((const float *)from->data + at + i);
    for (int64_t j = 0; j < there; j++)
        lanes[j] = from->is_bf16 ? from_bf16(((const uint16_t *)from->data)[at + i + j])
                                 : ((const float *)from->data)[at + i + j];
    return load(lanes);
}

/* The row that is read one piece later, into the cache. */
static inline void fetch(const Series *from, int64_t at, int64_t count) {
    int64_t size = from->is_bf16 ? 2 : 4;
    const char *begin = (const char *)from->data + at * size;
    for (int64_t i = 0; i < count * size; i += 64) __builtin_prefetch(begin + i);
}

static void write_row(const Series *to, const float *from, int64_t b, int64_t t, int64_t first,
                      int64_t count) {
    int64_t at = place(to, b, t, first);
    if (to->is_bf16) {
        uint16_t *half = (uint16_t *)to->data + at;
        for (int64_t i = 0; i < count; i++) half[i] = to_bf16(from[i]);
    } else {
        memcpy((float *)to->data + at, from, (size_t)count * 4);
    }
}

/* ---- one task ---- */

/* Tiles of a task: [STEPS wide] unless said otherwise. Padded with zeros: wide >= count to whole
 * WIDE, states to an even number, deep >= states to whole LANES. */
typedef struct {
    int64_t b, block, first, count, wide, states, deep;
    float *A;           /* [states wide], times log2(e) */
    float *D, *bias;    /* [wide] */
    float *h;           /* [states wide] */
    float *x, *dt, *dtx, *y, *B, *C; /* B, C: [STEPS deep] */
    /* backward */
    float *g, *gA;      /* [states wide]; adjoint of h, and of A in this piece */
    float *dy, *slope, *by_A, *by_B; /* sums over states of g s A and of g B */
    float *a, *hs;      /* [STEPS 4 LANES] decay and state of what is worked on */
    float *dB, *dC;     /* [STEPS 2 LANES] */
    double *sum_A, *sum_D, *sum_bias; /* [states wide], [wide], [wide] */
} Task;

static int64_t round_up(int64_t value, int64_t to) { return (value + to - 1) / to * to; }

/* Hands out the arrays of a task from one allocation; null: only counts their bytes. */
static int64_t lay_out(Task *task, char *memory, int backward) {
    int64_t at = 0, tile = STEPS * task->wide * 4, square = task->states * task->wide * 4;
#define GIVE(name, bytes) \
    (task->name = memory ? (void *)(memory + at) : 0, at += round_up((bytes), 64))
    GIVE(A, square), GIVE(h, square);
    GIVE(D, task->wide * 4), GIVE(bias, task->wide * 4);
    GIVE(x, tile), GIVE(dt, tile), GIVE(dtx, tile), GIVE(y, tile);
    GIVE(B, STEPS * task->deep * 4), GIVE(C, STEPS * task->deep * 4);
    if (backward) {
        GIVE(g, square), GIVE(gA, square);
        GIVE(dy, tile), GIVE(slope, tile), GIVE(by_A, tile), GIVE(by_B, tile);
        GIVE(a, STEPS * 4 * LANES * 4), GIVE(hs, STEPS * 4 * LANES * 4);
        GIVE(dB, STEPS * 2 * LANES * 4), GIVE(dC, STEPS * 2 * LANES * 4);
        GIVE(sum_A, 2 * square), GIVE(sum_D, task->wide * 8), GIVE(sum_bias, task->wide * 8);
    }
#undef GIVE
    return at;
}

static int64_t blocks_of(const Scan *scan) {
    return (scan->channels + scan->per_task - 1) / scan->per_task;
}

/* to[n][i] = scale * from[b][first + i][n] */
static void read_square(const Task *task, const Scan *scan, float *to, const float *from,
                        float scale) {
    memset(to, 0, (size_t)(task->states * task->wide) * 4);
    for (int64_t i = 0; i < task->count; i++)
        for (int64_t n = 0; n < scan->states; n++)
            to[n * task->wide + i] = scale * from[(task->first + i) * scan->states + n];
}

static void write_square(const Task *task, const Scan *scan, float *to, const float *from) {
    for (int64_t i = 0; i < task->count; i++)
        for (int64_t n = 0; n < scan->states; n++)
            to[(task->first + i) * scan->states + n] = from[n * task->wide + i];
}

static void start(Task *task, const Scan *scan) {
    int64_t row = task->b * scan->channels * scan->states;
    read_square(task, scan, task->A, scan->A, 1.44269504f);
    /* one payload for all NaN, so that the arithmetic on bits keeps them */
    for (int64_t i = 0; i < task->states * task->wide; i++)
        if (task->A[i] != task->A[i]) task->A[i] = __builtin_nanf("");
    memset(task->D, 0, (size_t)task->wide * 4);
    memset(task->bias, 0, (size_t)task->wide * 4);
    if (scan->D) memcpy(task->D, scan->D + task->first, (size_t)task->count * 4);
    if (scan->dt_bias) memcpy(task->bias, scan->dt_bias + task->first, (size_t)task->count * 4);
    if (scan->initial)
        read_square(task, scan, task->h, scan->initial + row, 1.0f);
    else
        memset(task->h, 0, (size_t)(task->states * task->wide) * 4);
}

/* Unpack the piece that begins at `from`: x, the finished steps, dt x, D x, B and C; backward also
 * dy and the derivative of the step. */
static void read_piece(Task *task, const Scan *scan, const Series *dy, int64_t from,
                       int64_t steps) {
    for (int64_t t = 0; t < steps; t++) {
        int64_t row = t * task->wide, ahead = dy ? -STEPS : STEPS, later = from + t + ahead;
        int64_t x_at = place(&scan->x, task->b, from + t, task->first);
        int64_t dt_at = place(&scan->dt, task->b, from + t, task->first);
        int64_t dy_at = dy ? place(dy, task->b, from + t, task->first) : 0;
        if (later >= 0 && later < scan->length) {
            fetch(&scan->x, x_at + ahead * scan->x.step, task->count);
            fetch(&scan->dt, dt_at + ahead * scan->dt.step, task->count);
            if (dy) fetch(dy, dy_at + ahead * dy->step, task->count);
        }
        for (int64_t i = 0; i < task->wide; i += LANES) {
            vf x = read_lanes(&scan->x, x_at, i, task->count), slope = splat(1.0f);
            vf v = read_lanes(&scan->dt, dt_at, i, task->count) + load(task->bias + i);
            if (scan->softplus) v = softplus(v, &slope);
            store(task->x + row + i, x);
            store(task->dt + row + i, v);
            store(task->dtx + row + i, v * x);
            if (dy) {
                store(task->dy + row + i, read_lanes(dy, dy_at, i, task->count));
                store(task->slope + row + i, slope);
            } else {
                store(task->y + row + i, scan->D ? load(task->D + i) * x : splat(0.0f));
            }
        }
        int64_t B_at = place(&scan->B, task->b, from + t, 0);
        int64_t C_at = place(&scan->C, task->b, from + t, 0);
        for (int64_t n = 0; n < task->states; n += LANES) {
            store(task->B + t * task->deep + n, read_lanes(&scan->B, B_at, n, scan->states));
            store(task->C + t * task->deep + n, read_lanes(&scan->C, C_at, n, scan->states));
        }
    }
}

/* Two states of WIDE channels over a piece. */
static void forward_pair(const Task *task, int64_t n, int64_t i, int64_t steps) {
    int64_t wide = task->wide, deep = task->deep;
    const float *A = task->A + n * wide + i, *dt = task->dt + i, *dtx = task->dtx + i;
    const float *B = task->B + n, *C = task->C + n;
    float *h = task->h + n * wide + i, *y = task->y + i;
    vf A0 = load(A), A1 = load(A + LANES), A2 = load(A + wide), A3 = load(A + wide + LANES);
    vf h0 = load(h), h1 = load(h + LANES), h2 = load(h + wide), h3 = load(h + wide + LANES);
    for (int64_t t = 0; t < steps; t++) {
        vf d0 = load(dt), d1 = load(dt + LANES), u0 = load(dtx), u1 = load(dtx + LANES);
        h0 = power_of_two(d0 * A0) * h0 + u0 * B[0];
        h1 = power_of_two(d1 * A1) * h1 + u1 * B[0];
        h2 = power_of_two(d0 * A2) * h2 + u0 * B[1];
        h3 = power_of_two(d1 * A3) * h3 + u1 * B[1];
        store(y, load(y) + h0 * C[0] + h2 * C[1]);
        store(y + LANES, load(y + LANES) + h1 * C[0] + h3 * C[1]);
        dt += wide, dtx += wide, y += wide, B += deep, C += deep;
    }
    store(h, h0), store(h + LANES, h1), store(h + wide, h2), store(h + wide + LANES, h3);
}

static void forward_task(Task *task, const Scan *scan) {
    int64_t pieces = (scan->length + STEPS - 1) / STEPS;
    start(task, scan);
    for (int64_t piece = 0; piece < pieces; piece++) {
        int64_t from = piece * STEPS;
        int64_t steps = scan->length - from < STEPS ? scan->length - from : STEPS;
        if (scan->kept) {
            float *kept = scan->kept + (task->b * pieces + piece) * scan->states * scan->channels;
            for (int64_t n = 0; n < scan->states; n++)
                memcpy(kept + n * scan->channels + task->first, task->h + n * task->wide,
                       (size_t)task->count * 4);
        }
        read_piece(task, scan, 0, from, steps);
        for (int64_t i = 0; i < task->wide; i += WIDE)
            for (int64_t n = 0; n < task->states; n += 2) forward_pair(task, n, i, steps);
        for (int64_t t = 0; t < steps; t++)
            write_row(&scan->y, task->y + t * task->wide, task->b, from + t, task->first,
                      task->count);
    }
    write_square(task, scan, scan->final + task->b * scan->channels * scan->states, task->h);
}

/* Again forward over a piece, keeping the decay a[t] and the state behind every step. */
static void recompute_pair(const Task *task, int64_t n, int64_t i, int64_t steps) {
    int64_t wide = task->wide;
    const float *A = task->A + n * wide + i, *h = task->h + n * wide + i;
    const float *dt = task->dt + i, *dtx = task->dtx + i, *B = task->B + n;
    vf A0 = load(A), A1 = load(A + LANES), A2 = load(A + wide), A3 = load(A + wide + LANES);
    vf h0 = load(h), h1 = load(h + LANES), h2 = load(h + wide), h3 = load(h + wide + LANES);
    vf *a = (vf *)task->a, *hs = (vf *)task->hs;
    for (int64_t t = 0; t < steps; t++, a += 4, hs += 4) {
        vf d0 = load(dt), d1 = load(dt + LANES), u0 = load(dtx), u1 = load(dtx + LANES);
        a[0] = power_of_two(d0 * A0), a[1] = power_of_two(d1 * A1);
        a[2] = power_of_two(d0 * A2), a[3] = power_of_two(d1 * A3);
        hs[0] = h0 = a[0] * h0 + u0 * B[0];
        hs[1] = h1 = a[1] * h1 + u1 * B[0];
        hs[2] = h2 = a[2] * h2 + u0 * B[1];
        hs[3] = h3 = a[3] * h3 + u1 * B[1];
        dt += wide, dtx += wide, B += task->deep;
    }
}

/* Back through a piece: g[t] = dy[t] C[t] + a[t+1] g[t+1], and what follows from it. */
static void backward_pair(const Task *task, int64_t n, int64_t i, int64_t steps) {
    int64_t wide = task->wide, at = n * wide + i;
    const float *A = task->A + at, *h = task->h + at;
    float *g = task->g + at, *gA = task->gA + at;
    vf A0 = load(A), A1 = load(A + LANES), A2 = load(A + wide), A3 = load(A + wide + LANES);
    vf g0 = load(g), g1 = load(g + LANES), g2 = load(g + wide), g3 = load(g + wide + LANES);
    vf G0 = splat(0.0f), G1 = G0, G2 = G0, G3 = G0;
    vf first[4] = {load(h), load(h + LANES), load(h + wide), load(h + wide + LANES)};
    recompute_pair(task, n, i, steps);
    for (int64_t t = steps - 1; t >= 0; t--) {
        int64_t here = t * wide + i;
        const float *B = task->B + t * task->deep + n, *C = task->C + t * task->deep + n;
        const vf *a = (const vf *)task->a + 4 * t, *hs = (const vf *)task->hs + 4 * t;
        const vf *before = t ? hs - 4 : first;
        vf *dB = (vf *)task->dB + 2 * t, *dC = (vf *)task->dC + 2 * t;
        vf d0 = load(task->dt + here), d1 = load(task->dt + here + LANES);
        vf u0 = load(task->dtx + here), u1 = load(task->dtx + here + LANES);
        vf dy0 = load(task->dy + here), dy1 = load(task->dy + here + LANES);
        g0 += dy0 * C[0], g1 += dy1 * C[0], g2 += dy0 * C[1], g3 += dy1 * C[1];
        dC[0] += dy0 * hs[0] + dy1 * hs[1];
        dC[1] += dy0 * hs[2] + dy1 * hs[3];
        dB[0] += u0 * g0 + u1 * g1;
        dB[1] += u0 * g2 + u1 * g3;
        float *by_B = task->by_B + here, *by_A = task->by_A + here;
        store(by_B, load(by_B) + g0 * B[0] + g2 * B[1]);
        store(by_B + LANES, load(by_B + LANES) + g1 * B[0] + g3 * B[1]);
        g0 *= a[0], g1 *= a[1], g2 *= a[2], g3 *= a[3];
        vf s0 = g0 * before[0], s1 = g1 * before[1], s2 = g2 * before[2], s3 = g3 * before[3];
        store(by_A, load(by_A) + s0 * A0 + s2 * A2);
        store(by_A + LANES, load(by_A + LANES) + s1 * A1 + s3 * A3);
        G0 += s0 * d0, G1 += s1 * d1, G2 += s2 * d0, G3 += s3 * d1;
    }
    store(g, g0), store(g + LANES, g1), store(g + wide, g2), store(g + wide + LANES, g3);
    store(gA, G0), store(gA + LANES, G1), store(gA + wide, G2), store(gA + wide + LANES, G3);
}

/* What two states gave to the gradient of B or C: lanes are channels, so they are summed. */
static void add_lanes(const Task *task, const Scan *scan, int64_t part, float *to, float *lanes,
                      int64_t from, int64_t n, int64_t steps) {
    int64_t at = (part * scan->length + from) * scan->states + n;
    const float *sums = sums_of(lanes, task->a, 2 * steps);
    for (int64_t t = 0; t < steps; t++)
        for (int64_t j = 0; j < 2 && n + j < scan->states; j++)
            to[at + t * scan->states + j] += sums[2 * t + j];
}

/* Gradients of x and dt of a piece, from the sums over states. */
static void write_piece(Task *task, const Scan *scan, const Gradients *to, int64_t from,
                        int64_t steps) {
    for (int64_t t = 0; t < steps; t++) {
        int64_t row = t * task->wide;
        for (int64_t i = 0; i < task->wide; i += LANES) {
            vf by_B = load(task->by_B + row + i), x = load(task->x + row + i);
            vf dy = load(task->dy + row + i);
            vf dx = load(task->dt + row + i) * by_B;
            if (scan->D) dx += load(task->D + i) * dy;
            vf ddt = x * by_B + 0.693147181f * load(task->by_A + row + i);
            store(task->by_B + row + i, dx);
            store(task->by_A + row + i, ddt * load(task->slope + row + i));
        }
        write_row(&to->dx, task->by_B + row, task->b, from + t, task->first, task->count);
        write_row(&to->ddt, task->by_A + row, task->b, from + t, task->first, task->count);
    }
    for (int64_t i = 0; i < task->wide; i += LANES) {
        vf D = splat(0.0f), bias = splat(0.0f);
        for (int64_t at = i; at < steps * task->wide; at += task->wide) {
            D += load(task->dy + at) * load(task->x + at);
            bias += load(task->by_A + at);
        }
        for (int64_t j = 0; j < LANES; j++) task->sum_D[i + j] += D[j], task->sum_bias[i + j] += bias[j];
    }
    for (int64_t i = 0; i < task->states * task->wide; i++) task->sum_A[i] += task->gA[i];
}

static void backward_piece(Task *task, const Scan *scan, const Gradients *to, int64_t from,
                           int64_t steps) {
    size_t tile = (size_t)(STEPS * task->wide) * 4, lanes = STEPS * 2 * LANES * 4;
    int64_t part = to->own_parts ? task->block * scan->batch + task->b : task->b;
    read_piece(task, scan, &to->dy, from, steps);
    memset(task->by_A, 0, tile);
    memset(task->by_B, 0, tile);
    for (int64_t n = 0; n < task->states; n += 2) {
        memset(task->dB, 0, lanes);
        memset(task->dC, 0, lanes);
        for (int64_t i = 0; i < task->wide; i += WIDE) backward_pair(task, n, i, steps);
        add_lanes(task, scan, part, to->dB, task->dB, from, n, steps);
        add_lanes(task, scan, part, to->dC, task->dC, from, n, steps);
    }
    write_piece(task, scan, to, from, steps);
}

static void backward_task(Task *task, const Scan *scan, const Gradients *to) {
    int64_t pieces = (scan->length + STEPS - 1) / STEPS;
    int64_t row = task->b * scan->channels * scan->states, line = task->b * scan->channels;
    start(task, scan);
    read_square(task, scan, task->g, to->dfinal + row, 1.0f);
    memset(task->sum_A, 0, (size_t)(task->states * task->wide) * 8);
    memset(task->sum_D, 0, (size_t)task->wide * 8);
    memset(task->sum_bias, 0, (size_t)task->wide * 8);
    for (int64_t piece = pieces - 1; piece >= 0; piece--) {
        int64_t from = piece * STEPS;
        int64_t steps = scan->length - from < STEPS ? scan->length - from : STEPS;
        const float *kept = scan->kept + (task->b * pieces + piece) * scan->states * scan->channels;
        for (int64_t n = 0; n < scan->states; n++)
            memcpy(task->h + n * task->wide, kept + n * scan->channels + task->first,
                   (size_t)task->count * 4);
        backward_piece(task, scan, to, from, steps);
    }
    write_square(task, scan, to->dinitial + row, task->g);
    for (int64_t i = 0; i < task->states * task->wide; i++) task->gA[i] = (float)task->sum_A[i];
    write_square(task, scan, to->dA + row, task->gA);
    for (int64_t i = 0; i < task->count; i++) {
        to->dD[line + task->first + i] = (float)task->sum_D[i];
        to->dbias[line + task->first + i] = (float)task->sum_bias[i];
    }
}

/* ---- threads: made for one call, so that a process that forks has none ---- */

/* Where nothing comes in any more, states decay into denormal numbers, which are slow. */
#if defined(__SSE__)
#define FLUSH_TO_ZERO unsigned int mode = _mm_getcsr(); _mm_setcsr(mode | 0x8040)
#define AS_BEFORE _mm_setcsr(mode)
#else
#define FLUSH_TO_ZERO
#define AS_BEFORE
#endif

static void *work(void *given) {
    Job *job = given;
    const Scan *scan = job->scan;
    int64_t blocks = blocks_of(scan), tasks = scan->batch * blocks;
    Task task = {.wide = round_up(scan->per_task, WIDE), .states = round_up(scan->states, 2),
                 .deep = round_up(scan->states, LANES)};
    int64_t bytes = lay_out(&task, 0, job->gradients != 0);
    void *memory = 0;
    if (posix_memalign(&memory, 64, (size_t)bytes)) {
        __atomic_store_n(&job->failed, 1, __ATOMIC_RELAXED);
        return 0;
    }
    lay_out(&task, memory, job->gradients != 0);
    FLUSH_TO_ZERO;
    for (;;) {
        int64_t number = __atomic_fetch_add(&job->next, 1, __ATOMIC_RELAXED);
        if (number >= tasks) break;
        task.b = number / blocks;
        task.block = number % blocks;
        task.first = task.block * scan->per_task;
        task.count = scan->channels - task.first;
        if (task.count > scan->per_task) task.count = scan->per_task;
        if (job->gradients)
            backward_task(&task, scan, job->gradients);
        else
            forward_task(&task, scan);
    }
    AS_BEFORE;
    free(memory);
    return 0;
}

/* 0, or 1 where memory did not suffice. */
static int64_t run(Job *job) {
    pthread_t threads[MAX_THREADS];
    int64_t wanted = job->scan->threads - 1, made = 0;
    int64_t tasks = job->scan->batch * blocks_of(job->scan);
    if (wanted > tasks - 1) wanted = tasks - 1;
    if (wanted > MAX_THREADS) wanted = MAX_THREADS;
    while (made < wanted && !pthread_create(&threads[made], 0, work, job)) made++;
    work(job);
    for (int64_t i = 0; i < made; i++) pthread_join(threads[i], 0);
    return job->failed;
}

int64_t vlsuite_scan_forward(const Scan *scan) {
    Job job = {.scan = scan};
    return run(&job);
}

int64_t vlsuite_scan_backward(const Scan *scan, const Gradients *gradients) {
    Job job = {.scan = scan, .gradients = gradients};
    return run(&job);
}
