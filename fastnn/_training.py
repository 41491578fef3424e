"""What changes a model's weights: fit, train_on_batch, and what goes on from where a fit was."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from fastnn import _validate
from fastnn._core.epochs import Epochs
from fastnn._core.train import NotFinite, Trainer
from fastnn._evaluating import SLICE, Evaluating, returned
from fastnn._fit import Fit
from fastnn._validate import FloatArray
from fastnn.callbacks._base import History
from fastnn.errors import DivergenceError
from fastnn.optimizers.schedules import LearningRateSchedule

STATE = ("input_shape", "weights", "optimizer", "forwards", "seed", "sums", "stream")  # of training_state
MOST_RATES = 512  # of a schedule that are computed at a time


class Training(Evaluating):
    """fit, train_on_batch, gradients, training_state."""

    # ----------------------------------------------------------------------------------------------------------- fit

    def fit(
        self,
        x: Any = None,
        y: Any = None,
        batch_size: int | None = None,
        epochs: int = 1,
        verbose: Any = "auto",
        callbacks: Any = None,
        validation_split: float = 0.0,
        validation_data: Any = None,
        shuffle: bool = True,
        class_weight: Mapping[int, float] | None = None,
        sample_weight: Any = None,
        initial_epoch: int = 0,
        steps_per_epoch: int | None = None,
        validation_steps: int | None = None,
        validation_batch_size: int | None = None,
        validation_freq: int | Sequence[int] = 1,
    ) -> History:
        """Learn from samples, and return what happened epoch by epoch.

        Parameters
        ----------
        x : array_like, or an iterable of batches
            Samples along the first axis; or a generator, iterator or Sequence of (x, y) or (x, y, sample_weight).
        y : array_like, optional
            Targets; none with an iterable, which brings them.
        batch_size : int, optional
            Samples a step; 32 if None. Not with an iterable.
        epochs : int
            The number of the last epoch, which is how many there are where initial_epoch is 0.
        verbose : {"auto", 0, 1, 2}
            Nothing, a live line, a line an epoch; "auto" is 1 on a terminal or in a notebook and 2 elsewhere.
        callbacks : list, optional
        validation_split : float
            The share of the samples, at the end and before shuffling, that is held out for validation.
        validation_data : tuple or iterable, optional
            (x, y), (x, y, sample_weight), or an iterable of batches.
        shuffle : bool
            Take the samples in a new order in each epoch.
        class_weight : dict, optional
            A weight for each class number.
        sample_weight : array_like, optional
            A weight for each sample, or for each loss.
        initial_epoch : int
            The number of the first epoch.
        steps_per_epoch, validation_steps : int, optional
            How many batches an epoch has.
        validation_batch_size : int, optional
        validation_freq : int or list of int
            Validate every so many epochs, or after those of a list, which counts from 1.

        Returns
        -------
        History
            ``history.history`` is a dict of lists, one number an epoch.

        Examples
        --------
        >>> import numpy as np
        >>> import fastnn
        >>> model = fastnn.Sequential([fastnn.Input((1,)), fastnn.Dense(1)], seed=0)
        >>> model.compile(fastnn.optimizers.SGD(0.1), "mse", metrics=["mae"])
        >>> x = np.array([[0.0], [1.0], [2.0]])
        >>> y = 2 * x + 1
        >>> history = model.fit(x, y, epochs=200, verbose=0)
        >>> sorted(history.history), bool(history.history["loss"][-1] < 1e-2)
        (['loss', 'mae'], True)
        """
        with self._exclusive.training("fit"):
            try:
                return Fit(self, epochs, initial_epoch, verbose, callbacks, validation_freq).run(
                    x, y, sample_weight, class_weight, batch_size, shuffle, steps_per_epoch,
                    (validation_split, validation_data, validation_batch_size, validation_steps),
                )  # fmt: skip
            finally:
                if self._plan is not None:
                    self._plan.release_data()

    def _rates(self, count: int) -> tuple[npt.NDArray[np.float64] | None, float, int]:
        """The rates of the next steps, the one rate there is where there are none, and for how many steps they do."""
        optimizer = self.optimizer
        rate = optimizer._learning_rate
        if isinstance(rate, LearningRateSchedule):
            count = min(count, self._rates_at_once)
            first = optimizer._steps
            rates = np.array([float(rate(first + i)) for i in range(count)])
            bad = ~np.isfinite(rates)
            if bad[0]:
                raise ValueError(f"learning_rate: {rate!r} gave {rates} from step {first} on")
            if bad.any():  # the steps before it are done
                rates = rates[: int(bad.argmax())]
            return rates, 0.0, len(rates)
        return None, optimizer._rate(), 1 if callable(rate) else count

    def _advance(self, trainer: Trainer | Epochs, step: int, end: int, seconds: float = SLICE) -> int:
        """Some steps of what the trainer is bound to, or of its epochs: the first that was not done."""
        optimizer = self.optimizer
        rates, rate, count = self._rates(end - step)
        optimizer._configured()
        self._need_compiled().bind_gradients(self)
        try:
            done = trainer.run(step, min(end, step + count), True, rates, rate, seconds)
            self._rates_at_once = min(MOST_RATES, 2 * max(1, done - step))  # what a slice is likely to need
            return done
        finally:
            self._forwards = trainer.forwards

    def _diverged(self, trainer: Trainer, batch: int, epoch: int, step: int) -> DivergenceError:
        """What to raise for a loss that is not finite, of a batch of what the trainer is bound to; or for a step that
        would not leave the weights finite."""
        if trainer.refused is not None:
            return self._unstable(*trainer.refused, epoch, step)
        loss = trainer.last_loss
        bad = trainer.first_bad_op(batch)
        where = (
            f"the first layer whose output is not finite is {self._op_names[bad]!r}"
            if bad >= 0
            else "every layer's output is finite, so that the loss itself or a penalty is too large"
        )
        return DivergenceError(
            f"epoch {epoch + 1}, step {step + 1}: the loss is {loss}; {where}. The model is as it was before this "
            "step. A lower learning rate, scaled inputs or clipnorm=1.0 are the usual cures"
        )

    def _unstable(self, loss: float, index: int, part: int, epoch: int, step: int) -> DivergenceError:
        """What to raise for a step that would not leave finite what the optimizer keeps of one of its variables."""
        name, what = self.optimizer._kept_as(index, part)
        return DivergenceError(
            f"epoch {epoch + 1}, step {step + 1}: the loss is {loss}, but the step would make {what} of {name!r} "
            "infinite or NaN. The model is as it was before this step. A lower learning rate, scaled inputs or "
            "clipnorm=1.0 are the usual cures"
        )

    # ------------------------------------------------------------------------------------------------- single batches

    def train_on_batch(
        self,
        x: Any,
        y: Any = None,
        sample_weight: Any = None,
        class_weight: Mapping[int, float] | None = None,
        return_dict: bool = False,
    ) -> Any:
        """One step on one batch. Returns its loss, from before the step, and its metrics.

        Examples
        --------
        >>> import numpy as np
        >>> import fastnn
        >>> model = fastnn.Sequential([fastnn.Input((1,)), fastnn.Dense(1)], seed=0)
        >>> model.compile(fastnn.optimizers.SGD(0.1), "mse", metrics=["mae"])
        >>> x = np.array([[0.0], [1.0], [2.0]])
        >>> y = 2 * x + 1
        >>> first = model.train_on_batch(x, y, return_dict=True)
        >>> bool(model.train_on_batch(x, y, return_dict=True)["loss"] < first["loss"])
        True
        """
        if return_dict is not False:
            return_dict = _validate.flag(return_dict, "return_dict")
        if sample_weight is None and class_weight is None:
            loss = self._quick_step(x, y)
            if loss is not None:
                plan = self._need_compiled()
                return returned(plan.logs(), return_dict) if plan.metrics or return_dict else loss
        with self._exclusive.training("train_on_batch"):
            batches = self._one_batch(x, y, sample_weight, class_weight)
            plan = self._need_compiled()
            plan.reset()
            trainer = plan.trainer()
            trainer.bind(batches, True, self._forwards)
            try:
                self._advance(trainer, 0, 1)
            except NotFinite:
                raise self._diverged(trainer, 0, 0, self.optimizer._steps) from None
            logs = plan.logs()
        return returned(logs, return_dict)

    def _quick_step(self, x: Any, y: Any) -> float | None:
        """The loss of a step that needs no preparation, because one of its like came before; None, and nothing done,
        where there is none, or where something is wrong, which the usual way tells."""
        uses, plan, optimizer = self._exclusive.uses, self._plan, self._optimizer
        if plan is None or optimizer._stale or type(optimizer._learning_rate) is not float:
            return None
        trainer = plan.trainers[0]
        if trainer is None:
            return None
        try:
            loss: float | None = trainer.quick_step(x, y, optimizer._learning_rate, self._forwards, uses)
        except NotFinite:
            return None
        if loss is not None:
            self._forwards += 1
        return loss

    def gradients(
        self, x: Any, y: Any = None, sample_weight: Any = None, training: bool = False
    ) -> tuple[float, list[FloatArray]]:
        """The loss of a batch, and its gradient by each of the weights that learn, in the order of `trainable_weights`;
        regularizers included in both."""
        with self._exclusive.training("gradients"):
            batches = self._one_batch(x, y, sample_weight)
            trainer = self._need_compiled().make_trainer(self, counting=False)
            trainer.bind(batches, True, self._forwards)
            loss = trainer.gradients(_validate.flag(training, "training"))
            if training:
                self._forwards += 1
            result = []
            for v in (v for v in self._variables() if v.in_trainables):
                gradient = self._gradient_of(v).copy()
                if v.regularizer is not None:
                    gradient += v.regularizer.gradient(v.array)
                result.append(gradient)
        return loss, result

    # ----------------------------------------------------------------------------------------------- to be gone on with

    def training_state(self) -> dict[str, Any]:
        """All that the steps to come depend on, besides the data: weights, the optimizer's state, counters."""
        plan = self._need_compiled()
        return {
            "input_shape": list(self._need_built().input_shape),
            "weights": {str(i): w for i, w in enumerate(self.get_weights())},
            "optimizer": self.optimizer.get_state(),
            "forwards": self._forwards,
            "seed": self.seed,
            "sums": plan.get_sums(),
            "stream": None if self._stream is None else self._stream.state(),
        }

    def restore_training_state(self, state: Mapping[str, Any]) -> None:
        """Go on from where `training_state` was called: the steps that follow are the same to the last bit."""
        if (
            not isinstance(state, Mapping)
            or not set(STATE) <= set(state)
            or not all(isinstance(state[name], Mapping) for name in ("weights", "optimizer", "sums"))
        ):
            raise ValueError(f"state: expected the dict that training_state returns, with {', '.join(STATE)}")
        forwards, seed = int(state["forwards"]), int(state["seed"])
        if self._engine is None:
            self.build((None, *(int(n) for n in state["input_shape"])))
        self._ready_optimizer()
        before = self.get_weights()
        try:
            self.set_weights([state["weights"][str(i)] for i in range(len(state["weights"]))])
            self.optimizer.set_state(state["optimizer"])
        except BaseException:
            self.set_weights(before)
            raise
        self._forwards = forwards
        self._reseed(seed)
        self._need_compiled().set_sums(state["sums"])
        if self._stream is not None and state["stream"] is not None:
            self._stream.restore(state["stream"])

    _stream: Any = None  # of the fit that is running
    _rates_at_once = 16  # of a schedule
