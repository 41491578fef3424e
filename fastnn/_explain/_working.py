"""The working of one step in numbers: forward, loss, backward and update, layer by layer, in double precision.

The step itself is taken by a copy of the model, so that the update is what its optimizer does, and the model stays as
it is.
"""

import copy
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from fastnn import _compiled, _data, activations, optimizers
from fastnn._program import Builder, Variable
from fastnn.layers import Dense, Flatten, Layer, Reshape
from fastnn.losses._base import TableSamples

Doubles = npt.NDArray[np.float64]

MOST = 20_000  # numbers that an explanation may be made of: it is for networks that fit a page


@dataclass
class Weight:
    """Weights of a dense layer before and after the step."""

    name: str  # "w" or "b"
    variable: Variable
    before: Doubles
    learns: bool
    gradient: Doubles | None = None
    penalty: Doubles | None = None  # what a regularizer adds to the gradient
    after: Doubles = field(default_factory=lambda: np.zeros(0))


@dataclass
class Stage:
    """One layer as it is shown: a Dense with the activation behind it, an activation by itself, or any other.

    Arrays of a stage have the batch first. x goes in, z = x W + b, a = f(z) comes out; dx, dz and da are the
    derivatives of the cost by them. Layers that are not dense have no z of their own unless they are activations.
    """

    kind: str  # "dense", "activation", "shape" or "other"
    place: int  # where its first layer stands in the model
    layer: Layer
    number: int  # what its names carry; 0 for one that only changes the shape
    form: Any = None  # the activation
    regularizer: Any = None  # of the output
    weights: list[Weight] = field(default_factory=list)
    x: Doubles = field(default_factory=lambda: np.zeros(0))
    z: Doubles | None = None
    a: Doubles = field(default_factory=lambda: np.zeros(0))
    slope: Doubles | None = None  # f'(z), where f is a function of one number
    da: Doubles | None = None
    dz: Doubles | None = None
    dx: Doubles | None = None
    fused: bool = False  # the loss is computed from z
    tape: Any = None

    @property
    def activation(self) -> str:
        if self.form is None:
            return ""
        return self.form.row.name if self.form.row is not None else str(self.form.config)


@dataclass
class Working:
    """All numbers of one step."""

    stages: list[Stage]
    x: Doubles
    y: Doubles | None
    losses: Doubles
    cost: float
    penalty: float
    loss: Any
    loss_weight: float
    optimizer: Any
    rate: float
    plain: bool  # w - rate * gradient is what the update comes to
    single: bool  # computed in float32
    after: "Working | None" = None


def stages_of(model: Any) -> list[Stage]:
    """The layers of a model as they are shown."""
    stages: list[Stage] = []
    number = 0
    for place, layer in enumerate(model._stack):
        form = _form_of(layer)
        kind = _kind_of(layer, form)
        if kind == "activation" and stages and _awaits_activation(stages[-1]):
            stages[-1].form, stages[-1].regularizer = form, layer.activity_regularizer
            continue
        number += kind != "shape"
        stages.append(Stage(kind, place, layer, number if kind != "shape" else 0, form, layer.activity_regularizer))
        if kind == "dense":
            stages[-1].weights = [
                Weight(name, v, v.array.astype(np.float64), model._learns(v))
                for name, v in zip("wb", layer._variables, strict=False)
            ]
    return stages


def _form_of(layer: Layer) -> Any:
    """The activation of a layer that is one, or has one, along the last axis."""
    last = len(layer._input_shape or ())  # the batch counted
    return getattr(layer, "_form", None) if getattr(layer, "axis", -1) in (-1, [-1], last, [last]) else None


def _kind_of(layer: Layer, form: Any) -> str:
    if isinstance(layer, Dense):
        return "dense"
    if isinstance(layer, (Flatten, Reshape)):
        return "shape"
    return "other" if form is None else "activation"


def _awaits_activation(stage: Stage) -> bool:
    """A linear dense layer, whose activation may be the next layer."""
    return stage.kind == "dense" and bool(stage.form.is_linear) and stage.regularizer is None


def work_out(model: Any, x: Any, y: Any) -> Working:
    """One step of a model on (x, y), by a copy of it."""
    model._check_built()
    model._need_compiled()
    _refuse_inner_penalties(model)
    if not any(stage.number for stage in stages_of(model)):
        raise ValueError(f"model: the layers of {model.name} only change shapes, so that there is nothing to explain")
    twin, stepped = copy.deepcopy(model), copy.deepcopy(model)
    stepped.train_on_batch(x, y)  # checks the data too
    twin._need_built()
    before = _pass(twin, x, y, training=True)
    _backward(twin, before)
    after = _pass(stepped, x, y, training=False)
    for stage, later in zip(before.stages, after.stages, strict=True):
        for weight, new in zip(stage.weights, later.weights, strict=True):
            weight.after = new.before
    before.after = after
    before.plain = _is_plain(before)
    return before


def _refuse_inner_penalties(model: Any) -> None:
    for layer in model._stack:
        for inner in layer._flat()[1:]:
            if inner.activity_regularizer is not None:
                raise ValueError(
                    f"model: {inner.name!r}, inside {layer.name!r}, has an activity_regularizer, which explain cannot "
                    "show there; leave it out"
                )


# -------------------------------------------------------------------------------------------------------------- forward


def _pass(model: Any, x: Any, y: Any, training: bool) -> Working:
    """Forward through all layers, and the loss."""
    given = np.asarray(model._inputs(x), np.float64)
    stages = stages_of(model)
    rows = given
    for stage in stages:
        rows = _forward(model, stage, rows, training)
    _refuse_large(stages, model.name)
    plan = model._need_compiled()
    targets = None if y is None else _data.as_array(y, "y")
    losses, cost = _loss(plan, stages, targets, rows)
    penalty = _penalty(model, stages)
    optimizer = model.optimizer
    return Working(
        stages, given, None if targets is None else targets.astype(np.float64), losses, cost + penalty, penalty,
        plan.loss, plan.weight, optimizer, optimizer.learning_rate, False, model.dtype == "float32",
    )  # fmt: skip


def _refuse_large(stages: list[Stage], name: str) -> None:
    count = sum(stage.x.size + 2 * stage.a.size + sum(4 * w.before.size for w in stage.weights) for stage in stages)
    if count > MOST:
        raise ValueError(
            f"model: the working of {name} on {len(stages[0].x)} sample(s) has about {count:,} numbers, more than the "
            f"{MOST:,} that anybody reads; pass fewer samples or a smaller model"
        )


def _forward(model: Any, stage: Stage, x: Doubles, training: bool) -> Doubles:
    stage.x = x
    if stage.kind == "shape":
        stage.a = x.reshape(len(x), *stage.layer._output_of(x.shape[1:]))
    elif stage.kind == "other":
        y, stage.tape = _tape(model, stage, x, training)
        stage.a = y.astype(np.float64)
    else:
        stage.z = _linear(stage, x)
        stage.a = _activated(stage.form, stage.z)
    return stage.a


def _linear(stage: Stage, x: Doubles) -> Doubles:
    z = x
    for weight in stage.weights:
        z = z @ weight.before if weight.name == "w" else z + weight.before
    return z


def _activated(form: Any, z: Doubles) -> Doubles:
    function = form.function or getattr(activations, form.row.name)
    return np.asarray(function(z, **_parameters(form)), np.float64)


def _parameters(form: Any) -> dict[str, float]:
    """The numbers that shape an activation of the table."""
    if form.row is None:
        return {}
    return {p.name: float(value) for p, value in zip(form.row.parameters, form.values, strict=False)}


def _tape(model: Any, stage: Stage, x: Doubles, training: bool) -> Any:
    """The output of a layer of another kind, and its tape; its masks are those that the model's step has."""
    ahead = Builder(model._input)
    inside = ahead.input
    for layer in model._stack[: stage.place]:
        inside = layer.emit(ahead, inside)
    builder = Builder(x.shape[1:])
    builder.nested, builder.last_layer = ahead.nested, True
    builder.output = stage.layer.lower(builder, builder.input)
    return model._engine_of(builder).start_tape(_data.precision(x, model._dtype), training, model._forwards)


# ----------------------------------------------------------------------------------------------------------------- loss


def _is_fused(plan: Any, stages: list[Stage], samples: Any) -> bool:
    """Whether the model computes the loss from what the last activation reads."""
    last = stages[-1]
    if last.form is None or not isinstance(samples, TableSamples):
        return False
    return (last.activation, _compiled.NAMES[samples.kind]) in _compiled.FUSED


def _from_logits(loss: Any) -> Any:
    return type(loss).from_config(loss.get_config() | {"from_logits": True})


def _loss(plan: Any, stages: list[Stage], y: Any, output: Doubles) -> tuple[Doubles, float]:
    """The loss of each sample, and the cost."""
    loss, last = plan.loss, stages[-1]
    samples = loss._samples(y, output)
    last.fused = _is_fused(plan, stages, samples)
    if last.fused:
        loss = _from_logits(loss)
        samples = loss._samples(y, last.z)
    weighting = loss._weighting(samples, None)
    return np.asarray(samples.values(), np.float64), plan.weight * weighting.reduce(samples.values())


def _output_gradient(plan: Any, y: Any, output: Any, loss: Any) -> Doubles:
    gradient: Doubles = plan.weight * np.asarray(loss.gradient(y, output), np.float64).reshape(output.shape)
    return gradient


def _penalty(model: Any, stages: list[Stage]) -> float:
    """What regularizers add to the cost."""
    learns = [v for v in model._variables() if model._learns(v)]
    total = sum(float(v.regularizer(v.array)) for v in learns if v.regularizer is not None)
    for stage in stages:
        if stage.regularizer is not None:
            total += float(stage.regularizer(stage.a)) / len(stage.a)
    return total


# ------------------------------------------------------------------------------------------------------------- backward


def _backward(model: Any, working: Working) -> None:
    """da, dz, dx and the gradients of the weights, from the last layer to the first."""
    plan, last = model._need_compiled(), working.stages[-1]
    y = working.y
    fused = None
    if last.fused:
        fused = _output_gradient(plan, y, last.z, _from_logits(plan.loss))
        d = _by_sigmoid(last, fused) if last.activation == "sigmoid" else None
    else:
        d = _output_gradient(plan, y, last.a, plan.loss)
    for stage in reversed(working.stages):
        extra = None
        if stage.regularizer is not None:
            extra = np.asarray(stage.regularizer.gradient(stage.a), np.float64) / len(stage.a)
        if extra is not None and d is not None:
            d = d + extra
        stage.da = d
        d = stage.dx = _back(stage, d, fused if stage is last else None, extra)
        stage.tape = None


def _by_sigmoid(stage: Stage, dz: Doubles) -> Doubles | None:
    """dL/da of a sigmoid's output, where the loss was computed from z; None where a is 0 or 1."""
    slope = stage.a * (1 - stage.a)
    return dz / slope if slope.all() else None


def _back(stage: Stage, da: Doubles | None, dz: Doubles | None, extra: Doubles | None) -> Doubles:
    if stage.kind == "shape":
        assert da is not None
        return da.reshape(stage.x.shape)
    if stage.kind == "other":
        assert da is not None
        return np.asarray(stage.tape.backward(da.astype(stage.layer.dtype)), np.float64).reshape(stage.x.shape)
    assert stage.z is not None
    form = stage.form
    if form.function is not None:
        stage.slope = np.asarray(form.function.derivative(stage.z), np.float64) * np.ones_like(stage.z)
    elif not form.row.rowwise:
        slope = activations.derivative(form.row.name, **_parameters(form))
        stage.slope = np.asarray(slope(stage.z), np.float64)
    if dz is not None:
        stage.dz = dz if extra is None else dz + _through(stage, extra)
    else:
        assert da is not None
        stage.dz = _through(stage, da)
    return _into_weights(stage, stage.dz)


def _through(stage: Stage, da: Doubles) -> Doubles:
    """da times the derivative of the activation."""
    if stage.slope is not None:
        return da * stage.slope
    return np.asarray(activations.derivative(stage.form.row.name)(stage.z, da), np.float64)


def _into_weights(stage: Stage, dz: Doubles) -> Doubles:
    """The gradients of the weights, and dx."""
    dx = dz
    rows = dz.reshape(-1, dz.shape[-1])
    for weight in stage.weights:
        if weight.name == "w":
            dx = dz @ weight.before.T
            gradient = stage.x.reshape(-1, stage.x.shape[-1]).T @ rows
        else:
            gradient = rows.sum(axis=0)
        if not weight.learns:
            continue
        regularizer = weight.variable.regularizer
        if regularizer is not None:
            weight.penalty = np.asarray(regularizer.gradient(weight.variable.array), np.float64)
            gradient = gradient + weight.penalty
        weight.gradient = gradient
    return dx


def _is_plain(working: Working) -> bool:
    """Whether the update is w - rate * gradient: gradient descent, and nothing clipped, decayed or constrained."""
    if type(working.optimizer) is not optimizers.SGD:
        return False
    near = 1e-6 if working.single else 1e-12
    return all(
        np.allclose(w.after, w.before - working.rate * w.gradient, rtol=near, atol=near)
        for stage in working.stages
        for w in stage.weights
        if w.gradient is not None
    )
