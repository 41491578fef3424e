"""Epochs of gradient descent with scikit-learn's penalty, on the engine's trainers.

The loss of a batch is (sum_i w_i l_i + alpha / 2 sum W^2) / S, with S the sum of the batch's weights, or its size. In
an epoch without weights S is the same in all batches but the last, so that the engine runs them at once with a penalty
that is fixed. A batch with another S takes a second trainer, which corrects the penalty before its update.
"""

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import numpy.typing as npt

from fastnn import Sequential, _data
from fastnn._core.batches import Batches
from fastnn._core.train import Trainer
from fastnn.sklearn._network import denses
from fastnn.sklearn._objectives import Objective

DENSE_BYTES = 64 << 20  # sparse rows are made dense at most so many bytes at a time, but for a batch that is larger

Order = npt.NDArray[np.int64] | None


class Samples:
    """x, y and weights, checked, as batches: dense rows where they lie, sparse ones made dense some at a time."""

    def __init__(self, network: Sequential, x: Any, y: Any, weights: Any, size: int) -> None:
        plan = network._need_compiled()
        network._need_built()
        self.n, self.size, self.dtype = x.shape[0], size, network._dtype
        assert network._output is not None
        table, self.truth = _data.targets(plan.loss, y, self.n, network._output, self.dtype)
        self.weights = _data.weights(weights, None, y, self.n, () if table is None else table.shape[1:])
        network._ready_optimizer()
        plan.prepare(network, table, self.truth)
        self.x = x
        per_row = max(1, x.shape[1]) * self.dtype.itemsize
        self.rows = max(1, DENSE_BYTES // per_row // size) * size
        if not hasattr(x, "toarray"):
            self.x = _data.as_array(x, "X")
        elif self.rows >= self.n:
            self.x = x.toarray()
        self.whole = None if hasattr(self.x, "toarray") else Batches(self.x, self.truth, self.weights, size, self.dtype)

    def blocks(self, order: Order) -> Iterator[tuple[Batches, Order]]:
        """All samples in an order, as few sets of whole batches as memory allows, and which samples each holds."""
        if self.whole is not None:
            self.whole.reorder(order)
            yield self.whole, order
            return
        rows = np.arange(self.n) if order is None else order
        for begin in range(0, self.n, self.rows):
            held = rows[begin : begin + self.rows]
            truth = None if self.truth is None else self.truth[held]
            weights = None if self.weights is None else self.weights[held]
            yield Batches(self.x[held].toarray(), truth, weights, self.size, self.dtype), held

    def singles(self) -> Iterator[Batches]:
        """All samples as they lie, one batch at a time, each by itself."""
        for begin in range(0, self.n, self.size):
            rows = slice(begin, begin + self.size)
            x = self.x[rows]
            truth = None if self.truth is None else self.truth[rows]
            weights = None if self.weights is None else self.weights[rows]
            yield Batches(x.toarray() if hasattr(x, "toarray") else x, truth, weights, self.size, self.dtype)


class Descent:
    """A network and its samples, epoch by epoch."""

    def __init__(self, network: Sequential, objective: Objective, samples: Samples, alpha: float, share: float) -> None:
        self.network, self.objective, self.samples, self.alpha = network, objective, samples, alpha
        self.share = share  # alpha / S of the penalty that the engine's own trainer has
        self.plan = network._need_compiled()
        self.other: Trainer | None = None  # the one that corrects the penalty
        self.bound: Trainer | None = None
        self.batch_share, self.batch_rows = share, 0  # of the batch at hand, for `other`
        self.forget()

    def forget(self) -> None:
        """Begin the sums of an epoch: batches' losses, and what of them is penalty, times the batches' sizes."""
        self.plan.reset()
        if self.other is not None:
            self.other.reset()
        self.penalties = 0.0

    # --------------------------------------------------------------------------------------------------------- an epoch

    def epoch(self, order: Order, callbacks: Any = None) -> float:
        """One pass over the samples. Returns its loss, as scikit-learn reports it."""
        self.forget()
        ahead = None if callbacks is None else callbacks.train_batches_ahead
        number = 0
        for batches, held in self.samples.blocks(order):
            self.bound = None
            for first, end, total in self.pieces(batches, held):
                number = self.steps(batches, first, end, self.alpha / total, ahead, callbacks, number)
                if self.network.stop_training:
                    return self.loss()
        return self.loss()

    def pieces(self, batches: Batches, held: Order) -> Iterator[tuple[int, int, float]]:
        """Batches first .. end - 1 with the same sum of weights. Those without any weight teach nothing."""
        n, size = batches.n, batches.size
        if self.samples.weights is None:
            if n >= size:
                yield 0, n // size, size
            if n % size:
                yield n // size, n // size + 1, n % size
            return
        weights = self.samples.weights if held is None else self.samples.weights[held]
        for i, total in enumerate(np.add.reduceat(weights, np.arange(0, n, size))):
            if total > 0:
                yield i, i + 1, float(total)

    def steps(
        self, batches: Batches, first: int, end: int, share: float, ahead: int | None, callbacks: Any, number: int
    ) -> int:
        """Steps with one share of the penalty, the first being number `number` of the epoch; returns the next one's."""
        trainer = self.trainer(share)
        self.batch_share, self.batch_rows = share, min(batches.size, batches.n - first * batches.size)
        if trainer is not self.bound:
            trainer.bind(batches, True, self.network._forwards)
            self.bound = trainer
        place = first
        while place < end and not self.network.stop_training:
            until = end if ahead is None else min(end, place + ahead)
            if ahead == 1:
                callbacks.on_train_batch_begin(number + place - first)
            while place < until:
                place = self.network._advance(trainer, place, until)
            if ahead is not None:
                callbacks.on_train_batch_end(number + place - first - 1, {"loss": trainer.last_loss})
        return number + place - first

    def loss(self) -> float:
        """The mean of the batches' losses by their sizes, as scikit-learn reports it."""
        fast, samples = self.plan.trainer().sums
        total = fast
        if self.other is not None:
            total, samples = total + self.other.sums[0], samples + self.other.sums[1]
        if self.objective.reports_mean and self.objective.factor > 1:
            factor = self.objective.factor
            if self.share:  # only without weights: the metric's mean is that of the samples
                metric = self.plan.all_metrics[0].state
                self.penalties += fast - factor * 0.5 * float(metric[0])
            total = (total - self.penalties) / factor + self.penalties
        return total / samples

    # -------------------------------------------------------------------------------------------- the corrected penalty

    def trainer(self, share: float) -> Trainer:
        """The engine's own trainer where its penalty is right, else the one that corrects it."""
        fits = share == self.share and (self.samples.weights is None or not self.alpha)
        if fits:
            return self.plan.trainer()
        if self.other is None:
            self.other = make_trainer(self.network, self.update, self.penalty)
        return self.other

    def update(self, rate: float) -> None:
        """The step of a batch whose share of the penalty is not the updater's."""
        for layer in denses(self.network):
            gradient = self.network._gradient_of(layer._variables[0])
            gradient += gradient.dtype.type(self.batch_share - self.share) * layer.kernel
        self.network.optimizer._updater.step(rate)

    def penalty(self) -> float:
        """What it adds to the loss."""
        value = 0.5 * self.batch_share * squares(self.network)
        self.penalties += value * self.batch_rows
        return value


def squares(network: Sequential) -> float:
    """The sum of the squares of all kernels."""
    total = 0.0
    for layer in denses(network):
        flat = layer.kernel.reshape(-1).astype(np.float64, copy=False)
        total += float(flat @ flat)
    return total


def make_trainer(network: Sequential, update: Callable[[float], None], penalty: Callable[[], float]) -> Trainer:
    """A trainer like the engine's own, whose update and penalty are called in Python."""
    objective, fused = network._need_compiled().objective(network)
    return Trainer(
        network._need_built(), objective, fused, [], False, None, python_update=update, python_penalty=penalty
    )
