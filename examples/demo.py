"""Handwritten digits: train a network, look at its answers, time it against the same network in NumPy, and save it.

python examples/demo.py [model.fnn]
"""

import sys
from pathlib import Path

import numpy as np

import fastnn
from fastnn import datasets

sys.path.insert(0, str(Path(__file__).parent))
from race import BATCH, EPOCHS, network, report
from terminal import ACROSS, bars, pictures, tolerate


def digits():
    """(x, y) to train on and (x, y) held out, of the 1,797 handwritten digits in a random order."""
    x, y = datasets.load_digits()
    order = np.random.default_rng(0).permutation(len(x))
    x, y = x[order], y[order]
    return (x[:1400], y[:1400]), (x[1400:], y[1400:])


def show_answers(x, labels, probabilities):
    """The first digits, and those of the wrong answers that the network was most certain of."""
    answers, certainty = probabilities.argmax(axis=1), probabilities.max(axis=1)
    print("digits that it has not seen, and its answers:\n")
    pictures(x[:ACROSS], [f"{answers[i]} ({certainty[i]:.0%} sure)" for i in range(ACROSS)])
    wrong = np.flatnonzero(answers != labels)
    print(f"{len(wrong)} of {len(x)} answers are wrong. The ones it was most certain of:\n")
    worst = wrong[np.argsort(-certainty[wrong])][:ACROSS]
    pictures(x[worst], [f"{answers[i]}, but is {labels[i]}" for i in worst])


def main(file="build/demo.fnn"):
    tolerate()
    (x, y), (held, labels) = digits()
    print(f"\n{len(x)} handwritten digits to train on, {len(held)} held out\n")
    model = network()
    model.summary()
    history = model.fit(x, y, batch_size=BATCH, epochs=EPOCHS, validation_data=(held, labels), verbose=0)
    print("\naccuracy on the digits held out, after each epoch:\n")
    bars(history.history["val_accuracy"], low=0.8)
    probabilities = model.predict(held, verbose=0)
    show_answers(held, labels, probabilities)
    print(f"accuracy {history.history['val_accuracy'][-1]:.1%} on digits held out\n")
    report(x, y, held, labels)
    Path(file).parent.mkdir(parents=True, exist_ok=True)
    model.save(file)
    same = np.array_equal(fastnn.load(file).predict(held, verbose=0), probabilities)
    print(f"\nsaved as {file} ({Path(file).stat().st_size} bytes), and loaded with the same output: {same}")


if __name__ == "__main__":
    main(*sys.argv[1:])
