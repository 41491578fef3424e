"""From whatever a caller passes to what the core takes, or an error that says what to do.

The core trusts its arguments: nothing reaches it that has not been through here. Every message names the argument, what
came, what was expected and, where it helps, the cure.
"""

import math
import operator
import os
from collections.abc import Iterable
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from fastnn._core.batches import all_finite, labels_of
from fastnn.errors import ArgumentError

FloatArray: TypeAlias = npt.NDArray[np.float32] | npt.NDArray[np.float64]

FLOATS = (np.dtype(np.float32), np.dtype(np.float64))


def _describe(array: npt.NDArray[Any]) -> str:
    return f"{array.dtype} array of shape {array.shape}"


def numbers(value: Any, name: str) -> npt.NDArray[Any]:
    """Any array-like of real numbers as an ndarray, without a copy where it already is one."""
    if not hasattr(value, "__array__") and hasattr(value, "__dlpack__"):
        value = np.from_dlpack(value)
    try:
        array = np.asarray(value)
    except ValueError as error:
        raise ValueError(f"{name}: its rows differ in length; pass a rectangular array ({error})") from None
    if array.dtype.kind not in "fiub":
        cure = {
            "O": "pass rows of equal length, with numbers only (no None, no strings)",
            "c": "pass its real and imaginary parts as separate columns",
            "U": "turn text into numbers first, for instance fastnn.utils.to_categorical of its codes",
            "S": "turn text into numbers first, for instance fastnn.utils.to_categorical of its codes",
        }.get(array.dtype.kind, "convert it to float32 or float64")
        raise ArgumentError(f"{name}: expected real numbers, got a {_describe(array)}; {cure}")
    return array


def contiguous(array: npt.NDArray[Any], dtype: npt.DTypeLike | None = None) -> npt.NDArray[Any]:
    """C-contiguous, aligned and of a dtype: a copy where it is not. At least one axis."""
    return _aligned(np.ascontiguousarray(array, dtype))


def _aligned(array: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """The array, or a copy where its elements do not lie at multiples of their size, as C wants them."""
    return array if array.flags.aligned else array.copy()


def floats(value: Any, name: str, dtype: npt.DTypeLike | None = None) -> FloatArray:
    """A C-contiguous and aligned float32 or float64 array. With no dtype asked for, float32 and float64 stay what they
    are, float16 becomes float32, and everything else float64."""
    plain = type(value) is np.ndarray and value.dtype in FLOATS and value.flags.carray
    if plain and (dtype is None or value.dtype == dtype):  # as most calls have it
        ready: FloatArray = value
        return ready
    array = numbers(value, name)
    if dtype is None:
        dtype = floating(array.dtype)
    # ascontiguousarray would make a 0-d array 1-d, and keeps foreign byte orders
    return _aligned(np.asarray(array, dtype=np.dtype(dtype).newbyteorder("="), order="C"))


def floating(dtype: np.dtype[Any]) -> np.dtype[Any]:
    """What numbers of a dtype are computed in where nothing else is said."""
    native = dtype.newbyteorder("=")
    return native if native in FLOATS else np.dtype(np.float32 if native == np.float16 else np.float64)


def float_dtype(value: Any, name: str = "dtype") -> np.dtype[Any]:
    """float32 or float64, from a name, a type or a dtype."""
    try:
        dtype: np.dtype[Any] | None = None if value is None else np.dtype(value)
    except TypeError:
        dtype = None
    if dtype is None or dtype not in FLOATS:
        raise ValueError(f"{name}: expected 'float32' or 'float64', got {value!r}")
    return dtype


def finite(array: npt.NDArray[Any], name: str) -> None:
    """Refuse NaN and infinity, naming the first place."""
    array = array.view()  # keeps its shape, whatever another thread makes of the array's
    if array.dtype.kind != "f":
        return
    if array.dtype in FLOATS and array.flags.c_contiguous and array.flags.aligned and all_finite(array.reshape(-1)):
        return
    good = np.isfinite(array)
    if not good.all():
        where = tuple(int(i) for i in np.argwhere(~good)[0])
        count = good.size - int(np.count_nonzero(good))
        raise ValueError(
            f"{name}: {count} of {good.size} values are not finite, the first of them {array[where]} at index {where}; "
            "fill or drop the rows that hold them"
        )


def same_shape(array: npt.NDArray[Any], name: str, like: npt.NDArray[Any], like_name: str) -> None:
    """Two arrays must agree in shape: nothing is broadcast."""
    if array.shape != like.shape:
        raise ValueError(
            f"{name} has shape {array.shape} but {like_name} has shape {like.shape}; they must be the same"
        )


def whole_numbers(array: npt.NDArray[Any], name: str) -> None:
    """Refuse class labels with a fraction, and NaN and infinity."""
    if array.dtype.kind != "f":
        return
    wrong = ~np.isfinite(array) | (array != np.floor(array))
    if wrong.any():
        raise ValueError(f"{name}: class labels must be whole numbers, got {array[wrong].flat[0]!r}")


def labels(
    value: Any, name: str, classes: int, ignore: int | None = None, of: str = "the classes of y_pred's last axis"
) -> npt.NDArray[np.int32]:
    """Class numbers 0..classes-1 (or `ignore`) as a contiguous int32 array."""
    array = numbers(value, name)
    quick = labels_of(array, classes, ignore)
    if quick is not None:
        return quick
    whole_numbers(array, name)
    wrong = (array < 0) | (array >= classes)
    if ignore is not None:
        wrong &= array != ignore
    if wrong.any():
        where = tuple(int(i) for i in np.argwhere(wrong)[0])
        raise ValueError(f"{name}: label {array[where]} at index {where} is outside 0..{classes - 1}, {of}")
    return _aligned(np.asarray(array, dtype=np.int32, order="C"))


def destination(value: Any, name: str, shape: tuple[int, ...], dtype: npt.DTypeLike) -> FloatArray:
    """An array that results can be written into: exactly this shape and dtype, contiguous and writable."""
    if not isinstance(value, np.ndarray):
        raise ArgumentError(f"{name}: expected a NumPy array to write into, got {type(value).__name__}")
    if value.shape != tuple(shape) or value.dtype != dtype:
        raise ValueError(
            f"{name}: expected a {np.dtype(dtype)} array of shape {tuple(shape)}, got a {_describe(value)}"
        )
    if not value.flags.writeable:
        raise ValueError(f"{name} is read-only; pass a writable array, for instance {name}.copy()")
    if not value.flags.c_contiguous:
        raise ValueError(f"{name} is not C-contiguous; pass numpy.ascontiguousarray({name})")
    if not value.flags.aligned:
        raise ValueError(f"{name} does not begin at a multiple of its elements' size; pass {name}.copy()")
    return value


def number(
    value: Any,
    name: str,
    *,
    minimum: float = -math.inf,
    maximum: float = math.inf,
    above: float = -math.inf,
    below: float = math.inf,
) -> float:
    """A finite real number within bounds: minimum and maximum belong to the range, above and below do not."""
    if isinstance(value, (str, bytes, bool)) or not (hasattr(value, "__float__") or hasattr(value, "__index__")):
        raise ArgumentError(f"{name}: expected a number, got {value!r}")
    try:
        result = float(value)
    except (TypeError, ValueError):  # arrays of several numbers, and classes of numbers, have __float__ too
        raise ArgumentError(f"{name}: expected a number, got {value!r}") from None
    except OverflowError:
        result = math.inf
    if not (math.isfinite(result) and minimum <= result <= maximum and above < result < below):
        bounds = [
            f"{word} {bound:g}"
            for word, bound in ((">=", minimum), (">", above), ("<=", maximum), ("<", below))
            if math.isfinite(bound)
        ]
        raise ValueError(
            f"{name}: expected a finite number{' ' if bounds else ''}{' and '.join(bounds)}, got {value!r}"
        )
    return result


def integer(value: Any, name: str, *, minimum: int | None = None, maximum: int | None = None) -> int:
    """A whole number within bounds, both of which belong to the range."""
    try:
        result = operator.index(value)
    except TypeError:
        raise ArgumentError(f"{name}: expected a whole number, got {value!r}") from None
    if isinstance(value, (bool, np.bool_)):
        raise ArgumentError(f"{name}: expected a whole number, got {value!r}")
    if (minimum is not None and result < minimum) or (maximum is not None and result > maximum):
        bounds = [f"{word} {bound}" for word, bound in ((">=", minimum), ("<=", maximum)) if bound is not None]
        raise ValueError(f"{name}: expected a whole number {' and '.join(bounds)}, got {result}")
    return result


def items(value: Any, name: str, of: str) -> list[Any]:
    """What a list, a tuple or another iterable holds; `of` says what it holds, such as "axes"."""
    if isinstance(value, (str, bytes)) or not hasattr(value, "__iter__"):
        raise ArgumentError(f"{name}: expected a list of {of}, got {value!r}")
    return list(value)


def path(value: Any, name: str) -> str:
    """A path in a file system, which is not empty."""
    try:
        found = os.fspath(value)
    except TypeError:
        raise ArgumentError(f"{name}: expected a path, got {value!r}") from None
    if not isinstance(found, str):
        raise ArgumentError(f"{name}: expected a path as text, got {value!r}")
    if not found:
        raise ValueError(f"{name}: expected a path, got an empty path")
    return found


def flag(value: Any, name: str) -> bool:
    """True or False."""
    if not isinstance(value, (bool, np.bool_)):
        raise ArgumentError(f"{name}: expected True or False, got {value!r}")
    return bool(value)


def choice(value: Any, name: str, names: Iterable[str]) -> str:
    """One of a set of names; an unknown one is answered with the nearest."""
    known = list(names)
    if isinstance(value, str) and value in known:
        return value
    import difflib  # here, as only an error needs it and it would slow down every import of fastnn

    near = difflib.get_close_matches(str(value), known, n=1)
    hint = f"; did you mean {near[0]!r}?" if near else ""
    raise ValueError(f"{name}: unknown name {value!r}{hint} (known: {', '.join(sorted(known))})")


# Targets, predictions and weights of a loss or a metric.


def predictions(value: Any, name: str = "y_pred", dtype: npt.DTypeLike | None = None) -> FloatArray:
    """Predictions: floats with at least one axis, the last of which is not empty. NaN and infinity pass."""
    array = floats(value, name, dtype)
    if array.ndim == 0 or array.shape[-1] == 0:
        raise ValueError(f"{name}: expected predictions of shape (samples, ..., outputs), got shape {array.shape}")
    return array


def targets(value: Any, y_pred: FloatArray, name: str = "y_true") -> tuple[FloatArray, FloatArray]:
    """Finite targets of y_pred's shape and dtype. Where ranks differ by an axis of one, the two are brought together as
    Keras does: (N,) and (N, 1) are both taken as (N, 1). Nothing else is broadcast. Returns both arrays."""
    y_true = floats(value, name, y_pred.dtype)
    finite(y_true, name)
    shape, wanted = y_true.shape, y_pred.shape
    if y_true.ndim == y_pred.ndim + 1 and shape[-1] == 1:
        if y_pred.ndim == 1:
            y_pred = y_pred[:, np.newaxis]
        else:
            y_true = y_true[..., 0]
    elif y_pred.ndim == y_true.ndim + 1 and wanted[-1] == 1:
        if y_true.ndim == 1:
            y_true = y_true[:, np.newaxis]
        else:
            y_pred = y_pred[..., 0]
    if y_true.shape != y_pred.shape:
        raise ValueError(
            f"{name} has shape {shape} but y_pred has shape {wanted}; they must be the same (nothing is broadcast)"
        )
    return y_true, y_pred


def class_numbers(
    value: Any, y_pred: FloatArray, twin: str, axis: int = -1, ignore: int | None = None, name: str = "y_true"
) -> npt.NDArray[np.int32]:
    """A class number for each sample of y_pred, whose classes lie along an axis (counted from the back): labels of
    y_pred's shape without that axis, or with one of length 1 in its place. twin names what takes one-hot targets."""
    shape = y_pred.shape[:axis] + (() if axis == -1 else y_pred.shape[axis + 1 :])
    given = numbers(value, name)
    if given.ndim == y_pred.ndim and given.shape[axis] == 1:
        given = np.squeeze(given, axis)
    if given.shape != shape:
        cure = f"; {name} looks one-hot: use {twin}, or class numbers {name}.argmax(axis={axis})"
        raise ValueError(
            f"{name}: expected a class number for each sample, so shape {shape} for y_pred of shape {y_pred.shape}, "
            f"got {given.shape}{cure if given.shape == y_pred.shape else ''}"
        )
    return labels(given, name, y_pred.shape[axis], ignore)


def not_class_numbers(value: Any, y_pred: Any, twin: str, name: str = "y_true") -> None:
    """Refuse class numbers where one-hot rows are wanted; twin names what takes them."""
    shape, predicted = np.shape(value), np.shape(y_pred)
    if len(predicted) > 1 and predicted[-1] > 1 and shape in (predicted[:-1], (*predicted[:-1], 1)):
        raise ValueError(
            f"{name} of shape {shape} looks like class numbers, and y_pred has shape {predicted}; use {twin}, or turn "
            f"{name} into one-hot rows with fastnn.utils.to_categorical"
        )


def among(array: npt.NDArray[Any], name: str, allowed: tuple[float, ...], meaning: str) -> None:
    """Refuse values that are not among the allowed, naming the first place."""
    wrong = ~np.isin(array, allowed)
    if wrong.any():
        where = tuple(int(i) for i in np.argwhere(wrong)[0])
        raise ValueError(f"{name}: expected {meaning}, got {array[where]} at index {where}")


def in_unit_interval(array: npt.NDArray[Any], name: str) -> None:
    """Refuse values outside 0..1, naming the first place."""
    wrong = (array < 0) | (array > 1)
    if wrong.any():
        where = tuple(int(i) for i in np.argwhere(wrong)[0])
        raise ValueError(f"{name}: expected labels or probabilities from 0 to 1, got {array[where]} at index {where}")


def hinge_labels(array: npt.NDArray[Any], name: str) -> None:
    """Refuse what is neither all -1 / +1 nor all 0 / 1."""
    among(array, name, (-1, 0, 1), "labels -1 and +1, or 0 and 1")
    if (array == 0).any() and (array == -1).any():
        raise ValueError(f"{name}: has both 0 and -1 as labels; use -1 and +1, or 0 and 1")


def sample_weights(value: Any, shape: tuple[int, ...], name: str = "sample_weight") -> npt.NDArray[np.float64]:
    """Finite weights for losses of the given shape: one number, or an array whose axes are the first ones of the losses
    (so (N,) weighs samples, whatever follows). Axes after the first may be of length one; the first too, where there
    are as many axes as losses have, and more than one (so (1, d) weighs columns)."""
    weights = np.asarray(floats(value, name), dtype=np.float64)
    finite(weights, name)
    given = weights.shape
    while weights.ndim > len(shape) and weights.shape[-1] == 1:
        weights = weights[..., 0]
    fits = weights.ndim <= len(shape) and all(
        w == n or (w == 1 and (axis > 0 or 1 < weights.ndim == len(shape)))
        for axis, (w, n) in enumerate(zip(weights.shape, shape, strict=False))
    )
    if not fits:
        cure = "pass one weight per sample" if shape else "give y_true and y_pred the shape (samples, 1)"
        raise ValueError(f"{name}: expected the shape {shape} of the losses or its first axes, got {given}; {cure}")
    weights = weights.reshape(weights.shape + (1,) * (len(shape) - weights.ndim))
    return np.ascontiguousarray(np.broadcast_to(weights, shape))
