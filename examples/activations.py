"""Activations: their ranges, whether they are centred on zero, where they saturate; and a picture of some.

python examples/activations.py [picture.png]
"""

import sys
from importlib.util import find_spec

import numpy as np

from fastnn import activations, plots

NAMES = ["step", "sigmoid", "hard_sigmoid", "tanh", "softsign", "relu", "relu6", "leaky_relu", "elu", "selu", "gelu",
         "silu", "mish", "softplus"]  # fmt: skip


def facts(name):
    """The range, the mean over N(0, 1), and for which share of N(0, 9) the derivative is below 0.05."""
    x = np.linspace(-12, 12, 4801)
    weight = np.exp(-(x**2) / 2)
    mean = np.sum(weight * activations.get(name)(x)) / weight.sum()
    wide = np.exp(-(x**2) / 18)
    flat = np.sum(wide * (np.abs(activations.derivative(name)(x)) < 0.05)) / wide.sum()
    return activations.TABLE[name].range, mean, flat


def main(picture=None):
    print(f"{'activation':14}{'range':>16}{'mean over N(0, 1)':>20}{'flat over N(0, 9)':>20}")
    for name in NAMES:
        reach, mean, flat = facts(name)
        print(f"{name:14}{reach:>16}{mean:20.3f}{flat:20.0%}")
    x = np.linspace(-2, 2, 9)
    same = np.array_equal(activations.prelu(x, 0.0), activations.relu(x))
    print(f"\nPReLU with slope 0 is ReLU: {same}; ", end="")
    leaky = activations.leaky_relu(x, negative_slope=0.01)
    print(f"with slope 0.01 it is leaky ReLU: {np.array_equal(activations.prelu(x, 0.01), leaky)}")
    if picture and find_spec("matplotlib"):
        from matplotlib import pyplot as plt

        figure, axes = plt.subplots(3, 5, figsize=(14, 8.6), layout="constrained")
        figure.suptitle("solid: the activation; dashed: its derivative; mean: of the outputs for inputs from N(0, 1)")
        for ax, name in zip(axes.flat, NAMES, strict=False):
            reach, mean, _ = facts(name)
            plots.activations(name, low=-7, high=7, ax=ax).set(
                title=f"{name}, {reach}\nmean {round(mean, 2) + 0.0:.2f}", xlabel=""
            )
            ax.get_legend().remove()
        for slope, label in ((0.0, "0: ReLU"), (0.01, "0.01: leaky ReLU"), (0.25, "learned: PReLU")):
            axes.flat[-1].plot(20 * x, activations.prelu(20 * x, slope), label=label)
        axes.flat[-1].set(title="one family, by the slope\non the left", ylim=(-10, 20), xlim=(-40, 20))
        axes.flat[-1].legend(frameon=False, loc="upper left", fontsize=9)
        figure.savefig(picture)


if __name__ == "__main__":
    main(*sys.argv[1:])
