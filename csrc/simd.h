/* simd.h: the vector of one instruction set and one precision.

   kernels.c is compiled once for each pair, with FNN_DOUBLE 0 or 1 and the compiler's own macros telling the instruction
   set; all code above this file is written once, in these words:

   real, VL                        the element, and how many of them a vector holds
   vreal, vint, vmask, vtail       a vector; its bits as integers of the same width; a truth per lane; "the first n lanes"
   v_load v_store                  unaligned
   v_tail(n), 0 < n < VL           v_load_tail reads n elements and fills with zeros; v_store_tail writes n elements
   v_set v_zero                    one value in every lane
   v_add v_sub v_mul v_div v_sqrt  correctly rounded
   v_fma(a, b, c)                  a b + c with one rounding (two on machines without: FNN_HAS_FMA tells)
   v_fnma(a, b, c)                 c - a b, likewise
   v_max(a, b)                     a > b ? a : b, so that b is the answer when either is NaN; v_min(a, b) a < b ? a : b
   v_abs v_neg v_copysign(a, s)    on the sign bit alone
   v_abs_atmost(a, high)           the smaller of |a| and high; high where a is NaN
   v_ramp(a)                       a, but 0 where a < 0, and NaN where it is -infinity: what a - a is there
   v_lt v_le v_gt v_ge v_eq v_ne   false on NaN, but for v_ne
   m_and m_or m_not m_any
   v_select(m, a, b)               m ? a : b; v_where(m, a) m ? a : 0; v_unless(m, a) m ? 0 : a
   v_round                         to the nearest integer, ties to even, for |x| < 2^21
   v_pow2(n)                       2^n for an integral n in the normal range
   v_scale(a, n)                   a 2^n for an integral n and a near 1, rounded once, denormal results included
   v_top(a)                        the largest lane
   v_bits v_real i_set i_add i_sub i_and i_or i_shl i_shr(logical)   bit work; v_fromint(i) for |i| < 2^21
   v_transpose(p, row, out, out_row)   turn TRANSPOSE_COLUMNS elements of each of VL rows, at p + row[i], into as many vectors
   w_half w_load w_total           doubles from half of a vector, or from memory; the sum of their lanes, halves with halves
   sum16                           sixteen running sums in double, one per virtual lane, whatever VL is */
#ifndef FNN_SIMD_H
#define FNN_SIMD_H

#include <math.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#ifndef FNN_DOUBLE
#error "compile kernels.c with -DFNN_DOUBLE=0 or -DFNN_DOUBLE=1"
#endif

#define FNN_JOIN2_(a, b) a##b
#define FNN_JOIN2(a, b) FNN_JOIN2_(a, b)
#define FNN_JOIN3(a, b, c) FNN_JOIN2(FNN_JOIN2(a, b), c)

#if defined(__GNUC__) || defined(__clang__)
#define FNN_INLINE static inline __attribute__((always_inline, unused))
#define FNN_UNROLL _Pragma("GCC unroll 32")
#define FNN_OPAQUE(p) __asm__("" : "+r"(p))              /* the compiler knows no more where it came from */
#define FNN_PREFETCH(p) __builtin_prefetch(p, 1)         /* to be written */
#define FNN_PREFETCH_NEAR(p) __builtin_prefetch(p, 0, 3) /* to be read at once: into the first-level cache */
#define FNN_PREFETCH_FAR(p) __builtin_prefetch(p, 0, 2)  /* to be read a while later: into the second-level cache */
#else
#define FNN_INLINE static inline
#define FNN_UNROLL
#define FNN_OPAQUE(p) ((void)(p))
#define FNN_PREFETCH(p) ((void)(p))
#define FNN_PREFETCH_NEAR(p) ((void)(p))
#define FNN_PREFETCH_FAR(p) ((void)(p))
#endif

#if FNN_DOUBLE
typedef double real;
typedef int64_t int_of_real;
#define FNN_MANTISSA 52
#define FNN_EXPONENT_BIAS 1023
#define FNN_MAGIC 0x1.8p52 /* adding it puts a small integer into the low bits */
#define REAL_MAX 0x1.fffffffffffffp1023
#define REAL_TINY 0x1p-1022 /* the smallest normal number */
#define REAL_TINY_ROOT 0x1p-511
#else
typedef float real;
typedef int32_t int_of_real;
#define FNN_MANTISSA 23
#define FNN_EXPONENT_BIAS 127
#define FNN_MAGIC 0x1.8p23f
#define REAL_MAX 0x1.fffffep127f
#define REAL_TINY 0x1p-126f
#define REAL_TINY_ROOT 0x1p-63f
#endif

#if defined(FNN_FORCE_PORTABLE)
#include "simd_portable.h"
#elif defined(__x86_64__) || defined(_M_X64)
#include "simd_x86.h"
#elif defined(__aarch64__) || defined(_M_ARM64)
#include "simd_neon.h"
#else
#include "simd_portable.h"
#endif

/* ------------------------------------------------------------------------------------- what follows from the above */

#ifdef FNN_TAIL_BY_COPY /* no masked access: through a buffer */
typedef size_t vtail;
FNN_INLINE vtail v_tail(size_t n) { return n; }
FNN_INLINE vreal v_load_tail(const real *p, vtail n)
{
    real lane[VL] = {0};
    for (size_t i = 0; i < n; i++)
        lane[i] = p[i];
    return v_load(lane);
}
FNN_INLINE void v_store_tail(real *p, vreal a, vtail n)
{
    real lane[VL];
    v_store(lane, a);
    FNN_UNROLL for (size_t i = 0; i < VL; i++)
        if (i < n)
            p[i] = lane[i];
}
#endif

#define FNN_SIGN ((int_of_real)((uint64_t)1 << (8 * sizeof(real) - 1)))

FNN_INLINE vmask v_gt(vreal a, vreal b) { return v_lt(b, a); }
FNN_INLINE vmask v_ge(vreal a, vreal b) { return v_le(b, a); }
FNN_INLINE vreal v_abs(vreal a) { return v_real(i_and(v_bits(a), i_set((int_of_real)~FNN_SIGN))); }
FNN_INLINE vreal v_neg(vreal a) { return v_real(i_xor(v_bits(a), i_set(FNN_SIGN))); }
FNN_INLINE vreal v_copysign(vreal a, vreal sign)
{
    const vint bit = i_set(FNN_SIGN);
    return v_real(i_or(i_and(v_bits(a), i_set((int_of_real)~FNN_SIGN)), i_and(v_bits(sign), bit)));
}
#ifndef FNN_HAS_WHERE
FNN_INLINE vreal v_where(vmask m, vreal a) { return v_select(m, a, v_zero()); }
FNN_INLINE vreal v_unless(vmask m, vreal a) { return v_select(m, v_zero(), a); }
#endif
#ifndef FNN_HAS_RANGE
FNN_INLINE vreal v_abs_atmost(vreal a, vreal high) { return v_min(v_abs(a), high); }
FNN_INLINE vreal v_ramp(vreal a) { return v_select(v_lt(a, v_zero()), v_sub(a, a), a); }
#endif
/* n + MAGIC holds n in its low bits: shifted up, they are an exponent */
FNN_INLINE vreal v_pow2(vreal n)
{
    const vint low = v_bits(v_add(n, v_set(FNN_MAGIC)));
    return v_real(i_shl(i_add(low, i_set(FNN_EXPONENT_BIAS)), FNN_MANTISSA));
}
#ifndef FNN_HAS_SCALE /* in two steps, each of which is a normal number */
FNN_INLINE vreal v_scale(vreal a, vreal n)
{
    const vint whole = v_bits(v_add(n, v_set((real)(FNN_MAGIC + 2 * FNN_EXPONENT_BIAS)))), half = i_shr(whole, 1);
    return v_mul(v_mul(a, v_real(i_shl(half, FNN_MANTISSA))), v_real(i_shl(i_sub(whole, half), FNN_MANTISSA)));
}
#endif
FNN_INLINE vreal v_fromint(vint i)
{
    const vreal magic = v_set(FNN_MAGIC);
    return v_sub(v_real(i_add(i, v_bits(magic))), magic);
}
/* The first n lanes (0 < n <= VL) of memory, zeros behind them; and their store. For code that is not in a hurry. */
FNN_INLINE vreal v_load_n(const real *p, size_t n) { return n >= VL ? v_load(p) : v_load_tail(p, v_tail(n)); }
FNN_INLINE void v_store_n(real *p, vreal a, size_t n)
{
    if (n >= VL)
        v_store(p, a);
    else
        v_store_tail(p, a, v_tail(n));
}

/* Sixteen running sums: element i of a row goes to lane i % 16, whatever VL is, and the lanes are added in one order */
#define SUM_LANES 16
#define SUM_VECTORS (SUM_LANES / VL)
#define FNN_HALVES (VL / WL)
typedef struct {
    vwide lane[SUM_LANES / WL];
} sum16;

FNN_INLINE sum16 sum16_zero(void)
{
    sum16 s;
    FNN_UNROLL for (int i = 0; i < SUM_LANES / WL; i++)
        s.lane[i] = w_set(0);
    return s;
}
/* a = elements VL v .. VL v + VL - 1 of a group of sixteen */
FNN_INLINE void sum16_add(sum16 *s, int v, vreal a)
{
    FNN_UNROLL for (int half = 0; half < FNN_HALVES; half++)
        s->lane[v * FNN_HALVES + half] = w_add(s->lane[v * FNN_HALVES + half], w_half(a, half));
}
/* The same of a b, each product exact where real is float */
FNN_INLINE void sum16_add_product(sum16 *s, int v, vreal a, vreal b)
{
    FNN_UNROLL for (int half = 0; half < FNN_HALVES; half++)
    {
        vwide *lane = &s->lane[v * FNN_HALVES + half];
        *lane = w_add(*lane, w_mul(w_half(a, half), w_half(b, half)));
    }
}
/* Halves are added to each other until one lane is left, whatever the width of the machine's vector */
FNN_INLINE double sum16_total(const sum16 *s)
{
    vwide lane[SUM_LANES / WL];
    FNN_UNROLL for (int i = 0; i < SUM_LANES / WL; i++)
        lane[i] = s->lane[i];
    FNN_UNROLL for (int width = SUM_LANES / WL / 2; width > 0; width /= 2)
        FNN_UNROLL for (int i = 0; i < width; i++)
            lane[i] = w_add(lane[i], lane[i + width]);
    return w_total(lane[0]);
}
#endif
