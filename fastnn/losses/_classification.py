"""Losses of classes: cross-entropies, from probabilities or from logits, the divergence of distributions, and hinges.

Probabilities are clipped to [1e-7, 1 - 1e-7]; where that bites, the gradient is 0. From logits nothing is clipped.
"""

import warnings
from typing import Any

import numpy.typing as npt

from fastnn import _validate
from fastnn._validate import FloatArray
from fastnn.losses._base import Samples, TableLoss, move_axis

REDUCTION = "sum_over_batch_size"


class _Crossentropy(TableLoss):
    """What the cross-entropies share: from_logits, label_smoothing, axis."""

    def __init__(
        self,
        from_logits: bool,
        label_smoothing: float,
        axis: int,
        reduction: str | None,
        name: str | None,
        dtype: npt.DTypeLike | None,
    ) -> None:
        super().__init__(name, reduction, dtype)
        self.from_logits = _validate.flag(from_logits, "from_logits")
        self.label_smoothing = _validate.number(label_smoothing, "label_smoothing", minimum=0, maximum=1)
        self.axis = _validate.integer(axis, "axis")


class _OneHotCrossentropy(_Crossentropy):
    """What the cross-entropies of one-hot targets share: the help for class numbers."""

    def _table_samples(self, y_true: Any, y_pred: Any) -> Samples:
        _validate.not_class_numbers(y_true, y_pred, "sparse_categorical_crossentropy")
        return super()._table_samples(y_true, y_pred)

    def _check(self, y_true: FloatArray, y_pred: FloatArray) -> None:
        if y_pred.shape[self._axis(y_pred)] == 1:
            warnings.warn(
                f"{self.name}: y_pred of shape {y_pred.shape} has one class only; for two classes in one column use "
                "binary_crossentropy",
                SyntaxWarning,
                stacklevel=2,
            )


class BinaryCrossentropy(_Crossentropy):
    """mean -(y log p + (1 - y) log(1 - p)) over the last axis; from a logit z, max(z, 0) - z y + log(1 + e^-|z|).

    Shapes: y_true and y_pred (N, ..., n), a loss for each of (N, ...).

    Parameters
    ----------
    from_logits : bool
        Whether y_pred holds logits; if not, probabilities.
    label_smoothing : float
        s turns a label y into y (1 - s) + s / 2.
    axis : int
        Over which the mean is taken.

    Examples
    --------
    >>> round(BinaryCrossentropy()([[1.0]], [[0.7]]), 6)
    0.356675
    >>> BinaryCrossentropy(from_logits=True).gradient([[1.0]], [[0.0]])
    array([[-0.5]])
    """

    _row_name = "binary_crossentropy"
    _options = ("from_logits", "label_smoothing", "axis")

    def __init__(
        self,
        from_logits: bool = False,
        label_smoothing: float = 0.0,
        axis: int = -1,
        reduction: str | None = REDUCTION,
        name: str | None = "binary_crossentropy",
        dtype: npt.DTypeLike | None = None,
    ) -> None:
        super().__init__(from_logits, label_smoothing, axis, reduction, name, dtype)

    def _check(self, y_true: FloatArray, y_pred: FloatArray) -> None:
        _validate.in_unit_interval(y_true, "y_true")


class BinaryFocalCrossentropy(_Crossentropy):
    """mean a (1 - p_t)^gamma H(y, p) over the last axis, p_t = y p + (1 - y)(1 - p), H the binary cross-entropy.

    a is y alpha + (1 - y)(1 - alpha) with class balancing, and 1 without.

    Shapes: y_true and y_pred (N, ..., n), a loss for each of (N, ...).

    Parameters
    ----------
    apply_class_balancing : bool
        Whether to weigh the two classes.
    alpha : float
        The weight of class 1; that of class 0 is 1 - alpha.
    gamma : float
        How much easy samples are played down; 0 for not at all.
    from_logits, label_smoothing, axis
        As for BinaryCrossentropy.

    Examples
    --------
    >>> round(BinaryFocalCrossentropy()([[1.0]], [[0.7]]), 6)
    0.032101
    """

    _row_name = "binary_focal_crossentropy"
    _options = ("apply_class_balancing", "alpha", "gamma", "from_logits", "label_smoothing", "axis")

    def __init__(
        self,
        apply_class_balancing: bool = False,
        alpha: float = 0.25,
        gamma: float = 2.0,
        from_logits: bool = False,
        label_smoothing: float = 0.0,
        axis: int = -1,
        reduction: str | None = REDUCTION,
        name: str | None = "binary_focal_crossentropy",
        dtype: npt.DTypeLike | None = None,
    ) -> None:
        super().__init__(from_logits, label_smoothing, axis, reduction, name, dtype)
        self.apply_class_balancing = _validate.flag(apply_class_balancing, "apply_class_balancing")
        self.alpha = _validate.number(alpha, "alpha")
        self.gamma = _validate.number(gamma, "gamma", minimum=0)

    def _check(self, y_true: FloatArray, y_pred: FloatArray) -> None:
        _validate.in_unit_interval(y_true, "y_true")


class CategoricalCrossentropy(_OneHotCrossentropy):
    """-sum_k y_k log o_k, where o = p / sum p; from logits z, sum_k y_k (logsumexp(z) - z_k). y is one-hot.

    Shapes: y_true and y_pred (N, ..., K), a loss for each of (N, ...).

    Parameters
    ----------
    from_logits : bool
        Whether y_pred holds logits; if not, probabilities.
    label_smoothing : float
        s turns a target y_k into y_k (1 - s) + s / K, with K classes.
    axis : int
        Which axis holds the classes.

    Examples
    --------
    >>> round(CategoricalCrossentropy()([[0, 1, 0]], [[0.1, 0.7, 0.2]]), 6)
    0.356675
    """

    _row_name = "categorical_crossentropy"
    _options = ("from_logits", "label_smoothing", "axis")

    def __init__(
        self,
        from_logits: bool = False,
        label_smoothing: float = 0.0,
        axis: int = -1,
        reduction: str | None = REDUCTION,
        name: str | None = "categorical_crossentropy",
        dtype: npt.DTypeLike | None = None,
    ) -> None:
        super().__init__(from_logits, label_smoothing, axis, reduction, name, dtype)


class CategoricalFocalCrossentropy(_OneHotCrossentropy):
    """-sum_k alpha (1 - o_k)^gamma y_k log o_k, where o = p / sum p, clipped, and p = softmax(z) from logits.

    Shapes: y_true and y_pred (N, ..., K), a loss for each of (N, ...).

    Parameters
    ----------
    alpha : float
        A weight for all classes.
    gamma : float
        How much easy samples are played down; 0 for not at all.
    from_logits, label_smoothing, axis
        As for CategoricalCrossentropy.

    Examples
    --------
    >>> round(CategoricalFocalCrossentropy()([[0, 1, 0]], [[0.1, 0.7, 0.2]]), 6)
    0.008025
    """

    _row_name = "categorical_focal_crossentropy"
    _options = ("alpha", "gamma", "from_logits", "label_smoothing", "axis")

    def __init__(
        self,
        alpha: float = 0.25,
        gamma: float = 2.0,
        from_logits: bool = False,
        label_smoothing: float = 0.0,
        axis: int = -1,
        reduction: str | None = REDUCTION,
        name: str | None = "categorical_focal_crossentropy",
        dtype: npt.DTypeLike | None = None,
    ) -> None:
        super().__init__(from_logits, label_smoothing, axis, reduction, name, dtype)
        self.alpha = _validate.number(alpha, "alpha")
        self.gamma = _validate.number(gamma, "gamma", minimum=0)


class SparseCategoricalCrossentropy(TableLoss):
    """-log o_y of the class number y, where o = p / sum p; from logits z, logsumexp(z) - z_y.

    Shapes: y_true (N, ...) or (N, ..., 1), y_pred (N, ..., K), a loss for each of (N, ...).

    Parameters
    ----------
    from_logits : bool
        Whether y_pred holds logits; if not, probabilities.
    ignore_class : int, optional
        Samples of this class count for nothing, and the mean is that of the others.
    axis : int
        Which axis of y_pred holds the classes.

    Examples
    --------
    >>> round(SparseCategoricalCrossentropy()([1, 2], [[0.1, 0.7, 0.2], [0.2, 0.6, 0.2]]), 6)
    0.983056
    >>> loss = SparseCategoricalCrossentropy(from_logits=True, ignore_class=-1)
    >>> loss.gradient([0, -1], [[0.0, 0.0], [0.0, 0.0]])
    array([[-0.5,  0.5],
           [ 0. ,  0. ]])
    """

    _row_name = "sparse_categorical_crossentropy"
    _options = ("from_logits", "ignore_class", "axis")

    def __init__(
        self,
        from_logits: bool = False,
        ignore_class: int | None = None,
        reduction: str | None = REDUCTION,
        axis: int = -1,
        name: str | None = "sparse_categorical_crossentropy",
        dtype: npt.DTypeLike | None = None,
    ) -> None:
        super().__init__(name, reduction, dtype)
        self.from_logits = _validate.flag(from_logits, "from_logits")
        self.ignore_class = (
            None
            if ignore_class is None
            else _validate.integer(ignore_class, "ignore_class", minimum=-(2**31), maximum=2**31 - 1)
        )
        self.axis = _validate.integer(axis, "axis")

    def _table_samples(self, y_true: Any, y_pred: Any) -> Samples:
        given = _validate.predictions(y_pred, "y_pred", self._dtype)
        axis = self._axis(given)
        predictions = move_axis(given, axis, -1)
        labels = _validate.class_numbers(y_true, given, "categorical_crossentropy", axis, self.ignore_class)
        counted = None if self.ignore_class is None else labels != self.ignore_class
        return self._row(labels.shape, predictions.shape[-1], labels, predictions, given.shape, axis, counted=counted)


class KLDivergence(TableLoss):
    """sum_k y_k log(y_k / p_k) over the last axis, both clipped to [1e-7, 1]: how far p is from the distribution y.

    Shapes: y_true and y_pred (N, ..., K), a loss for each of (N, ...).

    Examples
    --------
    >>> round(KLDivergence()([[0.7, 0.2, 0.1]], [[0.6, 0.3, 0.1]]), 6)
    0.026812
    """

    _row_name = "kl_divergence"

    def __init__(
        self, reduction: str | None = REDUCTION, name: str | None = "kl_divergence", dtype: npt.DTypeLike | None = None
    ) -> None:
        super().__init__(name, reduction, dtype)


class Hinge(TableLoss):
    """mean max(0, 1 - y p) over the last axis, labels y = -1 or +1, where 0 means -1.

    Shapes: y_true and y_pred (N, ..., n), a loss for each of (N, ...).

    Examples
    --------
    >>> Hinge(reduction="none")([[1], [1], [1]], [[2.0], [0.5], [-0.5]])
    array([0. , 0.5, 1.5])
    """

    _row_name = "hinge"

    def __init__(
        self, reduction: str | None = REDUCTION, name: str | None = "hinge", dtype: npt.DTypeLike | None = None
    ) -> None:
        super().__init__(name, reduction, dtype)

    def _check(self, y_true: FloatArray, y_pred: FloatArray) -> None:
        _validate.hinge_labels(y_true, "y_true")


class SquaredHinge(TableLoss):
    """mean max(0, 1 - y p)^2 over the last axis, labels y = -1 or +1, where 0 means -1.

    Shapes: y_true and y_pred (N, ..., n), a loss for each of (N, ...).

    Examples
    --------
    >>> SquaredHinge()([[1]], [[-0.5]])
    2.25
    """

    _row_name = "squared_hinge"

    def __init__(
        self, reduction: str | None = REDUCTION, name: str | None = "squared_hinge", dtype: npt.DTypeLike | None = None
    ) -> None:
        super().__init__(name, reduction, dtype)

    def _check(self, y_true: FloatArray, y_pred: FloatArray) -> None:
        _validate.hinge_labels(y_true, "y_true")


class CategoricalHinge(TableLoss):
    """max(0, 1 + max_k (1 - y_k) p_k - sum_k y_k p_k) for one-hot y: the right score, one above every other.

    Shapes: y_true and y_pred (N, ..., K), a loss for each of (N, ...).

    Examples
    --------
    >>> CategoricalHinge()([[0, 1, 0]], [[0.5, 2.0, 1.5]])
    0.5
    """

    _row_name = "categorical_hinge"

    def __init__(
        self,
        reduction: str | None = REDUCTION,
        name: str | None = "categorical_hinge",
        dtype: npt.DTypeLike | None = None,
    ) -> None:
        super().__init__(name, reduction, dtype)
