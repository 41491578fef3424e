"""How a model learns, as compile was told, and who may work with it: what fit, evaluate and predict share."""

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from fastnn import _compiled, _data, _validate, optimizers
from fastnn._core.batches import Batches
from fastnn._maps import mapped
from fastnn._validate import FloatArray
from fastnn.errors import ArgumentError, NotCompiledError

if TYPE_CHECKING:
    from fastnn._core.engine import Engine
    from fastnn._core.exclusive import Exclusive


class Compiling:
    """compile; one caller at a time; data as batches."""

    name: str
    seed: int
    _dtype: np.dtype[Any]
    _input: tuple[int, ...] | None
    _output: tuple[int, ...] | None
    _op_names: list[str]

    def __init__(self) -> None:
        self._optimizer: Any = None
        self.stop_training = self.stop_evaluating = self.stop_predicting = False  # set by callbacks
        self.history: Any = None
        self._plan: _compiled.Plan | None = None
        self._learning: list[Any] = []  # the variables that the optimizer was built for
        self._forwards = 0  # training forwards so far: what masks are keyed by
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
        plan = _compiled.Plan(loss, loss_weights, metrics, weighted_metrics)
        self._learn_by(_checked_optimizer(optimizer), plan, "compile")

    @property
    def optimizer(self) -> Any:
        """The optimizer that compile was given or made. It can be replaced, but not while the model is trained."""
        return self._optimizer

    @optimizer.setter
    def optimizer(self, optimizer: Any) -> None:
        self._learn_by(_checked_optimizer(optimizer), self._plan, "optimizer")

    def _learn_by(self, optimizer: Any, plan: _compiled.Plan | None, what: str) -> None:
        with self._exclusive.changing(what):
            before = self._plan, self._optimizer
            self._plan, self._optimizer = plan, optimizer
            try:
                if plan is not None:
                    plan.forget()
                    if self.built:
                        self._need_built()
                    self._refresh()
                    if self._engine is not None:
                        self._ready_optimizer()
            except BaseException:
                self._plan, self._optimizer = before
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
            optimizer._follow(list(zip(optimizer._trainable, arrays, strict=True)))
            optimizer._updater = None
        optimizer._of_model = (
            [v.path for v in learns], [v.regularizer for v in learns], [v.constraint for v in learns]
        )  # fmt: skip
        optimizer.build(arrays)
        self._learning = learns
        if state is not None:
            optimizer.set_state(state)

    # ------------------------------------------------------------------------------------------------- one at a time

    def _refuse_while_fitted(self) -> None:
        if self._exclusive.trained_elsewhere:
            raise RuntimeError(
                f"{self.name}: another thread is training this model; wait for it, or use a copy of the model"
            )

    # ---------------------------------------------------------------------------------------------------------- data

    def _batches(
        self,
        x: Any,
        y: Any,
        sample_weight: Any,
        class_weight: Any,
        batch_size: int,
        names: str = "",
        plan: _compiled.Plan | None = None,
    ) -> Batches:
        """Arrays as batches, all of it checked; the model is built and the plan (compile's by default) made for them.

        A model that was not built yet is as it was where the data are refused: they may have had a wrong shape.
        """
        plan = plan or self._need_compiled()
        if plan.loss is None:
            raise ValueError(f"{self.name}: compile was given no loss, so there is nothing to make small; pass one")
        undo = self._unbuild()
        try:
            array = self._inputs(x, names + "x")
            n = len(array)
            if n == 0:
                raise ValueError(f"{names}x: there are no samples in it (shape {array.shape})")
            if mapped(x) is None:
                _validate.finite(array, names + "x")
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

    def _one_batch(
        self, x: Any, y: Any, sample_weight: Any, class_weight: Any = None, plan: _compiled.Plan | None = None
    ) -> Batches:
        """All samples as one batch."""
        try:
            n = len(x)
        except (TypeError, ValueError):  # it has no length, or none that is one; what it is will be seen below
            n = 0
        return self._batches(x, y, sample_weight, class_weight, max(1, n), plan=plan)

    # ------------------------------------------------------------------------------------------ what Sequential defines

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
    _exclusive: "Exclusive"

    @property
    def built(self) -> bool:
        raise NotImplementedError


def _checked_optimizer(given: Any) -> Any:
    optimizer = optimizers.get(given)
    if optimizer is None:
        raise ArgumentError("optimizer: expected a name or an Optimizer, got None")
    if optimizer._rule() is None and not optimizer._in_python:
        raise ValueError(
            f"optimizer: {type(optimizer).__name__} has no rule for a single step, as fit takes them; "
            "pass an optimizer that has, such as 'adam'"
        )
    return optimizer
