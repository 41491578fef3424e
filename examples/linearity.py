"""Why activations: a stack of linear layers is one linear layer, and bends no boundary, whatever its output is.

python examples/linearity.py [picture.png]
"""

import sys
from importlib.util import find_spec

import numpy as np

import fastnn
from fastnn import datasets, layers, optimizers, plots


def product(model):
    """The kernel and the bias of the one linear layer that a stack of them is: W1 W2 W3, (b1 W2 + b2) W3 + b3."""
    kernel, bias = np.eye(model.input_shape[-1]), 0.0
    for layer in model.layers:
        kernel, bias = kernel @ layer.kernel, bias @ layer.kernel + layer.bias if np.ndim(bias) else layer.bias
    return kernel, bias


def classifier(activation, x, y):
    """Two hidden layers and a sigmoid on the output."""
    parts = [layers.Dense(16, activation), layers.Dense(16, activation), layers.Dense(1, "sigmoid")]
    model = fastnn.Sequential(parts, seed=0)
    model.compile(optimizers.Adam(0.01), "binary_crossentropy", metrics=["accuracy"])
    model.fit(x, y, epochs=60, verbose=0)
    return model


def main(picture=None):
    rng = np.random.default_rng(0)
    stack = fastnn.Sequential([layers.Input((4,)), *(layers.Dense(n) for n in (8, 8, 2))], seed=0, dtype="float64")
    kernel, bias = product(stack)
    x = rng.normal(size=(100, 4))
    difference = np.abs(stack(x) - (x @ kernel + bias)).max()
    print(f"three linear layers, {stack.count_params()} weights, are one layer with {kernel.size + bias.size}:")
    print(f"  the outputs differ by {difference:.0e} at most")

    x, y = datasets.xor(400, noise=0.15)
    models = {name: classifier(name, x, y) for name in ("linear", "tanh")}
    print("XOR, two hidden layers and a sigmoid on the output:")
    for name, model in models.items():
        loss, accuracy = model.evaluate(x, y, verbose=0)
        print(f"  {name:8}hidden layers: loss {loss:.3f}, accuracy {accuracy:.0%}")
    print(f"  the loss of an answer of one half everywhere is log 2 = {np.log(2):.3f}")
    if picture and find_spec("matplotlib"):
        import matplotlib.pyplot as plt

        figure, axes = plt.subplots(1, 2, figsize=(11, 4.5), layout="constrained")
        for ax, (name, model) in zip(axes, models.items(), strict=True):
            plots.decision_boundary(model, x, y, ax=ax).set(title=f"{name} hidden layers")
        axes[0].get_legend().remove()  # it is that of the other
        figure.savefig(picture)


if __name__ == "__main__":
    main(*sys.argv[1:])
