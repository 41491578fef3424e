"""The base of every initializer."""

from collections.abc import Mapping, Sequence
from typing import Any, Self

import numpy as np
import numpy.typing as npt

from fastnn import _validate
from fastnn._validate import FloatArray

__all__ = ["Initializer", "dtype_of", "shape_of"]


class Initializer:
    """The base of every initializer.

    A subclass writes `__call__`, and `get_config` if it has arguments that a saved model must know.

    Examples
    --------
    >>> import numpy as np
    >>> import fastnn
    >>> class Ramp(fastnn.initializers.Initializer):
    ...     def __init__(self, slope=1.0):
    ...         self.slope = slope
    ...     def __call__(self, shape, dtype=None):
    ...         return self.slope * np.arange(np.prod(shape), dtype=dtype).reshape(shape)
    ...     def get_config(self):
    ...         return {"slope": self.slope}
    >>> Ramp(2.0).clone()((2, 2), "float32").tolist()
    [[0.0, 2.0], [4.0, 6.0]]
    """

    def __call__(self, shape: Sequence[int], dtype: npt.DTypeLike | None = None) -> FloatArray:
        """The first values of a weight of this shape, float32 unless told."""
        raise NotImplementedError(f"{type(self).__name__} has no __call__(self, shape, dtype=None)")

    def get_config(self) -> dict[str, Any]:
        """The arguments that make an initializer like this one; what JSON can hold."""
        return {}

    @classmethod
    def from_config(cls, config: Mapping[str, Any]) -> Self:
        """The initializer that `get_config` described."""
        return cls(**config)

    def clone(self) -> Self:
        """Another one with the same arguments; unseeded, it draws a seed of its own."""
        return self.from_config(self.get_config())

    def __repr__(self) -> str:
        arguments = ", ".join(f"{name}={value!r}" for name, value in self.get_config().items() if value is not None)
        return f"{type(self).__name__}({arguments})"


def shape_of(shape: Any) -> tuple[int, ...]:
    """The shape of a weight as a tuple."""
    sizes = (shape,) if isinstance(shape, int) else tuple(shape)
    return tuple(_validate.integer(n, "shape", minimum=0) for n in sizes)


def dtype_of(dtype: npt.DTypeLike | None) -> np.dtype[Any]:
    """float32 or float64, the first unless told."""
    return np.dtype(np.float32) if dtype is None else _validate.float_dtype(dtype)
