"""The losses as functions: one loss for each sample, in y_pred's dtype, neither weighed nor reduced."""

from typing import Any

from fastnn.losses import _classification as classes
from fastnn.losses import _ranking as ranking
from fastnn.losses import _regression as regression


def mean_squared_error(y_true: Any, y_pred: Any) -> Any:
    """mean (p - y)^2 over the last axis.

    >>> mean_squared_error([[0.0, 1.0], [0.0, 0.0]], [[1.0, 1.0], [2.0, 2.0]])
    array([0.5, 4. ])
    """
    return regression.MeanSquaredError().call(y_true, y_pred)


def half_mean_squared_error(y_true: Any, y_pred: Any) -> Any:
    """mean (p - y)^2 / 2 over the last axis.

    >>> half_mean_squared_error([[0.0, 1.0], [0.0, 0.0]], [[1.0, 1.0], [2.0, 2.0]])
    array([0.25, 2.  ])
    """
    return regression.HalfMeanSquaredError().call(y_true, y_pred)


def mean_absolute_error(y_true: Any, y_pred: Any) -> Any:
    """mean |p - y| over the last axis.

    >>> mean_absolute_error([[0.0, 1.0], [0.0, 0.0]], [[1.0, 1.0], [2.0, 4.0]])
    array([0.5, 3. ])
    """
    return regression.MeanAbsoluteError().call(y_true, y_pred)


def huber(y_true: Any, y_pred: Any, delta: float = 1.0) -> Any:
    """mean over the last axis of e^2 / 2 where |e| <= delta, delta |e| - delta^2 / 2 elsewhere, with e = p - y.

    >>> huber([[0.0], [0.0]], [[0.5], [3.0]])
    array([0.125, 2.5  ])
    """
    return regression.Huber(delta).call(y_true, y_pred)


def smooth_l1(y_true: Any, y_pred: Any, beta: float = 1.0) -> Any:
    """huber with delta = beta, over beta.

    >>> smooth_l1([[0.0], [0.0]], [[0.5], [3.0]], beta=2.0)
    array([0.0625, 2.    ])
    """
    return regression.SmoothL1(beta).call(y_true, y_pred)


def log_cosh(y_true: Any, y_pred: Any) -> Any:
    """mean log cosh(p - y) over the last axis.

    >>> log_cosh([[0.0], [0.0]], [[0.5], [3.0]]).round(4)
    array([0.1201, 2.3093])
    """
    return regression.LogCosh().call(y_true, y_pred)


def mean_absolute_percentage_error(y_true: Any, y_pred: Any) -> Any:
    """mean 100 |p - y| / max(|y|, 1e-7) over the last axis.

    >>> mean_absolute_percentage_error([[4.0], [2.0]], [[5.0], [1.0]])
    array([25., 50.])
    """
    return regression.MeanAbsolutePercentageError().call(y_true, y_pred)


def mean_squared_logarithmic_error(y_true: Any, y_pred: Any) -> Any:
    """mean (log(1 + p) - log(1 + y))^2 over the last axis, p and y at least 1e-7.

    >>> mean_squared_logarithmic_error([[0.0], [3.0]], [[1.0], [3.0]]).round(4)
    array([0.4805, 0.    ])
    """
    return regression.MeanSquaredLogarithmicError().call(y_true, y_pred)


def poisson(y_true: Any, y_pred: Any) -> Any:
    """mean p - y log(p + 1e-7) over the last axis.

    >>> poisson([[2.0], [0.0]], [[1.0], [3.0]]).round(4)
    array([1., 3.])
    """
    return regression.Poisson().call(y_true, y_pred)


def binary_crossentropy(
    y_true: Any, y_pred: Any, from_logits: bool = False, label_smoothing: float = 0.0, axis: int = -1
) -> Any:
    """mean -(y log p + (1 - y) log(1 - p)) over an axis, of probabilities or of sigmoid(logits).

    >>> binary_crossentropy([[1.0], [0.0]], [[0.9], [0.9]]).round(4)
    array([0.1054, 2.3026])
    >>> binary_crossentropy([[1.0]], [[0.0]], from_logits=True).round(4)
    array([0.6931])
    """
    return classes.BinaryCrossentropy(from_logits, label_smoothing, axis).call(y_true, y_pred)


def binary_focal_crossentropy(
    y_true: Any,
    y_pred: Any,
    apply_class_balancing: bool = False,
    alpha: float = 0.25,
    gamma: float = 2.0,
    from_logits: bool = False,
    label_smoothing: float = 0.0,
    axis: int = -1,
) -> Any:
    """mean a (1 - p_t)^gamma H(y, p) over an axis; see BinaryFocalCrossentropy.

    >>> binary_focal_crossentropy([[1.0], [1.0]], [[0.9], [0.5]]).round(4)
    array([0.0011, 0.1733])
    """
    loss = classes.BinaryFocalCrossentropy(apply_class_balancing, alpha, gamma, from_logits, label_smoothing, axis)
    return loss.call(y_true, y_pred)


def kl_divergence(y_true: Any, y_pred: Any) -> Any:
    """sum y log(y / p) over the last axis, both clipped to [1e-7, 1].

    >>> kl_divergence([[0.7, 0.2, 0.1]], [[0.6, 0.3, 0.1]]).round(4)
    array([0.0268])
    """
    return classes.KLDivergence().call(y_true, y_pred)


def hinge(y_true: Any, y_pred: Any) -> Any:
    """mean max(0, 1 - y p) over the last axis, labels -1 and +1 (0 means -1).

    >>> hinge([[1], [1], [1]], [[2.0], [0.5], [-0.5]])
    array([0. , 0.5, 1.5])
    """
    return classes.Hinge().call(y_true, y_pred)


def squared_hinge(y_true: Any, y_pred: Any) -> Any:
    """mean max(0, 1 - y p)^2 over the last axis, labels -1 and +1 (0 means -1).

    >>> squared_hinge([[1], [1], [1]], [[2.0], [0.5], [-0.5]])
    array([0.  , 0.25, 2.25])
    """
    return classes.SquaredHinge().call(y_true, y_pred)


def categorical_crossentropy(
    y_true: Any, y_pred: Any, from_logits: bool = False, label_smoothing: float = 0.0, axis: int = -1
) -> Any:
    """-sum_k y_k log o_k along an axis, o = p / sum p or softmax(logits), of one-hot targets.

    >>> categorical_crossentropy([[0, 1, 0]], [[0.1, 0.7, 0.2]]).round(4)
    array([0.3567])
    """
    return classes.CategoricalCrossentropy(from_logits, label_smoothing, axis).call(y_true, y_pred)


def sparse_categorical_crossentropy(
    y_true: Any, y_pred: Any, from_logits: bool = False, ignore_class: int | None = None, axis: int = -1
) -> Any:
    """-log o_y along an axis, o = p / sum p or softmax(logits), of class numbers; 0 for the ignored class.

    >>> sparse_categorical_crossentropy([0, 2], [[0.5, 0.25, 0.25], [0.0, 1.0, 1.0]]).round(4)
    array([0.6931, 0.6931])
    """
    return classes.SparseCategoricalCrossentropy(from_logits, ignore_class, axis=axis).call(y_true, y_pred)


def categorical_focal_crossentropy(
    y_true: Any,
    y_pred: Any,
    alpha: float = 0.25,
    gamma: float = 2.0,
    from_logits: bool = False,
    label_smoothing: float = 0.0,
    axis: int = -1,
) -> Any:
    """-sum_k alpha (1 - o_k)^gamma y_k log o_k along an axis; see CategoricalFocalCrossentropy.

    >>> categorical_focal_crossentropy([[0, 1, 0]], [[0.1, 0.7, 0.2]]).round(4)
    array([0.008])
    """
    loss = classes.CategoricalFocalCrossentropy(alpha, gamma, from_logits, label_smoothing, axis)
    return loss.call(y_true, y_pred)


def categorical_hinge(y_true: Any, y_pred: Any) -> Any:
    """max(0, 1 + max_k (1 - y_k) p_k - sum_k y_k p_k) over the last axis, of one-hot targets.

    >>> categorical_hinge([[0, 1, 0]], [[0.5, 1.0, 0.2]])
    array([0.5])
    """
    return classes.CategoricalHinge().call(y_true, y_pred)


def cosine_similarity(y_true: Any, y_pred: Any, axis: int = -1) -> Any:
    """-(y / |y|) . (p / |p|) along an axis.

    >>> cosine_similarity([[1.0, 0.0], [1.0, 0.0]], [[3.0, 4.0], [-2.0, 0.0]])
    array([-0.6,  1. ])
    """
    return regression.CosineSimilarity(axis).call(y_true, y_pred)


def contrastive(y_true: Any, y_pred: Any, margin: float = 1.0) -> Any:
    """(y d^2 + (1 - y) max(0, margin - d)^2) / 2 of pairs (N, 2, d) or of distances (N,).

    >>> contrastive([1, 0, 0], [0.5, 0.5, 3.0], margin=2.0)
    array([0.125, 1.125, 0.   ])
    """
    return ranking.Contrastive(margin).call(y_true, y_pred)


def triplet(y_true: Any, y_pred: Any, margin: float = 1.0, squared: bool = True, mining: str | None = None) -> Any:
    """max(0, d(a, p) - d(a, n) + margin) of triplets (N, 3, d), or of those found among (N, d); see Triplet.

    >>> triplet(None, [[[0.0], [0.8], [1.0]]], margin=0.5).round(4)
    array([0.14])
    """
    return ranking.Triplet(margin, squared, mining).call(y_true, y_pred)


def margin_ranking(y_true: Any, y_pred: Any, margin: float = 0.0) -> Any:
    """max(0, -y (s1 - s2) + margin) of pairs of scores (N, 2).

    >>> margin_ranking([1, -1], [[2.0, 2.0], [4.0, 5.0]], margin=1.0)
    array([1., 0.])
    """
    return ranking.MarginRanking(margin).call(y_true, y_pred)
