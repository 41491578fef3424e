"""What one outlier does to a line that is fitted by squares, by absolute values and by Huber's loss.

python examples/losses.py [picture.png]
"""

import sys
from importlib.util import find_spec

import numpy as np

import fastnn
from fastnn import layers, optimizers, plots

LOSSES = ["mean_squared_error", "mean_absolute_error", "huber"]


def line(x, y, loss):
    """Slope and intercept of the line that makes a loss smallest."""
    model = fastnn.Sequential([layers.Dense(1)], seed=0, dtype="float64")
    rate = optimizers.schedules.ExponentialDecay(0.1, 100, 0.8)
    model.compile(optimizers.Adam(rate), loss)
    model.fit(x, y, batch_size=len(x), epochs=3000, verbose=0)
    return float(model.layers[0].kernel[0, 0]), float(model.layers[0].bias[0])


def main(picture=None):
    rng = np.random.default_rng(0)
    x = np.linspace(-1, 1, 21)[:, None]
    y = 2 * x + 1 + 0.1 * rng.normal(size=x.shape)
    spoiled = y.copy()
    spoiled[-1] = -20
    print(f"{'loss':22}{'slope, intercept':>20}{'with one outlier':>22}")
    lines = {}
    for name in LOSSES:
        (a, b), lines[name] = line(x, y, name), line(x, spoiled, name)
        print(f"{name:22}{a:12.2f}, {b:6.2f}{lines[name][0]:14.2f}, {lines[name][1]:6.2f}")
    if picture and find_spec("matplotlib"):
        import matplotlib.pyplot as plt

        figure, (left, right) = plt.subplots(1, 2, figsize=(10, 4), layout="constrained")
        plots.losses(LOSSES, ax=left)
        right.plot(x, spoiled, "o", color="#555555")
        for colour, (name, (a, b)) in zip(plots.COLOURS, lines.items(), strict=False):
            right.plot(x, a * x + b, color=colour, label=name.replace("_", " "))
        right.set(xlabel="x", ylabel="y", ylim=(-2, 4), title="one point lies at y = -20")
        right.legend(frameon=False)
        figure.savefig(picture)


if __name__ == "__main__":
    main(*sys.argv[1:])
