"""Which output layer and which loss: one call looks at the targets of four problems, says why, and trains.

python examples/problems.py [picture.png]
"""

import sys
from importlib.util import find_spec

import numpy as np

import fastnn
from fastnn import optimizers, plots


def problems(count=400):
    """Targets of four kinds for the same two numbers of each sample."""
    rng = np.random.default_rng(0)
    x = rng.uniform(-1, 1, size=(count, 2))
    a, b = x.T
    kinds = {
        "regression": a * b,
        "binary": (a * b > 0).astype(int),
        "multiclass": (a > 0) + 2 * (b > 0),
        "multilabel": np.stack([a > 0, b > 0, a * b > 0], axis=1).astype(int),
    }
    return x, kinds


def main(picture=None):
    x, kinds = problems()
    models, histories = {}, {}
    for name, y in kinds.items():
        model = models[name] = fastnn.Sequential.for_problem(y, (32,), optimizer=optimizers.Adam(0.01), seed=0)
        histories[name] = model.fit(x, y, epochs=60, batch_size=32, verbose=0).history
        last = model.layers[-1]
        print(f"  {last.units} x {last.activation.__name__}, {model.loss}")
        metric = next(key for key in histories[name] if key != "loss")
        print("  " + ", ".join(f"{key} {histories[name][key][-1]:.3f}" for key in ("loss", metric)) + "\n")
    outputs = {name: np.round(model(x[:1])[0], 2).tolist() for name, model in models.items()}
    print(f"what they say of {np.round(x[0], 2).tolist()}:")
    for name, output in outputs.items():
        print(f"  {name:12}{output}, true is {np.round(kinds[name][0], 2).tolist()}")
    if picture and find_spec("matplotlib"):
        ax = plots.curves({name: history["loss"] for name, history in histories.items()}, list(kinds), log=True)
        ax.set(ylabel="loss, each its own", title="four problems")
        ax.figure.savefig(picture)


if __name__ == "__main__":
    main(*sys.argv[1:])
