"""One call of fit: epochs, slices of steps, validation, callbacks and progress."""

from typing import TYPE_CHECKING, Any

import numpy as np

from fastnn import _data, _random, _validate
from fastnn._core.train import NotFinite, Trainer
from fastnn._progress import Progress
from fastnn._streams import Stream, gives_batches
from fastnn.callbacks import BackupAndRestore, History, TerminateOnNaN
from fastnn.callbacks._base import listed

if TYPE_CHECKING:
    from fastnn._training import Training

ROW_ORDER = 0xFFFFFFFF << 32  # the stream of the order of the samples in epoch 0


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
                arrays = [None if a is None else np.asarray(a) for a in (y, sample_weight)]
                (x, y, sample_weight), data = _data.split(model._inputs(x), arrays[0], arrays[1], share)
            self.source = model._batches(x, y, sample_weight, class_weight, size)
            length = steps if steps is not None else len(self.source)
        if data is not None:
            if gives_batches(data):
                self.validation = Stream(data, "validation_data")
            else:
                vx, vy, vw = _data.unpacked(data, "validation_data")
                self.validation = model._batches(
                    vx, vy, vw, None, batch_size_of(validation_size or batch_size), "validation_"
                )
        self.memory_mapped = isinstance(x, np.memmap)
        self.shuffle, self.class_weight = shuffle, class_weight
        self.length: Any = length
        self.callbacks = listed(
            self.given_callbacks, model, verbose=self.progress.verbose, epochs=self.epochs, steps=length
        )
        model._stream = self.source if isinstance(self.source, Stream) else None
        model.stop_training = False
        model._resume = None
        try:
            self.epochs_loop()
        finally:
            model._stream = None
            self.progress.end()
        history: History = model.history
        return history

    def epochs_loop(self) -> None:
        model, callbacks = self.model, self.callbacks
        if isinstance(self.source, Stream):
            self.prepare_stream()
        if model.built:
            model._ready_optimizer()
        callbacks.on_train_begin()
        first, step = model._resume or (self.initial_epoch, 0)
        self.progress.begin(self.epochs, self.length)
        logs: dict[str, Any] = {}
        for epoch in range(first, self.epochs):
            if model.stop_training:
                break
            if step == 0:
                self.plan.reset()
            callbacks.on_epoch_begin(epoch)
            self.progress.epoch_begin(epoch, step)
            logs = self.stream_epoch(epoch, step) if isinstance(self.source, Stream) else self.one_epoch(epoch, step)
            step = 0
            if self.validation is not None and self.validates(epoch):
                tested = model._test(self.validation, self.validation_steps, callbacks, None)
                logs |= {f"val_{name}": value for name, value in tested.items()}
            logs = callbacks.on_epoch_end(epoch, logs)
            self.progress.epoch_end(epoch, logs)
            if isinstance(self.source, Stream) and self.source.exhausted:
                break
        if self.epochs > 0 and model.optimizer.use_ema:
            model.optimizer.finalize_variable_values()
        callbacks.on_train_end(logs)

    def prepare_stream(self) -> None:
        """Make all ready where a batch can be had by its number, and refuse what could not be gone on with."""
        source = self.source
        if source.indexable and source.length != 0:
            x, y, w = source._batch(source.source[0], 0)
            self.model._batches(x, y, w, self.class_weight, max(1, len(x)))
        if any(isinstance(c, BackupAndRestore) for c in self.callbacks) and source.state() is None:
            raise ValueError(
                "x: an iterator that cannot tell its place cannot be gone on with after a kill; give it get_state() "
                "and set_state(state), pass a PyDataset, or leave BackupAndRestore out"
            )

    def one_epoch(self, epoch: int, step: int) -> dict[str, Any]:
        """The steps of an epoch over arrays, from `step` on."""
        model, batches = self.model, self.source
        trainer = self.plan.trainer()
        each, through = len(batches), None
        while step < self.length and not model.stop_training:
            # with steps_per_epoch, an epoch begins where the one before it stopped; else it is a pass by itself
            number, at = divmod((epoch - self.initial_epoch) * self.length + step, each)
            if number != through:
                through = number
                key = ROW_ORDER + self.initial_epoch + number
                batches.reorder(_random.permutation(batches.n, model.seed, key) if self.shuffle else None)
                trainer.bind(batches, True, model._forwards)
            step += self.some_steps(trainer, epoch, step, at, min(each, at + self.length - step)) - at
            self.progress.update(step, self.plan.logs())
        logs = self.plan.logs()
        self.progress.update(step, logs, final=True)
        return logs

    def stream_epoch(self, epoch: int, step: int) -> dict[str, Any]:
        """The steps of an epoch over a stream, whose batches are bound one by one."""
        model, source = self.model, self.source
        order = None
        if self.shuffle and source.indexable and source.length is not None:
            order = _random.permutation(source.length, model.seed, ROW_ORDER + epoch)
        source.epoch_begin()
        for x, y, w in source.batches(None if self.length is None else self.length - step, order):
            batches = model._batches(x, y, w, self.class_weight, max(1, len(x)))
            trainer = self.plan.trainer()
            trainer.bind(batches, True, model._forwards)
            self.some_steps(trainer, epoch, step, 0, 1)
            step += 1
            self.progress.update(step, self.plan.logs())
            if model.stop_training:
                break
        source.epoch_end()
        if self.plan.trainers[0] is None and self.plan.pending is None:
            raise ValueError("x: there were no batches to learn from")
        logs = self.plan.logs()
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
            _data.check_finite(batches.x[rows if batches.order is None else batches.order[rows]], "x")
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
            if not any(isinstance(c, TerminateOnNaN) for c in callbacks):
                raise model._diverged(trainer, epoch, at) from None
            callbacks.on_train_batch_end(at, {**self.plan.logs(), "loss": trainer.last_loss})
            model.stop_training = True
            return end
        if ahead is not None:
            callbacks.on_train_batch_end(number + now - step - 1, self.plan.logs())
        return now
