"""fastnn: dense neural networks on the CPU.

Its parts are loaded when they are first used.
"""

from typing import TYPE_CHECKING

try:
    from fastnn._core.kernels import cpu_info, get_num_threads, set_num_threads
except ModuleNotFoundError as error:
    if error.name != "fastnn._core.kernels":
        raise
    raise ImportError(
        f"fastnn is not built in {__path__[0]}: where that is its source folder, leave it to import the installed "
        "fastnn, or build in place by: pip install -e ."
    ) from None

from fastnn import errors
from fastnn._lazy import lazily
from fastnn._namesake import warn_of_namesake
from fastnn.errors import DivergenceError, FastNNError, FormatError, NotBuiltError, NotCompiledError

if TYPE_CHECKING:
    from fastnn import (
        activations,
        callbacks,
        constraints,
        datasets,
        diagnostics,
        initializers,
        layers,
        losses,
        metrics,
        models,
        optimizers,
        plots,
        reference,
        regularizers,
        sklearn,  # noqa: F401  (no part of `from fastnn import *`, as it needs scikit-learn)
        utils,
    )
    from fastnn._explain import explain
    from fastnn._random import set_seed
    from fastnn.files import load
    from fastnn.layers import Dense, Input, Layer
    from fastnn.models import Sequential
    from fastnn.optimizers import Optimizer

warn_of_namesake(__path__[0])

__version__ = "0.1.0"
__all__ = [
    "Dense",
    "DivergenceError",
    "FastNNError",
    "FormatError",
    "Input",
    "Layer",
    "NotBuiltError",
    "NotCompiledError",
    "Optimizer",
    "Sequential",
    "activations",
    "callbacks",
    "constraints",
    "cpu_info",
    "datasets",
    "diagnostics",
    "errors",
    "explain",
    "get_num_threads",
    "initializers",
    "layers",
    "load",
    "losses",
    "metrics",
    "models",
    "optimizers",
    "plots",
    "reference",
    "regularizers",
    "set_num_threads",
    "set_seed",
    "utils",
]

__getattr__, __dir__ = lazily(
    "fastnn",
    {
        "_explain": ["explain"],
        "_random": ["set_seed"],
        "activations": ["activations"],
        "callbacks": ["callbacks"],
        "constraints": ["constraints"],
        "datasets": ["datasets"],
        "diagnostics": ["diagnostics"],
        "files": ["load"],
        "initializers": ["initializers"],
        "layers": ["layers", "Dense", "Input", "Layer"],
        "losses": ["losses"],
        "metrics": ["metrics"],
        "models": ["models", "Sequential"],
        "optimizers": ["optimizers", "Optimizer"],
        "plots": ["plots"],
        "reference": ["reference"],
        "regularizers": ["regularizers"],
        "sklearn": ["sklearn"],
        "utils": ["utils"],
    },
)
