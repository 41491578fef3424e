"""Handwritten digits: ten splits of scikit-learn's, and the curves of Adagrad, RMSprop and Adam on the first.

python examples/digits.py [picture.png]
"""

import sys
from importlib.util import find_spec
from statistics import mean

import numpy as np
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split

import fastnn
from fastnn import layers, optimizers, plots

EPOCHS, BATCH = 15, 64
RULES = {"Adagrad": (optimizers.Adagrad, 0.1), "RMSprop": (optimizers.RMSprop, 0.002), "Adam": (optimizers.Adam, 0.004)}


def shifted(x, y):
    """The pictures, and each of them moved by one pixel to either side, up and down."""
    wide = np.pad(x.reshape(-1, 8, 8), ((0, 0), (1, 1), (1, 1)))
    moves = [(1, 1), (0, 1), (2, 1), (1, 0), (1, 2)]
    return np.concatenate([wide[:, a : a + 8, b : b + 8].reshape(-1, 64) for a, b in moves]), np.tile(y, len(moves))


def train(seed, name="Adam"):
    """Train on four fifths of the digits; return the accuracy on the last fifth, and the history."""
    x, y = load_digits(return_X_y=True)
    x, held, y, labels = train_test_split(x / 16, y, test_size=0.2, stratify=y, random_state=seed)
    x, y = shifted(x, y)
    hidden = [layers.Dense(192, "relu"), layers.Dropout(0.2), layers.Dense(192, "relu"), layers.Dropout(0.2)]
    model = fastnn.Sequential([layers.GaussianNoise(0.05), *hidden, layers.Dense(10, "softmax")], seed=seed)
    rule, rate = RULES[name]
    falling = optimizers.schedules.CosineDecay(rate, EPOCHS * -(-len(x) // BATCH))
    model.compile(rule(falling), "sparse_categorical_crossentropy", metrics=["accuracy"])
    history = model.fit(x, y, batch_size=BATCH, epochs=EPOCHS, verbose=0, validation_data=(held, labels))
    return history.history["val_accuracy"][-1], history


def main(picture=None):
    accuracies = [train(seed)[0] for seed in range(10)]
    print(f"accuracy on ten splits: mean {mean(accuracies):.4f}, worst {min(accuracies):.4f}")
    runs = {name: train(0, name) for name in RULES}
    for name, (accuracy, history) in runs.items():
        print(f"{name:8} loss {history.history['loss'][-1]:.4f}, accuracy {accuracy:.4f}")
    if picture and find_spec("matplotlib"):
        losses = {name: history.history["loss"] for name, (_, history) in runs.items()}
        axes = plots.curves(losses, list(losses), log=True)
        axes.set(ylabel="loss in training")
        axes.figure.savefig(picture)


if __name__ == "__main__":
    main(*sys.argv[1:])
