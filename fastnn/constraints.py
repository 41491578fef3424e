"""Constraints: what weights are made to satisfy after each step.

Each is called with an array and returns a new one. A norm is that of a line along `axis`: for the kernel (inputs,
units) of a dense layer and axis 0, that of all the weights into one unit.
"""

import math
from collections.abc import Mapping, Sequence
from typing import Any, Self, TypeAlias, cast

import numpy as np

from fastnn import _objects, _validate
from fastnn import errors as _errors
from fastnn._core import constraints as _core
from fastnn._validate import FloatArray

__all__ = [
    "Constraint",
    "MaxNorm",
    "MinMaxNorm",
    "NonNeg",
    "UnitNorm",
    "deserialize",
    "get",
    "max_norm",
    "min_max_norm",
    "non_neg",
    "serialize",
    "unit_norm",
]

Extents: TypeAlias = tuple[str, float, float, float, int, int, int]


class Constraint:
    """The base of all constraints; by itself it changes nothing.

    A constraint of your own defines ``__call__(w) -> array`` and, to be saved with a model, ``get_config()``.

    Examples
    --------
    >>> import numpy as np
    >>> class Rounded(Constraint):
    ...     def __call__(self, w):
    ...         return np.round(w, 1)
    >>> Rounded()(np.array([0.26, 1.04]))
    array([0.3, 1. ])
    """

    def __call__(self, w: Any) -> FloatArray:
        """The weights, constrained, as a new array."""
        return _validate.floats(w, "w").copy()

    def core_form(self, shape: tuple[int, ...]) -> Extents | None:
        """What the compiled step needs to apply it to an array of this shape; None where it cannot.

        (kind, minimum, maximum, rate, outer, reduced, inner): a norm is that of the `reduced` elements of the array
        seen as (outer, reduced, inner).
        """
        return None

    def get_config(self) -> dict[str, Any]:
        """The arguments that make another of its like."""
        return {}

    @classmethod
    def from_config(cls, config: Mapping[str, Any]) -> Self:
        """The constraint that get_config described."""
        return cls(**config)


class NonNeg(Constraint):
    """max(w, 0).

    Examples
    --------
    >>> NonNeg()([-1.0, 2.0])
    array([0., 2.])
    """

    def __call__(self, w: Any) -> FloatArray:
        result = _validate.floats(w, "w").copy()
        _core.constrain_array(result.reshape(-1), self.core_form(result.shape))
        return result

    def core_form(self, shape: tuple[int, ...]) -> Extents:
        return "non_negative", 0.0, math.inf, 1.0, 1, 1, math.prod(shape)


class MinMaxNorm(Constraint):
    """w d / (epsilon + |w|), with d = rate clip(|w|, min, max) + (1 - rate) |w| and epsilon = 1e-7.

    Parameters
    ----------
    min_value, max_value : float
        The norm's bounds.
    rate : float
        How much of the way to the bound a norm is brought: 1 is all of it.
    axis : int or sequence of int
        The axes that the norm sums over.

    Examples
    --------
    >>> MinMaxNorm(1.0, 2.0)([3.0, 4.0]).round(3)
    array([1.2, 1.6])
    """

    def __init__(
        self,
        min_value: float = 0.0,
        max_value: float = 1.0,
        rate: float = 1.0,
        axis: int | Sequence[int] = 0,
    ) -> None:
        self.min_value = _validate.number(min_value, "min_value", minimum=0)
        self.max_value = _validate.number(max_value, "max_value", minimum=self.min_value)
        self.rate = _validate.number(rate, "rate", minimum=0, maximum=1)
        self.axis = _axes(axis)

    def __call__(self, w: Any) -> FloatArray:
        array = _validate.floats(w, "w")
        axes = _axes_of(self.axis, array.shape)
        form = self._form(array.shape, axes)
        if form is not None:
            result = array.copy()
            _core.constrain_array(result.reshape(-1), form)
            return result
        last = range(-len(axes), 0)  # axes that do not lie side by side are moved to the end, and back
        moved = cast("FloatArray", np.array(np.moveaxis(array, axes, last), order="C", copy=True))
        _core.constrain_array(moved.reshape(-1), self._form(moved.shape, tuple(range(moved.ndim)[-len(axes) :])))
        return cast("FloatArray", np.ascontiguousarray(np.moveaxis(moved, last, axes)))

    def core_form(self, shape: tuple[int, ...]) -> Extents | None:
        return self._form(shape, _axes_of(self.axis, shape))

    def _form(self, shape: tuple[int, ...], axes: tuple[int, ...]) -> Extents | None:
        if not axes:
            axes, shape = (len(shape),), (*shape, 1)  # every element is a line of its own
        first, last = axes[0], axes[-1]
        if last - first != len(axes) - 1:
            return None
        extents = math.prod(shape[:first]), math.prod(shape[first : last + 1]), math.prod(shape[last + 1 :])
        return "norm", self.min_value, self.max_value, self.rate, *extents

    def get_config(self) -> dict[str, Any]:
        return {"min_value": self.min_value, "max_value": self.max_value, "rate": self.rate, "axis": self.axis}


class MaxNorm(MinMaxNorm):
    """w min(|w|, max) / (epsilon + |w|), with epsilon = 1e-7.

    Parameters
    ----------
    max_value : float
    axis : int or sequence of int
        The axes that the norm sums over.

    Examples
    --------
    >>> MaxNorm(2.0)([3.0, 4.0]).round(3)
    array([1.2, 1.6])
    """

    def __init__(self, max_value: float = 2.0, axis: int | Sequence[int] = 0) -> None:
        super().__init__(0.0, max_value, 1.0, axis)

    def get_config(self) -> dict[str, Any]:
        return {"max_value": self.max_value, "axis": self.axis}


class UnitNorm(MinMaxNorm):
    """w / (epsilon + |w|), with epsilon = 1e-7.

    Parameters
    ----------
    axis : int or sequence of int
        The axes that the norm sums over.

    Examples
    --------
    >>> UnitNorm()([3.0, 4.0]).round(3)
    array([0.6, 0.8])
    """

    def __init__(self, axis: int | Sequence[int] = 0) -> None:
        super().__init__(1.0, 1.0, 1.0, axis)

    def get_config(self) -> dict[str, Any]:
        return {"axis": self.axis}


def _axes(axis: Any) -> int | list[int]:
    if isinstance(axis, Sequence) and not isinstance(axis, str):
        return [_validate.integer(a, "axis") for a in axis]
    return _validate.integer(axis, "axis")


def _axes_of(axis: int | list[int], shape: tuple[int, ...]) -> tuple[int, ...]:
    """The axes that are meant in an array of this shape, ascending, none of them negative."""
    given = [axis] if isinstance(axis, int) else axis
    for a in given:
        if not -len(shape) <= a < len(shape):
            raise ValueError(f"axis: {a} is not an axis of an array of shape {shape}; choose one that it has")
    result = tuple(sorted({a % len(shape) for a in given}))
    if len(result) != len(given):
        raise ValueError(f"axis: {axis} names an axis of an array of shape {shape} twice")
    return result


max_norm, min_max_norm, non_neg, unit_norm = MaxNorm, MinMaxNorm, NonNeg, UnitNorm

_CLASSES = (MaxNorm, MinMaxNorm, NonNeg, UnitNorm, Constraint)
_KNOWN: dict[str, type] = {cls.__name__: cls for cls in _CLASSES}
_KNOWN |= {_objects.snake_case(name): cls for name, cls in _KNOWN.items()}


def get(identifier: Any) -> Any:
    """A constraint from its name, class, dict or itself; None from None.

    Examples
    --------
    >>> get("max_norm").max_value
    2.0
    """
    result = _objects.get(identifier, _KNOWN, "constraint")
    if result is not None and not callable(result):
        raise _errors.ArgumentError(f"constraint: expected a name, a dict or a callable, got {identifier!r}")
    return result


def serialize(constraint: Constraint) -> dict[str, Any]:
    """A constraint as a dict.

    >>> serialize(MaxNorm(2.0))["config"]["max_value"]
    2.0
    """
    return _objects.serialize(constraint, "fastnn.constraints")


def deserialize(config: Mapping[str, Any], custom_objects: Mapping[str, Any] | None = None) -> Constraint:
    """The constraint that `serialize` made a dict of.

    >>> deserialize({"class_name": "MaxNorm", "config": {"max_value": 2.0}}).max_value
    2.0
    """
    return cast("Constraint", _objects.deserialize(config, _KNOWN, custom_objects, "constraint"))
