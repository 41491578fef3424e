"""thinc: its layers on NumPy, with its own Adam."""

from typing import Any

import numpy as np

from contestants.work import Call, Work


def make(work: Work) -> dict[str, Call]:
    from thinc.api import Adam, CategoricalCrossentropy, Linear, Relu, chain

    *hidden, last = work.widths[1:]
    model: Any = chain(*(Relu(nO=n) for n in hidden), Linear(nO=last))
    targets: np.ndarray = work.y if work.regression else np.eye(last, dtype=np.float32)[work.y]
    model.initialize(X=work.x[: work.batch], Y=targets[: work.batch])
    optimizer, loss = Adam(1e-3), CategoricalCrossentropy(normalize=True)

    def step(x: np.ndarray, y: np.ndarray) -> None:
        z, backward = model.begin_update(x)
        if work.regression:
            dz = (z - y) * np.float32(2 / len(x))
        else:
            z = np.exp(z - z.max(axis=1, keepdims=True))
            dz = loss.get_grad(z / z.sum(axis=1, keepdims=True), y)
        backward(dz)
        model.finish_update(optimizer)

    def epoch() -> None:
        order = np.random.permutation(work.n)
        for begin in range(0, work.n, work.batch):
            rows = order[begin : begin + work.batch]
            step(work.x[rows], targets[rows])

    x, y = work.x[: work.batch], targets[: work.batch]
    row, many = work.rows(1), work.rows(10_000)
    return {
        "epoch": epoch,
        "call": lambda: step(x, y),
        "row": lambda: model.predict(row),
        "10000 rows": lambda: model.predict(many),
    }
