"""What an estimator makes small: a fastnn loss, and how its numbers become those that scikit-learn reports."""

import copy
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from fastnn import _validate, losses
from fastnn.losses import Loss


class PoissonDeviance(Loss):
    """y log(y / p) - y + p, summed over the outputs: half the deviance, as scikit-learn has it.

    losses.Poisson differs by what does not depend on p, and by Keras's epsilon beside p, which matters to small rates.
    """

    def call(self, y_true: Any, y_pred: Any) -> Any:
        with np.errstate(divide="ignore", invalid="ignore"):
            logs = np.where(y_true > 0, y_true * np.log(y_true / y_pred), 0)
        return np.sum(logs - y_true + y_pred, axis=-1)

    def gradient(self, y_true: Any, y_pred: Any) -> Any:  # type: ignore[override]
        with np.errstate(divide="ignore", invalid="ignore"):
            return 1 - y_true / y_pred


REGRESSION = {
    "squared_error": losses.HalfMeanSquaredError,
    "poisson": PoissonDeviance,
    "absolute_error": losses.MeanAbsoluteError,
}
NEEDS_CLASSES = (
    losses.CategoricalCrossentropy,
    losses.SparseCategoricalCrossentropy,
    losses.CategoricalFocalCrossentropy,
    losses.CategoricalHinge,
)
OF_PAIRS = (losses.Contrastive, losses.MarginRanking, losses.Triplet)


class Objective(NamedTuple):
    """A loss, what it counts for, and what of it scikit-learn reports.

    factor : the outputs, where scikit-learn's loss is the sum over them and fastnn's the mean.
    reports_mean : whether the mean is reported all the same (the squared error).
    """

    loss: Loss
    factor: int = 1
    reports_mean: bool = False


def of_regression(given: Any, y: npt.NDArray[Any]) -> Objective:
    """For targets of shape (samples, outputs)."""
    outputs = y.shape[1]
    if isinstance(given, str) and given == "squared_error":
        return Objective(_weighing(REGRESSION[given]()), outputs, reports_mean=True)
    if isinstance(given, str) and given == "poisson" and (y < 0).any():
        raise ValueError(f"y: loss='poisson' needs targets that are not negative, got {y.min()}")
    return Objective(_any_loss(given, REGRESSION))


def of_classification(given: Any, out_activation: str, outputs: int) -> Objective:
    """For one column a class or label; one column where there are two classes."""
    if isinstance(given, str) and given == "log_loss":
        if out_activation == "softmax":
            return Objective(_weighing(losses.SparseCategoricalCrossentropy()))
        return Objective(_weighing(losses.BinaryCrossentropy()), outputs)
    loss = _any_loss(given, {"log_loss": None})
    if outputs == 1 and isinstance(loss, NEEDS_CLASSES):
        raise ValueError(
            f"loss: {type(loss).__name__} compares several outputs, and a problem of two classes has one, the "
            "probability of the second; use 'log_loss' or losses.BinaryCrossentropy(...)"
        )
    return Objective(loss)


def _any_loss(given: Any, own: dict[str, Any]) -> Loss:
    """A loss by its name here or in fastnn.losses, or one that was made."""
    if isinstance(given, str):
        _validate.choice(given, "loss", (*own, *losses.names()))
        if given in own:
            given = own[given]()
    loss = losses.as_loss(given)
    if isinstance(loss, OF_PAIRS):
        raise ValueError(
            f"loss: {type(loss).__name__} compares samples or scores with each other, and an estimator's targets are "
            "each sample's own; use it with a fastnn.Sequential"
        )
    return _weighing(loss)


def _weighing(loss: Loss) -> Loss:
    """The loss as a mean by the weights, so that a weight of two is the sample twice."""
    loss = copy.copy(loss)
    loss.reduction = "mean_with_sample_weight"
    return loss
