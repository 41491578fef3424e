"""Whether a network's output can be what its loss and its targets ask for."""

from typing import Any

import numpy as np

from fastnn import _data, losses
from fastnn.diagnostics._changes import Change
from fastnn.diagnostics._flow import activation_of
from fastnn.layers import Activation, Dense, Dropout, Flatten, Layer, ReLU, Reshape, Softmax
from fastnn.layers._branches import ModelLayer

BINARY = (losses.BinaryCrossentropy, losses.BinaryFocalCrossentropy)
ONE_HOT = (losses.CategoricalCrossentropy, losses.CategoricalFocalCrossentropy, losses.KLDivergence)
CLASSES = (*ONE_HOT, losses.SparseCategoricalCrossentropy)
POSITIVE = (losses.Poisson,)
NUMBERS = (
    losses.MeanSquaredError, losses.HalfMeanSquaredError, losses.MeanAbsoluteError, losses.Huber, losses.SmoothL1,
    losses.LogCosh, losses.MeanAbsolutePercentageError, losses.MeanSquaredLogarithmicError, losses.Hinge,
    losses.SquaredHinge, losses.CategoricalHinge,
)  # fmt: skip
PROBABILITIES = {"sigmoid", "hard_sigmoid", "sparse_sigmoid"}
ROWS = {"softmax", "sparsemax"}
OUTSIDE = 0.02  # the share of the targets that may lie where the output cannot reach

# Where the values of an activation end; those that are not here reach everything
RANGES = {
    "sigmoid": (0, 1), "hard_sigmoid": (0, 1), "sparse_sigmoid": (0, 1), "softmax": (0, 1), "sparsemax": (0, 1),
    "tanh": (-1, 1), "hard_tanh": (-1, 1), "softsign": (-1, 1), "step": (0, 1), "relu": (0, np.inf), "relu6": (0, 6),
    "softplus": (0, np.inf), "exponential": (0, np.inf), "squareplus": (0, np.inf), "sparse_plus": (0, np.inf),
    "elu": (-1, np.inf), "celu": (-1, np.inf), "selu": (-1.7581, np.inf), "silu": (-0.2785, np.inf),
    "gelu": (-0.17, np.inf), "gelu_tanh": (-0.1701, np.inf), "mish": (-0.3088, np.inf), "hard_silu": (-0.375, np.inf),
    "log_sigmoid": (-np.inf, 0), "log_softmax": (-np.inf, 0),
}  # fmt: skip


def output_layer(model: Any) -> Layer | None:
    """The layer that makes the output: the last that has weights or an activation; None where that is no such one."""
    layers = list(model._stack)
    while layers:
        layer: Layer = layers.pop()
        if isinstance(layer, ModelLayer):
            layers += layer._layers
        elif not isinstance(layer, (Flatten, Reshape, Dropout)):
            return layer if isinstance(layer, (Dense, Activation, Softmax, ReLU)) else None
    return None


def wrong_output(model: Any, y: Any) -> tuple[str, Change] | None:
    """What is wrong with the output for the loss and the targets, and the change; None if nothing is."""
    layer, loss = output_layer(model), model._plan.loss
    form = getattr(layer, "_form", None)
    if layer is None or form is None or form.row is None or type(loss)._sample_gradient is not None:
        return None
    name = activation_of(layer) or "linear"
    units = model._output[-1]
    if units == 1 and name in ROWS:
        return _said(layer, name, "is 1 whatever goes in, since there is one unit", _single(loss))
    if isinstance(loss, (*BINARY, *CLASSES)):
        return _classification(layer, name, loss, y)
    array = None if y is None else np.asarray(_data.as_array(y, "y"), np.float64)
    if isinstance(loss, POSITIVE) and RANGES.get(name, (-np.inf, 0))[0] < 0:
        return _said(layer, name, f"can be below 0, where {loss.name} has no value", "softplus")
    if isinstance(loss, NUMBERS) and array is not None and array.size:
        low, high = RANGES.get(name, (-np.inf, np.inf))
        if isinstance(loss, (losses.Hinge, losses.SquaredHinge)):
            array = np.where(array == 0, -1.0, array)
        if isinstance(loss, losses.CategoricalHinge):
            return None
        outside = float(np.mean((array < low - 1e-6) | (array > high + 1e-6)))
        if outside > OUTSIDE:
            what = f"lies between {low:g} and {high:g}, where {outside:.0%} of y does not"
            return _said(layer, name, what, "linear")
    return None


def _single(loss: Any) -> str:
    return "sigmoid" if isinstance(loss, BINARY) and not getattr(loss, "from_logits", False) else "linear"


def _classification(layer: Layer, name: str, loss: Any, y: Any) -> tuple[str, Change] | None:
    """Of a loss that takes probabilities, or logits."""
    many = isinstance(loss, CLASSES)
    wanted = "softmax" if many else "sigmoid"
    if getattr(loss, "from_logits", False):
        if name in PROBABILITIES | ROWS:
            return _said(layer, name, f"makes probabilities, but {loss.name} was told from_logits=True", "linear")
        return None
    if name in ROWS and not many and y is not None:
        sums = np.asarray(_data.as_array(y, "y"), np.float64).reshape(len(y), -1).sum(axis=1)
        if np.mean(np.abs(sums - 1) > 1e-6) > OUTSIDE:
            return _said(layer, name, "gives probabilities that sum to 1, but the labels of y do not", wanted)
        return None
    if name in ROWS or (not many and name in PROBABILITIES):
        return None
    what = "is no distribution over the classes" if name in PROBABILITIES else "is no probability"
    return _said(layer, name, f"{what}, as {loss.name} takes", wanted)


def _said(layer: Layer, name: str, what: str, wanted: str) -> tuple[str, Change]:
    change = Change(layers={layer.name: {"activation": wanted}})
    return f"The output of {layer.name!r} ({name}) {what}", change
