"""Small things that programs around a model need."""

import itertools
from collections.abc import Iterator
from typing import Any

import numpy as np
import numpy.typing as npt

from fastnn import _random, _validate
from fastnn._prefetch import prefetch
from fastnn._warnings import warn

__all__ = [
    "PyDataset",
    "Sequence",
    "normalize",
    "pack_x_y_sample_weight",
    "prefetch",
    "set_random_seed",
    "split_dataset",
    "to_categorical",
    "unpack_x_y_sample_weight",
]


def set_random_seed(seed: int) -> None:
    """Seed fastnn, NumPy's global generator and Python's, as Keras's function of that name.

    `fastnn.set_seed` seeds fastnn alone.

    Parameters
    ----------
    seed : int
        0 .. 2**32 - 1: NumPy's generator takes no more.

    Examples
    --------
    >>> import numpy as np
    >>> set_random_seed(1)
    >>> first = np.random.rand()
    >>> set_random_seed(1)
    >>> bool(np.random.rand() == first)
    True
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


def normalize(x: Any, axis: int = -1, order: Any = 2) -> npt.NDArray[Any]:
    """An array divided by its norms along an axis; rows of zeros stay.

    Parameters
    ----------
    x : array-like
    axis : int
        Along which the norms are taken.
    order : int, float or inf
        Which norm, as numpy.linalg.norm's `ord`: 2 is the Euclidean.

    Returns
    -------
    ndarray of x's shape
        Of float64, but for float32 input.

    Examples
    --------
    >>> from fastnn.utils import normalize
    >>> normalize([[3.0, 4.0], [0.0, 0.0]])
    array([[0.6, 0.8],
           [0. , 0. ]])
    """
    array = _validate.floats(x, "x")
    if array.ndim == 0:
        raise ValueError("x: expected an array with at least one axis, got a single number")
    axis = _validate.integer(axis, "axis", minimum=-array.ndim, maximum=array.ndim - 1)
    norms = np.asarray(np.linalg.norm(array, order, axis, keepdims=True))
    norms[norms == 0] = 1
    return np.asarray(array / norms)


def pack_x_y_sample_weight(x: Any, y: Any = None, sample_weight: Any = None) -> Any:
    """x, (x, y) or (x, y, sample_weight), whichever is enough; an x that is itself a tuple or list comes as (x,).

    Examples
    --------
    >>> from fastnn.utils import pack_x_y_sample_weight
    >>> pack_x_y_sample_weight("x", "y")
    ('x', 'y')
    """
    if y is None:
        return (x,) if isinstance(x, (tuple, list)) else x
    return (x, y) if sample_weight is None else (x, y, sample_weight)


def unpack_x_y_sample_weight(data: Any) -> tuple[Any, Any, Any]:
    """The (x, y, sample_weight) that `pack_x_y_sample_weight` packed, with None for what is not there.

    Examples
    --------
    >>> from fastnn.utils import unpack_x_y_sample_weight
    >>> unpack_x_y_sample_weight(("x", "y"))
    ('x', 'y', None)
    """
    if not isinstance(data, (tuple, list)):
        return data, None, None
    if not 1 <= len(data) <= 3:
        raise ValueError(f"data: expected x, (x,), (x, y) or (x, y, sample_weight), got {len(data)} items")
    x, y, sample_weight = (*data, None, None)[:3]
    return x, y, sample_weight


def _part(size: Any, name: str, total: int) -> int | None:
    """The number of samples that a size asks for: a number of them, or a share."""
    if size is None:
        return None
    if isinstance(size, (float, np.floating)):
        return round(_validate.number(size, name, above=0, below=1) * total)
    return _validate.integer(size, name, minimum=1, maximum=total - 1)


def split_dataset(
    dataset: Any,
    left_size: float | None = None,
    right_size: float | None = None,
    shuffle: bool = False,
    seed: int | None = None,
) -> tuple[Any, Any]:
    """Split arrays in two, as for training and testing.

    Parameters
    ----------
    dataset : array, or tuple or list of arrays
        With a row for each sample; those of a tuple are split alike.
    left_size, right_size : int or float, optional
        How many samples, or which share of them. One can be left out: it gets the rest. Where both together are less
        than there are, the left comes from the beginning and the right from the end.
    shuffle : bool
        Shuffle before the split.
    seed : int, optional
        For the shuffle.

    Returns
    -------
    (left, right)
        Each an array, or a tuple of arrays, as the dataset was. Copies where they were shuffled, else views.

    Examples
    --------
    >>> import numpy as np
    >>> from fastnn.utils import split_dataset
    >>> x, y = np.arange(10).reshape(5, 2), np.arange(5)
    >>> (x_train, y_train), (x_test, y_test) = split_dataset((x, y), left_size=0.6)
    >>> y_train, y_test
    (array([0, 1, 2]), array([3, 4]))
    """
    several = isinstance(dataset, (tuple, list))
    if several and not len(dataset):
        raise ValueError("dataset: expected arrays to split, got none")
    if isinstance(dataset, dict) or not (several or hasattr(dataset, "__array__")):
        raise TypeError(f"dataset: expected an array or a tuple of arrays, got {type(dataset).__name__}")
    given = list(dataset) if several else [dataset]
    arrays: list[npt.NDArray[Any]] = []
    for i, item in enumerate(given):
        name = f"dataset[{i}]" if several else "dataset"
        if several and not hasattr(item, "__array__"):
            raise TypeError(f"{name}: expected an array, got {type(item).__name__}; pass numpy.asarray(...)")
        array = np.asarray(item)
        if array.ndim == 0:
            raise ValueError(f"{name}: expected an array with a row for each sample, got a single number")
        if len(array) != len(arrays[0] if arrays else array):
            raise ValueError(f"{name} has {len(array)} rows but dataset[0] has {len(arrays[0])}; they must be the same")
        arrays.append(array)
    total = len(arrays[0])
    if left_size is None and right_size is None:
        raise ValueError("left_size, right_size: expected at least one of them, got neither; pass left_size=0.8")
    left, right = _part(left_size, "left_size", total), _part(right_size, "right_size", total)
    if isinstance(left_size, float) and isinstance(right_size, float) and left_size + right_size > 1:
        raise ValueError(f"left_size, right_size: shares must add up to 1 at most, got {left_size} and {right_size}")
    left = total - (right or 0) if left is None else left
    right = total - left if right is None else right
    if left + right > total or left < 1 or right < 1:
        raise ValueError(
            f"left_size={left_size}, right_size={right_size}: of {total} samples they would take {left} and {right}; "
            "each must get at least one, and together no more than there are"
        )
    if _validate.flag(shuffle, "shuffle"):
        order = _random.permutation(total, _random.new_seed() if seed is None else _random.seed_of(seed))
        arrays = [array[order] for array in arrays]
    lefts, rights = [a[:left] for a in arrays], [a[total - right :] for a in arrays]
    return (tuple(lefts), tuple(rights)) if several else (lefts[0], rights[0])


class PyDataset:
    """The base of datasets that give whole batches, by number. `Sequence` is another name for it.

    Define ``__len__``, the number of batches, or the property `num_batches`, which may be None for a dataset without
    end; and ``__getitem__(index)``, which gives (x,), (x, y) or (x, y, sample_weight). fit takes the batches of each
    epoch in another order, unless shuffle=False.

    Parameters
    ----------
    workers, use_multiprocessing, max_queue_size
        Taken for Keras's sake, and without effect: batches are made where the model trains, one after the other.

    Notes
    -----
    A dataset that changes from epoch to epoch, in `on_epoch_end`, should define ``get_state()``, which gives a dict of
    numbers, strings and arrays, and ``set_state(state)``, which takes it back: BackupAndRestore then goes on with the
    same batches. The same two do for any other iterable of batches: after set_state, the next iteration begins with
    the batch that would have come next when get_state was called.

    Examples
    --------
    >>> import numpy as np
    >>> from fastnn.utils import PyDataset
    >>> class Squares(PyDataset):
    ...     def __len__(self):
    ...         return 3
    ...     def __getitem__(self, index):
    ...         x = np.arange(2 * index, 2 * index + 2).reshape(2, 1)
    ...         return x, x**2
    >>> [y[0, 0].item() for x, y in Squares()]
    [0, 4, 16]
    """

    workers: int = 1  # of the class: a dataset need not call super().__init__
    use_multiprocessing: bool = False
    max_queue_size: int = 10

    def __init__(self, workers: int = 1, use_multiprocessing: bool = False, max_queue_size: int = 10) -> None:
        self.workers = _validate.integer(workers, "workers", minimum=0)
        self.use_multiprocessing = use_multiprocessing
        self.max_queue_size = _validate.integer(max_queue_size, "max_queue_size", minimum=0)
        if self.workers > 1 or use_multiprocessing:
            warn(
                "workers, use_multiprocessing: batches are made one after the other all the same; "
                "for several at once, pass a DataLoader or another iterable that has workers"
            )

    def __getitem__(self, index: int) -> Any:
        """Batch number `index`."""
        raise NotImplementedError(f"{type(self).__name__} must define __getitem__(index), which gives a batch")

    @property
    def num_batches(self) -> int | None:
        """How many batches there are; None where there is no end."""
        if hasattr(self, "__len__"):
            return len(self)
        raise NotImplementedError(
            f"{type(self).__name__} must define __len__(), the number of batches, or the property num_batches"
        )

    def __iter__(self) -> Iterator[Any]:
        count = self.num_batches
        for index in itertools.count() if count is None else range(count):
            yield self[index]

    def on_epoch_begin(self) -> None:
        """Called before each epoch of fit."""

    def on_epoch_end(self) -> None:
        """Called after each epoch of fit."""


Sequence = PyDataset
