"""fastnn: dense neural networks on the CPU."""

from fastnn import (
    activations,
    callbacks,
    constraints,
    errors,
    initializers,
    layers,
    losses,
    metrics,
    models,
    optimizers,
    regularizers,
    utils,
)
from fastnn._core.kernels import cpu_info, get_num_threads, set_num_threads
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
    "errors",
    "get_num_threads",
    "initializers",
    "layers",
    "load",
    "losses",
    "metrics",
    "models",
    "optimizers",
    "regularizers",
    "set_num_threads",
    "set_seed",
    "utils",
]
