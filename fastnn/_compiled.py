"""What compile() was given, turned into what the engine's trainer takes once the data's shapes are known."""

import copy
from typing import Any, Self

import numpy as np
import numpy.typing as npt

import fastnn
from fastnn import _validate, losses
from fastnn._core import losses as _core_losses
from fastnn._core import metrics as _core_metrics
from fastnn._core.train import Trainer
from fastnn.layers._base import OutputPenalty
from fastnn.losses._base import KINDS, Loss, TableLoss, TableSamples

# Activations of the last op that a loss takes the place of: it is computed from what they read.
FUSED = {
    ("sigmoid", "binary_crossentropy"),
    ("softmax", "categorical_crossentropy"),
    ("softmax", "sparse_categorical_crossentropy"),
}
BY_SHAPE = {"accuracy", "acc", "crossentropy", "ce"}
NAMES = [row["name"] for row in _core_losses.ROWS]


def as_list(value: Any, name: str) -> list[Any]:
    """Metrics as a list; what Keras takes for several outputs is taken for the one there is."""
    if value is None:
        return []
    if isinstance(value, dict):
        if len(value) > 1:
            raise ValueError(f"{name}: a Sequential model has one output, got a dict of {len(value)}")
        return as_list(next(iter(value.values()), None), name)
    if isinstance(value, (list, tuple)):
        return list(value[0]) if len(value) == 1 and isinstance(value[0], (list, tuple)) else list(value)
    return [value]


class Plan:
    """Loss and metrics of a compiled model, and the trainers made of them."""

    def __init__(self, loss: Any, loss_weights: Any, metrics: Any, weighted_metrics: Any) -> None:
        self.given_loss = loss
        if isinstance(loss, (list, tuple)) and len(loss) == 1:
            loss = loss[0]
        if isinstance(loss, dict) and len(loss) == 1 and "class_name" not in loss:
            loss = next(iter(loss.values()))
        self.loss: Loss = None if loss is None else losses.as_loss(loss)  # type: ignore[assignment]
        if self.loss is not None and self.loss.reduction in (None, "none"):
            raise ValueError("loss: reduction 'none' gives no number to make small; use 'sum_over_batch_size' or 'sum'")
        if isinstance(loss_weights, (list, tuple)) and len(loss_weights) == 1:
            loss_weights = loss_weights[0]
        self.weight = 1.0 if loss_weights is None else _validate.number(loss_weights, "loss_weights")
        self.given = [(m, False) for m in as_list(metrics, "metrics")]
        self.given += [(m, True) for m in as_list(weighted_metrics, "weighted_metrics")]
        for m, _ in self.given:
            if not (isinstance(m, str) and m in BY_SHAPE):
                fastnn.metrics.as_metric(m)  # so that an unknown name is refused at once
        self.metrics: list[tuple[Any, bool]] = []
        self.pending: dict[str, Any] | None = None  # sums for trainers that are not made yet
        self.forget()

    def forget(self) -> None:
        """The model's ops are others now."""
        self.signature: Any = None
        self.trainers: list[Trainer | None] = [None, None]

    def __getstate__(self) -> dict[str, Any]:
        return {k: v for k, v in self.__dict__.items() if k not in ("signature", "trainers", "samples")}

    def __setstate__(self, kept: dict[str, Any]) -> None:
        self.__dict__.update(kept, samples=None)
        self.forget()

    def apart(self) -> Self:
        """A plan of the same loss and metrics with state of its own, for an evaluation within another call."""
        twin = copy.copy(self)
        twin.metrics = [(copy.deepcopy(metric), weighted) for metric, weighted in self.metrics]
        twin.pending = None
        return twin

    @property
    def all_metrics(self) -> list[Any]:
        return [m for m, _ in self.metrics]

    # -------------------------------------------------------------------------------------------------------- results

    def reset(self, testing: bool = False) -> None:
        """Begin the means anew."""
        if not testing:
            self.pending = None
        trainer = self.trainers[testing]
        if trainer is not None:
            trainer.reset()
        for m, _ in self.metrics:
            m.reset_state()

    def logs(self, testing: bool = False) -> dict[str, Any]:
        """The loss and the metrics since reset."""
        trainer = self.trainers[testing]
        if trainer is None:  # gone on with behind the last batch of an epoch, and no batch seen since
            total, samples = self.pending["loss"] if self.pending else (0.0, 0.0)
            return {"loss": float(total) / float(samples) if samples else 0.0}
        return {"loss": trainer.loss} | {name: m.result() for name, m in zip(self.names, self.all_metrics, strict=True)}

    @property
    def keeps_records(self) -> bool:
        """Whether the trainer can record the metrics of many epochs, without Python in between."""
        return self.trainer().python_metrics is None and all(map(_is_ours, self.all_metrics))

    def columns(self, records: npt.NDArray[np.float64]) -> dict[str, list[Any]]:
        """Loss and metrics of epochs that were recorded: a list for each name."""
        columns = {"loss": records[:, 0].tolist()}
        for i, (name, m) in enumerate(zip(self.names, self.all_metrics, strict=True)):
            now = m.state.copy()
            columns[name] = values = []
            for sums in records[:, 1 + 2 * i : 3 + 2 * i]:
                m.state[...] = sums
                values.append(m.result())
            m.state[...] = now
        return columns

    @property
    def names(self) -> list[str]:
        """The metrics' names in the logs, as Keras makes them differ: weighted_ in front, or a number behind."""
        counts: dict[str, int] = {}

        def numbered(name: str) -> str:
            number = counts.get(name, 0)
            counts[name] = number + 1
            return f"{name}_{number}" if number else name

        return [
            numbered(f"weighted_{m.name}" if weighted and m.name in counts else m.name) for m, weighted in self.metrics
        ]

    def get_sums(self) -> dict[str, Any]:
        """What `logs` is made of, in the middle of an epoch."""
        trainer = self.trainers[0]
        sums = (0.0, 0.0) if trainer is None else trainer.sums
        states = {str(i): [np.array(v) for v in m.variables] for i, (m, _) in enumerate(self.metrics)}
        return {"loss": list(sums), "metrics": states}

    def set_sums(self, sums: dict[str, Any]) -> None:
        if self.trainers[0] is None:
            self.pending = sums
            return
        self.trainers[0].sums = float(sums["loss"][0]), float(sums["loss"][1])
        for i, (m, _) in enumerate(self.metrics):
            for variable, value in zip(m.variables, sums["metrics"].get(str(i), []), strict=False):
                variable[...] = value

    # ------------------------------------------------------------------------------------------------------ preparation

    def prepare(self, model: Any, samples: TableSamples | None, truth: Any) -> None:
        """Make metrics and trainers for data of this kind, where they are not made yet."""
        shape = None if truth is None else truth.shape[1:]
        signature = (
            id(model._engine), None if samples is None else (samples.kind, samples.d, samples.shape[1:]), shape,
            None if truth is None else truth.dtype,
        )  # fmt: skip
        if signature == self.signature:
            return
        if not self.metrics and self.given:
            self.metrics = [(self._metric(m, model._output, samples, truth), weighted) for m, weighted in self.given]
        self.samples = None if samples is None else samples.without_arrays()
        self.trainers = [self.make_trainer(model), self.make_trainer(model)]
        self.signature = signature
        if self.pending is not None:
            pending, self.pending = self.pending, None
            self.set_sums(pending)

    def remake(self, model: Any) -> None:
        """Make the trainers anew, for a model whose ops were lowered again on the same weights."""
        if self.signature is not None:
            self.trainers = [self.make_trainer(model), self.make_trainer(model)]
            self.signature = (id(model._engine), *self.signature[1:])

    def _metric(self, given: Any, output: tuple[int, ...], samples: TableSamples | None, truth: Any) -> Any:
        """A metric object; "accuracy" and "crossentropy" by what the output and the targets look like."""
        if not (isinstance(given, str) and given in BY_SHAPE):
            metric = fastnn.metrics.as_metric(given)
            if isinstance(given, str):
                metric.name = given  # as Keras: the key of the history is what was asked for
            return metric
        binary = output[-1:] == (1,)
        shape = () if truth is None else truth.shape[1:]
        sparse = not binary and (shape == output[:-1] or shape[-1:] == (1,))
        kind = "Binary" if binary else "SparseCategorical" if sparse else "Categorical"
        what = "Accuracy" if given in ("accuracy", "acc") else "Crossentropy"
        return getattr(fastnn.metrics, kind + what)(name=given)

    def make_trainer(self, model: Any, counting: bool = True) -> Trainer:
        """A trainer for the model as it is; without `counting`, one that leaves the metrics alone."""
        optimizer = model.optimizer
        objective, fused = self.objective(model)
        native, python = [], []
        for m, weighted in self.metrics if counting else []:
            row = self._native(m, self.samples, model._output)
            if row is None:
                python.append((m, weighted))
            else:
                native.append(row | {"weighted": weighted})
        from_logits = all(row["argmax"] for row in native) and not python
        in_python = (
            optimizer._in_python
            or optimizer._adds_penalties
            or any(c is not None for c in optimizer._later_constraints)
        )
        self.updates_in_place = not in_python
        self.bind_gradients(model)
        return Trainer(
            model._engine, objective, fused, native, not from_logits, optimizer._updater,
            python_metrics=PythonMetrics(python) if python else None,
            python_update=PythonUpdate(model) if in_python else None,
            python_penalty=PythonPenalty(model, in_python) if in_python or _output_penalties(model) else None,
        )  # fmt: skip

    def objective(self, model: Any) -> tuple[Any, bool]:
        """The loss as a trainer takes it, and whether it takes the place of the activation of the last op."""
        samples, last, output = self.samples, model._last_op, model._output
        if samples is None:
            return PythonLoss(self.loss, self.weight), False
        name = NAMES[samples.kind]
        fused = last is not None and (last.get("name"), name) in FUSED
        checks = getattr(type(self.loss), "_check", None)
        return {
            "kind": KINDS[name + "_from_logits"] if fused else samples.kind,
            "labels": _core_losses.ROWS[samples.kind]["layout"] == "L",
            "rows": int(np.prod(samples.shape[1:])),
            "d": samples.d,
            "parameters": samples.parameters,
            "reduction": self.loss.reduction,
            "ignored": getattr(self.loss, "ignore_class", None),
            "weight": self.weight,
            "quick": checks in (TableLoss._check, losses.BinaryCrossentropy._check)
            and all(map(_is_ours, self.all_metrics))
            and (samples.shape[1:], samples.d) == (output[:-1], output[-1]),
            "in_unit": isinstance(self.loss, losses.BinaryCrossentropy),
        }, fused

    def bind_gradients(self, model: Any) -> None:
        """Have the optimizer read the model's gradients: it may have been applied to others."""
        updater = model.optimizer._updater
        if not self.updates_in_place or updater.merged:
            return
        if not updater.bind([model._gradient_of(v) for v in model._variables() if v.in_trainables]):
            raise RuntimeError("optimizer: its variables were replaced since it was built; compile again")
        updater.touch([v.touched for v in model._variables() if v.in_trainables])
        updater.merge()

    def _native(self, metric: Any, samples: TableSamples | None, output: tuple[int, ...]) -> dict[str, Any] | None:
        """A metric as the trainer's own, where it is one that the core has and y_true lies as it wants."""
        if metric.native is None or samples is None or samples.shape[1:] != output[:-1]:
            return None
        source, kind, parameters = metric.native
        row = (_core_metrics.ROWS if source == "metric" else _core_losses.ROWS)[kind]
        if row["layout"] != _core_losses.ROWS[samples.kind]["layout"]:
            return None
        ignores = getattr(self.loss, "ignore_class", None) is not None
        if ignores and row["name"] != "sparse_categorical_accuracy":
            return None  # it would look up the ignored class, which need not be one; in Python it is refused
        return {
            "is_loss": source == "loss", "kind": kind, "rows": int(np.prod(output[:-1])), "d": output[-1],
            "parameters": parameters, "state": metric.state,
            "argmax": source == "metric" and row["name"].endswith("categorical_accuracy"),
        }  # fmt: skip

    def release_data(self) -> None:
        """Let the caller's arrays go, when a run over them is over."""
        for trainer in self.trainers:
            if trainer is not None:
                trainer.unbind()

    def trainer(self, testing: bool = False) -> Trainer:
        found = self.trainers[testing]
        assert found is not None
        return found


def _is_ours(metric: Any) -> bool:
    """Whether how a metric begins anew and what it gives are fastnn's own: of its sums and nothing else."""
    return all(
        name not in vars(metric) and str(getattr(getattr(type(metric), name), "__module__", "")).startswith("fastnn.")
        for name in ("result", "reset_state")
    )


class PythonLoss:
    """A loss that the core does not have, as the trainer calls it."""

    def __init__(self, loss: Loss, weight: float) -> None:
        self.loss, self.weight = loss, weight

    def __call__(self, y_true: Any, y_pred: Any, weights: Any, with_gradient: bool) -> tuple[float, Any]:
        if not with_gradient:
            return self.weight * float(self.loss(y_true, y_pred, weights)), None
        value, gradient = self.loss.value_and_gradient(y_true, y_pred, weights)
        return self.weight * float(value), gradient if self.weight == 1 else gradient * gradient.dtype.type(self.weight)


class PythonMetrics:
    """Metrics that the core does not have, as the trainer calls them."""

    def __init__(self, metrics: list[tuple[Any, bool]]) -> None:
        self.metrics = metrics
        self.before: list[list[npt.NDArray[Any]]] = []

    def __call__(self, y_true: Any, y_pred: Any, weights: Any) -> None:
        self.before = [[np.array(v) for v in metric.variables] for metric, _ in self.metrics]
        for metric, weighted in self.metrics:
            metric.update_state(y_true, y_pred, weights if weighted else None)

    def discount(self) -> None:
        """Take the last batch out again: its step was refused."""
        for (metric, _), values in zip(self.metrics, self.before, strict=True):
            for variable, value in zip(metric.variables, values, strict=True):
                variable[...] = value


class PythonUpdate:
    """An optimizer with a part in Python, as the trainer calls it."""

    def __init__(self, model: Any) -> None:
        self.model = model

    def __call__(self, rate: float) -> tuple[int, int] | None:
        model = self.model
        refused: tuple[int, int] | None = model.optimizer._apply_checked(
            [model._gradient_of(v) for v in model._variables() if v.in_trainables]
        )
        return refused


class PythonPenalty:
    """What regularizers add to the loss: those of outputs, and of weights where the optimizer's plan adds none."""

    def __init__(self, model: Any, of_weights: bool) -> None:
        self.model, self.of_weights = model, of_weights

    def __call__(self) -> float:
        total: float = sum(output.penalty() for output in _output_penalties(self.model))
        if self.of_weights:
            learns = (v for v in self.model._variables() if v.in_trainables)
            total += sum(float(v.regularizer(v.array)) for v in learns if v.regularizer is not None)
        return total


def _output_penalties(model: Any) -> list[Any]:
    return [layer for layer in model._engine.layers if isinstance(layer, OutputPenalty)]
