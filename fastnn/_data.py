"""From what users pass as x, y and weights to the arrays that the engine reads. Everything is checked here, once."""

import math
from collections.abc import Mapping
from typing import Any, cast

import numpy as np
import numpy.typing as npt

from fastnn import _frames, _validate
from fastnn._core import batches as _core
from fastnn.losses._base import Loss, TableLoss, TableSamples

Array = npt.NDArray[Any]
Shape = tuple[int, ...]

CHUNK = 1 << 18  # outputs whose targets are checked at a time, of 4096 samples at least


def as_array(value: Any, name: str) -> Array:
    """Numbers as an array of a plain type in which each sample is contiguous; no copy where that is so already."""
    array = _validate.numbers(_frames.plain(value, name), name)
    native = array.dtype.newbyteorder("=")
    if native == np.float16:
        array = array.astype(np.float32)
    elif native not in _core.SOURCES:
        array = array.astype(np.float64)
    elif native != array.dtype:
        array = array.astype(native)
    if array.ndim == 0:
        raise ValueError(f"{name}: expected an array whose first axis is the samples, got the number {array}")
    if not (array.flags.c_contiguous or (len(array) and array[0].flags.c_contiguous)) or not array.flags.aligned:
        array = _validate.contiguous(array).reshape(array.shape)
    return array


def inputs(value: Any, name: str, shape: Shape | None, model: str) -> Array:
    """x, of the model's input shape where that is known."""
    array = as_array(value, name)
    given = array.shape
    if array.ndim == 1 and (shape is None or len(shape) == 1):
        array = array[:, None]
    if shape is not None and array.shape[1:] != shape:
        hint = ""
        if given == shape:
            hint = f"; for one sample pass {name}[None]"
        elif array.ndim == 2 and len(shape) == 1 and array.shape[::-1][1:] == shape:
            hint = f"; it looks transposed: pass {name}.T"
        raise ValueError(f"{name}: {model} takes samples of shape {shape}, got an array of shape {given}{hint}")
    return array


def precision(array: Array, dtype: np.dtype[Any]) -> Array:
    """Contiguous, in the model's own precision: what a single pass takes."""
    return _validate.contiguous(array, dtype)


def targets(
    loss: Loss, y: Any, n: int, shape: Shape, dtype: np.dtype[Any], names: str = ""
) -> tuple[TableSamples | None, Array | None]:
    """y as the loss's row of the table wants it, shape (n, ...), with a few samples of it; (None, y) for other losses.

    The loss itself checks y, some samples at a time, against predictions of the model's output shape. `names` is what
    the arguments' names begin with.
    """
    name = f"{names}y"
    array = None if y is None else as_array(y, name)
    if array is not None and len(array) != n:
        raise ValueError(f"{name}: {names}x has {n} samples, {name} has {len(array)}; they must have as many")
    if array is not None:
        _validate.finite(array, name)
    first = samples(loss, array, slice(0, 2), shape, dtype, name)
    if not isinstance(first, TableSamples):
        return None, None if array is None else _validate.contiguous(array)
    if array is None or first.y_true is None:
        return first, None
    whole = np.empty((n, *first.y_true.shape[1:]), first.y_true.dtype)
    step = max(4096, CHUNK // math.prod(shape))
    for begin in range(0, n, step):
        rows = slice(begin, begin + step)
        whole[rows] = cast("TableSamples", samples(loss, array, rows, shape, dtype, name)).y_true
    if first.dtype != dtype or cast("TableLoss", loss)._axis(first.y_pred) != -1:
        return None, _validate.contiguous(array)  # in another precision or along another axis than the engine's
    return first, whole


def samples(loss: Loss, y: Array | None, rows: slice, shape: Shape, dtype: np.dtype[Any], name: str) -> Any:
    """Some rows of y as the loss takes them, or an error in the words of who calls fit."""
    part = None if y is None else y[rows]
    try:
        return loss._samples(part, np.zeros((2 if part is None else len(part), *shape), dtype))
    except (ValueError, TypeError) as error:
        if y is None:
            raise ValueError(f"{name}: {loss.name} compares outputs with targets, and there are none; pass y") from None
        if len(y) > len(y[rows]):
            return samples(loss, y, slice(None), shape, dtype, name)  # for the shapes and places that the message names
        raise type(error)(renamed(error, name)) from None


def renamed(error: Exception, name: str) -> str:
    """A loss speaks of y_true and y_pred; who calls fit knows y and the model's output."""
    text = str(error).replace("y_pred's last axis", "the last axis of the model's output")
    return text.replace("y_true", name).replace("y_pred", "the model's output")


def class_weights(weights: Mapping[Any, Any], y: Any, n: int) -> Array:
    """A weight for each sample by its class: a class number, or the largest of a one-hot row."""
    if not isinstance(weights, Mapping):
        raise TypeError(f"class_weight: expected a dict of class number: weight, got {type(weights).__name__}")
    if y is None:
        raise ValueError("class_weight: there are no classes without y")
    array = as_array(y, "y")
    if array.ndim > 1 and array.shape[-1] > 1:
        array = array.argmax(axis=-1)
    numbers = array.reshape(n, -1)
    if numbers.shape[1] != 1:
        raise ValueError(f"class_weight: needs one class for each sample, got y of shape {array.shape}")
    result = np.ones(n)
    for label, weight in weights.items():
        number = _validate.integer(label, "class_weight", minimum=0)
        result[numbers[:, 0] == number] = _validate.number(weight, f"class_weight[{label!r}]", minimum=0)
    return result


def weights(sample_weight: Any, class_weight: Any, y: Any, n: int, losses: Shape, names: str = "") -> Array | None:
    """A weight for each loss, shape (n, ...) of float64, or None."""
    if sample_weight is not None and class_weight is not None:
        raise ValueError("class_weight, sample_weight: only one of them can be given; multiply them into one")
    if class_weight is not None:
        sample_weight = class_weights(class_weight, y, n)
    if sample_weight is None:
        return None
    name = f"{names}sample_weight"
    array = as_array(sample_weight, name)
    if len(array) != n:
        raise ValueError(f"{name}: {names}x has {n} samples, {name} has {len(array)}; they must have as many")
    _validate.finite(array, name)
    return _validate.contiguous(_validate.sample_weights(array, (n, *losses), name), np.float64)


def unpacked(data: Any, name: str) -> tuple[Any, Any, Any]:
    """(x, y, sample_weight) of a tuple of 1 to 3."""
    if not isinstance(data, (tuple, list)) or not 1 <= len(data) <= 3:
        raise ValueError(f"{name}: expected (x, y) or (x, y, sample_weight), got {type(data).__name__}")
    return (*data, None, None)[:3]


def split(x: Array, y: Any, w: Any, share: Any) -> tuple[tuple[Any, Any, Any], tuple[Any, Any, Any]]:
    """The first part for training, the last `share` of the samples for validation."""
    share = _validate.number(share, "validation_split", minimum=0)
    if share >= 1:
        raise ValueError(f"validation_split: expected a share of the samples, 0 to 1, got {share}")
    at = int(len(x) * (1 - share))
    if at == 0 or at == len(x):
        raise ValueError(f"validation_split: {share} of {len(x)} samples leaves one of the two parts empty")
    cut = [(None, None) if a is None else (a[:at], a[at:]) for a in (x, y, w)]
    return tuple(a for a, _ in cut), tuple(b for _, b in cut)  # type: ignore[return-value]
