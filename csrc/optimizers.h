/* optimizers.h: the updates of the optimizers over a flat piece of the parameters, and what goes with a step: the norms
   of gradients, the averages of weights, the constraints. */

/* -1, 0 or 1; NaN stays NaN */
FNN_INLINE vreal sign_of(vreal x)
{
    return v_select(v_gt(x, v_zero()), v_set(1), v_select(v_lt(x, v_zero()), v_set(-1), x));
}

/* The larger; NaN if either is */
FNN_INLINE vreal larger(vreal a, vreal b) { return v_select(v_ne(a, a), a, v_max(a, b)); }

/* ------------------------------------------------------------------------------- the gradient that a step goes by

   The same in a sum of squares as in the update that follows it. */
typedef struct {
    vreal unscale, l1, l2, steps, scale, low, high, decay, ema, renew;
    int unscales, penalises, scales, clips, decays, overwrites;
} step_form;

FNN_INLINE step_form step_form_of(const fnn_step *s)
{
    return (step_form){.unscale = v_set((real)s->unscale),
                       .l1 = v_set((real)s->l1),
                       .l2 = v_set((real)(2 * s->l2)),
                       .steps = v_set((real)s->steps),
                       .scale = v_set((real)s->scale),
                       .low = v_set((real)-s->clip),
                       .high = v_set((real)s->clip),
                       .decay = v_set((real)s->decay),
                       .ema = v_set((real)s->ema),
                       .renew = v_set((real)(1 - s->ema)),
                       .unscales = s->unscale != 1,
                       .penalises = s->l1 != 0 || s->l2 != 0,
                       .scales = s->scale != 1,
                       .clips = s->clip > 0,
                       .decays = s->decay != 0,
                       .overwrites = s->overwrite};
}
FNN_INLINE vreal penalised(const step_form *f, vreal w, vreal g)
{
    if (f->unscales)
        g = v_mul(g, f->unscale);
    if (f->penalises)
        g = v_add(v_fma(f->l2, w, v_mul(f->l1, sign_of(w))), g);
    return g;
}
/* of the n <= VL elements from i on */
FNN_INLINE vreal whole_gradient(const step_form *f, vreal w, const real *g, const real *accumulated, ptrdiff_t i,
                                size_t n)
{
    const vreal x = penalised(f, w, v_load_n(g + i, n));
    return accumulated ? v_div(v_add(x, v_load_n(accumulated + i, n)), f->steps) : x;
}
FNN_INLINE vreal clipped(const step_form *f, vreal g)
{
    if (f->scales)
        return v_mul(g, f->scale);
    return f->clips ? v_max(f->low, v_min(f->high, g)) : g;
}
/* The average of n <= VL weights: a = ema a + (1 - ema) w; and what the weights become */
FNN_INLINE vreal averaged(const step_form *f, real *average, vreal w, size_t n)
{
    const vreal a = v_fma(f->ema, v_load_n(average, n), v_mul(f->renew, w));
    v_store_n(average, a, n);
    return f->overwrites ? a : w;
}

#define FNN_VECTORS(i, n) for (ptrdiff_t i = 0, left_ = (n); left_ > 0; i += VL, left_ -= VL)
#define FNN_LEFT ((size_t)(left_ < VL ? left_ : VL))

static void optimizer_gradient(ptrdiff_t n, const real *w, const real *g, const real *accumulated, real *out,
                               const fnn_step *s)
{
    const step_form f = step_form_of(s);
    FNN_VECTORS(i, n)
    v_store_n(out + i, clipped(&f, whole_gradient(&f, v_load_n(w + i, FNN_LEFT), g, accumulated, i, FNN_LEFT)),
              FNN_LEFT);
}

static void optimizer_accumulate(ptrdiff_t n, const real *w, const real *g, real *accumulated, const fnn_step *s)
{
    const step_form f = step_form_of(s);
    FNN_VECTORS(i, n)
    {
        const vreal x = penalised(&f, v_load_n(w + i, FNN_LEFT), v_load_n(g + i, FNN_LEFT));
        v_store_n(accumulated + i, v_add(x, v_load_n(accumulated + i, FNN_LEFT)), FNN_LEFT);
    }
}

/* a's squares, or its magnitudes, in double, to the sums of vector v of a group of sixteen */
FNN_INLINE void sum16_add_squares(sum16 *s, int v, vreal a)
{
    FNN_UNROLL for (int half = 0; half < FNN_HALVES; half++) {
        const vwide x = w_half(a, half);
        s->lane[v * FNN_HALVES + half] = w_add(s->lane[v * FNN_HALVES + half], w_mul(x, x));
    }
}

static double optimizer_squares(ptrdiff_t n, const real *w, const real *g, const real *accumulated, const fnn_step *s)
{
    const step_form f = step_form_of(s);
    sum16 sum = sum16_zero();
    ptrdiff_t i = 0;
    for (; i + SUM_LANES <= n; i += SUM_LANES)
        FNN_UNROLL for (int v = 0; v < SUM_VECTORS; v++) {
            const ptrdiff_t j = i + v * VL;
            sum16_add_squares(&sum, v, whole_gradient(&f, v_load(w + j), g, accumulated, j, VL));
        }
    FNN_UNROLL for (int v = 0; v < SUM_VECTORS; v++, i += VL)
        if (i < n) {
            const size_t left = (size_t)(n - i < VL ? n - i : VL);
            sum16_add_squares(&sum, v, whole_gradient(&f, v_load_n(w + i, left), g, accumulated, i, left));
        }
    return sum16_total(&sum);
}

static void optimizer_penalties(ptrdiff_t n, const real *w, double *sums)
{
    sum16 magnitudes = sum16_zero(), squares = sum16_zero();
    ptrdiff_t i = 0;
    for (; i + SUM_LANES <= n; i += SUM_LANES)
        FNN_UNROLL for (int v = 0; v < SUM_VECTORS; v++) {
            const vreal x = v_load(w + i + v * VL);
            sum16_add(&magnitudes, v, v_abs(x));
            sum16_add_squares(&squares, v, x);
        }
    FNN_UNROLL for (int v = 0; v < SUM_VECTORS; v++, i += VL)
        if (i < n) {
            const vreal x = v_load_n(w + i, (size_t)(n - i < VL ? n - i : VL));
            sum16_add(&magnitudes, v, v_abs(x));
            sum16_add_squares(&squares, v, x);
        }
    sums[0] = sum16_total(&magnitudes);
    sums[1] = sum16_total(&squares);
}

/* The matrix product's chain from 0 on, of one link: -0 becomes 0 */
static void optimizer_outer(ptrdiff_t rows, ptrdiff_t columns, const real *x, const real *dz, real *out)
{
    enum { VECTORS = 4 };
    for (ptrdiff_t i = 0; i < rows; i++, out += columns) {
        const vreal factor = v_set(x[i]);
        ptrdiff_t j = 0;
        for (; j + VECTORS * VL <= columns; j += VECTORS * VL)
            FNN_UNROLL for (int v = 0; v < VECTORS; v++)
                v_store(out + j + v * VL, v_fma(v_load(dz + j + v * VL), factor, v_zero()));
        for (; j < columns; j += VL) {
            const size_t left = (size_t)(columns - j < VL ? columns - j : VL);
            v_store_n(out + j, v_fma(v_load_n(dz + j, left), factor, v_zero()), left);
        }
    }
}

/* The highest bit of the exponent is that of numbers from 2 on, of infinities and of NaN */
static int optimizer_below_two(ptrdiff_t n, const real *x)
{
    enum { VECTORS = 8 };
    const vint two = v_bits(v_set(2));
    vint bits = v_bits(v_zero());
    ptrdiff_t i = 0;
    for (; i + VECTORS * VL <= n; i += VECTORS * VL)
        FNN_UNROLL for (int v = 0; v < VECTORS; v++)
            bits = i_or(bits, v_bits(v_load(x + i + v * VL)));
    for (; i + VL <= n; i += VL)
        bits = i_or(bits, v_bits(v_load(x + i)));
    if (i < n && n >= VL) /* some once more */
        bits = i_or(bits, v_bits(v_load(x + n - VL)));
    else if (i < n)
        bits = i_or(bits, v_bits(v_load_tail(x, v_tail((size_t)n))));
    return !m_any(v_ne(v_real(i_and(bits, two)), v_zero()));
}

/* Rounding up or down does not matter here, and every order of the elements will do. A sum only grows: it is not smaller
   than the square of any element but for one rounding. */
static double optimizer_rough_squares(ptrdiff_t n, const real *x)
{
    enum { SUMS = 8 }; /* two multiply-adds a cycle, each of which takes four */
    vreal sum[SUMS];
    FNN_UNROLL for (int j = 0; j < SUMS; j++)
        sum[j] = v_zero();
    ptrdiff_t i = 0;
    for (; i + SUMS * VL <= n; i += SUMS * VL)
        FNN_UNROLL for (int j = 0; j < SUMS; j++) {
            const vreal a = v_load(x + i + j * VL);
            sum[j] = v_fma(a, a, sum[j]);
        }
    for (; i < n; i += VL) {
        const vreal a = v_load_n(x + i, (size_t)(n - i < VL ? n - i : VL));
        sum[0] = v_fma(a, a, sum[0]);
    }
    FNN_UNROLL for (int j = 0; j < 4; j++)
        sum[j] = v_add(sum[j], sum[j + 4]);
    sum[0] = v_add(v_add(sum[0], sum[1]), v_add(sum[2], sum[3]));
    vwide total = w_half(sum[0], 0);
    FNN_UNROLL for (int half = 1; half < FNN_HALVES; half++)
        total = w_add(total, w_half(sum[0], half));
    return w_total(total);
}

static void optimizer_average(ptrdiff_t n, real *w, real *average, const fnn_step *s)
{
    const step_form f = step_form_of(s);
    FNN_VECTORS(i, n)
    {
        const vreal x = averaged(&f, average + i, v_load_n(w + i, FNN_LEFT), FNN_LEFT);
        if (f.overwrites)
            v_store_n(w + i, x, FNN_LEFT);
    }
}

/* ------------------------------------------------------------------------------------------ the rules of the table */

/* A gradient that stays 0, as that of a dead unit does, lets its averages shrink to denormal numbers and no further, with
   which some processors compute a hundred times more slowly (measured; see docs/decisions). Nothing depends on them. */
FNN_INLINE vreal normal_or_0(vreal a) { return v_unless(v_lt(v_abs(a), v_set(REAL_TINY)), a); }
/* g^2, or 0 where that is denormal */
FNN_INLINE vreal square_of_gradient(vreal g)
{
    return v_mul(v_unless(v_lt(v_abs(g), v_set((real)REAL_TINY_ROOT)), g), g);
}

/* v - a^2 + epsilon, where rounding has made it negative or 0, which no variance is, epsilon; NaN stays */
FNN_INLINE vreal positive_variance(vreal average, vreal square, vreal eps)
{
    const vreal x = v_add(v_fnma(average, average, square), eps);
    return v_select(v_le(x, v_zero()), eps, x);
}

#define LET_SLOTS_0()
#define LET_SLOTS_1(a) vreal a = s[0];
#define LET_SLOTS_2(a, b) vreal a = s[0], b = s[1];
#define LET_SLOTS_3(a, b, c) vreal a = s[0], b = s[1], c = s[2];
#define PUT_SLOTS_0() (void)s;
#define PUT_SLOTS_1(a) s[0] = a;
#define PUT_SLOTS_2(a, b) s[0] = a, s[1] = b;
#define PUT_SLOTS_3(a, b, c) s[0] = a, s[1] = b, s[2] = c;
#define LET_CONSTANTS_1(a) const vreal a = k[0];
#define LET_CONSTANTS_2(a, b) LET_CONSTANTS_1(a) const vreal b = k[1];
#define LET_CONSTANTS_3(a, b, c) LET_CONSTANTS_2(a, b) const vreal c = k[2];
#define LET_CONSTANTS_4(a, b, c, d) LET_CONSTANTS_3(a, b, c) const vreal d = k[3];
#define LET_CONSTANTS_5(a, b, c, d, e) LET_CONSTANTS_4(a, b, c, d) const vreal e = k[4];
#define LET_CONSTANTS_6(a, b, c, d, e, f) LET_CONSTANTS_5(a, b, c, d, e) const vreal f = k[5];

/* <name>_rule      one vector: the new weights, from the weights, the gradient and the slots, which it changes
   <name>_update    a piece, with nothing but the rule
   <name>_step      a piece, with all that a step can have besides */
#define OPTIMIZER(name, slots_, slots, initial, hypers_, hypers, constants_, constants, values, memory, bounds,        \
                  formula, ...)                                                                                        \
    FNN_INLINE vreal FNN_JOIN2(name, _rule)(vreal w, vreal g, vreal *s, const vreal *k)                                \
    {                                                                                                                  \
        FNN_JOIN2(LET_SLOTS_, slots_) slots FNN_JOIN2(LET_CONSTANTS_, constants_) constants                            \
        (void)(__VA_ARGS__);                                                                                           \
        FNN_JOIN2(PUT_SLOTS_, slots_) slots                                                                            \
        return w;                                                                                                      \
    }                                                                                                                  \
    FNN_INLINE void FNN_JOIN2(name, _at)(ptrdiff_t i, size_t n, real *w, const real *g, real *const *slot,             \
                                         const vreal *k)                                                               \
    {                                                                                                                  \
        vreal s[FNN_SLOTS];                                                                                            \
        FNN_UNROLL for (int j = 0; j < slots_; j++)                                                                    \
            s[j] = v_load_n(slot[j] + i, n);                                                                           \
        const vreal x = FNN_JOIN2(name, _rule)(v_load_n(w + i, n), v_load_n(g + i, n), s, k);                          \
        FNN_UNROLL for (int j = 0; j < slots_; j++)                                                                    \
            v_store_n(slot[j] + i, s[j], n);                                                                           \
        v_store_n(w + i, x, n);                                                                                        \
    }                                                                                                                  \
    static void FNN_JOIN2(name, _update)(ptrdiff_t n, real *w, const real *g, real *const *slot,                       \
                                         const double *constant)                                                       \
    {                                                                                                                  \
        vreal k[constants_];                                                                                           \
        for (int j = 0; j < constants_; j++)                                                                           \
            k[j] = v_set((real)constant[j]);                                                                           \
        real *const place[FNN_SLOTS] = {slots_ > 0 ? slot[0] : NULL, slots_ > 1 ? slot[1] : NULL,                      \
                                        slots_ > 2 ? slot[2] : NULL};                                                  \
        ptrdiff_t i = 0;                                                                                               \
        for (; i + VL <= n; i += VL)                                                                                   \
            FNN_JOIN2(name, _at)(i, VL, w, g, place, k);                                                               \
        if (i < n)                                                                                                     \
            FNN_JOIN2(name, _at)(i, (size_t)(n - i), w, g, place, k);                                                  \
    }                                                                                                                  \
    FNN_INLINE void FNN_JOIN2(name, _step_at)(ptrdiff_t i, size_t n, real *w, const real *g, real *const *slot,        \
                                              real *accumulated, real *average, const vreal *k, const step_form *f)    \
    {                                                                                                                  \
        vreal s[FNN_SLOTS], x = v_load_n(w + i, n);                                                                    \
        FNN_UNROLL for (int j = 0; j < slots_; j++)                                                                    \
            s[j] = v_load_n(slot[j] + i, n);                                                                           \
        const vreal dx = clipped(f, whole_gradient(f, x, g, accumulated, i, n));                                       \
        if (accumulated)                                                                                               \
            v_store_n(accumulated + i, v_zero(), n);                                                                   \
        if (f->decays)                                                                                                 \
            x = v_fnma(f->decay, x, x);                                                                                \
        x = FNN_JOIN2(name, _rule)(x, dx, s, k);                                                                       \
        FNN_UNROLL for (int j = 0; j < slots_; j++)                                                                    \
            v_store_n(slot[j] + i, s[j], n);                                                                           \
        if (average)                                                                                                   \
            x = averaged(f, average + i, x, n);                                                                        \
        v_store_n(w + i, x, n);                                                                                        \
    }                                                                                                                  \
    static void FNN_JOIN2(name, _step)(ptrdiff_t n, real *w, const real *g, real *const *slot, real *accumulated,      \
                                       real *average, const double *constant, const fnn_step *o)                       \
    {                                                                                                                  \
        vreal k[constants_];                                                                                           \
        for (int j = 0; j < constants_; j++)                                                                           \
            k[j] = v_set((real)constant[j]);                                                                           \
        const step_form f = step_form_of(o);                                                                           \
        ptrdiff_t i = 0;                                                                                               \
        for (; i + VL <= n; i += VL)                                                                                   \
            FNN_JOIN2(name, _step_at)(i, VL, w, g, slot, accumulated, average, k, &f);                                 \
        if (i < n)                                                                                                     \
            FNN_JOIN2(name, _step_at)(i, (size_t)(n - i), w, g, slot, accumulated, average, k, &f);                    \
    }
#include "optimizers.def"

/* ------------------------------------------------------------------------------------------------------ constraints */

static void optimizer_non_negative(ptrdiff_t n, real *w)
{
    FNN_VECTORS(i, n) v_store_n(w + i, v_max(v_zero(), v_load_n(w + i, FNN_LEFT)), FNN_LEFT);
}

static void optimizer_scale(ptrdiff_t n, real *w, double factor)
{
    const vreal f = v_set((real)factor);
    FNN_VECTORS(i, n) v_store_n(w + i, v_mul(v_load_n(w + i, FNN_LEFT), f), FNN_LEFT);
}

/* Every column's sum is one chain over the rows, ascending */
static void optimizer_column_squares(ptrdiff_t rows, ptrdiff_t columns, ptrdiff_t w_row, const real *w, double *sums)
{
    vwide sum[FNN_COLUMNS / WL];
    for (int j = 0; j < FNN_COLUMNS / WL; j++)
        sum[j] = w_set(0);
    for (ptrdiff_t i = 0; i < rows; i++)
        FNN_VECTORS(j, columns)
        {
            const vreal x = v_load_n(w + i * w_row + j, FNN_LEFT);
            FNN_UNROLL for (int half = 0; half < FNN_HALVES; half++) {
                const vwide y = w_half(x, half);
                sum[j / WL + half] = w_add(sum[j / WL + half], w_mul(y, y));
            }
        }
    for (int j = 0; j < FNN_COLUMNS / WL; j++)
        w_store(sums + j * WL, sum[j]);
}

static void optimizer_scale_columns(ptrdiff_t rows, ptrdiff_t columns, ptrdiff_t w_row, real *w, const double *factors)
{
    real factor[FNN_COLUMNS];
    for (int j = 0; j < FNN_COLUMNS; j++)
        factor[j] = (real)factors[j];
    for (ptrdiff_t i = 0; i < rows; i++)
        FNN_VECTORS(j, columns)
        {
            real *const p = w + i * w_row + j;
            v_store_n(p, v_mul(v_load_n(p, FNN_LEFT), v_load(factor + j)), FNN_LEFT);
        }
}

#define FNN_OPTIMIZER_ENTRIES                                                                                          \
    .step_gradient = optimizer_gradient, .step_accumulate = optimizer_accumulate, .step_squares = optimizer_squares,   \
    .penalties = optimizer_penalties, .outer = optimizer_outer, .below_two = optimizer_below_two,                     \
    .rough_squares = optimizer_rough_squares, .step_average = optimizer_average,     \
    .non_negative = optimizer_non_negative,                                                                            \
    .scale_piece = optimizer_scale, .column_squares = optimizer_column_squares,                                        \
    .scale_columns = optimizer_scale_columns,
