"""fastnn itself, as a user has it: fit, train_on_batch, model(row) and predict."""

import fastnn
from contestants.work import MOMENTUM, RATE, Call, Work
from fastnn import layers


def network(work: Work) -> fastnn.Sequential:
    """The model of a piece of work, compiled."""
    stack = [layers.Dense(n, activation="relu") for n in work.widths[1:-1]]
    last = layers.Dense(work.widths[-1], activation=None if work.regression else "softmax")
    model = fastnn.Sequential([layers.Input((work.widths[0],)), *stack, last], seed=0)
    optimizer = "adam" if work.by_adam else fastnn.optimizers.SGD(RATE, MOMENTUM)
    model.compile(optimizer, "mse" if work.regression else "sparse_categorical_crossentropy")
    return model


def make(work: Work) -> dict[str, Call]:
    model = network(work)
    x, y = work.one_batch()
    row, many = work.rows(1), work.rows(10_000)
    model.fit(work.x, work.y, batch_size=work.batch, verbose=0)
    return {
        "epoch": lambda: model.fit(work.x, work.y, batch_size=work.batch, verbose=0),
        "call": lambda: model.train_on_batch(x, y),
        "row": lambda: model(row),
        "10000 rows": lambda: model.predict(many, verbose=0),
    }
