"""Forward propagation with its sums written out, and how well networks of 1 to 32 hidden units fit a curve.

python examples/approximation.py [picture.png]
"""

import sys
from importlib.util import find_spec

import numpy as np

import fastnn
from fastnn import layers, optimizers, plots

UNITS = [1, 2, 4, 8, 16, 32]


def curve(x):
    return np.sin(3 * x) + 0.5 * np.sin(9 * x)


def by_hand(x, kernel, bias, output, last):
    """tanh(x W + b) V + c: forward propagation through one hidden layer, a row for each sample."""
    return np.tanh(x @ kernel + bias) @ output + last


def fitted(units, x, y, starts=4):
    """The best of several networks of that size, each from its own first weights, all samples in every step."""
    spread = fastnn.initializers.RandomUniform(-6, 6)  # units that bend at places all over the range of x
    models = []
    for seed in range(starts):
        hidden = layers.Dense(units, "tanh", kernel_initializer=spread, bias_initializer=spread)
        models.append(fastnn.Sequential([hidden, layers.Dense(1)], seed=seed, dtype="float64"))
        models[-1].compile(optimizers.Adam(optimizers.schedules.CosineDecay(0.05, 2000)), "mse")
        models[-1].fit(x, y, batch_size=len(x), epochs=2000, shuffle=False, verbose=0)
    return min(models, key=lambda model: model.evaluate(x, y, verbose=0))


def main(picture=None):
    x = np.linspace(-1, 1, 101)[:, None]
    y = curve(x)
    models = {units: fitted(units, x, y) for units in UNITS}
    print(f"{'hidden units':14}{'weights':>8}{'mean squared error, best of 4':>32}")
    for units, model in models.items():
        print(f"{units:<14}{model.count_params():8}{model.evaluate(x, y, verbose=0):32.6f}")
    same = np.abs(models[8](x) - by_hand(x, *models[8].get_weights())).max()
    print(f"\nthe sums written out give the same outputs: the largest difference is {same:.0e}")
    if picture and find_spec("matplotlib"):
        from matplotlib import pyplot as plt

        figure, axes = plt.subplots(2, 2, figsize=(9, 6), layout="constrained", sharex=True, sharey=True)
        for ax, units in zip(axes.flat, (1, 2, 4, 8), strict=True):
            ax.plot(x, y, color="#BBBBBB", linewidth=5)
            ax.plot(x, models[units](x), color=plots.COLOURS[0])
            ax.set(title=f"{units} hidden unit{'s' * (units > 1)}")
        figure.savefig(picture)


if __name__ == "__main__":
    main(*sys.argv[1:])
