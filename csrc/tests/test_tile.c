/* The tiles and the packing, every shape of each: against a chain of fma(), with memory around the operands poisoned. */
#include "check.h"
#include "fnn.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { DEPTH = 19, PAD = 5, MOST_COLUMNS = 160, MOST_ROWS = 16 };

#define DEFINE_TESTS(real, T, fma_of)                                                                                  \
    /* of so many bits that a sum tells by its last ones in which order, and with how many roundings, it came about */ \
    static real number_##T(void) { return (real)(rand() - RAND_MAX / 2) / (real)(RAND_MAX / 8); }                      \
                                                                                                                       \
    /* the chain that fnn.h promises; without fused multiply-add, only close to it */                                  \
    static real chain_##T(const real *a, ptrdiff_t a_k, const real *b, ptrdiff_t b_k, ptrdiff_t K, real sum)           \
    {                                                                                                                  \
        for (ptrdiff_t k = 0; k < K; k++)                                                                              \
            sum = fma_of(a[k * a_k], b[k * b_k], sum);                                                                 \
        return sum;                                                                                                    \
    }                                                                                                                  \
                                                                                                                       \
    static void one_tile_##T(int shape, ptrdiff_t m, ptrdiff_t n, ptrdiff_t K, int a_by_rows, int init_kind)           \
    {                                                                                                                  \
        const ptrdiff_t a_row = a_by_rows ? K + PAD : 1, a_k = a_by_rows ? 1 : m + PAD, b_k = n + PAD, c_row = n + 3;  \
        const size_t a_size = (size_t)((m - 1) * a_row + (K - 1) * a_k + 1);                                           \
        const size_t b_size = (size_t)((K - 1) * b_k + n), c_size = (size_t)(m * c_row);                               \
        real *a = malloc((K ? a_size : 1) * sizeof *a),                                                                \
             *b = malloc((K ? b_size : 1) * sizeof *b); /* exact: for ASan */                                          \
        real *c = malloc(c_size * sizeof *c), *bias = malloc((size_t)n * sizeof *bias);                                \
        real *start = malloc(c_size * sizeof *c);                                                                      \
        for (size_t i = 0; K && i < a_size; i++)                                                                       \
            a[i] = number_##T();                                                                                       \
        for (size_t i = 0; K && i < b_size; i++)                                                                       \
            b[i] = number_##T();                                                                                       \
        for (size_t i = 0; i < c_size; i++)                                                                            \
            start[i] = c[i] = number_##T();                                                                            \
        for (ptrdiff_t j = 0; j < n; j++)                                                                              \
            bias[j] = number_##T();                                                                                    \
        const real *init = init_kind == 0 ? NULL : init_kind == 1 ? bias : c;                                          \
        /* what is fetched may lie anywhere: here beyond the end of b, or nowhere */                                   \
        const uintptr_t ahead = (m + n + K) % 2 ? (uintptr_t)(b + b_size) : 0;                                         \
        fnn_tile(shape, m, n, K, a, a_row, a_k, b, b_k, c, c_row, init, init_kind == 2 ? c_row : 0, ahead,             \
                 (uintptr_t)b_k * sizeof *b);                                                                          \
        for (ptrdiff_t i = 0; i < m; i++)                                                                              \
            for (ptrdiff_t j = 0; j < c_row; j++) {                                                                    \
                const real was = start[i * c_row + j];                                                                 \
                const real from = init_kind == 0 ? 0 : init_kind == 1 && j < n ? bias[j] : was;                        \
                const real want = j < n ? chain_##T(a + i * a_row, a_k, b + j, b_k, K, from) : was;                    \
                const real got = c[i * c_row + j];                                                                     \
                CHECK(fnn->has_fma ? got == want : fabs((double)(got - want)) <= 1e-3,                                 \
                      "%s " #T " shape %d, %td x %td x %td: (%td, %td) is %g, not %g", fnn->isa, shape, m, n, K, i, j, \
                      (double)got, (double)want);                                                                      \
            }                                                                                                          \
        free(a), free(b), free(c), free(bias), free(start);                                                            \
    }                                                                                                                  \
                                                                                                                       \
    static void tiles_##T(void)                                                                                        \
    {                                                                                                                  \
        const ptrdiff_t depths[] = {0, 1, 2, FNN_FLAT_DEPTH, DEPTH, 130}; /* 130: the next tile is fetched */          \
        for (int shape = 0; shape < FNN_TILE_SHAPES; shape++)                                                          \
            for (ptrdiff_t m = 1; m <= fnn->T->tile[shape].rows; m++)                                                  \
                for (ptrdiff_t n = 1; n <= fnn->T->tile[shape].columns; n++)                                           \
                    for (int d = 0; d < 6; d++)                                                                        \
                        one_tile_##T(shape, m, n, depths[d], (int)((m + n + d) % 2), (int)((m + n) % 3));              \
        const ptrdiff_t columns = fnn->T->tile[FNN_TILE_FLAT].columns; /* a flat tile of that depth may be wider */    \
        for (ptrdiff_t n = columns + 1; n <= 2 * columns + 1; n++)                                                     \
            one_tile_##T(FNN_TILE_FLAT, 1, n, FNN_FLAT_DEPTH, (int)(n % 2), (int)(n % 3));                             \
    }                                                                                                                  \
                                                                                                                       \
    static void packs_##T(void)                                                                                        \
    {                                                                                                                  \
        const ptrdiff_t vector = fnn->T->tile[0].vector;                                                               \
        for (ptrdiff_t K = 0; K < 11; K++)                                                                             \
            for (ptrdiff_t n = 1; n < 4 * vector + 3; n++)                                                             \
                for (ptrdiff_t width = vector; width <= 2 * vector; width += vector)                                   \
                    for (ptrdiff_t step = width; step > 0 && step > width - 4; step--)                                 \
                        for (int way = 0; way < 3; way++) { /* rows, columns, neither contiguous */                    \
                            const ptrdiff_t b_k = way == 0 ? n + PAD : way == 1 ? 1 : 2 * n + 3;                       \
                            const ptrdiff_t b_column = way == 0 ? 1 : way == 1 ? K + PAD : 2;                          \
                            const size_t size = K ? (size_t)((K - 1) * b_k + (n - 1) * b_column + 1) : 1;              \
                            const ptrdiff_t panels = (n + step - 1) / step;                                            \
                            real *b = malloc(size * sizeof *b);                                                        \
                            real *panel = malloc((size_t)(panels * K * width + 1) * sizeof *panel);                    \
                            for (size_t i = 0; i < size; i++)                                                          \
                                b[i] = number_##T();                                                                   \
                            panel[panels * K * width] = 77;                                                            \
                            fnn_pack(K, n, b, b_k, b_column, step, width, panel);                                      \
                            for (ptrdiff_t k = 0; k < K; k++)                                                          \
                                for (ptrdiff_t j = 0; j < n; j++)                                                      \
                                    CHECK(panel[j / step * K * width + k * width + j % step] ==                        \
                                              b[k * b_k + j * b_column],                                               \
                                          "%s " #T " pack %td x %td, step %td, width %td, way %d: (%td, %td)",         \
                                          fnn->isa, K, n, step, width, way, k, j);                                     \
                            CHECK(panel[panels * K * width] == 77, "pack wrote past its panels");                      \
                            free(b), free(panel);                                                                      \
                        }                                                                                              \
    }

DEFINE_TESTS(float, f32, fmaf)
DEFINE_TESTS(double, f64, fma)

int main(void)
{
    fnn = fnn_choose(getenv("FASTNN_ISA"));
    if (!fnn)
        return check_skip("tile", "this machine lacks the instruction set");
    srand(1);
    tiles_f32();
    tiles_f64();
    packs_f32();
    packs_f64();
    return check_report("tile");
}
