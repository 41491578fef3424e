"""One unit learns AND and OR by the perceptron rule, and fails on XOR; a small network learns XOR. In seconds.

python examples/perceptron.py [picture.png]
"""

import sys
from importlib.util import find_spec

import numpy as np

import fastnn
from fastnn import layers, optimizers, plots
from fastnn.models import Perceptron

X = np.array([[0, 0], [0, 1], [1, 0], [1, 1]])
GATES = {"AND": [0, 0, 0, 1], "OR": [0, 1, 1, 1], "XOR": [0, 1, 1, 0]}


def perceptrons():
    print("One unit: step(w0 + w1 x1 + w2 x2)")
    units = {}
    for name, y in GATES.items():
        unit = units[f"one unit, {name}"] = Perceptron(epochs=50).fit(X, y)
        answers = unit.predict(X).tolist()
        if unit.converged:
            epochs = len(unit.history)
            print(f"  {name:<4} learned in {epochs} epochs: weights {unit.weights.tolist()}, answers {answers}")
        else:
            print(f"  {name:<4} not learned in {len(unit.history)} epochs, {min(unit.history)} or more errors in each")
    return {name: unit.weighted_sum for name, unit in units.items()}


def network():
    parts = [layers.Dense(4, activation="tanh"), layers.Dense(1, activation="sigmoid")]
    model = fastnn.Sequential(parts, seed=1)
    model.compile(optimizers.Adam(0.1), loss="binary_crossentropy")
    history = model.fit(X, np.array(GATES["XOR"]), epochs=150, verbose=0)
    outputs = model.predict(X, verbose=0).ravel()
    print("A network of 4 hidden units:")
    print(f"  XOR  learned: loss {history.history['loss'][-1]:.4f}, answers {outputs.round().astype(int).tolist()}")
    return model


def main(picture=None):
    answers = perceptrons() | {"4 hidden units, XOR": network()}
    if picture and find_spec("matplotlib"):
        import matplotlib.pyplot as plt

        figure, axes = plt.subplots(1, 4, figsize=(14, 3.8), layout="constrained")
        for ax, (name, answer), y in zip(axes, answers.items(), [*GATES.values(), GATES["XOR"]], strict=True):
            plots.decision_boundary(answer, X, y, ax=ax).set_title(name)
            ax.get_legend().set_visible(ax is axes[-1])
        figure.savefig(picture)


if __name__ == "__main__":
    main(*sys.argv[1:])
