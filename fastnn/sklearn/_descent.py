"""Epochs of gradient descent with scikit-learn's penalty, on a trainer of the engine's.

The loss of a batch is (sum_i w_i l_i + alpha / 2 sum W^2) / S, with S the sum of the batch's weights, or its size.
"""

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import numpy.typing as npt

from fastnn import Sequential, _data
from fastnn._core.batches import Batches
from fastnn._core.epochs import Epochs, Stall
from fastnn._fit import MOST_EPOCHS
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

    def blocks(self, order: Order) -> Iterator[Batches]:
        """All samples in an order, as few sets of whole batches as memory allows."""
        if self.whole is not None:
            self.whole.reorder(order)
            yield self.whole
            return
        rows = np.arange(self.n) if order is None else order
        for begin in range(0, self.n, self.rows):
            held = rows[begin : begin + self.rows]
            truth = None if self.truth is None else self.truth[held]
            weights = None if self.weights is None else self.weights[held]
            yield Batches(self.x[held].toarray(), truth, weights, self.size, self.dtype)

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
        """share is what the network's own penalty counts, in the place of alpha / S."""
        self.network, self.samples = network, samples
        self.trainer = network._need_compiled().make_trainer(network, counting=False)
        scale = alpha / share if share else 0.0
        self.trainer.share_penalties(scale, objective.factor if objective.reports_mean else 1)

    def epoch(self, order: Order, callbacks: Any = None) -> float:
        """One pass over the samples. Returns its loss, as scikit-learn reports it."""
        network, trainer = self.network, self.trainer
        trainer.reset()
        ahead = None if callbacks is None else callbacks.train_batches_ahead
        number = 0  # of the batch within the epoch
        for batches in self.samples.blocks(order):
            trainer.bind(batches, True, network._forwards)
            first, place, end = number, 0, len(batches)
            while place < end and not network.stop_training:
                until = end if ahead is None else min(end, place + ahead)
                if ahead == 1:
                    callbacks.on_train_batch_begin(number)
                while place < until:
                    place = network._advance(trainer, place, until)
                number = first + place
                if ahead is not None:
                    callbacks.on_train_batch_end(number - 1, {"loss": trainer.last_loss})
        return trainer.loss

    def epochs(
        self, order: Order, random: Any, shared: bool, most: int, stall: Stall, note: Callable[[list[float]], None]
    ) -> None:  # fmt: skip
        """At most so many passes over dense samples, each in an order that `random` shuffles anew (where it is shared,
        others may draw from it too), until the loss stalls. `note` is told of their losses, some at a time."""
        assert self.samples.whole is not None
        over = False
        while most > 0 and not over:
            run = Epochs(self.trainer, self.samples.whole, order, min(most, MOST_EPOCHS), self.network._forwards)
            if order is not None:
                run.shuffle(random, shared)
            run.watch(stall)
            try:
                while run.place < run.batches and not run.over and not self.network.stop_training:
                    self.network._advance(run, run.place, run.batches)
            finally:
                note(run.records[: run.epoch, 0].tolist())
            if run.place % len(self.samples.whole):  # stopped within an epoch, by another thread
                note([self.trainer.loss])
            most, over = most - run.epoch, run.over or self.network.stop_training
