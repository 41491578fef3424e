/* norms.h: normalisation layers, dropout and noise, and the sums over rows and columns that they need.

   A row is summed by sum16. A column is one chain of additions, rows ascending, so that a block of columns can be done
   alone; columns go a few vectors at a time, then one, then the tail. Both ways the bits depend on the length of the sum
   only. Sums are doubles, but for colsum, whose chain is that of a matrix product with ones. */
#include "philox.h"

FNN_INLINE vreal load_part(const real *p, const vtail *rest) { return rest ? v_load_tail(p, *rest) : v_load(p); }
FNN_INLINE void store_part(real *p, vreal a, const vtail *rest)
{
    if (rest)
        v_store_tail(p, a, *rest);
    else
        v_store(p, a);
}
/* Zeros in the lanes that are not the tail's */
FNN_INLINE vreal part_of(vreal a, const vtail *rest)
{
    real lane[VL] = {0};
    if (!rest)
        return a;
    v_store_tail(lane, a, *rest);
    return v_load(lane);
}

/* The loops below give their body a vector's place, and `rest`: NULL, or the tail where that is what is left.
   body(i, rest): elements i .. i + VL - 1 of n */
#define FOR_VECTORS(n, body)                                                                                           \
    {                                                                                                                  \
        ptrdiff_t i_ = 0;                                                                                              \
        for (; i_ + VL <= n; i_ += VL)                                                                                 \
            body(i_, NULL);                                                                                            \
        if (i_ < n) {                                                                                                  \
            const vtail rest_ = v_tail((size_t)(n - i_));                                                              \
            body(i_, &rest_);                                                                                          \
        }                                                                                                              \
    }
/* body(v, i, rest): the same, and which vector of a group of sixteen elements it is */
#define FOR_ROW(n, body)                                                                                               \
    {                                                                                                                  \
        ptrdiff_t i_ = 0;                                                                                              \
        for (; i_ + SUM_LANES <= n; i_ += SUM_LANES)                                                                   \
            FNN_UNROLL for (int v_ = 0; v_ < SUM_VECTORS; v_++) body(v_, i_ + v_ * VL, NULL);                          \
        FNN_UNROLL for (int v_ = 0; v_ < SUM_VECTORS; v_++, i_ += VL)                                                  \
        {                                                                                                              \
            if (i_ + VL <= n) {                                                                                        \
                body(v_, i_, NULL);                                                                                    \
            } else if (i_ < n) {                                                                                       \
                const vtail rest_ = v_tail((size_t)(n - i_));                                                          \
                body(v_, i_, &rest_);                                                                                  \
            }                                                                                                          \
        }                                                                                                              \
    }
/* body(vectors, j, rest): columns j .. j + vectors VL - 1 of n */
#define FOR_COLUMNS(vectors, n, body)                                                                                  \
    {                                                                                                                  \
        ptrdiff_t j_ = 0;                                                                                              \
        for (; j_ + vectors * VL <= n; j_ += vectors * VL)                                                             \
            body(vectors, j_, NULL);                                                                                   \
        for (; j_ + VL <= n; j_ += VL)                                                                                 \
            body(1, j_, NULL);                                                                                         \
        if (j_ < n) {                                                                                                  \
            const vtail rest_ = v_tail((size_t)(n - j_));                                                              \
            body(1, j_, &rest_);                                                                                       \
        }                                                                                                              \
    }
#define COLSUM_VECTORS 8
#define PAST(p, j) ((p) ? (p) + (j) : NULL)

/* x[i] normalised: (x - mean) scale + offset. The offset is what rounding the mean has cost. */
typedef struct {
    vreal mean, scale, offset;
} scaling;
FNN_INLINE scaling scaling_of(const real *saved, ptrdiff_t plane) /* the same in every lane */
{
    const scaling s = {v_set(saved[0]), v_set(saved[plane]), v_set(saved[2 * plane])};
    return s;
}
FNN_INLINE scaling load_scaling(const real *saved, ptrdiff_t plane, const vtail *rest)
{
    const scaling s = {load_part(saved, rest), load_part(saved + plane, rest), load_part(saved + 2 * plane, rest)};
    return s;
}
FNN_INLINE vreal normalised(vreal x, scaling s) { return v_fma(v_sub(x, s.mean), s.scale, s.offset); }

/* y = u gamma + beta */
FNN_INLINE void store_affine(const vtail *rest, vreal u, const real *gamma, const real *beta, real *y)
{
    if (beta)
        u = v_fma(u, gamma ? load_part(gamma, rest) : v_set(1), load_part(beta, rest));
    else if (gamma)
        u = v_mul(u, load_part(gamma, rest));
    store_part(y, u, rest);
}

/* a moment in double: the mean as a real, and what its rounding left out */
FNN_INLINE void save_scaling(double mean, double variance, double epsilon, real *saved, ptrdiff_t plane)
{
    const real rounded = (real)mean;
    const double scale = 1 / sqrt(variance + epsilon);
    saved[0] = rounded;
    saved[plane] = (real)scale;
    saved[2 * plane] = (real)((rounded - mean) * scale);
}
/* mean of (x - rounded mean)^2, less the square of the rounding */
FNN_INLINE double variance_of(double squares, double n, double mean)
{
    const double lost = mean - (real)mean, variance = squares / n - lost * lost;
    return variance < 0 ? 0 : variance; /* NaN stays */
}

/* -------------------------------------------------------------------------------------------- layer normalisation

   The mean is only taken off where the kind says so: FNN_NORM_VARIANCE divides x itself by its standard deviation. */
FNN_INLINE scaling output_scaling(scaling s, int kind)
{
    const scaling uncentred = {v_zero(), s.scale, v_zero()};
    return kind == FNN_NORM_VARIANCE ? uncentred : s;
}

static void layer_norm(ptrdiff_t n, const real *x, const real *gamma, const real *beta, int kind, double epsilon,
                       real *y, real *saved, ptrdiff_t plane)
{
    double mean = 0;
    if (kind != FNN_NORM_RMS) {
        sum16 sum = sum16_zero();
#define ADD(v, i, rest) sum16_add(&sum, v, load_part(x + (i), rest))
        FOR_ROW(n, ADD)
#undef ADD
        mean = sum16_total(&sum) / (double)n;
    }
    sum16 squares = sum16_zero();
    const vreal centre = v_set((real)mean);
#define ADD(v, i, rest)                                                                                                \
    {                                                                                                                  \
        const vreal d = part_of(v_sub(load_part(x + (i), rest), centre), rest);                                        \
        sum16_add_product(&squares, v, d, d);                                                                          \
    }
    FOR_ROW(n, ADD)
#undef ADD
    save_scaling(mean, variance_of(sum16_total(&squares), (double)n, mean), epsilon, saved, plane);

    const scaling s = output_scaling(scaling_of(saved, plane), kind);
#define WRITE(i, rest)                                                                                                 \
    store_affine(rest, normalised(load_part(x + (i), rest), s), PAST(gamma, i), PAST(beta, i), y + (i))
    FOR_VECTORS(n, WRITE)
#undef WRITE
}

/* g = dy gamma, u = the centred x normalised, v = y before gamma:  dx = scale (g - mean(g) - u mean(g v)),
   without mean(g) where no mean was taken off */
FNN_INLINE vreal scaled_part(const vtail *rest, const real *dy, const real *gamma)
{
    return gamma ? v_mul(load_part(dy, rest), load_part(gamma, rest)) : load_part(dy, rest);
}
static void layer_norm_backward(ptrdiff_t n, const real *x, const real *dy, const real *gamma, int kind,
                                const real *saved, ptrdiff_t plane, real *dx)
{
    const scaling s = scaling_of(saved, plane), out = output_scaling(s, kind);
    sum16 g_sum = sum16_zero(), gv_sum = sum16_zero();
#define ADD(v, i, rest)                                                                                                \
    {                                                                                                                  \
        const vreal g = scaled_part(rest, dy + (i), PAST(gamma, i));                                                   \
        sum16_add(&g_sum, v, g);                                                                                       \
        sum16_add_product(&gv_sum, v, g, normalised(load_part(x + (i), rest), out));                                   \
    }
    FOR_ROW(n, ADD)
#undef ADD
    const vreal g_mean = v_set(kind == FNN_NORM_LAYER ? (real)(sum16_total(&g_sum) / (double)n) : 0);
    const vreal gv_mean = v_set((real)(sum16_total(&gv_sum) / (double)n));
#define WRITE(i, rest)                                                                                                 \
    {                                                                                                                  \
        const vreal u = normalised(load_part(x + (i), rest), s);                                                       \
        const vreal g = v_sub(scaled_part(rest, dy + (i), PAST(gamma, i)), g_mean);                                    \
        store_part(dx + (i), v_mul(s.scale, v_fnma(u, gv_mean, g)), rest);                                             \
    }
    FOR_VECTORS(n, WRITE)
#undef WRITE
}

/* ------------------------------------------------------------------------------------------------ sums of columns */

FNN_INLINE void colsum_block(int vectors, const vtail *rest, ptrdiff_t rows, const real *x, ptrdiff_t x_row, int add,
                             real *y)
{
    vreal sum[COLSUM_VECTORS];
    FNN_UNROLL for (int v = 0; v < vectors; v++) sum[v] = add ? load_part(y + v * VL, rest) : v_zero();
    for (ptrdiff_t i = 0; i < rows; i++)
        FNN_UNROLL for (int v = 0; v < vectors; v++) sum[v] = v_add(sum[v], load_part(x + i * x_row + v * VL, rest));
    FNN_UNROLL for (int v = 0; v < vectors; v++) store_part(y + v * VL, sum[v], rest);
}

static void colsum(ptrdiff_t rows, ptrdiff_t n, const real *x, ptrdiff_t x_row, int add, real *y)
{
#define PART(vectors, j, rest) colsum_block(vectors, rest, rows, x + (j), x_row, add, y + (j))
    FOR_COLUMNS(COLSUM_VECTORS, n, PART)
#undef PART
}

/* Sums in double, of SUMMED_COLUMNS columns at a time. Rows go SUMMED_ROWS at a time over all those columns: were a few
   columns taken down all the rows, and rows a power of two apart, every line would fall into the same cache set. */
enum { COLUMN_VECTORS = 2, SUMMED_COLUMNS = 128, SUMMED_ROWS = 8 };
typedef struct {
    vwide half[COLUMN_VECTORS * FNN_HALVES];
} column_sums;
FNN_INLINE column_sums column_load(int vectors, const double *total)
{
    column_sums s;
    FNN_UNROLL for (int h = 0; h < vectors * FNN_HALVES; h++) memcpy(&s.half[h], total + h * WL, sizeof(vwide));
    return s;
}
FNN_INLINE void column_store(const column_sums *s, int vectors, double *total)
{
    FNN_UNROLL for (int h = 0; h < vectors * FNN_HALVES; h++) w_store(total + h * WL, s->half[h]);
}
FNN_INLINE void column_add(column_sums *s, int v, vreal a)
{
    FNN_UNROLL for (int h = 0; h < FNN_HALVES; h++) s->half[v * FNN_HALVES + h] =
        w_add(s->half[v * FNN_HALVES + h], w_half(a, h));
}
FNN_INLINE void column_add_product(column_sums *s, int v, vreal a, vreal b)
{
    FNN_UNROLL for (int h = 0; h < FNN_HALVES; h++) s->half[v * FNN_HALVES + h] =
        w_add(s->half[v * FNN_HALVES + h], w_mul(w_half(a, h), w_half(b, h)));
}
FNN_INLINE ptrdiff_t at_most(ptrdiff_t a, ptrdiff_t b) { return a < b ? a : b; }

/* dot += sum_i dy[i] u[i], sum += sum_i dy[i]; u is normalised by the row's own scaling or by the column's */
FNN_INLINE void product_block(int vectors, const vtail *rest, int by_row, int kind, ptrdiff_t rows, const real *x,
                              ptrdiff_t x_row, const real *dy, ptrdiff_t dy_row, const real *saved, ptrdiff_t plane,
                              double *dot, double *sum)
{
    column_sums dots = column_load(vectors, dot), sums = column_load(vectors, sum);
    scaling s[COLUMN_VECTORS];
    if (!by_row)
        FNN_UNROLL for (int v = 0; v < vectors; v++) s[v] = load_scaling(saved + v * VL, plane, rest);
    for (ptrdiff_t i = 0; i < rows; i++) {
        const scaling of_row = by_row ? output_scaling(scaling_of(saved + i, plane), kind) : s[0];
        FNN_UNROLL for (int v = 0; v < vectors; v++)
        {
            const vreal g = load_part(dy + i * dy_row + v * VL, rest);
            const vreal u = normalised(load_part(x + i * x_row + v * VL, rest), by_row ? of_row : s[v]);
            column_add_product(&dots, v, g, u);
            column_add(&sums, v, g);
        }
    }
    column_store(&dots, vectors, dot);
    column_store(&sums, vectors, sum);
}

FNN_INLINE void products(int by_row, int kind, ptrdiff_t rows, ptrdiff_t n, const real *x, ptrdiff_t x_row,
                         const real *dy, ptrdiff_t dy_row, const real *saved, ptrdiff_t plane, int add, real *dot,
                         real *sum)
{
    for (ptrdiff_t first = 0; first < n; first += SUMMED_COLUMNS) {
        const ptrdiff_t columns = at_most(SUMMED_COLUMNS, n - first);
        double dots[SUMMED_COLUMNS] = {0}, sums[SUMMED_COLUMNS] = {0};
        for (ptrdiff_t i = 0; i < rows; i += SUMMED_ROWS) {
#define PART(vectors, j, rest)                                                                                        \
    product_block(vectors, rest, by_row, kind, at_most(SUMMED_ROWS, rows - i), x + i * x_row + first + (j), x_row,       \
                  dy + i * dy_row + first + (j), dy_row, saved + (by_row ? i : first + (j)), plane, dots + (j),        \
                  sums + (j))
            FOR_COLUMNS(COLUMN_VECTORS, columns, PART)
#undef PART
        }
        for (ptrdiff_t j = 0; j < columns; j++) {
            if (dot)
                dot[first + j] = (real)((add ? dot[first + j] : 0) + dots[j]);
            if (sum)
                sum[first + j] = (real)((add ? sum[first + j] : 0) + sums[j]);
        }
    }
}

static void layer_norm_sums(ptrdiff_t rows, ptrdiff_t n, const real *x, ptrdiff_t x_row, const real *dy,
                            ptrdiff_t dy_row, int kind, const real *saved, ptrdiff_t plane, int add, real *dgamma,
                            real *dbeta)
{
    products(1, kind, rows, n, x, x_row, dy, dy_row, saved, plane, add, dgamma, dbeta);
}

/* -------------------------------------------------------------------------------------------- batch normalisation */

/* sum += sum_i x[i], or of (x[i] - centre)^2 where there is a centre */
FNN_INLINE void moment_block(int vectors, const vtail *rest, ptrdiff_t rows, const real *x, ptrdiff_t x_row,
                             const real *centre, double *sum)
{
    column_sums sums = column_load(vectors, sum);
    for (ptrdiff_t i = 0; i < rows; i++)
        FNN_UNROLL for (int v = 0; v < vectors; v++)
        {
            const vreal a = load_part(x + i * x_row + v * VL, rest);
            if (centre) {
                const vreal d = v_sub(a, load_part(centre + v * VL, rest));
                column_add_product(&sums, v, d, d);
            } else {
                column_add(&sums, v, a);
            }
        }
    column_store(&sums, vectors, sum);
}
FNN_INLINE void moment(ptrdiff_t rows, ptrdiff_t n, const real *x, ptrdiff_t x_row, const real *centre, double *sum)
{
    for (ptrdiff_t i = 0; i < rows; i += SUMMED_ROWS) {
#define PART(vectors, j, rest)                                                                                        \
    moment_block(vectors, rest, at_most(SUMMED_ROWS, rows - i), x + i * x_row + (j), x_row, PAST(centre, j), sum + (j))
        FOR_COLUMNS(COLUMN_VECTORS, n, PART)
#undef PART
    }
}

static void batch_statistics(ptrdiff_t rows, ptrdiff_t n, const real *x, ptrdiff_t x_row, double epsilon,
                             real *variance, real *saved, ptrdiff_t plane)
{
    for (ptrdiff_t first = 0; first < n; first += SUMMED_COLUMNS) {
        const ptrdiff_t columns = at_most(SUMMED_COLUMNS, n - first);
        double sums[SUMMED_COLUMNS] = {0}, squares[SUMMED_COLUMNS] = {0};
        moment(rows, columns, x + first, x_row, NULL, sums);
        for (ptrdiff_t j = 0; j < columns; j++)
            saved[first + j] = (real)(sums[j] / (double)rows);
        moment(rows, columns, x + first, x_row, saved + first, squares);
        for (ptrdiff_t j = 0; j < columns; j++) {
            const double mean = sums[j] / (double)rows, spread = variance_of(squares[j], (double)rows, mean);
            variance[first + j] = (real)spread;
            save_scaling(mean, spread, epsilon, saved + first + j, plane);
        }
    }
}

static void batch_scaling(ptrdiff_t n, const real *mean, const real *variance, double epsilon, real *saved,
                          ptrdiff_t plane)
{
    const vreal one = v_set(1), added = v_set((real)epsilon);
#define WRITE(j, rest)                                                                                                 \
    {                                                                                                                  \
        store_part(saved + (j), load_part(mean + (j), rest), rest);                                                    \
        store_part(saved + plane + (j), v_div(one, v_sqrt(v_add(load_part(variance + (j), rest), added))), rest);      \
        store_part(saved + 2 * plane + (j), v_zero(), rest);                                                           \
    }
    FOR_VECTORS(n, WRITE)
#undef WRITE
}

static void batch_norm(ptrdiff_t rows, ptrdiff_t n, const real *x, const real *saved, ptrdiff_t plane,
                       const real *gamma, const real *beta, real *y)
{
    for (ptrdiff_t i = 0; i < rows; i++, x += n, y += n) {
#define WRITE(j, rest)                                                                                                 \
    store_affine(rest, normalised(load_part(x + (j), rest), load_scaling(saved + (j), plane, rest)), PAST(gamma, j),   \
                 PAST(beta, j), y + (j))
        FOR_VECTORS(n, WRITE)
#undef WRITE
    }
}

static void batch_norm_sums(ptrdiff_t rows, ptrdiff_t n, const real *x, ptrdiff_t x_row, const real *dy,
                            ptrdiff_t dy_row, const real *saved, ptrdiff_t plane, int add, real *dgamma, real *dbeta)
{
    products(0, FNN_NORM_LAYER, rows, n, x, x_row, dy, dy_row, saved, plane, add, dgamma, dbeta);
}

/* dx = gamma scale (dy - sum / B - u dot / B), or gamma scale dy where the statistics were not the batch's own */
FNN_INLINE void batch_norm_backward_part(const vtail *rest, const real *x, const real *dy, const real *saved,
                                         ptrdiff_t plane, const real *gamma, const real *dot, const real *sum,
                                         vreal share, real *dx)
{
    const scaling s = load_scaling(saved, plane, rest);
    vreal g = load_part(dy, rest);
    if (dot) {
        const vreal u = normalised(load_part(x, rest), s);
        g = v_sub(g, v_mul(load_part(sum, rest), share));
        g = v_fnma(u, v_mul(load_part(dot, rest), share), g);
    }
    const vreal slope = gamma ? v_mul(load_part(gamma, rest), s.scale) : s.scale;
    store_part(dx, v_mul(slope, g), rest);
}

static void batch_norm_backward(ptrdiff_t rows, ptrdiff_t n, const real *x, const real *dy, const real *saved,
                                ptrdiff_t plane, const real *gamma, const real *dot, const real *sum, ptrdiff_t batch,
                                real *dx)
{
    const vreal share = v_set((real)(1 / (double)batch));
    for (ptrdiff_t i = 0; i < rows; i++, x += n, dy += n, dx += n) {
#define WRITE(j, rest)                                                                                                 \
    batch_norm_backward_part(rest, x + (j), dy + (j), saved + (j), plane, PAST(gamma, j), PAST(dot, j), PAST(sum, j),  \
                             share, dx + (j))
        FOR_VECTORS(n, WRITE)
#undef WRITE
    }
}

/* -------------------------------------------------------------------------------------------- element by element */

static void moving_average(ptrdiff_t n, double momentum, const real *x, real *average)
{
    const vreal keep = v_set((real)momentum), take = v_set((real)(1 - momentum));
#define WRITE(i, rest)                                                                                                 \
    store_part(average + (i), v_fma(load_part(x + (i), rest), take, v_mul(load_part(average + (i), rest), keep)), rest)
    FOR_VECTORS(n, WRITE)
#undef WRITE
}

static void add_arrays(ptrdiff_t n, const real *a, const real *b, real *y)
{
#define WRITE(i, rest) store_part(y + (i), v_add(load_part(a + (i), rest), load_part(b + (i), rest)), rest)
    FOR_VECTORS(n, WRITE)
#undef WRITE
}

static void dropout(ptrdiff_t n, double rate, uint64_t seed, uint64_t stream, uint64_t start, const real *x, real *y)
{
    if (rate >= 1) {
        memset(y, 0, (size_t)n * sizeof(real));
        return;
    }
    const uint32_t threshold = (uint32_t)(rate * 0x1p32);
    const real scale = (real)(1 / (1 - rate));
    uint32_t words[FNN_PHILOX_WORDS];
    real factor[FNN_PHILOX_WORDS + VL] = {0}; /* the scale, or 0 for what is dropped */
    ptrdiff_t skip = (ptrdiff_t)(start % 4);  /* elements of the first block that are not ours */
    for (uint64_t block = start / 4; n > 0; block += FNN_PHILOX_BLOCKS, skip = 0) {
        fnn_philox_words(seed, stream, block, words);
        for (int i = 0; i < FNN_PHILOX_WORDS; i++)
            factor[i] = words[i] < threshold ? 0 : scale;
        const ptrdiff_t m = n < FNN_PHILOX_WORDS - skip ? n : FNN_PHILOX_WORDS - skip;
#define WRITE(i, rest)                                                                                                 \
    {                                                                                                                  \
        const vreal by = v_load(factor + skip + (i)), kept = v_mul(load_part(x + (i), rest), by);                      \
        store_part(y + (i), v_unless(v_eq(by, v_zero()), kept), rest);                                       \
    }
        FOR_VECTORS(m, WRITE)
#undef WRITE
        x += m, y += m, n -= m;
    }
}

static void add_noise(ptrdiff_t n, double stddev, uint64_t seed, uint64_t stream, uint64_t start, const real *x,
                      real *y)
{
    double noise[64];
    for (ptrdiff_t done = 0, m; done < n; done += m) {
        m = n - done < 64 ? n - done : 64;
        fnn_random_normal(seed, stream, start + (uint64_t)done, (size_t)m, 0, stddev, noise);
        for (ptrdiff_t i = 0; i < m; i++)
            y[done + i] = x[done + i] + (real)noise[i];
    }
}

/* ------------------------------------------------------------------------------------------- for the initializers

   No fused multiply-add here: the numbers are the same on a machine without it. */
static double dot_product(ptrdiff_t n, const real *a, const real *b)
{
    sum16 s = sum16_zero();
#define ADD(v, i, rest) sum16_add_product(&s, v, load_part(a + (i), rest), load_part(b + (i), rest))
    FOR_ROW(n, ADD)
#undef ADD
    return sum16_total(&s);
}

static void project_out(ptrdiff_t n, const real *u, real *x)
{
    const vreal c = v_set((real)dot_product(n, u, x));
#define WRITE(i, rest) store_part(x + (i), v_sub(load_part(x + (i), rest), v_mul(c, load_part(u + (i), rest))), rest)
    FOR_VECTORS(n, WRITE)
#undef WRITE
}

#undef FOR_ROW
#undef FOR_COLUMNS
#undef FOR_VECTORS
#undef PAST

#define FNN_NORM_ENTRIES                                                                                               \
    .layer_norm = layer_norm, .layer_norm_backward = layer_norm_backward, .layer_norm_sums = layer_norm_sums,          \
    .batch_statistics = batch_statistics, .batch_scaling = batch_scaling, .batch_norm = batch_norm,                    \
    .batch_norm_sums = batch_norm_sums, .batch_norm_backward = batch_norm_backward,                                    \
    .moving_average = moving_average, .colsum = colsum, .add = add_arrays, .dropout = dropout, .add_noise = add_noise,        \
    .dot = dot_product, .project_out = project_out,
