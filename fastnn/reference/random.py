"""Philox4x32-10: random numbers that are a function of (seed, stream, index), with no state to carry.

A 64-bit seed is the key. A 64-bit stream and a 64-bit block number are the counter, and a block is four 32-bit words:

    key = (seed low, seed high)      counter = (block low, block high, stream low, stream high)
    word i of a stream = word i % 4 of block i // 4

So any thread can draw any number, in any order, and everybody gets the same one.
Salmon, Moraes, Dror and Shaw, "Parallel random numbers: as easy as 1, 2, 3", 2011.
"""

import math
from collections.abc import Sequence
from functools import lru_cache

from . import _ieee

MASK_32 = 0xFFFFFFFF
MASK_64 = 0xFFFFFFFFFFFFFFFF

Words = tuple[int, int, int, int]


def philox4x32(counter: Sequence[int], key: Sequence[int]) -> Words:
    """Ten rounds over the four words of the counter; each multiplies two of them and swaps halves.

    c0, c2 times their constants give (high, low) products p0, p1; then
    (c0, c1, c2, c3) <- (high p1 ^ c1 ^ k0, low p1, high p0 ^ c3 ^ k1, low p0), and the key moves on.
    """
    c0, c1, c2, c3 = counter
    k0, k1 = key
    for _ in range(10):
        p0 = 0xD2511F53 * c0
        p1 = 0xCD9E8D57 * c2
        c0, c1, c2, c3 = (p1 >> 32) ^ c1 ^ k0, p1 & MASK_32, (p0 >> 32) ^ c3 ^ k1, p0 & MASK_32
        k0 = (k0 + 0x9E3779B9) & MASK_32
        k1 = (k1 + 0xBB67AE85) & MASK_32
    return c0, c1, c2, c3


@lru_cache(maxsize=256)
def block(seed: int, stream: int, number: int) -> Words:
    """Block `number` of a stream: four words."""
    counter = (number & MASK_32, number >> 32, stream & MASK_32, stream >> 32)
    return philox4x32(counter, (seed & MASK_32, seed >> 32))


def word(seed: int, stream: int, i: int) -> int:
    """The 32-bit word number i of a stream."""
    return block(seed & MASK_64, stream & MASK_64, i // 4)[i % 4]


def _53_bits(seed: int, stream: int, i: int) -> int:
    """(w0 >> 5) 2^26 + (w1 >> 6), from words 2i and 2i + 1."""
    return ((word(seed, stream, 2 * i) >> 5) << 26) + (word(seed, stream, 2 * i + 1) >> 6)


def uniform(seed: int, stream: int, i: int) -> float:
    """Number i of a stream, uniform in [0, 1): b 2^-53 with b of 53 random bits."""
    return _53_bits(seed, stream, i) * 2.0**-53


def from_middle(seed: int, stream: int, i: int) -> float:
    """(b + 1/2) 2^-53 - 1/2 with b of number i's 53 bits: uniform between -1/2 and 1/2, exact, and never either end."""
    return (_53_bits(seed, stream, i) - 2**52 + 0.5) * 2.0**-53


def normal(seed: int, stream: int, i: int) -> float:
    """Number i of a stream, normal with mean 0 and variance 1: the quantile of a uniform number."""
    return quantile_from_middle(from_middle(seed, stream, i))


WITHIN_TWO = math.erf(math.sqrt(2.0))  # Phi(2) - Phi(-2)


def truncated_normal(seed: int, stream: int, i: int) -> float:
    """Number i of a stream, normal but within [-2, 2]: the quantile of a number uniform in (Phi(-2), Phi(2))."""
    return _ieee.clip(quantile_from_middle(from_middle(seed, stream, i) * WITHIN_TWO), -2.0, 2.0)


def word64(seed: int, stream: int, i: int) -> int:
    """The 64-bit draw number i of a stream: word 2i above word 2i + 1."""
    return word(seed, stream, 2 * i) << 32 | word(seed, stream, 2 * i + 1)


def permutation(seed: int, stream: int, n: int) -> list[int]:
    """0 .. n-1 shuffled (Fisher and Yates): for i = n-1 .. 1, swap i with j = floor(r (i + 1) / 2^64)."""
    order = list(range(n))
    for i in range(n - 1, 0, -1):
        j = (word64(seed, stream, n - 1 - i) * (i + 1)) >> 64
        order[i], order[j] = order[j], order[i]
    return order


def dropped(seed: int, stream: int, i: int, rate: float) -> bool:
    """Whether dropout at this rate drops element i: word i < floor(rate 2^32)."""
    return word(seed, stream, i) < math.floor(rate * 2.0**32)


def _polynomial(coefficients: Sequence[float], x: float) -> float:
    """c_0 + c_1 x + c_2 x^2 + ..., by Horner's rule."""
    result = 0.0
    for c in reversed(coefficients):
        result = result * x + c
    return result


# fmt: off
_CENTRE = (
    (3.3871328727963666080e0, 1.3314166789178437745e2, 1.9715909503065514427e3, 1.3731693765509461125e4,
     4.5921953931549871457e4, 6.7265770927008700853e4, 3.3430575583588128105e4, 2.5090809287301226727e3),
    (1.0, 4.2313330701600911252e1, 6.8718700749205790830e2, 5.3941960214247511077e3,
     2.1213794301586595867e4, 3.9307895800092710610e4, 2.8729085735721942674e4, 5.2264952788528545610e3),
)
_MIDDLE = (
    (1.42343711074968357734e0, 4.63033784615654529590e0, 5.76949722146069140550e0, 3.64784832476320460504e0,
     1.27045825245236838258e0, 2.41780725177450611770e-1, 2.27238449892691845833e-2, 7.74545014278341407640e-4),
    (1.0, 2.05319162663775882187e0, 1.67638483018380384940e0, 6.89767334985100004550e-1,
     1.48103976427480074590e-1, 1.51986665636164571966e-2, 5.47593808499534494600e-4, 1.05075007164441684324e-9),
)
_TAIL = (
    (6.65790464350110377720e0, 5.46378491116411436990e0, 1.78482653991729133580e0, 2.96560571828504891230e-1,
     2.65321895265761230930e-2, 1.24266094738807843860e-3, 2.71155556874348757815e-5, 2.01033439929228813265e-7),
    (1.0, 5.99832206555887937690e-1, 1.36929880922735805310e-1, 1.48753612908506148525e-2,
     7.86869131145613259100e-4, 1.84631831751005468180e-5, 1.42151175831644588870e-7, 2.04426310338993978564e-15),
)
# fmt: on


def quantile_from_middle(q: float) -> float:
    """The z with Phi(z) = 1/2 + q: Wichura's algorithm AS 241 (PPND16, 1988), good to about 16 digits.

    Near the centre z = q A(r) / B(r) with r = 0.425^2 - q^2; in the tails a ratio of polynomials in
    r = sqrt(-log(1/2 - |q|)). Taking q and not the probability keeps both tails exact.
    """
    if abs(q) <= 0.425:
        r = 0.180625 - q * q
        return q * _polynomial(_CENTRE[0], r) / _polynomial(_CENTRE[1], r)
    return math.copysign(_tail_quantile(0.5 - abs(q)), q)


def normal_quantile(p: float) -> float:
    """The z with Phi(z) = p; -inf at 0, inf at 1, NaN outside."""
    if abs(p - 0.5) <= 0.425:
        return quantile_from_middle(p - 0.5)
    tail = p if p < 0.5 else 1.0 - p
    if not tail > 0.0:
        return math.copysign(math.inf, p - 0.5) if tail == 0.0 else math.nan
    return math.copysign(_tail_quantile(tail), p - 0.5)


def _tail_quantile(tail: float) -> float:
    """The z > 0 with Phi(-z) = tail."""
    r = math.sqrt(-math.log(tail))
    (numerator, denominator), shift = (_MIDDLE, 1.6) if r <= 5.0 else (_TAIL, 5.0)
    return _polynomial(numerator, r - shift) / _polynomial(denominator, r - shift)
