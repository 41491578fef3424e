/* vmath.h: exp expm1 log log1p tanh sigmoid softplus erf of a vector.

   Each is right over the whole range: denormal numbers in and out, both zeros, infinities; NaN gives NaN. The two figures
   behind a function are the largest errors, for float and double, in units in the last place, that 500 million points of
   tests/test_vmath.c found with fma and as many without; the tests allow 2. All are built from correctly rounded
   operations and from integer work, so that machines with fma agree in every bit. There are no tables, and at most one
   division.

   The polynomials are minimax fits: scripts/fit.py computes these very lines, and says what each stands for. */

#define EXP_F {0x1.fffffep-2f, 0x1.5554aep-3f, 0x1.555678p-5f, 0x1.122996p-7f, 0x1.6bebaep-10f}
#define LOG_F                                                                                                          \
    {0x1.5555a4p-2f, -0x1.00004p-2f,  0x1.9969bp-3f,  -0x1.54efdcp-3f,                                                 \
     0x1.28847cp-3f, -0x1.0d8a8cp-3f, 0x1.ac90c2p-4f, -0x1.7140cap-5f}
#define ERF_F                                                                                                          \
    {0x1.06eba8p-3f, -0x1.81273ep-2f,  0x1.ce2cf8p-4f, -0x1.b7f90ep-6f,                                                \
     0x1.5405b2p-8f, -0x1.a3f706p-11f, 0x1.496a42p-14f}
#define TANH_F {-0x1.555556p-2f, 0x1.1110eap-3f, -0x1.ba08c8p-5f, 0x1.64a996p-6f, -0x1.116acap-7f, 0x1.2c869ep-9f}
#define BELL_F {0x1p+64f, -0x1.000024p+63f, 0x1.fffe3cp+60f, -0x1.55543cp+58f, 0x1.57422cp+55f, -0x1.129736p+52f}
#define TAIL_P_F {-0x1.93d41ep+17f, -0x1.09defp+17f, -0x1.4a9614p+15f, -0x1.5630dap+12f}
#define TAIL_Q_F {-0x1.93d42p+18f, -0x1.2609fp+19f, -0x1.5df76p+18f, -0x1.9cecfep+16f, -0x1.ad9adap+13f, 0x1p+0f}
#define EXP_D                                                                                                          \
    {0x1p-1,                                                                                                           \
     0x1.5555555555559p-3,                                                                                             \
     0x1.555555555553ep-5,                                                                                             \
     0x1.111111110f60bp-7,                                                                                             \
     0x1.6c16c16c1f493p-10,                                                                                            \
     0x1.a01a01b0309abp-13,                                                                                            \
     0x1.a01a017aefa59p-16,                                                                                            \
     0x1.71ddf77ccf99bp-19,                                                                                            \
     0x1.27e53711d26c3p-22,                                                                                            \
     0x1.af605d504cda6p-26,                                                                                            \
     0x1.1ee88022a01d6p-29}
#define ATANH_D                                                                                                        \
    {0x1.555555555554fp-1, 0x1.999999999c1adp-2, 0x1.24924921e18ap-2,  0x1.c71c7491fecbap-3,                           \
     0x1.745c4a5dc2ad1p-3, 0x1.3b35d00040196p-3, 0x1.0dcaa12d638bfp-3, 0x1.1b87cfcc65289p-3}
#define ERF_D                                                                                                          \
    {0x1.06eba8214db68p-3,  -0x1.812746b0379bdp-2,  0x1.ce2f21a040d15p-4,  -0x1.b82ce311fa927p-6,                      \
     0x1.565bccf92b0cap-8,  -0x1.c02db03dd2f9dp-11, 0x1.f9a2baa8adc8dp-14, -0x1.f4ca4d6b28516p-17,                     \
     0x1.b97fd3b72ab0fp-20, -0x1.5c07263aba275p-23, 0x1.d71b0adc1444p-27,  -0x1.abae3e24f356bp-31}
#define TANH_D                                                                                                         \
    {-0x1.5555555555555p-2,  0x1.11111111110a8p-3,  -0x1.ba1ba1ba0f149p-5,  0x1.664f487e0b22p-6,                       \
     -0x1.226e3473f88dfp-7,  0x1.d6d39ae8b5cafp-9,  -0x1.7d9f6f7056eb5p-10, 0x1.3526ecc68a16cp-11,                     \
     -0x1.f243a528e1f64p-13, 0x1.84460c0539742p-14, -0x1.05bcf905f7e3ep-15, 0x1.b33a6a45f9c78p-18}
#define BELL_D                                                                                                         \
    {0x1p+512,                                                                                                         \
     -0x1.0000000000165p+511,                                                                                          \
     0x1.00000000002cap+509,                                                                                           \
     -0x1.5555555555af8p+506,                                                                                          \
     0x1.5555555555cd2p+503,                                                                                           \
     -0x1.111111110e163p+500,                                                                                          \
     0x1.6c16c16c13425p+496,                                                                                           \
     -0x1.a01a01b888166p+492,                                                                                          \
     0x1.a01a01b74ffa4p+488,                                                                                           \
     -0x1.71dde633158aep+484,                                                                                          \
     0x1.27e4ba342e70dp+480,                                                                                           \
     -0x1.af7a682d151e1p+475,                                                                                          \
     0x1.1fa44b38d20f8p+471}
#define TAIL_P_D                                                                                                       \
    {-0x1.ff583cfec6bb6p+25, -0x1.80add34f809b8p+26, -0x1.1f45de0d00a04p+26, -0x1.109d4678e9bb5p+25,                   \
     -0x1.664c1092f963ap+23, -0x1.5071ed70dde38p+21, -0x1.c2cea5f8f3aefp+18, -0x1.a01526e942bb4p+15,                   \
     -0x1.e1231efc2e0adp+11, -0x1.071b11bff1493p+7,  0x1.9884532d7effep-2}
#define TAIL_Q_D                                                                                                       \
    {-0x1.ff583cfec6bb6p+26, -0x1.265687c6ef9dfp+28, -0x1.3a90edc26ec99p+28, -0x1.9bf16e25b63e2p+27,                   \
     -0x1.6f0534ca8ca54p+26, -0x1.d26ba66f1e064p+24, -0x1.adc77c2e17457p+22, -0x1.1cdb883b552d6p+20,                   \
     -0x1.05629a7fd0e2ap+17, -0x1.2d7a0db6e558ap+13, -0x1.49c10f875a64ap+8,  0x1p+0}

#if FNN_DOUBLE
#define FIT(name) name##_D
#define LN2_HI 0x1.62e42fefap-1 /* few enough bits that n LN2_HI is exact for any exponent n */
#define LN2_LO 0x1.cf79abc9e3b3ap-40
#define LOG2E 0x1.71547652b82fep+0
#define SQRT2 0x1.6a09e667f3bcdp+0
#define STEP 0x1.62e42fefa38p+0           /* 2 ln 2 to so few bits that k STEP is exact */
#define BELL_EXCESS 0x1.6537bb174c0f6p-45 /* ln 2 / STEP - 1/2 */
#define EXP_UNSCALE 0x1p-512              /* exp_scaled's factor, undone */
#define EXP_SCALE_BITS 512
#define EXP_LOWEST -1063.8      /* e^x is 0, and so is exp_scaled(x) */
#define EXP_LOW -746            /* e^x is 0 */
#define EXP_HIGH 710            /* e^x is infinite */
#define EXPM1_LOW -40           /* e^x - 1 is -1 */
#define TAIL_END 46             /* t Phi(-t) and more is 0 */
#define TINY_FOR_SERIES 0x1p-54 /* |x| below which x is the answer of an odd function that begins as x does */
#define DENORMAL_SHIFT 54
#define DENORMAL_UP 0x1p54
#else
#define FIT(name) name##_F
#define LN2_HI 0x1.62e4p-1f
#define LN2_LO 0x1.7f7d1cp-20f
#define LN2 0x1.62e43p-1f
#define LOG2E 0x1.715476p+0f
#define SQRT2 0x1.6a09e6p+0f
#define STEP 0x1.62e4p+0f
#define BELL_EXCESS 0x1.14a114p-20f
#define EXP_UNSCALE 0x1p-64f
#define EXP_SCALE_BITS 64
#define EXP_LOWEST -132.3f
#define EXP_LOW -104
#define EXP_HIGH 89
#define EXPM1_LOW -20
#define TAIL_END 16
#define TINY_FOR_SERIES 0x1p-25f
#define DENORMAL_SHIFT 25
#define DENORMAL_UP 0x1p25f
#endif
#define V_INFINITY v_set((real)INFINITY)

/* sum_k c[k] x^k; a leading coefficient of 1 costs no multiplication */
FNN_INLINE vreal v_polynomial(vreal x, const real *c, int count)
{
    const vreal next = v_set(c[count - 2]);
    vreal y = c[count - 1] == 1 ? v_add(x, next) : v_fma(v_set(c[count - 1]), x, next);
    FNN_UNROLL for (int k = count - 3; k >= 0; k--)
        y = v_fma(y, x, v_set(c[k]));
    return y;
}
#define V_FIT(x, c) v_polynomial(x, c, (int)(sizeof(c) / sizeof *(c)))
static const real exp_fit[] = FIT(EXP), bell_fit[] = FIT(BELL), erf_fit[] = FIT(ERF), tanh_fit[] = FIT(TANH);
static const real tail_above[] = FIT(TAIL_P), tail_below[] = FIT(TAIL_Q);

/* x, or low where x is less; NaN stays */
FNN_INLINE vreal v_atleast(vreal x, real low) { return v_max(v_set(low), x); }
FNN_INLINE vreal v_atmost(vreal x, real high) { return v_min(v_set(high), x); }
/* -|x| */
FNN_INLINE vreal v_negabs(vreal x) { return v_real(i_or(v_bits(x), i_set(FNN_SIGN))); }
/* a, but NaN where x is NaN */
FNN_INLINE vreal v_nan_of(vreal x, vreal a) { return v_select(v_ne(x, x), x, a); }

/* ---------------------------------------------------------------------------------------------------- exp and expm1

   x = n ln 2 + r with |r| <= ln(2) / 2: r and n are returned; *two_n = 2^(n + shift), as long as that is a normal
   number or zero */
FNN_INLINE vreal exp_reduce(vreal x, int shift, vreal *n, vreal *two_n)
{
    /* the sum has n in its low bits, which make an exponent when shifted up */
    const vreal magic = v_set((real)(FNN_MAGIC + FNN_EXPONENT_BIAS + shift));
    const vreal sum = v_fma(x, v_set((real)LOG2E), magic);
    *n = v_sub(sum, magic);
    *two_n = v_real(i_shl(v_bits(sum), FNN_MANTISSA));
    const vreal r = v_fnma(*n, v_set((real)LN2_HI), x);
    return v_fnma(*n, v_set((real)LN2_LO), r);
}

/* e^r - 1 for |r| <= ln(2) / 2 */
FNN_INLINE vreal expm1_core(vreal r) { return v_fma(v_mul(r, r), V_FIT(r, exp_fit), r); }

/* For 2 x = n ln 2 + r with |r| <= ln(2) / 2: half of r from n and x, and e^r - 1 from half of r */
FNN_INLINE vreal exp_half_rest(vreal n, vreal x)
{
#if FNN_HAS_FMA && !FNN_DOUBLE
    return v_fnma(n, v_set(LN2 / 2), x);
#else
    return v_fnma(n, v_set((real)(LN2_LO / 2)), v_fnma(n, v_set((real)(LN2_HI / 2)), x));
#endif
}
FNN_INLINE vreal expm1_of_half(vreal r)
{
    enum { LAST = sizeof exp_fit / sizeof *exp_fit - 1 };
    vreal y = v_set(exp_fit[LAST] * (real)(4 << LAST));
    FNN_UNROLL for (int i = LAST - 1; i >= 0; i--)
        y = v_fma(y, r, v_set(exp_fit[i] * (real)(4 << i)));
    return v_fma(v_mul(r, r), y, v_add(r, r));
}

/* e^(x + lo) 2^EXP_SCALE_BITS for EXP_LOWEST <= x <= 0, without loss where e^x is denormal; 0 at EXP_LOWEST */
FNN_INLINE vreal exp_scaled_sum(vreal x, vreal lo)
{
    vreal n, two_n;
    const vreal r = v_add(exp_reduce(x, EXP_SCALE_BITS, &n, &two_n), lo);
    return v_mul(v_add(v_set(1), expm1_core(r)), two_n);
}
/* e^x 2^EXP_SCALE_BITS for x <= 0 */
FNN_INLINE vreal exp_scaled(vreal x)
{
    vreal n, two_n;
    const vreal r = exp_reduce(v_atleast(x, (real)EXP_LOWEST), EXP_SCALE_BITS, &n, &two_n);
    return v_mul(v_add(v_set(1), expm1_core(r)), two_n);
}
/* e^x for x <= 0 (a little above does no harm) */
FNN_INLINE vreal v_exp_nonpositive(vreal x) { return v_mul(exp_scaled(x), v_set((real)EXP_UNSCALE)); }

/* e^x   (1.04, 0.97 ULP) */
FNN_INLINE vreal v_exp(vreal x)
{
    vreal n, two_n;
    const vreal r = exp_reduce(v_atmost(v_atleast(x, EXP_LOW), EXP_HIGH), 0, &n, &two_n);
    return v_scale(v_add(v_set(1), expm1_core(r)), n);
}

/* e^x - 1 = 2^n (e^r - 1) + (2^n - 1), for x <= 0 */
FNN_INLINE vreal v_expm1_nonpositive(vreal x)
{
    vreal n, two_n;
    const vreal r = exp_reduce(v_atleast(x, EXPM1_LOW), 0, &n, &two_n);
    return v_fma(two_n, expm1_core(r), v_sub(two_n, v_set(1)));
}

/* e^x - 1, from half of it, so that 2^n does not overflow. Near n = 1 the two terms cancel in part: r takes along what its
   own rounding lost.   (1.61, 1.54 ULP) */
FNN_INLINE vreal v_expm1(vreal x)
{
    const vreal inside = v_atmost(v_atleast(x, EXPM1_LOW), EXP_HIGH);
    vreal n, half_two_n;
    const vreal r = exp_reduce(inside, -1, &n, &half_two_n), high = v_fnma(n, v_set((real)LN2_HI), inside);
    const vreal lost = v_fnma(n, v_set((real)LN2_LO), v_sub(high, r));
    const vreal p = v_add(r, v_fma(v_mul(r, r), V_FIT(r, exp_fit), lost));
    const vreal half = v_fma(half_two_n, p, v_sub(half_two_n, v_set((real)0.5)));
    return v_select(v_lt(v_abs(x), v_set((real)TINY_FOR_SERIES)), x, v_add(half, half));
}

/* ---------------------------------------------------------------------------------------------------- log and log1p

   k ln 2 + log(1 + f) for -1/4 <= f <= 1/2 */
#if FNN_DOUBLE
static const real atanh_fit[] = ATANH_D;
FNN_INLINE vreal log_core(vreal f, vreal k)
{
    /* s = f / (2 + f): log(1 + f) = 2 atanh(s) = f - (f^2 / 2 - s (f^2 / 2 + 2 atanh(s) / s - 2)) */
    const vreal s = v_div(f, v_add(v_set(2), f)), z = v_mul(s, s);
    const vreal half_square = v_mul(v_mul(f, v_set(0.5)), f);
    const vreal t = v_fma(V_FIT(z, atanh_fit), z, half_square);
    const vreal small = v_sub(v_fma(s, t, v_mul(k, v_set(LN2_LO))), half_square);
    return v_fma(k, v_set(LN2_HI), v_add(f, small));
}
#else
static const real log_fit[] = LOG_F;
FNN_INLINE vreal log_core(vreal f, vreal k)
{
    const vreal t = v_fma(V_FIT(f, log_fit), f, v_set(-0.5f));
    const vreal small = v_fma(v_mul(f, f), t, v_mul(k, v_set(LN2_LO)));
    return v_fma(k, v_set(LN2_HI), v_add(f, small));
}
#endif

/* positive normal x = 2^k m with 3/4 <= m < 3/2: returns m, and *k + FNN_MAGIC + FNN_EXPONENT_BIAS */
FNN_INLINE vreal log_reduce(vreal x, vreal *k_and_magic)
{
    const vint three_quarters = v_bits(v_set((real)0.75));
    const vint up = i_add(v_bits(x), i_sub(v_bits(v_set(1)), three_quarters));
    *k_and_magic = v_real(i_add(i_shr(up, FNN_MANTISSA), v_bits(v_set((real)FNN_MAGIC))));
    return v_real(i_add(i_and(up, i_set(((int_of_real)1 << FNN_MANTISSA) - 1)), three_quarters));
}

/* log x; -inf at 0, NaN below   (0.98, 0.87 ULP) */
FNN_INLINE vreal v_log(vreal x)
{
    const vmask denormal = v_lt(x, v_set(REAL_TINY));
    vreal k;
    const vreal m = log_reduce(v_select(denormal, v_mul(x, v_set(DENORMAL_UP)), x), &k);
    const real magic = (real)(FNN_MAGIC + FNN_EXPONENT_BIAS);
    k = v_sub(k, v_select(denormal, v_set(magic + DENORMAL_SHIFT), v_set(magic)));
    const vreal y = log_core(v_sub(m, v_set(1)), k);
    const vreal otherwise = v_select(v_eq(x, v_zero()), v_neg(V_INFINITY), v_set((real)NAN));
    return v_select(v_gt(x, v_zero()), v_select(v_lt(x, V_INFINITY), y, x), otherwise);
}

/* log(1 + x): with u = 1 + x rounded = 2^k m and c = what the rounding lost, f = m - 1 + 2^-k c
   (1.01, 0.87 ULP) */
FNN_INLINE vreal v_log1p(vreal x)
{
    const vreal u = v_add(v_set(1), x), b = v_sub(u, v_set(1));
    const vreal c = v_add(v_sub(v_set(1), v_sub(u, b)), v_sub(x, b));
    vreal k;
    const vreal m = log_reduce(u, &k);
    k = v_sub(k, v_set((real)(FNN_MAGIC + FNN_EXPONENT_BIAS)));
    const vreal down = v_pow2(v_neg(v_atmost(k, FNN_MANTISSA + 4))); /* beyond that, c does not count */
    const vreal f = v_fma(down, c, v_sub(m, v_set(1)));
    const vreal y = log_core(f, k);
    const vreal otherwise = v_select(v_eq(x, v_set(-1)), v_neg(V_INFINITY), v_set((real)NAN));
    const vreal inside = v_select(v_lt(v_abs(x), v_set((real)TINY_FOR_SERIES)), x, v_select(v_lt(x, V_INFINITY), y, x));
    return v_select(v_gt(x, v_set(-1)), inside, otherwise);
}

/* log(1 + e) for 0 <= e <= 1 */
FNN_INLINE vreal log1p_unit(vreal e)
{
    const vmask upper = v_gt(e, v_set((real)0.5));
    const vreal f = v_select(upper, v_sub(v_mul(e, v_set((real)0.5)), v_set((real)0.5)), e);
    return log_core(f, v_where(upper, v_set(1)));
}

/* -------------------------------------------------------------------------------- sigmoid, softplus, tanh: one exp each

   1 / (1 + e^-x), as e / (1 + e) with e = e^-|x| where x < 0; then less what the rounding of 1 + e lost
   (1.92, 1.91 ULP) */
FNN_INLINE vreal v_sigmoid(vreal x)
{
    const vreal one = v_set(1), e = v_exp_nonpositive(v_negabs(x)), below = v_add(one, e);
    const vreal y = v_div(v_select(v_lt(x, v_zero()), e, one), below);
    return v_fnma(y, v_sub(e, v_sub(below, one)), y);
}

/* log(1 + e^x) = max(x, 0) + log(1 + e^-|x|)   (1.69, 1.57 ULP) */
FNN_INLINE vreal v_softplus(vreal x)
{
    return v_add(v_max(x, v_zero()), log1p_unit(v_exp_nonpositive(v_negabs(x))));
}

/* log(1 / (1 + e^-x)) = min(x, 0) - log(1 + e^-|x|)   (1.67, 1.65 ULP) */
FNN_INLINE vreal v_log_sigmoid(vreal x)
{
    return v_sub(v_min(x, v_zero()), log1p_unit(v_exp_nonpositive(v_negabs(x))));
}

/* x^3 fit(x^2) = tanh(x) - x for |x| < 5/8: the fit, and x^3 */
FNN_INLINE vreal tanh_series(vreal x, vreal *cube)
{
    const vreal z = v_mul(x, x);
    *cube = v_mul(z, x);
    return V_FIT(z, tanh_fit);
}
/* tanh |x| = (1 - q) / (1 + q), where q = e^(-2 |x|) = 2^n (1 + p): one division, and each side of it is rounded once.
   Whatever is done to -2 |x| is done to -|x|, by constants that are twice or half as large. Of ten million doubles
   three were up to 2.03 ULP off below 5/8: those take the series; no float is further off than 1.96.   (1.96, 1.83 ULP) */
FNN_INLINE vreal v_tanh(vreal x)
{
    const vreal half = v_atleast(v_negabs(x), EXPM1_LOW / 2), one = v_set(1);
    const vreal magic = v_set((real)(FNN_MAGIC + FNN_EXPONENT_BIAS)), sum = v_fma(half, v_set((real)(2 * LOG2E)), magic);
    const vreal two_n = v_real(i_shl(v_bits(sum), FNN_MANTISSA));
    const vreal p = expm1_of_half(exp_half_rest(v_sub(sum, magic), half));
    vreal y = v_div(v_fnma(two_n, p, v_sub(one, two_n)), v_fma(two_n, p, v_add(one, two_n)));
#if FNN_DOUBLE
    vreal cube;
    const vreal fit = tanh_series(x, &cube);
    y = v_select(v_gt(half, v_set(-0.625)), v_fma(cube, fit, x), y);
#endif
    return v_real(i_or(v_bits(y), i_and(v_bits(x), i_set(FNN_SIGN)))); /* -0 too */
}

/* x - tanh(x), whose difference would cancel for a small x */
FNN_INLINE vreal v_tanh_shrink(vreal x)
{
    vreal cube;
    const vreal fit = tanh_series(x, &cube);
    return v_select(v_lt(v_abs(x), v_set((real)0.625)), v_neg(v_mul(cube, fit)), v_sub(x, v_tanh(x)));
}

/* ------------------------------------------------------------------------------------------ erf and the normal tail

   t^2 = the return value - *excess, nearly exactly */
FNN_INLINE vreal v_exact_square(vreal t, vreal *excess)
{
#if FNN_HAS_FMA
    const vreal hi = v_mul(t, t);
    *excess = v_fnma(t, t, hi);
    return hi;
#else
    /* t = c + rest, of half as many bits each: t^2 = c^2 + (t (t - c) + (t - c) c) */
    const vint upper = i_set(-((int_of_real)1 << (FNN_MANTISSA / 2 + 1)));
    const vreal c = v_real(i_and(v_bits(t), upper)), below = v_sub(t, c);
    const vreal large = v_mul(c, c), rest = v_add(v_mul(t, below), v_mul(below, c)), hi = v_add(large, rest);
    *excess = v_sub(v_sub(hi, large), rest);
    return hi;
#endif
}

/* 2^(t^2 / STEP) Phi(-t) a for t >= 0, Phi the normal distribution */
FNN_INLINE vreal tail_times(vreal t, vreal a) { return v_div(v_mul(V_FIT(t, tail_above), a), V_FIT(t, tail_below)); }

/* 2^(-t^2 / STEP) 2^EXP_SCALE_BITS = 2^-k fit(R) for 0 <= t <= TAIL_END, where t^2 = k STEP + R and
   fit(R) = 2^(EXP_SCALE_BITS - R / STEP). k STEP is exact, and so is R but for one rounding, however large t is.
   e^(-t^2 / 2) is e^(BELL_EXCESS t^2) times as much, which the tail's fit takes into account. */
FNN_INLINE vreal bell_scaled(vreal t)
{
    const vreal magic = v_set(FNN_MAGIC);
#if FNN_HAS_FMA
    const vreal square = v_mul(t, t), sum = v_fma(square, v_set((real)(LOG2E / 2)), magic);
    const vreal R = v_fma(t, t, v_fnma(sum, v_set(STEP), v_set(FNN_MAGIC * STEP)));
#else
    vreal excess;
    const vreal square = v_exact_square(t, &excess), sum = v_fma(square, v_set((real)(LOG2E / 2)), magic);
    const vreal R = v_sub(v_sub(square, v_mul(v_sub(sum, magic), v_set(STEP))), excess);
#endif
    return v_real(i_sub(v_bits(V_FIT(R, bell_fit)), i_shl(v_bits(sum), FNN_MANTISSA)));
}

/* erf x: x + x fit(x^2) inside -1..1, and 1 - 2 Phi(-sqrt(2) |x|) outside   (1.47, 1.60 ULP) */
FNN_INLINE vreal v_erf(vreal x)
{
    const vreal inside = v_fma(x, V_FIT(v_mul(x, x), erf_fit), x);
    const vreal t = v_atmost(v_abs(x), 6); /* where it is 1 */
    vreal excess;
    const vreal square = v_exact_square(t, &excess);
    const vreal twice = v_set((real)(2 * EXP_UNSCALE)); /* less what the bell at sqrt(2) t has too little */
    const vreal factor = v_fma(square, v_set((real)(-4 * EXP_UNSCALE * BELL_EXCESS)), twice);
    const vreal e = v_mul(exp_scaled_sum(v_neg(square), excess), factor);
    const vreal outside = v_sub(v_set(1), tail_times(v_mul(t, v_set((real)SQRT2)), e));
    return v_select(v_lt(v_abs(x), v_set(1)), inside, v_copysign(outside, x));
}
