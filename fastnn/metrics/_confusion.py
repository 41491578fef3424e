"""Counts of true and false positives and negatives at thresholds, and the precision and recall that they make."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from fastnn import _validate
from fastnn._validate import FloatArray
from fastnn.metrics._base import Doubles, Metric


class Counts(NamedTuple):
    """Weights of the four cases, for each threshold."""

    tp: Doubles
    fp: Doubles
    tn: Doubles
    fn: Doubles


def count(y_true: FloatArray, y_pred: FloatArray, weights: Doubles | None, thresholds: Doubles) -> Counts:
    """The four cases of predictions above each threshold: NaN is above none. All arrays are taken flat."""
    limits = thresholds.astype(y_pred.dtype)
    order = np.argsort(limits, kind="stable")
    predictions, positive = y_pred.reshape(-1), y_true.reshape(-1) != 0
    # A prediction that is above n of the sorted thresholds is above the first n of them
    passed = np.searchsorted(limits[order], predictions, side="left")
    passed[np.isnan(predictions)] = 0
    weight = np.ones(predictions.size) if weights is None else weights.reshape(-1)

    def above_and_not(chosen: npt.NDArray[np.bool_]) -> tuple[Doubles, Doubles]:
        sums = np.bincount(passed, weight * chosen, minlength=limits.size + 1)
        above, below = np.empty(limits.size), np.empty(limits.size)
        above[order], below[order] = np.cumsum(sums[::-1])[::-1][1:], np.cumsum(sums)[:-1]
        return above, below

    (tp, fn), (fp, tn) = above_and_not(positive), above_and_not(~positive)
    return Counts(tp, fp, tn, fn)


def ratio(part: Any, whole: Any) -> Doubles:
    """part / whole, and 0 where whole is 0."""
    part, whole = np.asarray(part, np.float64), np.asarray(whole, np.float64)
    shares: Doubles = np.zeros(np.broadcast_shapes(part.shape, whole.shape))
    np.divide(part, whole, out=shares, where=whole != 0)
    return shares


def of_class(array: Any, class_id: int | None) -> Any:
    """The column of a class, or all of them."""
    if class_id is None or array is None:
        return array
    if array.ndim == 1 or class_id >= array.shape[-1]:
        raise ValueError(f"class_id: {class_id} asks for y_pred of more than {class_id} columns, got {array.shape}")
    return array[..., class_id]


def only_top(y_pred: FloatArray, k: int) -> FloatArray:
    """NaN for all but the k largest of each row; the first of equals come first."""
    first = np.argsort(-y_pred, axis=-1, kind="stable")[..., :k]
    kept = np.full_like(y_pred, np.nan)
    np.put_along_axis(kept, first, np.take_along_axis(y_pred, first, -1), -1)
    return kept


def threshold_list(thresholds: Any, default: float) -> list[float]:
    """Thresholds as a list of numbers from 0 to 1."""
    if thresholds is None:
        return [default]
    given = thresholds if np.iterable(thresholds) else [thresholds]
    found = [_validate.number(value, "thresholds", minimum=0, maximum=1) for value in given]
    if not found:
        raise ValueError("thresholds: expected at least one number, got none")
    return found


class _AtThresholds(Metric):
    """What counts cases at thresholds, among all predictions or those of a class or the top k."""

    _kept: tuple[str, ...] = ()  # which of Counts, by attribute
    thresholds: list[float]
    class_id: int | None = None
    top_k: int | None = None
    clipped = False

    def _keep(self, shape: tuple[int, ...]) -> None:
        for name in self._kept:
            setattr(self, name, self.add_variable(shape, name=name))

    def update_state(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> None:
        """Take in a batch: y_true is 0 or not, y_pred a score from 0 to 1, sample_weight one for each or for a row."""
        counts = self._count(*self._checked(y_true, y_pred, sample_weight))
        for name in self._kept:
            getattr(self, name).assign_add(getattr(counts, "".join(word[0] for word in name.split("_"))))

    def _checked(self, y_true: Any, y_pred: Any, sample_weight: Any) -> tuple[FloatArray, FloatArray, Doubles | None]:
        targets, predictions = self._pair(y_true, y_pred)
        weights = None if sample_weight is None else _validate.sample_weights(sample_weight, predictions.shape)
        return targets, predictions, weights

    def _count(self, y_true: FloatArray, y_pred: FloatArray, weights: Doubles | None) -> Counts:
        chosen: Any = y_pred if self.top_k is None else only_top(y_pred, self.top_k)
        if self.clipped:
            chosen = np.clip(chosen, 0, 1)
        targets, chosen, weights = (of_class(array, self.class_id) for array in (y_true, chosen, weights))
        return count(targets, chosen, weights, np.array(self.thresholds))


class _Count(_AtThresholds):
    """One of the four counts."""

    def __init__(
        self, thresholds: float | Sequence[float] | None = None, name: str | None = None, dtype: Any = None
    ) -> None:
        super().__init__(dtype, name)
        self.init_thresholds = thresholds
        self.thresholds = threshold_list(thresholds, 0.5)
        self._keep((len(self.thresholds),))

    def result(self) -> Any:
        """The weight of the cases: a float, or an array for several thresholds."""
        counts = getattr(self, self._kept[0]).numpy()
        return float(counts[0]) if counts.size == 1 else counts

    def get_config(self) -> dict[str, Any]:
        return super().get_config() | {"thresholds": self.init_thresholds}


class TruePositives(_Count):
    """How many predictions are above the threshold, rightly. With sample_weight, the sum of their weights.

    Parameters
    ----------
    thresholds : float or sequence of float, optional
        From 0 to 1; 0.5 if None. There is a result for each.
    name : str, optional
        The metric's name.
    dtype : str or dtype, optional
        As for Metric.

    Examples
    --------
    >>> TruePositives()([0, 1, 1, 1], [1, 0, 1, 1])
    2.0
    """

    _kept = ("true_positives",)


class FalsePositives(_Count):
    """How many predictions are above the threshold, wrongly. Parameters as for TruePositives.

    Examples
    --------
    >>> FalsePositives()([0, 1, 0, 0], [0, 0, 1, 1], sample_weight=[0, 0, 1, 0])
    1.0
    """

    _kept = ("false_positives",)


class TrueNegatives(_Count):
    """How many predictions are not above the threshold, rightly. Parameters as for TruePositives.

    Examples
    --------
    >>> TrueNegatives(thresholds=[0.3, 0.7])([0, 0, 1], [0.1, 0.5, 0.6])
    array([1., 2.])
    """

    _kept = ("true_negatives",)


class FalseNegatives(_Count):
    """How many predictions are not above the threshold, wrongly. Parameters as for TruePositives.

    Examples
    --------
    >>> FalseNegatives()([0, 1, 1, 1], [0, 1, 0, 0])
    2.0
    """

    _kept = ("false_negatives",)


class _Share(_AtThresholds):
    """True positives among themselves and another count."""

    _direction = "up"
    _options = ("top_k", "class_id")

    def __init__(
        self, thresholds: Any, top_k: int | None, class_id: int | None, name: str | None, dtype: npt.DTypeLike | None
    ) -> None:
        super().__init__(dtype, name)
        self.top_k = None if top_k is None else _validate.integer(top_k, "top_k", minimum=1)
        self.class_id = None if class_id is None else _validate.integer(class_id, "class_id", minimum=0)
        self.init_thresholds = thresholds
        self.thresholds = threshold_list(thresholds, 0.5 if top_k is None else -np.inf)
        self._keep((len(self.thresholds),))

    def result(self) -> Any:
        """The share: a float, or an array for several thresholds; 0 where there is nothing to take a share of."""
        found, other = (getattr(self, name) for name in self._kept)
        shares = ratio(found, found + other)
        return float(shares[0]) if shares.size == 1 else shares

    def get_config(self) -> dict[str, Any]:
        return super().get_config() | {"thresholds": self.init_thresholds}


class Precision(_Share):
    """The share of true positives among predictions above the threshold: tp / (tp + fp).

    Parameters
    ----------
    thresholds : float or sequence of float, optional
        From 0 to 1 (0 for logits); 0.5 if None, and none with top_k. There is a result for each.
    top_k : int, optional
        Only the k largest predictions of each row count as positive.
    class_id : int, optional
        Look at this column only.
    name : str, optional
        The metric's name.
    dtype : str or dtype, optional
        As for Metric.

    Examples
    --------
    >>> round(Precision()([0, 1, 1, 1], [1, 0, 1, 1]), 6)
    0.666667
    >>> Precision(top_k=2)([[0, 0, 1]], [[0.1, 0.3, 0.2]])
    0.5
    """

    _kept = ("true_positives", "false_positives")

    def __init__(
        self,
        thresholds: float | Sequence[float] | None = None,
        top_k: int | None = None,
        class_id: int | None = None,
        name: str | None = None,
        dtype: npt.DTypeLike | None = None,
    ) -> None:
        super().__init__(thresholds, top_k, class_id, name, dtype)


class Recall(_Share):
    """The share of positives whose prediction is above the threshold: tp / (tp + fn). Parameters as for Precision.

    Examples
    --------
    >>> round(Recall()([0, 1, 1, 1], [1, 0, 1, 1]), 6)
    0.666667
    """

    _kept = ("true_positives", "false_negatives")

    def __init__(
        self,
        thresholds: float | Sequence[float] | None = None,
        top_k: int | None = None,
        class_id: int | None = None,
        name: str | None = None,
        dtype: npt.DTypeLike | None = None,
    ) -> None:
        super().__init__(thresholds, top_k, class_id, name, dtype)
