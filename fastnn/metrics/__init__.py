"""Metrics: what tells how good a model is, summed up over batches.

A class keeps sums: ``update_state`` takes in a batch, ``result`` gives the value over all batches so far,
``reset_state`` forgets them, and a call does the first two. A function of the same name in lower case gives the value
of each sample.

Examples
--------
>>> from fastnn import metrics
>>> accuracy = metrics.BinaryAccuracy()
>>> accuracy.update_state([[1], [1]], [[0.9], [0.2]])
>>> accuracy.update_state([[0], [0]], [[0.1], [0.3]])
>>> accuracy.result()
0.75
>>> metrics.get("mse")
MeanSquaredError(name='mean_squared_error')
"""

import types
from collections.abc import Callable
from typing import Any

from fastnn import _objects, _validate, losses
from fastnn import errors as _errors
from fastnn.losses import (
    binary_crossentropy,
    binary_focal_crossentropy,
    categorical_crossentropy,
    categorical_focal_crossentropy,
    categorical_hinge,
    hinge,
    huber,
    kl_divergence,
    log_cosh,
    mean_absolute_error,
    mean_absolute_percentage_error,
    mean_squared_error,
    mean_squared_logarithmic_error,
    poisson,
    sparse_categorical_crossentropy,
    squared_hinge,
)
from fastnn.metrics._accuracy import (
    Accuracy,
    BinaryAccuracy,
    CategoricalAccuracy,
    SparseCategoricalAccuracy,
    SparseTopKCategoricalAccuracy,
    TopKCategoricalAccuracy,
    binary_accuracy,
    categorical_accuracy,
    sparse_categorical_accuracy,
    sparse_top_k_categorical_accuracy,
    top_k_categorical_accuracy,
)
from fastnn.metrics._base import Mean, MeanMetricWrapper, Metric, Sum
from fastnn.metrics._confusion import FalseNegatives, FalsePositives, Precision, Recall, TrueNegatives, TruePositives
from fastnn.metrics._curves import (
    AUC,
    PrecisionAtRecall,
    RecallAtPrecision,
    SensitivityAtSpecificity,
    SpecificityAtSensitivity,
)
from fastnn.metrics._losses import (
    BinaryCrossentropy,
    CategoricalCrossentropy,
    CategoricalHinge,
    CosineSimilarity,
    Hinge,
    KLDivergence,
    LogCoshError,
    MeanAbsoluteError,
    MeanAbsolutePercentageError,
    MeanSquaredError,
    MeanSquaredLogarithmicError,
    Poisson,
    RootMeanSquaredError,
    SparseCategoricalCrossentropy,
    SquaredHinge,
)
from fastnn.metrics._overlap import BinaryIoU, F1Score, FBetaScore, IoU, MeanIoU, OneHotIoU, OneHotMeanIoU
from fastnn.metrics._ranking import MRR, NDCG, RecallAtK
from fastnn.metrics._regression import (
    ConcordanceCorrelation,
    PearsonCorrelation,
    R2Score,
    concordance_correlation,
    pearson_correlation,
)

__all__ = [
    "AUC",
    "MRR",
    "NDCG",
    "Accuracy",
    "BinaryAccuracy",
    "BinaryCrossentropy",
    "BinaryIoU",
    "CategoricalAccuracy",
    "CategoricalCrossentropy",
    "CategoricalHinge",
    "ConcordanceCorrelation",
    "CosineSimilarity",
    "F1Score",
    "FBetaScore",
    "FalseNegatives",
    "FalsePositives",
    "Hinge",
    "IoU",
    "KLDivergence",
    "LogCoshError",
    "Mean",
    "MeanAbsoluteError",
    "MeanAbsolutePercentageError",
    "MeanIoU",
    "MeanMetricWrapper",
    "MeanSquaredError",
    "MeanSquaredLogarithmicError",
    "Metric",
    "OneHotIoU",
    "OneHotMeanIoU",
    "PearsonCorrelation",
    "Poisson",
    "Precision",
    "PrecisionAtRecall",
    "R2Score",
    "Recall",
    "RecallAtK",
    "RecallAtPrecision",
    "RootMeanSquaredError",
    "SensitivityAtSpecificity",
    "SparseCategoricalAccuracy",
    "SparseCategoricalCrossentropy",
    "SparseTopKCategoricalAccuracy",
    "SpecificityAtSensitivity",
    "SquaredHinge",
    "Sum",
    "TopKCategoricalAccuracy",
    "TrueNegatives",
    "TruePositives",
    "binary_accuracy",
    "binary_crossentropy",
    "binary_focal_crossentropy",
    "categorical_accuracy",
    "categorical_crossentropy",
    "categorical_focal_crossentropy",
    "categorical_hinge",
    "concordance_correlation",
    "deserialize",
    "get",
    "hinge",
    "huber",
    "kl_divergence",
    "log_cosh",
    "mean_absolute_error",
    "mean_absolute_percentage_error",
    "mean_squared_error",
    "mean_squared_logarithmic_error",
    "names",
    "pearson_correlation",
    "poisson",
    "serialize",
    "sparse_categorical_accuracy",
    "sparse_categorical_crossentropy",
    "sparse_top_k_categorical_accuracy",
    "squared_hinge",
    "top_k_categorical_accuracy",
]

MetricFunction = Callable[..., Any]

_CLASSES: dict[str, type[Metric]] = {
    name: value for name, value in globals().items() if isinstance(value, type) and issubclass(value, Metric)
}
_FUNCTIONS: dict[str, MetricFunction] = {
    name: value for name, value in globals().items() if name in __all__ and isinstance(value, types.FunctionType)
}
_ALIASES: dict[str, type[Metric]] = {
    "bce": BinaryCrossentropy,
    "mse": MeanSquaredError,
    "mae": MeanAbsoluteError,
    "mape": MeanAbsolutePercentageError,
    "msle": MeanSquaredLogarithmicError,
    "logcosh": LogCoshError,
    "fbeta_score": FBetaScore,
}
_KNOWN: dict[str, type[Metric]] = {
    **_CLASSES,
    **{_objects.snake_case(name): cls for name, cls in _CLASSES.items()},
    **_ALIASES,
    **{alias.upper(): cls for alias, cls in _ALIASES.items() if cls not in (LogCoshError, FBetaScore)},
}


def names() -> list[str]:
    """The names of all metrics, each of which get() takes, if it needs no arguments.

    >>> "auc" in names()
    True
    """
    return sorted(_objects.snake_case(name) for name in _CLASSES if name not in ("Metric", "MeanMetricWrapper"))


def serialize(metric: Metric | MetricFunction) -> str | dict[str, Any]:
    """The name of a function, or the class name and arguments of a metric, for deserialize. State is left out.

    >>> serialize(BinaryAccuracy(threshold=0.0))["config"]
    {'name': 'binary_accuracy', 'threshold': 0.0}
    >>> serialize(binary_accuracy)
    'binary_accuracy'
    """
    if isinstance(metric, Metric):
        return _objects.serialize(metric, "fastnn.metrics")
    name = getattr(metric, "__name__", None)
    if not callable(metric) or isinstance(metric, type) or not isinstance(name, str):
        raise _errors.ArgumentError(f"metric: expected a Metric or a function, got {metric!r}")
    return name


def deserialize(config: str | dict[str, Any], custom_objects: dict[str, Any] | None = None) -> Any:
    """What serialize, or Keras, described; custom_objects names classes and functions of your own.

    >>> deserialize({"class_name": "TopKCategoricalAccuracy", "config": {"k": 3}}).k
    3
    """
    known: dict[str, Any] = _KNOWN | (custom_objects or {})
    if isinstance(config, str):
        return _made(known[_validate.choice(config, "metric", known)])
    if not isinstance(config, dict) or "class_name" not in config:
        raise _errors.ArgumentError(f"metric: expected a name or a dict with class_name and config, got {config!r}")
    if config["class_name"] == "function":  # as Keras writes a function
        return function(config["config"], custom_objects)
    found: Any = known[_validate.choice(config["class_name"], "metric", known)]
    if not hasattr(found, "from_config"):
        raise _errors.ArgumentError(
            f"metric: {config['class_name']!r} is a function, and takes no config; pass its name"
        )
    return _objects.made(found, config.get("config"), "metric")


def function(name: str | dict[str, Any], custom_objects: dict[str, Any] | None = None) -> MetricFunction:
    """A metric's or a loss's function from its name."""
    if isinstance(name, dict):
        name = str(name.get("config"))
    known = {loss: getattr(losses, loss) for loss in losses.names()} | _FUNCTIONS | (custom_objects or {})
    found: MetricFunction = known[_validate.choice(name, "fn", known)]
    return found


def _made(found: Any) -> Any:
    """A class's instance with default arguments; anything else as it is."""
    import inspect

    if not isinstance(found, type):
        return found
    needed = [
        parameter.name
        for parameter in inspect.signature(found).parameters.values()
        if parameter.default is parameter.empty and parameter.kind is parameter.POSITIONAL_OR_KEYWORD
    ]
    if needed:
        example = ", ".join(f"{argument}=..." for argument in needed)
        raise _errors.ArgumentError(
            f"metric: {found.__name__} has no default for {', '.join(needed)}; pass {found.__name__}({example})"
        )
    return found()


def get(identifier: Any) -> Any:
    """A metric from its name, its description (see serialize), its class, a function, or itself; None for None.

    A name gives an instance with default arguments, a function is returned as it is.

    >>> get("mae").name
    'mean_absolute_error'
    """
    if identifier is None:
        return None
    if isinstance(identifier, (str, dict)):
        return deserialize(identifier)
    if callable(identifier):
        return _made(identifier)
    raise _errors.ArgumentError(f"metric: expected a name, a dict, a Metric or a function, got {identifier!r}")


def as_metric(identifier: Any) -> Metric:
    """A Metric from anything that get() takes: a function becomes the mean of its values.

    >>> as_metric(binary_accuracy).name
    'binary_accuracy'
    """
    found = get(identifier)
    if isinstance(found, Metric):
        return found
    if not callable(found):
        raise _errors.ArgumentError(f"metric: expected a name, a dict, a Metric or a function, got {identifier!r}")
    return MeanMetricWrapper(found)
