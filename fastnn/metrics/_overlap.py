"""Metrics of how far predicted classes and true classes overlap: F-scores and intersections over unions."""

from collections.abc import Sequence
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt

from fastnn import _validate
from fastnn.metrics._base import Doubles, Metric, Variable
from fastnn.metrics._confusion import ratio

AVERAGES = ("micro", "macro", "weighted")
COUNTS = ("true_positives", "false_positives", "false_negatives", "intermediate_weights")


class FBetaScore(Metric):
    """(1 + b^2) precision recall / (b^2 precision + recall) of each class; 0 where there is nothing to score.

    Parameters
    ----------
    average : str or None
        None for an array with the score of each class, "macro" for their mean, "weighted" for their mean weighted by
        how often each class is true, "micro" for the score of all counts together.
    beta : float
        b: how many times as much recall counts as precision.
    threshold : float, optional
        Above it a prediction is positive, from 0 (excluded) to 1. None takes the largest of each row, if it is not 0.
    name : str
        The metric's name.
    dtype : str or dtype, optional
        As for Metric.

    Examples
    --------
    >>> score = FBetaScore(beta=2.0, threshold=0.5)
    >>> score([[1, 1, 1], [1, 0, 0], [1, 1, 0]], [[0.2, 0.6, 0.7], [0.2, 0.6, 0.6], [0.6, 0.8, 0.0]]).round(6)
    array([0.384615, 0.909091, 0.833333])
    """

    _direction = "up"
    _options: ClassVar[tuple[str, ...]] = ("average", "beta", "threshold")
    true_positives: Variable
    false_positives: Variable
    false_negatives: Variable
    intermediate_weights: Variable

    def __init__(
        self,
        average: str | None = None,
        beta: float = 1.0,
        threshold: float | None = None,
        name: str | None = "fbeta_score",
        dtype: npt.DTypeLike | None = None,
    ) -> None:
        super().__init__(dtype, name)
        self.average = None if average is None else _validate.choice(average, "average", AVERAGES)
        self.beta = _validate.number(beta, "beta", above=0)
        self.threshold = None if threshold is None else _validate.number(threshold, "threshold", above=0, maximum=1)
        self._outputs: int | None = None

    def update_state(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> None:
        """Take in a batch of shape (samples, classes); y_true is 0 or 1."""
        targets, predictions = self._pair(y_true, y_pred)
        if predictions.ndim != 2 or self._outputs not in (None, predictions.shape[1]):
            raise ValueError(f"y_pred: expected shape (samples, {self._outputs or 'classes'}), got {predictions.shape}")
        if self._outputs is None:
            self._outputs = predictions.shape[1]
            for name in COUNTS:
                setattr(self, name, self.add_variable(() if self.average == "micro" else (self._outputs,), name=name))
        if self.threshold is None:
            positive = (predictions >= predictions.max(axis=-1, keepdims=True)) & (np.abs(predictions) > 1e-9)
        else:
            positive = predictions > predictions.dtype.type(self.threshold)
        y, p = targets.astype(np.float64), positive.astype(np.float64)
        w: Any = 1.0 if sample_weight is None else _validate.sample_weights(sample_weight, predictions.shape)
        axis = None if self.average == "micro" else 0
        for name, cases in zip(COUNTS, (p * y, p * (1 - y), (1 - p) * y, y), strict=True):
            getattr(self, name).assign_add(np.sum(w * cases, axis=axis))

    def result(self) -> Any:
        """The score: a float, or an array without an average."""
        if self._outputs is None:
            return 0.0
        precision = ratio(self.true_positives, self.true_positives + self.false_positives)
        recall = ratio(self.true_positives, self.true_positives + self.false_negatives)
        square = self.beta**2
        scores = ratio((1 + square) * precision * recall, square * precision + recall)
        if self.average is None:
            return scores
        if self.average == "weighted":
            return float(ratio(np.sum(scores * self.intermediate_weights), np.sum(self.intermediate_weights)))
        return float(np.mean(scores))


class F1Score(FBetaScore):
    """2 precision recall / (precision + recall) of each class. Parameters as for FBetaScore, without beta.

    Examples
    --------
    >>> score = F1Score(threshold=0.5)
    >>> score([[1, 1, 1], [1, 0, 0], [1, 1, 0]], [[0.2, 0.6, 0.7], [0.2, 0.6, 0.6], [0.6, 0.8, 0.0]]).round(6)
    array([0.5     , 0.8     , 0.666667])
    """

    _options: ClassVar[tuple[str, ...]] = ("average", "threshold")

    def __init__(
        self,
        average: str | None = None,
        threshold: float | None = None,
        name: str | None = "f1_score",
        dtype: npt.DTypeLike | None = None,
    ) -> None:
        super().__init__(average, 1.0, threshold, name, dtype)


class IoU(Metric):
    """tp / (tp + fp + fn) of some classes, and the mean of those that occur: intersection over union.

    A pair of which one number is none of 0 to num_classes - 1 does not count.

    Parameters
    ----------
    num_classes : int
        How many classes there are.
    target_class_ids : sequence of int
        Those that the mean is taken over.
    name : str, optional
        The metric's name.
    dtype : str or dtype, optional
        As for Metric.
    ignore_class : int, optional
        A class number of y_true to be left out, such as 255 for pixels without a label.
    sparse_y_true, sparse_y_pred : bool
        Whether y_true, y_pred holds class numbers; if not, rows of which the largest counts.
    axis : int
        Which axis of rows holds the classes.

    Examples
    --------
    >>> round(IoU(num_classes=2, target_class_ids=[0])([0, 0, 1, 1], [0, 1, 0, 1]), 6)
    0.333333
    """

    _direction = "up"
    _options: ClassVar[tuple[str, ...]] = (
        "num_classes",
        "target_class_ids",
        "ignore_class",
        "sparse_y_true",
        "sparse_y_pred",
        "axis",
    )

    def __init__(
        self,
        num_classes: int,
        target_class_ids: Sequence[int],
        name: str | None = None,
        dtype: npt.DTypeLike | None = None,
        ignore_class: int | None = None,
        sparse_y_true: bool = True,
        sparse_y_pred: bool = True,
        axis: int = -1,
    ) -> None:
        super().__init__(dtype, name)
        self.num_classes = _validate.integer(num_classes, "num_classes", minimum=1)
        given = _validate.items(target_class_ids, "target_class_ids", "class numbers")
        if not given:
            raise ValueError("target_class_ids: expected at least one class number, got none")
        self.target_class_ids = [
            _validate.integer(one, "target_class_ids", minimum=0, maximum=num_classes - 1) for one in given
        ]
        self.ignore_class = None if ignore_class is None else _validate.integer(ignore_class, "ignore_class")
        self.sparse_y_true = _validate.flag(sparse_y_true, "sparse_y_true")
        self.sparse_y_pred = _validate.flag(sparse_y_pred, "sparse_y_pred")
        self.axis = _validate.integer(axis, "axis")
        self.total_cm = self.add_variable((num_classes, num_classes), name="total_confusion_matrix")

    def update_state(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> None:
        """Take in a batch of class numbers, or of rows; sample_weight is one number for each class number or sample."""
        true, predicted = self._classes(y_true, "y_true", self.sparse_y_true), self._predicted(y_pred)
        if true.ndim == predicted.ndim + 1 and true.shape[-1] == 1:
            true = true[..., 0]
        if predicted.ndim == true.ndim + 1 and predicted.shape[-1] == 1:
            predicted = predicted[..., 0]
        if true.shape != predicted.shape:
            raise ValueError(
                f"y_true: expected as many classes as in y_pred, so shape {predicted.shape}, got {true.shape}"
            )
        weights = None if sample_weight is None else _validate.sample_weights(sample_weight, true.shape)
        counted = self._are_classes(true, "y_true") & self._are_classes(predicted, "y_pred")
        if self.ignore_class is not None:
            counted &= true != self.ignore_class
        cells = true[counted].astype(np.int64) * self.num_classes + predicted[counted].astype(np.int64)
        sums = np.bincount(cells, None if weights is None else weights[counted], self.num_classes**2)
        self.total_cm.assign_add(sums.reshape(self.total_cm.shape))

    def _are_classes(self, array: npt.NDArray[Any], name: str) -> npt.NDArray[np.bool_]:
        """Which of some whole numbers are classes."""
        _validate.whole_numbers(array, name)
        are: npt.NDArray[np.bool_] = (array >= 0) & (array < self.num_classes)
        return are

    def _predicted(self, y_pred: Any) -> npt.NDArray[Any]:
        return self._classes(y_pred, "y_pred", self.sparse_y_pred)

    def _classes(self, value: Any, name: str, sparse: bool) -> npt.NDArray[Any]:
        numbers = _validate.numbers(value, name)
        return numbers if sparse else np.argmax(numbers, axis=self.axis)

    def result(self) -> Any:
        """The mean over the target classes that occur; 0 where none does."""
        found = np.diag(self.total_cm.value)
        union: Doubles = self.total_cm.value.sum(axis=0) + self.total_cm.value.sum(axis=1) - found
        chosen = np.array(self.target_class_ids, dtype=np.intp)
        return float(ratio(ratio(found, union)[chosen].sum(), np.count_nonzero(union[chosen])))


class BinaryIoU(IoU):
    """IoU of two classes, of which a prediction is 1 where it is at least the threshold.

    Parameters
    ----------
    target_class_ids : sequence of int
        (0,), (1,) or both.
    threshold : float
        0 for logits.
    name : str, optional
        The metric's name.
    dtype : str or dtype, optional
        As for Metric.

    Examples
    --------
    >>> round(BinaryIoU(threshold=0.3)([0, 1, 0, 1], [0.1, 0.2, 0.4, 0.7]), 6)
    0.333333
    """

    _options: ClassVar[tuple[str, ...]] = ("target_class_ids", "threshold")

    def __init__(
        self,
        target_class_ids: Sequence[int] = (0, 1),
        threshold: float = 0.5,
        name: str | None = None,
        dtype: npt.DTypeLike | None = None,
    ) -> None:
        super().__init__(2, target_class_ids, name, dtype)
        self.threshold = _validate.number(threshold, "threshold")

    def _predicted(self, y_pred: Any) -> npt.NDArray[Any]:
        scores = _validate.floats(y_pred, "y_pred", self._dtype)
        return (scores >= scores.dtype.type(self.threshold)).astype(np.int32)


class MeanIoU(IoU):
    """The mean IoU of all classes that occur. Parameters as for IoU, without target_class_ids.

    Examples
    --------
    >>> round(MeanIoU(num_classes=2)([0, 0, 1, 1], [0, 1, 0, 1]), 6)
    0.333333
    """

    _options: ClassVar[tuple[str, ...]] = ("num_classes", "ignore_class", "sparse_y_true", "sparse_y_pred", "axis")

    def __init__(
        self,
        num_classes: int,
        name: str | None = None,
        dtype: npt.DTypeLike | None = None,
        ignore_class: int | None = None,
        sparse_y_true: bool = True,
        sparse_y_pred: bool = True,
        axis: int = -1,
    ) -> None:
        ids = range(_validate.integer(num_classes, "num_classes", minimum=1))
        super().__init__(num_classes, ids, name, dtype, ignore_class, sparse_y_true, sparse_y_pred, axis)


class OneHotIoU(IoU):
    """IoU of one-hot targets. Parameters as for IoU, without sparse_y_true; sparse_y_pred is False.

    Examples
    --------
    >>> OneHotIoU(num_classes=2, target_class_ids=[0])([[1, 0], [0, 1], [1, 0]], [[0.9, 0.1], [0.8, 0.2], [0.2, 0.8]])
    0.3333333333333333
    """

    _options: ClassVar[tuple[str, ...]] = ("num_classes", "target_class_ids", "ignore_class", "sparse_y_pred", "axis")

    def __init__(
        self,
        num_classes: int,
        target_class_ids: Sequence[int],
        name: str | None = None,
        dtype: npt.DTypeLike | None = None,
        ignore_class: int | None = None,
        sparse_y_pred: bool = False,
        axis: int = -1,
    ) -> None:
        super().__init__(num_classes, target_class_ids, name, dtype, ignore_class, False, sparse_y_pred, axis)


class OneHotMeanIoU(MeanIoU):
    """MeanIoU of one-hot targets. Parameters as for MeanIoU, without sparse_y_true; sparse_y_pred is False.

    Examples
    --------
    >>> OneHotMeanIoU(num_classes=2)([[1, 0], [0, 1], [1, 0]], [[0.9, 0.1], [0.8, 0.2], [0.2, 0.8]])
    0.16666666666666666
    """

    _options: ClassVar[tuple[str, ...]] = ("num_classes", "ignore_class", "sparse_y_pred", "axis")

    def __init__(
        self,
        num_classes: int,
        name: str | None = None,
        dtype: npt.DTypeLike | None = None,
        ignore_class: int | None = None,
        sparse_y_pred: bool = False,
        axis: int = -1,
    ) -> None:
        super().__init__(num_classes, name, dtype, ignore_class, False, sparse_y_pred, axis)
