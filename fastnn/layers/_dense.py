"""Layers that are made of weights and an activation: Dense, Embedding, Activation and its kin."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from fastnn import _validate, activations, constraints, initializers, regularizers
from fastnn._program import Builder, Tensor
from fastnn._validate import FloatArray
from fastnn.errors import ArgumentError
from fastnn.layers._base import Layer, Shape, axes_argument, sample_axes

Doubles = Any


class Form:
    """An activation as a layer uses it: a row of the table with its parameters, or a function written in Python.

    A function of your own needs a derivative: an attribute ``derivative``, a function of x.
    """

    def __init__(self, identifier: Any) -> None:
        self.row: Any = None
        self.values: Any = np.zeros(1)
        self.function: Any = None
        if identifier is None:
            identifier = "linear"
        if isinstance(identifier, dict):
            identifier = activations.deserialize(identifier)
        function = activations.get(identifier)
        name = getattr(function, "__name__", "")
        if name in activations.TABLE and activations.get(name) is function:
            self.row = activations.TABLE[name]
            self.values = self.row.values()
            self.config: Any = name
        else:
            if not callable(getattr(function, "derivative", None)):
                raise ArgumentError(
                    f"activation: {function!r} has no derivative; give it an attribute derivative, a function of x"
                )
            self.function = function
            self.config = name or type(function).__name__
        self.given = function

    @property
    def is_linear(self) -> bool:
        return self.row is not None and self.row.name == "linear"

    @property
    def is_elementwise(self) -> bool:
        return self.row is not None and not self.row.rowwise

    def columns(self, n: int) -> int:
        """The length of a row of the output."""
        if self.row is not None and self.row.name == "glu":
            if n % 2:
                raise ValueError(f"glu halves its rows, and {n} is odd; take an even number of units")
            return n // 2
        return n

    def lower(self, builder: Builder, x: Tensor) -> Tensor:
        """As an op of its own."""
        if self.is_linear:
            return x
        shape = (*x.shape[:-1], self.columns(x.columns))
        if self.function is not None:
            return builder.op("python", x, shape, layer=PythonActivation(self.function, x.shape))
        kind = "activate_rows" if self.row.rowwise else "activate"
        return builder.op(
            kind, x, shape, activation=self.row.kind, reads_x=self.row.reads == "X", parameters=self.values,
            name=self.row.name,
        )  # fmt: skip


class PythonActivation:
    """What the engine calls for an activation written in Python."""

    name = "activation"

    def __init__(self, function: Any, shape: Shape) -> None:
        self.function = function
        self._op_input_shape = self._op_output_shape = shape

    def _run_forward(self, x: FloatArray, training: bool, shape: Shape) -> Any:
        self.x = x
        y = np.asarray(self.function(x))
        if y.shape != shape:
            raise ValueError(f"activation: {self.function!r} returned shape {y.shape} for x of shape {shape}")
        return y

    def _run_backward(self, dy: FloatArray, shape: Shape, gradients: bool, add: bool) -> Any:
        return dy * self.function.derivative(self.x)


class Dense(Layer):
    """activation(x W + b) along the last axis.

    Shapes: (N, ..., inputs) to (N, ..., units); half of that for glu.

    Parameters
    ----------
    units : int
        The length of the output's last axis.
    activation : str, function or None
        A name of `fastnn.activations`, one of its functions, or a function with a `derivative`. None is linear.
    use_bias : bool
    kernel_initializer, bias_initializer
        The first values of the kernel W, shape (inputs, units), and of the bias b, shape (units,).
    kernel_regularizer, bias_regularizer
        Penalties on the weights that the loss gains.
    activity_regularizer
        A penalty on the output, divided by the batch's size.
    kernel_constraint, bias_constraint
        What the weights satisfy after each step.
    **kwargs
        name, trainable, dtype, input_shape: see `Layer`.

    Examples
    --------
    >>> import numpy as np
    >>> from fastnn.layers import Dense
    >>> layer = Dense(2, activation="relu", kernel_initializer="ones")
    >>> layer(np.array([[1.0, 2.0], [-1.0, -2.0]])).tolist()
    [[3.0, 3.0], [0.0, 0.0]]
    """

    _options = (
        "units", "activation_config", "use_bias", "kernel_initializer", "bias_initializer", "kernel_regularizer",
        "bias_regularizer", "kernel_constraint", "bias_constraint",
    )  # fmt: skip

    kernel: FloatArray
    bias: FloatArray | None

    def __init__(
        self,
        units: int,
        activation: Any = None,
        use_bias: bool = True,
        kernel_initializer: Any = "glorot_uniform",
        bias_initializer: Any = "zeros",
        kernel_regularizer: Any = None,
        bias_regularizer: Any = None,
        activity_regularizer: Any = None,
        kernel_constraint: Any = None,
        bias_constraint: Any = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(activity_regularizer=activity_regularizer, **kwargs)
        self.units = _validate.integer(units, "units", minimum=1)
        self._form = Form(activation)
        self.activation = self._form.given
        self.use_bias = _validate.flag(use_bias, "use_bias")
        self.kernel_initializer = initializers.get(kernel_initializer)
        self.bias_initializer = initializers.get(bias_initializer)
        self.kernel_regularizer = regularizers.get(kernel_regularizer)
        self.bias_regularizer = regularizers.get(bias_regularizer)
        self.kernel_constraint = constraints.get(kernel_constraint)
        self.bias_constraint = constraints.get(bias_constraint)
        self._form.columns(self.units)

    def build(self, input_shape: Shape) -> None:
        if len(input_shape) < 2:
            raise ValueError(
                f"{self.name}: a Dense layer needs samples with at least one axis, got shape {input_shape}"
            )
        self.kernel = self.add_weight(
            (input_shape[-1], self.units), self.kernel_initializer, name="kernel",
            regularizer=self.kernel_regularizer, constraint=self.kernel_constraint,
        )  # fmt: skip
        self.bias = None
        if self.use_bias:
            self.bias = self.add_weight(
                (self.units,), self.bias_initializer, name="bias", regularizer=self.bias_regularizer,
                constraint=self.bias_constraint,
            )  # fmt: skip

    def compute_output_shape(self, input_shape: Shape) -> Shape:
        return (*input_shape[:-1], self._form.columns(self.units))

    def lower(self, builder: Builder, x: Tensor) -> Tensor:
        kernel, bias = self._variables[0], self._variables[1] if self.use_bias else None
        form = self._form
        shape = (*x.shape[:-1], self.units)
        # The last activation stays by itself, for the loss may be computed from what it reads.
        fused = form.is_elementwise and not builder.last_layer
        y = builder.op(
            "dense", x, shape, w=kernel, b=bias, activation=form.row.kind if fused else 0,
            parameters=form.values if fused else (), kept=x.rows * self.units if fused and form.row.reads == "X" else 0,
        )  # fmt: skip
        return y if fused else form.lower(builder, y)

    @property
    def activation_config(self) -> Any:
        return self._form.config

    def get_config(self) -> dict[str, Any]:
        config = super().get_config()
        config["activation"] = config.pop("activation_config")
        return config


class Activation(Layer):
    """An activation as a layer.

    f(x). Shapes: as f makes them: those of x, but for glu, which halves the last axis.

    Parameters
    ----------
    activation : str or function
        As Dense takes it.

    Examples
    --------
    >>> from fastnn.layers import Activation
    >>> Activation("relu")([[-1.0, 2.0]]).tolist()
    [[0.0, 2.0]]
    """

    _weightless = _takes_vectors = True

    def __init__(self, activation: Any, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self._form = Form(activation)
        self.activation = self._form.given

    def compute_output_shape(self, input_shape: Shape) -> Shape:
        return (*input_shape[:-1], self._form.columns(input_shape[-1]))

    def lower(self, builder: Builder, x: Tensor) -> Tensor:
        return self._form.lower(builder, x)

    def get_config(self) -> dict[str, Any]:
        return super().get_config() | {"activation": self._form.config}


class _Parametric(Layer):
    """A layer that is one row of the table, with arguments as its parameters."""

    _weightless = _takes_vectors = True

    def _set(self, name: str, **values: float) -> None:
        self._form = Form(name)
        self._form.values = self._form.row.values(**values)

    def lower(self, builder: Builder, x: Tensor) -> Tensor:
        return self._form.lower(builder, x)


class ReLU(_Parametric):
    """max(x, 0); in general ``max_value`` above, and ``negative_slope (x - threshold)`` below the threshold.

    Shapes: as x.

    Examples
    --------
    >>> from fastnn.layers import ReLU
    >>> ReLU(max_value=1.5, negative_slope=0.5)([[-2.0, 1.0, 2.0]]).tolist()
    [[-1.0, 1.0, 1.5]]
    """

    _options = ("max_value", "negative_slope", "threshold")

    def __init__(
        self, max_value: float | None = None, negative_slope: float = 0.0, threshold: float = 0.0, **kwargs: Any
    ) -> None:
        super().__init__(**kwargs)
        self.max_value = None if max_value is None else _validate.number(max_value, "max_value", minimum=0)
        self.negative_slope = _validate.number(negative_slope, "negative_slope", minimum=0)
        self.threshold = _validate.number(threshold, "threshold", minimum=0)
        if self.max_value is None and not self.negative_slope and not self.threshold:
            self._set("relu")
        else:
            limit = np.inf if self.max_value is None else self.max_value
            self._form = Form("relu")
            self._form.row = activations.TABLE["relu_general"]
            self._form.values = self._form.row.values(self.negative_slope, limit, self.threshold)


class LeakyReLU(_Parametric):
    """x where x > 0, else negative_slope x.

    Shapes: as x.

    Examples
    --------
    >>> from fastnn.layers import LeakyReLU
    >>> LeakyReLU(negative_slope=0.5)([[-2.0, 1.0]]).tolist()
    [[-1.0, 1.0]]
    """

    _options = ("negative_slope",)

    def __init__(self, negative_slope: float = 0.3, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.negative_slope = _validate.number(negative_slope, "negative_slope", minimum=0)
        self._set("leaky_relu", negative_slope=self.negative_slope)


class ELU(_Parametric):
    """x where x > 0, else alpha (exp(x) - 1).

    Shapes: as x.

    Examples
    --------
    >>> from fastnn.layers import ELU
    >>> ELU()([[0.0, 1.0]]).tolist()
    [[0.0, 1.0]]
    """

    _options = ("alpha",)

    def __init__(self, alpha: float = 1.0, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.alpha = _validate.number(alpha, "alpha", minimum=0)
        self._set("elu", alpha=self.alpha)


class Softmax(_Parametric):
    """exp(x_i) / sum exp(x_j) along the last axis, or another, or over several.

    Shapes: as x.

    Examples
    --------
    >>> from fastnn.layers import Softmax
    >>> Softmax()([[0.0, 0.0]]).tolist()
    [[0.5, 0.5]]
    """

    _options = ("axis",)
    _weightless = True  # its build checks the axes

    def __init__(self, axis: int | Sequence[int] = -1, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.axis = axes_argument(axis)
        self._set("softmax")

    def build(self, input_shape: Shape) -> None:
        sample_axes(self.axis, input_shape)

    def lower(self, builder: Builder, x: Tensor) -> Tensor:
        axes = sample_axes(self.axis, (None, *x.shape))
        if axes == [len(x.shape) - 1]:  # the loss may be fused with it
            return super().lower(builder, x)
        return builder.with_last(x, axes, lambda rows: self._form.lower(builder, rows))


class PReLU(Layer):
    """x where x > 0, else alpha x, with an alpha that is learned for each element of a sample.

    Shapes: as x; alpha is that of a sample, with 1 along shared axes.

    Parameters
    ----------
    alpha_initializer, alpha_regularizer, alpha_constraint
    shared_axes : list of int, optional
        Leading axes of a sample, from 1 on, along which alpha is the same: [1] for x of shape (N, T, d) gives one
        alpha for each of the d columns.

    Examples
    --------
    >>> from fastnn.layers import PReLU
    >>> PReLU(alpha_initializer="ones")([[-2.0, 1.0]]).tolist()
    [[-2.0, 1.0]]
    """

    _options = ("alpha_initializer", "alpha_regularizer", "alpha_constraint", "shared_axes")

    alpha: FloatArray

    def __init__(
        self,
        alpha_initializer: Any = "zeros",
        alpha_regularizer: Any = None,
        alpha_constraint: Any = None,
        shared_axes: int | Sequence[int] | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.alpha_initializer = initializers.get(alpha_initializer)
        self.alpha_regularizer = regularizers.get(alpha_regularizer)
        self.alpha_constraint = constraints.get(alpha_constraint)
        if isinstance(shared_axes, int):
            shared_axes = [shared_axes]
        self.shared_axes: list[int] | None = None
        if shared_axes is not None:
            axes = _validate.items(shared_axes, "shared_axes", "axes")
            self.shared_axes = [_validate.integer(axis, "shared_axes", minimum=1) for axis in axes]

    def build(self, input_shape: Shape) -> None:
        shape = list(input_shape[1:])
        for axis in self.shared_axes or ():
            if not 1 <= axis <= len(shape):
                raise ValueError(f"shared_axes: {axis} is not an axis of {input_shape}; they count from 1")
            shape[axis - 1] = 1
        self.alpha = self.add_weight(
            shape, self.alpha_initializer, name="alpha", regularizer=self.alpha_regularizer,
            constraint=self.alpha_constraint,
        )  # fmt: skip

    def lower(self, builder: Builder, x: Tensor) -> Tensor:
        alpha = self._variables[0]
        own = [axis for axis in range(len(x.shape)) if axis + 1 not in (self.shared_axes or ())]
        return builder.with_last(
            x, own, lambda rows: builder.op("prelu", rows, rows.shape, w=alpha, sized=rows.columns)
        )


class Embedding(Layer):
    """Rows of a table of weights by their numbers: whole numbers (N, T) give (N, T, output_dim).

    Shapes: (N, ...) to (N, ..., output_dim); the table is (input_dim, output_dim).

    Parameters
    ----------
    input_dim : int
        How many rows; the largest number is one less. At most 2**24 in float32.
    output_dim : int
        The length of a row.
    embeddings_initializer, embeddings_regularizer, embeddings_constraint
    sparse_update : bool
        Update only the rows that a batch used: the others, and what the optimizer keeps of them, stay as they are,
        without decay, penalty or average. For large tables. Not with gradient_accumulation_steps; an optimizer,
        regularizer or constraint that is written in Python updates all rows.

    Examples
    --------
    >>> from fastnn.layers import Embedding
    >>> Embedding(3, 2, embeddings_initializer="ones")([[0, 2]]).tolist()
    [[[1.0, 1.0], [1.0, 1.0]]]
    """

    _options = (
        "input_dim", "output_dim", "embeddings_initializer", "embeddings_regularizer", "embeddings_constraint",
        "sparse_update",
    )  # fmt: skip
    _needs_shape = False

    embeddings: FloatArray

    def __init__(
        self,
        input_dim: int,
        output_dim: int,
        embeddings_initializer: Any = "uniform",
        embeddings_regularizer: Any = None,
        embeddings_constraint: Any = None,
        mask_zero: bool = False,
        sparse_update: bool = False,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.sparse_update = _validate.flag(sparse_update, "sparse_update")
        if mask_zero:
            raise ValueError("mask_zero: there are no masks in dense networks; leave it out")
        self.input_dim = _validate.integer(input_dim, "input_dim", minimum=1, maximum=2**24)
        self.output_dim = _validate.integer(output_dim, "output_dim", minimum=1)
        self.embeddings_initializer = initializers.get(embeddings_initializer)
        self.embeddings_regularizer = regularizers.get(embeddings_regularizer)
        self.embeddings_constraint = constraints.get(embeddings_constraint)

    def build(self, input_shape: Shape | None = None) -> None:
        self.embeddings = self.add_weight(
            (self.input_dim, self.output_dim), self.embeddings_initializer, name="embeddings",
            regularizer=self.embeddings_regularizer, constraint=self.embeddings_constraint,
        )  # fmt: skip
        if self.sparse_update:
            self._variables[0].touched = np.zeros(self.input_dim, np.uint8)

    def compute_output_shape(self, input_shape: Shape) -> Shape:
        return (*input_shape, self.output_dim)

    def lower(self, builder: Builder, x: Tensor) -> Tensor:
        flat = Tensor(x.buffer, (x.size, 1))
        table = self._variables[0]
        y = builder.op("embed", flat, (x.size, self.output_dim), w=table, inputs=self.input_dim, touched=table.touched)
        return Tensor(y.buffer, (*x.shape, self.output_dim))
