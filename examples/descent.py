"""Ways down: whole batches, single samples and mini-batches on one surface; and off a saddle.

python examples/descent.py [picture.png]
"""

import sys
from importlib.util import find_spec

import numpy as np

from fastnn import optimizers, plots


def fit_line(x, y, batch, rate, epochs, seed=0):
    """Places (slope, intercept) on the way to the least squares, a step a batch."""
    rng, w = np.random.default_rng(seed), np.array([-1.5, -1.5])
    optimizer, path = optimizers.SGD(rate), [w.copy()]
    for _ in range(epochs):
        for rows in rng.permutation(len(x)).reshape(-1, batch):
            error = w[0] * x[rows] + w[1] - y[rows]
            optimizer.apply([np.array([2 * np.mean(error * x[rows]), 2 * np.mean(error)])], [w])
            path.append(w.copy())
    return np.array(path)


def saddle(a, b):
    return a**2 - b**2 + 0.25 * b**4


def off_the_saddle(optimizer, steps=60):
    w, path = np.array([1.5, 1e-3]), [np.array([1.5, 1e-3])]
    for _ in range(steps):
        optimizer.apply([np.array([2 * w[0], -2 * w[1] + w[1] ** 3])], [w])
        path.append(w.copy())
    return np.array(path)


def main(picture=None):
    rng = np.random.default_rng(0)
    x = rng.normal(size=64)
    y = 1.2 * x + 0.5 + 0.5 * rng.normal(size=64)
    sizes = {"gradient descent": (64, 0.1, 25), "SGD": (1, 0.03, 2), "mini-batches of 8": (8, 0.08, 5)}
    ways = {name: fit_line(x, y, *given) for name, given in sizes.items()}
    makers = {"plain": optimizers.SGD(0.1), "momentum": optimizers.SGD(0.1, momentum=0.7), "Adam": optimizers.Adam(0.1)}
    off = {name: off_the_saddle(optimizer) for name, optimizer in makers.items()}
    for title, paths in (("a line", ways), ("a saddle", off)):
        for name, path in paths.items():
            print(f"{title:10}{name:20}{len(path) - 1:4} steps to ({path[-1][0]:6.3f}, {path[-1][1]:6.3f})")
    if picture and find_spec("matplotlib"):
        import matplotlib.pyplot as plt

        figure, (left, right) = plt.subplots(1, 2, figsize=(11, 5), layout="constrained")
        plots.descent_path(np.vectorize(lambda a, b: np.mean((a * x + b - y) ** 2)), ways, ax=left)
        plots.descent_path(saddle, off, ax=right)
        figure.savefig(picture)


if __name__ == "__main__":
    main(*sys.argv[1:])
