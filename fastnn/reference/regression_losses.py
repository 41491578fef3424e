"""Losses of numbers: how far a prediction is from its target, and the angle between two rows.

All but the cosine are l(y, p) of one target and one prediction, with dl/dp; `losses.py` takes their mean over a row.
"""

import math
from collections.abc import Sequence

from ._ieee import clip, div, dot, log, log1p, maximum, sign, sqrt
from .activations import softplus

Row = Sequence[float]
EPSILON = 1e-7


def squared_error(y: float, p: float) -> float:
    """(p - y)^2."""
    return (p - y) * (p - y)


def squared_error_derivative(y: float, p: float) -> float:
    """2 (p - y)."""
    return 2.0 * (p - y)


def half_squared_error(y: float, p: float) -> float:
    """(p - y)^2 / 2."""
    return 0.5 * (p - y) * (p - y)


def half_squared_error_derivative(y: float, p: float) -> float:
    """p - y."""
    return p - y


def absolute_error(y: float, p: float) -> float:
    """|p - y|."""
    return abs(p - y)


def absolute_error_derivative(y: float, p: float) -> float:
    """sign(p - y)."""
    return sign(p - y)


def huber(y: float, p: float, delta: float = 1.0) -> float:
    """e^2 / 2 where |e| <= delta, and delta |e| - delta^2 / 2 outside, with e = p - y."""
    e = abs(p - y)
    return 0.5 * e * e if e <= delta else delta * e - 0.5 * delta * delta


def huber_derivative(y: float, p: float, delta: float = 1.0) -> float:
    """e within [-delta, delta], and +-delta outside."""
    return clip(p - y, -delta, delta)


def smooth_l1(y: float, p: float, beta: float = 1.0) -> float:
    """Huber's loss over beta: e^2 / (2 beta) where |e| <= beta, and |e| - beta / 2 outside."""
    return huber(y, p, beta) / beta


def smooth_l1_derivative(y: float, p: float, beta: float = 1.0) -> float:
    return huber_derivative(y, p, beta) / beta


def log_cosh(y: float, p: float) -> float:
    """log cosh e, with e = p - y; near 0 as log(1 + 2 sinh(e / 2)^2), beyond as |e| + log(1 + e^(-2 |e|)) - log 2."""
    e = abs(p - y)
    if e < 1.0:
        return log1p(2.0 * math.sinh(0.5 * e) * math.sinh(0.5 * e))
    return e + softplus(-2.0 * e) - math.log(2.0)


def log_cosh_derivative(y: float, p: float) -> float:
    """tanh(p - y)."""
    return math.tanh(p - y)


def percentage_error(y: float, p: float) -> float:
    """100 |y - p| / max(|y|, epsilon)."""
    return 100.0 * abs((y - p) / maximum(abs(y), EPSILON))


def percentage_error_derivative(y: float, p: float) -> float:
    """100 sign(p - y) / max(|y|, epsilon)."""
    return 100.0 * sign(p - y) / maximum(abs(y), EPSILON)


def log_difference(y: float, p: float) -> float:
    """log(1 + p) - log(1 + y), both at least epsilon."""
    return log(maximum(p, EPSILON) + 1.0) - log(maximum(y, EPSILON) + 1.0)


def squared_logarithmic_error(y: float, p: float) -> float:
    """(log(1 + p) - log(1 + y))^2."""
    return log_difference(y, p) * log_difference(y, p)


def squared_logarithmic_error_derivative(y: float, p: float) -> float:
    """2 (log(1 + p) - log(1 + y)) / (1 + p), and 0 where p < epsilon."""
    return 0.0 if p < EPSILON else 2.0 * log_difference(y, p) / (p + 1.0)


def poisson(y: float, p: float) -> float:
    """p - y log(p + epsilon)."""
    return p - y * log(p + EPSILON)


def poisson_derivative(y: float, p: float) -> float:
    """1 - y / (p + epsilon)."""
    return 1.0 - div(y, p + EPSILON)


def inverse_norm(xs: Row) -> float:
    """1 / |x|, at most 1 / epsilon."""
    norm = sqrt(dot(xs, xs))
    return 1.0 / maximum(norm, EPSILON)


def cosine_similarity(y_true: Row, y_pred: Row) -> float:
    """-(y / |y|) . (p / |p|): -1 where they point the same way, 0 where they are orthogonal."""
    return -dot(y_true, y_pred) * inverse_norm(y_true) * inverse_norm(y_pred)


def cosine_similarity_gradient(y_true: Row, y_pred: Row) -> list[float]:
    """-(y^_j - c p^_j) / |p|, with y^ and p^ of length 1 and c = y^ . p^; where |p| <= epsilon, -y^_j / epsilon."""
    a, b = inverse_norm(y_true), inverse_norm(y_pred)
    ys, ps = [y * a for y in y_true], [p * b for p in y_pred]
    c = 0.0 if b == 1.0 / EPSILON else dot(ys, ps)
    return [-(y - c * p) * b for y, p in zip(ys, ps, strict=True)]
