"""GradientMonitor: how large the gradients of each layer are, and how far its weights go."""

from typing import Any

import numpy as np

from fastnn import _validate
from fastnn.callbacks._base import Callback, Logs

__all__ = ["GradientMonitor"]


class GradientMonitor(Callback):
    """Record for each layer with weights the norms of its gradient and weights, and how far the weights have gone.

    Gradients that shrink from the last layer to the first vanish; ones that grow explode. An update ratio of about
    1e-3 a step is usual: far less and the layer hardly learns, far more and it does not settle.

    Parameters
    ----------
    every : int, optional
        Record after every so many epochs; 1 if None.
    verbose : {0, 1}
        1 prints a line a layer when something is recorded.

    Attributes
    ----------
    history : dict
        For each layer's name a dict of lists: ``"gradient"`` (the norm of the loss's gradient in the last step,
        without penalties), ``"weight"`` (the norm of the weights), ``"update"`` (the norm of their change since the
        record before, a step, divided by the norm of the weights).
    epochs : list of int
        When it was recorded.

    Examples
    --------
    >>> import numpy as np
    >>> import fastnn
    >>> monitor = fastnn.callbacks.GradientMonitor()
    >>> model = fastnn.Sequential([fastnn.layers.Dense(4, activation="tanh"), fastnn.layers.Dense(1)], seed=0)
    >>> model.compile("sgd", "mse")
    >>> x = np.linspace(-1, 1, 64)[:, None]
    >>> history = model.fit(x, x**2, epochs=3, verbose=0, callbacks=[monitor])
    >>> [len(figures["gradient"]) for figures in monitor.history.values()]
    [3, 3]
    """

    def __init__(self, every: int | None = None, verbose: int = 0) -> None:
        super().__init__()
        self.every = 1 if every is None else _validate.integer(every, "every", minimum=1)
        self.verbose = _validate.integer(verbose, "verbose", minimum=0, maximum=1)
        self.history: dict[str, dict[str, list[float]]] = {}
        self.epochs: list[int] = []
        self._before: list[Any] = []
        self._steps = 0

    def on_train_begin(self, logs: Logs = None) -> None:
        """Begin anew, from the weights as they are."""
        self.history, self.epochs = {}, []
        self._before, self._steps = [], 0
        if self.model.built:
            self._mark()

    def _mark(self) -> None:
        self._before = [v.array.copy() for v in self._learning()]
        self._steps = self.model.optimizer._steps

    def _learning(self) -> list[Any]:
        return [v for v in self.model._variables() if self.model._learns(v)]

    def on_epoch_end(self, epoch: int, logs: Logs = None) -> None:
        """Record, if it is time."""
        if (epoch + 1) % self.every:
            return
        learning = self._learning()
        if len(self._before) != len(learning):  # the first data built the model
            self._before = [v.array for v in learning]
        steps = max(1, self.model.optimizer._steps - self._steps)
        sums: dict[str, list[float]] = {}
        for v, before in zip(learning, self._before, strict=True):
            w = v.array.astype(np.float64)
            parts = (self.model._gradient_of(v), w, w - before)
            row = sums.setdefault(v.layer.name, [0.0, 0.0, 0.0])
            for i, part in enumerate(parts):
                row[i] += float(np.vdot(part.astype(np.float64), part))
        for name, (gradient, weight, change) in sums.items():
            figures = self.history.setdefault(name, {"gradient": [], "weight": [], "update": []})
            figures["gradient"].append(gradient**0.5)
            figures["weight"].append(weight**0.5)
            figures["update"].append((change / weight) ** 0.5 / steps if weight else 0.0)
            if self.verbose:
                last = {key: values[-1] for key, values in figures.items()}
                print(f"{name}: gradient {last['gradient']:.3g}, update a step {last['update']:.3g} of the weights")
        self.epochs.append(epoch)
        self._mark()

    def get_state(self) -> dict[str, Any]:
        """What was recorded, for a fit that is gone on with."""
        return {"history": self.history, "epochs": self.epochs, "before": self._before, "steps": self._steps}

    def set_state(self, state: dict[str, Any]) -> None:
        """Go on from there."""
        self.history, self.epochs = state["history"], list(state["epochs"])
        self._before, self._steps = list(state["before"]), int(state["steps"])
