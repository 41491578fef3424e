/* elementwise.h: what happens to each element alone: the activations and their derivatives.
   Two rules: the tail of an array runs the vector code too, on lanes filled with zeros; and y may be x, dx may be dy. */

/* ------------------------------------------------------------------------------ the longer formulas of activations.def */

/* x moved into [low, high]; NaN stays */
FNN_INLINE vreal v_clip(vreal x, real low, real high) { return v_atmost(v_atleast(x, low), high); }
/* slope where low < y < high, else 0 */
FNN_INLINE vreal v_inside(vreal y, real low, real high, double slope)
{
    return v_where(m_and(v_gt(y, v_set(low)), v_lt(y, v_set(high))), v_set((real)slope));
}
FNN_INLINE vreal v_square_of(vreal a) { return v_mul(a, a); }

/* (x + root) / 2 with root = sqrt(x^2 + b), as b / (2 (root - x)) where x < 0, which does not cancel; root is |x| where x^2
   overflows, and never less than |x|, though x^2 may vanish */
FNN_INLINE vreal squareplus_of(vreal x, vreal b)
{
    const vreal a = v_abs(x), square = v_mul(x, x), half = v_set((real)0.5);
    const vreal root = v_max(v_select(v_lt(square, V_INFINITY), v_sqrt(v_add(square, b)), a), a);
    const vreal y = v_add(v_mul(root, half), v_mul(a, half));
    return v_select(v_lt(x, v_zero()), v_div(v_mul(b, v_set((real)0.25)), y), y);
}
/* y / root = y^2 / (y^2 + b / 4) */
FNN_INLINE vreal squareplus_slope_of(vreal y, vreal b)
{
    const vreal square = v_mul(y, y);
    return v_select(v_lt(square, V_INFINITY), v_div(square, v_fma(b, v_set((real)0.25), square)),
                    v_nan_of(y, v_set(1)));
}

/* Where x < 0, an activation that goes to 0 as x e^x does is computed 2^EXP_SCALE_BITS times too large, so that e^x keeps
   its precision where it is denormal but x e^x is not. */
FNN_INLINE vreal unscale_if(vmask negative, vreal y)
{
    return v_mul(y, v_select(negative, v_set((real)EXP_UNSCALE), v_set(1)));
}

/* x sigmoid(z) */
FNN_INLINE vreal gated(vreal x, vreal z)
{
    const vmask negative = v_lt(z, v_zero());
    const vreal scaled = exp_scaled(v_negabs(z)), below = v_fma(scaled, v_set((real)EXP_UNSCALE), v_set(1));
    return unscale_if(negative, v_div(v_mul(x, v_select(negative, scaled, v_set(1))), below));
}
/* The same for any x: one that is large is made smaller, for x times the scaled e^z could be too large. */
FNN_INLINE vreal gated_by(vreal x, vreal z)
{
    const vmask negative = v_lt(z, v_zero()), large = v_gt(v_abs(x), v_set(1));
    const vreal unscale = v_set((real)EXP_UNSCALE), scaled = exp_scaled(v_negabs(z));
    const vreal below = v_fma(scaled, unscale, v_set(1)), less = v_select(large, v_mul(x, unscale), x);
    const vreal y = v_div(v_select(negative, v_mul(less, scaled), x), below);
    return v_select(large, y, unscale_if(negative, y));
}
/* sigmoid(x) is returned, *other = sigmoid(-x) */
FNN_INLINE vreal sigmoid_pair(vreal x, vreal *other)
{
    const vmask negative = v_lt(x, v_zero());
    const vreal e = v_exp_nonpositive(v_negabs(x)), large = v_div(v_set(1), v_add(v_set(1), e)),
                small = v_mul(e, large);
    *other = v_select(negative, large, small);
    return v_select(negative, small, large);
}

FNN_INLINE vreal silu_of(vreal x) { return gated(x, x); }
/* s(x) (1 + x s(-x)) */
FNN_INLINE vreal silu_slope_of(vreal x)
{
    vreal other;
    const vreal s = sigmoid_pair(x, &other);
    return v_mul(s, v_fma(x, other, v_set(1)));
}

#define GELU_C 0.797884560802865355879892119868764 /* sqrt(2 / pi) */
#define GELU_K 0.044715
/* x s(2u), u = C (x + K x^3) */
FNN_INLINE vreal gelu_tanh_argument(vreal x)
{
    return v_mul(x, v_fma(v_mul(x, x), v_set((real)(2 * GELU_C * GELU_K)), v_set((real)(2 * GELU_C))));
}
FNN_INLINE vreal gelu_tanh_of(vreal x) { return gated(x, gelu_tanh_argument(x)); }
/* s(2u) + 2 x s(2u) s(-2u) u' = s(2u) + t + 3 K t x^2, t = 2 C s(2u) s(-2u) x */
FNN_INLINE vreal gelu_tanh_slope_of(vreal x)
{
    vreal other;
    const vreal s = sigmoid_pair(gelu_tanh_argument(x), &other);
    const vreal t = v_mul(v_mul(v_mul(s, other), v_set((real)(2 * GELU_C))), x);
    return v_fma(v_mul(v_mul(t, v_set((real)(3 * GELU_K))), x), x, v_add(s, t));
}

#define DENSITY_TOP 0.398942280401432677939946059934382 /* 1 / sqrt(2 pi) */
/* x Phi(x) = max(x, 0) - |x| Phi(-|x|), but -inf times 0 is NaN, as is x - x */
FNN_INLINE vreal gelu_of(vreal x)
{
    const vreal t = v_abs_atmost(x, v_set(TAIL_END));
    const vreal tail = tail_times(t, v_mul(t, bell_scaled(t)));
    return v_fnma(tail, v_set((real)EXP_UNSCALE), v_ramp(x));
}
/* Phi(x) + x phi(x): v = Phi(-|x|) - |x| phi(x) where x < 0, and 1 - v elsewhere; an infinity times 0 is NaN, as x - x */
FNN_INLINE vreal gelu_slope_of(vreal x)
{
    const vreal t = v_abs_atmost(x, v_set(TAIL_END)), bell = bell_scaled(t), top = v_set((real)DENSITY_TOP);
    const vreal phi = v_mul(bell, v_fma(v_mul(t, t), v_set((real)(DENSITY_TOP * BELL_EXCESS)), top));
    const vreal v = v_mul(v_fnma(t, phi, tail_times(t, bell)), v_set((real)EXP_UNSCALE));
    return v_add(v_select(v_lt(x, v_zero()), v, v_sub(v_set(1), v)), v_sub(x, x));
}

/* tanh(log(1 + e^x)) = N / D, with N = e (e + 2), D = N + 2 for e = e^x where x < 0,
   and N = 1 + 2 e, D = N + 2 e^2 for e = e^-x elsewhere */
FNN_INLINE vreal mish_of(vreal x)
{
    const vmask negative = v_lt(x, v_zero());
    const vreal scaled = exp_scaled(v_negabs(x)), e = v_mul(scaled, v_set((real)EXP_UNSCALE));
    const vreal two = v_set(2), e_and_2 = v_add(e, two), upper = v_fma(two, e, v_set(1));
    const vreal below = v_select(negative, v_fma(e, e_and_2, two), v_fma(v_add(e, e), e, upper));
    return unscale_if(negative, v_div(v_mul(x, v_select(negative, v_mul(scaled, e_and_2), upper)), below));
}
/* N / D + 4 x c (1 + e) / D^2, with c = e where x < 0 and e^2 elsewhere */
FNN_INLINE vreal mish_slope_of(vreal x)
{
    const vmask negative = v_lt(x, v_zero());
    const vreal e = v_exp_nonpositive(v_negabs(x)), square = v_mul(e, e), two = v_set(2);
    const vreal above = v_select(negative, v_fma(two, e, square), v_fma(two, e, v_set(1)));
    const vreal below = v_fma(two, v_select(negative, v_set(1), square), above), r = v_div(v_set(1), below);
    const vreal c = v_mul(v_mul(v_select(negative, e, square), v_add(v_set(1), e)), v_mul(v_set(4), r));
    return v_mul(r, v_fma(x, c, above));
}

/* ------------------------------------------------------------------------------------------------- a row of the table */

/* How many elements come before the first whole vector of y that lies within one cache line, if y is so long that it pays
   to store in step with the lines (NumPy's large arrays begin 16 bytes into one) */
FNN_INLINE ptrdiff_t elements_before_line(ptrdiff_t n, const real *y)
{
    const uintptr_t into = (uintptr_t)y % (VL * sizeof(real));
    return n < 1024 || into % sizeof(real) ? 0 : (ptrdiff_t)((VL * sizeof(real) - into) / sizeof(real)) % VL;
}

/* Vectors that are read before the first of their results is written. Simple functions are as fast as memory: one vector
   at a time, a read waits for the write before it wherever their addresses agree in the lowest twelve bits, and reads and
   writes of neighbouring lines do not come together. Half as many where two arrays are read. */
#define SIDE_BY_SIDE 4

#define par(i) v_set((real)p[i])
#define FNN_X_OF_X x
#define FNN_X_OF_Y y

#define ACTIVATION(name, reads, forward, derivative_, ...)                                                             \
    FNN_INLINE vreal FNN_JOIN2(name, _value)(vreal x, const double *p)                                                 \
    {                                                                                                                  \
        (void)p;                                                                                                       \
        return forward;                                                                                                \
    }                                                                                                                  \
    FNN_INLINE vreal FNN_JOIN2(name, _slope)(vreal FNN_JOIN2(FNN_X_OF_, reads), const double *p)                       \
    {                                                                                                                  \
        (void)p;                                                                                                       \
        return derivative_;                                                                                            \
    }                                                                                                                  \
    static void FNN_JOIN2(name, _forward)(ptrdiff_t n, const real *x, real *y, const double *restrict p)               \
    {                                                                                                                  \
        ptrdiff_t i = 0;                                                                                               \
        for (ptrdiff_t end = elements_before_line(n, y);; end = n) {                                                   \
            for (; i < end; i += VL) {                                                                                 \
                const size_t rest = (size_t)(end - i);                                                                 \
                v_store_n(y + i, FNN_JOIN2(name, _value)(v_load_n(x + i, rest), p), rest);                             \
            }                                                                                                          \
            if (end == n)                                                                                              \
                break;                                                                                                 \
            for (i = end; i + SIDE_BY_SIDE * VL <= n; i += SIDE_BY_SIDE * VL) {                                        \
                vreal v[SIDE_BY_SIDE];                                                                                 \
                FNN_UNROLL for (int j = 0; j < SIDE_BY_SIDE; j++) v[j] = v_load(x + i + j * VL);                       \
                FNN_UNROLL for (int j = 0; j < SIDE_BY_SIDE; j++)                                                      \
                    v_store(y + i + j * VL, FNN_JOIN2(name, _value)(v[j], p));                                         \
            }                                                                                                          \
        }                                                                                                              \
    }                                                                                                                  \
    static void FNN_JOIN2(name, _backward)(ptrdiff_t n, const real *xy, const real *dy, real *dx,                      \
                                           const double *restrict p)                                                   \
    {                                                                                                                  \
        ptrdiff_t i = 0;                                                                                               \
        for (ptrdiff_t end = elements_before_line(n, dx);; end = n) {                                                  \
            for (; i < end; i += VL) {                                                                                 \
                const size_t rest = (size_t)(end - i);                                                                 \
                const vreal slope = FNN_JOIN2(name, _slope)(v_load_n(xy + i, rest), p);                                \
                v_store_n(dx + i, v_mul(v_load_n(dy + i, rest), slope), rest);                                         \
            }                                                                                                          \
            if (end == n)                                                                                              \
                break;                                                                                                 \
            for (i = end; i + SIDE_BY_SIDE / 2 * VL <= n; i += SIDE_BY_SIDE / 2 * VL) {                                \
                vreal v[SIDE_BY_SIDE / 2], d[SIDE_BY_SIDE / 2];                                                        \
                FNN_UNROLL for (int j = 0; j < SIDE_BY_SIDE / 2; j++) v[j] = v_load(xy + i + j * VL),                  \
                                                                      d[j] = v_load(dy + i + j * VL);                  \
                FNN_UNROLL for (int j = 0; j < SIDE_BY_SIDE / 2; j++)                                                  \
                    v_store(dx + i + j * VL, v_mul(d[j], FNN_JOIN2(name, _slope)(v[j], p)));                           \
            }                                                                                                          \
        }                                                                                                              \
    }
#include "activations.def"
#undef par

/* The functions of vmath.h over an array, for their tests */
#define MATH(name)                                                                                                     \
    static void FNN_JOIN2(math_, name)(ptrdiff_t n, const real *x, real *y)                                            \
    {                                                                                                                  \
        for (ptrdiff_t i = 0; i < n; i += VL) {                                                                        \
            const size_t count = (size_t)(n - i);                                                                      \
            v_store_n(y + i, FNN_JOIN2(v_, name)(v_load_n(x + i, count)), count);                                      \
        }                                                                                                              \
    }
FNN_MATH_FUNCTIONS(MATH)
#undef MATH
