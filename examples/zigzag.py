"""Why outputs around zero: behind a sigmoid, whose outputs are all positive, the weights of a unit move all up or all
down, and get to where one is up and one is down by zigzag only.

python examples/zigzag.py [picture.png]
"""

import sys
from importlib.util import find_spec

import numpy as np

from fastnn import activations, optimizers, plots

GOAL = np.array([1.0, -1.0])


def outputs(name, count=400):
    """What two hidden units put out, and targets that a linear unit with the weights of GOAL makes of it."""
    h = activations.get(name)(np.random.default_rng(0).normal(size=(count, 2)))
    return h, h @ GOAL


def descend(name, rate=0.5):
    """The places of the two weights, a step for each sample."""
    h, y = outputs(name)
    w, optimizer = np.zeros(2), optimizers.SGD(rate)
    path = [w.copy()]
    for row, target in zip(h, y, strict=True):
        optimizer.apply([(row @ w - target) * row], [w])
        path.append(w.copy())
    return np.array(path)


def facts(path):
    """The share of steps in which both weights went the same way, and how much longer the way was than the straight."""
    moves = np.diff(path, axis=0)
    length = np.linalg.norm(moves, axis=1).sum()
    return np.mean(moves[:, 0] * moves[:, 1] > 0), length / np.linalg.norm(path[-1] - path[0])


def main(picture=None):
    paths = {name: descend(name) for name in ("sigmoid", "tanh")}
    for name, path in paths.items():
        together, longer = facts(path)
        near = np.argmax(np.linalg.norm(path - GOAL, axis=1) < 0.1)
        print(f"{name:8} both weights the same way in {together:4.0%} of the steps; ", end="")
        print(f"a way {longer:.1f} times the straight one; within 0.1 of its end after {near} steps")
    if picture and find_spec("matplotlib"):
        ax = plots.descent_path(lambda a, b: (a - 1) ** 2 + (b + 1) ** 2, paths)
        ax.set_title("rings: the distance from the goal")
        ax.figure.savefig(picture)


if __name__ == "__main__":
    main(*sys.argv[1:])
