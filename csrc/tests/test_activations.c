/* test_activations.c: the kernels of activations.def and rows.h write what they should and nothing else, in place too, for
   every length around the vector and the block. AddressSanitizer watches that nothing beyond the arrays is read: each has
   exactly its size. What they compute is tested from Python. */
#include "fnn.h"
#include "check.h"

#include <math.h>
#include <string.h>

static const double parameters[3] = {0.5, 2, 1};

/* NaN is equal to NaN */
#define SAME(real)                                                                                                     \
    static int same_##real(ptrdiff_t n, const real *a, const real *b)                                                  \
    {                                                                                                                  \
        for (ptrdiff_t i = 0; i < n; i++)                                                                              \
            if (!(a[i] == b[i] || (isnan(a[i]) && isnan(b[i]))))                                                       \
                return 0;                                                                                              \
        return 1;                                                                                                      \
    }                                                                                                                  \
    static real *numbers_##real(ptrdiff_t n, int seed)                                                                 \
    {                                                                                                                  \
        real *x = malloc(n ? (size_t)n * sizeof *x : 1);                                                               \
        for (ptrdiff_t i = 0; i < n; i++)                                                                              \
            x[i] = (real)(((i + seed) * 37 % 101 - 50) / 8.0);                                                         \
        return x;                                                                                                      \
    }
SAME(float)
SAME(double)

#define TEST(real)                                                                                                     \
    static void elements_##real(int kind, ptrdiff_t n)                                                                 \
    {                                                                                                                  \
        const char *name = fnn_activation_rows[kind].name;                                                             \
        real *x = numbers_##real(n, 0), *dy = numbers_##real(n, 5), *y = numbers_##real(n, 9),                         \
             *dx = numbers_##real(n, 9);                                                                               \
        fnn_activation(kind, n, x, y, parameters);                                                                     \
        const real *xy = fnn_activation_rows[kind].reads == 'X' ? x : y;                                               \
        fnn_derivative(kind, n, xy, dy, dx, parameters);                                                               \
        for (ptrdiff_t i = 0; i < n; i++) {                                                                            \
            real one = -77, slope = -77;                                                                               \
            fnn_activation(kind, 1, x + i, &one, parameters);                                                          \
            fnn_derivative(kind, 1, xy + i, dy + i, &slope, parameters);                                               \
            CHECK(same_##real(1, &one, y + i) && same_##real(1, &slope, dx + i), "%s: element %td of %td", name, i,    \
                  n);                                                                                                  \
        }                                                                                                              \
        fnn_derivative(kind, n, xy, dy, dy, parameters);                                                               \
        CHECK(same_##real(n, dx, dy), "%s of " #real ": dx in place of dy, n = %td", name, n);                         \
        fnn_activation(kind, n, x, x, parameters);                                                                     \
        CHECK(same_##real(n, x, y), "%s of " #real ": in place, n = %td", name, n);                                    \
        free(x), free(y), free(dy), free(dx);                                                                          \
    }                                                                                                                  \
    static void rows_##real(int kind, ptrdiff_t rows, ptrdiff_t n)                                                     \
    {                                                                                                                  \
        const char *name = fnn_row_activation_rows[kind].name;                                                         \
        const ptrdiff_t out_n = kind == FNN_ROW_glu ? n / 2 : n;                                                       \
        real *x = numbers_##real(rows * n, 0), *dx = numbers_##real(rows * n, 9);                                      \
        real *y = numbers_##real(rows * out_n, 9), *dy = numbers_##real(rows * out_n, 5);                              \
        fnn_row_activation(kind, rows, n, x, y);                                                                       \
        const real *xy = fnn_row_activation_rows[kind].reads == 'X' ? x : y;                                           \
        fnn_row_derivative(kind, rows, n, xy, dy, dx);                                                                 \
        for (ptrdiff_t i = 0; i < rows; i++) {                                                                         \
            real *one = numbers_##real(n, 1);                                                                          \
            fnn_row_activation(kind, 1, n, x + i * n, one);                                                            \
            CHECK(same_##real(out_n, one, y + i * out_n), "%s: row %td of %td x %td", name, i, rows, n);               \
            fnn_row_derivative(kind, 1, n, xy + i * (xy == x ? n : out_n), dy + i * out_n, one);                       \
            CHECK(same_##real(n, one, dx + i * n), "%s': row %td of %td x %td", name, i, rows, n);                     \
            free(one);                                                                                                 \
        }                                                                                                              \
        if (kind != FNN_ROW_glu) {                                                                                     \
            fnn_row_derivative(kind, rows, n, xy, dy, dy);                                                             \
            CHECK(same_##real(rows * n, dx, dy), "%s of " #real ": dx in place of dy, %td x %td", name, rows, n);      \
            fnn_row_activation(kind, rows, n, x, x);                                                                   \
            CHECK(same_##real(rows * n, x, y), "%s of " #real ": in place, %td x %td", name, rows, n);                 \
        }                                                                                                              \
        free(x), free(y), free(dy), free(dx);                                                                          \
    }                                                                                                                  \
    static void slopes_##real(ptrdiff_t rows, ptrdiff_t n)                                                             \
    {                                                                                                                  \
        real *x = numbers_##real(rows * n, 0), *dy = numbers_##real(rows * n, 5), *y = numbers_##real(rows * n, 9);    \
        real *slope = numbers_##real(n, 2), *dslope = numbers_##real(n, 3);                                            \
        fnn_prelu(rows, n, x, slope, y);                                                                               \
        fnn_prelu_slopes(rows, n, n, x, dy, dslope);                                                                   \
        for (ptrdiff_t j = 0; j < n; j++) {                                                                            \
            double sum = 0;                                                                                            \
            for (ptrdiff_t i = j; i < rows * n; i += n) {                                                              \
                CHECK(y[i] == (x[i] > 0 ? x[i] : slope[j] * x[i]), "prelu: element %td of %td x %td", i, rows, n);     \
                sum += x[i] < 0 ? (double)x[i] * dy[i] : 0;                                                            \
            }                                                                                                          \
            CHECK(dslope[j] == (real)sum, "prelu: slope %td of %td x %td", j, rows, n);                                \
        }                                                                                                              \
        fnn_prelu_derivative(rows, n, x, slope, dy, y);                                                                \
        for (ptrdiff_t i = 0; i < rows * n; i++)                                                                       \
            CHECK(y[i] == (x[i] > 0 ? dy[i] : slope[i % n] * dy[i]), "prelu': element %td of %td x %td", i, rows, n);  \
        free(x), free(y), free(dy), free(slope), free(dslope);                                                         \
    }                                                                                                                  \
    static void all_##real(void)                                                                                       \
    {                                                                                                                  \
        for (int kind = 0; kind < FNN_ACTIVATIONS; kind++)                                                             \
            for (ptrdiff_t n = 0; n < 1100; n = n < 70 ? n + 1 : n + 509)                                              \
                elements_##real(kind, n);                                                                              \
        for (ptrdiff_t rows = 0; rows < 10; rows++)                                                                    \
            for (ptrdiff_t n = 2; n < 70; n += 2) {                                                                    \
                for (int kind = 0; kind < FNN_ROW_ACTIVATIONS; kind++)                                                 \
                    rows_##real(kind, rows, kind == FNN_ROW_glu ? n : n - rows % 2);                                   \
                slopes_##real(rows, n - 1);                                                                            \
            }                                                                                                          \
    }
TEST(float)
TEST(double)

int main(void)
{
    fnn = fnn_choose(getenv("FASTNN_ISA"));
    if (!fnn)
        return check_skip("activations", "this machine lacks the instruction set");
    all_float();
    all_double();
    return check_report("activations");
}
