"""Handwritten digits: a network is trained, measured, compared with the same one in plain NumPy, and saved. In seconds.

python examples/demo.py [picture.png]
"""

import sys
import tempfile
import time
from importlib.util import find_spec
from pathlib import Path

import numpy as np

import fastnn
from fastnn import datasets, layers, optimizers, plots

sys.path.insert(0, str(Path(__file__).parent))
from numpy_network import Network

BATCH, EPOCHS, RATE = 32, 20, 0.002


def digits():
    """Rows of 64 pixels from 0 to 1, the digits that they show, and where they are from."""
    if find_spec("sklearn"):
        from sklearn.datasets import load_digits

        x, y = load_digits(return_X_y=True)
        order = np.random.default_rng(0).permutation(len(x))
        return x[order].astype("float32") / 16, y[order], "handwritten, from scikit-learn"
    x, y = datasets.make_digits(1797, size=8)
    return x, y, "drawn by fastnn.datasets; with scikit-learn installed, handwritten ones are taken"


def network():
    parts = [layers.Input((64,)), layers.Dense(128, "relu"), layers.Dense(64, "relu"), layers.Dense(10, "softmax")]
    model = fastnn.Sequential(parts, seed=0)
    model.compile(optimizers.Adam(RATE), "sparse_categorical_crossentropy", metrics=["accuracy"])
    return model


def race(x, y):
    """Seconds of both for the same steps from the same weights, the least of three turns; and both models."""
    seconds = {"fastnn": [], "NumPy": []}
    for _ in range(3):
        ours = network()
        theirs = Network(ours.get_weights(), RATE)
        begin = time.perf_counter()
        ours.fit(x, y, batch_size=BATCH, epochs=EPOCHS, shuffle=False, verbose=0)
        middle = time.perf_counter()
        theirs.fit(x, y, BATCH, EPOCHS)
        seconds["fastnn"].append(middle - begin)
        seconds["NumPy"].append(time.perf_counter() - middle)
    return min(seconds["fastnn"]), min(seconds["NumPy"]), ours, theirs


def draw(history, x, y, answers, path):
    import matplotlib.pyplot as plt

    figure, (left, right) = plt.subplots(1, 2, figsize=(10, 4.2), layout="constrained")
    plots.curves(history, ["loss", "accuracy"], ax=left).set_title("training")
    right.imshow(np.block([[x[8 * i + j].reshape(8, 8) for j in range(8)] for i in range(4)]), cmap="Greys")
    for i in range(32):
        colour = plots.COLOURS[0] if answers[i] == y[i] else plots.COLOURS[1]
        right.text(8 * (i % 8) - 0.1, 8 * (i // 8) + 0.1, answers[i], color=colour, va="top", weight="bold")
    right.set(title="held out, with the answers", xticks=[], yticks=[])
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=100)


def main(picture="build/demo.png"):
    info = fastnn.cpu_info()
    print(f"fastnn {fastnn.__version__} on {info['isa']} with {info['threads']} thread(s)\n")
    x, y, what = digits()
    train, held = (x[:1400], y[:1400]), (x[1400:], y[1400:])
    print(f"{len(x)} digits of 8 x 8 pixels ({what}): 1400 to learn from, {len(held[0])} held out")
    model = network()
    model.summary()
    history = model.fit(*train, batch_size=BATCH, epochs=EPOCHS, validation_data=held)
    print(f"\naccuracy {model.evaluate(*held, verbose=0)[1]:.1%} on digits held out")

    ours, theirs, fast, plain = race(*train)
    steps = EPOCHS * -(-len(train[0]) // BATCH)
    alike = np.mean(fast.predict(held[0], verbose=0).argmax(axis=1) == plain.predict(held[0]))
    print(f"\nThe same {steps} steps, from the same weights, in the same order:")
    print(f"  fastnn {ours:7.3f} s")
    print(f"  NumPy  {theirs:7.3f} s, {theirs / ours:.1f} times as long; same answers: {alike:.1%}")

    with tempfile.TemporaryDirectory() as folder:
        model.save(Path(folder) / "digits.fastnn")
        again = fastnn.load(Path(folder) / "digits.fastnn")
        size = (Path(folder) / "digits.fastnn").stat().st_size
    answers = model.predict(held[0], verbose=0)
    same = np.array_equal(again.predict(held[0], verbose=0), answers)
    print(f"\nsaved in {size} bytes, and loaded with the same output: {same}")
    if find_spec("matplotlib"):
        draw(history, *held, answers.argmax(axis=1), picture)
        print(f"a picture of it all: {picture}")
    else:
        print("no picture: that needs matplotlib (pip install matplotlib)")


if __name__ == "__main__":
    main(*sys.argv[1:])
