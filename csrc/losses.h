/* losses.h: the losses and their gradients, a block of rows of a batch at a time.

   Every function here has the shape of name_loss below (see FNN_LOSS_HELPERS in fnn.h). What is element-wise works on
   the flat block, so that no lane is idle however short the rows are; sums over a row are taken in double, in an order
   that d alone decides. */

#define FNN_EPSILON ((real)1e-7)
#define ALMOST_ONE ((real)(1 - 1e-7))
#define LOSS_BLOCK 1024 /* elements that are worked on at a time; a multiple of sixteen */
#define LOSS_SHORT 16   /* rows shorter than this are summed one number after the other */

#define LOSS_ARGUMENTS                                                                                                 \
    ptrdiff_t rows, ptrdiff_t d, const void *y_true, const real *y_pred, double *values, real *dy,                     \
        const double *scale, double common, const double *parameters

/* i = 0, step, 2 step, ... below count, with n = min(step, count - i) */
#define IN_STEPS(i, n, step, count)                                                                                    \
    for (ptrdiff_t i = 0, n; n = (count) - i < (step) ? (count) - i : (step), i < (count); i += (step))

/* ---------------------------------------------------------------------------------------------------------- sums */

/* s += t[n], where only a row's last piece may have an n that is not a multiple of sixteen */
static void sum16_row(sum16 *s, ptrdiff_t n, const real *t)
{
    for (ptrdiff_t i = 0; i < n; i += BLOCK)
        block_add(s, block_load(t + i, n - i, 0));
}

static double row_sum(ptrdiff_t d, const real *t)
{
    if (d < LOSS_SHORT) {
        double s = 0;
        for (ptrdiff_t j = 0; j < d; j++)
            s += (double)t[j];
        return s;
    }
    sum16 s = sum16_zero();
    sum16_row(&s, d, t);
    return sum16_total(&s);
}

/* a . b, every product in double */
static double row_dot(ptrdiff_t d, const real *a, const real *b)
{
    sum16 s = sum16_zero();
    for (ptrdiff_t i = 0; i < d; i += BLOCK)
        block_add_product(&s, block_load(a + i, d - i, 0), block_load(b + i, d - i, 0));
    return sum16_total(&s);
}

/* max(x, 0), and NaN for NaN */
static double above_zero(double x) { return x <= 0 ? 0 : x; }

/* ---------------------------------------------------------------------------------- words of the table's formulas */

/* All of them let NaN through. */
FNN_INLINE vreal v_sign(vreal x) { return v_select(v_gt(v_abs(x), v_zero()), v_copysign(v_set(1), x), x); }
FNN_INLINE vreal half_step(vreal x) /* the derivative of max(x, 0), with one half at its kink */
{
    const vreal below = v_unless(v_lt(x, v_zero()), v_select(v_eq(x, v_zero()), v_set(0.5), x));
    return v_select(v_gt(x, v_zero()), v_set(1), below);
}
FNN_INLINE vreal sign_of_label(vreal y) { return v_select(v_eq(y, v_zero()), v_set(-1), y); }

/* y (1 - amount) + amount / classes */
FNN_INLINE vreal smoothed(vreal y, double amount, ptrdiff_t classes)
{
    return v_add(v_mul(y, v_set((real)(1 - amount))), v_set((real)(amount / (double)classes)));
}

FNN_INLINE vreal huber_value(vreal e, vreal delta)
{
    const vreal size = v_abs(e), half = v_set(0.5);
    const vreal outside = v_sub(v_mul(delta, size), v_mul(half, v_mul(delta, delta)));
    return v_select(v_le(size, delta), v_mul(half, v_mul(e, e)), outside);
}

FNN_INLINE vreal huber_slope(vreal e, double delta) { return v_clip(e, (real)-delta, (real)delta); }

/* With u = exp|e| - 1, cosh e - 1 = u^2 / (2 (1 + u)): log1p of that loses nothing near 0. From |e| = 1 on
   |e| - log 2 + log(1 + exp(-2 |e|)) does not overflow. */
FNN_INLINE vreal log_cosh_value(vreal e)
{
    const vreal size = v_abs(e), u = v_expm1(size), power = v_add(v_set(1), u);
    const vmask near = v_lt(size, v_set(1));
    const vreal above_one = v_div(v_select(near, v_mul(v_set(0.5), v_mul(u, u)), v_div(v_set(1), power)), power);
    const vreal linear = v_sub(size, v_set((real)0.69314718055994530942));
    return v_add(v_unless(near, linear), v_log1p(above_one));
}

/* outside of [epsilon, 1 - epsilon], where a clipped probability does not move */
FNN_INLINE vmask is_clipped(vreal p) { return m_or(v_lt(p, v_set(FNN_EPSILON)), v_gt(p, v_set(ALMOST_ONE))); }
FNN_INLINE vreal clip_probability(vreal p) { return v_clip(p, FNN_EPSILON, ALMOST_ONE); }

/* binary cross-entropy of the probability p, given with q = 1 - p so that neither end loses digits */
FNN_INLINE vreal binary_value(vreal y, vreal p, vreal q)
{
    const vreal yes = v_mul(y, v_log(clip_probability(p)));
    return v_neg(v_add(yes, v_mul(v_sub(v_set(1), y), v_log(clip_probability(q)))));
}
FNN_INLINE vreal binary_slope(vreal y, vreal p, vreal q)
{
    return v_unless(is_clipped(p), v_sub(v_div(v_sub(v_set(1), y), q), v_div(y, p)));
}
/* sigmoid(z) - y from tail = exp(-|z|), without cancellation where y is 0 or 1 */
FNN_INLINE vreal sigmoid_minus(vreal z, vreal tail, vreal y)
{
    const vreal small = v_div(tail, v_add(v_set(1), tail));
    return v_select(v_ge(z, v_zero()), v_sub(v_sub(v_set(1), y), small), v_sub(small, y));
}

/* x^n for n >= -1: by multiplication where n is a small whole number, so that x may be 0 or negative */
FNN_INLINE vreal power(vreal x, double n)
{
    if (n >= 0 && n <= 8 && n == (double)(int)n) {
        vreal product = v_set(1);
        for (int i = 0; i < (int)n; i++)
            product = v_mul(product, x);
        return product;
    }
    return v_exp(v_mul(v_set((real)n), v_log(x)));
}
FNN_INLINE vreal power_slope(vreal x, double n) /* n x^(n - 1) */
{
    return n == 0 ? v_zero() : v_mul(v_set((real)n), power(x, n - 1));
}

typedef struct {
    vreal value, slope;
} focal_term;
/* weight (1 - p_t)^gamma H(y, p), where 1 - p_t = y q + (1 - y) p and q = 1 - p */
FNN_INLINE focal_term focal(vreal y, vreal p, vreal q, const double *parameters)
{
    const double gamma = parameters[0], alpha = parameters[1];
    const vreal one = v_set(1), other = v_sub(one, y);
    const vreal miss = v_add(v_mul(y, q), v_mul(other, p)), focus = power(miss, gamma);
    const vreal d_focus = v_mul(power_slope(miss, gamma), v_sub(other, y));
    const vreal entropy = binary_value(y, p, q), d_entropy = binary_slope(y, p, q);
    const vreal balance = v_add(v_mul(y, v_set((real)alpha)), v_mul(other, v_set((real)(1 - alpha))));
    const vreal weight = parameters[2] != 0 ? balance : one;
    const focal_term f = {v_mul(weight, v_mul(focus, entropy)),
                          v_mul(weight, v_add(v_mul(focus, d_entropy), v_mul(d_focus, entropy)))};
    return f;
}

/* ---------------------------------------------------------------------------------------------- element by element */

typedef void (*loss_terms)(ptrdiff_t n, const real *y_true, const real *y_pred, real *value, real *slope,
                           const double *parameters);

/* dy[rows, d] = factor of the row / divisor * slope[rows, d] */
static void scale_slopes(ptrdiff_t rows, ptrdiff_t d, const real *slope, real *dy, const double *scale, double common,
                         double divisor)
{
    if (!scale) {
        const real factor = (real)(common / divisor);
        for (ptrdiff_t i = 0; i < rows * d; i++)
            dy[i] = factor * slope[i];
        return;
    }
    if (d == 1 && divisor == 1) { /* so that it is one loop */
        for (ptrdiff_t r = 0; r < rows; r++)
            dy[r] = (real)scale[r] * slope[r];
        return;
    }
    for (ptrdiff_t r = 0; r < rows; r++) {
        const real factor = (real)(scale[r] / divisor);
        for (ptrdiff_t j = 0; j < d; j++)
            dy[r * d + j] = factor * slope[r * d + j];
    }
}

/* Whole rows that fit a block are worked on together; a longer row goes through in pieces. */
static void elementwise_loss(LOSS_ARGUMENTS, loss_terms terms, int mean)
{
    real value[LOSS_BLOCK], slope[LOSS_BLOCK];
    const real *y = y_true;
    const double divisor = mean ? (double)d : 1;
    IN_STEPS(r, n, d <= LOSS_BLOCK ? LOSS_BLOCK / d : 1, rows)
    {
        sum16 s = sum16_zero();
        IN_STEPS(i, m, LOSS_BLOCK, n * d)
        {
            const ptrdiff_t at = r * d + i;
            terms(m, y + at, y_pred + at, value, slope, parameters);
            if (dy)
                scale_slopes(d <= LOSS_BLOCK ? n : 1, d <= LOSS_BLOCK ? d : m, slope, dy + at, scale ? scale + r : NULL,
                             common, divisor);
            if (d > LOSS_BLOCK)
                sum16_row(&s, m, value);
        }
        if (!values)
            continue;
        if (d == 1)
            for (ptrdiff_t j = 0; j < n; j++)
                values[r + j] = (double)value[j];
        else if (d <= LOSS_BLOCK)
            for (ptrdiff_t j = 0; j < n; j++)
                values[r + j] = row_sum(d, value + j * d) / divisor;
        else
            values[r] = sum16_total(&s) / divisor;
    }
}

#define par(i) v_set((real)parameters[i])
#define FNN_IS_MEAN 1
#define FNN_IS_SUM 0
#define LOSS(name, reduction, where, value_, slope_, ...)                                                              \
    static void FNN_JOIN2(name, _terms)(ptrdiff_t n, const real *y_true, const real *y_pred, real *value, real *slope, \
                                        const double *parameters)                                                      \
    {                                                                                                                  \
        (void)parameters;                                                                                              \
        for (ptrdiff_t i = 0; i < n; i += VL) {                                                                        \
            const vreal y = v_load_n(y_true + i, (size_t)(n - i)), p = v_load_n(y_pred + i, (size_t)(n - i));          \
            where;                                                                                                     \
            v_store(value + i, value_);                                                                                \
            v_store(slope + i, slope_);                                                                                \
        }                                                                                                              \
    }                                                                                                                  \
    static void FNN_JOIN2(name, _loss)(LOSS_ARGUMENTS)                                                                 \
    {                                                                                                                  \
        elementwise_loss(rows, d, y_true, y_pred, values, dy, scale, common, parameters, FNN_JOIN2(name, _terms),      \
                         FNN_JOIN2(FNN_IS_, reduction));                                                               \
    }
#include "losses.def"
#undef FNN_IS_MEAN
#undef FNN_IS_SUM
#undef par

#include "losses_classes.h"
#include "losses_pairs.h"
