"""The perceptron: one unit with a step at its output, which learns from its errors."""

from typing import Any, Self

import numpy as np
import numpy.typing as npt

from fastnn import _progress, _random, _validate, activations
from fastnn.errors import NotBuiltError

Doubles = npt.NDArray[np.float64]


class Perceptron:
    """step(w0 + sum_i w_i x_i), with step(0) = 1, and Rosenblatt's rule.

    The bias is the weight w0 of an input x0 that is always +1. The rule looks at one sample after the other and, where
    the output p is not the target y, adds ``learning_rate (y - p) x`` to the weights. It ends by itself if some line
    (plane, ...) separates the classes; if none does, as for XOR, it never does.

    Parameters
    ----------
    learning_rate : float
    epochs : int
        How many times the samples are gone through at most.
    shuffle : bool
        Whether each epoch takes them in a new order.
    seed : int, optional
        What the orders follow from; without one a seed is drawn, and recorded in `seed`.

    Attributes
    ----------
    history : list of int
        How many samples were answered wrongly in each epoch.
    converged : bool
        Whether there was an epoch without an error: then the samples are all answered rightly.

    Examples
    --------
    >>> x = [[0, 0], [0, 1], [1, 0], [1, 1]]
    >>> unit = Perceptron().fit(x, [0, 0, 0, 1])
    >>> unit.predict(x).tolist(), unit.converged
    ([0, 0, 0, 1], True)
    >>> Perceptron().fit(x, [0, 1, 1, 0]).converged
    False
    """

    def __init__(
        self, learning_rate: float = 1.0, epochs: int = 100, shuffle: bool = False, seed: int | None = None
    ) -> None:
        self.learning_rate = _validate.number(learning_rate, "learning_rate", above=0)
        self.epochs = _validate.integer(epochs, "epochs", minimum=1)
        self.shuffle = _validate.flag(shuffle, "shuffle")
        self.seed = _random.new_seed() if seed is None else _random.seed_of(seed)
        self.history: list[int] = []
        self.converged = False
        self._weights: Doubles | None = None

    @property
    def weights(self) -> Doubles:
        """w0, w1, ..., w_d, live: the bias comes first. The first `fit` makes them; they can be set too."""
        if self._weights is None:
            raise NotBuiltError("Perceptron: it has no weights yet; call fit, or set weights")
        return self._weights

    @weights.setter
    def weights(self, value: Any) -> None:
        array = _validate.floats(value, "weights", np.float64)
        if array.ndim != 1 or len(array) < 2:
            raise ValueError(
                f"weights: expected w0 (the bias), w1, ..., one more than there are inputs, got shape {array.shape}"
            )
        _validate.finite(array, "weights")
        self._weights = array.astype(np.float64)

    @property
    def bias(self) -> float:
        """w0, the weight of x0 = +1."""
        return float(self.weights[0])

    def fit(self, x: Any, y: Any, verbose: int = 0) -> Self:
        """Learn from samples by the rule, from the weights as they are; from zeros the first time.

        Parameters
        ----------
        x : array_like
            Samples along the first axis, shape (N, d).
        y : array_like
            0 or 1 for each.
        verbose : int
            1 prints the errors of each epoch.
        """
        rows = self._with_bias(x)
        targets = _targets(y, len(rows))
        verbose = _validate.integer(verbose, "verbose", minimum=0, maximum=2)
        if self._weights is None:
            self._weights = np.zeros(rows.shape[1])
        self.history, self.converged = [], False
        for epoch in range(self.epochs):
            errors = self._epoch(rows, targets, epoch)
            self.history.append(errors)
            if verbose:
                _progress.say(f"Epoch {epoch + 1}/{self.epochs} - errors: {errors}")
            if errors == 0:
                self.converged = True
                break
        return self

    def _epoch(self, rows: Doubles, targets: Doubles, epoch: int) -> int:
        """The rule for every sample in turn: how many were answered wrongly."""
        w = self.weights
        n, errors = len(rows), 0
        for i in _random.permutation(n, self.seed, epoch) if self.shuffle else range(n):
            wrong = targets[i] - float(rows[i] @ w >= 0)  # y - step(z)
            if wrong:
                w += self.learning_rate * wrong * rows[i]
                errors += 1
        return errors

    def _with_bias(self, x: Any) -> Doubles:
        """x with a column x0 = +1 in front."""
        array = _validate.floats(x, "x", np.float64)
        if array.ndim != 2 or array.shape[1] == 0:
            raise ValueError(f"x: expected samples of shape (N, inputs), got shape {array.shape}")
        if len(array) == 0:
            raise ValueError(f"x: there are no samples in it (shape {array.shape})")
        _validate.finite(array, "x")
        if self._weights is not None and array.shape[1] != len(self._weights) - 1:
            raise ValueError(f"x: the perceptron has {len(self._weights) - 1} inputs, got samples of {array.shape[1]}")
        return np.concatenate([np.ones((len(array), 1)), array], axis=1)

    def weighted_sum(self, x: Any) -> Doubles:
        """z = w0 + sum_i w_i x_i of each sample: what the step is applied to."""
        w = self.weights
        sums: Doubles = self._with_bias(x) @ w
        return sums

    def predict(self, x: Any) -> npt.NDArray[np.int64]:
        """0 or 1 for each sample."""
        return activations.step(self.weighted_sum(x)).astype(np.int64)

    def __call__(self, x: Any) -> npt.NDArray[np.int64]:
        """The same."""
        return self.predict(x)

    def score(self, x: Any, y: Any) -> float:
        """The share of samples that are answered rightly."""
        predicted = self.predict(x)
        return float(np.mean(predicted == _targets(y, len(predicted))))

    def __repr__(self) -> str:
        return (
            f"Perceptron(learning_rate={self.learning_rate}, epochs={self.epochs}, shuffle={self.shuffle}, "
            f"seed={self.seed})"
        )


def _targets(y: Any, n: int) -> Doubles:
    """0 or 1 for each of n samples."""
    array = _validate.floats(y, "y", np.float64)
    if array.shape not in ((n,), (n, 1)):
        raise ValueError(f"y: expected 0 or 1 for each of the {n} samples, shape ({n},), got shape {array.shape}")
    if (array == -1).any():
        raise ValueError("y: expected labels 0 and 1, got -1; pass (y > 0)")
    _validate.among(array, "y", (0, 1), "a label 0 or 1")
    labels: Doubles = array.reshape(-1).astype(np.float64)
    return labels
