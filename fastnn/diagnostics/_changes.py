"""Changes to a network that can be said in words, and applied to it."""

import copy
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from fastnn import initializers
from fastnn.initializers import RandomInitializer
from fastnn.layers import Activation, Dense, InputLayer, Layer, Normalization
from fastnn.layers._base import FIRST_VALUES
from fastnn.layers._dense import Form
from fastnn.models import check_model

__all__ = ["Change"]

INITIALIZERS = {"kernel_initializer": "kernel", "bias_initializer": "bias"}


@dataclass(frozen=True)
class Change:
    """What `diagnose` suggests.

    layers : arguments of layers, by the layers' names; optimizer, loss : arguments of these; normalize : whether a
    `Normalization` layer, adapted to x, goes in front. ``apply(model, x)`` makes the changed network, printing says it.
    """

    layers: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    optimizer: Mapping[str, float] = field(default_factory=dict)
    loss: Mapping[str, Any] = field(default_factory=dict)
    normalize: bool = False

    def __str__(self) -> str:
        parts = []
        for arguments in _distinct(self.layers):
            names = [name for name, given in self.layers.items() if dict(given) == arguments]
            where = (
                names[0] if len(names) == 1 else f"{names[0]} to {names[-1]}" if len(names) > 2 else " and ".join(names)
            )
            parts.append(f"set {_written(arguments)} in {where}")
        for what, options in (("the optimizer", self.optimizer), ("the loss", self.loss)):
            if options:
                parts.append(f"set {_written(options)} of {what}")
        if self.normalize:
            parts.append("put a Normalization layer, adapted to x, in front")
        return ", and ".join(parts)

    def apply(self, model: Any, x: Any) -> Any:
        """A copy of a model with the change, compiled alike with a new optimizer.

        Weights whose initializer changes are drawn anew, all others are those of the model.
        """
        check_model(model)
        plan = model._need_compiled()
        twin = copy.deepcopy(model)
        twin._inputs(x)
        for layer in twin._flat():
            given = self.layers.get(layer.name)
            if given is not None:
                _change_layer(layer, given, twin)
        twin._displace()
        if self.normalize:
            twin = _with_normalization(twin, x)
        optimizer = type(model.optimizer).from_config(model.optimizer.get_config() | dict(self.optimizer))
        loss = copy.deepcopy(plan.given_loss)
        if self.loss:
            loss = type(plan.loss).from_config(plan.loss.get_config() | dict(self.loss))
        metrics, weighted = ([copy.deepcopy(m) for m, counts in plan.given if counts is kind] for kind in (False, True))
        twin.compile(optimizer, loss, plan.weight, metrics, weighted)
        return twin


def _distinct(layers: Mapping[str, Mapping[str, str]]) -> list[dict[str, str]]:
    found: list[dict[str, str]] = []
    for given in layers.values():
        if dict(given) not in found:
            found.append(dict(given))
    return found


def _written(options: Mapping[str, Any]) -> str:
    return ", ".join(f"{k}={v:.3g}" if isinstance(v, float) else f"{k}={v!r}" for k, v in options.items())


def _change_layer(layer: Any, given: Mapping[str, str], model: Any) -> None:
    """Set a layer's arguments, and draw what initializers changed of."""
    for argument, value in given.items():
        if argument == "activation":
            _set_activation(layer, value)
            continue
        made = initializers.get(value)
        setattr(layer, argument, made)
        wanted = INITIALIZERS[argument]
        for number, v in enumerate(model._variables()):
            if v.layer is layer and v.name == wanted:
                v.array[...] = _values(made, v.array, model.seed, number)


def _set_activation(layer: Any, name: str) -> None:
    """Give a Dense layer, or one that is an activation, another activation."""
    if not isinstance(layer, Dense):
        layer.__class__ = Activation  # a ReLU, say: its own arguments go
    layer._form = Form(name)
    layer.activation = layer._form.given


def _values(made: Any, array: Any, seed: int, number: int) -> Any:
    if isinstance(made, RandomInitializer) and not made.is_seeded:
        return made.draw(array.shape, array.dtype, seed, FIRST_VALUES + number)
    return made(array.shape, array.dtype)


def _with_normalization(twin: Any, x: Any) -> Any:
    """The same layers behind one that normalises x."""
    normal = Normalization()
    array = np.asarray(twin._inputs(x), twin.dtype)
    normal.adapt(array)
    layers: list[Layer] = [layer for layer in twin._layers if not isinstance(layer, InputLayer)]
    result = type(twin)([normal], name=twin.name, seed=twin.seed, dtype=twin.dtype)
    for layer in layers:
        result._layers.append(layer)
    result.build((None, *array.shape[1:]))
    return result
