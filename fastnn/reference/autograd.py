"""A scalar autograd: numbers that remember what they were computed from, so that a gradient can be taken.

    a, b = Value(2.0, "a"), Value(-3.0, "b")
    loss = (a * b + a) ** 2
    loss.backward()
    a.grad, b.grad      # d loss / da, d loss / db

Every operation makes a node that knows its parents and its derivative by each of them. Going back from the result,
the chain rule multiplies along a path and adds over paths: a value that is used twice gets the sum.
"""

import math
from collections.abc import Iterable, Sequence
from html import escape
from itertools import pairwise

from . import random
from ._ieee import NAN, cos, div, exp, log, maximum, power, sign, sin, sqrt, total
from .activations import sigmoid, sigmoid_derivative, tanh_derivative

Number = float


class Value:
    """A number in a graph: its data, the gradient that it was given, its parents and the derivatives by them.

    >>> a, b = Value(2.0, "a"), Value(-3.0, "b")
    >>> loss = (a * b + a) ** 2
    >>> loss.backward()
    >>> a, b
    (Value(a: data=2, grad=16), Value(b: data=-3, grad=-16))
    """

    def __init__(
        self, data: Number, label: str = "", parents: Sequence["Value"] = (), local: Sequence[Number] = (), op: str = ""
    ) -> None:
        self.data = float(data)
        self.grad = 0.0
        self.label = label
        self.parents = tuple(parents)
        self.local = tuple(local)  # local[i] = d self / d parents[i], all others held still
        self.op = op

    def __repr__(self) -> str:
        name = f"{self.label}: " if self.label else ""
        return f"Value({name}data={self.data:g}, grad={self.grad:g})"

    # Arithmetic.

    def __add__(self, other: "Value | Number") -> "Value":
        other = as_value(other)
        return Value(self.data + other.data, "", (self, other), (1.0, 1.0), "+")

    def __sub__(self, other: "Value | Number") -> "Value":
        other = as_value(other)
        return Value(self.data - other.data, "", (self, other), (1.0, -1.0), "-")

    def __mul__(self, other: "Value | Number") -> "Value":
        other = as_value(other)
        return Value(self.data * other.data, "", (self, other), (other.data, self.data), "*")

    def __truediv__(self, other: "Value | Number") -> "Value":
        """a / b, with derivatives 1 / b and -a / b^2."""
        other = as_value(other)
        quotient = div(self.data, other.data)
        return Value(quotient, "", (self, other), (div(1.0, other.data), -div(quotient, other.data)), "/")

    def __pow__(self, other: "Value | Number") -> "Value":
        """a^b, with derivatives b a^(b - 1) and a^b log a. A plain number as exponent is no part of the graph."""
        if not isinstance(other, Value):
            slope = other * power(self.data, other - 1.0) if other else 0.0
            return Value(power(self.data, other), "", (self,), (slope,), f"^{other:g}")
        y = power(self.data, other.data)
        by_base = other.data * power(self.data, other.data - 1.0) if other.data else 0.0
        by_exponent = 0.0 if self.data == 0.0 and other.data > 0.0 else y * log(self.data)
        return Value(y, "", (self, other), (by_base, by_exponent), "^")

    def __neg__(self) -> "Value":
        return Value(-self.data, "", (self,), (-1.0,), "neg")

    def __radd__(self, other: Number) -> "Value":
        return as_value(other) + self

    def __rsub__(self, other: Number) -> "Value":
        return as_value(other) - self

    def __rmul__(self, other: Number) -> "Value":
        return as_value(other) * self

    def __rtruediv__(self, other: Number) -> "Value":
        return as_value(other) / self

    def __rpow__(self, other: Number) -> "Value":
        return as_value(other) ** self

    # Functions of one number: f(x) and f'(x).

    def _function(self, op: str, y: Number, derivative: Number) -> "Value":
        return Value(y, "", (self,), (derivative,), op)

    def exp(self) -> "Value":
        y = exp(self.data)
        return self._function("exp", y, y)

    def log(self) -> "Value":
        return self._function("log", log(self.data), NAN if self.data < 0.0 else div(1.0, self.data))

    def sqrt(self) -> "Value":
        y = sqrt(self.data)
        return self._function("sqrt", y, div(0.5, y))

    def tanh(self) -> "Value":
        return self._function("tanh", math.tanh(self.data), tanh_derivative(self.data))

    def sigmoid(self) -> "Value":
        return self._function("sigmoid", sigmoid(self.data), sigmoid_derivative(self.data))

    def relu(self) -> "Value":
        x = self.data
        return self._function("relu", maximum(x, 0.0), 1.0 if x > 0.0 else 0.0)

    def sin(self) -> "Value":
        return self._function("sin", sin(self.data), cos(self.data))

    def cos(self) -> "Value":
        return self._function("cos", cos(self.data), -sin(self.data))

    def abs(self) -> "Value":
        return self._function("abs", abs(self.data), sign(self.data))

    __abs__ = abs  # noqa: A003

    def linear(self) -> "Value":
        """Itself: the activation of a layer that has none."""
        return self

    # Gradients.

    def backward(self) -> None:
        """Add d self / d node to the grad of every node that self was computed from, and 1 to its own."""
        for node, derivative in derivatives(self):
            node.grad += derivative

    def zero_grad(self) -> None:
        """Set the grad of self, and of every node that it was computed from, to 0."""
        for node in topological_order(self):
            node.grad = 0.0


def as_value(x: Value | Number) -> Value:
    """x, wrapped if it is a plain number."""
    return x if isinstance(x, Value) else Value(x)


def topological_order(value: Value) -> list[Value]:
    """Every node that a value was computed from, each after all of its parents; the value itself is the last.

    Depth first with a stack of its own, so that a graph may be deeper than Python's recursion limit.
    """
    order: list[Value] = []
    seen: set[int] = set()
    stack = [(value, False)]
    while stack:
        node, parents_are_done = stack.pop()
        if parents_are_done:
            order.append(node)
        elif id(node) not in seen:
            seen.add(id(node))
            stack.append((node, True))
            stack.extend((parent, False) for parent in reversed(node.parents) if id(parent) not in seen)
    return order


def derivatives(value: Value) -> list[tuple[Value, float]]:
    """(node, d value / d node) of every node, from the value back to the leaves. No grad is read or changed.

    d value / d parent = sum over the nodes computed from it of d value / d node * d node / d parent.
    """
    order = topological_order(value)
    by_node = {id(node): 0.0 for node in order}
    by_node[id(value)] = 1.0
    for node in reversed(order):
        for parent, slope in zip(node.parents, node.local, strict=True):
            by_node[id(parent)] += by_node[id(node)] * slope
    return [(node, by_node[id(node)]) for node in reversed(order)]


def gradient(value: Value, inputs: Sequence[Value]) -> list[float]:
    """d value / d input for each of the inputs; 0 for one that the value does not depend on.

    >>> w = Value(3.0)
    >>> gradient(w * w, [w])  # 3 + 3: it is used twice
    [6.0]
    """
    by_node = {id(node): derivative for node, derivative in derivatives(value)}
    return [by_node.get(id(x), 0.0) for x in inputs]


def directional_derivative(value: Value, inputs: Sequence[Value], direction: Sequence[Number]) -> float:
    """gradient . u, with u = direction / |direction|: how fast the value grows as the inputs move that way.

    >>> x, y = Value(2.0), Value(5.0)
    >>> directional_derivative(x * y, [x, y], [3.0, -4.0])  # 5 * 0.6 + 2 * (-0.8)
    1.4
    """
    norm = sqrt(total(d * d for d in direction))
    if not norm:
        raise ValueError("direction: expected a vector that is not 0")
    return total(g * d / norm for g, d in zip(gradient(value, inputs), direction, strict=True))


# Networks.


class Neuron:
    """activation(b + sum_k x_k w_k). The weights are drawn uniformly from [-1, 1), the bias is 0.

    >>> neuron = Neuron(2, "relu")
    >>> len(neuron.parameters()), neuron([1.0, 2.0]).op
    (3, 'relu')
    """

    def __init__(self, inputs: int, activation: str = "tanh", seed: int = 0, stream: int = 0) -> None:
        self.weights = [Value(2.0 * random.uniform(seed, stream, k) - 1.0, f"w{k}") for k in range(inputs)]
        self.bias = Value(0.0, "b")
        self.activation = activation

    def __call__(self, xs: Sequence[Value | Number]) -> Value:
        z = self.bias
        for w, x in zip(self.weights, xs, strict=True):
            z = z + w * x
        result = getattr(z, self.activation)()
        assert isinstance(result, Value)
        return result

    def parameters(self) -> list[Value]:
        return [*self.weights, self.bias]


class Layer:
    """Neurons that see the same inputs.

    >>> layer = Layer(2, 3)
    >>> len(layer([1.0, 2.0])), len(layer.parameters())
    (3, 9)
    """

    def __init__(self, inputs: int, units: int, activation: str = "tanh", seed: int = 0, stream: int = 0) -> None:
        self.neurons = [Neuron(inputs, activation, seed, stream + j) for j in range(units)]

    def __call__(self, xs: Sequence[Value | Number]) -> list[Value]:
        return [neuron(xs) for neuron in self.neurons]

    def parameters(self) -> list[Value]:
        return [p for neuron in self.neurons for p in neuron.parameters()]


class MLP:
    """Layers one after the other: sizes = (inputs, units of the first layer, ..., units of the last).

    >>> network = MLP([2, 3, 1], "tanh", "sigmoid")
    >>> loss = (network([0.5, -1.0])[0] - 1.0) ** 2
    >>> loss.backward()
    >>> len(network.parameters()), all(p.grad for p in network.parameters())
    (13, True)
    """

    def __init__(
        self, sizes: Sequence[int], activation: str = "tanh", output_activation: str = "linear", seed: int = 0
    ) -> None:
        last = len(sizes) - 2
        self.layers = [
            Layer(inputs, units, output_activation if i == last else activation, seed, i << 32)
            for i, (inputs, units) in enumerate(pairwise(sizes))
        ]

    def __call__(self, xs: Sequence[Value | Number]) -> list[Value]:
        outputs: Sequence[Value | Number] = xs
        for layer in self.layers:
            outputs = layer(outputs)
        return [as_value(y) for y in outputs]

    def parameters(self) -> list[Value]:
        return [p for layer in self.layers for p in layer.parameters()]

    def zero_grad(self) -> None:
        zero_grad(self.parameters())


def zero_grad(values: Iterable[Value]) -> None:
    """Set every grad to 0."""
    for value in values:
        value.grad = 0.0


# Drawings.

BOX_WIDTH, BOX_HEIGHT = 132, 52
GAP_X, GAP_Y = 48, 22
MARGIN = 12


def to_dot(value: Value) -> str:
    """The graph in Graphviz's language, from the leaves on the left to the value on the right.

    >>> lines = to_dot(Value(2.0, "a") * 3.0).splitlines()
    >>> lines[0], [line.strip() for line in lines if "->" in line]
    ('digraph {', ['n0 -> n2;', 'n1 -> n2;'])
    """
    order = topological_order(value)
    number = {id(node): i for i, node in enumerate(order)}
    lines = ["digraph {", "  rankdir=LR;", "  node [shape=box];"]
    for i, node in enumerate(order):
        text = "\\n".join(_lines(node)).replace('"', '\\"')
        lines.append(f'  n{i} [label="{text}"];')
        lines.extend(f"  n{number[id(parent)]} -> n{i};" for parent in node.parents)
    return "\n".join([*lines, "}"]) + "\n"


def to_svg(value: Value) -> str:
    """The graph as an SVG drawing: one column per layer, each node one column after the last of its parents.

    A node shows its label (or its operation), its data and its grad. Within a column, nodes go by the average height of
    their parents, which keeps most lines from crossing.
    """
    order = topological_order(value)
    place = _places(order)
    width = max(x for x, _ in place.values()) + BOX_WIDTH + MARGIN
    height = max(y for _, y in place.values()) + BOX_HEIGHT + MARGIN
    size = f'width="{width:g}" height="{height:g}" viewBox="0 0 {width:g} {height:g}"'
    parts = [f'<svg xmlns="http://www.w3.org/2000/svg" {size} font-family="sans-serif" font-size="12">']
    parts += [_edge(place[id(parent)], place[id(node)]) for node in order for parent in node.parents]
    parts += [_box(place[id(node)], node) for node in order]
    return "\n".join([*parts, "</svg>"]) + "\n"


def _lines(node: Value) -> list[str]:
    """The text in a node."""
    name = " ".join(part for part in (node.label, f"({node.op})" if node.op else "") if part) or "constant"
    return [name, f"data {node.data:.6g}", f"grad {node.grad:.6g}"]


def _places(order: list[Value]) -> dict[int, tuple[float, float]]:
    """The upper left corner of every node."""
    column: dict[int, int] = {}
    for node in order:
        column[id(node)] = 1 + max((column[id(parent)] for parent in node.parents), default=-1)
    columns: list[list[Value]] = [[] for _ in range(1 + max(column.values()))]
    for node in order:
        columns[column[id(node)]].append(node)
    row: dict[int, float] = {}
    for nodes in columns:
        nodes.sort(key=lambda node: sum(row[id(p)] for p in node.parents) / max(1, len(node.parents)))
        middle = (max(map(len, columns)) - len(nodes)) / 2
        row.update({id(node): middle + i for i, node in enumerate(nodes)})
    step_x, step_y = BOX_WIDTH + GAP_X, BOX_HEIGHT + GAP_Y
    return {n: (MARGIN + column[n] * step_x, MARGIN + row[n] * step_y) for n in row}


def _edge(start: tuple[float, float], end: tuple[float, float]) -> str:
    """A curve from the right side of one box to the left side of another, with a dot where it arrives."""
    x1, y1 = start[0] + BOX_WIDTH, start[1] + BOX_HEIGHT / 2
    x2, y2 = end[0], end[1] + BOX_HEIGHT / 2
    bend = (x2 - x1) / 2
    path = f"M{x1:g},{y1:g} C{x1 + bend:g},{y1:g} {x2 - bend:g},{y2:g} {x2:g},{y2:g}"
    return f'<path d="{path}" fill="none" stroke="#888"/><circle cx="{x2:g}" cy="{y2:g}" r="3" fill="#888"/>'


def _box(corner: tuple[float, float], node: Value) -> str:
    """A rounded box with the node's lines of text; leaves are tinted."""
    x, y = corner
    fill = "#fff" if node.parents else "#eef4ff"
    box = f'<rect x="{x:g}" y="{y:g}" width="{BOX_WIDTH}" height="{BOX_HEIGHT}" rx="6" fill="{fill}" stroke="#345"/>'
    texts = [
        f'<text x="{x + BOX_WIDTH / 2:g}" y="{y + 15 * (i + 1):g}" text-anchor="middle">{escape(line)}</text>'
        for i, line in enumerate(_lines(node))
    ]
    return f"<g>{box}{''.join(texts)}</g>"
