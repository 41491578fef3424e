"""Tensors as flat lists of floats in row-major order, with a shape beside them."""

import math
from collections.abc import Callable, Sequence

from ._ieee import sqrt

Shape = Sequence[int]


def size(shape: Shape) -> int:
    """The number of elements."""
    return math.prod(shape)


def lines(shape: Shape, axis: int | Sequence[int]) -> list[int]:
    """For each element, which line along the axis (or axes) it is on: the flat index of the others' coordinates."""
    along = {a % len(shape) for a in ([axis] if isinstance(axis, int) else axis)}
    result = [0]
    for a, n in enumerate(shape):
        result = [line if a in along else line * n + i for line in result for i in range(n)]
    return result


def norms(values: Sequence[float], shape: Shape, axis: int | Sequence[int]) -> list[float]:
    """For each element, the norm of the line along the axis that it is on."""
    squares: dict[int, float] = {}
    where = lines(shape, axis)
    for line, x in zip(where, values, strict=True):
        squares[line] = squares.get(line, 0.0) + x * x
    return [sqrt(squares[line]) for line in where]


def filled(shape: Shape, number: Callable[[int], float]) -> list[float]:
    """The tensor of number(0), number(1), ..."""
    return [number(i) for i in range(size(shape))]
