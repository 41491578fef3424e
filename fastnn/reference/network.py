"""A network of dense layers and its training, in plain Python: what the fast engine computes, to be read and compared.

    network = Network(2, [Dense(4, "tanh"), Dense(1, "sigmoid")], "binary_crossentropy", SGD(learning_rate=0.5))
    network.fit(x, y, epochs=1000)
    network.forward(x)

A batch is a list of rows. All that is random comes from Philox, keyed by the seed, in streams (high half, low half):

    (0xFFFFFFFE, v)   the first values of variable v
    (l, f)            the mask of the dropout layer l in training forward f = 0, 1, ..., over the whole batch
    (0xFFFFFFFF, e)   the order of the rows in epoch e
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from . import losses, random
from ._ieee import total
from .activations import ALIASES, ELEMENTWISE, ROWWISE
from .constraints import Constraint
from .initializers import INITIALIZERS
from .optimizers import SGD, Optimizer, Variable, with_penalties
from .regularizers import Regularizer

Row = list[float]
Batch = Sequence[Sequence[float]]

FIRST_VALUES = 0xFFFFFFFE << 32
ROW_ORDER = 0xFFFFFFFF << 32


@dataclass
class Dense:
    """z = b + x W, y = activation(z), with a kernel W of shape (inputs, units)."""

    units: int
    activation: str = "linear"
    parameters: dict[str, float] = field(default_factory=dict)
    use_bias: bool = True
    kernel_initializer: str = "glorot_uniform"
    bias_initializer: str = "zeros"
    kernel_regularizer: Regularizer | None = None
    bias_regularizer: Regularizer | None = None
    kernel_constraint: Constraint | None = None
    bias_constraint: Constraint | None = None
    trainable: bool = True

    def build(self, inputs: int, seed: int, number: int) -> int:
        """Make the variables, of which `number` came before. Answers the width of the output."""
        self.inputs = inputs
        kernel = INITIALIZERS[self.kernel_initializer]((inputs, self.units), seed, FIRST_VALUES + number)
        bias = INITIALIZERS[self.bias_initializer]((self.units,), seed, FIRST_VALUES + number + 1)
        self.kernel = Variable(
            kernel, (inputs, self.units), self.kernel_regularizer, self.kernel_constraint, trainable=self.trainable
        )
        self.bias = Variable(bias, (self.units,), self.bias_regularizer, self.bias_constraint, trainable=self.trainable)
        return self.units // 2 if self.activation == "glu" else self.units

    @property
    def variables(self) -> list[Variable]:
        return [self.kernel, self.bias] if self.use_bias else [self.kernel]

    def linear(self, x: Batch) -> list[Row]:
        """z_j = b_j + sum_k x_k w_kj, where b_j comes first and k ascends."""
        return [[self._weighted_sum(row, j) for j in range(self.units)] for row in x]

    def _weighted_sum(self, row: Sequence[float], j: int) -> float:
        z = self.bias.values[j] if self.use_bias else 0.0
        for k, x_k in enumerate(row):
            z += x_k * self.kernel.values[k * self.units + j]
        return z

    def activate(self, z: Batch) -> list[Row]:
        """y = f(z), element by element or row by row."""
        if self.activation in ROWWISE:
            return [ROWWISE[self.activation].value(row) for row in z]
        f = ELEMENTWISE[ALIASES.get(self.activation, self.activation)]
        options = f.parameters | self.parameters
        return [[f.value(z_j, **options) for z_j in row] for row in z]

    def backward_activation(self, z: Batch, dy: Batch) -> list[Row]:
        """dz = dy f'(z), or what takes its place for a function of a row."""
        if self.activation in ROWWISE:
            return [ROWWISE[self.activation].backward(row, dys) for row, dys in zip(z, dy, strict=True)]
        f = ELEMENTWISE[ALIASES.get(self.activation, self.activation)]
        options = f.parameters | self.parameters
        return [
            [dy_j * f.derivative(z_j, **options) for z_j, dy_j in zip(row, dys, strict=True)]
            for row, dys in zip(z, dy, strict=True)
        ]

    def backward_linear(self, x: Batch, dz: Batch) -> tuple[list[Row], list[list[float]]]:
        """dx = dz W^T, and for the variables dW = x^T dz and db = sum of dz over the batch."""
        w, n = self.kernel.values, self.units
        dx = [[total(row[j] * w[k * n + j] for j in range(n)) for k in range(self.inputs)] for row in dz]
        dw = [
            total(x_i[k] * dz_i[j] for x_i, dz_i in zip(x, dz, strict=True))
            for k in range(self.inputs)
            for j in range(n)
        ]
        db = [total(row[j] for row in dz) for j in range(n)]
        return dx, [dw, db] if self.use_bias else [dw]


@dataclass
class Dropout:
    """In training, each element is 0 with probability `rate`, and x / (1 - rate) otherwise; elsewhere nothing."""

    rate: float

    def mask(self, rows: int, width: int, seed: int, stream: int) -> list[Row]:
        """What each element is multiplied by; element i is that of the flattened batch."""
        kept = 1.0 / (1.0 - self.rate) if self.rate < 1.0 else 0.0
        return [
            [0.0 if random.dropped(seed, stream, r * width + c, self.rate) else kept for c in range(width)]
            for r in range(rows)
        ]


@dataclass
class Tape:
    """What the backward pass must know: of each layer its input, and its z (Dense) or its mask (Dropout)."""

    inputs: list[list[Row]] = field(default_factory=list)
    inner: list[list[Row]] = field(default_factory=list)


# Output and loss that are computed together, from the logits, where the loss of the probabilities would be clipped.
FUSED = {
    ("softmax", "categorical_crossentropy"),
    ("softmax", "sparse_categorical_crossentropy"),
    ("sigmoid", "binary_crossentropy"),
}


class Network:
    """Layers one after the other, a loss, and an optimizer."""

    def __init__(
        self,
        inputs: int,
        layers: Sequence[Dense | Dropout],
        loss: str = "mean_squared_error",
        optimizer: Optimizer | None = None,
        seed: int = 0,
        reduction: str = "sum_over_batch_size",
        **options: Any,
    ) -> None:
        self.layers = list(layers)
        self.loss_name, self.reduction, self.options = loss, reduction, options
        self.optimizer = optimizer or SGD()
        self.seed = seed
        self.training_forwards = 0
        width, number = inputs, 0
        for layer in self.layers:
            if isinstance(layer, Dense):
                width = layer.build(width, seed, number)
                number += len(layer.variables)

    @property
    def variables(self) -> list[Variable]:
        """Kernel and bias of the first dense layer, of the second, ..."""
        return [v for layer in self.layers if isinstance(layer, Dense) for v in layer.variables]

    def get_weights(self) -> list[Any]:
        """Per variable nested lists: a kernel as a list of rows, a bias as a list."""
        return [
            [v.values[i : i + v.shape[1]] for i in range(0, len(v.values), v.shape[1])]
            if len(v.shape) == 2
            else list(v.values)
            for v in self.variables
        ]

    def set_weights(self, weights: Sequence[Any]) -> None:
        """The reverse of get_weights."""
        for v, values in zip(self.variables, weights, strict=True):
            flat = [float(w) for row in values for w in row] if len(v.shape) == 2 else [float(w) for w in values]
            if len(flat) != len(v.values):
                raise ValueError(f"weights: expected {len(v.values)} numbers of shape {v.shape}, got {len(flat)}")
            v.values[:] = flat

    # Forward.

    def forward(self, x: Batch, training: bool = False) -> list[Row]:
        """The outputs of a batch."""
        return self._output(self._run(x, training))

    def _run(self, x: Batch, training: bool) -> Tape:
        """All layers, but for the activation of the last one if it is Dense."""
        tape = Tape()
        rows = [[float(v) for v in row] for row in x]
        for index, layer in enumerate(self.layers):
            tape.inputs.append(rows)
            if isinstance(layer, Dense):
                tape.inner.append(layer.linear(rows))
                if layer is not self.layers[-1]:
                    rows = layer.activate(tape.inner[-1])
            elif training:
                stream = (index << 32) + self.training_forwards
                mask = layer.mask(len(rows), len(rows[0]), self.seed, stream)
                tape.inner.append(mask)
                rows = [[a * m for a, m in zip(row, ms, strict=True)] for row, ms in zip(rows, mask, strict=True)]
            else:
                tape.inner.append([[1.0 for _ in row] for row in rows])
        tape.inputs.append(rows)
        self.training_forwards += training
        return tape

    def _output(self, tape: Tape) -> list[Row]:
        last = self.layers[-1]
        return last.activate(tape.inner[-1]) if isinstance(last, Dense) else tape.inputs[-1]

    # Loss.

    @property
    def is_fused(self) -> bool:
        """Whether the loss is computed from the logits of the last layer."""
        last = self.layers[-1]
        name = last.activation if isinstance(last, Dense) else ""
        return (name, self.loss_name) in FUSED and not self.options.get("from_logits")

    def loss(self, x: Batch, y: Any, sample_weight: Any = None, training: bool = False) -> float:
        """The cost of a batch, and the penalties of the regularizers."""
        return self._cost(self._run(x, training), y, sample_weight) + self.penalty()

    def penalty(self) -> float:
        return total(v.regularizer(v.values, v.shape) for v in self.variables if v.regularizer and v.trainable)

    def _loss_input(self, tape: Tape) -> tuple[list[Row], dict[str, Any]]:
        """What the loss is computed from, with its options: logits where that is fused, else the outputs."""
        if self.is_fused:
            return tape.inner[-1], self.options | {"from_logits": True}
        return self._output(tape), self.options

    def _cost(self, tape: Tape, y: Any, sample_weight: Any) -> float:
        predictions, options = self._loss_input(tape)
        return float(losses.cost(self.loss_name, y, predictions, sample_weight, self.reduction, **options))

    # Backward.

    def gradients(
        self, x: Batch, y: Any, sample_weight: Any = None, training: bool = False
    ) -> tuple[float, list[list[float]]]:
        """The loss, and its gradient by each variable as a flat list; penalties included in both."""
        tape = self._run(x, training)
        loss = self._cost(tape, y, sample_weight) + self.penalty()
        _, by_variable = self._backward(tape, y, sample_weight)
        return loss, with_penalties(by_variable, self.variables)

    def input_gradients(self, x: Batch, y: Any, sample_weight: Any = None) -> list[Row]:
        """d loss / d x."""
        return self._backward(self._run(x, False), y, sample_weight)[0]

    def _backward(self, tape: Tape, y: Any, sample_weight: Any) -> tuple[list[Row], list[list[float]]]:
        """From the last layer to the first: d loss / d x, and d cost / d variable for all of them."""
        predictions, options = self._loss_input(tape)
        d: Any = losses.cost_gradient(self.loss_name, y, predictions, sample_weight, self.reduction, **options)
        by_variable: list[list[float]] = []
        for i in reversed(range(len(self.layers))):
            layer, rows, inner = self.layers[i], tape.inputs[i], tape.inner[i]
            if isinstance(layer, Dense):
                already_dz = self.is_fused and layer is self.layers[-1]
                dz = d if already_dz else layer.backward_activation(inner, d)
                d, own = layer.backward_linear(rows, dz)
                by_variable = own + by_variable
            else:
                d = [[g * m for g, m in zip(gs, ms, strict=True)] for gs, ms in zip(d, inner, strict=True)]
        return d, by_variable

    # Training.

    def train_step(self, x: Batch, y: Any, sample_weight: Any = None) -> float:
        """One step of the optimizer on one batch; the loss before it."""
        loss, gradients = self.gradients(x, y, sample_weight, training=True)
        self.optimizer.apply(gradients, self.variables)
        return loss

    def fit(
        self,
        x: Batch,
        y: Sequence[Any],
        sample_weight: Sequence[Any] | None = None,
        epochs: int = 1,
        batch_size: int = 32,
        shuffle: bool = True,
        initial_epoch: int = 0,
    ) -> list[float]:
        """Epochs initial_epoch .. epochs - 1. The loss of each is the mean of its batches' losses, by their sizes."""
        history = []
        for epoch in range(initial_epoch, epochs):
            order = random.permutation(self.seed, ROW_ORDER + epoch, len(x)) if shuffle else list(range(len(x)))
            summed = 0.0
            for start in range(0, len(x), batch_size):
                rows = order[start : start + batch_size]
                weights = None if sample_weight is None else [sample_weight[i] for i in rows]
                summed += len(rows) * self.train_step([x[i] for i in rows], [y[i] for i in rows], weights)
            history.append(summed / len(x))
        return history
