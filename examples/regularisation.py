"""24 samples with noise, 4353 weights, and what keeps such a network from learning the noise by heart.

python examples/regularisation.py [picture.png]
"""

import sys
from importlib.util import find_spec

import numpy as np

import fastnn
from fastnn import callbacks, layers, optimizers, plots, regularizers

WAYS = ["none", "L1", "L2", "dropout", "noise on the inputs", "early stopping"]


def samples(count, seed):
    rng = np.random.default_rng(seed)
    x = rng.uniform(-1, 1, size=(count, 1))
    return x, np.sin(3 * x) + 0.3 * rng.normal(size=x.shape)


def network(way, seed):
    penalty = {"L1": regularizers.L1(0.002), "L2": regularizers.L2(0.002)}.get(way)
    options = {"kernel_initializer": "he_normal", "kernel_regularizer": penalty}
    noise, drop = 0.1 * (way == "noise on the inputs"), 0.2 * (way == "dropout")
    hidden = [part for _ in range(2) for part in (layers.Dense(64, "tanh", **options), layers.Dropout(drop))]
    model = fastnn.Sequential([layers.GaussianNoise(noise), *hidden, layers.Dense(1, **options)], seed=seed)
    model.compile(optimizers.Adam(0.005), "mse", metrics=["mse"])  # the loss has the penalty in it, the metric has not
    return model


def trained(way, seed):
    """Epoch by epoch the error on samples held out; and at the end: on those seen, on a test set, sum of |weights|."""
    seen, held_out, test = samples(24, seed), samples(100, 100 + seed), samples(500, 200 + seed)
    stop = callbacks.EarlyStopping("val_mse", patience=100, restore_best_weights=True)
    model, also = network(way, seed), [stop] if way == "early stopping" else []
    history = model.fit(*seen, epochs=1500, validation_data=held_out, verbose=0, callbacks=also).history["val_mse"]
    errors = [model.evaluate(*pair, verbose=0, return_dict=True)["mse"] for pair in (seen, test)]
    return history, [*errors, sum(np.abs(layer.kernel).sum() for layer in model.layers if layer.weights)]


def main(picture=None):
    print(f"{'medians of 5 seeds':22}{'error on 24 seen':>18}{'on a test set':>16}{'sum of |w|':>18}{'epochs':>8}")
    runs = {way: [trained(way, seed) for seed in range(5)] for way in WAYS}
    for way, some in runs.items():
        seen, test, size = np.median([figures for _, figures in some], axis=0)
        print(f"{way:22}{seen:18.3f}{test:16.3f}{size:18.0f}{np.median([len(h) for h, _ in some]):8.0f}")
    print("The noise alone has a squared error of 0.09: far less on the samples seen is learned by heart.")
    if picture and find_spec("matplotlib"):
        means = {way: [np.mean(a[0][i : i + 50]) for i in range(0, len(a[0]), 50)] for way, (a, *_) in runs.items()}
        ax = plots.curves(means, WAYS)
        ax.set(xlabel="epochs / 50", ylabel="squared error on samples held out", ylim=(0.1, 0.2), title="seed 0")
        ax.figure.savefig(picture)


if __name__ == "__main__":
    main(*sys.argv[1:])
