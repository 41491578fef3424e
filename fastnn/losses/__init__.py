"""Losses: what training makes small, with its gradient.

A class is a loss with its options; called, it gives the cost of a batch, and ``gradient`` the derivative of that by
y_pred. A function of the same name in lower case gives the loss of each sample. Both may be named by a string.

Examples
--------
>>> from fastnn import losses
>>> losses.MeanSquaredError()([[0.0], [1.0]], [[1.0], [3.0]])
2.5
>>> losses.mean_squared_error([[0.0], [1.0]], [[1.0], [3.0]])
array([1., 4.])
>>> losses.get("huber") is losses.huber
True
"""

from collections.abc import Callable
from typing import Any

from fastnn import _objects, _validate
from fastnn import errors as _errors
from fastnn.losses import _functions
from fastnn.losses._base import Loss, TableLoss
from fastnn.losses._classification import (
    BinaryCrossentropy,
    BinaryFocalCrossentropy,
    CategoricalCrossentropy,
    CategoricalFocalCrossentropy,
    CategoricalHinge,
    Hinge,
    KLDivergence,
    SparseCategoricalCrossentropy,
    SquaredHinge,
)
from fastnn.losses._functions import (
    binary_crossentropy,
    binary_focal_crossentropy,
    categorical_crossentropy,
    categorical_focal_crossentropy,
    categorical_hinge,
    contrastive,
    cosine_similarity,
    half_mean_squared_error,
    hinge,
    huber,
    kl_divergence,
    log_cosh,
    margin_ranking,
    mean_absolute_error,
    mean_absolute_percentage_error,
    mean_squared_error,
    mean_squared_logarithmic_error,
    poisson,
    smooth_l1,
    sparse_categorical_crossentropy,
    squared_hinge,
    triplet,
)
from fastnn.losses._ranking import Contrastive, MarginRanking, Triplet
from fastnn.losses._regression import (
    CosineSimilarity,
    HalfMeanSquaredError,
    Huber,
    LogCosh,
    MeanAbsoluteError,
    MeanAbsolutePercentageError,
    MeanSquaredError,
    MeanSquaredLogarithmicError,
    Poisson,
    SmoothL1,
)

__all__ = [
    "BinaryCrossentropy",
    "BinaryFocalCrossentropy",
    "CategoricalCrossentropy",
    "CategoricalFocalCrossentropy",
    "CategoricalHinge",
    "Contrastive",
    "CosineSimilarity",
    "HalfMeanSquaredError",
    "Hinge",
    "Huber",
    "KLDivergence",
    "LogCosh",
    "Loss",
    "MarginRanking",
    "MeanAbsoluteError",
    "MeanAbsolutePercentageError",
    "MeanSquaredError",
    "MeanSquaredLogarithmicError",
    "Poisson",
    "SmoothL1",
    "SparseCategoricalCrossentropy",
    "SquaredHinge",
    "Triplet",
    "binary_crossentropy",
    "binary_focal_crossentropy",
    "categorical_crossentropy",
    "categorical_focal_crossentropy",
    "categorical_hinge",
    "contrastive",
    "cosine_similarity",
    "deserialize",
    "get",
    "half_mean_squared_error",
    "hinge",
    "huber",
    "kl_divergence",
    "log_cosh",
    "margin_ranking",
    "mean_absolute_error",
    "mean_absolute_percentage_error",
    "mean_squared_error",
    "mean_squared_logarithmic_error",
    "names",
    "poisson",
    "serialize",
    "smooth_l1",
    "sparse_categorical_crossentropy",
    "squared_hinge",
    "triplet",
]

LossFunction = Callable[..., Any]

_CLASSES: dict[str, type[TableLoss]] = {
    name: value for name, value in globals().items() if isinstance(value, type) and issubclass(value, TableLoss)
}
del _CLASSES["TableLoss"]
_CLASS_OF = {cls._row_name: cls for cls in _CLASSES.values()}
_FUNCTIONS: dict[str, LossFunction] = {name: getattr(_functions, name) for name in _CLASS_OF}
_ALIASES = {
    "mse": "mean_squared_error",
    "mae": "mean_absolute_error",
    "mape": "mean_absolute_percentage_error",
    "msle": "mean_squared_logarithmic_error",
    "bce": "binary_crossentropy",
    "kld": "kl_divergence",
}
_KNOWN: dict[str, Any] = {
    **_CLASSES,
    **_FUNCTIONS,
    **{alias: _FUNCTIONS[name] for alias, name in _ALIASES.items()},
    **{alias.upper(): _FUNCTIONS[name] for alias, name in _ALIASES.items()},
}


def names() -> list[str]:
    """The names of all losses, each of which get() takes.

    >>> "huber" in names()
    True
    """
    return sorted(_FUNCTIONS)


def serialize(loss: Loss | LossFunction) -> str | dict[str, Any]:
    """The name of a function, or the class name and arguments of a loss, for deserialize.

    >>> serialize(Huber(delta=2.0))["config"]["delta"]
    2.0
    >>> serialize(huber)
    'huber'
    """
    if isinstance(loss, Loss):
        return {"class_name": type(loss).__name__, "config": loss.get_config()}
    name = getattr(loss, "__name__", None)
    if not callable(loss) or isinstance(loss, type) or not isinstance(name, str):
        raise _errors.ArgumentError(f"loss: expected a Loss or a function, got {loss!r}")
    return name


def deserialize(name: str | dict[str, Any], custom_objects: dict[str, Any] | None = None) -> Loss | LossFunction:
    """What serialize described; custom_objects names classes and functions of your own.

    >>> deserialize({"class_name": "Huber", "config": {"delta": 2.0}}).delta
    2.0
    """
    known: dict[str, Any] = _KNOWN | (custom_objects or {})
    if isinstance(name, str):
        made: Loss | LossFunction = _made(known[_validate.choice(name, "loss", known)])
        return made
    if not isinstance(name, dict) or "class_name" not in name:
        raise _errors.ArgumentError(f"loss: expected a name or a dict with class_name and config, got {name!r}")
    if name["class_name"] == "function":  # as Keras writes a function
        return deserialize(name["config"], custom_objects)
    found: Any = known[_validate.choice(name["class_name"], "loss", known)]
    if not hasattr(found, "from_config"):
        raise _errors.ArgumentError(f"loss: {name['class_name']!r} is a function, and takes no config; pass its name")
    loss: Loss = _objects.made(found, name.get("config"), "loss")
    return loss


def _made(found: Any) -> Any:
    """A class's instance with default arguments; anything else as it is."""
    return found() if isinstance(found, type) else found


def get(identifier: Any) -> Any:
    """A loss from its name, its description (see serialize), its class, or itself; None for None.

    A function's name gives the function, a class's name an instance with default arguments.

    >>> get("mse") is mean_squared_error
    True
    >>> get("MeanSquaredError").name
    'mean_squared_error'
    """
    if identifier is None:
        return None
    if isinstance(identifier, (str, dict)):
        return deserialize(identifier)
    if callable(identifier):
        return _made(identifier)
    raise _errors.ArgumentError(f"loss: expected a name, a dict, a Loss or a function, got {identifier!r}")


def as_loss(identifier: Any) -> Loss:
    """A Loss, with a gradient, from anything that get() takes: what a model is trained with.

    >>> as_loss("mse")
    MeanSquaredError(name='mean_squared_error', reduction='sum_over_batch_size')
    """
    found = get(identifier)
    if isinstance(found, Loss):
        return found
    name = getattr(found, "__name__", None)
    if found is not None and _FUNCTIONS.get(str(name)) is found:
        return _CLASS_OF[str(name)]()
    raise _errors.ArgumentError(
        f"loss: {identifier!r} has no gradient; subclass fastnn.losses.Loss, with call(y_true, y_pred) and "
        "gradient(y_true, y_pred)"
    )
