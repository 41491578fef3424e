"""fastnn: dense neural networks on the CPU.

What every training needs is loaded with it, all else when it is first used.
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

from fastnn import activations, constraints, errors, initializers, layers, losses, models, optimizers, regularizers
from fastnn._lazy import lazily
from fastnn._random import set_seed
from fastnn.errors import DivergenceError, FastNNError, FormatError, NotBuiltError, NotCompiledError
from fastnn.layers import Dense, Input, Layer
from fastnn.models import Sequential
from fastnn.optimizers import Optimizer

if TYPE_CHECKING:
    from fastnn import (
        callbacks,
        datasets,
        diagnostics,
        metrics,
        plots,
        reference,
        sklearn,  # noqa: F401  (no part of `from fastnn import *`, as it needs scikit-learn)
        utils,
    )
    from fastnn._explain import explain
    from fastnn.files import load

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
        "callbacks": ["callbacks"],
        "datasets": ["datasets"],
        "diagnostics": ["diagnostics"],
        "files": ["load"],
        "metrics": ["metrics"],
        "plots": ["plots"],
        "reference": ["reference"],
        "sklearn": ["sklearn"],
        "utils": ["utils"],
    },
)
