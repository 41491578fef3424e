"""BackupAndRestore: a fit that was killed, run again, ends with the same bits."""

import contextlib
import os
from typing import Any, ClassVar

from fastnn import _atomic, _validate
from fastnn._warnings import warn
from fastnn.callbacks._base import Callback, Logs
from fastnn.callbacks._list import CallbackList
from fastnn.callbacks._monitors import BatchCounter
from fastnn.errors import FormatError

_FORMAT = "fastnn training state"
_VERSION = 1


class BackupAndRestore(Callback):
    """Keep the state of the training on disk, so that a fit that was interrupted, by whatever, can be run again and
    goes on from there as if it had never stopped: with the same weights to the last bit.

    Parameters
    ----------
    backup_dir : str or path
        A folder for this fit alone; it is made.
    save_freq : "epoch" or int
        Save at the end of each epoch, or every so many batches.
    double_checkpoint : bool
        Keep the last state but one too, and take it where the last is damaged.
    delete_checkpoint : bool
        Delete what was saved when training is over.

    Notes
    -----
    What is kept: weights, the optimizer's state, the place in the data, random numbers, and the states of all callbacks
    in the list, History among them (see `Callback.get_state`). Run the same program again: the same model, compiled
    and fitted with the same arguments and data. An iterator as data can only be gone on with within an epoch if it has
    get_state and set_state.

    There is one file, which is replaced as a whole: whenever the process is killed, the last state or the one before is
    there. It is called last, wherever it is in the list. A file that is damaged nonetheless, as by a disk, raises
    FormatError.

    Examples
    --------
    >>> import os, tempfile
    >>> import fastnn
    >>> from fastnn import callbacks, layers
    >>> def program(folder, epochs):
    ...     model = fastnn.Sequential([layers.Dense(1)], seed=0)
    ...     model.compile("sgd", "mse")
    ...     keep = callbacks.BackupAndRestore(os.path.join(folder, "backup"), delete_checkpoint=False)
    ...     return model.fit([[0.0], [1.0]], [[1.0], [3.0]], epochs=epochs, verbose=0, callbacks=[keep])
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     first, second = program(folder, 2), program(folder, 4)  # as if the first had been interrupted
    >>> second.epoch, second.history["loss"][:2] == first.history["loss"]
    ([0, 1, 2, 3], True)
    """

    _last: ClassVar[bool] = True
    _resumes: ClassVar[bool] = True

    def __init__(
        self,
        backup_dir: str | os.PathLike[str],
        save_freq: str | int = "epoch",
        double_checkpoint: bool = False,
        delete_checkpoint: bool = True,
    ) -> None:
        super().__init__()
        self.backup_dir = _validate.path(backup_dir, "backup_dir")
        self.save_freq = save_freq
        self.double_checkpoint = _validate.flag(double_checkpoint, "double_checkpoint")
        self.delete_checkpoint = _validate.flag(delete_checkpoint, "delete_checkpoint")
        self._counter = BatchCounter(save_freq)
        self._epoch = 0
        self._list: CallbackList | None = None
        self._path = os.path.join(self.backup_dir, "training_state.npz")
        self._previous = os.path.join(self.backup_dir, "training_state.previous.npz")

    def _set_list(self, callbacks: CallbackList) -> None:
        """The list whose callbacks' states are kept."""
        self._list = callbacks

    def _listens(self, hook: str) -> bool:
        if hook == "on_train_batch_end" and type(self).on_train_batch_end is BackupAndRestore.on_train_batch_end:
            return self._counter.every is not None
        return super()._listens(hook)

    def _batches_ahead(self) -> int:
        own = type(self).on_train_batch_end is BackupAndRestore.on_train_batch_end
        return self._counter.ahead() if own else 1

    # -------------------------------------------------------------------------------------------------------- loading

    @staticmethod
    def _read(path: str) -> dict[str, Any]:
        from fastnn import _archive  # which imports much that a program without backups does not need

        saved = _archive.read(path)
        if not isinstance(saved, dict) or saved.get("format") != _FORMAT:
            raise FormatError(f"{path} is not a {_FORMAT}; delete it, or choose another backup_dir")
        if saved.get("version") != _VERSION:
            raise FormatError(
                f"{path} is of version {saved.get('version')} of the format, but this fastnn reads version {_VERSION}; "
                "delete it to begin anew"
            )
        return saved

    def _load(self) -> dict[str, Any] | None:
        try:
            return self._read(self._path)
        except FileNotFoundError:
            # A kill between the two renamings of a save leaves the last but one alone
            return self._read(self._previous) if os.path.exists(self._previous) else None
        except FormatError as error:
            if not os.path.exists(self._previous):
                raise
            saved = self._read(self._previous)
            warn(f"{error}; training goes on from {self._previous}")
            return saved

    def on_train_begin(self, logs: Logs = None) -> None:
        """Load what was saved, if there is anything, and give it to the model and the other callbacks."""
        self._counter = BatchCounter(self.save_freq)
        self._epoch = 0
        saved = self._load()
        if saved is None:
            return
        epoch, step = saved["epoch"], saved["step"]
        self.model.restore_training_state({**saved["training"], "epoch": epoch, "step": step})
        if self._list is not None:
            self._list.set_state(saved)
        self._epoch = epoch
        self._counter.seen, self._counter.last = saved["batches_seen"], saved["last_batch"]
        self.model.stop_training = saved["stop_training"]
        self.model._resume = (epoch, step)

    # --------------------------------------------------------------------------------------------------------- saving

    def on_epoch_begin(self, epoch: int, logs: Logs = None) -> None:
        """Note which epoch it is."""
        self._epoch = epoch

    def on_train_batch_end(self, batch: int, logs: Logs = None) -> None:
        """Save, if save_freq is a number of batches and they have passed."""
        if self._counter.passed(batch):
            self._save(self._epoch, batch + 1)

    def on_epoch_end(self, epoch: int, logs: Logs = None) -> None:
        """Save, if save_freq is "epoch"."""
        self._epoch = epoch + 1
        self._counter.last = None
        if self._counter.every is None:
            self._save(epoch + 1, 0)

    def _save(self, epoch: int, step: int) -> None:
        """Save the state in which step `step` of epoch `epoch` comes next."""
        from fastnn import _archive

        state = {
            "format": _FORMAT,
            "version": _VERSION,
            "epoch": epoch,
            "step": step,
            "stop_training": bool(self.model.stop_training),
            "batches_seen": self._counter.seen,
            "last_batch": self._counter.last,
            "training": self.model.training_state(),
            **({"callbacks": []} if self._list is None else self._list.get_state()),
        }
        if not os.path.isdir(self.backup_dir):
            os.makedirs(self.backup_dir)
            _atomic.sync_folder(os.path.dirname(os.path.abspath(self.backup_dir)))
        keep = self._previous if self.double_checkpoint else None
        _archive.write(self._path, state, "the training state", keep_previous=keep)

    def on_train_end(self, logs: Logs = None) -> None:
        """Delete what was saved, and the folder if nothing else is in it."""
        if not self.delete_checkpoint:
            return
        _atomic.remove_stale(self._path)
        # The last state goes last: a kill between the two must not leave the older one to go on from
        for path in (self._previous, self._path):
            with contextlib.suppress(FileNotFoundError):
                os.unlink(path)
        with contextlib.suppress(OSError):
            os.rmdir(self.backup_dir)
