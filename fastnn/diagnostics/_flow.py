"""gradient_flow: how signals and gradients fare from layer to layer."""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np

from fastnn import _validate
from fastnn._html import table
from fastnn._validate import FloatArray
from fastnn.diagnostics._copies import copied
from fastnn.layers import Layer, Parallel, Residual
from fastnn.layers._branches import ModelLayer

__all__ = ["GradientFlow", "LayerFlow", "gradient_flow"]

HEADS = ["layer", "activation", "gradient", "weights", "mean", "std", "dead", "saturated"]
SATURATED = 0.05  # the share of its largest slope below which an activation passes hardly anything back

# How steep an activation is, as a share of its steepest, from its output
SLOPES: dict[str, Callable[[FloatArray], Any]] = {
    "sigmoid": lambda y: 4 * y * (1 - y),
    "tanh": lambda y: 1 - y * y,
    "softsign": lambda y: (1 - np.abs(y)) ** 2,
    "hard_sigmoid": lambda y: (y > 0) & (y < 1),
    "sparse_sigmoid": lambda y: (y > 0) & (y < 1),
    "hard_tanh": lambda y: np.abs(y) < 1,
}
QUIET = {"relu", "relu6", "hard_silu", "sparse_plus"}  # 0, with a slope of 0, for all that is small


class LayerFlow(NamedTuple):
    """What gradient_flow measured of a layer; None is what does not apply to it."""

    name: str
    kind: str
    activation: str | None
    gradient: float | None
    weight: float | None
    mean: float
    std: float
    dead: float | None
    saturated: float | None


class GradientFlow(NamedTuple):
    """The loss, and a `LayerFlow` for each layer that has weights or an activation. It is shown as a table."""

    loss: float
    layers: list[LayerFlow]

    def _rows(self) -> list[list[str]]:
        rows = []
        for one in self.layers:
            figures = [f"{v:.3g}" if v is not None else "" for v in (one.gradient, one.weight, one.mean, one.std)]
            shares = [f"{v:.0%}" if v is not None else "" for v in (one.dead, one.saturated)]
            rows.append([one.name, one.activation or "", *figures, *shares])
        return rows

    def __str__(self) -> str:
        rows = [HEADS, *self._rows()]
        widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
        lines = [
            "  ".join(c.ljust(w) if i < 2 else c.rjust(w) for i, (c, w) in enumerate(zip(row, widths, strict=True)))
            for row in rows
        ]
        return "\n".join([f"loss {self.loss:.4g}", *(line.rstrip() for line in lines)])

    def __repr__(self) -> str:
        return f"GradientFlow: {self}"

    def _repr_html_(self) -> str:
        return table("GradientFlow", HEADS, self._rows(), [f"loss {self.loss:.4g}"])


def run_layers(
    model: Any,
    layers: Sequence[Layer],
    x: Any,
    training: bool,
    visit: Callable[[Layer, Any, FloatArray], None],
    engines: dict[int, Any] | None = None,
) -> Any:
    """The output of layers one after the other, each of those that hold no others run by itself and shown to `visit`
    with its input and its output. `engines` keeps what is made for that, where it is done again and again."""
    for layer in layers:
        if isinstance(layer, Residual):
            y = run_layers(model, layer.layers, x, training, visit, engines)
            y = y + run_layers(model, layer._skip, x, training, visit, engines)
        elif isinstance(layer, Parallel):
            made = [run_layers(model, branch, x, training, visit, engines) for branch in layer.branches]
            y = np.sum(made, axis=0) if layer.merge == "add" else np.concatenate(made, axis=-1)
        elif isinstance(layer, ModelLayer):
            y = run_layers(model, layer._layers, x, training, visit, engines)
        else:
            y = model._run_layer(layer, x, training, engines)
            visit(layer, x, y)
        x = y
    return x


def activation_of(layer: Layer) -> str | None:
    """The name of a layer's activation; None where it has none, or is linear."""
    form = getattr(layer, "_form", None)
    if form is None or form.is_linear:
        return None
    if form.row is None:
        return str(form.config)
    return str(form.row.name)


def is_quiet(layer: Layer) -> bool:
    """Whether a layer's units can be 0, with a slope of 0, for a whole half of the numbers."""
    name = activation_of(layer)
    return name in QUIET or (name == "relu_general" and float(layer._form.values[0]) == 0)  # type: ignore[attr-defined]


def saturates(layer: Layer) -> bool:
    """Whether a layer's activation is flat at both ends."""
    return activation_of(layer) in SLOPES


def dead_share(layer: Layer, y: FloatArray) -> float | None:
    """The share of units that are 0 for every sample; None for an activation whose units do not die."""
    if not is_quiet(layer) or not y.size:
        return None
    rows = y.reshape(-1, y.shape[-1])
    return float(np.mean((rows.max(axis=0) == 0) & (rows.min(axis=0) == 0)))


def saturated_share(layer: Layer, y: FloatArray) -> float | None:
    """The share of outputs where the activation is nearly flat; None for an activation without two flat ends."""
    if not saturates(layer) or not y.size:
        return None
    return float(np.mean(SLOPES[activation_of(layer) or ""](y) < SATURATED))


def _norm(arrays: Sequence[FloatArray]) -> float:
    return float(np.sqrt(sum(float(np.vdot(a.astype(np.float64), a)) for a in arrays)))


def gradient_flow(model: Any, x: Any, y: Any = None, sample_weight: Any = None, training: bool = False) -> GradientFlow:
    """How large gradients, weights and outputs of each layer are for a batch; the model stays as it is.

    Gradients that get smaller by orders of magnitude from the last layer to the first vanish; outputs or gradients
    that grow explode. Outputs whose std falls layer by layer lose what they had to say. A dead unit learns nothing, a
    saturated one hardly anything.

    Parameters
    ----------
    model : Sequential
        A compiled one.
    x, y, sample_weight : array_like
        One batch, as `fit` takes it: some hundred samples do.
    training : bool
        Let the layers act as they do in fit: dropout drops, batch normalisation takes the batch's statistics.

    Returns
    -------
    GradientFlow
        ``.loss`` and ``.layers``: for each layer with weights or an activation its ``name``, ``kind`` (class),
        ``activation``, the norms of its ``gradient`` (penalties included) and ``weight`` (those that learn), ``mean``
        and ``std`` of its output, the share of its units that are ``dead`` (0 for every sample; for relu and its like)
        and the share of its outputs that are ``saturated`` (the slope is below 5 % of the steepest; for sigmoid, tanh
        and their like). Printed, it is a table.

    Examples
    --------
    >>> import numpy as np
    >>> import fastnn
    >>> layers = [fastnn.layers.Dense(8, "sigmoid", name=f"hidden_{i}") for i in range(4)]
    >>> model = fastnn.Sequential([*layers, fastnn.layers.Dense(1, name="output")], seed=0)
    >>> model.compile("sgd", "mse")
    >>> x = np.linspace(-1, 1, 64)[:, None]
    >>> flow = fastnn.diagnostics.gradient_flow(model, x, x**2)
    >>> flow.layers[0].gradient < 0.01 * flow.layers[4].gradient
    True
    """
    twin = copied(model)
    loss, gradients = twin.gradients(x, y, sample_weight, training=_validate.flag(training, "training"))
    by_layer: dict[int, tuple[list[FloatArray], list[FloatArray]]] = {}
    learning = [v for v in twin._variables() if v.in_trainables]
    for v, gradient in zip(learning, gradients, strict=True):
        found = by_layer.setdefault(id(v.layer), ([], []))
        found[0].append(gradient)
        found[1].append(v.array)
    rows: list[LayerFlow] = []

    def visit(layer: Layer, _: Any, y: FloatArray) -> None:
        name = activation_of(layer)
        if name is None and not layer.weights:
            return
        arrays = by_layer.get(id(layer))
        values = y.astype(np.float64)
        gradient, weight = (None, None) if arrays is None else (_norm(arrays[0]), _norm(arrays[1]))
        dead, saturated = dead_share(layer, y), saturated_share(layer, y)
        mean, std = float(values.mean()), float(values.std())
        rows.append(LayerFlow(layer.name, type(layer).__name__, name, gradient, weight, mean, std, dead, saturated))

    run_layers(twin, twin._stack, twin._inputs(x), training, visit)
    return GradientFlow(loss, rows)
