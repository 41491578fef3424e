"""Callbacks that watch a number of the logs get better or not."""

import os
from typing import Any

import numpy as np

from fastnn import _validate
from fastnn._progress import say
from fastnn._warnings import warn
from fastnn.callbacks._base import Callback, Logs


def _all_metrics(metrics: Any) -> list[Any]:
    """Metrics, those within containers too."""
    result = []
    for metric in metrics or ():
        inner = getattr(metric, "metrics", None)
        result.extend(_all_metrics(inner) if isinstance(inner, (list, tuple)) else [metric])
    return result


class MonitorCallback(Callback):
    """The base of those that compare a monitored value with the best so far.

    Parameters
    ----------
    monitor : str
        Its name in the logs.
    mode : {"auto", "min", "max"}
        Whether less or more is better. "auto": less, for a loss; for a metric, what the metric says.
    baseline : float, optional
        The first "best".
    min_delta : float
        By how much a value must be better to count; its sign does not matter.
    """

    def __init__(
        self, monitor: str = "val_loss", mode: str = "auto", baseline: float | None = None, min_delta: float = 0
    ) -> None:
        super().__init__()
        if mode not in ("auto", "min", "max"):
            warn(f"{type(self).__name__}: mode {mode!r} is none of 'auto', 'min' and 'max'; 'auto' is taken")
            mode = "auto"
        self.monitor = monitor
        self.mode = mode
        self.best = baseline
        self.min_delta = abs(_validate.number(min_delta, "min_delta"))
        self._more_is_better: bool | None = None

    def _find_direction(self, logs: Logs = None) -> bool:
        """Whether more is better: known only once the model's metrics are built."""
        if self._more_is_better is None:
            name = self.monitor.removeprefix("val_")
            more = {"min": False, "max": True}.get(self.mode)
            if self.mode == "auto":
                more = False if name == "loss" else None
                for metric in _all_metrics(getattr(self.model, "metrics", ())):
                    direction = getattr(metric, "_direction", None)
                    if getattr(metric, "name", None) == name and direction is not None:
                        more = direction == "up"
            if more is None and logs is not None and self.monitor not in logs:
                validated = any(one.startswith("val_") for one in logs)
                unvalidated = "" if validated or name == self.monitor else ", and pass validation data to fit"
                raise ValueError(
                    f"{type(self).__name__}: monitor={self.monitor!r} is not in the logs, which have "
                    f"{', '.join(logs) or 'nothing'}; monitor one of those, or add {name!r} to the metrics of "
                    f"compile{unvalidated}"
                )
            if more is None:
                raise ValueError(
                    f"{type(self).__name__}: monitor={self.monitor!r} does not tell whether more or less of it is "
                    "better; pass mode='max' or mode='min'"
                )
            self._more_is_better = more
        return self._more_is_better

    def _is_improvement(self, value: Any, reference: Any) -> bool:
        if reference is None:
            return True
        if self._find_direction():
            return bool(value - self.min_delta > reference)
        return bool(value + self.min_delta < reference)


class EarlyStopping(MonitorCallback):
    """Stop training when a monitored value no longer gets better.

    Parameters
    ----------
    monitor : str
        Its name in the logs.
    min_delta : float
        By how much a value must be better to count as an improvement.
    patience : int
        After how many epochs in a row without one to stop.
    verbose : {0, 1}
        1: say when it stops, and which weights it restores.
    mode : {"auto", "min", "max"}
        Whether less or more is better. "auto": less, for a loss; for a metric, what the metric says.
    baseline : float, optional
        Stop as well if no value gets better than this.
    restore_best_weights : bool
        At the end of training, set the weights to those of the best epoch.
    start_from_epoch : int
        Epochs before this one are not watched.

    Attributes
    ----------
    best, best_epoch, best_weights
        The best value, its epoch, and its weights if they are to be restored.
    wait : int
        Epochs since the last improvement.
    stopped_epoch : int
        The epoch in which it stopped training, or 0.

    Examples
    --------
    >>> from fastnn.callbacks import EarlyStopping
    >>> class Model:
    ...     stop_training = False
    >>> stopping = EarlyStopping(monitor="loss", patience=2)
    >>> stopping.set_model(Model())
    >>> stopping.on_train_begin()
    >>> for epoch, loss in enumerate([0.5, 0.4, 0.45, 0.41]):
    ...     stopping.on_epoch_end(epoch, {"loss": loss})
    >>> stopping.model.stop_training, stopping.best, stopping.best_epoch
    (True, 0.4, 1)
    """

    def __init__(
        self,
        monitor: str = "val_loss",
        min_delta: float = 0,
        patience: int = 0,
        verbose: int = 0,
        mode: str = "auto",
        baseline: float | None = None,
        restore_best_weights: bool = False,
        start_from_epoch: int = 0,
    ) -> None:
        super().__init__(monitor, mode, min_delta=min_delta)
        self.patience = _validate.integer(patience, "patience", minimum=0)
        self.verbose = verbose
        self.baseline = baseline
        self.restore_best_weights = restore_best_weights
        self.start_from_epoch = _validate.integer(start_from_epoch, "start_from_epoch", minimum=0)
        self._reset()

    def _reset(self) -> None:
        self.wait = 0
        self.stopped_epoch = 0
        self.best = None
        self.best_epoch = 0
        self.best_weights: list[Any] | None = None

    def on_train_begin(self, logs: Logs = None) -> None:
        """Forget an earlier fit."""
        self._reset()

    def on_epoch_end(self, epoch: int, logs: Logs = None) -> None:
        """Compare, and stop if patience is over."""
        self._find_direction(logs or {})
        current = self.get_monitor_value(logs)
        if current is None or epoch < self.start_from_epoch:
            return
        if self.restore_best_weights and self.best_weights is None:
            self.best_weights = self.model.get_weights()
            self.best_epoch = epoch
        self.wait += 1
        if self._is_improvement(current, self.best):
            self.best, self.best_epoch = current, epoch
            if self.restore_best_weights:
                self.best_weights = self.model.get_weights()
            if self.baseline is None or self._is_improvement(current, self.baseline):
                self.wait = 0
        elif self.wait >= self.patience and epoch > 0:
            self.stopped_epoch = epoch
            self.model.stop_training = True

    def on_train_end(self, logs: Logs = None) -> None:
        """Restore the best weights, if that was asked for."""
        if self.stopped_epoch > 0 and self.verbose > 0:
            say(f"Epoch {self.stopped_epoch + 1}: early stopping")
        if self.restore_best_weights and self.best_weights is not None:
            if self.verbose > 0:
                say(f"Restoring the weights of the best epoch, {self.best_epoch + 1}")
            self.model.set_weights(self.best_weights)

    def get_monitor_value(self, logs: Logs) -> Any:
        """The monitored value; None, with a warning, where the logs do not have it."""
        value = (logs or {}).get(self.monitor)
        if value is None:
            warn(f"EarlyStopping: the logs have no {self.monitor!r} to monitor; they have {', '.join(logs or {})}")
        return value

    def get_state(self) -> dict[str, Any]:
        """The best so far, and for how long."""
        names = ("wait", "stopped_epoch", "best", "best_epoch", "best_weights")
        return {name: getattr(self, name) for name in names}

    def set_state(self, state: dict[str, Any]) -> None:
        """Put them back."""
        for name, value in state.items():
            setattr(self, name, value)


class ReduceLROnPlateau(MonitorCallback):
    """Multiply the learning rate by a factor when a monitored value no longer gets better.

    Parameters
    ----------
    monitor : str
        Its name in the logs.
    factor : float
        Less than 1.
    patience : int
        After how many epochs in a row without an improvement to reduce.
    verbose : {0, 1}
        1: say when it reduces.
    mode : {"auto", "min", "max"}
        Whether less or more is better. "auto": less, for a loss; for a metric, what the metric says.
    min_delta : float
        By how much a value must be better to count as an improvement.
    cooldown : int
        For how many epochs after a reduction not to count.
    min_lr : float
        The least rate.

    Notes
    -----
    The rate of the epoch goes into the logs as "learning_rate". An optimizer that was made with a schedule has no rate
    that could be reduced, and raises TypeError.

    Examples
    --------
    >>> from fastnn import optimizers
    >>> from fastnn.callbacks import ReduceLROnPlateau
    >>> class Model:
    ...     optimizer = optimizers.SGD(0.5)
    >>> reduce = ReduceLROnPlateau(monitor="loss", factor=0.5, patience=1)
    >>> reduce.set_model(Model())
    >>> reduce.on_train_begin()
    >>> for epoch in range(3):
    ...     reduce.on_epoch_end(epoch, {"loss": 1.0})
    >>> reduce.model.optimizer.learning_rate
    0.125
    """

    def __init__(
        self,
        monitor: str = "val_loss",
        factor: float = 0.1,
        patience: int = 10,
        verbose: int = 0,
        mode: str = "auto",
        min_delta: float = 1e-4,
        cooldown: int = 0,
        min_lr: float = 0.0,
    ) -> None:
        super().__init__(monitor, mode, min_delta=min_delta)
        self.factor = _validate.number(factor, "factor", minimum=0, below=1)
        self.patience = _validate.integer(patience, "patience", minimum=0)
        self.verbose = verbose
        self.cooldown = _validate.integer(cooldown, "cooldown", minimum=0)
        self.min_lr = _validate.number(min_lr, "min_lr", minimum=0)
        self._reset()

    def _reset(self) -> None:
        self.best = None
        self.cooldown_counter = 0
        self.wait = 0

    def in_cooldown(self) -> bool:
        """Whether epochs are not counted, after a reduction."""
        return self.cooldown_counter > 0

    def on_train_begin(self, logs: Logs = None) -> None:
        """Forget an earlier fit."""
        self._reset()

    def on_epoch_end(self, epoch: int, logs: Logs = None) -> None:
        """Compare, and reduce the rate if patience is over."""
        logs = {} if logs is None else logs
        self._find_direction(logs)
        optimizer = self.model.optimizer
        rate = logs["learning_rate"] = float(optimizer.learning_rate)
        current = logs.get(self.monitor)
        if current is None:
            warn(f"ReduceLROnPlateau: the logs have no {self.monitor!r} to monitor; they have {', '.join(logs)}")
            return
        if self.in_cooldown():
            self.cooldown_counter -= 1
            self.wait = 0
        if self._is_improvement(current, self.best):
            self.best = current
            self.wait = 0
        elif not self.in_cooldown():
            self.wait += 1
            if self.wait >= self.patience and rate > self.min_lr:
                reduced = max(rate * self.factor, self.min_lr)
                optimizer.learning_rate = reduced
                if self.verbose > 0:
                    say(f"Epoch {epoch + 1}: ReduceLROnPlateau reduces the learning rate to {reduced}")
                self.cooldown_counter = self.cooldown
                self.wait = 0

    def get_state(self) -> dict[str, Any]:
        """The best so far, and what is counted."""
        return {"best": self.best, "wait": self.wait, "cooldown_counter": self.cooldown_counter}

    def set_state(self, state: dict[str, Any]) -> None:
        """Put them back."""
        self.best, self.wait, self.cooldown_counter = state["best"], state["wait"], state["cooldown_counter"]


class BatchCounter:
    """Tells when so many batches have passed, also where not every batch is told of."""

    def __init__(self, save_freq: Any) -> None:
        if isinstance(save_freq, str) and save_freq == "epoch":
            self.every = None
        else:
            try:
                self.every = _validate.integer(save_freq, "save_freq", minimum=1)
            except (TypeError, ValueError):
                raise ValueError(
                    f"save_freq: expected 'epoch' or a whole number of batches >= 1, got {save_freq!r}"
                ) from None
        self.seen = 0
        self.last: int | None = None

    def passed(self, batch: int) -> bool:
        """Whether it is time, after a batch."""
        if self.every is None:
            return False
        self.seen += batch + 1 if self.last is None or batch <= self.last else batch - self.last
        self.last = batch
        if self.seen < self.every:
            return False
        self.seen = 0
        return True

    def ahead(self) -> int:
        """After how many batches it will be time."""
        return 1 if self.every is None else self.every - self.seen


class ModelCheckpoint(MonitorCallback):
    """Save the model, or its weights, in the course of training.

    Parameters
    ----------
    filepath : str or path
        Where to. It may hold ``{epoch}``, ``{batch}`` and names of the logs, with formats, as
        ``"run/{epoch:02d}-{val_loss:.2f}.keras"``; epochs and batches are counted from 1. Folders are made.
    monitor : str
        The name in the logs that save_best_only looks at.
    verbose : {0, 1}
        1: say when it saves.
    save_best_only : bool
        Save only if the monitored value is better than ever before.
    save_weights_only : bool
        Call model.save_weights instead of model.save.
    mode : {"auto", "min", "max"}
        Whether less or more is better. "auto": less, for a loss; for a metric, what the metric says.
    save_freq : "epoch" or int
        Save at the end of each epoch, or every so many batches.
    initial_value_threshold : float, optional
        What the first value that is saved must be better than, with save_best_only.

    Examples
    --------
    >>> import os, tempfile
    >>> import fastnn
    >>> from fastnn import callbacks, layers
    >>> model = fastnn.Sequential([layers.Dense(1)], seed=0)
    >>> model.compile("sgd", "mse")
    >>> x, y = [[0.0], [1.0]], [[1.0], [3.0]]
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     keep = callbacks.ModelCheckpoint(os.path.join(folder, "best.fastnn"), monitor="loss", save_best_only=True)
    ...     history = model.fit(x, y, epochs=3, verbose=0, callbacks=[keep])
    ...     best = fastnn.load(os.path.join(folder, "best.fastnn"))
    >>> bool((best(x) == model(x)).all())  # the loss fell in each epoch
    True
    """

    def __init__(
        self,
        filepath: str | os.PathLike[str],
        monitor: str = "val_loss",
        verbose: int = 0,
        save_best_only: bool = False,
        save_weights_only: bool = False,
        mode: str = "auto",
        save_freq: str | int = "epoch",
        initial_value_threshold: float | None = None,
    ) -> None:
        super().__init__(monitor, mode, initial_value_threshold)
        self.verbose = verbose
        self.filepath = _validate.path(filepath, "filepath")
        self.save_best_only = save_best_only
        self.save_weights_only = save_weights_only
        self.save_freq = save_freq
        self._counter = BatchCounter(save_freq)
        self._current_epoch = 0

    def _listens(self, hook: str) -> bool:
        if hook == "on_train_batch_end" and type(self).on_train_batch_end is ModelCheckpoint.on_train_batch_end:
            return self._counter.every is not None
        return super()._listens(hook)

    def _batches_ahead(self) -> int:
        own = type(self).on_train_batch_end is ModelCheckpoint.on_train_batch_end
        return self._counter.ahead() if own else 1

    def on_epoch_begin(self, epoch: int, logs: Logs = None) -> None:
        """Note which epoch it is, for the path."""
        self._current_epoch = epoch

    def on_train_batch_end(self, batch: int, logs: Logs = None) -> None:
        """Save, if save_freq is a number of batches and they have passed."""
        if self._counter.passed(batch):
            self._save(self._current_epoch, batch, logs or {})

    def on_epoch_end(self, epoch: int, logs: Logs = None) -> None:
        """Save, if save_freq is "epoch"."""
        self._counter.last = None
        if self.save_best_only:
            self._find_direction(logs or {})
        if self._counter.every is None:
            self._save(epoch, None, logs or {})

    def _path(self, epoch: int, batch: int | None, logs: dict[str, Any]) -> str:
        names = {"epoch": epoch + 1, **({} if batch is None else {"batch": batch + 1}), **logs}
        try:
            return self.filepath.format(**names)
        except (LookupError, ValueError, TypeError) as error:
            raise type(error)(
                f"filepath: {self.filepath!r} cannot be filled in ({error}); the names that it may hold are "
                f"{', '.join(names)}"
            ) from None

    def _should_save(self, epoch: int, logs: dict[str, Any], path: str) -> bool:
        where = f"Epoch {epoch + 1}: "
        if not self.save_best_only:
            if self.verbose > 0:
                say(f"{where}saving the model to {path}")
            return True
        current = logs.get(self.monitor)
        if current is None:
            warn(
                f"ModelCheckpoint: the logs have no {self.monitor!r} to tell which is best, so that every one is saved"
                f"; they have {', '.join(logs)}"
            )
            return True
        if np.ndim(current) > 0:
            warn(
                f"ModelCheckpoint: {self.monitor!r} is an array, which does not tell which is best; every one is saved"
            )
            return True
        best = "None" if self.best is None else f"{self.best:.5f}"
        if not self._is_improvement(current, self.best):
            if self.verbose > 0:
                say(f"{where}{self.monitor} did not improve from {best}")
            return False
        if self.verbose > 0:
            say(f"{where}{self.monitor} improved from {best} to {current:.5f}, saving the model to {path}")
        self.best = current
        return True

    def _save(self, epoch: int, batch: int | None, logs: dict[str, Any]) -> None:
        path = self._path(epoch, batch, logs)
        if not self._should_save(epoch, logs, path):
            return
        if os.path.isdir(path):
            raise IsADirectoryError(f"filepath: {path!r} is a folder; give the path of a file")
        folder = os.path.dirname(path)
        if folder:
            os.makedirs(folder, exist_ok=True)
        if self.save_weights_only:
            self.model.save_weights(path)
        else:
            self.model.save(path)

    def get_state(self) -> dict[str, Any]:
        """The best so far, and the batches since the last save."""
        return {
            "best": self.best,
            "epoch": self._current_epoch,
            "batches_seen": self._counter.seen,
            "last_batch": self._counter.last,
        }

    def set_state(self, state: dict[str, Any]) -> None:
        """Put them back."""
        self.best, self._current_epoch = state["best"], state["epoch"]
        self._counter.seen, self._counter.last = state["batches_seen"], state["last_batch"]
