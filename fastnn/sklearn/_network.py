"""The Sequential that an estimator trains, and the weights that it begins with."""

import math
from typing import Any, NamedTuple

import numpy as np

from fastnn import Sequential, layers, regularizers
from fastnn.layers import Dense, Layer

MOMENTUM = 0.9  # of moving statistics: few samples make few steps, and Keras's 0.99 needs hundreds


class Design(NamedTuple):
    """All that decides what the network computes from its weights."""

    sizes: tuple[int, ...]  # inputs, hidden units, outputs
    activations: tuple[Any, ...]  # of the hidden layers
    output: str  # the last layer's activation
    dropout: tuple[float, ...]
    normalization: str | None
    dtype: str


def build(design: Design, share: float, seed: int) -> Sequential:
    """The network, its kernels penalised by share / 2 times the sum of their squares."""
    inputs, *hidden, outputs = design.sizes
    penalty = regularizers.L2(share / 2) if share else None
    stack: list[Layer] = [layers.Input((inputs,))]
    for i, units in enumerate(hidden):
        activation, normalization, rate = design.activations[i], design.normalization, design.dropout[i]
        if normalization is None:
            stack.append(Dense(units, activation, kernel_regularizer=penalty, name=f"hidden_{i + 1}"))
        else:
            stack.append(Dense(units, kernel_regularizer=penalty, name=f"hidden_{i + 1}"))
            stack.append(_norm(normalization, f"normalization_{i + 1}"))
            stack.append(layers.Activation(activation, name=f"activation_{i + 1}"))
        if rate:
            stack.append(layers.Dropout(rate, name=f"dropout_{i + 1}"))
    stack.append(Dense(outputs, design.output, kernel_regularizer=penalty, name="output"))
    return Sequential(stack, name="mlp", seed=seed, dtype=design.dtype)


def _norm(kind: str, name: str) -> Layer:
    if kind == "batch":
        return layers.BatchNormalization(momentum=MOMENTUM, name=name)
    return layers.LayerNormalization(name=name)


def denses(network: Sequential) -> list[Dense]:
    """The layers that coefs_ and intercepts_ are the weights of."""
    return [layer for layer in network.layers if isinstance(layer, Dense)]


def first_values(sizes: tuple[int, ...], bounding: tuple[Any, ...], random: Any) -> tuple[list[Any], list[Any]]:
    """Kernels and biases as scikit-learn draws them, in its order: uniform by Glorot, narrower for the logistic one.

    bounding holds, for each kernel, the activation that its bound goes by.
    """
    coefs, intercepts = [], []
    for fan_in, fan_out, activation in zip(sizes[:-1], sizes[1:], bounding, strict=True):
        bound = math.sqrt((2.0 if activation == "sigmoid" else 6.0) / (fan_in + fan_out))
        coefs.append(random.uniform(-bound, bound, (fan_in, fan_out)))
        intercepts.append(random.uniform(-bound, bound, fan_out))
    return coefs, intercepts


def put(network: Sequential, coefs: list[Any], intercepts: list[Any]) -> None:
    """Set the weights that coefs_ and intercepts_ show."""
    for i, layer in enumerate(denses(network)):
        for held, array, name in ((coefs, layer.kernel, "coefs_"), (intercepts, layer.bias, "intercepts_")):
            assert array is not None
            value = np.asarray(held[i])
            if value.shape != array.shape:
                raise ValueError(
                    f"{name}[{i}]: has shape {value.shape}, and the layers that were asked for need {array.shape}; "
                    "where hidden_layer_sizes was changed, fit anew without warm_start"
                )
            array[...] = value
