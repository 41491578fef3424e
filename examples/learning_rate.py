"""The learning rate: too small, right and too large on a bowl; and a range test on digits.

python examples/learning_rate.py [picture.png]
"""

import sys
from importlib.util import find_spec

import numpy as np

import fastnn
from fastnn import datasets, layers, optimizers


def descend(rate, steps=20):
    """Gradient descent on w^2 / 2, whose gradient is w, from w = 1."""
    w, optimizer = np.array([1.0]), optimizers.SGD(rate)
    for _ in range(steps):
        optimizer.apply([w.copy()], [w])
    return float(w[0])


def network(rate):
    model = fastnn.Sequential([layers.Dense(32, "relu"), layers.Dense(10, "softmax")], seed=0)
    model.compile(optimizers.SGD(rate), "sparse_categorical_crossentropy")
    return model


def main(picture=None):
    print("w after 20 steps down the bowl w^2 / 2, from w = 1")
    for rate, what in ((0.01, "too small"), (0.5, "right"), (1.9, "to and fro"), (2.1, "too large")):
        print(f"  rate {rate:<5} {descend(rate):10.4g}   {what}")

    x, y = datasets.make_digits(2000, seed=0)
    found = fastnn.diagnostics.lr_find(network(0.1), x, y, min_lr=1e-3, max_lr=10.0, steps=1000, epochs=10)
    print(f"\nrange test on digits, 1000 rates from 1e-3 to 10: {found}")
    for rate in (found.suggestion / 100, found.suggestion, found.suggestion * 100):
        history = network(rate).fit(x, y, epochs=10, verbose=0)
        print(f"  rate {rate:<8.3g} loss after 10 epochs {history.history['loss'][-1]:.3f}")
    if picture and find_spec("matplotlib"):
        fastnn.plots.lr_find(found).figure.savefig(picture)


if __name__ == "__main__":
    main(*sys.argv[1:])
