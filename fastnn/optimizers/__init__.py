"""Optimizers, and learning-rate schedules (`fastnn.optimizers.schedules`).

An optimizer works with a model, or by itself on NumPy arrays, which it changes in place:

>>> import numpy as np
>>> w, b = np.ones((2, 2)), np.zeros(2)
>>> optimizer = Adam(learning_rate=0.25, epsilon=0.0)
>>> optimizer.apply([np.full((2, 2), 3.0), np.full(2, -3.0)], [w, b])
>>> w.round(6), b.round(6)
(array([[0.75, 0.75],
       [0.75, 0.75]]), array([0.25, 0.25]))
"""

from collections.abc import Mapping
from typing import Any, cast

from fastnn import _objects
from fastnn import errors as _errors
from fastnn.optimizers import schedules
from fastnn.optimizers.base import Optimizer
from fastnn.optimizers.lbfgs import LBFGS
from fastnn.optimizers.rules import SGD, Adadelta, Adagrad, Adam, Adamax, AdamW, Lion, Nadam, RMSprop, Rprop

__all__ = [
    "LBFGS",
    "SGD",
    "Adadelta",
    "Adagrad",
    "Adam",
    "AdamW",
    "Adamax",
    "Lion",
    "Nadam",
    "Optimizer",
    "RMSprop",
    "Rprop",
    "deserialize",
    "get",
    "names",
    "schedules",
    "serialize",
]

_KNOWN: dict[str, type] = {
    cls.__name__: cls for cls in (SGD, RMSprop, Adagrad, Adadelta, Adam, AdamW, Adamax, Nadam, Lion, Rprop, LBFGS)
}


def names() -> list[str]:
    """The names that `get` takes.

    >>> "adam" in names()
    True
    """
    return [name.lower() for name in _KNOWN]


def get(identifier: Any) -> Optimizer | None:
    """An optimizer from its name (in any case), class, dict or itself; None from None.

    Examples
    --------
    >>> get("SGD")
    SGD(learning_rate=0.01, use_ema=False, ema_momentum=0.99, momentum=0.0, nesterov=False)
    """
    known = {name.lower(): cls for name, cls in _KNOWN.items()}
    result = _objects.get(identifier.lower() if isinstance(identifier, str) else identifier, known, "optimizer")
    if result is not None and not isinstance(result, Optimizer):
        raise _errors.ArgumentError(f"optimizer: expected a name, a dict or an Optimizer, got {identifier!r}")
    return result


def serialize(optimizer: Optimizer) -> dict[str, Any]:
    """An optimizer's configuration, without its state, as a dict.

    >>> serialize(SGD(0.5))["class_name"], serialize(SGD(0.5))["config"]["learning_rate"]
    ('SGD', 0.5)
    """
    return _objects.serialize(optimizer, "fastnn.optimizers")


def deserialize(config: Mapping[str, Any], custom_objects: Mapping[str, Any] | None = None) -> Optimizer:
    """The optimizer that `serialize`, or Keras's, made a dict of.

    >>> deserialize({"class_name": "Adam", "config": {"learning_rate": 0.5}}).learning_rate
    0.5
    """
    return cast("Optimizer", _objects.deserialize(config, _KNOWN, custom_objects, "optimizer"))
