"""The network that an estimator holds: how it is made, its weights as coefs_ and intercepts_, copies of it."""

import contextlib
import threading
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple, cast

import numpy as np
from sklearn.base import BaseEstimator

import fastnn
from fastnn import Sequential, optimizers
from fastnn._validate import FloatArray
from fastnn.sklearn._descent import DENSE_BYTES
from fastnn.sklearn._network import Design, build, denses, put
from fastnn.sklearn._objectives import Objective

FEW = 256  # samples that are predicted without the preparations of predict


class Made(NamedTuple):
    """What a network was made for, so that partial_fit knows whether it can go on with it."""

    design: Design
    solver: str
    loss: Any
    factor: int
    share: float


class NetworkHolder(BaseEstimator):  # type: ignore[misc,unused-ignore]
    """An estimator as far as it has to do with its network."""

    network_: Sequential
    coefs_: list[Any]
    intercepts_: list[Any]
    _made: Made
    _linked: tuple[list[Any], list[Any]]  # what coefs_ and intercepts_ were made of

    def _make_network(
        self, design: Design, objective: Objective, share: float, random: Any, goes_on: bool = False
    ) -> Sequential:
        """A network with the weights of coefs_ and intercepts_, compiled; or one that also goes on where the one before
        it is, with its optimizer's state and its dropout."""
        before = self._synchronise() if "network_" in self.__dict__ else None
        if before is not None and goes_on:
            seed = before.seed
        else:
            seed = int(random.randint(2**31 - 1)) if any(design.dropout) else 0
        network = build(design, share, seed)
        if before is not None and self._made.design == design:
            network.set_weights(before.get_weights())  # those of normalization too
        else:
            put(network, self.coefs_, self.intercepts_)
            self.__dict__.pop("_best_weights", None)
        network.compile(self._new_optimizer(), objective.loss, loss_weights=objective.factor)
        if before is not None and goes_on:
            network._forwards = before._forwards
            network._ready_optimizer()
            network.optimizer.set_state(before.optimizer.get_state())
            network.optimizer.learning_rate = before.optimizer.learning_rate
        self.network_ = network
        self._made = Made(design, self.solver, self.loss, objective.factor, share)
        self._link()
        return network

    def _new_optimizer(self) -> Any:
        if self.solver == "adam":
            return optimizers.Adam(self.learning_rate_init, self.beta_1, self.beta_2, self.epsilon)
        if self.solver == "sgd":
            return optimizers.SGD(self.learning_rate_init, self.momentum, self.nesterovs_momentum)
        return optimizers.SGD(self.learning_rate_init)  # L-BFGS has no steps; a network has an optimizer

    @property
    def _optimizer(self) -> Any:
        return self.network_.optimizer

    def _link(self) -> None:
        """Have coefs_ and intercepts_ be the network's own arrays."""
        self.network_._need_built()
        layers = denses(self.network_)
        self.coefs_ = [layer.kernel for layer in layers]
        self.intercepts_ = [layer.bias for layer in layers]
        self._linked = list(self.coefs_), list(self.intercepts_)

    def _synchronise(self) -> Sequential:
        """The network, with those weights that were set in coefs_ and intercepts_ since."""
        network = self.network_
        network._need_built()
        layers = denses(network)
        kernels, biases = [layer.kernel for layer in layers], [layer.bias for layer in layers]
        if not len(self.coefs_) == len(self.intercepts_) == len(layers):
            raise ValueError(
                f"coefs_, intercepts_: the network has {len(layers)} layers with weights, and the lists hold "
                f"{len(self.coefs_)} and {len(self.intercepts_)} arrays"
            )
        if any(a is not b for a, b in zip([*kernels, *biases], [*self.coefs_, *self.intercepts_], strict=True)):
            linked_coefs, linked_intercepts = self._linked
            coefs = _chosen(self.coefs_, linked_coefs, kernels)
            put(network, coefs, _chosen(self.intercepts_, linked_intercepts, biases))
            self._link()
        return network

    def __getstate__(self) -> dict[str, Any]:
        if "network_" in self.__dict__:
            self._synchronise()
        state = dict(super().__getstate__())
        if "network_" in state:  # which has these arrays
            for name in ("coefs_", "intercepts_", "_linked"):
                state.pop(name, None)
        return state

    def __setstate__(self, state: dict[str, Any]) -> None:
        super().__setstate__(state)
        if "network_" in self.__dict__:
            self._link()


def _chosen(held: Sequence[Any], linked: list[Any], current: list[Any]) -> list[Any]:
    """Arrays that were put in the place of the linked ones; else the network's, which may have moved."""
    return [own if array is before else array for array, before, own in zip(held, linked, current, strict=True)]


class Threads:
    """fastnn's number of threads while fits and predictions that ask for one run; it belongs to the process."""

    _lock = threading.Lock()
    _running = 0
    _before = 0

    @classmethod
    @contextlib.contextmanager
    def limited(cls, count: int | None) -> Iterator[None]:
        if count is None:
            yield
            return
        limits = False
        try:
            with cls._lock:
                before = fastnn.set_num_threads(count)
                if cls._running == 0:
                    cls._before = before
                limits = True
                cls._running += 1
            yield
        finally:
            if limits:
                with cls._lock:
                    cls._running -= 1
                    if cls._running == 0:
                        fastnn.set_num_threads(cls._before)


def outputs_of(network: Sequential, x: Any) -> FloatArray:
    """The network's output; sparse rows are made dense some at a time."""
    if not hasattr(x, "toarray"):
        return network(x) if len(x) <= FEW else network.predict(x, verbose=0)
    rows = max(1, DENSE_BYTES // (8 * max(1, x.shape[1])))
    parts = [network.predict(x[i : i + rows].toarray(), verbose=0) for i in range(0, x.shape[0], rows)]
    return cast("FloatArray", np.concatenate(parts))
