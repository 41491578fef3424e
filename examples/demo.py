"""Handwritten digits: a network is trained, timed against the same one in plain NumPy, and saved. In seconds.
python examples/demo.py [picture.png]"""

import sys
from importlib.util import find_spec
from pathlib import Path

import numpy as np

import fastnn
from fastnn import datasets, plots

sys.path.insert(0, str(Path(__file__).parent))
from race import BATCH, EPOCHS, network, report


def digits():
    """Rows of 64 pixels from 0 to 1, and what they show: those that scikit-learn ships, where it is installed."""
    if not find_spec("sklearn"):
        return *datasets.make_digits(1797, size=8), "drawn by fastnn.datasets; with scikit-learn: handwritten ones"
    from sklearn.datasets import load_digits

    x, y = load_digits(return_X_y=True)
    order = np.random.default_rng(0).permutation(len(x))
    return x[order].astype("float32") / 16, y[order], "handwritten, from scikit-learn"


def main(picture="build/demo.png"):
    x, y, what = digits()
    x, held, y, labels = x[:1400], x[1400:], y[:1400], y[1400:]
    print(f"1400 digits to learn from, {len(held)} held out ({what})\n")
    model = network()
    history = model.fit(x, y, batch_size=BATCH, epochs=EPOCHS, validation_data=(held, labels))
    print(f"\naccuracy {model.evaluate(held, labels, verbose=0)[1]:.1%} on digits held out\n")
    report(x, y, held)
    file = Path(picture).with_suffix(".fnn")
    file.parent.mkdir(parents=True, exist_ok=True)
    model.save(file)
    answers = model.predict(held, verbose=0)
    same = np.array_equal(fastnn.load(file).predict(held, verbose=0), answers)
    print(f"\nsaved as {file} ({file.stat().st_size} bytes), and loaded with the same output: {same}")
    if not find_spec("matplotlib"):
        print("no picture: that needs matplotlib (pip install matplotlib)")
        return
    import matplotlib.pyplot as plt

    figure, (left, right) = plt.subplots(1, 2, figsize=(10, 4.2), layout="constrained")
    plots.curves(history, ["loss", "accuracy"], ax=left).set_title("training")
    right.imshow(np.block([list(row.reshape(8, 8, 8)) for row in held[:32].reshape(4, 8, 64)]), cmap="Greys")
    right.set(title="held out, with the answers", xticks=[], yticks=[])
    for i, answer in enumerate(answers[:32].argmax(axis=1)):
        colour = plots.COLOURS[int(answer != labels[i])]  # blue if right, orange if wrong
        right.text(i % 8 * 8 - 0.1, i // 8 * 8 + 0.1, answer, color=colour, va="top", weight="bold")
    figure.savefig(picture, dpi=100)
    print(f"a picture of it all: {picture}")


if __name__ == "__main__":
    main(*sys.argv[1:])
