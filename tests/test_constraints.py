"""Constraints against Keras and the plain-Python reference."""

import os

os.environ.setdefault("KERAS_BACKEND", "jax")
os.environ.setdefault("JAX_ENABLE_X64", "1")

import importlib
import math

import numpy as np
import pytest
from optional import optional

import fastnn
from fastnn import constraints

CASES = [
    ("NonNeg", {}),
    ("MaxNorm", {}),
    ("MaxNorm", {"max_value": 1.2}),
    ("UnitNorm", {}),
    ("MinMaxNorm", {}),
    ("MinMaxNorm", {"min_value": 1.5, "max_value": 1.8, "rate": 0.6}),
]
SHAPES = [(7,), (1,), (5, 4), (6, 1), (1, 6), (3, 4, 5), (2, 3, 2, 3)]
AXES = [0, 1, -1, [0, 1], [0, 2], [1, 2], [-1, 0], []]
DTYPES = [np.float64, np.float32]


def weights(shape, dtype=np.float64):
    return np.random.default_rng(0).standard_normal(shape).astype(dtype)


@pytest.fixture(scope="module")
def keras():
    module = optional("keras")
    before = module.config.floatx()
    module.config.set_floatx("float64")
    yield module
    module.config.set_floatx(before)


def legal(axis, shape):
    axes = [axis] if isinstance(axis, int) else axis
    inside = all(-len(shape) <= a < len(shape) for a in axes)
    return inside and len({a % len(shape) for a in axes}) == len(axes)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize(("name", "given"), CASES, ids=str)
def test_the_weights_of_keras_and_of_the_reference(keras, name, given, dtype):
    reference = importlib.import_module("fastnn.reference.constraints")
    tried = 0
    for shape in SHAPES:
        for axis in AXES:
            if not legal(axis, shape) or (name == "NonNeg" and axis != 0):
                continue
            arguments = given if name == "NonNeg" else {**given, "axis": axis}
            w = weights(shape, dtype)
            before = w.copy()
            ours, theirs = getattr(constraints, name)(**arguments), getattr(keras.constraints, name)(**arguments)
            result = ours(w)
            expected = np.asarray(theirs(keras.ops.convert_to_tensor(before)))
            rtol = 1e-14 if dtype == np.float64 else 1e-6
            assert result.dtype == dtype
            np.testing.assert_allclose(result, expected, rtol=rtol, atol=0)
            plain = getattr(reference, name)(**arguments)(w.reshape(-1).tolist(), shape)
            np.testing.assert_allclose(result.reshape(-1), plain, rtol=1e-14 if dtype == np.float64 else 1e-6)
            np.testing.assert_array_equal(w, before)
            assert ours.get_config() == theirs.get_config()
            written = keras.constraints.serialize(theirs)
            np.testing.assert_array_equal(constraints.deserialize(written)(w), result)
            tried += 1
    assert tried >= len(SHAPES)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("axis", [0, 1])
@pytest.mark.parametrize("columns", [1, 2, 15, 16, 17, 63, 64, 65, 130, 1000])
def test_every_width(columns, axis, dtype):
    w = weights((37, columns), dtype)
    norms = np.sqrt(np.sum(w.astype(np.float64) ** 2, axis=axis, keepdims=True))
    expected = w * (np.minimum(norms, 1.5) / (1e-7 + norms))
    np.testing.assert_allclose(constraints.MaxNorm(1.5, axis)(w), expected, rtol=1e-6 if dtype == np.float32 else 1e-14)


def test_threads_change_no_bit():
    before = fastnn.get_num_threads()
    try:
        for shape, axis in [((300, 500), 0), ((300, 500), 1), ((100_000,), 0)]:
            w = weights(shape, np.float32)
            results = []
            for count in (1, 2, 3, 7):
                fastnn.set_num_threads(count)
                results.append([constraints.UnitNorm(axis)(w), constraints.NonNeg()(w)])
            for other in results[1:]:
                np.testing.assert_array_equal(results[0][0], other[0])
                np.testing.assert_array_equal(results[0][1], other[1])
    finally:
        fastnn.set_num_threads(before)


def test_layouts_and_specials():
    w = weights((6, 8))
    for ours in (constraints.MaxNorm(1.0), constraints.NonNeg(), constraints.UnitNorm([0, 1])):
        for view in (w[::2], w[::-1], w.T, np.asfortranarray(w), np.broadcast_to(w[0], (3, 8))):
            np.testing.assert_array_equal(ours(view), ours(view.copy()))
    np.testing.assert_array_equal(constraints.NonNeg()([-1, 0, 2]), [0, 0, 2])
    special = np.array([math.nan, math.inf, -math.inf, -0.0, 5e-324])
    np.testing.assert_array_equal(constraints.NonNeg()(special), np.maximum(special, 0))
    for ours in (constraints.MaxNorm(1.0), constraints.UnitNorm()):
        assert np.isnan(ours(np.array([math.nan, 1.0]))).all()
        np.testing.assert_array_equal(ours(np.zeros(3)), np.zeros(3))
        np.testing.assert_array_equal(ours(np.array([math.inf, 1.0])), [math.nan, 0.0])
        assert ours(np.zeros((0, 3))).shape == (0, 3)
        assert ours(np.zeros((3, 0))).shape == (3, 0)
    np.testing.assert_allclose(constraints.UnitNorm()(np.float32([3e38, 3e38])), math.sqrt(0.5), rtol=1e-6)
    assert np.isfinite(constraints.Constraint()(w)).all()


def test_names_strings_and_wrong_arguments():
    assert constraints.get(None) is None
    for name in ("MaxNorm", "max_norm", "NonNeg", "non_neg", "UnitNorm", "unit_norm", "MinMaxNorm", "min_max_norm"):
        assert isinstance(constraints.get(name), constraints.Constraint)
    made = constraints.MinMaxNorm(0.5, 0.7, 0.9, [0, 1])
    assert constraints.get(made) is made
    assert constraints.get(constraints.serialize(made)).get_config() == made.get_config()
    with pytest.raises(ValueError, match="did you mean 'max_norm'"):
        constraints.get("max_nrm")
    with pytest.raises(TypeError, match="constraint"):
        constraints.get(3)
    with pytest.raises(ValueError, match="max_value"):
        constraints.MinMaxNorm(2.0, 1.0)
    with pytest.raises(ValueError, match="rate"):
        constraints.MinMaxNorm(rate=1.5)
    with pytest.raises(TypeError, match="axis"):
        constraints.MaxNorm(axis=0.5)
    with pytest.raises(ValueError, match="axis"):
        constraints.MaxNorm(axis=1)(np.ones(3))
    with pytest.raises(ValueError, match="twice"):
        constraints.MaxNorm(axis=[0, -1])(np.ones(3))
    with pytest.raises(ValueError, match="axis"):
        constraints.MaxNorm()(1.0)
