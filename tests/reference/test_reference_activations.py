"""Every activation: its derivative against finite differences, its kinks, tails, NaN and infinities."""

import math

import pytest

from fastnn.reference import activations
from fastnn.reference.activations import ALIASES, ELEMENTWISE, ROWWISE, derivative, value

POINTS = [-7.3, -3.4, -2.6, -1.7, -1.2, -0.8, -0.4, -0.11, 0.13, 0.37, 0.73, 1.4, 2.2, 2.9, 3.6, 5.2, 6.7]
OTHER_PARAMETERS = {
    "leaky_relu": {"negative_slope": 0.05},
    "relu_general": {"negative_slope": 0.1, "max_value": 4.0, "threshold": 0.5},
    "elu": {"alpha": 1.7},
    "celu": {"alpha": 0.6},
    "squareplus": {"b": 1.5},
    "hard_shrink": {"threshold": 1.0},
    "soft_shrink": {"threshold": 1.0},
    "threshold": {"threshold": 1.0, "default_value": -2.0},
}
CASES = [(name, {}) for name in ELEMENTWISE] + list(OTHER_PARAMETERS.items())


@pytest.mark.parametrize(("name", "parameters"), CASES)
def test_derivative_is_the_slope(name, parameters):
    for x in POINTS:
        h = 1e-5
        slope = (value(name, x + h, **parameters) - value(name, x - h, **parameters)) / (2 * h)
        assert derivative(name, x, **parameters) == pytest.approx(slope, rel=1e-8, abs=1e-9), x


LN2 = math.log(2.0)
FIGURES = [  # name, x, f(x) by hand
    ("linear", -1.5, -1.5),
    ("sigmoid", LN2, 2 / 3),
    ("sigmoid", -LN2, 1 / 3),
    ("hard_sigmoid", 1.5, 0.75),
    ("tanh", LN2, 0.6),
    ("hard_tanh", -0.25, -0.25),
    ("relu", 1.5, 1.5),
    ("relu6", 7.0, 6.0),
    ("leaky_relu", -1.5, -0.3),
    ("relu_general", -1.5, 0.0),
    ("elu", -LN2, -0.5),
    ("celu", -LN2, -0.5),
    ("selu", -LN2, -0.5 * 1.0507009873554805 * 1.6732632423543772),
    ("selu", 2.0, 2.0 * 1.0507009873554805),
    ("gelu", 1.0, 0.8413447460685429),
    ("gelu", -1.0, -0.15865525393145705),
    ("gelu_tanh", 1.0, 0.8411919906082768),
    ("silu", LN2, 2 / 3 * LN2),
    ("hard_silu", 1.0, 2 / 3),
    ("mish", LN2, 0.8 * LN2),  # tanh(log 3) = 0.8
    ("softplus", LN2, math.log(3.0)),
    ("softplus", -LN2, math.log(1.5)),
    ("softsign", -3.0, -0.75),
    ("exponential", LN2, 2.0),
    ("log_sigmoid", LN2, math.log(2 / 3)),
    ("squareplus", 1.5, 2.0),
    ("squareplus", -1.5, 0.5),
    ("squareplus", 0.0, 1.0),
    ("hard_shrink", 0.6, 0.6),
    ("hard_shrink", -0.4, 0.0),
    ("soft_shrink", 0.6, 0.1),
    ("soft_shrink", -0.6, -0.1),
    ("tanh_shrink", LN2, LN2 - 0.6),
    ("threshold", 0.1, 0.1),
    ("threshold", -0.1, 0.0),
    ("sparse_plus", 0.0, 0.25),
    ("sparse_plus", 3.0, 3.0),
    ("sparse_sigmoid", 0.5, 0.75),
    ("step", -2.0, 0.0),
]


@pytest.mark.parametrize(("name", "x", "y"), FIGURES)
def test_figures(name, x, y):
    assert value(name, x) == pytest.approx(y, rel=1e-14)


def test_every_activation_has_a_figure():
    assert {name for name, *_ in FIGURES} == set(ELEMENTWISE)


def test_every_parameter_has_another_value_tested():
    assert {n: set(row.parameters) for n, row in ELEMENTWISE.items() if row.parameters} == {
        n: set(p) for n, p in OTHER_PARAMETERS.items()
    }


KINKS = [
    ("step", 0.0, 0.0),
    ("relu", 0.0, 0.0),
    ("leaky_relu", 0.0, 0.2),
    ("relu_general", 0.0, 0.0),
    ("relu6", 0.0, 0.0),
    ("relu6", 6.0, 0.0),
    ("hard_tanh", -1.0, 0.0),
    ("hard_tanh", 1.0, 0.0),
    ("hard_sigmoid", -3.0, 0.0),
    ("hard_sigmoid", 3.0, 0.0),
    ("hard_silu", -3.0, 0.0),
    ("hard_silu", 3.0, 1.0),
    ("elu", 0.0, 1.0),
    ("celu", 0.0, 1.0),
    ("selu", 0.0, 1.0507009873554805 * 1.6732632423543772),
    ("hard_shrink", 0.5, 0.0),
    ("hard_shrink", -0.5, 0.0),
    ("soft_shrink", 0.5, 0.0),
    ("soft_shrink", -0.5, 0.0),
    ("threshold", 0.0, 0.0),
    ("sparse_plus", -1.0, 0.0),
    ("sparse_plus", 1.0, 1.0),
    ("sparse_sigmoid", -1.0, 0.0),
    ("sparse_sigmoid", 1.0, 0.0),
]


@pytest.mark.parametrize(("name", "x", "expected"), KINKS)
def test_derivative_at_a_kink(name, x, expected):
    assert derivative(name, x) == expected


def test_kinks_that_depend_on_parameters():
    assert derivative("elu", 0.0, alpha=1.7) == 1.7
    assert derivative("celu", 0.0, alpha=1.7) == 1.0
    general = {"negative_slope": 0.1, "max_value": 4.0, "threshold": 0.5}
    assert derivative("relu_general", 0.5, **general) == 0.1
    assert derivative("relu_general", 4.0, **general) == 0.0


def test_step_is_one_at_zero():
    assert [value("step", x) for x in (-1e-300, -0.0, 0.0, 3.0)] == [0.0, 1.0, 1.0, 1.0]


def test_general_relu():
    general = {"negative_slope": 0.1, "max_value": 4.0, "threshold": 0.5}
    for x, y in [(-1.5, -0.2), (0.4, -0.01), (0.5, 0.0), (0.6, 0.6), (3.0, 3.0), (4.0, 4.0), (9.0, 4.0)]:
        assert value("relu_general", x, **general) == pytest.approx(y)
    for x in POINTS:
        assert value("relu_general", x) == value("relu", x)
        assert value("relu_general", x, max_value=6.0) == value("relu6", x)
        assert value("relu_general", x, negative_slope=0.2) == value("leaky_relu", x)


@pytest.mark.parametrize("name", ELEMENTWISE)
def test_nan_stays_nan(name):
    assert math.isnan(value(name, math.nan))


INFINITIES = {  # name: (value at -inf, value at +inf)
    "step": (0.0, 1.0),
    "linear": (-math.inf, math.inf),
    "sigmoid": (0.0, 1.0),
    "hard_sigmoid": (0.0, 1.0),
    "tanh": (-1.0, 1.0),
    "hard_tanh": (-1.0, 1.0),
    "relu": (0.0, math.inf),
    "relu6": (0.0, 6.0),
    "leaky_relu": (-math.inf, math.inf),
    "relu_general": (0.0, math.inf),
    "elu": (-1.0, math.inf),
    "celu": (-1.0, math.inf),
    "selu": (-1.0507009873554805 * 1.6732632423543772, math.inf),
    "gelu": (math.nan, math.inf),
    "gelu_tanh": (math.nan, math.inf),
    "silu": (math.nan, math.inf),
    "hard_silu": (math.nan, math.inf),
    "mish": (math.nan, math.inf),
    "softplus": (0.0, math.inf),
    "softsign": (math.nan, math.nan),
    "exponential": (0.0, math.inf),
    "log_sigmoid": (-math.inf, 0.0),
    "squareplus": (0.0, math.inf),
    "hard_shrink": (-math.inf, math.inf),
    "soft_shrink": (-math.inf, math.inf),
    "tanh_shrink": (-math.inf, math.inf),
    "threshold": (0.0, math.inf),
    "sparse_plus": (0.0, math.inf),
    "sparse_sigmoid": (0.0, 1.0),
}


@pytest.mark.parametrize("name", ELEMENTWISE)
def test_infinities(name):
    assert [value(name, -math.inf), value(name, math.inf)] == pytest.approx(list(INFINITIES[name]), nan_ok=True)


@pytest.mark.parametrize("name", ELEMENTWISE)
def test_large_numbers_are_no_error(name):
    """Finite in, and nothing but overflow of the exponential comes out as anything but a finite number."""
    for x in (-1e300, -800.0, 800.0, 1e300):
        y, slope = value(name, x), derivative(name, x)
        if name == "exponential" and x > 0:
            assert y == slope == math.inf
        else:
            assert math.isfinite(y), x
            assert -0.01 <= slope <= 1.06 or name == "squareplus", x


def test_tails_are_accurate():
    """Figures from 60-digit arithmetic."""
    figures = [
        ("sigmoid", -40.0, 4.24835425529158897728e-18),
        ("softplus", -40.0, 4.24835425529158898631e-18),
        ("log_sigmoid", 40.0, -4.24835425529158898631e-18),
        ("mish", -40.0, -1.69934170211663559452e-16),
        ("gelu", -10.0, -7.61985302416052606597e-23),
        ("gelu", -30.0, -1.47201417814445611786e-196),
        ("silu", -40.0, -1.69934170211663559091e-16),
        ("elu", -1e-10, -9.99999999950000000e-11),
    ]
    for name, x, y in figures:
        assert value(name, x) == pytest.approx(y, rel=5e-13, abs=0.0), name
    assert derivative("tanh", 20.0) == pytest.approx(1.69934170211663558e-17, rel=1e-13, abs=0.0)
    assert derivative("sigmoid", 40.0) == pytest.approx(4.24835425529158897e-18, rel=1e-13, abs=0.0)


def test_aliases():
    assert {a: value(a, 0.7) for a in ALIASES} == {a: value(n, 0.7) for a, n in ALIASES.items()}
    assert derivative("swish", 0.7) == derivative("silu", 0.7)


ROWS = [[0.9, 0.5, 0.1, -0.7], [0.3, 0.31, -4.0, 0.2], [-1.0, 0.8, 0.25, 0.5]]


@pytest.mark.parametrize("name", ROWWISE)
@pytest.mark.parametrize("xs", ROWS)
def test_rowwise_backward(name, xs):
    f = ROWWISE[name]
    dys = [0.9, -0.4, 1.3, 0.6][: len(f.value(xs))]
    h = 1e-6

    def weighted(row):
        return sum(d * y for d, y in zip(dys, f.value(row), strict=True))

    expected = []
    for i in range(len(xs)):
        up, down = list(xs), list(xs)
        up[i] += h
        down[i] -= h
        expected.append((weighted(up) - weighted(down)) / (2 * h))
    assert f.backward(xs, dys) == pytest.approx(expected, rel=1e-7, abs=1e-9)
    assert any(abs(e) > 1e-3 for e in expected)


def test_softmax_figures():
    assert activations.softmax([2.0, 1.0, 0.1]) == pytest.approx([0.6590011389, 0.2424329707, 0.0985658904], abs=1e-10)
    assert activations.softmax([10.0, 20.0]) == pytest.approx([0.0000453979, 0.9999546021], abs=1e-10)


def test_rowwise_extremes():
    assert activations.softmax([1000.0, 1000.0]) == [0.5, 0.5]
    assert activations.softmax([-1000.0, 0.0]) == [0.0, 1.0]
    assert activations.log_softmax([-1000.0, 0.0]) == [-1000.0, 0.0]
    assert activations.softmax([-math.inf, 0.0]) == [0.0, 1.0]
    for f in (activations.softmax, activations.log_softmax, activations.sparsemax):
        assert all(math.isnan(y) for y in f([0.0, math.nan, 1.0])), f
    assert all(math.isnan(y) for y in activations.softmax([math.inf, 0.0]))


def test_sparsemax():
    assert activations.sparsemax([0.1, 0.2, 0.3]) == pytest.approx([0.7 / 3, 1 / 3, 1.3 / 3])
    assert activations.sparsemax([3.0, 1.0, 0.0]) == [1.0, 0.0, 0.0]
    assert sum(activations.sparsemax([0.3, -0.2, 0.9, 0.4])) == pytest.approx(1.0)


@pytest.mark.parametrize("xs", [*ROWS, [2.0, 1.0, 0.1, -0.7], [0.0] * 5, [7.0], [1e6, 1e6 + 0.5]])
def test_sparsemax_is_the_nearest_point_of_the_simplex(xs):
    """The conditions of that minimum: y >= 0, sum 1, x - y the same wherever y > 0 and nowhere smaller than x."""
    ys = activations.sparsemax(xs)
    assert sum(ys) == pytest.approx(1.0)
    assert min(ys) >= 0.0
    gaps = [x - y for x, y in zip(xs, ys, strict=True) if y > 0.0]
    assert max(gaps) == pytest.approx(min(gaps), abs=1e-9)
    assert all(x <= min(gaps) + 1e-9 for x, y in zip(xs, ys, strict=True) if y == 0.0)


def test_prelu():
    xs, slopes, dys = [2.0, -3.0, 0.0], [0.1, 0.25, 0.5], [1.0, 2.0, 4.0]
    assert activations.prelu(xs, slopes) == [2.0, -0.75, 0.0]
    assert activations.prelu_backward(xs, slopes, dys) == ([1.0, 0.5, 2.0], [0.0, -6.0, 0.0])
    for x in POINTS:
        assert activations.prelu([x], [0.0]) == [value("relu", x)]
        assert activations.prelu([x], [0.01]) == [value("leaky_relu", x, negative_slope=0.01)]
    assert math.isnan(activations.prelu([math.nan], [0.1])[0])


def test_unknown_parameters_are_refused():
    with pytest.raises(TypeError):
        value("relu", 1.0, alpha=2.0)
    with pytest.raises(KeyError):
        value("rleu", 1.0)
