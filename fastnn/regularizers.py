"""Regularizers: penalties on weights, which are added to the loss.

Each is called with an array and returns the penalty as a float; `gradient` returns d penalty / d weights, as an array.
The penalties of L1, L2 and L1L2 are part of the optimizer's pass over the weights; any other regularizer's gradient is
added to the loss's first.
"""

from collections.abc import Mapping
from typing import Any, Self, cast

import numpy as np

from fastnn import _objects, _validate
from fastnn import errors as _errors
from fastnn._core import constraints as _core
from fastnn._validate import FloatArray

__all__ = [
    "L1",
    "L1L2",
    "L2",
    "OrthogonalRegularizer",
    "Regularizer",
    "deserialize",
    "get",
    "l1",
    "l1_l2",
    "l2",
    "orthogonal_regularizer",
    "serialize",
]

_EPSILON = 1e-7


class Regularizer:
    """The base of all regularizers; by itself it adds nothing.

    A regularizer of your own defines ``__call__(x) -> float``, ``gradient(x) -> array`` and, to be saved with a model,
    ``get_config()``.

    Examples
    --------
    >>> import numpy as np
    >>> class Quartic(Regularizer):
    ...     def __call__(self, x):
    ...         return float(np.sum(x**4))
    ...     def gradient(self, x):
    ...         return 4 * x**3
    >>> Quartic()(np.array([1.0, 2.0]))
    17.0
    """

    def __call__(self, x: Any) -> float:
        """The penalty."""
        return 0.0

    def gradient(self, x: Any) -> FloatArray:
        """d penalty / d x, an array like x."""
        return np.zeros_like(_validate.floats(x, "x"))

    def get_config(self) -> dict[str, Any]:
        """The arguments that make another of its like."""
        raise NotImplementedError(f"{type(self).__name__} needs a get_config() of its own to be saved")

    @classmethod
    def from_config(cls, config: Mapping[str, Any]) -> Self:
        """The regularizer that get_config described."""
        return cls(**config)


class L1L2(Regularizer):
    """l1 sum |w| + l2 sum w^2; its gradient is l1 sign(w) + 2 l2 w, with sign(0) = 0.

    Parameters
    ----------
    l1, l2 : float
        The factors, at least 0; None is 0.

    Examples
    --------
    >>> L1L2(l1=0.5, l2=2.0)([1.0, -2.0])
    11.5
    """

    l1: float
    l2: float

    def __init__(self, l1: float | None = 0.0, l2: float | None = 0.0) -> None:
        self.l1 = _validate.number(0.0 if l1 is None else l1, "l1", minimum=0)
        self.l2 = _validate.number(0.0 if l2 is None else l2, "l2", minimum=0)

    def __call__(self, x: Any) -> float:
        magnitudes, squares = _core.penalty_sums(_validate.floats(x, "x").reshape(-1))
        return (self.l1 * magnitudes if self.l1 else 0.0) + (self.l2 * squares if self.l2 else 0.0)

    def gradient(self, x: Any) -> FloatArray:
        w = _validate.floats(x, "x")
        result = np.zeros_like(w)
        if self.l1:
            result += w.dtype.type(self.l1) * np.sign(w)
        if self.l2:
            result += w.dtype.type(2 * self.l2) * w
        return result

    def get_config(self) -> dict[str, Any]:
        return {"l1": self.l1, "l2": self.l2}


class L1(L1L2):
    """l1 sum |w|.

    Examples
    --------
    >>> L1(0.5)([1.0, -2.0])
    1.5
    """

    def __init__(self, l1: float | None = 0.01) -> None:
        super().__init__(0.01 if l1 is None else l1, 0.0)

    def get_config(self) -> dict[str, Any]:
        return {"l1": self.l1}


class L2(L1L2):
    """l2 sum w^2.

    Examples
    --------
    >>> L2(0.5)([1.0, -2.0])
    2.5
    """

    def __init__(self, l2: float | None = 0.01) -> None:
        super().__init__(0.0, 0.01 if l2 is None else l2)

    def get_config(self) -> dict[str, Any]:
        return {"l2": self.l2}


class OrthogonalRegularizer(Regularizer):
    """factor times the mean of |u_i . u_j| over all pairs of a matrix's rows (or columns), scaled to length 1.

    With s_ij = sign(u_i . u_j), the gradient by row i is factor / pairs sum_j s_ij (u_j - (u_i . u_j) u_i) / |w_i|.
    A matrix of one row has no pairs and no penalty.

    Parameters
    ----------
    factor : float
        At least 0.
    mode : {"rows", "columns"}

    Examples
    --------
    >>> OrthogonalRegularizer(factor=1.0)([[1.0, 0.0], [0.0, 2.0]])
    0.0
    """

    def __init__(self, factor: float = 0.01, mode: str = "rows") -> None:
        self.factor = _validate.number(factor, "factor", minimum=0)
        self.mode = _validate.choice(mode, "mode", ("rows", "columns"))

    def _units(self, x: Any) -> tuple[FloatArray, FloatArray, FloatArray, float]:
        """The matrix with its lines as rows; those scaled to length 1; the lengths; and factor / pairs."""
        w = _validate.floats(x, "x")
        if w.ndim != 2:
            raise ValueError(f"x: OrthogonalRegularizer needs a matrix, got an array of shape {w.shape}")
        rows = w if self.mode == "rows" else w.T
        lengths = np.linalg.norm(rows, axis=1, keepdims=True)
        pairs = len(rows) * (len(rows) - 1) / 2
        return rows, rows / np.maximum(lengths, _EPSILON), lengths, self.factor / pairs if pairs else 0.0

    def __call__(self, x: Any) -> float:
        _, units, _, factor = self._units(x)
        cosines = np.abs(units @ units.T)
        np.fill_diagonal(cosines, 0)
        return float(factor * 0.5 * np.sum(cosines, dtype=np.float64))

    def gradient(self, x: Any) -> FloatArray:
        rows, units, lengths, factor = self._units(x)
        cosines = units @ units.T
        np.fill_diagonal(cosines, 0)
        signs = np.sign(cosines)
        # below epsilon a row is divided by a constant, and its length has no say
        along = np.where(lengths > _EPSILON, np.sum(signs * cosines, axis=1, keepdims=True), 0)
        d = rows.dtype.type(factor) * (signs @ units - along * units) / np.maximum(lengths, _EPSILON)
        return cast("FloatArray", np.ascontiguousarray(d if self.mode == "rows" else d.T, dtype=rows.dtype))

    def get_config(self) -> dict[str, Any]:
        return {"factor": self.factor, "mode": self.mode}


l1, l2, l1_l2, orthogonal_regularizer = L1, L2, L1L2, OrthogonalRegularizer

_CLASSES = (L1, L2, L1L2, OrthogonalRegularizer, Regularizer)
_KNOWN: dict[str, type] = {cls.__name__: cls for cls in _CLASSES}
_KNOWN |= {_objects.snake_case(name): cls for name, cls in _KNOWN.items()} | {"l1_l2": L1L2}


def get(identifier: Any) -> Any:
    """A regularizer from its name, class, dict or itself; None from None.

    Examples
    --------
    >>> get("l2").l2
    0.01
    """
    result = _objects.get(identifier, _KNOWN, "regularizer")
    if result is not None and not callable(result):
        raise _errors.ArgumentError(f"regularizer: expected a name, a dict or a callable, got {identifier!r}")
    return result


def serialize(regularizer: Regularizer) -> dict[str, Any]:
    """A regularizer as a dict.

    >>> serialize(L2(0.5))["config"]
    {'l2': 0.5}
    """
    return _objects.serialize(regularizer, "fastnn.regularizers")


def deserialize(config: Mapping[str, Any], custom_objects: Mapping[str, Any] | None = None) -> Regularizer:
    """The regularizer that `serialize` made a dict of.

    >>> deserialize({"class_name": "L2", "config": {"l2": 0.5}}).l2
    0.5
    """
    return cast("Regularizer", _objects.deserialize(config, _KNOWN, custom_objects, "regularizer"))
