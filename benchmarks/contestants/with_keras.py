"""Keras 3 on the backend that KERAS_BACKEND names, JAX unless it is set: fit, train_on_batch, predict_on_batch."""

import os

import numpy as np

from contestants.work import MOMENTUM, RATE, Call, Work


def make(work: Work) -> dict[str, Call]:
    os.environ.setdefault("KERAS_BACKEND", "jax")
    import keras

    *hidden, last = work.widths[1:]
    stack = [keras.layers.Dense(n, activation="relu") for n in hidden]
    top = keras.layers.Dense(last, activation=None if work.regression else "softmax")
    model = keras.Sequential([keras.layers.Input((work.widths[0],)), *stack, top])
    optimizer = "adam" if work.by_adam else keras.optimizers.SGD(RATE, MOMENTUM)
    model.compile(optimizer, "mse" if work.regression else "sparse_categorical_crossentropy")
    x, y = work.one_batch()
    row, many = work.rows(1), work.rows(10_000)
    return {
        "epoch": lambda: model.fit(work.x, work.y, batch_size=work.batch, verbose=0),
        "call": lambda: model.train_on_batch(x, y),
        "row": lambda: np.asarray(model.predict_on_batch(row)),
        "10000 rows": lambda: model.predict(many, batch_size=1024, verbose=0),
    }
