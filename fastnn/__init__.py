"""fastnn: dense neural networks on the CPU."""

from fastnn import activations, initializers, losses, utils
from fastnn._core.kernels import cpu_info, get_num_threads, set_num_threads
from fastnn._random import set_seed

__version__ = "0.1.0"
__all__ = [
    "activations",
    "cpu_info",
    "get_num_threads",
    "initializers",
    "losses",
    "set_num_threads",
    "set_seed",
    "utils",
]
