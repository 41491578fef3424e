"""fastnn: dense neural networks on the CPU.

Importing it costs little: each part is loaded when it is first used.
"""

import importlib
from typing import TYPE_CHECKING, Any

try:
    from fastnn._core.kernels import cpu_info, get_num_threads, set_num_threads
except ModuleNotFoundError as error:
    if error.name != "fastnn._core.kernels":
        raise
    raise ImportError(
        f"fastnn is not built in {__path__[0]}: where that is its source folder, leave it to import the installed "
        "fastnn, or build in place by: pip install -e ."
    ) from None

if TYPE_CHECKING:
    from fastnn import (
        activations,
        callbacks,
        constraints,
        datasets,
        diagnostics,
        errors,
        initializers,
        layers,
        losses,
        metrics,
        models,
        optimizers,
        plots,
        reference,
        regularizers,
        utils,
    )
    from fastnn._random import set_seed
    from fastnn.errors import DivergenceError, FastNNError, FormatError, NotBuiltError, NotCompiledError
    from fastnn.files import load
    from fastnn.layers import Dense, Input, Layer
    from fastnn.models import Sequential
    from fastnn.optimizers import Optimizer

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

# Where the names that are no modules come from
_HOMES = {
    "_random": ("set_seed",),
    "errors": ("DivergenceError", "FastNNError", "FormatError", "NotBuiltError", "NotCompiledError"),
    "files": ("load",),
    "layers": ("Dense", "Input", "Layer"),
    "models": ("Sequential",),
    "optimizers": ("Optimizer",),
}
_HOME = {name: home for home, names in _HOMES.items() for name in names}


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module 'fastnn' has no attribute {name!r}")
    module = importlib.import_module(f"fastnn.{_HOME.get(name, name)}")
    value = getattr(module, name) if name in _HOME else module
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
