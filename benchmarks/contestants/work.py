"""What is trained: the five networks and one by single samples, their data, and the flops of a step."""

from collections.abc import Callable, Sequence
from itertools import pairwise

import numpy as np

Call = Callable[[], object]

STEPS = {  # widths of the layers, and the batch
    "tiny": ((2, 16, 16, 1), 32),
    "small": ((20, 64, 64, 2), 32),
    "digits": ((784, 128, 10), 64),
    "medium": ((784, 512, 512, 10), 128),
    "large": ((1024, 2048, 2048, 1000), 512),
}
SINGLE = {"single": ((784, 128, 10), 1)}  # true stochastic gradient descent: SGD with momentum, one sample a step
EPOCH_STEPS = {"tiny": 500, "small": 200, "digits": 40, "medium": 16, "large": 2, "single": 400}
RATE, MOMENTUM = 1e-4, 0.9  # of SGD


class Work:
    """A network and its data: a classifier by integer labels, or a regression where it has one output."""

    def __init__(self, widths: Sequence[int], batch: int, steps: int, name: str = "") -> None:
        self.name, self.widths, self.batch, self.steps = name, tuple(widths), batch, steps
        self.by_adam = name not in SINGLE
        rng = np.random.default_rng(0)
        self.n = batch * steps
        self.regression = widths[-1] == 1
        self.x = rng.standard_normal((self.n, widths[0]), np.float32)
        self.y: np.ndarray = (
            rng.standard_normal((self.n, 1), np.float32) if self.regression else rng.integers(0, widths[-1], self.n)
        )
        pairs = list(pairwise(widths))
        self.weights = [(rng.standard_normal((i, o)) / np.sqrt(i)).astype(np.float32) for i, o in pairs]
        # forward, and both gradients but for the first layer's dx
        self.flops = 2 * batch * (sum(3 * i * o for i, o in pairs) - pairs[0][0] * pairs[0][1])

    @classmethod
    def step(cls, name: str) -> "Work":
        """One of the five, or that of single samples."""
        return cls(*(STEPS | SINGLE)[name], EPOCH_STEPS[name], name)

    def one_batch(self) -> tuple[np.ndarray, np.ndarray]:
        return self.x[: self.batch], self.y[: self.batch]

    def rows(self, count: int) -> np.ndarray:
        """So many rows to infer."""
        return np.resize(self.x, (count, self.widths[0]))
