"""A dense layer's forward and backward pass against NumPy and finite differences, and its bits against themselves."""

import numpy as np
import pytest

import fastnn
from fastnn._core import dense
from fastnn.activations import TABLE

DTYPES = ["float32", "float64"]
SHAPES = [(1, 1, 1), (1, 20, 64), (32, 2, 16), (32, 64, 2), (7, 13, 17), (64, 30, 10), (150, 40, 33), (0, 3, 4)]
ROWS = {name: row for name, row in TABLE.items() if not row.rowwise}
LINEAR = (ROWS["linear"].kind, ROWS["linear"].values())
RELU = (ROWS["relu"].kind, ROWS["relu"].values())


def layer(rng, shape, dtype):
    batch, inputs, units = shape
    x = rng.standard_normal((batch, inputs)).astype(dtype)
    w = (rng.standard_normal((inputs, units)) / np.sqrt(inputs)).astype(dtype)
    return x, w, rng.standard_normal(units).astype(dtype)


def run_forward(x, w, bias, kind, parameters):
    z = np.full((x.shape[0], w.shape[1]), np.nan, x.dtype)
    y = np.full_like(z, np.nan)
    dense.forward(x, w, bias, kind, parameters, z, y)
    return z, y


def run_backward(x, w, zy, dy, kind, parameters):
    dz, dw, dbias, dx = (np.full_like(a, np.nan) for a in (dy, w, w[0], x))
    dense.backward(x, w, zy, dy, kind, parameters, dz, dw, dbias, dx)
    return dz, dw, dbias, dx


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("with_bias", [True, False])
def test_forward_is_the_formula(dtype, shape, with_bias):
    x, w, bias = layer(np.random.default_rng(1), shape, dtype)
    row = ROWS["tanh"]
    z, y = run_forward(x, w, bias if with_bias else None, row.kind, row.values())
    expected = x.astype(float) @ w.astype(float) + (bias if with_bias else 0)
    tolerance = 100 * np.finfo(dtype).eps
    np.testing.assert_allclose(z, expected, rtol=0, atol=tolerance * 4)
    np.testing.assert_allclose(y, np.tanh(expected), rtol=0, atol=tolerance)


@pytest.mark.parametrize("dtype", DTYPES)
def test_output_in_place_of_the_preactivation_has_the_same_bits(dtype):
    for shape in SHAPES:
        x, w, bias = layer(np.random.default_rng(2), shape, dtype)
        row = ROWS["relu"]
        _, y = run_forward(x, w, bias, row.kind, row.values())
        only = np.full_like(y, np.nan)
        dense.forward(x, w, bias, row.kind, row.values(), only, only)
        assert np.array_equal(only, y)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("shape", SHAPES)
def test_backward_is_the_formula(dtype, shape):
    rng = np.random.default_rng(3)
    x, w, bias = layer(rng, shape, dtype)
    row = ROWS["tanh"]
    z, y = run_forward(x, w, bias, row.kind, row.values())
    dy = rng.standard_normal(y.shape).astype(dtype)
    dz, dw, dbias, dx = run_backward(x, w, y if row.reads == "Y" else z, dy, row.kind, row.values())
    expected_dz = dy * (1 - np.tanh(x.astype(float) @ w + bias) ** 2)
    tolerance = {"rtol": 0, "atol": 2000 * np.finfo(dtype).eps}
    np.testing.assert_allclose(dz, expected_dz, **tolerance)
    np.testing.assert_allclose(dw, x.astype(float).T @ expected_dz, **tolerance)
    np.testing.assert_allclose(dbias, expected_dz.sum(axis=0), **tolerance)
    np.testing.assert_allclose(dx, expected_dz @ w.astype(float).T, **tolerance)


@pytest.mark.parametrize("name", ROWS)
def test_gradients_agree_with_finite_differences(name):
    row = ROWS[name]
    rng = np.random.default_rng(4)
    x, w, bias = layer(rng, (5, 4, 3), "float64")
    weight = rng.standard_normal((5, 3))
    z, y = run_forward(x, w, bias, row.kind, row.values())
    _, dw, dbias, dx = run_backward(x, w, y if row.reads == "Y" else z, weight, row.kind, row.values())

    def cost():
        return float(np.sum(weight * run_forward(x, w, bias, row.kind, row.values())[1]))

    values = {parameter.name: parameter.default for parameter in row.parameters}
    corners = np.array([eval(x, {}, values) for x, _ in row.kinks] or [1e9])
    assert np.abs(z[..., None] - corners).min() > 1e-4, "the sample must stay clear of corners"
    for array, gradient in ((x, dx), (w, dw), (bias, dbias)):
        for index in np.ndindex(array.shape):
            keep, step = array[index], 1e-6
            array[index] = keep + step
            above = cost()
            array[index] = keep - step
            below = cost()
            array[index] = keep
            assert gradient[index] == pytest.approx(
                (above - below) / (2 * step), abs=2e-8 * max(1, abs(gradient[index]))
            )
    if name != "step":
        assert np.any(dw != 0)


@pytest.mark.parametrize("dtype", DTYPES)
def test_gradients_can_be_added_to(dtype):
    rng = np.random.default_rng(5)
    x, w, bias = layer(rng, (9, 6, 5), dtype)
    z, _ = run_forward(x, w, bias, *LINEAR)
    dy = rng.standard_normal(z.shape).astype(dtype)
    _, dw, dbias, _ = run_backward(x, w, z, dy, *LINEAR)
    sum_w, sum_bias = np.ones_like(w), np.ones_like(bias)
    dense.backward(x, w, z, dy, *LINEAR, np.empty_like(dy), sum_w, sum_bias, None, True)
    np.testing.assert_allclose(sum_w, 1 + dw, rtol=1e-5)
    np.testing.assert_allclose(sum_bias, 1 + dbias, rtol=1e-5)


def test_an_empty_batch_has_zero_gradients():
    x, w, bias = layer(np.random.default_rng(6), (0, 4, 3), "float64")
    _, y = run_forward(x, w, bias, *RELU)
    _, dw, dbias, dx = run_backward(x, w, y, y, *RELU)
    assert dx.shape == (0, 4)
    assert not dw.any()
    assert not dbias.any()


@pytest.mark.parametrize("dtype", DTYPES)
def test_bits_do_not_depend_on_threads(dtype):
    rng = np.random.default_rng(7)
    x, w, bias = layer(rng, (300, 120, 90), dtype)
    row = ROWS["relu"]
    dy = rng.standard_normal((300, 90)).astype(dtype)
    before, results = fastnn.get_num_threads(), []
    try:
        for threads in (1, 2, 3, 7):
            fastnn.set_num_threads(threads)
            z, y = run_forward(x, w, bias, row.kind, row.values())
            results.append((z, y, *run_backward(x, w, y, dy, row.kind, row.values())))
    finally:
        fastnn.set_num_threads(before)
    for result in results[1:]:
        for ours, first in zip(result, results[0], strict=True):
            assert np.array_equal(ours, first)


def test_shapes_that_do_not_fit_are_refused():
    x, w, bias = layer(np.random.default_rng(8), (3, 4, 5), "float64")
    z = np.empty((3, 5))
    with pytest.raises(ValueError, match=r"w has shape \(5, 4\), expected \(4, 4\)"):
        dense.forward(x, w.T.copy(), bias, *LINEAR, z, z)
    with pytest.raises(ValueError, match="bias"):
        dense.forward(x, w, bias[:3].copy(), *LINEAR, z, z)
    with pytest.raises(ValueError, match="y has shape"):
        dense.forward(x, w, bias, *LINEAR, z, np.empty((3, 6)))
    with pytest.raises(ValueError, match="dw has shape"):
        dense.backward(x, w, z, z, *LINEAR, z, w.T.copy(), bias, None)
