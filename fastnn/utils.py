"""Small things that programs around a model need."""

from typing import Any

import numpy as np
import numpy.typing as npt

from fastnn import _random, _validate

__all__ = ["set_random_seed", "to_categorical"]


def set_random_seed(seed: int) -> None:
    """Seed fastnn, NumPy's global generator and Python's, as Keras's function of that name.

    `fastnn.set_seed` seeds fastnn alone.

    Parameters
    ----------
    seed : int
        0 .. 2**32 - 1: NumPy's generator takes no more.
    """
    seed = _validate.integer(seed, "seed", minimum=0, maximum=2**32 - 1)
    import random  # here, as nothing else needs it and it would slow down every import of fastnn

    random.seed(seed)
    np.random.seed(seed)
    _random.set_seed(seed)


def to_categorical(x: Any, num_classes: int | None = None) -> npt.NDArray[np.float64]:
    """Class numbers as rows with a single 1, as Keras.

    Parameters
    ----------
    x : array-like of int
        Class numbers 0 .. num_classes - 1, of any shape; a last axis of length 1 is dropped.
    num_classes : int, optional
        Without it, the largest class number + 1.

    Returns
    -------
    ndarray of float64, shape (*x.shape, num_classes)

    Examples
    --------
    >>> from fastnn.utils import to_categorical
    >>> to_categorical([0, 2, 1])
    array([[1., 0., 0.],
           [0., 0., 1.],
           [0., 1., 0.]])
    >>> to_categorical([3], num_classes=2)
    Traceback (most recent call last):
        ...
    ValueError: x: label 3 at index (0,) is outside 0..1, which num_classes=2 allows
    """
    codes = _validate.numbers(x, "x")
    if codes.ndim > 1 and codes.shape[-1] == 1:
        codes = codes.reshape(codes.shape[:-1])
    if num_classes is None:
        if not codes.size:
            raise ValueError("x is empty, which does not tell how many classes there are; pass num_classes")
        num_classes = int(codes.max()) + 1
    classes = _validate.integer(num_classes, "num_classes", minimum=1)
    labels = _validate.labels(codes, "x", classes, of=f"which num_classes={classes} allows")
    out = np.zeros((labels.size, classes))
    out[np.arange(labels.size), labels.reshape(-1)] = 1.0
    return out.reshape(*codes.shape, classes)
