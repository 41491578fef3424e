"""How far optimizers step while the gradient stays the same: Adagrad's steps shrink, others' do not.

python examples/adaptive_rates.py [picture.png]
"""

import sys
from importlib.util import find_spec

import numpy as np

from fastnn import optimizers, plots

MAKERS = {
    "SGD": lambda: optimizers.SGD(0.01),
    "Adagrad": lambda: optimizers.Adagrad(0.01, initial_accumulator_value=0.0),
    "RMSprop": lambda: optimizers.RMSprop(0.01),
    "Adam": lambda: optimizers.Adam(0.01),
    "Adam, not corrected": lambda: optimizers.Adam(0.01, bias_correction=False),
}


def steps(optimizer, gradient=1.0, count=100):
    """How far a weight goes at each step, in units of the learning rate, under a gradient that never changes."""
    w, found = np.array([0.0]), []
    for _ in range(count):
        before = w[0]
        optimizer.apply([np.array([gradient])], [w])
        found.append((before - w[0]) / 0.01)
    return found


def main(picture=None):
    shown = (1, 2, 10, 100)
    print(f"{'step / rate, at step':22}" + "".join(f"{t:>8}" for t in shown) + f"{'gradient 10 instead of 1':>28}")
    found = {name: steps(make()) for name, make in MAKERS.items()}
    for name, make in MAKERS.items():
        larger = steps(make(), gradient=10.0)[-1] / found[name][-1]
        print(f"{name:22}" + "".join(f"{found[name][t - 1]:8.3f}" for t in shown) + f"{larger:22.3g} times")
    print(
        "Adagrad's step is the rate over the root of t, and can only shrink; RMSprop's and Adam's forget, and settle."
    )
    if picture and find_spec("matplotlib"):
        ax = plots.curves(found, list(found), log=True)
        ax.set(xlabel="step", ylabel="size of the step / learning rate", title="a gradient that never changes")
        ax.figure.savefig(picture)


if __name__ == "__main__":
    main(*sys.argv[1:])
