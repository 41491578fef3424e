"""The base of callbacks, and the two smallest."""

from collections.abc import Callable, Mapping
from typing import Any, ClassVar, TypeAlias

from fastnn import _validate
from fastnn.errors import ArgumentError

Logs: TypeAlias = "dict[str, Any] | None"

HOOKS = (
    "on_train_begin",
    "on_train_end",
    "on_epoch_begin",
    "on_epoch_end",
    "on_train_batch_begin",
    "on_train_batch_end",
    "on_test_begin",
    "on_test_end",
    "on_test_batch_begin",
    "on_test_batch_end",
    "on_predict_begin",
    "on_predict_end",
    "on_predict_batch_begin",
    "on_predict_batch_end",
    "on_batch_begin",
    "on_batch_end",
)


class Callback:
    """The base of all callbacks: methods that fit, evaluate and predict call at their turning points.

    Override those that you need; each does nothing here. `logs` is a dict of numbers that belongs to all callbacks of
    the list: what one adds to it, those after it see.

    Attributes
    ----------
    params : dict or None
        What fit was called with: "verbose", "epochs", "steps".

    Notes
    -----
    A callback that overrides a batch hook makes the model stop at each batch and hand over its logs, which costs speed
    where batches are small. One that overrides none lets many batches run at once.

    Examples
    --------
    >>> from fastnn.callbacks import Callback, CallbackList
    >>> class Announce(Callback):
    ...     def on_epoch_end(self, epoch, logs=None):
    ...         print(f"epoch {epoch + 1}: loss {logs['loss']:.2f}")
    >>> callbacks = CallbackList([Announce()])
    >>> callbacks.on_epoch_end(0, {"loss": 0.25})
    epoch 1: loss 0.25
    {'loss': 0.25}
    """

    params: dict[str, Any] | None = None  # of the class: a callback need not call super().__init__
    _model: Any = None
    _last: ClassVar[bool] = False  # called after all others
    _resumes: ClassVar[bool] = False  # goes on with a fit that was killed: what gives data must tell its state
    _takes_nan: ClassVar[bool] = False  # handles a loss that is not finite

    def __init__(self) -> None:
        self.params = None
        self._model = None

    def set_params(self, params: dict[str, Any]) -> None:
        """Called before a fit, with its parameters."""
        self.params = params

    def set_model(self, model: Any) -> None:
        """Called before a fit, with the model."""
        self._model = model

    @property
    def model(self) -> Any:
        """The model that is trained. Setting ``self.model.stop_training = True`` ends the fit."""
        return self._model

    def get_state(self) -> dict[str, Any]:
        """What a later fit needs to go on as if this one had never stopped: numbers, strings, arrays, lists, dicts.

        BackupAndRestore keeps it. Override both if your callback remembers anything between hooks.
        """
        return {}

    def set_state(self, state: dict[str, Any]) -> None:
        """Go on from where `get_state` was called. Called after on_train_begin of a fit that resumes another."""

    def _listens(self, hook: str) -> bool:
        """Whether that hook does anything."""
        return hook in self.__dict__ or getattr(type(self), hook) is not getattr(Callback, hook)

    def on_train_begin(self, logs: Logs = None) -> None:
        """Called at the beginning of fit."""

    def on_train_end(self, logs: Logs = None) -> None:
        """Called at the end of fit, with the logs of its last epoch. Not called where an error ends the fit."""

    def on_epoch_begin(self, epoch: int, logs: Logs = None) -> None:
        """Called at the beginning of an epoch, which are counted from 0, and again where a fit resumes within one."""

    def on_epoch_end(self, epoch: int, logs: Logs = None) -> None:
        """Called at the end of an epoch, after validation, with the loss and metrics, validation's as ``val_...``."""

    def on_batch_begin(self, batch: int, logs: Logs = None) -> None:
        """The older name of on_train_batch_begin."""

    def on_batch_end(self, batch: int, logs: Logs = None) -> None:
        """The older name of on_train_batch_end."""

    def on_train_batch_begin(self, batch: int, logs: Logs = None) -> None:
        """Called before a batch of fit; batches are counted from 0 in each epoch."""
        self.on_batch_begin(batch, logs=logs)

    def on_train_batch_end(self, batch: int, logs: Logs = None) -> None:
        """Called after a batch of fit, with the loss and metrics of the epoch so far."""
        self.on_batch_end(batch, logs=logs)

    def on_test_begin(self, logs: Logs = None) -> None:
        """Called at the beginning of evaluate, and of the validation within fit."""

    def on_test_end(self, logs: Logs = None) -> None:
        """Called at the end of evaluate, and of the validation within fit."""

    def on_test_batch_begin(self, batch: int, logs: Logs = None) -> None:
        """Called before a batch of evaluate or validation."""

    def on_test_batch_end(self, batch: int, logs: Logs = None) -> None:
        """Called after a batch of evaluate or validation, with the loss and metrics so far."""

    def on_predict_begin(self, logs: Logs = None) -> None:
        """Called at the beginning of predict."""

    def on_predict_end(self, logs: Logs = None) -> None:
        """Called at the end of predict."""

    def on_predict_batch_begin(self, batch: int, logs: Logs = None) -> None:
        """Called before a batch of predict."""

    def on_predict_batch_end(self, batch: int, logs: Logs = None) -> None:
        """Called after a batch of predict, with {"outputs": array}."""


class History(Callback):
    """What fit returns: the logs of every epoch. Each fit has one; it need not be passed.

    Attributes
    ----------
    history : dict of list
        For each name in the logs, its value in each epoch.
    epoch : list of int
        The numbers of those epochs.

    Examples
    --------
    >>> from fastnn.callbacks import History
    >>> history = History()
    >>> history.on_train_begin()
    >>> for epoch, loss in enumerate([0.5, 0.25]):
    ...     history.on_epoch_end(epoch, {"loss": loss})
    >>> history.history
    {'loss': [0.5, 0.25]}
    """

    def __init__(self) -> None:
        super().__init__()
        self.history: dict[str, list[Any]] = {}
        self.epoch: list[int] = []

    def on_train_begin(self, logs: Logs = None) -> None:
        """Begin a new list of epochs."""
        self.epoch = []

    def on_epoch_end(self, epoch: int, logs: Logs = None) -> None:
        """Note the logs."""
        self.epoch.append(epoch)
        for name, value in (logs or {}).items():
            self.history.setdefault(name, []).append(value)
        if self.model is not None:
            self.model.history = self

    def _note(self, first: int, columns: Mapping[str, list[Any]]) -> None:
        """Note many epochs, by a list for each name."""
        if not columns["loss"]:
            return
        for name, values in sorted(columns.items()):
            self.history.setdefault(name, []).extend(values)
        self.epoch.extend(range(first, first + len(columns["loss"])))
        if self.model is not None:
            self.model.history = self

    def get_state(self) -> dict[str, Any]:
        """All epochs so far."""
        return {"epoch": list(self.epoch), "history": {name: list(values) for name, values in self.history.items()}}

    def set_state(self, state: dict[str, Any]) -> None:
        """Put them back."""
        self.epoch = list(state["epoch"])
        self.history = {name: list(values) for name, values in state["history"].items()}

    def _repr_html_(self) -> str:
        from fastnn._html import history_table

        return history_table(self)


class LambdaCallback(Callback):
    """A callback made of functions.

    Parameters
    ----------
    on_epoch_begin, on_epoch_end : callable, optional
        f(epoch, logs).
    on_train_begin, on_train_end : callable, optional
        f(logs).
    on_train_batch_begin, on_train_batch_end : callable, optional
        f(batch, logs); the second is passed by name.
    **kwargs : callable
        Any other hook of Callback, by its name.

    Examples
    --------
    >>> from fastnn.callbacks import CallbackList, LambdaCallback
    >>> losses = []
    >>> callbacks = CallbackList([LambdaCallback(on_epoch_end=lambda epoch, logs: losses.append(logs["loss"]))])
    >>> logs = callbacks.on_epoch_end(0, {"loss": 0.5})
    >>> losses
    [0.5]
    """

    def __init__(
        self,
        on_epoch_begin: Callable[..., Any] | None = None,
        on_epoch_end: Callable[..., Any] | None = None,
        on_train_begin: Callable[..., Any] | None = None,
        on_train_end: Callable[..., Any] | None = None,
        on_train_batch_begin: Callable[..., Any] | None = None,
        on_train_batch_end: Callable[..., Any] | None = None,
        **kwargs: Callable[..., Any] | None,
    ) -> None:
        super().__init__()
        given = {
            "on_epoch_begin": on_epoch_begin,
            "on_epoch_end": on_epoch_end,
            "on_train_begin": on_train_begin,
            "on_train_end": on_train_end,
            "on_train_batch_begin": on_train_batch_begin,
            "on_train_batch_end": on_train_batch_end,
            **kwargs,
        }
        for name, function in given.items():
            _validate.choice(name, "LambdaCallback", HOOKS)
            if function is None:
                continue
            if not callable(function):
                raise ArgumentError(f"{name}: expected a function, got {function!r}")
            setattr(self, name, function)
