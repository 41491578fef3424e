"""The vector mathematics of the core, and the smooth activations made of it, against mpmath."""

import math

import numpy as np
import pytest
from optional import optional

from fastnn import activations
from fastnn._core import activations as core

mpmath = optional("mpmath")
mp, mpf = mpmath.mp, mpmath.mpf

DTYPES = [np.float32, np.float64]


def softplus(x):
    return max(x, mpf(0)) + mp.log1p(mp.exp(-abs(x)))


def sigmoid(x):
    return 1 / (1 + mp.exp(-x))


MATHS = {
    "exp": mp.exp,
    "expm1": mp.expm1,
    "log": mp.log,
    "log1p": mp.log1p,
    "tanh": mp.tanh,
    "sigmoid": sigmoid,
    "softplus": softplus,
    "log_sigmoid": lambda x: -softplus(-x),
    "erf": mp.erf,
}
# What else is to be right relative to its size, and how many ULP it may be off
SMOOTH = {
    "silu": (lambda x: x * sigmoid(x), 4),
    "mish": (lambda x: x * mp.tanh(softplus(x)), 6),
    "gelu": (lambda x: x * mp.ncdf(x), 16),  # float gives up a few near x = -14
    "tanh_shrink": (lambda x: x - mp.tanh(x), 16),
    "softsign": (lambda x: x / (1 + abs(x)), 2),
    "squareplus": (lambda x: 2 / (mp.sqrt(x * x + 4) - x) if x < 0 else (x + mp.sqrt(x * x + 4)) / 2, 4),
    "elu": (lambda x: x if x > 0 else mp.expm1(x), 2),
    "selu": (lambda x: mpf("1.0507009873554804934193349852946")
             * (x if x > 0 else mpf("1.6732632423543772848170429916717") * mp.expm1(x)), 4),
}  # fmt: skip


@pytest.fixture(autouse=True)
def precision():
    with mp.workdps(400):  # x - tanh(x) cancels where x is small
        yield


def ulps(y, exact, dtype):
    """How many units in the last place y is off; denormals have the spacing of the least normal number."""
    limits = np.finfo(dtype)
    if abs(exact) > float(limits.max):
        return 0.0 if np.isinf(y) and (y > 0) == (exact > 0) else math.inf
    if not np.isfinite(y):
        return math.inf
    spacing = np.spacing(dtype(max(abs(float(exact)), float(limits.tiny))))
    return float(abs(mpf(float(y)) - exact) / mpf(float(spacing)))


def points(dtype, count=150):
    """All magnitudes of both signs, and the middle more closely."""
    rng = np.random.default_rng(7)
    limits = np.finfo(dtype)
    exponents = rng.uniform(math.log2(float(limits.smallest_subnormal)), limits.maxexp, count)
    wide = np.exp2(exponents)
    near = np.concatenate([rng.uniform(0, high, count) for high in (1, 5, 20, 120, 760)])
    x = np.concatenate([wide, near]).astype(dtype)
    return np.concatenate([x, -x])[np.isfinite(np.concatenate([x, x]))]


def exact_values(function, x):
    """function(x) in high precision; None where the power is beyond all range."""
    results = []
    for a in x:
        try:
            results.append(function(mpf(float(a))))
        except (OverflowError, ValueError):
            results.append(None)
    return results


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", core.MATHS)
def test_math_within_two_ulps(name, dtype):
    x = points(dtype)
    if name in ("log", "log1p"):
        x = x[x > (0 if name == "log" else -1)]
    x = x[np.abs(x) < 1e4] if name not in ("log", "log1p") else x  # e^(10^38) has too many digits even for mpmath
    y = np.full_like(x, 7)
    core.math(core.MATHS.index(name), x, y)
    with mp.workdps(60):
        errors = [ulps(b, MATHS[name](mpf(float(a))), dtype) for a, b in zip(x, y, strict=True)]
    worst = int(np.argmax(errors))
    assert errors[worst] <= 2, f"{name}({x[worst]!r}) = {y[worst]!r} is {errors[worst]:.2f} ULP off"


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", SMOOTH)
def test_smooth_activations_are_right_in_the_tails(name, dtype):
    function, bound = SMOOTH[name]
    x = points(dtype)
    x = x[np.abs(x) < (3e3 if dtype is np.float64 else 3e2)]
    y = getattr(activations, name)(x)
    errors = [ulps(b, function(mpf(float(a))), dtype) for a, b in zip(x, y, strict=True)]
    worst = int(np.argmax(errors))
    assert errors[worst] <= bound, f"{name}({x[worst]!r}) = {y[worst]!r} is {errors[worst]:.2f} ULP off"


def test_every_function_is_tested():
    assert set(MATHS) == set(core.MATHS)
