"""Activation functions and their derivatives.

`ELEMENTWISE` has a row for each function of one number: f(x), f'(x), and its parameters with their defaults.
`ROWWISE` has those of a whole row, whose `backward(xs, dys)` turns d loss / d outputs into d loss / d inputs.

At a kink f' is the value given here and nowhere else. NaN in gives NaN out. At an infinity a formula means what IEEE
arithmetic makes of it: relu(-inf) is 0, but silu(-inf) = -inf * 0 is NaN.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from ._ieee import (
    INF,
    clip,
    div,
    dot,
    exp,
    expm1,
    largest,
    less_largest,
    log1p,
    logsumexp,
    maximum,
    minimum,
    sqrt,
    total,
)

GELU_C = math.sqrt(2.0 / math.pi)
GELU_K = 0.044715
SELU_ALPHA = 1.6732632423543772848170429916717
SELU_SCALE = 1.0507009873554804934193349852946


@dataclass(frozen=True)
class Activation:
    """One row of the table: y = value(x, **parameters) and dy/dx = derivative(x, **parameters)."""

    value: Callable[..., float]
    derivative: Callable[..., float]
    parameters: dict[str, float] = field(default_factory=dict)


# Building blocks.


def sigmoid(x: float) -> float:
    """1 / (1 + e^-x), from e^-|x| so that nothing overflows and both tails are accurate."""
    e = exp(-abs(x))
    return 1.0 / (1.0 + e) if x >= 0.0 else e / (1.0 + e)


def sigmoid_derivative(x: float) -> float:
    """s(x) (1 - s(x)) = s(x) s(-x), the latter accurate in both tails."""
    return sigmoid(x) * sigmoid(-x)


def tanh_derivative(x: float) -> float:
    """1 - tanh(x)^2 = 4 s(2x) s(-2x), the latter accurate in both tails."""
    return 4.0 * sigmoid_derivative(2.0 * x)


def softplus(x: float) -> float:
    """log(1 + e^x) = max(x, 0) + log(1 + e^-|x|)."""
    return maximum(x, 0.0) + log1p(exp(-abs(x)))


def normal_cdf(x: float) -> float:
    """Phi(x) = erfc(-x / sqrt 2) / 2, accurate in both tails."""
    return 0.5 * math.erfc(-x / math.sqrt(2.0))


def normal_density(x: float) -> float:
    """phi(x) = e^(-x^2 / 2) / sqrt(2 pi)."""
    return exp(-0.5 * x * x) / math.sqrt(2.0 * math.pi)


def mish_derivative(x: float) -> float:
    """t + x (1 - t^2) s(x), with t = tanh(softplus(x))."""
    return math.tanh(softplus(x)) + x * tanh_derivative(softplus(x)) * sigmoid(x)


def gelu_tanh(x: float) -> float:
    """x (1 + tanh u) / 2 = x s(2u), with u = sqrt(2 / pi) (x + 0.044715 x^3)."""
    return x * sigmoid(2.0 * GELU_C * (x + GELU_K * x * x * x))


def gelu_tanh_derivative(x: float) -> float:
    """s(2u) + 2 x s'(2u) u', with u' = sqrt(2 / pi) (1 + 3 * 0.044715 x^2)."""
    u = GELU_C * (x + GELU_K * x * x * x)
    t = 2.0 * GELU_C * sigmoid_derivative(2.0 * u) * x
    return sigmoid(2.0 * u) + t + 3.0 * GELU_K * t * x * x


def squareplus(x: float, b: float) -> float:
    """(x + sqrt(x^2 + b)) / 2; for a negative x as b / (2 (sqrt(x^2 + b) - x)), which does not cancel."""
    root = math.hypot(x, sqrt(b))
    return 0.5 * (x + root) if x >= 0.0 else 0.5 * div(b, root - x)


def squareplus_derivative(x: float, b: float) -> float:
    """(1 + x / sqrt(x^2 + b)) / 2 = f(x) / sqrt(x^2 + b)."""
    return div(squareplus(x, b), math.hypot(x, sqrt(b)))


def relu_general(x: float, negative_slope: float, max_value: float, threshold: float) -> float:
    """min(x, max_value) if x > threshold; negative_slope (x - threshold) otherwise."""
    if x > threshold:
        return minimum(x, max_value)
    return 0.0 if negative_slope == 0.0 and x <= threshold else negative_slope * (x - threshold)


def relu_general_derivative(x: float, negative_slope: float, max_value: float, threshold: float) -> float:
    """0 if x >= max_value; 1 if threshold < x < max_value; negative_slope otherwise, and at the threshold."""
    if x <= threshold:
        return negative_slope
    return 0.0 if max_value <= x and max_value != INF else 1.0


# fmt: off
ELEMENTWISE: dict[str, Activation] = {
    "step": Activation(
        lambda x: x if math.isnan(x) else float(x >= 0.0),
        lambda x: 0.0),
    "linear": Activation(
        lambda x: x,
        lambda x: 1.0),
    "sigmoid": Activation(sigmoid, sigmoid_derivative),
    "hard_sigmoid": Activation(
        lambda x: clip(x + 3.0, 0.0, 6.0) / 6.0,
        lambda x: 1.0 / 6.0 if -3.0 < x < 3.0 else 0.0),
    "tanh": Activation(math.tanh, tanh_derivative),
    "hard_tanh": Activation(
        lambda x: clip(x, -1.0, 1.0),
        lambda x: 1.0 if -1.0 < x < 1.0 else 0.0),
    "relu": Activation(
        lambda x: maximum(x, 0.0),
        lambda x: 1.0 if x > 0.0 else 0.0),
    "relu6": Activation(
        lambda x: clip(x, 0.0, 6.0),
        lambda x: 1.0 if 0.0 < x < 6.0 else 0.0),
    "leaky_relu": Activation(
        lambda x, negative_slope: x if x > 0.0 else negative_slope * x,
        lambda x, negative_slope: 1.0 if x > 0.0 else negative_slope,
        {"negative_slope": 0.2}),
    "relu_general": Activation(
        relu_general, relu_general_derivative,
        {"negative_slope": 0.0, "max_value": INF, "threshold": 0.0}),
    "elu": Activation(
        lambda x, alpha: x if x > 0.0 else alpha * expm1(x),
        lambda x, alpha: 1.0 if x > 0.0 else alpha * exp(x),
        {"alpha": 1.0}),
    "celu": Activation(
        lambda x, alpha: x if x > 0.0 else alpha * expm1(x / alpha),
        lambda x, alpha: 1.0 if x > 0.0 else exp(x / alpha),
        {"alpha": 1.0}),
    "selu": Activation(
        lambda x: SELU_SCALE * (x if x > 0.0 else SELU_ALPHA * expm1(x)),
        lambda x: SELU_SCALE * (1.0 if x > 0.0 else SELU_ALPHA * exp(x))),
    "gelu": Activation(
        lambda x: x * normal_cdf(x),
        lambda x: normal_cdf(x) + x * normal_density(x)),
    "gelu_tanh": Activation(gelu_tanh, gelu_tanh_derivative),
    "silu": Activation(
        lambda x: x * sigmoid(x),
        lambda x: sigmoid(x) * (1.0 + x * sigmoid(-x))),
    "hard_silu": Activation(
        lambda x: x * clip(x + 3.0, 0.0, 6.0) / 6.0,
        lambda x: 0.0 if x <= -3.0 else 1.0 if x >= 3.0 else (2.0 * x + 3.0) / 6.0),
    "mish": Activation(
        lambda x: x * math.tanh(softplus(x)),
        mish_derivative),
    "softplus": Activation(softplus, sigmoid),
    "softsign": Activation(
        lambda x: x / (1.0 + abs(x)),
        lambda x: 1.0 / ((1.0 + abs(x)) * (1.0 + abs(x)))),
    "exponential": Activation(exp, exp),
    "log_sigmoid": Activation(
        lambda x: -softplus(-x),
        lambda x: sigmoid(-x)),
    "squareplus": Activation(squareplus, squareplus_derivative, {"b": 4.0}),
    "hard_shrink": Activation(
        lambda x, threshold: 0.0 if abs(x) <= threshold else x,
        lambda x, threshold: 1.0 if abs(x) > threshold else 0.0,
        {"threshold": 0.5}),
    "soft_shrink": Activation(
        lambda x, threshold: 0.0 if abs(x) <= threshold else x - math.copysign(threshold, x),
        lambda x, threshold: 1.0 if abs(x) > threshold else 0.0,
        {"threshold": 0.5}),
    "tanh_shrink": Activation(
        lambda x: x - math.tanh(x),
        lambda x: math.tanh(x) * math.tanh(x)),
    "threshold": Activation(
        lambda x, threshold, default_value: default_value if x <= threshold else x,
        lambda x, threshold, default_value: 1.0 if x > threshold else 0.0,
        {"threshold": 0.0, "default_value": 0.0}),
    "sparse_plus": Activation(
        lambda x: 0.0 if x <= -1.0 else 0.25 * (x + 1.0) * (x + 1.0) if x < 1.0 else x,
        lambda x: 0.5 * clip(x + 1.0, 0.0, 2.0)),
    "sparse_sigmoid": Activation(
        lambda x: 0.5 * clip(x + 1.0, 0.0, 2.0),
        lambda x: 0.5 if -1.0 < x < 1.0 else 0.0),
}
# fmt: on

ALIASES = {"swish": "silu", "hard_swish": "hard_silu"}


def value(name: str, x: float, **parameters: float) -> float:
    """f(x) of a row of the table; parameters that are not given keep their defaults."""
    row = ELEMENTWISE[ALIASES.get(name, name)]
    return row.value(x, **(row.parameters | parameters))


def derivative(name: str, x: float, **parameters: float) -> float:
    """f'(x) of a row of the table."""
    row = ELEMENTWISE[ALIASES.get(name, name)]
    return row.derivative(x, **(row.parameters | parameters))


# Functions of a row.

Row = Sequence[float]


@dataclass(frozen=True)
class RowActivation:
    """ys = value(xs), and d loss / d xs = backward(xs, dys) with dys = d loss / d ys."""

    value: Callable[[Row], list[float]]
    backward: Callable[[Row, Row], list[float]]


def softmax(xs: Row) -> list[float]:
    """y_i = e^(x_i) / sum_j e^(x_j), shifted by the largest x so that nothing overflows."""
    es = [exp(x) for x in less_largest(xs)]
    s = total(es)
    return [div(e, s) for e in es]


def softmax_backward(xs: Row, dys: Row) -> list[float]:
    """dx_i = y_i (dy_i - sum_j dy_j y_j)."""
    ys = softmax(xs)
    mean = dot(dys, ys)
    return [y * (dy - mean) for y, dy in zip(ys, dys, strict=True)]


def log_softmax(xs: Row) -> list[float]:
    """y_i = x_i - log sum_j e^(x_j)."""
    shifted = less_largest(xs)
    lse = logsumexp(shifted)
    return [x - lse for x in shifted]


def log_softmax_backward(xs: Row, dys: Row) -> list[float]:
    """dx_i = dy_i - softmax(x)_i sum_j dy_j."""
    s = total(dys)
    return [dy - y * s for y, dy in zip(softmax(xs), dys, strict=True)]


def sparsemax(xs: Row) -> list[float]:
    """The point of the simplex nearest to x: y_i = max(x_i - tau, 0), with tau such that the y sum to 1.

    With x less the largest, which keeps sums small, and sorted downwards, k is the last place where
    1 + k x_k > x_1 + ... + x_k; tau = (x_1 + ... + x_k - 1) / k.
    """
    if math.isnan(largest(xs)):
        return [math.nan for _ in xs]
    shifted = less_largest(xs)
    tau = running = 0.0
    for k, x in enumerate(sorted(shifted, reverse=True), start=1):
        running += x
        if 1.0 + k * x > running:
            tau = (running - 1.0) / k
    return [maximum(x - tau, 0.0) for x in shifted]


def sparsemax_backward(xs: Row, dys: Row) -> list[float]:
    """dx_i = dy_i - (mean of dy over the support) where y_i > 0, and 0 elsewhere."""
    support = [y > 0.0 for y in sparsemax(xs)]
    mean = div(total(dy for dy, inside in zip(dys, support, strict=True) if inside), sum(support))
    return [dy - mean if inside else 0.0 for dy, inside in zip(dys, support, strict=True)]


def glu(xs: Row) -> list[float]:
    """y_i = a_i s(b_i), with a the first half of the row and b the second."""
    half = len(xs) // 2
    return [a * sigmoid(b) for a, b in zip(xs[:half], xs[half:], strict=True)]


def glu_backward(xs: Row, dys: Row) -> list[float]:
    """da_i = dy_i s(b_i), db_i = dy_i a_i s'(b_i)."""
    half = len(xs) // 2
    a, b = xs[:half], xs[half:]
    das = [dy * sigmoid(b[i]) for i, dy in enumerate(dys)]
    dbs = [dy * a[i] * sigmoid_derivative(b[i]) for i, dy in enumerate(dys)]
    return das + dbs


ROWWISE: dict[str, RowActivation] = {
    "softmax": RowActivation(softmax, softmax_backward),
    "log_softmax": RowActivation(log_softmax, log_softmax_backward),
    "sparsemax": RowActivation(sparsemax, sparsemax_backward),
    "glu": RowActivation(glu, glu_backward),
}


# A function with slopes that are learned.


def prelu(xs: Row, slopes: Row) -> list[float]:
    """y_i = x_i if x_i > 0, else slope_i x_i."""
    return [x if x > 0.0 else slope * x for x, slope in zip(xs, slopes, strict=True)]


def prelu_backward(xs: Row, slopes: Row, dys: Row) -> tuple[list[float], list[float]]:
    """dx_i = dy_i (1 or slope_i), d slope_i = dy_i min(x_i, 0)."""
    dxs = [dy if x > 0.0 else slope * dy for x, slope, dy in zip(xs, slopes, dys, strict=True)]
    return dxs, [dy * minimum(x, 0.0) for x, dy in zip(xs, dys, strict=True)]
