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


def ends(form: Any) -> tuple[float, float]:
    """The interval that the values of an activation lie in, as the table has it; parameters stand there by name."""
    known = {p.name: value for p, value in zip(form.row.parameters, form.values, strict=False)}

    def number(text: str) -> float:
        sign, name = (-1, text[1:]) if text.startswith("-") else (1, text)
        return float(sign * known[name]) if name in known else float(text)

    low, high = (number(text.strip()) for text in form.row.range[1:-1].split(","))
    return low, high


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
    if isinstance(loss, POSITIVE) and ends(form)[0] < 0:
        return _said(layer, name, f"can be below 0, where {loss.name} has no value", "softplus")
    if isinstance(loss, NUMBERS) and array is not None and array.size:
        low, high = ends(form)
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
