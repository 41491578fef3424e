"""Metrics over all thresholds: the area under a curve, and the best of one share where another is large enough."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from fastnn import _validate, activations
from fastnn._validate import FloatArray
from fastnn.metrics._base import Doubles, Variable
from fastnn.metrics._confusion import Counts, _AtThresholds, count, ratio

ALL = ("true_positives", "false_positives", "true_negatives", "false_negatives")
EPSILON = 1e-7


class _Cases(_AtThresholds):
    """All four counts at each threshold."""

    _kept = ALL
    true_positives: Variable
    false_positives: Variable
    true_negatives: Variable
    false_negatives: Variable

    def _recall(self) -> Doubles:
        return ratio(self.true_positives, self.true_positives + self.false_negatives)

    def _precision(self) -> Doubles:
        return ratio(self.true_positives, self.true_positives + self.false_positives)

    def _specificity(self) -> Doubles:
        return ratio(self.true_negatives, self.true_negatives + self.false_positives)


class _BestAt(_Cases):
    """The largest of one share over the thresholds where another is at least `_bound`."""

    _direction = "up"
    _bound: float

    def __init__(
        self, num_thresholds: int, class_id: int | None, name: str | None, dtype: npt.DTypeLike | None
    ) -> None:
        super().__init__(dtype, name)
        self.num_thresholds = _validate.integer(num_thresholds, "num_thresholds", minimum=1)
        self.class_id = None if class_id is None else _validate.integer(class_id, "class_id", minimum=0)
        last = num_thresholds - 1
        self.thresholds = [i / last for i in range(num_thresholds)] if last else [0.5]
        self._keep((num_thresholds,))

    def _best(self, wanted: Doubles, bounded: Doubles) -> float:
        return float(np.max(wanted[bounded >= self._bound], initial=0.0))


class SensitivityAtSpecificity(_BestAt):
    """The best sensitivity tp / (tp + fn) at a threshold where the specificity tn / (tn + fp) is large enough.

    Parameters
    ----------
    specificity : float
        How large it must be at least, from 0 to 1.
    num_thresholds : int
        How many thresholds are tried, evenly spread over [0, 1].
    class_id : int, optional
        Look at this column only.
    name : str, optional
        The metric's name.
    dtype : str or dtype, optional
        As for Metric.

    Examples
    --------
    >>> SensitivityAtSpecificity(0.5)([0, 0, 0, 1, 1], [0, 0.3, 0.8, 0.3, 0.8])
    0.5
    """

    _options = ("num_thresholds", "class_id", "specificity")

    def __init__(
        self,
        specificity: float,
        num_thresholds: int = 200,
        class_id: int | None = None,
        name: str | None = None,
        dtype: npt.DTypeLike | None = None,
    ) -> None:
        super().__init__(num_thresholds, class_id, name, dtype)
        self.specificity = self._bound = _validate.number(specificity, "specificity", minimum=0, maximum=1)

    def result(self) -> Any:
        """The best sensitivity; 0 where no threshold is good enough."""
        return self._best(self._recall(), self._specificity())


class SpecificityAtSensitivity(_BestAt):
    """The best specificity tn / (tn + fp) at a threshold where the sensitivity tp / (tp + fn) is large enough.

    Parameters
    ----------
    sensitivity : float
        How large it must be at least, from 0 to 1.
    num_thresholds, class_id, name, dtype
        As for SensitivityAtSpecificity.

    Examples
    --------
    >>> round(SpecificityAtSensitivity(0.5)([0, 0, 0, 1, 1], [0, 0.3, 0.8, 0.3, 0.8]), 6)
    0.666667
    """

    _options = ("num_thresholds", "class_id", "sensitivity")

    def __init__(
        self,
        sensitivity: float,
        num_thresholds: int = 200,
        class_id: int | None = None,
        name: str | None = None,
        dtype: npt.DTypeLike | None = None,
    ) -> None:
        super().__init__(num_thresholds, class_id, name, dtype)
        self.sensitivity = self._bound = _validate.number(sensitivity, "sensitivity", minimum=0, maximum=1)

    def result(self) -> Any:
        """The best specificity; 0 where no threshold is good enough."""
        return self._best(self._specificity(), self._recall())


class PrecisionAtRecall(_BestAt):
    """The best precision tp / (tp + fp) at a threshold where the recall tp / (tp + fn) is large enough.

    Parameters
    ----------
    recall : float
        How large it must be at least, from 0 to 1.
    num_thresholds, class_id, name, dtype
        As for SensitivityAtSpecificity.

    Examples
    --------
    >>> PrecisionAtRecall(0.5)([0, 0, 0, 1, 1], [0, 0.3, 0.8, 0.3, 0.8])
    0.5
    """

    _options = ("num_thresholds", "class_id", "recall")

    def __init__(
        self,
        recall: float,
        num_thresholds: int = 200,
        class_id: int | None = None,
        name: str | None = None,
        dtype: npt.DTypeLike | None = None,
    ) -> None:
        super().__init__(num_thresholds, class_id, name, dtype)
        self.recall = self._bound = _validate.number(recall, "recall", minimum=0, maximum=1)

    def result(self) -> Any:
        """The best precision; 0 where no threshold is good enough."""
        return self._best(self._precision(), self._recall())


class RecallAtPrecision(_BestAt):
    """The best recall tp / (tp + fn) at a threshold where the precision tp / (tp + fp) is large enough.

    Parameters
    ----------
    precision : float
        How large it must be at least, from 0 to 1.
    num_thresholds, class_id, name, dtype
        As for SensitivityAtSpecificity.

    Examples
    --------
    >>> RecallAtPrecision(0.8)([0, 0, 1, 1], [0, 0.5, 0.3, 0.9])
    0.5
    """

    _options = ("num_thresholds", "class_id", "precision")

    def __init__(
        self,
        precision: float,
        num_thresholds: int = 200,
        class_id: int | None = None,
        name: str | None = None,
        dtype: npt.DTypeLike | None = None,
    ) -> None:
        super().__init__(num_thresholds, class_id, name, dtype)
        self.precision = self._bound = _validate.number(precision, "precision", minimum=0, maximum=1)

    def result(self) -> Any:
        """The best recall; 0 where no threshold is good enough."""
        return self._best(self._recall(), self._precision())


class AUC(_Cases):
    """The area under a curve that a threshold draws as it goes from 1 to 0, approximated at fixed thresholds.

    Parameters
    ----------
    num_thresholds : int
        How many thresholds there are, the first just below 0 and the last just above 1, evenly spread between.
    curve : str
        "ROC": true positive rate over false positive rate. "PR": precision over recall. "PRGAIN": their gains.
    summation_method : str
        "interpolation", the trapezoidal rule (for PR, with counts interpolated, after Davis and Goadrich 2006);
        "minoring", the lower, or "majoring", the upper sum.
    name : str, optional
        The metric's name.
    dtype : str or dtype, optional
        As for Metric.
    thresholds : sequence of float, optional
        Thresholds from 0 to 1 in place of the even ones; those just below 0 and above 1 are added.
    multi_label : bool
        Whether each column has a curve of its own, and the mean of their areas is taken.
    num_labels : int, optional
        How many columns there will be with multi_label; the first batch tells.
    label_weights : sequence of float, optional
        A weight for each column: of its area with multi_label, of its predictions without.
    from_logits : bool
        Whether y_pred holds logits; if not, probabilities from 0 to 1 (others are taken as the nearer of the two).

    Examples
    --------
    >>> AUC(num_thresholds=3)([0, 0, 1, 1], [0, 0.5, 0.3, 0.9])
    0.75
    """

    _direction = "up"
    clipped = True
    _options = ("num_thresholds", "curve", "summation_method", "multi_label", "num_labels", "from_logits")

    def __init__(
        self,
        num_thresholds: int = 200,
        curve: str = "ROC",
        summation_method: str = "interpolation",
        name: str | None = None,
        dtype: npt.DTypeLike | None = None,
        thresholds: Sequence[float] | None = None,
        multi_label: bool = False,
        num_labels: int | None = None,
        label_weights: Any = None,
        from_logits: bool = False,
    ) -> None:
        super().__init__(dtype, name)
        self.curve = _validate.choice(str(curve).upper(), "curve", ("ROC", "PR", "PRGAIN"))
        self.summation_method = _validate.choice(
            str(summation_method).lower(), "summation_method", ("interpolation", "minoring", "majoring")
        )
        if thresholds is None:
            last = _validate.integer(num_thresholds, "num_thresholds", minimum=2) - 1
            self._inner: list[float] | None = None
            inner = [i / last for i in range(1, last)]
        else:
            given = _validate.items(thresholds, "thresholds", "numbers")
            inner = sorted(_validate.number(value, "thresholds", minimum=0, maximum=1) for value in given)
            self._inner = inner
        self.thresholds = [-EPSILON, *inner, 1 + EPSILON]
        self.num_thresholds = len(self.thresholds)
        self.multi_label = _validate.flag(multi_label, "multi_label")
        self.from_logits = _validate.flag(from_logits, "from_logits")
        self.num_labels = None if num_labels is None else _validate.integer(num_labels, "num_labels", minimum=1)
        if self.num_labels and not self.multi_label:
            raise ValueError(f"num_labels: only multi_label=True counts labels, got num_labels={num_labels}")
        self.label_weights: Doubles | None = None
        if label_weights is not None:
            self.label_weights = np.array(_validate.floats(label_weights, "label_weights", np.float64))
            if self.label_weights.ndim != 1 or not (self.label_weights >= 0).all():
                raise ValueError(f"label_weights: expected a number >= 0 for each label, got {label_weights!r}")
        if not self.multi_label:
            self._keep((self.num_thresholds,))
        elif self.num_labels:
            self._keep((self.num_thresholds, self.num_labels))

    def get_config(self) -> dict[str, Any]:
        weights = None if self.label_weights is None else self.label_weights.tolist()
        config = super().get_config() | {"label_weights": weights}
        return config if self._inner is None else config | {"thresholds": self._inner}

    def _checked(self, y_true: Any, y_pred: Any, sample_weight: Any) -> tuple[FloatArray, FloatArray, Doubles | None]:
        targets, predictions, weights = super()._checked(y_true, y_pred, sample_weight)
        if self.from_logits:
            predictions = activations.sigmoid(predictions)
        if self.label_weights is not None and predictions.shape[-1:] != self.label_weights.shape:
            raise ValueError(
                f"y_pred: expected a column for each of {self.label_weights.size} label_weights, got shape "
                f"{predictions.shape}"
            )
        if self.multi_label:
            self._build(predictions.shape)
        elif self.label_weights is not None:
            weights = np.broadcast_to(self.label_weights, predictions.shape) * (1.0 if weights is None else weights)
        return targets, predictions, weights

    def _build(self, shape: tuple[int, ...]) -> None:
        known = None if not self._variables else self.true_positives.shape[1]
        if len(shape) != 2 or known not in (None, shape[1]):
            raise ValueError(f"y_pred: multi_label expects shape (samples, {known or 'labels'}), got {shape}")
        if known is None:
            self._keep((self.num_thresholds, shape[1]))

    def _count(self, y_true: FloatArray, y_pred: FloatArray, weights: Doubles | None) -> Counts:
        if not self.multi_label:
            return super()._count(y_true, y_pred, weights)
        inside: Any = np.clip(y_pred, 0, 1)
        limits = np.array(self.thresholds)
        columns = [
            count(y_true[:, j], inside[:, j], None if weights is None else weights[:, j], limits)
            for j in range(inside.shape[1])
        ]
        return Counts(*(np.stack(parts, axis=-1) for parts in zip(*columns, strict=True)))

    def result(self) -> Any:
        """The area; 0 where nothing was counted."""
        if not self._variables:
            return 0.0
        if self.curve == "PR" and self.summation_method == "interpolation":
            areas = self._interpolated_precision()
        else:
            x, y = {"ROC": self._roc, "PR": self._pr, "PRGAIN": self._gains}[self.curve]()
            left, right = y[:-1], y[1:]
            heights = {
                "interpolation": (left + right) / 2,
                "minoring": np.minimum(left, right),
                "majoring": np.maximum(left, right),
            }[self.summation_method]
            areas = np.sum((x[:-1] - x[1:]) * heights, axis=0)
        if not self.multi_label:
            return float(areas)
        if self.label_weights is None:
            return float(np.mean(areas))
        return float(ratio(np.sum(areas * self.label_weights), np.sum(self.label_weights)))

    def _roc(self) -> tuple[Doubles, Doubles]:
        return ratio(self.false_positives, self.false_positives + self.true_negatives), self._recall()

    def _pr(self) -> tuple[Doubles, Doubles]:
        return self._recall(), self._precision()

    def _gains(self) -> tuple[Doubles, Doubles]:
        """Recall gain 1 - (P / N) fn / tp, at least 0, and precision gain 1 - (P / N) fp / tp."""
        tp, fp, tn, fn = (getattr(self, name).value for name in ALL)
        odds, found = ratio(tp + fn, tn + fp), tp > 0
        recall_gain = np.where(found, 1 - odds * ratio(fn, tp), 0.0)
        return np.maximum(recall_gain, 0.0), np.where(found, 1 - odds * ratio(fp, tp), 1.0)

    def _interpolated_precision(self) -> Doubles:
        """Between two thresholds tp goes linearly with p = tp + fp, with a slope s: tp = s p + c. The area there is
        the integral of (tp / p) dtp over all positives, s (delta tp + c log(p ratio)) / (tp + fn)."""
        tp, fp, _, fn = (getattr(self, name).value for name in ALL)
        p = tp + fp
        gained = tp[:-1] - tp[1:]
        slope = ratio(gained, np.maximum(p[:-1] - p[1:], 0))
        offset = tp[1:] - slope * p[1:]
        both = (p[:-1] > 0) & (p[1:] > 0)
        growth = np.log(np.where(both, ratio(p[:-1], p[1:]), 1.0), where=both, out=np.zeros(p[1:].shape))
        area: Doubles = np.sum(ratio(slope * (gained + offset * growth), tp[1:] + fn[1:]), axis=0)
        return area
