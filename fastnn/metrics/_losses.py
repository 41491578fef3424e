"""Metrics that are the mean of a loss: of regression, of probabilities, of margins."""

import math
from typing import Any

import numpy as np
import numpy.typing as npt

from fastnn import losses
from fastnn.metrics._base import Doubles, KindMetric, LossMetric, Native, is_for_each_element

Values = tuple[Doubles, Any, npt.NDArray[np.bool_] | None]


class MeanSquaredError(LossMetric):
    """mean (p - y)^2.

    Examples
    --------
    >>> MeanSquaredError()([[0, 1], [0, 0]], [[1, 1], [0, 0]])
    0.25
    """

    _loss_class = losses.MeanSquaredError

    def __init__(self, name: str | None = "mean_squared_error", dtype: npt.DTypeLike | None = None) -> None:
        super().__init__(name, dtype)


class RootMeanSquaredError(LossMetric):
    """The square root of mean (p - y)^2, taken over all batches together.

    Examples
    --------
    >>> RootMeanSquaredError()([[0, 1], [0, 0]], [[1, 1], [0, 0]])
    0.5
    """

    _loss_class = losses.MeanSquaredError

    def __init__(self, name: str | None = "root_mean_squared_error", dtype: npt.DTypeLike | None = None) -> None:
        super().__init__(name, dtype)

    def result(self) -> Any:
        """The root of total / count."""
        mean = super().result()
        return math.sqrt(mean) if mean >= 0 else math.nan

    def _values(self, y_true: Any, y_pred: Any, sample_weight: Any) -> Values:
        targets, predictions = self._pair(y_true, y_pred)
        if predictions.ndim == 1 or is_for_each_element(sample_weight, predictions.shape):
            targets, predictions = targets[..., np.newaxis], predictions[..., np.newaxis]
        return super()._values(targets, predictions, sample_weight)


class MeanAbsoluteError(LossMetric):
    """mean |p - y|.

    Examples
    --------
    >>> MeanAbsoluteError()([[0, 1], [0, 0]], [[1, 1], [0, 0]], sample_weight=[1, 0])
    0.5
    """

    _loss_class = losses.MeanAbsoluteError

    def __init__(self, name: str | None = "mean_absolute_error", dtype: npt.DTypeLike | None = None) -> None:
        super().__init__(name, dtype)


class MeanAbsolutePercentageError(LossMetric):
    """mean 100 |p - y| / max(|y|, 1e-7).

    Examples
    --------
    >>> MeanAbsolutePercentageError()([[2.0, 4.0]], [[3.0, 4.0]])
    25.0
    """

    _loss_class = losses.MeanAbsolutePercentageError

    def __init__(self, name: str | None = "mean_absolute_percentage_error", dtype: npt.DTypeLike | None = None) -> None:
        super().__init__(name, dtype)


class MeanSquaredLogarithmicError(LossMetric):
    """mean (log(1 + p) - log(1 + y))^2, p and y at least 1e-7.

    Examples
    --------
    >>> round(MeanSquaredLogarithmicError()([[1.0]], [[3.0]]), 6)
    0.480453
    """

    _loss_class = losses.MeanSquaredLogarithmicError

    def __init__(self, name: str | None = "mean_squared_logarithmic_error", dtype: npt.DTypeLike | None = None) -> None:
        super().__init__(name, dtype)


class LogCoshError(LossMetric):
    """mean log cosh(p - y).

    Examples
    --------
    >>> round(LogCoshError()([[0.0]], [[1.0]]), 6)
    0.433781
    """

    _loss_class = losses.LogCosh

    def __init__(self, name: str | None = "logcosh", dtype: npt.DTypeLike | None = None) -> None:
        super().__init__(name, dtype)


class CosineSimilarity(LossMetric):
    """mean (y / |y|) . (p / |p|): 1 for the same direction, 0 for a right angle. The loss of that name is its negative.

    Parameters
    ----------
    name : str
        The metric's name.
    dtype : str or dtype, optional
        As for Metric.
    axis : int
        Which axis holds the vectors.

    Examples
    --------
    >>> round(CosineSimilarity()([[0.0, 1.0], [1.0, 1.0]], [[1.0, 0.0], [1.0, 1.0]]), 6)
    0.5
    """

    _direction = "up"
    _loss_class = losses.CosineSimilarity
    _options = ("axis",)

    def __init__(
        self, name: str | None = "cosine_similarity", dtype: npt.DTypeLike | None = None, axis: int = -1
    ) -> None:
        super().__init__(name, dtype, axis=axis)

    def _native(self) -> Native | None:
        return _Cosine()._native() if self._loss.axis == -1 else None

    def _values(self, y_true: Any, y_pred: Any, sample_weight: Any) -> Values:
        values, *rest = super()._values(y_true, y_pred, sample_weight)
        return (-values, *rest)


class _Cosine(KindMetric):
    _row_name = "cosine_similarity"


class BinaryCrossentropy(LossMetric):
    """mean -(y log p + (1 - y) log(1 - p)).

    Parameters
    ----------
    name : str
        The metric's name.
    dtype : str or dtype, optional
        As for Metric.
    from_logits : bool
        Whether y_pred holds logits; if not, probabilities.
    label_smoothing : float
        s turns a label y into y (1 - s) + s / 2.

    Examples
    --------
    >>> round(BinaryCrossentropy()([[0, 1], [0, 0]], [[0.6, 0.4], [0.4, 0.6]]), 6)
    0.814924
    """

    _loss_class = losses.BinaryCrossentropy
    _options = ("from_logits", "label_smoothing")

    def __init__(
        self,
        name: str | None = "binary_crossentropy",
        dtype: npt.DTypeLike | None = None,
        from_logits: bool = False,
        label_smoothing: float = 0,
    ) -> None:
        super().__init__(name, dtype, from_logits=from_logits, label_smoothing=label_smoothing)


class CategoricalCrossentropy(LossMetric):
    """mean -sum_k y_k log o_k of one-hot targets, o = p / sum p or softmax(logits).

    Parameters
    ----------
    name : str
        The metric's name.
    dtype : str or dtype, optional
        As for Metric.
    from_logits : bool
        Whether y_pred holds logits; if not, probabilities.
    label_smoothing : float
        s turns a target y_k into y_k (1 - s) + s / K, with K classes.
    axis : int
        Which axis holds the classes.

    Examples
    --------
    >>> round(CategoricalCrossentropy()([[0, 1, 0], [0, 0, 1]], [[0.05, 0.95, 0], [0.1, 0.8, 0.1]]), 6)
    1.176939
    """

    _loss_class = losses.CategoricalCrossentropy
    _options = ("from_logits", "label_smoothing", "axis")

    def __init__(
        self,
        name: str | None = "categorical_crossentropy",
        dtype: npt.DTypeLike | None = None,
        from_logits: bool = False,
        label_smoothing: float = 0,
        axis: int = -1,
    ) -> None:
        super().__init__(name, dtype, from_logits=from_logits, label_smoothing=label_smoothing, axis=axis)


class SparseCategoricalCrossentropy(LossMetric):
    """mean -log o_y of class numbers y, o = p / sum p or softmax(logits).

    Parameters
    ----------
    name : str
        The metric's name.
    dtype : str or dtype, optional
        As for Metric.
    from_logits : bool
        Whether y_pred holds logits; if not, probabilities.
    ignore_class : int, optional
        Samples of this class count for nothing, and the mean is that of the others.
    axis : int
        Which axis of y_pred holds the classes.

    Examples
    --------
    >>> round(SparseCategoricalCrossentropy()([1, 2], [[0.05, 0.95, 0], [0.1, 0.8, 0.1]]), 6)
    1.176939
    """

    _loss_class = losses.SparseCategoricalCrossentropy
    _options = ("from_logits", "ignore_class", "axis")

    def __init__(
        self,
        name: str | None = "sparse_categorical_crossentropy",
        dtype: npt.DTypeLike | None = None,
        from_logits: bool = False,
        ignore_class: int | None = None,
        axis: int = -1,
    ) -> None:
        super().__init__(name, dtype, from_logits=from_logits, ignore_class=ignore_class, axis=axis)


class KLDivergence(LossMetric):
    """mean sum_k y_k log(y_k / p_k), both clipped to [1e-7, 1].

    Examples
    --------
    >>> round(KLDivergence()([[0.7, 0.2, 0.1]], [[0.6, 0.3, 0.1]]), 6)
    0.026812
    """

    _loss_class = losses.KLDivergence

    def __init__(self, name: str | None = "kl_divergence", dtype: npt.DTypeLike | None = None) -> None:
        super().__init__(name, dtype)


class Poisson(LossMetric):
    """mean p - y log(p + 1e-7).

    Examples
    --------
    >>> round(Poisson()([[2.0]], [[1.0]]), 6)
    1.0
    """

    _loss_class = losses.Poisson

    def __init__(self, name: str | None = "poisson", dtype: npt.DTypeLike | None = None) -> None:
        super().__init__(name, dtype)


class Hinge(LossMetric):
    """mean max(0, 1 - y p), labels y = -1 or +1, where 0 means -1.

    Examples
    --------
    >>> round(Hinge()([[0, 1], [0, 0]], [[0.6, 0.4], [0.4, 0.6]]), 6)
    1.3
    """

    _loss_class = losses.Hinge

    def __init__(self, name: str | None = "hinge", dtype: npt.DTypeLike | None = None) -> None:
        super().__init__(name, dtype)


class SquaredHinge(LossMetric):
    """mean max(0, 1 - y p)^2, labels y = -1 or +1, where 0 means -1.

    Examples
    --------
    >>> round(SquaredHinge()([[0, 1], [0, 0]], [[0.6, 0.4], [0.4, 0.6]]), 6)
    1.86
    """

    _loss_class = losses.SquaredHinge

    def __init__(self, name: str | None = "squared_hinge", dtype: npt.DTypeLike | None = None) -> None:
        super().__init__(name, dtype)


class CategoricalHinge(LossMetric):
    """mean max(0, 1 + max_k (1 - y_k) p_k - sum_k y_k p_k) of one-hot targets.

    Examples
    --------
    >>> round(CategoricalHinge()([[0, 1], [0, 0]], [[0.6, 0.4], [0.4, 0.6]]), 6)
    1.4
    """

    _loss_class = losses.CategoricalHinge

    def __init__(self, name: str | None = "categorical_hinge", dtype: npt.DTypeLike | None = None) -> None:
        super().__init__(name, dtype)
