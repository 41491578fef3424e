/* simd_neon.h: the words of simd.h in 64-bit Arm's Advanced SIMD. */
#include <arm_neon.h>

#if FNN_DOUBLE
#define FNN_X(op) FNN_JOIN2(op, q_f64)
#define FNN_XU(op) FNN_JOIN2(op, q_u64)
#define FNN_N(op) FNN_JOIN2(op, q_n_f64)
typedef float64x2_t vreal;
typedef uint64x2_t vint;
#define FNN_AS_INT vreinterpretq_u64_f64
#define FNN_AS_REAL vreinterpretq_f64_u64
#define i_set(a) vdupq_n_u64((uint64_t)(a))
#define i_shl(a, n) vshlq_n_u64(a, n)
#define i_shr(a, n) vshrq_n_u64(a, n)
#else
#define FNN_X(op) FNN_JOIN2(op, q_f32)
#define FNN_XU(op) FNN_JOIN2(op, q_u32)
#define FNN_N(op) FNN_JOIN2(op, q_n_f32)
typedef float32x4_t vreal;
typedef uint32x4_t vint;
#define FNN_AS_INT vreinterpretq_u32_f32
#define FNN_AS_REAL vreinterpretq_f32_u32
#define i_set(a) vdupq_n_u32((uint32_t)(a))
#define i_shl(a, n) vshlq_n_u32(a, n)
#define i_shr(a, n) vshrq_n_u32(a, n)
#endif
typedef vint vmask;
typedef float64x2_t vwide;
#define VL (16 / (int)sizeof(real))
#define WL 2
#define FNN_HAS_FMA 1

FNN_INLINE vreal v_load(const real *p) { return FNN_X(vld1)(p); }
FNN_INLINE void v_store(real *p, vreal a) { FNN_X(vst1)(p, a); }
FNN_INLINE vreal v_set(real a) { return FNN_N(vdup)(a); }
FNN_INLINE vreal v_zero(void) { return FNN_N(vdup)(0); }
FNN_INLINE vreal v_add(vreal a, vreal b) { return FNN_X(vadd)(a, b); }
FNN_INLINE vreal v_sub(vreal a, vreal b) { return FNN_X(vsub)(a, b); }
FNN_INLINE vreal v_mul(vreal a, vreal b) { return FNN_X(vmul)(a, b); }
FNN_INLINE vreal v_div(vreal a, vreal b) { return FNN_X(vdiv)(a, b); }
FNN_INLINE vreal v_sqrt(vreal a) { return FNN_X(vsqrt)(a); }
FNN_INLINE vreal v_fma(vreal a, vreal b, vreal c) { return FNN_X(vfma)(c, a, b); }
FNN_INLINE vreal v_fnma(vreal a, vreal b, vreal c) { return FNN_X(vfms)(c, a, b); }
FNN_INLINE vmask v_lt(vreal a, vreal b) { return FNN_X(vclt)(a, b); }
FNN_INLINE vmask v_le(vreal a, vreal b) { return FNN_X(vcle)(a, b); }
FNN_INLINE vmask v_eq(vreal a, vreal b) { return FNN_X(vceq)(a, b); }
FNN_INLINE vreal v_select(vmask m, vreal a, vreal b) { return FNN_X(vbsl)(m, a, b); }
FNN_INLINE vreal v_max(vreal a, vreal b) { return v_select(FNN_X(vcgt)(a, b), a, b); }
FNN_INLINE vreal v_min(vreal a, vreal b) { return v_select(FNN_X(vclt)(a, b), a, b); }
FNN_INLINE vreal v_round(vreal a) { return FNN_X(vrndn)(a); }
FNN_INLINE vint v_bits(vreal a) { return FNN_AS_INT(a); }
FNN_INLINE vreal v_real(vint a) { return FNN_AS_REAL(a); }
FNN_INLINE vint i_and(vint a, vint b) { return FNN_XU(vand)(a, b); }
FNN_INLINE vint i_or(vint a, vint b) { return FNN_XU(vorr)(a, b); }
FNN_INLINE vint i_xor(vint a, vint b) { return FNN_XU(veor)(a, b); }
FNN_INLINE vint i_add(vint a, vint b) { return FNN_XU(vadd)(a, b); }
FNN_INLINE vint i_sub(vint a, vint b) { return FNN_XU(vsub)(a, b); }
FNN_INLINE vmask m_and(vmask a, vmask b) { return i_and(a, b); }
FNN_INLINE vmask m_or(vmask a, vmask b) { return i_or(a, b); }
FNN_INLINE vmask m_not(vmask a) { return i_xor(a, i_set(-1)); }
FNN_INLINE vmask v_ne(vreal a, vreal b) { return m_not(v_eq(a, b)); }
#if FNN_DOUBLE
FNN_INLINE int m_any(vmask a) { return vmaxvq_u32(vreinterpretq_u32_u64(a)) != 0; }
#else
FNN_INLINE int m_any(vmask a) { return vmaxvq_u32(a) != 0; }
#endif
#define FNN_TAIL_BY_COPY

#if FNN_DOUBLE
FNN_INLINE vwide w_half(vreal a, int half)
{
    (void)half;
    return a;
}
#else
FNN_INLINE vwide w_half(vreal a, int half) { return half ? vcvt_high_f64_f32(a) : vcvt_f64_f32(vget_low_f32(a)); }
#endif
FNN_INLINE vwide w_add(vwide a, vwide b) { return vaddq_f64(a, b); }
FNN_INLINE vwide w_mul(vwide a, vwide b) { return vmulq_f64(a, b); }
#if FNN_DOUBLE
FNN_INLINE vwide w_load(const real *p) { return vld1q_f64(p); }
#else
FNN_INLINE vwide w_load(const real *p) { return vcvt_f64_f32(vld1_f32(p)); }
#endif
FNN_INLINE vwide w_set(double a) { return vdupq_n_f64(a); }
FNN_INLINE void w_store(double *p, vwide a) { vst1q_f64(p, a); }

/* 16 / sizeof(real) elements of each of VL rows, turned */
#define TRANSPOSE_COLUMNS VL
FNN_INLINE void v_transpose(const real *p, const ptrdiff_t *row, real *out, ptrdiff_t out_row)
{
#if FNN_DOUBLE
    const vreal r0 = v_load(p + row[0]), r1 = v_load(p + row[1]);
    v_store(out, vzip1q_f64(r0, r1));
    v_store(out + out_row, vzip2q_f64(r0, r1));
#else
#define AS_PD vreinterpretq_f64_f32
#define LOW_PAIRS(a, b) vreinterpretq_f32_f64(vzip1q_f64(AS_PD(a), AS_PD(b)))
#define HIGH_PAIRS(a, b) vreinterpretq_f32_f64(vzip2q_f64(AS_PD(a), AS_PD(b)))
    const vreal r0 = v_load(p + row[0]), r1 = v_load(p + row[1]), r2 = v_load(p + row[2]), r3 = v_load(p + row[3]);
    const vreal low01 = vzip1q_f32(r0, r1), low23 = vzip1q_f32(r2, r3);
    const vreal high01 = vzip2q_f32(r0, r1), high23 = vzip2q_f32(r2, r3);
    v_store(out, LOW_PAIRS(low01, low23));
    v_store(out + out_row, HIGH_PAIRS(low01, low23));
    v_store(out + 2 * out_row, LOW_PAIRS(high01, high23));
    v_store(out + 3 * out_row, HIGH_PAIRS(high01, high23));
#undef AS_PD
#undef LOW_PAIRS
#undef HIGH_PAIRS
#endif
}

FNN_INLINE double w_total(vwide a) { return vgetq_lane_f64(a, 0) + vgetq_lane_f64(a, 1); }
FNN_INLINE real v_top(vreal a) { return FNN_X(vmaxnmv)(a); }
