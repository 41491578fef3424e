"""Metrics of hits: how often a prediction is the target, is on its side of a threshold, or has it among the first k."""

from typing import Any

import numpy as np
import numpy.typing as npt

from fastnn import _validate
from fastnn.metrics._base import Doubles, KindMetric, Native, is_for_each_element

Values = tuple[Doubles, Any, npt.NDArray[np.bool_] | None]


class _OfElements(KindMetric):
    """A share of numbers, of which each may have a weight of its own."""

    def _values(self, y_true: Any, y_pred: Any, sample_weight: Any) -> Values:
        targets, predictions = self._pair(y_true, y_pred)
        if predictions.ndim == 1:
            targets, predictions = targets[:, np.newaxis], predictions[:, np.newaxis]
        shape = predictions.shape
        shape = shape if is_for_each_element(sample_weight, shape) else shape[:-1]
        return self._evaluate(targets, predictions, shape), sample_weight, None

    def elements(self, y_true: Any, y_pred: Any) -> Any:
        """1 for each hit, 0 for each miss, in y_pred's shape and dtype."""
        targets, predictions = self._pair(y_true, y_pred)
        hits: Any = np.asarray(self._evaluate(targets, predictions, predictions.shape), predictions.dtype)
        return hits


class Accuracy(_OfElements):
    """How often predictions equal targets, number by number.

    Parameters
    ----------
    name : str
        The metric's name.
    dtype : str or dtype, optional
        As for Metric.

    Examples
    --------
    >>> Accuracy()([1, 2, 3, 4], [0, 2, 3, 4])
    0.75
    """

    _row_name = "accuracy"

    def __init__(self, name: str | None = "accuracy", dtype: npt.DTypeLike | None = None) -> None:
        super().__init__(name, dtype)


class BinaryAccuracy(_OfElements):
    """How often predictions are above a threshold where the target is 1, and not above it where the target is 0.

    Parameters
    ----------
    name : str
        The metric's name.
    dtype : str or dtype, optional
        As for Metric.
    threshold : float
        0 for logits.

    Examples
    --------
    >>> BinaryAccuracy()([[1], [1], [0], [0]], [[0.98], [1], [0], [0.6]])
    0.75
    """

    _row_name = "binary_accuracy"
    _options = ("threshold",)

    def __init__(
        self,
        name: str | None = "binary_accuracy",
        dtype: npt.DTypeLike | None = None,
        threshold: float = 0.5,
    ) -> None:
        super().__init__(name, dtype)
        self.threshold = _validate.number(threshold, "threshold")


class _OfRows(KindMetric):
    """A metric of rows of classes and one-hot targets."""

    def _values(self, y_true: Any, y_pred: Any, sample_weight: Any) -> Values:
        return self._rows(y_true, y_pred)[0], sample_weight, None

    def _rows(self, y_true: Any, y_pred: Any) -> tuple[Doubles, np.dtype[Any]]:
        _validate.not_class_numbers(y_true, y_pred, f"sparse_{self._row_name}")
        targets, predictions = self._pair(y_true, y_pred)
        return self._evaluate(targets, predictions, predictions.shape[:-1]), predictions.dtype


class _OfLabels(KindMetric):
    """A metric of rows of classes and class numbers."""

    def _values(self, y_true: Any, y_pred: Any, sample_weight: Any) -> Values:
        return self._rows(y_true, y_pred)[0], sample_weight, None

    def _rows(self, y_true: Any, y_pred: Any) -> tuple[Doubles, np.dtype[Any]]:
        predictions = _validate.predictions(y_pred, "y_pred", self._dtype)
        labels = _validate.class_numbers(y_true, predictions, self._row_name.removeprefix("sparse_"))
        return self._evaluate(labels, predictions, labels.shape), predictions.dtype


class CategoricalAccuracy(_OfRows):
    """How often the largest prediction of a row is at the largest target: y_true one-hot, y_pred scores or logits.

    The first of equals counts as the largest, and NaN is larger than every number, as in NumPy.

    Parameters
    ----------
    name : str
        The metric's name.
    dtype : str or dtype, optional
        As for Metric.

    Examples
    --------
    >>> CategoricalAccuracy()([[0, 0, 1], [0, 1, 0]], [[0.1, 0.9, 0.8], [0.05, 0.95, 0]])
    0.5
    """

    _row_name = "categorical_accuracy"

    def __init__(self, name: str | None = "categorical_accuracy", dtype: npt.DTypeLike | None = None) -> None:
        super().__init__(name, dtype)


class SparseCategoricalAccuracy(_OfLabels):
    """How often the largest prediction of a row is that of the class number y_true.

    Parameters
    ----------
    name : str
        The metric's name.
    dtype : str or dtype, optional
        As for Metric.

    Examples
    --------
    >>> SparseCategoricalAccuracy()([2, 1], [[0.1, 0.6, 0.3], [0.05, 0.95, 0]])
    0.5
    """

    _row_name = "sparse_categorical_accuracy"

    def __init__(self, name: str | None = "sparse_categorical_accuracy", dtype: npt.DTypeLike | None = None) -> None:
        super().__init__(name, dtype)


class TopKCategoricalAccuracy(_OfRows):
    """How often fewer than k predictions of a row are above that of the true class: y_true one-hot.

    Parameters
    ----------
    k : int
        How many of the first count as a hit.
    name : str
        The metric's name.
    dtype : str or dtype, optional
        As for Metric.

    Examples
    --------
    >>> TopKCategoricalAccuracy(k=2)([[0, 0, 1], [1, 0, 0]], [[0.1, 0.9, 0.8], [0.05, 0.95, 0.1]])
    0.5
    """

    _row_name = "top_k_categorical_accuracy"
    _options = ("k",)

    def __init__(
        self, k: int = 5, name: str | None = "top_k_categorical_accuracy", dtype: npt.DTypeLike | None = None
    ) -> None:
        super().__init__(name, dtype)
        self.k = _validate.integer(k, "k", minimum=1)


class SparseTopKCategoricalAccuracy(_OfLabels):
    """How often fewer than k predictions of a row are above that of the class number y_true.

    Parameters
    ----------
    k : int
        How many of the first count as a hit.
    name : str
        The metric's name.
    dtype : str or dtype, optional
        As for Metric.
    from_sorted_ids : bool
        Whether y_pred holds, not scores, but class numbers from the most to the least likely.

    Examples
    --------
    >>> SparseTopKCategoricalAccuracy(k=2)([2, 0], [[0.1, 0.9, 0.8], [0.05, 0.95, 0.1]])
    0.5
    >>> SparseTopKCategoricalAccuracy(k=2, from_sorted_ids=True)([2, 0], [[1, 2, 0], [1, 2, 0]])
    0.5
    """

    _row_name = "sparse_top_k_categorical_accuracy"
    _options = ("k", "from_sorted_ids")

    def __init__(
        self,
        k: int = 5,
        name: str | None = "sparse_top_k_categorical_accuracy",
        dtype: npt.DTypeLike | None = None,
        from_sorted_ids: bool = False,
    ) -> None:
        super().__init__(name, dtype)
        self.k = _validate.integer(k, "k", minimum=1)
        self.from_sorted_ids = _validate.flag(from_sorted_ids, "from_sorted_ids")

    def _native(self) -> Native | None:
        return None if self.from_sorted_ids else super()._native()

    def _rows(self, y_true: Any, y_pred: Any) -> tuple[Doubles, np.dtype[Any]]:
        if not self.from_sorted_ids:
            return super()._rows(y_true, y_pred)
        ids = _validate.predictions(y_pred, "y_pred", self._dtype)
        wanted = _validate.floats(y_true, "y_true", ids.dtype)
        if wanted.shape == (*ids.shape[:-1], 1):
            wanted = wanted[..., 0]
        if wanted.shape != ids.shape[:-1]:
            raise ValueError(
                f"y_true: expected a class number for each row, so shape {ids.shape[:-1]} for y_pred of shape "
                f"{ids.shape}, got {wanted.shape}"
            )
        return (ids[..., : self.k] == wanted[..., np.newaxis]).any(-1).astype(np.float64), ids.dtype


def binary_accuracy(y_true: Any, y_pred: Any, threshold: float = 0.5) -> Any:
    """1 where y_pred is on the target's side of the threshold, else 0; one number for each of y_pred.

    >>> binary_accuracy([[1.0, 0.0]], [[0.7, 0.6]])
    array([[1., 0.]])
    """
    return BinaryAccuracy(threshold=threshold).elements(y_true, y_pred)


def _of_rows(metric: _OfRows | _OfLabels, y_true: Any, y_pred: Any) -> Any:
    values, dtype = metric._rows(y_true, y_pred)
    return values.astype(dtype)[()]


def categorical_accuracy(y_true: Any, y_pred: Any) -> Any:
    """1 where the largest of a row of y_pred is at the largest of y_true, else 0.

    >>> categorical_accuracy([[0, 1], [1, 0]], [[0.2, 0.8], [0.3, 0.7]])
    array([1., 0.])
    """
    return _of_rows(CategoricalAccuracy(), y_true, y_pred)


def sparse_categorical_accuracy(y_true: Any, y_pred: Any) -> Any:
    """1 where the largest of a row of y_pred is that of the class number y_true, else 0.

    >>> sparse_categorical_accuracy([1, 1], [[0.2, 0.8], [0.7, 0.3]])
    array([1., 0.])
    """
    return _of_rows(SparseCategoricalAccuracy(), y_true, y_pred)


def top_k_categorical_accuracy(y_true: Any, y_pred: Any, k: int = 5) -> Any:
    """1 where fewer than k of a row of y_pred are above that of the true class, else 0; y_true is one-hot.

    >>> top_k_categorical_accuracy([[0, 0, 1], [0, 0, 1]], [[0.1, 0.6, 0.3], [0.5, 0.4, 0.1]], k=2)
    array([1., 0.])
    """
    return _of_rows(TopKCategoricalAccuracy(k), y_true, y_pred)


def sparse_top_k_categorical_accuracy(y_true: Any, y_pred: Any, k: int = 5, from_sorted_ids: bool = False) -> Any:
    """1 where fewer than k of a row of y_pred are above that of the class number y_true, else 0.

    >>> sparse_top_k_categorical_accuracy([2, 2], [[0.1, 0.6, 0.3], [0.5, 0.4, 0.1]], k=2)
    array([1., 0.])
    """
    return _of_rows(SparseTopKCategoricalAccuracy(k, from_sorted_ids=from_sorted_ids), y_true, y_pred)
