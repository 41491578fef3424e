"""The functions of `math`, with the answers of IEEE 754 where Python raises an exception or loses a NaN.

Python's `math.exp(1000.0)` is an OverflowError, `1.0 / 0.0` a ZeroDivisionError, and `max(0.0, nan)` is 0.0.
Here they are inf, inf and nan, as they are in NumPy and in C.
"""

import math
from collections.abc import Iterable, Sequence

INF = math.inf
NAN = math.nan


def exp(x: float) -> float:
    """e^x; inf where that is too large for a float."""
    try:
        return math.exp(x)
    except OverflowError:
        return INF


def expm1(x: float) -> float:
    """e^x - 1, accurate near 0."""
    try:
        return math.expm1(x)
    except OverflowError:
        return INF


def log(x: float) -> float:
    """The natural logarithm; -inf at 0, NaN below."""
    if x == 0.0:
        return -INF
    return NAN if x < 0.0 else math.log(x)


def log1p(x: float) -> float:
    """log(1 + x), accurate near 0; -inf at -1, NaN below."""
    if x == -1.0:
        return -INF
    return NAN if x < -1.0 else math.log1p(x)


def sqrt(x: float) -> float:
    """The square root; NaN for a negative number."""
    return NAN if x < 0.0 else math.sqrt(x)


def sin(x: float) -> float:
    """The sine; NaN at an infinity."""
    return NAN if math.isinf(x) else math.sin(x)


def cos(x: float) -> float:
    """The cosine; NaN at an infinity."""
    return NAN if math.isinf(x) else math.cos(x)


def div(a: float, b: float) -> float:
    """a / b; a signed infinity for a number over zero, NaN for 0 / 0."""
    if b != 0.0:
        return a / b
    return NAN if a == 0.0 or math.isnan(a) else math.copysign(INF, a) * math.copysign(1.0, b)


def power(x: float, y: float) -> float:
    """x^y; inf where that is too large, NaN for a negative x with a fractional y."""
    try:
        return math.pow(x, y)
    except OverflowError:
        return -INF if x < 0.0 and math.fmod(y, 2.0) != 0.0 else INF
    except ValueError:  # 0 to a negative power, or a fractional power of a negative number
        if x != 0.0:
            return NAN
        return math.copysign(INF, x) if math.fmod(y, 2.0) in (1.0, -1.0) else INF


def maximum(a: float, b: float) -> float:
    """The larger of the two; NaN if either is NaN."""
    return a if a > b or math.isnan(a) else b


def minimum(a: float, b: float) -> float:
    """The smaller of the two; NaN if either is NaN."""
    return a if a < b or math.isnan(a) else b


def clip(x: float, low: float, high: float) -> float:
    """x moved into [low, high]; NaN stays NaN."""
    return minimum(maximum(x, low), high)


def largest(xs: Iterable[float]) -> float:
    """The largest of several numbers; NaN if one of them is NaN; -inf of nothing."""
    result = -INF
    for x in xs:
        result = maximum(result, x)
    return result


def sign(x: float) -> float:
    """-1, 0 or +1; NaN stays NaN."""
    return 1.0 if x > 0.0 else -1.0 if x < 0.0 else x * 0.0


def total(xs: Iterable[float]) -> float:
    """The sum, added one after the other from the left."""
    result = 0.0
    for x in xs:
        result += x
    return result


def dot(xs: Sequence[float], ys: Sequence[float]) -> float:
    """x . y = sum_i x_i y_i."""
    return total(x * y for x, y in zip(xs, ys, strict=True))


def less_largest(xs: Sequence[float]) -> list[float]:
    """x_i - m, with m the largest x."""
    m = largest(xs)
    return [x - m for x in xs]


def logsumexp(xs: Sequence[float]) -> float:
    """log sum_i e^(x_i) = m + log sum_i e^(x_i - m), with m the largest x so that nothing overflows."""
    m = largest(xs)
    return m + log(total(exp(x - m) for x in xs))
