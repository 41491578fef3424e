/* simd_portable.h: the words of simd.h where there is nothing better: a vector of one lane. */
typedef real vreal;
typedef int vmask;
typedef double vwide;
#if FNN_DOUBLE
typedef uint64_t vint;
#else
typedef uint32_t vint;
#endif
#define VL 1
#define WL 1

FNN_INLINE vreal v_load(const real *p) { return *p; }
FNN_INLINE void v_store(real *p, vreal a) { *p = a; }
FNN_INLINE vreal v_set(real a) { return a; }
FNN_INLINE vreal v_zero(void) { return 0; }
FNN_INLINE vreal v_add(vreal a, vreal b) { return a + b; }
FNN_INLINE vreal v_sub(vreal a, vreal b) { return a - b; }
FNN_INLINE vreal v_mul(vreal a, vreal b) { return a * b; }
FNN_INLINE vreal v_div(vreal a, vreal b) { return a / b; }
FNN_INLINE vreal v_sqrt(vreal a) { return FNN_DOUBLE ? (real)sqrt(a) : (real)sqrtf((float)a); }
#if FNN_DOUBLE && defined(FP_FAST_FMA)
#define FNN_HAS_FMA 1
FNN_INLINE vreal v_fma(vreal a, vreal b, vreal c) { return fma(a, b, c); }
#elif !FNN_DOUBLE && defined(FP_FAST_FMAF)
#define FNN_HAS_FMA 1
FNN_INLINE vreal v_fma(vreal a, vreal b, vreal c) { return fmaf(a, b, c); }
#else
#define FNN_HAS_FMA 0
FNN_INLINE vreal v_fma(vreal a, vreal b, vreal c) { return a * b + c; }
#endif
FNN_INLINE vreal v_fnma(vreal a, vreal b, vreal c) { return v_fma(-a, b, c); }
FNN_INLINE vmask v_lt(vreal a, vreal b) { return a < b; }
FNN_INLINE vmask v_le(vreal a, vreal b) { return a <= b; }
FNN_INLINE vmask v_eq(vreal a, vreal b) { return a == b; }
FNN_INLINE vmask v_ne(vreal a, vreal b) { return a != b; }
FNN_INLINE vreal v_select(vmask m, vreal a, vreal b) { return m ? a : b; }
FNN_INLINE vreal v_max(vreal a, vreal b) { return a > b ? a : b; }
FNN_INLINE vreal v_min(vreal a, vreal b) { return a < b ? a : b; }
FNN_INLINE vreal v_round(vreal a) { return (real)((a + FNN_MAGIC) - FNN_MAGIC); }
FNN_INLINE vint v_bits(vreal a)
{
    vint b;
    memcpy(&b, &a, sizeof b);
    return b;
}
FNN_INLINE vreal v_real(vint a)
{
    vreal b;
    memcpy(&b, &a, sizeof b);
    return b;
}
FNN_INLINE vint i_set(int_of_real a) { return (vint)a; }
FNN_INLINE vint i_and(vint a, vint b) { return a & b; }
FNN_INLINE vint i_or(vint a, vint b) { return a | b; }
FNN_INLINE vint i_xor(vint a, vint b) { return a ^ b; }
FNN_INLINE vint i_add(vint a, vint b) { return a + b; }
FNN_INLINE vint i_sub(vint a, vint b) { return a - b; }
#define i_shl(a, n) ((vint)((a) << (n)))
#define i_shr(a, n) ((vint)((a) >> (n)))
FNN_INLINE vmask m_and(vmask a, vmask b) { return a & b; }
FNN_INLINE vmask m_or(vmask a, vmask b) { return a | b; }
FNN_INLINE vmask m_not(vmask a) { return !a; }
FNN_INLINE int m_any(vmask a) { return a; }
#define FNN_TAIL_BY_COPY
FNN_INLINE vwide w_half(vreal a, int half)
{
    (void)half;
    return a;
}
FNN_INLINE vwide w_add(vwide a, vwide b) { return a + b; }
FNN_INLINE vwide w_mul(vwide a, vwide b) { return a * b; }
FNN_INLINE vwide w_load(const real *p) { return *p; }
FNN_INLINE vwide w_set(double a) { return a; }
FNN_INLINE void w_store(double *p, vwide a) { *p = a; }

#define TRANSPOSE_COLUMNS 1
FNN_INLINE void v_transpose(const real *p, const ptrdiff_t *row, real *out, ptrdiff_t out_row)
{
    (void)out_row;
    *out = p[row[0]];
}

FNN_INLINE double w_total(vwide a) { return a; }
FNN_INLINE real v_top(vreal a) { return a; }
