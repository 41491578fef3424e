"""Activations: a function for each row of the table (csrc/activations.def), and the derivative of each.

The functions of one number take x and their parameters, as Keras 3 has them, and return an array of x's shape: float32
and float64 stay what they are, float16 becomes float32, anything else float64. Those of a row take the axis along which
the rows lie. All take `out`, an array to write into, which may be x itself. NaN gives NaN.

>>> relu([-1.0, 0.0, 2.0]).tolist()
[0.0, 0.0, 2.0]
>>> derivative("tanh")(0.0).tolist()
1.0
"""

from __future__ import annotations

import math
import operator
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from fastnn import _validate
from fastnn import errors as _errors
from fastnn._core import activations as _core
from fastnn._validate import FloatArray

Function = Callable[..., Any]

ALIASES = {"swish": "silu", "hard_swish": "hard_silu"}
_NO_PARAMETERS = np.zeros(1)


# ------------------------------------------------------------------------------------------------------------ the table


class Parameter(NamedTuple):
    """A number that shapes an activation. `bound` is ">=0", ">0" or nothing."""

    name: str
    default: float
    bound: str = ""

    def check(self, value: Any) -> float:
        """The number, or an error that names it."""
        if value is self.default:
            return self.default
        if self.bound == ">=0":
            return _validate.number(value, self.name, minimum=0)
        if self.bound == ">0":
            return _validate.number(value, self.name, above=0)
        return math.inf if self.name == "max_value" and value == math.inf else _validate.number(value, self.name)


class Row(NamedTuple):
    """A row of the table: kind is its number in the core, `reads` what the derivative is computed from, X or Y."""

    kind: int
    name: str
    formula: str
    range: str
    reads: str
    rowwise: bool
    parameters: tuple[Parameter, ...]
    kinks: tuple[tuple[str, str], ...]

    def values(self, *args: Any, **kwargs: Any) -> npt.NDArray[np.float64]:
        """The parameters as the core takes them; those not given keep their defaults."""
        known = [parameter.name for parameter in self.parameters]
        if len(args) > len(known):
            raise TypeError(f"{self.name}() takes {1 + len(known)} positional arguments, got {1 + len(args)}")
        given = dict(zip(known, args, strict=False))
        for name, value in kwargs.items():
            if name not in known or name in given:
                what = "got twice" if name in given else f"unknown; it takes {', '.join(known) or 'no parameters'}"
                raise TypeError(f"{self.name}(): argument {name!r} {what}")
            given[name] = value
        if not known:
            return _NO_PARAMETERS
        return np.array([p.check(given[p.name]) if p.name in given else p.default for p in self.parameters])


def _parameter(text: str) -> Parameter:
    name, _, rest = text.partition("=")
    default, sign, limit = rest.partition(">")
    return Parameter(name, float(default), sign + limit)


def _row(kind: int, row: _core.Row, rowwise: bool) -> Row:
    kinks = tuple((x, slope) for x, _, slope in (kink.partition(":") for kink in row["kinks"].split()))
    parameters = tuple(map(_parameter, row["parameters"].split()))
    return Row(kind, row["name"], row["formula"], row["range"], row["reads"], rowwise, parameters, kinks)


TABLE: dict[str, Row] = {
    row.name: row
    for rows, rowwise in ((_core.ROWS, False), (_core.ROW_ROWS, True))
    for row in (_row(kind, fields, rowwise) for kind, fields in enumerate(rows))
}


# ------------------------------------------------------------------------------------------- functions of one number


def _result(x: FloatArray, out: Any) -> FloatArray:
    return np.empty_like(x) if out is None else _validate.destination(out, "out", x.shape, x.dtype)


def _apply(row: Row, x: Any, parameters: npt.NDArray[np.float64], out: Any) -> FloatArray:
    """f of every element."""
    x = _validate.floats(x, "x")
    y = _result(x, out)
    _core.forward(row.kind, x, y, parameters)
    return y


def _example(row: Row, function: Function) -> str:
    x = [-2.0, 0.0, 2.0]
    return f">>> {row.name}({x}).round(4).tolist()\n    {function(x).round(4).tolist()}"


def _with_parameters(row: Row) -> Function:
    """The function of a row: its signature names the row's parameters, so that it is written out and compiled."""
    options = "".join(f", {p.name}={p.name}_" for p in row.parameters)
    names = ", ".join(p.name for p in row.parameters)
    scope: dict[str, Any] = {"__name__": __name__, "apply": _apply, "row": row, "values": row.values}
    scope.update({f"{p.name}_": p.default for p in row.parameters})
    exec(f"def {row.name}(x{options}, *, out=None):\n    return apply(row, x, values({names}), out)", scope)
    function: Function = scope[row.name]
    return function


def _without_parameters(row: Row) -> Function:
    """The function of a row without parameters."""

    def function(x: Any, *, out: Any = None) -> FloatArray:
        return _apply(row, x, _NO_PARAMETERS, out)

    function.__name__ = function.__qualname__ = row.name
    function.__annotations__ = {}  # they stand in activations.pyi
    return function


def _elementwise(row: Row) -> Function:
    """The function of a row of the table, with its docstring."""
    function = (_with_parameters if row.parameters else _without_parameters)(row)
    lines = [f"``{row.formula}``", f"Range {row.range}."]
    lines += [f"{p.name} must be {p.bound[:-1]} 0." for p in row.parameters if p.bound]
    if row.kinks:
        lines.append("Derivative " + ", ".join(f"{slope} at x = {x}" for x, slope in row.kinks) + ".")
    function.__doc__ = "\n\n    ".join([*lines, _example(row, function)]) + "\n"
    return function


# The functions are named in the generated activations.pyi, which a test compares with the table.
globals().update({name: _elementwise(row) for name, row in TABLE.items() if not row.rowwise})


def _relu_row(negative_slope: Any, max_value: Any, threshold: Any) -> tuple[Row, npt.NDArray[np.float64]]:
    """The plain row where it does, the general one where it does not."""
    if max_value is None and negative_slope == 0 and threshold == 0:
        return TABLE["relu"], _NO_PARAMETERS
    row = TABLE["relu_general"]
    return row, row.values(negative_slope, math.inf if max_value is None else max_value, threshold)


def relu(
    x: npt.ArrayLike,
    negative_slope: float = 0.0,
    max_value: float | None = None,
    threshold: float = 0.0,
    *,
    out: FloatArray | None = None,
) -> FloatArray:
    """``min(x, max_value) if x > threshold else negative_slope (x - threshold)``

    Plainly ``max(x, 0)``. Range [0, inf).

    Derivative 0 at x = 0; in general negative_slope at the threshold and 0 at max_value.

    >>> relu([-2.0, 0.0, 2.0], negative_slope=0.5, max_value=1.5).tolist()
    [-1.0, 0.0, 1.5]
    """
    row, values = _relu_row(negative_slope, max_value, threshold)
    return _apply(row, x, values, out)


def gelu(x: npt.ArrayLike, approximate: bool = False, *, out: FloatArray | None = None) -> FloatArray:
    """``x (1 + erf(x / sqrt(2))) / 2``, or with `approximate` ``x (1 + tanh(sqrt(2 / pi) (x + 0.044715 x^3))) / 2``

    Range [-0.17, inf).

    >>> gelu([-2.0, 0.0, 2.0]).round(4).tolist()
    [-0.0455, 0.0, 1.9545]
    """
    return _apply(TABLE["gelu_tanh" if approximate else "gelu"], x, _NO_PARAMETERS, out)


swish: Function = globals()["silu"]
hard_swish: Function = globals()["hard_silu"]


# ------------------------------------------------------------------------------------------------- functions of a row


def _axes(axis: Any, ndim: int) -> tuple[int, ...]:
    """The axes, counted from 0, each once."""
    axes = tuple(operator.index(a) for a in axis) if isinstance(axis, (tuple, list)) else (operator.index(axis),)
    if not axes or not all(-ndim <= a < ndim for a in axes) or len({a % ndim for a in axes}) < len(axes):
        raise ValueError(f"axis: expected an axis of x, which has {ndim}, got {axis!r}")
    return tuple(a % ndim for a in axes)


def _along(function: Callable[..., Any], axis: Any, *arrays: FloatArray, out: FloatArray | None = None) -> FloatArray:
    """function(*arrays as rows): the axis (or axes) moved to the end and made one, and back again in the result, whose
    rows may be of another length than those of the first array."""
    first = arrays[0]
    axes = _axes(axis, first.ndim)
    last = tuple(range(first.ndim - len(axes), first.ndim))
    moved = [np.ascontiguousarray(np.moveaxis(a, axes, last)) for a in arrays]
    shape = moved[0].shape
    lead, lengths = shape[: last[0]], [math.prod(m.shape[last[0] :]) for m in moved]
    rows = [m.reshape(math.prod(lead), n) for m, n in zip(moved, lengths, strict=True)]
    y = function(*rows)
    y = y.reshape(lead + ((y.shape[1],) if len(axes) == 1 else shape[last[0] :]))
    result: FloatArray = np.ascontiguousarray(np.moveaxis(y, last, axes))
    if out is None:
        return result
    _validate.destination(out, "out", result.shape, result.dtype)[...] = result
    return out


def _apply_rows(row: Row, x: Any, axis: Any, out: Any) -> FloatArray:
    """f of every row along the axis."""
    x = _validate.floats(x, "x")
    halved = row.name == "glu"
    if halved:
        length = x.shape[_axes(operator.index(axis), x.ndim)[0]]
        if length % 2:
            raise ValueError(f"x: glu cuts axis {axis} into halves, but its length is {length}; it must be even")
    if not halved and _axes(axis, x.ndim) == (x.ndim - 1,):  # straight into place
        y = _result(x, out)
        _core.row_forward(row.kind, x, y)
        return y

    def forward(rows: FloatArray) -> FloatArray:
        y = np.empty((rows.shape[0], rows.shape[1] // (2 if halved else 1)), rows.dtype)
        _core.row_forward(row.kind, rows, y)
        return y

    return _along(forward, axis, x, out=out)


def softmax(x: npt.ArrayLike, axis: int | tuple[int, ...] = -1, *, out: FloatArray | None = None) -> FloatArray:
    """``exp(x_i) / sum_j exp(x_j)``, shifted by the largest x so that nothing overflows.

    Range (0, 1); the results along the axis sum to 1.

    >>> softmax([0.0, 0.0, float("-inf")]).tolist()
    [0.5, 0.5, 0.0]
    """
    return _apply_rows(TABLE["softmax"], x, axis, out)


def log_softmax(x: npt.ArrayLike, axis: int | tuple[int, ...] = -1, *, out: FloatArray | None = None) -> FloatArray:
    """``x_i - log(sum_j exp(x_j))``

    Range (-inf, 0).

    >>> log_softmax([0.0, 0.0]).round(4).tolist()
    [-0.6931, -0.6931]
    """
    return _apply_rows(TABLE["log_softmax"], x, axis, out)


def sparsemax(x: npt.ArrayLike, axis: int = -1, *, out: FloatArray | None = None) -> FloatArray:
    """``max(x_i - tau, 0), with tau such that they sum to 1``: the nearest point to x among probabilities.

    Range [0, 1]; small ones are exactly 0.

    >>> sparsemax([1.0, 0.5, -1.0]).tolist()
    [0.75, 0.25, 0.0]
    """
    return _apply_rows(TABLE["sparsemax"], x, operator.index(axis), out)


def glu(x: npt.ArrayLike, axis: int = -1, *, out: FloatArray | None = None) -> FloatArray:
    """``a_i / (1 + exp(-b_i)), a the first half of x and b the second``, the halves being taken along the axis.

    Range (-inf, inf); the result is half as long.

    >>> glu([3.0, 4.0, 0.0, 0.0]).tolist()
    [1.5, 2.0]
    """
    return _apply_rows(TABLE["glu"], x, axis, out)


# ------------------------------------------------------------------------------------------------------- learned slopes


def _slopes(x: FloatArray, alpha: Any) -> tuple[tuple[int, int], FloatArray]:
    """x as rows, and the slope of each column."""
    slopes = _validate.floats(alpha, "alpha", x.dtype)
    trailing = x.shape[x.ndim - slopes.ndim :] if slopes.ndim <= x.ndim else None
    if trailing != slopes.shape:
        raise ValueError(
            f"alpha has shape {slopes.shape}, but x has shape {x.shape}; alpha must be a number or have the shape of "
            "x's last axes, for instance one slope for each column"
        )
    if slopes.ndim == 0:
        n = x.shape[-1] if x.ndim else 1
        slopes = np.full(n, slopes)
    n = slopes.size
    return (x.size // n if n else 0, n), slopes.reshape(-1)


def prelu(x: npt.ArrayLike, alpha: npt.ArrayLike, *, out: FloatArray | None = None) -> FloatArray:
    """``x if x > 0 else alpha x``, with slopes that a layer learns.

    alpha is a number, or has the shape of x's last axes. Range (-inf, inf). Derivative alpha at x = 0.

    >>> prelu([[-1.0, -1.0], [2.0, 2.0]], [0.1, 0.5]).tolist()
    [[-0.1, -0.5], [2.0, 2.0]]
    """
    x = _validate.floats(x, "x")
    shape, slopes = _slopes(x, alpha)
    y = _result(x, out)
    _core.prelu_forward(x.reshape(shape), slopes, y.reshape(shape))
    return y


# ---------------------------------------------------------------------------------------------------------- derivatives


def _ones(x: FloatArray, dy: Any) -> FloatArray:
    """dy, or ones, in an array that may be written into."""
    if dy is None:
        return np.ones_like(x)
    dx = _validate.floats(dy, "dy", x.dtype).copy()
    _validate.same_shape(dx, "dy", x, "x")
    return dx


def _derivative(row: Row, parameters: npt.NDArray[np.float64]) -> Function:
    def slope(x: Any, dy: Any = None) -> FloatArray:
        x = _validate.floats(x, "x")
        dx = _ones(x, dy)
        xy = _apply(row, x, parameters, None) if row.reads == "Y" else x
        _core.derivative(row.kind, xy, dx, dx, parameters)
        return dx

    return slope


def _row_derivative(row: Row) -> Function:
    def product(x: Any, dy: Any = None, axis: int | tuple[int, ...] = -1) -> FloatArray:
        if dy is None:
            raise _errors.ArgumentError(
                f"the derivative of {row.name} is a matrix for each row: pass dy, an array of the result's shape, and "
                "get dy times that matrix"
            )
        x = _validate.floats(x, "x")
        dy = _validate.floats(dy, "dy", x.dtype)
        y = _apply_rows(row, x, axis, None)
        _validate.same_shape(dy, "dy", y, f"{row.name}(x)")

        def backward(xy: FloatArray, dy: FloatArray) -> FloatArray:
            dx = np.empty_like(xy)
            _core.row_derivative(row.kind, xy, dy, dx)
            return dx

        return _along(backward, axis, y if row.reads == "Y" else x, dy)

    return product


def _prelu_derivative(alpha: Any) -> Function:
    def slope(x: Any, dy: Any = None) -> FloatArray:
        x = _validate.floats(x, "x")
        shape, slopes = _slopes(x, alpha)
        dx = _ones(x, dy)
        flat = dx.reshape(shape)
        _core.prelu_derivative(x.reshape(shape), slopes, flat, flat, np.empty_like(slopes))
        return dx

    return slope


def derivative(activation: str | Function, **parameters: Any) -> Function:
    """The derivative of an activation, as a function of x.

    For a function of one number it is called with x, and returns f'(x), or with x and dy, and returns dy f'(x). At a
    corner it takes the value in the table. Where f' is computed from y = f(x), as training does (sigmoid, tanh,
    softplus, ...), it is accurate to the rounding of y, so that 1 - y is 0 where y is 1.

    For a function of a row the derivative is a matrix J of all dy_i / dx_j: it is called with x, dy and the axis, and
    returns dy J, the gradient with respect to x of whatever has the gradient dy with respect to the result.

    Parameters
    ----------
    activation
        A name, a function of this module, or any function that has its derivative as an attribute.
    **parameters
        Those of the activation.

    >>> derivative("leaky_relu", negative_slope=0.5)([-1.0, 0.0, 1.0]).tolist()
    [0.5, 0.5, 1.0]
    >>> derivative(softmax)([0.0, 0.0], dy=[1.0, 0.0]).tolist()
    [0.25, -0.25]
    """
    if callable(activation) and _name_of(activation) is None:
        own = getattr(activation, "derivative", None)
        if not callable(own):
            raise _errors.ArgumentError(
                f"activation: {getattr(activation, '__name__', activation)!r} is not one of fastnn's and has no "
                "attribute `derivative`; give it one, a function of x"
            )
        if parameters:
            raise _errors.ArgumentError(
                "activation: parameters are for fastnn's own activations; bind them in your function"
            )
        slope: Function = own
        return slope
    name = _name_of(get(activation))
    assert name is not None
    if name == "prelu":
        if parameters.keys() != {"alpha"}:
            raise TypeError("derivative('prelu') needs alpha, the slopes, and nothing else")
        return _prelu_derivative(parameters["alpha"])
    if name == "gelu" and parameters.keys() == {"approximate"}:
        return _derivative(TABLE["gelu_tanh" if parameters["approximate"] else "gelu"], _NO_PARAMETERS)
    if name == "relu" and parameters:
        given = {"negative_slope": 0.0, "max_value": None, "threshold": 0.0}
        if not parameters.keys() <= given.keys():
            TABLE["relu_general"].values(**parameters)
        return _derivative(*_relu_row(*(given | parameters).values()))
    row = TABLE[name]
    return _row_derivative(row) if row.rowwise and not parameters else _derivative(row, row.values(**parameters))


# ---------------------------------------------------------------------------------------------------------------- names

_FUNCTIONS: dict[str, Function] = {name: globals()[name] for name in (*TABLE, "prelu")}


def _name_of(activation: Function) -> str | None:
    """The name of one of these functions; None for any other callable, hashable or not."""
    return next((name for name, function in _FUNCTIONS.items() if function is activation), None)


def names() -> list[str]:
    """The names that `get` knows, aliases left out.

    >>> "relu" in names()
    True
    """
    return list(TABLE)


def get(identifier: str | Function | Mapping[str, Any] | None) -> Function:
    """The activation that is meant: by name (or alias), by itself, by what `serialize` or Keras wrote; None is linear.

    >>> get("swish") is silu
    True
    """
    if identifier is None:
        return _FUNCTIONS["linear"]
    if isinstance(identifier, Mapping):
        return deserialize(identifier)
    if callable(identifier):
        return identifier
    name = _validate.choice(identifier, "activation", [*_FUNCTIONS, *ALIASES])
    return _FUNCTIONS[ALIASES.get(name, name)]


def serialize(activation: Function) -> str:
    """The name of one of fastnn's activations.

    >>> serialize(relu)
    'relu'
    """
    name = _name_of(activation)
    if name is None:
        raise ValueError(
            f"activation: {getattr(activation, '__name__', activation)!r} is not one of fastnn's, so that its name "
            "would not find it again; save its name yourself and pass custom_objects to deserialize"
        )
    return name


def deserialize(config: str | Mapping[str, Any], custom_objects: Mapping[str, Function] | None = None) -> Function:
    """The activation of a name, or of the mapping that Keras writes for a function.

    >>> deserialize({"class_name": "function", "config": "relu"}) is relu
    True
    """
    name = config["config"] if isinstance(config, Mapping) and isinstance(config.get("config"), str) else config
    if custom_objects and isinstance(name, str) and name in custom_objects:
        return custom_objects[name]
    if not isinstance(name, str):
        raise _errors.ArgumentError(f"config: expected a name or a mapping with a name at 'config', got {config!r}")
    return get(name)


__all__ = sorted([*_FUNCTIONS, *ALIASES, "derivative", "deserialize", "get", "names", "serialize"])  # noqa: PLE0605
