"""One call of fit: epochs, slices of steps, validation, callbacks and progress."""

from typing import TYPE_CHECKING, Any

import numpy as np

from fastnn import _data, _random, _validate
from fastnn._core.epochs import Epochs
from fastnn._core.train import NotFinite, Trainer
from fastnn._maps import Pages, mapped
from fastnn._progress import Progress, Validation
from fastnn._streams import Stream, gives_batches
from fastnn._warnings import warn
from fastnn.callbacks._base import History
from fastnn.callbacks._list import listed

if TYPE_CHECKING:
    from fastnn._training import Training

ROW_ORDER = 0xFFFFFFFF << 32  # the stream of the order of the samples in epoch 0
MOST_EPOCHS = 1024  # that are run as one, and recorded together


def batch_size_of(batch_size: Any) -> int:
    """Samples a step: 32 if nothing is said."""
    return 32 if batch_size is None else _validate.integer(batch_size, "batch_size", minimum=1)


def refuse_with_stream(**given: Any) -> None:
    """What batches bring by themselves cannot be passed beside them."""
    for name, value in given.items():
        if value is not None:
            raise ValueError(f"{name}: x gives batches by itself; leave {name} out, and let them bring it")


class Fit:
    """One call of fit."""

    def __init__(
        self, model: "Training", epochs: Any, initial_epoch: Any, verbose: Any, callbacks: Any, validation_freq: Any
    ) -> None:
        self.model = model
        self.source: Any = None  # Batches of arrays, or a Stream
        self.validation: Any = None
        self.plan = model._need_compiled()
        self.diverged: float | None = None  # the loss that is not finite, where a callback ends the fit by it
        self.epochs = _validate.integer(epochs, "epochs", minimum=0)
        self.initial_epoch = _validate.integer(initial_epoch, "initial_epoch", minimum=0)
        self.progress = Progress(verbose)
        self.given_callbacks, self.verbose = callbacks, verbose
        if isinstance(validation_freq, (int, np.integer)):
            self.frequency: Any = _validate.integer(validation_freq, "validation_freq", minimum=1)
        else:
            self.frequency = {_validate.integer(e, "validation_freq", minimum=1) for e in validation_freq}

    def validates(self, epoch: int) -> bool:
        if isinstance(self.frequency, int):
            return (epoch + 1) % self.frequency == 0
        return epoch + 1 in self.frequency

    def run(
        self, x: Any, y: Any, sample_weight: Any, class_weight: Any, batch_size: Any, shuffle: Any, steps: Any,
        validation: tuple[Any, Any, Any, Any],
    ) -> History:  # fmt: skip
        model = self.model
        share, data, validation_size, self.validation_steps = validation
        shuffle = _validate.flag(shuffle, "shuffle")
        if steps is not None:
            steps = _validate.integer(steps, "steps_per_epoch", minimum=1)
        if x is None:
            raise TypeError("x: expected samples, got None")
        size = batch_size_of(batch_size)
        if gives_batches(x):
            refuse_with_stream(y=y, sample_weight=sample_weight, batch_size=batch_size)
            if share:
                raise ValueError("validation_split: only arrays can be split; pass validation_data")
            self.source = Stream(x, "x")
            length = steps if steps is not None else self.source.length
        else:
            if share and data is None:
                y = None if y is None else _data.as_array(y, "y")
                w = None if sample_weight is None else _data.as_array(sample_weight, "sample_weight")
                (x, y, sample_weight), data = _data.split(_data.as_array(x, "x"), y, w, share)
            self.source = model._batches(x, y, sample_weight, class_weight, size)
            length = min(steps or len(self.source), len(self.source))
            passes_end = self.epochs - self.initial_epoch >= -(-len(self.source) // length)
            if steps is not None and len(self.source) % steps and passes_end:
                warn(
                    f"steps_per_epoch: {len(self.source)} batches are no multiple of {steps}, so that some epochs have "
                    f"only {len(self.source) % steps}"
                )
        if data is not None:
            if gives_batches(data):
                self.validation = Stream(data, "validation_data")
            else:
                vx, vy, vw = _data.unpacked(data, "validation_data")
                self.validation = model._batches(
                    vx, vy, vw, None, batch_size_of(validation_size or batch_size), "validation_"
                )
        self.memory_mapped = mapped(x) is not None
        if not isinstance(self.source, Stream):
            self.pages = Pages(self.source.x)
        self.shuffle, self.class_weight = shuffle, class_weight
        self.length: Any = length
        self.callbacks = listed(
            self.given_callbacks, model, verbose=self.progress.verbose, epochs=self.epochs, steps=length
        )
        model._stream = self.source if isinstance(self.source, Stream) else None
        model.stop_training = False
        model._resume = None
        if model.optimizer._updater is not None:
            model.optimizer._updater.forget_bounds()
        try:
            self.epochs_loop()
        finally:
            model._stream = None
            for source in (self.source, self.validation):
                if isinstance(source, Stream):
                    source.close()
            self.progress.end()
        history: History = model.history
        return history

    def epochs_loop(self) -> None:
        model, callbacks = self.model, self.callbacks
        if isinstance(self.source, Stream):
            self.check_stream()
        if model.built:
            model._ready_optimizer()
        callbacks.on_train_begin()
        first, step = model._resume or (self.initial_epoch, 0)
        self.progress.begin(self.epochs, self.length)
        logs: dict[str, Any] = {}
        epoch = first
        while epoch < self.epochs and not model.stop_training:
            if step == 0:
                self.plan.reset()
            callbacks.on_epoch_begin(epoch)
            self.progress.epoch_begin(epoch, step)
            if isinstance(self.source, Stream):
                logs = self.stream_epoch(epoch, step)
            elif step == 0 and (count := self.epochs_ahead(epoch)) > 1:
                epoch, logs = self.many_epochs(epoch, count)
            else:
                logs = self.one_epoch(epoch, step)
            if not logs:  # an iterator that had come to its end
                break
            step = 0
            if self.validation is not None and self.validates(epoch):
                shown = Validation(self.progress) if self.progress.verbose else None
                tested = model._test(self.validation, self.validation_steps, callbacks, shown, self.plan)
                logs |= {f"val_{name}": value for name, value in tested.items()}
            logs = callbacks.on_epoch_end(epoch, logs)
            self.progress.epoch_end(epoch, logs)
            if isinstance(self.source, Stream) and self.source.exhausted:
                break
            epoch += 1
        if self.epochs > 0 and model.optimizer.use_ema:
            model.optimizer.finalize_variable_values()
        callbacks.on_train_end(logs)

    def epochs_ahead(self, epoch: int) -> int:
        """How many epochs from this one on may be run as one: whole passes over arrays, of which only the last is
        validated, shown or heard of by more than a history."""
        if (
            self.memory_mapped or self.length != len(self.source) or self.progress.verbose
            or not self.plan.keeps_records
        ):  # fmt: skip
            return 1
        most = self.callbacks.epochs_ahead(epoch, min(MOST_EPOCHS, self.epochs - epoch))
        if self.validation is None:
            return most
        return next((n + 1 for n in range(most) if self.validates(epoch + n)), most)

    def many_epochs(self, first: int, count: int) -> tuple[int, dict[str, Any]]:
        """Epochs first .. first + count - 1 as one run. Returns the last one, or that in which training was stopped,
        and its logs; those before it are in the history."""
        model, source, plan = self.model, self.source, self.plan
        order = np.arange(source.n, dtype=np.int64) if self.shuffle else None
        epochs = Epochs(plan.trainer(), source, order, count, model._forwards)
        if self.shuffle:
            epochs.seed(model.seed, ROW_ORDER + first)
        place, told = 0, None
        try:
            while place < epochs.batches and not model.stop_training:
                place = model._advance(epochs, place, epochs.batches)
            told = max(0, place - 1) // len(source)
        except NotFinite as error:
            at = error.args[1]
            raise model._diverged(epochs.trainer, at, first + epochs.epoch, at) from None
        finally:
            self.callbacks.note(first, plan.columns(epochs.records[: epochs.epoch if told is None else told]))
        return first + told, plan.logs()

    def check_stream(self) -> None:
        """Refuse what could not be gone on with."""
        source = self.source
        if any(c._resumes for c in self.callbacks) and source.state() is None:
            raise ValueError(
                "x: an iterator that cannot tell its place cannot be gone on with after a kill; give it get_state() "
                "and set_state(state), pass a PyDataset, or leave BackupAndRestore out"
            )

    def one_epoch(self, epoch: int, step: int) -> dict[str, Any]:
        """The steps of an epoch over arrays, from `step` on."""
        model, batches = self.model, self.source
        passes, begin, end = self.window(epoch)
        batches.reorder(_random.permutation(batches.n, model.seed, ROW_ORDER + passes) if self.shuffle else None)
        trainer = self.plan.trainer()
        trainer.bind(batches, True, model._forwards)
        place = begin + step
        while place < end and not model.stop_training:
            place = self.some_steps(trainer, epoch, place - begin, place, end)
            self.progress.update(place - begin, self.plan.logs())
        step = place - begin
        logs = self.epoch_logs()
        self.progress.update(step, logs, final=True)
        return logs

    def epoch_logs(self) -> dict[str, Any]:
        """The logs of an epoch that is over: the loss that ended it, where it was not finite."""
        logs = self.plan.logs()
        if self.diverged is not None:
            logs["loss"] = self.diverged
        return logs

    def window(self, epoch: int) -> tuple[int, int, int]:
        """Of an epoch over arrays: which pass over the samples it is part of, its first batch, the one after its last.

        With fewer steps_per_epoch than batches an epoch goes on where the one before it stopped, and never from one
        pass into the next: as in Keras.
        """
        count = len(self.source)
        passes, place = divmod(epoch - self.initial_epoch, -(-count // self.length))
        begin = place * self.length
        return self.initial_epoch + passes, begin, min(begin + self.length, count)

    def stream_epoch(self, epoch: int, step: int) -> dict[str, Any]:
        """The steps of an epoch over a stream, whose batches are bound one by one."""
        model, source = self.model, self.source
        order = None
        if self.shuffle and source.indexable and source.length is not None:
            order = _random.permutation(source.length, model.seed, ROW_ORDER + epoch)
        source.epoch_begin()
        for x, y, w in source.batches(None if self.length is None else self.length - step, order):
            batches = model._one_batch(x, y, w, self.class_weight)
            trainer = self.plan.trainer()
            trainer.bind(batches, True, model._forwards)
            self.some_steps(trainer, epoch, step, 0, 1)
            step += 1
            self.progress.update(step, self.plan.logs())
            if model.stop_training:
                break
        source.epoch_end()
        if self.plan.trainers[0] is None and self.plan.pending is not None and source.indexable:
            # gone on with behind the last batch of an epoch: any batch says what the sums that were kept are of
            x, y, w = source._batch(source.source[0], 0)
            model._one_batch(x, y, w, self.class_weight)
        if step == 0:
            return {}
        logs = self.epoch_logs()
        self.progress.update(step, logs, final=True)
        return logs

    def some_steps(self, trainer: Trainer, epoch: int, number: int, step: int, end: int) -> int:
        """Steps step .. end - 1 of what is bound, the first being number `number` of the epoch, until a callback wants
        to hear of one or a slice is full; returns the first that was not done."""
        model, callbacks = self.model, self.callbacks
        ahead = callbacks.train_batches_ahead
        if ahead is not None:
            end = min(end, step + ahead)
        if self.memory_mapped:  # read once: checked just before its step
            end = step + 1
            batches = self.source
            rows = slice(step * batches.size, (step + 1) * batches.size)
            _validate.finite(batches.x[rows if batches.order is None else batches.order[rows]], "x")
            self.pages.took(batches.size, batches.order is not None)
        if ahead == 1:
            callbacks.on_train_batch_begin(number)
        now = step
        try:
            while now < end:
                now = model._advance(trainer, now, end)
                if ahead is None:
                    break
                self.progress.update(number + now - step, self.plan.logs())
        except NotFinite as error:
            at = number + error.args[1] - step
            if not any(c._takes_nan for c in callbacks):
                raise model._diverged(trainer, error.args[1], epoch, at) from None
            self.diverged = trainer.last_loss
            callbacks.on_train_batch_end(at, self.epoch_logs())
            model.stop_training = True
            return end
        if ahead is not None:
            callbacks.on_train_batch_end(number + now - step - 1, self.plan.logs())
        return now
