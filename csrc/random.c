/* random.c: words, uniform and normal numbers and permutations out of Philox. See fnn.h.

   The same seed gives the same bits on every CPU and from every compiler: doubles only, + - * / and square root only
   (each exactly rounded by IEEE 754; -ffp-contract=off keeps them apart), and a logarithm of our own, since those of
   the C libraries differ in their last bits. Compiled once, for the plainest CPU: no step of training waits for it. */
#include "fnn.h"
#include "philox.h"

#include <float.h>
#include <math.h>
#include <string.h>

#if defined(__FAST_MATH__) || FLT_EVAL_METHOD != 0
#error "random.c must give the same numbers everywhere: no -ffast-math, no x87 arithmetic (-msse2 -mfpmath=sse)"
#endif

/* ----------------------------------------------------------------------------------------------------------- words */

static void single_words(uint64_t seed, uint64_t stream, uint64_t start, size_t n, uint32_t *out)
{
    uint32_t words[4];
    for (size_t done = 0; done < n;) {
        uint64_t at = start + done;
        size_t skip = at % 4, take = n - done < 4 - skip ? n - done : 4 - skip;
        fnn_philox_block(seed, stream, at / 4, words);
        memcpy(out + done, words + skip, take * sizeof *out);
        done += take;
    }
}

void fnn_random_words(uint64_t seed, uint64_t stream, uint64_t start, size_t n, uint32_t *out)
{
    size_t head = (size_t)(-start % 4); /* the rest of the block that start is in */
    if (head > n)
        head = n;
    single_words(seed, stream, start, head, out);
    size_t done = head;
    for (; n - done >= FNN_PHILOX_WORDS; done += FNN_PHILOX_WORDS)
        fnn_philox_words(seed, stream, (start + done) / 4, out + done);
    single_words(seed, stream, start + done, n - done, out + done);
}

/* --------------------------------------------------------------------------------------------------------- uniform */

#define DRAWS 64 /* elements that are worked on at a time: two words each, in a buffer on the stack */

static const double two_to_26 = 67108864.0, two_to_52 = 4503599627370496.0, two_to_minus_53 = 0x1p-53;

/* The 53 bits of an element, a whole number below 2^53, from its two words */
static inline double bits53(const uint32_t words[2])
{
    return (double)(words[0] >> 5) * two_to_26 + (double)(words[1] >> 6);
}

/* Words of elements start .. start + n - 1; n is at most DRAWS. Returns n. */
static inline size_t draw(uint64_t seed, uint64_t stream, uint64_t start, size_t n, uint32_t words[2 * DRAWS])
{
    n = n < DRAWS ? n : DRAWS;
    fnn_random_words(seed, stream, 2 * start, 2 * n, words);
    return n;
}

void fnn_random_uniform(uint64_t seed, uint64_t stream, uint64_t start, size_t n, double low, double high, double *out)
{
    uint32_t words[2 * DRAWS];
    const double width = high - low;
    for (size_t done = 0, got; done < n; done += got) {
        got = draw(seed, stream, start + done, n - done, words);
        for (size_t i = 0; i < got; i++)
            out[done + i] = low + bits53(words + 2 * i) * two_to_minus_53 * width;
    }
}

/* ---------------------------------------------------------------------------------------------------------- normal */

double fnn_random_log(double x);
double fnn_random_quantile(double q);

/* Natural logarithm of a normal, positive, finite x, within one unit in the last place.
   x = 2^e m with m in [sqrt(1/2), sqrt(2)), f = m - 1, s = f / (2 + f); then log m = 2 artanh s = f - s (f - r), where
   r = 2 (s^2/3 + s^4/5 + ...): the leading f is exact, and what is rounded is small beside it. |s| < 0.172, so that
   eleven terms leave less than 2^-60. Not static, so that its self-test can reach it. */
double fnn_random_log(double x)
{
    static const double ln2_high = 0x1.62e42feep-1; /* 32 bits: times e it is exact */
    static const double ln2_low = 0x1.a39ef35793c76p-33;
    static const double sqrt2 = 1.4142135623730951;
    uint64_t bits;
    memcpy(&bits, &x, sizeof bits);
    int e = (int)(bits >> 52) - 1023;
    bits = (bits & UINT64_C(0x000fffffffffffff)) | UINT64_C(0x3ff0000000000000);
    double m;
    memcpy(&m, &bits, sizeof m);
    if (m >= sqrt2) {
        m *= 0.5;
        e++;
    }
    const double f = m - 1, s = f / (2 + f), s2 = s * s;
    double r = 0;
    for (int k = 23; k >= 3; k -= 2)
        r = s2 * (r + 2.0 / k);
    const double half_square = 0.5 * f * f; /* f - s (f - r) = f - (f^2/2 - s (f^2/2 + r)) */
    return e * ln2_high - ((half_square - (s * (half_square + r) + e * ln2_low)) - f);
}

/* c[0] + c[1] x + ... + c[7] x^7 */
static inline double polynomial7(const double c[8], double x)
{
    double sum = c[7];
    for (int i = 6; i >= 0; i--)
        sum = sum * x + c[i];
    return sum;
}

/* The z with Phi(z) = 1/2 + q, for |q| < 1/2: Wichura's PPND16 (Algorithm AS 241, Applied Statistics 37, 1988), good to
   about 1 part in 10^16. It takes the distance from the middle and not the probability: of that the double nearest to
   1 - 2^-54 is 1, whose z is infinite, while q and the tail 1/2 - |q| are exact, so both tails are the same. Not
   static, so that its self-test can reach the ends. */
double fnn_random_quantile(double q)
{
    static const double middle_top[8] = {3.3871328727963666080e0, 1.3314166789178437745e2, 1.9715909503065514427e3,
                                         1.3731693765509461125e4, 4.5921953931549871457e4, 6.7265770927008700853e4,
                                         3.3430575583588128105e4, 2.5090809287301226727e3};
    static const double middle_bottom[8] = {1.0,
                                            4.2313330701600911252e1,
                                            6.8718700749205790830e2,
                                            5.3941960214247511077e3,
                                            2.1213794301586595867e4,
                                            3.9307895800092710610e4,
                                            2.8729085735721942674e4,
                                            5.2264952788528545610e3};
    static const double near_top[8] = {1.42343711074968357734e0,  4.63033784615654529590e0, 5.76949722146069140550e0,
                                       3.64784832476320460504e0,  1.27045825245236838258e0, 2.41780725177450611770e-1,
                                       2.27238449892691845833e-2, 7.74545014278341407640e-4};
    static const double near_bottom[8] = {1.0,
                                          2.05319162663775882187e0,
                                          1.67638483018380384940e0,
                                          6.89767334985100004550e-1,
                                          1.48103976427480074590e-1,
                                          1.51986665636164571966e-2,
                                          5.47593808499534494600e-4,
                                          1.05075007164441684324e-9};
    static const double far_top[8] = {6.65790464350110377720e0,  5.46378491116411436990e0,  1.78482653991729133580e0,
                                      2.96560571828504891230e-1, 2.65321895265761230930e-2, 1.24266094738807843860e-3,
                                      2.71155556874348757815e-5, 2.01033439929228813265e-7};
    static const double far_bottom[8] = {1.0,
                                         5.99832206555887937690e-1,
                                         1.36929880922735805310e-1,
                                         1.48753612908506148525e-2,
                                         7.86869131145613259100e-4,
                                         1.84631831751005468180e-5,
                                         1.42151175831644588870e-7,
                                         2.04426310338993978564e-15};
    const double distance = q < 0 ? -q : q;
    if (distance <= 0.425) {
        const double x = 0.180625 - q * q;
        return q * polynomial7(middle_top, x) / polynomial7(middle_bottom, x);
    }
    const double depth = sqrt(-fnn_random_log(0.5 - distance));
    const double z = depth <= 5 ? polynomial7(near_top, depth - 1.6) / polynomial7(near_bottom, depth - 1.6)
                                : polynomial7(far_top, depth - 5) / polynomial7(far_bottom, depth - 5);
    return q < 0 ? -z : z;
}

/* u - 1/2 + 2^-54, exactly: an odd multiple of 2^-54 between -1/2 and 1/2 */
static inline double from_middle(const uint32_t words[2])
{
    return (bits53(words) - two_to_52 + 0.5) * two_to_minus_53;
}

void fnn_random_normal(uint64_t seed, uint64_t stream, uint64_t start, size_t n, double mean, double stddev,
                       double *out)
{
    uint32_t words[2 * DRAWS];
    for (size_t done = 0, got; done < n; done += got) {
        got = draw(seed, stream, start + done, n - done, words);
        for (size_t i = 0; i < got; i++)
            out[done + i] = mean + stddev * fnn_random_quantile(from_middle(words + 2 * i));
    }
}

void fnn_random_truncated(uint64_t seed, uint64_t stream, uint64_t start, size_t n, double mean, double stddev,
                          double *out)
{
    static const double within_two = 0.95449973610364158560; /* Phi(2) - Phi(-2) */
    uint32_t words[2 * DRAWS];
    for (size_t done = 0, got; done < n; done += got) {
        got = draw(seed, stream, start + done, n - done, words);
        for (size_t i = 0; i < got; i++) {
            double z = fnn_random_quantile(from_middle(words + 2 * i) * within_two);
            z = z < -2 ? -2 : z > 2 ? 2 : z;
            out[done + i] = mean + stddev * z;
        }
    }
}

/* ----------------------------------------------------------------------------------------------------- permutation */

/* The high 64 bits of a b */
static inline uint64_t high_product(uint64_t a, uint64_t b)
{
#ifdef __SIZEOF_INT128__
    return (uint64_t)((unsigned __int128)a * b >> 64);
#else
    const uint64_t a0 = (uint32_t)a, a1 = a >> 32, b0 = (uint32_t)b, b1 = b >> 32;
    const uint64_t low = a0 * b0, cross = a1 * b0 + (low >> 32), other = a0 * b1 + (uint32_t)cross;
    return a1 * b1 + (cross >> 32) + (other >> 32);
#endif
}

void fnn_random_permutation(uint64_t seed, uint64_t stream, size_t n, int64_t *out)
{
    uint32_t words[2 * DRAWS];
    for (size_t i = 0; i < n; i++)
        out[i] = (int64_t)i;
    for (size_t done = 0, got; done + 1 < n; done += got) {
        got = draw(seed, stream, done, n - 1 - done, words);
        for (size_t d = 0; d < got; d++) {
            const size_t i = n - 1 - (done + d);
            const uint64_t r = (uint64_t)words[2 * d] << 32 | words[2 * d + 1];
            const size_t j = (size_t)high_product(r, (uint64_t)i + 1);
            const int64_t swapped = out[i];
            out[i] = out[j];
            out[j] = swapped;
        }
    }
}
