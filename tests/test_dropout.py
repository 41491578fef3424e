"""Dropout and Gaussian noise."""

import math

import hypothesis
import hypothesis.strategies as st
import numpy as np
import pytest

import fastnn
from fastnn._core import norms
from fastnn._core import random as core
from fastnn.reference import random as plain
from fastnn.reference.network import Dropout

SIZES = [0, 1, 2, 3, 4, 5, 7, 8, 9, 15, 16, 17, 63, 64, 65, 200, 1000]


def dropout(x, rate, seed=1, stream=0, start=0):
    y = np.full_like(x, np.nan)
    norms.dropout(x, rate, seed, stream, start, y)
    return y


def noise(x, stddev, seed=1, stream=0, start=0):
    y = np.full_like(x, np.nan)
    norms.noise(x, stddev, seed, stream, start, y)
    return y


@pytest.mark.parametrize("n", SIZES)
@pytest.mark.parametrize("seed, stream, start", [(1, 0, 0), (9, 2**63 + 5, 1), (2**64 - 1, 3, 2**34 + 62), (4, 4, 127)])
def test_mask_is_the_reference_bit_for_bit(n, seed, stream, start, dtype):
    x = np.linspace(1, 2, n).astype(dtype)
    for rate in (0.1, 0.5, 0.9):
        y = dropout(x, rate, seed, stream, start)
        dropped = np.array([plain.dropped(seed, stream, start + i, rate) for i in range(n)], bool)
        np.testing.assert_array_equal(y, np.where(dropped, 0, x * dtype.type(1 / (1 - rate))))


def test_mask_is_the_reference_networks(dtype):
    """The batch laid out row by row, as the reference's layer numbers it."""
    mask = np.array(Dropout(0.3).mask(6, 11, 42, 7), dtype)
    np.testing.assert_array_equal(dropout(np.ones(66, dtype), 0.3, 42, 7).reshape(6, 11), mask)
    assert 0 < (mask == 0).sum() < mask.size


@pytest.mark.parametrize("rate", [0.0, 2.0**-33, 1.0, 1 - 2.0**-40])
def test_extreme_rates(rate, dtype):
    x = np.linspace(-1, 1, 5000).astype(dtype) + 3
    y = dropout(x, rate)
    np.testing.assert_array_equal(y, np.zeros_like(x) if rate > 0.5 else x * dtype.type(1 / (1 - rate)))
    assert not np.signbit(y[y == 0]).any()


@hypothesis.given(st.integers(0, 300), st.integers(0, 300), st.floats(0, 1), st.integers(0, 2**64 - 1))
def test_any_block_can_be_done_alone(first, n, rate, seed):
    x = np.linspace(1, 2, 700).astype(np.float32)
    np.testing.assert_array_equal(
        dropout(x[first : first + n], rate, seed, 3, first), dropout(x, rate, seed, 3)[first:][:n]
    )


def test_same_bits_for_any_threads(dtype, rng, same_for_threads):
    x = rng.normal(size=100_003).astype(dtype)
    y, z = same_for_threads(lambda: [dropout(x, 0.3, 5, 6, 7), noise(x, 0.3, 5, 6, 7)])
    assert not np.isnan(y).any() and not np.isnan(z).any()


@pytest.mark.parametrize("rate", [0.1, 0.5, 0.77])
def test_share_and_mean(rate):
    """The share dropped is within four standard deviations of the rate; what is kept makes up for it."""
    n = 1_000_000
    y = dropout(np.ones(n), rate, seed=8)
    deviation = math.sqrt(rate * (1 - rate) / n)
    assert abs((y == 0).mean() - rate) < 4 * deviation
    assert abs(y.mean() - 1) < 4 * deviation / (1 - rate)


def test_backward_uses_the_same_mask(dtype, rng):
    """dropout is linear, so that on dy it is its own backward pass: y = m x, dx = m dy."""
    x, dy = rng.uniform(1, 2, (2, 999)).astype(dtype)
    y, dx = dropout(x, 0.4, 3, 1), dropout(dy, 0.4, 3, 1)
    np.testing.assert_array_equal(y == 0, dx == 0)
    np.testing.assert_allclose(y * dy, dx * x, rtol=1e-6)
    assert (dropout(x, 0.4, 3, 2) != y).any() and (dropout(x, 0.4, 4, 1) != y).any()


def test_special_values(dtype):
    """What is kept passes NaN and infinities on; what is dropped is 0 whatever it was."""
    x = np.tile(np.array([np.nan, np.inf, -np.inf, -0.0, np.finfo(dtype).smallest_subnormal], dtype), 100)
    y = dropout(x, 0.5, 2)
    dropped = np.array([plain.dropped(2, 0, i, 0.5) for i in range(500)])
    np.testing.assert_array_equal(y, np.where(dropped, 0, x * 2))


def test_in_place(dtype, rng):
    x = rng.normal(size=333).astype(dtype)
    expected, noisy = dropout(x, 0.5), noise(x, 0.5)
    y, z = x.copy(), x.copy()
    norms.dropout(y, 0.5, 1, 0, 0, y)
    norms.noise(z, 0.5, 1, 0, 0, z)
    np.testing.assert_array_equal(y, expected)
    np.testing.assert_array_equal(z, noisy)


@pytest.mark.parametrize("n", SIZES)
def test_noise_is_the_generators(n, dtype):
    x = np.linspace(-3, 3, n).astype(dtype)
    z = np.empty(n)
    core.fill(z, core.NORMAL, 0.0, 0.7, 11, 12, 13)
    np.testing.assert_array_equal(noise(x, 0.7, 11, 12, 13), x + z.astype(dtype))
    expected = [float(a) + 0.7 * plain.normal(11, 12, 13 + i) for i, a in enumerate(x)]
    np.testing.assert_allclose(noise(x, 0.7, 11, 12, 13), expected, rtol=1e-6, atol=1e-6)


def test_any_element_may_be_the_first(dtype):
    """Vectors need not start at a cache line, and nothing beside the output is touched."""
    whole = np.full(77 + 40, 1.5, dtype)
    for first in (1, 3, 20):
        room = np.full(77 + 40, -7.0, dtype)
        norms.dropout(whole[first : first + 77], 0.5, 1, 0, 0, room[20:97])
        assert (room[:20] == -7).all() and (room[97:] == -7).all() and set(room[20:97]) == {0, 3}


def test_addresses_between_two_elements(dtype):
    """The core refuses them, since C may not read a float there; a layer copies."""
    x = np.ndarray((7, 11), dtype, np.zeros(4000, np.uint8).data, 1)
    x[:] = 1.5
    with pytest.raises(ValueError, match="x: expected elements that are aligned"):
        norms.dropout(x.reshape(-1), 0.5, 1, 0, 0, np.empty(77, dtype))
    y = fastnn.layers.Dropout(0.5, seed=1, dtype=dtype.name)(x, training=True)
    assert set(np.ravel(y)) == {0, 3}


def test_same_mask_on_every_instruction_set(on_each_isa):
    code = """
import hashlib, numpy as np
from fastnn._core import norms
digest = hashlib.sha256()
for dtype in (np.float32, np.float64):
    x = np.linspace(-1, 1, 1003).astype(dtype)
    for f in (norms.dropout, norms.noise):
        y = np.empty_like(x)
        f(x, 0.3, 4, 5, 6, y)
        digest.update(y.tobytes())
print(digest.hexdigest())
"""
    digests = on_each_isa(code)
    assert len(set(digests.values())) == 1, digests
