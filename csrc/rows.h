/* rows.h: what needs a whole row: softmax and its kin, glu, and prelu's slopes for each column.

   A row is worked through in blocks of sixteen elements, whatever the machine's vector, so that its sums are those of
   sum16. Rows of one block stay in registers, ROWS_AT_ONCE of them: where y is x, the next rows are loaded before the last
   ones are stored, for the processor takes a masked store to cover what follows it, too. */

#define BLOCK SUM_LANES
typedef struct {
    vreal v[SUM_VECTORS];
} block;
#define EACH_VECTOR(v) FNN_UNROLL for (int v = 0; v < SUM_VECTORS; v++)

/* the first `count` of sixteen elements, `fill` behind them */
FNN_INLINE block block_load(const real *x, ptrdiff_t count, real fill)
{
    static const real lanes[] = {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15};
    block b;
    if (count >= BLOCK) {
        EACH_VECTOR(v) b.v[v] = v_load(x + v * VL);
        return b;
    }
    EACH_VECTOR(v)
    {
        const ptrdiff_t left = count - v * VL;
        if (left >= VL)
            b.v[v] = v_load(x + v * VL);
        else if (left <= 0)
            b.v[v] = v_set(fill);
        else {
            b.v[v] = v_load_tail(x + v * VL, v_tail((size_t)left));
            if (fill != 0)
                b.v[v] = v_select(v_lt(v_load(lanes), v_set((real)left)), b.v[v], v_set(fill));
        }
    }
    return b;
}
FNN_INLINE void block_store(real *y, ptrdiff_t count, block b)
{
    EACH_VECTOR(v)
    {
        const ptrdiff_t left = count - v * VL;
        if (left >= VL)
            v_store(y + v * VL, b.v[v]);
        else if (left > 0)
            v_store_tail(y + v * VL, b.v[v], v_tail((size_t)left));
    }
}
FNN_INLINE void block_add(sum16 *s, block b) { EACH_VECTOR(v) sum16_add(s, v, b.v[v]); }
/* s += a b, exactly for float */
FNN_INLINE void block_add_product(sum16 *s, block a, block b)
{
    EACH_VECTOR(v)
    FNN_UNROLL for (int half = 0; half < FNN_HALVES; half++)
    {
        vwide *lane = &s->lane[v * FNN_HALVES + half];
        *lane = w_add(*lane, w_mul(w_half(a.v[v], half), w_half(b.v[v], half)));
    }
}

/* s += a (or a b), the first `count` of sixteen elements in memory */
FNN_INLINE void block_add_from(sum16 *s, const real *a, ptrdiff_t count)
{
    if (count < BLOCK) {
        block_add(s, block_load(a, count, 0));
        return;
    }
    FNN_UNROLL for (int i = 0; i < BLOCK / WL; i++)
        s->lane[i] = w_add(s->lane[i], w_load(a + i * WL));
}
FNN_INLINE void block_add_product_from(sum16 *s, const real *a, const real *b, ptrdiff_t count)
{
    if (count < BLOCK) {
        block_add_product(s, block_load(a, count, 0), block_load(b, count, 0));
        return;
    }
    FNN_UNROLL for (int i = 0; i < BLOCK / WL; i++)
        s->lane[i] = w_add(s->lane[i], w_mul(w_load(a + i * WL), w_load(b + i * WL)));
}

/* The largest of a row. Where there is a NaN it is NaN or the largest of the others: whoever subtracts it from the row
   finds the NaN there. */
FNN_INLINE real block_top(block b)
{
    vreal top = b.v[0];
    FNN_UNROLL for (int v = 1; v < SUM_VECTORS; v++)
        top = v_max(top, b.v[v]);
    return v_top(top);
}
FNN_INLINE real row_top(ptrdiff_t n, const real *x)
{
    block top = block_load(x, n, (real)-INFINITY);
    for (ptrdiff_t i = BLOCK; i < n; i += BLOCK) {
        const block b = block_load(x + i, n - i, (real)-INFINITY);
        EACH_VECTOR(v) top.v[v] = v_max(b.v[v], top.v[v]);
    }
    return block_top(top);
}
FNN_INLINE block block_minus(block b, real a)
{
    EACH_VECTOR(v) b.v[v] = v_sub(b.v[v], v_set(a));
    return b;
}
FNN_INLINE block block_exp(block b)
{
    EACH_VECTOR(v) b.v[v] = v_exp_nonpositive(b.v[v]);
    return b;
}
FNN_INLINE block block_times(block b, real a)
{
    EACH_VECTOR(v) b.v[v] = v_mul(b.v[v], v_set(a));
    return b;
}

/* Rows of one block: `several` takes up to ROWS_AT_ONCE of them */
#define ROWS_AT_ONCE 4
#define SMALL_ROWS(several, rows, n, x, y)                                                                             \
    do {                                                                                                               \
        for (; rows >= ROWS_AT_ONCE; rows -= ROWS_AT_ONCE, x += ROWS_AT_ONCE * n, y += ROWS_AT_ONCE * n)               \
            several(ROWS_AT_ONCE, n, x, y);                                                                            \
        for (; rows > 0; rows--, x += n, y += n)                                                                       \
            several(1, n, x, y);                                                                                       \
    } while (0)
#define EACH_ROW(r, rows) FNN_UNROLL for (int r = 0; r < (rows); r++)

/* ------------------------------------------------------------------------------------------------------------ softmax

   y = e^(x - max x) / (the sum of these) */
FNN_INLINE void softmax_rows(ptrdiff_t rows, ptrdiff_t n, const real *x, real *y)
{
    block b[ROWS_AT_ONCE];
    EACH_ROW(r, rows) b[r] = block_load(x + r * n, n, (real)-INFINITY);
    EACH_ROW(r, rows)
    {
        sum16 sum = sum16_zero();
        b[r] = block_exp(block_minus(b[r], block_top(b[r])));
        block_add(&sum, b[r]);
        b[r] = block_times(b[r], (real)(1 / sum16_total(&sum)));
    }
    EACH_ROW(r, rows) block_store(y + r * n, n, b[r]);
}
static void softmax_forward(ptrdiff_t rows, ptrdiff_t n, const real *x, real *y)
{
    if (n <= BLOCK) {
        SMALL_ROWS(softmax_rows, rows, n, x, y);
        return;
    }
    for (; rows > 0; rows--, x += n, y += n) {
        const real top = row_top(n, x);
        sum16 sum = sum16_zero();
        for (ptrdiff_t i = 0; i < n; i += BLOCK) {
            const block e = block_exp(block_minus(block_load(x + i, n - i, (real)-INFINITY), top));
            block_add(&sum, e);
            block_store(y + i, n - i, e);
        }
        const real scale = (real)(1 / sum16_total(&sum));
        for (ptrdiff_t i = 0; i < n; i += BLOCK)
            block_store(y + i, n - i, block_times(block_load(y + i, n - i, 0), scale));
    }
}

/* dx = y (dy - sum dy y) */
static void softmax_backward(ptrdiff_t rows, ptrdiff_t n, const real *y, const real *dy, real *dx)
{
    for (; rows > 0; rows--, y += n, dy += n, dx += n) {
        sum16 sum = sum16_zero();
        for (ptrdiff_t i = 0; i < n; i += BLOCK)
            block_add_product_from(&sum, y + i, dy + i, n - i);
        const real mean = (real)sum16_total(&sum);
        for (ptrdiff_t i = 0; i < n; i += BLOCK) {
            const block a = block_load(y + i, n - i, 0);
            block d = block_minus(block_load(dy + i, n - i, 0), mean);
            EACH_VECTOR(v) d.v[v] = v_mul(a.v[v], d.v[v]);
            block_store(dx + i, n - i, d);
        }
    }
}

/* -------------------------------------------------------------------------------------------------------- log_softmax

   y = (x - max x) - log(sum e^(x - max x)) */
FNN_INLINE void log_softmax_rows(ptrdiff_t rows, ptrdiff_t n, const real *x, real *y)
{
    block b[ROWS_AT_ONCE];
    real log_sum[ROWS_AT_ONCE + VL] = {0}; /* one logarithm for as many rows as a vector holds */
    EACH_ROW(r, rows) b[r] = block_load(x + r * n, n, (real)-INFINITY);
    EACH_ROW(r, rows)
    {
        sum16 sum = sum16_zero();
        b[r] = block_minus(b[r], block_top(b[r]));
        block_add(&sum, block_exp(b[r]));
        log_sum[r] = (real)sum16_total(&sum);
    }
    for (int r = 0; r < rows; r += VL)
        v_store(log_sum + r, v_log(v_load(log_sum + r)));
    EACH_ROW(r, rows) block_store(y + r * n, n, block_minus(b[r], log_sum[r]));
}
static void log_softmax_forward(ptrdiff_t rows, ptrdiff_t n, const real *x, real *y)
{
    if (n <= BLOCK) {
        SMALL_ROWS(log_softmax_rows, rows, n, x, y);
        return;
    }
    for (; rows > 0; rows--, x += n, y += n) {
        const real top = row_top(n, x);
        sum16 sum = sum16_zero();
        for (ptrdiff_t i = 0; i < n; i += BLOCK)
            block_add(&sum, block_exp(block_minus(block_load(x + i, n - i, (real)-INFINITY), top)));
        const vreal log_sum = v_log(v_set((real)sum16_total(&sum)));
        for (ptrdiff_t i = 0; i < n; i += BLOCK) {
            block b = block_minus(block_load(x + i, n - i, 0), top);
            EACH_VECTOR(v) b.v[v] = v_sub(b.v[v], log_sum);
            block_store(y + i, n - i, b);
        }
    }
}

/* dx = dy - e^y sum dy */
static void log_softmax_backward(ptrdiff_t rows, ptrdiff_t n, const real *y, const real *dy, real *dx)
{
    for (; rows > 0; rows--, y += n, dy += n, dx += n) {
        sum16 sum = sum16_zero();
        for (ptrdiff_t i = 0; i < n; i += BLOCK)
            block_add_from(&sum, dy + i, n - i);
        const vreal total = v_set((real)sum16_total(&sum));
        for (ptrdiff_t i = 0; i < n; i += BLOCK) {
            const block e = block_exp(block_load(y + i, n - i, 0));
            block d = block_load(dy + i, n - i, 0);
            EACH_VECTOR(v) d.v[v] = v_fnma(e.v[v], total, d.v[v]);
            block_store(dx + i, n - i, d);
        }
    }
}

/* ---------------------------------------------------------------------------------------------------------- sparsemax

   y = max(x - tau, 0), with tau such that they sum to 1: tau = (the sum of those above tau - 1) / their number, found from
   below by leaving out whatever is not above the last tau (Michelot 1986). Those more than 1 below the largest are out from
   the start. Sums and tau are double. */
FNN_INLINE void add_above(block z, real tau, sum16 *sum, sum16 *ones)
{
    block one;
    EACH_VECTOR(v)
    {
        const vmask in = v_gt(z.v[v], v_set(tau));
        z.v[v] = v_where(in, z.v[v]);
        one.v[v] = v_where(in, v_set(1));
    }
    block_add(sum, z);
    block_add(ones, one);
}
/* the next tau and count; false when there is none */
FNN_INLINE int better_tau(const sum16 *sum, const sum16 *ones, double *tau, double *count)
{
    const double former = *count;
    *count = sum16_total(ones);
    *tau = (sum16_total(sum) - 1) / *count;
    return *count < former && *count > 0;
}
FNN_INLINE vmask block_odd(block z) /* NaN in a lane */
{
    vmask odd = v_ne(z.v[0], z.v[0]);
    FNN_UNROLL for (int v = 1; v < SUM_VECTORS; v++)
        odd = m_or(odd, v_ne(z.v[v], z.v[v]));
    return odd;
}
FNN_INLINE block block_above(block z, real tau)
{
    z = block_minus(z, tau);
    EACH_VECTOR(v) z.v[v] = v_atleast(z.v[v], 0);
    return z;
}
static void sparsemax_forward(ptrdiff_t rows, ptrdiff_t n, const real *x, real *y)
{
    for (; rows > 0; rows--, x += n, y += n) {
        const real top = row_top(n, x);
        double tau = -1, count = (double)n + 1;
        sum16 sum, ones;
        if (n <= BLOCK) {
            const block z = block_minus(block_load(x, n, (real)-INFINITY), top);
            do {
                sum = ones = sum16_zero();
                add_above(z, (real)tau, &sum, &ones);
            } while (better_tau(&sum, &ones, &tau, &count));
            block_store(y, n, block_above(z, m_any(block_odd(z)) ? (real)NAN : (real)tau));
            continue;
        }
        vmask odd = v_ne(v_zero(), v_zero());
        for (ptrdiff_t i = 0; i < n; i += BLOCK) {
            const block z = block_minus(block_load(x + i, n - i, top), top);
            odd = m_or(odd, block_odd(z));
            block_store(y + i, n - i, z);
        }
        do {
            sum = ones = sum16_zero();
            for (ptrdiff_t i = 0; i < n; i += BLOCK)
                add_above(block_load(y + i, n - i, (real)-INFINITY), (real)tau, &sum, &ones);
        } while (better_tau(&sum, &ones, &tau, &count));
        const real minus = m_any(odd) ? (real)NAN : (real)tau;
        for (ptrdiff_t i = 0; i < n; i += BLOCK)
            block_store(y + i, n - i, block_above(block_load(y + i, n - i, 0), minus));
    }
}

/* dx = dy - (the mean of dy where y > 0) where y > 0, else 0 */
static void sparsemax_backward(ptrdiff_t rows, ptrdiff_t n, const real *y, const real *dy, real *dx)
{
    for (; rows > 0; rows--, y += n, dy += n, dx += n) {
        sum16 sum = sum16_zero(), ones = sum16_zero();
        for (ptrdiff_t i = 0; i < n; i += BLOCK) {
            const block a = block_load(y + i, n - i, 0);
            block d = block_load(dy + i, n - i, 0), one = a;
            EACH_VECTOR(v)
            {
                const vmask in = v_gt(a.v[v], v_zero());
                d.v[v] = v_where(in, d.v[v]);
                one.v[v] = v_where(in, v_set(1));
            }
            block_add(&sum, d);
            block_add(&ones, one);
        }
        const real mean = (real)(sum16_total(&sum) / sum16_total(&ones));
        for (ptrdiff_t i = 0; i < n; i += BLOCK) {
            const block a = block_load(y + i, n - i, 0);
            block d = block_minus(block_load(dy + i, n - i, 0), mean);
            EACH_VECTOR(v) d.v[v] = v_nan_of(a.v[v], v_where(v_gt(a.v[v], v_zero()), d.v[v]));
            block_store(dx + i, n - i, d);
        }
    }
}

/* ---------------------------------------------------------------------------------------------------------------- glu

   y = a s(b), x = [a b] */
static void glu_forward(ptrdiff_t rows, ptrdiff_t n, const real *x, real *y)
{
    const ptrdiff_t half = n / 2;
    for (; rows > 0; rows--, x += n, y += half)
        for (ptrdiff_t i = 0; i < half; i += VL) {
            const size_t count = (size_t)(half - i);
            v_store_n(y + i, gated_by(v_load_n(x + i, count), v_load_n(x + half + i, count)), count);
        }
}

/* da = dy s(b), db = dy a s(b) s(-b) */
static void glu_backward(ptrdiff_t rows, ptrdiff_t n, const real *x, const real *dy, real *dx)
{
    const ptrdiff_t half = n / 2;
    for (; rows > 0; rows--, x += n, dy += half, dx += n)
        for (ptrdiff_t i = 0; i < half; i += VL) {
            const size_t count = (size_t)(half - i);
            vreal other;
            const vreal s = sigmoid_pair(v_load_n(x + half + i, count), &other);
            const vreal da = v_mul(v_load_n(dy + i, count), s);
            v_store_n(dx + i, da, count);
            v_store_n(dx + half + i, v_mul(v_mul(da, v_load_n(x + i, count)), other), count);
        }
}

/* -------------------------------------------------------------------------------------------------------------- prelu */

static void prelu(ptrdiff_t rows, ptrdiff_t n, const real *x, const real *slope, real *y)
{
    for (; rows > 0; rows--, x += n, y += n)
        for (ptrdiff_t j = 0; j < n; j += VL) {
            const size_t count = (size_t)(n - j);
            const vreal a = v_load_n(x + j, count);
            v_store_n(y + j, v_select(v_gt(a, v_zero()), a, v_mul(v_load_n(slope + j, count), a)), count);
        }
}

static void prelu_derivative(ptrdiff_t rows, ptrdiff_t n, const real *x, const real *slope, const real *dy, real *dx)
{
    for (; rows > 0; rows--, x += n, dy += n, dx += n)
        for (ptrdiff_t j = 0; j < n; j += VL) {
            const size_t count = (size_t)(n - j);
            const vreal a = v_load_n(x + j, count), d = v_load_n(dy + j, count);
            const vreal below = v_mul(v_nan_of(a, v_load_n(slope + j, count)), d);
            v_store_n(dx + j, v_select(v_gt(a, v_zero()), d, below), count);
        }
}

/* sixteen columns at a time, one to each lane */
static void prelu_slopes(ptrdiff_t rows, ptrdiff_t n, ptrdiff_t stride, const real *x, const real *dy, real *dslope)
{
    for (ptrdiff_t j = 0; j < n; j += BLOCK) {
        sum16 sum = sum16_zero();
        for (ptrdiff_t i = 0; i < rows; i++) {
            block a = block_load(x + i * stride + j, n - j, 0);
            EACH_VECTOR(v) a.v[v] = v_atmost(a.v[v], 0);
            block_add_product(&sum, a, block_load(dy + i * stride + j, n - j, 0));
        }
        double lanes[BLOCK];
        FNN_UNROLL for (int i = 0; i < BLOCK / WL; i++)
            w_store(lanes + i * WL, sum.lane[i]);
        for (ptrdiff_t i = 0; i < BLOCK && j + i < n; i++)
            dslope[j + i] = (real)lanes[i];
    }
}

#define FNN_ROW_ENTRIES .prelu = prelu, .prelu_derivative = prelu_derivative, .prelu_slopes = prelu_slopes,
