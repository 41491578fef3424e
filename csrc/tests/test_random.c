/* test_random.c: the generator against its published answers, and what is made of it against its distributions. */
#include "check.h"
#include "fnn.h"
#include "philox.h"

#include <float.h>
#include <math.h>
#include <string.h>

/* random.c's own, which nobody else calls */
double fnn_random_log(double x);
double fnn_random_quantile(double q);

enum { N = 100000 };
static uint32_t words[N];
static double numbers[N];

static void known_answers(void)
{
    static const struct {
        uint64_t seed, stream, block;
        uint32_t words[4];
    } known[] = {
        {0, 0, 0, {0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8}},
        {UINT64_MAX, UINT64_MAX, UINT64_MAX, {0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd}},
        {UINT64_C(0x299f31d0a4093822),
         UINT64_C(0x0370734413198a2e),
         UINT64_C(0x85a308d3243f6a88),
         {0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1}},
    };
    for (size_t i = 0; i < sizeof known / sizeof *known; i++) {
        uint32_t block[4] = {0}, blocks[FNN_PHILOX_WORDS] = {0};
        fnn_philox_block(known[i].seed, known[i].stream, known[i].block, block);
        CHECK(!memcmp(block, known[i].words, sizeof block), "block of answer %zu: %08x", i, (unsigned)block[0]);
        fnn_philox_words(known[i].seed, known[i].stream, known[i].block, blocks);
        CHECK(!memcmp(blocks, known[i].words, sizeof block), "blocks of answer %zu: %08x", i, (unsigned)blocks[0]);
    }
    uint32_t first[4] = {0};
    fnn_random_words(0, 0, 0, 4, first);
    CHECK(!memcmp(first, known[0].words, sizeof first), "words: %08x", (unsigned)first[0]);
}

/* Sixteen blocks at once are sixteen single ones, also where the counter's low word overflows */
static void blocks_agree(void)
{
    static const uint64_t from[] = {0, 1, 15, 1000, UINT32_MAX - 7, UINT64_C(0x123456789abcdef0), UINT64_MAX - 5};
    for (size_t i = 0; i < sizeof from / sizeof *from; i++) {
        uint32_t many[FNN_PHILOX_WORDS], one[4];
        memset(many, 0xa5, sizeof many);
        fnn_philox_words(~from[i], 77 * from[i] + 5, from[i], many);
        for (int b = 0; b < FNN_PHILOX_BLOCKS; b++) {
            fnn_philox_block(~from[i], 77 * from[i] + 5, from[i] + (uint64_t)b, one);
            CHECK(!memcmp(one, many + 4 * b, sizeof one), "block %d from %zu", b, i);
        }
    }
}

typedef void (*filler)(uint64_t start, size_t n, double *out);
static void uniform(uint64_t start, size_t n, double *out) { fnn_random_uniform(1, 2, start, n, -3, 5, out); }
static void normal(uint64_t start, size_t n, double *out) { fnn_random_normal(1, 2, start, n, 1.5, 0.5, out); }
static void truncated(uint64_t start, size_t n, double *out) { fnn_random_truncated(1, 2, start, n, 1.5, 0.5, out); }

/* Any slice is that of the whole, and nothing is written beyond it */
static void slices(void)
{
    static const size_t starts[] = {0, 1, 2, 3, 4, 5, 31, 63, 64, 65, 100, 127, 128, 129, 1000};
    static const size_t sizes[] = {0, 1, 2, 3, 4, 5, 63, 64, 65, 67, 127, 128, 129, 500};
    static const filler fillers[] = {uniform, normal, truncated};
    static uint32_t whole[2000], part[600];
    static double all[2000], some[600];
    fnn_random_words(11, 12, 0, 2000, whole);
    for (size_t s = 0; s < sizeof starts / sizeof *starts; s++)
        for (size_t z = 0; z < sizeof sizes / sizeof *sizes; z++) {
            memset(part, 0x5a, sizeof part);
            fnn_random_words(11, 12, starts[s], sizes[z], part);
            CHECK(!memcmp(part, whole + starts[s], sizes[z] * sizeof *part), "%zu words from %zu", sizes[z], starts[s]);
            CHECK(part[sizes[z]] == 0x5a5a5a5a, "%zu words from %zu: one more written", sizes[z], starts[s]);
        }
    for (int f = 0; f < 3; f++) {
        fillers[f](0, 2000, all);
        for (size_t s = 0; s < sizeof starts / sizeof *starts; s++)
            for (size_t z = 0; z < sizeof sizes / sizeof *sizes; z++) {
                some[sizes[z]] = -99;
                fillers[f](starts[s], sizes[z], some);
                CHECK(!memcmp(some, all + starts[s], sizes[z] * sizeof *some), "filler %d: %zu from %zu", f, sizes[z],
                      starts[s]);
                CHECK(some[sizes[z]] == -99, "filler %d: %zu from %zu: one more written", f, sizes[z], starts[s]);
            }
    }
}

/* Seed and stream matter in every bit: streams that differ in one bit share no word beyond chance */
static void streams_differ(void)
{
    uint32_t here[64], there[64];
    fnn_random_words(3, 4, 0, 64, here);
    for (int bit = 0; bit < 64; bit++)
        for (int which = 0; which < 2; which++) {
            uint64_t flip = UINT64_C(1) << bit;
            int same = 0;
            fnn_random_words(which ? 3 : 3 ^ flip, which ? 4 ^ flip : 4, 0, 64, there);
            for (int i = 0; i < 64; i++)
                same += here[i] == there[i];
            CHECK(same <= 1, "bit %d of %s: %d words the same", bit, which ? "stream" : "seed", same);
        }
}

static void word_bits(void)
{
    fnn_random_words(21, 22, 0, N, words);
    for (int bit = 0; bit < 32; bit++) {
        long ones = 0;
        for (int i = 0; i < N; i++)
            ones += words[i] >> bit & 1;
        CHECK(labs(ones - N / 2) < 5 * sqrt(N) / 2, "bit %d is one in %ld of %d", bit, ones, N);
    }
}

static int ascending(const void *a, const void *b)
{
    const double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static double normal_cdf(double z) { return 0.5 * erfc(-z / sqrt(2)); }
static double truncated_cdf(double z) { return (normal_cdf(z) - normal_cdf(-2)) / (normal_cdf(2) - normal_cdf(-2)); }
static double uniform_cdf(double u) { return (u + 1) / 2; } /* from -1 to 1 */

/* Mean, variance and fourth moment within five standard errors, and the distance of Kolmogorov and Smirnov */
static void moments(const char *name, double variance, double fourth, double eighth, double (*cdf)(double))
{
    double m1 = 0, m2 = 0, m4 = 0, distance = 0;
    for (int i = 0; i < N; i++) {
        double z = numbers[i], z2 = z * z;
        m1 += z / N, m2 += z2 / N, m4 += z2 * z2 / N;
    }
    CHECK(fabs(m1) < 5 * sqrt(variance / N), "%s: mean %g", name, m1);
    CHECK(fabs(m2 - variance) < 5 * sqrt((fourth - variance * variance) / N), "%s: variance %g", name, m2);
    CHECK(fabs(m4 - fourth) < 5 * sqrt((eighth - fourth * fourth) / N), "%s: fourth moment %g", name, m4);
    qsort(numbers, N, sizeof *numbers, ascending);
    for (int i = 0; i < N; i++)
        distance = fmax(distance, fabs(cdf(numbers[i]) - (i + 0.5) / N));
    CHECK(distance < 2 / sqrt(N), "%s: distance %g from its distribution", name, distance);
}

/* E z^k of the normal cut at +-2, from E z^k = (k-1) E z^(k-2) - 2^k phi(2) / (Phi(2) - 1/2) */
static double truncated_moment(int k)
{
    double phi = exp(-2.0) / sqrt(2 * acos(-1.0)), mass = normal_cdf(2) - 0.5;
    return k == 0 ? 1 : (k - 1) * truncated_moment(k - 2) - pow(2, k - 1) * phi / mass;
}

static void distributions(void)
{
    fnn_random_uniform(31, 1, 0, N, -1, 1, numbers);
    for (int i = 0; i < N; i++)
        CHECK(numbers[i] >= -1 && numbers[i] < 1, "uniform %d: %g", i, numbers[i]);
    moments("uniform", 1.0 / 3, 1.0 / 5, 1.0 / 9, uniform_cdf);
    CHECK(numbers[0] < -0.999 && numbers[N - 1] > 0.999, "uniform from %g to %g", numbers[0], numbers[N - 1]);

    fnn_random_normal(31, 2, 0, N, 0, 1, numbers);
    moments("normal", 1, 3, 105, normal_cdf);
    CHECK(numbers[0] < -3.5 && numbers[0] > -6, "normal from %g", numbers[0]);
    CHECK(numbers[N - 1] > 3.5 && numbers[N - 1] < 6, "normal to %g", numbers[N - 1]);

    fnn_random_truncated(31, 3, 0, N, 0, 1, numbers);
    for (int i = 0; i < N; i++)
        CHECK(numbers[i] >= -2 && numbers[i] <= 2, "truncated %d: %g", i, numbers[i]);
    moments("truncated", truncated_moment(2), truncated_moment(4), truncated_moment(8), truncated_cdf);
    CHECK(numbers[0] < -1.99 && numbers[N - 1] > 1.99, "truncated from %g to %g", numbers[0], numbers[N - 1]);

    double one[3], scaled[3];
    fnn_random_normal(31, 2, 7, 3, 0, 1, one);
    fnn_random_normal(31, 2, 7, 3, -4, 0.25, scaled);
    for (int i = 0; i < 3; i++)
        CHECK(scaled[i] == -4 + 0.25 * one[i], "mean and stddev: %g of %g", scaled[i], one[i]);
}

/* |computed - exact| in units of the last place of exact */
static double ulps(double computed, long double exact)
{
    int exponent;
    frexp((double)exact, &exponent);
    return (double)fabsl((computed - exact) / ldexpl(1, exponent - DBL_MANT_DIG));
}

static void logarithm(void)
{
    static const uint64_t ends[][2] = {{UINT64_C(0x0010000000000000), UINT64_C(0x7fefffffffffffff)},  /* all normals */
                                       {UINT64_C(0x3fe0000000000000), UINT64_C(0x4000000000000000)},  /* 1/2 .. 2 */
                                       {UINT64_C(0x3fefffff00000000), UINT64_C(0x3ff0000100000000)},  /* around 1 */
                                       {UINT64_C(0x3c90000000000000), UINT64_C(0x3fb4000000000000)}}; /* the tails */
    double worst = 0;
    for (size_t e = 0; e < sizeof ends / sizeof *ends; e++) {
        fnn_random_words(41, e, 0, N, words);
        for (int i = 0; i + 1 < N; i += 2) {
            uint64_t r = (uint64_t)words[i] << 32 | words[i + 1], bits = ends[e][0] + r % (ends[e][1] - ends[e][0] + 1);
            double x;
            memcpy(&x, &bits, sizeof x);
            double error = x == 1 ? 0 : ulps(fnn_random_log(x), logl((long double)x));
            worst = fmax(worst, error);
        }
    }
    /* where logl is no better than log (musl on Arm, macOS), it is itself up to an ULP off */
    const double bound = logl(2) == (long double)log(2) ? 1.9 : 0.9;
    CHECK(worst < bound, "logarithm wrong by %g ULP", worst);
    CHECK(fnn_random_log(1) == 0, "log 1 = %g", fnn_random_log(1));
}

/* Phi of the quantile is the probability, to the ends of what a draw can give */
static void quantile(void)
{
    static const double least = 0x1p-54;
    for (double tail = least; tail < 0.5; tail *= 1.03) {
        double q = 0.5 - tail, exact_tail = 0.5 - q, z = fnn_random_quantile(-q);
        CHECK(fabs(normal_cdf(z) / exact_tail - 1) < 2e-14 * (1 + z * z / 8), "quantile of %g: %.17g", tail, z);
        CHECK(fnn_random_quantile(q) == -z, "quantiles of %g differ: %g", tail, z);
    }
    CHECK(fnn_random_quantile(0) == 0, "the median is %g", fnn_random_quantile(0));
    double end = fnn_random_quantile(0.5 - least);
    CHECK(end > 8.2 && end < 8.3, "the last quantile is %g", end);
}

/* The definitions in fnn.h, followed word by word */
static void definitions(void)
{
    double u, z, t;
    for (uint64_t i = 0; i < 1000; i++) {
        uint32_t w[2];
        fnn_random_words(51, 52, 2 * i, 2, w);
        uint64_t k = (uint64_t)(w[0] >> 5) << 26 | w[1] >> 6;
        double q = ((double)((int64_t)k - (INT64_C(1) << 52)) + 0.5) * 0x1p-53;
        fnn_random_uniform(51, 52, i, 1, 0, 1, &u);
        fnn_random_normal(51, 52, i, 1, 0, 1, &z);
        fnn_random_truncated(51, 52, i, 1, 0, 1, &t);
        CHECK(u == (double)k * 0x1p-53, "uniform %d: %.17g", (int)i, u);
        CHECK(z == fnn_random_quantile(q), "normal %d: %.17g", (int)i, z);
        CHECK(t == fnn_random_quantile(q * 0.95449973610364158560), "truncated %d: %.17g", (int)i, t);
    }
}

static uint64_t fingerprint(const double *x, size_t n)
{
    uint64_t hash = UINT64_C(0xcbf29ce484222325), bits;
    for (size_t i = 0; i < n; i++) {
        memcpy(&bits, x + i, sizeof bits);
        hash = (hash ^ bits) * UINT64_C(0x100000001b3);
        hash ^= hash >> 29;
    }
    return hash;
}

/* The same bits from every compiler and on every CPU: fingerprints taken once, on x86-64 with GCC 12 */
static void same_bits(void)
{
    static const filler fillers[] = {uniform, normal, truncated};
    static const uint64_t known[] = {UINT64_C(0xc7050d576bd7eb58), UINT64_C(0x9ce73264950e7ba5),
                                     UINT64_C(0x1054065185dc6ae6)};
    for (int f = 0; f < 3; f++) {
        fillers[f](0, N, numbers);
        uint64_t found = fingerprint(numbers, N);
        CHECK(found == known[f], "filler %d: %016llx", f, (unsigned long long)found);
    }
}

/* ---------------------------------------------------------------------------------------------------- permutations */

static void permutation_is_one(void)
{
    static const size_t sizes[] = {0, 1, 2, 3, 4, 63, 64, 65, 66, 129, 1000, 65537};
    for (size_t s = 0; s < sizeof sizes / sizeof *sizes; s++) {
        size_t n = sizes[s], fixed = 0;
        int64_t *order = malloc((n + 1) * sizeof *order);
        char *seen = calloc(n + 1, 1);
        order[n] = -7;
        fnn_random_permutation(61, n, n, order);
        for (size_t i = 0; i < n; i++) {
            int inside = order[i] >= 0 && (size_t)order[i] < n;
            CHECK(inside && !seen[order[i]], "%lld of %zu: outside or twice", (long long)order[i], n);
            if (inside)
                seen[order[i]] = 1;
            fixed += (size_t)order[i] == i;
        }
        CHECK(order[n] == -7, "%zu: one more written", n);
        CHECK(n < 60 || fixed < 10, "%zu of %zu stayed", fixed, n);
        free(order);
        free(seen);
    }
}

/* The swaps of fnn.h, with the product's high half taken in long division */
static void permutation_definition(void)
{
    enum { LENGTH = 300 };
    int64_t order[LENGTH], found[LENGTH];
    uint32_t w[2];
    for (int i = 0; i < LENGTH; i++)
        order[i] = i;
    for (int i = LENGTH - 1; i >= 1; i--) {
        fnn_random_words(71, 72, 2 * (uint64_t)(LENGTH - 1 - i), 2, w);
        uint64_t times = (uint64_t)i + 1, high = w[0] * times + (w[1] * times >> 32); /* 2^32 times the quotient */
        int j = (int)(high >> 32);
        int64_t swapped = order[i];
        order[i] = order[j], order[j] = swapped;
    }
    fnn_random_permutation(71, 72, LENGTH, found);
    CHECK(!memcmp(order, found, sizeof order), "not the permutation that fnn.h defines");
}

/* Every element in every place equally often, and every order of four equally often */
static void permutation_is_uniform(void)
{
    enum { LENGTH = 10, TIMES = 20000, ORDERS = 24 };
    static int placed[LENGTH][LENGTH], ordered[256];
    int64_t order[LENGTH];
    for (uint64_t stream = 0; stream < TIMES; stream++) {
        fnn_random_permutation(81, stream, LENGTH, order);
        for (int i = 0; i < LENGTH; i++)
            placed[i][order[i]]++;
        fnn_random_permutation(82, stream, 4, order);
        ordered[order[0] | order[1] << 2 | order[2] << 4 | order[3] << 6]++;
    }
    double square = 0, mean = (double)TIMES / LENGTH;
    for (int i = 0; i < LENGTH; i++)
        for (int j = 0; j < LENGTH; j++)
            square += (placed[i][j] - mean) * (placed[i][j] - mean) / mean;
    square *= (LENGTH - 1.0) / LENGTH; /* rows and columns add up: 81 degrees of freedom */
    CHECK(square > 81 - 4 * sqrt(162) && square < 81 + 5 * sqrt(162), "places: chi-square %g of 81", square);

    int orders = 0;
    square = 0, mean = (double)TIMES / ORDERS;
    for (int code = 0; code < 256; code++) {
        orders += ordered[code] > 0;
        square += ordered[code] ? (ordered[code] - mean) * (ordered[code] - mean) / mean : 0;
    }
    CHECK(orders == ORDERS, "%d orders of 4", orders);
    CHECK(square > 3 && square < 23 + 5 * sqrt(46), "orders: chi-square %g of 23", square);
}

int main(void)
{
    known_answers();
    blocks_agree();
    slices();
    streams_differ();
    word_bits();
    distributions();
    logarithm();
    quantile();
    definitions();
    same_bits();
    permutation_is_one();
    permutation_definition();
    permutation_is_uniform();
    return check_report("random");
}
