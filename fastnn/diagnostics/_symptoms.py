"""What diagnose measures: of x, of the weights, of signals and gradients from layer to layer, and of short trials."""

import math
from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from fastnn._validate import FloatArray
from fastnn.diagnostics._copies import copied
from fastnn.diagnostics._flow import activation_of, dead_share, run_layers, saturated_share
from fastnn.errors import DivergenceError
from fastnn.layers import (
    BatchNormalization,
    Dense,
    Dropout,
    Embedding,
    Flatten,
    GaussianNoise,
    Layer,
    LayerNormalization,
    Normalization,
    Rescaling,
    Reshape,
)
from fastnn.layers._branches import ModelLayer

Data = tuple[Any, Any, Any]

FRONT = (Normalization, Rescaling, BatchNormalization, LayerNormalization, Flatten, Reshape, Dropout, GaussianNoise)
EQUAL = 1e-5  # weights of units that differ by no more than this share are equal


class Trial(NamedTuple):
    """How some steps went: the loss after them (inf if it was not finite on the way), and the share of units that are
    dead then, in the layer that has most."""

    loss: float
    dead: float


class Signals(NamedTuple):
    """From layer to layer: names of the layers with weights, how much the output of each hidden one varies from sample
    to sample, how large the loss's gradient by the output of each is, and the shares of dead and saturated units."""

    names: list[str]
    signal: dict[str, float]
    gradient: dict[str, float]
    dead: dict[str, float]
    saturated: dict[str, float]


class Inputs(NamedTuple):
    """The scale of what the first layer with weights sees: the largest root mean square of a column, the largest
    standard deviation, and how many times the middle one that is."""

    size: float
    spread: float
    ratio: float


def loss_of(twin: Any, data: Data) -> float:
    """As training sees it, without a step; inf where it is not finite."""
    try:
        loss = float(twin.gradients(*data, training=True)[0])
    except DivergenceError:
        return math.inf
    return loss if math.isfinite(loss) else math.inf


def silent_loss(model: Any, data: Data) -> float:
    """The loss of a network whose last kernel is 0, so that it tells no sample from another."""
    twin = copied(model)
    twin._need_built()
    layers = weighted_layers(twin)
    if layers:
        layers[-1].kernel[...] = 0  # type: ignore[attr-defined]
    return loss_of(twin, data)


def trial(model: Any, data: Data, batch_size: int, steps: int, rate: float | None = None) -> Trial:
    """Some steps of a copy, at its own rate or another."""
    twin = copied(model)
    if rate is not None:
        twin.optimizer._learning_rate = rate  # in place of a schedule, if there is one
    epochs = max(1, round(steps * batch_size / len(data[0])))
    x, y, weights = data
    try:
        twin.fit(x, y, batch_size=batch_size, epochs=epochs, verbose=0, sample_weight=weights)
    except DivergenceError:
        return Trial(math.inf, 0.0)
    return Trial(loss_of(twin, data), max(signals(twin, data, gradients=False).dead.values(), default=0.0))


def weighted_layers(model: Any) -> list[Layer]:
    """The layers inside that multiply by a matrix, in order."""
    return [layer for layer in model._flat() if isinstance(layer, Dense)]


def inputs(model: Any, x: Any) -> Inputs | None:
    """The scale of x, behind layers that rescale it; None for numbers of rows."""
    front: list[Layer] = []
    for layer in _expanded(model._stack):
        if isinstance(layer, Embedding):
            return None
        if not isinstance(layer, FRONT):
            break
        front.append(layer)
    seen = run_layers(model, front, model._inputs(x), True, lambda *_: None)
    columns = np.asarray(seen, np.float64).reshape(-1, np.shape(seen)[-1])
    spread = columns.std(axis=0)
    size = np.sqrt(np.mean(columns**2, axis=0))
    varied = spread[spread > 0]
    if not varied.size:
        return None
    return Inputs(float(size.max()), float(spread.max()), float(spread.max() / np.median(varied)))


def _expanded(layers: list[Layer]) -> list[Layer]:
    """Layers, those of models in their place."""
    result = []
    for layer in layers:
        result += _expanded(layer._layers) if isinstance(layer, ModelLayer) else [layer]
    return result


def signals(model: Any, data: Data, gradients: bool = True) -> Signals:
    """What goes forward and comes back, on a copy; the signal of a layer in a branch is that of the whole branch."""
    twin = copied(model)
    found = Signals([layer.name for layer in weighted_layers(twin)], {}, {}, {}, {})
    by_layer = _gradient_norms(twin, data) if gradients else {}

    def visit(layer: Layer, x: Any, y: FloatArray) -> None:
        dead, saturated = dead_share(layer, y), saturated_share(layer, y)
        if dead is not None:
            found.dead[layer.name] = dead
        if saturated is not None:
            found.saturated[layer.name] = saturated
        if isinstance(layer, Dense) and layer.name in by_layer:
            # a kernel's gradient is a sum of products of inputs and of gradients by the output
            size = math.sqrt(float(np.mean(np.square(np.asarray(x, np.float64)))) * np.shape(x)[-1])
            found.gradient[layer.name] = by_layer[layer.name] / size if size else 0.0

    x = twin._inputs(data[0])
    with np.errstate(all="ignore"):
        for layer in _expanded(twin._stack):
            x = run_layers(twin, [layer], x, True, visit)
            rows = np.asarray(x, np.float64).reshape(-1, x.shape[-1])
            found.signal[layer.name] = float(np.sqrt(np.mean(rows.var(axis=0))))
    return found


def _gradient_norms(twin: Any, data: Data) -> dict[str, float]:
    """The norm of the gradient by each kernel."""
    try:
        gradients = twin.gradients(*data, training=True)[1]
    except DivergenceError:
        return {}
    kernels = {id(layer.kernel): layer.name for layer in weighted_layers(twin)}  # type: ignore[attr-defined]
    learning = [v for v in twin._variables() if v.in_trainables]
    pairs = [(kernels[id(v.array)], g) for v, g in zip(learning, gradients, strict=True) if id(v.array) in kernels]
    with np.errstate(all="ignore"):
        return {name: float(np.sqrt(np.sum(np.square(g, dtype=np.float64)))) for name, g in pairs}


def following_activation(model: Any, layer: Layer) -> str:
    """The name of the activation that a layer's output goes through: its own, or that of the next that has one."""
    layers = model._flat()
    for one in layers[layers.index(layer) :]:
        name = activation_of(one)
        if name is not None:
            return "relu" if name == "relu_general" else name
        if one is not layer and isinstance(one, Dense):
            break
    return "linear"


def hidden_layers(model: Any) -> list[Layer]:
    """Dense layers but for the last."""
    return weighted_layers(model)[:-1]


def equal_layers(model: Any, gradients: Mapping[str, FloatArray] | None = None) -> list[Layer]:
    """Hidden layers of two units or more whose units have all the same weights, and the same gradients if these are
    given, so that they stay the same for ever."""
    result = []
    for layer in hidden_layers(model):
        kernel = layer.kernel  # type: ignore[attr-defined]
        if kernel.shape[1] < 2 or not _columns_equal(kernel):
            continue
        bias = layer.bias  # type: ignore[attr-defined]
        if bias is not None and not _columns_equal(bias[None]):
            continue
        if gradients is None or (layer.name in gradients and _columns_equal(gradients[layer.name], 1e-3)):
            result.append(layer)
    return result


def kernel_gradients(model: Any, data: Data) -> dict[str, FloatArray]:
    """The gradient by each kernel, by the layers' names."""
    twin = copied(model)
    try:
        gradients = twin.gradients(*data)[1]
    except DivergenceError:
        return {}
    names = {id(layer.kernel): layer.name for layer in weighted_layers(twin)}  # type: ignore[attr-defined]
    learning = [v for v in twin._variables() if v.in_trainables]
    return {names[id(v.array)]: g for v, g in zip(learning, gradients, strict=True) if id(v.array) in names}


def _columns_equal(array: npt.NDArray[Any], share: float = EQUAL) -> bool:
    largest = float(np.max(np.abs(array), initial=0.0))
    return bool(np.ptp(array, axis=1).max(initial=0.0) <= share * largest)
