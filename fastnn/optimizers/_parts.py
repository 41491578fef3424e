"""Checks of options, and arrays for slots."""

from collections.abc import Callable
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from fastnn import _validate

Check: TypeAlias = Callable[[Any, str], Any]


def between(**bounds: float) -> Check:
    """The check of a number within the bounds that `_validate.number` takes."""
    return lambda value, name: _validate.number(value, name, **bounds)


def optional(check: Check) -> Check:
    """The same check, with None allowed."""
    return lambda value, name: None if value is None else check(value, name)


def whole(minimum: int) -> Check:
    """The check of a whole number."""
    return lambda value, name: _validate.integer(value, name, minimum=minimum)


def flag(value: Any, name: str) -> bool:
    return bool(value)


def text(value: Any, name: str) -> str:
    if not isinstance(value, str):
        raise TypeError(f"{name}: expected a string, got {value!r}")
    return value


def arena(size: int, dtype: npt.DTypeLike, value: float = 0.0) -> npt.NDArray[Any]:
    """A flat array that begins at a multiple of 64 bytes."""
    itemsize = np.dtype(dtype).itemsize
    raw: npt.NDArray[Any] = np.zeros(size + 64 // itemsize, dtype)
    start = -(raw.__array_interface__["data"][0] // itemsize) % (64 // itemsize)
    result = raw[start : start + size]
    if value:
        result[...] = value
    return result


def key_of(array: npt.NDArray[Any]) -> Any:
    """What tells one variable from another: the memory it is, so that a view of it is the same variable."""
    return (array.__array_interface__["data"][0], array.shape) if array.size else id(array)
