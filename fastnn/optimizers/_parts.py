"""Checks of options, variables and gradients, and arrays for slots."""

from collections.abc import Callable
from itertools import pairwise
from typing import Any, TypeAlias, cast

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


def checked_variables(variables: list[Any]) -> list[npt.NDArray[Any]]:
    """Arrays that an optimizer can change: contiguous, writable, of one dtype, none of them twice."""
    for i, v in enumerate(variables):
        name = f"variables[{i}]"
        if isinstance(v, np.ndarray) and v.dtype not in _validate.FLOATS:
            raise TypeError(f"{name}: expected a float32 or float64 array, got {v.dtype}; use {name}.astype(...)")
        shape, dtype = (v.shape, v.dtype) if isinstance(v, np.ndarray) else ((), np.dtype(np.float64))
        _validate.destination(v, name, shape, dtype)
        if v.dtype != variables[0].dtype:
            raise ValueError(f"{name} is {v.dtype} but variables[0] is {variables[0].dtype}; they must be the same")
    places = sorted((v.__array_interface__["data"][0], v.nbytes, i) for i, v in enumerate(variables) if v.size)
    for (start, size, i), (following, _, j) in pairwise(places):
        if following < start + size:
            raise ValueError(
                f"variables[{min(i, j)}] and variables[{max(i, j)}] share memory; pass every variable once"
            )
    return cast("list[npt.NDArray[Any]]", variables)


def prepared_gradient(gradient: Any, variable: npt.NDArray[Any], name: str) -> npt.NDArray[Any]:
    """A gradient as a contiguous, aligned array of the variable's dtype and shape that does not lie across it."""
    array = cast("npt.NDArray[Any]", _validate.floats(gradient, name, variable.dtype))
    _validate.same_shape(array, name, variable, "its variable")
    if not array.flags.aligned or type(array) is not np.ndarray or np.may_share_memory(array, variable):
        array = np.array(array, dtype=variable.dtype, order="C", copy=True, subok=False)
    return array
