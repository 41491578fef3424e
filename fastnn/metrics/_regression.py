"""Metrics of how predictions go with targets: the coefficient of determination, and correlations of rows."""

import warnings
from typing import Any

import numpy as np
import numpy.typing as npt

from fastnn import _validate
from fastnn.metrics._base import Doubles, Metric, Native, RowMetric, Variable

AGGREGATIONS = ("uniform_average", "variance_weighted_average")


class R2Score(Metric):
    """1 - sum (y - p)^2 / sum (y - mean y)^2 of each output: 1 is perfect, and 0 as good as the mean.

    Parameters
    ----------
    class_aggregation : str or None
        "uniform_average" for the mean over outputs, "variance_weighted_average" for one in which an output's variance
        is its weight, None for an array of all.
    num_regressors : int
        How many inputs the predictions were made of, for the adjusted score
        1 - (1 - R2) (n - 1) / (n - num_regressors - 1); 0 for the plain one. n is how many numbers were predicted, as
        in Keras.
    name : str
        The metric's name.
    dtype : str or dtype, optional
        As for Metric.

    Examples
    --------
    >>> round(R2Score()([[1], [4], [3]], [[2], [4], [4]]), 6)
    0.571429
    """

    _direction = "up"
    _options = ("class_aggregation", "num_regressors")
    mean: Variable
    total: Variable
    residual: Variable
    count: Variable

    def __init__(
        self,
        class_aggregation: str | None = "uniform_average",
        num_regressors: int = 0,
        name: str | None = "r2_score",
        dtype: npt.DTypeLike | None = None,
    ) -> None:
        super().__init__(dtype, name)
        self.class_aggregation = (
            None
            if class_aggregation is None
            else _validate.choice(class_aggregation, "class_aggregation", AGGREGATIONS)
        )
        self.num_regressors = _validate.integer(num_regressors, "num_regressors", minimum=0)
        self.num_samples = self.add_variable((), name="num_samples")
        self._outputs: int | None = None

    def update_state(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> None:
        """Take in a batch of shape (samples, outputs)."""
        targets, predictions = self._pair(y_true, y_pred)
        if predictions.ndim == 1:
            targets, predictions = targets[:, np.newaxis], predictions[:, np.newaxis]
        if predictions.ndim != 2 or self._outputs not in (None, predictions.shape[1]):
            raise ValueError(f"y_pred: expected shape (samples, {self._outputs or 'outputs'}), got {predictions.shape}")
        if self._outputs is None:
            self._outputs = predictions.shape[1]
            for name in ("mean", "total", "residual", "count"):
                setattr(self, name, self.add_variable((self._outputs,), name=name))
        weights: Any = 1.0 if sample_weight is None else _validate.sample_weights(sample_weight, predictions.shape)
        y, p = targets.astype(np.float64), predictions.astype(np.float64)
        w = np.broadcast_to(weights, y.shape)
        self.residual.assign_add(np.sum(w * (y - p) ** 2, axis=0))
        self.num_samples.assign_add(y.size)
        self._merge(y, w)

    def _merge(self, y: Doubles, w: Doubles) -> None:
        """Mean and squared deviations of all batches from those of each (Chan, Golub, LeVeque 1979): sums of squares
        would lose the digits of targets that are far from 0."""
        count = np.sum(w, axis=0)
        if not (known := count != 0).any():
            return
        mean = np.divide(np.sum(w * y, axis=0), count, out=np.zeros(count.shape), where=known)
        before, together = self.count.numpy(), self.count + count
        share = np.divide(count, together, out=np.zeros(count.shape), where=together != 0)
        step = mean - self.mean
        self.total.assign_add(np.sum(w * (y - mean) ** 2, axis=0) + step**2 * before * share)
        self.mean.assign_add(step * share)
        self.count.assign(together)

    def result(self) -> Any:
        """The score; NaN where nothing was counted."""
        if self._outputs is None:
            return np.nan
        with np.errstate(divide="ignore", invalid="ignore"):
            scores = 1 - self.residual / self.total
            scores = np.where(np.isinf(scores), 0.0, scores)
            if self.class_aggregation == "uniform_average":
                score: Any = float(np.mean(scores))
            elif self.class_aggregation == "variance_weighted_average":
                score = float(np.sum(self.total * scores) / np.sum(self.total))
            else:
                score = scores
        return self._adjusted(score)

    def _adjusted(self, score: Any) -> Any:
        spare = float(self.num_samples) - self.num_regressors - 1
        if self.num_regressors == 0:
            return score
        if spare <= 0:
            warnings.warn(
                f"{self.name}: {int(self.num_samples)} numbers are too few for num_regressors={self.num_regressors}; "
                "the score is not adjusted",
                stacklevel=3,
            )
            return score
        return 1 - (1 - score) * (float(self.num_samples) - 1) / spare


def _both(y_true: Any, y_pred: Any) -> tuple[Doubles, Doubles, np.dtype[Any]]:
    targets, predictions = _validate.targets(y_true, _validate.predictions(y_pred))
    return targets.astype(np.float64), predictions.astype(np.float64), predictions.dtype


def _pearson(y: Doubles, p: Doubles, axis: Any) -> Doubles:
    y, p = y - np.mean(y, axis=axis, keepdims=True), p - np.mean(p, axis=axis, keepdims=True)
    with np.errstate(divide="ignore", invalid="ignore"):
        correlation: Doubles = np.mean(y * p, axis=axis) / (np.std(y, axis=axis) * np.std(p, axis=axis))
    return correlation


def _concordance(y: Doubles, p: Doubles, axis: Any) -> Doubles:
    y_mean, p_mean = np.mean(y, axis=axis, keepdims=True), np.mean(p, axis=axis, keepdims=True)
    covariance = np.mean((y - y_mean) * (p - p_mean), axis=axis)
    gap = np.mean(y_mean - p_mean, axis=axis)
    concordance: Doubles = 2 * covariance / (np.var(y, axis=axis) + np.var(p, axis=axis) + gap**2 + 1e-7)
    return concordance


def pearson_correlation(y_true: Any, y_pred: Any, axis: int | tuple[int, ...] = -1) -> Any:
    """The correlation of y_true and y_pred along an axis, from -1 to 1; NaN where one of them does not vary.

    >>> pearson_correlation([[0, 1, 0.5], [1, 1, 0.2]], [[0.1, 0.9, 0.5], [1, 0.9, 0.2]]).round(6)
    array([1.      , 0.993399])
    """
    y, p, dtype = _both(y_true, y_pred)
    return _pearson(y, p, axis).astype(dtype)[()]


def concordance_correlation(y_true: Any, y_pred: Any, axis: int | tuple[int, ...] = -1) -> Any:
    """2 cov / (var y + var p + (mean y - mean p)^2) along an axis: 1 where p = y, less for any other line.

    >>> concordance_correlation([[0, 1, 0.5], [1, 1, 0.2]], [[0.1, 0.9, 0.5], [1, 0.9, 0.2]]).round(6)
    array([0.975609, 0.987654])
    """
    y, p, dtype = _both(y_true, y_pred)
    return _concordance(y, p, axis).astype(dtype)[()]


class _Correlation(RowMetric):
    _direction = "up"
    _options = ("axis",)
    _formula: Any

    def __init__(self, name: str | None, dtype: npt.DTypeLike | None, axis: int | tuple[int, ...]) -> None:
        super().__init__(name, dtype)
        self.axis = (
            tuple(_validate.integer(one, "axis") for one in axis)
            if isinstance(axis, (tuple, list))
            else _validate.integer(axis, "axis")
        )

    def _native(self) -> Native | None:
        return None

    def _values(
        self, y_true: Any, y_pred: Any, sample_weight: Any
    ) -> tuple[Doubles, Any, npt.NDArray[np.bool_] | None]:
        targets, predictions = self._pair(y_true, y_pred)
        values = type(self)._formula(targets.astype(np.float64), predictions.astype(np.float64), self.axis)
        return np.asarray(values), sample_weight, None


class PearsonCorrelation(_Correlation):
    """The mean over rows of the correlation of y_true and y_pred along an axis; NaN where one of them does not vary.

    Parameters
    ----------
    name : str
        The metric's name.
    dtype : str or dtype, optional
        As for Metric.
    axis : int or tuple of int
        Along which; -1 correlates the numbers within each row, 0 those of each column within each batch.

    Examples
    --------
    >>> round(PearsonCorrelation()([[0, 1, 0.5], [1, 1, 0.2]], [[0.1, 0.9, 0.5], [1, 0.9, 0.2]]), 6)
    0.9967
    """

    _formula = staticmethod(_pearson)

    def __init__(
        self,
        name: str | None = "pearson_correlation",
        dtype: npt.DTypeLike | None = None,
        axis: int | tuple[int, ...] = -1,
    ) -> None:
        super().__init__(name, dtype, axis)


class ConcordanceCorrelation(_Correlation):
    """The mean over rows of the concordance of y_true and y_pred along an axis: how near they are to the line p = y.

    Parameters
    ----------
    name : str
        The metric's name.
    dtype : str or dtype, optional
        As for Metric.
    axis : int or tuple of int
        As for PearsonCorrelation.

    Examples
    --------
    >>> round(ConcordanceCorrelation()([[0, 1, 0.5], [1, 1, 0.2]], [[0.1, 0.9, 0.5], [1, 0.9, 0.2]]), 6)
    0.981632
    """

    _formula = staticmethod(_concordance)

    def __init__(
        self,
        name: str | None = "concordance_correlation",
        dtype: npt.DTypeLike | None = None,
        axis: int | tuple[int, ...] = -1,
    ) -> None:
        super().__init__(name, dtype, axis)
