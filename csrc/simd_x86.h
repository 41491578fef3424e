/* simd_x86.h: the words of simd.h in SSE2, AVX2 and AVX-512, in that order of width. */
#include <immintrin.h>

#if defined(__AVX512F__)
#define FNN_BITS 512
#define FNN_PREFIX _mm512_
typedef __m512d vwide;
#elif defined(__AVX2__)
#define FNN_BITS 256
#define FNN_PREFIX _mm256_
typedef __m256d vwide;
#else
#define FNN_BITS 128
#define FNN_PREFIX _mm_
typedef __m128d vwide;
#endif

#if FNN_DOUBLE
#define FNN_X(op) FNN_JOIN3(FNN_PREFIX, op, _pd) /* _mm256_add_pd, ... */
#define FNN_XI(op) FNN_JOIN3(FNN_PREFIX, op, _epi64)
typedef vwide vreal;
#else
#define FNN_X(op) FNN_JOIN3(FNN_PREFIX, op, _ps)
#define FNN_XI(op) FNN_JOIN3(FNN_PREFIX, op, _epi32)
typedef FNN_JOIN2(__m, FNN_BITS) vreal;
#endif
typedef FNN_JOIN3(__m, FNN_BITS, i) vint;
#define VL (FNN_BITS / 8 / (int)sizeof(real))
#define WL (FNN_BITS / 64) /* doubles in a vwide */

FNN_INLINE vreal v_load(const real *p) { return FNN_X(loadu)(p); }
FNN_INLINE void v_store(real *p, vreal a) { FNN_X(storeu)(p, a); }
FNN_INLINE vreal v_set(real a) { return FNN_X(set1)(a); }
FNN_INLINE vreal v_zero(void) { return v_set(0); }
FNN_INLINE vreal v_add(vreal a, vreal b) { return FNN_X(add)(a, b); }
FNN_INLINE vreal v_sub(vreal a, vreal b) { return FNN_X(sub)(a, b); }
FNN_INLINE vreal v_mul(vreal a, vreal b) { return FNN_X(mul)(a, b); }
FNN_INLINE vreal v_div(vreal a, vreal b) { return FNN_X(div)(a, b); }
FNN_INLINE vreal v_sqrt(vreal a) { return FNN_X(sqrt)(a); }
FNN_INLINE vreal v_max(vreal a, vreal b) { return FNN_X(max)(a, b); }
FNN_INLINE vreal v_min(vreal a, vreal b) { return FNN_X(min)(a, b); }

#if defined(__FMA__)
#define FNN_HAS_FMA 1
FNN_INLINE vreal v_fma(vreal a, vreal b, vreal c) { return FNN_X(fmadd)(a, b, c); }
FNN_INLINE vreal v_fnma(vreal a, vreal b, vreal c) { return FNN_X(fnmadd)(a, b, c); }
#else
#define FNN_HAS_FMA 0
FNN_INLINE vreal v_fma(vreal a, vreal b, vreal c) { return v_add(v_mul(a, b), c); }
FNN_INLINE vreal v_fnma(vreal a, vreal b, vreal c) { return v_sub(c, v_mul(a, b)); }
#endif

/* bits */
#if FNN_BITS == 512
FNN_INLINE vint i_and(vint a, vint b) { return _mm512_and_si512(a, b); }
FNN_INLINE vint i_or(vint a, vint b) { return _mm512_or_si512(a, b); }
FNN_INLINE vint i_xor(vint a, vint b) { return _mm512_xor_si512(a, b); }
#if FNN_DOUBLE
FNN_INLINE vint v_bits(vreal a) { return _mm512_castpd_si512(a); }
FNN_INLINE vreal v_real(vint a) { return _mm512_castsi512_pd(a); }
#else
FNN_INLINE vint v_bits(vreal a) { return _mm512_castps_si512(a); }
FNN_INLINE vreal v_real(vint a) { return _mm512_castsi512_ps(a); }
#endif
FNN_INLINE vint i_set(int_of_real a) { return FNN_XI(set1)(a); }
#else
#if FNN_BITS == 256
#define FNN_SI(op) FNN_JOIN3(_mm256_, op, _si256)
#define FNN_CAST_TO_INT(t) FNN_JOIN3(_mm256_cast, t, _si256)
#define FNN_CAST_TO_REAL _mm256_castsi256_
#else
#define FNN_SI(op) FNN_JOIN3(_mm_, op, _si128)
#define FNN_CAST_TO_INT(t) FNN_JOIN3(_mm_cast, t, _si128)
#define FNN_CAST_TO_REAL _mm_castsi128_
#endif
FNN_INLINE vint i_and(vint a, vint b) { return FNN_SI (and)(a, b); }
FNN_INLINE vint i_or(vint a, vint b) { return FNN_SI(or)(a, b); }
FNN_INLINE vint i_xor(vint a, vint b) { return FNN_SI(xor)(a, b); }
#if FNN_DOUBLE
FNN_INLINE vint v_bits(vreal a) { return FNN_CAST_TO_INT(pd)(a); }
FNN_INLINE vreal v_real(vint a) { return FNN_JOIN2(FNN_CAST_TO_REAL, pd)(a); }
FNN_INLINE vint i_set(int_of_real a) { return FNN_JOIN2(FNN_PREFIX, set1_epi64x)(a); }
#else
FNN_INLINE vint v_bits(vreal a) { return FNN_CAST_TO_INT(ps)(a); }
FNN_INLINE vreal v_real(vint a) { return FNN_JOIN2(FNN_CAST_TO_REAL, ps)(a); }
FNN_INLINE vint i_set(int_of_real a) { return FNN_JOIN2(FNN_PREFIX, set1_epi32)(a); }
#endif
#endif
FNN_INLINE vint i_add(vint a, vint b) { return FNN_XI(add)(a, b); }
FNN_INLINE vint i_sub(vint a, vint b) { return FNN_XI(sub)(a, b); }
#define i_shl(a, n) FNN_XI(slli)(a, n)
#define i_shr(a, n) FNN_XI(srli)(a, n)

/* truth, and the first n lanes */
#if FNN_BITS == 512
#if FNN_DOUBLE
typedef __mmask8 vmask;
#define FNN_CMP(a, b, how) _mm512_cmp_pd_mask(a, b, how)
#else
typedef __mmask16 vmask;
#define FNN_CMP(a, b, how) _mm512_cmp_ps_mask(a, b, how)
#endif
FNN_INLINE vmask v_lt(vreal a, vreal b) { return FNN_CMP(a, b, _CMP_LT_OQ); }
FNN_INLINE vmask v_le(vreal a, vreal b) { return FNN_CMP(a, b, _CMP_LE_OQ); }
FNN_INLINE vmask v_eq(vreal a, vreal b) { return FNN_CMP(a, b, _CMP_EQ_OQ); }
FNN_INLINE vmask v_ne(vreal a, vreal b) { return FNN_CMP(a, b, _CMP_NEQ_UQ); }
FNN_INLINE vmask m_and(vmask a, vmask b) { return (vmask)(a & b); }
FNN_INLINE vmask m_or(vmask a, vmask b) { return (vmask)(a | b); }
FNN_INLINE vmask m_not(vmask a) { return (vmask)~a; }
FNN_INLINE int m_any(vmask a) { return a != 0; }
FNN_INLINE vreal v_select(vmask m, vreal a, vreal b) { return FNN_X(mask_blend)(m, b, a); }
#define FNN_HAS_SCALE
FNN_INLINE vreal v_scale(vreal a, vreal n) { return FNN_X(scalef)(a, n); }
#define FNN_HAS_RANGE
FNN_INLINE vreal v_abs_atmost(vreal a, vreal high) { return FNN_X(range)(a, high, 0xA); } /* least magnitude, no sign */
FNN_INLINE vreal v_ramp(vreal a) { return FNN_X(fixupimm)(a, a, i_set(0x08030000), 0); }  /* -inf: NaN; below 0: 0 */
FNN_INLINE vreal v_round(vreal a) { return FNN_X(roundscale)(a, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC); }
typedef vmask vtail;
FNN_INLINE vtail v_tail(size_t n) { return (vtail)((1u << n) - 1); }
FNN_INLINE vreal v_load_tail(const real *p, vtail t) { return FNN_X(maskz_loadu)(t, p); }
FNN_INLINE void v_store_tail(real *p, vreal a, vtail t) { FNN_X(mask_storeu)(p, t, a); }
#else
typedef vreal vmask;
#if FNN_BITS == 256
FNN_INLINE vmask v_lt(vreal a, vreal b) { return FNN_X(cmp)(a, b, _CMP_LT_OQ); }
FNN_INLINE vmask v_le(vreal a, vreal b) { return FNN_X(cmp)(a, b, _CMP_LE_OQ); }
FNN_INLINE vmask v_eq(vreal a, vreal b) { return FNN_X(cmp)(a, b, _CMP_EQ_OQ); }
FNN_INLINE vmask v_ne(vreal a, vreal b) { return FNN_X(cmp)(a, b, _CMP_NEQ_UQ); }
FNN_INLINE vreal v_select(vmask m, vreal a, vreal b) { return FNN_X(blendv)(b, a, m); }
FNN_INLINE vreal v_round(vreal a) { return FNN_X(round)(a, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC); }
typedef vint vtail;
static const int_of_real fnn_lanes[2 * VL] = {
#if FNN_DOUBLE
    -1, -1, -1, -1
#else
    -1, -1, -1, -1, -1,
    -1, -1, -1
#endif
};
FNN_INLINE vtail v_tail(size_t n) { return FNN_SI(loadu)((const vint *)(const void *)(fnn_lanes + VL - n)); }
FNN_INLINE vreal v_load_tail(const real *p, vtail t) { return FNN_X(maskload)(p, t); }
FNN_INLINE void v_store_tail(real *p, vreal a, vtail t) { FNN_X(maskstore)(p, t, a); }
#else
FNN_INLINE vmask v_lt(vreal a, vreal b) { return FNN_X(cmplt)(a, b); }
FNN_INLINE vmask v_le(vreal a, vreal b) { return FNN_X(cmple)(a, b); }
FNN_INLINE vmask v_eq(vreal a, vreal b) { return FNN_X(cmpeq)(a, b); }
FNN_INLINE vmask v_ne(vreal a, vreal b) { return FNN_X(cmpneq)(a, b); }
FNN_INLINE vreal v_select(vmask m, vreal a, vreal b) { return FNN_X(or)(FNN_X (and)(m, a), FNN_X(andnot)(m, b)); }
FNN_INLINE vreal v_round(vreal a)
{
    const vreal magic = v_set(FNN_MAGIC);
    return v_sub(v_add(a, magic), magic);
}
#define FNN_TAIL_BY_COPY
#endif
#define FNN_HAS_WHERE /* of a blend with 0 GCC makes a comparison and this */
FNN_INLINE vreal v_where(vmask m, vreal a) { return FNN_X (and)(m, a); }
FNN_INLINE vreal v_unless(vmask m, vreal a) { return FNN_X(andnot)(m, a); }
FNN_INLINE vmask m_and(vmask a, vmask b) { return FNN_X (and)(a, b); }
FNN_INLINE vmask m_or(vmask a, vmask b) { return FNN_X(or)(a, b); }
FNN_INLINE vmask m_not(vmask a) { return v_real(i_xor(v_bits(a), i_set(-1))); }
FNN_INLINE int m_any(vmask a) { return FNN_X(movemask)(a) != 0; }
#endif

/* doubles from half of a vector; all of it where real is double */
#if FNN_DOUBLE
FNN_INLINE vwide w_half(vreal a, int half)
{
    (void)half;
    return a;
}
#elif FNN_BITS == 512
FNN_INLINE vwide w_half(vreal a, int half)
{
    const __m512d bits = _mm512_castps_pd(a);
    return _mm512_cvtps_pd(_mm256_castpd_ps(half ? _mm512_extractf64x4_pd(bits, 1) : _mm512_castpd512_pd256(bits)));
}
#elif FNN_BITS == 256
FNN_INLINE vwide w_half(vreal a, int half)
{
    return _mm256_cvtps_pd(half ? _mm256_extractf128_ps(a, 1) : _mm256_castps256_ps128(a));
}
#else
FNN_INLINE vwide w_half(vreal a, int half) { return _mm_cvtps_pd(half ? _mm_movehl_ps(a, a) : a); }
#endif
FNN_INLINE vwide w_add(vwide a, vwide b) { return FNN_JOIN2(FNN_PREFIX, add_pd)(a, b); }
FNN_INLINE vwide w_mul(vwide a, vwide b) { return FNN_JOIN2(FNN_PREFIX, mul_pd)(a, b); }
#if FNN_DOUBLE
FNN_INLINE vwide w_load(const real *p) { return v_load(p); }
#elif FNN_BITS == 512
FNN_INLINE vwide w_load(const real *p) { return _mm512_cvtps_pd(_mm256_loadu_ps(p)); }
#elif FNN_BITS == 256
FNN_INLINE vwide w_load(const real *p) { return _mm256_cvtps_pd(_mm_loadu_ps(p)); }
#else
FNN_INLINE vwide w_load(const real *p)
{
    return _mm_cvtps_pd(_mm_castsi128_ps(_mm_loadl_epi64((const __m128i *)(const void *)p)));
}
#endif
FNN_INLINE vwide w_set(double a) { return FNN_JOIN2(FNN_PREFIX, set1_pd)(a); }
FNN_INLINE void w_store(double *p, vwide a) { FNN_JOIN2(FNN_PREFIX, storeu_pd)(p, a); }

/* Q = 16 / sizeof(real) elements of each of VL rows, turned: in each 128-bit lane a block of Q x Q is transposed */
#define TRANSPOSE_COLUMNS (16 / (int)sizeof(real))
FNN_INLINE vreal v_load_quarters(const real *p, const ptrdiff_t *row) /* rows 0, Q, 2Q, ...: one to each lane */
{
    enum { Q = TRANSPOSE_COLUMNS };
#if FNN_DOUBLE
#define LANE(i) _mm_loadu_pd(p + row[(i) * Q])
#if FNN_BITS == 128
    return LANE(0);
#else
    const __m256d low = _mm256_insertf128_pd(_mm256_castpd128_pd256(LANE(0)), LANE(1), 1);
#if FNN_BITS == 256
    return low;
#else
    const __m256d high = _mm256_insertf128_pd(_mm256_castpd128_pd256(LANE(2)), LANE(3), 1);
    return _mm512_insertf64x4(_mm512_castpd256_pd512(low), high, 1);
#endif
#endif
#else
#define LANE(i) _mm_loadu_ps(p + row[(i) * Q])
#if FNN_BITS == 128
    return LANE(0);
#else
    const __m256 low = _mm256_insertf128_ps(_mm256_castps128_ps256(LANE(0)), LANE(1), 1);
#if FNN_BITS == 256
    return low;
#else
    const __m256 high = _mm256_insertf128_ps(_mm256_castps128_ps256(LANE(2)), LANE(3), 1);
    return _mm512_insertf32x8(_mm512_castps256_ps512(low), high, 1);
#endif
#endif
#endif
#undef LANE
}
FNN_INLINE void v_transpose(const real *p, const ptrdiff_t *row, real *out, ptrdiff_t out_row)
{
#if FNN_DOUBLE
    const vreal r0 = v_load_quarters(p, row), r1 = v_load_quarters(p, row + 1);
    v_store(out, FNN_X(unpacklo)(r0, r1));
    v_store(out + out_row, FNN_X(unpackhi)(r0, r1));
#else
#define AS_PD(a) FNN_JOIN2(FNN_PREFIX, castps_pd)(a)
#define LOW_PAIRS(a, b) FNN_JOIN2(FNN_PREFIX, castpd_ps)(FNN_JOIN2(FNN_PREFIX, unpacklo_pd)(AS_PD(a), AS_PD(b)))
#define HIGH_PAIRS(a, b) FNN_JOIN2(FNN_PREFIX, castpd_ps)(FNN_JOIN2(FNN_PREFIX, unpackhi_pd)(AS_PD(a), AS_PD(b)))
    const vreal r0 = v_load_quarters(p, row), r1 = v_load_quarters(p, row + 1);
    const vreal r2 = v_load_quarters(p, row + 2), r3 = v_load_quarters(p, row + 3);
    const vreal low01 = FNN_X(unpacklo)(r0, r1), low23 = FNN_X(unpacklo)(r2, r3);
    const vreal high01 = FNN_X(unpackhi)(r0, r1), high23 = FNN_X(unpackhi)(r2, r3);
    v_store(out, LOW_PAIRS(low01, low23));
    v_store(out + out_row, HIGH_PAIRS(low01, low23));
    v_store(out + 2 * out_row, LOW_PAIRS(high01, high23));
    v_store(out + 3 * out_row, HIGH_PAIRS(high01, high23));
#undef AS_PD
#undef LOW_PAIRS
#undef HIGH_PAIRS
#endif
}

/* across lanes: halves with each other until one is left */
FNN_INLINE double w_total(vwide a)
{
#if FNN_BITS == 512
    const __m256d b = _mm256_add_pd(_mm512_castpd512_pd256(a), _mm512_extractf64x4_pd(a, 1));
#elif FNN_BITS == 256
    const __m256d b = a;
#endif
#if FNN_BITS >= 256
    const __m128d c = _mm_add_pd(_mm256_castpd256_pd128(b), _mm256_extractf128_pd(b, 1));
#else
    const __m128d c = a;
#endif
    return _mm_cvtsd_f64(_mm_add_sd(c, _mm_unpackhi_pd(c, c)));
}
FNN_INLINE real v_top(vreal a)
{
#if FNN_DOUBLE
#if FNN_BITS == 512
    const __m256d b = _mm256_max_pd(_mm512_castpd512_pd256(a), _mm512_extractf64x4_pd(a, 1));
#elif FNN_BITS == 256
    const __m256d b = a;
#endif
#if FNN_BITS >= 256
    const __m128d c = _mm_max_pd(_mm256_castpd256_pd128(b), _mm256_extractf128_pd(b, 1));
#else
    const __m128d c = a;
#endif
    return _mm_cvtsd_f64(_mm_max_sd(c, _mm_unpackhi_pd(c, c)));
#else
#if FNN_BITS == 512
    const __m512d bits = _mm512_castps_pd(a);
    const __m256 b = _mm256_max_ps(_mm512_castps512_ps256(a), _mm256_castpd_ps(_mm512_extractf64x4_pd(bits, 1)));
#elif FNN_BITS == 256
    const __m256 b = a;
#endif
#if FNN_BITS >= 256
    const __m128 c = _mm_max_ps(_mm256_castps256_ps128(b), _mm256_extractf128_ps(b, 1));
#else
    const __m128 c = a;
#endif
    const __m128 d = _mm_max_ps(c, _mm_movehl_ps(c, c));
    return _mm_cvtss_f32(_mm_max_ss(d, _mm_shuffle_ps(d, d, 1)));
#endif
}
