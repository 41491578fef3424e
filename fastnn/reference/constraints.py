"""Constraints: what weights are made to satisfy after each step.

Each is called with a flat list of floats and its shape, and returns the new list. A norm is that of a line along
`axis`: for the kernel (in, out) of a dense layer and axis 0, of all the weights into one unit.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from ._ieee import clip, maximum
from ._tensors import Shape, norms

EPSILON = 1e-7


class Constraint:
    """The base of them all, which changes nothing."""

    def __call__(self, values: Sequence[float], shape: Shape) -> list[float]:
        return list(values)


@dataclass
class MaxNorm(Constraint):
    """w min(|w|, max) / (epsilon + |w|)."""

    max_value: float = 2.0
    axis: int | Sequence[int] = 0

    def __call__(self, values: Sequence[float], shape: Shape) -> list[float]:
        lengths = norms(values, shape, self.axis)
        return [w * (clip(n, 0.0, self.max_value) / (EPSILON + n)) for w, n in zip(values, lengths, strict=True)]


@dataclass
class NonNeg(Constraint):
    """max(w, 0)."""

    def __call__(self, values: Sequence[float], shape: Shape) -> list[float]:
        return [maximum(w, 0.0) for w in values]


@dataclass
class UnitNorm(Constraint):
    """w / (epsilon + |w|)."""

    axis: int | Sequence[int] = 0

    def __call__(self, values: Sequence[float], shape: Shape) -> list[float]:
        return [w / (EPSILON + n) for w, n in zip(values, norms(values, shape, self.axis), strict=True)]


@dataclass
class MinMaxNorm(Constraint):
    """w d / (epsilon + |w|), with d = rate clip(|w|, min, max) + (1 - rate) |w|."""

    min_value: float = 0.0
    max_value: float = 1.0
    rate: float = 1.0
    axis: int | Sequence[int] = 0

    def __call__(self, values: Sequence[float], shape: Shape) -> list[float]:
        return [w * self._factor(n) for w, n in zip(values, norms(values, shape, self.axis), strict=True)]

    def _factor(self, n: float) -> float:
        wanted = self.rate * clip(n, self.min_value, self.max_value) + (1.0 - self.rate) * n
        return wanted / (EPSILON + n)


max_norm, non_neg, unit_norm, min_max_norm = MaxNorm, NonNeg, UnitNorm, MinMaxNorm
