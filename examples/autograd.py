"""A graph of plain numbers: the chain rule, a value that is used twice, a derivative in a direction, and a network.

python examples/autograd.py [picture.svg or picture.png]
"""

import sys
from importlib.util import find_spec
from pathlib import Path

from fastnn import plots
from fastnn.reference.autograd import MLP, Value, directional_derivative, gradient, to_dot, to_svg

GATE = [((0, 0), 0), ((0, 1), 1), ((1, 0), 1), ((1, 1), 0)]


def neuron():
    """sigmoid(w x + b) against a target of 1, with gradients."""
    w, x, b = Value(0.5, "w"), Value(2.0, "x"), Value(0.2, "b")
    loss = ((w * x + b).sigmoid() - 1.0) ** 2
    loss.label = "loss"
    loss.backward()
    return loss, w


def train(network, steps=200, rate=0.3):
    """Gradient descent on the mean squared error; the loss before each step."""
    history = []
    for _ in range(steps):
        loss = sum((network(x)[0] - y) ** 2 for x, y in GATE) / len(GATE)
        network.zero_grad()
        loss.backward()
        for p in network.parameters():
            p.data -= rate * p.grad
        history.append(loss.data)
    return history


def main(picture=None):
    g, h, k = Value(4.0, "g"), Value(2.0, "h"), Value(-5.0, "k")
    f = h + k
    print("L = f g, f = h + k: dL/df, dL/dg, dL/dh, dL/dk =", gradient(f * g, [f, g, h, k]))
    w = Value(3.0, "w")
    print("w is used twice in w w: its gradient is 3 + 3 =", gradient(w * w, [w])[0])
    print(f"along (3, -4) L grows by {directional_derivative(f * g, [h, g], [3.0, -4.0])}: 4 * 0.6 + (-3) * (-0.8)")
    loss, weight = neuron()
    print(f"sigmoid(0.5 * 2 + 0.2) against 1: loss {loss.data:.10f}, dloss/dw {weight.grad:.10f}")
    history = train(MLP([2, 4, 1], "tanh", "sigmoid", seed=1), rate=2.0)
    print(f"a network of such numbers learns XOR: squared error {history[0]:.3f} -> {history[-1]:.4f}")
    print("\n" + to_dot(loss), end="")
    if picture and str(picture).endswith(".svg"):
        Path(picture).write_text(to_svg(loss), encoding="utf-8")  # this needs no matplotlib
    elif picture and find_spec("matplotlib"):
        plots.graph(loss).figure.savefig(picture)


if __name__ == "__main__":
    main(*sys.argv[1:])
