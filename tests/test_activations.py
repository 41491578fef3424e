"""fastnn.activations against the plain-Python reference: values, derivatives, corners, layouts, errors.

Parametrised over the table; tests/test_activations_peers.py compares with Keras and PyTorch.
"""

import doctest
import hashlib
import math
import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import fastnn
from fastnn import activations
from fastnn._core import activations as core
from fastnn.reference import activations as reference

HOME = str(Path(fastnn.__file__).parents[1])  # where a process that a test starts finds the same fastnn
ELEMENTWISE = [name for name, row in activations.TABLE.items() if not row.rowwise]
ROWWISE = [name for name, row in activations.TABLE.items() if row.rowwise]
DTYPES = [np.float32, np.float64]
SIZES = [0, 1, 2, 3, 4, 5, 7, 8, 9, 15, 16, 17, 31, 33, 1000]
# other parameters than the defaults, for each row that has any
OTHERS = {
    "leaky_relu": [{"negative_slope": 0.0}, {"negative_slope": 3.0}],
    "relu_general": [
        {"negative_slope": 0.5, "max_value": 2.0, "threshold": 1.0},
        {"negative_slope": -0.5, "threshold": -1.0},
        {"max_value": 1.0, "threshold": 2.0},
    ],
    "elu": [{"alpha": 0.0}, {"alpha": 2.5}],
    "celu": [{"alpha": 0.5}, {"alpha": 3.0}],
    "squareplus": [{"b": 0.1}, {"b": 50.0}],
    "hard_shrink": [{"threshold": 0.0}, {"threshold": 2.0}],
    "soft_shrink": [{"threshold": 0.0}, {"threshold": 2.0}],
    "threshold": [{"threshold": 0.7, "default_value": -3.0}, {"threshold": -1.0, "default_value": 5.0}],
}
CASES = [(name, parameters) for name in ELEMENTWISE for parameters in ({}, *OTHERS.get(name, []))]
cases = pytest.mark.parametrize(("name", "parameters"), CASES, ids=lambda v: v if isinstance(v, str) else repr(v))
dtypes = pytest.mark.parametrize("dtype", DTYPES)


def function(name, **parameters):
    return lambda x, **more: activations.get(name)(x, **parameters, **more)


def samples(size, dtype, seed=1):
    """Numbers that reach every branch of every activation, and vary."""
    return (np.random.default_rng(seed).normal(size=size) * 3).astype(dtype)


def expected(name, x, **parameters):
    return np.array([reference.value(name, float(a), **parameters) for a in x.reshape(-1)]).reshape(x.shape)


def expected_slope(name, x, **parameters):
    return np.array([reference.derivative(name, float(a), **parameters) for a in x.reshape(-1)]).reshape(x.shape)


def close(got, want, dtype, rtol=16.0, atol=16.0):
    """Equal to so many units of rounding, relative and absolute; dtype and shape too."""
    eps = float(np.finfo(dtype).eps)
    assert got.dtype == dtype
    assert got.shape == np.shape(want)
    np.testing.assert_allclose(got, want, rtol=rtol * eps, atol=atol * eps)


def clear_of_kinks(name, x, **parameters):
    """x without what rounds onto a corner in single precision."""
    row = activations.TABLE[name]
    values = {p.name: parameters.get(p.name, p.default) for p in row.parameters}
    for kink, _ in row.kinks:
        x = x[np.abs(x - eval(kink, {}, values)) > 1e-5]
    return x


# --------------------------------------------------------------------------------------------------------- the table


def test_every_row_has_a_reference_and_a_page(sources):
    page = (sources / "docs/activations.md").read_text()
    sections = set(re.findall(r"^## (\w+)$", page, re.MULTILINE))
    for name, row in activations.TABLE.items():
        assert name in (reference.ROWWISE if row.rowwise else reference.ELEMENTWISE), f"{name} lacks a reference"
        assert name in sections, f"docs/activations.md has no section on {name}"
        assert row.formula in page, f"docs/activations.md does not give {name}'s formula as the table has it"
    assert sections - {"prelu"} == set(activations.TABLE)
    assert set(reference.ELEMENTWISE) == set(ELEMENTWISE)
    assert set(reference.ROWWISE) == set(ROWWISE)


@pytest.mark.parametrize("name", ELEMENTWISE)
def test_parameters_are_those_of_the_reference(name):
    parameters = {p.name: p.default for p in activations.TABLE[name].parameters}
    assert parameters == reference.ELEMENTWISE[name].parameters
    assert not parameters or name in OTHERS


def test_stub_is_up_to_date(sources):
    result = subprocess.run(
        [sys.executable, str(sources / "scripts/stubs.py"), "--check"],
        capture_output=True, text=True, check=False, env=os.environ | {"PYTHONPATH": HOME},
    )  # fmt: skip
    assert result.returncode == 0, result.stderr


def test_docstrings():
    assert doctest.testmod(activations).failed == 0
    for name in activations.names():
        assert activations.TABLE[name].formula in activations.get(name).__doc__ or name == "relu"
        scope = vars(activations)
        tests = doctest.DocTestFinder().find(activations.get(name), name, module=False, globs=dict(scope))
        runner = doctest.DocTestRunner(verbose=False)
        assert sum(len(test.examples) for test in tests) > 0
        assert sum(runner.run(test).failed for test in tests) == 0


# ------------------------------------------------------------------------------------------- functions of one number


@cases
@dtypes
def test_values(name, parameters, dtype):
    for size in SIZES:
        x = samples(size, dtype)
        close(function(name, **parameters)(x), expected(name, x, **parameters), dtype)


@cases
@dtypes
def test_derivatives(name, parameters, dtype):
    slope = activations.derivative(name, **parameters)
    for size in SIZES:
        x = clear_of_kinks(name, samples(size, dtype), **parameters)
        dy = samples(x.size, dtype, seed=2)
        want = expected_slope(name, x, **parameters)
        scale = 32 * max(1.0, np.abs(want).max(initial=0))
        close(slope(x), want, dtype, atol=scale)
        close(slope(x, dy), dy * want, dtype, rtol=32, atol=scale * 12)
        if size == 1000 and want.any():
            assert np.count_nonzero(slope(x)) > 50


@cases
def test_derivatives_are_those_of_the_values(name, parameters):
    x = samples(500, np.float64)
    h = 1e-5
    row = activations.TABLE[name]
    values = {p.name: parameters.get(p.name, p.default) for p in row.parameters}
    corners = [eval(kink, {}, values) for kink, _ in row.kinks]
    if name == "threshold":
        corners = [values["threshold"]]
    x = x[np.all([np.abs(x - c) > 3 * h for c in [*corners, 0.0, 1.0, -1.0]], axis=0)]
    f = function(name, **parameters)
    np.testing.assert_allclose(
        activations.derivative(name, **parameters)(x), (f(x + h) - f(x - h)) / (2 * h), rtol=1e-6, atol=1e-8
    )


@cases
@dtypes
def test_kinks(name, parameters, dtype):
    row = activations.TABLE[name]
    values = {p.name: parameters.get(p.name, p.default) for p in row.parameters}
    for where, slope in row.kinks:
        x, want = eval(where, {}, values), eval(slope, {}, values)
        if math.isinf(x) or (name == "relu_general" and values["threshold"] >= values["max_value"]):
            continue
        close(activations.derivative(name, **parameters)(np.full(3, x, dtype)), np.full(3, want), dtype)


def test_kinks_asked_for():
    def at(name, x, **parameters):
        return activations.derivative(name, **parameters)(float(x)).item()

    assert at("relu", 0) == 0 == at("step", 0)
    assert at("leaky_relu", 0) == 0.2
    assert at("relu6", 0) == 0 == at("relu6", 6)
    assert at("hard_tanh", 1) == 0 == at("hard_tanh", -1)
    assert at("hard_sigmoid", 3) == 0 == at("hard_sigmoid", -3)
    assert (at("hard_silu", -3), at("hard_silu", 3)) == (0, 1)
    assert at("elu", 0, alpha=1.5) == 1.5
    assert at("celu", 0, alpha=1.5) == 1
    assert at("selu", 0) == 1.0507009873554805 * 1.6732632423543772
    assert at("hard_shrink", 0.5) == 0 == at("soft_shrink", -0.5)
    assert at("threshold", 1, threshold=1, default_value=0) == 0
    assert activations.step(0.0) == 1


@cases
@dtypes
def test_nan_infinities_and_extremes(name, parameters, dtype):
    """As the formula has it in IEEE arithmetic: the reference says what that is."""
    limits = np.finfo(dtype)
    tiny, least, most = float(limits.tiny), float(limits.smallest_subnormal), float(limits.max)
    magnitudes = [0.0, least, 5 * least, tiny / 2, tiny, most / 4, most, math.inf]
    x = np.array([s * m for m in magnitudes for s in (1, -1)] + [math.nan] * 3, dtype)
    if name in ("hard_silu", "squareplus"):  # the reference overflows here, and fastnn does not
        x = x[~(np.abs(x) > most / 8)]
    y = function(name, **parameters)(x)
    with np.errstate(over="ignore"):
        want = expected(name, x, **parameters).astype(dtype)
    assert np.isnan(y[-3:]).all(), y
    np.testing.assert_allclose(y, want, rtol=16 * float(limits.eps), atol=2 * least)
    slope = activations.derivative(name, **parameters)(x)
    assert np.isnan(slope[-3:]).all() or name == "linear", slope
    keep = ~np.isnan(y)
    np.testing.assert_allclose(
        slope[keep], expected_slope(name, x[keep], **parameters).astype(dtype), rtol=1e-6, atol=1e-6
    )


@cases
@dtypes
def test_position_in_the_array_does_not_matter(name, parameters, dtype):
    x = samples(67, dtype)
    for f in (function(name, **parameters), activations.derivative(name, **parameters)):
        assert f(x).tobytes() == np.concatenate([f(x[i : i + 1]) for i in range(67)]).tobytes()


LAYOUTS = {
    "strided": lambda x: np.repeat(x, 2)[::2],
    "reversed": lambda x: x[::-1].copy()[::-1],
    "fortran": lambda x: np.asfortranarray(x.reshape(4, -1)),
    "transposed": lambda x: np.ascontiguousarray(x.reshape(4, -1).T).T,
    "zero stride": lambda x: np.broadcast_to(x[:1], x.shape),
    "unaligned": lambda x: np.frombuffer(b"x" + x.tobytes(), dtype=np.uint8)[1:].view(x.dtype),
    "other byte order": lambda x: x.astype(x.dtype.newbyteorder()),
    "list": lambda x: x.astype(np.float64).tolist(),
    "0-d": lambda x: np.array(x[0]),
    "empty": lambda x: x[:0].reshape(0, 3),
    "four axes": lambda x: x.reshape(2, 5, 2, 3),
}


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("name", ["relu", "tanh", "gelu", "elu"])
@dtypes
def test_layouts(name, layout, dtype):
    x = LAYOUTS[layout](samples(60, dtype))
    if isinstance(x, np.ndarray):
        x.flags.writeable = False
    result = np.float64 if layout == "list" else dtype
    close(activations.get(name)(x), expected(name, np.asarray(x)), result)
    close(activations.derivative(name)(x), expected_slope(name, np.asarray(x)), result, atol=64)


@pytest.mark.parametrize(("came", "goes"), [("float16", "float32"), ("int64", "float64"), ("bool", "float64")])
def test_other_dtypes(came, goes):
    x = np.array([0, 1], came)
    assert activations.tanh(x).dtype == goes
    np.testing.assert_allclose(activations.tanh(x), np.tanh([0.0, 1.0]), rtol=1e-6)


@settings(max_examples=60, deadline=None)
@given(
    shape=st.lists(st.integers(0, 6), max_size=4).map(tuple), step=st.sampled_from([1, 2, -1, -3]),
    dtype=st.sampled_from(DTYPES), name=st.sampled_from(ELEMENTWISE), data=st.data(),
)  # fmt: skip
def test_any_shape_and_stride(shape, step, dtype, name, data):
    big = samples(tuple(abs(step) * n for n in shape), dtype)
    x = big[tuple(slice(None, None, step) for _ in shape)]
    axes = data.draw(st.permutations(range(x.ndim)))
    x = x.transpose(axes)
    before = x.copy()
    close(np.asarray(activations.get(name)(x)), expected(name, x), dtype)
    np.testing.assert_array_equal(x, before)


@dtypes
def test_out(dtype):
    x = samples(100, dtype)
    y = np.full_like(x, np.nan)
    assert activations.tanh(x, out=y) is y
    close(y, np.tanh(x), dtype)
    z = x.copy()
    assert activations.gelu(z, out=z) is z  # in place
    np.testing.assert_array_equal(z, activations.gelu(x))
    with pytest.raises(ValueError, match="out"):
        activations.tanh(x, out=np.empty(99, dtype))
    with pytest.raises(ValueError, match="C-contiguous"):
        activations.tanh(x, out=np.empty(200, dtype)[::2])
    with pytest.raises(TypeError, match="out"):
        activations.tanh(x, out=[1.0])


def test_relu_with_parameters():
    x = samples(500, np.float64)
    for parameters in OTHERS["relu_general"]:
        np.testing.assert_array_equal(activations.relu(x, **parameters), activations.relu_general(x, **parameters))
        np.testing.assert_array_equal(
            activations.derivative("relu", **parameters)(x), activations.derivative("relu_general", **parameters)(x)
        )
    np.testing.assert_array_equal(activations.relu(x, 0.1), activations.leaky_relu(x, 0.1))
    np.testing.assert_array_equal(activations.relu(x, max_value=None), activations.relu(x))
    np.testing.assert_array_equal(activations.gelu(x, True), activations.gelu_tanh(x))
    np.testing.assert_array_equal(
        activations.derivative("gelu", approximate=True)(x), activations.derivative("gelu_tanh")(x)
    )


# ------------------------------------------------------------------------------------------------- functions of a row


def expected_rows(name, x):
    rows = x.reshape(-1, x.shape[-1])
    return np.array([reference.ROWWISE[name].value(row.tolist()) for row in rows])


def expected_row_gradient(name, x, dy):
    return np.array([reference.ROWWISE[name].backward(a.tolist(), b.tolist()) for a, b in zip(x, dy, strict=True)])


@pytest.mark.parametrize("n", [1, 2, 3, 4, 7, 8, 9, 10, 15, 16, 17, 31, 32, 33, 100, 1000])
@pytest.mark.parametrize("name", ROWWISE)
@dtypes
def test_rows(name, n, dtype):
    n += n % 2 if name == "glu" else 0
    x = samples((5, n), dtype)
    y = activations.get(name)(x)
    want = expected_rows(name, x)
    close(y, want, dtype, rtol=64, atol=8 if name == "sparsemax" else 1)
    if name in ("softmax", "sparsemax"):
        np.testing.assert_allclose(y.sum(axis=1), 1, rtol=n * np.finfo(dtype).eps)
    dy = samples(y.shape, dtype, seed=4)
    close(
        activations.derivative(name)(x, dy), expected_row_gradient(name, x, dy), dtype, rtol=256, atol=64 * math.sqrt(n)
    )


@pytest.mark.parametrize("name", ROWWISE)
def test_row_gradients_are_those_of_the_values(name):
    x, h = samples((3, 6), np.float64), 1e-6
    f = activations.get(name)
    dy = samples(f(x).shape, np.float64, seed=5)
    numeric = np.empty_like(x)
    for i in np.ndindex(x.shape):
        step = np.zeros_like(x)
        step[i] = h
        numeric[i] = np.sum(dy * (f(x + step) - f(x - step))) / (2 * h)
    got = activations.derivative(name)(x, dy)
    assert np.count_nonzero(got) > 3
    np.testing.assert_allclose(got, numeric, rtol=1e-6, atol=1e-8)


@pytest.mark.parametrize("axis", [0, 1, 2, -1, -3])
@pytest.mark.parametrize("name", ROWWISE)
def test_axes(name, axis):
    x = np.asfortranarray(samples((4, 6, 2), np.float64))
    want = np.apply_along_axis(lambda row: reference.ROWWISE[name].value(row.tolist()), axis, x)
    np.testing.assert_allclose(activations.get(name)(x, axis=axis), want, rtol=1e-13, atol=1e-15)
    out = np.full(want.shape, np.nan)
    assert activations.get(name)(x, axis=axis, out=out) is out
    np.testing.assert_allclose(out, want, rtol=1e-13, atol=1e-15)
    dy = samples(want.shape, np.float64, seed=6)
    got = np.moveaxis(activations.derivative(name)(x, dy, axis=axis), axis, -1)
    rows, dys = np.moveaxis(x, axis, -1), np.moveaxis(dy, axis, -1)
    want = expected_row_gradient(name, rows.reshape(-1, rows.shape[-1]), dys.reshape(-1, dys.shape[-1]))
    np.testing.assert_allclose(got, want.reshape(got.shape), rtol=1e-12, atol=1e-14)


def test_several_axes():
    x = samples((3, 4, 5), np.float64)
    want = activations.softmax(x.transpose(1, 0, 2).reshape(4, 15)).reshape(4, 3, 5).transpose(1, 0, 2)
    np.testing.assert_array_equal(activations.softmax(x, axis=(0, 2)), want)
    np.testing.assert_allclose(np.exp(activations.log_softmax(x, axis=(0, 2))), want, rtol=1e-12)


@dtypes
@pytest.mark.parametrize("n", [3, 16, 40])
def test_special_rows(n, dtype):
    inf, nan = math.inf, math.nan
    for name in ("softmax", "log_softmax", "sparsemax"):
        f = activations.get(name)
        x = np.zeros((6, n), dtype)
        x[0, 1], x[1, n - 1], x[2], x[3, 0], x[4] = nan, inf, -inf, -inf, np.finfo(dtype).max
        x[5, : n - 1] = np.finfo(dtype).min
        y = f(x)
        assert np.isnan(y[:3]).all(), (name, y)
        share = 1 / (n - 1)
        want = {"softmax": (0, share), "sparsemax": (0, share), "log_softmax": (-inf, -math.log(n - 1))}[name]
        np.testing.assert_allclose(y[3], [want[0]] + [want[1]] * (n - 1), rtol=1e-6)
        np.testing.assert_allclose(y[4], -math.log(n) if name == "log_softmax" else 1 / n, rtol=1e-6)
        assert y[5, n - 1] == (0 if name == "log_softmax" else 1)
        dx = activations.derivative(name)(x, np.ones_like(x))
        assert np.isnan(dx[:3]).all()
        assert np.isfinite(dx[4:]).all()


@pytest.mark.parametrize("shape", [(0, 4), (4, 0), (0,), (2, 0, 4)])
@pytest.mark.parametrize("name", ROWWISE)
def test_empty_rows(name, shape):
    y = activations.get(name)(np.zeros(shape, np.float32))
    assert y.shape == (shape if name != "glu" else (*shape[:-1], shape[-1] // 2))
    assert y.dtype == np.float32
    assert activations.derivative(name)(np.zeros(shape), np.zeros(y.shape)).shape == shape


@dtypes
def test_rows_in_place_and_apart(dtype):
    x = samples((7, 10), dtype)
    for name in ("softmax", "log_softmax", "sparsemax"):
        f = activations.get(name)
        y = f(x)
        z = x.copy()
        assert f(z, out=z) is z
        assert z.tobytes() == y.tobytes()
        assert y.tobytes() == b"".join(f(row).tobytes() for row in x)


# ------------------------------------------------------------------------------------------------------- learned slopes


@dtypes
@pytest.mark.parametrize("n", [1, 3, 16, 37])
def test_prelu(n, dtype):
    x, dy = samples((9, n), dtype), samples((9, n), dtype, seed=3)
    slopes = samples(n, dtype, seed=8)
    x[0, 0] = 0
    want = np.array([reference.prelu(row.tolist(), slopes.tolist()) for row in x])
    close(activations.prelu(x, slopes), want, dtype)
    gradients = [reference.prelu_backward(a.tolist(), slopes.tolist(), b.tolist()) for a, b in zip(x, dy, strict=True)]
    dx, dslope = np.full_like(x, np.nan), np.full_like(slopes, np.nan)
    core.prelu_derivative(x, slopes, dy, dx, dslope)
    close(dx, np.array([g[0] for g in gradients]), dtype)
    close(dslope, np.sum([g[1] for g in gradients], axis=0), dtype, atol=64)
    assert np.count_nonzero(dslope) == n
    close(activations.derivative("prelu", alpha=slopes)(x, dy), dx, dtype)
    x[1, 0] = np.nan
    assert np.isnan(activations.derivative("prelu", alpha=slopes)(x)[1, 0])


def test_prelu_shapes():
    x = samples((4, 3, 5), np.float64)
    np.testing.assert_array_equal(activations.prelu(x, 0.25), np.where(x > 0, x, 0.25 * x))
    alpha = samples((3, 5), np.float64)
    np.testing.assert_array_equal(activations.prelu(x, alpha), np.where(x > 0, x, alpha * x))
    assert activations.prelu(-2.0, 0.5) == -1
    assert activations.prelu(np.zeros((0, 3)), [1, 2, 3]).shape == (0, 3)
    for wrong in ([1.0, 2.0], np.ones((4, 3)), np.ones((1, 4, 3, 5))):
        with pytest.raises(ValueError, match="alpha has shape"):
            activations.prelu(x, wrong)


# -------------------------------------------------------------------------------------------------------------- bits


def digest():
    """Bits of everything, of arrays large enough for several threads."""
    hash = hashlib.sha256()
    for dtype in DTYPES:
        x = samples(300_007, dtype)
        for name in ELEMENTWISE:
            hash.update(activations.get(name)(x).tobytes())
            hash.update(activations.derivative(name)(x).tobytes())
        for width in (10, 1000):
            rows = x[:300_000].reshape(-1, width)
            dy = samples(rows.shape, dtype, seed=2)
            for name in ROWWISE:
                half = dy[:, : width // 2] if name == "glu" else dy
                hash.update(activations.get(name)(rows).tobytes())
                hash.update(activations.derivative(name)(rows, half).tobytes())
            slopes, dslope = samples(width, dtype, seed=3), np.empty(width, dtype)
            hash.update(activations.prelu(rows, slopes).tobytes())
            core.prelu_derivative(rows, slopes, dy, np.empty_like(dy), dslope)
            hash.update(dslope.tobytes())
    return hash.hexdigest()


def test_bits_do_not_depend_on_threads():
    former = fastnn.set_num_threads(1)
    try:
        one = digest()
        for threads in (2, 3):
            fastnn.set_num_threads(threads)
            assert digest() == one
    finally:
        fastnn.set_num_threads(former)


@pytest.mark.skipif("avx512" not in fastnn.cpu_info()["available"], reason="needs AVX2 and AVX-512")
def test_bits_do_not_depend_on_the_width_of_vectors():
    script = "import sys; sys.path.insert(0, '.'); import test_activations; print(test_activations.digest())"
    results = [
        subprocess.run(
            [sys.executable, "-c", script], cwd=Path(__file__).parent, capture_output=True, text=True, check=True,
            env=os.environ | {"FASTNN_ISA": isa, "PYTHONPATH": HOME},
        ).stdout
        for isa in ("avx2", "avx512")
    ]  # fmt: skip
    assert results[0] == results[1] != ""


# ----------------------------------------------------------------------------------------------------- names, errors


def test_names():
    assert set(activations.names()) == set(ELEMENTWISE) | set(ROWWISE)
    for name in activations.names():
        f = activations.get(name)
        assert f is getattr(activations, name)
        assert f.__name__ == name == activations.serialize(f)
        assert activations.deserialize(activations.serialize(f)) is f
    assert activations.get(None) is activations.linear
    assert activations.get("swish") is activations.silu is activations.swish
    assert activations.get("hard_swish") is activations.hard_silu
    assert activations.get(np.tanh) is np.tanh
    assert activations.deserialize("mine", custom_objects={"mine": np.sin}) is np.sin
    assert activations.get({"class_name": "function", "config": "elu"}) is activations.elu
    assert set(activations.__all__) >= {*activations.names(), "prelu", "get", "serialize", "deserialize", "derivative"}


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: activations.get("rleu"), ValueError, "did you mean 'relu'"),
        (lambda: activations.get(3), ValueError, "unknown name 3"),
        (lambda: activations.deserialize({"config": 3}), TypeError, "config"),
        (lambda: activations.serialize(np.tanh), ValueError, "not one of fastnn's"),
        (lambda: activations.derivative(np.tanh), TypeError, "derivative"),
        (lambda: activations.derivative("tanh", alpha=1), TypeError, "alpha"),
        (lambda: activations.derivative("relu", alpha=1), TypeError, "alpha"),
        (lambda: activations.derivative("softmax")([1.0, 2.0]), TypeError, "pass dy"),
        (lambda: activations.derivative("softmax")([1.0, 2.0], [1.0]), ValueError, "dy"),
        (lambda: activations.derivative("tanh")([1.0, 2.0], [1.0]), ValueError, "dy"),
        (lambda: activations.derivative("prelu"), TypeError, "alpha"),
        (lambda: activations.elu(1.0, alpha=-1), ValueError, "alpha"),
        (lambda: activations.celu(1.0, 0), ValueError, "alpha"),
        (lambda: activations.elu(1.0, 1.0, 2.0), TypeError, "positional"),
        (lambda: activations.elu(1.0, 1.0, alpha=2.0), TypeError, "alpha"),
        (lambda: activations.elu(1.0, beta=2.0), TypeError, "beta"),
        (lambda: activations.elu(1.0, alpha="big"), TypeError, "alpha"),
        (lambda: activations.leaky_relu(1.0, math.nan), ValueError, "negative_slope"),
        (lambda: activations.relu(1.0, slope=2), TypeError, "slope"),
        (lambda: activations.tanh("text"), TypeError, "x"),
        (lambda: activations.tanh(1j), TypeError, "real"),
        (lambda: activations.tanh([[1.0], [1.0, 2.0]]), ValueError, "x"),
        (lambda: activations.softmax(1.0), ValueError, "axis"),
        (lambda: activations.softmax([1.0], axis=1), ValueError, "axis"),
        (lambda: activations.softmax([1.0], axis=(0, -1)), ValueError, "axis"),
        (lambda: activations.softmax([1.0], axis=0.5), TypeError, "float"),
        (lambda: activations.glu([1.0, 2.0, 3.0]), ValueError, "even"),
    ],
)
def test_errors(call, error, message):
    with pytest.raises(error, match=message):
        call()


def test_own_function_with_its_derivative():
    def cube(x):
        return x**3

    cube.derivative = lambda x: 3 * x**2
    assert activations.derivative(cube)(2.0) == 12
    assert activations.derivative(activations.tanh)(0.0) == 1
