"""What compile, fit, evaluate and their kin do: the half of Sequential that has to do with learning."""

import contextlib
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from fastnn import _compiled, _data, _validate, optimizers
from fastnn._core.batches import Batches
from fastnn._core.train import NotFinite, Trainer
from fastnn._fit import Fit, batch_size_of, refuse_with_stream
from fastnn._maps import Pages, mapped
from fastnn._progress import Progress
from fastnn._streams import Stream, gives_batches
from fastnn._validate import FloatArray
from fastnn.callbacks._base import CallbackList, History
from fastnn.errors import DivergenceError, NotCompiledError
from fastnn.optimizers.schedules import LearningRateSchedule

if TYPE_CHECKING:
    from fastnn._core.engine import Engine

SLICE = 0.05  # seconds of training between two looks at signals and progress
MOST_RATES = 512  # of a schedule that are computed at a time


class Training:
    """compile, fit, evaluate, predict, train_on_batch, test_on_batch, gradients."""

    name: str
    seed: int
    _dtype: np.dtype[Any]
    _input: tuple[int, ...] | None
    _output: tuple[int, ...] | None
    _op_names: list[str]

    def __init__(self) -> None:
        self.optimizer: Any = None
        self.stop_training = False
        self.history: Any = None
        self._plan: _compiled.Plan | None = None
        self._learning: list[Any] = []  # the variables that the optimizer was built for
        self._forwards = 0  # training forwards so far: what masks are keyed by
        self._owner: int | None = None  # the thread that fits this model
        self._lock = threading.Lock()
        self._resume: tuple[int, int] | None = None

    # ------------------------------------------------------------------------------------------------------- compile

    def compile(
        self,
        optimizer: Any = "rmsprop",
        loss: Any = None,
        loss_weights: Any = None,
        metrics: Any = None,
        weighted_metrics: Any = None,
        run_eagerly: bool = False,
        steps_per_execution: int = 1,
        jit_compile: Any = "auto",
        auto_scale_loss: bool = True,
    ) -> None:
        """Say how the model learns: what it is to make small, and how.

        Parameters
        ----------
        optimizer : str or Optimizer
        loss : str, function or Loss
        loss_weights : float, optional
            A number that the loss is multiplied by.
        metrics : list, optional
            Names, functions or Metric objects; "accuracy" chooses the one that fits the loss and the targets. Sample
            weights do not count in them.
        weighted_metrics : list, optional
            The same, but sample weights count.
        run_eagerly, steps_per_execution, jit_compile, auto_scale_loss
            Accepted, and without effect: every fit runs in compiled code, and losses need no scaling.
        """
        self._refuse_in_fit("compile")
        plan, made = _compiled.Plan(loss, loss_weights, metrics, weighted_metrics), optimizers.get(optimizer)
        if made is None:
            raise TypeError("optimizer: expected a name or an Optimizer, got None")
        if made._rule() is None and not made._in_python:
            raise ValueError(
                f"optimizer: {type(made).__name__} has no rule for a single step, as fit takes them; "
                "pass an optimizer that has, such as 'adam'"
            )
        before = self._plan, self.optimizer
        self._plan, self.optimizer = plan, made
        try:
            self._refresh()
            if self._engine is not None:
                self._ready_optimizer()
        except BaseException:
            self._plan, self.optimizer = before
            raise

    @property
    def compiled(self) -> bool:
        """Whether `compile` was called."""
        return self._plan is not None

    @property
    def loss(self) -> Any:
        """What compile was given."""
        return None if self._plan is None else self._plan.given_loss

    @property
    def metrics(self) -> list[Any]:
        """The metrics in use, as objects; known once the model has seen data."""
        return [] if self._plan is None else self._plan.all_metrics

    @property
    def metrics_names(self) -> list[str]:
        """The names of what evaluate returns."""
        return ["loss"] if self._plan is None else ["loss", *self._plan.names]

    def reset_metrics(self) -> None:
        """Begin the means of the loss and of all metrics anew."""
        plan = self._need_compiled()
        plan.reset()
        plan.reset(testing=True)

    def _forget_compiled(self) -> None:
        if self._plan is not None:
            self._plan.forget()

    def _need_compiled(self) -> _compiled.Plan:
        if self._plan is None:
            raise NotCompiledError(
                f"{self.name}: there is no loss yet; call compile(optimizer=..., loss=...) before fit or evaluate"
            )
        return self._plan

    def _refresh_idle(self) -> None:
        """Take over changed flags where no compiled plan goes by the old ones."""
        if self._plan is None:
            self._refresh()

    def _ready_optimizer(self) -> None:
        """Build the optimizer for the weights that learn; where they lie elsewhere now, its state moves along."""
        learns = [v for v in self._variables() if v.in_trainables]
        arrays = [v.array for v in learns]
        optimizer = self.optimizer
        state = None
        if optimizer.gradient_accumulation_steps and any(v.touched is not None for v in learns):
            raise ValueError(
                "gradient_accumulation_steps: an Embedding with sparse_update takes a step with each batch; "
                "leave one of the two out"
            )
        if optimizer.built:
            if [id(a) for a in optimizer._trainable] == [id(a) for a in arrays]:
                return
            if [id(v) for v in self._learning] != [id(v) for v in learns]:
                raise ValueError(
                    "optimizer: it was built for other weights; compile with a new optimizer, or compile again after "
                    "changing layers or trainable flags"
                )
            state = optimizer.get_state()  # another model had these weights for a while
            optimizer._updater = None
        optimizer._of_model = (
            [v.path for v in learns], [v.regularizer for v in learns], [v.constraint for v in learns]
        )  # fmt: skip
        optimizer.build(arrays)
        self._learning = learns
        if state is not None:
            optimizer.set_state(state)

    # ------------------------------------------------------------------------------------------------- one at a time

    def _owner_is_here(self) -> bool:
        return self._owner == threading.get_ident()

    def _refuse_while_fitted(self) -> None:
        if self._owner is not None and not self._owner_is_here():
            raise RuntimeError(
                f"{self.name}: another thread is training this model; wait for it, or use a copy of the model"
            )

    def _refuse_in_fit(self, what: str) -> None:
        """What fit goes by cannot be changed under it, not even by its own callbacks."""
        if self._owner is not None:
            raise RuntimeError(f"{what}: {self.name} is being trained; call it before or after fit")

    @contextlib.contextmanager
    def _alone(self, what: str, trains: bool = True) -> Iterator[None]:
        """Training changes the model, and evaluation its metrics: one at a time."""
        if not trains and self._owner_is_here():  # within a callback of this model's fit
            yield
            return
        if not self._lock.acquire(blocking=False):
            who = "this model's fit is still running" if self._owner_is_here() else "another thread is at work with it"
            raise RuntimeError(f"{what}: {who}; a model can learn from, or be evaluated by, one call at a time")
        self._owner = threading.get_ident() if trains else None
        try:
            yield
        finally:
            self._owner = None
            self._lock.release()

    # ---------------------------------------------------------------------------------------------------------- data

    def _batches(
        self, x: Any, y: Any, sample_weight: Any, class_weight: Any, batch_size: int, names: str = ""
    ) -> Batches:
        """Arrays as batches, all of it checked; the model is built and the plan made for them.

        A model that was not built yet is as it was where the data are refused: they may have had a wrong shape.
        """
        plan = self._need_compiled()
        if plan.loss is None:
            raise ValueError(f"{self.name}: compile was given no loss, so there is nothing to make small; pass one")
        undo = self._unbuild()
        try:
            array = self._inputs(x, names + "x")
            n = len(array)
            if n == 0:
                raise ValueError(f"{names}x: there are no samples in it (shape {array.shape})")
            if mapped(x) is None:
                _data.check_finite(array, names + "x")
            assert self._output is not None
            samples, truth = _data.targets(plan.loss, y, n, self._output, self._dtype, names)
            losses = self._output[:-1] if samples is None else samples.shape[1:]
            weights = _data.weights(sample_weight, class_weight, y, n, losses, names)
            self._ready_optimizer()
        except BaseException:
            undo()
            raise
        plan.prepare(self, samples, truth)
        return Batches(array, truth, weights, min(batch_size, n), self._dtype)

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
        with self._alone("fit"):
            return Fit(self, epochs, initial_epoch, verbose, callbacks, validation_freq).run(
                x, y, sample_weight, class_weight, batch_size, shuffle, steps_per_epoch,
                (validation_split, validation_data, validation_batch_size, validation_steps),
            )  # fmt: skip

    def _rates(self, count: int) -> tuple[npt.NDArray[np.float64] | None, float, int]:
        """The rates of the next steps, the one rate there is where there are none, and for how many steps they do."""
        optimizer = self.optimizer
        rate = optimizer._learning_rate
        if isinstance(rate, LearningRateSchedule):
            count = min(count, MOST_RATES)
            first = optimizer._steps
            rates = np.array([float(rate(first + i)) for i in range(count)])
            if not np.isfinite(rates).all():
                raise ValueError(f"learning_rate: {rate!r} gave {rates} from step {first} on")
            return rates, 0.0, count
        return None, optimizer._rate(), 1 if callable(rate) else count

    def _advance(self, trainer: Trainer, step: int, end: int, seconds: float = SLICE) -> int:
        """Some steps of what the trainer is bound to: the first that was not done."""
        optimizer = self.optimizer
        rates, rate, count = self._rates(end - step)
        optimizer._configured()
        self._need_compiled().bind_gradients(self)
        try:
            return trainer.run(step, min(end, step + count), True, rates, rate, seconds)
        finally:
            self._forwards = trainer.forwards

    def _diverged(self, trainer: Trainer, batch: int, epoch: int, step: int) -> DivergenceError:
        """What to raise for a loss that is not finite, of a batch of what the trainer is bound to."""
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

    # ------------------------------------------------------------------------------------------------------ evaluate

    def evaluate(
        self,
        x: Any = None,
        y: Any = None,
        batch_size: int | None = None,
        verbose: Any = "auto",
        sample_weight: Any = None,
        steps: int | None = None,
        callbacks: Any = None,
        return_dict: bool = False,
        **kwargs: Any,
    ) -> Any:
        """The loss and metrics of samples: a number, a list where there are metrics, or a dict.

        The arguments are those of `fit`; `steps` is how many batches to take, and `return_dict` asks for the dict.

        Examples
        --------
        >>> import numpy as np
        >>> import fastnn
        >>> model = fastnn.Sequential([fastnn.Input((1,)), fastnn.Dense(1)], seed=0)
        >>> model.compile(fastnn.optimizers.SGD(0.1), "mse", metrics=["mae"])
        >>> x = np.array([[0.0], [1.0], [2.0]])
        >>> y = 2 * x + 1
        >>> sorted(model.evaluate(x, y, verbose=0, return_dict=True))
        ['loss', 'mae']
        """
        if kwargs:
            raise TypeError(f"evaluate: unknown argument {min(kwargs)!r}")
        self._need_compiled()
        if steps is not None:
            steps = _validate.integer(steps, "steps", minimum=1)
        if x is None:
            raise TypeError("x: expected samples, got None")
        with self._alone("evaluate", trains=False):
            calls = self._calls(callbacks, verbose)
            if gives_batches(x):
                refuse_with_stream(y=y, sample_weight=sample_weight, batch_size=batch_size)
                source: Any = Stream(x, "x")
            else:
                source = self._batches(x, y, sample_weight, None, batch_size_of(batch_size))
            try:
                logs = self._test(source, steps, calls, Progress(verbose))
            finally:
                if isinstance(source, Stream):
                    source.close()
        return _returned(logs, return_dict)

    def _calls(self, callbacks: Any, verbose: Any) -> CallbackList:
        """The callbacks of evaluate or predict."""
        if isinstance(callbacks, CallbackList):
            return callbacks
        return CallbackList(callbacks, model=self, verbose=verbose)

    def _test(self, source: Any, steps: int | None, callbacks: Any, progress: Progress | None) -> dict[str, float]:
        """The logs of a run over batches without learning."""
        plan = self._need_compiled()
        callbacks.on_test_begin()
        if progress is not None:
            total = steps if steps is not None else len(source) if isinstance(source, Batches) else source.length
            progress.begin(None, total)
            progress.epoch_begin(0)
        first = True
        done = 0
        for batches in self._pieces(source, steps):
            if first:
                plan.reset(testing=True)
                first = False
            tester = plan.trainer(testing=True)
            tester.bind(batches, False, 0)
            pages = Pages(batches.x)
            step, end = 0, len(batches) if steps is None else min(len(batches), steps - done)
            most = pages.at_once(batches.size) or end
            while step < end:
                if callbacks.needs_test_batches:
                    callbacks.on_test_batch_begin(done)
                    step = tester.run(step, step + 1, False, None, 0.0, 0.0)
                    callbacks.on_test_batch_end(done, plan.logs(testing=True))
                    done += 1
                    pages.took(batches.size)
                else:
                    now = tester.run(step, min(end, step + most), False, None, 0.0, SLICE)
                    done += now - step
                    pages.took((now - step) * batches.size)
                    step = now
                if progress is not None:
                    progress.update(done, plan.logs(testing=True))
        if first:
            raise ValueError("x: there were no batches to evaluate")
        logs = plan.logs(testing=True)
        if progress is not None:
            progress.update(done, logs, final=True)
            progress.epoch_end(0, logs)
            progress.end()
        callbacks.on_test_end(logs)
        return logs

    def _pieces(self, source: Any, steps: int | None) -> Iterator[Batches]:
        """Batches as they are, or each batch of a stream by itself."""
        if isinstance(source, Batches):
            yield source
            return
        for x, y, w in source.batches(steps):
            yield self._one_batch(x, y, w)

    # ------------------------------------------------------------------------------------------------------- predict

    def predict(
        self,
        x: Any,
        batch_size: int | None = None,
        verbose: Any = "auto",
        steps: int | None = None,
        callbacks: Any = None,
        out: FloatArray | None = None,
    ) -> FloatArray:
        """The output for samples, as an array.

        Parameters
        ----------
        x : array_like, or an iterable of batches
        batch_size : int, optional
            Accepted for Keras's sake: the rows of the result do not depend on it.
        verbose : {"auto", 0, 1, 2}
        steps : int, optional
            How many batches of an iterable to take.
        callbacks : list, optional
        out : ndarray, optional
            Where the result goes: of its shape, C-contiguous and of the model's dtype.

        Examples
        --------
        >>> import numpy as np
        >>> import fastnn
        >>> model = fastnn.Sequential([fastnn.Input((1,)), fastnn.Dense(1)], seed=0)
        >>> model.compile(fastnn.optimizers.SGD(0.1), "mse", metrics=["mae"])
        >>> x = np.array([[0.0], [1.0], [2.0]])
        >>> y = 2 * x + 1
        >>> model.predict(x, verbose=0).shape
        (3, 1)
        """
        self._refuse_while_fitted()
        calls = self._calls(callbacks, verbose)
        progress = Progress(verbose)
        if gives_batches(x):
            if out is not None:
                raise ValueError("out: an iterable's number of samples is not known beforehand; leave it out")
            with contextlib.closing(Stream(x, "x")) as stream:
                parts = [np.asarray(part) for part in self._predict_stream(stream, steps, calls, progress)]
            if not parts:
                raise ValueError("x: there were no batches to predict")
            return np.concatenate(parts)
        array = self._inputs(x)
        engine = self._need_built()
        shape = (len(array), *engine.output_shape)
        result = np.empty(shape, self._dtype) if out is None else _validate.destination(out, "out", shape, self._dtype)
        size = batch_size_of(batch_size)
        if steps is not None:
            array, result = array[: steps * size], result[: steps * size]
        callbacks_want = calls.needs_predict_batches
        piece = size if callbacks_want else max(size, engine.chunk_rows() * 8)
        total = -(-len(array) // size)
        pages = Pages(array)
        calls.on_predict_begin()
        progress.begin(None, total)
        progress.epoch_begin(0)
        for begin in range(0, len(array), piece):
            if callbacks_want:
                calls.on_predict_batch_begin(begin // size)
            rows = slice(begin, begin + piece)
            engine.predict(_data.precision(array[rows], self._dtype), result[rows])
            pages.took(len(result[rows]))
            if callbacks_want:
                calls.on_predict_batch_end(begin // size, {"outputs": result[rows]})
            progress.update(min(total, -(-(begin + piece) // size)))
        progress.update(total, final=True)
        progress.epoch_end(0)
        progress.end()
        calls.on_predict_end()
        return result

    def _predict_stream(self, stream: Any, steps: int | None, calls: Any, progress: Any) -> Iterator[FloatArray]:
        calls.on_predict_begin()
        progress.begin(None, steps if steps is not None else stream.length)
        progress.epoch_begin(0)
        done = 0
        for done, (x, _, _) in enumerate(stream.batches(steps), 1):
            calls.on_predict_batch_begin(done - 1)
            y = self(x)
            calls.on_predict_batch_end(done - 1, {"outputs": y})
            progress.update(done)
            yield y
        progress.update(done, final=True)
        progress.epoch_end(0)
        progress.end()
        calls.on_predict_end()

    def predict_on_batch(self, x: Any) -> FloatArray:
        """The output for one batch."""
        return self(x)

    # ------------------------------------------------------------------------------------------------- single batches

    def _one_batch(self, x: Any, y: Any, sample_weight: Any, class_weight: Any = None) -> Batches:
        """All samples as one batch."""
        n = len(x) if hasattr(x, "__len__") else 0
        return self._batches(x, y, sample_weight, class_weight, max(1, n))

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
        if sample_weight is None and class_weight is None and self._quick_step(x, y):
            plan = self._need_compiled()
            if not plan.metrics and not return_dict:
                return plan.trainer().loss
            logs = plan.logs()
            return _returned(logs, return_dict)
        with self._alone("train_on_batch"):
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
        return _returned(logs, return_dict)

    def _quick_step(self, x: Any, y: Any) -> bool:
        """A step that needs no preparation, because one of its like came before; False, and nothing done, otherwise."""
        plan, optimizer = self._plan, self.optimizer
        if plan is None or plan.trainers[0] is None or optimizer._stale or type(optimizer._learning_rate) is not float:
            return False
        if not self._lock.acquire(blocking=False):
            return False
        trainer = plan.trainers[0]
        try:
            self._owner = threading.get_ident()
            plan.bind_gradients(self)
            plan.reset()
            done: bool = trainer.quick_step(x, y, optimizer._learning_rate, self._forwards)
            self._forwards += done
        except NotFinite:
            raise self._diverged(trainer, 0, 0, optimizer._steps) from None
        finally:
            self._owner = None
            self._lock.release()
        return done

    def test_on_batch(self, x: Any, y: Any = None, sample_weight: Any = None, return_dict: bool = False) -> Any:
        """The loss and metrics of one batch."""
        with self._alone("test_on_batch", trains=False):
            batches = self._one_batch(x, y, sample_weight)
            plan = self._need_compiled()
            plan.reset(testing=True)
            tester = plan.trainer(testing=True)
            tester.bind(batches, False, 0)
            tester.run(0, 1, False, None, 0.0, SLICE)
            logs = plan.logs(testing=True)
        return _returned(logs, return_dict)

    def gradients(
        self, x: Any, y: Any = None, sample_weight: Any = None, training: bool = False
    ) -> tuple[float, list[FloatArray]]:
        """The loss of a batch, and its gradient by each of the weights that learn, in the order of `trainable_weights`;
        regularizers included in both."""
        with self._alone("gradients"):
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
        if self._engine is None:
            self.build((None, *(int(n) for n in state["input_shape"])))
        self._ready_optimizer()
        weights = state["weights"]
        self.set_weights([weights[str(i)] for i in range(len(weights))])
        self.optimizer.set_state(state["optimizer"])
        self._forwards = int(state["forwards"])
        self._reseed(int(state["seed"]))
        self._need_compiled().set_sums(state["sums"])
        if self._stream is not None and state["stream"] is not None:
            self._stream.restore(state["stream"])

    _stream: Any = None  # of the fit that is running

    # What Sequential defines

    def _inputs(self, x: Any, name: str = "x") -> npt.NDArray[Any]:
        raise NotImplementedError

    def _need_built(self) -> "Engine":
        raise NotImplementedError

    def _variables(self) -> list[Any]:
        raise NotImplementedError

    def _gradient_of(self, v: Any) -> FloatArray:
        raise NotImplementedError

    def _refresh(self) -> None:
        raise NotImplementedError

    def _reseed(self, seed: int) -> None:
        raise NotImplementedError

    def build(self, input_shape: Sequence[int | None] | None = None) -> None:
        raise NotImplementedError

    def _unbuild(self) -> Callable[[], None]:
        raise NotImplementedError

    def get_weights(self) -> list[FloatArray]:
        raise NotImplementedError

    def set_weights(self, weights: Sequence[Any]) -> None:
        raise NotImplementedError

    def __call__(self, x: Any, training: bool = False) -> FloatArray:
        raise NotImplementedError

    _engine: Any

    @property
    def built(self) -> bool:
        raise NotImplementedError


def _returned(logs: Mapping[str, float], return_dict: bool) -> Any:
    """Logs as Keras returns them: a dict by name, or the numbers, without a list where there is one."""
    if return_dict:
        return dict(sorted(logs.items()))
    values = list(logs.values())
    return values[0] if len(values) == 1 else values
