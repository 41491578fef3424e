"""k times the learning rate, k times the loss: the same steps under SGD, and not under Adam.

python examples/loss_scale.py [picture.png]
"""

import sys
from importlib.util import find_spec

import numpy as np

import fastnn
from fastnn import datasets, layers, optimizers, plots

MAKERS = {"SGD": optimizers.SGD, "Adam": optimizers.Adam}
RATE = 0.01


def trained(maker, rate, scale, epochs=10):
    """The weights after training with a loss that is multiplied by scale, and the plain loss epoch by epoch."""
    x, y = datasets.moons(200, noise=0.1)
    model = fastnn.Sequential([layers.Dense(8, "tanh"), layers.Dense(1, "sigmoid")], seed=0, dtype="float64")
    model.compile(maker(rate), "binary_crossentropy", loss_weights=scale)
    history = model.fit(x, y, epochs=epochs, verbose=0).history["loss"]
    return model.parameters.copy(), np.array(history) / scale


def main(picture=None):
    print(f"largest difference between the weights, rate {RATE}, 10 epochs")
    print(f"{'':8}{'k':>6}{'rate x k, loss x k':>22}{'loss x k, as it was':>22}{'loss / k at rate x k':>24}")
    for name, maker in MAKERS.items():
        plain, _ = trained(maker, RATE, 1.0)
        for k in (8.0, 10.0):
            faster, _ = trained(maker, RATE * k, 1.0)
            larger, _ = trained(maker, RATE, k)
            undone, _ = trained(maker, RATE * k, 1 / k)
            apart = [np.abs(a - b).max() for a, b in ((faster, larger), (larger, plain), (undone, plain))]
            print(f"{name:8}{k:6g}{apart[0]:22.1e}{apart[1]:22.1e}{apart[2]:24.1e}")
    print("Under SGD the first and the last are rounding; under Adam only what was done to the rate counts.")
    if picture and find_spec("matplotlib"):
        import matplotlib.pyplot as plt

        cases = {"as it was": (RATE, 1.0), "rate x 8": (8 * RATE, 1.0), "loss x 8": (RATE, 8.0)}
        figure, axes = plt.subplots(1, 2, figsize=(10, 4), layout="constrained", sharey=True)
        for ax, (name, maker) in zip(axes, MAKERS.items(), strict=True):
            for i, (case, given) in enumerate(cases.items()):
                losses = trained(maker, *given, epochs=30)[1]
                ax.plot(np.arange(1, 31), losses, color=plots.COLOURS[i], label=case, linewidth=(6, 3, 1.5)[i])
            ax.set(xlabel="epoch", ylabel="loss, not multiplied", title=name)
        axes[1].legend(frameon=False)
        figure.savefig(picture)


if __name__ == "__main__":
    main(*sys.argv[1:])
