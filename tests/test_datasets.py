"""The drawn data sets: seeds, sizes, classes, and shapes that formulas and scikit-learn confirm."""

import doctest
import inspect
import re

import numpy as np
import pytest
from optional import optional

import fastnn
from fastnn import datasets, layers

TWO = ["xor", "moons", "circles"]
MANY = ["spirals", "blobs"]
ALL = [*TWO, *MANY, "make_digits"]


@pytest.mark.parametrize("name", ALL)
def test_a_seed_is_a_data_set(name):
    draw = getattr(datasets, name)
    x, y = draw(60, seed=3)
    again, labels = draw(60, seed=3)
    np.testing.assert_array_equal(x, again)
    np.testing.assert_array_equal(y, labels)
    assert x.dtype == np.float32 and y.dtype == np.int64 and len(x) == len(y) == 60
    assert x.flags.c_contiguous and np.isfinite(x).all()
    assert not np.array_equal(draw(60, seed=4)[0], x)
    assert not np.array_equal(draw(60, seed=None)[0], draw(60, seed=None)[0])
    assert np.any(y[1:] < y[:-1])  # not in order
    np.testing.assert_array_equal(draw(60)[0], draw(60, seed=0)[0])


@pytest.mark.parametrize("name", ALL)
def test_classes_are_of_one_size(name):
    for samples in (1, 7, 60):
        _, y = getattr(datasets, name)(samples)
        counts = np.bincount(y, minlength={"make_digits": 10, "spirals": 3, "blobs": 3}.get(name, 2))
        if name == "xor":
            counts = counts[:1] if samples == 1 else counts
        assert counts.max() - counts.min() <= 1
        assert len(y) == samples


@pytest.mark.parametrize("name", ALL)
def test_numbers_are_checked(name):
    draw = getattr(datasets, name)
    with pytest.raises(ValueError, match="samples: expected a whole number >= 1, got 0"):
        draw(0)
    with pytest.raises(TypeError, match="samples"):
        draw(2.5)
    with pytest.raises(ValueError, match="seed"):
        draw(5, seed=-1)
    with pytest.raises(ValueError, match="spread" if name == "blobs" else "noise"):
        draw(5, **{"spread" if name == "blobs" else "noise": -1})


def test_xor_is_the_truth_table():
    x, y = datasets.xor(4, noise=0)
    for (a, b), label in zip(x, y, strict=True):
        assert label == (a != b)
    x, y = datasets.xor(400, noise=0.05)
    np.testing.assert_array_equal(y, x.round()[:, 0] != x.round()[:, 1])


def test_circles_have_their_radii():
    x, y = datasets.circles(100, noise=0, factor=0.25)
    np.testing.assert_allclose(np.linalg.norm(x, axis=1), np.where(y == 0, 1, 0.25), rtol=1e-6)
    with pytest.raises(ValueError, match="factor"):
        datasets.circles(10, factor=1.5)


def test_moons_are_scikit_learns():
    """The same curves: each point of ours lies next to one of theirs of the same class, and the other way round."""
    theirs_x, theirs_y = optional("sklearn.datasets").make_moons(2000, noise=None, random_state=0)
    x, y = datasets.moons(2000, noise=0)
    for label in (0, 1):
        gaps = np.linalg.norm(x[y == label][:, None] - theirs_x[theirs_y == label], axis=-1)
        assert gaps.min(axis=1).max() < 0.05 and gaps.min(axis=0).max() < 0.05


def test_spirals_follow_their_formula():
    x, y = datasets.spirals(200, classes=4, noise=0, turns=0.5)
    radius = np.linalg.norm(x, axis=1)
    angle = 2 * np.pi * (0.5 * radius + y / 4)
    np.testing.assert_allclose(x, radius[:, None] * np.stack([np.cos(angle), np.sin(angle)], axis=1), atol=1e-5)


def test_blobs_have_their_spread():
    x, y = datasets.blobs(6000, classes=2, features=3, spread=0.5, seed=1)
    for label in (0, 1):
        cloud = x[y == label]
        np.testing.assert_allclose(cloud.std(axis=0), 0.5, rtol=0.05)
        assert np.all(np.abs(cloud.mean(axis=0)) < 5.1)
    assert datasets.blobs(9, spread=0)[0].shape == (9, 2)


@pytest.mark.parametrize("size", [4, 8, 28])
def test_digits_are_pictures(size):
    x, y = datasets.make_digits(40, size=size, noise=0)
    assert x.shape == (40, size * size) and x.min() >= 0 and x.max() <= 1
    assert np.all(x.reshape(40, -1).max(axis=1) > 0.3)  # there is ink, and paper
    assert np.all(x.mean(axis=1) < 0.5)
    assert sorted(set(y.tolist())) == list(range(10))


def test_digits_move_turn_and_have_noise():
    still, y = datasets.make_digits(200, size=28, noise=0, shift=0, rotation=0)
    centre = np.arange(28) @ still.reshape(-1, 28, 28).sum(axis=1).T / still.sum(axis=1)
    moved, labels = datasets.make_digits(200, size=28, noise=0, shift=4, rotation=0)
    shifted = np.arange(28) @ moved.reshape(-1, 28, 28).sum(axis=1).T / moved.sum(axis=1)
    for digit in (0, 8):
        assert shifted[labels == digit].std() > 2 * centre[y == digit].std()
    noisy, _ = datasets.make_digits(200, size=8, noise=0.2)
    clean, _ = datasets.make_digits(200, size=8, noise=0)
    assert noisy.std(axis=0).mean() > clean.std(axis=0).mean()


def test_handwritten_digits_are_scikit_learns():
    theirs, labels = optional("sklearn.datasets").load_digits(return_X_y=True)
    x, y = datasets.load_digits()
    assert (x.dtype, y.dtype) == (np.float32, np.int64)
    np.testing.assert_array_equal(x * 16, theirs)
    np.testing.assert_array_equal(y, labels)


def test_handwritten_digits_are_new_arrays():
    """Whoever changes them in place does not change those of the next call."""
    x, y = datasets.load_digits()
    before = x.copy(), y.copy()
    x[:], y[:] = -1, -1
    for array, expected in zip(datasets.load_digits(), before, strict=True):
        np.testing.assert_array_equal(array, expected)


def test_digits_can_be_learned():
    """Not by chance, and from another draw: the classes are what they seem."""
    x, y = datasets.make_digits(1500, seed=1)
    held, truth = datasets.make_digits(500, seed=2)
    model = fastnn.Sequential([layers.Dense(32, "relu"), layers.Dense(10, "softmax")], seed=0)
    model.compile(fastnn.optimizers.Adam(0.01), "sparse_categorical_crossentropy", metrics=["accuracy"])
    model.fit(x, y, epochs=30, verbose=0)
    assert model.evaluate(held, truth, verbose=0)[1] > 0.93


def test_the_page_runs(sources):
    names = {}
    page = (sources / "docs" / "datasets.md").read_text("utf-8")
    for snippet in re.findall(r"```python\n(.*?)```", page, re.DOTALL):
        exec(snippet, names)
    assert names["digits"].shape == (500, 64) and len(names["test"][0]) == 100
    for name in datasets.__all__:
        row = next(line for line in page.splitlines() if line.startswith(f"| `{name}`"))
        taken = list(inspect.signature(getattr(datasets, name)).parameters)
        assert all(f"`{argument}`" in row for argument in taken if argument != "seed")


def test_docstrings():
    found = doctest.testmod(datasets)
    assert found.failed == 0 and found.attempted > 10
