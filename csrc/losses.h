/* losses.h: the losses and their gradients, a block of rows of a batch at a time.

   Every function here has the shape of name_loss below (see FNN_LOSS_HELPERS in fnn.h). What is element-wise works on
   the flat block, so that no lane is idle however short the rows are; sums over a row are taken in double, in an order
   that d alone decides. */

#define FNN_EPSILON ((real)1e-7)
#define ALMOST_ONE ((real)(1 - 1e-7))
#define LOSS_BLOCK 1024 /* elements that are worked on at a time; a multiple of sixteen */
#define LOSS_SHORT 16   /* rows shorter than this are summed one number after the other */

#define LOSS_ARGUMENTS                                                                                                 \
    ptrdiff_t rows, ptrdiff_t d, const void *y_true, const real *y_pred, double *values, real *dy, const double *scale, \
        double common, const double *parameters

/* i = 0, step, 2 step, ... below count, with n = min(step, count - i) */
#define IN_STEPS(i, n, step, count)                                                                                    \
    for (ptrdiff_t i = 0, n; n = (count) - i < (step) ? (count) - i : (step), i < (count); i += (step))

/* ---------------------------------------------------------------------------------------------------------- sums */

/* s += t[n], where only a row's last piece may have an n that is not a multiple of sixteen */
static void sum16_row(sum16 *s, ptrdiff_t n, const real *t)
{
    ptrdiff_t i = 0;
    for (; i + SUM_LANES <= n; i += SUM_LANES)
        FNN_UNROLL for (int v = 0; v < SUM_VECTORS; v++) sum16_add(s, v, v_load(t + i + v * VL));
    FNN_UNROLL for (int v = 0; v < SUM_VECTORS; v++)
        if (n - i > v * VL)
            sum16_add(s, v, v_load_n(t + i + v * VL, (size_t)(n - i - v * VL)));
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
FNN_INLINE void sum16_add_product(sum16 *s, int v, vreal a, vreal b)
{
    FNN_UNROLL for (int half = 0; half < FNN_HALVES; half++)
    {
        vwide *lane = &s->lane[v * FNN_HALVES + half];
        *lane = w_add(*lane, w_mul(w_half(a, half), w_half(b, half)));
    }
}
static double row_dot(ptrdiff_t d, const real *a, const real *b)
{
    sum16 s = sum16_zero();
    IN_STEPS(i, n, SUM_LANES, d)
    {
        FNN_UNROLL for (int v = 0; v < SUM_VECTORS; v++)
            if (n > v * VL) {
                const size_t m = (size_t)(n - v * VL);
                sum16_add_product(&s, v, v_load_n(a + i + v * VL, m), v_load_n(b + i + v * VL, m));
            }
    }
    return sum16_total(&s);
}

/* |a - b + shift|^2, the differences in real, their squares in double */
static double row_distance(ptrdiff_t d, const real *a, const real *b, real shift)
{
    real t[LOSS_BLOCK];
    sum16 s = sum16_zero();
    IN_STEPS(i, n, LOSS_BLOCK, d)
    {
        for (ptrdiff_t j = 0; j < n; j++)
            t[j] = (a[i + j] - b[i + j]) + shift;
        IN_STEPS(j, m, SUM_LANES, n)
        {
            FNN_UNROLL for (int v = 0; v < SUM_VECTORS; v++)
                if (m > v * VL) {
                    const vreal u = v_load_n(t + j + v * VL, (size_t)(m - v * VL));
                    sum16_add_product(&s, v, u, u);
                }
        }
    }
    return sum16_total(&s);
}

/* max(x, 0), and NaN for NaN */
static double above_zero(double x) { return x <= 0 ? 0 : x; }

/* ------------------------------------------------------------------------------------- words of the table's formulas */

/* All of them let NaN through: v_min and v_max return their second argument when either is NaN. */
FNN_INLINE vreal v_clip(vreal x, vreal low, vreal high) { return v_min(high, v_max(low, x)); }
FNN_INLINE vreal v_sign(vreal x) { return v_select(v_gt(v_abs(x), v_zero()), v_copysign(v_set(1), x), x); }
FNN_INLINE vreal half_step(vreal x) /* the derivative of max(x, 0), with one half at its kink */
{
    const vreal below = v_select(v_lt(x, v_zero()), v_zero(), v_select(v_eq(x, v_zero()), v_set(0.5), x));
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

/* With u = exp|e| - 1, cosh e - 1 = u^2 / (2 (1 + u)): log1p of that loses nothing near 0. From |e| = 1 on
   |e| - log 2 + log(1 + exp(-2 |e|)) does not overflow. */
FNN_INLINE vreal log_cosh_value(vreal e)
{
    const vreal size = v_abs(e), u = v_expm1(size), power = v_add(v_set(1), u);
    const vmask near = v_lt(size, v_set(1));
    const vreal above_one = v_div(v_select(near, v_mul(v_set(0.5), v_mul(u, u)), v_div(v_set(1), power)), power);
    const vreal linear = v_sub(size, v_set((real)0.69314718055994530942));
    return v_add(v_select(near, v_zero(), linear), v_log1p(above_one));
}

/* outside of [epsilon, 1 - epsilon], where a clipped probability does not move */
FNN_INLINE vmask is_clipped(vreal p) { return m_or(v_lt(p, v_set(FNN_EPSILON)), v_gt(p, v_set(ALMOST_ONE))); }
FNN_INLINE vreal clip_probability(vreal p) { return v_clip(p, v_set(FNN_EPSILON), v_set(ALMOST_ONE)); }

/* binary cross-entropy of the probability p, given with q = 1 - p so that neither end loses digits */
FNN_INLINE vreal binary_value(vreal y, vreal p, vreal q)
{
    const vreal yes = v_mul(y, v_log(clip_probability(p)));
    return v_neg(v_add(yes, v_mul(v_sub(v_set(1), y), v_log(clip_probability(q)))));
}
FNN_INLINE vreal binary_slope(vreal y, vreal p, vreal q)
{
    return v_select(is_clipped(p), v_zero(), v_sub(v_div(v_sub(v_set(1), y), q), v_div(y, p)));
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
    const vreal weight = parameters[2] != 0 ? v_add(v_mul(y, v_set((real)alpha)), v_mul(other, v_set((real)(1 - alpha)))) : one;
    const focal_term f = {v_mul(weight, v_mul(focus, entropy)),
                          v_mul(weight, v_add(v_mul(focus, d_entropy), v_mul(d_focus, entropy)))};
    return f;
}

/* ------------------------------------------------------------------------------------------------ element by element */

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
                scale_slopes(d <= LOSS_BLOCK ? n : 1, d <= LOSS_BLOCK ? d : m, slope, dy + at, scale ? scale + r : NULL, common,
                             divisor);
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
#define LOSS_OF_ROWS(...)
#include "losses.def"
#undef LOSS
#undef LOSS_OF_ROWS
#undef FNN_IS_MEAN
#undef FNN_IS_SUM
#undef par

/* -------------------------------------------------------------------------------------- cross-entropy from logits

   With top = max z and s = sum_k e_k, e_k = exp(z_k - top):
     logsumexp(z) - z_k = (top - z_k) + log s     softmax(z)_k = e_k / s
   s >= 1 is kept in double and its logarithm taken as log1p(s - 1): a confident row's loss is not lost to 1 + tiny. */

/* top, e[d] and s of each row; e may be z, or NULL when rows are longer than a block */
static void exponentials(ptrdiff_t rows, ptrdiff_t d, const real *z, const real *top, real *e, double *s)
{
    if (d < LOSS_SHORT) {
        for (ptrdiff_t r = 0; r < rows; r++)
            for (ptrdiff_t k = 0; k < d; k++)
                e[r * d + k] = z[r * d + k] - top[r];
        IN_STEPS(i, n, VL, rows * d) v_store_n(e + i, v_exp(v_load_n(e + i, (size_t)n)), (size_t)n);
        for (ptrdiff_t r = 0; r < rows; r++)
            s[r] = row_sum(d, e + r * d);
        return;
    }
    real piece[LOSS_BLOCK];
    for (ptrdiff_t r = 0; r < rows; r++) {
        sum16 sum = sum16_zero();
        IN_STEPS(i, n, LOSS_BLOCK, d)
        {
            real *const to = e ? e + r * d + i : piece;
            IN_STEPS(j, m, VL, n)
            {
                const vreal shifted = v_sub(v_load_n(z + r * d + i + j, (size_t)m), v_set(top[r]));
                v_store_n(to + j, v_exp(shifted), (size_t)m);
            }
            sum16_row(&sum, n, to);
        }
        s[r] = sum16_total(&sum);
    }
}

/* A NaN need not reach the maximum: it reaches the sum. */
static real row_max(ptrdiff_t d, const real *x)
{
    real top = x[0];
    ptrdiff_t i = 1;
    if (d >= LOSS_SHORT) {
        real lane[VL];
        vreal most = v_load(x);
        for (i = VL; i + VL <= d; i += VL)
            most = v_max(most, v_load(x + i));
        v_store(lane, most);
        top = lane[0];
        for (int j = 1; j < VL; j++)
            top = lane[j] > top ? lane[j] : top;
    }
    for (; i < d; i++)
        top = x[i] > top ? x[i] : top;
    return top;
}

/* log s of each row */
static void logarithms(ptrdiff_t rows, const double *s, real *log_s)
{
    for (ptrdiff_t r = 0; r < rows; r++)
        log_s[r] = (real)(s[r] - 1);
    IN_STEPS(i, n, VL, rows) v_store_n(log_s + i, v_log1p(v_load_n(log_s + i, (size_t)n)), (size_t)n);
}

/* Rows that are worked on together, and where their exponentials go */
#define LOSS_ROWS 256
static ptrdiff_t rows_at_once(ptrdiff_t d)
{
    const ptrdiff_t n = LOSS_BLOCK / d;
    return n < 1 ? 1 : n > LOSS_ROWS ? LOSS_ROWS : n;
}
static real *place_for(real *dy, ptrdiff_t d, real *piece) { return dy ? dy : d <= LOSS_BLOCK ? piece : NULL; }

static void sparse_categorical_crossentropy_from_logits_loss(LOSS_ARGUMENTS)
{
    const int32_t *const labels = y_true;
    const double ignored = parameters[0];
    real piece[LOSS_BLOCK], top[LOSS_ROWS], below[LOSS_ROWS], log_s[LOSS_ROWS];
    double s[LOSS_ROWS];
    IN_STEPS(r, n, rows_at_once(d), rows)
    {
        const real *const z = y_pred + r * d;
        real *const e = place_for(dy ? dy + r * d : NULL, d, piece);
        for (ptrdiff_t i = 0; i < n; i++) {
            top[i] = row_max(d, z + i * d);
            below[i] = (double)labels[r + i] == ignored ? 0 : top[i] - z[i * d + labels[r + i]];
        }
        exponentials(n, d, z, top, e, s);
        if (values) {
            logarithms(n, s, log_s);
            for (ptrdiff_t i = 0; i < n; i++)
                values[r + i] = (double)labels[r + i] == ignored ? 0 : (double)(below[i] + log_s[i]);
        }
        for (ptrdiff_t i = 0; dy && i < n; i++) {
            real *const row = e + i * d;
            if ((double)labels[r + i] == ignored) {
                memset(row, 0, (size_t)d * sizeof(real));
                continue;
            }
            const double factor = (scale ? scale[r + i] : common) / s[i];
            const double at_label = ((double)row[labels[r + i]] - s[i]) * factor; /* minus the others: no cancellation */
            const real f = (real)factor;
            for (ptrdiff_t k = 0; k < d; k++)
                row[k] *= f;
            row[labels[r + i]] = (real)at_label;
        }
    }
}

static void categorical_crossentropy_from_logits_loss(LOSS_ARGUMENTS)
{
    const double smoothing = parameters[0];
    real piece[LOSS_BLOCK], top[LOSS_ROWS], log_s[LOSS_ROWS];
    real target[LOSS_BLOCK], term[LOSS_BLOCK];
    double s[LOSS_ROWS], below[LOSS_ROWS], mass[LOSS_ROWS];
    IN_STEPS(r, n, rows_at_once(d), rows)
    {
        const real *const z = y_pred + r * d, *const y = (const real *)y_true + r * d;
        for (ptrdiff_t i = 0; i < n; i++) { /* below = sum_k y_k (top - z_k), mass = sum_k y_k */
            top[i] = row_max(d, z + i * d);
            sum16 sum_below = sum16_zero(), sum_mass = sum16_zero();
            IN_STEPS(j, m, LOSS_BLOCK, d)
            {
                IN_STEPS(k, l, VL, m)
                {
                    const vreal t = smoothed(v_load_n(y + i * d + j + k, (size_t)l), smoothing, d);
                    const vreal distance = v_sub(v_set(top[i]), v_load_n(z + i * d + j + k, (size_t)l));
                    v_store(target + k, t);
                    v_store(term + k, v_mul(t, distance));
                }
                sum16_row(&sum_below, m, term);
                sum16_row(&sum_mass, m, target);
            }
            below[i] = sum16_total(&sum_below);
            mass[i] = sum16_total(&sum_mass);
        }
        real *const e = place_for(dy ? dy + r * d : NULL, d, piece);
        exponentials(n, d, z, top, e, s);
        if (values) {
            logarithms(n, s, log_s);
            for (ptrdiff_t i = 0; i < n; i++)
                values[r + i] = below[i] + mass[i] * (double)log_s[i];
        }
        for (ptrdiff_t i = 0; dy && i < n; i++) {
            const vreal share = v_set((real)(mass[i] / s[i])), factor = v_set((real)(scale ? scale[r + i] : common));
            IN_STEPS(k, l, VL, d)
            {
                const vreal t = smoothed(v_load_n(y + i * d + k, (size_t)l), smoothing, d);
                const vreal slope = v_sub(v_mul(v_load_n(e + i * d + k, (size_t)l), share), t);
                v_store_n(e + i * d + k, v_mul(factor, slope), (size_t)l);
            }
        }
    }
}

/* ------------------------------------------------------------------------------------- cross-entropy of probabilities

   o_k = p_k / sum p, of which the loss makes d_k = d loss / d o_k; back through the division
   d loss / d p_j = (d_j - sum_k d_k o_k) / sum p. Where o_k is clipped, d_k = 0. */

static void sparse_categorical_crossentropy_loss(LOSS_ARGUMENTS)
{
    const int32_t *const labels = y_true;
    const double ignored = parameters[0];
    real o[LOSS_ROWS], log_o[LOSS_ROWS];
    double sum[LOSS_ROWS];
    IN_STEPS(r, n, LOSS_ROWS, rows)
    {
        for (ptrdiff_t i = 0; i < n; i++) {
            const real *const p = y_pred + (r + i) * d;
            sum[i] = row_sum(d, p);
            o[i] = (double)labels[r + i] == ignored ? 1 : p[labels[r + i]] / (real)sum[i];
        }
        IN_STEPS(i, m, VL, n) v_store_n(log_o + i, v_log(clip_probability(v_load_n(o + i, (size_t)m))), (size_t)m);
        for (ptrdiff_t i = 0; i < n; i++) {
            const int32_t label = labels[r + i];
            const int skip = (double)label == ignored;
            if (values)
                values[r + i] = skip ? 0 : -(double)log_o[i];
            if (!dy)
                continue;
            /* d = -1 / o at the label, so sum_k d_k o_k = -1 */
            const int flat = skip || o[i] < FNN_EPSILON || o[i] > ALMOST_ONE;
            const double still = skip ? 0 : sum[i] - sum[i]; /* 0, but NaN where the sum is no number */
            const double factor = flat ? still : (scale ? scale[r + i] : common) / sum[i];
            real *const row = dy + (r + i) * d;
            for (ptrdiff_t k = 0; k < d; k++)
                row[k] = (real)factor;
            if (!flat)
                row[label] = (real)(factor * (1 - 1 / (double)o[i]));
        }
    }
}

static void categorical_crossentropy_loss(LOSS_ARGUMENTS)
{
    const double smoothing = parameters[0];
    real term[LOSS_BLOCK], moving[LOSS_BLOCK];
    for (ptrdiff_t r = 0; r < rows; r++) {
        const real *const y = (const real *)y_true + r * d, *const p = y_pred + r * d;
        const double sum = row_sum(d, p);
        const vreal whole = v_set((real)sum);
        sum16 loss = sum16_zero(), mass = sum16_zero(); /* mass = sum of y_k whose o_k is not clipped */
        IN_STEPS(i, n, LOSS_BLOCK, d)
        {
            IN_STEPS(k, l, VL, n)
            {
                const vreal t = smoothed(v_load_n(y + i + k, (size_t)l), smoothing, d);
                const vreal o = v_div(v_load_n(p + i + k, (size_t)l), whole);
                v_store(term + k, v_mul(t, v_log(clip_probability(o))));
                v_store(moving + k, v_select(is_clipped(o), v_zero(), t));
            }
            sum16_row(&loss, n, term);
            sum16_row(&mass, n, moving);
        }
        if (values)
            values[r] = -sum16_total(&loss);
        if (!dy)
            continue;
        const vreal factor = v_set((real)((scale ? scale[r] : common) / sum)), back = v_set((real)sum16_total(&mass));
        IN_STEPS(k, l, VL, d)
        {
            const vreal t = smoothed(v_load_n(y + k, (size_t)l), smoothing, d);
            const vreal o = v_div(v_load_n(p + k, (size_t)l), whole);
            const vreal direct = v_select(is_clipped(o), v_zero(), v_div(t, o));
            v_store_n(dy + r * d + k, v_mul(factor, v_sub(back, direct)), (size_t)l);
        }
    }
}

/* The term of one class, alpha (1 - o)^gamma y (-log o), and its slope by o */
FNN_INLINE focal_term categorical_focal(vreal y, vreal o, const double *parameters)
{
    const vreal kept = clip_probability(o), log_o = v_log(kept), miss = v_sub(v_set(1), kept);
    const vreal weight = v_mul(v_set((real)parameters[1]), y), focus = power(miss, parameters[0]);
    const vreal slope = v_mul(weight, v_sub(v_mul(power_slope(miss, parameters[0]), log_o), v_div(focus, kept)));
    const focal_term f = {v_neg(v_mul(weight, v_mul(focus, log_o))), v_select(is_clipped(o), v_zero(), slope)};
    return f;
}
/* The classes at x: probabilities over their sum, or, from logits, exp(z - top) over the sum of all */
FNN_INLINE vreal share_of(vreal x, int from_logits, real top, vreal whole)
{
    return v_div(from_logits ? v_exp(v_sub(x, v_set(top))) : x, whole);
}
FNN_INLINE void categorical_focal_of(LOSS_ARGUMENTS, int from_logits)
{
    real value[LOSS_BLOCK], pull[LOSS_BLOCK];
    for (ptrdiff_t r = 0; r < rows; r++) {
        const real *const y = (const real *)y_true + r * d, *const x = y_pred + r * d;
        const real top = from_logits ? row_max(d, x) : 0;
        double sum;
        if (from_logits)
            exponentials(1, d, x, &top, d <= LOSS_BLOCK ? value : NULL, &sum);
        else
            sum = row_sum(d, x);
        const vreal whole = v_set((real)sum);
        sum16 loss = sum16_zero(), mean_slope = sum16_zero(); /* sum_k o_k d_k */
        IN_STEPS(i, n, LOSS_BLOCK, d)
        {
            IN_STEPS(k, l, VL, n)
            {
                const vreal t = smoothed(v_load_n(y + i + k, (size_t)l), parameters[2], d);
                const vreal o = share_of(v_load_n(x + i + k, (size_t)l), from_logits, top, whole);
                const focal_term f = categorical_focal(t, o, parameters);
                v_store(value + k, f.value);
                v_store(pull + k, v_mul(o, f.slope));
            }
            sum16_row(&loss, n, value);
            sum16_row(&mean_slope, n, pull);
        }
        if (values)
            values[r] = sum16_total(&loss);
        if (!dy)
            continue;
        const double factor = scale ? scale[r] : common;
        const vreal f = v_set((real)(from_logits ? factor : factor / sum)), back = v_set((real)sum16_total(&mean_slope));
        IN_STEPS(k, l, VL, d)
        {
            const vreal t = smoothed(v_load_n(y + k, (size_t)l), parameters[2], d);
            const vreal o = share_of(v_load_n(x + k, (size_t)l), from_logits, top, whole);
            const vreal slope = v_mul(f, v_sub(categorical_focal(t, o, parameters).slope, back));
            v_store_n(dy + r * d + k, from_logits ? v_mul(o, slope) : slope, (size_t)l);
        }
    }
}
static void categorical_focal_crossentropy_loss(LOSS_ARGUMENTS)
{
    categorical_focal_of(rows, d, y_true, y_pred, values, dy, scale, common, parameters, 0);
}
static void categorical_focal_crossentropy_from_logits_loss(LOSS_ARGUMENTS)
{
    categorical_focal_of(rows, d, y_true, y_pred, values, dy, scale, common, parameters, 1);
}

/* ------------------------------------------------------------------------------------------ other losses of whole rows */

/* rival = max_k (1 - y_k) p_k; those that reach it share its gradient */
static void categorical_hinge_loss(LOSS_ARGUMENTS)
{
    (void)parameters;
    for (ptrdiff_t r = 0; r < rows; r++) {
        const real *const y = (const real *)y_true + r * d, *const p = y_pred + r * d;
        real rival = (1 - y[0]) * p[0];
        for (ptrdiff_t k = 1; k < d; k++) {
            const real x = (1 - y[k]) * p[k];
            rival = x > rival ? x : rival;
        }
        const double gap = (double)rival - row_dot(d, y, p) + 1; /* a NaN reaches the product */
        if (values)
            values[r] = above_zero(gap);
        if (!dy)
            continue;
        const double factor = (scale ? scale[r] : common) * (gap > 0 ? 1 : gap < 0 ? 0 : gap == 0 ? 0.5 : gap);
        ptrdiff_t reached = 0;
        for (ptrdiff_t k = 0; k < d; k++)
            reached += (1 - y[k]) * p[k] == rival;
        const real f = (real)factor, share = (real)(1 / (double)reached);
        for (ptrdiff_t k = 0; k < d; k++) {
            const real other = 1 - y[k];
            dy[r * d + k] = f * ((other * p[k] == rival ? share * other : 0) - y[k]);
        }
    }
}

/* With a = y / |y|, b = p / |p|, c = a . b: d loss / d p = -(a - c b) / |p|. A norm below epsilon counts as epsilon, and
   is then a constant. */
static void cosine_similarity_loss(LOSS_ARGUMENTS)
{
    (void)parameters;
    for (ptrdiff_t r = 0; r < rows; r++) {
        const real *const y = (const real *)y_true + r * d, *const p = y_pred + r * d;
        const double norm_y = sqrt(row_dot(d, y, y)), norm_p = sqrt(row_dot(d, p, p));
        const double a = 1 / (norm_y < 1e-7 ? 1e-7 : norm_y), b = 1 / (norm_p < 1e-7 ? 1e-7 : norm_p);
        const double c = row_dot(d, y, p) * a * b;
        if (values)
            values[r] = -c;
        if (!dy)
            continue;
        const double factor = (scale ? scale[r] : common) * b;
        const double turn = norm_p <= 1e-7 ? 0 : c;
        for (ptrdiff_t k = 0; k < d; k++)
            dy[r * d + k] = (real)(factor * (turn * ((double)p[k] * b) - (double)y[k] * a));
    }
}

/* y_pred[rows, 2, d]: the loss of the distance d = |u - v|, then d d / d u = (u - v) / d = -d d / d v, and 0 at d = 0 */
static void contrastive_loss(LOSS_ARGUMENTS)
{
    const real *const y = y_true;
    real distance[LOSS_ROWS], value[LOSS_ROWS], slope[LOSS_ROWS];
    IN_STEPS(r, n, LOSS_ROWS, rows)
    {
        for (ptrdiff_t i = 0; i < n; i++) {
            const real *const u = y_pred + (r + i) * 2 * d;
            distance[i] = (real)sqrt(row_distance(d, u, u + d, 0));
        }
        contrastive_distance_terms(n, y + r, distance, value, slope, parameters);
        for (ptrdiff_t i = 0; i < n; i++) {
            const ptrdiff_t at = (r + i) * 2 * d;
            if (values)
                values[r + i] = (double)value[i];
            if (!dy)
                continue;
            const double factor = (scale ? scale[r + i] : common) * (double)slope[i];
            const real f = distance[i] == 0 ? 0 : (real)(factor / (double)distance[i]);
            for (ptrdiff_t k = 0; k < d; k++) {
                const real towards = f * (y_pred[at + k] - y_pred[at + d + k]);
                dy[at + k] = towards;
                dy[at + d + k] = -towards;
            }
        }
    }
}

/* The shift that PyTorch adds to every coordinate of a difference whose length it takes */
#define LENGTH_SHIFT 1e-6

/* y_pred[rows, 3, d]: u = anchor - positive, v = anchor - negative; d distance / d u is 2 u, or u / |u| */
static void triplet_loss(LOSS_ARGUMENTS)
{
    (void)y_true;
    const double margin = parameters[0];
    const int squared = parameters[1] != 0;
    const real shift = squared ? 0 : (real)LENGTH_SHIFT;
    for (ptrdiff_t r = 0; r < rows; r++) {
        const real *const a = y_pred + r * 3 * d, *const p = a + d, *const n = p + d;
        double near = row_distance(d, a, p, shift), far = row_distance(d, a, n, shift);
        if (!squared) {
            near = sqrt(near);
            far = sqrt(far);
        }
        const double value = above_zero(near - far + margin);
        if (values)
            values[r] = value;
        if (!dy)
            continue;
        real *const da = dy + r * 3 * d, *const dp = da + d, *const dn = dp + d;
        if (value == 0) {
            memset(da, 0, 3 * (size_t)d * sizeof(real));
            continue;
        }
        const double factor = scale ? scale[r] : common;
        const real fu = (real)(squared ? 2 * factor : near == 0 ? 0 : factor / near);
        const real fv = (real)(squared ? 2 * factor : far == 0 ? 0 : factor / far);
        for (ptrdiff_t k = 0; k < d; k++) {
            const real u = fu * (a[k] - p[k] + shift), v = fv * (a[k] - n[k] + shift);
            da[k] = u - v;
            dp[k] = -u;
            dn[k] = v;
        }
    }
}

/* y_pred[rows, 2, d = 1] */
static void margin_ranking_loss(LOSS_ARGUMENTS)
{
    const real *const y = y_true;
    (void)d;
    for (ptrdiff_t r = 0; r < rows; r++) {
        const double want = (double)y[r];
        const double value = above_zero(parameters[0] - want * ((double)y_pred[2 * r] - (double)y_pred[2 * r + 1]));
        if (values)
            values[r] = value;
        if (!dy)
            continue;
        const double factor = value == 0 ? 0 : scale ? scale[r] : common;
        dy[2 * r] = (real)(-want * factor);
        dy[2 * r + 1] = (real)(want * factor);
    }
}

/* ------------------------------------------------------------------------------------ triplets found in a batch */

/* The negative of `anchor` that is nearest, of those farther than `from`; -1 if there is none */
static ptrdiff_t nearest_negative(ptrdiff_t anchor, ptrdiff_t B, const int32_t *labels, const double *distance, double from)
{
    ptrdiff_t best = -1;
    for (ptrdiff_t j = 0; j < B; j++)
        if (labels[j] != labels[anchor] && distance[j] > from && (best < 0 || distance[j] < distance[best]))
            best = j;
    return best;
}
static ptrdiff_t farthest(ptrdiff_t anchor, ptrdiff_t B, const int32_t *labels, const double *distance, int positive)
{
    ptrdiff_t best = -1;
    for (ptrdiff_t j = 0; j < B; j++)
        if ((labels[j] == labels[anchor]) == positive && j != anchor && (best < 0 || distance[j] > distance[best]))
            best = j;
    return best;
}

static int mine(ptrdiff_t anchor, ptrdiff_t B, ptrdiff_t d, const real *x, const int32_t *labels, double *value,
                double *distance, double *weight, const double *parameters)
{
    const double margin = parameters[0];
    const int squared = parameters[1] != 0, semi_hard = parameters[2] != 0;
    ptrdiff_t positives = 0, negatives = 0;
    *value = 0;
    for (ptrdiff_t j = 0; j < B; j++) {
        const double square = row_distance(d, x + anchor * d, x + j * d, squared ? 0 : (real)LENGTH_SHIFT);
        distance[j] = squared ? square : sqrt(square);
        weight[j] = 0;
        positives += j != anchor && labels[j] == labels[anchor];
        negatives += labels[j] != labels[anchor];
        if (distance[j] != distance[j])
            *value = distance[j]; /* NaN */
    }
    if (!positives || !negatives)
        *value = 0;
    if (!positives || !negatives || *value != *value)
        return positives && negatives;
    const ptrdiff_t hardest = farthest(anchor, B, labels, distance, 1);
    const double share = semi_hard ? 1 / (double)positives : 1;
    for (ptrdiff_t j = 0; j < B; j++) {
        if (j == anchor || labels[j] != labels[anchor] || (!semi_hard && j != hardest))
            continue;
        ptrdiff_t n = nearest_negative(anchor, B, labels, distance, semi_hard ? distance[j] : -1);
        if (n < 0)
            n = farthest(anchor, B, labels, distance, 0);
        const double gap = above_zero(distance[j] - distance[n] + margin);
        *value += share * gap;
        if (gap != 0) {
            weight[j] += share;
            weight[n] -= share;
        }
    }
    return 1;
}

static void mined_gradient(ptrdiff_t i, ptrdiff_t B, ptrdiff_t d, const real *x, const double *distance,
                           const double *weight, const double *scale, double common, real *dx, const double *parameters)
{
    const int squared = parameters[1] != 0;
    const real shift = squared ? 0 : (real)LENGTH_SHIFT;
    double sum[LOSS_BLOCK];
    IN_STEPS(k, n, LOSS_BLOCK, d)
    {
        memset(sum, 0, (size_t)n * sizeof(double));
        for (ptrdiff_t j = 0; j < B; j++) {
            double out = weight[i * B + j] * (scale ? scale[i] : common);  /* x_i - x_j + shift, as anchor */
            double back = weight[j * B + i] * (scale ? scale[j] : common); /* x_j - x_i + shift, as the other */
            if (out == 0 && back == 0)
                continue;
            if (squared) {
                out *= 2;
                back *= 2;
            } else {
                out = distance[i * B + j] == 0 ? 0 : out / distance[i * B + j];
                back = distance[j * B + i] == 0 ? 0 : back / distance[j * B + i];
            }
            const real *const u = x + i * d + k, *const v = x + j * d + k;
            for (ptrdiff_t l = 0; l < n; l++)
                sum[l] += out * (double)(u[l] - v[l] + shift) - back * (double)(v[l] - u[l] + shift);
        }
        for (ptrdiff_t l = 0; l < n; l++)
            dx[k + l] = (real)sum[l];
    }
}
