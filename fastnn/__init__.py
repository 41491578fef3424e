"""fastnn: dense neural networks on the CPU."""

from fastnn import activations, constraints, optimizers, regularizers
from fastnn._core.kernels import cpu_info, get_num_threads, set_num_threads
from fastnn.optimizers import Optimizer

__version__ = "0.1.0"
__all__ = [
    "Optimizer",
    "activations",
    "constraints",
    "cpu_info",
    "get_num_threads",
    "optimizers",
    "regularizers",
    "set_num_threads",
]
