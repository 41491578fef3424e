/* The update rules and what goes with a step, in memory of exactly their size (for ASan): every size gives the bits of
   the whole, and all machines with fused multiply-add the same bits, whose digest is written here. */
#include "check.h"
#include "fnn.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { WHOLE = 37, STEPS = 3 };

/* Of the weights and slots of all rules and kinds of steps, float and then double. A change to a rule changes it: run
   the test, which prints what came, on two kinds of machine. */
static const uint64_t DIGEST = 0x4acfea7f24a7be9fu;
static uint64_t digest = 0xcbf29ce484222325u;

static void add_to_digest(const void *bytes, size_t n)
{
    for (size_t i = 0; i < n; i++)
        digest = (digest ^ ((const unsigned char *)bytes)[i]) * 0x100000001b3u;
}

static uint64_t state;
static double number(void)
{
    state = state * 6364136223846793005u + 1442695040888963407u;
    return (double)(int64_t)(state >> 11) / (double)(1ll << 52) - 1;
}

/* Hyperparameters that are within the bounds of every rule: a decay, another, an epsilon or a bound, a flag or a bound */
static const double hypers[FNN_HYPERS] = {0.5, 0.75, 0.001953125, 1};

#define DEFINE_TESTS(real, T)                                                                                          \
    /* w and the slots after some steps with elements first..first + n - 1 of the numbers that the seed gives */       \
    static void train_##T(int rule, int full, ptrdiff_t first, ptrdiff_t n, real *out)                                 \
    {                                                                                                                  \
        const size_t bytes = n ? (size_t)n * sizeof(real) : 1;                                                         \
        real *w = malloc(bytes), *g = malloc(bytes), *sum = malloc(bytes), *average = malloc(bytes);                   \
        real *slot[FNN_SLOTS];                                                                                         \
        double memory = 1, constants[FNN_CONSTANTS];                                                                   \
        state = 1;                                                                                                     \
        for (ptrdiff_t i = 0; i < WHOLE; i++) {                                                                        \
            const real x = (real)number();                                                                             \
            if (i >= first && i < first + n)                                                                           \
                w[i - first] = x, sum[i - first] = x / 8, average[i - first] = x / 2;                                  \
        }                                                                                                              \
        for (int s = 0; s < FNN_SLOTS; s++) {                                                                          \
            slot[s] = malloc(bytes);                                                                                   \
            for (ptrdiff_t i = 0; i < n; i++)                                                                          \
                slot[s][i] = (real)0.125;                                                                              \
        }                                                                                                              \
        for (int t = 1; t <= STEPS; t++) {                                                                             \
            for (ptrdiff_t i = 0; i < WHOLE; i++) {                                                                    \
                const real x = (real)number();                                                                         \
                if (i >= first && i < first + n)                                                                       \
                    g[i - first] = x;                                                                                  \
            }                                                                                                          \
            fnn->optimizer_rows[rule].remember(t, hypers, &memory);                                                    \
            fnn->optimizer_rows[rule].constants(0.1, t, hypers, &memory, constants);                                   \
            const fnn_step step = {.unscale = 0.3,                                                                     \
                                   .l1 = 0.01,                                                                         \
                                   .l2 = 0.02,                                                                         \
                                   .steps = 3,                                                                         \
                                   .scale = t == 2 ? 0.7 : 1,                                                          \
                                   .clip = 0.4,                                                                        \
                                   .decay = 0.01,                                                                      \
                                   .ema = 0.9,                                                                         \
                                   .overwrite = t == 3};                                                               \
            if (full)                                                                                                  \
                fnn_step_rule(rule, n, w, g, slot, sum, average, constants, &step);                                    \
            else                                                                                                       \
                fnn_rule(rule, n, w, g, slot, constants);                                                              \
            if (full && t < STEPS)                                                                                     \
                fnn_step_accumulate(n, w, g, sum, &step);                                                              \
        }                                                                                                              \
        const int slots = fnn->optimizer_rows[rule].slot_count;                                                        \
        for (ptrdiff_t i = 0; i < n; i++) {                                                                            \
            out[i] = w[i];                                                                                             \
            for (int s = 0; s < FNN_SLOTS; s++)                                                                        \
                out[(1 + s) * WHOLE + i] = s < slots ? slot[s][i] : 0;                                                 \
            out[4 * WHOLE + i] = full ? average[i] : 0;                                                                \
        }                                                                                                              \
        free(w), free(g), free(sum), free(average);                                                                    \
        for (int s = 0; s < FNN_SLOTS; s++)                                                                            \
            free(slot[s]);                                                                                             \
    }                                                                                                                  \
                                                                                                                       \
    static void rules_##T(void)                                                                                        \
    {                                                                                                                  \
        static real whole[5 * WHOLE], part[5 * WHOLE];                                                                 \
        for (int rule = 0; rule < FNN_OPTIMIZERS; rule++)                                                              \
            for (int full = 0; full < 2; full++) {                                                                     \
                train_##T(rule, full, 0, WHOLE, whole);                                                                \
                for (int i = 0; i < 5 * WHOLE; i++)                                                                    \
                    CHECK(isfinite((double)whole[i]), "%s %d", fnn->optimizer_rows[rule].name, i);                     \
                add_to_digest(whole, sizeof whole);                                                                    \
                for (ptrdiff_t first = 0; first < 3; first++)                                                          \
                    for (ptrdiff_t n = 0; first + n <= WHOLE; n++) {                                                   \
                        train_##T(rule, full, first, n, part);                                                         \
                        for (int s = 0; s < 5; s++)                                                                    \
                            CHECK(memcmp(part + s * WHOLE, whole + s * WHOLE + first, (size_t)n * sizeof(real)) == 0,  \
                                  "%s " #T " %s: %td from %td, array %d", fnn->isa, fnn->optimizer_rows[rule].name, n, \
                                  first, s);                                                                           \
                    }                                                                                                  \
            }                                                                                                          \
    }                                                                                                                  \
                                                                                                                       \
    static void sums_##T(void)                                                                                         \
    {                                                                                                                  \
        const fnn_step plain = {.unscale = 1, .steps = 1, .scale = 1};                                                 \
        for (ptrdiff_t n = 0; n <= 70; n++) {                                                                          \
            real *w = malloc(n ? (size_t)n * sizeof(real) : 1);                                                        \
            double squares = 0, magnitudes = 0, sums[2];                                                               \
            for (ptrdiff_t i = 0; i < n; i++) {                                                                        \
                w[i] = (real)number();                                                                                 \
                squares += (double)w[i] * (double)w[i], magnitudes += fabs((double)w[i]);                              \
            }                                                                                                          \
            const double got = fnn_step_squares(n, w, w, (real *)NULL, &plain);                                        \
            fnn_penalties(n, w, sums);                                                                                 \
            add_to_digest(sums, sizeof sums);                                                                          \
            CHECK(fabs(got - squares) <= 1e-14 * squares, "%td: %g, not %g", n, got, squares);                         \
            CHECK(got == sums[1] && fabs(sums[0] - magnitudes) <= 1e-14 * magnitudes, "%td: %g", n, sums[0]);          \
            free(w);                                                                                                   \
        }                                                                                                              \
        for (ptrdiff_t columns = 1; columns <= FNN_COLUMNS; columns++) {                                               \
            const ptrdiff_t rows = 3, row = columns + 2, size = (rows - 1) * row + columns;                            \
            real *w = malloc((size_t)size * sizeof(real)), *was = malloc((size_t)size * sizeof(real));                 \
            double sums[FNN_COLUMNS], factors[FNN_COLUMNS];                                                            \
            for (ptrdiff_t i = 0; i < size; i++)                                                                       \
                w[i] = was[i] = (real)number();                                                                        \
            for (int j = 0; j < FNN_COLUMNS; j++)                                                                      \
                factors[j] = j + 2;                                                                                    \
            fnn_column_squares(rows, columns, row, w, sums);                                                           \
            fnn_scale_columns(rows, columns, row, w, factors);                                                         \
            for (ptrdiff_t j = 0; j < columns; j++) {                                                                  \
                double want = 0;                                                                                       \
                for (ptrdiff_t i = 0; i < rows; i++)                                                                   \
                    want += (double)was[i * row + j] * (double)was[i * row + j];                                       \
                CHECK(sums[j] == want, "column %td of %td: %g, not %g", j, columns, sums[j], want);                    \
            }                                                                                                          \
            for (ptrdiff_t i = 0; i < size; i++)                                                                       \
                CHECK(w[i] == (i % row < columns ? was[i] * (real)(i % row + 2) : was[i]), "%td", i);                  \
            free(w), free(was);                                                                                        \
        }                                                                                                              \
    }

/* x and dz such that zeros of both signs, numbers that vanish and infinite ones come out */
#define DEFINE_MORE(real, T, MOST)                                                                                     \
    static real any_##T(void)                                                                                          \
    {                                                                                                                  \
        const double x = number(), kind = number();                                                                    \
        return (real)(kind < -0.8 ? 0 * x : kind < -0.6 ? x * MOST : kind < -0.4 ? x / MOST : x);                      \
    }                                                                                                                  \
                                                                                                                       \
    static void outer_##T(void)                                                                                        \
    {                                                                                                                  \
        for (ptrdiff_t columns = 0; columns <= 40; columns++)                                                          \
            for (ptrdiff_t rows = 0; rows <= 5; rows++) {                                                              \
                const size_t size = (size_t)(rows * columns + 1) * sizeof(real);                                       \
                real *x = malloc((size_t)(rows + 1) * sizeof(real)), *dz = malloc((size_t)(columns + 1) * sizeof *dz); \
                real *out = malloc(size), *want = malloc(size);                                                        \
                for (ptrdiff_t i = 0; i < rows; i++)                                                                   \
                    x[i] = any_##T();                                                                                  \
                for (ptrdiff_t j = 0; j < columns; j++)                                                                \
                    dz[j] = any_##T();                                                                                 \
                fnn_outer(rows, columns, x, dz, out);                                                                  \
                const ptrdiff_t width = FNN_OF(x)->tile[FNN_TILE_WIDE].columns;                                        \
                for (ptrdiff_t i = 0; i < rows; i++)                                                                   \
                    for (ptrdiff_t j = 0; j < columns; j += width)                                                     \
                        fnn_tile(FNN_TILE_WIDE, 1, columns - j < width ? columns - j : width, 1, x + i, 1, 1, dz + j,  \
                                 columns, want + i * columns + j, columns, (const real *)NULL, 0, 0, 0);               \
                CHECK(memcmp(out, want, (size_t)(rows * columns) * sizeof(real)) == 0, "%td x %td", rows, columns);    \
                free(x), free(dz), free(out), free(want);                                                              \
            }                                                                                                          \
    }                                                                                                                  \
                                                                                                                       \
    static void rough_##T(void)                                                                                        \
    {                                                                                                                  \
        for (ptrdiff_t n = 0; n <= 300; n += n < 70 ? 1 : 23) {                                                        \
            real *x = malloc((size_t)(n ? n : 1) * sizeof(real));                                                      \
            double want = 0;                                                                                           \
            for (ptrdiff_t i = 0; i < n; i++) {                                                                        \
                x[i] = (real)number();                                                                                 \
                want += (double)x[i] * (double)x[i];                                                                   \
            }                                                                                                          \
            CHECK(fabs(fnn_rough_squares(n, x) - want) <= 1e-5 * want, "%td", n);                                      \
            for (ptrdiff_t i = 0; i < n; i++) {                                                                        \
                const real was = x[i];                                                                                 \
                x[i] = (real)NAN;                                                                                      \
                CHECK(!fnn_below_two(n, x), "NaN at %td of %td", i, n);                                                \
                CHECK(isnan(fnn_rough_squares(n, x)), "NaN at %td of %td", i, n);                                      \
                x[i] = (real) - INFINITY;                                                                              \
                CHECK(fnn_rough_squares(n, x) == INFINITY, "infinity at %td of %td", i, n);                            \
                CHECK(!fnn_below_two(n, x), "infinity at %td of %td", i, n);                                           \
                x[i] = (real) - 2;                                                                                     \
                CHECK(!fnn_below_two(n, x), "2 at %td of %td", i, n);                                                  \
                x[i] = sizeof(real) == 4 ? (real)0x1.fffffep0 : (real)0x1.fffffffffffffp0;                             \
                CHECK(fnn_below_two(n, x), "less at %td of %td", i, n);                                                \
                x[i] = (real) - 1e9;                                                                                   \
                CHECK(fnn_rough_squares(n, x) >= 0.9999999e18, "1e9 at %td of %td", i, n);                             \
                x[i] = was;                                                                                            \
            }                                                                                                          \
            free(x);                                                                                                   \
        }                                                                                                              \
    }                                                                                                                  \
                                                                                                                       \
    /* No step changes a weight by more than its rule says, or makes a slot larger, from gradients of any size */      \
    static void bounds_##T(void)                                                                                       \
    {                                                                                                                  \
        for (int rule = 0; rule < FNN_OPTIMIZERS; rule++) {                                                            \
            const fnn_optimizer_row *row = &fnn->optimizer_rows[rule];                                                 \
            for (int trial = 0; trial < 200; trial++) {                                                                \
                real w[WHOLE], before[WHOLE], g[WHOLE], slots[FNN_SLOTS][WHOLE];                                       \
                real *slot[FNN_SLOTS] = {slots[0], slots[1], slots[2]};                                                \
                double bound[FNN_SLOTS], constants[FNN_CONSTANTS], memory = 1, largest, change = 0;                    \
                for (int i = 0; i < WHOLE; i++)                                                                        \
                    for (int s = 0; s < FNN_SLOTS; s++)                                                                \
                        slots[s][i] = (real)(rule == FNN_OPTIMIZER_rprop && s == 1 ? 0.125 : 0);                       \
                bound[0] = bound[2] = 0, bound[1] = (double)slots[1][0];                                               \
                for (int t = 1; t <= 6; t++) {                                                                         \
                    largest = pow(10, 8 * number());                                                                   \
                    for (int i = 0; i < WHOLE; i++) {                                                                  \
                        w[i] = before[i] = (real)0;                                                                    \
                        g[i] = (real)(largest * (i % 3 ? number() : i % 2 ? 1 : -1));                                  \
                    }                                                                                                  \
                    row->remember(t, hypers, &memory);                                                                 \
                    row->constants(pow(10, 3 * number()), t, hypers, &memory, constants);                              \
                    for (int i = 0; i < row->constant_count; i++)                                                      \
                        constants[i] = (double)(real)constants[i];                                                     \
                    change = row->bound(largest * 1.000001, constants, bound);                                         \
                    fnn_rule(rule, WHOLE, w, g, slot, constants);                                                      \
                    for (int i = 0; i < WHOLE; i++) {                                                                  \
                        CHECK(fabs((double)w[i]) <= change * 1.00001, "%s: %g, not %g", row->name, (double)w[i],       \
                              change);                                                                                 \
                        for (int s = 0; s < row->slot_count; s++)                                                      \
                            CHECK(fabs((double)slots[s][i]) <= bound[s] * 1.00001, "%s, slot %d: %g, not %g",          \
                                  row->name, s, (double)slots[s][i], bound[s]);                                        \
                    }                                                                                                  \
                }                                                                                                      \
                CHECK(isfinite(change), "%s: no bound", row->name);                                                    \
                memset(constants, 0, sizeof constants); /* an epsilon of 0, and nothing holds */                       \
                change = row->bound(1, constants, bound);                                                              \
                CHECK(!isfinite(change) || rule < FNN_OPTIMIZER_rmsprop || rule >= FNN_OPTIMIZER_lion, "%s: %g",       \
                      row->name, change);                                                                              \
            }                                                                                                          \
        }                                                                                                              \
    }

DEFINE_TESTS(float, f32)
DEFINE_TESTS(double, f64)
DEFINE_MORE(float, f32, 1e30)
DEFINE_MORE(double, f64, 1e200)

int main(void)
{
    fnn = fnn_choose(getenv("FASTNN_ISA"));
    if (!fnn)
        return check_skip("optimizers", "this machine lacks the instruction set");
    rules_f32();
    sums_f32();
    rules_f64();
    sums_f64();
    outer_f32();
    outer_f64();
    rough_f32();
    rough_f64();
    bounds_f32();
    bounds_f64();
    CHECK(!fnn->has_fma || digest == DIGEST, "%s: the digest is 0x%llxu", fnn->isa, (unsigned long long)digest);
    return check_report("optimizers");
}
