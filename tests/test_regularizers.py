"""Regularizers against Keras, the plain-Python reference and finite differences."""

import os

os.environ.setdefault("KERAS_BACKEND", "jax")
os.environ.setdefault("JAX_ENABLE_X64", "1")

import importlib
import math

import numpy as np
import pytest
from optional import optional

from fastnn import regularizers

CASES = [
    ("L1", {}),
    ("L1", {"l1": 0.3}),
    ("L2", {}),
    ("L2", {"l2": 0.3}),
    ("L1L2", {}),
    ("L1L2", {"l1": 0.2, "l2": 0.7}),
    ("OrthogonalRegularizer", {}),
    ("OrthogonalRegularizer", {"factor": 0.5, "mode": "columns"}),
]
DTYPES = [np.float64, np.float32]


def weights(shape=(5, 4), dtype=np.float64):
    return np.random.default_rng(0).standard_normal(shape).astype(dtype)


@pytest.fixture(scope="module")
def keras():
    module = optional("keras")
    before = module.config.floatx()
    module.config.set_floatx("float64")
    yield module
    module.config.set_floatx(before)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize(("name", "given"), CASES, ids=str)
def test_the_penalties_of_keras(keras, name, given, dtype):
    w = weights(dtype=dtype)
    ours, theirs = getattr(regularizers, name)(**given), getattr(keras.regularizers, name)(**given)
    rtol = 1e-13 if dtype == np.float64 else 1e-5
    assert ours(w) == pytest.approx(float(theirs(keras.ops.convert_to_tensor(w))), rel=rtol, abs=0)
    assert isinstance(ours(w), float)
    assert {k: pytest.approx(v) for k, v in theirs.get_config().items()} == ours.get_config()
    written = keras.regularizers.serialize(theirs)
    assert regularizers.deserialize(written)(w) == ours(w)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("shape", [(3, 5), (5, 3), (2, 2), (1, 4), (2, 1)])
@pytest.mark.parametrize(("name", "given"), CASES, ids=str)
def test_the_penalties_and_gradients_of_the_reference(name, given, shape, dtype):
    reference = importlib.import_module("fastnn.reference.regularizers")
    w = weights(shape, dtype)
    ours = getattr(regularizers, name)(**given)
    plain = getattr(reference, "Orthogonal" if name == "OrthogonalRegularizer" else name)(**given)
    rtol = 1e-12 if dtype == np.float64 else 2e-5
    if name == "OrthogonalRegularizer" and shape[given.get("mode") == "columns"] == 1:
        assert ours(w) == 0  # no pairs; 0 / 0 in the reference
        assert not ours.gradient(w).any()
        return
    assert ours(w) == pytest.approx(plain(w.reshape(-1).tolist(), shape), rel=rtol)
    expected = np.reshape(plain.gradient(w.reshape(-1).tolist(), shape), shape)
    gradient = ours.gradient(w)
    assert gradient.dtype == dtype
    assert gradient.flags.c_contiguous
    np.testing.assert_allclose(gradient, expected, rtol=rtol, atol=1e-14 if dtype == np.float64 else 1e-7)


@pytest.mark.parametrize(("name", "given"), CASES, ids=str)
def test_gradients_are_those_of_finite_differences(name, given):
    w = weights()
    ours = getattr(regularizers, name)(**given)
    expected, h = np.empty_like(w), 1e-6
    for i in np.ndindex(w.shape):
        up, down = w.copy(), w.copy()
        up[i] += h
        down[i] -= h
        expected[i] = (ours(up) - ours(down)) / (2 * h)
    gradient = ours.gradient(w)
    np.testing.assert_allclose(gradient, expected, rtol=1e-7, atol=1e-9)
    assert gradient.any() or given == {}


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("size", [0, 1, 7, 8, 9, 15, 16, 17, 8191, 8192, 8193, 50_001])
def test_sums_are_exact_to_double(size, dtype):
    w = weights(size, dtype)
    expected = 0.5 * math.fsum(abs(float(x)) for x in w) + 0.25 * math.fsum(float(x) ** 2 for x in w)
    assert regularizers.L1L2(0.5, 0.25)(w) == pytest.approx(expected, rel=1e-14, abs=0)


def test_layouts_and_specials():
    w = weights((6, 8))
    ours = regularizers.L1L2(0.1, 0.2)
    for view in (w[::2], w[::-1], w.T, np.asfortranarray(w), np.broadcast_to(w[0], (3, 8))):
        assert ours(view) == ours(view.copy())
        np.testing.assert_array_equal(ours.gradient(view), ours.gradient(view.copy()))
    assert ours([[1, -2], [0, 3]]) == pytest.approx(0.1 * 6 + 0.2 * 14)
    np.testing.assert_array_equal(regularizers.L1(0.5).gradient([0.0, -0.0, 2.0, -3.0]), [0, 0, 0.5, -0.5])
    assert math.isnan(ours(np.array([math.nan])))
    assert regularizers.L1(0.5)(np.array([-math.inf])) == math.inf
    assert regularizers.L2(0.5)(np.float32([3e38])) == pytest.approx(0.5 * float(np.float32(3e38)) ** 2)
    tiny = np.array([[1e-9, 0.0], [1e-9, 1e-9]])
    assert np.isfinite(regularizers.OrthogonalRegularizer().gradient(tiny)).all()
    with pytest.raises(ValueError, match="matrix"):
        regularizers.OrthogonalRegularizer()(np.ones(3))
    assert regularizers.Regularizer()(w) == 0
    assert not regularizers.Regularizer().gradient(w).any()


def test_names_strings_and_dicts():
    assert regularizers.get(None) is None
    for name in ("l1", "l2", "L1", "l1_l2", "l1l2", "L1L2", "OrthogonalRegularizer", "orthogonal_regularizer"):
        assert isinstance(regularizers.get(name), regularizers.Regularizer)
    made = regularizers.L1L2(0.1, 0.2)
    assert regularizers.get(made) is made
    assert regularizers.get(regularizers.serialize(made)).get_config() == {"l1": 0.1, "l2": 0.2}
    assert isinstance(regularizers.get(regularizers.L1), regularizers.L1)
    with pytest.raises(ValueError, match="did you mean 'l1_l2'"):
        regularizers.get("l1_l3")
    with pytest.raises(TypeError, match="regularizer"):
        regularizers.get(3)
    for bad in (-1.0, math.nan, math.inf):
        with pytest.raises(ValueError, match="l2"):
            regularizers.L2(bad)
    with pytest.raises(TypeError, match="l1"):
        regularizers.L1("much")
    with pytest.raises(ValueError, match="mode"):
        regularizers.OrthogonalRegularizer(mode="diagonals")
