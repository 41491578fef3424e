"""Random models with their data, and what to call on them."""

import random
import threading
import weakref
from typing import Any

import numpy as np

import fastnn
from fastnn import callbacks, layers, losses, metrics, optimizers, regularizers
from fuzzing import parts

ACTIVATIONS = ["linear", "relu", "tanh", "sigmoid", "gelu", "elu", "softplus", "swish", "hard_sigmoid", "selu"]
OPTIMIZERS = ["sgd", "adam", "rmsprop", "adagrad", "adadelta", "adamax", "nadam", "lion", "adamw"]
SIZES = (1, 1, 2, 3, 5, 7, 8, 15, 16, 17, 31, 33, 64, 65, 100)


class World:
    """A compiled model, arrays for it, and the agent that its parts in Python call.

    Two worlds of one seed are the same. `parts` gives the model parts in Python.
    """

    def __init__(self, seed: str, agent: parts.Agent = parts.nothing, in_python: bool = True) -> None:
        self.number = number = random.Random(seed)
        self.agent, self.in_python = agent, in_python
        self.threads: list[threading.Thread] = []  # that an action started, and which may be at work still
        self.dtype = number.choice(["float32", "float32", "float64"])
        self.codes = number.random() < 0.25  # the first layer is an Embedding
        self.kind = number.choice(["regression", "labels", "one-hot", "binary"])
        self.width, self.outputs = number.choice(SIZES), number.choice(SIZES[1:])
        self.most = number.choice((2, 5, 50))  # codes
        if self.kind == "binary":
            self.outputs = 1
        if self.kind in ("labels", "one-hot"):
            self.outputs = max(2, self.outputs)
        self.n = number.choice((1, 2, 3, 7, 32, 33, 100, 300))
        self.data()
        self.model = self.make_model()

    # ----------------------------------------------------------------------------------------------------------- data

    def data(self) -> None:
        draw = np.random.default_rng(self.number.randrange(2**32))
        n, kind = self.n, self.kind
        other = self.number.choice([self.dtype, self.dtype, "float32", "float64", "int64", "uint8"])
        if self.codes:
            self.x = draw.integers(0, self.most, (n, self.width)).astype(self.number.choice([other, "int32", "int64"]))
        else:
            self.x = (draw.normal(size=(n, self.width)) * (9 if other in ("int64", "uint8") else 1)).astype(other)
        if kind == "labels":
            self.y = draw.integers(0, self.outputs, (n, 1)).astype(self.number.choice(["int32", "int64"]))
        elif kind == "one-hot":
            self.y = np.eye(self.outputs, dtype=self.dtype)[draw.integers(0, self.outputs, n)]
        elif kind == "binary":
            self.y = draw.integers(0, 2, (n, 1)).astype(self.dtype)
        else:
            self.y = draw.normal(size=(n, self.outputs)).astype(self.number.choice([self.dtype, other]))
        if self.number.random() < 0.2:
            self.x = np.asfortranarray(self.x)
        self.w = draw.random(n).astype("float64") if self.number.random() < 0.3 else None

    # ----------------------------------------------------------------------------------------------------------- models

    def part(self, make: Any, *args: Any, **kwargs: Any) -> Any:
        """A part in Python, with this world's agent."""
        made = make(*args, **kwargs)
        made.agent = self.agent
        return made

    def python(self, share: float) -> bool:
        return self.number.random() < share and self.in_python

    def activation(self) -> Any:
        return self.part(parts.Bent) if self.python(0.05) else self.number.choice(ACTIVATIONS)

    def dense(self, units: int, activation: Any = None) -> layers.Layer:
        number, options = self.number, {}
        if number.random() < 0.2:
            options["kernel_regularizer"] = (
                self.part(parts.Fourth) if self.python(0.4) else regularizers.L1L2(1e-3, 1e-3)
            )
        if number.random() < 0.2:
            options["kernel_constraint"] = (
                self.part(parts.Bounded) if self.python(0.4) else number.choice(["non_neg", "max_norm", "unit_norm"])
            )
        if number.random() < 0.1:
            options["activity_regularizer"] = "l2"
        if self.python(0.1):
            options["kernel_initializer"] = self.part(parts.Ring)
        use_bias = number.random() < 0.8
        return layers.Dense(
            units, self.activation() if activation is None else activation, use_bias=use_bias, **options
        )

    def hidden(self, deep: int = 0) -> Any:
        number = self.number
        if self.python(0.1):
            return self.part(parts.Scale)
        kind = number.randrange((14, 13, 11)[deep])
        if kind < 4:
            return self.dense(number.choice(SIZES))
        makes: list[Any] = [
            lambda: layers.Dropout(number.choice((0.0, 0.3, 0.9)), seed=number.choice((None, 3))),
            layers.BatchNormalization, layers.LayerNormalization, layers.PReLU, lambda: layers.GaussianNoise(0.1),
            lambda: layers.Activation(self.activation()), layers.Softmax,
            lambda: layers.Residual([self.hidden(deep + 1)], projection="dense"),
            lambda: layers.Parallel([[self.hidden(deep + 1)], layers.Dense(3)], merge="concatenate"),
            lambda: fastnn.Sequential([self.dense(number.choice(SIZES)), self.hidden(deep + 1)]),
        ]  # fmt: skip
        return makes[kind - 4]()

    def make_model(self) -> fastnn.Sequential:
        number = self.number
        stack: list[Any] = [layers.Input((self.width,))] if number.random() < 0.7 else []
        if self.codes:
            sparse = number.random() < 0.4
            stack += [layers.Embedding(self.most, number.choice((1, 2, 8)), sparse_update=sparse), layers.Flatten()]
        stack += [self.hidden() for _ in range(number.choice((0, 1, 1, 2, 3)))]
        last = {"labels": "softmax", "one-hot": "softmax", "binary": "sigmoid"}.get(self.kind, "linear")
        stack.append(self.dense(self.outputs, last))
        model = fastnn.Sequential(stack, seed=number.randrange(2**31), dtype=self.dtype)
        self.model = model
        model.compile(**self.choices())
        return model

    def optimizer(self) -> Any:
        number = self.number
        if self.python(0.1):
            return self.part(parts.HeavyBall, learning_rate=1e-3)
        rate: Any = self.part(parts.Warm) if self.python(0.15) else number.choice((1e-3, 1e-2))
        options: dict[str, Any] = {}
        if number.random() < 0.2:
            options[number.choice(["clipnorm", "global_clipnorm", "clipvalue"])] = 0.5
        options |= {k: v for k, v in (("use_ema", True), ("weight_decay", 0.01)) if number.random() < 0.08}
        if number.random() < 0.1 and not self.codes:
            options["gradient_accumulation_steps"] = 2
        made = optimizers.get({"class_name": number.choice(OPTIMIZERS), "config": {}})
        return type(made)(rate, **options)

    def choices(self) -> dict[str, Any]:
        """Arguments for compile."""
        number = self.number
        loss: Any = {
            "labels": "sparse_categorical_crossentropy", "one-hot": number.choice(["categorical_crossentropy", "mse"]),
            "binary": number.choice(["binary_crossentropy", "hinge", "binary_focal_crossentropy"]),
            "regression": number.choice(["mse", "mae", "huber", "log_cosh"]),
        }[self.kind]  # fmt: skip
        if self.python(0.2) and self.kind != "labels":
            loss = self.part(parts.Square)
        measured: list[Any] = number.choice([[], [], ["accuracy"], ["mse"] if self.kind != "labels" else []])
        if self.python(0.2):
            measured = [*measured, self.part(parts.Bias)]
        if number.random() < 0.1 and self.kind == "binary":
            measured = [*measured, metrics.AUC(num_thresholds=10)]
        return {"optimizer": self.optimizer(), "loss": loss, "metrics": measured}

    # ------------------------------------------------------------------------------------------------------ arguments

    def arrays(self) -> list[Any]:
        return [self.x, self.y] if self.w is None else [self.x, self.y, self.w]

    def callbacks(self) -> list[Any]:
        number, found = self.number, []
        if self.agent is not parts.nothing:
            names = number.sample(parts.HOOKS, number.choice((1, 2, 5, len(parts.HOOKS))))
            found.append(parts.callback(self.agent, names))
        if number.random() < 0.1:
            found.append(callbacks.EarlyStopping("loss", patience=1, restore_best_weights=True))
        if number.random() < 0.1:
            found.append(callbacks.ReduceLROnPlateau("loss", patience=1))
        if number.random() < 0.1:
            found.append(callbacks.LambdaCallback(on_epoch_end=lambda epoch, logs: self.agent("callback.lambda")))
        return found

    def fit_arguments(self) -> dict[str, Any]:
        number = self.number
        size = number.choice((1, 2, 7, 32, 1000)) if self.n < 40 else number.choice((7, 32, 1000))
        given: dict[str, Any] = {"epochs": number.choice((1, 2, 3)), "verbose": number.choice((0, 0, 0, 2))}
        kind = number.choice(["arrays", "arrays", "arrays", "generator", "dataset"])
        if kind == "arrays":
            given |= {"x": self.x, "y": self.y, "batch_size": size, "shuffle": number.random() < 0.5}
            if self.w is not None:
                given["sample_weight"] = self.w
        elif kind == "generator":
            given |= {"x": parts.generator(self.agent, self.arrays(), size, 6), "steps_per_epoch": 2}
        else:
            given["x"] = self.part(parts.Dataset, self.arrays(), size)
        if number.random() < 0.4:
            given["validation_data"] = (self.x, self.y)
        elif number.random() < 0.2 and kind == "arrays" and self.n > 4:
            given["validation_split"] = 0.3
        given["callbacks"] = self.callbacks()
        return given


# ------------------------------------------------------------------------------------------------------- what must hold


def weights_of(model: fastnn.Sequential) -> list[Any]:
    return [np.array(w) for w in model.get_weights()] if model.built else []


def same(a: Any, b: Any) -> bool:
    """Whether two lists of arrays have the same bits."""
    return len(a) == len(b) and all(
        np.shape(x) == np.shape(y) and np.asarray(x).tobytes() == np.asarray(y).tobytes()
        for x, y in zip(a, b, strict=True)
    )


__all__ = ["World", "losses", "same", "weakref", "weights_of"]
