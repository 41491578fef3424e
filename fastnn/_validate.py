"""From whatever a caller passes to what the core takes, or an error that says what to do.

The core trusts its arguments: nothing reaches it that has not been through here. Every message names the argument, what
came, what was expected and, where it helps, the cure.
"""

import difflib
import math
import operator
from collections.abc import Iterable
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

FloatArray: TypeAlias = "npt.NDArray[np.float32] | npt.NDArray[np.float64]"

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
        raise TypeError(f"{name}: expected real numbers, got a {_describe(array)}; {cure}")
    return array


def floats(value: Any, name: str, dtype: npt.DTypeLike = None) -> FloatArray:
    """A C-contiguous float32 or float64 array. With no dtype asked for, float32 and float64 stay what they are, float16
    becomes float32, and everything else float64."""
    array = numbers(value, name)
    if dtype is None:
        native = array.dtype.newbyteorder("=")
        dtype = native if native in FLOATS else np.float32 if native == np.float16 else np.float64
    # ascontiguousarray would make a 0-d array 1-d, and keeps foreign byte orders
    return np.asarray(array, dtype=np.dtype(dtype).newbyteorder("="), order="C")


def float_dtype(value: Any, name: str = "dtype") -> np.dtype[Any]:
    """float32 or float64, from a name, a type or a dtype."""
    try:
        dtype = np.dtype(value)
    except TypeError:
        dtype = None
    if dtype not in FLOATS or value is None:
        raise ValueError(f"{name}: expected 'float32' or 'float64', got {value!r}")
    return dtype


def finite(array: FloatArray, name: str) -> None:
    """Refuse NaN and infinity, naming the first place."""
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


def labels(value: Any, name: str, classes: int, ignore: int | None = None) -> npt.NDArray[np.int32]:
    """Class numbers 0..classes-1 (or `ignore`) as a contiguous int32 array."""
    array = numbers(value, name)
    if array.dtype.kind == "f" and not (np.isfinite(array).all() and (array == np.floor(array)).all()):
        raise ValueError(f"{name}: class labels must be whole numbers, got {array[array != np.floor(array)].flat[0]!r}")
    wrong = (array < 0) | (array >= classes)
    if ignore is not None:
        wrong &= array != ignore
    if wrong.any():
        where = tuple(int(i) for i in np.argwhere(wrong)[0])
        raise ValueError(
            f"{name}: label {array[where]} at index {where} is outside 0..{classes - 1}, the classes of y_pred's last axis"
        )
    return np.asarray(array, dtype=np.int32, order="C")


def destination(value: Any, name: str, shape: tuple[int, ...], dtype: npt.DTypeLike) -> FloatArray:
    """An array that results can be written into: exactly this shape and dtype, contiguous and writable."""
    if not isinstance(value, np.ndarray):
        raise TypeError(f"{name}: expected a NumPy array to write into, got {type(value).__name__}")
    if value.shape != tuple(shape) or value.dtype != dtype:
        raise ValueError(f"{name}: expected a {np.dtype(dtype)} array of shape {tuple(shape)}, got a {_describe(value)}")
    if not value.flags.writeable:
        raise ValueError(f"{name} is read-only; pass a writable array, for instance {name}.copy()")
    if not value.flags.c_contiguous:
        raise ValueError(f"{name} is not C-contiguous; pass numpy.ascontiguousarray({name})")
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
        raise TypeError(f"{name}: expected a number, got {value!r}")
    result = float(value)
    if not (math.isfinite(result) and minimum <= result <= maximum and above < result < below):
        bounds = [
            f"{word} {bound:g}"
            for word, bound in ((">=", minimum), (">", above), ("<=", maximum), ("<", below))
            if math.isfinite(bound)
        ]
        raise ValueError(f"{name}: expected a finite number{' ' if bounds else ''}{' and '.join(bounds)}, got {value!r}")
    return result


def integer(value: Any, name: str, *, minimum: int | None = None, maximum: int | None = None) -> int:
    """A whole number within bounds, both of which belong to the range."""
    try:
        result = operator.index(value)
    except TypeError:
        raise TypeError(f"{name}: expected a whole number, got {value!r}") from None
    if isinstance(value, (bool, np.bool_)):
        raise TypeError(f"{name}: expected a whole number, got {value!r}")
    if (minimum is not None and result < minimum) or (maximum is not None and result > maximum):
        bounds = [f"{word} {bound}" for word, bound in ((">=", minimum), ("<=", maximum)) if bound is not None]
        raise ValueError(f"{name}: expected a whole number {' and '.join(bounds)}, got {result}")
    return result


def choice(value: Any, name: str, names: Iterable[str]) -> str:
    """One of a set of names; an unknown one is answered with the nearest."""
    known = list(names)
    if isinstance(value, str) and value in known:
        return value
    near = difflib.get_close_matches(str(value), known, n=1)
    hint = f"; did you mean {near[0]!r}?" if near else ""
    raise ValueError(f"{name}: unknown name {value!r}{hint} (known: {', '.join(sorted(known))})")
