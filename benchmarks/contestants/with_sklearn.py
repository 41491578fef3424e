"""scikit-learn's multilayer perceptrons, by partial_fit."""

import numpy as np

from contestants.work import Call, Work


def make(work: Work) -> dict[str, Call]:
    from sklearn.neural_network import MLPClassifier, MLPRegressor

    cls = MLPRegressor if work.regression else MLPClassifier
    kind = {"hidden_layer_sizes": work.widths[1:-1], "batch_size": work.batch, "alpha": 0.0, "max_iter": 1}
    net = cls(**kind)
    y = work.y.ravel()
    classes = {} if work.regression else {"classes": np.arange(work.widths[-1])}
    x1, y1 = work.x[: work.batch], y[: work.batch]
    net.partial_fit(x1, y1, **classes)
    many = work.rows(10_000)
    return {
        "epoch": lambda: net.partial_fit(work.x, y),
        "call": lambda: net.partial_fit(x1, y1),
        "row": lambda: net.predict(work.x[:1]),
        "10000 rows": lambda: net.predict(many),
    }
