"""fastnn.utils: on its own, and against Keras where it is installed."""

import doctest
import inspect

import numpy as np
import pytest

from fastnn import set_seed, utils
from fastnn.utils import (
    PyDataset,
    Sequence,
    normalize,
    pack_x_y_sample_weight,
    split_dataset,
    unpack_x_y_sample_weight,
)

# ------------------------------------------------------------------------------------------------------- split_dataset


def test_split_keeps_rows_together(rng):
    x, y = rng.normal(size=(20, 3)), np.arange(20)
    for shuffle in (False, True):
        left, right = split_dataset((x, y), left_size=0.7, shuffle=shuffle, seed=3)
        assert isinstance(left, tuple) and len(left[0]) == len(left[1]) == 14 and len(right[0]) == 6
        for part_x, part_y in (left, right):
            np.testing.assert_array_equal(part_x, x[part_y])
        rows = np.concatenate([left[1], right[1]])
        assert sorted(rows) == list(range(20)) and (list(rows) == list(range(20))) != shuffle


def test_split_is_repeatable():
    y = np.arange(50)
    first = split_dataset(y, 0.5, shuffle=True, seed=7)
    np.testing.assert_array_equal(first[0], split_dataset(y, 0.5, shuffle=True, seed=7)[0])
    assert not np.array_equal(first[0], split_dataset(y, 0.5, shuffle=True, seed=8)[0])
    results = []
    for _ in range(2):
        set_seed(4)
        results.append(split_dataset(y, 0.5, shuffle=True)[0])
    set_seed(None)
    np.testing.assert_array_equal(*results)
    np.testing.assert_array_equal(y, np.arange(50))


@pytest.mark.parametrize(
    "left, right, sizes",
    [
        (3, None, (3, 7)),
        (None, 3, (7, 3)),
        (0.25, None, (2, 8)),
        (None, 0.25, (8, 2)),
        (0.5, 0.25, (5, 2)),
        (2, 3, (2, 3)),
        (2, 0.5, (2, 5)),
        (np.int64(2), np.float32(0.5), (2, 5)),
        (0.35, 0.35, (4, 4)),
    ],
)
def test_split_sizes(left, right, sizes):
    y = np.arange(10)
    first, second = split_dataset(y, left, right)
    assert (len(first), len(second)) == sizes
    np.testing.assert_array_equal(first, y[: sizes[0]])
    np.testing.assert_array_equal(second, y[-sizes[1] :])


@pytest.mark.parametrize(
    "arguments, error, match",
    [
        ((np.arange(10),), ValueError, "left_size, right_size: expected at least one"),
        ((np.arange(10), 10), ValueError, "left_size: expected a whole number >= 1 and <= 9, got 10"),
        ((np.arange(10), 0), ValueError, "left_size"),
        ((np.arange(10), 1.0), ValueError, "left_size"),
        ((np.arange(10), None, -0.5), ValueError, "right_size"),
        ((np.arange(10), 0.01), ValueError, "of 10 samples they would take 0 and 10"),
        ((np.arange(10), 6, 5), ValueError, "of 10 samples they would take 6 and 5"),
        ((np.arange(2), 0.35, 0.7), ValueError, "shares must add up to 1 at most"),
        ((np.arange(10), "half"), TypeError, "left_size"),
        (((np.arange(10), np.arange(9)), 0.5), ValueError, r"dataset\[1\] has 9 rows but dataset\[0\] has 10"),
        (([1, 2, 3], 0.5), TypeError, r"dataset\[0\]: expected an array"),
        (((), 0.5), ValueError, "got none"),
        (({"x": np.arange(3)}, 0.5), TypeError, "got dict"),
        (("text", 0.5), TypeError, "got str"),
        ((np.array(1.0), 0.5), ValueError, "single number"),
    ],
)
def test_split_errors(arguments, error, match):
    with pytest.raises(error, match=match):
        split_dataset(*arguments)


def test_split_sizes_are_keras(keras):
    """Keras's own arithmetic of sizes, which needs no TensorFlow."""
    from keras.src.utils.dataset_utils import _rescale_dataset_split_sizes as theirs

    choices = [None, *(i / 20 for i in range(-1, 22)), *range(-1, 12)]
    agreed = 0
    for total in (1, 2, 3, 7, 10):
        for left in choices:
            for right in choices:
                if left is None and right is None:
                    continue
                try:
                    expected = theirs(left, right, total)
                except (TypeError, ValueError):
                    expected = None
                try:
                    parts = split_dataset(np.arange(total), left, right)
                    got = tuple(map(len, parts))
                except (TypeError, ValueError):
                    got = None
                assert got == expected, (left, right, total)
                agreed += got is not None
    assert agreed > 500


# ------------------------------------------------------------------------------------------------- normalize, packing


@pytest.mark.parametrize("order", [1, 2, 3, np.inf])
@pytest.mark.parametrize("axis", [-1, 0, 1])
def test_normalize(rng, order, axis, dtype):
    x = rng.normal(size=(4, 5)).astype(dtype)
    x[:, 2] = 0
    given = x.copy()
    got = normalize(x, axis, order)
    assert got.dtype == dtype
    norms = np.linalg.norm(got, order, axis)
    np.testing.assert_allclose(norms[norms > 0], 1, rtol=1e-5)
    np.testing.assert_array_equal(x, given)


def test_normalize_errors():
    with pytest.raises(ValueError, match="x: expected an array with at least one axis"):
        normalize(3.0)
    with pytest.raises(ValueError, match="axis"):
        normalize(np.ones((2, 2)), axis=2)
    np.testing.assert_allclose(normalize([3, 4]), [0.6, 0.8])


def test_helpers_are_keras(keras, rng):
    x = rng.normal(size=(4, 5))
    x[1] = 0
    for order in (1, 2, 3):
        for axis in (-1, 1):
            np.testing.assert_allclose(normalize(x, axis, order), keras.utils.normalize(x, axis, order), rtol=1e-14)
    for data in (("x",), ("x", "y"), ("x", "y", "w")):
        assert repr(pack_x_y_sample_weight(*data)) == repr(keras.utils.pack_x_y_sample_weight(*data))
        assert unpack_x_y_sample_weight(data) == keras.utils.unpack_x_y_sample_weight(data)
        assert unpack_x_y_sample_weight(list(data)) == keras.utils.unpack_x_y_sample_weight(list(data))
    assert unpack_x_y_sample_weight("x") == keras.utils.unpack_x_y_sample_weight("x")
    assert pack_x_y_sample_weight([1, 2]) == keras.utils.pack_x_y_sample_weight([1, 2])


def test_signatures_are_keras(keras):
    for name in set(utils.__all__) - {"prefetch"}:  # which Keras has not
        ours = inspect.signature(getattr(utils, name)).parameters.values()
        theirs = list(inspect.signature(getattr(keras.utils, name)).parameters.values())
        theirs = [p for p in theirs if p.name != "preferred_backend"]
        assert [(p.name, p.default) for p in ours] == [(p.name, p.default) for p in theirs], name


def test_packing():
    assert unpack_x_y_sample_weight(pack_x_y_sample_weight(1, 2, 3)) == (1, 2, 3)
    for wrong in ((), (1, 2, 3, 4)):
        with pytest.raises(ValueError, match=f"got {len(wrong)} items"):
            unpack_x_y_sample_weight(wrong)


# ------------------------------------------------------------------------------------------------------------ datasets


def test_datasets():
    class Own(Sequence):
        def __init__(self):  # without super().__init__()
            pass

        def __len__(self):
            return 2

        def __getitem__(self, index):
            return index

    own = Own()
    assert list(own) == [0, 1] and own.num_batches == 2 and own.workers == 1 and Sequence is PyDataset
    own.on_epoch_begin()
    own.on_epoch_end()
    with pytest.warns(UserWarning, match="one after the other"):
        PyDataset(workers=4)
    with pytest.raises(ValueError, match="workers"):
        PyDataset(workers=-1)


def test_docstrings():
    assert doctest.testmod(utils).failed == 0
