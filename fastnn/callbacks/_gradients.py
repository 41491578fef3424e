"""GradientMonitor: how large the gradients of each layer are, how far its weights go, and which units take no part."""

import math
import time
from typing import Any

import numpy as np

from fastnn import _validate
from fastnn._validate import FloatArray
from fastnn.callbacks._base import Callback, Logs

__all__ = ["GradientMonitor"]

SAMPLES = 256  # how many, at most, units are looked at with
SHARE = 0.015  # of the time of a fit that records may take, where it is for them to say how often they come
LOOK = 2.5e-4  # seconds a layer that a first look at units takes, about
TINY, HUGE = 1e-25, 1e37  # outside of these squares in float32 may be lost


class GradientMonitor(Callback):
    """Record for each layer with weights the norms of its gradient and weights, and how far the weights have gone.

    Gradients that shrink from the last layer to the first vanish; ones that grow explode. An update ratio of about
    1e-3 a step is usual: far less and the layer hardly learns, far more and it does not settle. And record for each
    layer with an activation how many of its units are dead or saturated. A record takes some tenths of a millisecond,
    most of it for the units: where an epoch takes only a few, "auto" leaves out epochs and looks at units less often.

    Parameters
    ----------
    every : int or "auto", optional
        Record after every so many epochs; 1 if None. "auto": after the first and the last, and between them as often as
        takes 1.5 % of the time of the fit.
    verbose : {0, 1}
        1 prints a line a layer when something is recorded.

    Attributes
    ----------
    history : dict
        For each layer's name a dict of lists: ``"gradient"`` (the norm of the loss's gradient in the last step,
        without penalties), ``"weight"`` (the norm of the weights), ``"update"`` (the norm of their change since the
        record before, a step, divided by the norm of the weights).
    units : dict
        For each layer of relu's kind (relu, relu6, hard_silu) ``{"dead": [...]}``, the share of its units that are 0
        for every sample; for each of sigmoid's or tanh's kind ``{"saturated": [...]}``, the share of its outputs where
        the slope is below 5 % of the steepest. Over the first 256 samples of fit, or the last batch of an iterable.
        With "auto" nan where a record was made without a look at them, for want of time: in a fit of some 10 ms all.
    epochs : list of int
        When it was recorded.

    Examples
    --------
    >>> import numpy as np
    >>> import fastnn
    >>> monitor = fastnn.callbacks.GradientMonitor(every=1)
    >>> model = fastnn.Sequential([fastnn.layers.Dense(4, activation="tanh"), fastnn.layers.Dense(1)], seed=0)
    >>> model.compile("sgd", "mse")
    >>> x = np.linspace(-1, 1, 64)[:, None]
    >>> history = model.fit(x, x**2, epochs=3, verbose=0, callbacks=[monitor])
    >>> [len(figures["gradient"]) for figures in monitor.history.values()]
    [3, 3]
    >>> {name: list(shares) for name, shares in monitor.units.items()} == {model.layers[0].name: ["saturated"]}
    True
    """

    def __init__(self, every: int | str | None = "auto", verbose: int = 0) -> None:
        super().__init__()
        self.every: int | str
        if isinstance(every, str):
            self.every = _validate.choice(every, "every", ["auto"])
        else:
            self.every = 1 if every is None else _validate.integer(every, "every", minimum=1)
        self.verbose = _validate.integer(verbose, "verbose", minimum=0, maximum=1)
        self.history: dict[str, dict[str, list[float]]] = {}
        self.units: dict[str, dict[str, list[float]]] = {}
        self.epochs: list[int] = []
        self._before: FloatArray | None = None  # the model's parameters at the record before
        self._spans: dict[str, list[slice]] | None = None  # of them that belong to each layer and learn, in a fit
        self._steps = 0
        self._engines: dict[int, Any] = {}  # of single layers, made once a fit
        self._kinds: list[tuple[str, str]] | None = None  # of layers whose units are looked at, and for what
        self._begin, self._spent, self._longest, self._look = 0.0, 0.0, 0.0, 0.0  # seconds

    def on_train_begin(self, logs: Logs = None) -> None:
        """Begin anew, from the weights as they are."""
        self.history, self.units, self.epochs = {}, {}, []
        self._before, self._steps, self._engines, self._spans = None, 0, {}, None
        self._begin, self._longest, self._kinds = time.perf_counter(), 0.0, None
        if self.model.built:
            self._mark()
        self._spent = time.perf_counter() - self._begin

    def _mark(self) -> None:
        self._before = self.model.parameters.copy()
        self._steps = self.model.optimizer._steps

    def _learning(self) -> dict[str, list[slice]]:
        """Where the weights of each layer that learn lie among the parameters; neighbours as one."""
        spans: dict[str, list[slice]] = {}
        for v in self.model._variables():
            if self.model._learns(v):
                of_layer = spans.setdefault(v.layer.name, [])
                begin = of_layer.pop().start if of_layer and of_layer[-1].stop == v.offset else v.offset
                of_layer.append(slice(begin, v.offset + v.array.size))
        return spans

    def _epochs_ahead(self, epoch: int, most: int) -> int:
        """How many epochs may run before the next is due."""
        if not isinstance(self.every, str):
            return -(epoch + 1) % self.every + 1
        if not self.epochs:
            return 1
        now = time.perf_counter() - self._begin
        epoch_takes = (now - self._spent) / max(1, epoch - self.epochs[0])
        wait = (self._spent + self._longest) / SHARE - now
        return min(most, 1 + int(wait / epoch_takes)) if wait > 0 < epoch_takes else 1

    def on_epoch_end(self, epoch: int, logs: Logs = None) -> None:
        """Record, if it is time."""
        begin = time.perf_counter()
        if isinstance(self.every, str):
            due = self._is_last(epoch) or not self.epochs or self._affords(self._longest)
        else:
            due = (epoch + 1) % self.every == 0
        if not due:
            return
        spent = self._spent
        self._record(epoch)
        looked, self._spent = self._spent - spent, spent
        took = time.perf_counter() - begin
        self._spent, self._longest = self._spent + took, max(self._longest, took - looked)

    def _is_last(self, epoch: int) -> bool:
        return bool(self.model.stop_training) or epoch + 1 == (self.params or {}).get("epochs")

    def _affords(self, seconds: float) -> bool:
        """Whether there is time for so much more; always, where the user says how often."""
        spare = SHARE * (time.perf_counter() - self._begin) - self._spent
        return not isinstance(self.every, str) or seconds <= spare

    def _record(self, epoch: int) -> None:
        model = self.model
        spans = self._spans = self._spans or self._learning()
        now, gradients = model.parameters, model.grads
        steps = max(1, model.optimizer._steps - self._steps)
        sums: dict[str, list[float]] = {}
        with np.errstate(all="ignore"):
            change = now - (now if self._before is None else self._before)  # None: the first data built the model
            for name, of_layer in spans.items():
                sums[name] = [sum(_square(flat[span]) for span in of_layer) for flat in (gradients, now, change)]
        for name, (gradient, weight, change) in sums.items():
            figures = self.history.setdefault(name, {"gradient": [], "weight": [], "update": []})
            figures["gradient"].append(gradient**0.5)
            figures["weight"].append(weight**0.5)
            figures["update"].append((change / weight) ** 0.5 / steps if weight else 0.0)
            if self.verbose:
                last = {key: values[-1] for key, values in figures.items()}
                print(f"{name}: gradient {last['gradient']:.3g}, update a step {last['update']:.3g} of the weights")
        self._record_units()
        self.epochs.append(epoch)
        if not self._is_last(epoch):
            self._mark()

    def _record_units(self) -> None:
        """How many units of each layer are dead or saturated."""
        from fastnn.diagnostics._flow import dead_share, is_quiet, run_layers, saturated_share, saturates

        model = self.model
        trainer = model._need_compiled().trainers[0]
        if trainer is None:
            return
        if self._kinds is None:
            flat = model._flat()
            kinds = [(layer.name, "dead" if is_quiet(layer) else "saturated" if saturates(layer) else "")
                     for layer in flat]  # fmt: skip
            self._kinds, self._look = [one for one in kinds if one[1]], LOOK * len(flat)
        if not self._kinds:
            return
        begin = time.perf_counter()
        if not self._affords(self._longest + self._look):
            for name, kind in self._kinds:
                self.units.setdefault(name, {}).setdefault(kind, []).append(math.nan)
            return

        def visit(layer: Any, _: Any, y: Any) -> None:
            for what, share in (("dead", dead_share(layer, y)), ("saturated", saturated_share(layer, y))):
                if share is None:
                    continue
                self.units.setdefault(layer.name, {}).setdefault(what, []).append(share)
                if self.verbose:
                    print(f"{layer.name}: {share:.0%} of the {'units' if what == 'dead' else 'outputs'} {what}")

        run_layers(model, model._stack, trainer.batches.x[:SAMPLES], False, visit, self._engines)
        self._look = time.perf_counter() - begin
        self._spent += self._look

    def on_train_end(self, logs: Logs = None) -> None:
        """Let go of what it worked with."""
        self._engines, self._spans = {}, None

    def get_state(self) -> dict[str, Any]:
        """What was recorded, for a fit that is gone on with."""
        return {
            "history": self.history, "units": self.units, "epochs": self.epochs, "before": self._before,
            "steps": self._steps,
        }  # fmt: skip

    def set_state(self, state: dict[str, Any]) -> None:
        """Go on from there."""
        self.history, self.units = state["history"], state.get("units", {})
        self.epochs = list(state["epochs"])
        self._before, self._steps = state["before"], int(state["steps"])


def _square(array: FloatArray) -> float:
    """The sum of the squares: in the array's own precision, which is quick, unless that is too narrow for them."""
    quick = float(np.vdot(array, array))
    if TINY < quick < HUGE:
        return quick
    wide = array.astype(np.float64)
    return float(np.vdot(wide, wide))
