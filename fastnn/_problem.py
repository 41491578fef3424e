"""What kind of problem targets pose, and the output layer and loss that go with it."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from fastnn import _validate, layers
from fastnn.errors import ArgumentError

Array = npt.NDArray[Any]

KINDS = ("regression", "binary", "multiclass", "multilabel")


class Problem(NamedTuple):
    """What is to be learned, how the network ends, and why."""

    kind: str
    units: int
    activation: str
    loss: str
    metric: str
    reason: str


def problem_of(y: Any, kind: str | None = None) -> Problem:
    """The problem that targets pose; `kind` says which it is where they could mean several."""
    array = _targets(y)
    if kind is None:
        kind = _kind_of_rows(array) if array.ndim == 2 else _kind_of_numbers(array)
    else:
        kind = _validate.choice(kind, "problem", KINDS)
    return {"regression": _regression, "binary": _binary, "multiclass": _multiclass, "multilabel": _multilabel}[kind](
        array
    )


def network(
    y: Any, kind: str | None, hidden: Sequence[int], activation: Any, input_shape: Sequence[int] | None
) -> tuple[Problem, list[Any]]:
    """The problem, and the layers for it."""
    problem = problem_of(y, kind)
    if isinstance(hidden, (int, np.integer)) or not isinstance(hidden, Sequence):
        raise ArgumentError(f"hidden: expected the units of each hidden layer, such as (64, 64), got {hidden!r}")
    sizes = [_validate.integer(n, f"hidden[{i}]", minimum=1) for i, n in enumerate(hidden)]
    stack: list[Any] = [] if input_shape is None else [layers.Input(input_shape)]
    stack += [layers.Dense(n, activation) for n in sizes]
    return problem, [*stack, layers.Dense(problem.units, problem.activation)]


def _targets(y: Any) -> Array:
    """y as an array of numbers, (N,) or (N, K) with K > 1."""
    text = _first_text(y)
    if text is not None:
        raise ArgumentError(
            f"y: its labels are text, such as {text!r}; number them first: "
            "names, y = numpy.unique(y, return_inverse=True)"
        )
    array = _validate.numbers(y, "y")
    if array.ndim not in (1, 2) or 0 in array.shape:
        raise ValueError(f"y: expected targets of shape (samples,) or (samples, outputs), got shape {array.shape}")
    _validate.finite(array, "y")
    return array[:, 0] if array.ndim == 2 and array.shape[1] == 1 else array


def _first_text(y: Any) -> str | None:
    """The first label, where labels are text."""
    try:
        labels = np.asarray(y)
    except (ValueError, TypeError):  # what it is not, `numbers` says
        return None
    first = labels.flat[0] if labels.dtype.kind in "USO" and labels.size else None
    return str(first) if isinstance(first, (str, bytes)) else None


def _is_binary(array: Array) -> bool:
    return bool(np.isin(array, (0, 1)).all())


def _kind_of_numbers(array: Array) -> str:
    """Of one number for each sample."""
    values = np.unique(array)
    if _is_binary(array):
        if len(values) == 1:
            raise ValueError(
                f"y: all {len(array)} targets are {values[0]}; two classes need samples of both, and numbers that are "
                "all the same need no network"
            )
        return "binary"
    if not np.array_equal(values, np.floor(values)):
        return "regression"
    cure = "or say problem='regression' if they are quantities"
    if np.array_equal(values, (-1, 1)):
        raise ValueError("y: labels -1 and +1; pass (y > 0) for two classes, " + cure)
    if np.array_equal(values, np.arange(1, len(values) + 1)) and len(values) > 1:
        raise ValueError(
            f"y: whole numbers 1..{len(values)}; classes count from 0: pass y - 1 if they are classes, {cure}"
        )
    if values[0] != 0:
        return "regression"
    if values[-1] == len(values) - 1:
        return "multiclass"
    if values[-1] < 2 * len(values):
        missing = sorted(set(range(int(values[-1]))) - set(values.astype(int).tolist()))
        raise ValueError(
            f"y: whole numbers from 0 to {int(values[-1])} without {missing[0]}: say problem='multiclass' if they are "
            f"classes, {cure}"
        )
    return "regression"


def _kind_of_rows(array: Array) -> str:
    """Of several numbers for each sample."""
    one = np.allclose(array.sum(axis=1, dtype=np.float64), 1, rtol=0, atol=1e-6) and bool((array >= 0).all())
    if one:
        return "multiclass"
    return "multilabel" if _is_binary(array) else "regression"


# --------------------------------------------------------------------------------------------------------- the problems


def _regression(array: Array) -> Problem:
    units = 1 if array.ndim == 1 else array.shape[1]
    what = "a quantity" if units == 1 else f"{units} quantities"
    output = "1 linear unit" if units == 1 else f"{units} linear units"
    reason = (
        f"Regression: y holds {what} for each sample, of any size and sign, so the output is {output}, and the loss is "
        "the mean squared error."
    )
    return Problem("regression", units, "linear", "mean_squared_error", "mae", reason)


def _binary(array: Array) -> Problem:
    if array.ndim != 1 or not _is_binary(array):
        raise ValueError(f"y: a binary problem has 0 or 1 for each sample, got {_what(array)}")
    reason = (
        "Binary classification: y holds 0 or 1 for each sample, so the output is 1 unit with a sigmoid, the "
        "probability of 1, and the loss is the binary cross-entropy."
    )
    return Problem("binary", 1, "sigmoid", "binary_crossentropy", "accuracy", reason)


def _multiclass(array: Array) -> Problem:
    if array.ndim == 1:
        _validate.whole_numbers(array, "y")
        if (array < 0).any() or array.max() < 1:
            raise ValueError(f"y: a multi-class problem has classes 0, 1, ..., got {_what(array)}")
        units, held = int(array.max()) + 1, "a class number"
        loss, called = "sparse_categorical_crossentropy", "sparse categorical"
    else:
        if _kind_of_rows(array) != "multiclass":
            raise ValueError("y: a multi-class problem has rows that sum to 1 (one-hot), or class numbers")
        units, held = array.shape[1], "a one-hot row" if _is_binary(array) else "the probability of each class"
        loss, called = "categorical_crossentropy", "categorical"
    reason = (
        f"Multi-class classification: y holds {held} for each sample, one of {units} classes, so the output is {units} "
        f"units with softmax, probabilities that sum to 1, and the loss is the {called} cross-entropy."
    )
    return Problem("multiclass", units, "softmax", loss, "accuracy", reason)


def _multilabel(array: Array) -> Problem:
    if array.ndim != 2 or not _is_binary(array):
        raise ValueError(f"y: a multi-label problem has a row of 0 and 1 for each sample, got {_what(array)}")
    units = array.shape[1]
    reason = (
        f"Multi-label classification: y holds {units} labels for each sample, any of which may be 1 at once, so the "
        f"output is {units} units, each with a sigmoid of its own, and the loss is the binary cross-entropy."
    )
    return Problem("multilabel", units, "sigmoid", "binary_crossentropy", "binary_accuracy", reason)


def _what(array: Array) -> str:
    return f"shape {array.shape} with values from {array.min()} to {array.max()}"
