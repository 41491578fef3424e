"""Parts of a model that are written in Python. Each calls `agent(where)` from inside, which may do anything."""

from collections.abc import Callable
from typing import Any

import numpy as np

import fastnn
from fastnn import callbacks, layers, losses, metrics, optimizers
from fastnn.callbacks._base import HOOKS

Agent = Callable[[str], None]


def nothing(where: str) -> None:
    """The agent of a part that was copied: it does not disturb."""


class Part:
    """What the parts have in common: an agent, which copies and pickles of the part do not take along."""

    agent: Agent = staticmethod(nothing)

    def __getstate__(self) -> dict[str, Any]:
        parent = getattr(super(), "__getstate__", None)
        kept = parent() if parent is not None else self.__dict__
        return {k: v for k, v in (kept or {}).items() if k != "agent"}


class Scale(Part, layers.Layer):
    """y = a x, with a weight for each column."""

    def build(self, input_shape: Any) -> None:
        self.agent("layer.build")
        self.a = self.add_weight((input_shape[-1],), "ones", name="a")

    def forward(self, x: Any, training: bool) -> Any:
        self.agent("layer.forward")
        if training:
            self.x = x
        return self.a * x

    def backward(self, dy: Any) -> Any:
        self.agent("layer.backward")
        self.add_gradient(self.a, np.sum(dy * self.x, axis=tuple(range(dy.ndim - 1))))
        return self.a * dy


class Bent(Part):
    """An activation."""

    __name__ = "bent"

    def __call__(self, x: Any) -> Any:
        self.agent("activation")
        return (np.sqrt(x**2 + 1) - 1) / 2 + x

    def derivative(self, x: Any) -> Any:
        self.agent("activation.derivative")
        return x / (2 * np.sqrt(x**2 + 1)) + 1


class Square(Part, losses.Loss):
    def call(self, y_true: Any, y_pred: Any) -> Any:
        self.agent("loss.call")
        return np.mean((y_pred - np.reshape(y_true, y_pred.shape)) ** 2, axis=-1)

    def gradient(self, y_true: Any, y_pred: Any) -> Any:
        self.agent("loss.gradient")
        return 2 * (y_pred - np.reshape(y_true, y_pred.shape)) / y_pred.shape[-1]


class Bias(Part, metrics.Metric):
    def __init__(self, name: str = "bias", **options: Any) -> None:
        super().__init__(name=name, **options)
        self.total = self.add_weight(name="total")

    def update_state(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> None:
        self.agent("metric.update_state")
        self.total.assign_add(np.sum(y_pred))

    def result(self) -> float:
        self.agent("metric.result")
        return float(self.total)

    def reset_state(self) -> None:
        self.agent("metric.reset_state")
        super().reset_state()


class HeavyBall(Part, optimizers.Optimizer):
    def build(self, variables: Any) -> None:
        self.agent("optimizer.build")
        super().build(variables)
        self.steps = self.add_optimizer_variables(variables, "step")

    def update_step(self, gradient: Any, variable: Any, learning_rate: Any) -> None:
        self.agent("optimizer.update_step")
        step = self.steps[self.index(variable)]
        step *= 0.9
        step -= learning_rate * gradient
        variable += step


class Warm(Part, optimizers.schedules.LearningRateSchedule):
    def __call__(self, step: Any) -> float:
        self.agent("schedule")
        return 0.01 * min(1.0, (step + 1) / 10)

    def get_config(self) -> dict[str, Any]:
        self.agent("schedule.get_config")
        return {}


class Ring(Part, fastnn.initializers.Initializer):
    def __call__(self, shape: Any, dtype: Any = None) -> Any:
        self.agent("initializer")
        return np.cos(np.arange(np.prod(shape), dtype=dtype or "float32")).reshape(shape) / max(1, shape[0])


class Fourth(Part, fastnn.regularizers.Regularizer):
    def __call__(self, x: Any) -> float:
        self.agent("regularizer")
        return 1e-3 * float(np.sum(x**4))

    def gradient(self, x: Any) -> Any:
        self.agent("regularizer.gradient")
        return 4e-3 * x**3


class Bounded(Part, fastnn.constraints.Constraint):
    def __call__(self, w: Any) -> Any:
        self.agent("constraint")
        return np.clip(w, -1, 1)


class Dataset(Part, fastnn.utils.PyDataset):
    def __init__(self, arrays: list[Any], size: int) -> None:
        super().__init__()
        self.arrays, self.size = arrays, size

    def __len__(self) -> int:
        self.agent("dataset.len")
        return max(1, -(-len(self.arrays[0]) // self.size))

    def __getitem__(self, index: int) -> Any:
        self.agent("dataset.getitem")
        return tuple(a[index * self.size : (index + 1) * self.size] for a in self.arrays)

    def on_epoch_end(self) -> None:
        self.agent("dataset.on_epoch_end")


def generator(agent: Agent, arrays: list[Any], size: int, count: int) -> Any:
    try:
        for i in range(count):
            agent("generator")
            at = i * size % len(arrays[0])
            yield tuple(a[at : at + size] for a in arrays)
    finally:
        agent("generator.close")


def hook(name: str) -> Callable[..., None]:
    def call(self: Any, *args: Any, **kwargs: Any) -> None:
        self.agent(f"callback.{name}")

    return call


def callback(agent: Agent, names: list[str]) -> Any:
    """A callback with these hooks."""
    made = type("Disturbing", (Part, callbacks.Callback), {name: hook(name) for name in names})()
    made.agent = agent
    return made


class Awkward:
    """An object in the place of an array, a number or a list: each of its methods calls the agent, and gives what it is
    told to give or raises it."""

    def __init__(self, agent: Agent, gives: Any) -> None:
        self.agent, self.gives = agent, gives

    def _give(self, where: str, default: Any) -> Any:
        self.agent(f"object.{where}")
        given = self.gives.get(where, default) if isinstance(self.gives, dict) else self.gives
        if isinstance(given, BaseException):
            raise given
        return given

    def __array__(self, dtype: Any = None, copy: Any = None) -> Any:
        return self._give("__array__", np.ones((2, 3), dtype))

    def __len__(self) -> Any:
        return self._give("__len__", 2)

    def __getitem__(self, index: Any) -> Any:
        if isinstance(index, int) and index > 3:
            raise IndexError
        return self._give("__getitem__", 1.0)

    def __iter__(self) -> Any:
        yield self._give("__iter__", 1.0)

    def __float__(self) -> Any:
        return self._give("__float__", 1.0)

    def __index__(self) -> Any:
        return self._give("__index__", 1)

    def __bool__(self) -> Any:
        return self._give("__bool__", True)

    def __eq__(self, other: object) -> Any:
        return self._give("__eq__", False)

    def __hash__(self) -> Any:
        return self._give("__hash__", 1)

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        return self._give("__call__", 1.0)

    def __fspath__(self) -> Any:
        return self._give("__fspath__", "/nonexistent/file")

    def __del__(self) -> None:
        self.agent("object.__del__")

    @property
    def shape(self) -> Any:
        return self._give("shape", (2, 3))

    @property
    def dtype(self) -> Any:
        return self._give("dtype", np.dtype("float32"))


__all__ = ["HOOKS", "Agent", "Awkward", "Part", "callback", "generator", "nothing"]
