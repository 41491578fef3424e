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


def race(x, y, held):
    """Seconds for the same steps from the same weights, of fastnn and of NumPy, the least of three turns; and how many
    samples held out both give the same answer for."""
    seconds = []
    for _ in range(3):
        fast, plain = network(), Network(network().get_weights(), RATE)
        begin = time.perf_counter()
        fast.fit(x, y, batch_size=BATCH, epochs=EPOCHS, shuffle=False, verbose=0)
        middle = time.perf_counter()
        plain.fit(x, y, BATCH, EPOCHS)
        seconds.append((middle - begin, time.perf_counter() - middle))
    ours, theirs = np.min(seconds, axis=0)
    return ours, theirs, np.mean(fast.predict(held, verbose=0).argmax(axis=1) == plain.predict(held))


def report(x, y, held):
    ours, theirs, alike = race(x, y, held)
    print(f"the same {EPOCHS * -(-len(x) // BATCH)} steps, from the same weights, in the same order:")
    print(f"  fastnn {ours:7.3f} s")
    print(f"  NumPy  {theirs:7.3f} s, {theirs / ours:.1f} times as long; same answers: {alike:.1%}")


def main():
    x, y = datasets.make_digits(1797, size=8)
    report(x[:1400], y[:1400], x[1400:])


if __name__ == "__main__":
    main()
