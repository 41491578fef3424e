/* dispatch.c: which instruction set the machine has, and the table that goes with it. */
#include "fnn.h"

#include <math.h>
#include <string.h>

#define READS_X 'X'
#define READS_Y 'Y'
const fnn_activation_row fnn_activation_rows[FNN_ACTIVATIONS] = {
#define ACTIVATION(name, reads, forward, derivative, parameters, kinks, range, formula)                                \
    {#name, formula, range, parameters, kinks, READS_##reads},
#include "activations.def"
};
const fnn_activation_row fnn_row_activation_rows[FNN_ROW_ACTIVATIONS] = {
#define ROW_ACTIVATION(name, reads, range, formula) {#name, formula, range, "", "", READS_##reads},
#include "activations.def"
};

const fnn_loss_row fnn_loss_rows[FNN_LOSSES] = {
#define REDUCTION_MEAN 'M'
#define REDUCTION_SUM 'S'
#define LAYOUT_ROWS 'R'
#define LAYOUT_LABELS 'L'
#define LAYOUT_PAIRS 'P'
#define LAYOUT_TRIPLETS 'T'
#define LOSS(name, reduction, where, value, slope, parameters, kinks, formula)                                         \
    {#name, formula, parameters, kinks, 'R', REDUCTION_##reduction},
#define LOSS_OF_ROWS(name, layout, parameters, kinks, formula)                                                         \
    {#name, formula, parameters, kinks, LAYOUT_##layout, 'W'},
#include "losses.def"
};

/* x^n for n >= 0 by squaring: the same bits on every machine, which a library's pow does not promise */
static double power(double x, int64_t n)
{
    double y = 1;
    for (; n > 0; n >>= 1, x *= x) {
        const double factor[2] = {1, x}; /* no branch: nobody foresees the bits of n, and two powers go side by side */
        y *= factor[n & 1];
    }
    return y;
}
#define LET_HYPERS_0()
#define LET_HYPER(a, i)                                                                                                \
    const double a = hyper[i];                                                                                         \
    (void)a;
#define LET_HYPERS_1(a) LET_HYPER(a, 0)
#define LET_HYPERS_2(a, b) LET_HYPERS_1(a) LET_HYPER(b, 1)
#define LET_HYPERS_3(a, b, c) LET_HYPERS_2(a, b) LET_HYPER(c, 2)
#define LET_HYPERS_4(a, b, c, d) LET_HYPERS_3(a, b, c) LET_HYPER(d, 3)
#define VALUES(...) {__VA_ARGS__}

/* NaN is larger than any number, so that a bound that is not known stays so */
static double larger(double a, double b) { return a > b || a != a ? a : b; }
static double smaller(double a, double b) { return a < b ? a : b; }
/* Of epsilon, what a variance is at least that is not negative: both are multiples of a last place of epsilon */
#define LEAST_VARIANCE 0x1p-54
#define LET_CONSTANT(a, i)                                                                                             \
    const double a = constant[i];                                                                                      \
    (void)a;
#define LET_CONSTANTS_1(a) LET_CONSTANT(a, 0)
#define LET_CONSTANTS_2(a, b) LET_CONSTANTS_1(a) LET_CONSTANT(b, 1)
#define LET_CONSTANTS_3(a, b, c) LET_CONSTANTS_2(a, b) LET_CONSTANT(c, 2)
#define LET_CONSTANTS_4(a, b, c, d) LET_CONSTANTS_3(a, b, c) LET_CONSTANT(d, 3)
#define LET_CONSTANTS_5(a, b, c, d, e) LET_CONSTANTS_4(a, b, c, d) LET_CONSTANT(e, 4)
#define LET_CONSTANTS_6(a, b, c, d, e, f) LET_CONSTANTS_5(a, b, c, d, e) LET_CONSTANT(f, 5)
#define LET_SLOTS_0() (void)slot;
#define LET_SLOTS_1(a) double a = slot[0];
#define LET_SLOTS_2(a, b) LET_SLOTS_1(a) double b = slot[1];
#define LET_SLOTS_3(a, b, c) LET_SLOTS_2(a, b) double c = slot[2];
#define PUT_SLOTS_0()
#define PUT_SLOTS_1(a) slot[0] = a;
#define PUT_SLOTS_2(a, b) PUT_SLOTS_1(a) slot[1] = b;
#define PUT_SLOTS_3(a, b, c) PUT_SLOTS_2(a, b) slot[2] = c;
#define OPTIMIZER(name, slots_, slots, initial, hypers_, hypers, constants_, constants, values, remember_, bounds_,    \
                  ...)                                                                                                 \
    static void name##_remember(int64_t t, const double *hyper, double *memory)                                        \
    {                                                                                                                  \
        (void)t, (void)hyper, (void)memory;                                                                            \
        LET_HYPERS_##hypers_ hypers remember_;                                                                         \
    }                                                                                                                  \
    static void name##_constants(double lr, int64_t t, const double *hyper, const double *memory, double *constant)    \
    {                                                                                                                  \
        (void)lr, (void)t, (void)hyper, (void)memory;                                                                  \
        LET_HYPERS_##hypers_ hypers const double value[constants_] = VALUES values;                                    \
        memcpy(constant, value, sizeof value);                                                                         \
    }                                                                                                                  \
    static double name##_bound(double g, const double *constant, double *slot)                                         \
    {                                                                                                                  \
        LET_CONSTANTS_##constants_ constants LET_SLOTS_##slots_ slots double change;                                   \
        (void)bounds_;                                                                                                 \
        PUT_SLOTS_##slots_ slots;                                                                                      \
        return change;                                                                                                 \
    }                                                                                                                  \
    static int name##_within(double g, const double *constants_of, int wide, double most, double largest,              \
                             double *slot)                                                                             \
    {                                                                                                                  \
        double constant[constants_];                                                                                   \
        int within = 1;                                                                                                \
        for (int i = 0; i < constants_; i++) {                                                                         \
            constant[i] = wide ? constants_of[i] : (double)(float)constants_of[i];                                     \
            within &= fabs(constant[i]) <= most;                                                                       \
        }                                                                                                              \
        within &= name##_bound(g, constant, slot) <= largest;                                                          \
        for (int i = 0; i < slots_; i++)                                                                               \
            within &= slot[i] <= largest;                                                                              \
        return within;                                                                                                 \
    }
#include "optimizers.def"

const fnn_optimizer_row fnn_optimizer_rows[FNN_OPTIMIZERS] = {
#define OPTIMIZER(name, slots_, slots, initial, hypers_, hypers, constants_, constants, values, remember_, bounds_,    \
                  text, ...)                                                                                           \
    {#name,      #slots,          initial,          #hypers,      text,         slots_,                                \
     constants_, name##_remember, name##_constants, name##_bound, name##_within},
#include "optimizers.def"
};

/* One fnn_api for each instruction set that was compiled in: FNN_HAVE_<isa> comes from the build. */
#define DECLARE(isa_name)                                                                                              \
    extern const fnn_table_f32 fnn_f32_##isa_name;                                                                     \
    extern const fnn_table_f64 fnn_f64_##isa_name;
#define API(isa_name, fma)                                                                                             \
    {                                                                                                                  \
        .isa = #isa_name,                                                                                              \
        .has_fma = fma,                                                                                                \
        .f32 = &fnn_f32_##isa_name,                                                                                    \
        .f64 = &fnn_f64_##isa_name,                                                                                    \
        .activation_rows = fnn_activation_rows,                                                                        \
        .row_activation_rows = fnn_row_activation_rows,                                                                \
        .loss_rows = fnn_loss_rows,                                                                                    \
        .optimizer_rows = fnn_optimizer_rows,                                                                          \
        .parallel = fnn_parallel,                                                                                      \
        .tell = fnn_tell,                                                                                              \
        .await = fnn_await,                                                                                            \
        .get_threads = fnn_get_threads,                                                                                \
        .set_threads = fnn_set_threads,                                                                                \
        .default_threads = fnn_default_threads,                                                                        \
        .core_cache = fnn_core_cache,                                                                                  \
        .scratch = fnn_scratch,                                                                                        \
        .clock = fnn_clock,                                                                                            \
        .random_words = fnn_random_words,                                                                              \
        .random_uniform = fnn_random_uniform,                                                                          \
        .random_normal = fnn_random_normal,                                                                            \
        .random_truncated = fnn_random_truncated,                                                                      \
        .random_permutation = fnn_random_permutation,                                                                  \
    }

#if defined(FNN_HAVE_base)
#include <cpuid.h>
DECLARE(base)
DECLARE(avx2)
DECLARE(avx512)
/* A build for one machine leaves out what that lacks: the last ones */
static const fnn_api apis[] = {
    API(base, 0),
#ifdef FNN_HAVE_avx2
    API(avx2, 1),
#endif
#ifdef FNN_HAVE_avx512
    API(avx512, 1),
#endif
};

/* The register states that the operating system saves (xgetbv): 6 for AVX's, 0xe6 for AVX-512's too */
static unsigned saved_states(void)
{
    unsigned low, high;
    __asm__ volatile("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
    (void)high;
    return low;
}

/* How many of base, avx2 and avx512 the machine can run */
static int runs(void)
{
    enum { OSXSAVE = 1 << 27, FMA = 1 << 12, AVX2 = 1 << 5 };
    const unsigned avx512 = 1u << 16 | 1u << 17 | 1u << 28 | 1u << 30 | 1u << 31; /* f dq cd bw vl */
    unsigned eax, ebx, ecx, edx;
    if (!__get_cpuid(1, &eax, &ebx, &ecx, &edx) || (ecx & (OSXSAVE | FMA)) != (OSXSAVE | FMA))
        return 1;
    const unsigned saved = saved_states();
    if ((saved & 6) != 6 || !__get_cpuid_count(7, 0, &eax, &ebx, &ecx, &edx) || !(ebx & AVX2))
        return 1;
    return (saved & 0xe6) == 0xe6 && (ebx & avx512) == avx512 ? 3 : 2;
}
#elif defined(FNN_HAVE_neon)
DECLARE(neon)
static const fnn_api apis[] = {API(neon, 1)};
static int runs(void) { return 1; }
#else
DECLARE(portable)
#ifdef FP_FAST_FMA
static const fnn_api apis[] = {API(portable, 1)};
#else
static const fnn_api apis[] = {API(portable, 0)};
#endif
static int runs(void) { return 1; }
#endif

/* How many of apis[] the machine can run */
static int usable(void)
{
    const int built = (int)(sizeof apis / sizeof *apis), can = runs();
    return can < built ? can : built;
}

const fnn_api *fnn_choose(const char *at_most)
{
    const int best = usable();
    if (!at_most || !*at_most)
        return &apis[best - 1];
    for (int i = 0; i < best; i++)
        if (strcmp(apis[i].isa, at_most) == 0)
            return &apis[i];
    return NULL;
}

const char *fnn_available(int index) { return index >= 0 && index < usable() ? apis[index].isa : NULL; }
