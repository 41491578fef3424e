"""Regularizers, constraints and initializers."""

import math
import statistics

import pytest

from fastnn.reference import initializers, random
from fastnn.reference.constraints import MaxNorm, MinMaxNorm, NonNeg, UnitNorm
from fastnn.reference.initializers import INITIALIZERS
from fastnn.reference.regularizers import L1, L1L2, L2, Orthogonal

MATRIX, SHAPE = [0.5, -1.5, 2.0, 0.25, 1.0, -0.75], (3, 2)


@pytest.mark.parametrize(
    ("regularizer", "penalty"),
    [(L1(0.1), 0.6), (L2(0.1), 0.1 * 8.125), (L1L2(0.1, 0.2), 0.6 + 0.2 * 8.125), (L1(), 0.06), (L2(), 0.08125)],
)
def test_penalties(regularizer, penalty):
    assert regularizer(MATRIX, SHAPE) == pytest.approx(penalty)


def test_orthogonal_penalty():
    assert Orthogonal(1.0)([1.0, 0.0, 0.0, 2.0], (2, 2)) == 0.0
    assert Orthogonal(1.0)([1.0, 0.0, 1.0, 1.0], (2, 2)) == pytest.approx(math.sqrt(0.5))
    assert Orthogonal(1.0, "columns")([1.0, 0.0, 1.0, 1.0], (2, 2)) == pytest.approx(math.sqrt(0.5))
    assert Orthogonal()([1.0, 0.0, 1.0, 1.0], (2, 2)) == pytest.approx(0.01 * math.sqrt(0.5))
    with pytest.raises(ValueError, match="matrix"):
        Orthogonal()([1.0, 2.0], (2,))
    with pytest.raises(ValueError, match="mode"):
        Orthogonal(0.1, "diagonal")(MATRIX, SHAPE)


@pytest.mark.parametrize("regularizer", [L1(0.1), L2(0.1), L1L2(0.1, 0.2), Orthogonal(0.5), Orthogonal(0.5, "columns")])
def test_penalty_gradients(regularizer):
    h, expected = 1e-6, []
    for i in range(6):
        up, down = list(MATRIX), list(MATRIX)
        up[i] += h
        down[i] -= h
        expected.append((regularizer(up, SHAPE) - regularizer(down, SHAPE)) / (2 * h))
    assert regularizer.gradient(MATRIX, SHAPE) == pytest.approx(expected, abs=1e-8)
    assert any(abs(e) > 1e-3 for e in expected)


def test_l1_at_zero():
    assert L1(0.1).gradient([0.0, -2.0], (2,)) == [0.0, -0.1]


def columns(values, shape):
    return [values[j :: shape[1]] for j in range(shape[1])]


def lengths(lists):
    return [math.hypot(*v) for v in lists]


def test_constraints():
    before = lengths(columns(MATRIX, SHAPE))
    assert before == pytest.approx([math.sqrt(5.25), math.sqrt(2.875)])
    assert lengths(columns(MaxNorm(2.0)(MATRIX, SHAPE), SHAPE)) == pytest.approx([2.0, before[1]], rel=1e-6)
    assert lengths(columns(UnitNorm()(MATRIX, SHAPE), SHAPE)) == pytest.approx([1.0, 1.0], rel=1e-6)
    half = MinMaxNorm(2.0, 2.0, rate=0.5)(MATRIX, SHAPE)
    assert lengths(columns(half, SHAPE)) == pytest.approx([1.0 + b / 2 for b in before], rel=1e-6)
    assert NonNeg()(MATRIX, SHAPE) == [0.5, 0.0, 2.0, 0.25, 1.0, 0.0]
    assert math.isnan(NonNeg()([math.nan], (1,))[0])


def test_epsilon_in_the_constraints():
    """Norm 5, and epsilon is 1e-7."""
    assert UnitNorm()([3.0, 4.0], (2,)) == pytest.approx([3.0 / 5.0000001, 4.0 / 5.0000001], rel=1e-15)
    assert MaxNorm()([3.0, 4.0], (2,)) == pytest.approx([6.0 / 5.0000001, 8.0 / 5.0000001], rel=1e-15)
    assert MinMaxNorm()([3.0, 4.0], (2,)) == pytest.approx([3.0 / 5.0000001, 4.0 / 5.0000001], rel=1e-15)


def test_constraints_along_other_axes():
    rows = UnitNorm(axis=1)(MATRIX, SHAPE)
    assert lengths([rows[0:2], rows[2:4], rows[4:6]]) == pytest.approx([1.0, 1.0, 1.0], rel=1e-6)
    assert math.hypot(*UnitNorm(axis=(0, 1))(MATRIX, SHAPE)) == pytest.approx(1.0, rel=1e-6)
    assert UnitNorm(axis=-1)(MATRIX, SHAPE) == rows


def test_signs_survive_a_norm():
    assert [math.copysign(1.0, w) for w in MaxNorm(0.5)(MATRIX, SHAPE)] == [math.copysign(1.0, w) for w in MATRIX]


def test_plain_initializers():
    assert initializers.zeros((2, 2)) == [0.0] * 4
    assert initializers.ones((3,)) == [1.0] * 3
    assert initializers.constant((2,), value=0.5) == [0.5, 0.5]
    assert initializers.constant((2,)) == [0.0, 0.0]
    assert initializers.identity((2, 2)) == [1.0, 0.0, 0.0, 1.0]
    assert initializers.identity((2, 3), gain=2.0) == [2.0, 0.0, 0.0, 0.0, 2.0, 0.0]


VARIANCES = {  # of a (40, 60) kernel
    "glorot_uniform": 2 / 100,
    "glorot_normal": 2 / 100,
    "he_uniform": 2 / 40,
    "he_normal": 2 / 40,
    "lecun_uniform": 1 / 40,
    "lecun_normal": 1 / 40,
    "variance_scaling": 1 / 40,
    "random_normal": 0.05**2,
    "random_uniform": 0.1**2 / 12,
    "truncated_normal": (0.05 * 0.87962566) ** 2,
}


@pytest.mark.parametrize("name", VARIANCES)
def test_variances(name):
    drawn = INITIALIZERS[name]((40, 60), 12, 34)
    assert len(drawn) == 2400
    assert statistics.pvariance(drawn) == pytest.approx(VARIANCES[name], rel=0.09)
    assert statistics.fmean(drawn) == pytest.approx(0.0, abs=4 * math.sqrt(VARIANCES[name] / 2400))
    assert drawn != INITIALIZERS[name]((40, 60), 12, 35)


def test_bounds_and_draws():
    limit = math.sqrt(6 / 100)
    uniform = initializers.glorot_uniform((40, 60), 1)
    assert limit * 0.98 < max(map(abs, uniform)) <= limit
    assert initializers.glorot_uniform((1, 1), 1) == pytest.approx([math.sqrt(3) * (2 * random.uniform(1, 0, 0) - 1)])
    assert uniform[7] == -limit + 2 * limit * random.uniform(1, 0, 7)
    truncated = initializers.he_normal((40, 60), 1)
    sigma = math.sqrt(2 / 40) / 0.87962566103423978
    assert 1.9 * sigma < max(map(abs, truncated)) <= 2 * sigma
    assert truncated[7] == sigma * random.truncated_normal(1, 0, 7)
    assert initializers.truncated_normal((5,), 1, 2, 3.0)[4] == 3.0 + 0.05 * random.truncated_normal(1, 2, 4)
    assert initializers.random_normal((5,), 1, 2, 3.0, 0.5)[4] == 3.0 + 0.5 * random.normal(1, 2, 4)


def test_variance_scaling_options():
    fan_out = initializers.variance_scaling((40, 60), 5, 0, 3.0, "fan_out", "untruncated_normal")
    assert statistics.pvariance(fan_out) == pytest.approx(3 / 60, rel=0.09)
    assert statistics.fmean(fan_out) == pytest.approx(0.0, abs=0.02)
    assert max(map(abs, fan_out)) > 2.5 * math.sqrt(3 / 60)
    with pytest.raises(ValueError, match="distribution"):
        initializers.variance_scaling((4, 6), 5, 0, 3.0, "fan_out", "cauchy")
    assert initializers.fans((7,)) == (7, 7)
    assert initializers.fans((3, 3, 4, 5)) == (36, 45)


def test_orthogonal_has_gain_1():
    assert math.hypot(*initializers.orthogonal((4, 1), 8)) == pytest.approx(1.0)


@pytest.mark.parametrize("shape", [(4, 4), (6, 3), (3, 6)])
def test_orthogonal(shape):
    m = initializers.orthogonal(shape, 8, 0, 2.0)
    vectors = columns(m, shape) if shape[0] >= shape[1] else [m[i : i + 6] for i in range(0, 18, 6)]
    for i, u in enumerate(vectors):
        for j, v in enumerate(vectors):
            expected = 4.0 if i == j else 0.0
            assert sum(a * b for a, b in zip(u, v, strict=True)) == pytest.approx(expected, abs=1e-12)
