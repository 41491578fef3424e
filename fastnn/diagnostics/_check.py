"""check_gradients: a model's gradients against differences of its loss."""

import math
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from fastnn import _validate, regularizers
from fastnn._html import table
from fastnn._validate import FloatArray
from fastnn.diagnostics._copies import in_double
from fastnn.layers import Embedding, Layer

__all__ = ["GradientCheck", "ParameterCheck", "check_gradients"]

FINER = 100.0  # a second look at what seems wrong takes steps so much smaller: a corner nearby is then out of reach
BEND = 1e-2  # slopes to the left and to the right that differ by more than this share are those of a corner

Index = tuple[int, ...]


class ParameterCheck(NamedTuple):
    """How the gradient by one array compares with differences.

    error : the largest difference, as a share of the gradient; place, gradient, difference : where it is, and the two
    figures there; corners : how many of the figures lie at a corner of the loss, where the slopes to both
    sides differ and no figure is wrong; suspect : what to look at, if the gradient is wrong.
    """

    name: str
    checked: int
    error: float
    place: Index
    gradient: float
    difference: float
    corners: int
    ok: bool
    suspect: str


class GradientCheck(NamedTuple):
    """What check_gradients found: ``.ok``, the ``.loss``, ``.parameters`` and ``.inputs`` (None where x is numbers of
    rows). Printed, it says what is wrong, by how much, and what to suspect."""

    ok: bool
    loss: float
    parameters: list[ParameterCheck]
    inputs: ParameterCheck | None
    tolerance: float

    def __str__(self) -> str:
        every = [*self.parameters, *([self.inputs] if self.inputs is not None else [])]
        figures = sum(one.checked for one in every)
        corners = sum(one.corners for one in every)
        lines = []
        for one in every:
            if not one.ok:
                at = list(one.place)
                lines.append(
                    f"{one.name}{at}: the gradient is {one.gradient:.6g}, differences of the loss give "
                    f"{one.difference:.6g} (relative error {one.error:.2g}). Suspect: {one.suspect}"
                )
        if not lines:
            worst = max((one.error for one in every), default=0.0)
            lines = [
                f"the gradients are right: {figures} figures of {len(every)} arrays, relative error <= {worst:.1g}"
            ]
        if corners:
            lines.append(
                f"{corners} of the figures lie at a corner of the loss, where there is no one slope to compare with"
            )
        return "\n".join(lines)

    def __repr__(self) -> str:
        return f"GradientCheck: {self}"

    def _repr_html_(self) -> str:
        every = [*self.parameters, *([self.inputs] if self.inputs is not None else [])]
        rows = [[one.name, "yes" if one.ok else "no", str(one.checked), f"{one.error:.2g}"] for one in every]
        return table("GradientCheck", ["array", "right", "figures", "relative error"], rows, str(self).splitlines())


def check_gradients(
    model: Any,
    x: Any,
    y: Any = None,
    sample_weight: Any = None,
    *,
    training: bool = False,
    most: int = 64,
    tolerance: float = 1e-5,
    step: float = 1e-5,
    seed: int = 0,
) -> GradientCheck:
    """Compare `model.gradients`, and the gradient by x that a tape returns, with central differences of the loss.

    All is computed on a copy in float64, from the model's weights as they are: differences would be too coarse in
    float32. Where a figure seems wrong, smaller steps and the slopes to both sides tell an error from a corner of the
    loss, as relu and absolute values have.

    Parameters
    ----------
    model : Sequential
        A compiled one; it stays as it is.
    x, y, sample_weight : array_like
        One batch, as `fit` takes it. A few samples do.
    training : bool
        Let layers act as in fit, with the same masks in every forward.
    most : int
        How many figures of an array to compare at most: half of them the largest of its gradient, half at random.
    tolerance : float
        The relative error up to which a figure is right. An element counts as no smaller than its array's root mean
        square.
    step : float
        How far a weight is moved to each side, times the larger of 1 and its size.
    seed : int
        Of the choice of figures.

    Returns
    -------
    GradientCheck
        ``.ok``; ``.parameters``, for each array of weights its name, error, worst figure and suspect; ``.inputs``, the
        same for x.

    Examples
    --------
    >>> import numpy as np
    >>> import fastnn
    >>> class Twice(fastnn.layers.Layer):
    ...     def forward(self, x, training):
    ...         return 2 * x
    ...     def backward(self, dy):
    ...         return dy  # should be 2 * dy
    >>> model = fastnn.Sequential([fastnn.layers.Dense(2, name="hidden"), Twice(name="twice")], seed=0)
    >>> model.compile("sgd", "mse")
    >>> check = fastnn.diagnostics.check_gradients(model, [[1.0, 2.0, 3.0]], [[0.0, 1.0]])
    >>> check.ok, round(check.parameters[0].error, 6), check.parameters[0].suspect
    (False, 0.5, "backward of 'twice' (Twice)")
    """
    training = _validate.flag(training, "training")
    most = _validate.integer(most, "most", minimum=1)
    tolerance = _validate.number(tolerance, "tolerance", above=0)
    step = _validate.number(step, "step", above=0)
    rng = np.random.default_rng(_validate.integer(seed, "seed", minimum=0))
    twin = in_double(model)
    x = np.array(twin._inputs(x), np.float64)
    loss, gradients = twin.gradients(x, y, sample_weight, training)
    if not math.isfinite(loss):
        raise ValueError(f"model: its loss is {loss} here, so that there is nothing to compare; check weights and x")
    forwards = twin._forwards - training

    def cost() -> float:
        if not training:
            return float(twin.test_on_batch(x, y, sample_weight))
        twin._forwards = forwards  # the same masks again
        return float(twin.gradients(x, y, sample_weight, True)[0])

    if cost() != cost():
        raise ValueError(
            "model: it gives another loss for the same weights and samples each time, so that there is nothing to "
            "compare; a layer of your own that draws random numbers must draw the same ones again"
        )
    look = Look(step, tolerance, most, rng)
    learning = [v for v in twin._variables() if v.in_trainables]
    found = [look.at(cost, v.path, v.array, g) for v, g in zip(learning, gradients, strict=True)]
    inputs = None
    if not isinstance(twin._stack[0], Embedding):
        twin._forwards = forwards
        inputs = _inputs_check(look, twin, x, y, sample_weight, training)
    return _judged(twin, loss, learning, found, inputs, tolerance)


def _inputs_check(look: "Look", twin: Any, x: FloatArray, y: Any, sample_weight: Any, training: bool) -> ParameterCheck:
    """The gradient by x, of the loss as it is computed from the output."""
    loss, weight, forwards = twin._plan.loss, twin._plan.weight, twin._forwards
    output, tape = twin.forward(x, training)
    dx = tape.backward(weight * loss.gradient(y, output, sample_weight))

    def cost() -> float:
        twin._forwards = forwards
        return float(weight * loss(y, twin(x, training=training), sample_weight))

    return look.at(cost, "x", x, dx)


class Look(NamedTuple):
    """How figures are chosen and compared."""

    step: float
    tolerance: float
    most: int
    rng: np.random.Generator

    def at(self, cost: Callable[[], float], name: str, array: FloatArray, gradient: FloatArray) -> ParameterCheck:
        """Compare the gradient by an array, whose elements are moved and put back, with differences of a cost."""
        if not array.size:
            return ParameterCheck(name, 0, 0.0, (), 0.0, 0.0, 0, True, "")
        chosen = self.choose(gradient.ravel())
        places = [tuple(int(i) for i in np.unravel_index(k, array.shape)) for k in chosen]
        given = np.array([float(gradient[place]) for place in places])
        slopes = np.array([_central(cost, array, place, self.step) for place in places])
        typical = math.sqrt(float(np.mean(slopes**2)))
        middle = cost()
        corners, errors = 0, np.zeros(len(places))
        for i, place in enumerate(places):
            errors[i] = self.error(given[i], slopes[i], typical, middle, 1.0)
            if errors[i] <= self.tolerance:
                continue
            before, after = _sides(cost, array, place, self.step / FINER, middle)
            again = self.error(given[i], (before + after) / 2, typical, middle, FINER)
            if again <= self.tolerance:  # a corner was within reach of the longer step
                slopes[i], errors[i] = (before + after) / 2, again
            elif abs(before - after) > BEND * max(abs(before), abs(after), typical):
                corners, errors[i] = corners + 1, 0.0
        k = int(np.argmax(errors))
        ok = bool(errors[k] <= self.tolerance)
        return ParameterCheck(
            name, len(places), float(errors[k]), places[k], float(given[k]), float(slopes[k]), corners, ok, ""
        )

    def choose(self, gradient: FloatArray) -> npt.NDArray[np.intp]:
        """The figures to compare: all, or the largest and some others."""
        if gradient.size <= self.most:
            return np.arange(gradient.size)
        order = np.argsort(-np.abs(gradient), kind="stable")
        half = self.most // 2
        return np.concatenate([order[:half], self.rng.choice(order[half:], self.most - half, replace=False)])

    def error(self, given: float, slope: float, typical: float, loss: float, finer: float) -> float:
        """The relative error; what rounding may account for is never above the tolerance."""
        if not (math.isfinite(given) and math.isfinite(slope)):
            return math.inf
        noise = 100 * np.finfo(np.float64).eps * abs(loss) * finer / self.step
        difference = abs(given - slope)
        return difference / max(abs(given), abs(slope), typical, noise / self.tolerance, np.finfo(np.float64).tiny)


def _central(cost: Callable[[], float], array: FloatArray, place: Index, step: float) -> float:
    """The slope of the cost between a step to the left and one to the right."""
    kept = array[place]
    array[place] = kept + step * max(1.0, abs(kept))
    right, above = array[place], cost()
    array[place] = kept - step * max(1.0, abs(kept))
    left, below = array[place], cost()
    array[place] = kept
    return float((above - below) / (right - left))


def _sides(
    cost: Callable[[], float], array: FloatArray, place: Index, step: float, middle: float
) -> tuple[float, float]:
    """The slopes to the left and to the right."""
    kept = array[place]
    result = []
    for sign in (-1, 1):
        array[place] = kept + sign * step * max(1.0, abs(kept))
        result.append(float((cost() - middle) / (array[place] - kept)))
    array[place] = kept
    return result[0], result[1]


# ------------------------------------------------------------------------------------------------ what to suspect


def _judged(
    twin: Any, loss: float, learning: list[Any], found: list[ParameterCheck], inputs: ParameterCheck | None,
    tolerance: float,
) -> GradientCheck:  # fmt: skip
    """The result, with a suspect for all that is wrong."""
    order = {id(layer): i for i, layer in enumerate(twin._flat())}
    checks = [(order[id(v.layer)], v, one) for v, one in zip(learning, found, strict=True)]
    wrong = [place for place, _, one in checks if not one.ok]
    last = max(wrong, default=-1)
    behind = min((place for place, _, one in checks if one.ok and place > last), default=len(order))
    parts = [name for place, name in _python_parts(twin) if last <= place <= behind]
    suspect = " or ".join(parts)
    judged = []
    for place, v, one in checks:
        if not one.ok:
            own = _own_parts(v) if place < last or not parts else []
            text = (
                suspect or " or ".join(own) or "a corner of the loss, or an error in fastnn: nothing here is in Python"
            )
            one = one._replace(suspect=text)
        judged.append(one)
    if inputs is not None and not inputs.ok:
        inputs = inputs._replace(suspect=suspect or "the backward pass of the first layers, or the loss's gradient")
    ok = all(one.ok for one in judged) and (inputs is None or inputs.ok)
    return GradientCheck(ok, loss, judged, inputs, tolerance)


def _own_parts(v: Any) -> list[str]:
    """What in Python adds to the gradient of one array alone."""
    regularizer = v.regularizer
    if regularizer is None or type(regularizer).gradient is regularizers.L1L2.gradient:
        return []
    return [f"gradient of the regularizer {type(regularizer).__name__} of {v.path}"]


def _python_parts(twin: Any) -> list[tuple[int, str]]:
    """The parts of a model whose derivative is written in Python, with the places of their layers."""
    result = []
    layers = twin._flat()
    for place, layer in enumerate(layers):
        form = getattr(layer, "_form", None)
        if type(layer).backward is not Layer.backward:
            result.append((place, f"backward of {layer.name!r} ({type(layer).__name__})"))
        if form is not None and form.function is not None:
            result.append((place, f"the derivative of {form.config!r}, the activation of {layer.name!r}"))
        penalty = layer.activity_regularizer
        if penalty is not None and type(penalty).gradient is not regularizers.L1L2.gradient:
            result.append((place, f"gradient of {type(penalty).__name__}, the activity regularizer of {layer.name!r}"))
        result.extend((place, part) for v in layer._variables for part in _own_parts(v))
    loss = twin._plan.loss
    if type(loss)._sample_gradient is not None:
        result.append((len(layers), f"gradient of the loss {type(loss).__name__}"))
    return result
