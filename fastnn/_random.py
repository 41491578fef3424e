"""Where seeds come from when none was given, and the NumPy face of the generator."""

import itertools
import os
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from fastnn import _validate
from fastnn._core import random as _core

__all__ = ["fill", "new_seed", "normal", "permutation", "seed_of", "set_seed", "truncated_normal", "uniform"]

LARGEST_SEED = 2**64 - 1
_SEEDS = 0x5EED  # the stream that the seeds of unseeded things are drawn from

_drawn_from: tuple[int, Iterator[int]] | None = None  # the seed, and the numbers of its stream; None: entropy


def set_seed(seed: int | None) -> None:
    """Make everything that is not given a seed of its own repeatable: initializers, dropout, noise, shuffling.

    The n-th unseeded thing that is made after ``set_seed(s)`` gets the n-th number of a stream of `s`. `None` goes back
    to fresh entropy.

    Parameters
    ----------
    seed : int or None
        0 .. 2**64 - 1.

    Examples
    --------
    >>> import fastnn
    >>> fastnn.set_seed(7)
    >>> a = fastnn.initializers.GlorotUniform().seed
    >>> fastnn.set_seed(7)
    >>> a == fastnn.initializers.GlorotUniform().seed
    True
    >>> a == fastnn.initializers.GlorotUniform().seed
    False
    >>> fastnn.set_seed(None)
    """
    global _drawn_from
    _drawn_from = None if seed is None else (seed_of(seed), itertools.count())


def seed_of(seed: Any, name: str = "seed") -> int:
    """A seed that was given: a whole number that 64 bits can hold."""
    return _validate.integer(seed, name, minimum=0, maximum=LARGEST_SEED)


def new_seed() -> int:
    """A seed for something that was given none: the next of the process's stream after set_seed, else entropy."""
    if _drawn_from is None:
        return int.from_bytes(os.urandom(8), "little") >> 1
    root, numbers = _drawn_from
    words = np.empty(2, np.uint32)
    _core.words(root, _SEEDS, 2 * next(numbers), words)
    return int(words[0]) << 31 | int(words[1]) >> 1  # 63 bits, so that a seed fits in an int64 too


def fill(
    distribution: int, shape: Sequence[int], dtype: npt.DTypeLike, a: float, b: float, seed: int, stream: int = 0
) -> _validate.FloatArray:
    """An array of independent numbers; element i, in row-major order, is number i of the stream."""
    out = np.empty(tuple(shape), dtype)
    if out.size:
        _core.fill(out.reshape(-1), distribution, a, b, seed, stream, 0)
    return out


def uniform(
    shape: Sequence[int], dtype: npt.DTypeLike, low: float, high: float, seed: int, stream: int = 0
) -> _validate.FloatArray:
    """Uniform in [low, high); rounding may give `high`."""
    return fill(_core.UNIFORM, shape, dtype, low, high, seed, stream)


def normal(
    shape: Sequence[int], dtype: npt.DTypeLike, mean: float, stddev: float, seed: int, stream: int = 0
) -> _validate.FloatArray:
    """Normal with that mean and standard deviation."""
    return fill(_core.NORMAL, shape, dtype, mean, stddev, seed, stream)


def truncated_normal(
    shape: Sequence[int], dtype: npt.DTypeLike, mean: float, stddev: float, seed: int, stream: int = 0
) -> _validate.FloatArray:
    """Normal, given that it is within two standard deviations of the mean."""
    return fill(_core.TRUNCATED, shape, dtype, mean, stddev, seed, stream)


def permutation(n: int, seed: int, stream: int = 0) -> npt.NDArray[np.int64]:
    """0 .. n-1 in random order."""
    out = np.empty(n, np.int64)
    if n:
        _core.permutation(seed, stream, out)
    return out
