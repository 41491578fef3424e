"""The list that calls callbacks: which of them want to hear of what, and how often."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

import numpy as np

from fastnn.callbacks._base import HOOKS, Callback, History, Logs
from fastnn.errors import ArgumentError

_EPOCH_HOOKS = ("on_epoch_begin", "on_epoch_end")
_TRAIN_BATCH_HOOKS = ("on_train_batch_begin", "on_train_batch_end", "on_batch_begin", "on_batch_end")


def _flat(callbacks: Any) -> Iterator[Any]:
    """Callbacks out of nested lists."""
    if callbacks is None:
        return
    if isinstance(callbacks, (list, tuple)):
        for item in callbacks:
            yield from _flat(item)
    else:
        yield callbacks


def _checked(callback: Any, place: int) -> Any:
    """Anything with all hooks will do, so that a callback made for Keras is taken where it needs nothing of Keras."""
    if isinstance(callback, type):
        raise ArgumentError(
            f"callbacks[{place}]: expected a callback, got the class {callback.__name__}; make one: "
            f"{callback.__name__}(...)"
        )
    missing = [name for name in (*HOOKS, "set_model", "set_params") if not hasattr(callback, name)]
    if missing:
        raise ArgumentError(
            f"callbacks[{place}]: expected a callback, got {callback!r}, which has no {missing[0]}; "
            "derive its class from fastnn.callbacks.Callback"
        )
    return callback


def _does(callback: Any, hook: str) -> bool:
    if isinstance(callback, Callback):
        return callback._listens(hook)
    return not getattr(getattr(callback, hook), "_is_default", False)  # how Keras marks methods that do nothing


def _has_own_hooks(callback: Any) -> bool:
    """Whether hooks were put on this very object."""
    return any(hook in getattr(callback, "__dict__", {}) for hook in HOOKS)


def _says_when(callback: Any) -> bool:
    """Whether it tells how many epochs may run before it wants to hear of one, and that for the hook that it has."""
    both = {"on_epoch_end", "_epochs_ahead"}
    of_classes = (both & vars(one).keys() for one in type(callback).__mro__)
    return next(filter(None, of_classes), None) == both and not _has_own_hooks(callback)


def _plain(logs: Mapping[str, Any] | None) -> dict[str, Any]:
    """Logs by name in alphabetical order, flat, and as Python floats where they are numbers: as Keras hands them on."""
    result: dict[str, Any] = {}
    for name, value in sorted((logs or {}).items()):
        if isinstance(value, Mapping):
            result.update(_plain(value))
        elif isinstance(value, np.ndarray) and value.ndim > 0:
            result[name] = value
        else:
            try:
                result[name] = float(value)
            except (TypeError, ValueError):
                result[name] = value
    return result


class CallbackList(Callback):
    """Callbacks that are called together, in their order; BackupAndRestore comes last, so that it saves what the others
    did.

    Parameters
    ----------
    callbacks : Callback or (nested) list of Callback, optional
    add_history : bool
        Add a History unless there is one.
    add_progbar : bool
        Refused: progress is shown by fit itself, so that showing it does not make the model stop at each batch.
    model : Sequential, optional
        What is handed to each callback's set_model.
    **params
        What is handed to each callback's set_params.

    Examples
    --------
    >>> from fastnn.callbacks import CallbackList
    >>> callbacks = CallbackList(add_history=True, epochs=2)
    >>> callbacks.on_train_begin()
    >>> logs = callbacks.on_epoch_end(0, {"loss": 0.5})
    >>> callbacks.callbacks[0].history
    {'loss': [0.5]}
    >>> callbacks.needs_train_batches
    False
    """

    def __init__(
        self,
        callbacks: Any = None,
        add_history: bool = False,
        add_progbar: bool = False,
        model: Any = None,
        **params: Any,
    ) -> None:
        super().__init__()
        if add_progbar:
            raise ValueError("add_progbar: progress is not a callback here; pass verbose to fit")
        self.callbacks: list[Any] = [_checked(callback, i) for i, callback in enumerate(_flat(callbacks))]
        self._history = next((c for c in self.callbacks if isinstance(c, History)), None)
        if self._history is None and add_history:
            self._history = History()
            self.callbacks.append(self._history)
        self._listeners: dict[str, list[Callable[..., Any]]] = {}
        self._arrange()
        self.set_model(model)
        self.set_params(params)

    def _arrange(self) -> None:
        self.callbacks.sort(key=lambda callback: bool(getattr(callback, "_last", False)))
        self._listeners = {}
        for callback in self.callbacks:
            if hasattr(callback, "_set_list"):
                callback._set_list(self)

    def append(self, callback: Any) -> None:
        """Add a callback."""
        self.callbacks.append(_checked(callback, len(self.callbacks)))
        if isinstance(callback, History) and self._history is None:
            self._history = callback
        self._arrange()
        if self._model is not None:
            callback.set_model(self._model)
        if self.params:
            callback.set_params(self.params)

    def __iter__(self) -> Iterator[Any]:
        return iter(self.callbacks)

    def __len__(self) -> int:
        return len(self.callbacks)

    def __bool__(self) -> bool:
        return True

    def set_params(self, params: dict[str, Any]) -> None:
        """Hand the parameters to each."""
        self.params = params
        if params:
            for callback in self.callbacks:
                callback.set_params(params)

    def set_model(self, model: Any) -> None:
        """Hand the model to each."""
        if model is None:
            return
        super().set_model(model)
        if self._history is not None:
            model.history = self._history
        for callback in self.callbacks:
            callback.set_model(model)

    def _needs(self, *hooks: str) -> bool:
        return any(_does(callback, hook) for callback in self.callbacks for hook in hooks)

    @property
    def needs_train_batches(self) -> bool:
        """Whether any callback wants to hear of each batch of fit."""
        return self._needs(*_TRAIN_BATCH_HOOKS)

    @property
    def train_batches_ahead(self) -> int | None:
        """How many batches of fit may run before someone wants to hear of one: 1 where any callback listens to each,
        None where none does, in between where some save every so many. on_train_batch_end is due after those, and at
        the latest after the last batch of an epoch.
        """
        counts = []
        for callback in self.callbacks:
            hooks = [hook for hook in _TRAIN_BATCH_HOOKS if _does(callback, hook)]
            if hooks:
                counts_itself = hooks == ["on_train_batch_end"] and hasattr(callback, "_batches_ahead")
                counts.append(callback._batches_ahead() if counts_itself else 1)
        return min(counts, default=None)

    def epochs_ahead(self, epoch: int, most: int) -> int:
        """How many epochs of fit from this one on, at most so many, may run before someone wants to hear of one.
        on_epoch_end is due after the last of them; the histories are told of the others by `note`."""
        if type(self) is not CallbackList or _has_own_hooks(self):
            return 1
        for callback in self.callbacks:
            if type(callback) is History and not _has_own_hooks(callback):
                continue
            hooks = [hook for hook in (*_EPOCH_HOOKS, *_TRAIN_BATCH_HOOKS) if _does(callback, hook)]
            if hooks == ["on_epoch_end"] and _says_when(callback):
                most = min(most, callback._epochs_ahead(epoch, most))
            elif hooks:
                return 1
        return most

    def note(self, first: int, columns: Mapping[str, list[Any]]) -> None:
        """Tell the histories of epochs from `first` on that have run, by a list for each name."""
        for callback in self.callbacks:
            if type(callback) is History:
                callback._note(first, columns)

    @property
    def needs_test_batches(self) -> bool:
        """Whether any callback wants to hear of each batch of evaluate and validation."""
        return self._needs("on_test_batch_begin", "on_test_batch_end")

    @property
    def needs_predict_batches(self) -> bool:
        """Whether any callback wants to hear of each batch of predict."""
        return self._needs("on_predict_batch_begin", "on_predict_batch_end")

    # --------------------------------------------------------------------------------------------------------- states

    def get_state(self) -> dict[str, Any]:
        """The states of all."""
        return {
            "callbacks": [
                {"class_name": type(c).__name__, "state": c.get_state() if hasattr(c, "get_state") else {}}
                for c in self.callbacks
            ]
        }

    def set_state(self, state: dict[str, Any]) -> None:
        """Give each callback its state: the n-th of a class that of the n-th of that class. Callbacks may have come
        since, which begin anew, or gone.
        """
        waiting: dict[str, list[dict[str, Any]]] = {}
        for entry in state["callbacks"]:
            waiting.setdefault(entry["class_name"], []).append(entry["state"])
        for callback in self.callbacks:
            states = waiting.get(type(callback).__name__)
            if states:
                own = states.pop(0)
                if hasattr(callback, "set_state"):
                    callback.set_state(own)

    # ---------------------------------------------------------------------------------------------------------- calls

    def _call(self, hook: str, *place: int, logs: Logs) -> dict[str, Any]:
        plain = _plain(logs)
        for callback in self.callbacks:
            getattr(callback, hook)(*place, plain)
        return plain

    def _call_batch(self, hook: str, batch: int, logs: Logs) -> None:
        listeners = self._listeners.get(hook)
        if listeners is None:
            older = hook.replace("train_", "")
            listeners = [getattr(c, hook) for c in self.callbacks if _does(c, hook) or _does(c, older)]
            self._listeners[hook] = listeners
        if listeners:
            plain = _plain(logs)
            for listener in listeners:
                listener(batch, logs=plain)

    def on_train_begin(self, logs: Logs = None) -> None:
        """Call that of each."""
        self._listeners = {}
        self._call("on_train_begin", logs=logs)

    def on_train_end(self, logs: Logs = None) -> None:
        """Call that of each."""
        self._call("on_train_end", logs=logs)

    def on_epoch_begin(self, epoch: int, logs: Logs = None) -> None:
        """Call that of each."""
        self._listeners = {}
        self._call("on_epoch_begin", epoch, logs=logs)

    def on_epoch_end(self, epoch: int, logs: Logs = None) -> dict[str, Any]:  # type: ignore[override]
        """Call that of each. Returns the logs with what callbacks added, such as the learning rate."""
        plain = _plain(logs)
        last = [c for c in self.callbacks if getattr(c, "_last", False)]
        for callback in self.callbacks[: len(self.callbacks) - len(last)]:
            callback.on_epoch_end(epoch, plain)
        for callback in self.callbacks:
            if hasattr(callback, "_settle"):
                callback._settle()
        for callback in last:
            callback.on_epoch_end(epoch, plain)
        return plain

    def on_batch_begin(self, batch: int, logs: Logs = None) -> None:
        """Call that of each."""
        self._call_batch("on_batch_begin", batch, logs)

    def on_batch_end(self, batch: int, logs: Logs = None) -> None:
        """Call that of each."""
        self._call_batch("on_batch_end", batch, logs)

    def on_train_batch_begin(self, batch: int, logs: Logs = None) -> None:
        """Call that of each that listens."""
        self._call_batch("on_train_batch_begin", batch, logs)

    def on_train_batch_end(self, batch: int, logs: Logs = None) -> None:
        """Call that of each that listens."""
        self._call_batch("on_train_batch_end", batch, logs)

    def on_test_begin(self, logs: Logs = None) -> None:
        """Call that of each."""
        self._listeners = {}
        self._call("on_test_begin", logs=logs)

    def on_test_end(self, logs: Logs = None) -> None:
        """Call that of each."""
        self._call("on_test_end", logs=logs)

    def on_test_batch_begin(self, batch: int, logs: Logs = None) -> None:
        """Call that of each that listens."""
        self._call_batch("on_test_batch_begin", batch, logs)

    def on_test_batch_end(self, batch: int, logs: Logs = None) -> None:
        """Call that of each that listens."""
        self._call_batch("on_test_batch_end", batch, logs)

    def on_predict_begin(self, logs: Logs = None) -> None:
        """Call that of each."""
        self._listeners = {}
        self._call("on_predict_begin", logs=logs)

    def on_predict_end(self, logs: Logs = None) -> None:
        """Call that of each."""
        self._call("on_predict_end", logs=logs)

    def on_predict_batch_begin(self, batch: int, logs: Logs = None) -> None:
        """Call that of each that listens."""
        self._call_batch("on_predict_batch_begin", batch, logs)

    def on_predict_batch_end(self, batch: int, logs: Logs = None) -> None:
        """Call that of each that listens."""
        self._call_batch("on_predict_batch_end", batch, logs)


def listed(callbacks: "CallbackList | Iterable[Any] | Callback | None", model: Any, **params: Any) -> CallbackList:
    """What fit makes of its argument: a list that is ready, with a History."""
    if isinstance(callbacks, CallbackList):
        callbacks.set_model(model)
        callbacks.set_params(params)
        return callbacks
    items = callbacks if callbacks is None or isinstance(callbacks, Callback) else list(callbacks)
    return CallbackList(items, add_history=True, model=model, **params)
