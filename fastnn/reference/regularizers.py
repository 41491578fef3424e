"""Regularizers: what is added to the loss to keep weights small, and its gradient.

Each takes a flat list of floats and its shape.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from ._ieee import div, dot, sign, total
from ._tensors import Shape, lines
from .regression_losses import inverse_norm


class Regularizer:
    """The base of them all, which adds nothing."""

    def __call__(self, values: Sequence[float], shape: Shape) -> float:
        """The penalty."""
        return 0.0

    def gradient(self, values: Sequence[float], shape: Shape) -> list[float]:
        """d penalty / d values."""
        return [0.0 for _ in values]


@dataclass
class L1L2(Regularizer):
    """l1 sum |w| + l2 sum w^2. The gradient is l1 sign(w) + 2 l2 w, with sign(0) = 0."""

    l1: float = 0.0
    l2: float = 0.0

    def __call__(self, values: Sequence[float], shape: Shape) -> float:
        return self.l1 * total(abs(w) for w in values) + self.l2 * total(w * w for w in values)

    def gradient(self, values: Sequence[float], shape: Shape) -> list[float]:
        return [self.l1 * sign(w) + 2.0 * self.l2 * w for w in values]


@dataclass
class L1(L1L2):
    """l1 sum |w|."""

    l1: float = 0.01


class L2(L1L2):
    """l2 sum w^2."""

    def __init__(self, l2: float = 0.01) -> None:
        super().__init__(0.0, l2)


@dataclass
class Orthogonal(Regularizer):
    """factor times the mean of |u_i . u_j| over pairs of rows (or columns) of a matrix, scaled to length 1.

    With s_ij = sign(u_i . u_j), the gradient by row i is factor / pairs * sum_j s_ij (u_j - (u_i . u_j) u_i) / |w_i|.
    """

    factor: float = 0.01
    mode: str = "rows"

    def __call__(self, values: Sequence[float], shape: Shape) -> float:
        units, _ = self._units(values, shape)
        cosines = [abs(dot(u, v)) for i, u in enumerate(units) for v in units[:i]]
        return div(self.factor * total(cosines), len(cosines))

    def gradient(self, values: Sequence[float], shape: Shape) -> list[float]:
        units, inverse = self._units(values, shape)
        scale = div(self.factor, len(units) * (len(units) - 1) / 2)
        by_line = []
        for i, u in enumerate(units):
            d = [0.0 for _ in u]
            for j, v in enumerate(units):
                c = dot(u, v)
                if i != j:
                    d = [x + sign(c) * (b - c * a) for x, a, b in zip(d, u, v, strict=True)]
            by_line.append(iter([scale * inverse[i] * x for x in d]))
        return [next(by_line[line]) for line in lines(shape, self._axis())]

    def _axis(self) -> int:
        if self.mode not in ("rows", "columns"):
            raise ValueError(f"mode: expected rows or columns, got {self.mode!r}")
        return 1 if self.mode == "rows" else 0

    def _units(self, values: Sequence[float], shape: Shape) -> tuple[list[list[float]], list[float]]:
        """The rows (or columns) scaled to length 1, and the inverses of their lengths."""
        if len(shape) != 2:
            raise ValueError(f"shape: expected a matrix, got {tuple(shape)}")
        rows: list[list[float]] = [[] for _ in range(shape[1 - self._axis()])]
        for line, w in zip(lines(shape, self._axis()), values, strict=True):
            rows[line].append(w)
        inverse = [inverse_norm(row) for row in rows]
        return [[w * r for w in row] for row, r in zip(rows, inverse, strict=True)], inverse


l1, l2, l1_l2, orthogonal = L1, L2, L1L2, Orthogonal
