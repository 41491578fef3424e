"""The matrix product against NumPy in higher precision, and its bits against themselves."""

import math
import os
import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import fastnn
from fastnn._core import product

DTYPES = ["float32", "float64"]
# below, at and above the tile's rows (6, 14), the vectors (2 to 16), two vectors, blocks (144 rows; 400 or 1024 deep)
SIZES = [0, 1, 2, 3, 5, 6, 7, 8, 9, 13, 14, 15, 16, 17, 31, 32, 33, 64, 65, 143, 145, 300, 400]


def operands(rng, rows, columns, depth, dtype, transposed):
    """A and B of the product, each as it lies or as the transpose of what lies there."""
    a = rng.standard_normal((rows, depth)).astype(dtype)
    b = rng.standard_normal((depth, columns)).astype(dtype)
    return (np.asfortranarray(a) if "a" in transposed else a), (np.asfortranarray(b) if "b" in transposed else b)


def in_double(a, b):
    return a.astype(float) @ b.astype(float)


def bound(a, b, dtype):
    """The classical bound of a dot product's rounding error, element by element: ours and that of the comparison."""
    depth = a.shape[1] + 1
    return 2 * depth * np.finfo(dtype).eps * in_double(np.abs(a), np.abs(b)) + 1e-300


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("transposed", ["", "a", "b", "ab"])
@pytest.mark.parametrize("depth", [0, 1, 2, 17, 64, 385, 800])
def test_product_of_every_size(dtype, transposed, depth):
    rng = np.random.default_rng(depth)
    for rows in SIZES:
        for columns in rng.choice(SIZES, 6):
            a, b = operands(rng, rows, columns, depth, dtype, transposed)
            out = np.full((rows, columns), np.nan, dtype)
            product.matmul(a, b, out)
            assert np.all(np.abs(out - in_double(a, b)) <= bound(a, b, dtype)), (rows, columns)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("transposed", ["", "a", "b", "ab"])
@pytest.mark.parametrize("shape", [(160, 40, 2100), (30, 2200, 1100)])  # more than a block deep, and wide
def test_product_of_the_largest_blocks(dtype, transposed, shape, with_threads):
    a, b = operands(np.random.default_rng(8), *shape, dtype, transposed)
    outs = []
    for threads in (1, 3):
        with_threads(threads)
        outs.append(np.full(shape[:2], np.nan, dtype))
        product.matmul(a, b, outs[-1])
    assert np.all(np.abs(outs[0] - in_double(a, b)) <= bound(a, b, dtype))
    assert np.array_equal(outs[0], outs[1])


@pytest.mark.parametrize("dtype", DTYPES)
@given(data=st.data())
def test_product_of_any_shape_and_stride(dtype, data):
    size = st.integers(0, 70)
    rows, columns, depth = (data.draw(size) for _ in range(3))
    step_a, step_b = data.draw(st.sampled_from([1, 2, -1, 3])), data.draw(st.sampled_from([1, 2, -1]))
    rng = np.random.default_rng(rows * 5041 + columns * 71 + depth)
    a = rng.standard_normal((rows, 3 * depth + 1)).astype(dtype)[:, :: abs(step_a)][:, :depth][
        :, :: int(math.copysign(1, step_a))
    ]
    b = rng.standard_normal((2 * depth + 1, columns)).astype(dtype)[:: abs(step_b)][:depth][
        :: int(math.copysign(1, step_b))
    ]
    out = np.full((rows, columns), np.nan, dtype)
    product.matmul(a, b, out)
    assert np.all(np.abs(out - in_double(a, b)) <= bound(a, b, dtype))


def test_broadcast_rows_and_columns():
    row = np.arange(5.0)
    a = np.broadcast_to(row, (7, 5))
    b = np.broadcast_to(row[:, None], (5, 40))
    out = np.empty((7, 40))
    product.matmul(a, b, out)
    assert np.array_equal(out, np.full((7, 40), row @ row))


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("shape", [(1, 40, 7), (33, 2, 9), (33, 40, 500), (150, 30, 800)])
def test_accumulate_goes_on_with_the_chains(dtype, shape):
    rng = np.random.default_rng(3)
    a, b = operands(rng, *shape, dtype, "")
    whole = np.empty(shape[:2], dtype)
    product.matmul(a, b, whole)
    halves = np.empty(shape[:2], dtype)
    cut = shape[2] // 2
    product.matmul(a[:, :cut], b[:cut], halves)
    product.matmul(a[:, cut:], b[cut:], halves, True)
    if fastnn.cpu_info()["fused_multiply_add"]:
        assert np.array_equal(halves, whole)
    assert np.all(np.abs(halves - in_double(a, b)) <= bound(a, b, dtype))


@pytest.mark.parametrize("dtype", DTYPES)
def test_every_element_is_one_fused_chain_over_ascending_k(dtype):
    if not fastnn.cpu_info()["fused_multiply_add"]:
        pytest.skip("the baseline instruction set has no fused multiply-add")
    # 2^p + tiny products: a chain in another order, or with two roundings, rounds them away differently
    rng = np.random.default_rng(4)
    depth = 40
    a = (rng.standard_normal((17, depth)) * 2.0 ** rng.integers(-12, 12, (17, depth))).astype(dtype)
    b = (rng.standard_normal((depth, 33)) * 2.0 ** rng.integers(-12, 12, (depth, 33))).astype(dtype)
    chain = np.zeros((17, 33), dtype)
    for k in range(
        depth
    ):  # float32: double holds a product exactly and rounds the sum once more, which is checked below
        if dtype == "float32":
            chain = fma32(a[:, k, None], b[k], chain)
        else:
            chain = (a[:, k, None].astype(np.longdouble) * b[k] + chain).astype(dtype)
    out = np.empty((17, 33), dtype)
    product.matmul(a, b, out)
    agree = np.mean(out == chain)
    assert agree == 1.0 if dtype == "float32" else agree > 0.97  # long double rounds the product, now and then


def fma32(a, b, c):
    """A fused multiply-add of float32 by way of double with rounding to odd, which makes the second rounding
    harmless."""
    product_, addend = a.astype(np.float64) * b, c.astype(np.float64)
    total = product_ + addend
    rest = (product_ - (total - addend)) + (addend - (total - (total - addend)))
    inexact_even = (rest != 0) & (total.view(np.int64) & 1 == 0)
    toward = np.where((rest > 0) == (total > 0), 1, -1)
    return np.where(inexact_even, (total.view(np.int64) + toward).view(np.float64), total).astype(np.float32)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("columns", [1, 2, 7, 10, 31, 32, 64, 65, 400])
@pytest.mark.parametrize("transposed", ["", "b"])
def test_a_row_alone_has_the_bits_it_has_in_a_batch(dtype, columns, transposed):
    rng = np.random.default_rng(5)
    a, b = operands(rng, 150, columns, 450, dtype, transposed)
    batch = np.empty((150, columns), dtype)
    product.matmul(a, b, batch)
    for i in (0, 1, 5, 77, 149):
        alone = np.empty((1, columns), dtype)
        product.matmul(a[i : i + 1], b, alone)
        assert np.array_equal(alone[0], batch[i])


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize(
    "shape", [(1, 5000, 300), (400, 10, 500), (300, 200, 100), (256, 256, 80), (70, 900, 70), (2000, 33, 64)]
)
def test_bits_do_not_depend_on_threads(with_threads, dtype, shape):
    rng = np.random.default_rng(6)
    for transposed in ("", "a", "b"):
        a, b = operands(rng, *shape, dtype, transposed)
        results = []
        for threads in (1, 2, 3, 7):
            with_threads(threads)
            out = np.full(shape[:2], np.nan, dtype)
            product.matmul(a, b, out)
            results.append(out)
        for out in results[1:]:
            assert np.array_equal(out, results[0])


DIGEST = """
import hashlib, numpy as np
from fastnn._core import product
digest = hashlib.sha256()
rng = np.random.default_rng(7)
for dtype in ("float32", "float64"):
    for rows, columns, depth in (
        (1, 70, 50), (1, 400, 450), (40, 3, 90), (33, 65, 400), (150, 130, 20), (160, 300, 300), (20, 1, 1)
    ):
        for order in "CF":
            a = rng.standard_normal((rows, depth)).astype(dtype, order=order)
            b = rng.standard_normal((depth, columns)).astype(dtype, order=order)
            out = np.empty((rows, columns), dtype)
            product.matmul(a, b, out)
            digest.update(out.tobytes())
print(digest.hexdigest())
"""


def test_bits_do_not_depend_on_the_instruction_set():
    fused = [isa for isa in fastnn.cpu_info()["available"] if isa not in ("base", "portable")]
    if len(fused) < 2:
        pytest.skip("this machine has fewer than two instruction sets with fused multiply-add")
    digests = {
        isa: subprocess.run(
            [sys.executable, "-c", DIGEST],
            env=os.environ | {"FASTNN_ISA": isa},
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for isa in fused
    }
    assert len(set(digests.values())) == 1, digests


@pytest.mark.parametrize("dtype", DTYPES)
def test_nan_and_infinity_stay_in_their_row_and_column(dtype):
    rng = np.random.default_rng(8)
    for columns in (2, 40):
        a, b = operands(rng, 20, columns, 30, dtype, "")
        a[3, 4], a[7, 9] = np.nan, np.inf
        with np.errstate(invalid="ignore"):
            expected = a.astype(float) @ b.astype(float)
        out = np.empty((20, columns), dtype)
        product.matmul(a, b, out)
        assert np.array_equal(np.isnan(out), np.isnan(expected))
        assert np.array_equal(np.isinf(out), np.isinf(expected))


@pytest.mark.parametrize(
    ("a", "b", "out", "error"),
    [
        (np.ones((2, 3)), np.ones((4, 5)), np.ones((2, 5)), ValueError),
        (np.ones((2, 3)), np.ones((3, 5)), np.ones((2, 4)), ValueError),
        (np.ones(3), np.ones((3, 5)), np.ones((1, 5)), ValueError),
        (np.ones((2, 3)), np.ones((3, 5), "f4"), np.ones((2, 5)), TypeError),
        (np.ones((2, 3), int), np.ones((3, 5), int), np.ones((2, 5), int), TypeError),
        (np.ones((2, 3)), np.ones((3, 5)), np.ones((5, 2)).T, ValueError),
        (np.ones((2, 3)), np.ones((3, 5)), np.broadcast_to(1.0, (2, 5)), ValueError),
    ],
)
def test_wrong_operands_are_refused(a, b, out, error):
    with pytest.raises(error):
        product.matmul(a, b, out)


@pytest.mark.parametrize("threads", [2, 3, 5, 7])
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize(
    "shape",
    [(64, 128, 784), (56, 61, 700), (96, 112, 640), (126, 128, 400), (63, 64, 900), (1, 512, 784), (1, 1900, 900)],
)
def test_stages_of_the_chains_do_not_show(shape, dtype, threads, with_threads):
    """Where threads go on with one another's chains the bits are those of one thread, for every sharing of the work."""
    rng = np.random.default_rng(threads)
    a, b = operands(rng, *shape, dtype, "")
    room = np.empty(b.nbytes + 64, np.uint8)
    aligned = room[-room.ctypes.data % 64 :][: b.nbytes].view(dtype).reshape(b.shape)  # else many rows pack it
    aligned[:] = b
    b = aligned
    whole, staged = np.empty(shape[:2], dtype), np.empty(shape[:2], dtype)
    with_threads(1)
    product.matmul(a, b, whole)
    with_threads(threads)
    for _ in range(20):
        staged.fill(np.nan)
        product.matmul(a, b, staged, rows_at_home=True)
        assert np.array_equal(staged, whole)
    product.matmul(a, b, staged, True, rows_at_home=True)
    assert np.all(np.abs(staged - 2 * in_double(a, b)) <= 2 * bound(a, b, dtype))
