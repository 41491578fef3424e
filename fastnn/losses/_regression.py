"""Losses of numbers: how far a prediction p is from its target y."""

import numpy.typing as npt

from fastnn import _validate
from fastnn.losses._base import TableLoss

REDUCTION = "sum_over_batch_size"


class MeanSquaredError(TableLoss):
    """mean (p - y)^2 over the last axis; gradient 2 (p - y) / n.

    Shapes: y_true and y_pred (N, ..., n), a loss for each of (N, ...).

    Examples
    --------
    >>> MeanSquaredError()([[0.0, 1.0]], [[1.0, 1.0]])
    0.5
    >>> MeanSquaredError().gradient([[0.0, 1.0]], [[1.0, 1.0]])
    array([[1., 0.]])
    """

    _row_name = "mean_squared_error"

    def __init__(
        self,
        reduction: str | None = REDUCTION,
        name: str | None = "mean_squared_error",
        dtype: npt.DTypeLike | None = None,
    ) -> None:
        super().__init__(name, reduction, dtype)


class HalfMeanSquaredError(TableLoss):
    """mean (p - y)^2 / 2 over the last axis; gradient (p - y) / n.

    Shapes: y_true and y_pred (N, ..., n), a loss for each of (N, ...).

    Examples
    --------
    >>> HalfMeanSquaredError()([[0.0, 1.0]], [[1.0, 1.0]])
    0.25
    """

    _row_name = "half_mean_squared_error"

    def __init__(
        self,
        reduction: str | None = REDUCTION,
        name: str | None = "half_mean_squared_error",
        dtype: npt.DTypeLike | None = None,
    ) -> None:
        super().__init__(name, reduction, dtype)


class MeanAbsoluteError(TableLoss):
    """mean |p - y| over the last axis; gradient sign(p - y) / n, 0 where p = y.

    Shapes: y_true and y_pred (N, ..., n), a loss for each of (N, ...).

    Examples
    --------
    >>> MeanAbsoluteError()([[0.0, 1.0]], [[2.0, 1.0]])
    1.0
    """

    _row_name = "mean_absolute_error"

    def __init__(
        self,
        reduction: str | None = REDUCTION,
        name: str | None = "mean_absolute_error",
        dtype: npt.DTypeLike | None = None,
    ) -> None:
        super().__init__(name, reduction, dtype)


class Huber(TableLoss):
    """With e = p - y: e^2 / 2 where |e| <= delta, delta |e| - delta^2 / 2 elsewhere, and the mean over the last axis.

    Shapes: y_true and y_pred (N, ..., n), a loss for each of (N, ...).

    Parameters
    ----------
    delta : float
        Where the square gives way to the straight line.

    Examples
    --------
    >>> Huber()([[0.0], [0.0]], [[0.5], [3.0]])
    1.3125
    """

    _row_name = "huber"
    _options = ("delta",)

    def __init__(
        self,
        delta: float = 1.0,
        reduction: str | None = REDUCTION,
        name: str | None = "huber_loss",
        dtype: npt.DTypeLike | None = None,
    ) -> None:
        super().__init__(name, reduction, dtype)
        self.delta = _validate.number(delta, "delta", minimum=0)


class SmoothL1(TableLoss):
    """Huber's loss over beta: with e = p - y, e^2 / (2 beta) where |e| <= beta, |e| - beta / 2 elsewhere.

    Shapes: y_true and y_pred (N, ..., n), a loss for each of (N, ...).

    Parameters
    ----------
    beta : float
        Where the square gives way to a straight line of slope 1.

    Examples
    --------
    >>> SmoothL1(beta=0.5)([[0.0], [0.0]], [[0.5], [3.0]])
    1.5
    """

    _row_name = "smooth_l1"
    _options = ("beta",)

    def __init__(
        self,
        beta: float = 1.0,
        reduction: str | None = REDUCTION,
        name: str | None = "smooth_l1",
        dtype: npt.DTypeLike | None = None,
    ) -> None:
        super().__init__(name, reduction, dtype)
        self.beta = _validate.number(beta, "beta", above=0)


class LogCosh(TableLoss):
    """mean log cosh(p - y) over the last axis; gradient tanh(p - y) / n.

    Shapes: y_true and y_pred (N, ..., n), a loss for each of (N, ...).

    Examples
    --------
    >>> round(LogCosh()([[0.0]], [[1.0]]), 6)
    0.433781
    """

    _row_name = "log_cosh"

    def __init__(
        self, reduction: str | None = REDUCTION, name: str | None = "log_cosh", dtype: npt.DTypeLike | None = None
    ) -> None:
        super().__init__(name, reduction, dtype)


class MeanAbsolutePercentageError(TableLoss):
    """mean 100 |p - y| / max(|y|, 1e-7) over the last axis.

    Shapes: y_true and y_pred (N, ..., n), a loss for each of (N, ...).

    Examples
    --------
    >>> MeanAbsolutePercentageError()([[2.0, 4.0]], [[3.0, 4.0]])
    25.0
    """

    _row_name = "mean_absolute_percentage_error"

    def __init__(
        self,
        reduction: str | None = REDUCTION,
        name: str | None = "mean_absolute_percentage_error",
        dtype: npt.DTypeLike | None = None,
    ) -> None:
        super().__init__(name, reduction, dtype)


class MeanSquaredLogarithmicError(TableLoss):
    """mean (log(1 + p) - log(1 + y))^2 over the last axis, p and y at least 1e-7.

    Shapes: y_true and y_pred (N, ..., n), a loss for each of (N, ...).

    Examples
    --------
    >>> round(MeanSquaredLogarithmicError()([[1.0]], [[3.0]]), 6)
    0.480453
    """

    _row_name = "mean_squared_logarithmic_error"

    def __init__(
        self,
        reduction: str | None = REDUCTION,
        name: str | None = "mean_squared_logarithmic_error",
        dtype: npt.DTypeLike | None = None,
    ) -> None:
        super().__init__(name, reduction, dtype)


class Poisson(TableLoss):
    """mean p - y log(p + 1e-7) over the last axis: counts y against rates p > 0.

    Shapes: y_true and y_pred (N, ..., n), a loss for each of (N, ...).

    Examples
    --------
    >>> round(Poisson()([[2.0]], [[1.0]]), 6)
    1.0
    """

    _row_name = "poisson"

    def __init__(
        self, reduction: str | None = REDUCTION, name: str | None = "poisson", dtype: npt.DTypeLike | None = None
    ) -> None:
        super().__init__(name, reduction, dtype)


class CosineSimilarity(TableLoss):
    """-(y / |y|) . (p / |p|) along an axis: -1 for the same direction, 0 for a right angle, 1 for the opposite.

    Shapes: y_true and y_pred (N, ..., n), a loss for each of (N, ...).

    Parameters
    ----------
    axis : int
        Which axis holds the vectors.

    Examples
    --------
    >>> CosineSimilarity()([[3.0, 4.0]], [[6.0, 8.0]])
    -1.0
    """

    _row_name = "cosine_similarity"
    _options = ("axis",)

    def __init__(
        self,
        axis: int = -1,
        reduction: str | None = REDUCTION,
        name: str | None = "cosine_similarity",
        dtype: npt.DTypeLike | None = None,
    ) -> None:
        super().__init__(name, reduction, dtype)
        self.axis = _validate.integer(axis, "axis")
