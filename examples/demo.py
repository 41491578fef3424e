"""Handwritten digits: train a network, look at its answers, time it against the same network in NumPy, and save it.

python examples/demo.py [picture.png]
"""

import sys
from importlib.util import find_spec
from pathlib import Path

import numpy as np

import fastnn
from fastnn import datasets, plots

sys.path.insert(0, str(Path(__file__).parent))
from race import BATCH, EPOCHS, network, report

TRAINING = 1400
LEVELS = "▁▂▃▄▅▆▇█"
ACROSS = 4  # digits side by side, each 16 columns wide


def digits():
    """(x, y) to train on and (x, y) held out, of the 1,797 handwritten digits in a random order."""
    x, y = datasets.load_digits()
    order = np.random.default_rng(0).permutation(len(x))
    x, y = x[order], y[order]
    return (x[:TRAINING], y[:TRAINING]), (x[TRAINING:], y[TRAINING:])


def draw(pictures, captions):
    """Pictures of 8 by 8 pixels side by side, each pixel two characters wide, with a caption below each."""
    for rows in zip(*pictures.reshape(-1, 8, 8), strict=True):
        print("   ".join("".join(" ░▒▓█"[round(4 * float(pixel))] * 2 for pixel in row) for row in rows).rstrip())
    print("   ".join(f"{caption:^16}" for caption in captions).rstrip() + "\n")


def show_answers(x, labels, probabilities):
    """The first digits, and those of the wrong answers that the network was most certain of."""
    answers, certainty = probabilities.argmax(axis=1), probabilities.max(axis=1)
    wrong = np.flatnonzero(answers != labels)
    print("digits that it has not seen, and its answers:\n")
    draw(x[:ACROSS], [f"{answers[i]} ({certainty[i]:.0%} sure)" for i in range(ACROSS)])
    worst = wrong[np.argsort(-certainty[wrong])][:ACROSS]
    if len(worst):
        print(f"{len(wrong)} of {len(x)} answers are wrong. The ones it was most certain of:\n")
        draw(x[worst], [f"{answers[i]}, but is {labels[i]}" for i in worst])


def show_curve(values, low, lines=6):
    """A bar for each epoch, from `low` to 1."""
    heights = [round(8 * lines * max(0.0, (value - low) / (1 - low))) for value in values]
    for line in reversed(range(lines)):
        parts = [min(max(height - 8 * line, 0), 8) for height in heights]
        name = {lines - 1: "100%", 0: f"{low:.0%}"}.get(line, "")
        print(f"{name:>5} " + " ".join(2 * (LEVELS[part - 1] if part else " ") for part in parts).rstrip())
    print("      " + " ".join(f"{epoch:2}" for epoch in range(1, len(values) + 1)) + "  epochs\n")


def save(model, x, probabilities, file):
    file.parent.mkdir(parents=True, exist_ok=True)
    model.save(file)
    same = np.array_equal(fastnn.load(file).predict(x, verbose=0), probabilities)
    print(f"\nsaved as {file} ({file.stat().st_size} bytes), and loaded with the same output: {same}")


def save_picture(history, x, labels, answers, picture):
    import matplotlib.pyplot as plt

    figure, (left, right) = plt.subplots(1, 2, figsize=(10, 4.2), layout="constrained")
    plots.curves(history, ["loss", "accuracy"], ax=left).set_title("training")
    right.imshow(np.block([list(row.reshape(8, 8, 8)) for row in x[:32].reshape(4, 8, 64)]), cmap="Greys")
    right.set(title="held out, with the answers", xticks=[], yticks=[])
    for i, answer in enumerate(answers[:32]):
        colour = plots.COLOURS[int(answer != labels[i])]  # blue if right, orange if wrong
        right.text(i % 8 * 8 - 0.1, i // 8 * 8 + 0.1, answer, color=colour, va="top", weight="bold")
    figure.savefig(picture, dpi=100)
    print(f"a picture of it all: {picture}")


def main(picture="build/demo.png"):
    if hasattr(sys.stdout, "reconfigure"):
        sys.stdout.reconfigure(errors="replace")  # a terminal without block characters
    (x, y), (held, labels) = digits()
    print(f"\n{len(x)} handwritten digits to train on, {len(held)} held out\n")
    model = network()
    model.summary()
    history = model.fit(x, y, batch_size=BATCH, epochs=EPOCHS, validation_data=(held, labels), verbose=0)
    accuracies = history.history["val_accuracy"]
    print("accuracy on the digits held out, after each epoch:\n")
    show_curve(accuracies, low=0.8)
    probabilities = model.predict(held, verbose=0)
    show_answers(held, labels, probabilities)
    print(f"accuracy {accuracies[-1]:.1%} on digits held out\n")
    report(x, y, held, labels)
    save(model, held, probabilities, Path(picture).with_suffix(".fnn"))
    if find_spec("matplotlib"):
        save_picture(history, held, labels, probabilities.argmax(axis=1), picture)


if __name__ == "__main__":
    main(*sys.argv[1:])
