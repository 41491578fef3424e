"""What the first weights do: zeros, equal ones, tiny ones, huge ones, and such as Glorot asks for.

python examples/initial_weights.py [picture.png]
"""

import sys
from importlib.util import find_spec

import numpy as np

from fastnn import Sequential, datasets, initializers, layers, optimizers, plots

STARTS = {
    "zeros": "zeros",
    "equal: 0.5": initializers.Constant(0.5),
    "tiny: sigma 0.001": initializers.RandomNormal(stddev=0.001),
    "huge: sigma 10": initializers.RandomNormal(stddev=10.0),
    "Glorot": "glorot_uniform",
}
SEEDS = range(25)  # of networks that begin alike: what comes of huge weights is a matter of luck


def network(start, depth=4, units=16, seed=0):
    """Layers of tanh, all weights drawn alike."""
    stack = [layers.Dense(units, "tanh", kernel_initializer=start) for _ in range(depth)]
    model = Sequential([layers.Input((2,)), *stack, layers.Dense(1, "sigmoid", kernel_initializer=start)], seed=seed)
    model.compile(optimizers.SGD(0.1), "binary_crossentropy")
    return model


def outputs(model, x):
    """What each hidden layer puts out."""
    found = []
    for layer in model.layers[:-1]:
        found.append(layer(x if not found else found[-1]))
    return found


def main(picture=None):
    x, y = datasets.moons(400, noise=0.1)
    print(f"{'first weights':20}{'spread of layers 1, 4':>22}{'|tanh| > 0.99':>15}{'different units':>18}    loss")
    losses = {}
    for name, start in STARTS.items():
        models = [network(start, seed=seed) for seed in SEEDS]
        first, *_, last = outputs(models[0], x)
        print(f"{name:20}{first.std():13.1e}, {last.std():7.1e}{np.mean(np.abs(first) > 0.99):15.0%}", end="")
        curves = sorted((m.fit(x, y, epochs=100, verbose=0).history["loss"] for m in models), key=lambda c: c[-1])
        least, losses[name], most = curves[0], curves[len(curves) // 2], curves[-1]
        different = len(np.unique(models[0].layers[0].kernel, axis=1).T)
        print(f"{different:12} of 16{losses[name][-1]:8.3f} ({least[-1]:.3f} to {most[-1]:.3f})")
    print("Half the answers right by chance is a loss of log 2 = 0.693.")
    if picture and find_spec("matplotlib"):
        ax = plots.curves(losses, list(losses))
        ax.set(ylabel="loss", title="five ways to begin", ylim=(0, 1.5))
        ax.figure.savefig(picture)


if __name__ == "__main__":
    main(*sys.argv[1:])
