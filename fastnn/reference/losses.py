"""Losses: `LOSSES[name].value(y_true, y_pred, **options)` of ONE sample, and `.gradient(...)` = d value / d y_pred.

A sample is a row, and its loss one number: the mean, or for some the sum, over the row. `cost` makes one number of a
whole batch, and `cost_gradient` is its gradient. Options that are not given have the defaults of the functions.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from . import classification_losses as classes
from . import pair_losses as pairs
from . import regression_losses as numbers
from ._ieee import div, total

Row = Sequence[float]


@dataclass(frozen=True)
class Loss:
    """One row of the table.

    over_rows: a sample is a row, the last axis of y_pred; if not, it is all that one y_pred[i] holds.
    check: what the labels of a whole batch must satisfy.
    """

    value: Callable[..., float]
    gradient: Callable[..., Any]
    over_rows: bool = True
    check: Callable[[Row], object] | None = None


def elementwise(value: Callable[..., float], derivative: Callable[..., float]) -> Loss:
    """The mean over the row of a loss of one number l(y, p), whose derivative by p is given."""

    def mean_value(y_true: Row, y_pred: Row, **options: float) -> float:
        return div(total(value(y, p, **options) for y, p in zip(y_true, y_pred, strict=True)), len(y_pred))

    def mean_gradient(y_true: Row, y_pred: Row, **options: float) -> list[float]:
        return [derivative(y, p, **options) / len(y_pred) for y, p in zip(y_true, y_pred, strict=True)]

    return Loss(mean_value, mean_gradient)


# fmt: off
LOSSES: dict[str, Loss] = {
    "mean_squared_error": elementwise(numbers.squared_error, numbers.squared_error_derivative),
    "half_mean_squared_error": elementwise(numbers.half_squared_error, numbers.half_squared_error_derivative),
    "mean_absolute_error": elementwise(numbers.absolute_error, numbers.absolute_error_derivative),
    "huber": elementwise(numbers.huber, numbers.huber_derivative),
    "smooth_l1": elementwise(numbers.smooth_l1, numbers.smooth_l1_derivative),
    "log_cosh": elementwise(numbers.log_cosh, numbers.log_cosh_derivative),
    "mean_absolute_percentage_error":
        elementwise(numbers.percentage_error, numbers.percentage_error_derivative),
    "mean_squared_logarithmic_error":
        elementwise(numbers.squared_logarithmic_error, numbers.squared_logarithmic_error_derivative),
    "poisson": elementwise(numbers.poisson, numbers.poisson_derivative),
    "cosine_similarity": Loss(numbers.cosine_similarity, numbers.cosine_similarity_gradient),
    "binary_crossentropy": Loss(classes.binary_crossentropy, classes.binary_crossentropy_gradient),
    "categorical_crossentropy": Loss(classes.categorical_crossentropy, classes.categorical_crossentropy_gradient),
    "sparse_categorical_crossentropy":
        Loss(classes.sparse_categorical_crossentropy, classes.sparse_categorical_crossentropy_gradient),
    "binary_focal_crossentropy":
        Loss(classes.binary_focal_crossentropy, classes.binary_focal_crossentropy_gradient),
    "categorical_focal_crossentropy":
        Loss(classes.categorical_focal_crossentropy, classes.categorical_focal_crossentropy_gradient),
    "kl_divergence": Loss(classes.kl_divergence, classes.kl_divergence_gradient),
    "hinge": Loss(classes.hinge, classes.hinge_gradient, check=classes.hinge_labels),
    "squared_hinge": Loss(classes.squared_hinge, classes.squared_hinge_gradient, check=classes.hinge_labels),
    "categorical_hinge": Loss(classes.categorical_hinge, classes.categorical_hinge_gradient),
    "contrastive": Loss(pairs.contrastive, pairs.contrastive_gradient, over_rows=False),
    "triplet": Loss(pairs.triplet, pairs.triplet_gradient, over_rows=False),
    "margin_ranking": Loss(pairs.margin_ranking, pairs.margin_ranking_gradient, over_rows=False),
}
# fmt: on

REDUCTIONS = ("sum_over_batch_size", "mean", "mean_with_sample_weight", "sum", "none")

# A batch: lists within lists, whose innermost lists are rows.

Nested = Any


@dataclass(frozen=True)
class _Batch:
    """The samples of a batch one after the other, their weights, and what the sum of w l is divided by."""

    y_true: list[Any]
    y_pred: list[Any]
    weights: list[float]
    divisor: float


def cost(
    name: str,
    y_true: Nested,
    y_pred: Nested,
    sample_weight: Nested = None,
    reduction: str = "sum_over_batch_size",
    **options: Any,
) -> Any:
    """The cost of a batch, a sum over its samples of weight w_i times loss l_i:

        sum_over_batch_size, mean     sum w l / number of losses
        mean_with_sample_weight       sum w l / sum w
        sum                           sum w l
        none                          the list of all w_i l_i, not added up

    Only samples whose class is not ignored are counted. A sum over nothing is 0.
    """
    batch = _batch(name, y_true, y_pred, sample_weight, reduction, options)
    value = LOSSES[name].value
    terms = [w * value(y, p, **options) for y, p, w in zip(batch.y_true, batch.y_pred, batch.weights, strict=True)]
    return terms if reduction == "none" else _over(total(terms), batch.divisor)


def cost_gradient(
    name: str,
    y_true: Nested,
    y_pred: Nested,
    sample_weight: Nested = None,
    reduction: str = "sum_over_batch_size",
    **options: Any,
) -> Nested:
    """d cost / d y_pred, of the shape of y_pred; with reduction "none", that of the sum of all w_i l_i."""
    batch = _batch(name, y_true, y_pred, sample_weight, reduction, options)
    gradient = LOSSES[name].gradient
    rows = iter(
        [
            _scaled(_over(w, batch.divisor), gradient(y, p, **options))
            for y, p, w in zip(batch.y_true, batch.y_pred, batch.weights, strict=True)
        ]
    )
    return _shaped_like(y_pred, rows, LOSSES[name].over_rows)


def _batch(
    name: str, y_true: Nested, y_pred: Nested, sample_weight: Nested, reduction: str, options: dict[str, Any]
) -> _Batch:
    """Line up samples, targets and weights, and find the divisor of the reduction."""
    if reduction not in REDUCTIONS:
        raise ValueError(f"reduction: expected one of {REDUCTIONS}, got {reduction!r}")
    loss = LOSSES[name]
    samples = list(_samples(y_pred, y_true, sample_weight, loss.over_rows))
    targets = [y for _, y, _ in samples]
    if loss.check is not None:
        loss.check([label for y in targets for label in y])
    weights = [0.0 if _ignored(y, options) else w for _, y, w in samples]
    counted = sum(not _ignored(y, options) for y in targets)
    weighted = sample_weight is not None and reduction == "mean_with_sample_weight"
    divisor = 1.0 if reduction in ("sum", "none") else total(weights) if weighted else counted
    return _Batch(targets, [p for p, _, _ in samples], weights, divisor)


def _over(x: float, divisor: float) -> float:
    """x / divisor, and 0 where nothing was counted."""
    return x / divisor if divisor else 0.0


def _samples(y_pred: Nested, y_true: Nested, weight: Nested, over_rows: bool) -> Iterator[tuple[Any, Any, float]]:
    """(prediction, target, weight) of every sample; a weight covers all the samples below it."""
    for i, p in enumerate(y_pred):
        y = None if y_true is None else y_true[i]
        w = weight[i] if isinstance(weight, Sequence) else 1.0 if weight is None else weight
        if isinstance(w, Sequence) and len(w) == 1:
            w = w[0]
        if over_rows and isinstance(p[0], Sequence):
            yield from _samples(p, y, w, over_rows)
        else:
            yield p, y, w


def _ignored(y: Any, options: dict[str, Any]) -> bool:
    """Whether a target is the class to ignore."""
    ignored = options.get("ignore_class")
    return ignored is not None and classes.label_of(y) == ignored


def _scaled(factor: float, gradient: Nested) -> Nested:
    """factor times a gradient, however deep its lists."""
    return [_scaled(factor, g) for g in gradient] if isinstance(gradient, list) else factor * gradient


def _shaped_like(y_pred: Nested, rows: Iterator[Nested], over_rows: bool) -> Nested:
    """The rows, arranged in lists as y_pred is."""
    deeper = over_rows and isinstance(y_pred[0][0], Sequence)
    return [_shaped_like(p, rows, over_rows) if deeper else next(rows) for p in y_pred]
