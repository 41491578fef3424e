"""The scalar autograd: derivatives of every operation, gradients that add up, deep graphs, drawings."""

import math
from xml.etree import ElementTree

import pytest

from fastnn.reference.autograd import (
    MLP,
    Layer,
    Neuron,
    Value,
    directional_derivative,
    gradient,
    to_dot,
    to_svg,
    topological_order,
)

BINARY = {
    "a + b": lambda a, b: a + b,
    "a - b": lambda a, b: a - b,
    "a * b": lambda a, b: a * b,
    "a / b": lambda a, b: a / b,
    "a ** b": lambda a, b: a**b,
    "a ** 3": lambda a, b: a**3 * b,
    "2 ** a": lambda a, b: 2.0**a * b,
    "2 + a": lambda a, b: (2.0 + a) * b,
    "2 - a": lambda a, b: (2.0 - a) * b,
    "2 * a": lambda a, b: 2.0 * a + b,
    "2 / a": lambda a, b: 2.0 / a + b,
    "-a": lambda a, b: -a * b,
    "mixed": lambda a, b: (a * b + a) ** 2 / (b + 4.0) - (a - 1.5) * b,
}
UNARY = ["exp", "log", "sqrt", "tanh", "sigmoid", "relu", "sin", "cos", "abs", "linear"]


@pytest.mark.parametrize("name", BINARY)
@pytest.mark.parametrize(("x", "y"), [(0.7, 1.9), (2.3, -0.6)])
def test_operators(name, x, y):
    f, h = BINARY[name], 1e-6
    a, b = Value(x), Value(y)
    result = f(a, b)
    assert result.data == pytest.approx(f(x, y), rel=1e-15)
    result.backward()
    by_a = (f(Value(x + h), Value(y)).data - f(Value(x - h), Value(y)).data) / (2 * h)
    by_b = (f(Value(x), Value(y + h)).data - f(Value(x), Value(y - h)).data) / (2 * h)
    assert [a.grad, b.grad] == pytest.approx([by_a, by_b], rel=1e-7, abs=1e-9)


@pytest.mark.parametrize("name", UNARY)
@pytest.mark.parametrize("x", [0.4, 1.7])
def test_functions(name, x):
    h = 1e-6
    a = Value(x)
    getattr(a, name)().backward()
    up, down = getattr(Value(x + h), name)(), getattr(Value(x - h), name)()
    assert a.grad == pytest.approx((up.data - down.data) / (2 * h), rel=1e-8)


def test_chain_rule_of_the_course():
    """L = f g with f = h + k: dL/df = g, dL/dg = f, df/dh = df/dk = 1."""
    g, h, k = Value(-2.0), Value(10.0), Value(3.0)
    f = h + k
    loss = f * g
    loss.backward()
    assert (loss.data, loss.grad) == (-26.0, 1.0)
    assert (f.grad, g.grad) == (g.data, f.data)
    assert gradient(f, [h, k]) == [1.0, 1.0]
    assert (h.grad, k.grad) == (-2.0, -2.0)


def test_two_paths_add_up():
    w = Value(3.0)
    (w * w + 5.0 * w).backward()
    assert w.grad == 2 * 3.0 + 5.0
    a = Value(2.0)
    (a + a).backward()
    assert a.grad == 2.0


def test_backward_adds_to_what_is_there_until_zero_grad():
    a = Value(2.0)
    b = a * 3.0
    loss = b * b
    loss.backward()
    once = a.grad
    assert once == 36.0
    loss.backward()
    assert a.grad == 2 * once
    loss.zero_grad()
    assert (a.grad, b.grad, loss.grad) == (0.0, 0.0, 0.0)


def test_gradient_changes_no_grad():
    a, other = Value(2.0), Value(1.0)
    assert gradient(a**2, [a, other]) == [4.0, 0.0]
    assert a.grad == 0.0


def test_directional_derivative():
    x, y = Value(1.0), Value(2.0)
    f = x * x * y
    assert directional_derivative(f, [x, y], [3.0, 4.0]) == pytest.approx(4.0 * 0.6 + 1.0 * 0.8)
    assert directional_derivative(f, [x, y], [30.0, 40.0]) == pytest.approx(3.2)
    steepest = math.sqrt(4.0**2 + 1.0**2)
    assert directional_derivative(f, [x, y], [4.0, 1.0]) == pytest.approx(steepest)
    assert directional_derivative(f, [x, y], [-1.0, 4.0]) == pytest.approx(0.0)
    with pytest.raises(ValueError, match="direction"):
        directional_derivative(f, [x, y], [0.0, 0.0])


def test_graph_deeper_than_the_recursion_limit():
    a = Value(1.0)
    x = a
    for _ in range(20_000):
        x = x + a
    x.backward()
    assert a.grad == 20_001.0


def test_wide_reuse_is_not_exponential():
    x = Value(1.0)
    y = x
    for _ in range(60):
        y = y + y
    y.backward()
    assert x.grad == 2.0**60
    assert len(topological_order(y)) == 61


def test_parents_come_first():
    a, b = Value(1.0), Value(2.0)
    c = a * b
    d = c + a
    order = topological_order(d * c)
    position = {id(node): i for i, node in enumerate(order)}
    assert all(position[id(p)] < position[id(n)] for n in order for p in n.parents)


def test_ieee_at_the_edges():
    assert (Value(1.0) / 0.0).data == math.inf
    assert Value(1000.0).exp().data == math.inf
    assert Value(0.0).log().data == -math.inf
    assert math.isnan(Value(-1.0).sqrt().data)
    assert math.isnan(Value(math.nan).relu().data)
    zero = Value(0.0)
    (zero.abs() + zero.relu()).backward()
    assert zero.grad == 0.0


def test_powers_of_zero():
    zero = Value(0.0)
    (zero**0 + zero**2).backward()
    assert zero.grad == 0.0
    n = Value(2.0)
    power = zero**n
    power.backward()
    assert (power.data, zero.grad, n.grad) == (0.0, 0.0, 0.0)


def test_neuron_is_a_weighted_sum():
    neuron = Neuron(3, "sigmoid", seed=4)
    for w, value in zip(neuron.weights, (0.5, -1.0, 2.0), strict=True):
        w.data = value
    neuron.bias.data = 0.25
    z = 0.25 + 0.5 * 1.0 - 1.0 * 2.0 + 2.0 * 3.0
    assert neuron([1.0, 2.0, 3.0]).data == pytest.approx(1.0 / (1.0 + math.exp(-z)))
    assert len(neuron.parameters()) == 4
    assert len(Layer(3, 5).parameters()) == 20


def test_weights_are_drawn_apart():
    weights = [p.data for p in MLP([2, 4, 1], seed=3).parameters() if p.label != "b"]
    assert len(set(weights)) == len(weights) == 12
    assert all(-1.0 <= w < 1.0 for w in weights)
    assert weights != [p.data for p in MLP([2, 4, 1], seed=4).parameters() if p.label != "b"]


def test_mlp_learns_xor():
    mlp = MLP([2, 4, 1], "tanh", "sigmoid", seed=1)
    data = [((0.0, 0.0), 0.0), ((0.0, 1.0), 1.0), ((1.0, 0.0), 1.0), ((1.0, 1.0), 0.0)]
    for _ in range(400):
        loss = Value(0.0)
        for x, y in data:
            p = mlp(x)[0]
            loss = loss - (p if y else 1.0 - p).log()
        mlp.zero_grad()
        loss.backward()
        for w in mlp.parameters():
            w.data -= 0.5 * w.grad
    assert loss.data < 0.1
    assert [round(mlp(x)[0].data) for x, _ in data] == [0, 1, 1, 0]


def drawn():
    a, b = Value(2.0, 'a "<&>"'), Value(-3.0, "b")
    loss = (a * b + a).tanh()
    loss.label = "loss"
    loss.backward()
    return loss


def test_dot():
    text = to_dot(drawn())
    assert text.startswith("digraph {")
    assert text.count("->") == 5
    assert text.count("[label=") == 5
    assert 'a \\"<&>\\"' in text
    assert "data -3" in text
    assert text.count('"') % 2 == 0


def test_svg_is_a_layered_drawing():
    root = ElementTree.fromstring(to_svg(drawn()))
    space = "{http://www.w3.org/2000/svg}"
    boxes = root.findall(f".//{space}rect")
    texts = [t.text for t in root.iter(f"{space}text")]
    assert len(boxes) == 5
    assert len(root.findall(f"{space}path")) == 5
    assert 'a "<&>"' in texts
    assert "loss (tanh)" in texts
    assert "data -3" in texts
    corners = [(float(b.get("x")), float(b.get("y"))) for b in boxes]
    assert len(set(corners)) == 5
    assert len({x for x, _ in corners}) == 4  # leaves, product, sum, tanh
    assert max(x for x, _ in corners) + float(boxes[0].get("width")) <= float(root.get("width"))
    assert max(y for _, y in corners) + float(boxes[0].get("height")) <= float(root.get("height"))
