"""L-BFGS, by SciPy."""

from collections.abc import Callable, Iterable, Sequence
from typing import Any, ClassVar, NamedTuple

import numpy as np

from fastnn import _validate
from fastnn._validate import FloatArray
from fastnn.optimizers._parts import Check, between, checked_variables, whole
from fastnn.optimizers.base import Optimizer

__all__ = ["LBFGS", "Minimum"]


class Minimum(NamedTuple):
    """How a minimization ended.

    loss : the function's value at the variables as they now are; iterations : line searches; evaluations : calls of the
    function; converged : whether a tolerance was met; message : why it stopped, in SciPy's words.
    """

    loss: float
    iterations: int
    evaluations: int
    converged: bool
    message: str


class LBFGS(Optimizer):
    """Limited-memory BFGS with a line search, for small networks and full batches; needs SciPy, which it imports when
    used.

    It is not a rule for one step, so that it has no `apply`: `minimize` takes the function, calls it as often as it
    wants, and leaves the variables at the best point.

    Parameters
    ----------
    max_iterations : int
        The most line searches.
    history : int
        How many steps and gradients the curvature is estimated from.
    gradient_tolerance : float
        Stop when no element of the gradient is larger.
    loss_tolerance : float
        Stop when an iteration lowers the loss by less than this share of it.
    name : str, optional

    Examples
    --------
    >>> import numpy as np
    >>> w = np.array([3.0, -1.0])
    >>> def bowl(variables):
    ...     return float(np.sum((variables[0] - 1.0) ** 2)), [2.0 * (variables[0] - 1.0)]
    >>> result = LBFGS().minimize(bowl, [w])
    >>> w.round(6), result.converged
    (array([1., 1.]), True)
    """

    _checks: ClassVar[dict[str, Check]] = Optimizer._checks | {
        "max_iterations": whole(1),
        "history": whole(1),
        "gradient_tolerance": between(minimum=0),
        "loss_tolerance": between(minimum=0),
    }
    _options = ("max_iterations", "history", "gradient_tolerance", "loss_tolerance")

    def __init__(
        self,
        max_iterations: int = 200,
        history: int = 10,
        gradient_tolerance: float = 1e-5,
        loss_tolerance: float = 2.2e-9,
        name: str | None = None,
    ) -> None:
        super().__init__(1.0, name=name)
        self.max_iterations = max_iterations
        self.history = history
        self.gradient_tolerance = gradient_tolerance
        self.loss_tolerance = loss_tolerance

    def apply(self, grads: Iterable[Any], trainable_variables: Iterable[FloatArray] | None = None) -> None:
        """Raises TypeError: L-BFGS needs the function, not one gradient of it."""
        raise TypeError("LBFGS has no single step; call minimize(function, variables)")

    def minimize(
        self,
        function: Callable[[list[FloatArray]], tuple[float, Sequence[Any]]],
        variables: Iterable[FloatArray],
    ) -> Minimum:
        """Change the variables, in place, until the function has a minimum.

        Parameters
        ----------
        function : callable
            Takes the list of variables, returns the loss and a list of its gradients.
        variables : list of ndarray
            Those of float32 lose the digits beyond theirs between one call and the next. When the function raises,
            they are as before.
        """
        from scipy.optimize import minimize  # type: ignore[import-untyped,unused-ignore]

        arrays = checked_variables(list(variables))
        first = [v.copy() for v in arrays]

        def put(flat: Any) -> None:
            start = 0
            for v in arrays:
                v[...] = flat[start : start + v.size].reshape(v.shape)
                start += v.size

        def evaluate(flat: Any) -> tuple[float, Any]:
            put(flat)
            loss, gradients = function(list(arrays))
            gradients = list(gradients)
            if len(gradients) != len(arrays):
                raise ValueError(f"function: it gave {len(gradients)} gradients for {len(arrays)} variables")
            for i, (g, v) in enumerate(zip(gradients, arrays, strict=True)):
                _validate.same_shape(_validate.numbers(g, f"gradients[{i}]"), f"gradients[{i}]", v, "its variable")
            return float(loss), _flat(gradients)

        try:
            result = minimize(
                evaluate,
                _flat(arrays),
                jac=True,
                method="L-BFGS-B",
                options={
                    "maxiter": self.max_iterations,
                    "maxcor": self.history,
                    "gtol": self.gradient_tolerance,
                    "ftol": self.loss_tolerance,
                },
            )
        except BaseException:
            for v, old in zip(arrays, first, strict=True):
                v[...] = old
            raise
        put(result.x)
        message = result.message.decode() if isinstance(result.message, bytes) else str(result.message)
        return Minimum(float(result.fun), int(result.nit), int(result.nfev), bool(result.success), message)

    def get_config(self) -> dict[str, Any]:
        return {"name": self.name} | {option: getattr(self, option) for option in self._options}


def _flat(arrays: Sequence[Any]) -> Any:
    return np.concatenate([np.asarray(a, np.float64).reshape(-1) for a in arrays] or [np.zeros(0)])
