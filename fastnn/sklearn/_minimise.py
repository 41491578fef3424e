"""L-BFGS over all samples at once, by SciPy, with losses and gradients from the engine."""

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from fastnn import Sequential
from fastnn.sklearn._descent import Samples
from fastnn.sklearn._network import denses
from fastnn.sklearn._objectives import Objective

ROWS = 4096  # samples that a pass takes at a time

Doubles = npt.NDArray[np.float64]


class Ending(NamedTuple):
    """How the search ended."""

    loss: float
    iterations: int
    converged: bool
    message: str


class Cost:
    """The loss of all samples and its gradient, as functions of the weights as one flat array."""

    def __init__(self, network: Sequential, objective: Objective, samples: Samples, alpha: float) -> None:
        self.network, self.objective, self.samples, self.alpha = network, objective, samples, alpha
        self.total = float(samples.n if samples.weights is None else samples.weights.sum())

    def __call__(self, flat: Doubles) -> tuple[float, Doubles]:
        network = self.network
        network.parameters[...] = flat
        trainer = network._need_compiled().trainer()
        loss, gradient = 0.0, np.zeros(flat.size)
        for batches in self.samples.singles():
            share = float(batches.n if batches.weights is None else batches.weights.sum()) / self.total
            if share:
                trainer.bind(batches, True, 0)
                loss += share * trainer.gradients(False)
                gradient += share * network.grads
        trainer.unbind()
        for layer in denses(network):
            place = layer._variables[0]
            kernel = slice(place.offset, place.offset + layer.kernel.size)
            gradient[kernel] += self.alpha / self.total * flat[kernel]
        return loss + 0.5 * self.alpha / self.total * squares(network), gradient

    def reported(self, loss: float) -> float:
        """The loss as scikit-learn reports it."""
        if self.objective.reports_mean and self.objective.factor > 1:
            penalty = 0.5 * self.alpha / self.total * squares(self.network)
            loss = (loss - penalty) / self.objective.factor + penalty
        return loss


def squares(network: Sequential) -> float:
    """The sum of the squares of all kernels."""
    total = 0.0
    for layer in denses(network):
        flat = layer.kernel.reshape(-1).astype(np.float64, copy=False)
        total += float(flat @ flat)
    return total


def minimise(cost: Cost, max_iter: int, max_fun: int, tol: float, heard: Callable[[int, float], None] | None) -> Ending:
    """Leave the network at the best weights that were found. `heard` is told of each iteration's loss."""
    from scipy.optimize import minimize

    network = cost.network
    count = 0

    def after(intermediate_result: Any) -> None:
        nonlocal count
        count += 1
        assert heard is not None
        heard(count, float(intermediate_result.fun))

    result = minimize(
        cost,
        network.parameters.astype(np.float64),
        method="L-BFGS-B",
        jac=True,
        options={"maxfun": max_fun, "maxiter": max_iter, "gtol": tol},
        callback=None if heard is None else after,
    )
    network.parameters[...] = result.x
    return Ending(
        cost.reported(float(result.fun)), min(int(result.nit), max_iter), int(result.status) == 0, str(result.message)
    )
