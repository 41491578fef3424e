"""Callbacks that watch no number: the rate's schedule, the log on file, the guard against NaN, the averaged weights."""

import io
import math
import os
from collections.abc import Callable, Iterable
from typing import Any, ClassVar

import numpy as np

from fastnn import _atomic, _validate
from fastnn._opening import open_text
from fastnn._progress import say
from fastnn.callbacks._base import Callback, Logs
from fastnn.errors import ArgumentError


class LearningRateScheduler(Callback):
    """Set the learning rate at the beginning of each epoch.

    Parameters
    ----------
    schedule : callable
        f(epoch, rate), or f(epoch), gives the rate of the epoch as a float; epochs are counted from 0.
    verbose : {0, 1}
        1: say what it sets.

    Notes
    -----
    The rate of the epoch goes into the logs as "learning_rate".

    Examples
    --------
    >>> from fastnn import optimizers
    >>> from fastnn.callbacks import LearningRateScheduler
    >>> class Model:
    ...     optimizer = optimizers.SGD(0.5)
    >>> scheduler = LearningRateScheduler(lambda epoch, rate: rate / 2)
    >>> scheduler.set_model(Model())
    >>> scheduler.on_epoch_begin(0)
    >>> scheduler.model.optimizer.learning_rate
    0.25
    """

    def __init__(self, schedule: Callable[..., float], verbose: int = 0) -> None:
        super().__init__()
        if not callable(schedule):
            raise ArgumentError(f"schedule: expected a function of the epoch and the rate, got {schedule!r}")
        self.schedule = schedule
        self.verbose = verbose
        self._takes_rate = self._accepts_two(schedule)
        self._epoch: int | None = None
        self._applied_epoch: int | None = None  # of the fit that is gone on with: its rate is set already

    @staticmethod
    def _accepts_two(schedule: Callable[..., float]) -> bool:
        import inspect

        try:
            inspect.signature(schedule).bind(0, 0.0)
        except TypeError:
            return False
        except ValueError:  # a builtin that does not tell
            return True
        return True

    def on_epoch_begin(self, epoch: int, logs: Logs = None) -> None:
        """Set the rate."""
        optimizer = self.model.optimizer
        if epoch == self._applied_epoch:
            return
        rate = self.schedule(epoch, float(optimizer.learning_rate)) if self._takes_rate else self.schedule(epoch)
        if not isinstance(rate, (float, np.floating)):
            raise ValueError(
                f"schedule: expected it to give a float for epoch {epoch}, got {rate!r}; return float(...)"
            )
        optimizer.learning_rate = float(rate)
        self._epoch = epoch
        if self.verbose > 0:
            say(f"Epoch {epoch + 1}: LearningRateScheduler sets the learning rate to {rate}")

    def on_epoch_end(self, epoch: int, logs: Logs = None) -> None:
        """Add the rate to the logs."""
        if logs is not None:
            logs["learning_rate"] = float(self.model.optimizer.learning_rate)

    def on_train_begin(self, logs: Logs = None) -> None:
        """Forget an earlier fit."""
        self._epoch = self._applied_epoch = None

    def get_state(self) -> dict[str, Any]:
        """The epoch that the rate was set for, so that a fit that goes on within it does not set it twice."""
        return {"epoch": self._epoch}

    def set_state(self, state: dict[str, Any]) -> None:
        """Put it back."""
        self._epoch = self._applied_epoch = state["epoch"]


class CSVLogger(Callback):
    """Write the logs of each epoch to a CSV file.

    Parameters
    ----------
    filename : str or path
    separator : str
    append : bool
        Add to a file that exists; its header is not repeated. Otherwise the file is written anew.

    Notes
    -----
    The columns are "epoch" and the names of the first epoch's logs in alphabetical order. Where there was no
    validation in the first epoch there are columns for it all the same; what an epoch has not is "NA". A row is in the
    file as soon as its epoch is over.

    Examples
    --------
    >>> import os, tempfile
    >>> import fastnn
    >>> from fastnn import callbacks, layers
    >>> model = fastnn.Sequential([layers.Dense(1)], seed=0)
    >>> model.compile("sgd", "mse")
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = os.path.join(folder, "log.csv")
    ...     history = model.fit([[0.0]], [[1.0]], epochs=2, verbose=0, callbacks=[callbacks.CSVLogger(path)])
    ...     with open(path) as file:
    ...         lines = file.read().splitlines()
    >>> lines[0], len(lines)
    ('epoch,loss,val_loss', 3)
    """

    def __init__(self, filename: str | os.PathLike[str], separator: str = ",", append: bool = False) -> None:
        super().__init__()
        if not isinstance(separator, str) or len(separator) != 1:
            raise ValueError(f"separator: expected a single character, got {separator!r}")
        self.filename = _validate.path(filename, "filename")
        self.sep = separator
        self.append = append
        self.append_header = True
        self.keys: list[str] | None = None
        self._begun = False
        self._stale = False  # what the file holds is of an earlier fit, to be written over
        self._position = 0

    def on_train_begin(self, logs: Logs = None) -> None:
        """Make the file: where that cannot be done, it is said before an epoch was spent."""
        if self.append and os.path.exists(self.filename):
            with open_text(self.filename) as file:
                self.append_header = not file.readline()
        with open_text(self.filename, "a") as file:
            size = os.fstat(file.fileno()).st_size
        # Only the first row wipes it: a fit that goes on with an earlier one will want what is there
        self._stale = not self.append
        self._position = 0 if self._stale else size
        self.keys = None
        self._begun = True

    @staticmethod
    def _text(value: Any) -> Any:
        if isinstance(value, str) or (isinstance(value, np.ndarray) and value.ndim == 0):
            return value
        if isinstance(value, Iterable):
            return f'"[{", ".join(map(str, value))}]"'
        return value

    def on_epoch_end(self, epoch: int, logs: Logs = None) -> None:
        """Write a row."""
        if not self._begun:
            raise RuntimeError("CSVLogger: on_epoch_end came before on_train_begin, which makes the file")
        logs = logs or {}
        import csv

        text = io.StringIO(newline="")
        writer = csv.writer(text, delimiter=self.sep)
        if self.keys is None:
            self.keys = sorted(logs)
            if not any(key.startswith("val_") for key in self.keys):
                self.keys += [f"val_{key}" for key in self.keys]
            if self.append_header:
                writer.writerow(["epoch", *self.keys])
        writer.writerow([epoch, *(self._text(logs.get(key, "NA")) for key in self.keys)])
        self._write(text.getvalue().encode())

    def _write(self, data: bytes) -> None:
        """Add to the file, or replace that of an earlier fit. It is not kept open: a fit may end with an error."""
        if self._stale:
            with _atomic.replacing(self.filename) as file:
                file.write(data)
            self._stale = False
            self._position = len(data)
            return
        with open_text(self.filename, "a") as log:
            log.write(data.decode())
            log.flush()
            self._position = os.fstat(log.fileno()).st_size

    def on_train_end(self, logs: Logs = None) -> None:
        """Wipe the file of an earlier fit if this one had no epoch."""
        if self._stale:
            self._write(b"")

    def get_state(self) -> dict[str, Any]:
        """The columns, and how long the file is."""
        return {"keys": self.keys, "append_header": self.append_header, "position": self._position}

    def set_state(self, state: dict[str, Any]) -> None:
        """Go on where the file was: rows that came after that will come again."""
        self.keys, self.append_header = state["keys"], state["append_header"]
        self._stale = False
        self._position = min(state["position"], os.path.getsize(self.filename))
        os.truncate(self.filename, self._position)


class TerminateOnNaN(Callback):
    """Stop training when the loss of the epoch so far is NaN or infinite.

    Parameters
    ----------
    raise_error : bool
        Raise RuntimeError instead, so that on_train_end is not called.

    Notes
    -----
    It looks at each batch, so that the model stops at each.

    Examples
    --------
    >>> from fastnn.callbacks import TerminateOnNaN
    >>> class Model:
    ...     stop_training = False
    >>> terminate = TerminateOnNaN()
    >>> terminate.set_model(Model())
    >>> terminate.on_train_batch_end(7, {"loss": float("nan")})
    Batch 7: the loss is nan, training stops
    >>> terminate.model.stop_training
    True
    """

    _takes_nan: ClassVar[bool] = True

    def __init__(self, raise_error: bool = False) -> None:
        super().__init__()
        self.raise_error = raise_error

    def on_batch_end(self, batch: int, logs: Logs = None) -> None:
        """Look at the loss."""
        loss = (logs or {}).get("loss")
        if loss is None or math.isfinite(loss):
            return
        if self.raise_error:
            raise RuntimeError(
                f"the loss is {loss} at batch {batch}; try a smaller learning rate, clipnorm, or data without outliers"
            )
        say(f"Batch {batch}: the loss is {loss}, training stops")
        self.model.stop_training = True


class SwapEMAWeights(Callback):
    """Evaluate, validate and predict with the moving averages of the weights, and train on with the weights.

    The optimizer must have been made with ``use_ema=True``.

    Parameters
    ----------
    swap_on_epoch : bool
        Swap at the end of each epoch, and back at the beginning of the next, so that callbacks that come later in the
        list, as ModelCheckpoint, see the averages.

    Examples
    --------
    >>> import fastnn
    >>> from fastnn import callbacks, layers, optimizers
    >>> x, y = [[0.0], [1.0]], [[1.0], [3.0]]
    >>> def last_loss(also):
    ...     model = fastnn.Sequential([layers.Dense(1)], seed=0)
    ...     model.compile(optimizers.SGD(0.1, use_ema=True, ema_momentum=0.9), "mse")
    ...     fitted = model.fit(x, y, epochs=3, verbose=0, validation_data=(x, y), callbacks=also)
    ...     return fitted.history["val_loss"][-1]
    >>> last_loss([]) < last_loss([callbacks.SwapEMAWeights()])  # so early, the averages lag behind
    True
    """

    def __init__(self, swap_on_epoch: bool = False) -> None:
        super().__init__()
        self.swap_on_epoch = swap_on_epoch
        self._averages_in_model = False

    def _swap(self, to_averages: bool) -> None:
        if self._averages_in_model == to_averages:
            return
        optimizer = self.model.optimizer
        if optimizer is None or not optimizer.use_ema:
            raise ValueError(
                "SwapEMAWeights: the optimizer keeps no averages; compile with one that has use_ema=True, "
                "as optimizers.Adam(use_ema=True)"
            )
        optimizer.swap_averages()
        self._averages_in_model = to_averages

    def on_epoch_begin(self, epoch: int, logs: Logs = None) -> None:
        """Back to the weights."""
        if self.swap_on_epoch:
            self._swap(False)

    def on_epoch_end(self, epoch: int, logs: Logs = None) -> None:
        """To the averages."""
        if not self.swap_on_epoch:
            return
        self._swap(True)
        if epoch == (self.params or {}).get("epochs", 0) - 1:
            self._keep_averages()

    def _keep_averages(self) -> None:
        """Make the averages what both are: the end of training sets the weights to the optimizer's averages, in whose
        place the swap has put the weights."""
        optimizer = self.model.optimizer
        for variable, average in zip(optimizer._trainable, optimizer._averages, strict=True):
            average[...] = variable
        self._averages_in_model = False

    def _settle(self) -> None:
        """Called when all have heard of an epoch's end: whether it was the last is known only now."""
        if self._averages_in_model and self.model.stop_training:
            self._keep_averages()

    def set_model(self, model: Any) -> None:
        """Called before a fit, with the model."""
        if model is not self._model:
            self._averages_in_model = False
        super().set_model(model)

    def on_train_begin(self, logs: Logs = None) -> None:
        """Back to the weights, where an earlier fit was interrupted."""
        self._swap(False)

    def on_test_begin(self, logs: Logs = None) -> None:
        """To the averages."""
        self._swap(True)

    def on_test_end(self, logs: Logs = None) -> None:
        """Back to the weights."""
        self._swap(False)

    def on_predict_begin(self, logs: Logs = None) -> None:
        """To the averages."""
        self._swap(True)

    def on_predict_end(self, logs: Logs = None) -> None:
        """Back to the weights."""
        self._swap(False)

    def get_state(self) -> dict[str, Any]:
        """Which of the two is in the model."""
        return {"averages_in_model": self._averages_in_model}

    def set_state(self, state: dict[str, Any]) -> None:
        """Put it back."""
        self._averages_in_model = state["averages_in_model"]
