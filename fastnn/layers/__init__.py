"""Layers, as in Keras 3, for dense networks. See `Layer` for writing your own."""

from collections.abc import Mapping
from typing import Any

from fastnn import _objects
from fastnn.layers._base import Layer
from fastnn.layers._branches import Parallel, Residual
from fastnn.layers._dense import ELU, Activation, Dense, Embedding, LeakyReLU, PReLU, ReLU, Softmax
from fastnn.layers._regular import BatchNormalization, Dropout, GaussianNoise, LayerNormalization
from fastnn.layers._shapes import Flatten, Input, InputLayer, Normalization, Rescaling, Reshape

__all__ = [
    "ELU",
    "Activation",
    "BatchNormalization",
    "Dense",
    "Dropout",
    "Embedding",
    "Flatten",
    "GaussianNoise",
    "Input",
    "InputLayer",
    "Layer",
    "LayerNormalization",
    "LeakyReLU",
    "Normalization",
    "PReLU",
    "Parallel",
    "ReLU",
    "Rescaling",
    "Reshape",
    "Residual",
    "Softmax",
    "deserialize",
    "serialize",
]

_CLASSES = {name: globals()[name] for name in __all__ if isinstance(globals().get(name), type) and name != "Layer"}


def serialize(layer: Layer) -> dict[str, Any]:
    """A layer as a dict that `deserialize` turns back into its like.

    >>> serialize(Dense(3))["config"]["units"]
    3
    """
    return _objects.serialize(layer, "fastnn.layers")


def deserialize(config: Mapping[str, Any], custom_objects: Mapping[str, Any] | None = None) -> Layer:
    """The layer that a dict of `serialize` describes.

    >>> deserialize({"class_name": "Dropout", "config": {"rate": 0.5}}).rate
    0.5
    """
    if custom_objects and isinstance(config, Mapping) and isinstance(config.get("config"), Mapping):
        key = {"Residual": "layers", "Parallel": "branches"}.get(str(config.get("class_name")))
        inside = config["config"]
        if key in inside:
            config = {**config, "config": {**inside, key: _made(inside[key], custom_objects)}}
    layer: Layer = _objects.deserialize(config, _CLASSES, custom_objects, "layer")
    return layer


def _made(described: Any, custom_objects: Mapping[str, Any]) -> Any:
    """The layers inside a layer, or lists of them, which may be of classes of one's own."""
    if isinstance(described, list):
        return [_made(one, custom_objects) for one in described]
    return deserialize(described, custom_objects)
