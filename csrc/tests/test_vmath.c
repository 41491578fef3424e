/* test_vmath.c: the functions of vmath.h, against the C library in a wider type.

   Every binade of both signs is sampled, and the places where a function bends more closely. `test_vmath 100000` takes that
   many points of each binade in place of 500; the figures in the comments of vmath.h come from such runs, with "verbose"
   behind it. The bound is BOUND units in the last place everywhere. */
#include "fnn.h"
#include "check.h"

#include <float.h>
#include <math.h>
#include <string.h>

#define BOUND 2.0
#define CHUNK 4096
typedef long double wide;

static uint64_t random_state = 88172645463325252u;
static uint64_t random_bits(void)
{
    random_state ^= random_state << 13, random_state ^= random_state >> 7, random_state ^= random_state << 17;
    return random_state * 2685821657736338717u;
}
static double random_unit(void) { return (double)(random_bits() >> 11) * 0x1p-53; }

static wide wide_sigmoid(wide x) { return x >= 0 ? 1 / (1 + expl(-x)) : expl(x) / (1 + expl(x)); }
static wide wide_softplus(wide x) { return fmaxl(x, 0) + log1pl(expl(-fabsl(x))); }
static wide wide_log_sigmoid(wide x) { return -wide_softplus(-x); }
static double double_sigmoid(double x) { return x >= 0 ? 1 / (1 + exp(-x)) : exp(x) / (1 + exp(x)); }
static double double_softplus(double x) { return fmax(x, 0) + log1p(exp(-fabs(x))); }
static double double_log_sigmoid(double x) { return -double_softplus(-x); }

typedef struct {
    const char *name;
    wide (*exact)(wide);
    double (*nearly)(double); /* exact enough for float */
    struct {
        double low, high;
    } closely[4];
} function;
#define ROW(name, wide_f, double_f, ...) [FNN_MATH_##name] = {#name, wide_f, double_f, {__VA_ARGS__}}
static const function functions[FNN_MATHS] = {
    ROW(exp, expl, exp, {-750, 715}, {-106, 90}, {-1, 1}),
    ROW(expm1, expm1l, expm1, {-50, 715}, {-20, 90}, {-2, 2}),
    ROW(log, logl, log, {0, 4}, {0.7, 1.6}, {0, 1000}),
    ROW(log1p, log1pl, log1p, {-1, 3}, {-0.5, 0.7}, {-1, 100}),
    ROW(tanh, tanhl, tanh, {-25, 25}, {-10, 10}, {-1, 1}),
    ROW(sigmoid, wide_sigmoid, double_sigmoid, {-750, 50}, {-106, 20}, {-5, 5}),
    ROW(softplus, wide_softplus, double_softplus, {-750, 50}, {-106, 20}, {-5, 5}),
    ROW(log_sigmoid, wide_log_sigmoid, double_log_sigmoid, {-50, 750}, {-20, 106}, {-5, 5}),
    ROW(erf, erfl, erf, {-7, 7}, {-4, 4}, {-1.1, 1.1}),
};
static double worst[FNN_MATHS][2];

/* |y - exact| in units of the last of `digits` bits of exact, whose exponent is at least `lowest` */
static double ulps(wide y, wide exact, int digits, int lowest, int highest)
{
    int exponent;
    if (isnan(exact) || isnan(y))
        return isnan(exact) && isnan(y) ? 0 : INFINITY;
    if (y == exact)
        return 0;
    if (isinf(exact))
        exact = copysignl(ldexpl(1, highest), exact);
    if (isinf(y)) /* the next number after the largest, if there were one */
        y = copysignl(ldexpl(1, highest), y);
    if (fabsl(exact) > ldexpl(1, highest))
        exact = copysignl(ldexpl(1, highest), exact);
    frexpl(exact, &exponent);
    if (exponent > highest)
        exponent = highest;
    return (double)(fabsl(y - exact) / ldexpl(1, (exponent < lowest ? lowest : exponent) - digits));
}

/* One for each precision: n values through the table, each compared */
#define COMPARE(real, is_double, digits, lowest, highest, reference)                                                   \
    static void compare_##real(int kind, int n, const real *x)                                                         \
    {                                                                                                                  \
        static real y[CHUNK];                                                                                          \
        double *most = &worst[kind][is_double];                                                                        \
        fnn_math(kind, n, x, y);                                                                                       \
        for (int i = 0; i < n; i++) {                                                                                  \
            const double error = ulps(y[i], reference, digits, lowest, highest);                                       \
            CHECK(error <= BOUND, "%s(%.17g = %a) of " #real " is %a, %.3f ULP off", functions[kind].name,             \
                  (double)x[i], (double)x[i], (double)y[i], error);                                                    \
            *most = error > *most ? error : *most;                                                                     \
        }                                                                                                              \
    }
COMPARE(float, 0, FLT_MANT_DIG, FLT_MIN_EXP, FLT_MAX_EXP, functions[kind].nearly((double)x[i]))
COMPARE(double, 1, DBL_MANT_DIG, DBL_MIN_EXP, DBL_MAX_EXP, functions[kind].exact((wide)x[i]))

#define SWEEP(real, bits_type, mantissa, exponents)                                                                    \
    static void sweep_##real(int kind, int points)                                                                     \
    {                                                                                                                  \
        static real x[CHUNK];                                                                                          \
        int n = 0;                                                                                                     \
        for (bits_type top = 0; top <= 2 * (bits_type)exponents + 1; top++) /* the sign and the exponent */            \
            for (int i = 0; i < points; i++) {                                                                         \
                const bits_type low = (bits_type)random_bits() & (((bits_type)1 << mantissa) - 1);                     \
                const bits_type bits = top << mantissa | (i == 0 ? 0 : i == 1 ? ((bits_type)1 << mantissa) - 1 : low); \
                memcpy(&x[n++], &bits, sizeof bits);                                                                   \
                if (n == CHUNK)                                                                                        \
                    compare_##real(kind, n, x), n = 0;                                                                 \
            }                                                                                                          \
        for (int part = 0; part < 4; part++)                                                                           \
            for (int i = 0; i < 200 * points; i++) {                                                                   \
                const double low = functions[kind].closely[part].low, high = functions[kind].closely[part].high;       \
                x[n++] = (real)(low + (high - low) * random_unit());                                                   \
                if (n == CHUNK)                                                                                        \
                    compare_##real(kind, n, x), n = 0;                                                                 \
            }                                                                                                          \
        compare_##real(kind, n, x);                                                                                    \
    }
SWEEP(float, uint32_t, 23, 255)
SWEEP(double, uint64_t, 52, 2047)

/* Exact answers, signs of zero among them; and the last elements of an array get the same bits as the first */
#define SPECIALS(real)                                                                                                 \
    static void specials_##real(void)                                                                                  \
    {                                                                                                                  \
        static const struct {                                                                                          \
            int kind;                                                                                                  \
            real x, y;                                                                                                 \
        } rows[] = {                                                                                                   \
            {FNN_MATH_exp, 0, 1},                                                                                      \
            {FNN_MATH_exp, -0.0, 1},                                                                                   \
            {FNN_MATH_exp, INFINITY, INFINITY},                                                                        \
            {FNN_MATH_exp, -INFINITY, 0},                                                                              \
            {FNN_MATH_expm1, 0, 0},                                                                                    \
            {FNN_MATH_expm1, -0.0, -0.0},                                                                              \
            {FNN_MATH_expm1, INFINITY, INFINITY},                                                                      \
            {FNN_MATH_expm1, -INFINITY, -1},                                                                           \
            {FNN_MATH_log, 1, 0},                                                                                      \
            {FNN_MATH_log, 0, -INFINITY},                                                                              \
            {FNN_MATH_log, -0.0, -INFINITY},                                                                           \
            {FNN_MATH_log, -1, NAN},                                                                                   \
            {FNN_MATH_log, INFINITY, INFINITY},                                                                        \
            {FNN_MATH_log, -INFINITY, NAN},                                                                            \
            {FNN_MATH_log1p, 0, 0},                                                                                    \
            {FNN_MATH_log1p, -0.0, -0.0},                                                                              \
            {FNN_MATH_log1p, -1, -INFINITY},                                                                           \
            {FNN_MATH_log1p, -2, NAN},                                                                                 \
            {FNN_MATH_log1p, INFINITY, INFINITY},                                                                      \
            {FNN_MATH_log1p, -INFINITY, NAN},                                                                          \
            {FNN_MATH_tanh, 0, 0},                                                                                     \
            {FNN_MATH_tanh, -0.0, -0.0},                                                                               \
            {FNN_MATH_tanh, INFINITY, 1},                                                                              \
            {FNN_MATH_tanh, -INFINITY, -1},                                                                            \
            {FNN_MATH_sigmoid, 0, 0.5},                                                                                \
            {FNN_MATH_sigmoid, INFINITY, 1},                                                                           \
            {FNN_MATH_sigmoid, -INFINITY, 0},                                                                          \
            {FNN_MATH_softplus, INFINITY, INFINITY},                                                                   \
            {FNN_MATH_softplus, -INFINITY, 0},                                                                         \
            {FNN_MATH_log_sigmoid, INFINITY, 0},                                                                       \
            {FNN_MATH_log_sigmoid, -INFINITY, -INFINITY},                                                              \
            {FNN_MATH_erf, 0, 0},                                                                                      \
            {FNN_MATH_erf, -0.0, -0.0},                                                                                \
            {FNN_MATH_erf, INFINITY, 1},                                                                               \
            {FNN_MATH_erf, -INFINITY, -1},                                                                             \
        };                                                                                                             \
        for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {                                                      \
            real y = 7;                                                                                                \
            fnn_math(rows[i].kind, 1, &rows[i].x, &y);                                                                 \
            CHECK(isnan(rows[i].y) ? isnan(y)                                                                          \
                                   : y == rows[i].y && (y != 0 || rows[i].kind == FNN_MATH_log_sigmoid ||              \
                                                        !signbit(y) == !signbit(rows[i].y)),                           \
                  "%s(%g) of " #real " should be %g, is %g", functions[rows[i].kind].name, (double)rows[i].x,          \
                  (double)rows[i].y, (double)y);                                                                       \
        }                                                                                                              \
        for (int kind = 0; kind < FNN_MATHS; kind++) {                                                                 \
            real x[67], all[67], one;                                                                                  \
            for (int i = 0; i < 67; i++)                                                                               \
                x[i] = (real)(i == 66 ? (double)NAN : 20 * random_unit() - 10);                                        \
            fnn_math(kind, 67, x, all);                                                                                \
            CHECK(isnan(all[66]), "%s(NaN) of " #real " is %g", functions[kind].name, (double)all[66]);                \
            for (int i = 0; i < 66; i++) {                                                                             \
                fnn_math(kind, 1, x + i, &one);                                                                        \
                CHECK(isnan(one) ? isnan(all[i]) : one == all[i], "%s: element %d depends on its place",               \
                      functions[kind].name, i);                                                                        \
            }                                                                                                          \
        }                                                                                                              \
    }
SPECIALS(float)
SPECIALS(double)

int main(int argc, char **argv)
{
    const int points = argc > 1 ? atoi(argv[1]) : 500;
    fnn = fnn_choose(getenv("FASTNN_ISA"));
    if (!fnn)
        return check_skip("vmath", "this machine lacks the instruction set");
    for (int kind = 0; kind < FNN_MATHS; kind++) {
        sweep_float(kind, points);
        if (LDBL_MANT_DIG > DBL_MANT_DIG)
            sweep_double(kind, (points + 9) / 10);
        if (argc > 2)
            printf("%-12s %-7s float %.3f double %.3f\n", functions[kind].name, fnn->isa, worst[kind][0],
                   worst[kind][1]);
    }
    specials_float();
    specials_double();
    return check_report("vmath");
}
