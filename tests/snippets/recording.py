"""What snippets share: data, and a callback that writes down how it is called."""

import numpy as np


class Numbers:
    """Numbers that both packages must give alike, but for roundings in float32; others are only counted."""

    def __init__(self, values):
        self.values = np.asarray(values, dtype="float64")

    def __eq__(self, other):
        if not isinstance(other, Numbers) or self.values.shape != other.values.shape:
            return False
        return np.allclose(self.values, other.values, rtol=2e-5, atol=1e-4)

    __hash__ = None

    def __repr__(self):
        return f"Numbers({self.values.round(5).tolist()})"


def table(n=48, columns=4, classes=0, seed=0):
    """Samples and a target: a number, or a class where there are classes."""
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(n, columns)).astype("float32")
    score = x @ np.linspace(-1, 1, columns).astype("float32")
    if not classes:
        return x, score[:, None]
    return x, np.digitize(score, np.quantile(score, np.linspace(0, 1, classes + 1)[1:-1]))


def recorder(keras):
    """A callback whose `calls` are (hook, number of the epoch or batch, names in the logs)."""

    class Recorder(keras.callbacks.Callback):
        def __init__(self):
            super().__init__()
            self.calls = []

        def write(self, hook, number, logs):
            self.calls.append((hook, number, list(logs or {})))

    def hook(name, numbered):
        if numbered:
            return lambda self, number, logs=None: self.write(name, number, logs)
        return lambda self, logs=None: self.write(name, None, logs)

    for moment in ("begin", "end"):
        setattr(Recorder, f"on_epoch_{moment}", hook(f"on_epoch_{moment}", True))
        for phase in ("train", "test", "predict"):
            setattr(Recorder, f"on_{phase}_{moment}", hook(f"on_{phase}_{moment}", False))
            setattr(Recorder, f"on_{phase}_batch_{moment}", hook(f"on_{phase}_batch_{moment}", True))
    return Recorder()
