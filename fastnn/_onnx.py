"""Models as ONNX files: opset 17, a node or a few for each layer, as they act outside training.

A formula is written in the operators of ONNX where it has no operator of its own. In float64 that is the rule, since
runtimes know most of those operators in float32 only.
"""

import os
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from fastnn import __version__, _atomic, layers
from fastnn.layers._base import Layer, Shape, sample_axes
from fastnn.layers._branches import ModelLayer
from fastnn.layers._shapes import _Affine

__all__ = ["save"]

OPSET = 17
IR_VERSION = 8
SELU_SCALE = 1.0507009873554804934193349852946
SELU_ALPHA = 1.6732632423543772848170429916717
GELU_SLOPE = 2 * np.sqrt(2 / np.pi)


def save(model: Any, path: Any) -> None:
    """Write a built model as an ONNX file, whole or not at all."""
    content = described(model).SerializeToString()
    with _atomic.replacing(os.fspath(path)) as file:
        file.write(content)


def described(model: Any) -> Any:
    """The model as onnx has it, checked."""
    try:
        import onnx  # type: ignore[import-not-found, import-untyped, unused-ignore]
    except ImportError:
        raise ImportError("to_onnx needs the package onnx: pip install 'fastnn-cpu[onnx]'") from None
    helper, info = onnx.helper, onnx.helper.make_tensor_value_info
    first = model._flat()[0]
    while isinstance(first, ModelLayer) and first._layers:
        first = first._layers[0]
    graph = Graph(model._dtype, isinstance(first, layers.Embedding))
    number = helper.np_dtype_to_tensor_dtype(model._dtype)
    x, shape = "input", model._input
    for layer in model._stack:
        x, shape = convert(graph, layer, x, shape)
    graph.nodes.append(("Identity", (x,), ("output",), "output", {}))
    made = helper.make_model(
        helper.make_graph(
            [helper.make_node(kind, i, o, name=name, **options) for kind, i, o, name, options in graph.nodes],
            model.name,
            [info("input", _TENSOR_INT64 if graph.whole_numbers else number, ["batch", *model._input])],
            [info("output", number, ["batch", *shape])],
            [onnx.numpy_helper.from_array(value, name) for name, value in graph.constants.items()],
        ),
        opset_imports=[helper.make_opsetid("", OPSET)],
        ir_version=IR_VERSION,
        producer_name="fastnn",
        producer_version=__version__,
    )
    onnx.checker.check_model(made, full_check=True)
    return made


class Graph:
    """Nodes and constants as they gather: what onnx then makes a graph of. A value is known by its name."""

    def __init__(self, dtype: np.dtype[Any], whole_numbers: bool) -> None:
        self.dtype = dtype
        self.whole_numbers = whole_numbers  # whether the input is: where the first thing done is to look rows up
        self.nodes: list[tuple[str, tuple[str, ...], tuple[str, ...], str, dict[str, Any]]] = []
        self.constants: dict[str, npt.NDArray[Any]] = {}
        self.names: set[str] = set()
        self.layer = ""

    @property
    def is_double(self) -> bool:
        return self.dtype == np.float64

    def name(self, wanted: str) -> str:
        """The name, numbered where it comes again."""
        found, number = wanted, 1
        while found in self.names:
            number += 1
            found = f"{wanted}_{number}"
        self.names.add(found)
        return found

    def constant(self, value: Any, name: str = "constant", dtype: npt.DTypeLike | None = None) -> str:
        """Numbers, in the model's precision unless another type is given."""
        array = np.array(value, self.dtype if dtype is None else dtype)
        found = self.name(f"{self.layer}/{name}")
        self.constants[found] = array
        return found

    def op(self, kind: str, *inputs: Any, outputs: int = 1, **options: Any) -> Any:
        """A node; numbers and arrays among its inputs become constants. Its output's name, or a list of them."""
        read = tuple(value if isinstance(value, str) else self.constant(value) for value in inputs)
        name = self.name(f"{self.layer}/{kind}")
        made = (name,) if outputs == 1 else tuple(self.name(f"{name}_{i}") for i in range(outputs))
        self.nodes.append((kind, read, made, name, options))
        return made[0] if outputs == 1 else list(made)

    def reshape(self, x: str, shape: Shape) -> str:
        """Samples in another shape. In ONNX, 0 stands for the length that is there: that of the batch."""
        return self.op("Reshape", x, self.constant([0, *shape], "shape", np.int64))  # type: ignore[no-any-return]

    def total(self, x: str, axes: Sequence[int]) -> str:
        """The sum over some axes, which stay with length 1."""
        return self.op("ReduceSum", x, self.constant(axes, "axes", np.int64), keepdims=1)  # type: ignore[no-any-return]

    def mean(self, x: str, axes: Sequence[int]) -> str:
        return self.op("ReduceMean", x, axes=list(axes), keepdims=1)  # type: ignore[no-any-return]


# --------------------------------------------------------------------------------------------------------- activations


def _above(g: Graph, x: str, below: Any) -> Any:
    """x where x > 0, else `below`."""
    return g.op("Where", g.op("Greater", x, 0.0), x, below)


def _expm1_below(g: Graph, x: str) -> Any:
    """exp(x) - 1 for x <= 0, and 0 above."""
    return g.op("Sub", g.op("Exp", g.op("Min", x, 0.0)), 1.0)


def _clip(g: Graph, x: str, low: float, high: float) -> Any:
    return g.op("Clip", x, low, high)


def _softplus(g: Graph, x: str) -> Any:
    """max(x, 0) + log(1 + exp(-|x|))"""
    if not g.is_double:
        return g.op("Softplus", x)
    return g.op("Add", g.op("Relu", x), g.op("Log", g.op("Add", g.op("Exp", g.op("Neg", g.op("Abs", x))), 1.0)))


def _step(g: Graph, x: str) -> Any:
    return g.op("Where", g.op("IsNaN", x), x, g.op("Where", g.op("GreaterOrEqual", x, 0.0), 1.0, 0.0))


def _relu_general(g: Graph, x: str, slope: float, limit: float, threshold: float) -> Any:
    below = g.op("Mul", g.op("Sub", x, threshold), slope) if slope else 0.0
    above = x if limit == np.inf else g.op("Min", x, limit)
    return g.op("Where", g.op("LessOrEqual", x, threshold), below, above)


def _soft_shrink(g: Graph, x: str, threshold: float) -> Any:
    """x less what of it lies within the threshold"""
    return g.op("Sub", x, g.op("Clip", x, -threshold, threshold))


def _hard_shrink(g: Graph, x: str, threshold: float) -> Any:
    return g.op("Where", g.op("LessOrEqual", g.op("Abs", x), threshold), 0.0, x)


def _erf(g: Graph, x: str) -> Any:
    """In float32 even where the model is not: runtimes have no other."""
    if not g.is_double:
        return g.op("Erf", x)
    return g.op("Cast", g.op("Erf", g.op("Cast", x, to=_TENSOR_FLOAT)), to=_TENSOR_DOUBLE)


def _gelu(g: Graph, x: str) -> Any:
    return g.op("Mul", g.op("Mul", x, 0.5), g.op("Add", _erf(g, g.op("Mul", x, np.sqrt(0.5))), 1.0))


def _gelu_tanh(g: Graph, x: str) -> Any:
    cube = g.op("Mul", g.op("Mul", x, x), x)
    inside = g.op("Mul", g.op("Add", g.op("Mul", cube, 0.044715), x), GELU_SLOPE)
    return g.op("Mul", x, g.op("Sigmoid", inside))


def _sparse_plus(g: Graph, x: str) -> Any:
    root = g.op("Mul", g.op("Relu", g.op("Add", x, 1.0)), 0.5)
    return g.op("Where", g.op("GreaterOrEqual", x, 1.0), x, g.op("Mul", root, root))


def _squareplus(g: Graph, x: str, b: float) -> Any:
    return g.op("Mul", g.op("Add", x, g.op("Sqrt", g.op("Add", g.op("Mul", x, x), b))), 0.5)


_TENSOR_FLOAT, _TENSOR_INT64, _TENSOR_DOUBLE = 1, 7, 11  # of onnx.TensorProto

Formula = Callable[..., Any]

FORMULAS: dict[str, Formula] = {
    "linear": lambda g, x: x,
    "step": _step,
    "relu": lambda g, x: g.op("Relu", x),
    "relu6": lambda g, x: _clip(g, x, 0, 6),
    "leaky_relu": lambda g, x, slope: _above(g, x, g.op("Mul", x, slope)),
    "relu_general": _relu_general,
    "hard_sigmoid": lambda g, x: g.op("Mul", _clip(g, g.op("Add", x, 3.0), 0, 6), 1 / 6),
    "hard_tanh": lambda g, x: _clip(g, x, -1, 1),
    "hard_silu": lambda g, x: g.op("Mul", x, FORMULAS["hard_sigmoid"](g, x)),
    "threshold": lambda g, x, threshold, value: g.op("Where", g.op("LessOrEqual", x, threshold), value, x),
    "hard_shrink": _hard_shrink,
    "soft_shrink": _soft_shrink,
    "sparse_sigmoid": lambda g, x: g.op("Mul", _clip(g, g.op("Add", x, 1.0), 0, 2), 0.5),
    "sparse_plus": _sparse_plus,
    "softsign": lambda g, x: g.op("Div", x, g.op("Add", g.op("Abs", x), 1.0)),
    "squareplus": _squareplus,
    "exponential": lambda g, x: g.op("Exp", x),
    "sigmoid": lambda g, x: g.op("Sigmoid", x),
    "tanh": lambda g, x: g.op("Tanh", x),
    "tanh_shrink": lambda g, x: g.op("Sub", x, g.op("Tanh", x)),
    "elu": lambda g, x, alpha: _above(g, x, g.op("Mul", _expm1_below(g, x), alpha)),
    "celu": lambda g, x, alpha: _above(g, x, g.op("Mul", _expm1_below(g, g.op("Div", x, alpha)), alpha)),
    "selu": lambda g, x: g.op("Mul", _above(g, x, g.op("Mul", _expm1_below(g, x), SELU_ALPHA)), SELU_SCALE),
    "softplus": _softplus,
    "log_sigmoid": lambda g, x: g.op("Neg", _softplus(g, g.op("Neg", x))),
    "silu": lambda g, x: g.op("Mul", x, g.op("Sigmoid", x)),
    "mish": lambda g, x: g.op("Mul", x, g.op("Tanh", _softplus(g, x))),
    "gelu": _gelu,
    "gelu_tanh": _gelu_tanh,
}

# The operators that ONNX has for them, which runtimes know in float32
OPERATORS: dict[str, Formula] = {
    "leaky_relu": lambda g, x, slope: g.op("LeakyRelu", x, alpha=slope),
    "hard_sigmoid": lambda g, x: g.op("HardSigmoid", x, alpha=1 / 6, beta=0.5),
    "hard_silu": lambda g, x: g.op("HardSwish", x),
    "softsign": lambda g, x: g.op("Softsign", x),
    "elu": lambda g, x, alpha: g.op("Elu", x, alpha=alpha),
    "selu": lambda g, x: g.op("Selu", x),
}


def _sparsemax(g: Graph, x: str, n: int) -> Any:
    """max(x - tau, 0); of the n thresholds that the k largest would have, k = 1 ... n, tau is the largest."""
    largest, _ = g.op("TopK", x, g.constant([n], "k", np.int64), outputs=2, axis=-1)
    sums = g.op("CumSum", largest, g.constant(-1, "axis", np.int64))
    tau = g.op("ReduceMax", g.op("Div", g.op("Sub", sums, 1.0), np.arange(1, n + 1)), axes=[-1], keepdims=1)
    return g.op("Relu", g.op("Sub", x, tau))


def _glu(g: Graph, x: str, n: int) -> Any:
    a, b = g.op("Split", x, outputs=2, axis=-1)
    return g.op("Mul", a, g.op("Sigmoid", b))


# Of rows of length n
ROW_FORMULAS: dict[str, Formula] = {
    "softmax": lambda g, x, n: g.op("Softmax", x, axis=-1),
    "log_softmax": lambda g, x, n: g.op("LogSoftmax", x, axis=-1),
    "sparsemax": _sparsemax,
    "glu": _glu,
}


def _activate(g: Graph, form: Any, x: str, shape: Shape) -> Any:
    row = form.row
    if row is None:
        raise ValueError(
            f"{g.layer}: its activation is written in Python, which ONNX cannot hold; use one of fastnn.activations"
        )
    if row.rowwise:
        return ROW_FORMULAS[row.name](g, x, shape[-1])
    values = [float(value) for value in form.values[: len(row.parameters)]]
    formulas = FORMULAS if g.is_double else FORMULAS | OPERATORS
    return formulas[row.name](g, x, *values)


# -------------------------------------------------------------------------------------------------------------- layers


def convert(g: Graph, layer: Layer, x: str, shape: Shape) -> tuple[str, Shape]:
    """The layer's nodes behind x, samples of a shape; its output and their shape."""
    known = next((CONVERTERS[cls] for cls in type(layer).__mro__ if cls in CONVERTERS), None)
    if known is None:
        raise ValueError(
            f"{layer.name}: a layer written in Python ({type(layer).__name__}) cannot be written as ONNX; build the "
            "model of fastnn's own layers, or export the part before it as a model of its own"
        )
    before, g.layer = g.layer, layer.name
    y = known(g, layer, x, shape)
    g.layer = before
    return y, layer._output_of(shape)


def _weight(g: Graph, variable: Any) -> str:
    return g.constant(variable.array, variable.name)


def _through(g: Graph, branch: Sequence[Layer], x: str, shape: Shape) -> str:
    for layer in branch:
        x, shape = convert(g, layer, x, shape)
    return x


def _dense(g: Graph, layer: Any, x: str, shape: Shape) -> Any:
    weights = [_weight(g, v) for v in layer._variables]
    if len(shape) == 1:
        y = g.op("Gemm", x, *weights)
    else:
        y = g.op("MatMul", x, weights[0])
        if layer.use_bias:
            y = g.op("Add", y, weights[1])
    return _activate(g, layer._form, y, (*shape[:-1], layer.units))


def _form(g: Graph, layer: Any, x: str, shape: Shape) -> Any:
    return _activate(g, layer._form, x, shape)


def _softmax(g: Graph, layer: Any, x: str, shape: Shape) -> Any:
    axes = [axis + 1 for axis in sample_axes(layer.axis, (None, *shape))]
    if len(axes) == 1:
        return g.op("Softmax", x, axis=axes[0])
    powers = g.op("Exp", g.op("Sub", x, g.op("ReduceMax", x, axes=axes, keepdims=1)))
    return g.op("Div", powers, g.total(powers, axes))


def _prelu(g: Graph, layer: Any, x: str, shape: Shape) -> Any:
    return _above(g, x, g.op("Mul", x, _weight(g, layer._variables[0])))


def _spread(values: Any, axes: Sequence[int], shape: Shape) -> npt.NDArray[np.float64]:
    """Numbers that differ along some axes of a sample, so that they are broadcast along the others."""
    lengths = [n if axis in axes else 1 for axis, n in enumerate(shape)]
    array: npt.NDArray[np.float64] = np.asarray(values, np.float64).reshape(lengths)
    return array


def _scaled(g: Graph, x: str, mean: Any, factor: Any, offset: Any) -> str:
    """(x - mean) factor + offset, without the steps that change nothing."""
    for kind, values, nothing in (("Sub", mean, 0), ("Mul", factor, 1), ("Add", offset, 0)):
        if np.any(np.not_equal(values, nothing)):
            x = g.op(kind, x, values)
    return x


def _batch_norm(g: Graph, layer: Any, x: str, shape: Shape) -> Any:
    axes = sample_axes(layer.axis, (None, *shape))
    named = {v.name: v for v in layer._variables}
    if len(shape) == 1:
        ones, zeros = np.ones(shape), np.zeros(shape)
        gamma = _weight(g, named["gamma"]) if layer.scale else ones
        beta = _weight(g, named["beta"]) if layer.center else zeros
        moving = [_weight(g, named[name]) for name in ("moving_mean", "moving_variance")]
        return g.op("BatchNormalization", x, gamma, beta, *moving, epsilon=layer.epsilon)
    value = {name: _spread(v.array, axes, shape) for name, v in named.items()}
    factor = value.get("gamma", 1.0) / np.sqrt(value["moving_variance"] + layer.epsilon)
    return _scaled(g, x, value["moving_mean"], factor, value.get("beta", 0.0))


def _affine(g: Graph, layer: Any, x: str, shape: Shape) -> Any:
    axes = layer._axes((None, *shape))
    constants = [_spread(v.array, axes, shape) for v in layer._variables[:4]]
    mean, variance, scale, offset = constants
    return _scaled(g, x, mean, scale / np.sqrt(variance), offset)


def _layer_norm(g: Graph, layer: Any, x: str, shape: Shape) -> Any:
    axes = sample_axes(layer.axis, (None, *shape))
    value = {v.name: v.array for v in layer._variables}
    if not layer.rms_scaling and axes == list(range(axes[0], len(shape))):
        weights = {v.name: _weight(g, v) for v in layer._variables}
        gamma = weights.get("gamma") or np.ones(shape[axes[0] :])
        beta = weights.get("beta") or np.zeros(shape[axes[0] :])
        return g.op("LayerNormalization", x, gamma, beta, axis=axes[0] + 1, epsilon=layer.epsilon)
    along = [axis + 1 for axis in axes]
    centred = x if layer.rms_scaling else g.op("Sub", x, g.mean(x, along))
    variance = g.mean(g.op("Mul", centred, centred), along)
    y = g.op("Div", centred, g.op("Sqrt", g.op("Add", variance, layer.epsilon)))
    factor = _spread(value["gamma"], axes, shape) if layer.scale else 1.0
    return _scaled(g, y, 0.0, factor, _spread(value["beta"], axes, shape) if layer.center else 0.0)


def _embedding(g: Graph, layer: Any, x: str, shape: Shape) -> Any:
    rows = x if x == "input" and g.whole_numbers else g.op("Cast", x, to=_TENSOR_INT64)
    return g.op("Gather", _weight(g, layer._variables[0]), rows, axis=0)


def _residual(g: Graph, layer: Any, x: str, shape: Shape) -> Any:
    return g.op("Add", _through(g, layer.layers, x, shape), _through(g, layer._skip, x, shape))


def _parallel(g: Graph, layer: Any, x: str, shape: Shape) -> Any:
    made = [_through(g, branch, x, shape) for branch in layer._branches]
    if layer.merge == "concatenate":
        return g.op("Concat", *made, axis=-1)
    y = made[0]
    for other in made[1:]:
        y = g.op("Add", y, other)
    return y


CONVERTERS: dict[type, Callable[[Graph, Any, str, Shape], Any]] = {
    layers.Dense: _dense,
    layers.Activation: _form,
    layers.ReLU: _form,
    layers.LeakyReLU: _form,
    layers.ELU: _form,
    layers.Softmax: _softmax,
    layers.PReLU: _prelu,
    layers.Dropout: lambda g, layer, x, shape: x,
    layers.GaussianNoise: lambda g, layer, x, shape: x,
    layers.BatchNormalization: _batch_norm,
    layers.LayerNormalization: _layer_norm,
    layers.Flatten: lambda g, layer, x, shape: g.reshape(x, layer._output_of(shape)),
    layers.Reshape: lambda g, layer, x, shape: g.reshape(x, layer._output_of(shape)),
    _Affine: _affine,
    layers.Embedding: _embedding,
    layers.Residual: _residual,
    layers.Parallel: _parallel,
    ModelLayer: lambda g, layer, x, shape: _through(g, layer._layers, x, shape),
}
