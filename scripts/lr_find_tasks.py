"""Is the rate that lr_find suggests a good one? Ten tasks, each trained at it and at 13 rates from 1e-4 to 1.

    python scripts/lr_find_tasks.py

Prints a row a task, for a suggestion that knows how many epochs the training has and for one that does not, and fails
if training at one ends more than 10 % above the best of the 13.
"""

from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import numpy as np

import fastnn
from fastnn import datasets, optimizers
from fastnn.layers import Dense

GRID = 10 ** np.linspace(-4, 0, 13)
WITHIN = 1.10


class Task(NamedTuple):
    """Samples, layers, how it learns, and for how long."""

    name: str
    x: np.ndarray
    y: np.ndarray
    sizes: tuple[int, ...]
    activation: str
    output: str
    optimizer: Callable[[float], Any]
    loss: str
    epochs: int

    def model(self, rate: float) -> Any:
        hidden = [Dense(units, self.activation) for units in self.sizes[:-1]]
        model = fastnn.Sequential([*hidden, Dense(self.sizes[-1], self.output)], seed=1)
        model.compile(self.optimizer(rate), self.loss)
        return model

    def final_loss(self, rate: float) -> float:
        """Of all samples, at the end of training at a rate."""
        model = self.model(rate)
        try:
            model.fit(self.x, self.y, epochs=self.epochs, verbose=0)
        except fastnn.DivergenceError:
            return np.inf
        return model.evaluate(self.x, self.y, verbose=0)


def curve(samples: int, features: int, scale: float, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """A bent surface with noise, over inputs of a scale."""
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(samples, features))
    y = np.sin(x[:, 0]) + 0.5 * x[:, 1] * x[:, 2] + 0.3 * rng.normal(size=samples)
    return (scale * x).astype(np.float32), y[:, None].astype(np.float32)


def digits(seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Noisy digits, some of them with a wrong label."""
    x, y = datasets.make_digits(2000, noise=0.3, seed=seed)
    rng = np.random.default_rng(seed)
    return x, np.where(rng.uniform(size=len(y)) < 0.15, rng.integers(0, 10, len(y)), y)


def tasks() -> Iterator[Task]:
    """Regression, two classes and many; SGD and Adam; scaled inputs and not; small networks and larger ones."""
    sgd, adam = optimizers.SGD, optimizers.Adam
    binary, sparse = "binary_crossentropy", "sparse_categorical_crossentropy"
    yield Task("regression", *curve(1000, 5, 1, 0), (16, 1), "tanh", "linear", sgd, "mse", 30)
    yield Task("regression, unscaled", *curve(1000, 5, 8, 1), (16, 1), "tanh", "linear", sgd, "mse", 30)
    yield Task("regression, larger", *curve(2000, 8, 1, 2), (64, 64, 1), "relu", "linear", adam, "mse", 10)
    yield Task("regression, unscaled, mae", *curve(1000, 5, 20, 3), (32, 1), "relu", "linear", adam, "mae", 30)
    yield Task("moons", *datasets.moons(1000, noise=0.3), (16, 1), "relu", "sigmoid", sgd, binary, 30)
    yield Task("circles", *datasets.circles(1000, noise=0.2), (32, 32, 1), "relu", "sigmoid", adam, binary, 20)
    x, y = datasets.blobs(1000, classes=5, features=4, spread=3)
    yield Task("blobs, unscaled", 5 * x, y, (16, 5), "relu", "softmax", sgd, sparse, 30)
    yield Task("digits", *digits(0), (32, 10), "relu", "softmax", adam, sparse, 15)
    yield Task("digits, no hidden layer", *digits(1), (10,), "relu", "softmax", sgd, sparse, 15)
    yield Task("spirals, larger", *datasets.spirals(1500, noise=0.5), (64, 64, 3), "relu", "softmax", adam, sparse, 15)


def ratios(task: Task, *epochs: int | None) -> tuple[list[float], list[float], float]:
    """Rates that are suggested where lr_find is told of so many epochs, how the losses that they end with compare with
    the best of the grid, and its rate."""
    losses = [task.final_loss(rate) for rate in GRID]
    found = [fastnn.diagnostics.lr_find(task.model(0.1), task.x, task.y, epochs=told).suggestion for told in epochs]
    rates = [rate for rate in found if rate is not None]
    assert len(rates) == len(found), "no rate is suggested"
    return rates, [task.final_loss(rate) / min(losses) for rate in rates], float(GRID[int(np.argmin(losses))])


def main() -> None:
    print(f"{'task':26}{'optimizer':>10}{'best of 13':>12}{'suggested':>12}{'loss / best':>13}{'for epochs':>12}"
          f"{'loss / best':>13}")  # fmt: skip
    worst = 0.0
    for task in tasks():
        (rate, told), (share, share_told), best = ratios(task, None, task.epochs)
        worst = max(worst, share, share_told)
        print(f"{task.name:26}{task.optimizer.__name__:>10}{best:12.4f}{rate:12.4f}{share:13.3f}{told:12.4f}"
              f"{share_told:13.3f}")  # fmt: skip
    assert worst <= WITHIN, f"worse than {WITHIN} times the best: {worst:.3f}"


if __name__ == "__main__":
    main()
