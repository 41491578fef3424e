"""Very large, very small and non-finite numbers: activations of C exports, activations of rows, and losses."""

import ctypes
import shutil
import subprocess
import sys

import numpy as np
import pytest
from loss_cases import CASES, LOGITS, Case

import fastnn
from fastnn import activations, layers, losses
from fastnn.reference import activations as reference
from fastnn.reference.losses import LOSSES

CC = None if sys.platform == "win32" else shutil.which("cc") or shutil.which("gcc")


def extremes(dtype):
    """Numbers of all sizes and both signs, denormal ones, infinities and NaN."""
    f = np.finfo(dtype)
    sizes = [f.max, f.max / 2, np.sqrt(f.max), 1e10, 1e4, 200, 100, 88, 50, 20, 10, 3, 1, 0.5]
    sizes += [f.eps, f.tiny, f.tiny / 8, f.smallest_subnormal, 1e38 if dtype == np.float32 else 1e308]
    positive = np.array([*sizes, np.inf, 0.0], dtype)
    return np.concatenate([positive, -positive, np.array([np.nan], dtype)])


def rows_of(values, count, width, seed=0):
    return np.random.default_rng(seed).choice(values, (count, width))


def same(actual, expected, rtol, atol):
    """As assert_allclose, of which infinities and NaN must agree too."""
    np.testing.assert_array_equal(np.isnan(actual), np.isnan(expected))
    np.testing.assert_allclose(actual, expected, rtol=rtol, atol=atol)


# ------------------------------------------------------------------------------------------------------- C exports

PLAIN = {name: lambda name=name: layers.Activation(name) for name in activations.names()} | {
    "relu_slope": lambda: layers.ReLU(max_value=1.0, negative_slope=0.25, threshold=0.5),
    "relu_threshold": lambda: layers.ReLU(threshold=0.5),
    "relu_threshold_slope": lambda: layers.ReLU(threshold=0.5, negative_slope=0.1),
    "relu_limit": lambda: layers.ReLU(max_value=6.0),
    "relu_limit_0": lambda: layers.ReLU(max_value=0.0),
    "leaky_0": lambda: layers.LeakyReLU(0.0),
    "elu_0": lambda: layers.ELU(0.0),
    "prelu": lambda: layers.PReLU(alpha_initializer=fastnn.initializers.Constant(0.25)),
    "prelu_0": layers.PReLU,
    "batch_norm": layers.BatchNormalization,
    "layer_norm": layers.LayerNormalization,
    "rms_norm": lambda: layers.LayerNormalization(rms_scaling=True),
}
WIDTH = 4
# Where digits cancel, errors are small beside 1 and not beside the result
CANCELLING = {"tanh_shrink", "log_softmax", "layer_norm"}


def inputs(name, dtype):
    values = extremes(dtype)
    if name in ("layer_norm", "rms_norm"):  # beyond, squares or differences overflow in the engine
        values = values[~(np.abs(values) > (1e38 if dtype == np.float32 else 1e150))]
    largest = np.finfo(dtype).max
    edges = np.array([1, -1, 0.5, -0.5, 0.3, -0.3, 0.0], dtype) * values[np.isfinite(values)].max()
    same_everywhere = np.repeat(values[:, None], WIDTH, 1)
    x = np.concatenate([rows_of(values, 300, WIDTH), rows_of(edges, 300, WIDTH), same_everywhere])
    if name == "glu":  # an infinity times a gate that is 0 in one precision only
        x = np.where(np.isinf(x), largest, x)
    return x


@pytest.fixture(scope="module")
def exported(tmp_path_factory):
    """All models by (dtype, name), and the library that a compiler has made of them."""
    folder = tmp_path_factory.mktemp("extremes")
    models = {}
    for dtype in ("float32", "float64"):
        for name, make in PLAIN.items():
            models[dtype, name] = fastnn.Sequential([layers.Input((WIDTH,)), make()], dtype=dtype)
            models[dtype, name].to_c(folder / f"{dtype}_{name}.c")
    sources = sorted(p.name for p in folder.glob("*.c"))
    command = [CC, "-std=c99", "-O1", "-fPIC", "-shared", "-o", "all.so", *sources, "-lm"]
    subprocess.run(command, cwd=folder, check=True)
    return models, ctypes.CDLL(folder / "all.so")


@pytest.mark.skipif(CC is None, reason="there is no C compiler")
@pytest.mark.parametrize("name", PLAIN)
def test_c_exports_are_the_engine(name, dtype, exported):
    models, library = exported
    x = inputs(name, dtype.type)
    expected = models[dtype.name, name](x)
    actual, work = np.empty_like(expected), np.empty(4 * WIDTH, dtype)
    predict = getattr(library, f"{dtype}_{name}_predict")
    for row, y in zip(x, actual, strict=True):
        predict(*(ctypes.c_void_p(a.ctypes.data) for a in (row, y, work)))
    f = np.finfo(dtype)
    same(actual, expected, 256 * f.eps, 16 * f.eps if name in CANCELLING else 64 * f.smallest_subnormal)


# ---------------------------------------------------------------------------------------------- activations of rows


@pytest.mark.parametrize("name", [n for n in activations.names() if activations.TABLE[n].rowwise])
@pytest.mark.parametrize("width", [4, 40])
def test_activations_of_rows_are_the_references(name, width, dtype):
    values = extremes(dtype)
    values = values[np.isfinite(values)]
    x = np.concatenate([rows_of(values, 200, width), rows_of(values[np.abs(values) > 1e10], 50, width)])
    expected = np.array([reference.ROWWISE[name].value(row.astype(np.float64).tolist()) for row in x])
    f = np.finfo(dtype)
    with np.errstate(over="ignore"):
        expected = expected.astype(dtype)
    same(getattr(activations, name)(x), expected, 64 * f.eps, 0 if name == "glu" and width == 4 else 4 * f.eps)


@pytest.mark.parametrize("threshold", [0.5, 2.0, 0.0])
@pytest.mark.parametrize("slope", [0.0, 0.25])
@pytest.mark.parametrize("limit", [None, 3.0])
def test_relu_at_its_threshold_is_keras(keras, threshold, slope, limit):
    x = np.array([threshold, -threshold, threshold / 2, threshold + 1, 5.0, -5.0])
    options = {"negative_slope": slope, "max_value": limit, "threshold": threshold}
    expected = np.asarray(keras.activations.relu(x, **options))
    np.testing.assert_allclose(activations.relu(x, **options), expected, rtol=1e-15)
    np.testing.assert_allclose(layers.ReLU(limit, slope, threshold)(x[None])[0], expected, rtol=1e-15)


def test_relu_at_its_threshold_is_0(dtype):
    x = np.array([0.5, np.nextafter(dtype.type(0.5), dtype.type(1))], dtype)
    np.testing.assert_array_equal(activations.relu(x, threshold=0.5), [0, x[1]])
    assert reference.value("relu_general", 0.5, threshold=0.5) == 0
    assert reference.value("relu_general", 0.5, threshold=0.5, negative_slope=0.1) == 0


# ------------------------------------------------------------------------------------------------------------ losses

CLASSES = [case for case in CASES if case.name.endswith("categorical_crossentropy") or "focal" in case.name]
CLASSES = [case for case in CLASSES if case.name != "binary_focal_crossentropy"]


@pytest.mark.parametrize("case", CLASSES, ids=str)
@pytest.mark.parametrize("d", [2, 3, 40])
@pytest.mark.parametrize("size", [1.0, 0.7, 1e-5])
def test_classes_whose_sum_is_too_large_are_the_references(case: Case, d: int, size: float, dtype):
    """All y_pred are near the largest number there is, so that their sum is no float."""
    y, p = case.arrays(9, d, dtype.name)
    p = (np.abs(p) / np.abs(p).max() * size * np.finfo(dtype).max).astype(dtype)
    p[:3] = size * np.finfo(dtype).max
    loss, reference_loss = case.make(reduction="none"), LOSSES[case.name]
    rows = [(None if y is None else y[i].tolist(), p[i].astype(np.float64).tolist()) for i in range(9)]
    expected = [reference_loss.value(a, b, **case.options) for a, b in rows]
    slopes = np.array([reference_loss.gradient(a, b, **case.options) for a, b in rows])
    values, gradient = loss.value_and_gradient(y, p)
    np.testing.assert_allclose(values, expected, rtol=2e-5 if dtype == np.float32 else 1e-12, atol=1e-20)
    np.testing.assert_allclose(gradient, slopes, rtol=2e-4 if dtype == np.float32 else 1e-10, atol=1e-30)


def test_equal_probabilities_cost_log_d_whatever_their_size(dtype):
    for size in (1.0, 1e30, 3e38):
        p = np.full((2, 5), size, dtype)
        expected = [np.log(5)] * 2
        for loss, y in (
            (losses.CategoricalCrossentropy(reduction="none"), np.eye(5)[:2]),
            (losses.SparseCategoricalCrossentropy(reduction="none"), [3, 4]),
            (losses.CategoricalCrossentropy(reduction="none", **LOGITS), np.eye(5)[:2]),
        ):
            np.testing.assert_allclose(loss(y, p), expected, rtol=1e-6)


@pytest.mark.parametrize("bad", [np.inf, -np.inf, np.nan])
def test_what_is_not_finite_still_is_not(bad, dtype):
    p = np.ones((2, 3), dtype)
    p[0, 1] = bad
    for loss, y in (
        (losses.CategoricalCrossentropy(reduction="none"), np.eye(3)[[1, 1]]),
        (losses.SparseCategoricalCrossentropy(reduction="none"), [1, 1]),
        (losses.CategoricalFocalCrossentropy(reduction="none"), np.eye(3)[[1, 1]]),
    ):
        value = loss(y, p)
        assert np.isnan(value[0]) and np.isfinite(value[1])


@pytest.mark.parametrize("size", [1e10, 1e38, 3e38])
def test_a_distance_beyond_the_margin_costs_nothing(size, dtype):
    """0 times its square, which is no float."""
    loss = losses.Contrastive(reduction="none")
    np.testing.assert_array_equal(loss([0.0], np.array([size], dtype)), [0])
    np.testing.assert_array_equal(loss([0.0], np.array([[[size, 0], [0, 0]]], dtype)), [0])
    np.testing.assert_array_equal(loss.gradient([0.0], np.array([size], dtype)), [0])
    assert loss([1.0], np.array([size], dtype)) > 1e19
