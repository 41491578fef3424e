"""Initializers without chance."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from fastnn import _validate
from fastnn._validate import FloatArray
from fastnn.initializers._base import Initializer, dtype_of, shape_of

__all__ = ["Constant", "Identity", "Ones", "Zeros"]


class Zeros(Initializer):
    """All 0.

    Examples
    --------
    >>> import fastnn
    >>> fastnn.initializers.Zeros()((2, 3)).tolist()
    [[0.0, 0.0, 0.0], [0.0, 0.0, 0.0]]
    """

    def __call__(self, shape: Sequence[int], dtype: npt.DTypeLike | None = None) -> FloatArray:
        return np.zeros(shape_of(shape), dtype_of(dtype))


class Ones(Initializer):
    """All 1.

    Examples
    --------
    >>> import fastnn
    >>> fastnn.initializers.Ones()((2, 3)).tolist()
    [[1.0, 1.0, 1.0], [1.0, 1.0, 1.0]]
    """

    def __call__(self, shape: Sequence[int], dtype: npt.DTypeLike | None = None) -> FloatArray:
        return np.ones(shape_of(shape), dtype_of(dtype))


class Constant(Initializer):
    """All the same value.

    Parameters
    ----------
    value : float, default 0.0
        Or an array that the shape can be broadcast from.

    Examples
    --------
    >>> import fastnn
    >>> fastnn.initializers.Constant(0.5)((2, 2)).tolist()
    [[0.5, 0.5], [0.5, 0.5]]
    >>> fastnn.initializers.Constant([1.0, 2.0])((2, 2)).tolist()
    [[1.0, 2.0], [1.0, 2.0]]
    """

    def __init__(self, value: Any = 0.0) -> None:
        self.value = value if isinstance(value, (int, float)) else _validate.numbers(value, "value")

    def __call__(self, shape: Sequence[int], dtype: npt.DTypeLike | None = None) -> FloatArray:
        out: FloatArray = np.empty(shape_of(shape), dtype_of(dtype))
        try:
            out[...] = self.value
        except ValueError:
            raise ValueError(
                f"value: an array of shape {np.shape(self.value)} does not fill a weight of shape {out.shape}; "
                "pass a number or an array of the weight's own shape"
            ) from None
        return out

    def get_config(self) -> dict[str, Any]:
        return {"value": self.value.tolist() if isinstance(self.value, np.ndarray) else self.value}


class Identity(Initializer):
    """`gain` on the diagonal of a matrix, 0 elsewhere.

    Parameters
    ----------
    gain : float, default 1.0

    Examples
    --------
    >>> import fastnn
    >>> fastnn.initializers.Identity(gain=2.0)((2, 3)).tolist()
    [[2.0, 0.0, 0.0], [0.0, 2.0, 0.0]]
    """

    def __init__(self, gain: float = 1.0) -> None:
        self.gain = _validate.number(gain, "gain")

    def __call__(self, shape: Sequence[int], dtype: npt.DTypeLike | None = None) -> FloatArray:
        sizes = shape_of(shape)
        if len(sizes) != 2:
            raise ValueError(f"shape: Identity makes matrices, got shape {sizes}; use a shape of two axes")
        return self.gain * np.eye(*sizes, dtype=dtype_of(dtype))

    def get_config(self) -> dict[str, Any]:
        return {"gain": self.gain}
