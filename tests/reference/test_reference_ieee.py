"""The helpers of the reference give NumPy's answers at every special value."""

import itertools
import math

import numpy as np
import pytest

from fastnn.reference import _ieee

VALUES = [0.0, -0.0, 1.0, -1.0, 0.5, -0.5, 2.0, -2.0, 3.0, -3.0, 1e-320, 1e-20, 800.0, -800.0, 1e300, -1e300]
VALUES += [math.inf, -math.inf, math.nan]
UNARY = {
    "exp": np.exp,
    "expm1": np.expm1,
    "log": np.log,
    "log1p": np.log1p,
    "sqrt": np.sqrt,
    "sin": np.sin,
    "cos": np.cos,
    "sign": np.sign,
}
BINARY = {"div": np.divide, "power": np.power, "maximum": np.maximum, "minimum": np.minimum}


def same(a, b):
    if math.isnan(a) or math.isnan(b):
        return math.isnan(a) and math.isnan(b)
    return a == b or a == pytest.approx(b, rel=1e-15, abs=1e-323)


@pytest.mark.parametrize("name", UNARY)
@pytest.mark.parametrize("x", VALUES)
def test_functions_of_one_number(name, x):
    with np.errstate(all="ignore"):
        assert same(getattr(_ieee, name)(x), float(UNARY[name](np.float64(x))))


@pytest.mark.parametrize("name", BINARY)
def test_functions_of_two_numbers(name):
    for x, y in itertools.product(VALUES, VALUES):
        if (name, x, y) == ("power", -math.inf, 0.5):
            continue  # C says inf; NumPy takes a square root there, which is NaN
        with np.errstate(all="ignore"):
            expected = float(BINARY[name](np.float64(x), np.float64(y)))
        assert same(getattr(_ieee, name)(x, y), expected), (x, y)


def test_clip_and_largest():
    for x in VALUES:
        assert same(_ieee.clip(x, -1.5, 2.0), float(np.clip(x, -1.5, 2.0)))
    for xs in itertools.permutations([1.0, math.nan, -math.inf, 3.0]):
        assert math.isnan(_ieee.largest(xs))
    assert _ieee.largest([1.0, -math.inf, 3.0, 2.0]) == 3.0
    assert _ieee.largest([]) == -math.inf


def test_sums():
    assert _ieee.total([]) == 0.0
    assert _ieee.total([1.0, 2.0, 4.0]) == 7.0
    assert math.isnan(_ieee.total([math.inf, -math.inf]))
    assert _ieee.dot([1.0, 2.0], [3.0, 4.0]) == 11.0
    assert _ieee.logsumexp([1000.0, 1000.0]) == 1000.0 + math.log(2.0)
    assert _ieee.logsumexp([-1000.0, -1000.0]) == -1000.0 + math.log(2.0)
    assert math.isnan(_ieee.logsumexp([0.0, math.nan]))
