/* elementwise.h: what happens to each element alone: the activations and their derivatives.
   Two rules: the tail of an array runs the vector code too, on lanes filled with zeros; and y may be x, dx may be dy. */

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
    static void FNN_JOIN2(name, _forward)(ptrdiff_t n, const real *x, real *y, const double *p)                        \
    {                                                                                                                  \
        ptrdiff_t i = 0;                                                                                               \
        for (; i + VL <= n; i += VL)                                                                                   \
            v_store(y + i, FNN_JOIN2(name, _value)(v_load(x + i), p));                                                 \
        if (i < n) {                                                                                                   \
            const vtail rest = v_tail((size_t)(n - i));                                                                \
            v_store_tail(y + i, FNN_JOIN2(name, _value)(v_load_tail(x + i, rest), p), rest);                           \
        }                                                                                                              \
    }                                                                                                                  \
    static void FNN_JOIN2(name, _backward)(ptrdiff_t n, const real *xy, const real *dy, real *dx, const double *p)     \
    {                                                                                                                  \
        ptrdiff_t i = 0;                                                                                               \
        for (; i + VL <= n; i += VL)                                                                                   \
            v_store(dx + i, v_mul(v_load(dy + i), FNN_JOIN2(name, _slope)(v_load(xy + i), p)));                        \
        if (i < n) {                                                                                                   \
            const vtail rest = v_tail((size_t)(n - i));                                                                \
            const vreal slope = FNN_JOIN2(name, _slope)(v_load_tail(xy + i, rest), p);                                 \
            v_store_tail(dx + i, v_mul(v_load_tail(dy + i, rest), slope), rest);                                       \
        }                                                                                                              \
    }
#include "activations.def"
#undef ACTIVATION
#undef par
