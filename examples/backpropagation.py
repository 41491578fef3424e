"""One step of backpropagation with its working, and the marking of figures that were worked out by hand; the picture
has each number of the step and its gradient. python examples/backpropagation.py [picture.png]"""

import sys
from importlib.util import find_spec

import fastnn
from fastnn import layers, optimizers, plots
from fastnn.reference.autograd import Value

# What a student got for the network below. Two of these are wrong.
FIGURES = {
    "z1": "1.2",
    "a1": "0.7685",
    "z2": "0.2148",
    "a2": "0.5535",
    "loss": "0.1994",
    "delta2": "-0.2207",
    "dw2": "-0.1696",
    "dw1": "-0.0314",  # forgot the input, x = 2
    "db1": "-0.0314",
    "w2_new": "0.7830",  # added the gradient
    "b2_new": "-0.3779",
}


def graph():
    """The same loss as a graph of numbers, whose gradients have gone back from it."""
    x, y, w1, b1, w2, b2 = map(Value, (2.0, 1.0, 0.5, 0.2, 0.8, -0.4), ("x", "y", "w1", "b1", "w2", "b2"))
    loss = ((w2 * (w1 * x + b1).sigmoid() + b2).sigmoid() - y) ** 2
    loss.backward()
    return loss


def main(picture=None):
    model = fastnn.Sequential(
        [layers.Input((1,)), layers.Dense(1, activation="sigmoid"), layers.Dense(1, activation="sigmoid")],
        dtype="float64",
    )
    model.set_weights([[[0.5]], [0.2], [[0.8]], [-0.4]])
    model.compile(optimizers.SGD(0.1), loss="mse")

    working = fastnn.explain(model, [[2.0]], [[1.0]])
    print(working)

    print("\nMarks\n-----")
    print(working.check(FIGURES))
    if picture and find_spec("matplotlib"):
        plots.graph(graph()).figure.savefig(picture)


if __name__ == "__main__":
    main(*sys.argv[1:])
