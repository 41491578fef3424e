"""Layer and batch normalisation, moving averages, sums of columns: the kernels against plain Python, Keras and JAX."""

import os

import hypothesis
import hypothesis.strategies as st
import numpy as np
import pytest

from fastnn._core import norms
from fastnn.reference import norms as plain

KINDS = {"layer": norms.LAYER, "variance": norms.VARIANCE, "rms": norms.RMS}
SIZES = [1, 2, 3, 4, 5, 7, 8, 9, 15, 16, 17, 31, 33, 100, 130]
POISON = -12345.678


def tolerance(dtype, scale=1.0):
    return (
        {"rtol": 1e-12 * scale, "atol": 1e-12 * scale}
        if dtype == np.float64
        else {"rtol": 2e-6 * scale, "atol": 3e-6 * scale}
    )


def empty(shape, dtype):
    return np.full(shape, POISON, dtype)


def layer_forward(x, gamma, beta, kind="layer", epsilon=1e-3):
    y, saved = empty(x.shape, x.dtype), empty((3, len(x)), x.dtype)
    norms.layer_forward(x, gamma, beta, KINDS[kind], epsilon, y, saved)
    return y, saved


def layer_backward(x, dy, gamma, saved, kind="layer"):
    dx, dgamma, dbeta = empty(x.shape, x.dtype), empty(x.shape[1], x.dtype), empty(x.shape[1], x.dtype)
    norms.layer_backward(x, dy, gamma, KINDS[kind], saved, dx, dgamma, dbeta, False)
    return dx, dgamma, dbeta


def batch_forward(x, gamma, beta, epsilon=1e-3):
    y, saved, variance = empty(x.shape, x.dtype), empty((3, x.shape[1]), x.dtype), empty(x.shape[1], x.dtype)
    norms.batch_statistics(x, epsilon, variance, saved)
    norms.batch_forward(x, saved, gamma, beta, y)
    return y, saved, variance


def batch_backward(x, dy, gamma, saved, training=True):
    dx, dgamma, dbeta = empty(x.shape, x.dtype), empty(x.shape[1], x.dtype), empty(x.shape[1], x.dtype)
    sums = empty((2, x.shape[1]), x.dtype) if training else None
    norms.batch_backward(x, dy, saved, gamma, sums, dx, dgamma, dbeta, False)
    return dx, dgamma, dbeta


def example(rng, rows, n, dtype):
    """x, dy, gamma, beta, with columns and rows of differing means and spreads"""
    x = rng.normal(size=(rows, n)) * rng.uniform(0.5, 2, n) + rng.normal(size=n) + rng.normal(size=(rows, 1))
    return tuple(a.astype(dtype) for a in (x, rng.normal(size=(rows, n)), rng.uniform(0.5, 2, n), rng.normal(size=n)))


def lists(*arrays):
    return [None if a is None else a.astype(float).tolist() for a in arrays]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("n", SIZES)
def test_layer_norm_is_the_reference(kind, n, dtype, rng):
    x, dy, gamma, beta = example(rng, 5, n, dtype)
    for g, b in ((gamma, beta), (gamma, None), (None, beta), (None, None)):
        y, saved = layer_forward(x, g, b, kind)
        np.testing.assert_allclose(y, plain.layer_norm(*lists(x, g, b), kind), **tolerance(dtype, 4))
        got = layer_backward(x, dy, g, saved, kind)
        for mine, theirs in zip(got, plain.layer_norm_gradients(*lists(x, dy, g), kind), strict=True):
            np.testing.assert_allclose(mine, theirs, **tolerance(dtype, 40 if n > 2 else 400))
    if n > 2:
        assert all(np.abs(a).max() > 0.05 for a in got)


@pytest.mark.parametrize("rows", [1, 2, 5, 33])
@pytest.mark.parametrize("n", SIZES)
def test_batch_norm_is_the_reference(rows, n, dtype, rng):
    x, dy, gamma, beta = example(rng, rows, n, dtype)
    own = [plain.moments(column) for column in lists(x.T)[0]]
    given = [(float(m), float(v)) for m, v in zip(beta, gamma, strict=True)]
    for g, b in ((gamma, beta), (gamma, None), (None, beta), (None, None)):
        y, saved, variance = batch_forward(x, g, b)
        np.testing.assert_allclose(saved[0], [m for m, _ in own], **tolerance(dtype))
        np.testing.assert_allclose(variance, [v for _, v in own], **tolerance(dtype))
        np.testing.assert_allclose(y, plain.batch_norm(*lists(x, g, b), own), **tolerance(dtype, 4))
        got = batch_backward(x, dy, g, saved)
        for mine, theirs in zip(got, plain.batch_norm_gradients(*lists(x, dy, g), own), strict=True):
            np.testing.assert_allclose(mine, theirs, **tolerance(dtype, 40 if rows > 2 else 400))

        saved, y = empty((3, n), dtype), empty(x.shape, dtype)
        norms.batch_scaling(beta, gamma, 1e-3, saved)  # beta and gamma serve as given statistics
        norms.batch_forward(x, saved, g, b, y)
        np.testing.assert_allclose(y, plain.batch_norm(*lists(x, g, b), given), **tolerance(dtype, 4))
        got = batch_backward(x, dy, g, saved, training=False)
        expected = plain.batch_norm_gradients(*lists(x, dy, g), given, training=False)
        for mine, theirs in zip(got, expected, strict=True):
            np.testing.assert_allclose(mine, theirs, **tolerance(dtype, 40))


@pytest.mark.parametrize("rms_scaling", [False, True])
@pytest.mark.filterwarnings("ignore:You passed `rms_scaling=True`")
def test_layer_norm_is_keras(rms_scaling, keras, rng):
    import jax

    x, dy, gamma, beta = example(rng, 7, 37, np.float64)
    kind, beta = ("variance", None) if rms_scaling else ("layer", beta)
    layer = keras.layers.LayerNormalization(**({"rms_scaling": True} if rms_scaling else {}))
    layer.build(x.shape)
    layer.set_weights([gamma] if rms_scaling else [gamma, beta])
    y, saved = layer_forward(x, gamma, beta, kind)
    np.testing.assert_allclose(y, layer(x), rtol=1e-12, atol=1e-12)

    def cost(x, *weights):
        return (layer.stateless_call(list(weights), [], x)[0] * dy).sum()

    weights = [gamma] if rms_scaling else [gamma, beta]
    expected = jax.grad(cost, tuple(range(1 + len(weights))))(x, *weights)
    for mine, theirs in zip(layer_backward(x, dy, gamma, saved, kind), expected, strict=False):
        np.testing.assert_allclose(mine, theirs, rtol=1e-12, atol=1e-12)


def test_rms_norm_is_keras(keras, rng):
    import jax

    x, dy, gamma, _ = example(rng, 7, 37, np.float64)
    layer = keras.layers.RMSNormalization()
    layer.build(x.shape)
    layer.set_weights([gamma])
    y, saved = layer_forward(x, gamma, None, "rms", 1e-6)
    np.testing.assert_allclose(y, layer(x), rtol=1e-12, atol=1e-12)
    expected = jax.grad(lambda x, g: (layer.stateless_call([g], [], x)[0] * dy).sum(), (0, 1))(x, gamma)
    for mine, theirs in zip(layer_backward(x, dy, gamma, saved, "rms"), expected, strict=False):
        np.testing.assert_allclose(mine, theirs, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("training", [True, False])
def test_batch_norm_is_keras(training, keras, rng):
    import jax

    x, dy, gamma, beta = example(rng, 33, 21, np.float64)
    mean, variance = rng.normal(size=21), rng.uniform(0.5, 2, 21)
    layer = keras.layers.BatchNormalization()
    layer.build(x.shape)
    layer.set_weights([gamma, beta, mean, variance])

    def call(x, gamma, beta):
        return layer.stateless_call([gamma, beta], [mean, variance], x, training=training)

    if training:
        y, saved, of_batch = batch_forward(x, gamma, beta)
        norms.batch_commit(
            layer.momentum, saved, of_batch, mean_after := mean.copy(), variance_after := variance.copy()
        )
        moved = call(x, gamma, beta)[1]
        np.testing.assert_allclose(mean_after, moved[0], rtol=1e-12, atol=1e-12)
        np.testing.assert_allclose(variance_after, moved[1], rtol=1e-12, atol=1e-12)
        assert np.abs(mean_after - mean).max() > 1e-3
    else:
        saved, y = empty((3, 21), np.float64), empty(x.shape, np.float64)
        norms.batch_scaling(mean, variance, 1e-3, saved)
        norms.batch_forward(x, saved, gamma, beta, y)
    np.testing.assert_allclose(y, call(x, gamma, beta)[0], rtol=1e-12, atol=1e-12)
    expected = jax.grad(lambda *a: (call(*a)[0] * dy).sum(), (0, 1, 2))(x, gamma, beta)
    for mine, theirs in zip(batch_backward(x, dy, gamma, saved, training), expected, strict=True):
        np.testing.assert_allclose(mine, theirs, rtol=1e-12, atol=1e-12)


def test_layer_norm_is_torch(torch, rng):
    x, dy, gamma, beta = example(rng, 7, 37, np.float64)
    tensors = [torch.tensor(a, requires_grad=True) for a in (x, gamma, beta)]
    out = torch.nn.functional.layer_norm(tensors[0], (37,), tensors[1], tensors[2], 1e-5)
    out.backward(torch.tensor(dy))
    y, saved = layer_forward(x, gamma, beta, epsilon=1e-5)
    np.testing.assert_allclose(y, out.detach(), rtol=1e-12, atol=1e-12)
    for mine, theirs in zip(layer_backward(x, dy, gamma, saved), tensors, strict=True):
        np.testing.assert_allclose(mine, theirs.grad, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("kind", KINDS)
def test_layer_gradient_by_finite_differences(kind, rng):
    x, dy, gamma, beta = example(rng, 3, 11, np.float64)
    saved = layer_forward(x, gamma, beta, kind)[1]
    dx = layer_backward(x, dy, gamma, saved, kind)[0]
    for i, j in ((0, 0), (1, 5), (2, 10)):
        step = np.zeros_like(x)
        step[i, j] = 1e-5
        above, below = layer_forward(x + step, gamma, beta, kind)[0], layer_forward(x - step, gamma, beta, kind)[0]
        np.testing.assert_allclose(dx[i, j], ((above - below) * dy).sum() / 2e-5, rtol=1e-6, atol=1e-9)
    assert np.abs(dx).min() > 0


@pytest.mark.parametrize("rows, n", [(3, 5), (300, 130), (40, 1000), (1000, 257)])
def test_same_bits_for_any_threads(rows, n, dtype, rng, same_for_threads):
    x, dy, gamma, beta = example(rng, rows, n, dtype)

    def everything():
        y, saved = layer_forward(x, gamma, beta)
        z, batch_saved, variance = batch_forward(x, gamma, beta)
        sums = empty(n, dtype)
        norms.colsum(x, sums, False)
        backward = layer_backward(x, dy, gamma, saved), batch_backward(x, dy, gamma, batch_saved)
        return y, saved, z, batch_saved, variance, sums, *backward[0], *backward[1]

    same_for_threads(everything)


@pytest.mark.parametrize("n", [1, 5, 16, 23, 1000])
def test_a_row_alone_has_the_same_bits(n, dtype, rng):
    x, dy, gamma, beta = example(rng, 9, n, dtype)
    y, saved = layer_forward(x, gamma, beta)
    dx = layer_backward(x, dy, gamma, saved)[0]
    mean, variance = rng.normal(size=n).astype(dtype), rng.uniform(0.5, 2, n).astype(dtype)
    fixed, z, z_alone = empty((3, n), dtype), empty(x.shape, dtype), empty((1, n), dtype)
    norms.batch_scaling(mean, variance, 1e-3, fixed)
    norms.batch_forward(x, fixed, gamma, beta, z)
    for i in range(9):
        alone, alone_saved = layer_forward(x[i : i + 1].copy(), gamma, beta)
        np.testing.assert_array_equal(alone[0], y[i])
        np.testing.assert_array_equal(layer_backward(x[i : i + 1], dy[i : i + 1], gamma, alone_saved)[0][0], dx[i])
        norms.batch_forward(x[i : i + 1], fixed, gamma, beta, z_alone)
        np.testing.assert_array_equal(z_alone[0], z[i])


def test_a_column_alone_has_the_same_bits(dtype, rng):
    x, dy, gamma, beta = example(rng, 31, 77, dtype)
    y, saved, variance = batch_forward(x, gamma, beta)
    gradients = batch_backward(x, dy, gamma, saved)
    sums = empty(77, dtype)
    norms.colsum(x, sums, False)
    for block in (slice(0, 1), slice(3, 20), slice(33, 77)):
        part = [np.ascontiguousarray(a[..., block]) for a in (x, dy, gamma, beta)]
        y_part, saved_part, variance_part = batch_forward(part[0], part[2], part[3])
        np.testing.assert_array_equal(y_part, y[:, block])
        np.testing.assert_array_equal(variance_part, variance[block])
        for mine, whole in zip(batch_backward(*part[:3], saved_part), gradients, strict=True):
            np.testing.assert_array_equal(mine, whole[..., block])
        sums_part = empty(part[0].shape[1], dtype)
        norms.colsum(part[0], sums_part, False)
        np.testing.assert_array_equal(sums_part, sums[block])


@pytest.mark.parametrize("rows, n", [(0, 5), (1, 1), (2, 7), (33, 64), (100, 129), (7, 1000)])
def test_colsum_is_one_chain_of_additions(rows, n, dtype, rng):
    x = (rng.normal(size=(rows, n)) * 10.0 ** rng.integers(-3, 4, (rows, n))).astype(dtype)
    chain = np.zeros(n, dtype)
    for row in x:
        chain = chain + row
    y = empty(n, dtype)
    norms.colsum(x, y, False)
    np.testing.assert_array_equal(y, chain)
    start = rng.normal(size=n).astype(dtype)
    chain = start.copy()
    for row in x:
        chain = chain + row
    norms.colsum(x, start, True)
    np.testing.assert_array_equal(start, chain)


@pytest.mark.parametrize("rows, n", [(0, 3), (4, 1), (3, 17), (5, 130)])
def test_add_rows(rows, n, dtype, rng):
    x, b = rng.normal(size=(rows, n)).astype(dtype), rng.normal(size=n).astype(dtype)
    y = empty((rows, n), dtype)
    norms.add_rows(x, b, y)
    np.testing.assert_array_equal(y, x + b)


def test_gradients_are_added_when_told(dtype, rng):
    x, dy, gamma, beta = example(rng, 5, 40, dtype)
    _, saved = layer_forward(x, gamma, beta)
    _, batch_saved, _ = batch_forward(x, gamma, beta)
    first = layer_backward(x, dy, gamma, saved)[1:], batch_backward(x, dy, gamma, batch_saved)[1:]
    again = [np.ones(40, dtype) for _ in range(4)]
    norms.layer_backward(x, dy, gamma, norms.LAYER, saved, None, again[0], again[1], True)
    sums = empty((2, 40), dtype)
    norms.batch_backward(x, dy, batch_saved, gamma, sums, None, again[2], again[3], True)
    for mine, theirs in zip(again, [*first[0], *first[1]], strict=True):
        np.testing.assert_allclose(mine, theirs + 1, **tolerance(dtype))
    only = empty(40, dtype)
    norms.layer_backward(x, dy, gamma, norms.LAYER, saved, None, None, only, False)
    np.testing.assert_array_equal(only, first[0][1])


def test_in_place(dtype, rng):
    x, dy, gamma, beta = example(rng, 6, 35, dtype)
    y, saved = layer_forward(x, gamma, beta)
    dx = layer_backward(x, dy, gamma, saved)[0]
    over, over_saved = x.copy(), empty((3, 6), dtype)
    norms.layer_forward(over, gamma, beta, norms.LAYER, 1e-3, over, over_saved)
    np.testing.assert_array_equal(over, y)
    over = dy.copy()
    norms.layer_backward(x, over, gamma, norms.LAYER, saved, over, None, None, False)
    np.testing.assert_array_equal(over, dx)


@pytest.mark.parametrize("offset", [1e3, 1e6, -3e7])
def test_a_large_mean_costs_nothing(offset, dtype, rng):
    """x is exact, so what is lost could only be lost by taking the mean off."""
    x = (rng.integers(-8, 9, (20, 33)) + offset).astype(dtype)
    exact = x.astype(np.longdouble)
    for axis, y in ((1, layer_forward(x, None, None)[0]), (0, batch_forward(x, None, None)[0])):
        expected = (exact - exact.mean(axis, keepdims=True)) / np.sqrt(exact.var(axis, keepdims=True) + 1e-3)
        error = 3e-7 if dtype == np.float32 else 1e-8 if abs(offset) > 1e6 else 1e-9
        np.testing.assert_allclose(y, expected.astype(float), rtol=0, atol=error)


def test_special_values(dtype):
    """A NaN or an infinity spoils its row of a layer norm, its column of a batch norm, and nothing else."""
    x = np.arange(60, dtype=dtype).reshape(5, 12) ** 1.5
    clean, clean_batch = layer_forward(x, None, None)[0], batch_forward(x, None, None)[0]
    for bad in (np.nan, np.inf, -np.inf):
        x[2, 7] = bad
        y, z = layer_forward(x, None, None)[0], batch_forward(x, None, None)[0]
        assert np.isnan(y[2]).all() and np.isnan(z[:, 7]).all()
        np.testing.assert_array_equal(np.delete(y, 2, 0), np.delete(clean, 2, 0))
        np.testing.assert_array_equal(np.delete(z, 7, 1), np.delete(clean_batch, 7, 1))


def test_extreme_magnitudes(dtype):
    tiny, large = np.finfo(dtype).smallest_subnormal, np.finfo(dtype).max / 8 if dtype == np.float32 else 1e150
    for scale in (tiny, large):
        x = np.array([[1, 2, 3, 4, 5, 6, 7, 8]]).astype(dtype) * dtype.type(scale)
        u = np.arange(-3.5, 4)
        y = layer_forward(x, None, None, epsilon=0.0 if scale > 1 else 1e-3)[0]
        expected = u / np.sqrt(5.25) if scale > 1 else u * float(tiny) / np.sqrt(1e-3)
        np.testing.assert_allclose(y[0], expected.astype(dtype), rtol=1e-5, atol=32 * float(tiny))
    same = np.full((1, 9), 0.1, dtype)
    assert np.abs(layer_forward(same, None, None)[0]).max() < 1e-6


def test_what_is_written_stays_within(rng, dtype):
    """Outputs in the middle of an array: the elements around them are left alone."""
    for n in (1, 3, 13, 37):
        x, _, gamma, beta = example(rng, 3, n, dtype)
        room = empty(3 * n + 64, dtype)
        y = room[17 : 17 + 3 * n].reshape(3, n)
        norms.layer_forward(x, gamma, beta, norms.LAYER, 1e-3, y, empty((3, 3), dtype))
        norms.colsum(x, y[1], False)
        assert (room[:17] == dtype.type(POISON)).all() and (room[17 + 3 * n :] == dtype.type(POISON)).all()
        assert (y != dtype.type(POISON)).all()


@hypothesis.given(st.integers(1, 40), st.integers(1, 90), st.floats(1e-6, 1.0), st.integers(0, 2**32 - 1))
def test_normalised_columns_and_rows(rows, n, epsilon, seed):
    """Whatever the shape: mean 0, and variance v / (v + epsilon)."""
    x = np.random.default_rng(seed).normal(3, 2, (rows, n))
    for axis, y in (
        (1, layer_forward(x, None, None, epsilon=epsilon)[0]),
        (0, batch_forward(x, None, None, epsilon)[0]),
    ):
        np.testing.assert_allclose(y.mean(axis), 0, atol=1e-9)
        np.testing.assert_allclose(y.var(axis), x.var(axis) / (x.var(axis) + epsilon), rtol=1e-9, atol=1e-9)


def test_moving_average_is_the_reference(dtype, rng):
    mean, variance = rng.normal(size=45).astype(dtype), rng.uniform(0.5, 2, 45).astype(dtype)
    saved, of_batch = rng.normal(size=(3, 45)).astype(dtype), rng.uniform(0.5, 2, 45).astype(dtype)
    expected = [plain.moving_average(float(a), float(x), 0.9) for a, x in zip(mean, saved[0], strict=True)]
    norms.batch_commit(0.9, saved, of_batch, mean, variance)
    np.testing.assert_allclose(mean, expected, **tolerance(dtype))


BITS = """
import hashlib, sys
sys.path.insert(0, {tests!r})
import numpy as np
from test_norms import batch_backward, batch_forward, empty, example, layer_backward, layer_forward, norms
digest = hashlib.sha256()
for dtype in (np.float32, np.float64):
    for rows, n in ((3, 1), (5, 13), (31, 130), (70, 300)):
        x, dy, gamma, beta = example(np.random.default_rng(5), rows, n, dtype)
        y, saved = layer_forward(x, gamma, beta)
        z, of_batch, variance = batch_forward(x, gamma, beta)
        fixed, sums = empty((3, n), dtype), empty(n, dtype)
        norms.batch_scaling(beta, gamma, 1e-3, fixed)
        norms.colsum(x, sums, False)
        norms.batch_commit(0.9, of_batch, variance, beta, gamma)
        for a in (y, saved, z, of_batch, variance, fixed, sums, beta, gamma):
            digest.update(a.tobytes())
        for a in (*layer_backward(x, dy, gamma, saved), *batch_backward(x, dy, gamma, of_batch)):
            digest.update(a.tobytes())
print(digest.hexdigest())
"""


def test_same_bits_on_every_instruction_set_with_fma(on_each_isa):
    digests = on_each_isa(BITS.replace("{tests!r}", repr(os.path.dirname(__file__))))
    digests.pop("base", None)
    if len(digests) < 2:
        pytest.skip(f"this machine has only {', '.join(digests) or 'base'}")
    assert len(set(digests.values())) == 1, digests
