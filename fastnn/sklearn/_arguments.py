"""The estimators' arguments: each is checked when fit begins, as scikit-learn's rules want it."""

import numbers
from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
from sklearn.utils import check_random_state

from fastnn import _validate, activations
from fastnn.layers._dense import Form
from fastnn.optimizers._parts import Check, between, optional, whole

OUTPUTS = {"identity": "linear", "logistic": "sigmoid", "softmax": "softmax", "exp": "exponential"}
SOLVERS = ("adam", "lbfgs", "sgd")
SHRINKING = ("glu", activations.glu)  # fewer outputs than inputs
MOST_UNITS = 2**31 - 1  # of a layer
MOST_THREADS = 2**16 - 1


def _one_of(*names: str) -> Check:
    return lambda value, name: _validate.choice(value, name, names)


def _auto_or_whole(value: Any, name: str) -> Any:
    if isinstance(value, str):
        return _validate.choice(value, name, ("auto",))
    return _validate.integer(value, name, minimum=1)


def _whole_or_infinite(value: Any, name: str) -> Any:
    infinite = isinstance(value, numbers.Real) and float(value) == float("inf")
    return value if infinite else _validate.integer(value, name, minimum=1)


def _verbosity(value: Any, name: str) -> Any:
    return value if isinstance(value, (bool, np.bool_)) else _validate.integer(value, name, minimum=0)


def _precision(value: Any, name: str) -> Any:
    return _validate.float_dtype(value, name).name


def _class_weight(value: Any, name: str) -> Any:
    if isinstance(value, str):
        return _validate.choice(value, name, ("balanced",))
    if not isinstance(value, (Mapping, list, tuple)):
        raise TypeError(f"{name}: expected a dict of class: weight, or 'balanced', got {value!r}")
    return value


_share = between(minimum=0, below=1)
CHECKS: dict[str, Check] = {
    "solver": _one_of(*SOLVERS),
    "alpha": between(minimum=0),
    "batch_size": _auto_or_whole,
    "learning_rate": _one_of("constant", "invscaling", "adaptive"),
    "learning_rate_init": between(above=0),
    "power_t": between(minimum=0),
    "max_iter": whole(1),
    "shuffle": _validate.flag,
    "tol": between(minimum=0),
    "verbose": _verbosity,
    "warm_start": _validate.flag,
    "momentum": between(minimum=0, maximum=1),
    "nesterovs_momentum": _validate.flag,
    "early_stopping": _validate.flag,
    "validation_fraction": _share,
    "beta_1": _share,
    "beta_2": _share,
    "epsilon": between(above=0),
    "n_iter_no_change": _whole_or_infinite,
    "max_fun": whole(1),
    "normalization": optional(_one_of("batch", "layer")),
    "dtype": optional(_precision),
    "n_threads": optional(lambda value, name: _validate.integer(value, name, minimum=1, maximum=MOST_THREADS)),
    "class_weight": optional(_class_weight),
    "out_activation": optional(_one_of("identity", "logistic", "exp", "softplus", "tanh", "relu")),
}


def random_state(value: Any) -> Any:
    """A RandomState of the argument, as scikit-learn makes it."""
    try:
        return check_random_state(value)
    except (TypeError, ValueError) as error:
        raise ValueError(
            f"random_state: expected a whole number, a RandomState or None, got {value!r}: {error}"
        ) from None


class Hidden(NamedTuple):
    """What the hidden layers are: as many of each as there are layers."""

    sizes: tuple[int, ...]
    activations: tuple[Any, ...]
    dropout: tuple[float, ...]


def check(estimator: Any) -> Hidden:
    """Refuse arguments that make no sense, by name; returns the hidden layers."""
    for name, rule in CHECKS.items():
        if hasattr(estimator, name):
            rule(getattr(estimator, name), name)
    hidden = _hidden(estimator)
    if estimator.solver == "lbfgs":
        _fit_for_lbfgs(estimator, hidden)
    return hidden


def _fit_for_lbfgs(estimator: Any, hidden: Hidden) -> None:
    """What has no meaning for a solver that needs the same loss from the same weights."""
    if any(hidden.dropout):
        raise ValueError("dropout: solver='lbfgs' needs a loss without chance in it; use 'adam' or 'sgd', or dropout=0")
    if estimator.normalization == "batch":
        raise ValueError(
            "normalization: 'batch' keeps moving statistics, which solver='lbfgs' has no steps for; use 'layer', or "
            "the solver 'adam' or 'sgd'"
        )
    if estimator.callbacks is not None:
        raise ValueError("callbacks: they hear of epochs, and solver='lbfgs' has none; use 'adam' or 'sgd'")


def _hidden(estimator: Any) -> Hidden:
    units = _units(estimator.hidden_layer_sizes)
    count = len(units)
    functions = tuple(_activation(a) for a in _each(estimator.activation, "activation", count))
    rates = tuple(_share(rate, "dropout") for rate in _each(estimator.dropout, "dropout", count))
    return Hidden(units, functions, rates)


def _units(given: Any) -> tuple[int, ...]:
    """One number, or one for each hidden layer, in anything that has an order."""
    if isinstance(given, (str, bytes, Mapping, set, frozenset)):
        raise TypeError(f"hidden_layer_sizes: expected a whole number or a tuple of them, got {given!r}")
    several = hasattr(given, "__iter__") and not (isinstance(given, np.ndarray) and given.ndim == 0)
    sizes = list(given) if several else [given]
    units = tuple(_validate.integer(size, "hidden_layer_sizes", maximum=MOST_UNITS) for size in sizes)
    if any(size <= 0 for size in units):
        raise ValueError(f"hidden_layer_sizes must be > 0, got {list(units)}.")
    return units


def _each(value: Any, name: str, count: int) -> tuple[Any, ...]:
    """One for each hidden layer."""
    if not isinstance(value, (list, tuple)) and not (isinstance(value, np.ndarray) and value.ndim):
        return (value,) * count
    if len(value) != count:
        raise ValueError(f"{name}: there are {count} hidden layers, and {len(value)} in the list; pass one for each")
    return tuple(value)


def _activation(value: Any) -> Any:
    """As a layer takes it: scikit-learn's names, those of fastnn.activations, or a function with a derivative."""
    if isinstance(value, str):
        value = OUTPUTS.get(value, value)
    elif not callable(value):
        raise TypeError(f"activation: expected a name or a function with a derivative, got {value!r}")
    if value in SHRINKING:
        raise ValueError(
            "activation: 'glu' gives half as many outputs as it reads, and hidden_layer_sizes says both at once; "
            "use it in a fastnn.Sequential"
        )
    Form(value)  # an unknown name is refused here
    return value
