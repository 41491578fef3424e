"""Checks of options, variables and gradients, and arrays for slots."""

from collections.abc import Callable
from itertools import pairwise
from typing import Any, TypeAlias, cast

import numpy as np
import numpy.typing as npt

from fastnn import _validate
from fastnn.errors import ArgumentError

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
        raise ArgumentError(f"{name}: expected a string, got {value!r}")
    return value


# By the last twelve bits of an address a processor looks for what it has just written. Arrays that are gone through
# side by side begin so far apart in these that none is read close behind where another is written.
_PAGE, _LINE, _APART = 4096, 64, 512


def address_of(array: npt.NDArray[Any]) -> int:
    return cast("int", array.__array_interface__["data"][0])


def arena(size: int, dtype: npt.DTypeLike, value: float = 0.0, *, beside: int = 0, place: int = 0) -> npt.NDArray[Any]:
    """A flat array that begins at a multiple of 64 bytes. Those that are gone through side by side have a `place` each;
    place 0 is at the address `beside`, or where a page begins.
    """
    itemsize = np.dtype(dtype).itemsize
    raw: npt.NDArray[Any] = np.zeros(size + _PAGE // itemsize, dtype)
    start = (beside // _LINE * _LINE + place * _APART - address_of(raw)) % _PAGE // itemsize
    result = raw[start : start + size]
    if value:
        result[...] = value
    return result


def begin_of(variables: list[npt.NDArray[Any]]) -> int:
    """Where an arena of these would begin that had the largest of them where it is."""
    sizes = [v.nbytes for v in variables]
    largest = max(range(len(sizes)), key=sizes.__getitem__, default=None)
    return 0 if largest is None else address_of(variables[largest]) - sum(sizes[:largest])


def key_of(array: npt.NDArray[Any]) -> Any:
    """What tells one variable from another: the memory it is, so that a view of it is the same variable."""
    return (address_of(array), array.shape) if array.size else id(array)


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
    places = sorted((address_of(v), v.nbytes, i) for i, v in enumerate(variables) if v.size)
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
