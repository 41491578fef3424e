"""The same training, step by step, in fastnn and in plain NumPy: how long each takes, and what they learn.
python examples/race.py"""

import sys
import time
from pathlib import Path

import numpy as np

import fastnn
from fastnn import datasets, layers, optimizers

sys.path.insert(0, str(Path(__file__).parent))
from numpy_network import Network

SIZES, BATCH, EPOCHS, RATE = (128, 64), 32, 20, 0.002


def network():
    hidden = [layers.Dense(units, "relu") for units in SIZES]
    model = fastnn.Sequential([layers.Input((64,)), *hidden, layers.Dense(10, "softmax")], seed=0)
    model.compile(optimizers.Adam(RATE), "sparse_categorical_crossentropy", metrics=["accuracy"])
    return model


def race(x, y, held, labels):
    """The same steps from the same weights by fastnn and by NumPy: the seconds of each, the least of three turns; the
    accuracy of each on digits held out; and the share of these for which both give the same answer."""
    seconds = []
    for _ in range(3):
        fast, plain = network(), Network(network().get_weights(), RATE)
        begin = time.perf_counter()
        fast.fit(x, y, batch_size=BATCH, epochs=EPOCHS, shuffle=False, verbose=0)
        middle = time.perf_counter()
        plain.fit(x, y, BATCH, EPOCHS)
        seconds.append((middle - begin, time.perf_counter() - middle))
    ours, theirs = fast.predict(held, verbose=0).argmax(axis=1), plain.predict(held)
    return np.min(seconds, axis=0), (np.mean(ours == labels), np.mean(theirs == labels)), np.mean(ours == theirs)


def report(x, y, held, labels):
    (ours, theirs), accuracies, alike = race(x, y, held, labels)
    print(f"the same {EPOCHS * -(-len(x) // BATCH)} steps, from the same weights, in the same order:")
    print(f"  fastnn {ours:7.3f} s, accuracy {accuracies[0]:.1%}")
    print(f"  NumPy  {theirs:7.3f} s, accuracy {accuracies[1]:.1%}; {theirs / ours:.1f} times as long")
    print(f"same answers: {alike:.1%}")


def main():
    x, y = datasets.make_digits(1797, size=8)
    report(x[:1400], y[:1400], x[1400:], y[1400:])


if __name__ == "__main__":
    main()
