/* test_norms.c: normalisation, column sums, dropout and noise against plain loops in double, at every size of a tail.
   A digest of the bits is the same for every instruction set that has fused multiply-add. */
#include "check.h"
#include "fnn.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { ROWS = 19, MOST = 150, PLANE = 200 };
static const int sizes[] = {1, 2, 3, 4, 5, 7, 8, 9, 15, 16, 17, 31, 32, 33, 64, 127, 128, 129, MOST};

static uint64_t digest = UINT64_C(0xcbf29ce484222325); /* FNV-1a */
static void digest_bytes(const void *p, size_t n)
{
    for (size_t i = 0; i < n; i++)
        digest = (digest ^ ((const unsigned char *)p)[i]) * UINT64_C(0x100000001b3);
}

/* numbers of a fixed sequence, exact in float */
static double number(uint64_t i)
{
    uint32_t word;
    fnn_random_words(5, 0, i, 1, &word);
    return (word >> 8) / 8388608.0 - 0.75;
}

static double exact_x[ROWS * MOST], exact_dy[ROWS * MOST], exact_gamma[MOST], exact_beta[MOST];

#define DEFINE(real, suffix, bound)                                                                                    \
    static real x_##suffix[ROWS * MOST], dy_##suffix[ROWS * MOST], y_##suffix[ROWS * MOST], dx_##suffix[ROWS * MOST],  \
        gamma_##suffix[MOST], beta_##suffix[MOST], a_##suffix[MOST], b_##suffix[MOST], saved_##suffix[3 * PLANE];      \
                                                                                                                       \
    static void near_##suffix(const char *what, ptrdiff_t n, const real *got, const double *want)                      \
    {                                                                                                                  \
        for (ptrdiff_t i = 0; i < n; i++)                                                                              \
            CHECK(fabs(got[i] - want[i]) <= bound * (1 + fabs(want[i])), "%s " #real " [%d of %d]: %.17g, not %.17g",  \
                  what, (int)i, (int)n, (double)got[i], want[i]);                                                      \
        digest_bytes(got, (size_t)n * sizeof *got);                                                                    \
    }                                                                                                                  \
                                                                                                                       \
    /* u of n numbers a stride apart, their slopes, and what backward makes of dy (a stride apart too) */              \
    static void normalise_##suffix(ptrdiff_t n, ptrdiff_t step, const double *x, const double *g, double *u,           \
                                   double *d)                                                                          \
    {                                                                                                                  \
        double mean = 0, variance = 0, sum = 0, dot = 0;                                                               \
        for (ptrdiff_t i = 0; i < n; i++)                                                                              \
            mean += x[i * step] / (double)n;                                                                           \
        for (ptrdiff_t i = 0; i < n; i++)                                                                              \
            variance += (x[i * step] - mean) * (x[i * step] - mean) / (double)n;                                       \
        const double scale = 1 / sqrt(variance + 1e-3);                                                                \
        for (ptrdiff_t i = 0; i < n; i++) {                                                                            \
            u[i * step] = (x[i * step] - mean) * scale;                                                                \
            sum += g[i * step] / (double)n;                                                                            \
            dot += g[i * step] * u[i * step] / (double)n;                                                              \
        }                                                                                                              \
        for (ptrdiff_t i = 0; i < n; i++)                                                                              \
            d[i * step] = scale * (g[i * step] - sum - u[i * step] * dot);                                             \
    }                                                                                                                  \
                                                                                                                       \
    static void layer_##suffix(ptrdiff_t n)                                                                            \
    {                                                                                                                  \
        double want_y[MOST], u[MOST], g[MOST], d[MOST], dgamma[MOST] = {0}, dbeta[MOST] = {0};                         \
        for (ptrdiff_t i = 0; i < ROWS; i++) {                                                                         \
            const double *xi = exact_x + i * MOST, *dyi = exact_dy + i * MOST;                                         \
            for (ptrdiff_t j = 0; j < n; j++)                                                                          \
                g[j] = dyi[j] * exact_gamma[j];                                                                        \
            normalise_##suffix(n, 1, xi, g, u, d);                                                                     \
            for (ptrdiff_t j = 0; j < n; j++) {                                                                        \
                want_y[j] = u[j] * exact_gamma[j] + exact_beta[j];                                                     \
                dgamma[j] += dyi[j] * u[j];                                                                            \
                dbeta[j] += dyi[j];                                                                                    \
            }                                                                                                          \
            fnn_layer_norm(n, x_##suffix + i * MOST, gamma_##suffix, beta_##suffix, FNN_NORM_LAYER, 1e-3, y_##suffix,  \
                           saved_##suffix + i, (ptrdiff_t)PLANE);                                                      \
            near_##suffix("layer norm", n, y_##suffix, want_y);                                                        \
            fnn_layer_norm_backward(n, x_##suffix + i * MOST, dy_##suffix + i * MOST, gamma_##suffix, FNN_NORM_LAYER,  \
                                    saved_##suffix + i, (ptrdiff_t)PLANE, dx_##suffix);                                \
            near_##suffix("layer norm's dx", n, dx_##suffix, d);                                                       \
        }                                                                                                              \
        fnn_layer_norm_sums(ROWS, n, x_##suffix, MOST, dy_##suffix, MOST, FNN_NORM_LAYER, saved_##suffix, PLANE, 0,    \
                            a_##suffix, b_##suffix);                                                                   \
        near_##suffix("layer norm's dgamma", n, a_##suffix, dgamma);                                                   \
        near_##suffix("layer norm's dbeta", n, b_##suffix, dbeta);                                                     \
    }                                                                                                                  \
                                                                                                                       \
    /* contiguous rows of n, as batch normalisation takes them */                                                      \
    static void batch_##suffix(ptrdiff_t n)                                                                            \
    {                                                                                                                  \
        static double x[ROWS * MOST], g[ROWS * MOST], u[ROWS * MOST], d[ROWS * MOST];                                  \
        static real xr[ROWS * MOST], gr[ROWS * MOST];                                                                  \
        double dgamma[MOST] = {0}, dbeta[MOST] = {0};                                                                  \
        for (ptrdiff_t i = 0; i < ROWS; i++)                                                                           \
            for (ptrdiff_t j = 0; j < n; j++) {                                                                        \
                x[i * n + j] = xr[i * n + j] = (real)exact_x[i * MOST + j];                                            \
                g[i * n + j] = gr[i * n + j] = (real)exact_dy[i * MOST + j];                                           \
            }                                                                                                          \
        for (ptrdiff_t j = 0; j < n; j++)                                                                              \
            normalise_##suffix(ROWS, n, x + j, g + j, u + j, d + j);                                                   \
        for (ptrdiff_t i = 0; i < ROWS; i++)                                                                           \
            for (ptrdiff_t j = 0; j < n; j++) {                                                                        \
                dgamma[j] += g[i * n + j] * u[i * n + j];                                                              \
                dbeta[j] += g[i * n + j];                                                                              \
                d[i * n + j] *= exact_gamma[j];                                                                        \
                u[i * n + j] = u[i * n + j] * exact_gamma[j] + exact_beta[j];                                          \
            }                                                                                                          \
        fnn_batch_statistics(ROWS, n, xr, n, 1e-3, a_##suffix, saved_##suffix, PLANE);                                 \
        fnn_batch_norm(ROWS, n, xr, saved_##suffix, PLANE, gamma_##suffix, beta_##suffix, y_##suffix);                 \
        near_##suffix("batch norm", ROWS * n, y_##suffix, u);                                                          \
        fnn_batch_norm_sums(ROWS, n, xr, n, gr, n, saved_##suffix, PLANE, 0, a_##suffix, b_##suffix);                  \
        near_##suffix("batch norm's dgamma", n, a_##suffix, dgamma);                                                   \
        near_##suffix("batch norm's dbeta", n, b_##suffix, dbeta);                                                     \
        fnn_batch_norm_backward(ROWS, n, xr, gr, saved_##suffix, PLANE, gamma_##suffix, a_##suffix, b_##suffix, ROWS,  \
                                dx_##suffix);                                                                          \
        near_##suffix("batch norm's dx", ROWS * n, dx_##suffix, d);                                                    \
        fnn_colsum(ROWS, n, gr, n, 0, b_##suffix);                                                                     \
        for (ptrdiff_t j = 0; j < n; j++) {                                                                            \
            real chain = 0;                                                                                            \
            for (ptrdiff_t i = 0; i < ROWS; i++)                                                                       \
                chain += gr[i * n + j];                                                                                \
            CHECK(chain == b_##suffix[j], "colsum " #real " [%d of %d]", (int)j, (int)n);                              \
        }                                                                                                              \
    }                                                                                                                  \
                                                                                                                       \
    static void random_##suffix(ptrdiff_t n)                                                                           \
    {                                                                                                                  \
        for (uint64_t start = 0; start < 5; start++) {                                                                 \
            uint32_t words[MOST];                                                                                      \
            double noise[MOST];                                                                                        \
            fnn_random_words(1, 2, start, (size_t)n, words);                                                           \
            fnn_random_normal(1, 2, start, (size_t)n, 0, 0.5, noise);                                                  \
            fnn_dropout(n, 0.25, 1, 2, start, x_##suffix, y_##suffix);                                                 \
            for (ptrdiff_t i = 0; i < n; i++) {                                                                        \
                const real want = words[i] < 1u << 30 ? 0 : x_##suffix[i] * (real)(1 / 0.75);                          \
                CHECK(y_##suffix[i] == want, "dropout " #real " [%d of %d]", (int)i, (int)n);                          \
            }                                                                                                          \
            fnn_add_noise(n, 0.5, 1, 2, start, x_##suffix, y_##suffix);                                                \
            for (ptrdiff_t i = 0; i < n; i++)                                                                          \
                CHECK(y_##suffix[i] == x_##suffix[i] + (real)noise[i], "noise " #real " [%d of %d]", (int)i, (int)n);  \
            digest_bytes(y_##suffix, (size_t)n * sizeof *y_##suffix);                                                  \
        }                                                                                                              \
    }                                                                                                                  \
                                                                                                                       \
    static void all_##suffix(void)                                                                                     \
    {                                                                                                                  \
        for (int i = 0; i < ROWS * MOST; i++)                                                                          \
            x_##suffix[i] = (real)exact_x[i], dy_##suffix[i] = (real)exact_dy[i];                                      \
        for (int j = 0; j < MOST; j++)                                                                                 \
            gamma_##suffix[j] = (real)exact_gamma[j], beta_##suffix[j] = (real)exact_beta[j];                          \
        for (size_t s = 0; s < sizeof sizes / sizeof *sizes; s++) {                                                    \
            layer_##suffix(sizes[s]);                                                                                  \
            batch_##suffix(sizes[s]);                                                                                  \
            random_##suffix(sizes[s]);                                                                                 \
        }                                                                                                              \
    }
DEFINE(float, f32, 2e-5)
DEFINE(double, f64, 2e-13)

/* What the digest is on every machine that has fused multiply-add */
static const uint64_t expected = UINT64_C(0x043899ff31f2e175);

int main(void)
{
    fnn = fnn_choose(getenv("FASTNN_ISA"));
    if (!fnn)
        return check_skip("norms", "not this machine's");
    for (int i = 0; i < ROWS * MOST; i++)
        exact_x[i] = number((uint64_t)i), exact_dy[i] = number((uint64_t)(i + ROWS * MOST));
    for (int j = 0; j < MOST; j++)
        exact_gamma[j] = number((uint64_t)(100000 + j)), exact_beta[j] = number((uint64_t)(200000 + j));
    all_f32();
    all_f64();
    if (fnn->has_fma)
        CHECK(digest == expected, "bits: digest %016llx", (unsigned long long)digest);
    return check_report("norms");
}
