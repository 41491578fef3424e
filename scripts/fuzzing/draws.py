"""Random valid arguments for the compiled core: arrays, and objects as fastnn makes them."""

import contextlib
import random
import re
import sys
from collections.abc import Callable
from typing import Any

import numpy as np

import fastnn
from fastnn import layers, models
from fastnn._core import batches, engine, epochs, optimizers, train

SIZES = (1, 1, 2, 3, 4, 5, 7, 8, 16, 17, 33, 64, 65, 130)
RECORDED = (engine.Engine, train.Trainer, optimizers.Updater, batches.Batches, epochs.Epochs)


def default(parameter: str) -> float:
    """The number in "threshold=0.5>=0"."""
    return float(re.match(r"\w+=?([-+.\w]*)", parameter)[1] or 1)  # type: ignore[index]


class Draw:
    """Random valid arguments, all in one precision."""

    def __init__(self, number: random.Random) -> None:
        self.number = number
        self.dtype = number.choice((np.float32, np.float64))
        self.rng = np.random.default_rng(number.randrange(2**32))

    def size(self) -> int:
        return self.number.choice(SIZES)

    def reals(self, *shape: int) -> Any:
        return self.rng.normal(size=shape).astype(self.dtype)

    def doubles(self, *shape: int) -> Any:
        return self.rng.random(shape)

    def labels(self, n: int, classes: int) -> Any:
        return self.rng.integers(0, classes, n).astype(np.int32)

    def maybe(self, value: Any) -> Any:
        return value if self.number.random() < 0.7 else None

    def seed(self) -> int:
        return self.number.choice((0, 1, 2**40, 2**64 - 1))

    def row(self, rows: list[dict[str, Any]], layout: str | None = None) -> tuple[int, Any]:
        """A kind of a table with its parameters, which are usually right and usually enough."""
        kinds = [i for i, row in enumerate(rows) if layout is None or row["layout"] in layout]
        kind = self.number.choice(kinds)
        return kind, np.array([default(item) for item in rows[kind]["parameters"].split()] or [0.0])


# ------------------------------------------------------------------------------------------------ objects of the core


class _Recording(type):
    """The type of a stand-in for a class: it makes the real thing, and keeps what that was made of."""

    real: Any
    made: list[Any]

    def __call__(cls, *args: Any, **kwargs: Any) -> Any:
        cls.made.append((args, kwargs))
        return cls.real(*args, **kwargs)

    def __instancecheck__(cls, instance: object) -> bool:
        return isinstance(instance, cls.real)


@contextlib.contextmanager
def recorded() -> Any:
    """While it lasts, a dict of what fastnn makes the core's objects of."""
    made: dict[Any, list[Any]] = {}
    replaced = []
    for real in RECORDED:
        made[real] = []
        stand_in = _Recording(real.__name__, (), {"real": real, "made": made[real]})
        for module in [m for name, m in sys.modules.items() if name.startswith("fastnn.") and "_core" not in name]:
            for key in [k for k, v in vars(module).items() if v is real]:
                replaced.append((module, key, real))
                setattr(module, key, stand_in)
    try:
        yield made
    finally:
        for module, key, real in replaced:
            setattr(module, key, real)


def objects(g: Draw) -> dict[Any, Any]:
    """What the core's objects of a small model are made of."""
    number = g.number
    sparse = number.random() < 0.4
    stack: list[Any] = [layers.Input((g.number.choice((2, 3, 5)),))]
    if number.random() < 0.3:
        stack += [layers.Embedding(5, 2, sparse_update=number.random() < 0.5), layers.Flatten()]
    stack += number.sample(
        [
            layers.Dense(4, "tanh", kernel_constraint="max_norm"), layers.BatchNormalization(), layers.PReLU(),
            layers.Dropout(0.3), layers.LayerNormalization(), layers.Softmax(), layers.Activation("gelu"),
            layers.Residual([layers.Dense(3)], projection="dense"), layers.GaussianNoise(0.1),
            layers.Parallel([layers.Dense(2), layers.Dense(3)], merge="concatenate"),
            layers.Dense(3, kernel_regularizer="l2"),
        ],
        number.choice((0, 1, 3)),
    )  # fmt: skip
    stack.append(layers.Dense(3, "softmax"))
    x, y = g.rng.integers(0, 5, (6, stack[0].shape[1] if hasattr(stack[0], "shape") else 3)), g.labels(6, 3)
    x = x.astype(number.choice((g.dtype, np.int64)))
    loss = "sparse_categorical_crossentropy" if sparse else "mse"
    y = y.reshape(-1, 1) if sparse else g.reals(6, 3)
    choice: Any = number.choice(["sgd", "adam", fastnn.optimizers.RMSprop(use_ema=True, clipnorm=1.0)])
    with recorded() as made:
        model = models.Sequential(stack, seed=0, dtype=np.dtype(g.dtype).name)
        model.compile(choice, loss, metrics=number.choice([[], ["accuracy"]]))
        model.fit(x, y, batch_size=4, epochs=2, verbose=0, sample_weight=g.maybe(np.ones(6)))
    return {"model": model, "x": x, "y": y, **made}


def remade(g: Draw, kind: Any) -> tuple[Any, list[Any]]:
    """One of the calls that made such an object, as a callable and its arguments, positional all of them."""
    found = objects(g)
    args, kwargs = g.number.choice(found[kind])
    keys = list(kwargs)
    values = [v if isinstance(v, np.ndarray) else shallow(v) for v in (*args, *kwargs.values())]
    count = len(args)
    return lambda *given: kind(*given[:count], **dict(zip(keys, given[count:], strict=False))), values


def shallow(value: Any) -> Any:
    """A copy of lists, tuples and dicts, with the same arrays and objects in them."""
    if isinstance(value, dict):
        return {k: shallow(v) for k, v in value.items()}
    if isinstance(value, (list, tuple)):
        return type(value)(shallow(v) for v in value) if type(value) in (list, tuple) else value
    return value


def made(g: Draw, kind: Any) -> Any:
    call_it, values = remade(g, kind)
    return call_it(*values)


def use(value: Any, g: Draw) -> None:
    """Put an object that came of wrong arguments to use: if it was taken, it must do."""
    tries: list[Callable[[], Any]] = [lambda: [getattr(value, name) for name in dir(value) if name[0] != "_"]]
    if isinstance(value, engine.Engine):
        shape = (4, *(n if 0 <= n < 100 else 1 for n in value.input_shape))
        x = np.ones(shape, np.float64 if value.wide else np.float32)

        def tape() -> None:
            y, one = value.start_tape(x, True, 0, True)
            one.backward(np.ones_like(y))

        tries += [lambda: value.call(x), tape, lambda: steal(value, g)]
    elif isinstance(value, train.Trainer):
        tries.append(lambda: run_trainer(value, g))
    elif isinstance(value, optimizers.Updater):
        tries += [
            lambda: value.bind([np.ones_like(v) for v in value.variables]), value.merge,
            lambda: value.step(0.1), lambda: value.gradients([np.ones_like(v) for v in value.variables], 0.1),
        ]  # fmt: skip
    elif isinstance(value, batches.Batches):
        tries.append(lambda: run_trainer(made(g, train.Trainer), g, value))
    elif isinstance(value, epochs.Epochs):
        tries.append(lambda: value.run(0, value.batches, True, None, 0.1, 1.0))
    for one in tries:
        with contextlib.suppress(Exception):
            one()


def run_trainer(trainer: Any, g: Draw, data: Any = None) -> None:
    for source in [data] if data is not None else [made(g, batches.Batches) for _ in range(2)]:
        trainer.bind(source, True, 0)
        trainer.run(0, len(source), True, None, 0.1, 1.0)
        trainer.gradients(True)
        trainer.first_bad_op(0)


def steal(value: Any, g: Draw) -> None:
    """A trainer of this engine for an objective of another model's."""
    _, arguments = remade(g, train.Trainer)
    run_trainer(train.Trainer(value, *arguments[1:]), g)
